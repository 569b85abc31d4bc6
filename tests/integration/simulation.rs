//! The simulator's share of every commit: seeds in which nothing may be broken, and mistakes built in
//! on purpose, each of which must be found.
//!
//! Not here: the simulation (`sim`), long runs (`make sim`).

use chain_tests::sim::{Campaign, Failure, Mistake, Rule, Scenario, Settings, campaign};

/// Seeds of every commit.
const SEEDS: u64 = 2_000;
/// Within so many seeds a mistake has to be found.
const PATIENCE: u64 = 400;

#[test]
fn no_seed_breaks_a_rule() {
    let Campaign { runs, sums, failures } = campaign(0, SEEDS, 2, None, 3);
    println!("{runs} runs: {sums:?}");
    let replay = |failure: &Failure| format!("make sim SEED={}: {}", failure.seed, failure.violation);
    let failures: Vec<_> = failures.iter().map(replay).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Where nothing changes, nothing about changes is shown.
    assert!(sums.sets > SEEDS / 2 && sums.joined > SEEDS / 20 && sums.convicted > SEEDS / 20, "{sums:?}");
    assert!(sums.staked > SEEDS && sums.slashed > SEEDS / 40 && sums.parameters > SEEDS / 2, "{sums:?}");
    assert!(sums.absent > SEEDS / 200 && sums.returned > SEEDS / 1_000 && sums.upgrades > SEEDS / 50, "{sums:?}");
    assert!(sums.traded > 2 * SEEDS && sums.jobs > SEEDS / 4 && sums.ended > SEEDS / 20, "{sums:?}");
    let left = [sums.older, sums.away, sums.returns];
    assert!(left.into_iter().all(|count| count > SEEDS / 400), "{sums:?}");
}

#[test]
fn a_seed_is_one_run() {
    let (first, second) = (Settings::default(), Settings::default());
    for seed in 10_000..10_010 {
        let [a, b] = [&first, &second].map(|settings| settings.run(Scenario::of(seed), false).unwrap());
        assert_eq!(a, b, "seed {seed}");
    }
    let hash = |seed| first.run(Scenario::of(seed), false).unwrap().log_hash;
    assert_ne!(hash(10_000), hash(10_001));
}

/// Some seed shows the mistake as one of these rules. A mistake may break others as well: who lost
/// the memory of what it signed is held back by the second one, and then the chain may stand still.
fn found(mistake: Mistake, rules: &[Rule]) {
    let step = 20;
    for from in (0..PATIENCE).step_by(step) {
        let Campaign { failures, .. } = campaign(from, step as u64, 2, Some(mistake), step);
        if let Some(failure) = failures.iter().find(|failure| rules.contains(&failure.violation.rule)) {
            return println!("{mistake:?}: seed {}: {}", failure.seed, failure.violation);
        }
    }
    panic!("{mistake:?} is not found in {PATIENCE} runs");
}

#[test]
fn half_as_a_quorum_is_found() {
    found(Mistake::HalfIsQuorum, &[Rule::Agreement]);
}

#[test]
fn a_log_that_is_not_synced_is_found() {
    found(Mistake::NoSync, &[Rule::Acknowledged, Rule::NoDoubleSignature]);
}

#[test]
fn more_twins_than_the_bound_are_found() {
    found(Mistake::TooManyTwins, &[Rule::Agreement]);
}

#[test]
fn a_validator_without_memory_is_found() {
    found(Mistake::Amnesia, &[Rule::NoDoubleSignature, Rule::Monotone, Rule::Acknowledged]);
}

#[test]
fn an_order_that_a_hash_map_gives_is_found() {
    found(Mistake::UnorderedMap, &[Rule::Determinism]);
}
