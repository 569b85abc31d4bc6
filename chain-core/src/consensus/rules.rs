//! The rules R1–R8 as the module's table states them, applied until none moves anything.
//!
//! A rule looks at what is known, not at what just arrived: the order of arrival cannot matter,
//! and after a restart the log is read back and the same rules go on. Each returns whether it
//! moved something; one that waits for a moment says so with `look_again`.

use super::certificates::Choice;
use super::interface::{Effect, HaltReason, Message, Now, Verdict};
use super::machine::{Listening, Machine};
use super::round::{Asked, CurrentView, Phase};
use super::safety::Statement;
use super::{ConsensusEvent, WalRecord};
use crate::limits::{FINAL_WAIT_MS, MAX_VIEW_MS, RESENT_FINALIZE_VIEWS, RETRY_MS};
use crate::types::{BlockId, Proposal, SignedMessage, View, VoteKind};

impl Machine {
    /// Applies the rules until none moves anything.
    pub(super) fn advance(&mut self, now: Now) {
        loop {
            self.out.wanted = None;
            let moving =
                self.round.phase == Phase::Deciding && (self.r8_commit(now) || self.r1_enter(now) || self.speak(now));
            if !moving {
                break;
            }
        }
        if self.round.phase == Phase::Deciding {
            self.ask_for_certificates(now);
        }
        if self.round.phase != Phase::Halted {
            self.report_behind(now);
        }
    }

    /// The rules that sign. A node that has just started among others hears them first; then its view
    /// begins, so that it does not give up at once what was proposed meanwhile.
    fn speak(&mut self, now: Now) -> bool {
        match self.listening {
            Listening::ForAnybody => return false,
            Listening::Until(at) if now.mono_ms < at => {
                self.out.look_again(at);
                return false;
            }
            Listening::Until(_) => {
                self.listening = Listening::Over;
                if now.mono_ms > self.round.view.entered.mono_ms {
                    self.round.view.entered = now;
                }
            }
            Listening::Over => {}
        }
        self.r5_finalize(now) || self.r2_propose(now) || self.r3_notarize(now) || self.r7_time_out(now)
    }

    fn r8_commit(&mut self, now: Now) -> bool {
        let Some(certificate) = self.round.certificates.finalization().cloned() else { return false };
        let Some(block) = certificate.block() else { return false };
        if self.round.verdict(&block) == Some(Verdict::Invalid) {
            self.halt(HaltReason::InvalidFinal(certificate));
        } else {
            self.round.phase = Phase::Decided;
            self.round.decided_at = Some(now.mono_ms);
            self.out.rest.push(Effect::Commit { block, certificate });
        }
        true
    }

    fn r5_finalize(&mut self, now: Now) -> bool {
        if !self.is_validator() {
            return false;
        }
        let notarized: Vec<_> = self.round.certificates.notarizations().map(|known| known.message).collect();
        notarized.into_iter().any(|message| self.finalize(message, now))
    }

    fn finalize(&mut self, notarized: SignedMessage, now: Now) -> bool {
        let message = SignedMessage { kind: VoteKind::Finalize, ..notarized };
        let Some(block) = message.block.filter(|_| self.signer.may_sign(Statement::Vote(message))) else {
            return false;
        };
        if self.signer.record().vouched_for(block) {
            return self.say(message);
        }
        match self.round.verdict(&block) {
            Some(Verdict::Valid { .. }) => self.say(message),
            Some(Verdict::Invalid) => false,
            None => self.ask_about(block, now),
        }
    }

    /// Also R6: a nullification leads to the next view as a notarization does.
    pub(super) fn r1_enter(&mut self, now: Now) -> bool {
        let view = self.round.certificates.furthest_view();
        if view <= self.round.view.number {
            return false;
        }
        let after_notarization = before(view).is_some_and(|v| self.round.certificates.notarization(v).is_some());
        self.round.view = CurrentView::enter(view, now, after_notarization);
        self.round.proposals = self.round.proposals.split_off(&view);
        self.round.contradictions = self.round.contradictions.split_off(&view);
        self.report_view();
        true
    }

    fn r2_propose(&mut self, now: Now) -> bool {
        let (height, view) = (self.round.height, self.round.view.number);
        let my_turn = self.signer.public() == Some(self.leader(view));
        if !my_turn || !self.signer.may_sign(Statement::Proposal { height, view }) {
            return false;
        }
        let may_be_final = self.round.view.entered.mono_ms.saturating_add(FINAL_WAIT_MS);
        if self.round.view.after_notarization && now.mono_ms < may_be_final {
            self.out.look_again(may_be_final);
            return false;
        }
        match self.round.certificates.choice(view) {
            Choice::Again { block, .. } if self.may_replace(block, now) => self.build(now),
            Choice::Again { block, notarized_in } => {
                self.ask_about(block, now);
                self.say_proposal(block, Some(notarized_in))
            }
            Choice::New => self.build(now),
            Choice::Gap(_) => false,
        }
    }

    /// Whether nobody seems to have a notarized block's body, and a new block may take its place.
    fn may_replace(&self, block: BlockId, now: Now) -> bool {
        let lost = self
            .round
            .blocks
            .get(&block)
            .is_some_and(|asked| asked.verdict.is_none() && now.mono_ms >= asked.since.saturating_add(MAX_VIEW_MS));
        lost && !self.signer.record().vouched_for(block)
            && self.round.certificates.all_nullified(self.round.view.number)
    }

    fn build(&mut self, now: Now) -> bool {
        if self.round.view.building.is_some() {
            return false;
        }
        match self.round.pacing.build(now) {
            Ok(timestamp) => {
                self.round.view.building = Some((now.mono_ms, timestamp));
                let (height, view) = (self.round.height, self.round.view.number);
                self.out.rest.push(Effect::Build { height, view, timestamp });
                true
            }
            Err(due) => {
                self.out.look_again(due);
                false
            }
        }
    }

    fn r3_notarize(&mut self, now: Now) -> bool {
        let view = self.round.view.number;
        let Some(proposal) = self.round.proposals.get(&view).cloned() else { return false };
        let message = self.message(VoteKind::Notarize, Some(proposal.block));
        let justified = self.round.certificates.justifies(view, proposal.block, proposal.notarized_in);
        if !justified || !self.is_validator() || !self.signer.may_sign(Statement::Vote(message)) {
            return false;
        }
        // What we vouched for needs no second look, unless another leader passes an old block off
        // as a new one.
        let ours_or_again = proposal.notarized_in.is_some() || self.signer.public() == Some(proposal.signer);
        if ours_or_again && self.signer.record().vouched_for(proposal.block) {
            return self.say(message);
        }
        match self.round.verdict(&proposal.block) {
            None => self.ask_about(proposal.block, now),
            Some(Verdict::Valid { timestamp, .. }) if self.fits(&proposal) => {
                if proposal.notarized_in.is_none()
                    && let Err(at) = self.round.pacing.accept(timestamp, now)
                {
                    self.out.look_again(at);
                    return false;
                }
                self.say(message)
            }
            Some(_) => false,
        }
    }

    fn r7_time_out(&mut self, now: Now) -> bool {
        let (at, resend) = match self.round.view.resend_at {
            Some(at) => (at, true),
            None => (self.round.pacing.deadline(&self.round.clock(self.is_leader_off(), self.is_hopeless())), false),
        };
        if now.mono_ms < at {
            self.out.look_again(at);
            return false;
        }
        let again = now.mono_ms.saturating_add(RETRY_MS);
        self.round.view.resend_at = Some(again);
        self.out.look_again(again);
        if resend {
            // Nothing moves by it, so no other rule needs to look again.
            self.resend();
            return false;
        }
        let (height, view) = (self.round.height, self.round.view.number);
        self.out.report(ConsensusEvent::Timeout { height, view });
        self.say(self.message(VoteKind::Nullify, None))
    }

    /// Sends again what others may have missed: what we said in this view, our newest finalize
    /// votes, our proposal, how this view was entered, and where we stand: who knows more answers
    /// that, also to a node that says nothing else.
    pub(super) fn resend(&mut self) {
        if self.round.phase == Phase::Deciding {
            self.own_words().into_iter().for_each(|message| self.out.broadcast(message));
        }
    }

    /// What we have to say about the height being decided.
    pub(super) fn own_words(&self) -> Vec<Message> {
        let (height, view) = (self.round.height, self.round.view.number);
        let record = self.signer.record();
        let said = record.said(height, view);
        let recent = |of: &View| *of < view && of.get().saturating_add(RESENT_FINALIZE_VIEWS) >= view.get();
        let votes = said.into_iter().flat_map(|said| said.votes());
        let finalizes =
            record.views(height).filter(|(of, _)| recent(of)).filter_map(|(_, said)| said.finalize.as_ref());
        let mut messages: Vec<_> = votes.chain(finalizes).cloned().map(Message::Vote).collect();
        if let Some(proposal) = said.and_then(|said| said.proposal.clone()) {
            messages.push(self.with_justification(proposal));
        }
        messages.extend(self.entry_certificate().cloned().map(Message::Certificate));
        messages.push(Message::Status { height, view });
        messages
    }

    /// Signs a vote if it may, keeps it together with the body it vouches for, sends it, counts it.
    fn say(&mut self, message: SignedMessage) -> bool {
        if !self.is_validator() {
            return false;
        }
        let unlogged = message.block.filter(|block| !self.signer.record().vouched_for(*block));
        let Ok(vote) = self.signer.vote(message) else { return false };
        if let Some(block) = unlogged {
            self.out.records.push(Effect::PersistBody { block });
        }
        self.out.persist(WalRecord::Vote(vote.clone()));
        self.out.broadcast(Message::Vote(vote.clone()));
        self.count(vote);
        true
    }

    /// The same for a proposal. One made again needs no body: whoever notarized it has it.
    pub(super) fn say_proposal(&mut self, block: BlockId, again: Option<View>) -> bool {
        let at = (self.round.height, self.round.view.number);
        let Ok(proposal) = self.signer.propose(at, block, again) else { return false };
        if again.is_none() {
            self.out.records.push(Effect::PersistBody { block });
        }
        self.out.persist(WalRecord::Proposal(proposal.clone()));
        let message = self.with_justification(proposal.clone());
        self.out.broadcast(message);
        self.keep_proposal(proposal);
        true
    }

    fn with_justification(&self, proposal: Proposal) -> Message {
        let justification = self.round.certificates.justification(proposal.view, proposal.notarized_in);
        Message::Proposal { proposal, justification }
    }

    fn ask_about(&mut self, block: BlockId, now: Now) -> bool {
        let new = !self.round.blocks.contains_key(&block);
        if new {
            self.round.blocks.insert(block, Asked { since: now.mono_ms, verdict: None });
            self.out.rest.push(Effect::Judge { block });
        }
        new
    }

    /// Whether a block that was found valid is what its leader proposes it as.
    fn fits(&self, proposal: &Proposal) -> bool {
        match self.round.verdict(&proposal.block) {
            Some(Verdict::Valid { view, proposer, .. }) => {
                proposal.notarized_in.is_some() || (view, proposer) == (proposal.view, proposal.signer)
            }
            Some(Verdict::Invalid) => false,
            None => true,
        }
    }

    /// Whether nothing good can come of the current view any more.
    fn is_hopeless(&self) -> bool {
        let view = self.round.view.number;
        let unfit = self.round.proposals.get(&view).is_some_and(|proposal| !self.fits(proposal));
        let gave_up = self.round.tally.counted(VoteKind::Nullify, view, &self.leader(view)).is_some();
        self.round.view.build_failed || unfit || gave_up || self.round.contradictions.contains_key(&view)
    }

    fn is_leader_off(&self) -> bool {
        let (leader, height) = (self.leader(self.round.view.number), self.round.height);
        self.heard.is_off(&leader, self.signer.public(), height, self.config.rule, &self.head.set)
    }

    fn message(&self, kind: VoteKind, block: Option<BlockId>) -> SignedMessage {
        SignedMessage { kind, height: self.round.height, view: self.round.view.number, block }
    }

    pub(super) fn is_validator(&self) -> bool {
        self.signer.public().is_some_and(|key| self.head.set.index_of(&key).is_some())
    }
}

pub(super) fn before(view: View) -> Option<View> {
    view.get().checked_sub(1).map(View::new)
}
