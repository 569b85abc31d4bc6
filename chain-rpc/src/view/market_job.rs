//! Jobs. Amounts are base units of the job's asset, prices per 1000 units; market times are
//! ms of the market's own clock.
//!
//! Not here: events (they are told as they were stored), receipts (`market_receipt`), posted jobs (`market_post`).

use super::text::{optional_hex, text_or_number};
use super::{AddressText, Decimal, DisputeTermsView, Hex32, Number32, Object, PageView, PostView, U64};
use chain_core::crypto::Hash;
use chain_core::ledger::market::JobState as Standing;
use chain_core::state::market::job::{Handover, Job, Leg, Meter, Mode, Status, Terms};
use chain_core::state::market::provider::DisputeTerms;
use chain_core::state::market::settle::{Cause, Cost, Settlement};
use chain_core::types::{
    Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a job stands, without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for bids; the deposit is in escrow.
    Posted,
    /// Work goes on; the deposit is in escrow.
    Active,
    /// No work is claimed any more; acknowledgements can be redeemed.
    Closing,
    /// The payer contests claims; everything else waits.
    Disputed,
    /// Everything is paid.
    Settled,
}

impl From<Standing> for JobState {
    fn from(state: Standing) -> Self {
        match state {
            Standing::Posted => Self::Posted,
            Standing::Active => Self::Active,
            Standing::Closing => Self::Closing,
            Standing::Disputed => Self::Disputed,
            Standing::Settled => Self::Settled,
        }
    }
}

impl From<JobState> for Standing {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Posted => Self::Posted,
            JobState::Active => Self::Active,
            JobState::Closing => Self::Closing,
            JobState::Disputed => Self::Disputed,
            JobState::Settled => Self::Settled,
        }
    }
}

/// In which order jobs are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobSort {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

/// Which jobs. Filters add up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobsParams {
    /// Only those this account pays.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub payer: Option<Address>,
    /// Only those this account opened.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub opener: Option<Address>,
    /// Only those of this provider; posted ones have none.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub provider: Option<Address>,
    /// Only for this model.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// Only `posted`, `active`, `closing`, `disputed` or `settled` ones. Default: all.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub state: Option<JobState>,
    /// Only in this asset.
    #[serde(default)]
    #[schemars(with = "Option<Number32>")]
    pub asset: Option<AssetId>,
    /// `newest` or `oldest`. Default: `newest`.
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

/// Which job: `job`, or `opener` and `client_ref`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobParams {
    /// Its number.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub job: Option<JobId>,
    /// Instead: who opened it, for itself or as a delegate of who pays …
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub opener: Option<Address>,
    /// … and what the opener calls it.
    #[serde(default, deserialize_with = "text_or_number")]
    pub client_ref: Option<String>,
}

/// A page of jobs.
pub type JobsView = PageView<Jobs>;

/// What a page of jobs lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// The jobs. One that changes its state while pages are read is in no page twice; it may be in none if its
    /// state was asked for.
    pub jobs: Vec<AnyJobView>,
}

/// A job at a time of the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobAnswer {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// The job.
    #[serde(flatten)]
    pub job: AnyJobView,
}

/// What stands under a job's number; `state` says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AnyJobView {
    /// A job with a provider.
    Begun(Box<JobView>),
    /// One that waits for bids: `posted`.
    Posted(Box<PostView>),
}

impl AnyJobView {
    /// Its number.
    pub fn id(&self) -> JobId {
        match self {
            Self::Begun(job) => job.job,
            Self::Posted(post) => post.job,
        }
    }

    /// What it is paid in.
    pub fn asset(&self) -> AssetId {
        match self {
            Self::Begun(job) => job.asset,
            Self::Posted(post) => post.asset,
        }
    }

    /// How it stands.
    pub fn state(&self) -> JobState {
        match self {
            Self::Begun(job) => job.state,
            Self::Posted(post) => post.state,
        }
    }

    /// The job, if it has a provider.
    pub fn begun(self) -> Option<JobView> {
        match self {
            Self::Begun(job) => Some(*job),
            Self::Posted(_) => None,
        }
    }

    /// The posted job, if it waits for bids.
    pub fn posted(self) -> Option<PostView> {
        match self {
            Self::Begun(_) => None,
            Self::Posted(post) => Some(*post),
        }
    }
}

/// A payer's money for a provider's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its number.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `active`, `closing`, `disputed` or `settled`.
    pub state: JobState,
    /// Who pays, and gets what is left.
    #[schemars(with = "AddressText")]
    pub payer: Address,
    /// Who opened it.
    #[schemars(with = "AddressText")]
    pub opener: Address,
    /// Who works.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Its number.
    #[schemars(with = "Decimal")]
    pub provider_id: ProviderId,
    /// Who earns.
    #[schemars(with = "AddressText")]
    pub payout: Address,
    /// What works.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// What is paid.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// What is metered.
    #[schemars(with = "String")]
    pub unit_kind: UnitKind,
    /// What it costs, per 1000 units.
    #[schemars(with = "Decimal")]
    pub price: Price,
    /// All that was ever deposited.
    #[schemars(with = "Decimal")]
    pub deposit: Amount,
    /// What is in escrow.
    #[schemars(with = "Decimal")]
    pub escrow: Amount,
    /// What earlier legs have cost.
    #[schemars(with = "Decimal")]
    pub spent: Amount,
    /// What of this leg is paid already: for the units in `meter.paid`.
    pub paid: CostView,
    /// What the payer has back already, as claims are disputed.
    #[schemars(with = "Decimal")]
    pub returned: Amount,
    /// The most units of this leg that are paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub max_units: Option<Units>,
    /// How work becomes money: `provider_claims` with its `proof_interval`, or `client_acks` with `quantum` and
    /// `ack_key`.
    #[schemars(with = "Object")]
    pub mode: Mode,
    /// How disputes are decided in this leg.
    pub dispute_terms: DisputeTermsView,
    /// What else it depends on, as it was at the opening.
    pub terms: JobTermsView,
    /// When it was opened.
    #[schemars(with = "Decimal")]
    pub started: MarketMs,
    /// How long it lasts at most, in seconds.
    pub duration_s: u32,
    /// After how many seconds without activity it ends.
    pub silence_s: u32,
    /// Which leg it is in: how often it was handed over.
    pub leg: u32,
    /// What was metered in this leg.
    pub meter: MeterView,
    /// While it is active: the last moment before it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub deadline: Option<MarketMs>,
    /// While it is active or closing: the first moment at which its next step is taken by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub due_at: Option<MarketMs>,
    /// While it is active: from when on the provider may complete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub completable_at: Option<MarketMs>,
    /// While claims can be contested: from which unit on, and the first moment at which they can't be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contestable: Option<ContestableView>,
    /// To whom the payer would hand it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Object>")]
    pub handover: Option<Handover>,
    /// While it is closing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<ClosingView>,
    /// What the opener calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledView>,
}

/// What a job depends on, as it was at the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobTermsView {
    /// The treasury's share, in 1/10,000.
    pub fee_bps: u16,
    /// How long a claim is young, in seconds.
    pub window_s: u32,
    /// Units a second that can be claimed.
    pub rate: u32,
    /// So many seconds of the rate can be claimed at once.
    pub burst_s: u32,
    /// Least units of a claim.
    pub min_claim: u32,
    /// Units paid for when the payer ends the job before anything was claimed.
    pub early_cancel_units: u32,
    /// How long acknowledgements can be redeemed once the job is over, in seconds.
    pub close_window_s: u32,
    /// What each side of a dispute deposits, in 1/10,000 of the contested amount …
    pub dispute_bond_bps: u16,
    /// … and what at least.
    #[schemars(with = "Decimal")]
    pub min_dispute_bond: Amount,
    /// How long the provider can answer a dispute, in seconds.
    pub dispute_respond_s: u32,
    /// How long there can be a verdict after that, in seconds.
    pub dispute_verdict_s: u32,
    /// What both lose of their deposits where there is none, in 1/10,000.
    pub bond_loss_no_verdict_bps: u16,
}

impl From<Terms> for JobTermsView {
    fn from(terms: Terms) -> Self {
        let Terms { fee_bps, window_s, rate, burst_s, min_claim, early_cancel_units, close_window_s, .. } = terms;
        let Terms { dispute_bond_bps, min_dispute_bond, dispute_respond_s, dispute_verdict_s, .. } = terms;
        let bond_loss_no_verdict_bps = terms.bond_loss_no_verdict_bps;
        Self {
            fee_bps,
            window_s,
            rate,
            burst_s,
            min_claim,
            early_cancel_units,
            close_window_s,
            dispute_bond_bps,
            min_dispute_bond,
            dispute_respond_s,
            dispute_verdict_s,
            bond_loss_no_verdict_bps,
        }
    }
}

/// What units cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostView {
    /// All of it.
    #[schemars(with = "Decimal")]
    pub gross: Amount,
    /// The treasury's part.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// The provider's.
    #[schemars(with = "Decimal")]
    pub provider: Amount,
}

impl From<Cost> for CostView {
    fn from(Cost { gross, fee, provider }: Cost) -> Self {
        Self { gross, fee, provider }
    }
}

/// Which claims can be contested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContestableView {
    /// From this unit on.
    #[schemars(with = "Decimal")]
    pub from: Units,
    /// Before this moment.
    #[schemars(with = "Decimal")]
    pub until: MarketMs,
}

/// A job that is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClosingView {
    /// Why: `payer_completed`, `duration_over`, `silence`, `handed_over`; `provider_completed` or `declined` by its
    /// operator.
    #[schemars(with = "String")]
    pub cause: Cause,
    /// Until when acknowledgements can be redeemed.
    #[schemars(with = "Decimal")]
    pub until: MarketMs,
    /// Who goes on then with what is left; absent: it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LegView>,
}

/// Who works in a leg, and for how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LegView {
    /// Who works.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Who earns.
    #[schemars(with = "AddressText")]
    pub payout: Address,
    /// What it costs, per 1000 units.
    #[schemars(with = "Decimal")]
    pub price: Price,
}

/// What was metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeterView {
    /// The number of the last receipt; 0: none.
    pub seq: U64,
    /// Its hash, which the next one names; zero: none.
    #[schemars(with = "Hex32")]
    pub head: Hash,
    /// Units of all receipts.
    #[schemars(with = "Decimal")]
    pub used: Units,
    /// Units of them that are paid for already.
    #[schemars(with = "Decimal")]
    pub paid: Units,
    /// When the last claim came that is not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub last_claim: Option<MarketMs>,
    /// No more units can be claimed now: what the token bucket holds, or what is left of the quantum.
    #[schemars(with = "Decimal")]
    pub claimable: Units,
}

/// How a job ended: the figures are of its last leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledView {
    /// `payer_completed`, `provider_completed`, `declined`, `duration_over`, `silence`; or how its dispute ended:
    /// `unanswered`, `verdict_for_payer`, `verdict_for_provider`, `no_verdict`, `newer_ack`.
    #[schemars(with = "String")]
    pub cause: Cause,
    /// When.
    #[schemars(with = "Decimal")]
    pub at: MarketMs,
    /// Units that are paid for.
    #[schemars(with = "Decimal")]
    pub billable: Units,
    /// What they cost.
    #[schemars(with = "Decimal")]
    pub gross: Amount,
    /// The treasury's part of that.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// The provider's.
    #[schemars(with = "Decimal")]
    pub provider: Amount,
    /// What the provider got besides for an early end.
    #[schemars(with = "Decimal")]
    pub early_fee: Amount,
    /// What the payer got back, with `returned`.
    #[schemars(with = "Decimal")]
    pub refund: Amount,
}

impl JobView {
    /// A job's row at a time, with how its disputes are decided.
    pub fn of(id: JobId, job: &Job, disputes: DisputeTerms, now: MarketMs) -> Self {
        let active = matches!(job.status, Status::Active);
        let goes_on = active || matches!(job.status, Status::Closing { .. });
        let until = job.claims_settled_at().filter(|until| active && now < *until);
        Self {
            job: id,
            state: Standing::of(&job.status).into(),
            payer: job.payer,
            opener: job.opener,
            provider: job.provider,
            provider_id: job.provider_id,
            payout: job.payout,
            model: job.model,
            asset: job.asset,
            unit_kind: job.unit_kind,
            price: job.price,
            deposit: job.deposit,
            escrow: job.escrow(),
            spent: job.spent,
            paid: job.cost(job.meter.paid).into(),
            returned: job.returned,
            max_units: job.max_units(),
            mode: job.mode,
            dispute_terms: disputes.into(),
            terms: job.terms.into(),
            started: job.started,
            duration_s: job.duration_s,
            silence_s: job.silence_s,
            leg: job.leg,
            meter: meter(job, now),
            deadline: active.then(|| job.deadline()),
            due_at: goes_on.then(|| job.due_at()),
            completable_at: active.then(|| job.completable_at()),
            contestable: until.map(|until| ContestableView { from: job.contestable_from(now), until }),
            handover: job.handover,
            closing: closing(&job.status),
            client_ref: job.client_ref.as_ref().map(|name| name.to_string()),
            settled: settled(&job.status),
        }
    }
}

/// What can be claimed now: what the bucket holds, or what is left of the quantum.
fn meter(job: &Job, now: MarketMs) -> MeterView {
    let Meter { seq, head, used, paid, last_claim, .. } = job.meter;
    let claimable = match job.mode {
        Mode::ProviderClaims { .. } => job.bucket(now) / 1_000,
        Mode::ClientAcks { quantum, .. } => paid.saturating_add(quantum.get()).get().saturating_sub(used.get()),
    };
    MeterView { seq: U64(seq), head, used, paid, last_claim, claimable: Units::new(claimable) }
}

fn closing(status: &Status) -> Option<ClosingView> {
    let Status::Closing { cause, until, next } = *status else { return None };
    let leg = |Leg { provider, payout, price, .. }| LegView { provider, payout, price };
    Some(ClosingView { cause, until, next: next.map(leg) })
}

fn settled(status: &Status) -> Option<SettledView> {
    let Status::Settled { cause, settlement, at } = *status else { return None };
    let Settlement { billable, gross, fee, provider, early_fee, refund } = settlement;
    Some(SettledView { cause, at, billable, gross, fee, provider, early_fee, refund })
}
