//! Those who left: they take nobody's place, what unbonds from them begins to wait, and nothing is kept of them
//! once nothing can be proven; in other words than chain-core's.
//!
//! Not here: newcomers for whom there is no room (there is: 256 places).

use super::*;
use chain_core::state::validators::{JAILED_AWAY, VALIDATORS, roster};

impl Seats {
    /// Who is looked at after this block.
    pub(super) fn due(&self, now: Height) -> Vec<PublicKey> {
        let due = self.people.iter().filter(|(_, person)| person.look.is_some_and(|look| look <= now));
        due.map(|(key, _)| *key).collect()
    }

    /// What unbonds from those begins to wait.
    pub(super) fn close_of_those(&mut self, now: Now, keys: &[PublicKey]) {
        let Some(stakes) = &mut self.stakes else { return };
        keys.iter().for_each(|key| stakes.close(now, key, &self.book.params, false));
    }

    /// The last height somebody signed that can still be proven.
    fn last_seat(&self, now: Height, key: &PublicKey) -> Option<Height> {
        let forgotten = self.people.get(key)?.forgotten;
        let heights = (forgotten.get() + 1..=now.get()).rev().map(Height::new);
        heights.into_iter().find(|height| self.has_seat(key, *height))
    }

    /// What somebody signed before it left is forgotten once it is too old to be proven.
    pub(super) fn forget_seats(&mut self, now: Height, key: &PublicKey) {
        let window = u64::from(self.book.params.evidence_window_blocks);
        let old = (1..=now.get().saturating_sub(window)).rev().map(Height::new);
        let over = old.into_iter().find(|last| self.has_seat(key, *last) && !self.has_seat(key, last.next()));
        if let (Some(person), Some(last)) = (self.people.get_mut(key), over) {
            person.forgotten = person.forgotten.max(last);
        }
    }

    /// Somebody left and has no seat any more: nothing is kept of it if nothing can be proven and no proposal
    /// of it is open. Else it is looked at in the next block, then as often as a batch may be closed, but not
    /// later than when its last seat is too old.
    pub(super) fn let_go(&mut self, now: Now, key: &PublicKey) {
        self.forget_seats(now.height, key);
        let (params, last) = (&self.book.params, self.last_seat(now.height, key));
        if last.is_none() && self.own_open(key) == 0 {
            self.people.remove(key);
            self.close_of_nobody(now, key);
            return;
        }
        let (pause, window) = (stakes::pause(params), u64::from(params.evidence_window_blocks));
        let Some(person) = self.people.get_mut(key) else { return };
        let turn = now.height.get() + if person.look.is_none() { 1 } else { pause };
        let too_old = last.map_or(turn, |last| last.get() + window);
        person.look = Some(Height::new(turn.min(too_old)));
    }

    /// What the state says of everybody is what these books say.
    pub(super) fn compare_people(&self, now: Height, tree: &Tree) -> Verdict {
        let broken = |fault: Fault| Violation { rule: Rule::Sets, what: fault.to_string() };
        for key in &self.keys {
            let row = VALIDATORS.get(tree, key).map_err(broken)?;
            let person = self.people.get(key);
            let other = || format!("after {now} the record of {key} is {row:?}, not {person:?}");
            let known = row.as_ref().map(|row| row.retired);
            must(Rule::Sets, known == person.map(|person| person.look), other)?;
            let state = |row: &validators::ValidatorRecord| {
                (row.absence, matches!(row.standing, validators::Standing::Jailed(_)))
            };
            let (row, book) = (row.as_ref().map(state), person.map(|p| (p.absence, p.standing == Standing::Jailed)));
            let other = || format!("after {now} absence and jail of {key} are {row:?}, not {book:?}");
            must(Rule::Absence, row == book, other)?;
            let (waits, fled) = (JAILED_AWAY.get(tree, key).map_err(broken)?.is_some(), self.fled.contains(key));
            must(Rule::Absence, waits == fled, || format!("after {now} a jail waits for {key}: {waits}, not {fled}"))?;
        }
        let places = self.people.iter().filter(|(_, person)| person.look.is_none()).map(|(key, _)| *key);
        let (found, places) = (roster(tree).map_err(broken)?, places.collect::<Vec<_>>());
        must(Rule::Sets, found == places, || format!("after {now} places are taken by {found:?}, not {places:?}"))
    }
}
