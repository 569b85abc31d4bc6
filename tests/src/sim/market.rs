//! People of a market: histories, valid and hostile, as every property of the market plays them.
//!
//! Not here: what they want (`chain_core::testing::market`), whose node they ask (`world`), what must hold (`check`).

use super::setting::Setting;
use chain_core::state::Tree;
use chain_core::state::market::job::Status;
use chain_core::state::market::jobs;
use chain_core::state::money::account;
use chain_core::testing::address;
use chain_core::testing::market::{Histories, people};
use chain_core::tx::Checked;
use chain_core::types::ChainId;
use std::collections::BTreeMap;

/// Everybody who trades.
pub struct Traders {
    histories: Histories,
    /// The nonces up to which somebody signed something, which need not be final yet.
    signed: BTreeMap<u8, u64>,
}

impl Traders {
    /// The people of a seed.
    pub fn new(setting: &Setting, seed: u64) -> Self {
        Self { histories: Histories::new(seed).on(setting.chain), signed: BTreeMap::new() }
    }

    /// What somebody wants in the last final state; what has a wrong form no node takes, and nobody is asked.
    ///
    /// Who has waited for three transactions in vain says something else instead: what he signed may be lost.
    pub fn next(&mut self, tree: &Tree, chain: &ChainId) -> Option<Checked> {
        let step = self.histories.next(tree);
        let first = account(tree, &step.sender()).unwrap().nonce;
        let next = self.signed.get(&step.by).copied().unwrap_or_default();
        let nonce = if (first..first + 3).contains(&next) { next } else { first };
        let checked = step.checked_on(chain, nonce).ok()?;
        self.signed.insert(step.by, nonce + 1);
        Some(checked)
    }

    /// How many transactions of theirs are final.
    pub fn carried_out(tree: &Tree) -> u64 {
        people().map(|seed| account(tree, &address(seed)).unwrap().nonce).sum()
    }

    /// How many jobs there are, and how many of them are paid out.
    pub fn jobs(tree: &Tree) -> (u64, u64) {
        let all: Vec<_> = jobs(tree).map(|row| row.unwrap().1).collect();
        let ended = all.iter().filter(|job| job.status != Status::Active).count();
        (all.len() as u64, ended as u64)
    }
}
