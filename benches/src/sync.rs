//! P2 and P3: a node with an empty database gets a chain of full blocks from one peer over loopback,
//! and verifies every signature again, or rests on the certificates.
//!
//! The peer is a validator of four that runs alone: it serves its blocks and makes no new ones.

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
/// when the follower's first block was seen and ends with the chain.
pub async fn run(cluster: &mut Cluster, chain: &BenchChain, mode: &str) -> Result<Caught> {
    let follower = cluster.add_follower(chain, &format!("[advanced]\nsync_mode = \"{mode}\"\n"))?;
    cluster.start(0)?;
    let totals = totals(cluster).await?;
    let target = totals.len() as u64;
    cluster.start(follower)?;
    let (client, pids) = (cluster.client(follower).await?, cluster.pids());
    let (mut first, mut height) = (None, 0);
    while height < target {
        tokio::time::sleep(LOOK).await;
        height = client.get_head().await?.height.get();
        if height > 0 && first.is_none() {
            first = Some((height, CpuTimes::now(&pids)?));
        }
    }
    let (last, (from, first)) = (CpuTimes::now(&pids)?, first.ok_or("there is nothing to catch up with")?);
    cluster.kill_all();
    let total = |height: u64| totals.get(height.saturating_sub(1) as usize).copied().ok_or("a block is missing");
    let (transfers, blocks) = (total(height)?.saturating_sub(total(from)?), height - from);
    if blocks == 0 {
        return Err("the chain is too short to be measured".into());
    }
    let per_s = transfers as f64 / (last.at - first.at).as_secs_f64();
    Ok(Caught { per_s, transfers, blocks, cpu: last.since(&first) })
}

/// How many transfers node 0 has up to each height, from 1 on.
async fn totals(cluster: &mut Cluster) -> Result<Vec<u64>> {
    let client = cluster.client(0).await?;
    let head = client.get_head().await?.height.get();
    let (mut feed, mut sum, mut totals) = (client.new_blocks(Some(Height::new(1))).await?, 0, Vec::new());
    while (totals.len() as u64) < head {
        match feed.next().await.ok_or("the subscription ended")?? {
            Notice::Item(block) => sum += u64::from(block.tx_count),
            Notice::Lagged { lagged } => return Err(format!("the subscription lost blocks: {lagged:?}").into()),
        }
        totals.push(sum);
    }
    Ok(totals)
}
