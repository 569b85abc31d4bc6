//! Lies that anybody can tell, with or without a validator's key: blocks, heights, certificates and
//! bytes that are not what they should be.
//!
//! Not here: who tells them, to whom and how often (`liar`, `stranger`).

use super::liar::Said;
use super::random::Random;
use chain_core::block::{Block, Body, FinalBlock};
use chain_core::codec::List;
use chain_core::crypto::Hash;
use chain_core::types::{Certificate, Height, VoteKind};
use chain_core::wire::Message;
use std::sync::Arc;

/// Heights that no honest node names.
pub fn false_height(random: &mut Random) -> Height {
    Height::new(random.pick(&[0, 1, 2, 3, 5, 9, 40, 1_000_000, u64::MAX]))
}

/// Another body or another header under the same name.
pub fn spoiled(random: &mut Random, block: &Block) -> Block {
    let mut block = block.clone();
    let mut transactions = block.body.transactions().to_vec();
    match (random.below(4), transactions.last_mut().and_then(|last| last.last_mut())) {
        (0, _) => block.body = Body::new(vec![vec![1, 2, 3]]),
        (1, _) => block.header.state_root = Hash([1; 32]),
        // The same transaction, its signature another one: only who verifies or compares sees it.
        (2, Some(byte)) => {
            *byte ^= 1;
            block.body = Body::new(transactions);
        }
        _ => {
            transactions.pop();
            block.body = Body::new(transactions);
        }
    }
    block
}

/// An answer to `NeedBlocks` with something wrong in it.
pub fn wrong_blocks(
    random: &mut Random,
    from: Height,
    mut blocks: Vec<FinalBlock>,
    (head, oldest): (Height, Height),
) -> Message {
    let place = random.place(blocks.len());
    let mut claimed = head;
    match (random.below(7), blocks.get_mut(place)) {
        (0, Some(block)) => block.certificate = None,
        (1, Some(block)) => block.block = spoiled(random, &block.block),
        (2, Some(block)) => block.block.header.height = block.block.header.height.next(),
        (3, Some(FinalBlock { certificate: Some(certificate), .. })) => *certificate = forged(random, certificate),
        (4, Some(_)) => blocks.swap(0, place),
        // A block of the liar's own under the signatures of the true one: whole, linked, and wrong.
        (5, Some(FinalBlock { block, certificate: Some(certificate) })) => {
            block.header.timestamp_ms = block.header.timestamp_ms.saturating_add(1);
            certificate.message.block = Some(block.header.id());
            blocks.truncate(place + 1);
        }
        _ => claimed = head.saturating_add(1_000_000),
    }
    Message::Blocks { from, blocks: List::new(blocks).unwrap(), head: claimed, oldest }
}

/// A certificate for something else with the signatures of another.
pub fn forged(random: &mut Random, certificate: &Certificate) -> Certificate {
    let mut forged = certificate.clone();
    let message = &mut forged.message;
    match random.below(4) {
        0 => message.view = message.view.next(),
        1 => message.height = message.height.next(),
        2 => message.block = message.block.map(|_| chain_core::types::BlockId(Hash([2; 32]))),
        _ => (message.kind, message.block) = (VoteKind::Nullify, None),
    }
    forged
}

/// One bit of the bytes is another one.
pub fn mangled(random: &mut Random, message: &Message) -> Said {
    let mut bytes = message.encode();
    let at = random.place(bytes.len());
    bytes[at] ^= 1 << random.below(8);
    match Message::decode(&bytes, message.lane()) {
        Ok(message) => Said::Message(Arc::new(message)),
        Err(_) => Said::Garbage,
    }
}
