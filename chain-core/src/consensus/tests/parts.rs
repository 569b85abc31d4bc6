//! The parts: certificates of a height, log records.

use super::*;
use crate::consensus::barrier::Barrier;
use crate::consensus::certificates::{Certificates, Choice};
use crate::consensus::safety::Signer;
use crate::limits::{MAX_JUSTIFICATION_CERTIFICATES, MAX_VALIDATORS, MAX_WAL_RECORD_BYTES};
use VoteKind::{Notarize, Nullify};

fn known(all: &[(VoteKind, u32, Option<u64>)]) -> Certificates {
    let keys = keys(1);
    let set = set(&keys);
    let mut certificates = Certificates::default();
    for (kind, view, name) in all {
        certificates.insert(certificate(message(*kind, 1, *view, name.map(block)), &keys, &set));
    }
    certificates
}

#[test]
fn what_a_leader_may_propose() {
    let gap = |view| Choice::Gap(View::new(view));
    let again = |name, view| Choice::Again { block: block(name), notarized_in: View::new(view) };
    let (n, x) = (Notarize, Nullify);
    for (certified, view, choice) in [
        (vec![], 0, Choice::New),
        (vec![], 1, gap(0)),
        (vec![(x, 0, None)], 1, Choice::New),
        (vec![(x, 1, None)], 2, gap(0)),
        (vec![(n, 0, Some(1))], 1, again(1, 0)),
        (vec![(n, 0, Some(1)), (x, 0, None)], 1, again(1, 0)),
        (vec![(n, 0, Some(1)), (x, 1, None)], 2, again(1, 0)),
        (vec![(n, 0, Some(1)), (n, 1, Some(2))], 2, again(2, 1)),
        (vec![(n, 0, Some(1)), (x, 2, None)], 3, gap(1)),
        (vec![(n, 3, Some(1))], 2, gap(1)),
    ] {
        assert_eq!(known(&certified).choice(View::new(view)), choice, "{certified:?} {view}");
    }
}

#[test]
fn what_justifies_a_proposal() {
    let (n, x) = (Notarize, Nullify);
    for (certified, view, name, again, verdict) in [
        (vec![], 0, 1, None, true),
        (vec![], 0, 1, Some(0), false),
        (vec![(n, 0, Some(1))], 0, 1, Some(0), false),
        (vec![(n, 1, Some(1))], 0, 1, Some(1), false),
        (vec![], 1, 1, None, false),
        (vec![(x, 0, None)], 1, 1, None, true),
        (vec![(x, 1, None)], 2, 1, None, false),
        (vec![(x, 0, None)], 2, 1, None, false),
        (vec![(n, 0, Some(1))], 1, 1, None, false),
        (vec![(n, 0, Some(1))], 1, 1, Some(0), true),
        (vec![(n, 0, Some(1))], 1, 2, Some(0), false),
        (vec![(x, 0, None)], 1, 1, Some(0), false),
        (vec![(n, 0, Some(1))], 2, 1, Some(0), false),
        (vec![(n, 0, Some(1)), (n, 1, Some(2))], 2, 1, Some(0), false),
        (vec![(n, 0, Some(1)), (n, 1, Some(2)), (x, 1, None)], 2, 1, Some(0), true),
        (vec![(n, 0, Some(1)), (x, 0, None)], 1, 2, None, true),
        (vec![(n, 0, Some(1)), (x, 1, None), (x, 3, None)], 4, 1, Some(0), false),
    ] {
        let given = known(&certified).justifies(View::new(view), block(name), again.map(View::new));
        assert_eq!(given, verdict, "{certified:?}, block {name} in {view}, again {again:?}");
    }
}

#[test]
fn a_leaders_own_choice_is_always_justified_and_travels() {
    for pattern in 0..4u32.pow(5) {
        let digit = |view: u32| pattern / 4u32.pow(view) % 4;
        let mut certified = vec![];
        for view in 0..5 {
            certified.extend((digit(view) & 1 != 0).then_some((Nullify, view, None)));
            certified.extend((digit(view) & 2 != 0).then_some((Notarize, view, Some(u64::from(view)))));
        }
        let certificates = known(&certified);
        let view = View::new(5);
        let (block, again) = match certificates.choice(view) {
            Choice::Again { block, notarized_in } => (block, Some(notarized_in)),
            Choice::New => (block(99), None),
            Choice::Gap(_) => continue,
        };
        assert!(certificates.justifies(view, block, again));
        let mut receiver = Certificates::default();
        for certificate in certificates.justification(view, again).iter() {
            receiver.insert(certificate.clone());
        }
        assert!(receiver.justifies(view, block, again), "{certified:?}");
    }
}

#[test]
fn of_a_long_justification_the_newest_travel() {
    let all: Vec<_> = (0..100).map(|view| (Nullify, view, None)).collect();
    let travelling = known(&all).justification(View::new(100), None);
    let views: Vec<_> = travelling.iter().map(|certificate| certificate.view().get()).collect();
    assert_eq!(views, (36..100).collect::<Vec<_>>());
    assert_eq!(views.len(), MAX_JUSTIFICATION_CERTIFICATES);
}

#[test]
fn records_are_read_back_and_strangers_refused() {
    let keys: Vec<_> = (0..MAX_VALIDATORS).map(|i| Arc::new(SecretKey::from_seed(&[i as u8; 32]))).collect();
    let mut keys = keys;
    keys.sort_by_key(|key| key.public());
    let largest = certificate(message(Notarize, 1, 0, Some(block(1))), &keys, &set(&keys));
    let mut signer = Signer::new(keys.first().cloned(), chain(), Barrier::default());
    let at = (Height::new(1), View::ZERO);
    for record in [
        WalRecord::Proposal(signer.propose(at, block(1), Some(View::ZERO)).unwrap()),
        WalRecord::Vote(signer.vote(message(Nullify, 1, 0, None)).unwrap()),
        WalRecord::Certificate(largest),
        WalRecord::Barrier(Height::new(1)),
    ] {
        let bytes = record.encode();
        assert!(bytes.len() <= MAX_WAL_RECORD_BYTES);
        assert_eq!(WalRecord::decode(&bytes), Ok(record.clone()));
        assert_eq!(record.height(), Height::new(1));
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert!(WalRecord::decode(&newer).is_err());
        assert!(WalRecord::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(WalRecord::decode(&[bytes, vec![0]].concat()).is_err());
    }
    assert!(WalRecord::decode(&[]).is_err());
}
