//! Ends of jobs that somebody asks for. Rules 9 to 12.

use super::*;
use crate::state::market::job::{Job, open_job};
use crate::state::market::provider::{PROVIDERS, Provider, provider};
use crate::state::market::settle::end;
use crate::state::market::{JOB_OVER, Market, NOT_THE_PROVIDER};

/// Rule 9.
pub(super) fn decline(context: &mut Context<'_, '_>, id: JobId) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let job = open_job(context.state, id)?;
    let Some(working) = working(context, &job)? else {
        return Err(NOT_THE_PROVIDER.because(job.provider, by).into());
    };
    if job.is_over(market.now) {
        return Err(JOB_OVER.because(format_args!("at most {}", job.deadline()), market.now).into());
    }
    if job.meter.last_claim.is_some() {
        return Err(WORK_ACCEPTED.because("a job without accepted work", job.meter.used).into());
    }
    PROVIDERS.put(context.state, &job.provider, &Provider { last_seen: market.now, ..working });
    finish(context, (id, job), Cause::Declined, &market)
}

/// Rule 10.
pub(super) fn complete(context: &mut Context<'_, '_>, id: JobId, max_units: Units) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let job = open_job(context.state, id)?;
    let working = working(context, &job)?;
    if job.payer != by && working.is_none() {
        return Err(NOT_A_PARTY.because(format_args!("{} or {}", job.payer, job.provider), by).into());
    }
    if job.is_due(market.now) {
        return Err(JOB_OVER.because(format_args!("before {}", job.due_at()), market.now).into());
    }
    if job.meter.used > max_units {
        return Err(MORE_USED.because(format_args!("at most {max_units}"), job.meter.used).into());
    }
    if let Some(working) = working {
        PROVIDERS.put(context.state, &job.provider, &Provider { last_seen: market.now, ..working });
    }
    if job.payer == by {
        return finish(context, (id, job), Cause::PayerCompleted, &market);
    }
    let from = job.completable_at();
    if market.now < from {
        return Err(WINDOW_OPEN.because(format_args!("at least {from}"), market.now).into());
    }
    finish(context, (id, job), Cause::ProviderCompleted, &market)
}

/// Rule 11, for whoever asks.
pub(super) fn expire(context: &mut Context<'_, '_>, id: JobId) -> Result<Event, Failure> {
    let market = context.market()?;
    let job = open_job(context.state, id)?;
    if !job.is_due(market.now) {
        return Err(NOT_DUE.because(format_args!("at least {}", job.due_at()), market.now).into());
    }
    let cause = cause_of_time(&job);
    finish(context, (id, job), cause, &market)
}

/// Which of its times ended a job that is due.
pub(super) fn cause_of_time(job: &Job) -> Cause {
    if job.is_over_by_silence() { Cause::Silence } else { Cause::DurationOver }
}

/// The job's provider, if the sender is it, or its operator as the chain knows it now.
fn working(context: &Context<'_, '_>, job: &Job) -> Result<Option<Provider>, Failure> {
    let row = provider(context.state, &job.provider)?;
    Ok(Some(row).filter(|row| row.acts(&job.provider, &context.sender)))
}

fn finish(
    context: &mut Context<'_, '_>,
    (id, job): (JobId, Job),
    cause: Cause,
    market: &Market,
) -> Result<Event, Failure> {
    let ended = end(context.state, (id, job), cause, market, context.params)?;
    Ok(settled(id, ended, cause, Some(context.sender), market))
}

/// What is said of an end.
pub(super) fn settled(
    id: JobId,
    (job, settlement): (Job, Settlement),
    cause: Cause,
    by: Option<Address>,
    market: &Market,
) -> Event {
    Event::JobSettled {
        job: id,
        cause,
        by,
        payer: job.payer,
        provider: job.provider,
        payout: job.payout,
        model: job.model,
        asset: job.asset,
        unit_kind: job.unit_kind,
        price: job.price,
        deposit: job.deposit,
        used: job.meter.used,
        settlement,
        at: market.now,
    }
}
