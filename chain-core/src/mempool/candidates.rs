//! The pending transactions for whoever builds a block, best first.
//!
//! Taking the best lane head again and again visits transactions by falling rank: a lane's next
//! transaction is only reached when its predecessors were the best. So the pool's order, read from
//! its top, is that sequence, and needs neither a heap nor a copy.

use super::order::Key;
use crate::tx::Checked;
use crate::types::Address;
use std::collections::{HashSet, btree_map};

/// Pending transactions by rank, in nonce order within each lane. One step costs O(1).
pub struct Candidates<'p> {
    order: std::iter::Rev<btree_map::Iter<'p, Key, Checked>>,
    skipped: HashSet<Address>,
}

impl<'p> Candidates<'p> {
    pub(super) fn new(order: btree_map::Iter<'p, Key, Checked>) -> Self {
        Self { order: order.rev(), skipped: HashSet::new() }
    }

    /// Leaves out all further transactions of a sender: one of them didn't fit, so its followers
    /// would have the wrong nonce.
    pub fn skip_lane(&mut self, sender: &Address) {
        self.skipped.insert(*sender);
    }
}

impl<'p> Iterator for Candidates<'p> {
    type Item = &'p Checked;

    fn next(&mut self) -> Option<&'p Checked> {
        loop {
            // Queued ones stand below all pending ones.
            let (_, tx) = self.order.next().filter(|(key, _)| key.pending)?;
            if !self.skipped.contains(&tx.transaction().sender) {
                return Some(tx);
            }
        }
    }
}
