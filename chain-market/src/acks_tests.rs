//! Newest wins, on both sides.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use chain_core::crypto::Hash;
use proptest::prelude::*;
use tempfile::TempDir;

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const QUANTUM: u64 = 100;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn terms() -> LegTerms {
    LegTerms {
        job: JobId::new(7),
        leg: 1,
        provider: Address::from_bytes([3; 32]),
        ack_key: key(2).public(),
        quantum: Units::new(QUANTUM),
    }
}

fn ack(terms: &LegTerms, units: u64) -> Ack {
    let LegTerms { job, leg, provider, .. } = *terms;
    Acknowledged { job, leg, provider, cumulative_units: Units::new(units) }.sign(&CHAIN, &key(2))
}

fn store(dir: &TempDir) -> AckStore {
    AckStore::open(dir.path(), CHAIN).unwrap()
}

fn said(received: u64, acknowledged: u64) -> Delivery {
    Delivery { received: Units::new(received), acknowledged: Units::new(acknowledged) }
}

#[test]
fn a_provider_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = store(&dir);
    assert_eq!(held.covered(&terms()).get(), QUANTUM);
    assert_eq!(held.receive(&terms(), &ack(&terms(), 100)).unwrap().get(), 100);
    assert_eq!(held.receive(&terms(), &ack(&terms(), 250)).unwrap().get(), 250);
    for old in [0, 1, 100, 249, 250] {
        let refused = held.receive(&terms(), &ack(&terms(), old));
        assert!(matches!(refused, Err(AckError::NotNewer { held, .. }) if held.get() == 250), "{old}");
    }
    drop(held);
    let held = store(&dir);
    assert_eq!(held.held(&terms()).unwrap().ack, ack(&terms(), 250));
    assert_eq!(held.covered(&terms()).get(), 250 + QUANTUM);
}

#[test]
fn what_is_for_something_else_or_forged_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = store(&dir);
    let good = ack(&terms(), 10);
    held.receive(&terms(), &good).unwrap();
    let others = [
        ("the job", ack(&LegTerms { job: JobId::new(8), ..terms() }, 20)),
        ("the leg", ack(&LegTerms { leg: 0, ..terms() }, 20)),
        ("the provider", ack(&LegTerms { provider: Address::from_bytes([4; 32]), ..terms() }, 20)),
        ("the key", good.acknowledged.sign(&CHAIN, &key(9))),
    ];
    for (which, other) in others {
        let refused = held.receive(&terms(), &other);
        assert!(matches!(refused, Err(AckError::Other { what, .. }) if what == which), "{which}");
    }
    let altered = Acknowledged { cumulative_units: Units::new(11), ..good.acknowledged };
    let forged = [
        ("altered", Ack { acknowledged: altered, ..good }),
        ("another chain's", altered.sign(&ChainId(Hash([9; 32])), &key(2))),
        ("another's signature", Ack { key: key(2).public(), ..altered.sign(&CHAIN, &key(9)) }),
    ];
    for (which, forged) in forged {
        assert!(matches!(held.receive(&terms(), &forged), Err(AckError::Signature(_))), "{which}");
    }
    assert_eq!(held.held(&terms()).unwrap().ack, good);
    drop(held);
    assert_eq!(store(&dir).held(&terms()).unwrap().ack, good);
}

#[test]
fn what_is_not_paid_is_listed_and_what_is_settled_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = store(&dir);
    let (first, other) = (LegTerms { leg: 0, ..terms() }, LegTerms { job: JobId::new(9), ..terms() });
    for (terms, units) in [(terms(), 50), (first, 70), (other, 5)] {
        held.receive(&terms, &ack(&terms, units)).unwrap();
    }
    let list = |held: &AckStore| held.unredeemed().map(|held| held.units().get()).collect::<Vec<_>>();
    assert_eq!(list(&held), [70, 50, 5]);
    held.paid(first.job, first.leg, Units::new(70)).unwrap();
    held.paid(terms().job, terms().leg, Units::new(49)).unwrap();
    assert_eq!(list(&held), [50, 5]);
    // An older word of the chain takes nothing back, and a newer acknowledgement keeps what was paid.
    held.paid(first.job, first.leg, Units::new(10)).unwrap();
    assert_eq!(list(&held), [50, 5]);
    held.receive(&first, &ack(&first, 71)).unwrap();
    assert_eq!(held.held(&first).unwrap().paid.get(), 70);
    drop(held);
    let mut held = store(&dir);
    assert_eq!(list(&held), [71, 50, 5]);
    assert_eq!(held.settled(terms().job).unwrap(), 2);
    assert_eq!(held.settled(terms().job).unwrap(), 0);
    assert!(matches!(held.paid(first.job, 0, Units::ZERO), Err(AckError::None { .. })));
    drop(held);
    assert_eq!(list(&store(&dir)), [5]);
}

#[test]
fn a_payer_never_goes_back_nor_too_far() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Acknowledger::open(dir.path(), CHAIN).unwrap();
    let mut payer = open();
    // A quantum may be acknowledged before anything came, and no unit more.
    let refused = payer.acknowledge(&terms(), said(0, 101), &key(2));
    assert!(matches!(refused, Err(AckError::TooFar { most, .. }) if most.get() == 100));
    assert_eq!(payer.last(terms().job, 1), None);
    let first = payer.acknowledge(&terms(), said(0, 100), &key(2)).unwrap();
    assert_eq!(first, ack(&terms(), 100));
    assert_eq!(payer.acknowledge(&terms(), said(0, 100), &key(2)).unwrap(), first);
    payer.acknowledge(&terms(), said(200, 200), &key(2)).unwrap();
    drop(payer);
    let mut payer = open();
    assert!(matches!(payer.acknowledge(&terms(), said(900, 199), &key(2)), Err(AckError::GoesBack { .. })));
    assert!(matches!(payer.acknowledge(&terms(), said(200, 301), &key(2)), Err(AckError::TooFar { .. })));
    let refused = payer.acknowledge(&terms(), said(300, 300), &key(5));
    assert!(matches!(refused, Err(AckError::Other { what: "the key", .. })));
    let other = LegTerms { provider: Address::from_bytes([4; 32]), ..terms() };
    let refused = payer.acknowledge(&other, said(300, 300), &key(2));
    assert!(matches!(refused, Err(AckError::Other { what: "the provider", .. })));
    assert_eq!(payer.last(terms().job, 1), Some(&ack(&terms(), 200)));
    // Another leg starts from nothing; the end of 64 bits is no way around.
    let next = LegTerms { leg: 2, ..terms() };
    payer.acknowledge(&next, said(1, 1), &key(2)).unwrap();
    payer.acknowledge(&next, said(u64::MAX, u64::MAX), &key(2)).unwrap();
    assert_eq!(payer.settled(terms().job).unwrap(), 2);
    assert_eq!(payer.last(terms().job, 1), None);
}

#[test]
fn nothing_is_given_out_before_it_is_on_the_disk() {
    for steps in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut payer = Acknowledger::open(dir.path(), CHAIN).unwrap();
        payer.0.stop_after(steps);
        let refused = payer.acknowledge(&terms(), said(10, 10), &key(2));
        assert!(matches!(refused, Err(AckError::Store(_))), "{steps}");
        assert_eq!(payer.last(terms().job, 1), None);
        let mut provider = store(&tempfile::tempdir().unwrap());
        provider.0.stop_after(steps);
        assert!(matches!(provider.receive(&terms(), &ack(&terms(), 10)), Err(AckError::Store(_))), "{steps}");
        assert_eq!(provider.covered(&terms()).get(), QUANTUM);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is asked for in whatever order, over restarts: what was given out only grows and is covered by what
    /// came; the provider's store holds the most of it, and never works for more than a quantum beyond.
    #[test]
    fn both_sides_lose_at_most_a_quantum(
        steps in proptest::collection::vec((0u64..400, 0u64..600, any::<bool>(), any::<bool>()), 1..25),
    ) {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut payer = Acknowledger::open(ours.path(), CHAIN).unwrap();
        let mut provider = store(&theirs);
        let (mut most, mut held) = (0, 0);
        for (received, meant, restart, lost) in steps {
            if restart {
                drop((payer, provider));
                payer = Acknowledger::open(ours.path(), CHAIN).unwrap();
                provider = store(&theirs);
            }
            let given = payer.acknowledge(&terms(), said(received, meant), &key(2));
            let expected = meant >= most && meant <= received + QUANTUM;
            prop_assert_eq!(given.is_ok(), expected);
            if let Ok(given) = given {
                most = meant;
                if !lost {
                    prop_assert_eq!(provider.receive(&terms(), &given).is_ok(), meant > held);
                    held = meant.max(held);
                }
            }
            prop_assert_eq!(provider.covered(&terms()).get(), held + QUANTUM);
            prop_assert_eq!(provider.unredeemed().map(|one| one.units().get()).sum::<u64>(), held);
        }
    }
}
