//! What a job's leg costs and what its end pays, and the writing of it.
//!
//! `settle` is pure and total, and the only place where an ending becomes amounts. With `paid ≤ used` the units of
//! the leg:
//!
//! ```text
//! billable = used; at least the proof interval, if a provider's claims were not disputed
//!            in a dispute the payer wins: the units from which it contested
//! gross    = ⌊billable · price / 1000⌋    at most what is there for the leg
//!            without a verdict: + ⌊contested · no_verdict_provider_bps / 10000⌋
//! fee      = ⌊gross · fee_bps / 10000⌋     the treasury's
//! provider = gross − fee
//! early    = min(⌊early_cancel_units · price / 1000⌋, ⌊what is there for the leg / 10⌋)
//!            if the payer ends a leg in which nothing was used, else 0; all of it the provider's
//! rest     = deposit − earlier legs − gross − early       the payer's, or the next leg's
//! ```
//!
//! So over all legs provider + fee + early + refund = deposit, always. All amounts depend on cumulative units
//! only: how work is split into receipts changes nothing. What was paid before the end (`Meter::paid`) is what the
//! same formulas say of those units; the end pays the difference.
//!
//! Not here: who may end it when (the job family), what happens to the deposits of a dispute (`dispute`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::clock::Market;
use super::dispute::{DISPUTE_TERMS, DISPUTES};
use super::job::{CLIENT_REFS, JOB_ENDS, JOB_FORGETTING, JOBS, Job, Leg, Meter, Mode, OPEN_PAIRS, Status, requeue};
use super::provider::PROVIDERS;
use super::purse::Purse;
use super::reputation::count_end;
use crate::fault::Fault;
use crate::limits::MAX_EARLY_FEE_BPS;
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::types::{Amount, JobId, MarketMs, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Why a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Cause {
    /// The payer was content.
    PayerCompleted = 1,
    /// The provider was done, and nobody contested its claims.
    ProviderCompleted = 2,
    /// The provider did not want it.
    Declined = 3,
    /// It lasted as long as it might.
    DurationOver = 4,
    /// Nothing happened for too long.
    Silence = 5,
    /// The payer gave it to another provider.
    HandedOver = 6,
    /// The payer contested claims, and the provider did not answer.
    Unanswered = 7,
    /// A verdict for the payer.
    VerdictForPayer = 8,
    /// A verdict for the provider.
    VerdictForProvider = 9,
    /// There was no verdict in time.
    NoVerdict = 10,
    /// The provider had an acknowledgement of what the payer contested.
    NewerAck = 11,
}

/// What units of a leg cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Cost {
    /// All of it.
    pub gross: Amount,
    /// The treasury's part.
    pub fee: Amount,
    /// The provider's.
    pub provider: Amount,
}

/// To whom how much of a leg goes, from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Settlement {
    /// Units that are paid for.
    pub billable: Units,
    /// What they cost.
    pub gross: Amount,
    /// The treasury's part of that.
    pub fee: Amount,
    /// The provider's.
    pub provider: Amount,
    /// What the provider gets besides, because the payer ended the leg before anything was claimed.
    pub early_fee: Amount,
    /// What is left: the payer gets it back, all but `Job::returned` at the end; or the next leg has it.
    pub refund: Amount,
}

impl Cost {
    /// The parts of a gross amount.
    fn new(gross: Amount, fee_bps: u16) -> Self {
        let fee = gross.bps_floor(fee_bps);
        Self { gross, fee, provider: minus(gross, fee) }
    }

    /// What this is more than an earlier cost of the same leg. No part is less: as the gross amount grows by one,
    /// its fee grows by one at most.
    fn beyond(self, earlier: Self) -> Self {
        let [gross, fee, provider] =
            [(self.gross, earlier.gross), (self.fee, earlier.fee), (self.provider, earlier.provider)]
                .map(|(all, before)| minus(all, before));
        Self { gross, fee, provider }
    }
}

impl Job {
    /// What so many units of this leg cost.
    pub fn cost(&self, units: Units) -> Cost {
        // No more than max_units was ever accepted, so the deposit covers it; `min` makes that certain.
        Cost::new(self.price.of(units).min(self.budget()), self.terms.fee_bps)
    }
}

/// What this ending of this leg pays.
pub fn settle(job: &Job, cause: Cause) -> Settlement {
    let Meter { used, paid, .. } = job.meter;
    let claimed = !used.is_zero();
    let (billable, share) = match (cause, job.status, job.mode) {
        (Cause::Unanswered | Cause::VerdictForPayer, Status::Disputed { from, .. }, _) => (from, None),
        (Cause::NoVerdict, Status::Disputed { from, no_verdict_provider_bps }, _) => {
            (from, Some(no_verdict_provider_bps))
        }
        (Cause::NewerAck, ..) => (paid, None),
        (_, _, Mode::ProviderClaims { proof_interval }) if claimed => (used.max(proof_interval), None),
        _ => (used, None),
    };
    let undisputed = job.cost(billable).gross;
    let contested = minus(job.cost(used).gross, undisputed);
    let part = share.map_or(Amount::ZERO, |bps| contested.bps_floor(bps));
    let gross = undisputed.saturating_add(part).min(job.budget());
    let Cost { fee, provider, .. } = Cost::new(gross, job.terms.fee_bps);
    let rest = minus(job.budget(), gross);
    let early_fee = if matches!(cause, Cause::PayerCompleted | Cause::HandedOver) && !claimed {
        let most = job.budget().bps_floor(MAX_EARLY_FEE_BPS);
        job.price.of(Units::new(job.terms.early_cancel_units.into())).min(most).min(rest)
    } else {
        Amount::ZERO
    };
    Settlement { billable, gross, fee, provider, early_fee, refund: minus(rest, early_fee) }
}

/// A difference that is known not to be negative.
fn minus(from: Amount, less: Amount) -> Amount {
    from.checked_sub(less).unwrap_or_default()
}

/// Pays for the units of the leg up to this one that are not paid yet, and answers with what was paid.
pub fn pay_up_to(overlay: &mut Overlay<'_>, job: &mut Job, units: Units) -> Result<Cost, Fault> {
    let due = job.cost(units).beyond(job.cost(job.meter.paid));
    Purse::Earnings(job.payout).put(overlay, job.asset, due.provider)?;
    Purse::Treasury.put(overlay, job.asset, due.fee)?;
    job.meter.paid = units;
    Ok(due)
}

/// Ends a job: pays, and writes everything that depends on it. A fixed number of rows.
pub fn end(
    overlay: &mut Overlay<'_>,
    (id, mut job): (JobId, Job),
    cause: Cause,
    market: &Market,
    params: &Params,
) -> Result<(Job, Settlement), Fault> {
    let settlement = end_leg(overlay, (id, &job), cause, market, params)?;
    let left = settlement.refund.checked_sub(job.returned);
    let left = left.ok_or_else(|| Fault::new(format!("job {id} has given back more than is left")))?;
    Purse::Account(job.payer).put(overlay, job.asset, left)?;
    JOB_ENDS.remove(overlay, &(job.queued, id));
    JOB_FORGETTING.put(overlay, &(market.now.plus_s(params.retention_s), id), &());
    job.handover = None;
    job.status = Status::Settled { cause, settlement, at: market.now };
    JOBS.put(overlay, &id, &job);
    Ok((job, settlement))
}

/// Ends a leg, and begins another with what is left: its provider has the job already.
pub fn hand_over(
    overlay: &mut Overlay<'_>,
    (id, mut job): (JobId, Job),
    next: &Leg,
    market: &Market,
    params: &Params,
) -> Result<(Job, Settlement), Fault> {
    let settlement = end_leg(overlay, (id, &job), Cause::HandedOver, market, params)?;
    job.spent = minus(job.deposit, settlement.refund);
    let Leg { provider, provider_id, payout, price, mode } = *next;
    (job.provider, job.provider_id, job.payout, job.price, job.mode) = (provider, provider_id, payout, price, mode);
    (job.leg, job.handover) = (job.leg.saturating_add(1), None);
    (job.meter, job.status) = (Meter::new(market.now), Status::Active);
    requeue(overlay, id, &mut job);
    JOBS.put(overlay, &id, &job);
    Ok((job, settlement))
}

/// Pays provider and treasury what they have not had, and frees the provider.
fn end_leg(
    overlay: &mut Overlay<'_>,
    (id, job): (JobId, &Job),
    cause: Cause,
    market: &Market,
    params: &Params,
) -> Result<Settlement, Fault> {
    let settlement = settle(job, cause);
    let due = Cost::new(settlement.gross, job.terms.fee_bps).beyond(job.cost(job.meter.paid));
    let earned = due.provider.checked_add(settlement.early_fee);
    let earned = earned.ok_or_else(|| Fault::new("earnings beyond 128 bits"))?;
    Purse::Earnings(job.payout).put(overlay, job.asset, earned)?;
    Purse::Treasury.put(overlay, job.asset, due.fee)?;
    let missing = || Fault::new(format!("job {id} has a provider without a row"));
    let mut row = PROVIDERS.get(overlay, &job.provider)?.ok_or_else(missing)?;
    count_end(overlay, (job, &row), (cause, &settlement), market.now, params)?;
    let disputed = matches!(job.status, Status::Disputed { .. });
    row.job_ended(disputed, market.now, params)?;
    PROVIDERS.put(overlay, &job.provider, &row);
    if !disputed {
        leave_pair(overlay, job)?;
    }
    Ok(settlement)
}

/// The payer may open another job with the provider.
pub fn leave_pair(overlay: &mut Overlay<'_>, job: &Job) -> Result<(), Fault> {
    let pair = (job.payer, job.provider_id);
    let open = OPEN_PAIRS.get(overlay, &pair)?.and_then(|open| open.checked_sub(1));
    match open.ok_or_else(|| Fault::new("a job ends that was never counted"))? {
        0 => OPEN_PAIRS.remove(overlay, &pair),
        open => OPEN_PAIRS.put(overlay, &pair, &open),
    }
    Ok(())
}

/// Removes what is left of a settled job.
pub fn forget(overlay: &mut Overlay<'_>, at: MarketMs, id: JobId) -> Result<(), Fault> {
    JOB_FORGETTING.remove(overlay, &(at, id));
    let Some(job) = JOBS.get(overlay, &id)? else { return Err(Fault::new(format!("job {id} is forgotten twice"))) };
    if let Some(client_ref) = &job.client_ref {
        CLIENT_REFS.remove(overlay, &super::job::ref_row(&job.opener, client_ref));
    }
    DISPUTE_TERMS.remove(overlay, &id);
    DISPUTES.remove(overlay, &id);
    JOBS.remove(overlay, &id);
    Ok(())
}
