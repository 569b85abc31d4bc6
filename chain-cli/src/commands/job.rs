//! `chain job`: work that is paid out of escrow.
//!
//! Not here: receipts (`receipt`), what the provider earned (`earnings`), the rules (chain-core).

use std::time::Duration;

use chain_core::{
    state::market::job::{Funding, Mode},
    tx::{
        Action,
        job::{Action as Job, Opening},
    },
    types::{AssetId, Height, JobId, MarketMs, Units},
};
use chain_rpc::view::{EventsParams, EventsView, JobSort, JobState, JobView, JobsParams, Notice, SettledView};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market::{Called, Paging, Tokens, Unit, amount_of, model, more, price_of, text, when},
    market_told::{Words, line},
    node::Node,
    output::{Lines, print_line},
    send::{SendArgs, send},
};

/// Pause before a broken connection is made anew.
const RETRY: Duration = Duration::from_millis(500);

/// Arguments of `chain job`.
#[derive(Debug, Args)]
pub struct JobArgs {
    #[command(subcommand)]
    action: JobAction,
}

#[derive(Debug, Subcommand)]
enum JobAction {
    /// Put money into escrow for a provider's work
    Open {
        #[command(flatten)]
        wish: Wish,
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
    /// Be done with a job, as payer or provider: what was used is paid, the rest goes back
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
    /// Tell what happens to a job until it is settled
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

#[derive(Debug, Args)]
struct Wish {
    /// Who shall work, by name or address
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: String,
    /// With what, by id, repo/file or file
    #[arg(long)]
    model: String,
    /// How much goes into escrow, such as 10USD
    #[arg(long)]
    deposit: String,
    /// The price for 1000 units, such as 0.005USD: at least that of the offer, and what is charged
    #[arg(long)]
    price: String,
    /// What is metered
    #[arg(long, default_value = "tokens")]
    unit: Unit,
    /// How many seconds it lasts at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    duration: u32,
    /// After how many seconds without work it ends, 60 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    silence: u32,
    /// The least units that are paid for once work was accepted
    #[arg(long, value_name = "UNITS", default_value_t = 100)]
    proof_interval: u64,
    /// What to call it; opening a second one of this name is refused
    #[arg(long = "ref", value_name = "NAME")]
    client_ref: Option<String>,
    /// Pay out of what was deposited in the market
    #[arg(long, conflicts_with = "on_behalf_of")]
    prepaid: bool,
    /// Pay from the account of somebody whose delegate --from is
    #[arg(long, value_name = "NAME|ADDRESS")]
    on_behalf_of: Option<String>,
}

#[derive(Debug, Args)]
struct Filter {
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
    Active,
    Settled,
}

/// Runs `chain job …`.
pub async fn run(app: &App, args: &JobArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        JobAction::Open { wish, send: args } => {
            let opening = opening(app, &node, wish).await?;
            act(app, &node, args, Job::JobOpen(opening)).await
        }
        JobAction::TopUp { job, amount, send: args } => {
            let job = JobId::new(*job);
            let asset = node.client.get_job(job).await?.job.asset;
            let amount = amount_of(&node, asset, amount).await?;
            act(app, &node, args, Job::JobTopUp { job, amount }).await
        }
        JobAction::Decline(which) => act(app, &node, &which.send, Job::JobDecline { job: JobId::new(which.job) }).await,
        JobAction::Complete { job, max_units, send: args } => {
            let job = JobId::new(*job);
            let max_units = match max_units {
                Some(units) => Units::new(*units),
                None => node.client.get_job(job).await?.job.meter.used,
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

async fn opening(app: &App, node: &Node, wish: &Wish) -> Answer<Opening> {
    let (asset, deposit) = node.amount(&wish.deposit).await?;
    let funding = match (&wish.on_behalf_of, wish.prepaid) {
        (Some(payer), _) => Funding::OnBehalf { payer: app.address(payer)? },
        (None, true) => Funding::Prepaid {},
        (None, false) => Funding::Wallet {},
    };
    Ok(Opening {
        funding,
        provider: app.address(&wish.provider)?,
        model: model(node, &wish.model).await?,
        asset,
        unit_kind: wish.unit.into(),
        deposit,
        price: price_of(node, asset, &wish.price).await?,
        duration_s: wish.duration,
        silence_s: wish.silence,
        mode: Mode::ProviderClaims { proof_interval: Units::new(wish.proof_interval) },
        client_ref: wish.client_ref.as_ref().map(|name| text("--ref", name)).transpose()?,
    })
}

async fn list(app: &App, node: &Node, filter: &Filter, paging: &Paging) -> Answer<()> {
    let account = |name: &Option<String>| name.as_ref().map(|name| app.address(name)).transpose();
    let mut asked = JobsParams { payer: account(&filter.payer)?, ..JobsParams::default() };
    (asked.opener, asked.provider) = (account(&filter.opener)?, account(&filter.provider)?);
    asked.sort = filter.oldest.then_some(JobSort::Oldest);
    asked.state = filter.state.map(|state| match state {
        StateName::Active => JobState::Active,
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
    let tokens = Tokens::of(node, jobs.iter().map(|job| job.asset)).await?;
    let names = app.names();
    let rows: Vec<_> = jobs.iter().map(|job| row(&names, &tokens, job, now)).collect();
    app.print(&json!({ "jobs": jobs, "now": now, "next": next }), |lines| {
        lines.table(&["job", "state", "deposit", "price", "used", "ends", "payer", "provider", "called"], &rows);
        more(lines, next.as_ref());
    })
}

fn row(names: &Names, tokens: &Tokens, job: &JobView, now: MarketMs) -> Vec<String> {
    let state = job.settled.map_or_else(|| "active".into(), |ended| cause(&ended));
    vec![
        job.job.to_string(),
        state,
        tokens.money(job.asset, job.deposit),
        format!("{}/1000", tokens.price(job.asset, job.price)),
        format!("{} {}", job.meter.used, job.unit_kind),
        job.due_at.map_or_else(|| "-".into(), |due| when(due, now)),
        names.short(&job.payer),
        names.short(&job.provider),
        job.client_ref.clone().unwrap_or_default(),
    ]
}

fn cause(ended: &SettledView) -> String {
    let name = serde_json::to_value(ended.cause).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('_', " ")
}

async fn show(app: &App, node: &Node, which: &str, opener: Option<&String>) -> Answer<()> {
    let answer = match opener {
        Some(opener) => node.client.get_job_of(app.address(opener)?, which).await?,
        None => {
            let bad =
                || CliError::Usage(format!("'{which}' is no job's number; what its opener calls it needs --opener"));
            node.client.get_job(JobId::new(which.parse().map_err(|_| bad())?)).await?
        }
    };
    let (job, names) = (&answer.job, app.names());
    let tokens = Tokens::of(node, [job.asset]).await?;
    let model = Called::of(node, [job.model]).await?.name(&job.model);
    app.print(&answer, |lines| {
        let called = job.client_ref.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        lines.line(format_args!("job {}{called} at block {}", job.job, answer.height));
        lines.pair("  payer", names.with(&job.payer));
        if job.opener != job.payer {
            lines.pair("  opened by", names.with(&job.opener));
        }
        lines.pair("  provider", names.with(&job.provider));
        lines.pair("  model", model);
        lines.pair("  price", format_args!("{} per 1000 {}", tokens.price(job.asset, job.price), job.unit_kind));
        let escrow = tokens.money(job.asset, job.escrow);
        lines.pair("  deposit", format_args!("{}, {escrow} in escrow", tokens.money(job.asset, job.deposit)));
        let most = job.max_units.map(|most| format!(" of at most {most}")).unwrap_or_default();
        lines.pair("  used", format_args!("{}{most}, {}", job.meter.used, receipts(job.meter.seq.0)));
        show_end(lines, job, &tokens, answer.now);
    })
}

fn receipts(count: u64) -> String {
    crate::output::count(count, "receipt")
}

fn show_end(lines: &mut Lines, job: &JobView, tokens: &Tokens, now: MarketMs) {
    if let (Some(deadline), Some(due)) = (job.deadline, job.due_at) {
        lines.pair("  over", format_args!("{}, settled by itself {}", when(deadline, now), when(due, now)));
    }
    if let Some(at) = job.completable_at {
        lines.pair("  claimable", format_args!("{} {} by now", job.meter.claimable, job.unit_kind));
        lines.pair("  completable", format_args!("by the payer now, by the provider {}", when(at.max(now), now)));
    }
    let Some(ended) = &job.settled else { return };
    let part = |amount| tokens.money(job.asset, amount);
    lines.pair("  settled", format_args!("{}, {}", cause(ended), when(ended.at, now)));
    lines.pair("  billable", format_args!("{} {}", ended.billable, job.unit_kind));
    lines.pair("  gross", part(ended.gross));
    lines.pair("  fee", part(ended.fee));
    lines.pair("  earned", part(ended.provider));
    lines.pair("  early fee", part(ended.early_fee));
    lines.pair("  refund", part(ended.refund));
}

/// Tells events until the job is settled. A connection that breaks is made anew, and the blocks go on without a gap.
async fn watch(app: &App, mut node: Node, job: JobId, from: Option<Height>) -> Answer<()> {
    let answer = node.client.get_job(job).await?;
    let asset = answer.job.asset;
    let mut next = from.unwrap_or(answer.height.next());
    if from.is_none() && answer.job.state == JobState::Settled {
        let why = format!("job {job} is settled; `chain job show {job}` shows how, --from-height tells the way there");
        return Err(CliError::Failed(why));
    }
    loop {
        match tell(app, &node, (job, asset), &mut next).await? {
            None => return Ok(()),
            Some(broken) => eprintln!("{broken}; goes on with block {next}"),
        }
        while let Err(error) = node.again().await.map(|anew| node = anew) {
            if !matches!(error, CliError::NoAnswer { .. }) {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// `None`: it is settled. Otherwise why nothing more is told.
async fn tell(app: &App, node: &Node, (job, asset): (JobId, AssetId), next: &mut Height) -> Answer<Option<String>> {
    let asked = EventsParams { from_height: Some(*next), job: Some(job), ..EventsParams::default() };
    let mut feed = match node.client.events_of(&asked).await {
        Err(error) if error.refusal().is_none() => return Ok(Some(error.to_string())),
        subscribed => subscribed?,
    };
    // Events of a receipt name no asset.
    let words = Words::of(node, &[&json!({ "asset": asset })]).await?;
    let names = app.names();
    loop {
        match feed.next().await {
            Some(Ok(Notice::Item(told))) => {
                *next = told.height.next();
                if tell_block(app, &names, &words, &told)? {
                    return Ok(None);
                }
            }
            Some(Ok(Notice::Lagged { lagged })) => return Ok(Some(format!("too slow, {} behind", lagged.missed.0))),
            Some(Err(error)) => return Ok(Some(error.to_string())),
            None => return Ok(Some("the node closed the connection".into())),
        }
    }
}

/// Whether it says the end.
fn tell_block(app: &App, names: &Names, words: &Words, told: &EventsView) -> Answer<bool> {
    let events: Vec<&Value> = told.sources.iter().flat_map(|source| &source.events).collect();
    for event in &events {
        let document = json!({ "height": told.height, "event": event });
        print_line(app.json, &document, || match line(words, event) {
            Some((name, text)) => format!("{:>8}  {name}: {}", told.height, names.replace(&text)),
            None => format!("{:>8}  {event}", told.height),
        })?;
    }
    Ok(events.iter().any(|event| event.get("type").and_then(Value::as_str) == Some("job_settled")))
}
