//! Jobs as they are listed and shown: `chain job list|show`.
//!
//! Not here: disputes (`dispute`), bids (`job_bids`).

use chain_core::{
    state::market::{job::Mode, settle::Cause},
    types::{Height, JobId, MarketMs},
};
use chain_rpc::view::{AnyJobView, ClosingView, ContestableView, JobSort, JobState, JobView, JobsParams, PostView};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::deciders::{who, without_verdict};
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market::{Called, Paging, Tokens, model, more, when},
    node::Node,
    output::Lines,
};

/// Which jobs.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only those this account pays
    #[arg(long, value_name = "NAME|ADDRESS")]
    payer: Option<String>,
    /// Only those this account opened
    #[arg(long, value_name = "NAME|ADDRESS")]
    opener: Option<String>,
    /// Only those of this provider
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: Option<String>,
    /// Only with this model, by id, repo/file or file
    #[arg(long)]
    model: Option<String>,
    /// Only in this asset, by symbol or number
    #[arg(long)]
    asset: Option<String>,
    /// Only in this state
    #[arg(long)]
    state: Option<StateName>,
    /// The oldest first
    #[arg(long)]
    oldest: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateName {
    Posted,
    Active,
    Closing,
    Disputed,
    Settled,
}

/// Lists jobs.
pub async fn list(app: &App, node: &Node, filter: &Filter, paging: &Paging) -> Answer<()> {
    let account = |name: &Option<String>| name.as_ref().map(|name| app.address(name)).transpose();
    let mut asked = JobsParams { payer: account(&filter.payer)?, ..JobsParams::default() };
    (asked.opener, asked.provider) = (account(&filter.opener)?, account(&filter.provider)?);
    asked.sort = filter.oldest.then_some(JobSort::Oldest);
    asked.state = filter.state.map(|state| match state {
        StateName::Posted => JobState::Posted,
        StateName::Active => JobState::Active,
        StateName::Closing => JobState::Closing,
        StateName::Disputed => JobState::Disputed,
        StateName::Settled => JobState::Settled,
    });
    if let Some(text) = &filter.model {
        asked.model = Some(model(node, text).await?);
    }
    if let Some(text) = &filter.asset {
        asked.asset = Some(node.asset_meant(text).await?.0);
    }
    let mut now = MarketMs::ZERO;
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_jobs(&JobsParams { cursor, limit: Some(limit), ..asked.clone() }).await?;
        now = page.now;
        Ok((page.list.jobs, page.next))
    });
    let (jobs, next) = read.await?;
    let tokens = Tokens::of(node, jobs.iter().map(|job| job.asset())).await?;
    let names = app.names();
    let rows: Vec<_> = jobs.iter().map(|job| row(&names, &tokens, job, now)).collect();
    app.print(&json!({ "jobs": jobs, "now": now, "next": next }), |lines| {
        lines.table(&["job", "state", "deposit", "price", "used", "next", "payer", "provider", "called"], &rows);
        more(lines, next.as_ref());
    })
}

fn row(names: &Names, tokens: &Tokens, job: &AnyJobView, now: MarketMs) -> Vec<String> {
    match job {
        AnyJobView::Begun(job) => begun_row(names, tokens, job, now),
        AnyJobView::Posted(post) => vec![
            post.job.to_string(),
            format!("posted, {}", crate::output::count(post.bids.into(), "bid")),
            tokens.money(post.asset, post.deposit),
            format!("<= {}/1000", tokens.price(post.asset, post.max_price)),
            "-".into(),
            format!("given back {}", when(post.until, now)),
            names.short(&post.payer),
            "-".into(),
            post.client_ref.clone().unwrap_or_default(),
        ],
    }
}

fn begun_row(names: &Names, tokens: &Tokens, job: &JobView, now: MarketMs) -> Vec<String> {
    let state = job.settled.map_or_else(|| state(job.state).into(), |ended| cause(ended.cause));
    let next = match (job.closing, job.due_at) {
        (Some(ClosingView { next: Some(_), until, .. }), _) => format!("next leg {}", when(until, now)),
        (_, Some(due)) => format!("ends {}", when(due, now)),
        (_, None) if job.state == JobState::Disputed => "a verdict".into(),
        _ => "-".into(),
    };
    vec![
        job.job.to_string(),
        state,
        tokens.money(job.asset, job.deposit),
        format!("{}/1000", tokens.price(job.asset, job.price)),
        format!("{} {}", job.meter.used, job.unit_kind),
        next,
        names.short(&job.payer),
        names.short(&job.provider),
        job.client_ref.clone().unwrap_or_default(),
    ]
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Posted => "posted",
        JobState::Active => "active",
        JobState::Closing => "closing",
        JobState::Disputed => "disputed",
        JobState::Settled => "settled",
    }
}

/// Why something ended, in words.
pub fn cause(cause: Cause) -> String {
    let name = serde_json::to_value(cause).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('_', " ")
}

/// Shows a job.
pub async fn show(app: &App, node: &Node, which: &str, opener: Option<&String>) -> Answer<()> {
    let answer = match opener {
        Some(opener) => node.client.get_job_of(app.address(opener)?, which).await?,
        None => {
            let bad =
                || CliError::Usage(format!("'{which}' is no job's number; what its opener calls it needs --opener"));
            node.client.get_job(JobId::new(which.parse().map_err(|_| bad())?)).await?
        }
    };
    let names = app.names();
    let tokens = Tokens::of(node, [answer.job.asset()]).await?;
    let id = match &answer.job {
        AnyJobView::Begun(job) => job.model,
        AnyJobView::Posted(post) => post.model,
    };
    let model = Called::of(node, [id]).await?.name(&id);
    app.print(&answer, |lines| {
        let shown = Shown { names: &names, tokens: &tokens, model: &model, now: answer.now };
        match &answer.job {
            AnyJobView::Begun(job) => show_begun(lines, &shown, job, answer.height),
            AnyJobView::Posted(post) => show_post(lines, &shown, post, answer.height),
        }
    })
}

/// What a job is shown with.
struct Shown<'s> {
    names: &'s Names,
    tokens: &'s Tokens,
    model: &'s str,
    now: MarketMs,
}

fn heading(lines: &mut Lines, (id, state): (JobId, &str), name: Option<&String>, height: Height) {
    let called = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
    lines.line(format_args!("job {id}{called}, {state}, at block {height}"));
}

fn show_post(lines: &mut Lines, shown: &Shown<'_>, post: &PostView, height: Height) {
    let Shown { names, tokens, model, now } = *shown;
    heading(lines, (post.job, "posted"), post.client_ref.as_ref(), height);
    lines.pair("  payer", names.with(&post.payer));
    if post.opener != post.payer {
        lines.pair("  posted by", names.with(&post.opener));
    }
    lines.pair("  model", model);
    let most = tokens.price(post.asset, post.max_price);
    lines.pair("  price", format_args!("at most {most} per 1000 {}", post.unit_kind));
    lines.pair("  deposit", tokens.money(post.asset, post.deposit));
    lines.pair("  mode", mode(&post.mode));
    let wanted = &post.requirements;
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    lines.pair("  wanted", format_args!("region {}, class {}", any(&wanted.region), any(&wanted.class)));
    lines.pair("  bids", format_args!("{}, until {}", post.bids, when(post.until, now)));
    lines.pair("  next", "the payer accepts a bid or cancels; in the end all of it goes back by itself");
}

fn mode(mode: &Mode) -> String {
    match mode {
        Mode::ProviderClaims { proof_interval } => format!("the provider claims, {proof_interval} units at least"),
        Mode::ClientAcks { quantum, ack_key } => format!("{ack_key} acknowledges, {quantum} units ahead at most"),
    }
}

fn show_begun(lines: &mut Lines, shown: &Shown<'_>, job: &JobView, height: Height) {
    let Shown { names, tokens, model, now } = *shown;
    heading(lines, (job.job, state(job.state)), job.client_ref.as_ref(), height);
    lines.pair("  payer", names.with(&job.payer));
    if job.opener != job.payer {
        lines.pair("  opened by", names.with(&job.opener));
    }
    lines.pair("  provider", names.with(&job.provider));
    lines.pair("  model", model);
    lines.pair("  price", format_args!("{} per 1000 {}", tokens.price(job.asset, job.price), job.unit_kind));
    lines.pair("  mode", mode(&job.mode));
    let escrow = tokens.money(job.asset, job.escrow);
    lines.pair("  deposit", format_args!("{}, {escrow} in escrow", tokens.money(job.asset, job.deposit)));
    if job.leg > 0 {
        let spent = tokens.money(job.asset, job.spent);
        lines.pair("  leg", format_args!("{}; the legs before have cost {spent}", job.leg));
    }
    let most = job.max_units.map(|most| format!(" of at most {most}")).unwrap_or_default();
    lines.pair("  used", format_args!("{}{most}, {}", job.meter.used, receipts(job.meter.seq.0)));
    if !job.meter.paid.is_zero() {
        lines.pair("  paid", format_args!("{} units, {}", job.meter.paid, tokens.money(job.asset, job.paid.gross)));
    }
    lines.pair(
        "  disputes",
        format_args!("{}; {}", who(names, &job.dispute_terms), without_verdict(&job.dispute_terms)),
    );
    show_next(lines, shown, job);
    show_end(lines, job, tokens, now);
}

/// What can happen next, and until when.
fn show_next(lines: &mut Lines, shown: &Shown<'_>, job: &JobView) {
    let Shown { names, tokens, now, .. } = *shown;
    if let Some(handover) = &job.handover {
        let (to, price) = (names.short(&handover.to), tokens.price(job.asset, handover.price));
        lines.pair("  handover", format_args!("offered to {to} at {price}, up to {} units used", handover.max_units));
    }
    if let Some(ContestableView { from, until }) = job.contestable {
        lines.pair("  contestable", format_args!("by the payer from unit {from} on, until {}", when(until, now)));
    }
    if let Some(closing) = &job.closing {
        let then = match &closing.next {
            Some(leg) => format!("{} goes on at {}", names.short(&leg.provider), tokens.price(job.asset, leg.price)),
            None => "it is settled".into(),
        };
        let why = cause(closing.cause);
        lines
            .pair("  closing", format_args!("{why}; acknowledgements until {}, then {then}", when(closing.until, now)));
    }
    if job.state == JobState::Disputed {
        lines.pair("  next", format_args!("the dispute ends it: `chain dispute show {}`", job.job));
    }
}

fn receipts(count: u64) -> String {
    crate::output::count(count, "receipt")
}

fn show_end(lines: &mut Lines, job: &JobView, tokens: &Tokens, now: MarketMs) {
    if let (Some(deadline), Some(due)) = (job.deadline, job.due_at) {
        let then = match job.mode {
            Mode::ProviderClaims { .. } => "settled",
            Mode::ClientAcks { .. } => "closing",
        };
        lines.pair("  over", format_args!("{}, {then} by itself {}", when(deadline, now), when(due, now)));
    }
    if let Some(at) = job.completable_at {
        lines.pair("  claimable", format_args!("{} {} by now", job.meter.claimable, job.unit_kind));
        lines.pair("  completable", format_args!("by the payer now, by the provider {}", when(at.max(now), now)));
    }
    let Some(ended) = &job.settled else { return };
    let part = |amount| tokens.money(job.asset, amount);
    lines.pair("  settled", format_args!("{}, {}", cause(ended.cause), when(ended.at, now)));
    lines.pair("  billable", format_args!("{} {}", ended.billable, job.unit_kind));
    lines.pair("  gross", part(ended.gross));
    lines.pair("  fee", part(ended.fee));
    lines.pair("  earned", part(ended.provider));
    lines.pair("  early fee", part(ended.early_fee));
    lines.pair("  refund", part(ended.refund));
}
