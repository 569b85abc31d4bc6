//! Finds the key that `--from` names and unlocks it.
//!
//! | spelling | means |
//! |---|---|
//! | `key:alice` | the key `alice` of the keystore |
//! | `devnet:dev0` | the account `dev0` of the devnet's `accounts.json` |
//! | `devnet:node-0` | the validator key of the devnet's node, `node-0/validator_key` |
//! | `./some/file` (none of the above, has a `/`) | that key file, or a node's `validator_key` (64 hex digits, 0600) |
//! | `alice`, `node-0` | the key, account or node of this name; refused if there are two |
//!
//! Accounts of a devnet lie unencrypted in a file that everybody may read: they are worth nothing and no secret.
//! A node's `validator_key` is a secret without a passphrase, as the node has to read it alone.
//! Not here: signing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chain_core::types::Address;
use serde::Deserialize;

use super::{FileError, KeyError, KeyFile, KeyName, Keystore, PassphraseSource, Seed, files, keystore::read_key_file};

/// Longest accounts file, in bytes: room for thousands of accounts.
const MAX_ACCOUNTS_BYTES: u64 = 1 << 20;

/// An unlocked key. Its `Debug` has no secret.
#[derive(Debug, Clone)]
pub struct Signer {
    name: String,
    seed: Seed,
}

impl Signer {
    /// The name it was found by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its secret, for the code that signs.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The address of its account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_bytes(self.seed.public_key())
    }
}

/// A key that was found and, if it is a person's, is still locked.
#[derive(Debug)]
pub enum Located {
    /// A key file.
    Key(KeyFile),
    /// An account of a devnet or a node's key, which nothing locks.
    Plain(Signer),
}

impl Located {
    /// The public key; of a key file, what its header says.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        match self {
            Self::Key(file) => *file.public_key(),
            Self::Plain(signer) => signer.seed.public_key(),
        }
    }

    /// Unlocks a key file with its passphrase, which is asked for only now.
    ///
    /// # Errors
    /// As [`KeyFile::unseal`] and [`PassphraseSource::unlocking`].
    pub fn unlock(self, passphrase: &PassphraseSource) -> Result<Signer, KeyError> {
        match self {
            Self::Key(file) => {
                let name = file.name().to_string();
                let seed = file.unseal(&passphrase.unlocking(&name)?)?.seed();
                Ok(Signer { name, seed })
            }
            Self::Plain(signer) => Ok(signer),
        }
    }
}

/// Finds the key `from` names, without unlocking it. `accounts` is the devnet's `accounts.json`; it may be missing as
/// long as
/// nothing is looked for in it alone.
///
/// # Errors
/// [`KeyError::NoSuchSigner`], [`KeyError::Ambiguous`], and those of reading the file that has the key.
pub fn locate(from: &str, keystore: &Keystore, accounts: Option<&Path>) -> Result<Located, KeyError> {
    if let Some(name) = from.strip_prefix("key:") {
        return Ok(Located::Key(keystore.read(&name.parse()?)?));
    }
    let no_such = |name: &str| KeyError::NoSuchSigner {
        name: name.to_owned(),
        keystore: keystore.directory().to_owned(),
        accounts: accounts.map_or_else(|| "a devnet (none given)".to_owned(), |path| path.display().to_string()),
    };
    if let Some(name) = from.strip_prefix("devnet:") {
        return devnet_signer(name, accounts)?.map(Located::Plain).ok_or_else(|| no_such(name));
    }
    if from.contains('/') {
        return match validator_key(Path::new(from))? {
            Some(signer) => Ok(Located::Plain(signer)),
            None => Ok(Located::Key(read_key_file(Path::new(from))?)),
        };
    }
    let name: KeyName = from.parse()?;
    match (keystore.contains(&name), devnet_signer(from, accounts)?) {
        (true, Some(_)) => Err(KeyError::Ambiguous(from.to_owned())),
        (true, None) => Ok(Located::Key(keystore.read(&name)?)),
        (false, Some(signer)) => Ok(Located::Plain(signer)),
        (false, None) => Err(no_such(from)),
    }
}

/// Finds the key `from` names and unlocks it.
///
/// # Errors
/// As [`locate`] and [`Located::unlock`].
pub fn resolve_signer(
    from: &str,
    keystore: &Keystore,
    accounts: Option<&Path>,
    passphrase: &PassphraseSource,
) -> Result<Signer, KeyError> {
    locate(from, keystore, accounts)?.unlock(passphrase)
}

/// Longest `validator_key`, in bytes: 64 digits, and white space around.
const MAX_VALIDATOR_KEY_BYTES: u64 = 128;

/// A node's validator key, if that is what a file holds.
fn validator_key(path: &Path) -> Result<Option<Signer>, KeyError> {
    let bytes = match files::read(path, MAX_VALIDATOR_KEY_BYTES) {
        Err(FileError::TooLong { .. }) => return Ok(None),
        other => other?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let Ok(seed) = Seed::from_hex(text) else { return Ok(None) };
    // Only now it is known to be a secret: it must be closed to others, as for the node.
    files::read_private(path, MAX_VALIDATOR_KEY_BYTES)?;
    Ok(Some(Signer { name: path.display().to_string(), seed }))
}

/// An account of a devnet, or the validator key of one of its nodes.
fn devnet_signer(name: &str, accounts: Option<&Path>) -> Result<Option<Signer>, KeyError> {
    let node =
        accounts.and_then(Path::parent).filter(|_| is_node(name)).map(|dir| dir.join(name).join("validator_key"));
    match node.filter(|path| path.is_file()) {
        Some(path) => Ok(validator_key(&path)?.map(|signer| Signer { name: name.to_owned(), ..signer })),
        None => devnet_account(name, accounts),
    }
}

/// Whether a devnet's node can have this name: nothing else becomes part of a path.
fn is_node(name: &str) -> bool {
    let digits = name.strip_prefix("node-").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// One entry of `accounts.json`; other fields are the devnet's business.
#[derive(Deserialize)]
struct DevAccount {
    name: String,
    address: String,
    secret_key: String,
}

impl fmt::Debug for DevAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevAccount").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

fn devnet_account(name: &str, path: Option<&Path>) -> Result<Option<Signer>, KeyError> {
    let Some(path) = path else { return Ok(None) };
    let bytes = match files::read(path, MAX_ACCOUNTS_BYTES) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let unusable = |reason: String| KeyError::Accounts { path: path.to_owned(), reason };
    // serde's own message may quote the value it stumbled on, which may be a secret.
    let accounts: Vec<DevAccount> = serde_json::from_slice(&bytes).map_err(|error| {
        unusable(format!("not a list of accounts (line {}, column {})", error.line(), error.column()))
    })?;
    let mut found = accounts.iter().filter(|account| account.name == name);
    let Some(account) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(unusable(format!("{name:?} is there more than once")));
    }
    let seed = Seed::from_hex(&account.secret_key).map_err(|error| unusable(format!("{name:?}: {error}")))?;
    let signer = Signer { name: name.to_owned(), seed };
    if signer.address().to_string() != account.address {
        return Err(unusable(format!("{name:?}: the address does not belong to the secret key")));
    }
    Ok(Some(signer))
}

/// The accounts file of a devnet's directory.
#[must_use]
pub fn accounts_file(devnet: &Path) -> PathBuf {
    devnet.join("accounts.json")
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
