//! Delegations, own ones included: stake that comes and goes, and what it earned. Rules 6, 7, 9 to 11.
//!
//! Not here: what only concerns validators (`bond`), when a batch is closed (`block_end`).

use super::bond::{existing, never_convicted};
use super::*;
use crate::codec::List;
use crate::limits::MAX_UNBONDINGS;
use crate::state::stakes::{
    BATCHES, Batch, Closed, DELEGATIONS, Delegation, STAKES, Stake, UNBONDINGS, Unbonding, UnbondingEntry, delegation,
};
use crate::state::validators::VALIDATORS;
use crate::state::{Standing, money};

/// What came of adding to a delegation.
pub(super) struct Added {
    /// Its shares now.
    pub shares: Amount,
    /// What was paid of its rewards.
    pub reward: Amount,
    /// What was burned for its row.
    pub row_fee: Amount,
}

/// Rule 6.
pub(super) fn delegate(
    context: &mut Context<'_, '_>,
    staking: Staking,
    validator: &PublicKey,
    amount: Amount,
) -> Result<Event, Failure> {
    let delegator = context.sender;
    not_own(&delegator, validator)?;
    let mut stake = existing(context, validator)?;
    never_convicted(context, validator)?;
    match VALIDATORS.get(context.state, validator)? {
        Some(record) if record.standing != Standing::Removed => {}
        _ => return Err(NOT_A_VALIDATOR.because("an admitted validator", validator).into()),
    }
    let Added { shares, reward, row_fee } = add(context, staking, (validator, &mut stake), amount)?;
    STAKES.put(context.state, validator, &stake);
    let (validator, bonded) = (*validator, stake.bonded.held);
    Ok(Event::StakeDelegated { validator, delegator, amount, shares, bonded, reward, row_fee })
}

/// Adds stake of the sender; the caller writes the validator's stake.
pub(super) fn add(
    context: &mut Context<'_, '_>,
    staking: Staking,
    (validator, stake): (&PublicKey, &mut Stake),
    amount: Amount,
) -> Result<Added, Failure> {
    let account = context.sender;
    let known = delegation(context.state, &account, stake)?;
    let mut row_fee = Amount::ZERO;
    if known.is_none() {
        row_fee = context.params.account_fee;
        money::burn(context.state, &account, AssetId::NATIVE, row_fee)?;
        stake.delegations = stake.delegations.saturating_add(1);
    }
    money::take(context.state, &account, staking.asset, amount)?;
    let newcomer = || Delegation { validator: *validator, shares: Amount::ZERO, earned: stake.rewards.newcomer() };
    let mut own = known.unwrap_or_else(newcomer);
    let reward = stake.rewards.pay(own.shares, &mut own.earned)?;
    give_reward(context, &account, reward)?;
    stake.bonded.put(amount)?;
    own.shares = own.shares.checked_add(amount).ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
    DELEGATIONS.put(context.state, &(account, stake.id), &own);
    Ok(Added { shares: own.shares, reward, row_fee })
}

/// Rule 7.
pub(super) fn undelegate(
    context: &mut Context<'_, '_>,
    validator: &PublicKey,
    shares: Amount,
) -> Result<Event, Failure> {
    not_own(&context.sender, validator)?;
    let stake = existing(context, validator)?;
    let own = delegation(context.state, &context.sender, &stake)?;
    let own = own.ok_or_else(|| NOT_BONDED.because("stake of this account", validator))?;
    take_out(context, (validator, stake), own, shares)
}

/// Takes shares of the sender out of a validator's stake.
pub(super) fn take_out(
    context: &mut Context<'_, '_>,
    (validator, mut stake): (&PublicKey, Stake),
    mut own: Delegation,
    taken: Amount,
) -> Result<Event, Failure> {
    let (validator, delegator) = (*validator, context.sender);
    let Some(left) = own.shares.checked_sub(taken) else {
        return Err(MORE_THAN_BONDED.because(format_args!("at most {}", own.shares), taken).into());
    };
    let worth = stake.bonded.worth(taken);
    let entries = if worth.is_zero() { None } else { Some(joined(context, &delegator, &stake, worth)?) };
    let batch = stake.batch;
    let reward = stake.rewards.pay(own.shares, &mut own.earned)?;
    give_reward(context, &delegator, reward)?;
    stake.bonded.take(taken)?;
    own.shares = left;
    if left.is_zero() {
        stake.rewards.leave(&own.earned);
        stake.delegations = stake.delegations.saturating_sub(1);
        DELEGATIONS.remove(context.state, &(delegator, stake.id));
    } else {
        DELEGATIONS.put(context.state, &(delegator, stake.id), &own);
    }
    if let Some(entries) = entries {
        UNBONDINGS.put(context.state, &(delegator, stake.id), &Unbonding { validator, entries });
        join_batch(context, (&validator, &mut stake), worth)?;
    }
    STAKES.put(context.state, &validator, &stake);
    let (shares, bonded) = (left, stake.bonded.held);
    Ok(Event::StakeUnbonding { validator, delegator, taken, worth, shares, bonded, batch, reward })
}

/// An account's entries once it has put this much into the validator's open batch.
fn joined(
    context: &Context<'_, '_>,
    delegator: &Address,
    stake: &Stake,
    worth: Amount,
) -> Result<List<UnbondingEntry, MAX_UNBONDINGS>, Failure> {
    let known = UNBONDINGS.get(context.state, &(*delegator, stake.id))?;
    let mut entries = known.map(|unbonding| unbonding.entries.into_inner()).unwrap_or_default();
    match entries.last_mut().filter(|last| last.batch == stake.batch) {
        Some(last) => {
            let sum = last.shares.checked_add(worth);
            last.shares = sum.ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
        }
        None => entries.push(UnbondingEntry { batch: stake.batch, shares: worth }),
    }
    let waiting = entries.len();
    let most = format_args!("at most {MAX_UNBONDINGS}").to_string();
    List::new(entries).map_err(|_| TOO_MANY_UNBONDINGS.because(most, waiting).into())
}

fn join_batch(
    context: &mut Context<'_, '_>,
    (validator, stake): (&PublicKey, &mut Stake),
    worth: Amount,
) -> Result<(), Fault> {
    let place = (stake.id, stake.batch);
    let mut batch = BATCHES.get(context.state, &place)?.unwrap_or_default();
    batch.fund.put(worth)?;
    BATCHES.put(context.state, &place, &batch);
    // Rule 8: nothing can be proven against a validator without a record.
    if VALIDATORS.get(context.state, validator)?.is_none() {
        stake.close(context.state, context.now())?;
    }
    Ok(())
}

/// Rule 9.
pub(super) fn withdraw(
    context: &mut Context<'_, '_>,
    staking: Staking,
    validator: &PublicKey,
) -> Result<Event, Failure> {
    let (validator, delegator) = (*validator, context.sender);
    let stake = existing(context, &validator)?;
    let place = (delegator, stake.id);
    let found = UNBONDINGS.get(context.state, &place)?;
    let unbonding = found.ok_or_else(|| NOTHING_UNBONDS.because("unbonding stake of this account", validator))?;
    let (mut waiting, mut shares, mut paid) = (Vec::new(), Amount::ZERO, Amount::ZERO);
    let mut soonest = None;
    for entry in unbonding.entries.iter() {
        let found = BATCHES.get(context.state, &(stake.id, entry.batch))?;
        let batch = found.ok_or_else(|| Fault::new(format!("batch {} of {validator} has no row", entry.batch)))?;
        if !batch.closed.is_some_and(|closed| closed.is_free(context.now())) {
            soonest = soonest.or(batch.closed);
            waiting.push(*entry);
            continue;
        }
        paid = paid.saturating_add(pay_entry(context, &stake, batch, entry)?);
        shares = shares.saturating_add(entry.shares);
    }
    let waits = waiting.len() as u8;
    if waiting.len() == unbonding.entries.len() {
        return Err(still_unbonding(context, soonest).into());
    }
    if waiting.is_empty() {
        UNBONDINGS.remove(context.state, &place);
    } else {
        let entries = List::new(waiting).map_err(|e| Fault::new(format!("entries of an unbonding: {e}")))?;
        UNBONDINGS.put(context.state, &place, &Unbonding { validator, entries });
    }
    money::give(context.state, &delegator, staking.asset, paid)?;
    Ok(Event::StakeWithdrawn { validator, delegator, shares, paid, waiting: waits })
}

fn pay_entry(
    context: &mut Context<'_, '_>,
    stake: &Stake,
    mut batch: Batch,
    entry: &UnbondingEntry,
) -> Result<Amount, Fault> {
    let paid = batch.fund.take(entry.shares)?;
    if batch.fund.shares.is_zero() {
        BATCHES.remove(context.state, &(stake.id, entry.batch));
    } else {
        BATCHES.put(context.state, &(stake.id, entry.batch), &batch);
    }
    Ok(paid)
}

fn still_unbonding(context: &Context<'_, '_>, soonest: Option<Closed>) -> Rejected {
    let expected = match soonest {
        Some(closed) => {
            let (block, time) = (closed.free_from(context.params), closed.free_at(context.params));
            format!("block {block} or later, not before {time} ms")
        }
        None => "the end of the epoch in which its weight leaves the set, and the period after it".into(),
    };
    STILL_UNBONDING.because(expected, format_args!("block {} at {} ms", context.height, context.timestamp))
}

/// Rule 11.
pub(super) fn withdraw_rewards(context: &mut Context<'_, '_>, validator: &PublicKey) -> Result<Event, Failure> {
    let (validator, account) = (*validator, context.sender);
    let mut stake = existing(context, &validator)?;
    let mut reward = Amount::ZERO;
    if let Some(mut own) = delegation(context.state, &account, &stake)? {
        reward = stake.rewards.pay(own.shares, &mut own.earned)?;
        DELEGATIONS.put(context.state, &(account, stake.id), &own);
    }
    let is_own = Address::of_key(&validator) == account;
    let commission = if is_own { stake.rewards.pay_commission()? } else { Amount::ZERO };
    if reward.is_zero() && commission.is_zero() {
        return Err(NO_REWARDS.because("at least one base unit", 0).into());
    }
    give_reward(context, &account, reward.saturating_add(commission))?;
    STAKES.put(context.state, &validator, &stake);
    Ok(Event::RewardWithdrawn { validator, account, reward, commission })
}

fn give_reward(context: &mut Context<'_, '_>, account: &Address, reward: Amount) -> Result<(), Fault> {
    if reward.is_zero() { Ok(()) } else { money::give(context.state, account, AssetId::NATIVE, reward) }
}

fn not_own(account: &Address, validator: &PublicKey) -> Result<(), Rejected> {
    if Address::of_key(validator) == *account {
        return Err(OWN_STAKE.because("another validator", validator));
    }
    Ok(())
}
