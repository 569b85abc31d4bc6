//! Jobs and their receipts. Amounts are base units of the job's asset, prices per 1000 units; market times are
//! ms of the market's own clock.
//!
//! Not here: events (they are told as they were stored).

use super::text::{optional_hex, text_or_number};
use super::{AddressText, Decimal, Hex32, Number32, Object, PageView, U64};
use chain_core::crypto::Hash;
use chain_core::state::market::job::{Job, Meter, Mode, Status, Terms};
use chain_core::state::market::settle::{Cause, Settlement};
use chain_core::tx::receipt::{Receipt, WorkOutcome};
use chain_core::types::{
    Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Price, ProviderId, TimestampMs, TxId, UnitKind, Units,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a job stands, without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Work goes on; the deposit is in escrow.
    Active,
    /// Everything is paid.
    Settled,
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
    /// Only those of this provider.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub provider: Option<Address>,
    /// Only for this model.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// Only `active` or only `settled` ones. Default: all.
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
    pub jobs: Vec<JobView>,
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
    pub job: JobView,
}

/// A payer's money for a provider's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its number.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `active` or `settled`.
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
    /// The most units the deposit pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub max_units: Option<Units>,
    /// How work becomes money.
    #[schemars(with = "Object")]
    pub mode: Mode,
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
    /// While it is active: the first moment at which it is settled by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub due_at: Option<MarketMs>,
    /// While it is active: from when on the provider may complete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub completable_at: Option<MarketMs>,
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
    /// When the last claim came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub last_claim: Option<MarketMs>,
    /// Units the token bucket holds now: no more can be claimed.
    #[schemars(with = "Decimal")]
    pub claimable: Units,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledView {
    /// `payer_completed`, `provider_completed`, `declined`, `duration_over` or `silence`.
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
    /// What the payer got back.
    #[schemars(with = "Decimal")]
    pub refund: Amount,
}

impl JobView {
    /// A job's row at a time.
    pub fn of(id: JobId, job: &Job, now: MarketMs) -> Self {
        let active = matches!(job.status, Status::Active);
        let Terms { fee_bps, window_s, rate, burst_s, min_claim, early_cancel_units } = job.terms;
        let Meter { seq, head, used, last_claim, .. } = job.meter;
        let claimable = Units::new(job.bucket(now) / 1_000);
        Self {
            job: id,
            state: if active { JobState::Active } else { JobState::Settled },
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
            max_units: job.max_units(),
            mode: job.mode,
            terms: JobTermsView { fee_bps, window_s, rate, burst_s, min_claim, early_cancel_units },
            started: job.started,
            duration_s: job.duration_s,
            silence_s: job.silence_s,
            leg: job.leg,
            meter: MeterView { seq: U64(seq), head, used, last_claim, claimable },
            deadline: active.then(|| job.deadline()),
            due_at: active.then(|| job.due_at()),
            completable_at: active.then(|| job.completable_at()),
            client_ref: job.client_ref.as_ref().map(|name| name.to_string()),
            settled: settled(&job.status),
        }
    }
}

fn settled(status: &Status) -> Option<SettledView> {
    let Status::Settled { cause, settlement, at } = *status else { return None };
    let Settlement { billable, gross, fee, provider, early_fee, refund } = settlement;
    Some(SettledView { cause, at, billable, gross, fee, provider, early_fee, refund })
}

/// Which receipts: those of a job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsParams {
    /// Of which job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `newest` or `oldest`. Default: `newest`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sort: Option<JobSort>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000; a page is at most 200 long. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which receipt: its hash, or job, leg and seq.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptParams {
    /// Its hash.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub receipt: Option<Hash>,
    /// Instead: of which job …
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub job: Option<JobId>,
    /// … in which leg (default: 0) …
    #[serde(default)]
    pub leg: u32,
    /// … with which number.
    #[serde(default)]
    pub seq: Option<U64>,
}

/// A page of receipts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptsView {
    /// Of which job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// Blocks from here on are on this node. What it has dropped the block of is left out, also where that
    /// happens while a page is read; numbers (`seq`) go up by one, so it shows where something is.
    #[schemars(with = "Decimal")]
    pub oldest_block: Height,
    /// The accepted receipts this node still has the blocks of.
    pub receipts: Vec<ReceiptView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An accepted receipt, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// Its hash.
    #[schemars(with = "Hex32")]
    pub hash: Hash,
    /// The block it is in.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The place of its transaction there.
    pub index: u32,
    /// Its transaction.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// The block's time in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// Who submitted it.
    #[schemars(with = "AddressText")]
    pub by: Address,
    /// The job's provider.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// The job's payer.
    #[schemars(with = "AddressText")]
    pub payer: Address,
    /// Units it added.
    #[schemars(with = "Decimal")]
    pub added: Units,
    /// When it was accepted.
    #[schemars(with = "Decimal")]
    pub at: MarketMs,
    /// Until when it can be contested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub contestable_until: Option<MarketMs>,
    /// How the work went.
    #[schemars(with = "Object")]
    pub outcome: WorkOutcome,
    /// The receipt.
    #[schemars(with = "Object")]
    pub receipt: Receipt,
}
