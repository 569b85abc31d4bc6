//! The network between nodes: libp2p over TCP and QUIC. Moves frames and knows nothing of what they
//! say.
//!
//! ```text
//! driver ── Network::send ──► queues of each peer ──► two streams per direction (session)
//! driver ◄─ NetworkEvent ─── sessions ◄────────────── two streams per direction
//! driver ── gossip, judge, blame ──► one task that owns the swarm (task)
//! ```
//! A connection is a [`Peer`]: a node that reconnects gets a new number, and for a moment two
//! numbers can be the same node, while two dials that crossed are settled.
//!
//! * Nothing a peer does blocks another: each has its own queues, bounded in frames and bytes, and its
//!   own deadlines.
//! * A peer whose events the node does not take is read no further.
//! * Frames from before `Joined` or after `Left` are never delivered, nor is gossip of who has not greeted.
//!
//! Not here: what frames mean (`chain_core::wire` and the engine), the configuration file (`config`).

mod conduct;
mod dialer;
mod frames;
mod gate;
mod gossip;
mod guard;
mod identity;
mod lanes;
mod limits;
mod link;
mod metrics;
mod muxer;
mod session;
mod shared;
mod swarm;
mod task;
#[cfg(test)]
mod tests;

pub use identity::load_or_create_identity;
pub use limits::{Limits, Rate};

use crate::locks::lock;
use chain_core::consensus::{Offence, Peer};
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::types::ChainId;
use chain_core::wire::Lane;
use gossip::Waiting;
use libp2p::bytes::Bytes;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use link::Link;
use shared::Shared;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use task::Order;
use tokio::sync::{mpsc, oneshot, watch};

/// The validators that have places reserved, kept up to date by whoever knows the set.
pub type Validators = watch::Receiver<Arc<BTreeSet<PublicKey>>>;

/// What the network needs to know.
pub struct P2pConfig {
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Our transport identity.
    pub identity: Keypair,
    /// The chain.
    pub chain: ChainId,
    /// Our validator key, if we are one; it signs our greeting.
    pub validator: Option<Arc<SecretKey>>,
    /// Redialled for ever; may end in `/p2p/ID`. They have places beyond `max_peers`.
    pub static_peers: Vec<Multiaddr>,
    /// Dialled while we have chosen few peers ourselves; then they have places beyond `max_peers` too.
    pub bootnodes: Vec<Multiaddr>,
    /// Look for nodes on the local network.
    pub mdns: bool,
    /// Places for peers that are neither static nor validators of the set.
    pub max_peers: usize,
    /// Most inbound connections from one address, our own machine's and static peers' excepted.
    pub max_inbound_per_address: usize,
    /// The current validators; they have places beyond `max_peers` and may send more.
    pub validators: Validators,
    /// What one peer may cost.
    pub limits: Limits,
}

/// What happened in the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A peer is connected and has greeted; frames can be sent to it.
    Joined {
        /// Its number.
        peer: Peer,
        /// The validator it proved to be.
        validator: Option<PublicKey>,
        /// Its transport identity.
        id: PeerId,
        /// Where it is.
        address: Multiaddr,
    },
    /// The connection is over; the number is never used again.
    Left {
        /// Its number.
        peer: Peer,
    },
    /// A peer sent a frame.
    Frame {
        /// Who.
        from: Peer,
        /// On which stream.
        lane: Lane,
        /// What; within the lane's bound.
        bytes: Vec<u8>,
    },
    /// Gossip came by: it goes no further before [`Network::judge`].
    Gossip {
        /// Who passed it on; need not be who wrote it.
        from: PeerId,
        /// What; within `MAX_GOSSIP_BYTES`.
        bytes: Vec<u8>,
        /// For the verdict.
        ticket: GossipTicket,
    },
}

/// Names a frame of gossip that waits for its verdict, a few seconds at most.
#[derive(Clone, Debug)]
pub struct GossipTicket {
    id: MessageId,
    from: PeerId,
}

/// What becomes of a frame of gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GossipVerdict {
    /// Pass it on.
    Accept,
    /// Don't, and nobody is to blame.
    Ignore,
    /// Don't; it was of no use to anybody, which counts against the rate of who passed it on.
    Useless,
    /// Don't, and whoever passed it on should not have.
    Reject,
}

impl From<GossipVerdict> for MessageAcceptance {
    fn from(verdict: GossipVerdict) -> Self {
        match verdict {
            GossipVerdict::Accept => Self::Accept,
            GossipVerdict::Ignore | GossipVerdict::Useless => Self::Ignore,
            GossipVerdict::Reject => Self::Reject,
        }
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum P2pError {
    /// The key file.
    #[error("the node's p2p identity: {0}")]
    Identity(String),
    /// A transport or a setting.
    #[error("the network cannot be set up: {0}")]
    Setup(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
}

/// A peer as operators see it.
#[derive(Clone, Debug)]
pub struct PeerSummary {
    /// Its number.
    pub peer: Peer,
    /// Its transport identity.
    pub id: PeerId,
    /// Where it is.
    pub address: Multiaddr,
    /// We dialled it.
    pub outbound: bool,
    /// The validator it proved to be.
    pub validator: Option<PublicKey>,
    /// What it says it runs.
    pub agent: String,
    /// The newest round trip.
    pub rtt_ms: Option<u64>,
    /// Points for offences; it is banned at 100.
    pub score: u32,
}

/// A handle to the running network; cheap to clone. The network stops with its last handle.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
    waiting: Arc<Waiting>,
    orders: mpsc::Sender<Order>,
}

/// Starts listening and dialling. `events` takes an event, or gives it back if the node's queue is
/// full: then that peer is read no further and the event is offered again, but gossip is passed over.
/// It is called from several tasks and must not block.
///
/// # Errors
/// A transport cannot be set up, or an address cannot be listened on.
pub async fn start(
    config: P2pConfig,
    events: impl Fn(NetworkEvent) -> Option<NetworkEvent> + Send + Sync + 'static,
) -> Result<Network, P2pError> {
    task::start(config, Box::new(events)).await
}

impl Network {
    /// Queues a frame to each of these peers; never waits. A queue that is full loses its oldest
    /// frames, which is counted; a peer that takes nothing of a frame for long is closed.
    pub fn send(&self, to: &[Peer], lane: Lane, frame: Bytes) {
        if frame.is_empty() || frame.len() > lane.max_frame_bytes() {
            tracing::error!(bytes = frame.len(), ?lane, "a frame of ours has an impossible length");
            return;
        }
        for link in to.iter().filter_map(|peer| self.shared.link(*peer)) {
            link.send(lane, frame.clone(), &self.shared.limits, &self.shared.metrics);
        }
    }

    /// Publishes a frame to whoever subscribes now or later.
    pub fn gossip(&self, frame: Vec<u8>) {
        if self.waiting.push(frame) {
            self.shared.metrics.dropped_gossip().inc();
        }
        // A full queue has work in it: the frame goes with that, or with the next tick.
        let _ = self.orders.try_send(Order::Flush);
    }

    /// Says what becomes of a frame of gossip.
    pub fn judge(&self, ticket: GossipTicket, verdict: GossipVerdict) {
        self.order(Order::Judge(ticket, verdict));
    }

    /// A peer broke the rules: enough of that and it is shut out for a while. Takes effect at once.
    pub fn blame(&self, peer: Peer, offence: Offence) {
        if let Some(link) = self.shared.culprit(peer) {
            self.shared.blame(&link, offence);
        }
    }

    /// Whether a peer was banned: what it sent before and still waits is not worth a look. Costs next to
    /// nothing as long as nobody was.
    pub fn is_shut_out(&self, peer: Peer) -> bool {
        self.shared.metrics.bans.get() > 0 && self.shared.culprit(peer).is_some_and(|link| link.is_shut_out())
    }

    /// A peer answered what it was not asked: no node does, but it is no crime.
    pub fn charge_unasked(&self, peer: Peer) {
        if let Some(link) = self.shared.culprit(peer).filter(|link| !link.is_shut_out()) {
            self.shared.charge(link.id, Some(&link), guard::UNASKED_POINTS, "answers nobody asked for");
        }
    }

    /// Where a peer that came to us and has no place of its own is from: who shares an address shares what
    /// is left for strangers. None for any other peer, and for who has gone.
    pub fn stranger(&self, peer: Peer) -> Option<IpAddr> {
        let link = self.shared.link(peer).filter(|link| self.shared.is_stranger(link))?;
        // One account for all addresses without an IP: there are none among the transports we have.
        Some(link::ip_of(&link.address).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    /// Whether a peer has read all that it was sent on the bulk lane.
    pub fn is_idle(&self, peer: Peer) -> bool {
        self.shared.link(peer).is_some_and(|link| !link.has_backlog(Lane::Bulk))
    }

    /// Whether the network has stopped, by itself or because it was told to.
    pub fn is_over(&self) -> bool {
        self.orders.is_closed()
    }

    /// Adds a static peer.
    #[cfg(test)]
    fn add_peer(&self, address: Multiaddr) {
        self.order(Order::Add(address));
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.shared.metrics.orders_lost.inc();
        }
    }

    /// The greeted peers, by number.
    pub fn peers(&self) -> Vec<PeerSummary> {
        let now = Instant::now();
        let links: Vec<_> = lock(&self.shared.joined).links.iter().map(|(peer, link)| (*peer, link.clone())).collect();
        let bans = lock(&self.shared.bans);
        links.into_iter().map(|(peer, link)| summary(peer, &link, bans.points(&link.id, now))).collect()
    }

    /// Where we listen, as far as it is known by now.
    pub fn local_addresses(&self) -> Vec<Multiaddr> {
        lock(&self.shared.listening).clone()
    }

    /// Our transport identity.
    pub fn local_id(&self) -> PeerId {
        self.shared.own_id
    }

    /// The network's counters in the text form of Prometheus.
    pub fn metrics_text(&self) -> String {
        self.shared.metrics.text()
    }

    /// Closes all connections; every peer gets its `Left` if the node takes it.
    pub async fn stop(self) {
        let (stopped, done) = oneshot::channel();
        if self.orders.send(Order::Stop(stopped)).await.is_ok() {
            // An error means that it is over already.
            let _ = done.await;
        }
    }
}

fn summary(peer: Peer, link: &Link, score: u32) -> PeerSummary {
    let facts = link.facts().clone();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    PeerSummary {
        peer,
        id: link.id,
        address: link.address.clone(),
        outbound: link.outbound,
        validator: facts.validator,
        agent: facts.agent,
        rtt_ms: facts.rtt.map(ms),
        score,
    }
}
