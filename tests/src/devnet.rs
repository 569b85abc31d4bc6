//! `chain-node` as a process: started on a directory of its own with free ports, killed when dropped.

use crate::wallet::Wallet;
use crate::{PATIENCE, eventually, http};
use chain_core::genesis::Genesis;
use chain_rpc::client::Client;
use genesis::ChainSpec;
use genesis::accounts::AccountsFile;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// What a Makefile or a shell may have set and a test must not inherit.
const ENVIRONMENT: &[&str] = &[
    "DATA_DIR",
    "DATABASE_URL",
    "DEVNET_DIR",
    "VALIDATORS",
    "BLOCK_TIME",
    "RPC_HOST",
    "RPC_PORT",
    "P2P_HOST",
    "P2P_PORT",
    "P2P_PEERS",
    "RPC_PEERS",
    "METRICS_PORT",
    "CONSENSUS_MODE",
    "VALIDATOR_ADDRESS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "BLOCK_CACHE_SIZE",
    "RPC_TIMEOUT",
];

/// The binary `chain-node` that was built together with this test: it stands beside the test's directory.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let release = own.parent().and_then(Path::parent).unwrap();
    let binary = release.join("chain-node");
    assert!(binary.is_file(), "{} is missing. Run: cargo build --release --workspace --bins", binary.display());
    binary
}

/// The command `chain-node` without anything inherited.
pub fn chain_node() -> Command {
    let mut command = Command::new(binary());
    command.stdin(Stdio::null());
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command
}

/// A process that is killed, by its id, when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it writes goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log: log.to_path_buf() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends by itself.
    pub async fn end(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the process does not end:\n{}", self.output());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name: INT, TERM.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A devnet of one validator, in a directory of its own, with its process while it runs.
pub struct Devnet {
    home: TempDir,
    process: Option<Process>,
    rpc: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl Devnet {
    /// Starts a new one with a block every 200 ms and waits until it is ready.
    pub async fn start() -> Self {
        let mut devnet = Self::new();
        devnet.up().await;
        devnet
    }

    /// Names a new one; nothing runs yet.
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Names a new one somewhere below a directory; nothing runs yet.
    pub fn below(dir: &Path) -> Self {
        Self { home: tempfile::tempdir_in(dir).unwrap(), process: None, rpc: None, metrics: None }
    }

    /// The devnet's directory.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("devnet")
    }

    /// The node's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir().join("node-0")
    }

    /// Room for files of the test beside the devnet.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `chain-node devnet run` for this devnet.
    pub fn command(&self) -> Command {
        let mut command = chain_node();
        command.args(["devnet", "run", "--block-time", "200ms"]);
        command.args(["--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0", "--dir"]);
        command.arg(self.dir());
        command
    }

    /// Starts the process and waits until it is ready.
    pub async fn up(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let process = Process::start(&mut self.command(), &self.beside("node.log"));
        let id = process.id();
        self.process = Some(process);
        let (rpc, metrics) = eventually("nodes.json of this process", || {
            let found = self.listed(id);
            async move { found }
        })
        .await;
        eventually("the node is ready", || async move {
            // Between the file and the first answer lies a moment in which nobody accepts.
            http::try_get(rpc, "/readyz").await.filter(|answer| answer.status == 200)
        })
        .await;
        (self.rpc, self.metrics) = (Some(rpc), Some(metrics));
    }

    /// Where the process with this id says it listens. Panics if it has ended.
    fn listed(&mut self, id: u32) -> Option<(SocketAddr, SocketAddr)> {
        let process = self.process.as_mut().unwrap();
        if let Some(status) = process.ended() {
            panic!("the node ended with {status}:\n{}", process.output());
        }
        let text = fs::read_to_string(self.dir().join("nodes.json")).ok()?;
        let nodes: serde_json::Value = serde_json::from_str(&text).unwrap();
        let own = nodes.as_array()?.iter().find(|node| node["pid"] == id)?;
        let address = |name: &str| own[name].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Some((address("rpc"), address("metrics")))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Asks it to stop by a signal and waits; answers with the exit code.
    pub async fn stop(&mut self, signal: &str) -> Option<i32> {
        let mut process = self.process.take().expect("it runs");
        process.signal(signal);
        process.end().await.code()
    }

    /// Where JSON-RPC, REST and WebSocket are.
    pub fn rpc(&self) -> SocketAddr {
        self.rpc.expect("it runs")
    }

    /// Where the operators' pages are.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics.expect("it runs")
    }

    /// A typed client over HTTP.
    pub async fn client(&self) -> Client {
        Client::connect(&format!("http://{}", self.rpc())).await.unwrap()
    }

    /// A typed client over one WebSocket.
    pub async fn socket(&self) -> Client {
        Client::connect(&format!("ws://{}", self.rpc())).await.unwrap()
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

impl Default for Devnet {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies a directory with all it holds.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
