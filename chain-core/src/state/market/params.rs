//! Parameters of the market. What a job depends on is copied into it when it is opened.
//!
//! Not here: bounds that no vote can change (`limits`), the other parameters (`state::params`).

use crate::limits::{BPS, MAX_AMOUNT, MAX_RATE, MIN_RATE};
use crate::state::params::Param;
use crate::types::Amount;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Writes the parameters, their defaults, bounds and assignment from a single list.
macro_rules! market_params {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $bounds:expr;)*) => {
        /// What can be set for the market. Named `market.<name>` in a vote.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct MarketParams {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for MarketParams {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl MarketParams {
            /// Every parameter with its value and its bounds.
            pub fn bounds(&self) -> Vec<Param> {
                vec![$({
                    let (min, max) = $bounds;
                    let name = concat!("market.", stringify!($name));
                    Param { name, value: Number::wide(self.$name), min, max }
                },)*]
            }

            /// Sets one; `None` for an unknown name, or a value the field does not hold.
            pub(in crate::state) fn assign(&mut self, name: &str, value: u128) -> Option<()> {
                match name {
                    $(concat!("market.", stringify!($name)) => self.$name = Number::narrow(value)?,)*
                    _ => return None,
                }
                Some(())
            }
        }
    };
}

/// What a parameter may be.
trait Number: Copy {
    fn wide(self) -> u128;
    fn narrow(value: u128) -> Option<Self>;
}

impl Number for Amount {
    fn wide(self) -> u128 {
        self.get()
    }
    fn narrow(value: u128) -> Option<Self> {
        Some(Self::new(value))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn wide(self) -> u128 {
                self.into()
            }
            fn narrow(value: u128) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}

numbers!(u16, u32);

/// A year, in seconds.
const YEAR_S: u128 = 31_536_000;

market_params! {
    /// Longest step of the market's clock from one block to the next, in ms.
    max_step_ms: u32 = 10_000, (100, u32::MAX.into());
    /// Longest pause, in seconds of block time.
    pause_max_s: u32 = 604_800, (60, 604_800);
    /// What a provider bonds, in base units of the stake asset.
    min_bond: Amount = Amount::new(10u128.pow(21)), (1, MAX_AMOUNT);
    /// Below it a slashed provider is removed, in base units of the stake asset.
    bond_floor: Amount = Amount::new(10u128.pow(20)), (0, MAX_AMOUNT);
    /// Bond that every job a provider works on at a time needs, in base units of the stake asset.
    bond_per_slot: Amount = Amount::new(10u128.pow(19)), (1, MAX_AMOUNT);
    /// How long a bond can be slashed after the last job of a provider that left, in seconds.
    provider_unbonding_s: u32 = 604_800, (0, YEAR_S);
    /// Most of a bond that one slash takes, in basis points.
    slash_max_bps: u16 = 5_000, (0, BPS);
    /// Least time between two slashes of a provider, in seconds.
    slash_cooldown_s: u32 = 86_400, (0, YEAR_S);
    /// Most of a slash that compensates a payer, in basis points; the rest is the treasury's.
    victim_bps: u16 = 5_000, (0, BPS);
    /// Share of what work costs that goes to the treasury, in basis points. Copied into jobs.
    fee_bps: u16 = 1_000, (0, BPS);
    /// How long a claim can be contested, in seconds. Copied into jobs.
    window_s: u32 = 30, (10, 604_800);
    /// Tokens a second that can be claimed without an acknowledgement, where a model has no rate of its own.
    /// Copied into jobs.
    rate: u32 = 2_000, (MIN_RATE.into(), MAX_RATE.into());
    /// How long acknowledgements of a job that is over can be redeemed, in seconds. Copied into jobs.
    close_window_s: u32 = 600, (30, 86_400);
    /// So many seconds of the rate can be claimed at once. Copied into jobs.
    burst_s: u32 = 300, (10, 3_600);
    /// Least tokens of a claim; no more than fit into the smallest bucket. Copied into jobs.
    min_claim: u32 = 100, (1, 1_000_000);
    /// Tokens the provider is paid for when the payer ends a job before anything was claimed. Copied into jobs.
    early_cancel_units: u32 = 0, (0, 10_000);
    /// Most open jobs of one payer with one provider.
    open_per_pair: u32 = 32, (1, 10_000);
    /// What each side of a dispute deposits, in basis points of the contested amount. Copied into jobs.
    dispute_bond_bps: u16 = 1_000, (100, BPS);
    /// How long a provider can answer a dispute, in seconds. Copied into jobs.
    dispute_respond_s: u32 = 86_400, (60, YEAR_S);
    /// How long there can be a verdict after the answer, in seconds. Copied into jobs.
    dispute_verdict_s: u32 = 259_200, (60, YEAR_S);
    /// What both deposits lose where there is no verdict, in basis points. Copied into jobs.
    bond_loss_no_verdict_bps: u16 = 2_000, (0, BPS);
    /// What proposing a model costs unless it is approved, in base units of the stake asset.
    proposal_fee: Amount = Amount::new(10u128.pow(20)), (1, MAX_AMOUNT);
    /// How long votes on a model are taken, in seconds.
    voting_s: u32 = 259_200, (60, YEAR_S);
    /// Votes that approve a model, in base units of the stake asset.
    approve_votes: Amount = Amount::new(10u128.pow(23)), (1, MAX_AMOUNT);
    /// Votes close to the end that extend the vote, in base units of the stake asset.
    late_votes: Amount = Amount::new(10u128.pow(22)), (1, MAX_AMOUNT);
    /// What is close to the end, in seconds.
    late_s: u32 = 14_400, (1, YEAR_S);
    /// By how much the vote is extended, in seconds.
    extend_s: u32 = 86_400, (1, YEAR_S);
    /// How long after its end a rejected model can't be proposed again, in seconds.
    repropose_s: u32 = 2_592_000, (0, YEAR_S);
    /// How long after the end of a proposal nobody finalized its votes are locked, in seconds.
    unlock_s: u32 = 604_800, (0, YEAR_S);
    /// In how many seconds of the market's time what is counted of providers halves.
    reputation_half_life_s: u32 = 2_592_000, (3_600, 10 * YEAR_S);
}
