//! Evidence against what the real safety record signs: none, over crashes and commits; and against a
//! second instance with the same key: whatever the record would have refused, but for what harms nobody.

use super::*;
use crate::consensus::barrier::Barrier;
use crate::consensus::safety::{Signer, Statement};
use crate::types::{Evidence, Proposal};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Wish {
    Vote(VoteKind, u64, u32, u64),
    Propose(u64, u32, u64, Option<u32>),
    Commit(u64),
    Crash,
}

fn wish() -> impl Strategy<Value = Wish> {
    let kind = || prop::sample::select(vec![VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize]);
    prop_oneof![
        12 => (kind(), 5u64..8, 0u32..3, 1u64..4).prop_map(|(kind, h, v, name)| Wish::Vote(kind, h, v, name)),
        6 => (5u64..8, 0u32..3, 1u64..4, prop::option::of(0u32..3))
            .prop_map(|(h, v, name, w)| Wish::Propose(h, v, name, w)),
        1 => (5u64..7).prop_map(Wish::Commit),
        1 => Just(Wish::Crash),
    ]
}

fn signer() -> Signer {
    Signer::new(Some(keys(1)[0].clone()), chain(), Barrier::at(Height::new(4)))
}

/// What one life after the other signs.
#[derive(Default)]
struct Said {
    votes: Vec<Vote>,
    proposals: Vec<Proposal>,
}

fn live(wishes: &[Wish]) -> Said {
    let (mut signer, mut log, mut said) = (signer(), Vec::new(), Said::default());
    let mut committed = Height::new(4);
    for wish in wishes {
        match *wish {
            Wish::Vote(kind, height, view, name) => {
                let block = (kind != VoteKind::Nullify).then(|| block(name));
                if let Ok(vote) = signer.vote(message(kind, height, view, block)) {
                    log.push(WalRecord::Vote(vote.clone()));
                    said.votes.push(vote);
                }
            }
            Wish::Propose(height, view, name, w) => {
                let at = (Height::new(height), View::new(view));
                if let Ok(proposal) = signer.propose(at, block(name), w.map(View::new)) {
                    log.push(WalRecord::Proposal(proposal.clone()));
                    said.proposals.push(proposal);
                }
            }
            Wish::Commit(height) => {
                committed = committed.max(Height::new(height));
                signer.commit(committed, TimestampMs::ZERO, false);
            }
            Wish::Crash => {
                signer = Signer::new(Some(keys(1)[0].clone()), chain(), Barrier::at(committed));
                log.iter().for_each(|record| signer.restore(record));
            }
        }
    }
    said
}

/// Every pair of two words, in both orders.
fn pairs(a: &Said, b: &Said) -> Vec<Evidence> {
    let votes = a.votes.iter().flat_map(|x| b.votes.iter().map(move |y| Evidence::Votes(x.clone(), y.clone())));
    let proposals =
        a.proposals.iter().flat_map(|x| b.proposals.iter().map(move |y| Evidence::Proposals(x.clone(), y.clone())));
    votes.chain(proposals).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn nobody_honest_can_be_framed(wishes in prop::collection::vec(wish(), 1..80)) {
        let said = live(&wishes);
        for pair in pairs(&said, &said) {
            prop_assert!(pair.equivocation().is_err(), "{pair:?}");
        }
    }

    #[test]
    fn a_second_instance_with_the_key_is_found_out(
        one in prop::collection::vec(wish(), 1..30),
        two in prop::collection::vec(wish(), 1..30),
    ) {
        let (one, two) = (live(&one), live(&two));
        for pair in pairs(&one, &two) {
            let mut record = signer();
            let refused = match &pair {
                Evidence::Votes(a, b) => {
                    record.vote(a.message).unwrap();
                    let after = !record.may_sign(Statement::Vote(b.message));
                    // To give up a view after having notarized in it is right, in the other order no harm.
                    let harmless = a.message == b.message
                        || (a.message.kind, b.message.kind) == (VoteKind::Nullify, VoteKind::Notarize);
                    after && !harmless
                }
                Evidence::Proposals(a, b) => {
                    record.propose((a.height, a.view), a.block, a.notarized_in).unwrap();
                    !record.may_sign(Statement::Proposal { height: b.height, view: b.view }) && a.block != b.block
                }
            };
            prop_assert_eq!(pair.equivocation().is_ok(), refused, "{:?}", pair);
            for (key, bytes, signature) in pair.signatures(&chain()).unwrap() {
                prop_assert!(crate::crypto::verify_one(&key, &bytes, &signature).is_ok());
            }
        }
    }
}
