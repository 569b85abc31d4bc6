//! R9: what others are told because they seem not to know it, what we ask them for, and what a
//! word signed with our own key means that we did not say.
//!
//! Certificates are never answered, so two nodes cannot keep each other busy.
//!
//! Not here: messages of decided heights; the engine answers them with the stored finalization.

use super::WalRecord;
use super::interface::{Effect, Message, Now, Offence, Peer};
use super::machine::Machine;
use super::pacing::Mono;
use super::rules::before;
use crate::limits::{ANSWER_INTERVAL_MS, FAST_WINDOW_HEIGHTS, MAX_ANSWERED_CERTIFICATES, MAX_ANSWERED_PEERS, RETRY_MS};
use crate::types::{Certificate, Height, View, VoteError};
use std::collections::BTreeMap;

/// Whom we answered lately. Memory: bounded, and nobody stays longer than the interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered(BTreeMap<Peer, Mono>);

impl Answered {
    /// Whether the peer may be answered now; then this counts as the answer.
    pub(super) fn allows(&mut self, peer: Peer, now: Mono) -> bool {
        self.0.retain(|_, at| now < at.saturating_add(ANSWER_INTERVAL_MS));
        let allowed = self.0.len() < MAX_ANSWERED_PEERS && !self.0.contains_key(&peer);
        if allowed {
            self.0.insert(peer, now);
        }
        allowed
    }
}

impl Machine {
    /// A word of an earlier view of this height: sends what leads to where we are. What we sent to
    /// everybody just now is not sent to one again.
    pub(super) fn point_the_way(&mut self, now: Now, to: Peer, message: &Message) {
        let view = match message {
            Message::Proposal { proposal, .. } => proposal.view,
            Message::Vote(vote) => vote.message.view,
            Message::Status { view, .. } | Message::NeedCertificates { from: view, .. } => *view,
            Message::Certificate(_) => return,
        };
        let (way, since) = match (self.round.certificates.finalization(), self.round.decided_at) {
            (Some(finalization), Some(since)) => (finalization.clone(), since),
            _ if view < self.round.view.number => match self.entry_certificate() {
                Some(entry) => (entry.clone(), self.round.view.entered.mono_ms),
                None => return,
            },
            _ => return,
        };
        if now.mono_ms >= since.saturating_add(ANSWER_INTERVAL_MS) && self.pointed.allows(to, now.mono_ms) {
            self.out.send(to, Message::Certificate(way));
        }
    }

    /// Sends our certificates from a view on, the oldest first: who needs more asks again.
    pub(super) fn serve(&mut self, now: Now, to: Peer, from: View) {
        if !self.served.allows(to, now.mono_ms) {
            return;
        }
        let wanted = self.round.certificates.since(from).take(MAX_ANSWERED_CERTIFICATES);
        let wanted: Vec<Certificate> = wanted.cloned().collect();
        if !wanted.is_empty() {
            wanted.into_iter().for_each(|certificate| self.out.send(to, Message::Certificate(certificate)));
        }
    }

    /// Asks for the certificates that a proposal of this view, or one of ours, is waiting for: at
    /// once, soon again where an answer brought us on, else with every retry.
    pub(super) fn ask_for_certificates(&mut self, now: Now) {
        let Some(from) = self.missing().filter(|_| self.is_validator()) else { return };
        let due = match self.round.view.asked {
            None => now.mono_ms,
            Some((of, at)) if of == from => at.saturating_add(RETRY_MS),
            Some((_, at)) => at.saturating_add(ANSWER_INTERVAL_MS),
        };
        if now.mono_ms < due {
            return self.out.look_again(due);
        }
        self.round.view.asked = Some((from, now.mono_ms));
        self.out.broadcast(Message::NeedCertificates { height: self.round.height, from });
        self.out.look_again(now.mono_ms.saturating_add(RETRY_MS));
    }

    fn missing(&self) -> Option<View> {
        let (view, certificates) = (self.round.view.number, &self.round.certificates);
        let proposal = self.round.proposals.get(&view);
        proposal.and_then(|kept| certificates.lacking(view, kept.notarized_in)).or_else(|| certificates.gap(view))
    }

    /// The certificate by which the current view was entered.
    pub(super) fn entry_certificate(&self) -> Option<&Certificate> {
        let certificates = &self.round.certificates;
        before(self.round.view.number)
            .and_then(|v| certificates.notarization(v).or_else(|| certificates.nullification(v)))
    }

    /// Says that others are further, once that is more than a message that overtook another.
    pub(super) fn report_behind(&mut self, now: Now) {
        match self.ahead.behind(now.mono_ms) {
            Ok(height) => self.out.rest.extend(height.map(|height| Effect::Behind { height })),
            Err(at) => self.out.look_again(at),
        }
    }

    /// A late word of a decided height: whoever said it is not off.
    pub(super) fn overhear(&mut self, from: Peer, message: &Message) {
        let height = self.round.height;
        let (signer, verdict): (_, &dyn Fn() -> Result<(), VoteError>) = match message {
            Message::Vote(vote) => (vote.signer, &|| vote.verify(&self.config.chain)),
            Message::Proposal { proposal, .. } => (proposal.signer, &|| proposal.verify(&self.config.chain)),
            _ => return,
        };
        let recent = message.height().saturating_add(FAST_WINDOW_HEIGHTS) >= height;
        let news = self.head.set.index_of(&signer).is_some() && !self.heard.at(&signer, height);
        if !recent || !news {
            return;
        }
        match verdict() {
            Ok(()) => self.heard.note(signer, height),
            Err(error) => self.blame_for(from, error),
        }
    }

    /// Looks for words signed with our key that our record lacks, of this height or a later one.
    pub(super) fn watch_own_key(&mut self, from: Peer, message: &Message) {
        let Some(own) = self.signer.public().filter(|_| message.height() >= self.round.height) else { return };
        let verdict = match message {
            Message::Vote(vote) if vote.signer == own && !self.signer.record().holds(&vote.message) => {
                vote.verify(&self.config.chain)
            }
            Message::Proposal { proposal, .. }
                if proposal.signer == own && !self.signer.record().proposed(proposal) =>
            {
                proposal.verify(&self.config.chain)
            }
            _ => return,
        };
        match verdict {
            Ok(()) => self.own_key_used(message.height()),
            Err(error) => self.blame_for(from, error),
        }
    }

    /// Whether a certificate of this height holds a vote of ours that our record lacks.
    pub(super) fn claims_our_vote(&self, certificate: &Certificate) -> bool {
        let own = self.signer.public().and_then(|key| self.head.set.index_of(&key));
        let places = certificate.signers.places(self.head.set.members().len());
        own.is_some_and(|own| places.is_some_and(|places| places.contains(&own)))
            && !self.signer.record().holds(&certificate.message)
    }

    /// A second instance signs with our key, or our record was lost: nothing is signed up to the
    /// height after that one. What the barrier at our start explains is no alarm, nor what a node
    /// without memory hears while it waits.
    pub(super) fn own_key_used(&mut self, height: Height) {
        if height <= self.head.height.max(self.explained) || !self.signer.own_key_used(height) {
            return;
        }
        self.out.persist(WalRecord::Barrier(height.next()));
        if !self.signer.record().is_waiting() {
            self.out.rest.push(Effect::OwnKey { height });
        }
    }

    pub(super) fn blame(&mut self, peer: Peer, offence: Offence) {
        self.out.rest.push(Effect::Blame { peer, offence });
    }

    /// Blames for a word that isn't its signer's: votes and proposals are never passed on.
    pub(super) fn blame_for(&mut self, peer: Peer, error: VoteError) {
        let offence = match error {
            VoteError::Form => Offence::BadMessage,
            VoteError::Signature => Offence::BadSignature,
        };
        self.blame(peer, offence);
    }

    /// After a log that was ahead of the blocks: what we said at this height counts again.
    pub(super) fn count_own_again(&mut self) {
        let said: Vec<_> = self.signer.record().views(self.round.height).map(|(_, said)| said.clone()).collect();
        for said in said {
            if let Some(proposal) = &said.proposal {
                self.round.proposals.entry(proposal.view).or_insert_with(|| proposal.clone());
            }
            said.votes().for_each(|vote| self.count(vote.clone()));
        }
    }
}
