//! The pool's data, its questions, and the few changes everything else is made of.
//!
//! Not here: who gets in (`admit`), what a block changes (`block`).

use super::candidates::Candidates;
use super::dropped::Dropped;
use super::index::Index;
use super::order::{Key, Priority};
use super::status::{DropReason, Status};
use crate::state::{Authority, Params, Rows};
use crate::tx::Checked;
use crate::types::{Address, Height, TxId, WireId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How much a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Most transactions, queued ones included.
    pub max_txs: u64,
    /// Most wire bytes, queued ones included. In memory a transaction takes about twice its bytes
    /// and a further kilobyte.
    pub max_bytes: u64,
    /// Most queued transactions.
    pub max_queued_txs: u64,
    /// Most wire bytes of queued transactions.
    pub max_queued_bytes: u64,
    /// Most wire bytes of one sender. Its number of transactions is bounded by `MAX_LANE_TXS`.
    pub max_lane_bytes: u64,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            max_txs: 150_000,
            max_bytes: 128 * 1024 * 1024,
            max_queued_txs: 20_000,
            max_queued_bytes: 16 * 1024 * 1024,
            max_lane_bytes: 1024 * 1024,
        }
    }
}

/// The head, as far as the pool needs it. It must be the head the pool was last told of.
#[derive(Debug)]
pub struct ChainView<'v, R> {
    /// The state after the head.
    pub rows: &'v R,
    /// Its parameters.
    pub params: &'v Params,
    /// The head's height.
    pub head: Height,
}

/// What a change of the pool means for the outside, in the order it happened.
#[derive(Debug, Default)]
#[must_use]
pub struct Effects {
    /// Became pending for the first time: append their bytes to the log, then acknowledge and
    /// announce them. A lane's stand in the order of their nonces.
    pub to_log: Vec<Checked>,
    /// Every change of a status, the newcomer's included; but not that something became final.
    pub changes: Vec<(TxId, Status)>,
}

/// A transaction is in the pool.
#[derive(Debug)]
pub struct Inserted {
    /// `Pending` or `Queued`. If it was pooled before, a first answer may still wait for the log;
    /// this one must wait for it too.
    pub status: Status,
    /// What changed; empty if exactly these bytes were pooled before.
    pub effects: Effects,
}

/// The transactions that wait for a block. See the module for its rules.
#[derive(Debug)]
pub struct Pool {
    pub(super) limits: PoolLimits,
    pub(super) lanes: HashMap<Address, Lane>,
    pub(super) index: Index,
    pub(super) by_id: HashMap<TxId, Checked>,
    pub(super) by_wire: HashMap<WireId, Checked>,
    /// Those that expire, by the last height they are valid at.
    pub(super) expiry: BTreeSet<(Height, TxId)>,
    pub(super) dropped: Dropped,
    /// The parameters everything pooled was judged by.
    pub(super) params: Option<Params>,
    durable_bytes: u64,
    ages: u64,
}

/// One sender's transactions.
#[derive(Debug)]
pub(super) struct Lane {
    /// The account's nonce on the head: the first that can be pending.
    pub next: u64,
    /// Who may sign for the sender, as last seen on the head.
    pub authority: Authority,
    pub entries: BTreeMap<u64, Entry>,
    pub bytes: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub tx: Checked,
    pub priority: Priority,
    pub key: Key,
    /// Was pending once, so its sender counts on it.
    pub acknowledged: bool,
    /// How many others stood at this nonce before.
    pub replacements: u8,
}

impl Lane {
    pub fn new(next: u64, authority: Authority) -> Self {
        Self { next, authority, entries: BTreeMap::new(), bytes: 0 }
    }

    /// The rank of whatever stands just before a nonce, and the nonce that would be pending there.
    pub fn before(&self, nonce: u64) -> (Option<Priority>, Option<u64>) {
        match self.entries.range(..nonce).next_back() {
            None => (None, Some(self.next)),
            Some((before, entry)) => (Some(entry.key.rank), entry.key.pending.then(|| before.saturating_add(1))),
        }
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            index: Index::default(),
            by_id: HashMap::new(),
            by_wire: HashMap::new(),
            expiry: BTreeSet::new(),
            dropped: Dropped::default(),
            params: None,
            durable_bytes: 0,
            ages: 0,
        }
    }

    /// What became of a transaction, as far as the pool knows. Ask the ledger first: what is in a
    /// block is not the pool's business.
    pub fn status(&self, id: &TxId) -> Status {
        if let Some(entry) = self.entry(id) {
            return if entry.key.pending { Status::Pending } else { Status::Queued };
        }
        self.dropped.reason(id).map_or(Status::Unknown, |reason| Status::Dropped { reason })
    }

    /// The pooled transaction of a name.
    pub fn get(&self, id: &TxId) -> Option<&Checked> {
        self.by_id.get(id)
    }

    /// The pooled transaction of exactly these bytes.
    pub fn get_by_wire(&self, id: &WireId) -> Option<&Checked> {
        self.by_wire.get(id)
    }

    /// The nonce a sender's next transaction should have: the first that is not pending. `None` if
    /// nothing of the sender is pooled; then it is the account's.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        let lane = self.lanes.get(sender)?;
        let last = lane.entries.iter().take_while(|(_, entry)| entry.key.pending).last();
        Some(last.map_or(lane.next, |(nonce, _)| nonce.saturating_add(1)))
    }

    /// The pending transactions for a block, best first.
    pub fn candidates(&self) -> Candidates<'_> {
        Candidates::new(self.index.order.iter())
    }

    /// The acknowledged transactions, best first and by nonce within a lane: what the log must
    /// hold at least. Some may be queued again.
    pub fn durable(&self) -> impl Iterator<Item = &Checked> {
        let acknowledged = |tx: &&Checked| self.entry(&tx.id()).is_some_and(|entry| entry.acknowledged);
        self.index.order.values().rev().filter(acknowledged)
    }

    /// The wire bytes of `durable`: when the log is twice as long it should be written anew.
    pub fn durable_bytes(&self) -> u64 {
        self.durable_bytes
    }

    /// How many transactions are pooled.
    pub fn len(&self) -> u64 {
        self.index.total.txs
    }

    /// Whether nothing is pooled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are pending.
    pub fn pending_len(&self) -> u64 {
        self.index.total.txs - self.index.queued.txs
    }

    /// The wire bytes of all pooled transactions.
    pub fn bytes(&self) -> u64 {
        self.index.total.bytes
    }

    pub(super) fn entry(&self, id: &TxId) -> Option<&Entry> {
        let tx = self.by_id.get(id)?.transaction();
        self.lanes.get(&tx.sender)?.entries.get(&tx.nonce)
    }

    /// The next age; every later one is younger.
    pub(super) fn next_age(&mut self) -> Reverse<u64> {
        self.ages += 1;
        Reverse(self.ages)
    }

    /// Enters a transaction under a key that is already right. Its lane exists, its place is free.
    pub(super) fn put(&mut self, entry: Entry, effects: &mut Effects) {
        let Entry { tx, key, acknowledged, .. } = &entry;
        let (transaction, bytes) = (tx.transaction(), tx.bytes().len() as u64);
        self.dropped.take_back(&tx.id());
        self.index.place(*key, tx);
        self.by_id.insert(tx.id(), tx.clone());
        self.by_wire.insert(tx.wire_id(), tx.clone());
        if transaction.valid_until != Height::ZERO {
            self.expiry.insert((transaction.valid_until, tx.id()));
        }
        let status = if key.pending { Status::Pending } else { Status::Queued };
        effects.changes.push((tx.id(), status));
        if *acknowledged {
            self.durable_bytes += bytes;
        }
        if let Some(lane) = self.lanes.get_mut(&transaction.sender) {
            lane.bytes += bytes;
            let nonce = transaction.nonce;
            lane.entries.insert(nonce, entry);
        }
    }

    /// Takes a transaction out; `false` if it isn't pooled. The lane's later ones are as they were
    /// until `settle`.
    pub(super) fn remove(&mut self, tx: &Checked) -> bool {
        let (transaction, bytes) = (tx.transaction(), tx.bytes().len() as u64);
        if self.by_id.remove(&tx.id()).is_none() {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(&transaction.sender) else { return false };
        let Some(entry) = lane.entries.remove(&transaction.nonce) else { return false };
        lane.bytes -= bytes;
        if lane.entries.is_empty() {
            self.lanes.remove(&transaction.sender);
        }
        self.index.unplace(entry.key, tx);
        self.by_wire.remove(&tx.wire_id());
        self.expiry.remove(&(transaction.valid_until, tx.id()));
        if entry.acknowledged {
            self.durable_bytes -= bytes;
        }
        true
    }

    /// Takes a transaction out and says why.
    pub(super) fn drop_tx(&mut self, tx: &Checked, reason: DropReason, now_ms: u64, effects: &mut Effects) {
        if self.remove(tx) {
            self.dropped.remember(tx.id(), reason, now_ms);
            effects.changes.push((tx.id(), Status::Dropped { reason }));
        }
    }

    /// Makes a lane right from a nonce on: what is pending, and every rank.
    pub(super) fn settle(&mut self, sender: &Address, from: u64, effects: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(sender) else { return };
        let (mut floor, mut executable) = lane.before(from);
        for (nonce, entry) in lane.entries.range_mut(from..) {
            let pending = executable == Some(*nonce);
            executable = if pending { nonce.checked_add(1) } else { None };
            let rank = floor.map_or(entry.priority, |floor| floor.min(entry.priority));
            floor = Some(rank);
            let mut key = Key { pending, rank, ..entry.key };
            if pending && !entry.key.pending {
                // Younger than its predecessors, which the order needs among equal ranks.
                self.ages += 1;
                key.age = Reverse(self.ages);
            }
            if pending != entry.key.pending {
                let status = if pending { Status::Pending } else { Status::Queued };
                effects.changes.push((entry.tx.id(), status));
            }
            if pending && !entry.acknowledged {
                entry.acknowledged = true;
                self.durable_bytes += entry.tx.bytes().len() as u64;
                effects.to_log.push(entry.tx.clone());
            }
            if key != entry.key {
                self.index.move_key(entry.key, key, &entry.tx);
                entry.key = key;
            }
        }
    }
}

impl<R: Rows> ChainView<'_, R> {
    /// The height of the block that can be built next.
    pub(super) fn next_height(&self) -> Height {
        self.head.next()
    }
}
