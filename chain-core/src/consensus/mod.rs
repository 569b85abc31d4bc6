//! The agreement on blocks: single-height Simplex as a pure state machine,
//! `step(now, Input) -> Vec<Effect>`. It orders block ids and never opens a block.
//!
//! One instance per height, views inside it; view v is led by `ValidatorSet::leader`. Within the
//! fault bound no two blocks of one height become final, whatever is lost, late or repeated.
//!
//! | rule | when | then |
//! |---|---|---|
//! | R1 | a view before v > current is notarized or nullified | v is current, its time runs |
//! | R2 | v is current and ours, nothing proposed in it yet | a notarized block followed by nullified views only: propose the newest such again. All earlier views nullified: once the block time has passed, build and propose. Else nothing. After a notarization wait 250 ms first |
//! | R3 | the current view's leader proposed, justified, block valid and not from the future | notarize |
//! | R5 | view v is notarized, its block valid | finalize, also when v is not current any more |
//! | R6 | view v is nullified | as R1 |
//! | R7 | the current view's time is up, or it is hopeless | nullify; then send own words again every second |
//! | R8 | a block is finalized in any view | commit; after `Committed`: empty log, next height |
//! | R10 | a certificate is news | keep it, pass it on once |
//! | R11 | two certificates exclude each other | keep both, stop at this height |
//!
//! Every signature passes `safety`: one place, one record, restored from the log. "Then" always
//! includes: first the records, then what others see ([`Effect::is_visible`]).
//!
//! The engine: `Machine::recover` with the head and the log's records; then every input through
//! `step`, and the effects in order. One sync per step, before the first visible effect, and only
//! if something was written. A crash may lose what was not synced, or its tail.
//!
//! Invariants: (1) no two signed words of one node contradict each other, over any number of
//! crashes that lose unsynced records only; (2) whoever voted for a block has its body in the
//! log; (3) what is remembered of a height is bounded by the set's size and by acts of quorums.
//!
//! Not here yet (many validators over a network): asking for missing certificates and blocks,
//! answering laggards (R9), buffering the next heights, `Status`, the fast path past dead leaders,
//! the sign-state file (`Config::barrier` is its place) and alarms about votes of our own key that
//! the log lacks, an operator's override.
//!
//! Never here: what a block contains, sockets, clocks, disks.

mod ahead;
mod answers;
mod barrier;
mod certificates;
mod event;
mod heard;
mod interface;
mod machine;
mod pacing;
mod record;
mod round;
mod rules;
mod safety;
mod tally;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;

pub use event::ConsensusEvent;
pub use interface::{
    Config, Effect, Evidence, HaltReason, Head, Input, Justification, Message, Now, Offence, Peer, Status, Verdict,
};
pub use machine::Machine;
pub use record::WalRecord;
