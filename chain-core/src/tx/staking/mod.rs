//! Stake: bonding and delegating, unbonding and its period, commission and rewards, in modes `pos` and
//! `hybrid`.
//!
//! | action | bytes after `06` | fields |
//! |---|---|---|
//! | `stake_bond` | `01` | amount u128 · commission_bps (`00`, or `01` and u16) |
//! | `stake_unbond` | `02` | shares u128 |
//! | `stake_withdraw` | `03` | validator 32 |
//! | `stake_delegate` | `04` | validator 32 · amount u128 |
//! | `stake_undelegate` | `05` | validator 32 · shares u128 |
//! | `reward_withdraw` | `06` | validator 32 |
//! | `stake_set_commission` | `07` | commission_bps u16 |
//!
//! Rules, validators:
//! 1. In mode `poa` every action of this family is refused.
//! 2. A validator bonds, unbonds and sets its commission through the plain account of its key. What it
//!    has bonded itself is a delegation like any other, and nothing or at least `min_validator_stake`.
//! 3. In mode `pos` everybody with a usable key bonds and is thereby admitted; whoever unbonds all is
//!    removed. A jail stays with the key: whoever leaves jailed, or is jailed after leaving, is jailed when
//!    it bonds again, until the council lifts it; its absence counts on as long as its record is known.
//!    In mode `hybrid` only admitted authorities bond.
//! 4. In mode `pos` a newcomer for whom there is no room displaces the validator with the least own stake
//!    of those that have less than it and are not in the set.
//! 5. A commission, 0 to 10000 basis points, is named with the first bond (else 0). Later ones differ by
//!    at most 500 from the one before, hold from the second epoch boundary after the announcement on,
//!    and are announced one at a time.
//!
//! Rules, delegations:
//! 6. Whoever delegates gets one share per base unit; a share is worth one unit until the validator is
//!    convicted. Nothing is bonded with a convicted validator, nor with one that was removed.
//! 7. Shares that are taken out join the validator's open batch at their worth and earn and weigh nothing
//!    from then on. One account has entries in at most 7 batches of a validator.
//! 8. At the end of an epoch the open batch is closed if the set no longer gives the validator more weight
//!    than its stake does (which is none while nobody qualifies), and at least 1/32 of the evidence window
//!    has passed since the one before; that of a validator that was removed and has left the set when its
//!    record is looked at again. Once nothing can be proven against the validator, that is, when its
//!    record goes, it is closed at once.
//! 9. A closed batch is free `evidence_window_blocks` + 1 blocks and `unbonding_s` seconds of block time
//!    later, by the parameters of the day; then its shares are paid at their worth, the last ones with all
//!    the rest. Until then it can be slashed (`state::stakes::slash`).
//!
//! Rules, rewards:
//! 10. What a proposer earns is the commission of its block, rounded down, and for the rest a reward of
//!     all shares alike, exact to 2^-128 of a base unit (`state::stakes::Rewards`).
//! 11. Whole units are paid at every change of a delegation, and on demand; with them goes, to the
//!     validator's own account, its commission. What is left of who goes is for the others.
//!
//! Not here: the rows and their arithmetic (`state::stakes`), who is convicted, and the set (`authority`).

mod block_end;
mod bond;
mod delegate;

pub(super) use block_end::{at_block_end, before_the_set};

use super::{About, CheckContext, Context, Rules, check_amount};
use crate::crypto::{PublicKey, SecretKey};
use crate::fault::{Failure, Fault};
use crate::limits::{BPS, MAX_VALIDATORS};
use crate::state::stakes::{Staking, staking};
use crate::types::{Address, Amount, AssetId, Height, Rejected, TimestampMs, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    600 NO_STAKING "no_staking" "on this chain stake gives no weight: its mode is poa";
    601 NOT_AN_AUTHORITY "not_an_authority" "in mode hybrid only admitted authorities bond";
    602 NO_VALIDATOR_KEY "no_validator_key" "this account's address is no usable ed25519 key";
    603 STAKE_BELOW_MINIMUM "stake_below_minimum" "a validator's own stake is nothing or at least min_validator_stake";
    604 NO_ROOM "no_room" "no more validators fit, and none that could go has less stake";
    605 CONVICTED "convicted" "this validator was convicted of contradicting itself; nothing is bonded with it any more";
    606 NO_STAKE "no_stake" "nobody ever bonded for this key";
    607 NOT_A_VALIDATOR "not_a_validator" "this validator was removed";
    608 OWN_STAKE "own_stake" "a validator's own stake is bonded and unbonded, not delegated";
    609 NOT_BONDED "not_bonded" "this account has nothing bonded with the validator";
    610 MORE_THAN_BONDED "more_than_bonded" "this account has fewer shares bonded with the validator";
    611 TOO_MANY_UNBONDINGS "too_many_unbondings" "7 unbondings from this validator wait; withdraw what is free";
    612 NOTHING_UNBONDS "nothing_unbonds" "nothing of this account unbonds from the validator";
    613 STILL_UNBONDING "still_unbonding" "what unbonds is not free yet";
    614 COMMISSION_RANGE "commission_range" "a commission is 0 to 10000 basis points";
    615 COMMISSION_STEP "commission_step" "a commission changes by at most 500 basis points at a time";
    616 COMMISSION_ANNOUNCED "commission_announced" "the commission announced last does not hold yet";
    617 COMMISSION_NAMED "commission_named" "the commission was named with the first bond; announce another one";
    618 NO_REWARDS "no_rewards" "there is nothing to withdraw";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[
    (1, "stake_bond"),
    (2, "stake_unbond"),
    (3, "stake_withdraw"),
    (4, "stake_delegate"),
    (5, "stake_undelegate"),
    (6, "reward_withdraw"),
    (7, "stake_set_commission"),
];

/// A few rows are read and written.
const WEIGHT: u64 = 600;
/// To find who has to go, the record, the stake and the delegation of everybody may be read, some 50 each.
const BOND_WEIGHT: u64 = 50 * 3 * MAX_VALIDATORS as u64;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Bonds own stake as the validator of the sender's key.
    StakeBond {
        /// Base units of the stake asset.
        amount: Amount,
        /// The commission in basis points, with the first bond only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commission_bps: Option<u16>,
    } = 1,
    /// Starts unbonding own stake.
    StakeUnbond {
        /// How many shares.
        shares: Amount,
    } = 2,
    /// Takes what has unbonded.
    StakeWithdraw {
        /// From which validator.
        validator: PublicKey,
    } = 3,
    /// Bonds stake with a validator.
    StakeDelegate {
        /// Which.
        validator: PublicKey,
        /// Base units of the stake asset.
        amount: Amount,
    } = 4,
    /// Starts unbonding stake from a validator.
    StakeUndelegate {
        /// Which.
        validator: PublicKey,
        /// How many shares.
        shares: Amount,
    } = 5,
    /// Takes what stake has earned, and own commission.
    RewardWithdraw {
        /// With which validator.
        validator: PublicKey,
    } = 6,
    /// Announces another commission.
    StakeSetCommission {
        /// In basis points.
        commission_bps: u16,
    } = 7,
}

/// What this family reports. Amounts of stake are base units of the stake asset, rewards and fees of
/// the native one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// A validator bonded: its own shares now, all that is bonded with it now, what was paid and burned
    /// on the way, and who had to go for it.
    StakeBonded {
        validator: PublicKey,
        amount: Amount,
        shares: Amount,
        bonded: Amount,
        commission_bps: u16,
        reward: Amount,
        row_fee: Amount,
        displaced: Option<PublicKey>,
    } = 1,
    /// Somebody bonded with a validator; as above.
    StakeDelegated {
        validator: PublicKey,
        delegator: Address,
        amount: Amount,
        shares: Amount,
        bonded: Amount,
        reward: Amount,
        row_fee: Amount,
    } = 2,
    /// Shares began to unbond, at this worth; what the account and the validator have left.
    StakeUnbonding {
        validator: PublicKey,
        delegator: Address,
        taken: Amount,
        worth: Amount,
        shares: Amount,
        bonded: Amount,
        batch: u32,
        reward: Amount,
    } = 3,
    /// Shares of batches were paid; how many entries still wait.
    StakeWithdrawn { validator: PublicKey, delegator: Address, shares: Amount, paid: Amount, waiting: u8 } = 4,
    /// Rewards were paid.
    RewardWithdrawn { validator: PublicKey, account: Address, reward: Amount, commission: Amount } = 5,
    /// Another commission from a block on.
    CommissionAnnounced { validator: PublicKey, before: u16, after: u16, from: Height } = 6,
    /// What unbonded from a validator has left the set.
    BatchClosed { validator: PublicKey, batch: u32, amount: Amount, free_from: Height, free_at: TimestampMs } = 7,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::StakeBond { amount, commission_bps } => {
                check_amount(*amount)?;
                check_commission(commission_bps.unwrap_or_default())
            }
            Self::StakeDelegate { amount, .. } => check_amount(*amount),
            Self::StakeUnbond { shares } | Self::StakeUndelegate { shares, .. } => check_amount(*shares),
            Self::StakeSetCommission { commission_bps } => check_commission(*commission_bps),
            Self::StakeWithdraw { .. } | Self::RewardWithdraw { .. } => Ok(()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::StakeBond { .. } => BOND_WEIGHT,
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let found = staking(context.state)?;
        let staking = found.ok_or_else(|| NO_STAKING.because("mode pos or hybrid", "poa"))?;
        let event = match *self {
            Self::StakeBond { amount, commission_bps } => bond::bond(context, staking, amount, commission_bps),
            Self::StakeUnbond { shares } => bond::unbond(context, staking, shares),
            Self::StakeWithdraw { validator } => delegate::withdraw(context, staking, &validator),
            Self::StakeDelegate { validator, amount } => delegate::delegate(context, staking, &validator, amount),
            Self::StakeUndelegate { validator, shares } => delegate::undelegate(context, &validator, shares),
            Self::RewardWithdraw { validator } => delegate::withdraw_rewards(context, &validator),
            Self::StakeSetCommission { commission_bps } => bond::announce(context, commission_bps),
        }?;
        context.emit(super::Event::Staking(event));
        Ok(())
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::StakeBond { amount, commission_bps: None } => {
                format!("Bond {amount} base units of stake as the validator of this account's key")
            }
            Self::StakeBond { amount, commission_bps: Some(bps) } => format!(
                "Bond {amount} base units of stake as the validator of this account's key, which keeps {bps} of \
                 10000 of the rewards"
            ),
            Self::StakeUnbond { shares } => {
                format!("Unbond {shares} shares of the stake of this account's validator")
            }
            Self::StakeWithdraw { validator } => {
                format!("Withdraw what has unbonded from the validator {validator}")
            }
            Self::StakeDelegate { validator, amount } => {
                format!("Bond {amount} base units of stake with the validator {validator}")
            }
            Self::StakeUndelegate { validator, shares } => {
                format!("Unbond {shares} shares of the stake with the validator {validator}")
            }
            Self::RewardWithdraw { validator } => format!("Withdraw the rewards from the validator {validator}"),
            Self::StakeSetCommission { commission_bps } => {
                format!("Announce that this account's validator keeps {commission_bps} of 10000 of the rewards")
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::StakeWithdraw { validator }
            | Self::StakeDelegate { validator, .. }
            | Self::StakeUndelegate { validator, .. }
            | Self::RewardWithdraw { validator } => vec![Address::of_key(validator)],
            Self::StakeBond { .. } | Self::StakeUnbond { .. } | Self::StakeSetCommission { .. } => vec![],
        }
    }
}

fn check_commission(bps: u16) -> Result<(), Rejected> {
    if u128::from(bps) > BPS {
        return Err(COMMISSION_RANGE.because("at most 10000", bps));
    }
    Ok(())
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::StakeDelegated { delegator, .. }
            | Self::StakeUnbonding { delegator, .. }
            | Self::StakeWithdrawn { delegator, .. } => {
                vec![*delegator]
            }
            Self::RewardWithdrawn { account, .. } => vec![*account],
            Self::StakeBonded { .. } | Self::CommissionAnnounced { .. } | Self::BatchClosed { .. } => vec![],
        }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let validator = SecretKey::from_seed(&[2; 32]).public();
    let (amount, shares) = (Amount::new(10u128.pow(21)), Amount::new(5 * 10u128.pow(20)));
    vec![
        Action::StakeBond { amount, commission_bps: Some(1_000) },
        Action::StakeUnbond { shares },
        Action::StakeWithdraw { validator },
        Action::StakeDelegate { validator, amount },
        Action::StakeUndelegate { validator, shares },
        Action::RewardWithdraw { validator },
        Action::StakeSetCommission { commission_bps: 1_250 },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
