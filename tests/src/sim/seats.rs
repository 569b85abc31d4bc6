//! Who has a seat at which height, in other words than chain-core's: books of the council, the stakes, the
//! turns that were missed and the set, which the referee keeps from final blocks alone. What chain-core says
//! must be the same: the verdict on every transaction of an authority, a witness or a staker, the rules in
//! force, who is jailed, every stake, and the set of every height.
//!
//! Not here: the parts of the books (`rules`, `stakes`), other money, nonces, rows, roots (`check`).

mod absence;
mod epoch;
mod farewell;

use super::check::{Rule, Verdict, Violation, must};
use super::rules::Book;
use super::setting::Setting;
use super::stakes::{self, Now, Stakes};
use chain_core::block::Header;
use chain_core::crypto::PublicKey;
use chain_core::fault::Fault;
use chain_core::genesis::ConsensusMode;
use chain_core::state::protocol::protocol;
use chain_core::state::validators;
use chain_core::state::{PARAMS, Tree};
use chain_core::tx::authority::{Action, Measure};
use chain_core::tx::{self, Event, staking};
use chain_core::types::{Address, ChainId, Evidence, Height, ProposalId, QuorumRule, Validator, ValidatorSet, View};
use std::collections::{BTreeMap, BTreeSet};

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
    /// One up for each height with a missed turn, one down for each block built.
    absence: u32,
    /// What it signed up to here can't be proven any more.
    forgotten: Height,
    /// It left and has no place any more: the block after which it is looked at again.
    look: Option<Height>,
}

impl Person {
    /// Newly admitted; what it did before, it did.
    fn admitted(weight: u64, since: Height, before: Option<&Self>) -> Self {
        let forgotten = before.map_or(since, |before| before.forgotten);
        Self { weight, standing: Standing::In, ready: false, since, absence: 0, forgotten, look: None }
    }

    fn is_active(&self) -> bool {
        self.standing == Standing::In && self.ready
    }

    fn target(&self) -> u64 {
        if self.is_active() { self.weight } else { 0 }
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
    /// Of who is gone nothing is kept once nothing can be proven against it, …
    people: BTreeMap<PublicKey, Person>,
    /// … but that it was convicted, …
    convicted: BTreeSet<PublicKey>,
    /// … or that it is jailed as soon as it comes back.
    fled: BTreeSet<PublicKey>,
    open: BTreeMap<ProposalId, Open>,
    next: ProposalId,
    book: Book,
    stakes: Option<Stakes>,
    /// Who was jailed for absence, and how often.
    absentees: Vec<PublicKey>,
    /// How many actions with stake were carried out.
    staked: u64,
    /// How many offences cost stake that had left before the one that was known.
    older: u64,
    /// How many came back who had lost their places, and were not forgotten.
    returns: u64,
    /// How many were jailed while they were away.
    away: u64,
    /// All who have, had or may get a seat.
    keys: Vec<PublicKey>,
    /// The sets from a height on.
    sets: BTreeMap<Height, ValidatorSet>,
    /// The height after the newest final one: the last whose set is known.
    known: Height,
    /// From which height on another version of the rules is in force.
    upgraded: Option<Height>,
}

impl Seats {
    /// At genesis.
    pub fn new(setting: &Setting) -> Self {
        let person = |weight| Person { ready: true, ..Person::admitted(weight, Height::ZERO, None) };
        let people = setting.set.members().iter().map(|member| (member.public_key, person(member.weight)));
        Self {
            chain: setting.chain,
            rule: setting.genesis.quorum_rule,
            changes: setting.changes(),
            people: people.collect(),
            convicted: BTreeSet::new(),
            fled: BTreeSet::new(),
            open: BTreeMap::new(),
            next: ProposalId::new(1),
            book: Book::new(setting.genesis.params.clone()),
            stakes: Stakes::new(&setting.genesis),
            absentees: Vec::new(),
            staked: 0,
            older: 0,
            returns: 0,
            away: 0,
            keys: setting.keys.iter().map(|key| key.public()).collect(),
            sets: BTreeMap::from([(Height::ZERO, setting.set.clone())]),
            known: Height::ZERO.next(),
            upgraded: None,
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

    /// The rules the next block is under.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// From which height on only newer software may sign, once that is in force.
    pub fn upgraded(&self) -> Option<Height> {
        self.upgraded
    }

    /// Whether a key's owner was convicted.
    pub fn is_convicted(&self, key: &PublicKey) -> bool {
        self.convicted.contains(key)
    }

    /// All who were.
    pub fn convicted(&self) -> impl Iterator<Item = &PublicKey> {
        self.convicted.iter()
    }

    /// Whose conviction cost stake.
    pub fn slashed(&self) -> usize {
        let stakes = self.stakes.iter();
        stakes.map(|stakes| self.convicted.iter().filter(|key| stakes.is_slashed(key)).count()).sum()
    }

    /// Who was jailed because it was absent, in order.
    pub fn absentees(&self) -> &[PublicKey] {
        &self.absentees
    }

    /// How many of them are in the set again.
    pub fn returned(&self) -> usize {
        let has_a_seat = |key: &&PublicKey| self.at(self.known).is_some_and(|set| set.index_of(key).is_some());
        let is_free = |key: &&PublicKey| self.people.get(key).is_some_and(Person::is_active);
        self.absentees.iter().filter(has_a_seat).filter(is_free).count()
    }

    /// How many actions with stake were carried out.
    pub fn staked(&self) -> u64 {
        self.staked
    }

    /// How many offences cost stake that had left before the one that was known.
    pub fn older(&self) -> u64 {
        self.older
    }

    /// How many came back who had lost their places, and were not forgotten.
    pub fn returns(&self) -> u64 {
        self.returns
    }

    /// How many were jailed while they were away.
    pub fn away(&self) -> u64 {
        self.away
    }

    fn has_seat(&self, key: &PublicKey, height: Height) -> bool {
        self.at(height).is_some_and(|set| set.index_of(key).is_some())
    }

    fn mode(&self) -> ConsensusMode {
        self.stakes.as_ref().map_or(ConsensusMode::Poa, |stakes| stakes.mode)
    }

    /// A transaction of a block under way. Whether its action is carried out; nothing if these books do not
    /// say.
    pub fn hear(&mut self, now: Now, sender: Address, action: &tx::Action) -> Option<bool> {
        let key = PublicKey(*sender.as_bytes());
        let (height, time_ms) = (now.height, now.time_ms);
        Some(match action {
            tx::Action::Authority(Action::CouncilPropose { measure }) => self.propose((height, time_ms), key, measure),
            tx::Action::Authority(Action::CouncilVote { proposal, approve }) => {
                self.vote((height, time_ms), key, (*proposal, *approve))
            }
            tx::Action::Authority(Action::ValidatorReady {}) => self.ready(height, &key),
            tx::Action::Authority(Action::EvidenceSubmit { evidence }) => self.convict(now, evidence, sender),
            tx::Action::Staking(staking::Action::RewardWithdraw { .. }) => return None,
            tx::Action::Staking(action) => {
                let is_done = self.stake(now, sender, action);
                self.staked += u64::from(is_done);
                is_done
            }
            _ => return None,
        })
    }

    /// Who votes, and what each vote weighs.
    fn council(&self) -> Weights {
        let set = self.at(self.known).map(weights).unwrap_or_default();
        let by_weight = self.mode() == ConsensusMode::Pos;
        let of = |may: &dyn Fn(&PublicKey, &Person) -> bool| -> Weights {
            let some = self.people.iter().filter(|(key, person)| may(key, person));
            let weight = |key| if by_weight { set.get(key).copied().unwrap_or_default() } else { 1 };
            some.map(|(key, _)| (*key, weight(key))).filter(|(_, weight)| *weight > 0).collect()
        };
        let signs = |key: &PublicKey| set.contains_key(key);
        let free = of(&|_, person| person.is_active());
        let innocent = of(&|key, _| signs(key) && !self.is_convicted(key));
        [free, innocent].into_iter().find(|some| !some.is_empty()).unwrap_or_else(|| of(&|key, _| signs(key)))
    }

    fn own_open(&self, key: &PublicKey) -> usize {
        self.open.values().filter(|open| open.by == *key).count()
    }

    fn propose(&mut self, (now, time_ms): (Height, u64), by: PublicKey, measure: &Measure) -> bool {
        let is_member = self.council().contains_key(&by);
        if !is_member || self.own_open(&by) >= MOST_OPEN || !self.is_possible(now, measure) {
            return false;
        }
        let (id, votes) = (self.next, BTreeMap::from([(by, true)]));
        let until_ms = time_ms + 1_000 * u64::from(self.book.params.proposal_ttl_s);
        self.next = id.saturating_add(1);
        self.open.insert(id, Open { by, measure: measure.clone(), until_ms, votes });
        self.tally(now, id);
        true
    }

    fn vote(&mut self, (now, time_ms): (Height, u64), by: PublicKey, (id, yes): (ProposalId, bool)) -> bool {
        let is_member = self.council().contains_key(&by);
        let Some(open) = self.open.get_mut(&id).filter(|_| is_member) else { return false };
        if time_ms >= open.until_ms || open.votes.contains_key(&by) {
            return false;
        }
        // Votes of who is gone are forgotten.
        open.votes.retain(|key, _| self.people.get(key).is_some_and(|person| person.look.is_none()));
        open.votes.insert(by, yes);
        self.tally(now, id);
        true
    }

    fn tally(&mut self, now: Height, id: ProposalId) {
        let (council, votes) = (self.council(), &self.open[&id].votes);
        let sum = |yes: bool| council.iter().filter(|(key, _)| votes.get(key) == Some(&yes)).map(|(_, w)| *w).sum();
        let (yes, no, all): (u64, u64, u64) = (sum(true), sum(false), council.values().sum());
        if 3 * yes <= 2 * all && 3 * no < all {
            return;
        }
        let Some(open) = self.open.remove(&id) else { return };
        if 3 * yes > 2 * all && self.is_possible(now, &open.measure) {
            self.enact((now, id), open.measure);
        }
    }

    fn is_possible(&self, now: Height, measure: &Measure) -> bool {
        let person = |key: &PublicKey| self.people.get(key);
        let by_vote = self.mode() != ConsensusMode::Pos;
        match measure {
            Measure::Add { public_key, .. } => {
                let is_free = person(public_key).is_none_or(|person| person.standing == Standing::Out);
                by_vote && is_free && !self.is_convicted(public_key)
            }
            Measure::Remove { public_key } => {
                by_vote && person(public_key).is_some_and(|person| person.standing != Standing::Out)
            }
            Measure::Jail { public_key } => {
                !self.is_jailed(public_key) && !self.is_convicted(public_key) && self.can_come_back(public_key)
            }
            Measure::Unjail { public_key } => self.is_jailed(public_key) && !self.is_convicted(public_key),
            Measure::Parameter { name, value } => self.book.may(name, *value),
            Measure::Upgrade { version, height } => {
                let in_time = *height >= self.book.earliest(now) && height.get() <= now.get() + 10_000_000;
                *version == self.book.version + 1 && in_time
            }
            Measure::Withdraw { proposal } => self.book.passed.keys().any(|(_, passed)| passed == proposal),
            Measure::Role { .. } => true,
            // Nobody provides here.
            Measure::Slash { .. } => false,
        }
    }

    fn enact(&mut self, (now, id): (Height, ProposalId), measure: Measure) {
        let (key, standing) = match measure {
            Measure::Add { public_key, weight, .. } => {
                let new = Person::admitted(weight, now, self.people.get(&public_key));
                self.people.insert(public_key, new);
                return;
            }
            Measure::Remove { public_key } => (public_key, Standing::Out),
            Measure::Jail { public_key } => (public_key, Standing::Jailed),
            Measure::Unjail { public_key } => (public_key, Standing::In),
            Measure::Parameter { .. } => {
                self.book.passed.insert((self.book.earliest(now), id), measure);
                return;
            }
            Measure::Upgrade { height, .. } => {
                self.book.passed.insert((height, id), measure);
                return;
            }
            Measure::Withdraw { proposal } => return self.book.passed.retain(|(_, passed), _| *passed != proposal),
            Measure::Role { .. } | Measure::Slash { .. } => return,
        };
        self.judge(now, &key, standing);
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

    fn convict(&mut self, now: Now, evidence: &Evidence, reporter: Address) -> bool {
        let (key, Ok(offence)) = (evidence.signer(), evidence.equivocation()) else { return false };
        let (at, window) = (offence.height, u64::from(self.book.params.evidence_window_blocks));
        let in_time = at <= now.height && at.get() + window >= now.height.get();
        let had_a_seat = self.has_seat(&key, at);
        let Some(person) = self.people.get_mut(&key).filter(|person| in_time && had_a_seat && at > person.forgotten)
        else {
            return false;
        };
        let is_new = self.convicted.insert(key);
        if is_new {
            let standing = if person.standing == Standing::Out { Standing::Out } else { Standing::Jailed };
            person.becomes(standing, now.height);
        }
        let stakes = self.stakes.as_mut();
        let costs = stakes.is_some_and(|stakes| stakes.slash(now, &key, at, reporter, &self.book.params));
        self.older += u64::from(costs && !is_new);
        is_new || costs
    }

    /// An action with stake, of the account of `who`.
    fn stake(&mut self, now: Now, who: Address, action: &staking::Action) -> bool {
        let own = PublicKey(*who.as_bytes());
        let is_out = |key: &PublicKey| self.people.get(key).is_none_or(|person| person.standing == Standing::Out);
        let (is_own_out, least) = (is_out(&own), self.book.params.min_validator_stake.get());
        let Some(stakes) = &mut self.stakes else { return false };
        match action {
            staking::Action::StakeBond { amount, commission_bps } => {
                let is_named_again = commission_bps.is_some() && stakes.knows(&own);
                let may = stakes.mode == ConsensusMode::Pos || !is_own_out;
                let enough = stakes.stake(&own).0 + amount.get() >= least;
                let may = may && enough && !is_named_again && !self.convicted.contains(&own);
                if !may || !stakes.bond(who, &own, amount.get()) {
                    return false;
                }
                if is_own_out {
                    self.enter(now.height, own);
                }
                true
            }
            staking::Action::StakeDelegate { validator, amount } => {
                let may = *validator != own && stakes.knows(validator) && !is_out(validator);
                may && !self.convicted.contains(validator) && stakes.bond(who, validator, amount.get())
            }
            staking::Action::StakeUnbond { shares } => {
                let Some(left) = stakes.take_out(who, &own, shares.get(), least) else { return false };
                if left == 0 && stakes.mode == ConsensusMode::Pos {
                    self.leave(now.height, &own);
                }
                self.close_of_nobody(now, &own);
                true
            }
            staking::Action::StakeUndelegate { validator, shares } => {
                let is_done = *validator != own && stakes.take_out(who, validator, shares.get(), 0).is_some();
                self.close_of_nobody(now, validator);
                is_done
            }
            staking::Action::StakeWithdraw { validator } => stakes.withdraw(now, who, validator, &self.book.params),
            staking::Action::StakeSetCommission { .. } | staking::Action::RewardWithdraw { .. } => false,
        }
    }

    /// Nothing can be proven against who is not known any more.
    fn close_of_nobody(&mut self, now: Now, key: &PublicKey) {
        if let Some(stakes) = self.stakes.as_mut().filter(|_| !self.people.contains_key(key)) {
            stakes.close(now, key, &self.book.params, true);
        }
    }

    /// Whoever bonds in mode `pos` is admitted, or is back in the jail that it left.
    fn enter(&mut self, now: Height, key: PublicKey) {
        let before = self.people.get(&key);
        self.returns += u64::from(before.is_some_and(|person| person.look.is_some()));
        let mut new = Person::admitted(0, now, before);
        new.absence = before.map_or(0, |person| person.absence);
        if self.fled.remove(&key) {
            new.standing = Standing::Jailed;
        }
        self.people.insert(key, new);
    }

    fn leave(&mut self, now: Height, key: &PublicKey) {
        let Some(person) = self.people.get_mut(key) else { return };
        if person.standing == Standing::Jailed && !self.convicted.contains(key) {
            self.fled.insert(*key);
        }
        person.becomes(Standing::Out, now);
    }

    /// The weights stake gives from now on. False if nobody qualifies.
    fn weigh(&mut self) -> bool {
        let Some(stakes) = &self.stakes else { return true };
        let params = &self.book.params;
        let able = self.people.iter().filter(|(key, person)| {
            let enough = stakes.stake(key).0 >= params.min_validator_stake.get() && stakes.knows(key);
            person.is_active() && enough && !stakes.is_slashed(key)
        });
        let able = able.map(|(key, person)| (*key, stakes.stake(key).1, person.since)).collect();
        let weights = stakes::weights(stakes.mode, params, able);
        for (key, person) in &mut self.people {
            person.weight = weights.get(key).copied().unwrap_or_default();
        }
        !weights.is_empty()
    }

    /// A block is final. `tree` is the state that chain-core has after it; `events` are the block's, and who
    /// built it earned so much.
    ///
    /// # Errors
    /// Something in the state is not what it must be.
    pub fn end_block(&mut self, header: &Header, earned: u128, events: &[Vec<Event>], tree: &Tree) -> Verdict {
        let now = Now { height: header.height, time_ms: header.timestamp_ms.get() };
        let (height, proposer) = (now.height, &header.proposer);
        if let Some(stakes) = &mut self.stakes {
            let issuance = self.book.params.issuance_per_block.get();
            let right = stakes.reward(proposer, earned + issuance, events);
            right.or_else(|what| must(Rule::Stakes, false, || format!("block {height}: {what}")))?;
        }
        let due = self.due(height);
        self.close_of_those(now, &due);
        self.count_turns(height, header.view, proposer);
        due.iter().for_each(|key| self.let_go(now, key));
        let open = self.open.iter();
        let over: Vec<_> = open.filter(|(_, open)| now.time_ms >= open.until_ms).map(|(id, _)| *id).collect();
        for id in over {
            // Added up once more; what does not pass then is over.
            self.tally(height, id);
            self.open.remove(&id);
        }
        // What comes into force now is for the next block.
        let (mut next_book, old_version) = (self.book.clone(), self.book.version);
        next_book.come_into_force(height);
        let broken = |fault: Fault| Violation { rule: Rule::Sets, what: fault.to_string() };
        let next = validators::next_set(tree).map_err(broken)?;
        self.follow_set(now, next)?;
        self.book = next_book;
        if self.book.version > old_version {
            self.upgraded = Some(height.next());
        }
        self.compare(height, tree)
    }

    fn follow_set(&mut self, now: Now, next: ValidatorSet) -> Verdict {
        let height = now.height;
        let Some(old) = self.at(height).cloned() else { return Ok(()) };
        self.known = height.next();
        if self.changes && height.get().is_multiple_of(self.book.params.epoch_blocks.into()) {
            self.end_epoch(now, &old, &next)?;
        }
        let same = self.at(self.known) == Some(&next);
        must(Rule::Sets, same, || format!("the set changes after {height}"))
    }

    /// What the state says of everybody, and of the rules, is what these books say.
    fn compare(&self, height: Height, tree: &Tree) -> Verdict {
        let read = PARAMS.get(tree, &()).and_then(|params| Ok((params, protocol(tree)?.version)));
        let (params, version) = read.map_err(|fault| Violation { rule: Rule::Parameters, what: fault.to_string() })?;
        let same = params.as_ref() == Some(&self.book.params) && version == self.book.version;
        let other = || format!("after {height} {params:?}, version {version}, not {:?}", self.book.params);
        must(Rule::Parameters, same, other)?;
        self.compare_people(height, tree)?;
        match &self.stakes {
            Some(stakes) => match stakes.compare(tree) {
                Ok(()) => Ok(()),
                Err(what) => must(Rule::Stakes, false, || format!("after {height}: {what}")),
            },
            None => Ok(()),
        }
    }

    /// Whether a header's two sets are those of its height and of the next. After `end_block`.
    pub fn check_header(&self, header: &Header) -> Verdict {
        let hash = |height: Height| self.at(height).map(|set| set.hash(&self.chain));
        let sets = (hash(header.height), hash(header.height.next()));
        let named = (Some(header.validators_hash), Some(header.next_validators_hash));
        must(Rule::Sets, sets == named, || format!("block {} names other sets", header.height))
    }
}

fn is_quorum(rule: QuorumRule, sum: u64, total: u64) -> bool {
    match rule {
        QuorumRule::Byzantine => 3 * sum > 2 * total,
        QuorumRule::Crash => 2 * sum > total,
    }
}

fn weights(set: &ValidatorSet) -> Weights {
    set.members().iter().map(|Validator { public_key, weight }| (*public_key, *weight)).collect()
}
