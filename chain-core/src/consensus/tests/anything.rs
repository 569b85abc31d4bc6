//! Whatever three traitors, the engine and the clock come up with: no panic, no endless step, no
//! contradiction of our own, and records first, over any number of restarts; and nothing new once
//! somebody else signed with our key.

use super::*;
use crate::types::Proposal;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

const ME: usize = 1;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Vote(usize, SignedMessage),
    Certificate(SignedMessage),
    Proposal(u32, u64, Option<u32>),
    Judged(u64, Option<(u32, u64)>),
    Built(u32, u64),
    BuildFailed(u32),
    Pool(bool),
    Need(u64, u32),
    Status(u64, u32),
    /// Signed with our key, but not by us.
    Foreign(SignedMessage),
    Restart,
}

fn view() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..4u32, 1 => select(vec![16, 17, 20, u32::MAX - 1, u32::MAX])]
}

fn message_of_any_kind() -> impl Strategy<Value = SignedMessage> {
    let kinds = select(vec![VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize]);
    let heights = prop_oneof![20 => Just(1u64), 1 => select(vec![0, 2, u64::MAX])];
    (kinds, heights, view(), 0..3u64).prop_map(|(kind, height, view, name)| {
        message(kind, height, view, (kind != VoteKind::Nullify).then(|| block(name)))
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => select(vec![0, 1, 250, 750, 2_000, 11_000, u64::MAX / 2]).prop_map(Op::Wait),
        6 => (select(vec![0usize, 2, 3]), message_of_any_kind()).prop_map(|(from, message)| Op::Vote(from, message)),
        2 => message_of_any_kind().prop_map(Op::Certificate),
        3 => (view(), 0..3u64, prop::option::of(view())).prop_map(|(view, name, w)| Op::Proposal(view, name, w)),
        3 => (0..3u64, prop::option::of((view(), select(vec![0, GENESIS_MS, GENESIS_MS + 3_000, u64::MAX]))))
            .prop_map(|(name, valid)| Op::Judged(name, valid)),
        2 => (view(), 0..3u64).prop_map(|(view, name)| Op::Built(view, name)),
        1 => view().prop_map(Op::BuildFailed),
        1 => any::<bool>().prop_map(Op::Pool),
        1 => (0..5u64, view()).prop_map(|(height, from)| Op::Need(height, from)),
        1 => (0..5u64, view()).prop_map(|(height, view)| Op::Status(height, view)),
        1 => message_of_any_kind().prop_map(Op::Foreign),
        1 => Just(Op::Restart),
    ]
}

fn input(op: Op, keys: &[Arc<SecretKey>], set: &Arc<ValidatorSet>) -> Input {
    let leader = |view: u32| set.leader(Height::new(1), View::new(view)).public_key;
    match op {
        Op::Wait(_) | Op::Restart => Input::Tick,
        Op::Vote(from, message) => heard(Message::Vote(vote(&keys[from], message))),
        Op::Certificate(message) => {
            let traitors = [&keys[0], &keys[2], &keys[3]];
            heard(Message::Certificate(certificate(message, traitors, set)))
        }
        Op::Proposal(view, name, again) => {
            let key = keys.iter().find(|key| key.public() == leader(view)).unwrap();
            let at = (Height::new(1), View::new(view));
            let proposal = Proposal::sign(at, block(name), again.map(View::new), &chain(), key);
            heard(Message::Proposal { proposal, justification: Justification::default() })
        }
        Op::Judged(name, Some((view, timestamp))) => {
            let (proposer, timestamp) = (leader(view), TimestampMs::new(timestamp));
            let verdict = Verdict::Valid { view: View::new(view), proposer, timestamp };
            Input::Judged { block: block(name), verdict }
        }
        Op::Judged(name, None) => Input::Judged { block: block(name), verdict: Verdict::Invalid },
        Op::Built(view, name) => Input::Built { height: Height::new(1), view: View::new(view), block: block(name) },
        Op::BuildFailed(view) => Input::BuildFailed { height: Height::new(1), view: View::new(view) },
        Op::Pool(empty) => Input::Pool { empty },
        Op::Need(height, from) => {
            heard(Message::NeedCertificates { height: Height::new(height), from: View::new(from) })
        }
        Op::Status(height, view) => heard(Message::Status { height: Height::new(height), view: View::new(view) }),
        Op::Foreign(message) => heard(Message::Vote(vote(&keys[ME], message))),
    }
}

/// Everything that was said in one view, for the whole life of the node.
#[derive(Default)]
struct Words(BTreeSet<(u32, u8, Option<BlockId>)>);

impl Words {
    fn check(&mut self, effects: &[Effect], log: &[WalRecord]) {
        let first_visible = effects.iter().position(Effect::is_visible).unwrap_or(effects.len());
        let is_record = |effect: &Effect| matches!(effect, Effect::Persist(_) | Effect::PersistBody { .. });
        assert!(!effects[first_visible..].iter().any(is_record), "records first");
        for effect in effects {
            let word = match effect {
                Effect::Broadcast(Message::Vote(vote)) => {
                    assert!(log.contains(&WalRecord::Vote(vote.clone())));
                    (vote.message.view.get(), vote.message.kind as u8, vote.message.block)
                }
                Effect::Broadcast(Message::Proposal { proposal, .. }) => {
                    assert!(log.contains(&WalRecord::Proposal(proposal.clone())));
                    (proposal.view.get(), 0, Some(proposal.block))
                }
                _ => continue,
            };
            self.0.insert(word);
            let of = |kind: u8| self.0.iter().filter(|(view, known, _)| (*view, *known) == (word.0, kind)).count();
            assert!((0..=3).all(|kind| of(kind) <= 1) && of(2) + of(3) <= 1, "{:?}", self.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_machine_stands(ops in prop::collection::vec(op(), 1..50)) {
        let keys = keys(4);
        let set = set(&keys);
        let mut now = Now { wall: TimestampMs::new(GENESIS_MS), mono_ms: 0 };
        let recover = |log, now| Machine::recover(config(keys.get(ME)), head(0, GENESIS_MS, &set), log, now);
        let (mut machine, _) = recover(vec![], now);
        let (mut log, mut words, mut alarmed) = (vec![], Words::default(), false);
        for op in ops {
            if let Op::Wait(ms) = op {
                now = Now { wall: now.wall.saturating_add(ms), mono_ms: now.mono_ms.saturating_add(ms) };
            }
            let effects = if let Op::Restart = op {
                let (recovered, effects) = recover(log.clone(), now);
                machine = recovered;
                effects
            } else {
                machine.step(now, input(op, &keys, &set))
            };
            alarmed |= effects.iter().any(|effect| matches!(effect, Effect::OwnKey { .. }));
            let new_word = |effect: &Effect| {
                matches!(effect, Effect::Persist(WalRecord::Vote(_) | WalRecord::Proposal(_)))
            };
            assert!(!(alarmed && effects.iter().any(new_word)), "signed after an alarm");
            log.extend(effects.iter().filter_map(|effect| match effect {
                Effect::Persist(record) => Some(record.clone()),
                _ => None,
            }));
            words.check(&effects, &log);
        }
    }
}
