//! Which transaction goes before which: exact fee per weight, and the pool's one order.

use crate::types::Amount;
use std::cmp::{Ordering, Reverse};

/// Fee per weight, exactly: `whole + rest / weight` with `rest < weight`.
///
/// Splitting off the whole part keeps the cross multiplication of the rests (both below 2^64)
/// within 128 bits whatever the fees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Priority {
    whole: u128,
    rest: u64,
    weight: u64,
}

impl Priority {
    /// The priority of a fee for a weight, which is at least 1 for every transaction.
    pub fn new(fee: Amount, weight: u64) -> Self {
        let weight = weight.max(1);
        let (whole, rest) = (fee.get() / u128::from(weight), fee.get() % u128::from(weight));
        // The rest is below a `u64`.
        Self { whole, rest: rest as u64, weight }
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (u128::from(self.rest), u128::from(other.rest));
        let rests = (mine * u128::from(other.weight)).cmp(&(theirs * u128::from(self.weight)));
        self.whole.cmp(&other.whole).then(rests)
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

/// A transaction's place in the pool's order; greater is better. Ages are given out once, so no
/// two keys are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub pending: bool,
    /// The least priority in the lane up to here.
    pub rank: Priority,
    /// When it became what it is; older is better.
    pub age: Reverse<u64>,
}

impl Key {
    /// Whether `other` is worse for another reason than its age: only then it may be displaced.
    pub fn displaces(&self, other: &Key) -> bool {
        (other.pending, other.rank) < (self.pending, self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn priority(fee: u128, weight: u64) -> Priority {
        Priority::new(Amount::new(fee), weight)
    }

    #[test]
    fn fractions_and_extremes_compare_exactly() {
        assert_eq!(priority(1, 2), priority(2, 4));
        assert!(priority(u128::MAX, 3) < priority(u128::MAX, 2));
        assert!(priority(u128::MAX - 1, u64::MAX) < priority(u128::MAX, u64::MAX));
        assert!(priority(1, u64::MAX) < priority(1, u64::MAX - 1));
        assert!(priority(0, 1) < priority(1, u64::MAX));
    }

    proptest! {
        #[test]
        fn small_values_agree_with_cross_multiplication(
            a in 0u128..1000, w in 1u64..50, b in 0u128..1000, v in 1u64..50,
        ) {
            let crossed = (a * u128::from(v)).cmp(&(b * u128::from(w)));
            prop_assert_eq!(priority(a, w).cmp(&priority(b, v)), crossed);
        }
    }
}
