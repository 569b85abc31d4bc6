//! Tests of what is read back at a start: the mark that the log makes, and records that can't be read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::testing::{chain, checked, key, pay};
use crate::types::{Certificate, Proposal, QuorumRule, SignedMessage, View, Vote, VoteKind};
use crate::types::{Validator, ValidatorSet};

fn vote(kind: VoteKind, height: u64, view: u32) -> Vote {
    let block = (kind != VoteKind::Nullify).then(BlockId::default);
    let message = SignedMessage { kind, height: Height::new(height), view: View::new(view), block };
    Vote::sign(message, &chain(), &key(1)).unwrap()
}

fn word(height: u64, view: u32) -> WalRecord {
    WalRecord::Vote(vote(VoteKind::Notarize, height, view))
}

fn proposal(height: u64, view: u32) -> WalRecord {
    let at = (Height::new(height), View::new(view));
    WalRecord::Proposal(Proposal::sign(at, BlockId::default(), None, &chain(), &key(1)))
}

fn certificate(height: u64) -> WalRecord {
    let vote = vote(VoteKind::Finalize, height, 0);
    let set = ValidatorSet::new(vec![Validator { public_key: key(1).public(), weight: 1 }]).unwrap();
    WalRecord::Certificate(Certificate::from_votes(vote.message, [&vote], QuorumRule::Byzantine, &set).unwrap())
}

fn mark(height: u64, view: u32, words: u32) -> SignMark {
    SignMark { height: Height::new(height), view: View::new(view), words }
}

#[test]
fn the_logs_mark_is_its_newest_own_word() {
    assert_eq!(newest_mark(&[]), None);
    assert_eq!(newest_mark(&[certificate(9), WalRecord::Barrier(Height::new(8))]), None, "words of others");
    let log = [word(4, 7), proposal(5, 0), word(5, 0), certificate(5), word(5, 2), word(5, 1), certificate(6)];
    assert_eq!(newest_mark(&log), Some(mark(5, 2, 4)));
    assert_eq!(logged_words(&log, Height::new(4)), 1);
    assert_eq!(logged_words(&log, Height::new(6)), 0);
}

#[test]
fn of_two_memories_the_further_one_counts() {
    for (a, b, both) in [
        (mark(4, 9, 9), mark(5, 0, 1), mark(5, 0, 1)),
        (mark(5, 1, 3), mark(5, 2, 2), mark(5, 2, 3)),
        (mark(5, 1, 3), mark(5, 1, 3), mark(5, 1, 3)),
    ] {
        assert_eq!((further(a, b), further(b, a)), (both, both));
    }
}

#[test]
fn a_log_is_read_back_as_it_was_written() {
    let bytes = vec![vec![1, 2, 3], vec![]];
    let header = Header {
        version: 1,
        chain_id: chain(),
        height: Height::new(6),
        view: View::ZERO,
        parent: BlockId::default(),
        timestamp_ms: crate::types::TimestampMs::new(1),
        proposer: key(1).public(),
        tx_root: Hash::default(),
        outcome_root: Hash::default(),
        state_root: Hash::default(),
        validators_hash: Hash::default(),
        next_validators_hash: Hash::default(),
    };
    let block = Block { header, body: Body::new(bytes) };
    let head = (Height::new(5), BlockId(Hash([5; 32])));
    let words = [proposal(6, 0), word(6, 0), certificate(6), WalRecord::Barrier(Height::new(7))];
    let mut records = vec![[&[HEAD], codec::encode(&head).as_slice()].concat(), block_bytes(&block)];
    records.extend(words.iter().map(record_bytes));
    let wal = read_wal(&records).unwrap();
    assert_eq!((wal.words.as_slice(), wal.head), (words.as_slice(), Some(head)));
    assert_eq!(wal.blocks.into_iter().collect::<Vec<_>>(), [(block.header.id(), block)]);
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    let whole = record_bytes(&word(6, 0));
    let cut = whole[..whole.len() - 1].to_vec();
    for bad in [vec![], vec![9], vec![0, 1, 2], cut, [whole, vec![0]].concat(), vec![HEAD, 1], vec![BLOCK, 1]] {
        assert!(read_wal(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
    for bad in [vec![], vec![9], vec![POOLED, 1], vec![GONE], vec![GONE, 1, 2], [vec![GONE], vec![0; 33]].concat()] {
        assert!(read_pool_log(&chain(), std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn what_was_dropped_stays_dropped_until_it_is_logged_again() {
    let (a, b) =
        (checked(1, 0, [pay(crate::testing::address(2), 5)]), checked(1, 1, [pay(crate::testing::address(2), 6)]));
    let ids = |records: &[Vec<u8>]| -> Vec<TxId> {
        read_pool_log(&chain(), records).unwrap().iter().map(Checked::id).collect()
    };
    let (in_a, in_b, out_a) = (pooled_bytes(&a), pooled_bytes(&b), gone_bytes(&a.id()));
    assert_eq!(ids(&[in_a.clone(), in_b.clone()]), [a.id(), b.id()]);
    assert_eq!(ids(&[in_a.clone(), in_b.clone(), out_a.clone()]), [b.id()]);
    assert_eq!(ids(&[in_a.clone(), out_a.clone(), in_b, in_a.clone()]), [b.id(), a.id()]);
    assert_eq!(ids(&[in_a.clone(), out_a.clone(), in_a, out_a]), []);
}
