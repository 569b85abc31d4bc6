//! Who validates, decided by the command line alone: a network grows from four validators to seven and
//! shrinks to four others, a validator that contradicts itself is convicted by the nodes themselves, and
//! a network stops where rules begin that it does not know.

use chain_core::consensus::{self, Peer};
use chain_core::crypto::{Hash, SecretKey};
use chain_core::types::{BlockId, ChainId, Height, SignedMessage, View, Vote, VoteKind};
use chain_core::wire::Message;
use chain_rpc::client::Client;
use chain_rpc::view::{ValidatorStatus, ValidatorView};
use chain_tests::cluster::Cluster;
use chain_tests::devnet::binary;
use chain_tests::eventually;
use chain_tests::http;
use chain_tests::peer::TestPeer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use tokio::task::JoinHandle;

/// Evidence has to be in a block so soon after the offence.
pub const CONVICTED_WITHIN: u64 = 5;

/// `chain` for this cluster, asking one of its nodes.
pub fn chain(cluster: &Cluster, node: usize, line: &str) -> Output {
    let mut command = Command::new(binary().with_file_name("chain"));
    command.stdin(Stdio::null()).env_remove("DEVNET_DIR").env_remove("CHAIN_RPC").env_remove("CHAIN_PASSPHRASE");
    command.arg("--json").arg("--rpc").arg(format!("http://{}", cluster.rpc(node)));
    command.arg("--devnet-dir").arg(cluster.dir()).arg("--keystore").arg(cluster.beside("keys"));
    command.args(line.split_whitespace()).output().unwrap()
}

/// What it prints; it must succeed.
pub fn said(cluster: &Cluster, node: usize, line: &str) -> Value {
    let output = chain(cluster, node, line);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "chain {line}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("chain {line}: {e}: {out}"))
}

/// Asks the council through the first of its members and lets the next ones vote until it is decided.
fn decide(cluster: &Cluster, node: usize, measure: &str, council: &[usize]) -> String {
    let asked = said(cluster, node, &format!("authority propose {measure} --from node-{}", council[0]));
    let events = asked["events"].as_array().unwrap();
    let opened = events.iter().find(|event| event["type"] == "proposal_opened").unwrap();
    let number = opened["proposal"].as_str().unwrap().to_owned();
    let status = || said(cluster, node, &format!("authority show {number}"))["status"].as_str().unwrap().to_owned();
    for member in &council[1..] {
        if status() != "open" {
            break;
        }
        said(cluster, node, &format!("authority vote {number} yes --from node-{member}"));
    }
    assert!(["enacted", "passed"].contains(&status().as_str()), "proposal {number} to {measure}: {}", status());
    number
}

/// Which nodes are in the set of the next block, as one of them says.
async fn set(cluster: &Cluster, node: usize) -> BTreeSet<usize> {
    let view = cluster.client(node).await.get_validators().await.unwrap();
    let of = |one: &ValidatorView| cluster.all().into_iter().find(|node| cluster.key(*node).public() == one.public_key);
    view.validators.iter().map(|one| of(one).expect("a node's key")).collect()
}

async fn wait_set(cluster: &Cluster, node: usize, wanted: &[usize]) {
    let wanted: BTreeSet<_> = wanted.iter().copied().collect();
    eventually(&format!("the set is {wanted:?}"), || async {
        Some(set(cluster, node).await).filter(|set| *set == wanted)
    })
    .await;
}

/// Waits until a node has built a block from a height on.
async fn builds(cluster: &Cluster, node: usize, from: u64) {
    let (key, client) = (cluster.key(node).public(), cluster.client(0).await);
    eventually(&format!("node-{node} builds a block"), || async {
        let head = client.get_head().await.unwrap();
        (head.height.get() > from && head.proposer == key).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_become_seven_and_four_others_by_the_command_line() {
    let mut cluster = Cluster::with_candidates(4, 3);
    cluster.up().await;
    let health = async |cluster: &Cluster, node| http::get(cluster.rpc(node), "/health").await.json();
    assert_eq!(health(&cluster, 4).await["validator"], false);
    let mut council = vec![0, 1, 2, 3];
    for new in 4..7 {
        decide(&cluster, 0, &format!("add node-{new} --name site-{new}"), &council);
        let refused = chain(&cluster, 0, &format!("authority vote 1 yes --from node-{new}"));
        assert_eq!(refused.status.code(), Some(1), "proposal 1 is closed");
        said(&cluster, new, &format!("authority ready --from node-{new}"));
        council.push(new);
    }
    wait_set(&cluster, 0, &[0, 1, 2, 3, 4, 5, 6]).await;
    let grown = cluster.height(&[0]).await;
    for node in 4..7 {
        builds(&cluster, node, grown).await;
        assert_eq!(health(&cluster, node).await["validator"], true);
        let info = http::result(cluster.rpc(node), "node_info", json!({})).await;
        assert_eq!(info["role"], "validator");
    }
    cluster.wait_equal(&cluster.all()).await;
    for old in 0..3 {
        decide(&cluster, 6, &format!("remove node-{old}"), &council[old..]);
    }
    wait_set(&cluster, 6, &[3, 4, 5, 6]).await;
    let shrunk = cluster.height(&[6]).await;
    // Those that left follow.
    cluster.wait_height(&cluster.all(), shrunk + 10).await;
    cluster.wait_equal(&cluster.all()).await;
    for node in 0..3 {
        let status = http::get(cluster.rpc(node), "/sync_status").await.json();
        assert_eq!(
            (&status["validator"], &status["syncing"], &status["held_back"]),
            (&json!(false), &json!(false), &json!(false))
        );
    }
    // A proof by the new set is believed by who knows nothing but the genesis.
    let file = cluster.beside("proof.json");
    said(&cluster, 6, &format!("proof get --account dev1 --out {}", file.display()));
    let genesis = cluster.dir().join("genesis.json");
    let proven = said(&cluster, 6, &format!("proof verify {} --genesis {}", file.display(), genesis.display()));
    assert_eq!((&proven["validators"], &proven["present"]), (&json!(4), &json!(true)));
    let mut cut: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    cut["set_changes"].as_array_mut().unwrap().remove(2);
    std::fs::write(&file, cut.to_string()).unwrap();
    let line = format!("proof verify {} --genesis {}", file.display(), genesis.display());
    assert_eq!(chain(&cluster, 6, &line).status.code(), Some(1), "a hop is missing");
    // Nobody needs them any more.
    for node in 0..3 {
        assert_eq!(cluster.stop(node).await, Some(0));
    }
    cluster.wait_height(&[3, 4, 5, 6], shrunk + 20).await;
    let uptime = said(&cluster, 6, "authority uptime --blocks 10");
    assert_eq!(uptime["validators"].as_array().unwrap().len(), 4);
    let table = said(&cluster, 6, "authority validators");
    let names: BTreeSet<_> =
        table["validators"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["", "site-4", "site-5", "site-6"]));
}

/// Somebody with a validator's key who says two things at a time.
pub struct Twin {
    peer: TestPeer,
    joined: Vec<Peer>,
    key: SecretKey,
    chain: ChainId,
}

impl Twin {
    /// Takes a node's place, connected to all others; besides, the first node's word of what it notices.
    pub async fn of(cluster: &mut Cluster, node: usize) -> (Self, JoinHandle<Value>) {
        let (chain, key) = (cluster.genesis().chain_id(), cluster.key(node));
        cluster.kill(node);
        let socket = cluster.socket(0).await;
        let mut feed = socket.subscribe::<Value>("consensus_events", &json!({})).await.unwrap();
        // Read all the while: who reads too slowly is dropped.
        let told = tokio::spawn(async move {
            let _socket = socket;
            loop {
                let event = feed.next().await.expect("it goes on").unwrap();
                if event["type"] == "equivocation" {
                    return event;
                }
            }
        });
        let nodes: Vec<_> = (0..node).map(|node| cluster.p2p(node)).collect();
        let mut peer = TestPeer::start(chain, Some(cluster.key(node)), &nodes).await;
        let mut joined = Vec::new();
        while joined.len() < nodes.len() {
            joined.push(peer.joined().await);
        }
        (Self { peer, joined, key, chain }, told)
    }

    fn word(&self, height: Height, block: u8) -> Message {
        let block = Some(BlockId(Hash([block; 32])));
        let message = SignedMessage { kind: VoteKind::Notarize, height, view: View::ZERO, block };
        let vote = Vote::sign(message, &self.chain, &self.key).unwrap();
        Message::Agreement { message: consensus::Message::Vote(vote), block: None }
    }

    /// Contradicts itself at one height after the other until the chain has convicted it.
    pub async fn until_convicted(&self, client: &Client) -> ValidatorView {
        eventually("it is convicted", || async {
            // Whoever decides fast has the height behind it: then it is said of the next.
            let height = client.get_head().await.unwrap().height.next();
            for peer in &self.joined {
                self.peer.say(*peer, &self.word(height, 1));
                self.peer.say(*peer, &self.word(height, 2));
            }
            let view = client.get_validators().await.unwrap();
            let mut all = view.validators.into_iter().chain(view.others);
            let own = all.find(|one| one.public_key == self.key.public()).expect("it is known");
            Some(own).filter(|one| one.status == ValidatorStatus::Convicted)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byzantine_twin_is_convicted_by_the_nodes_and_leaves_the_set() {
    let mut cluster = Cluster::new(4, 1);
    cluster.up().await;
    let others = [0, 1, 2];
    let (twin, told) = Twin::of(&mut cluster, 3).await;
    let (client, key) = (cluster.client(0).await, cluster.key(3).public());
    let convicted = twin.until_convicted(&client).await;
    let offence = convicted.equivocation.unwrap().height;
    let blocks = convicted.since.get() - offence.get();
    assert!(blocks <= CONVICTED_WITHIN, "an offence at {offence} was in a block only at {}", convicted.since);
    wait_set(&cluster, 0, &others).await;
    let left = client.get_head().await.unwrap().height;
    // The set changes after heights divisible by five.
    assert!(left.get() <= convicted.since.get() + 2 * 5, "it left only at {left}");
    let event = told.await.unwrap();
    assert_eq!((&event["validator"], &event["kind"]), (&json!(key), &json!("notarizes")));
    assert!(cluster.metric(0, "blockchain_equivocations_total").await >= 1.0);
    // Once is enough: nobody else paid for the same.
    let height = cluster.height(&others).await;
    cluster.wait_height(&[0, 1, 2, 4], height + 8).await;
    cluster.wait_equal(&[0, 1, 2, 4]).await;
    for node in others {
        assert_eq!(cluster.metric(node, "blockchain_evidence_kept").await, 0.0);
        assert_eq!(std::fs::read_dir(cluster.data_dir(node).join("evidence")).map_or(0, Iterator::count), 0);
    }
    let refused = chain(&cluster, 0, "authority propose unjail node-3 --from node-0");
    assert_eq!(refused.status.code(), Some(1), "that stands for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_stops_before_rules_it_does_not_know() {
    let mut cluster = Cluster::new(4, 1);
    cluster.up().await;
    // Far enough for the votes, near enough to wait for.
    let first = cluster.height(&[0]).await + 25;
    decide(&cluster, 0, &format!("upgrade 2 {first}"), &[0, 1, 2, 3]);
    let rules = said(&cluster, 0, "authority rules");
    let pending = &rules["upgrade"]["pending"][0];
    assert_eq!((&pending["version"], &pending["height"]), (&json!(2), &json!(first.to_string())));
    assert_eq!(pending["is_known"], false);
    let words =
        format!("stopped before block {first}: the chain follows version 2 of the rules from the next block on");
    for node in cluster.all() {
        let process = cluster.process(node);
        assert_eq!(process.end().await.code(), Some(7), "node-{node}: {}", process.output());
        assert!(process.output().contains(&words), "node-{node}: {}", process.output());
        cluster.kill(node);
    }
    for node in [0, 4] {
        cluster.start(node);
        let process = cluster.process(node);
        assert_eq!(process.end().await.code(), Some(7), "{}", process.output());
        assert!(process.output().contains(&words), "{}", process.output());
        cluster.kill(node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_is_changed_by_vote_and_every_wrong_word_has_its_number() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let refused = |line: &str, number: u16| {
        let output = chain(&cluster, 0, line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {text}");
        assert!(text.contains(&format!("({number} ")), "{line}: {text}");
    };
    refused("authority vote 9 yes --from node-0", 502);
    refused("authority propose param burn_bps 10001 --from node-0", 515);
    refused("authority propose param no_such 1 --from node-0", 514);
    refused("authority propose param burn_bps 1 --from dev0", 500);
    refused("authority ready --from node-0", 519);
    let asked = said(&cluster, 0, "authority propose param burn_bps 6000 --from node-0");
    assert_eq!(asked["events"][0]["proposal"], "1");
    refused("authority vote 1 yes --from node-0", 505);
    said(&cluster, 1, "authority vote 1 yes --from node-1");
    // By the file itself, as an operator would name it, and paid by somebody else.
    let file = cluster.data_dir(2).join("validator_key");
    said(&cluster, 2, &format!("authority vote 1 yes --from {} --fee-payer dev1", file.display()));
    refused("authority vote 1 yes --from node-3", 503);
    eventually("the new value", || async {
        let params = said(&cluster, 3, "authority params");
        Some(()).filter(|()| params["params"]["burn_bps"] == 6_000)
    })
    .await;
    let history = said(&cluster, 3, "authority history burn_bps");
    let change = &history["changes"][0];
    assert_eq!(
        (&change["before"], &change["after"], &change["proposal"]),
        (&json!("5000"), &json!("6000"), &json!("1"))
    );
    decide(&cluster, 0, "role curator dev2", &[1, 2, 3]);
    let roles = said(&cluster, 0, "authority rules")["roles"]["roles"].clone();
    assert_eq!(roles["curator"], json!(cluster.wallets()[2].address));
}
