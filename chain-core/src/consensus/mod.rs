//! The agreement on blocks: single-height Simplex as a pure state machine,
//! `step(now, Input) -> Vec<Effect>`. It orders block ids and never opens a block.
//!
//! One instance per height, views inside it; view v is led by `ValidatorSet::leader`. Within the
//! fault bound no two blocks of one height become final, whatever is lost, late or repeated.
//!
//! | rule | when | then | tests |
//! |---|---|---|---|
//! | R1 | a view before v > current is notarized or nullified | v is current, its time runs; missing certificates are asked for | `propose::r1_*` |
//! | R2 | v is current and ours, nothing proposed in it yet | a notarized block followed by nullified views only: propose the newest such again, at once, even without its body. All earlier views nullified (and no such block, or its body not found for 10 s): once the block time has passed, build and propose. Else ask for what is missing. After a notarization wait 250 ms first | `propose::r2_*`, `traps::a_notarized_block_nobody_has_*` |
//! | R3 | the current view's leader proposed, justified, block valid and not from the future | notarize | `propose::r3_*`, `traces` |
//! | R5 | view v is notarized, its block valid | finalize, also when v is not current any more | `decide::r5_*`, `traces` |
//! | R6 | view v is nullified | as R1 | `decide::r6_*` |
//! | R7 | the current view's time is up, or it is hopeless; sooner if its leader seems to be off | nullify; then every second send again: own votes of the view, own finalize votes of the last 8, own proposal, the certificate that led here, `Status` | `decide::r7_*`, `answers::a_leader_that_is_off_*`, `traps::views_do_not_turn_*` |
//! | R8 | a block is finalized in any view | commit; after `Committed`: empty log, next height | `decide::r8_*` |
//! | R9 | a word of an earlier view, or of this height once decided | answer with what leads on, per peer once in 200 ms; never answer a certificate | `answers::r9_*` |
//! | R9 | certificates are asked for | send ours from that view on, at most 64 | `answers::r9_certificates_asked_for_*` |
//! | R9 | a word of one of the next two heights | keep it till then. Of the second, a later one, or of the next for a second: `Behind` | `answers::r9_messages_of_*`, `r9_what_is_kept_*`, `r9_others_*` |
//! | R9 | what no honest node sends | `Blame` | `answers::r9_only_*` |
//! | R10 | a certificate is news | keep it, pass it on once | `decide::r10_*` |
//! | R11 | two certificates exclude each other | keep both, stop at this height | `decide::r11_*` |
//! | B1 | our memory is gone (`wiped`) | sign nothing before height H + 2, H the first final one 10 s newer than our start | `barriers::b1_*` |
//! | B2 | a word of our own key that the record lacks | alarm; sign nothing up to the height after it, also after a restart | `barriers::b2_*` |
//! | B3 | the operator says so (`signing_from`) | B1, B2 and a log or file that is ahead count no more; decided heights do | `barriers::b3_*` |
//! | B4 | the log is ahead of the blocks | sign nothing up to its height; keep it till then | `barriers::a_log_*` |
//!
//! Every signature passes `safety`: one place, one record, restored from the log. "Then" always
//! includes: first the records, then what others see ([`Effect::is_visible`]). Why this is safe and
//! live: `docs/consensus.md`.
//!
//! The engine: `Machine::recover` with the head and the log's records; then every input through
//! `step`, and the effects in order. One sync per step, before the first visible effect, and only
//! if something was written. A crash may lose what was not synced, or its tail. Words of decided
//! heights are the engine's to answer, with the stored finalization.
//!
//! Invariants: (1) no two signed words of one node contradict each other, over any number of
//! crashes that lose unsynced records only; (2) whoever voted for a block has its body in the
//! log; (3) what is remembered is bounded by the set's size, by acts of quorums, and in bytes
//! where nothing is verified yet.
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

pub use crate::types::Evidence;
pub use event::ConsensusEvent;
pub use interface::{
    Config, Effect, HaltReason, Head, Input, Justification, Message, Now, Offence, Peer, Status, Verdict,
};
pub use machine::Machine;
pub use record::WalRecord;
