//! Jobs: a payer's money in escrow for a provider's work, on terms fixed at the opening.
//!
//! Times, all by the market's clock:
//! 1. A job is *over* when now > start + duration or now > last activity + silence: no work is accepted any
//!    more. Activity is the opening and every accepted claim of work.
//! 2. A claim is *young* while now < claim + window. Nothing but the payer's own consent settles a job with a
//!    young claim.
//! 3. A job is *due* when it is over and has no young claim: it behaves as ended, and is settled by whoever
//!    asks, or by the queue at the end of a block.
//!
//! There is room for more modes (`Mode`), more endings (`Cause`) and later legs (`leg`, `Meter`).
//!
//! Not here: what an ending pays (`settle`), who may end it (the job family), receipts (the receipt family).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::params::MarketParams;
use super::settle::{Cause, Settlement};
use super::{JOB_ENDED, UNKNOWN_JOB};
use crate::codec::Text;
use crate::crypto::{Hash, digest};
use crate::fault::{Failure, Fault};
use crate::limits::MAX_LABEL_BYTES;
use crate::state::overlay::Overlay;
use crate::state::table::{Rows, Table};
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Jobs by number, until `retention_s` after they were settled.
pub const JOBS: Table<JobId, Job> = Table::new(46);
/// The number of the next job; no row: 1.
pub const NEXT_JOB: Table<(), JobId> = Table::new(47);
/// When an open job is looked at; a job has one row here, under `Job::queued`.
pub const JOB_ENDS: Table<(MarketMs, JobId), ()> = Table::new(48);
/// When a settled job is forgotten.
pub const JOB_FORGETTING: Table<(MarketMs, JobId), ()> = Table::new(49);
/// How many jobs of a payer with a provider are open; no row: none.
pub const OPEN_PAIRS: Table<(Address, ProviderId), u32> = Table::new(50);
/// Jobs by who opened them and what he calls them, while they are in the state.
pub const CLIENT_REFS: Table<(Address, [u8; 14]), JobId> = Table::new(51);

/// What somebody calls a job he opens; unlike all others he opened.
pub type ClientRef = Text<MAX_LABEL_BYTES>;

/// How work becomes money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Mode {
    /// The provider claims, and each claim can be contested for a while.
    ProviderClaims {
        /// Least units of the first claim, and least that is paid for once there is one.
        proof_interval: Units,
    } = 1,
}

/// Whose money a job was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Funding {
    /// From the sender's account.
    Wallet {} = 1,
    /// From what the sender deposited.
    Prepaid {} = 2,
    /// From the account of somebody who lets the sender do so.
    OnBehalf {
        /// Whose.
        payer: Address,
    } = 3,
}

/// What a job depends on, as it was at the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Terms {
    /// The treasury's share of what work costs, in basis points.
    pub fee_bps: u16,
    /// How long a claim is young, in seconds.
    pub window_s: u32,
    /// Units a second that can be claimed; units are the job's own here and below.
    pub rate: u32,
    /// So many seconds of the rate can be claimed at once.
    pub burst_s: u32,
    /// Least units of a claim.
    pub min_claim: u32,
    /// Units paid for when the payer ends the job before anything was claimed.
    pub early_cancel_units: u32,
}

/// What was metered in the current leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Meter {
    /// The number of the last receipt; 0: none.
    #[serde(with = "crate::types::decimal")]
    pub seq: u64,
    /// Its hash; zero: none.
    pub head: Hash,
    /// Units of all receipts.
    pub used: Units,
    /// When the last claim came.
    pub last_claim: Option<MarketMs>,
    /// Thousandths of units that could be claimed at `filled_at`.
    #[serde(with = "crate::types::decimal")]
    pub bucket: u64,
    /// When the bucket was last looked at.
    pub filled_at: MarketMs,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Status {
    /// Work goes on; the deposit is in escrow.
    Active = 1,
    /// Everything is paid.
    Settled {
        /// Why.
        cause: Cause,
        /// To whom how much.
        settlement: Settlement,
        /// When.
        at: MarketMs,
    } = 2,
}

/// A payer's money for a provider's work.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Job {
    /// Who pays, and gets what is left.
    pub payer: Address,
    /// Who opened it.
    pub opener: Address,
    /// Who works.
    pub provider: Address,
    /// Its number.
    pub provider_id: ProviderId,
    /// Who earns.
    pub payout: Address,
    /// What works.
    pub model: ModelId,
    /// What is paid.
    pub asset: AssetId,
    /// What is metered.
    pub unit_kind: UnitKind,
    /// What it costs.
    pub price: Price,
    /// All that was ever deposited.
    pub deposit: Amount,
    /// How work becomes money.
    pub mode: Mode,
    /// What else it depends on.
    pub terms: Terms,
    /// When it was opened.
    pub started: MarketMs,
    /// How long it lasts at most.
    pub duration_s: u32,
    /// After how long without activity it ends.
    pub silence_s: u32,
    /// Which leg it is in: how often it was handed over.
    pub leg: u32,
    /// What was metered in this leg.
    pub meter: Meter,
    /// Under which time it stands in the queue.
    pub queued: MarketMs,
    /// What the opener calls it.
    pub client_ref: Option<ClientRef>,
    /// How it stands.
    pub status: Status,
}

impl Terms {
    /// What the parameters say now, for units of this kind and a model of this rate. Bounds in tokens are
    /// divided by what one unit counts for, and rate and least claim stay at least 1.
    pub fn new(params: &MarketParams, rate: u32, kind: UnitKind) -> Self {
        let units = |tokens: u32| tokens.checked_div(kind.tokens()).unwrap_or_default();
        Self {
            fee_bps: params.fee_bps,
            window_s: params.window_s,
            rate: units(rate).max(1),
            burst_s: params.burst_s,
            min_claim: units(params.min_claim).max(1),
            early_cancel_units: units(params.early_cancel_units),
        }
    }

    /// The most units a first claim can have in the first half of a job of these times. The other half is room
    /// for the claim to be sent and to come into a block: at least one step of the market's clock, as two of them
    /// fit into the shortest job and silence (`Params::bounds`).
    pub fn first_claim(&self, duration_s: u32, silence_s: u32) -> Units {
        let half = duration_s.min(silence_s).checked_div(2).unwrap_or_default();
        let seconds = self.burst_s.min(half);
        Units::new(u64::from(self.rate).saturating_mul(seconds.into()))
    }
}

impl Meter {
    /// Nothing yet.
    pub fn new(now: MarketMs) -> Self {
        Self { seq: 0, head: Hash::ZERO, used: Units::ZERO, last_claim: None, bucket: 0, filled_at: now }
    }
}

impl Job {
    /// What is in escrow.
    pub fn escrow(&self) -> Amount {
        match self.status {
            Status::Active => self.deposit,
            Status::Settled { .. } => Amount::ZERO,
        }
    }

    /// The most units the deposit pays for; `None` beyond 64 bits.
    pub fn max_units(&self) -> Option<Units> {
        self.price.affords(self.deposit)
    }

    /// The last moment before it is over.
    pub fn deadline(&self) -> MarketMs {
        let silent = self.meter.last_claim.unwrap_or(self.started).plus_s(self.silence_s);
        self.started.plus_s(self.duration_s).min(silent)
    }

    /// Whether the silence, not the duration, makes it over.
    pub fn is_over_by_silence(&self) -> bool {
        self.deadline() < self.started.plus_s(self.duration_s)
    }

    /// No work is accepted any more.
    pub fn is_over(&self, now: MarketMs) -> bool {
        now > self.deadline()
    }

    /// When the last claim stops being young.
    pub fn claims_settled_at(&self) -> Option<MarketMs> {
        self.meter.last_claim.map(|claim| claim.plus_s(self.terms.window_s))
    }

    /// When the provider may complete it: a window after the last claim, or after the start.
    pub fn completable_at(&self) -> MarketMs {
        self.meter.last_claim.unwrap_or(self.started).plus_s(self.terms.window_s)
    }

    /// The first moment at which it is due.
    pub fn due_at(&self) -> MarketMs {
        let over = self.deadline().saturating_add(1);
        self.claims_settled_at().map_or(over, |settled| settled.max(over))
    }

    /// Over, and without a young claim.
    pub fn is_due(&self, now: MarketMs) -> bool {
        now >= self.due_at()
    }

    /// Thousandths of units that could be claimed now: the bucket starts empty, fills with the rate and holds
    /// `burst_s` of it.
    pub fn bucket(&self, now: MarketMs) -> u64 {
        let rate = u64::from(self.terms.rate);
        let elapsed = now.get().saturating_sub(self.meter.filled_at.get());
        // Units a second are thousandths of units a millisecond.
        let full = rate.saturating_mul(self.terms.burst_s.into()).saturating_mul(1_000);
        self.meter.bucket.saturating_add(rate.saturating_mul(elapsed)).min(full)
    }
}

/// The job of a number.
pub fn job(rows: &impl Rows, id: JobId) -> Result<Job, Failure> {
    JOBS.get(rows, &id)?.ok_or_else(|| UNKNOWN_JOB.because("a job that exists", id).into())
}

/// The job of a number, if it is not settled.
pub fn open_job(rows: &impl Rows, id: JobId) -> Result<Job, Failure> {
    let job = job(rows, id)?;
    match job.status {
        Status::Active => Ok(job),
        Status::Settled { .. } => Err(JOB_ENDED.because("a job that goes on", id).into()),
    }
}

/// The next number of a job.
pub fn take_job_number(overlay: &mut Overlay<'_>) -> Result<JobId, Fault> {
    let id = NEXT_JOB.get(overlay, &())?.unwrap_or(JobId::new(1));
    NEXT_JOB.put(overlay, &(), &id.saturating_add(1));
    Ok(id)
}

/// Where an opener's name for a job is kept: two names of one opener that share it count as the same.
pub fn ref_row(opener: &Address, client_ref: &ClientRef) -> (Address, [u8; 14]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, ..] = *digest(client_ref.as_bytes()).as_bytes();
    (*opener, [a, b, c, d, e, f, g, h, i, j, k, l, m, n])
}
