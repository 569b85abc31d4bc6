//! `chain transfer` and `chain burn`: money moved and money destroyed.
//!
//! Not here: building and signing (`send`).

use chain_core::{
    codec::Text,
    tx::{Action, transfer},
};
use clap::Args;

use crate::{
    app::App,
    error::{Answer, CliError},
    send::{SendArgs, send},
};

/// Arguments of `chain transfer`.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// Who receives: a name (dev1, alice) or an address
    #[arg(long, value_name = "NAME|ADDRESS")]
    to: String,
    /// How much, such as 5AIT, 0.25AIT or 7/3600AIT
    #[arg(long)]
    amount: String,
    /// A note for the receiver, up to 128 bytes; everybody can read it
    #[arg(long, default_value = "", hide_default_value = true)]
    memo: String,
    #[command(flatten)]
    send: SendArgs,
}

/// Arguments of `chain burn`.
#[derive(Debug, Args)]
pub struct BurnArgs {
    /// How much to destroy, such as 5AIT
    #[arg(long)]
    amount: String,
    #[command(flatten)]
    send: SendArgs,
}

/// Runs `chain transfer`.
pub async fn run(app: &App, args: &TransferArgs) -> Answer<()> {
    let to = app.address(&args.to)?;
    let memo = Text::new(&*args.memo).map_err(|error| CliError::Usage(format!("the memo: {error}")))?;
    let node = app.connect().await?;
    let (asset, amount) = node.amount(&args.amount).await?;
    let action = Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo });
    send(app, &node, &args.send, |_| Ok(vec![action])).await
}

/// Runs `chain burn`.
pub async fn burn(app: &App, args: &BurnArgs) -> Answer<()> {
    let node = app.connect().await?;
    let (asset, amount) = node.amount(&args.amount).await?;
    send(app, &node, &args.send, |_| Ok(vec![Action::Transfer(transfer::Action::Burn { asset, amount })])).await
}
