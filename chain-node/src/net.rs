//! The joint between the network and the engine: frames become messages and back, transactions go
//! out as gossip and come in as submissions, and old blocks are answered beside the engine.
//!
//! Not here: sockets (`p2p`), what a message means (`chain_core::engine`).

use crate::driver::{Driver, Links, Verdicts};
use crate::p2p::{GossipTicket, GossipVerdict, Network, NetworkEvent, PeerSummary};
use crate::remote::{Local, Pace, Remotes};
use crate::snapshots::Shelf;
use chain_core::consensus::{Offence, Peer};
use chain_core::crypto::PublicKey;
use chain_core::engine::{self, Announcement, Input, SharedPool};
use chain_core::ledger::Chain;
use chain_core::mempool::Status;
use chain_core::state::validators;
use chain_core::tx::Checked;
use chain_core::types::{ChainId, Height, TxId};
use chain_core::wire::{GossipFrame, Lane, Message, TxBytes};
use chain_rpc::backend::PeerInfo;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, watch};

/// Ranges of old blocks read at the same time.
const SERVING: usize = 4;
/// Frames of gossip whose transactions are being verified.
const JUDGING: usize = 64;
/// Own transactions that are told again while they wait for a block.
const REMEMBERED: usize = 10_000;
/// When they are told again, and how often.
const TELL_AGAIN: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 12;
/// Open questions counted per peer; the engine has far fewer.
const OPEN_QUESTIONS: u32 = 64;
/// Rejections below this number are about the form: no honest node passes such bytes on.
const FORM_REJECTIONS: u16 = 20;

/// The network as the node uses it.
pub struct Net {
    network: OnceLock<Network>,
    remotes: OnceLock<Remotes>,
    joined: AtomicUsize,
    heights: Mutex<BTreeMap<Peer, Height>>,
    /// Open questions by peer.
    asked: Mutex<BTreeMap<Peer, u32>>,
    /// Whose question is being answered.
    served: Mutex<BTreeSet<Peer>>,
    told: Mutex<VecDeque<Told>>,
    shelf: Arc<Shelf>,
    serving: Arc<Semaphore>,
    judging: Arc<Semaphore>,
}

/// An own transaction that was told.
struct Told {
    id: TxId,
    at: Instant,
    round: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links for Net {
    fn send(&self, to: &[Peer], lane: Lane, frame: Arc<[u8]>, message: &Message) {
        if let Some(remotes) = self.remotes.get() {
            to.iter().filter(|peer| Remotes::owns(**peer)).for_each(|peer| remotes.send(*peer, message));
        }
        if let Some(network) = self.network.get() {
            self.note_questions(to, message);
            network.send(to, lane, libp2p::bytes::Bytes::from_owner(frame));
        }
    }

    fn blame(&self, peer: Peer, offence: Offence) {
        tracing::debug!(peer = peer.0, ?offence, "a peer broke the rules");
        match (self.remotes.get(), self.network.get()) {
            (Some(remotes), _) if Remotes::owns(peer) => remotes.blame(peer),
            (_, Some(network)) => network.blame(peer, offence),
            _ => {}
        }
    }
}

impl Net {
    /// Knows nobody yet; gives out these snapshots.
    pub fn new(shelf: Arc<Shelf>) -> Arc<Self> {
        Arc::new(Self {
            network: OnceLock::new(),
            remotes: OnceLock::new(),
            joined: AtomicUsize::new(0),
            heights: Mutex::default(),
            asked: Mutex::default(),
            served: Mutex::default(),
            told: Mutex::default(),
            shelf,
            serving: Arc::new(Semaphore::new(SERVING)),
            judging: Arc::new(Semaphore::new(JUDGING)),
        })
    }

    /// The network runs.
    pub fn connect(&self, network: Network) {
        // There is one network in a node's life.
        let _ = self.network.set(network);
    }

    /// The network, once it runs.
    pub fn network(&self) -> Option<&Network> {
        self.network.get()
    }

    /// Whether nobody is connected.
    pub fn is_alone(&self) -> bool {
        self.joined.load(Ordering::Relaxed) == 0
    }

    /// Follows other sites over their RPC URLs.
    pub fn follow(self: &Arc<Self>, urls: &[String], driver: &Arc<Driver>, pool: SharedPool) {
        let local = Here { net: self.clone(), driver: driver.clone(), pool };
        // They are started once in a node's life.
        let _ = self.remotes.set(Remotes::start(urls, Pace::default(), Arc::new(local)));
    }

    /// Peers and sites this node is in touch with.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let heights = lock(&self.heights);
        let info = |peer: PeerSummary| PeerInfo {
            peer_id: peer.id.to_string(),
            agent: peer.agent,
            height: heights.get(&peer.peer).copied().unwrap_or_default(),
            outbound: peer.outbound,
            validator: peer.validator,
            rtt_ms: peer.rtt_ms,
            score: peer.score,
        };
        let peers = self.network.get().map(Network::peers).unwrap_or_default();
        let sites = self.remotes.get().map(Remotes::peers).unwrap_or_default();
        peers.into_iter().map(info).chain(sites).collect()
    }

    /// Takes what happened in the network, or gives it back if the engine has too much to do.
    pub fn take(self: &Arc<Self>, driver: &Arc<Driver>, event: NetworkEvent) -> Option<NetworkEvent> {
        match event {
            NetworkEvent::Joined { peer, validator, id, address } => {
                if driver.deliver(Input::Joined { peer, validator }, 0).is_some() {
                    return Some(NetworkEvent::Joined { peer, validator, id, address });
                }
                self.joined.fetch_add(1, Ordering::Relaxed);
                tracing::info!(peer = %id, %address, validator = validator.is_some(), "connected");
                None
            }
            NetworkEvent::Left { peer } => {
                if driver.deliver(Input::Left { peer }, 0).is_some() {
                    return Some(NetworkEvent::Left { peer });
                }
                lock(&self.heights).remove(&peer);
                lock(&self.asked).remove(&peer);
                self.joined.fetch_sub(1, Ordering::Relaxed);
                None
            }
            NetworkEvent::Frame { from, lane, bytes } => self.take_frame(driver, from, lane, bytes),
            NetworkEvent::Gossip { from: _, bytes, ticket } => {
                self.take_gossip(driver, &bytes, ticket);
                None
            }
        }
    }

    fn take_frame(
        self: &Arc<Self>,
        driver: &Arc<Driver>,
        from: Peer,
        lane: Lane,
        bytes: Vec<u8>,
    ) -> Option<NetworkEvent> {
        // Looked at only once there is room: what does not fit is offered again, whole.
        if !driver.has_room(bytes.len()) {
            return Some(NetworkEvent::Frame { from, lane, bytes });
        }
        let message = match Message::decode(&bytes, lane) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(peer = from.0, %error, "a frame that is no message");
                self.blame(from, Offence::BadMessage);
                return None;
            }
        };
        self.note_height(from, &message);
        let taken = match message {
            message if is_answer(&message) && !self.was_asked(from) => {
                tracing::debug!(peer = from.0, "an answer nobody asked for");
                true
            }
            message if is_of_the_past(driver, &message) => self.serve(driver, from, message),
            message => driver.deliver(Input::Message { from, message: Box::new(message) }, bytes.len()).is_none(),
        };
        (!taken).then_some(NetworkEvent::Frame { from, lane, bytes })
    }

    fn note_height(&self, from: Peer, message: &Message) {
        let height = match message {
            Message::Agreement { message, .. } => Height::new(message.height().get().saturating_sub(1)),
            Message::Blocks { head, .. } => *head,
            _ => return,
        };
        let mut heights = lock(&self.heights);
        let known = heights.entry(from).or_default();
        *known = height.max(*known);
    }

    /// Reads old blocks and snapshots on another thread; false if enough of that is going on.
    fn serve(self: &Arc<Self>, driver: &Arc<Driver>, to: Peer, question: Message) -> bool {
        let Ok(permit) = self.serving.clone().try_acquire_owned() else { return false };
        // One at a time for each peer, so that none takes all the places.
        if !lock(&self.served).insert(to) {
            return false;
        }
        let (net, chain) = (self.clone(), driver.chain().clone());
        tokio::task::spawn_blocking(move || {
            match net.answer(&chain, &question) {
                Ok(Some(answer)) => net.send(&[to], answer.lane(), answer.encode().into(), &answer),
                Ok(None) => {}
                // The engine meets a fault of the database at its next read and stops the node.
                Err(error) => tracing::error!(%error, "what a peer asks for cannot be read"),
            }
            lock(&net.served).remove(&to);
            drop(permit);
        });
        true
    }

    fn answer(&self, chain: &Chain, question: &Message) -> Result<Option<Message>, String> {
        match engine::answer(chain, question) {
            Ok(None) => self.shelf.answer(question).map_err(|e| e.to_string()),
            found => found.map_err(|e| e.to_string()),
        }
    }

    /// Whether a question of ours is open with a peer; then this answers it.
    fn was_asked(&self, peer: Peer) -> bool {
        let mut asked = lock(&self.asked);
        let Some(open) = asked.get_mut(&peer).filter(|open| **open > 0) else { return false };
        *open -= 1;
        true
    }

    fn note_questions(&self, to: &[Peer], message: &Message) {
        if is_question(message) {
            let mut asked = lock(&self.asked);
            for peer in to {
                let open = asked.entry(*peer).or_default();
                *open = open.saturating_add(1).min(OPEN_QUESTIONS);
            }
        }
    }

    fn take_gossip(self: &Arc<Self>, driver: &Arc<Driver>, bytes: &[u8], ticket: GossipTicket) {
        let frame = GossipFrame::decode(bytes);
        let permit = self.judging.clone().try_acquire_owned();
        let (frame, permit) = match (frame, permit) {
            (Ok(frame), Ok(permit)) => (frame, permit),
            (Err(_), _) => return self.judge(ticket, GossipVerdict::Reject),
            (Ok(_), Err(_)) => return self.judge(ticket, GossipVerdict::Ignore),
        };
        let transactions = frame.transactions.into_inner().into_iter().map(TxBytes::into_inner).collect();
        let (net, driver) = (self.clone(), driver.clone());
        tokio::spawn(async move {
            let verdict = driver.submit(transactions).await.map_or(GossipVerdict::Ignore, |all| judgement(&all));
            net.judge(ticket, verdict);
            drop(permit);
        });
    }

    fn judge(&self, ticket: GossipTicket, verdict: GossipVerdict) {
        if let Some(network) = self.network.get() {
            network.judge(ticket, verdict);
        }
    }

    /// Tells the network of transactions that were taken here, and remembers to tell it again while
    /// they wait. Without the bytes it is only remembered: while nobody is connected.
    pub fn tell(&self, transactions: &[Vec<u8>], verdicts: &Verdicts) {
        let (mut ids, mut bytes) = (Vec::new(), Vec::new());
        for (place, taken) in verdicts.iter().enumerate() {
            if let Ok(engine::Submitted { tx_id, status: Status::Pending | Status::Queued, .. }) = taken {
                bytes.extend(transactions.get(place).map(Vec::as_slice));
                ids.push(*tx_id);
            }
        }
        self.gossip(0, bytes);
        let at = Instant::now();
        let mut told = lock(&self.told);
        told.extend(ids.into_iter().map(|id| Told { id, at, round: 0 }));
        let surplus = told.len().saturating_sub(REMEMBERED);
        told.drain(..surplus);
    }

    fn gossip<'a>(&self, round: u32, transactions: impl IntoIterator<Item = &'a [u8]>) {
        let Some(network) = self.network.get() else { return };
        for frame in GossipFrame::pack(round, transactions) {
            network.gossip(frame);
        }
    }

    /// Tells again what was taken here a while ago and still waits: gossip can be lost.
    pub async fn tell_again(self: Arc<Self>, pool: SharedPool) {
        let mut tick = tokio::time::interval(TELL_AGAIN / 5);
        loop {
            tick.tick().await;
            if self.is_alone() {
                continue;
            }
            for (round, transactions) in self.overdue(&pool) {
                self.gossip(round, transactions.iter().map(Vec::as_slice));
            }
        }
    }

    fn overdue(&self, pool: &SharedPool) -> BTreeMap<u32, Vec<Vec<u8>>> {
        let mut told = lock(&self.told);
        let count = told.iter().take_while(|told| told.at.elapsed() >= TELL_AGAIN).count();
        let due: Vec<Told> = told.drain(..count).collect();
        let pool = pool.read();
        let mut again: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for Told { id, round, .. } in due {
            if let Some(transaction) = pool.get(&id).filter(|_| round < ROUNDS) {
                let round = round + 1;
                again.entry(round).or_default().push(transaction.bytes().to_vec());
                told.push_back(Told { id, at: Instant::now(), round });
            }
        }
        again
    }
}

/// This node as the tasks of remote sites see it.
struct Here {
    net: Arc<Net>,
    driver: Arc<Driver>,
    pool: SharedPool,
}

impl Local for Here {
    fn chain(&self) -> ChainId {
        self.driver.chain().id()
    }

    fn head(&self) -> Height {
        self.driver.chain().head().block.header.height
    }

    fn has_peer(&self) -> bool {
        let own = self.head();
        lock(&self.net.heights).values().any(|height| *height >= own)
    }

    fn deliver(&self, input: Input) -> Option<Input> {
        // A site's answers are bounded where they are read.
        self.driver.deliver(input, 0)
    }

    fn pending(&self, limit: usize) -> Vec<Checked> {
        self.pool.read().candidates().take(limit).cloned().collect()
    }

    fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.driver.subscribe()
    }
}

fn is_question(message: &Message) -> bool {
    matches!(message, Message::NeedBlock { .. } | Message::NeedTransactions { .. } | Message::NeedBlocks { .. })
}

fn is_answer(message: &Message) -> bool {
    matches!(
        message,
        Message::Block { .. }
            | Message::Transactions { .. }
            | Message::Blocks { .. }
            | Message::Snapshot { .. }
            | Message::SnapshotPart { .. }
    )
}

/// Whether a question is about what is decided: ledger or files answer it, not the engine.
fn is_of_the_past(driver: &Driver, message: &Message) -> bool {
    match message {
        Message::NeedBlocks { .. } | Message::NeedSnapshot | Message::NeedSnapshotPart { .. } => true,
        Message::NeedBlock { height, .. } => *height <= driver.chain().head().block.header.height,
        _ => false,
    }
}

/// What becomes of a frame: passed on if it brought something, held against its sender if it holds
/// what no honest node passes on.
fn judgement(verdicts: &Verdicts) -> GossipVerdict {
    let malformed = |verdict: &Result<_, chain_core::types::Rejected>| {
        verdict.as_ref().is_err_and(|rejected| rejected.rejection.number < FORM_REJECTIONS)
    };
    if verdicts.iter().any(malformed) {
        GossipVerdict::Reject
    } else if verdicts.iter().any(Result::is_ok) {
        GossipVerdict::Accept
    } else {
        GossipVerdict::Ignore
    }
}

/// Keeps the validators' reserved places up to date with the state.
pub async fn follow_validators(driver: Arc<Driver>, places: watch::Sender<Arc<BTreeSet<PublicKey>>>) {
    let mut announcements = driver.subscribe();
    loop {
        match announcements.recv().await {
            Ok(Announcement::Block(block)) if block.header.validators_hash == block.header.next_validators_hash => {}
            Ok(Announcement::Block(_)) | Err(RecvError::Lagged(_)) => {
                places.send_if_modified(|places| refresh(&driver, places));
            }
            Ok(_) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn refresh(driver: &Driver, places: &mut Arc<BTreeSet<PublicKey>>) -> bool {
    let now = current_validators(driver.chain());
    let changed = **places != now;
    *places = Arc::new(now);
    changed
}

/// The validators of the next height.
pub fn current_validators(chain: &Chain) -> BTreeSet<PublicKey> {
    match validators::next_set(&chain.head().tree) {
        Ok(set) => set.members().iter().map(|member| member.public_key).collect(),
        // The engine meets the same fault and stops the node.
        Err(_) => BTreeSet::new(),
    }
}
