//! `node`: health, sync, peers, and the documents of this interface.

use super::Verb::Get;
use super::account::get_account;
use super::chain::block;
use super::tx::get_tx;
use super::{Context, Method, entry};
use crate::errors::{RpcError, bad_params};
use crate::view::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// The methods of this namespace.
pub const METHODS: &[Method] = &[
    entry!("node", now health, Nothing => HealthView, 1, "{}", [],
        "health", "Whether the node is caught up and agrees with the chain. `GET /health` says it with the HTTP status."),
    entry!("node", now sync_status, Nothing => SyncView, 1, "{}",
        [(Get, "/sync_status"), (Get, "/rpc/sync/status")],
        "sync_status", "How far the node is."),
    entry!("node", now peers, Nothing => PeersView, 2, "{}", [(Get, "/rpc/peers")],
        "peers", "The connected peers."),
    entry!("node", now node_info, Nothing => NodeView, 1, "{}", [(Get, "/rpc/info")],
        "node_info", "What the node is and which chain it serves."),
    entry!("node", disk search, SearchParams => SearchView, 10, r#"{"q":"$address"}"#, [(Get, "/rpc/search")],
        "search", "What a height, hash, transaction name or address stands for."),
    entry!("node", now discover, Nothing => serde_json::Value, 20, "{}", [(Get, "/openrpc.json")],
        "rpc.discover", "This interface as an OpenRPC document."),
];

/// Whether the node can be relied on; also behind `/health` and `/readyz`.
pub(crate) fn health(context: &Context, _: Nothing) -> Result<HealthView, RpcError> {
    let (sync, head) = (context.backend.sync(), context.backend.head());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let status = match (sync.agreeing, sync.caught_up) {
        (false, _) => "disagreeing",
        (true, false) => "syncing",
        (true, true) => "ok",
    };
    Ok(HealthView {
        status: status.into(),
        caught_up: sync.caught_up,
        agreeing: sync.agreeing,
        height: head.header.height,
        head_age_ms: U64(now.saturating_sub(head.header.timestamp_ms.get())),
        peers: sync.peers,
        validator: sync.validator,
    })
}

fn sync_status(context: &Context, _: Nothing) -> Result<SyncView, RpcError> {
    let sync = context.backend.sync();
    Ok(SyncView {
        syncing: !sync.caught_up,
        height: sync.height,
        target: sync.target,
        behind: U64(sync.target.saturating_sub(sync.height.get()).get()),
        agreeing: sync.agreeing,
        validator: sync.validator,
        held_back: sync.held_back.is_some(),
        signs_from: sync.held_back.and_then(|held| held.signs_from),
    })
}

fn peers(context: &Context, _: Nothing) -> Result<PeersView, RpcError> {
    let peers = context.backend.peers().into_iter().map(|peer| PeerView {
        peer_id: peer.peer_id,
        agent: peer.agent,
        height: peer.height,
        outbound: peer.outbound,
        validator: peer.validator,
        rtt_ms: peer.rtt_ms.map(U64),
        score: peer.score,
    });
    let peers: Vec<PeerView> = peers.collect();
    Ok(PeersView { count: peers.len() as u32, peers })
}

fn node_info(context: &Context, _: Nothing) -> Result<NodeView, RpcError> {
    let (chain, info) = (context.backend.chain(), context.backend.node());
    Ok(NodeView {
        version: info.version,
        role: info.role,
        chain_name: chain.name.clone(),
        chain_id: chain.id,
        validator: info.validator,
        peer_id: info.peer_id,
        head: HeadView::of(&context.backend.head()),
        oldest_body: info.oldest_body,
        started: U64(info.started_ms),
    })
}

fn search(context: &Context, params: SearchParams) -> Result<SearchView, RpcError> {
    let q = params.q.trim();
    if let Ok(address) = q.parse() {
        return Ok(SearchView::Account { account: get_account(context, AccountParams { address })? });
    }
    if let Ok(tx_id) = q.parse() {
        let transaction = get_tx(context, GetTxParams { tx_id, proof: false })?;
        if transaction.status != StatusName::Unknown {
            return Ok(SearchView::Transaction { transaction: Box::new(transaction) });
        }
    }
    let reference = serde_json::from_value(serde_json::Value::from(q)).map_err(bad_params)?;
    Ok(SearchView::Block { block: HeadView::of(&*block(context, reference)?) })
}

fn discover(context: &Context, _: Nothing) -> Result<serde_json::Value, RpcError> {
    Ok(crate::document::openrpc(&context.backend.node().version))
}
