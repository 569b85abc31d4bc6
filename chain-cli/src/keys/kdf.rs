//! From a passphrase to the key of a key file: Argon2id (RFC 9106), its costs and their bounds.
//!
//! Not here: the rest of the file (`sealed`).

use argon2::{Algorithm, Argon2, Params, Version};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{FormatError, KeyError, hex_bytes::HexBytes, passphrase::Passphrase};

/// Least Argon2 memory of a new key: 64 MiB, the low-memory choice of RFC 9106, section 4.
pub const MIN_NEW_MEMORY_KIB: u32 = 64 * 1024;
/// Most Argon2 memory a reader spends: 1 GiB.
pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Argon2 passes of a new key (RFC 9106, section 4).
pub const NEW_PASSES: u32 = 3;
/// Most Argon2 passes a reader makes.
pub const MAX_PASSES: u32 = 16;
/// Most Argon2 lanes of a file. A new key has one: the library works them off one after the other.
pub const MAX_LANES: u32 = 16;

/// The cost of guessing a passphrase. Only [`KdfParams::for_new_key`] and a key file make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParams {
    /// The cost of a new key: `memory_mib` MiB, three passes, one lane.
    ///
    /// # Errors
    /// [`KeyError::KdfMemory`] below 64 MiB and above 1 GiB.
    pub fn for_new_key(memory_mib: u32) -> Result<Self, KeyError> {
        let memory_kib = memory_mib.saturating_mul(1024);
        if !(MIN_NEW_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&memory_kib) {
            return Err(KeyError::KdfMemory(memory_mib));
        }
        Ok(Self { memory_kib, passes: NEW_PASSES, lanes: 1 })
    }

    /// As cheap as Argon2 goes, so that tests don't spend their time in it.
    #[cfg(test)]
    pub const CHEAP: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KdfAlgorithm {
    Argon2id,
}

/// The header's part on key derivation. A reader calls [`Kdf::check`] before [`Kdf::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kdf {
    algorithm: KdfAlgorithm,
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    pub(super) salt: HexBytes<16>,
}

impl Kdf {
    /// These costs and a fresh salt.
    pub(super) fn new(cost: KdfParams) -> Result<Self, KeyError> {
        let mut salt = [0; 16];
        SysRng.try_fill_bytes(&mut salt)?;
        let KdfParams { memory_kib, passes, lanes } = cost;
        Ok(Self { algorithm: KdfAlgorithm::Argon2id, memory_kib, passes, lanes, salt: HexBytes(salt) })
    }

    /// Refuses costs that a reader should not pay.
    pub(super) fn check(&self) -> Result<(), FormatError> {
        within("lanes", self.lanes, 1, MAX_LANES)?;
        within("passes", self.passes, 1, MAX_PASSES)?;
        // Argon2 needs 8 KiB for each lane (RFC 9106, section 3.1).
        within("memory_kib", self.memory_kib, 8 * self.lanes, MAX_MEMORY_KIB)
    }

    /// The key that seals the file.
    pub(super) fn key(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(KeyError::Kdf)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt.0, key.as_mut())
            .map_err(KeyError::Kdf)?;
        Ok(key)
    }
}

fn within(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), FormatError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(FormatError::Kdf { field, value, min, max }) }
}
