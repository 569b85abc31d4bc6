//! `chain offer`: what providers ask for, per model, asset and kind of units.
//!
//! Not here: jobs that are opened with them (`job`), the rules (chain-core).

use chain_core::{
    state::market::provider::{DisputeTerms, OfferTerms},
    tx::{Action, provider::Action as Provider},
    types::Units,
};
use chain_rpc::view::{OfferView, OffersParams};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    commands::deciders::Deciders,
    error::Answer,
    market::{Called, Paging, Tokens, Unit, model, more, price, when},
    node::Node,
    send::{SendArgs, send},
};

/// Arguments of `chain offer`.
#[derive(Debug, Args)]
pub struct OfferArgs {
    #[command(subcommand)]
    action: OfferAction,
}

#[derive(Debug, Subcommand)]
enum OfferAction {
    /// Offer a model, or replace the offer there is
    Publish {
        /// By id, repo/file or file
        model: String,
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take an offer back; open jobs go on
    Withdraw {
        /// By id, repo/file or file
        model: String,
        /// In which asset, by symbol or number
        #[arg(long)]
        asset: String,
        /// For which units
        #[arg(long, default_value = "tokens")]
        unit: Unit,
        #[command(flatten)]
        send: SendArgs,
    },
    /// List offers, the cheapest of each model, asset and unit first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
}

#[derive(Debug, Args)]
struct Terms {
    /// The least price for 1000 units, such as 0.005USD; it says also which asset is taken
    #[arg(long)]
    price: String,
    /// For which units
    #[arg(long, default_value = "tokens")]
    unit: Unit,
    /// With how many jobs at a time; the bond must stand for them
    #[arg(long, default_value_t = 1)]
    slots: u32,
    /// The most units worked ahead of acknowledgements
    #[arg(long, value_name = "UNITS", default_value_t = 1_000)]
    quantum: u64,
    #[command(flatten)]
    disputes: Deciders,
    /// For how many seconds it holds [default: until it is replaced or withdrawn]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    valid_for: u32,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only of this provider, by name or address
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: Option<String>,
    /// Only of this model, by id, repo/file or file
    #[arg(long)]
    model: Option<String>,
    /// Only in this asset, by symbol or number
    #[arg(long)]
    asset: Option<String>,
    /// Only for these units
    #[arg(long)]
    unit: Option<Unit>,
    /// Only those of at most this for 1000 units, such as 0.005USD
    #[arg(long, value_name = "PRICE", conflicts_with = "asset")]
    max_price: Option<String>,
    /// Only those a job can be opened with now
    #[arg(long)]
    open: bool,
}

/// Runs `chain offer …`.
pub async fn run(app: &App, args: &OfferArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        OfferAction::Publish { model: meant, terms, send: args } => {
            let (asset, price) = price(&node, &terms.price).await?;
            let DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps } = terms.disputes.terms(app)?;
            let unit_kind = terms.unit.into();
            let terms = OfferTerms {
                price,
                slots: terms.slots,
                quantum: Units::new(terms.quantum),
                arbiters,
                arbiters_needed,
                no_verdict_provider_bps,
                valid_s: terms.valid_for,
            };
            let model = model(&node, meant).await?;
            act(app, &node, args, Provider::OfferPublish { model, asset, unit_kind, terms }).await
        }
        OfferAction::Withdraw { model: meant, asset, unit, send: args } => {
            let (model, (asset, _)) = (model(&node, meant).await?, node.asset_meant(asset).await?);
            act(app, &node, args, Provider::OfferWithdraw { model, asset, unit_kind: (*unit).into() }).await
        }
        OfferAction::List { filter, paging } => list(app, &node, filter, paging).await,
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Provider) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Provider(action)])).await
}

async fn list(app: &App, node: &Node, filter: &Filter, paging: &Paging) -> Answer<()> {
    let mut asked = OffersParams { unit_kind: filter.unit.map(Into::into), ..OffersParams::default() };
    asked.open = filter.open.then_some(true);
    asked.provider = filter.provider.as_ref().map(|name| app.address(name)).transpose()?;
    if let Some(text) = &filter.model {
        asked.model = Some(model(node, text).await?);
    }
    if let Some(text) = &filter.asset {
        asked.asset = Some(node.asset_meant(text).await?.0);
    }
    if let Some(text) = &filter.max_price {
        let (asset, most) = price(node, text).await?;
        (asked.asset, asked.max_price) = (Some(asset), Some(most));
    }
    let mut now = None;
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_offers(&OffersParams { cursor, limit: Some(limit), ..asked.clone() }).await?;
        now = Some(page.now);
        Ok((page.list.offers, page.next))
    });
    let (offers, next) = read.await?;
    let (now, names) = (now.unwrap_or_default(), app.names());
    let tokens = Tokens::of(node, offers.iter().map(|offer| offer.asset)).await?;
    let called = Called::of(node, offers.iter().map(|offer| offer.model)).await?;
    let row = |offer: &OfferView| {
        let until = offer.valid_until.map_or_else(|| "-".into(), |until| when(until, now));
        vec![
            called.name(&offer.model),
            tokens.price(offer.asset, offer.price),
            format!("1000 {}", offer.unit_kind),
            format!("{} of {}", offer.free_slots, offer.slots),
            if offer.open { "yes" } else { "no" }.into(),
            match offer.arbiters.len() {
                0 => "council".into(),
                count => format!("{} of {count}", offer.arbiters_needed),
            },
            until,
            names.short(&offer.provider),
        ]
    };
    let rows: Vec<_> = offers.iter().map(row).collect();
    app.print(&json!({ "offers": offers, "now": now, "next": next }), |lines| {
        lines.table(&["model", "price", "per", "free slots", "open", "disputes", "until", "provider"], &rows);
        more(lines, next.as_ref());
    })
}
