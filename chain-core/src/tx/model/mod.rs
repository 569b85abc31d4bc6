//! Models: the curator lets them in, or a vote with locked stake does.
//!
//! | action | bytes after `07` | fields |
//! |---|---|---|
//! | `model_curate` | `01` | models (u32 count ≤ 64, each: repo text ≤ 128 · file text ≤ 128 · weights 32 · format text ≤ 64) |
//! | `model_propose` | `02` | model (as above) |
//! | `model_vote` | `03` | proposal u64 · amount u128 |
//! | `model_finalize` | `04` | proposal u64 |
//! | `model_vote_unlock` | `05` | proposal u64 |
//! | `model_set_active` | `06` | model 32 · active (`00` or `01`) |
//! | `model_set_rate` | `07` | model 32 · rate (`00`, or `01` and u32) |
//!
//! Rules:
//! 1. A model is its repo, file, hash of weights and format; its id is a hash of these. Repo and file are
//!    not empty.
//! 2. Only the curator curates. Known models of a list are skipped, and an event says so; a list of nothing
//!    new is refused.
//! 3. Only the curator switches models off and on, and sets their rate: 100 to 10000 units a second, or the
//!    parameter's.
//! 4. Who proposes an unknown model pays `proposal_fee` into the proposal; then votes are taken for
//!    `voting_s`, up to and including the end. A model has one open proposal; after a rejection there is none
//!    for `repropose_s`.
//! 5. Votes are stake that is locked; all are for the model. Whoever is against it does not vote.
//! 6. Once votes of the last `late_s` reach `late_votes`, the end moves by `extend_s` and they are counted
//!    from nothing again; at most 3 times.
//! 7. After the end anybody finalizes, once. With `approve_votes` the model is in, by vote, and the proposer
//!    has the fee back; else the fee goes to the rejected pool. A model that was curated meanwhile stays as it
//!    is, and the proposer has the fee back.
//! 8. Votes are unlocked, once and whole, after the proposal was finalized, or `unlock_s` after its end.
//!
//! Not here: the rows (`state::market::model`), what an inactive model stops (the families of jobs).

mod curate;
mod vote;

use super::form::check_text;
use super::{About, CheckContext, Context, Rules, check_amount};
use crate::codec::{List, Text};
use crate::crypto::Hash;
use crate::fault::Failure;
use crate::limits::{MAX_LIST, MAX_RATE, MIN_RATE};
use crate::state::market::model::{ModelSpec, ProposalOutcome, Tier};
use crate::types::{Address, Amount, AssetId, MarketMs, ModelId, ModelProposalId, Rejected, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    700 NOTHING_NEW "nothing_new" "all of these models are known";
    701 MODEL_KNOWN "model_known" "this model is known already";
    702 MODEL_PROPOSED "model_proposed" "this model is voted on, or was rejected not long ago";
    703 UNKNOWN_MODEL_PROPOSAL "unknown_model_proposal" "no proposal of a model has this number";
    704 VOTE_ENDED "vote_ended" "votes on this model are not taken any more";
    705 VOTE_OPEN "vote_open" "votes on this model are still taken";
    706 PROPOSAL_FINALIZED "proposal_finalized" "this proposal was finalized";
    707 NO_VOTES_LOCKED "no_votes_locked" "this account has nothing locked in the proposal";
    708 VOTES_LOCKED "votes_locked" "votes are locked until the proposal is finalized, or some time after its end";
    709 RATE_RANGE "rate_range" "a rate is 100 to 10000 units a second";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[
    (1, "model_curate"),
    (2, "model_propose"),
    (3, "model_vote"),
    (4, "model_finalize"),
    (5, "model_vote_unlock"),
    (6, "model_set_active"),
    (7, "model_set_rate"),
];

/// A few rows are read and written.
const WEIGHT: u64 = 600;
/// Besides, for every model of a list.
const CURATE_WEIGHT: u64 = 300;
/// Rates a model may have, in units a second.
const RATES: std::ops::RangeInclusive<u32> = MIN_RATE..=MAX_RATE;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// The curator lets models in.
    ModelCurate {
        /// Which.
        models: List<ModelSpec, MAX_LIST>,
    } = 1,
    /// Asks whoever has stake to let a model in.
    ModelPropose {
        /// Which.
        model: ModelSpec,
    } = 2,
    /// Locks stake for a proposed model.
    ModelVote {
        /// Which proposal.
        proposal: ModelProposalId,
        /// How much, in base units of the stake asset.
        amount: Amount,
    } = 3,
    /// Ends a proposal whose time is over.
    ModelFinalize {
        /// Which.
        proposal: ModelProposalId,
    } = 4,
    /// Takes back what was locked.
    ModelVoteUnlock {
        /// For which proposal.
        proposal: ModelProposalId,
    } = 5,
    /// The curator switches a model off or on.
    ModelSetActive {
        /// Which.
        model: ModelId,
        /// Whether new jobs are opened for it.
        active: bool,
    } = 6,
    /// The curator says how fast a model works.
    ModelSetRate {
        /// Which.
        model: ModelId,
        /// Units a second that can be claimed; in JSON `null`: the parameter `rate`.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        rate: Option<u32>,
    } = 7,
}

/// What this family reports. Amounts are base units of the stake asset.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// A model is in.
    ModelAdded { model: ModelId, spec: ModelSpec, tier: Tier, by: Address } = 1,
    /// A model of a curator's list was known.
    ModelSkipped { model: ModelId, by: Address } = 2,
    /// A model is voted on.
    ModelProposed {
        proposal: ModelProposalId,
        model: ModelId,
        spec: ModelSpec,
        proposer: Address,
        fee: Amount,
        end: MarketMs,
    } = 3,
    /// Stake was locked for it: this time, by this account altogether, by all; the end, and how often it moved.
    ModelVoted {
        proposal: ModelProposalId,
        voter: Address,
        amount: Amount,
        locked: Amount,
        votes: Amount,
        late: Amount,
        end: MarketMs,
        extensions: u8,
        row_fee: Amount,
    } = 4,
    /// A proposal ended: its fee went back to the proposer, or to the rejected pool.
    ModelFinalized {
        proposal: ModelProposalId,
        model: ModelId,
        outcome: ProposalOutcome,
        votes: Amount,
        needed: Amount,
        proposer: Address,
        returned: Amount,
        forfeited: Amount,
    } = 5,
    /// Locked stake went back.
    ModelVoteUnlocked { proposal: ModelProposalId, voter: Address, amount: Amount } = 6,
    /// A model was switched off or on.
    ModelActiveSet { model: ModelId, active: bool, by: Address } = 7,
    /// A model works as fast as this.
    ModelRateSet { model: ModelId, rate: Option<u32>, by: Address } = 8,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::ModelCurate { models } => {
                if models.is_empty() {
                    return Err(NOTHING_NEW.because("at least one model", 0));
                }
                models.iter().try_for_each(check_spec)
            }
            Self::ModelPropose { model } => check_spec(model),
            Self::ModelVote { amount, .. } => check_amount(*amount),
            Self::ModelSetRate { rate: Some(rate), .. } if !RATES.contains(rate) => {
                Err(RATE_RANGE.because("100 to 10000", rate))
            }
            _ => Ok(()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::ModelCurate { models } => WEIGHT.saturating_add(CURATE_WEIGHT.saturating_mul(models.len() as u64)),
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::ModelCurate { models } => curate::curate(context, models),
            Self::ModelSetActive { model, active } => curate::set_active(context, model, *active),
            Self::ModelSetRate { model, rate } => curate::set_rate(context, model, *rate),
            Self::ModelPropose { model } => vote::propose(context, model),
            Self::ModelVote { proposal, amount } => vote::vote(context, *proposal, *amount),
            Self::ModelFinalize { proposal } => vote::finalize(context, *proposal),
            Self::ModelVoteUnlock { proposal } => vote::unlock(context, *proposal),
        }
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::ModelCurate { models } => {
                let list: Vec<_> = models.iter().map(spec_text).collect();
                format!("Let in as curator {} models: {}", models.len(), list.join("; "))
            }
            Self::ModelPropose { model } => {
                format!("Propose, for the proposal fee, to let in the model {}", spec_text(model))
            }
            Self::ModelVote { proposal, amount } => {
                format!("Lock {amount} base units of stake as votes for the model of proposal {proposal}")
            }
            Self::ModelFinalize { proposal } => format!("End the vote on the model of proposal {proposal}"),
            Self::ModelVoteUnlock { proposal } => {
                format!("Take back the stake locked for the model of proposal {proposal}")
            }
            Self::ModelSetActive { model, active: true } => format!("Let jobs be opened for the model {model}"),
            Self::ModelSetActive { model, active: false } => format!("Let no jobs be opened for the model {model}"),
            Self::ModelSetRate { model, rate: Some(rate) } => {
                format!("Let {rate} units a second be claimed for the model {model}")
            }
            Self::ModelSetRate { model, rate: None } => format!("Let the usual rate hold for the model {model}"),
        }
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

fn spec_text(spec: &ModelSpec) -> String {
    use super::text::quoted;
    let ModelSpec { repo, file, weights, format } = spec;
    format!("{} {} ({}, weights {weights})", quoted(repo), quoted(file), quoted(format))
}

fn check_spec(spec: &ModelSpec) -> Result<(), Rejected> {
    check_text(&spec.repo, "a repo")?;
    check_text(&spec.file, "a file")
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(super::Event::Model(event));
}

/// The model of the examples.
pub fn example_spec() -> ModelSpec {
    let text = |text: &str| Text::new(text).unwrap_or_default();
    let format = Text::new("gguf").unwrap_or_default();
    ModelSpec { repo: text("llama-3"), file: text("8b-q4.gguf"), weights: Hash([5; 32]), format }
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::ModelAdded { by, .. }
            | Self::ModelSkipped { by, .. }
            | Self::ModelActiveSet { by, .. }
            | Self::ModelRateSet { by, .. } => {
                vec![*by]
            }
            Self::ModelProposed { proposer, .. } | Self::ModelFinalized { proposer, .. } => vec![*proposer],
            Self::ModelVoted { voter, .. } | Self::ModelVoteUnlocked { voter, .. } => vec![*voter],
        }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let (spec, proposal) = (example_spec(), ModelProposalId::new(7));
    let model = spec.id();
    vec![
        Action::ModelCurate { models: List::new(vec![spec.clone()]).unwrap_or_default() },
        Action::ModelPropose { model: spec },
        Action::ModelVote { proposal, amount: Amount::new(10u128.pow(23)) },
        Action::ModelFinalize { proposal },
        Action::ModelVoteUnlock { proposal },
        Action::ModelSetActive { model, active: false },
        Action::ModelSetRate { model, rate: Some(2_500) },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
