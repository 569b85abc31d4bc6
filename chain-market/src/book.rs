//! Acknowledgements on the disk: one file per job and leg, replaced as a whole.
//!
//! A file is written beside its place, synced, renamed over it, and the directory is synced. A kill at any point leaves
//! the old file or the new one, and perhaps one ending in `.new`, which the next opening removes. Nothing counts before
//! all of this is done. After an error nobody knows what is on the disk: the book then refuses to be written until it
//! is opened again.
//!
//! Not here: which acknowledgement replaces which (`acks`).

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chain_core::{
    crypto::SignatureError,
    types::{Ack, ChainId, JobId, Units},
};
use serde::{Deserialize, Serialize};

/// Longest file of an acknowledgement, in bytes; one written here has less than 1 KiB.
const MAX_FILE_BYTES: u64 = 4 * 1024;
/// Held while a process uses the directory.
const LOCK: &str = "lock";
/// How a file is called until it is complete.
const NEW: &str = "new";

/// Why the disk did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error("another process uses {}", .0.display())]
    InUse(PathBuf),
    /// A file is not what this crate writes.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The directory is of another chain.
    #[error("{} is of the chain {found}, not of {expected}", .path.display())]
    OtherChain {
        /// Which file says so.
        path: PathBuf,
        /// The chain that was asked for.
        expected: ChainId,
        /// The chain of the file.
        found: ChainId,
    },
    /// An earlier write failed, so what is on the disk is not known.
    #[error("an earlier write failed: open {} again", .0.display())]
    Unknown(PathBuf),
}

/// The newest acknowledgement of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// On which chain.
    pub chain: ChainId,
    /// What was signed.
    pub ack: Ack,
    /// Units of it the chain is known to have paid for.
    pub paid: Units,
}

/// Which leg of which job.
pub(crate) type LegOf = (JobId, u32);

/// The files of a directory, all in memory too.
#[derive(Debug)]
pub(crate) struct Book {
    dir: PathBuf,
    chain: ChainId,
    held: BTreeMap<LegOf, Held>,
    unknown: bool,
    /// In tests: how many more steps of the disk go well.
    steps_left: Option<u32>,
    /// Released when the process ends, however it ends.
    _lock: File,
}

impl Held {
    /// Which leg it is of.
    pub(crate) fn leg(&self) -> LegOf {
        (self.ack.acknowledged.job, self.ack.acknowledged.leg)
    }

    /// How many units were acknowledged.
    pub fn units(&self) -> Units {
        self.ack.acknowledged.cumulative_units
    }
}

impl Book {
    /// Opens a directory, which is made (0700) if it is missing, and removes what a kill has left half done.
    pub(crate) fn open(dir: &Path, chain: ChainId) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("make", dir))?;
        let lock = lock(dir)?;
        let mut book =
            Self { dir: dir.to_owned(), chain, held: BTreeMap::new(), unknown: false, steps_left: None, _lock: lock };
        for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
            let path = entry.map_err(io_error("list", dir))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(NEW) => fs::remove_file(&path).map_err(io_error("remove", &path))?,
                Some("json") => {
                    let held = read(&path, &chain)?;
                    book.held.insert(held.leg(), held);
                }
                // Files of others are left alone.
                _ => {}
            }
        }
        // What is read counts from now on, so a rename that was not synced has to be.
        book.sync_directory()?;
        Ok(book)
    }

    pub(crate) fn chain(&self) -> &ChainId {
        &self.chain
    }

    pub(crate) fn get(&self, leg: LegOf) -> Option<&Held> {
        self.held.get(&leg)
    }

    /// All, by job and leg.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    /// Puts it in the place of the one before. On the disk when this returns.
    pub(crate) fn put(&mut self, held: Held) -> Result<(), StoreError> {
        self.writing(|book| book.replace(&held))?;
        self.held.insert(held.leg(), held);
        Ok(())
    }

    /// Forgets a leg.
    pub(crate) fn remove(&mut self, leg: LegOf) -> Result<(), StoreError> {
        if !self.held.contains_key(&leg) {
            return Ok(());
        }
        self.writing(|book| {
            let path = book.dir.join(file_name(leg));
            book.step().and_then(|()| fs::remove_file(&path)).map_err(io_error("remove", &path))?;
            book.sync_directory()
        })?;
        self.held.remove(&leg);
        Ok(())
    }

    fn writing(&mut self, write: impl FnOnce(&mut Self) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if self.unknown {
            return Err(StoreError::Unknown(self.dir.clone()));
        }
        // Until all is well.
        self.unknown = true;
        write(self)?;
        self.unknown = false;
        Ok(())
    }

    fn replace(&mut self, held: &Held) -> Result<(), StoreError> {
        let path = self.dir.join(file_name(held.leg()));
        let new = path.with_extension(NEW);
        self.write_new(&new, text(held).as_bytes()).map_err(io_error("write", &new))?;
        self.step().and_then(|()| fs::rename(&new, &path)).map_err(io_error("replace", &path))?;
        self.sync_directory()
    }

    fn write_new(&mut self, path: &Path, text: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // In two parts, so that tests can stop between them.
        let (first, second) = text.split_at(text.len() / 2);
        for part in [first, second] {
            self.step()?;
            file.write_all(part)?;
        }
        self.step()?;
        file.sync_all()
    }

    fn sync_directory(&mut self) -> Result<(), StoreError> {
        let synced = self.step().and_then(|()| File::open(&self.dir)?.sync_all());
        synced.map_err(io_error("sync", &self.dir))
    }

    /// Before everything that is done to the disk.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.steps_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("stopped by the test")),
            Some(left) => {
                *left = left.saturating_sub(1);
                Ok(())
            }
        }
    }

    /// Lets so many steps of the disk go well and none after them.
    #[cfg(test)]
    pub(crate) fn stop_after(&mut self, steps: u32) {
        self.steps_left = Some(steps);
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// `JOB.LEG.json`.
fn file_name((job, leg): LegOf) -> String {
    format!("{job}.{leg}.json")
}

fn text(held: &Held) -> String {
    serde_json::json!(held).to_string() + "\n"
}

/// Reads a file, and believes it only if it is signed and called as it must be.
fn read(path: &Path, chain: &ChainId) -> Result<Held, StoreError> {
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), why };
    let length = fs::metadata(path).map_err(io_error("look at", path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(damaged(format!("{length} bytes are too long")));
    }
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let held: Held = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if held.chain != *chain {
        return Err(StoreError::OtherChain { path: path.to_owned(), expected: *chain, found: held.chain });
    }
    held.ack.verify(chain).map_err(|error: SignatureError| damaged(error.to_string()))?;
    if path.file_name().and_then(|name| name.to_str()) != Some(&file_name(held.leg())) {
        return Err(damaged(format!("it is of {}", file_name(held.leg()))));
    }
    Ok(held)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
