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

    /// Another set decides from `height` on: forgets who is no member any more, and gives newcomers the time
    /// of everybody who was heard just now. They had nothing to say before.
    pub fn change(&mut self, old: &ValidatorSet, new: &ValidatorSet, height: Height) {
        self.last.retain(|signer, _| new.index_of(signer).is_some());
        let joined = new.members().iter().filter(|member| old.index_of(&member.public_key).is_none());
        self.last.extend(joined.map(|member| (member.public_key, height)));
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
    use crate::crypto::SecretKey;
    use crate::types::Validator;

    fn set(seeds: std::ops::RangeInclusive<u8>) -> ValidatorSet {
        let member = |seed| Validator { public_key: SecretKey::from_seed(&[seed; 32]).public(), weight: 1 };
        let mut members: Vec<_> = seeds.map(member).collect();
        members.sort_by_key(|member| member.public_key);
        ValidatorSet::new(members).unwrap()
    }

    #[test]
    fn who_joins_has_the_time_of_those_who_were_heard() {
        let [silent, newcomer] = [1, 9].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let (old, new) = (set(1..=8), set(1..=9));
        let mut heard = Heard::since(Height::ZERO);
        let at = Height::new(20);
        old.members().iter().filter(|m| m.public_key != silent).for_each(|m| heard.note(m.public_key, at));
        let off = |heard: &Heard, leader, height| {
            heard.is_off(&leader, None, Height::new(height), QuorumRule::Byzantine, &new)
        };
        assert!(off(&heard, newcomer, 21), "without being told of it");
        heard.change(&old, &new, Height::new(21));
        assert!(off(&heard, silent, 21) && !off(&heard, newcomer, 21));
        let late = 22 + FAST_WINDOW_HEIGHTS;
        old.members().iter().for_each(|m| heard.note(m.public_key, Height::new(late)));
        assert!(off(&heard, newcomer, late), "not for long");
        heard.change(&new, &set(2..=9), Height::new(late));
        assert!(!heard.last.contains_key(&silent));
    }
}
