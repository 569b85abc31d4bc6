//! The chain as this node knows it: final blocks on disk, recent blocks and the state in memory.
//!
//! ```text
//! Chain ── read by everybody, written by the engine only
//!   ├── blocks    headers, bodies, certificates: synced with every block, the durable truth
//!   ├── state     rows in memory (the tree); flushed to disk every k blocks together with the
//!   │             outcomes and the transaction index, atomically with the flushed height
//!   └── history   which transactions concern an account: written by a follower, off the commit path
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
mod open;
mod sums;

pub use chain::{Chain, Head, Located};
pub use committed::CommittedBlock;
pub use history::{HistoryEntry, HistoryPosition, index_history};
pub use open::{Genesis, OpenError, Opened, open};
