//! A validator's own stake and commission: rules 2 to 5.
//!
//! Not here: what is the same for every delegation (`delegate`).

use super::delegate::{add, take_out};
use super::*;
use crate::limits::{MAX_COMMISSION_STEP_BPS, MAX_VALIDATORS};
use crate::state::stakes::{
    Commission, NextCommission, STAKES, Stake, delegation, let_go, new_stake, own_stake, stake,
};
use crate::state::validators::{JAILED_AWAY, VALIDATORS, enrol, records};
use crate::state::{JailCause, Standing, ValidatorRecord, validators};
use crate::types::ConsensusMode;

/// Rules 2 to 5.
pub(super) fn bond(
    context: &mut Context<'_, '_>,
    staking: Staking,
    amount: Amount,
    commission_bps: Option<u16>,
) -> Result<Event, Failure> {
    let validator = context.sender.key();
    let mut stake = match stake(context.state, &validator)? {
        Some(_) if commission_bps.is_some() => {
            return Err(COMMISSION_NAMED.because("no commission", commission_bps.unwrap_or_default()).into());
        }
        Some(known) => known,
        None => new_stake(context.state, commission_bps.unwrap_or_default())?,
    };
    never_convicted(context, &validator)?;
    let own = own_stake(context.state, &validator, &stake)?.saturating_add(amount);
    check_minimum(context, own)?;
    let enters = staking.mode == ConsensusMode::Pos;
    if !enters {
        check_authority(context, &validator)?;
    }
    // Who does not have the stake is turned away before everybody's record is read.
    let added = add(context, staking, (&validator, &mut stake), amount)?;
    let displaced = if enters { enter(context, &validator, own)? } else { None };
    STAKES.put(context.state, &validator, &stake);
    let (bonded, commission_bps) = (stake.bonded.held, stake.commission.at(context.height));
    let (shares, reward, row_fee) = (added.shares, added.reward, added.row_fee);
    Ok(Event::StakeBonded { validator, amount, shares, bonded, commission_bps, reward, row_fee, displaced })
}

fn check_minimum(context: &Context<'_, '_>, own: Amount) -> Result<(), Rejected> {
    let least = context.params.min_validator_stake;
    if own < least {
        return Err(STAKE_BELOW_MINIMUM.because(format_args!("at least {least}"), own));
    }
    Ok(())
}

fn check_authority(context: &Context<'_, '_>, validator: &PublicKey) -> Result<(), Failure> {
    match VALIDATORS.get(context.state, validator)? {
        Some(record) if record.standing != Standing::Removed => Ok(()),
        _ => Err(NOT_AN_AUTHORITY.because("the plain account of an admitted validator's key", validator).into()),
    }
}

/// Admits whoever bonds, unless it is admitted, or into the jail it left; who had to go for it.
fn enter(context: &mut Context<'_, '_>, key: &PublicKey, own: Amount) -> Result<Option<PublicKey>, Failure> {
    let known = VALIDATORS.get(context.state, key)?;
    if known.as_ref().is_some_and(|record| record.standing != Standing::Removed) {
        return Ok(None);
    }
    if key.validate().is_err() {
        return Err(NO_VALIDATOR_KEY.because("an ed25519 public key", key).into());
    }
    let mut record = ValidatorRecord::admitted(Default::default(), 0, context.height);
    let has_place = known.as_ref().is_some_and(|record| record.retired.is_none());
    let displaced = if has_place { None } else { make_room(context, own)? };
    if let Some(old) = known {
        // What it did before, it did; its absence counts on, too.
        (record.spans, record.open_proposals, record.equivocation) = (old.spans, old.open_proposals, old.equivocation);
        (record.missed, record.absence) = (old.missed, old.absence);
    }
    if let Some(cause) = JAILED_AWAY.get(context.state, key)? {
        record.standing = Standing::Jailed(cause);
        JAILED_AWAY.remove(context.state, key);
    }
    enrol(context.state, key, &record)?;
    Ok(displaced)
}

/// Rule 4.
fn make_room(context: &mut Context<'_, '_>, own: Amount) -> Result<Option<PublicKey>, Failure> {
    let known = records(context.state)?;
    if known.len() < MAX_VALIDATORS {
        return Ok(None);
    }
    let mut least: Option<(Amount, PublicKey, ValidatorRecord)> = None;
    for (key, record) in known {
        if record.signs() {
            continue;
        }
        let held = match stake(context.state, &key)? {
            Some(stake) => own_stake(context.state, &key, &stake)?,
            None => Amount::ZERO,
        };
        if held < own && least.as_ref().is_none_or(|least| (held, key) < (least.0, least.1)) {
            least = Some((held, key, record));
        }
    }
    let (_, displaced, record) = least.ok_or_else(|| NO_ROOM.because("more stake than one that can go", own))?;
    let record = removed(context, &displaced, record);
    let_go(context.state, &displaced, record, context.now())?;
    Ok(Some(displaced))
}

/// Rules 2 and 3.
pub(super) fn unbond(context: &mut Context<'_, '_>, staking: Staking, shares: Amount) -> Result<Event, Failure> {
    let (validator, account) = (context.sender.key(), context.sender);
    let stake = existing(context, &validator)?;
    let own = delegation(context.state, &account, &stake)?;
    let own = own.ok_or_else(|| NOT_BONDED.because("own stake", validator))?;
    let left = own.shares.checked_sub(shares).unwrap_or_default();
    // What a convicted validator has left may go in any parts.
    if !left.is_zero() && stake.slash.is_none() {
        check_minimum(context, left)?;
    }
    let event = take_out(context, (&validator, stake), own, shares)?;
    if left.is_zero() && staking.mode == ConsensusMode::Pos {
        remove(context, &validator)?;
    }
    Ok(event)
}

fn remove(context: &mut Context<'_, '_>, validator: &PublicKey) -> Result<(), Fault> {
    if let Some(record) = VALIDATORS.get(context.state, validator)? {
        let record = removed(context, validator, record);
        VALIDATORS.put(context.state, validator, &record);
    }
    Ok(())
}

/// Whoever leaves jailed comes back jailed. Convicted keys don't come back.
fn removed(context: &mut Context<'_, '_>, validator: &PublicKey, mut record: ValidatorRecord) -> ValidatorRecord {
    if let Standing::Jailed(cause @ (JailCause::Council | JailCause::Absence)) = record.standing {
        JAILED_AWAY.put(context.state, validator, &cause);
    }
    record.set_standing(Standing::Removed, context.height);
    record
}

/// Rule 5.
pub(super) fn announce(context: &mut Context<'_, '_>, after: u16) -> Result<Event, Failure> {
    let validator = context.sender.key();
    let mut stake = existing(context, &validator)?;
    let height = context.height;
    if let Some(next) = stake.commission.next.filter(|next| next.from > height) {
        return Err(COMMISSION_ANNOUNCED.because(format_args!("from block {} on", next.from), height).into());
    }
    let before = stake.commission.at(height);
    if before.abs_diff(after) > MAX_COMMISSION_STEP_BPS {
        let expected = format_args!("within {MAX_COMMISSION_STEP_BPS} of {before}").to_string();
        return Err(COMMISSION_STEP.because(expected, after).into());
    }
    // The first block of the epoch after the next one.
    let epoch = u64::from(context.params.epoch_blocks.max(1));
    let from = Height::new(height.get().div_ceil(epoch).saturating_add(1).saturating_mul(epoch)).next();
    stake.commission = Commission { bps: before, next: Some(NextCommission { bps: after, from }) };
    STAKES.put(context.state, &validator, &stake);
    Ok(Event::CommissionAnnounced { validator, before, after, from })
}

/// That nothing was proven against a validator, ever.
pub(super) fn never_convicted(context: &Context<'_, '_>, validator: &PublicKey) -> Result<(), Failure> {
    match validators::CONVICTED.get(context.state, validator)? {
        Some(equivocation) => Err(CONVICTED.because("a key that never contradicted itself", equivocation).into()),
        None => Ok(()),
    }
}

/// The stake behind a validator for which somebody bonded.
pub(super) fn existing(context: &Context<'_, '_>, validator: &PublicKey) -> Result<Stake, Failure> {
    let found = stake(context.state, validator)?;
    found.ok_or_else(|| NO_STAKE.because("a key that somebody bonded for", validator).into())
}
