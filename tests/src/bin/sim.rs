//! `sim`: runs the simulator over many seeds, or shows the run of one.
//!
//! ```text
//! sim --seeds 2000 [--from 0] [--threads 2] [--enough 10]   many runs, until so many break a rule
//! sim --seed 17                                             one run with its event log
//! ```
//!
//! The name of a mistake (`NoSync`, …) anywhere builds it in.
//!
//! Not here: the simulation (`chain_tests::sim`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use chain_tests::sim::{Campaign, Figures, Mistake, Scenario, Settings, campaign};
use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        let text = arguments.get(place + 1).unwrap_or_else(|| panic!("{name} needs a number"));
        Some(text.parse::<u64>().unwrap_or_else(|error| panic!("{name} {text}: {error}")))
    };
    let named = |mistake: &Mistake| arguments.contains(&format!("{mistake:?}"));
    let mistake = Mistake::ALL.into_iter().find(named);
    match value("--seed") {
        Some(seed) => one(seed, mistake),
        None => {
            let seeds = (value("--from").unwrap_or(0), value("--seeds").unwrap_or(2_000));
            many(seeds, value("--threads").unwrap_or(2), value("--enough").unwrap_or(10), mistake)
        }
    }
}

fn one(seed: u64, mistake: Option<Mistake>) -> ExitCode {
    let scenario = Scenario::with(seed, mistake);
    println!("{scenario:#?}");
    match Settings::default().run(scenario, true) {
        Ok(figures) => {
            println!("{figures:#?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}

fn many((from, seeds): (u64, u64), threads: u64, enough: u64, mistake: Option<Mistake>) -> ExitCode {
    let began = Instant::now();
    let Campaign { runs, sums, failures } = campaign(from, seeds, threads as usize, mistake, enough as usize);
    let seconds = began.elapsed().as_secs_f64();
    println!("{runs} runs in {seconds:.1} s, {:.1} a second", runs as f64 / seconds);
    let Figures { blocks, transactions, messages, crashes, timeouts, evidence, .. } = sums;
    println!("{blocks} blocks, {transactions} transactions, {messages} messages, {crashes} crashes");
    println!("{timeouts} timeouts, {evidence} pieces of evidence, {} s of virtual time", sums.virtual_ms / 1_000);
    let Figures { sets, joined, convicted, .. } = sums;
    println!("{sets} changes of the set, {joined} candidates that signed, {convicted} convictions");
    let Figures { staked, slashed, parameters, absent, returned, upgrades, .. } = sums;
    println!("{staked} moves of stake, {slashed} slashed, {absent} jailed for absence, {returned} back");
    let Figures { older, away, returns, .. } = sums;
    println!("{older} older offences slashed, {away} jailed while away, {returns} back before they were forgotten");
    println!("{parameters} parameters changed, {upgrades} upgrades");
    println!("{} transactions of markets, {} jobs, {} of them ended", sums.traded, sums.jobs, sums.ended);
    for failure in &failures {
        let (seed, what) = (failure.seed, failure.violation.to_string());
        println!("seed {seed} at commit {}: {what}\n  replay: make sim SEED={seed}", commit());
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn commit() -> String {
    let head = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    head.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
