//! What a database says of itself, without believing or loading the state: for tools.

use super::keys::{self, FLUSHED, HEAD, HISTORY, IMPORTING, OLDEST_BODY, height_key};
use super::open::stored_chain;
use crate::block::Header;
use crate::codec;
use crate::fault::Fault;
use crate::limits::MAX_BLOCK_BYTES;
use crate::storage::{Store, Table};
use crate::types::{ChainId, Height};
use std::ops::ControlFlow;

/// What stands in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The chain.
    pub chain: ChainId,
    /// The header of the newest final block.
    pub head: Header,
    /// The height the stored rows belong to.
    pub flushed: Height,
    /// The lowest height whose block is whole.
    pub oldest_body: Height,
    /// Accounts' histories are indexed up to here.
    pub indexed: Height,
    /// Rows of the state.
    pub rows: u64,
}

impl Summary {
    /// Reads a database; `None` if it is empty. Counts the rows, which reads all of them.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, Fault> {
        if let Some(height) = keys::get_height(store, Table::Meta, IMPORTING)? {
            return Err(Fault::new(format!("a snapshot of block {height} was being restored and is not complete")));
        }
        let height = |name| keys::get_height(store, Table::Meta, name);
        let (Some(chain), Some(head)) = (stored_chain(store)?, height(HEAD)?) else { return Ok(None) };
        let header = keys::get(store, Table::Headers, &height_key(head))?;
        let header = header.ok_or_else(|| Fault::new(format!("block {head} is missing")))?;
        let header = codec::decode(&header, MAX_BLOCK_BYTES);
        let mut rows = 0u64;
        store.for_each(Table::State, &mut |_, _| {
            rows = rows.saturating_add(1);
            ControlFlow::Continue(())
        })?;
        Ok(Some(Self {
            chain,
            head: header.map_err(|e| Fault::new(format!("stored header {head}: {e}")))?,
            flushed: height(FLUSHED)?.unwrap_or_default(),
            oldest_body: height(OLDEST_BODY)?.unwrap_or_default(),
            indexed: height(HISTORY)?.unwrap_or_default(),
            rows,
        }))
    }
}
