//! `chain market`: the market as a whole, and money deposited in it for jobs.
//!
//! Not here: models, providers, offers and jobs (their own groups), the rules (chain-core).

use chain_core::{
    state::market::terms::AssetTerms,
    tx::{
        Action,
        market::{Action as Market, Pot},
    },
    types::{AssetId, Price},
};
use chain_rpc::view::{MarketAssetView, MarketView, rfc3339};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::authority::percent;
use crate::{
    app::App,
    error::Answer,
    market::{Tokens, amount_of, price_of, text},
    node::Node,
    output::{Lines, span},
    send::{SendArgs, send},
};

/// Arguments of `chain market`.
#[derive(Debug, Args)]
pub struct MarketArgs {
    #[command(subcommand)]
    action: MarketAction,
}

#[derive(Debug, Subcommand)]
enum MarketAction {
    /// Show clock, pause, parameters, and per asset terms and treasury
    Show,
    /// Deposit money for jobs that are opened with --prepaid
    Deposit(Amount),
    /// Take deposited money back
    Withdraw(Amount),
    /// Show what an account has deposited, and what is in its open jobs
    Deposits {
        /// A name or an address
        #[arg(value_name = "NAME|ADDRESS")]
        who: String,
    },
    /// Pause the market, as curator or treasurer: nothing new is opened
    Pause(Reason),
    /// End the pause
    Unpause(Reason),
    /// Set on which terms an asset is accepted, as curator or treasurer
    #[command(group = ArgGroup::new("what").required(true).multiple(true))]
    Terms {
        #[command(flatten)]
        terms: TermsArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take from the treasury, as the treasurer
    #[command(group = ArgGroup::new("much").required(true))]
    Treasury {
        /// So much, such as 5USD
        #[arg(long, group = "much")]
        amount: Option<String>,
        /// All of this asset, by symbol or number
        #[arg(long, group = "much", value_name = "ASSET")]
        all: Option<String>,
        /// From where
        #[arg(long, default_value = "treasury")]
        pot: PotName,
        #[command(flatten)]
        send: SendArgs,
    },
}

#[derive(Debug, Args)]
struct Amount {
    /// How much, such as 10USD
    #[arg(long)]
    amount: String,
    #[command(flatten)]
    send: SendArgs,
}

#[derive(Debug, Args)]
struct Reason {
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    send: SendArgs,
}

/// Terms of an asset; what is not named stays as it is.
#[derive(Debug, Args)]
struct TermsArgs {
    /// Which, by symbol or number
    asset: String,
    /// The least deposit of a job, such as 0.5USD
    #[arg(long, group = "what", value_name = "AMOUNT")]
    min_deposit: Option<String>,
    /// The greatest
    #[arg(long, group = "what", value_name = "AMOUNT")]
    max_deposit: Option<String>,
    /// The least price for 1000 units [the first time: one base unit]
    #[arg(long, group = "what", value_name = "PRICE")]
    min_price: Option<String>,
    /// The greatest
    #[arg(long, group = "what", value_name = "PRICE")]
    max_price: Option<String>,
    /// Take no new money of it; open jobs go on
    #[arg(long, group = "what")]
    refuse: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PotName {
    /// Fees of jobs, and what slashed bonds lost
    Treasury,
    /// Fees of rejected proposals of models
    RejectedPool,
}

/// Runs `chain market …`.
pub async fn run(app: &App, args: &MarketArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        MarketAction::Show => show(app, &node).await,
        MarketAction::Deposit(Amount { amount, send: args }) => {
            let (asset, amount) = node.amount(amount).await?;
            act(app, &node, args, Market::MarketDeposit { asset, amount }).await
        }
        MarketAction::Withdraw(Amount { amount, send: args }) => {
            let (asset, amount) = node.amount(amount).await?;
            act(app, &node, args, Market::MarketWithdraw { asset, amount }).await
        }
        MarketAction::Deposits { who } => deposits(app, &node, who).await,
        MarketAction::Pause(Reason { reason, send: args }) => {
            act(app, &node, args, Market::MarketPause { reason: text("--reason", reason)? }).await
        }
        MarketAction::Unpause(Reason { reason, send: args }) => {
            act(app, &node, args, Market::MarketUnpause { reason: text("--reason", reason)? }).await
        }
        MarketAction::Terms { terms, send: args } => {
            let (asset, terms) = read_terms(&node, terms).await?;
            act(app, &node, args, Market::AssetTermsSet { asset, terms }).await
        }
        MarketAction::Treasury { amount, all, pot, send: args } => {
            let pot = match pot {
                PotName::Treasury => Pot::Treasury,
                PotName::RejectedPool => Pot::RejectedPool,
            };
            let (asset, amount) = match (amount, all) {
                (Some(text), _) => node.amount(text).await.map(|(asset, amount)| (asset, Some(amount)))?,
                (None, asset) => (node.asset_meant(asset.as_deref().unwrap_or_default()).await?.0, None),
            };
            act(app, &node, args, Market::TreasuryWithdraw { pot, asset, amount }).await
        }
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Market) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Market(action)])).await
}

/// The terms there are, with what was named instead. What was never set and is not named is 0, which the chain
/// refuses with its own words; but the least price can be as low as a price is.
async fn read_terms(node: &Node, said: &TermsArgs) -> Answer<(AssetId, AssetTerms)> {
    let (asset, _) = node.asset_meant(&said.asset).await?;
    let known = node.client.get_market().await?.assets.into_iter().find(|one| one.asset == asset);
    let mut terms = match known.and_then(|one| one.terms) {
        Some(known) => AssetTerms {
            accepted: !said.refuse,
            min_deposit: known.min_deposit,
            max_deposit: known.max_deposit,
            min_price: known.min_price,
            max_price: known.max_price,
        },
        None => AssetTerms {
            accepted: !said.refuse,
            min_deposit: chain_core::types::Amount::ZERO,
            max_deposit: chain_core::types::Amount::ZERO,
            min_price: Price::new(1),
            max_price: Price::new(0),
        },
    };
    for (text, field) in [(&said.min_deposit, &mut terms.min_deposit), (&said.max_deposit, &mut terms.max_deposit)] {
        if let Some(text) = text {
            *field = amount_of(node, asset, text).await?;
        }
    }
    for (text, field) in [(&said.min_price, &mut terms.min_price), (&said.max_price, &mut terms.max_price)] {
        if let Some(text) = text {
            *field = price_of(node, asset, text).await?;
        }
    }
    Ok((asset, terms))
}

async fn show(app: &App, node: &Node) -> Answer<()> {
    let view = node.client.get_market().await?;
    let assets = view.assets.iter().map(|one| one.asset).chain([view.stake_asset]);
    let tokens = Tokens::of(node, assets).await?;
    app.print(&view, |lines| {
        lines.line(format_args!("market at block {}, clock {} ms", view.height, view.now));
        lines.pair("  status", status(&view));
        lines.pair("  bonds", tokens.symbol(view.stake_asset));
        params(lines, &view, &tokens);
        let rows: Vec<_> = view.assets.iter().map(|one| asset_row(one, &tokens)).collect();
        lines.table(&["  asset", "accepted", "deposits", "prices per 1000", "treasury", "rejected pool"], &rows);
        lines.line("every parameter: chain authority params");
    })
}

fn status(view: &MarketView) -> String {
    match view.paused_until {
        Some(until) => format!("paused until {} at the latest", rfc3339(until)),
        None => "open".into(),
    }
}

fn params(lines: &mut Lines, view: &MarketView, tokens: &Tokens) {
    let (params, stake) = (&view.params, |amount| tokens.money(view.stake_asset, amount));
    lines.pair("  fee", format_args!("{} of what work costs", percent(params.fee_bps.into())));
    lines.pair(
        "  bond",
        format_args!("{}, {} for each job at a time", stake(params.min_bond), stake(params.bond_per_slot)),
    );
    lines.pair("  window", format_args!("{} s for each claim", params.window_s));
    lines.pair("  rate", format_args!("{} units/s, {} s of it at once", params.rate, params.burst_s));
    lines.pair("  unbonding", span(u64::from(params.provider_unbonding_s).saturating_mul(1000)));
    let votes = format!("{} within {} s", stake(params.approve_votes), params.voting_s);
    lines.pair("  models", format_args!("proposing costs {}, voted in by {votes}", stake(params.proposal_fee)));
}

fn asset_row(one: &MarketAssetView, tokens: &Tokens) -> Vec<String> {
    let bounds = |least: String, most: String| format!("{least} to {most}");
    let money = |amount| tokens.money(one.asset, amount);
    let deposits = one.terms.map(|of| bounds(money(of.min_deposit), money(of.max_deposit)));
    let price = |price| tokens.price(one.asset, price);
    let prices = one.terms.map(|of| bounds(price(of.min_price), price(of.max_price)));
    vec![
        format!("  {}", one.symbol),
        if one.accepted { "yes" } else { "no" }.into(),
        deposits.unwrap_or_else(|| "-".into()),
        prices.unwrap_or_else(|| "-".into()),
        money(one.treasury),
        money(one.rejected_pool),
    ]
}

async fn deposits(app: &App, node: &Node, who: &str) -> Answer<()> {
    let address = app.address(who)?;
    let view = node.client.get_deposits(address).await?;
    let tokens = Tokens::of(node, view.assets.iter().map(|one| one.asset)).await?;
    app.print(&view, |lines| {
        lines.line(format_args!("{} at block {}", app.names().with(&address), view.height));
        let row = |one: &chain_rpc::view::DepositView| {
            let amounts = [one.withdrawable, one.locked, one.total];
            [vec![format!("  {}", tokens.symbol(one.asset))], amounts.map(|of| tokens.money(one.asset, of)).to_vec()]
                .concat()
        };
        let rows: Vec<_> = view.assets.iter().map(row).collect();
        lines.table(&["  asset", "to withdraw", "in open jobs", "in all"], &rows);
    })
}
