//! Random histories of a council with everybody's good and bad actions: what must hold after every
//! block does, whatever is tried.

use super::super::council;
use super::*;
use crate::crypto::Hash;
use crate::state::params;
use crate::state::validators::records;
use crate::types::View;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Propose(u8, Measure),
    Vote(u8, u64, bool),
    Ready(u8),
    Frame { reporter: u8, against: u8, back: u64 },
    Late(u32),
    Idle(u8),
}

fn measure() -> impl Strategy<Value = Measure> {
    let seed = || 1u8..=8;
    let values = || prop::sample::select(vec![0u128, 1, 2, 5, 10, 50, 5_000, 10_001, u128::MAX]);
    let names = prop::sample::select(vec![
        "epoch_blocks",
        "delay_blocks",
        "burn_bps",
        "evidence_window_blocks",
        "absence_jail_turns",
        "surprise",
    ]);
    prop_oneof![
        6 => seed().prop_map(add),
        4 => seed().prop_map(remove),
        3 => seed().prop_map(jail),
        3 => seed().prop_map(unjail),
        2 => (names, values()).prop_map(|(name, value)| parameter(name, value)),
        1 => prop::option::of(1u8..=8)
            .prop_map(|to| Measure::Role { role: Role::Treasurer, account: to.map(address) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..=8, measure()).prop_map(|(by, measure)| Step::Propose(by, measure)),
        12 => (1u8..=8, 0u64..3, prop::bool::weighted(0.85)).prop_map(|(by, back, yes)| Step::Vote(by, back, yes)),
        4 => (1u8..=8).prop_map(Step::Ready),
        1 => (1u8..=8, 1u8..=8, 0u64..30).prop_map(|(reporter, against, back)| Step::Frame { reporter, against, back }),
        3 => (1u32..6).prop_map(Step::Late),
        2 => (1u8..4).prop_map(Step::Idle),
    ]
}

fn carry_out(chain: &mut TestChain, step: &Step, newest: &mut u64) {
    let done = match step {
        Step::Propose(by, measure) => act(chain, *by, propose(measure.clone())),
        Step::Vote(by, back, yes) => act(chain, *by, vote(newest.saturating_sub(*back), *yes)),
        Step::Ready(by) => act(chain, *by, Action::ValidatorReady {}),
        Step::Frame { reporter, against, back } => {
            let height = Height::new(chain.height.get().saturating_sub(*back));
            let word = |block: u8| {
                let block = Some(BlockId(Hash([block; 32])));
                let message = SignedMessage { kind: VoteKind::Notarize, height, view: View::ZERO, block };
                Vote::sign(message, &crate::testing::chain(), &key(*against)).unwrap()
            };
            act(chain, *reporter, Action::prove(Evidence::Votes(word(1), word(2))))
        }
        Step::Late(view) => {
            let set = next_set(&chain.tree).unwrap();
            chain.view = View::new(*view);
            chain.proposer = set.leader(chain.height.next(), chain.view).public_key;
            let events = idle(chain);
            chain.view = View::ZERO;
            Ok(events)
        }
        Step::Idle(blocks) => Ok((0..*blocks).flat_map(|_| idle(chain)).collect()),
    };
    let opened = done.iter().flatten().filter_map(|event| match event {
        Event::ProposalOpened { proposal, .. } => Some(proposal.get()),
        _ => None,
    });
    *newest = opened.max().unwrap_or(*newest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_tried_the_rules_hold(validators in 1u8..=5, steps in prop::collection::vec(step(), 1..80)) {
        let mut chain = chain_of(validators);
        let (mut newest, mut before) = (0, next_set(&chain.tree).unwrap());
        for step in &steps {
            let from = chain.height.get();
            // Supplies and the rebuilt root are checked after every block.
            carry_out(&mut chain, step, &mut newest);
            let now = next_set(&chain.tree).unwrap();
            let epoch = u64::from(params(&chain.tree).unwrap().epoch_blocks);
            if epoch == 5 && (from..chain.height.get()).all(|height| (height + 1) % 5 != 0) {
                prop_assert_eq!(&now, &before, "no change inside an epoch");
            }
            prop_assert_eq!(params(&chain.tree).unwrap().check(), Ok(()));
            prop_assert!(!council(&chain.tree).unwrap().is_empty());
            let known = records(&chain.tree).unwrap();
            for member in now.members() {
                let record = known.iter().find(|(key, _)| *key == member.public_key).map(|(_, record)| record);
                prop_assert!(record.is_some_and(|record| record.spans.last().is_some_and(|span| span.until.is_none())));
            }
            for (key, record) in &known {
                let is_in = now.index_of(key).is_some();
                prop_assert_eq!(record.spans.last().is_some_and(|span| span.until.is_none()), is_in);
                prop_assert!(record.open_proposals <= crate::limits::MAX_OPEN_PROPOSALS);
                let convicted = record.equivocation.is_some();
                prop_assert!(!convicted || record.target() == 0);
            }
            let open = |key: &PublicKey| {
                let of = |row: Result<(ProposalId, Proposal), Fault>| {
                    let (_, proposal) = row.unwrap();
                    proposal.proposer == *key && proposal.status == Status::Open
                };
                super::super::proposal::proposals(&chain.tree).map(of).filter(|open| *open).count()
            };
            for (key, record) in &known {
                prop_assert_eq!(open(key), usize::from(record.open_proposals));
            }
            before = now;
        }
        // Everything that was asked ends and is forgotten.
        chain.view = View::ZERO;
        let height = chain.height.get();
        idle_to(&mut chain, height + 120);
        let rows = chain.tree.rows().filter(|(key, ..)| [16, 18, 19].contains(&key.as_bytes()[0])).count();
        prop_assert_eq!(rows, 0);
    }
}
