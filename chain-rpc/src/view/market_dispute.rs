//! Disputes, and how they are decided. Amounts are base units of the job's asset, market times are ms of the market's
//! own clock.
//!
//! Not here: the rules (chain-core), the job that is disputed (`market_job`).

use super::{AddressText, Decimal, Hex32, JobSort, Number32, PageView};
use chain_core::crypto::Hash;
use chain_core::state::market::dispute::{Ballot, Dispute};
use chain_core::state::market::job::Job;
use chain_core::state::market::provider::DisputeTerms;
use chain_core::state::market::settle::Cause;
use chain_core::types::{Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Units};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How disputes are decided: what an offer or a bid says, and a job keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeTermsView {
    /// The hash of the next three: what a payer signs so that it gets these and no others.
    #[schemars(with = "Hex32")]
    pub hash: Hash,
    /// Who decides; nobody: the council.
    #[schemars(with = "Vec<AddressText>")]
    pub arbiters: Vec<Address>,
    /// How many of them must agree.
    pub arbiters_needed: u8,
    /// The provider's part of a contested amount nobody decides about, in 1/10,000.
    pub no_verdict_provider_bps: u16,
}

impl From<DisputeTerms> for DisputeTermsView {
    fn from(terms: DisputeTerms) -> Self {
        let hash = terms.hash();
        let DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps } = terms;
        Self { hash, arbiters: arbiters.into_inner(), arbiters_needed, no_verdict_provider_bps }
    }
}

/// Whether a dispute goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    /// The provider can answer, or it is voted.
    Open,
    /// It is over.
    Decided,
}

/// Which disputes. Filters add up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisputesParams {
    /// Only those this account has a part in: as payer, opener, provider, who earns, or arbiter by name.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub account: Option<Address>,
    /// Only `open` or only `decided` ones. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub state: Option<DisputeState>,
    /// `newest` or `oldest` job first. Default: `newest`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sort: Option<JobSort>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which dispute.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisputeParams {
    /// About which job: there is one at most.
    #[schemars(with = "Decimal")]
    pub job: JobId,
}

/// A page of disputes.
pub type DisputesView = PageView<Disputes>;

/// What a page of disputes lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disputes {
    /// The disputes, by the number of their job.
    pub disputes: Vec<DisputeView>,
}

/// A dispute at a time of the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeAnswer {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// The dispute.
    #[serde(flatten)]
    pub dispute: DisputeView,
}

/// A payer contests claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeView {
    /// About which job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `open` or `decided`.
    pub state: DisputeState,
    /// In which leg of the job.
    pub leg: u32,
    /// Who contests.
    #[schemars(with = "AddressText")]
    pub payer: Address,
    /// Whose claims.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// With which model.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// The job's asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// From which unit on.
    #[schemars(with = "Decimal")]
    pub from: Units,
    /// Up to which.
    #[schemars(with = "Decimal")]
    pub used: Units,
    /// What the contested units cost.
    #[schemars(with = "Decimal")]
    pub contested: Amount,
    /// What each side deposits.
    #[schemars(with = "Decimal")]
    pub bond: Amount,
    /// What is deposited for it now.
    #[schemars(with = "Decimal")]
    pub held: Amount,
    /// When it was opened.
    #[schemars(with = "Decimal")]
    pub opened: MarketMs,
    /// When the provider deposited, too; absent: it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub answered: Option<MarketMs>,
    /// While it is open: the last moment of the answer, after it of the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub until: Option<MarketMs>,
    /// Who decides.
    pub terms: DisputeTermsView,
    /// Who voted for whom.
    pub votes: Vec<BallotView>,
    /// How it ended: `unanswered`, `verdict_for_payer`, `verdict_for_provider`, `no_verdict` or `newer_ack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub outcome: Option<Cause>,
}

/// One vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BallotView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub voter: Address,
    /// For the provider, or for the payer.
    pub for_provider: bool,
}

impl DisputeView {
    /// A dispute's row.
    pub fn of(id: JobId, job: &Job, dispute: Dispute, terms: DisputeTerms) -> Self {
        let held = dispute.held();
        let Dispute { leg, from, used, contested, asset, bond, opened, answered, until, votes, outcome } = dispute;
        let ballot = |ballot: &Ballot| BallotView { voter: ballot.voter, for_provider: ballot.for_provider };
        Self {
            job: id,
            state: if outcome.is_none() { DisputeState::Open } else { DisputeState::Decided },
            leg,
            payer: job.payer,
            provider: job.provider,
            model: job.model,
            asset,
            from,
            used,
            contested,
            bond,
            held,
            opened,
            answered,
            until: outcome.is_none().then_some(until),
            terms: terms.into(),
            votes: votes.iter().map(ballot).collect(),
            outcome,
        }
    }
}
