//! Up to which height nothing is signed, and why.
//!
//! Heights end up below it because they are decided, or because an earlier life of this node, or
//! a second instance with the same key, may have signed at them what our record does not hold.
//! Only the operator lifts the second kind, never the first ([`Config::signing_from`]).
//!
//! Not here: what the record says about heights above (`safety`).

use super::interface::{Config, Head, Now};
use super::record::WalRecord;
use crate::limits::WIPED_WAIT_MS;
use crate::types::{Height, TimestampMs};

/// The barrier of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barrier {
    committed: Height,
    /// At or below it somebody may have signed what we don't know of.
    blocked: Height,
    /// A node without memory waits for a final block that is clearly newer than this: its start, and the
    /// blocks that others had by then, for the chain's time can be ahead of the clock.
    waiting_since: Option<TimestampMs>,
    /// The operator's word.
    signing_from: Option<Height>,
}

impl Barrier {
    /// Nothing is known but the last committed height.
    pub fn at(committed: Height) -> Self {
        Self { committed, ..Self::default() }
    }

    /// The barrier at a start: the sign-state file, a log that is ahead of the blocks, alarms an
    /// earlier life wrote down, and the wait of a node without memory.
    pub fn at_start(config: &Config, head: &Head, log: &[WalRecord], now: Now) -> Self {
        let ahead = furthest_logged(head, log);
        let alarm = log.iter().filter(|record| matches!(record, WalRecord::Barrier(_))).map(WalRecord::height).max();
        Self {
            blocked: config.barrier.max(ahead).max(alarm.unwrap_or_default()),
            waiting_since: config.wiped.then_some(now.wall.max(head.timestamp)),
            signing_from: config.signing_from,
            ..Self::at(head.height)
        }
    }

    /// Nothing is signed at or below this height; [`Height::MAX`] while a node without memory
    /// waits.
    pub fn height(&self) -> Height {
        let blocked = if self.is_waiting() { Height::MAX } else { self.blocked };
        let lifted = self.signing_from.map_or(Height::MAX, |from| from.saturating_sub(1));
        self.committed.max(blocked.min(lifted))
    }

    /// The last decided height.
    pub fn committed(&self) -> Height {
        self.committed
    }

    /// The part that later lives must know of, if it reaches `height`.
    pub fn to_remember(&self, height: Height) -> Option<Height> {
        Some(self.blocked).filter(|blocked| *blocked >= height)
    }

    /// Since when a node without memory waits, if it still does.
    pub fn waiting_since(&self) -> Option<TimestampMs> {
        self.waiting_since
    }

    /// Whether a node without memory still waits.
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// The memory turns out to be too old: as if there were none.
    pub fn wait_since(&mut self, now: TimestampMs) {
        self.waiting_since.get_or_insert(now);
    }

    /// A block is final. One clearly newer than our start ends the wait: it was proposed after our
    /// earlier life ended, so that life signed nothing above it; one more height for good measure. One
    /// that was fetched while others had more still is from before, whatever its timestamp says.
    pub fn commit(&mut self, height: Height, timestamp: TimestampMs, fetched: bool) {
        self.committed = self.committed.max(height);
        if let Some(since) = self.waiting_since.as_mut().filter(|_| fetched) {
            *since = timestamp.max(*since);
        } else if self.waiting_since.is_some_and(|start| timestamp > start.saturating_add(WIPED_WAIT_MS)) {
            self.waiting_since = None;
            self.blocked = self.blocked.max(height.next());
        }
    }

    /// Somebody else signed with our key at this height. Whether that raises the barrier.
    pub fn own_key_used(&mut self, height: Height) -> bool {
        let raised = height.next() > self.blocked;
        self.blocked = self.blocked.max(height.next());
        raised
    }
}

/// The greatest height above the one to be decided at which the log holds something: that many
/// blocks were lost. Zero if there is none.
pub fn furthest_logged(head: &Head, log: &[WalRecord]) -> Height {
    let words = log.iter().filter(|record| !matches!(record, WalRecord::Barrier(_)));
    words.map(WalRecord::height).filter(|height| *height > head.height.next()).max().unwrap_or_default()
}
