//! The two things keys need to know of the chain: which public key a seed has, and how an address is written.
//!
//! Stands in for `chain_core::crypto::SecretKey` and `chain_core::types::Address`. Not here: anything else of the chain.

use bech32::{Bech32m, Hrp};
use ed25519_dalek::SigningKey;

/// Human part of every address.
const ADDRESS_PREFIX: Hrp = Hrp::parse_unchecked("ait");

/// The ed25519 public key of a 32-byte seed (RFC 8032, section 5.1.5).
#[must_use]
pub fn public_from_seed(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// The address of a plain account, whose 32 bytes are its public key, as bech32m text (`ait1…`).
#[must_use]
pub fn address_text(public_key: &[u8; 32]) -> String {
    bech32::encode_lower::<Bech32m>(ADDRESS_PREFIX, public_key)
        .expect("3 + 1 + 52 + 6 characters are within the limit, the only way to fail")
}
