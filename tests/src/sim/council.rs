//! The authorities as people: they propose, vote and say that their nodes are ready, by transactions
//! that they give to some node and give again until they are final. One change after the other, so that
//! the set can change at every epoch, and never one that leaves more traitors than the rule bears.
//!
//! Not here: what becomes of it (chain-core), whether that is right (`seats`).

use super::random::Random;
use super::scenario::{Scenario, Traitor};
use super::setting::Setting;
use chain_core::crypto::PublicKey;
use chain_core::state::validators::{next_set, records};
use chain_core::state::{Standing, Tree, ValidatorRecord, money};
use chain_core::tx::authority::proposal::{Proposal, Status, proposals};
use chain_core::tx::authority::{Action, Measure, council};
use chain_core::tx::{self, Checked};
use chain_core::types::{Address, ProposalId, QuorumRule, ValidatorSet};
use std::collections::BTreeMap;
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
    /// By seat, what was signed and is not final yet.
    waiting: BTreeMap<usize, Checked>,
}

/// What the chain knows, at the newest final block.
struct Known {
    records: BTreeMap<PublicKey, ValidatorRecord>,
    set: ValidatorSet,
    council: Vec<PublicKey>,
    open: Vec<(ProposalId, Proposal)>,
}

impl Known {
    fn of(tree: &Tree) -> Self {
        let all = proposals(tree).map(Result::unwrap);
        Self {
            records: records(tree).unwrap().into_iter().collect(),
            set: next_set(tree).unwrap(),
            council: council(tree).unwrap().into_iter().map(|member| member.key).collect(),
            open: all.filter(|(_, proposal)| proposal.status == Status::Open).collect(),
        }
    }

    fn weight(&self, key: &PublicKey) -> u64 {
        self.set.index_of(key).map_or(0, |place| self.set.members()[place].weight)
    }
}

impl Council {
    /// The authorities of a run.
    pub fn new(setting: Arc<Setting>, scenario: &Scenario) -> Self {
        let mut random = Random::new(scenario.seed, 1_001);
        let heaviest = scenario.weights.iter().max().copied().unwrap_or(1);
        let most_weight = if random.chance(250) { 3 } else { heaviest };
        let traitors = scenario.traitors.clone();
        Self { setting, random, traitors, rule: scenario.rule, most_weight, waiting: BTreeMap::new() }
    }

    /// What they give to nodes now. `tree` is the newest final state.
    pub fn act(&mut self, tree: &Tree) -> Vec<Checked> {
        let known = Known::of(tree);
        let mut given = Vec::new();
        for seat in 0..self.setting.keys.len() {
            let key = self.setting.keys[seat].clone();
            let nonce = money::account(tree, &Address::of_key(&key.public())).unwrap().nonce;
            self.waiting.retain(|of, tx| *of != seat || tx.transaction().nonce >= nonce);
            if !self.waiting.contains_key(&seat)
                && let Some(action) = self.wish(&known, seat)
            {
                self.waiting.insert(seat, self.setting.sign(&key, nonce, action));
            }
            given.extend(self.waiting.get(&seat).cloned());
        }
        given
    }

    fn is(&self, seat: usize, what: Traitor) -> bool {
        self.traitors.contains(&(seat, what))
    }

    fn wish(&mut self, known: &Known, seat: usize) -> Option<Action> {
        let key = self.setting.keys[seat].public();
        let record = known.records.get(&key);
        let is_new = record.is_some_and(|record| record.standing == Standing::Admitted && !record.ready);
        if is_new && !self.is(seat, Traitor::Silent) {
            return Some(Action::ValidatorReady {});
        }
        if !known.council.contains(&key) {
            return None;
        }
        let asked = known.open.iter().find(|(_, proposal)| proposal.votes.iter().all(|vote| vote.member != key));
        if let Some((id, _)) = asked {
            let is_honest = self.traitors.iter().all(|(who, _)| *who != seat);
            let approve = if is_honest { Some(true) } else { self.random.pick(&[Some(true), Some(false), None]) };
            return approve.map(|approve| Action::CouncilVote { proposal: *id, approve });
        }
        let measure = self.measure(known).filter(|_| self.random.chance(500))?;
        Some(Action::CouncilPropose { measure })
    }

    /// The next change, once the last one is in the set.
    fn measure(&mut self, known: &Known) -> Option<Measure> {
        let proposes = |tx: &Checked| {
            let action = tx.transaction().actions.first();
            matches!(action, Some(tx::Action::Authority(Action::CouncilPropose { .. })))
        };
        let is_settled = known.open.is_empty() && !self.waiting.values().any(proposes) && self.is_settled(known);
        let seat = self.random.place(self.setting.keys.len());
        let public_key = self.setting.keys[seat].public();
        let weight = self.random.between(1, self.most_weight);
        let record = known.records.get(&public_key);
        let is_convicted = record.is_some_and(|record| record.equivocation.is_some());
        let measure = match record.map(|record| record.standing) {
            None | Some(Standing::Removed) => Measure::Add { public_key, name: Default::default(), weight },
            // Whoever was convicted is removed, and asked back in vain.
            Some(Standing::Jailed(_)) if self.random.chance(if is_convicted { 200 } else { 800 }) => {
                Measure::Unjail { public_key }
            }
            Some(Standing::Admitted) if self.random.chance(500) => Measure::Jail { public_key },
            _ => Measure::Remove { public_key },
        };
        // Who comes back gets the weight of the proposal, not the one it had.
        let weight = record.filter(|_| !matches!(measure, Measure::Add { .. })).map_or(weight, |record| record.weight);
        Some(measure).filter(|measure| is_settled && self.is_borne(known, seat, (measure, weight)))
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
