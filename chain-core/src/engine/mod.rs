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
mod fetch;
mod network;
mod peers;
mod propose;
mod serve;
mod start;
mod submit;
mod sync;

pub use announce::Announcement;
pub use propose::Trust;
pub use serve::{answer, range};
pub use start::{Log as EngineLog, SignMemory, Start, StartError};
pub use submit::{Submission, Submitted, Ticket};

use crate::block::Block;
use crate::consensus::{self, Effect, Machine, Now, Offence, Peer};
use crate::crypto::PublicKey;
use crate::execute::Executed;
use crate::fault::Fault;
use crate::ledger::Chain;
use crate::mempool::Pool;
use crate::storage::{JournalError, Log, SignMark, SignState};
use crate::tx::Checked;
use crate::types::{BlockId, Certificate, Height, QuorumRule, TimestampMs, ValidatorSet, View};
use crate::wire::Message;
use fetch::Fetch;
use peers::Peers;
use std::cmp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use sync::Sync;

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
    /// The block of this height, from before our start, holds a vote of our key that our memory lacks. The
    /// memory is thrown away: nothing is signed until others have decided blocks that are clearly newer.
    MemoryTooOld(Height),
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
    /// Whose word is taken for the signatures in blocks that sync brings.
    pub trust: Trust,
    /// The operator's word that the blocks this node holds final from this height on stand, though
    /// finalizations of others exist: without it the node halts on such a conflict at every start.
    pub accept_conflict_at: Option<Height>,
}

/// How far others are, for readers.
#[derive(Debug, Default)]
pub struct Progress {
    target: AtomicU64,
    barrier: AtomicU64,
    halted: AtomicBool,
}

impl Progress {
    /// The highest final height that validators claim of whom one at least must be honest; where too few are
    /// connected, that of a peer that has delivered. At least our own.
    pub fn target(&self) -> Height {
        Height::new(self.target.load(Ordering::Relaxed))
    }

    /// Whether something was met that can't be inside the fault bound.
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Nothing is signed here at or below this height: at least the newest decided one; the greatest
    /// there is while a validator that lost its memory waits.
    pub fn barrier(&self) -> Height {
        Height::new(self.barrier.load(Ordering::Relaxed))
    }

    fn set(&self, target: Height, barrier: Height) {
        self.target.store(target.get(), Ordering::Relaxed);
        self.barrier.store(barrier.get(), Ordering::Relaxed);
    }
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
    /// Blocks of the height being decided, by id: built here, fetched, or read back from the WAL.
    blocks: BTreeMap<BlockId, Block>,
    /// What is final but whose body is not here yet.
    awaited: Option<(BlockId, Certificate)>,
    /// Blocks that sync brought are stored and not yet durable.
    unsettled: bool,
    /// The log is to begin anew once they are.
    switch_due: bool,
    /// The furthest height the log held something of at the start.
    logged_up_to: Height,
    /// When this engine was started.
    started: TimestampMs,
    rule: QuorumRule,
    own_key: Option<PublicKey>,
    signing: Signing,
    peers: Peers,
    fetch: Fetch,
    sync: Sync,
    progress: Arc<Progress>,
    /// The next block is under rules this software does not know.
    is_outdated: bool,
    /// When the agreement wants its next tick.
    wake_at: Option<u64>,
    pool_was_empty: bool,
}

/// The second memory of what was signed, with what it does not know yet.
struct Signing {
    state: Option<Box<dyn SignState + Send>>,
    mark: SignMark,
    unsaved: bool,
    /// Whether there was a mark at the start: without one nobody knows what was signed.
    known: bool,
    /// The mark was found to be too old and is thrown away.
    forgotten: bool,
}

impl Signing {
    /// Whether a certificate holds a vote of ours that we know we never gave: every vote is marked
    /// before it leaves.
    fn lacks(&self, certificate: &Certificate, own: Option<&PublicKey>, set: &ValidatorSet) -> bool {
        self.known && certificate.height() > self.mark.height && holds_vote_of(certificate, own, set)
    }

    /// Throws the mark away, so that later starts know that nothing is known. Whether it was still there.
    fn forget(&mut self) -> Result<bool, Fault> {
        self.unsaved = false;
        if let Some(state) = self.state.as_mut().filter(|_| !self.forgotten) {
            state.forget()?;
        }
        Ok(!std::mem::replace(&mut self.forgotten, true))
    }

    fn note(&mut self, (height, view): (Height, View)) {
        self.unsaved = true;
        match height.cmp(&self.mark.height) {
            // Only where an operator lets a key sign again below what it is known to have signed.
            cmp::Ordering::Less => {}
            cmp::Ordering::Equal => {
                (self.mark.view, self.mark.words) = (self.mark.view.max(view), self.mark.words.saturating_add(1));
            }
            cmp::Ordering::Greater => self.mark = SignMark { height, view, words: 1 },
        }
    }

    fn save(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.unsaved)
            && let Some(state) = &mut self.state
        {
            state.save(self.mark)?;
        }
        Ok(())
    }
}

fn holds_vote_of(certificate: &Certificate, key: Option<&PublicKey>, set: &ValidatorSet) -> bool {
    let place = key.and_then(|key| set.index_of(key));
    let signers = certificate.signers.places(set.members().len());
    place.is_some_and(|place| signers.is_some_and(|signers| signers.contains(&place)))
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
            Input::Tick => {
                self.wake_at = None;
                self.step(clock, consensus::Input::Tick, &mut outputs)?;
                // Only here: it takes long, and what peers say comes between.
                self.apply_synced(clock, &mut outputs)?;
            }
            Input::Joined { peer, validator } => self.join(clock, peer, validator, &mut outputs)?,
            Input::Left { peer } => self.leave(peer),
            Input::Message { from, message } => self.hear(clock, from, *message, &mut outputs)?,
            Input::Submit(submissions) => {
                self.submit(clock, submissions, &mut outputs)?;
                self.tell_pool_change(clock, &mut outputs)?;
            }
        }
        self.keep_up(clock, &mut outputs)?;
        self.ask_to_wake(clock, &mut outputs);
        Ok(outputs)
    }

    /// The earliest moment anything here waits for.
    fn ask_to_wake(&self, clock: Clock<'_>, outputs: &mut Vec<Output>) {
        let ready = self.sync.is_ready(self.height().next()) && !self.is_silent();
        let at_once = ready.then(|| clock().mono_ms);
        let due = [self.wake_at, self.fetch.due_ms(), self.sync.due_ms(), at_once].into_iter().flatten().min();
        outputs.extend(due.map(Output::WakeAt));
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

    /// How far others are, for readers.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    fn height(&self) -> Height {
        self.chain.head().block.header.height
    }

    fn is_halted(&self) -> bool {
        self.progress.is_halted()
    }

    /// Whether the agreement goes on without this node: what others still need of it they get.
    fn is_silent(&self) -> bool {
        self.is_outdated || self.is_halted()
    }

    /// Something that can't be inside the fault bound: nothing is decided here any more.
    fn halt(&mut self, reason: consensus::HaltReason, outputs: &mut Vec<Output>) {
        self.progress.halted.store(true, Ordering::Relaxed);
        outputs.push(Output::Halted(Box::new(reason)));
    }

    /// Brings everything to disk that a restart would otherwise have to compute again.
    pub fn shut_down(&mut self) -> Result<(), Fault> {
        self.chain.flush()?;
        self.wal.sync()?;
        self.pool_log.sync()?;
        Ok(self.chain.store().flush()?)
    }

    fn step(&mut self, clock: Clock<'_>, input: consensus::Input, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        self.answer(clock, vec![input], outputs)
    }

    /// Tells the agreement something and performs what it wants.
    fn answer(
        &mut self,
        clock: Clock<'_>,
        inputs: Vec<consensus::Input>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        for input in inputs {
            if self.is_silent() {
                return Ok(());
            }
            let effects = self.consensus.step(clock(), input);
            self.perform(clock, effects, outputs)?;
        }
        Ok(())
    }

    /// Performs effects in order; what follows from them comes after all of them.
    fn perform(&mut self, clock: Clock<'_>, effects: Vec<Effect>, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let mut waiting = VecDeque::from(effects);
        while let Some(effect) = waiting.pop_front() {
            if effect.is_visible() {
                self.make_durable()?;
            }
            let answers = self.perform_one(clock, effect, outputs)?;
            for answer in answers {
                if !self.is_silent() {
                    waiting.extend(self.consensus.step(clock(), answer));
                }
            }
        }
        // Nothing a later output could rest on stays unsynced.
        self.make_durable()
    }

    /// The log first, then the mark outside the data directory, then whatever rests on them.
    fn make_durable(&mut self) -> Result<(), Fault> {
        self.wal.sync()?;
        self.signing.save()
    }

    fn perform_one(
        &mut self,
        clock: Clock<'_>,
        effect: Effect,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<consensus::Input>, Fault> {
        match effect {
            // Blocks that aren't durable yet must not be named by the log: it waits for the others.
            Effect::SwitchWal { .. } if self.unsettled => self.switch_due = true,
            Effect::SwitchWal { .. } => self.switch_wal()?,
            Effect::Persist(record) => self.log_word(&record)?,
            Effect::PersistBody { block } => self.persist_body(&block)?,
            Effect::Build { height, view, timestamp } => return Ok(vec![self.build(height, view, timestamp)?]),
            Effect::Judge { block } => return Ok(self.judge(clock, &block, outputs)?.into_iter().collect()),
            Effect::Commit { block, certificate } => return self.commit(clock, &block, certificate, outputs),
            Effect::Broadcast(message) => self.broadcast(message, outputs),
            Effect::Send { to, message } => self.say(vec![to], message, outputs),
            Effect::Behind { .. } => self.sync.start(),
            Effect::Blame { peer, offence } => outputs.push(Output::Blame { peer, offence }),
            Effect::OwnKey { height } => outputs.push(Output::OwnKey(height)),
            Effect::WakeAt { mono_ms } => self.wake_at = Some(mono_ms),
            Effect::Report(event) => outputs.push(Output::Announce(Announcement::Consensus(event))),
            Effect::Halt(reason) => self.halt(reason, outputs),
            Effect::Evidence(evidence) => outputs.push(Output::Evidence(Box::new(evidence))),
        }
        Ok(Vec::new())
    }

    /// Makes the blocks of a turn of sync durable, then begins the log above them.
    fn settle(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.unsettled) {
            self.chain.sync()?;
        }
        match std::mem::take(&mut self.switch_due) {
            true => self.switch_wal(),
            false => Ok(()),
        }
    }

    fn log_word(&mut self, record: &consensus::WalRecord) -> Result<(), Fault> {
        self.settle()?;
        match record {
            consensus::WalRecord::Proposal(proposal) => self.signing.note((proposal.height, proposal.view)),
            consensus::WalRecord::Vote(vote) => self.signing.note((vote.message.height, vote.message.view)),
            consensus::WalRecord::Certificate(_) | consensus::WalRecord::Barrier(_) => {}
        }
        Ok(self.wal.append(&start::record_bytes(record))?)
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
