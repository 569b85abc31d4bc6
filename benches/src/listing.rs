//! Lists of very many jobs: what a page takes at the beginning and near the end, how many jobs a second are listed,
//! and what memory that takes. The index is made by its own writer from rows of the state, in a node's database; no
//! job was opened by a transaction.

use crate::Result;
use crate::chain::BenchChain;
use crate::machine::{peak_bytes, reset_peak, resident_bytes};
use chain_core::Fault;
use chain_core::crypto::Hash;
use chain_core::ledger::CommittedBlock;
use chain_core::ledger::market::{JobFilter, JobRow, JobState, Reading, Sorting, Source, index_market, list_jobs};
use chain_core::state::market::job::{JOB_FORGETTING, JOBS, Job, Meter, Mode, Status, Terms};
use chain_core::state::market::provider::DisputeTerms;
use chain_core::state::market::settle::{Cause, Settlement};
use chain_core::state::market::{MarketParams, terms::AssetTerms};
use chain_core::state::{Overlay, Tree, params};
use chain_core::storage::{RocksOptions, RocksStore, Store};
use chain_core::types::{
    Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units,
};
use chain_rpc::view::JobView;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Jobs in a page.
pub const PAGE: usize = 100;
/// Who pays, who works, what works: each draws its part of the jobs.
const PAYERS: usize = 1_000;
const PROVIDERS: usize = 100;
const MODELS: u8 = 10;
/// Rows that are put into the state at a time.
const BATCH: u64 = 100_000;
/// So many pages are the beginning, and so many the end.
const EDGE: usize = 10;

/// One list, read page by page to its end.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// Which.
    pub list: &'static str,
    /// Jobs in it.
    pub jobs: usize,
    /// Pages it came in.
    pub pages: usize,
    /// Mean time of the first pages.
    pub first: Duration,
    /// Mean time of the last pages.
    pub last: Duration,
    /// Time of all.
    pub whole: Duration,
    /// Most memory it took besides what was there before, in bytes.
    pub grown: u64,
}

fn any_terms() -> AssetTerms {
    let (least, most) = (Amount::new(1), Amount::MAX_SUPPLY);
    let (min_price, max_price) = (Price::new(1), Price::new(1_000_000));
    AssetTerms { accepted: true, min_deposit: least, max_deposit: most, min_price, max_price }
}

/// An open job whose model and provider are the first, as good as any other for whoever only looks at rows.
pub fn open_job(payer: Address, provider: Address, queued: MarketMs, silence_s: u32) -> Job {
    Job {
        payer,
        opener: payer,
        provider,
        provider_id: ProviderId::new(1),
        payout: provider,
        model: ModelId(Hash([5; 32])),
        asset: AssetId::NATIVE,
        unit_kind: UnitKind::Tokens,
        price: Price::new(5_000),
        deposit: Amount::new(10_000_000),
        spent: Amount::ZERO,
        returned: Amount::ZERO,
        mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
        terms: Terms::new(&MarketParams::default(), 2_000, UnitKind::Tokens, &any_terms()),
        started: MarketMs::ZERO,
        duration_s: 86_400,
        silence_s,
        leg: 0,
        handover: None,
        meter: Meter::new(MarketMs::ZERO),
        queued,
        client_ref: None,
        status: Status::Active,
    }
}

/// A state with its lists.
struct Market {
    store: RocksStore,
    tree: Tree,
}

impl Source for Market {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn look(
        &self,
        look: &mut dyn FnMut(Height, &Tree) -> std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        look(Height::ZERO, &self.tree)
    }

    fn block(&self, _: Height) -> std::result::Result<Option<Arc<CommittedBlock>>, Fault> {
        Ok(None)
    }

    fn oldest_body(&self) -> Height {
        Height::new(1)
    }
}

/// Makes so many jobs, half of them settled, and lists them.
pub fn run(jobs: u64) -> Result<Vec<Listing>> {
    let chain = BenchChain::draw(1, 1, PAYERS + PROVIDERS)?;
    let dir = tempfile::tempdir()?;
    let store = RocksStore::open(&dir.path().join("db"), &RocksOptions::default())?;
    let market = Market { store, tree: with_jobs(&chain, jobs)? };
    let start = Instant::now();
    while index_market(&market, 64)? > 0 {}
    market.store.flush()?;
    eprintln!("  {jobs} jobs indexed in {:.1} s", start.elapsed().as_secs_f64());
    let payer = chain.accounts.first().copied();
    let provider = chain.accounts.get(PAYERS).copied();
    let (model, state) = (Some(ModelId(Hash([0; 32]))), Some(JobState::Active));
    let all = JobFilter::default();
    let lists = [
        ("all", all),
        ("of a payer", JobFilter { payer, ..all }),
        ("of a provider", JobFilter { provider, ..all }),
        ("of a model", JobFilter { model, ..all }),
        ("active", JobFilter { state, ..all }),
        ("active, of a model", JobFilter { model, state, ..all }),
        ("active, of a payer, a provider and a model", JobFilter { payer, provider, model, state, ..all }),
    ];
    lists.into_iter().map(|(list, filter)| list_all(&market, list, &filter)).collect()
}

fn list_all(market: &Market, list: &'static str, filter: &JobFilter) -> Result<Listing> {
    let own = std::process::id();
    let before = resident_bytes(own)?;
    reset_peak()?;
    let (mut times, mut jobs, mut after) = (Vec::new(), 0, None::<Vec<u8>>);
    loop {
        let start = Instant::now();
        let mut take = |_: &Reading<'_>, (id, row): (JobId, JobRow)| {
            let JobRow::Job(job) = row else { return Ok(None) };
            Ok(Some(JobView::of(id, &job, DisputeTerms::default(), MarketMs::ZERO)))
        };
        let page = list_jobs(market, filter, Sorting::Newest, (after.as_deref(), PAGE), &mut take)?;
        times.push(start.elapsed());
        jobs += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let edge = EDGE.min(times.len().div_ceil(2));
    let mean = |times: &[Duration]| times.iter().sum::<Duration>() / u32::try_from(times.len().max(1)).unwrap_or(1);
    // The very last page is rarely full.
    let full = times.get(..times.len() - 1).filter(|full| !full.is_empty()).unwrap_or(&times);
    let grown = peak_bytes(own)?.saturating_sub(before);
    Ok(Listing {
        list,
        jobs,
        pages: times.len(),
        first: mean(times.get(..edge).unwrap_or(&times)),
        last: mean(full.get(full.len().saturating_sub(edge)..).unwrap_or(full)),
        whole: times.iter().sum(),
        grown,
    })
}

fn with_jobs(chain: &BenchChain, jobs: u64) -> Result<Tree> {
    let (mut tree, _) = chain.genesis.build()?;
    let kept_s = params(&tree)?.retention_s;
    let (payers, providers) = chain.accounts.split_at(PAYERS);
    let mut random = StdRng::seed_from_u64(1);
    for first in (1..=jobs).step_by(usize::try_from(BATCH)?) {
        let mut overlay = Overlay::new(&tree);
        for number in first..(first + BATCH).min(jobs + 1) {
            let (id, at) = (JobId::new(number), MarketMs::new(number));
            let (payer, provider) = (payers[random.random_range(0..PAYERS)], random.random_range(0..PROVIDERS));
            let model = ModelId(Hash([random.random_range(0..MODELS); 32]));
            let mut job = Job { model, ..open_job(payer, providers[provider], MarketMs::new(1_000_000_000), 3_600) };
            if random.random_range(0..2) == 0 {
                let settlement = Settlement {
                    billable: Units::ZERO,
                    gross: Amount::ZERO,
                    fee: Amount::ZERO,
                    provider: Amount::ZERO,
                    early_fee: Amount::ZERO,
                    refund: job.deposit,
                };
                job.status = Status::Settled { cause: Cause::PayerCompleted, settlement, at };
                JOB_FORGETTING.put(&mut overlay, &(at.plus_s(kept_s), id), &());
            }
            JOBS.put(&mut overlay, &id, &job);
        }
        let delta = tree.preview(overlay.into_changes());
        tree.commit(delta)?;
    }
    Ok(tree)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_listed() {
        let listed = run(3_000).unwrap();
        let of = |name: &str| listed.iter().find(|one| one.list == name).unwrap().jobs;
        assert_eq!((of("all"), listed[0].pages), (3_000, 30));
        assert!((1_300..1_700).contains(&of("active")) && (200..400).contains(&of("of a model")));
    }
}
