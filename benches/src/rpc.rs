//! P1 and P10 (P4: several nodes): a node as its own process, fed in bulk over a few connections, its final blocks
//! followed over a subscription.

use crate::Result;
use crate::chain::BenchChain;
use crate::feed::{Gauge, Outcome, Plan, Verdict, deal, offer};
use crate::http::Connection;
use crate::node::NodeProcess;
use chain_core::types::Height;
use chain_rpc::client::Client;
use chain_rpc::view::{Notice, SendManyView, SendVerdict};
use futures_util::future::{try_join, try_join_all};
use hyper::StatusCode;
use hyper::body::Bytes;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long the follower waits for a block before it looks whether the run is over.
const LOOK: Duration = Duration::from_millis(100);

/// Sends the transfers to a new node.
pub fn run(chain: &BenchChain, signed: &[Vec<u8>], plan: &Plan, binary: &Path) -> Result<Outcome> {
    let dir = tempfile::tempdir()?;
    chain.write(&dir.path().join("net"))?;
    let lanes = deal(signed, chain.senders.len(), plan.lanes);
    // One thread: the sender shall not take more of the cores than it needs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = NodeProcess::start(binary, &dir.path().join("net")).await?;
        let outcome = load(&lanes, plan, &[node.rpc], &[node.pid()]).await?;
        node.stop()?;
        Ok(outcome)
    })
}

/// Sends each lane's transfers over a connection of its own, to one node after the other in turn;
/// blocks are counted as the first node announces them.
pub async fn load(lanes: &[Vec<&[u8]>], plan: &Plan, nodes: &[SocketAddr], pids: &[u32]) -> Result<Outcome> {
    let first = nodes.first().ok_or("there is no node")?;
    let socket = Client::connect(&format!("ws://{first}")).await?;
    let opening = lanes.iter().zip(nodes.iter().cycle()).map(|(_, node)| Connection::open(*node));
    let connections = try_join_all(opening).await?;
    let connections: Vec<_> = connections.into_iter().map(Mutex::new).collect();
    let gauge = Gauge::default();
    let lanes = lanes.iter().zip(&connections).map(|(lane, connection)| {
        let send = async |batch: &[&[u8]]| submit(&mut *connection.lock().await, batch).await;
        offer(lane, &gauge, plan, send)
    });
    try_join(try_join_all(lanes), follow(&socket, &gauge, plan, pids)).await?;
    gauge.outcome(plan)
}

async fn follow(socket: &Client, gauge: &Gauge, plan: &Plan, pids: &[u32]) -> Result<()> {
    let mut blocks = socket.new_blocks(Some(Height::new(1))).await?;
    while !gauge.is_over(plan) {
        let Ok(next) = timeout(LOOK, blocks.next()).await else { continue };
        match next.ok_or("the subscription ended")?? {
            Notice::Item(head) => gauge.block(head.tx_count.into(), pids)?,
            Notice::Lagged { lagged } => return Err(format!("the subscription lost blocks: {lagged:?}").into()),
        }
    }
    Ok(())
}

async fn submit(connection: &mut Connection, batch: &[&[u8]]) -> Result<Vec<Verdict>> {
    let mut body = Vec::with_capacity(batch.iter().map(|bytes| 4 + bytes.len()).sum());
    for bytes in batch {
        body.extend_from_slice(&u32::try_from(bytes.len())?.to_le_bytes());
        body.extend_from_slice(bytes);
    }
    match connection.post("/rpc/send_txs", "application/octet-stream", body.into()).await? {
        (StatusCode::OK, answer) => verdicts(&answer, batch.len()),
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => Ok(vec![Verdict::Later; batch.len()]),
        (status, answer) => Err(format!("send_txs: {status} {}", String::from_utf8_lossy(&answer)).into()),
    }
}

/// Reads every verdict only if not all are good: the sender runs on the node's cores.
fn verdicts(answer: &Bytes, count: usize) -> Result<Vec<Verdict>> {
    if answer.starts_with(format!("{{\"accepted\":{count},").as_bytes()) {
        return Ok(vec![Verdict::Taken; count]);
    }
    let view: SendManyView = serde_json::from_slice(answer)?;
    let verdict = |verdict: &SendVerdict| match verdict {
        SendVerdict::Taken(_) => Verdict::Taken,
        SendVerdict::Refused { error } => Verdict::of_reason(&error.data.reason),
    };
    Ok(view.results.iter().map(verdict).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_from_the_answer() {
        let refusal = |reason| format!(r#"{{"error":{{"code":1,"message":"m","data":{{"reason":"{reason}"}}}}}}"#);
        let answer = format!(r#"{{"accepted":0,"results":[{},{}]}}"#, refusal("pool_full"), refusal("expired"));
        let read = verdicts(&answer.into(), 2).unwrap();
        assert_eq!(read, [Verdict::Later, Verdict::Refused("expired".into())]);
        assert_eq!(verdicts(&Bytes::from_static(b"{\"accepted\":2,"), 2).unwrap(), [Verdict::Taken, Verdict::Taken]);
    }
}
