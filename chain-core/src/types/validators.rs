//! The validator set: who votes with which weight, when votes are enough, whose turn it is.
//!
//! Not here: how the set changes (the authority and staking families), the votes themselves.

use super::{ChainId, Height, View};
use crate::codec;
use crate::crypto::{Hash, Namespace, PublicKey, hash};
use crate::limits::{MAX_TOTAL_WEIGHT, MAX_VALIDATORS};
use crate::mutation::{Mutation, on};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Which faults the chain tolerates; fixed by genesis and named by every certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum QuorumRule {
    /// A third of the weight may lie: a quorum is more than two thirds.
    #[default]
    Byzantine = 1,
    /// Less than half may stop, none may lie: a quorum is more than half.
    Crash = 2,
}

impl QuorumRule {
    /// Whether votes of weight `sum` out of `total` decide.
    pub fn is_quorum(self, sum: u64, total: u64) -> bool {
        let (sum, total) = (u128::from(sum), u128::from(total));
        match self {
            Self::Byzantine if on(Mutation::QuorumOfHalf) => 2 * sum >= total,
            Self::Byzantine => 3 * sum > 2 * total,
            Self::Crash => 2 * sum > total,
        }
    }
}

/// One member of the set.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Validator {
    /// The key that signs proposals and votes; its plain account receives the proposer's fees.
    pub public_key: PublicKey,
    /// Voting weight, at least 1.
    #[serde(with = "crate::types::validators::decimal")]
    pub weight: u64,
}

/// Why a list of validators is not a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody could ever decide.
    #[error("a validator set needs at least one member")]
    Empty,
    /// More than `MAX_VALIDATORS`.
    #[error("{0} validators, at most {MAX_VALIDATORS} allowed")]
    TooMany(usize),
    /// Keys must stand strictly ascending.
    #[error("validator {0} is listed twice or out of order")]
    Order(PublicKey),
    /// Not a usable signing key.
    #[error("validator {0} has no valid public key")]
    Key(PublicKey),
    /// A weight of zero, or a sum beyond the bound.
    #[error("validator weights must be at least 1 and sum to at most {MAX_TOTAL_WEIGHT}")]
    Weight,
}

/// The members, ascending by key, with their schedule of turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    members: Vec<Validator>,
    total_weight: u64,
    schedule: Vec<u16>,
}

impl ValidatorSet {
    /// Checks a list that stands strictly ascending by key.
    pub fn new(members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if members.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if members.len() > MAX_VALIDATORS {
            return Err(ValidatorSetError::TooMany(members.len()));
        }
        for pair in members.windows(2) {
            if let [a, b] = pair
                && a.public_key >= b.public_key
            {
                return Err(ValidatorSetError::Order(b.public_key));
            }
        }
        let mut total_weight = 0u64;
        for member in &members {
            member.public_key.validate().map_err(|_| ValidatorSetError::Key(member.public_key))?;
            total_weight = match total_weight.checked_add(member.weight) {
                Some(sum) if member.weight > 0 && sum <= MAX_TOTAL_WEIGHT => sum,
                _ => return Err(ValidatorSetError::Weight),
            };
        }
        let schedule = schedule(&members, total_weight);
        Ok(Self { members, total_weight, schedule })
    }

    /// The members, ascending by key.
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// The member at a place of the ascending order.
    pub fn get(&self, index: usize) -> Option<&Validator> {
        self.members.get(index)
    }

    /// The place of a key in the ascending order.
    pub fn index_of(&self, key: &PublicKey) -> Option<usize> {
        self.members.binary_search_by(|m| m.public_key.cmp(key)).ok()
    }

    /// The sum of all weights.
    pub fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// Whose turn it is to propose.
    pub fn leader(&self, height: Height, view: View) -> &Validator {
        let len = self.schedule.len() as u64;
        let turn = (height.get() % len).wrapping_add(u64::from(view.get()) % len) % len;
        let member = self.schedule.get(turn as usize).copied().unwrap_or_default();
        // The schedule holds places of `members` only, which is never empty.
        &self.members[usize::from(member)]
    }

    /// What headers commit to: `hash(ait/validators/1, chain, borsh(members))`.
    pub fn hash(&self, chain: &ChainId) -> Hash {
        hash(Namespace::Validators, &chain.0, &[&codec::encode(&self.members)])
    }
}

/// The order of turns. Equal weights: one turn each, by key. Otherwise each member has
/// max(1, ⌊weight·4n/W⌋) turns, spread by smooth weighted round-robin: every step each member
/// gains its turns, the richest (the smaller key of equals) moves and pays for all.
fn schedule(members: &[Validator], total_weight: u64) -> Vec<u16> {
    let first = members.first().map_or(0, |m| m.weight);
    if members.iter().all(|m| m.weight == first) {
        return (0..members.len() as u16).collect();
    }
    let four_n = 4 * members.len() as u128;
    let turns: Vec<i64> =
        members.iter().map(|m| (u128::from(m.weight) * four_n / u128::from(total_weight)).max(1) as i64).collect();
    let all: i64 = turns.iter().sum();
    let mut credit = vec![0i64; members.len()];
    let mut order = Vec::new();
    for _ in 0..all {
        for (credit, turns) in credit.iter_mut().zip(&turns) {
            *credit += turns;
        }
        let richest = credit.iter().copied().max().unwrap_or_default();
        let mover = credit.iter().position(|c| *c == richest).unwrap_or_default();
        if let Some(credit) = credit.get_mut(mover) {
            *credit -= all;
        }
        order.push(mover as u16);
    }
    order
}

/// A `u64` as a decimal string in JSON.
pub(crate) mod decimal {
    use crate::types::numbers::DecimalVisitor;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let wide = deserializer.deserialize_any(DecimalVisitor)?;
        u64::try_from(wide).map_err(|_| serde::de::Error::custom("must fit in 64 bits"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    fn members(weights: &[u64]) -> Vec<Validator> {
        let mut keys: Vec<_> = (0..weights.len()).map(|i| SecretKey::from_seed(&[i as u8 + 1; 32]).public()).collect();
        keys.sort();
        keys.into_iter().zip(weights).map(|(public_key, &weight)| Validator { public_key, weight }).collect()
    }

    #[test]
    fn quorums() {
        let byzantine = |sum, total| QuorumRule::Byzantine.is_quorum(sum, total);
        assert!(byzantine(1, 1) && byzantine(3, 3) && byzantine(3, 4) && byzantine(5, 7));
        assert!(!byzantine(2, 3) && !byzantine(2, 4) && !byzantine(4, 6) && !byzantine(0, 1));
        let crash = |sum, total| QuorumRule::Crash.is_quorum(sum, total);
        assert!(crash(2, 3) && !crash(2, 4) && crash(3, 4));
        assert!(!byzantine(u64::MAX / 2, u64::MAX));
    }

    #[test]
    fn a_list_that_is_no_set_is_refused() {
        assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorSetError::Empty));
        let mut twice = members(&[1, 1]);
        twice[1] = twice[0].clone();
        assert!(matches!(ValidatorSet::new(twice), Err(ValidatorSetError::Order(_))));
        assert_eq!(ValidatorSet::new(members(&[1, 0])), Err(ValidatorSetError::Weight));
        assert_eq!(ValidatorSet::new(members(&[u64::MAX, 2])), Err(ValidatorSetError::Weight));
        let small_order = Validator { public_key: PublicKey([0; 32]), weight: 1 };
        assert!(matches!(ValidatorSet::new(vec![small_order]), Err(ValidatorSetError::Key(_))));
    }

    #[test]
    fn equal_weights_take_turns_by_key_and_views_move_the_turn() {
        let set = ValidatorSet::new(members(&[5, 5, 5])).unwrap();
        for height in 0..6u64 {
            for view in 0..6u32 {
                let leader = set.leader(Height::new(height), View::new(view));
                assert_eq!(leader, &set.members()[(height as usize + view as usize) % 3]);
            }
        }
        set.leader(Height::MAX, View::new(u32::MAX));
    }

    #[test]
    fn unequal_weights_get_proportional_spread_turns() {
        let set = ValidatorSet::new(members(&[6, 1, 1])).unwrap();
        // 4n = 12 turns to share over W = 8: 9, 1, 1.
        assert_eq!(set.schedule.len(), 11);
        let turns = |who| set.schedule.iter().filter(|m| **m == who).count();
        assert_eq!((turns(0), turns(1), turns(2)), (9, 1, 1));
        assert_eq!(set.schedule, [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0].map(|m: u16| m), "smooth, ties to the smaller key");
    }
}
