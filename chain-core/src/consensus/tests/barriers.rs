//! The table of `consensus`, rows B1 to B5: heights at which nothing is signed.

use super::four::Four;
use super::*;
use crate::types::Proposal;
use VoteKind::{Finalize, Notarize, Nullify};

#[test]
fn a_log_that_is_ahead_of_the_blocks_forbids_to_sign_up_to_it() {
    let keys = keys(1);
    let set = set(&keys);
    let logged = |height| WalRecord::Vote(vote(&keys[0], message(Notarize, height, 0, Some(block(1)))));
    let now = Now { wall: TimestampMs::new(GENESIS_MS), mono_ms: 0 };
    for (logged_height, barrier) in [(3, 6), (6, 6), (7, 6), (8, 8), (12, 12)] {
        let log = vec![logged(logged_height)];
        let (machine, _) = Machine::recover(config(keys.first()), head(6, GENESIS_MS, &set), log, now);
        assert_eq!(machine.status().barrier, Height::new(barrier), "{logged_height}");
    }
}

#[test]
fn a_log_that_is_ahead_stays_until_the_blocks_have_caught_up() {
    let keys = keys(1);
    let set = set(&keys);
    let now = Now { wall: TimestampMs::new(GENESIS_MS + 60_000), mono_ms: 0 };
    let log = vec![WalRecord::Vote(vote(&keys[0], message(Notarize, 9, 0, Some(block(1)))))];
    let (mut machine, _) = Machine::recover(config(keys.first()), head(6, GENESIS_MS, &set), log, now);
    for height in 7..=10 {
        let effects = machine.step(now, Input::Committed(head(height, GENESIS_MS, &set)));
        let switched = effects.contains(&Effect::SwitchWal { height: Height::new(height + 1) });
        let builds = effects.iter().any(|effect| matches!(effect, Effect::Build { .. }));
        assert_eq!((switched, builds), (height >= 9, height >= 9), "{height}");
    }
}

/// Goes on to `height`, one block a second.
fn to(node: &mut Four, height: u64) {
    for committed in node.machine.status().height.get()..height {
        node.now += 1_000;
        node.commit(committed);
    }
}

/// Whether the node signs anything at the height it decides, within a minute.
fn signs(node: &mut Four) -> bool {
    let height = node.machine.status().height.get();
    let signs = !node.wait(60_000).sent().is_empty() || node.builds().is_some();
    assert_eq!(node.machine.status().height.get(), height);
    signs
}

#[test]
fn b1_who_lost_its_memory_waits_for_a_block_newer_than_its_start() {
    for (height, expected) in [(5, false), (11, false), (12, false), (13, true)] {
        let mut node = Four::with(0, |config| config.wiped = true);
        to(&mut node, height);
        // Block 11 is the first one more than 10 s newer than the start.
        assert_eq!(node.machine.status().barrier, Height::new([u64::MAX, 12][usize::from(height >= 12)]), "{height}");
        assert_eq!(signs(&mut node), expected, "{height}");
    }
}

#[test]
fn b1_the_end_of_the_wait_is_remembered() {
    let mut node = Four::with(0, |config| config.wiped = true);
    to(&mut node, 12);
    assert_eq!(
        node.effects[..2],
        [Effect::SwitchWal { height: Height::new(12) }, Effect::Persist(WalRecord::Barrier(Height::new(12))),]
    );
}

#[test]
fn b2_a_word_of_our_key_that_we_never_said() {
    let n = Four::new(0);
    let proposal = Proposal::sign((Height::new(1), View::new(3)), block(7), None, &chain(), &n.keys[0]);
    let mine = [&n.keys[0], &n.keys[1], &n.keys[2]];
    for foreign in [
        Message::Vote(vote(&n.keys[0], message(Notarize, 1, 0, Some(block(1))))),
        Message::Vote(vote(&n.keys[0], message(Nullify, 1, 1_000, None))),
        Message::Certificate(certificate(message(Nullify, 1, 0, None), mine, &n.set)),
        Message::Proposal { proposal, justification: Justification::default() },
    ] {
        let mut node = Four::new(0);
        assert_eq!(node.hear(foreign.clone()).alarm(), Some(1), "{foreign:?}");
        assert!(node.log.contains(&WalRecord::Barrier(Height::new(2))));
        assert_eq!(node.hear(foreign).alarm(), None, "once");
        assert!(!signs(&mut node));
        assert_eq!(node.restart().machine.status().barrier, Height::new(2), "also after a restart");
        to(&mut node, 2);
        assert!(node.log.iter().rev().take(1).eq([&WalRecord::Barrier(Height::new(2))]), "and a change of logs");
        assert!(!signs(&mut node));
        to(&mut node, 3);
        assert!(signs(&mut node));
    }
}

#[test]
fn b2_what_we_said_is_no_alarm_nor_what_is_not_ours() {
    let mut node = Four::new(0);
    node.wait(60_000);
    let own = vote(&node.keys[0], message(Nullify, 1, 0, None));
    assert_eq!(node.hear(Message::Vote(own.clone())).alarm(), None);
    let mine: Vec<_> = node.keys[..3].to_vec();
    let with_us = certificate(message(Nullify, 1, 0, None), &mine, &node.set);
    assert_eq!(node.hear(Message::Certificate(with_us)).alarm(), None);
    let mut forged = own;
    forged.message.view = View::new(9);
    assert_eq!(node.hear(Message::Vote(forged)).alarm(), None);
    assert_eq!(node.machine.status().barrier, Height::ZERO);
}

#[test]
fn b2_a_second_instance_that_is_ahead_is_noticed_while_we_catch_up() {
    let mut node = Four::new(0);
    let foreign = vote(&node.keys[0], message(Finalize, 3, 0, Some(block(1))));
    assert_eq!(node.hear(Message::Vote(foreign)).alarm(), Some(3));
    assert_eq!(node.machine.status().barrier, Height::new(4));
}

#[test]
fn b2_what_the_barrier_explains_is_no_alarm_and_waiting_only_raises_it() {
    let mut node = Four::with(0, |config| config.barrier = Height::new(5));
    let last = vote(&node.keys[0], message(Nullify, 5, 0, None));
    assert_eq!(node.hear(Message::Vote(last)).alarm(), None);
    let foreign = vote(&node.keys[0], message(Nullify, 3, 0, None));
    assert_eq!(node.machine.status().barrier, Height::new(5));
    let mut node = Four::with(0, |config| config.wiped = true);
    assert_eq!(node.hear(Message::Vote(foreign)).alarm(), None);
    assert!(node.log.contains(&WalRecord::Barrier(Height::new(4))));
}

#[test]
fn b3_the_operator_lifts_everything_but_what_is_decided() {
    for (wiped, barrier) in [(true, 0), (false, 9), (true, 9)] {
        let change = |config: &mut Config| {
            (config.wiped, config.barrier) = (wiped, Height::new(barrier));
            config.signing_from = Some(Height::new(2));
        };
        assert!(!signs(&mut Four::with(0, change)));
        let mut node = Four::with(0, change);
        to(&mut node, 2);
        assert_eq!(node.machine.status().barrier, Height::new(1));
        assert!(signs(&mut node));
    }
    let mut node = Four::with(0, |config| config.signing_from = Some(Height::ZERO));
    to(&mut node, 4);
    assert_eq!(node.machine.status().barrier, Height::new(3), "never the committed height");
}

#[test]
fn b3_what_the_log_holds_binds_also_under_the_operators_word() {
    let keys = keys(4);
    let set = set(&keys);
    let now = Now { wall: TimestampMs::new(GENESIS_MS), mono_ms: 0 };
    let log = vec![WalRecord::Vote(vote(&keys[0], message(Finalize, 2, 0, Some(block(1)))))];
    let config = Config { signing_from: Some(Height::new(1)), ..config(keys.first()) };
    let (mut machine, _) = Machine::recover(config, head(0, GENESIS_MS, &set), log, now);
    machine.step(now, Input::Committed(head(1, GENESIS_MS, &set)));
    let late = Now { wall: TimestampMs::new(GENESIS_MS + 60_000), mono_ms: 60_000 };
    let nullifies = |e: &Effect| matches!(e, Effect::Broadcast(Message::Vote(v)) if v.message.kind == Nullify);
    assert!(!machine.step(late, Input::Tick).iter().any(nullifies), "finalize forbids it");
}
