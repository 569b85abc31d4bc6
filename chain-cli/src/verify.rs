//! Believes a proof only as far as it leads back to a genesis. Pure: a file's content and a chain spec in, a statement
//! out.
//!
//! ```text
//! chain spec → genesis → chain id, first validators, block 0
//!                            │
//! certificate (a quorum's finalize votes) → header id → header → state_root | outcome_root → row | outcome
//! ```
//!
//! Each step has a name; the first that does not hold is the answer. The validators of a header must be those of
//! genesis:
//! a set that changed since can't be followed from one file, and is refused rather than believed.
//! Not here: files, printing (`commands/proof.rs`).

use chain_core::{
    block::{Header, Outcome},
    codec,
    genesis::Genesis,
    limits::MAX_TX_BYTES,
    state::{
        ACCOUNTS, Account, Asset, RowKey, decode_value,
        money::{ASSETS, BALANCES},
    },
    tx::{Action, Signed},
    types::{Address, Amount, AssetId, BlockId, ChainId, Height, TimestampMs, TxId, ValidatorSet, VoteKind, WireId},
};
use chain_rpc::view::{Anchor, OutcomeProof, OutcomeView, ProofView, RowProofView};
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
    /// Of how many.
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
    /// How a transaction ended.
    Outcome {
        /// Names exactly its bytes.
        wire_id: WireId,
        /// Its id, sender and actions, if the file holds its bytes.
        transaction: Option<Box<ProvenTx>>,
        /// Its place in the block.
        index: u32,
        /// How it ended.
        outcome: OutcomeView,
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

/// Checks every step.
pub fn verify(genesis: &Genesis, proof: &ProofView, signed_tx: Option<&[u8]>, subject: Subject) -> Answer<Proven> {
    let anchor = match proof {
        ProofView::Row(row) => &row.anchor,
        ProofView::Outcome(outcome) => &outcome.anchor,
    };
    let chain = genesis.chain_id();
    let (signers, set) = check_anchor(genesis, &chain, anchor)?;
    let fact = match proof {
        ProofView::Row(row) => check_row(&chain, row, subject)?,
        ProofView::Outcome(outcome) => check_outcome(&chain, outcome, signed_tx, subject)?,
    };
    let header = &anchor.header;
    let (height, timestamp) = (header.height, header.timestamp_ms);
    Ok(Proven {
        chain_id: chain,
        height,
        block: anchor.hash,
        timestamp,
        signers,
        validators: set.members().len(),
        fact,
    })
}

fn fails<T>(step: &'static str, why: impl ToString) -> Answer<T> {
    Err(CliError::Unproven { step, why: why.to_string() })
}

/// Whether the header is final on the genesis's chain; how many signed, and out of which set.
fn check_anchor(genesis: &Genesis, chain: &ChainId, anchor: &Anchor) -> Answer<(usize, ValidatorSet)> {
    let header = &anchor.header;
    if header.chain_id != *chain {
        return fails("chain", format_args!("the header is of chain {}, the genesis is of {chain}", header.chain_id));
    }
    if header.id() != anchor.hash {
        return fails("header", format_args!("the header's hash is {}, the file says {}", header.id(), anchor.hash));
    }
    let Ok(set) = genesis.validator_set() else { return fails("genesis", "it has no usable validators") };
    if header.height == Height::ZERO {
        check_block_0(genesis, header)?;
        return Ok((0, set));
    }
    if header.validators_hash != set.hash(chain) {
        return fails("validators", "the set that signed this block is not the one of genesis");
    }
    let Some(certificate) = &anchor.certificate else { return fails("certificate", "there is none") };
    if certificate.kind() != VoteKind::Finalize {
        return fails("certificate", "it does not say that a block is final");
    }
    if (certificate.height(), certificate.block()) != (header.height, Some(header.id())) {
        return fails("certificate", "it is about another block than the header's");
    }
    if let Err(error) = certificate.verify(chain, genesis.quorum_rule, &set) {
        return fails("certificate", error);
    }
    Ok((certificate.signatures.len(), set))
}

/// Genesis needs no signatures: its header follows from the chain spec.
fn check_block_0(genesis: &Genesis, header: &Header) -> Answer<()> {
    match genesis.build() {
        Ok((_, built)) if built == *header => Ok(()),
        Ok(_) => fails("genesis", "block 0 is not the one that follows from the genesis"),
        Err(error) => fails("genesis", error),
    }
}

fn check_row(chain: &ChainId, row: &RowProofView, subject: Subject) -> Answer<Fact> {
    if subject.tx_id.is_some() {
        return fails("subject", "the file proves a row of the state, not a transaction's outcome");
    }
    let value = match row.proof.verify(&chain.0, &row.anchor.header.state_root, &row.key) {
        Ok(value) => value,
        Err(error) => return fails("state", error),
    };
    if value.is_some() != row.present {
        return fails("state", "the file says of the row's presence the opposite of what is proven");
    }
    let fact = match read_row(&row.key, value) {
        Ok(fact) => fact,
        Err(error) => return fails("value", error),
    };
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

fn check_outcome(chain: &ChainId, found: &OutcomeProof, signed: Option<&[u8]>, subject: Subject) -> Answer<Fact> {
    let outcome: &Outcome = &found.outcome;
    let root = &found.anchor.header.outcome_root;
    if let Err(error) = found.proof.verify(&chain.0, root, found.index, &outcome.hash(chain)) {
        return fails("outcome", error);
    }
    let transaction = signed.map(|bytes| read_tx(chain, bytes, outcome.wire_id)).transpose()?;
    let tx_id = transaction.as_ref().map(|transaction| transaction.tx_id);
    if subject.account.is_some() {
        return fails("subject", "the file proves a transaction's outcome, not an account");
    }
    if let Some(asked) = subject.tx_id
        && tx_id != Some(asked)
    {
        return fails("subject", format_args!("the file is not about {asked}"));
    }
    let (wire_id, index, outcome) = (outcome.wire_id, found.index, OutcomeView::of(outcome));
    Ok(Fact::Outcome { wire_id, transaction: transaction.map(Box::new), index, outcome })
}

/// The transaction whose bytes have this name.
fn read_tx(chain: &ChainId, bytes: &[u8], wire_id: WireId) -> Answer<ProvenTx> {
    if Signed::wire_id(bytes, chain) != wire_id {
        return fails("transaction", "its bytes are not those the outcome is about");
    }
    match codec::decode::<Signed>(bytes, MAX_TX_BYTES) {
        Ok(Signed { transaction, .. }) => {
            let (tx_id, sender) = (transaction.id(chain), transaction.sender);
            Ok(ProvenTx { tx_id, sender, actions: transaction.actions.to_vec() })
        }
        Err(error) => fails("transaction", error),
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
