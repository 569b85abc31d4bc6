//! What a node is told: defaults < file < environment < flags. Unknown keys are errors, and
//! `config show` says where each value came from.
//!
//! Not here: what the chain itself decides (genesis, parameters in the state).

use crate::data_dir::DataDir;
use crate::exit::Exit;
use chain_core::ledger::MIN_KEPT_BLOCKS;
use chain_core::types::Address;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use libp2p::Multiaddr;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Default port of JSON-RPC, REST and WebSocket.
pub const RPC_PORT: u16 = 8006;
/// Default port of the peer-to-peer network.
pub const P2P_PORT: u16 = 8005;
/// Default port of metrics and health.
pub const METRICS_PORT: u16 = 9090;

/// Environment variables that are honoured, and the key each sets.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("DATA_DIR", "data_dir"),
    ("DATABASE_URL", "database_url"),
    ("RPC_HOST", "rpc_host"),
    ("RPC_PORT", "rpc_port"),
    ("P2P_HOST", "p2p_host"),
    ("P2P_PORT", "p2p_port"),
    ("P2P_PEERS", "p2p_peers"),
    ("RPC_PEERS", "rpc_peers"),
    ("METRICS_PORT", "metrics_port"),
    ("CONSENSUS_MODE", "consensus_mode"),
    ("VALIDATOR_ADDRESS", "validator_address"),
    ("LOG_LEVEL", "log_level"),
    ("LOG_FORMAT", "log_format"),
    ("BLOCK_CACHE_SIZE", "block_cache_size"),
    ("RPC_TIMEOUT", "rpc_timeout"),
];

/// A node's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where genesis, key, database and logs are.
    pub data_dir: PathBuf,
    /// `rocksdb://PATH`: the database elsewhere than in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Address JSON-RPC, REST and WebSocket listen on.
    pub rpc_host: IpAddr,
    /// Their port; 0: any free one.
    pub rpc_port: u16,
    /// Address the peer-to-peer network listens on.
    pub p2p_host: IpAddr,
    /// Its port, TCP and UDP (QUIC); 0: any free one.
    pub p2p_port: u16,
    /// Peers to stay connected with, as multiaddrs: `/ip4/…/tcp/…`, `/dns4/…/tcp/…`.
    #[serde(deserialize_with = "list")]
    pub p2p_peers: Vec<String>,
    /// Peers dialled while there are few, as multiaddrs.
    pub p2p_bootnodes: Vec<String>,
    /// Whether nodes of the local network find each other by mDNS.
    pub p2p_mdns: bool,
    /// RPC of nodes at sites the peer-to-peer network does not reach: `http://…`, `https://…`.
    #[serde(deserialize_with = "list")]
    pub rpc_peers: Vec<String>,
    /// Port of metrics and health, on loopback; 0: any free one.
    pub metrics_port: u16,
    /// If given, must equal the genesis' mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consensus_mode: Option<String>,
    /// If given, must be the address of the validator key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validator_address: Option<Address>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,chain_rpc=debug`.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// RocksDB's block cache, in MiB.
    pub block_cache_size: u32,
    /// How long one request may take, in ms.
    pub rpc_timeout: u64,
    /// What hardly anybody needs.
    pub advanced: Advanced,
}

/// How a node that is behind gets the blocks it misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// Every certificate and every signature of every transaction is verified again.
    Full,
    /// Every certificate is verified, and every block executed; transactions' signatures rest on the certificates.
    Certificate,
    /// A node that has no blocks begins with a peer's snapshot, proven by its certificate; the blocks above
    /// it are verified as in `full`.
    Snapshot,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Options hardly anybody needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advanced {
    /// State, outcomes and index are written every so many blocks; a crash executes the rest again.
    pub flush_interval_blocks: u64,
    /// Whether accounts' histories are indexed.
    pub history: bool,
    /// Contents of blocks this far below the newest one are forgotten; 0: everything is kept.
    pub prune_keep_blocks: u64,
    /// A snapshot for other nodes is made every so many blocks; 0: none.
    pub snapshot_interval_blocks: u64,
    /// Threads that verify signatures.
    pub verify_threads: usize,
    /// Start a validator whose consensus log is gone. Dangerous where a copy of its key may sign.
    pub accept_lost_consensus_log: bool,
    /// Names clients may call the node by besides addresses and `localhost`; `*`: any.
    pub rpc_hosts: Vec<String>,
    /// Origins of web pages that may use the node besides those on localhost; `*`: any.
    pub rpc_origins: Vec<String>,
    /// A proxy on this machine speaks for its clients: their last X-Forwarded-For address is charged.
    pub rpc_behind_proxy: bool,
    /// How many peers may be connected at once.
    pub max_peers: u32,
    /// Where the validator keeps what it has signed last; beside the data directory unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_state: Option<PathBuf>,
    /// How missing blocks are got.
    pub sync_mode: SyncMode,
    /// Height a guarded validator may sign from again. Dangerous where it may have signed above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_signing_at: Option<u64>,
    /// Height from which on the blocks here stand, though finalizations of others exist: the node goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_conflict_at: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            database_url: None,
            rpc_host: IpAddr::from([127, 0, 0, 1]),
            rpc_port: RPC_PORT,
            p2p_host: IpAddr::from([127, 0, 0, 1]),
            p2p_port: P2P_PORT,
            p2p_peers: Vec::new(),
            p2p_bootnodes: Vec::new(),
            p2p_mdns: false,
            rpc_peers: Vec::new(),
            metrics_port: METRICS_PORT,
            consensus_mode: None,
            validator_address: None,
            log_level: "info".into(),
            log_format: LogFormat::Text,
            block_cache_size: 64,
            rpc_timeout: 10_000,
            advanced: Advanced {
                flush_interval_blocks: 8,
                history: true,
                prune_keep_blocks: 0,
                snapshot_interval_blocks: 0,
                verify_threads: 2,
                accept_lost_consensus_log: false,
                rpc_hosts: Vec::new(),
                rpc_origins: Vec::new(),
                rpc_behind_proxy: false,
                max_peers: 64,
                sign_state: None,
                sync_mode: SyncMode::Full,
                resume_signing_at: None,
                accept_conflict_at: None,
            },
        }
    }
}

/// Options given as flags; those absent leave the lower layers alone.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
pub struct Flags {
    /// Where genesis, key, database and logs are
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Address JSON-RPC, REST and WebSocket listen on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_host: Option<IpAddr>,
    /// Port of JSON-RPC, REST and WebSocket [default: 8006]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_port: Option<u16>,
    /// Address the peer-to-peer network listens on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2p_host: Option<IpAddr>,
    /// Port of the peer-to-peer network, TCP and UDP [default: 8005]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2p_port: Option<u16>,
    /// Peers to stay connected with, such as /ip4/10.0.0.2/tcp/8005, separated by commas
    #[arg(long, value_name = "MULTIADDRS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p2p_peers: Option<Vec<String>>,
    /// RPC of nodes at sites the peer-to-peer network does not reach: URLs, separated by commas
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_peers: Option<Vec<String>>,
    /// Port of metrics and health [default: 9090]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_port: Option<u16>,
    /// error, warn, info, debug, trace, or a filter such as info,chain_rpc=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
}

impl Config {
    /// Puts the layers together and checks the result.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<(Self, Figment), Exit> {
        let layers = layers(file, flags)?;
        let config: Self = layers.extract().map_err(|e| Exit::Configuration(e.to_string()))?;
        config.check()?;
        Ok((config, layers))
    }

    /// Defaults and a file alone, without the environment; not checked yet.
    pub fn from_file(file: &Path) -> Result<Self, Exit> {
        let layers = file_layers(Some(file))?;
        layers.extract().map_err(|e| Exit::Configuration(e.to_string()))
    }

    /// Where the database is.
    pub fn database(&self) -> Result<PathBuf, Exit> {
        match &self.database_url {
            None => Ok(self.data_dir.join("db")),
            Some(url) => match url.strip_prefix("rocksdb://") {
                Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
                _ => Err(Exit::Configuration(format!("DATABASE_URL is {url}; it must be rocksdb://PATH"))),
            },
        }
    }

    /// Where the validator keeps what it has signed last: outside of the data directory, so that
    /// restoring a backup of that does not bring back an older state.
    pub fn sign_state(&self) -> Result<PathBuf, Exit> {
        if let Some(path) = &self.advanced.sign_state {
            return Ok(path.clone());
        }
        DataDir::new(&self.data_dir).sign_state()
    }

    /// Whether the options fit together.
    pub fn check(&self) -> Result<(), Exit> {
        let ports = [("rpc_port", self.rpc_port), ("p2p_port", self.p2p_port), ("metrics_port", self.metrics_port)];
        for (i, (name, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports.iter().skip(i + 1).find(|(_, p)| *p != 0 && p == port) {
                return Err(Exit::Configuration(format!("{name} and {other} are both {port}; choose different ports")));
            }
        }
        if self.advanced.flush_interval_blocks == 0 || self.advanced.verify_threads == 0 {
            return Err(Exit::Configuration("flush_interval_blocks and verify_threads must be at least 1".into()));
        }
        let keep = self.advanced.prune_keep_blocks;
        if keep != 0 && keep < MIN_KEPT_BLOCKS {
            return Err(Exit::Configuration(format!(
                "prune_keep_blocks is {keep}; it must be 0 (nothing is pruned) or at least {MIN_KEPT_BLOCKS}"
            )));
        }
        let interval = self.advanced.snapshot_interval_blocks;
        if keep != 0 && interval != 0 && keep < interval.saturating_mul(3) {
            return Err(Exit::Configuration(format!(
                "prune_keep_blocks is {keep} and snapshot_interval_blocks {interval}: whoever takes a snapshot needs the \
                 blocks above it, so at least {} must be kept",
                interval.saturating_mul(3)
            )));
        }
        if self.rpc_timeout == 0 {
            return Err(Exit::Configuration("rpc_timeout must be at least 1 ms".into()));
        }
        if self.advanced.max_peers == 0 {
            return Err(Exit::Configuration("max_peers must be at least 1".into()));
        }
        self.check_peers()?;
        self.sign_state()?;
        self.database().map(|_| ())
    }

    fn check_peers(&self) -> Result<(), Exit> {
        for (key, peers) in [("p2p_peers", &self.p2p_peers), ("p2p_bootnodes", &self.p2p_bootnodes)] {
            if let Some((peer, e)) = peers.iter().find_map(|peer| Some((peer, peer.parse::<Multiaddr>().err()?))) {
                return Err(Exit::Configuration(format!(
                    "{key}: '{peer}' is not a multiaddr such as /ip4/10.0.0.2/tcp/8005: {e}"
                )));
            }
        }
        let is_url = |peer: &str| ["http://", "https://"].iter().any(|scheme| peer.starts_with(scheme));
        match self.rpc_peers.iter().find(|peer| !is_url(peer)) {
            Some(peer) => {
                Err(Exit::Configuration(format!("rpc_peers: '{peer}' does not start with http:// or https://")))
            }
            None => Ok(()),
        }
    }
}

/// A list, or what the environment can say of one: its items in a text, separated by commas.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Items(Vec<String>),
        Text(String),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Items(items) => items,
        Form::Text(text) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
    })
}

fn file_layers(file: Option<&Path>) -> Result<Figment, Exit> {
    let layers = Figment::from(Serialized::defaults(Config::default()));
    match file {
        None => Ok(layers),
        Some(path) if path.is_file() => Ok(layers.merge(Toml::file_exact(path))),
        Some(path) => Err(Exit::Configuration(format!("there is no configuration file {}", path.display()))),
    }
}

fn layers(file: Option<&Path>, flags: &Flags) -> Result<Figment, Exit> {
    let layers = file_layers(file)?;
    let names: Vec<&str> = ENVIRONMENT.iter().map(|(name, _)| *name).collect();
    let environment = Env::raw().only(&names).map(|name| {
        let found = ENVIRONMENT.iter().find(|(variable, _)| *name == **variable);
        found.map_or_else(|| name.as_str(), |(_, key)| key).to_owned().into()
    });
    Ok(layers.merge(environment).merge(Serialized::defaults(flags)))
}

/// Every key with its value and where it came from, one per line.
pub fn show(layers: &Figment) -> Result<String, Exit> {
    use std::fmt::Write;
    let config: Config = layers.extract().map_err(|e| Exit::Configuration(e.to_string()))?;
    let json = serde_json::to_value(&config).map_err(|e| Exit::Configuration(e.to_string()))?;
    let mut text = String::new();
    let mut line = |key: String, value: &serde_json::Value| {
        let source = layers.find_metadata(&key).map_or_else(|| "default".into(), source_name);
        let _ = writeln!(text, "{key} = {value}    ({source})");
    };
    for (key, value) in json.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => inner.iter().for_each(|(name, value)| line(format!("{key}.{name}"), value)),
            None => line(key.clone(), value),
        }
    }
    Ok(text)
}

fn source_name(metadata: &figment::Metadata) -> String {
    match (&metadata.source, metadata.name.as_ref()) {
        (Some(figment::Source::File(path)), _) => path.display().to_string(),
        (_, name) if name.contains("environment") => "environment".into(),
        (_, name) if name.contains("Flags") => "flag".into(),
        _ => "default".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("rpc_port = 1111\nlog_level = \"debug\"\n[advanced]\nflush_interval_blocks = 3\n");
        let flags = Flags { rpc_port: Some(2222), ..Flags::default() };
        let (config, layers) = Config::load(Some(file.path()), &flags).unwrap();
        assert_eq!((config.rpc_port, config.log_level.as_str()), (2222, "debug"));
        assert_eq!((config.advanced.flush_interval_blocks, config.advanced.history), (3, true));
        let shown = show(&layers).unwrap();
        assert!(shown.contains("rpc_port = 2222    (flag)"), "{shown}");
        assert!(shown.contains("p2p_port = 8005    (default)"), "{shown}");
    }

    #[test]
    fn unknown_keys_wrong_types_and_clashing_ports_are_refused() {
        for bad in [
            "rpc_prot = 1\n",
            "rpc_port = \"x\"\n",
            "rpc_port = 8005\n",
            "database_url = \"mysql://x\"\n",
            "[advanced]\nflush_interval_blocks = 0\n",
            "[advanced]\nprune_keep_blocks = 63\n",
            "[advanced]\nx = 0\n",
            "[advanced]\nmax_peers = 0\n",
            "[advanced]\nsync_mode = \"fast\"\n",
            "p2p_peers = [\"10.0.0.2:8005\"]\n",
            "p2p_bootnodes = [\"x\"]\n",
            "rpc_peers = [\"10.0.0.2:8006\"]\n",
            "data_dir = \"/\"\n",
        ] {
            let file = file(bad);
            let refused = Config::load(Some(file.path()), &Flags::default());
            assert!(matches!(refused, Err(Exit::Configuration(_))), "{bad}");
        }
        assert!(Config::load(Some(Path::new("/nonexistent/node.toml")), &Flags::default()).is_err());
    }

    #[test]
    fn peers_are_lists_in_files_and_flags_and_may_be_one_text() {
        let two = ["/ip4/10.0.0.2/tcp/8005", "/dns4/b.example.net/tcp/8005"].map(str::to_owned);
        for content in [format!("p2p_peers = {two:?}\n"), format!("p2p_peers = \"{}, {},\"\n", two[0], two[1])] {
            let (config, _) = Config::load(Some(file(&content).path()), &Flags::default()).unwrap();
            assert_eq!(config.p2p_peers, two, "{content}");
        }
        let other = "/ip6/::1/tcp/1".to_owned();
        let flags = Flags { p2p_peers: Some(vec![other.clone()]), ..Flags::default() };
        let file = file(&format!("p2p_peers = {two:?}\nrpc_peers = [\"https://a.example.net\"]\n"));
        let (config, _) = Config::load(Some(file.path()), &flags).unwrap();
        assert_eq!((config.p2p_peers, config.rpc_peers), (vec![other], vec!["https://a.example.net".to_owned()]));
    }

    #[test]
    fn what_was_signed_lies_beside_the_data_directory() {
        let of = |dir: &str| Config { data_dir: dir.into(), ..Config::default() }.sign_state();
        assert_eq!(of("/a/node-0").unwrap(), PathBuf::from("/a/node-0.sign_state"));
        assert_eq!(of("/a/node-0/").unwrap(), PathBuf::from("/a/node-0.sign_state"));
        let here = std::env::current_dir().unwrap();
        let name = here.file_name().unwrap().to_string_lossy();
        assert_eq!(of(".").unwrap(), here.with_file_name(format!("{name}.sign_state")));
        assert!(of("/").is_err());
        let mut config = Config::default();
        config.advanced.sign_state = Some("elsewhere".into());
        assert_eq!(config.sign_state().unwrap(), PathBuf::from("elsewhere"));
    }
}
