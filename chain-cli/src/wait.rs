//! Waits until a transaction is final or dropped: told by the node over a subscription, with a spinner on a terminal.
//! If the
//! connection breaks it connects anew and asks again.
//!
//! Not here: how the end is shown (`commands/tx.rs`).

use std::{cell::Cell, time::Duration};

use chain_core::types::TxId;
use chain_rpc::{
    Client,
    client::ClientError,
    view::{GetTxView, StatusName},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    error::{Answer, CliError},
    node::Node,
};

/// Pause before a broken connection is made anew.
const RETRY: Duration = Duration::from_millis(300);
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Waits for the end of a transaction.
pub async fn wait(node: &Node, id: TxId, timeout: Duration) -> Answer<GetTxView> {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(TICK);
    let last = Cell::new(StatusName::Unknown);
    let follow = follow(node, id, |status| {
        last.set(status);
        spinner.set_message(name(status));
    });
    let end = tokio::time::timeout(timeout, follow).await;
    spinner.finish_and_clear();
    end.unwrap_or_else(|_| {
        let (seconds, last) = (timeout.as_secs(), name(last.get()));
        Err(CliError::Failed(format!("{id} is still {last} after {seconds} s; `chain tx wait {id}` goes on waiting")))
    })
}

async fn follow(node: &Node, id: TxId, say: impl Fn(StatusName)) -> Answer<GetTxView> {
    let mut anew: Option<Node> = None;
    loop {
        let client = anew.as_ref().map_or(&node.client, |node| &node.client);
        match to_its_end(client, id, &say).await {
            Ok(Some(end)) => return Ok(end),
            Err(error) if error.refusal().is_some() => return Err(error.into()),
            Ok(None) | Err(_) => tokio::time::sleep(RETRY).await,
        }
        if let Ok(connected) = node.again().await {
            anew = Some(connected);
        }
    }
}

/// `None`: the node ended the subscription before the end.
async fn to_its_end(client: &Client, id: TxId, say: impl Fn(StatusName)) -> Result<Option<GetTxView>, ClientError> {
    let mut way = client.watch_tx(id).await?;
    while let Some(step) = way.next().await {
        let status = step?.status;
        say(status);
        if is_end(status) {
            let view = client.get_tx(id, false).await?;
            return Ok(Some(view).filter(|view| is_end(view.status)));
        }
    }
    Ok(None)
}

fn is_end(status: StatusName) -> bool {
    matches!(status, StatusName::Final | StatusName::Dropped)
}

/// A status in a word.
pub fn name(status: StatusName) -> &'static str {
    match status {
        StatusName::Queued => "queued",
        StatusName::Pending => "pending",
        StatusName::Final => "final",
        StatusName::Dropped => "dropped",
        StatusName::Unknown => "unknown",
    }
}
