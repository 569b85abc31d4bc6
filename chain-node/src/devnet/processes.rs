//! The nodes of a devnet as processes: started in the background, found again, asked to stop, killed.
//!
//! A process is known by its id, the moment it started and the machine's boot, as `/proc` tells them: an
//! id that was given to another program since is not ours. Not here: what nodes answer (`status`).

use super::layout::{Layout, NodeEntry};
use super::status::wait_ready;
use crate::config::Config;
use crate::exit::Exit;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to stop in order before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(50);

/// What tells nodes apart comes from their files, not from the environment of who starts them.
const NOT_INHERITED: &[&str] = &[
    "DATA_DIR",
    "DATABASE_URL",
    "RPC_HOST",
    "RPC_PORT",
    "P2P_HOST",
    "P2P_PORT",
    "METRICS_PORT",
    "VALIDATOR_ADDRESS",
    "LOG_LEVEL",
];

/// How nodes are started.
#[derive(Clone, Copy, Debug)]
pub struct Starting<'a> {
    /// The log level, if the nodes' own is not wanted.
    pub log_level: Option<&'a str>,
    /// How long to wait until they are ready; `None`: not at all.
    pub wait: Option<Duration>,
}

/// Starts those of the chosen nodes that don't run, and waits until all of them are ready.
pub async fn up(layout: &Layout, chosen: &[usize], starting: Starting<'_>) -> Result<(), Exit> {
    let mut children = spawn_missing(layout, chosen, starting.log_level)?;
    match starting.wait {
        Some(patience) => wait_ready(layout, chosen, &mut children, patience).await,
        None => Ok(()),
    }
}

/// Starts those of the chosen nodes that don't run and writes down their processes.
pub fn spawn_missing(layout: &Layout, chosen: &[usize], log_level: Option<&str>) -> Result<Vec<(usize, Child)>, Exit> {
    layout.edit(|nodes| {
        let mut children = Vec::new();
        for index in chosen {
            let Some(node) = nodes.get_mut(*index).filter(|node| running(node).is_none()) else { continue };
            // In the foreground its only node may have listened elsewhere than its file says.
            let config = Config::from_file(&layout.config(node))?;
            let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, config.metrics_port));
            let p2p = SocketAddr::new(config.p2p_host, config.p2p_port);
            node.listens(SocketAddr::new(config.rpc_host, config.rpc_port), metrics, p2p);
            let child = spawn(layout, node, log_level)?;
            node.is_process(child.id());
            children.push((*index, child));
        }
        Ok(children)
    })
}

fn spawn(layout: &Layout, node: &NodeEntry, log_level: Option<&str>) -> Result<Child, Exit> {
    let failed = |e: std::io::Error| Exit::Configuration(format!("cannot start {}: {e}", node.name));
    let log = OpenOptions::new().create(true).append(true).open(layout.log(node)).map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("run").arg("--config").arg(layout.config(node));
    if let Some(level) = log_level {
        command.args(["--log-level", level]);
    }
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    // A group of its own: Ctrl-C at the terminal is for whoever watches, not for the nodes.
    command.process_group(0).spawn().map_err(failed)
}

/// Asks the chosen nodes to stop, and kills those that don't. Answers with the names of those that ran.
pub fn down(layout: &Layout, chosen: &[usize]) -> Result<Vec<String>, Exit> {
    end(layout, chosen, Signal::TERM)
}

/// Kills a node at once.
pub fn kill(layout: &Layout, index: usize) -> Result<(), Exit> {
    match end(layout, &[index], Signal::KILL)?.is_empty() {
        true => Err(Exit::Unhealthy(format!("node-{index} does not run"))),
        false => Ok(()),
    }
}

fn end(layout: &Layout, chosen: &[usize], signal: Signal) -> Result<Vec<String>, Exit> {
    let nodes = layout.nodes()?;
    let nodes: Vec<&NodeEntry> = chosen.iter().filter_map(|index| nodes.get(*index)).collect();
    let running_ones: Vec<&NodeEntry> = nodes.into_iter().filter(|node| running(node).is_some()).collect();
    running_ones.iter().try_for_each(|node| send(node, signal))?;
    if !gone(&running_ones, STOP_PATIENCE) {
        for node in running_ones.iter().filter(|node| running(node).is_some()) {
            eprintln!("{} does not stop within {} s and is killed", node.name, STOP_PATIENCE.as_secs());
            send(node, Signal::KILL)?;
        }
        if !gone(&running_ones, STOP_PATIENCE) {
            return Err(Exit::Unhealthy("a killed node is still there".into()));
        }
    }
    Ok(running_ones.iter().map(|node| node.name.clone()).collect())
}

fn send(node: &NodeEntry, signal: Signal) -> Result<(), Exit> {
    let Some(pid) = node.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) else { return Ok(()) };
    // Held before it is looked at: what is looked at is what gets the signal.
    let sent = pidfd_open(pid, PidfdFlags::empty()).and_then(|held| match running(node) {
        Some(_) => pidfd_send_signal(held, signal),
        None => Ok(()),
    });
    match sent {
        Err(e) if e != rustix::io::Errno::SRCH => {
            Err(Exit::Unhealthy(format!("cannot signal {} (process {pid:?}): {e}", node.name)))
        }
        _ => Ok(()),
    }
}

/// Waits until none of the nodes runs; says whether that came true.
fn gone(nodes: &[&NodeEntry], patience: Duration) -> bool {
    let since = Instant::now();
    while nodes.iter().any(|node| running(node).is_some()) {
        if since.elapsed() > patience {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// The node's process, if it runs and is still the one that was started.
pub fn running(node: &NodeEntry) -> Option<u32> {
    let pid = node.pid?;
    let stat = stat(pid)?;
    if node.boot.is_none() || node.boot != boot() {
        return None;
    }
    // A zombie has ended; only nobody has asked yet how.
    (Some(stat.since) == node.pid_since && !matches!(stat.state, 'Z' | 'X')).then_some(pid)
}

/// What `/proc` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    state: char,
    /// When it started, in clock ticks since the machine did.
    pub since: u64,
}

/// Names the machine's present boot.
pub fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// What `/proc` says of a process; `None` if there is none of this id.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state …`; the name may hold anything. See proc_pid_stat(5): fields 3 and 22.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, since: fields.nth(18)?.parse().ok()? })
}

/// The end of a node's log, for messages.
pub fn log_end(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().map(|line| format!("\n  {line}")).collect()
}

/// Prints a node's log; with `follow` goes on until interrupted.
pub fn logs(layout: &Layout, index: usize, follow: bool) -> Result<(), Exit> {
    let nodes = layout.nodes()?;
    let node = nodes.get(index).ok_or_else(|| no_such(index, nodes.len()))?;
    let path = layout.log(node);
    let failed = |e: std::io::Error| Exit::Configuration(format!("{}: {e}", path.display()));
    let mut file = fs::File::open(&path).map_err(failed)?;
    let mut out = std::io::stdout().lock();
    loop {
        match std::io::copy(&mut file, &mut out) {
            // Whoever read us has gone.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(failed)?,
        };
        if !follow {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// There is no such node.
pub fn no_such(index: usize, count: usize) -> Exit {
    Exit::Configuration(format!("there is no node-{index}; the devnet has node-0 to node-{}", count.saturating_sub(1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(pid: Option<u32>, pid_since: Option<u64>) -> NodeEntry {
        let text = String::new;
        let (name, rpc, metrics, p2p) = (text(), text(), text(), text());
        let (validator, candidate, data_dir, boot) = (None, None, "x".into(), boot());
        NodeEntry { name, rpc, metrics, p2p, validator, candidate, data_dir, pid, pid_since, boot }
    }

    #[test]
    fn a_process_is_known_by_id_and_start() {
        let own = std::process::id();
        let since = stat(own).unwrap().since;
        assert_eq!(running(&node(Some(own), Some(since))), Some(own));
        assert_eq!(running(&node(Some(own), Some(since + 1))), None, "the id was given to another one");
        assert_eq!(running(&node(Some(own), None)), None);
        for boot in [None, Some("another".into())] {
            assert_eq!(running(&NodeEntry { boot, ..node(Some(own), Some(since)) }), None, "the machine was restarted");
        }
        assert_eq!(running(&node(None, None)), None);
    }

    #[test]
    fn an_ended_child_does_not_run_even_before_it_is_asked_for() {
        let mut child = Command::new("true").spawn().unwrap();
        let entry = node(Some(child.id()), stat(child.id()).map(|stat| stat.since));
        while running(&entry).is_some() {
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        let parsed = parse_stat(&format!("42 (a) b (x) {rest}")).unwrap();
        assert_eq!(parsed, Stat { state: 'S', since: 777 });
        assert_eq!(parse_stat("42 (a) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }
}
