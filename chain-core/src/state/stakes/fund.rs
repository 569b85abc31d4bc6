//! Stake held in common and who has which part of it.
//!
//! A share is worth one base unit until the fund is slashed, and nothing is put in afterwards. So no
//! rate can be moved by who puts in first or gives to a fund.
//!
//! Not here: whose the shares are.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::fixed::mul_div;
use crate::fault::Fault;
use crate::types::Amount;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// Base units of the stake asset that belong to shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Fund {
    /// What is there, at most one base unit per share.
    pub held: Amount,
    /// The shares: what was put in and not taken out, before any slash.
    pub shares: Amount,
}

impl Fund {
    /// Puts stake in: as many shares.
    pub fn put(&mut self, stake: Amount) -> Result<(), Fault> {
        let sums = self.held.checked_add(stake).zip(self.shares.checked_add(stake));
        let (held, shares) = sums.ok_or_else(|| Fault::new("stake beyond 128 bits"))?;
        if self.held != self.shares {
            return Err(Fault::new("stake put into a fund that was slashed"));
        }
        (self.held, self.shares) = (held, shares);
        Ok(())
    }

    /// What shares are worth, rounded down; the last ones get all the rest.
    pub fn worth(&self, shares: Amount) -> Amount {
        match self.shares.get() {
            0 => Amount::ZERO,
            all => Amount::new(mul_div(shares.get(), self.held.get(), all)),
        }
    }

    /// Takes shares out: what they are worth.
    pub fn take(&mut self, shares: Amount) -> Result<Amount, Fault> {
        let left = self.shares.checked_sub(shares).ok_or_else(|| Fault::new("more shares than a fund has"))?;
        let worth = self.worth(shares);
        self.held = self.held.checked_sub(worth).ok_or_else(|| Fault::new("shares worth more than a fund"))?;
        self.shares = left;
        Ok(worth)
    }

    /// Takes this part of what is there from all shares alike: how much, rounded down.
    pub fn slash(&mut self, bps: u16) -> Amount {
        let lost = self.held.bps_floor(bps);
        self.held = self.held.checked_sub(lost).unwrap_or_default();
        lost
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whoever_leaves_in_whatever_order_all_is_paid_and_nobody_gains(
            puts in prop::collection::vec(1u128..=10u128.pow(29), 1..10), bps in 0u16..=10_000, early in 0usize..10,
        ) {
            let mut fund = Fund::default();
            puts.iter().for_each(|stake| fund.put(Amount::new(*stake)).unwrap());
            let put: u128 = puts.iter().sum();
            let mut paid = 0;
            for (place, shares) in puts.iter().enumerate() {
                if place == early.min(puts.len() - 1) {
                    let lost = fund.slash(bps);
                    prop_assert!(bps < 10_000 || fund.held.is_zero());
                    paid += lost.get();
                }
                let worth = fund.take(Amount::new(*shares)).unwrap();
                prop_assert!(worth.get() <= *shares);
                paid += worth.get();
            }
            prop_assert_eq!(paid, put);
            prop_assert_eq!(fund, Fund::default());
        }
    }

    #[test]
    fn a_first_share_can_not_be_made_dear() {
        let mut fund = Fund::default();
        fund.put(Amount::new(1)).unwrap();
        // There is no other way in: whoever comes second gets a share for each unit.
        fund.put(Amount::new(10u128.pow(24))).unwrap();
        assert_eq!(fund.take(Amount::new(1)).unwrap(), Amount::new(1));
        assert_eq!(fund.worth(Amount::new(10u128.pow(24))), Amount::new(10u128.pow(24)));
        fund.slash(1);
        assert!(fund.put(Amount::new(1)).is_err(), "nothing is priced after a slash");
    }
}
