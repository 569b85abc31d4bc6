//! The arguments by which any command finds and unlocks keys.
//!
//! Not here: the search itself (`keys/signer.rs`).

use std::path::PathBuf;

use clap::Args;

use crate::keys::{KeyError, Keystore, PassphraseError, PassphraseSource, keystore::KEYSTORE_VARIABLE, signer};

/// Where keys are and how they are unlocked; for every command that signs or looks up a key.
#[derive(Debug, Clone, Args)]
pub struct KeystoreArgs {
    /// Directory of the key files [default: chain/keys in the XDG configuration directory]
    #[arg(long, global = true, help_heading = "Node and keys", value_name = "DIR", env = KEYSTORE_VARIABLE)]
    pub keystore: Option<PathBuf>,
    /// File with the passphrase; without it CHAIN_PASSPHRASE is used, and without that the terminal asks
    #[arg(long, global = true, help_heading = "Node and keys", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Directory of a devnet, for its accounts (dev0, dev1, …)
    #[arg(
        long,
        global = true,
        help_heading = "Node and keys",
        value_name = "DIR",
        env = "DEVNET_DIR",
        default_value = "./.devnet"
    )]
    pub devnet_dir: PathBuf,
}

impl KeystoreArgs {
    /// The keystore meant.
    ///
    /// # Errors
    /// [`KeyError::NoKeystoreDirectory`].
    pub fn keystore(&self) -> Result<Keystore, KeyError> {
        Keystore::locate(self.keystore.clone())
    }

    /// Where the passphrase comes from.
    ///
    /// # Errors
    /// [`PassphraseError`] if CHAIN_PASSPHRASE is unusable.
    pub fn passphrase(&self) -> Result<PassphraseSource, PassphraseError> {
        PassphraseSource::from_environment(self.passphrase_file.clone())
    }

    /// The devnet's accounts file, which may be missing.
    #[must_use]
    pub fn accounts(&self) -> PathBuf {
        signer::accounts_file(&self.devnet_dir)
    }
}
