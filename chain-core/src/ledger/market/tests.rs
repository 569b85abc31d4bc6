//! Lists of the market against the rows they are of: random histories, pages read while the market goes on,
//! power cuts, gaps.

use super::*;
use crate::block::{BLOCK_VERSION, Body, Header, Results};
use crate::codec::List;
use crate::crypto::Hash;
use crate::state::market::dispute::{DISPUTES, dispute_terms};
use crate::state::market::job::{Funding, Job, Mode, Status};
use crate::state::market::post::{BIDS, POSTS, Requirements};
use crate::state::market::provider::{
    DisputeTerms, OFFERS, Offer, OfferKey, PROFILES, ProviderState, offer_list, offer_row, providers,
};
use crate::state::market::{jobs, stored};
use crate::storage::{Batch, Direction, Durability, KeyRange, MemoryStore, Table};
use crate::testing::{Signer, address, check, sign, transaction};
use crate::tx::market_testkit::*;
use crate::tx::{Action, dispute, job, provider, receipt};
use crate::types::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

mod costs;

/// A bid: whose, its price, and how its disputes are decided.
type Chosen = (Address, Price, Option<Hash>);

/// A market whose lists are in a store of their own.
struct Listed {
    inner: Mutex<Inner>,
    store: Arc<MemoryStore>,
    oldest: Height,
    /// How often the state was looked at, and a block read.
    looks: AtomicUsize,
    read_blocks: AtomicUsize,
}

struct Inner {
    world: World,
    blocks: Vec<Arc<CommittedBlock>>,
}

/// What somebody tries; the numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
struct Deed {
    what: u8,
    who: u8,
    which: u8,
    much: u16,
}

fn deeds() -> impl Strategy<Value = Vec<Vec<Deed>>> {
    let deed = (0u8..30, any::<u8>(), any::<u8>(), any::<u16>());
    let deed = deed.prop_map(|(what, who, which, much)| Deed { what, who, which, much });
    vec(vec(deed, 0..4), 1..50)
}

impl Source for Listed {
    fn store(&self) -> &dyn Store {
        &*self.store
    }
    fn look(&self, look: &mut dyn FnMut(Height, &Tree) -> Result<(), Fault>) -> Result<(), Fault> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.lock().unwrap();
        look(inner.world.chain.height, &inner.world.chain.tree)
    }
    fn block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault> {
        self.read_blocks.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.lock().unwrap();
        Ok(inner.blocks.iter().find(|block| block.header.height == height && height >= self.oldest).cloned())
    }
    fn oldest_body(&self) -> Height {
        self.oldest
    }
}

impl Listed {
    fn new() -> Self {
        let mut params = params();
        params.retention_s = 400;
        params.market.provider_unbonding_s = 50;
        let mut world = World::on(&params);
        world.ok(A, curate(&[spec("m1"), spec("m2")]));
        world.at(1_000);
        world.ok(P1, grant(D, &[(USD, 10u128.pow(12), 10u128.pow(18)), (NAT, 10u128.pow(24), 10u128.pow(26))]));
        let oldest = world.chain.height.next();
        let inner = Mutex::new(Inner { world, blocks: vec![] });
        let (looks, read_blocks) = Default::default();
        let listed = Self { inner, store: Arc::default(), oldest, looks, read_blocks };
        for provider in [H1, H2] {
            listed.act(provider, register(&[m1(), m2()]));
            listed.act(provider, offer(m1(), USD, 5_000));
            listed.act(provider, offer(m1(), NAT, 227_273));
        }
        listed
    }

    /// The same chain with lists to be made, and blocks from this height on.
    fn again(self, oldest: Height) -> Self {
        Self { store: Arc::default(), oldest, ..self }
    }

    fn head(&self) -> Height {
        self.inner.lock().unwrap().world.chain.height
    }

    fn read<T>(&self, read: impl Fn(&Tree) -> T) -> T {
        read(&self.inner.lock().unwrap().world.chain.tree)
    }

    fn act(&self, seed: u8, action: impl Into<Action>) {
        self.block(vec![(seed, action.into())], 5);
    }

    /// A block of these actions, so many seconds after the last; some are refused.
    fn block(&self, actions: Vec<(u8, Action)>, seconds: u64) {
        let mut inner = self.inner.lock().unwrap();
        let at = stored(&inner.world.chain.tree).unwrap().at;
        inner.world.chain.time = Some(at.saturating_add(seconds * 1_000));
        let mut sent = BTreeMap::new();
        let mut taken = Vec::new();
        for (seed, action) in actions {
            let more = sent.entry(seed).or_insert(0u64);
            let nonce = inner.world.chain.account(&address(seed)).nonce + *more;
            if let Ok(checked) = check(&sign(transaction(address(seed), nonce, [action]), &Signer::Key(seed), None)) {
                *more += 1;
                taken.push(checked);
            }
        }
        let results = inner.world.chain.block(&taken);
        let made = committed(inner.world.chain.height, results);
        inner.blocks.push(Arc::new(made));
    }

    fn deeds(&self, deeds: &[Deed]) {
        let actions = deeds.iter().filter_map(|deed| self.action(deed)).collect();
        let waits = deeds.iter().filter(|deed| deed.what == 0).map(|deed| u64::from(deed.much) % 900).sum::<u64>();
        self.block(actions, 5 + waits);
    }

    fn action(&self, deed: &Deed) -> Option<(u8, Action)> {
        let Deed { what, who, which, much } = *deed;
        let (seller, model) = ([H1, H2, H3][usize::from(who) % 3], [m1(), m2()][usize::from(which) % 2]);
        let asset = [USD, NAT][usize::from(much) % 2];
        let price = match asset {
            USD => 1 + u128::from(much % 700) * 10,
            _ => 227_273 + u128::from(much % 700),
        };
        let known = self.read(|tree| jobs(tree).map(Result::unwrap).collect::<Vec<_>>());
        let known = known.get(usize::from(which) % known.len().max(1));
        let by = |account: &Address| (1..=99).find(|seed| address(*seed) == *account).unwrap();
        Some(match what {
            1..=7 => {
                let (buyer, funding) = match who % 4 {
                    0 | 1 => (P1, Funding::Wallet {}),
                    2 => (P2, Funding::Wallet {}),
                    _ => (D, Funding::OnBehalf { payer: address(P1) }),
                };
                let deposit = if asset == USD { 600_000 } else { 10u128.pow(15) };
                let wish = opening(asset, deposit, price.max(10_000));
                (buyer, Opening { funding, provider: [H1, H2][usize::from(which) % 2], model, ..wish }.into())
            }
            8 => (by(&known?.1.payer), complete(known?.0.get()).into()),
            9 => (by(&known?.1.provider), job::Action::JobDecline { job: known?.0 }.into()),
            10 | 11 => (by(&known?.1.provider), claim(known?, u64::from(much))),
            12 => {
                let (job, amount) = (known?.0, amount(500_000 + u128::from(much)));
                (by(&known?.1.payer), job::Action::JobTopUp { job, amount }.into())
            }
            13 => (seller, provider::Action::Heartbeat { provider: address(seller) }.into()),
            14 | 15 => (seller, offer(model, asset, price).into()),
            16 => (seller, provider::Action::OfferWithdraw { model, asset, unit_kind: UnitKind::Tokens }.into()),
            17 => (seller, update(&[model]).into()),
            18 if much % 3 == 0 => (seller, provider::Action::ProviderLeave {}.into()),
            18 => (seller, provider::Action::ProviderBondWithdraw {}.into()),
            19 => (seller, register(&[model]).into()),
            20 | 21 => (P1, posting(model, price.max(10_000)).into()),
            22 => {
                let (job, quantum, disputes) = (self.posted(which)?.0, Units::new(1_000), arbiters());
                (seller, job::Action::BidPlace { job, price: Price::new(price.min(10_000)), quantum, disputes }.into())
            }
            23 | 24 => {
                let (job, bid) = self.posted(which)?;
                let (provider, price, dispute_terms) = bid?;
                (P1, job::Action::BidAccept { job, provider, price, dispute_terms }.into())
            }
            25 if much % 3 == 0 => (P1, job::Action::JobCancel { job: self.posted(which)?.0 }.into()),
            25..=27 => {
                let (job, row) = known?;
                let from = row.contestable_from(row.meter.active_at);
                (by(&row.payer), Action::Dispute(dispute::Action::DisputeOpen { job: *job, from }))
            }
            28 => {
                let (job, ack) = (known?.0, None);
                (by(&known?.1.provider), Action::Dispute(dispute::Action::DisputeRespond { job, ack }))
            }
            29 => (V, Action::Dispute(dispute::Action::DisputeVote { job: known?.0, for_provider: much % 2 == 0 })),
            _ => return None,
        })
    }

    /// A posted job, and who bids on it at which price.
    fn posted(&self, which: u8) -> Option<(JobId, Option<Chosen>)> {
        self.read(|tree| {
            let rows: Vec<_> = all_rows(tree).into_iter().collect();
            let posts = rows.into_iter().filter_map(|(id, row)| match row {
                JobRow::Post(post) => Some((id, post)),
                JobRow::Job(_) => None,
            });
            let posts: Vec<_> = posts.collect();
            let (id, post) = posts.get(usize::from(which) % posts.len().max(1))?;
            let bid = post.bidders.iter().find_map(|bidder| BIDS.get(tree, &(*id, *bidder)).unwrap());
            Some((*id, bid.map(|bid| (bid.provider, bid.price, Some(bid.dispute.hash())))))
        })
    }

    /// The lists come to the head.
    fn index(&self) {
        while index_market(self, 3).unwrap() > 0 {}
    }

    /// All entries.
    fn entries(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.store.scan(Table::Market, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap().into_iter().collect()
    }
}

fn arbiters() -> DisputeTerms {
    let arbiters = List::new(vec![address(V)]).unwrap();
    DisputeTerms { arbiters, arbiters_needed: 1, no_verdict_provider_bps: 0 }
}

fn posting(model: ModelId, price: u128) -> job::Action {
    job::Action::JobPost(job::Posting {
        funding: Funding::Wallet {},
        model,
        asset: USD,
        unit_kind: UnitKind::Tokens,
        deposit: amount(600_000),
        max_price: Price::new(price),
        duration_s: 3_600,
        silence_s: 300,
        mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
        bidding_s: 120,
        requirements: Requirements::default(),
        client_ref: None,
    })
}

fn claim((id, row): &(JobId, Job), units: u64) -> Action {
    let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
    let receipt = receipt::Receipt {
        job: *id,
        leg: row.leg,
        seq: row.meter.seq + 1,
        previous: row.meter.head,
        cumulative_units: row.meter.used.saturating_add(100 + units),
        model: row.model,
        ..receipt
    };
    Action::Receipt(receipt::Action::ReceiptSubmit { receipt, ack: None })
}

fn committed(height: Height, results: Results) -> CommittedBlock {
    let none = crate::crypto::Hash::ZERO;
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: crate::testing::chain(),
        height,
        view: View::ZERO,
        parent: BlockId(none),
        timestamp_ms: TimestampMs::ZERO,
        proposer: crate::testing::key(1).public(),
        tx_root: none,
        outcome_root: none,
        state_root: none,
        validators_hash: none,
        next_validators_hash: none,
    };
    let (id, tx_ids) = (header.id(), vec![]);
    CommittedBlock { id, header, body: Body::default(), tx_ids, results, certificate: None, finality_ms: 0 }
}

/// Every page of a list; `between` is called after each.
fn pages<T>(
    limit: usize,
    mut page: impl FnMut(Option<&[u8]>) -> Result<Page<T>, ListError>,
    mut between: impl FnMut(),
) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Page { items, next, height, complete_to, .. } = page(after.as_deref()).unwrap();
        assert!(items.len() <= limit);
        assert_eq!(height, complete_to);
        all.extend(items);
        after = next;
        if after.is_none() {
            return all;
        }
        between();
    }
}

fn filters() -> Vec<JobFilter> {
    let (p1, p2, d, h1) = (Some(address(P1)), Some(address(P2)), Some(address(D)), Some(address(H1)));
    let all = JobFilter::default();
    let mut filters = vec![
        all,
        JobFilter { payer: p1, ..all },
        JobFilter { opener: d, ..all },
        JobFilter { provider: h1, ..all },
        JobFilter { model: Some(m2()), ..all },
        JobFilter { payer: p2, provider: h1, model: Some(m1()), ..all },
        JobFilter { payer: p1, opener: d, provider: h1, model: Some(m2()), ..all },
        JobFilter { payer: Some(address(99)), ..all },
    ];
    use JobState::*;
    for state in [Active, Settled, Closing, Disputed, Posted] {
        let with_state: Vec<_> = filters.iter().take(8).map(|one| JobFilter { state: Some(state), ..*one }).collect();
        filters.extend(with_state);
    }
    filters
}

/// Every job and every posted one, by number.
fn all_rows(tree: &Tree) -> BTreeMap<JobId, JobRow> {
    let all = jobs(tree).map(|row| row.unwrap().0);
    let posts = POSTS.scan(tree).map(|row| JobId::new(u64::from_be_bytes(row.unwrap().0.try_into().unwrap())));
    all.chain(posts).map(|id| (id, JobRow::get(tree, id).unwrap().unwrap())).collect()
}

fn is_meant(filter: &JobFilter, row: &JobRow) -> bool {
    let (payer, opener, provider, model) = match row {
        JobRow::Job(job) => (job.payer, job.opener, Some(job.provider), job.model),
        JobRow::Post(post) => (post.payer, post.opener, None, post.model),
    };
    let state = match row {
        JobRow::Post(_) => JobState::Posted,
        JobRow::Job(job) => match job.status {
            Status::Active => JobState::Active,
            Status::Settled { .. } => JobState::Settled,
            Status::Closing { .. } => JobState::Closing,
            Status::Disputed { .. } => JobState::Disputed,
        },
    };
    filter.payer.is_none_or(|wanted| wanted == payer)
        && filter.opener.is_none_or(|wanted| wanted == opener)
        && filter.provider.is_none_or(|wanted| Some(wanted) == provider)
        && filter.model.is_none_or(|wanted| wanted == model)
        && filter.state.is_none_or(|wanted| wanted == state)
}

fn meant(listed: &Listed, filter: &JobFilter) -> Vec<JobId> {
    listed.read(|tree| all_rows(tree).into_iter().filter(|(_, row)| is_meant(filter, row)).map(|(id, _)| id).collect())
}

/// Disputes by who has a part in them, and whether they go on.
fn check_disputes(listed: &Listed, limit: usize) {
    let accounts = [None, Some(P1), Some(P2), Some(H1), Some(V), Some(99)].map(|seed| seed.map(address));
    let filters = accounts.into_iter().flat_map(|account| [None, Some(true), Some(false)].map(|open| (account, open)));
    for (account, open) in filters {
        let filter = DisputeFilter { account, open };
        let mut take = |_: &Reading<'_>, (id, ..): Disputed| Ok(Some(id));
        let page = |after: Option<&[u8]>| list_disputes(listed, &filter, Sorting::Oldest, (after, limit), &mut take);
        let expected: Vec<JobId> = listed.read(|tree| {
            let has_part = |id: &JobId, job: &Job| {
                let parties = [job.payer, job.opener, job.provider, job.payout];
                let arbiters = dispute_terms(tree, *id).unwrap().arbiters;
                account.is_none_or(|account| parties.contains(&account) || arbiters.contains(&account))
            };
            let rows = jobs(tree).map(Result::unwrap);
            let disputed = rows.filter(|(id, job)| {
                let dispute = DISPUTES.get(tree, id).unwrap();
                dispute.is_some_and(|row| open.is_none_or(|open| open == row.outcome.is_none())) && has_part(id, job)
            });
            disputed.map(|(id, _)| id).collect()
        });
        assert_eq!(pages(limit, page, || {}), expected, "{filter:?}");
    }
}

fn ids(listed: &Listed, filter: &JobFilter, sorting: Sorting, limit: usize, between: impl FnMut()) -> Vec<JobId> {
    let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id));
    pages(limit, |after| list_jobs(listed, filter, sorting, (after, limit), &mut take), between)
}

fn check_jobs(listed: &Listed, limit: usize) {
    for filter in filters() {
        let mut expected = meant(listed, &filter);
        assert_eq!(ids(listed, &filter, Sorting::Oldest, limit, || {}), expected, "{filter:?}");
        expected.reverse();
        assert_eq!(ids(listed, &filter, Sorting::Newest, limit, || {}), expected, "{filter:?}");
    }
}

type OfferPlace = (OfferKey, Price, ProviderId);

/// Every offer in its order.
fn all_offers(tree: &Tree) -> Vec<(OfferPlace, Address, Offer)> {
    let mut all = Vec::new();
    for (account, row) in providers(tree).map(Result::unwrap) {
        for key in offer_list(tree, row.id).unwrap() {
            let offer = OFFERS.get(tree, &offer_row(row.id, &key)).unwrap().unwrap();
            all.push(((key, offer.terms.price, row.id), account, offer));
        }
    }
    all.sort_by_key(|(place, ..)| *place);
    all
}

fn check_offers(listed: &Listed, limit: usize) {
    let (usd, tokens, h2) = (Some(USD), Some(UnitKind::Tokens), Some(address(H2)));
    let all = OfferFilter::default();
    let dear = Some(Price::new(3_000));
    let filters = [
        all,
        OfferFilter { model: Some(m1()), ..all },
        OfferFilter { model: Some(m2()), asset: usd, ..all },
        OfferFilter { model: Some(m1()), asset: usd, unit_kind: tokens, max_price: dear, ..all },
        OfferFilter { asset: usd, max_price: dear, ..all },
        OfferFilter { provider: h2, ..all },
        OfferFilter { provider: h2, asset: usd, max_price: dear, ..all },
        OfferFilter { model: Some(m1()), unit_kind: Some(UnitKind::Images), ..all },
    ];
    for filter in filters {
        let expected: Vec<OfferPlace> = listed.read(|tree| {
            let is_meant = |((key, price, _), account, _): &(OfferPlace, Address, Offer)| {
                filter.provider.is_none_or(|provider| provider == *account)
                    && filter.model.is_none_or(|model| model == key.model)
                    && filter.asset.is_none_or(|asset| asset == key.asset)
                    && filter.unit_kind.is_none_or(|kind| kind == key.unit_kind)
                    && filter.max_price.is_none_or(|most| *price <= most)
            };
            all_offers(tree).into_iter().filter(is_meant).map(|(place, ..)| place).collect()
        });
        let mut take =
            |_: &Reading<'_>, (_, row, key, offer): (Address, crate::state::market::provider::Provider, _, Offer)| {
                Ok(Some((key, offer.terms.price, row.id)))
            };
        let found = pages(limit, |after| list_offers(listed, &filter, (after, limit), &mut take), || {});
        assert_eq!(found, expected, "{filter:?}");
    }
}

fn check_providers(listed: &Listed, limit: usize) {
    let rows = listed.read(|tree| {
        let rows = providers(tree).map(Result::unwrap).filter(|(_, row)| row.state != ProviderState::Gone);
        let mut rows: Vec<_> = rows.map(|(account, row)| (row.id, row.last_seen, account)).collect();
        rows.sort();
        rows
    });
    let serves = |account: &Address, model| {
        listed.read(|tree| PROFILES.get(tree, account).unwrap().is_some_and(|profile| profile.models.contains(&model)))
    };
    let accounts = |rows: &[(ProviderId, MarketMs, Address)]| rows.iter().map(|row| row.2).collect::<Vec<_>>();
    let by_id = accounts(&rows);
    let of_model: Vec<_> = by_id.iter().copied().filter(|account| serves(account, m2())).collect();
    let mut by_time = rows.clone();
    by_time.sort_by_key(|row| std::cmp::Reverse((row.1, row.0)));
    let offered = OfferKey { model: m1(), asset: USD, unit_kind: UnitKind::Tokens };
    let by_price = listed.read(|tree| {
        let own = all_offers(tree).into_iter().filter(|((key, ..), ..)| *key == offered);
        own.map(|(_, account, _)| account).collect::<Vec<_>>()
    });
    let table = [
        (ProviderOrder::Id(None), by_id),
        (ProviderOrder::Id(Some(m2())), of_model),
        (ProviderOrder::LastSeen, accounts(&by_time)),
        (ProviderOrder::Price(offered), by_price),
    ];
    for (order, expected) in table {
        let mut take = |_: &Reading<'_>, (account, _)| Ok(Some(account));
        let found = pages(limit, |after| list_providers(listed, &order, (after, limit), &mut take), || {});
        assert_eq!(found, expected, "{order:?}");
    }
}

fn check_sums(listed: &Listed) {
    for payer in [P1, P2, D] {
        let mut expected = BTreeMap::new();
        for row in listed.read(all_rows).into_values() {
            let (of, asset, escrow) = match row {
                JobRow::Job(job) => (job.payer, job.asset, job.escrow()),
                JobRow::Post(post) => (post.payer, post.asset, post.deposit),
            };
            if of == address(payer) && !escrow.is_zero() {
                let sum = expected.entry(asset).or_insert(Amount::ZERO);
                *sum = sum.checked_add(escrow).unwrap();
            }
        }
        assert_eq!(locked(listed, &address(payer)).unwrap(), expected);
    }
}

/// Every receipt that was accepted, in order, is found where it stands.
fn check_receipts(listed: &Listed, limit: usize) {
    let mut all: BTreeMap<JobId, Vec<ReceiptPlace>> = BTreeMap::new();
    let blocks = listed.inner.lock().unwrap().blocks.clone();
    for block in blocks.iter().filter(|block| block.header.height >= listed.oldest) {
        for (index, event) in (0u32..).zip(&block.results.events).flat_map(|(at, all)| all.iter().map(move |e| (at, e)))
        {
            let crate::tx::Event::Receipt(receipt::Event::ReceiptAccepted { receipt, hash, .. }) = event else {
                continue;
            };
            let receipt::Receipt { job, leg, seq, .. } = *receipt;
            let place = ReceiptPlace { leg, seq, height: block.header.height, index };
            all.entry(job).or_default().push(place);
            assert_eq!(find_receipt(listed, hash).unwrap(), Some((job, place)));
            assert_eq!(receipt_place(listed, job, leg, seq).unwrap(), Some(place));
        }
    }
    for (job, mut expected) in all {
        let read = |sorting| pages(limit, |after| list_receipts(listed, job, sorting, (after, limit)), || {});
        assert_eq!(read(Sorting::Oldest), expected);
        expected.reverse();
        assert_eq!(read(Sorting::Newest), expected);
    }
}

fn check_all(listed: &Listed, limit: usize) {
    check_jobs(listed, limit);
    check_disputes(listed, limit);
    check_offers(listed, limit);
    check_providers(listed, limit);
    check_sums(listed);
    check_receipts(listed, limit);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_those_of_the_rows(script in deeds(), lag in 0u64..8, limit in 1usize..9) {
        let listed = Listed::new();
        listed.index();
        for deeds in &script {
            listed.deeds(deeds);
            // Some blocks behind, and sometimes in the middle of catching up.
            let behind = listed.head().get() - market_indexed(&*listed.store).unwrap().unwrap().get();
            if behind > lag {
                index_market(&listed, behind - lag / 2).unwrap();
            }
        }
        check_all(&listed, limit);
        listed.index();
        check_all(&listed, limit);
    }

    #[test]
    fn whoever_begins_later_or_crashes_has_the_same_lists(
        script in deeds(), kept in 0usize..8, cut in 0usize..7, gap in 0u64..60,
    ) {
        let listed = Listed::new();
        listed.index();
        let flush = || listed.store.write(Batch::new(), Durability::Synced).unwrap();
        for (at, deeds) in script.iter().enumerate() {
            listed.deeds(deeds);
            match at {
                _ if at % 3 == 0 => flush(),
                _ => drop(index_market(&listed, 2).unwrap()),
            }
            if at % 7 == cut {
                listed.store.crash_keeping((kept + at) % 8);
            }
        }
        listed.index();
        let followed = listed.entries();
        check_all(&listed, 5);
        // From nothing, over all blocks.
        let oldest = listed.oldest;
        let listed = listed.again(oldest);
        listed.index();
        prop_assert_eq!(&listed.entries(), &followed);
        // From the rows, with the newest blocks only: all but the receipts of the others.
        let oldest = Height::new(listed.head().get().saturating_sub(gap).max(oldest.get()));
        let listed = listed.again(oldest);
        listed.index();
        let rows = |entries: BTreeMap<Vec<u8>, Vec<u8>>| -> BTreeMap<_, _> {
            entries.into_iter().filter(|(key, _)| key[0] < entries::RECEIPT).collect()
        };
        prop_assert_eq!(rows(listed.entries()), rows(followed));
        check_all(&listed, 5);
    }

    #[test]
    fn nothing_stands_in_two_pages_while_the_market_goes_on(
        script in deeds(), during in deeds(), which in 0usize..24, limit in 1usize..6, newest in any::<bool>(),
        follows in any::<bool>(),
    ) {
        let listed = Listed::new();
        listed.index();
        for deeds in &script {
            listed.deeds(deeds);
            listed.index();
        }
        let filter = filters()[which];
        let before = meant(&listed, &filter);
        let sorting = if newest { Sorting::Newest } else { Sorting::Oldest };
        let mut during = during.iter().take(8);
        let mut found = ids(&listed, &filter, sorting, limit, || {
            if let Some(deeds) = during.next() {
                listed.deeds(deeds);
                if follows {
                    listed.index();
                }
            }
        });
        if newest {
            found.reverse();
        }
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{:?}", found);
        // Whoever was meant all the time is there.
        let after = meant(&listed, &filter);
        for id in before.iter().filter(|id| after.contains(id)) {
            prop_assert!(found.contains(id), "{id}");
        }
    }
}

#[test]
fn a_page_is_bounded_and_says_where_to_go_on() {
    let listed = Listed::new();
    listed.index();
    let open = |payer: u8, count: usize| {
        let wish = Opening { provider: H1, ..opening(USD, 600_000, 10_000) };
        listed.block(vec![(payer, wish.into()); count], 1);
    };
    open(P2, 6);
    for _ in 0..9 {
        open(P1, 32);
        let rows = listed.read(|tree| jobs(tree).map(Result::unwrap).collect::<Vec<_>>());
        let own = rows.iter().filter(|(_, job)| job.payer == address(P1) && matches!(job.status, Status::Active));
        listed.block(own.map(|(id, _)| (P1, complete(id.get()).into())).collect(), 1);
    }
    listed.index();
    // The provider has more jobs than may be looked at: the list of the payer leads.
    let filter = JobFilter { payer: Some(address(P2)), provider: Some(address(H1)), ..JobFilter::default() };
    let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id));
    let page = list_jobs(&listed, &filter, Sorting::Newest, (None, 10), &mut take).unwrap();
    assert_eq!((page.items, page.next), ((1..=6).rev().map(JobId::new).collect(), None));
    // What no list is of is looked for row by row, and not for ever.
    let mut looked = 0;
    let mut nobody = |_: &Reading<'_>, _: (JobId, JobRow)| {
        looked += 1;
        Ok(None::<JobId>)
    };
    let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut nobody).unwrap();
    assert!(page.next.is_some() && page.items.is_empty());
    assert!(looked <= MAX_LOOKS, "{looked}");
}

#[test]
fn before_they_are_made_nothing_is_listed() {
    let listed = Listed::new();
    let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id));
    let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut take);
    assert!(matches!(page, Err(ListError::NotReady)));
    assert!(matches!(locked(&listed, &address(P1)), Err(ListError::NotReady)));
    // Far behind, a page says up to where it is complete.
    index_market(&listed, 1).unwrap();
    let behind = listed.oldest;
    (0..20).for_each(|_| listed.block(vec![], 1));
    let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut take).unwrap();
    assert_eq!((page.height, page.complete_to), (listed.head(), behind));
    assert!(matches!(locked(&listed, &address(P1)), Err(ListError::NotReady)));
    listed.index();
    let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut take).unwrap();
    assert_eq!(page.complete_to, listed.head());
}
