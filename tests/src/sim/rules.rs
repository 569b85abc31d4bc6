//! By which rules a chain goes on, in other words than chain-core's: its parameters and its version, what
//! a vote may make of them, and what has passed and waits for its block.
//!
//! Not here: who votes (`seats`).

use chain_core::state::Params;
use chain_core::tx::authority::Measure;
use chain_core::types::{Amount, Height, ProposalId};
use std::collections::BTreeMap;

/// The parameters councils vote on here, with good values and bad ones. The bad ones are bad whatever was
/// voted before; of the good ones some may be refused because of another parameter.
pub const VOTED: [(&str, &[u128]); 15] = [
    ("epoch_blocks", &[2, 3, 5, 7, 10, 0, 10_001]),
    ("evidence_window_blocks", &[10, 12, 13, 40, 9]),
    ("max_block_weight", &[1_000_000, 25_000_000, 999_999]),
    ("max_block_txs", &[12, 50, 20_000, 0]),
    ("block_time_ms", &[600, 800, 1_000, 49, 1_001]),
    ("absence_jail_turns", &[1_001, 9]),
    ("burn_bps", &[0, 5_000, 10_000, 10_001]),
    ("issuance_per_block", &[0, 7, 1_001, 10u128.pow(24) + 1]),
    ("slash_equivocation_bps", &[0, 777, 10_000, 10_001]),
    ("slash_reporter_bps", &[0, 1_000, 5_000, 5_001]),
    ("unbonding_s", &[1, 3, 8, 20, 0]),
    // Also a unit of which the least stake of a validator would be five only.
    ("weight_exponent", &[3, 7, 9]),
    ("max_active_validators", &[3, 129]),
    ("min_validator_stake", &[9_999_999, 500_000_001]),
    ("surprise", &[1]),
];

/// What is in force, and what will be.
#[derive(Clone)]
pub struct Book {
    /// The parameters the next block is under.
    pub params: Params,
    /// The version of the rules it is under.
    pub version: u32,
    /// By the first block under it, what has passed.
    pub passed: BTreeMap<(Height, ProposalId), Measure>,
    /// How many parameters have changed.
    pub changed: u64,
}

impl Book {
    /// At genesis.
    pub fn new(params: Params) -> Self {
        Self { params, version: 1, passed: BTreeMap::new(), changed: 0 }
    }

    /// The first block that may be under what passes in block `now`.
    pub fn earliest(&self, now: Height) -> Height {
        Height::new(now.get() + u64::from(self.params.delay_blocks) + 1)
    }

    /// Whether a vote may give a parameter this value.
    pub fn may(&self, name: &str, value: u128) -> bool {
        let params = &self.params;
        let (least, most) = match name {
            "epoch_blocks" => (1, params.evidence_window_blocks.min(10_000).into()),
            "evidence_window_blocks" => (params.epoch_blocks.max(10).into(), 100_000_000),
            "max_block_weight" => (1_000_000, 10u128.pow(12)),
            "max_block_txs" => (1, 100_000),
            "block_time_ms" => (50, params.empty_block_interval_ms.into()),
            "absence_jail_turns" => (10, 10_000_000),
            "burn_bps" | "slash_equivocation_bps" => (0, 10_000),
            "issuance_per_block" => (0, 10u128.pow(24)),
            "slash_reporter_bps" => (0, 5_000),
            "unbonding_s" => (1, 31_536_000),
            "weight_exponent" => {
                let is_fine = |exponent: &u32| 10 * 10u128.pow(*exponent) <= params.min_validator_stake.get();
                let most = (0..30).rev().find(is_fine).unwrap_or_default();
                let now = u32::from(params.weight_exponent);
                (now.saturating_sub(1).into(), most.min(now + 1).into())
            }
            "max_active_validators" => (4, 128),
            "min_validator_stake" => {
                (10 * 10u128.pow(params.weight_exponent.into()), 10 * params.min_validator_stake.get())
            }
            _ => return false,
        };
        (least..=most).contains(&value)
    }

    fn set(&mut self, name: &str, value: u128) {
        let params = &mut self.params;
        match name {
            "epoch_blocks" => params.epoch_blocks = value as u32,
            "evidence_window_blocks" => params.evidence_window_blocks = value as u32,
            "max_block_weight" => params.max_block_weight = value as u64,
            "max_block_txs" => params.max_block_txs = value as u32,
            "block_time_ms" => params.block_time_ms = value as u32,
            "absence_jail_turns" => params.absence_jail_turns = value as u32,
            "burn_bps" => params.burn_bps = value as u16,
            "issuance_per_block" => params.issuance_per_block = Amount::new(value),
            "slash_equivocation_bps" => params.slash_equivocation_bps = value as u16,
            "slash_reporter_bps" => params.slash_reporter_bps = value as u16,
            "unbonding_s" => params.unbonding_s = value as u32,
            "weight_exponent" => params.weight_exponent = value as u8,
            "max_active_validators" => params.max_active_validators = value as u32,
            "min_validator_stake" => params.min_validator_stake = Amount::new(value),
            _ => {}
        }
    }

    /// What the block after `now` is the first under comes into force, unless it breaks a bound by now.
    pub fn come_into_force(&mut self, now: Height) {
        let later = self.passed.split_off(&(Height::new(now.get() + 2), ProposalId::new(0)));
        for measure in std::mem::replace(&mut self.passed, later).into_values() {
            match measure {
                Measure::Parameter { name, value } if self.may(&name, value) => {
                    self.set(&name, value);
                    self.changed += 1;
                }
                Measure::Upgrade { version, .. } => self.version = self.version.max(version),
                _ => {}
            }
        }
    }
}
