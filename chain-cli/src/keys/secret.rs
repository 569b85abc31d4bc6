//! The one secret everything leads to: a 32-byte ed25519 seed, wiped on drop and silent in `Debug`.
//!
//! Not here: where a seed comes from (`mnemonic`), and how it is kept (`sealed`).

use std::fmt;

use chain_core::crypto::SecretKey;
use zeroize::Zeroizing;

use super::KeyError;

/// The 32 secret bytes of an ed25519 key (RFC 8032's private key; not the expanded scalar).
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Takes the bytes as they are: every 32 bytes are a valid seed.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits; a leading `0x` and white space around are allowed.
    ///
    /// # Errors
    /// [`KeyError::SecretHex`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| KeyError::SecretHex)?;
        Ok(Self(bytes))
    }

    /// The seed as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_ref()))
    }

    /// The secret bytes, for the code that signs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public key of this seed.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.secret_key().public().0
    }

    /// The key that signs.
    #[must_use]
    pub fn secret_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.0)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(secret)")
    }
}
