//! The format of a key file: a header in clear and one sealed 32-byte secret.
//!
//! ```text
//! { "header": { "version": 1, "name", "public_key", "origin": "seed" | {"bip39": {"account": 0}},
//!               "kdf": { "algorithm": "argon2id", "memory_kib", "passes", "lanes", "salt" },
//!               "cipher": { "algorithm": "xchacha20poly1305", "nonce" } },
//!   "ciphertext": 32 bytes of secret and 16 of tag }
//! ```
//!
//! 1. key = Argon2id(passphrase, salt; version 0x13); ciphertext = XChaCha20-Poly1305(key, nonce, secret, header as
//!    compact JSON).
//! 2. The secret is the phrase's entropy (`bip39`, so that the words can be shown again) or the ed25519 seed itself
//!    (`seed`).
//! 3. One spelling: bytes that are not exactly what writing the parsed file gives are refused, so no byte can change
//!    unnoticed.
//! 4. A reader's work is bounded before it starts: [`MAX_FILE_BYTES`], and the bounds of `kdf`.
//!
//! Until a file is unsealed its header, the public key with it, is only what the file says. Not here: where files lie
//! (`keystore`).

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    AccountIndex, KeyError, KeyName, Seed, Words,
    hex_bytes::HexBytes,
    kdf::{Kdf, KdfParams},
    passphrase::Passphrase,
};

/// The format this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Longest key file that is read; one as written has about 700 bytes.
pub const MAX_FILE_BYTES: u64 = 4096;

/// What is wrong with the bytes of a key file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// Not JSON of this shape. Only the place is told: the content may be anything.
    #[error("not a key file (line {line}, column {column})")]
    NotAKeyFile {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Made by a newer program.
    #[error("key file version {0}; this program reads version {FORMAT_VERSION}")]
    Version(u32),
    /// The right content in another spelling.
    #[error("changed since it was written: not a single byte may differ, white space included")]
    NotCanonical,
    /// Opening would take more memory or time than any honest file needs, or less than Argon2 can do with.
    #[error("key derivation parameter {field} = {value} is out of bounds {min}..={max}")]
    Kdf {
        /// Name of the parameter in the file.
        field: &'static str,
        /// Its value there.
        value: u32,
        /// Least value read.
        min: u32,
        /// Greatest value read.
        max: u32,
    },
}

/// What a key file keeps.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A phrase, and which of its accounts the key is.
    Words {
        /// The 24 words.
        words: Words,
        /// Third step of the path.
        account: AccountIndex,
    },
    /// A bare ed25519 seed.
    Seed(Seed),
}

impl Secret {
    /// The seed that signs.
    #[must_use]
    pub fn seed(&self) -> Seed {
        match self {
            Self::Words { words, account } => words.seed(*account),
            Self::Seed(seed) => seed.clone(),
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Words { account, .. } => Origin::Bip39 { account: *account },
            Self::Seed(_) => Origin::Seed,
        }
    }

    fn bytes(&self) -> Zeroizing<[u8; 32]> {
        match self {
            Self::Words { words, .. } => words.entropy(),
            Self::Seed(seed) => Zeroizing::new(*seed.as_bytes()),
        }
    }

    fn from_bytes(origin: Origin, bytes: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        Ok(match origin {
            Origin::Bip39 { account } => Self::Words { words: Words::from_entropy(&bytes)?, account },
            Origin::Seed => Self::Seed(Seed::new(bytes)),
        })
    }
}

/// What the sealed 32 bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// Entropy of 24 words, of which the key is one account.
    Bip39 {
        /// Third step of the path.
        account: AccountIndex,
    },
    /// An ed25519 seed.
    Seed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CipherAlgorithm {
    XChaCha20Poly1305,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    algorithm: CipherAlgorithm,
    nonce: HexBytes<24>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    name: KeyName,
    public_key: HexBytes<32>,
    origin: Origin,
    kdf: Kdf,
    cipher: Cipher,
}

/// A key file in memory, still sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    header: Header,
    ciphertext: HexBytes<48>,
}

impl KeyFile {
    /// Seals a secret under a fresh salt and nonce. Takes as long as the parameters say (64 MiB: some tenths of a
    /// second).
    ///
    /// # Errors
    /// [`KeyError::Random`], [`KeyError::Kdf`].
    pub fn seal(name: &KeyName, secret: &Secret, passphrase: &Passphrase, cost: KdfParams) -> Result<Self, KeyError> {
        let mut nonce = [0; 24];
        SysRng.try_fill_bytes(&mut nonce)?;
        let header = Header {
            version: FORMAT_VERSION,
            name: name.clone(),
            public_key: HexBytes(secret.seed().public_key()),
            origin: secret.origin(),
            kdf: Kdf::new(cost)?,
            cipher: Cipher { algorithm: CipherAlgorithm::XChaCha20Poly1305, nonce: HexBytes(nonce) },
        };
        let key = header.kdf.key(passphrase)?;
        let associated = serde_json::to_vec(&header)?;
        let sealed = XChaCha20Poly1305::new((&*key).into())
            .encrypt((&nonce).into(), Payload { msg: secret.bytes().as_ref(), aad: &associated })
            .expect("32 bytes are within the cipher's limit of 256 GiB, the only way to fail");
        let sealed = sealed.try_into().expect("32 bytes and a tag of 16");
        Ok(Self { header, ciphertext: HexBytes(sealed) })
    }

    /// Opens the file and proves that its header is the one that was sealed and its public key the secret's.
    ///
    /// # Errors
    /// [`KeyError::Locked`] for a wrong passphrase or a changed file, [`KeyError::Kdf`], [`KeyError::WrongPublicKey`].
    pub fn unseal(&self, passphrase: &Passphrase) -> Result<Secret, KeyError> {
        let locked = || KeyError::Locked(self.header.name.to_string());
        let key = self.header.kdf.key(passphrase)?;
        let associated = serde_json::to_vec(&self.header)?;
        let opened = XChaCha20Poly1305::new((&*key).into())
            .decrypt((&self.header.cipher.nonce.0).into(), Payload { msg: &self.ciphertext.0, aad: &associated })
            .map_err(|_| locked())?;
        let opened = Zeroizing::new(opened);
        let mut bytes = Zeroizing::new([0; 32]);
        // 48 bytes less the tag are 32: anything else is a change of the cipher.
        bytes.copy_from_slice(opened.get(..32).ok_or_else(locked)?);
        let secret = Secret::from_bytes(self.header.origin, bytes)?;
        if secret.seed().public_key() != self.header.public_key.0 {
            return Err(KeyError::WrongPublicKey(self.header.name.to_string()));
        }
        Ok(secret)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`KeyError::Encode`], which this type does not cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file's bytes and checks form, version, bounds and spelling; the tag is checked by [`Self::unseal`].
    ///
    /// # Errors
    /// [`FormatError`] as named.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let probe: VersionProbe = serde_json::from_slice(bytes).map_err(not_a_key_file)?;
        if probe.header.version != FORMAT_VERSION {
            return Err(FormatError::Version(probe.header.version));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(not_a_key_file)?;
        file.header.kdf.check()?;
        match file.to_bytes() {
            Ok(canonical) if canonical == bytes => Ok(file),
            _ => Err(FormatError::NotCanonical),
        }
    }

    /// The name in the header.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.header.name
    }

    /// The public key in the header.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.header.public_key.0
    }

    /// What the header says of the secret.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.header.origin
    }
}

/// The version is read first, so that a newer file is named as such and not as broken.
#[derive(Deserialize)]
struct VersionProbe {
    header: VersionField,
}

#[derive(Deserialize)]
struct VersionField {
    version: u32,
}

fn not_a_key_file(error: serde_json::Error) -> FormatError {
    FormatError::NotAKeyFile { line: error.line(), column: error.column() }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
