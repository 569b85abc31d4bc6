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
        if next != old {
            self.sets.insert(height.next(), next.clone());
        }
        self.forget(now, &new);
        self.close_batches(now, &new);
        Ok(())
    }

    /// What is too old to be proven is forgotten, and of who is gone everything once nothing can be.
    fn forget(&mut self, now: Now, next: &Weights) {
        let all = self.people.iter().filter(|(_, person)| person.look.is_none());
        for (key, is_out) in all.map(|(key, person)| (*key, person.standing == Standing::Out)).collect::<Vec<_>>() {
            match is_out && !next.contains_key(&key) {
                true => self.let_go(now, &key),
                false => self.forget_seats(now.height, &key),
            }
        }
    }

    /// What unbonds begins to wait once the set gives no more weight than what is left.
    fn close_batches(&mut self, now: Now, next: &Weights) {
        let Some(stakes) = &mut self.stakes else { return };
        for (key, person) in self.people.iter().filter(|(_, person)| person.look.is_none()) {
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
    /// a third of the old set bears. Of fewer than four, one leaves or joins; those who stay move by what that
    /// leaves of the third.
    fn plan(&self, old: &Weights) -> Weights {
        let mut set = old.clone();
        let weight_of = |key: &PublicKey| old.get(key).copied().unwrap_or_default();
        let class = |key: &PublicKey| match (self.target(key), weight_of(key)) {
            (0, _) => u8::from(!self.convicted.contains(key)),
            (_, 0) => 2,
            _ => 3,
        };
        let mut order: Vec<&PublicKey> = self.weights.keys().filter(|key| self.target(key) != weight_of(key)).collect();
        order.sort_by_key(|key| (class(key), self.since[*key], **key));
        let mut budget = old.values().sum::<u64>() / 3;
        if old.len() < 4 {
            let first = order.iter().filter(|key| class(key) < 3).find_map(|key| self.one(&mut set, old, key));
            budget = first.map_or(budget.max(1), |moved| budget.saturating_sub(moved));
            order.retain(|key| class(key) == 3);
        }
        for tier in [true, false] {
            let moves: Vec<&PublicKey> = order.iter().filter(|key| (class(key) == 0) == tier).copied().collect();
            for (key, step) in self.shares(old, &moves, budget) {
                let to = if self.target(key) > weight_of(key) { weight_of(key) + step } else { weight_of(key) - step };
                if step > 0 && self.go(&mut set, key, to) {
                    budget -= step;
                }
            }
        }
        set
    }

    /// One of few leaves, or joins with no more than the heaviest has nor than is fair: how much that moved.
    fn one(&self, set: &mut Weights, old: &Weights, key: &PublicKey) -> Option<u64> {
        let (total, target) = (old.values().sum::<u64>(), self.target(key));
        let in_all = |(key, weight): (&PublicKey, &u64)| self.weights.get(key).copied().unwrap_or(*weight);
        let all = old.iter().map(in_all).sum::<u64>() + target;
        let fair = target * total.min(all) / all.max(1);
        let most = fair.max(1).min(*old.values().max().unwrap()).min(target);
        self.go(set, key, most).then(|| most.abs_diff(old.get(key).copied().unwrap_or_default()))
    }

    /// How far each of these goes: the same part of its way, rounded down, and one unit more for those of whom
    /// that cut off most, as long as there are units.
    fn shares<'k>(&self, old: &Weights, moves: &[&'k PublicKey], budget: u64) -> Vec<(&'k PublicKey, u64)> {
        let way = |key: &PublicKey| self.target(key).abs_diff(old.get(key).copied().unwrap_or_default());
        let all: u64 = moves.iter().map(|key| way(key)).sum();
        let given = all.min(budget);
        let mut steps: Vec<_> = moves.iter().map(|key| (*key, way(key) * given / all)).collect();
        for _ in steps.iter().map(|(_, step)| step).sum::<u64>()..given {
            // What is missing, in parts of `all`; of equals the first.
            let missing = |(key, step): (&PublicKey, u64)| (way(key) * given) as i128 - (step * all) as i128;
            let most = steps.iter().map(|(key, step)| missing((key, *step))).max();
            let worst = steps.iter_mut().find(|(key, step)| Some(missing((key, *step))) == most);
            worst.into_iter().for_each(|(_, step)| *step += 1);
        }
        steps
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

/// All changes of weights together are at most a third of the old set; of fewer than four, one comes or goes
/// whole, then others change at most as far as all together weigh a third; or all by a third, or one unit.
fn check_budget(now: Height, old: &Weights, next: &Weights) -> Verdict {
    let keys: BTreeSet<&PublicKey> = old.keys().chain(next.keys()).collect();
    let weight = |set: &Weights, key: &PublicKey| set.get(key).copied().unwrap_or_default();
    let moved = |key: &&PublicKey| weight(old, key).abs_diff(weight(next, key));
    let comes_or_goes = |key: &&PublicKey| old.contains_key(key) != next.contains_key(key);
    let (sum, third) = (keys.iter().map(moved).sum::<u64>(), old.values().sum::<u64>() / 3);
    let one: u64 = keys.iter().filter(|key| comes_or_goes(key)).map(moved).sum();
    let holds = match (old.len(), keys.iter().filter(|key| comes_or_goes(key)).count()) {
        (4.., _) => sum <= third,
        (_, 0) => sum <= third.max(1),
        (_, 1) => sum <= third.max(one),
        _ => false,
    };
    must(Rule::Sets, holds, || format!("after {now} weights {old:?} become {next:?}"))
}
