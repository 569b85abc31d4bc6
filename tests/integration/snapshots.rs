//! A node's state in a file: made from one directory, restored into another, which goes on from there.
//! And a node that forgets old blocks while it runs.

use chain_core::types::{AssetId, Height};
use chain_tests::devnet::{Devnet, Process, chain_node};
use chain_tests::{eventually, http};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

/// `chain-node db …` on a data directory.
fn db(command: &[&str], data_dir: &Path) -> Output {
    chain_node().arg("db").args(command).arg("--data-dir").arg(data_dir).output().unwrap()
}

/// What it wrote, if it ended with this code.
fn said(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    all
}

/// The value a line of `db inspect` begins with.
fn value(inspected: &str, name: &str) -> String {
    let line = inspected.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {inspected}"));
    line.trim_start_matches(name).trim().to_owned()
}

async fn height(rpc: SocketAddr) -> u64 {
    http::result(rpc, "get_head", json!({})).await["height"].as_str().unwrap().parse().unwrap()
}

/// Runs a devnet until some transfers are final, some blocks passed, and stops it.
async fn stopped() -> Devnet {
    let mut devnet = Devnet::start().await;
    let (rpc, wallets) = (devnet.rpc(), devnet.wallets());
    for nonce in 0..3 {
        let bytes = format!("0x{}", hex::encode(wallets[0].pay(nonce, wallets[1].address, 5).bytes()));
        http::result(rpc, "send_tx", json!({ "signed_tx": bytes })).await;
        let before = height(rpc).await;
        eventually("another block", || async move { (height(rpc).await > before + 1).then_some(()) }).await;
    }
    assert_eq!(devnet.stop("TERM").await, Some(0));
    devnet
}

/// Makes a data directory for the devnet's chain, with the validator's key or without.
fn init(devnet: &Devnet, name: &str, with_key: bool) -> PathBuf {
    let dir = devnet.beside(name);
    let mut command = chain_node();
    command.args(["init", "--data-dir"]).arg(&dir).arg("--genesis").arg(devnet.data_dir().join("genesis.json"));
    if with_key {
        command.arg("--validator-key").arg(devnet.data_dir().join("validator_key"));
    }
    said(&command.output().unwrap(), 0);
    dir
}

/// Starts a node and waits until it serves. Answers where.
async fn run(data_dir: &Path, log: &Path, more: &[&str]) -> (Process, SocketAddr) {
    let mut command = chain_node();
    command
        .args(["run", "--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0", "--data-dir"])
        .arg(data_dir)
        .args(more);
    command.env("LOG_FORMAT", "json");
    let mut process = Process::start(&mut command, log);
    let rpc = eventually("it serves", || {
        if let Some(status) = process.ended() {
            panic!("it ended with {status}: {}", process.output());
        }
        let found = process.output().lines().filter(|line| line.contains("serving")).find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["rpc"].as_str()?.parse().ok()
        });
        async move { found }
    })
    .await;
    (process, rpc)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_makes_another_directory_the_same_chain() {
    let devnet = stopped().await;
    let (source, file) = (devnet.data_dir(), devnet.beside("chain.snapshot"));
    let path = file.to_str().unwrap();
    said(&db(&["snapshot", "--output", path], &source), 0);
    assert!(said(&db(&["snapshot", "--output", path], &source), 2).contains("exists"));
    let inspected = said(&db(&["inspect"], &source), 0);
    let copy = init(&devnet, "copy", false);
    assert!(said(&db(&["restore", "--input", path], &copy), 0).contains(&value(&inspected, "block")));
    assert_eq!(said(&db(&["verify"], &copy), 0), said(&db(&["verify"], &source), 0));
    let found = said(&db(&["inspect"], &copy), 0);
    for name in ["chain", "height", "block", "state root", "rows"] {
        assert_eq!(value(&found, name), value(&inspected, name));
    }
    assert_eq!(value(&found, "oldest body"), value(&inspected, "height"));
    assert!(said(&db(&["restore", "--input", path], &copy), 4).contains("already"));

    let (mut process, rpc) = run(&copy, &devnet.beside("copy.log"), &[]).await;
    let client = chain_rpc::Client::connect(&format!("http://{rpc}")).await.unwrap();
    let (head, wallets) = (client.get_head().await.unwrap(), devnet.wallets());
    assert_eq!(head.height.to_string(), value(&inspected, "height"));
    let held = client.get_balance(wallets[1].address, AssetId::NATIVE).await.unwrap().balance.get();
    let first = client.get_balance(wallets[2].address, AssetId::NATIVE).await.unwrap().balance.get();
    assert_eq!(held, first + 15, "what was transferred before the snapshot");
    assert_eq!(client.node_info().await.unwrap().oldest_body, head.height);
    let below = Height::new(head.height.get() - 1);
    let answer = http::call(rpc, "get_block", json!({ "block": below.to_string() })).await.json();
    assert_eq!(answer["error"]["data"]["reason"], "pruned", "{answer}");
    process.signal("TERM");
    assert_eq!(process.end().await.code(), Some(0));
}

/// It does not know what it has signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_validator_signs_only_with_an_operators_word() {
    let devnet = stopped().await;
    let (source, file) = (devnet.data_dir(), devnet.beside("chain.snapshot"));
    let path = file.to_str().unwrap();
    said(&db(&["snapshot", "--output", path], &source), 0);
    let used = said(&db(&["restore", "--input", path], &source), 5);
    assert!(used.contains("consensus-"), "{used}");
    let copy = init(&devnet, "copy", true);
    let restored = said(&db(&["restore", "--input", path], &copy), 0);
    assert!(restored.contains("accept_lost_consensus_log"), "{restored}");
    for again in ["first", "second"] {
        let refused = chain_node()
            .args(["run", "--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0", "--data-dir"])
            .arg(&copy)
            .output();
        assert!(said(&refused.unwrap(), 5).contains("holds no consensus log"), "the {again} time");
    }
    let accepting = devnet.beside("accepting.toml");
    fs::write(&accepting, "[advanced]\naccept_lost_consensus_log = true\nresume_signing_at = 1\n").unwrap();
    let (_process, rpc) = run(&copy, &devnet.beside("copy.log"), &["--config", accepting.to_str().unwrap()]).await;
    let before = height(rpc).await;
    eventually("it makes blocks", || async move { (height(rpc).await > before + 2).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_foreign_snapshots_leave_a_directory_as_it_was() {
    let devnet = stopped().await;
    let file = devnet.beside("chain.snapshot");
    said(&db(&["snapshot", "--output", file.to_str().unwrap()], &devnet.data_dir()), 0);
    let good = fs::read(&file).unwrap();
    let copy = init(&devnet, "copy", false);
    let bad = devnet.beside("bad.snapshot");
    let try_bytes = |bytes: &[u8], code: i32| {
        fs::write(&bad, bytes).unwrap();
        said(&db(&["restore", "--input", bad.to_str().unwrap()], &copy), code)
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    assert!(try_bytes(&flipped, 4).contains("damaged"));
    assert!(try_bytes(&good[..good.len() - 1], 4).contains("cut off"));
    assert!(try_bytes(b"nonsense", 4).contains("cut off"));
    let mut foreign = good.clone();
    foreign[20] ^= 1;
    assert!(try_bytes(&foreign, 3).contains("of chain"));
    said(&db(&["restore", "--input", devnet.beside("nothing").to_str().unwrap()], &copy), 2);
    try_bytes(&good, 0);
    said(&db(&["verify"], &copy), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_node_forgets_contents_and_keeps_certificates() {
    let mut devnet = Devnet::new();
    let made = chain_node().args(["devnet", "init", "--block-time", "50ms", "--dir"]).arg(devnet.dir()).output();
    said(&made.unwrap(), 0);
    let pruning = devnet.beside("pruning.toml");
    fs::write(&pruning, "[advanced]\nprune_keep_blocks = 64\n").unwrap();
    let (mut process, rpc) =
        run(&devnet.data_dir(), &devnet.beside("node.log"), &["--config", pruning.to_str().unwrap()]).await;
    let client = chain_rpc::Client::connect(&format!("http://{rpc}")).await.unwrap();
    let oldest = eventually("it forgets blocks", || async {
        let oldest = client.node_info().await.unwrap().oldest_body;
        Some(oldest).filter(|oldest| *oldest > Height::new(5))
    })
    .await;
    let head = client.get_head().await.unwrap().height;
    assert!(oldest.get() + 64 <= head.get(), "{oldest} of {head}");
    let answer = http::call(rpc, "get_block", json!({ "block": "3" })).await.json();
    assert_eq!(answer["error"]["data"]["reason"], "pruned", "{answer}");
    for method in ["get_header", "get_certificate"] {
        let answer = http::call(rpc, method, json!({ "block": "3" })).await.json();
        assert!(answer["error"].is_null(), "{method}: {answer}");
    }
    process.kill();
    devnet.up().await;
    assert_eq!(devnet.stop("TERM").await, Some(0));
    let inspected = said(&db(&["inspect"], &devnet.data_dir()), 0);
    assert!(value(&inspected, "oldest body").parse::<u64>().unwrap() >= oldest.get(), "{inspected}");
    assert!(said(&db(&["prune", "--keep", "63"], &devnet.data_dir()), 2).contains("at least 64"));
    said(&db(&["prune", "--keep", "64"], &devnet.data_dir()), 0);
    let after = said(&db(&["inspect"], &devnet.data_dir()), 0);
    let of = |name| value(&after, name).parse::<u64>().unwrap();
    assert_eq!(of("oldest body"), of("height") - 64);
    said(&db(&["verify"], &devnet.data_dir()), 0);
}
