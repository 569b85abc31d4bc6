//! Gossip: how gossipsub is set up, and what waits to be published.
//!
//! Not here: what a frame holds (`chain_core::wire`).

use super::P2pError;
use super::metrics::Metrics;
use crate::locks::lock;
use chain_core::limits::MAX_GOSSIP_BYTES;
use chain_core::types::ChainId;
use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, Message, MessageAuthenticity, MessageId, PublishError, ValidationMode,
};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// Bytes around a frame on the wire.
const ENVELOPE_BYTES: usize = 4096;
/// Most frames that wait for somebody to subscribe.
const MAX_WAITING: usize = 256;
/// Most frames that wait for one slow peer: times the longest frame, 16 MiB.
const MAX_QUEUED: usize = 256;
const FIRST_HEARTBEAT: Duration = Duration::from_millis(100);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A short name of a chain: the start of its id in hex.
pub fn tag(chain: &ChainId) -> String {
    hex::encode(chain.0.as_bytes()).chars().take(16).collect()
}

/// The topic of a chain's transactions.
pub fn topic(chain: &ChainId) -> IdentTopic {
    IdentTopic::new(format!("ait/{}/transactions/1", tag(chain)))
}

fn message_id(message: &Message) -> MessageId {
    MessageId::from(chain_core::crypto::digest(&message.data).as_bytes().to_vec())
}

/// Gossipsub, subscribed to the chain's transactions.
///
/// # Errors
/// Settings that contradict each other; a mistake in this file.
pub fn behaviour(chain: &ChainId) -> Result<Behaviour, P2pError> {
    let wrong = |error: &dyn std::fmt::Display| P2pError::Setup(format!("gossip: {error}"));
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(message_id)
        .validate_messages()
        .heartbeat_initial_delay(FIRST_HEARTBEAT)
        .heartbeat_interval(HEARTBEAT)
        .max_transmit_size(MAX_GOSSIP_BYTES + ENVELOPE_BYTES)
        .connection_handler_queue_len(MAX_QUEUED)
        // A frame must still be at hand when the node has judged it.
        .history_length(20)
        .history_gossip(6)
        .build()
        .map_err(|e| wrong(&e))?;
    let mut gossip = Behaviour::new(MessageAuthenticity::Anonymous, config).map_err(|e| wrong(&e))?;
    gossip.subscribe(&topic(chain)).map_err(|e| wrong(&e))?;
    Ok(gossip)
}

/// Frames to be published. Nobody having subscribed yet means later, not never.
#[derive(Default)]
pub struct Waiting(Mutex<VecDeque<Vec<u8>>>);

impl Waiting {
    /// Puts a frame at the end; the oldest goes if there are too many. Answers whether one went.
    pub fn push(&self, frame: Vec<u8>) -> bool {
        let mut waiting = lock(&self.0);
        waiting.push_back(frame);
        waiting.len() > MAX_WAITING && waiting.pop_front().is_some()
    }

    /// Publishes what it can, in order.
    pub fn flush(&self, gossip: &mut Behaviour, chain: &ChainId, metrics: &Metrics) {
        loop {
            let Some(frame) = lock(&self.0).pop_front() else { return };
            let bytes = frame.len();
            match gossip.publish(topic(chain), frame.clone()) {
                Ok(_) => metrics.count_sent("gossip", bytes),
                Err(PublishError::Duplicate) => {}
                Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                    lock(&self.0).push_front(frame);
                    return;
                }
                Err(error) => {
                    metrics.dropped_gossip().inc();
                    tracing::warn!(%error, bytes, "a frame of gossip cannot be published");
                }
            }
        }
    }
}
