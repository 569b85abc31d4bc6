//! Building blocks from the pool and judging blocks of others: the same execution, the same rules.

use super::{Candidate, Clock, Engine, Output};
use crate::block::{BLOCK_VERSION, Block, Body, Header, tx_root};
use crate::consensus::{Input, Verdict};
use crate::execute::{BlockContext, Execution, Unfit, execute_block_as};
use crate::fault::Fault;
use crate::ledger::Head;
use crate::mempool::Pool;
use crate::state::{Params, params, validators};
use crate::tx::{Checked, Formed, Signed, verify};
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
        let Some(proposer) = self.own_key.filter(|_| head.block.header.height.next() == height) else {
            return Ok(Input::BuildFailed { height, view });
        };
        let context = BlockContext { chain: chain.id(), height, view, timestamp, proposer };
        let mut execution = Execution::start_as(&head.tree, context, chain.known_rules())?;
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

    /// Judges a block; wants it first if it isn't here, and says nothing until it is.
    pub(super) fn judge(
        &mut self,
        clock: Clock<'_>,
        id: &BlockId,
        outputs: &mut Vec<Output>,
    ) -> Result<Option<Input>, Fault> {
        let here = self.blocks.get(id).cloned();
        let Some(block) = here.or_else(|| self.want(clock, (*id, self.height().next()), outputs)) else {
            return Ok(None);
        };
        self.blocks.entry(*id).or_insert_with(|| block.clone());
        let header = block.header.clone();
        let verdict = match self.execute_candidate(*id, block, Trust::Nobody)? {
            Ok(()) => Verdict::Valid { view: header.view, proposer: header.proposer, timestamp: header.timestamp_ms },
            Err(Invalid) => Verdict::Invalid,
        };
        Ok(Some(Input::Judged { block: *id, verdict }))
    }

    /// Executes a block on the head, unless that has been done; if it is right, it is the candidate.
    pub(super) fn execute_candidate(
        &mut self,
        id: BlockId,
        block: Block,
        trust: Trust,
    ) -> Result<Result<(), Invalid>, Fault> {
        if self.candidate.as_ref().is_some_and(|candidate| candidate.id == id) {
            return Ok(Ok(()));
        }
        let chain = self.chain.clone();
        let head = chain.head();
        let header = &block.header;
        let params = params(&head.tree)?;
        let set = validators::next_set(&head.tree)?;
        if !follows(header, &head, params.block_time_ms.into())
            || set.index_of(&header.proposer).is_none()
            || !fits(&block.body, &params)
        {
            return Ok(Err(Invalid));
        }
        let checked = check_body(&chain.id(), &self.pool.read(), &block.body, trust);
        let Some(transactions) = checked else { return Ok(Err(Invalid)) };
        let context = BlockContext {
            chain: chain.id(),
            height: header.height,
            view: header.view,
            timestamp: header.timestamp_ms,
            proposer: header.proposer,
        };
        match execute_block_as(chain.known_rules(), &head.tree, context, &transactions) {
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
        self.settle()?;
        let block = self.blocks.get(id).ok_or_else(|| Fault::new(format!("block {id} is to be logged but unknown")))?;
        Ok(self.wal.append(&super::start::block_bytes(block))?)
    }
}

/// Whether a block's body is the one its header commits to.
pub(super) fn is_whole(chain: &ChainId, block: &Block) -> bool {
    let ids: Vec<WireId> = block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, chain)).collect();
    tx_root(chain, &ids) == block.header.tx_root
}

/// Whose word is taken for a transaction's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: they are verified here.
    Nobody,
    /// A finalization's: a quorum has verified them before it voted. Only for final blocks.
    Quorum,
}

/// Checks a block's transactions; those that are in the pool have been checked on their way in, and
/// the same bytes have the same verdict. None if any of them may not stand in a block.
fn check_body(chain: &ChainId, pool: &Pool, body: &Body, trust: Trust) -> Option<Vec<Checked>> {
    let mut transactions = Vec::with_capacity(body.transactions().len());
    let mut unknown = Vec::new();
    for bytes in body.transactions() {
        let known = pool.get_by_wire(&Signed::wire_id(bytes, chain)).cloned();
        if known.is_none() {
            unknown.push(Formed::read(chain, bytes));
        }
        transactions.push(known);
    }
    let checked = match trust {
        Trust::Nobody => verify(unknown),
        Trust::Quorum => unknown.into_iter().map(|formed| formed.map(Formed::vouched_for)).collect(),
    };
    let mut checked = checked.into_iter();
    transactions.into_iter().map(|known| known.map_or_else(|| checked.next()?.ok(), Some)).collect()
}

/// Whether a body is within the block's limits as far as its bytes tell; execution counts weight.
fn fits(body: &Body, params: &Params) -> bool {
    let bytes: u64 = body.transactions().iter().map(|tx| 4 + tx.len() as u64).sum();
    bytes <= params.max_block_bytes.into() && body.transactions().len() as u64 <= params.max_block_txs.into()
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
