//! Tests of wanted blocks: offers, questions one after the other, and what is held.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::block::{BLOCK_VERSION, Body, Header, tx_root};
use crate::crypto::Hash;
use crate::testing::{PROPOSER, chain, key};
use crate::tx::Signed;
use crate::types::{TimestampMs, View};
use proptest::prelude::*;

const A: Peer = Peer(1);
const B: Peer = Peer(2);
const C: Peer = Peer(3);

/// A block of so many short transactions.
fn block(height: u64, transactions: u8) -> Block {
    let bytes: Vec<Vec<u8>> = (0..transactions).map(|number| vec![number; 40]).collect();
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: chain(),
        height: Height::new(height),
        view: View::ZERO,
        parent: BlockId::default(),
        timestamp_ms: TimestampMs::new(height),
        proposer: key(PROPOSER).public(),
        tx_root: tx_root(&chain(), &bytes.iter().map(|bytes| wire_id(bytes)).collect::<Vec<_>>()),
        outcome_root: Hash::default(),
        state_root: Hash::default(),
        validators_hash: Hash::default(),
        next_validators_hash: Hash::default(),
    };
    Block { header, body: Body::new(bytes) }
}

fn wire_id(bytes: &[u8]) -> WireId {
    Signed::wire_id(bytes, &chain())
}

fn id(block: &Block) -> BlockId {
    block.header.id()
}

fn compact(block: &Block) -> CompactBlock {
    let wire_ids: Vec<_> = block.body.transactions().iter().map(|bytes| wire_id(bytes)).collect();
    CompactBlock::new(block.header.clone(), &wire_ids).unwrap()
}

/// The first so many of a block's transactions, as a pool has them.
fn pool(block: &Block, count: usize) -> impl Iterator<Item = (WireId, &[u8])> {
    block.body.transactions().iter().take(count).map(|bytes| (wire_id(bytes), bytes.as_slice()))
}

fn want(fetch: &mut Fetch, block: &Block, at_hand: usize, now_ms: u64) -> Progress {
    fetch.want((id(block), block.header.height), pool(block, at_hand), now_ms)
}

fn is_nothing(progress: &Progress) -> bool {
    matches!(progress, Progress::Nothing)
}

fn whole(progress: Progress) -> Option<Block> {
    match progress {
        Progress::Whole(block) => Some(block),
        Progress::Ask(..) | Progress::Nothing => None,
    }
}

/// Whom `ask` asks for which block.
fn asked(fetch: &mut Fetch, peers: &[Peer], now_ms: u64) -> Vec<(Peer, BlockId)> {
    let asked = |(peer, question)| match question {
        Message::NeedBlock { block, .. } => (peer, block),
        other => panic!("{other:?}"),
    };
    fetch.ask(peers, now_ms).into_iter().map(asked).collect()
}

#[test]
fn an_offer_that_the_pool_completes_needs_no_question() {
    let (mut fetch, block) = (Fetch::default(), block(1, 5));
    fetch.offer(A, id(&block), compact(&block));
    assert!(!fetch.is_wanted(&id(&block)) && fetch.due_ms().is_none(), "an offer alone is nothing");
    assert_eq!(whole(want(&mut fetch, &block, 5, 0)).as_ref(), Some(&block));
    fetch.done(&id(&block));
    assert_eq!(fetch.due_ms(), None);
    assert!(asked(&mut fetch, &[A], 10_000).is_empty());
}

#[test]
fn without_an_offer_somebody_is_asked_at_once_and_the_others_in_turn() {
    let (mut fetch, block) = (Fetch::default(), block(1, 5));
    let other = super::tests::block(1, 4);
    fetch.offer(A, id(&other), compact(&other));
    assert!(is_nothing(&want(&mut fetch, &block, 5, 100)), "an offer of another block is no help");
    assert_eq!(fetch.due_ms(), Some(100));
    let mut at = 100;
    for (peer, pause) in
        [(A, 300), (B, 600), (C, 1_200), (A, LONGEST_PAUSE_MS), (B, LONGEST_PAUSE_MS), (C, LONGEST_PAUSE_MS)]
    {
        assert_eq!(fetch.due_ms(), Some(at));
        assert!(asked(&mut fetch, &[A, B, C], at - 1).is_empty());
        assert_eq!(asked(&mut fetch, &[A, B, C], at), [(peer, id(&block))]);
        assert!(is_nothing(&want(&mut fetch, &block, 5, at)), "to want it again changes nothing");
        at += pause;
    }
    assert!(fetch.is_wanted(&id(&block)), "for as long as it is not here");
}

#[test]
fn what_the_pool_lacks_is_asked_of_who_made_the_offer() {
    let (mut fetch, block) = (Fetch::default(), block(1, 5));
    fetch.offer(B, id(&block), compact(&block));
    let Progress::Ask(peer, Message::NeedTransactions { block: of, places }) = want(&mut fetch, &block, 3, 0) else {
        panic!("two are missing")
    };
    assert_eq!((peer, of, places.to_vec()), (B, id(&block), vec![3, 4]));
    assert!(asked(&mut fetch, &[A, B], 0).is_empty(), "it has a moment to answer");
    let missing = block.body.transactions()[3..].to_vec();
    assert!(is_nothing(&fetch.fill(A, &id(&block), missing.clone(), 10)), "nobody asked this one");
    assert_eq!(whole(fetch.fill(B, &id(&block), missing.clone(), 20)).as_ref(), Some(&block));
    assert!(is_nothing(&fetch.fill(B, &id(&block), missing, 30)), "once");
}

#[test]
fn who_does_not_fill_an_offer_is_not_waited_for() {
    let (mut fetch, block) = (Fetch::default(), block(1, 5));
    fetch.offer(B, id(&block), compact(&block));
    want(&mut fetch, &block, 3, 0);
    assert_eq!(fetch.due_ms(), Some(FIRST_PAUSE_MS));
    assert_eq!(asked(&mut fetch, &[A, B], FIRST_PAUSE_MS), [(A, id(&block))], "then the whole block");
}

#[test]
fn too_few_or_too_many_transactions_lead_to_the_whole_block() {
    let block = block(1, 5);
    let two = block.body.transactions()[3..].to_vec();
    let three = block.body.transactions()[2..].to_vec();
    for wrong in [vec![], vec![two[0].clone()], three] {
        let mut fetch = Fetch::default();
        fetch.offer(B, id(&block), compact(&block));
        want(&mut fetch, &block, 3, 0);
        assert!(is_nothing(&fetch.fill(B, &id(&block), wrong, 20)));
        assert!(is_nothing(&fetch.fill(B, &id(&block), two.clone(), 25)), "there is no second try");
        assert_eq!(asked(&mut fetch, &[A, B], 20), [(A, id(&block))], "at once");
    }
}

#[test]
fn wrong_transactions_make_a_block_whose_root_tells_and_the_question_goes_on() {
    let (mut fetch, block) = (Fetch::default(), block(1, 5));
    fetch.offer(B, id(&block), compact(&block));
    want(&mut fetch, &block, 3, 0);
    let wrong = vec![vec![9; 40], vec![8; 40]];
    let rebuilt = whole(fetch.fill(B, &id(&block), wrong, 20)).unwrap();
    assert!(!super::super::propose::is_whole(&chain(), &rebuilt));
    fetch.refused(B, &id(&block), 20);
    assert_eq!(asked(&mut fetch, &[A, B], 20), [(A, id(&block))], "it is still wanted");
}

#[test]
fn who_refuses_is_passed_over_sooner() {
    let (mut fetch, block) = (Fetch::default(), block(1, 0));
    want(&mut fetch, &block, 0, 0);
    assert_eq!(asked(&mut fetch, &[A, B], 0), [(A, id(&block))]);
    fetch.refused(B, &id(&block), 10);
    assert_eq!(fetch.due_ms(), Some(FIRST_PAUSE_MS), "nobody asked this one");
    fetch.refused(A, &id(&block), 10);
    assert_eq!(fetch.due_ms(), Some(10 + RETRY_MS / 10));
    assert_eq!(asked(&mut fetch, &[A, B], 10 + RETRY_MS / 10), [(B, id(&block))]);
    fetch.refused(B, &id(&block), 5_000);
    assert_eq!(fetch.due_ms(), Some(10 + RETRY_MS / 10 + 2 * FIRST_PAUSE_MS), "never later than without the answer");
}

#[test]
fn who_leaves_is_waited_for_no_longer() {
    let (mut fetch, block, other) = (Fetch::default(), block(1, 0), block(1, 1));
    want(&mut fetch, &block, 0, 0);
    asked(&mut fetch, &[A, B], 0);
    fetch.leave(B);
    assert_eq!(fetch.due_ms(), Some(FIRST_PAUSE_MS), "nobody asked this one");
    fetch.leave(A);
    assert_eq!(asked(&mut fetch, &[B, C], 10), [(B, id(&block))]);
    fetch.offer(A, id(&other), compact(&other));
    fetch.leave(A);
    assert!(is_nothing(&want(&mut fetch, &other, 1, 20)), "its offer goes with it");
}

#[test]
fn without_peers_it_asks_again_later() {
    let (mut fetch, block) = (Fetch::default(), block(1, 0));
    want(&mut fetch, &block, 0, 0);
    assert!(asked(&mut fetch, &[], 0).is_empty());
    assert_eq!(fetch.due_ms(), Some(FIRST_PAUSE_MS), "no sooner: nobody is there");
    assert_eq!(asked(&mut fetch, &[C], FIRST_PAUSE_MS), [(C, id(&block))]);
}

#[test]
fn a_decided_height_is_forgotten_and_later_ones_stay() {
    let (mut fetch, low, high) = (Fetch::default(), block(5, 0), block(6, 0));
    for (peer, block) in [(A, &low), (B, &high)] {
        fetch.offer(peer, id(block), compact(block));
    }
    want(&mut fetch, &block(5, 1), 0, 0);
    want(&mut fetch, &block(6, 1), 0, 0);
    fetch.forget(Height::new(5));
    assert!(!fetch.is_wanted(&id(&block(5, 1))) && fetch.is_wanted(&id(&block(6, 1))));
    assert!(is_nothing(&want(&mut fetch, &low, 0, 0)), "its offer is gone");
    assert_eq!(whole(want(&mut fetch, &high, 0, 0)), Some(high));
}

#[test]
fn a_peer_has_one_offer() {
    let (mut fetch, first, second) = (Fetch::default(), block(1, 1), block(1, 2));
    fetch.offer(A, id(&first), compact(&first));
    fetch.offer(A, id(&second), compact(&second));
    assert_eq!(fetch.offered.len(), 1);
    assert!(is_nothing(&want(&mut fetch, &first, 1, 0)));
    assert_eq!(whole(want(&mut fetch, &second, 2, 0)), Some(second));
    assert!(fetch.offered.is_empty(), "what is used is not kept");
}

#[derive(Clone, Debug)]
enum Act {
    Offer(u64, u8),
    Want(u8, usize),
    Fill(u64, u8, usize),
    Refuse(u64, u8),
    Done(u8),
    Leave(u64),
    Forget(u64),
    Wait(u64),
}

const PEERS: u64 = 4;
const BLOCKS: u8 = 5;

fn act() -> impl Strategy<Value = Act> {
    let (peer, block) = (|| 0..PEERS, || 0..BLOCKS);
    prop_oneof![
        (peer(), block()).prop_map(|(peer, block)| Act::Offer(peer, block)),
        (block(), 0..6usize).prop_map(|(block, at_hand)| Act::Want(block, at_hand)),
        (peer(), block(), 0..6usize).prop_map(|(peer, block, count)| Act::Fill(peer, block, count)),
        (peer(), block()).prop_map(|(peer, block)| Act::Refuse(peer, block)),
        block().prop_map(Act::Done),
        peer().prop_map(Act::Leave),
        (0..4u64).prop_map(Act::Forget),
        (0..1_500u64).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Nothing is held but what is wanted and one offer for each peer; who wants a block asks somebody for
    /// it at least every `RETRY_MS`, and never in the past.
    #[test]
    fn what_is_held_is_bounded_and_what_is_wanted_is_asked_for(acts in prop::collection::vec(act(), 1..80)) {
        let blocks: Vec<Block> = (0..BLOCKS).map(|number| block(u64::from(number % 3), number)).collect();
        let peers: Vec<Peer> = (0..PEERS).map(Peer).collect();
        let (mut fetch, mut now) = (Fetch::default(), 0);
        for act in acts {
            match act {
                Act::Offer(peer, number) => {
                    let block = &blocks[usize::from(number)];
                    fetch.offer(Peer(peer), id(block), compact(block));
                }
                Act::Want(number, at_hand) => drop(want(&mut fetch, &blocks[usize::from(number)], at_hand, now)),
                Act::Fill(peer, number, count) => {
                    let block = &blocks[usize::from(number)];
                    let given = block.body.transactions().iter().take(count).cloned().collect();
                    drop(fetch.fill(Peer(peer), &id(block), given, now));
                }
                Act::Refuse(peer, number) => fetch.refused(Peer(peer), &id(&blocks[usize::from(number)]), now),
                Act::Done(number) => fetch.done(&id(&blocks[usize::from(number)])),
                Act::Leave(peer) => fetch.leave(Peer(peer)),
                Act::Forget(height) => fetch.forget(Height::new(height)),
                Act::Wait(ms) => now += ms,
            }
            for (peer, question) in fetch.ask(&peers, now) {
                let Message::NeedBlock { height, block } = question else { panic!("{question:?}") };
                prop_assert!(peers.contains(&peer) && fetch.wanted[&block].height == height);
            }
            prop_assert!(fetch.offered.len() <= peers.len() && fetch.wanted.len() <= blocks.len());
            prop_assert_eq!(fetch.due_ms().is_some(), !fetch.wanted.is_empty());
            prop_assert!(fetch.due_ms().is_none_or(|due| due > now && due <= now + LONGEST_PAUSE_MS));
        }
    }
}
