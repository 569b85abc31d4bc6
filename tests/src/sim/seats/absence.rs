//! Jails: by vote, for absence, and of those who left, in other words than chain-core's.
//!
//! Not here: those who were convicted (`seats`).

use super::*;

impl Seats {
    /// Whether somebody is jailed, or will be as soon as it comes back.
    pub(super) fn is_jailed(&self, key: &PublicKey) -> bool {
        self.fled.contains(key) || self.people.get(key).is_some_and(|person| person.standing == Standing::Jailed)
    }

    /// Whether somebody is there, or may come back without being asked: in mode `pos` whoever ever bonded.
    pub(super) fn can_come_back(&self, key: &PublicKey) -> bool {
        let has_bonded = self.stakes.as_ref().is_some_and(|stakes| stakes.knows(key));
        let is_there = self.people.get(key).is_some_and(|person| person.standing != Standing::Out);
        is_there || (self.mode() == ConsensusMode::Pos && has_bonded)
    }

    /// A vote says how somebody stands. Of those who are away it says only how they will.
    pub(super) fn judge(&mut self, now: Height, key: &PublicKey, standing: Standing) {
        if standing == Standing::In && self.fled.remove(key) {
            return;
        }
        match self.people.get_mut(key).filter(|person| person.standing != Standing::Out) {
            Some(person) => {
                person.becomes(standing, now);
                person.absence = 0;
            }
            None => {
                self.fled.insert(*key);
                self.away += 1;
            }
        }
    }

    /// Whoever led a view before the block's at its height missed a turn; who built it did not. In mode `pos`
    /// also who left and signs still.
    pub(super) fn count_turns(&mut self, now: Height, view: View, proposer: &PublicKey) {
        if let Some(person) = self.people.get_mut(proposer) {
            person.absence = person.absence.saturating_sub(1);
        }
        let Some(set) = self.at(now).cloned() else { return };
        let missed = (0..view.get()).map(|view| set.leader(now, View::new(view)).public_key);
        let missed: BTreeSet<PublicKey> = missed.filter(|key| key != proposer).collect();
        let members = weights(&set);
        let those = |may: &dyn Fn(&Person) -> bool| -> Weights {
            let some = members.iter().filter(|(key, _)| self.people.get(key).is_some_and(may));
            some.map(|(key, weight)| (*key, *weight)).collect()
        };
        let mut stay = those(&|person| person.target() > 0);
        if stay.is_empty() {
            stay = those(&Person::is_active);
        }
        for key in missed {
            self.miss(now, &key, &mut stay, set.total_weight());
        }
    }

    fn miss(&mut self, now: Height, key: &PublicKey, stay: &mut Weights, total: u64) {
        let limit = self.book.params.absence_jail_turns;
        let may_return = self.mode() == ConsensusMode::Pos && !self.convicted.contains(key) && !self.fled.contains(key);
        let Some(person) = self.people.get_mut(key) else { return };
        if person.standing == Standing::Jailed || (person.standing == Standing::Out && !may_return) {
            return;
        }
        person.absence = limit.min(person.absence + 1);
        if person.absence < limit {
            return;
        }
        let others: u64 = stay.iter().filter(|(other, _)| *other != key).map(|(_, weight)| *weight).sum();
        if person.standing == Standing::Out {
            self.fled.insert(*key);
            self.away += 1;
        } else if is_quorum(self.rule, others, total) {
            person.becomes(Standing::Jailed, now);
            stay.remove(key);
        } else {
            return;
        }
        person.absence = 0;
        self.absentees.push(*key);
    }
}
