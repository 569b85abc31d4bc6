//! Stake: what stands behind validators, what accounts delegated, what they earned and what unbonds.
//! Stake is in base units of the stake asset, rewards in native ones.

use super::{AddressText, Decimal, Hex32, Number32, Object, U64};
use chain_core::crypto::PublicKey;
use chain_core::state::JailCause;
use chain_core::state::stakes::Slash;
use chain_core::types::{Address, Amount, AssetId, ConsensusMode, Equivocation, Height, TimestampMs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose stake.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StakeParams {
    /// The validator's key.
    #[serde(deserialize_with = "super::text::any_hex")]
    #[schemars(with = "Hex32")]
    pub validator: PublicKey,
}

/// By which rules stake counts, at the newest final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StakingView {
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Who may validate: `poa`, where nobody has stake, `pos` or `hybrid`.
    #[schemars(with = "String")]
    pub mode: ConsensusMode,
    /// The asset that stakes are made of; absent in mode `poa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Number32>")]
    pub asset: Option<AssetId>,
}

/// What stands behind a validator.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StakeView {
    /// By which rules.
    #[serde(flatten)]
    pub staking: StakingView,
    /// Which validator.
    #[schemars(with = "Hex32")]
    pub validator: PublicKey,
    /// The account that bonds for it: the plain account of its key.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// Why it is jailed, also while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub jail_cause: Option<JailCause>,
    /// The equivocation it was convicted of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Object>")]
    pub equivocation: Option<Equivocation>,
    /// Null: nobody ever bonded for this key; so always in mode `poa`.
    pub stake: Option<ValidatorStake>,
}

/// The stake behind a validator, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StakeSummary {
    /// All that is bonded with it.
    #[schemars(with = "Decimal")]
    pub bonded: Amount,
    /// What of it the validator has bonded itself.
    #[schemars(with = "Decimal")]
    pub own: Amount,
    /// What of it others delegated.
    #[schemars(with = "Decimal")]
    pub delegated: Amount,
    /// How many delegations there are, its own included.
    pub delegations: U64,
    /// Its part of the rewards of the next block, in 1/10,000.
    pub commission_bps: u16,
    /// The commission that is announced and does not hold yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<AnnouncedCommission>,
}

/// A commission to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnnouncedCommission {
    /// How much, in 1/10,000.
    pub commission_bps: u16,
    /// The first block it holds for.
    #[schemars(with = "Decimal")]
    pub from: Height,
}

/// The stake behind a validator.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorStake {
    /// In short.
    #[serde(flatten)]
    pub summary: StakeSummary,
    /// The shares that `bonded` belongs to: as many as base units until the validator is convicted.
    #[schemars(with = "Decimal")]
    pub shares: Amount,
    /// The weight the set shall give it: 0 while it is not admitted, not ready or jailed.
    pub weight_target: U64,
    /// Its weight in the set that signs the next block.
    pub weight: U64,
    /// All that it and its delegators earned and did not withdraw.
    #[schemars(with = "Decimal")]
    pub pending_rewards: Amount,
    /// What of it is its commission.
    #[schemars(with = "Decimal")]
    pub pending_commission: Amount,
    /// The batch that unbonds together now.
    pub open_batch: u32,
    /// How much is in it; it begins to wait once the set gives the validator no more weight than it shall have.
    #[schemars(with = "Decimal")]
    pub unbonding: Amount,
    /// The block that closed the batch before; 0: none.
    #[schemars(with = "Decimal")]
    pub closed: Height,
    /// What its conviction cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Object>")]
    pub slash: Option<SlashView>,
}

/// What a conviction cost, in base units of the stake asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlashView {
    /// The height of the offence.
    #[schemars(with = "Decimal")]
    pub offence: Height,
    /// Lost of what was bonded.
    #[schemars(with = "Decimal")]
    pub bonded: Amount,
    /// Lost of what was unbonding.
    #[schemars(with = "Decimal")]
    pub unbonding: Amount,
    /// Of both, what the reporter got.
    #[schemars(with = "Decimal")]
    pub reporter: Amount,
    /// Of both, what was burned.
    #[schemars(with = "Decimal")]
    pub burned: Amount,
}

impl From<Slash> for SlashView {
    fn from(slash: Slash) -> Self {
        let Slash { offence, bonded, unbonding, reporter, burned } = slash;
        Self { offence, bonded, unbonding, reporter, burned }
    }
}

/// Whose delegations.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationsParams {
    /// Which account.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// With at most this many validators, up to 1000. Default: 100.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What an account has bonded, earned and is unbonding.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DelegationsView {
    /// By which rules.
    #[serde(flatten)]
    pub staking: StakingView,
    /// Whose.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// One entry per validator, in the order in which these bonded first; none in mode `poa`.
    pub validators: Vec<DelegationView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What an account has with one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelegationView {
    /// Which.
    #[schemars(with = "Hex32")]
    pub validator: PublicKey,
    /// Its shares of what is bonded with it; 0: only something unbonds still.
    #[schemars(with = "Decimal")]
    pub shares: Amount,
    /// What they are worth.
    #[schemars(with = "Decimal")]
    pub worth: Amount,
    /// What they earned and the account can withdraw.
    #[schemars(with = "Decimal")]
    pub reward: Amount,
    /// The commission it can withdraw, if this is its own validator.
    #[schemars(with = "Decimal")]
    pub commission: Amount,
    /// What unbonds, oldest first.
    pub unbonding: Vec<UnbondingView>,
}

/// Something that unbonds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnbondingView {
    /// The validator's batch it is part of.
    pub batch: u32,
    /// Its shares of the batch.
    #[schemars(with = "Decimal")]
    pub shares: Amount,
    /// What they are worth.
    #[schemars(with = "Decimal")]
    pub worth: Amount,
    /// The first block it can be withdrawn in; absent while its weight has not left the set …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub free_from: Option<Height>,
    /// … if the block's time, in unix ms, is not before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub free_at: Option<TimestampMs>,
    /// Whether the next block can pay it, even if it has the newest one's time.
    pub is_free: bool,
}
