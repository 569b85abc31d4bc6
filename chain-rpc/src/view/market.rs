//! The market as a whole, and money in it that belongs to an account: deposits, earnings, what delegates may
//! spend. Amounts are base units of their asset; market times are ms of the market's own clock.
//!
//! Not here: models, providers and offers (`market_provider`), jobs and receipts (`market_job`).

use super::text::optional_hex;
use super::{AddressText, Decimal, Hex32, Number32, Object};
use chain_core::state::market::MarketParams;
use chain_core::state::market::grant::{Allowance, Grant};
use chain_core::state::market::purse::Earnings;
use chain_core::types::{Address, Amount, AssetId, Height, MarketMs, ModelId, Price, TimestampMs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The market as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MarketView {
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock after it, in ms; it stands still in a pause and makes small steps only.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// The block's time, in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// Whether it is paused: nothing new is opened, what there is ends and is paid.
    pub paused: bool,
    /// When the pause ends by itself, in unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub paused_until: Option<TimestampMs>,
    /// From when on it can be paused again, in unix ms; 0: now.
    #[schemars(with = "Decimal")]
    pub pausable_from: TimestampMs,
    /// The asset that bonds and votes are made of.
    #[schemars(with = "Number32")]
    pub stake_asset: AssetId,
    /// Every asset the market has terms for, or has money of.
    pub assets: Vec<MarketAssetView>,
    /// The market's parameters in force; `get_params` says their bounds, under `market.` and their name.
    #[schemars(with = "Object")]
    pub params: MarketParams,
}

/// An asset in the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarketAssetView {
    /// Which.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// How people write it.
    pub symbol: String,
    /// Whether new money of it comes in.
    pub accepted: bool,
    /// Bounds of deposits and prices; absent: it was never accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<AssetTermsView>,
    /// The treasury: fees of jobs, and what slashed bonds lost.
    #[schemars(with = "Decimal")]
    pub treasury: Amount,
    /// Fees of rejected proposals of models.
    #[schemars(with = "Decimal")]
    pub rejected_pool: Amount,
}

/// Bounds for jobs in an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetTermsView {
    /// The least deposit of a job.
    #[schemars(with = "Decimal")]
    pub min_deposit: Amount,
    /// The greatest.
    #[schemars(with = "Decimal")]
    pub max_deposit: Amount,
    /// The least price, per 1000 units.
    #[schemars(with = "Decimal")]
    pub min_price: Price,
    /// The greatest.
    #[schemars(with = "Decimal")]
    pub max_price: Price,
}

/// A page of a list of the market: its head, and what it lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}View")]
pub struct PageView<T> {
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Up to this block nothing is missing: the newest one, but for a node that is catching up.
    #[schemars(with = "Decimal")]
    pub complete_to: Height,
    /// The market's clock.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// What it lists.
    #[serde(flatten)]
    pub list: T,
    /// Give it back as `cursor` for the next page; absent after the last. A page may be short, even empty, and
    /// have a next one: so many rows are read for one page and no more, those a filter needs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Whose money in the market.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurseParams {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub account: Address,
}

/// What an account has in the market for jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DepositsView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Every asset there is something of, ascending.
    pub assets: Vec<DepositView>,
}

/// What an account has of an asset in the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DepositView {
    /// Which asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// Deposited and not in a job: `market_withdraw` takes it back.
    #[schemars(with = "Decimal")]
    pub withdrawable: Amount,
    /// In escrow of its open jobs, however these are funded.
    #[schemars(with = "Decimal")]
    pub locked: Amount,
    /// The sum of both.
    #[schemars(with = "Decimal")]
    pub total: Amount,
}

/// What an account has earned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarningsView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Every asset it ever earned, ascending.
    pub assets: Vec<EarningView>,
}

/// What an account has earned of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarningView {
    /// Which asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// What `earnings_withdraw` can take.
    #[schemars(with = "Decimal")]
    pub withdrawable: Amount,
    /// All that was ever earned.
    #[schemars(with = "Decimal")]
    pub earned: Amount,
    /// All that was ever withdrawn.
    #[schemars(with = "Decimal")]
    pub withdrawn: Amount,
}

impl EarningView {
    /// Of an asset's row.
    pub fn of(asset: AssetId, row: &Earnings) -> Self {
        Self { asset, withdrawable: row.balance, earned: row.credited, withdrawn: row.withdrawn() }
    }
}

/// Whose delegates.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegatesParams {
    /// Whose money may be spent.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// Only what this one may spend of it.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub delegate: Option<Address>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many delegates, up to 1000; a page is at most 200 long. Default: 100.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Who may spend an account's money on jobs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DelegatesView {
    /// Whose money.
    #[schemars(with = "AddressText")]
    pub account: Address,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Its time in unix ms, which grants expire by.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// Who, by address.
    pub delegates: Vec<DelegateView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a delegate may spend, and has spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelegateView {
    /// Who.
    #[schemars(with = "AddressText")]
    pub delegate: Address,
    /// With which providers; empty: all.
    #[schemars(with = "Vec<AddressText>")]
    pub providers: Vec<Address>,
    /// For which models; empty: all.
    #[schemars(with = "Vec<Hex32>")]
    pub models: Vec<ModelId>,
    /// Which money.
    pub assets: Vec<AllowanceView>,
    /// The last block time at which it holds, in unix ms; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub expires_at: Option<TimestampMs>,
}

/// How much of an asset a delegate may spend, and has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowanceView {
    /// Which asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// The highest price per 1000 units; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub max_price: Option<Price>,
    /// The most for one job.
    #[schemars(with = "Decimal")]
    pub max_job: Amount,
    /// The most for all jobs together.
    #[schemars(with = "Decimal")]
    pub max_total: Amount,
    /// What was spent.
    #[schemars(with = "Decimal")]
    pub spent: Amount,
}

impl From<Grant> for DelegateView {
    fn from(grant: Grant) -> Self {
        let allowance = |of: &Allowance| {
            let Allowance { asset, max_price, max_job, max_total } = *of;
            AllowanceView { asset, max_price, max_job, max_total, spent: grant.spent(asset) }
        };
        let assets = grant.scope.assets.iter().map(allowance).collect();
        Self {
            delegate: grant.delegate,
            providers: grant.scope.providers.to_vec(),
            models: grant.scope.models.to_vec(),
            assets,
            expires_at: grant.scope.expires_at,
        }
    }
}

/// Which proposals of models.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelProposalsParams {
    /// Only of this model.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// Only those that were not finalized, or only those that were. Default: all.
    #[serde(default)]
    pub open: Option<bool>,
    /// Says besides what this account has locked in them.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub voter: Option<Address>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}
