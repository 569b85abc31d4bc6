//! The tables in memory, for tests and the simulator. Loses what was not synced when told to crash.
//!
//! Buffered batches leave an undo record; a synced one throws the records away, a crash applies them.
//!
//! Not here: failing on purpose (`faulty`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Batch, Change, Direction, Durability, KeyRange, Row, Store, StoreError, Table, Visit};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct Inner {
    tables: [Rows; Table::COUNT],
    /// For each batch since the last sync, what its rows were before it.
    undo: Vec<Vec<Change>>,
}

impl Inner {
    fn rows(&self, table: Table) -> &Rows {
        &self.tables[table.number()]
    }

    /// Applies the changes and returns those that take them back.
    fn apply(&mut self, changes: Vec<Change>) -> Vec<Change> {
        changes.into_iter().map(|change| self.apply_one(change)).collect()
    }

    fn apply_one(&mut self, Change { table, key, value }: Change) -> Change {
        let rows = &mut self.tables[table.number()];
        let old = match value {
            Some(value) => rows.insert(key.clone(), value),
            None => rows.remove(&key),
        };
        Change { table, key, value: old }
    }
}

/// Tables in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

impl MemoryStore {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: every batch since the last synced one is gone.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// A power cut where the first `kept` of the batches since the last synced one had reached the disk.
    pub fn crash_keeping(&self, kept: usize) {
        let mut inner = self.write_lock();
        while inner.undo.len() > kept {
            let undo = inner.undo.pop().unwrap_or_default();
            inner.apply(undo);
        }
        inner.undo.clear(); // what is left is on the disk now
    }

    /// Number of batches that a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.read_lock().undo.len()
    }

    // A panic elsewhere leaves no half-applied batch that could be seen: applying one does not panic.
    fn read_lock(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read_lock().rows(table).get(key).cloned())
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let inner = self.read_lock();
        let rows = inner.rows(table);
        Ok(keys.iter().map(|key| rows.get(*key).cloned()).collect())
    }

    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new()); // BTreeMap::range panics on start > end
        }
        let inner = self.read_lock();
        let end = range.end().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = inner.rows(table).range::<[u8], _>((Bound::Included(range.start()), end));
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => rows.take(limit).map(owned).collect(),
            Direction::Backward => rows.rev().take(limit).map(owned).collect(),
        })
    }

    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in self.read_lock().rows(table) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.write_lock();
        let undo = inner.apply(batch.into_sorted());
        match durability {
            Durability::Synced => inner.undo.clear(),
            Durability::Buffered => inner.undo.push(undo),
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.write_lock().undo.clear();
        Ok(())
    }
}
