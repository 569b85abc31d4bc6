//! Who is connected, and how much each may be answered.
//!
//! Not here: connections themselves (chain-node), who is behind (`sync`).

use crate::consensus::Peer;
use crate::crypto::PublicKey;
use crate::limits::ANSWER_INTERVAL_MS;
use std::collections::BTreeMap;

/// The connected nodes. Bounded by the transport's number of connections.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<Peer, Known>);

#[derive(Debug)]
struct Known {
    validator: Option<PublicKey>,
    answered_ms: Option<u64>,
}

impl Peers {
    pub(super) fn join(&mut self, peer: Peer, validator: Option<PublicKey>) {
        self.0.insert(peer, Known { validator, answered_ms: None });
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.0.remove(&peer);
    }

    pub(super) fn all(&self) -> Vec<Peer> {
        self.0.keys().copied().collect()
    }

    pub(super) fn validators(&self) -> Vec<Peer> {
        self.0.iter().filter(|(_, known)| known.validator.is_some()).map(|(peer, _)| *peer).collect()
    }

    pub(super) fn is_validator(&self, peer: Peer) -> bool {
        self.0.get(&peer).is_some_and(|known| known.validator.is_some())
    }

    /// Whether a word about the past may be answered now: each peer's is, but not all the time.
    pub(super) fn may_answer(&mut self, peer: Peer, now_ms: u64) -> bool {
        let Some(known) = self.0.get_mut(&peer) else { return false };
        let due = known.answered_ms.is_none_or(|last| now_ms.saturating_sub(last) >= ANSWER_INTERVAL_MS);
        if due {
            known.answered_ms = Some(now_ms);
        }
        due
    }
}
