//! `chain model`: which models there are, curated or voted in.
//!
//! Not here: the rules (chain-core).

use chain_core::{
    codec::List,
    crypto::Hash,
    state::market::model::{ModelSpec, Tier},
    tx::{Action, model::Action as Model},
    types::{MarketMs, ModelProposalId, Token},
};
use chain_rpc::view::{ModelProposalView, ModelProposalsParams, ModelView, ModelsParams};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Paging, bond_amount, model, models, more, text, when},
    node::Node,
    output::money,
    send::{SendArgs, send},
};

/// Arguments of `chain model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    action: ModelAction,
}

#[derive(Debug, Subcommand)]
enum ModelAction {
    /// List the models
    #[command(group = ArgGroup::new("which"))]
    List {
        /// Only those new jobs can be opened for
        #[arg(long, group = "which")]
        active: bool,
        /// Only the others
        #[arg(long, group = "which")]
        inactive: bool,
        /// Only those of this tier
        #[arg(long)]
        tier: Option<TierName>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a model
    Show {
        /// Its id (0x…), repo/file, or file if that is enough
        model: String,
    },
    /// Let models in, as the curator: one by the options, or a list from a file
    #[command(group = ArgGroup::new("list").required(true))]
    Curate {
        #[command(flatten)]
        spec: Option<SpecArgs>,
        /// A JSON file: a list of {repo, file, weights, format}
        #[arg(long, value_name = "FILE", group = "list")]
        from_file: Option<std::path::PathBuf>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Propose a model, for the proposal fee
    Propose {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Lock stake as votes for a proposed model
    Vote {
        /// The proposal's number
        proposal: u64,
        /// How much, such as 5000STK
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// End a proposal whose time is over
    Finalize(Proposed),
    /// Take back what was locked as votes
    Unlock(Proposed),
    /// Let jobs be opened for a model, or not any more, as the curator
    SetActive {
        /// Its id (0x…), repo/file, or file if that is enough
        model: String,
        /// Whether
        active: OnOff,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Set how many units a second can be claimed for a model, as the curator
    SetRate {
        /// Its id (0x…), repo/file, or file if that is enough
        model: String,
        /// 100 to 10000, or `usual` for the parameter's
        rate: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// List proposals, newest first
    #[command(group = ArgGroup::new("which"))]
    Proposals {
        /// Only those that were not finalized
        #[arg(long, group = "which")]
        open: bool,
        /// Only those that were
        #[arg(long, group = "which")]
        ended: bool,
        /// Say what this account has locked
        #[arg(long, value_name = "NAME|ADDRESS")]
        voter: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
}

/// What a model is.
#[derive(Debug, Args)]
struct SpecArgs {
    /// Where it is published
    #[arg(long, group = "list", requires_all = ["file", "weights"])]
    repo: Option<String>,
    /// Which file of it
    #[arg(long, requires = "repo")]
    file: Option<String>,
    /// SHA-256 of the weights, 0x…
    #[arg(long, value_name = "HASH", requires = "repo")]
    weights: Option<Hash>,
    /// How the weights are written
    #[arg(long, default_value = "gguf")]
    format: String,
}

impl SpecArgs {
    fn spec(&self) -> Answer<ModelSpec> {
        let (Some(repo), Some(file), Some(weights)) = (&self.repo, &self.file, self.weights) else {
            return Err(CliError::Usage("a model is --repo, --file and --weights".into()));
        };
        let (repo, file) = (text("--repo", repo)?, text("--file", file)?);
        Ok(ModelSpec { repo, file, weights, format: text("--format", &self.format)? })
    }
}

#[derive(Debug, Args)]
struct Proposed {
    /// The proposal's number
    proposal: u64,
    #[command(flatten)]
    send: SendArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TierName {
    Curated,
    Voted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

/// Runs `chain model …`.
pub async fn run(app: &App, args: &ModelArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        ModelAction::List { active, inactive, tier, paging } => {
            let tier = tier.map(|tier| match tier {
                TierName::Curated => Tier::Curated,
                TierName::Voted => Tier::Voted,
            });
            let active = (*active || *inactive).then_some(*active);
            list(app, &node, &ModelsParams { active, tier, ..ModelsParams::default() }, paging).await
        }
        ModelAction::Show { model: meant } => show(app, &node, meant).await,
        ModelAction::Curate { spec, from_file, send: args } => {
            let specs = match (from_file, spec) {
                (Some(path), _) => read_list(path)?,
                (None, Some(spec)) => vec![spec.spec()?],
                (None, None) => return Err(CliError::Usage("name a model, or a file of models".into())),
            };
            let models = List::new(specs).map_err(CliError::usage)?;
            act(app, &node, args, Model::ModelCurate { models }).await
        }
        ModelAction::Propose { spec, send: args } => {
            act(app, &node, args, Model::ModelPropose { model: spec.spec()? }).await
        }
        ModelAction::Vote { proposal, amount, send: args } => {
            let amount = bond_amount(&node, amount).await?;
            act(app, &node, args, Model::ModelVote { proposal: ModelProposalId::new(*proposal), amount }).await
        }
        ModelAction::Finalize(Proposed { proposal, send: args }) => {
            act(app, &node, args, Model::ModelFinalize { proposal: ModelProposalId::new(*proposal) }).await
        }
        ModelAction::Unlock(Proposed { proposal, send: args }) => {
            act(app, &node, args, Model::ModelVoteUnlock { proposal: ModelProposalId::new(*proposal) }).await
        }
        ModelAction::SetActive { model: meant, active, send: args } => {
            let (model, active) = (model(&node, meant).await?, *active == OnOff::On);
            act(app, &node, args, Model::ModelSetActive { model, active }).await
        }
        ModelAction::SetRate { model: meant, rate, send: args } => {
            let rate = read_rate(rate)?;
            act(app, &node, args, Model::ModelSetRate { model: model(&node, meant).await?, rate }).await
        }
        ModelAction::Proposals { open, ended, voter, paging } => {
            let voter = voter.as_ref().map(|voter| app.address(voter)).transpose()?;
            let open = (*open || *ended).then_some(*open);
            let asked = ModelProposalsParams { open, voter, ..ModelProposalsParams::default() };
            proposals(app, &node, &asked, paging).await
        }
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, action: Model) -> Answer<()> {
    send(app, node, args, |_| Ok(vec![Action::Model(action)])).await
}

fn read_list(path: &std::path::Path) -> Answer<Vec<ModelSpec>> {
    let bad = |why: &dyn std::fmt::Display| CliError::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    serde_json::from_str(&text).map_err(|error| bad(&error))
}

fn read_rate(text: &str) -> Answer<Option<u32>> {
    match text {
        "usual" => Ok(None),
        number => number.parse().map(Some).map_err(|_| CliError::Usage(format!("'{number}' is no rate; or say usual"))),
    }
}

async fn list(app: &App, node: &Node, asked: &ModelsParams, paging: &Paging) -> Answer<()> {
    let (models, next) = models(node, asked, paging).await?;
    let row = |one: &ModelView| {
        let name = format!("{}/{}", one.repo, one.file);
        vec![name, one.format.clone(), standing(one), one.rate.to_string(), one.model.to_string()]
    };
    let rows: Vec<_> = models.iter().map(row).collect();
    app.print(&json!({ "models": models, "next": next }), |lines| {
        lines.table(&["model", "format", "status", "units/s", "id"], &rows);
        more(lines, next.as_ref());
    })
}

/// Who let it in, and whether jobs can be opened for it.
fn standing(one: &ModelView) -> String {
    let tier = if one.tier == Tier::Curated { "curated" } else { "voted in" };
    if one.active { tier.into() } else { format!("{tier}, off") }
}

async fn show(app: &App, node: &Node, meant: &str) -> Answer<()> {
    let view = node.client.get_model(model(node, meant).await?).await?;
    app.print(&view, |lines| {
        lines.line(format_args!("{}/{}", view.repo, view.file));
        lines.pair("  id", view.model);
        lines.pair("  weights", view.weights);
        lines.pair("  format", &view.format);
        lines.pair("  status", standing(&view));
        lines.pair("  rate", format_args!("{} units a second can be claimed", view.rate));
    })
}

async fn proposals(app: &App, node: &Node, asked: &ModelProposalsParams, paging: &Paging) -> Answer<()> {
    let token = node.token(node.client.get_market().await?.stake_asset).await?;
    let mut now = None;
    let read = paging.read(async |cursor, limit| {
        let asked = ModelProposalsParams { cursor, limit: Some(limit), ..asked.clone() };
        let page = node.client.get_model_proposals(&asked).await?;
        now = Some(page.now);
        Ok((page.proposals, page.next))
    });
    let (proposals, next) = read.await?;
    let now = now.unwrap_or_default();
    app.print(&json!({ "proposals": proposals, "now": now, "next": next }), |lines| {
        let rows: Vec<_> = proposals.iter().map(|one| proposal_row(one, &token, now)).collect();
        lines.table(&["number", "model", "status", "votes", "needed", "locked", "id"], &rows);
        more(lines, next.as_ref());
    })
}

fn proposal_row(one: &ModelProposalView, token: &Token, now: MarketMs) -> Vec<String> {
    let status = match (one.outcome, one.finalizable) {
        (Some(outcome), _) => serde_json::to_value(outcome).ok().and_then(|name| Some(name.as_str()?.to_owned())),
        (None, true) => Some("over: chain model finalize".into()),
        (None, false) => Some(format!("ends {}", when(one.end, now))),
    };
    vec![
        one.proposal.to_string(),
        format!("{}/{}", one.repo, one.file),
        status.unwrap_or_default(),
        money(token, one.votes),
        money(token, one.needed),
        one.locked.map_or_else(|| "-".into(), |locked| money(token, locked)),
        one.model.to_string(),
    ]
}
