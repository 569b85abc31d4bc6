//! Bonds: more of them, leaving, slashing, and having them back. Rules 4 to 6 and 8 to 10.

use super::offer::{drop_offers_but, say_withdrawn};
use super::*;
use crate::fault::Fault;
use crate::limits::MAX_COMPENSATIONS_PER_BLOCK;
use crate::state::Role;
use crate::state::market::provider::{COMPENSATIONS, Compensation, PROFILES, active_provider, provider};
use crate::state::market::slash::{self, Slash, slashable, victim};
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
    job: Option<JobId>,
) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    check_role(context.state, &by, &[Role::Slasher])?;
    let row = slashable(context.state, account, &market)?;
    check_slash(&row, amount, context, &market)?;
    let victim = job.map(|job| victim(context.state, account, job)).transpose()?;
    let slash = slash::slash(context.state, account, amount, victim, (&market, context.params))?;
    let Slash { provider, bond, to_treasury, compensation, payer, paid_at, removed, offers_deleted, .. } = slash;
    let offers_deleted = say_withdrawn(context, account, offers_deleted.into_inner());
    let (evidence, reason) = (evidence.clone(), reason.clone());
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

/// Rule 8: how much, and how soon again.
fn check_slash(row: &Provider, amount: Amount, context: &Context<'_, '_>, market: &Market) -> Result<(), Rejected> {
    let params = &context.params.market;
    let again = row.last_slash.map(|last| last.plus_s(params.slash_cooldown_s));
    if again.is_some_and(|again| market.now < again) {
        return Err(SLASH_TOO_SOON.because(again.unwrap_or_default(), market.now));
    }
    let most = row.bond.bps_floor(params.slash_max_bps);
    if amount > most {
        return Err(SLASH_TOO_LARGE.because(format_args!("at most {most}"), amount));
    }
    Ok(())
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
