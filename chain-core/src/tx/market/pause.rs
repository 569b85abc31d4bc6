//! The pause and the clock. Rules 1, 2 and 7.

use super::*;
use crate::fault::Fault;
use crate::state::market::MARKET;
use crate::tx::BlockEnd;

/// Rule 1.
pub(super) fn pause(context: &mut Context<'_, '_>, reason: &Text<MAX_REASON_BYTES>) -> Result<(), Failure> {
    let (by, market) = (context.sender, context.market()?);
    check_role(context.state, &by, WARDENS)?;
    market.check_open()?;
    if market.at < market.pausable_from {
        return Err(PAUSED_RECENTLY.because(format_args!("at least {}", market.pausable_from), market.at).into());
    }
    let paused = market.paused(context.params);
    MARKET.put(context.state, &(), &paused);
    let until = paused.paused_until.unwrap_or(market.at);
    emit(context, Event::MarketPaused { by, reason: reason.clone(), until });
    Ok(())
}

pub(super) fn unpause(context: &mut Context<'_, '_>, reason: &Text<MAX_REASON_BYTES>) -> Result<(), Failure> {
    let (by, market) = (context.sender, context.market()?);
    check_role(context.state, &by, WARDENS)?;
    if market.paused_until.is_none() {
        return Err(NOT_PAUSED.because("a paused market", "an open one").into());
    }
    let resumed = market.resumed(market.at);
    MARKET.put(context.state, &(), &resumed);
    let pausable_from = resumed.pausable_from;
    emit(context, Event::MarketUnpaused { by, reason: reason.clone(), pausable_from });
    Ok(())
}

/// Rule 7.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    MARKET.put(block.state, &(), &market);
    Ok(())
}
