//! Where checked transactions wait for a block.
//!
//! Not here: checking (`tx::stage`), executing (`execute`).

mod status;

pub use status::{DropReason, Status};
