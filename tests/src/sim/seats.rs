//! Who has a seat at which height, in other words than chain-core's: books of the council and the set
//! that the referee keeps from the transactions of final blocks alone. What chain-core says must be the
//! same: the verdict on every transaction of an authority or a witness, and the set of every height.
//!
//! Not here: money, nonces, rows, roots (`check`), absence (no run is long enough for it).

use super::check::{Rule, Verdict, must};
use super::setting::{EPOCH_BLOCKS, PROPOSAL_TTL_MS, Setting, WINDOW_BLOCKS};
use chain_core::crypto::PublicKey;
use chain_core::tx::authority::{Action, Measure};
use chain_core::types::{ChainId, Evidence, Height, ProposalId, QuorumRule, Validator, ValidatorSet};
use std::collections::BTreeMap;

/// A member proposes no more with so many proposals open.
const MOST_OPEN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    In,
    Jailed,
    Out,
}

/// Somebody who was admitted once.
#[derive(Clone, Debug)]
struct Person {
    weight: u64,
    standing: Standing,
    ready: bool,
    since: Height,
    convicted: bool,
}

impl Person {
    fn target(&self) -> u64 {
        if self.standing == Standing::In && self.ready { self.weight } else { 0 }
    }

    fn becomes(&mut self, standing: Standing, now: Height) {
        (self.standing, self.ready, self.since) = (standing, false, now);
    }
}

/// An open proposal.
struct Open {
    by: PublicKey,
    measure: Measure,
    until_ms: u64,
    votes: BTreeMap<PublicKey, bool>,
}

type Weights = BTreeMap<PublicKey, u64>;

/// The books.
pub struct Seats {
    chain: ChainId,
    rule: QuorumRule,
    changes: bool,
    people: BTreeMap<PublicKey, Person>,
    open: BTreeMap<ProposalId, Open>,
    next: ProposalId,
    /// The sets from a height on.
    sets: BTreeMap<Height, ValidatorSet>,
    /// The height after the newest final one: the last whose set is known.
    known: Height,
}

impl Seats {
    /// At genesis.
    pub fn new(setting: &Setting) -> Self {
        let person =
            |weight| Person { weight, standing: Standing::In, ready: true, since: Height::ZERO, convicted: false };
        let people = setting.set.members().iter().map(|member| (member.public_key, person(member.weight)));
        Self {
            chain: setting.chain,
            rule: setting.genesis.quorum_rule,
            changes: setting.changes(),
            people: people.collect(),
            open: BTreeMap::new(),
            next: ProposalId::new(1),
            sets: BTreeMap::from([(Height::ZERO, setting.set.clone())]),
            known: Height::ZERO.next(),
        }
    }

    /// The set of a height, if it is decided already.
    pub fn at(&self, height: Height) -> Option<&ValidatorSet> {
        let (_, set) = self.sets.range(..=height).next_back()?;
        Some(set).filter(|_| height <= self.known)
    }

    /// The heights from which on another set signs, with it, ascending.
    pub fn changes(&self) -> impl Iterator<Item = (Height, &ValidatorSet)> {
        self.sets.iter().skip(1).map(|(height, set)| (*height, set))
    }

    /// Whether a key's owner was convicted.
    pub fn is_convicted(&self, key: &PublicKey) -> bool {
        self.people.get(key).is_some_and(|person| person.convicted)
    }

    /// All who were.
    pub fn convicted(&self) -> impl Iterator<Item = &PublicKey> {
        self.people.iter().filter(|(_, person)| person.convicted).map(|(key, _)| key)
    }

    /// A transaction of a block under way. Whether its action is carried out.
    pub fn hear(&mut self, (now, time_ms): (Height, u64), sender: PublicKey, action: &Action) -> bool {
        match action {
            Action::CouncilPropose { measure } => self.propose((now, time_ms), sender, measure),
            Action::CouncilVote { proposal, approve } => self.vote((now, time_ms), sender, (*proposal, *approve)),
            Action::ValidatorReady {} => self.ready(now, &sender),
            Action::EvidenceSubmit { evidence } => self.convict(now, evidence),
        }
    }

    fn council(&self) -> Vec<PublicKey> {
        let of = |may: &dyn Fn(&PublicKey, &Person) -> bool| -> Vec<PublicKey> {
            self.people.iter().filter(|(key, person)| may(key, person)).map(|(key, _)| *key).collect()
        };
        let signs = |key: &PublicKey| self.at(self.known).is_some_and(|set| set.index_of(key).is_some());
        let free = of(&|_, person| person.standing == Standing::In && person.ready);
        let innocent = of(&|key, person| signs(key) && !person.convicted);
        [free, innocent].into_iter().find(|some| !some.is_empty()).unwrap_or_else(|| of(&|key, _| signs(key)))
    }

    fn propose(&mut self, (now, time_ms): (Height, u64), by: PublicKey, measure: &Measure) -> bool {
        let own = self.open.values().filter(|open| open.by == by).count();
        if !self.council().contains(&by) || own >= MOST_OPEN || !self.is_possible(measure) {
            return false;
        }
        let (id, votes) = (self.next, BTreeMap::from([(by, true)]));
        self.next = id.saturating_add(1);
        self.open.insert(id, Open { by, measure: measure.clone(), until_ms: time_ms + PROPOSAL_TTL_MS, votes });
        self.tally(now, id);
        true
    }

    fn vote(&mut self, (now, time_ms): (Height, u64), by: PublicKey, (id, yes): (ProposalId, bool)) -> bool {
        let is_member = self.council().contains(&by);
        let Some(open) = self.open.get_mut(&id).filter(|_| is_member) else { return false };
        if time_ms >= open.until_ms || open.votes.contains_key(&by) {
            return false;
        }
        open.votes.insert(by, yes);
        self.tally(now, id);
        true
    }

    fn tally(&mut self, now: Height, id: ProposalId) {
        let (council, votes) = (self.council(), &self.open[&id].votes);
        let count = |yes: bool| council.iter().filter(|key| votes.get(key) == Some(&yes)).count();
        let (yes, no) = (count(true), count(false));
        if 3 * yes <= 2 * council.len() && 3 * no < council.len() {
            return;
        }
        let Some(open) = self.open.remove(&id) else { return };
        if 3 * yes > 2 * council.len() && self.is_possible(&open.measure) {
            self.enact(now, &open.measure);
        }
    }

    fn is_possible(&self, measure: &Measure) -> bool {
        let person = |key: &PublicKey| self.people.get(key);
        match measure {
            Measure::Add { public_key, .. } => {
                person(public_key).is_none_or(|person| person.standing == Standing::Out && !person.convicted)
            }
            Measure::Remove { public_key } => person(public_key).is_some_and(|person| person.standing != Standing::Out),
            Measure::Jail { public_key } => person(public_key).is_some_and(|person| person.standing == Standing::In),
            Measure::Unjail { public_key } => {
                person(public_key).is_some_and(|person| person.standing == Standing::Jailed && !person.convicted)
            }
            _ => false,
        }
    }

    fn enact(&mut self, now: Height, measure: &Measure) {
        if let Measure::Add { public_key, weight, .. } = measure {
            let new = Person { weight: *weight, standing: Standing::In, ready: false, since: now, convicted: false };
            self.people.insert(*public_key, new);
            return;
        }
        let (key, standing) = match measure {
            Measure::Remove { public_key } => (public_key, Standing::Out),
            Measure::Jail { public_key } => (public_key, Standing::Jailed),
            Measure::Unjail { public_key } => (public_key, Standing::In),
            _ => return,
        };
        if let Some(person) = self.people.get_mut(key) {
            person.becomes(standing, now);
        }
    }

    fn ready(&mut self, now: Height, key: &PublicKey) -> bool {
        match self.people.get_mut(key).filter(|person| person.standing == Standing::In && !person.ready) {
            Some(person) => {
                (person.ready, person.since) = (true, now);
                true
            }
            None => false,
        }
    }

    fn convict(&mut self, now: Height, evidence: &Evidence) -> bool {
        let (key, Ok(offence)) = (evidence.signer(), evidence.equivocation()) else { return false };
        let at = offence.height;
        let in_time = at <= now && at.get() + WINDOW_BLOCKS >= now.get();
        let had_a_seat = self.at(at).is_some_and(|set| set.index_of(&key).is_some());
        match self.people.get_mut(&key).filter(|person| in_time && had_a_seat && !person.convicted) {
            Some(person) => {
                let standing = if person.standing == Standing::Out { Standing::Out } else { Standing::Jailed };
                person.becomes(standing, now);
                person.convicted = true;
                true
            }
            None => false,
        }
    }

    /// A block is final; `next` is the set that chain-core has for the height after it.
    ///
    /// # Errors
    /// It is not the right one.
    pub fn end_block(&mut self, now: Height, time_ms: u64, next: ValidatorSet) -> Verdict {
        let over: Vec<_> = self.open.iter().filter(|(_, open)| time_ms >= open.until_ms).map(|(id, _)| *id).collect();
        for id in over {
            // Added up once more; what does not pass then is over.
            self.tally(now, id);
            self.open.remove(&id);
        }
        let Some(old) = self.at(now).cloned() else { return Ok(()) };
        self.known = now.next();
        let is_boundary = self.changes && now.get().is_multiple_of(EPOCH_BLOCKS);
        let planned = if is_boundary { self.plan(&weights(&old)) } else { weights(&old) };
        let is_planned = weights(&next) == planned && next.total_weight() > 0;
        must(Rule::Sets, is_planned, || format!("after {now} the set is {next:?}, planned {planned:?}"))?;
        if next != old {
            must(Rule::Sets, is_boundary, || format!("the set changes after {now}"))?;
            check_budget(now, &old, &next)?;
            self.check_quorum(now, &old, &next)?;
        }
        self.check_convicted(now, is_boundary, &next)?;
        if next != old {
            self.sets.insert(now.next(), next);
        }
        Ok(())
    }

    /// Whether a header's two sets are those of its height and of the next. After `end_block`.
    pub fn check_header(&self, header: &chain_core::block::Header) -> Verdict {
        let hash = |height: Height| self.at(height).map(|set| set.hash(&self.chain));
        let sets = (hash(header.height), hash(header.height.next()));
        let named = (Some(header.validators_hash), Some(header.next_validators_hash));
        must(Rule::Sets, sets == named, || format!("block {} names other sets", header.height))
    }

    /// Those who shall stay could decide alone before, so they can afterwards.
    fn check_quorum(&self, now: Height, old: &ValidatorSet, next: &ValidatorSet) -> Verdict {
        let could = self.can_decide(&weights(old));
        let can = self.can_decide(&weights(next));
        must(Rule::Sets, can || !could, || format!("after {now} no quorum is left of {next:?}"))
    }

    /// Traitors weigh less than what may leave at once, so a convicted one is out after its epoch, unless
    /// the others can't decide without it.
    fn check_convicted(&self, now: Height, is_boundary: bool, next: &ValidatorSet) -> Verdict {
        let next = weights(next);
        let stays = next.keys().find(|key| {
            let others = next.iter().filter(|(other, _)| other != key).map(|(other, weight)| (*other, *weight));
            self.is_convicted(key) && self.can_decide(&others.collect())
        });
        let holds = !is_boundary || stays.is_none();
        must(Rule::Conviction, holds, || format!("{stays:?} was convicted and has a seat after {now}"))
    }

    fn can_decide(&self, set: &Weights) -> bool {
        let able = set.iter().filter(|(key, _)| self.people.get(key).is_some_and(|person| person.target() > 0));
        let (able, total): (u64, u64) = (able.map(|(_, weight)| weight).sum(), set.values().sum());
        match self.rule {
            QuorumRule::Byzantine => 3 * able > 2 * total,
            QuorumRule::Crash => 2 * able > total,
        }
    }

    /// The next set: who was convicted leaves first, all others move by the same part of their way, as far as
    /// a third of the old set bears; the rest of it goes in the order leavers, joiners, others, and by how long
    /// they have waited. Of fewer than four, one leaves or joins.
    fn plan(&self, old: &Weights) -> Weights {
        let mut set = old.clone();
        let weight_of = |set: &Weights, key: &PublicKey| set.get(key).copied().unwrap_or_default();
        let class = |key: &PublicKey, person: &Person| match (person.target(), weight_of(old, key)) {
            (0, _) => u8::from(!person.convicted),
            (_, 0) => 2,
            _ => 3,
        };
        let mut order: Vec<_> = self.people.iter().filter(|(key, p)| p.target() != weight_of(old, key)).collect();
        order.sort_by_key(|(key, person)| (class(key, person), person.since, **key));
        let (total, is_small) = (old.values().sum::<u64>(), old.len() < 4);
        let mut budget = total / 3;
        if is_small {
            let in_all = |(key, weight): (&PublicKey, &u64)| self.people.get(key).map_or(*weight, Person::target);
            let others: u64 = old.iter().map(in_all).sum();
            for (key, person) in order.iter().filter(|(key, person)| class(key, person) < 3) {
                let fair = person.target() * total.min(others + person.target()) / (others + person.target()).max(1);
                let most = fair.max(1).min(*old.values().max().unwrap());
                if self.go(&mut set, key, if person.target() == 0 { 0 } else { most.min(person.target()) }) {
                    return set;
                }
            }
            order.retain(|(key, person)| class(key, person) == 3);
            budget = budget.max(1);
        }
        for tier in [true, false] {
            let moves: Vec<_> = order.iter().filter(|(key, person)| (class(key, person) == 0) == tier).collect();
            let way = |key: &PublicKey, person: &Person| person.target().abs_diff(weight_of(old, key));
            let all: u64 = moves.iter().map(|(key, person)| way(key, person)).sum();
            let given = all.min(budget);
            let part = |key: &PublicKey, person: &Person| way(key, person) * given / all.max(1);
            let mut over = given - moves.iter().map(|(key, person)| part(key, person)).sum::<u64>();
            for (key, person) in moves {
                let (from, mut step) = (weight_of(&set, key), part(key, person));
                if over > 0 && step < way(key, person) {
                    (step, over) = (step + 1, over - 1);
                }
                let to = if person.target() > from { from + step } else { from - step };
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

fn weights(set: &ValidatorSet) -> Weights {
    set.members().iter().map(|Validator { public_key, weight }| (*public_key, *weight)).collect()
}

/// All changes of weights together are at most a third of the old set; of fewer than four, one changes, or all
/// by a third, or one unit.
fn check_budget(now: Height, old: &ValidatorSet, next: &ValidatorSet) -> Verdict {
    let (old, next) = (weights(old), weights(next));
    let keys = old.keys().chain(next.keys().filter(|key| !old.contains_key(key)));
    let moves = keys.map(|key| old.get(key).unwrap_or(&0).abs_diff(*next.get(key).unwrap_or(&0)));
    let moves: Vec<u64> = moves.filter(|moved| *moved > 0).collect();
    let holds = match old.len() {
        0..4 => moves.len() <= 1 || 3 * moves.iter().sum::<u64>() <= old.values().sum(),
        _ => 3 * moves.iter().sum::<u64>() <= old.values().sum(),
    };
    must(Rule::Sets, holds, || format!("after {now} weights {old:?} become {next:?}"))
}
