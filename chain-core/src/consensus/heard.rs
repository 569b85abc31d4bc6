//! Who has been heard of lately: the turn of a leader that is off is cut short.
//!
//! Memory: one height per member of the set.

use crate::crypto::PublicKey;
use crate::limits::FAST_WINDOW_HEIGHTS;
use crate::mutation::{Mutation, on};
use crate::types::{Height, QuorumRule, ValidatorSet};
use std::collections::BTreeMap;

/// Who has been heard of since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The height that was being decided at the start.
    start: Height,
    /// The height we were deciding when we last heard a signed word of theirs.
    last: BTreeMap<PublicKey, Height>,
}

impl Heard {
    /// Nobody yet.
    pub fn since(start: Height) -> Self {
        Self { start, last: BTreeMap::new() }
    }

    /// A member's vote or proposal with a right signature came while `height` was being decided.
    pub fn note(&mut self, signer: PublicKey, height: Height) {
        self.last.insert(signer, height);
    }

    /// Whether a word of this member was heard while `height` was being decided.
    pub fn at(&self, signer: &PublicKey, height: Height) -> bool {
        self.last.get(signer) == Some(&height)
    }

    /// Another set decides above `head`: forgets who is no member any more. Whoever has just joined could
    /// not be heard before, so it counts as heard of now.
    pub fn change_set(&mut self, head: Height, (old, new): (&ValidatorSet, &ValidatorSet)) {
        self.last.retain(|signer, _| new.index_of(signer).is_some());
        let joined = new.members().iter().filter(|member| old.index_of(&member.public_key).is_none());
        self.last.extend(joined.map(|member| (member.public_key, head)));
    }

    /// Whether a leader seems to be off: over the last decided heights and this one we, `own`
    /// included, heard a quorum but nothing from it. After a start that takes as many heights.
    pub fn is_off(
        &self,
        leader: &PublicKey,
        own: Option<PublicKey>,
        height: Height,
        rule: QuorumRule,
        set: &ValidatorSet,
    ) -> bool {
        let first = height.saturating_sub(FAST_WINDOW_HEIGHTS);
        let lately =
            |key: &PublicKey| own.as_ref() == Some(key) || self.last.get(key).is_some_and(|last| *last >= first);
        if on(Mutation::EverybodySeemsOff) {
            return true;
        }
        if first < self.start || lately(leader) {
            return false;
        }
        let heard = set.members().iter().filter(|member| lately(&member.public_key)).map(|member| member.weight).sum();
        rule.is_quorum(heard, set.total_weight())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{key, members};

    #[test]
    fn who_has_just_joined_is_not_off_until_it_could_have_been_heard() {
        let set = |seeds: &[u8]| ValidatorSet::new(members(seeds)).unwrap();
        let (old, new) = (set(&[1, 2, 3, 4]), set(&[1, 2, 3, 5]));
        let own = Some(key(1).public());
        let is_off = |heard: &Heard, seed: u8, height: u64| {
            heard.is_off(&key(seed).public(), own, Height::new(height), QuorumRule::Byzantine, &new)
        };
        let mut heard = Heard::since(Height::new(1));
        let hear = |heard: &mut Heard, height: u64| {
            [2, 3].into_iter().for_each(|seed| heard.note(key(seed).public(), Height::new(height)));
        };
        (1..=20).for_each(|height| hear(&mut heard, height));
        heard.note(key(4).public(), Height::new(20));
        heard.change_set(Height::new(20), (&old, &new));
        assert!(!is_off(&heard, 5, 21), "nobody could have heard it");
        heard.change_set(Height::new(20), (&new, &old));
        assert!(is_off(&heard, 5, 21) && !heard.at(&key(5).public(), Height::new(20)), "it has left");
        heard.change_set(Height::new(20), (&old, &new));
        let silent = 21 + FAST_WINDOW_HEIGHTS;
        (21..=silent).for_each(|height| hear(&mut heard, height));
        assert!(is_off(&heard, 5, silent) && !is_off(&heard, 2, silent), "it had its chance");
    }
}
