//! Parameters of the chain: in the state, set by genesis, later changed by vote.
//!
//! Not here: bounds that no vote can change (`limits`), options of one node (chain-node).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::table::Table;
use crate::limits::{MAX_BLOCK_BYTES, MAX_BLOCK_TIME_MS, MAX_BLOCK_TXS, MAX_TX_BYTES, MIN_BLOCK_TIME_MS};
use crate::types::Amount;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The one row of parameters.
pub const PARAMS: Table<(), Params> = Table::new(5);

/// What can be set without another version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Least time between a block and its parent, in ms.
    pub block_time_ms: u32,
    /// Time between blocks while there is nothing to do, in ms; at least `block_time_ms`.
    pub empty_block_interval_ms: u32,
    /// Longest body, in bytes.
    pub max_block_bytes: u32,
    /// Greatest weight of all transactions of a block.
    #[serde(with = "crate::types::decimal")]
    pub max_block_weight: u64,
    /// Most transactions in a block.
    pub max_block_txs: u32,
    /// Least fee per 1000 weight, in base units of the native asset.
    pub min_fee_per_1000_weight: Amount,
    /// Share of fees burned, in basis points; the rest is the proposer's.
    pub burn_bps: u16,
    /// Burned by who makes the chain keep one more row for somebody, in native base units.
    pub account_fee: Amount,
    /// Burned by who creates an asset, in native base units.
    pub asset_fee: Amount,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            block_time_ms: 2_000,
            empty_block_interval_ms: 2_000,
            max_block_bytes: 4 * 1024 * 1024,
            max_block_weight: 25_000_000,
            max_block_txs: 20_000,
            min_fee_per_1000_weight: Amount::new(36),
            burn_bps: 5_000,
            account_fee: Amount::new(36),
            asset_fee: Amount::new(36_000),
        }
    }
}

/// Which parameter is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}; it must be between {min} and {max}")]
pub struct ParamError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: u128,
    /// The least allowed value.
    pub min: u128,
    /// The greatest allowed value.
    pub max: u128,
}

impl Params {
    /// Whether every parameter is within its bounds.
    pub fn check(&self) -> Result<(), ParamError> {
        let block_time = u128::from(self.block_time_ms);
        let bounds = [
            ("block_time_ms", block_time, MIN_BLOCK_TIME_MS.into(), MAX_BLOCK_TIME_MS.into()),
            ("empty_block_interval_ms", self.empty_block_interval_ms.into(), block_time, MAX_BLOCK_TIME_MS.into()),
            ("max_block_bytes", self.max_block_bytes.into(), MAX_TX_BYTES as u128, MAX_BLOCK_BYTES as u128),
            ("max_block_weight", self.max_block_weight.into(), 1_000_000, 10u128.pow(12)),
            ("max_block_txs", self.max_block_txs.into(), 1, MAX_BLOCK_TXS as u128),
            ("min_fee_per_1000_weight", self.min_fee_per_1000_weight.get(), 0, 10u128.pow(12)),
            ("burn_bps", self.burn_bps.into(), 0, 10_000),
            ("account_fee", self.account_fee.get(), 0, 10u128.pow(18)),
            ("asset_fee", self.asset_fee.get(), 0, 10u128.pow(24)),
        ];
        match bounds.into_iter().find(|(_, value, min, max)| value < min || value > max) {
            Some((name, value, min, max)) => Err(ParamError { name, value, min, max }),
            None => Ok(()),
        }
    }

    /// The least fee of a transaction of this weight: ⌈weight · rate / 1000⌉.
    pub fn min_fee(&self, weight: u64) -> Amount {
        Amount::new(u128::from(weight).saturating_mul(self.min_fee_per_1000_weight.get()).div_ceil(1000))
    }
}
