//! Numbers with 128 binary places, for shares of rewards that lose nothing.
//!
//! Not here: what they count (`rewards`).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use std::num::NonZeroU128;

/// `whole + fraction / 2^128`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Fixed {
    /// The whole part.
    #[serde(with = "crate::types::wide_decimal")]
    pub whole: u128,
    /// The rest, in parts of 2^128.
    #[serde(with = "crate::types::wide_decimal")]
    pub fraction: u128,
}

impl Fixed {
    /// Nothing.
    pub const ZERO: Self = Self { whole: 0, fraction: 0 };

    /// A whole number.
    pub const fn of(whole: u128) -> Self {
        Self { whole, fraction: 0 }
    }

    /// The sum modulo 2^128.
    pub fn plus(self, more: Self) -> Self {
        let (fraction, carry) = self.fraction.overflowing_add(more.fraction);
        Self { whole: self.whole.wrapping_add(more.whole).wrapping_add(u128::from(carry)), fraction }
    }

    /// The difference modulo 2^128.
    pub fn minus(self, less: Self) -> Self {
        let (fraction, borrow) = self.fraction.overflowing_sub(less.fraction);
        Self { whole: self.whole.wrapping_sub(less.whole).wrapping_sub(u128::from(borrow)), fraction }
    }

    /// The product modulo 2^128.
    pub fn times(self, factor: u128) -> Self {
        let (fraction, high) = self.fraction.carrying_mul(factor, 0);
        Self { whole: self.whole.wrapping_mul(factor).wrapping_add(high), fraction }
    }

    /// Divides: the quotient, and what is left over, in parts of 2^128, less
    /// than the divisor: `quotient · by + left / 2^128` is this number exactly.
    pub fn split(self, by: NonZeroU128) -> (Self, u128) {
        let (whole, rest) = (self.whole / by, self.whole % by);
        let (fraction, left) = divide(rest, self.fraction, by.get());
        (Self { whole, fraction }, left)
    }
}

/// ⌊a · b / by⌋ for `a ≤ by`, `by` above zero.
pub(super) fn mul_div(a: u128, b: u128, by: u128) -> u128 {
    let (low, high) = a.carrying_mul(b, 0);
    // `a = by` alone would let the quotient's upper half be b's: high < by fails only then.
    if a >= by { b } else { divide(high, low, by).0 }
}

/// Divides `high · 2^128 + low` by `by > high`: quotient and remainder. Long division, bit by bit.
fn divide(high: u128, low: u128, by: u128) -> (u128, u128) {
    let (mut quotient, mut rest) = (0u128, high);
    for bit in (0..128).rev() {
        let beyond = rest >> 127 == 1;
        rest = (rest << 1) | ((low >> bit) & 1);
        if beyond || rest >= by {
            rest = rest.wrapping_sub(by);
            quotient |= 1 << bit;
        }
    }
    (quotient, rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers of every length.
    fn any_number() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0u32..128).prop_map(|(number, shift)| number >> shift)
    }

    proptest! {
        #[test]
        fn splitting_loses_nothing(whole in any_number(), fraction: u128, by in any_number()) {
            let (number, by) = (Fixed { whole, fraction }, by.max(1));
            let (each, left) = number.split(NonZeroU128::new(by).unwrap());
            prop_assert!(left < by);
            prop_assert_eq!(each.times(by).plus(Fixed { whole: 0, fraction: left }), number);
            prop_assert!(each.whole <= whole, "no product left its range");
        }

        #[test]
        fn sums_and_products_agree(a in any_number(), b: u128, factor in 0u128..50) {
            let number = Fixed { whole: a, fraction: b };
            let sum = (0..factor).fold(Fixed::ZERO, |sum, _| sum.plus(number));
            prop_assert_eq!(sum, number.times(factor));
            prop_assert_eq!(sum.minus(number).plus(number), sum);
        }

        #[test]
        fn shares_are_floored(a in 0u128..1 << 60, b in 0u128..1 << 60, by in 1u128..1 << 60) {
            let a = a.min(by);
            prop_assert_eq!(mul_div(a, b, by), a * b / by);
            prop_assert_eq!(mul_div(a << 60, b << 60, by << 60), ((a * b / by) << 60) + (((a * b % by) << 60) / by));
        }
    }

    #[test]
    fn the_greatest_numbers_fit() {
        let most = u128::MAX;
        assert_eq!(mul_div(most, most, most), most);
        assert_eq!(mul_div(most - 1, most, most), most - 1);
        assert_eq!(Fixed { whole: most, fraction: most }.split(NonZeroU128::MAX), (Fixed { whole: 1, fraction: 1 }, 0));
    }
}
