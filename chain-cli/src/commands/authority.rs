//! `chain authority`: who validates and by which rules. A member of the council acts through the plain
//! account of its validator's key: `--from` names that key.
//!
//! Not here: evidence (`evidence`), the rules (chain-core).

use chain_core::{
    codec::Text,
    crypto::PublicKey,
    state::Role,
    tx::{
        Action,
        authority::{Action as Authority, Measure},
    },
    types::{Amount, Height, JobId, ProposalId},
};
use chain_rpc::view::{ProposalStatus, ProposalView, UptimeView, ValidatorStatus, ValidatorView};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::provider::SlashArgs;
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    market::{bond_amount, text},
    node::Node,
    output::{Lines, count},
    send::{SendArgs, send},
};

/// How `role` says that nobody shall have it.
const NOBODY: &str = "nobody";

/// Arguments of `chain authority`.
#[derive(Debug, Args)]
pub struct AuthorityArgs {
    #[command(subcommand)]
    action: AuthorityAction,
}

#[derive(Debug, Subcommand)]
enum AuthorityAction {
    /// Ask the council, and vote yes
    #[command(subcommand)]
    Propose(Proposing),
    /// Vote on a proposal; a vote stands
    Vote {
        /// Its number
        proposal: u64,
        /// yes or no
        vote: YesNo,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Say that the node of --from runs and may join the validators
    Ready {
        #[command(flatten)]
        send: SendArgs,
    },
    /// List proposals, newest first; ended ones for `retention_s`
    #[command(group = ArgGroup::new("which"))]
    Proposals {
        /// Only those that can be voted on
        #[arg(long, group = "which")]
        open: bool,
        /// Only those that ended
        #[arg(long, group = "which")]
        ended: bool,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Go on where the page before ended
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Show a proposal with its votes
    Show {
        /// Its number
        proposal: u64,
    },
    /// List the validators, and who else was admitted
    Validators,
    /// Show what the validators did in the newest blocks
    Uptime {
        /// How many blocks, up to 1000
        #[arg(long, default_value_t = 100)]
        blocks: u32,
    },
    /// List the parameters with their bounds, and changes to come
    Params,
    /// List the changes of parameters, newest first
    History {
        /// Only of this one
        name: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Go on where the page before ended
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Show the version of the rules, upgrades to come, and who has which role
    Rules,
}

#[derive(Debug, Subcommand)]
enum Proposing {
    /// Admit a validator
    Add {
        /// Its key: 0x…, or the name of a key or of a devnet's node
        #[arg(value_name = "KEY")]
        validator: String,
        /// What people shall call it, up to 64 bytes
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// The weight it shall have
        #[arg(long, default_value_t = 1)]
        weight: u64,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Remove a validator
    Remove(About),
    /// Jail a validator
    Jail(About),
    /// Lift a validator's jailing
    Unjail(About),
    /// Change a parameter (`chain authority params` lists them)
    Param {
        /// Its name
        name: String,
        /// The new value, in the unit the list shows
        value: u128,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Give a role to an account, or to nobody
    Role {
        /// Which
        role: RoleName,
        /// A name, an address, or `nobody`
        #[arg(value_name = "NAME|ADDRESS|nobody")]
        account: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take a part of a provider's bond, or all of it if there is less
    Slash {
        #[command(flatten)]
        slash: SlashArgs,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take back a parameter or an upgrade that has passed and waits for its block
    Withdraw {
        /// The proposal's number
        proposal: u64,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Go over to another version of the rules: older programs stop there
    Upgrade {
        /// The version
        version: u32,
        /// The first block under it
        height: u64,
        #[command(flatten)]
        send: SendArgs,
    },
}

#[derive(Debug, Args)]
struct About {
    /// Its key: 0x…, or the name of a key or of a devnet's node
    #[arg(value_name = "KEY")]
    validator: String,
    #[command(flatten)]
    send: SendArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Models and their rates
    Curator,
    /// Slashing of providers
    Slasher,
    /// The treasury
    Treasurer,
}

/// Runs `chain authority …`.
pub async fn run(app: &App, args: &AuthorityArgs) -> Answer<()> {
    match &args.action {
        AuthorityAction::Propose(Proposing::Slash { slash, send: args }) => {
            let node = app.connect().await?;
            let amount = bond_amount(&node, &slash.amount).await?;
            let measure = slashing(app, slash, amount)?;
            send(app, &node, args, |_| Ok(vec![Action::Authority(Authority::CouncilPropose { measure })])).await
        }
        AuthorityAction::Propose(proposing) => {
            let (measure, args) = measure(app, proposing)?;
            act(app, args, Authority::CouncilPropose { measure }).await
        }
        AuthorityAction::Vote { proposal, vote, send } => {
            let (proposal, approve) = (ProposalId::new(*proposal), *vote == YesNo::Yes);
            act(app, send, Authority::CouncilVote { proposal, approve }).await
        }
        AuthorityAction::Ready { send } => act(app, send, Authority::ValidatorReady {}).await,
        AuthorityAction::Proposals { open, ended, limit, cursor } => {
            let which = (*open || *ended).then_some(*open);
            list(app, which, *limit, cursor.clone()).await
        }
        AuthorityAction::Show { proposal } => {
            let node = app.connect().await?;
            let view = node.client.get_proposal(ProposalId::new(*proposal)).await?;
            let names = app.names();
            app.print(&view, |lines| show(lines, &names, &view))
        }
        AuthorityAction::Validators => validators(app).await,
        AuthorityAction::Uptime { blocks } => uptime(app, *blocks).await,
        AuthorityAction::Params => params(app).await,
        AuthorityAction::History { name, limit, cursor } => history(app, name.clone(), *limit, cursor.clone()).await,
        AuthorityAction::Rules => rules(app).await,
    }
}

async fn act(app: &App, args: &SendArgs, action: Authority) -> Answer<()> {
    let node: Node = app.connect().await?;
    send(app, &node, args, |_| Ok(vec![Action::Authority(action)])).await
}

fn measure<'a>(app: &App, proposing: &'a Proposing) -> Answer<(Measure, &'a SendArgs)> {
    let key = |about: &About| app.public_key(&about.validator);
    let named = |what: &str, error: &dyn std::fmt::Display| CliError::Usage(format!("the {what}: {error}"));
    Ok(match proposing {
        Proposing::Add { validator, name, weight, send } => {
            let name = Text::new(&**name).map_err(|error| named("name", &error))?;
            (Measure::Add { public_key: app.public_key(validator)?, name, weight: *weight }, send)
        }
        Proposing::Remove(about) => (Measure::Remove { public_key: key(about)? }, &about.send),
        Proposing::Jail(about) => (Measure::Jail { public_key: key(about)? }, &about.send),
        Proposing::Unjail(about) => (Measure::Unjail { public_key: key(about)? }, &about.send),
        Proposing::Param { name, value, send } => {
            let name = Text::new(&**name).map_err(|error| named("parameter's name", &error))?;
            (Measure::Parameter { name, value: *value }, send)
        }
        Proposing::Role { role, account, send } => {
            let account = if account == NOBODY { None } else { Some(app.address(account)?) };
            let role = match role {
                RoleName::Curator => Role::Curator,
                RoleName::Slasher => Role::Slasher,
                RoleName::Treasurer => Role::Treasurer,
            };
            (Measure::Role { role, account }, send)
        }
        Proposing::Withdraw { proposal, send } => (Measure::Withdraw { proposal: ProposalId::new(*proposal) }, send),
        Proposing::Upgrade { version, height, send } => {
            (Measure::Upgrade { version: *version, height: Height::new(*height) }, send)
        }
        // Its amount is of an asset only a node knows.
        Proposing::Slash { slash, send } => (slashing(app, slash, Amount::ZERO)?, send),
    })
}

fn slashing(app: &App, slash: &SlashArgs, amount: Amount) -> Answer<Measure> {
    Ok(Measure::Slash {
        provider: app.address(&slash.provider)?,
        amount,
        evidence: text("--evidence", &slash.evidence)?,
        reason: text("--reason", &slash.reason)?,
        job: slash.job.map(JobId::new),
    })
}

async fn list(app: &App, open: Option<bool>, limit: u32, cursor: Option<String>) -> Answer<()> {
    let node = app.connect().await?;
    let page = node.client.get_proposals(open, cursor, Some(limit)).await?;
    let names = app.names();
    let row = |view: &ProposalView| {
        let votes = view.tally.map_or_else(String::new, |tally| {
            format!("{} of {} needed, {} against", tally.yes.0, tally.needed.0, tally.no.0)
        });
        vec![view.proposal.to_string(), status(view), names.validator(&view.proposer), votes, names.replace(&view.text)]
    };
    let rows: Vec<_> = page.proposals.iter().map(row).collect();
    app.print(&page, |lines| {
        lines.table(&["number", "status", "by", "votes", "what"], &rows);
        if let Some(next) = &page.next {
            lines.line(format_args!("older: --cursor {next}"));
        }
    })
}

fn status(view: &ProposalView) -> String {
    match (view.status, view.activates, &view.reason) {
        (ProposalStatus::Passed, Some(height), _) => format!("passed, from block {height}"),
        (ProposalStatus::Failed, _, Some(reason)) => format!("failed: {} ({})", reason.message, reason.number),
        (status, ..) => word(&status),
    }
}

/// A name as the interface writes it.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn show(lines: &mut Lines, names: &Names, view: &ProposalView) {
    lines.line(format_args!("proposal {}: {}", view.proposal, names.replace(&view.text)));
    lines.pair("  status", status(view));
    lines.pair("  by", format_args!("{}, in block {}", names.validator(&view.proposer), view.opened));
    if view.status == ProposalStatus::Open {
        lines.pair("  until", &view.expires);
    }
    if let Some(tally) = view.tally {
        let text =
            format!("{} for, {} against, of {}; {} needed", tally.yes.0, tally.no.0, tally.council.0, tally.needed.0);
        lines.pair("  council", text);
    }
    for vote in &view.votes {
        lines.pair(if vote.approve { "  yes" } else { "  no" }, names.validator(&vote.member));
    }
}

async fn validators(app: &App) -> Answer<()> {
    let node = app.connect().await?;
    let view = node.client.get_validators().await?;
    let names = app.names();
    let row = |one: &ValidatorView| {
        let share = one.uptime_bps.map_or_else(|| "-".into(), percent);
        vec![
            called(&names, one),
            standing(one),
            if one.weight.0 > 0 { one.weight.0.to_string() } else { "-".into() },
            if one.on_council { "yes" } else { "no" }.into(),
            share,
            one.missed_turns.0.to_string(),
            one.absence.to_string(),
            one.public_key.to_string(),
        ]
    };
    let rows: Vec<_> = view.validators.iter().chain(&view.others).map(row).collect();
    app.print(&view, |lines| {
        let head = ["validator", "status", "weight", "votes", "turns taken", "missed", "absence", "key"];
        lines.table(&head, &rows);
        let members = count(view.validators.len() as u64, "validator");
        let rule = word(&view.quorum_rule);
        lines.line(format_args!("block {}: {members}, total weight {} ({rule})", view.height, view.total_weight.0));
        if let Some(ends) = view.epoch_ends {
            lines.line(format_args!("the set changes after block {ends}, if it has to"));
        }
    })
}

/// What people call a validator.
pub fn called(names: &Names, one: &ValidatorView) -> String {
    match (names.get(&one.address), one.name.as_str()) {
        (Some(own), _) => own.into(),
        (None, "") => "-".into(),
        (None, name) => name.into(),
    }
}

/// How a validator stands, in words.
pub fn standing(one: &ValidatorView) -> String {
    let leaves = one.weight.0 > 0;
    match (one.status, one.jail_cause) {
        (ValidatorStatus::Waiting, _) if !one.ready => "waiting: not ready".into(),
        (ValidatorStatus::Waiting, _) => "waiting for an epoch".into(),
        (ValidatorStatus::Jailed, Some(cause)) if leaves => format!("jailed ({}), leaving", word(&cause)),
        (ValidatorStatus::Jailed, Some(cause)) => format!("jailed ({})", word(&cause)),
        (status @ (ValidatorStatus::Convicted | ValidatorStatus::Removed), _) if leaves => {
            format!("{}, leaving", word(&status))
        }
        (status, _) => word(&status),
    }
}

/// 1/10,000 as a percentage.
pub fn percent(bps: u32) -> String {
    format!("{}.{:02}%", bps / 100, bps % 100)
}

async fn uptime(app: &App, blocks: u32) -> Answer<()> {
    let node = app.connect().await?;
    let view = node.client.get_uptime(Some(blocks)).await?;
    let names = app.names();
    let row = |one: &UptimeView| {
        let share = one.uptime_bps.map_or_else(|| "-".into(), percent);
        let numbers = [one.proposed, one.missed_turns, one.signed, one.heights].map(|number| number.to_string());
        [vec![names.validator(&one.public_key), share], numbers.to_vec()].concat()
    };
    let rows: Vec<_> = view.validators.iter().map(row).collect();
    app.print(&view, |lines| {
        lines.table(&["validator", "turns taken", "built", "missed", "in certificates", "of blocks"], &rows);
        lines.line(format_args!(
            "blocks {} to {}; a vote that comes after the quorum is in no certificate",
            view.from, view.to
        ));
    })
}

async fn params(app: &App) -> Answer<()> {
    let node = app.connect().await?;
    let view = node.client.get_params().await?;
    let rows: Vec<_> = view
        .bounds
        .iter()
        .map(|bounds| {
            let pending = view.pending.iter().filter(|pending| pending.name == bounds.name);
            let pending =
                pending.map(|p| format!("{} from block {}", p.value, p.height)).collect::<Vec<_>>().join(", ");
            vec![bounds.name.clone(), bounds.value.to_string(), bounds.min.to_string(), bounds.max.to_string(), pending]
        })
        .collect();
    app.print(&view, |lines| {
        lines.table(&["parameter", "value", "least", "most", "decided"], &rows);
        let rule = word(&view.quorum_rule);
        lines.line(format_args!("block {}; consensus {}, quorum {rule}", view.height, view.consensus_mode));
    })
}

async fn history(app: &App, name: Option<String>, limit: u32, cursor: Option<String>) -> Answer<()> {
    let node = app.connect().await?;
    let view = node.client.get_param_history(name, cursor, Some(limit)).await?;
    let rows: Vec<_> = view
        .changes
        .iter()
        .map(|change| {
            let numbers = [change.height.to_string(), change.proposal.to_string()];
            let values = [change.name.clone(), change.before.to_string(), change.after.to_string()];
            [numbers.to_vec(), values.to_vec()].concat()
        })
        .collect();
    app.print(&view, |lines| {
        lines.table(&["from block", "proposal", "parameter", "before", "after"], &rows);
        if let Some(next) = &view.next {
            lines.line(format_args!("older: --cursor {next}"));
        }
    })
}

async fn rules(app: &App) -> Answer<()> {
    let node = app.connect().await?;
    let (upgrade, roles) = (node.client.get_upgrade().await?, node.client.get_roles().await?);
    let names = app.names();
    app.print(&json!({ "upgrade": upgrade, "roles": roles }), |lines| {
        lines.pair("version", format_args!("{} (this node's program knows up to {})", upgrade.version, upgrade.known));
        for pending in &upgrade.pending {
            let known = if pending.is_known { "" } else { "; this node's program stops there" };
            lines.pair("upgrade", format_args!("version {} from block {}{known}", pending.version, pending.height));
        }
        for role in Role::ALL {
            let account = roles.roles.get(role);
            lines.pair(role.name(), account.map_or_else(|| NOBODY.to_owned(), |account| names.with(&account)));
        }
    })
}

/// What happened in the council, in words: the number of a new proposal is told by its event alone.
pub fn told<'a>(lines: &mut Lines, names: &Names, events: impl Iterator<Item = &'a Value>) {
    for event in events {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let tally = |name: &str| event.get("tally").and_then(|tally| tally.get(name)).and_then(Value::as_str);
        let tally = |name: &str| tally(name).unwrap_or_default();
        let validator = || {
            let key = text("validator").parse::<PublicKey>();
            key.map_or_else(|_| text("validator"), |key| names.validator(&key))
        };
        match text("type").as_str() {
            "proposal_opened" => lines.pair("  proposal", text("proposal")),
            "council_voted" => {
                let (yes, no, council) = (tally("yes"), tally("no"), tally("council"));
                lines.pair("  votes", format_args!("{yes} for, {no} against, of {council}"));
            }
            "proposal_ended" => {
                let status = event.get("status").and_then(|status| status.get("kind")).and_then(Value::as_str);
                lines.pair("  decided", format_args!("proposal {} {}", text("proposal"), status.unwrap_or_default()));
            }
            "validator_declared_ready" => lines.pair("  ready", "joins the validators at the end of an epoch"),
            "equivocation_proven" => lines.pair("  convicted", validator()),
            _ => {}
        }
    }
}
