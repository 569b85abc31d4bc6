//! `chain receipt`: metered work, claimed by the provider or its operator.
//!
//! Not here: what a job is (`job`), the rules (chain-core).

use std::path::PathBuf;

use chain_core::{
    crypto::Hash,
    tx::{
        Action,
        receipt::{Action as Claim, Receipt, WorkOutcome},
    },
    types::JobId,
};
use chain_rpc::view::{JobSort, ReceiptParams, ReceiptView, ReceiptsParams, U64, rfc3339};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    dispute::read_ack,
    receipt_make::{self, AckArgs, SignArgs},
    receipt_verify::{self, VerifyArgs},
};
use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Paging, more},
    node::Node,
    output::Lines,
    send::{SendArgs, send},
};

/// Arguments of `chain receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    #[command(subcommand)]
    action: ReceiptAction,
}

#[derive(Debug, Subcommand)]
enum ReceiptAction {
    /// Write the next receipt of a job to a file, to be submitted later
    Sign(SignArgs),
    /// Acknowledge work as a job's payer: a signed word for its provider
    Ack(AckArgs),
    /// Check a receipt without any node; exit code 0 only if everything asked for holds
    Verify(VerifyArgs),
    /// Claim work with a receipt out of a JSON file; with --ack redeem an acknowledgement
    Submit {
        /// The file
        file: PathBuf,
        /// A JSON file with the payer's acknowledgement: what it says is paid at once
        #[arg(long, value_name = "FILE")]
        ack: Option<PathBuf>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Show an accepted receipt
    Show {
        /// Its hash, 0x…, or the number of its job
        #[arg(value_name = "HASH|JOB")]
        which: String,
        /// With a job: its number there, from 1
        #[arg(long)]
        seq: Option<u64>,
        /// With a job: in which leg of it
        #[arg(long, default_value_t = 0)]
        leg: u32,
    },
    /// List the accepted receipts of a job, the newest first
    List {
        /// The job's number
        job: u64,
        /// The oldest first
        #[arg(long)]
        oldest: bool,
        #[command(flatten)]
        paging: Paging,
    },
}

/// Runs `chain receipt …`.
pub async fn run(app: &App, args: &ReceiptArgs) -> Answer<()> {
    match &args.action {
        ReceiptAction::Sign(args) => receipt_make::sign(app, args).await,
        ReceiptAction::Ack(args) => receipt_make::ack(app, args).await,
        ReceiptAction::Verify(args) => receipt_verify::run(app, args),
        ReceiptAction::Submit { file, ack, send: args } => {
            let bad = |why: &dyn std::fmt::Display| CliError::Usage(format!("{}: {why}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
            let receipt: Receipt = serde_json::from_str(&text).map_err(|error| bad(&error))?;
            let ack = ack.as_ref().map(read_ack).transpose()?;
            let node = app.connect().await?;
            send(app, &node, args, |_| Ok(vec![Action::Receipt(Claim::ReceiptSubmit { receipt, ack })])).await
        }
        ReceiptAction::Show { which, seq, leg } => {
            let asked = asked(which, *seq, *leg)?;
            let view = app.connect().await?.client.get_receipt(&asked).await?;
            let by = app.names().with(&view.by);
            app.print(&view, |lines| show(lines, &view, &by))
        }
        ReceiptAction::List { job, oldest, paging } => {
            list(app, &app.connect().await?, JobId::new(*job), *oldest, paging).await
        }
    }
}

fn asked(which: &str, seq: Option<u64>, leg: u32) -> Answer<ReceiptParams> {
    if which.starts_with("0x") {
        let hash: Hash = which.parse().map_err(|error| CliError::Usage(format!("{which}: {error}")))?;
        return Ok(ReceiptParams { receipt: Some(hash), ..ReceiptParams::default() });
    }
    let job = which.parse().map_err(|_| CliError::Usage(format!("'{which}' is neither a hash (0x…) nor a number")))?;
    let seq = seq.ok_or_else(|| CliError::Usage("which receipt of the job? --seq says it".into()))?;
    Ok(ReceiptParams { receipt: None, job: Some(JobId::new(job)), leg, seq: Some(U64(seq)) })
}

fn outcome(outcome: &WorkOutcome) -> String {
    match outcome {
        WorkOutcome::Ok {} => "ok".into(),
        WorkOutcome::Failed { code } => format!("failed ({code})"),
    }
}

fn show(lines: &mut Lines, view: &ReceiptView, by: &str) {
    let Receipt { job, leg, seq, previous, cumulative_units, unit_kind, model, .. } = &view.receipt;
    lines.line(format_args!("receipt {seq} of job {job}, leg {leg}: {}", outcome(&view.outcome)));
    lines.pair("  hash", view.hash);
    lines.pair("  previous", previous);
    lines.pair("  units", format_args!("{} {unit_kind} more, {cumulative_units} so far", view.added));
    if let Some(acknowledged) = view.acknowledged {
        let (paid, gross, asset) = (view.paid, view.payment.gross, view.asset);
        lines.pair("  acknowledged", format_args!("{acknowledged} units: {gross} base units of asset {asset} paid"));
        lines.pair("  paid", format_args!("{paid} units of the leg by then"));
    }
    lines.pair("  model", model);
    lines.pair("  input", view.receipt.input_hash);
    lines.pair("  output", view.receipt.output_hash);
    lines.pair("  work", format_args!("{} to {}", rfc3339(view.receipt.started), rfc3339(view.receipt.finished)));
    if !view.receipt.content_ref.is_empty() {
        lines.pair("  content", &*view.receipt.content_ref);
    }
    lines.pair("  by", by);
    lines.pair("  block", format_args!("{}, {}", view.height, rfc3339(view.timestamp)));
    lines.pair("  tx", view.tx_id);
}

async fn list(app: &App, node: &Node, job: JobId, oldest: bool, paging: &Paging) -> Answer<()> {
    let sort = oldest.then_some(JobSort::Oldest);
    let read = paging.read(async |cursor, limit| {
        let page = node.client.get_receipts(&ReceiptsParams { job, sort, cursor, limit: Some(limit) }).await?;
        Ok((page.receipts, page.next))
    });
    let (receipts, next) = read.await?;
    let row = |one: &ReceiptView| {
        let Receipt { leg, seq, cumulative_units, .. } = &one.receipt;
        let place = format!("{leg}.{seq}");
        let units = [one.added.to_string(), cumulative_units.to_string()];
        let rest = [outcome(&one.outcome), one.height.to_string(), one.hash.to_string()];
        [vec![place], units.to_vec(), rest.to_vec()].concat()
    };
    let rows: Vec<_> = receipts.iter().map(row).collect();
    app.print(&json!({ "job": job, "receipts": receipts, "next": next }), |lines| {
        lines.table(&["leg.seq", "units", "so far", "outcome", "block", "hash"], &rows);
        more(lines, next.as_ref());
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_named_by_hash_or_by_job_and_number() {
        let hash = format!("0x{}", "5".repeat(64));
        assert_eq!(asked(&hash, None, 0).unwrap().receipt.map(|hash| hash.to_string()), Some(hash));
        let place = asked("7", Some(3), 1).unwrap();
        assert_eq!((place.job, place.leg, place.seq), (Some(JobId::new(7)), 1, Some(U64(3))));
        for (which, seq) in [("7", None), ("x", Some(1)), ("0x5", Some(1))] {
            assert!(matches!(asked(which, seq, 0), Err(CliError::Usage(_))), "{which}");
        }
    }
}
