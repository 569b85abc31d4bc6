//! What a node refuses to start on, with which exit code, and what it starts on all the same.

use chain_tests::devnet::{Devnet, Process, chain_node, copy_dir};
use chain_tests::{PATIENCE, http};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// `chain-node run` on a data directory, with free ports.
fn run(data_dir: &Path) -> Command {
    let mut command = chain_node();
    command.args(["run", "--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0", "--data-dir"]).arg(data_dir);
    command
}

/// How a start ended: refused with a code and words, or serving.
enum Start {
    Refused(Option<i32>, String),
    Serving(Process),
}

/// Starts and waits until it refuses or serves.
async fn start(command: &mut Command, log: &Path) -> Start {
    let mut process = Process::start(command, log);
    let since = Instant::now();
    loop {
        if let Some(status) = process.ended() {
            return Start::Refused(status.code(), process.output());
        }
        if process.output().contains("serving") {
            return Start::Serving(process);
        }
        assert!(since.elapsed() < PATIENCE, "neither refused nor serving:\n{}", process.output());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A data directory with some history, and room beside it.
struct Stopped {
    devnet: Devnet,
    /// The highest final block that was seen.
    height: u64,
    copies: std::cell::Cell<u32>,
}

impl Stopped {
    /// Runs a chain for a while and stops it in order, or kills it.
    async fn new(orderly: bool) -> Self {
        let mut devnet = Devnet::start().await;
        let (to, wallets) = (devnet.rpc(), devnet.wallets());
        let mut seen = 0;
        for nonce in 0..5 {
            for wallet in &wallets[..5] {
                let bytes = format!("0x{}", hex::encode(wallet.pay(nonce, wallets[9].address, 1).bytes()));
                http::result(to, "send_tx", json!({ "signed_tx": bytes })).await;
            }
            seen = chain_tests::eventually("the next block", || async move {
                let head = http::result(to, "get_head", json!({})).await;
                Some(head["height"].as_str()?.parse().unwrap()).filter(|height| *height > seen)
            })
            .await;
        }
        if orderly {
            // The second start turns the database's own log into tables.
            assert_eq!(devnet.stop("INT").await, Some(0));
            devnet.up().await;
            assert_eq!(devnet.stop("TERM").await, Some(0));
        } else {
            devnet.kill();
        }
        Self { devnet, height: seen, copies: 0.into() }
    }

    /// A fresh copy of the data directory.
    fn copy(&self) -> PathBuf {
        let number = self.copies.replace(self.copies.get() + 1);
        let to = self.devnet.beside(&format!("copy-{number}"));
        copy_dir(&self.devnet.data_dir(), &to);
        fs::set_permissions(to.join("validator_key"), fs::Permissions::from_mode(0o600)).unwrap();
        to
    }

    /// Starts on a directory; must be refused with this code. Answers with the words.
    async fn refused(&self, data_dir: &Path, code: i32, change: impl FnOnce(&mut Command)) -> String {
        let mut command = run(data_dir);
        change(&mut command);
        match start(&mut command, &self.devnet.beside("start.log")).await {
            Start::Refused(found, words) => {
                assert_eq!(found, Some(code), "{words}");
                assert!(words.contains("error: "), "{words}");
                words
            }
            Start::Serving(process) => panic!("it serves: {}", process.output()),
        }
    }

    /// Starts on a directory; must serve. The process is killed at the end.
    async fn serves(&self, data_dir: &Path) -> String {
        match start(&mut run(data_dir), &self.devnet.beside("start.log")).await {
            Start::Refused(code, words) => panic!("refused with {code:?}: {words}"),
            Start::Serving(process) => process.output(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chains_directory_and_another_mode() {
    let stopped = Stopped::new(true).await;
    let copy = stopped.copy();
    stopped.serves(&copy).await;
    let other = stopped.devnet.beside("other");
    let made = chain_node().args(["devnet", "init", "--dir"]).arg(&other).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::copy(other.join("genesis.json"), copy.join("genesis.json")).unwrap();
    let words = stopped.refused(&copy, 3, |_| {}).await;
    assert!(words.contains("the directory holds chain"), "{words}");
    let words = stopped
        .refused(&stopped.copy(), 3, |c| {
            c.env("CONSENSUS_MODE", "pos");
        })
        .await;
    assert!(words.contains("CONSENSUS_MODE is pos"), "{words}");
    stopped
        .refused(&stopped.copy(), 2, |c| {
            c.env("DATABASE_URL", "mysql://x");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_exposed_missing_or_anothers() {
    let stopped = Stopped::new(true).await;
    let copy = stopped.copy();
    let key = copy.join("validator_key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let words = stopped.refused(&copy, 5, |_| {}).await;
    assert!(words.contains("chmod 600") && words.contains(&key.display().to_string()), "{words}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let somebody = stopped.devnet.wallets()[0].address.to_string();
    let words = stopped
        .refused(&copy, 5, |c| {
            c.env("VALIDATOR_ADDRESS", &somebody);
        })
        .await;
    assert!(words.contains("VALIDATOR_ADDRESS"), "{words}");
    let secret = fs::read_to_string(&key).unwrap();
    fs::write(&key, "nonsense").unwrap();
    let words = stopped.refused(&copy, 5, |_| {}).await;
    assert!(!words.contains("nonsense") && !words.contains(secret.trim()), "a key file is not shown: {words}");
    fs::remove_file(&key).unwrap();
    stopped
        .refused(&copy, 5, |c| {
            c.env("VALIDATOR_ADDRESS", &somebody);
        })
        .await;
    // Without a key it is a follower.
    stopped.serves(&copy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_are_wrong() {
    let stopped = Stopped::new(true).await;
    let copy = stopped.copy();
    let file = stopped.devnet.beside("node.toml");
    for (content, expected) in [
        ("rpc_prot = 1\n", "rpc_prot"),
        ("rpc_port = \"x\"\n", "rpc_port"),
        ("p2p_port = 9\nmetrics_port = 9\n", ""),
        ("[advanced]\nflush_interval_blocks = 0\n", "flush_interval_blocks"),
        ("this is no TOML", ""),
    ] {
        fs::write(&file, content).unwrap();
        let mut command = chain_node();
        command.args(["config", "check", "--config"]).arg(&file);
        let Start::Refused(code, words) = start(&mut command, &stopped.devnet.beside("check.log")).await else {
            panic!("a check serves nothing")
        };
        assert_eq!(code, Some(2), "{content}: {words}");
        assert!(words.contains(expected), "{content}: {words}");
    }
    fs::write(&file, "rpc_prot = 1\n").unwrap();
    stopped
        .refused(&copy, 2, |c| {
            c.arg("--config").arg(&file);
        })
        .await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--rpc-port", "--metrics-port"] {
        let mut command = chain_node();
        let other = if flag == "--rpc-port" { "--metrics-port" } else { "--rpc-port" };
        command.args(["run", flag, &port, other, "0", "--p2p-port", "0", "--data-dir"]).arg(&copy);
        let started = start(&mut command, &stopped.devnet.beside("start.log")).await;
        let Start::Refused(code, words) = started else { panic!("two listeners on one port") };
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains("cannot listen"), "{words}");
    }
    stopped.refused(&stopped.devnet.beside("nothing"), 2, |_| {}).await;
    let mut command = chain_node();
    command.args(["run", "--rpc-port", "8005", "--metrics-port", "0", "--data-dir"]).arg(&copy);
    let started = start(&mut command, &stopped.devnet.beside("start.log")).await;
    let Start::Refused(code, words) = started else { panic!("two services on one port") };
    assert!(code == Some(2) && words.contains("rpc_port and p2p_port are both 8005"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_per_directory() {
    let devnet = Devnet::start().await;
    let started = start(&mut run(&devnet.data_dir()), &devnet.beside("second.log")).await;
    let Start::Refused(code, words) = started else { panic!("two processes on one directory") };
    assert_eq!(code, Some(4), "{words}");
    assert!(words.contains("node-0") && words.contains("in use"), "{words}");
    let reset = chain_node().args(["devnet", "reset", "--dir"]).arg(devnet.dir()).output().unwrap();
    assert_eq!(reset.status.code(), Some(4), "a running devnet is not thrown away");
    assert_eq!(http::get(devnet.rpc(), "/readyz").await.status, 200);
}

fn tables(data_dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data_dir.join("db/rows")).unwrap().map(|entry| entry.unwrap().path());
    let mut tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "sst")).collect();
    tables.sort();
    tables
}

fn flip(path: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, by: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - by).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused() {
    let stopped = Stopped::new(true).await;
    let names: Vec<_> = tables(&stopped.devnet.data_dir());
    assert!(!names.is_empty(), "a node that stops in order leaves tables");
    let copy = stopped.copy();
    for table in tables(&copy) {
        flip(&table, |length| length / 3);
    }
    let words = stopped.refused(&copy, 4, |_| {}).await;
    assert!(words.contains("damaged"), "{words}");
    for name in &names {
        let copy = stopped.copy();
        cut(&copy.join("db/rows").join(name.file_name().unwrap()), 7);
        stopped.refused(&copy, 4, |_| {}).await;
        let copy = stopped.copy();
        fs::remove_file(copy.join("db/rows").join(name.file_name().unwrap())).unwrap();
        stopped.refused(&copy, 4, |_| {}).await;
    }
    let copy = stopped.copy();
    fs::write(copy.join("db/rows/CURRENT"), "nonsense\n").unwrap();
    stopped.refused(&copy, 4, |_| {}).await;
    let copy = stopped.copy();
    fs::remove_file(copy.join("db/rows/CURRENT")).unwrap();
    stopped.refused(&copy, 4, |_| {}).await;
    let copy = stopped.copy();
    for entry in fs::read_dir(copy.join("db/rows")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("MANIFEST") {
            flip(&entry.path(), |length| length / 2);
        }
    }
    stopped.refused(&copy, 4, |_| {}).await;
}

/// Bit rot in the database's own log must not take final blocks away unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_databases_own_log_takes_no_final_block() {
    let stopped = Stopped::new(false).await;
    for (numerator, denominator) in [(1, 3), (1, 2), (3, 4)] {
        let copy = stopped.copy();
        let files = fs::read_dir(copy.join("db/rows")).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        let log = logs.max_by_key(|path| path.metadata().unwrap().len()).expect("the database has a log");
        flip(&log, |length| length * numerator / denominator);
        let mut command = run(&copy);
        match start(&mut command, &stopped.devnet.beside("start.log")).await {
            Start::Refused(code, words) => assert_eq!(code, Some(4), "{words}"),
            Start::Serving(process) => {
                let output = process.output();
                drop(process);
                panic!("it serves from a damaged log; the highest block seen was {}: {output}", stopped.height)
            }
        }
    }
}

fn log_file(data_dir: &Path, name: &str) -> PathBuf {
    let files = fs::read_dir(data_dir.join("logs")).unwrap().map(|entry| entry.unwrap().path());
    let own = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    let mut found: Vec<_> = files.filter(own).filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    found.sort();
    found.pop().expect("the log exists")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_torn_end_of_a_log_is_cut_and_its_damaged_middle_refused() {
    let stopped = Stopped::new(false).await;
    for name in ["consensus", "mempool"] {
        let copy = stopped.copy();
        let log = log_file(&copy, name);
        let mut bytes = fs::read(&log).unwrap();
        bytes.extend([7; 100]);
        fs::write(&log, bytes).unwrap();
        let words = stopped.serves(&copy).await;
        assert!(words.contains("cut off an unfinished write"), "{name}: {words}");
        let copy = stopped.copy();
        flip(&log_file(&copy, name), |_| 3);
        let words = stopped.refused(&copy, 4, |_| {}).await;
        assert!(words.contains("damaged log"), "{name}: {words}");
    }
    // The pool's log holds transactions of many syncs; the end of the last one looks like a torn write.
    let copy = stopped.copy();
    cut(&log_file(&copy, "mempool"), 3);
    stopped.serves(&copy).await;
    let copy = stopped.copy();
    flip(&log_file(&copy, "mempool"), |_| 32 + 24 + 10);
    let words = stopped.refused(&copy, 4, |_| {}).await;
    assert!(words.contains("damaged log"), "{words}");
    let copy = stopped.copy();
    flip(&log_file(&copy, "mempool"), |length| length / 2);
    stopped.refused(&copy, 4, |_| {}).await;
}
