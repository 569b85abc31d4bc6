//! What peers did, and what they get for it: verdicts on gossip, the ends of sessions, points and bans.
//!
//! Not here: what counts as an offence (`session`, the engine), the accounts themselves (`guard`).

use super::guard::{Bucket, Pace, REJECTED_GOSSIP_POINTS, USELESS_FRAMES};
use super::link::Link;
use super::session::End;
use super::task::Task;
use super::{GossipTicket, GossipVerdict, NetworkEvent};
use crate::locks::lock;
use chain_core::limits::MAX_GOSSIP_BYTES;
use chain_core::wire::HelloError;
use libp2p::gossipsub::Message;
use libp2p::{Multiaddr, PeerId};
use std::time::{Duration, Instant};

/// An inbound connection that ends so soon costs points.
const BRIEF: Duration = Duration::from_secs(5);
/// So many; two crossing dials or a restart must not matter.
const BRIEF_POINTS: u32 = 5;
/// Gossip of a peer with a place of its own is passed over for so long after a rejected frame.
const MUTED: Duration = Duration::from_secs(60);
/// Gossip of peers that have not greeted yet waits, so much of one of them and of all.
const MAX_EARLY: usize = 64;
const MAX_EARLY_PER_PEER: usize = 8;
/// When it is said again that an identity is in use twice, and of how many at most.
const TELL_AGAIN: Duration = Duration::from_secs(3600);
const MAX_TOLD: usize = 256;

/// A peer's account of gossip.
pub(super) struct Gossiper {
    bucket: Bucket,
    muted_until: Option<Instant>,
}

/// Gossip of a peer that has not greeted yet.
pub(super) struct Early {
    at: Instant,
    ticket: GossipTicket,
    message: Message,
}

impl Task {
    pub(super) fn on_message(&mut self, ticket: GossipTicket, message: Message) {
        self.shared.metrics.count_received("gossip", message.data.len());
        match self.shared.is_greeted(&ticket.from) {
            true => self.hear(ticket, message),
            false => self.put_off(Early { at: Instant::now(), ticket, message }),
        }
    }

    /// Streams of gossip are open before both sides have greeted.
    fn put_off(&mut self, early: Early) {
        let own = self.early.iter().filter(|other| other.ticket.from == early.ticket.from).count();
        match self.early.len() < MAX_EARLY && own < MAX_EARLY_PER_PEER {
            true => self.early.push(early),
            false => self.judge(early.ticket, GossipVerdict::Ignore),
        }
    }

    /// Looks again at what came before its sender had greeted.
    pub(super) fn hear_early(&mut self) {
        for early in std::mem::take(&mut self.early) {
            match self.shared.is_greeted(&early.ticket.from) {
                true => self.hear(early.ticket, early.message),
                false if early.at.elapsed() < self.shared.limits.greeting => self.early.push(early),
                false => self.judge(early.ticket, GossipVerdict::Ignore),
            }
        }
    }

    fn gossiper(&mut self, id: PeerId, now: Instant) -> &mut Gossiper {
        let limits = &self.shared.limits;
        let new = || Gossiper { bucket: Bucket::new(limits.gossip, 1, now), muted_until: None };
        self.gossipers.entry(id).or_insert_with(new)
    }

    fn hear(&mut self, ticket: GossipTicket, message: Message) {
        let (bytes, now, flood_after) = (message.data, Instant::now(), self.shared.limits.flood_after);
        let gossiper = self.gossiper(ticket.from, now);
        let is_muted = gossiper.muted_until.is_some_and(|until| now < until);
        let pace = gossiper.bucket.take(bytes.len(), flood_after, now);
        if !is_muted && (bytes.is_empty() || bytes.len() > MAX_GOSSIP_BYTES) {
            return self.judge(ticket, GossipVerdict::Reject);
        }
        let event = NetworkEvent::Gossip { from: ticket.from, bytes, ticket: ticket.clone() };
        // Others may have made what it passes on, so too much of it is no offence.
        if is_muted || pace != Pace::Fine || (self.shared.sink)(event).is_some() {
            self.shared.metrics.gossip_ignored.inc();
            self.judge(ticket, GossipVerdict::Ignore);
        }
    }

    pub(super) fn judge(&mut self, ticket: GossipTicket, verdict: GossipVerdict) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&ticket.id, &ticket.from, verdict.into());
        let now = Instant::now();
        match verdict {
            GossipVerdict::Accept | GossipVerdict::Ignore => {}
            GossipVerdict::Useless => self.gossiper(ticket.from, now).bucket.charge(USELESS_FRAMES),
            // Its votes matter more than what it passes on.
            GossipVerdict::Reject if self.shared.is_reserved_id(&ticket.from) => {
                tracing::warn!(peer = %ticket.from, "gossip that no honest node passes on; it is not heard for a while");
                self.gossiper(ticket.from, now).muted_until = Some(now + MUTED);
            }
            GossipVerdict::Reject => {
                self.shared.charge(ticket.from, None, REJECTED_GOSSIP_POINTS, "gossip that no honest node passes on");
            }
        }
    }

    pub(super) fn on_end(&mut self, link: &Link, end: End) {
        self.swarm.close_connection(link.connection);
        let is_slow = matches!(end, End::Slow);
        // Nobody pays for what we ended, or for one connection too many. A banned peer has paid.
        let is_theirs = matches!(end, End::Closed(_)) && !link.is_ended_here() && !self.shared.is_greeted(&link.id);
        let brief = is_slow || (is_theirs && link.since.elapsed() < BRIEF);
        // A validator whose line or process flaps has to be back at once when that is over.
        let is_seat = self.shared.is_validator(link.facts().validator);
        // With a copied key two nodes push each other out: the account is that of both.
        let is_twin = link.is_replaced() || matches!(end, End::Twin);
        if is_twin {
            self.tell_of_twin(link.id, &link.address);
        }
        if brief && !is_twin && !is_seat && !link.outbound && !link.is_shut_out() {
            // Each connection begins with a full bucket: whoever keeps coming back would have no rate.
            self.shared.charge(link.id, Some(link), BRIEF_POINTS, "it comes and goes too often");
        }
        let (peer, address, outbound) = (link.id, &link.address, link.outbound);
        match end {
            End::Closed(why) => tracing::debug!(%peer, %address, why, "a session is over"),
            End::Stranger(error) => self.on_stranger(link, &error),
            End::Full => {
                self.shared.metrics.refused.with_label_values(&["full"]).inc();
                tracing::debug!(%peer, %address, outbound, "no place for this peer");
            }
            End::Twin => self.shared.metrics.refused.with_label_values(&["twin"]).inc(),
            End::Slow => {
                self.shared.metrics.slow.inc();
                tracing::info!(%peer, %address, outbound, "closed a peer that was too slow");
            }
            End::Offended(offence, why) => {
                tracing::info!(%peer, %address, why, "closed a peer that broke the rules");
                self.shared.blame(link, offence);
            }
        }
    }

    /// Two nodes seem to have one identity; said once in a while.
    pub(super) fn tell_of_twin(&mut self, id: PeerId, address: &Multiaddr) {
        let now = Instant::now();
        self.told.retain(|_, at| now.saturating_duration_since(*at) < TELL_AGAIN);
        if self.told.len() >= MAX_TOLD || self.told.contains_key(&id) {
            return;
        }
        self.told.insert(id, now);
        match id == self.shared.own_id {
            true => tracing::error!(
                %address,
                "our own identity answers or calls there: it is another address of this node, or a node with a copy of \
                 our p2p_key, which must be deleted there"
            ),
            false => tracing::warn!(
                peer = %id, %address,
                "one identity at two places: a node that moved, or two with one p2p_key: delete it in one"
            ),
        }
    }

    /// A node of another chain or version: it may change, so it is left alone for a while only.
    fn on_stranger(&mut self, link: &Link, error: &HelloError) {
        let reason = if matches!(error, HelloError::Version { .. }) { "version" } else { "genesis" };
        self.shared.metrics.refused.with_label_values(&[reason]).inc();
        match link.outbound {
            true => tracing::warn!(peer = %link.id, address = %link.address, "refused: {error}"),
            false => tracing::info!(peer = %link.id, address = %link.address, "refused: {error}"),
        }
        let (now, length) = (Instant::now(), self.shared.limits.stranger);
        lock(&self.shared.bans).shut_out(link.id, length, now);
        self.dialer.postpone(link.id, now + length);
    }

    /// A ban is in the books: the connections go, and nobody dials.
    pub(super) fn on_ban(&mut self, id: PeerId) {
        self.dialer.postpone(id, Instant::now() + self.shared.limits.ban);
        self.disconnect(id);
    }
}
