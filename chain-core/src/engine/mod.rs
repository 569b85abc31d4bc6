//! The glue of the parts: `Engine::handle(now, Input) -> Outputs`.
//!
//! Not here: who performs the outputs (chain-node's driver, the simulator).

mod announce;

pub use announce::{Announcement, CommittedBlock};
