//! `chain watch`: what happens on the chain, line by line until interrupted. Blocks go on without a gap when the node
//! restarts
//! or this reader was too slow; what passes through the pool or the consensus can't be told again, so a gap there is
//! said.
//!
//! With `--json` every line is a document.

use std::time::Duration;

use chain_core::types::{BlockId, Height};
use chain_rpc::view::{HeadView, Notice, PooledView};
use clap::{Args, Subcommand};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    node::Node,
    output::{count, money, print_line},
};

/// Pause before a broken connection is made anew.
const RETRY: Duration = Duration::from_millis(500);
/// Said where a gap can't be filled.
const SOMETHING_MISSING: &str = "something may be missing here";

/// Arguments of `chain watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(subcommand)]
    what: What,
    /// Stop after so many lines
    #[arg(long, global = true, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Final blocks, without a gap
    Blocks {
        /// Start with this block [default: the next one]
        #[arg(long, value_name = "HEIGHT")]
        from: Option<u64>,
    },
    /// Transactions that became executable in the node's pool
    Transactions,
    /// Views, proposals, votes, certificates and timeouts
    Consensus,
}

/// Runs `chain watch …`.
pub async fn run(app: &App, args: &WatchArgs) -> Answer<()> {
    let node = app.connect().await?;
    let left = args.count.unwrap_or(u64::MAX);
    match args.what {
        What::Blocks { from } => blocks(app, node, from.map(Height::new), left).await,
        What::Transactions => {
            let (native, names) = (node.native().await?, app.names());
            follow(app, node, "new_transactions", left, |tx: &PooledView| {
                let fee = money(&native, tx.fee);
                format!(
                    "{}  from {} nonce {} fee {fee}, {} bytes",
                    tx.tx_id,
                    names.short(&tx.sender),
                    tx.nonce.0,
                    tx.size
                )
            })
            .await
        }
        What::Consensus => follow(app, node, "consensus_events", left, consensus_line).await,
    }
}

/// Where the blocks told so far end.
#[derive(Debug)]
struct Cursor {
    next: Height,
    last: Option<BlockId>,
    left: u64,
}

impl Cursor {
    /// Takes the next block, if it is that and follows from the last one.
    fn take(&mut self, head: &HeadView) -> Answer<()> {
        let follows = self.last.is_none_or(|last| last == head.parent);
        if head.height != self.next || !follows {
            let (next, height, hash) = (self.next, head.height, head.hash);
            return Err(CliError::Failed(format!(
                "the node tells block {height} {hash}, which does not follow; expected block {next}"
            )));
        }
        (self.next, self.last, self.left) = (head.height.next(), Some(head.hash), self.left.saturating_sub(1));
        Ok(())
    }
}

async fn blocks(app: &App, mut node: Node, from: Option<Height>, left: u64) -> Answer<()> {
    let head = node.client.get_head().await?.height;
    let next = from.unwrap_or(head.next());
    if next > head.next() {
        return Err(CliError::Failed(format!("block {next} is not there yet; the newest is {head}")));
    }
    let (names, mut cursor) = (app.names(), Cursor { next, last: None, left });
    while cursor.left > 0 {
        let broken = tell_blocks(app, &names, &node, &mut cursor).await?;
        if cursor.left > 0 {
            node = reconnect(&node, &broken, &format!("goes on with block {}", cursor.next)).await?;
        }
    }
    Ok(())
}

/// Tells blocks until the connection breaks; says why it did.
async fn tell_blocks(app: &App, names: &Names, node: &Node, cursor: &mut Cursor) -> Answer<String> {
    let mut feed = match node.client.new_blocks(Some(cursor.next)).await {
        Ok(feed) => feed,
        // A node that starts again may still be behind what it told.
        Err(error) if error.refusal().is_none_or(|refused| refused.data.reason == "not_found") => {
            return Ok(error.to_string());
        }
        Err(error) => return Err(error.into()),
    };
    while cursor.left > 0 {
        match feed.next().await {
            Some(Ok(Notice::Item(head))) => {
                cursor.take(&head)?;
                print_line(app.json, &head, || block_line(names, &head))?;
            }
            Some(Ok(Notice::Lagged { lagged })) => {
                return Ok(format!("too slow, {} behind", count(lagged.missed.0, "block")));
            }
            Some(Err(error)) => return Ok(error.to_string()),
            None => return Ok("the node closed the connection".into()),
        }
    }
    Ok(String::new())
}

fn block_line(names: &Names, head: &HeadView) -> String {
    let proposer = names.short(&chain_core::types::Address::of_key(&head.proposer));
    let txs = count(head.tx_count.into(), "tx");
    let time = head.time.split_once('T').map_or(head.time.as_str(), |(_, time)| time);
    format!("{:>8}  {time}  {}  {txs:>7}  view {}  by {:.12}…", head.height, head.hash, head.view, proposer)
}

/// Tells what can't be told again, and says where something is missing.
async fn follow<T: DeserializeOwned + Serialize>(
    app: &App,
    mut node: Node,
    name: &str,
    mut left: u64,
    line: impl Fn(&T) -> String,
) -> Answer<()> {
    while left > 0 {
        let mut feed = match node.client.subscribe::<Notice<T>>(name, &json!({})).await {
            Err(error) if error.refusal().is_none() => {
                node = reconnect(&node, &error.to_string(), SOMETHING_MISSING).await?;
                continue;
            }
            subscribed => subscribed?,
        };
        let broken = loop {
            match feed.next().await {
                Some(Ok(Notice::Item(item))) => print_line(app.json, &item, || line(&item))?,
                Some(Ok(Notice::Lagged { lagged })) => break format!("too slow, {} missed", lagged.missed.0),
                Some(Err(error)) => break error.to_string(),
                None => break "the node closed the connection".into(),
            }
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(());
            }
        };
        node = reconnect(&node, &broken, SOMETHING_MISSING).await?;
    }
    Ok(())
}

/// Tries until the node answers again. Another chain in its place is an error.
async fn reconnect(node: &Node, broken: &str, then: &str) -> Answer<Node> {
    eprintln!("connection lost ({broken}); trying again");
    loop {
        tokio::time::sleep(RETRY).await;
        match node.again().await {
            Ok(connected) => {
                eprintln!("connected again; {then}");
                return Ok(connected);
            }
            Err(CliError::NoAnswer { .. }) => {}
            Err(other) => return Err(other),
        }
    }
}

/// `height 7 view 0  vote  kind finalize  signer 0x…`: the event's own fields, whatever they are.
fn consensus_line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let field = |name: &str| event.get(name).map(text).unwrap_or_default();
    let kind = ["type", "event"].into_iter().find_map(|name| event.get(name)).map(text).unwrap_or_default();
    let known = ["type", "event", "height", "view"];
    let rest = event
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null());
    let rest: Vec<_> = rest.map(|(name, value)| format!("{name} {}", text(value))).collect();
    format!("{:>8}  view {}  {kind:<12} {}", field("height"), field("view"), rest.join("  ")).trim_end().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chain_core::crypto::Hash;

    use super::*;

    fn head(height: u64, hash: u8, parent: u8) -> HeadView {
        let id = |byte| BlockId(Hash([byte; 32])).to_string();
        let zero = Hash::ZERO.to_string();
        serde_json::from_value(json!({
            "height": height, "hash": id(hash), "parent": id(parent), "timestamp": 0, "time": "1970-01-01T00:00:00.000Z",
            "proposer": zero, "view": 0, "tx_count": 0, "state_root": zero, "finalized": true, "finality_ms": 0,
            "chain_id": zero,
        }))
        .unwrap()
    }

    #[test]
    fn blocks_must_follow_each_other() {
        let mut cursor = Cursor { next: Height::new(5), last: None, left: 3 };
        cursor.take(&head(5, 5, 4)).unwrap();
        cursor.take(&head(6, 6, 5)).unwrap();
        assert_eq!((cursor.next, cursor.left), (Height::new(7), 1));
        for wrong in [head(6, 6, 5), head(8, 8, 7), head(7, 7, 9)] {
            assert!(cursor.take(&wrong).is_err(), "{wrong:?}");
        }
    }
}
