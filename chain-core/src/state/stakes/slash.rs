//! What a conviction costs the stake that stood behind the validator: the work does not depend on how
//! many delegated.
//!
//! 1. With the conviction the same part of each is lost: of all that is bonded now, and of each batch that
//!    had not left the set before the offence and is not free yet. Each loss is rounded down.
//! 2. Proof of an offence at a lower height reaches the batches that left the set between the two, and
//!    nothing else: each stake is slashed once, and nobody buys with a small conviction, once most of its
//!    stake has left, what it signed while that was there.
//! 3. Of the sum the reporter gets `slash_reporter_bps`, rounded down, but never more than half of what
//!    the validator's own account lost, bonded and unbonding; the rest is burned. The bound is not on the
//!    whole sum: most of that may be others', and a validator that reports itself would gain.
//! 4. The open batch is closed. Rewards that were earned stay.
//!
//! Not here: what is an offence (`types::Evidence`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::{BATCHES, STAKES, Stake, UNBONDINGS, own_stake, staking};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::MAX_SLASHED_BATCHES;
use crate::state::{Now, Overlay, Rows, money};
use crate::types::{Address, Amount, Height};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// The most a reporter gets of what the validator itself lost.
const HALF_BPS: u16 = 5_000;

/// What a conviction cost, and older offences since, in base units of the stake asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Slash {
    /// The lowest height of an offence that was proven.
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

impl Slash {
    /// Both together.
    fn plus(self, more: Self) -> Option<Self> {
        Some(Self {
            offence: self.offence.min(more.offence),
            bonded: self.bonded.checked_add(more.bonded)?,
            unbonding: self.unbonding.checked_add(more.unbonding)?,
            reporter: self.reporter.checked_add(more.reporter)?,
            burned: self.burned.checked_add(more.burned)?,
        })
    }
}

/// Slashes who stands behind a validator: what this costs. `None` if nobody ever bonded for it, or it was
/// slashed and this reaches nothing more.
pub fn slash(
    overlay: &mut Overlay<'_>,
    validator: &PublicKey,
    offence: Height,
    reporter: &Address,
    now: Now<'_>,
) -> Result<Option<Slash>, Fault> {
    let Some(staking) = staking(overlay)? else { return Ok(None) };
    let Some(mut stake) = STAKES.get(overlay, validator)? else { return Ok(None) };
    let own_before = own_worth(overlay, validator, &stake)?;
    let (known, part) = (stake.slash, now.params.slash_equivocation_bps);
    let bonded = if known.is_none() { stake.bonded.slash(part) } else { Amount::ZERO };
    let unbonding = slash_batches(overlay, &stake, offence, now)?;
    let lost = bonded.checked_add(unbonding).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
    if known.is_some() && lost.is_zero() {
        return Ok(None);
    }
    stake.close(overlay, now)?;
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
    let all = known.map_or(Some(slash), |known| known.plus(slash));
    stake.slash = Some(all.ok_or_else(|| Fault::new("losses beyond 128 bits"))?);
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

/// Rules 1 and 2: those that had not left before this offence, and were not slashed for a higher one.
fn slash_batches(overlay: &mut Overlay<'_>, stake: &Stake, offence: Height, now: Now<'_>) -> Result<Amount, Fault> {
    let (newest, mut lost) = (stake.batch, Amount::ZERO);
    let spared = |left: Height| stake.slash.is_none_or(|known| left < known.offence);
    for number in newest.saturating_sub(MAX_SLASHED_BATCHES)..=newest {
        let Some(mut batch) = BATCHES.get(overlay, &(stake.id, number))? else { continue };
        let reached = match batch.closed {
            Some(closed) => closed.left >= offence && spared(closed.left) && !closed.is_free(now),
            None => stake.slash.is_none(),
        };
        if !reached {
            continue;
        }
        let part = batch.fund.slash(now.params.slash_equivocation_bps);
        lost = lost.checked_add(part).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
        BATCHES.put(overlay, &(stake.id, number), &batch);
    }
    Ok(lost)
}
