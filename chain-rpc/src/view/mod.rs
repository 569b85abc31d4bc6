//! The JSON shapes of parameters and answers, the same in JSON-RPC, REST, subscriptions and the
//! typed client. Amounts and 64-bit numbers are decimal strings, hashes `0x` and lower-case hex,
//! times unix ms beside RFC 3339.
//!
//! Not here: what is asked of the node (`api`), errors (`errors`).

mod account;
mod authority;
mod block;
mod market;
mod market_dispute;
mod market_job;
mod market_post;
mod market_provider;
mod market_receipt;
mod market_reputation;
mod node;
mod proof;
mod staking;
mod text;
mod tx;

pub use account::*;
pub use authority::*;
pub use block::*;
pub use market::*;
pub use market_dispute::*;
pub use market_job::*;
pub use market_post::*;
pub use market_provider::*;
pub use market_receipt::*;
pub use market_reputation::*;
pub use node::*;
pub use proof::*;
pub use staking::*;
pub use text::*;
pub use tx::*;
