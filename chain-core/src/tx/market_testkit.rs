//! The fixture of the market's scenarios: assets, roles, providers and payers, and short ways to act and look.
//!
//! Seconds are the market's; a refused action is shown to have changed nothing but fee and nonce: the state is
//! that after an empty block.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::{Action, Event, account, authority, job, market, model, provider, receipt, rejection};
use crate::block::Verdict;
use crate::codec::{List, Text};
use crate::crypto::Hash;
use crate::execute::execute_block;
use crate::state::market::grant::{Allowance, Scope};
use crate::state::market::job::{Funding, Job, Mode, job as job_row};
use crate::state::market::model::{Model, ModelProposal, ModelSpec};
use crate::state::market::provider::{OfferTerms, PROVIDERS, Profile, Provider};
use crate::state::market::purse::EARNINGS;
use crate::state::market::settle::{Cause, Settlement, settle};
use crate::state::market::terms::AssetTerms;
use crate::state::market::{Purse, stored};
use crate::state::protocol::ROLES;
use crate::state::{
    ACCOUNTS, Account, Asset, Overlay, Params, Roles, RowKey, Symbol, Tree, decode_value, market as rows, money,
};
use crate::testing::{FEE, PROPOSER, Signer, TestChain, address, check, genesis, sign, transaction};
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, TimestampMs, UnitKind, Units};
use std::collections::{BTreeMap, BTreeSet};

mod acks;
pub(crate) use acks::*;

pub(crate) const NAT: AssetId = AssetId::new(1);
pub(crate) const USD: AssetId = AssetId::new(2);
pub(crate) const STK: AssetId = AssetId::new(3);
pub(crate) const EUR: AssetId = AssetId::new(4);

/// Curator.
pub(crate) const A: u8 = 10;
/// Treasurer.
pub(crate) const T: u8 = 11;
/// Nobody.
pub(crate) const X: u8 = 12;
/// Slasher.
pub(crate) const S: u8 = 13;
/// Providers; H3 is not registered.
pub(crate) const H1: u8 = 21;
pub(crate) const H2: u8 = 22;
pub(crate) const H3: u8 = 23;
/// Payers.
pub(crate) const P1: u8 = 31;
pub(crate) const P2: u8 = 32;
/// A delegate.
pub(crate) const D: u8 = 33;
/// Has much stake.
pub(crate) const V: u8 = 34;

/// One token of an asset with 18 decimals.
pub(crate) const E18: u128 = 10u128.pow(18);
/// One USD.
pub(crate) const E6: u128 = 1_000_000;
/// What passes of block time with every block of a pause: more than any silence here.
const PAUSED_STEP_MS: u64 = 4_000_000;
/// A day.
pub(crate) const DAY: u64 = 86_400;

const ALL: [u8; 11] = [A, T, X, S, H1, H2, H3, P1, P2, D, V];

pub(crate) fn spec(name: &str) -> ModelSpec {
    let text = |text: &str| Text::new(text).unwrap();
    ModelSpec { repo: text("repo"), file: text(name), weights: Hash([9; 32]), format: Text::new("gguf").unwrap() }
}

pub(crate) fn m1() -> ModelId {
    spec("m1").id()
}

pub(crate) fn m2() -> ModelId {
    spec("m2").id()
}

/// A profile that serves these models.
pub(crate) fn profile(models: &[ModelId]) -> Profile {
    let models = List::new(models.to_vec()).unwrap();
    Profile { models, ..provider::example_profile() }
}

pub(crate) fn amount(units: u128) -> Amount {
    Amount::new(units)
}

/// A market in which things happen.
pub(crate) struct World {
    pub chain: TestChain,
    /// The market's time of the next block, in ms.
    pub now: u64,
}

/// What an end of a job may change.
struct Purses {
    accounts: BTreeMap<Address, u128>,
    earned: u128,
    treasury: u128,
    escrow: u128,
}

/// The opening of a job, to be changed where it matters.
#[derive(Clone)]
pub(crate) struct Opening {
    pub funding: Funding,
    pub provider: u8,
    pub model: ModelId,
    pub asset: AssetId,
    pub unit_kind: UnitKind,
    pub deposit: u128,
    pub price: u128,
    pub duration: u32,
    pub silence: u32,
    pub interval: u64,
    /// The quantum where K acknowledges; `None`: the provider claims.
    pub acks: Option<u64>,
    /// Hash of the dispute terms the offer must have.
    pub judged: Option<Hash>,
    pub name: Option<&'static str>,
}

/// A job of H1 with M1, interval 100, 86 400 s, 300 s of silence.
pub(crate) fn opening(asset: AssetId, deposit: u128, price: u128) -> Opening {
    let (funding, provider, model) = (Funding::Wallet {}, H1, m1());
    Opening {
        funding,
        provider,
        model,
        asset,
        unit_kind: UnitKind::Tokens,
        deposit,
        price,
        duration: 86_400,
        silence: 300,
        interval: 100,
        acks: None,
        judged: None,
        name: None,
    }
}

impl From<Opening> for Action {
    fn from(wish: Opening) -> Self {
        Action::Job(job::Action::JobOpen(job::Opening {
            funding: wish.funding,
            provider: address(wish.provider),
            model: wish.model,
            asset: wish.asset,
            unit_kind: wish.unit_kind,
            deposit: amount(wish.deposit),
            price: Price::new(wish.price),
            duration_s: wish.duration,
            silence_s: wish.silence,
            mode: wish.acks.map_or(Mode::ProviderClaims { proof_interval: Units::new(wish.interval) }, acks),
            dispute_terms: wish.judged,
            client_ref: wish.name.map(|name| Text::new(name).unwrap()),
        }))
    }
}

/// The parameters of the scenarios: time passes as the rows say, the council decides soon.
pub(crate) fn params() -> Params {
    let mut params = Params { delay_blocks: 1, ..Params::default() };
    params.market.max_step_ms = u32::MAX;
    params
}

/// The state before anything of the market happened.
pub(crate) fn bare(params: &Params) -> Tree {
    let funded: Vec<_> = ALL.iter().chain([&PROPOSER]).map(|seed| (address(*seed), amount(10u128.pow(12)))).collect();
    let mut tree = genesis(params, &funded);
    let mut overlay = Overlay::new(&tree);
    for (symbol, id, decimals) in [("NAT", NAT, 18), ("USD", USD, 6), ("STK", STK, 18), ("EUR", EUR, 6)] {
        let (minted, burned) = (Amount::ZERO, Amount::ZERO);
        let (units_per_token, max_supply) = (amount(10u128.pow(decimals)), Amount::MAX_SUPPLY);
        let symbol = Symbol::new(symbol).unwrap();
        let asset = Asset { symbol, units_per_token, max_supply, minter: None, minted, burned };
        assert_eq!(money::register(&mut overlay, &asset), Ok(id));
    }
    for payer in [P1, P2] {
        money::mint(&mut overlay, &address(payer), NAT, amount(100 * E18)).unwrap();
        money::mint(&mut overlay, &address(payer), USD, amount(10_000 * E6)).unwrap();
        money::mint(&mut overlay, &address(payer), EUR, amount(10_000 * E6)).unwrap();
    }
    for (seed, stake) in [(H1, 1_500), (H2, 1_500), (H3, 1_500), (P1, 1_000), (P2, 1_000), (V, 1_000_000)] {
        money::mint(&mut overlay, &address(seed), STK, amount(stake * E18)).unwrap();
    }
    rows::found(&mut overlay, STK, TimestampMs::ZERO);
    let roles = Roles { curator: Some(address(A)), slasher: Some(address(S)), treasurer: Some(address(T)) };
    ROLES.put(&mut overlay, &(), &roles);
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
    tree
}

pub(crate) fn terms_of(asset: AssetId) -> AssetTerms {
    let (min, max, low, high) = match asset {
        NAT => (10u128.pow(14), 10u128.pow(21), 227_273, 22_727_272_727_273_000),
        _ => (500_000, 10u128.pow(12), 1, 100_000_000),
    };
    AssetTerms {
        accepted: true,
        min_deposit: amount(min),
        max_deposit: amount(max),
        min_price: Price::new(low),
        max_price: Price::new(high),
    }
}

/// An offer for tokens.
pub(crate) fn offer(model: ModelId, asset: AssetId, price: u128) -> provider::Action {
    offer_of(model, asset, UnitKind::Tokens, price)
}

pub(crate) fn offer_of(model: ModelId, asset: AssetId, unit_kind: UnitKind, price: u128) -> provider::Action {
    let terms = OfferTerms {
        price: Price::new(price),
        slots: 90,
        quantum: Units::new(1_000),
        arbiters: List::default(),
        arbiters_needed: 0,
        no_verdict_provider_bps: 0,
        valid_s: 0,
    };
    provider::Action::OfferPublish { model, asset, unit_kind, terms }
}

pub(crate) fn register(models: &[ModelId]) -> provider::Action {
    provider::Action::ProviderRegister { profile: profile(models), payout: None, operator: None }
}

pub(crate) fn update(models: &[ModelId]) -> provider::Action {
    provider::Action::ProviderUpdate { profile: profile(models), payout: None, operator: None }
}

pub(crate) fn complete(job: u64) -> job::Action {
    job::Action::JobComplete { job: JobId::new(job), max_units: Units::MAX }
}

pub(crate) fn expire(job: u64) -> job::Action {
    job::Action::JobExpire { job: JobId::new(job) }
}

pub(crate) fn curate(specs: &[ModelSpec]) -> model::Action {
    model::Action::ModelCurate { models: List::new(specs.to_vec()).unwrap() }
}

/// Lets a delegate spend so much for one and for all jobs, with everybody for everything.
pub(crate) fn scope(assets: &[(AssetId, u128, u128)]) -> Scope {
    let allowance = |(asset, max_job, max_total): &(AssetId, u128, u128)| Allowance {
        asset: *asset,
        max_price: None,
        max_job: amount(*max_job),
        max_total: amount(*max_total),
    };
    let assets = List::new(assets.iter().map(allowance).collect()).unwrap();
    Scope { providers: List::default(), models: List::default(), assets, expires_at: None }
}

pub(crate) fn grant(delegate: u8, assets: &[(AssetId, u128, u128)]) -> account::Action {
    account::Action::DelegateSet { delegate: address(delegate), scope: scope(assets), reset_spent: false }
}

/// The figures of a settlement: gross, fee, provider, refund.
pub(crate) fn figures(s: &Settlement) -> (u128, u128, u128, u128) {
    (s.gross.get(), s.fee.get(), s.provider.get(), s.refund.get())
}

impl World {
    /// Roles, assets and their terms, but no models.
    pub fn empty() -> Self {
        Self::on(&params())
    }

    /// As `empty`, with these parameters.
    pub fn on(params: &Params) -> Self {
        Self::of(bare(params), &[PROPOSER])
    }

    /// As `empty`, on this state with these validators.
    pub fn of(tree: Tree, validators: &[u8]) -> Self {
        let mut world = Self { chain: TestChain::on(tree, validators), now: 1_000 };
        for asset in [NAT, USD, EUR] {
            world.ok(A, market::Action::AssetTermsSet { asset, terms: terms_of(asset) });
        }
        world
    }

    /// Fixture F0 at t = 1000.
    pub fn f0() -> Self {
        Self::f0_on(&params())
    }

    /// As `f0`, with these parameters.
    pub fn f0_on(params: &Params) -> Self {
        Self::on(params).furnished()
    }

    /// With models, and providers that offer.
    pub fn furnished(mut self) -> Self {
        let world = &mut self;
        world.ok(A, curate(&[spec("m1"), spec("m2")]));
        for provider in [H1, H2] {
            world.ok(provider, register(&[m1()]));
            world.ok(provider, offer(m1(), USD, 5_000));
            world.ok(provider, offer(m1(), NAT, 227_273));
        }
        world.at(1_000);
        self
    }

    /// The next blocks are at this second of the market.
    pub fn at(&mut self, seconds: u64) {
        self.now = seconds * 1_000;
    }

    /// The next blocks are so many seconds later.
    pub fn later(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
    }

    /// Block time passes as the market's shall; in a pause it passes just so, and the market's must not.
    fn set_time(&mut self) {
        let market = stored(&self.chain.tree).unwrap();
        let step = if market.paused_until.is_some() { PAUSED_STEP_MS } else { self.now - market.now.get() };
        self.chain.time = Some(market.at.saturating_add(step));
    }

    /// A block without transactions.
    pub fn block(&mut self) -> Vec<Event> {
        self.set_time();
        let credited = self.credited();
        let events: Vec<_> = self.chain.block(&[]).events.into_iter().flatten().collect();
        assert_eq!(self.credited(), credited + earned_by(&events));
        events
    }

    /// All base units of all assets that anybody ever earned.
    pub fn credited(&self) -> u128 {
        EARNINGS.scan(&self.chain.tree).map(|row| row.unwrap().1.credited.get()).sum()
    }

    /// Carries an action out: its events, or the name of the refusal.
    pub fn try_run(&mut self, seed: u8, action: impl Into<Action>) -> Result<Vec<Event>, &'static str> {
        self.set_time();
        self.try_now(seed, action)
    }

    /// As `try_run`, at the chain's own time.
    pub fn try_now(&mut self, seed: u8, action: impl Into<Action>) -> Result<Vec<Event>, &'static str> {
        let nonce = self.chain.account(&address(seed)).nonce;
        let signed = sign(transaction(address(seed), nonce, [action.into()]), &Signer::Key(seed), None);
        let checked = check(&signed).map_err(|refused| refused.rejection.name)?;
        let (refused, held) = self.after_an_empty_block(seed);
        let credited = self.credited();
        let results = self.chain.block(&[checked]);
        assert_eq!(self.credited(), credited + results.events.iter().map(|events| earned_by(events)).sum::<u128>());
        match results.outcomes[0].verdict {
            Verdict::Ok => Ok(results.events.into_iter().flatten().collect()),
            Verdict::Rejected { number, .. } => {
                // In the one account that is left out above, a refusal costs the fee.
                let paid = if seed == PROPOSER { FEE.get() / 2 } else { FEE.get() };
                assert_eq!(self.held(seed, AssetId::NATIVE) + paid, held);
                let changed: Vec<_> = refused.symmetric_difference(&self.rows(seed)).map(|(key, _)| *key).collect();
                assert!(changed.is_empty(), "{changed:?}");
                Err(rejection(number).unwrap().name)
            }
        }
    }

    /// All rows but those that every transaction of this sender changes.
    fn rows(&self, seed: u8) -> BTreeSet<(RowKey, Vec<u8>)> {
        let rows = self.chain.tree.rows().map(|(key, _, row)| (*key, row.to_vec()));
        rows.filter(|(key, _)| !of_every_transaction(key, seed)).collect()
    }

    /// As `rows`, if the next block were empty, and what the sender would hold of the native asset: what a refused
    /// action leaves, but for the fee.
    fn after_an_empty_block(&self, seed: u8) -> (BTreeSet<(RowKey, Vec<u8>)>, u128) {
        let empty = execute_block(&self.chain.tree, self.chain.next(), &[]).unwrap();
        let mut rows: BTreeMap<_, _> = self.rows(seed).into_iter().collect();
        for change in empty.delta.rows().iter().filter(|change| !of_every_transaction(change.key(), seed)) {
            match change.after() {
                Some((_, row)) => rows.insert(*change.key(), row.to_vec()),
                None => rows.remove(change.key()),
            };
        }
        let sender = ACCOUNTS.key(&address(seed));
        let changed = empty.delta.rows().iter().find(|change| *change.key() == sender);
        let changed = changed.map(|change| decode_value::<Account>(change.after().unwrap().1).unwrap());
        let held = changed.unwrap_or_else(|| self.chain.account(&address(seed))).balance;
        (rows.into_iter().collect(), held.get())
    }

    /// Carries an action out.
    pub fn ok(&mut self, seed: u8, action: impl Into<Action>) -> Vec<Event> {
        self.try_run(seed, action).unwrap_or_else(|name| panic!("refused: {name}"))
    }

    /// An action that is refused, by this name.
    pub fn no(&mut self, seed: u8, action: impl Into<Action>) -> &'static str {
        match self.try_run(seed, action) {
            Ok(events) => panic!("carried out: {events:?}"),
            Err(name) => name,
        }
    }

    /// Opens a job and answers with its number.
    pub fn open(&mut self, seed: u8, wish: Opening) -> u64 {
        let events = self.ok(seed, wish);
        match &events[0] {
            Event::Job(job::Event::JobOpened { job, .. }) => job.get(),
            other => panic!("{other:?}"),
        }
    }

    /// The next receipt of a job with so many more units.
    pub fn receipt(&self, job: u64, more: u64) -> receipt::Receipt {
        let row = self.job(job);
        let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
        receipt::Receipt {
            job: JobId::new(job),
            leg: row.leg,
            seq: row.meter.seq + 1,
            previous: row.meter.head,
            cumulative_units: row.meter.used.saturating_add(more),
            model: row.model,
            unit_kind: row.unit_kind,
            ..receipt
        }
    }

    /// The action that claims so many more units.
    pub fn proof(&self, job: u64, more: u64) -> receipt::Action {
        receipt::Action::ReceiptSubmit { receipt: self.receipt(job, more), ack: None }
    }

    /// The job's provider claims so many more units.
    pub fn prove(&mut self, job: u64, more: u64) {
        let seed = *ALL.iter().find(|seed| address(**seed) == self.job(job).provider).unwrap();
        let proof = self.proof(job, more);
        self.ok(seed, proof);
    }

    /// Carries out an end of a job: what it paid, and why. Payer, payout, treasury and escrow have what it says,
    /// and nobody else has more or less of the asset.
    pub fn end(&mut self, seed: u8, action: job::Action) -> (Cause, Settlement) {
        let id = match action {
            job::Action::JobDecline { job }
            | job::Action::JobComplete { job, .. }
            | job::Action::JobExpire { job }
            | job::Action::JobTopUp { job, .. } => job.get(),
            _ => panic!("{action:?}"),
        };
        let before = self.purses(id);
        let (cause, s) = settled(&self.ok(seed, action)).unwrap();
        let (job, after) = (self.job(id), self.purses(id));
        // Who sends pays the fee besides, and the proposer has half of it.
        let fees = if job.asset == AssetId::NATIVE { FEE.get() } else { 0 };
        for (whose, had) in &before.accounts {
            let refund = if *whose == job.payer { s.refund.get() } else { 0 };
            let paid = if *whose == address(seed) { fees } else { 0 };
            let earned = if *whose == address(PROPOSER) { fees / 2 } else { 0 };
            assert_eq!(after.accounts[whose], had + refund + earned - paid, "{whose}");
        }
        assert_eq!(after.earned, before.earned + s.provider.get() + s.early_fee.get());
        assert_eq!(after.treasury, before.treasury + s.fee.get());
        assert_eq!(after.escrow + job.deposit.get(), before.escrow);
        (cause, s)
    }

    /// Where the money of a job's asset is that its end may move, and all accounts.
    fn purses(&self, id: u64) -> Purses {
        let job = self.job(id);
        let held = |seed: &u8| (address(*seed), self.held(*seed, job.asset));
        let supply = money::audit(&self.chain.tree).unwrap().remove(job.asset.get() as usize);
        Purses {
            accounts: ALL.iter().chain([&PROPOSER]).map(held).collect(),
            earned: self.purse(Purse::Earnings(job.payout), job.asset),
            treasury: self.treasury(job.asset),
            escrow: supply.in_escrow.get(),
        }
    }

    pub fn job(&self, id: u64) -> Job {
        job_row(&self.chain.tree, JobId::new(id)).unwrap()
    }

    /// What a job would pay if it ended now.
    pub fn due(&self, id: u64) -> Settlement {
        settle(&self.job(id), Cause::Silence)
    }

    pub fn held(&self, seed: u8, asset: AssetId) -> u128 {
        self.chain.balance(seed, asset).get()
    }

    pub fn purse(&self, purse: Purse, asset: AssetId) -> u128 {
        purse.balance(&self.chain.tree, asset).unwrap().get()
    }

    pub fn prepaid(&self, seed: u8, asset: AssetId) -> u128 {
        self.purse(Purse::Prepaid(address(seed)), asset)
    }

    pub fn earned(&self, seed: u8, asset: AssetId) -> u128 {
        self.purse(Purse::Earnings(address(seed)), asset)
    }

    pub fn treasury(&self, asset: AssetId) -> u128 {
        self.purse(Purse::Treasury, asset)
    }

    pub fn provider(&self, seed: u8) -> Provider {
        PROVIDERS.get(&self.chain.tree, &address(seed)).unwrap().unwrap()
    }

    /// The seeds of the active providers of a model.
    pub fn serving(&self, model: ModelId) -> Vec<u8> {
        let found: Vec<Address> = rows::provider::serving(&self.chain.tree, &model).unwrap();
        let mut seeds: Vec<_> =
            found.iter().map(|account| *ALL.iter().find(|seed| address(**seed) == *account).unwrap()).collect();
        seeds.sort_unstable();
        seeds
    }

    pub fn model(&self, id: ModelId) -> Model {
        rows::model::model(&self.chain.tree, &id).unwrap()
    }

    pub fn models(&self) -> usize {
        rows::model::models(&self.chain.tree).count()
    }

    pub fn proposal(&self, id: u64) -> ModelProposal {
        let id = crate::types::ModelProposalId::new(id);
        rows::model::MODEL_PROPOSALS.get(&self.chain.tree, &id).unwrap().unwrap()
    }

    /// The end of a proposal in seconds.
    pub fn end_of(&self, id: u64) -> u64 {
        self.proposal(id).end.get() / 1_000
    }

    /// The numbers of the jobs for which something holds.
    pub fn jobs(&self, holds: impl Fn(&Job) -> bool) -> Vec<u64> {
        rows::jobs(&self.chain.tree).map(Result::unwrap).filter(|(_, job)| holds(job)).map(|(id, _)| id.get()).collect()
    }

    pub fn market_now(&self) -> MarketMs {
        stored(&self.chain.tree).unwrap().now
    }

    /// The council does something, which is in force after this.
    pub fn decide(&mut self, measure: authority::Measure) -> Result<(), &'static str> {
        let action = Action::Authority(authority::Action::CouncilPropose { measure });
        self.try_run(PROPOSER, action)?;
        (0..4).for_each(|_| drop(self.block()));
        Ok(())
    }

    /// The council sets a parameter.
    pub fn set_param(&mut self, name: &str, value: u128) -> Result<(), &'static str> {
        self.decide(authority::Measure::Parameter { name: Text::new(name).unwrap(), value })
    }
}

/// Fee and nonce: the sender's and the proposer's account, and what is burned of the native asset.
fn of_every_transaction(key: &RowKey, seed: u8) -> bool {
    let accounts = [seed, PROPOSER].map(|seed| ACCOUNTS.key(&address(seed)));
    accounts.contains(key) || *key == money::ASSETS.key(&AssetId::NATIVE)
}

/// What the first settlement among these events paid, and why.
pub(crate) fn settled(events: &[Event]) -> Option<(Cause, Settlement)> {
    events.iter().find_map(|event| match event {
        Event::Job(job::Event::JobSettled { cause, settlement, .. }) => Some((*cause, *settlement)),
        _ => None,
    })
}
