//! What a job's end pays, and the writing of it.
//!
//! `settle` is pure and total, and the only place where an ending becomes amounts. With u the billable units:
//!
//! ```text
//! billable = max(used, proof interval) once there is a claim, else used
//! gross    = ⌊u · price / 1000⌋          at most the deposit
//! fee      = ⌊gross · fee_bps / 10000⌋   the treasury's
//! provider = gross − fee
//! early    = min(⌊early_cancel_units · price / 1000⌋, ⌊deposit / 10⌋)
//!            if the payer completes and nothing was claimed, else 0; all of it the provider's
//! refund   = deposit − gross − early
//! ```
//!
//! So provider + fee + early + refund = deposit, always. All amounts depend on cumulative units only: how
//! work is split into receipts changes nothing.
//!
//! Not here: who may end a job when (the job family).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::clock::Market;
use super::job::{CLIENT_REFS, JOB_ENDS, JOB_FORGETTING, JOBS, Job, Mode, OPEN_PAIRS, Status};
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

/// Why a job ended.
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
}

/// To whom how much of a deposit goes.
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
    /// What the provider gets besides, because the payer ended the job before anything was claimed.
    pub early_fee: Amount,
    /// What the payer gets back.
    pub refund: Amount,
}

/// What this ending of this job pays.
pub fn settle(job: &Job, cause: Cause) -> Settlement {
    let claimed = job.meter.last_claim.is_some();
    let billable = match job.mode {
        Mode::ProviderClaims { proof_interval } if claimed => job.meter.used.max(proof_interval),
        Mode::ProviderClaims { .. } => job.meter.used,
    };
    // No more than max_units was ever accepted, so the deposit covers it; `min` makes that certain.
    let gross = job.price.of(billable).min(job.deposit);
    let fee = gross.bps_floor(job.terms.fee_bps);
    let rest = minus(job.deposit, gross);
    let early_fee = if cause == Cause::PayerCompleted && !claimed {
        let most = job.deposit.bps_floor(MAX_EARLY_FEE_BPS);
        job.price.of(Units::new(job.terms.early_cancel_units.into())).min(most).min(rest)
    } else {
        Amount::ZERO
    };
    Settlement { billable, gross, fee, provider: minus(gross, fee), early_fee, refund: minus(rest, early_fee) }
}

/// A difference that is known not to be negative.
fn minus(from: Amount, less: Amount) -> Amount {
    from.checked_sub(less).unwrap_or_default()
}

/// Ends a job: pays, and writes everything that depends on it. A fixed number of rows.
pub fn end(
    overlay: &mut Overlay<'_>,
    (id, mut job): (JobId, Job),
    cause: Cause,
    market: &Market,
    params: &Params,
) -> Result<(Job, Settlement), Fault> {
    let settlement = settle(&job, cause);
    let Settlement { fee, provider, early_fee, refund, .. } = settlement;
    let earned = provider.checked_add(early_fee).ok_or_else(|| Fault::new("earnings beyond 128 bits"))?;
    Purse::Earnings(job.payout).put(overlay, job.asset, earned)?;
    Purse::Treasury.put(overlay, job.asset, fee)?;
    Purse::Account(job.payer).put(overlay, job.asset, refund)?;
    let missing = || Fault::new(format!("job {id} has a provider without a row"));
    let mut row = PROVIDERS.get(overlay, &job.provider)?.ok_or_else(missing)?;
    count_end(overlay, (&job, &row), (cause, &settlement), market.now, params)?;
    row.job_ended(market.now, params)?;
    PROVIDERS.put(overlay, &job.provider, &row);
    leave_pair(overlay, &job)?;
    JOB_ENDS.remove(overlay, &(job.queued, id));
    JOB_FORGETTING.put(overlay, &(market.now.plus_s(params.retention_s), id), &());
    job.status = Status::Settled { cause, settlement, at: market.now };
    JOBS.put(overlay, &id, &job);
    Ok((job, settlement))
}

fn leave_pair(overlay: &mut Overlay<'_>, job: &Job) -> Result<(), Fault> {
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
    JOBS.remove(overlay, &id);
    Ok(())
}
