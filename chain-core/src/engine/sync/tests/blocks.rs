//! A chain of one validator's empty blocks, and another one of somebody else's.

use super::at;
use crate::block::{BLOCK_VERSION, Block, Body, FinalBlock, Header};
use crate::crypto::{Hash, SecretKey};
use crate::testing::{PROPOSER, chain, key};
use crate::types::{
    BlockId, Certificate, QuorumRule, SignedMessage, TimestampMs, Validator, ValidatorSet, View, Vote, VoteKind,
};
use std::sync::LazyLock;

/// The seed of a key that is nobody's.
const STRANGER: u8 = 201;
/// How long the chain is: more than is ever under way at once.
const LENGTH: u64 = 1_000;

/// Blocks 1 to [`LENGTH`].
pub(super) static CHAIN: LazyLock<Vec<FinalBlock>> = LazyLock::new(|| grow(PROPOSER));
/// The same heights, by a key that is not the validator's.
static FOREIGN: LazyLock<Vec<FinalBlock>> = LazyLock::new(|| grow(STRANGER));

/// Some of the chain's blocks.
pub(super) fn part(from: u64, count: u64) -> Vec<FinalBlock> {
    cut(&CHAIN, from, count)
}

/// As many, at the same heights, of the foreign chain.
pub(super) fn foreign(from: u64, count: u64) -> Vec<FinalBlock> {
    cut(&FOREIGN, from, count)
}

fn cut(chain: &[FinalBlock], from: u64, count: u64) -> Vec<FinalBlock> {
    let skip = (from as usize).saturating_sub(1);
    chain.iter().skip(skip).take(count as usize).cloned().collect()
}

/// Gives a changed block the certificate that fits.
pub(super) fn sign_again(block: &mut FinalBlock) {
    block.certificate = Some(finalization(&block.block.header, &key(PROPOSER)));
}

fn grow(seed: u8) -> Vec<FinalBlock> {
    let (signer, mut parent) = (key(seed), BlockId::default());
    let grow_one = |height| {
        let block = Block { header: header(height, parent), body: Body::default() };
        parent = block.header.id();
        let certificate = Some(finalization(&block.header, &signer));
        FinalBlock { block, certificate }
    };
    (1..=LENGTH).map(grow_one).collect()
}

fn header(height: u64, parent: BlockId) -> Header {
    Header {
        version: BLOCK_VERSION,
        chain_id: chain(),
        height: at(height),
        view: View::ZERO,
        parent,
        timestamp_ms: TimestampMs::new(height),
        proposer: key(PROPOSER).public(),
        tx_root: Hash::default(),
        outcome_root: Hash::default(),
        state_root: Hash::default(),
        validators_hash: Hash::default(),
        next_validators_hash: Hash::default(),
    }
}

fn finalization(header: &Header, signer: &SecretKey) -> Certificate {
    let (kind, height, block) = (VoteKind::Finalize, header.height, Some(header.id()));
    let message = SignedMessage { kind, height, view: View::ZERO, block };
    let vote = Vote::sign(message, &chain(), signer).unwrap();
    Certificate::from_votes(message, [&vote], QuorumRule::Byzantine, &set(signer)).unwrap()
}

fn set(member: &SecretKey) -> ValidatorSet {
    ValidatorSet::new(vec![Validator { public_key: member.public(), weight: 1 }]).unwrap()
}
