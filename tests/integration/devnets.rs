//! Devnets of several nodes as an operator handles them, and the directories of a testnet. Nothing
//! here needs the nodes to agree on anything: the time between blocks is a minute.

use chain_core::crypto::SecretKey;
use chain_tests::cluster::{Cluster, succeed};
use chain_tests::devnet::{Process, chain_node};
use chain_tests::eventually;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// So long that a chain without blocks does not look stale during a test.
const BLOCK_TIME: &str = "60s";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777
}

fn toml(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn value(path: &Path, key: &str) -> String {
    let found = toml(path).into_iter().find(|(own, _)| own == key);
    found.unwrap_or_else(|| panic!("{} has no {key}", path.display())).1
}

#[test]
fn a_new_devnet_has_everything_for_every_node() {
    let cluster = Cluster::new(4, 1);
    let dir = cluster.dir();
    assert_eq!((mode(&dir), mode(&dir.join("accounts.json"))), (0o700, 0o600));
    let set = cluster.genesis().validator_set().unwrap();
    assert_eq!((set.members().len(), set.total_weight()), (4, 4));
    let nodes: Value = serde_json::from_slice(&fs::read(dir.join("nodes.json")).unwrap()).unwrap();
    let mut ports = BTreeSet::new();
    for node in cluster.all() {
        let (data, config) = (cluster.data_dir(node), cluster.config(node));
        assert_eq!(fs::read(data.join("genesis.json")).unwrap(), fs::read(dir.join("genesis.json")).unwrap());
        let key = data.join("validator_key");
        assert_eq!(key.is_file(), node < 4, "the last one follows");
        if node < 4 {
            assert_eq!(mode(&key), 0o600);
            let mut seed = [0; 32];
            hex::decode_to_slice(fs::read_to_string(&key).unwrap().trim(), &mut seed).unwrap();
            let public = SecretKey::from_seed(&seed).public();
            assert!(set.index_of(&public).is_some());
            assert_eq!(nodes[node]["validator"], public.to_string());
        }
        let checked = chain_node().args(["config", "check", "--config"]).arg(&config).output().unwrap();
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert_eq!(value(&config, "data_dir"), format!("{:?}", data.display().to_string()));
        ports.extend(["p2p_port", "rpc_port", "metrics_port"].map(|key| value(&config, key)));
        let peers = cluster.all().into_iter().filter(|other| *other != node);
        let peers = peers.map(|other| format!("\"/ip4/127.0.0.1/tcp/{}\"", cluster.p2p(other).port()));
        assert_eq!(value(&config, "p2p_peers"), format!("[{}]", peers.collect::<Vec<_>>().join(", ")));
    }
    assert_eq!(ports.len(), 15, "every port once: {ports:?}");
}

#[test]
fn ports_without_a_wish_follow_the_scheme() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("d");
    succeed(chain_node().args(["devnet", "init", "--validators", "2", "--followers", "1", "--dir"]).arg(&dir));
    for (node, ports) in
        [["8005", "8006", "9090"], ["8025", "8026", "9091"], ["8045", "8046", "9092"]].iter().enumerate()
    {
        let config = dir.join(format!("node-{node}.toml"));
        assert_eq!(["p2p_port", "rpc_port", "metrics_port"].map(|key| value(&config, key)), *ports);
    }
}

struct Status(Vec<Value>);

impl Status {
    fn of(cluster: &Cluster) -> Self {
        let output = cluster.devnet(&["status", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn states(&self) -> Vec<&str> {
        self.0.iter().map(|row| row["state"].as_str().unwrap()).collect()
    }

    fn pids(&self) -> Vec<u64> {
        self.0.iter().map(|row| row["pid"].as_u64().unwrap_or_default()).collect()
    }
}

/// Ends the nodes of a devnet, also when the test fails.
struct InBackground(Cluster);

impl Drop for InBackground {
    fn drop(&mut self) {
        for node in self.0.all() {
            self.0.devnet(&["kill", &node.to_string()]);
        }
    }
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: Output, code: i32, words: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{}", text(&output.stdout));
    assert!(said.contains(words), "'{words}' is not in: {said}");
}

#[test]
fn nodes_are_started_killed_and_stopped_one_by_one() {
    let devnet = InBackground(Cluster::with_block_time(3, 1, BLOCK_TIME));
    let cluster = &devnet.0;
    assert_eq!(Status::of(cluster).states(), ["stopped"; 4]);
    assert!(ok(cluster.devnet(&["down"])).contains("no node ran"));
    let table = ok(cluster.devnet(&["up"]));
    let status = Status::of(cluster);
    let first = status.pids();
    assert_eq!(status.states(), ["running"; 4], "{table}");
    assert_eq!(table.lines().count(), 5, "{table}");
    for (node, row) in status.0.iter().enumerate() {
        assert_eq!(row["role"], if node < 3 { "validator" } else { "follower" });
        assert_eq!((&row["health"], &row["lag"]), (&"ok".into(), &0.into()), "{row}");
        assert!(table.contains(&first[node].to_string()), "{table}");
    }
    ok(cluster.devnet(&["up"]));
    assert_eq!(Status::of(cluster).pids(), first, "what runs is left alone");

    ok(cluster.devnet(&["kill", "1"]));
    refused(cluster.devnet(&["kill", "node-1"]), 1, "node-1 does not run");
    assert_eq!(Status::of(cluster).states(), ["running", "stopped", "running", "running"]);
    ok(cluster.devnet(&["up"]));
    let second = Status::of(cluster).pids();
    assert_eq!((second[0], second[2], second[3]), (first[0], first[2], first[3]));
    assert!(second[1] != 0 && second[1] != first[1]);

    ok(cluster.devnet(&["restart", "2"]));
    let third = Status::of(cluster).pids();
    assert!(third[2] != 0 && third[2] != first[2] && third[1] == second[1]);
    assert!(ok(cluster.devnet(&["logs", "2"])).matches("serving").count() >= 2, "one log over all starts");

    assert!(ok(cluster.devnet(&["down", "0", "node-3"])).contains("stopped node-0, node-3"));
    assert_eq!(Status::of(cluster).states(), ["stopped", "running", "running", "stopped"]);
    refused(cluster.devnet(&["reset"]), 4, "in use");
    ok(cluster.devnet(&["down"]));
    fs::write(cluster.dir().join("mine.txt"), "kept").unwrap();
    fs::write(cluster.dir().join("node-0.sign_state"), "of the old chain").unwrap();
    ok(cluster.devnet(&["reset"]));
    let left: Vec<_> = fs::read_dir(cluster.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
}

#[test]
fn a_process_that_got_the_id_of_a_node_is_left_alone() {
    let cluster = Cluster::with_block_time(2, 0, BLOCK_TIME);
    let mut stranger = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let path = cluster.dir().join("nodes.json");
    let mut nodes: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    nodes[0]["pid"] = stranger.id().into();
    nodes[0]["pid_since"] = 1.into();
    fs::write(&path, nodes.to_string()).unwrap();
    let states = Status::of(&cluster).states().join(" ");
    let stopped = ok(cluster.devnet(&["down"]));
    let alive = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(alive, "a stranger was ended");
    assert!(states == "stopped stopped" && stopped.contains("no node ran"), "{states}, {stopped}");
}

#[test]
fn a_node_that_ends_at_once_is_told_with_the_end_of_its_log() {
    let devnet = InBackground(Cluster::with_block_time(2, 0, BLOCK_TIME));
    let key = devnet.0.data_dir(1).join("validator_key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(devnet.0.devnet(&["up"]), 1, "chmod 600");
    assert_eq!(Status::of(&devnet.0).states(), ["running", "stopped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_foreground_an_ended_node_is_told_and_all_end_together() {
    let devnet = InBackground(Cluster::with_block_time(2, 1, BLOCK_TIME));
    let cluster = &devnet.0;
    let mut command = chain_node();
    command.args(["devnet", "run", "--dir"]).arg(cluster.dir());
    let mut watching = Process::start(&mut command, &cluster.beside("run.log"));
    let states = |wanted: &'static [&'static str]| {
        eventually("the nodes are as they should be", move || async move {
            (Status::of(cluster).states() == wanted).then_some(())
        })
    };
    states(&["running"; 3]).await;
    ok(cluster.devnet(&["kill", "1"]));
    let told = |words: &'static str| {
        let log = cluster.beside("run.log");
        eventually(words, move || {
            let found = fs::read_to_string(&log).unwrap().contains(words).then_some(());
            async move { found }
        })
    };
    told("node-1 has ended and is not restarted").await;
    ok(cluster.devnet(&["restart", "1"]));
    told("node-1 runs again").await;
    watching.signal("INT");
    let status = watching.end().await;
    assert!(status.success(), "{status}: {}", watching.output());
    assert_eq!(Status::of(cluster).states(), ["stopped"; 3], "the one restarted from elsewhere too");
}

#[test]
fn when_nobody_reads_the_foreground_any_more_no_node_is_left_running() {
    let devnet = InBackground(Cluster::with_block_time(2, 0, BLOCK_TIME));
    let mut command = chain_node();
    command.args(["devnet", "run", "--dir"]).arg(devnet.0.dir()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = command.spawn().unwrap();
    drop(watching.stdout.take());
    refused(watching.wait_with_output().unwrap(), 1, "nobody reads");
    assert_eq!(Status::of(&devnet.0).states(), ["stopped"; 2]);
}

#[test]
fn wrong_wishes_are_refused_and_nothing_is_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("d");
    let run = |arguments: &[&str]| chain_node().arg("devnet").args(arguments).arg("--dir").arg(&dir).output().unwrap();
    for (arguments, words) in [
        (&["init", "--validators", "0"][..], "0"),
        (&["init", "--validators", "65"], "65"),
        (&["init", "--block-time", "1ms"], "block_time"),
        (&["init", "--validators", "3", "--rpc-host", "127.0.0.1,127.0.0.2"], "--rpc-host names 2"),
        (&["init", "--validators", "3", "--rpc-port", "8025"], "given twice"),
        (&["init", "--validators", "3", "--base-port", "65500"], "no such ports"),
        (&["init", "--base-port", "0", "--rpc-port", "1"], "--base-port"),
        (&["up"], "devnet init"),
        (&["status"], "devnet init"),
        (&["down", "x"], "'x' is no node"),
    ] {
        refused(run(arguments), 2, words);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{arguments:?} left something");
    }
    ok(run(&["init", "--validators", "2", "--base-port", "0"]));
    refused(run(&["run", "--validators", "3"]), 2, "a devnet of 2 validators, not 3");
    refused(run(&["kill", "2"]), 2, "there is no node-2");
    refused(run(&["logs", "7"]), 2, "there is no node-7");
    let before = fs::read(dir.join("genesis.json")).unwrap();
    ok(run(&["init", "--validators", "2"]));
    assert_eq!(fs::read(dir.join("genesis.json")).unwrap(), before, "a second init changes nothing");
}

fn testnet(output: &Path, arguments: &[&str]) -> Output {
    chain_node().arg("testnet").args(arguments).arg("--output").arg(output).output().unwrap()
}

#[test]
fn a_testnet_is_a_directory_for_every_machine() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("net");
    let arguments = ["--validators", "3", "--hosts", "10.0.0.1,b.example.net,fd00::3", "--p2p-port", "7005"];
    let output = testnet(&dir, &[&arguments[..], &["--chain-name", "trial", "--block-time", "500ms"]].concat());
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let addresses = ["/ip4/10.0.0.1/tcp/7005", "/dns4/b.example.net/tcp/7005", "/ip6/fd00::3/tcp/7005"];
    let (mut geneses, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for node in 0..3 {
        let own = dir.join(format!("node-{node}"));
        let data = own.join("data");
        assert_eq!((mode(&own), mode(&data), mode(&data.join("validator_key"))), (0o700, 0o700, 0o600));
        assert!(own.join("data.sign_state").is_file(), "a fresh key is known to have signed nothing");
        let key = fs::read_to_string(data.join("validator_key")).unwrap();
        assert!(!said.contains(key.trim()), "keys are not printed");
        keys.insert(key);
        geneses.insert(fs::read_to_string(data.join("genesis.json")).unwrap());
        let peers = addresses.iter().filter(|address| **address != addresses[node]).map(|peer| format!("{peer:?}"));
        let config = own.join("node.toml");
        assert_eq!(value(&config, "p2p_peers"), format!("[{}]", peers.collect::<Vec<_>>().join(", ")));
        assert_eq!(value(&config, "p2p_host"), if node == 2 { "\"::\"" } else { "\"0.0.0.0\"" });
        assert_eq!((value(&config, "rpc_host"), value(&config, "p2p_port")), ("\"127.0.0.1\"".into(), "7005".into()));
        let readme = fs::read_to_string(own.join("README")).unwrap();
        assert!(readme.lines().count() == 4 && readme.contains("7005"), "{readme}");
        // As the README says: in the directory, with its file.
        succeed(chain_node().args(["config", "check", "--config", "node.toml"]).current_dir(&own));
        succeed(chain_node().args(["keys", "--data-dir", "data"]).current_dir(&own));
    }
    assert_eq!((geneses.len(), keys.len()), (1, 3));
    let genesis = genesis::ChainSpec::load(&dir.join("node-0/data/genesis.json")).unwrap().compile().unwrap();
    assert_eq!((&*genesis.name, genesis.params.block_time_ms), ("trial", 500));
    assert_eq!(mode(&dir.join("accounts.json")), 0o600);
    let again = testnet(&dir, &arguments);
    refused(again, 2, "choose another --output");
}

#[test]
fn wrong_testnets_are_refused_and_nothing_is_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("net");
    for (arguments, words) in [
        (&["--validators", "2", "--hosts", "a"][..], "1 hosts for 2"),
        (&["--validators", "2", "--hosts", "a,a"], "on one host"),
        (&["--validators", "2", "--hosts", "a,b/c"], "'b/c'"),
        (&["--validators", "2", "--hosts", "a,b:1"], "'b:1'"),
        (&["--validators", "2", "--host-template", "val.example.net"], "on one host"),
        (&["--validators", "2"], "--host"),
        (&["--validators", "0", "--host-template", "val{i}"], "0"),
        (&["--validators", "2", "--host-template", "val{i}", "--chain-name", ""], "name"),
    ] {
        refused(testnet(&dir, arguments), 2, words);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{arguments:?} left something");
    }
    let output = testnet(&dir, &["--validators", "2", "--host-template", "val{i}.example.net"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(value(&dir.join("node-0/node.toml"), "p2p_peers"), "[\"/dns4/val1.example.net/tcp/8005\"]");
}
