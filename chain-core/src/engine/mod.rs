//! The glue of the parts: `Engine::handle(clock, Input) -> Vec<Output>`.
//!
//! ```text
//!             Submit                          Tick, Message
//!                │                                  │
//!              pool ──────── candidates ──────► consensus ◄─► wal
//!                │                                  │ Build, Judge, Commit
//!             pool log                           execute ──► ledger ──► announcements
//! ```
//!
//! Rules:
//! 1. Writes go through `Store` and `Log`, inside `handle`, in order; what the outside can see (a
//!    reply, a message, an announcement) is an output, and outputs are returned only after what
//!    they rest on is durable. A crash test fails any write and finds nothing promised too early.
//! 2. An error from `handle` is a fault of ours: the driver stops the process.
//! 3. Time comes in through the clock; there are no threads, sockets or randomness here.
//!
//! Not here: who performs the outputs (chain-node's driver, the simulator).

mod announce;
mod commit;
mod propose;
mod start;
mod submit;

pub use announce::Announcement;
pub use start::{Log as EngineLog, Start, StartError};
pub use submit::{Submission, Submitted, Ticket};

use crate::block::Block;
use crate::consensus::{self, Effect, Machine, Now, Offence, Peer};
use crate::crypto::PublicKey;
use crate::execute::Executed;
use crate::fault::Fault;
use crate::ledger::Chain;
use crate::mempool::Pool;
use crate::storage::{JournalError, Log};
use crate::tx::Checked;
use crate::types::{BlockId, Height};
use crate::wire::Message;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// The time the engine asked for with `WakeAt` has come.
    Tick,
    /// Transactions were submitted.
    Submit(Vec<Submission>),
    /// Another node is connected.
    Joined {
        /// Its number.
        peer: Peer,
        /// Which validator it has proven to be.
        validator: Option<PublicKey>,
    },
    /// The connection is gone; what was on its way may be lost.
    Left {
        /// Its number.
        peer: Peer,
    },
    /// A peer said something.
    Message {
        /// Who.
        from: Peer,
        /// What.
        message: Box<Message>,
    },
}

/// What the outside shall do, in order.
#[derive(Debug)]
pub enum Output {
    /// Answer a submission.
    Reply(Ticket, Result<Submitted, crate::types::Rejected>),
    /// Tell everybody who listens.
    Announce(Announcement),
    /// Send to these peers.
    Send {
        /// Whom; those that have gone meanwhile are no mistake.
        to: Vec<Peer>,
        /// What.
        message: Arc<Message>,
    },
    /// A peer did what no honest node does.
    Blame {
        /// Who.
        peer: Peer,
        /// What it did.
        offence: Offence,
    },
    /// Somebody else signed with our key at this height, or our log was lost.
    OwnKey(Height),
    /// Give `Tick` at this monotonic time in ms; replaces the earlier wish.
    WakeAt(u64),
    /// A validator contradicted itself. Becomes a transaction once a family takes it.
    Evidence(Box<consensus::Evidence>),
    /// The agreement met something that can't be inside the fault bound; a person has to look.
    Halted(Box<consensus::HaltReason>),
}

/// Both clocks, asked whenever a moment matters.
pub type Clock<'c> = &'c dyn Fn() -> Now;

/// What one node chooses.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// State, outcomes and index are written every so many blocks (at least 1).
    pub flush_interval_blocks: u64,
}

/// A block that was executed on the head and isn't final yet: a cache of one. Losing it costs an
/// execution, never a vote.
struct Candidate {
    id: BlockId,
    block: Block,
    transactions: Vec<Checked>,
    executed: Executed,
}

/// The pool, as the engine and the interfaces share it. Only the engine writes.
#[derive(Clone)]
pub struct SharedPool(Arc<RwLock<Pool>>);

impl SharedPool {
    /// For a short look.
    pub fn read(&self) -> RwLockReadGuard<'_, Pool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Pool> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node without its outside.
pub struct Engine {
    options: Options,
    chain: Arc<Chain>,
    pool: SharedPool,
    pool_log: Box<dyn Log + Send>,
    consensus: Machine,
    wal: Box<dyn Log + Send>,
    candidate: Option<Candidate>,
    /// Blocks of the height being decided, by id: proposed here or read back from the WAL.
    blocks: BTreeMap<BlockId, Block>,
    pool_was_empty: bool,
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        match error.is_full() {
            true => Fault::disk_full(format!("log: {error}")),
            false => Fault::new(format!("log: {error}")),
        }
    }
}

impl Engine {
    /// Takes in what happened and answers what to do.
    pub fn handle(&mut self, clock: Clock<'_>, input: Input) -> Result<Vec<Output>, Fault> {
        let mut outputs = Vec::new();
        match input {
            Input::Tick => self.step(clock, consensus::Input::Tick, &mut outputs)?,
            Input::Joined { .. } | Input::Left { .. } | Input::Message { .. } => {}
            Input::Submit(submissions) => {
                self.submit(clock, submissions, &mut outputs)?;
                self.tell_pool_change(clock, &mut outputs)?;
            }
        }
        Ok(outputs)
    }

    /// The chain, for readers.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// The pool, for readers.
    pub fn pool(&self) -> &SharedPool {
        &self.pool
    }

    /// Where the agreement stands.
    pub fn status(&self) -> consensus::Status {
        self.consensus.status()
    }

    /// Brings everything to disk that a restart would otherwise have to compute again.
    pub fn shut_down(&mut self) -> Result<(), Fault> {
        self.chain.flush()?;
        self.wal.sync()?;
        self.pool_log.sync()?;
        Ok(self.chain.store().flush()?)
    }

    fn step(&mut self, clock: Clock<'_>, input: consensus::Input, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let effects = self.consensus.step(clock(), input);
        self.perform(clock, effects, outputs)
    }

    /// Performs effects in order; what follows from them comes after all of them.
    fn perform(&mut self, clock: Clock<'_>, effects: Vec<Effect>, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let mut waiting = VecDeque::from(effects);
        while let Some(effect) = waiting.pop_front() {
            if effect.is_visible() {
                self.wal.sync()?;
            }
            let answers = self.perform_one(clock, effect, outputs)?;
            for answer in answers {
                waiting.extend(self.consensus.step(clock(), answer));
            }
        }
        // Nothing a later output could rest on stays unsynced.
        Ok(self.wal.sync()?)
    }

    fn perform_one(
        &mut self,
        clock: Clock<'_>,
        effect: Effect,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<consensus::Input>, Fault> {
        match effect {
            Effect::SwitchWal { .. } => self.switch_wal()?,
            Effect::Persist(record) => self.wal.append(&start::record_bytes(&record))?,
            Effect::PersistBody { block } => self.persist_body(&block)?,
            Effect::Build { height, view, timestamp } => return Ok(vec![self.build(height, view, timestamp)?]),
            Effect::Judge { block } => return Ok(self.judge(&block)?.into_iter().collect()),
            Effect::Commit { block, certificate } => return self.commit(clock, &block, certificate, outputs),
            Effect::Broadcast(_) | Effect::Send { .. } | Effect::Behind { .. } => {}
            Effect::Blame { peer, offence } => outputs.push(Output::Blame { peer, offence }),
            Effect::OwnKey { height } => outputs.push(Output::OwnKey(height)),
            Effect::WakeAt { mono_ms } => outputs.push(Output::WakeAt(mono_ms)),
            Effect::Report(event) => outputs.push(Output::Announce(Announcement::Consensus(event))),
            Effect::Halt(reason) => outputs.push(Output::Halted(Box::new(reason))),
            Effect::Evidence(evidence) => outputs.push(Output::Evidence(Box::new(evidence))),
        }
        Ok(Vec::new())
    }

    /// Begins a log that remembers nothing but the head, so that a database that loses final
    /// blocks is noticed: the next start finds the log ahead of it.
    fn switch_wal(&mut self) -> Result<(), Fault> {
        let mark = start::head_bytes(&self.chain.head().block);
        Ok(self.wal.switch(&[&mark])?)
    }

    /// Tells the agreement when the pool became empty or stopped being so.
    fn tell_pool_change(&mut self, clock: Clock<'_>, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        match self.pool_change() {
            Some(input) => self.step(clock, input, outputs),
            None => Ok(()),
        }
    }

    fn pool_change(&mut self) -> Option<consensus::Input> {
        let empty = self.pool.read().pending_len() == 0;
        let changed = empty != self.pool_was_empty;
        self.pool_was_empty = empty;
        changed.then_some(consensus::Input::Pool { empty })
    }
}
