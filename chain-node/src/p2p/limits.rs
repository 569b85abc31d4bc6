//! What one peer may cost us: rates, queue sizes, deadlines, lengths of bans.
//!
//! Not here: the longest frame of a lane (`chain_core::limits`).

use chain_core::limits::{MAX_FRAME_BYTES, MAX_URGENT_FRAME_BYTES};
use chain_core::wire::Lane;
use std::time::Duration;

/// A validator of the current set may send this many times what a stranger may.
pub const VALIDATOR_FACTOR: u32 = 8;

/// How fast a peer may send on one lane.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Frames per second.
    pub frames: u32,
    /// Bytes per second.
    pub bytes: u32,
    /// Seconds' worth of both that may come at once.
    pub burst_s: u32,
}

/// What one peer may cost us.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time for opening the streams and greeting; half of it for strangers that dialled us.
    pub greeting: Duration,
    /// A frame that is under way for longer than this, plus a second for every `slowest_bytes` of
    /// it that have come or gone, ends the connection; so do 64 KiB of it that take longer than this.
    pub stall: Duration,
    /// Bytes per second below which a connection is of no use.
    pub slowest_bytes: u32,
    /// What frames longer than 64 KiB may hold of memory, until the node has taken them, of all peers
    /// together that came to us and have no place reserved. At least the longest frame.
    pub strangers_bytes: usize,
    /// Whoever keeps sending more frames than allowed for so long floods us.
    pub flood_after: Duration,
    /// Most frames in one queue to a peer.
    pub queue_frames: usize,
    /// Most bytes in the urgent queue to a peer.
    pub urgent_queue_bytes: usize,
    /// Most bytes in the bulk queue to a peer.
    pub bulk_queue_bytes: usize,
    /// Votes, certificates, proposals.
    pub urgent: Rate,
    /// Questions and answers.
    pub bulk: Rate,
    /// Frames of transactions; what is beyond is not looked at and not passed on.
    pub gossip: Rate,
    /// How long a peer is shut out for what it did.
    pub ban: Duration,
    /// How long a peer of another chain or version is left alone.
    pub stranger: Duration,
    /// First wait before a lost peer is dialled again.
    pub redial_min: Duration,
    /// Longest wait before a lost peer is dialled again.
    pub redial_max: Duration,
}

impl Limits {
    /// The bound of a lane's queue, in bytes.
    pub fn queue_bytes(&self, lane: Lane) -> usize {
        match lane {
            Lane::Urgent => self.urgent_queue_bytes,
            Lane::Bulk => self.bulk_queue_bytes,
        }
    }

    /// The rate of a lane.
    pub fn rate(&self, lane: Lane) -> Rate {
        match lane {
            Lane::Urgent => self.urgent,
            Lane::Bulk => self.bulk,
        }
    }

    /// How long a frame may be under way when so many of its bytes are through.
    pub fn patience(&self, bytes: usize) -> Duration {
        let seconds = bytes as f64 / f64::from(self.slowest_bytes.max(1));
        self.stall + Duration::from_secs_f64(seconds)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            slowest_bytes: 128 * 1024,
            strangers_bytes: 4 * (MAX_FRAME_BYTES + MAX_URGENT_FRAME_BYTES),
            flood_after: Duration::from_secs(5),
            queue_frames: 4096,
            urgent_queue_bytes: 2 * MAX_URGENT_FRAME_BYTES,
            bulk_queue_bytes: MAX_FRAME_BYTES + MAX_FRAME_BYTES / 2,
            urgent: Rate { frames: 500, bytes: 16 << 20, burst_s: 4 },
            bulk: Rate { frames: 100, bytes: 64 << 20, burst_s: 4 },
            gossip: Rate { frames: 1000, bytes: 16 << 20, burst_s: 4 },
            ban: Duration::from_secs(600),
            stranger: Duration::from_secs(60),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(30),
        }
    }
}
