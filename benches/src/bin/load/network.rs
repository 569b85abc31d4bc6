//! The figures of several validators: how soon blocks are final, what a missing validator costs,
//! what four commit on one machine, how fast a new node catches up.

use crate::{Options, committed, figure, plain, runtime, trouble};
use benches::chain::BenchChain;
use benches::network::{Return, VALIDATORS, finality, interval_without_one, load, recovery};
use benches::report::{Figure, Run};
use benches::yardstick::{Rate, Yardstick};
use benches::{Result, sync};
use chain_core::limits::RETRY_MS;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// One way, on every line between two validators.
const DELAY: Duration = Duration::from_millis(40);
/// Blocks whose finality is read, on each of four nodes.
const FINALITY_BLOCKS: usize = 120;
/// Block times with a dead validator, and how many blocks.
const WITHOUT_ONE: [(Duration, usize); 2] = [(Duration::from_millis(500), 160), (Duration::from_secs(2), 60)];
/// How many transfers are signed, as a share of what the yardstick does in the time: four nodes
/// that verify everything can't commit a quarter of it.
const SIGNED: f64 = 0.25;

impl Options {
    /// P5 and P6.
    pub fn finality(&self) -> Result<Vec<Figure>> {
        let (chain, binary, runtime) = (BenchChain::draw(VALIDATORS, 10, 10)?, self.binary()?, runtime()?);
        let far = runtime.block_on(finality(&chain, &binary, DELAY, FINALITY_BLOCKS))?;
        let near = runtime.block_on(finality(&chain, &binary, Duration::ZERO, FINALITY_BLOCKS))?;
        let command = || "load finality".to_owned();
        let mut p5 = figure("P5", "finality p50, 4 validators, 40 ms between any two", "ms", (1.35, 1.15), command());
        (p5.yardstick, p5.runs) = ("3 × 40 ms", vec![plain(far.p50_ms, 3.0 * DELAY.as_millis() as f64)]);
        let p6 = |what: &str, times: benches::network::Finality| {
            let mut figure = figure("P6", what, "ms", (2.0, 1.5), command());
            (figure.yardstick, figure.runs) = ("p50", vec![plain(times.p99_ms, times.p50_ms)]);
            figure
        };
        Ok(vec![p5, p6("finality p99, 40 ms between any two", far), p6("finality p99, no delay", near)])
    }

    /// P7 and P8.
    pub fn outages(&self) -> Result<Vec<Figure>> {
        let (chain, binary, runtime) = (|| BenchChain::draw(VALIDATORS, 10, 10), self.binary()?, runtime()?);
        // At once: so many idle nodes don't disturb each other, and two seconds a block take their time.
        let dead = WITHOUT_ONE.map(|(block_time, blocks)| {
            let (chain, binary) = (chain().and_then(|chain| chain.with_block_time(block_time)), &binary);
            async move { interval_without_one(&chain?, binary, blocks).await }
        });
        let intervals = runtime.block_on(try_join_all(dead))?;
        let mut figures = Vec::new();
        for ((block_time, blocks), interval) in WITHOUT_ONE.into_iter().zip(intervals) {
            let what = format!("mean of {blocks} intervals, 1 of 4 validators dead");
            let mut p7 = figure("P7", &what, "ms", (1.10, 1.02), "load outages".into());
            let mut run = plain(interval.mean_ms, block_time.as_millis() as f64);
            run.notes.insert("share of blocks of a later view".into(), interval.later_view);
            (p7.yardstick, p7.runs) = ("block time", vec![run]);
            figures.push(p7);
        }
        for (back, what) in [
            (Return::Continued, "quorum back (SIGCONT) → next final block"),
            (Return::Restarted, "process of the missing validator started → next final block"),
        ] {
            let times = runtime.block_on(recovery(&chain()?, &binary, back, self.repeat))?;
            let mut p8 = figure("P8", what, "ms", (2.5, 1.5), "load outages".into());
            let run = |time: Duration| plain(time.as_secs_f64() * 1000.0, RETRY_MS as f64);
            (p8.yardstick, p8.runs) = ("retry", times.into_iter().map(run).collect());
            figures.push(p8);
        }
        Ok(figures)
    }

    /// P4.
    pub fn validators(&self) -> Result<Vec<Figure>> {
        let (binary, accounts) = (self.binary()?, self.accounts.unwrap_or(self.senders));
        let chain = BenchChain::draw(VALIDATORS, self.senders, accounts)?;
        let mut shapes = Vec::new();
        let outcomes = self.alternate(&chain, SIGNED, |signed, plan| {
            let loaded = load(&chain, signed, plan, &binary)?;
            shapes.push((loaded.blocks, loaded.later_view));
            Ok(loaded.outcome)
        })?;
        let command = format!("{} --connections {}", self.command("validators", accounts), self.connections);
        let what = "committed transfers, 4 validators on this machine, bulk RPC";
        let mut p4 = figure("P4", what, "/s", (0.10, 0.18), command);
        for ((b_sig, outcome), (blocks, later_view)) in outcomes.iter().zip(shapes) {
            let mut run = committed(outcome, b_sig);
            run.notes.insert("blocks".into(), blocks as f64);
            run.notes.insert("share of blocks of a later view".into(), later_view);
            p4.runs.push(run);
        }
        p4.remarks = trouble(&outcomes);
        Ok(vec![p4])
    }

    /// P2 and P3, with a chain one validator made as for P1.
    pub fn sync(&self) -> Result<Vec<Figure>> {
        let (binary, accounts) = (self.binary()?, self.accounts.unwrap_or(self.senders));
        let chain = BenchChain::draw(1, self.senders, accounts)?;
        let per_s = Yardstick::prepare()?.measure(crate::YARDSTICK_TIME)?.per_s;
        let signed = chain.sign_transfers((per_s * self.plan().total().as_secs_f64()) as usize)?;
        let mut network = load(&chain, &signed, &self.plan(), &binary)?.cluster;
        let command = self.command("sync", accounts);
        let mut figures = Vec::new();
        for (id, mode, limits) in [("P2", "full", (0.60, 0.80)), ("P3", "certificate", (2.5, 4.0))] {
            let what = format!("transfers caught up with from one peer, `sync_mode = {mode}`");
            let catch_up = || runtime()?.block_on(sync::run(&mut network, &chain, mode));
            figures.push(Figure { runs: self.caught(catch_up)?, ..figure(id, &what, "/s", limits, command.clone()) });
        }
        Ok(figures)
    }

    /// Yardstick, run, yardstick, run, ….
    fn caught(&self, mut catch_up: impl FnMut() -> Result<sync::Caught>) -> Result<Vec<Run>> {
        let yardstick = Yardstick::prepare()?;
        let mut runs = Vec::new();
        let mut before = yardstick.measure(crate::YARDSTICK_TIME)?;
        for _ in 0..self.repeat {
            let caught = catch_up()?;
            let after = yardstick.measure(crate::YARDSTICK_TIME)?;
            runs.push(run(&caught, &before.between(after)));
            before = after;
        }
        Ok(runs)
    }
}

fn run(caught: &sync::Caught, b_sig: &Rate) -> Run {
    let us = (caught.cpu.own_s + caught.cpu.node_s) * 1e6 / caught.transfers as f64;
    let notes = [
        ("both nodes µs", us),
        ("signature µs", b_sig.cpu_us),
        ("blocks", caught.blocks as f64),
        ("transfers", caught.transfers as f64),
    ];
    let notes: BTreeMap<String, f64> = notes.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let (utilisation, machine) = (Some(caught.cpu.ours), Some(caught.cpu.machine));
    Run { value: caught.per_s, baseline: b_sig.per_s, utilisation, machine, notes }
}
