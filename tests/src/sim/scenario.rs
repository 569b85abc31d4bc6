//! What will go wrong in a run, drawn from its seed before it begins.
//!
//! Two phases: **chaos**, in which messages are lost, links are cut and nodes crash, and **healed**,
//! in which all honest nodes are up, links are good and only the byzantine ones go on as before.
//!
//! Not here: doing it (`world`), what may never happen all the same (`check`).

mod draw;

pub use draw::{failing_write, kept};

use super::random::Random;
use super::setting::Terms;
use crate::disk::Kept;
use chain_core::engine::Trust;
use chain_core::storage::faulty::Fault;
use chain_core::types::{QuorumRule, VoteKind};

/// A validator that counts as faulty: not honest, or with a fault that honest ones may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traitor {
    /// Two nodes with its key, each with a disk of its own and some of the links.
    Twins,
    /// A node whose messages are changed on their way out.
    Liar,
    /// Never there.
    Silent,
    /// Honest, but its clock is minutes off.
    WrongClock,
    /// Honest, but it loses its disk and the memory of what it signed.
    Wiped,
    /// Honest, but somebody puts an old copy of its disk in.
    Restored,
    /// Honest, but down until it was jailed for absence, or until the healing.
    Absent,
    /// Its node keeps the rules; its owner takes out stake, contradicts itself and reports that.
    Schemer,
    /// Honest, with software that nobody replaces by one that knows other rules than the genesis'.
    Outdated,
}

impl Traitor {
    /// Whether it keeps the rules all the same.
    pub fn is_honest(self) -> bool {
        matches!(self, Self::WrongClock | Self::Wiped | Self::Restored | Self::Absent | Self::Outdated)
    }

    /// Whether it may find out that its key has signed what it does not know of.
    pub fn forgets(self) -> bool {
        matches!(self, Self::Wiped | Self::Restored)
    }
}

/// A node without a seat in the validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Whether it keeps the rules.
    pub honest: bool,
    /// Whose word it takes for the signatures in blocks it catches up with.
    pub trust: Trust,
    /// Whether it holds a key all the same, as a validator does that was or will be one.
    pub keyed: bool,
    /// It knows nobody but liars without a seat and this honest node.
    pub knows_only: Option<usize>,
}

/// A mistake that is built in to see a checker find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Half of the validators are a quorum, with traitors as for two thirds.
    HalfIsQuorum,
    /// Logs say they are synced and are not.
    NoSync,
    /// More twins than the fault bound allows.
    TooManyTwins,
    /// A crash takes a validator's whole disk, and it goes on as if it were new.
    Amnesia,
    /// Submissions reach the engine in an order that a hash map gives.
    UnorderedMap,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::HalfIsQuorum, Self::NoSync, Self::TooManyTwins, Self::Amnesia, Self::UnorderedMap];

    /// Whether conflicting blocks can become final, so that honest nodes may halt.
    pub fn allows_forks(self) -> bool {
        matches!(self, Self::HalfIsQuorum | Self::TooManyTwins)
    }
}

/// How messages travel.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Longest way of a message, in ms; every message draws its own, so they overtake each other.
    pub delay_ms: u64,
    /// So many of a thousand are lost.
    pub lost: u64,
    /// So many of a thousand arrive twice.
    pub doubled: u64,
}

/// Links are good.
pub const CALM: Weather = Weather { delay_ms: 20, lost: 0, doubled: 0 };

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// The power of one node fails, for a while.
    Crash(usize, Kept, u64),
    /// The power of all fails, for a while.
    PowerCut(Kept, u64),
    /// One node is stopped in an orderly way, for a while.
    Stop(usize, u64),
    /// Validators whose bit is set are cut off from the others for a while; hard: connections break.
    Partition {
        /// One bit for each node.
        side: u64,
        /// For so long.
        for_ms: u64,
        /// Whether connections break, or only stand still.
        hard: bool,
    },
    /// Nothing gets from one node to another, for a while.
    OneWay(usize, usize, u64),
    /// A copy of a node's disk is put aside.
    Backup(usize),
    /// A node's disk is exchanged for the copy, or for an empty one without a sign state.
    Exchange(usize),
    /// A connection breaks; it comes back.
    Break(usize, usize),
    /// One node is away until it was jailed for absence.
    Leave(usize),
    /// A clock jumps by so many ms.
    Jump(usize, i64),
    /// Votes of one kind are held back from all but one node, for a while.
    Hold(VoteKind, usize, u64),
}

/// A run before it happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it was drawn from.
    pub seed: u64,
    /// The validators' weights.
    pub weights: Vec<u64>,
    /// How many nodes have a key that the council may admit; they come after the validators. Without any
    /// the set stays as it is.
    pub candidates: usize,
    /// Nodes that never have a seat; they come after the candidates.
    pub followers: Vec<Follower>,
    /// The chain's rule.
    pub rule: QuorumRule,
    /// What else it starts with, if it can change.
    pub terms: Terms,
    /// The council goes over to other rules; these nodes have software that does not know them.
    pub upgrade: Option<Vec<usize>>,
    /// People use the market.
    pub has_market: bool,
    /// Who is not honest.
    pub traitors: Vec<(usize, Traitor)>,
    /// During the chaos.
    pub weather: Weather,
    /// When what goes wrong, in virtual ms from the start.
    pub troubles: Vec<(u64, Trouble)>,
    /// Of a thousand starts so many end at a write that fails.
    pub failing_writes: u64,
    /// By node, how far its clock is off.
    pub skews: Vec<i64>,
    /// Nodes that are not there before the healing.
    pub late: Vec<usize>,
    /// State is written every so many blocks.
    pub flush_interval_blocks: u64,
    /// Chaos ends at this virtual time, in ms, …
    pub chaos_ms: u64,
    /// … or at this height, if that comes first.
    pub chaos_heights: u64,
    /// Between two submissions, on average, in ms.
    pub load_ms: u64,
    /// Built in on purpose.
    pub mistake: Option<Mistake>,
}

/// Of a thousand runs so many are of a long chain.
const LONG: u64 = 6;
/// Of a thousand runs of chains whose set changes, somebody is away for long in so many, …
const ABSENT: u64 = 70;
/// … and so many go over to other rules.
const UPGRADING: u64 = 200;
/// Of a thousand runs of chains whose set stays so many have a market in use.
const TRADING: u64 = 300;
/// Every so many seeds one is of a chain whose set changes.
const CHANGING: u64 = 3;

impl Scenario {
    /// The run of a seed.
    pub fn of(seed: u64) -> Self {
        Self::with(seed, None)
    }

    /// The run of a seed with a mistake built in.
    pub fn with(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut random = Random::new(seed, 1);
        let is_long = mistake.is_none() && random.chance(LONG);
        let rule = draw::rule(&mut random, mistake);
        let weights = if is_long { vec![1; 4] } else { draw::weights(&mut random, rule, mistake) };
        let mut of_rules = Random::new(seed, 1_003);
        let changes = mistake.is_none() && seed % CHANGING == CHANGING - 1;
        let is_absent = changes && rule == QuorumRule::Byzantine && !is_long && of_rules.chance(ABSENT);
        let weights = if is_absent { vec![1; of_rules.pick(&[4, 4, 5])] } else { weights };
        let validators = weights.len();
        let mut traitors = draw::traitors(&mut random, &weights, rule, mistake);
        let mut of_sets = Random::new(seed, 1_000);
        let candidates = if changes { draw::candidates(&mut of_sets, validators, rule, &mut traitors) } else { 0 };
        let seats = validators + candidates;
        let terms = if changes { draw::terms(&mut of_rules, validators, is_absent) } else { Terms::POA };
        if terms.has_stake() {
            draw::bear(&mut traitors, &weights, rule, &terms);
            draw::schemers(&mut Random::new(seed, 1_005), &mut traitors, rule);
        }
        if is_absent {
            traitors = vec![(of_rules.place(validators), Traitor::Absent)];
        }
        let upgrades = changes && of_rules.chance(UPGRADING);
        let has_market = mistake.is_none() && !changes && Random::new(seed, 1_006).chance(TRADING);
        let followers = draw::followers(&mut random, (validators, seats), &traitors, is_long);
        let nodes = seats + followers.len();
        let upgrade = upgrades.then(|| draw::older(&mut of_rules, nodes, &mut traitors));
        let weather = Weather {
            delay_ms: random.pick(&[5, 20, 50, 200, 600]),
            lost: random.pick(&[0, 0, 20, 100, 300]),
            doubled: random.pick(&[0, 0, 50, 300]),
        };
        let chaos_ms = random.between(3_000, 14_000);
        let troubles = match mistake {
            Some(mistake) if mistake.allows_forks() => draw::split(&mut random, validators, &traitors),
            _ => draw::troubles(&mut random, nodes, chaos_ms, &traitors),
        };
        let skews = (0..nodes).map(|node| draw::skew(&mut random, &traitors, node)).collect();
        let mut scenario = Self {
            seed,
            rule,
            terms,
            upgrade,
            has_market,
            traitors,
            weather,
            troubles,
            failing_writes: random.pick(&[0, 0, 200, 600]),
            skews,
            late: draw::late(&mut random, seats, &followers),
            candidates,
            followers,
            weights,
            flush_interval_blocks: random.pick(&[1, 3, 8]),
            chaos_ms,
            chaos_heights: random.between(2, 6),
            load_ms: random.pick(&[200, 600, 2_000]),
            mistake,
        };
        if changes {
            // A few epochs in each phase.
            (scenario.chaos_ms, scenario.chaos_heights) = (of_sets.between(8_000, 25_000), of_sets.between(6, 20));
        }
        if scenario.terms.has_stake() {
            // Until what unbonds is free.
            (scenario.chaos_ms, scenario.chaos_heights) = (of_rules.between(12_000, 40_000), of_rules.between(10, 32));
        }
        if let (true, Some((who, _))) = (is_absent, scenario.traitors.first().copied()) {
            scenario.linger(&mut of_rules, who);
        }
        if is_long {
            scenario.lengthen(&mut random);
        }
        scenario
    }

    /// A chain long enough for a validator that is away to be jailed for that.
    fn linger(&mut self, random: &mut Random, who: usize) {
        (self.chaos_ms, self.chaos_heights, self.load_ms) = (180_000, random.between(48, 62), 2_000);
        self.weather =
            Weather { delay_ms: self.weather.delay_ms.min(50), lost: self.weather.lost.min(20), ..self.weather };
        self.late.clear();
        self.troubles.push((random.between(1_000, 3_000), Trouble::Leave(who)));
    }

    /// A chain of some length while a follower is away, so that it has several ranges to ask for;
    /// back again it may crash over them.
    fn lengthen(&mut self, random: &mut Random) {
        let (follower, away) = (self.seats() + 1, random.between(66_000, 75_000));
        (self.chaos_ms, self.chaos_heights, self.load_ms) = (180_000, random.between(85, 100), 2_000);
        self.weather =
            Weather { delay_ms: self.weather.delay_ms.min(50), lost: self.weather.lost.min(20), ..self.weather };
        self.late.clear();
        self.troubles.retain(|(_, trouble)| !matches!(trouble, Trouble::Hold(..)));
        self.troubles.push((1_000, Trouble::Crash(follower, kept(random), away)));
        for _ in 0..random.below(4) {
            let at = 1_000 + away + random.below(4_000);
            self.troubles.push((at, Trouble::Crash(follower, kept(random), random.between(100, 800))));
        }
    }

    /// How many validators there are at first.
    pub fn validators(&self) -> usize {
        self.weights.len()
    }

    /// How many nodes are validators, or may become some.
    pub fn seats(&self) -> usize {
        self.validators() + self.candidates
    }

    /// A node without a seat.
    pub fn follower(&self, node: usize) -> Option<&Follower> {
        self.followers.get(node.checked_sub(self.seats())?)
    }

    /// What a validator or candidate is if it is not honest.
    pub fn traitor(&self, validator: usize) -> Option<Traitor> {
        self.traitors.iter().find(|(who, _)| *who == validator).map(|(_, what)| *what)
    }
}
