//! The pool's order over all transactions, what it holds in total, and per payer what it owes.
//! Every pooled transaction stands here exactly once, under its key.

use super::order::Key;
use crate::state::Authority;
use crate::tx::Checked;
use crate::types::{Address, Amount};
use std::collections::{BTreeMap, HashMap};

/// Transactions and their wire bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub txs: u64,
    pub bytes: u64,
}

impl Load {
    pub fn add(&mut self, tx: &Checked) {
        self.txs += 1;
        self.bytes += tx.bytes().len() as u64;
    }

    pub fn sub(&mut self, tx: &Checked) {
        self.txs -= 1;
        self.bytes -= tx.bytes().len() as u64;
    }

    pub fn fits(&self, max_txs: u64, max_bytes: u64) -> bool {
        self.txs <= max_txs && self.bytes <= max_bytes
    }
}

/// What one account pays for.
#[derive(Debug, Default)]
pub(super) struct Payer {
    /// The sum of the fees, never above the account's balance on the head.
    pub fees: Amount,
    /// Who may sign for it, as last seen on the head.
    pub authority: Authority,
    /// Other senders' transactions it pays for; its own are in its lane.
    pub sponsored: BTreeMap<Key, Checked>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub order: BTreeMap<Key, Checked>,
    pub payers: HashMap<Address, Payer>,
    pub total: Load,
    /// The part of `total` that is queued.
    pub queued: Load,
}

impl Index {
    /// Enters a transaction.
    pub fn place(&mut self, key: Key, tx: &Checked) {
        self.total.add(tx);
        let payer = self.payers.entry(tx.transaction().payer()).or_default();
        payer.fees = payer.fees.saturating_add(tx.transaction().fee);
        self.place_key(key, tx);
    }

    /// Removes a transaction.
    pub fn unplace(&mut self, key: Key, tx: &Checked) {
        self.total.sub(tx);
        self.unplace_key(key, tx);
        let address = tx.transaction().payer();
        if let Some(payer) = self.payers.get_mut(&address) {
            // Exact: sums stay within a balance, so adding never saturated.
            payer.fees = payer.fees.checked_sub(tx.transaction().fee).unwrap_or_default();
            if payer.fees.is_zero() && payer.sponsored.is_empty() {
                self.payers.remove(&address);
            }
        }
    }

    /// Moves a transaction within the order.
    pub fn move_key(&mut self, from: Key, to: Key, tx: &Checked) {
        self.unplace_key(from, tx);
        self.place_key(to, tx);
    }

    fn place_key(&mut self, key: Key, tx: &Checked) {
        if !key.pending {
            self.queued.add(tx);
        }
        self.order.insert(key, tx.clone());
        if let Some(payer) = tx.transaction().fee_payer {
            self.payers.entry(payer).or_default().sponsored.insert(key, tx.clone());
        }
    }

    fn unplace_key(&mut self, key: Key, tx: &Checked) {
        if !key.pending {
            self.queued.sub(tx);
        }
        self.order.remove(&key);
        if let Some(payer) = tx.transaction().fee_payer.and_then(|payer| self.payers.get_mut(&payer)) {
            payer.sponsored.remove(&key);
        }
    }

    /// What a payer's pooled transactions cost together.
    pub fn fees(&self, payer: &Address) -> Amount {
        self.payers.get(payer).map_or(Amount::ZERO, |payer| payer.fees)
    }
}
