//! Tests of the machine: signing rules, the rows of the table, and whole runs.

mod answers;
mod anything;
mod barriers;
mod decide;
mod evidence;
mod four;
mod listening;
mod parts;
mod propose;
mod runs;
mod search;
mod signing;
mod simulation;
mod traces;
mod traps;

use super::*;
use crate::crypto::{Namespace, PublicKey, SecretKey, hash};
use crate::types::{
    BlockId, Certificate, ChainId, Height, QuorumRule, SignedMessage, TimestampMs, Validator, ValidatorSet, View, Vote,
    VoteKind,
};
use std::sync::Arc;

const GENESIS_MS: u64 = 1_000_000_000;
const BLOCK_TIME_MS: u64 = 2_000;

fn keys(n: u8) -> Vec<Arc<SecretKey>> {
    let mut keys: Vec<_> = (1..=n).map(|i| Arc::new(SecretKey::from_seed(&[i; 32]))).collect();
    keys.sort_by_key(|key| key.public());
    keys
}

fn set(keys: &[Arc<SecretKey>]) -> Arc<ValidatorSet> {
    let members = keys.iter().map(|key| Validator { public_key: key.public(), weight: 1 }).collect();
    Arc::new(ValidatorSet::new(members).unwrap())
}

fn chain() -> ChainId {
    ChainId(hash(Namespace::Genesis, &ChainId::default().0, &[b"test"]))
}

fn config(key: Option<&Arc<SecretKey>>) -> Config {
    Config {
        chain: chain(),
        rule: QuorumRule::Byzantine,
        key: key.cloned(),
        barrier: Height::ZERO,
        wiped: false,
        listens: false,
        signing_from: None,
    }
}

/// A message from some peer.
fn heard(message: Message) -> Input {
    Input::Message { from: Peer::default(), message }
}

fn head(height: u64, timestamp: u64, set: &Arc<ValidatorSet>) -> Head {
    Head {
        height: Height::new(height),
        timestamp: TimestampMs::new(timestamp),
        set: set.clone(),
        block_time_ms: BLOCK_TIME_MS,
        empty_block_interval_ms: BLOCK_TIME_MS,
    }
}

fn block(name: u64) -> BlockId {
    BlockId(hash(Namespace::Block, &ChainId::default().0, &[&name.to_le_bytes()]))
}

fn message(kind: VoteKind, height: u64, view: u32, block: Option<BlockId>) -> SignedMessage {
    SignedMessage { kind, height: Height::new(height), view: View::new(view), block }
}

fn vote(key: &SecretKey, message: SignedMessage) -> Vote {
    Vote::sign(message, &chain(), key).unwrap()
}

fn certificate<'a>(
    message: SignedMessage,
    signers: impl IntoIterator<Item = &'a Arc<SecretKey>>,
    set: &ValidatorSet,
) -> Certificate {
    let votes: Vec<_> = signers.into_iter().map(|key| vote(key, message)).collect();
    Certificate::from_votes(message, &votes, QuorumRule::Byzantine, set).unwrap()
}
