//! The file with the funded keys of a devnet: `[{name, address, secret_key}]`. Only for money that
//! is worth nothing: the keys lie there in the clear.
//!
//! Not here: wallets (chain-cli), drawing the seeds (the caller: they must be random, never derived
//! from a name or number, or the keys of a chain that was reset would be known to everybody).

use chain_core::crypto::SecretKey;
use chain_core::types::Address;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest accounts file, in bytes: more than a quarter of a million accounts.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// One funded account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevAccount {
    /// What people call it.
    pub name: String,
    /// Its address: the public key of `secret_key`.
    pub address: Address,
    /// The 32-byte ed25519 seed in lower-case hex, without `0x`.
    pub secret_key: String,
}

/// The accounts of a devnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountsFile(pub Vec<DevAccount>);

/// Why accounts can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The system refused.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Others could read the keys.
    #[error("{0} can be read by others; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// Too long to be one.
    #[error("{0} is longer than an accounts file may be")]
    TooLong(PathBuf),
    /// Not the form of an accounts file.
    #[error("accounts file: {0}")]
    Form(#[from] serde_json::Error),
    /// Not 64 lower-case hex digits.
    #[error("account '{0}': secret_key must be 64 lower-case hex digits without 0x")]
    SecretKey(String),
    /// The key is another address's.
    #[error("account '{0}': the secret key belongs to another address")]
    Address(String),
}

impl fmt::Debug for DevAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevAccount({}, {})", self.name, self.address)
    }
}

impl DevAccount {
    /// The plain account of a seed that the caller drew at random.
    pub fn from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Self {
        let address = Address::of_key(&SecretKey::from_seed(seed).public());
        Self { name: name.into(), address, secret_key: hex::encode(seed) }
    }

    /// The key, checked against the address.
    pub fn key(&self) -> Result<SecretKey, AccountsError> {
        let wrong = || AccountsError::SecretKey(self.name.clone());
        if self.secret_key.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(&self.secret_key, &mut seed).map_err(|_| wrong())?;
        let key = SecretKey::from_seed(&seed);
        let fits = Address::of_key(&key.public()) == self.address;
        if fits { Ok(key) } else { Err(AccountsError::Address(self.name.clone())) }
    }
}

impl AccountsFile {
    /// Reads a file only its owner can read, and checks every key.
    pub fn read(path: &Path) -> Result<Self, AccountsError> {
        let failed = |error| AccountsError::Io(path.to_path_buf(), error);
        let file = File::open(path).map_err(failed)?;
        check_exposure(&file, path)?;
        let mut text = String::new();
        let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(AccountsError::TooLong(path.to_path_buf()));
        }
        let accounts: Self = serde_json::from_str(&text)?;
        accounts.0.iter().try_for_each(|account| account.key().map(drop))?;
        Ok(accounts)
    }

    /// Writes a new file that only its owner can read, and syncs it. Never overwrites: the keys in
    /// an existing file may be the only ones.
    pub fn write_new(&self, path: &Path) -> Result<(), AccountsError> {
        let failed = |error| AccountsError::Io(path.to_path_buf(), error);
        let text = serde_json::to_string_pretty(self)? + "\n";
        let mut file = owner_only().open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn check_exposure(file: &File, path: &Path) -> Result<(), AccountsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().map_err(|error| AccountsError::Io(path.to_path_buf(), error))?;
    let exposed = metadata.permissions().mode() & 0o077 != 0;
    if exposed { Err(AccountsError::Exposed(path.to_path_buf())) } else { Ok(()) }
}

#[cfg(not(unix))]
fn check_exposure(_: &File, _: &Path) -> Result<(), AccountsError> {
    Ok(())
}
