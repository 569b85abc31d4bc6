//! The set after an epoch, in other words than chain-core's, and what may not happen to it.
//!
//! Not here: who is admitted, ready, jailed, and with what stake (`seats`).

use super::*;

/// What is wanted of the set: of everybody who is known the weight, who comes first, who was convicted.
struct Wish {
    rule: QuorumRule,
    weights: Weights,
    since: BTreeMap<PublicKey, Height>,
    convicted: BTreeSet<PublicKey>,
}

impl Seats {
    /// An epoch is over: stake is weighed, the set moves, what nothing can be proven against any more is
    /// forgotten, and what unbonds begins to wait.
    pub(super) fn end_epoch(&mut self, now: Now, old: &ValidatorSet, next: &ValidatorSet) -> Verdict {
        let anybody = self.weigh();
        let old_weights = weights(old);
        let wanted = |(key, person): (&PublicKey, &Person)| match (anybody, person.is_active()) {
            (true, _) => (*key, person.target()),
            (false, true) => (*key, old_weights.get(key).copied().unwrap_or_default()),
            (false, false) => (*key, 0),
        };
        let wish = Wish {
            rule: self.rule,
            weights: self.people.iter().map(wanted).collect(),
            since: self.people.iter().map(|(key, person)| (*key, person.since)).collect(),
            convicted: self.convicted.clone(),
        };
        let planned = wish.plan(&old_weights);
        let (height, new) = (now.height, weights(next));
        let is_planned = new == planned && next.total_weight() > 0;
        must(Rule::Sets, is_planned, || format!("after {height} the set is {new:?}, planned {planned:?}"))?;
        check_budget(height, &old_weights, &new)?;
        wish.check_quorum(height, &old_weights, &new)?;
        wish.check_convicted(height, &new)?;
        self.forget(now, &new);
        self.close_batches(now, &new);
        if next != old {
            self.sets.insert(height.next(), next.clone());
        }
        Ok(())
    }

    /// Who is gone and has no seat that evidence could still be about.
    fn forget(&mut self, now: Now, next: &Weights) {
        let window = u64::from(self.book.params.evidence_window_blocks);
        let gone = self.people.iter().filter(|(_, person)| person.standing == Standing::Out);
        let gone = gone.map(|(key, _)| *key).filter(|key| {
            let last = (0..=now.height.get()).rev().take(window as usize);
            let had_a_seat = |height: u64| self.at(Height::new(height)).is_some_and(|set| set.index_of(key).is_some());
            !next.contains_key(key) && !last.into_iter().any(had_a_seat) && self.own_open(key) == 0
        });
        for key in gone.collect::<Vec<_>>() {
            self.people.remove(&key);
            self.close_of_nobody(now, &key);
        }
    }

    /// What unbonds begins to wait once the set gives no more weight than what is left.
    fn close_batches(&mut self, now: Now, next: &Weights) {
        let Some(stakes) = &mut self.stakes else { return };
        for (key, person) in &self.people {
            if next.get(key).copied().unwrap_or_default() <= person.target() {
                stakes.close(now, key, &self.book.params, false);
            }
        }
    }
}

impl Wish {
    fn target(&self, key: &PublicKey) -> u64 {
        self.weights.get(key).copied().unwrap_or_default()
    }

    /// Those who shall stay could decide alone before, so they can afterwards.
    fn check_quorum(&self, now: Height, old: &Weights, next: &Weights) -> Verdict {
        let (could, can) = (self.can_decide(old), self.can_decide(next));
        must(Rule::Sets, can || !could, || format!("after {now} no quorum is left of {next:?}"))
    }

    /// Traitors weigh less than what may leave at once, so a convicted one is out after its epoch, unless
    /// the others can't decide without it.
    fn check_convicted(&self, now: Height, next: &Weights) -> Verdict {
        let stays = next.keys().find(|key| {
            let others = next.iter().filter(|(other, _)| other != key).map(|(other, weight)| (*other, *weight));
            self.convicted.contains(*key) && self.can_decide(&others.collect())
        });
        must(Rule::Conviction, stays.is_none(), || format!("{stays:?} was convicted and has a seat after {now}"))
    }

    fn can_decide(&self, set: &Weights) -> bool {
        let able = set.iter().filter(|(key, _)| self.target(key) > 0).map(|(_, weight)| *weight);
        is_quorum(self.rule, able.sum(), set.values().sum())
    }

    /// The next set: who was convicted leaves first, all others move by the same part of their way, as far as
    /// a third of the old set bears; the rest of it goes in the order leavers, joiners, others, and by how long
    /// they have waited. Of fewer than four, one leaves or joins.
    fn plan(&self, old: &Weights) -> Weights {
        let mut set = old.clone();
        let weight_of = |set: &Weights, key: &PublicKey| set.get(key).copied().unwrap_or_default();
        let class = |key: &PublicKey| match (self.target(key), weight_of(old, key)) {
            (0, _) => u8::from(!self.convicted.contains(key)),
            (_, 0) => 2,
            _ => 3,
        };
        let mut order: Vec<&PublicKey> =
            self.weights.keys().filter(|key| self.target(key) != weight_of(old, key)).collect();
        order.sort_by_key(|key| (class(key), self.since[*key], **key));
        let (total, is_small) = (old.values().sum::<u64>(), old.len() < 4);
        let mut budget = total / 3;
        if is_small {
            let in_all = |(key, weight): (&PublicKey, &u64)| self.weights.get(key).copied().unwrap_or(*weight);
            let others: u64 = old.iter().map(in_all).sum();
            for key in order.iter().filter(|key| class(key) < 3) {
                let target = self.target(key);
                let fair = target * total.min(others + target) / (others + target).max(1);
                let most = fair.max(1).min(*old.values().max().unwrap());
                if self.go(&mut set, key, if target == 0 { 0 } else { most.min(target) }) {
                    return set;
                }
            }
            order.retain(|key| class(key) == 3);
            budget = budget.max(1);
        }
        for tier in [true, false] {
            let moves: Vec<_> = order.iter().filter(|key| (class(key) == 0) == tier).collect();
            let way = |key: &PublicKey| self.target(key).abs_diff(weight_of(old, key));
            let all: u64 = moves.iter().map(|key| way(key)).sum();
            let given = all.min(budget);
            let part = |key: &PublicKey| way(key) * given / all.max(1);
            let mut over = given - moves.iter().map(|key| part(key)).sum::<u64>();
            for key in moves {
                let (from, mut step) = (weight_of(&set, key), part(key));
                if over > 0 && step < way(key) {
                    (step, over) = (step + 1, over - 1);
                }
                let to = if self.target(key) > from { from + step } else { from - step };
                if step > 0 && self.go(&mut set, key, to) {
                    budget -= step;
                }
            }
        }
        set
    }

    /// Gives somebody a weight, unless that leaves nobody or takes the quorum from those who shall stay.
    fn go(&self, set: &mut Weights, key: &PublicKey, weight: u64) -> bool {
        let mut tried = set.clone();
        match weight {
            0 => tried.remove(key),
            weight => tried.insert(*key, weight),
        };
        let is_good = !tried.is_empty() && (self.can_decide(&tried) || !self.can_decide(set));
        if is_good {
            *set = tried;
        }
        is_good
    }
}

/// All changes of weights together are at most a third of the old set; of fewer than four, one changes, or all
/// by a third, or one unit.
fn check_budget(now: Height, old: &Weights, next: &Weights) -> Verdict {
    let keys = old.keys().chain(next.keys().filter(|key| !old.contains_key(key)));
    let moves = keys.map(|key| old.get(key).unwrap_or(&0).abs_diff(*next.get(key).unwrap_or(&0)));
    let moves: Vec<u64> = moves.filter(|moved| *moved > 0).collect();
    let holds = match old.len() {
        0..4 => moves.len() <= 1 || 3 * moves.iter().sum::<u64>() <= old.values().sum(),
        _ => 3 * moves.iter().sum::<u64>() <= old.values().sum(),
    };
    must(Rule::Sets, holds, || format!("after {now} weights {old:?} become {next:?}"))
}
