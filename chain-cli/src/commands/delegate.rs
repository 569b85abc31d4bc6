//! `chain account delegate`: who may spend an account's money on jobs.
//!
//! Not here: the use of it (`job open --on-behalf-of`).

use chain_core::{
    codec::List,
    state::market::grant::{Allowance, Scope},
    tx::{Action, account},
    types::TimestampMs,
};
use chain_rpc::view::{DelegateView, rfc3339};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Called, Paging, Tokens, models_meant, more, price},
    node::Node,
    send::{SendArgs, send},
};

/// What can be done with delegates.
#[derive(Debug, Subcommand)]
pub enum DelegateAction {
    /// Let an account spend this one's money on jobs; replaces what it was let before
    Set {
        /// Which, by name or address
        #[arg(value_name = "NAME|ADDRESS")]
        delegate: String,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Let it do so no more; open jobs go on
    Revoke {
        /// Which, by name or address
        #[arg(value_name = "NAME|ADDRESS")]
        delegate: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// List who may spend an account's money, and what was spent
    List {
        /// Whose money, by name or address
        #[arg(value_name = "NAME|ADDRESS")]
        who: String,
        #[command(flatten)]
        paging: Paging,
    },
}

/// On which jobs.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// The most for all jobs together, such as 100USD; again for another asset
    #[arg(long, required = true, value_name = "AMOUNT")]
    total: Vec<String>,
    /// The most for one job, such as 10USD [default: the total]
    #[arg(long, value_name = "AMOUNT")]
    per_job: Vec<String>,
    /// The highest price for 1000 units, such as 0.005USD [default: any]
    #[arg(long, value_name = "PRICE")]
    max_price: Vec<String>,
    /// With these providers, by name or address, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME|ADDRESS")]
    providers: Vec<String>,
    /// For these models, by id, repo/file or file, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// For so many seconds from the newest block on [default: for ever]
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// Count what was spent before no more
    #[arg(long)]
    reset_spent: bool,
}

/// Runs `chain account delegate …`.
pub async fn run(app: &App, action: &DelegateAction) -> Answer<()> {
    let node = app.connect().await?;
    match action {
        DelegateAction::Set { delegate, scope: said, send: args } => {
            let (delegate, reset_spent) = (app.address(delegate)?, said.reset_spent);
            let scope = scope(app, &node, said).await?;
            act(app, &node, args, account::Action::DelegateSet { delegate, scope, reset_spent }).await
        }
        DelegateAction::Revoke { delegate, send: args } => {
            let delegate = app.address(delegate)?;
            act(app, &node, args, account::Action::DelegateRevoke { delegate }).await
        }
        DelegateAction::List { who, paging } => list(app, &node, who, paging).await,
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: account::Action) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Account(action)])).await
}

async fn scope(app: &App, node: &Node, said: &ScopeArgs) -> Answer<Scope> {
    let mut assets: Vec<Allowance> = Vec::new();
    for text in &said.total {
        let (asset, max_total) = node.amount(text).await?;
        assets.push(Allowance { asset, max_price: None, max_job: max_total, max_total });
    }
    for text in &said.per_job {
        let (asset, amount) = node.amount(text).await?;
        of(&mut assets, |one| one.asset == asset, text)?.max_job = amount;
    }
    for text in &said.max_price {
        let (asset, price) = price(node, text).await?;
        of(&mut assets, |one| one.asset == asset, text)?.max_price = Some(price);
    }
    let providers = said.providers.iter().map(|name| app.address(name)).collect::<Answer<Vec<_>>>()?;
    let expires_at = match said.expires_in {
        Some(seconds) => {
            let now = node.client.get_head().await?.timestamp.get();
            Some(TimestampMs::new(now.saturating_add(seconds.saturating_mul(1000))))
        }
        None => None,
    };
    Ok(Scope {
        providers: List::new(providers).map_err(CliError::usage)?,
        models: List::new(models_meant(node, &said.models).await?).map_err(CliError::usage)?,
        assets: List::new(assets).map_err(CliError::usage)?,
        expires_at,
    })
}

/// The allowance a text belongs to.
fn of<'a>(assets: &'a mut [Allowance], is_meant: impl Fn(&Allowance) -> bool, text: &str) -> Answer<&'a mut Allowance> {
    let none = || CliError::Usage(format!("'{text}' needs a --total of the same asset"));
    assets.iter_mut().find(|one| is_meant(one)).ok_or_else(none)
}

async fn list(app: &App, node: &Node, who: &str, paging: &Paging) -> Answer<()> {
    let account = app.address(who)?;
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_delegates(account, None, cursor, Some(limit)).await?;
        Ok((page.delegates, page.next))
    });
    let (delegates, next) = read.await?;
    let assets = delegates.iter().flat_map(|one| one.assets.iter().map(|of| of.asset));
    let tokens = Tokens::of(node, assets).await?;
    let called = Called::of(node, delegates.iter().flat_map(|one| one.models.iter().copied())).await?;
    let names = app.names();
    app.print(&json!({ "account": account, "delegates": delegates, "next": next }), |lines| {
        if delegates.is_empty() {
            lines.line("(none)");
        }
        for DelegateView { delegate, providers, models, assets, expires_at } in &delegates {
            lines.line(names.with(delegate));
            for of in assets {
                let [total, job, spent] =
                    [of.max_total, of.max_job, of.spent].map(|amount| tokens.money(of.asset, amount));
                lines.pair("  may spend", format_args!("{total}, {job} for one job; spent: {spent}"));
                if let Some(price) = of.max_price {
                    lines.pair("", format_args!("at most {} per 1000 units", tokens.price(of.asset, price)));
                }
            }
            let list = |all: Vec<String>| if all.is_empty() { "all".into() } else { all.join(", ") };
            lines.pair("  providers", list(providers.iter().map(|one| names.short(one)).collect()));
            lines.pair("  models", list(models.iter().map(|one| called.name(one)).collect()));
            if let Some(until) = expires_at {
                lines.pair("  until", rfc3339(*until));
            }
        }
        more(lines, next.as_ref());
    })
}
