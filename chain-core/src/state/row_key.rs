//! The key of a state row: a bounded byte string in a fixed width, so that a leaf of the state
//! tree is a whole number of hash blocks.
//!
//! ```text
//! byte  0              1 …                                  47
//!       table id ≥ 1   rest of the key, then zeros          length (1..=47)
//! ```
//!
//! 1. Injective: the length says how many of the bytes are key.
//! 2. The order of the padded arrays is the lexicographic order of the keys, prefixes first: where
//!    two keys differ inside both, that byte decides; where one ends, its zeros are at most the
//!    other's bytes, and if those are zeros too the length decides.
//! 3. So all keys with one prefix stand together, and the prefix itself is their lower bound.
//! 4. The 48 zero bytes are no key. They stand for the sentinel: before the first key as a leaf's
//!    own key, after the last one as its next key. In code that is `Option<RowKey>`: `None`.
//!
//! Not here: which tables there are and how their keys are built.

use std::fmt;
use std::io::{Error, ErrorKind, Read, Result as IoResult};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest key in bytes, the table id included.
pub const MAX_KEY_BYTES: usize = ROW_KEY_BYTES - 1;
/// The width of a padded key in bytes.
pub const ROW_KEY_BYTES: usize = 48;

/// The sentinel's 48 bytes in a leaf.
pub(super) const SENTINEL: [u8; ROW_KEY_BYTES] = [0; ROW_KEY_BYTES];

/// A row's key: 1 to 47 bytes of which the first, the table id, is not zero.
///
/// JSON shows the key's bytes in lowercase hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey([u8; ROW_KEY_BYTES]);

/// The bytes are no row key: empty, too long, led by a zero, or not padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a row key: 1 to 47 bytes led by a table id that is not zero")]
pub struct BadRowKey;

impl RowKey {
    /// The key of these bytes.
    pub fn new(bytes: &[u8]) -> Result<RowKey, BadRowKey> {
        let length = u8::try_from(bytes.len()).map_err(|_| BadRowKey)?;
        if bytes.len() > MAX_KEY_BYTES || bytes.first().is_none_or(|table| *table == 0) {
            return Err(BadRowKey);
        }
        let mut padded = [0; ROW_KEY_BYTES];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = *from;
        }
        padded[MAX_KEY_BYTES] = length;
        Ok(RowKey(padded))
    }

    /// The key of a padded array, as [`RowKey::padded`] gives it; no other spelling is taken.
    pub fn from_padded(padded: [u8; ROW_KEY_BYTES]) -> Result<RowKey, BadRowKey> {
        let length = usize::from(padded[MAX_KEY_BYTES]);
        let key = RowKey::new(padded.get(..length).ok_or(BadRowKey)?)?;
        if key.0 == padded { Ok(key) } else { Err(BadRowKey) }
    }

    /// The key's own bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        let length = usize::from(self.0[MAX_KEY_BYTES]);
        &self.0[..length]
    }

    /// The padded bytes: what leaves hold and what orders the keys.
    pub fn padded(&self) -> &[u8; ROW_KEY_BYTES] {
        &self.0
    }

    /// The table id, never zero.
    pub fn table(&self) -> u8 {
        self.0[0]
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey({})", hex::encode(self.as_bytes()))
    }
}

/// 48 padded bytes; decoding refuses any other padding.
impl BorshSerialize for RowKey {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> IoResult<()> {
        writer.write_all(&self.0)
    }
}

impl BorshDeserialize for RowKey {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<RowKey> {
        let padded = <[u8; ROW_KEY_BYTES]>::deserialize_reader(reader)?;
        RowKey::from_padded(padded).map_err(|error| Error::new(ErrorKind::InvalidData, error))
    }
}

impl Serialize for RowKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for RowKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RowKey, D::Error> {
        let bytes = super::proof::hex_bytes::deserialize(deserializer)?;
        RowKey::new(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Few distinct bytes and short keys, so that prefixes and zeros meet often.
    fn key_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![(1u8..3, vec(0u8..3, 0..5)), (1u8..3, vec(0u8..2, 44..=46)),]
            .prop_map(|(table, rest)| [vec![table], rest].concat())
    }

    proptest! {
        #[test]
        fn padded_order_is_the_order_of_the_bytes(a in key_bytes(), b in key_bytes()) {
            let (x, y) = (RowKey::new(&a).unwrap(), RowKey::new(&b).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.as_bytes(), a.as_slice());
        }

        #[test]
        fn one_spelling_only(bytes in key_bytes(), at in 0..ROW_KEY_BYTES, byte in 0u8..50) {
            let mut padded = *RowKey::new(&bytes).unwrap().padded();
            padded[at] = byte;
            match RowKey::from_padded(padded) {
                Ok(key) => {
                    prop_assert_eq!(key.padded(), &padded);
                    prop_assert_eq!(RowKey::new(key.as_bytes()), Ok(key));
                }
                Err(_) => prop_assert!(borsh::from_slice::<RowKey>(&padded).is_err()),
            }
        }
    }

    #[test]
    fn bounds() {
        for bad in [&[][..], &[0], &[0, 1], &[1; 48], &[1; 304]] {
            assert_eq!(RowKey::new(bad), Err(BadRowKey), "{bad:?}");
        }
        assert_eq!(RowKey::from_padded(SENTINEL), Err(BadRowKey));
        let longest = RowKey::new(&[7; 47]).unwrap();
        assert_eq!(longest.as_bytes(), [7; 47]);
        assert_eq!(longest.table(), 7);
        let bytes = borsh::to_vec(&longest).unwrap();
        assert_eq!(borsh::from_slice::<RowKey>(&bytes).unwrap(), longest);
        let json = serde_json::to_string(&longest).unwrap();
        assert_eq!(serde_json::from_str::<RowKey>(&json).unwrap(), longest);
    }
}
