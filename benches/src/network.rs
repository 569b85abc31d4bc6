//! Several validators: P4 what they commit together, P5 and P6 how soon a block is final, P7 what
//! one dead validator costs, P8 how soon a chain that had lost its quorum goes on.
//!
//! Times are those the nodes tell of their blocks: a block's timestamp is when its proposer began to
//! build it, and `finality_ms` the time from there to its commit on the node that is asked, both by
//! the wall clock of this one machine.

use crate::Result;
use crate::chain::BenchChain;
use crate::cluster::{Cluster, PATIENCE};
use crate::feed::{Outcome, Plan, deal};
use crate::rpc;
use chain_core::types::Height;
use chain_rpc::client::{Client, Feed};
use chain_rpc::view::{HeadView, Notice};
use futures_util::future::try_join_all;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How many validators every figure is taken with.
pub const VALIDATORS: usize = 4;
/// Blocks that are not counted after a change: who is off is known after five, for example.
const SETTLING: usize = 8;
/// How long a chain stands still before its quorum comes back.
const STANDSTILL: Duration = Duration::from_secs(5);
/// Longer than a chain with a quorum ever goes without a block here.
const QUIET: Duration = Duration::from_secs(3);

/// How soon blocks were final, over all blocks and all nodes.
#[derive(Clone, Copy, Debug)]
pub struct Finality {
    /// The middle.
    pub p50_ms: f64,
    /// 99 of 100 were as soon.
    pub p99_ms: f64,
}

/// What an interval between blocks came to.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// The mean.
    pub mean_ms: f64,
    /// Share of the blocks that were not built in their height's first view.
    pub later_view: f64,
}

/// How the validators that were missing come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Stopped by a signal and continued: time runs from the signal to continue.
    Continued,
    /// Killed and started again: time runs from the start of the process.
    Restarted,
}

/// A cluster that runs, over lines that take so long.
pub async fn running(chain: &BenchChain, binary: &Path, delay: Duration) -> Result<Cluster> {
    let mut cluster = Cluster::new(chain, binary)?;
    if !delay.is_zero() {
        cluster.slow_down(delay)?;
    }
    cluster.up().await?;
    Ok(cluster)
}

/// P5 and P6: how soon so many blocks were final on every node; the blocks are empty.
pub async fn finality(chain: &BenchChain, binary: &Path, delay: Duration, blocks: usize) -> Result<Finality> {
    let mut cluster = running(chain, binary, delay).await?;
    let mut clients = Vec::new();
    for number in 0..VALIDATORS {
        clients.push(cluster.client(number).await?);
    }
    let heard = try_join_all(clients.iter().map(|client| listen(client, blocks))).await?;
    let mut times: Vec<u64> = heard.iter().flatten().map(|head| head.finality_ms.0).collect();
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).map(|ms| *ms as f64).ok_or("no block became final")
    };
    Ok(Finality { p50_ms: at(50)?, p99_ms: at(99)? })
}

/// P7: the mean distance of the timestamps of so many blocks while the last validator is dead.
pub async fn interval_without_one(chain: &BenchChain, binary: &Path, blocks: usize) -> Result<Interval> {
    let mut cluster = running(chain, binary, Duration::ZERO).await?;
    cluster.kill(VALIDATORS - 1)?;
    let heads = listen(&cluster.client(0).await?, blocks + 1).await?;
    let (first, last) = heads.first().zip(heads.last()).ok_or("no block became final")?;
    let later = heads.iter().skip(1).filter(|head| head.view.get() > 0).count();
    let mean_ms = last.timestamp.get().saturating_sub(first.timestamp.get()) as f64 / blocks as f64;
    Ok(Interval { mean_ms, later_view: later as f64 / blocks as f64 })
}

/// The next so many blocks of a node, once it has settled.
async fn listen(client: &Client, blocks: usize) -> Result<Vec<HeadView>> {
    let mut feed = client.new_blocks(None).await?;
    for _ in 0..SETTLING {
        next(&mut feed, PATIENCE).await?;
    }
    let mut heads = Vec::new();
    while heads.len() < blocks {
        heads.push(next(&mut feed, PATIENCE).await?);
    }
    Ok(heads)
}

async fn next(feed: &mut Feed<Notice<HeadView>>, patience: Duration) -> Result<HeadView> {
    match timeout(patience, feed.next()).await?.ok_or("the subscription ended")?? {
        Notice::Item(head) => Ok(head),
        Notice::Lagged { lagged } => Err(format!("the subscription lost blocks: {lagged:?}").into()),
    }
}

/// P8: two of four go, the chain stands, one comes back: how long until the first node has the next
/// final block. As often as asked; in between all four run.
pub async fn recovery(chain: &BenchChain, binary: &Path, back: Return, repeats: usize) -> Result<Vec<Duration>> {
    let mut cluster = running(chain, binary, Duration::ZERO).await?;
    let client = cluster.client(0).await?;
    let mut feed = client.new_blocks(None).await?;
    let mut times = Vec::new();
    for _ in 0..repeats {
        for _ in 0..SETTLING {
            next(&mut feed, PATIENCE).await?;
        }
        leave(&mut cluster, back, 2)?;
        leave(&mut cluster, back, 3)?;
        stand_still(&mut feed).await?;
        let start = Instant::now();
        come_back(&mut cluster, back, 2)?;
        next(&mut feed, PATIENCE).await?;
        times.push(start.elapsed());
        come_back(&mut cluster, back, 3)?;
        cluster.client(3).await?;
    }
    Ok(times)
}

fn leave(cluster: &mut Cluster, back: Return, number: usize) -> Result<()> {
    match back {
        Return::Continued => cluster.signal(number, "STOP"),
        Return::Restarted => cluster.kill(number),
    }
}

fn come_back(cluster: &mut Cluster, back: Return, number: usize) -> Result<()> {
    match back {
        Return::Continued => cluster.signal(number, "CONT"),
        Return::Restarted => cluster.start(number),
    }
}

/// Reads what was final before the quorum went, and sees that nothing comes any more.
async fn stand_still(feed: &mut Feed<Notice<HeadView>>) -> Result<()> {
    let start = Instant::now();
    while next(feed, QUIET).await.is_ok() {
        if start.elapsed() > STANDSTILL {
            return Err("two of four still make blocks".into());
        }
    }
    tokio::time::sleep(STANDSTILL.saturating_sub(start.elapsed())).await;
    Ok(())
}

/// What nodes made of a load together.
pub struct Loaded {
    /// What became final.
    pub outcome: Outcome,
    /// Blocks of the whole run.
    pub blocks: u64,
    /// Share of the blocks that were not built in their height's first view.
    pub later_view: f64,
    /// The nodes, stopped, with the chain they made.
    pub cluster: Cluster,
}

/// P4: sends the transfers to all nodes of a new network, each sender's to one of them.
pub fn load(chain: &BenchChain, signed: &[Vec<u8>], plan: &Plan, binary: &Path) -> Result<Loaded> {
    let lanes = deal(signed, chain.senders.len(), plan.lanes);
    // One thread: the sender shall not take more of the cores than it needs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut cluster = running(chain, binary, Duration::ZERO).await?;
        let outcome = rpc::load(&lanes, plan, &cluster.rpcs(), &cluster.pids()).await?;
        let (blocks, later_view) = views(&cluster.client(0).await?).await?;
        cluster.kill_all();
        Ok(Loaded { outcome, blocks, later_view, cluster })
    })
}

/// How many blocks a node has, and the share of them of a later view than their height's first.
async fn views(client: &Client) -> Result<(u64, f64)> {
    let height = client.get_head().await?.height.get();
    let (mut feed, mut later) = (client.new_blocks(Some(Height::new(1))).await?, 0);
    for _ in 0..height {
        later += u64::from(next(&mut feed, PATIENCE).await?.view.get() > 0);
    }
    Ok((height, later as f64 / height as f64))
}
