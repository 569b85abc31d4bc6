//! What a proof file says, believed only as far as the light client does. Pure: a file's content and a chain spec in,
//! a statement out.
//!
//! ```text
//! chain spec → genesis → block 0 → hops → set in charge → header → state_root | outcome_root → row | outcome
//! ```
//!
//! Each step has a name; the first that does not hold is the answer.
//! Not here: why a step holds (`chain_core::light`), files, printing (`commands/proof.rs`).

use chain_core::{
    block::Outcome,
    codec,
    genesis::Genesis,
    light::{LightClient, LightError, TrustedHeader},
    state::{
        ACCOUNTS, Account, Asset, RowKey, decode_value,
        money::{ASSETS, BALANCES},
    },
    tx::{Action, Event, Signed},
    types::{Address, Amount, AssetId, BlockId, ChainId, Height, TimestampMs, TxId, WireId},
};
use chain_rpc::view::{Anchor, OutcomeProof, OutcomeView, ProofView, RowProofView, SetChangeView};
use serde::Serialize;

use crate::error::{Answer, CliError};

/// What a proof file must be about; `None`: whatever it is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject {
    /// This account, or its balance.
    pub account: Option<Address>,
    /// This transaction.
    pub tx_id: Option<TxId>,
}

/// What was proven.
#[derive(Debug, PartialEq, Serialize)]
pub struct Proven {
    /// On which chain.
    pub chain_id: ChainId,
    /// In the state after, or in, this block.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Its time in unix ms.
    pub timestamp: TimestampMs,
    /// How many validators signed it; 0: it is genesis itself.
    pub signers: usize,
    /// Of how many; 0 as above.
    pub validators: usize,
    /// What is so.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What is so.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "proven", rename_all = "snake_case")]
pub enum Fact {
    /// An account's row; one that is absent says what an unused account says.
    Account {
        /// Whose.
        address: Address,
        /// Whether the chain keeps a row for it.
        present: bool,
        /// What it says.
        account: Account,
    },
    /// A balance of another asset than the native one.
    Balance {
        /// Whose.
        address: Address,
        /// Of what.
        asset: AssetId,
        /// How much.
        balance: Amount,
    },
    /// An asset.
    Asset {
        /// Its number.
        asset: AssetId,
        /// What is registered, if anything.
        registered: Option<Asset>,
    },
    /// Another row, as bytes.
    Row {
        /// Its key.
        key: RowKey,
        /// Its value in hex, if it is there.
        value: Option<String>,
    },
    /// How a transaction ended, or something the block did by itself.
    Outcome {
        /// Names exactly its bytes, or what the block did.
        wire_id: WireId,
        /// Its id, sender and actions, if the file holds its bytes.
        transaction: Option<Box<ProvenTx>>,
        /// Its place in the block.
        index: u32,
        /// How it ended.
        outcome: OutcomeView,
        /// What happened, if the file says so.
        events: Option<Vec<serde_json::Value>>,
    },
}

/// A transaction whose bytes are those of a proven outcome.
#[derive(Debug, PartialEq, Serialize)]
pub struct ProvenTx {
    /// Its id.
    pub tx_id: TxId,
    /// Whose.
    pub sender: Address,
    /// What it does.
    pub actions: Vec<Action>,
}

/// What stands beside a proof in its file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'f> {
    /// The complete bytes of the transaction whose outcome is proven.
    pub signed_tx: Option<&'f [u8]>,
    /// Every change of the validator set below the proof's block, oldest first.
    pub hops: &'f [SetChangeView],
}

/// Checks every step.
pub fn verify(genesis: &Genesis, proof: &ProofView, beside: Beside<'_>, subject: Subject) -> Answer<Proven> {
    let anchor = match proof {
        ProofView::Row(row) => &row.anchor,
        ProofView::Outcome(outcome) => &outcome.anchor,
    };
    let block = believe(genesis, anchor, beside.hops)?;
    let fact = match proof {
        ProofView::Row(row) => check_row(&block, row, subject)?,
        ProofView::Outcome(outcome) => check_outcome(&block, outcome, beside.signed_tx, subject)?,
    };
    Ok(Proven {
        chain_id: block.header().chain_id,
        height: block.header().height,
        block: anchor.hash,
        timestamp: block.header().timestamp_ms,
        signers: block.signers(),
        validators: block.validators(),
        fact,
    })
}

fn fails<T>(step: &'static str, why: impl ToString) -> Answer<T> {
    Err(CliError::Unproven { step, why: why.to_string() })
}

impl From<LightError> for CliError {
    fn from(error: LightError) -> Self {
        let step = match &error {
            LightError::Genesis(_) | LightError::NotPinned { .. } => "genesis",
            LightError::Chain { .. } => "chain",
            LightError::Version(_) | LightError::NotAbove { .. } => "header",
            LightError::Set { .. } | LightError::NextMembers(_) | LightError::NextSet { .. } => "validators",
            LightError::NoCertificate | LightError::NotFinal | LightError::OtherBlock | LightError::Certificate(_) => {
                "certificate"
            }
            LightError::Row(_) => "state",
            LightError::Value(_) => "value",
            LightError::Outcome(_) => "outcome",
            LightError::OtherTransaction { .. } | LightError::Transaction(_) => "transaction",
        };
        Self::Unproven { step, why: error.to_string() }
    }
}

/// The header that the file rests on, if it is final on the genesis's chain.
fn believe(genesis: &Genesis, anchor: &Anchor, hops: &[SetChangeView]) -> Answer<TrustedHeader> {
    let header = &anchor.header;
    if header.id() != anchor.hash {
        return fails("header", format_args!("the header's hash is {}, the file says {}", header.id(), anchor.hash));
    }
    let mut client = LightClient::from_genesis(genesis)?;
    for hop in hops {
        client.hop(hop.header.clone(), &hop.certificate, hop.members.clone())?;
    }
    Ok(client.header(header.clone(), anchor.certificate.as_ref())?)
}

fn check_row(block: &TrustedHeader, row: &RowProofView, subject: Subject) -> Answer<Fact> {
    if subject.tx_id.is_some() {
        return fails("subject", "the file proves a row of the state, not a transaction's outcome");
    }
    let value = block.row(&row.key, &row.proof)?;
    if value.is_some() != row.present {
        return fails("state", "the file says of the row's presence the opposite of what is proven");
    }
    let fact = read_row(&row.key, value).map_err(LightError::Value)?;
    match (subject.account, &fact) {
        (None, _) => Ok(fact),
        (Some(asked), Fact::Account { address, .. } | Fact::Balance { address, .. }) if asked == *address => Ok(fact),
        (Some(asked), _) => fails("subject", format_args!("the file is not about {asked}")),
    }
}

/// What a row says, by the table its key is of.
fn read_row(key: &RowKey, value: Option<&[u8]>) -> Result<Fact, chain_core::Fault> {
    let (table, rest) = (key.table(), key.as_bytes().get(1..).unwrap_or_default());
    if let (true, Ok(address)) = (table == ACCOUNTS.number(), <[u8; 32]>::try_from(rest)) {
        let account = value.map(decode_value).transpose()?;
        let (address, present) = (Address::from_bytes(address), account.is_some());
        return Ok(Fact::Account { address, present, account: account.unwrap_or_default() });
    }
    if let (true, Some((address, asset))) = (table == BALANCES.number(), rest.split_first_chunk::<32>())
        && let Ok(asset) = <[u8; 4]>::try_from(asset)
    {
        let balance = value.map(decode_value).transpose()?.unwrap_or_default();
        let (address, asset) = (Address::from_bytes(*address), AssetId::new(u32::from_be_bytes(asset)));
        return Ok(Fact::Balance { address, asset, balance });
    }
    if let (true, Ok(asset)) = (table == ASSETS.number(), <[u8; 4]>::try_from(rest)) {
        let (asset, registered) = (AssetId::new(u32::from_be_bytes(asset)), value.map(decode_value).transpose()?);
        return Ok(Fact::Asset { asset, registered });
    }
    Ok(Fact::Row { key: *key, value: value.map(|bytes| format!("0x{}", hex::encode(bytes))) })
}

fn check_outcome(block: &TrustedHeader, found: &OutcomeProof, signed: Option<&[u8]>, subject: Subject) -> Answer<Fact> {
    let outcome: &Outcome = &found.outcome;
    let transaction = match signed {
        None => block.outcome(found.index, outcome, &found.proof).map(|()| None)?,
        Some(bytes) => Some(block.transaction(found.index, outcome, &found.proof, bytes)?),
    };
    let transaction = transaction.map(|signed| proven_tx(&block.header().chain_id, signed));
    let tx_id = transaction.as_ref().map(|transaction| transaction.tx_id);
    if subject.account.is_some() {
        return fails("subject", "the file proves a transaction's outcome, not an account");
    }
    if let Some(asked) = subject.tx_id
        && tx_id != Some(asked)
    {
        return fails("subject", format_args!("the file is not about {asked}"));
    }
    let events = found.events.as_ref().map(|bytes| read_events(block, outcome, &bytes.0)).transpose()?;
    let (wire_id, index, outcome) = (outcome.wire_id, found.index, OutcomeView::of(outcome));
    Ok(Fact::Outcome { wire_id, transaction: transaction.map(Box::new), index, outcome, events })
}

/// The events that a proven outcome holds the hash of.
fn read_events(block: &TrustedHeader, outcome: &Outcome, bytes: &[u8]) -> Answer<Vec<serde_json::Value>> {
    let events: Vec<Event> = match codec::decode(bytes, bytes.len()) {
        Ok(events) => events,
        Err(error) => return fails("events", error),
    };
    if Outcome::events_hash(&events, &block.header().chain_id) != outcome.events_hash {
        return fails("events", "the outcome is of other events");
    }
    Ok(chain_rpc::view::events_view(&events))
}

fn proven_tx(chain: &ChainId, Signed { transaction, .. }: Signed) -> ProvenTx {
    let (tx_id, sender) = (transaction.id(chain), transaction.sender);
    ProvenTx { tx_id, sender, actions: transaction.actions.to_vec() }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
pub(crate) mod tests;
