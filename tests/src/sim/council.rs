//! The authorities as people, and with them whoever has stake: they propose, vote, say that their nodes are
//! ready, bond and unbond, by transactions that they give to some node and give again until they are final.
//! One change of who validates after the other, and never one that leaves more traitors than the rule bears;
//! beside that they vote on parameters, good values and bad ones, and now and then go over to other rules.
//!
//! Not here: what stakers want (`stakers`), what becomes of it (chain-core), whether that is right (`seats`).

use super::random::Random;
use super::rules::VOTED;
use super::scenario::{Scenario, Traitor};
use super::schemer::Schemers;
use super::setting::{DELEGATORS, Setting, delegator};
use super::stakers::{self, Move, bears, marked};
use chain_core::codec::Text;
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::genesis::ConsensusMode;
use chain_core::state::protocol::protocol;
use chain_core::state::stakes::{mode, stake};
use chain_core::state::validators::{CONVICTED, next_set, records};
use chain_core::state::{PARAMS, Params, Standing, Tree, ValidatorRecord, money};
use chain_core::tx::authority::proposal::{Proposal, Status, proposals};
use chain_core::tx::authority::{Action, Measure, council};
use chain_core::tx::{self, Checked, staking};
use chain_core::types::{Address, Height, ProposalId, QuorumRule, ValidatorSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The largest set the council makes: messages grow with the square of it.
const MOST: usize = 7;

/// The authorities.
pub struct Council {
    setting: Arc<Setting>,
    random: Random,
    traitors: Vec<(usize, Traitor)>,
    rule: QuorumRule,
    most_weight: u64,
    /// Whether they go over to other rules one day.
    upgrades: bool,
    schemers: Schemers,
    /// Of who acts, the keys: those of seats, then those of delegators.
    keys: Vec<Arc<SecretKey>>,
    /// By place in these, what was signed and is not final yet.
    waiting: BTreeMap<usize, Checked>,
}

/// What the chain knows, at the newest final block.
pub struct Known {
    /// What is known of everybody.
    pub records: BTreeMap<PublicKey, ValidatorRecord>,
    /// Who may validate.
    pub mode: ConsensusMode,
    /// The parameters.
    pub params: Params,
    version: u32,
    /// The newest final height.
    pub height: Height,
    set: ValidatorSet,
    council: Vec<PublicKey>,
    open: Vec<(ProposalId, Proposal)>,
    passed: Vec<ProposalId>,
    convicted: BTreeSet<PublicKey>,
}

impl Known {
    fn of(tree: &Tree, height: Height, keys: &[Arc<SecretKey>]) -> Self {
        let keys = keys.iter().map(|key| key.public());
        let all: Vec<_> = proposals(tree).map(Result::unwrap).collect();
        let passed = all.iter().filter(|(_, proposal)| matches!(proposal.status, Status::Passed { .. }));
        Self {
            records: records(tree).unwrap().into_iter().collect(),
            mode: mode(tree).unwrap(),
            params: PARAMS.get(tree, &()).unwrap().unwrap(),
            version: protocol(tree).unwrap().version,
            height,
            convicted: keys.filter(|key| CONVICTED.get(tree, key).unwrap().is_some()).collect(),
            set: next_set(tree).unwrap(),
            council: council(tree).unwrap().into_iter().map(|member| member.key).collect(),
            passed: passed.map(|(id, _)| *id).collect(),
            open: all.into_iter().filter(|(_, proposal)| proposal.status == Status::Open).collect(),
        }
    }

    fn weight(&self, key: &PublicKey) -> u64 {
        self.set.index_of(key).map_or(0, |place| self.set.members()[place].weight)
    }

    /// Whether a key was convicted.
    pub fn is_convicted(&self, key: &PublicKey) -> bool {
        self.convicted.contains(key)
    }
}

/// Whether it is about who validates.
fn is_of_seats(measure: &Measure) -> bool {
    use Measure::{Add, Jail, Remove, Unjail};
    matches!(measure, Add { .. } | Remove { .. } | Jail { .. } | Unjail { .. })
}

impl Council {
    /// The authorities of a run.
    pub fn new(setting: Arc<Setting>, scenario: &Scenario) -> Self {
        let mut random = Random::new(scenario.seed, 1_001);
        let heaviest = scenario.weights.iter().max().copied().unwrap_or(1);
        let most_weight = if random.chance(250) { 3 } else { heaviest };
        let traitors = scenario.traitors.clone();
        let mut keys = setting.keys.clone();
        if scenario.terms.has_stake() {
            keys.extend((0..DELEGATORS).map(|who| Arc::new(delegator(who))));
        }
        let schemers = Schemers::new(scenario);
        let (rule, upgrades, waiting) = (scenario.rule, scenario.upgrade.is_some(), BTreeMap::new());
        Self { setting, random, traitors, rule, most_weight, upgrades, schemers, keys, waiting }
    }

    /// What they give to nodes now. `tree` is the newest final state, whose nodes are `away` say nothing of
    /// them.
    pub fn act(&mut self, tree: &Tree, height: Height, away: &BTreeSet<usize>) -> Vec<Checked> {
        let known = Known::of(tree, height, &self.keys);
        let mut given = Vec::new();
        for who in 0..self.keys.len() {
            let key = self.keys[who].clone();
            let nonce = money::account(tree, &Address::of_key(&key.public())).unwrap().nonce;
            self.waiting.retain(|of, tx| *of != who || tx.transaction().nonce >= nonce);
            if !self.waiting.contains_key(&who)
                && let Some(action) = self.act_of(&known, tree, who, away)
            {
                self.waiting.insert(who, self.setting.sign(&key, nonce, action));
            }
            given.extend(self.waiting.get(&who).cloned());
        }
        given
    }

    fn act_of(&mut self, known: &Known, tree: &Tree, who: usize, away: &BTreeSet<usize>) -> Option<tx::Action> {
        let is_seat = who < self.setting.keys.len();
        let decided = if is_seat { self.wish(known, tree, who, away) } else { None };
        let decided = decided.or_else(|| self.schemers.report(known, tree, who, &self.setting));
        decided.map(tx::Action::Authority).or_else(|| self.stake(known, tree, who).map(tx::Action::Staking))
    }

    fn is(&self, seat: usize, what: Traitor) -> bool {
        self.traitors.contains(&(seat, what))
    }

    /// Whether somebody is away for long in this run: then nobody else leaves.
    fn waits_for_somebody(&self) -> bool {
        self.traitors.iter().any(|(_, what)| *what == Traitor::Absent)
    }

    fn bad(&self) -> Vec<PublicKey> {
        self.traitors.iter().map(|(who, _)| self.setting.keys[*who].public()).collect()
    }

    fn seats(&self) -> Vec<PublicKey> {
        self.setting.keys.iter().map(|key| key.public()).collect()
    }

    fn wish(&mut self, known: &Known, tree: &Tree, seat: usize, away: &BTreeSet<usize>) -> Option<Action> {
        let key = self.setting.keys[seat].public();
        let record = known.records.get(&key);
        let is_new = record.is_some_and(|record| record.standing == Standing::Admitted && !record.ready);
        if is_new && (!away.contains(&seat) || self.schemers.is_fickle(seat)) {
            return Some(Action::ValidatorReady {});
        }
        if !known.council.contains(&key) {
            return None;
        }
        let asked = known.open.iter().find(|(_, proposal)| proposal.votes.iter().all(|vote| vote.member != key));
        if let Some((id, _)) = asked {
            let is_honest = self.traitors.iter().all(|(who, what)| *who != seat || *what == Traitor::Outdated);
            let approve = if is_honest { Some(true) } else { self.random.pick(&[Some(true), Some(false), None]) };
            return approve.map(|approve| Action::CouncilVote { proposal: *id, approve });
        }
        let measure = match self.random.below(8) {
            0 => self.change_of_rules(known),
            1..5 => self.measure(known, tree),
            _ => None,
        };
        measure.map(|measure| Action::CouncilPropose { measure })
    }

    /// What is on its way to being final.
    fn on_their_way(&self) -> impl Iterator<Item = &tx::Action> {
        self.waiting.values().filter_map(|tx| tx.transaction().actions.first())
    }

    /// Whether no change of who validates is under way.
    fn is_quiet(&self, known: &Known) -> bool {
        let moves = |action: &tx::Action| match action {
            tx::Action::Authority(Action::CouncilPropose { measure }) => is_of_seats(measure),
            tx::Action::Staking(action) => {
                !matches!(action, staking::Action::StakeWithdraw { .. } | staking::Action::RewardWithdraw { .. })
            }
            _ => false,
        };
        !known.open.iter().any(|(_, open)| is_of_seats(&open.measure)) && !self.on_their_way().any(moves)
    }

    /// A parameter, other rules, or none of what has passed.
    fn change_of_rules(&mut self, known: &Known) -> Option<Measure> {
        let proposes = |action: &tx::Action| match action {
            tx::Action::Authority(Action::CouncilPropose { measure }) => !is_of_seats(measure),
            _ => false,
        };
        let is_open = known.open.iter().any(|(_, open)| !is_of_seats(&open.measure));
        if is_open || self.on_their_way().any(proposes) {
            return None;
        }
        let passed = known.passed.last().filter(|_| self.random.chance(100)).copied();
        if let Some(proposal) = passed {
            return Some(Measure::Withdraw { proposal });
        }
        if self.upgrades && self.random.chance(if known.version == 1 { 400 } else { 50 }) {
            let ahead = u64::from(known.params.delay_blocks) + self.random.below(7);
            let height = Height::new(known.height.get() + 1 + ahead);
            // Versions 1 and 4 never come next, and nobody knows version 3.
            let version = if self.random.chance(900) { 2 } else { self.random.pick(&[1, 4]) };
            return Some(Measure::Upgrade { version, height });
        }
        let (name, values) = self.random.pick(&VOTED);
        let (name, value) = (Text::new(name).unwrap(), self.random.pick(values));
        let forgives = &*name == "absence_jail_turns" && self.waits_for_somebody();
        Some(Measure::Parameter { name, value }).filter(|_| !forgives)
    }

    /// Anybody; in mode `pos` rather somebody who left and may come back.
    fn whom(&mut self, known: &Known, tree: &Tree) -> usize {
        let seats = 0..self.setting.keys.len();
        let is_away = |seat: &usize| {
            let key = self.setting.keys[*seat].public();
            let is_out = known.records.get(&key).is_none_or(|record| record.standing == Standing::Removed);
            known.mode == ConsensusMode::Pos && is_out && stake(tree, &key).unwrap().is_some()
        };
        let away: Vec<usize> = seats.clone().filter(is_away).collect();
        match self.random.chance(400) && !away.is_empty() {
            true => self.random.pick(&away),
            false => self.random.place(seats.len()),
        }
    }

    /// The next change of who validates; without stake once the last one is in the set.
    fn measure(&mut self, known: &Known, tree: &Tree) -> Option<Measure> {
        let by_stake = known.mode != ConsensusMode::Poa;
        let may = self.is_quiet(known) && (by_stake || self.is_settled(known));
        let seat = self.whom(known, tree);
        let public_key = self.setting.keys[seat].public();
        let weight = self.random.between(1, self.most_weight);
        let record = known.records.get(&public_key);
        let is_convicted = record.is_some_and(|record| record.equivocation.is_some());
        let may_return = known.mode == ConsensusMode::Pos && self.random.chance(600);
        let measure = match record.map(|record| record.standing) {
            None | Some(Standing::Removed) if may_return => match self.random.chance(500) {
                true => Measure::Jail { public_key },
                false => Measure::Unjail { public_key },
            },
            None | Some(Standing::Removed) => Measure::Add { public_key, name: Default::default(), weight },
            // Whoever was convicted is removed, and asked back in vain.
            Some(Standing::Jailed(_)) if self.random.chance(if is_convicted { 200 } else { 800 }) => {
                Measure::Unjail { public_key }
            }
            Some(Standing::Admitted) if self.random.chance(500) => Measure::Jail { public_key },
            _ => Measure::Remove { public_key },
        };
        if self.waits_for_somebody() && matches!(measure, Measure::Remove { .. } | Measure::Jail { .. }) {
            return None;
        }
        // Who comes back gets the weight of the proposal, not the one it had.
        let weight = record.filter(|_| !matches!(measure, Measure::Add { .. })).map_or(weight, |record| record.weight);
        let is_borne = || match by_stake {
            false => self.is_borne(known, seat, (&measure, weight)),
            true => {
                let comes = matches!(measure, Measure::Add { .. } | Measure::Unjail { .. });
                self.is_borne_by_stake(known, tree, Move { key: Some(public_key), may: Some(comes), ..Move::default() })
            }
        };
        if may && is_borne() { Some(measure) } else { None }
    }

    /// What somebody does with stake, unless too much weight would be traitors'.
    fn stake(&mut self, known: &Known, tree: &Tree, who: usize) -> Option<staking::Action> {
        if known.mode == ConsensusMode::Poa || self.random.chance(750) {
            return None;
        }
        let (is_quiet, seats) = (self.is_quiet(known), self.seats());
        let key = self.keys[who].public();
        let planned = if is_quiet { self.schemers.move_of(known, tree, who, &key) } else { None };
        let (action, then) = planned.or_else(|| stakers::wish(&mut self.random, tree, &key, &seats, is_quiet))?;
        let is_borne = then.key.is_none() || self.is_borne_by_stake(known, tree, then);
        Some(action).filter(|_| is_borne)
    }

    /// Whether the set, and the one it moves to after this, bear their traitors.
    fn is_borne_by_stake(&self, known: &Known, tree: &Tree, then: Move) -> bool {
        let (seats, bad) = (self.seats(), self.bad());
        let set = known.set.members().iter().map(|member| (member.public_key, member.weight)).collect();
        let is_borne = |weights: Vec<(u64, bool)>| bears(self.rule, weights.into_iter());
        is_borne(marked(&set, &bad)) && is_borne(stakers::target(known, tree, &seats, &bad, then))
    }

    /// Whether everybody who is wanted is in the set, and nobody else.
    fn is_settled(&self, known: &Known) -> bool {
        let seats = self.setting.keys.iter().enumerate();
        let mut wanted = seats.map(|(seat, key)| {
            let record = known.records.get(&key.public());
            let admitted = record.filter(|record| record.standing == Standing::Admitted);
            let weight = admitted.map_or(0, |record| record.weight);
            known.weight(&key.public()) == weight || self.is(seat, Traitor::Silent)
        });
        wanted.all(|settled| settled)
    }

    /// Whether the set after it bears its traitors.
    fn is_borne(&self, known: &Known, about: usize, (measure, weight): (&Measure, u64)) -> bool {
        let (mut total, mut bad, mut members) = (0, 0, 0);
        for (seat, key) in self.setting.keys.iter().enumerate() {
            let after = match measure {
                Measure::Add { .. } | Measure::Unjail { .. } if seat == about => weight,
                _ if seat == about => 0,
                _ => known.weight(&key.public()),
            };
            total += after;
            members += usize::from(after > 0);
            bad += if self.traitors.iter().any(|(who, _)| *who == seat) { after } else { 0 };
        }
        let borne = match self.rule {
            QuorumRule::Byzantine => 3 * bad < total,
            QuorumRule::Crash => 2 * bad < total,
        };
        let is_smaller = matches!(measure, Measure::Remove { .. } | Measure::Jail { .. });
        borne && members > 0 && (is_smaller || members <= MOST)
    }
}
