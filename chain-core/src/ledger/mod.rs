//! The chain as this node knows it: final blocks on disk, recent blocks and the state in memory.
//!
//! ```text
//! Chain ── read by everybody, written by the engine only
//!   ├── blocks    headers, bodies, certificates: synced with every block, the durable truth
//!   ├── state     rows in memory (the tree); flushed to disk every k blocks together with the
//!   │             outcomes and the transaction index, atomically with the flushed height
//!   ├── history   which transactions concern an account: written by a follower, off the commit path
//!   ├── market    lists of jobs, offers, providers and receipts: written by a follower too
//!   ├── sets      which validators signed which height
//!   ├── prune     what old blocks held is forgotten, if the node is told to
//!   └── snapshot  the state at the flushed height as one stream, out of and into a database
//! ```
//!
//! After a crash the state is loaded as of the flushed height and the blocks above it are executed
//! again; every root must come out as the header says.
//!
//! Not here: when blocks become final (`consensus`), the database (`storage`).

mod chain;
mod committed;
mod history;
mod keys;
pub mod market;
mod open;
mod prune;
mod sets;
mod snapshot;
mod sums;
mod summary;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Head, Located};
pub use committed::CommittedBlock;
pub use history::{HistoryEntry, HistoryPosition, index_history};
pub use open::{OpenError, Opened, open, open_as};
pub use prune::MIN_KEPT_BLOCKS;
pub use snapshot::{Exported, Hop, Imported, SnapshotError, import, takes_snapshot};
pub use summary::Summary;
