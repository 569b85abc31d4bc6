//! A directory of key files, `NAME.json` each, and the names that are allowed there.
//!
//! Not here: what is in a key file (`sealed`), and the rules for files with secrets (`files`).

use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{KdfParams, KeyError, KeyFile, Secret, files, passphrase::Passphrase, sealed::MAX_FILE_BYTES};

/// The environment variable that names the keystore directory.
pub const KEYSTORE_VARIABLE: &str = "CHAIN_KEYSTORE";
/// Longest key name, in characters.
pub const MAX_NAME_CHARS: usize = 32;
const EXTENSION: &str = ".json";

/// A key's name: 1 to 32 characters out of `a-z 0-9 _ -`, so that it is a plain file name everywhere and
/// never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
        if text.is_empty() || text.len() > MAX_NAME_CHARS || !text.bytes().all(allowed) {
            return Err(KeyError::BadName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for KeyName {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> String {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name in the keystore, and its key file or why that is unusable.
pub type Listed = (KeyName, Result<KeyFile, KeyError>);

/// The directory of a person's key files.
#[derive(Debug, Clone)]
pub struct Keystore {
    directory: PathBuf,
}

impl Keystore {
    /// A keystore in this directory, which need not exist yet.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The keystore a command means: the flag or `CHAIN_KEYSTORE` (both in `given`), else `chain/keys` in the XDG
    /// configuration
    /// directory.
    ///
    /// # Errors
    /// [`KeyError::NoKeystoreDirectory`] if neither is known.
    pub fn locate(given: Option<PathBuf>) -> Result<Self, KeyError> {
        let directory = |variable| env::var_os(variable).map(PathBuf::from);
        Self::choose(given, directory("XDG_CONFIG_HOME"), directory("HOME"))
    }

    fn choose(given: Option<PathBuf>, config: Option<PathBuf>, home: Option<PathBuf>) -> Result<Self, KeyError> {
        if let Some(directory) = given.filter(|path| !path.as_os_str().is_empty()) {
            return Ok(Self::new(directory));
        }
        // The XDG base directory specification: a relative path in the variable is to be ignored.
        let config = config.filter(|path| path.is_absolute());
        let home = home.filter(|path| path.is_absolute()).map(|path| path.join(".config"));
        let config = config.or(home).ok_or(KeyError::NoKeystoreDirectory)?;
        Ok(Self::new(config.join("chain").join("keys")))
    }

    /// Where the key files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a key, whether or not it exists.
    #[must_use]
    pub fn path(&self, name: &KeyName) -> PathBuf {
        self.directory.join(format!("{name}{EXTENSION}"))
    }

    /// Whether there is a file, sound or not, under this name.
    #[must_use]
    pub fn contains(&self, name: &KeyName) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Refuses a name that is taken: for asking before a person types a passphrase. [`Self::create`] decides.
    ///
    /// # Errors
    /// [`files::FileError::Exists`].
    pub fn check_free(&self, name: &KeyName) -> Result<(), KeyError> {
        if self.contains(name) {
            return Err(files::FileError::Exists(self.path(name)).into());
        }
        Ok(())
    }

    /// Seals a secret into a new file and makes the directory if need be.
    ///
    /// # Errors
    /// [`files::FileError::Exists`] if the name is taken, even by a file that came a moment ago; otherwise as
    /// [`KeyFile::seal`] and [`files`].
    pub fn create(
        &self,
        name: &KeyName,
        secret: &Secret,
        passphrase: &Passphrase,
        cost: KdfParams,
    ) -> Result<KeyFile, KeyError> {
        files::private_directory(&self.directory)?;
        let file = KeyFile::seal(name, secret, passphrase, cost)?;
        files::create_private(&self.path(name), &file.to_bytes()?)?;
        Ok(file)
    }

    /// Reads a key file, which stays sealed.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`], [`KeyError::NameMismatch`], and those of [`read_key_file`].
    pub fn read(&self, name: &KeyName) -> Result<KeyFile, KeyError> {
        let path = self.path(name);
        let file = read_key_file(&path).map_err(|error| match error {
            KeyError::File(error) if error.is_missing() => {
                KeyError::NoSuchKey { name: name.to_string(), keystore: self.directory.clone() }
            }
            other => other,
        })?;
        files::check_directory(&self.directory)?;
        if file.name() != name {
            return Err(KeyError::NameMismatch { path, name: file.name().to_string() });
        }
        Ok(file)
    }

    /// Every key by name, the unreadable ones with the reason. Files under other names are not keys and are left out.
    ///
    /// # Errors
    /// If the directory can't be listed. One that does not exist is empty.
    pub fn list(&self) -> Result<Vec<Listed>, KeyError> {
        let names = files::entries(&self.directory)?;
        let keys = names.iter().filter_map(|name| name.strip_suffix(EXTENSION)?.parse().ok());
        Ok(keys
            .map(|name| {
                let file = self.read(&name);
                (name, file)
            })
            .collect())
    }
}

/// Reads the key file at a path, wherever it lies and whatever it is called; it stays sealed.
///
/// # Errors
/// [`files::FileError`] if it is missing or open to others; [`KeyError::Format`].
pub fn read_key_file(path: &Path) -> Result<KeyFile, KeyError> {
    let bytes = files::read_private(path, MAX_FILE_BYTES)?;
    KeyFile::parse(&bytes).map_err(|source| KeyError::Format { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
