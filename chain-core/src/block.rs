//! Blocks: the header that commits to everything, the body, and what a final block is.
//!
//! Not here: whether a block's content is right (`execute`), how it becomes final (`consensus`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use crate::codec::{self, DecodeError};
use crate::crypto::merkle::list_root;
use crate::crypto::{Hash, Namespace, PublicKey, hash};
use crate::fault::Fault;
use crate::limits::{MAX_BLOCK_BYTES, MAX_BLOCK_TXS, MAX_TX_BYTES};
use crate::tx::Event;
use crate::types::{Amount, BlockId, Certificate, ChainId, Height, TimestampMs, View, WireId};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The version of blocks this code knows.
pub const BLOCK_VERSION: u8 = 1;

/// Everything a block says, in a few hundred bytes. Import recomputes every root before a vote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Header {
    /// 1.
    pub version: u8,
    /// The chain.
    pub chain_id: ChainId,
    /// The parent's height + 1; genesis is 0.
    pub height: Height,
    /// The view the block was built in; a block proposed again keeps it.
    pub view: View,
    /// The parent's id; zero for genesis.
    pub parent: BlockId,
    /// When it was built, at least `block_time_ms` after the parent.
    pub timestamp_ms: TimestampMs,
    /// Who built it; zero for genesis.
    pub proposer: PublicKey,
    /// Root of the list of wire ids.
    pub tx_root: Hash,
    /// Root of the list of outcome hashes.
    pub outcome_root: Hash,
    /// Root of the state after this block.
    pub state_root: Hash,
    /// Hash of the validator set that signs this height.
    pub validators_hash: Hash,
    /// Hash of the validator set that signs the next height.
    pub next_validators_hash: Hash,
}

impl Header {
    /// The block's id: `hash(ait/block/1, chain id, header)`.
    pub fn id(&self) -> BlockId {
        BlockId(hash(Namespace::Block, &self.chain_id.0, &[&codec::encode(self)]))
    }
}

/// The transactions of a block as their complete signed bytes, in execution order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    transactions: Vec<Vec<u8>>,
}

impl Body {
    /// Takes transactions in execution order.
    pub fn new(transactions: Vec<Vec<u8>>) -> Self {
        Self { transactions }
    }

    /// The transactions in execution order.
    pub fn transactions(&self) -> &[Vec<u8>] {
        &self.transactions
    }

    /// The one encoding: u32 count, then per transaction u32 length and bytes (borsh of a list of
    /// byte lists).
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&self.transactions)
    }

    /// Reads an encoding; at most `MAX_BLOCK_BYTES` long.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(DecodeError::TooLong { max: MAX_BLOCK_BYTES, got: bytes.len() });
        }
        let transactions: Vec<Vec<u8>> = codec::decode(bytes, MAX_BLOCK_BYTES)?;
        let longest = transactions.iter().map(Vec::len).max().unwrap_or_default();
        if transactions.len() > MAX_BLOCK_TXS {
            return Err(DecodeError::TooLong { max: MAX_BLOCK_TXS, got: transactions.len() });
        }
        if longest > MAX_TX_BYTES {
            return Err(DecodeError::TooLong { max: MAX_TX_BYTES, got: longest });
        }
        Ok(Self { transactions })
    }
}

/// The root a header commits to for its transactions.
pub fn tx_root(chain: &ChainId, wire_ids: &[WireId]) -> Hash {
    let leaves: Vec<Hash> = wire_ids.iter().map(|id| id.0).collect();
    list_root(&chain.0, &leaves)
}

/// A header with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it says.
    pub header: Header,
    /// What it does.
    pub body: Body,
}

/// A block with the proof that it is final. Block 0 has no certificate: it follows from the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// The block.
    pub block: Block,
    /// The finalization.
    pub certificate: Option<Certificate>,
}

/// How one transaction ended, or one thing a block did by itself (verdict `Ok`, no fee).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Outcome {
    /// Which transaction, by its complete bytes; of the block's own doing `execute::item_id`.
    pub wire_id: WireId,
    /// Whether its actions were carried out.
    pub verdict: Verdict,
    /// What the fee payer paid.
    pub fee: Amount,
    /// Hash of its events in order.
    pub events_hash: Hash,
}

/// Whether a transaction's actions were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Verdict {
    /// All of them.
    Ok = 0,
    /// None of them; the fee is kept and the nonce used.
    Rejected {
        /// The rejection's frozen number.
        number: u16,
        /// The place of the action that was refused.
        action: u8,
    } = 1,
}

impl Outcome {
    /// The leaf of `outcome_root`: `hash(ait/outcome/1, chain id, outcome)`.
    pub fn hash(&self, chain: &ChainId) -> Hash {
        hash(Namespace::Outcome, &chain.0, &[&codec::encode(self)])
    }

    /// The hash an outcome holds of its events: `hash(ait/event/1, chain id, list of events)`.
    pub fn events_hash(events: &[Event], chain: &ChainId) -> Hash {
        hash(Namespace::Event, &chain.0, &[&codec::encode(events)])
    }
}

/// The root a header commits to for its outcomes.
pub fn outcome_root(chain: &ChainId, outcomes: &[Outcome]) -> Hash {
    let leaves: Vec<Hash> = outcomes.iter().map(|outcome| outcome.hash(chain)).collect();
    list_root(&chain.0, &leaves)
}

/// What executing a block reported: outcomes and events, one entry per transaction in order, then one
/// per thing the block did by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Results {
    /// How each ended.
    pub outcomes: Vec<Outcome>,
    /// What happened in each.
    pub events: Vec<Vec<Event>>,
}

impl Results {
    /// Reads stored results; that they can't be read is our own fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        codec::decode(bytes, usize::MAX).map_err(|e| Fault::new(format!("stored results: {e}")))
    }
}
