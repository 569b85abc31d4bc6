//! Networks for development: made on first use, continued on the next start, thrown away on reset.
//!
//! ```text
//! DIR/genesis.json     the chain spec                 DIR/nodes.json     where the nodes listen, their processes
//! DIR/accounts.json    funded accounts with secrets   DIR/node-0/        a node's data directory
//! DIR/node-0.toml      its configuration              DIR/node-0.log     its log
//! ```
//!
//! One validator runs inside `devnet run`; several nodes run as processes of their own, under
//! `devnet run` or in the background after `devnet up`. Networks over several machines: `testnet`.

pub mod layout;
mod processes;
mod run;
mod status;

use crate::cli::block_on;
use crate::exit::Exit;
use chain_core::types::ConsensusMode;
use layout::Layout;
use processes::Starting;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How many funded accounts a devnet has unless told otherwise.
pub const ACCOUNTS: u32 = 10;

/// What can be done with a devnet.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Starts a devnet in the foreground; makes it on first use, continues it afterwards
    Run(Making),
    /// Makes a devnet's directory without starting it
    Init(Making),
    /// Starts the nodes that don't run, in the background, and waits until they are ready
    Up {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// Which nodes, such as 0 or node-0 [default: all]
        #[arg(value_name = "NODE", value_parser = parse_node)]
        nodes: Vec<usize>,
        /// Don't wait
        #[arg(long)]
        no_wait: bool,
        /// How many seconds to wait
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
        /// error, warn, info, debug, trace [default: info]
        #[arg(long, env = "LOG_LEVEL")]
        log_level: Option<String>,
    },
    /// Stops nodes in order; kills those that don't stop within 15 s
    Down {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// Which nodes, such as 0 or node-0 [default: all]
        #[arg(value_name = "NODE", value_parser = parse_node)]
        nodes: Vec<usize>,
    },
    /// Shows every node: process, height, lag, peers, proposer of its newest block, health
    Status {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Kills a node at once (SIGKILL)
    Kill {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// Which node, such as 0 or node-0
        #[arg(value_parser = parse_node)]
        node: usize,
    },
    /// Stops a node if it runs and starts it again
    Restart {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// Which node, such as 0 or node-0
        #[arg(value_parser = parse_node)]
        node: usize,
        /// Don't wait until it is ready
        #[arg(long)]
        no_wait: bool,
        /// How many seconds to wait
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// Prints a node's log
    Logs {
        /// Which devnet
        #[command(flatten)]
        dir: Dir,
        /// Which node, such as 0 or node-0
        #[arg(value_parser = parse_node)]
        node: usize,
        /// Go on with what is written from now on, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Throws a devnet away
    Reset(Dir),
}

/// Which devnet.
#[derive(Debug, clap::Args)]
pub struct Dir {
    /// The devnet's directory
    #[arg(long, env = "DEVNET_DIR", default_value = ".devnet")]
    pub dir: PathBuf,
}

/// How a devnet is made, and where its only node listens.
#[derive(Debug, clap::Args)]
pub struct Making {
    #[command(flatten)]
    dir: Dir,
    /// How many validators of equal weight [default: 1]
    #[arg(long, env = "VALIDATORS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub validators: Option<u32>,
    /// Who may validate: poa, pos or hybrid; with stake each first validator has bonded 100,000 STK [default: poa]
    #[arg(long, env = "CONSENSUS_MODE", value_name = "MODE")]
    pub mode: Option<ConsensusMode>,
    /// How many nodes of a new devnet have a key that the council can admit; until then they follow
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub candidates: u32,
    /// How many nodes of a new devnet follow without a key
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub followers: u32,
    /// How many funded accounts a new devnet gets
    #[arg(long, default_value_t = ACCOUNTS, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub accounts: u32,
    /// Time between blocks of a new devnet, such as 2s or 500ms
    #[arg(long, env = "BLOCK_TIME", default_value = "2s", value_parser = parse_duration_ms)]
    pub block_time: u32,
    /// Make a chain to measure with: a block every 250 ms, of up to 16 MiB
    #[arg(long)]
    pub bench: bool,
    /// Address JSON-RPC, REST and WebSocket listen on; or one for each node, separated by commas [default: 127.0.0.1]
    #[arg(long, env = "RPC_HOST", value_name = "IP", value_delimiter = ',')]
    pub rpc_host: Vec<IpAddr>,
    /// Address the peer-to-peer network listens on; or one for each node, separated by commas [default: 127.0.0.1]
    #[arg(long, env = "P2P_HOST", value_name = "IP", value_delimiter = ',')]
    pub p2p_host: Vec<IpAddr>,
    /// Port of node-0's RPC, the next node's is 20 higher; 0: free ones [default: 8006]
    #[arg(long, env = "RPC_PORT", value_name = "PORT")]
    pub rpc_port: Option<u16>,
    /// Port of node-0's peer-to-peer network, the next node's is 20 higher; 0: free ones [default: 8005]
    #[arg(long, env = "P2P_PORT", value_name = "PORT")]
    pub p2p_port: Option<u16>,
    /// Port of node-0's metrics and health, the next node's is 1 higher; 0: free ones [default: 9090]
    #[arg(long, env = "METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// All ports of a new devnet from this one on, 20 for each node; 0: free ones, written to nodes.json
    #[arg(long, value_name = "PORT", conflicts_with_all = ["rpc_port", "p2p_port", "metrics_port"])]
    pub base_port: Option<u16>,
    /// error, warn, info, debug, trace [default: info]
    #[arg(long, env = "LOG_LEVEL")]
    pub log_level: Option<String>,
}

impl Command {
    /// Carries the command out.
    pub fn run(self) -> Result<(), Exit> {
        match self {
            Self::Run(making) => run::start(&making),
            Self::Init(making) => init(&making),
            Self::Up { dir, nodes, no_wait, timeout, log_level } => {
                let layout = Layout::new(&dir.dir)?;
                let wait = (!no_wait).then(|| Duration::from_secs(timeout));
                bring_up(&layout, &chosen(&layout, &nodes)?, Starting { log_level: log_level.as_deref(), wait })
            }
            Self::Down { dir, nodes } => {
                let layout = Layout::new(&dir.dir)?;
                match processes::down(&layout, &chosen(&layout, &nodes)?)? {
                    stopped if stopped.is_empty() => println!("no node ran"),
                    stopped => println!("stopped {}", stopped.join(", ")),
                }
                Ok(())
            }
            Self::Status { dir, json } => show_status(&Layout::new(&dir.dir)?, json),
            Self::Kill { dir, node } => {
                let layout = Layout::new(&dir.dir)?;
                chosen(&layout, &[node])?;
                processes::kill(&layout, node)?;
                println!("killed node-{node}");
                Ok(())
            }
            Self::Restart { dir, node, no_wait, timeout } => {
                let layout = Layout::new(&dir.dir)?;
                let wait = (!no_wait).then(|| Duration::from_secs(timeout));
                processes::down(&layout, &chosen(&layout, &[node])?)?;
                bring_up(&layout, &[node], Starting { log_level: None, wait })
            }
            Self::Logs { dir, node, follow } => processes::logs(&Layout::new(&dir.dir)?, node, follow),
            Self::Reset(dir) => reset(&Layout::new(&dir.dir)?),
        }
    }
}

fn init(making: &Making) -> Result<(), Exit> {
    let layout = Layout::new(&making.dir.dir)?;
    layout.prepare(making)?;
    let dir = making.dir.dir.display();
    println!(
        "{dir} is ready; start it: chain-node devnet run --dir {dir}, or in the background: devnet up --dir {dir}"
    );
    Ok(())
}

fn bring_up(layout: &Layout, nodes: &[usize], starting: Starting<'_>) -> Result<(), Exit> {
    block_on(async {
        let result = processes::up(layout, nodes, starting).await;
        print!("{}", status::table(&status::rows(&layout.nodes()?).await));
        result
    })
}

fn show_status(layout: &Layout, json: bool) -> Result<(), Exit> {
    block_on(async {
        let rows = status::rows(&layout.nodes()?).await;
        match json {
            true => {
                println!("{}", serde_json::to_string_pretty(&rows).map_err(|e| Exit::Configuration(e.to_string()))?)
            }
            false => print!("{}", status::table(&rows)),
        }
        Ok(())
    })
}

fn reset(layout: &Layout) -> Result<(), Exit> {
    let dir = layout.dir().display();
    if !layout.exists() {
        println!("{dir} holds no devnet; nothing to reset");
        return Ok(());
    }
    layout.remove()?;
    println!("the devnet in {dir} is gone; the next start makes a new chain");
    Ok(())
}

/// The nodes that were named, or all; every one must exist.
fn chosen(layout: &Layout, named: &[usize]) -> Result<Vec<usize>, Exit> {
    let count = layout.nodes()?.len();
    match named.iter().find(|index| **index >= count) {
        Some(index) => Err(processes::no_such(*index, count)),
        None if named.is_empty() => Ok((0..count).collect()),
        None => Ok(named.to_vec()),
    }
}

/// `2` or `node-2`.
fn parse_node(text: &str) -> Result<usize, String> {
    let number = text.strip_prefix("node-").unwrap_or(text);
    number.parse().map_err(|_| format!("'{text}' is no node; nodes are called 0, 1, … or node-0, node-1, …"))
}

/// `2s`, `500ms`, or plain seconds.
pub fn parse_duration_ms(text: &str) -> Result<u32, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => (ms, 1),
        (None, Some(s)) => (s, 1000),
        (None, None) => (text, 1000),
    };
    let number: u32 = number.parse().map_err(|_| format!("'{text}' is not a time such as 2s or 500ms"))?;
    number.checked_mul(scale).ok_or_else(|| format!("{text} is too long"))
}
