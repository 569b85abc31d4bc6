//! Bonds: more of them, leaving, slashing, and having them back. Rules 4 to 6 and 8 to 10.

use super::offer::drop_offers_but;
use super::*;
use crate::fault::Fault;
use crate::limits::MAX_COMPENSATIONS_PER_BLOCK;
use crate::state::Role;
use crate::state::market::job::{Job, job};
use crate::state::market::provider::{COMPENSATIONS, Compensation, PROFILES, active_provider, provider};
use crate::state::market::{Purse, check_role, due};
use crate::tx::BlockEnd;

/// Rule 4.
pub(super) fn add(context: &mut Context<'_, '_>, amount: Amount) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let row = active_provider(context.state, &account)?;
    let bond = row.bond.checked_add(amount).ok_or_else(|| Fault::new("a bond beyond 128 bits"))?;
    Purse::Account(account).take(context.state, market.stake_asset, amount)?;
    put_alive(context, &account, Provider { bond, ..row }, &market);
    Ok(Event::ProviderBondAdded { provider: account, amount, bond })
}

/// Rule 5.
pub(super) fn leave(context: &mut Context<'_, '_>) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let mut row = active_provider(context.state, &account)?;
    row.leave(ProviderState::Leaving, market.now, context.params);
    let offers_deleted = drop_offers_but(context, &account, row.id, |_| false)?;
    put_alive(context, &account, row, &market);
    let Provider { open_jobs, bond, free_from, .. } = row;
    Ok(Event::ProviderLeft { provider: account, open_jobs, offers_deleted, bond, free_from })
}

/// Rule 6.
pub(super) fn withdraw(context: &mut Context<'_, '_>) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let row = provider(context.state, &account)?;
    if !row.is_leaving() {
        return Err(STILL_ACTIVE.because("a provider that left", account).into());
    }
    match row.free_from {
        None => return Err(BOND_LOCKED.because("no open jobs", row.open_jobs).into()),
        Some(free) if market.now < free => {
            return Err(BOND_LOCKED.because(format_args!("at least {free}"), market.now).into());
        }
        Some(_) => {}
    }
    Purse::Account(account).put(context.state, market.stake_asset, row.bond)?;
    let (state, bond) = (ProviderState::Gone, Amount::ZERO);
    PROVIDERS.put(context.state, &account, &Provider { state, bond, operator: None, free_from: None, ..row });
    PROFILES.remove(context.state, &account);
    Ok(Event::ProviderBondWithdrawn { provider: account, amount: row.bond })
}

/// Rules 8 to 10.
pub(super) fn slash(
    context: &mut Context<'_, '_>,
    account: &Address,
    amount: Amount,
    (evidence, reason): (&Text<MAX_CONTENT_REF_BYTES>, &Text<MAX_REASON_BYTES>),
    job_id: Option<JobId>,
) -> Result<Event, Failure> {
    let (by, market, params) = (context.sender, context.market()?, context.params);
    check_role(context.state, &by, &[Role::Slasher])?;
    let mut row = provider(context.state, account)?;
    let bond = check_slash(&row, amount, context, &market)?;
    let victim = job_id.map(|id| victim(context, id, account)).transpose()?;
    let payer = victim.as_ref().map(|job| job.payer);
    let compensation = payer.map_or(Amount::ZERO, |_| amount.bps_floor(params.market.victim_bps));
    let to_treasury = amount.checked_sub(compensation).ok_or_else(|| Fault::new("more than all of a slash"))?;
    Purse::Treasury.put(context.state, market.stake_asset, to_treasury)?;
    let mut paid_at = None;
    if let (Some(Job { payer, terms, .. }), Some(job), false) = (victim, job_id, compensation.is_zero()) {
        let window_s = terms.window_s.max(params.market.window_s);
        let at = market.now.plus_s(window_s).plus_s(params.market.provider_unbonding_s).saturating_add(1);
        let known = COMPENSATIONS.get(context.state, &(at, job))?.map_or(Amount::ZERO, |known| known.amount);
        let amount = known.checked_add(compensation).ok_or_else(|| Fault::new("compensations beyond 128 bits"))?;
        COMPENSATIONS.put(context.state, &(at, job), &Compensation { provider: *account, payer, amount });
        paid_at = Some(at);
    }
    (row.bond, row.last_slash) = (bond, Some(market.now));
    let removed = bond < params.market.bond_floor && row.state != ProviderState::Removed;
    let mut offers_deleted = 0;
    if removed {
        row.leave(ProviderState::Removed, market.now, params);
        offers_deleted = drop_offers_but(context, account, row.id, |_| false)?;
    }
    PROVIDERS.put(context.state, account, &row);
    let (evidence, reason, provider, job) = (evidence.clone(), reason.clone(), *account, job_id);
    Ok(Event::ProviderSlashed {
        provider,
        by,
        amount,
        bond,
        to_treasury,
        compensation,
        payer,
        job,
        paid_at,
        evidence,
        reason,
        removed,
        offers_deleted,
    })
}

/// Rule 8: what is left of the bond.
fn check_slash(row: &Provider, amount: Amount, context: &Context<'_, '_>, market: &Market) -> Result<Amount, Failure> {
    let params = &context.params.market;
    if row.free_from.is_some_and(|free| market.now >= free) {
        return Err(BOND_FREE.because("a bond that waits", market.now).into());
    }
    let again = row.last_slash.map(|last| last.plus_s(params.slash_cooldown_s));
    if again.is_some_and(|again| market.now < again) {
        return Err(SLASH_TOO_SOON.because(again.unwrap_or_default(), market.now).into());
    }
    let most = row.bond.bps_floor(params.slash_max_bps);
    if amount > most {
        return Err(SLASH_TOO_LARGE.because(format_args!("at most {most}"), amount).into());
    }
    Ok(row.bond.checked_sub(amount).ok_or_else(|| Fault::new("more than a whole bond slashed"))?)
}

/// Rule 9: the job of another account with this provider.
fn victim(context: &Context<'_, '_>, id: JobId, account: &Address) -> Result<Job, Failure> {
    let job = job(context.state, id)?;
    if job.provider != *account || job.payer == *account {
        return Err(NOT_A_VICTIM.because("a job of another account with the provider", id).into());
    }
    Ok(job)
}

/// Pays compensations that are due.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    for (at, job) in due(&COMPENSATIONS, block.state, market.now, MAX_COMPENSATIONS_PER_BLOCK)? {
        let Some(Compensation { provider, payer, amount }) = COMPENSATIONS.get(block.state, &(at, job))? else {
            continue;
        };
        COMPENSATIONS.remove(block.state, &(at, job));
        Purse::Account(payer).put(block.state, market.stake_asset, amount)?;
        let event = Event::CompensationPaid { provider, payer, job, asset: market.stake_asset, amount };
        block.report(vec![crate::tx::Event::Provider(event)]);
    }
    Ok(())
}
