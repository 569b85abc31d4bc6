//! `chain`: the person's tool. Parses the command line, runs one command, reports its error on one line.

mod app;
mod commands;
mod error;
mod keys;
mod market;
mod market_told;
mod node;
mod output;
mod send;
mod verify;
mod wait;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use app::{App, NodeArgs};
use commands::{
    account, anchor, asset, authority, balance, block, dispute, earnings, evidence, history, host, job,
    keys as key_commands, market as market_commands, model, offer, proof, provider, receipt, stake, status,
    store::KeystoreArgs, supply, transfer, tx, watch,
};
use error::{Answer, CliError};

/// Keys, transfers, queries and proofs
#[derive(Debug, Parser)]
#[command(name = "chain", version)]
struct Cli {
    /// Print results as one JSON document
    #[arg(long, global = true, help_heading = "Node and keys")]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    store: KeystoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, import, list, show and export keys
    Keys(key_commands::KeysArgs),
    /// Show what an account holds
    Balance(balance::BalanceArgs),
    /// Send money and wait for its block
    Transfer(transfer::TransferArgs),
    /// Destroy money of one's own
    Burn(transfer::BurnArgs),
    /// Show a transaction, or wait for it
    Tx(tx::TxArgs),
    /// Show an account's transactions, newest first
    History(history::HistoryArgs),
    /// Show a final block
    Block(block::BlockArgs),
    /// Show the newest final block in short
    Head,
    /// Fetch a proof, or check one offline
    Proof(proof::ProofArgs),
    /// Follow blocks, transactions or the consensus
    Watch(watch::WatchArgs),
    /// Show an account, change who signs for it and what it requires
    Account(account::AccountArgs),
    /// List, create and mint assets
    Asset(asset::AssetArgs),
    /// Say on the chain that a document exists, by its hash
    Anchor(anchor::AnchorArgs),
    /// Who validates and by which rules: ask the council, vote, look
    Authority(authority::AuthorityArgs),
    /// Stake: bond, delegate, unbond, rewards, commission
    Stake(stake::StakeArgs),
    /// Models: list, curate, propose, vote
    Model(model::ModelArgs),
    /// Providers: register, bond, list, show
    Provider(provider::ProviderArgs),
    /// Offers of providers: publish, withdraw, list
    Offer(offer::OfferArgs),
    /// Jobs: open, post, bid, top up, complete, hand over, list, watch
    Job(job::JobArgs),
    /// Disputes: open, respond, vote, list, show
    Dispute(dispute::DisputeArgs),
    /// Receipts of work: submit, show, list
    Receipt(receipt::ReceiptArgs),
    /// What jobs have paid: show, withdraw
    Earnings(earnings::EarningsArgs),
    /// The market: terms, deposits, pause, treasury
    Market(market_commands::MarketArgs),
    /// Register a host as provider on a chain, or on all that are configured; key from HOST_PRIVATE_KEY
    RegisterNode(host::RegisterArgs),
    /// Show a host's registration on a chain, or on all; exit code 1 if it is missing on any
    RegistrationStatus(host::StatusArgs),
    /// Change a host's registration on a chain, or on all
    UpdateRegistration(host::UpdateArgs),
    /// Show or submit evidence against a validator
    Evidence(evidence::EvidenceArgs),
    /// Show what exists of every asset (reads the node's whole state)
    Supply,
    /// Show whether the node can be relied on; exit code 1 if not
    Status,
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let Cli { json, node, store, command } = Cli::parse();
    let app = App { json, store, node };
    match run(&app, &command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(document) = error.document().filter(|_| json) {
                // If the document can't be written, the line below still says what happened.
                let _ = output::print_document(&document);
            }
            eprintln!("error: {error}");
            error.exit_code().into()
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(app: &App, command: &Command) -> Answer<()> {
    match command {
        Command::Keys(args) => key_commands::run(args, &app.store, app.json).map_err(CliError::from),
        Command::Balance(args) => balance::run(app, args).await,
        Command::Transfer(args) => transfer::run(app, args).await,
        Command::Burn(args) => transfer::burn(app, args).await,
        Command::Tx(args) => tx::run(app, args).await,
        Command::History(args) => history::run(app, args).await,
        Command::Block(args) => block::run(app, args).await,
        Command::Head => block::head(app).await,
        Command::Proof(args) => proof::run(app, args).await,
        Command::Watch(args) => watch::run(app, args).await,
        Command::Account(args) => account::run(app, args).await,
        Command::Asset(args) => asset::run(app, args).await,
        Command::Anchor(args) => anchor::run(app, args).await,
        Command::Authority(args) => authority::run(app, args).await,
        Command::Stake(args) => stake::run(app, args).await,
        Command::Model(args) => model::run(app, args).await,
        Command::Provider(args) => provider::run(app, args).await,
        Command::Offer(args) => offer::run(app, args).await,
        Command::Job(args) => job::run(app, args).await,
        Command::Dispute(args) => dispute::run(app, args).await,
        Command::Receipt(args) => receipt::run(app, args).await,
        Command::Earnings(args) => earnings::run(app, args).await,
        Command::Market(args) => market_commands::run(app, args).await,
        Command::RegisterNode(args) => host::register(app, args).await,
        Command::RegistrationStatus(args) => host::status(app, args).await,
        Command::UpdateRegistration(args) => host::update(app, args).await,
        Command::Evidence(args) => evidence::run(app, args).await,
        Command::Supply => supply::run(app).await,
        Command::Status => status::run(app).await,
        Command::Completions { shell } => {
            // The generator panics where it can't write.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "chain", &mut script);
            Ok(std::io::stdout().lock().write_all(&script)?)
        }
    }
}

#[cfg(test)]
#[path = "main_tests.rs"]
mod tests;
