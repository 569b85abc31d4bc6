//! Transactions and the network: which of our own are told again and when, and what a frame of gossip
//! is worth to others.
//!
//! Not here: how gossip travels (`p2p`), what becomes of a transaction (the engine).

use crate::driver::Verdicts;
use crate::p2p::GossipVerdict;
use chain_core::engine::Submitted;
use chain_core::limits::MAX_GOSSIP_ROUNDS;
use chain_core::mempool::Status;
use chain_core::tx::{NONCE_TOO_LOW, UNKNOWN_ACTION, UNKNOWN_VERSION};
use chain_core::types::{Rejected, TxId, WireId};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// When an own transaction that still waits is told again.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// When, once it has been told in every round: later than the network remembers equal frames, for 60 s.
const TELL_SELDOM: Duration = Duration::from_secs(75);
/// How often to look what is due.
pub const LOOK: Duration = Duration::from_millis(100);
/// Transactions looked at then; the pool is locked meanwhile, and most of them are final.
const LOOKED_AT: usize = 4_000;
/// Bytes told again then: about a megabyte in a second.
const BYTES_AGAIN: usize = 128 * 1024;
/// A transaction that was told again is passed on again only after this time.
const PASS_AGAIN: Duration = Duration::from_millis(2_500);
/// Rejections below this number are about the form: no honest node passes such bytes on.
const FORM_REJECTIONS: u16 = 14;

/// Own transactions that wait for a block: what was submitted here, and what the pool held at the
/// start. Bounded by the pool: what has left it is forgotten at its next turn.
#[derive(Default)]
pub struct Told {
    /// By when they are told next; how often they were.
    turns: BTreeMap<(Instant, TxId), u32>,
    known: HashSet<TxId>,
}

impl Told {
    /// These were told just now, or should have been.
    pub fn remember(&mut self, ids: impl IntoIterator<Item = TxId>, now: Instant) {
        for id in ids {
            if self.known.insert(id) {
                self.turns.insert((now + TELL_AGAIN, id), 0);
            }
        }
    }

    /// What is to be told now, by round; it has its next turn later. `waiting` finds what still waits.
    pub fn due(&mut self, waiting: impl Fn(&TxId) -> Option<Vec<u8>>, now: Instant) -> BTreeMap<u32, Vec<Vec<u8>>> {
        let (mut again, mut bytes): (BTreeMap<u32, Vec<Vec<u8>>>, _) = (BTreeMap::new(), 0);
        for _ in 0..LOOKED_AT {
            if bytes >= BYTES_AGAIN {
                break;
            }
            let Some(first) = self.turns.first_entry().filter(|first| first.key().0 <= now) else { break };
            let ((_, id), times) = first.remove_entry();
            let Some(transaction) = waiting(&id) else {
                self.known.remove(&id);
                continue;
            };
            bytes += transaction.len();
            // By the time a round comes again nobody remembers its bytes.
            let round = times % MAX_GOSSIP_ROUNDS + 1;
            again.entry(round).or_default().push(transaction);
            let pause = if times < MAX_GOSSIP_ROUNDS { TELL_AGAIN } else { TELL_SELDOM };
            self.turns.insert((now + pause, id), times.saturating_add(1));
        }
        again
    }
}

/// What others told again lately.
#[derive(Default)]
pub struct Passed {
    order: VecDeque<(Instant, WireId)>,
    known: HashSet<WireId>,
}

impl Passed {
    fn tidy(&mut self, now: Instant) {
        while let Some((at, id)) = self.order.front().copied()
            && now.saturating_duration_since(at) >= PASS_AGAIN
        {
            self.order.pop_front();
            self.known.remove(&id);
        }
    }

    fn note(&mut self, id: WireId, now: Instant) {
        if self.known.insert(id) {
            self.order.push_back((now, id));
        }
    }

    /// What becomes of a frame whose transactions have these lengths and verdicts. It is passed on if
    /// it brought something new, or mostly what waits here too and was not passed on again lately:
    /// somewhere it may be missing. What only repeats what is final costs its sender.
    pub fn judge(&mut self, round: u32, lengths: &[usize], verdicts: &Verdicts, now: Instant) -> GossipVerdict {
        if verdicts.iter().any(|verdict| verdict.as_ref().is_err_and(is_malformed)) {
            return GossipVerdict::Reject;
        }
        if verdicts.iter().any(|verdict| verdict.as_ref().is_ok_and(|taken| taken.new)) {
            return GossipVerdict::Accept;
        }
        self.tidy(now);
        let waits = |status: &Status| matches!(status, Status::Pending | Status::Queued);
        let mut again = Vec::new();
        for (verdict, length) in verdicts.iter().zip(lengths) {
            if let Ok(taken) = verdict
                && waits(&taken.status)
                && !self.known.contains(&taken.wire_id)
            {
                again.push((taken.wire_id, *length));
            }
        }
        let (fresh, all): (usize, usize) = (again.iter().map(|(_, length)| length).sum(), lengths.iter().sum());
        if round > 0 && fresh.saturating_mul(2) >= all {
            again.into_iter().for_each(|(id, _)| self.note(id, now));
            return GossipVerdict::Accept;
        }
        let is_old = |rejected: &Rejected| *rejected.rejection == NONCE_TOO_LOW;
        // What waits may have reached us in another frame: whoever passes it on can't know.
        let is_final = |taken: &Submitted| matches!(taken.status, Status::Final { .. });
        match verdicts.iter().all(|verdict| verdict.as_ref().map_or_else(is_old, is_final)) {
            true => GossipVerdict::Useless,
            false => GossipVerdict::Ignore,
        }
    }
}

/// Whether no honest node passes it on. A newer version may know more versions and actions.
fn is_malformed(rejected: &Rejected) -> bool {
    let newer = [UNKNOWN_VERSION, UNKNOWN_ACTION].contains(rejected.rejection);
    rejected.rejection.number < FORM_REJECTIONS && !newer
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::crypto::Hash;
    use chain_core::tx::{BAD_SIGNATURE, POOL_FULL};
    use chain_core::types::Height;

    fn id(n: u8) -> TxId {
        TxId(Hash([n; 32]))
    }

    fn taken(n: u8, status: Status, new: bool) -> Result<Submitted, Rejected> {
        Ok(Submitted { tx_id: id(n), wire_id: WireId(Hash([n; 32])), status, new })
    }

    fn judge(passed: &mut Passed, round: u32, verdicts: Verdicts, now: Instant) -> GossipVerdict {
        let lengths = vec![200; verdicts.len()];
        passed.judge(round, &lengths, &verdicts, now)
    }

    #[test]
    fn only_what_brings_something_is_passed_on() {
        use GossipVerdict::*;
        let (mut passed, now) = (Passed::default(), Instant::now());
        let is_final = || taken(9, Status::Final { height: Height::new(1), index: 0 }, false);
        let known = || taken(1, Status::Pending, false);
        let used = || Err(NONCE_TOO_LOW.plain());
        for (verdicts, wanted) in [
            (vec![taken(2, Status::Pending, true), is_final(), used()], Accept),
            (vec![is_final(), used()], Useless),
            (vec![known(), used()], Ignore),
            (vec![Err(POOL_FULL.plain()), used()], Ignore),
            (vec![taken(2, Status::Pending, true), Err(BAD_SIGNATURE.plain())], Reject),
            (vec![Err(UNKNOWN_VERSION.plain()), Err(UNKNOWN_ACTION.plain())], Ignore),
        ] {
            assert_eq!(judge(&mut passed, 0, verdicts.clone(), now), wanted, "{verdicts:?}");
        }
    }

    #[test]
    fn what_waits_is_passed_on_again_once_in_a_while() {
        use GossipVerdict::*;
        let (mut passed, now) = (Passed::default(), Instant::now());
        let waits = |n| taken(n, Status::Pending, false);
        assert_eq!(judge(&mut passed, 1, vec![waits(1), waits(2)], now), Accept);
        for round in 0..=MAX_GOSSIP_ROUNDS {
            assert_eq!(judge(&mut passed, round, vec![waits(2), waits(1)], now), Ignore, "round {round}");
        }
        let used = || Err(NONCE_TOO_LOW.plain());
        assert_eq!(judge(&mut passed, 1, vec![waits(3), used(), used()], now), Ignore, "mostly old");
        assert_eq!(judge(&mut passed, 1, vec![waits(3), waits(1)], now), Accept);
        assert_eq!(judge(&mut passed, 2, vec![waits(1), waits(2)], now + PASS_AGAIN), Accept);
        assert!(passed.order.len() == 2 && passed.known.len() == 2, "what is over is forgotten");
    }

    #[test]
    fn own_transactions_are_told_until_they_wait_no_more() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.remember((0..3).map(id), start);
        told.remember((0..3).map(id), start + TELL_AGAIN / 2);
        let all = |_: &TxId| Some(vec![7; 200]);
        assert!(told.due(all, start).is_empty(), "just told");
        let mut now = start;
        for times in 0..40 {
            now += if times <= MAX_GOSSIP_ROUNDS { TELL_AGAIN } else { TELL_SELDOM };
            let due = told.due(all, now);
            assert_eq!(due.keys().copied().collect::<Vec<_>>(), [times % MAX_GOSSIP_ROUNDS + 1]);
            assert_eq!(due.values().map(Vec::len).sum::<usize>(), 3);
            assert!(told.due(all, now).is_empty());
        }
        assert!(told.due(|_| None, now + TELL_SELDOM).is_empty());
        assert!(told.turns.is_empty() && told.known.is_empty(), "what is final is forgotten");
    }

    #[test]
    fn however_many_there_are_all_have_their_turn_and_never_all_at_once() {
        let (mut told, start) = (Told::default(), Instant::now());
        let many = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            TxId(Hash(bytes))
        };
        told.remember((0..20_000).map(many), start);
        let (mut count, now) = (0, start + TELL_AGAIN);
        loop {
            let due = told.due(|_| Some(vec![7; 200]), now);
            let batch = due.values().map(Vec::len).sum::<usize>();
            assert!(batch * 200 <= BYTES_AGAIN + 200);
            count += batch;
            if batch == 0 {
                break;
            }
        }
        assert_eq!(count, 20_000);
    }
}
