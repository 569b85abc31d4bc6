//! What the sessions, the swarm's task and the handles share.
//!
//! Not here: anything that only one of them needs.

use super::guard::{Bans, points};
use super::link::{Link, ip_of};
use super::metrics::Metrics;
use super::session::End;
use super::{Limits, NetworkEvent, Validators};
use crate::locks::lock;
use chain_core::consensus::{Offence, Peer};
use chain_core::crypto::PublicKey;
use chain_core::types::ChainId;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How long a peer is held back before its event is offered again.
const OFFER_AGAIN: Duration = Duration::from_millis(5);

/// Of the places, so many are for peers we dialled, unless there are few: whoever comes to us must not
/// be all we hear.
const OUTBOUND_PLACES: usize = 8;

/// Most other identities that are connected with one proven key when a further one comes: an identity
/// may have been made anew while the old one's end has not shown.
const MAX_SAME_KEY: usize = 1;

/// How many ended connections are remembered.
const MAX_DEPARTED: usize = 1024;

/// Takes an event, or gives it back because the node's queue is full.
pub type Sink = Box<dyn Fn(NetworkEvent) -> Option<NetworkEvent> + Send + Sync>;

/// What the parts of the network share.
pub struct Shared {
    /// What a peer may cost.
    pub limits: Limits,
    /// The chain.
    pub chain: ChainId,
    /// What we say first.
    pub greeting: Vec<u8>,
    /// Our own transport identity.
    pub own_id: PeerId,
    /// Our own validator key.
    pub own_validator: Option<PublicKey>,
    /// The current set.
    pub validators: Validators,
    /// Places for peers that have none reserved.
    pub max_peers: usize,
    /// The counters.
    pub metrics: Metrics,
    /// Bans.
    pub bans: Arc<Mutex<Bans>>,
    /// Where we listen.
    pub listening: Mutex<Vec<Multiaddr>>,
    /// Tells the swarm's task which session is over and why.
    pub ended: mpsc::UnboundedSender<(Arc<Link>, End)>,
    /// Tells the swarm's task who was banned just now: once for each connection at most, so it is short.
    pub banned: mpsc::UnboundedSender<PeerId>,
    /// Where events go.
    pub sink: Sink,
    /// Greeted connections.
    pub joined: Mutex<Joined>,
    /// Bytes of long frames that strangers may still hold.
    pub room: Semaphore,
}

/// Greeted connections.
#[derive(Default)]
pub struct Joined {
    /// By number.
    pub links: BTreeMap<Peer, Arc<Link>>,
    /// Those that left lately: blame may come late.
    departed: BTreeMap<Peer, Arc<Link>>,
    /// The number of the next.
    next: u64,
}

impl Shared {
    /// Whether a proven key is in the current set.
    pub fn is_validator(&self, key: Option<PublicKey>) -> bool {
        key.is_some_and(|key| self.validators.borrow().contains(&key))
    }

    /// The room for a peer's long frames; none if it has a place of its own or we chose it.
    pub fn room(&self, link: &Link) -> Option<&Semaphore> {
        self.is_stranger(link).then_some(&self.room)
    }

    /// Whether a peer came to us and has no place of its own.
    pub fn is_stranger(&self, link: &Link) -> bool {
        !link.outbound && !self.is_reserved(link)
    }

    /// Whether a peer has a place of its own: the operator named it, or it is a validator of the set.
    pub fn is_reserved(&self, link: &Link) -> bool {
        let validator = link.facts().validator;
        link.reserved || self.is_validator(validator)
    }

    /// Gives a greeted connection its number, if there is a place for it.
    ///
    /// # Errors
    /// Why it gets none.
    pub fn join(&self, link: &Arc<Link>) -> Result<Peer, End> {
        let mut joined = lock(&self.joined);
        // A second connection to the same node replaces the first: it needs no place.
        let known = joined.links.values().any(|other| other.id == link.id);
        let is_seat = |link: &Link| self.is_validator(link.facts().validator);
        // A key signs for as many identities as its owner likes: without a bound one validator would have
        // any number of places.
        let key = link.facts().validator;
        let is_same = |other: &Link| key.is_some() && other.facts().validator == key && other.id != link.id;
        let same: BTreeSet<_> = joined.links.values().filter(|other| is_same(other)).map(|other| other.id).collect();
        if same.len() > MAX_SAME_KEY {
            return Err(End::Full);
        }
        // A copied key must not cut the validator off.
        if !is_seat(link) && joined.links.values().any(|other| link.is_twin_of(other) && is_seat(other)) {
            return Err(End::Twin);
        }
        if !known && !self.is_reserved(link) && !self.has_place(&joined, link.outbound) {
            return Err(End::Full);
        }
        let peer = Peer(joined.next);
        joined.next += 1;
        joined.links.insert(peer, link.clone());
        self.metrics.peers.set(joined.links.len() as i64);
        let others = joined.links.values().filter(|other| other.id == link.id).cloned().collect();
        drop(joined);
        self.settle(link, others);
        Ok(peer)
    }

    fn has_place(&self, joined: &Joined, outbound: bool) -> bool {
        let strangers = joined.links.values().filter(|other| !self.is_reserved(other));
        let (ours, theirs): (Vec<_>, Vec<_>) = strangers.partition(|link| link.outbound);
        let kept = OUTBOUND_PLACES.min(self.max_peers / 2);
        let is_free = ours.len() + theirs.len() < self.max_peers;
        match outbound {
            true => is_free || ours.len() < kept,
            false => is_free && theirs.len() < self.max_peers - kept,
        }
    }

    /// Two nodes that dialled each other have two connections. The one with the smaller id closes
    /// all but the newest; the other only keeps them from becoming more than two. What seems to be
    /// another node of the same identity goes in any case.
    fn settle(&self, newest: &Link, connections: Vec<Arc<Link>>) {
        let kept = if self.decides(&newest.id) { 1 } else { 2 };
        let surplus = connections.len().saturating_sub(kept);
        let mut older: Vec<_> = connections.into_iter().filter(|link| link.connection != newest.connection).collect();
        older.sort_by_key(|link| link.since);
        for (place, link) in older.iter().enumerate() {
            let elsewhere = !link.outbound && !newest.outbound && ip_of(&link.address) != ip_of(&newest.address);
            match place < surplus {
                _ if link.is_twin_of(newest) => link.replace(),
                true if elsewhere => link.replace(),
                true => link.close(),
                false => {}
            }
        }
    }

    fn decides(&self, other: &PeerId) -> bool {
        self.own_id < *other
    }

    /// Takes a connection out again.
    pub fn leave(&self, peer: Peer) {
        let mut joined = lock(&self.joined);
        let gone = joined.links.remove(&peer);
        gone.iter().for_each(|link| link.discard());
        joined.departed.extend(gone.map(|link| (peer, link)));
        if joined.departed.len() > MAX_DEPARTED {
            joined.departed.pop_first();
        }
        self.metrics.peers.set(joined.links.len() as i64);
    }

    /// The connection behind a number.
    pub fn link(&self, peer: Peer) -> Option<Arc<Link>> {
        lock(&self.joined).links.get(&peer).cloned()
    }

    /// Whether an identity has greeted, and is not shut out.
    pub fn is_greeted(&self, id: &PeerId) -> bool {
        lock(&self.joined).links.values().any(|link| link.id == *id && !link.is_shut_out())
    }

    /// Whether an identity has a place of its own.
    pub fn is_reserved_id(&self, id: &PeerId) -> bool {
        lock(&self.joined).links.values().any(|link| link.id == *id && self.is_reserved(link))
    }

    /// The connection behind a number, even if it ended a while ago.
    pub fn culprit(&self, peer: Peer) -> Option<Arc<Link>> {
        let joined = lock(&self.joined);
        joined.links.get(&peer).or_else(|| joined.departed.get(&peer)).cloned()
    }

    /// Charges the peer behind a connection for an offence, unless it is banned already.
    pub fn blame(&self, link: &Link, offence: Offence) {
        if !link.is_shut_out() {
            self.charge(link.id, Some(link), points(offence), &format!("{offence:?}"));
        }
    }

    /// Adds points to a peer's account; with enough of them it is banned.
    pub fn charge(&self, id: PeerId, link: Option<&Link>, cost: u32, why: &str) {
        let now = Instant::now();
        if !lock(&self.bans).charge(id, cost, now) {
            return;
        }
        let length = self.limits.ban;
        tracing::warn!(peer = %id, why, seconds = length.as_secs(), "a peer is banned");
        self.metrics.bans.inc();
        let links: Vec<_> = lock(&self.joined).links.values().filter(|link| link.id == id).cloned().collect();
        let ip = link.or(links.first().map(|link| &**link)).and_then(|link| ip_of(&link.address));
        let ip = ip.filter(|ip| !self.is_shared(*ip, id));
        lock(&self.bans).ban(id, ip, length, now);
        links.iter().map(|link| &**link).chain(link).for_each(Link::shut_out);
        // Without a task the whole network is over.
        let _ = self.banned.send(id);
    }

    /// Whether somebody honest with a reserved place is connected from an address besides this peer.
    fn is_shared(&self, ip: IpAddr, id: PeerId) -> bool {
        let others = |link: &&Arc<Link>| link.id != id && ip_of(&link.address) == Some(ip);
        lock(&self.joined).links.values().filter(others).any(|link| self.is_reserved(link) && !link.is_shut_out())
    }

    /// Tells the swarm's task that a session is over.
    pub fn end(&self, link: &Arc<Link>, end: End) {
        // Without a task the whole network is over.
        let _ = self.ended.send((link.clone(), end));
    }

    /// Hands over an event; as long as the node's queue is full its peer is read no further.
    pub async fn deliver(&self, event: NetworkEvent) {
        let mut event = event;
        while let Some(back) = (self.sink)(event) {
            self.metrics.held_back.inc();
            event = back;
            tokio::time::sleep(OFFER_AGAIN).await;
        }
    }

    /// Validators of the set, other than ourselves, to whom there is no connection.
    pub fn missing(&self) -> BTreeSet<PublicKey> {
        let present: BTreeSet<_> = lock(&self.joined)
            .links
            .values()
            .filter_map(|link| link.facts().validator)
            .chain(self.own_validator)
            .collect();
        self.validators.borrow().difference(&present).copied().collect()
    }
}
