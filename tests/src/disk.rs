//! A node's disk in memory: tables and both logs, with one fuse that blows at the n-th write of any
//! of them.
//!
//! A test runs once with a fuse that never blows and counts the write points; then once per point
//! and fault, crashes the disk, and starts on what is left.

use chain_core::engine::{EngineLog, SignMemory};
use chain_core::storage::Table;
use chain_core::storage::faulty::Fault;
use chain_core::storage::journal::JournalError;
use chain_core::storage::memlog::MemLog;
use chain_core::storage::{Batch, Direction, Durability, KeyRange, Log, MemoryStore, Row, SignMark, Store, StoreError};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Counts writes and fails at one of them; afterwards everything fails: the process is dead.
#[derive(Debug, Default)]
pub struct Fuse {
    points: AtomicU64,
    blows: Option<(u64, Fault)>,
    dead: AtomicBool,
}

/// How a write ends at the fuse.
enum Spark {
    /// As usual.
    None,
    /// The fuse blows here.
    Blow(Fault),
    /// It has blown before.
    Dead,
}

impl Fuse {
    /// Never blows.
    pub fn counting() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Blows at a write point, counted from 0.
    pub fn blowing_at(point: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self { blows: Some((point, fault)), ..Self::default() })
    }

    /// How many write points have been reached.
    pub fn points(&self) -> u64 {
        self.points.load(SeqCst)
    }

    /// Whether it has blown.
    pub fn has_blown(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// Whether it will blow, if it lives long enough.
    pub fn is_armed(&self) -> bool {
        self.blows.is_some() && !self.has_blown()
    }

    fn spark(&self) -> Spark {
        if self.has_blown() {
            return Spark::Dead;
        }
        let point = self.points.fetch_add(1, SeqCst);
        match self.blows.filter(|(at, _)| *at == point) {
            None => Spark::None,
            Some((_, fault)) => {
                self.dead.store(true, SeqCst);
                Spark::Blow(fault)
            }
        }
    }
}

/// What a power cut leaves of what was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Batches of the tables.
    pub store: usize,
    /// Records of each log.
    pub logs: usize,
}

impl Kept {
    /// A power cut that takes all it can, one that takes nothing (which is what `kill -9` does), and
    /// two that treat tables and logs differently.
    pub const ALL: [Self; 4] = [
        Self { store: 0, logs: 0 },
        Self { store: usize::MAX, logs: usize::MAX },
        Self { store: 0, logs: usize::MAX },
        Self { store: usize::MAX, logs: 0 },
    ];
}

/// Tables and logs.
#[derive(Clone, Default)]
pub struct Disk {
    store: Arc<MemoryStore>,
    wal: Arc<Mutex<MemLog>>,
    pool_log: Arc<Mutex<MemLog>>,
    sign_mark: Arc<Mutex<Option<SignMark>>>,
    lies: bool,
}

impl Disk {
    /// An empty disk, with the sign state of a key that has never signed.
    pub fn new() -> Self {
        Self { sign_mark: Arc::new(Mutex::new(Some(SignMark::default()))), ..Self::default() }
    }

    /// An empty disk that says a log is synced and does nothing: tests that find nothing wrong with
    /// it find nothing at all.
    pub fn lying() -> Self {
        Self { lies: true, ..Self::new() }
    }

    /// An empty disk, with no sign state: nobody knows what the key has signed.
    pub fn wiped() -> Self {
        Self::default()
    }

    /// What a backup of the tables and logs holds. The sign state is not in it: both share one.
    pub fn backup(&self) -> Self {
        let store = MemoryStore::new();
        for table in Table::ALL {
            let mut batch = Batch::new();
            let mut copy = |key: &[u8], value: &[u8]| {
                batch.put(table, key, value);
                ControlFlow::Continue(())
            };
            self.store.for_each(table, &mut copy).unwrap();
            store.write(batch, Durability::Synced).unwrap();
        }
        let copy = |log: &Arc<Mutex<MemLog>>| {
            let mut log = log.lock().unwrap().clone();
            log.crash_keeping(usize::MAX);
            Arc::new(Mutex::new(log))
        };
        let (wal, pool_log) = (copy(&self.wal), copy(&self.pool_log));
        Self { store: Arc::new(store), wal, pool_log, sign_mark: self.sign_mark.clone(), lies: self.lies }
    }

    /// A power cut.
    pub fn crash(&self, kept: Kept) {
        self.store.crash_keeping(kept.store);
        for log in [&self.wal, &self.pool_log] {
            log.lock().unwrap().crash_keeping(kept.logs);
        }
    }

    /// The sign state. It is elsewhere, so no crash of this disk touches it.
    pub fn sign_memory(&self) -> SignMemory {
        SignMemory { mark: *self.sign_mark.lock().unwrap(), state: Box::new(self.sign_mark.clone()) }
    }

    /// The tables behind a fuse.
    pub fn store(&self, fuse: &Arc<Fuse>) -> Arc<dyn Store> {
        Arc::new(FusedStore { inner: self.store.clone(), fuse: fuse.clone() })
    }

    /// The consensus WAL behind a fuse.
    pub fn wal(&self, fuse: &Arc<Fuse>) -> EngineLog {
        self.open(&self.wal, fuse)
    }

    /// The pool's log behind a fuse.
    pub fn pool_log(&self, fuse: &Arc<Fuse>) -> EngineLog {
        self.open(&self.pool_log, fuse)
    }

    fn open(&self, log: &Arc<Mutex<MemLog>>, fuse: &Arc<Fuse>) -> EngineLog {
        let records = log.lock().unwrap().records().map(<[u8]>::to_vec).collect();
        let log = FusedLog { inner: log.clone(), fuse: fuse.clone(), lies: self.lies };
        EngineLog { records, log: Box::new(log) }
    }
}

struct FusedStore {
    inner: Arc<MemoryStore>,
    fuse: Arc<Fuse>,
}

impl FusedStore {
    fn alive(&self) -> Result<(), StoreError> {
        if self.fuse.has_blown() { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn at_point(&self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        match self.fuse.spark() {
            Spark::None => write(),
            Spark::Dead => Err(StoreError::Poisoned),
            Spark::Blow(Fault::Before) => Err(StoreError::Backend("before the write".into())),
            Spark::Blow(Fault::Full) => Err(StoreError::Full("at the write".into())),
            Spark::Blow(Fault::After) => {
                write()?;
                Err(StoreError::Backend("after the write".into()))
            }
        }
    }
}

impl Store for FusedStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.alive()?;
        self.inner.get(table, key)
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.alive()?;
        self.inner.multi_get(table, keys)
    }

    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.alive()?;
        self.inner.scan(table, range, direction, limit)
    }

    fn for_each(&self, table: Table, visit: &mut chain_core::storage::Visit<'_>) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.for_each(table, visit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.at_point(|| self.inner.write(batch, durability))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.at_point(|| self.inner.flush())
    }
}

struct FusedLog {
    inner: Arc<Mutex<MemLog>>,
    fuse: Arc<Fuse>,
    lies: bool,
}

impl FusedLog {
    fn at_point(&self, write: impl FnOnce(&mut MemLog) -> Result<(), JournalError>) -> Result<(), JournalError> {
        let io = |kind: io::ErrorKind| JournalError::Io { action: "write", path: PathBuf::new(), source: kind.into() };
        let mut log = self.inner.lock().unwrap();
        match self.fuse.spark() {
            Spark::None => write(&mut log),
            Spark::Dead => Err(JournalError::Poisoned),
            Spark::Blow(Fault::Before) => Err(io(io::ErrorKind::Other)),
            Spark::Blow(Fault::Full) => Err(io(io::ErrorKind::StorageFull)),
            Spark::Blow(Fault::After) => {
                write(&mut log)?;
                Err(io(io::ErrorKind::Other))
            }
        }
    }
}

impl Log for FusedLog {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.at_point(|log| log.append(record))
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        // Syncing nothing writes nothing, so there is nothing to fail.
        if self.inner.lock().unwrap().unsynced() == 0 && !self.fuse.has_blown() {
            return Ok(());
        }
        let lies = self.lies;
        self.at_point(|log| if lies { Ok(()) } else { log.sync() })
    }

    fn switch(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        self.at_point(|log| log.switch(records))
    }

    fn size_bytes(&self) -> u64 {
        self.inner.lock().unwrap().size_bytes()
    }
}
