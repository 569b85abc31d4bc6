//! Who is connected, and how much each may be answered.
//!
//! Not here: connections themselves (chain-node), who is behind (`sync`).

use crate::consensus::Peer;
use crate::crypto::PublicKey;
use crate::limits::ANSWER_INTERVAL_MS;
use crate::types::ValidatorSet;
use std::collections::BTreeMap;

/// The connected nodes. Bounded by the transport's number of connections.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<Peer, Known>,
    /// When any node that is no validator was given a block under decision.
    others_served_ms: Option<u64>,
    /// When each validator was told everything again.
    told_ms: BTreeMap<PublicKey, Option<u64>>,
}

#[derive(Debug)]
struct Known {
    /// The key it has proven to hold; anybody can hold some key.
    key: Option<PublicKey>,
    /// Whether that is a validator of the set.
    member: bool,
    answered_ms: Option<u64>,
    compared_ms: Option<u64>,
    served_ms: Option<u64>,
}

impl Peers {
    pub(super) fn join(&mut self, peer: Peer, key: Option<PublicKey>, set: &ValidatorSet) -> bool {
        let member = is_member(key, set);
        let known = Known { key, member, answered_ms: None, compared_ms: None, served_ms: None };
        self.known.insert(peer, known);
        member
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.known.remove(&peer);
    }

    /// The set has changed.
    pub(super) fn learn(&mut self, set: &ValidatorSet) {
        for known in self.known.values_mut() {
            known.member = is_member(known.key, set);
        }
        self.told_ms.retain(|key, _| set.index_of(key).is_some());
    }

    pub(super) fn all(&self) -> Vec<Peer> {
        self.known.keys().copied().collect()
    }

    /// Whom to ask for a block, in this order: the holder of a key, validators of the set, all others.
    /// With a turn of its own each node begins at another validator, so that not all ask the same one.
    pub(super) fn by_trust(&self, first: &PublicKey, turn: usize) -> Vec<Peer> {
        let holds = |known: &Known| known.key.as_ref() == Some(first);
        let peers = |wanted: &dyn Fn(&Known) -> bool| -> Vec<Peer> {
            self.known.iter().filter(|(_, known)| wanted(known)).map(|(peer, _)| *peer).collect()
        };
        let mut members = peers(&|known| known.member && !holds(known));
        let turn = turn.checked_rem(members.len()).unwrap_or(0);
        members.rotate_left(turn);
        [peers(&holds), members, peers(&|known| !known.member && !holds(known))].concat()
    }

    /// Those with a key: validators of this set or of one of the next.
    pub(super) fn validators(&self) -> Vec<Peer> {
        self.known.iter().filter(|(_, known)| known.key.is_some()).map(|(peer, _)| *peer).collect()
    }

    pub(super) fn is(&self, peer: Peer, key: &PublicKey) -> bool {
        self.known.get(&peer).is_some_and(|known| known.key.as_ref() == Some(key))
    }

    /// Whether a word about the past may be answered now: each peer's is, but not all the time.
    pub(super) fn may_answer(&mut self, peer: Peer, now_ms: u64) -> bool {
        self.known.get_mut(&peer).is_some_and(|known| is_due(&mut known.answered_ms, now_ms))
    }

    /// The same for certificates of the past that contradict ours, which are verified.
    pub(super) fn may_compare(&mut self, peer: Peer, now_ms: u64) -> bool {
        self.known.get_mut(&peer).is_some_and(|known| is_due(&mut known.compared_ms, now_ms))
    }

    /// The same for blocks of the height being decided, which are large: validators each, all others
    /// together.
    pub(super) fn may_serve(&mut self, peer: Peer, now_ms: u64) -> bool {
        match self.known.get_mut(&peer) {
            Some(known) if known.member => is_due(&mut known.served_ms, now_ms),
            Some(_) => is_due(&mut self.others_served_ms, now_ms),
            None => false,
        }
    }

    /// Whether a validator that has just connected may be told everything again.
    pub(super) fn may_tell(&mut self, key: PublicKey, now_ms: u64) -> bool {
        is_due(self.told_ms.entry(key).or_default(), now_ms)
    }
}

fn is_due(last: &mut Option<u64>, now_ms: u64) -> bool {
    let due = last.is_none_or(|last| now_ms.saturating_sub(last) >= ANSWER_INTERVAL_MS);
    if due {
        *last = Some(now_ms);
    }
    due
}

fn is_member(key: Option<PublicKey>, set: &ValidatorSet) -> bool {
    key.is_some_and(|key| set.index_of(&key).is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::key;
    use crate::types::Validator;

    const A: Peer = Peer(1);
    const B: Peer = Peer(2);
    const C: Peer = Peer(3);

    fn set(seed: u8) -> ValidatorSet {
        ValidatorSet::new(vec![Validator { public_key: key(seed).public(), weight: 1 }]).unwrap()
    }

    /// A follower, somebody with a key of no weight, and the validator.
    fn three() -> Peers {
        let mut peers = Peers::default();
        assert!(!peers.join(A, None, &set(9)));
        assert!(!peers.join(B, Some(key(8).public()), &set(9)));
        assert!(peers.join(C, Some(key(9).public()), &set(9)));
        peers
    }

    #[test]
    fn validators_of_the_set_are_asked_first_and_votes_go_to_all_with_a_key() {
        let mut peers = three();
        let nobody = key(7).public();
        assert_eq!(
            (peers.by_trust(&nobody, 0), peers.all(), peers.validators()),
            (vec![C, A, B], vec![A, B, C], vec![B, C])
        );
        peers.learn(&set(8));
        assert_eq!((peers.by_trust(&nobody, 0), peers.validators()), (vec![B, A, C], vec![B, C]));
        peers.leave(B);
        assert_eq!((peers.by_trust(&nobody, 0), peers.validators()), (vec![A, C], vec![C]));
    }

    #[test]
    fn whom_to_ask_first_is_the_one_named_and_then_everybody_begins_elsewhere() {
        let mut peers = three();
        let both = [8, 9].map(|seed| Validator { public_key: key(seed).public(), weight: 1 });
        peers.learn(&ValidatorSet::new(both.to_vec()).unwrap());
        let nobody = key(7).public();
        assert_eq!(peers.by_trust(&key(9).public(), 0), [C, B, A]);
        assert_eq!(peers.by_trust(&key(8).public(), 5), [B, C, A]);
        assert_eq!((peers.by_trust(&nobody, 0), peers.by_trust(&nobody, 3)), (vec![B, C, A], vec![C, B, A]));
    }

    #[test]
    fn who_somebody_is_only_its_own_key_tells() {
        let peers = three();
        assert!(peers.is(B, &key(8).public()) && peers.is(C, &key(9).public()));
        assert!(!peers.is(A, &key(9).public()) && !peers.is(B, &key(9).public()) && !peers.is(C, &key(8).public()));
        assert!(!peers.is(Peer(99), &key(9).public()));
    }

    #[test]
    fn each_peer_is_answered_and_served_once_in_a_while() {
        let mut peers = three();
        for at in [0, ANSWER_INTERVAL_MS, 5 * ANSWER_INTERVAL_MS] {
            assert!(peers.may_answer(A, at) && peers.may_compare(A, at) && peers.may_serve(A, at), "each by itself");
            assert!(!peers.may_answer(A, at + ANSWER_INTERVAL_MS - 1) && !peers.may_serve(A, at));
            assert!(peers.may_answer(B, at) && peers.may_compare(B, at), "and each peer");
            assert!(!peers.may_serve(B, at), "who is no validator shares with all others");
            assert!(peers.may_serve(C, at) && !peers.may_serve(C, at), "a validator does not");
            assert!(peers.may_tell(key(9).public(), at) && !peers.may_tell(key(9).public(), at));
        }
        assert!(!peers.may_answer(Peer(99), 0) && !peers.may_serve(Peer(99), 0), "nobody is not answered");
    }
}
