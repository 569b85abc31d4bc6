//! The facts of a block that rules depend on.
//!
//! Not here: the market's time, which is in the state.

use super::params::Params;
use crate::types::{Height, TimestampMs};

/// When something happens, and under which parameters.
#[derive(Clone, Copy, Debug)]
pub struct Now<'p> {
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub timestamp: TimestampMs,
    /// The parameters the block is under.
    pub params: &'p Params,
}

impl Now<'_> {
    /// The first block that may be under a change of the rules that passes now.
    pub fn earliest(&self) -> Height {
        self.height.saturating_add(self.params.delay_blocks.into()).next()
    }
}
