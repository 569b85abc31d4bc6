//! The next validator set, from the one in charge and what is wanted: a pure function.
//!
//! 1. First go those who leave, convicted ones before others, then those who join, then those whose
//!    weight changes; among equals who has waited longest, then the smaller key.
//! 2. Weights move towards what is wanted; all moves together weigh at most ⌊W/3⌋ of the old set. With
//!    fewer than four members one of the moves is made, which adds no more than the heaviest member has.
//! 3. No move leaves nobody, more than `MAX_VALIDATORS`, or a set that its members who are wanted
//!    could not form a quorum of although they could before.
//! 4. What was not done, or not whole, waits for the next epoch.
//!
//! Why ⌊W/3⌋: consecutive sets then share so much weight that who vouches for one speaks for the other.
//!
//! Not here: who is wanted (`state::validators`), when this happens (`block_end`).

use crate::crypto::PublicKey;
use crate::limits::{MAX_TOTAL_WEIGHT, MAX_VALIDATORS};
use crate::types::{Height, QuorumRule, Validator};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use std::collections::BTreeMap;

/// With fewer members one move per epoch is made, and nobody gains more than the heaviest has.
const FEW: usize = 4;

/// What is wanted of one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its key.
    pub key: PublicKey,
    /// The weight it shall have; 0: none.
    pub weight: u64,
    /// It contradicted itself.
    pub convicted: bool,
    /// Since when this is wanted.
    pub since: Height,
}

/// Why a validator has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Delay {
    /// The epoch's budget is used up.
    Budget = 1,
    /// Nobody, or no quorum, would be left.
    Quorum = 2,
    /// There would be too many validators, or too much weight.
    Room = 3,
}

/// Who waits, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Waiting {
    /// The validator.
    pub validator: PublicKey,
    /// Why.
    pub delay: Delay,
}

/// The members of the next set, and who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Ascending by key.
    pub members: Vec<Validator>,
    /// In the order in which they would have been served.
    pub waiting: Vec<Waiting>,
}

/// The weights while they change.
struct Draft<'w> {
    rule: QuorumRule,
    weights: BTreeMap<PublicKey, u64>,
    wanted: &'w BTreeMap<PublicKey, Wanted>,
}

/// The next set. Members nothing is said about stay as they are.
pub fn plan(rule: QuorumRule, old: &[Validator], wanted: &[Wanted]) -> Plan {
    let by_key: BTreeMap<_, _> = wanted.iter().map(|wanted| (wanted.key, *wanted)).collect();
    let weights: BTreeMap<_, _> = old.iter().map(|member| (member.public_key, member.weight)).collect();
    let few = weights.len() < FEW;
    let heaviest = weights.values().copied().max().unwrap_or_default();
    let mut budget = if few { u64::MAX } else { weights.values().sum::<u64>() / 3 };
    let gain = if few { heaviest } else { u64::MAX };
    let mut draft = Draft { rule, weights, wanted: &by_key };
    let mut waiting = Vec::new();
    for wanted in draft.moves() {
        let delay = match draft.step(&wanted, (budget, gain)) {
            Ok(moved) => {
                budget = if few { 0 } else { budget.saturating_sub(moved) };
                (draft.weight(&wanted.key) != wanted.weight).then_some(Delay::Budget)
            }
            Err(delay) => Some(delay),
        };
        waiting.extend(delay.map(|delay| Waiting { validator: wanted.key, delay }));
    }
    let member = |(public_key, weight)| Validator { public_key, weight };
    Plan { members: draft.weights.into_iter().map(member).collect(), waiting }
}

impl Draft<'_> {
    /// What differs from what is wanted, in the order of rule 1.
    fn moves(&self) -> Vec<Wanted> {
        let mut moves: Vec<_> = self.wanted.values().filter(|w| w.weight != self.weight(&w.key)).copied().collect();
        moves.sort_by_key(|wanted| {
            let class = match (wanted.weight, self.weight(&wanted.key)) {
                (0, _) if wanted.convicted => 0,
                (0, _) => 1,
                (_, 0) => 2,
                _ => 3,
            };
            (class, wanted.since, wanted.key)
        });
        moves
    }

    /// Moves one weight as far as the budget, and up at most by `gain`; how far.
    fn step(&mut self, wanted: &Wanted, (budget, gain): (u64, u64)) -> Result<u64, Delay> {
        let before = self.weight(&wanted.key);
        let most = if wanted.weight > before { budget.min(gain) } else { budget };
        let moved = before.abs_diff(wanted.weight).min(most);
        if moved == 0 {
            return Err(Delay::Budget);
        }
        let after = if wanted.weight > before { before.saturating_add(moved) } else { before.saturating_sub(moved) };
        let could = self.is_able();
        self.set(wanted.key, after);
        let refused = if self.weights.is_empty() || (could && !self.is_able()) {
            Some(Delay::Quorum)
        } else if self.weights.len() > MAX_VALIDATORS || self.total() > MAX_TOTAL_WEIGHT {
            Some(Delay::Room)
        } else {
            None
        };
        let Some(delay) = refused else { return Ok(moved) };
        self.set(wanted.key, before);
        Err(delay)
    }

    fn weight(&self, key: &PublicKey) -> u64 {
        self.weights.get(key).copied().unwrap_or_default()
    }

    fn set(&mut self, key: PublicKey, weight: u64) {
        match weight {
            0 => self.weights.remove(&key),
            _ => self.weights.insert(key, weight),
        };
    }

    fn total(&self) -> u64 {
        self.weights.values().fold(0, |sum, weight| sum.saturating_add(*weight))
    }

    /// Whether those who are wanted form a quorum.
    fn is_able(&self) -> bool {
        let wanted = |key: &PublicKey| self.wanted.get(key).is_none_or(|wanted| wanted.weight > 0);
        let able = self.weights.iter().filter(|(key, _)| wanted(key)).map(|(_, weight)| *weight);
        self.rule.is_quorum(able.fold(0, u64::saturating_add), self.total())
    }
}
