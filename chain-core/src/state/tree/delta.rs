//! What a batch of changes makes of the tree, worked out beside it: slots, touched leaves, nodes
//! above them, the new root. A [`Delta`] is the speculative overlay of a block: it can be read,
//! proven in, committed, or dropped.
//!
//! 1. Touched leaves: those of new and changed rows, and the unchanged row before each new or
//!    deleted one, since its next key changes.
//! 2. Where the tree shrinks, the path of its last leaf is touched: exactly the nodes that lose a
//!    child are on it. Where it grows, some old leaf is touched too (a new row's link starts at one),
//!    so the new levels above the old top are complete; slots gained and not taken are empty.
//! 3. `nodes` holds only what lies inside the new tree, each level sorted by index.
//!
//! Not here: applying it (`Tree::commit`).

// See the parent module: slots are the tree's own.
#![allow(clippy::indexing_slicing)]

use std::collections::{BTreeMap, btree_set};
use std::iter::Peekable;
use std::ops::Bound;

use super::{Leaf, Stale, Tree, Undo, hash_leaves};
use crate::crypto::Hash;
use crate::crypto::merkle::{NO_LEAF, depth, hash_all, pair};
use crate::state::row_key::RowKey;

/// A tree's next state, as the difference to it.
#[derive(Clone, Debug)]
pub struct Delta {
    base: Hash,
    root: Hash,
    parts: Parts,
}

/// What a commit needs of a delta.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) leaf_count: u32,
    /// Ascending keys.
    pub(super) rows: Vec<RowChange>,
    /// Changed hashes by level, leaves first: (index, hash), ascending.
    pub(super) nodes: Vec<Vec<(u32, Hash)>>,
}

/// What a batch wants of one row: its new value, or `None` to delete it.
pub type Change = (RowKey, Option<Box<[u8]>>);

/// One row's change, with its place.
#[derive(Clone, Debug)]
pub struct RowChange {
    pub(super) key: RowKey,
    pub(super) before: Option<u32>,
    pub(super) after: Option<Placed>,
}

/// A row's slot and value.
pub(super) type Placed = (u32, Box<[u8]>);

impl RowChange {
    /// The row's key.
    pub fn key(&self) -> &RowKey {
        &self.key
    }

    /// The row's slot before the change; `None` for a new row.
    pub fn before(&self) -> Option<u32> {
        self.before
    }

    /// The row's slot and value after the change; `None` for a deleted row.
    pub fn after(&self) -> Option<(u32, &[u8])> {
        self.after.as_ref().map(|(slot, value)| (*slot, &**value))
    }

    /// The slot that is no longer this row's.
    pub(super) fn slot_left(&self) -> Option<u32> {
        let kept = self.after.as_ref().map(|(slot, _)| *slot);
        self.before.filter(|slot| kept != Some(*slot))
    }
}

impl Delta {
    /// The root of the state this was made on.
    pub fn base(&self) -> Hash {
        self.base
    }

    /// The root of the state this leads to.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The changed rows in key order: what the store has to write.
    pub fn rows(&self) -> &[RowChange] {
        &self.parts.rows
    }

    /// This batch's change of a row, if it has one.
    pub fn change(&self, key: &RowKey) -> Option<&RowChange> {
        let found = self.rows().binary_search_by(|change| change.key.cmp(key));
        found.ok().map(|at| &self.rows()[at])
    }

    /// The tree as it is.
    pub(super) fn none(tree: &Tree) -> Delta {
        let parts =
            Parts { leaf_count: tree.leaf_count(), rows: Vec::new(), nodes: vec![Vec::new(); tree.levels.len()] };
        Delta { base: tree.root, root: tree.root, parts }
    }

    pub(super) fn leaf_count(&self) -> u32 {
        self.parts.leaf_count
    }

    pub(super) fn into_parts(self) -> Parts {
        self.parts
    }

    /// A hash of the new tree.
    pub(super) fn node(&self, tree: &Tree, level: usize, index: u32) -> Hash {
        let changed = &self.parts.nodes[level];
        match changed.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => changed[at].1,
            Err(_) => tree.unchanged_node(level, index, self.parts.leaf_count),
        }
    }

    /// The last changed key below the bound.
    pub(super) fn last_change(&self, upper: Bound<&RowKey>) -> Option<&RowKey> {
        let rows = self.rows();
        let end = match upper {
            Bound::Included(key) => rows.partition_point(|row| row.key <= *key),
            Bound::Excluded(key) => rows.partition_point(|row| row.key < *key),
            Bound::Unbounded => rows.len(),
        };
        rows[..end].last().map(RowChange::key)
    }

    /// The first changed key above the bound.
    pub(super) fn first_change(&self, lower: Bound<&RowKey>) -> Option<&RowKey> {
        let rows = self.rows();
        let start = match lower {
            Bound::Included(key) => rows.partition_point(|row| row.key < *key),
            Bound::Excluded(key) => rows.partition_point(|row| row.key <= *key),
            Bound::Unbounded => 0,
        };
        rows[start..].first().map(RowChange::key)
    }
}

impl Tree {
    /// The state after a batch: `Some` sets a row's value, `None` deletes the row (or does nothing
    /// where there is none). Of several changes of one key the last counts.
    pub fn preview(&self, mut changes: Vec<Change>) -> Delta {
        changes.sort_by_key(|(key, _)| *key);
        changes.dedup_by(|(later, value), (key, earlier)| {
            let same = later == key;
            if same {
                std::mem::swap(value, earlier);
            }
            same
        });
        let mut rows = Vec::with_capacity(changes.len());
        let mut nexts = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let (before, next) = self.locate(&key);
            if before.is_some() || value.is_some() {
                let after = value.map(|value| (before.unwrap_or(0), value));
                rows.push(RowChange { key, before, after });
                nexts.push(next.copied());
            }
        }
        let leaf_count = self.assign_slots(&mut rows);
        self.delta(rows, &nexts, leaf_count)
    }

    /// The state before a run of commits, given their records with the newest first. The result can
    /// be proven in, or committed to go back.
    ///
    /// Costs the hashing of every row changed since.
    pub fn preview_undo<'a>(&self, newest_first: impl IntoIterator<Item = &'a Undo>) -> Result<Delta, Stale> {
        let (mut root, mut leaf_count) = (self.root, self.leaf_count());
        let mut earlier = BTreeMap::new();
        for undo in newest_first {
            if undo.from != root {
                return Err(Stale);
            }
            earlier.extend(undo.rows.iter().map(|(key, row)| (*key, row)));
            (root, leaf_count) = (undo.to, undo.leaf_count);
        }
        let mut rows = Vec::with_capacity(earlier.len());
        let mut nexts = Vec::with_capacity(earlier.len());
        for (key, row) in earlier {
            let (before, next) = self.locate(&key);
            if before.is_some() || row.is_some() {
                rows.push(RowChange { key, before, after: row.clone() });
                nexts.push(next.copied());
            }
        }
        Ok(self.delta(rows, &nexts, leaf_count))
    }

    /// A row's slot, and the key that follows in the tree.
    fn locate(&self, key: &RowKey) -> (Option<u32>, Option<&RowKey>) {
        let mut from = self.index.range((Bound::Included(key), Bound::Unbounded));
        match from.next() {
            Some((found, slot)) if found == key => (Some(*slot), from.next().map(|(next, _)| next)),
            next => (None, next.map(|(next, _)| next)),
        }
    }

    /// Gives new rows their slots and says how many leaves there are then.
    fn assign_slots(&self, rows: &mut [RowChange]) -> u32 {
        let mut freed: Vec<u32> = rows.iter().filter_map(RowChange::slot_left).collect();
        freed.sort_unstable();
        let mut slots =
            FreeSlots { free: self.free.iter().peekable(), freed: freed.iter().peekable(), end: self.leaf_count() };
        let mut taken = 0;
        for row in rows.iter_mut().filter(|row| row.before.is_none()) {
            if let Some((slot, _)) = &mut row.after {
                taken = slots.take();
                *slot = taken;
            }
        }
        let mut leaf_count = slots.end;
        let is_free = |slot: u32| slot > taken && (freed.binary_search(&slot).is_ok() || self.free.contains(&slot));
        while is_free(leaf_count - 1) {
            leaf_count -= 1;
        }
        leaf_count
    }

    /// The delta of these changes; `nexts` holds for each the key that follows it in the tree
    /// (copied while its place was in the cache).
    fn delta(&self, rows: Vec<RowChange>, nexts: &[Option<RowKey>], leaf_count: u32) -> Delta {
        let leaves = self.touched_leaves(&rows, nexts, leaf_count);
        let nodes = self.touched_nodes(leaves, leaf_count);
        let parts = Parts { leaf_count, rows, nodes };
        let mut delta = Delta { base: self.root, root: self.root, parts };
        let node_root = delta.node(self, depth(leaf_count), 0);
        delta.root = self.root_over(&node_root, leaf_count);
        delta
    }

    /// The hashes of all touched leaves of the new tree, by slot.
    fn touched_leaves(&self, rows: &[RowChange], nexts: &[Option<RowKey>], leaf_count: u32) -> Vec<(u32, Hash)> {
        let leaves = self.relinked(rows, nexts);
        // Hashed in key order, in which rows lie in memory, and only then brought into slot order.
        let hashes = hash_leaves(&self.keys, leaves.iter().map(|(_, leaf)| *leaf));
        let mut touched: Vec<_> = leaves.iter().map(|(slot, _)| *slot).zip(hashes).collect();
        let vacated = rows.iter().filter_map(RowChange::slot_left);
        touched.extend(vacated.map(|slot| (slot, NO_LEAF)));
        // A slot that one row left and another took is the other's.
        touched.sort_unstable_by_key(|(slot, hash)| (*slot, *hash == NO_LEAF));
        touched.dedup_by_key(|(slot, _)| *slot);
        touched.truncate(touched.partition_point(|(slot, _)| *slot < leaf_count));
        let last = leaf_count - 1;
        if leaf_count < self.leaf_count() && touched.last().is_none_or(|(slot, _)| *slot < last) {
            touched.push((last, self.levels[0][last as usize]));
        }
        touched
    }

    /// The leaves of all rows whose value or next key changes.
    fn relinked<'a>(&'a self, rows: &'a [RowChange], nexts: &'a [Option<RowKey>]) -> Vec<(u32, Leaf<'a>)> {
        let mut leaves = Vec::with_capacity(rows.len());
        let (mut later, mut after_later): (Option<&RowChange>, _) = (None, None);
        for (at, row) in rows.iter().enumerate().rev() {
            // Either an unchanged row follows, or what the next change leaves there.
            let next = match (nexts[at].as_ref(), later) {
                (next, Some(later)) if next.is_none_or(|next| *next >= later.key) => {
                    later.after.as_ref().map_or(after_later, |_| Some(&later.key))
                }
                (next, _) => next,
            };
            let key = Some(&row.key);
            if let Some((slot, value)) = row.after() {
                leaves.push((slot, Leaf { key, next, value }));
            }
            if row.before.is_some() != row.after.is_some() {
                let follower = row.after.as_ref().map_or(next, |_| key);
                let earlier = at.checked_sub(1).map(|earlier| &rows[earlier].key);
                leaves.extend(self.unchanged_before(&row.key, earlier, follower));
            }
            (later, after_later) = (Some(row), next);
        }
        leaves
    }

    /// The leaf of the row before `key`, with its new next key; `None` where the change before this
    /// one is as near or nearer: then its own leaf, or the one before it, has the link.
    fn unchanged_before<'a>(
        &'a self,
        key: &RowKey,
        earlier: Option<&RowKey>,
        next: Option<&'a RowKey>,
    ) -> Option<(u32, Leaf<'a>)> {
        let found = self.index.range((Bound::Unbounded, Bound::Excluded(key))).next_back();
        let (key, slot) = found.map_or((None, 0), |(key, slot)| (Some(key), *slot));
        if earlier.is_some() && key <= earlier {
            return None;
        }
        let value = &*self.values[slot as usize];
        Some((slot, Leaf { key, next, value }))
    }

    /// All levels of touched hashes, from those of the leaves.
    fn touched_nodes(&self, leaves: Vec<(u32, Hash)>, leaf_count: u32) -> Vec<Vec<(u32, Hash)>> {
        let mut nodes = vec![leaves];
        for level in 0..depth(leaf_count) {
            let children = &nodes[level];
            let siblings = children.chunk_by(|(a, _), (b, _)| a >> 1 == b >> 1);
            let pairs = siblings.clone().map(|children| match *children {
                [(_, left), (_, right)] => pair(&left, &right),
                [(index, hash), ..] => {
                    let other = self.unchanged_node(level, index ^ 1, leaf_count);
                    if index % 2 == 0 { pair(&hash, &other) } else { pair(&other, &hash) }
                }
                [] => pair(&NO_LEAF, &NO_LEAF), // chunks are never empty
            });
            let hashes = hash_all(&self.keys.node, pairs);
            let above = siblings.map(|children| children[0].0 >> 1).zip(hashes).collect();
            nodes.push(above);
        }
        nodes
    }

    /// A hash of this tree as part of one with `leaf_count` leaves in which it isn't touched.
    fn unchanged_node(&self, level: usize, index: u32, leaf_count: u32) -> Hash {
        let inside = index <= (leaf_count - 1) >> level;
        let hashes = self.levels.get(level).filter(|_| inside);
        let known = hashes.and_then(|hashes| hashes.get(index as usize));
        known.copied().unwrap_or(self.empty[level])
    }
}

/// Free slots in ascending order, those past the last leaf included.
struct FreeSlots<'a> {
    free: Peekable<btree_set::Iter<'a, u32>>,
    freed: Peekable<std::slice::Iter<'a, u32>>,
    end: u32,
}

impl FreeSlots<'_> {
    fn take(&mut self) -> u32 {
        let slot = match (self.free.peek(), self.freed.peek()) {
            (Some(free), freed) if freed.is_none_or(|freed| free < freed) => self.free.next(),
            _ => self.freed.next(),
        };
        slot.copied().unwrap_or_else(|| {
            let slot = self.end;
            self.end += 1;
            slot
        })
    }
}
