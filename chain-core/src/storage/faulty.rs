//! A store that stops at the n-th write: the tool for crashing at every write point.
//!
//! A test runs once to count the write points ([`FaultyStore::write_points`]), then once per point and
//! [`Fault`], and each time opens the inner store again as after a restart.
//!
//! Not here: loss of unsynced writes (`MemoryStore::crash`), damaged files (tests of `rocks`, `journal`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Batch, Direction, Durability, KeyRange, Row, Store, StoreError, Table, Visit};

/// What happens at the chosen write point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The write does not happen.
    Before,
    /// The write happens, but the caller does not learn of it.
    After,
    /// The write is refused because the disk is full.
    Full,
}

impl Fault {
    /// Every kind, for tests that go through all of them.
    pub const ALL: [Fault; 3] = [Fault::Before, Fault::After, Fault::Full];
}

/// Wraps a store; from the fault on every call fails, reads too: the process counts as dead.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    fault: Option<(u64, Fault)>,
    points: AtomicU64,
    dead: AtomicBool,
}

impl<S: Store> FaultyStore<S> {
    /// Never fails; counts write points.
    pub fn counting(inner: S) -> Self {
        Self { inner, fault: None, points: AtomicU64::new(0), dead: AtomicBool::new(false) }
    }

    /// Fails at write point `point`, counted from 0. Writes and flushes are write points.
    pub fn failing_at(inner: S, point: u64, fault: Fault) -> Self {
        Self { fault: Some((point, fault)), ..Self::counting(inner) }
    }

    /// Number of write points reached so far.
    pub fn write_points(&self) -> u64 {
        self.points.load(Ordering::SeqCst)
    }

    /// Whether the fault has struck.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// The store beneath, as it is after the crash.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_dead() { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn at_write_point(&self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.alive()?;
        let point = self.points.fetch_add(1, Ordering::SeqCst);
        let Some((_, fault)) = self.fault.filter(|(at, _)| *at == point) else {
            return write();
        };
        self.dead.store(true, Ordering::SeqCst);
        match fault {
            Fault::Before => Err(StoreError::Backend("fault before the write".into())),
            Fault::After => {
                write()?;
                Err(StoreError::Backend("fault after the write".into()))
            }
            Fault::Full => Err(StoreError::Full("fault".into())),
        }
    }
}

impl<S: Store> Store for FaultyStore<S> {
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

    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.for_each(table, visit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.at_write_point(|| self.inner.write(batch, durability))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.at_write_point(|| self.inner.flush())
    }
}
