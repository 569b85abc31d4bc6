//! Money: a count of base units of some asset. Arithmetic is checked or says that it saturates.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::numbers::DecimalVisitor;
use crate::limits::{BPS, MAX_AMOUNT};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Base units of an asset. What can exist of one asset is at most `MAX_AMOUNT`; an amount in a
/// message may be anything 128 bits hold and is checked where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most of one asset that can exist.
    pub const MAX_SUPPLY: Self = Self(MAX_AMOUNT);

    /// Wraps a count of base units.
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The count of base units.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, if 128 bits hold it.
    pub fn checked_add(self, more: Self) -> Option<Self> {
        self.0.checked_add(more.0).map(Self)
    }

    /// The difference, if it isn't negative.
    pub fn checked_sub(self, less: Self) -> Option<Self> {
        self.0.checked_sub(less.0).map(Self)
    }

    /// The sum, or the greatest amount where it would not fit. For bounds, never for balances.
    pub const fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// ⌊amount · bps / 10000⌋, exact for every amount.
    pub fn bps_floor(self, bps: u16) -> Self {
        let bps = u128::from(bps);
        // Splitting keeps the product within 128 bits: (q·10000 + r)·bps / 10000 = q·bps + r·bps/10000.
        let whole = (self.0 / BPS).saturating_mul(bps);
        Self(whole.saturating_add((self.0 % BPS).saturating_mul(bps) / BPS))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor).map(Self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn basis_points_are_floored_and_never_overflow() {
        assert_eq!(Amount::new(9_999).bps_floor(5_000), Amount::new(4_999));
        assert_eq!(Amount::new(36).bps_floor(10_000), Amount::new(36));
        assert_eq!(Amount::new(u128::MAX).bps_floor(10_000), Amount::new(u128::MAX));
        assert_eq!(Amount::new(u128::MAX).bps_floor(0), Amount::ZERO);
    }

    #[test]
    fn json_is_a_decimal_string() {
        let json = serde_json::to_string(&Amount::new(u128::MAX)).unwrap();
        assert_eq!(json, format!("\"{}\"", u128::MAX));
        assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), Amount::new(u128::MAX));
        assert!(serde_json::from_str::<Amount>(&format!("\"{}0\"", u128::MAX)).is_err());
        assert!(serde_json::from_str::<Amount>("\"1.0\"").is_err());
    }
}
