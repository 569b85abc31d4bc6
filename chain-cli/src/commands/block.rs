//! `chain block` and `chain head`: final blocks.

use chain_core::types::{Address, BlockId, Height};
use chain_rpc::view::{BlockRef, BlockView, HeadView, Include};
use clap::Args;

use super::tx::outcome_text;
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    output::Lines,
};

/// Arguments of `chain block`.
#[derive(Debug, Args)]
pub struct BlockArgs {
    /// Its height, its hash, or the newest
    #[arg(value_name = "HEIGHT|HASH|latest", default_value = "latest", value_parser = block_ref)]
    block: BlockRef,
    /// Show the transactions and not only their ids
    #[arg(long)]
    full: bool,
}

fn block_ref(text: &str) -> Result<BlockRef, String> {
    if text == "latest" {
        return Ok(BlockRef::Latest);
    }
    if text.starts_with("0x") {
        return text.parse::<BlockId>().map(BlockRef::Id).map_err(|error| error.to_string());
    }
    let height = text.parse().map_err(|_| "a height, a 0x… hash or latest".to_owned())?;
    Ok(BlockRef::Height(Height::new(height)))
}

/// Runs `chain block`.
pub async fn run(app: &App, args: &BlockArgs) -> Answer<()> {
    let node = app.connect().await?;
    let include = if args.full { Include::Full } else { Include::Ids };
    let block = match node.client.get_block(args.block, include).await {
        Err(error) if error.refusal().is_some_and(|refused| refused.data.reason == "not_found") => {
            let newest = node.client.get_head().await?.height;
            return Err(CliError::Failed(format!("there is no final block {}; the newest is {newest}", args.block)));
        }
        answered => answered?,
    };
    let mut words = Vec::new();
    for transaction in block.transactions.iter().flatten() {
        words.push(node.words(&transaction.signed.transaction.actions).await);
    }
    app.print(&block, |lines| show_block(lines, app, &block, &words))
}

/// Runs `chain head`.
pub async fn head(app: &App) -> Answer<()> {
    let head = app.connect().await?.client.get_head().await?;
    app.print(&head, |lines| show_head(lines, app, &head))
}

fn show_head(lines: &mut Lines, app: &App, head: &HeadView) {
    lines.line(format_args!("block {}, final", head.height));
    lines.pair("  hash", head.hash);
    lines.pair("  parent", head.parent);
    lines.pair("  time", &head.time);
    lines.pair("  proposer", app.names().with(&Address::of_key(&head.proposer)));
    lines.pair("  view", head.view);
    lines.pair("  state root", head.state_root);
    if head.finality_ms.0 > 0 {
        lines.pair("  final in", format_args!("{} ms", head.finality_ms.0));
    }
    lines.pair("  txs", head.tx_count);
}

fn show_block(lines: &mut Lines, app: &App, block: &BlockView, words: &[Vec<String>]) {
    show_head(lines, app, &block.head);
    lines.pair("  bytes", block.size.0);
    let names = app.names();
    match &block.transactions {
        None => block.tx_ids.iter().flatten().for_each(|id| lines.pair("  tx", id)),
        Some(transactions) => {
            for (transaction, words) in transactions.iter().zip(words) {
                lines.pair("  tx", transaction.tx_id);
                lines.pair("    from", names.short(&transaction.signed.transaction.sender));
                for line in words {
                    lines.pair("    does", names.replace(line));
                }
                lines.pair("    outcome", outcome_text(&transaction.outcome));
            }
        }
    }
    show_own(lines, &names, block);
}

/// What the block did by itself: each event's type and fields.
fn show_own(lines: &mut Lines, names: &Names, block: &BlockView) {
    for item in block.own.iter().flatten() {
        lines.pair("  by itself", item.item_id);
        for event in &item.events {
            lines.pair("    event", names.replace(&event.to_string()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_named_by_height_hash_or_latest() {
        assert_eq!(block_ref("latest").unwrap(), BlockRef::Latest);
        assert_eq!(block_ref("7").unwrap(), BlockRef::Height(Height::new(7)));
        let id = BlockId::default();
        assert_eq!(block_ref(&id.to_string()).unwrap(), BlockRef::Id(id));
        for bad in ["", "-1", "0x12", "newest", "18446744073709551616"] {
            assert!(block_ref(bad).is_err(), "{bad}");
        }
    }
}
