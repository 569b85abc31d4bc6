//! `chain history`: the final transactions that concern an account and what blocks did to it, newest first.

use chain_rpc::view::rfc3339;
use clap::Args;

use crate::{app::App, error::Answer};

/// Arguments of `chain history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// A name or an address
    #[arg(value_name = "NAME|ADDRESS")]
    who: String,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Go on where the page before ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Show transaction ids
    #[arg(long)]
    ids: bool,
}

/// Runs `chain history`.
pub async fn run(app: &App, args: &HistoryArgs) -> Answer<()> {
    let address = app.address(&args.who)?;
    let node = app.connect().await?;
    let page = node.client.get_history(address, args.cursor.clone(), Some(args.limit)).await?;
    let names = app.names();
    let mut rows = Vec::new();
    for transaction in &page.transactions {
        let words = node.words(&transaction.signed.transaction.actions).await.join("; ");
        let time = rfc3339(transaction.timestamp);
        let mut row = vec![
            transaction.height.to_string(),
            time.get(..19).unwrap_or(&time).replace('T', " "),
            names.short(&transaction.signed.transaction.sender),
            names.replace(&words),
            transaction
                .outcome
                .reason
                .as_ref()
                .map_or_else(|| "ok".into(), |reason| format!("refused: {}", reason.name)),
        ];
        if args.ids {
            row.push(transaction.tx_id.to_string());
        }
        rows.push((transaction.height, transaction.index, row));
    }
    for entry in &page.own {
        let time = rfc3339(entry.timestamp);
        let types = entry.item.events.iter().filter_map(|event| event["type"].as_str());
        let row = vec![
            entry.height.to_string(),
            time.get(..19).unwrap_or(&time).replace('T', " "),
            "the block".into(),
            types.collect::<Vec<_>>().join("; "),
            "ok".into(),
        ];
        rows.push((entry.height, entry.item.index, row));
    }
    rows.sort_by_key(|(height, index, _)| std::cmp::Reverse((*height, *index)));
    let rows: Vec<_> = rows.into_iter().map(|(_, _, row)| row).collect();
    app.print(&page, |lines| {
        lines.table(&["block", "time (UTC)", "by", "does", "outcome", if args.ids { "tx" } else { "" }], &rows);
        if let Some(next) = &page.next {
            lines.line(format_args!("older: --cursor {next}"));
        }
    })
}
