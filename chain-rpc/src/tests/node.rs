//! A chain in memory with one validator that makes a block when told to.

use crate::backend::*;
use chain_core::block::{BLOCK_VERSION, Body, Header, Outcome, Results, Verdict};
use chain_core::crypto::{Hash, PublicKey, SecretKey};
use chain_core::engine::Announcement;
use chain_core::execute::{BlockContext, Execution, execute_block};
use chain_core::ledger::{CommittedBlock, Hop, market as lists};
use chain_core::limits::MAX_VALIDATORS;
use chain_core::mempool::Status;
use chain_core::state::money::{self, ASSETS};
use chain_core::state::stakes::{self, FirstStake};
use chain_core::state::validators::{self, next_set};
use chain_core::state::{
    Account, Asset, Overlay, PARAMS, Params, Roles, RowKey, Supply, Tree, ValidatorRecord, market, protocol,
};
use chain_core::storage::{MemoryStore, Store};
use chain_core::tx::{Action, Checked, Signed, Transaction, check_one, transfer};
use chain_core::types::*;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

/// The stake asset, where there is one.
pub(super) const STK: AssetId = AssetId::new(1);
/// Who votes on proposals.
pub(super) const COUNCIL: std::ops::RangeInclusive<u8> = 100..=103;

pub(crate) struct TestNode {
    facts: ChainFacts,
    inner: Mutex<Inner>,
    lists: MemoryStore,
    announcements: broadcast::Sender<Announcement>,
    /// Blocks below this height are said to be dropped, though the lists know of them.
    dropped_below: AtomicU64,
    /// How many blocks were asked for.
    block_reads: AtomicUsize,
    /// How often the state was looked at.
    looks: AtomicUsize,
}

struct Inner {
    tree: Tree,
    blocks: Vec<Arc<CommittedBlock>>,
    pool: Vec<Checked>,
    agreeing: bool,
}

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn address(seed: u8) -> Address {
    Address::of_key(&key(seed).public())
}

impl TestNode {
    /// Accounts 1 to 9 and those of the council, 100 to 103, hold a million base units each. Of the council
    /// only 100 validates. A proposal expires after 60 s.
    pub(crate) fn new() -> Arc<Self> {
        Self::made("poa", |_| Params { proposal_ttl_s: 60, ..Params::default() })
    }

    /// The same with a stake asset, [`STK`], of which accounts 1 to 9 hold a million. The only validator has
    /// bonded 5000; in `full` there are as many others as fit, with as much. Epochs of five blocks.
    pub(super) fn staking(mode: ConsensusMode, full: bool) -> Arc<Self> {
        Self::made(mode.name(), |overlay| {
            let symbol = chain_core::state::Symbol::new("STK").unwrap();
            let (units, most) = (Amount::new(1), Amount::new(10u128.pow(12)));
            let (minted, burned, minter) = (Amount::ZERO, Amount::ZERO, None);
            let asset = Asset { symbol, units_per_token: units, max_supply: most, minter, minted, burned };
            ASSETS.put(overlay, &STK, &asset);
            for seed in 1..=9 {
                money::mint(overlay, &address(seed), STK, Amount::new(1_000_000)).unwrap();
            }
            let own = Amount::new(5_000);
            let mut first = vec![FirstStake { validator: key(100).public(), amount: own, commission_bps: 1_000 }];
            let others = if full { MAX_VALIDATORS - COUNCIL.count() } else { 0 };
            for other in 0..others as u64 {
                let mut bytes = [0x55; 32];
                bytes[..8].copy_from_slice(&other.to_be_bytes());
                let waiting = ValidatorRecord::admitted(Default::default(), 0, Height::ZERO);
                validators::enrol(overlay, &PublicKey(bytes), &waiting).unwrap();
                first.push(FirstStake { validator: PublicKey(bytes), amount: own, commission_bps: 0 });
            }
            if full {
                let bonding = |seed| FirstStake { validator: key(seed).public(), amount: own, commission_bps: 0 };
                first.extend(COUNCIL.skip(1).map(bonding));
            }
            let all = Amount::new(own.get() * first.len() as u128);
            assert_eq!(money::count_minted(overlay, STK, all).unwrap(), all);
            stakes::found(overlay, (mode, STK), &first).unwrap();
            market::found(overlay, STK, TimestampMs::ZERO);
            Params {
                epoch_blocks: 5,
                evidence_window_blocks: 32,
                min_validator_stake: Amount::new(1_000),
                weight_exponent: 2,
                unbonding_s: 1,
                ..Params::default()
            }
        })
    }

    /// A chain whose market can be used: [`STK`] for bonds and votes, of which accounts 1 to 9 hold a million; the
    /// account 9 curates, slashes and is treasurer. Bonds of 1000, a slot for 10; everything is soon over.
    pub(super) fn market() -> Arc<Self> {
        Self::made("poa", |overlay| {
            let symbol = chain_core::state::Symbol::new("STK").unwrap();
            let (units, most) = (Amount::new(1), Amount::new(10u128.pow(12)));
            let (minted, burned, minter) = (Amount::ZERO, Amount::ZERO, None);
            let asset = Asset { symbol, units_per_token: units, max_supply: most, minter, minted, burned };
            ASSETS.put(overlay, &STK, &asset);
            for seed in 1..=9 {
                money::mint(overlay, &address(seed), STK, Amount::new(1_000_000)).unwrap();
            }
            market::found(overlay, STK, TimestampMs::new(1_700_000_000_000));
            let all = Some(address(9));
            protocol::ROLES.put(overlay, &(), &Roles { curator: all, slasher: all, treasurer: all });
            let mut params = Params::default();
            params.market.min_bond = Amount::new(1_000);
            params.market.bond_floor = Amount::new(100);
            params.market.bond_per_slot = Amount::new(10);
            params.market.provider_unbonding_s = 4;
            params.market.proposal_fee = Amount::new(100);
            params.market.approve_votes = Amount::new(1_000);
            params.market.late_votes = Amount::new(100_000);
            params.market.voting_s = 60;
            params.market.window_s = 10;
            params
        })
    }

    /// What else a chain has from its start, and its parameters.
    fn made(mode: &str, found: impl FnOnce(&mut Overlay<'_>) -> Params) -> Arc<Self> {
        let id = ChainId(Hash([42; 32]));
        let mut tree = Tree::new(&id.0);
        let mut overlay = Overlay::new(&tree);
        let million = Amount::new(1_000_000);
        for seed in (1..=9).chain(COUNCIL) {
            money::put_account(&mut overlay, &address(seed), &Account { balance: million, ..Account::default() });
        }
        let minted = Amount::new(13_000_000);
        let asset = Asset {
            symbol: chain_core::state::Symbol::new("AIT").unwrap(),
            units_per_token: Amount::new(3600),
            max_supply: Amount::new(10u128.pow(12)),
            minter: None,
            minted,
            burned: Amount::ZERO,
        };
        ASSETS.put(&mut overlay, &AssetId::NATIVE, &asset);
        protocol::found(&mut overlay, QuorumRule::Byzantine, &Default::default());
        market::found(&mut overlay, AssetId::NATIVE, TimestampMs::ZERO);
        validators::found(&mut overlay, &[Validator { public_key: key(100).public(), weight: 1 }]).unwrap();
        for seed in COUNCIL.skip(1) {
            // Whoever votes runs; without a weight it stays out of the set.
            let waiting = ValidatorRecord::admitted(Default::default(), 0, Height::ZERO);
            let waiting = ValidatorRecord { ready: true, ..waiting };
            validators::enrol(&mut overlay, &key(seed).public(), &waiting).unwrap();
        }
        let params = found(&mut overlay);
        PARAMS.put(&mut overlay, &(), &params);
        let delta = tree.preview(overlay.into_changes());
        tree.commit(delta).unwrap();
        let facts = ChainFacts {
            id,
            name: "test".into(),
            rule: QuorumRule::Byzantine,
            mode: mode.into(),
            genesis: vec![1, 2, 3],
            spec: serde_json::json!({ "name": "test" }),
        };
        let genesis = block(&facts, &tree, None, vec![], Default::default());
        let inner = Inner { tree, blocks: vec![Arc::new(genesis)], pool: vec![], agreeing: true };
        let announcements = broadcast::channel(100_000).0;
        let (lists, inner) = (MemoryStore::new(), Mutex::new(inner));
        let (dropped_below, block_reads, looks) = Default::default();
        let node = Self { facts, inner, lists, announcements, dropped_below, block_reads, looks };
        node.index();
        Arc::new(node)
    }

    pub(super) fn chain_id(&self) -> ChainId {
        self.facts.id
    }

    /// A signed transfer of one unit.
    pub(super) fn transfer(&self, from: u8, nonce: u64, amount: u128) -> Vec<u8> {
        let action = transfer::Action::Transfer {
            to: address(9),
            asset: AssetId::NATIVE,
            amount: Amount::new(amount),
            memo: Default::default(),
        };
        self.sign(from, nonce, Action::Transfer(action))
    }

    /// A signed transaction of one action.
    pub(super) fn sign(&self, from: u8, nonce: u64, action: Action) -> Vec<u8> {
        let tx = Transaction {
            version: 1,
            chain_tag: self.facts.id.tag(),
            sender: address(from),
            nonce,
            fee_payer: None,
            fee: Amount::new(5_000),
            valid_until: Height::ZERO,
            actions: chain_core::codec::List::new(vec![action]).unwrap(),
        };
        let signed: Signed = tx.sign(&self.facts.id, &key(from));
        chain_core::codec::encode(&signed)
    }

    /// Brings the lists of the market up to the head.
    pub(super) fn index(&self) {
        while lists::index_market(self, 3).unwrap() > 0 {}
    }

    /// Makes the next block of everything pooled, and leaves the lists of the market where they are.
    pub(super) fn produce_unlisted(&self) {
        let mut inner = self.inner.lock().unwrap();
        let pool = std::mem::take(&mut inner.pool);
        let parent = inner.blocks.last().unwrap().clone();
        let context = BlockContext {
            chain: self.facts.id,
            height: parent.header.height.next(),
            view: View::ZERO,
            timestamp: parent.header.timestamp_ms.saturating_add(2000),
            proposer: key(100).public(),
        };
        let executed = execute_block(&inner.tree, context, &pool).unwrap();
        let results = executed.results.clone();
        inner.tree.commit(executed.delta).unwrap();
        let made = Arc::new(block(&self.facts, &inner.tree, Some(&parent), pool, results));
        inner.blocks.push(made.clone());
        let _ = self.announcements.send(Announcement::Block(made));
    }

    /// Makes the next block of everything pooled.
    pub(super) fn produce(&self) {
        self.produce_unlisted();
        self.index();
    }

    /// A final block with about so many bytes of transactions that nobody executed.
    pub(super) fn push_large(&self, bytes: usize) {
        let mut inner = self.inner.lock().unwrap();
        let parent = inner.blocks.last().unwrap().clone();
        let mut made = block(&self.facts, &inner.tree, Some(&parent), vec![], Default::default());
        made.body = Body::new(vec![vec![7; 50_000]; bytes / 50_000]);
        inner.blocks.push(Arc::new(made));
    }

    /// A final block that did so many things by itself, each about this account.
    pub(crate) fn push_own(&self, count: usize, about: Address) {
        let mut inner = self.inner.lock().unwrap();
        let parent = inner.blocks.last().unwrap().clone();
        let burned = transfer::Event::Burned { from: about, asset: AssetId::NATIVE, amount: Amount::new(1) };
        let events = vec![vec![chain_core::tx::Event::Transfer(burned)]; count];
        let outcome = Outcome {
            wire_id: WireId(Hash([3; 32])),
            verdict: Verdict::Ok,
            fee: Amount::ZERO,
            events_hash: Outcome::events_hash(&events[0], &self.facts.id),
        };
        let results = Results { outcomes: vec![outcome; count], events };
        let made = block(&self.facts, &inner.tree, Some(&parent), vec![], results);
        inner.blocks.push(Arc::new(made));
    }

    /// From now on blocks below this height are dropped.
    pub(super) fn drop_below(&self, height: u64) {
        self.dropped_below.store(height, Ordering::Relaxed);
    }

    /// How many blocks were asked for since this was asked last.
    pub(crate) fn block_reads(&self) -> usize {
        self.block_reads.swap(0, Ordering::Relaxed)
    }

    /// How often the state was looked at since this was asked last.
    pub(super) fn looks(&self) -> usize {
        self.looks.swap(0, Ordering::Relaxed)
    }

    pub(super) fn disagree(&self) {
        self.inner.lock().unwrap().agreeing = false;
    }

    pub(super) fn announce(&self, announcement: Announcement) {
        let _ = self.announcements.send(announcement);
    }

    fn place(inner: &Inner, id: &TxId) -> Status {
        if inner.pool.iter().any(|tx| tx.id() == *id) {
            return Status::Pending;
        }
        for block in &inner.blocks {
            if let Some(index) = block.tx_ids.iter().position(|own| own == id) {
                return Status::Final { height: block.header.height, index: index as u32 };
            }
        }
        Status::Unknown
    }

    fn admit(&self, bytes: &[u8]) -> Result<Submitted, BackendError> {
        let checked = check_one(&self.facts.id, bytes)?;
        let mut inner = self.inner.lock().unwrap();
        let (tx_id, wire_id) = (checked.id(), checked.wire_id());
        let status = Self::place(&inner, &tx_id);
        if status != Status::Unknown {
            return Ok(Submitted { tx_id, wire_id, status });
        }
        let account = chain_core::execute::check_policies(&inner.tree, &checked).map_err(|failure| match failure {
            chain_core::Failure::Rejected(rejected) => BackendError::Rejected(rejected),
            chain_core::Failure::Fault(fault) => BackendError::Fault(fault.to_string()),
        })?;
        let nonce = checked.transaction().nonce;
        if nonce < account.nonce {
            return Err(chain_core::tx::NONCE_TOO_LOW.because(account.nonce, nonce).into());
        }
        inner.pool.push(checked.clone());
        self.announce(Announcement::Transaction(checked));
        self.announce(Announcement::Status(tx_id, Status::Pending));
        Ok(Submitted { tx_id, wire_id, status: Status::Pending })
    }
}

fn block(
    facts: &ChainFacts,
    tree: &Tree,
    parent: Option<&CommittedBlock>,
    pool: Vec<Checked>,
    results: chain_core::block::Results,
) -> CommittedBlock {
    let set = next_set(tree).unwrap();
    let wire_ids: Vec<WireId> = pool.iter().map(Checked::wire_id).collect();
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: facts.id,
        height: parent.map_or(Height::ZERO, |parent| parent.header.height.next()),
        view: View::ZERO,
        parent: parent.map_or_else(BlockId::default, |parent| parent.id),
        timestamp_ms: parent
            .map_or(TimestampMs::new(1_700_000_000_000), |parent| parent.header.timestamp_ms.saturating_add(2000)),
        proposer: key(100).public(),
        tx_root: chain_core::block::tx_root(&facts.id, &wire_ids),
        outcome_root: chain_core::block::outcome_root(&facts.id, &results.outcomes),
        state_root: tree.root(),
        validators_hash: set.hash(&facts.id),
        next_validators_hash: set.hash(&facts.id),
    };
    let id = header.id();
    let message = SignedMessage { kind: VoteKind::Finalize, height: header.height, view: View::ZERO, block: Some(id) };
    let certificate = parent.map(|_| {
        let vote = Vote::sign(message, &facts.id, &key(100)).unwrap();
        Certificate::from_votes(message, [&vote], facts.rule, &set).unwrap()
    });
    let tx_ids = pool.iter().map(Checked::id).collect();
    let body = Body::new(pool.iter().map(|tx| tx.bytes().to_vec()).collect());
    CommittedBlock { id, header, body, tx_ids, results, certificate, finality_ms: 250 }
}

fn fault(fault: chain_core::Fault) -> BackendError {
    BackendError::Fault(fault.to_string())
}

impl lists::Source for TestNode {
    fn store(&self) -> &dyn Store {
        &self.lists
    }
    fn look(
        &self,
        look: &mut dyn FnMut(Height, &Tree) -> Result<(), chain_core::Fault>,
    ) -> Result<(), chain_core::Fault> {
        let inner = self.inner.lock().unwrap();
        look(inner.blocks.last().unwrap().header.height, &inner.tree)
    }
    fn block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, chain_core::Fault> {
        Ok(self.inner.lock().unwrap().blocks.get(height.get() as usize).cloned())
    }
    fn oldest_body(&self) -> Height {
        Height::new(self.dropped_below.load(Ordering::Relaxed))
    }
}

impl Backend for TestNode {
    fn chain(&self) -> &ChainFacts {
        &self.facts
    }
    fn head(&self) -> Arc<CommittedBlock> {
        self.inner.lock().unwrap().blocks.last().unwrap().clone()
    }
    fn params(&self) -> Answer<Params> {
        chain_core::state::params(&self.inner.lock().unwrap().tree).map_err(fault)
    }
    fn validators(&self) -> Answer<ValidatorSet> {
        next_set(&self.inner.lock().unwrap().tree).map_err(fault)
    }
    fn set_of(&self, height: Height) -> Answer<ValidatorSet> {
        let next = self.head().header.height.next();
        if height <= next { self.validators() } else { Err(BackendError::NotFound) }
    }
    fn hops(&self, _: Height, _: usize) -> Answer<Vec<Hop>> {
        Ok(vec![])
    }
    fn look(&self, look: &mut dyn FnMut(&CommittedBlock, &Tree) -> Result<(), chain_core::Fault>) -> Answer<()> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.lock().unwrap();
        look(inner.blocks.last().unwrap(), &inner.tree).map_err(fault)
    }
    fn account(&self, address: &Address) -> Answer<AccountState> {
        let (height, inner) = (self.head().header.height, self.inner.lock().unwrap());
        let account = money::account(&inner.tree, address).map_err(fault)?;
        Ok(AccountState { height, account, balances: vec![] })
    }
    fn balance(&self, address: &Address, asset: AssetId) -> Answer<(Height, Amount)> {
        let (height, inner) = (self.head().header.height, self.inner.lock().unwrap());
        Ok((height, money::balance(&inner.tree, address, asset).map_err(fault)?))
    }
    fn asset(&self, asset: AssetId) -> Answer<Asset> {
        let inner = self.inner.lock().unwrap();
        ASSETS.get(&inner.tree, &asset).map_err(fault)?.ok_or(BackendError::NotFound)
    }
    fn next_nonce(&self, address: &Address) -> Answer<u64> {
        let inner = self.inner.lock().unwrap();
        let pooled = inner.pool.iter().filter(|tx| tx.transaction().sender == *address).count() as u64;
        Ok(money::account(&inner.tree, address).map_err(fault)?.nonce + pooled)
    }
    fn block(&self, height: Height) -> Answer<Arc<CommittedBlock>> {
        self.block_reads.fetch_add(1, Ordering::Relaxed);
        if height < lists::Source::oldest_body(self) {
            return Err(BackendError::Pruned);
        }
        let inner = self.inner.lock().unwrap();
        inner.blocks.get(height.get() as usize).cloned().ok_or(BackendError::NotFound)
    }
    fn block_height(&self, id: &BlockId) -> Answer<Height> {
        let inner = self.inner.lock().unwrap();
        inner.blocks.iter().find(|b| b.id == *id).map(|b| b.header.height).ok_or(BackendError::NotFound)
    }
    fn header(&self, height: Height) -> Answer<Header> {
        Ok(self.block(height)?.header.clone())
    }
    fn certificate(&self, height: Height) -> Answer<Option<Certificate>> {
        Ok(self.block(height)?.certificate.clone())
    }
    fn status(&self, id: &TxId) -> Answer<Status> {
        Ok(Self::place(&self.inner.lock().unwrap(), id))
    }
    fn pooled(&self, id: &TxId) -> Option<Checked> {
        self.inner.lock().unwrap().pool.iter().find(|tx| tx.id() == *id).cloned()
    }
    fn history(&self, address: &Address, cursor: Option<&str>, limit: usize) -> Answer<HistoryPage> {
        let inner = self.inner.lock().unwrap();
        let mut all = Vec::new();
        for block in inner.blocks.iter().rev() {
            let own = block.results.events.iter().enumerate().skip(block.body.transactions().len());
            let own = own.filter(|(_, events)| events.iter().any(|event| event.accounts().contains(address)));
            all.extend(own.map(|(index, _)| (block.header.height, index as u32)).rev());
            for (index, bytes) in block.body.transactions().iter().enumerate().rev() {
                let signed: Signed = chain_core::codec::decode(bytes, usize::MAX).unwrap();
                let others = signed.transaction.actions.iter().flat_map(|a| a.rules().accounts());
                if others.chain([signed.transaction.sender]).any(|a| a == *address) {
                    all.push((block.header.height, index as u32));
                }
            }
        }
        let start: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let entries: Vec<_> = all.iter().skip(start).take(limit).copied().collect();
        let end = start + entries.len();
        Ok(HistoryPage { entries, next: (end < all.len()).then(|| end.to_string()) })
    }
    fn market(&self) -> &dyn lists::Source {
        self
    }
    fn mempool(&self) -> MempoolSummary {
        MempoolSummary { pending: self.inner.lock().unwrap().pool.len() as u64, ..MempoolSummary::default() }
    }
    fn pending(&self, sender: Option<&Address>, limit: usize) -> Vec<(Checked, Status)> {
        let inner = self.inner.lock().unwrap();
        let own = inner.pool.iter().filter(|tx| sender.is_none_or(|s| tx.transaction().sender == *s));
        own.take(limit).map(|tx| (tx.clone(), Status::Pending)).collect()
    }
    fn supply(&self) -> Answer<(Height, Vec<Supply>)> {
        let inner = self.inner.lock().unwrap();
        let height = inner.blocks.last().unwrap().header.height;
        Ok((height, money::audit(&inner.tree).map_err(fault)?))
    }
    fn prove_row(&self, key: &RowKey) -> Answer<RowProof> {
        let inner = self.inner.lock().unwrap();
        let head = inner.blocks.last().unwrap();
        let (header, certificate) = (head.header.clone(), head.certificate.clone());
        Ok(RowProof { proof: inner.tree.prove(key), header, certificate })
    }
    fn simulate(&self, transaction: &Checked) -> Answer<Simulated> {
        let inner = self.inner.lock().unwrap();
        let head = &inner.blocks.last().unwrap().header;
        let (height, timestamp) = (head.height.next(), head.timestamp_ms);
        let context =
            BlockContext { chain: self.facts.id, height, view: View::ZERO, timestamp, proposer: key(100).public() };
        let mut execution = Execution::start(&inner.tree, context).map_err(fault)?;
        execution.push(transaction).map_err(|unfit| match unfit {
            chain_core::execute::Unfit::Rejected(rejected) => BackendError::Rejected(rejected),
            other => BackendError::Fault(other.to_string()),
        })?;
        let mut results = execution.finish().map_err(fault)?.results;
        Ok(Simulated { height, outcome: results.outcomes.remove(0), events: results.events.remove(0) })
    }
    fn sync(&self) -> SyncState {
        let height = self.head().header.height;
        let agreeing = self.inner.lock().unwrap().agreeing;
        SyncState { height, target: height, caught_up: true, agreeing, peers: 3, validator: true, held_back: None }
    }
    fn node(&self) -> NodeInfo {
        let (version, role, oldest_body) = ("0.0.0".into(), "validator".into(), Height::ZERO);
        NodeInfo { version, role, validator: Some(key(100).public()), peer_id: None, oldest_body, started_ms: 0 }
    }
    fn peers(&self) -> Vec<PeerInfo> {
        let (peer_id, agent, validator) = ("p".into(), "a".into(), Some(key(100).public()));
        let (height, outbound, rtt_ms, score) = (Height::ZERO, true, Some(7), 0);
        vec![PeerInfo { peer_id, agent, height, outbound, validator, rtt_ms, score }]
    }
    fn metrics_text(&self) -> String {
        "other_part 1\n".into()
    }
    fn submit(&self, transactions: Vec<Vec<u8>>) -> BoxFuture<'_, Vec<Result<Submitted, BackendError>>> {
        Box::pin(async move { transactions.iter().map(|bytes| self.admit(bytes)).collect() })
    }
    fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.announcements.subscribe()
    }
}
