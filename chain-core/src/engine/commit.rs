//! Making a decided block final: durable first, then visible, then the next height.

use super::{Announcement, Candidate, Clock, Engine, Output};
use crate::block::FinalBlock;
use crate::consensus::{Head, Input};
use crate::fault::Fault;
use crate::ledger::{Chain, CommittedBlock};
use crate::mempool::{ChainView, changed_accounts};
use crate::state::{params, validators};
use crate::types::{BlockId, Certificate};
use std::sync::Arc;

impl Engine {
    pub(super) fn commit(
        &mut self,
        clock: Clock<'_>,
        id: &BlockId,
        certificate: Certificate,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<Input>, Fault> {
        let Candidate { block, transactions, executed, .. } = self.decided(id)?;
        let stored = FinalBlock { block, certificate: Some(certificate) };
        self.chain.store_block(&stored)?;
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
        self.blocks.clear();
        outputs.push(Output::Announce(Announcement::Block(block)));
        self.log_and_announce(effects, outputs)?;
        let mut answers: Vec<Input> = self.pool_change().into_iter().collect();
        answers.push(Input::Committed(consensus_head(&self.chain)?));
        Ok(answers)
    }

    /// The decided block with its execution. A quorum has judged it valid; that we can't is a
    /// fault of ours, or the end of the fault bound.
    fn decided(&mut self, id: &BlockId) -> Result<Candidate, Fault> {
        if self.candidate.as_ref().is_none_or(|candidate| candidate.id != *id) {
            let block = self.blocks.get(id).cloned();
            let block = block.ok_or_else(|| Fault::new(format!("block {id} is final but its body is not here")))?;
            if self.execute_candidate(*id, block)?.is_err() {
                return Err(Fault::new(format!("block {id} is final but breaks a rule here")));
            }
        }
        self.candidate.take().ok_or_else(|| Fault::new("the candidate is gone"))
    }
}

/// What the agreement needs to know of the head.
pub(super) fn consensus_head(chain: &Chain) -> Result<Head, Fault> {
    let head = chain.head();
    let params = params(&head.tree)?;
    Ok(Head {
        height: head.block.header.height,
        timestamp: head.block.header.timestamp_ms,
        set: Arc::new(validators::next_set(&head.tree)?),
        block_time_ms: params.block_time_ms.into(),
        empty_block_interval_ms: params.empty_block_interval_ms.into(),
    })
}
