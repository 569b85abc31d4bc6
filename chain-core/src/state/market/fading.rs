//! Numbers that fade: what was counted halves in every half-life.
//!
//! A half-life has 1000 steps, so one of so many seconds has steps of as many milliseconds. A number fades at
//! whole steps only, and keeps the time of the last one: the steps of two looks add up to those of one, and
//! looking often changes nothing but rounding. What is added counts from the last step on, at most one step too
//! early: it is worth at most 0.07 % less.
//!
//! Rounding: each fading multiplies by 2^(−n/1000), known to a relative error below 2^−57, and rounds down. So a
//! number never grows, and fading in two parts gives at most `3 + value / 2^57` more or less than fading at once.
//!
//! Not here: what is counted (`reputation`, `provider`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use crate::types::MarketMs;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// So many parts make one.
pub const MILLION: u128 = 1_000_000;
/// What a fading number holds at most, in millionths; what would be more counts as this.
pub const MOST: u128 = 1 << 112;
/// Steps of a half-life.
const STEPS: u64 = 1_000;
/// ⌊2^64 · 2^(−2^j / 1000)⌋ for j from 0 on.
const ROOTS: [u64; 10] = [
    18_433_962_195_437_549_867,
    18_421_189_173_818_597_970,
    18_395_669_675_996_748_075,
    18_344_736_690_453_555_725,
    18_243_293_390_821_052_267,
    18_042_086_582_526_486_772,
    17_646_305_871_143_492_268,
    16_880_600_156_520_403_655,
    15_447_423_160_731_999_185,
    12_935_772_370_084_899_900,
];

/// A number that fades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Fading {
    /// How much it was at that time, in millionths.
    #[serde(with = "crate::types::wide_decimal")]
    pub millionths: u128,
    /// When it last faded.
    pub at: MarketMs,
}

impl Fading {
    /// The number as it is now, with a half-life of so many seconds.
    pub fn at(self, now: MarketMs, half_life_s: u32) -> Self {
        if self.millionths == 0 {
            return Self { millionths: 0, at: now };
        }
        // A step of a half-life in seconds is as many milliseconds.
        let step = u64::from(half_life_s.max(1));
        let steps = now.get().saturating_sub(self.at.get()).checked_div(step).unwrap_or_default();
        Self { millionths: fade(self.millionths, steps), at: self.at.saturating_add(steps.saturating_mul(step)) }
    }

    /// The number as it is now, and so many millionths more.
    pub fn plus(self, millionths: u128, now: MarketMs, half_life_s: u32) -> Self {
        let faded = self.at(now, half_life_s);
        Self { millionths: faded.millionths.saturating_add(millionths).min(MOST), ..faded }
    }

    /// As `plus`, of whole ones.
    pub fn plus_whole(self, more: u64, now: MarketMs, half_life_s: u32) -> Self {
        self.plus(u128::from(more).saturating_mul(MILLION), now, half_life_s)
    }
}

/// ⌊value · 2^(−steps / 1000)⌋, but for the error of the factor.
fn fade(value: u128, steps: u64) -> u128 {
    let (halves, rest) = (steps.checked_div(STEPS).unwrap_or_default(), steps.checked_rem(STEPS).unwrap_or_default());
    let factor = (0u32..).zip(ROOTS).filter(|(bit, _)| rest & (1 << bit) != 0);
    let factor = factor.fold(1u128 << 64, |factor, (_, root)| times(factor, root.into()));
    u32::try_from(halves).ok().and_then(|halves| times(value, factor).checked_shr(halves)).unwrap_or_default()
}

/// ⌊value · factor / 2^64⌋ for a factor of at most 2^64: no product leaves 128 bits, and none is above the value.
fn times(value: u128, factor: u128) -> u128 {
    let (high, low) = (value >> 64, value & u128::from(u64::MAX));
    high.saturating_mul(factor).saturating_add(low.saturating_mul(factor) >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONTH_S: u32 = 2_592_000;

    fn of(millionths: u128) -> Fading {
        Fading { millionths, at: MarketMs::ZERO }
    }

    #[test]
    fn the_roots_are_those_of_one_half() {
        for pair in ROOTS.windows(2) {
            let square = times(pair[0].into(), pair[0].into());
            assert!(square.abs_diff(pair[1].into()) <= 2, "{pair:?}");
        }
        // 1000 is 1111101000 in binary.
        let half = [3, 5, 6, 7, 8, 9].iter().fold(1u128 << 64, |all, bit| times(all, ROOTS[*bit].into()));
        assert!(half.abs_diff(1 << 63) < 8, "{half}");
    }

    #[test]
    fn a_number_halves_in_a_half_life_and_is_gone_in_the_end() {
        let ms = |half_lives: u64| MarketMs::new(half_lives * 1_000 * u64::from(MONTH_S));
        for (half_lives, left) in [(0, 1_000_000), (1, 500_000), (2, 250_000), (10, 976), (20, 0), (1_000, 0)] {
            assert_eq!(of(MILLION).at(ms(half_lives), MONTH_S).millionths, left);
        }
        let half = of(MOST).at(MarketMs::new(500 * u64::from(MONTH_S)), MONTH_S).millionths;
        assert_eq!(half / (MOST / 1_000_000), 707_106, "a half-life's half is the root of a half");
        assert_eq!(of(MOST).at(MarketMs::new(u64::MAX), 1).millionths, 0);
        assert_eq!(of(MOST).plus(u128::MAX, MarketMs::ZERO, MONTH_S).millionths, MOST);
        assert_eq!(of(1).plus_whole(u64::MAX, MarketMs::ZERO, MONTH_S).millionths, 1 + u128::from(u64::MAX) * MILLION);
        let early = Fading { millionths: 5, at: MarketMs::new(9) };
        assert_eq!(early.at(MarketMs::new(3), MONTH_S), early, "no time passes backwards");
    }

    fn values() -> impl Strategy<Value = u128> {
        (0..=MOST, 0u32..113).prop_map(|(value, shift)| value >> shift)
    }

    fn times_of() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 0u64..20_000_000_000, 1 => any::<u64>(), 1 => 0u64..10_000]
    }

    proptest! {
        #[test]
        fn two_fadings_are_as_good_as_one(
            value in values(), first in times_of(), second in times_of(), half_life_s in 1u32..400_000_000,
        ) {
            let (middle, end) = (MarketMs::new(first), MarketMs::new(first.saturating_add(second)));
            let once = of(value).at(end, half_life_s);
            let half = of(value).at(middle, half_life_s);
            let twice = half.at(end, half_life_s);
            prop_assert!(half.millionths <= value && twice.millionths <= half.millionths, "it never grows");
            if half.millionths > 0 {
                prop_assert_eq!(once.at, twice.at, "the steps add up exactly");
            }
            prop_assert!(once.millionths.abs_diff(twice.millionths) <= 3 + (value >> 57), "{:?} {:?}", once, twice);
        }

        #[test]
        fn more_stays_more_and_later_is_less(
            one in values(), more in values(), time in times_of(), step in 0u64..10_000_000,
            half_life_s in 1u32..400_000_000,
        ) {
            let (now, later) = (MarketMs::new(time), MarketMs::new(time.saturating_add(step)));
            let at = |value: u128, time| of(value).at(time, half_life_s).millionths;
            prop_assert!(at(one.min(more), now) <= at(one.max(more), now));
            prop_assert!(at(one, later) <= at(one, now) + 2 + (one >> 57));
        }
    }
}
