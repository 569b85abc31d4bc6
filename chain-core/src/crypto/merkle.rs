//! Dense binary Merkle trees: what the list roots of a block (`tx_root`, `outcome_root`) and the
//! state tree have in common, and the list roots themselves.
//!
//! ```text
//! root = H_root(node root, leaf count u64 LE, 24 zeros)
//! node = H_node(left, right)                 a child past the last leaf is EMPTY[its level]
//! leaf = H_leaf(hash, 32 zeros)              in lists; state leaves: see `state::proof`
//! EMPTY[0] = 32 zeros, EMPTY[l + 1] = H_node(EMPTY[l], EMPTY[l]); depth = ⌈log2(leaf count)⌉
//! ```
//!
//! 1. Every H is blake3 keyed from (namespace, chain id), so no leaf is a node and no node a root.
//! 2. The root names the leaf count: a repeated or cut last leaf gives another root, and a path's
//!    length follows from the count.
//! 3. All inputs are whole 64-byte blocks and are hashed many at a time.
//!
//! Not here: the hash function and the namespaces (`crypto`), rows and slots (`state::tree`).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{Hash, Namespace, derive_key, hash_many};

/// The hash of a leaf that is not there.
pub(crate) const NO_LEAF: Hash = Hash([0; 32]);
/// Depth of a tree of 2³² leaves, the most a `u32` index reaches.
pub(crate) const MAX_DEPTH: usize = 32;

/// Inputs hashed per call: enough for the widest hardware, few enough to stay in its caches.
const BATCH: usize = 128;

/// A path from a leaf to a root that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The index is not below the leaf count.
    #[error("the leaf's index is not below the leaf count")]
    Index,
    /// The number of siblings is not the depth of a tree of that many leaves.
    #[error("the path does not have the length the leaf count asks for")]
    Length,
    /// The path leads to another root.
    #[error("the path leads to another root")]
    Root,
}

/// Proof that a list of leaves holds one leaf at one index.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListProof {
    /// Length of the list.
    pub leaf_count: u32,
    /// The path's siblings from the leaf upwards, at most 32.
    pub siblings: Vec<Hash>,
}

impl ListProof {
    /// Checks that the list with this root has `leaf` at `index`.
    pub fn verify(&self, chain_id: &Hash, root: &Hash, index: u32, leaf: &Hash) -> Result<(), PathError> {
        let keys = ListKeys::new(chain_id);
        let leaf = hash_one(&keys.leaf, &list_leaf(leaf));
        let path = Path { index, leaf_count: self.leaf_count, siblings: &self.siblings };
        path.check(&keys.node, &keys.root, leaf, root)
    }
}

/// The root of a list; the empty list has one too.
pub fn list_root(chain_id: &Hash, leaves: &[Hash]) -> Hash {
    let keys = ListKeys::new(chain_id);
    let node_root = fold(&keys, leaves, |_, _| ());
    mix_count(&keys.root, &node_root, leaves.len() as u64)
}

/// The proof for the leaf at `index`; `None` where the list has no such leaf.
pub fn list_proof(chain_id: &Hash, leaves: &[Hash], index: u32) -> Option<ListProof> {
    let leaf_count = u32::try_from(leaves.len()).ok()?;
    let mut at = usize::try_from(index).ok()?;
    leaves.get(at)?;
    let mut siblings = Vec::new();
    fold(&ListKeys::new(chain_id), leaves, |level, empty| {
        siblings.push(level.get(at ^ 1).copied().unwrap_or(empty));
        at /= 2;
    });
    Some(ListProof { leaf_count, siblings })
}

struct ListKeys {
    leaf: [u8; 32],
    node: [u8; 32],
    root: [u8; 32],
}

impl ListKeys {
    fn new(chain_id: &Hash) -> ListKeys {
        ListKeys {
            leaf: derive_key(Namespace::MerkleLeaf, chain_id),
            node: derive_key(Namespace::MerkleNode, chain_id),
            root: derive_key(Namespace::MerkleRoot, chain_id),
        }
    }
}

fn list_leaf(hash: &Hash) -> [u8; 64] {
    pair(hash, &Hash([0; 32]))
}

/// The node root of a list; `visit` sees every level below it, from the leaves up, and the hash
/// that stands for what is missing there.
fn fold(keys: &ListKeys, leaves: &[Hash], mut visit: impl FnMut(&[Hash], Hash)) -> Hash {
    let mut level = hash_all(&keys.leaf, leaves.iter().map(list_leaf));
    let mut empty = NO_LEAF;
    while level.len() > 1 {
        visit(&level, empty);
        level = parents(&keys.node, &level, &empty);
        empty = hash_one(&keys.node, &pair(&empty, &empty));
    }
    level.first().copied().unwrap_or(NO_LEAF)
}

/// The levels of a tree over `leaf_count` leaves: ⌈log2⌉, 0 for up to one leaf.
pub(crate) fn depth(leaf_count: u32) -> usize {
    match leaf_count {
        0 => 0,
        n => (n - 1).checked_ilog2().map_or(0, |log| log as usize + 1),
    }
}

/// `EMPTY[level]`: the node over nothing but missing leaves.
pub(crate) fn empty_nodes(node_key: &[u8; 32]) -> [Hash; MAX_DEPTH + 1] {
    let mut empty = NO_LEAF;
    std::array::from_fn(|_| {
        let this = empty;
        empty = hash_one(node_key, &pair(&this, &this));
        this
    })
}

/// The whole level above `level`.
pub(crate) fn parents(node_key: &[u8; 32], level: &[Hash], empty: &Hash) -> Vec<Hash> {
    let pairs = level.chunks(2).map(|two| match two {
        [left, right] => pair(left, right),
        [left, ..] => pair(left, empty),
        [] => pair(empty, empty),
    });
    hash_all(node_key, pairs)
}

/// The input of the node above these two, and of anything else made of two hashes.
pub(crate) fn pair(left: &Hash, right: &Hash) -> [u8; 64] {
    let mut input = [0; 64];
    let (first, second) = input.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    input
}

/// The root over a node root: says how many leaves there are.
pub(crate) fn mix_count(root_key: &[u8; 32], node_root: &Hash, leaf_count: u64) -> Hash {
    let mut count = Hash([0; 32]);
    count.0[..8].copy_from_slice(&leaf_count.to_le_bytes());
    hash_one(root_key, &pair(node_root, &count))
}

/// The hash of one input of whole blocks.
pub(crate) fn hash_one<const N: usize>(key: &[u8; 32], input: &[u8; N]) -> Hash {
    let mut out = [NO_LEAF];
    hash_many(key, &[input], &mut out);
    out[0]
}

/// The hashes of inputs of whole blocks, in their order.
pub(crate) fn hash_all<const N: usize>(key: &[u8; 32], mut inputs: impl Iterator<Item = [u8; N]>) -> Vec<Hash> {
    let mut out = Vec::with_capacity(inputs.size_hint().0);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(inputs.by_ref().take(BATCH));
        if batch.is_empty() {
            return out;
        }
        let start = out.len();
        out.resize(start + batch.len(), NO_LEAF);
        hash_many(key, &batch.iter().collect::<Vec<_>>(), &mut out[start..]);
    }
}

/// A claimed way from one leaf to the root, from outside: nothing in it is believed.
pub(crate) struct Path<'a> {
    pub(crate) index: u32,
    pub(crate) leaf_count: u32,
    pub(crate) siblings: &'a [Hash],
}

impl Path<'_> {
    /// Checks that the path leads from the hash of the leaf to the root.
    pub(crate) fn check(
        &self,
        node_key: &[u8; 32],
        root_key: &[u8; 32],
        leaf: Hash,
        root: &Hash,
    ) -> Result<(), PathError> {
        if self.index >= self.leaf_count {
            return Err(PathError::Index);
        }
        if self.siblings.len() != depth(self.leaf_count) {
            return Err(PathError::Length);
        }
        let (mut node, mut index) = (leaf, self.index);
        for sibling in self.siblings {
            let input = match index % 2 {
                0 => pair(&node, sibling),
                _ => pair(sibling, &node),
            };
            node = hash_one(node_key, &input);
            index /= 2;
        }
        if mix_count(root_key, &node, u64::from(self.leaf_count)) == *root { Ok(()) } else { Err(PathError::Root) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const CHAIN: Hash = Hash([9; 32]);

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|i| Hash([i + 1; 32])).collect()
    }

    fn keyed(namespace: Namespace, input: &[u8]) -> Hash {
        Hash(*blake3::keyed_hash(&derive_key(namespace, &CHAIN), input).as_bytes())
    }

    /// The definition, recursively: the node over the leaves from `first` at `level`.
    fn naive_node(leaves: &[Hash], level: usize, first: usize) -> Hash {
        if level == 0 {
            return leaves.get(first).map_or(NO_LEAF, |leaf| keyed(Namespace::MerkleLeaf, &[leaf.0, [0; 32]].concat()));
        }
        let left = naive_node(leaves, level - 1, first);
        let right = naive_node(leaves, level - 1, first + (1 << (level - 1)));
        keyed(Namespace::MerkleNode, &[left.0, right.0].concat())
    }

    fn naive_root(leaves: &[Hash]) -> Hash {
        let mut level = 0;
        while 1 << level < leaves.len() {
            level += 1;
        }
        let node = naive_node(leaves, level, 0);
        let count = (leaves.len() as u64).to_le_bytes();
        keyed(Namespace::MerkleRoot, &[&node.0[..], &count, &[0; 24]].concat())
    }

    #[test]
    fn depth_is_the_logarithm_rounded_up() {
        let cases = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)];
        for (count, levels) in cases {
            assert_eq!(depth(count), levels, "{count}");
        }
        assert_eq!(depth(1 << 31), 31);
        assert_eq!(depth((1 << 31) + 1), 32);
        assert_eq!(depth(u32::MAX), MAX_DEPTH);
    }

    #[test]
    fn root_is_the_definition() {
        for count in (0..=35).chain([63, 64, 65, 127, 128, 129, 200]) {
            let leaves = leaves(count);
            assert_eq!(list_root(&CHAIN, &leaves), naive_root(&leaves), "{count}");
        }
    }

    #[test]
    fn every_leaf_is_provable_and_nothing_else() {
        for count in 1..=20u8 {
            let leaves = leaves(count);
            let root = list_root(&CHAIN, &leaves);
            for index in 0..u32::from(count) {
                let proof = list_proof(&CHAIN, &leaves, index).unwrap();
                for (other, leaf) in (0u32..).zip(&leaves) {
                    let verdict = proof.verify(&CHAIN, &root, index, leaf);
                    assert_eq!(verdict.is_ok(), other == index);
                    let verdict = proof.verify(&CHAIN, &root, other, &leaves[index as usize]);
                    assert_eq!(verdict.is_ok(), other == index);
                }
            }
            assert_eq!(list_proof(&CHAIN, &leaves, u32::from(count)), None);
        }
        assert_eq!(list_proof(&CHAIN, &[], 0), None);
    }

    #[test]
    fn every_flipped_bit_fails() {
        let leaves = leaves(13);
        let root = list_root(&CHAIN, &leaves);
        let proof = list_proof(&CHAIN, &leaves, 12).unwrap();
        let bytes = borsh::to_vec(&proof).unwrap();
        assert_eq!(borsh::from_slice::<ListProof>(&bytes).unwrap(), proof);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(bad) = borsh::from_slice::<ListProof>(&bad) {
                assert!(bad.verify(&CHAIN, &root, 12, &leaves[12]).is_err(), "{bit}");
            }
        }
    }

    #[test]
    fn hostile_shapes_are_errors() {
        let leaves = leaves(5);
        let root = list_root(&CHAIN, &leaves);
        let good = list_proof(&CHAIN, &leaves, 4).unwrap();
        let verdict = |leaf_count, siblings: &[Hash], index| {
            let siblings = siblings.to_vec();
            let proof = ListProof { leaf_count, siblings };
            proof.verify(&CHAIN, &root, index, &leaves[4])
        };
        assert_eq!(verdict(5, &good.siblings, 4), Ok(()));
        assert_eq!(verdict(0, &[], 0), Err(PathError::Index));
        assert_eq!(verdict(5, &good.siblings, 5), Err(PathError::Index));
        assert_eq!(verdict(5, &good.siblings, u32::MAX), Err(PathError::Index));
        assert_eq!(verdict(5, &good.siblings[..2], 4), Err(PathError::Length));
        assert_eq!(verdict(5, &[NO_LEAF; 4000], 4), Err(PathError::Length));
        assert_eq!(verdict(6, &good.siblings, 4), Err(PathError::Root));
        assert_eq!(verdict(u32::MAX, &[NO_LEAF; 32], 4), Err(PathError::Root));
    }

    #[test]
    fn no_two_lists_share_a_root() {
        let all = leaves(9);
        let mut roots: Vec<Hash> = (0..=9).map(|n| list_root(&CHAIN, &all[..n])).collect();
        let zeros = [NO_LEAF; 9];
        roots.extend((1..=9).map(|n| list_root(&CHAIN, &zeros[..n])));
        for n in 1..=8 {
            let doubled = [&all[..n], &all[n - 1..n]].concat();
            roots.push(list_root(&CHAIN, &doubled));
        }
        roots.push(list_root(&Hash([8; 32]), &all));
        // An inner level passed off as a list.
        let key = derive_key(Namespace::MerkleNode, &CHAIN);
        roots.push(list_root(&CHAIN, &parents(&key, &all, &NO_LEAF)));
        let count = roots.len();
        roots.sort();
        roots.dedup();
        assert_eq!(roots.len(), count);
    }

    /// Frozen consensus format.
    #[test]
    fn frozen_root() {
        assert_eq!(
            hex::encode(list_root(&CHAIN, &leaves(5)).0),
            "bdca3a85899b6539e79a27d6d203461a90cabd2c7dd35352c679c6cc26b753c5"
        );
    }
}
