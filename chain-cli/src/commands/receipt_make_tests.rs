//! Receipts and acknowledgements made without a node, by command lines as people type them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt;

use chain_core::{crypto::SecretKey, types::Address};
use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::commands::{dispute::read_ack, receipt};

const CHAIN: ChainId = ChainId(Hash([0x11; 32]));

/// The arguments after `chain`, run.
async fn run(dir: &TempDir, line: &str) -> Answer<()> {
    let in_dir = |word: &str| word.replace("DIR", dir.path().to_str().unwrap());
    let mut words = vec!["chain".to_owned()];
    words.extend(line.split_whitespace().map(in_dir));
    let crate::Cli { json, node, store, command } = crate::Cli::try_parse_from(words).map_err(CliError::usage)?;
    let app = App { json, node, store };
    match command {
        crate::Command::Receipt(args) => receipt::run(&app, &args).await,
        other => panic!("{other:?}"),
    }
}

fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed) in [("payer", 2u8), ("other", 9)] {
        let path = dir.path().join(name);
        fs::write(&path, format!("{seed:02x}").repeat(32)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

fn sign(rest: &str) -> String {
    let (input, output) = (Hash([1; 32]), Hash([2; 32]));
    format!(
        "receipt sign 7 --chain-id {CHAIN} --rpc http://127.0.0.1:1 --input {input} --output {output} --started 1000 \
         --finished 2000 --json {rest}"
    )
}

fn ack(rest: &str) -> String {
    let provider = Address::from_bytes([3; 32]);
    format!(
        "receipt ack 7 --chain-id {CHAIN} --rpc http://127.0.0.1:1 --provider {provider} --acks DIR/acks --json {rest}"
    )
}

#[tokio::test]
async fn receipts_follow_each_other_in_files() {
    let (dir, model) = (directory(), ModelId(Hash([5; 32])));
    let first = format!("--model {model} --unit tokens --units 500 --out DIR/1.json");
    run(&dir, &sign(&first)).await.unwrap();
    run(&dir, &sign("--after DIR/1.json --failed 9 --out DIR/2.json")).await.unwrap();
    let (one, two) =
        (read_receipt(&dir.path().join("1.json")).unwrap(), read_receipt(&dir.path().join("2.json")).unwrap());
    assert_eq!((one.seq, one.cumulative_units.get(), one.previous), (1, 500, Hash::ZERO));
    assert_eq!((two.seq, two.cumulative_units.get(), two.previous), (2, 500, one.hash(&CHAIN)));
    // The same from its number and hash.
    let known = format!("--model {model} --unit tokens --seq 1 --previous {} --so-far 500", one.hash(&CHAIN));
    run(&dir, &sign(&format!("{known} --failed 9 --out DIR/3.json"))).await.unwrap();
    assert_eq!(read_receipt(&dir.path().join("3.json")).unwrap(), two);
    let verify = format!("receipt verify DIR/2.json --after DIR/1.json --chain-id {CHAIN} --json");
    run(&dir, &verify).await.unwrap();
    assert!(matches!(run(&dir, &verify.replace("1.json", "2.json")).await, Err(CliError::Unproven { .. })));
}

#[tokio::test]
async fn command_lines_that_can_not_be_meant() {
    let (dir, model) = (directory(), ModelId(Hash([5; 32])));
    let first = format!("--model {model} --unit tokens --units 5 --out DIR/1.json");
    run(&dir, &sign(&first)).await.unwrap();
    let lines = [
        sign("--units 5 --failed 9 --after DIR/1.json --out DIR/x"),
        sign(&format!("--model {model} --units 5 --out DIR/x")),
        sign(&format!("{first} --after DIR/1.json")),
        sign(&format!("{first} --seq 3")),
        sign(&format!("{first} --previous {}", Hash([7; 32]))),
        sign("--after DIR/missing --out DIR/x"),
        sign(&first).replace(&format!("--chain-id {CHAIN}"), ""),
        sign("--after DIR/1.json --out DIR/x").replace("sign 7", "sign 8"),
        ack("--units 5 --key DIR/payer").replace(&format!("--chain-id {CHAIN}"), ""),
        format!("receipt verify DIR/1.json --chain-id {CHAIN} --legacy --ack DIR/x"),
        format!("receipt verify DIR/1.json --chain-id {CHAIN} --proof DIR/x"),
        format!("receipt verify DIR/1.json --chain-id {CHAIN} --ack-key {}", Hash([7; 32])),
        "receipt verify DIR/1.json".into(),
    ];
    for line in lines {
        assert!(matches!(run(&dir, &line).await, Err(CliError::Usage(_))), "{line}");
    }
    // Finished before it was started: a rule, not a slip of the keyboard.
    let line = sign(&first).replace("--finished 2000", "--finished 999");
    assert!(matches!(run(&dir, &line).await, Err(CliError::Failed(_))));
}

#[tokio::test]
async fn a_payer_who_forgets_is_reminded() {
    let dir = directory();
    run(&dir, &ack("--units 500 --key DIR/payer --out DIR/ack.json")).await.unwrap();
    let given = read_ack(&dir.path().join("ack.json")).unwrap();
    assert_eq!((given.key, given.acknowledged.leg), (SecretKey::from_seed(&[2; 32]).public(), 0));
    given.verify(&CHAIN).unwrap();
    run(&dir, &ack("--units 500 --key DIR/payer")).await.unwrap();
    let refused = [
        "--units 499 --key DIR/payer",
        "--units 600 --received 599 --key DIR/payer",
        "--units 600 --received 500 --quantum 99 --key DIR/payer",
    ];
    for rest in refused {
        assert!(matches!(run(&dir, &ack(rest)).await, Err(CliError::Failed(_))), "{rest}");
    }
    run(&dir, &ack("--units 600 --received 500 --quantum 100 --key DIR/payer")).await.unwrap();
    // Another leg and another chain have memories of their own.
    run(&dir, &ack("--units 1 --leg 1 --key DIR/payer")).await.unwrap();
    let elsewhere = ack("--units 1 --key DIR/payer").replace(&CHAIN.to_string(), &Hash([0x22; 32]).to_string());
    run(&dir, &elsewhere).await.unwrap();
    assert!(dir.path().join("acks").join(CHAIN.to_string()).join("7.1.json").exists());
}
