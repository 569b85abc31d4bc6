//! When things are due: new blocks, the end of a view, the look at a block from the future. Pure
//! arithmetic on the two clocks.
//!
//! The wall clock says when a block is due after its parent; the monotonic clock bounds the wait
//! by the same interval from our own commit, so a parent from the future cannot stop the chain.

use super::interface::{Head, Now};
use crate::limits::{
    EARLY_STEP_MS, EARLY_STEPS, FAST_VIEW_MS, FINAL_WAIT_MS, MAX_CLOCK_DRIFT_MS, MAX_VIEW_MS, VIEW_BASE_MS,
    VIEW_STEP_MS,
};
use crate::types::{TimestampMs, View};

/// A moment on the monotonic clock, in ms.
pub type Mono = u64;

/// The clock of one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The parent's timestamp.
    pub parent: TimestampMs,
    /// Least time between parent and child.
    pub block_time_ms: u64,
    /// The same while the pool has been empty since the height began.
    pub empty_block_interval_ms: u64,
    /// When the height began for us: at our commit of the parent (or our start), not before
    /// genesis time.
    pub since: Mono,
    /// Since when there has been something to put into a block.
    pub busy_since: Option<Mono>,
}

/// The clock of one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewClock {
    /// Which view.
    pub view: View,
    /// When it was entered.
    pub entered: Now,
    /// Whether the view before was notarized: its block may be about to become final.
    pub after_notarization: bool,
    /// Whether a block is known to be notarized, so that nobody waits for a new one.
    pub block_known: bool,
    /// When we asked for a block of our own.
    pub building_since: Option<Mono>,
    /// Whether the leader seems to be off (`heard`).
    pub leader_off: bool,
    /// Whether waiting is known to be useless.
    pub hopeless: bool,
}

impl Pacing {
    /// The clock of the height above `head`, together with its first moment.
    pub fn begin(head: &Head, now: Now, busy: bool) -> (Self, Now) {
        let start = match head.height.get() {
            0 => Now { wall: now.wall.max(head.timestamp), mono_ms: until(now, head.timestamp) },
            _ => now,
        };
        let pacing = Self {
            parent: head.timestamp,
            block_time_ms: head.block_time_ms,
            empty_block_interval_ms: head.empty_block_interval_ms,
            since: start.mono_ms,
            busy_since: busy.then_some(start.mono_ms),
        };
        (pacing, start)
    }

    /// The timestamp of a new block if one may be built now.
    ///
    /// # Errors
    /// When to look again.
    pub fn build(&self, now: Now) -> Result<TimestampMs, Mono> {
        let due = self.block_due(now);
        if due > now.mono_ms {
            return Err(due);
        }
        Ok(now.wall.max(self.earliest_timestamp()))
    }

    /// Whether a new block's timestamp is near enough to be voted for.
    ///
    /// # Errors
    /// When to look again.
    pub fn accept(&self, timestamp: TimestampMs, now: Now) -> Result<(), Mono> {
        let allowed_at = self.since.saturating_add(self.block_time_ms);
        let allowed = self.earliest_timestamp().saturating_add(MAX_CLOCK_DRIFT_MS);
        if timestamp <= now.wall.saturating_add(MAX_CLOCK_DRIFT_MS) {
            return Ok(());
        }
        let by_wall = until(now, timestamp.saturating_sub(MAX_CLOCK_DRIFT_MS));
        match timestamp <= allowed {
            true if now.mono_ms >= allowed_at => Ok(()),
            true => Err(by_wall.min(allowed_at)),
            false => Err(by_wall),
        }
    }

    /// When a view's time is up: a while after its block is due.
    pub fn deadline(&self, clock: &ViewClock) -> Mono {
        let view = u64::from(clock.view.get());
        let entered = clock.entered.mono_ms;
        let due = if clock.block_known { entered } else { self.block_due(clock.entered) };
        let start = due.max(self.busy_since.unwrap_or(0)).max(clock.building_since.unwrap_or(0)).max(entered);
        // Grows with the view in both cases: links slower than the first guess must not stop us.
        let base = match clock.leader_off {
            true => view.saturating_add(1).saturating_mul(FAST_VIEW_MS),
            false => view.saturating_mul(VIEW_STEP_MS).saturating_add(VIEW_BASE_MS),
        };
        let base = base.min(MAX_VIEW_MS);
        let wait = if clock.after_notarization { FINAL_WAIT_MS } else { 0 };
        let deadline = start.saturating_add(base + wait);
        match clock.hopeless {
            true => deadline.min(entered.saturating_add(EARLY_STEP_MS * view.min(EARLY_STEPS))),
            false => deadline,
        }
    }

    /// When, as seen at `now`, a new block is due; in the past if it is overdue.
    fn block_due(&self, now: Now) -> Mono {
        let interval = match self.busy_since {
            Some(_) => self.block_time_ms,
            None => self.empty_block_interval_ms.max(self.block_time_ms),
        };
        until(now, self.parent.saturating_add(interval)).min(self.since.saturating_add(interval))
    }

    fn earliest_timestamp(&self) -> TimestampMs {
        self.parent.saturating_add(self.block_time_ms)
    }
}

/// When the wall clock will show `moment`; now if it does already.
fn until(now: Now, moment: TimestampMs) -> Mono {
    now.mono_ms.saturating_add(moment.saturating_sub(now.wall.get()).get())
}
