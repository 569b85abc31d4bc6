//! BLAKE3-256 over framed bytes.
//!
//! ```text
//! framed bytes = namespace length (1 byte) ‖ namespace ‖ chain id (32 bytes) ‖ body
//! ```
//!
//! The state tree hashes millions of inputs of one or two whole BLAKE3 blocks. There a frame in
//! front would double the compressions, so the namespace and chain id go into a key
//! ([`derive_key`]) and the inputs are hashed keyed, many at once ([`hash_many`]).
//!
//! Not here: which bytes are hashed for what; trees.

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};
use borsh::{BorshDeserialize, BorshSerialize};

use super::Namespace;

/// A BLAKE3-256 digest. Text form: `0x` and 64 lower-case hex digits, no other spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the chain id in frames that must not depend on the chain (the genesis hash
    /// itself and address derivations), and the parent of block 0.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

super::hex_text!(Hash);

/// The hash of the framed body, which is the concatenation of `parts`.
///
/// The boundaries between the parts are *not* hashed: a caller's parts must be of fixed length or
/// canonical (self-delimiting) bytes.
pub fn hash(ns: Namespace, chain_id: &Hash, parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[ns_len(ns)]);
    hasher.update(ns.as_str().as_bytes());
    hasher.update(chain_id.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// The framed bytes themselves, for signing: what [`hash`] hashes, `ns_len ‖ ns ‖ chain_id ‖ body`.
pub fn signing_message(ns: Namespace, chain_id: &Hash, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + ns.as_str().len() + 32 + body.len());
    message.push(ns_len(ns));
    message.extend_from_slice(ns.as_str().as_bytes());
    message.extend_from_slice(chain_id.as_bytes());
    message.extend_from_slice(body);
    message
}

/// The hash of bytes that are framed already: `digest(signing_message(…)) == hash(…)`.
pub fn digest(framed: &[u8]) -> Hash {
    Hash(*blake3::hash(framed).as_bytes())
}

/// The key for keyed hashing under a namespace: the hash of the empty body.
pub fn derive_key(ns: Namespace, chain_id: &Hash) -> [u8; 32] {
    hash(ns, chain_id, &[]).0
}

/// The keyed hash of one input of any length: the plain path, which [`hash_many`] must equal.
pub fn keyed_hash(key: &[u8; 32], input: &[u8]) -> Hash {
    Hash(*blake3::keyed_hash(key, input).as_bytes())
}

/// Length of a namespace as the frame's first byte.
fn ns_len(ns: Namespace) -> u8 {
    const _: () = {
        let mut i = 0;
        while i < Namespace::ALL.len() {
            assert!(Namespace::ALL[i].as_str().len() <= u8::MAX as usize);
            i += 1;
        }
    };
    ns.as_str().len() as u8
}

/// Bytes in a BLAKE3 block.
const BLOCK_BYTES: usize = 64;

// Block flags of the BLAKE3 specification (section 2.2, table 3).
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Inputs handed to BLAKE3 at once: a multiple of the widest SIMD degree (16), small enough that
/// the buffer for the outputs (2 KiB) stays on the stack and in the first-level cache.
const GROUP: usize = 64;

/// The keyed hashes of many inputs of 64 or 128 bytes (one or two whole BLAKE3 blocks), written to
/// `out` in the order of the inputs. Equals [`keyed_hash`] of each input, several times as fast:
/// SIMD lanes work on different inputs instead of standing idle on a short one.
///
/// An input of at most one chunk (1024 bytes) is a single chunk that is also the root, so its hash
/// is the chain of its blocks' compressions with the start flag on the first block and the end and
/// root flags on the last. That is what BLAKE3's internal `hash_many` computes per lane. The crate
/// keeps that function out of its stability promise, hence the pinned version and the equality
/// test. If it ever goes away, a loop over [`keyed_hash`] takes its place without changing a bit.
///
/// # Panics
///
/// If `out` and `inputs` differ in length: a mistake of the caller, never of outside data.
pub fn hash_many<const N: usize>(key: &[u8; 32], inputs: &[&[u8; N]], out: &mut [Hash]) {
    const { assert!(N == BLOCK_BYTES || N == 2 * BLOCK_BYTES) };
    assert_eq!(inputs.len(), out.len(), "one digest per input");
    let platform = Platform::detect();
    let key_words = words_from_le_bytes_32(key);
    let mut digests = [[0; 32]; GROUP];
    for (inputs, out) in inputs.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
        platform.hash_many(
            inputs,
            &key_words,
            0, // the chunk counter of each input's first and only chunk
            IncrementCounter::No,
            KEYED_HASH,
            CHUNK_START,
            CHUNK_END | ROOT,
            digests.as_flattened_mut(),
        );
        for (hash, digest) in out.iter_mut().zip(&digests) {
            *hash = Hash(*digest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks<const N: usize>(count: usize, seed: &[u8]) -> Vec<[u8; N]> {
        let mut stream = blake3::Hasher::new().update(seed).finalize_xof();
        (0..count)
            .map(|_| {
                let mut block = [0; N];
                stream.fill(&mut block);
                block
            })
            .collect()
    }

    fn assert_many_equals_plain<const N: usize>(key: &[u8; 32], inputs: &[[u8; N]]) {
        let refs: Vec<&[u8; N]> = inputs.iter().collect();
        let mut out = vec![Hash::ZERO; inputs.len()];
        hash_many(key, &refs, &mut out);
        let plain: Vec<Hash> = inputs.iter().map(|input| keyed_hash(key, input)).collect();
        assert_eq!(out, plain, "{} inputs of {N} bytes", inputs.len());
    }

    #[test]
    fn hash_many_equals_the_plain_path_for_every_count_around_the_group_size() {
        for count in (0..=2 * GROUP + 2).chain([1000]) {
            let key = *blake3::hash(&count.to_le_bytes()).as_bytes();
            assert_many_equals_plain::<64>(&key, &blocks(count, b"one block"));
            assert_many_equals_plain::<128>(&key, &blocks(count, b"two blocks"));
        }
    }

    proptest! {
        #[test]
        fn hash_many_equals_the_plain_path(key: [u8; 32], seed: [u8; 32], count in 0usize..70) {
            assert_many_equals_plain::<64>(&key, &blocks(count, &seed));
            assert_many_equals_plain::<128>(&key, &blocks(count, &seed));
        }

        #[test]
        fn text_round_trips(bytes: [u8; 32]) {
            let hash = Hash(bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
            let json = serde_json::to_string(&hash).unwrap();
            prop_assert_eq!(&json, &format!("\"{hash}\""));
            prop_assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
            prop_assert_eq!(borsh::to_vec(&hash).unwrap(), bytes.to_vec());
            prop_assert_eq!(borsh::from_slice::<Hash>(&bytes).unwrap(), hash);
        }

        #[test]
        fn splitting_the_body_into_parts_changes_nothing(body: Vec<u8>, at: prop::sample::Index) {
            let (left, right) = body.split_at(at.index(body.len() + 1));
            let id = Hash([7; 32]);
            let whole = hash(Namespace::Wire, &id, &[&body]);
            prop_assert_eq!(whole, hash(Namespace::Wire, &id, &[left, right]));
            let message = signing_message(Namespace::Wire, &id, &body);
            prop_assert_eq!(whole, Hash(*blake3::hash(&message).as_bytes()));
        }
    }

    #[test]
    #[should_panic(expected = "one digest per input")]
    fn hash_many_refuses_an_output_of_another_length() {
        hash_many(&[0; 32], &[&[0; 64]], &mut []);
    }

    #[test]
    fn the_frame_is_length_namespace_chain_id_body() {
        let mut framed = b"\x08ait/tx/1".to_vec();
        framed.extend([0x11; 32]);
        framed.extend(b"body");
        let id = Hash([0x11; 32]);
        assert_eq!(signing_message(Namespace::Tx, &id, b"body"), framed);
    }

    #[test]
    fn namespace_chain_id_and_body_each_change_the_hash() {
        let id = Hash([1; 32]);
        let base = hash(Namespace::Tx, &id, &[b"x"]);
        assert_ne!(base, hash(Namespace::Ack, &id, &[b"x"]));
        assert_ne!(base, hash(Namespace::Tx, &Hash::ZERO, &[b"x"]));
        assert_ne!(base, hash(Namespace::Tx, &id, &[b"y"]));
        assert_eq!(derive_key(Namespace::Tx, &id), hash(Namespace::Tx, &id, &[]).0);
        assert_ne!(derive_key(Namespace::StateLeaf, &id), derive_key(Namespace::StateNode, &id));
    }

    #[test]
    fn only_one_spelling_is_read() {
        let good = format!("0x{}", "ab".repeat(32));
        assert_eq!(good.parse(), Ok(Hash([0xab; 32])));
        let digits = "ab".repeat(32);
        for bad in [
            String::new(),
            "0x".into(),
            digits.clone(),
            format!("0X{digits}"),
            format!("0x{}", digits.to_uppercase()),
            format!("0x{}B", &digits[..63]),
            format!("0x{}", &digits[..63]),
            format!("0x{}", &digits[..62]),
            format!("0x{digits}0"),
            format!("0x{digits}00"),
            format!(" 0x{digits}"),
            format!("0x{digits}\n"),
            format!("0x0x{}", &digits[..62]),
            format!("0x{}+a", &digits[..62]),
            format!("0x{}é", &digits[..62]),
        ] {
            assert_eq!(bad.parse::<Hash>(), Err(super::super::HexError { digits: 64 }), "{bad:?}");
        }
    }
}
