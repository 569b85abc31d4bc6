//! The table of `consensus`, rows R5 to R11: votes, time-outs and decisions.

use super::four::Four;
use super::*;
use VoteKind::{Finalize, Notarize, Nullify};

#[test]
fn r5_a_notarized_valid_block_is_finalized_also_from_a_later_view() {
    let mut node = Four::new(0);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    assert!(node.judges() && node.sent().is_empty());
    node.hear_certificate(Nullify, 1, None);
    node.judge_valid(block(1), 0);
    assert_eq!((node.view(), node.sent()), (2, vec![(Finalize, 0, Some(block(1)))]));
    assert!(matches!(node.effects[0], Effect::PersistBody { .. }));
}

#[test]
fn r5_never_what_we_hold_invalid_or_gave_up() {
    let mut node = Four::new(0);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    node.step(Input::Judged { block: block(1), verdict: Verdict::Invalid });
    assert!(node.sent().is_empty());
    assert!(node.judge_valid(block(1), 0).sent().is_empty(), "the first verdict stays");
    let mut node = Four::new(0);
    node.wait(10_000);
    assert_eq!(node.sent(), [(Nullify, 0, None)]);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    assert!(node.judge_valid(block(1), 0).sent().is_empty());
}

#[test]
fn r5_notarizing_completes_and_finalizes_in_one_step() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear_vote(1, Notarize, 0, Some(block(1))).hear_vote(2, Notarize, 0, Some(block(1)));
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0);
    assert_eq!(node.sent(), [(Notarize, 0, Some(block(1))), (Finalize, 0, Some(block(1)))]);
    assert_eq!(node.view(), 1);
}

#[test]
fn r6_a_nullification_leads_on() {
    let mut node = Four::new(2);
    node.now = BLOCK_TIME_MS;
    node.hear_certificate(Nullify, 0, None);
    assert_eq!((node.view(), node.builds()), (1, Some((1, BLOCK_TIME_MS))), "no wait for finality");
}

#[test]
fn r7_a_view_is_given_up_when_its_time_is_up() {
    let mut node = Four::new(0);
    let deadline = BLOCK_TIME_MS + 750;
    assert!(node.wait(deadline - 1).sent().is_empty());
    assert_eq!(node.wait(1).sent(), [(Nullify, 0, None)]);
    assert!(node.wait(999).sent().is_empty());
    assert_eq!(node.wait(1).sent(), [(Nullify, 0, None)], "sent again");
    assert!(!node.has(|effect| matches!(effect, Effect::Persist(_))));
    node.hear_certificate(Nullify, 0, None);
    assert!(node.wait(1_249).sent().is_empty());
    assert_eq!(node.wait(1).sent(), [(Nullify, 1, None)], "750 + 500 ms in view 1");
    node.wait(1_000);
    assert!(node.has(|e| matches!(e, Effect::Broadcast(Message::Certificate(c)) if c.view() == View::ZERO)));
}

#[test]
fn r7_hopeless_views_are_given_up_early() {
    let mut node = Four::new(0);
    assert_eq!(node.hear_vote(1, Nullify, 0, None).sent(), [(Nullify, 0, None)], "the leader gave up");
    let mut node = Four::new(0);
    assert!(node.hear_vote(2, Nullify, 0, None).sent().is_empty(), "somebody else gave up");
    let mut node = Four::new(0);
    node.hear_proposal(0, block(1), None).step(Input::Judged { block: block(1), verdict: Verdict::Invalid });
    assert_eq!(node.sent(), [(Nullify, 0, None)]);
    let mut node = Four::new(0);
    node.hear_proposal(0, block(1), None).hear_proposal(0, block(2), None);
    assert!(node.evidence());
    assert_eq!(node.sent(), [(Nullify, 0, None)]);
    let mut node = Four::new(1);
    node.wait(BLOCK_TIME_MS);
    node.step(Input::BuildFailed { height: Height::new(1), view: View::ZERO });
    assert_eq!(node.sent(), [(Nullify, 0, None)]);
    let mut node = Four::new(0);
    node.hear_certificate(Nullify, 3, None).hear_vote(1, Nullify, 4, None);
    assert!(node.wait(399).sent().is_empty(), "not before 100 ms times the view");
    assert_eq!(node.wait(1).sent(), [(Nullify, 4, None)]);
}

#[test]
fn r7_not_after_finalize_and_finalize_votes_are_sent_again() {
    let mut node = Four::new(3);
    node.now = BLOCK_TIME_MS;
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    assert_eq!(node.sent(), [(Finalize, 0, Some(block(1)))]);
    node.wait(20_000);
    assert_eq!(node.sent(), [(Nullify, 1, None)]);
    node.wait(1_000);
    assert_eq!(node.sent(), [(Nullify, 1, None), (Finalize, 0, Some(block(1)))]);
    assert_eq!(node.restart().sent(), [(Nullify, 1, None), (Finalize, 0, Some(block(1)))], "also after a restart");
}

#[test]
fn r7_an_empty_pool_stretches_the_wait_and_a_transaction_ends_it() {
    let keys = keys(4);
    let set = set(&keys);
    let idle = 60_000;
    let head = Head { empty_block_interval_ms: idle, ..head(7, GENESIS_MS, &set) };
    let now = |mono_ms| Now { wall: TimestampMs::new(GENESIS_MS + mono_ms), mono_ms };
    let spoke = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Broadcast(_) | Effect::Build { .. }));
    for (me, due) in [(0, 0), (1, 750)] {
        let (machine, _) = Machine::recover(config(keys.get(me)), head.clone(), vec![], now(0));
        let mut idling = machine.clone();
        assert!(!spoke(&idling.step(now(idle + due - 1), Input::Tick)));
        assert!(spoke(&idling.step(now(idle + due), Input::Tick)), "validator {me}");
        let mut busy = machine;
        busy.step(now(100), Input::Pool { empty: false });
        busy.step(now(200), Input::Pool { empty: true });
        assert!(!spoke(&busy.step(now(BLOCK_TIME_MS + due - 1), Input::Tick)));
        assert!(spoke(&busy.step(now(BLOCK_TIME_MS + due), Input::Tick)), "validator {me}");
    }
    let (mut late, _) = Machine::recover(config(keys.get(1)), head, vec![], now(0));
    assert!(!spoke(&late.step(now(30_000), Input::Pool { empty: false })), "the leader has just learned of it too");
    assert!(!spoke(&late.step(now(30_749), Input::Tick)));
    assert!(spoke(&late.step(now(30_750), Input::Tick)));
}

#[test]
fn r8_a_finalization_of_any_view_commits_and_leads_to_the_next_height() {
    let mut node = Four::new(0);
    node.hear_certificate(Nullify, 5, None);
    node.hear_vote(1, Finalize, 2, Some(block(1))).hear_vote(2, Finalize, 2, Some(block(1)));
    node.hear_vote(3, Finalize, 2, Some(block(1)));
    assert!(matches!(node.effects[0], Effect::Persist(WalRecord::Certificate(_))));
    assert!(node.has(|effect| matches!(effect, Effect::Commit { block: b, .. } if *b == block(1))));
    assert!(node.wait(60_000).silent(), "timers stop");
    assert!(node.hear_certificate(Nullify, 6, None).silent());
    assert!(node.restart().has(|effect| matches!(effect, Effect::Commit { .. })), "asked again after a restart");
    let head = head(1, GENESIS_MS + BLOCK_TIME_MS, &node.set);
    node.step(Input::Committed(head.clone()));
    assert_eq!(node.effects[0], Effect::SwitchWal { height: Height::new(2) });
    let status = node.machine.status();
    assert_eq!((status.height, status.view, status.barrier), (Height::new(2), View::ZERO, Height::new(1)));
    assert!(!node.step(Input::Committed(head)).has(|effect| matches!(effect, Effect::SwitchWal { .. })));
}

#[test]
fn r8_a_final_block_that_we_hold_invalid_stops_us() {
    let mut node = Four::new(0);
    node.hear_proposal(0, block(1), None).step(Input::Judged { block: block(1), verdict: Verdict::Invalid });
    node.hear_certificate(Finalize, 0, Some(block(1)));
    assert!(node.has(|effect| matches!(effect, Effect::Halt(HaltReason::InvalidFinal(_)))));
    assert!(!node.has(|effect| matches!(effect, Effect::Commit { .. })));
}

#[test]
fn r8_blocks_from_sync_move_the_machine() {
    let mut node = Four::new(0);
    let head = head(9, GENESIS_MS, &node.set);
    node.step(Input::Committed(head));
    assert_eq!(node.machine.status().height, Height::new(10));
}

#[test]
fn r10_news_is_kept_and_passed_on_once() {
    let mut node = Four::new(0);
    for expected in [1, 0, 0] {
        node.hear_certificate(Nullify, 0, None);
        let sent = node.effects.iter().filter(|e| matches!(e, Effect::Broadcast(Message::Certificate(_)))).count();
        let kept = node.effects.iter().filter(|e| matches!(e, Effect::Persist(_))).count();
        assert_eq!((sent, kept), (expected, expected));
    }
    node.hear_vote(1, Nullify, 0, None).hear_vote(2, Nullify, 0, None).hear_vote(3, Nullify, 0, None);
    assert!(!node.has(|effect| matches!(effect, Effect::Broadcast(_))), "made from votes, but no news");
}

#[test]
fn r10_votes_that_do_not_count() {
    let mut node = Four::new(0);
    let stranger = SecretKey::from_seed(&[99; 32]);
    let good = vote(&node.keys[1], message(Notarize, 1, 0, Some(block(1))));
    let mut forged = good.clone();
    forged.message.block = Some(block(2));
    let mut shapeless = good.clone();
    shapeless.message.block = None;
    let bad = [
        vote(&stranger, message(Notarize, 1, 0, Some(block(1)))),
        vote(&node.keys[1], message(Notarize, 0, 0, Some(block(1)))),
        vote(&node.keys[1], message(Notarize, 1, 17, Some(block(1)))),
    ];
    for vote in bad {
        assert!(node.hear(Message::Vote(vote.clone())).silent(), "{vote:?}");
    }
    for (vote, offence) in [(forged, Offence::BadSignature), (shapeless, Offence::BadMessage)] {
        assert_eq!(node.hear(Message::Vote(vote)).effects, [Effect::Blame { peer: Peer::default(), offence }]);
    }
    assert!(!node.hear(Message::Vote(good.clone())).silent());
    assert!(node.hear(Message::Vote(good)).silent(), "known");
    assert!(!node.hear_vote(1, Notarize, 16, Some(block(1))).silent());
}

#[test]
fn r10_the_first_vote_counts_and_the_second_is_evidence() {
    let mut node = Four::new(0);
    node.hear_vote(1, Notarize, 0, Some(block(1)));
    assert!(node.hear_vote(1, Notarize, 0, Some(block(2))).evidence());
    assert!(node.hear_vote(1, Notarize, 0, Some(block(3))).silent(), "one is enough");
    node.hear_vote(2, Notarize, 0, Some(block(2))).hear_vote(3, Notarize, 0, Some(block(2)));
    assert_eq!(node.view(), 0, "the second vote of 1 does not count");
    assert!(!node.hear_vote(2, Nullify, 0, None).evidence(), "notarize and nullify may be");
    assert!(node.hear_vote(2, Finalize, 0, Some(block(2))).evidence(), "nullify and finalize may not");
    node.hear_vote(3, Finalize, 0, Some(block(2)));
    assert!(node.hear_vote(3, Nullify, 0, None).evidence());
}

#[test]
fn r11_certificates_that_exclude_each_other_stop_us() {
    let pairs = [
        ((Finalize, 1, Some(block(1))), (Finalize, 0, Some(block(2)))),
        ((Finalize, 0, Some(block(1))), (Nullify, 0, None)),
        ((Notarize, 0, Some(block(1))), (Notarize, 0, Some(block(2)))),
        ((Nullify, 0, None), (Finalize, 0, Some(block(1)))),
    ];
    for (first, second) in pairs {
        let mut node = Four::new(0);
        node.hear_certificate(first.0, first.1, first.2).hear_certificate(second.0, second.1, second.2);
        let conflict = |effect: &Effect| matches!(effect, Effect::Halt(HaltReason::Conflict(_, _)));
        assert!(node.has(conflict) && node.machine.status().halted);
        assert!(!node.has(|effect| matches!(effect, Effect::Commit { .. })), "{second:?}");
        assert_eq!(node.log.len(), 2, "both are kept");
        assert!(node.wait(60_000).silent());
        assert!(node.restart().has(conflict), "still");
        assert!(node.sent().is_empty());
    }
    for beside in [(Notarize, 1, Some(block(2))), (Nullify, 1, None)] {
        let mut node = Four::new(0);
        node.hear_certificate(Notarize, 0, Some(block(1))).hear_certificate(beside.0, beside.1, beside.2);
        node.hear_certificate(Nullify, 0, None);
        assert!(!node.machine.status().halted, "that can be");
    }
}

#[test]
fn a_follower_follows_and_says_nothing() {
    let mut node = Four::new(7);
    node.hear_proposal(0, block(1), None).wait(10_000);
    assert!(node.sent().is_empty() && !node.judges());
    node.hear_certificate(Finalize, 0, Some(block(1)));
    assert!(node.has(|effect| matches!(effect, Effect::Commit { .. })));
}

#[test]
fn nothing_happens_before_genesis_time() {
    let keys = keys(4);
    let set = set(&keys);
    let hour = 3_600_000;
    let now = |mono_ms| Now { wall: TimestampMs::new(GENESIS_MS - hour + mono_ms), mono_ms };
    for (me, due) in [(1, hour + BLOCK_TIME_MS), (0, hour + BLOCK_TIME_MS + 750)] {
        let (mut machine, effects) = Machine::recover(config(keys.get(me)), head(0, GENESIS_MS, &set), vec![], now(0));
        assert!(effects.contains(&Effect::WakeAt { mono_ms: due }), "validator {me}: {effects:?}");
        let early = machine.step(now(due - 1), Input::Tick);
        assert_eq!(early, [Effect::WakeAt { mono_ms: due }]);
    }
}
