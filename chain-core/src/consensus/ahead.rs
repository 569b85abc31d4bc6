//! Messages of the next heights, kept until it is their turn, and the suspicion that we are behind.
//!
//! Nothing here is verified, for the next heights' validators may not be known yet. So everything
//! is bounded per peer, and a full store takes from whoever holds most of it.
//!
//! Not here: fetching blocks (the engine); a false claim costs a useless question, never a vote.

use super::interface::{Message, Peer};
use super::pacing::Mono;
use crate::crypto::PublicKey;
use crate::limits::{MAX_AHEAD_BYTES, MAX_AHEAD_PEER_BYTES, MAX_HEIGHTS_AHEAD, MAX_VIEWS_AHEAD, RETRY_MS};
use crate::types::{Height, View, VoteKind};
use std::collections::BTreeMap;

/// What a kept message costs beside its bytes.
const OVERHEAD: usize = 256;

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    kept: BTreeMap<Peer, OfPeer>,
    /// The furthest height heard of, and when to say so.
    behind: Option<(Height, Mono)>,
    /// When it was said last.
    said: Option<Mono>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfPeer {
    bytes: usize,
    messages: BTreeMap<(Height, Slot), (usize, Message)>,
}

/// Of each there is one per peer and height, the first that came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Finalization,
    Certificate(View, VoteKind),
    Proposal(View),
    Vote(View, VoteKind, PublicKey),
}

impl Slot {
    fn of(message: &Message) -> Option<Self> {
        let slot = match message {
            Message::Certificate(certificate) if certificate.kind() == VoteKind::Finalize => {
                return Some(Self::Finalization);
            }
            Message::Certificate(certificate) => Self::Certificate(certificate.view(), certificate.kind()),
            Message::Proposal { proposal, .. } => Self::Proposal(proposal.view),
            Message::Vote(vote) => Self::Vote(vote.message.view, vote.message.kind, vote.signer),
            Message::NeedCertificates { .. } | Message::Status { .. } => return None,
        };
        Some(slot).filter(|slot| slot.view().get() <= MAX_VIEWS_AHEAD)
    }

    fn view(&self) -> View {
        match self {
            Self::Finalization => View::ZERO,
            Self::Certificate(view, _) | Self::Proposal(view) | Self::Vote(view, _, _) => *view,
        }
    }
}

impl Ahead {
    /// Keeps a message of a height above `own`, if it is near and there is room.
    pub fn hear(&mut self, now: Mono, own: Height, from: Peer, message: Message) {
        let height = message.height();
        self.suspect(now, own, height);
        if height > own.saturating_add(MAX_HEIGHTS_AHEAD) {
            return;
        }
        let Some(slot) = Slot::of(&message) else { return };
        let bytes = borsh::object_length(&message).unwrap_or(usize::MAX).saturating_add(OVERHEAD);
        let held = self.kept.get(&from).map_or(0, |of| of.bytes);
        if held.saturating_add(bytes) > MAX_AHEAD_PEER_BYTES {
            return;
        }
        let of = self.kept.entry(from).or_default();
        if let std::collections::btree_map::Entry::Vacant(vacant) = of.messages.entry((height, slot)) {
            vacant.insert((bytes, message));
            of.bytes += bytes;
        }
        while self.bytes() > MAX_AHEAD_BYTES {
            self.take_from_the_richest();
        }
    }

    /// The messages of `height`, whose turn it is; forgets those below.
    pub fn take(&mut self, now: Mono, height: Height) -> Vec<(Peer, Message)> {
        let mut due = Vec::new();
        for (from, of) in &mut self.kept {
            let later = of.messages.split_off(&(height.next(), Slot::Finalization));
            for ((at, _), (bytes, message)) in std::mem::replace(&mut of.messages, later) {
                of.bytes -= bytes;
                due.extend((at == height).then_some((*from, message)));
            }
        }
        self.kept.retain(|_, of| !of.messages.is_empty());
        if let Some((further, _)) = self.behind.take().filter(|(further, _)| *further > height) {
            self.suspect(now, height, further);
        }
        due
    }

    /// The height others are at, if it is time to say so.
    ///
    /// # Errors
    /// When to look again.
    pub fn behind(&mut self, now: Mono) -> Result<Option<Height>, Mono> {
        match self.behind {
            Some((_, at)) if at > now => Err(at),
            Some((height, _)) => {
                self.behind = None;
                self.said = Some(now);
                Ok(Some(height))
            }
            None => Ok(None),
        }
    }

    /// A message of the next height is usual while a decision is on its way to us; one beyond it
    /// is not.
    fn suspect(&mut self, now: Mono, own: Height, height: Height) {
        let patience = if height > own.next() { 0 } else { RETRY_MS };
        let not_before = self.said.map_or(0, |said| said.saturating_add(RETRY_MS));
        let at = now.saturating_add(patience).max(not_before);
        self.behind = Some(match self.behind {
            Some((known, due)) => (known.max(height), due.min(at)),
            None => (height, at),
        });
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.kept.values().map(|of| of.bytes).sum()
    }

    fn take_from_the_richest(&mut self) {
        let richest = self.kept.values_mut().max_by_key(|of| of.bytes);
        if let Some(of) = richest
            && let Some((_, (bytes, _))) = of.messages.pop_last()
        {
            of.bytes -= bytes;
        }
    }
}
