//! An append-only log of checksummed records on files: the consensus WAL and the mempool's durable log.
//!
//! A log is one *segment*, the file `<name>-<number, 16 hex digits>.log`. Records are appended to it; a
//! [`Log::switch`] starts the next segment with the records that still matter and drops the old one (the
//! WAL at each height, the mempool log when it has grown to twice the pool):
//!
//! ```text
//! 1  write <name>-<n+1>.tmp with all its records, fsync it        crash: .tmp is removed, segment n counts
//! 2  rename it to <name>-<n+1>.log                                 crash: n or n+1, both complete
//! 3  fsync the directory                                           crash: n+1 counts (highest number)
//! 4  remove segment n                                              crash: n+1 counts, n is removed at open
//! ```
//!
//! Rules:
//! 1. What was appended before a successful [`Log::sync`] is read back after any crash.
//! 2. Records are read back in order, unchanged, without gaps: a prefix of what was appended.
//! 3. A damaged end (an unfinished last sync) is cut. Damage before a record that was appended after a later sync,
//!    or inside the records a segment was started with, is [`JournalError::Damaged`]: the log can't be trusted
//!    any more. (Damage to the very last sync looks like an unfinished one; only a witness outside the log can
//!    tell, such as the sign-state of a validator.)
//! 4. After a failed write or sync every later call fails: what reached the disk is unknown.
//! 5. A record has 1 to [`MAX_RECORD_BYTES`] bytes.
//!
//! Not here: the bytes of a segment (`frame`), what records mean, when to sync, and the lock that keeps a
//! second process away (`DirLock`).

mod frame;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Largest record in bytes: a block body of 16 MiB fits twice.
pub const MAX_RECORD_BYTES: usize = 32 << 20;

/// Appended bytes held back until the next sync; more are handed to the system early.
const BUFFER_BYTES: usize = 1 << 20;

/// First segment of a new log.
const FIRST_SEGMENT: u64 = 1;

/// Why a log can't be read or written. Always ours, never a peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file operation failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Records that once were durable are damaged (rule 3).
    #[error("damaged log {path} at byte {offset}: {reason}")]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The record is empty or longer than [`MAX_RECORD_BYTES`]. Nothing was written.
    #[error("a record of {0} bytes can't be logged")]
    RecordSize(usize),
    /// An earlier write or sync failed (rule 4).
    #[error("an earlier write to the log failed, restart from what is on the disk")]
    Poisoned,
}

impl JournalError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        JournalError::Io { action, path: path.to_path_buf(), source }
    }

    /// Whether the disk is full: nothing is damaged, the node can go on once there is space.
    pub fn is_full(&self) -> bool {
        matches!(self, JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// A durable log. See the module text for what every implementation promises.
pub trait Log {
    /// Adds a record. It is durable after the next [`Log::sync`].
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError>;

    /// Makes every appended record durable. One fdatasync; nothing if there is nothing new.
    fn sync(&mut self) -> Result<(), JournalError>;

    /// Replaces the whole content, appended and synced, by `records`, durably and at once: after a crash
    /// there is the old synced content or the new one, never a mixture.
    fn switch(&mut self, records: &[&[u8]]) -> Result<(), JournalError>;

    /// Size of the log in bytes, with what is appended and not synced.
    fn size_bytes(&self) -> u64;
}

/// What a log held when it was opened.
#[derive(Debug, Default)]
pub struct Replay {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
    /// The log did not exist and was made empty.
    pub created: bool,
    /// Bytes of an unfinished last sync that were cut off.
    pub cut_bytes: u64,
}

impl Replay {
    /// The records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// A log on files.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    name: String,
    segment: u64,
    path: PathBuf,
    file: File,
    /// End of what was handed to the file.
    written: u64,
    /// End of what is durable; at most `written`.
    synced: u64,
    /// Frames not yet handed to the file; they begin at offset `written`.
    pending: Vec<u8>,
    poisoned: bool,
}

impl Journal {
    /// Whether there is a log `name` in `dir`.
    ///
    /// Errors: [`JournalError::Io`].
    pub fn exists(dir: &Path, name: &str) -> Result<bool, JournalError> {
        Ok(dir.exists() && highest_segment(dir, name)?.is_some())
    }

    /// Opens the log `name` in `dir`, or makes it (and `dir`, not its parent). Cuts a torn end, removes leftovers of an
    /// interrupted switch. `name` may hold letters, digits and `_`.
    ///
    /// Errors: [`JournalError::Damaged`] (nothing is changed then), [`JournalError::Io`].
    pub fn open(dir: &Path, name: &str) -> Result<(Self, Replay), JournalError> {
        make_dir(dir)?;
        let Some(segment) = highest_segment(dir, name)? else {
            let journal = Self::create(dir, name, FIRST_SEGMENT, &[])?;
            remove_leftovers(dir, name, FIRST_SEGMENT)?;
            return Ok((journal, Replay { created: true, ..Replay::default() }));
        };
        let opened = Self::load(dir, name, segment)?;
        remove_leftovers(dir, name, segment)?;
        Ok(opened)
    }

    fn create(dir: &Path, name: &str, segment: u64, records: &[&[u8]]) -> Result<Self, JournalError> {
        let (file, written) = write_segment(dir, name, segment, records)?;
        publish_segment(dir, name, segment)?;
        sync_dir(dir)?;
        Ok(Self::over(dir, name, segment, file, written))
    }

    /// Over a file whose `written` bytes are durable.
    fn over(dir: &Path, name: &str, segment: u64, file: File, written: u64) -> Self {
        Self {
            dir: dir.to_path_buf(),
            name: name.to_owned(),
            segment,
            path: segment_path(dir, name, segment),
            file,
            written,
            synced: written,
            pending: Vec::new(),
            poisoned: false,
        }
    }

    fn load(dir: &Path, name: &str, segment: u64) -> Result<(Self, Replay), JournalError> {
        let path = segment_path(dir, name, segment);
        let bytes = fs::read(&path).map_err(|e| JournalError::io("read", &path, e))?;
        let scan = frame::scan(&bytes, segment).map_err(|damage| JournalError::Damaged {
            path: path.clone(),
            offset: damage.offset as u64,
            reason: damage.reason,
        })?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| JournalError::io("open", &path, e))?;
        let cut_bytes = (bytes.len() - scan.end) as u64;
        if cut_bytes > 0 {
            file.set_len(scan.end as u64).map_err(|e| JournalError::io("cut", &path, e))?;
        }
        // What was read may so far be in the page cache only (the process died before its sync), and the
        // directory entry may be as young. Acting on records that a power cut can still take is wrong.
        file.sync_all().map_err(|e| JournalError::io("sync", &path, e))?;
        sync_dir(dir)?;
        let journal = Self::over(dir, name, segment, file, scan.end as u64);
        Ok((journal, Replay { bytes, frames: scan.records, created: false, cut_bytes }))
    }

    /// Number of the current segment; grows by one with each switch.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    fn healthy(&self) -> Result<(), JournalError> {
        if self.poisoned { Err(JournalError::Poisoned) } else { Ok(()) }
    }

    /// Poisons the log if `result` is an error.
    fn or_poison<T>(&mut self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        self.poisoned |= result.is_err();
        result
    }

    fn hand_over(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.pending);
        self.or_poison(written.map_err(|e| JournalError::io("write", &self.path, e)))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        self.pending.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    fn switch_segment(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        let old = self.path.clone();
        *self = Self::create(&self.dir, &self.name, self.segment + 1, records)?;
        fs::remove_file(&old).map_err(|e| JournalError::io("remove", &old, e))
    }
}

impl Log for Journal {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.healthy()?;
        check_size(record)?;
        let offset = self.size_bytes();
        frame::encode(&mut self.pending, self.segment, offset, self.synced, record);
        if self.pending.len() >= BUFFER_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.healthy()?;
        self.hand_over()?;
        if self.synced < self.written {
            let synced = self.file.sync_data();
            self.or_poison(synced.map_err(|e| JournalError::io("sync", &self.path, e)))?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn switch(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        self.healthy()?;
        records.iter().try_for_each(|record| check_size(record))?;
        let switched = self.switch_segment(records);
        self.or_poison(switched)
    }

    fn size_bytes(&self) -> u64 {
        self.written + self.pending.len() as u64
    }
}

pub(crate) fn check_size(record: &[u8]) -> Result<(), JournalError> {
    match record.len() {
        1..=MAX_RECORD_BYTES => Ok(()),
        length => Err(JournalError::RecordSize(length)),
    }
}

fn segment_path(dir: &Path, name: &str, segment: u64) -> PathBuf {
    dir.join(format!("{name}-{segment:016x}.log"))
}

fn temporary_path(dir: &Path, name: &str, segment: u64) -> PathBuf {
    dir.join(format!("{name}-{segment:016x}.tmp"))
}

/// Step 1: the whole segment under its temporary name, on the disk. Returns the file and its length.
fn write_segment(dir: &Path, name: &str, segment: u64, records: &[&[u8]]) -> Result<(File, u64), JournalError> {
    let path = temporary_path(dir, name, segment);
    let bytes = frame::encode_segment(segment, records);
    let mut file = File::create(&path).map_err(|e| JournalError::io("create", &path, e))?;
    file.write_all(&bytes).map_err(|e| JournalError::io("write", &path, e))?;
    file.sync_all().map_err(|e| JournalError::io("sync", &path, e))?;
    Ok((file, bytes.len() as u64))
}

/// Step 2: gives the complete segment its name.
fn publish_segment(dir: &Path, name: &str, segment: u64) -> Result<(), JournalError> {
    let path = temporary_path(dir, name, segment);
    fs::rename(&path, segment_path(dir, name, segment)).map_err(|e| JournalError::io("rename", &path, e))
}

/// Makes sure that the directory is there, durably.
fn make_dir(dir: &Path) -> Result<(), JournalError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir(dir).map_err(|e| JournalError::io("create", dir, e))?;
    sync_dir(&dir.join(".."))
}

/// Step 3: makes names durable.
fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| JournalError::io("sync", dir, e))
}

/// Step 4, and what earlier crashes left: everything of this log but segment `keep`.
fn remove_leftovers(dir: &Path, name: &str, keep: u64) -> Result<(), JournalError> {
    for (path, leftover) in files_of(dir, name)? {
        if leftover != Kind::Segment(keep) {
            fs::remove_file(&path).map_err(|e| JournalError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Segment(u64),
    Temporary,
}

fn highest_segment(dir: &Path, name: &str) -> Result<Option<u64>, JournalError> {
    let segments = files_of(dir, name)?.into_iter().filter_map(|(_, file)| match file {
        Kind::Segment(number) => Some(number),
        Kind::Temporary => None,
    });
    Ok(segments.max())
}

/// The files of the log `name`; anything else in the directory is none of its business.
fn files_of(dir: &Path, name: &str) -> Result<Vec<(PathBuf, Kind)>, JournalError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| JournalError::io("list", dir, e))? {
        let entry = entry.map_err(|e| JournalError::io("list", dir, e))?;
        if let Some(file) = entry.file_name().to_str().and_then(|text| parse_name(text, name)) {
            files.push((entry.path(), file));
        }
    }
    Ok(files)
}

fn parse_name(text: &str, name: &str) -> Option<Kind> {
    let (digits, extension) = text.strip_prefix(name)?.strip_prefix('-')?.split_once('.')?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    match extension {
        "log" if digits == format!("{number:016x}") => Some(Kind::Segment(number)),
        "tmp" => Some(Kind::Temporary),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
