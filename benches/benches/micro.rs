//! Single stages, timed by criterion: signatures, decoding, execution, the state's root. Whole
//! ways through the node are the binary `load`.

use benches::Result;
use benches::chain::{BenchChain, transfer};
use benches::yardstick::{BATCH, THREADS, Yardstick};
use chain_core::codec;
use chain_core::execute::{BlockContext, execute_block};
use chain_core::limits::MAX_TX_BYTES;
use chain_core::state::{Change, Tree};
use chain_core::tx::{Checked, Formed, Signed, check_many};
use chain_core::types::{Height, TimestampMs, View};
use criterion::{BatchSize, Criterion, Throughput};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::hint::black_box;
use std::time::Duration;

/// Transfers in a block, each of two accounts: 2 × 1,000 rows.
const TRANSFERS: usize = 1_000;
const SIZES: [usize; 2] = [10_000, 1_000_000];

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
    criterion.final_summary();
    Ok(())
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
