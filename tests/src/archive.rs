//! A long chain made at once: real blocks with real certificates of a cluster's validators, without
//! their nodes. It can be written into a data directory, or served by a scripted peer.
//!
//! Not here: the agreement (nobody runs), serving (`peer`).

use crate::cluster::Cluster;
use crate::wallet::Wallet;
use chain_core::block::{BLOCK_VERSION, Block, Body, FinalBlock, Header};
use chain_core::codec::List;
use chain_core::consensus::{Now, Peer};
use chain_core::crypto::SecretKey;
use chain_core::engine::{Engine, EngineLog, Input, Options, Output, Start, Trust};
use chain_core::execute::{BlockContext, execute_block};
use chain_core::genesis::Genesis;
use chain_core::ledger;
use chain_core::mempool::PoolLimits;
use chain_core::state::{Tree, params};
use chain_core::storage::memlog::MemLog;
use chain_core::storage::{Batch, Direction, Durability, KeyRange, RocksOptions, RocksStore, Row, Store, StoreError};
use chain_core::storage::{Table, Visit};
use chain_core::types::{Certificate, ChainId, Height, SignedMessage, ValidatorSet, View, Vote, VoteKind};
use chain_core::wire::Message;
use std::path::Path;
use std::sync::Arc;

/// Final blocks from height 1 on.
pub struct Archive {
    /// The chain's genesis.
    pub genesis: Genesis,
    /// The chain.
    pub chain: ChainId,
    blocks: Vec<FinalBlock>,
}

/// Who makes the blocks.
struct Maker {
    chain: ChainId,
    genesis: Genesis,
    set: ValidatorSet,
    keys: Vec<SecretKey>,
    wallets: Vec<Wallet>,
    tree: Tree,
    head: Header,
    block_time_ms: u64,
}

impl Archive {
    /// Makes so many blocks of a cluster's chain, a payment in each, signed by three of its validators
    /// in turn.
    pub fn grow(cluster: &Cluster, length: u64) -> Self {
        let mut maker = Maker::new(cluster);
        let blocks = (0..length).map(|_| maker.block()).collect();
        Self { genesis: maker.genesis, chain: maker.chain, blocks }
    }

    /// The height of the newest block.
    pub fn height(&self) -> Height {
        Height::new(self.blocks.len() as u64)
    }

    /// The hash of the newest block, as the interfaces write it.
    pub fn head_hash(&self) -> String {
        self.blocks.last().map(|last| last.block.header.id().to_string()).unwrap_or_default()
    }

    /// At most so many blocks from a height on.
    pub fn blocks(&self, from: Height, count: u32) -> Vec<FinalBlock> {
        let skipped = usize::try_from(from.get().saturating_sub(1)).unwrap();
        self.blocks.iter().skip(skipped).take(count as usize).cloned().collect()
    }

    /// Writes all blocks into the database of a data directory that never ran. The engine that does
    /// it has verified and executed every one of them.
    pub fn write(&self, data_dir: &Path) {
        let store = Unsynced(RocksStore::open(&data_dir.join("db"), &RocksOptions::default()).unwrap());
        let chain = ledger::open(Arc::new(store), &self.genesis, &mut |_| {}).unwrap().chain;
        let empty = || EngineLog { records: Vec::new(), log: Box::new(MemLog::new()) };
        let start = Start {
            options: Options { flush_interval_blocks: 64, trust: Trust::Quorum, accept_conflict_at: None },
            pool_limits: PoolLimits::default(),
            chain,
            rule: self.genesis.quorum_rule,
            key: None,
            wal: empty(),
            pool_log: empty(),
            sign_memory: None,
            resume_signing_at: None,
        };
        let now = Now { wall: self.genesis.genesis_time, mono_ms: 0 };
        let (mut engine, mut outputs) = Engine::start(start, &|| now).unwrap();
        let source = Peer(1);
        let mut inputs = vec![self.answer(Height::new(1), 0), Input::Joined { peer: source, validator: None }];
        while engine.chain().head().block.header.height < self.height() {
            outputs.extend(engine.handle(&|| now, inputs.pop().unwrap_or(Input::Tick)).unwrap());
            for output in outputs.drain(..) {
                let Output::Send { message, .. } = output else { continue };
                if let Message::NeedBlocks { from, count } = *message {
                    inputs.push(self.answer(from, count));
                }
            }
        }
        engine.chain().flush().unwrap();
        engine.chain().store().flush().unwrap();
    }

    fn answer(&self, from: Height, count: u32) -> Input {
        let blocks = List::new(self.blocks(from, count)).unwrap();
        let message = Message::Blocks { from, blocks, head: self.height(), oldest: Height::ZERO };
        Input::Message { from: Peer(1), message: Box::new(message) }
    }
}

impl Maker {
    fn new(cluster: &Cluster) -> Self {
        let genesis = cluster.genesis();
        let set = genesis.validator_set().unwrap();
        let mut keys: Vec<_> = (0..set.members().len()).map(|node| cluster.key(node)).collect();
        keys.sort_by_key(SecretKey::public);
        let (tree, head) = genesis.build().unwrap();
        let block_time_ms = params(&tree).unwrap().block_time_ms.into();
        let (chain, wallets) = (genesis.chain_id(), cluster.wallets());
        Self { chain, genesis, set, keys, wallets, tree, head, block_time_ms }
    }

    fn block(&mut self) -> FinalBlock {
        let height = self.head.height.next();
        let turn = height.get() as usize;
        let timestamp = self.head.timestamp_ms.saturating_add(self.block_time_ms);
        let proposer = self.keys[turn % self.keys.len()].public();
        let (senders, nonce) = (self.wallets.len(), (height.get() - 1) / self.wallets.len() as u64);
        let sender = &self.wallets[(turn - 1) % senders];
        let payment = sender.pay(nonce, self.wallets[turn % senders].address, 1);
        let context = BlockContext { chain: self.chain, height, view: self.head.view, timestamp, proposer };
        let executed = execute_block(&self.tree, context, std::slice::from_ref(&payment)).unwrap();
        let header = Header {
            version: BLOCK_VERSION,
            height,
            parent: self.head.id(),
            timestamp_ms: timestamp,
            proposer,
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            validators_hash: self.head.next_validators_hash,
            next_validators_hash: executed.next_validators_hash,
            ..self.head.clone()
        };
        self.tree.commit(executed.delta).unwrap();
        self.head = header.clone();
        let certificate = Some(self.certificate(&header));
        FinalBlock { block: Block { header, body: Body::new(vec![payment.bytes().to_vec()]) }, certificate }
    }

    fn certificate(&self, header: &Header) -> Certificate {
        let (kind, view, block) = (VoteKind::Finalize, View::ZERO, Some(header.id()));
        let message = SignedMessage { kind, height: header.height, view, block };
        // One of them is missing, another one each time.
        let absent = header.height.get() as usize % self.keys.len();
        let signing = self.keys.iter().enumerate().filter(|(place, _)| *place != absent);
        let votes: Vec<_> = signing.map(|(_, key)| Vote::sign(message, &self.chain, key).unwrap()).collect();
        Certificate::from_votes(message, &votes, self.genesis.quorum_rule, &self.set).unwrap()
    }
}

/// A database that is written quickly: nobody relies on it before it is closed.
struct Unsynced(RocksStore);

impl Store for Unsynced {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(table, key)
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.multi_get(table, keys)
    }

    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.0.scan(table, range, direction, limit)
    }

    fn for_each(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.for_each(table, visit)
    }

    fn write(&self, batch: Batch, _: Durability) -> Result<(), StoreError> {
        self.0.write(batch, Durability::Buffered)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.0.flush()
    }
}
