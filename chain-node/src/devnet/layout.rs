//! A devnet's directory: what is where, how it is made, which processes belong to it.
//!
//! Not here: starting and stopping processes (`processes`), what they answer (`status`).

use super::Making;
use crate::cli::draw_seed;
use crate::config::{METRICS_PORT, P2P_PORT, RPC_PORT};
use crate::data_dir::{DataDir, ValidatorSeed, make_private_dir, write_new};
use crate::driver::wall_clock;
use crate::exit::Exit;
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::genesis::Genesis;
use chain_core::storage::DirLock;
use chain_core::types::{Address, ConsensusMode};
use genesis::ChainSpec;
use genesis::accounts::{AccountsFile, DevAccount};
use genesis::preset::{Facts, bench, devnet, staking_devnet, with_roles};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Distance between the ports of one node and the next; metrics ports are neighbours.
const PORT_STEP: u16 = 20;
/// Free ports are looked for below those the system hands to outgoing connections.
const FREE_PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Which funded accounts of a devnet have a role: dev7 curates models, dev8 slashes providers, dev9 is treasurer.
const ROLES: std::ops::Range<usize> = 7..10;

/// A devnet's directory.
#[derive(Clone, Debug)]
pub struct Layout(PathBuf);

/// A node as `nodes.json` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// `node-0`, `node-1`, …
    pub name: String,
    /// The URL of JSON-RPC and REST.
    pub rpc: String,
    /// The URL of metrics and health.
    pub metrics: String,
    /// Host and port of the peer-to-peer network.
    pub p2p: String,
    /// The key of a validator of the genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<PublicKey>,
    /// The key of a node that may become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<PublicKey>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The process it was started as; it may have ended since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When that process started, in clock ticks since the machine did: tells it from a later one of the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_since: Option<u64>,
    /// The machine's boot in which it did: ids and ticks begin anew with the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

/// The configuration file of a node, as far as nodes differ.
#[derive(Clone, Debug, Serialize)]
pub struct NodeFile {
    /// Where genesis, key, database and logs are.
    pub data_dir: PathBuf,
    /// Where the interfaces listen.
    pub rpc_host: IpAddr,
    /// Their port.
    pub rpc_port: u16,
    /// Where the peer-to-peer network listens.
    pub p2p_host: IpAddr,
    /// Its port.
    pub p2p_port: u16,
    /// The other nodes.
    pub p2p_peers: Vec<String>,
    /// The port of metrics and health.
    pub metrics_port: u16,
}

impl Layout {
    /// Names a directory; nothing is touched.
    pub fn new(dir: &Path) -> Result<Self, Exit> {
        let wrong = |e: io::Error| Exit::Configuration(format!("{}: {e}", dir.display()));
        std::path::absolute(dir).map(Self).map_err(wrong)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The chain spec.
    pub fn genesis(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// The funded accounts.
    pub fn accounts(&self) -> PathBuf {
        self.0.join("accounts.json")
    }

    /// A node's configuration file.
    pub fn config(&self, node: &NodeEntry) -> PathBuf {
        self.0.join(format!("{}.toml", node.name))
    }

    /// A node's log.
    pub fn log(&self, node: &NodeEntry) -> PathBuf {
        self.0.join(format!("{}.log", node.name))
    }

    /// Whether there is a devnet.
    pub fn exists(&self) -> bool {
        self.genesis().is_file()
    }

    /// The nodes.
    pub fn nodes(&self) -> Result<Vec<NodeEntry>, Exit> {
        let dir = self.0.display();
        if !self.exists() {
            return Err(Exit::Configuration(format!("{dir} holds no devnet. Run: chain-node devnet init --dir {dir}")));
        }
        let path = self.0.join("nodes.json");
        let wrong = |e: &dyn std::fmt::Display| {
            let path = path.display();
            Exit::Configuration(format!("{path}: {e}. If an earlier version made this devnet, remove its directory"))
        };
        let nodes: Vec<NodeEntry> =
            serde_json::from_slice(&fs::read(&path).map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
        let signs = nodes.iter().any(|node| node.validator.is_some());
        if signs { Ok(nodes) } else { Err(wrong(&"it names no validator")) }
    }

    /// Changes `nodes.json`; only one process at a time does.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Vec<NodeEntry>) -> Result<T, Exit>) -> Result<T, Exit> {
        self.nodes()?;
        let _lock = self.lock()?;
        // Read again: it may have been changed before the lock was ours.
        let mut nodes = self.nodes()?;
        let result = change(&mut nodes);
        // What was done before an error stays true.
        write_nodes(&self.0, &nodes)?;
        result
    }

    fn lock(&self) -> Result<fs::File, Exit> {
        let path = self.0.join("nodes.json.lock");
        let wrong = |e: io::Error| Exit::Configuration(format!("cannot lock {}: {e}", path.display()));
        let lock = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        Ok(lock)
    }

    /// Makes the devnet unless it is there; then its size must be the wanted one.
    pub fn prepare(&self, making: &Making) -> Result<(), Exit> {
        if !self.exists() {
            return make_whole(&self.0, "choose another DEVNET_DIR", |new| self.make(making, new));
        }
        let there = self.nodes()?.iter().filter(|node| node.validator.is_some()).count();
        let mode = self.mode()?;
        if making.mode.is_some_and(|wanted| wanted != mode) {
            let wanted = making.mode.unwrap_or_default();
            return Err(Exit::OtherChain(format!(
                "{} holds a devnet of mode {mode}, not {wanted}. Keep it (--mode {mode}), or reset it first",
                self.0.display()
            )));
        }
        match making.validators {
            Some(wanted) if wanted as usize != there => Err(Exit::Configuration(format!(
                "{} holds a devnet of {there} validators, not {wanted}. Keep it (VALIDATORS={there}), or reset it first",
                self.0.display()
            ))),
            _ => Ok(()),
        }
    }

    fn mode(&self) -> Result<ConsensusMode, Exit> {
        let spec = ChainSpec::load(&self.genesis()).map_err(|e| Exit::Configuration(e.to_string()))?;
        Ok(spec.consensus_mode)
    }

    fn make(&self, making: &Making, new: &Path) -> Result<(), Exit> {
        let validators = making.validators.unwrap_or(1) as usize;
        let with_key = validators + making.candidates as usize;
        let seeds: Vec<Zeroizing<[u8; 32]>> = (0..with_key).map(|_| draw_seed()).collect();
        let keys: Vec<PublicKey> = seeds.iter().map(|seed| SecretKey::from_seed(seed).public()).collect();
        let (signing, _) = keys.split_at(validators);
        let accounts = draw_accounts(making.accounts);
        // The accounts of nodes' keys act on the council and report: that costs fees.
        let addresses = accounts.iter().map(|account| account.address).chain(keys.iter().map(Address::of_key));
        let addresses: Vec<Address> = addresses.collect();
        let facts = Facts { validators: signing, accounts: &addresses, now: wall_clock(), salt: *draw_seed() };
        let spec = match making.mode.unwrap_or_default() {
            ConsensusMode::Poa if making.bench => bench(facts),
            ConsensusMode::Poa => devnet(facts, making.block_time),
            mode if making.bench => return Err(Exit::Configuration(format!("--bench is in mode poa, not {mode}"))),
            mode => staking_devnet(facts, making.block_time, mode),
        }?;
        let spec = match accounts.get(ROLES) {
            Some([curator, slasher, treasurer]) => {
                with_roles(spec, [curator, slasher, treasurer].map(|one| one.address))
            }
            _ => spec,
        };
        let chain = check_spec(&spec)?.chain_id();
        let json = spec.to_json().map_err(|e| Exit::Configuration(e.to_string()))?;
        write_new(&new.join("genesis.json"), json.as_bytes(), 0o644)?;
        write_accounts(accounts, &new.join("accounts.json"))?;
        let files = self.node_files(making, with_key + making.followers as usize)?;
        let mut entries = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let name = format!("node-{index}");
            DataDir::new(new.join(&name)).create(
                &json,
                &chain,
                seeds.get(index).map(|seed| ValidatorSeed::Unused(seed)),
            )?;
            write_new(&new.join(format!("{name}.toml")), file.to_toml()?.as_bytes(), 0o644)?;
            let key = keys.get(index).copied();
            let entry = file.entry(name, key.filter(|_| index < validators));
            entries.push(NodeEntry { candidate: key.filter(|_| index >= validators), ..entry });
        }
        write_nodes(new, &entries)
    }

    fn node_files(&self, making: &Making, count: usize) -> Result<Vec<NodeFile>, Exit> {
        let rpc_hosts = one_each("--rpc-host", &making.rpc_host, count)?;
        let p2p_hosts = one_each("--p2p-host", &making.p2p_host, count)?;
        let ports = choose_ports(making, count)?;
        let hosts = rpc_hosts.into_iter().zip(p2p_hosts);
        let files = hosts.zip(ports).enumerate().map(|(index, ((rpc_host, p2p_host), [p2p, rpc, metrics]))| NodeFile {
            data_dir: self.0.join(format!("node-{index}")),
            rpc_host,
            rpc_port: rpc,
            p2p_host,
            p2p_port: p2p,
            p2p_peers: Vec::new(),
            metrics_port: metrics,
        });
        let mut files: Vec<NodeFile> = files.collect();
        let addresses: Vec<String> =
            files.iter().map(|file| multiaddr(&reach(file.p2p_host).to_string(), file.p2p_port)).collect();
        files.iter_mut().enumerate().for_each(|(index, file)| file.p2p_peers = others(&addresses, index));
        Ok(files)
    }

    /// Throws the devnet away: what `nodes.json` lists, and nothing else. Refuses while a node runs, and
    /// a directory that is no devnet's.
    pub fn remove(&self) -> Result<(), Exit> {
        // Without the list nobody knows what is the devnet's.
        self.nodes()?;
        // Held while the files go, so that nothing is started and no running node loses its database.
        let _lock = self.lock()?;
        let own = self.own(&self.nodes()?)?;
        let locks = own.iter().filter(|path| path.is_dir()).map(|dir| DirLock::acquire(dir));
        let _locks = locks.collect::<Result<Vec<_>, _>>()?;
        for path in own.iter().filter(|path| path.symlink_metadata().is_ok()) {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.map_err(|e| Exit::Configuration(format!("cannot remove {}: {e}", path.display())))?;
        }
        Ok(())
    }

    /// A devnet's files. The list and the genesis go last: an interrupted reset can be repeated.
    fn own(&self, nodes: &[NodeEntry]) -> Result<Vec<PathBuf>, Exit> {
        let mut own = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            if node.name != format!("node-{index}") {
                let dir = self.0.display();
                return Err(Exit::Configuration(format!("{dir} is no devnet: its nodes.json names {:?}", node.name)));
            }
            own.extend(["", ".toml", ".log", ".sign_state"].map(|end| self.0.join(format!("{}{end}", node.name))));
        }
        let rest = ["accounts.json", "nodes.json.new", "nodes.json", "nodes.json.lock", "genesis.json"];
        own.extend(rest.map(|name| self.0.join(name)));
        Ok(own)
    }
}

impl NodeFile {
    /// The text of the file.
    pub fn to_toml(&self) -> Result<String, Exit> {
        let text = toml::to_string(self).map_err(|e| Exit::Configuration(e.to_string()))?;
        Ok(format!("# What is not here has its default: chain-node config show --config FILE\n{text}"))
    }

    fn entry(&self, name: String, validator: Option<PublicKey>) -> NodeEntry {
        let rpc = SocketAddr::new(self.rpc_host, self.rpc_port);
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, self.metrics_port));
        let p2p = SocketAddr::new(self.p2p_host, self.p2p_port);
        let text = String::new;
        let mut entry = NodeEntry {
            name,
            rpc: text(),
            metrics: text(),
            p2p: text(),
            validator,
            candidate: None,
            data_dir: self.data_dir.clone(),
            pid: None,
            pid_since: None,
            boot: None,
        };
        entry.listens(rpc, metrics, p2p);
        entry
    }
}

impl NodeEntry {
    /// The key it has, whether or not it validates.
    pub fn key(&self) -> Option<&PublicKey> {
        self.validator.as_ref().or(self.candidate.as_ref())
    }

    /// Writes down where the node listens, as one reaches it from here.
    pub fn listens(&mut self, rpc: SocketAddr, metrics: SocketAddr, p2p: SocketAddr) {
        let reached = |address: SocketAddr| SocketAddr::new(reach(address.ip()), address.port());
        self.rpc = format!("http://{}", reached(rpc));
        self.metrics = format!("http://{}", reached(metrics));
        self.p2p = reached(p2p).to_string();
    }

    /// Writes down the process it is.
    pub fn is_process(&mut self, pid: u32) {
        self.pid = Some(pid);
        self.pid_since = super::processes::stat(pid).map(|stat| stat.since);
        self.boot = super::processes::boot();
    }
}

/// Where on this machine one reaches what listens on `host`.
fn reach(host: IpAddr) -> IpAddr {
    if host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host }
}

/// The peer address of a host, given by IP address or name, over TCP.
pub fn multiaddr(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => format!("/ip4/{ip}/tcp/{port}"),
        Ok(IpAddr::V6(ip)) => format!("/ip6/{ip}/tcp/{port}"),
        Err(_) => format!("/dns4/{host}/tcp/{port}"),
    }
}

/// Everything but the item at `index`.
pub fn others(addresses: &[String], index: usize) -> Vec<String> {
    addresses.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, address)| address.clone()).collect()
}

fn one_each(option: &str, hosts: &[IpAddr], count: usize) -> Result<Vec<IpAddr>, Exit> {
    match hosts {
        [] => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST); count]),
        [one] => Ok(vec![*one; count]),
        hosts if hosts.len() == count => Ok(hosts.to_vec()),
        hosts => Err(Exit::Configuration(format!(
            "{option} names {} addresses: give one, or one for each of {count} nodes",
            hosts.len()
        ))),
    }
}

/// Every node's ports: p2p, RPC, metrics. Ports given as 0 are free ones, chosen now.
fn choose_ports(making: &Making, count: usize) -> Result<Vec<[u16; 3]>, Exit> {
    let (p2p, rpc, metrics, metrics_step) = match making.base_port {
        None => (
            making.p2p_port.unwrap_or(P2P_PORT),
            making.rpc_port.unwrap_or(RPC_PORT),
            making.metrics_port.unwrap_or(METRICS_PORT),
            1,
        ),
        Some(0) => (0, 0, 0, 0),
        Some(base) => (base, base.saturating_add(1), base.saturating_add(2), PORT_STEP),
    };
    let mut free = free_ports();
    let mut port = |base: u16, step: u16, index: usize| match base {
        0 => free.next().ok_or_else(|| Exit::Configuration("there are no free ports".into())),
        base => u16::try_from(usize::from(base) + usize::from(step) * index)
            .map_err(|_| Exit::Configuration(format!("{count} nodes from port {base} on: there are no such ports"))),
    };
    let mut chosen = Vec::new();
    for index in 0..count {
        chosen.push([port(p2p, PORT_STEP, index)?, port(rpc, PORT_STEP, index)?, port(metrics, metrics_step, index)?]);
    }
    let mut all: Vec<u16> = chosen.iter().flatten().copied().collect();
    all.sort_unstable();
    match all.windows(2).find(|two| two.first() == two.last()) {
        Some(two) => {
            Err(Exit::Configuration(format!("port {} is given twice; choose others", two.first().unwrap_or(&0))))
        }
        None => Ok(chosen),
    }
}

/// Ports nobody listens on, TCP and UDP. Two processes at the same time begin at different places.
fn free_ports() -> impl Iterator<Item = u16> {
    let room = u32::from(FREE_PORTS.end - FREE_PORTS.start);
    let begin = std::process::id().wrapping_mul(61) % room;
    let is_free = |port: &u16| {
        let address = (Ipv4Addr::UNSPECIFIED, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    (0..room).map(move |i| FREE_PORTS.start + ((begin + i) % room) as u16).filter(is_free)
}

/// Compiles a chain spec made of what somebody asked for; every problem is told.
pub fn check_spec(spec: &ChainSpec) -> Result<Genesis, Exit> {
    spec.compile().map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Exit::Configuration(format!("no chain can begin so: {}", problems.join("; ")))
    })
}

/// New accounts with keys drawn at random.
pub fn draw_accounts(count: u32) -> Vec<DevAccount> {
    (0..count).map(|i| DevAccount::from_seed(format!("dev{i}"), &draw_seed())).collect()
}

/// Writes the secrets of accounts for their owner alone.
pub fn write_accounts(accounts: Vec<DevAccount>, path: &Path) -> Result<(), Exit> {
    AccountsFile(accounts).write_new(path).map_err(|e| Exit::Configuration(e.to_string()))
}

fn write_nodes(dir: &Path, nodes: &[NodeEntry]) -> Result<(), Exit> {
    let json = serde_json::to_string_pretty(nodes).map_err(|e| Exit::Configuration(e.to_string()))?;
    let (path, new) = (dir.join("nodes.json"), dir.join("nodes.json.new"));
    let written = fs::write(&new, json + "\n").and_then(|()| fs::rename(&new, &path));
    written.map_err(|e| Exit::Configuration(format!("cannot write {}: {e}", path.display())))
}

/// Makes a directory as a whole: everything is written beside it first and moved there at the end,
/// so that an interruption leaves no half of it. One that holds anything is refused.
pub fn make_whole(dir: &Path, otherwise: &str, make: impl FnOnce(&Path) -> Result<(), Exit>) -> Result<(), Exit> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let dir = dir.display();
        return Err(Exit::Configuration(format!("{dir} is not empty; {otherwise}")));
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private_dir(parent)?;
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Exit::Configuration(format!("{} names no directory", dir.display())))?;
    let making = parent.join(format!(".{name}.{}.new", std::process::id()));
    make_private_dir(&making)?;
    let failed = |e: io::Error| Exit::Configuration(format!("cannot make {}: {e}", dir.display()));
    let made = make(&making).and_then(|()| {
        if dir.exists() {
            fs::remove_dir(dir).map_err(failed)?;
        }
        fs::rename(&making, dir).map_err(failed)
    });
    if made.is_err() {
        // The reason is told already; what is left over is in nobody's way.
        let _ = fs::remove_dir_all(&making);
    }
    made
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_there(dir: &Path, names: &[&str]) -> bool {
        names.iter().all(|name| dir.join(name).exists())
    }

    #[test]
    fn a_directory_without_a_list_of_nodes_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        // A real node's, say.
        let files = ["genesis.json", "accounts.json", "node-1-notes.txt"];
        files.iter().for_each(|name| fs::write(dir.path().join(name), "mine").unwrap());
        assert!(Layout::new(dir.path()).unwrap().remove().is_err());
        assert!(is_there(dir.path(), &files));
    }

    #[test]
    fn what_the_list_does_not_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        let validator = Some(SecretKey::from_seed(&[1; 32]).public());
        let text = String::new;
        let mut node = NodeEntry {
            name: "node-0".into(),
            rpc: text(),
            metrics: text(),
            p2p: text(),
            validator,
            candidate: None,
            data_dir: dir.path().join("node-0"),
            pid: None,
            pid_since: None,
            boot: None,
        };
        write_nodes(dir.path(), std::slice::from_ref(&node)).unwrap();
        fs::create_dir(dir.path().join("node-0")).unwrap();
        let (own, others) = (["genesis.json", "node-0.log", "node-0.toml"], ["node-1-notes.txt", "node-0.backup"]);
        own.iter().chain(&others).for_each(|name| fs::write(dir.path().join(name), "{}").unwrap());
        let lock = DirLock::acquire(&dir.path().join("node-0")).unwrap();
        assert!(layout.remove().is_err(), "it runs");
        assert!(is_there(dir.path(), &own));
        drop(lock);
        layout.remove().unwrap();
        assert!(is_there(dir.path(), &others));
        assert!(own.iter().all(|name| !dir.path().join(name).exists()) && !dir.path().join("nodes.json").exists());

        node.name = "../elsewhere".into();
        fs::write(dir.path().join("genesis.json"), "{}").unwrap();
        write_nodes(dir.path(), &[node]).unwrap();
        assert!(layout.remove().is_err(), "no devnet writes such a name");
        assert!(is_there(dir.path(), &["genesis.json", "nodes.json"]));
    }
}
