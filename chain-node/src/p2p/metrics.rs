//! What the network counts, in the text form of Prometheus.
//!
//! Not here: serving it (chain-rpc).

use chain_core::wire::Lane;
use prometheus::{Encoder, Error, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The network's counters, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    /// Greeted connections.
    pub peers: IntGauge,
    /// Validators of the current set, other than ourselves, without a connection.
    pub missing_validators: IntGauge,
    /// Peers and addresses shut out now.
    pub banned: IntGauge,
    /// Bans given.
    pub bans: IntCounter,
    /// Peers turned away at the greeting, by reason.
    pub refused: IntCounterVec,
    /// Connections ended because the peer was too slow.
    pub slow: IntCounter,
    /// Frames received, by lane or `gossip`.
    pub received: IntCounterVec,
    /// Bytes received, by lane or `gossip`.
    pub received_bytes: IntCounterVec,
    /// Frames written, by lane or `gossip`.
    pub sent: IntCounterVec,
    /// Bytes written, by lane or `gossip`.
    pub sent_bytes: IntCounterVec,
    /// Frames that found no room in a queue to a peer, by lane; `gossip`: never published.
    dropped: IntCounterVec,
    /// Times a peer was read no further because the node's queue was full.
    pub held_back: IntCounter,
    /// Times a peer was read no further because of its rate.
    pub throttled: IntCounter,
    /// Gossip passed over unread: too much of it, or the node's queue was full.
    pub gossip_ignored: IntCounter,
    /// Orders to the network that found its queue full.
    pub orders_lost: IntCounter,
}

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// Two of one name; a mistake in this file.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let by = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        Ok(Self {
            peers: gauge("blockchain_p2p_peers", "Greeted connections")?,
            missing_validators: gauge("blockchain_p2p_missing_validators", "Other validators without a connection")?,
            banned: gauge("blockchain_p2p_banned", "Peers and addresses shut out now")?,
            bans: counter("blockchain_p2p_bans_total", "Bans given")?,
            refused: by("blockchain_p2p_refused_total", "Peers turned away at the greeting", "reason")?,
            slow: counter("blockchain_p2p_slow_total", "Connections ended because the peer was too slow")?,
            received: by("blockchain_p2p_received_frames_total", "Frames received", "lane")?,
            received_bytes: by("blockchain_p2p_received_bytes_total", "Bytes of frames received", "lane")?,
            sent: by("blockchain_p2p_sent_frames_total", "Frames written", "lane")?,
            sent_bytes: by("blockchain_p2p_sent_bytes_total", "Bytes of frames written", "lane")?,
            dropped: by("blockchain_p2p_dropped_frames_total", "Frames that found no room in a queue", "lane")?,
            held_back: counter("blockchain_p2p_held_back_total", "Reading stopped because the node's queue was full")?,
            throttled: counter("blockchain_p2p_throttled_total", "Reading stopped because of a peer's rate")?,
            gossip_ignored: counter("blockchain_p2p_gossip_ignored_total", "Gossip passed over unread")?,
            orders_lost: counter("blockchain_p2p_orders_lost_total", "Orders that found the network's queue full")?,
            registry,
        })
    }

    /// Frames of a lane that were dropped.
    pub fn dropped(&self, lane: Lane) -> IntCounter {
        self.dropped.with_label_values(&[name(lane)])
    }

    /// Frames of gossip that were dropped.
    pub fn dropped_gossip(&self) -> IntCounter {
        self.dropped.with_label_values(&["gossip"])
    }

    /// Counts a frame that came.
    pub fn count_received(&self, lane: &str, bytes: usize) {
        self.received.with_label_values(&[lane]).inc();
        self.received_bytes.with_label_values(&[lane]).inc_by(bytes as u64);
    }

    /// Counts a frame that went.
    pub fn count_sent(&self, lane: &str, bytes: usize) {
        self.sent.with_label_values(&[lane]).inc();
        self.sent_bytes.with_label_values(&[lane]).inc_by(bytes as u64);
    }

    /// The text form.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory cannot fail, and the encoder makes nothing but text.
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        if let Err(error) = encoded {
            tracing::error!(%error, "the network's metrics have no text form");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The label of a lane.
pub fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Urgent => "urgent",
        Lane::Bulk => "bulk",
    }
}
