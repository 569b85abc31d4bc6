//! The agreement on blocks: a pure state machine, `step(now, Input) -> Effects`.
//!
//! Not here: what a block contains, sockets, clocks, disks.

mod event;

pub use event::ConsensusEvent;
