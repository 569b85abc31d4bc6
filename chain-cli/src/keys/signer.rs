//! Finds the key that `--from` names and unlocks it.
//!
//! | spelling | means |
//! |---|---|
//! | `key:alice` | the key `alice` of the keystore |
//! | `devnet:dev0` | the account `dev0` of the devnet's `accounts.json` |
//! | `./some/file.json` (none of the above, has a `/`) | that key file |
//! | `alice` | the key or the account of this name; refused if there are both |
//!
//! Accounts of a devnet lie unencrypted in a file that everybody may read: they are worth nothing and no secret.
//! Not here: signing.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chain_core::types::Address;
use serde::Deserialize;

use super::{KeyError, KeyFile, KeyName, Keystore, PassphraseSource, Seed, files, keystore::read_key_file};

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
    /// An account of a devnet, which nothing locks.
    Devnet(Signer),
}

impl Located {
    /// The public key; of a key file, what its header says.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        match self {
            Self::Key(file) => *file.public_key(),
            Self::Devnet(signer) => signer.seed.public_key(),
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
            Self::Devnet(signer) => Ok(signer),
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
        return devnet_account(name, accounts)?.map(Located::Devnet).ok_or_else(|| no_such(name));
    }
    if from.contains('/') {
        return Ok(Located::Key(read_key_file(Path::new(from))?));
    }
    let name: KeyName = from.parse()?;
    match (keystore.contains(&name), devnet_account(from, accounts)?) {
        (true, Some(_)) => Err(KeyError::Ambiguous(from.to_owned())),
        (true, None) => Ok(Located::Key(keystore.read(&name)?)),
        (false, Some(signer)) => Ok(Located::Devnet(signer)),
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
