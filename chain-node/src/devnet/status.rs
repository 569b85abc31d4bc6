//! How the nodes of a devnet are: asked over their RPC, shown as one table.

use super::layout::{Layout, NodeEntry};
use super::processes::{log_end, running};
use crate::exit::Exit;
use chain_core::crypto::PublicKey;
use chain_rpc::Client;
use chain_rpc::view::{HeadView, HealthView};
use futures_util::future::join_all;
use serde::Serialize;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a node may take to answer.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// How often nodes are asked whether they are ready.
const LOOK: Duration = Duration::from_millis(200);

/// One node's row. What is not known is absent.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `node-0`, …
    pub node: String,
    /// `validator`; `candidate`: it has a key that is not in the set; `follower`. Of a node that does not
    /// answer, what it began as.
    pub role: &'static str,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// `running`, `stopped`; `silent`: the process is there, but does not answer here.
    pub state: &'static str,
    /// Its newest final block.
    pub height: Option<u64>,
    /// How many blocks it is behind the highest of the others.
    pub lag: Option<u64>,
    /// That block's hash.
    pub head: Option<String>,
    /// How many peers it is connected with.
    pub peers: Option<u32>,
    /// Who built that block; genesis has nobody.
    pub proposer: Option<String>,
    /// In which view.
    pub view: Option<u32>,
    /// `ok`, `syncing` or `disagreeing`.
    pub health: Option<String>,
}

/// Asks a node for its head and health.
async fn ask(url: &str) -> Option<(HeadView, HealthView)> {
    let client = Client::connect_with(url, TIMEOUT).await.ok()?;
    Some((client.get_head().await.ok()?, client.health().await.ok()?))
}

/// Asks every node that runs, all at once.
pub async fn rows(nodes: &[NodeEntry]) -> Vec<Row> {
    let asked = nodes.iter().map(|node| async move {
        let pid = running(node);
        let answer = if pid.is_some() { ask(&node.rpc).await } else { None };
        row(nodes, node, pid, answer)
    });
    let mut rows = join_all(asked).await;
    let highest = rows.iter().filter_map(|row| row.height).max();
    for row in &mut rows {
        row.lag = highest.zip(row.height).map(|(highest, own)| highest.saturating_sub(own));
    }
    rows
}

fn row(nodes: &[NodeEntry], node: &NodeEntry, pid: Option<u32>, answer: Option<(HeadView, HealthView)>) -> Row {
    let state = match (pid, &answer) {
        (None, _) => "stopped",
        (Some(_), None) => "silent",
        (Some(_), Some(_)) => "running",
    };
    let (head, health) = answer.unzip();
    Row {
        node: node.name.clone(),
        role: role(node, health.as_ref()),
        pid,
        state,
        height: head.as_ref().map(|head| head.height.get()),
        lag: None,
        head: head.as_ref().map(|head| head.hash.to_string()),
        peers: health.as_ref().map(|health| health.peers),
        proposer: head.as_ref().and_then(|head| proposer(nodes, &head.proposer)),
        view: head.as_ref().map(|head| head.view.get()),
        health: health.map(|health| health.status),
    }
}

fn role(node: &NodeEntry, health: Option<&HealthView>) -> &'static str {
    match (node.key().is_some(), health.map_or(node.validator.is_some(), |health| health.validator)) {
        (_, true) => "validator",
        (true, false) => "candidate",
        (false, false) => "follower",
    }
}

/// The name of the node with this validator key; a stranger's key is shown as it is.
pub fn proposer(nodes: &[NodeEntry], key: &PublicKey) -> Option<String> {
    if key.0 == [0; 32] {
        return None;
    }
    let own = nodes.iter().find(|node| node.key() == Some(key));
    Some(own.map_or_else(|| key.to_string(), |node| node.name.clone()))
}

/// The first digits of a hash.
pub fn short(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    let head = ["NODE", "ROLE", "PID", "STATE", "HEIGHT", "LAG", "HEAD", "PEERS", "PROPOSER", "VIEW", "HEALTH"];
    let mut cells = vec![head.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        [
            row.node.clone(),
            row.role.to_owned(),
            number(row.pid.map(u64::from)),
            row.state.to_owned(),
            number(row.height),
            number(row.lag),
            text(row.head.as_deref().map(short)),
            number(row.peers.map(u64::from)),
            text(row.proposer.as_deref().map(|name| if name.starts_with("node-") { name } else { short(name) })),
            number(row.view.map(u64::from)),
            text(row.health.as_deref()),
        ]
    }));
    let width = |column: usize| cells.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 11]| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

/// Waits until the chosen nodes are ready: caught up and agreeing.
///
/// Errors: one of them does not run, or is not ready in time; the message holds the end of its log.
pub async fn wait_ready(
    layout: &Layout,
    chosen: &[usize],
    children: &mut [(usize, Child)],
    patience: Duration,
) -> Result<(), Exit> {
    let since = Instant::now();
    loop {
        let nodes = layout.nodes()?;
        // Asking how they ended lets ended children go.
        children.iter_mut().for_each(|(_, child)| drop(child.try_wait()));
        let wanted: Vec<&NodeEntry> = chosen.iter().filter_map(|index| nodes.get(*index)).collect();
        if let Some(node) = wanted.iter().find(|node| running(node).is_none()) {
            let (name, log) = (&node.name, layout.log(node));
            return Err(Exit::Unhealthy(format!("{name} has ended; {} ends so:{}", log.display(), log_end(&log))));
        }
        let ready = join_all(wanted.iter().map(|node| is_ready(&node.rpc))).await;
        let Some((node, _)) = wanted.iter().zip(ready).find(|(_, ready)| !ready) else { return Ok(()) };
        if since.elapsed() > patience {
            let (name, log, seconds) = (&node.name, layout.log(node), patience.as_secs());
            return Err(Exit::Unhealthy(format!("{name} is not ready after {seconds} s; see {}", log.display())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What `/readyz` says.
async fn is_ready(url: &str) -> bool {
    let Ok(client) = Client::connect_with(url, TIMEOUT).await else { return false };
    client.health().await.is_ok_and(|health| health.caught_up && health.agreeing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_aligned_columns_and_dashes_for_what_is_not_known() {
        let row = |node: &str, state, height: Option<u64>, head: Option<&str>| Row {
            node: node.into(),
            role: "validator",
            pid: height.map(|_| 4711),
            state,
            height,
            lag: height.map(|_| 0),
            head: head.map(str::to_owned),
            peers: None,
            proposer: None,
            view: None,
            health: None,
        };
        let table = table(&[
            row("node-0", "running", Some(12), Some("0x0123456789abcdef")),
            row("node-10", "stopped", None, None),
        ]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        let column = |name: &str| lines.first().and_then(|line| line.find(name)).unwrap_or(usize::MAX);
        let at =
            |line: usize, name: &str| lines.get(line).and_then(|line| line.get(column(name)..)).unwrap_or_default();
        assert!(at(1, "HEIGHT").starts_with("12 ") && at(2, "HEIGHT").starts_with("- "), "{table}");
        assert!(at(1, "HEAD").starts_with("0x01234567 ") && at(2, "STATE").starts_with("stopped "), "{table}");
        assert!(at(2, "HEALTH").starts_with('-'), "{table}");
    }
}
