//! Lists of the market: which jobs an account pays, which offers a model has, where a job's receipts are. An
//! index beside the state, written behind the head by a follower, never in the commit path.
//!
//! ```text
//! final block ─ events ─► which jobs and providers were touched
//!                           └─► their rows in the newest state ─► entries of the index, in one batch per block
//! a page = a range of entries, with what the blocks above the index touched, each looked up in the state
//! ```
//!
//! 1. An entry follows from a row of the state, and a receipt's from its block; an event says only what to look at.
//!    So the index of a chain that was followed is that of its rows: after a snapshot, or where blocks between are
//!    gone, it is made from these.
//! 2. A row that was forgotten takes its entries along, soon after.
//! 3. The height it has come to is written with the entries. Blocks stand before it in the store, so a crash leaves
//!    no entry of a block that is not there.
//! 4. A page reads no more than [`MAX_LOOKS`] entries and rows, and holds the state for [`MAX_HELD`] rows at a time;
//!    what is read for a filter counts as well. It says where to go on, also if it holds nothing.
//! 5. With filters that have a list each, of the next entries of all of them that list is taken which gets farthest.
//! 6. Blocks the index has not come to are looked through for a page, up to [`LATE_BLOCKS`] of them with
//!    [`MAX_LATE_OUTCOMES`], and so many touched rows as [`MAX_LATE`]. Farther behind, as while a node catches up, a
//!    page lacks what is newer; a sum, and a single receipt that is not found, are refused then: nobody knows.
//!
//! Not here: the rows (`state::market`), their JSON shapes, histories of accounts (`history`).

mod disputes;
mod entries;
mod follow;
mod late;
mod list;
mod touched;

pub use disputes::{DisputeFilter, Disputed, list_disputes};
pub use entries::{JobRow, JobState};
pub use follow::{index_market, market_indexed};
pub use list::{
    JobFilter, ListError, OfferFilter, Page, ProviderOrder, Reading, ReceiptPlace, Sorting, find_receipt, list_jobs,
    list_offers, list_providers, list_receipts, locked, receipt_place,
};
pub(super) use touched::receipt_keys;

use super::chain::Chain;
use super::committed::CommittedBlock;
use crate::fault::Fault;
use crate::state::Tree;
use crate::storage::Store;
use crate::types::{Height, MarketMs};
use std::sync::Arc;

/// Entries that are read at a time; few in tests, so that lists have several of them.
pub const CHUNK: usize = if cfg!(test) { 4 } else { 256 };
/// Rows that are read while a commit may wait: with so many an entry is the last of its look.
pub const MAX_HELD: usize = 2 * CHUNK;
/// Entries and rows that are read for one page: with so many an entry is its last.
pub const MAX_LOOKS: usize = 64 * CHUNK;
/// So many bytes of a row count as one row more.
const UNIT_BYTES: usize = 1024;
/// Blocks above the index that are looked through for a page.
pub const LATE_BLOCKS: u64 = 8;
/// Rows they may have touched.
pub const MAX_LATE: usize = 4_096;
/// Transactions they may hold, with what they did by themselves.
pub const MAX_LATE_OUTCOMES: usize = if cfg!(test) { 128 } else { 32_768 };
/// Entries the providers they touched may have.
const MAX_LATE_ENTRIES: usize = 8 * MAX_LATE;

/// A chain whose market is listed.
pub trait Source: Send + Sync {
    /// Where the index is kept.
    fn store(&self) -> &dyn Store;
    /// Takes a short look at the state after the newest final block: a commit waits meanwhile.
    fn look(&self, look: &mut dyn FnMut(Height, &Tree) -> Result<(), Fault>) -> Result<(), Fault>;
    /// The final block of a height; `None` above the head and below [`Source::oldest_body`].
    fn block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault>;
    /// The lowest height whose block is here whole.
    fn oldest_body(&self) -> Height;
}

impl Source for Chain {
    fn store(&self) -> &dyn Store {
        &**Chain::store(self)
    }

    fn look(&self, look: &mut dyn FnMut(Height, &Tree) -> Result<(), Fault>) -> Result<(), Fault> {
        let head = self.head();
        look(head.block.header.height, &head.tree)
    }

    fn block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault> {
        Chain::block(self, height)
    }

    fn oldest_body(&self) -> Height {
        Chain::oldest_body(self)
    }
}

/// The height of the newest final block, and the market's clock after it.
fn head(source: &dyn Source) -> Result<(Height, MarketMs), Fault> {
    let mut found = None;
    source.look(&mut |height, tree| {
        found = Some((height, crate::state::market::stored(tree)?.now));
        Ok(())
    })?;
    found.ok_or_else(|| Fault::new("nobody looked at the head"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
