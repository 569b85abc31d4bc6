//! Building blocks from the pool and judging blocks of others: the same execution, the same rules.

use super::{Candidate, Engine};
use crate::block::{BLOCK_VERSION, Block, Body, Header, tx_root};
use crate::consensus::{Input, Verdict};
use crate::crypto::Hash;
use crate::execute::{BlockContext, Execution, Unfit, execute_block};
use crate::fault::Fault;
use crate::ledger::Head;
use crate::mempool::Pool;
use crate::state::{Params, params, validators};
use crate::tx::{Checked, Signed, check_many};
use crate::types::{BlockId, ChainId, Height, TimestampMs, View, WireId};

/// How many transactions in a row may find no room before a block counts as full.
const FULL_AFTER_MISSES: u32 = 32;
/// From this view on blocks are empty: nothing in them can be too much for anybody.
const EMPTY_FROM_VIEW: u32 = 4;

impl Engine {
    /// Builds a block on the head; it becomes the candidate.
    pub(super) fn build(&mut self, height: Height, view: View, timestamp: TimestampMs) -> Result<Input, Fault> {
        let chain = self.chain.clone();
        let head = chain.head();
        let proposer = self.consensus.status().leader;
        if head.block.header.height.next() != height {
            return Ok(Input::BuildFailed { height, view });
        }
        let context = BlockContext { chain: chain.id(), height, timestamp, proposer };
        let mut execution = Execution::start(&head.tree, context)?;
        let transactions = fill(&mut execution, &self.pool.read(), &params(&head.tree)?, view)?;
        let executed = execution.finish()?;
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: chain.id(),
            height,
            view,
            parent: head.block.id,
            timestamp_ms: timestamp,
            proposer,
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            validators_hash: head.block.header.next_validators_hash,
            next_validators_hash: executed.next_validators_hash,
        };
        let body = Body::new(transactions.iter().map(|t| t.bytes().to_vec()).collect());
        let (id, block) = (header.id(), Block { header, body });
        self.blocks.insert(id, block.clone());
        self.candidate = Some(Candidate { id, block, transactions, executed });
        Ok(Input::Built { height, view, block: id })
    }

    /// Judges a block whose body is here; says nothing while it isn't.
    pub(super) fn judge(&mut self, id: &BlockId) -> Result<Option<Input>, Fault> {
        let Some(block) = self.blocks.get(id).cloned() else { return Ok(None) };
        // A body that isn't the header's is a bad body, not a bad block: no verdict.
        if body_root(&self.chain.id(), &block) != block.header.tx_root {
            self.blocks.remove(id);
            return Ok(None);
        }
        let header = block.header.clone();
        let verdict = match self.execute_candidate(*id, block)? {
            Ok(()) => Verdict::Valid { view: header.view, proposer: header.proposer, timestamp: header.timestamp_ms },
            Err(Invalid) => Verdict::Invalid,
        };
        Ok(Some(Input::Judged { block: *id, verdict }))
    }

    /// Executes a block on the head, unless that has been done; if it is right, it is the candidate.
    pub(super) fn execute_candidate(&mut self, id: BlockId, block: Block) -> Result<Result<(), Invalid>, Fault> {
        if self.candidate.as_ref().is_some_and(|candidate| candidate.id == id) {
            return Ok(Ok(()));
        }
        let chain = self.chain.clone();
        let head = chain.head();
        let header = &block.header;
        let block_time = params(&head.tree)?.block_time_ms.into();
        let set = validators::next_set(&head.tree)?;
        if !follows(header, &head, block_time) || set.index_of(&header.proposer).is_none() {
            return Ok(Err(Invalid));
        }
        let checked: Result<Vec<_>, _> = check_many(&chain.id(), block.body.transactions()).into_iter().collect();
        let Ok(transactions) = checked else { return Ok(Err(Invalid)) };
        let context = BlockContext {
            chain: chain.id(),
            height: header.height,
            timestamp: header.timestamp_ms,
            proposer: header.proposer,
        };
        match execute_block(&head.tree, context, &transactions) {
            Ok(executed) if executed.agrees_with(header) => {
                self.candidate = Some(Candidate { id, block, transactions, executed });
                Ok(Ok(()))
            }
            Ok(_) | Err((_, Unfit::Rejected(_) | Unfit::Full)) => Ok(Err(Invalid)),
            Err((_, Unfit::Fault(fault))) => Err(fault),
        }
    }

    /// Puts a block into the WAL, so that a vote for it outlives a crash together with its body.
    pub(super) fn persist_body(&mut self, id: &BlockId) -> Result<(), Fault> {
        let block = self.blocks.get(id).ok_or_else(|| Fault::new(format!("block {id} is to be logged but unknown")))?;
        Ok(self.wal.append(&super::start::block_bytes(block))?)
    }
}

/// The root of the transactions a body really holds.
fn body_root(chain: &ChainId, block: &Block) -> Hash {
    let ids: Vec<WireId> = block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, chain)).collect();
    tx_root(chain, &ids)
}

/// The block breaks a rule.
#[derive(Debug)]
pub(super) struct Invalid;

/// Whether a header stands rightly on the head, as far as that needs no execution.
fn follows(header: &Header, head: &Head, block_time_ms: u64) -> bool {
    let parent = &head.block.header;
    header.version == BLOCK_VERSION
        && header.chain_id == parent.chain_id
        && header.height == parent.height.next()
        && header.parent == head.block.id
        && header.timestamp_ms >= parent.timestamp_ms.saturating_add(block_time_ms)
        && header.validators_hash == parent.next_validators_hash
}

/// Puts transactions into a block, best first, as long as there is room. Later views build
/// smaller blocks, so that a block that is too much for somebody can't hold the chain up.
fn fill(execution: &mut Execution<'_>, pool: &Pool, params: &Params, view: View) -> Result<Vec<Checked>, Fault> {
    let mut taken = Vec::new();
    if view.get() >= EMPTY_FROM_VIEW {
        return Ok(taken);
    }
    let (max_bytes, max_weight) =
        (u64::from(params.max_block_bytes) >> view.get(), params.max_block_weight >> view.get());
    let mut misses = 0;
    let mut candidates = pool.candidates();
    while let Some(transaction) = candidates.next() {
        let used = execution.used();
        let over = used.bytes.saturating_add(4 + transaction.bytes().len() as u64) > max_bytes
            || used.weight.saturating_add(transaction.weight()) > max_weight;
        let pushed = if over { Err(Unfit::Full) } else { execution.push(transaction) };
        match pushed {
            Ok(()) => {
                taken.push(transaction.clone());
                misses = 0;
            }
            Err(Unfit::Fault(fault)) => return Err(fault),
            Err(unfit) => {
                candidates.skip_lane(&transaction.transaction().sender);
                misses += u32::from(matches!(unfit, Unfit::Full));
                if misses >= FULL_AFTER_MISSES {
                    break;
                }
            }
        }
    }
    Ok(taken)
}
