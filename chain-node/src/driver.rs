//! The engine's outside: one thread that owns it, hands it what happened and performs what it
//! answers; and the threads that verify signatures before anything reaches it.
//!
//! ```text
//! submit ──► verify threads (batches) ──► engine thread ──► replies, announcements
//! ```
//!
//! Not here: any rule. Not yet: the network.

use crate::exit::Exit;
use chain_core::Fault;
use chain_core::consensus::Now;
use chain_core::engine::{Announcement, Engine, Input, Output, Submission, Submitted, Ticket};
use chain_core::execute::glance;
use chain_core::fault::Failure;
use chain_core::ledger::Chain;
use chain_core::state::params;
use chain_core::tx::{self, Checked, Formed};
use chain_core::types::{Rejected, TimestampMs};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, broadcast, oneshot};

/// Submissions waiting for a verify thread.
const VERIFY_QUEUE: usize = 1024;
/// Verified submissions waiting for the engine.
const ENGINE_QUEUE: usize = 256;
/// Transactions verified, and handed to the engine, at a time.
const BATCH_TXS: usize = 1024;
/// Bytes of submissions under way.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Announcements a reader may be behind.
const ANNOUNCEMENTS: usize = 65_536;

/// How a submission ended.
pub type Verdicts = Vec<Result<Submitted, Rejected>>;

/// Transactions as bytes, and whom to answer.
struct Job {
    bytes: Vec<Vec<u8>>,
    reply: oneshot::Sender<Verdicts>,
}

enum Event {
    Submit(Vec<Result<Checked, Rejected>>, oneshot::Sender<Verdicts>),
    Stop,
}

/// A running engine.
pub struct Driver {
    /// Taken away on stop: that ends the verify threads.
    jobs: Mutex<Option<SyncSender<Job>>>,
    events: SyncSender<Event>,
    announcements: broadcast::Sender<Announcement>,
    halted: Arc<AtomicBool>,
    /// Bytes that may still be taken in.
    room: Semaphore,
}

/// The engine's thread: ends when told to stop, or with a fault.
pub struct Running {
    engine: JoinHandle<Result<(), Fault>>,
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
            Ok(result) if verified => Ok(result?),
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
    ) -> (Arc<Self>, Running) {
        let (jobs, job_queue) = sync_channel(VERIFY_QUEUE);
        let (events, event_queue) = sync_channel(ENGINE_QUEUE);
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS);
        let halted = Arc::new(AtomicBool::new(false));
        let queue = Arc::new(Mutex::new(job_queue));
        let mut verifiers = Vec::new();
        for _ in 0..verify_threads {
            let (chain, queue, events) = (engine.chain().clone(), queue.clone(), events.clone());
            verifiers.push(std::thread::spawn(move || verify(&chain, &queue, &events)));
        }
        let outside = Outside {
            announcements: announcements.clone(),
            halted: halted.clone(),
            clock,
            wake_at: None,
            replies: HashMap::new(),
        };
        let engine = std::thread::spawn(move || outside.run(engine, outputs, &event_queue));
        let (jobs, room) = (Mutex::new(Some(jobs)), Semaphore::new(WAITING_BYTES));
        (Arc::new(Self { jobs, events, announcements, halted, room }), Running { engine, verifiers })
    }

    /// Verifies transactions and offers them to the pool; answers once that is durable.
    pub async fn submit(&self, mut transactions: Vec<Vec<u8>>) -> Result<Verdicts, Busy> {
        let bytes = transactions.iter().map(Vec::len).sum::<usize>();
        let bytes = u32::try_from(bytes).map_err(|_| Busy)?;
        let _room = self.room.try_acquire_many(bytes).map_err(|_| Busy)?;
        let mut answers = Vec::new();
        while !transactions.is_empty() {
            let rest = transactions.split_off(transactions.len().min(BATCH_TXS));
            let (reply, answer) = oneshot::channel();
            let job = Job { bytes: std::mem::replace(&mut transactions, rest), reply };
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
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or(Busy)?.try_send(job).map_err(|_: TrySendError<Job>| Busy)
    }

    /// Everything announced from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.announcements.subscribe()
    }

    /// Whether the agreement has stopped on a conflict.
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Asks the engine to write what it holds and end.
    pub fn stop(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        // If the engine is gone there is nothing left to stop.
        let _ = self.events.send(Event::Stop);
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
fn verify(chain: &Chain, queue: &Mutex<Receiver<Job>>, events: &SyncSender<Event>) {
    while let Some(jobs) = gather(queue) {
        let formed = jobs.iter().flat_map(|job| &job.bytes).map(|bytes| look(chain, bytes)).collect();
        let mut checked = tx::verify(formed).into_iter();
        for job in jobs {
            let own = checked.by_ref().take(job.bytes.len()).collect();
            if events.send(Event::Submit(own, job.reply)).is_err() {
                return;
            }
        }
    }
}

/// Judges what costs little before signatures, which cost much.
fn look(chain: &Chain, bytes: &[u8]) -> Result<Formed, Rejected> {
    let formed = Formed::read(&chain.id(), bytes)?;
    let glance = {
        let head = chain.head();
        params(&head.tree).map_err(Failure::Fault).and_then(|params| glance(&head.tree, &params, &formed))
    };
    match glance {
        // The engine tells a final transaction from one that comes too late, and meets faults itself.
        Err(Failure::Rejected(rejected)) if !matches!(chain.place(&formed.id()), Ok(Some(_))) => Err(rejected),
        _ => Ok(formed),
    }
}

fn gather(queue: &Mutex<Receiver<Job>>) -> Option<Vec<Job>> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
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
    halted: Arc<AtomicBool>,
    clock: MonoClock,
    wake_at: Option<u64>,
    replies: HashMap<u64, Reply>,
}

impl Outside {
    fn run(mut self, mut engine: Engine, outputs: Vec<Output>, events: &Receiver<Event>) -> Result<(), Fault> {
        let clock = self.clock;
        let now = move || clock.now();
        self.perform(outputs);
        loop {
            let due = self.wake_at.map(|at| at.saturating_sub(now().mono_ms));
            let wait = Duration::from_millis(due.unwrap_or(1_000));
            match events.recv_timeout(wait) {
                Ok(Event::Submit(checked, reply)) => {
                    let (submissions, stop) = self.collect(checked, reply, events);
                    let outputs = engine.handle(&now, Input::Submit(submissions))?;
                    self.perform(outputs);
                    self.answer();
                    if stop {
                        return engine.shut_down();
                    }
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return engine.shut_down(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.wake_at.is_some_and(|at| at <= now().mono_ms) {
                self.wake_at = None;
                let outputs = engine.handle(&now, Input::Tick)?;
                self.perform(outputs);
            }
        }
    }

    /// Takes what else is waiting, so that one write to the log answers for many.
    fn collect(
        &mut self,
        checked: Vec<Result<Checked, Rejected>>,
        sender: oneshot::Sender<Verdicts>,
        events: &Receiver<Event>,
    ) -> (Vec<Submission>, bool) {
        let mut submissions = Vec::new();
        self.enter(checked, sender, &mut submissions);
        while submissions.len() < BATCH_TXS && self.replies.len() < ENGINE_QUEUE {
            match events.try_recv() {
                Ok(Event::Submit(checked, sender)) => self.enter(checked, sender, &mut submissions),
                Ok(Event::Stop) => return (submissions, true),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        (submissions, false)
    }

    /// A ticket is the reply's number in the upper half, the place within it in the lower.
    fn enter(
        &mut self,
        checked: Vec<Result<Checked, Rejected>>,
        sender: oneshot::Sender<Verdicts>,
        submissions: &mut Vec<Submission>,
    ) {
        let number = self.replies.len() as u64;
        let mut verdicts = Vec::with_capacity(checked.len());
        for (place, checked) in checked.into_iter().enumerate() {
            verdicts.push(match checked {
                Err(rejected) => Some(Err(rejected)),
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
                    log(&announcement);
                    // Nobody listening is fine.
                    let _ = self.announcements.send(announcement);
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Send { .. } | Output::Blame { .. } => {}
                Output::OwnKey(height) => tracing::error!(height = height.get(), "somebody else signs with our key"),
                Output::Evidence(evidence) => tracing::warn!(?evidence, "a validator contradicted itself"),
                Output::Halted(reason) => {
                    self.halted.store(true, Ordering::Relaxed);
                    tracing::error!(
                        ?reason,
                        "the agreement met a conflict and stopped; do not restart before it is understood"
                    );
                }
            }
        }
    }

    fn answer(&mut self) {
        for (_, reply) in self.replies.drain() {
            // The engine answers every submission, so none is missing; who no longer waits is gone.
            let _ = reply.sender.send(reply.verdicts.into_iter().flatten().collect());
        }
    }
}

fn log(announcement: &Announcement) {
    if let Announcement::Block(block) = announcement {
        let header = &block.header;
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
