//! `tx`: preparing, sending and following transactions; the pool.

use super::Verb::{Get, Post};
use super::chain::{prove_outcome, to_tx_view};
use super::{Context, Method, entry, optional};
use crate::errors::{BUSY, INVALID_PARAMS, RpcError, bad_params};
use crate::view::*;
use chain_core::codec::List;
use chain_core::crypto::SecretKey;
use chain_core::mempool::Status;
use chain_core::state::Params;
use chain_core::tx::{Action, Authorisation, Checked, MultiKey, Signed, Transaction, check_one};
use chain_core::types::{Address, Amount, AssetId, ChainId, Height, TxId};
use std::sync::Arc;

/// Most transactions in one `send_txs`.
pub const MAX_SEND: usize = 1000;
/// Most pooled transactions in one answer.
const MAX_PENDING: u32 = 1000;
/// Most final transactions in one page.
const MAX_PAGE: u32 = 1000;
/// Most blocks a page is collected from.
const MAX_PAGE_BLOCKS: usize = 200;
/// How long a prepared transaction is valid by default.
const VALID_FOR_MS: u64 = 3_600_000;

/// The methods of this namespace.
pub const METHODS: &[Method] = &[
    entry!("tx", wait send_tx, SendParams => SendView, 5, r#"{"signed_tx":"$signed_tx"}"#,
        [(Post, "/rpc/send_tx"), (Post, "/rpc/sendTx"), (Post, "/rpc/transaction")],
        "send_tx", "Takes a signed transaction; answers once it is durable. The same bytes twice get the same answer."),
    entry!("tx", wait send_txs, SendManyParams => SendManyView, 100, r#"{"signed_txs":["$signed_tx"]}"#, [],
        "send_txs", "Takes up to 1000 signed transactions, each with its own verdict."),
    entry!("tx", disk prepare_tx, PrepareParams => PreparedView, 5,
        r#"{"sender":"$address","actions":[{"type":"transfer","to":"$address","amount":"1"}]}"#,
        [(Post, "/rpc/prepare_tx")],
        "prepare_tx", "Fills in chain, nonce, fee and expiry, and answers with the bytes to sign."),
    entry!("tx", disk estimate_fee, EstimateParams => FeeView, 5, "{}",
        [(Get, "/rpc/estimateFee"), (Post, "/rpc/estimate_fee")],
        "estimate_fee", "Weight and least fee of actions; without actions those of a plain transfer."),
    entry!("tx", disk simulate_tx, SendParams => SimulationView, 20, r#"{"signed_tx":"$signed_tx"}"#,
        [(Post, "/rpc/simulate_tx")],
        "simulate_tx", "Executes a signed transaction on the newest state and forgets the result."),
    entry!("tx", disk get_tx, GetTxParams => GetTxView, 5, r#"{"tx_id":"$tx_id"}"#,
        [(Get, "/rpc/tx/{tx_id}"), (Get, "/rpc/transaction/{tx_id}")],
        "get_tx", "A transaction's status; when final, its block, outcome and events, and a proof on request."),
    entry!("tx", now get_mempool, Nothing => MempoolView, 1, "{}", [(Get, "/rpc/mempool")],
        "get_mempool", "Figures of the pool."),
    entry!("tx", now get_pending, PendingParams => PendingView, 10, "{}", [(Get, "/rpc/pending")],
        "get_pending", "Pooled transactions in the order they would be executed in."),
    entry!("tx", disk get_transactions, TransactionsParams => TransactionsView, 50, r#"{"limit":10}"#,
        [(Get, "/rpc/transactions")],
        "get_transactions", "The newest final transactions of all accounts, in pages."),
];

async fn send_tx(context: Arc<Context>, params: SendParams) -> Result<SendView, RpcError> {
    let bytes = params.into_bytes().map_err(bad_params)?;
    let mut verdicts = send_all(&context, vec![bytes]).await;
    verdicts.pop().unwrap_or_else(|| Err(BUSY.error()))
}

async fn send_txs(context: Arc<Context>, params: SendManyParams) -> Result<SendManyView, RpcError> {
    let transactions: Vec<_> = params.signed_txs.into_iter().map(|bytes| bytes.0).collect();
    send_many(&context, transactions).await
}

/// Takes 1 to 1000 transactions.
pub(crate) async fn send_many(context: &Context, transactions: Vec<Vec<u8>>) -> Result<SendManyView, RpcError> {
    if !(1..=MAX_SEND).contains(&transactions.len()) {
        return Err(INVALID_PARAMS.because(format_args!("1 to {MAX_SEND} transactions"), transactions.len()));
    }
    let verdicts = send_all(context, transactions).await;
    let accepted = verdicts.iter().filter(|verdict| verdict.is_ok()).count() as u32;
    let results = verdicts.into_iter().map(|verdict| match verdict {
        Ok(taken) => SendVerdict::Taken(taken),
        Err(error) => SendVerdict::Refused { error },
    });
    Ok(SendManyView { accepted, results: results.collect() })
}

async fn send_all(context: &Context, transactions: Vec<Vec<u8>>) -> Vec<Result<SendView, RpcError>> {
    let verdicts = context.backend.submit(transactions).await;
    let verdicts = verdicts.into_iter().map(|verdict| {
        let taken = verdict?;
        Ok(SendView { tx_id: taken.tx_id, wire_id: taken.wire_id, status: taken.status.into() })
    });
    verdicts.collect()
}

fn prepare_tx(context: &Context, params: PrepareParams) -> Result<PreparedView, RpcError> {
    let (chain, rules) = (context.backend.chain().id, context.backend.params()?);
    let nonce = match params.nonce {
        Some(U64(nonce)) => nonce,
        None => context.backend.next_nonce(&params.sender)?,
    };
    let head = context.backend.head().header.height;
    let mut tx = draft(&chain, params.sender, params.actions)?;
    tx.nonce = nonce;
    tx.fee_payer = params.fee_payer;
    tx.valid_until = params.valid_until.unwrap_or_else(|| default_expiry(head, &rules));
    let checked = weigh(&chain, &tx, params.multi_key)?;
    let min_fee = rules.min_fee(checked.weight());
    tx.fee = params.fee.unwrap_or(min_fee);
    let text = tx.actions.iter().map(|action| action.rules().text(&|asset| token(context, asset))).collect();
    Ok(PreparedView {
        signing_bytes: Bytes(tx.signing_bytes(&chain)),
        tx_id: tx.id(&chain),
        fee: tx.fee,
        min_fee,
        nonce: U64(nonce),
        weight: U64(checked.weight()),
        text,
        tx,
    })
}

fn token(context: &Context, asset: AssetId) -> Option<chain_core::types::Token> {
    context.backend.asset(asset).ok().map(|asset| asset.token())
}

fn default_expiry(head: Height, rules: &Params) -> Height {
    // At slow chains an hour is few blocks; admission wants at least 10 ahead.
    head.saturating_add((VALID_FOR_MS / u64::from(rules.block_time_ms.max(1))).max(100))
}

fn draft(chain: &ChainId, sender: Address, actions: Vec<Action>) -> Result<Transaction, RpcError> {
    Ok(Transaction {
        version: 1,
        chain_tag: chain.tag(),
        sender,
        nonce: 0,
        fee_payer: None,
        fee: Amount::ZERO,
        valid_until: Height::ZERO,
        actions: List::new(actions).map_err(bad_params)?,
    })
}

/// Signs a copy with throw-away keys and checks it: says the exact weight, and refuses what would
/// be refused for its form after signing. No authorisation's length depends on its content.
fn weigh(chain: &ChainId, tx: &Transaction, multi_key: Option<MultiKeySize>) -> Result<Checked, RpcError> {
    let key = SecretKey::from_seed(&[1; 32]);
    let message = tx.signing_bytes(chain);
    let authorisation = match multi_key {
        None => Authorisation::sign(&message, &key),
        Some(size) => multi_sign(&message, size)?,
    };
    let fee_payer_authorisation = tx.fee_payer.map(|_| Authorisation::sign(&message, &key));
    let signed = Signed { transaction: tx.clone(), authorisation, fee_payer_authorisation };
    Ok(check_one(chain, &chain_core::codec::encode(&signed))?)
}

fn multi_sign(message: &[u8], size: MultiKeySize) -> Result<Authorisation, RpcError> {
    if size.threshold < 1 || size.threshold > size.keys || size.keys > 16 {
        return Err(INVALID_PARAMS.because("1 ≤ threshold ≤ keys ≤ 16", format_args!("{size:?}")));
    }
    let mut keys: Vec<_> = (1..=size.keys).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
    keys.sort_by_key(SecretKey::public);
    let signatures = keys.iter().take(size.threshold.into()).map(|key| key.sign(message)).collect();
    Ok(Authorisation::MultiKey(MultiKey {
        threshold: size.threshold,
        keys: List::new(keys.iter().map(SecretKey::public).collect()).map_err(bad_params)?,
        bitmap: ((1u32 << size.threshold) - 1) as u16,
        signatures: List::new(signatures).map_err(bad_params)?,
    }))
}

fn estimate_fee(context: &Context, params: EstimateParams) -> Result<FeeView, RpcError> {
    let (chain, rules) = (context.backend.chain().id, context.backend.params()?);
    let [someone, other] = [1, 2].map(|seed| Address::of_key(&SecretKey::from_seed(&[seed; 32]).public()));
    let transfer = || chain_core::tx::transfer::Action::Transfer {
        to: other,
        asset: AssetId::NATIVE,
        amount: Amount::new(1),
        memo: Default::default(),
    };
    let actions = params.actions.unwrap_or_else(|| vec![Action::Transfer(transfer())]);
    let mut tx = draft(&chain, someone, actions)?;
    tx.fee_payer = params.fee_payer.then_some(other);
    let weight = weigh(&chain, &tx, params.multi_key)?.weight();
    let min_fee = rules.min_fee(weight);
    let suggested_fee = min_fee.saturating_add(Amount::new(min_fee.get().div_ceil(4)));
    Ok(FeeView { weight: U64(weight), min_fee, suggested_fee, account_fee: rules.account_fee })
}

fn simulate_tx(context: &Context, params: SendParams) -> Result<SimulationView, RpcError> {
    let bytes = params.into_bytes().map_err(bad_params)?;
    let checked = check_one(&context.backend.chain().id, &bytes)?;
    let simulated = context.backend.simulate(&checked)?;
    Ok(SimulationView {
        height: simulated.height,
        tx_id: checked.id(),
        outcome: OutcomeView::of(&simulated.outcome),
        events: events_view(&simulated.events),
        weight: U64(checked.weight()),
    })
}

pub(crate) fn get_tx(context: &Context, params: GetTxParams) -> Result<GetTxView, RpcError> {
    let status = context.backend.status(&params.tx_id)?;
    let view = GetTxView::new(params.tx_id, status);
    match status {
        Status::Final { height, index } => final_tx(context, view, (height, index), params.proof),
        Status::Queued | Status::Pending => Ok(match context.backend.pooled(&params.tx_id) {
            Some(pooled) => {
                GetTxView { wire_id: Some(pooled.wire_id()), signed: Some(pooled.signed().clone()), ..view }
            }
            None => view,
        }),
        Status::Dropped { .. } | Status::Unknown => Ok(view),
    }
}

fn final_tx(
    context: &Context,
    view: GetTxView,
    (height, index): (Height, u32),
    proof: bool,
) -> Result<GetTxView, RpcError> {
    let view = GetTxView { height: Some(height), index: Some(index), ..view };
    // A pruned body takes nothing from what is known of the place.
    let block = match context.backend.block(height) {
        Err(crate::backend::BackendError::Pruned) => return Ok(view),
        found => found?,
    };
    let tx = to_tx_view(&block, index)?;
    let proof = if proof { Some(prove_outcome(&block, index)?) } else { None };
    Ok(GetTxView {
        block: Some(block.id),
        timestamp: Some(tx.timestamp),
        outcome: Some(tx.outcome),
        events: Some(tx.events),
        wire_id: Some(tx.wire_id),
        signed: Some(tx.signed),
        proof,
        ..view
    })
}

/// Walks down from the cursor (`height.index`, exclusive) or the head.
fn get_transactions(context: &Context, params: TransactionsParams) -> Result<TransactionsView, RpcError> {
    let limit = limit(params.limit, 50, MAX_PAGE)?;
    let (mut height, mut below) = match params.cursor.as_deref() {
        None => (context.backend.head().header.height, u32::MAX),
        Some(cursor) => parse_cursor(cursor).ok_or_else(|| bad_params("not a cursor of this method"))?,
    };
    let mut transactions = Vec::new();
    for _ in 0..MAX_PAGE_BLOCKS {
        let block = match context.backend.block(height) {
            // Nothing older is kept here.
            Err(crate::backend::BackendError::Pruned) => return Ok(TransactionsView { transactions, next: None }),
            found => found?,
        };
        let count = block.body.transactions().len() as u32;
        for index in (0..count.min(below)).rev() {
            transactions.push(to_tx_view(&block, index)?);
            if transactions.len() == limit {
                return Ok(TransactionsView { transactions, next: Some(format!("{height}.{index}")) });
            }
        }
        if height == Height::ZERO {
            return Ok(TransactionsView { transactions, next: None });
        }
        (height, below) = (height.saturating_sub(1), u32::MAX);
    }
    Ok(TransactionsView { transactions, next: Some(format!("{height}.{}", u32::MAX)) })
}

fn parse_cursor(cursor: &str) -> Option<(Height, u32)> {
    let (height, index) = cursor.split_once('.')?;
    Some((Height::new(height.parse().ok()?), index.parse().ok()?))
}

fn get_mempool(context: &Context, _: Nothing) -> Result<MempoolView, RpcError> {
    let pool = context.backend.mempool();
    Ok(MempoolView {
        pending: U64(pool.pending),
        queued: U64(pool.queued),
        bytes: U64(pool.bytes),
        max_bytes: U64(pool.max_bytes),
        max_transactions: U64(pool.max_transactions),
    })
}

fn get_pending(context: &Context, params: PendingParams) -> Result<PendingView, RpcError> {
    let limit = limit(params.limit, 100, MAX_PENDING)?;
    let pooled = context.backend.pending(params.sender.as_ref(), limit);
    Ok(PendingView { transactions: pooled.iter().map(|(tx, status)| to_pooled_view(tx, *status)).collect() })
}

/// A pooled transaction in its JSON shape.
pub(crate) fn to_pooled_view(tx: &Checked, status: Status) -> PooledView {
    PooledView {
        tx_id: tx.id(),
        wire_id: tx.wire_id(),
        sender: tx.transaction().sender,
        nonce: U64(tx.transaction().nonce),
        fee: tx.transaction().fee,
        weight: U64(tx.weight()),
        size: tx.bytes().len() as u32,
        status: status.into(),
    }
}

/// A `limit` parameter with its default and its bound.
pub(crate) fn limit(asked: Option<u32>, default: u32, max: u32) -> Result<usize, RpcError> {
    match asked.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit as usize),
        other => Err(INVALID_PARAMS.because(format_args!("a limit from 1 to {max}"), other)),
    }
}

/// A status in the JSON shape of notifications.
pub(crate) fn to_status_view(tx_id: TxId, status: Status) -> StatusView {
    let (height, index) = match status {
        Status::Final { height, index } => (Some(height), Some(index)),
        _ => (None, None),
    };
    let drop_reason = match status {
        Status::Dropped { reason } => Some(reason),
        _ => None,
    };
    StatusView { tx_id, status: status.into(), height, index, drop_reason }
}

/// Whether the account's asset exists; kept apart so that a balance of nothing is not an error.
pub(crate) fn known_asset(context: &Context, asset: AssetId) -> Result<chain_core::state::Asset, RpcError> {
    let found = optional(context.backend.asset(asset))?;
    found.ok_or_else(|| chain_core::state::money::UNKNOWN_ASSET.because("a registered asset", asset).into())
}
