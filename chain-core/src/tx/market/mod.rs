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
//! 2. While the market is paused nobody opens or posts jobs, bids, accepts bids, takes jobs over, deposits, adds to
//!    deposits of jobs or claims work; and its clock stands still, so nothing becomes due. Redeeming, completing,
//!    disputing and withdrawing go on.
//! 3. Curator or treasurer set the terms of an asset that exists: 1 ≤ min < max for deposits, 1 ≤ min < max ≤
//!    10^18 for prices. Only an asset that was accepted once can be refused. Open jobs keep their terms.
//! 4. Everybody deposits an accepted asset for later jobs, and withdraws what is not in jobs.
//! 5. Who has earned something withdraws so much of it, or all; from nothing nothing.
//! 6. The treasurer withdraws from the treasury or the rejected pool into its own account, so much or all.
//! 7. At the end of every block the clock is written.
//!
//! Not here: the clock and the purses (`state::market`), what comes into them (the other families).

mod pause;
mod purses;
mod terms;
mod words;

pub(super) use pause::at_block_end;

use super::form::{check_list, check_text};
use super::{About, CheckContext, Context, Rules, check_amount};
use crate::codec::{List, Text};
use crate::fault::Failure;
use crate::limits::{MAX_LIST, MAX_REASON_BYTES};
use crate::state::Role;
use crate::state::market::terms::AssetTerms;
use crate::state::market::{Purse, check_role};
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
            Self::AssetTermsSet { terms, .. } => terms::check(terms),
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
            Self::MarketPause { reason } => pause::pause(context, reason),
            Self::MarketUnpause { reason } => pause::unpause(context, reason),
            Self::AssetTermsSet { asset, terms } => terms::set_terms(context, *asset, terms),
            Self::MarketDeposit { asset, amount } => purses::deposit(context, *asset, *amount),
            Self::MarketWithdraw { asset, amount } => purses::withdraw(context, *asset, *amount),
            Self::EarningsWithdraw { items } => items.iter().try_for_each(|item| purses::take_earnings(context, item)),
            Self::TreasuryWithdraw { pot, asset, amount } => purses::take_treasury(context, *pot, *asset, *amount),
        }
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        words::words(self, tokens)
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(super::Event::Market(event));
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::MarketPaused { by, .. } | Self::MarketUnpaused { by, .. } | Self::AssetTermsSet { by, .. } => {
                vec![*by]
            }
            Self::TreasuryWithdrawn { by, .. } => vec![*by],
            Self::MarketDeposited { account, .. }
            | Self::MarketWithdrawn { account, .. }
            | Self::EarningsWithdrawn { account, .. } => {
                vec![*account]
            }
        }
    }
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
