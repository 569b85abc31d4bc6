//! The end of a block: what unbonded and has left the set begins to wait. Rule 8.
//!
//! Not here: the set, which the authority family has changed before.

use super::*;
use crate::limits::MAX_DEADLINES_PER_BLOCK;
use crate::state::stakes::{Batch, STAKES, between_batches, stake};
use crate::state::validators::{VALIDATORS, next_set, records, retired_due};
use crate::tx::BlockEnd;

/// Closes what unbonds from those who left, whenever they are looked at.
pub(in crate::tx) fn before_the_set(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    for (at, key) in retired_due(block.state.base(), block.height, MAX_DEADLINES_PER_BLOCK)? {
        if VALIDATORS.get(block.state, &key)?.is_some_and(|record| record.retired == Some(at)) {
            close(block, &key)?;
        }
    }
    Ok(())
}

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

/// Closes the open batch of a validator whose weight in the set is not above what its stake gives, if it is time.
fn close(block: &mut BlockEnd<'_, '_>, validator: &PublicKey) -> Result<(), Fault> {
    let Some(mut stake) = stake(block.state, validator)? else { return Ok(()) };
    if stake.closed > Height::ZERO && block.height < stake.closed.saturating_add(between_batches(block.params)) {
        return Ok(());
    }
    let now = block.now();
    let Some((batch, Batch { fund, closed: Some(closed) })) = stake.close(block.state, now)? else { return Ok(()) };
    STAKES.put(block.state, validator, &stake);
    let (validator, amount) = (*validator, fund.held);
    let (free_from, free_at) = (closed.free_from(block.params), closed.free_at(block.params));
    let event = Event::BatchClosed { validator, batch, amount, free_from, free_at };
    block.report(vec![crate::tx::Event::Staking(event)]);
    Ok(())
}
