//! Money that goes into the market and out of it. Rules 4 to 6.

use super::*;
use crate::state::market::terms::accepted;
use crate::state::market::{PURSE_TOO_SMALL, Purse};

/// Rule 4.
pub(super) fn deposit(context: &mut Context<'_, '_>, asset: AssetId, amount: Amount) -> Result<(), Failure> {
    let (account, purse) = (context.sender, Purse::Prepaid(context.sender));
    context.market()?.check_open()?;
    accepted(context.state, asset)?;
    let new = purse.balance(context.state, asset)?.is_zero();
    let row_fee = if new { context.burn_account_fee()? } else { Amount::ZERO };
    Purse::Account(account).pay(context.state, &purse, asset, amount)?;
    let prepaid = purse.balance(context.state, asset)?;
    emit(context, Event::MarketDeposited { account, asset, amount, prepaid, row_fee });
    Ok(())
}

pub(super) fn withdraw(context: &mut Context<'_, '_>, asset: AssetId, amount: Amount) -> Result<(), Failure> {
    let (account, purse) = (context.sender, Purse::Prepaid(context.sender));
    purse.pay(context.state, &Purse::Account(account), asset, amount)?;
    let prepaid = purse.balance(context.state, asset)?;
    emit(context, Event::MarketWithdrawn { account, asset, amount, prepaid });
    Ok(())
}

/// Rule 5.
pub(super) fn take_earnings(context: &mut Context<'_, '_>, item: &Item) -> Result<(), Failure> {
    let (account, asset) = (context.sender, item.asset);
    let (amount, left) = take(context, &Purse::Earnings(account), asset, item.amount)?;
    emit(context, Event::EarningsWithdrawn { account, asset, amount, left });
    Ok(())
}

/// Rule 6.
pub(super) fn take_treasury(
    context: &mut Context<'_, '_>,
    pot: Pot,
    asset: AssetId,
    amount: Option<Amount>,
) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, &[Role::Treasurer])?;
    let (amount, left) = take(context, &pot.purse(), asset, amount)?;
    emit(context, Event::TreasuryWithdrawn { by, pot, asset, amount, left });
    Ok(())
}

/// Moves so much, or all, into the sender's account; answers with how much, and what is left.
fn take(
    context: &mut Context<'_, '_>,
    from: &Purse,
    asset: AssetId,
    amount: Option<Amount>,
) -> Result<(Amount, Amount), Failure> {
    let held = from.balance(context.state, asset)?;
    let amount = amount.unwrap_or(held);
    if amount.is_zero() {
        return Err(PURSE_TOO_SMALL.because("something to withdraw", held).into());
    }
    from.pay(context.state, &Purse::Account(context.sender), asset, amount)?;
    Ok((amount, from.balance(context.state, asset)?))
}
