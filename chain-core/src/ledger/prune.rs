//! Pruning: forgetting what old blocks held. Bodies, outcomes with events, the transaction index,
//! the account history and the places of receipts go; headers and certificates stay, so the chain of
//! blocks can still be followed.
//!
//! A crash recovery never needs what is removed: blocks are removed far below the flushed height only,
//! and the store loses unsynced batches from the newest backwards, so never a flush before the
//! removals that rested on it.

use super::chain::Chain;
use super::history::history_keys;
use super::keys::{self, OLDEST_BODY, height_key};
use super::market;
use crate::fault::Fault;
use crate::limits::PROOF_WINDOW_BLOCKS;
use crate::storage::{Batch, Durability, Table};
use crate::types::Height;

/// Fewest blocks a pruned node keeps: those whose state can still be proven.
pub const MIN_KEPT_BLOCKS: u64 = PROOF_WINDOW_BLOCKS as u64;

impl Chain {
    /// Forgets at most `limit` blocks more than `keep_blocks` (at least [`MIN_KEPT_BLOCKS`]) below the
    /// flushed height, the oldest first. Answers how many it forgot. At most one thread may prune, and
    /// none index histories meanwhile.
    pub fn prune(&self, keep_blocks: u64, limit: u64) -> Result<u64, Fault> {
        let keep = keep_blocks.max(MIN_KEPT_BLOCKS);
        let first = self.oldest_body();
        let end = self.flushed().saturating_sub(keep).min(first.saturating_add(limit));
        let mut height = first;
        while height < end {
            self.prune_block(height)?;
            height = height.next();
        }
        Ok(height.get().saturating_sub(first.get()))
    }

    /// One batch per block: whatever a crash leaves, the oldest body is what the database says.
    fn prune_block(&self, height: Height) -> Result<(), Fault> {
        let block = self.block(height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))?;
        let mut batch = Batch::new();
        for table in [Table::Bodies, Table::Events] {
            batch.delete(table, height_key(height));
        }
        for id in &block.tx_ids {
            batch.delete(Table::TxIndex, keys::tx_key(id));
        }
        for key in history_keys(&block)? {
            batch.delete(Table::History, key);
        }
        for key in market::receipt_keys(&block) {
            batch.delete(Table::Market, key);
        }
        keys::put(&mut batch, Table::Meta, OLDEST_BODY, &height_key(height.next()));
        // Readers learn it first, so that none takes the gap for damage.
        self.raise_oldest_body(height.next());
        Ok(self.store().write(batch, Durability::Buffered)?)
    }
}
