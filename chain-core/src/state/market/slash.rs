//! What a slash of a provider's bond does, whoever decided it.
//!
//! 1. A bond can be slashed until it is free.
//! 2. What is taken goes to the treasury. Where a job of the provider is named, `victim_bps` of it goes to that
//!    job's payer, who is not the provider, a window of claims and `provider_unbonding_s` later, which is what a
//!    bond with a claim just made waits: nobody has a bond back sooner by being slashed.
//! 3. A bond below `bond_floor` after that: the provider is removed, as if it had left.
//! 4. When it was, and which part of the bond it took (`reputation`, rule 4), is remembered.
//!
//! Not here: who decides, and how much (the families `provider` and `authority`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::clock::Market;
use super::job::{Job, job};
use super::provider::{
    COMPENSATIONS, Compensation, OfferKey, PROVIDERS, Provider, ProviderState, drop_offers, provider,
};
use super::purse::Purse;
use super::reputation::slashed_part;
use super::{BOND_FREE, NOT_A_VICTIM};
use crate::codec::List;
use crate::fault::{Failure, Fault};
use crate::limits::MAX_OFFERS;
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::table::Rows;
use crate::types::{Address, Amount, JobId, MarketMs, Price};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// What was taken of a bond, in base units of the stake asset, and what followed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Slash {
    /// Whose.
    pub provider: Address,
    /// How much.
    pub amount: Amount,
    /// What is left of the bond.
    pub bond: Amount,
    /// Of the amount, what the treasury got.
    pub to_treasury: Amount,
    /// Of the amount, what the payer will get.
    pub compensation: Amount,
    /// The payer of the named job.
    pub payer: Option<Address>,
    /// The named job.
    pub job: Option<JobId>,
    /// When the payer gets it.
    pub paid_at: Option<MarketMs>,
    /// The provider was removed for it.
    pub removed: bool,
    /// Its offers that were deleted, with their prices.
    pub offers_deleted: List<(OfferKey, Price), MAX_OFFERS>,
}

/// Who gets a part of a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Victim {
    /// Whose job it is.
    pub payer: Address,
    /// The job.
    pub job: JobId,
    /// The job's window of claims, in seconds.
    pub window_s: u32,
}

/// The provider whose bond can be slashed now.
pub fn slashable(rows: &impl Rows, account: &Address, market: &Market) -> Result<Provider, Failure> {
    let row = provider(rows, account)?;
    if row.free_from.is_some_and(|free| market.now >= free) {
        return Err(BOND_FREE.because("a bond that waits", market.now).into());
    }
    Ok(row)
}

/// The payer of a job that is named in a slash of this provider.
pub fn victim(rows: &impl Rows, account: &Address, id: JobId) -> Result<Victim, Failure> {
    let Job { payer, provider, terms, .. } = job(rows, id)?;
    if provider != *account || payer == *account {
        return Err(NOT_A_VICTIM.because("a job of another account with the provider", id).into());
    }
    Ok(Victim { payer, job: id, window_s: terms.window_s })
}

/// Takes so much of a bond; the caller has seen that it is there and may be taken.
pub fn slash(
    overlay: &mut Overlay<'_>,
    account: &Address,
    amount: Amount,
    victim: Option<Victim>,
    (market, params): (&Market, &Params),
) -> Result<Slash, Failure> {
    let mut row = slashable(overlay, account, market)?;
    let (payer, job) = (victim.map(|victim| victim.payer), victim.map(|victim| victim.job));
    let bond = row.bond.checked_sub(amount).ok_or_else(|| Fault::new("more than a whole bond slashed"))?;
    let compensation = payer.map_or(Amount::ZERO, |_| amount.bps_floor(params.market.victim_bps));
    let to_treasury = amount.checked_sub(compensation).ok_or_else(|| Fault::new("more than all of a slash"))?;
    Purse::Treasury.put(overlay, market.stake_asset, to_treasury)?;
    let mut paid_at = None;
    if let (Some(Victim { payer, job, window_s }), false) = (victim, compensation.is_zero()) {
        let window_s = window_s.max(params.market.window_s);
        let at = market.now.plus_s(window_s).plus_s(params.market.provider_unbonding_s).saturating_add(1);
        let known = COMPENSATIONS.get(overlay, &(at, job))?.map_or(Amount::ZERO, |known| known.amount);
        let amount = known.checked_add(compensation).ok_or_else(|| Fault::new("compensations beyond 128 bits"))?;
        COMPENSATIONS.put(overlay, &(at, job), &Compensation { provider: *account, payer, amount });
        paid_at = Some(at);
    }
    let part = slashed_part(amount, row.bond, params);
    row.slashed_bps = row.slashed_bps.plus_whole(part, market.now, params.market.reputation_half_life_s);
    (row.bond, row.last_slash) = (bond, Some(market.now));
    let removed = bond < params.market.bond_floor && row.state != ProviderState::Removed;
    let mut dropped = Vec::new();
    if removed {
        row.leave(ProviderState::Removed, market.now, params);
        dropped = drop_offers(overlay, row.id, |_| false)?;
    }
    let offers_deleted = List::new(dropped).map_err(|e| Fault::new(format!("offers of {account}: {e}")))?;
    PROVIDERS.put(overlay, account, &row);
    let provider = *account;
    Ok(Slash { provider, amount, bond, to_treasury, compensation, payer, job, paid_at, removed, offers_deleted })
}
