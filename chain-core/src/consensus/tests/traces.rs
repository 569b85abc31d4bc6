//! The shortest known ways from a broken rule to two final blocks, played against the machine,
//! which must not take the fatal step. Blocks A and B; the traitor leads the view it needs.

use super::four::Four;
use super::*;
use crate::mutation::{Mutation, with};
use VoteKind::{Finalize, Notarize, Nullify};

const A: u64 = 1;
const B: u64 = 2;

fn notarized(node: &Four, view: u32, name: u64) -> bool {
    let vote = message(Notarize, 1, view, Some(block(name)));
    node.log.iter().any(|record| matches!(record, WalRecord::Vote(known) if known.message == vote))
}

/// A was notarized in view 0 and is final for somebody. The traitor leads view 1 and proposes B
/// as new without nullification of view 0.
#[test]
fn a_new_block_without_nullifications_gets_no_vote() {
    for me in [0, 3] {
        let mut node = Four::new(me);
        node.now = BLOCK_TIME_MS;
        node.hear_proposal(0, block(A), None).judge_valid(block(A), 0);
        node.hear_certificate(Notarize, 0, Some(block(A)));
        assert_eq!((node.view(), node.sent()), (1, vec![(Finalize, 0, Some(block(A)))]));
        node.hear_proposal(1, block(B), None).judge_valid(block(B), 1);
        assert!(!notarized(&node, 1, B));
        // Nor does the notarization of view 0 stand for its nullification.
        let proposal = node.proposal(1, block(B), None);
        let justification = Justification::new(vec![node.certificate(Notarize, 0, Some(block(A)))]).unwrap();
        node.hear(Message::Proposal { proposal, justification }).judge_valid(block(B), 1).wait(60_000);
        assert!(!notarized(&node, 1, B));
        assert_eq!(node.sent(), [(Nullify, 1, None)]);
    }
}

/// View 0 has both certificates, the notarization of B. A is notarized as new in view 1 and final
/// for somebody. The traitor leads view 2 and proposes B again without nullification of view 1.
#[test]
fn an_old_block_over_a_view_that_is_not_nullified_gets_no_vote() {
    for me in [0, 1] {
        let mut node = Four::new(me);
        node.now = BLOCK_TIME_MS;
        node.hear_certificate(Notarize, 0, Some(block(B))).judge_valid(block(B), 0);
        node.hear_certificate(Nullify, 0, None);
        node.hear_proposal(1, block(A), None).judge_valid(block(A), 1);
        node.hear_certificate(Notarize, 1, Some(block(A))).judge_valid(block(A), 1);
        assert_eq!(node.view(), 2);
        let proposal = node.proposal(2, block(B), Some(0));
        let incomplete = vec![node.certificate(Notarize, 0, Some(block(B))), node.certificate(Nullify, 0, None)];
        let justification = Justification::new(incomplete).unwrap();
        node.hear(Message::Proposal { proposal, justification }).judge_valid(block(B), 0).wait(60_000);
        assert!(!notarized(&node, 2, B));
        // With the nullification of view 1 nobody can have finalized A in it: then B may go on.
        let mut other = Four::new(me);
        other.now = BLOCK_TIME_MS;
        other.hear_certificate(Notarize, 0, Some(block(B))).judge_valid(block(B), 0);
        other.hear_certificate(Notarize, 1, Some(block(A))).hear_certificate(Nullify, 1, None);
        other.hear_proposal(2, block(B), Some(0));
        assert!(notarized(&other, 2, B));
    }
}

/// Everybody notarized A and gave view 0 up; then the notarization arrives. A finalize vote now
/// would make view 0 final and nullified.
#[test]
fn who_gave_a_view_up_does_not_finalize_in_it() {
    for restart in [false, true] {
        let mut node = Four::new(0);
        node.now = BLOCK_TIME_MS;
        node.hear_proposal(0, block(A), None).judge_valid(block(A), 0);
        assert!(notarized(&node, 0, A));
        assert_eq!(node.wait(10_000).sent(), [(Nullify, 0, None)]);
        if restart {
            node.restart();
        }
        node.hear_certificate(Notarize, 0, Some(block(A))).judge_valid(block(A), 0);
        node.hear_certificate(Nullify, 1, None).wait(60_000);
        let finalized = |record: &WalRecord| matches!(record, WalRecord::Vote(v) if v.message.kind == Finalize);
        assert!(!node.log.iter().any(finalized));
    }
}

/// The traitor leads view 1 and proposes both. If both were notarized, B could be final in view 1
/// and A be proposed again in view 2.
#[test]
fn of_two_proposals_in_a_view_one_gets_a_vote() {
    for restart in [false, true] {
        let mut node = Four::new(0);
        node.now = BLOCK_TIME_MS;
        node.hear_certificate(Nullify, 0, None);
        node.hear_proposal(1, block(A), None).judge_valid(block(A), 1);
        assert!(notarized(&node, 1, A));
        if restart {
            node.restart();
        }
        node.hear_proposal(1, block(B), None).judge_valid(block(B), 1).wait(60_000);
        assert!(!notarized(&node, 1, B));
        node.hear_certificate(Notarize, 1, Some(block(B))).judge_valid(block(B), 1);
        node.hear_proposal(2, block(A), Some(1)).wait(60_000);
        assert!(!notarized(&node, 2, A), "another block is notarized in view 1");
    }
}

/// Each trace ends badly as soon as the rule it is about is broken; else it shows nothing.
#[test]
fn a_broken_rule_makes_its_trace_fail() {
    let traces: [(Mutation, fn()); 7] = [
        (Mutation::NewUncovered, a_new_block_without_nullifications_gets_no_vote),
        (Mutation::CoverageOffByOne, a_new_block_without_nullifications_gets_no_vote),
        (Mutation::NotarizedCovers, a_new_block_without_nullifications_gets_no_vote),
        (Mutation::AgainUncovered, an_old_block_over_a_view_that_is_not_nullified_gets_no_vote),
        (Mutation::NotarizedCovers, an_old_block_over_a_view_that_is_not_nullified_gets_no_vote),
        (Mutation::FinalizeAfterNullify, who_gave_a_view_up_does_not_finalize_in_it),
        (Mutation::TwoNotarize, of_two_proposals_in_a_view_one_gets_a_vote),
    ];
    for (mutation, trace) in traces {
        let broken = std::panic::catch_unwind(|| with(Some(mutation), trace));
        assert!(broken.is_err(), "{mutation:?} goes unnoticed");
    }
}
