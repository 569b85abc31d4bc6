//! A devnet in the foreground. One validator runs inside this process; several nodes are processes
//! of their own, and this one prints a line for each block until it is asked to stop.

use super::ACCOUNTS;
use super::Making;
use super::layout::{Layout, NodeEntry};
use super::processes::{self, log_end, running, spawn_missing};
use super::status::{Row, rows, short};
use crate::cli::block_on;
use crate::config::Config;
use crate::exit::Exit;
use crate::logging;
use crate::run::{self, Signals};
use genesis::accounts::AccountsFile;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the nodes are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Starts the devnet, which is made if need be.
pub fn start(making: &Making) -> Result<(), Exit> {
    let layout = Layout::new(&making.dir.dir)?;
    layout.prepare(making)?;
    match layout.nodes()?.as_slice() {
        [only] => block_on(inside(&layout, only, making)),
        nodes => block_on(outside(&layout, nodes.len(), making)),
    }
}

/// Runs the only node inside this process.
async fn inside(layout: &Layout, node: &NodeEntry, making: &Making) -> Result<(), Exit> {
    let mut config = Config::from_file(&layout.config(node))?;
    config.rpc_host = making.rpc_host.first().copied().unwrap_or(config.rpc_host);
    config.rpc_port = making.rpc_port.unwrap_or(config.rpc_port);
    config.p2p_host = making.p2p_host.first().copied().unwrap_or(config.p2p_host);
    config.p2p_port = making.p2p_port.unwrap_or(config.p2p_port);
    config.metrics_port = making.metrics_port.unwrap_or(config.metrics_port);
    config.check()?;
    logging::start(making.log_level.as_deref().unwrap_or(&config.log_level), config.log_format)?;
    let service = run::start(&config).await?;
    let mut entry = node.clone();
    entry.listens(service.rpc, service.metrics, SocketAddr::new(config.p2p_host, config.p2p_port));
    entry.is_process(std::process::id());
    let text = banner(layout, std::slice::from_ref(&entry))?;
    layout.edit(|nodes| {
        *nodes = vec![entry];
        Ok(())
    })?;
    print!("{text}");
    service.serve().await
}

/// Runs the nodes as processes and watches them.
async fn outside(layout: &Layout, count: usize, making: &Making) -> Result<(), Exit> {
    let mut signals = Signals::listen()?;
    let all: Vec<usize> = (0..count).collect();
    // Whatever ends this, the nodes are stopped.
    let watched = tokio::select! {
        () = signals.asked_to_stop() => Ok(()),
        ended = watch(layout, &all, making.log_level.as_deref()) => ended,
    };
    let stopping = layout.clone();
    let stopped = tokio::task::spawn_blocking(move || processes::down(&stopping, &all)).await;
    let stopped = stopped.map_err(|e| Exit::Unhealthy(format!("stopping: {e}")))??;
    let told = match stopped.is_empty() {
        true => Ok(()),
        false => say(&format!("stopped {}\n", stopped.join(", "))),
    };
    watched.and(told)
}

/// Starts the nodes; tells of every block and of every node that ends or begins to run. Ends when
/// none runs any more.
async fn watch(layout: &Layout, all: &[usize], log_level: Option<&str>) -> Result<(), Exit> {
    let mut children: Vec<(usize, Child)> = spawn_missing(layout, all, log_level)?;
    say(&banner(layout, &layout.nodes()?)?)?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen { runs: vec![true; all.len()], height: Some(0) };
    loop {
        look.tick().await;
        // Asking how they ended lets ended children go.
        children.retain_mut(|(_, child)| !matches!(child.try_wait(), Ok(Some(_))));
        let nodes = layout.nodes()?;
        say(&seen.changes(layout, &nodes))?;
        if nodes.iter().all(|node| running(node).is_none()) {
            return Err(Exit::Unhealthy("no node runs any more".into()));
        }
        say(&seen.block(&rows(&nodes).await))?;
    }
}

/// Prints. That nobody reads any more is an error, not a panic: there are nodes to stop.
fn say(text: &str) -> Result<(), Exit> {
    let mut out = std::io::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Exit::Unhealthy(format!("nobody reads what is told here: {e}")))
}

/// What was told already.
struct Seen {
    runs: Vec<bool>,
    height: Option<u64>,
}

impl Seen {
    fn changes(&mut self, layout: &Layout, nodes: &[NodeEntry]) -> String {
        let mut text = String::new();
        for (index, (node, ran)) in nodes.iter().zip(&mut self.runs).enumerate() {
            let runs = running(node).is_some();
            if *ran && !runs {
                let (dir, log) = (layout.dir().display(), log_end(&layout.log(node)));
                let _ = writeln!(text, "{} has ended and is not restarted; its log ends so:{log}", node.name);
                let _ = writeln!(text, "  start it again: chain-node devnet restart {index} --dir {dir}");
            } else if runs && !*ran {
                let _ = writeln!(text, "{} runs again", node.name);
            }
            *ran = runs;
        }
        text
    }

    /// One line if somebody has a higher block than told before.
    fn block(&mut self, rows: &[Row]) -> String {
        let highest = rows.iter().filter(|row| row.height.is_some()).max_by_key(|row| row.height);
        let Some(row) = highest.filter(|row| row.height > self.height) else { return String::new() };
        self.height = row.height;
        let heights: Vec<String> =
            rows.iter().map(|row| row.height.map_or_else(|| "-".into(), |height| height.to_string())).collect();
        let number = |value: Option<u64>| value.unwrap_or_default();
        format!(
            "block {}  {}  by {}, view {}  nodes at {}\n",
            number(row.height),
            row.head.as_deref().map_or("-", short),
            row.proposer.as_deref().unwrap_or("-"),
            number(row.view.map(u64::from)),
            heights.join(" ")
        )
    }
}

fn banner(layout: &Layout, nodes: &[NodeEntry]) -> Result<String, Exit> {
    let dir = layout.dir().display();
    let accounts = AccountsFile::read(&layout.accounts()).map_err(|e| Exit::Configuration(e.to_string()))?.0;
    let tool = std::env::current_exe().ok().and_then(|path| path.parent().map(|dir| dir.join("chain")));
    let tool = tool.filter(|path| path.is_file()).map_or_else(|| "chain".into(), |path| path.display().to_string());
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(String::new());
    if let [node] = nodes {
        line(format!("  JSON-RPC, REST   {}", node.rpc));
        line(format!("  WebSocket        {}", node.rpc.replacen("http", "ws", 1)));
        line(format!("  metrics, health  {}/metrics", node.metrics));
    } else {
        line("  JSON-RPC, REST, WebSocket; metrics:".into());
        for NodeEntry { name, rpc, metrics, validator, candidate, .. } in nodes {
            let role = match (validator, candidate) {
                (Some(_), _) => "validator",
                (None, Some(_)) => "candidate",
                (None, None) => "follower",
            };
            line(format!("    {name:<8} {role:<10} {rpc}  {metrics}/metrics"));
        }
    }
    line(format!("  directory        {dir}"));
    line(String::new());
    line("  Funded accounts (secrets in accounts.json, for development only):".into());
    for account in accounts.iter().take(ACCOUNTS as usize) {
        line(format!("    {:<6} {}", account.name, account.address));
    }
    let to = accounts.get(1).map(|account| account.address.to_string()).unwrap_or_default();
    let url = nodes.first().map(|node| node.rpc.as_str()).unwrap_or_default();
    let (rpc, devnet) = (format!("--rpc {url}"), format!("--devnet-dir {dir}"));
    line(String::new());
    line("  Try:".into());
    line(format!("    curl -s {url}/rpc/head"));
    line(format!("    {tool} {rpc} balance dev0 {devnet}"));
    line(format!("    {tool} {rpc} transfer --from dev0 --to {to} --amount 5AIT {devnet}"));
    if nodes.len() > 1 {
        line(format!("    chain-node devnet status --dir {dir}    (also: logs NODE, kill NODE, restart NODE)"));
    }
    line(String::new());
    line("  Ctrl-C stops the chain; the next start continues it.".into());
    line(String::new());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(height: Option<u64>) -> Row {
        Row {
            node: "node-0".into(),
            role: "validator",
            pid: Some(1),
            state: "running",
            height,
            lag: None,
            head: Some("0x0123456789abcdef".into()),
            peers: None,
            proposer: Some("node-2".into()),
            view: Some(1),
            health: None,
        }
    }

    #[test]
    fn a_block_is_told_once() {
        let mut seen = Seen { runs: Vec::new(), height: None };
        assert_eq!(seen.block(&[row(None), row(None)]), "", "nobody answers");
        let first = "block 3  0x01234567  by node-2, view 1  nodes at 3 2 -\n";
        assert_eq!(seen.block(&[row(Some(3)), row(Some(2)), row(None)]), first);
        assert_eq!(seen.block(&[row(Some(3)), row(Some(3)), row(None)]), "");
        assert!(seen.block(&[row(None), row(Some(4)), row(None)]).starts_with("block 4 "));
    }
}
