//! Jobs: a payer's money in escrow for a provider's work, on terms fixed at the opening.
//!
//! ```text
//! Posted ──bid accepted──▶ Active ──────────────────────▶ Settled
//!   └─▶ given back           ├──▶ Closing ──▶ Settled, or Active in the next leg
//!                            └──▶ Disputed ──▶ Settled
//! ```
//!
//! Times, all by the market's clock:
//! 1. An active job is *over* when now > start + duration or now > last activity + silence: no work is claimed any
//!    more. Activity is the beginning of the leg, and every accepted claim; where the payer acknowledges, every
//!    redeemed acknowledgement instead.
//! 2. A claim is *young* while now < claim + window. Nothing but the payer's own consent, or its dispute, ends a job
//!    with a young claim.
//! 3. An active job is *due* when it is over and has no young claim, a closing one at the end of its closing. It
//!    behaves as ended: whoever asks, or the queue at the end of a block, takes the next step.
//!
//! Units of a leg: paid ≤ used ≤ `max_units`. Paid are those acknowledged, and those a dispute left alone.
//!
//! Not here: what an ending pays (`settle`), who may end it (the job family), receipts (the receipt family),
//! disputes (`dispute`), posted jobs (`post`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::params::MarketParams;
use super::settle::{Cause, Settlement};
use super::terms::AssetTerms;
use super::{
    ACK_OLD, ACK_OTHER_JOB, ACK_OTHER_KEY, ACK_OTHER_LEG, ACK_OTHER_PROVIDER, JOB_CLOSING, JOB_DISPUTED, JOB_ENDED,
    NO_ACKS, UNKNOWN_JOB,
};
use crate::codec::Text;
use crate::crypto::{Hash, PublicKey, digest};
use crate::fault::{Failure, Fault};
use crate::limits::MAX_LABEL_BYTES;
use crate::state::overlay::Overlay;
use crate::state::table::{Rows, Table};
use crate::types::{
    Ack, Acknowledged, Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId, Rejected, UnitKind, Units,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Jobs by number, until `retention_s` after they were settled.
pub const JOBS: Table<JobId, Job> = Table::new(46);
/// The number of the next job; no row: 1.
pub const NEXT_JOB: Table<(), JobId> = Table::new(47);
/// When an open job is looked at; a job that is active or closing has one row here, under `Job::queued`.
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
    /// The payer acknowledges work, and acknowledgements are paid at once.
    ClientAcks {
        /// The most units claimed beyond the last acknowledgement.
        quantum: Units,
        /// Who signs acknowledgements.
        ack_key: PublicKey,
    } = 2,
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
    /// How long acknowledgements can be redeemed once the job is over, in seconds.
    pub close_window_s: u32,
    /// What each side of a dispute deposits, in basis points of the contested amount.
    pub dispute_bond_bps: u16,
    /// And what at least, in base units.
    pub min_dispute_bond: Amount,
    /// How long the provider can answer a dispute, in seconds.
    pub dispute_respond_s: u32,
    /// How long there can be a verdict after that, in seconds.
    pub dispute_verdict_s: u32,
    /// What both lose where there is none, in basis points.
    pub bond_loss_no_verdict_bps: u16,
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
    /// Units of them that are paid for already.
    pub paid: Units,
    /// Units of them nobody can contest any more.
    pub uncontested: Units,
    /// Units nobody can contest once `marked_at` is a window ago.
    pub marked: Units,
    /// When these were claimed.
    pub marked_at: MarketMs,
    /// When the last claim came that is not acknowledged.
    pub last_claim: Option<MarketMs>,
    /// When there was activity last.
    pub active_at: MarketMs,
    /// Thousandths of units that could be claimed at `filled_at`.
    #[serde(with = "crate::types::decimal")]
    pub bucket: u64,
    /// When the bucket was last looked at.
    pub filled_at: MarketMs,
}

/// Who works in a leg, and for how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Leg {
    /// Who works.
    pub provider: Address,
    /// Its number.
    pub provider_id: ProviderId,
    /// Who earns.
    pub payout: Address,
    /// What it costs.
    pub price: Price,
    /// How work becomes money.
    pub mode: Mode,
}

/// To whom the payer would hand the job over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// To whom.
    pub to: Address,
    /// At which price.
    pub price: Price,
    /// The most units that may have been used by then.
    pub max_units: Units,
    /// Hash of the dispute terms its offer must have; `None`: those of an offer without arbiters.
    #[serde(default)]
    pub dispute_terms: Option<Hash>,
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
    /// No work is claimed any more; acknowledgements can be redeemed.
    Closing {
        /// Why.
        cause: Cause,
        /// Until when: from then on it is due.
        until: MarketMs,
        /// Who goes on then with what is left; nobody: it is settled.
        next: Option<Leg>,
    } = 3,
    /// The payer contests claims; everything else waits for the end of the dispute (`dispute::DISPUTES`).
    Disputed {
        /// From which unit on.
        from: Units,
        /// The provider's part of the contested amount if there is no verdict, in basis points.
        no_verdict_provider_bps: u16,
    } = 4,
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
    /// What earlier legs have cost.
    pub spent: Amount,
    /// What the payer has back already.
    pub returned: Amount,
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
    /// To whom the payer would hand it over.
    pub handover: Option<Handover>,
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
    pub fn new(params: &MarketParams, rate: u32, kind: UnitKind, asset: &AssetTerms) -> Self {
        let units = |tokens: u32| tokens.checked_div(kind.tokens()).unwrap_or_default();
        Self {
            fee_bps: params.fee_bps,
            window_s: params.window_s,
            rate: units(rate).max(1),
            burst_s: params.burst_s,
            min_claim: units(params.min_claim).max(1),
            early_cancel_units: units(params.early_cancel_units),
            close_window_s: params.close_window_s,
            dispute_bond_bps: params.dispute_bond_bps,
            min_dispute_bond: asset.min_deposit,
            dispute_respond_s: params.dispute_respond_s,
            dispute_verdict_s: params.dispute_verdict_s,
            bond_loss_no_verdict_bps: params.bond_loss_no_verdict_bps,
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
        let (used, paid, uncontested) = (Units::ZERO, Units::ZERO, Units::ZERO);
        let (head, last_claim, bucket, marked) = (Hash::ZERO, None, 0, Units::ZERO);
        let (seq, marked_at, active_at, filled_at) = (0, now, now, now);
        Self { seq, head, used, paid, uncontested, marked, marked_at, last_claim, active_at, bucket, filled_at }
    }
}

impl Job {
    /// What is in escrow.
    pub fn escrow(&self) -> Amount {
        match self.status {
            Status::Settled { .. } => Amount::ZERO,
            _ => {
                let gone = [self.cost(self.meter.paid).gross, self.returned];
                // No more was ever paid out than there was.
                gone.into_iter().fold(self.budget(), |left, gone| left.checked_sub(gone).unwrap_or_default())
            }
        }
    }

    /// What this leg can cost at most.
    pub fn budget(&self) -> Amount {
        self.deposit.checked_sub(self.spent).unwrap_or_default()
    }

    /// The most units of this leg that are paid for; `None` beyond 64 bits.
    pub fn max_units(&self) -> Option<Units> {
        self.price.affords(self.budget())
    }

    /// Units up to which an acknowledgement is paid: what it says, or all the deposit pays for.
    ///
    /// # Errors
    /// It is not for this leg of this job, not by its key, or no more than was paid already.
    pub fn acknowledged(&self, id: JobId, ack: &Ack) -> Result<Units, Rejected> {
        let Acknowledged { job, leg, provider, cumulative_units } = ack.acknowledged;
        let Mode::ClientAcks { ack_key, .. } = self.mode else {
            return Err(NO_ACKS.because("a receipt without an acknowledgement", "one with"));
        };
        if job != id {
            return Err(ACK_OTHER_JOB.because(id, job));
        }
        if leg != self.leg {
            return Err(ACK_OTHER_LEG.because(self.leg, leg));
        }
        if provider != self.provider {
            return Err(ACK_OTHER_PROVIDER.because(self.provider, provider));
        }
        if ack.key != ack_key {
            return Err(ACK_OTHER_KEY.because(ack_key, ack.key));
        }
        let units = cumulative_units.min(self.max_units().unwrap_or(Units::MAX));
        if units <= self.meter.paid {
            return Err(ACK_OLD.because(format_args!("more than {}", self.meter.paid), units));
        }
        Ok(units)
    }

    /// Whether the payer acknowledges work.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.mode, Mode::ClientAcks { .. })
    }

    /// The last moment before it is over.
    pub fn deadline(&self) -> MarketMs {
        let silent = self.meter.active_at.plus_s(self.silence_s);
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

    /// Whether the last claim is young.
    pub fn has_young_claim(&self, now: MarketMs) -> bool {
        self.claims_settled_at().is_some_and(|settled| now < settled)
    }

    /// Units nobody can contest any more now: all, while no claim is young. Otherwise a mark is set with a claim, and
    /// again with the first claim a window after it; then what it marked is out of reach. So however often a provider
    /// claims, no more than the claims of two windows can be contested, and every claim can be for one.
    pub fn uncontested(&self, now: MarketMs) -> Units {
        if !self.has_young_claim(now) {
            return self.meter.used;
        }
        let Meter { uncontested, marked, marked_at, .. } = self.meter;
        let settled = now >= marked_at.plus_s(self.terms.window_s);
        if settled { uncontested.max(marked) } else { uncontested }
    }

    /// The least unit from which claims can be contested now.
    pub fn contestable_from(&self, now: MarketMs) -> Units {
        self.meter.paid.max(self.uncontested(now))
    }

    /// The meter after a claim of these cumulative units, as far as contesting goes.
    pub fn marked(&self, cumulative: Units, now: MarketMs) -> Meter {
        let mut meter = self.meter;
        if meter.marked.is_zero() || now >= meter.marked_at.plus_s(self.terms.window_s) {
            (meter.uncontested, meter.marked, meter.marked_at) = (self.uncontested(now), cumulative, now);
        }
        (meter.used, meter.last_claim) = (cumulative, Some(now));
        meter
    }

    /// When the provider may complete it: a window after the last claim. Where nobody acknowledges, not before a
    /// window after the start either.
    pub fn completable_at(&self) -> MarketMs {
        let claim = if self.is_acknowledged() { self.meter.last_claim } else { Some(self.meter.active_at) };
        claim.map_or(MarketMs::ZERO, |claim| claim.plus_s(self.terms.window_s))
    }

    /// The first moment at which it is due; a disputed or settled job never is.
    pub fn due_at(&self) -> MarketMs {
        match self.status {
            Status::Active => {
                let over = self.deadline().saturating_add(1);
                self.claims_settled_at().map_or(over, |settled| settled.max(over))
            }
            Status::Closing { until, .. } => until,
            Status::Disputed { .. } | Status::Settled { .. } => MarketMs::MAX,
        }
    }

    /// Over without a young claim, or at the end of its closing.
    pub fn is_due(&self, now: MarketMs) -> bool {
        now >= self.due_at()
    }

    /// Which of its times makes it due.
    pub fn cause_of_time(&self) -> Cause {
        if self.is_over_by_silence() { Cause::Silence } else { Cause::DurationOver }
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

/// The job of a number, if it is active or closing.
pub fn open_job(rows: &impl Rows, id: JobId) -> Result<Job, Failure> {
    let job = job(rows, id)?;
    match job.status {
        Status::Active | Status::Closing { .. } => Ok(job),
        Status::Disputed { .. } => Err(JOB_DISPUTED.because("a job that is not disputed", id).into()),
        Status::Settled { .. } => Err(JOB_ENDED.because("a job that goes on", id).into()),
    }
}

/// The job of a number, if it is active.
pub fn active_job(rows: &impl Rows, id: JobId) -> Result<Job, Failure> {
    let job = open_job(rows, id)?;
    match job.status {
        Status::Closing { until, .. } => {
            Err(JOB_CLOSING.because("an active job", format_args!("{id}, closing until {until}")).into())
        }
        _ => Ok(job),
    }
}

/// Writes a job, and its row in the queue anew if it is due at another time that the row would be too late for.
pub fn put_job(overlay: &mut Overlay<'_>, id: JobId, job: &mut Job) {
    let due = job.due_at();
    if due < job.queued {
        requeue(overlay, id, job);
    }
    JOBS.put(overlay, &id, job);
}

/// Puts the job's row in the queue to the time at which it is due.
pub fn requeue(overlay: &mut Overlay<'_>, id: JobId, job: &mut Job) {
    JOB_ENDS.remove(overlay, &(job.queued, id));
    job.queued = job.due_at();
    JOB_ENDS.put(overlay, &(job.queued, id), &());
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
