//! A node's data directory: what is where, who may read it, one process at a time.
//!
//! ```text
//! DIR/genesis.json        the chain spec
//! DIR/validator_key       the validator's seed in hex, mode 0600; absent on followers
//! DIR/db/                 the database
//! DIR/logs/               consensus WAL and mempool log
//! DIR/snapshots/          snapshots for others, and one that is being fetched
//! DIR/evidence/           contradictions of validators that no block has taken yet
//! DIR/p2p_key             the identity among peers, mode 0600
//! DIR.sign_state          beside it, so that a restored DIR is noticed: how far the key has signed
//! ```

use crate::exit::Exit;
use chain_core::crypto::SecretKey;
use chain_core::storage::{SignFile, SignOwner, StoreError};
use chain_core::types::ChainId;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A validator's secret, and whether anybody can have signed with it before.
#[derive(Clone, Copy)]
pub enum ValidatorSeed<'s> {
    /// It has signed nothing on this chain, and a sign state says so.
    Unused(&'s [u8; 32]),
    /// What it has signed on this chain nobody here knows.
    Given(&'s [u8; 32]),
}

/// A node's data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

fn owner(chain: &ChainId, seed: &[u8; 32]) -> SignOwner {
    SignOwner::new(chain, &SecretKey::from_seed(seed).public())
}

impl DataDir {
    /// Names a directory; nothing is touched.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The chain spec.
    pub fn genesis(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// The validator's key.
    pub fn validator_key(&self) -> PathBuf {
        self.0.join("validator_key")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.0.join("db")
    }

    /// The consensus WAL and the mempool log.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Snapshots for others, and one that is being fetched.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Contradictions of validators that no block has taken yet.
    pub fn evidence(&self) -> PathBuf {
        self.0.join("evidence")
    }

    /// The identity among peers.
    pub fn p2p_key(&self) -> PathBuf {
        self.0.join("p2p_key")
    }

    /// How far the validator's key has signed, unless configured elsewhere: beside the directory, so
    /// that restoring a backup of it does not bring back an older state.
    pub fn sign_state(&self) -> Result<PathBuf, Exit> {
        let dir = std::path::absolute(&self.0).ok();
        let name = dir.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        match (dir, name) {
            (Some(dir), Some(name)) => Ok(dir.with_file_name(format!("{name}.sign_state"))),
            _ => Err(Exit::Configuration(format!(
                "{} has no name to put a file beside; set sign_state under [advanced]",
                self.0.display()
            ))),
        }
    }

    /// Makes the directory with a chain spec and, for a validator, a key. Refuses to touch one
    /// that holds either already.
    pub fn create(&self, genesis_json: &str, chain: &ChainId, key: Option<ValidatorSeed<'_>>) -> Result<(), Exit> {
        make_private_dir(&self.0)?;
        write_new(&self.genesis(), genesis_json.as_bytes(), 0o644)?;
        let wrong = |e: StoreError| Exit::Key(e.to_string());
        match key {
            Some(ValidatorSeed::Unused(seed)) => {
                SignFile::create(&self.sign_state()?, owner(chain, seed)).map_err(wrong)?;
            }
            // What an earlier directory of this name left behind must be of this very key.
            Some(ValidatorSeed::Given(seed)) => {
                SignFile::open(&self.sign_state()?, owner(chain, seed)).map_err(wrong)?;
            }
            None => {}
        }
        if let Some(ValidatorSeed::Unused(seed) | ValidatorSeed::Given(seed)) = key {
            let text = Zeroizing::new(format!("{}\n", hex::encode(seed)));
            write_new(&self.validator_key(), text.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Reads the validator's key, if there is one.
    pub fn read_key(&self) -> Result<Option<SecretKey>, Exit> {
        let path = self.validator_key();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Exit::Key(format!("{}: {e}", path.display()))),
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            let path = path.display();
            return Err(Exit::Key(format!("{path} can be read by others. Run: chmod 600 {path}")));
        }
        let text = fs::read_to_string(&path).map(Zeroizing::new);
        let text = text.map_err(|e| Exit::Key(format!("{}: {e}", path.display())))?;
        let mut seed = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(text.trim(), &mut *seed)
            .map_err(|_| Exit::Key(format!("{} does not hold 64 hex digits", path.display())))?;
        Ok(Some(SecretKey::from_seed(&seed)))
    }
}

/// Makes a directory only its owner can enter, and its parents.
pub fn make_private_dir(path: &Path) -> Result<(), Exit> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Exit::Configuration(format!("cannot create {}: {e}", path.display())))
}

/// Writes a file that must not exist yet, with its mode from the first moment.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Exit> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|e| Exit::Configuration(format!("cannot write {}: {e}", path.display())))
}
