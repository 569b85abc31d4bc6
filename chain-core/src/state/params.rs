//! Parameters of the chain: in the state, set by genesis, later changed by vote.
//!
//! Not here: bounds that no vote can change (`limits`), options of one node (chain-node).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::market::MarketParams;
use super::table::Table;
use crate::codec::Text;
use crate::limits::{BPS, MAX_AMOUNT, MAX_BLOCK_BYTES, MAX_BLOCK_TIME_MS, MAX_BLOCK_TXS, MAX_PARAM_NAME_BYTES};
use crate::limits::{MAX_TX_BYTES, MAX_VALIDATORS, MIN_BLOCK_TIME_MS, MIN_RATE, MIN_SILENCE_S};
use crate::types::{Amount, Height, ProposalId};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The one row of parameters.
pub const PARAMS: Table<(), Params> = Table::new(5);
/// Every change since the genesis, by the first block under it; kept for ever, as each took a vote.
pub const PARAM_CHANGES: Table<(Height, ProposalId), ParamChange> = Table::new(23);

/// One parameter changed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ParamChange {
    /// Which.
    pub name: Text<MAX_PARAM_NAME_BYTES>,
    /// Its value until then.
    #[serde(with = "crate::types::wide_decimal")]
    pub before: u128,
    /// Its value from then on.
    #[serde(with = "crate::types::wide_decimal")]
    pub after: u128,
}

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
    /// Blocks of an epoch: the validator set changes after heights divisible by this only.
    pub epoch_blocks: u32,
    /// How long the council may vote on a proposal, in seconds of block time.
    pub proposal_ttl_s: u32,
    /// Whole blocks between the vote that passes a change of the rules and the first block under it.
    pub delay_blocks: u32,
    /// How long finished proposals stay in the state, in seconds of block time.
    pub retention_s: u32,
    /// Up to how many blocks after an equivocation it may be proven.
    pub evidence_window_blocks: u32,
    /// Turns missed more than taken after which a validator is jailed as absent.
    pub absence_jail_turns: u32,
    /// With stake: most validators that shall be in the set.
    pub max_active_validators: u32,
    /// With stake: least own stake of a validator, in base units of the stake asset.
    pub min_validator_stake: Amount,
    /// With stake: a weight of one is 10 to this power of base units of the stake asset.
    pub weight_exponent: u8,
    /// In mode `hybrid`: greatest share of the weight one validator shall have, in basis points.
    pub weight_cap_bps: u16,
    /// Least time stake stays unbonding once its weight has left the set, in seconds of block time.
    pub unbonding_s: u32,
    /// With stake: created with each block for who validates, in native base units.
    pub issuance_per_block: Amount,
    /// Share of the stake behind a validator that is lost when it contradicted itself, in basis points.
    pub slash_equivocation_bps: u16,
    /// Share of what is lost that goes to who proved it, in basis points, up to half of what the validator's
    /// own stake lost; the rest is burned.
    pub slash_reporter_bps: u16,
    /// Those of the market.
    pub market: MarketParams,
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
            epoch_blocks: 100,
            proposal_ttl_s: 604_800,
            delay_blocks: 10,
            retention_s: 604_800,
            evidence_window_blocks: 302_400,
            absence_jail_turns: 1_000,
            max_active_validators: 100,
            min_validator_stake: Amount::new(10u128.pow(21)),
            weight_exponent: 18,
            weight_cap_bps: 3_300,
            unbonding_s: 604_800,
            issuance_per_block: Amount::ZERO,
            slash_equivocation_bps: 500,
            slash_reporter_bps: 500,
            market: MarketParams::default(),
        }
    }
}

/// The least `delay_blocks` a vote can set; a genesis may set 1, for devnets.
const MIN_VOTED_DELAY_BLOCKS: u32 = 10;
/// The least `proposal_ttl_s` a vote can set; a genesis may set less, for devnets.
const MIN_VOTED_TTL_S: u32 = 3_600;
/// A vote raises a fee at most to so many times what it was, or what the default is; the least stake of a
/// validator to so many times what it was.
const MAX_VOTED_FACTOR: u128 = 10;
/// The least stake of a validator weighs so much: the set moves by whole units, and with fewer of them the
/// smallest get more of it by rounding than they bonded for.
const MIN_STAKE_WEIGHT: u128 = 10;
/// The least `max_active_validators` a vote can set: fewer bear no traitor. A genesis may set less.
const MIN_VOTED_VALIDATORS: u128 = 4;
/// The longest step of the market's clock a vote can set, in ms; a genesis may set more, for tests.
const MAX_VOTED_STEP_MS: u128 = 60_000;
/// The least `provider_unbonding_s` a vote can set, and the least time a side of a dispute has; a genesis may set
/// less, for devnets.
const MIN_VOTED_DAY_S: u128 = 86_400;
/// Steps of the market's clock that fit into the window of a claim and into a silence: one step, after the
/// chain stood still, ends neither.
const STEPS_PER_WINDOW: u128 = 2;
/// Blocks that must have room in the time to vote.
const MIN_TTL_BLOCKS: u128 = 10;

/// A parameter with its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: u128,
    /// The least allowed value.
    pub min: u128,
    /// The greatest allowed value.
    pub max: u128,
}

impl Param {
    /// Whether a value is within the bounds.
    pub fn holds(&self, value: u128) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// Which parameter is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is {}; it must be between {} and {}", .0.name, .0.value, .0.min, .0.max)]
pub struct ParamError(pub Param);

/// Why a parameter can't be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamChangeError {
    /// No parameter has this name.
    #[error("no parameter is called {0}")]
    Unknown(String),
    /// A parameter would be out of bounds.
    #[error(transparent)]
    Bounds(#[from] ParamError),
}

impl Params {
    /// Every parameter with its value and its bounds, some of which depend on other parameters: there is time
    /// to vote, a traitor leaves the set before its treason is too old to be proven, and the least stake of a
    /// validator is some units of weight.
    pub fn bounds(&self) -> Vec<Param> {
        let block_time = u128::from(self.block_time_ms);
        let epoch = u128::from(self.epoch_blocks);
        let least_stake = 10u128.saturating_pow(self.weight_exponent.into()).saturating_mul(MIN_STAKE_WEIGHT);
        let vote_s = u128::from(self.empty_block_interval_ms).saturating_mul(MIN_TTL_BLOCKS).div_ceil(1_000);
        let own = [
            ("block_time_ms", block_time, MIN_BLOCK_TIME_MS.into(), MAX_BLOCK_TIME_MS.into()),
            ("empty_block_interval_ms", self.empty_block_interval_ms.into(), block_time, MAX_BLOCK_TIME_MS.into()),
            ("max_block_bytes", self.max_block_bytes.into(), MAX_TX_BYTES as u128, MAX_BLOCK_BYTES as u128),
            ("max_block_weight", self.max_block_weight.into(), 1_000_000, 10u128.pow(12)),
            ("max_block_txs", self.max_block_txs.into(), 1, MAX_BLOCK_TXS as u128),
            ("min_fee_per_1000_weight", self.min_fee_per_1000_weight.get(), 0, 10u128.pow(12)),
            ("burn_bps", self.burn_bps.into(), 0, 10_000),
            ("account_fee", self.account_fee.get(), 0, 10u128.pow(18)),
            ("asset_fee", self.asset_fee.get(), 0, 10u128.pow(24)),
            ("epoch_blocks", self.epoch_blocks.into(), 1, 10_000),
            ("proposal_ttl_s", self.proposal_ttl_s.into(), vote_s, 31_536_000),
            ("delay_blocks", self.delay_blocks.into(), 1, 100_000),
            ("retention_s", self.retention_s.into(), 1, 31_536_000),
            ("evidence_window_blocks", self.evidence_window_blocks.into(), epoch.max(10), 100_000_000),
            ("absence_jail_turns", self.absence_jail_turns.into(), 10, 10_000_000),
            // So that half of the records have room for those who are not in the set, by stake.
            ("max_active_validators", self.max_active_validators.into(), 1, MAX_VALIDATORS as u128 / 2),
            ("min_validator_stake", self.min_validator_stake.get(), least_stake.min(MAX_AMOUNT), MAX_AMOUNT),
            ("weight_exponent", self.weight_exponent.into(), 0, 29),
            ("weight_cap_bps", self.weight_cap_bps.into(), 1, BPS),
            ("unbonding_s", self.unbonding_s.into(), 1, 31_536_000),
            ("issuance_per_block", self.issuance_per_block.get(), 0, 10u128.pow(24)),
            ("slash_equivocation_bps", self.slash_equivocation_bps.into(), 0, BPS),
            // Besides, a reporter gets at most half of what the validator itself lost (`stakes::slash`, rule 3).
            ("slash_reporter_bps", self.slash_reporter_bps.into(), 0, BPS / 2),
        ]
        .map(|(name, value, min, max)| Param { name, value, min, max });
        own.into_iter().chain(self.market_bounds()).collect()
    }

    /// Those of the market: a bond is above the floor, and the smallest bucket holds a least claim.
    fn market_bounds(&self) -> impl Iterator<Item = Param> {
        let floor = self.market.bond_floor.get();
        let bucket = u128::from(self.market.burst_s).saturating_mul(MIN_RATE.into());
        self.market.bounds().into_iter().map(move |param| match param.name {
            "market.min_bond" => Param { min: param.min.max(floor), ..param },
            "market.min_claim" => Param { max: param.max.min(bucket), ..param },
            _ => param,
        })
    }

    /// The longest step of the market's clock from one block to the next, in ms.
    pub fn longest_step_ms(&self) -> u64 {
        let empty = u64::from(self.empty_block_interval_ms).saturating_mul(2);
        u64::from(self.market.max_step_ms).max(empty)
    }

    /// Times of the market that must hold a few steps of its clock, with the least they must be.
    fn windows(&self) -> [Param; 3] {
        let least = u128::from(self.longest_step_ms()).saturating_mul(STEPS_PER_WINDOW).div_ceil(1_000);
        let window = |name, value: u32| Param { name, value: value.into(), min: least, max: u128::MAX };
        [
            window("market.window_s", self.market.window_s),
            window("market.close_window_s", self.market.close_window_s),
            window("the shortest silence", MIN_SILENCE_S),
        ]
    }

    /// Whether every parameter is within its bounds.
    pub fn check(&self) -> Result<(), ParamError> {
        self.bounds().into_iter().find(|param| !param.holds(param.value)).map_or(Ok(()), |param| Err(ParamError(param)))
    }

    /// These parameters with one of them changed.
    ///
    /// # Errors
    /// `Unknown` name; `Bounds` of this parameter or of another that depends on it.
    pub fn with(&self, name: &str, value: u128) -> Result<Self, ParamChangeError> {
        let bounds = self.bounds().into_iter().find(|param| param.name == name);
        let bounds = bounds.ok_or_else(|| ParamChangeError::Unknown(name.into()))?;
        let mut changed = self.clone();
        // A value within the bounds fits the field.
        if !bounds.holds(value) || changed.assign(name, value).is_none() {
            return Err(ParamError(Param { value, ..bounds }).into());
        }
        changed.check()?;
        Ok(changed)
    }

    fn assign(&mut self, name: &str, value: u128) -> Option<()> {
        match name {
            "block_time_ms" => self.block_time_ms = value.try_into().ok()?,
            "empty_block_interval_ms" => self.empty_block_interval_ms = value.try_into().ok()?,
            "max_block_bytes" => self.max_block_bytes = value.try_into().ok()?,
            "max_block_weight" => self.max_block_weight = value.try_into().ok()?,
            "max_block_txs" => self.max_block_txs = value.try_into().ok()?,
            "min_fee_per_1000_weight" => self.min_fee_per_1000_weight = Amount::new(value),
            "burn_bps" => self.burn_bps = value.try_into().ok()?,
            "account_fee" => self.account_fee = Amount::new(value),
            "asset_fee" => self.asset_fee = Amount::new(value),
            "epoch_blocks" => self.epoch_blocks = value.try_into().ok()?,
            "proposal_ttl_s" => self.proposal_ttl_s = value.try_into().ok()?,
            "delay_blocks" => self.delay_blocks = value.try_into().ok()?,
            "retention_s" => self.retention_s = value.try_into().ok()?,
            "evidence_window_blocks" => self.evidence_window_blocks = value.try_into().ok()?,
            "absence_jail_turns" => self.absence_jail_turns = value.try_into().ok()?,
            "max_active_validators" => self.max_active_validators = value.try_into().ok()?,
            "min_validator_stake" => self.min_validator_stake = Amount::new(value),
            "weight_exponent" => self.weight_exponent = value.try_into().ok()?,
            "weight_cap_bps" => self.weight_cap_bps = value.try_into().ok()?,
            "unbonding_s" => self.unbonding_s = value.try_into().ok()?,
            "issuance_per_block" => self.issuance_per_block = Amount::new(value),
            "slash_equivocation_bps" => self.slash_equivocation_bps = value.try_into().ok()?,
            "slash_reporter_bps" => self.slash_reporter_bps = value.try_into().ok()?,
            _ => self.market.assign(name, value)?,
        }
        Some(())
    }

    /// The least fee of a transaction of this weight: ⌈weight · rate / 1000⌉.
    pub fn min_fee(&self, weight: u64) -> Amount {
        Amount::new(u128::from(weight).saturating_mul(self.min_fee_per_1000_weight.get()).div_ceil(1000))
    }
}

/// Whether a vote may change the parameters so: it can undo every change later, in time and at a price that
/// can be paid.
///
/// # Errors
/// The parameter that goes too far, with what a vote can make it now.
pub fn check_voted(now: &Params, changed: &Params) -> Result<(), ParamError> {
    let default = Params::default();
    for ((before, param), usual) in now.bounds().into_iter().zip(changed.bounds()).zip(default.bounds()) {
        let (min, max) = match param.name {
            "delay_blocks" => (before.value.min(MIN_VOTED_DELAY_BLOCKS.into()), param.max),
            "proposal_ttl_s" => (before.value.min(MIN_VOTED_TTL_S.into()), param.max),
            "min_fee_per_1000_weight" | "account_fee" | "asset_fee" => {
                (param.min, before.value.max(usual.value).saturating_mul(MAX_VOTED_FACTOR).min(param.max))
            }
            "market.max_step_ms" => (param.min, before.value.max(MAX_VOTED_STEP_MS)),
            "market.provider_unbonding_s" | "market.dispute_respond_s" | "market.dispute_verdict_s" => {
                (before.value.min(MIN_VOTED_DAY_S), param.max)
            }
            "max_active_validators" => (before.value.min(MIN_VOTED_VALIDATORS), param.max),
            "min_validator_stake" => (param.min, before.value.saturating_mul(MAX_VOTED_FACTOR).min(param.max)),
            // All weights times ten, or a tenth of them, are as much as the set can follow in a few epochs.
            "weight_exponent" => (before.value.saturating_sub(1), before.value.saturating_add(1).min(param.max)),
            _ => (param.min, param.max),
        };
        let voted = Param { min, max, ..param };
        if !voted.holds(voted.value) {
            return Err(ParamError(voted));
        }
    }
    // A genesis may choose otherwise, for tests and devnets; no vote leaves what holds.
    let mut windows = now.windows().into_iter().zip(changed.windows());
    let broken = windows.find(|(before, after)| before.holds(before.value) && !after.holds(after.value));
    broken.map_or(Ok(()), |(_, after)| Err(ParamError(after)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_can_be_set_to_its_bounds_and_not_beyond() {
        let params = Params::default();
        assert_eq!(params.check(), Ok(()));
        let fields = serde_json::to_value(&params).unwrap();
        let (all, market) = (fields.as_object().unwrap(), fields["market"].as_object().unwrap());
        assert_eq!(all.len() - 1 + market.len(), params.bounds().len(), "every field is listed");
        for Param { name, min, max, .. } in params.bounds() {
            assert!(fields.pointer(&format!("/{}", name.replace('.', "/"))).is_some(), "{name}");
            // Alone: a longer block time also needs a longer empty interval.
            for value in [min, max] {
                let mut alone = params.clone();
                assert_eq!(alone.assign(name, value), Some(()), "{name} holds {value}");
                let read = alone.bounds().into_iter().find(|param| param.name == name).unwrap();
                assert_eq!(read.value, value);
            }
            assert!(matches!(params.with(name, max + 1), Err(ParamChangeError::Bounds(_))), "{name}");
            if min > 0 {
                assert!(matches!(params.with(name, min - 1), Err(ParamChangeError::Bounds(_))), "{name}");
            }
        }
        assert_eq!(params.with("surprise", 1), Err(ParamChangeError::Unknown("surprise".into())));
    }

    #[test]
    fn bounds_that_depend_on_another_parameter_hold_both_ways() {
        let params = Params::default();
        let crossed = |error: ParamChangeError| match error {
            ParamChangeError::Bounds(ParamError(param)) => param.name,
            ParamChangeError::Unknown(_) => "",
        };
        assert_eq!(crossed(params.with("block_time_ms", 2_001).unwrap_err()), "empty_block_interval_ms");
        assert_eq!(crossed(params.with("empty_block_interval_ms", 1_999).unwrap_err()), "empty_block_interval_ms");
        let longer = params.with("empty_block_interval_ms", 3_000).unwrap();
        assert_eq!(longer.with("block_time_ms", 3_000).unwrap().block_time_ms, 3_000);
    }

    #[test]
    fn no_vote_lets_one_step_of_the_clock_end_a_window_or_a_bond_leave_at_once() {
        let default = Params::default();
        let voted = |now: &Params, name, value| check_voted(now, &now.with(name, value).unwrap()).is_ok();
        for (name, good, bad) in [
            ("market.window_s", vec![20, 30], vec![10, 19]),
            ("market.max_step_ms", vec![100, 15_000], vec![15_001, 60_000]),
            ("empty_block_interval_ms", vec![2_000, 7_500], vec![7_501, 600_000]),
            ("market.provider_unbonding_s", vec![86_400, 604_800], vec![0, 86_399]),
        ] {
            assert!(good.into_iter().all(|value| voted(&default, name, value)), "{name}");
            assert!(!bad.into_iter().any(|value| voted(&default, name, value)), "{name}");
        }
        // With longer windows the shortest silence bounds the step.
        let wide = default.with("market.window_s", 3_600).unwrap();
        assert!(voted(&wide, "market.max_step_ms", 30_000) && !voted(&wide, "market.max_step_ms", 30_001));
        // What a genesis chose otherwise can be kept, and mended.
        let mut founded = default.clone();
        (founded.market.max_step_ms, founded.market.provider_unbonding_s) = (u32::MAX, 60);
        assert!(voted(&founded, "market.window_s", 10) && voted(&founded, "market.max_step_ms", 10_000));
        assert!(
            voted(&founded, "market.provider_unbonding_s", 60) && !voted(&founded, "market.provider_unbonding_s", 59)
        );
    }

    #[test]
    fn a_least_claim_fits_into_the_smallest_bucket() {
        let params = Params::default();
        assert!(params.with("market.min_claim", 30_000).is_ok() && params.with("market.min_claim", 30_001).is_err());
        let least = params.with("market.min_claim", 30_000).unwrap();
        assert!(least.with("market.burst_s", 299).is_err() && least.with("market.burst_s", 300).is_ok());
    }

    #[test]
    fn votes_move_what_stake_counts_for_step_by_step() {
        let now = Params { min_validator_stake: Amount::new(500_000), weight_exponent: 3, ..Params::default() };
        let voted = |now: &Params, name, value| now.with(name, value).is_ok_and(|new| check_voted(now, &new).is_ok());
        for (name, good, bad) in [
            ("min_validator_stake", vec![10_000, 500_000, 5_000_000], vec![9_999, 5_000_001, MAX_AMOUNT]),
            ("weight_exponent", vec![2, 3, 4], vec![0, 1, 5, 29]),
            ("max_active_validators", vec![4, 100, 128], vec![1, 3, 129]),
        ] {
            assert!(good.into_iter().all(|value| voted(&now, name, value)), "{name}");
            assert!(!bad.into_iter().any(|value| voted(&now, name, value)), "{name}");
        }
        let few = Params { max_active_validators: 2, weight_exponent: 0, ..now };
        assert!(voted(&few, "max_active_validators", 2) && !voted(&few, "max_active_validators", 1));
        assert!(voted(&few, "weight_exponent", 1) && voted(&few, "weight_exponent", 0));
    }
}
