//! `chain receipt verify`: what of a receipt holds without asking any node, and what was not looked at.
//!
//! ```text
//! chain spec ─▶ proof ─▶ event: accepted, or its leg settled      acknowledgement ─▶ signature, leg, units
//!                                     └──────────▶ receipt ◀───────────┘
//! ```
//!
//! Everything that is asked for has to hold; the first that does not is the answer, named as in `chain proof verify`.
//! Not here: proofs (`verify`), the form of receipts (chain-market).

use std::path::{Path, PathBuf};

use chain_core::{
    codec,
    crypto::{Hash, PublicKey},
    genesis::Genesis,
    state::market::settle::{Cause, Cost},
    tx::{
        Event,
        job::Event as JobEvent,
        receipt::{Event as ReceiptEvent, Receipt},
    },
    types::{Ack, Address, ChainId, Height, JobId, ModelId, UnitKind, Units},
};
use chain_market::{
    acks::LegTerms,
    legacy,
    receipts::{Head, check_ack, check_form},
};
use chain_rpc::view::ProofView;
use clap::Args;
use serde::Serialize;

use super::{
    dispute::read_ack,
    proof::{File, read_genesis, read_proof},
    receipt_make::{read, read_receipt},
};
use crate::{
    app::App,
    error::{Answer, CliError},
    output::Lines,
    verify::{Beside, Subject, verify},
};

/// Arguments of `chain receipt verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The receipt's file
    file: PathBuf,
    /// It is a JSON receipt of version 1
    #[arg(long, conflicts_with_all = ["hash", "after", "ack", "proof"])]
    legacy: bool,
    /// With --legacy: fail unless this key signed it (0x… or a name)
    #[arg(long, value_name = "KEY", requires = "legacy")]
    signer: Option<String>,
    /// Fail unless this is its hash
    #[arg(long, value_name = "HASH")]
    hash: Option<Hash>,
    /// Fail unless it is the next after the receipt in this file
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// Fail unless the acknowledgement in this file holds, and is of its leg
    #[arg(long, value_name = "FILE")]
    ack: Option<PathBuf>,
    /// With --ack: fail unless this key signed it (0x… or a name)
    #[arg(long, value_name = "KEY", requires = "ack")]
    ack_key: Option<String>,
    /// Fail unless this file, which `proof get` wrote, proves that it was accepted, or that its leg was settled
    #[arg(long, value_name = "FILE", requires = "genesis")]
    proof: Option<PathBuf>,
    /// The chain spec (genesis.json or genesis.toml); without a proof --chain-id is enough
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The receipt's hash; one of version 1 has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
    /// What holds.
    verified: Vec<String>,
    /// What was not looked at, and could be false.
    not_verified: Vec<String>,
    /// What the chain did with it, if that was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    settlement: Option<Found>,
}

/// What a proven event says of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Found {
    /// The chain took this very receipt.
    Accepted {
        height: Height,
        provider: Address,
        payer: Address,
        added: Units,
        acknowledged: Option<Units>,
        paid_units: Units,
        payment: Cost,
    },
    /// Its leg is over and paid.
    Settled { height: Height, provider: Address, payer: Address, cause: Cause, used: Units, paid: Cost },
}

impl Found {
    /// Who worked.
    fn provider(&self) -> Address {
        match self {
            Self::Accepted { provider, .. } | Self::Settled { provider, .. } => *provider,
        }
    }
}

/// Runs `chain receipt verify`.
pub fn run(app: &App, args: &VerifyArgs) -> Answer<()> {
    let report = if args.legacy { check_legacy(app, args)? } else { check(app, args)? };
    app.print(&report, |lines| show(lines, &report))
}

fn fails<T>(step: &'static str, why: impl ToString) -> Answer<T> {
    Err(CliError::Unproven { step, why: why.to_string() })
}

fn holds<T>(step: &'static str, result: Result<T, impl ToString>) -> Answer<T> {
    result.or_else(|error| fails(step, error))
}

fn check_legacy(app: &App, args: &VerifyArgs) -> Answer<Report> {
    let found = holds("legacy", legacy::verify(&read(&args.file)?))?;
    let mut report = Report::default();
    report.verified.push(format!("signature of {} over {} bytes", found.key, found.signed.len()));
    report.verified.extend(found.attested_by.iter().map(|key| format!("attestation of {key}")));
    match &args.signer {
        Some(signer) => {
            let expected = app.public_key(signer)?;
            if found.key != expected {
                return fails("signer", format_args!("the key is {}, expected {expected}", found.key));
            }
            report.verified.push("the signer is the one that was named".into());
        }
        None => report.not_verified.push("whose key this is (--signer)".into()),
    }
    report.not_verified.push("that the work was done; receipts of version 1 have no place on the chain".into());
    Ok(report)
}

fn check(app: &App, args: &VerifyArgs) -> Answer<Report> {
    let receipt = read_receipt(&args.file)?;
    let (chain, found) = chain_and_settlement(app, args, &receipt)?;
    let mut report = Report { settlement: found, ..Report::default() };
    holds("form", check_form(&chain, &receipt))?;
    report.verified.push("form: version 2, times in order".into());
    check_hash(args.hash, receipt.hash(&chain), &mut report)?;
    check_place(args.after.as_deref(), &chain, &receipt, &mut report)?;
    let ack = args.ack.as_ref().map(read_ack).transpose()?;
    let key = args.ack_key.as_ref().map(|key| app.public_key(key)).transpose()?;
    check_acknowledgement(ack.as_ref(), key, &chain, &receipt, &mut report)?;
    tell_settlement(&mut report);
    report.not_verified.push("that the work was done, and what its hashes are of".into());
    Ok(report)
}

/// The chain that was named, and what is proven on it about the receipt.
fn chain_and_settlement(app: &App, args: &VerifyArgs, receipt: &Receipt) -> Answer<(ChainId, Option<Found>)> {
    let Some(spec) = &args.genesis else {
        let why = "a receipt is of one chain: --chain-id or --genesis says which";
        return Ok((app.node.chain_id.ok_or_else(|| CliError::Usage(why.into()))?, None));
    };
    let genesis = read_genesis(spec)?;
    let chain = genesis.chain_id();
    if app.node.chain_id.is_some_and(|pinned| pinned != chain) {
        return fails("genesis", format_args!("{} is of the chain {chain}", spec.display()));
    }
    let Some(path) = &args.proof else { return Ok((chain, None)) };
    prove(&genesis, &read_proof(path)?, receipt).map(|found| (chain, Some(found)))
}

/// What a proof file proves about a receipt, trusting the chain spec alone.
fn prove(genesis: &Genesis, file: &File, receipt: &Receipt) -> Answer<Found> {
    let File { proof, signed_tx, hops } = file;
    let beside = Beside { signed_tx: signed_tx.as_ref().map(|bytes| bytes.0.as_slice()), hops };
    let proven = verify(genesis, proof, beside, Subject::default())?;
    let events = match proof {
        ProofView::Outcome(outcome) => outcome.events.as_ref(),
        ProofView::Row(_) => None,
    };
    let Some(events) = events else {
        return fails(
            "events",
            "the file does not prove what happened: `chain proof get --tx` or --outcome writes one",
        );
    };
    // `verify` has compared their hash with the proven outcome.
    let events: Vec<Event> = holds("events", codec::decode(&events.0, events.0.len()))?;
    find(&events, receipt, &receipt.hash(&genesis.chain_id()), proven.height)
}

/// What events say of a receipt: that it was accepted, else that its leg is paid.
fn find(events: &[Event], receipt: &Receipt, hash: &Hash, height: Height) -> Answer<Found> {
    let accepted = events.iter().find_map(|event| match event {
        Event::Receipt(ReceiptEvent::ReceiptAccepted { hash: of, .. }) if of == hash => accepted(event, height),
        _ => None,
    });
    if let Some(found) = accepted {
        return Ok(found);
    }
    let mut ends = events.iter().filter_map(end_of_leg);
    let Some(end) = ends.find(|end| (end.job, end.leg) == (receipt.job, receipt.leg)) else {
        let (job, leg) = (receipt.job, receipt.leg);
        return fails("events", format_args!("they neither accept this receipt nor settle job {job}, leg {leg}"));
    };
    if (end.model, end.unit_kind) != (receipt.model, receipt.unit_kind) {
        return fails("settlement", "model or kind of units of the receipt are not the job's");
    }
    if receipt.cumulative_units > end.used {
        let (counts, used) = (receipt.cumulative_units, end.used);
        return fails("settlement", format_args!("the receipt counts {counts} units, {used} were settled"));
    }
    let End { provider, payer, cause, used, paid, .. } = end;
    Ok(Found::Settled { height, provider, payer, cause, used, paid })
}

fn accepted(event: &Event, height: Height) -> Option<Found> {
    let Event::Receipt(ReceiptEvent::ReceiptAccepted { provider, payer, added, acknowledged, paid, payment, .. }) =
        event
    else {
        return None;
    };
    let (provider, payer, added) = (*provider, *payer, *added);
    let (acknowledged, paid_units, payment) = (*acknowledged, *paid, *payment);
    Some(Found::Accepted { height, provider, payer, added, acknowledged, paid_units, payment })
}

/// The end of a leg, as events tell it.
struct End {
    job: JobId,
    leg: u32,
    model: ModelId,
    unit_kind: UnitKind,
    provider: Address,
    payer: Address,
    cause: Cause,
    used: Units,
    paid: Cost,
}

fn end_of_leg(event: &Event) -> Option<End> {
    let Event::Job(event) = event else { return None };
    let (job, leg, model, unit_kind, provider, payer, used, settlement, cause) = match event {
        JobEvent::JobSettled { job, leg, model, unit_kind, provider, payer, used, settlement, cause, .. } => {
            (job, leg, model, unit_kind, provider, payer, used, settlement, *cause)
        }
        JobEvent::JobHandedOver { job, leg, model, unit_kind, provider, payer, used, settlement, .. } => {
            (job, leg, model, unit_kind, provider, payer, used, settlement, Cause::HandedOver)
        }
        _ => return None,
    };
    let paid = Cost { gross: settlement.gross, fee: settlement.fee, provider: settlement.provider };
    let (job, leg, model, unit_kind) = (*job, *leg, *model, *unit_kind);
    Some(End { job, leg, model, unit_kind, provider: *provider, payer: *payer, cause, used: *used, paid })
}

fn check_hash(expected: Option<Hash>, hash: Hash, report: &mut Report) -> Answer<()> {
    report.hash = Some(hash);
    match expected {
        Some(expected) if expected != hash => fails("hash", format_args!("it is {hash}, expected {expected}")),
        Some(_) => {
            report.verified.push(format!("hash: {hash}"));
            Ok(())
        }
        // Computed here, compared with nothing.
        None => Ok(()),
    }
}

fn check_place(after: Option<&Path>, chain: &ChainId, receipt: &Receipt, report: &mut Report) -> Answer<()> {
    let first = Head::new(receipt.job, receipt.leg, receipt.unit_kind, receipt.model);
    let mut head = match after {
        Some(file) => Head::after(chain, &read_receipt(file)?),
        None if receipt.seq == 1 => first,
        None => {
            report.not_verified.push(format!("that it follows receipt {} (--after)", receipt.seq.saturating_sub(1)));
            return Ok(());
        }
    };
    holds("place", head.follow(chain, receipt))?;
    report.verified.push(match after {
        Some(file) => format!("place: it follows the receipt in {}", file.display()),
        None => "place: the first receipt of its leg".into(),
    });
    Ok(())
}

fn check_acknowledgement(
    ack: Option<&Ack>,
    key: Option<PublicKey>,
    chain: &ChainId,
    receipt: &Receipt,
    report: &mut Report,
) -> Answer<()> {
    let Some(ack) = ack else {
        report.not_verified.push("that the payer acknowledged it (--ack)".into());
        return Ok(());
    };
    let known = report.settlement.as_ref().map(Found::provider);
    let terms = LegTerms {
        job: receipt.job,
        leg: receipt.leg,
        provider: known.unwrap_or(ack.acknowledged.provider),
        ack_key: key.unwrap_or(ack.key),
        quantum: Units::ZERO,
    };
    let beyond = holds("acknowledgement", check_ack(chain, receipt, &terms, ack))?;
    let units = ack.acknowledged.cumulative_units;
    report.verified.push(format!("acknowledgement: {} signed for {units} units of this leg", ack.key));
    if !beyond.is_zero() {
        report
            .not_verified
            .push(format!("{beyond} units of the receipt beyond what is acknowledged: they are a claim"));
    }
    if key.is_none() {
        report.not_verified.push("that this key is the job's acknowledgement key (--ack-key)".into());
    }
    if known.is_none() {
        report.not_verified.push(format!("that {} works in this leg (--proof)", ack.acknowledged.provider));
    }
    Ok(())
}

fn tell_settlement(report: &mut Report) {
    let (verified, not_verified) = match &report.settlement {
        None => (None, Some("that the chain has taken it, and what it paid (--proof)")),
        Some(Found::Accepted { height, added, paid_units, payment, .. }) => (
            Some(format!(
                "accepted in block {height}: {added} units more, {paid_units} of its leg paid by then, {} base units \
                 with this receipt",
                payment.gross
            )),
            Some("how its leg was settled in the end: the proof of that is of another outcome"),
        ),
        Some(Found::Settled { height, used, paid, .. }) => (
            Some(format!(
                "its leg is settled in block {height}: {used} units, {} base units, {} of them the provider's",
                paid.gross, paid.provider
            )),
            Some("that the chain took this very receipt: the proof of that is of its own outcome"),
        ),
    };
    report.verified.extend(verified);
    report.not_verified.extend(not_verified.map(str::to_owned));
}

fn show(lines: &mut Lines, report: &Report) {
    if let Some(hash) = report.hash {
        lines.line(format_args!("receipt {hash}"));
    }
    lines.line("verified:");
    report.verified.iter().for_each(|what| lines.line(format_args!("  {what}")));
    lines.line("NOT verified:");
    report.not_verified.iter().for_each(|what| lines.line(format_args!("  {what}")));
}

#[cfg(test)]
#[path = "receipt_verify_tests.rs"]
mod tests;
