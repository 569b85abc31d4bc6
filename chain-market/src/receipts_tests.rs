//! Receipts follow each other, or do not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use chain_core::{
    crypto::{PublicKey, SecretKey},
    types::Acknowledged,
};
use proptest::prelude::*;

const CHAIN: ChainId = ChainId(Hash([1; 32]));

fn head() -> Head {
    Head::new(JobId::new(7), 2, UnitKind::Tokens, ModelId(Hash([5; 32])))
}

fn work(units: u64) -> Work {
    Work {
        units: Units::new(units),
        input_hash: Hash([1; 32]),
        output_hash: Hash([2; 32]),
        started: TimestampMs::new(1_000),
        finished: TimestampMs::new(2_000),
        outcome: WorkOutcome::Ok {},
        content_ref: Text::default(),
    }
}

fn failed(units: u64) -> Work {
    Work { outcome: WorkOutcome::Failed { code: 9 }, ..work(units) }
}

/// The field that is not as expected.
fn wrong(result: Result<impl Sized, ReceiptError>) -> &'static str {
    match result {
        Err(ReceiptError::Place { what, .. }) => what,
        Err(ReceiptError::Form(_)) => "form",
        Err(ReceiptError::TooManyUnits) => "too many",
        Err(_) => "other",
        Ok(_) => "nothing",
    }
}

#[test]
fn receipts_are_a_chain() {
    let mut leg = head();
    let first = leg.next(&CHAIN, work(500)).unwrap();
    assert_eq!(leg, head(), "making one does not move the head");
    assert_eq!((first.seq, first.previous, first.cumulative_units.get()), (1, Hash::ZERO, 500));
    assert_eq!(leg.follow(&CHAIN, &first).unwrap(), first.hash(&CHAIN));
    let second = leg.next(&CHAIN, failed(0)).unwrap();
    assert_eq!((second.seq, second.previous, second.cumulative_units.get()), (2, first.hash(&CHAIN), 500));
    leg.follow(&CHAIN, &second).unwrap();
    assert_eq!((leg.seq, leg.hash, leg.units.get()), (2, second.hash(&CHAIN), 500));
    // Read by somebody else, from the beginning.
    let mut reader = head();
    for receipt in [&first, &second] {
        let read = from_json(to_json(receipt).unwrap().as_bytes()).unwrap();
        reader.follow(&CHAIN, &read).unwrap();
    }
    assert_eq!(reader, leg);
}

#[test]
fn every_field_of_the_place_counts() {
    let mut leg = head();
    let first = leg.next(&CHAIN, work(500)).unwrap();
    leg.follow(&CHAIN, &first).unwrap();
    let good = leg.next(&CHAIN, work(1)).unwrap();
    type Change = (&'static str, fn(&mut Receipt));
    let changes: [Change; 13] = [
        ("nothing", |_| ()),
        ("form", |r| r.version = 1),
        ("form", |r| r.finished = TimestampMs::new(999)),
        ("job", |r| r.job = JobId::new(8)),
        ("leg", |r| r.leg = 1),
        ("model", |r| r.model = ModelId(Hash([6; 32]))),
        ("kind of units", |r| r.unit_kind = UnitKind::Images),
        ("number", |r| r.seq = 1),
        ("number", |r| r.seq = 3),
        ("previous receipt", |r| r.previous = Hash::ZERO),
        ("count of units", |r| r.cumulative_units = Units::new(499)),
        ("count of units after work that failed", |r| r.outcome = WorkOutcome::Failed { code: 1 }),
        ("nothing", |r| r.cumulative_units = Units::MAX),
    ];
    for (n, (expected, change)) in changes.iter().enumerate() {
        let (mut receipt, mut here) = (good.clone(), leg);
        change(&mut receipt);
        let result = here.follow(&CHAIN, &receipt);
        assert_eq!(here == leg, result.is_err(), "change {n}");
        assert_eq!(wrong(result), *expected, "change {n}");
    }
    assert_eq!(wrong(leg.clone().follow(&CHAIN, &first)), "number", "the same again");
    let elsewhere = leg.clone().follow(&ChainId(Hash([9; 32])), &good).unwrap();
    assert_ne!(elsewhere, good.hash(&CHAIN), "each chain has its own hashes");
}

#[test]
fn what_can_not_be_made() {
    let full = Head { units: Units::new(u64::MAX - 1), ..head() };
    assert_eq!(wrong(full.next(&CHAIN, work(2))), "too many");
    assert_eq!(wrong(full.next(&CHAIN, work(1))), "nothing");
    assert_eq!(wrong(Head { seq: u64::MAX, ..head() }.next(&CHAIN, work(1))), "too many");
    assert_eq!(wrong(head().next(&CHAIN, failed(1))), "count of units after work that failed");
    assert_eq!(wrong(head().next(&CHAIN, Work { finished: TimestampMs::new(1), ..work(1) })), "form");
}

#[test]
fn an_acknowledgement_beside_a_receipt() {
    let key = SecretKey::from_seed(&[2; 32]);
    let provider = Address::from_bytes([3; 32]);
    let (ack_key, quantum) = (key.public(), Units::new(100));
    let terms = LegTerms { job: JobId::new(7), leg: 2, provider, ack_key, quantum };
    let receipt = head().next(&CHAIN, work(500)).unwrap();
    let ack = |units| {
        let cumulative_units = Units::new(units);
        Acknowledged { job: terms.job, leg: terms.leg, provider, cumulative_units }.sign(&CHAIN, &key)
    };
    let left = |units| check_ack(&CHAIN, &receipt, &terms, &ack(units)).unwrap().get();
    assert_eq!((left(450), left(500), left(900)), (50, 0, 0));
    let other = LegTerms { leg: 1, ..terms };
    assert_eq!(wrong(check_ack(&CHAIN, &receipt, &other, &ack(500))), "leg");
    let other = LegTerms { ack_key: PublicKey([7; 32]), ..terms };
    let refused = check_ack(&CHAIN, &receipt, &other, &ack(500));
    assert!(matches!(refused, Err(ReceiptError::Ack(AckError::Other { what: "the key", .. }))));
    let failed = Receipt { outcome: WorkOutcome::Failed { code: 1 }, ..receipt.clone() };
    assert_eq!(wrong(check_ack(&CHAIN, &failed, &terms, &ack(500))), "work");
}

#[test]
fn a_file_is_a_receipt_or_refused() {
    let receipt = head().next(&CHAIN, work(500)).unwrap();
    let text = to_json(&receipt).unwrap();
    assert_eq!(from_json(text.as_bytes()).unwrap(), receipt);
    // The last byte is the line end.
    for length in 0..text.len() - 1 {
        assert!(from_json(&text.as_bytes()[..length]).is_err(), "{length}");
    }
    let extra = text.replacen('{', "{\"key\": \"0x00\",", 1);
    assert!(matches!(from_json(extra.as_bytes()), Err(ReceiptError::Json(_))));
    let long = text.clone() + &" ".repeat(MAX_RECEIPT_JSON_BYTES);
    assert!(matches!(from_json(long.as_bytes()), Err(ReceiptError::TooLong { .. })));
    let content_ref = Text::new("\\".repeat(MAX_CONTENT_REF_BYTES)).unwrap();
    let longest = Receipt { content_ref, seq: u64::MAX, cumulative_units: Units::MAX, ..receipt };
    assert!(to_json(&longest).unwrap().len() < MAX_RECEIPT_JSON_BYTES / 2);
}

proptest! {
    #[test]
    fn any_work_makes_a_chain_that_reads_back(parts in proptest::collection::vec((0u64..1_000, any::<bool>()), 1..20)) {
        let (mut leg, mut receipts) = (head(), Vec::new());
        for (units, fails) in &parts {
            let receipt = leg.next(&CHAIN, if *fails { failed(0) } else { work(*units) }).unwrap();
            leg.follow(&CHAIN, &receipt).unwrap();
            receipts.push(receipt);
        }
        let all: u64 = parts.iter().filter(|(_, fails)| !fails).map(|(units, _)| units).sum();
        prop_assert_eq!(leg.units.get(), all);
        // Any one that is left out breaks it, except the last.
        for gap in 0..receipts.len() - 1 {
            let mut reader = head();
            let others = receipts.iter().enumerate().filter(|(n, _)| *n != gap);
            prop_assert!(others.map(|(_, one)| reader.follow(&CHAIN, one)).any(|result| result.is_err()));
        }
    }

    #[test]
    fn nothing_from_outside_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(from_json(&bytes).is_err());
    }
}
