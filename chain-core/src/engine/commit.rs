//! Making a decided block final: durable first, then visible, then the next height.

use super::propose::{Invalid, Trust, is_whole};
use super::{Announcement, Candidate, Clock, Engine, Output, holds_vote_of};
use crate::block::FinalBlock;
use crate::consensus::{HaltReason, Head, Input, Message, WalRecord};
use crate::fault::Fault;
use crate::ledger::{Chain, CommittedBlock};
use crate::limits::WIPED_WAIT_MS;
use crate::mempool::{ChainView, changed_accounts};
use crate::state::protocol::check_version;
use crate::state::{params, validators};
use crate::storage::Durability;
use crate::types::{BlockId, Certificate, Height, TimestampMs, VoteKind};
use std::sync::Arc;

/// What became of a block that sync brought.
pub(super) enum Applied {
    /// It is the head.
    Final,
    /// It is not what it should be; whoever sent it is to blame.
    Refused,
    /// It contradicts what we hold final or valid.
    Halted,
}

impl Engine {
    /// R8: the agreement has decided. Without the body it is asked for, for ever.
    pub(super) fn commit(
        &mut self,
        clock: Clock<'_>,
        id: &BlockId,
        certificate: Certificate,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<Input>, Fault> {
        if certificate.height() <= self.height() {
            // Catching up was faster.
            return Ok(Vec::new());
        }
        let executed = self.candidate.as_ref().is_some_and(|candidate| candidate.id == *id);
        if !executed {
            let here = self.blocks.get(id).cloned();
            let Some(block) = here.or_else(|| self.want(clock, (*id, certificate.height()), outputs)) else {
                self.awaited = Some((*id, certificate));
                return Ok(Vec::new());
            };
            if let Err(Invalid) = self.execute_candidate(*id, block, Trust::Nobody)? {
                self.halt(HaltReason::InvalidFinal(certificate), outputs);
                return Ok(Vec::new());
            }
        }
        self.commit_candidate(clock, certificate, Durability::Synced, outputs)
    }

    /// A final block that sync brought, for the height above the head. Its certificate is verified
    /// here; with it, a body that is the header's and has the header's roots is final.
    pub(super) fn apply(
        &mut self,
        clock: Clock<'_>,
        FinalBlock { block, certificate }: FinalBlock,
        outputs: &mut Vec<Output>,
    ) -> Result<Applied, Fault> {
        let (id, height) = (block.header.id(), self.height().next());
        let Some(certificate) = certificate else { return Ok(Applied::Refused) };
        let set = validators::next_set(&self.chain.head().tree)?;
        let names_it = certificate.kind() == VoteKind::Finalize
            && (certificate.height(), certificate.block()) == (height, Some(id))
            && block.header.height == height;
        if !names_it
            || certificate.verify(&self.chain.id(), self.rule, &set).is_err()
            || !is_whole(&self.chain.id(), &block)
        {
            return Ok(Applied::Refused);
        }
        if self.awaited.as_ref().is_some_and(|(awaited, _)| *awaited != id) {
            // The agreement has decided otherwise: it says so when it is told.
            let from = crate::consensus::Peer::default();
            self.step(clock, Input::Message { from, message: Message::Certificate(certificate) }, outputs)?;
            return Ok(Applied::Halted);
        }
        self.awaited = None;
        if self.signing.lacks(&certificate, self.own_key.as_ref(), &set) {
            if block.header.timestamp_ms > self.started {
                // We run, and did not give that vote.
                outputs.push(Output::OwnKey(height));
                return Ok(Applied::Halted);
            }
            self.distrust_memory(clock, height, outputs)?;
        }
        if let Err(Invalid) = self.execute_candidate(id, block, self.options.trust)? {
            // Written down, so that a restart does not forget it.
            self.log_word(&WalRecord::Certificate(certificate.clone()))?;
            self.make_durable()?;
            self.halt(HaltReason::InvalidFinal(certificate), outputs);
            return Ok(Applied::Halted);
        }
        // Many blocks, one sync: at the end of the turn, before any output leaves.
        self.unsettled = true;
        let answers = self.commit_candidate(clock, certificate, Durability::Buffered, outputs)?;
        self.answer(clock, answers, outputs)?;
        Ok(Applied::Final)
    }

    /// A final block from before our start holds a vote of ours that our memory lacks: an old copy of
    /// directory and sign state together. Without a memory it is safe again once others have gone on.
    fn distrust_memory(&mut self, clock: Clock<'_>, height: Height, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        if self.signing.forget()? {
            outputs.push(Output::MemoryTooOld(height));
            self.step(clock, Input::MemoryTooOld, outputs)?;
        }
        Ok(())
    }

    /// Whether others were clearly further than a block that becomes final here, however it came. A node that is
    /// a little late is not behind, or one that waits for others to go on would wait for ever.
    fn is_behind_at(&self, height: Height, durability: Durability) -> bool {
        match self.sync.credible_target(self.rule, self.consensus.set()) {
            Height::ZERO => durability == Durability::Buffered,
            target => target > height.saturating_add(2),
        }
    }

    /// Whether a new block holds a vote of ours while we have no memory and sign nothing: an earlier life
    /// gave none for a block that is clearly newer than our start.
    fn is_of_a_second_instance(&self, timestamp: TimestampMs, certificate: &Certificate) -> bool {
        let since = self.consensus.status().waiting_since;
        since.is_some_and(|since| timestamp > since.saturating_add(WIPED_WAIT_MS / 2))
            && holds_vote_of(certificate, self.own_key.as_ref(), self.consensus.set())
    }

    fn commit_candidate(
        &mut self,
        clock: Clock<'_>,
        certificate: Certificate,
        durability: Durability,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<Input>, Fault> {
        let candidate = self.candidate.take().ok_or_else(|| Fault::new("the candidate is gone"))?;
        let Candidate { block, transactions, executed, .. } = candidate;
        let height = block.header.height;
        let is_fetched = self.is_behind_at(height, durability);
        if !is_fetched && self.is_of_a_second_instance(block.header.timestamp_ms, &certificate) {
            outputs.push(Output::OwnKey(height));
        }
        let stored = FinalBlock { block, certificate: Some(certificate) };
        self.chain.store_block(&stored, durability)?;
        let changed: Vec<_> = changed_accounts(&executed.delta).collect();
        let finality_ms = clock().wall.get().saturating_sub(stored.block.header.timestamp_ms.get());
        let block = Arc::new(CommittedBlock::new(stored, &transactions, executed.results, finality_ms));
        self.chain.advance(block.clone(), executed.delta)?;
        if self.chain.unflushed_blocks() >= self.options.flush_interval_blocks {
            self.chain.flush()?;
        }
        let effects = {
            let head = self.chain.head();
            let params = params(&head.tree)?;
            let view = ChainView { rows: &head.tree, params: &params, head: head.block.header.height };
            self.pool.write().on_block(&view, &block.tx_ids, changed, clock().mono_ms)?
        };
        // Those of this height stay until the next: the agreement has not left it yet. Above it there are
        // only those of a log that is ahead of the blocks.
        let logged = self.logged_up_to;
        self.blocks.retain(|_, kept| {
            let of = kept.header.height;
            of == height || (of > height && of <= logged)
        });
        self.fetch.forget(height);
        outputs.push(Output::Announce(Announcement::Block(block)));
        self.log_and_announce(effects, outputs)?;
        let head = match consensus_head(&self.chain) {
            Err(fault) if fault.is_outdated() => {
                // Nothing is signed any more. Whoever drives the engine sees it in the state, and stops.
                self.is_outdated = true;
                return Ok(Vec::new());
            }
            head => head?,
        };
        if head.set != *self.consensus.set() {
            self.peers.learn(&head.set);
            self.sync.learn(&head.set);
        }
        let mut answers: Vec<Input> = self.pool_change().into_iter().collect();
        answers.push(if is_fetched { Input::Fetched(head) } else { Input::Committed(head) });
        Ok(answers)
    }
}

/// What the agreement needs to know of the head. An outdated fault where the next height is under rules this
/// software does not know: it must sign nothing there.
pub(super) fn consensus_head(chain: &Chain) -> Result<Head, Fault> {
    let head = chain.head();
    check_version(&head.tree, chain.known_rules())?;
    let params = params(&head.tree)?;
    Ok(Head {
        height: head.block.header.height,
        timestamp: head.block.header.timestamp_ms,
        set: Arc::new(validators::next_set(&head.tree)?),
        block_time_ms: params.block_time_ms.into(),
        empty_block_interval_ms: params.empty_block_interval_ms.into(),
    })
}
