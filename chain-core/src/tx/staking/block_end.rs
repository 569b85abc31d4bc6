//! The end of an epoch: what unbonded and has left the set begins to wait. Rule 8.
//!
//! Not here: the set, which the authority family has changed before.

use super::*;
use crate::limits::BATCHES_PER_WINDOW;
use crate::state::stakes::{Batch, Closed, STAKES, stake};
use crate::state::validators::{next_set, records};
use crate::tx::BlockEnd;

/// Closes what may be closed. The work is bounded by the number of validators.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let is_end = block.height.get().checked_rem(block.params.epoch_blocks.into()) == Some(0);
    if !is_end || staking(block.state)?.is_none() {
        return Ok(());
    }
    let set = next_set(block.state)?;
    let weight = |key: &PublicKey| set.members().iter().find(|m| m.public_key == *key).map_or(0, |m| m.weight);
    for (validator, record) in records(block.state)? {
        if weight(&validator) <= record.target() {
            close(block, &validator)?;
        }
    }
    Ok(())
}

fn close(block: &mut BlockEnd<'_, '_>, validator: &PublicKey) -> Result<(), Fault> {
    let Some(mut stake) = stake(block.state, validator)? else { return Ok(()) };
    let between = block.params.evidence_window_blocks.div_ceil(BATCHES_PER_WINDOW);
    if stake.closed > Height::ZERO && block.height < stake.closed.saturating_add(between.into()) {
        return Ok(());
    }
    let now = Now { height: block.height, timestamp: block.timestamp, params: block.params };
    let Some((batch, Batch { fund, closed: Some(closed) })) = stake.close(block.state, now)? else { return Ok(()) };
    STAKES.put(block.state, validator, &stake);
    let (validator, amount) = (*validator, fund.held);
    let Closed { free_from, free_at, .. } = closed;
    let event = Event::BatchClosed { validator, batch, amount, free_from, free_at };
    block.report(vec![crate::tx::Event::Staking(event)]);
    Ok(())
}
