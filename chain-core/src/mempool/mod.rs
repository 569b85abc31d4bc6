//! Where checked transactions wait for a block.
//!
//! ```text
//! checked ──insert──► queued ◄──gap closes / opens──► pending ──candidates──► a block
//!                        └───────────── dropped, with a reason ◄──┘
//! ```
//!
//! 1. An account's transactions stand in its **lane**, by nonce. Those without a gap from the
//!    account's nonce on are **pending**: they can be executed in that order. All others are
//!    **queued** and wait for the gap to close. Nothing else can be wrong with a pooled
//!    transaction: policy, terms and fee are right on the head, or it isn't pooled.
//! 2. A payer's balance covers the fees of all pooled transactions it pays for.
//! 3. The pool has one order (`order`): pending above queued, then by **rank** — the least fee per
//!    weight in the lane up to there, since nobody gets a transaction without its predecessors —
//!    then by age. Blocks are filled from its top and room is made from its bottom. Within a lane
//!    it is the order of nonces.
//! 4. A full pool drops what ranks strictly below a newcomer, and only once it is clear that this
//!    makes enough room. A queued newcomer never displaces a pending transaction.
//! 5. A transaction that was pending once is **acknowledged**: its sender was told that a crash
//!    won't lose it. The pool does no I/O; it says what to log (`Effects::to_log`), and
//!    `Pool::durable` says what a log must hold. It ends in a block or is dropped with a reason.
//! 6. Only what a block touched is judged again after it: lanes and payers whose accounts changed,
//!    and what expires. When parameters change, everything.
//! 7. Same inputs, same results: nothing iterates a hash map.
//!
//! Not here: checking (`tx::stage`), executing (`execute`), the log and the answers (`engine`).

mod admit;
mod block;
mod candidates;
mod dropped;
mod index;
mod order;
mod pool;
mod status;
#[cfg(test)]
mod tests;

pub use block::changed_accounts;
pub use candidates::Candidates;
pub use pool::{ChainView, Effects, Inserted, Pool, PoolLimits};
pub use status::{DropReason, Status};
