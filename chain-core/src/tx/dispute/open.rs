//! Opening disputes. Rules 1 and 2.

use super::*;
use crate::codec::List;
use crate::limits::BPS;
use crate::state::market::dispute::dispute_terms;
use crate::state::market::job::{JOB_ENDS, JOBS, active_job};
use crate::state::market::provider::PROVIDERS;
use crate::state::market::settle::{leave_pair, pay_up_to};
use crate::state::market::{NOT_THE_PAYER, Purse};

pub(super) fn open(context: &mut Context<'_, '_>, id: JobId, from: Units) -> Result<(), Failure> {
    let (payer, market) = (context.sender, context.market()?);
    let mut job = active_job(context.state, id)?;
    if payer != job.payer {
        return Err(NOT_THE_PAYER.because(job.payer, payer).into());
    }
    if !job.has_young_claim(market.now) {
        return Err(NOTHING_TO_DISPUTE.because("a claim that is young", market.now).into());
    }
    let (least, used) = (job.contestable_from(market.now), job.meter.used);
    if from < least || from >= used {
        return Err(FROM_RANGE.because(format_args!("{least} to below {used}"), from).into());
    }
    let contested = job.cost(used).gross.checked_sub(job.cost(from).gross).unwrap_or_default();
    if contested.is_zero() {
        return Err(NOTHING_TO_DISPUTE.because("claims that cost something", contested).into());
    }
    let bond = bond(&job, contested);
    let row_fee = context.burn_account_fee()?;
    Purse::Account(payer).take(context.state, job.asset, bond)?;
    let terms = dispute_terms(context.state, id)?;
    let payment = pay_up_to(context.state, &mut job, from)?;
    let returned = give_back_rest(context.state, &mut job)?;
    let until = market.now.plus_s(job.terms.dispute_respond_s);
    let dispute = Dispute {
        leg: job.leg,
        from,
        used,
        contested,
        asset: job.asset,
        bond,
        opened: market.now,
        answered: None,
        until,
        votes: List::default(),
        outcome: None,
    };
    let missing = || Fault::new(format!("job {id} has a provider without a row"));
    let mut working = PROVIDERS.get(context.state, &job.provider)?.ok_or_else(missing)?;
    working.job_disputed()?;
    PROVIDERS.put(context.state, &job.provider, &working);
    leave_pair(context.state, &job)?;
    JOB_ENDS.remove(context.state, &(job.queued, id));
    DISPUTE_ENDS.put(context.state, &(until, id), &());
    DISPUTES.put(context.state, &id, &dispute);
    let no_verdict_provider_bps = terms.no_verdict_provider_bps;
    (job.status, job.handover) = (Status::Disputed { from, no_verdict_provider_bps }, None);
    JOBS.put(context.state, &id, &job);
    let Job { provider, payout, model, .. } = job;
    let respond_until = until;
    context.emit(crate::tx::Event::Dispute(Event::DisputeOpened {
        job: id,
        payer,
        provider,
        payout,
        model,
        dispute,
        payment,
        returned,
        respond_until,
        row_fee,
    }));
    Ok(())
}

/// What each side deposits.
fn bond(job: &Job, contested: Amount) -> Amount {
    let share = contested.get().saturating_mul(job.terms.dispute_bond_bps.into()).div_ceil(BPS);
    Amount::new(share).max(job.terms.min_dispute_bond)
}

/// Rule 2: what is beyond the claims. Where the payer acknowledges, it may be owed for acknowledged work.
fn give_back_rest(state: &mut Overlay<'_>, job: &mut Job) -> Result<Amount, Fault> {
    if job.is_acknowledged() {
        return Ok(Amount::ZERO);
    }
    let beyond = job.budget().checked_sub(job.cost(job.meter.used).gross).unwrap_or_default();
    Purse::Account(job.payer).put(state, job.asset, beyond)?;
    job.returned = beyond;
    Ok(beyond)
}
