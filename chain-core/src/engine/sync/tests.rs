//! Tests of catching up: one question at a time, a small chain as the truth, and time as a number.
//!
//! In `blocks` the chain, in `bounds` what is held at most, in `liars` whole runs among liars.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod blocks;
mod bounds;
mod liars;

use super::*;
use crate::testing::key;
use crate::types::Validator;
use blocks::{CHAIN, foreign, part, sign_again};

const A: Peer = Peer(1);
const B: Peer = Peer(2);
const C: Peer = Peer(3);

fn at(height: u64) -> Height {
    Height::new(height)
}

/// Peers that claim heights, and the wish to catch up.
fn syncing(claims: &[(Peer, u64)]) -> Sync {
    let mut sync = Sync::default();
    for (peer, head) in claims {
        sync.join(*peer, None, false);
        sync.claims(*peer, at(*head));
    }
    sync.start();
    sync
}

/// Whom `ask` asks from which height, and for how many blocks.
fn asked(sync: &mut Sync, head: u64, now_ms: u64) -> Vec<(Peer, u64, u32)> {
    let asked = |(peer, question)| match question {
        Message::NeedBlocks { from, count } => (peer, from.get(), count),
        other => panic!("{other:?}"),
    };
    sync.ask(at(head), now_ms).into_iter().map(asked).collect()
}

/// An answer by somebody whose chain is as long as it says.
fn answer(sync: &mut Sync, peer: Peer, (from, count): (u64, u64), claimed: u64, now_ms: u64) -> Result<(), Offence> {
    sync.hear(peer, (at(from), part(from, count), at(claimed), at(1)), now_ms)
}

/// Takes everything that is here above a head, as long as it follows; tells the new head.
fn take_all(sync: &mut Sync, mut head: u64) -> u64 {
    while let Some((peer, block)) = sync.take(at(head + 1)) {
        assert_eq!(block, CHAIN[head as usize], "what is handed out is what was sent");
        sync.delivered(peer);
        head += 1;
    }
    head
}

#[test]
fn ranges_are_shared_out_and_come_back_in_order() {
    let mut sync = syncing(&[(A, 150), (B, 150), (C, 100)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64), (B, 65, 64)], "nobody else has 129");
    assert_eq!(answer(&mut sync, B, (65, 64), 150, 10), Ok(()));
    assert!(sync.take(at(1)).is_none() && !sync.is_ready(at(1)), "the first one is missing");
    assert_eq!(asked(&mut sync, 0, 10), [(B, 129, 22)]);
    assert_eq!(answer(&mut sync, A, (1, 64), 150, 20), Ok(()));
    assert!(sync.is_ready(at(1)));
    assert_eq!(take_all(&mut sync, 0), 128);
    assert_eq!(answer(&mut sync, B, (129, 22), 150, 30), Ok(()));
    assert_eq!(take_all(&mut sync, 128), 150);
    assert!(asked(&mut sync, 150, 40).is_empty());
    assert_eq!(sync.due_ms(), None, "nothing is left to do");
}

#[test]
fn a_range_the_agreement_overtakes_costs_the_peer_nothing() {
    let mut sync = syncing(&[(A, 70)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    // The agreement is beyond the range; the peer is free for the next one at once.
    assert_eq!(asked(&mut sync, 64, 100), [(A, 65, 6)]);
    assert_eq!(answer(&mut sync, A, (1, 64), 70, 200), Ok(()), "late, and no offence");
    assert_eq!(sync.peers[&A].failures, 0);
    assert_eq!(answer(&mut sync, A, (65, 6), 70, 300), Ok(()));
    assert_eq!(take_all(&mut sync, 64), 70);
    assert!(asked(&mut sync, 70, 400).is_empty());
    assert_eq!(sync.peers[&A].failures, 0);
}

#[test]
fn what_is_here_below_the_head_is_passed_over() {
    let mut sync = syncing(&[(A, 64)]);
    asked(&mut sync, 0, 0);
    answer(&mut sync, A, (1, 64), 64, 10).unwrap();
    assert_eq!(sync.take(at(41)).map(|(from, block)| (from, block.block.header.height)), Some((A, at(41))));
    assert_eq!(take_all(&mut sync, 41), 64);
    assert!(!sync.is_ready(at(65)) && sync.ranges.is_empty());
}

#[test]
fn a_drip_is_taken_and_others_are_asked_before() {
    let mut sync = syncing(&[(A, 200), (B, 200)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64), (B, 65, 64)]);
    assert_eq!(answer(&mut sync, A, (1, 3), 200, 10), Ok(()), "slow is no offence");
    assert_eq!(take_all(&mut sync, 0), 3);
    assert_eq!((sync.peers[&A].failures, sync.peers[&A].short), (0, 1));
    assert_eq!(answer(&mut sync, B, (65, 64), 200, 20), Ok(()));
    assert_eq!(asked(&mut sync, 3, 20), [(B, 4, 61), (A, 129, 64)], "who gives all is asked first");
    sync.leave(B);
    assert_eq!(answer(&mut sync, A, (129, 2), 200, 30), Ok(()));
    assert_eq!(asked(&mut sync, 3, 30), [(A, 4, 61)], "with nobody else there is no pause");
    assert_eq!(answer(&mut sync, A, (4, 61), 200, 40), Ok(()));
    assert_eq!(sync.peers[&A].short, 0, "all that was asked for");
    assert_eq!(take_all(&mut sync, 3), 130, "nothing that came was thrown away");
}

#[test]
fn an_answer_that_ends_with_the_peers_chain_or_fills_a_frame_is_no_drip() {
    let mut sync = syncing(&[(A, 64)]);
    asked(&mut sync, 0, 0);
    answer(&mut sync, A, (1, 3), 3, 10).unwrap();
    assert_eq!(sync.peers[&A].short, 0, "it has no more");
    let mut sync = syncing(&[(A, 64)]);
    asked(&mut sync, 0, 0);
    let mut blocks = part(1, 2);
    blocks[0].block.body = crate::block::Body::new(vec![vec![0; RANGE_BYTES / 2]]);
    sync.hear(A, (at(1), blocks, at(64), at(1)), 10).unwrap();
    assert_eq!(sync.peers[&A].short, 0, "more would not fit");
}

#[test]
fn what_is_here_stays_when_its_sender_fails() {
    let mut sync = syncing(&[(A, 100)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    answer(&mut sync, A, (1, 64), 100, 10).unwrap();
    assert_eq!(asked(&mut sync, 0, 10), [(A, 65, 36)]);
    answer(&mut sync, A, (65, 0), 100, 20).unwrap();
    assert!(asked(&mut sync, 0, 20).is_empty(), "it rests, and there is nobody else");
    assert_eq!(take_all(&mut sync, 0), 64);
    assert_eq!(sync.peers[&A].failures, 0, "what it brought was right");
    assert_eq!(asked(&mut sync, 64, 20), [(A, 65, 36)]);
}

#[test]
fn a_late_answer_is_used() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    assert_eq!(asked(&mut sync, 0, PATIENCE_MS), [(B, 1, 64)]);
    assert_eq!(sync.peers[&A].failures, 1);
    assert_eq!(answer(&mut sync, A, (1, 64), 64, PATIENCE_MS + 1), Ok(()));
    assert_eq!(take_all(&mut sync, 0), 64);
    assert_eq!(sync.peers[&A].failures, 0, "it was slow, no more");
}

#[test]
fn a_range_the_agreement_has_entered_is_asked_for_from_there() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    answer(&mut sync, A, (1, 0), 64, 10).unwrap();
    // Pruned meanwhile: it can't give the first ones any more, and need not.
    sync.hear(B, (at(1), vec![], at(64), at(20)), 10).unwrap();
    assert_eq!(asked(&mut sync, 30, 10), [(B, 31, 34)]);
}

#[test]
fn nothing_is_no_offence_but_a_failure() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    asked(&mut sync, 0, 0);
    assert_eq!(answer(&mut sync, A, (1, 0), 64, 10), Ok(()));
    assert_eq!(sync.peers[&A].failures, 1);
    assert_eq!(asked(&mut sync, 0, 10), [(B, 1, 64)]);
}

#[test]
fn of_a_silent_peers_range_more_are_asked_ever_more_slowly() {
    let mut sync = syncing(&[(A, 64), (B, 64), (C, 64)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    assert_eq!(sync.due_ms(), Some(HEDGE_MS));
    assert!(asked(&mut sync, 0, HEDGE_MS - 1).is_empty());
    assert_eq!(asked(&mut sync, 0, HEDGE_MS), [(B, 1, 64)]);
    assert_eq!(sync.due_ms(), Some(3 * HEDGE_MS), "the next one after twice as long");
    assert!(asked(&mut sync, 0, 3 * HEDGE_MS - 1).is_empty());
    assert_eq!(asked(&mut sync, 0, 3 * HEDGE_MS), [(C, 1, 64)]);
    assert_eq!(sync.due_ms(), Some(PATIENCE_MS), "nobody is left to ask: only the first one's time runs");
    assert!(asked(&mut sync, 0, 5 * HEDGE_MS).is_empty());
    assert!(asked(&mut sync, 0, PATIENCE_MS - 1).is_empty());
    assert_eq!(sync.peers[&A].failures, 0);
    asked(&mut sync, 0, PATIENCE_MS);
    assert_eq!((sync.peers[&A].failures, sync.peers[&B].failures), (1, 0), "each has the same time");
    assert_eq!(answer(&mut sync, B, (1, 64), 64, PATIENCE_MS + 1), Ok(()));
    assert_eq!(take_all(&mut sync, 0), 64, "who was asked second may answer first");
    assert_eq!(answer(&mut sync, C, (1, 64), 64, PATIENCE_MS + 2), Ok(()));
    assert_eq!(sync.peers[&C].failures, 0, "who was beaten has done nothing wrong");
}

#[test]
fn only_the_range_the_head_waits_for_is_asked_of_more_than_one() {
    let mut sync = syncing(&[(A, 128), (B, 128)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64), (B, 65, 64)]);
    answer(&mut sync, A, (1, 64), 128, 10).unwrap();
    assert!(asked(&mut sync, 0, 5 * HEDGE_MS).is_empty(), "the head waits for nobody");
    assert_eq!(take_all(&mut sync, 0), 64);
    assert_eq!(asked(&mut sync, 64, 5 * HEDGE_MS), [(A, 65, 64)]);
}

#[test]
fn without_anybody_to_ask_nothing_wakes() {
    let mut sync = syncing(&[(A, 64)]);
    asked(&mut sync, 0, 0);
    assert_eq!(sync.due_ms(), Some(PATIENCE_MS), "no second peer, no hedge");
    sync.leave(A);
    assert!(asked(&mut sync, 0, 10).is_empty());
    assert_eq!(sync.due_ms(), None);
    // Who can't give the first block is nobody to ask either.
    sync.join(B, None, false);
    sync.start();
    sync.hear(B, (at(1), vec![], at(64), at(30)), 20).unwrap();
    assert!(asked(&mut sync, 0, 20).is_empty());
    assert_eq!(sync.due_ms(), None);
}

#[test]
fn who_leaves_is_replaced_at_once() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64)]);
    sync.leave(A);
    assert_eq!(asked(&mut sync, 0, 1), [(B, 1, 64)]);
}

#[test]
fn validators_are_asked_first_and_who_failed_last() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    sync.join(C, None, true);
    sync.claims(C, at(64));
    assert_eq!(asked(&mut sync, 0, 0), [(C, 1, 64)]);
    answer(&mut sync, C, (1, 0), 64, 0).unwrap();
    assert_eq!(asked(&mut sync, 0, PAUSE_MS), [(A, 1, 64)]);
}

#[test]
fn a_broken_chain_is_an_offence() {
    type Break = fn(&mut Vec<FinalBlock>);
    let breaks: [(&str, Break); 9] = [
        ("another parent", |blocks| {
            blocks[2].block.header.parent = blocks[0].block.header.id();
            sign_again(&mut blocks[2]);
        }),
        ("another height", |blocks| {
            blocks[2].block.header.height = at(4);
            sign_again(&mut blocks[2]);
        }),
        ("another height under the right one's certificate", |blocks| {
            blocks[9].block.header.height = at(11);
            blocks[9].certificate.as_mut().unwrap().message.block = Some(blocks[9].block.header.id());
        }),
        ("a block missing", |blocks| drop(blocks.remove(1))),
        ("out of order", |blocks| blocks.swap(0, 1)),
        ("no certificate", |blocks| blocks[3].certificate = None),
        ("another block's certificate", |blocks| blocks[3].certificate = blocks[2].certificate.clone()),
        ("another height's certificate", |blocks| {
            blocks[3].certificate.as_mut().unwrap().message.height = at(5);
        }),
        ("not from where it was asked", |blocks| drop(blocks.remove(0))),
    ];
    for (what, break_it) in breaks {
        let mut sync = syncing(&[(A, 10), (B, 10)]);
        asked(&mut sync, 0, 0);
        let mut blocks = part(1, 10);
        break_it(&mut blocks);
        assert_eq!(sync.hear(A, (at(1), blocks, at(10), at(1)), 10), Err(Offence::BadBlock), "{what}");
        assert!(!sync.is_ready(at(1)), "{what}: nothing of it is kept");
        assert_eq!(asked(&mut sync, 0, 10), [(B, 1, 10)], "{what}");
        assert_eq!(sync.peers[&A].failures, 1, "{what}");
    }
}

#[test]
fn what_nobody_asked_for_is_not_kept_and_no_offence() {
    let mut sync = syncing(&[(A, 64), (B, 64)]);
    asked(&mut sync, 0, 0);
    assert_eq!(answer(&mut sync, B, (1, 64), 64, 10), Ok(()), "asked of somebody else");
    assert_eq!(answer(&mut sync, A, (2, 10), 64, 10), Ok(()), "another beginning");
    assert_eq!(answer(&mut sync, Peer(99), (1, 64), 64, 10), Ok(()), "a stranger");
    assert!(sync.take(at(1)).is_none() && !sync.peers.contains_key(&Peer(99)));
    assert_eq!(answer(&mut sync, A, (1, 64), 64, 20), Ok(()), "the one that was asked still counts");
    assert_eq!(take_all(&mut sync, 0), 64);
}

#[test]
fn more_than_was_asked_for_is_cut_off() {
    let mut sync = syncing(&[(A, 10)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 10)]);
    answer(&mut sync, A, (1, 64), 64, 10).unwrap();
    assert_eq!(take_all(&mut sync, 0), 10);
}

#[test]
fn what_a_rejected_peer_sent_is_asked_of_another() {
    let mut sync = syncing(&[(A, 300), (B, 300)]);
    assert_eq!(asked(&mut sync, 0, 0), [(A, 1, 64), (B, 65, 64)]);
    sync.hear(A, (at(1), foreign(1, 64), at(300), at(1)), 10).unwrap();
    assert_eq!(asked(&mut sync, 0, 10), [(A, 129, 64)]);
    answer(&mut sync, A, (129, 64), 300, 20).unwrap();
    answer(&mut sync, B, (65, 64), 300, 20).unwrap();
    let (from, block) = sync.take(at(1)).unwrap();
    assert_eq!((from, block.block.header.height), (A, at(1)));
    sync.reject(from, 30);
    assert!(!sync.is_ready(at(1)));
    assert_eq!(asked(&mut sync, 0, 30), [(B, 1, 64)], "the peer that failed rests");
    assert_eq!(answer(&mut sync, B, (1, 64), 300, 40), Ok(()));
    assert_eq!(take_all(&mut sync, 0), 128, "what others sent stays");
    assert_eq!(asked(&mut sync, 128, 40).first(), Some(&(B, 129, 64)), "all of it goes, also what came later");
}

/// Four validators of equal weight: two of them may not both lie.
#[test]
fn whose_word_about_heights_counts() {
    let mut keys: Vec<_> = (1..=4).map(|seed| key(seed).public()).collect();
    keys.sort_unstable();
    let set = ValidatorSet::new(keys.iter().map(|key| Validator { public_key: *key, weight: 1 }).collect()).unwrap();
    let credible = |sync: &Sync| sync.credible_target(QuorumRule::Byzantine, &set);
    let mut sync = Sync::default();
    sync.join(A, None, false);
    sync.claims(A, at(1_000));
    assert_eq!((credible(&sync), sync.target(0)), (at(0), at(1_000)), "anybody can say anything");
    sync.join(B, Some(keys[0]), true);
    sync.join(C, Some(keys[0]), true);
    sync.claims(B, at(900));
    sync.claims(C, at(900));
    assert_eq!(credible(&sync), at(0), "also one validator, over however many connections");
    sync.join(Peer(4), Some(keys[1]), true);
    sync.claims(Peer(4), at(64));
    assert_eq!(credible(&sync), at(64), "one of two is honest");
    sync.fail(Peer(4), 0);
    assert_eq!(credible(&sync), at(64), "and says the truth though it is slow");
    sync.start();
    sync.delivered(A);
    assert_eq!(credible(&sync), at(64), "where validators tell, nobody else is asked");
    sync.leave(Peer(4));
    assert_eq!(credible(&sync), at(1_000), "where none do, who has delivered is believed");
    sync.reject(A, 30);
    assert_eq!(credible(&sync), at(0), "until it fails");
}

#[test]
fn it_ends_when_nobody_is_ahead_and_waits_for_those_that_rest() {
    let mut sync = syncing(&[(A, 64)]);
    asked(&mut sync, 0, 0);
    answer(&mut sync, A, (1, 0), 64, 10).unwrap();
    assert!(asked(&mut sync, 0, 10).is_empty());
    assert_eq!(sync.due_ms(), Some(10 + PAUSE_MS), "nobody else claims more, but this one may have it");
    assert_eq!(asked(&mut sync, 0, 10 + PAUSE_MS), [(A, 1, 64)]);
    answer(&mut sync, A, (1, 0), 0, 3_000).unwrap();
    assert!(asked(&mut sync, 0, 3_000).is_empty());
    assert_eq!(sync.due_ms(), None, "it has taken its claim back");
}
