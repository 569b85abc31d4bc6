//! `chain earnings`: what jobs have paid, and taking it.

use chain_core::{
    codec::List,
    tx::{
        Action,
        market::{Action as Market, Item},
    },
};
use clap::{Args, Subcommand};

use crate::{
    app::App,
    error::{Answer, CliError},
    market::Tokens,
    node::Node,
    send::{SendArgs, send},
};

/// Arguments of `chain earnings`.
#[derive(Debug, Args)]
pub struct EarningsArgs {
    #[command(subcommand)]
    action: EarningsAction,
}

#[derive(Debug, Subcommand)]
enum EarningsAction {
    /// Show what an account has earned
    Show {
        /// A name or an address
        #[arg(value_name = "NAME|ADDRESS")]
        who: String,
    },
    /// Take what was earned
    Withdraw {
        /// So much of an asset, such as 5USD; again for another asset [default: everything of every asset]
        #[arg(long)]
        amount: Vec<String>,
        #[command(flatten)]
        send: SendArgs,
    },
}

/// Runs `chain earnings …`.
pub async fn run(app: &App, args: &EarningsArgs) -> Answer<()> {
    match &args.action {
        EarningsAction::Show { who } => show(app, who).await,
        EarningsAction::Withdraw { amount, send: args } => {
            let node = app.connect().await?;
            let items = items(app, &node, amount, args).await?;
            let items = List::new(items).map_err(CliError::usage)?;
            send(app, &node, args, |_| Ok(vec![Action::Market(Market::EarningsWithdraw { items })])).await
        }
    }
}

async fn items(app: &App, node: &Node, amounts: &[String], args: &SendArgs) -> Answer<Vec<Item>> {
    let mut items = Vec::new();
    for text in amounts {
        let (asset, amount) = node.amount(text).await?;
        items.push(Item { asset, amount: Some(amount) });
    }
    if amounts.is_empty() {
        let earned = node.client.get_earnings(app.address(&args.from)?).await?.assets;
        let all = earned.iter().filter(|one| !one.withdrawable.is_zero());
        items.extend(all.map(|one| Item { asset: one.asset, amount: None }));
    }
    match items.is_empty() {
        true => Err(CliError::Failed("nothing was earned, or all of it was taken".into())),
        false => Ok(items),
    }
}

async fn show(app: &App, who: &str) -> Answer<()> {
    let address = app.address(who)?;
    let node = app.connect().await?;
    let view = node.client.get_earnings(address).await?;
    let tokens = Tokens::of(&node, view.assets.iter().map(|one| one.asset)).await?;
    app.print(&view, |lines| {
        lines.line(format_args!("{} at block {}", app.names().with(&address), view.height));
        let row = |one: &chain_rpc::view::EarningView| {
            let amounts = [one.withdrawable, one.earned, one.withdrawn];
            [vec![format!("  {}", tokens.symbol(one.asset))], amounts.map(|of| tokens.money(one.asset, of)).to_vec()]
                .concat()
        };
        let rows: Vec<_> = view.assets.iter().map(row).collect();
        lines.table(&["  asset", "to withdraw", "earned", "withdrawn"], &rows);
    })
}
