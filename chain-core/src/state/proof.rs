//! Proof that a state root holds a row, or that it holds none under a key; and the bytes that are
//! hashed, which tree and proof share.
//!
//! ```text
//! leaf  = H_leaf(key 48 ‖ next key 48 ‖ value digest 32)      value digest = H_value(value)
//! nodes, root: see `crypto::merkle`
//! ```
//!
//! Each leaf names the key that follows its own. So the leaf of the greatest key below an absent
//! one proves the absence: `leaf.key < key < leaf.next`. The sentinel (`None`, 48 zero bytes) is
//! the leaf before the first key, holds the empty value, and is the next of the last key.
//!
//! 1. Verification needs the chain id, a root and the key, and believes nothing in the proof.
//! 2. A proof has one form: it carries the value when it proves a row, its digest when it proves
//!    that there is none.
//!
//! Not here: making proofs (`state::tree`), and how a root becomes trustworthy (certificates).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::row_key::{ROW_KEY_BYTES, RowKey, SENTINEL};
use crate::crypto::merkle::{Path, PathError, hash_one};
use crate::crypto::{Hash, Namespace, derive_key};

/// One leaf of the state and its path to the root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The leaf's key; `None` is the sentinel before the first key.
    pub key: Option<RowKey>,
    /// The key that follows in the state; `None` after the last.
    pub next: Option<RowKey>,
    /// What the leaf holds.
    pub content: Content,
    /// The leaf's place.
    pub slot: u32,
    /// The tree's leaves: its highest occupied slot + 1.
    pub leaf_count: u32,
    /// The path's siblings from the leaf upwards, at most 32.
    pub siblings: Vec<Hash>,
}

/// What a proof shows of a leaf's value.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The value, in a proof that the row is there.
    Value(#[serde(with = "hex_bytes")] Vec<u8>),
    /// The value's digest, in a proof that another row is not there.
    Digest(Hash),
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf neither has the key nor stands right before it.
    #[error("the proof is about another key")]
    OtherKey,
    /// A digest where the value belongs, or the reverse.
    #[error("the proof carries a digest for a row that is there, or a value for one that is not")]
    Form,
    /// The path does not hold.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Proof {
    /// The value under `key` in the state with this root, or `None`: proven to be absent.
    pub fn verify(&self, chain_id: &Hash, root: &Hash, key: &RowKey) -> Result<Option<&[u8]>, ProofError> {
        let found = self.claim(key)?;
        let keys = StateKeys::new(chain_id);
        let digest = match &self.content {
            Content::Value(value) => keys.digest(value),
            Content::Digest(digest) => *digest,
        };
        let leaf = leaf_input(self.key.as_ref(), self.next.as_ref(), &digest);
        let path = Path { index: self.slot, leaf_count: self.leaf_count, siblings: &self.siblings };
        path.check(&keys.node, &keys.root, hash_one(&keys.leaf, &leaf), root)?;
        Ok(found)
    }

    /// What the proof says about `key`, if the leaf is in the state.
    fn claim(&self, key: &RowKey) -> Result<Option<&[u8]>, ProofError> {
        let is_after = |next: &RowKey| key < next;
        match (&self.content, self.key.as_ref()) {
            (Content::Value(value), Some(own)) if own == key => Ok(Some(value)),
            (Content::Digest(_), Some(own)) if own == key => Err(ProofError::Form),
            (content, own) if own < Some(key) && self.next.as_ref().is_none_or(is_after) => match content {
                Content::Digest(_) => Ok(None),
                Content::Value(_) => Err(ProofError::Form),
            },
            _ => Err(ProofError::OtherKey),
        }
    }
}

/// The hash keys of one chain's state.
#[derive(Clone, Copy)]
pub(super) struct StateKeys {
    pub(super) leaf: [u8; 32],
    pub(super) node: [u8; 32],
    pub(super) root: [u8; 32],
    value: [u8; 32],
}

impl StateKeys {
    pub(super) fn new(chain_id: &Hash) -> StateKeys {
        StateKeys {
            leaf: derive_key(Namespace::StateLeaf, chain_id),
            node: derive_key(Namespace::StateNode, chain_id),
            root: derive_key(Namespace::StateRoot, chain_id),
            value: derive_key(Namespace::StateValue, chain_id),
        }
    }

    /// The digest of a value.
    pub(super) fn digest(&self, value: &[u8]) -> Hash {
        Hash(*blake3::keyed_hash(&self.value, value).as_bytes())
    }
}

/// The bytes of a leaf.
pub(super) fn leaf_input(key: Option<&RowKey>, next: Option<&RowKey>, digest: &Hash) -> [u8; 2 * ROW_KEY_BYTES + 32] {
    let padded = |key: Option<&RowKey>| key.map_or(SENTINEL, |key| *key.padded());
    let mut input = [0; 2 * ROW_KEY_BYTES + 32];
    let (own, rest) = input.split_at_mut(ROW_KEY_BYTES);
    let (following, value) = rest.split_at_mut(ROW_KEY_BYTES);
    own.copy_from_slice(&padded(key));
    following.copy_from_slice(&padded(next));
    value.copy_from_slice(&digest.0);
    input
}

/// Bytes as lowercase hex in JSON.
pub(super) mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
