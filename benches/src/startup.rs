//! P20: from starting the node's process on a full data directory to its first answer, over
//! reading the same bytes once; and P11, what an account takes in memory.

use crate::Result;
use crate::chain::BenchChain;
use crate::machine::{directory_bytes, resident_bytes};
use crate::node::NodeProcess;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
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
/// measures restarts. The files lie in the page cache for both, start and reading.
pub fn run(accounts: usize, repeats: usize, binary: &Path) -> Result<Vec<Startup>> {
    let dir = tempfile::tempdir()?;
    let net = dir.path().join("net");
    BenchChain::draw(10, accounts)?.write(&net)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        NodeProcess::start(binary, &net).await?.stop()?;
        let mut starts = Vec::new();
        for _ in 0..repeats {
            let read = time_reading(&net.join("node-0"))?;
            let bytes = directory_bytes(&net.join("node-0"))?;
            let node = NodeProcess::start(binary, &net).await?;
            starts.push(Startup { start: node.started_in, read, bytes, resident: resident_bytes(node.pid())? });
            node.stop()?;
        }
        Ok(starts)
    })
}

fn time_reading(dir: &Path) -> Result<Duration> {
    let start = Instant::now();
    read_all(dir, &mut vec![0; 1 << 20])?;
    Ok(start.elapsed())
}

fn read_all(dir: &Path, buffer: &mut [u8]) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, buffer)?;
            continue;
        }
        let mut file = File::open(&path)?;
        while file.read(buffer)? > 0 {}
    }
    Ok(())
}
