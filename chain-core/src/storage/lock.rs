//! One process per directory: an exclusive advisory lock on the file `lock` inside it.
//!
//! The system drops the lock when the process ends, however it ends; the file stays and means nothing
//! by itself. It holds the process id of the last holder, for the message only.
//!
//! Not here: protection against two machines on one network file system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Name of the lock file inside the directory.
pub const LOCK_FILE: &str = "lock";

/// A locked directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    _file: File, // the lock lives as long as the open file
}

impl DirLock {
    /// Locks `dir`, which has to exist. Never waits.
    ///
    /// Errors: [`StoreError::Locked`] if someone else holds it, [`StoreError::Io`].
    pub fn acquire(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: dir.to_path_buf(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path, e)),
        }
        write_pid(&mut file).map_err(|e| StoreError::io("write", &path, e))?;
        Ok(Self { dir: dir.to_path_buf(), _file: file })
    }

    /// The locked directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::acquire(dir.path()).unwrap();
        let error = DirLock::acquire(dir.path()).unwrap_err();
        let StoreError::Locked { path, pid } = &error else { panic!("{error}") };
        assert_eq!(path, dir.path());
        assert_eq!(*pid, Some(std::process::id()));
        assert!(error.to_string().contains(&std::process::id().to_string()));
        drop(held);
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn unreadable_pid_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DirLock::acquire(dir.path()).unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), b"\xff\xfe who?").unwrap();
        let error = DirLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { pid: None, .. }), "{error}");
    }

    #[test]
    fn missing_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = DirLock::acquire(&dir.path().join("none")).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }
}
