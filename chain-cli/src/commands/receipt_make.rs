//! `chain receipt sign` and `chain receipt ack`: the next receipt of a job, and the payer's word for work; into files,
//! from what a node says of the job or, without one, from what is said here.
//!
//! A receipt carries no signature of its own: the transaction that submits it is signed.
//! Not here: submitting (`receipt`), the rules (chain-market, chain-core).

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use chain_core::{
    codec::Text,
    crypto::Hash,
    limits::MAX_CONTENT_REF_BYTES,
    state::market::job::Mode,
    tx::receipt::{Receipt, WorkOutcome},
    types::{ChainId, JobId, ModelId, TimestampMs, Units},
};
use chain_market::{
    acks::{AckError, Acknowledger, Delivery, LegTerms},
    receipts::{Head, ReceiptError, Work, from_json, to_json},
};
use chain_rpc::view::JobView;
use clap::Args;
use serde_json::json;

use crate::{
    app::App,
    error::{Answer, CliError},
    market::{Unit, text},
    node::Node,
};

/// Arguments of `chain receipt sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The job's number
    job: u64,
    /// Units of this work alone
    #[arg(long, default_value_t = 0)]
    units: u64,
    /// Hash of what went in, 0x…
    #[arg(long, value_name = "HASH")]
    input: Hash,
    /// Hash of what came out, 0x…
    #[arg(long, value_name = "HASH")]
    output: Hash,
    /// When the work was started, in ms since 1970
    #[arg(long, value_name = "MS")]
    started: u64,
    /// When it was finished, in ms since 1970 [default: now]
    #[arg(long, value_name = "MS")]
    finished: Option<u64>,
    /// The work failed, with this code of the provider's own
    #[arg(long, value_name = "CODE", conflicts_with = "units")]
    failed: Option<u16>,
    /// Where more about it is kept
    #[arg(long, value_name = "TEXT", default_value = "")]
    content: String,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where a receipt stands, if no node is asked.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// Ask no node: it follows the receipt in this file; needs --chain-id
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    after: Option<PathBuf>,
    /// Ask no node: the job's model, 0x…; needs --chain-id
    #[arg(long, value_name = "ID", requires = "unit")]
    model: Option<ModelId>,
    /// With --model: what is metered
    #[arg(long, value_enum, requires = "model")]
    unit: Option<Unit>,
    /// With --model: the leg
    #[arg(long, default_value_t = 0, requires = "model")]
    leg: u32,
    /// With --model: the number of the last receipt of the leg; 0: none
    #[arg(long, value_name = "SEQ", default_value_t = 0, requires = "model")]
    seq: u64,
    /// With --model: its hash
    #[arg(long, value_name = "HASH", requires = "model")]
    previous: Option<Hash>,
    /// With --model: all units so far
    #[arg(long, value_name = "UNITS", default_value_t = 0, requires = "model")]
    so_far: u64,
}

/// Arguments of `chain receipt ack`.
#[derive(Debug, Args)]
pub struct AckArgs {
    /// The job's number
    job: u64,
    /// All units of the leg that are acknowledged
    #[arg(long)]
    units: u64,
    /// All units of the leg that came; at most a quantum less [default: those acknowledged]
    #[arg(long, value_name = "UNITS")]
    received: Option<u64>,
    /// The key that signs: the job's acknowledgement key, by name
    #[arg(long, value_name = "NAME")]
    key: String,
    /// Ask no node: who works; needs --chain-id
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: Option<String>,
    /// With --provider: the leg
    #[arg(long, default_value_t = 0, requires = "provider")]
    leg: u32,
    /// With --provider: the most units that may be acknowledged beyond those that came
    #[arg(long, value_name = "UNITS", default_value_t = 0, requires = "provider")]
    quantum: u64,
    /// Write the acknowledgement to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where it is remembered what was acknowledged [default: acks beside the keystore's directory]
    #[arg(long, value_name = "DIR", env = "CHAIN_ACKS")]
    acks: Option<PathBuf>,
}

impl From<ReceiptError> for CliError {
    fn from(error: ReceiptError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<AckError> for CliError {
    fn from(error: AckError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs `chain receipt sign`.
pub async fn sign(app: &App, args: &SignArgs) -> Answer<()> {
    let work = work(args)?;
    let (chain, head) = match offline_head(app, args)? {
        Some(known) => known,
        None => {
            let node = app.connect().await?;
            (node.chain, head_of(&job(&node, args.job).await?))
        }
    };
    let receipt = head.next(&chain, work)?;
    write(&args.out, &to_json(&receipt)?)?;
    let (file, hash) = (args.out.display(), receipt.hash(&chain));
    app.print(&json!({ "file": args.out, "hash": hash, "chain_id": chain, "receipt": receipt }), |lines| {
        let Receipt { job, leg, seq, cumulative_units, unit_kind, .. } = &receipt;
        lines.line(format_args!("wrote {file}: receipt {seq} of job {job}, leg {leg}"));
        lines.pair("  hash", hash);
        lines.pair("  units", format_args!("{cumulative_units} {unit_kind} so far"));
        lines.line(format_args!("claim it: chain receipt submit {file} --from PROVIDER"));
    })
}

/// Runs `chain receipt ack`.
pub async fn ack(app: &App, args: &AckArgs) -> Answer<()> {
    let (chain, terms) = match &args.provider {
        Some(provider) => (pinned(app)?, offline_terms(app, args, provider)?),
        None => {
            let node = app.connect().await?;
            (node.chain, terms_of(&job(&node, args.job).await?)?)
        }
    };
    let directory = match &args.acks {
        Some(directory) => directory.clone(),
        None => {
            let keys = app.store.keystore()?;
            keys.directory().parent().unwrap_or(Path::new(".")).join("acks")
        }
    };
    // One directory per chain: job 7 is another one elsewhere.
    let mut memory = Acknowledger::open(&directory.join(chain.to_string()), chain).map_err(AckError::from)?;
    let said =
        Delivery { received: Units::new(args.received.unwrap_or(args.units)), acknowledged: Units::new(args.units) };
    let key = app.signer(&args.key)?.seed().secret_key();
    let ack = memory.acknowledge(&terms, said, &key)?;
    let text = serde_json::to_string(&ack).map_err(std::io::Error::from)? + "\n";
    if let Some(file) = &args.out {
        write(file, &text)?;
    }
    app.print(&json!({ "chain_id": chain, "ack": ack, "file": args.out }), |lines| {
        let LegTerms { job, leg, provider, .. } = terms;
        let by = app.names().with(&provider);
        lines.line(format_args!("acknowledged {} units of job {job}, leg {leg}, for {by}", said.acknowledged));
        match &args.out {
            Some(file) => lines.line(format_args!("wrote {}", file.display())),
            None => lines.line(text.trim_end()),
        }
    })
}

/// Reads the file of a receipt.
pub fn read_receipt(path: &Path) -> Answer<Receipt> {
    let bytes = read(path)?;
    from_json(&bytes).map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

/// Reads a file of a receipt of any version.
pub fn read(path: &Path) -> Answer<Vec<u8>> {
    let bad = |why: String| CliError::Usage(format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if length > chain_market::legacy::MAX_BYTES as u64 {
        return Err(bad(format!("{length} bytes are too long for a receipt")));
    }
    fs::read(path).map_err(|error| bad(error.to_string()))
}

fn write(path: &Path, text: &str) -> Answer<()> {
    fs::write(path, text).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))
}

/// The chain that was named, as no node says it.
fn pinned(app: &App) -> Answer<ChainId> {
    app.node.chain_id.ok_or_else(|| CliError::Usage("without a node --chain-id says which chain it is for".into()))
}

async fn job(node: &Node, number: u64) -> Answer<JobView> {
    let answer = node.client.get_job(JobId::new(number)).await?;
    answer.job.begun().ok_or_else(|| CliError::Failed(format!("job {number} waits for bids: nobody works in it")))
}

fn head_of(job: &JobView) -> Head {
    let new = Head::new(job.job, job.leg, job.unit_kind, job.model);
    Head { seq: job.meter.seq.0, hash: job.meter.head, units: job.meter.used, ..new }
}

fn terms_of(job: &JobView) -> Answer<LegTerms> {
    let Mode::ClientAcks { quantum, ack_key } = job.mode else {
        return Err(CliError::Failed(format!("in job {} the provider claims; nothing is acknowledged", job.job)));
    };
    Ok(LegTerms { job: job.job, leg: job.leg, provider: job.provider, ack_key, quantum })
}

fn offline_terms(app: &App, args: &AckArgs, provider: &str) -> Answer<LegTerms> {
    Ok(LegTerms {
        job: JobId::new(args.job),
        leg: args.leg,
        provider: app.address(provider)?,
        ack_key: app.public_key(&args.key)?,
        quantum: Units::new(args.quantum),
    })
}

fn offline_head(app: &App, args: &SignArgs) -> Answer<Option<(ChainId, Head)>> {
    let (job, place) = (JobId::new(args.job), &args.place);
    if let Some(file) = &place.after {
        let (chain, last) = (pinned(app)?, read_receipt(file)?);
        if last.job != job {
            return Err(CliError::Usage(format!("{} is of job {}", file.display(), last.job)));
        }
        return Ok(Some((chain, Head::after(&chain, &last))));
    }
    let (Some(model), Some(unit)) = (place.model, place.unit) else { return Ok(None) };
    let hash = place.previous.unwrap_or(Hash::ZERO);
    if (place.seq == 0) != (hash == Hash::ZERO) {
        return Err(CliError::Usage("--seq and --previous are of one receipt: both, or neither".into()));
    }
    let new = Head::new(job, place.leg, unit.into(), model);
    Ok(Some((pinned(app)?, Head { seq: place.seq, hash, units: Units::new(place.so_far), ..new })))
}

fn work(args: &SignArgs) -> Answer<Work> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis());
    let finished = match args.finished {
        Some(finished) => finished,
        None => now().ok().and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
            CliError::Failed("this machine's clock is before 1970: --finished says when it was".into())
        })?,
    };
    let content_ref: Text<MAX_CONTENT_REF_BYTES> = text("--content", &args.content)?;
    Ok(Work {
        units: Units::new(args.units),
        input_hash: args.input,
        output_hash: args.output,
        started: TimestampMs::new(args.started),
        finished: TimestampMs::new(finished),
        outcome: args.failed.map_or(WorkOutcome::Ok {}, |code| WorkOutcome::Failed { code }),
        content_ref,
    })
}

#[cfg(test)]
#[path = "receipt_make_tests.rs"]
mod tests;
