//! Ends of legs, by whoever asks or by time. Rules 9 to 12.

use super::agree::check_not_over;
use super::*;
use crate::fault::Fault;
use crate::state::Overlay;
use crate::state::market::job::{Job, Leg, Status, active_job, open_job, put_job};
use crate::state::market::provider::{PROVIDERS, Provider, provider};
use crate::state::market::settle::{end, hand_over};
use crate::state::market::{JOB_CLOSING, JOB_OVER, Market, NOT_THE_PROVIDER};
use crate::state::params::Params;

/// Rule 9.
pub(super) fn decline(context: &mut Context<'_, '_>, id: JobId) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let job = active_job(context.state, id)?;
    let Some(working) = working(context, &job)? else {
        return Err(NOT_THE_PROVIDER.because(job.provider, by).into());
    };
    check_not_over(&job, &market)?;
    if !job.meter.used.is_zero() {
        return Err(WORK_ACCEPTED.because("a job without accepted work", job.meter.used).into());
    }
    PROVIDERS.put(context.state, &job.provider, &Provider { last_seen: market.now, ..working });
    let gives_up = by == job.provider;
    let by = Some(by);
    if job.is_acknowledged() && !gives_up {
        return Ok(close(context.state, (id, job), (Cause::Declined, None), by, &market)?);
    }
    Ok(finish(context.state, (id, job), Cause::Declined, by, (&market, context.params))?)
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
    // An operator moves no money, so it gives none up either: acknowledgements may be there that were not redeemed.
    let gives_up = by == job.provider;
    if let Status::Closing { until, .. } = job.status
        && !gives_up
    {
        return Err(JOB_CLOSING.because("an active job", format_args!("closing until {until}")).into());
    }
    if let Some(working) = working {
        PROVIDERS.put(context.state, &job.provider, &Provider { last_seen: market.now, ..working });
    }
    let now = (&market, context.params);
    match job.status {
        Status::Closing { cause, next, .. } => Ok(closed(context.state, (id, job), (cause, next), Some(by), now)?),
        _ if job.payer == by && job.is_acknowledged() => {
            Ok(close(context.state, (id, job), (Cause::PayerCompleted, None), Some(by), &market)?)
        }
        _ if job.payer == by => Ok(finish(context.state, (id, job), Cause::PayerCompleted, Some(by), now)?),
        _ => {
            let from = job.completable_at();
            if market.now < from {
                return Err(WINDOW_OPEN.because(format_args!("at least {from}"), market.now).into());
            }
            if job.is_acknowledged() && !gives_up {
                return Ok(close(context.state, (id, job), (Cause::ProviderCompleted, None), Some(by), &market)?);
            }
            Ok(finish(context.state, (id, job), Cause::ProviderCompleted, Some(by), now)?)
        }
    }
}

/// Rule 11, for whoever asks.
pub(super) fn expire(context: &mut Context<'_, '_>, id: JobId) -> Result<Event, Failure> {
    let market = context.market()?;
    let job = open_job(context.state, id)?;
    if !job.is_due(market.now) {
        return Err(NOT_DUE.because(format_args!("at least {}", job.due_at()), market.now).into());
    }
    Ok(go_on(context.state, (id, job), Some(context.sender), (&market, context.params))?)
}

/// The next step of a job that is due.
pub(super) fn go_on(
    state: &mut Overlay<'_>,
    (id, job): (JobId, Job),
    by: Option<Address>,
    now: (&Market, &Params),
) -> Result<Event, Fault> {
    match job.status {
        Status::Closing { cause, next, .. } => closed(state, (id, job), (cause, next), by, now),
        _ => {
            let cause = job.cause_of_time();
            if job.is_acknowledged() {
                return close(state, (id, job), (cause, None), by, now.0);
            }
            finish(state, (id, job), cause, by, now)
        }
    }
}

/// From now on acknowledgements can be redeemed, and nothing else.
pub(super) fn close(
    state: &mut Overlay<'_>,
    (id, mut job): (JobId, Job),
    (cause, next): (Cause, Option<Leg>),
    by: Option<Address>,
    market: &Market,
) -> Result<Event, Fault> {
    let until = market.now.plus_s(job.terms.close_window_s);
    (job.status, job.handover) = (Status::Closing { cause, until, next }, None);
    put_job(state, id, &mut job);
    let Job { payer, provider, leg, meter, .. } = job;
    let (used, paid) = (meter.used, meter.paid);
    Ok(Event::JobClosing { job: id, leg, cause, by, payer, provider, next, used, paid, at: market.now, until })
}

/// The end of a closing.
fn closed(
    state: &mut Overlay<'_>,
    (id, job): (JobId, Job),
    (cause, next): (Cause, Option<Leg>),
    by: Option<Address>,
    (market, params): (&Market, &Params),
) -> Result<Event, Fault> {
    let Some(next) = next else { return finish(state, (id, job), cause, by, (market, params)) };
    let before = job.clone();
    let ended = hand_over(state, (id, job), &next, market, params)?;
    Ok(handed_over(id, &before, ended, by, market))
}

/// The job's provider, if the sender is it, or its operator as the chain knows it now.
fn working(context: &Context<'_, '_>, job: &Job) -> Result<Option<Provider>, Failure> {
    let row = provider(context.state, &job.provider)?;
    Ok(Some(row).filter(|row| row.acts(&job.provider, &context.sender)))
}

fn finish(
    state: &mut Overlay<'_>,
    (id, job): (JobId, Job),
    cause: Cause,
    by: Option<Address>,
    (market, params): (&Market, &Params),
) -> Result<Event, Fault> {
    let (job, settlement) = end(state, (id, job), cause, market, params)?;
    Ok(Event::JobSettled {
        job: id,
        leg: job.leg,
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
        spent: job.spent,
        used: job.meter.used,
        paid_before: job.cost(job.meter.paid),
        settlement,
        at: market.now,
    })
}

/// What is said of a leg that another followed.
pub(super) fn handed_over(
    id: JobId,
    before: &Job,
    (after, settlement): (Job, Settlement),
    by: Option<Address>,
    market: &Market,
) -> Event {
    Event::JobHandedOver {
        job: id,
        leg: before.leg,
        by,
        payer: before.payer,
        provider: before.provider,
        payout: before.payout,
        model: before.model,
        asset: before.asset,
        unit_kind: before.unit_kind,
        price: before.price,
        deposit: before.deposit,
        spent: before.spent,
        used: before.meter.used,
        paid_before: before.cost(before.meter.paid),
        settlement,
        next: Leg {
            provider: after.provider,
            provider_id: after.provider_id,
            payout: after.payout,
            price: after.price,
            mode: after.mode,
        },
        max_units: after.max_units().unwrap_or(Units::MAX),
        at: market.now,
    }
}
