//! Addresses: 32 bytes, written bech32m with the human part `ait`.
//!
//! A plain account's address is its ed25519 public key. A multi-key account's and a module
//! account's address is a hash, so it is (but for negligible chance) nobody's public key.

use crate::crypto::{Hash, Namespace, PublicKey, hash};
use bech32::{Bech32m, Hrp};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const HUMAN_PART: Hrp = Hrp::parse_unchecked("ait");

/// Who owns something.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Address([u8; 32]);

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m, or damaged.
    #[error("not an address: {0}")]
    Encoding(String),
    /// Bech32m, but not of this kind of chain.
    #[error("an address starts with ait1, not {0}1")]
    HumanPart(String),
    /// Bech32m of another length.
    #[error("an address holds 32 bytes, not {0}")]
    Length(usize),
    /// The same bytes have another, canonical spelling.
    #[error("an address is written in lower case: {0}")]
    Spelling(String),
}

/// Accounts the protocol itself owns: nobody signs for them, nobody transfers to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleAccount {
    /// Money locked in jobs.
    Escrow,
    /// The chain's own money.
    Treasury,
}

impl ModuleAccount {
    /// Every module account.
    pub const ALL: [Self; 2] = [Self::Escrow, Self::Treasury];

    /// The account's name, from which its address is derived.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Escrow => "escrow",
            Self::Treasury => "treasury",
        }
    }

    /// The account's address, the same on every chain.
    pub fn address(self) -> Address {
        Address(*hash(Namespace::Module, &Hash::ZERO, &[self.name().as_bytes()]).as_bytes())
    }
}

impl Address {
    /// Takes 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The address of the plain account of a key.
    pub fn of_key(key: &PublicKey) -> Self {
        Self(*key.as_bytes())
    }

    /// The key whose plain account this is. Of another account it is nobody's key: such addresses are hashes.
    pub fn key(&self) -> PublicKey {
        PublicKey(self.0)
    }

    /// The address of the multi-key account of `keys`, which stand strictly ascending:
    /// `hash(ait/multikey/1, borsh(threshold u8, keys))`.
    pub fn of_multi_key(threshold: u8, keys: &[PublicKey]) -> Self {
        let body = crate::codec::encode(&(threshold, keys));
        Self(*hash(Namespace::Multikey, &Hash::ZERO, &[&body]).as_bytes())
    }

    /// Whether the protocol itself owns this account.
    pub fn is_module(&self) -> bool {
        use std::sync::LazyLock;
        static MODULES: LazyLock<[Address; 2]> = LazyLock::new(|| ModuleAccount::ALL.map(ModuleAccount::address));
        MODULES.contains(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, HUMAN_PART, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|e| AddressError::Encoding(e.to_string()))?;
        if checked.hrp() != HUMAN_PART {
            return Err(AddressError::HumanPart(checked.hrp().to_string()));
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let address = Self(bytes.try_into().map_err(|b: Vec<u8>| AddressError::Length(b.len()))?);
        let spelling = address.to_string();
        if spelling == text { Ok(address) } else { Err(AddressError::Spelling(spelling)) }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn module_accounts_are_known_as_such() {
        assert!(ModuleAccount::Escrow.address().is_module());
        assert!(!Address::from_bytes([7; 32]).is_module());
    }

    #[test]
    fn one_spelling_in_one_out() {
        let text = Address::from_bytes([7; 32]).to_string();
        assert!(text.starts_with("ait1"));
        assert!(matches!(text.to_uppercase().parse::<Address>(), Err(AddressError::Spelling(_))));
        assert!(matches!(
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y".parse::<Address>(),
            Err(AddressError::HumanPart(_))
        ));
        assert!("".parse::<Address>().is_err());
        let short = bech32::encode::<Bech32m>(HUMAN_PART, &[7; 31]).unwrap();
        assert_eq!(short.parse::<Address>(), Err(AddressError::Length(31)));
        let other_checksum = bech32::encode::<bech32::Bech32>(HUMAN_PART, &[7; 32]).unwrap();
        assert!(matches!(other_checksum.parse::<Address>(), Err(AddressError::Encoding(_))));
    }

    proptest! {
        #[test]
        fn text_and_bytes_agree_and_a_changed_letter_is_noticed(bytes: [u8; 32], at in 4usize..62, to in 0usize..32) {
            let address = Address::from_bytes(bytes);
            let text = address.to_string();
            prop_assert_eq!(text.parse::<Address>().unwrap(), address);
            let letter = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[to];
            let mut changed = text.clone().into_bytes();
            if changed[at] != letter {
                changed[at] = letter;
                prop_assert!(String::from_utf8(changed).unwrap().parse::<Address>().is_err());
            }
        }
    }
}
