//! Snapshots: the state after one final block as one stream that needs not be believed.
//!
//! ```text
//! stream = "ait-snapshot" ‖ version u8 = 1 ‖ chain id (32) ‖ frames
//! frames = hop* ‖ block+ ‖ rows+ ‖ end                       integers little-endian, bodies are borsh
//!   hop    header, certificate, members          a block that changed the validator set, ascending
//!   block  header, certificate, body, results    the block of the snapshot, cut into frames
//!   rows   (key, slot, value) until the frame ends       ascending keys over all frames
//!   end    number of rows u64
//! ```
//!
//! 1. Who holds the genesis follows the validator set from there: each hop is signed by the set that
//!    is known by then and names the next one. The block is signed by the last.
//! 2. The rows with their slots are the whole tree (free slots follow from them), so its root must be
//!    the header's, and execution goes on exactly as everywhere else.
//! 3. Before all of that is checked nothing is written. The rows are then written under a mark;
//!    the head is moved, and the mark taken away, by the last batch. A database with the mark can't be
//!    opened; the import can be started again.
//! 4. An export reads the database as of the flushed height while the node goes on.
//!
//! Not here: files and progress (chain-node), how old a snapshot may be: keys of former validators may
//! leak, so whoever comes back after a long time compares the block's id with somebody trusted.

mod export;
mod frames;
mod import;

pub use export::Exported;
pub use import::{Imported, import, takes_snapshot};

use crate::block::Header;
use crate::codec::DecodeError;
use crate::crypto::Hash;
use crate::fault::Fault;
use crate::genesis::GenesisError;
use crate::limits::MAX_BLOCK_BYTES;
use crate::state::{RebuildError, RowKey};
use crate::types::{Certificate, CertificateError, ChainId, Height, Validator};

/// Longest block part: header, certificate, body, and results, which are less than four times the body.
const MAX_BLOCK_PART_BYTES: usize = 5 * MAX_BLOCK_BYTES;

/// A block that changed the validator set, with its certificate and the members of the new one.
pub type Hop = (Header, Certificate, Vec<Validator>);
/// The block of the snapshot: header, certificate, encoded body, encoded results.
type BlockPart = (Header, Option<Certificate>, Vec<u8>, Vec<u8>);
/// A row with its slot.
type Row = (RowKey, u32, Vec<u8>);

/// Why a snapshot can't be made or taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream can't be read or written.
    #[error("the snapshot can't be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// Other bytes.
    #[error("this is not a snapshot")]
    NotASnapshot,
    /// Made by other software.
    #[error("the snapshot has version {0}, this software knows version {known}", known = frames::VERSION)]
    Version(u8),
    /// Of another chain.
    #[error("the snapshot is of chain {found}, not {expected}")]
    OtherChain {
        /// What it is of.
        found: ChainId,
        /// What it should be of.
        expected: ChainId,
    },
    /// Of another block.
    #[error("the snapshot is of block {found}, not of block {said} as was said")]
    OtherHeight {
        /// What was said.
        said: Height,
        /// What it is.
        found: Height,
    },
    /// The end is missing.
    #[error("the snapshot is cut off after {0} parts")]
    Truncated(u64),
    /// Bytes were changed, left out or put elsewhere.
    #[error("part {frame} of the snapshot is damaged: {what}")]
    Damaged {
        /// Which part, from 0.
        frame: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A part is no encoding of what it should be.
    #[error("the snapshot holds no {what}: {error}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// Why it isn't.
        error: DecodeError,
    },
    /// Its certificate is missing.
    #[error("block {0} of the snapshot has no certificate")]
    NoCertificate(Height),
    /// Another set signs, another block is signed, or the signatures are no quorum.
    #[error("block {height} of the snapshot is not certified: {why}")]
    NotFinal {
        /// Which.
        height: Height,
        /// Why not.
        why: NotFinal,
    },
    /// Body or results are not those the header commits to.
    #[error("the snapshot's block {0} does not hold what its header says")]
    Content(Height),
    /// The rows are no state.
    #[error("the snapshot's rows are no state: {0}")]
    Rows(#[from] RebuildError),
    /// The rows are not those the header commits to.
    #[error("the snapshot's rows hash to {found}, block {height} says {expected}")]
    Root {
        /// The block.
        height: Height,
        /// What its header says.
        expected: Hash,
        /// What the rows hash to.
        found: Hash,
    },
    /// Something appeared or vanished.
    #[error("in the snapshot {0} is not conserved: the accounts don't hold what was minted minus burned")]
    Books(String),
    /// The database has blocks of its own.
    #[error("the database holds block {0} already; a snapshot goes into an empty one")]
    NotEmpty(Height),
    /// There is only block 0, which everybody has.
    #[error("nothing is written yet that a snapshot could hold")]
    Nothing,
    /// The genesis of the chain is none.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// Our own fault, or the database's.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a block is not proven final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFinal {
    /// It is not the next change of the set, or not above the last one.
    #[error("it does not follow the changes before it")]
    Order,
    /// Its header names another set than the one known by then.
    #[error("another validator set signs it")]
    Set,
    /// The members are not those its header names.
    #[error("the validator set it brings in is not the one its header names")]
    NextSet,
    /// The certificate is of something else.
    #[error("its certificate is of another vote")]
    Vote,
    /// The certificate proves nothing.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
}
