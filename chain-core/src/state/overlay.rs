//! Changes on top of the committed state: what a block would change, and inside it what one
//! transaction would. Nothing touches the tree until a block is final.

use super::row_key::RowKey;
use super::table::Rows;
use super::tree::{Change, Tree};
use std::collections::HashMap;

/// Rows as a block under execution sees them.
pub struct Overlay<'t> {
    base: &'t Tree,
    // Looked up by key only; `into_changes` sorts, so the map's order never shows.
    changed: HashMap<RowKey, Option<Box<[u8]>>>,
    undo: Vec<(RowKey, Before)>,
}

/// What the overlay held for a key before a write.
enum Before {
    Untouched,
    Was(Option<Box<[u8]>>),
}

/// A moment the overlay can return to.
#[derive(Clone, Copy)]
#[must_use]
pub struct Mark(usize);

impl<'t> Overlay<'t> {
    /// No changes yet.
    pub fn new(base: &'t Tree) -> Self {
        Self { base, changed: HashMap::new(), undo: Vec::new() }
    }

    /// The committed state below.
    pub fn base(&self) -> &'t Tree {
        self.base
    }

    /// Remembers this moment; moments before it can't be returned to any more.
    pub fn mark(&mut self) -> Mark {
        self.undo.clear();
        self.nested_mark()
    }

    /// Remembers this moment, keeping the earlier ones.
    pub fn nested_mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back every write since the moment.
    pub fn roll_back(&mut self, Mark(length): Mark) {
        while self.undo.len() > length {
            match self.undo.pop() {
                Some((key, Before::Was(value))) => self.changed.insert(key, value),
                Some((key, Before::Untouched)) => self.changed.remove(&key),
                None => return,
            };
        }
    }

    /// Writes or removes a row.
    pub(super) fn set(&mut self, key: RowKey, value: Option<Box<[u8]>>) {
        let before = match self.changed.insert(key, value) {
            Some(value) => Before::Was(value),
            None => Before::Untouched,
        };
        self.undo.push((key, before));
    }

    /// All rows that differ from the committed state, ascending by key.
    pub fn into_changes(self) -> Vec<Change> {
        let base = self.base;
        let mut changes: Vec<Change> =
            self.changed.into_iter().filter(|(key, value)| base.get(key) != value.as_deref()).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        changes
    }
}

impl Rows for Overlay<'_> {
    fn row(&self, key: &RowKey) -> Option<&[u8]> {
        match self.changed.get(key) {
            Some(value) => value.as_deref(),
            None => self.base.get(key),
        }
    }
}

impl Rows for Tree {
    fn row(&self, key: &RowKey) -> Option<&[u8]> {
        self.get(key)
    }
}
