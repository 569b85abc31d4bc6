//! `chain tx`: what became of a transaction.
//!
//! Not here: sending (`send`), the council's events in words (`authority`).

use std::time::Duration;

use chain_core::types::{Amount, TxId};
use chain_rpc::view::{GetTxView, OutcomeView, StatusName, rfc3339};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    app::App,
    error::{Answer, bad_end, reason_text},
    market_told::{self, Words},
    node::Node,
    output::{Lines, money},
    wait::{name, wait},
};

/// Arguments of `chain tx`.
#[derive(Debug, Args)]
pub struct TxArgs {
    #[command(subcommand)]
    action: TxAction,
}

#[derive(Debug, Subcommand)]
enum TxAction {
    /// Show a transaction and what became of it
    Show {
        /// Its id, 0x…
        id: TxId,
    },
    /// Wait until it is final or dropped; exit code 1 if it did not succeed
    Wait {
        /// Its id, 0x…
        id: TxId,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        timeout: u64,
    },
}

/// Runs `chain tx …`.
pub async fn run(app: &App, args: &TxArgs) -> Answer<()> {
    let node = app.connect().await?;
    match args.action {
        TxAction::Show { id } => {
            let view = node.client.get_tx(id, false).await?;
            show(app, &node, &view, true).await?;
            match view.status {
                StatusName::Unknown => bad_end(&view).map_or(Ok(()), Err),
                _ => Ok(()),
            }
        }
        TxAction::Wait { id, timeout } => {
            let view = wait(&node, id, Duration::from_secs(timeout)).await?;
            report(app, &node, &view).await
        }
    }
}

/// Prints how a transaction ended; an error if it did not end well.
pub async fn report(app: &App, node: &Node, view: &GetTxView) -> Answer<()> {
    show(app, node, view, false).await?;
    bad_end(view).map_or(Ok(()), Err)
}

async fn show(app: &App, node: &Node, view: &GetTxView, whole: bool) -> Answer<()> {
    let (native, names) = (node.native().await?, app.names());
    let stake = super::stake::token_for(node, view.events.iter().flatten()).await?;
    let events: Vec<&Value> = view.events.iter().flatten().collect();
    let market = Words::of(node, &events).await?;
    let words = match &view.signed {
        Some(signed) if whole => node.words(&signed.transaction.actions).await,
        _ => Vec::new(),
    };
    app.print(view, |lines| {
        for line in words {
            lines.line(names.replace(&line));
        }
        end(lines, view);
        lines.pair("  tx", view.tx_id);
        if let (Some(height), Some(block)) = (view.height, view.block) {
            lines.pair("  block", format_args!("{height}  {block}"));
        }
        if let Some(signed) = view.signed.as_ref().filter(|_| whole) {
            lines.pair("  from", names.with(&signed.transaction.sender));
            lines.pair("  nonce", signed.transaction.nonce);
        }
        if let Some(fee) = view.signed.as_ref().map(|signed| signed.transaction.fee) {
            lines.pair("  fee", money(&native, view.outcome.as_ref().map_or(fee, |outcome| outcome.fee)));
        }
        let burned = burned(view);
        if !burned.is_zero() {
            lines.pair("  burned", format_args!("{} for what the chain must keep from now on", money(&native, burned)));
        }
        if let Some(outcome) = &view.outcome {
            lines.pair("  outcome", outcome_text(outcome));
        }
        super::authority::told(lines, &names, view.events.iter().flatten());
        let tokens = super::stake::Tokens { native: &native, stake: stake.as_ref() };
        super::stake::told(lines, &names, tokens, view.events.iter().flatten());
        market_told::told(lines, &names, &market, &events);
        if whole {
            all_events(lines, view);
        }
    })
}

fn end(lines: &mut Lines, view: &GetTxView) {
    let time = view.timestamp.map(|time| format!(", {}", rfc3339(time))).unwrap_or_default();
    match (view.height, view.index) {
        (Some(height), Some(index)) => lines.line(format_args!("final in block {height}, place {index}{time}")),
        _ => lines.line(name(view.status)),
    }
}

fn all_events(lines: &mut Lines, view: &GetTxView) {
    for event in view.events.iter().flatten() {
        lines.pair("  event", event);
    }
}

/// What was burned beside the fee for new rows and new assets, as the events say.
fn burned(view: &GetTxView) -> Amount {
    let fee = |event: &Value, name: &str| event.get(name)?.as_str()?.parse().ok().map(Amount::new);
    let events = view.events.iter().flatten();
    let fees = events.flat_map(|event| ["row_fee", "asset_fee"].map(|name| fee(event, name)));
    fees.flatten().fold(Amount::ZERO, Amount::saturating_add)
}

/// An outcome in words.
pub fn outcome_text(outcome: &OutcomeView) -> String {
    match &outcome.reason {
        None => "ok".into(),
        Some(reason) => format!("refused: {}", reason_text(reason)),
    }
}
