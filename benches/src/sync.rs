//! P2 and P3: a node with an empty database gets a chain of full blocks from one peer over loopback,
//! and verifies every signature again, or rests on the certificates.
//!
//! The peer is the only validator: it goes on making a block every 250 ms, but empty ones.

use crate::Result;
use crate::chain::BenchChain;
use crate::cluster::Cluster;
use crate::machine::{CpuTimes, CpuUse};
use chain_core::types::Height;
use chain_rpc::view::Notice;
use std::time::Duration;

/// How often the head of the node that catches up is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What catching up came to.
#[derive(Clone, Copy, Debug)]
pub struct Caught {
    /// Transfers per second.
    pub per_s: f64,
    /// Transfers in the blocks that count.
    pub transfers: u64,
    /// Those blocks.
    pub blocks: u64,
    /// The cores meanwhile; both nodes are counted.
    pub cpu: CpuUse,
}

/// Has a new follower catch up with node 0, in a mode of `advanced.sync_mode`. What counts begins
/// with the follower's first answer, so it has to find its peer as well, and ends with the chain.
pub async fn run(cluster: &mut Cluster, chain: &BenchChain, mode: &str) -> Result<Caught> {
    let follower = cluster.add_follower(chain, &format!("[advanced]\nsync_mode = \"{mode}\"\n"))?;
    cluster.start(0)?;
    let totals = totals(cluster).await?;
    let target = (totals.len() as u64).saturating_sub(1);
    cluster.start(follower)?;
    let (client, pids) = (cluster.client(follower).await?, cluster.pids());
    let first = CpuTimes::now(&pids)?;
    let from = client.get_head().await?.height.get();
    let mut height = from;
    while height < target {
        tokio::time::sleep(LOOK).await;
        height = client.get_head().await?.height.get();
    }
    let last = CpuTimes::now(&pids)?;
    cluster.kill_all();
    let total = |height: u64| totals.get(height as usize).copied().ok_or("a block is missing");
    let (transfers, blocks) = (total(height)?.saturating_sub(total(from)?), height.saturating_sub(from));
    if transfers == 0 {
        return Err(format!("the chain of {target} blocks is too short to be measured: caught up from {from}").into());
    }
    let per_s = transfers as f64 / (last.at - first.at).as_secs_f64();
    Ok(Caught { per_s, transfers, blocks, cpu: last.since(&first) })
}

/// How many transfers node 0 has up to each height, from 0 on; its pool is empty then.
async fn totals(cluster: &mut Cluster) -> Result<Vec<u64>> {
    let client = cluster.client(0).await?;
    let head = client.get_head().await?.height.get();
    let (mut feed, mut sum, mut totals) = (client.new_blocks(Some(Height::new(1))).await?, 0, vec![0]);
    loop {
        let block = match feed.next().await.ok_or("the subscription ended")?? {
            Notice::Item(block) => block,
            Notice::Lagged { lagged } => return Err(format!("the subscription lost blocks: {lagged:?}").into()),
        };
        sum += u64::from(block.tx_count);
        totals.push(sum);
        // What the pool still held goes into blocks first.
        if block.height.get() > head && block.tx_count == 0 {
            return Ok(totals);
        }
    }
}
