//! The node's database: RocksDB with one column family per table.
//!
//! ```text
//! <path>/format    "chain-store <version>", there once the database is complete
//! <path>/lock      held while it is open
//! <path>/rows/     RocksDB
//! ```
//!
//! Every write goes through RocksDB's write-ahead log, so a batch is atomic over all tables and the order of
//! writes is kept; a synced one adds an fdatasync of that log. (`atomic_flush` is needed only where the log is
//! switched off, which this store never does.)
//!
//! What damage looks like: missing, cut or unreadable files are refused at open; a damaged data block is found by
//! its checksum when it is read, and that read is an error. Damage inside RocksDB's newest write-ahead log can't
//! be told from an unfinished last write, and is cut there: the writes behind it are gone, though still whole
//! batches in order. The layer above has to notice: its consensus WAL is ahead of the head then.
//!
//! Not here: the settings (`options`), what tables mean (`schema`).

mod options;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions, WriteBatch, WriteOptions, properties};

pub use options::RocksOptions;

use super::lock::LOCK_FILE;
use super::schema::{FORMAT_VERSION, FORMAT_VERSION_KEY};
use super::{Batch, DirLock, Direction, Durability, KeyRange, Row, Store, StoreError, Table, Visit};

const FORMAT_FILE: &str = "format";
/// Name of the format file until the database is complete.
const FORMAT_FILE_NEW: &str = "format.new";
const FORMAT_MAGIC: &str = "chain-store";
const ROWS_DIR: &str = "rows";

/// Tables on RocksDB.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
    poisoned: AtomicBool,
    _lock: DirLock, // after `db`: released when the database is closed
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Readings for the metrics page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RocksStats {
    /// RocksDB refuses writes until compaction catches up.
    pub write_stopped: bool,
    /// Rate to which writes are slowed down, bytes per second; 0 = not slowed down.
    pub delayed_write_rate: u64,
    /// Bytes that compaction still has to rewrite, estimated.
    pub pending_compaction_bytes: u64,
    /// Compactions now running.
    pub running_compactions: u64,
    /// Failed background jobs since the start.
    pub background_errors: u64,
    /// Bytes in memtables.
    pub memtable_bytes: u64,
    /// Bytes in the block cache.
    pub cache_bytes: u64,
    /// Size of the block cache.
    pub cache_capacity_bytes: u64,
    /// Bytes of live table files on the disk.
    pub file_bytes: u64,
    /// Number of the newest change; grows by one per changed row.
    pub sequence: u64,
}

impl RocksStore {
    /// Opens the database in `path`, or makes one if the directory is missing or empty.
    ///
    /// Errors: [`StoreError::Locked`], [`StoreError::NotADatabase`], [`StoreError::WrongVersion`],
    /// [`StoreError::Corrupt`], [`StoreError::Full`], [`StoreError::Io`].
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, StoreError> {
        Self::open_version(path, options, FORMAT_VERSION)
    }

    fn open_version(path: &Path, options: &RocksOptions, version: u32) -> Result<Self, StoreError> {
        make_dir(path)?;
        refuse_foreign(path)?; // before the lock file is put into a directory that is not ours
        let lock = DirLock::acquire(path)?;
        let rows = path.join(ROWS_DIR);
        let complete = check_format(path, version)?;
        if !complete {
            begin_format(path, version)?;
        }
        let db = open_rows(&rows, options, complete)?;
        let store = Self { db, path: path.to_path_buf(), poisoned: AtomicBool::new(false), _lock: lock };
        if complete {
            store.check_version_row(version)?;
        } else {
            store.write_version_row(version)?;
            complete_format(path)?;
        }
        Ok(store)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a copy of the database in `target`, which must not exist, as of now. Table files are linked, not
    /// copied, if `target` is on the same file system.
    pub fn checkpoint(&self, target: &Path) -> Result<(), StoreError> {
        self.healthy()?;
        fs::create_dir(target).map_err(|e| StoreError::io("create", target, e))?;
        begin_format(target, FORMAT_VERSION)?;
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(target.join(ROWS_DIR)))
            .map_err(store_error)?;
        complete_format(target)
    }

    /// Readings for the metrics page. Cheap enough for every scrape.
    pub fn stats(&self) -> Result<RocksStats, StoreError> {
        Ok(RocksStats {
            write_stopped: self.property(properties::IS_WRITE_STOPPED)? != 0,
            delayed_write_rate: self.property(properties::ACTUAL_DELAYED_WRITE_RATE)?,
            pending_compaction_bytes: self.property_sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            running_compactions: self.property(properties::NUM_RUNNING_COMPACTIONS)?,
            background_errors: self.property_sum(properties::BACKGROUND_ERRORS)?,
            memtable_bytes: self.property_sum(properties::CUR_SIZE_ALL_MEM_TABLES)?,
            cache_bytes: self.property(properties::BLOCK_CACHE_USAGE)?, // one cache for all tables
            cache_capacity_bytes: self.property(properties::BLOCK_CACHE_CAPACITY)?,
            file_bytes: self.property_sum(properties::LIVE_SST_FILES_SIZE)?,
            sequence: self.db.latest_sequence_number(),
        })
    }

    fn property(&self, name: &properties::PropName) -> Result<u64, StoreError> {
        let value = self.db.property_int_value_cf(self.family(Table::Meta)?, name);
        Ok(value.map_err(store_error)?.unwrap_or(0))
    }

    fn property_sum(&self, name: &properties::PropName) -> Result<u64, StoreError> {
        Table::ALL.iter().try_fold(0_u64, |sum, table| {
            let value = self.db.property_int_value_cf(self.family(*table)?, name);
            Ok(sum.saturating_add(value.map_err(store_error)?.unwrap_or(0)))
        })
    }

    fn family(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::Corrupt(format!("table {} is missing", table.name()));
        self.db.cf_handle(table.name()).ok_or_else(missing)
    }

    fn check_version_row(&self, version: u32) -> Result<(), StoreError> {
        let row = self.get(Table::Meta, FORMAT_VERSION_KEY)?;
        let found = row.as_deref().and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        match found {
            Some(found) if found == version => Ok(()),
            Some(found) => Err(StoreError::WrongVersion { found, expected: version }),
            None => Err(StoreError::Corrupt("the row of the format version is missing".into())),
        }
    }

    fn write_version_row(&self, version: u32) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, FORMAT_VERSION_KEY, version.to_le_bytes());
        self.write(batch, Durability::Synced)
    }

    fn healthy(&self) -> Result<(), StoreError> {
        if self.poisoned.load(Ordering::SeqCst) { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn or_poison(&self, result: Result<(), rocksdb::Error>) -> Result<(), StoreError> {
        result.map_err(|error| {
            self.poisoned.store(true, Ordering::SeqCst);
            store_error(error)
        })
    }

    fn to_rocks(&self, batch: Batch) -> Result<WriteBatch, StoreError> {
        let mut rocks = WriteBatch::with_capacity_bytes(batch.size_bytes() + 16 * batch.len());
        for change in batch.into_sorted() {
            let family = self.family(change.table)?;
            match change.value {
                Some(value) => rocks.put_cf(family, change.key, value),
                None => rocks.delete_cf(family, change.key),
            }
        }
        Ok(rocks)
    }

    fn iterator(&self, table: Table, range: &KeyRange, fill_cache: bool) -> Result<DBRawIterator<'_>, StoreError> {
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(range.start());
        if let Some(end) = range.end() {
            read.set_iterate_upper_bound(end);
        }
        read.fill_cache(fill_cache);
        Ok(self.db.raw_iterator_cf_opt(self.family(table)?, read))
    }
}

impl Store for RocksStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(table)?, key).map_err(store_error)
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keys = keys.iter().copied();
        let rows = self.db.batched_multi_get_cf(self.family(table)?, keys, false);
        rows.into_iter().map(|row| row.map(|value| value.map(|bytes| bytes.to_vec())).map_err(store_error)).collect()
    }

    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        if range.is_empty() {
            return Ok(rows);
        }
        let mut cursor = self.iterator(table, range, true)?;
        match direction {
            Direction::Forward => cursor.seek_to_first(),
            Direction::Backward => cursor.seek_to_last(),
        }
        while rows.len() < limit
            && let Some((key, value)) = cursor.item()
        {
            rows.push((key.to_vec(), value.to_vec()));
            match direction {
                Direction::Forward => cursor.next(),
                Direction::Backward => cursor.prev(),
            }
        }
        cursor.status().map_err(store_error)?; // an iterator that met damage just ends
        Ok(rows)
    }

    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut cursor = self.iterator(table, &KeyRange::all(), false)?;
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            if visit(key, value).is_break() {
                break;
            }
            cursor.next();
        }
        cursor.status().map_err(store_error)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.healthy()?;
        let mut how = WriteOptions::default();
        how.set_sync(durability == Durability::Synced);
        let batch = self.to_rocks(batch)?;
        self.or_poison(self.db.write_opt(batch, &how))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.healthy()?;
        self.or_poison(self.db.flush_wal(true))
    }
}

fn store_error(error: rocksdb::Error) -> StoreError {
    let text = error.as_ref();
    if text.contains("No space left on device") {
        return StoreError::Full(error.into_string());
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => StoreError::Corrupt(error.into_string()),
        _ => StoreError::Backend(error.into_string()),
    }
}

/// Opens RocksDB. A `complete` database has to be there with all its files: only a new one may be made. A table
/// that came later than the database is made in it.
fn open_rows(rows: &Path, options: &RocksOptions, complete: bool) -> Result<DB, StoreError> {
    let mut database = options::database(options);
    database.create_if_missing(!complete);
    database.create_missing_column_families(true);
    let families = options::families(options);
    DB::open_cf_descriptors(&database, rows, families).map_err(|error| {
        let text = error.as_ref();
        // A missing CURRENT is "Invalid argument: … does not exist", any other file "IO error: No such file".
        let missing = text.contains("No such file") || text.contains("Invalid argument");
        match store_error(error.clone()) {
            StoreError::Backend(text) if complete && missing => StoreError::Corrupt(text),
            other => other,
        }
    })
}

/// Refuses a directory that has files, none of which is a format file of ours.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let ours = [FORMAT_FILE, FORMAT_FILE_NEW].iter().any(|name| path.join(name).exists());
    let mut foreign = false;
    for entry in fs::read_dir(path).map_err(|e| StoreError::io("list", path, e))? {
        let entry = entry.map_err(|e| StoreError::io("list", path, e))?;
        foreign |= entry.file_name() != LOCK_FILE;
    }
    if foreign && !ours {
        return Err(StoreError::NotADatabase {
            path: path.to_path_buf(),
            reason: "the directory is not empty and has no `format` file",
        });
    }
    Ok(())
}

/// Whether a complete database of this version is there; false = nothing, or the beginning of one.
fn check_format(path: &Path, version: u32) -> Result<bool, StoreError> {
    let file = path.join(FORMAT_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => String::new(),
        Err(e) => return Err(StoreError::io("read", &file, e)),
    };
    let found = text.trim_end().strip_prefix(FORMAT_MAGIC).and_then(|rest| rest.trim_start().parse().ok());
    match found {
        Some(found) if found == version => Ok(true),
        Some(found) => Err(StoreError::WrongVersion { found, expected: version }),
        None => Err(StoreError::NotADatabase {
            path: path.to_path_buf(),
            reason: "its `format` file is not one of this program",
        }),
    }
}

/// Marks the directory as a database in the making: a crash from here on leaves no complete one.
fn begin_format(path: &Path, version: u32) -> Result<(), StoreError> {
    let file = path.join(FORMAT_FILE_NEW);
    File::create(&file)
        .and_then(|mut f| writeln!(f, "{FORMAT_MAGIC} {version}").and_then(|()| f.sync_all()))
        .map_err(|e| StoreError::io("write", &file, e))?;
    sync_dir(path)
}

/// Marks the database as complete: from now on nothing may be missing.
fn complete_format(path: &Path) -> Result<(), StoreError> {
    let from = path.join(FORMAT_FILE_NEW);
    fs::rename(&from, path.join(FORMAT_FILE)).map_err(|e| StoreError::io("rename", &from, e))?;
    sync_dir(path)
}

/// Makes sure that the directory is there, durably.
fn make_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|e| StoreError::io("create", path, e))?;
    sync_dir(&path.join(".."))
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| StoreError::io("sync", path, e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
