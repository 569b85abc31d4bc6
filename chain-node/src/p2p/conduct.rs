//! What peers did, and what they get for it: verdicts on gossip, the ends of sessions, points and bans.
//!
//! Not here: what counts as an offence (`session`, the engine), the accounts themselves (`guard`).

use super::guard::{Bucket, Pace, REJECTED_GOSSIP_POINTS};
use super::link::{Link, lock};
use super::session::End;
use super::task::Task;
use super::{GossipTicket, GossipVerdict, NetworkEvent};
use chain_core::limits::MAX_GOSSIP_BYTES;
use chain_core::wire::HelloError;
use libp2p::gossipsub::Message;
use libp2p::{Multiaddr, PeerId};
use std::time::{Duration, Instant};

/// An inbound connection that ends so soon costs points.
const BRIEF: Duration = Duration::from_secs(5);
/// So many; two crossing dials or a restart must not matter.
const BRIEF_POINTS: u32 = 5;
/// When it is said again that an identity is in use twice, and of how many at most.
const TELL_AGAIN: Duration = Duration::from_secs(3600);
const MAX_TOLD: usize = 256;

impl Task {
    pub(super) fn on_message(&mut self, ticket: GossipTicket, message: Message) {
        let (bytes, now, limits) = (message.data, Instant::now(), &self.shared.limits);
        self.shared.metrics.count_received("gossip", bytes.len());
        let new = || Bucket::new(limits.gossip, 1, now);
        let pace = self.gossipers.entry(ticket.from).or_insert_with(new).take(bytes.len(), limits.flood_after, now);
        if bytes.is_empty() || bytes.len() > MAX_GOSSIP_BYTES {
            return self.judge(ticket, GossipVerdict::Reject);
        }
        let event = NetworkEvent::Gossip { from: ticket.from, bytes, ticket: ticket.clone() };
        // Others may have made what it passes on, so too much of it is no offence.
        if pace != Pace::Fine || (self.shared.sink)(event).is_some() {
            self.shared.metrics.gossip_ignored.inc();
            self.judge(ticket, GossipVerdict::Ignore);
        }
    }

    pub(super) fn judge(&mut self, ticket: GossipTicket, verdict: GossipVerdict) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&ticket.id, &ticket.from, verdict.into());
        if verdict == GossipVerdict::Reject {
            self.shared.charge(ticket.from, None, REJECTED_GOSSIP_POINTS, "gossip that no honest node passes on");
        }
    }

    pub(super) fn on_end(&mut self, link: &Link, end: End) {
        self.swarm.close_connection(link.connection);
        // A banned peer has paid.
        let brief = link.since.elapsed() < BRIEF || matches!(end, End::Slow);
        // With a copied key two nodes push each other out: the account is that of both.
        let is_twin = link.is_replaced() || matches!(end, End::Twin);
        if is_twin {
            self.tell_of_twin(link.id, &link.address);
        }
        if brief && !is_twin && !link.outbound && !link.is_shut_out() {
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
