//! P1a: the library alone. Signatures in batches on 2 threads → pool → agreement of one →
//! execution → RocksDB, synced: the node's own driver, without RPC and without the follower that
//! indexes histories.

use crate::Result;
use crate::chain::BenchChain;
use crate::feed::{Gauge, Outcome, Plan, Verdict, deal, offer};
use chain_core::block;
use chain_core::engine::{Engine, EngineLog, Options, Start, Trust};
use chain_core::ledger::Chain;
use chain_core::mempool::PoolLimits;
use chain_core::storage::Journal;
use chain_core::types::Height;
use chain_node::config::Config;
use chain_node::counts::Counts;
use chain_node::driver::{Driver, MonoClock, Running};
use chain_node::net::Net;
use chain_node::run::open_ledger;
use chain_node::snapshots::Shelf;
use futures_util::future::try_join_all;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the head is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// How long the threads may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the transfers through a new database.
pub fn run(chain: &BenchChain, signed: &[Vec<u8>], plan: &Plan) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    let (driver, running, ledger) = start(chain, dir.path())?;
    let lanes = deal(signed, chain.senders.len(), plan.lanes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let gauge = Gauge::default();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&ledger, &gauge, plan));
        let send = async |batch: &[&[u8]]| submit(&driver, batch).await;
        runtime.block_on(try_join_all(lanes.iter().map(|lane| offer(lane, &gauge, plan, send))))?;
        follower.join().map_err(|_| "the follower panicked")?
    })?;
    driver.stop();
    running.join()?;
    close(driver, ledger)?;
    gauge.outcome(plan)
}

/// Closes the database in this thread: the verifying threads hold it a moment longer than the
/// engine, and RocksDB must be closed before the process ends.
fn close(driver: Arc<Driver>, ledger: Arc<Chain>) -> Result<()> {
    let store = ledger.store().clone();
    drop((driver, ledger));
    let start = Instant::now();
    while Arc::strong_count(&store) > 1 {
        if start.elapsed() > PATIENCE {
            return Err("somebody still holds the database".into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn start(chain: &BenchChain, dir: &Path) -> Result<(Arc<Driver>, Running, Arc<Chain>)> {
    let config = Config { data_dir: dir.into(), ..Config::default() };
    let log = |name: &str| -> Result<EngineLog> {
        let (log, _) = Journal::open(&dir.join("logs"), name)?;
        Ok(EngineLog { records: Vec::new(), log: Box::new(log) })
    };
    let start = Start {
        options: Options {
            flush_interval_blocks: config.advanced.flush_interval_blocks,
            trust: Trust::Nobody,
            accept_conflict_at: None,
        },
        pool_limits: PoolLimits::default(),
        chain: open_ledger(&config, &chain.genesis)?,
        rule: chain.genesis.quorum_rule,
        key: Some(Arc::new(chain.validator())),
        wal: log("consensus")?,
        pool_log: log("mempool")?,
        sign_memory: None,
        resume_signing_at: None,
    };
    let shelf = Arc::new(Shelf::open(dir.join("snapshots"))?);
    let clock = MonoClock::start();
    let (engine, outputs) = Engine::start(start, &move || clock.now())?;
    let ledger = engine.chain().clone();
    // Nobody contradicts itself here.
    let counts = (Counts::new()?, tokio::sync::mpsc::channel(1).0);
    let (driver, running) =
        Driver::start(engine, outputs, clock, config.advanced.verify_threads, Net::new(shelf), counts);
    Ok((driver, running, ledger))
}

async fn submit(driver: &Driver, batch: &[&[u8]]) -> Result<Vec<Verdict>> {
    let answer = driver.submit(batch.iter().map(|bytes| bytes.to_vec()).collect()).await;
    Ok(match answer {
        Err(_) => vec![Verdict::Later; batch.len()],
        Ok(verdicts) => {
            let verdict = |rejected: &chain_core::types::Rejected| Verdict::of_reason(rejected.rejection.name);
            verdicts.iter().map(|one| one.as_ref().map_or_else(verdict, |_| Verdict::Taken)).collect()
        }
    })
}

/// Counts the transfers that were carried out, block by block.
fn follow(ledger: &Chain, gauge: &Gauge, plan: &Plan) -> Result<()> {
    let mut seen = Height::ZERO;
    while !gauge.is_over(plan) {
        let head = ledger.head().block.header.height;
        while seen < head {
            seen = seen.next();
            let block = ledger.block(seen)?.ok_or("a final block is missing")?;
            let done = block.results.outcomes.iter().filter(|outcome| outcome.verdict == block::Verdict::Ok);
            gauge.block(done.count() as u64, &[])?;
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
