//! What became of transactions that left the pool without a block: bounded in time and number.

use super::status::DropReason;
use crate::limits::{DROPPED_MEMORY_MS, MAX_DROPPED_REMEMBERED};
use crate::types::TxId;
use std::collections::{HashMap, VecDeque};

/// Recent drops.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    reasons: HashMap<TxId, (DropReason, u64)>,
    /// Oldest first: when, which drop, of what. A drop that was taken back or repeated stays here
    /// until its time; the drop's number tells it from a later one.
    order: VecDeque<(u64, u64, TxId)>,
    count: u64,
}

impl Dropped {
    /// Notes a drop.
    pub fn remember(&mut self, id: TxId, reason: DropReason, now_ms: u64) {
        self.count += 1;
        self.reasons.insert(id, (reason, self.count));
        self.order.push_back((now_ms, self.count, id));
        if self.order.len() > MAX_DROPPED_REMEMBERED {
            self.forget_oldest();
        }
    }

    /// It is pooled again, or in a block.
    pub fn take_back(&mut self, id: &TxId) {
        self.reasons.remove(id);
    }

    /// Why a transaction was dropped.
    pub fn reason(&self, id: &TxId) -> Option<DropReason> {
        self.reasons.get(id).map(|(reason, _)| *reason)
    }

    /// Forgets what has been remembered long enough.
    pub fn forget_old(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(at, ..)| now_ms.saturating_sub(*at) >= DROPPED_MEMORY_MS) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, number, id)) = self.order.pop_front()
            && self.reasons.get(&id).is_some_and(|(_, latest)| *latest == number)
        {
            self.reasons.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Hash;

    fn id(number: u64) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        TxId(Hash(bytes))
    }

    #[test]
    fn an_hour_then_forgotten() {
        let mut dropped = Dropped::default();
        dropped.remember(id(1), DropReason::Evicted, 5);
        dropped.forget_old(5 + DROPPED_MEMORY_MS - 1);
        assert_eq!(dropped.reason(&id(1)), Some(DropReason::Evicted));
        dropped.forget_old(5 + DROPPED_MEMORY_MS);
        assert_eq!(dropped.reason(&id(1)), None);
        assert!(dropped.order.is_empty());
    }

    #[test]
    fn a_later_drop_outlives_the_earlier_record() {
        let mut dropped = Dropped::default();
        dropped.remember(id(1), DropReason::Evicted, 0);
        dropped.take_back(&id(1));
        assert_eq!(dropped.reason(&id(1)), None);
        dropped.remember(id(1), DropReason::Expired, 100);
        dropped.forget_old(DROPPED_MEMORY_MS);
        assert_eq!(dropped.reason(&id(1)), Some(DropReason::Expired));
    }

    #[test]
    fn bounded_in_number_oldest_first() {
        let mut dropped = Dropped::default();
        let many = MAX_DROPPED_REMEMBERED as u64 + 7;
        for number in 0..many {
            dropped.remember(id(number), DropReason::Evicted, 0);
        }
        assert_eq!((dropped.order.len(), dropped.reasons.len()), (MAX_DROPPED_REMEMBERED, MAX_DROPPED_REMEMBERED));
        assert_eq!((dropped.reason(&id(6)), dropped.reason(&id(7))), (None, Some(DropReason::Evicted)));
    }
}
