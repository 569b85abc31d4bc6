//! Numbers with a meaning. None converts silently from another: `Height::new(7)` says what it is.
//! JSON writes every 64-bit number as a decimal string and reads strings and plain integers.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize,
        )]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The greatest value.
            pub const MAX: Self = Self(u64::MAX);
            /// Wraps the plain number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }
            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }
            /// The sum, or the greatest value where it would not fit.
            pub const fn saturating_add(self, more: u64) -> Self {
                Self(self.0.saturating_add(more))
            }
            /// The difference, or zero where it would be negative.
            pub const fn saturating_sub(self, less: u64) -> Self {
                Self(self.0.saturating_sub(less))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let wide = deserializer.deserialize_any(DecimalVisitor)?;
                u64::try_from(wide).map(Self).map_err(|_| {
                    serde::de::Error::custom(concat!(stringify!($name), " must fit in 64 bits"))
                })
            }
        }
    };
}

number! {
    /// The number of a block; genesis is 0.
    Height
}
number! {
    /// Milliseconds since the Unix epoch.
    TimestampMs
}

number! {
    /// The number of a proposal of the council, from 1 without holes.
    ProposalId
}
number! {
    /// The number of a validator's stake, from 1 without holes: short enough for keys of rows.
    StakeId
}

number! {
    /// The market's own time in ms: it stands still while the market is paused, and makes small steps only.
    MarketMs
}
number! {
    /// Metered work, such as tokens.
    Units
}
number! {
    /// The number of a job, from 1 without holes.
    JobId
}
number! {
    /// The number of a provider, from 1 without holes: short enough for keys of rows.
    ProviderId
}
number! {
    /// The number of a proposal of a model, from 1 without holes.
    ModelProposalId
}

impl Units {
    /// Whether there are none.
    pub const fn is_zero(self) -> bool {
        self.get() == 0
    }
}

impl MarketMs {
    /// So many seconds later.
    pub const fn plus_s(self, seconds: u32) -> Self {
        self.saturating_add((seconds as u64).saturating_mul(1_000))
    }
}

impl Height {
    /// The height above this one.
    pub const fn next(self) -> Self {
        self.saturating_add(1)
    }
}

/// An attempt to agree on a block at one height; the first is 0.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct View(u32);

impl View {
    /// The first view of a height.
    pub const ZERO: Self = Self(0);
    /// Wraps the plain number.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }
    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
    /// The view after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A `u128` as a decimal string in JSON.
pub(crate) mod wide_decimal {
    use super::DecimalVisitor;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        deserializer.deserialize_any(DecimalVisitor)
    }
}

/// The number of an asset; 0 is the native asset in which fees are paid.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct AssetId(u32);

impl AssetId {
    /// The asset fees are paid in.
    pub const NATIVE: Self = Self(0);
    /// Wraps the plain number.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }
    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a decimal string in its one spelling, or a plain JSON integer.
pub(super) struct DecimalVisitor;

impl serde::de::Visitor<'_> for DecimalVisitor {
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal string or a non-negative integer")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u128, E> {
        Ok(u128::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<u128, E> {
        u128::try_from(value).map_err(|_| E::custom("a negative number"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u128, E> {
        parse_decimal(text).ok_or_else(|| E::custom("not a decimal number in its shortest form"))
    }
}

/// A decimal number without sign, spaces or leading zeros.
pub(super) fn parse_decimal(text: &str) -> Option<u128> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    if digits && shortest { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_decimal_string_and_reading_is_strict() {
        let height = Height::new(u64::MAX);
        let json = serde_json::to_string(&height).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(serde_json::from_str::<Height>(&json).unwrap(), height);
        assert_eq!(serde_json::from_str::<Height>("7").unwrap(), Height::new(7));
        for bad in ["\"07\"", "\"\"", "\"-1\"", "-1", "1.5", "\" 1\"", "\"1e3\"", "null", "\"18446744073709551616\""] {
            assert!(serde_json::from_str::<Height>(bad).is_err(), "{bad}");
        }
    }
}
