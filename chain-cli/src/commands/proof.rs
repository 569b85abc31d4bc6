//! `chain proof`: fetches a proof into a file, and checks one offline against a chain spec.
//!
//! Not here: what makes a proof hold (`verify`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use chain_core::{
    codec,
    genesis::Genesis,
    state::Authority,
    types::{Address, AssetId, Height, TxId},
};
use chain_rpc::view::{Bytes, ProofParams, ProofView, SetChangeView, rfc3339};
use clap::{ArgGroup, Args, Subcommand};
use genesis::ChainSpec;
use serde_json::{Value, json};

use super::tx::outcome_text;
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    node::Node,
    output::{Lines, money},
    verify::{Beside, Fact, Proven, Subject, verify},
};

/// Longest proof file, in bytes: certificates of 256 validators in JSON for thousands of changes of the set.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// The field that `get` adds to an outcome's proof: the transaction's complete bytes.
const SIGNED_TX: &str = "signed_tx";

/// The field that `get` adds: every change of the validator set below the proof's block.
const HOPS: &str = "set_changes";

/// A proof as its file holds it.
#[derive(Debug)]
pub struct File {
    /// The proof.
    pub proof: ProofView,
    /// The complete bytes of the transaction whose outcome is proven.
    pub signed_tx: Option<Bytes>,
    /// Every change of the validator set below the proof's block, oldest first.
    pub hops: Vec<SetChangeView>,
}

/// Arguments of `chain proof`.
#[derive(Debug, Args)]
pub struct ProofArgs {
    #[command(subcommand)]
    action: ProofAction,
}

#[derive(Debug, Subcommand)]
enum ProofAction {
    /// Write the newest proof of an account, a balance or a transaction's outcome to a file
    Get(GetArgs),
    /// Check a proof without any node, trusting the chain spec alone; exit code 1 names the step that fails
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
struct GetArgs {
    /// The account: a name or an address
    #[arg(long, value_name = "NAME|ADDRESS", group = "what")]
    account: Option<String>,
    /// Its balance of this asset (symbol or number) instead of its whole row
    #[arg(long, requires = "account")]
    asset: Option<String>,
    /// The outcome of this final transaction
    #[arg(long, value_name = "ID", group = "what")]
    tx: Option<TxId>,
    /// The outcome at a place of a block, also of what the block did by itself: HEIGHT.INDEX
    #[arg(long, value_name = "HEIGHT.INDEX", group = "what", value_parser = place)]
    outcome: Option<(Height, u32)>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The file that `proof get` wrote
    file: PathBuf,
    /// The chain spec (genesis.json or genesis.toml) that says what the chain is
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Fail unless the proof is about this account: a name or an address
    #[arg(long, value_name = "NAME|ADDRESS")]
    account: Option<String>,
    /// Fail unless the proof is about this transaction
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    tx: Option<TxId>,
}

/// `HEIGHT.INDEX`.
fn place(text: &str) -> Result<(Height, u32), String> {
    let read = || text.split_once('.').and_then(|(height, index)| Some((height.parse().ok()?, index.parse().ok()?)));
    let (height, index) = read().ok_or_else(|| "write HEIGHT.INDEX, such as 120.3".to_owned())?;
    Ok((Height::new(height), index))
}

/// Runs `chain proof …`.
pub async fn run(app: &App, args: &ProofArgs) -> Answer<()> {
    match &args.action {
        ProofAction::Get(args) => get(app, args).await,
        ProofAction::Verify(args) => check(app, args),
    }
}

async fn get(app: &App, args: &GetArgs) -> Answer<()> {
    let address = args.account.as_ref().map(|text| app.address(text)).transpose()?;
    let node = app.connect().await?;
    let asset = match &args.asset {
        Some(text) => node.asset_meant(text).await?.0,
        None => AssetId::NATIVE,
    };
    let (height, index) = args.outcome.unzip();
    let proof = node
        .client
        .get_proof(&ProofParams { address, asset, tx_id: args.tx, height, index, ..ProofParams::default() })
        .await?;
    let mut document = serde_json::to_value(&proof).map_err(std::io::Error::from)?;
    if let (Some(id), Value::Object(fields)) = (args.tx, &mut document) {
        let signed = node.client.get_tx(id, false).await?.signed;
        let signed = signed.ok_or_else(|| CliError::Failed(format!("the node no longer has the bytes of {id}")))?;
        fields.insert(SIGNED_TX.into(), Bytes(codec::encode(&signed)).to_string().into());
    }
    let anchor = match &proof {
        ProofView::Row(row) => &row.anchor,
        ProofView::Outcome(outcome) => &outcome.anchor,
    };
    let (height, hash) = (anchor.header.height, anchor.hash);
    if let Value::Object(fields) = &mut document {
        let hops = hops(&node, height).await?;
        fields.insert(HOPS.into(), serde_json::to_value(hops).map_err(std::io::Error::from)?);
    }
    write(&args.out, &document)?;
    app.print(&json!({ "file": args.out, "height": height, "block": hash }), |lines| {
        let file = args.out.display();
        lines.line(format_args!("wrote {file}: the proof as of block {height}"));
        lines.line(format_args!("check it anywhere: chain proof verify {file} --genesis genesis.json"));
    })
}

/// The changes of the validator set below a block, oldest first.
async fn hops(node: &Node, below: Height) -> Answer<Vec<SetChangeView>> {
    let (mut hops, mut from) = (Vec::new(), Some(Height::ZERO));
    while let Some(first) = from.filter(|first| *first < below) {
        let page = node.client.get_set_changes(first, None).await?;
        hops.extend(page.changes);
        // A node that sends us round in circles is not followed.
        from = page.next.filter(|next| *next > first);
    }
    hops.retain(|hop: &SetChangeView| hop.header.height < below);
    Ok(hops)
}

fn write(path: &Path, document: &Value) -> Answer<()> {
    let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)? + "\n";
    fs::write(path, text).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))
}

fn check(app: &App, args: &VerifyArgs) -> Answer<()> {
    let account = args.account.as_ref().map(|text| app.address(text)).transpose()?;
    let File { proof, signed_tx, hops } = read_proof(&args.file)?;
    let genesis = read_genesis(&args.genesis)?;
    let beside = Beside { signed_tx: signed_tx.as_ref().map(|bytes| bytes.0.as_slice()), hops: &hops };
    let proven = verify(&genesis, &proof, beside, Subject { account, tx_id: args.tx })?;
    app.print(&proven, |lines| show(lines, app, &genesis, &proven))
}

/// The proof in a file, and what stands beside it.
pub fn read_proof(path: &Path) -> Answer<File> {
    let fails = |why: String| CliError::Unproven { step: "file", why: format!("{}: {why}", path.display()) };
    let length = fs::metadata(path).map_err(|error| fails(error.to_string()))?.len();
    if length > MAX_FILE_BYTES {
        return Err(fails(format!("{length} bytes are too long for a proof")));
    }
    let bytes = fs::read(path).map_err(|error| fails(error.to_string()))?;
    parse_proof(&bytes).map_err(|error| fails(format!("not a proof: {error}")))
}

fn parse_proof(bytes: &[u8]) -> Result<File, serde_json::Error> {
    let mut document: Value = serde_json::from_slice(bytes)?;
    let mut take = |name| document.as_object_mut().and_then(|fields| fields.remove(name));
    let (signed, hops) = (take(SIGNED_TX), take(HOPS));
    let hops = hops.map(serde_json::from_value).transpose()?.unwrap_or_default();
    let signed_tx = signed.map(serde_json::from_value).transpose()?;
    Ok(File { proof: serde_json::from_value(document)?, signed_tx, hops })
}

/// Reads a chain spec.
pub fn read_genesis(path: &Path) -> Answer<Genesis> {
    let fails = |why: String| CliError::Unproven { step: "genesis", why };
    let spec = ChainSpec::load(path).map_err(|error| fails(error.to_string()))?;
    spec.compile().map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        fails(format!("{}: {}", path.display(), problems.join("; ")))
    })
}

fn show(lines: &mut Lines, app: &App, genesis: &Genesis, proven: &Proven) {
    let names = app.names();
    lines.line("proven, trusting the chain spec alone:");
    match &proven.fact {
        Fact::Account { address, present, account } => {
            lines.pair("  account", names.with(address));
            lines.pair("  row", if *present { "present" } else { "absent: never used, or empty" });
            lines.pair("  balance", amount(genesis, AssetId::NATIVE, account.balance));
            lines.pair("  nonce", account.nonce);
            lines.pair("  signs", authority_text(&names, &account.authority));
        }
        Fact::Balance { address, asset, balance } => {
            lines.pair("  account", names.with(address));
            lines.pair("  balance", amount(genesis, *asset, *balance));
        }
        Fact::Asset { asset, registered } => {
            lines.pair("  asset", asset);
            lines.pair("  symbol", registered.as_ref().map_or("not registered", |asset| &asset.symbol));
        }
        Fact::Row { key, value } => {
            lines.pair("  row", hex::encode(key.as_bytes()));
            lines.pair("  value", value.as_deref().unwrap_or("absent"));
        }
        Fact::Outcome { wire_id, transaction, index, outcome, events } => {
            match transaction {
                Some(transaction) => {
                    lines.pair("  tx", transaction.tx_id);
                    lines.pair("  from", names.with(&transaction.sender));
                    let tokens = |id| genesis_token(genesis, id);
                    for action in &transaction.actions {
                        lines.pair("  action", names.replace(&action.rules().text(&tokens)));
                    }
                }
                None => lines.pair("  of", wire_id),
            }
            lines.pair("  place", index);
            lines.pair("  outcome", outcome_text(outcome));
            lines.pair("  fee", amount(genesis, AssetId::NATIVE, outcome.fee));
            events.iter().flatten().for_each(|event| lines.pair("  event", names.replace(&event.to_string())));
        }
    }
    let signed = match proven.signers {
        0 => "genesis itself".into(),
        signers => format!("signed final by {signers} of {} validators", proven.validators),
    };
    lines.pair("  block", format_args!("{}  {}", proven.height, proven.block));
    lines.pair("", format_args!("{}, {signed}", rfc3339(proven.timestamp)));
    lines.pair("  chain", proven.chain_id);
}

/// How an asset of genesis is written; of later ones the file knows only base units.
fn genesis_token(genesis: &Genesis, id: AssetId) -> Option<chain_core::types::Token> {
    let asset = genesis.asset(id)?;
    Some(chain_core::types::Token { symbol: asset.symbol.to_string(), units_per_token: asset.units_per_token.get() })
}

fn amount(genesis: &Genesis, id: AssetId, amount: chain_core::types::Amount) -> String {
    match genesis_token(genesis, id) {
        Some(token) => money(&token, amount),
        None => format!("{amount} base units of asset {id}"),
    }
}

/// Who may sign for an account, in words.
pub fn authority_text(names: &Names, authority: &Authority) -> String {
    match authority {
        Authority::Derived => "the key or policy its address derives from".into(),
        Authority::Key(key) => match names.get(&Address::of_key(key)) {
            Some(name) => format!("the key {key} ({name})"),
            None => format!("the key {key}"),
        },
        Authority::MultiKey(policy) => format!("the m-of-n policy {policy}"),
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
