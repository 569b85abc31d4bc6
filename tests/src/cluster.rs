//! Several nodes as processes of this test: made by the binary on free ports, started, killed and
//! stopped one by one, watched over their RPC. When a test fails, the ends of their logs are printed.
//!
//! Not here: one node (`devnet`), machines apart (`sites`), slow lines (`proxy`).

use crate::devnet::{Process, chain_node};
use crate::proxy::DelayProxy;
use crate::sites::Sites;
use crate::wallet::Wallet;
use crate::{eventually, http};
use chain_core::crypto::SecretKey;
use chain_core::genesis::Genesis;
use chain_rpc::client::Client;
use genesis::ChainSpec;
use genesis::accounts::AccountsFile;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// How much of a log is shown when a test fails.
const SHOWN_LINES: usize = 40;

/// A node's newest final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: String,
}

/// Several nodes of one chain, in a directory of their own.
pub struct Cluster {
    home: TempDir,
    nodes: Vec<Node>,
    sites: Option<Sites>,
    proxies: BTreeMap<(usize, usize), DelayProxy>,
}

struct Node {
    rpc: SocketAddr,
    metrics: SocketAddr,
    p2p: SocketAddr,
    /// Environment of its next start.
    environment: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Cluster {
    /// Makes a devnet with a block every 200 ms; nothing runs yet.
    pub fn new(validators: usize, followers: usize) -> Self {
        Self::made((validators, 0, followers), "200ms", None)
    }

    /// As `new`, with nodes behind the validators that have a key which the council can admit.
    pub fn with_candidates(validators: usize, candidates: usize) -> Self {
        Self::made((validators, candidates, 0), "200ms", None)
    }

    /// Makes a devnet; nothing runs yet.
    pub fn with_block_time(validators: usize, followers: usize, block_time: &str) -> Self {
        Self::made((validators, 0, followers), block_time, None)
    }

    /// Makes a devnet of as many validators as `site_of` is long, each at one of two sites, which
    /// are network namespaces with one link between them. Where that is not allowed, says why.
    pub fn at_sites(site_of: &[usize]) -> Result<Self, String> {
        let sites = Sites::new(site_of)?;
        Ok(Self::made((site_of.len(), 0, 0), "200ms", Some(sites)))
    }

    /// As `new`, in a mode with stake.
    pub fn with_stake(validators: usize, followers: usize, mode: &str) -> Self {
        Self::in_mode((validators, 0, followers), ("200ms", mode), None)
    }

    fn made(nodes: (usize, usize, usize), block_time: &str, sites: Option<Sites>) -> Self {
        Self::in_mode(nodes, (block_time, "poa"), sites)
    }

    fn in_mode(
        (validators, candidates, followers): (usize, usize, usize),
        (block_time, mode): (&str, &str),
        sites: Option<Sites>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("devnet");
        let mut command = chain_node();
        command.args(["devnet", "init", "--base-port", "0", "--block-time", block_time, "--mode", mode]);
        command.args(["--validators", &validators.to_string(), "--followers", &followers.to_string()]);
        command.args(["--candidates", &candidates.to_string()]);
        if let Some(sites) = &sites {
            command.args(["--rpc-host", &sites.rpc_hosts(), "--p2p-host", &sites.p2p_hosts()]);
        }
        succeed(command.arg("--dir").arg(&dir));
        let listed: Value = serde_json::from_slice(&fs::read(dir.join("nodes.json")).unwrap()).unwrap();
        let nodes = listed.as_array().unwrap().iter().map(Node::listed).collect();
        Self { home, nodes, sites, proxies: BTreeMap::new() }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a cluster has nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every node's number.
    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// The devnet's directory.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("devnet")
    }

    /// A node's data directory.
    pub fn data_dir(&self, node: usize) -> PathBuf {
        self.dir().join(format!("node-{node}"))
    }

    /// A node's configuration file.
    pub fn config(&self, node: usize) -> PathBuf {
        self.dir().join(format!("node-{node}.toml"))
    }

    /// The seed of a validator's key.
    pub fn seed(&self, node: usize) -> [u8; 32] {
        let text = fs::read_to_string(self.data_dir(node).join("validator_key")).unwrap();
        hex::decode(text.trim()).unwrap().try_into().unwrap()
    }

    /// A validator's key.
    pub fn key(&self, node: usize) -> SecretKey {
        SecretKey::from_seed(&self.seed(node))
    }

    /// The plain account of a node's key.
    pub fn wallet(&self, node: usize) -> Wallet {
        Wallet::new(self.genesis().chain_id(), self.key(node))
    }

    /// Adds lines to a node's configuration file.
    pub fn configure(&self, node: usize, lines: &str) {
        let path = self.config(node);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}\n{lines}\n")).unwrap();
    }

    /// The value of a line of a node's metrics; 0 where there is none yet.
    pub async fn metric(&self, node: usize, name: &str) -> f64 {
        let page = http::get(self.metrics(node), "/metrics").await.text();
        let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or(0.0)
    }

    /// Room for files of the test beside the devnet.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `chain-node devnet …` for this cluster's directory.
    pub fn devnet(&self, arguments: &[&str]) -> Output {
        chain_node().arg("devnet").args(arguments).arg("--dir").arg(self.dir()).output().unwrap()
    }

    /// Sets a variable of the environment of a node's next starts.
    pub fn set(&mut self, node: usize, name: &str, value: &str) {
        self.nodes[node].environment.insert(name.into(), value.into());
    }

    /// The two sites, for those who made them.
    pub fn sites(&self) -> &Sites {
        self.sites.as_ref().expect("made with sites")
    }

    /// Puts a proxy into the line from every node to every other for which `crosses` holds, from
    /// the next start on. With [`Cluster::cut`] it is a partition that needs no rights.
    pub async fn delay(&mut self, delay: Duration, crosses: impl Fn(usize, usize) -> bool) {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        for from in self.all() {
            let mut peers = Vec::new();
            for to in self.all().into_iter().filter(|to| *to != from) {
                let mut address = self.nodes[to].p2p;
                if crosses(from, to) {
                    let proxy = DelayProxy::start(local, address, delay).await.unwrap();
                    address = proxy.address;
                    self.proxies.insert((from, to), proxy);
                }
                peers.push(format!("/ip4/{}/tcp/{}", address.ip(), address.port()));
            }
            self.set(from, "P2P_PEERS", &peers.join(","));
        }
    }

    /// Cuts every line with a proxy in it.
    pub fn cut(&self) {
        self.proxies.values().for_each(DelayProxy::cut);
    }

    /// Heals what was cut.
    pub fn heal(&self) {
        self.proxies.values().for_each(DelayProxy::heal);
    }

    /// Starts a node; does not wait for anything.
    pub fn start(&mut self, node: usize) {
        assert!(self.nodes[node].process.is_none(), "node-{node} runs already");
        let plain = chain_node();
        let mut command = match &self.sites {
            Some(sites) => sites.inside(node, &plain),
            None => plain,
        };
        command.arg("run").arg("--config").arg(self.config(node)).envs(&self.nodes[node].environment);
        let starts = fs::read_dir(self.home.path()).unwrap().count();
        let log = self.beside(&format!("node-{node}.{starts}.log"));
        self.nodes[node].process = Some(Process::start(&mut command, &log));
    }

    /// Starts every node that does not run, and waits until all are ready.
    pub async fn up(&mut self) {
        for node in self.all() {
            if self.nodes[node].process.is_none() {
                self.start(node);
            }
        }
        self.ready(&self.all()).await;
    }

    /// Waits until these nodes are caught up and agreeing.
    pub async fn ready(&mut self, nodes: &[usize]) {
        for node in nodes {
            let rpc = self.rpc(*node);
            let process = self.process(*node);
            eventually(&format!("node-{node} is ready"), || {
                assert!(process.ended().is_none(), "node-{node} has ended:\n{}", process.output());
                async move { http::try_get(rpc, "/readyz").await.filter(|answer| answer.status == 200) }
            })
            .await;
        }
    }

    /// A node's process.
    pub fn process(&mut self, node: usize) -> &mut Process {
        self.nodes[node].process.as_mut().expect("it runs")
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].process.take().expect("it runs").kill();
    }

    /// SIGKILL for every node that runs.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().filter_map(|node| node.process.take()).for_each(drop);
    }

    /// Asks a node to stop and waits; answers with the exit code.
    pub async fn stop(&mut self, node: usize) -> Option<i32> {
        self.process(node).signal("TERM");
        self.end(node).await
    }

    /// Waits until a node ends; answers with the exit code.
    pub async fn end(&mut self, node: usize) -> Option<i32> {
        let mut process = self.nodes[node].process.take().expect("it runs");
        process.end().await.code()
    }

    /// Where a node's JSON-RPC, REST and WebSocket are.
    pub fn rpc(&self, node: usize) -> SocketAddr {
        self.nodes[node].rpc
    }

    /// Where a node's metrics and health are; at a site only from inside.
    pub fn metrics(&self, node: usize) -> SocketAddr {
        self.nodes[node].metrics
    }

    /// Where a node's peers reach it.
    pub fn p2p(&self, node: usize) -> SocketAddr {
        self.nodes[node].p2p
    }

    /// A typed client over HTTP.
    pub async fn client(&self, node: usize) -> Client {
        Client::connect(&format!("http://{}", self.rpc(node))).await.unwrap()
    }

    /// A typed client over one WebSocket.
    pub async fn socket(&self, node: usize) -> Client {
        Client::connect(&format!("ws://{}", self.rpc(node))).await.unwrap()
    }

    /// A node's newest final block, if it answers.
    pub async fn head(&self, node: usize) -> Option<Head> {
        let answer = http::try_get(self.rpc(node), "/rpc/head").await.filter(|answer| answer.status == 200)?;
        let (height, hash) = (answer.json()["height"].clone(), answer.json()["hash"].clone());
        Some(Head { height: height.as_str()?.parse().ok()?, hash: hash.as_str()?.into() })
    }

    /// Every node's newest final block.
    pub async fn heads(&self) -> Vec<Option<Head>> {
        let mut heads = Vec::new();
        for node in self.all() {
            heads.push(self.head(node).await);
        }
        heads
    }

    /// The height of the highest of these nodes that answers.
    pub async fn height(&self, nodes: &[usize]) -> u64 {
        let mut highest = 0;
        for node in nodes {
            highest = self.head(*node).await.map_or(highest, |head| head.height.max(highest));
        }
        highest
    }

    /// Waits until each of these nodes has come to this height.
    pub async fn wait_height(&self, nodes: &[usize], height: u64) {
        for node in nodes {
            eventually(&format!("node-{node} is at height {height}"), || async {
                self.head(*node).await.filter(|head| head.height >= height)
            })
            .await;
        }
    }

    /// The hash of a node's block at a height it has.
    pub async fn hash_at(&self, node: usize, height: u64) -> String {
        let params = json!({ "block": height.to_string() });
        let header = http::result(self.rpc(node), "get_header", params).await;
        header["hash"].as_str().unwrap_or_else(|| panic!("no hash in {header}")).to_owned()
    }

    /// Waits until each of these nodes has what the highest of them has now; all must have the same
    /// block there. Answers with it.
    pub async fn wait_equal(&self, nodes: &[usize]) -> Head {
        let height = self.height(nodes).await;
        self.wait_height(nodes, height).await;
        let mut hashes = BTreeMap::new();
        for node in nodes {
            hashes.insert(*node, self.hash_at(*node, height).await);
        }
        let hash = hashes.values().next().expect("some node was named").clone();
        assert!(hashes.values().all(|other| *other == hash), "different blocks at height {height}: {hashes:#?}");
        Head { height, hash }
    }

    /// The chain's genesis, compiled from the directory's spec.
    pub fn genesis(&self) -> Genesis {
        ChainSpec::load(&self.dir().join("genesis.json")).unwrap().compile().unwrap()
    }

    /// The funded accounts.
    pub fn wallets(&self) -> Vec<Wallet> {
        let chain = self.genesis().chain_id();
        let accounts = AccountsFile::read(&self.dir().join("accounts.json")).unwrap().0;
        accounts.iter().map(|account| Wallet::new(chain, account.key().unwrap())).collect()
    }
}

impl Node {
    fn listed(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
        let (rpc, metrics, p2p) = (text("rpc"), text("metrics"), text("p2p"));
        Self { rpc, metrics, p2p, environment: BTreeMap::new(), process: None }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking() {
            show_logs(self.home.path());
        }
    }
}

/// Prints the ends of all logs.
fn show_logs(dir: &Path) {
    let mut logs: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.sort();
    for log in logs {
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("--- {}", log.display());
        lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().for_each(|line| eprintln!("{line}"));
    }
}

/// Runs a command that must succeed; answers with what it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
