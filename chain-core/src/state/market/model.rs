//! Models: what they are, who let them in, and how fast they work.
//!
//! Not here: who may change them and how they are voted in (the model family).

use super::{MODEL_INACTIVE, UNKNOWN_MODEL};
use crate::codec::{self, Text};
use crate::crypto::{Hash, Namespace, hash};
use crate::fault::{Failure, Fault};
use crate::limits::{MAX_CONTENT_REF_BYTES, MAX_LABEL_BYTES};
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::table::{Rows, Table};
use crate::state::tree::Tree;
use crate::types::{Address, Amount, MarketMs, ModelId, ModelProposalId};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Models by id. Rows stay.
pub const MODELS: Table<ModelId, Model> = Table::new(35);
/// Proposals of models by number. Rows stay: each cost a fee.
pub const MODEL_PROPOSALS: Table<ModelProposalId, ModelProposal> = Table::new(36);
/// The last proposal of a model.
pub const LAST_PROPOSALS: Table<ModelId, ModelProposalId> = Table::new(37);
/// The number of the next proposal of a model; no row: 1.
pub const NEXT_MODEL_PROPOSAL: Table<(), ModelProposalId> = Table::new(38);
/// What accounts have locked for proposals of models, in base units of the stake asset.
pub const MODEL_VOTES: Table<(Address, ModelProposalId), Amount> = Table::new(39);

/// What a model is: its id follows from it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Where it is published.
    pub repo: Text<MAX_CONTENT_REF_BYTES>,
    /// Which file of it.
    pub file: Text<MAX_CONTENT_REF_BYTES>,
    /// Hash of the weights.
    pub weights: Hash,
    /// How the weights are written.
    pub format: Text<MAX_LABEL_BYTES>,
}

impl ModelSpec {
    /// What names it: `hash(ait/model/1, 32 zero bytes, repo text ‖ file text ‖ weights 32 ‖ format text)`.
    pub fn id(&self) -> ModelId {
        ModelId(hash(Namespace::Model, &Hash::ZERO, &[&codec::encode(self)]))
    }
}

/// Who let a model in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Tier {
    /// The curator.
    Curated = 1,
    /// A vote.
    Voted = 2,
}

/// A model jobs can be opened for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Model {
    /// What it is.
    pub spec: ModelSpec,
    /// Who let it in.
    pub tier: Tier,
    /// Whether new jobs can be opened for it.
    pub active: bool,
    /// Units a second that can be claimed without an acknowledgement; `None`: the parameter `rate`.
    pub rate: Option<u32>,
}

impl Model {
    /// A new one.
    pub fn new(spec: ModelSpec, tier: Tier) -> Self {
        Self { spec, tier, active: true, rate: None }
    }

    /// Curated and active.
    pub fn is_trusted(&self) -> bool {
        self.active && self.tier == Tier::Curated
    }

    /// Units a second that can be claimed without an acknowledgement.
    pub fn rate(&self, params: &Params) -> u32 {
        self.rate.unwrap_or(params.market.rate)
    }
}

/// A model that accounts vote on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ModelProposal {
    /// The model.
    pub spec: ModelSpec,
    /// Who proposed it.
    pub proposer: Address,
    /// What that cost and is held here until it is finalized.
    pub fee: Amount,
    /// The last moment at which votes are taken.
    pub end: MarketMs,
    /// How often the end was moved.
    pub extensions: u8,
    /// Votes close to the end since it was last moved.
    pub late: Amount,
    /// All votes.
    pub votes: Amount,
    /// How it ended.
    pub outcome: Option<ProposalOutcome>,
}

/// How a proposal of a model ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ProposalOutcome {
    /// The model is in; the fee went back.
    Approved = 1,
    /// The model is not in; the fee went to the rejected pool.
    Rejected = 2,
    /// The model had come in another way; the fee went back.
    Superseded = 3,
}

/// The model of an id.
pub fn model(rows: &impl Rows, id: &ModelId) -> Result<Model, Failure> {
    MODELS.get(rows, id)?.ok_or_else(|| UNKNOWN_MODEL.because("a known model", id).into())
}

/// The model of an id, if new jobs can be opened for it.
pub fn active_model(rows: &impl Rows, id: &ModelId) -> Result<Model, Failure> {
    let model = model(rows, id)?;
    if model.active { Ok(model) } else { Err(MODEL_INACTIVE.because("an active model", id).into()) }
}

/// The next number of a proposal of a model.
pub fn take_proposal_number(overlay: &mut Overlay<'_>) -> Result<ModelProposalId, Fault> {
    let id = NEXT_MODEL_PROPOSAL.get(overlay, &())?.unwrap_or(ModelProposalId::new(1));
    NEXT_MODEL_PROPOSAL.put(overlay, &(), &id.saturating_add(1));
    Ok(id)
}

/// Every model with its id, by id.
pub fn models(tree: &Tree) -> impl Iterator<Item = Result<(ModelId, Model), Fault>> {
    MODELS.scan(tree).map(|row| row.map(|(_, model)| (model.spec.id(), model)))
}
