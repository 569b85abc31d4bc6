//! Accounts.

use super::{AddressText, Decimal, Number32, Object, OwnItemView, TxView, U64};
use chain_core::state::Authority;
use chain_core::types::{Address, Amount, AssetId, Height, TimestampMs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which balance.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BalanceParams {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// Of which asset. Default: the native one.
    #[serde(default)]
    #[schemars(with = "Number32")]
    pub asset: AssetId,
}

/// A balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// Of which asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// Base units.
    #[schemars(with = "Decimal")]
    pub balance: Amount,
    /// The asset's symbol.
    pub symbol: String,
    /// The amount as people write it, exactly.
    pub formatted: String,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
}

/// Which account.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountParams {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The nonce of the next transaction: how many were executed.
    pub nonce: U64,
    /// The same after the pooled ones.
    pub next_nonce: U64,
    /// Base units of the native asset.
    #[schemars(with = "Decimal")]
    pub balance: Amount,
    /// Balances of other assets.
    pub balances: Vec<AssetBalance>,
    /// Who may sign.
    #[schemars(with = "Object")]
    pub authority: Authority,
    /// Whether transfers to it must carry a memo.
    pub memo_required: bool,
    /// Whether the protocol itself owns it.
    pub module: bool,
}

/// A balance of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetBalance {
    /// The asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// Base units.
    #[schemars(with = "Decimal")]
    pub balance: Amount,
}

/// Which page of an account's history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000; a page may be shorter. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Something a block did by itself that concerns an account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwnEntryView {
    /// The block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Its time in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// What it did.
    pub item: OwnItemView,
}

/// A page of an account's history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HistoryView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// Newest first.
    pub transactions: Vec<TxView>,
    /// What blocks did by themselves in the same stretch, newest first.
    #[serde(default)]
    pub own: Vec<OwnEntryView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
