//! The table of `consensus`, row by row, over one of four validators at height 1. The leader of
//! view v is number (1 + v) mod 4.

use super::*;
use crate::types::Proposal;
use VoteKind::{Finalize, Notarize, Nullify};

struct Four {
    keys: Vec<Arc<SecretKey>>,
    set: Arc<ValidatorSet>,
    me: usize,
    machine: Machine,
    now: u64,
    log: Vec<WalRecord>,
    /// Effects of the last step.
    effects: Vec<Effect>,
}

impl Four {
    fn new(me: usize) -> Self {
        let keys = keys(4);
        let set = set(&keys);
        let now = Now { wall: TimestampMs::new(GENESIS_MS), mono_ms: 0 };
        let (machine, effects) = Machine::recover(config(keys.get(me)), head(0, GENESIS_MS, &set), vec![], now);
        Self { keys, set, me, machine, now: 0, log: vec![], effects }
    }

    fn clock(&self) -> Now {
        Now { wall: TimestampMs::new(GENESIS_MS + self.now), mono_ms: self.now }
    }

    fn step(&mut self, input: Input) -> &mut Self {
        self.effects = self.machine.step(self.clock(), input);
        self.log.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Persist(record) => Some(record.clone()),
            _ => None,
        }));
        self
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self.step(Input::Tick)
    }

    fn restart(&mut self) -> &mut Self {
        let head = head(0, GENESIS_MS, &self.set);
        let log = self.log.clone();
        (self.machine, self.effects) = Machine::recover(config(self.keys.get(self.me)), head, log, self.clock());
        self
    }

    fn hear(&mut self, message: Message) -> &mut Self {
        self.step(heard(message))
    }

    fn hear_vote(&mut self, from: usize, kind: VoteKind, view: u32, block: Option<BlockId>) -> &mut Self {
        let vote = vote(&self.keys[from], message(kind, 1, view, block));
        self.hear(Message::Vote(vote))
    }

    fn certificate(&self, kind: VoteKind, view: u32, block: Option<BlockId>) -> Certificate {
        let others = self.keys.iter().enumerate().filter(|(i, _)| *i != self.me).map(|(_, key)| key).take(3);
        certificate(message(kind, 1, view, block), others, &self.set)
    }

    fn hear_certificate(&mut self, kind: VoteKind, view: u32, block: Option<BlockId>) -> &mut Self {
        let certificate = self.certificate(kind, view, block);
        self.hear(Message::Certificate(certificate))
    }

    fn proposal(&self, view: u32, block: BlockId, again: Option<u32>) -> Proposal {
        let leader = &self.keys[(1 + view as usize) % 4];
        Proposal::sign((Height::new(1), View::new(view)), block, again.map(View::new), &chain(), leader)
    }

    fn hear_proposal(&mut self, view: u32, block: BlockId, again: Option<u32>) -> &mut Self {
        let proposal = self.proposal(view, block, again);
        self.hear(Message::Proposal { proposal, justification: Justification::default() })
    }

    fn judge_valid(&mut self, block: BlockId, view: u32) -> &mut Self {
        self.judge(block, view, GENESIS_MS + BLOCK_TIME_MS)
    }

    fn judge(&mut self, block: BlockId, view: u32, timestamp: u64) -> &mut Self {
        let proposer = self.keys[(1 + view as usize) % 4].public();
        let verdict = Verdict::Valid { view: View::new(view), proposer, timestamp: TimestampMs::new(timestamp) };
        self.step(Input::Judged { block, verdict })
    }

    fn view(&self) -> u32 {
        self.machine.status().view.get()
    }

    /// Votes sent in the last step.
    fn sent(&self) -> Vec<(VoteKind, u32, Option<BlockId>)> {
        let votes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Broadcast(Message::Vote(vote)) => Some(vote.message),
            _ => None,
        });
        votes.map(|m| (m.kind, m.view.get(), m.block)).collect()
    }

    fn proposed(&self) -> Vec<(u32, BlockId, Option<View>)> {
        let proposals = self.effects.iter().filter_map(|effect| match effect {
            Effect::Broadcast(Message::Proposal { proposal, .. }) => Some(proposal),
            _ => None,
        });
        proposals.map(|p| (p.view.get(), p.block, p.notarized_in)).collect()
    }

    fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(wanted)
    }

    fn judges(&self) -> bool {
        self.has(|effect| matches!(effect, Effect::Judge { .. }))
    }

    fn evidence(&self) -> bool {
        self.has(|effect| matches!(effect, Effect::Evidence(_)))
    }

    fn builds(&self) -> Option<(u32, u64)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Build { view, timestamp, .. } => Some((view.get(), timestamp.get() - GENESIS_MS)),
            _ => None,
        })
    }

    fn silent(&self) -> bool {
        self.effects.is_empty()
    }
}

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
    let mut other_height = good.clone();
    other_height.message.height = Height::new(2);
    let mut other_rule = good.clone();
    other_rule.rule = QuorumRule::Crash;
    let mut with_block = good;
    with_block.message.block = Some(block(1));
    for bad in [other_view, other_height, other_rule, with_block] {
        assert!(node.hear(Message::Certificate(bad)).silent());
    }
    assert_eq!(node.view(), 0);
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
    let other_height = Proposal::sign((Height::new(5), View::ZERO), block(1), None, &chain(), &node.keys[1]);
    for proposal in [not_leader, not_signed, other_height] {
        assert!(node.hear(Message::Proposal { proposal, justification: justification.clone() }).silent());
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
    let all: Vec<_> = (0..3).map(|view| node.certificate(Nullify, view, None)).collect();
    let proposal = node.proposal(3, block(1), None);
    assert_eq!(proposal.signer, node.keys[0].public());
    let mut other = Four::new(1);
    other.now = BLOCK_TIME_MS;
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
        vote(&node.keys[1], message(Notarize, 2, 0, Some(block(1)))),
        vote(&node.keys[1], message(Notarize, 0, 0, Some(block(1)))),
        vote(&node.keys[1], message(Notarize, 1, 17, Some(block(1)))),
        forged,
        shapeless,
    ];
    for vote in bad {
        assert!(node.hear(Message::Vote(vote.clone())).silent(), "{vote:?}");
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
