//! `chain provider`: who sells compute. A provider acts through the account of `--from`.
//!
//! Not here: offers (`offer`), the spellings of host operators (`host`), the rules (chain-core).

use chain_core::{
    codec::List,
    crypto::Hash,
    state::market::provider::{Profile, ProviderState},
    tx::{Action, provider::Action as Provider},
    types::{Address, JobId, MarketMs, ModelId, Token},
};
use chain_rpc::view::{ProfileView, ProviderSort, ProviderView, ProvidersParams, ReputationView};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::authority::percent;
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market::{Called, Paging, Tokens, Unit, bond_amount, model, models_meant, more, price, text, when},
    node::Node,
    output::{Lines, count, money},
    send::{SendArgs, send},
};

/// Arguments of `chain provider`.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    #[command(subcommand)]
    action: ProviderAction,
}

#[derive(Debug, Subcommand)]
enum ProviderAction {
    /// Bond the least bond and become a provider
    Register {
        #[command(flatten)]
        profile: ProfileArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Change what the provider of --from says of itself; what is not named stays
    Update {
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take no more jobs; offers are deleted
    Leave {
        #[command(flatten)]
        send: SendArgs,
    },
    /// Bond more
    BondAdd {
        /// How much, such as 500STK
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take the bond back, once it is free
    BondWithdraw {
        #[command(flatten)]
        send: SendArgs,
    },
    /// Give a sign of life, as the provider or its operator
    Heartbeat {
        /// Whose, by name or address [default: --from]
        #[arg(long, value_name = "NAME|ADDRESS")]
        provider: Option<String>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// List providers
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a provider, its offers and what its jobs say of it
    Show(Whose),
    /// Show whether a provider is there and takes jobs; exit code 1 if not
    Status(Whose),
    /// Take a part of a provider's bond, as the slasher
    Slash {
        #[command(flatten)]
        slash: SlashArgs,
        #[command(flatten)]
        send: SendArgs,
    },
}

/// Which provider.
#[derive(Debug, Args)]
struct Whose {
    /// A name or an address
    #[arg(value_name = "NAME|ADDRESS")]
    provider: String,
}

/// What somebody says of himself as a provider.
#[derive(Debug, Args)]
struct ProfileArgs {
    /// What people call it
    #[arg(long)]
    name: String,
    /// Where it answers
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// What it serves, by id, repo/file or file; separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    models: Vec<String>,
    #[command(flatten)]
    rest: RestArgs,
}

/// What somebody changes of what he says of himself.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Where it answers
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// What it serves from now on, by id, repo/file or file; separated by commas
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    rest: RestArgs,
}

/// What need not be said.
#[derive(Debug, Default, Args)]
struct RestArgs {
    /// Where its machines are
    #[arg(long)]
    region: Option<String>,
    /// What they are
    #[arg(long)]
    hardware: Option<String>,
    /// Its class of performance
    #[arg(long)]
    class: Option<String>,
    /// Whatever else, up to 2 KiB [when it registers: {}]
    #[arg(long)]
    metadata: Option<String>,
    /// The key for encrypting to it, 0x… [when it registers: none, all zeros]
    #[arg(long, value_name = "KEY")]
    encryption_key: Option<Hash>,
    /// Who earns what its jobs pay, by name or address; `self`: the provider
    #[arg(long, value_name = "NAME|ADDRESS|self")]
    payout: Option<String>,
    /// Who may work for it besides, by name or address, or `nobody`
    #[arg(long, value_name = "NAME|ADDRESS|nobody")]
    operator: Option<String>,
}

/// Which providers.
#[derive(Debug, Args)]
struct Filter {
    /// Only those that serve this model, by id, repo/file or file
    #[arg(long)]
    model: Option<String>,
    /// Only those with an offer in this asset, by symbol or number
    #[arg(long)]
    asset: Option<String>,
    /// Only those with an offer for these units
    #[arg(long)]
    unit: Option<Unit>,
    /// Only those with an offer of at most this for 1000 units, such as 0.005USD
    #[arg(long, value_name = "PRICE", conflicts_with = "asset")]
    max_price: Option<String>,
    /// Only those in this region
    #[arg(long)]
    region: Option<String>,
    /// Only those that take jobs and gave a sign of life in the last 30 minutes
    #[arg(long)]
    live: bool,
    /// Only those whose jobs with the model speak so well for them, 0 to 10000
    #[arg(long, value_name = "BPS", requires = "model")]
    min_reputation: Option<u16>,
    /// In which order
    #[arg(long, default_value = "id")]
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// In which they registered
    Id,
    /// The cheapest first; needs --model, --asset (or --max-price) and --unit
    Price,
    /// The last sign of life first
    LastSeen,
    /// The best first, of those that are read: scores fade, so no node has a list of them; use --all. Needs --model
    Reputation,
}

/// What is taken of a bond, and why; also for what the council is asked.
#[derive(Debug, Args)]
pub struct SlashArgs {
    /// Whose, by name or address
    #[arg(value_name = "NAME|ADDRESS")]
    pub provider: String,
    /// How much, such as 50STK
    #[arg(long)]
    pub amount: String,
    /// Where the evidence is, up to 128 bytes
    #[arg(long)]
    pub evidence: String,
    /// Why, up to 256 bytes
    #[arg(long)]
    pub reason: String,
    /// The job whose payer is compensated
    #[arg(long, value_name = "NUMBER")]
    pub job: Option<u64>,
}

/// Runs `chain provider …`.
pub async fn run(app: &App, args: &ProviderArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        ProviderAction::Register { profile, send: args } => {
            let action = register(app, &node, profile).await?;
            act(app, &node, args, action).await
        }
        ProviderAction::Update { change, send: args } => {
            let action = update(app, &node, app.address(&args.from)?, change).await?;
            act(app, &node, args, action).await
        }
        ProviderAction::Leave { send: args } => act(app, &node, args, Provider::ProviderLeave {}).await,
        ProviderAction::BondAdd { amount, send: args } => {
            let amount = bond_amount(&node, amount).await?;
            act(app, &node, args, Provider::ProviderBondAdd { amount }).await
        }
        ProviderAction::BondWithdraw { send: args } => act(app, &node, args, Provider::ProviderBondWithdraw {}).await,
        ProviderAction::Heartbeat { provider, send: args } => {
            let provider = app.address(provider.as_ref().unwrap_or(&args.from))?;
            act(app, &node, args, Provider::Heartbeat { provider }).await
        }
        ProviderAction::List { filter, paging } => list(app, &node, filter, paging).await,
        ProviderAction::Show(whose) => show(app, &node, app.address(&whose.provider)?).await,
        ProviderAction::Status(whose) => status(app, &node, app.address(&whose.provider)?).await,
        ProviderAction::Slash { slash, send: args } => {
            let amount = bond_amount(&node, &slash.amount).await?;
            let action = Provider::ProviderSlash {
                provider: app.address(&slash.provider)?,
                amount,
                evidence: text("--evidence", &slash.evidence)?,
                reason: text("--reason", &slash.reason)?,
                job: slash.job.map(JobId::new),
            };
            act(app, &node, args, action).await
        }
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Provider) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Provider(action)])).await
}

async fn register(app: &App, node: &Node, said: &ProfileArgs) -> Answer<Provider> {
    let rest = &said.rest;
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
    let profile = ProfileView {
        name: said.name.clone(),
        endpoint: said.endpoint.clone(),
        region: or_nothing(&rest.region),
        hardware: or_nothing(&rest.hardware),
        encryption_key: rest.encryption_key.unwrap_or(Hash::ZERO),
        class: or_nothing(&rest.class),
        metadata: rest.metadata.clone().unwrap_or_else(|| "{}".into()),
        models: models_meant(node, &said.models).await?,
    };
    let (payout, operator) = (other(app, &rest.payout, "self")?, other(app, &rest.operator, "nobody")?);
    Ok(Provider::ProviderRegister { profile: profile_of(&profile)?, payout, operator })
}

async fn update(app: &App, node: &Node, own: Address, said: &ChangeArgs) -> Answer<Provider> {
    let known = node.client.get_provider(own).await?;
    let before = known.profile.ok_or_else(|| CliError::Failed("this provider is gone: register again".into()))?;
    let rest = &said.rest;
    let keep = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
    let models = match said.models.as_slice() {
        [] => before.models,
        named => models_meant(node, named).await?,
    };
    let profile = ProfileView {
        name: keep(&said.name, before.name),
        endpoint: keep(&said.endpoint, before.endpoint),
        region: keep(&rest.region, before.region),
        hardware: keep(&rest.hardware, before.hardware),
        encryption_key: rest.encryption_key.unwrap_or(before.encryption_key),
        class: keep(&rest.class, before.class),
        metadata: keep(&rest.metadata, before.metadata),
        models,
    };
    let payout = match &rest.payout {
        None => Some(known.payout),
        named => other(app, named, "self")?,
    };
    let operator = match &rest.operator {
        None => known.operator,
        named => other(app, named, "nobody")?,
    };
    Ok(Provider::ProviderUpdate { profile: profile_of(&profile)?, payout: payout.filter(|to| *to != own), operator })
}

/// The account a text names, or none where it says so.
fn other(app: &App, named: &Option<String>, none: &str) -> Answer<Option<Address>> {
    named.as_ref().filter(|name| name.as_str() != none).map(|name| app.address(name)).transpose()
}

/// A profile with bounded texts.
pub fn profile_of(view: &ProfileView) -> Answer<Profile> {
    Ok(Profile {
        name: text("--name", &view.name)?,
        endpoint: text("the endpoint", &view.endpoint)?,
        region: text("--region", &view.region)?,
        hardware: text("--hardware", &view.hardware)?,
        encryption_key: view.encryption_key,
        class: text("the class", &view.class)?,
        metadata: text("--metadata", &view.metadata)?,
        models: List::new(view.models.clone()).map_err(CliError::usage)?,
    })
}

async fn list(app: &App, node: &Node, filter: &Filter, paging: &Paging) -> Answer<()> {
    let asked = asked(node, filter).await?;
    let token = node.token(node.client.get_market().await?.stake_asset).await?;
    let mut now = MarketMs::ZERO;
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_providers(&ProvidersParams { cursor, limit: Some(limit), ..asked.clone() }).await?;
        now = page.now;
        Ok((page.list.providers, page.next))
    });
    let (mut providers, next) = read.await?;
    if filter.sort == Sort::Reputation {
        providers.sort_by_key(|one| std::cmp::Reverse(one.score_bps));
    }
    let names = app.names();
    let rows: Vec<_> = providers.iter().map(|one| row(&names, one, &token, now)).collect();
    app.print(&json!({ "providers": providers, "now": now, "next": next }), |lines| {
        let head = ["number", "name", "status", "seen", "region", "jobs", "bond", "score", "account"];
        lines.table(&head, &rows);
        more(lines, next.as_ref());
    })
}

async fn asked(node: &Node, filter: &Filter) -> Answer<ProvidersParams> {
    let model = match &filter.model {
        Some(text) => Some(model(node, text).await?),
        None => None,
    };
    if filter.sort == Sort::Reputation && model.is_none() {
        return Err(CliError::Usage("reputation is won with a model: name it with --model".into()));
    }
    let (asset, max_price) = match (&filter.max_price, &filter.asset) {
        (Some(text), _) => price(node, text).await.map(|(asset, price)| (Some(asset), Some(price)))?,
        (None, Some(text)) => (Some(node.asset_meant(text).await?.0), None),
        (None, None) => (None, None),
    };
    let sort = match filter.sort {
        Sort::Id | Sort::Reputation => ProviderSort::Id,
        Sort::Price => ProviderSort::Price,
        Sort::LastSeen => ProviderSort::LastSeen,
    };
    Ok(ProvidersParams {
        model,
        asset,
        unit_kind: filter.unit.map(Into::into),
        max_price,
        region: filter.region.clone(),
        active: None,
        live: filter.live.then_some(true),
        min_reputation: filter.min_reputation,
        sort: Some(sort),
        cursor: None,
        limit: None,
    })
}

fn row(names: &Names, one: &ProviderView, token: &Token, now: MarketMs) -> Vec<String> {
    let said = |of: fn(&ProfileView) -> &String| one.profile.as_ref().map(of).cloned().unwrap_or_default();
    vec![
        one.id.to_string(),
        said(|profile| &profile.name),
        state(one).into(),
        when(one.last_seen, now),
        said(|profile| &profile.region),
        format!("{}/{}", one.open_jobs, one.bonded_slots),
        money(token, one.bond),
        one.score_bps.map_or_else(|| "-".into(), |score| score.to_string()),
        names.short(&one.provider),
    ]
}

/// How a provider stands, in a word.
pub fn state(one: &ProviderView) -> &'static str {
    match (one.state, one.live) {
        (ProviderState::Active, true) => "live",
        (ProviderState::Active, false) => "silent",
        (ProviderState::Leaving, _) => "leaving",
        (ProviderState::Removed, _) => "removed",
        (ProviderState::Gone, _) => "gone",
    }
}

async fn show(app: &App, node: &Node, provider: Address) -> Answer<()> {
    let (view, market) = (node.client.get_provider(provider).await?, node.client.get_market().await?);
    let reputation = node.client.get_reputation(provider, None, None, None).await?;
    let token = node.token(market.stake_asset).await?;
    let offers = view.offers.clone().unwrap_or_default();
    let tokens = Tokens::of(node, offers.iter().map(|offer| offer.asset)).await?;
    let served = view.profile.iter().flat_map(|profile| profile.models.iter().copied());
    let ids = served.chain(offers.iter().map(|offer| offer.model)).chain(reputation.models.iter().map(|of| of.model));
    let called = Called::of(node, ids).await?;
    let names = app.names();
    app.print(&json!({ "provider": view, "reputation": reputation }), |lines| {
        lines.line(format_args!("provider {}: {}", view.id, names.with(&provider)));
        show_row(lines, &names, &view, (&token, market.now));
        view.profile.iter().for_each(|profile| show_profile(lines, profile, &called));
        for offer in &offers {
            let price = tokens.price(offer.asset, offer.price);
            let free = if offer.open { count(offer.free_slots.into(), "free slot") } else { "closed".into() };
            lines.pair(
                "  offer",
                format_args!("{price} per 1000 {} of {}, {free}", offer.unit_kind, called.name(&offer.model)),
            );
        }
        show_reputation(lines, &reputation, &called);
    })
}

fn show_row(lines: &mut Lines, names: &Names, view: &ProviderView, (token, now): (&Token, MarketMs)) {
    lines.pair("  status", format_args!("{}, seen {}", state(view), when(view.last_seen, now)));
    lines.pair(
        "  bond",
        format_args!("{}, stands for {}", money(token, view.bond), count(view.bonded_slots.into(), "job")),
    );
    lines.pair("  jobs", format_args!("{} open", view.open_jobs));
    if let Some(free) = view.free_from {
        lines.pair("", format_args!("the bond is free {}: chain provider bond-withdraw", when(free, now)));
    }
    lines.pair("  payout", names.with(&view.payout));
    if let Some(operator) = &view.operator {
        lines.pair("  operator", names.with(operator));
    }
    if let Some(slashed) = view.last_slash {
        lines.pair("  slashed", when(slashed, now));
    }
}

fn show_profile(lines: &mut Lines, profile: &ProfileView, called: &Called) {
    let texts = [
        ("  name", &profile.name),
        ("  endpoint", &profile.endpoint),
        ("  region", &profile.region),
        ("  hardware", &profile.hardware),
        ("  class", &profile.class),
        ("  metadata", &profile.metadata),
    ];
    texts.iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| lines.pair(name, text));
    let models: Vec<_> = profile.models.iter().map(|model: &ModelId| called.name(model)).collect();
    lines.pair("  models", models.join(", "));
}

/// What jobs say; numbers have faded, so they are no whole ones.
fn show_reputation(lines: &mut Lines, reputation: &ReputationView, called: &Called) {
    for of in &reputation.models {
        let number = |millionths: u128| format!("{}.{:02}", millionths / 1_000_000, millionths / 10_000 % 100);
        let (jobs, empty) = (number(of.jobs_millionths), number(of.timeouts_empty_millionths));
        let score = percent(of.score_bps.into());
        let (won, lost) = (number(of.disputes_won_millionths), number(of.disputes_lost_millionths));
        let disputes = format!("{won} disputes won, {lost} lost");
        let model = called.name(&of.model);
        let words = format!("{score} for {model}: {jobs} jobs done, {empty} never answered, {disputes}");
        lines.pair("  reputation", words);
    }
}

async fn status(app: &App, node: &Node, provider: Address) -> Answer<()> {
    let (view, market) = (node.client.get_provider(provider).await?, node.client.get_market().await?);
    let open = view.offers.iter().flatten().filter(|offer| offer.open).count();
    let document = json!({
        "provider": provider, "state": view.state, "live": view.live, "last_seen": view.last_seen, "now": market.now,
        "open_jobs": view.open_jobs, "bonded_slots": view.bonded_slots, "open_offers": open, "bond": view.bond,
    });
    let token = node.token(market.stake_asset).await?;
    app.print(&document, |lines| {
        lines.line(format_args!("{}: {}", app.names().with(&provider), state(&view)));
        show_row(lines, &app.names(), &view, (&token, market.now));
        lines.pair("  offers", format_args!("{open} that take jobs now"));
    })?;
    match view.live {
        true => Ok(()),
        false => {
            Err(CliError::Told(format!("the provider is {}: it takes no jobs or gave no sign of life", state(&view))))
        }
    }
}
