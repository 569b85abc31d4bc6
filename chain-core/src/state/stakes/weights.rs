//! Weight from stake: a pure function of who could validate.
//!
//! 1. The `max_active_validators` with the most stake are chosen; among equals who has waited longest,
//!    then the smaller key.
//! 2. Weight is stake over 10^`weight_exponent`, rounded down, at least 1. Where that would sum to more
//!    than `MAX_TOTAL_WEIGHT`, the next power of ten for which it does not.
//! 3. In mode `hybrid` no weight is above C, the greatest number with
//!    `10000 · C ≤ cap · Σ min(weight, C)`, where `cap` is `weight_cap_bps`, or ⌈10000 / n⌉ if that is
//!    more: n validators can't all be below one n-th. So each has at most the share `cap` of the sum.
//!
//! C exists and is found by halving: f(C) = cap · Σ min(weight, C) − 10000 · C is concave, and
//! f(0) = 0, f(1) = n · cap − 10000 ≥ 0, since every weight is at least 1. So f is not negative from 0 up to
//! some number and negative above it.
//!
//! Not here: how fast the set follows (`tx/authority/epoch`).

use crate::crypto::PublicKey;
use crate::limits::{BPS, MAX_TOTAL_WEIGHT};
use crate::state::Params;
use crate::types::{Amount, ConsensusMode, Height};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Somebody who could validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its key.
    pub key: PublicKey,
    /// All stake behind it.
    pub stake: Amount,
    /// Since when it waits.
    pub since: Height,
}

/// The weights of those who shall validate.
pub fn weights(mode: ConsensusMode, params: &Params, mut candidates: Vec<Candidate>) -> BTreeMap<PublicKey, u64> {
    candidates.sort_by_key(|candidate| (Reverse(candidate.stake), candidate.since, candidate.key));
    candidates.truncate(params.max_active_validators as usize);
    let stakes: Vec<u128> = candidates.iter().map(|candidate| candidate.stake.get()).collect();
    let mut weights = scaled(&stakes, params.weight_exponent);
    if mode == ConsensusMode::Hybrid {
        cap(&mut weights, params.weight_cap_bps.into());
    }
    candidates.iter().map(|candidate| candidate.key).zip(weights).collect()
}

/// Rule 2. Every candidate weighs at least 1; in the worst case that is all it weighs.
fn scaled(stakes: &[u128], exponent: u8) -> Vec<u64> {
    let units = (u32::from(exponent)..).map_while(|exponent| 10u128.checked_pow(exponent));
    let at =
        |unit: u128| stakes.iter().map(|stake| stake.checked_div(unit).unwrap_or_default().max(1)).collect::<Vec<_>>();
    let fits = |weights: &Vec<u128>| {
        weights.iter().fold(0, |sum: u128, weight| sum.saturating_add(*weight)) <= u128::from(MAX_TOTAL_WEIGHT)
    };
    let weights = units.map(at).find(fits);
    let weights = weights.unwrap_or_else(|| vec![1; stakes.len()]);
    weights.into_iter().map(|weight| u64::try_from(weight).unwrap_or(MAX_TOTAL_WEIGHT)).collect()
}

/// Rule 3.
fn cap(weights: &mut [u64], cap_bps: u128) {
    let cap_bps = cap_bps.max(BPS.div_ceil(weights.len().max(1) as u128));
    let fits = |most: u64| {
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight.min(&most))).sum();
        BPS.saturating_mul(most.into()) <= cap_bps.saturating_mul(sum)
    };
    let (mut low, mut high) = (1, weights.iter().copied().max().unwrap_or(1));
    while low < high {
        let middle = low.saturating_add(high.saturating_sub(low).div_ceil(2));
        if fits(middle) { low = middle } else { high = middle.saturating_sub(1) }
    }
    weights.iter_mut().for_each(|weight| *weight = (*weight).min(low));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(stakes: &[u128]) -> Vec<Candidate> {
        let candidate = |(place, stake): (usize, &u128)| {
            let key = PublicKey([place as u8; 32]);
            Candidate { key, stake: Amount::new(*stake), since: Height::ZERO }
        };
        stakes.iter().enumerate().map(candidate).collect()
    }

    fn run(mode: ConsensusMode, params: &Params, stakes: &[u128]) -> Vec<u64> {
        let weights = weights(mode, params, candidates(stakes));
        candidates(stakes).iter().map(|c| weights.get(&c.key).copied().unwrap_or_default()).collect()
    }

    #[test]
    fn stake_over_the_unit_at_least_one_for_the_chosen() {
        let params = Params { max_active_validators: 3, weight_exponent: 2, ..Params::default() };
        assert_eq!(run(ConsensusMode::Pos, &params, &[99, 250, 1_000, 98]), [1, 2, 10, 0]);
        assert_eq!(run(ConsensusMode::Pos, &params, &[7, 7, 7, 7]), [1, 1, 1, 0], "the smaller keys");
        assert_eq!(run(ConsensusMode::Pos, &params, &[]), [0u64; 0]);
    }

    #[test]
    fn the_cap_is_exact() {
        let params = Params { weight_exponent: 0, weight_cap_bps: 3_300, ..Params::default() };
        let capped = |stakes: &[u128]| run(ConsensusMode::Hybrid, &params, stakes);
        // 33 of 100 is 33 %, 34 of 101 is more.
        assert_eq!(capped(&[900, 30, 30, 7]), [33, 30, 30, 7]);
        assert_eq!(capped(&[30, 30, 30, 10]), [30, 30, 30, 10], "nothing to cap");
        assert_eq!(capped(&[1_000, 1, 1]), [1, 1, 1], "of three one third each");
        assert_eq!(capped(&[5]), [5]);
        let none = Params { weight_cap_bps: 10_000, ..params };
        assert_eq!(run(ConsensusMode::Hybrid, &none, &[900, 1]), [900, 1]);
        assert_eq!(run(ConsensusMode::Pos, &params, &[900, 30, 30, 7]), [900, 30, 30, 7], "not in pos");
    }

    proptest! {
        #[test]
        fn never_too_much_and_never_above_the_cap(
            stakes in prop::collection::vec((0u32..100).prop_flat_map(|bits| 1u128..=(1 << bits)), 1..60),
            cap_bps in 1u16..=10_000, exponent in 0u8..=30,
        ) {
            let params = Params { weight_exponent: exponent, weight_cap_bps: cap_bps, ..Params::default() };
            let free = run(ConsensusMode::Pos, &params, &stakes);
            let sum = |weights: &[u64]| weights.iter().map(|w| u128::from(*w)).sum::<u128>();
            prop_assert!(sum(&free) <= u128::from(MAX_TOTAL_WEIGHT));
            prop_assert!(free.iter().all(|weight| *weight >= 1));
            let capped = run(ConsensusMode::Hybrid, &params, &stakes);
            let (total, cap) = (sum(&capped), u128::from(cap_bps).max(BPS.div_ceil(stakes.len() as u128)));
            let top = *capped.iter().max().unwrap();
            prop_assert!(BPS * u128::from(top) <= cap * total);
            for (free, capped) in free.iter().zip(&capped) {
                prop_assert_eq!(*capped, (*free).min(top), "one bound for all");
            }
            // One more would be above it, or nobody has more.
            let more: u128 = free.iter().map(|weight| u128::from((*weight).min(top + 1))).sum();
            prop_assert!(BPS * u128::from(top + 1) > cap * more || free.iter().all(|weight| *weight <= top));
            let order = |a: usize, b: usize| stakes[a] <= stakes[b] || capped[a] >= capped[b];
            prop_assert!((0..stakes.len()).all(|a| (0..stakes.len()).all(|b| order(a, b))), "more stake, no less weight");
        }
    }
}
