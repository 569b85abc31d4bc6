//! `may_sign`, rule by rule.

use super::*;
use crate::consensus::barrier::Barrier;
use crate::consensus::safety::{Refusal, Signer};
use VoteKind::{Finalize, Notarize, Nullify};

fn signer() -> Signer {
    Signer::new(Some(keys(1)[0].clone()), chain(), Barrier::at(Height::new(4)))
}

fn at(kind: VoteKind, view: u32, name: u64) -> SignedMessage {
    message(kind, 5, view, (kind != Nullify).then(|| block(name)))
}

#[test]
fn every_pair_of_votes_in_one_view() {
    for (first, second, verdict) in [
        (Notarize, Notarize, Err(Refusal::Said)),
        (Notarize, Nullify, Ok(())),
        (Notarize, Finalize, Ok(())),
        (Nullify, Notarize, Err(Refusal::Nullified)),
        (Nullify, Nullify, Err(Refusal::Said)),
        (Nullify, Finalize, Err(Refusal::Nullified)),
        (Finalize, Notarize, Ok(())),
        (Finalize, Nullify, Err(Refusal::Finalized)),
        (Finalize, Finalize, Err(Refusal::Said)),
    ] {
        for name in [1, 2] {
            let mut signer = signer();
            signer.vote(at(first, 0, 1)).unwrap();
            assert_eq!(signer.vote(at(second, 0, name)).map(|_| ()), verdict, "{first:?}, {second:?} {name}");
            assert_eq!(signer.vote(at(second, 1, name)).map(|_| ()), Ok(()), "another view is another matter");
        }
    }
}

#[test]
fn exclusions_hold_whatever_comes_between() {
    let mut signer = signer();
    signer.vote(at(Notarize, 0, 1)).unwrap();
    signer.vote(at(Finalize, 0, 1)).unwrap();
    assert_eq!(signer.vote(at(Nullify, 0, 0)), Err(Refusal::Finalized));
    signer.vote(at(Notarize, 1, 1)).unwrap();
    signer.vote(at(Nullify, 1, 0)).unwrap();
    assert_eq!(signer.vote(at(Finalize, 1, 1)), Err(Refusal::Nullified));
}

#[test]
fn one_proposal_per_view() {
    let mut signer = signer();
    let at = (Height::new(5), View::ZERO);
    signer.propose(at, block(1), None).unwrap();
    for (name, again) in [(1, None), (2, None), (1, Some(View::ZERO))] {
        assert_eq!(signer.propose(at, block(name), again), Err(Refusal::Said));
    }
    signer.propose((at.0, View::new(1)), block(2), None).unwrap();
}

#[test]
fn nothing_at_or_below_the_barrier() {
    let mut signer = signer();
    for height in [0, 3, 4] {
        let refused = Err(Refusal::Barrier(Height::new(4)));
        for kind in [Notarize, Nullify, Finalize] {
            let message = message(kind, height, 9, (kind != Nullify).then(|| block(1)));
            assert_eq!(signer.vote(message).map(|_| ()), refused);
        }
        assert_eq!(signer.propose((Height::new(height), View::ZERO), block(1), None).map(|_| ()), refused);
    }
    signer.vote(at(Notarize, 0, 1)).unwrap();
    assert_eq!(signer.vote(message(Nullify, 5, 3, Some(block(1)))), Err(Refusal::Form));
    signer.commit(Height::new(5), TimestampMs::new(0), false);
    signer.commit(Height::new(2), TimestampMs::new(0), false);
    assert_eq!(signer.vote(at(Notarize, 7, 1)), Err(Refusal::Barrier(Height::new(5))));
}

#[test]
fn what_an_earlier_life_signed_still_binds() {
    let mut before = signer();
    let records = [
        WalRecord::Proposal(before.propose((Height::new(5), View::ZERO), block(1), None).unwrap()),
        WalRecord::Vote(before.vote(at(Notarize, 0, 1)).unwrap()),
        WalRecord::Vote(before.vote(at(Nullify, 0, 0)).unwrap()),
        WalRecord::Vote(before.vote(at(Finalize, 1, 1)).unwrap()),
    ];
    let mut after = signer();
    records.iter().for_each(|record| after.restore(record));
    assert_eq!(after.record(), before.record());
    assert_eq!(after.propose((Height::new(5), View::ZERO), block(2), None), Err(Refusal::Said));
    assert_eq!(after.vote(at(Notarize, 0, 2)), Err(Refusal::Said));
    assert_eq!(after.vote(at(Finalize, 0, 1)), Err(Refusal::Nullified));
    assert_eq!(after.vote(at(Nullify, 1, 0)), Err(Refusal::Finalized));
}

#[test]
fn without_a_key_nothing_is_signed() {
    let mut follower = Signer::new(None, chain(), Barrier::default());
    assert_eq!(follower.vote(at(Notarize, 0, 1)), Err(Refusal::NoKey));
    assert_eq!(follower.propose((Height::new(5), View::ZERO), block(1), None), Err(Refusal::NoKey));
}
