//! The node itself, and notifications.

use super::text::any_hex;
use super::{Decimal, HeadView, StatusName, U64};
use chain_core::crypto::PublicKey;
use chain_core::mempool::DropReason;
use chain_core::types::{Address, Height, JobId, ModelId, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the node can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthView {
    /// `ok`, `syncing` or `disagreeing`.
    pub status: String,
    /// Whether nothing newer is known to be missing.
    pub caught_up: bool,
    /// Whether no certificate contradicts what this node holds.
    pub agreeing: bool,
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Milliseconds since the newest block's timestamp.
    pub head_age_ms: U64,
    /// Connected peers.
    pub peers: u32,
    /// Whether its key is in the set that signs the next block.
    pub validator: bool,
}

/// How far the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncView {
    /// Whether newer blocks are missing here.
    pub syncing: bool,
    /// The newest final block here.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The newest final block known of.
    #[schemars(with = "Decimal")]
    pub target: Height,
    /// How many are missing.
    pub behind: U64,
    /// Whether no certificate contradicts what this node holds.
    pub agreeing: bool,
    /// Whether its key is in the set that signs the next block.
    pub validator: bool,
    /// Whether this is a validator that may not sign the next height, because it may have signed
    /// before what it does not know of now.
    pub held_back: bool,
    /// The first height it signs; `null` if it is not held back, or until enough newer blocks are final.
    #[schemars(with = "Option<Decimal>")]
    pub signs_from: Option<Height>,
}

/// The connected peers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeersView {
    /// How many.
    pub count: u32,
    /// Each.
    pub peers: Vec<PeerView>,
}

/// A connected peer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeerView {
    /// Its name in the network.
    pub peer_id: String,
    /// Its program and version as it says.
    pub agent: String,
    /// Its newest final block as it says.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Whether this node called it.
    pub outbound: bool,
    /// The validator it proved to be.
    #[schemars(with = "Option<super::Hex32>")]
    pub validator: Option<PublicKey>,
    /// The newest round trip in ms, once known.
    pub rtt_ms: Option<U64>,
    /// Points for offences; it is shut out at 100.
    pub score: u32,
}

/// What the node is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Version of the program.
    pub version: String,
    /// `validator`, `follower`, `archive` or `pruned`.
    pub role: String,
    /// The chain's name.
    pub chain_name: String,
    /// The chain.
    #[schemars(with = "super::Hex32")]
    pub chain_id: chain_core::types::ChainId,
    /// The validator's key it holds; `role` says whether it is in the set now.
    #[schemars(with = "Option<super::Hex32>")]
    pub validator: Option<PublicKey>,
    /// Its name in the network.
    pub peer_id: Option<String>,
    /// The newest final block.
    pub head: HeadView,
    /// The oldest height whose body is kept.
    #[schemars(with = "Decimal")]
    pub oldest_body: Height,
    /// Unix time of the start in ms.
    pub started: U64,
}

/// Where a subscription to blocks starts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlocksParams {
    /// The first block to tell. Default: the one after the head.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub from_height: Option<Height>,
    /// How much of the transactions. Default: nothing.
    #[serde(default)]
    pub include: Option<super::Include>,
}

/// Which events to tell, and from where on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsParams {
    /// The first block to tell of. Default: the one after the head.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub from_height: Option<Height>,
    /// Only events of this type, or of these, separated by commas. Default: all.
    #[serde(default)]
    pub types: Option<String>,
    /// Only events of this family, or of these, separated by commas. Default: all.
    #[serde(default)]
    pub family: Option<String>,
    /// Only events about this account: those that stand in its history.
    #[serde(default)]
    #[schemars(with = "Option<super::AddressText>")]
    pub account: Option<Address>,
    /// Only events about this job.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub job: Option<JobId>,
    /// Only events that name this account as provider.
    #[serde(default)]
    #[schemars(with = "Option<super::AddressText>")]
    pub provider: Option<Address>,
    /// Only events that name this model.
    #[serde(default, deserialize_with = "super::text::optional_hex")]
    #[schemars(with = "Option<super::Hex32>")]
    pub model: Option<ModelId>,
}

/// Which transaction to follow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchParams {
    /// Its name.
    #[serde(deserialize_with = "any_hex")]
    #[schemars(with = "super::Hex32")]
    pub tx_id: TxId,
}

/// A step of a transaction's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Its name.
    #[schemars(with = "super::Hex32")]
    pub tx_id: TxId,
    /// What became of it.
    pub status: StatusName,
    /// The final block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub height: Option<Height>,
    /// Its place in the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Why it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub drop_reason: Option<DropReason>,
}

/// What a subscription tells: an item, or that it ends because the client is too slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Notice<T> {
    /// The last thing told.
    Lagged {
        /// How much is missing and where to resume.
        lagged: Lagged,
    },
    /// An item.
    Item(T),
}

/// How much a subscriber missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lagged {
    /// How many items were not told.
    pub missed: U64,
    /// `from_height` for the next subscription; absent where items can't be told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub resume_from: Option<Height>,
}

/// What somebody typed: a height, a hash or an address.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchParams {
    /// A height, a block hash, a transaction's name or an address.
    #[serde(deserialize_with = "text_or_number")]
    pub q: String,
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("a text or a number")),
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SearchView {
    /// A final block.
    Block {
        /// It.
        block: HeadView,
    },
    /// A transaction.
    Transaction {
        /// It.
        transaction: Box<super::GetTxView>,
    },
    /// An account, used or not.
    Account {
        /// It.
        account: super::AccountView,
    },
}
