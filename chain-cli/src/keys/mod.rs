//! Keys of the person at the wallet: made, kept encrypted, found by name, and unlocked to sign.
//!
//! ```text
//!  24 words ──BIP-39──▶ 64-byte seed ──SLIP-0010──▶ Seed (32 bytes) ──ed25519──▶ public key ──▶ ait1…
//!      │                                              │
//!      └───────────── Secret ─────────────────────────┘
//!                       │ passphrase: Argon2id ─▶ XChaCha20-Poly1305, header as associated data
//!                       ▼
//!                   KeyFile  NAME.json, mode 0600, in a keystore directory
//! ```
//!
//! 1. A file that holds a secret has mode 0600 before its first byte is written, appears under its name complete and
//!    on disk,
//!    and never replaces another file.
//! 2. A key file is accepted only byte for byte as this program writes it; all of it but the ciphertext is associated
//!    data.
//! 3. Nothing here prints a secret by accident: secret types have no `Display` and a `Debug` without content, and are
//!    wiped on drop.
//! 4. A name means one key: a name found both in the keystore and in a devnet is refused, not guessed.
//!
//! Not here: what is signed (`chain-core`), and the command line (`commands/keys.rs`).

pub mod files;
mod hex_bytes;
pub mod kdf;
pub mod keystore;
pub mod mnemonic;
pub mod passphrase;
pub mod sealed;
pub mod secret;
pub mod signer;

use std::path::PathBuf;

use thiserror::Error;

pub use files::FileError;
pub use kdf::KdfParams;
pub use keystore::{KeyName, Keystore};
pub use mnemonic::{AccountIndex, MnemonicError, Words};
pub use passphrase::{PassphraseError, PassphraseSource};
pub use sealed::{FormatError, KeyFile, Secret};
pub use secret::Seed;
pub use signer::{Located, locate, resolve_signer};

/// Why a key could not be made, read, unlocked or found. No message holds a secret.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The name could not be a file name of the keystore.
    #[error("{0:?} is not a key name: use 1 to 32 characters out of a-z, 0-9, _ and -")]
    BadName(String),
    /// No key of this name in the keystore.
    #[error("no key {name:?} in {}", .keystore.display())]
    NoSuchKey {
        /// The name asked for.
        name: String,
        /// The directory searched.
        keystore: PathBuf,
    },
    /// The name is neither a key nor an account of a devnet.
    #[error("no key {name:?} in {} and no such account in {accounts}", .keystore.display())]
    NoSuchSigner {
        /// The name asked for.
        name: String,
        /// The key directory searched.
        keystore: PathBuf,
        /// The accounts file searched, or why there is none.
        accounts: String,
    },
    /// The name is both a key and an account of a devnet.
    #[error("{0:?} is both a key and a devnet account: say key:{0} or devnet:{0}")]
    Ambiguous(String),
    /// The key file's bytes are not what this program writes.
    #[error("{}: {source}", .path.display())]
    Format {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The file holds another key than its name says: it was renamed or swapped.
    #[error("{} holds the key {name:?}: give the file back its name", .path.display())]
    NameMismatch {
        /// The key file.
        path: PathBuf,
        /// The name in its header.
        name: String,
    },
    /// The authentication tag does not match. The two causes cannot be told apart.
    #[error("cannot unlock {0:?}: wrong passphrase, or the file was changed")]
    Locked(String),
    /// The secret does not belong to the public key of the header: the file was written by a faulty program.
    #[error("key {0:?}: its secret does not belong to its public key; do not use it")]
    WrongPublicKey(String),
    /// Not a 32-byte secret in hexadecimal.
    #[error("expected a 32-byte secret as 64 hexadecimal digits")]
    SecretHex,
    /// A devnet's accounts file is unusable.
    #[error("{}: {reason}", .path.display())]
    Accounts {
        /// The accounts file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A new key file was to be cheaper to guess than allowed, or dearer to open than a reader accepts.
    #[error("key derivation memory of {0} MiB: a new key needs {min} to {max} MiB", min = kdf::MIN_NEW_MEMORY_KIB / 1024, max = kdf::MAX_MEMORY_KIB / 1024)]
    KdfMemory(u32),
    /// Argon2 failed, in practice for want of memory.
    #[error("key derivation failed: {0}")]
    Kdf(argon2::Error),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(#[from] rand::rngs::SysError),
    /// No place for a keystore: neither a flag nor an environment variable names one.
    #[error("no keystore directory: give --keystore DIR, or set CHAIN_KEYSTORE or HOME")]
    NoKeystoreDirectory,
    /// A command would show a secret and was not told that this is meant.
    #[error("this prints the secret of {0:?} in clear, and whoever sees it can spend: repeat with --yes")]
    ExportNeedsYes(String),
    /// The key has no words: it was imported as a bare secret.
    #[error("{0:?} was imported as a bare secret and has no words: use --secret-hex")]
    NoWords(String),
    /// The key was made, but its words did not reach their file.
    #[error("key {name:?} was made, but its words were not written ({source}): run `chain keys export {name} --yes`")]
    WordsNotWritten {
        /// The new key.
        name: String,
        /// Why the words' file failed.
        source: FileError,
    },
    /// The result could not be written out.
    #[error("cannot write the result: {0}")]
    Output(#[from] std::io::Error),
    /// A value did not become JSON.
    #[error("cannot encode as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// A file or directory could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The words are not a mnemonic of this wallet.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    /// No usable passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}
