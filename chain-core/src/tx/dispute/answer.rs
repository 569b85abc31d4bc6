//! Answers of providers. Rules 3 and 4.

use super::*;
use crate::state::market::settle::pay_up_to;
use crate::state::market::{NOT_THE_PROVIDER, Purse};

/// Rule 4.
pub(super) fn deposit(context: &mut Context<'_, '_>, id: JobId) -> Result<(), Failure> {
    let (by, market) = (context.sender, context.market()?);
    let (job, mut dispute) = disputed(context, id, &market)?;
    if by != job.provider {
        return Err(NOT_THE_PROVIDER.because(job.provider, by).into());
    }
    if let Some(at) = dispute.answered {
        return Err(ALREADY_ANSWERED.because("a dispute without an answer", at).into());
    }
    let Dispute { asset, bond, .. } = dispute;
    Purse::Account(by).take(context.state, asset, bond)?;
    DISPUTE_ENDS.remove(context.state, &(dispute.until, id));
    let verdict_until = market.now.plus_s(job.terms.dispute_verdict_s);
    (dispute.answered, dispute.until) = (Some(market.now), verdict_until);
    DISPUTE_ENDS.put(context.state, &(verdict_until, id), &());
    DISPUTES.put(context.state, &id, &dispute);
    let (payer, provider) = (job.payer, job.provider);
    let said = Event::DisputeAnswered { job: id, payer, provider, asset, bond, verdict_until };
    context.emit(crate::tx::Event::Dispute(said));
    Ok(())
}

/// Rule 3.
pub(super) fn prove(context: &mut Context<'_, '_>, id: JobId, ack: &Ack) -> Result<(), Failure> {
    let (by, market) = (context.sender, context.market()?);
    let (mut job, dispute) = disputed(context, id, &market)?;
    // Not its operator: what is not redeemed by now is given up.
    if by != job.provider {
        return Err(NOT_THE_PROVIDER.because(job.provider, by).into());
    }
    let units = job.acknowledged(id, ack)?;
    let payment = pay_up_to(context.state, &mut job, units)?;
    job.meter.used = job.meter.used.max(units);
    let now = (&market, context.params);
    let said = end(context.state, (id, job), dispute, (Cause::NewerAck, Some(by), payment), now)?;
    context.emit(crate::tx::Event::Dispute(said));
    Ok(())
}
