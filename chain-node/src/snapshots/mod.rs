//! Snapshots between nodes: one makes them from time to time and gives them to who asks (`shelf`), one
//! that has nothing fetches the newest it can get before it starts (`fetch`).
//!
//! ```text
//! chain ── every so many blocks ──► DATA_DIR/snapshots/HEIGHT-DIGEST.snapshot ──► parts, to peers
//! peers ── parts, in order ──► DATA_DIR/snapshots/DIGEST.partial ──► checked as it comes ──► database
//! ```
//!
//! Not here: what a snapshot holds and how it is proven (`chain_core::ledger`), files of a stopped node (`db`).

mod fetch;
mod shelf;

pub use fetch::fetch;
pub use shelf::Shelf;
pub(crate) use shelf::keep_making;
