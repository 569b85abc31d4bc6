//! Handing a job over to another provider. Rules 18 to 20.

use super::agree::{Ask, Wanted, agree, check_dispute_terms, check_not_over, take_slot};
use super::end::{close, handed_over};
use super::*;
use crate::limits::MIN_JOB_S;
use crate::state::market::job::{Handover, JOBS, Job, Leg, active_job};
use crate::state::market::model::active_model;
use crate::state::market::provider::{OfferKey, active_provider, offer};
use crate::state::market::settle::{hand_over, settle};
use crate::state::market::terms::accepted;
use crate::state::market::{Market, NOT_THE_PAYER, dispute};

/// Rule 18.
pub(super) fn propose(context: &mut Context<'_, '_>, id: JobId, handover: Option<Handover>) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let mut job = active_job(context.state, id)?;
    if by != job.payer {
        return Err(NOT_THE_PAYER.because(job.payer, by).into());
    }
    check_not_over(&job, &market)?;
    if handover.is_some_and(|handover| handover.to == job.provider) {
        return Err(HANDOVER_TO_SELF.because("another provider", job.provider).into());
    }
    job.handover = handover;
    JOBS.put(context.state, &id, &job);
    let Job { payer, provider, leg, .. } = job;
    Ok(Event::JobHandoverOffered { job: id, leg, payer, provider, handover })
}

/// Rules 19 and 20.
pub(super) fn accept(context: &mut Context<'_, '_>, id: JobId, price: Price) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let mut job = active_job(context.state, id)?;
    let handover = job.handover.filter(|handover| handover.to == account && handover.price == price);
    let none = || NO_HANDOVER.because("a handover offered to this account at this price", account);
    let handover = handover.ok_or_else(none)?;
    market.check_open()?;
    check_not_over(&job, &market)?;
    if job.meter.used > handover.max_units {
        return Err(MORE_USED.because(format_args!("at most {}", handover.max_units), job.meter.used).into());
    }
    let provider = active_provider(context.state, &account)?;
    active_model(context.state, &job.model)?;
    accepted(context.state, job.asset)?.check_price(price)?;
    let key = OfferKey { model: job.model, asset: job.asset, unit_kind: job.unit_kind };
    let offer = offer(context.state, provider.id, &key, &market)?.terms;
    let ask = Ask { slots: offer.slots, quantum: offer.quantum, dispute: offer.dispute() };
    check_dispute_terms(handover.dispute_terms, &ask.dispute)?;
    let wanted = wanted(&job, (account, price), &market)?;
    let agreed = agree(context, &wanted, &ask, (&job.terms, provider))?;
    let (provider_id, payout, mode) = (agreed.provider.id, agreed.provider.payout, job.mode);
    let next = Leg { provider: account, provider_id, payout, price, mode };
    take_slot(context.state, &job.payer, &account, &agreed);
    dispute::keep_terms(context.state, id, &ask.dispute);
    job.handover = None;
    if job.is_acknowledged() {
        return Ok(close(context.state, (id, job), (Cause::HandedOver, Some(next)), Some(account), &market)?);
    }
    let before = job.clone();
    let ended = hand_over(context.state, (id, job), &next, &market, context.params)?;
    Ok(handed_over(id, &before, ended, Some(account), &market))
}

/// What is left of the job for the next provider: it has a minute at least once the leg before is closed.
fn wanted(job: &Job, (provider, price): (Address, Price), market: &Market) -> Result<Wanted, Failure> {
    let end = job.started.plus_s(job.duration_s).get();
    let closing_s = if job.is_acknowledged() { job.terms.close_window_s } else { 0 };
    let left_ms = end.saturating_sub(market.now.plus_s(closing_s).get());
    let left_s = u32::try_from(left_ms.checked_div(1_000).unwrap_or_default()).unwrap_or(u32::MAX);
    if left_s < MIN_JOB_S {
        return Err(TOO_LATE_TO_HAND_OVER.because(format_args!("at least {MIN_JOB_S} s"), left_s).into());
    }
    let budget = settle(job, Cause::HandedOver).refund;
    let Job { payer, opener, mode, silence_s, .. } = *job;
    Ok(Wanted { payer, opener, provider, price, budget, mode, times: (left_s, silence_s) })
}
