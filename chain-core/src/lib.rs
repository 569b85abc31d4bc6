//! The chain as a library. Read the modules in the order they are declared: that is the order
//! of dependency, and the way of the data:
//!
//! ```text
//! bytes → decoded → checked → pooled → proposed → voted → executed → stored → announced
//! ```
//!
//! Not here: sockets, clocks, threads, configuration (chain-node), JSON shapes of the
//! interfaces (chain-rpc), the chain spec (genesis).

pub mod limits;
mod mutation;
pub mod codec;
pub mod crypto;
pub mod types;
pub mod fault;
pub mod storage;
pub mod state;
pub mod tx;
pub mod block;
pub mod execute;
pub mod genesis;
pub mod light;
pub mod ledger;
pub mod mempool;
pub mod consensus;
pub mod wire;
pub mod engine;
#[doc(hidden)]
pub mod testing;

pub use fault::{Failure, Fault};
