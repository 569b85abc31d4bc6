//! From actions to a final block: builds the transaction here, signs it here, sends it, waits.
//!
//! The node says which chain it is on, the next nonce and the parameters; it never says what is signed. Not here: what
//! the
//! actions are (the commands), what a name means (`app`).

use std::time::Duration;

use chain_core::{
    codec::{self, List},
    crypto::{PublicKey, SecretKey},
    tx::{Action, Authorisation, Checked, MultiKey, Signed, TRANSACTION_VERSION, Transaction, check_one},
    types::{Address, Amount, ChainId, Height, Token},
};
use chain_rpc::view::{ParamsView, SendParams, U64};
use clap::Args;
use serde_json::json;

use crate::{
    app::App,
    commands::tx::report,
    error::{Answer, CliError, reason_text},
    keys::signer::Signer,
    node::{Node, parse_amount},
    output::money,
    wait::wait,
};

/// How long a transaction is valid unless told otherwise, in ms; at least [`LEAST_VALID_BLOCKS`].
const VALID_FOR_MS: u64 = 3_600_000;
/// At slow chains an hour is few blocks.
const LEAST_VALID_BLOCKS: u64 = 100;

/// Who sends, who signs, who pays; for every command that sends a transaction.
#[derive(Debug, Clone, Default, Args)]
pub struct SendArgs {
    /// Whose transaction: the name of a key or devnet account, or an address with --sign-with
    #[arg(long, value_name = "NAME", display_order = 0)]
    pub from: String,
    /// Key that signs instead, where the account's key was changed; several for a --policy
    #[arg(long, value_name = "NAME")]
    pub sign_with: Vec<String>,
    /// The account's m-of-n policy: M:KEY,KEY,… with names or 0x… public keys
    #[arg(long, value_name = "POLICY", requires = "sign_with")]
    pub policy: Option<String>,
    /// The whole fee, such as 0.1AIT [default: the least that is accepted]
    #[arg(long, value_name = "AMOUNT")]
    pub fee: Option<String>,
    /// Who pays the fee instead of the sender
    #[arg(long, value_name = "NAME")]
    pub fee_payer: Option<String>,
    /// The last block it may be part of, 0 for any [default: about an hour ahead]
    #[arg(long, value_name = "HEIGHT")]
    pub valid_until: Option<u64>,
    /// The nonce [default: the next one]
    #[arg(long)]
    pub nonce: Option<u64>,
    /// Answer once the node has it durably, without waiting for the block
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// Say what would happen, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Give up waiting after so many seconds; the transaction stays sent
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

/// What actions may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The chain.
    pub chain: ChainId,
    /// Whose transaction.
    pub sender: Address,
    /// Its nonce.
    pub nonce: u64,
}

/// Keys that authorise together.
#[derive(Debug)]
pub enum Signers {
    /// One key.
    One(SecretKey),
    /// So many of these keys, by those secrets.
    Many {
        /// How many must sign.
        threshold: u8,
        /// All keys of the policy, ascending.
        keys: Vec<PublicKey>,
        /// Those that sign.
        secrets: Vec<SecretKey>,
    },
}

impl Signers {
    /// Signs.
    pub fn authorise(&self, message: &[u8]) -> Answer<Authorisation> {
        let (threshold, keys, secrets) = match self {
            Self::One(key) => return Ok(Authorisation::sign(message, key)),
            Self::Many { threshold, keys, secrets } => (*threshold, keys, secrets),
        };
        let (mut bitmap, mut signatures) = (0u16, Vec::new());
        for (place, key) in keys.iter().enumerate().take(16) {
            if let Some(secret) = secrets.iter().find(|secret| secret.public() == *key) {
                bitmap |= 1 << place;
                signatures.push(secret.sign(message));
            }
        }
        if signatures.len() != usize::from(threshold) {
            let why =
                format!("the policy needs {threshold} of its keys to sign, --sign-with names {}", signatures.len());
            return Err(CliError::Usage(why));
        }
        let keys = List::new(keys.clone()).map_err(CliError::usage)?;
        let signatures = List::new(signatures).map_err(CliError::usage)?;
        Ok(Authorisation::MultiKey(MultiKey { threshold, keys, bitmap, signatures }))
    }
}

/// Reads `M:KEY,KEY,…` into the threshold and the keys, ascending.
pub fn parse_policy(app: &App, text: &str) -> Answer<(u8, Vec<PublicKey>)> {
    let form = || CliError::Usage(format!("'{text}' is not a policy; write 2:alice,bob,0x…"));
    let (threshold, names) = text.split_once(':').ok_or_else(form)?;
    let threshold = threshold.parse().map_err(|_| form())?;
    let mut keys = names.split(',').map(|name| app.public_key(name)).collect::<Answer<Vec<_>>>()?;
    keys.sort();
    keys.dedup();
    Ok((threshold, keys))
}

/// Unlocks the keys that sign for the sender, and says whose transaction it is.
fn sender(app: &App, args: &SendArgs) -> Answer<(Address, Signers)> {
    let address = app.address(&args.from)?;
    if args.sign_with.is_empty() {
        if args.from.starts_with("ait1") {
            return Err(CliError::Usage("an address can't sign: name its key with --sign-with, or as --from".into()));
        }
        return Ok((address, Signers::One(app.signer(&args.from)?.seed().secret_key())));
    }
    let secrets = args.sign_with.iter().map(|name| Ok(app.signer(name)?.seed().secret_key()));
    let mut secrets = secrets.collect::<Answer<Vec<_>>>()?;
    let signers = match (&args.policy, secrets.pop()) {
        (Some(policy), last) => {
            let (threshold, keys) = parse_policy(app, policy)?;
            secrets.extend(last);
            Signers::Many { threshold, keys, secrets }
        }
        (None, Some(only)) if secrets.is_empty() => Signers::One(only),
        _ => return Err(CliError::Usage("several --sign-with need a --policy".into())),
    };
    Ok((address, signers))
}

/// Builds, signs, sends and waits as the arguments say, and prints what came of it.
pub async fn send(
    app: &App,
    node: &Node,
    args: &SendArgs,
    actions: impl FnOnce(&Facts) -> Answer<Vec<Action>>,
) -> Answer<()> {
    let (sender, signers) = sender(app, args)?;
    let payer = args.fee_payer.as_ref().map(|name| app.signer(name)).transpose()?;
    let checked = build(node, args, (sender, &signers), payer.as_ref(), actions).await?;
    if !app.json {
        announce(app, node, &checked).await?;
    }
    if args.dry_run {
        return simulate(app, node, &checked).await;
    }
    deliver(app, node, args, &checked).await
}

/// Builds and signs as the arguments say, but for who sends and pays.
pub async fn build(
    node: &Node,
    args: &SendArgs,
    (sender, signers): (Address, &Signers),
    payer: Option<&Signer>,
    actions: impl FnOnce(&Facts) -> Answer<Vec<Action>>,
) -> Answer<Checked> {
    let native = node.native().await?;
    let fee = args.fee.as_ref().map(|fee| parse_amount(&native, fee)).transpose()?;
    let nonce = match args.nonce {
        Some(nonce) => nonce,
        None => node.client.get_account(sender).await?.next_nonce.0,
    };
    let params = node.client.get_params().await?;
    let facts = Facts { chain: node.chain, sender, nonce };
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain_tag: facts.chain.tag(),
        sender,
        nonce,
        fee_payer: payer.map(Signer::address),
        fee: Amount::ZERO,
        valid_until: args.valid_until.map_or_else(|| default_expiry(&params), Height::new),
        actions: List::new(actions(&facts)?).map_err(CliError::usage)?,
    };
    let payer = payer.map(|payer| Signers::One(payer.seed().secret_key()));
    sign(transaction, &facts.chain, fee, (&params, &native), (signers, payer.as_ref()))
}

/// Signs; where no fee is given, with the least fee of the transaction's weight, which doesn't depend on the fee.
fn sign(
    mut transaction: Transaction,
    chain: &ChainId,
    fee: Option<Amount>,
    (params, native): (&ParamsView, &Token),
    (sender, payer): (&Signers, Option<&Signers>),
) -> Answer<Checked> {
    let sign = |transaction: &Transaction| -> Answer<Checked> {
        let message = transaction.signing_bytes(chain);
        let authorisation = sender.authorise(&message)?;
        let fee_payer_authorisation = payer.map(|payer| payer.authorise(&message)).transpose()?;
        let signed = Signed { transaction: transaction.clone(), authorisation, fee_payer_authorisation };
        Ok(check_one(chain, &codec::encode(&signed))?)
    };
    transaction.fee = match fee {
        Some(fee) => fee,
        None => least_fee(params, sign(&transaction)?.weight(), native)?,
    };
    sign(&transaction)
}

/// The least fee, unless it is a whole token or more: the rate is the node's word, and nobody shall be robbed by it
/// unasked.
fn least_fee(params: &ParamsView, weight: u64, native: &Token) -> Answer<Amount> {
    let fee = params.params.min_fee(weight);
    if fee.get() < native.units_per_token {
        return Ok(fee);
    }
    let fee = native.format(fee);
    Err(CliError::Failed(format!("the node asks for a fee of {fee}; say --fee {fee} if you mean to pay that")))
}

fn default_expiry(params: &ParamsView) -> Height {
    let blocks = VALID_FOR_MS / u64::from(params.params.block_time_ms.max(1));
    params.height.saturating_add(blocks.max(LEAST_VALID_BLOCKS))
}

async fn announce(app: &App, node: &Node, checked: &Checked) -> Answer<()> {
    let names = app.names();
    for words in node.words(&checked.transaction().actions).await {
        output_line(&names.replace(&words))?;
    }
    Ok(())
}

fn output_line(text: &str) -> Answer<()> {
    crate::output::print_line(false, &(), || text.to_owned())
}

async fn simulate(app: &App, node: &Node, checked: &Checked) -> Answer<()> {
    let params =
        SendParams { signed_tx: Some(chain_rpc::view::Bytes(checked.bytes().to_vec())), ..SendParams::default() };
    let simulated = node.client.simulate_tx(&params).await?;
    let (native, fee) = (node.native().await?, checked.transaction().fee);
    app.print(&simulated, |lines| {
        lines.line(format_args!("not sent; in block {} it would end so:", simulated.height));
        lines.pair("  tx", simulated.tx_id);
        lines.pair("  fee", money(&native, fee));
        lines.pair("  outcome", crate::commands::tx::outcome_text(&simulated.outcome));
    })?;
    match simulated.outcome.reason {
        None => Ok(()),
        Some(reason) => Err(CliError::Told(format!("it would be refused: {}", reason_text(&reason)))),
    }
}

async fn deliver(app: &App, node: &Node, args: &SendArgs, checked: &Checked) -> Answer<()> {
    let sent = node.client.send_raw(checked.bytes()).await?;
    if sent.tx_id != checked.id() {
        return Err(CliError::Failed(format!("the node calls the transaction {}, it is {}", sent.tx_id, checked.id())));
    }
    if args.no_wait {
        let native = node.native().await?;
        let transaction = checked.transaction();
        let document = json!({
            "tx_id": sent.tx_id, "wire_id": sent.wire_id, "status": sent.status,
            "nonce": U64(transaction.nonce), "fee": transaction.fee, "valid_until": transaction.valid_until,
        });
        return app.print(&document, |lines| {
            lines.line("sent; `chain tx wait ID` waits for its block");
            lines.pair("  tx", sent.tx_id);
            lines.pair("  fee", money(&native, transaction.fee));
        });
    }
    let view = wait(node, sent.tx_id, Duration::from_secs(args.timeout)).await?;
    report(app, node, &view).await
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
