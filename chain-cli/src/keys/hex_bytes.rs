//! Fixed-length bytes as they stand in a key file. Not for secrets: nothing here is wiped.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes of a fixed length, in JSON as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HexBytes<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Serialize for HexBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&digits, &mut bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}
