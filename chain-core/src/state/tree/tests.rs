//! The tree against a naive model that recomputes everything from the rows, by the definition.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::crypto::merkle::PathError;
use crate::crypto::{Namespace, derive_key};
use crate::state::proof::ProofError;

const CHAIN: Hash = Hash([3; 32]);

type Batch = Vec<Change>;

fn key(bytes: &[u8]) -> RowKey {
    RowKey::new(bytes).unwrap()
}

fn keyed(namespace: Namespace, input: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(&derive_key(namespace, &CHAIN), input).as_bytes()
}

/// Rows by key with their slots, and nothing else.
#[derive(Clone, Default)]
struct Model(BTreeMap<RowKey, (u32, Box<[u8]>)>);

impl Model {
    fn apply(&mut self, batch: &Batch) {
        let last: BTreeMap<_, _> = batch.iter().cloned().collect();
        for key in last.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key) {
            self.0.remove(key);
        }
        for (key, value) in last {
            let Some(value) = value else { continue };
            let slot = self.0.get(&key).map_or_else(|| self.smallest_free(), |(slot, _)| *slot);
            self.0.insert(key, (slot, value));
        }
    }

    fn smallest_free(&self) -> u32 {
        (1..).find(|slot| self.0.values().all(|(taken, _)| taken != slot)).unwrap()
    }

    fn leaf_count(&self) -> u32 {
        self.0.values().map(|(slot, _)| slot + 1).max().unwrap_or(1)
    }

    fn root(&self) -> Hash {
        let mut leaves = vec![[0; 32]; self.leaf_count() as usize];
        let padded = |key: Option<&RowKey>| key.map_or([0; 48], |key| *key.padded());
        let leaf = |key: Option<&RowKey>, next: Option<&RowKey>, value: &[u8]| {
            let digest = keyed(Namespace::StateValue, value);
            let input = [&padded(key)[..], &padded(next), &digest].concat();
            keyed(Namespace::StateLeaf, &input)
        };
        leaves[0] = leaf(None, self.0.keys().next(), &[]);
        for (key, (slot, value)) in &self.0 {
            let next = self.0.keys().find(|other| *other > key);
            leaves[*slot as usize] = leaf(Some(key), next, value);
        }
        let mut depth = 0;
        while (1 << depth) < leaves.len() {
            depth += 1;
        }
        leaves.resize(1 << depth, [0; 32]);
        while leaves.len() > 1 {
            let above = leaves.chunks(2).map(|two| keyed(Namespace::StateNode, &two.concat()));
            leaves = above.collect();
        }
        let count = u64::from(self.leaf_count()).to_le_bytes();
        let input = [&leaves[0][..], &count, &[0; 24]].concat();
        Hash(keyed(Namespace::StateRoot, &input))
    }

    fn rows(&self) -> Vec<(RowKey, u32, Box<[u8]>)> {
        self.0.iter().map(|(key, (slot, value))| (*key, *slot, value.clone())).collect()
    }
}

fn stored(tree: &Tree) -> Vec<(RowKey, u32, Box<[u8]>)> {
    tree.rows().map(|(key, slot, value)| (*key, slot, value.into())).collect()
}

/// Same rows, same slots, same hashes at every level, same free slots.
fn assert_same(a: &Tree, b: &Tree) {
    assert_eq!(a.root, b.root);
    assert_eq!(stored(a), stored(b));
    assert_eq!(a.values, b.values);
    assert_eq!(a.free, b.free);
    assert_eq!(a.levels, b.levels);
}

fn rebuilt(tree: &Tree) -> Tree {
    Tree::rebuild(&CHAIN, stored(tree), u32::MAX).unwrap()
}

fn commit(tree: &mut Tree, batch: &Batch) -> Undo {
    let delta = tree.preview(batch.clone());
    tree.commit(delta).unwrap()
}

/// Few keys, prefixes of each other among them, so that batches meet the same rows again.
fn any_key() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        8 => (1u8..3, 0u8..25).prop_map(|(table, id)| key(&[table, id])),
        1 => (1u8..3, 0u8..25).prop_map(|(table, id)| key(&[table, id, 0])),
        1 => (1u8..3).prop_map(|table| key(&[table])),
    ]
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let value = prop_oneof![
        3 => vec(any::<u8>(), 0..4).prop_map(|value| Some(value.into_boxed_slice())),
        2 => Just(None),
    ];
    let mixed = vec((any_key(), value), 0..20);
    let deletions = vec(any_key().prop_map(|key| (key, None)), 0..60);
    prop_oneof![4 => mixed, 1 => deletions]
}

/// Every key of the small key space, with some that are never used.
fn all_keys() -> Vec<RowKey> {
    let mut keys = vec![key(&[3]), key(&[255; 47])];
    for table in 1..3 {
        keys.push(key(&[table]));
        for id in 0..26 {
            keys.extend([key(&[table, id]), key(&[table, id, 0])]);
        }
    }
    keys
}

fn assert_proves(proof: &Proof, root: &Hash, key: &RowKey, value: Option<&[u8]>) {
    assert_eq!(proof.verify(&CHAIN, root, key), Ok(value), "{key:?} {proof:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tree_is_the_model(batches in vec(any_batch(), 1..12)) {
        let (mut tree, mut model) = (Tree::new(&CHAIN), Model::default());
        for batch in batches {
            let before = rebuilt(&tree);
            let delta = tree.preview(batch.clone());
            assert_same(&tree, &before);
            model.apply(&batch);
            prop_assert_eq!(delta.root(), model.root());
            tree.commit(delta).unwrap();
            prop_assert_eq!(tree.root(), model.root());
            prop_assert_eq!(stored(&tree), model.rows());
            prop_assert_eq!(tree.leaf_count(), model.leaf_count());
            assert_same(&tree, &rebuilt(&tree));
        }
    }

    #[test]
    fn every_key_is_proven_there_or_absent(batches in vec(any_batch(), 1..6)) {
        let mut tree = Tree::new(&CHAIN);
        for batch in batches {
            let delta = tree.preview(batch.clone());
            let proofs: Vec<Proof> =
                all_keys().iter().map(|key| tree.prove_with(&delta, key).unwrap()).collect();
            let old: Vec<Proof> = all_keys().iter().map(|key| tree.prove(key)).collect();
            for (key, proof) in all_keys().iter().zip(&old) {
                assert_proves(proof, &tree.root(), key, tree.get(key));
            }
            let undo = tree.commit(delta).unwrap();
            for (key, proof) in all_keys().iter().zip(&proofs) {
                assert_proves(proof, &tree.root(), key, tree.get(key));
                prop_assert_eq!(proof, &tree.prove(key));
            }
            // The state before is still provable, with the very same proofs.
            let back = tree.preview_undo([&undo]).unwrap();
            prop_assert_eq!(back.root(), undo.root());
            for (key, proof) in all_keys().iter().zip(&old) {
                prop_assert_eq!(proof, &tree.prove_with(&back, key).unwrap());
            }
        }
    }

    #[test]
    fn undo_restores_every_state(batches in vec(any_batch(), 64), jumps in vec(1usize..9, 64)) {
        let mut tree = Tree::new(&CHAIN);
        let mut states = Vec::new();
        let mut undos = Vec::new();
        for batch in &batches {
            states.push(rebuilt(&tree));
            undos.push(commit(&mut tree, batch));
        }
        let tip = rebuilt(&tree);
        let all = tree.preview_undo(undos.iter().rev()).unwrap();
        prop_assert_eq!(all.root(), Tree::new(&CHAIN).root());
        let mut forward = vec![tree.commit(all).unwrap()];
        assert_same(&tree, &Tree::new(&CHAIN));
        let redo = tree.preview_undo(&forward).unwrap();
        tree.commit(redo).unwrap();
        assert_same(&tree, &tip);
        forward.clear();

        let mut height = batches.len();
        for jump in jumps {
            let to = height.saturating_sub(jump);
            let back = tree.preview_undo(undos[to..height].iter().rev()).unwrap();
            prop_assert_eq!(back.root(), states.get(to).unwrap_or(&tip).root());
            tree.commit(back).unwrap();
            assert_same(&tree, states.get(to).unwrap_or(&tip));
            height = to;
        }
    }

    #[test]
    fn every_flipped_bit_of_a_proof_fails(batch in any_batch(), wanted in any_key()) {
        let mut tree = Tree::new(&CHAIN);
        commit(&mut tree, &batch);
        let proof = tree.prove(&wanted);
        let bytes = borsh::to_vec(&proof).unwrap();
        prop_assert_eq!(&borsh::from_slice::<Proof>(&bytes).unwrap(), &proof);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(bad) = borsh::from_slice::<Proof>(&bad) {
                prop_assert!(bad.verify(&CHAIN, &tree.root(), &wanted).is_err(), "bit {}", bit);
            }
        }
        let mut root = tree.root();
        root.0[7] ^= 1;
        let path = ProofError::Path(PathError::Root);
        prop_assert_eq!(proof.verify(&CHAIN, &root, &wanted), Err(path));
        prop_assert_eq!(proof.verify(&Hash([4; 32]), &tree.root(), &wanted), Err(path));
    }

    /// No proof says anything about a key that is not true.
    #[test]
    fn a_proof_for_another_key_never_lies(batch in any_batch(), wanted in any_key()) {
        let mut tree = Tree::new(&CHAIN);
        commit(&mut tree, &batch);
        let proof = tree.prove(&wanted);
        for other in all_keys() {
            match proof.verify(&CHAIN, &tree.root(), &other) {
                Ok(value) => prop_assert_eq!(value, tree.get(&other)),
                Err(error) => prop_assert!(error == ProofError::OtherKey || error == ProofError::Form),
            }
            let there = tree.get(&wanted).is_some() || tree.get(&other).is_some();
            if there && other != wanted {
                prop_assert!(proof.verify(&CHAIN, &tree.root(), &other).is_err());
            }
        }
    }

    /// Whatever a proof holds, judging it neither panics nor succeeds against a root it isn't of.
    #[test]
    fn hostile_proofs_are_errors(
        leaf_key in proptest::option::of(any_key()),
        next in proptest::option::of(any_key()),
        slot in prop_oneof![0u32..9, any::<u32>()],
        leaf_count in prop_oneof![0u32..9, any::<u32>()],
        siblings in vec(any::<[u8; 32]>().prop_map(Hash), 0..40),
        with_value in any::<bool>(),
        wanted in any_key(),
    ) {
        let content = if with_value { Content::Value(vec![1]) } else { Content::Digest(NO_LEAF) };
        let proof = Proof { key: leaf_key, next, content, slot, leaf_count, siblings };
        prop_assert!(proof.verify(&CHAIN, &Tree::new(&CHAIN).root(), &wanted).is_err());
    }
}

fn set(id: u8) -> Change {
    (key(&[1, id]), Some(Box::new([id])))
}

fn delete(id: u8) -> Change {
    (key(&[1, id]), None)
}

fn slot_of(tree: &Tree, id: u8) -> u32 {
    tree.index[&key(&[1, id])]
}

#[test]
fn the_empty_tree() {
    let tree = Tree::new(&CHAIN);
    assert_eq!(tree.root(), Model::default().root());
    assert_eq!((tree.len(), tree.is_empty(), tree.leaf_count()), (0, true, 1));
    let proof = tree.prove(&key(&[1]));
    assert!(proof.siblings.is_empty());
    assert_proves(&proof, &tree.root(), &key(&[1]), None);
    assert_ne!(Tree::new(&Hash([4; 32])).root(), tree.root());
}

#[test]
fn new_rows_take_the_smallest_slots_in_key_order_after_deletions() {
    let mut tree = Tree::new(&CHAIN);
    commit(&mut tree, &vec![set(30), set(10), set(20), set(40)]);
    let slots = [10, 20, 30, 40].map(|id| slot_of(&tree, id));
    assert_eq!(slots, [1, 2, 3, 4]);
    commit(&mut tree, &vec![delete(10)]);
    assert_eq!(tree.leaf_count(), 5);
    // 20 leaves slot 2 in the same batch; 1 and 2 are free, then 5.
    commit(&mut tree, &vec![set(5), delete(20), set(50), set(60)]);
    let slots = [5, 30, 40, 50, 60].map(|id| slot_of(&tree, id));
    assert_eq!(slots, [1, 3, 4, 2, 5]);
    commit(&mut tree, &vec![delete(5)]);
    commit(&mut tree, &vec![set(5)]);
    assert_eq!(slot_of(&tree, 5), 1);
    // The highest rows go: the tree shrinks past slots that were free already.
    commit(&mut tree, &vec![delete(40)]);
    assert_eq!((tree.leaf_count(), tree.free.len()), (6, 1));
    commit(&mut tree, &vec![delete(60)]);
    assert_eq!((tree.leaf_count(), tree.free.len()), (4, 0));
    commit(&mut tree, &vec![set(70)]);
    assert_eq!(slot_of(&tree, 70), 4);
}

#[test]
fn growth_and_shrinking_across_powers_of_two() {
    let (mut tree, mut model) = (Tree::new(&CHAIN), Model::default());
    let steps = (0..70).map(set).chain((0..70).rev().map(delete));
    for step in steps {
        let batch = vec![step];
        commit(&mut tree, &batch);
        model.apply(&batch);
        assert_eq!(tree.root(), model.root());
        assert_eq!(tree.levels.len(), depth(tree.leaf_count()) + 1);
    }
    assert_same(&tree, &Tree::new(&CHAIN));
    // All at once: from nothing to 200 rows and back, and to a lone row in a high slot.
    let undo = commit(&mut tree, &(0..200).map(set).collect());
    assert_eq!(tree.leaf_count(), 201);
    commit(&mut tree, &(0..199).map(delete).collect());
    assert_eq!((tree.leaf_count(), tree.len(), tree.free.len()), (201, 1, 199));
    assert_same(&tree, &rebuilt(&tree));
    let lone = commit(&mut tree, &vec![delete(199)]);
    assert_same(&tree, &Tree::new(&CHAIN));
    // Going back opens a gap of free slots under the row.
    let back = tree.preview_undo([&lone]).unwrap();
    tree.commit(back).unwrap();
    assert_eq!((slot_of(&tree, 199), tree.free.len()), (200, 199));
    assert_same(&tree, &rebuilt(&tree));
    assert_eq!(undo.root(), Tree::new(&CHAIN).root());
}

#[test]
fn of_several_changes_of_a_key_the_last_counts() {
    let mut tree = Tree::new(&CHAIN);
    let twice = vec![set(9), (key(&[1, 9]), Some(Box::new([7]))), set(2), delete(2)];
    commit(&mut tree, &twice);
    assert_eq!(tree.get(&key(&[1, 9])), Some(&[7][..]));
    assert_eq!((tree.len(), tree.get(&key(&[1, 2]))), (1, None));
    let nothing = tree.preview(vec![delete(3)]);
    assert_eq!((nothing.root(), nothing.rows().len()), (tree.root(), 0));
}

#[test]
fn deltas_say_what_to_store() {
    let mut tree = Tree::new(&CHAIN);
    commit(&mut tree, &vec![set(1), set(2)]);
    let delta = tree.preview(vec![set(3), delete(1), (key(&[1, 2]), Some(Box::new([8])))]);
    let rows: Vec<_> = delta.rows().iter().map(|row| (row.before(), row.after())).collect();
    let changed = [(Some(1), None), (Some(2), Some((2, &[8][..]))), (None, Some((1, &[3][..])))];
    assert_eq!(rows, changed);
    assert_eq!(delta.change(&key(&[1, 3])).unwrap().key(), &key(&[1, 3]));
    assert!(delta.change(&key(&[1, 4])).is_none());
}

#[test]
fn stale_deltas_and_undo_records_are_refused_and_change_nothing() {
    let mut tree = Tree::new(&CHAIN);
    let first = commit(&mut tree, &vec![set(1)]);
    let stale = tree.preview(vec![set(2)]);
    let second = commit(&mut tree, &vec![set(3)]);
    let before = rebuilt(&tree);
    assert_eq!(tree.prove_with(&stale, &key(&[1, 2])), Err(Stale));
    assert_eq!(tree.commit(stale).unwrap_err(), Stale);
    assert_eq!(tree.preview_undo([&first]).unwrap_err(), Stale);
    assert_eq!(tree.preview_undo([&first, &second]).unwrap_err(), Stale);
    assert!(tree.preview_undo([&second, &first]).is_ok());
    assert_same(&tree, &before);
}

#[test]
fn rows_that_are_no_state_are_refused() {
    let rebuild = |rows: &[(u8, u32)], max| {
        let rows = rows.iter().map(|(id, slot)| (key(&[1, *id]), *slot, Box::default()));
        Tree::rebuild(&CHAIN, rows, max).map(|tree| tree.leaf_count())
    };
    assert_eq!(rebuild(&[(1, 4), (2, 1)], 5), Ok(5));
    assert_eq!(rebuild(&[(1, 5)], 5), Err(RebuildError::SlotTooHigh(5)));
    assert_eq!(rebuild(&[(1, u32::MAX)], u32::MAX), Err(RebuildError::SlotTooHigh(u32::MAX)));
    assert_eq!(rebuild(&[(1, 0)], 5), Err(RebuildError::DuplicateSlot(0)));
    assert_eq!(rebuild(&[(1, 2), (2, 2)], 5), Err(RebuildError::DuplicateSlot(2)));
    let twice = RebuildError::DuplicateKey(key(&[1, 1]));
    assert_eq!(rebuild(&[(1, 2), (3, 1), (1, 3)], 5), Err(twice));
}

#[test]
fn ranges_are_in_key_order_from_the_prefix_on() {
    let mut tree = Tree::new(&CHAIN);
    let keys = [&[2][..], &[1, 5], &[1, 5, 0], &[1, 5, 1], &[1, 6], &[1]].map(key);
    commit(&mut tree, &keys.iter().map(|key| (*key, Some(key.as_bytes().into()))).collect());
    let prefix = key(&[1, 5]);
    let with_prefix = tree.range(&prefix).map(|(key, value)| {
        assert_eq!(key.as_bytes(), value);
        *key
    });
    let with_prefix = with_prefix.take_while(|key| key.as_bytes().starts_with(&[1, 5]));
    assert_eq!(with_prefix.collect::<Vec<_>>(), [keys[1], keys[2], keys[3]]);
    assert_eq!(tree.range(&prefix).next_back().unwrap().0, &keys[0]);
    assert_eq!(tree.range(&key(&[3])).count(), 0);
}

#[test]
fn a_proof_has_one_form() {
    let mut tree = Tree::new(&CHAIN);
    commit(&mut tree, &vec![set(1), set(5)]);
    let (root, there, absent) = (tree.root(), key(&[1, 1]), key(&[1, 2]));
    let digest = Content::Digest(Hash(keyed(Namespace::StateValue, &[1])));
    let mut proof = tree.prove(&there);
    proof.content = digest.clone();
    assert_eq!(proof.verify(&CHAIN, &root, &there), Err(ProofError::Form));
    let mut proof = tree.prove(&absent);
    assert_eq!((proof.key, &proof.content), (Some(there), &digest));
    proof.content = Content::Value(vec![1]);
    assert_eq!(proof.verify(&CHAIN, &root, &absent), Err(ProofError::Form));
    // The link's own ends are not absent.
    let proof = tree.prove(&absent);
    assert_eq!(proof.verify(&CHAIN, &root, &key(&[1, 5])), Err(ProofError::OtherKey));
    assert_eq!(proof.verify(&CHAIN, &root, &key(&[1, 0])), Err(ProofError::OtherKey));
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
    assert!(json.starts_with(r#"{"key":"0101","next":"0105","content":{"digest":"#), "{json}");
}

/// Frozen consensus format.
#[test]
fn frozen_root() {
    let mut tree = Tree::new(&CHAIN);
    commit(&mut tree, &vec![set(1), set(2), set(3), (key(&[2; 47]), Some(vec![5; 100].into()))]);
    commit(&mut tree, &vec![delete(2), (key(&[1]), Some(Box::default())), set(1)]);
    commit(&mut tree, &vec![delete(3)]);
    assert_eq!(hex::encode(tree.root().0), "de847a7257d5481689b21a1e2213ee1cb3e56e84a28628b61caadc06611d5389");
}
