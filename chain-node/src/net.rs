//! The joint between the network and the engine: frames become messages and back, transactions go
//! out as gossip and come in as submissions, and old blocks are answered beside the engine.
//!
//! Not here: sockets (`p2p`), what a message means (`chain_core::engine`).

use crate::answers::Answers;
use crate::driver::{Driver, Links, Verdicts};
use crate::locks::lock;
use crate::p2p::{GossipTicket, GossipVerdict, Network, NetworkEvent, PeerSummary};
use crate::remote::{Local, Pace, Remotes};
use crate::snapshots::Shelf;
use crate::telling::{LOOK, Passed, Told};
use chain_core::consensus::{self, Offence, Peer};
use chain_core::crypto::PublicKey;
use chain_core::engine::{self, Announcement, Input, SharedPool};
use chain_core::ledger::Chain;
use chain_core::mempool::Status;
use chain_core::state::validators;
use chain_core::tx::Checked;
use chain_core::types::{ChainId, Height};
use chain_core::wire::{GossipFrame, Lane, Message, TxBytes};
use chain_rpc::backend::PeerInfo;
use libp2p::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

/// Frames of gossip whose transactions are being verified.
const JUDGING: usize = 64;
/// Open questions remembered per peer; the engine has far fewer.
const OPEN_QUESTIONS: usize = 256;

/// The network as the node uses it.
pub struct Net {
    network: OnceLock<Network>,
    remotes: OnceLock<Remotes>,
    heights: Mutex<BTreeMap<Peer, Height>>,
    /// Who is connected, and how the answers to our open questions begin.
    asked: Mutex<BTreeMap<Peer, VecDeque<Vec<u8>>>>,
    told: Mutex<Told>,
    passed: Mutex<Passed>,
    /// The highest block that came from a remote site.
    from_sites: AtomicU64,
    shelf: Arc<Shelf>,
    answers: Arc<Answers>,
    judging: Arc<Semaphore>,
}

impl Links for Net {
    fn send(&self, to: &[Peer], lane: Lane, frame: Arc<[u8]>, message: &Message) {
        if let Some(remotes) = self.remotes.get() {
            to.iter().filter(|peer| Remotes::owns(**peer)).for_each(|peer| remotes.send(*peer, message));
        }
        if let Some(network) = self.network.get() {
            self.note_questions(to, message);
            network.send(to, lane, Bytes::from_owner(frame));
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

    fn hears(&self, peer: Peer) -> bool {
        match (self.remotes.get(), self.network.get()) {
            (Some(remotes), _) if Remotes::owns(peer) => !remotes.is_shut_out(peer),
            (_, Some(network)) => !network.is_shut_out(peer),
            _ => true,
        }
    }
}

impl Net {
    /// Knows nobody yet; gives out these snapshots.
    pub fn new(shelf: Arc<Shelf>) -> Arc<Self> {
        Arc::new(Self {
            network: OnceLock::new(),
            remotes: OnceLock::new(),
            heights: Mutex::default(),
            asked: Mutex::default(),
            told: Mutex::default(),
            passed: Mutex::default(),
            from_sites: AtomicU64::new(0),
            shelf,
            answers: Answers::new(),
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

    fn is_connected(&self, peer: Peer) -> bool {
        lock(&self.asked).contains_key(&peer)
    }

    /// Whether nobody is connected.
    pub fn is_alone(&self) -> bool {
        lock(&self.asked).is_empty()
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

    /// Takes what happened in the network, or gives it back if the engine has too much to do, or if
    /// nothing can be answered yet.
    pub fn take(self: &Arc<Self>, driver: &Arc<Driver>, event: NetworkEvent) -> Option<NetworkEvent> {
        if self.network.get().is_none() {
            return Some(event);
        }
        match event {
            NetworkEvent::Joined { peer, validator, id, address } => {
                // Before the engine knows of it: it may ask at once.
                lock(&self.asked).insert(peer, VecDeque::new());
                if driver.deliver(Input::Joined { peer, validator }, 0).is_some() {
                    lock(&self.asked).remove(&peer);
                    return Some(NetworkEvent::Joined { peer, validator, id, address });
                }
                tracing::info!(peer = %id, %address, validator = validator.is_some(), "connected");
                None
            }
            NetworkEvent::Left { peer } => {
                if driver.deliver(Input::Left { peer }, 0).is_some() {
                    return Some(NetworkEvent::Left { peer });
                }
                lock(&self.heights).remove(&peer);
                lock(&self.asked).remove(&peer);
                None
            }
            NetworkEvent::Frame { from, lane, bytes } => self.take_frame(driver, from, lane, bytes),
            NetworkEvent::Gossip { from, bytes, ticket } => {
                // What is given back is passed over, and counted.
                match self.judging.clone().try_acquire_owned() {
                    Ok(place) => self.take_gossip(driver, &bytes, ticket, place),
                    Err(_) => return Some(NetworkEvent::Gossip { from, bytes, ticket }),
                }
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
        if lane == Lane::Bulk && Message::is_answer(&bytes) && !self.was_asked(from, &bytes) {
            tracing::debug!(peer = from.0, "an answer nobody asked for");
            self.network.get().into_iter().for_each(|network| network.charge_unasked(from));
            return None;
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
        let taken = match is_of_the_past(driver, &message) {
            true => self.serve(driver, from, message),
            false => driver.deliver(Input::Message { from, message: Box::new(message) }, bytes.len()).is_none(),
        };
        if !taken {
            return Some(NetworkEvent::Frame { from, lane, bytes });
        }
        self.is_answered(from, &bytes);
        None
    }

    /// For people: where a peer says it is.
    fn note_height(&self, from: Peer, message: &Message) {
        let before = |height: Height| Height::new(height.get().saturating_sub(1));
        let mut heights = lock(&self.heights);
        let known = heights.entry(from).or_default();
        match message {
            Message::Agreement { message: consensus::Message::Status { height, .. }, .. } => *known = before(*height),
            Message::Agreement { message, .. } => *known = before(message.height()).max(*known),
            Message::Blocks { head, .. } => *known = *head,
            _ => {}
        }
    }

    /// Reads old blocks and snapshots on another thread; false if enough of that is going on, or if the
    /// peer has not read what it asked for before.
    fn serve(self: &Arc<Self>, driver: &Arc<Driver>, to: Peer, question: Message) -> bool {
        let Some(network) = self.network.get().cloned() else { return false };
        let stranger = network.stranger(to);
        if stranger.is_some() && !network.is_idle(to) {
            return false;
        }
        let Some(turn) = self.answers.begin(to) else { return false };
        let (net, chain, there) = (self.clone(), driver.chain().clone(), self.clone());
        let read = move || net.answer(&chain, &question);
        tokio::spawn(async move {
            if let Some(answer) = turn.answer(stranger, || there.is_connected(to), read).await {
                network.send(&[to], Lane::Bulk, Bytes::from_owner(answer));
            }
        });
        true
    }

    fn answer(&self, chain: &Chain, question: &Message) -> Option<Vec<u8>> {
        let found = match engine::answer(chain, question) {
            Ok(None) => self.shelf.answer(question).map_err(|e| e.to_string()),
            found => found.map_err(|e| e.to_string()),
        };
        match found {
            Ok(answer) => answer.map(|answer| answer.encode()),
            Err(error) => {
                // The engine meets a fault of the database at its next read and stops the node.
                tracing::error!(%error, "what a peer asks for cannot be read");
                None
            }
        }
    }

    /// Whether a frame answers a question of ours that is open with a peer.
    fn was_asked(&self, peer: Peer, frame: &[u8]) -> bool {
        lock(&self.asked).get(&peer).is_some_and(|open| open.iter().any(|start| frame.starts_with(start)))
    }

    /// A question is open no more: its answer has been taken.
    fn is_answered(&self, peer: Peer, frame: &[u8]) {
        if let Some(open) = lock(&self.asked).get_mut(&peer)
            && let Some(place) = open.iter().position(|start| frame.starts_with(start))
        {
            open.remove(place);
        }
    }

    /// Remembers a question, of those who are still there.
    fn note_questions(&self, to: &[Peer], message: &Message) {
        let Some(start) = message.answer_start() else { return };
        let mut asked = lock(&self.asked);
        for peer in to {
            let Some(open) = asked.get_mut(peer) else { continue };
            open.push_back(start.clone());
            if open.len() > OPEN_QUESTIONS {
                open.pop_front();
            }
        }
    }

    fn take_gossip(
        self: &Arc<Self>,
        driver: &Arc<Driver>,
        bytes: &[u8],
        ticket: GossipTicket,
        place: OwnedSemaphorePermit,
    ) {
        let Ok(frame) = GossipFrame::decode(bytes) else { return self.judge(ticket, GossipVerdict::Reject) };
        let transactions: Vec<_> = frame.transactions.into_inner().into_iter().map(TxBytes::into_inner).collect();
        let lengths: Vec<_> = transactions.iter().map(Vec::len).collect();
        let (net, driver, round) = (self.clone(), driver.clone(), frame.round);
        tokio::spawn(async move {
            let verdict = match driver.submit_gossip(transactions).await {
                Ok(verdicts) => lock(&net.passed).judge(round, &lengths, &verdicts, Instant::now()),
                Err(_) => GossipVerdict::Ignore,
            };
            net.judge(ticket, verdict);
            drop(place);
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
            // What was known has been told, and is told again in its turn.
            if let Ok(engine::Submitted { tx_id, status: Status::Pending | Status::Queued, new: true, .. }) = taken {
                bytes.extend(transactions.get(place).map(Vec::as_slice));
                ids.push(*tx_id);
            }
        }
        lock(&self.told).remember(ids, Instant::now());
        self.gossip(0, bytes);
    }

    /// Remembers what an earlier life of the node has acknowledged: perhaps nobody was told.
    pub fn remember(&self, pool: &SharedPool) {
        let ids: Vec<_> = pool.read().durable().map(Checked::id).collect();
        lock(&self.told).remember(ids, Instant::now());
    }

    fn gossip<'a>(&self, round: u32, transactions: impl IntoIterator<Item = &'a [u8]>) {
        let Some(network) = self.network.get() else { return };
        for frame in GossipFrame::pack(round, transactions) {
            network.gossip(frame);
        }
    }

    /// Tells again what was taken here a while ago and still waits: gossip can be lost.
    pub async fn tell_again(self: Arc<Self>, pool: SharedPool) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            if self.is_alone() {
                continue;
            }
            let due = {
                let pool = pool.read();
                let waiting = |id: &_| pool.get(id).map(|transaction| transaction.bytes().to_vec());
                lock(&self.told).due(waiting, Instant::now())
            };
            for (round, transactions) in due {
                self.gossip(round, transactions.iter().map(Vec::as_slice));
            }
        }
    }
}

/// How far above our head a site's blocks are counted.
const MAX_FROM_SITES: u64 = 1_024;

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
        // What peers claim proves nothing: the newest block has to be one that no site brought.
        !self.net.is_alone() && self.head().get() > self.net.from_sites.load(Ordering::Relaxed)
    }

    fn deliver(&self, input: Input) -> Option<Input> {
        let brought = match &input {
            Input::Message { message, .. } => last_block(message),
            _ => None,
        };
        // A site's answers are bounded where they are read.
        let back = self.driver.deliver(input, 0);
        if let Some(height) = brought.filter(|_| back.is_none()) {
            // Nothing of it is verified yet: no lie reaches further than what a site may be asked for.
            let height = height.get().min(self.head().get().saturating_add(MAX_FROM_SITES));
            self.net.from_sites.fetch_max(height, Ordering::Relaxed);
        }
        back
    }

    fn pending(&self, limit: usize) -> Vec<Checked> {
        self.pool.read().candidates().take(limit).cloned().collect()
    }

    fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.driver.subscribe()
    }
}

/// The last block an answer brings.
fn last_block(message: &Message) -> Option<Height> {
    let Message::Blocks { blocks, .. } = message else { return None };
    blocks.iter().last().map(|last| last.block.header.height)
}

/// Whether a question is about what is decided: ledger or files answer it, not the engine.
fn is_of_the_past(driver: &Driver, message: &Message) -> bool {
    match message {
        Message::NeedBlocks { .. } | Message::NeedSnapshot | Message::NeedSnapshotPart { .. } => true,
        Message::NeedBlock { height, .. } => *height <= driver.chain().head().block.header.height,
        _ => false,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn net() -> (tempfile::TempDir, Arc<Net>) {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(dir.path().join("snapshots")).unwrap();
        (dir, Net::new(Arc::new(shelf)))
    }

    fn need(from: u64) -> Message {
        Message::NeedBlocks { from: Height::new(from), count: 9 }
    }

    fn answer(from: u64) -> Vec<u8> {
        let (from, head) = (Height::new(from), Height::new(100));
        Message::Blocks { from, blocks: Default::default(), head, oldest: Height::ZERO }.encode()
    }

    #[test]
    fn a_question_is_open_until_its_answer_was_taken() {
        let (_dir, net) = net();
        let (peer, gone) = (Peer(1), Peer(2));
        lock(&net.asked).insert(peer, VecDeque::new());
        assert!(!net.was_asked(peer, &answer(5)));
        net.note_questions(&[peer, gone, Peer(1 << 63)], &need(5));
        assert!(!net.was_asked(peer, &answer(6)) && !net.was_asked(gone, &answer(5)));
        assert_eq!(lock(&net.asked).len(), 1, "no row comes back for who has left, or for a site");
        // A frame that finds no room is offered again.
        assert!(net.was_asked(peer, &answer(5)) && net.was_asked(peer, &answer(5)));
        net.is_answered(peer, &answer(5));
        assert!(!net.was_asked(peer, &answer(5)));
        for from in 0..1000 {
            net.note_questions(&[peer], &need(from));
        }
        assert_eq!(lock(&net.asked).get(&peer).unwrap().len(), OPEN_QUESTIONS);
        assert!(net.was_asked(peer, &answer(999)) && !net.was_asked(peer, &answer(1)));
    }
}
