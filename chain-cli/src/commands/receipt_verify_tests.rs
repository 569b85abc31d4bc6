//! A receipt, an acknowledgement and proofs of a small chain; every part of them spoiled in turn.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use chain_core::{
    codec::Text,
    crypto::SecretKey,
    state::market::settle::Settlement,
    tx::receipt::WorkOutcome,
    types::{Acknowledged, Amount, AssetId, MarketMs, Price, TimestampMs},
};
use chain_market::receipts::{Work, to_json};
use tempfile::TempDir;

use super::*;
use crate::{
    app::NodeArgs,
    commands::store::KeystoreArgs,
    verify::tests::{chain, proven},
};

const PROVIDER: Address = Address::from_bytes([3; 32]);
const PAYER: Address = Address::from_bytes([4; 32]);

fn key() -> SecretKey {
    SecretKey::from_seed(&[2; 32])
}

fn first() -> Head {
    Head::new(JobId::new(7), 1, UnitKind::Tokens, ModelId(Hash([5; 32])))
}

fn receipt_after(head: &Head) -> Receipt {
    let work = Work {
        units: Units::new(500),
        input_hash: Hash([1; 32]),
        output_hash: Hash([2; 32]),
        started: TimestampMs::new(1_000),
        finished: TimestampMs::new(2_000),
        outcome: WorkOutcome::Ok {},
        content_ref: Text::default(),
    };
    head.next(&chain(), work).unwrap()
}

fn ack(units: u64) -> Ack {
    let said = Acknowledged { job: JobId::new(7), leg: 1, provider: PROVIDER, cumulative_units: Units::new(units) };
    said.sign(&chain(), &key())
}

fn cost(gross: u128) -> Cost {
    Cost { gross: Amount::new(gross), fee: Amount::new(gross / 10), provider: Amount::new(gross - gross / 10) }
}

fn accepted_event(receipt: &Receipt) -> Event {
    Event::Receipt(ReceiptEvent::ReceiptAccepted {
        receipt: receipt.clone(),
        hash: receipt.hash(&chain()),
        by: PROVIDER,
        provider: PROVIDER,
        payout: PROVIDER,
        payer: PAYER,
        added: Units::new(500),
        acknowledged: Some(Units::new(450)),
        paid: Units::new(450),
        asset: AssetId::NATIVE,
        payment: cost(100),
        at: MarketMs::new(5),
        contestable_until: None,
    })
}

fn settled_event(leg: u32, used: u64) -> Event {
    let Cost { gross, fee, provider } = cost(200);
    let (billable, early_fee, refund) = (Units::new(used), Amount::ZERO, Amount::new(800));
    Event::Job(JobEvent::JobSettled {
        job: JobId::new(7),
        leg,
        cause: Cause::PayerCompleted,
        by: Some(PAYER),
        payer: PAYER,
        provider: PROVIDER,
        payout: PROVIDER,
        model: ModelId(Hash([5; 32])),
        asset: AssetId::NATIVE,
        unit_kind: UnitKind::Tokens,
        price: Price::new(5),
        deposit: Amount::new(1_000),
        spent: Amount::ZERO,
        used: Units::new(used),
        paid_before: cost(100),
        settlement: Settlement { billable, gross, fee, provider, early_fee, refund },
        at: MarketMs::new(9),
    })
}

fn file_of(events: &[Event]) -> (Genesis, File) {
    let (genesis, proof) = proven(events);
    (genesis, File { proof: ProofView::Outcome(Box::new(proof)), signed_tx: None, hops: vec![] })
}

fn step<T: std::fmt::Debug>(answer: Answer<T>) -> &'static str {
    match answer {
        Err(CliError::Unproven { step, .. }) => step,
        other => panic!("expected a failing step, got {other:?}"),
    }
}

#[test]
fn acceptance_and_settlement_are_proven() {
    let receipt = receipt_after(&first());
    let (genesis, file) = file_of(&[settled_event(0, 9), accepted_event(&receipt)]);
    let found = prove(&genesis, &file, &receipt).unwrap();
    let Found::Accepted { added, payment, provider, .. } = found else { panic!("{found:?}") };
    assert_eq!((added.get(), payment, provider), (500, cost(100), PROVIDER));
    let (genesis, file) = file_of(&[settled_event(0, 9), settled_event(1, 500)]);
    let found = prove(&genesis, &file, &receipt).unwrap();
    let Found::Settled { used, paid, cause, .. } = found else { panic!("{found:?}") };
    assert_eq!((used.get(), paid, cause), (500, cost(200), Cause::PayerCompleted));
}

#[test]
fn what_is_proven_of_something_else_does_not_hold() {
    let receipt = receipt_after(&first());
    let other = Receipt { output_hash: Hash([9; 32]), ..receipt.clone() };
    for events in [vec![], vec![accepted_event(&other)], vec![settled_event(0, 500)], vec![settled_event(2, 500)]] {
        let (genesis, file) = file_of(&events);
        assert_eq!(step(prove(&genesis, &file, &receipt)), "events");
    }
    let (genesis, file) = file_of(&[settled_event(1, 499)]);
    assert_eq!(step(prove(&genesis, &file, &receipt)), "settlement");
    let images = Receipt { unit_kind: UnitKind::Images, ..receipt.clone() };
    let (genesis, file) = file_of(&[settled_event(1, 500)]);
    assert_eq!(step(prove(&genesis, &file, &images)), "settlement");
    // Events beside a proof of others, and none.
    let (genesis, mut file) = file_of(&[accepted_event(&receipt)]);
    let ProofView::Outcome(outcome) = &mut file.proof else { panic!() };
    outcome.events = Some(chain_rpc::view::Bytes(codec::encode(&vec![settled_event(1, 500)])));
    assert_eq!(step(prove(&genesis, &file, &receipt)), "events");
    let ProofView::Outcome(outcome) = &mut file.proof else { panic!() };
    outcome.events = None;
    assert_eq!(step(prove(&genesis, &file, &receipt)), "events");
    // A certificate is what all of it rests on.
    let (genesis, mut file) = file_of(&[accepted_event(&receipt)]);
    let ProofView::Outcome(outcome) = &mut file.proof else { panic!() };
    outcome.anchor.certificate = None;
    assert_eq!(step(prove(&genesis, &file, &receipt)), "certificate");
}

struct Files {
    dir: TempDir,
    app: App,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, devnet_dir) = (Some(dir.path().join("keys")), dir.path().to_owned());
        let store = KeystoreArgs { keystore, passphrase_file: None, devnet_dir };
        let node = NodeArgs { rpc: Some("http://127.0.0.1:1".into()), chain_id: Some(chain()) };
        Self { dir, app: App { json: false, store, node } }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn args(&self, receipt: &Receipt) -> VerifyArgs {
        let file = self.write("receipt.json", &to_json(receipt).unwrap());
        let (legacy, signer, hash, after, ack) = (false, None, None, None, None);
        VerifyArgs { file, legacy, signer, hash, after, ack, ack_key: None, proof: None, genesis: None }
    }

    fn check(&self, args: &VerifyArgs) -> Answer<Report> {
        check(&self.app, args)
    }
}

#[test]
fn a_report_says_what_holds_and_what_was_not_looked_at() {
    let files = Files::new();
    let receipt = receipt_after(&first());
    let mut args = files.args(&receipt);
    let report = files.check(&args).unwrap();
    assert_eq!(report.hash, Some(receipt.hash(&chain())));
    assert_eq!(report.verified, ["form: version 2, times in order", "place: the first receipt of its leg"]);
    let open = "that the payer acknowledged it (--ack)|that the chain has taken it, and what it paid (--proof)|that \
                the work was done, and what its hashes are of";
    assert_eq!(report.not_verified.join("|"), open);
    args.ack = Some(files.write("ack.json", &serde_json::to_string(&ack(450)).unwrap()));
    args.hash = report.hash;
    let report = files.check(&args).unwrap();
    assert_eq!(report.verified.len(), 4);
    assert!(report.not_verified[0].starts_with("50 units of the receipt beyond"), "{report:?}");
    assert!(report.not_verified[1].contains("--ack-key") && report.not_verified[2].contains("--proof"), "{report:?}");
    args.ack_key = Some(key().public().to_string());
    assert!(!files.check(&args).unwrap().not_verified.iter().any(|text| text.contains("--ack-key")));
}

#[test]
fn everything_that_is_asked_for_has_to_hold() {
    let files = Files::new();
    let receipt = receipt_after(&first());
    let refused = |change: &dyn Fn(&mut VerifyArgs)| {
        let mut args = files.args(&receipt);
        change(&mut args);
        step(files.check(&args))
    };
    let ack_file = |ack: Ack| files.write("ack.json", &serde_json::to_string(&ack).unwrap());
    assert_eq!(refused(&|args| args.hash = Some(Hash([9; 32]))), "hash");
    assert_eq!(refused(&|args| args.after = Some(args.file.clone())), "place");
    let forged = Acknowledged { cumulative_units: Units::new(501), ..ack(500).acknowledged };
    let (other_leg, elsewhere) = (Acknowledged { leg: 0, ..ack(500).acknowledged }, ChainId(Hash([9; 32])));
    let bad =
        [Ack { acknowledged: forged, ..ack(500) }, other_leg.sign(&chain(), &key()), forged.sign(&elsewhere, &key())];
    for bad in bad {
        assert_eq!(refused(&|args| args.ack = Some(ack_file(bad))), "acknowledgement");
    }
    let other = SecretKey::from_seed(&[8; 32]).public().to_string();
    let named = |args: &mut VerifyArgs| (args.ack, args.ack_key) = (Some(ack_file(ack(500))), Some(other.clone()));
    assert_eq!(refused(&named), "acknowledgement");
    let late = Receipt { finished: TimestampMs::new(1), ..receipt.clone() };
    assert_eq!(step(files.check(&files.args(&late))), "form");
    // On another chain it has another hash, and its acknowledgement does not hold.
    let mut files = Files::new();
    let mut args = files.args(&receipt);
    args.ack = Some(files.write("ack.json", &serde_json::to_string(&ack(500)).unwrap()));
    files.app.node.chain_id = Some(elsewhere);
    assert_eq!(step(files.check(&args)), "acknowledgement");
    files.app.node.chain_id = None;
    assert!(matches!(files.check(&args), Err(CliError::Usage(_))));
}

#[test]
fn the_next_receipt_follows_the_one_in_a_file() {
    let files = Files::new();
    let before = receipt_after(&first());
    let next = receipt_after(&Head::after(&chain(), &before));
    let mut args = files.args(&next);
    assert!(files.check(&args).unwrap().not_verified[0].contains("follows receipt 1"));
    args.after = Some(files.write("before.json", &to_json(&before).unwrap()));
    assert!(files.check(&args).unwrap().verified[1].starts_with("place: it follows"));
    let changed = Receipt { output_hash: Hash([9; 32]), ..before };
    args.after = Some(files.write("before.json", &to_json(&changed).unwrap()));
    assert_eq!(step(files.check(&args)), "place");
}

#[test]
fn an_acknowledgement_must_be_for_who_worked() {
    let receipt = receipt_after(&first());
    let found = |provider| Found::Settled {
        height: Height::new(1),
        provider,
        payer: PAYER,
        cause: Cause::Silence,
        used: Units::new(500),
        paid: cost(1),
    };
    let check = |provider| {
        let mut report = Report { settlement: Some(found(provider)), ..Report::default() };
        check_acknowledgement(Some(&ack(500)), Some(key().public()), &chain(), &receipt, &mut report).map(|()| report)
    };
    assert!(check(PROVIDER).unwrap().not_verified.is_empty());
    assert_eq!(step(check(PAYER)), "acknowledgement");
}

#[test]
fn a_receipt_of_version_1() {
    let files = Files::new();
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../chain-market/vectors/legacy.json")).unwrap();
    let text = cases[4]["receipt"].as_str().unwrap();
    let mut args = files.args(&receipt_after(&first()));
    args.file = files.write("v1.json", text);
    args.signer = Some(SecretKey::from_seed(&[1; 32]).public().to_string());
    assert_eq!(check_legacy(&files.app, &args).unwrap().verified.len(), 4);
    args.signer = Some(key().public().to_string());
    assert_eq!(step(check_legacy(&files.app, &args)), "signer");
    args.file = files.write("v1.json", &text.replace("3.5", "3.50001"));
    assert_eq!(step(check_legacy(&files.app, &args)), "legacy");
}
