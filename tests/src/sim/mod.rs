//! Whole nodes in a world that follows from a seed: consensus, pool, execution, storage that loses
//! what was not synced, catching up; lost, late and repeated messages, cut links, crashes, wrong
//! clocks, byzantine validators, lying strangers, followers of both modes. In every third run a council, or
//! stake, changes the validator set from epoch to epoch, and votes change the rules; in some others people use the
//! market. A referee hears everything.
//!
//! ```text
//! seed ─► Scenario ─► World ── Node (Engine on a Disk) × n
//!                       │  ├── Liar, twins: validators that are not honest
//!                       │  └── Stranger: a lying node without a seat
//!                       └► Referee ─► Figures or the first Violation
//! ```
//!
//! One seed is one run: the same events in the same order, the same hash of the event log.
//!
//! Not here: sockets, threads, real disks (`integration/`), every schedule of few nodes
//! (chain-core's consensus tests).

pub mod check;
pub mod council;
pub mod liar;
pub mod lies;
pub mod log;
pub mod market;
pub mod network;
pub mod node;
pub mod random;
pub mod rules;
pub mod scenario;
pub mod schemer;
pub mod seats;
pub mod setting;
pub mod stakers;
pub mod stakes;
pub mod stranger;
pub mod witness;
pub mod world;

pub use check::{Rule, Violation};
pub use scenario::{Mistake, Scenario};
pub use world::Figures;

use setting::Setting;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use world::World;

/// Chains that runs share, by what tells them apart.
#[derive(Default)]
pub struct Settings(Mutex<BTreeMap<String, Arc<Setting>>>);

impl Settings {
    fn get(&self, scenario: &Scenario) -> Arc<Setting> {
        let mut known = self.0.lock().unwrap();
        let Scenario { weights, candidates, rule, terms, has_market, .. } = scenario;
        let key = format!("{weights:?} {candidates} {rule:?} {terms:?} {has_market}");
        let new = || Arc::new(Setting::new(weights, *candidates, *rule, terms, *has_market));
        known.entry(key).or_insert_with(new).clone()
    }

    /// Runs a scenario; a panic inside a node is a violation too.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(&self, scenario: Scenario, prints: bool) -> Result<Figures, Violation> {
        let setting = self.get(&scenario);
        let run = AssertUnwindSafe(|| World::new(scenario, setting, prints).run());
        catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let what = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned();
            Err(Violation { rule: Rule::Running, what })
        })
    }
}

/// A seed whose run broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The rule, and how.
    pub violation: Violation,
}

/// What many runs were like.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// How many runs.
    pub runs: u64,
    /// Their sums; the hash is of no meaning here.
    pub sums: Figures,
    /// What went wrong, by seed.
    pub failures: Vec<Failure>,
}

impl Campaign {
    fn add(&mut self, seed: u64, run: Result<Figures, Violation>) {
        self.runs += 1;
        match run {
            Err(violation) => self.failures.push(Failure { seed, violation }),
            Ok(figures) => {
                let sums = &mut self.sums;
                sums.blocks += figures.blocks;
                sums.crashes += figures.crashes;
                sums.messages += figures.messages;
                sums.timeouts += figures.timeouts;
                sums.transactions += figures.transactions;
                sums.evidence += figures.evidence;
                sums.sets += figures.sets;
                sums.joined += figures.joined;
                sums.convicted += figures.convicted;
                sums.staked += figures.staked;
                sums.older += figures.older;
                sums.away += figures.away;
                sums.returns += figures.returns;
                sums.slashed += figures.slashed;
                sums.parameters += figures.parameters;
                sums.absent += figures.absent;
                sums.returned += figures.returned;
                sums.upgrades += figures.upgrades;
                sums.traded += figures.traded;
                sums.jobs += figures.jobs;
                sums.ended += figures.ended;
                sums.events += figures.events;
                sums.virtual_ms += figures.virtual_ms;
            }
        }
    }
}

/// Every so many seeds one is run twice: its event log must be the same.
const TWICE: u64 = 50;

/// Runs `seeds` seeds from `from` on, on so many threads, until `enough` have failed.
pub fn campaign(from: u64, seeds: u64, threads: usize, mistake: Option<Mistake>, enough: usize) -> Campaign {
    let (settings, next) = (Settings::default(), AtomicU64::new(from));
    let done = Mutex::new(Campaign::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= from.saturating_add(seeds) || done.lock().unwrap().failures.len() >= enough {
                return;
            }
            let run = run_checked(&settings, seed, mistake);
            done.lock().unwrap().add(seed, run);
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let mut campaign = done.into_inner().unwrap();
    campaign.failures.sort_by_key(|failure| failure.seed);
    campaign
}

/// One run; of some seeds two.
fn run_checked(settings: &Settings, seed: u64, mistake: Option<Mistake>) -> Result<Figures, Violation> {
    let run = || settings.run(Scenario::with(seed, mistake), false);
    let figures = run()?;
    if seed.is_multiple_of(TWICE) {
        let again = run()?;
        let what = || format!("two runs of seed {seed} differ: {figures:?} and {again:?}");
        check::must(Rule::Determinism, again == figures, what)?;
    }
    Ok(figures)
}
