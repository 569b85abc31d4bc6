//! A node as a process of its own, on free ports; it is ended with whoever holds it.

use crate::Result;
use crate::http::Connection;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// From the first answer to when a signal is heard for certain.
const SETTLE: Duration = Duration::from_millis(200);

/// A running `chain-node devnet run`.
pub struct NodeProcess {
    child: Child,
    /// Where JSON-RPC listens.
    pub rpc: SocketAddr,
    /// From the start of the process to the first answer.
    pub started_in: Duration,
}

/// The binary beside this one.
pub fn node_binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().ok_or("this program lies in no directory")?.join("chain-node");
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("{} is missing; run: cargo build --release --workspace --bins", path.display()).into()),
    }
}

impl NodeProcess {
    /// Starts a node on a devnet's directory and waits for its first answer.
    pub async fn start(binary: &Path, dir: &Path) -> Result<Self> {
        let start = Instant::now();
        let log = File::create(dir.join("node.log"))?;
        let child = Command::new(binary)
            .args(["devnet", "run", "--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0", "--log-level", "warn"])
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut node = Self { child, rpc: SocketAddr::from(([127, 0, 0, 1], 0)), started_in: Duration::ZERO };
        while start.elapsed() < PATIENCE {
            if let Some(status) = node.child.try_wait()? {
                let log = fs::read_to_string(dir.join("node.log"))?;
                return Err(format!("the node ended with {status}: {log}").into());
            }
            if let Some(address) = address(dir, node.pid())
                && let Ok(mut connection) = Connection::open(address).await
                && connection.call("get_head").await.is_ok()
            {
                (node.rpc, node.started_in) = (address, start.elapsed());
                return Ok(node);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the node did not start in time".into())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        // It answers a moment before it listens for signals.
        std::thread::sleep(SETTLE);
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        let start = Instant::now();
        while asked.success() && start.elapsed() < PATIENCE {
            match self.child.try_wait()? {
                Some(status) => {
                    if !status.success() {
                        // What was measured stays true; but nobody shall overlook it.
                        eprintln!("WARNING: the node was asked to end and ended with {status}");
                    }
                    return Ok(());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err("the node did not stop in time".into())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the node of this process listens, once it has said so.
fn address(dir: &Path, pid: u32) -> Option<SocketAddr> {
    let nodes: serde_json::Value = serde_json::from_str(&fs::read_to_string(dir.join("nodes.json")).ok()?).ok()?;
    let entry = nodes.get(0).filter(|entry| entry.get("pid").and_then(|own| own.as_u64()) == Some(pid.into()))?;
    entry.get("rpc")?.as_str()?.strip_prefix("http://")?.parse().ok()
}
