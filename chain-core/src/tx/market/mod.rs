//! Terms of the market, its pause, money deposited for jobs, and money earned with them.
//!
//! | action | bytes after `09` | fields |
//! |---|---|---|
//! | `market_pause` | `01` | reason text ≤ 256 |
//! | `market_unpause` | `02` | reason text ≤ 256 |
//! | `asset_terms_set` | `03` | asset u32 · accepted (`00` or `01`) · min_deposit u128 · max_deposit u128 · min_price u128 · max_price u128 |
//! | `market_deposit` | `04` | asset u32 · amount u128 |
//! | `market_withdraw` | `05` | asset u32 · amount u128 |
//! | `earnings_withdraw` | `06` | items (u32 count ≤ 64, each: asset u32 · amount (`00`, or `01` and u128)) |
//! | `treasury_withdraw` | `07` | pot u8 · asset u32 · amount (`00`, or `01` and u128) |
//!
//! Rules:
//! 1. Curator or treasurer pause the market, unless it is paused or a pause ended less than 24 h of block time
//!    ago, and end a pause. A pause ends by itself after `pause_max_s` of block time.
//! 2. While the market is paused nobody opens jobs, deposits, adds to deposits of jobs or claims work; and its
//!    clock stands still, so nothing becomes due. Everything that gives money back goes on.
//! 3. Curator or treasurer set the terms of an asset that exists: 1 ≤ min < max for deposits, 1 ≤ min < max ≤
//!    10^18 for prices. Only an asset that was accepted once can be refused. Open jobs keep their terms.
//! 4. Everybody deposits an accepted asset for later jobs, and withdraws what is not in jobs.
//! 5. Who has earned something withdraws so much of it, or all; from nothing nothing.
//! 6. The treasurer withdraws from the treasury or the rejected pool into its own account, so much or all.
//! 7. At the end of every block the clock is written.
//!
//! Not here: the clock and the purses (`state::market`), what comes into them (the other families).

use super::text::{amount_text, quoted};
use super::{BlockEnd, CheckContext, Context, Rules, check_amount};
use crate::codec::{List, Text};
use crate::fault::{Failure, Fault};
use crate::limits::{MAX_LIST, MAX_REASON_BYTES};
use crate::state::market::terms::{ASSET_TERMS, AssetTerms, accepted};
use crate::state::market::{ASSET_NOT_ACCEPTED, MARKET, PURSE_TOO_SMALL, Purse, check_list, check_role, check_text};
use crate::state::{Role, money};
use crate::types::{Address, Amount, AssetId, Price, Rejected, TimestampMs, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    900 NOT_PAUSED "not_paused" "the market is not paused";
    901 PAUSED_RECENTLY "paused_recently" "the last pause ended less than 24 hours ago";
    902 TERMS_FORM "terms_form" "bounds are at least 1, the upper one is above the lower one, and prices are at most 10^18";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[
    (1, "market_pause"),
    (2, "market_unpause"),
    (3, "asset_terms_set"),
    (4, "market_deposit"),
    (5, "market_withdraw"),
    (6, "earnings_withdraw"),
    (7, "treasury_withdraw"),
];

/// A few rows are read and written.
const WEIGHT: u64 = 400;
/// Besides, for every item of a list.
const ITEM_WEIGHT: u64 = 200;
/// Who may pause and set terms.
const WARDENS: &[Role] = &[Role::Curator, Role::Treasurer];

/// So much of an asset, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Which asset.
    pub asset: AssetId,
    /// How much; in JSON `null`: all.
    #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
    pub amount: Option<Amount>,
}

/// What the treasurer keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Pot {
    /// Fees of jobs, and what slashed bonds lost.
    Treasury = 1,
    /// Fees of rejected proposals of models.
    RejectedPool = 2,
}

impl Pot {
    fn purse(self) -> Purse {
        match self {
            Self::Treasury => Purse::Treasury,
            Self::RejectedPool => Purse::RejectedPool,
        }
    }
}

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Pauses the market.
    MarketPause {
        /// Why.
        reason: Text<MAX_REASON_BYTES>,
    } = 1,
    /// Ends the pause.
    MarketUnpause {
        /// Why.
        reason: Text<MAX_REASON_BYTES>,
    } = 2,
    /// Sets on which terms an asset is accepted.
    AssetTermsSet {
        /// Which.
        asset: AssetId,
        /// The terms.
        terms: AssetTerms,
    } = 3,
    /// Deposits money for jobs.
    MarketDeposit {
        /// Which asset.
        asset: AssetId,
        /// How many base units.
        amount: Amount,
    } = 4,
    /// Takes it back.
    MarketWithdraw {
        /// Which asset.
        asset: AssetId,
        /// How many base units.
        amount: Amount,
    } = 5,
    /// Takes what was earned.
    EarningsWithdraw {
        /// Of which assets how much.
        items: List<Item, MAX_LIST>,
    } = 6,
    /// The treasurer takes what the market has.
    TreasuryWithdraw {
        /// From where.
        pot: Pot,
        /// Which asset.
        asset: AssetId,
        /// How many base units; in JSON `null`: all.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        amount: Option<Amount>,
    } = 7,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// The market is paused; when that ends by itself, by block time.
    MarketPaused { by: Address, reason: Text<MAX_REASON_BYTES>, until: TimestampMs } = 1,
    /// It goes on; from when on it can be paused again, by block time.
    MarketUnpaused { by: Address, reason: Text<MAX_REASON_BYTES>, pausable_from: TimestampMs } = 2,
    /// An asset is accepted on these terms, or not any more.
    AssetTermsSet { by: Address, asset: AssetId, terms: AssetTerms } = 3,
    /// Money was deposited; how much there is now.
    MarketDeposited { account: Address, asset: AssetId, amount: Amount, prepaid: Amount, row_fee: Amount } = 4,
    /// Money was taken back; how much is left.
    MarketWithdrawn { account: Address, asset: AssetId, amount: Amount, prepaid: Amount } = 5,
    /// Earnings of one asset were taken; how much is left.
    EarningsWithdrawn { account: Address, asset: AssetId, amount: Amount, left: Amount } = 6,
    /// The treasurer took something; how much is left.
    TreasuryWithdrawn { by: Address, pot: Pot, asset: AssetId, amount: Amount, left: Amount } = 7,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::MarketPause { reason } | Self::MarketUnpause { reason } => check_text(reason, "a reason"),
            Self::AssetTermsSet { terms, .. } => check_terms(terms),
            Self::MarketDeposit { amount, .. } | Self::MarketWithdraw { amount, .. } => check_amount(*amount),
            Self::EarningsWithdraw { items } => {
                check_list(&items.iter().map(|item| item.asset).collect::<Vec<_>>())?;
                items.iter().filter_map(|item| item.amount).try_for_each(check_amount)
            }
            Self::TreasuryWithdraw { amount, .. } => amount.map_or(Ok(()), check_amount),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::EarningsWithdraw { items } => WEIGHT.saturating_add(ITEM_WEIGHT.saturating_mul(items.len() as u64)),
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::MarketPause { reason } => pause(context, reason),
            Self::MarketUnpause { reason } => unpause(context, reason),
            Self::AssetTermsSet { asset, terms } => set_terms(context, *asset, terms),
            Self::MarketDeposit { asset, amount } => deposit(context, *asset, *amount),
            Self::MarketWithdraw { asset, amount } => withdraw(context, *asset, *amount),
            Self::EarningsWithdraw { items } => items.iter().try_for_each(|item| take_earnings(context, item)),
            Self::TreasuryWithdraw { pot, asset, amount } => take_treasury(context, *pot, *asset, *amount),
        }
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let some = |asset: &AssetId, amount: &Option<Amount>| {
            amount.map_or(format!("all of asset {asset}"), |amount| amount_text(*asset, amount, tokens))
        };
        match self {
            Self::MarketPause { reason } => format!("Pause the market for {}", quoted(reason)),
            Self::MarketUnpause { reason } => format!("End the pause of the market for {}", quoted(reason)),
            Self::AssetTermsSet { asset, terms } => {
                let text = |amount: Amount| amount_text(*asset, amount, tokens);
                let price = |price: Price| text(Amount::new(price.get()));
                let verb = if terms.accepted { "Accept" } else { "Accept no more" };
                format!(
                    "{verb} asset {asset} in the market, with deposits of {} to {} and prices of {} to {} per 1000 units",
                    text(terms.min_deposit),
                    text(terms.max_deposit),
                    price(terms.min_price),
                    price(terms.max_price)
                )
            }
            Self::MarketDeposit { asset, amount } => {
                format!("Deposit {} in the market", amount_text(*asset, *amount, tokens))
            }
            Self::MarketWithdraw { asset, amount } => {
                format!("Withdraw {} from what is deposited in the market", amount_text(*asset, *amount, tokens))
            }
            Self::EarningsWithdraw { items } => {
                let list: Vec<_> = items.iter().map(|item| some(&item.asset, &item.amount)).collect();
                format!("Withdraw from this account's earnings: {}", list.join(", "))
            }
            Self::TreasuryWithdraw { pot, asset, amount } => {
                let pot = match pot {
                    Pot::Treasury => "treasury",
                    Pot::RejectedPool => "rejected pool",
                };
                format!("Withdraw as treasurer from the {pot}: {}", some(asset, amount))
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

fn check_terms(terms: &AssetTerms) -> Result<(), Rejected> {
    let AssetTerms { min_deposit, max_deposit, min_price, max_price, .. } = *terms;
    check_amount(min_deposit)?;
    check_amount(max_deposit)?;
    let prices = min_price.is_valid() && max_price.is_valid();
    if min_deposit >= max_deposit || !prices || min_price >= max_price {
        return Err(
            TERMS_FORM.because("1 ≤ min < max", format_args!("{min_deposit} {max_deposit} {min_price} {max_price}"))
        );
    }
    Ok(())
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(super::Event::Market(event));
}

/// Rule 1.
fn pause(context: &mut Context<'_, '_>, reason: &Text<MAX_REASON_BYTES>) -> Result<(), Failure> {
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

fn unpause(context: &mut Context<'_, '_>, reason: &Text<MAX_REASON_BYTES>) -> Result<(), Failure> {
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

/// Rule 3.
fn set_terms(context: &mut Context<'_, '_>, asset: AssetId, terms: &AssetTerms) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, WARDENS)?;
    money::check_asset(context.state, asset)?;
    if !terms.accepted && ASSET_TERMS.get(context.state, &asset)?.is_none() {
        return Err(ASSET_NOT_ACCEPTED.because("an asset that was accepted", asset).into());
    }
    ASSET_TERMS.put(context.state, &asset, terms);
    emit(context, Event::AssetTermsSet { by, asset, terms: *terms });
    Ok(())
}

/// Rule 4.
fn deposit(context: &mut Context<'_, '_>, asset: AssetId, amount: Amount) -> Result<(), Failure> {
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

fn withdraw(context: &mut Context<'_, '_>, asset: AssetId, amount: Amount) -> Result<(), Failure> {
    let (account, purse) = (context.sender, Purse::Prepaid(context.sender));
    purse.pay(context.state, &Purse::Account(account), asset, amount)?;
    let prepaid = purse.balance(context.state, asset)?;
    emit(context, Event::MarketWithdrawn { account, asset, amount, prepaid });
    Ok(())
}

/// Rule 5.
fn take_earnings(context: &mut Context<'_, '_>, item: &Item) -> Result<(), Failure> {
    let (account, asset) = (context.sender, item.asset);
    let (amount, left) = take(context, &Purse::Earnings(account), asset, item.amount)?;
    emit(context, Event::EarningsWithdrawn { account, asset, amount, left });
    Ok(())
}

/// Rule 6.
fn take_treasury(
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

/// Rule 7.
pub(super) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    MARKET.put(block.state, &(), &market);
    Ok(())
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let (asset, amount) = (AssetId::new(1), Amount::new(10_000_000));
    let reason = Text::new("maintenance").unwrap_or_default();
    let terms = AssetTerms {
        accepted: true,
        min_deposit: Amount::new(500_000),
        max_deposit: Amount::new(10u128.pow(12)),
        min_price: Price::new(1),
        max_price: Price::new(100_000_000),
    };
    let all = Item { asset: AssetId::NATIVE, amount: None };
    vec![
        Action::MarketPause { reason: reason.clone() },
        Action::MarketUnpause { reason },
        Action::AssetTermsSet { asset, terms },
        Action::MarketDeposit { asset, amount },
        Action::MarketWithdraw { asset, amount },
        Action::EarningsWithdraw {
            items: List::new(vec![all, Item { asset, amount: Some(amount) }]).unwrap_or_default(),
        },
        Action::TreasuryWithdraw { pot: Pot::Treasury, asset, amount: None },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
