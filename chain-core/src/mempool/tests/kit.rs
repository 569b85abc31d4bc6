//! A chain of one validator with funded accounts, and transfers between them.

use crate::codec::{List, Text, encode};
use crate::crypto::{Hash, SecretKey};
use crate::execute::{BlockContext, Execution, Unfit};
use crate::fault::Failure;
use crate::mempool::{ChainView, Effects, Inserted, Pool, PoolLimits, Status, changed_accounts};
use crate::state::money::ASSETS;
use crate::state::{
    Account, Asset, Authority, Overlay, PARAMS, Params, Symbol, Tree, market, money, params, protocol, validators,
};
use crate::tx::{Action, Authorisation, Checked, Signed, Transaction, check_one, transfer};
use crate::types::{
    Address, Amount, AssetId, ChainId, Height, QuorumRule, Rejection, TimestampMs, TxId, Validator, View,
};

pub const CHAIN: ChainId = ChainId(Hash([9; 32]));
/// Enough for any transfer of these tests.
pub const FEE: u128 = 1_000;

pub fn key(n: u64) -> SecretKey {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub fn address(n: u64) -> Address {
    Address::of_key(&key(n).public())
}

/// A transfer to be.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub from: u64,
    pub nonce: u64,
    pub fee: u128,
    pub payer: Option<u64>,
    pub until: u64,
    pub amount: u128,
    /// Bytes of the memo, which make it heavier.
    pub memo: usize,
}

pub fn order(from: u64, nonce: u64, fee: u128) -> Order {
    Order { from, nonce, fee, payer: None, until: 0, amount: 1, memo: 0 }
}

impl Order {
    pub fn tx(self) -> Checked {
        self.signed_by(&key(self.from))
    }

    pub fn signed_by(self, sender: &SecretKey) -> Checked {
        let action = transfer::Action::Transfer {
            to: address(u64::MAX),
            asset: AssetId::NATIVE,
            amount: Amount::new(self.amount),
            memo: Text::new("m".repeat(self.memo)).unwrap(),
        };
        let transaction = Transaction {
            version: 1,
            chain_tag: CHAIN.tag(),
            sender: address(self.from),
            nonce: self.nonce,
            fee_payer: self.payer.map(address),
            fee: Amount::new(self.fee),
            valid_until: Height::new(self.until),
            actions: List::new(vec![Action::Transfer(action)]).unwrap(),
        };
        let bytes = transaction.signing_bytes(&CHAIN);
        let authorisation = Authorisation::sign(&bytes, sender);
        let fee_payer_authorisation = self.payer.map(|payer| Authorisation::sign(&bytes, &key(payer)));
        check_one(&CHAIN, &encode(&Signed { transaction, authorisation, fee_payer_authorisation })).unwrap()
    }
}

/// A state, its head, and the pool on it.
pub struct World {
    pub tree: Tree,
    pub params: Params,
    pub head: Height,
    pub pool: Pool,
    pub now: u64,
}

impl World {
    /// Accounts 0.. with these balances; the receiver of all transfers exists.
    pub fn new(limits: PoolLimits, balances: &[u128]) -> Self {
        let mut tree = Tree::new(&CHAIN.0);
        let mut overlay = Overlay::new(&tree);
        let all = balances.iter().sum::<u128>() + 1;
        PARAMS.put(&mut overlay, &(), &Params::default());
        protocol::found(&mut overlay, QuorumRule::Byzantine, &Default::default());
        market::found(&mut overlay, AssetId::NATIVE, TimestampMs::ZERO);
        let validator = Validator { public_key: key(u64::MAX - 1).public(), weight: 1 };
        validators::found(&mut overlay, &[validator]).unwrap();
        let native = Asset {
            symbol: Symbol::new("AIT").unwrap(),
            units_per_token: Amount::new(3600),
            max_supply: Amount::MAX_SUPPLY,
            minter: None,
            minted: Amount::new(all),
            burned: Amount::ZERO,
        };
        ASSETS.put(&mut overlay, &AssetId::NATIVE, &native);
        money::give(&mut overlay, &address(u64::MAX), AssetId::NATIVE, Amount::new(1)).unwrap();
        for (n, balance) in (0u64..).zip(balances) {
            money::give(&mut overlay, &address(n), AssetId::NATIVE, Amount::new(*balance)).unwrap();
        }
        let changes = overlay.into_changes();
        let delta = tree.preview(changes);
        tree.commit(delta).unwrap();
        let params = params(&tree).unwrap();
        Self { tree, params, head: Height::ZERO, pool: Pool::new(limits), now: 0 }
    }

    /// Ten accounts with plenty, and a pool with plenty of room.
    pub fn rich() -> Self {
        Self::new(PoolLimits::default(), &[1_000_000_000; 10])
    }

    pub fn insert(&mut self, tx: &Checked) -> Result<Inserted, Failure> {
        let view = ChainView { rows: &self.tree, params: &self.params, head: self.head };
        let inserted = self.pool.insert(&view, tx.clone(), self.now);
        self.pool.audit();
        inserted
    }

    /// Inserts what must be taken.
    pub fn take(&mut self, order: Order) -> (Checked, Inserted) {
        let tx = order.tx();
        let inserted = self.insert(&tx).unwrap_or_else(|e| panic!("{order:?}: {e}"));
        (tx, inserted)
    }

    /// Inserts what must be refused, and why.
    pub fn refuse(&mut self, order: Order) -> &'static Rejection {
        self.refuse_tx(&order.tx())
    }

    pub fn refuse_tx(&mut self, tx: &Checked) -> &'static Rejection {
        let (before, status) = (format!("{:?}", self.pool.index), self.pool.status(&tx.id()));
        let refused = match self.insert(tx) {
            Err(Failure::Rejected(rejected)) => rejected.rejection,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(format!("{:?}", self.pool.index), before, "a refused transaction changes nothing");
        assert_eq!(self.pool.status(&tx.id()), status);
        refused
    }

    pub fn status(&self, tx: &Checked) -> Status {
        self.pool.status(&tx.id())
    }

    /// Commits a block of exactly these transactions and tells the pool.
    pub fn commit(&mut self, txs: &[Checked]) -> Effects {
        let mut execution = Execution::start(&self.tree, self.context()).unwrap();
        for tx in txs {
            execution.push(tx).unwrap_or_else(|e| panic!("{:?}: {e}", tx.transaction()));
        }
        let delta = execution.finish().unwrap().delta;
        self.follow(delta, txs)
    }

    /// Builds a block as a proposer would, at most so long, and commits it. Answers with its
    /// transactions and those that could not stand where the pool put them.
    pub fn build(&mut self, most: usize) -> (Vec<Checked>, Vec<(Checked, Unfit)>, Effects) {
        let mut execution = Execution::start(&self.tree, self.context()).unwrap();
        let (mut taken, mut unfit) = (Vec::new(), Vec::new());
        let mut candidates = self.pool.candidates();
        while taken.len() < most
            && let Some(tx) = candidates.next()
        {
            match execution.push(tx) {
                Ok(()) => taken.push(tx.clone()),
                Err(why) => {
                    candidates.skip_lane(&tx.transaction().sender);
                    unfit.push((tx.clone(), why));
                }
            }
        }
        let delta = execution.finish().unwrap().delta;
        let effects = self.follow(delta, &taken);
        (taken, unfit, effects)
    }

    /// Changes an account or the parameters by something that is no transaction of the pool.
    pub fn change(&mut self, change: impl FnOnce(&mut Overlay<'_>)) -> Effects {
        let mut overlay = Overlay::new(&self.tree);
        change(&mut overlay);
        let changes = overlay.into_changes();
        let delta = self.tree.preview(changes);
        self.follow(delta, &[])
    }

    /// Gives an account another key.
    pub fn rotate(&mut self, n: u64, to: &SecretKey) -> Effects {
        self.change(|overlay| {
            let account = money::account(overlay, &address(n)).unwrap();
            let authority = Authority::Key(to.public());
            money::put_account(overlay, &address(n), &Account { authority, ..account });
        })
    }

    pub fn account(&self, n: u64) -> Account {
        money::account(&self.tree, &address(n)).unwrap()
    }

    /// Another pool from the log's records, as after a restart.
    pub fn restart(&mut self, records: Vec<Checked>) -> Effects {
        self.pool = Pool::new(self.pool.limits);
        let view = ChainView { rows: &self.tree, params: &self.params, head: self.head };
        let effects = self.pool.restore(&view, records, self.now).unwrap();
        self.pool.audit();
        effects
    }

    fn context(&self) -> BlockContext {
        let proposer = key(u64::MAX - 1).public();
        BlockContext {
            chain: CHAIN,
            height: self.head.next(),
            view: View::ZERO,
            timestamp: TimestampMs::ZERO,
            proposer,
        }
    }

    fn follow(&mut self, delta: crate::state::Delta, txs: &[Checked]) -> Effects {
        let changed: Vec<Address> = changed_accounts(&delta).collect();
        self.tree.commit(delta).unwrap();
        self.params = params(&self.tree).unwrap();
        self.head = self.head.next();
        let ids: Vec<TxId> = txs.iter().map(Checked::id).collect();
        let view = ChainView { rows: &self.tree, params: &self.params, head: self.head };
        let effects = self.pool.on_block(&view, &ids, changed, self.now).unwrap();
        self.pool.audit();
        effects
    }
}

impl Pool {
    /// Recomputes every sum and index and compares.
    pub fn audit(&self) {
        let entries = || self.lanes.values().flat_map(|lane| lane.entries.values());
        let bytes = |keep: &dyn Fn(&super::super::pool::Entry) -> bool| {
            entries().filter(|e| keep(e)).map(|e| e.tx.bytes().len() as u64).sum::<u64>()
        };
        let count = entries().count();
        assert_eq!(self.index.total.txs, count as u64);
        assert_eq!((self.index.order.len(), self.by_id.len(), self.by_wire.len()), (count, count, count));
        assert_eq!(self.index.total.bytes, bytes(&|_| true));
        assert_eq!(self.index.queued.bytes, bytes(&|e| !e.key.pending));
        assert_eq!(self.index.queued.txs, entries().filter(|e| !e.key.pending).count() as u64);
        assert_eq!(self.durable_bytes(), bytes(&|e| e.acknowledged));
        assert_eq!(self.expiry.len(), entries().filter(|e| e.tx.transaction().valid_until != Height::ZERO).count());
        assert!(self.index.total.fits(self.limits.max_txs, self.limits.max_bytes));
        assert!(self.index.queued.fits(self.limits.max_queued_txs, self.limits.max_queued_bytes));
        let mut payers = std::collections::BTreeMap::<Address, (u128, usize)>::new();
        for (sender, lane) in &self.lanes {
            assert!(!lane.entries.is_empty() && lane.entries.len() <= 64 && lane.bytes <= self.limits.max_lane_bytes);
            let mut expected = Some(lane.next);
            for (nonce, entry) in &lane.entries {
                let transaction = entry.tx.transaction();
                assert_eq!((&transaction.sender, &transaction.nonce), (sender, nonce));
                assert!(*nonce >= lane.next);
                expected = expected.filter(|next| next == nonce);
                assert_eq!(entry.key.pending, expected.is_some());
                expected = expected.map(|next| next + 1);
                assert!(entry.acknowledged || !entry.key.pending);
                assert_eq!(self.index.order.get(&entry.key).map(Checked::id), Some(entry.tx.id()));
                let paid = payers.entry(transaction.payer()).or_default();
                paid.0 += transaction.fee.get();
                paid.1 += usize::from(transaction.fee_payer.is_some());
            }
        }
        for (payer, known) in &self.index.payers {
            assert_eq!(payers.remove(payer).unwrap_or_default(), (known.fees.get(), known.sponsored.len()));
        }
        assert!(payers.values().all(|(fees, _)| *fees == 0));
    }
}
