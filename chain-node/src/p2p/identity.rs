//! The node's transport identity: an ed25519 key of its own, never the validator's and never made
//! from it, because a network key is in memory of code that talks to strangers.
//!
//! Not here: the validator's key (`data_dir`).

use super::P2pError;
use libp2p::identity::Keypair;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the identity from a file of 64 hex digits, or makes the file, readable by its owner alone.
///
/// # Errors
/// The file cannot be read or made, others can read it, or it holds something else.
pub fn load_or_create_identity(path: &Path) -> Result<Keypair, P2pError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let path = path.display();
            Err(P2pError::Identity(format!("{path} can be read by others. Run: chmod 600 {path}")))
        }
        // A node that ended while it made the file left nothing in it.
        Ok(metadata) if metadata.len() == 0 => create(path),
        Ok(_) => load(path),
        Err(e) if e.kind() == ErrorKind::NotFound => create(path),
        Err(e) => Err(failed(path, &e)),
    }
}

fn load(path: &Path) -> Result<Keypair, P2pError> {
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|e| failed(path, &e))?;
    let mut seed = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|e| failed(path, &e))?;
    keypair(seed)
}

fn create(path: &Path) -> Result<Keypair, P2pError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    rand::fill(&mut *seed);
    let text = Zeroizing::new(format!("{}\n", hex::encode(*seed)));
    // The file is there whole or not at all.
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|e| failed(path, &e))?;
    keypair(seed)
}

fn keypair(mut seed: Zeroizing<[u8; 32]>) -> Result<Keypair, P2pError> {
    Keypair::ed25519_from_bytes(&mut *seed).map_err(|e| P2pError::Identity(e.to_string()))
}

fn failed(path: &Path, error: &dyn std::error::Error) -> P2pError {
    P2pError::Identity(format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p2p_key");
        let made = load_or_create_identity(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = load_or_create_identity(&path).unwrap();
        assert_eq!(made.public(), read.public());
        let other = load_or_create_identity(&dir.path().join("other")).unwrap();
        assert_ne!(made.public(), other.public());
    }

    #[test]
    fn what_a_crash_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p2p_key");
        for left in [&path, &dir.path().join("p2p_key.new")] {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(left).unwrap();
        }
        let made = load_or_create_identity(&path).unwrap();
        assert_eq!(load_or_create_identity(&path).unwrap().public(), made.public());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_can_read_or_what_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p2p_key");
        load_or_create_identity(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = load_or_create_identity(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        load_or_create_identity(&path).unwrap_err();
    }
}
