//! What the interfaces may ask of this node: reads of the chain and the pool, and submission.

use crate::counts::Counts;
use crate::driver::{Driver, wall_clock};
use crate::net::Net;
use crate::p2p::Network;
use chain_core::Fault;
use chain_core::block::Header;
use chain_core::crypto::PublicKey;
use chain_core::engine::{Announcement, SharedPool};
use chain_core::execute::{BlockContext, Unfit, execute_block};
use chain_core::fault::Failure;
use chain_core::ledger::{Chain, CommittedBlock, HistoryPosition, Hop, market};
use chain_core::mempool::{PoolLimits, Status};
use chain_core::state::money::{self, BALANCES};
use chain_core::state::{Asset, Params, RowKey, Supply, Tree, params, validators};
use chain_core::tx::Checked;
use chain_core::types::{Address, Amount, AssetId, BlockId, Certificate, Height, TxId, ValidatorSet, View};
use chain_rpc::backend::{
    AccountState, Answer, Backend, BackendError, ChainFacts, HeldBack, HistoryPage, MempoolSummary, NodeInfo, PeerInfo,
    RowProof, Simulated, Submitted, SyncState,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::broadcast;

/// This node, as the interfaces see it.
pub struct Node {
    /// What the chain is.
    pub facts: ChainFacts,
    /// What this node is; `role` as if it were no validator.
    pub info: NodeInfo,
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub pool: SharedPool,
    /// How much the pool holds.
    pub pool_limits: PoolLimits,
    /// The engine.
    pub driver: Arc<Driver>,
    /// The network.
    pub net: Arc<Net>,
    /// The node's own counters.
    pub counts: Arc<Counts>,
}

/// A head older than so many block intervals, and a little, is not the newest block there is.
const STALE_INTERVALS: u64 = 5;
const STALE_SLACK_MS: u64 = 10_000;
/// Somebody's claim of so many blocks more is the way of things, not a sign of being behind.
const CLOSE_BLOCKS: u64 = 2;

fn fault(fault: Fault) -> BackendError {
    BackendError::Fault(fault.to_string())
}

fn failure(failure: Failure) -> BackendError {
    match failure {
        Failure::Rejected(rejected) => BackendError::Rejected(rejected),
        Failure::Fault(fault) => BackendError::Fault(fault.to_string()),
    }
}

impl Node {
    /// Why there is no block at a height.
    fn absent(&self, height: Height) -> BackendError {
        if height < self.chain.oldest_body() { BackendError::Pruned } else { BackendError::NotFound }
    }
}

impl Backend for Node {
    fn chain(&self) -> &ChainFacts {
        &self.facts
    }

    fn head(&self) -> Arc<CommittedBlock> {
        self.chain.head().block.clone()
    }

    fn params(&self) -> Answer<Params> {
        params(&self.chain.head().tree).map_err(fault)
    }

    fn validators(&self) -> Answer<ValidatorSet> {
        validators::next_set(&self.chain.head().tree).map_err(fault)
    }

    fn set_of(&self, height: Height) -> Answer<ValidatorSet> {
        self.chain.set_of(height).map_err(fault)?.ok_or(BackendError::NotFound)
    }

    fn hops(&self, from: Height, limit: usize) -> Answer<Vec<Hop>> {
        self.chain.hops(from.saturating_sub(1), limit).map_err(fault)
    }

    fn look(&self, look: &mut dyn FnMut(&CommittedBlock, &Tree) -> Result<(), Fault>) -> Answer<()> {
        let head = self.chain.head();
        look(&head.block, &head.tree).map_err(fault)
    }

    fn account(&self, address: &Address) -> Answer<AccountState> {
        let head = self.chain.head();
        let account = money::account(&head.tree, address).map_err(fault)?;
        let mut balances = Vec::new();
        for row in BALANCES.scan_prefix(&head.tree, address.as_bytes()) {
            let (key, amount) = row.map_err(fault)?;
            let id = key.get(32..).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
            let id = id.ok_or_else(|| BackendError::Fault("a balance row has a bad key".into()))?;
            balances.push((AssetId::new(id), amount));
        }
        Ok(AccountState { height: head.block.header.height, account, balances })
    }

    fn balance(&self, address: &Address, asset: AssetId) -> Answer<(Height, Amount)> {
        let head = self.chain.head();
        let amount = money::balance(&head.tree, address, asset).map_err(fault)?;
        Ok((head.block.header.height, amount))
    }

    fn asset(&self, asset: AssetId) -> Answer<Asset> {
        match money::asset(&self.chain.head().tree, asset) {
            Err(Failure::Rejected(_)) => Err(BackendError::NotFound),
            other => other.map_err(failure),
        }
    }

    fn next_nonce(&self, address: &Address) -> Answer<u64> {
        // The head is read first: between the two reads the pool can only get further.
        let nonce = money::account(&self.chain.head().tree, address).map_err(fault)?.nonce;
        Ok(self.pool.read().next_nonce(address).map_or(nonce, |next| next.max(nonce)))
    }

    fn block(&self, height: Height) -> Answer<Arc<CommittedBlock>> {
        self.chain.block(height).map_err(fault)?.ok_or_else(|| self.absent(height))
    }

    fn block_height(&self, id: &BlockId) -> Answer<Height> {
        self.chain.height_of(id).map_err(fault)?.ok_or(BackendError::NotFound)
    }

    fn header(&self, height: Height) -> Answer<Header> {
        self.chain.header(height).map_err(fault)?.ok_or_else(|| self.absent(height))
    }

    fn certificate(&self, height: Height) -> Answer<Option<Certificate>> {
        match self.chain.certificate(height).map_err(fault)? {
            None if self.chain.header(height).map_err(fault)?.is_none() => Err(self.absent(height)),
            certificate => Ok(certificate),
        }
    }

    fn status(&self, id: &TxId) -> Answer<Status> {
        // The pool first: a transaction leaves it only once the ledger has it.
        let pooled = self.pool.read().status(id);
        let place = self.chain.place(id).map_err(fault)?;
        Ok(place.map_or(pooled, |(height, index)| Status::Final { height, index }))
    }

    fn pooled(&self, id: &TxId) -> Option<Checked> {
        self.pool.read().get(id).cloned()
    }

    fn history(&self, address: &Address, cursor: Option<&str>, limit: usize) -> Answer<HistoryPage> {
        let before = cursor.map(parse_cursor).transpose()?;
        let entries = self.chain.history(address, before, limit).map_err(fault)?;
        let full = limit > 0 && entries.len() == limit;
        let next = entries.last().filter(|_| full).map(|at| format!("{}.{}", at.height, at.index));
        Ok(HistoryPage { entries: entries.into_iter().map(|at| (at.height, at.index)).collect(), next })
    }

    fn market(&self) -> &dyn market::Source {
        &*self.chain
    }

    fn mempool(&self) -> MempoolSummary {
        let pool = self.pool.read();
        let pending = pool.pending_len();
        MempoolSummary {
            pending,
            queued: pool.len().saturating_sub(pending),
            bytes: pool.bytes(),
            max_bytes: self.pool_limits.max_bytes,
            max_transactions: self.pool_limits.max_txs,
        }
    }

    fn pending(&self, sender: Option<&Address>, limit: usize) -> Vec<(Checked, Status)> {
        let pool = self.pool.read();
        let of_sender = |tx: &&Checked| sender.is_none_or(|sender| tx.transaction().sender == *sender);
        pool.candidates().filter(of_sender).take(limit).map(|tx| (tx.clone(), Status::Pending)).collect()
    }

    fn supply(&self) -> Answer<(Height, Vec<Supply>)> {
        self.chain.supplies().map_err(fault)
    }

    fn prove_row(&self, key: &RowKey) -> Answer<RowProof> {
        let (proof, block) = self.chain.prove(key, None).map_err(fault)?.ok_or(BackendError::NotFound)?;
        Ok(RowProof { proof, header: block.header.clone(), certificate: block.certificate.clone() })
    }

    fn simulate(&self, transaction: &Checked) -> Answer<Simulated> {
        let head = self.chain.head();
        let header = &head.block.header;
        let block_time = params(&head.tree).map_err(fault)?.block_time_ms;
        let context = BlockContext {
            chain: self.chain.id(),
            height: header.height.next(),
            view: View::ZERO,
            timestamp: header.timestamp_ms.saturating_add(block_time.into()),
            proposer: header.proposer,
        };
        let executed = execute_block(&head.tree, context, std::slice::from_ref(transaction));
        let mut results = match executed {
            Ok(executed) => executed.results,
            Err((_, Unfit::Rejected(rejected))) => return Err(BackendError::Rejected(rejected)),
            Err((_, Unfit::Full)) => return Err(BackendError::Rejected(chain_core::tx::TOO_HEAVY.plain())),
            Err((_, Unfit::Fault(error))) => return Err(fault(error)),
        };
        // Behind the transaction's stands what the block does by itself.
        results.outcomes.truncate(1);
        results.events.truncate(1);
        match (results.outcomes.pop(), results.events.pop()) {
            (Some(outcome), Some(events)) => Ok(Simulated { height: context.height, outcome, events }),
            _ => Err(BackendError::Fault("an executed transaction has no outcome".into())),
        }
    }

    fn sync(&self) -> SyncState {
        // Before the head: between the two reads that can only get further.
        let barrier = self.driver.progress().barrier();
        let head = self.chain.head();
        let (height, at) = (head.block.header.height, head.block.header.timestamp_ms);
        // Whoever is cut off hears of nothing newer, so the head's age has to tell.
        let interval = params(&head.tree).map_or(0, |params| params.empty_block_interval_ms.into());
        let stale_ms = u64::saturating_mul(STALE_INTERVALS, interval).saturating_add(STALE_SLACK_MS);
        let fresh = wall_clock().get().saturating_sub(at.get()) <= stale_ms;
        let target = self.driver.progress().target().max(height);
        let caught_up = fresh && target.get().saturating_sub(height.get()) <= CLOSE_BLOCKS;
        let peers = u32::try_from(self.net.peers().len()).unwrap_or(u32::MAX);
        let validator = self.info.validator.is_some_and(|key| is_in_set(&head.tree, &key));
        let held_back = held_back(barrier, height).filter(|_| validator);
        SyncState { height, target, caught_up, agreeing: !self.driver.is_halted(), peers, validator, held_back }
    }

    fn node(&self) -> NodeInfo {
        let (oldest_body, signs) = (self.chain.oldest_body(), self.sync().validator);
        let role = if signs { "validator".into() } else { self.info.role.clone() };
        NodeInfo { oldest_body, role, ..self.info.clone() }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.net.peers()
    }

    fn metrics_text(&self) -> String {
        let own = self.counts.text(self.sync().held_back.is_some());
        own + &self.net.network().map(Network::metrics_text).unwrap_or_default()
    }

    fn submit(
        &self,
        transactions: Vec<Vec<u8>>,
    ) -> Pin<Box<dyn Future<Output = Vec<Result<Submitted, BackendError>>> + Send + '_>> {
        let count = transactions.len();
        Box::pin(async move {
            // A copy to pass on, if there is anybody to pass it to.
            let told = if self.net.is_alone() { Vec::new() } else { transactions.clone() };
            match self.driver.submit(transactions).await {
                Ok(verdicts) => {
                    self.net.tell(&told, &verdicts);
                    verdicts.into_iter().map(|verdict| verdict.map(submitted).map_err(Into::into)).collect()
                }
                Err(_) => (0..count).map(|_| Err(BackendError::Busy)).collect(),
            }
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.driver.subscribe()
    }
}

/// Whether nothing may be signed above the head.
fn held_back(barrier: Height, head: Height) -> Option<HeldBack> {
    let signs_from = (barrier != Height::MAX).then(|| barrier.next());
    (barrier > head).then_some(HeldBack { signs_from })
}

fn submitted(submitted: chain_core::engine::Submitted) -> Submitted {
    let chain_core::engine::Submitted { tx_id, wire_id, status, .. } = submitted;
    Submitted { tx_id, wire_id, status }
}

fn parse_cursor(cursor: &str) -> Answer<HistoryPosition> {
    let parse = || {
        let (height, index) = cursor.split_once('.')?;
        Some(HistoryPosition { height: Height::new(height.parse().ok()?), index: index.parse().ok()? })
    };
    parse().ok_or(BackendError::NotFound)
}

/// Whether a key is in the set that signs the next block. Without a set, no: the engine meets the same fault.
fn is_in_set(tree: &Tree, key: &PublicKey) -> bool {
    validators::next_set(tree).is_ok_and(|set| set.index_of(key).is_some())
}

/// The shape of a node that does not sign, for `node_info`: it forgets old blocks, it has all of them, or
/// all since a snapshot.
pub fn role(prunes: bool, oldest_body: Height) -> &'static str {
    match (prunes, oldest_body == Height::ZERO) {
        (true, _) => "pruned",
        (false, true) => "archive",
        (false, false) => "follower",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_is_held_back_by_what_lies_above_the_head_only() {
        let at = Height::new;
        assert_eq!(held_back(at(9), at(9)), None);
        assert_eq!(held_back(at(8), at(9)), None, "the barrier was read first");
        assert_eq!(held_back(at(12), at(9)), Some(HeldBack { signs_from: Some(at(13)) }));
        assert_eq!(held_back(Height::MAX, at(9)), Some(HeldBack { signs_from: None }));
    }
}
