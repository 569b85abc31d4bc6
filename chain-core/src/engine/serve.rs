//! Answers from the ledger to peers that are behind. Pure reads: whoever drives the engine may
//! answer on another thread.
//!
//! Not here: blocks that aren't final yet (`network`).

use crate::block::FinalBlock;
use crate::codec::{self, List};
use crate::fault::Fault;
use crate::ledger::Chain;
use crate::limits::{MAX_RANGE_BLOCKS, RANGE_BYTES};
use crate::types::Height;
use crate::wire::Message;

/// The answer to `NeedBlocks`, and to `NeedBlock` for a height that is decided; nothing for any other
/// message.
///
/// # Errors
/// The database can't be read.
pub fn answer(chain: &Chain, question: &Message) -> Result<Option<Message>, Fault> {
    match question {
        Message::NeedBlocks { from, count } => range(chain, *from, *count).map(Some),
        Message::NeedBlock { height, block: id } => {
            // The header first: a body is only read for who knows what it asks for.
            let known = chain.header(*height)?.is_some_and(|header| header.id() == *id);
            let block = if known { chain.final_block(*height)?.map(|stored| stored.block) } else { None };
            Ok(Some(Message::Block { id: *id, block }))
        }
        _ => Ok(None),
    }
}

/// Consecutive final blocks from a height on, as many as fit.
///
/// # Errors
/// The database can't be read.
pub fn range(chain: &Chain, from: Height, count: u32) -> Result<Message, Fault> {
    let head = chain.head().block.header.height;
    let oldest = chain.oldest_body();
    let (mut blocks, mut bytes, mut height) = (Vec::new(), 0usize, from);
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_RANGE_BLOCKS);
    while blocks.len() < count && height >= oldest && height > Height::ZERO {
        let Some(block) = chain.final_block(height)? else { break };
        bytes = bytes.saturating_add(size(&block));
        // The first one fits into a frame, whatever its size.
        if !blocks.is_empty() && bytes > RANGE_BYTES {
            break;
        }
        blocks.push(block);
        height = height.next();
    }
    // Never more than the bound: the loop counts.
    Ok(Message::Blocks { from, blocks: List::new(blocks).unwrap_or_default(), head, oldest })
}

fn size(block: &FinalBlock) -> usize {
    let body: usize = block.block.body.transactions().iter().map(|tx| tx.len().saturating_add(4)).sum();
    body.saturating_add(codec::encode(&block.certificate).len()).saturating_add(512)
}
