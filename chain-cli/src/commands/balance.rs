//! `chain balance`: what an account holds.

use chain_core::types::{Address, Amount, AssetId, Height, Token};
use clap::Args;
use serde::Serialize;

use crate::{app::App, error::Answer, node::Node, output::money};

/// Arguments of `chain balance`.
#[derive(Debug, Args)]
pub struct BalanceArgs {
    /// A name (dev0, alice) or an address
    #[arg(value_name = "NAME|ADDRESS")]
    who: String,
    /// Only this asset: its symbol or number
    #[arg(long)]
    asset: Option<String>,
}

#[derive(Serialize)]
struct Balances {
    address: Address,
    height: Height,
    balances: Vec<Balance>,
}

#[derive(Serialize)]
struct Balance {
    asset: AssetId,
    symbol: String,
    balance: Amount,
    formatted: String,
    #[serde(skip)]
    readable: String,
}

/// Runs `chain balance`.
pub async fn run(app: &App, args: &BalanceArgs) -> Answer<()> {
    let address = app.address(&args.who)?;
    let node = app.connect().await?;
    let (height, held) = match &args.asset {
        None => all(&node, address).await?,
        Some(text) => {
            let (id, asset) = node.asset_meant(text).await?;
            let view = node.client.get_balance(address, id).await?;
            (view.height, vec![balance(id, &asset.token(), view.balance)])
        }
    };
    let found = Balances { address, height, balances: held };
    app.print(&found, |lines| {
        lines.line(format_args!("{} at block {height}", app.names().with(&address)));
        let row = |held: &Balance| vec![format!("  {}", held.readable), held.balance.to_string()];
        let rows: Vec<_> = found.balances.iter().map(row).collect();
        lines.table(&["  balance", "base units"], &rows);
    })
}

async fn all(node: &Node, address: Address) -> Answer<(Height, Vec<Balance>)> {
    let account = node.client.get_account(address).await?;
    let mut held = vec![balance(AssetId::NATIVE, &node.native().await?, account.balance)];
    for other in account.balances {
        held.push(balance(other.asset, &node.token(other.asset).await?, other.balance));
    }
    Ok((account.height, held))
}

fn balance(asset: AssetId, token: &Token, balance: Amount) -> Balance {
    let (formatted, readable) = (token.format(balance), money(token, balance));
    Balance { asset, symbol: token.symbol.clone(), balance, formatted, readable }
}
