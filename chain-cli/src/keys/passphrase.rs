//! Where a passphrase comes from: a file, the environment, or the person at the terminal.
//!
//! Not here: what it is used for (`sealed`). An empty passphrase is always refused: a key without protection is a
//! devnet's.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

use super::{KeyError, files};

/// The environment variable that holds a passphrase.
pub const PASSPHRASE_VARIABLE: &str = "CHAIN_PASSPHRASE";
/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;

/// Why there is no usable passphrase.
#[derive(Debug, Error)]
pub enum PassphraseError {
    /// Nothing at all.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than anybody types.
    #[error("the passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes")]
    TooLong,
    /// The environment holds bytes that are not UTF-8.
    #[error("{PASSPHRASE_VARIABLE} is not text")]
    NotText,
    /// The second time something else was typed.
    #[error("the two passphrases differ")]
    Differ,
    /// Nobody to ask.
    #[error("no terminal to ask for a passphrase ({0}): give --passphrase-file FILE or set {PASSPHRASE_VARIABLE}")]
    NoTerminal(io::Error),
}

/// A passphrase of 1 to 1024 bytes, used as the bytes that were typed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`], [`PassphraseError::TooLong`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.len() > MAX_PASSPHRASE_BYTES {
            return Err(PassphraseError::TooLong);
        }
        Ok(Self(text))
    }

    /// The bytes that go into the key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

/// Where to take the passphrase from.
#[derive(Debug, Clone)]
pub enum PassphraseSource {
    /// It is known already.
    Given(Passphrase),
    /// The content of this file, less one line end.
    File(PathBuf),
    /// Ask at the terminal.
    Prompt,
}

impl PassphraseSource {
    /// A named file wins over `CHAIN_PASSPHRASE`, which wins over asking.
    ///
    /// # Errors
    /// [`PassphraseError`] if the variable is set to something unusable, the empty text included.
    pub fn from_environment(file: Option<PathBuf>) -> Result<Self, PassphraseError> {
        Self::choose(file, std::env::var_os(PASSPHRASE_VARIABLE))
    }

    fn choose(file: Option<PathBuf>, variable: Option<OsString>) -> Result<Self, PassphraseError> {
        match (file, variable) {
            (Some(path), _) => Ok(Self::File(path)),
            (None, Some(value)) => {
                let text = value.into_string().map_err(|_| PassphraseError::NotText)?;
                Ok(Self::Given(Passphrase::new(Zeroizing::new(text))?))
            }
            (None, None) => Ok(Self::Prompt),
        }
    }

    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// [`PassphraseError`], or [`FileError`] if it is in a file.
    pub fn unlocking(&self, name: &str) -> Result<Passphrase, KeyError> {
        match self {
            Self::Given(passphrase) => Ok(passphrase.clone()),
            Self::File(path) => read_file(path),
            Self::Prompt => Ok(ask(&format!("Passphrase of {name}: "))?),
        }
    }

    /// A passphrase for a new key: asked for twice if asked for at all.
    ///
    /// # Errors
    /// Like [`Self::unlocking`], and [`PassphraseError::Differ`].
    pub fn choosing(&self, name: &str) -> Result<Passphrase, KeyError> {
        let first = match self {
            Self::Prompt => ask(&format!("New passphrase for {name}: "))?,
            known => return known.unlocking(name),
        };
        if ask("The same again: ")?.as_bytes() != first.as_bytes() {
            return Err(PassphraseError::Differ.into());
        }
        Ok(first)
    }
}

fn ask(prompt: &str) -> Result<Passphrase, PassphraseError> {
    let typed = rpassword::prompt_password(prompt).map_err(PassphraseError::NoTerminal)?;
    Passphrase::new(Zeroizing::new(typed))
}

/// Open permissions are no reason to refuse: container platforms mount such files readable, and without its key file a
/// passphrase opens nothing.
fn read_file(path: &Path) -> Result<Passphrase, KeyError> {
    let bytes = files::read(path, MAX_PASSPHRASE_BYTES as u64 + 2)?;
    let text = files::text(&bytes, path)?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok(Passphrase::new(Zeroizing::new(line.to_owned()))?)
}

#[cfg(test)]
#[path = "passphrase_tests.rs"]
mod tests;
