//! Single stages, timed by criterion: signatures, decoding, execution, the state's root, ends of jobs, a market in use.
//! Whole ways through the node are the binary `load`.

use benches::Result;
use benches::chain::{BenchChain, transfer};
use benches::listing::open_job;
use benches::yardstick::{BATCH, THREADS, Yardstick};
use chain_core::codec;
use chain_core::execute::{BlockContext, Execution, execute_block};
use chain_core::limits::MAX_TX_BYTES;
use chain_core::state::market::fading::Fading;
use chain_core::state::market::job::{JOB_ENDS, JOBS, OPEN_PAIRS};
use chain_core::state::market::provider::{PROVIDERS, Provider, ProviderState};
use chain_core::state::{Change, Overlay, Tree};
use chain_core::testing::market::{Histories, LONG_STEP_MS, chain as market_chain};
use chain_core::tx::{Checked, Formed, Signed, check_many};
use chain_core::types::{Amount, Height, JobId, MarketMs, ProviderId, TimestampMs, View};
use criterion::{BatchSize, Criterion, Throughput};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

/// Transfers in a block, each of two accounts: 2 × 1,000 rows.
const TRANSFERS: usize = 1_000;
const SIZES: [usize; 2] = [10_000, 1_000_000];
/// Steps of a market's history before its block, and in it.
const STEPS: usize = 500;
/// Jobs that are open at once.
const OPEN_JOBS: u64 = 100_000;

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    signatures(&mut criterion)?;
    decoding(&mut criterion)?;
    for accounts in SIZES {
        let chain = BenchChain::draw(1, TRANSFERS, accounts)?;
        let (mut tree, header) = chain.genesis.build()?;
        let context = BlockContext {
            chain: chain.genesis.chain_id(),
            height: Height::new(1),
            view: View::ZERO,
            timestamp: TimestampMs::new(header.timestamp_ms.get() + 250),
            proposer: chain.validator().public(),
        };
        let transfers = checked(&chain)?;
        execution(&mut criterion, &tree, context, &transfers);
        root(&mut criterion, &mut tree);
    }
    ends_of_jobs(&mut criterion)?;
    a_market_in_use(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// A block of what people of a market want after half a day of it, refusals included: the load of the properties and
/// of the simulator, drawn on one state.
fn a_market_in_use(criterion: &mut Criterion) -> Result<()> {
    let (mut histories, mut chain) = (Histories::with(1, 20), market_chain(LONG_STEP_MS));
    for _ in 0..STEPS {
        chain.time = Some(histories.time(&chain.tree));
        let step = histories.next(&chain.tree);
        if let Ok(transaction) = step.checked(chain.account(&step.sender()).nonce) {
            chain.build(&[transaction]);
        }
    }
    chain.time = Some(histories.time(&chain.tree));
    let (mut execution, mut nonces) = (Execution::start(&chain.tree, chain.next())?, BTreeMap::new());
    let mut body = Vec::new();
    while body.len() < STEPS {
        let step = histories.next(&chain.tree);
        let nonce = nonces.entry(step.by).or_insert_with(|| chain.account(&step.sender()).nonce);
        let Ok(transaction) = step.checked(*nonce) else { continue };
        if execution.push(&transaction).is_ok() {
            *nonce += 1;
            body.push(transaction);
        }
    }
    let mut group = criterion.benchmark_group("execute a block of what a market wants");
    group.throughput(Throughput::Elements(body.len() as u64));
    group.bench_function(format!("{} rows", chain.tree.len()), |bencher| {
        bencher.iter(|| assert!(execute_block(&chain.tree, chain.next(), &body).is_ok()));
    });
    group.finish();
    Ok(())
}

/// Blocks without transactions: with no jobs at all, with 10^5 that go on, with 10^5 that are all due at once
/// (of which a block settles its 1024), and with 10^5 that stand in front and turn out not to be due yet.
fn ends_of_jobs(criterion: &mut Criterion) -> Result<()> {
    let chain = BenchChain::draw(1, 1, SIZES[0])?;
    let (_, header) = chain.genesis.build()?;
    let context = BlockContext {
        chain: chain.genesis.chain_id(),
        height: Height::new(1),
        view: View::ZERO,
        timestamp: TimestampMs::new(header.timestamp_ms.get() + 2_000),
        proposer: chain.validator().public(),
    };
    let mut group = criterion.benchmark_group("a block without transactions");
    let (soon, late) = (MarketMs::new(1), MarketMs::new(1_000_000_000));
    for (name, jobs, queued, silence_s) in [
        ("no jobs", 0, late, 3_600),
        ("100000 jobs that go on", OPEN_JOBS, late, 3_600),
        ("100000 jobs in front, not due", OPEN_JOBS, soon, 3_600),
        ("100000 jobs that are due", OPEN_JOBS, soon, 0),
    ] {
        let tree = with_jobs(&chain, jobs, queued, silence_s)?;
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(execute_block(&tree, context, &[]).is_ok()));
        });
    }
    group.finish();
    Ok(())
}

/// The chain's first state with so many open jobs of as many payers, each under this time in the queue.
fn with_jobs(chain: &BenchChain, jobs: u64, queued: MarketMs, silence_s: u32) -> Result<Tree> {
    let (mut tree, _) = chain.genesis.build()?;
    let mut overlay = Overlay::new(&tree);
    let provider = chain.accounts[0];
    let row = Provider {
        id: ProviderId::new(1),
        state: ProviderState::Active,
        bond: Amount::new(10u128.pow(24)),
        open_jobs: u32::try_from(jobs)?,
        free_from: None,
        operator: None,
        payout: provider,
        last_slash: None,
        slashed_bps: Fading::default(),
        last_seen: MarketMs::ZERO,
    };
    PROVIDERS.put(&mut overlay, &provider, &row);
    for number in 1..=jobs {
        let payer = chain.accounts[number as usize % chain.accounts.len()];
        let id = JobId::new(number);
        JOBS.put(&mut overlay, &id, &open_job(payer, provider, queued, silence_s));
        JOB_ENDS.put(&mut overlay, &(queued, id), &());
        let open = OPEN_PAIRS.get(&overlay, &(payer, row.id))?.unwrap_or_default();
        OPEN_PAIRS.put(&mut overlay, &(payer, row.id), &(open + 1));
    }
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta)?;
    Ok(tree)
}

fn checked(chain: &BenchChain) -> Result<Vec<Checked>> {
    let checked = check_many(&chain.genesis.chain_id(), &chain.sign_transfers(TRANSFERS)?);
    Ok(checked.into_iter().collect::<std::result::Result<_, _>>()?)
}

/// One iteration is one batch on each of the threads, all at once.
fn signatures(criterion: &mut Criterion) -> Result<()> {
    let yardstick = Yardstick::prepare()?;
    let mut group = criterion.benchmark_group("signatures, 2 threads, batches of 256");
    group.throughput(Throughput::Elements((THREADS * BATCH) as u64));
    for (name, with_own) in [("B_sig (ed25519-zebra)", false), ("verify_many", true)] {
        let time = |batches| yardstick.time(batches, with_own).unwrap_or(Duration::MAX);
        group.bench_function(name, |bencher| bencher.iter_custom(time));
    }
    group.finish();
    Ok(())
}

fn decoding(criterion: &mut Criterion) -> Result<()> {
    let chain = BenchChain::draw(1, 1, 1)?;
    let id = chain.genesis.chain_id();
    let bytes = transfer(&id, &chain.senders[0], 0, chain.accounts[0])?;
    let signed: Signed = codec::decode(&bytes, MAX_TX_BYTES)?;
    let mut group = criterion.benchmark_group("a transfer");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| codec::encode(black_box(&signed))));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| codec::decode::<Signed>(black_box(&bytes), MAX_TX_BYTES).is_ok());
    });
    group.bench_function("decode, check the form, both ids", |bencher| {
        bencher.iter(|| Formed::read(&id, black_box(&bytes)).is_ok());
    });
    group.finish();
    Ok(())
}

/// Execution with all roots, without commit and database.
fn execution(criterion: &mut Criterion, tree: &Tree, context: BlockContext, transfers: &[Checked]) {
    let mut group = criterion.benchmark_group("execute a block of 1000 transfers");
    group.throughput(Throughput::Elements(transfers.len() as u64));
    group.bench_function(format!("{} rows", tree.len()), |bencher| {
        bencher.iter(|| assert!(execute_block(tree, context, transfers).is_ok()));
    });
    group.finish();
}

/// New values for 2 × 1,000 random rows: preview, which computes the root, and commit.
fn root(criterion: &mut Criterion, tree: &mut Tree) {
    let keys: Vec<_> = tree.rows().map(|(key, _, value)| (*key, value.len())).collect();
    let mut random = StdRng::seed_from_u64(1);
    let mut changes = || -> Vec<Change> {
        let mut change = || {
            let (key, length) = keys[random.random_range(0..keys.len())];
            let mut value = vec![0; length].into_boxed_slice();
            random.fill_bytes(&mut value);
            (key, Some(value))
        };
        let mut changes: Vec<Change> = (0..2 * TRANSFERS).map(|_| change()).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        changes.dedup_by_key(|(key, _)| *key);
        changes
    };
    let mut group = criterion.benchmark_group("root and commit of 2000 changed rows");
    group.throughput(Throughput::Elements(2 * TRANSFERS as u64));
    group.bench_function(format!("{} rows", tree.len()), |bencher| {
        bencher.iter_batched(
            &mut changes,
            |changes| {
                let delta = tree.preview(changes);
                tree.commit(delta).is_ok()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}
