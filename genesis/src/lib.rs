//! The chain spec: how people write down what a chain starts from, and how that becomes the
//! canonical genesis of `chain_core::genesis`, whose hash is the chain id.
//!
//! ```text
//! genesis.toml / genesis.json → ChainSpec → compile → Genesis → build → state and block 0
//!                               ChainSpec ← from_genesis ←┘
//! ```
//!
//! * [`ChainSpec`]: the human form, read strictly, printed stably.
//! * `compile`: every rule of the human form, all problems at once, each with its field's path.
//! * `ChainSpec::from_genesis`: what others are shown; compiles to the same chain id.
//! * [`notes`]: what is allowed but surprises.
//! * [`preset`]: ready specs for a devnet, a testnet and measurements.
//! * [`accounts`]: the file with a devnet's funded keys.
//!
//! Not here: the canonical bytes and their rules (chain-core), directories of a network and
//! validator keys (chain-node).

mod compile;
mod notes;
mod show;
mod spec;
mod text;

pub mod accounts;
pub mod preset;

#[cfg(test)]
mod tests;

pub use compile::Problem;
pub use notes::notes;
pub use spec::{AssetSpec, BalanceSpec, ChainSpec, Format, ParamTable, RoleSpec, SpecError, ValidatorSpec};
pub use text::{Scalar, format_time, parse_time};
