//! Several nodes as processes of their own on free ports, every line between two of them through a
//! proxy where it shall be slow. Processes end, by their ids, with whoever holds them.
//!
//! Not here: one node (`node`), what is measured on them (`network`, `sync`).

use crate::Result;
use crate::chain::BenchChain;
use chain_rpc::client::Client;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ports are looked for below those the system hands to outgoing connections.
const FREE_PORTS: std::ops::Range<u16> = 10_000..32_000;
/// How long nodes may take to start, and a chain to come to a block.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often a waiting program looks.
const LOOK: Duration = Duration::from_millis(5);

/// The nodes of a chain.
pub struct Cluster {
    nodes: Vec<Node>,
    /// The program all slow lines run through.
    proxy: Option<Process>,
    binary: PathBuf,
    /// Last: it goes when the processes have gone.
    home: TempDir,
}

struct Node {
    rpc: SocketAddr,
    p2p: SocketAddr,
    /// Where it reaches the others.
    peers: Vec<SocketAddr>,
    process: Option<Process>,
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cluster {
    /// Makes a node for each validator; all know each other, none runs yet.
    pub fn new(chain: &BenchChain, binary: &Path) -> Result<Self> {
        let (home, binary) = (tempfile::tempdir()?, binary.to_path_buf());
        let mut cluster = Self { home, binary, nodes: Vec::new(), proxy: None };
        let mut free = free_addresses();
        for number in 0..chain.validator_count() {
            chain.write_node(&cluster.data_dir(number), number)?;
            cluster.add(&mut free, Vec::new())?;
        }
        let addresses: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.p2p).collect();
        for node in &mut cluster.nodes {
            node.peers = addresses.iter().copied().filter(|address| *address != node.p2p).collect();
        }
        Ok(cluster)
    }

    /// Makes one more node that signs nothing and knows node 0 alone; its configuration says so much besides.
    pub fn add_follower(&mut self, chain: &BenchChain, configuration: &str) -> Result<usize> {
        let number = self.nodes.len();
        chain.write_node(&self.data_dir(number), usize::MAX)?;
        fs::write(self.configuration(number), configuration)?;
        let source = self.node(0)?.p2p;
        self.add(&mut free_addresses(), vec![source])?;
        Ok(number)
    }

    fn add(&mut self, free: &mut impl Iterator<Item = SocketAddr>, peers: Vec<SocketAddr>) -> Result<()> {
        let (rpc, p2p) = free.next().zip(free.next()).ok_or("there are no free ports")?;
        self.nodes.push(Node { rpc, p2p, peers, process: None });
        Ok(())
    }

    /// Puts a proxy into the line between any two nodes, from the next start on: every byte takes
    /// so much longer, in each direction.
    pub fn slow_down(&mut self, delay: Duration) -> Result<()> {
        let targets: Vec<SocketAddr> = self.nodes.iter().flat_map(|node| node.peers.iter().copied()).collect();
        let mut command = Command::new(self.binary.with_file_name("delay-proxy"));
        command.arg(delay.as_millis().to_string());
        for target in &targets {
            command.args(["127.0.0.1:0", &target.to_string()]);
        }
        let mut process = Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let output = process.0.stdout.take().ok_or("the proxy says nothing")?;
        let mut lines = BufReader::new(output).lines();
        for peer in self.nodes.iter_mut().flat_map(|node| &mut node.peers) {
            let line = lines.next().ok_or("the proxy has ended")??;
            *peer = line.split_once(' ').ok_or("the proxy says something else")?.0.parse()?;
        }
        self.proxy = Some(process);
        Ok(())
    }

    /// Starts every node and waits until all answer and have come to a block.
    pub async fn up(&mut self) -> Result<()> {
        for number in 0..self.nodes.len() {
            self.start(number)?;
        }
        for number in 0..self.nodes.len() {
            let client = self.client(number).await?;
            let start = Instant::now();
            while client.get_head().await?.height.get() == 0 {
                self.look(number, start).await?;
            }
        }
        Ok(())
    }

    /// Starts a node's process and waits for nothing.
    pub fn start(&mut self, number: usize) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log(number))?;
        let (data_dir, configuration) = (self.data_dir(number), self.configuration(number));
        let node = self.nodes.get_mut(number).ok_or("there is no such node")?;
        let peers = node.peers.iter().map(|peer| format!("/ip4/{}/tcp/{}", peer.ip(), peer.port()));
        let mut command = Command::new(&self.binary);
        command.arg("run").arg("--data-dir").arg(data_dir).args(["--metrics-port", "0", "--log-level", "warn"]);
        command.args(["--rpc-port", &node.rpc.port().to_string(), "--p2p-port", &node.p2p.port().to_string()]);
        command.args(["--p2p-peers", &peers.collect::<Vec<_>>().join(",")]);
        if configuration.is_file() {
            command.arg("--config").arg(configuration);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        node.process = Some(Process(child));
        Ok(())
    }

    /// A connection to a running node, as soon as it answers.
    pub async fn client(&mut self, number: usize) -> Result<Client> {
        let (start, rpc) = (Instant::now(), self.rpc(number)?);
        loop {
            if let Ok(client) = Client::connect(&format!("ws://{rpc}")).await
                && client.get_head().await.is_ok()
            {
                return Ok(client);
            }
            self.look(number, start).await?;
        }
    }

    /// Waits a moment; fails if the node has ended or the patience is at its end.
    async fn look(&mut self, number: usize, since: Instant) -> Result<()> {
        let node = self.nodes.get_mut(number).ok_or("there is no such node")?;
        let ended = node.process.as_mut().ok_or("the node does not run")?.0.try_wait()?;
        if ended.is_some() || since.elapsed() > PATIENCE {
            let log = fs::read_to_string(self.log(number))?;
            return Err(format!("node {number} ended ({ended:?}) or took too long: {log}").into());
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// Kills a node's process.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        self.nodes.get_mut(number).ok_or("there is no such node")?.process = None;
        Ok(())
    }

    /// Kills every node.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.process = None);
    }

    /// Sends a node's process a signal by its name: STOP, CONT.
    pub fn signal(&self, number: usize, name: &str) -> Result<()> {
        let process = self.node(number)?.process.as_ref().ok_or("the node does not run")?;
        let status = Command::new("kill").args([format!("-{name}"), process.0.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill -{name}: {status}").into()) }
    }

    /// Where a node's RPC listens.
    pub fn rpc(&self, number: usize) -> Result<SocketAddr> {
        Ok(self.node(number)?.rpc)
    }

    /// Where every node's RPC listens.
    pub fn rpcs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.rpc).collect()
    }

    /// The processes of the running nodes.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| Some(node.process.as_ref()?.0.id())).collect()
    }

    fn node(&self, number: usize) -> Result<&Node> {
        Ok(self.nodes.get(number).ok_or("there is no such node")?)
    }

    fn data_dir(&self, number: usize) -> PathBuf {
        self.home.path().join(format!("node-{number}"))
    }

    fn configuration(&self, number: usize) -> PathBuf {
        self.home.path().join(format!("node-{number}.toml"))
    }

    fn log(&self, number: usize) -> PathBuf {
        self.home.path().join(format!("node-{number}.log"))
    }
}

/// Addresses nobody listens on, TCP and UDP, none twice. Two processes at the same time begin at different places.
fn free_addresses() -> impl Iterator<Item = SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let room = u32::from(FREE_PORTS.end - FREE_PORTS.start);
    let begin = std::process::id().wrapping_mul(61) % room;
    let addresses = (0..room).map(move |_| {
        let port = FREE_PORTS.start + ((begin + GIVEN.fetch_add(1, Relaxed)) % room) as u16;
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    });
    addresses.filter(|address| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok())
}
