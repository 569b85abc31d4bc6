//! Transactions: sending, preparing, following.

use super::text::{any_hex, optional_hex};
use super::{Actions, AddressText, Bytes, Decimal, Hex32, Hex64, HexText, Object, OutcomeProof, U64};
use chain_core::block::{Outcome, Verdict};
use chain_core::crypto::{Hash, PublicKey, Signature};
use chain_core::mempool::{DropReason, Status};
use chain_core::tx::{Action, Authorisation, Event, Signed, Transaction, rejection};
use chain_core::types::{Address, Amount, BlockId, Height, TimestampMs, TxId, WireId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A transaction to send: `signed_tx`, or `tx` with `signature` or `authorisation`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendParams {
    /// The transaction as prepare_tx answers; or the complete signed bytes.
    #[serde(default)]
    #[schemars(with = "Option<Object>")]
    pub tx: Option<TxInput>,
    /// The sender's signature over the signing bytes.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex64>")]
    pub signature: Option<Signature>,
    /// The key of `signature`. Default: the one the sender's address is.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub public_key: Option<PublicKey>,
    /// Instead of `signature`: the sender's authorisation.
    #[serde(default)]
    #[schemars(with = "Option<Object>")]
    pub authorisation: Option<Authorisation>,
    /// The fee payer's authorisation, if there is a fee payer.
    #[serde(default)]
    #[schemars(with = "Option<Object>")]
    pub fee_payer_authorisation: Option<Authorisation>,
    /// Instead of all: the complete signed bytes.
    #[serde(default)]
    pub signed_tx: Option<Bytes>,
}

/// A transaction in its JSON form, or complete signed bytes.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum TxInput {
    /// Complete signed bytes.
    Bytes(Bytes),
    /// The unsigned transaction.
    Json(Box<Transaction>),
}

impl<'de> Deserialize<'de> for TxInput {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let json = serde_json::Value::deserialize(deserializer)?;
        match json.as_str() {
            Some(text) => text.parse().map(Self::Bytes).map_err(D::Error::custom),
            None => serde_json::from_value(json).map(Self::Json).map_err(D::Error::custom),
        }
    }
}

impl SendParams {
    /// The complete signed bytes this stands for; the text says what is missing.
    pub fn into_bytes(self) -> Result<Vec<u8>, String> {
        let parts = (self.authorisation, self.signature);
        match (self.tx, self.signed_tx, parts) {
            (None, Some(Bytes(bytes)), (None, None)) => Ok(bytes),
            (Some(TxInput::Bytes(Bytes(bytes))), None, (None, None)) => Ok(bytes),
            (Some(TxInput::Json(transaction)), None, parts) => {
                let authorisation = match parts {
                    (Some(authorisation), None) => authorisation,
                    (None, Some(signature)) => {
                        let own = PublicKey(*transaction.sender.as_bytes());
                        Authorisation::Key { public_key: self.public_key.unwrap_or(own), signature }
                    }
                    _ => return Err("beside tx stands either signature or authorisation".into()),
                };
                let fee_payer_authorisation = self.fee_payer_authorisation;
                let signed = Signed { transaction: *transaction, authorisation, fee_payer_authorisation };
                Ok(chain_core::codec::encode(&signed))
            }
            _ => Err("give either signed_tx, or tx with signature or authorisation".into()),
        }
    }
}

/// A transaction that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendView {
    /// Names the transaction whoever signed it.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// Names exactly the bytes.
    #[schemars(with = "Hex32")]
    pub wire_id: WireId,
    /// What became of it.
    pub status: StatusName,
}

/// Many transactions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendManyParams {
    /// 1 to 1000 complete signed transactions.
    pub signed_txs: Vec<Bytes>,
}

/// Verdicts in the order of the transactions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SendManyView {
    /// How many were taken.
    pub accepted: u32,
    /// One per transaction.
    pub results: Vec<SendVerdict>,
}

/// What became of one of many.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SendVerdict {
    /// It was taken.
    Taken(SendView),
    /// It was refused.
    Refused {
        /// Why.
        error: crate::errors::RpcError,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusName {
    /// Held in memory; it can't be executed yet.
    Queued,
    /// Executable and durable; waits for a block.
    Pending,
    /// In a final block.
    Final,
    /// Not waiting any more and in no block.
    Dropped,
    /// Never seen, or forgotten.
    Unknown,
}

impl From<Status> for StatusName {
    fn from(status: Status) -> Self {
        match status {
            Status::Queued => Self::Queued,
            Status::Pending => Self::Pending,
            Status::Final { .. } => Self::Final,
            Status::Dropped { .. } => Self::Dropped,
            Status::Unknown => Self::Unknown,
        }
    }
}

/// What a transaction shall do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareParams {
    /// Whose transaction.
    #[schemars(with = "AddressText")]
    pub sender: Address,
    /// What it does.
    #[schemars(with = "Actions")]
    pub actions: Vec<Action>,
    /// The whole fee. Default: the least.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub fee: Option<Amount>,
    /// Default: the next after executed and pooled transactions.
    #[serde(default)]
    pub nonce: Option<U64>,
    /// The last block it may be part of; 0: any. Default: about an hour ahead.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub valid_until: Option<Height>,
    /// Who pays the fee, if not the sender.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub fee_payer: Option<Address>,
    /// How many signatures of how many keys the sender gives. Default: one.
    #[serde(default)]
    pub multi_key: Option<MultiKeySize>,
}

/// The size of a multi-key authorisation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiKeySize {
    /// How many sign.
    pub threshold: u8,
    /// Of how many, at most 16.
    pub keys: u8,
}

/// A transaction ready to be signed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PreparedView {
    /// The transaction: give it back to send_tx with the signature.
    #[schemars(with = "Object")]
    pub tx: Transaction,
    /// What to sign.
    #[schemars(with = "HexText")]
    pub signing_bytes: Bytes,
    /// Its name.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// The fee in native base units.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// The least fee.
    #[schemars(with = "Decimal")]
    pub min_fee: Amount,
    /// The nonce.
    pub nonce: U64,
    /// What it costs a node.
    pub weight: U64,
    /// What it does in words, one line per action.
    pub text: Vec<String>,
}

/// What the fee shall be estimated for. Without actions: a plain transfer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateParams {
    /// What it does. Default: one transfer without a memo.
    #[serde(default)]
    #[schemars(with = "Option<Actions>")]
    pub actions: Option<Vec<Action>>,
    /// Whether another account pays the fee.
    #[serde(default)]
    pub fee_payer: bool,
    /// How many signatures of how many keys the sender gives. Default: one.
    #[serde(default)]
    pub multi_key: Option<MultiKeySize>,
}

/// What a transaction costs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeeView {
    /// What it costs a node.
    pub weight: U64,
    /// The least fee that is accepted, in native base units.
    #[schemars(with = "Decimal")]
    pub min_fee: Amount,
    /// A fee that goes before those who pay the least: a quarter more.
    #[schemars(with = "Decimal")]
    pub suggested_fee: Amount,
    /// Burned in addition by whoever makes the chain keep a new row.
    #[schemars(with = "Decimal")]
    pub account_fee: Amount,
}

/// What a transaction would do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SimulationView {
    /// The height it was tried at.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Its name.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// How it would end.
    pub outcome: OutcomeView,
    /// What would happen.
    pub events: Vec<serde_json::Value>,
    /// What it costs a node.
    pub weight: U64,
}

/// Which transaction.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetTxParams {
    /// Its name.
    #[serde(deserialize_with = "any_hex")]
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// Whether to prove the outcome.
    #[serde(default)]
    pub proof: bool,
}

/// A transaction and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GetTxView {
    /// Its name.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// What became of it.
    pub status: StatusName,
    /// Why it was dropped: evicted, replaced, expired, invalidated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub drop_reason: Option<DropReason>,
    /// The final block it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub height: Option<Height>,
    /// The block's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hex32>")]
    pub block: Option<BlockId>,
    /// Its place in the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// The block's time in unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub timestamp: Option<TimestampMs>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeView>,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<serde_json::Value>>,
    /// Names exactly its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Hex32>")]
    pub wire_id: Option<WireId>,
    /// The transaction with its authorisations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Object>")]
    pub signed: Option<Signed>,
    /// The proof of the outcome, if asked for and final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<OutcomeProof>,
}

impl GetTxView {
    /// A transaction of which only the status is known.
    pub fn new(tx_id: TxId, status: Status) -> Self {
        let drop_reason = match status {
            Status::Dropped { reason } => Some(reason),
            _ => None,
        };
        let status = status.into();
        let (height, block, index, timestamp, outcome, events) = (None, None, None, None, None, None);
        let (wire_id, signed, proof) = (None, None, None);
        Self { tx_id, status, drop_reason, height, block, index, timestamp, outcome, events, wire_id, signed, proof }
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeView {
    /// Whether its actions were carried out.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// What the fee payer paid.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// Hash of its events.
    #[schemars(with = "Hex32")]
    pub events_hash: Hash,
}

/// Why a transaction's actions were not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonView {
    /// The rejection's frozen number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// The place of the action that was refused.
    pub action: u8,
}

impl ReasonView {
    /// A rejection by its number, at a place.
    pub fn of(number: u16, action: u8) -> Self {
        let known = rejection(number);
        let name = known.map_or("unknown", |r| r.name).to_owned();
        let message = known.map_or("a rejection this node does not know", |r| r.message).to_owned();
        Self { number, name, message, action }
    }
}

impl OutcomeView {
    /// An outcome in words.
    pub fn of(outcome: &Outcome) -> Self {
        let reason = match outcome.verdict {
            Verdict::Ok => None,
            Verdict::Rejected { number, action } => Some(ReasonView::of(number, action)),
        };
        Self { ok: reason.is_none(), reason, fee: outcome.fee, events_hash: outcome.events_hash }
    }
}

/// Events in their JSON form.
pub fn events_view(events: &[Event]) -> Vec<serde_json::Value> {
    #[cfg(test)]
    EVENTS_SHOWN.with(|shown| shown.set(shown.get() + events.len()));
    // No event holds a map with keys that are no text, so none is refused.
    events.iter().map(|event| serde_json::to_value(event).unwrap_or_default()).collect()
}

#[cfg(test)]
thread_local! {
    /// How many events this thread has given their JSON form.
    pub(crate) static EVENTS_SHOWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A transaction of a final block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TxView {
    /// Its name.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// Names exactly its bytes.
    #[schemars(with = "Hex32")]
    pub wire_id: WireId,
    /// The block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Its place in the block.
    pub index: u32,
    /// The block's time in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// The transaction with its authorisations.
    #[schemars(with = "Object")]
    pub signed: Signed,
    /// How it ended.
    pub outcome: OutcomeView,
    /// What happened.
    pub events: Vec<serde_json::Value>,
}

/// Which pooled transactions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PendingParams {
    /// Only of this sender.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub sender: Option<Address>,
    /// At most this many, up to 1000. Default: 100.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Pooled transactions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PendingView {
    /// In the order they would be executed in.
    pub transactions: Vec<PooledView>,
}

/// A pooled transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PooledView {
    /// Its name.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// Names exactly its bytes.
    #[schemars(with = "Hex32")]
    pub wire_id: WireId,
    /// Whose.
    #[schemars(with = "AddressText")]
    pub sender: Address,
    /// Its nonce.
    pub nonce: U64,
    /// Its fee.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// What it costs a node.
    pub weight: U64,
    /// Its length in bytes.
    pub size: u32,
    /// Queued or pending.
    pub status: StatusName,
}

/// Figures of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MempoolView {
    /// Executable transactions.
    pub pending: U64,
    /// Transactions that wait for another.
    pub queued: U64,
    /// Bytes of all.
    pub bytes: U64,
    /// The most bytes it holds.
    pub max_bytes: U64,
    /// The most transactions it holds.
    pub max_transactions: U64,
}

/// Which page of the newest final transactions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionsParams {
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of final transactions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TransactionsView {
    /// Newest first.
    pub transactions: Vec<TxView>,
    /// Give it back as `cursor` for the next page; absent after the last. A page may be short or
    /// empty where many blocks are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
