//! What a conviction costs the stake that stood behind the validator: the work does not depend on how
//! many delegated.
//!
//! 1. A validator is convicted once, so it is slashed once.
//! 2. The same part of each is lost: of all that is bonded now, and of each batch that had not left the
//!    set before the offence and is not free yet. Each loss is rounded down.
//! 3. Of the sum the reporter gets `slash_reporter_bps`, rounded down, but never more than half of what
//!    the validator's own account lost, bonded and unbonding; the rest is burned. The bound is not on the
//!    whole sum: most of that may be others', and a validator that reports itself would gain.
//! 4. The open batch is closed: it can't be slashed again. Rewards that were earned stay.
//!
//! Not here: what is an offence (`types::Evidence`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::{BATCHES, Now, STAKES, Stake, UNBONDINGS, own_stake, staking};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::MAX_SLASHED_BATCHES;
use crate::state::{Overlay, Rows, money};
use crate::types::{Address, Amount, Height};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// The most a reporter gets of what the validator itself lost.
const HALF_BPS: u16 = 5_000;

/// What a conviction cost, in base units of the stake asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Slash {
    /// The height of the offence.
    pub offence: Height,
    /// Lost of what was bonded.
    pub bonded: Amount,
    /// Lost of what was unbonding.
    pub unbonding: Amount,
    /// Of both, what the reporter got.
    pub reporter: Amount,
    /// Of both, what was burned.
    pub burned: Amount,
}

/// Slashes who stands behind a validator; `None` if nobody ever bonded for it, or it was slashed.
pub fn slash(
    overlay: &mut Overlay<'_>,
    validator: &PublicKey,
    offence: Height,
    reporter: &Address,
    now: Now<'_>,
) -> Result<Option<Slash>, Fault> {
    let Some(staking) = staking(overlay)? else { return Ok(None) };
    let Some(mut stake) = STAKES.get(overlay, validator)?.filter(|stake| stake.slash.is_none()) else {
        return Ok(None);
    };
    let own_before = own_worth(overlay, validator, &stake)?;
    let bonded = stake.bonded.slash(now.params.slash_equivocation_bps);
    let unbonding = slash_batches(overlay, &mut stake, offence, now)?;
    let lost = bonded.checked_add(unbonding).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
    let own_lost = own_before.checked_sub(own_worth(overlay, validator, &stake)?);
    let own_lost = own_lost.ok_or_else(|| Fault::new("stake worth more after a conviction"))?;
    let share = lost.bps_floor(now.params.slash_reporter_bps).min(own_lost.bps_floor(HALF_BPS));
    let burned = lost.checked_sub(share).ok_or_else(|| Fault::new("a reporter's share above the loss"))?;
    if !share.is_zero() {
        money::give(overlay, reporter, staking.asset, share)?;
    }
    if !burned.is_zero() {
        money::count_burned(overlay, staking.asset, burned)?;
    }
    let slash = Slash { offence, bonded, unbonding, reporter: share, burned };
    stake.slash = Some(slash);
    STAKES.put(overlay, validator, &stake);
    Ok(Some(slash))
}

/// What a validator's own account has bonded with it and has unbonding from it. At most seven entries.
fn own_worth(rows: &impl Rows, validator: &PublicKey, stake: &Stake) -> Result<Amount, Fault> {
    let mut worth = own_stake(rows, validator, stake)?;
    let unbonding = UNBONDINGS.get(rows, &(Address::of_key(validator), stake.id))?;
    for entry in unbonding.iter().flat_map(|unbonding| unbonding.entries.iter()) {
        let batch = BATCHES.get(rows, &(stake.id, entry.batch))?;
        let batch = batch.ok_or_else(|| Fault::new(format!("batch {} of {validator} has no row", entry.batch)))?;
        let sum = worth.checked_add(batch.fund.worth(entry.shares));
        worth = sum.ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
    }
    Ok(worth)
}

fn slash_batches(overlay: &mut Overlay<'_>, stake: &mut Stake, offence: Height, now: Now<'_>) -> Result<Amount, Fault> {
    let (newest, mut lost) = (stake.batch, Amount::ZERO);
    for number in newest.saturating_sub(MAX_SLASHED_BATCHES)..=newest {
        let Some(mut batch) = BATCHES.get(overlay, &(stake.id, number))? else { continue };
        if batch.closed.is_some_and(|closed| closed.left < offence || closed.is_free(now.height, now.timestamp)) {
            continue;
        }
        let part = batch.fund.slash(now.params.slash_equivocation_bps);
        lost = lost.checked_add(part).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
        BATCHES.put(overlay, &(stake.id, number), &batch);
    }
    stake.close(overlay, now)?;
    Ok(lost)
}
