//! `chain supply`, which is also `chain asset list`: what exists of every asset.

use chain_core::types::Token;

use crate::{app::App, error::Answer, output::money};

/// Runs `chain supply`.
pub async fn run(app: &App) -> Answer<()> {
    let node = app.connect().await?;
    let supply = node.client.get_supply().await?;
    app.print(&supply, |lines| {
        let rows = supply.assets.iter().map(|asset| {
            let token = Token { symbol: asset.symbol.clone(), units_per_token: asset.units_per_token.get() };
            let amounts =
                [asset.supply, asset.max_supply, asset.minted, asset.burned].map(|amount| money(&token, amount));
            let conserved = if asset.conserved { "yes" } else { "NO" };
            let mut row = vec![asset.asset.to_string(), asset.symbol.clone(), asset.units_per_token.to_string()];
            row.extend(amounts);
            row.push(conserved.into());
            row
        });
        let rows: Vec<_> = rows.collect();
        lines.table(&["asset", "symbol", "units/token", "supply", "at most", "minted", "burned", "conserved"], &rows);
    })
}
