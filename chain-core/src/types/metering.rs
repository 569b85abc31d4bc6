//! How work is metered and priced: units, kinds of units, prices.
//!
//! Not here: what a job costs (`state::market::settle`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::amount::Amount;
use super::numbers::Units;
use crate::limits::{MAX_AMOUNT, MAX_PRICE, PRICE_UNITS, TOKENS_PER_OTHER_UNIT};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one unit is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum UnitKind {
    /// Tokens of a text model.
    Tokens = 1,
    /// Pictures.
    Images = 2,
    /// Seconds of sound, film or a machine.
    Seconds = 3,
    /// Answers of any size.
    Requests = 4,
}

impl UnitKind {
    /// How many tokens count as one of these, where a bound is in tokens.
    pub fn tokens(self) -> u32 {
        match self {
            Self::Tokens => 1,
            Self::Images | Self::Seconds | Self::Requests => TOKENS_PER_OTHER_UNIT,
        }
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "tokens",
            Self::Images => "images",
            Self::Seconds => "seconds",
            Self::Requests => "requests",
        })
    }
}

/// Base units of an asset for 1000 metered units; a valid one is 1 to 10^18.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct Price(Amount);

impl Price {
    /// Wraps a count of base units.
    pub const fn new(per_thousand: u128) -> Self {
        Self(Amount::new(per_thousand))
    }

    /// The count of base units.
    pub const fn get(self) -> u128 {
        self.0.get()
    }

    /// Whether it is 1 to 10^18.
    pub fn is_valid(self) -> bool {
        (1..=MAX_PRICE).contains(&self.get())
    }

    /// ⌊units · price / 1000⌋: what so much work costs.
    pub fn of(self, units: Units) -> Amount {
        // At most 2^64 · 10^18 for a valid price.
        let product = u128::from(units.get()).saturating_mul(self.get());
        Amount::new(product.checked_div(PRICE_UNITS).unwrap_or_default())
    }

    /// ⌊amount · 1000 / price⌋: how much work an amount pays for; `None` beyond 64 bits, or without a price.
    pub fn affords(self, amount: Amount) -> Option<Units> {
        let units = amount.get().checked_mul(PRICE_UNITS)?.checked_div(self.get())?;
        u64::try_from(units).ok().map(Units::new)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const _: () = assert!(MAX_AMOUNT < u128::MAX / PRICE_UNITS);
const _: () = assert!(MAX_PRICE < u128::MAX / (1 << 64));

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_an_amount_affords_costs_at_most_the_amount(amount in 0u128..=MAX_AMOUNT, price in 1u128..=MAX_PRICE) {
            let (price, amount) = (Price::new(price), Amount::new(amount));
            if let Some(units) = price.affords(amount) {
                prop_assert!(price.of(units) <= amount);
            }
        }
    }

    #[test]
    fn the_extremes_fit() {
        let dearest = Price::new(MAX_PRICE).of(Units::MAX);
        assert_eq!(dearest.get(), u128::from(u64::MAX) * 10u128.pow(15));
        assert_eq!(Price::new(1).affords(Amount::MAX_SUPPLY), None);
        assert_eq!(Price::new(0).affords(Amount::new(1)), None);
        assert_eq!(Price::new(9).of(Units::new(100)), Amount::ZERO);
    }
}
