//! Who plans its own conviction: a validator whose node keeps the rules, while its owner takes out most of its
//! stake, then contradicts itself at a height at which that had left, reports itself, and is proven by others to
//! have done so before, too. And who comes and goes: owners that leave and bond again, jailed or not.
//!
//! Not here: what that costs (`stakes`), when they may act (`council`).

use super::council::Known;
use super::random::Random;
use super::scenario::{Scenario, Traitor};
use super::setting::{LEAST_STAKE, STAKE, Setting};
use super::stakers::Move;
use chain_core::crypto::{Hash, PublicKey, SecretKey};
use chain_core::genesis::ConsensusMode;
use chain_core::state::stakes::{BATCHES, Closed, delegations, stake};
use chain_core::state::{Standing, Tree};
use chain_core::tx::authority;
use chain_core::tx::staking::Action;
use chain_core::types::{Address, Amount, BlockId, Evidence, Height, SignedMessage, View, Vote, VoteKind};
use std::collections::BTreeSet;

/// Those with plans.
pub struct Schemers {
    random: Random,
    /// Seats of traitors that plan their conviction.
    traitors: BTreeSet<usize>,
    /// Seats of those who come and go.
    fickle: BTreeSet<usize>,
}

impl Schemers {
    /// Of a run.
    pub fn new(scenario: &Scenario) -> Self {
        let mut random = Random::new(scenario.seed, 1_004);
        let is = |seat: &usize, what| scenario.traitor(*seat) == Some(what);
        let traitors = (0..scenario.seats()).filter(|seat| is(seat, Traitor::Schemer)).collect();
        let is_pos = scenario.terms.mode == ConsensusMode::Pos;
        let mut may = |seat: &usize| random.chance(if is(seat, Traitor::Absent) { 500 } else { 300 });
        let fickle = (0..scenario.seats()).filter(|seat| may(seat) && is_pos).collect();
        Self { random, traitors, fickle }
    }

    /// Whether a seat's owner comes and goes.
    pub fn is_fickle(&self, seat: usize) -> bool {
        self.fickle.contains(&seat)
    }

    /// What an owner with plans does with its stake, and which weight that moves.
    pub fn move_of(&mut self, known: &Known, tree: &Tree, seat: usize, key: &PublicKey) -> Option<(Action, Move)> {
        let account = Address::of_key(key);
        let bonded = delegations(tree, &account).unwrap().into_iter().find(|(_, own)| own.validator == *key);
        let shares = bonded.map_or(0, |(_, own)| own.shares.get());
        let moves = |own: i128| Move { key: Some(*key), own, all: own, ..Move::default() };
        let unbond = |shares: u128| (Action::StakeUnbond { shares: Amount::new(shares) }, moves(-(shares as i128)));
        let record = known.records.get(key);
        if self.traitors.contains(&seat) {
            return shares.checked_sub(LEAST_STAKE).filter(|over| *over > 0).map(unbond);
        }
        if !self.fickle.contains(&seat) || self.random.chance(500) {
            return None;
        }
        match record.is_none_or(|record| record.standing == Standing::Removed) {
            // Away for a while.
            true if self.random.chance(600) => None,
            true => {
                let (amount, commission_bps) = (Amount::new(STAKE), None);
                Some((Action::StakeBond { amount, commission_bps }, moves(STAKE as i128)))
            }
            false => Some(unbond(shares)).filter(|_| shares > 0),
        }
    }

    /// A traitor reports itself once most of its stake has left; anybody else reports what it did before that.
    pub fn report(&mut self, known: &Known, tree: &Tree, who: usize, setting: &Setting) -> Option<authority::Action> {
        let traitor = *self.traitors.first()?;
        let key = &setting.keys[traitor];
        if self.random.chance(600) {
            return None;
        }
        let left = batches(tree, &key.public());
        let newest = known.height.get();
        let first = self.random.below(3);
        let height = match stake(tree, &key.public()).unwrap()?.slash {
            None if who == traitor => {
                let last = left.iter().map(|closed| closed.left.get()).max()?;
                Some(newest.saturating_sub(first)).filter(|height| *height > last)
            }
            Some(known) if who >= setting.keys.len() => {
                let older: Vec<_> = left.iter().map(|closed| closed.left.get()).collect();
                let older: Vec<u64> = older.into_iter().filter(|last| *last < known.offence.get()).collect();
                (!older.is_empty()).then(|| self.random.pick(&older).saturating_sub(first))
            }
            _ => None,
        };
        let height = Height::new(height.filter(|height| *height > 0)?);
        Some(authority::Action::prove(contradiction(&mut self.random, setting, key, height)))
    }
}

/// What has left the set, as far as it is not paid.
fn batches(tree: &Tree, key: &PublicKey) -> Vec<Closed> {
    let Some(stake) = stake(tree, key).unwrap() else { return Vec::new() };
    let batches = (0..=stake.batch).filter_map(|number| BATCHES.get(tree, &(stake.id, number)).unwrap());
    batches.filter_map(|batch| batch.closed).collect()
}

/// Two words of one key that no honest validator says both.
pub fn contradiction(random: &mut Random, setting: &Setting, key: &SecretKey, height: Height) -> Evidence {
    let mut word = |kind: VoteKind| {
        let block = BlockId(Hash([random.below(256) as u8; 32]));
        let block = (kind != VoteKind::Nullify).then_some(block);
        Vote::sign(SignedMessage { kind, height, view: View::ZERO, block }, &setting.chain, key).unwrap()
    };
    Evidence::Votes(word(VoteKind::Finalize), word(VoteKind::Nullify))
}
