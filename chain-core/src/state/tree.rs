//! The rows of the state in memory, and their commitment: one dense binary Merkle tree over all
//! rows, in which every leaf names the key that follows its own (an indexed Merkle tree).
//!
//! ```text
//! level 2            [0]
//!              ┌──────┴──────┐
//! level 1     [0]           [1]
//!           ┌──┴──┐       ┌──┴──┐
//! slot      0     1       2     3        leaf_count = 4, depth = 2
//!        sentinel c     (free)  a        next keys: sentinel → a → c → none
//! ```
//!
//! 1. Slot 0 is the sentinel: no key, the empty value. Every row has one slot ≥ 1 for its life.
//! 2. `leaf_count` is the highest occupied slot + 1; so it, the free slots, every hash and the root
//!    follow from the rows (key, slot, value), which is all that is stored.
//! 3. In a batch all deletions come first; then new rows, in ascending key order, take the smallest
//!    free slots. Both are part of consensus.
//! 4. Reading, previewing and proving never change the tree; only [`Tree::commit`] does.
//! 5. Undoing puts rows back into the slots they had, so the earlier root returns exactly.
//!
//! Cost of a batch: one search per changed row (two for a new or deleted one), one hash per touched
//! leaf and per node above those, hashed many at a time.
//!
//! Not here: what the rows mean and where they are stored; leaf bytes and verification
//! (`state::proof`); how a batch becomes a [`Delta`] (`delta`).

// Slots come from the tree's own index, free set and leaf count, and `rebuild` checks those it is
// given; so an index out of bounds would be a broken invariant, never bad input.
#![allow(clippy::indexing_slicing)]

mod delta;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::ops::Bound;

use self::delta::Placed;
pub use self::delta::{Change, Delta, RowChange};
use super::proof::{Content, Proof, StateKeys, leaf_input};
use super::row_key::RowKey;
use crate::crypto::Hash;
use crate::crypto::merkle::{MAX_DEPTH, NO_LEAF, depth, empty_nodes, hash_all, mix_count, parents};

/// All rows and their Merkle tree. See the module for the rules.
pub struct Tree {
    keys: StateKeys,
    empty: [Hash; MAX_DEPTH + 1],
    index: BTreeMap<RowKey, u32>,
    /// By slot; empty for slot 0 and free slots.
    values: Vec<Box<[u8]>>,
    /// The free slots below the leaf count.
    free: BTreeSet<u32>,
    /// Leaf hashes by slot, then each level of nodes above.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

/// A delta or an undo record was made on another state than the one it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("made on another state root")]
pub struct Stale;

/// Stored rows that are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// Two rows have the same key.
    #[error("two rows have the key {0:?}")]
    DuplicateKey(RowKey),
    /// A row stands in the sentinel's slot, or in one that is taken.
    #[error("the slot {0} is taken twice")]
    DuplicateSlot(u32),
    /// A slot is not below the bound.
    #[error("the slot {0} is not below the highest leaf count allowed")]
    SlotTooHigh(u32),
}

/// What a commit replaced: enough to go back, or to prove the state before it.
#[derive(Clone, Debug)]
pub struct Undo {
    /// The root after the commit.
    from: Hash,
    /// The root before it.
    to: Hash,
    leaf_count: u32,
    rows: Vec<(RowKey, Option<Placed>)>,
}

impl Undo {
    /// The root this leads back to.
    pub fn root(&self) -> Hash {
        self.to
    }

    /// How many rows it puts back.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it puts nothing back.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A leaf's content before hashing.
#[derive(Clone, Copy)]
struct Leaf<'a> {
    key: Option<&'a RowKey>,
    next: Option<&'a RowKey>,
    value: &'a [u8],
}

impl Tree {
    /// The state without rows.
    pub fn new(chain_id: &Hash) -> Tree {
        Tree::build(chain_id, BTreeMap::new(), vec![Box::default()], BTreeSet::new())
    }

    /// The tree of stored rows, in any order (ascending keys are fastest).
    ///
    /// `max_leaf_count` bounds the memory that rows from outside can ask for; rows of our own store
    /// may use `u32::MAX`.
    pub fn rebuild(
        chain_id: &Hash,
        rows: impl IntoIterator<Item = (RowKey, u32, Box<[u8]>)>,
        max_leaf_count: u32,
    ) -> Result<Tree, RebuildError> {
        let mut index = Vec::new();
        let mut values: Vec<Option<Box<[u8]>>> = vec![Some(Box::default())];
        for (key, slot, value) in rows {
            if slot >= max_leaf_count {
                return Err(RebuildError::SlotTooHigh(slot));
            }
            if values.len() <= slot as usize {
                values.resize(slot as usize + 1, None);
            }
            if values[slot as usize].replace(value).is_some() {
                return Err(RebuildError::DuplicateSlot(slot));
            }
            index.push((key, slot));
        }
        index.sort_unstable();
        if let Some(twice) = index.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(RebuildError::DuplicateKey(twice[0].0));
        }
        let free = (0u32..).zip(&values).filter(|(_, value)| value.is_none());
        let free = free.map(|(slot, _)| slot).collect();
        let values = values.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Tree::build(chain_id, index.into_iter().collect(), values, free))
    }

    fn build(chain_id: &Hash, index: BTreeMap<RowKey, u32>, values: Vec<Box<[u8]>>, free: BTreeSet<u32>) -> Tree {
        let keys = StateKeys::new(chain_id);
        let empty = empty_nodes(&keys.node);
        let levels = vec![leaf_level(&keys, &index, &values)];
        let root = NO_LEAF;
        let mut tree = Tree { keys, empty, index, values, free, levels, root };
        for level in 0..depth(tree.leaf_count()) {
            let above = parents(&tree.keys.node, &tree.levels[level], &tree.empty[level]);
            tree.levels.push(above);
        }
        let node_root = tree.levels[depth(tree.leaf_count())][0];
        tree.root = tree.root_over(&node_root, tree.leaf_count());
        tree
    }

    /// The commitment to all rows.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The highest occupied slot + 1; the sentinel's counts, so at least 1.
    pub fn leaf_count(&self) -> u32 {
        // Fits: slots are u32, and 2³² of them would take hundreds of gigabytes.
        self.values.len() as u32
    }

    /// The value under a key.
    pub fn get(&self, key: &RowKey) -> Option<&[u8]> {
        let slot = self.index.get(key)?;
        Some(&self.values[*slot as usize])
    }

    /// The rows from `from` on (included), in key order.
    pub fn range<'t>(&'t self, from: &RowKey) -> impl DoubleEndedIterator<Item = (&'t RowKey, &'t [u8])> + use<'t> {
        let rows = self.index.range((Bound::Included(from), Bound::Unbounded));
        rows.map(|(key, slot)| (key, &*self.values[*slot as usize]))
    }

    /// All rows with their slots, in key order: what [`Tree::rebuild`] takes.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (&RowKey, u32, &[u8])> {
        let rows = self.index.iter();
        rows.map(|(key, slot)| (key, *slot, &*self.values[*slot as usize]))
    }

    /// Proof of a row, or that there is none, against [`Tree::root`].
    pub fn prove(&self, key: &RowKey) -> Proof {
        self.prove_in(&Delta::none(self), key)
    }

    /// The same in the state a delta leads to, against [`Delta::root`].
    pub fn prove_with(&self, delta: &Delta, key: &RowKey) -> Result<Proof, Stale> {
        if delta.base() == self.root { Ok(self.prove_in(delta, key)) } else { Err(Stale) }
    }

    fn prove_in(&self, delta: &Delta, key: &RowKey) -> Proof {
        let own = self.last_up_to(delta, key);
        let (slot, value) = own.and_then(|own| self.row_in(delta, own)).unwrap_or((0, &[]));
        let content = match own == Some(key) {
            true => Content::Value(value.to_vec()),
            false => Content::Digest(self.keys.digest(value)),
        };
        let leaf_count = delta.leaf_count();
        let sibling = |level| delta.node(self, level, (slot >> level) ^ 1);
        Proof {
            key: own.copied(),
            next: self.first_after(delta, own).copied(),
            content,
            slot,
            leaf_count,
            siblings: (0..depth(leaf_count)).map(sibling).collect(),
        }
    }

    /// Slot and value of a row in the state the delta leads to.
    fn row_in<'a>(&'a self, delta: &'a Delta, key: &RowKey) -> Option<(u32, &'a [u8])> {
        match delta.change(key) {
            Some(change) => change.after(),
            None => {
                let slot = self.index.get(key)?;
                Some((*slot, &self.values[*slot as usize]))
            }
        }
    }

    /// The last row's key up to `key` (included) in that state.
    fn last_up_to<'a>(&'a self, delta: &'a Delta, key: &RowKey) -> Option<&'a RowKey> {
        let mut upper = Bound::Included(key);
        loop {
            let here = self.index.range((Bound::Unbounded, upper)).next_back();
            let changed = delta.last_change(upper);
            let key = here.map(|(key, _)| key).max(changed)?;
            if self.row_in(delta, key).is_some() {
                return Some(key);
            }
            upper = Bound::Excluded(key);
        }
    }

    /// The first row's key after `key` in that state; of all, where that is the sentinel.
    fn first_after<'a>(&'a self, delta: &'a Delta, key: Option<&RowKey>) -> Option<&'a RowKey> {
        let mut lower = key.map_or(Bound::Unbounded, Bound::Excluded);
        loop {
            let here = self.index.range((lower, Bound::Unbounded)).next();
            let changed = delta.first_change(lower);
            let key = here.map(|(key, _)| key).into_iter().chain(changed).min()?;
            if self.row_in(delta, key).is_some() {
                return Some(key);
            }
            lower = Bound::Excluded(key);
        }
    }

    /// Makes the delta's state this tree's, and says how to go back.
    pub fn commit(&mut self, delta: Delta) -> Result<Undo, Stale> {
        if delta.base() != self.root {
            return Err(Stale);
        }
        let (from, to, leaf_count) = (delta.root(), self.root, self.leaf_count());
        let parts = delta.into_parts();
        let rows = self.take_out(&parts.rows);
        self.free.extend(leaf_count..parts.leaf_count);
        let longest = leaf_count.max(parts.leaf_count);
        self.values.resize(longest as usize, Box::default());
        self.put_in(parts.rows);
        self.values.truncate(parts.leaf_count as usize);
        self.free.split_off(&parts.leaf_count);
        self.write_nodes(&parts.nodes);
        self.root = from;
        Ok(Undo { from, to, leaf_count, rows })
    }

    /// Takes the old values of changed rows, and frees the slots that rows leave.
    fn take_out(&mut self, changes: &[RowChange]) -> Vec<(RowKey, Option<Placed>)> {
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            let before = change.before();
            let value = before.map(|slot| (slot, std::mem::take(&mut self.values[slot as usize])));
            rows.push((*change.key(), value));
            if let Some(left) = change.slot_left() {
                self.free.insert(left);
            }
            if change.after().is_none() {
                self.index.remove(change.key());
            }
        }
        rows
    }

    /// Puts the new values of changed rows into their slots.
    fn put_in(&mut self, changes: Vec<RowChange>) {
        for change in changes {
            let Some((slot, value)) = change.after else {
                continue;
            };
            self.values[slot as usize] = value;
            if change.before != Some(slot) {
                self.free.remove(&slot);
                self.index.insert(change.key, slot);
            }
        }
    }

    fn write_nodes(&mut self, nodes: &[Vec<(u32, Hash)>]) {
        let last = self.leaf_count() - 1;
        self.levels.resize(nodes.len(), Vec::new());
        for (level, (hashes, changed)) in self.levels.iter_mut().zip(nodes).enumerate() {
            hashes.resize((last >> level) as usize + 1, self.empty[level]);
            for (index, hash) in changed {
                hashes[*index as usize] = *hash;
            }
        }
    }

    fn root_over(&self, node_root: &Hash, leaf_count: u32) -> Hash {
        mix_count(&self.keys.root, node_root, u64::from(leaf_count))
    }
}

/// The leaf hashes of all slots.
fn leaf_level(keys: &StateKeys, index: &BTreeMap<RowKey, u32>, values: &[Box<[u8]>]) -> Vec<Hash> {
    let own = once(None).chain(index.keys().map(Some));
    let next = index.keys().map(Some).chain(once(None));
    let slots = || once(0).chain(index.values().map(|slot| *slot as usize));
    let leaves = own.zip(next).zip(slots());
    let leaves = leaves.map(|((key, next), slot)| Leaf { key, next, value: &values[slot] });
    let mut level = vec![NO_LEAF; values.len()];
    for (slot, hash) in slots().zip(hash_leaves(keys, leaves)) {
        level[slot] = hash;
    }
    level
}

fn hash_leaves<'a>(keys: &StateKeys, leaves: impl Iterator<Item = Leaf<'a>>) -> Vec<Hash> {
    let bytes = leaves.map(|leaf| leaf_input(leaf.key, leaf.next, &keys.digest(leaf.value)));
    hash_all(&keys.leaf, bytes)
}
