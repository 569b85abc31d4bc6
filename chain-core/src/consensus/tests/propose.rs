//! The table of `consensus`, rows R1 to R3: views and proposals.

use super::four::Four;
use super::*;
use crate::types::Proposal;
use VoteKind::{Notarize, Nullify};

#[test]
fn r1_only_a_certificate_of_the_view_before_leads_on() {
    let mut node = Four::new(0);
    node.hear_vote(3, Nullify, 0, None).hear_vote(2, Nullify, 0, None);
    assert_eq!(node.view(), 0);
    node.hear_vote(1, Nullify, 0, None);
    assert_eq!(node.view(), 1);
    node.hear_certificate(Notarize, 4, Some(block(1)));
    assert_eq!(node.view(), 5, "a jump is fine");
    node.hear_certificate(Nullify, 2, None);
    assert_eq!(node.view(), 5, "never back");
}

#[test]
fn r1_what_is_no_certificate_moves_nothing() {
    let mut node = Four::new(0);
    let good = node.certificate(Nullify, 0, None);
    let mut other_view = good.clone();
    other_view.message.view = View::new(3);
    let mut other_rule = good.clone();
    other_rule.rule = QuorumRule::Crash;
    let mut with_block = good;
    with_block.message.block = Some(block(1));
    for bad in [other_view, other_rule, with_block] {
        assert_eq!(node.hear(Message::Certificate(bad)).blames(), Some(Offence::BadCertificate));
        assert_eq!(node.effects.len(), 1);
    }
    assert_eq!(node.view(), 0);
    let mut other_height = node.certificate(Nullify, 0, None);
    other_height.message.height = Height::ZERO;
    assert!(node.hear(Message::Certificate(other_height)).silent());
}

#[test]
fn r2_the_leader_builds_when_the_block_time_has_passed_and_proposes_once() {
    let mut node = Four::new(1);
    assert_eq!(node.builds(), None);
    assert!(node.effects.contains(&Effect::WakeAt { mono_ms: BLOCK_TIME_MS }));
    assert_eq!(node.wait(BLOCK_TIME_MS - 1).builds(), None);
    assert_eq!(node.wait(1).builds(), Some((0, BLOCK_TIME_MS)));
    assert_eq!(node.wait(5).builds(), None, "asked once");
    let built = Input::Built { height: Height::new(1), view: View::ZERO, block: block(1) };
    node.step(built.clone());
    assert_eq!(node.proposed(), [(0, block(1), None)]);
    assert_eq!(node.sent(), [(Notarize, 0, Some(block(1)))]);
    let records = node.effects.iter().take_while(|effect| !effect.is_visible());
    let kinds: Vec<_> = records.map(std::mem::discriminant).collect();
    let body = std::mem::discriminant(&Effect::PersistBody { block: block(1) });
    assert_eq!((kinds.len(), kinds[0]), (3, body), "body, proposal, vote; the body once");
    assert_eq!(node.step(built).proposed(), []);
    assert_eq!(node.restart().proposed(), [(0, block(1), None)], "the same one again");
    assert_eq!(node.sent(), [(Notarize, 0, Some(block(1)))]);
    let other = Input::Built { height: Height::new(1), view: View::ZERO, block: block(2) };
    assert_eq!(node.step(other).proposed(), []);
}

#[test]
fn r2_others_do_not_propose() {
    for me in [0, 2, 3] {
        let mut node = Four::new(me);
        assert_eq!(node.wait(BLOCK_TIME_MS).builds(), None);
        node.step(Input::Built { height: Height::new(1), view: View::ZERO, block: block(1) });
        assert_eq!(node.proposed(), []);
    }
}

#[test]
fn r2_the_newest_notarized_block_before_nullified_views_is_proposed_again() {
    let mut node = Four::new(0);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    node.hear_certificate(Nullify, 1, None);
    node.hear_certificate(Nullify, 2, None);
    assert_eq!(node.proposed(), [(3, block(1), Some(View::ZERO))], "at once, without the body");
    let justification = node.effects.iter().find_map(|effect| match effect {
        Effect::Broadcast(Message::Proposal { justification, .. }) => Some(justification),
        _ => None,
    });
    let views: Vec<_> = justification.unwrap().iter().map(|c| (c.kind(), c.view().get())).collect();
    assert_eq!(views, [(Notarize, 0), (Nullify, 1), (Nullify, 2)]);
}

#[test]
fn r2_a_gap_of_certificates_forbids_to_propose() {
    let mut node = Four::new(0);
    node.hear_certificate(Nullify, 2, None);
    node.wait(1_500);
    assert_eq!((node.view(), node.builds(), node.proposed()), (3, None, vec![]));
    node.hear_certificate(Nullify, 0, None).wait(1_000);
    assert_eq!(node.builds(), None);
    assert_eq!(node.hear_certificate(Nullify, 1, None).builds(), Some((3, 2_500)));
}

#[test]
fn r2_after_a_notarization_the_leader_waits_for_finality() {
    let mut node = Four::new(2);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    assert_eq!((node.view(), node.proposed()), (1, vec![]));
    assert_eq!(node.wait(249).proposed(), []);
    assert_eq!(node.wait(1).proposed(), [(1, block(1), Some(View::ZERO))]);
}

#[test]
fn r2_a_parent_from_the_future_delays_by_one_block_time_only() {
    let keys = keys(1);
    let set = set(&keys);
    let day = 86_400_000;
    let now = |mono_ms| Now { wall: TimestampMs::new(GENESIS_MS + mono_ms), mono_ms };
    let head = head(7, GENESIS_MS + day, &set);
    let (mut machine, _) = Machine::recover(config(keys.first()), head, vec![], now(0));
    let build = |effects: Vec<Effect>| effects.into_iter().find(|e| matches!(e, Effect::Build { .. }));
    assert_eq!(build(machine.step(now(BLOCK_TIME_MS - 1), Input::Tick)), None);
    let timestamp = TimestampMs::new(GENESIS_MS + day + BLOCK_TIME_MS);
    let expected = Effect::Build { height: Height::new(8), view: View::ZERO, timestamp };
    assert_eq!(build(machine.step(now(BLOCK_TIME_MS), Input::Tick)), Some(expected));
}

#[test]
fn r3_a_justified_valid_block_of_the_leader_is_notarized_once() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    assert!(node.hear_proposal(0, block(1), None).judges());
    assert!(node.sent().is_empty());
    assert!(!node.hear_proposal(0, block(1), None).judges(), "asked once");
    node.judge_valid(block(1), 0);
    assert_eq!(node.sent(), [(Notarize, 0, Some(block(1)))]);
    let first: Vec<_> = node.effects.iter().take(2).collect();
    assert!(matches!(first[..], [Effect::PersistBody { .. }, Effect::Persist(WalRecord::Vote(_))]));
    assert!(node.judge_valid(block(1), 0).sent().is_empty());
}

#[test]
fn r3_not_the_leader_not_signed_not_justified() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    let justification = Justification::default();
    let good = node.proposal(0, block(1), None);
    let not_leader = Proposal::sign((good.height, good.view), block(1), None, &chain(), &node.keys[2]);
    let not_signed = Proposal { block: block(2), ..good.clone() };
    let other_height = Proposal::sign((Height::ZERO, View::ZERO), block(1), None, &chain(), &node.keys[1]);
    for (proposal, blamed) in [(not_leader, None), (not_signed, Some(Offence::BadSignature)), (other_height, None)] {
        node.hear(Message::Proposal { proposal, justification: justification.clone() });
        assert_eq!((node.blames(), node.effects.len()), (blamed, usize::from(blamed.is_some())));
    }
    for (view, again) in [(0, Some(0)), (0, Some(1))] {
        assert!(!Four::new(0).hear_proposal(view, block(1), again).judges(), "{again:?}");
    }
    node.hear_certificate(Notarize, 0, Some(block(1)));
    node.hear_certificate(Nullify, 2, None);
    assert!(!node.hear_proposal(3, block(2), None).judges(), "views 0 and 1 aren't nullified");
    let mut node = Four::new(1);
    node.hear_certificate(Notarize, 0, Some(block(1)));
    node.judge_valid(block(1), 0);
    node.hear_certificate(Notarize, 1, Some(block(2)));
    node.judge_valid(block(2), 1);
    node.hear_proposal(2, block(1), Some(0));
    assert!(node.sent().is_empty(), "a notarized view is not a nullified one");
    node.hear_certificate(Nullify, 1, None);
    assert_eq!(node.sent(), [(Notarize, 2, Some(block(1)))], "justified later");
    assert!(node.hear_proposal(2, block(2), Some(0)).evidence());
}

#[test]
fn r3_only_the_current_view_and_what_was_not_given_up() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear_proposal(2, block(1), None);
    assert!(!node.judges(), "not yet");
    node.hear_certificate(Nullify, 0, None);
    assert!(node.hear_certificate(Nullify, 1, None).judges(), "now");
    node.wait(20_000);
    assert_eq!(node.sent(), [(Nullify, 2, None)]);
    assert!(node.judge_valid(block(1), 2).sent().is_empty());
}

#[test]
fn r3_certificates_that_come_with_the_proposal_are_used() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    let proposal = node.proposal(3, block(1), None);
    assert_eq!(proposal.signer, node.keys[0].public());
    let mut other = Four::new(1);
    other.now = BLOCK_TIME_MS;
    let all: Vec<_> = (0..3).map(|view| other.certificate(Nullify, view, None)).collect();
    let justification = Justification::new(all).unwrap();
    assert!(other.hear(Message::Proposal { proposal, justification }).judges());
    assert_eq!(other.view(), 3);
}

#[test]
fn r3_an_old_header_cannot_be_passed_off_as_new() {
    let mut node = Four::new(0);
    node.now = BLOCK_TIME_MS;
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0);
    node.hear_certificate(Nullify, 0, None).hear_proposal(1, block(1), None);
    assert!(node.sent().is_empty());
    node.wait(100);
    assert_eq!(node.sent(), [(Nullify, 1, None)], "hopeless");
}

#[test]
fn r3_a_block_from_the_future_is_held_not_refused() {
    let mut node = Four::new(0);
    node.hear_proposal(0, block(1), None).judge_valid(block(1), 0);
    assert!(node.sent().is_empty());
    assert!(node.has(|effect| *effect == Effect::WakeAt { mono_ms: BLOCK_TIME_MS - 500 }));
    assert!(node.wait(BLOCK_TIME_MS - 501).sent().is_empty());
    assert_eq!(node.wait(1).sent(), [(Notarize, 0, Some(block(1)))]);
}
