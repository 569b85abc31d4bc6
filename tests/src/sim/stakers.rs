//! People with stake: validators and who delegates to them. They bond, delegate, unbond, withdraw and take
//! rewards, and try what is refused; one move of weight after the other, and none after which the set, or
//! the one it moves to, bears fewer traitors than there are.
//!
//! Not here: when they may act (`council`), what becomes of it (chain-core), whether that is right (`stakes`).

use super::council::Known;
use super::random::Random;
use super::setting::{LEAST_STAKE, UNIT};
use super::stakes::weights;
use chain_core::crypto::PublicKey;
use chain_core::genesis::ConsensusMode;
use chain_core::state::stakes::{delegations, own_stake, stake, unbondings};
use chain_core::state::{Standing, Tree};
use chain_core::tx::staking::Action;
use chain_core::types::{Address, Amount, QuorumRule};
use std::collections::BTreeMap;

/// Whether these bear their traitors: their weights, and who is one. Moves are rounded, by at most one per
/// member, and a small set moves by whole members.
pub fn bears(rule: QuorumRule, members: impl Iterator<Item = (u64, bool)>) -> bool {
    let members: Vec<_> = members.filter(|(weight, _)| *weight > 0).collect();
    let total: u64 = members.iter().map(|(weight, _)| weight).sum();
    let bad: u64 = members.iter().filter(|(_, is_bad)| *is_bad).map(|(weight, _)| weight).sum();
    let (worst, is_small) = (bad + members.len() as u64, members.len() < 4);
    let is_borne = match rule {
        QuorumRule::Byzantine => 3 * worst < total,
        QuorumRule::Crash => 2 * worst < total,
    };
    total > 0 && (bad == 0 || (is_borne && !is_small))
}

/// What one move changes: whether somebody may validate, its own stake and all that is behind it.
#[derive(Clone, Copy, Default)]
pub struct Move {
    /// Whom it is about.
    pub key: Option<PublicKey>,
    /// Whether it may validate after it.
    pub may: Option<bool>,
    /// By how much its own stake grows.
    pub own: i128,
    /// By how much all of it grows.
    pub all: i128,
}

/// The weights the set will move to. Of the honest those count who are ready, of traitors all who may be.
pub fn target(known: &Known, tree: &Tree, keys: &[PublicKey], bad: &[PublicKey], then: Move) -> Vec<(u64, bool)> {
    let after = |now: u128, change: i128| u128::try_from(now as i128 + change).unwrap_or_default();
    let mut candidates = Vec::new();
    for key in keys {
        let (record, is_about) = (known.records.get(key), then.key == Some(*key));
        let is_ready = |record: &&_| is_active(record) || (bad.contains(key) && is_admitted(record));
        let may = if is_about { then.may } else { None };
        let enters = is_about && known.mode == ConsensusMode::Pos && then.own > 0 && !is_there(&record);
        if !may.unwrap_or(record.filter(is_ready).is_some() || enters) || known.is_convicted(key) {
            continue;
        }
        let row = stake(tree, key).unwrap();
        let own = row.as_ref().map_or(0, |row| own_stake(tree, key, row).unwrap().get());
        let all = row.as_ref().map_or(0, |row| row.bonded.held.get());
        let change = if is_about { then } else { Move::default() };
        if after(own, change.own) >= LEAST_STAKE {
            let since = record.map(|record| record.since).unwrap_or_default();
            candidates.push((*key, after(all, change.all), since));
        }
    }
    let weights = weights(known.mode, &known.params, candidates);
    weights.into_iter().map(|(key, weight)| (weight, bad.contains(&key))).collect()
}

fn is_there(record: &Option<&chain_core::state::ValidatorRecord>) -> bool {
    record.is_some_and(|record| record.standing != Standing::Removed)
}

fn is_admitted(record: &chain_core::state::ValidatorRecord) -> bool {
    record.standing == Standing::Admitted
}

fn is_active(record: &chain_core::state::ValidatorRecord) -> bool {
    record.is_active()
}

/// What the owner of an account does next, and which weight that moves; `is_quiet`: none is moving.
pub fn wish(
    random: &mut Random,
    tree: &Tree,
    who: &PublicKey,
    seats: &[PublicKey],
    is_quiet: bool,
) -> Option<(Action, Move)> {
    let account = Address::of_key(who);
    let own = *who;
    let waiting = unbondings(tree, &account).unwrap();
    if !waiting.is_empty() && random.chance(200) {
        let validator = waiting[random.place(waiting.len())].1.validator;
        return Some((Action::StakeWithdraw { validator }, Move::default()));
    }
    if random.chance(60) {
        let validator = random.pick(seats);
        return Some((Action::RewardWithdraw { validator }, Move::default()));
    }
    if !is_quiet {
        return None;
    }
    let amount = u128::from(random.between(1, 120)) * UNIT + u128::from(random.below(3));
    let has_seat = seats.contains(who);
    if has_seat && random.chance(500) {
        let row = stake(tree, who).unwrap();
        let is_first = row.is_none();
        let bonded = delegations(tree, &account).unwrap().into_iter().find(|(_, own)| own.validator == *who);
        return Some(match bonded.filter(|_| random.chance(450)) {
            Some((_, bonded)) => {
                let (action, moved) = some_of(random, bonded.shares.get(), |shares| Action::StakeUnbond { shares });
                (action, Move { key: Some(own), own: -moved, all: -moved, ..Move::default() })
            }
            None => {
                let commission_bps = Some(700).filter(|_| is_first != random.chance(30));
                let moved = amount as i128;
                let amount = Amount::new(amount);
                let then = Move { key: Some(own), own: moved, all: moved, ..Move::default() };
                (Action::StakeBond { amount, commission_bps }, then)
            }
        });
    }
    let bonded = delegations(tree, &account).unwrap();
    let bonded: Vec<_> = bonded.into_iter().map(|(_, bonded)| (bonded.validator, bonded.shares.get())).collect();
    if !bonded.is_empty() && random.chance(400) {
        let (validator, shares) = random.pick(&bonded);
        let (action, moved) = some_of(random, shares, |shares| Action::StakeUndelegate { validator, shares });
        return Some((action, Move { key: Some(validator), all: -moved, ..Move::default() }));
    }
    let validator = random.pick(seats);
    let then = Move { key: Some(validator), all: amount as i128, ..Move::default() };
    Some((Action::StakeDelegate { validator, amount: Amount::new(amount) }, then))
}

/// All of it, a part, or more than there is.
fn some_of(random: &mut Random, shares: u128, action: impl Fn(Amount) -> Action) -> (Action, i128) {
    let taken = match random.below(10) {
        0 => shares + 1,
        1..4 => shares,
        _ => 1 + shares * u128::from(random.below(1_000)) / 1_000,
    };
    (action(Amount::new(taken)), taken as i128)
}

/// Weights by key, for a look at the set in charge.
pub fn marked(set: &BTreeMap<PublicKey, u64>, bad: &[PublicKey]) -> Vec<(u64, bool)> {
    set.iter().map(|(key, weight)| (*weight, bad.contains(key))).collect()
}
