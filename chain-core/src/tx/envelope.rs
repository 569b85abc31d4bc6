//! The envelope: what every transaction says besides its actions, and who authorised it.
//!
//! Not here: whether it is right (`stage`), what it costs (`stage`, `execute`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::Action;
use crate::codec::{self, List};
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, hash, signing_message};
use crate::limits::{MAX_ACTIONS, MAX_KEYS};
use crate::types::{Address, Amount, ChainId, Height, TxId, WireId};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The version of transactions this code knows.
pub const TRANSACTION_VERSION: u8 = 1;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// 1.
    pub version: u8,
    /// The first 4 bytes of the chain id, for a clear error; the signing bytes hold all 32.
    #[serde(with = "hex_tag")]
    pub chain_tag: [u8; 4],
    /// Whose transaction this is.
    pub sender: Address,
    /// How many transactions of the sender come before.
    #[serde(with = "crate::types::decimal")]
    pub nonce: u64,
    /// Who pays the fee, if not the sender.
    #[serde(default)]
    pub fee_payer: Option<Address>,
    /// The whole fee in native base units; kept even if the actions fail.
    pub fee: Amount,
    /// The last block this may be part of; 0: any.
    pub valid_until: Height,
    /// What it does: all of it, in order, or nothing.
    pub actions: List<Action, MAX_ACTIONS>,
}

/// A transaction with its authorisations. Both sign the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is signed.
    pub transaction: Transaction,
    /// The sender's authorisation.
    pub authorisation: Authorisation,
    /// The fee payer's authorisation, exactly if there is a fee payer.
    #[serde(default)]
    pub fee_payer_authorisation: Option<Authorisation>,
}

/// Signatures, with the keys they are checked against.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Authorisation {
    /// One key.
    Key {
        /// The key.
        public_key: PublicKey,
        /// Its signature.
        signature: Signature,
    } = 1,
    /// m of n keys.
    MultiKey(MultiKey) = 2,
}

/// Signatures of exactly `threshold` of `keys`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiKey {
    /// How many must sign.
    pub threshold: u8,
    /// The keys, strictly ascending.
    pub keys: List<PublicKey, MAX_KEYS>,
    /// Bit i: the i-th key signed.
    pub bitmap: u16,
    /// One signature per set bit, from the lowest.
    pub signatures: List<Signature, MAX_KEYS>,
}

impl Transaction {
    /// The bytes every authorisation signs: `ait/tx/1`, chain id, the canonical transaction.
    pub fn signing_bytes(&self, chain: &ChainId) -> Vec<u8> {
        signing_message(Namespace::Tx, &chain.0, &codec::encode(self))
    }

    /// The hash of the signing bytes.
    pub fn id(&self, chain: &ChainId) -> TxId {
        TxId(hash(Namespace::Tx, &chain.0, &[&codec::encode(self)]))
    }

    /// Who pays the fee.
    pub fn payer(&self) -> Address {
        self.fee_payer.unwrap_or(self.sender)
    }

    /// Signs with one key, for a sender of that kind and no fee payer.
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> Signed {
        let authorisation = Authorisation::sign(&self.signing_bytes(chain), key);
        Signed { transaction: self, authorisation, fee_payer_authorisation: None }
    }
}

impl Signed {
    /// The hash of complete signed bytes: names exactly these bytes.
    pub fn wire_id(bytes: &[u8], chain: &ChainId) -> WireId {
        WireId(hash(Namespace::Wire, &chain.0, &[bytes]))
    }

    /// All signatures with the keys they are checked against.
    pub(super) fn signatures(&self) -> impl Iterator<Item = (PublicKey, Signature)> {
        std::iter::once(&self.authorisation).chain(&self.fee_payer_authorisation).flat_map(Authorisation::signatures)
    }
}

impl Authorisation {
    /// Signs with one key.
    pub fn sign(signing_bytes: &[u8], key: &SecretKey) -> Self {
        Self::Key { public_key: key.public(), signature: key.sign(signing_bytes) }
    }

    /// The address an account with these keys derives from: what a stored policy is compared with.
    pub fn address(&self) -> Address {
        match self {
            Self::Key { public_key, .. } => Address::of_key(public_key),
            Self::MultiKey(multi) => Address::of_multi_key(multi.threshold, &multi.keys),
        }
    }

    fn signatures(&self) -> Vec<(PublicKey, Signature)> {
        match self {
            Self::Key { public_key, signature } => vec![(*public_key, *signature)],
            Self::MultiKey(multi) => {
                let signed = multi.keys.iter().enumerate().filter(|(i, _)| multi.bitmap >> i & 1 == 1);
                signed.map(|(_, key)| *key).zip(multi.signatures.iter().copied()).collect()
            }
        }
    }
}

impl MultiKey {
    /// Whether the parts fit together. Says nothing about the signatures.
    pub(super) fn is_well_formed(&self) -> bool {
        let threshold = usize::from(self.threshold);
        let ascending = self.keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        let beyond = u32::from(self.bitmap) >> self.keys.len();
        (1..=self.keys.len()).contains(&threshold)
            && ascending
            && beyond == 0
            && self.bitmap.count_ones() as usize == threshold
            && self.signatures.len() == threshold
    }
}

mod hex_tag {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(tag: &[u8; 4], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(tag)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 4], D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("a chain tag starts with 0x"))?;
        let mut tag = [0; 4];
        hex::decode_to_slice(digits, &mut tag).map_err(D::Error::custom)?;
        Ok(tag)
    }
}
