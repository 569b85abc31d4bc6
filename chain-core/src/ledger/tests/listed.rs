//! A real chain with a market: its lists after a snapshot, after pruning, and where pruning went past them.

use super::*;
use crate::ledger::market::{
    JobFilter, JobRow, Page, Reading, Sorting, find_receipt, index_market, list_jobs, list_receipts, market_indexed,
};
use crate::state::market::job::{Funding, JOBS, Job, Mode};
use crate::state::market::provider::{OfferTerms, Profile};
use crate::state::market::terms::AssetTerms;
use crate::state::{Roles, money};
use crate::storage::{Direction, KeyRange, Table};
use crate::tx::{job, market, model, provider, receipt};
use std::collections::BTreeMap;

const SELLER: u8 = 2;
const BUYER: u8 = 3;

fn trading() -> Genesis {
    let mut params = Params { retention_s: 60, ..Params::default() };
    params.market.bond_floor = Amount::new(100);
    params.market.min_bond = Amount::new(1_000);
    params.market.bond_per_slot = Amount::new(1);
    let roles = Roles { curator: Some(address(1)), ..Roles::default() };
    Genesis { params, roles, ..genesis(7) }
}

struct Trade {
    maker: Maker,
    store: Arc<MemoryStore>,
}

impl Trade {
    fn open(store: Arc<MemoryStore>) -> Self {
        let chain = open(store.clone(), &trading(), &mut |_| {}).unwrap().chain;
        Self { maker: Maker { chain, signers: secrets(&[200, 201, 202, 203]) }, store }
    }

    /// A market with an offer.
    fn new() -> Self {
        let trade = Self::open(Arc::new(MemoryStore::new()));
        let spec = model::example_spec();
        let served = codec::List::new(vec![spec.id()]).unwrap();
        let (min_price, max_price) = (Price::new(1), Price::new(1_000_000));
        let (min_deposit, max_deposit) = (Amount::new(1), Amount::new(1_000_000));
        let terms = AssetTerms { accepted: true, min_deposit, max_deposit, min_price, max_price };
        let asset = AssetId::NATIVE;
        let models = codec::List::new(vec![spec.clone()]).unwrap();
        trade.block(vec![(1, Action::Model(model::Action::ModelCurate { models }))]);
        trade.block(vec![(1, Action::Market(market::Action::AssetTermsSet { asset, terms }))]);
        let profile = Profile { models: served, ..provider::example_profile() };
        let register = provider::Action::ProviderRegister { profile, payout: None, operator: None };
        trade.block(vec![(SELLER, Action::Provider(register))]);
        let terms = OfferTerms {
            price: Price::new(1_000),
            slots: 500,
            quantum: Units::new(1),
            arbiters: Default::default(),
            arbiters_needed: 0,
            no_verdict_provider_bps: 0,
            valid_s: 0,
        };
        let (model, unit_kind) = (spec.id(), UnitKind::Tokens);
        let offer = provider::Action::OfferPublish { model, asset, unit_kind, terms };
        trade.block(vec![(SELLER, Action::Provider(offer))]);
        trade
    }

    fn opening(&self) -> (u8, Action) {
        let action = job::Action::JobOpen(crate::tx::job::Opening {
            funding: Funding::Wallet {},
            provider: address(SELLER),
            model: model::example_spec().id(),
            asset: AssetId::NATIVE,
            unit_kind: UnitKind::Tokens,
            deposit: Amount::new(10_000),
            price: Price::new(1_000),
            duration_s: 100,
            silence_s: 60,
            mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
            dispute_terms: None,
            client_ref: None,
        });
        (BUYER, Action::Job(action))
    }

    fn claim(&self, id: u64) -> (u8, Action, crate::crypto::Hash) {
        let row: Job = JOBS.get(&self.maker.chain.head().tree, &JobId::new(id)).unwrap().unwrap();
        let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
        let receipt = receipt::Receipt {
            job: JobId::new(id),
            seq: row.meter.seq + 1,
            previous: row.meter.head,
            cumulative_units: row.meter.used.saturating_add(100),
            model: row.model,
            ..receipt
        };
        let hash = receipt.hash(&self.maker.chain.id());
        (SELLER, Action::Receipt(receipt::Action::ReceiptSubmit { receipt, ack: None }), hash)
    }

    fn block(&self, actions: Vec<(u8, Action)>) {
        let maker = &self.maker;
        let id = maker.chain.id();
        let mut taken = Vec::new();
        for (seed, action) in actions {
            let sent = taken.iter().filter(|tx: &&Checked| tx.transaction().sender == address(seed)).count() as u64;
            let nonce = money::account(&maker.chain.head().tree, &address(seed)).unwrap().nonce + sent;
            let unsigned = transaction(address(seed), nonce, [action]);
            let unsigned = crate::tx::Transaction { chain_tag: id.tag(), ..unsigned };
            taken.push(check_one(&id, &codec::encode(&unsigned.sign(&id, &key(seed)))).unwrap());
        }
        let context = maker.context();
        let executed = {
            let head = maker.chain.head();
            let mut building = Execution::start(&head.tree, context).unwrap();
            taken.iter().for_each(|tx| building.push(tx).unwrap());
            building.finish().unwrap()
        };
        assert!(executed.results.outcomes.iter().all(|o| o.verdict == crate::block::Verdict::Ok));
        let header = Header {
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            next_validators_hash: executed.next_validators_hash,
            ..maker.header(context)
        };
        let body = Body::new(taken.iter().map(|tx| tx.bytes().to_vec()).collect());
        let certificate = Some(maker.certificate(&header));
        let block = FinalBlock { block: Block { header, body }, certificate };
        maker.chain.store_block(&block, crate::storage::Durability::Synced).unwrap();
        let block = Arc::new(CommittedBlock::new(block, &taken, executed.results, 0));
        maker.chain.advance(block, executed.delta).unwrap();
        maker.chain.flush().unwrap();
    }

    fn index(&self) {
        while index_market(&self.maker.chain, 7).unwrap() > 0 {}
    }

    /// All entries but those of receipts.
    fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let all = self.store.scan(Table::Market, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
        all.into_iter().filter(|(key, _)| key[0] < 32).collect()
    }

    fn jobs(&self) -> Page<u64> {
        let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id.get()));
        let filter = JobFilter { payer: Some(address(BUYER)), ..JobFilter::default() };
        list_jobs(&self.maker.chain, &filter, Sorting::Oldest, (None, 100), &mut take).unwrap()
    }

    fn receipts(&self, job: u64) -> usize {
        list_receipts(&self.maker.chain, JobId::new(job), Sorting::Oldest, (None, 100)).unwrap().items.len()
    }
}

#[test]
fn a_snapshot_is_listed_like_the_chain_it_is_of() {
    let source = Trade::new();
    for round in 0..8 {
        source.block(vec![source.opening(), source.opening()]);
        let (seed, claim, _) = source.claim(1 + round);
        source.block(vec![(seed, claim)]);
        source.index();
    }
    let mut bytes = Vec::new();
    source.maker.chain.export(&mut bytes).unwrap();
    let store = Arc::new(MemoryStore::new());
    // Whoever imports may have listed block 0 before.
    Trade::open(store.clone()).index();
    import(&*store, &trading(), None, &mut &bytes[..]).unwrap();
    let copy = Trade::open(store);
    copy.index();
    assert!(!copy.rows().is_empty());
    assert_eq!(copy.rows(), source.rows());
    assert_eq!(copy.jobs().items, (1..=16).collect::<Vec<_>>());
    assert_eq!((copy.receipts(8), copy.receipts(1)), (1, 0), "only the newest block is here");
    // Both go on, until everything is over and forgotten.
    for _ in 0..70 {
        for trade in [&source, &copy] {
            trade.block(vec![]);
            trade.index();
        }
        assert_eq!(copy.rows(), source.rows());
    }
    assert_eq!((source.jobs().items.len(), source.receipts(1)), (0, 1));
}

#[test]
fn pruning_takes_receipts_along_and_the_lists_go_on() {
    let trade = Trade::new();
    trade.block(vec![trade.opening()]);
    let (seed, claim, hash) = trade.claim(1);
    trade.block(vec![(seed, claim)]);
    trade.index();
    let found = find_receipt(&trade.maker.chain, &hash).unwrap();
    assert_eq!(found.map(|(job, place)| (job, place.leg, place.seq)), Some((JobId::new(1), 0, 1)));
    for _ in 0..MIN_KEPT_BLOCKS {
        trade.block(vec![]);
    }
    trade.block(vec![trade.opening()]);
    trade.index();
    let indexed = market_indexed(&*trade.store).unwrap();
    while trade.maker.chain.prune(0, 100).unwrap() > 0 {}
    assert!(trade.maker.chain.oldest_body() > Height::new(6));
    assert_eq!((find_receipt(&trade.maker.chain, &hash).unwrap(), trade.receipts(1)), (None, 0));
    trade.index();
    assert_eq!(market_indexed(&*trade.store).unwrap(), indexed);
    assert_eq!(trade.jobs().items, [2]);
    let followed = trade.rows();
    // A tool pruned blocks the lists had not come to: they are made anew.
    for _ in 0..=2 * MIN_KEPT_BLOCKS {
        trade.block(vec![]);
    }
    trade.block(vec![trade.opening()]);
    while trade.maker.chain.prune(0, 100).unwrap() > 0 {}
    assert!(trade.maker.chain.oldest_body() > indexed.unwrap().next());
    trade.index();
    assert_ne!(trade.rows(), followed);
    assert_eq!(trade.jobs().items, [3]);
    let known: Vec<_> = trade.rows().into_keys().filter(|key| key[0] == 1).collect();
    assert_eq!(known, [[&[1][..], &3u64.to_be_bytes()].concat()], "nothing of what was forgotten meanwhile");
    assert_eq!(trade.jobs().complete_to, trade.maker.height());
}
