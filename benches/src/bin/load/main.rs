//! `load`: the figures of docs/benchmarks.md. Each mode measures the yardstick just before and
//! after every run (A B A B …), prints medians and ratios, and a row for the table.

mod network;

use benches::chain::BenchChain;
use benches::feed::{Outcome, Plan};
use benches::head::{self, BareServer};
use benches::node::{NodeProcess, node_binary};
use benches::report::{Figure, Run};
use benches::yardstick::{Rate, Yardstick};
use benches::{Result, listing, machine, pipeline, rpc, startup};
use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Measured this long whenever the yardstick is.
const YARDSTICK_TIME: Duration = Duration::from_millis(1500);
const WARM_UP: Duration = Duration::from_secs(2);
/// An idle node is watched this long.
const IDLE: Duration = Duration::from_secs(5);
const B_SIG: &str = "B_sig";
/// The modes with one validator, and those with several.
const ALONE: [Mode; 6] = [Mode::Signatures, Mode::Pipeline, Mode::Rpc, Mode::Head, Mode::Startup, Mode::Listing];
const TOGETHER: [Mode; 4] = [Mode::Finality, Mode::Outages, Mode::Validators, Mode::Sync];

/// Measures the chain against fixed yardsticks.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Every mode, one after the other, and a table in markdown
    #[arg(long, conflicts_with = "mode")]
    all: bool,
    /// The modes of several nodes: finality, outages, validators, sync
    #[arg(long, conflicts_with_all = ["mode", "all"])]
    network: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// Funded accounts [default: 1,000,000 for pipeline and startup, as many as senders for rpc]
    #[arg(long, global = true)]
    accounts: Option<usize>,
    /// Accounts that send; the official figures take at least 10,000
    #[arg(long, global = true, default_value_t = 10_240)]
    senders: usize,
    /// Jobs that are listed
    #[arg(long, global = true, default_value_t = 1_000_000)]
    jobs: u64,
    /// How long each run measures, after two seconds of warm-up
    #[arg(long, global = true, default_value_t = 10)]
    seconds: u64,
    /// Connections that send transactions, each waiting for its answers
    #[arg(long, global = true, default_value_t = 16)]
    connections: usize,
    /// Runs of each figure
    #[arg(long, global = true, default_value_t = 3)]
    repeat: usize,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// The node's binary [default: chain-node beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    node: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Mode {
    /// B_sig, and the chain's own verification against it
    Signatures,
    /// P1a: signatures, pool, execution and database without RPC
    Pipeline,
    /// P1 and P10: a node over bulk RPC
    Rpc,
    /// P9 and P22: reads per second; an idle node
    Head,
    /// P20 and P11: restart with many accounts; memory per account
    Startup,
    /// Lists of very many jobs, page by page
    Listing,
    /// P5 and P6: how soon blocks of four validators are final, with delayed lines and without
    Finality,
    /// P7 and P8: one of four validators dead; two of four missing, and one back
    Outages,
    /// P4: four validators over bulk RPC
    Validators,
    /// P2 and P3: a new node catches up with a chain of full blocks
    Sync,
    /// The server P9 compares with
    #[command(hide = true)]
    Bare {
        /// Length of every answer
        #[arg(long)]
        bytes: usize,
    },
}

fn main() -> Result<()> {
    let Cli { mode, all, network, options } = Cli::parse();
    let modes = match mode {
        Some(Mode::Bare { bytes }) => return runtime()?.block_on(head::serve_bare(bytes)),
        Some(mode) => vec![mode],
        None if all => [&ALONE[..], &TOGETHER].concat(),
        None if network => TOGETHER.to_vec(),
        None => return Err("say what to measure, or --all; see --help".into()),
    };
    let mut figures = Vec::new();
    for mode in modes {
        eprintln!("{mode:?} …");
        figures.extend(options.measure(mode)?);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!("{}\n\n{}", machine::facts()?, Figure::head());
    figures.iter().for_each(|figure| println!("{}", figure.row()));
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

impl Options {
    fn measure(&self, mode: Mode) -> Result<Vec<Figure>> {
        match mode {
            Mode::Signatures => self.signatures(),
            Mode::Pipeline => self.pipeline(),
            Mode::Rpc => self.rpc(),
            Mode::Head => runtime()?.block_on(self.head()),
            Mode::Startup => self.startup(),
            Mode::Listing => self.listing(),
            Mode::Finality => self.finality(),
            Mode::Outages => self.outages(),
            Mode::Validators => self.validators(),
            Mode::Sync => self.sync(),
            Mode::Bare { .. } => Ok(Vec::new()),
        }
    }

    fn binary(&self) -> Result<PathBuf> {
        self.node.clone().map_or_else(node_binary, Ok)
    }

    fn plan(&self) -> Plan {
        Plan { warm_up: WARM_UP, measured: Duration::from_secs(self.seconds), lanes: self.connections }
    }

    fn command(&self, mode: &str, accounts: usize) -> String {
        format!("load {mode} --accounts {accounts} --senders {} --seconds {}", self.senders, self.seconds)
    }

    fn signatures(&self) -> Result<Vec<Figure>> {
        let yardstick = Yardstick::prepare()?;
        let mut runs = Vec::new();
        let mut before = yardstick.measure(YARDSTICK_TIME)?;
        for _ in 0..self.repeat {
            let value = yardstick.measure_own(YARDSTICK_TIME)?;
            let after = yardstick.measure(YARDSTICK_TIME)?;
            runs.push(plain(value.per_s, before.between(after).per_s));
            before = after;
        }
        let figure = figure("–", "signatures verified (`verify_many`)", "/s", (0.95, 1.0), "load signatures".into());
        Ok(vec![Figure { runs, ..figure }])
    }

    fn pipeline(&self) -> Result<Vec<Figure>> {
        let accounts = self.accounts.unwrap_or(1_000_000);
        let chain = BenchChain::draw(1, self.senders, accounts)?;
        let outcomes = self.alternate(&chain, 1.0, |signed, plan| pipeline::run(&chain, signed, plan))?;
        let what = format!("committed transfers, library pipeline, {accounts} accounts");
        let figure = figure("P1a", &what, "/s", (0.70, 0.80), self.command("pipeline", accounts));
        let runs = outcomes.iter().map(|(b_sig, outcome)| committed(outcome, b_sig)).collect();
        Ok(vec![Figure { runs, remarks: trouble(&outcomes), ..figure }])
    }

    fn rpc(&self) -> Result<Vec<Figure>> {
        let (binary, accounts) = (self.binary()?, self.accounts.unwrap_or(self.senders));
        let chain = BenchChain::draw(1, self.senders, accounts)?;
        let outcomes = self.alternate(&chain, 1.0, |signed, plan| rpc::run(&chain, signed, plan, &binary))?;
        let command = format!("{} --connections {}", self.command("rpc", accounts), self.connections);
        let mut p1 = figure("P1", "committed transfers, one validator, bulk RPC", "/s", (0.55, 0.70), command.clone());
        let mut p10 = figure("P10", "accepted transfers, bulk RPC, first second", "/s", (0.70, 0.85), command);
        for (b_sig, outcome) in &outcomes {
            let mut run = committed(outcome, b_sig);
            run.notes.insert("node µs".into(), outcome.us(outcome.cpu.node_s));
            run.notes.insert("sender µs".into(), outcome.us(outcome.cpu.own_s));
            p1.runs.push(run);
            p10.runs.push(plain(outcome.accepted_per_s, b_sig.per_s));
        }
        p1.remarks = trouble(&outcomes);
        Ok(vec![p1, p10])
    }

    /// Yardstick, run, yardstick, run, …: each run with the mean of the yardsticks around it. All
    /// runs start from the same genesis, so they send the same transfers: `share` of as many as the
    /// yardstick verifies in the time.
    fn alternate(
        &self,
        chain: &BenchChain,
        share: f64,
        mut run: impl FnMut(&[Vec<u8>], &Plan) -> Result<Outcome>,
    ) -> Result<Vec<(Rate, Outcome)>> {
        let (yardstick, plan) = (Yardstick::prepare()?, self.plan());
        let mut before = yardstick.measure(YARDSTICK_TIME)?;
        // More than can become final in the time, unless the chain outruns that share of the yardstick.
        let signed = chain.sign_transfers((share * before.per_s * plan.total().as_secs_f64()) as usize)?;
        let mut outcomes = Vec::new();
        for _ in 0..self.repeat {
            let outcome = run(&signed, &plan)?;
            let after = yardstick.measure(YARDSTICK_TIME)?;
            let b_sig = before.between(after);
            eprintln!("  {:.0} committed/s, B_sig {:.0}/s", outcome.committed_per_s, b_sig.per_s);
            outcomes.push((b_sig, outcome));
            before = after;
        }
        Ok(outcomes)
    }

    async fn head(&self) -> Result<Vec<Figure>> {
        let dir = tempfile::tempdir()?;
        let net = dir.path().join("net");
        BenchChain::draw(1, 10, 10)?.write(&net)?;
        let node = NodeProcess::start(&self.binary()?, &net).await?;
        let idle = head::idle_share(node.pid(), IDLE).await?;
        let bare = BareServer::start(head::answer_bytes(node.rpc).await?)?;
        let (connections, time) = (head::default_connections(), Duration::from_secs(self.seconds.div_ceil(3)));
        let mut runs = Vec::new();
        let mut before = head::requests_per_s(bare.address, connections, time).await?;
        for _ in 0..self.repeat {
            let value = head::requests_per_s(node.rpc, connections, time).await?;
            let after = head::requests_per_s(bare.address, connections, time).await?;
            runs.push(plain(value, (before + after) / 2.0));
            before = after;
        }
        node.stop()?;
        let reads = Figure {
            yardstick: "bare hyper",
            runs,
            ..figure("P9", "`get_head`", "/s", (0.60, 0.80), "load head".into())
        };
        let what = "idle validator, a block every 250 ms: share of a core";
        let mut rest = figure("P22", what, "", (0.02, 0.007), "load head".into());
        (rest.yardstick, rest.runs) = ("one core", vec![plain(idle, 1.0)]);
        Ok(vec![reads, rest])
    }

    fn startup(&self) -> Result<Vec<Figure>> {
        let accounts = self.accounts.unwrap_or(1_000_000);
        let starts = startup::run(accounts, self.repeat, &self.binary()?)?;
        let command = format!("load startup --accounts {accounts}");
        let what = format!("restart to the first answer, {accounts} accounts");
        let mut restart = figure("P20", &what, "s", (6.0, 3.0), command.clone());
        let mut memory = figure("P11", "resident bytes per account", "B", (200.0, 150.0), command);
        (restart.yardstick, memory.yardstick) = ("reading the files", "1 B");
        for start in starts {
            let mut run = plain(start.start.as_secs_f64(), start.read.as_secs_f64());
            run.notes.insert("files MB".into(), start.bytes as f64 / 1e6);
            restart.runs.push(run);
            memory.runs.push(plain(start.resident as f64 / accounts as f64, 1.0));
        }
        Ok(vec![restart, memory])
    }
}

impl Options {
    /// A page near the end against one at the beginning: what a page costs does not depend on where it is.
    fn listing(&self) -> Result<Vec<Figure>> {
        let command = format!("load listing --jobs {}", self.jobs);
        let listed = listing::run(self.jobs)?.into_iter().map(|list| {
            let what = format!(
                "{} of {} jobs ({}): a page of {} near the end",
                list.jobs,
                self.jobs,
                list.list,
                listing::PAGE
            );
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let mut run = plain(ms(list.last), ms(list.first));
            run.notes.insert("jobs/s".into(), list.jobs as f64 / list.whole.as_secs_f64());
            run.notes.insert("pages".into(), list.pages as f64);
            run.notes.insert("memory grew by MB".into(), list.grown as f64 / 1e6);
            let listed = figure("–", &what, "ms", (3.0, 1.5), command.clone());
            Figure { runs: vec![run], yardstick: "first pages", ..listed }
        });
        Ok(listed.collect())
    }
}

fn figure(id: &'static str, what: &str, unit: &'static str, (floor, goal): (f64, f64), command: String) -> Figure {
    let (what, yardstick) = (what.into(), B_SIG);
    Figure { id, what, unit, yardstick, floor, goal, command, runs: Vec::new(), remarks: Vec::new() }
}

fn plain(value: f64, baseline: f64) -> Run {
    Run { value, baseline, utilisation: None, machine: None, notes: BTreeMap::new() }
}

fn committed(outcome: &Outcome, b_sig: &Rate) -> Run {
    let notes = BTreeMap::from([("c_rest µs".into(), outcome.rest_us(b_sig)), ("signature µs".into(), b_sig.cpu_us)]);
    let (utilisation, machine) = (Some(outcome.cpu.ours), Some(outcome.cpu.machine));
    Run { value: outcome.committed_per_s, baseline: b_sig.per_s, utilisation, machine, notes }
}

/// What was put off or refused, if anything was.
fn trouble(outcomes: &[(Rate, Outcome)]) -> Vec<String> {
    let mut remarks = Vec::new();
    let put_off: u64 = outcomes.iter().map(|(_, outcome)| outcome.put_off).sum();
    if put_off > 0 {
        remarks.push(format!("offered again {put_off} times"));
    }
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in outcomes.iter().flat_map(|(_, outcome)| &outcome.refused) {
        *refused.entry(reason).or_default() += count;
    }
    remarks.extend(refused.iter().map(|(reason, count)| format!("**refused {count}: {reason}**")));
    remarks
}
