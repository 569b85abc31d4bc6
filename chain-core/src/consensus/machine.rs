//! The machine: takes in what happened, refuses what is irrelevant or not signed, remembers the
//! rest, then lets the rules act.
//!
//! Not here: the rules (`rules`), what is remembered (`round`), what may be signed (`safety`).

use super::ahead::Ahead;
use super::answers::Answered;
use super::barrier::{Barrier, furthest_logged};
use super::heard::Heard;
use super::interface::{Config, Effect, HaltReason, Head, Input, Message, Now, Offence, Peer, Status, Verdict};
use super::pacing::Mono;
use super::round::{Asked, Output, Phase, Round};
use super::safety::Signer;
use super::tally::Added;
use super::{ConsensusEvent, WalRecord};
use crate::crypto::PublicKey;
use crate::limits::LISTEN_MS;
use crate::types::{
    BlockId, Certificate, Evidence, Height, Proposal, SignedMessage, ValidatorSet, View, Vote, VoteKind,
};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The agreement of one node, height after height.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) config: Config,
    pub(super) head: Head,
    pub(super) signer: Signer,
    pub(super) pool_empty: bool,
    pub(super) round: Round,
    pub(super) out: Output,
    /// Up to here the barrier at our start explains words of our key that the record lacks.
    pub(super) explained: Height,
    pub(super) ahead: Ahead,
    pub(super) heard: Heard,
    pub(super) listening: Listening,
    /// Whom we told lately where we are, and to whom we sent what they asked for.
    pub(super) pointed: Answered,
    pub(super) served: Answered,
}

/// Whether a node that has just started hears others before it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listening {
    /// Nobody is connected yet.
    ForAnybody,
    Until(Mono),
    Over,
}

impl Machine {
    /// A machine that continues above `head` with what the log holds. Records of decided heights
    /// are ignored. A log that is ahead of the head means that blocks were lost: then nothing is
    /// signed up to the log's height ([`Status::barrier`]).
    ///
    /// Nothing of the log is verified: it is our own, and the engine has checked its frames.
    pub fn recover(config: Config, head: Head, log: Vec<WalRecord>, now: Now) -> (Self, Vec<Effect>) {
        let height = head.height.next();
        let mut signer = Signer::new(config.key.clone(), config.chain, Barrier::at_start(&config, &head, &log, now));
        log.iter().filter(|record| record.height() >= height).for_each(|record| signer.restore(record));
        let mut machine = Self {
            signer,
            pool_empty: true,
            round: Round::begin(&head, now, false),
            out: Output::default(),
            explained: config.barrier.max(furthest_logged(&head, &log)),
            ahead: Ahead::default(),
            heard: Heard::since(height),
            listening: if config.listens { Listening::ForAnybody } else { Listening::Over },
            pointed: Answered::default(),
            served: Answered::default(),
            config,
            head,
        };
        machine.report_view();
        machine.replay(log.into_iter().filter(|record| record.height() == height).collect());
        machine.advance(now);
        machine.resend();
        let effects = machine.out.take();
        (machine, effects)
    }

    /// One step: what happened, and what to do about it.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        match input {
            Input::Tick => self.out.promised = None,
            Input::Pool { empty } => self.on_pool(now, empty),
            Input::Built { height, view, block } => self.on_built(height, view, block),
            Input::BuildFailed { height, view } => self.on_build_failed(height, view),
            Input::Judged { block, verdict } => self.on_judged(block, verdict),
            Input::Message { from, message } => self.on_message(now, from, message),
            Input::Joined { peer } => self.on_joined(now, peer),
            Input::MemoryTooOld => self.signer.distrust(now.wall),
            Input::Committed(head) => self.on_committed(now, head, false),
            Input::Fetched(head) => self.on_committed(now, head, true),
        }
        self.advance(now);
        self.out.take()
    }

    /// Where the machine stands.
    pub fn status(&self) -> Status {
        Status {
            height: self.round.height,
            view: self.round.view.number,
            leader: self.leader(self.round.view.number),
            barrier: self.signer.record().barrier(),
            waiting_since: self.signer.record().waiting_since(),
            halted: self.round.phase == Phase::Halted,
        }
    }

    /// The validators of the height being decided.
    pub fn set(&self) -> &Arc<ValidatorSet> {
        &self.head.set
    }

    /// Certificates first, so that counting our votes again makes none a second time.
    fn replay(&mut self, log: Vec<WalRecord>) {
        for record in &log {
            if let WalRecord::Certificate(certificate) = record {
                match self.round.certificates.conflict(&certificate.message).cloned() {
                    Some(other) => self.halt(HaltReason::Conflict(other, certificate.clone())),
                    None => self.round.certificates.insert(certificate.clone()),
                }
            }
        }
        for record in log {
            match record {
                WalRecord::Proposal(proposal) => {
                    self.round.proposals.entry(proposal.view).or_insert(proposal);
                }
                WalRecord::Vote(vote) => self.count(vote),
                WalRecord::Certificate(_) | WalRecord::Barrier(_) => {}
            }
        }
    }

    fn on_joined(&mut self, now: Now, peer: Peer) {
        if self.listening == Listening::ForAnybody {
            self.listening = Listening::Until(now.mono_ms.saturating_add(LISTEN_MS));
        }
        self.own_words().into_iter().for_each(|message| self.out.send(peer, message));
    }

    fn on_pool(&mut self, now: Now, empty: bool) {
        self.pool_empty = empty;
        if !empty {
            self.round.pacing.busy_since.get_or_insert(now.mono_ms);
        }
    }

    fn on_built(&mut self, height: Height, view: View, block: BlockId) {
        let Some((since, timestamp)) = self.round.view.building.filter(|_| self.is_current(height, view)) else {
            return;
        };
        let Some(proposer) = self.signer.public() else { return };
        let verdict = Some(Verdict::Valid { view, proposer, timestamp });
        self.round.blocks.insert(block, Asked { since, verdict });
        self.say_proposal(block, None);
    }

    fn on_build_failed(&mut self, height: Height, view: View) {
        if self.is_current(height, view) {
            self.round.view.build_failed = true;
        }
    }

    fn on_judged(&mut self, block: BlockId, verdict: Verdict) {
        if let Some(asked) = self.round.blocks.get_mut(&block) {
            asked.verdict.get_or_insert(verdict);
        }
    }

    fn on_message(&mut self, now: Now, from: Peer, message: Message) {
        if self.round.phase == Phase::Halted {
            return;
        }
        self.watch_own_key(from, &message);
        match message.height().cmp(&self.round.height) {
            Ordering::Less => self.overhear(from, &message),
            Ordering::Equal => self.on_current(now, from, message),
            Ordering::Greater => self.ahead.hear(now.mono_ms, self.round.height, from, message),
        }
    }

    fn on_current(&mut self, now: Now, from: Peer, message: Message) {
        self.point_the_way(now, from, &message);
        match message {
            Message::Certificate(certificate) => drop(self.on_certificate(from, certificate)),
            _ if self.round.phase != Phase::Deciding => {}
            Message::Vote(vote) => self.on_vote(from, vote),
            Message::Proposal { proposal, justification } => self.on_proposal(now, from, proposal, &justification),
            Message::NeedCertificates { from: first, .. } => self.serve(now, from, first),
            Message::Status { .. } => {}
        }
    }

    fn on_vote(&mut self, from: Peer, vote: Vote) {
        let message = &vote.message;
        let relevant = message.view <= self.round.furthest_accepted_view()
            && self.head.set.index_of(&vote.signer).is_some()
            && !self.round.tally.knows(&vote);
        if !relevant {
            return;
        }
        match vote.verify(&self.config.chain) {
            Ok(()) => {
                self.heard.note(vote.signer, self.round.height);
                self.count(vote);
            }
            Err(error) => self.blame_for(from, error),
        }
    }

    /// Once the height is decided, only a certificate that contradicts the decision is news.
    /// Honest nodes pass on nothing that they have not verified. False for one that is forged.
    fn on_certificate(&mut self, from: Peer, certificate: Certificate) -> bool {
        let news = match self.round.phase {
            Phase::Deciding => !self.round.certificates.knows(&certificate.message),
            Phase::Decided => self.round.certificates.conflict(&certificate.message).is_some(),
            Phase::Halted => false,
        };
        let claims_our_vote = self.claims_our_vote(&certificate);
        if !(news || claims_our_vote) || certificate.height() != self.round.height {
            return true;
        }
        if certificate.verify(&self.config.chain, self.config.rule, &self.head.set).is_err() {
            self.blame(from, Offence::BadCertificate);
            return false;
        }
        if claims_our_vote {
            self.own_key_used(certificate.height());
        }
        if news {
            self.learn(certificate);
        }
        true
    }

    /// The leader's signature first: only a leader may make us verify a pile of certificates.
    fn on_proposal(&mut self, now: Now, from: Peer, proposal: Proposal, justification: &[Certificate]) {
        // Of a view that is over a proposal only tells that its leader is there.
        let late = proposal.view < self.round.view.number && self.heard.at(&proposal.signer, self.round.height);
        let relevant = proposal.signer == self.leader(proposal.view)
            && self.round.proposals.get(&proposal.view) != Some(&proposal)
            && !late;
        if !relevant {
            return;
        }
        if let Err(error) = proposal.verify(&self.config.chain) {
            return self.blame_for(from, error);
        }
        self.heard.note(proposal.signer, self.round.height);
        // Nothing is looked at behind the first forged one.
        let _ = justification.iter().all(|certificate| self.on_certificate(from, certificate.clone()));
        self.r1_enter(now);
        let current = self.round.view.number;
        if proposal.view >= current && proposal.view <= self.round.furthest_accepted_view() {
            self.keep_proposal(proposal);
        }
    }

    pub(super) fn keep_proposal(&mut self, proposal: Proposal) {
        let (height, view, block) = (proposal.height, proposal.view, proposal.block);
        match self.round.proposals.get(&view) {
            None => {
                self.round.proposals.insert(view, proposal);
                self.out.report(ConsensusEvent::Proposal { height, view, block });
            }
            Some(first) if first.block != block && !self.round.contradictions.contains_key(&view) => {
                self.out.evidence(Evidence::Proposals(first.clone(), proposal.clone()));
                self.round.contradictions.insert(view, proposal);
            }
            Some(_) => {}
        }
    }

    /// R8, the end of it: the next height. A log that was ahead of the blocks stays until they
    /// have caught up: it is why nothing may be signed, also after the next restart. Of any other
    /// barrier the new log is told.
    fn on_committed(&mut self, now: Now, head: Head, fetched: bool) {
        if head.height < self.round.height {
            return;
        }
        self.signer.commit(head.height, head.timestamp, fetched);
        self.round = Round::begin(&head, now, !self.pool_empty);
        let height = self.round.height;
        if head.set != self.head.set {
            self.heard.change(&self.head.set, &head.set, height);
        }
        self.head = head;
        if height > self.explained {
            self.out.records.push(Effect::SwitchWal { height });
            if let Some(barrier) = self.signer.record().barrier_to_remember(height) {
                self.out.persist(WalRecord::Barrier(barrier));
            }
        }
        self.report_view();
        self.count_own_again();
        let mut liars = BTreeSet::new();
        for (from, message) in self.ahead.take(now.mono_ms, height) {
            // Nothing was verified when it was kept: the first forged word is the last one looked at.
            if !liars.contains(&from) {
                let blamed = self.out.rest.len();
                self.on_message(now, from, message);
                let new = self.out.rest.get(blamed..).unwrap_or_default();
                liars.extend(new.iter().any(|effect| matches!(effect, Effect::Blame { .. })).then_some(from));
            }
        }
    }

    /// Counts a verified vote of a member.
    pub(super) fn count(&mut self, vote: Vote) {
        let (message, signer) = (vote.message, vote.signer);
        match self.round.tally.add(vote.clone()) {
            Added::Known => return,
            Added::Contradicts(first) => return self.out.evidence(Evidence::Votes(first, vote)),
            Added::Counted => {}
        }
        let SignedMessage { height, view, kind, .. } = message;
        self.out.report(ConsensusEvent::Vote { height, view, kind, signer });
        let excluded = match kind {
            VoteKind::Finalize => Some(VoteKind::Nullify),
            VoteKind::Nullify => Some(VoteKind::Finalize),
            VoteKind::Notarize => None,
        };
        if let Some(first) = excluded.and_then(|kind| self.round.tally.counted(kind, view, &signer)) {
            self.out.evidence(Evidence::Votes(first.clone(), vote));
        }
        if !self.round.certificates.knows(&message)
            && let Some(certificate) = self.round.tally.certificate(message, self.config.rule, &self.head.set)
        {
            self.learn(certificate);
        }
    }

    /// R10, R11: takes a verified certificate that is news, keeps it and passes it on.
    fn learn(&mut self, certificate: Certificate) {
        self.out.persist(WalRecord::Certificate(certificate.clone()));
        self.out.broadcast(Message::Certificate(certificate.clone()));
        let SignedMessage { kind, height, view, block } = certificate.message;
        self.out.report(ConsensusEvent::Certificate { height, view, kind, block });
        match self.round.certificates.conflict(&certificate.message).cloned() {
            Some(other) => self.halt(HaltReason::Conflict(other, certificate)),
            None => self.round.certificates.insert(certificate),
        }
    }

    pub(super) fn halt(&mut self, reason: HaltReason) {
        self.round.phase = Phase::Halted;
        self.out.rest.push(Effect::Halt(reason));
    }

    pub(super) fn leader(&self, view: View) -> PublicKey {
        self.head.set.leader(self.round.height, view).public_key
    }

    pub(super) fn report_view(&mut self) {
        let (height, view) = (self.round.height, self.round.view.number);
        self.out.report(ConsensusEvent::View { height, view, leader: self.leader(view) });
    }

    fn is_current(&self, height: Height, view: View) -> bool {
        self.round.phase == Phase::Deciding && height == self.round.height && view == self.round.view.number
    }
}
