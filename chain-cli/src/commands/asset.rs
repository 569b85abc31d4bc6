//! `chain asset`: assets beside the native one.

use chain_core::{
    state::Symbol,
    tx::{Action, asset},
    types::{Address, Amount, Token},
};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    node::parse_amount,
    output::money,
    send::{SendArgs, send},
};

/// How `--minter` says that nobody mints, ever.
const NOBODY: &str = "nobody";

/// Arguments of `chain asset`.
#[derive(Debug, Args)]
pub struct AssetArgs {
    #[command(subcommand)]
    action: AssetAction,
}

#[derive(Debug, Subcommand)]
enum AssetAction {
    /// List every asset (reads the node's whole state)
    List,
    /// Show one asset
    Show {
        /// Its symbol or number
        asset: String,
    },
    /// Create an asset
    Create(CreateArgs),
    /// Create money of an asset one is the minter of
    Mint {
        /// Who receives it: a name or an address
        #[arg(long, value_name = "NAME|ADDRESS")]
        to: String,
        /// How much, such as 5USD
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Name another minter, or nobody for ever
    SetMinter {
        /// The asset's symbol or number
        #[arg(long)]
        asset: String,
        /// A name, an address, or `nobody`: then nobody mints again, ever
        #[arg(long, value_name = "NAME|ADDRESS|nobody")]
        minter: String,
        #[command(flatten)]
        send: SendArgs,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// How people write it: 2 to 12 capital letters and digits, a letter first
    #[arg(long)]
    symbol: String,
    /// Base units in one token; 100 makes 0.01 the least amount
    #[arg(long, value_name = "N")]
    units_per_token: u128,
    /// The most that may ever exist, such as 1000000USD
    #[arg(long, value_name = "AMOUNT")]
    max_supply: String,
    /// What the creator receives now, such as 1000USD [default: nothing]
    #[arg(long, value_name = "AMOUNT")]
    initial_supply: Option<String>,
    /// Who may create more: a name, an address, or `nobody`, which is for ever [default: the sender]
    #[arg(long, value_name = "NAME|ADDRESS|nobody")]
    minter: Option<String>,
    #[command(flatten)]
    send: SendArgs,
}

/// Runs `chain asset …`.
pub async fn run(app: &App, args: &AssetArgs) -> Answer<()> {
    match &args.action {
        AssetAction::List => super::supply::run(app).await,
        AssetAction::Show { asset } => show(app, asset).await,
        AssetAction::Create(args) => create(app, args).await,
        AssetAction::Mint { send: args, to, amount } => {
            let to = app.address(to)?;
            let node = app.connect().await?;
            let (asset, amount) = node.amount(amount).await?;
            send(app, &node, args, |_| Ok(vec![Action::Asset(asset::Action::AssetMint { asset, to, amount })])).await
        }
        AssetAction::SetMinter { send: args, asset, minter } => {
            let minter = minter_meant(app, minter)?;
            let node = app.connect().await?;
            let (asset, _) = node.asset_meant(asset).await?;
            send(app, &node, args, |_| Ok(vec![Action::Asset(asset::Action::AssetSetMinter { asset, minter })])).await
        }
    }
}

fn minter_meant(app: &App, text: &str) -> Answer<Option<Address>> {
    if text == NOBODY { Ok(None) } else { app.address(text).map(Some) }
}

async fn create(app: &App, args: &CreateArgs) -> Answer<()> {
    let minter = minter_meant(app, args.minter.as_ref().unwrap_or(&args.send.from))?;
    let symbol = Symbol::new(&*args.symbol).map_err(|error| CliError::Usage(format!("the symbol: {error}")))?;
    if args.units_per_token == 0 {
        return Err(CliError::Usage("a token has at least 1 base unit".into()));
    }
    let token = Token { symbol: args.symbol.clone(), units_per_token: args.units_per_token };
    let max_supply = parse_amount(&token, &args.max_supply)?;
    let initial = args.initial_supply.as_ref().map(|text| parse_amount(&token, text)).transpose()?;
    let (units_per_token, initial_supply) = (Amount::new(args.units_per_token), initial.unwrap_or_default());
    let action = asset::Action::AssetCreate { symbol, units_per_token, max_supply, minter, initial_supply };
    let node = app.connect().await?;
    send(app, &node, &args.send, |_| Ok(vec![Action::Asset(action)])).await
}

async fn show(app: &App, text: &str) -> Answer<()> {
    let node = app.connect().await?;
    let (id, asset) = node.asset_meant(text).await?;
    let token = asset.token();
    app.print(&json!({ "asset": id, "registered": asset }), |lines| {
        lines.line(format_args!("{} (asset {id})", token.symbol));
        lines.pair("  one token", format_args!("{} base units", asset.units_per_token));
        lines.pair("  supply", money(&token, asset.supply()));
        lines.pair("  at most", money(&token, asset.max_supply));
        lines.pair("  minted", money(&token, asset.minted));
        lines.pair("  burned", money(&token, asset.burned));
        lines.pair("  minter", asset.minter.map_or(NOBODY.into(), |minter| app.names().with(&minter)));
    })
}
