//! `chain evidence`: two signed words with which a validator contradicted itself. A node that finds some
//! keeps it in `evidence/` of its data directory and submits it if it can; anybody may.
//!
//! Not here: finding it (chain-node), what it does (chain-core).

use std::{fs, path::PathBuf};

use chain_core::{
    tx::{Action, authority::Action as Authority},
    types::Evidence,
};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    send::{SendArgs, send},
};

/// Arguments of `chain evidence`.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    #[command(subcommand)]
    action: EvidenceAction,
}

#[derive(Debug, Subcommand)]
enum EvidenceAction {
    /// Show what a file of evidence proves; asks no node
    Show {
        /// The file, as a node keeps it in evidence/ of its data directory
        file: PathBuf,
    },
    /// Prove to the chain that a validator contradicted itself
    Submit {
        /// The file, as a node keeps it in evidence/ of its data directory
        file: PathBuf,
        #[command(flatten)]
        send: SendArgs,
    },
}

/// Runs `chain evidence …`.
pub async fn run(app: &App, args: &EvidenceArgs) -> Answer<()> {
    match &args.action {
        EvidenceAction::Show { file } => {
            let evidence = read(file)?;
            let signer = evidence.signer();
            let proves =
                evidence.equivocation().map_err(|why| CliError::Failed(format!("it proves nothing: {why}")))?;
            app.print(&json!({ "validator": signer, "equivocation": proves, "evidence": evidence }), |lines| {
                lines.pair("validator", app.names().validator(&signer));
                lines.pair("shows", proves);
                lines.line("the signatures are checked when it is submitted");
            })
        }
        EvidenceAction::Submit { file, send: args } => {
            let evidence = read(file)?;
            let node = app.connect().await?;
            send(app, &node, args, |_| Ok(vec![Action::Authority(Authority::prove(evidence))])).await
        }
    }
}

fn read(path: &PathBuf) -> Answer<Evidence> {
    let bad = |error: &dyn std::fmt::Display| CliError::Failed(format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(|error| bad(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(&format!("this is no evidence: {error}")))
}
