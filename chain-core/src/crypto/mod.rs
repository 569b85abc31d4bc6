//! Digests, keys and signatures: what every node must compute bit for bit the same.
//!
//! * [`namespace`]: the one list of domain tags; every hashed or signed string starts with one.
//! * [`hash`]: BLAKE3-256 over framed bytes, and many fixed-size inputs hashed at once.
//! * [`signature`]: ed25519 with one verdict, for one signature or for many.
//!
//! Not here: addresses (`types`), state and Merkle trees (`state`), what a transaction or a vote
//! signs (`tx`, `types`), key files and wallets (chain-cli).

pub mod hash;
pub mod merkle;
pub mod namespace;
pub mod signature;

pub use hash::{Hash, derive_key, digest, hash, hash_many, keyed_hash, signing_message};
pub use namespace::Namespace;
pub use signature::{PublicKey, SecretKey, Signature, SignatureError, verify_many, verify_one};

/// A text that is not the one spelling of a byte string: `0x` and lower-case hex digits, exactly
/// two per byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x followed by {digits} lower-case hex digits")]
pub struct HexError {
    /// The number of hex digits that had to follow `0x`.
    pub digits: usize,
}

/// Reads the one spelling of `N` bytes.
fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { digits: 2 * N };
    let digits = text.strip_prefix("0x").ok_or(error)?;
    // The hex crate reads upper case as well; a second spelling of a value is refused here.
    if digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(error);
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| error)?;
    Ok(bytes)
}

/// Text and JSON of a byte-array newtype: `Display`, `Debug`, `FromStr` and serde, all in the one
/// hex spelling.
macro_rules! hex_text {
    ($type:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::crypto::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::crypto::parse_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use hex_text;
