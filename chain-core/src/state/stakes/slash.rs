//! What a conviction costs the stake that stood behind the validator: the work does not depend on how
//! many delegated.
//!
//! 1. A validator is convicted once, so it is slashed once.
//! 2. The same part of each is lost: of all that is bonded now, and of each batch that had not left the
//!    set before the offence and is not free yet. Each loss is rounded down.
//! 3. Of the sum the reporter gets `slash_reporter_bps`, rounded down; the rest is burned. The bound of
//!    that parameter leaves whoever reports himself with a loss of half at least.
//! 4. The open batch is closed: it can't be slashed again. Rewards that were earned stay.
//!
//! Not here: what is an offence (`types::Evidence`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::{BATCHES, Now, STAKES, Stake, staking};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::MAX_SLASHED_BATCHES;
use crate::state::{Overlay, money};
use crate::types::{Address, Amount, Height};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

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
    let bonded = stake.bonded.slash(now.params.slash_equivocation_bps);
    let unbonding = slash_batches(overlay, &mut stake, offence, now)?;
    let lost = bonded.checked_add(unbonding).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
    let share = lost.bps_floor(now.params.slash_reporter_bps);
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
