//! Proofs a client can check without trusting the node: leaf → root → header → certificate.

use super::text::optional_hex;
use super::{AddressText, Hex32, HexText, Number32, Object};
use chain_core::block::{Header, Outcome};
use chain_core::crypto::merkle::ListProof;
use chain_core::state::{Proof, RowKey};
use chain_core::types::{Address, AssetId, BlockId, Certificate, Height, JobId, ModelId, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to prove: exactly one of `address`, `key`, `job`, `post`, `dispute`, `provider`, `model`, `tx_id`, and
/// `height` with `index`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofParams {
    /// The row of this account, or its balance of `asset`.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub address: Option<Address>,
    /// Of which asset. Default: the native one, which stands in the account's row.
    #[serde(default)]
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// The row of this key, in hex.
    #[serde(default)]
    #[schemars(with = "Option<HexText>")]
    pub key: Option<super::Bytes>,
    /// The row of this job.
    #[serde(default)]
    #[schemars(with = "Option<super::Decimal>")]
    pub job: Option<JobId>,
    /// The row of this posted job.
    #[serde(default)]
    #[schemars(with = "Option<super::Decimal>")]
    pub post: Option<JobId>,
    /// The row of the dispute about this job.
    #[serde(default)]
    #[schemars(with = "Option<super::Decimal>")]
    pub dispute: Option<JobId>,
    /// The row of the provider at this account.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub provider: Option<Address>,
    /// The row of this model.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// The outcome of this final transaction.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub tx_id: Option<TxId>,
    /// An outcome of this block, also of what it did by itself …
    #[serde(default)]
    #[schemars(with = "Option<super::Decimal>")]
    pub height: Option<Height>,
    /// … at this place: those of its transactions come first.
    #[serde(default)]
    pub index: Option<u32>,
}

/// A proof with all it needs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProofView {
    /// Of a row of the state, or that there is none.
    Row(Box<RowProofView>),
    /// Of an outcome.
    Outcome(Box<OutcomeProof>),
}

/// A row of the state, or that there is none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RowProofView {
    /// The row's key in hex.
    #[schemars(with = "String")]
    pub key: RowKey,
    /// Whether the row is there.
    pub present: bool,
    /// The leaf and its path to `header.state_root`.
    #[schemars(with = "Object")]
    pub proof: Proof,
    /// What makes the root trustworthy.
    #[serde(flatten)]
    pub anchor: Anchor,
}

/// The outcome of a transaction in a final block, or of something the block did by itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeProof {
    /// The outcome whose hash is the leaf.
    #[schemars(with = "Object")]
    pub outcome: Outcome,
    /// Its place in the block.
    pub index: u32,
    /// The path to `header.outcome_root`.
    #[schemars(with = "Object")]
    pub proof: ListProof,
    /// The canonical bytes of the list of its events; `outcome.events_hash` is of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HexText>")]
    pub events: Option<super::Bytes>,
    /// What makes the root trustworthy.
    #[serde(flatten)]
    pub anchor: Anchor,
}

/// A final header with its certificate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Anchor {
    /// The header's hash.
    #[schemars(with = "Hex32")]
    pub hash: BlockId,
    /// The header.
    #[schemars(with = "Object")]
    pub header: Header,
    /// The certificate; null for genesis, whose hash a client pins.
    #[schemars(with = "Option<Object>")]
    pub certificate: Option<Certificate>,
}
