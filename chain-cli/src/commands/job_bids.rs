//! Bids on posted jobs, and handing jobs over: `chain job bids|bid|accept-bid|hand-over|take-over`.
//!
//! Not here: posting (`job_wish`), the rules (chain-core).

use chain_core::{
    state::market::job::Handover,
    tx::job::Action as Job,
    types::{JobId, MarketMs, Price, Units},
};
use chain_rpc::view::BidView;
use clap::Args;
use serde_json::json;

use super::{
    deciders::{Deciders, who},
    job_wish::Pinned,
};
use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Paging, Tokens, begun, more, price_of, when},
    node::Node,
};

/// What a provider would work for.
#[derive(Debug, Args)]
pub struct Bid {
    /// The price for 1000 units, such as 0.004USD
    #[arg(long)]
    price: String,
    /// The most units worked ahead of acknowledgements
    #[arg(long, value_name = "UNITS", default_value_t = 1_000)]
    quantum: u64,
    #[command(flatten)]
    disputes: Deciders,
}

/// Whose bid is taken.
#[derive(Debug, Args)]
pub struct Accepted {
    /// Whose, by name or address
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: String,
    /// At which price for 1000 units [default: that of the bid as the node shows it]
    #[arg(long)]
    price: Option<String>,
    #[command(flatten)]
    disputes: Pinned,
}

/// To whom a job is offered.
#[derive(Debug, Args)]
pub struct HandOver {
    /// Who shall go on, by name or address; `nobody` takes an offer back
    #[arg(long, value_name = "NAME|ADDRESS|nobody")]
    to: String,
    /// The price for 1000 units from then on
    #[arg(long)]
    price: Option<String>,
    /// The most units that may have been used by then [default: what the node says were used by now]
    #[arg(long, value_name = "UNITS")]
    max_units: Option<u64>,
    #[command(flatten)]
    disputes: Pinned,
}

/// Lists bids.
pub async fn bids(app: &App, node: &Node, job: JobId, paging: &Paging) -> Answer<()> {
    let (mut now, mut until, mut asset) = (MarketMs::ZERO, MarketMs::ZERO, Default::default());
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_bids(job, cursor, Some(limit)).await?;
        (now, until, asset) = (page.now, page.until, page.asset);
        Ok((page.bids, page.next))
    });
    let (mut bids, next) = read.await?;
    bids.sort_by_key(|bid| bid.price);
    let tokens = Tokens::of(node, [asset]).await?;
    let names = app.names();
    let row = |bid: &BidView| {
        vec![
            names.short(&bid.provider),
            format!("{}/1000", tokens.price(asset, bid.price)),
            bid.quantum.to_string(),
            who(&names, &bid.dispute_terms),
            bid.score_bps.to_string(),
            when(bid.at, now),
        ]
    };
    let rows: Vec<_> = bids.iter().map(row).collect();
    app.print(&json!({ "job": job, "now": now, "until": until, "bids": bids, "next": next }), |lines| {
        lines.table(&["provider", "price", "quantum", "disputes", "score", "placed"], &rows);
        lines.line(format_args!("bids are taken and accepted until {}; then the payer has all back", when(until, now)));
        more(lines, next.as_ref());
    })
}

/// The bid of a provider.
pub async fn bid(app: &App, node: &Node, job: JobId, bid: &Bid) -> Answer<Job> {
    let asset = node.client.get_job(job).await?.job.asset();
    let (price, quantum) = (price_of(node, asset, &bid.price).await?, Units::new(bid.quantum));
    Ok(Job::BidPlace { job, price, quantum, disputes: bid.disputes.terms(app)? })
}

/// The taking of a bid as it is now: if it changes before that, nothing happens.
pub async fn accept(app: &App, node: &Node, job: JobId, accepted: &Accepted) -> Answer<Job> {
    let provider = app.address(&accepted.provider)?;
    let page = node.client.get_bids(job, None, None).await?;
    let found = page.bids.into_iter().find(|bid| bid.provider == provider);
    let bid = found.ok_or_else(|| CliError::Failed(format!("{} has not bid on job {job}", accepted.provider)))?;
    let price: Price = match &accepted.price {
        Some(text) => price_of(node, page.asset, text).await?,
        None => bid.price,
    };
    let dispute_terms = accepted.disputes.of_terms(app, &bid.dispute_terms)?;
    Ok(Job::BidAccept { job, provider, price, dispute_terms })
}

/// The offer of a job to another provider.
pub async fn hand_over(app: &App, node: &Node, job: JobId, meant: &HandOver) -> Answer<Job> {
    if meant.to == "nobody" {
        return Ok(Job::JobHandoverOffer { job, handover: None });
    }
    let price = meant.price.as_ref().ok_or_else(|| CliError::Usage("at which --price shall it go on?".into()))?;
    let row = begun(node, job).await?;
    let to = app.address(&meant.to)?;
    let price = price_of(node, row.asset, price).await?;
    let max_units = meant.max_units.map_or(row.meter.used, Units::new);
    let dispute_terms = meant.disputes.of_offer(app, node, to, (row.model, row.asset, row.unit_kind)).await?;
    Ok(Job::JobHandoverOffer { job, handover: Some(Handover { to, price, max_units, dispute_terms }) })
}

/// The taking over of a job.
pub async fn take_over(node: &Node, job: JobId, price: Option<&String>) -> Answer<Job> {
    let row = begun(node, job).await?;
    let price = match (price, row.handover) {
        (Some(text), _) => price_of(node, row.asset, text).await?,
        (None, Some(handover)) => handover.price,
        (None, None) => return Err(CliError::Failed(format!("job {job} is handed over to nobody"))),
    };
    Ok(Job::JobHandoverAccept { job, price })
}
