//! What the stake behind a validator earned and has not withdrawn: the method of cumulative rewards
//! per share.
//!
//! Source: B. Batog, L. Boca, N. Johnson, "Scalable Reward Distribution on the Ethereum Blockchain"
//! (2018); with changing stakes: D. Ojha, "F1 Fee Distribution" (2019). There a share's part is rounded
//! and the rest lost; here rewards are counted in parts of 2^128, and what can't be divided is carried
//! over, so at any time, exactly:
//!
//! `held = commission + Σ pending of the delegations + carry`
//!
//! Shares are those of the fund of bonded stake: a slash lowers what they are worth, not what they earned.
//!
//! Not here: where rewards come from (`execute`), who withdraws (the staking family).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::fixed::Fixed;
use crate::fault::Fault;
use crate::types::Amount;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use std::num::NonZeroU128;

/// The rewards of one validator and of those who delegated to it, in native base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Rewards {
    /// All that was not withdrawn.
    pub held: Amount,
    /// The validator's commission of it.
    pub commission: Amount,
    /// What one share earned since there are rewards, modulo 2^128.
    pub per_share: Fixed,
    /// What could not be divided, or was left by who went: divided with the next reward.
    pub carry: Fixed,
}

/// What one delegation earned: the state of the sum when it was last looked at, and what was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Earned {
    /// `per_share` then.
    pub since: Fixed,
    /// Parts of 2^128 of a base unit that were earned before.
    #[serde(with = "crate::types::wide_decimal")]
    pub fraction: u128,
}

impl Rewards {
    /// A reward for all shares: the commission, rounded down, then the rest by shares. Without
    /// shares all of it is commission.
    pub fn add(&mut self, reward: Amount, commission_bps: u16, shares: Amount) -> Result<(), Fault> {
        let cut = if shares.is_zero() { reward } else { reward.bps_floor(commission_bps) };
        let rest = reward.checked_sub(cut).ok_or_else(|| Fault::new("a commission above the reward"))?;
        let sums = self.held.checked_add(reward).zip(self.commission.checked_add(cut));
        (self.held, self.commission) = sums.ok_or_else(|| Fault::new("rewards beyond 128 bits"))?;
        if let Some(shares) = NonZeroU128::new(shares.get()) {
            let (each, left) = Fixed::of(rest.get()).plus(self.carry).split(shares);
            self.per_share = self.per_share.plus(each);
            self.carry = Fixed { whole: 0, fraction: left };
        }
        Ok(())
    }

    /// What shares earned and were not paid.
    pub fn pending(&self, shares: Amount, earned: &Earned) -> Fixed {
        let left = Fixed { whole: 0, fraction: earned.fraction };
        self.per_share.minus(earned.since).times(shares.get()).plus(left)
    }

    /// Whoever has no shares yet.
    pub fn newcomer(&self) -> Earned {
        Earned { since: self.per_share, fraction: 0 }
    }

    /// Takes out what shares earned, in whole units; the rest stays theirs.
    pub fn pay(&mut self, shares: Amount, earned: &mut Earned) -> Result<Amount, Fault> {
        let pending = self.pending(shares, earned);
        *earned = Earned { since: self.per_share, fraction: pending.fraction };
        self.take(Amount::new(pending.whole))
    }

    /// Takes the commission out.
    pub fn pay_commission(&mut self) -> Result<Amount, Fault> {
        let commission = std::mem::take(&mut self.commission);
        self.take(commission)
    }

    /// Leaves what is less than a unit to the others.
    pub fn leave(&mut self, earned: &Earned) {
        self.carry = self.carry.plus(Fixed { whole: 0, fraction: earned.fraction });
    }

    fn take(&mut self, amount: Amount) -> Result<Amount, Fault> {
        self.held = self.held.checked_sub(amount).ok_or_else(|| Fault::new("more rewards taken than there are"))?;
        Ok(amount)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    /// Everything adds up to the last part of 2^128.
    fn check(rewards: &Rewards, parts: &[(Amount, Earned)]) {
        let pending =
            parts.iter().fold(Fixed::ZERO, |sum, (shares, earned)| sum.plus(rewards.pending(*shares, earned)));
        let sum = Fixed::of(rewards.commission.get()).plus(pending).plus(rewards.carry);
        assert_eq!(sum, Fixed::of(rewards.held.get()));
    }

    #[test]
    fn a_million_random_distributions_sum_exactly() {
        let mut random = StdRng::seed_from_u64(4);
        let (mut rewards, mut given, mut paid) = (Rewards::default(), 0u128, 0u128);
        let mut parts: Vec<(Amount, Earned)> = vec![];
        for _ in 0..1_000_000 {
            let size =
                |random: &mut StdRng, most: u32| 1 + random.random::<u128>() % (1 << random.random_range(1..most));
            match random.random_range(0..20) {
                0 if parts.len() < 12 => parts.push((Amount::new(size(&mut random, 96)), rewards.newcomer())),
                1 if !parts.is_empty() => {
                    let (shares, mut earned) = parts.swap_remove(random.random_range(0..parts.len()));
                    paid += rewards.pay(shares, &mut earned).unwrap().get();
                    rewards.leave(&earned);
                }
                2 if !parts.is_empty() => {
                    let place = random.random_range(0..parts.len());
                    let (shares, earned) = &mut parts[place];
                    paid += rewards.pay(*shares, earned).unwrap().get();
                    *shares = Amount::new(size(&mut random, 96));
                }
                3 => paid += rewards.pay_commission().unwrap().get(),
                _ => {}
            }
            let reward = size(&mut random, 90);
            given += reward;
            let shares = parts.iter().fold(Amount::ZERO, |sum, (shares, _)| sum.saturating_add(*shares));
            rewards.add(Amount::new(reward), random.random_range(0..=10_000), shares).unwrap();
            assert_eq!(given, paid + rewards.held.get());
            check(&rewards, &parts);
        }
        // Who leaves takes what is whole: less than one unit per delegation that ever was stays.
        for (shares, mut earned) in parts.drain(..) {
            rewards.pay(shares, &mut earned).unwrap();
            rewards.leave(&earned);
        }
        rewards.pay_commission().unwrap();
        assert_eq!(Fixed::of(rewards.held.get()), rewards.carry);
        assert!(rewards.carry.whole <= 12, "{:?}", rewards.carry);
    }

    #[test]
    fn by_commission_and_shares() {
        let mut rewards = Rewards::default();
        let (mut one, mut two) = (rewards.newcomer(), rewards.newcomer());
        rewards.add(Amount::new(1_000), 1_000, Amount::new(3)).unwrap();
        assert_eq!(rewards.commission, Amount::new(100));
        assert_eq!(rewards.pay(Amount::new(1), &mut one).unwrap(), Amount::new(300));
        assert_eq!(rewards.pay(Amount::new(2), &mut two).unwrap(), Amount::new(600));
        assert_eq!(rewards.pay(Amount::new(2), &mut two).unwrap(), Amount::ZERO, "once");
        // 10 over 3 shares: a third of a unit each is remembered, and paid once it is whole.
        for paid in [3, 3, 3, 3, 3, 3] {
            rewards.add(Amount::new(10), 0, Amount::new(3)).unwrap();
            assert!(rewards.pay(Amount::new(1), &mut one).unwrap() >= Amount::new(paid));
        }
        rewards.add(Amount::new(7), 0, Amount::ZERO).unwrap();
        assert_eq!(rewards.pay_commission().unwrap(), Amount::new(107), "nobody else is there");
    }

    #[test]
    fn the_smallest_reward_for_the_greatest_stake_is_not_lost() {
        let mut rewards = Rewards::default();
        let (all, mut earned) = (Amount::MAX_SUPPLY, rewards.newcomer());
        for _ in 0..1_000 {
            rewards.add(Amount::new(1), 0, all).unwrap();
        }
        let paid = rewards.pay(all, &mut earned).unwrap();
        assert!(paid >= Amount::new(999));
        assert_eq!(paid.get() + rewards.held.get(), 1_000);
    }
}
