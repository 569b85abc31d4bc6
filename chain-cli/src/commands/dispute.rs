//! `chain dispute`: claims that are contested, and who decides.
//!
//! Not here: the job (`job`), who decides in offers and bids (`deciders`), the rules (chain-core).

use std::path::PathBuf;

use chain_core::{
    tx::{Action, dispute::Action as Dispute},
    types::{Ack, JobId, MarketMs, Units},
};
use chain_rpc::view::{DisputeState, DisputeView, DisputesParams, JobSort};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    deciders::{who, without_verdict},
    job_show::cause,
};
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market::{Paging, Tokens, begun, more, when},
    node::Node,
    output::Lines,
    send::{SendArgs, send},
};

/// Arguments of `chain dispute`.
#[derive(Debug, Args)]
pub struct DisputeArgs {
    #[command(subcommand)]
    action: DisputeAction,
}

#[derive(Debug, Subcommand)]
enum DisputeAction {
    /// Contest the newest claims of a job, as its payer, and deposit for it
    Open {
        /// The job's number
        job: u64,
        /// From which unit on [default: all that can be contested]
        #[arg(long, value_name = "UNITS")]
        from_unit: Option<u64>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Deposit against a dispute, as the job's provider; with --ack prove the work and end it
    Respond {
        /// The job's number
        job: u64,
        /// A JSON file with an acknowledgement of more than is paid
        #[arg(long, value_name = "FILE")]
        ack: Option<PathBuf>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Decide a dispute, as an arbiter or a member of the council
    Vote {
        /// The job's number
        job: u64,
        /// For which side
        #[arg(long = "for", value_name = "SIDE")]
        side: Side,
        #[command(flatten)]
        send: SendArgs,
    },
    /// List disputes, the newest job first
    List {
        /// Only those this account has a part in: as payer, opener, provider, who earns, or arbiter
        #[arg(long, value_name = "NAME|ADDRESS")]
        account: Option<String>,
        /// Only in this state
        #[arg(long)]
        state: Option<StateName>,
        /// The oldest first
        #[arg(long)]
        oldest: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show the dispute about a job
    Show {
        /// The job's number
        job: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Provider,
    Payer,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateName {
    Open,
    Decided,
}

/// Runs `chain dispute …`.
pub async fn run(app: &App, args: &DisputeArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        DisputeAction::Open { job, from_unit, send: args } => {
            let job = JobId::new(*job);
            let from = match from_unit {
                Some(units) => Units::new(*units),
                None => contestable(&node, job).await?,
            };
            act(app, &node, args, Dispute::DisputeOpen { job, from }).await
        }
        DisputeAction::Respond { job, ack, send: args } => {
            let ack = ack.as_ref().map(read_ack).transpose()?;
            act(app, &node, args, Dispute::DisputeRespond { job: JobId::new(*job), ack }).await
        }
        DisputeAction::Vote { job, side, send: args } => {
            let vote = Dispute::DisputeVote { job: JobId::new(*job), for_provider: *side == Side::Provider };
            act(app, &node, args, vote).await
        }
        DisputeAction::List { account, state, oldest, paging } => {
            let account = account.as_ref().map(|name| app.address(name)).transpose()?;
            let state = state.map(|state| match state {
                StateName::Open => DisputeState::Open,
                StateName::Decided => DisputeState::Decided,
            });
            let sort = oldest.then_some(JobSort::Oldest);
            list(app, &node, DisputesParams { account, state, sort, ..DisputesParams::default() }, paging).await
        }
        DisputeAction::Show { job } => show(app, &node, JobId::new(*job)).await,
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Dispute) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Dispute(action)])).await
}

/// An acknowledgement out of a JSON file.
pub fn read_ack(file: &PathBuf) -> Answer<Ack> {
    let bad = |why: &dyn std::fmt::Display| CliError::Usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
    serde_json::from_str(&text).map_err(|error| bad(&error))
}

/// The first unit that can be contested; where nothing can, the node says why.
async fn contestable(node: &Node, job: JobId) -> Answer<Units> {
    let row = begun(node, job).await?;
    Ok(row.contestable.map_or(row.meter.paid, |contestable| contestable.from))
}

/// What happens next, and until when.
fn next(names: &Names, dispute: &DisputeView, now: MarketMs) -> String {
    match (dispute.outcome, dispute.until, dispute.answered) {
        (Some(outcome), ..) => cause(outcome),
        (None, Some(until), None) => format!("the provider answers until {}, or the payer has won", when(until, now)),
        (None, Some(until), Some(_)) => {
            let missing = match dispute.terms.arbiters_needed {
                0 => "more than two thirds must agree".to_owned(),
                needed => format!("{needed} must agree"),
            };
            format!("a verdict of {} until {}; {missing}", who(names, &dispute.terms), when(until, now))
        }
        _ => "-".into(),
    }
}

async fn list(app: &App, node: &Node, asked: DisputesParams, paging: &Paging) -> Answer<()> {
    let mut now = MarketMs::ZERO;
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_disputes(&DisputesParams { cursor, limit: Some(limit), ..asked.clone() }).await?;
        now = page.now;
        Ok((page.list.disputes, page.next))
    });
    let (disputes, more_at) = read.await?;
    let tokens = Tokens::of(node, disputes.iter().map(|dispute| dispute.asset)).await?;
    let names = app.names();
    let row = |dispute: &DisputeView| {
        vec![
            dispute.job.to_string(),
            if dispute.outcome.is_none() { "open" } else { "decided" }.into(),
            tokens.money(dispute.asset, dispute.contested),
            format!("{} to {}", dispute.from, dispute.used),
            names.short(&dispute.payer),
            names.short(&dispute.provider),
            next(&names, dispute, now),
        ]
    };
    let rows: Vec<_> = disputes.iter().map(row).collect();
    app.print(&json!({ "disputes": disputes, "now": now, "next": more_at }), |lines| {
        lines.table(&["job", "state", "contested", "units", "payer", "provider", "next"], &rows);
        more(lines, more_at.as_ref());
    })
}

async fn show(app: &App, node: &Node, job: JobId) -> Answer<()> {
    let answer = node.client.get_dispute(job).await?;
    let (dispute, names) = (&answer.dispute, app.names());
    let tokens = Tokens::of(node, [dispute.asset]).await?;
    app.print(&answer, |lines| show_lines(lines, dispute, (&names, &tokens), answer.now))
}

fn show_lines(lines: &mut Lines, dispute: &DisputeView, (names, tokens): (&Names, &Tokens), now: MarketMs) {
    let money = |amount| tokens.money(dispute.asset, amount);
    let state = if dispute.outcome.is_none() { "open" } else { "decided" };
    lines.line(format_args!("dispute about job {}, leg {}: {state}", dispute.job, dispute.leg));
    lines.pair("  payer", names.with(&dispute.payer));
    lines.pair("  provider", names.with(&dispute.provider));
    let (from, used) = (dispute.from, dispute.used);
    lines.pair("  contested", format_args!("{}, units {from} to {used}", money(dispute.contested)));
    lines.pair("  deposits", format_args!("{} of each side, {} held now", money(dispute.bond), money(dispute.held)));
    lines.pair("  opened", when(dispute.opened, now));
    if let Some(answered) = dispute.answered {
        lines.pair("  answered", when(answered, now));
    }
    lines.pair("  decided by", format_args!("{}; {}", who(names, &dispute.terms), without_verdict(&dispute.terms)));
    for ballot in &dispute.votes {
        let side = if ballot.for_provider { "provider" } else { "payer" };
        lines.pair("  vote", format_args!("{} for the {side}", names.short(&ballot.voter)));
    }
    let label = if dispute.outcome.is_none() { "  next" } else { "  outcome" };
    lines.pair(label, next(names, dispute, now));
}
