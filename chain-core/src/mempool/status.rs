//! What became of a transaction: the same words on every interface.

use crate::types::Height;
use serde::{Deserialize, Serialize};

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Held in memory only: it can't be executed yet. A crash loses it.
    Queued,
    /// Executable, on disk, waiting for a block.
    Pending,
    /// In a final block.
    Final {
        /// The block.
        height: Height,
        /// The place in the block.
        index: u32,
    },
    /// Not waiting any more, and in no block. Remembered for an hour.
    Dropped {
        /// Why.
        reason: DropReason,
    },
    /// Never seen, or forgotten.
    Unknown,
}

/// Why a transaction was dropped from the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Another transaction with more fee per weight took its place in a full pool.
    Evicted,
    /// Another transaction of the same sender and nonce took its place.
    Replaced,
    /// Its `valid_until` has passed.
    Expired,
    /// A block made it impossible: nonce used, policy changed, fee unpayable.
    Invalidated,
}
