//! The examples of docs/marketplace.md are what the libraries make. A failure prints what belongs there.
#![allow(clippy::unwrap_used)]

use chain_core::{
    codec::Text,
    crypto::{Hash, SecretKey},
    tx::receipt::WorkOutcome,
    types::{Acknowledged, Address, ChainId, JobId, ModelId, TimestampMs, UnitKind, Units},
};
use chain_market::{
    login::{Challenge, Login},
    receipts::{Head, Work, to_json},
};

const CHAIN: ChainId = ChainId(Hash([0x11; 32]));

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn provider() -> Address {
    Address::of_key(&key(3).public())
}

/// The document, without the indentation of its examples.
fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/marketplace.md");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn stands_there(example: &str) {
    assert!(document().contains(example.trim_end()), "docs/marketplace.md lacks:\n{example}");
}

#[test]
fn the_acknowledgement() {
    let said = Acknowledged { job: JobId::new(7), leg: 0, provider: provider(), cumulative_units: Units::new(500) };
    stands_there(&serde_json::to_string_pretty(&said.sign(&CHAIN, &key(2))).unwrap());
    stands_there(&hex(&said.signing_bytes(&CHAIN)));
}

#[test]
fn the_receipt() {
    let work = Work {
        units: Units::new(500),
        input_hash: Hash([1; 32]),
        output_hash: Hash([2; 32]),
        started: TimestampMs::new(1_700_000_000_000),
        finished: TimestampMs::new(1_700_000_005_000),
        outcome: WorkOutcome::Ok {},
        content_ref: Text::default(),
    };
    let head = Head::new(JobId::new(7), 0, UnitKind::Tokens, ModelId(Hash([5; 32])));
    let receipt = head.next(&CHAIN, work).unwrap();
    stands_there(&to_json(&receipt).unwrap());
    stands_there(&receipt.hash(&CHAIN).to_string());
}

#[test]
fn the_login() {
    let challenge = Challenge {
        domain: Text::new("host.example:8083").unwrap(),
        chain: CHAIN,
        provider: provider(),
        job: JobId::new(7),
        nonce: Hash([9; 32]),
        expires: TimestampMs::new(1_700_000_300_000),
        key: key(2).public(),
    };
    let login: Login = challenge.sign(&key(2));
    stands_there(&serde_json::to_string_pretty(&login).unwrap());
    stands_there(&hex(&login.challenge.signing_bytes()));
}
