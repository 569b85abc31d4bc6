//! Byte tables on a disk, and logs on files: the only part of the library that touches files.
//!
//! ```text
//! Store (trait)   get · multi_get · scan · for_each · write(batch, durability) · flush
//!   ├── rocks     the node's database                 ├── memory   tests, simulator
//!   └── faulty    stops at the n-th write, for crash tests
//! Log (trait)     append · sync · switch
//!   ├── journal   checksummed records on a file: consensus WAL, mempool log
//!   └── memlog    the same in memory, can lose what was not synced
//! lock            one process per directory            schema   the tables
//! ```
//!
//! Promises every [`Store`] keeps:
//! 1. A batch is visible, and survives a crash, as a whole or not at all, over all tables.
//! 2. A batch written [`Durability::Synced`] survives a power cut, and with it every batch before it.
//! 3. Buffered batches are lost only from the newest backwards, never one out of the middle.
//! 4. After a failed write every later write fails too: what reached the disk is unknown, so the process
//!    has to stop and start anew from the disk.
//! 5. Keys are ordered as byte strings.
//!
//! Not here: what the bytes mean (`ledger`, `state`), when to write (`engine`).

pub mod faulty;
pub mod journal;
pub mod lock;
pub mod memlog;
pub mod memory;
pub mod rocks;
pub mod schema;
pub mod sign_state;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use journal::{Journal, JournalError, Log, Replay};
pub use lock::DirLock;
pub use memory::MemoryStore;
pub use rocks::{RocksOptions, RocksStore};
pub use schema::Table;
pub use sign_state::{SignFile, SignMark, SignOwner, SignState};

/// Why the database can't do what was asked. Always ours to solve, never a peer's or a sender's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: "create", "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk is full. Nothing is damaged; the node stops and can go on once there is space.
    #[error("no space left on the disk: {0}")]
    Full(String),
    /// The database refused for a reason that is none of the others.
    #[error("database: {0}")]
    Backend(String),
    /// Stored bytes are damaged or missing. Restore a backup or synchronise anew.
    #[error("damaged database: {0}")]
    Corrupt(String),
    /// Another process (or another handle in this one) has the directory open.
    #[error("{path} is in use{}", by_process(*.pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Process id of the holder, if it could be read.
        pid: Option<u32>,
    },
    /// The database was written in another layout.
    #[error("the database has format version {found}, this program reads version {expected}")]
    WrongVersion {
        /// Version on disk.
        found: u32,
        /// Version of this program: [`schema::FORMAT_VERSION`].
        expected: u32,
    },
    /// The directory holds something else.
    #[error("{path} is not a database of this program: {reason}")]
    NotADatabase {
        /// The directory.
        path: PathBuf,
        /// What was found or missed.
        reason: &'static str,
    },
    /// An earlier write failed; see promise 4.
    #[error("an earlier write failed, restart from what is on the disk")]
    Poisoned,
}

fn by_process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

impl StoreError {
    /// Wraps a failed file operation; a full disk becomes [`StoreError::Full`].
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => StoreError::Full(format!("{action} {}", path.display())),
            _ => StoreError::Io { action, path: path.to_path_buf(), source },
        }
    }
}

/// When a write has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before `write` returns.
    Synced,
    /// At the latest with the next synced write or `flush`. Survives the end of the process, not a power cut.
    Buffered,
}

/// Order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key upwards.
    Forward,
    /// From the largest key downwards.
    Backward,
}

/// Keys from `start` (included) to `end` (excluded; `None` = to the end of the table).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// The whole table.
    pub fn all() -> Self {
        Self::from(&[])
    }

    /// `start` and everything above.
    pub fn from(start: &[u8]) -> Self {
        Self { start: start.to_vec(), end: None }
    }

    /// `start` included to `end` excluded. Empty if `end` is not above `start`.
    pub fn between(start: &[u8], end: &[u8]) -> Self {
        Self { start: start.to_vec(), end: Some(end.to_vec()) }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        let bounded = match end.last_mut() {
            Some(last) => {
                *last += 1; // not 0xff: those were removed
                true
            }
            None => false,
        };
        Self { start: prefix.to_vec(), end: bounded.then_some(end) }
    }

    /// The part of this range above `key`: the next page of a forward scan that ended at `key`.
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut next = key.to_vec();
        next.push(0); // the smallest key above `key`
        self.start = self.start.max(next);
        self
    }

    /// The part of this range below `key`: the next page of a backward scan that ended at `key`.
    pub fn before(mut self, key: &[u8]) -> Self {
        self.end = Some(match self.end {
            Some(end) if end.as_slice() <= key => end,
            _ => key.to_vec(),
        });
        self
    }

    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(crate) fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// Key and value of one row.
pub type Row = (Vec<u8>, Vec<u8>);

/// Is shown one row after the other, key and value, and may end the walk.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One change of a batch; `value: None` deletes the row (which may not exist).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// The new value, or `None` to delete.
    pub value: Option<Vec<u8>>,
}

/// Changes of any tables that are written together. Of two changes of one row the later one counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.push(table, key.into(), Some(value.into()));
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.push(table, key.into(), None);
    }

    /// Adds the changes of `later` behind those of this batch.
    pub fn append(&mut self, later: Batch) {
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.changes.extend(later.changes);
    }

    fn push(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes = self.bytes.saturating_add(key.len() + value.as_ref().map_or(0, Vec::len));
        self.changes.push(Change { table, key, value });
    }

    /// Number of changes added so far.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of all keys and values added so far.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The changes by (table, key), one per row. Sorted batches cost RocksDB much less (the next key lies
    /// beside the last one in the memtable), and every backend sees the same order.
    pub fn into_sorted(self) -> Vec<Change> {
        let mut changes = self.changes;
        changes.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key))); // stable: later stays later
        changes.dedup_by(|later, kept| {
            let same = later.table == kept.table && later.key == kept.key;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        changes
    }
}

/// A set of byte tables. See the module text for what every implementation promises.
pub trait Store: Send + Sync {
    /// The value of a row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The values of several rows, in the order of `keys`; cheaper than single reads, most of all if sorted.
    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// At most `limit` rows of `range`, in the order of `direction`. The caller's limit bounds the memory.
    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Shows every row to `visit` in ascending order until it breaks, holding one row at a time. The rows are
    /// those of one moment. `visit` must not write to this store.
    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Applies a batch as a whole. After an error the store is poisoned (promise 4).
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError>;

    /// Brings everything written so far to the disk.
    fn flush(&self) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(table, key)
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        (**self).multi_get(table, keys)
    }

    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError> {
        (**self).scan(table, range, direction, limit)
    }

    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        (**self).for_each(table, visit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        (**self).write(batch, durability)
    }

    fn flush(&self) -> Result<(), StoreError> {
        (**self).flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
