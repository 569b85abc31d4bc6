//! Blocks and what belongs to the whole chain.

use super::{BlockRef, Decimal, Hex32, HexText, Number32, Object, TxView, U64, rfc3339};
use chain_core::block::Header;
use chain_core::crypto::{Hash, PublicKey};
use chain_core::ledger::CommittedBlock;
use chain_core::limits::MAX_RANGE_BLOCKS;
use chain_core::types::{Amount, AssetId, BlockId, Certificate, ChainId, Height, TimestampMs, TxId, View, WireId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest final block in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadView {
    /// The block's number; genesis is 0.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The hash of its header.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The hash of its parent; zero for genesis.
    #[schemars(with = "Hex32")]
    pub parent: BlockId,
    /// When it was built, in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// The same in RFC 3339.
    pub time: String,
    /// The key of who built it; zero for genesis.
    #[schemars(with = "Hex32")]
    pub proposer: PublicKey,
    /// The view it was built in.
    #[schemars(with = "Number32")]
    pub view: View,
    /// Transactions in it.
    pub tx_count: u32,
    /// Root of the state after it.
    #[schemars(with = "Hex32")]
    pub state_root: Hash,
    /// Always true: nothing else is answered.
    pub finalized: bool,
    /// Milliseconds from the timestamp to the commit on this node; 0: unknown.
    pub finality_ms: U64,
    /// The chain.
    #[schemars(with = "Hex32")]
    pub chain_id: ChainId,
}

impl HeadView {
    /// The short form of a block.
    pub fn of(block: &CommittedBlock) -> Self {
        let header = &block.header;
        Self {
            height: header.height,
            hash: block.id,
            parent: header.parent,
            timestamp: header.timestamp_ms,
            time: rfc3339(header.timestamp_ms),
            proposer: header.proposer,
            view: header.view,
            tx_count: block.body.transactions().len() as u32,
            state_root: header.state_root,
            finalized: true,
            finality_ms: U64(block.finality_ms),
            chain_id: header.chain_id,
        }
    }
}

/// Which block, and how much of its transactions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockParams {
    /// Height, hash or `latest`; may be called `height` or `hash` as well.
    #[serde(default, alias = "height", alias = "hash")]
    pub block: BlockRef,
    /// How much of its transactions.
    #[serde(default)]
    pub include: Include,
}

/// How much of a block's transactions, and of what it did by itself, is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    /// Nothing.
    None,
    /// Their ids, and what the block did by itself.
    #[default]
    Ids,
    /// The transactions with outcomes and events, and what the block did by itself.
    Full,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockView {
    /// The block in short.
    #[serde(flatten)]
    pub head: HeadView,
    /// Version of the block's form.
    pub version: u8,
    /// Root of the transactions.
    #[schemars(with = "Hex32")]
    pub tx_root: Hash,
    /// Root of the outcomes.
    #[schemars(with = "Hex32")]
    pub outcome_root: Hash,
    /// Hash of the validator set that signs this height.
    #[schemars(with = "Hex32")]
    pub validators_hash: Hash,
    /// Hash of the validator set that signs the next height.
    #[schemars(with = "Hex32")]
    pub next_validators_hash: Hash,
    /// Bytes of the body.
    pub size: U64,
    /// Names of the transactions in order, unless left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Hex32>>")]
    pub tx_ids: Option<Vec<TxId>>,
    /// The transactions in order, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<TxView>>,
    /// What the block did by itself at its end, in order, unless left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Vec<OwnItemView>>,
}

/// Something a block did by itself: no transaction, but its outcome stands behind theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnItemView {
    /// Names it, where an outcome has a transaction's wire id (docs/wire.md, section 8).
    #[schemars(with = "Hex32")]
    pub item_id: WireId,
    /// Its place among the block's outcomes: `index` of `get_proof`.
    pub index: u32,
    /// What happened.
    pub events: Vec<serde_json::Value>,
}

/// What happened in a block, as `subscribe_events` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsView {
    /// The block's number; to go on after it, `from_height` is one more.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The block.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// Its time in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// What was done, in order; without what has no event that was asked for.
    pub sources: Vec<EventSourceView>,
}

/// What one transaction did, or the block by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventSourceView {
    /// Its place among the block's outcomes.
    pub index: u32,
    /// The transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hex32>")]
    pub tx_id: Option<TxId>,
    /// Instead: the name of what the block did by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hex32>")]
    pub item_id: Option<WireId>,
    /// What happened.
    pub events: Vec<serde_json::Value>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderView {
    /// The hash of the header.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The header: what the hash is of.
    #[schemars(with = "Object")]
    pub header: Header,
    /// Its time in RFC 3339.
    pub time: String,
}

/// A block without options.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichBlock {
    /// Height, hash or `latest`.
    #[serde(default)]
    pub block: BlockRef,
}

/// A range of blocks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeParams {
    /// The first height.
    #[schemars(with = "Decimal")]
    pub from: Height,
    /// The last height, included; at most 99 above `from`. Default: as far as allowed.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub to: Option<Height>,
    /// How much of the transactions.
    #[serde(default)]
    pub include: Include,
}

/// Blocks, ascending.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BlocksView {
    /// The blocks.
    pub blocks: Vec<BlockView>,
    /// The height to continue at; absent at the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub next: Option<Height>,
}

/// Final blocks for a node that follows from afar.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalBlocksParams {
    /// The first height, at least 1: block 0 follows from the genesis.
    #[schemars(with = "Decimal")]
    pub from: Height,
    /// How many at most, up to 128.
    #[serde(default = "max_range")]
    pub count: u32,
}

fn max_range() -> u32 {
    MAX_RANGE_BLOCKS as u32
}

/// Consecutive final blocks with all that is needed to verify them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FinalBlocksView {
    /// The first height asked for.
    #[schemars(with = "Decimal")]
    pub from: Height,
    /// The newest final height here.
    #[schemars(with = "Decimal")]
    pub head: Height,
    /// The lowest height whose block is kept here.
    #[schemars(with = "Decimal")]
    pub oldest: Height,
    /// How many blocks follow: none below `oldest` or above `head`, at least one between, and as many
    /// as fit into 2 MiB.
    pub count: u32,
    /// Their canonical bytes: u32 count, then for each the header, the body, 1 and the certificate.
    pub blocks: super::Base64,
}

/// The proof that a block is final.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CertificateView {
    /// The block's number.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The block.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The certificate; null for block 0, which follows from the genesis.
    #[schemars(with = "Option<Object>")]
    pub certificate: Option<Certificate>,
    /// Its canonical bytes.
    #[schemars(with = "Option<HexText>")]
    pub bytes: Option<super::Bytes>,
}

/// What the chain began with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GenesisView {
    /// The hash of the canonical genesis.
    #[schemars(with = "Hex32")]
    pub chain_id: ChainId,
    /// The chain's name.
    pub name: String,
    /// The hash of block 0.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The chain spec.
    pub spec: serde_json::Value,
    /// Length of the canonical bytes, which `GET /rpc/genesis` gives for
    /// `Accept: application/octet-stream`.
    pub canonical_bytes: U64,
}

/// What exists of every asset.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SupplyView {
    /// At which final block, at least.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Every asset, ascending.
    pub assets: Vec<AssetSupply>,
}

/// What exists of an asset.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AssetSupply {
    /// The asset's number; 0 is the native one.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// How people write it.
    pub symbol: String,
    /// Base units in one token.
    #[schemars(with = "Decimal")]
    pub units_per_token: Amount,
    /// What exists: minted less burned.
    #[schemars(with = "Decimal")]
    pub supply: Amount,
    /// All that was ever created.
    #[schemars(with = "Decimal")]
    pub minted: Amount,
    /// All that was ever destroyed.
    #[schemars(with = "Decimal")]
    pub burned: Amount,
    /// The most that may exist.
    #[schemars(with = "Decimal")]
    pub max_supply: Amount,
    /// The sum over all accounts.
    #[schemars(with = "Decimal")]
    pub in_accounts: Amount,
    /// The sum of all that is bonded with validators.
    #[schemars(with = "Decimal")]
    pub in_stakes: Amount,
    /// The sum of all that is unbonding.
    #[schemars(with = "Decimal")]
    pub in_unbonding: Amount,
    /// The sum of all rewards that were not withdrawn.
    #[schemars(with = "Decimal")]
    pub in_rewards: Amount,
    /// The sum of all deposits that wait for jobs.
    #[schemars(with = "Decimal")]
    pub in_prepaid: Amount,
    /// The sum of the deposits of open jobs.
    #[schemars(with = "Decimal")]
    pub in_escrow: Amount,
    /// The sum of what is deposited for disputes.
    #[schemars(with = "Decimal")]
    pub in_dispute_bonds: Amount,
    /// The sum of what providers have bonded.
    #[schemars(with = "Decimal")]
    pub in_bonds: Amount,
    /// The sum of what was earned with jobs and not withdrawn.
    #[schemars(with = "Decimal")]
    pub in_earnings: Amount,
    /// The market's own.
    #[schemars(with = "Decimal")]
    pub in_treasury: Amount,
    /// The sum of what is locked in votes on models.
    #[schemars(with = "Decimal")]
    pub in_votes: Amount,
    /// The sum of the fees of open proposals of models.
    #[schemars(with = "Decimal")]
    pub in_proposal_fees: Amount,
    /// The sum of the fees of rejected ones.
    #[schemars(with = "Decimal")]
    pub in_rejected_pool: Amount,
    /// What slashed providers owe to payers.
    #[schemars(with = "Decimal")]
    pub in_compensations: Amount,
    /// Whether what is in these places adds up to the supply: nothing appeared or vanished.
    pub conserved: bool,
}

/// A state root.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateRootView {
    /// Of which block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The block.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The root after it.
    #[schemars(with = "Hex32")]
    pub state_root: Hash,
}

/// No parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Actions, rejections and errors for programs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchemaView {
    /// Every family of actions.
    pub families: Vec<FamilyView>,
    /// Every rejection of the chain.
    pub rejections: Vec<RejectionView>,
}

/// A family of actions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FamilyView {
    /// The first byte of its actions.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// Its actions.
    pub actions: Vec<ActionView>,
}

/// An action.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ActionView {
    /// Family number · 256 + number in the family.
    pub number: u16,
    /// `type` in its JSON form.
    pub name: String,
    /// JSON forms that are accepted.
    pub examples: Vec<serde_json::Value>,
    /// The first example's canonical bytes.
    #[schemars(with = "HexText")]
    pub example_bytes: super::Bytes,
    /// Its weight besides its bytes.
    pub weight: U64,
}

/// A rejection.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RejectionView {
    /// The frozen number.
    pub number: u16,
    /// The stable name.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// The JSON-RPC code.
    pub code: i32,
    /// The HTTP status.
    pub http: u16,
}
