//! The engine's outside: one thread that owns it, hands it what happened and performs what it
//! answers; and the threads that verify signatures before anything reaches it.
//!
//! ```text
//! peers  ──────────────────────────────► ┐ first
//!                                        ├─ engine thread ──► replies, announcements, frames
//! submit ──► verify threads (batches) ─► ┘ then
//! ```
//!
//! Not here: any rule, sockets (`p2p`).

use crate::catching_up::FAR_BEHIND;
use crate::counts::Counts;
use crate::exit::Exit;
use crate::locks::lock;
use chain_core::consensus::{ConsensusEvent, Now, Offence, Peer};
use chain_core::engine::{Announcement, Engine, Input, Output, Progress, SharedPool, Submission, Submitted, Ticket};
use chain_core::execute::glance;
use chain_core::fault::Failure;
use chain_core::ledger::Chain;
use chain_core::state::params;
use chain_core::state::protocol::{RULES_VERSION, check_version};
use chain_core::tx::{self, Checked, Formed};
use chain_core::types::{Equivocation, Evidence, Height, Rejected, TimestampMs};
use chain_core::wire::{Lane, Message};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, select_biased};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

/// Submissions waiting for a verify thread.
const VERIFY_QUEUE: usize = 1024;
/// Verified submissions waiting for the engine.
const ENGINE_QUEUE: usize = 256;
/// Messages of peers waiting for the engine.
const PEER_QUEUE: usize = 4096;
/// Their bytes.
const PEER_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Transactions verified, and handed to the engine, at a time.
const BATCH_TXS: usize = 1024;
/// Bytes of submissions under way.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Announcements a reader may be behind.
const ANNOUNCEMENTS: usize = 65_536;
/// Inputs that go before a tick that is due: while the engine catches up a tick takes long, and what peers say
/// must not wait for one each.
const HEARD_PER_TICK: usize = 64;
/// The engine's thread comes round at least so often, so that a jam shows.
const MAX_WAIT_MS: u64 = 1_000;

/// How long a node serves what it has after the last block under rules it knows.
const FAREWELL_MS: u64 = 2_000;

/// Where what the engine says to peers goes. Never blocks.
pub trait Links: Send + Sync {
    /// Sends one frame to these peers; those that are gone are no mistake.
    fn send(&self, to: &[Peer], lane: Lane, frame: Arc<[u8]>, message: &Message);
    /// A peer did what no honest node does.
    fn blame(&self, peer: Peer, offence: Offence);
    /// Whether what a peer said is still worth a look: not if it was shut out since. Asked for every
    /// message.
    fn hears(&self, peer: Peer) -> bool;
}

/// How one transaction ended.
type Verdict = Result<Submitted, Rejected>;
/// How a submission ended.
pub type Verdicts = Vec<Verdict>;

/// Whose transactions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Somebody waits for the answer, and whatever is said to him is durable.
    Client,
    /// Other nodes: what is known or final already is not looked at any further.
    Gossip,
}

/// Transactions as bytes, and whom to answer.
struct Job {
    bytes: Vec<Vec<u8>>,
    source: Source,
    reply: oneshot::Sender<Verdicts>,
}

/// Transactions for the engine; a verdict where there is one already.
type Verified = (Vec<Result<Checked, Verdict>>, oneshot::Sender<Verdicts>);

/// What reaches the engine before any submission.
enum Urgent {
    /// With the bytes it came in.
    Peer(Input, usize),
    Stop,
}

/// A running engine.
pub struct Driver {
    /// Taken away on stop: that ends the verify threads.
    jobs: Mutex<Option<Sender<Job>>>,
    urgent: Sender<Urgent>,
    urgent_bytes: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    announcements: broadcast::Sender<Announcement>,
    progress: Arc<Progress>,
    chain: Arc<Chain>,
    /// Bytes that may still be taken in.
    room: Semaphore,
}

/// The engine's thread: ends when told to stop, or with a fault.
pub struct Running {
    engine: JoinHandle<Result<(), Exit>>,
    verifiers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Whether a thread has ended: the engine's, or one that verifies, which none does by itself.
    pub fn is_over(&self) -> bool {
        self.engine.is_finished() || self.verifiers.iter().any(JoinHandle::is_finished)
    }

    /// Waits for the end.
    pub fn join(self) -> Result<(), Exit> {
        let ended = self.engine.join();
        // Each holds the database, which must be closed before the process goes.
        let verified = self.verifiers.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok());
        match ended {
            Ok(result) if verified => result,
            _ => Err(Exit::Database("the engine panicked; this is a bug, please report it".into())),
        }
    }
}

/// Too much is waiting already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Driver {
    /// Starts the threads. `outputs` are those of `Engine::start`.
    pub fn start(
        engine: Engine,
        outputs: Vec<Output>,
        clock: MonoClock,
        verify_threads: usize,
        links: Arc<dyn Links>,
        (counts, evidence): (Arc<Counts>, mpsc::Sender<Evidence>),
    ) -> (Arc<Self>, Running) {
        let (jobs, job_queue) = bounded(VERIFY_QUEUE);
        let (verified, verified_queue) = bounded(ENGINE_QUEUE);
        let (urgent, urgent_queue) = bounded(PEER_QUEUE);
        let (urgent_bytes, stopping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS);
        let (chain, progress) = (engine.chain().clone(), engine.progress().clone());
        let mut verifiers = Vec::new();
        for _ in 0..verify_threads {
            let (chain, pool, queue) = (chain.clone(), engine.pool().clone(), job_queue.clone());
            let (verified, counts) = (verified.clone(), counts.clone());
            verifiers.push(std::thread::spawn(move || verify((&chain, &pool), &queue, &verified, &counts)));
        }
        let outside = Outside {
            announcements: announcements.clone(),
            links,
            progress: progress.clone(),
            counts,
            evidence,
            clock,
            wake_at: None,
            own_key_seen: None,
            outdated_at: None,
            has_new_block: false,
            urgent_bytes: urgent_bytes.clone(),
            stopping: stopping.clone(),
            replies: HashMap::new(),
        };
        let behind = chain.clone();
        let engine = std::thread::spawn(move || {
            let ended = outside.run(engine, outputs, &urgent_queue, &verified_queue);
            ended.map_err(|exit| exit.before(behind.head().block.header.height.next()))
        });
        let (jobs, room) = (Mutex::new(Some(jobs)), Semaphore::new(WAITING_BYTES));
        (
            Arc::new(Self { jobs, urgent, urgent_bytes, stopping, announcements, progress, chain, room }),
            Running { engine, verifiers },
        )
    }

    /// Whether a message of so many bytes would be taken now.
    pub fn has_room(&self, bytes: usize) -> bool {
        let waiting = self.urgent_bytes.load(Ordering::Relaxed);
        !self.urgent.is_full() && (waiting == 0 || waiting.saturating_add(bytes) <= PEER_QUEUE_BYTES)
    }

    /// Hands over what peers do and say, with the bytes it came in; gives it back if too much is
    /// waiting.
    pub fn deliver(&self, input: Input, bytes: usize) -> Option<Input> {
        if !self.has_room(bytes) {
            return Some(input);
        }
        self.urgent_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.urgent.try_send(Urgent::Peer(input, bytes)) {
            Err(TrySendError::Full(Urgent::Peer(input, bytes))) => {
                self.urgent_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Some(input)
            }
            // Nobody hears anything any more once the engine is gone.
            _ => None,
        }
    }

    /// The chain, for readers.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// How far others are.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Verifies transactions and offers them to the pool; answers once that is durable.
    pub async fn submit(&self, transactions: Vec<Vec<u8>>) -> Result<Verdicts, Busy> {
        self.take(transactions, Source::Client).await
    }

    /// As [`Self::submit`], for what other nodes pass on: a transaction that is known is no news, and
    /// one whose nonce is used is refused even if it is final. Neither costs a signature.
    pub async fn submit_gossip(&self, transactions: Vec<Vec<u8>>) -> Result<Verdicts, Busy> {
        self.take(transactions, Source::Gossip).await
    }

    async fn take(&self, mut transactions: Vec<Vec<u8>>, source: Source) -> Result<Verdicts, Busy> {
        let bytes = transactions.iter().map(Vec::len).sum::<usize>();
        let bytes = u32::try_from(bytes).map_err(|_| Busy)?;
        let _room = self.room.try_acquire_many(bytes).map_err(|_| Busy)?;
        let mut answers = Vec::new();
        while !transactions.is_empty() {
            let rest = transactions.split_off(transactions.len().min(BATCH_TXS));
            let (reply, answer) = oneshot::channel();
            let job = Job { bytes: std::mem::replace(&mut transactions, rest), source, reply };
            self.offer(job)?;
            answers.push(answer);
        }
        let mut verdicts = Vec::new();
        for answer in answers {
            // The sender is only dropped when the engine has stopped.
            verdicts.extend(answer.await.map_err(|_| Busy)?);
        }
        Ok(verdicts)
    }

    fn offer(&self, job: Job) -> Result<(), Busy> {
        let jobs = lock(&self.jobs);
        jobs.as_ref().ok_or(Busy)?.try_send(job).map_err(|_: TrySendError<Job>| Busy)
    }

    /// Everything announced from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.announcements.subscribe()
    }

    /// Whether the agreement has stopped on a conflict.
    pub fn is_halted(&self) -> bool {
        self.progress.is_halted()
    }

    /// Asks the engine to write what it holds and end.
    pub fn stop(&self) {
        lock(&self.jobs).take();
        self.stopping.store(true, Ordering::Relaxed);
        // It only wakes: a full queue does that too, and if the engine is gone nothing is left to stop.
        let _ = self.urgent.try_send(Urgent::Stop);
    }
}

/// A monotonic clock in ms since the start of the process, beside the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct MonoClock(Instant);

impl MonoClock {
    /// Starts at 0.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now { wall: wall_clock(), mono_ms: self.0.elapsed().as_millis() as u64 }
    }
}

/// The wall clock.
pub fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs::new(since.as_millis() as u64)
}

/// Verifies whatever is waiting, many at a time: one batch costs half of single verifications.
fn verify(here: (&Chain, &SharedPool), queue: &Receiver<Job>, verified: &Sender<Verified>, counts: &Counts) {
    while let Some(jobs) = gather(queue) {
        let timer = counts.verified.start_timer();
        let (mut formed, mut early) = (Vec::new(), Vec::new());
        for (source, bytes) in jobs.iter().flat_map(|job| job.bytes.iter().map(|bytes| (job.source, bytes))) {
            match look(here, source, bytes) {
                Ok(one) => {
                    formed.push(Ok(one));
                    early.push(None);
                }
                Err(verdict) => early.push(Some(verdict)),
            }
        }
        let mut rest = tx::verify(formed).into_iter();
        timer.observe_duration();
        let mut checked = early.into_iter().filter_map(|early| match early {
            Some(verdict) => Some(Err(verdict)),
            None => rest.next().map(|checked| checked.map_err(Err)),
        });
        for job in jobs {
            let own = checked.by_ref().take(job.bytes.len()).collect();
            if verified.send((own, job.reply)).is_err() {
                return;
            }
        }
    }
}

/// Judges what costs little before signatures, which cost much.
fn look((chain, pool): (&Chain, &SharedPool), source: Source, bytes: &[u8]) -> Result<Formed, Verdict> {
    let formed = Formed::read(&chain.id(), bytes).map_err(Err)?;
    let (tx_id, wire_id) = (formed.id(), formed.wire_id());
    if source == Source::Gossip {
        let pool = pool.read();
        if pool.get_by_wire(&wire_id).is_some() {
            return Err(Ok(Submitted { tx_id, wire_id, status: pool.status(&tx_id), new: false }));
        }
    }
    let glance = {
        let head = chain.head();
        params(&head.tree).map_err(Failure::Fault).and_then(|params| glance(&head.tree, &params, &formed))
    };
    match glance {
        // The engine tells a final transaction from one that comes too late, and meets faults itself.
        Err(Failure::Rejected(rejected)) if source == Source::Gossip || !matches!(chain.place(&tx_id), Ok(Some(_))) => {
            Err(Err(rejected))
        }
        _ => Ok(formed),
    }
}

fn gather(queue: &Receiver<Job>) -> Option<Vec<Job>> {
    let first = queue.recv().ok()?;
    let mut count = first.bytes.len();
    let mut jobs = vec![first];
    while count < BATCH_TXS
        && let Ok(job) = queue.try_recv()
    {
        count += job.bytes.len();
        jobs.push(job);
    }
    Some(jobs)
}

/// A reply under way: verdicts by place, and how many are missing.
struct Reply {
    verdicts: Vec<Option<Result<Submitted, Rejected>>>,
    sender: oneshot::Sender<Verdicts>,
}

struct Outside {
    announcements: broadcast::Sender<Announcement>,
    links: Arc<dyn Links>,
    progress: Arc<Progress>,
    counts: Arc<Counts>,
    clock: MonoClock,
    wake_at: Option<u64>,
    urgent_bytes: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    own_key_seen: Option<Height>,
    evidence: mpsc::Sender<Evidence>,
    /// Since when, on the monotonic clock, the next block is under rules nobody here knows.
    outdated_at: Option<u64>,
    /// A block became final in this turn.
    has_new_block: bool,
    replies: HashMap<u64, Reply>,
}

impl Outside {
    fn run(
        mut self,
        mut engine: Engine,
        outputs: Vec<Output>,
        urgent: &Receiver<Urgent>,
        verified: &Receiver<Verified>,
    ) -> Result<(), Exit> {
        let clock = self.clock;
        let now = move || clock.now();
        self.perform(outputs);
        let mut heard = 0;
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                return Ok(engine.shut_down()?);
            }
            let wakes = self.wake_at.into_iter().chain(self.outdated_at.map(|since| since.saturating_add(FAREWELL_MS)));
            let due = wakes.min().map(|at| at.saturating_sub(now().mono_ms));
            let wait = Duration::from_millis(due.unwrap_or(MAX_WAIT_MS).min(MAX_WAIT_MS));
            // Words of the agreement never wait behind transactions.
            let input = select_biased! {
                recv(urgent) -> event => match event {
                    Ok(Urgent::Peer(input, bytes)) => self.take_out(input, bytes),
                    Ok(Urgent::Stop) | Err(_) => return Ok(engine.shut_down()?),
                },
                recv(verified) -> batch => match batch {
                    Ok(batch) => Some(Input::Submit(self.collect(batch, verified))),
                    // The verify threads end first when the node stops.
                    Err(_) => match urgent.recv_timeout(wait) {
                        Ok(Urgent::Peer(input, bytes)) => self.take_out(input, bytes),
                        Err(RecvTimeoutError::Timeout) => None,
                        Ok(Urgent::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(engine.shut_down()?),
                    },
                },
                default(wait) => None,
            };
            self.counts.turned();
            if let Some(input) = input {
                let timer = self.counts.step(kind(&input));
                let outputs = engine.handle(&now, input)?;
                timer.observe_duration();
                self.perform(outputs);
                self.answer();
                heard += 1;
            }
            let waits = self.wake_at.is_some_and(|at| at <= now().mono_ms);
            if waits && (urgent.is_empty() || heard >= HEARD_PER_TICK) {
                heard = 0;
                self.wake_at = None;
                let timer = self.counts.step("tick");
                let outputs = engine.handle(&now, Input::Tick)?;
                timer.observe_duration();
                self.perform(outputs);
            }
            if std::mem::take(&mut self.has_new_block) {
                self.note_version(engine.chain());
            }
            if self.outdated_at.is_some_and(|since| since.saturating_add(FAREWELL_MS) <= now().mono_ms) {
                let outdated = check_version(&engine.chain().head().tree, RULES_VERSION);
                engine.shut_down()?;
                return Ok(outdated?);
            }
            if let Some(height) = self.own_key_seen {
                engine.shut_down()?;
                return Err(Exit::Key(format!(
                    "somebody else signs with this validator's key (height {height}): a second node runs with a copy of it"
                )));
            }
        }
    }

    /// Nothing if whoever said it has been shut out meanwhile: it is not worth a verification.
    fn take_out(&self, input: Input, bytes: usize) -> Option<Input> {
        self.urgent_bytes.fetch_sub(bytes, Ordering::Relaxed);
        match &input {
            Input::Message { from, .. } if !self.links.hears(*from) => None,
            _ => Some(input),
        }
    }

    /// Takes what else is waiting, so that one write to the log answers for many.
    fn collect(&mut self, (checked, sender): Verified, verified: &Receiver<Verified>) -> Vec<Submission> {
        let mut submissions = Vec::new();
        self.enter(checked, sender, &mut submissions);
        while submissions.len() < BATCH_TXS && self.replies.len() < ENGINE_QUEUE {
            match verified.try_recv() {
                Ok((checked, sender)) => self.enter(checked, sender, &mut submissions),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        submissions
    }

    /// A ticket is the reply's number in the upper half, the place within it in the lower.
    fn enter(
        &mut self,
        checked: Vec<Result<Checked, Verdict>>,
        sender: oneshot::Sender<Verdicts>,
        submissions: &mut Vec<Submission>,
    ) {
        let number = self.replies.len() as u64;
        let mut verdicts = Vec::with_capacity(checked.len());
        for (place, checked) in checked.into_iter().enumerate() {
            verdicts.push(match checked {
                Err(verdict) => Some(verdict),
                Ok(transaction) => {
                    submissions.push(Submission { ticket: number << 32 | place as Ticket, transaction });
                    None
                }
            });
        }
        self.replies.insert(number, Reply { verdicts, sender });
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Reply(ticket, verdict) => {
                    let place = (ticket & u64::from(u32::MAX)) as usize;
                    let reply = self.replies.get_mut(&(ticket >> 32));
                    if let Some(slot) = reply.and_then(|reply| reply.verdicts.get_mut(place)) {
                        *slot = Some(verdict);
                    }
                }
                Output::Announce(announcement) => {
                    self.log(&announcement);
                    self.has_new_block |= matches!(announcement, Announcement::Block(_));
                    // Nobody listening is fine.
                    let _ = self.announcements.send(announcement);
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Send { to, message } if !to.is_empty() => {
                    self.links.send(&to, message.lane(), message.encode().into(), &message);
                }
                Output::Send { .. } => {}
                Output::Blame { peer, offence } => self.links.blame(peer, offence),
                Output::OwnKey(height) => self.own_key_seen = Some(height),
                Output::MemoryTooOld(height) => tracing::error!(
                    height = height.get(),
                    "this validator's memory of what it signed is too old: the block of this height holds a vote that it lacks. \
                     The memory is thrown away: nothing is signed until the others have made newer blocks final"
                ),
                Output::Evidence(evidence) => self.tell_evidence(*evidence),
                Output::Halted(reason) => {
                    tracing::error!(
                        ?reason,
                        "the agreement met a conflict and stopped; do not restart before it is understood"
                    );
                }
            }
        }
    }

    /// Whether the next block is under rules this program does not know. What it has it serves for a moment
    /// longer: others may still need the newest block.
    fn note_version(&mut self, chain: &Chain) {
        let is_outdated = check_version(&chain.head().tree, RULES_VERSION).is_err_and(|fault| fault.is_outdated());
        if is_outdated && self.outdated_at.is_none() {
            tracing::error!("the next block is under rules this program does not know; the node stops");
            self.outdated_at = Some(self.clock.now().mono_ms);
        }
    }

    fn tell_evidence(&self, evidence: Evidence) {
        self.counts.equivocation();
        if let Ok(Equivocation { height, view, kind }) = evidence.equivocation() {
            let event = ConsensusEvent::Equivocation { height, view, kind, validator: evidence.signer() };
            // Nobody listening is fine.
            let _ = self.announcements.send(Announcement::Consensus(event));
        }
        // One who says so much in contradiction is known already.
        let _ = self.evidence.try_send(evidence);
    }

    fn answer(&mut self) {
        for (_, reply) in self.replies.drain() {
            // The engine answers every submission, so none is missing; who no longer waits is gone.
            let _ = reply.sender.send(reply.verdicts.into_iter().flatten().collect());
        }
    }

    /// A line for each block, unless there are many to come: then `catching_up` tells.
    fn log(&self, announcement: &Announcement) {
        let Announcement::Block(block) = announcement else { return };
        let header = &block.header;
        if self.progress.target().saturating_sub(header.height.get()).get() >= FAR_BEHIND {
            return;
        }
        tracing::info!(
            height = header.height.get(),
            view = header.view.get(),
            hash = %block.id,
            txs = block.tx_ids.len(),
            elapsed_ms = block.finality_ms,
            "final block"
        );
    }
}

/// What a step is counted as.
fn kind(input: &Input) -> &'static str {
    match input {
        Input::Tick => "tick",
        Input::Submit(_) => "submit",
        Input::Message { .. } => "message",
        Input::Joined { .. } | Input::Left { .. } => "peers",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::consensus;
    use chain_core::types::View;

    /// Has shut out this peer.
    struct Deaf(Peer);

    impl Links for Deaf {
        fn send(&self, _: &[Peer], _: Lane, _: Arc<[u8]>, _: &Message) {}

        fn blame(&self, _: Peer, _: Offence) {}

        fn hears(&self, peer: Peer) -> bool {
            peer != self.0
        }
    }

    #[test]
    fn what_the_shut_out_said_before_is_not_looked_at() {
        let outside = Outside {
            announcements: broadcast::channel(1).0,
            links: Arc::new(Deaf(Peer(1))),
            progress: Arc::default(),
            counts: Counts::new().unwrap(),
            clock: MonoClock::start(),
            wake_at: None,
            own_key_seen: None,
            evidence: mpsc::channel(1).0,
            outdated_at: None,
            has_new_block: false,
            urgent_bytes: Arc::new(AtomicUsize::new(300)),
            stopping: Arc::default(),
            replies: HashMap::new(),
        };
        let said = |from| {
            let message = consensus::Message::Status { height: Height::new(1), view: View::ZERO };
            Input::Message { from, message: Box::new(Message::Agreement { message, block: None }) }
        };
        assert!(outside.take_out(said(Peer(1)), 100).is_none());
        assert!(outside.take_out(said(Peer(2)), 100).is_some());
        assert!(outside.take_out(Input::Left { peer: Peer(1) }, 100).is_some(), "it has to be told");
        assert_eq!(outside.urgent_bytes.load(Ordering::Relaxed), 0);
    }
}
