//! On which terms the market accepts an asset.

use super::{ASSET_NOT_ACCEPTED, DEPOSIT_OUT_OF_RANGE, PRICE_OUT_OF_RANGE};
use crate::fault::Failure;
use crate::state::table::{Rows, Table};
use crate::types::{Amount, AssetId, Price};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Terms by asset; no row: never accepted.
pub const ASSET_TERMS: Table<AssetId, AssetTerms> = Table::new(53);

/// Bounds for deposits and prices of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetTerms {
    /// Whether new money of it comes in.
    pub accepted: bool,
    /// The least deposit of a job, in base units.
    pub min_deposit: Amount,
    /// The greatest.
    pub max_deposit: Amount,
    /// The least price.
    pub min_price: Price,
    /// The greatest.
    pub max_price: Price,
}

impl AssetTerms {
    /// Whether a job may have so much deposited.
    pub fn check_deposit(&self, deposit: Amount) -> Result<(), Failure> {
        let (min, max) = (self.min_deposit, self.max_deposit);
        if (min..=max).contains(&deposit) {
            return Ok(());
        }
        Err(DEPOSIT_OUT_OF_RANGE.because(format_args!("{min} to {max}"), deposit).into())
    }

    /// Whether work may cost so much.
    pub fn check_price(&self, price: Price) -> Result<(), Failure> {
        let (min, max) = (self.min_price, self.max_price);
        if (min..=max).contains(&price) {
            return Ok(());
        }
        Err(PRICE_OUT_OF_RANGE.because(format_args!("{min} to {max}"), price).into())
    }
}

/// The terms of an asset the market accepts.
pub fn accepted(rows: &impl Rows, asset: AssetId) -> Result<AssetTerms, Failure> {
    let terms = ASSET_TERMS.get(rows, &asset)?.filter(|terms| terms.accepted);
    terms.ok_or_else(|| ASSET_NOT_ACCEPTED.because("an accepted asset", asset).into())
}
