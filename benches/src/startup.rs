//! P20: from starting the node's process on a full data directory to its first answer, over
//! reading the same bytes once; and P11, what an account takes in memory.

use crate::Result;
use crate::chain::BenchChain;
use crate::machine::{directory_bytes, resident_bytes};
use crate::node::NodeProcess;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One start.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    /// To the first answer.
    pub start: Duration,
    /// Reading every file of the node's directory once, in order.
    pub read: Duration,
    /// Length of those files.
    pub bytes: u64,
    /// Memory of the node after its start.
    pub resident: u64,
}

/// Makes a chain with so many accounts, starts it once so that the database is there, and then
/// measures restarts. For both, start and reading, the files come from the disk.
pub fn run(accounts: usize, repeats: usize, binary: &Path) -> Result<Vec<Startup>> {
    let dir = tempfile::tempdir()?;
    let net = dir.path().join("net");
    BenchChain::draw(1, 10, accounts)?.write(&net)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        NodeProcess::start(binary, &net).await?.stop()?;
        let mut starts = Vec::new();
        for _ in 0..repeats {
            forget_cached(&net)?;
            let read = time_reading(&net.join("node-0"))?;
            forget_cached(&net)?;
            let bytes = directory_bytes(&net.join("node-0"))?;
            let node = NodeProcess::start(binary, &net).await?;
            starts.push(Startup { start: node.started_in, read, bytes, resident: resident_bytes(node.pid())? });
            node.stop()?;
        }
        Ok(starts)
    })
}

/// Has the kernel write the files and drop them from its cache.
fn forget_cached(dir: &Path) -> Result<()> {
    let ask = |command: &mut Command| -> Result<()> {
        let status = command.status()?;
        if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
    };
    ask(Command::new("sync").arg("-f").arg(dir))?;
    for path in files(dir)? {
        ask(Command::new("dd").arg(format!("if={}", path.display())).args([
            "iflag=nocache",
            "count=0",
            "status=none",
        ]))?;
    }
    Ok(())
}

fn time_reading(dir: &Path) -> Result<Duration> {
    let (files, mut buffer) = (files(dir)?, vec![0; 1 << 20]);
    let start = Instant::now();
    for path in files {
        let mut file = File::open(path)?;
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(start.elapsed())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}
