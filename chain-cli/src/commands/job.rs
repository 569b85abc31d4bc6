//! `chain job`: work that is paid out of escrow.
//!
//! Not here: what is opened and posted (`job_wish`), bids and handing over (`job_bids`), lists (`job_show`), receipts
//! (`receipt`), disputes (`dispute`), what the provider earned (`earnings`), the rules (chain-core).

use chain_core::{
    tx::{Action, job::Action as Job},
    types::{Height, JobId, Units},
};
use clap::{Args, Subcommand};

use super::{
    job_bids::{Accepted, Bid, HandOver, accept, bid, bids, hand_over, take_over},
    job_show::{Filter, list, show},
    job_watch::watch,
    job_wish::{Wanted, Wish, opening, posting},
};
use crate::{
    app::App,
    error::Answer,
    market::{Paging, amount_of, begun},
    node::Node,
    send::{SendArgs, send},
};

/// Arguments of `chain job`.
#[derive(Debug, Args)]
pub struct JobArgs {
    #[command(subcommand)]
    action: JobAction,
}

#[derive(Debug, Subcommand)]
// Parsed once.
#[allow(clippy::large_enum_variant)]
enum JobAction {
    /// Put money into escrow for a provider's work
    Open {
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Put money into escrow and ask providers for bids
    Post {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take a posted job back: all of the deposit goes back
    Cancel(Which),
    /// List the bids on a posted job
    Bids {
        /// Its number
        job: u64,
        #[command(flatten)]
        paging: Paging,
    },
    /// Bid on a posted job, or replace the own bid, as a provider
    Bid {
        /// Its number
        job: u64,
        #[command(flatten)]
        bid: Bid,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take a bid: the job begins
    AcceptBid {
        /// Its number
        job: u64,
        #[command(flatten)]
        accepted: Accepted,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Offer a job that goes on to another provider, as the payer; or to nobody any more
    HandOver {
        /// Its number
        job: u64,
        #[command(flatten)]
        to: HandOver,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take over a job the payer offers, as a provider
    TakeOver {
        /// Its number
        job: u64,
        /// The price for 1000 units [default: the one the payer offers]
        #[arg(long)]
        price: Option<String>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Add to a job's deposit, as the payer or a delegate
    TopUp {
        /// Its number
        job: u64,
        /// How much, in the job's asset, such as 5USD
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Refuse a job before any work was accepted, as its provider: all of the deposit goes back
    Decline(Which),
    /// Be done with a job, as payer or provider: what was used is paid, the rest goes back; where the payer
    /// acknowledges, its completing leaves the provider time to redeem
    Complete {
        /// Its number
        job: u64,
        /// The most units that may have been used [default: what the node says were used by now]
        #[arg(long, value_name = "UNITS")]
        max_units: Option<u64>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Settle a job that is due; blocks do it by themselves, too
    Expire(Which),
    /// List jobs, the newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a job
    Show {
        /// Its number, or with --opener what who opened it calls it
        job: String,
        /// Whose name for it that is: who opened it, which may be a delegate of who pays
        #[arg(long, value_name = "NAME|ADDRESS")]
        opener: Option<String>,
    },
    /// Tell what happens to a job until its end
    Watch {
        /// Its number
        job: u64,
        /// Begin with this block [default: with the next one]
        #[arg(long, value_name = "HEIGHT")]
        from_height: Option<u64>,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// Its number
    job: u64,
    #[command(flatten)]
    send: SendArgs,
}

/// Runs `chain job …`.
pub async fn run(app: &App, args: &JobArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        JobAction::Open { wish, send: args } => {
            let opening = opening(app, &node, wish).await?;
            act(app, &node, args, Job::JobOpen(opening)).await
        }
        JobAction::Post { wanted, send: args } => {
            let posting = posting(app, &node, wanted).await?;
            act(app, &node, args, Job::JobPost(posting)).await
        }
        JobAction::Cancel(which) => act(app, &node, &which.send, Job::JobCancel { job: JobId::new(which.job) }).await,
        JobAction::Bids { job, paging } => bids(app, &node, JobId::new(*job), paging).await,
        JobAction::Bid { job, bid: meant, send: args } => {
            let action = bid(app, &node, JobId::new(*job), meant).await?;
            act(app, &node, args, action).await
        }
        JobAction::AcceptBid { job, accepted, send: args } => {
            let action = accept(app, &node, JobId::new(*job), accepted).await?;
            act(app, &node, args, action).await
        }
        JobAction::HandOver { job, to, send: args } => {
            let action = hand_over(app, &node, JobId::new(*job), to).await?;
            act(app, &node, args, action).await
        }
        JobAction::TakeOver { job, price, send: args } => {
            let action = take_over(&node, JobId::new(*job), price.as_ref()).await?;
            act(app, &node, args, action).await
        }
        JobAction::TopUp { job, amount, send: args } => {
            let job = JobId::new(*job);
            let asset = begun(&node, job).await?.asset;
            let amount = amount_of(&node, asset, amount).await?;
            act(app, &node, args, Job::JobTopUp { job, amount }).await
        }
        JobAction::Decline(which) => act(app, &node, &which.send, Job::JobDecline { job: JobId::new(which.job) }).await,
        JobAction::Complete { job, max_units, send: args } => {
            let job = JobId::new(*job);
            let max_units = match max_units {
                Some(units) => Units::new(*units),
                None => begun(&node, job).await?.meter.used,
            };
            act(app, &node, args, Job::JobComplete { job, max_units }).await
        }
        JobAction::Expire(which) => act(app, &node, &which.send, Job::JobExpire { job: JobId::new(which.job) }).await,
        JobAction::List { filter, paging } => list(app, &node, filter, paging).await,
        JobAction::Show { job, opener } => show(app, &node, job, opener.as_ref()).await,
        JobAction::Watch { job, from_height } => watch(app, node, JobId::new(*job), from_height.map(Height::new)).await,
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Job) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Job(action)])).await
}
