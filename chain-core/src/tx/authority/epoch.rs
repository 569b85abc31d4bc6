//! The next validator set, from the one in charge and what is wanted: a pure function.
//!
//! 1. Weights move towards what is wanted. All moves together weigh at most ⌊W/3⌋ of the old set. Where
//!    they would weigh more, the convicted go first, and all others move by the same part of their way:
//!    the set is then a mix of the old one and the wanted one, and nobody's share of it is above both of
//!    its shares in these, but for what the convicted had. What is left of the budget by rounding goes unit
//!    by unit to those whose part was cut most, among equals in the order of rule 4.
//! 2. With fewer than four members one of them leaves, whole, or one joins, with no more than the heaviest
//!    has nor than its share of what is wanted; for what is left of the budget, and where nobody leaves or
//!    joins for one of at least 1, rule 1 holds for the weights of those who stay.
//! 3. No move leaves nobody, more than `MAX_VALIDATORS`, or a set that its members who are wanted
//!    could not form a quorum of although they could before.
//! 4. The order: first those who leave, convicted ones before others, then those who join, then those
//!    whose weight changes; among equals who has waited longest, then the smaller key.
//! 5. What was not done, or not whole, waits for the next epoch.
//!
//! Why ⌊W/3⌋: consecutive sets then share so much weight that who vouches for one speaks for the other.
//! Why the same part for all: one after the other, the first of many who grow would be a quorum alone
//! until the last one has grown. Why those who were cut most: where a third of the set is few units, all
//! parts are rounded to none, and in the order of rule 4 those who join would get the whole budget.
//!
//! Not here: who is wanted (`state::validators`), when this happens (`block_end`).

use crate::crypto::PublicKey;
use crate::limits::{MAX_TOTAL_WEIGHT, MAX_VALIDATORS};
use crate::types::{Height, QuorumRule, Validator};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// With fewer members one of them leaves or joins per epoch.
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
    /// Why a move was not made.
    refused: BTreeMap<PublicKey, Delay>,
}

/// The next set. Members nothing is said about stay as they are.
pub fn plan(rule: QuorumRule, old: &[Validator], wanted: &[Wanted]) -> Plan {
    let by_key: BTreeMap<_, _> = wanted.iter().map(|wanted| (wanted.key, *wanted)).collect();
    let weights: BTreeMap<_, _> = old.iter().map(|member| (member.public_key, member.weight)).collect();
    let mut draft = Draft { rule, weights, wanted: &by_key, refused: BTreeMap::new() };
    let moves = draft.moves();
    let third = draft.total() / 3;
    let few = draft.weights.len() < FEW;
    let coming: Vec<_> = moves.iter().filter(|wanted| few && draft.comes_or_goes(wanted)).copied().collect();
    let budget = match draft.move_one(&coming) {
        Some(moved) => third.saturating_sub(moved),
        None if few => third.max(1),
        None => third,
    };
    let (convicted, others): (Vec<_>, Vec<_>) =
        moves.iter().filter(|wanted| !coming.contains(wanted)).partition(|w| w.convicted && w.weight == 0);
    let left = draft.move_all(&convicted, budget);
    draft.move_all(&others, left);
    let behind = moves.iter().filter(|wanted| draft.weight(&wanted.key) != wanted.weight);
    let delay = |key| draft.refused.get(key).copied().unwrap_or(Delay::Budget);
    let waiting = behind.map(|wanted| Waiting { validator: wanted.key, delay: delay(&wanted.key) }).collect();
    let member = |(public_key, weight)| Validator { public_key, weight };
    Plan { members: draft.weights.into_iter().map(member).collect(), waiting }
}

impl Draft<'_> {
    /// What differs from what is wanted, in the order of rule 4.
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

    fn comes_or_goes(&self, wanted: &Wanted) -> bool {
        wanted.weight == 0 || self.weight(&wanted.key) == 0
    }

    /// Rule 2: the first that can leave or join does; how much that moved, or `None` if nobody can.
    fn move_one(&mut self, coming: &[Wanted]) -> Option<u64> {
        let heaviest = self.weights.values().copied().max().unwrap_or_default();
        coming.iter().find_map(|wanted| {
            let most = if wanted.weight == 0 { u64::MAX } else { heaviest.min(self.fair(wanted)) };
            let before = self.weight(&wanted.key);
            self.step(wanted, most).then(|| before.abs_diff(self.weight(&wanted.key)))
        })
    }

    /// The weight that gives a newcomer the share of this set that it shall have of the wanted one.
    fn fair(&self, joins: &Wanted) -> u64 {
        let target = |(key, weight): (&PublicKey, &u64)| self.wanted.get(key).map_or(*weight, |wanted| wanted.weight);
        let others = self.weights.iter().map(target).fold(0u128, |sum, weight| sum.saturating_add(weight.into()));
        let (total, all) = (u128::from(self.total()), others.saturating_add(joins.weight.into()));
        part(joins.weight, total.min(all), all).0.max(1)
    }

    /// Rule 1: all of them by the same part of their way; what is left of the budget.
    fn move_all(&mut self, moves: &[&Wanted], budget: u64) -> u64 {
        let way = |wanted: &Wanted, draft: &Self| draft.weight(&wanted.key).abs_diff(wanted.weight);
        let all = moves.iter().fold(0u128, |sum, wanted| sum.saturating_add(way(wanted, self).into()));
        let of = all.min(budget.into());
        let share = |wanted: &Wanted, draft: &Self| part(way(wanted, draft), of, all);
        let mut parts: Vec<_> = moves.iter().map(|wanted| (*wanted, share(wanted, self))).collect();
        let given = parts.iter().fold(0u128, |sum, (_, (part, _))| sum.saturating_add((*part).into()));
        // Fewer than there are parts with a rest, and whoever has one is not there yet.
        let over = usize::try_from(of.saturating_sub(given)).unwrap_or(usize::MAX);
        let mut cut: Vec<_> = parts.iter_mut().collect();
        cut.sort_by_key(|(_, (_, rest))| Reverse(*rest));
        cut.into_iter().take(over).for_each(|(_, (part, _))| *part = part.saturating_add(1));
        let mut left = budget;
        for (wanted, (part, _)) in parts {
            if part > 0 && self.step(wanted, part) {
                left = left.saturating_sub(part);
            }
        }
        left
    }

    /// Moves one weight by so much, at most as far as it shall go; whether that may be.
    fn step(&mut self, wanted: &Wanted, most: u64) -> bool {
        let before = self.weight(&wanted.key);
        let moved = before.abs_diff(wanted.weight).min(most);
        let after = if wanted.weight > before { before.saturating_add(moved) } else { before.saturating_sub(moved) };
        let could = self.is_able();
        self.set(wanted.key, after);
        let refused = if self.weights.is_empty() || (could && !self.is_able()) {
            Delay::Quorum
        } else if self.weights.len() > MAX_VALIDATORS || self.total() > MAX_TOTAL_WEIGHT {
            Delay::Room
        } else {
            return true;
        };
        self.set(wanted.key, before);
        self.refused.insert(wanted.key, refused);
        false
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

/// ⌊whole · of / all⌋ for `of` ≤ `all`, and the rest of the division; 0 where all is 0. Weights are at most
/// 2^60, so nothing overflows.
fn part(whole: u64, of: u128, all: u128) -> (u64, u128) {
    let product = u128::from(whole).saturating_mul(of);
    let (part, rest) = (product.checked_div(all).unwrap_or_default(), product.checked_rem(all).unwrap_or_default());
    (u64::try_from(part).unwrap_or(u64::MAX), rest)
}
