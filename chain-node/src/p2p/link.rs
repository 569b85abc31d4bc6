//! One connection to another node, as the rest of the node sees it: bounded queues of frames to
//! send, and what is known about the peer.
//!
//! Not here: the sockets (`session`).

use super::Limits;
use super::metrics::Metrics;
use crate::locks::lock;
use chain_core::crypto::PublicKey;
use chain_core::wire::Lane;
use libp2p::bytes::Bytes;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Whose account a connection goes to: the IP address inside a multiaddress, if it names one; of
/// version 6 the /64, for a host has all of that to choose from.
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    use libp2p::multiaddr::Protocol;
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        // The same host by another name must not have a second account.
        Protocol::Ip6(ip) => Some(match ip.to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
            other => other,
        }),
        _ => None,
    })
}

/// One connection.
pub struct Link {
    /// The connection's name in the swarm.
    pub connection: ConnectionId,
    /// Who is at the other end.
    pub id: PeerId,
    /// Where.
    pub address: Multiaddr,
    /// We dialled it.
    pub outbound: bool,
    /// It has a place whatever its greeting says: a static peer, or a bootnode that we dialled.
    pub reserved: bool,
    /// When it was established.
    pub since: Instant,
    facts: Mutex<Facts>,
    urgent: Outbox,
    bulk: Outbox,
    closing: Notify,
    shut: AtomicBool,
    twin: AtomicBool,
    ended_here: AtomicBool,
}

/// What is learned while the connection lives.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The validator it proved to be.
    pub validator: Option<PublicKey>,
    /// What it says it runs.
    pub agent: String,
    /// The newest round trip.
    pub rtt: Option<Duration>,
}

impl Link {
    /// A connection just established.
    pub fn new(connection: ConnectionId, id: PeerId, address: Multiaddr, outbound: bool, reserved: bool) -> Self {
        let (since, facts, urgent, bulk) = (Instant::now(), Mutex::default(), Outbox::default(), Outbox::default());
        let (closing, shut, twin, ended_here) = Default::default();
        Self {
            connection,
            id,
            address,
            outbound,
            reserved,
            since,
            facts,
            urgent,
            bulk,
            closing,
            shut,
            twin,
            ended_here,
        }
    }

    /// What is known now; short locks only.
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// The queue of a lane.
    pub fn outbox(&self, lane: Lane) -> &Outbox {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Queues a frame; what does not fit any more pushes out the oldest.
    pub fn send(&self, lane: Lane, frame: Bytes, limits: &Limits, metrics: &Metrics) {
        let dropped = self.outbox(lane).push(frame, limits.queue_frames, limits.queue_bytes(lane));
        metrics.dropped(lane).inc_by(dropped);
    }

    /// Ends the session.
    pub fn close(&self) {
        self.ended_here.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    /// Whether it was we who ended the session.
    pub fn is_ended_here(&self) -> bool {
        self.ended_here.load(Ordering::Relaxed)
    }

    /// Whether frames of a lane wait, or one is being written.
    pub fn has_backlog(&self, lane: Lane) -> bool {
        self.outbox(lane).is_busy()
    }

    /// Gives back what waits: the session is over, and its name may be kept for long.
    pub fn discard(&self) {
        self.urgent.close();
        self.bulk.close();
    }

    /// Ends the session because its peer is banned: what it said and nobody has looked at is void.
    pub fn shut_out(&self) {
        self.shut.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Ends the session because another node came with the same identity.
    pub fn replace(&self) {
        self.twin.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Whether another node came with the same identity.
    pub fn is_replaced(&self) -> bool {
        self.twin.load(Ordering::Relaxed)
    }

    /// Whether it seems to be another node than one of the same identity: it proved another key.
    pub fn is_twin_of(&self, other: &Self) -> bool {
        self.id == other.id && self.facts().validator != other.facts().validator
    }

    /// Whether its peer was banned.
    pub fn is_shut_out(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Waits for [`Self::close`].
    pub async fn closed(&self) {
        self.closing.notified().await;
    }
}

/// Frames waiting to be written to one stream.
#[derive(Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The reader has a frame in its hands.
    writing: bool,
    closed: bool,
}

impl Outbox {
    /// Puts a frame at the end; answers how many of the oldest had to go for it.
    pub fn push(&self, frame: Bytes, max_frames: usize, max_bytes: usize) -> u64 {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return 0;
        }
        let mut dropped = 0;
        while queue.frames.len() >= max_frames || queue.bytes.saturating_add(frame.len()) > max_bytes {
            let Some(oldest) = queue.frames.pop_front() else { break };
            queue.bytes -= oldest.len();
            dropped += 1;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.ready.notify_one();
        dropped
    }

    /// The oldest frame, as soon as there is one. For one reader, who has done with the one before.
    pub async fn pop(&self) -> Bytes {
        lock(&self.queue).writing = false;
        loop {
            if let Some(frame) = self.try_pop() {
                return frame;
            }
            self.ready.notified().await;
        }
    }

    fn try_pop(&self) -> Option<Bytes> {
        let mut queue = lock(&self.queue);
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        queue.writing = true;
        Some(frame)
    }

    /// Whether frames wait, or one is being written.
    pub fn is_busy(&self) -> bool {
        let queue = lock(&self.queue);
        queue.writing || !queue.frames.is_empty()
    }

    /// Drops what waits, and takes nothing more.
    fn close(&self) {
        let mut queue = lock(&self.queue);
        *queue = Queue { closed: true, ..Queue::default() };
    }

    /// Frames and bytes waiting.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        let queue = lock(&self.queue);
        (queue.frames.len(), queue.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_account() {
        let ip = |text: &str| text.parse().ok().and_then(|address| ip_of(&address)).map(|ip| ip.to_string());
        for (address, account) in [
            ("/ip4/192.0.2.1/tcp/1", "192.0.2.1"),
            ("/ip6/::ffff:192.0.2.1/tcp/1", "192.0.2.1"),
            ("/ip6/2001:db8:1:2:3:4:5:6/udp/1/quic-v1", "2001:db8:1:2::"),
            ("/ip6/2001:db8:1:3:3:4:5:6/tcp/1", "2001:db8:1:3::"),
            ("/ip6/::1/tcp/1", "::1"),
        ] {
            assert_eq!(ip(address).as_deref(), Some(account));
        }
    }

    #[test]
    fn a_full_queue_lets_the_oldest_go() {
        let outbox = Outbox::default();
        for byte in 0..5u8 {
            outbox.push(vec![byte; 10].into(), 3, 1000);
        }
        assert_eq!(outbox.size(), (3, 30));
        assert_eq!(outbox.push(vec![9; 15].into(), 3, 40), 1, "one for the count, and then the bytes fit");
        assert_eq!(outbox.size(), (3, 35));
        assert_eq!(outbox.push(vec![9; 35].into(), 3, 40), 3);
        assert_eq!(outbox.size(), (1, 35));
    }

    #[tokio::test]
    async fn a_frame_is_a_backlog_until_it_is_written() {
        let outbox = Outbox::default();
        assert!(!outbox.is_busy());
        outbox.push(vec![1].into(), 8, 8);
        assert!(outbox.is_busy());
        outbox.pop().await;
        assert!(outbox.is_busy() && outbox.size() == (0, 0), "it is being written");
        outbox.push(vec![2].into(), 8, 8);
        outbox.pop().await;
        tokio::select! {
            biased;
            _ = outbox.pop() => unreachable!("nothing waits"),
            () = std::future::ready(()) => {}
        }
        assert!(!outbox.is_busy(), "who asks for the next has written the last");
    }

    #[test]
    fn what_is_over_holds_no_frames() {
        let outbox = Outbox::default();
        outbox.push(vec![1].into(), 8, 8);
        outbox.close();
        outbox.push(vec![2].into(), 8, 8);
        assert_eq!(outbox.size(), (0, 0));
    }

    #[tokio::test]
    async fn frames_come_out_in_order() {
        let outbox = Outbox::default();
        outbox.push(vec![1].into(), 8, 8);
        outbox.push(vec![2].into(), 8, 8);
        assert_eq!((outbox.pop().await.to_vec(), outbox.pop().await.to_vec()), (vec![1], vec![2]));
        assert_eq!(outbox.size(), (0, 0));
    }
}
