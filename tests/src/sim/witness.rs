//! Who reports what validators did wrong: at every honest node somebody who turns what it found into a
//! transaction, and a meddler who has traitors sign anything, of any height, and reports that too, in
//! time, late, early, twice.
//!
//! Not here: what is proven by it (`seats`).

use super::random::Random;
use super::scenario::{Scenario, Traitor};
use super::schemer::contradiction;
use super::setting::{Setting, WINDOW_BLOCKS, WITNESSES, witness};
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::state::stakes::stake;
use chain_core::state::validators::CONVICTED;
use chain_core::state::{Tree, money};
use chain_core::tx::authority::Action;
use chain_core::tx::{self, Checked};
use chain_core::types::{Address, Evidence, Height};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Whether a conviction follows, or stake that left before the offence that is known may be lost.
fn may_cost(tree: &Tree, evidence: &Evidence) -> bool {
    let (key, Ok(offence)) = (evidence.signer(), evidence.equivocation()) else { return true };
    let known = stake(tree, &key).unwrap().and_then(|stake| stake.slash);
    let is_older = known.is_some_and(|known| offence.height < known.offence);
    CONVICTED.get(tree, &key).unwrap().is_none() || is_older
}

/// The meddler's account.
const MEDDLER: usize = WITNESSES - 1;

/// All witnesses.
pub struct Witnesses {
    setting: Arc<Setting>,
    random: Random,
    /// Whose keys the meddler may use.
    traitors: Vec<Arc<SecretKey>>,
    /// How often, of a thousand.
    meddles: u64,
    /// Whether it also reports what can be proven.
    is_prompt: bool,
    /// By account, what is to be reported.
    found: BTreeMap<usize, VecDeque<Evidence>>,
    /// By account, what was signed and is not final yet.
    waiting: BTreeMap<usize, Checked>,
    /// What has been found, with the newest final height then.
    heard: Vec<(PublicKey, Height, Height)>,
    reported: Vec<Evidence>,
}

impl Witnesses {
    /// The witnesses of a run.
    pub fn new(setting: Arc<Setting>, scenario: &Scenario) -> Self {
        let mut random = Random::new(scenario.seed, 1_002);
        let guilty = scenario.traitors.iter().filter(|(_, what)| !what.is_honest() && *what != Traitor::Schemer);
        let traitors = guilty.map(|(who, _)| setting.keys[*who].clone()).collect();
        let meddles = random.pick(&[0, 0, 100, 400]);
        let is_prompt = random.chance(300);
        let (found, waiting) = (BTreeMap::new(), BTreeMap::new());
        let (heard, reported) = (Vec::new(), Vec::new());
        Self { setting, random, traitors, meddles, is_prompt, found, waiting, heard, reported }
    }

    /// A node found something.
    pub fn hear(&mut self, node: usize, evidence: &Evidence, newest: Height) {
        if let Ok(offence) = evidence.equivocation() {
            self.heard.push((evidence.signer(), offence.height, newest));
        }
        self.found.entry(node).or_default().push_back(evidence.clone());
    }

    /// What is given to which node now; the meddler gives to any.
    pub fn act(&mut self, tree: &Tree, newest: Height) -> Vec<(Option<usize>, Checked)> {
        if self.random.chance(self.meddles)
            && let Some(evidence) = self.made_up(newest)
        {
            self.found.entry(MEDDLER).or_default().push_back(evidence);
        }
        let mut given = Vec::new();
        for (who, found) in &mut self.found {
            let key = witness(*who);
            let nonce = money::account(tree, &Address::of_key(&key.public())).unwrap().nonce;
            self.waiting.retain(|of, tx| of != who || tx.transaction().nonce >= nonce);
            if !self.waiting.contains_key(who) {
                // Nobody reports in vain, but the meddler.
                found.retain(|evidence| *who == MEDDLER || may_cost(tree, evidence));
                if let Some(evidence) = found.pop_front() {
                    self.reported.push(evidence.clone());
                    self.waiting
                        .insert(*who, self.setting.sign(&key, nonce, tx::Action::Authority(Action::prove(evidence))));
                }
            }
            let tx = self.waiting.get(who).cloned();
            given.extend(tx.map(|tx| (Some(*who).filter(|who| *who != MEDDLER), tx)));
        }
        given
    }

    /// A traitor's two words, true signatures both, of a height at which it may not have had a seat; or
    /// what was reported before.
    fn made_up(&mut self, newest: Height) -> Option<Evidence> {
        if self.random.chance(200) && !self.reported.is_empty() {
            return Some(self.reported[self.random.place(self.reported.len())].clone());
        }
        let key = self.traitors.get(self.random.place(self.traitors.len()))?.clone();
        let newest = newest.get();
        let near = newest.checked_sub(self.random.below(4));
        let old = newest.checked_sub(WINDOW_BLOCKS + self.random.below(3));
        let early = newest + self.random.between(2, 9);
        // Whoever is convicted in time can't be too late: some meddlers are hardly ever in time.
        let height = match self.is_prompt {
            true => self.random.pick(&[near, near, old, Some(early), Some(1)]),
            false if self.random.chance(50) => near,
            false => self.random.pick(&[old, old, Some(early)]),
        };
        let height = Height::new(height.filter(|height| *height > 0)?);
        Some(contradiction(&mut self.random, &self.setting, &key, height))
    }

    /// Who must be convicted by now: found out at an honest node, in a time without troubles, so many
    /// blocks ago, and in time.
    pub fn overdue(&self, healed: Height, newest: Height, within: u64) -> impl Iterator<Item = &PublicKey> {
        let is_due = move |heard: &&(PublicKey, Height, Height)| {
            let due = heard.2.max(healed).get() + within;
            newest.get() >= due && due <= heard.1.get() + WINDOW_BLOCKS
        };
        self.heard.iter().filter(is_due).map(|(key, _, _)| key)
    }
}
