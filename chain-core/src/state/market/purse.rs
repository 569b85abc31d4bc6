//! Where money of the market is that belongs to somebody by name: the one primitive that moves it.
//!
//! Money inside a job, a bond, a proposal or a vote is an amount of that row; whoever changes the row moves
//! it here in the same breath.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::PURSE_TOO_SMALL;
use crate::fault::{Failure, Fault};
use crate::state::money;
use crate::state::overlay::Overlay;
use crate::state::table::{Rows, Table};
use crate::types::{Address, Amount, AssetId};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// What accounts have deposited for jobs; `market_withdraw` empties it.
pub const PREPAID: Table<(Address, AssetId), Amount> = Table::new(31);
/// What accounts have earned; `earnings_withdraw` empties it. Rows stay, as they count.
pub const EARNINGS: Table<(Address, AssetId), Earnings> = Table::new(32);
/// The market's own money; `treasury_withdraw` empties it.
pub const TREASURY: Table<AssetId, Amount> = Table::new(33);
/// Fees of rejected proposals; `treasury_withdraw` empties it.
pub const REJECTED_POOL: Table<AssetId, Amount> = Table::new(34);

/// What an account has earned of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Earnings {
    /// What can be withdrawn.
    pub balance: Amount,
    /// All that was ever earned.
    pub credited: Amount,
}

impl Earnings {
    /// All that was ever withdrawn.
    pub fn withdrawn(&self) -> Amount {
        self.credited.checked_sub(self.balance).unwrap_or_default()
    }
}

/// Somebody's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// In an account.
    Account(Address),
    /// Deposited by an account.
    Prepaid(Address),
    /// Earned by an account.
    Earnings(Address),
    /// The market's own.
    Treasury,
    /// Fees of rejected proposals.
    RejectedPool,
}

impl Purse {
    /// What is in it.
    pub fn balance(&self, rows: &impl Rows, asset: AssetId) -> Result<Amount, Fault> {
        Ok(match self {
            Self::Account(account) => money::balance(rows, account, asset)?,
            Self::Prepaid(account) => PREPAID.get(rows, &(*account, asset))?.unwrap_or_default(),
            Self::Earnings(account) => earnings(rows, account, asset)?.balance,
            Self::Treasury => TREASURY.get(rows, &asset)?.unwrap_or_default(),
            Self::RejectedPool => REJECTED_POOL.get(rows, &asset)?.unwrap_or_default(),
        })
    }

    /// Takes money out that the caller puts somewhere in the same block.
    pub fn take(&self, overlay: &mut Overlay<'_>, asset: AssetId, amount: Amount) -> Result<(), Failure> {
        if let Self::Account(account) = self {
            return money::take(overlay, account, asset, amount);
        }
        let held = self.balance(overlay, asset)?;
        let left = held.checked_sub(amount);
        let left = left.ok_or_else(|| PURSE_TOO_SMALL.because(format_args!("at most {held}"), amount))?;
        Ok(self.set(overlay, asset, left, Amount::ZERO)?)
    }

    /// Puts money in that the caller took from somewhere in the same block.
    pub fn put(&self, overlay: &mut Overlay<'_>, asset: AssetId, amount: Amount) -> Result<(), Fault> {
        if amount.is_zero() {
            return Ok(());
        }
        if let Self::Account(account) = self {
            return money::give(overlay, account, asset, amount);
        }
        // Supplies are bounded far below 128 bits, so this can only fail if money was invented.
        let beyond = || Fault::new("a purse beyond 128 bits");
        let sum = self.balance(overlay, asset)?.checked_add(amount).ok_or_else(beyond)?;
        self.set(overlay, asset, sum, amount)
    }

    /// Moves money between two purses.
    pub fn pay(&self, overlay: &mut Overlay<'_>, to: &Self, asset: AssetId, amount: Amount) -> Result<(), Failure> {
        self.take(overlay, asset, amount)?;
        Ok(to.put(overlay, asset, amount)?)
    }

    /// Writes a balance that grew by `added`, or not.
    fn set(&self, overlay: &mut Overlay<'_>, asset: AssetId, balance: Amount, added: Amount) -> Result<(), Fault> {
        match self {
            Self::Account(_) => return Err(Fault::new("balances of accounts are written by state::money")),
            Self::Prepaid(account) if balance.is_zero() => PREPAID.remove(overlay, &(*account, asset)),
            Self::Prepaid(account) => PREPAID.put(overlay, &(*account, asset), &balance),
            Self::Earnings(account) => {
                let credited = earnings(overlay, account, asset)?.credited.saturating_add(added);
                EARNINGS.put(overlay, &(*account, asset), &Earnings { balance, credited });
            }
            Self::Treasury => TREASURY.put(overlay, &asset, &balance),
            Self::RejectedPool => REJECTED_POOL.put(overlay, &asset, &balance),
        }
        Ok(())
    }
}

/// What an account has earned of an asset.
pub fn earnings(rows: &impl Rows, account: &Address, asset: AssetId) -> Result<Earnings, Fault> {
    Ok(EARNINGS.get(rows, &(*account, asset))?.unwrap_or_default())
}
