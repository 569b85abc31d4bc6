//! What peers say: answered, handed to the agreement, or taken as the block that was wanted.
//!
//! Not here: sockets (chain-node), which ranges are asked for (`sync`).

use super::commit::Applied;
use super::fetch::Progress;
use super::{Clock, Engine, Output, serve};
use crate::block::Block;
use crate::codec::List;
use crate::consensus::{self, HaltReason, Offence, Peer};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::tx::Signed;
use crate::types::{BlockId, Certificate, Height, VoteKind, WireId};
use crate::wire::{CompactBlock, Message, TxBytes};
use std::sync::Arc;

/// Synced blocks applied before anything else gets its turn.
const BLOCKS_PER_TURN: usize = 16;
/// The same in ms.
const TURN_MS: u64 = 100;

impl Engine {
    /// A peer is connected: it is told where we stand, and will say where it stands.
    pub(super) fn join(
        &mut self,
        clock: Clock<'_>,
        peer: Peer,
        validator: Option<PublicKey>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let set = self.consensus.set().clone();
        let member = self.peers.join(peer, validator, &set);
        self.sync.join(peer, validator, member);
        match validator.filter(|_| member) {
            // It may have missed what we said, or we may have started only now.
            Some(key) if self.peers.may_tell(key, clock().mono_ms) => {
                self.step(clock, consensus::Input::Joined { peer }, outputs)
            }
            _ => {
                let consensus::Status { height, view, .. } = self.consensus.status();
                self.send(peer, agreement(consensus::Message::Status { height, view }), outputs);
                Ok(())
            }
        }
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.peers.leave(peer);
        self.sync.leave(peer);
        self.fetch.leave(peer);
    }

    pub(super) fn hear(
        &mut self,
        clock: Clock<'_>,
        from: Peer,
        message: Message,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let now_ms = clock().mono_ms;
        match message {
            // Each place once: then an answer is never longer than the block.
            Message::NeedTransactions { places, .. } if !places.is_sorted_by(|a, b| a < b) => {
                outputs.push(Output::Blame { peer: from, offence: Offence::BadMessage });
                Ok(())
            }
            Message::Agreement { message, block } => self.hear_agreement(clock, from, message, block, outputs),
            Message::NeedBlock { height, block: id } => {
                let answer = match self.blocks.get(&id).filter(|_| self.peers.may_serve(from, now_ms)) {
                    Some(block) => Some(Message::Block { id, block: Some(block.clone()) }),
                    // With what comes too often it is as if we had nothing: the asker asks somebody else.
                    None if height > self.height() => Some(Message::Block { id, block: None }),
                    None => serve::answer(&self.chain, &Message::NeedBlock { height, block: id })?,
                };
                answer.into_iter().for_each(|answer| self.send(from, answer, outputs));
                Ok(())
            }
            Message::Block { id, block: Some(block) } if block.header.id() == id => {
                self.arrived(clock, from, block, outputs)
            }
            Message::Block { id, .. } => {
                self.fetch.refused(from, &id, now_ms);
                Ok(())
            }
            Message::NeedTransactions { block, places } => {
                let serves = self.blocks.contains_key(&block) && self.peers.may_serve(from, now_ms);
                let transactions = if serves { self.find_transactions(&block, &places) } else { List::default() };
                self.send(from, Message::Transactions { block, transactions }, outputs);
                Ok(())
            }
            Message::Transactions { block, transactions } => {
                let transactions = transactions.into_inner().into_iter().map(TxBytes::into_inner).collect();
                match self.fetch.fill(from, &block, transactions, now_ms) {
                    Progress::Whole(block) => self.arrived(clock, from, block, outputs),
                    Progress::Ask(..) | Progress::Nothing => Ok(()),
                }
            }
            Message::NeedBlocks { .. } => {
                if let Some(blocks) = serve::answer(&self.chain, &message)? {
                    self.send(from, blocks, outputs);
                }
                Ok(())
            }
            Message::Blocks { from: first, blocks, head, oldest } => {
                let heard = self.sync.hear(from, (first, blocks.into_inner(), head, oldest), now_ms);
                if let Err(offence) = heard {
                    outputs.push(Output::Blame { peer: from, offence });
                }
                if head > self.height() {
                    self.sync.start();
                }
                Ok(())
            }
            // Snapshots are files: whoever drives the engine gives them out, and takes one before it starts.
            Message::NeedSnapshot
            | Message::Snapshot { .. }
            | Message::NeedSnapshotPart { .. }
            | Message::SnapshotPart { .. } => Ok(()),
        }
    }

    fn hear_agreement(
        &mut self,
        clock: Clock<'_>,
        from: Peer,
        message: consensus::Message,
        block: Option<CompactBlock>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let height = message.height();
        if let Some(decided) = height.get().checked_sub(1) {
            self.sync.claims(from, Height::new(decided));
        }
        if height <= self.height() {
            return self.hear_of_the_past(clock, from, message, outputs);
        }
        if let (consensus::Message::Proposal { proposal, .. }, Some(block)) = (&message, block) {
            // A proposal is never passed on: only the leader of its view brings the block, over a connection
            // on which it has proven to be that. Ids are hashes of headers: another block is never looked at.
            let leader = self.consensus.set().leader(proposal.height, proposal.view).public_key;
            if self.peers.is(from, &leader)
                && (block.header.id(), block.header.height) == (proposal.block, proposal.height)
                && !self.blocks.contains_key(&proposal.block)
            {
                self.fetch.offer(from, proposal.block, block);
            }
        }
        self.step(clock, consensus::Input::Message { from, message }, outputs)
    }

    /// R9: who speaks of a decided height gets its finalization. Certificates are never answered,
    /// only compared with what was decided.
    fn hear_of_the_past(
        &mut self,
        clock: Clock<'_>,
        from: Peer,
        message: consensus::Message,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let now_ms = clock().mono_ms;
        if let consensus::Message::Certificate(theirs) = message {
            return self.compare(from, theirs, now_ms, outputs);
        }
        if self.peers.may_answer(from, now_ms)
            && let Some(certificate) = self.chain.certificate(message.height())?
        {
            self.send(from, agreement(consensus::Message::Certificate(certificate)), outputs);
        }
        // A late word still tells that its signer is there.
        self.step(clock, consensus::Input::Message { from, message }, outputs)
    }

    /// A finalization of another block than the one that is final here ends the fault bound: a
    /// person has to look.
    fn compare(
        &mut self,
        from: Peer,
        theirs: Certificate,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let height = theirs.height();
        // Who is halted has met a conflict and written it down.
        if self.is_halted() || theirs.kind() != VoteKind::Finalize || self.accepts_conflict(height) {
            return Ok(());
        }
        let own = self.chain.header(height)?.filter(|own| theirs.block() != Some(own.id()));
        if own.is_none() || !self.peers.may_compare(from, now_ms) {
            return Ok(());
        }
        // Nobody signs block 0.
        let set = self.chain.set_of(height)?;
        if set.is_none_or(|set| theirs.verify(&self.chain.id(), self.rule, &set).is_err()) {
            // Nobody honest passes on what it has not verified.
            outputs.push(Output::Blame { peer: from, offence: Offence::BadCertificate });
            return Ok(());
        }
        let Some(ours) = self.chain.certificate(height)? else { return Ok(()) };
        // Written down, so that a restart does not forget it.
        self.log_word(&consensus::WalRecord::Certificate(theirs.clone()))?;
        self.make_durable()?;
        self.halt(HaltReason::Conflict(ours, theirs), outputs);
        Ok(())
    }

    /// Whether an operator has said that our blocks from this height on stand, whatever contradicts them: who
    /// decided otherwise once goes on with another chain.
    fn accepts_conflict(&self, height: Height) -> bool {
        self.options.accept_conflict_at.is_some_and(|from| from <= height)
    }

    /// A conflict with a decided block that an earlier life met and wrote down.
    pub(super) fn recall_conflict(
        &mut self,
        mut logged: Vec<Certificate>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        logged.retain(|theirs| theirs.kind() == VoteKind::Finalize && !self.accepts_conflict(theirs.height()));
        for theirs in logged {
            let own = self.chain.header(theirs.height())?.map(|own| own.id());
            let ours = self.chain.certificate(theirs.height())?;
            if let Some(ours) = ours.filter(|_| own.is_some() && own != theirs.block()) {
                self.halt(HaltReason::Conflict(ours, theirs), outputs);
            }
        }
        Ok(())
    }

    /// A block came that may be wanted.
    fn arrived(&mut self, clock: Clock<'_>, from: Peer, block: Block, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let id = block.header.id();
        let Some(height) = self.fetch.wanted_for(&id) else { return Ok(()) };
        if block.header.height != height {
            // It can't be right whatever its body is, and is not kept.
            return self.wrong_height(clock, &id, outputs);
        }
        // A body that isn't the header's is a bad body, not a bad block: somebody else has the right
        // one. Rebuilt from short ids it can be wrong by chance, so nobody is blamed.
        if !super::propose::is_whole(&self.chain.id(), &block) {
            self.fetch.refused(from, &id, clock().mono_ms);
            return Ok(());
        }
        self.fetch.done(&id);
        self.blocks.insert(id, block);
        self.resume(clock, &id, outputs)
    }

    /// A header that was proposed, or decided, names another height than the one it is for.
    fn wrong_height(&mut self, clock: Clock<'_>, id: &BlockId, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        self.fetch.done(id);
        match self.awaited.take_if(|(awaited, _)| awaited == id) {
            Some((_, certificate)) => {
                self.halt(HaltReason::InvalidFinal(certificate), outputs);
                Ok(())
            }
            None => {
                let verdict = consensus::Verdict::Invalid;
                self.step(clock, consensus::Input::Judged { block: *id, verdict }, outputs)
            }
        }
    }

    /// Goes on with whatever waited for a block.
    fn resume(&mut self, clock: Clock<'_>, id: &BlockId, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let waiting = self.awaited.take_if(|(awaited, _)| awaited == id);
        let answers = match waiting {
            Some((_, certificate)) => self.commit(clock, id, certificate, outputs)?,
            None => self.judge(clock, id, outputs)?.into_iter().collect(),
        };
        self.answer(clock, answers, outputs)
    }

    /// Wants a block that isn't here.
    pub(super) fn want(
        &mut self,
        clock: Clock<'_>,
        (id, height): (BlockId, Height),
        outputs: &mut Vec<Output>,
    ) -> Option<Block> {
        let progress = {
            let pool = self.pool.read();
            let at_hand = pool.candidates().map(|tx| (tx.wire_id(), tx.bytes()));
            self.fetch.want((id, height), at_hand, clock().mono_ms)
        };
        match progress {
            // An offer is of the height that its proposal is of.
            Progress::Whole(block) if super::propose::is_whole(&self.chain.id(), &block) => {
                self.fetch.done(&id);
                return Some(block);
            }
            Progress::Ask(peer, question) => self.send(peer, question, outputs),
            Progress::Whole(_) | Progress::Nothing => {}
        }
        None
    }

    /// Asks for what is due: wanted blocks, ranges to catch up.
    pub(super) fn keep_up(&mut self, clock: Clock<'_>, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        self.settle()?;
        let now_ms = clock().mono_ms;
        let peers = {
            let own = self.own_key.and_then(|own| self.consensus.set().index_of(&own));
            self.peers.by_trust(&self.consensus.status().leader, own.unwrap_or(0))
        };
        let questions = self.fetch.ask(&peers, now_ms);
        let ranges = self.sync.ask(self.height(), now_ms);
        for (peer, question) in questions.into_iter().chain(ranges) {
            self.send(peer, question, outputs);
        }
        let target = self.sync.credible_target(self.rule, self.consensus.set());
        self.progress.set(target.max(self.height()), self.consensus.status().barrier);
        Ok(())
    }

    pub(super) fn apply_synced(&mut self, clock: Clock<'_>, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        let since = clock().mono_ms;
        for _ in 0..BLOCKS_PER_TURN {
            // Also where one of these blocks was the last under rules this software knows.
            if self.is_silent() || clock().mono_ms.saturating_sub(since) > TURN_MS {
                return Ok(());
            }
            let Some((from, block)) = self.sync.take(self.height().next()) else { return Ok(()) };
            match self.apply(clock, block, outputs)? {
                Applied::Final => self.sync.delivered(from),
                Applied::Halted => return Ok(()),
                Applied::Refused => {
                    self.sync.reject(from, clock().mono_ms);
                    outputs.push(Output::Blame { peer: from, offence: Offence::BadBlock });
                }
            }
        }
        Ok(())
    }

    fn find_transactions<const MAX: usize>(&self, id: &BlockId, places: &[u32]) -> List<TxBytes, MAX> {
        let transactions = self.blocks.get(id).map_or(&[][..], |block| block.body.transactions());
        let at = |place: &u32| transactions.get(usize::try_from(*place).ok()?).cloned().and_then(TxBytes::new);
        let found: Option<Vec<_>> = places.iter().map(at).collect();
        found.and_then(|found| List::new(found).ok()).unwrap_or_default()
    }

    pub(super) fn send(&self, to: Peer, message: Message, outputs: &mut Vec<Output>) {
        outputs.push(Output::Send { to: vec![to], message: Arc::new(message) });
    }

    /// Votes go to validators; what everybody can use goes to everybody.
    pub(super) fn broadcast(&self, message: consensus::Message, outputs: &mut Vec<Output>) {
        let to = match &message {
            consensus::Message::Vote(_) => self.peers.validators(),
            _ => self.peers.all(),
        };
        self.say(to, message, outputs);
    }

    /// With a proposal goes its block, in short.
    pub(super) fn say(&self, to: Vec<Peer>, message: consensus::Message, outputs: &mut Vec<Output>) {
        let block = match &message {
            // A lone validator has nobody to shorten it for.
            consensus::Message::Proposal { proposal, .. } if !to.is_empty() => self.compact(&proposal.block),
            _ => None,
        };
        outputs.push(Output::Send { to, message: Arc::new(Message::Agreement { message, block }) });
    }

    fn compact(&self, id: &BlockId) -> Option<CompactBlock> {
        let block = self.blocks.get(id)?;
        let wire_ids: Vec<WireId> = match self.candidate.as_ref().filter(|candidate| candidate.id == *id) {
            Some(candidate) => candidate.transactions.iter().map(|tx| tx.wire_id()).collect(),
            None => block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, &self.chain.id())).collect(),
        };
        CompactBlock::new(block.header.clone(), &wire_ids)
    }
}

fn agreement(message: consensus::Message) -> Message {
    Message::Agreement { message, block: None }
}

#[cfg(test)]
mod tests;
