//! Stand-in for the real `crypto` module; replaced when the branches meet.
#![allow(missing_docs)]

pub mod merkle;

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Hash(pub [u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    StateLeaf,
    StateNode,
    StateRoot,
    StateValue,
    MerkleLeaf,
    MerkleNode,
    MerkleRoot,
}

pub fn derive_key(ns: Namespace, chain_id: &Hash) -> [u8; 32] {
    let mut input = vec![ns as u8];
    input.extend_from_slice(&chain_id.0);
    *blake3::hash(&input).as_bytes()
}

pub fn hash_many<const N: usize>(key: &[u8; 32], inputs: &[&[u8; N]], out: &mut [Hash]) {
    const KEYED_HASH: u8 = 16;
    const CHUNK_START: u8 = 1;
    const CHUNK_END: u8 = 2;
    const ROOT: u8 = 8;
    let words = words_from_le_bytes_32(key);
    let platform = Platform::detect();
    for (inputs, out) in inputs.chunks(16).zip(out.chunks_mut(16)) {
        let mut bytes = [0u8; 16 * 32];
        platform.hash_many(
            inputs,
            &words,
            0,
            IncrementCounter::No,
            KEYED_HASH,
            CHUNK_START,
            CHUNK_END | ROOT,
            &mut bytes,
        );
        for (hash, bytes) in out.iter_mut().zip(bytes.as_chunks::<32>().0) {
            *hash = Hash(*bytes);
        }
    }
}
