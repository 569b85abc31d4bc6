//! The market's clock and its pause.
//!
//! 1. The clock advances with every block by the time since the block before, at most by `max_step_ms`, or twice
//!    the interval of empty blocks if that is longer: a chain that stood still must not kill every window and
//!    deadline.
//! 2. While the market is paused it stands still. Within a block everybody sees the same time.
//! 3. A pause ends by itself in the first block `pause_max_s` after it began, by block time. After the end
//!    of any pause there is none for `PAUSE_COOLDOWN_S` of block time.
//!
//! Not here: who may pause (the market family), what is stopped (the families).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::MARKET_PAUSED;
use crate::fault::{Failure, Fault};
use crate::limits::PAUSE_COOLDOWN_S;
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::table::{Rows, Table};
use crate::types::{AssetId, MarketMs, TimestampMs};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// The one row about the market as a whole.
pub const MARKET: Table<(), Market> = Table::new(30);

/// The market's time, and whether it is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Market {
    /// The asset that bonds and votes are made of.
    pub stake_asset: AssetId,
    /// The market's time.
    pub now: MarketMs,
    /// The block time at which it was that.
    pub at: TimestampMs,
    /// When the pause ends by itself, by block time; `None`: the market is not paused.
    pub paused_until: Option<TimestampMs>,
    /// From when on it can be paused again, by block time.
    pub pausable_from: TimestampMs,
}

impl Market {
    /// The market in a block of this time.
    pub fn in_block(self, timestamp: TimestampMs, params: &Params) -> Self {
        let step = timestamp.get().saturating_sub(self.at.get()).min(params.longest_step_ms());
        match self.paused_until {
            Some(until) if timestamp < until => Self { at: timestamp, ..self },
            // The time of this block still belongs to the pause.
            Some(until) => Self { at: timestamp, ..self.resumed(until) },
            None => Self { at: timestamp, now: self.now.saturating_add(step), ..self },
        }
    }

    /// Paused from now on.
    pub fn paused(self, params: &Params) -> Self {
        let until = self.at.saturating_add(u64::from(params.market.pause_max_s).saturating_mul(1_000));
        Self { paused_until: Some(until), ..self }
    }

    /// Not paused any more; the pause ended at this time.
    pub fn resumed(self, ended: TimestampMs) -> Self {
        let cooldown = u64::from(PAUSE_COOLDOWN_S).saturating_mul(1_000);
        Self { paused_until: None, pausable_from: ended.saturating_add(cooldown), ..self }
    }

    /// Refuses while the market is paused.
    pub fn check_open(&self) -> Result<(), Failure> {
        match self.paused_until {
            Some(until) => {
                Err(MARKET_PAUSED.because("a market that is open", format_args!("paused until {until}")).into())
            }
            None => Ok(()),
        }
    }
}

/// The market in a block of this time.
pub fn market(rows: &impl Rows, timestamp: TimestampMs, params: &Params) -> Result<Market, Fault> {
    Ok(stored(rows)?.in_block(timestamp, params))
}

/// The market as the last block left it.
pub fn stored(rows: &impl Rows) -> Result<Market, Fault> {
    MARKET.get(rows, &())?.ok_or_else(|| Fault::new("the state has no market"))
}

/// What a chain starts with.
pub fn found(overlay: &mut Overlay<'_>, stake_asset: AssetId, start: TimestampMs) {
    let (now, paused_until, pausable_from) = (MarketMs::ZERO, None, TimestampMs::ZERO);
    MARKET.put(overlay, &(), &Market { stake_asset, now, at: start, paused_until, pausable_from });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn start() -> Market {
        let (stake_asset, at) = (AssetId::new(1), TimestampMs::new(1_000_000));
        Market { stake_asset, now: MarketMs::new(5), at, paused_until: None, pausable_from: TimestampMs::ZERO }
    }

    #[test]
    fn an_hour_of_standstill_is_one_step() {
        let params = Params::default();
        let later = start().in_block(TimestampMs::new(1_000_000 + 3_600_000), &params);
        assert_eq!(later.now, MarketMs::new(10_005));
        assert_eq!(later.in_block(TimestampMs::new(4_602_000), &params).now, MarketMs::new(12_005));
        // Where empty blocks are rare, two of their intervals are no halt.
        let rare = Params { empty_block_interval_ms: 60_000, ..Params::default() };
        assert_eq!(start().in_block(TimestampMs::new(4_600_000), &rare).now, MarketMs::new(120_005));
        // Twice in one block is once.
        assert_eq!(later.in_block(later.at, &params), later);
    }

    #[test]
    fn a_pause_stops_the_clock_and_ends_by_itself() {
        let params = Params::default();
        let paused = start().paused(&params);
        let until = 1_000_000 + 604_800_000;
        let during = paused.in_block(TimestampMs::new(until - 1), &params);
        assert_eq!((during.now, during.paused_until), (MarketMs::new(5), Some(TimestampMs::new(until))));
        assert!(during.check_open().is_err());
        let after = during.in_block(TimestampMs::new(until + 7), &params);
        assert_eq!((after.now, after.paused_until), (MarketMs::new(5), None));
        assert_eq!(after.pausable_from, TimestampMs::new(until + 86_400_000));
        assert_eq!(after.in_block(TimestampMs::new(until + 9), &params).now, MarketMs::new(7));
    }
}
