//! A validator that starts among others hears them before it signs.

use super::four::Four;
use super::*;
use crate::limits::LISTEN_MS;
use VoteKind::{Finalize, Notarize, Nullify};

const UNTIL: u64 = BLOCK_TIME_MS + 500;

/// A node that listens from its start on: somebody is connected at once.
fn listening(me: usize) -> Four {
    let mut node = Four::with(me, |config| config.listens = true);
    node.now = UNTIL - LISTEN_MS;
    node.step(Input::Joined { peer: Peer(9) });
    node
}

/// Whether the last step signed anything, or began to.
fn signed(node: &Four) -> bool {
    let words = |effect: &Effect| {
        matches!(
            effect,
            Effect::Persist(WalRecord::Vote(_) | WalRecord::Proposal(_))
                | Effect::Broadcast(Message::Vote(_) | Message::Proposal { .. })
        )
    };
    node.has(words) || node.builds().is_some()
}

#[test]
fn a_leader_proposes_nothing_before_its_time() {
    let mut node = listening(1);
    for now in [BLOCK_TIME_MS, UNTIL - 1] {
        node.now = now;
        assert!(!signed(node.step(Input::Tick)), "at {now}");
    }
    node.now = UNTIL;
    assert!(node.step(Input::Tick).builds().is_some());
}

#[test]
fn it_wakes_when_the_time_has_come() {
    let mut node = listening(0);
    let wakes = |node: &Four| node.has(|effect| *effect == Effect::WakeAt { mono_ms: UNTIL });
    assert!(wakes(&node), "{:?}", node.effects);
    assert!(!wakes(node.wait(UNTIL)));
}

#[test]
fn no_message_makes_it_sign_before_its_time() {
    let mut node = Four::with(0, |config| config.listens = true);
    let first = block(1);
    node.now = BLOCK_TIME_MS;
    let quiet = |node: &Four, what: &str| assert!(!signed(node), "{what}: {:?}", node.effects);
    quiet(node.hear_proposal(0, first, None), "a proposal");
    quiet(node.judge_valid(first, 0), "that is valid");
    quiet(node.hear_certificate(Notarize, 0, Some(first)), "that is notarized");
    quiet(node.judge_valid(first, 0), "and still valid");
    assert_eq!(node.view(), 1, "what it hears it takes in");
    quiet(node.hear_proposal(1, first, Some(0)), "proposed again");
    for from in 1..4 {
        quiet(node.hear_vote(from, Nullify, 1, None), "others give up");
    }
    assert_eq!(node.view(), 2);
    quiet(node.step(Input::Pool { empty: false }), "transactions");
    quiet(node.step(Input::Joined { peer: Peer(9) }), "a neighbour");
    node.now = LISTEN_MS + BLOCK_TIME_MS - 1;
    quiet(node.step(Input::Tick), "a view whose time is long up");
    node.now += 1;
    quiet(node.step(Input::Tick), "a view that begins for it only now");
    assert_eq!(node.wait(60_000).sent().last(), Some(&(Nullify, 2, None)));
}

#[test]
fn afterwards_it_votes_for_what_it_has_heard() {
    let mut node = listening(0);
    let block = block(1);
    node.now = UNTIL - 1;
    node.hear_proposal(0, block, None);
    assert!(!node.judges() && node.sent().is_empty());
    node.now = UNTIL;
    assert!(node.step(Input::Tick).judges(), "it looks at the block");
    assert_eq!(node.judge_valid(block, 0).sent(), [(Notarize, 0, Some(block))]);
    node.hear_certificate(Notarize, 0, Some(block));
    assert_eq!(node.sent(), [(Finalize, 0, Some(block))]);
}

#[test]
fn a_block_that_the_others_decide_is_final_meanwhile() {
    let mut node = listening(0);
    node.now = 100;
    node.hear_certificate(Finalize, 0, Some(block(1)));
    assert!(node.has(|effect| matches!(effect, Effect::Commit { .. })) && !signed(&node));
    node.commit(1);
    assert!(!signed(&node) && node.machine.status().height == Height::new(2));
    node.now = UNTIL - 1;
    assert!(!signed(node.step(Input::Tick)), "nor at the next height");
    node.wait(UNTIL);
    assert!(!node.wait(60_000).sent().is_empty());
}

/// A whole cluster that starts anew is not to be gone through by everybody at once.
#[test]
fn without_anybody_connected_it_waits() {
    let mut node = Four::with(1, |config| config.listens = true);
    assert!(!signed(node.wait(10 * BLOCK_TIME_MS)));
    node.step(Input::Joined { peer: Peer(9) });
    assert!(!signed(node.wait(LISTEN_MS - 1)));
    assert!(node.wait(1).builds().is_some());
}

#[test]
fn who_has_just_connected_alone_is_told_what_was_said() {
    let mut node = Four::with(0, |_| {});
    node.now = BLOCK_TIME_MS + 10_000;
    assert!(node.step(Input::Tick).sent().contains(&(Nullify, 0, None)));
    node.step(Input::Joined { peer: Peer(9) });
    let told = |effect: &Effect| matches!(effect, Effect::Send { to: Peer(9), message: Message::Vote(_) });
    assert!(node.has(told) && node.sent().is_empty(), "{:?}", node.effects);
}

#[test]
fn a_word_of_its_own_key_is_noticed_while_it_listens() {
    let own = listening(0).keys[0].clone();
    let set = listening(0).set.clone();
    let others = listening(0).keys.clone();
    for word in [
        Message::Vote(vote(&own, message(Notarize, 1, 0, Some(block(1))))),
        Message::Vote(vote(&own, message(Nullify, 1, 0, None))),
        Message::Certificate(certificate(message(Finalize, 1, 0, Some(block(1))), &others[..3], &set)),
    ] {
        let mut node = listening(0);
        node.now = UNTIL - 1;
        assert_eq!(node.hear(word.clone()).alarm(), Some(1), "{word:?}");
        assert!(node.log.contains(&WalRecord::Barrier(Height::new(2))), "it is written down");
        if node.machine.status().height == Height::new(1) {
            assert!(node.wait(60_000).sent().is_empty() && node.builds().is_none(), "and it signs nothing: {word:?}");
        }
    }
}
