//! A chain of one validator without a process: an engine on a [`Disk`], driven in virtual time.
//!
//! After every block the books are audited and every vote is compared with the ones before it.

use crate::disk::{Disk, Fuse};
use crate::wallet::Wallet;
use chain_core::consensus::{self, Now};
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::engine::{Announcement, Engine, Input, Options, Output, Start, Submission, Trust};
use chain_core::genesis::Genesis;
use chain_core::ledger::{self, CommittedBlock};
use chain_core::mempool::{PoolLimits, Status};
use chain_core::state::money;
use chain_core::tx::Checked;
use chain_core::types::{BlockId, Height, Rejected, TimestampMs, TxId, View, VoteKind};
use chain_core::wire::Message;
use genesis::preset::{Facts, devnet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// When height 1 of the chain starts, in unix ms.
pub const GENESIS_MS: u64 = 1_700_000_000_000;
/// Time between blocks, in ms.
pub const BLOCK_TIME_MS: u32 = 100;
/// How many accounts are funded.
pub const ACCOUNTS: u8 = 6;

fn seed(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The key of the only validator.
pub fn validator() -> SecretKey {
    seed(200)
}

/// The chain's genesis: one validator, [`ACCOUNTS`] funded accounts.
pub fn genesis() -> Genesis {
    genesis_of(&[validator().public()])
}

/// The same with these validators.
pub fn genesis_of(validators: &[PublicKey]) -> Genesis {
    let addresses: Vec<_> = (1..=ACCOUNTS).map(chain_core::testing::address).collect();
    let now = TimestampMs::new(GENESIS_MS);
    let facts = Facts { validators, accounts: &addresses, now, salt: [7; 32] };
    devnet(facts, BLOCK_TIME_MS).unwrap().compile().unwrap()
}

/// On which chain a machine starts, and as whom.
pub struct Role {
    /// The chain.
    pub genesis: Genesis,
    /// The validator's key; a follower has none.
    pub key: Option<SecretKey>,
    /// The height at which its operator lets a conflict be.
    pub accept_conflict_at: Option<Height>,
}

impl Role {
    /// The only validator.
    pub fn alone() -> Self {
        Self::of(genesis(), validator())
    }

    /// A validator of a chain.
    pub fn of(genesis: Genesis, key: SecretKey) -> Self {
        Self { genesis, key: Some(key), accept_conflict_at: None }
    }
}

/// A funded account, by a number from 1.
pub fn wallet(number: u8) -> Wallet {
    Wallet::new(genesis().chain_id(), seed(number))
}

/// What the outside has been told, over all starts on one disk.
#[derive(Default)]
pub struct Told {
    /// Final blocks.
    pub blocks: BTreeMap<Height, Arc<CommittedBlock>>,
    /// Transactions that were acknowledged as pending or final.
    pub acknowledged: BTreeSet<TxId>,
    /// Transactions that were refused.
    pub refused: Vec<Rejected>,
    votes: BTreeMap<(Height, View, VoteKind), Option<BlockId>>,
}

/// A running engine.
pub struct Machine {
    /// The engine.
    pub engine: Engine,
    /// How many blocks were executed again at the start.
    pub replayed: u64,
    /// The head that was found on the disk.
    pub found: Arc<CommittedBlock>,
    /// Unix time in ms.
    pub wall: u64,
    /// The height that is announced next.
    next: Height,
    started: u64,
    wake_at: Option<u64>,
}

impl Machine {
    /// Starts on a disk. The text says why it can't.
    pub fn start(
        disk: &Disk,
        fuse: &Arc<Fuse>,
        flush_interval_blocks: u64,
        wall: u64,
        told: &mut Told,
    ) -> Result<Self, String> {
        let (mut machine, outputs) = Self::start_as(Role::alone(), disk, fuse, flush_interval_blocks, wall)?;
        machine.hear(outputs, told);
        Ok(machine)
    }

    /// Starts as one of several; what the outside shall do is the caller's.
    pub fn start_as(
        Role { genesis, key, accept_conflict_at }: Role,
        disk: &Disk,
        fuse: &Arc<Fuse>,
        flush_interval_blocks: u64,
        wall: u64,
    ) -> Result<(Self, Vec<Output>), String> {
        let opened = ledger::open(disk.store(fuse), &genesis, &mut |_| {}).map_err(|e| e.to_string())?;
        let found = opened.chain.head().block.clone();
        let start = Start {
            options: Options { flush_interval_blocks, trust: Trust::Nobody, accept_conflict_at },
            pool_limits: PoolLimits::default(),
            chain: opened.chain,
            rule: genesis.quorum_rule,
            sign_memory: key.as_ref().map(|_| disk.sign_memory()),
            key: key.map(Arc::new),
            wal: disk.wal(fuse),
            pool_log: disk.pool_log(fuse),
            resume_signing_at: None,
        };
        let now = Now { wall: TimestampMs::new(wall), mono_ms: 0 };
        let (engine, outputs) = Engine::start(start, &|| now).map_err(|e| e.to_string())?;
        let next = found.header.height.next();
        let (replayed, started, wake_at) = (opened.replayed, wall, None);
        Ok((Self { engine, replayed, found, wall, next, started, wake_at }, outputs))
    }

    /// The head's height.
    pub fn height(&self) -> Height {
        self.engine.chain().head().block.header.height
    }

    /// Submits transactions.
    pub fn submit(&mut self, transactions: &[Checked], told: &mut Told) -> Result<(), String> {
        let submission =
            |(ticket, tx): (usize, &Checked)| Submission { ticket: ticket as u64, transaction: tx.clone() };
        self.handle(Input::Submit(transactions.iter().enumerate().map(submission).collect()), told)
    }

    /// Lets the time come that the engine waits for.
    pub fn tick(&mut self, told: &mut Told) -> Result<(), String> {
        let at = self.wake_at.take().expect("the engine waits for some time");
        self.wall = self.wall.max(self.started + at);
        self.handle(Input::Tick, told)
    }

    /// Runs until the head is at least at a height.
    pub fn run_to(&mut self, height: Height, told: &mut Told) -> Result<(), String> {
        for _ in 0..100_000 {
            if self.height() >= height {
                return Ok(());
            }
            self.tick(told)?;
        }
        panic!("the chain stands at {}", self.height());
    }

    /// Where a transaction is.
    pub fn status(&self, id: &TxId) -> Status {
        match self.engine.chain().locate(id).unwrap() {
            Some(found) => Status::Final { height: found.block.header.height, index: found.index },
            None => self.engine.pool().read().status(id),
        }
    }

    fn handle(&mut self, input: Input, told: &mut Told) -> Result<(), String> {
        let now = Now { wall: TimestampMs::new(self.wall), mono_ms: self.wall - self.started };
        let outputs = self.engine.handle(&|| now, input).map_err(|e| e.to_string())?;
        self.hear(outputs, told);
        Ok(())
    }

    /// Takes what the engine says to the outside.
    pub fn hear(&mut self, outputs: Vec<Output>, told: &mut Told) {
        for output in outputs {
            match output {
                Output::Reply(_, Ok(taken)) => {
                    if matches!(taken.status, Status::Pending | Status::Final { .. }) {
                        told.acknowledged.insert(taken.tx_id);
                    }
                }
                Output::Reply(_, Err(rejected)) => told.refused.push(rejected),
                Output::Announce(Announcement::Block(block)) => self.hear_block(block, told),
                Output::Announce(_) => {}
                // Also what reaches nobody: there is one validator.
                Output::Send { message, .. } => hear_message(&message, told),
                Output::Blame { peer, offence } => panic!("{peer:?} blamed for {offence:?}"),
                Output::OwnKey(height) | Output::MemoryTooOld(height) => panic!("our key at {height}"),
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Evidence(evidence) => panic!("evidence against the only validator: {evidence:?}"),
                Output::Halted(reason) => panic!("halted: {reason:?}"),
            }
        }
    }

    fn hear_block(&mut self, block: Arc<CommittedBlock>, told: &mut Told) {
        assert_conserved(&self.engine);
        let height = block.header.height;
        assert_eq!(height, self.next, "blocks are announced one after the other");
        self.next = height.next();
        if let Some(before) = told.blocks.insert(height, block.clone()) {
            assert_eq!(before.id, block.id, "two final blocks at {height}");
        }
    }
}

fn hear_message(message: &Message, told: &mut Told) {
    let Message::Agreement { message: consensus::Message::Vote(vote), .. } = message else { return };
    let said = vote.message;
    let earlier = told.votes.insert((said.height, said.view, said.kind), said.block);
    assert!(earlier.is_none_or(|earlier| earlier == said.block), "two votes: {earlier:?} and {said:?}");
    let other = match said.kind {
        VoteKind::Finalize => VoteKind::Nullify,
        VoteKind::Nullify => VoteKind::Finalize,
        VoteKind::Notarize => return,
    };
    assert!(!told.votes.contains_key(&(said.height, said.view, other)), "to finalize and to nullify: {said:?}");
}

/// Nothing appeared or vanished.
pub fn assert_conserved(engine: &Engine) {
    let head = engine.chain().head();
    for supply in money::audit(&head.tree).unwrap() {
        assert!(supply.is_conserved(), "{supply:?}");
        assert!(supply.in_accounts <= supply.asset.max_supply, "{supply:?}");
    }
}
