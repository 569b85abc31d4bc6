//! Networks for development: made on first use, continued on the next start, thrown away on reset.
//!
//! ```text
//! DIR/genesis.json     the chain spec                 DIR/nodes.json    where the nodes listen
//! DIR/accounts.json    funded accounts with secrets   DIR/node-0/       a node's data directory
//! ```
//!
//! Here one validator runs inside this process; several come with the network.

use crate::cli::{block_on, draw_seed};
use crate::config::{Config, METRICS_PORT, P2P_PORT, RPC_PORT};
use crate::data_dir::{DataDir, make_private_dir, write_new};
use crate::driver::wall_clock;
use crate::exit::Exit;
use crate::logging;
use crate::run::{self, Service};
use chain_core::crypto::SecretKey;
use chain_core::types::Address;
use genesis::accounts::{AccountsFile, DevAccount};
use genesis::preset::{Facts, bench, devnet};
use serde::Serialize;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// How many funded accounts a devnet has unless told otherwise.
const ACCOUNTS: u32 = 10;

/// What can be done with a devnet.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Starts a devnet in the foreground; makes it on first use, continues it afterwards
    Run(Options),
    /// Makes a devnet's directory without starting it
    Init(Options),
    /// Throws a devnet away
    Reset {
        /// The devnet's directory
        #[arg(long, env = "DEVNET_DIR", default_value = ".devnet")]
        dir: PathBuf,
    },
}

/// How a devnet is made and started.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The devnet's directory
    #[arg(long, env = "DEVNET_DIR", default_value = ".devnet")]
    dir: PathBuf,
    /// How many validators
    #[arg(long, env = "VALIDATORS", default_value_t = 1)]
    validators: u32,
    /// How many funded accounts a new devnet gets
    #[arg(long, default_value_t = ACCOUNTS, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    accounts: u32,
    /// Time between blocks of a new devnet, such as 2s or 500ms
    #[arg(long, env = "BLOCK_TIME", default_value = "2s", value_parser = parse_duration_ms)]
    block_time: u32,
    /// Make a chain to measure with: a block every 250 ms, of up to 16 MiB
    #[arg(long)]
    bench: bool,
    /// Address JSON-RPC, REST and WebSocket listen on
    #[arg(long, env = "RPC_HOST", default_value = "127.0.0.1")]
    rpc_host: IpAddr,
    /// Their port; 0: any free one
    #[arg(long, env = "RPC_PORT", default_value_t = RPC_PORT)]
    rpc_port: u16,
    /// Port of the peer-to-peer network
    #[arg(long, env = "P2P_PORT", default_value_t = P2P_PORT)]
    p2p_port: u16,
    /// Port of metrics and health; 0: any free one
    #[arg(long, env = "METRICS_PORT", default_value_t = METRICS_PORT)]
    metrics_port: u16,
    /// error, warn, info, debug, trace
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log_level: String,
}

/// A node as `nodes.json` tells of it.
#[derive(Debug, Serialize)]
struct NodeEntry {
    name: String,
    rpc: String,
    metrics: String,
    p2p: String,
    data_dir: PathBuf,
    pid: u32,
}

impl Command {
    /// Carries the command out.
    pub fn run(self) -> Result<(), Exit> {
        match self {
            Self::Run(options) => start(&options),
            Self::Init(options) => {
                check(&options)?;
                prepare(&options)?;
                println!("{} is ready; start it: chain-node devnet run --dir {0}", options.dir.display());
                Ok(())
            }
            Self::Reset { dir } => reset(&dir),
        }
    }
}

fn check(options: &Options) -> Result<(), Exit> {
    match options.validators {
        1 => Ok(()),
        n => Err(Exit::Configuration(format!("VALIDATORS is {n}; this version runs devnets of one validator"))),
    }
}

fn start(options: &Options) -> Result<(), Exit> {
    check(options)?;
    prepare(options)?;
    let config = Config {
        data_dir: options.dir.join("node-0"),
        rpc_host: options.rpc_host,
        rpc_port: options.rpc_port,
        p2p_port: options.p2p_port,
        metrics_port: options.metrics_port,
        ..Config::default()
    };
    config.check()?;
    logging::start(&options.log_level, config.log_format)?;
    block_on(async {
        let service = run::start(&config).await?;
        let entry = NodeEntry {
            name: "node-0".into(),
            rpc: format!("http://{}", service.rpc),
            metrics: format!("http://{}", service.metrics),
            p2p: format!("127.0.0.1:{}", config.p2p_port),
            data_dir: absolute(&config.data_dir),
            pid: std::process::id(),
        };
        write_nodes(&options.dir, &[entry])?;
        print!("{}", banner(options, &service)?);
        service.serve().await
    })
}

/// Makes the devnet's directory unless it is there. Everything is written beside it first and
/// moved there as a whole, so an interrupted first start leaves no half devnet.
fn prepare(options: &Options) -> Result<(), Exit> {
    if options.dir.join("genesis.json").is_file() {
        return Ok(());
    }
    if fs::read_dir(&options.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Exit::Configuration(format!(
            "{} holds something else than a devnet; choose another DEVNET_DIR",
            options.dir.display()
        )));
    }
    let parent = options.dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private_dir(parent)?;
    let name = options.dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Exit::Configuration("DEVNET_DIR must name a directory".into()))?;
    let making = parent.join(format!(".{name}.{}.new", std::process::id()));
    make(options, &making)?;
    let failed = |e: std::io::Error| Exit::Configuration(format!("cannot make {}: {e}", options.dir.display()));
    if options.dir.exists() {
        fs::remove_dir(&options.dir).map_err(failed)?;
    }
    fs::rename(&making, &options.dir).map_err(failed)
}

fn make(options: &Options, dir: &Path) -> Result<(), Exit> {
    make_private_dir(dir)?;
    let validator = draw_seed();
    let accounts: Vec<DevAccount> =
        (0..options.accounts).map(|i| DevAccount::from_seed(format!("dev{i}"), &draw_seed())).collect();
    let addresses: Vec<Address> = accounts.iter().map(|account| account.address).collect();
    let facts = Facts {
        validators: &[SecretKey::from_seed(&validator).public()],
        accounts: &addresses,
        now: wall_clock(),
        salt: *draw_seed(),
    };
    let spec = if options.bench { bench(facts) } else { devnet(facts, options.block_time) }?;
    let json = spec.to_json().map_err(|e| Exit::Configuration(e.to_string()))?;
    write_new(&dir.join("genesis.json"), json.as_bytes(), 0o644)?;
    AccountsFile(accounts).write_new(&dir.join("accounts.json")).map_err(|e| Exit::Configuration(e.to_string()))?;
    let node = DataDir::new(dir.join("node-0"));
    node.create_sign_state()?;
    node.create(&json, Some(&validator))
}

fn reset(dir: &Path) -> Result<(), Exit> {
    if !dir.join("genesis.json").is_file() {
        println!("{} holds no devnet; nothing to reset", dir.display());
        return Ok(());
    }
    // Held while the files go, so that no running node loses its database.
    let lock = chain_core::storage::DirLock::acquire(&dir.join("node-0"))?;
    for name in ["node-0", "nodes.json", "accounts.json", "genesis.json"] {
        let path = dir.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Exit::Configuration(format!("cannot remove {}: {e}", path.display())));
            }
            _ => {}
        }
    }
    drop(lock);
    println!("the devnet in {} is gone; the next start makes a new chain", dir.display());
    Ok(())
}

fn write_nodes(dir: &Path, nodes: &[NodeEntry]) -> Result<(), Exit> {
    let json = serde_json::to_string_pretty(nodes).map_err(|e| Exit::Configuration(e.to_string()))?;
    let (path, new) = (dir.join("nodes.json"), dir.join("nodes.json.new"));
    let written = fs::write(&new, json + "\n").and_then(|()| fs::rename(&new, &path));
    written.map_err(|e| Exit::Configuration(format!("cannot write {}: {e}", path.display())))
}

fn banner(options: &Options, service: &Service) -> Result<String, Exit> {
    use std::fmt::Write;
    let dir = absolute(&options.dir);
    let accounts = AccountsFile::read(&dir.join("accounts.json")).map_err(|e| Exit::Configuration(e.to_string()))?.0;
    let tool = std::env::current_exe().ok().and_then(|path| path.parent().map(|dir| dir.join("chain")));
    let tool = tool.filter(|path| path.is_file()).map_or_else(|| "chain".into(), |path| path.display().to_string());
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(String::new());
    line(format!("  JSON-RPC, REST   http://{}", service.rpc));
    line(format!("  WebSocket        ws://{}", service.rpc));
    line(format!("  metrics, health  http://{}/metrics", service.metrics));
    line(format!("  directory        {}", dir.display()));
    line(String::new());
    line("  Funded accounts (secrets in accounts.json, for development only):".into());
    for account in accounts.iter().take(ACCOUNTS as usize) {
        line(format!("    {:<6} {}", account.name, account.address));
    }
    let to = accounts.get(1).map(|account| account.address.to_string()).unwrap_or_default();
    let (rpc, devnet) = (format!("--rpc http://{}", service.rpc), format!("--devnet-dir {}", dir.display()));
    line(String::new());
    line("  Try:".into());
    line(format!("    curl -s http://{}/rpc/head", service.rpc));
    line(format!("    {tool} {rpc} balance dev0 {devnet}"));
    line(format!("    {tool} {rpc} transfer --from dev0 --to {to} --amount 5AIT {devnet}"));
    line(String::new());
    line("  Ctrl-C stops the chain; the next start continues it.".into());
    line(String::new());
    Ok(text)
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// `2s`, `500ms`, or plain seconds.
fn parse_duration_ms(text: &str) -> Result<u32, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => (ms, 1),
        (None, Some(s)) => (s, 1000),
        (None, None) => (text, 1000),
    };
    let number: u32 = number.parse().map_err(|_| format!("'{text}' is not a time such as 2s or 500ms"))?;
    number.checked_mul(scale).ok_or_else(|| format!("{text} is too long"))
}
