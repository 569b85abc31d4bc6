//! What the referee of histories knows, from nothing but accepted actions and the time: where all money is, who has
//! which job, bond, grant and key. It reads rows only to compare.
//!
//! Not here: what an accepted action changes in these books, and who may do it (`judge`).

use super::Audit;
use crate::state::market::grant::Scope;
use crate::state::market::job::JOBS;
use crate::state::market::model::{MODEL_PROPOSALS, MODEL_VOTES};
use crate::state::market::provider::{COMPENSATIONS, PROVIDERS};
use crate::state::market::purse::{EARNINGS, PREPAID, REJECTED_POOL, TREASURY};
use crate::state::money::{ASSETS, BALANCES};
use crate::state::{ACCOUNTS, Authority, Params, Tree, params};
use crate::tx::authority::Measure;
use crate::types::{Address, AssetId, ModelId, TimestampMs, UnitKind};
use std::collections::{BTreeMap, BTreeSet};

/// Where money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Account(Address),
    Prepaid(Address),
    Earnings(Address),
    Bond(Address),
    /// Locked for a proposal of a model.
    Votes(Address, u64),
    /// Of a proposal of a model.
    Fee(u64),
    /// Of a job.
    Escrow(u64),
    /// By when it is paid, and for which job.
    Owed(u64, u64),
    Treasury,
    Pool,
}

/// A job as its parties know it. Times are the market's, in ms.
#[derive(Clone, Debug)]
pub(super) struct Deal {
    pub payer: Address,
    pub opener: Address,
    pub provider: Address,
    pub payout: Address,
    pub model: ModelId,
    pub asset: AssetId,
    pub unit_kind: UnitKind,
    pub price: u128,
    pub deposit: u128,
    pub interval: u64,
    pub fee_bps: u128,
    pub window_ms: u64,
    pub rate: u64,
    pub burst_ms: u64,
    pub min_claim: u64,
    pub early_units: u128,
    pub started: u64,
    pub duration_ms: u64,
    pub silence_ms: u64,
    pub name: Option<String>,
    /// When how much was claimed.
    pub claims: Vec<(u64, u64)>,
    /// The last receipt's number and hash.
    pub last: (u64, crate::crypto::Hash),
    /// When it was settled.
    pub settled: Option<u64>,
    /// When it is forgotten.
    pub forgotten: u64,
}

impl Deal {
    pub fn used(&self) -> u64 {
        self.claims.iter().map(|(_, units)| units).sum()
    }

    /// The last moment at which work is accepted.
    pub fn until(&self) -> u64 {
        let active = self.claims.last().map_or(self.started, |(at, _)| *at);
        (self.started + self.duration_ms).min(active + self.silence_ms)
    }

    /// From when on it is settled by itself.
    pub fn due(&self) -> u64 {
        let young = self.claims.last().map_or(0, |(at, _)| at + self.window_ms);
        young.max(self.until() + 1)
    }

    /// Whether the rate allows so many more units now: since the start, and since any moment after which the
    /// provider can have saved up no more than a burst.
    pub fn allows(&self, now: u64, units: u64) -> bool {
        let since = |from: u64| {
            let claimed = self.claims.iter().filter(|(at, _)| *at >= from).map(|(_, units)| u128::from(*units));
            claimed.sum::<u128>() + u128::from(units)
        };
        let within = |units: u128, ms: u64| units * 1_000 <= u128::from(self.rate) * u128::from(ms);
        let moments = self.claims.iter().map(|(at, _)| *at).chain([now]);
        let mut bursts = moments.map(|from| (since(from), now - from + self.burst_ms));
        within(since(self.started), now - self.started) && bursts.all(|(units, ms)| within(units, ms))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Active,
    Leaving,
    Removed,
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub stage: Stage,
    pub payout: Address,
    pub operator: Option<Address>,
    pub open: u32,
    pub free: Option<u64>,
    pub slashed: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub model: ModelId,
    pub proposer: Address,
    pub end: u64,
    pub moved: u32,
    pub votes: u128,
    pub is_open: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Allowed {
    pub scope: Scope,
    pub by: Authority,
    pub spent: BTreeMap<AssetId, u128>,
}

/// Everything the referee knows.
pub(super) struct Books {
    pub params: Params,
    /// The market's time, and the block time it was taken at.
    pub now: u64,
    pub at: u64,
    pub paused_until: Option<u64>,
    pub pause_ended: Option<u64>,
    pub money: BTreeMap<(Place, AssetId), u128>,
    /// Native money that exists no more.
    pub burned: u128,
    pub fees: u128,
    pub jobs: BTreeMap<u64, Deal>,
    pub next_job: u64,
    pub workers: BTreeMap<Address, Worker>,
    pub asked: BTreeMap<u64, Asked>,
    pub models: BTreeMap<ModelId, Option<u32>>,
    pub grants: BTreeMap<(Address, Address), Allowed>,
    pub keys: BTreeMap<Address, Authority>,
    pub measures: BTreeMap<u64, (Measure, BTreeSet<Address>)>,
    /// Jobs that verdicts name, as they were when these were proposed.
    pub named: BTreeMap<u64, Deal>,
    /// Whose money may have become less in this block.
    pub consents: BTreeSet<Address>,
    /// Who gets a compensation.
    pub owed_to: BTreeMap<(u64, u64), Address>,
}

impl Books {
    pub fn new(tree: &Tree) -> Self {
        let market = crate::state::market::stored(tree).unwrap();
        let mut money = money_of(tree);
        money.retain(|_, amount| *amount > 0);
        Self {
            params: params(tree).unwrap(),
            now: market.now.get(),
            at: market.at.get(),
            paused_until: None,
            pause_ended: None,
            money,
            burned: 0,
            fees: 0,
            jobs: BTreeMap::new(),
            next_job: 1,
            workers: BTreeMap::new(),
            asked: BTreeMap::new(),
            models: BTreeMap::new(),
            grants: BTreeMap::new(),
            keys: BTreeMap::new(),
            measures: BTreeMap::new(),
            named: BTreeMap::new(),
            consents: BTreeSet::new(),
            owed_to: BTreeMap::new(),
        }
    }

    /// A block begins: its time, and the parameters that hold in it.
    pub fn begin(&mut self, time: TimestampMs, params: Params) {
        let longest = u64::from(params.market.max_step_ms).max(2 * u64::from(params.empty_block_interval_ms));
        match self.paused_until {
            None => self.now += (time.get() - self.at).min(longest),
            Some(until) if time.get() >= until => (self.paused_until, self.pause_ended) = (None, Some(until)),
            Some(_) => {}
        }
        (self.at, self.params, self.fees) = (time.get(), params, 0);
        self.consents.clear();
    }

    pub fn held(&self, place: Place, asset: AssetId) -> u128 {
        self.money.get(&(place, asset)).copied().unwrap_or_default()
    }

    pub fn take(&mut self, place: Place, asset: AssetId, amount: u128) -> Audit {
        let left = self.held(place, asset).checked_sub(amount);
        let left = left.ok_or_else(|| format!("{amount} of {asset} out of {place:?} are more than there are"))?;
        self.money.insert((place, asset), left);
        Ok(())
    }

    pub fn put(&mut self, place: Place, asset: AssetId, amount: u128) {
        *self.money.entry((place, asset)).or_default() += amount;
    }

    pub fn pay(&mut self, from: Place, to: Place, asset: AssetId, amount: u128) -> Audit {
        self.take(from, asset, amount)?;
        self.put(to, asset, amount);
        Ok(())
    }

    /// Whether the rows say the same: where all money is, which jobs there are, how they stand.
    pub fn compare(&mut self, tree: &Tree) -> Audit {
        self.money.retain(|_, amount| *amount > 0);
        let found = money_of(tree);
        for place in self.money.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            let (expected, got) = (self.money.get(place), found.get(place));
            super::must(expected == got, || format!("{place:?}: {got:?} instead of {expected:?}"))?;
        }
        for row in ASSETS.scan(tree) {
            let (key, row) = row.unwrap();
            let id = AssetId::new(u32::from_be_bytes(key.try_into().unwrap()));
            let sum: u128 = found.iter().filter(|((_, asset), _)| *asset == id).map(|(_, amount)| amount).sum();
            let burned = if id == AssetId::NATIVE { self.burned } else { 0 };
            let (minted, gone) = (row.minted.get(), row.burned.get());
            super::must(sum + gone == minted && gone == burned, || format!("{id}: {sum}, {minted}, {gone} {burned}"))?;
        }
        for (key, row) in COMPENSATIONS.scan(tree).map(Result::unwrap) {
            let [at, job] = [&key[..8], &key[8..]].map(|half| u64::from_be_bytes(half.try_into().unwrap()));
            let payer = self.owed_to.get(&(at, job));
            super::must(payer == Some(&row.payer), || format!("{row:?} for {job} instead of {payer:?}"))?;
        }
        self.compare_jobs(tree)?;
        let market = crate::state::market::stored(tree).unwrap();
        let (now, until) = (market.now.get(), market.paused_until.map(TimestampMs::get));
        let clock = || format!("the clock: {market:?} instead of {} {:?}", self.now, self.paused_until);
        super::must((now, until) == (self.now, self.paused_until), clock)
    }

    fn compare_jobs(&self, tree: &Tree) -> Audit {
        let rows: BTreeMap<u64, _> =
            crate::state::market::jobs(tree).map(|row| row.unwrap()).map(|(id, job)| (id.get(), job)).collect();
        let ids = || format!("{:?} instead of {:?}", rows.keys(), self.jobs.keys());
        super::must(rows.keys().eq(self.jobs.keys()), ids)?;
        for (id, deal) in &self.jobs {
            let row = &rows[id];
            let same = (row.payer, row.opener, row.provider, row.payout, row.asset)
                == (deal.payer, deal.opener, deal.provider, deal.payout, deal.asset)
                && (row.deposit.get(), row.price.get(), row.meter.used.get())
                    == (deal.deposit, deal.price, deal.used())
                && row.started.get() == deal.started
                && (deal.settled.is_some() || row.due_at().get() == deal.due())
                && (row.meter.seq, row.meter.head) == deal.last
                && (row.escrow().is_zero() == deal.settled.is_some());
            super::must(same, || format!("job {id}: {row:?} instead of {deal:?}"))?;
        }
        Ok(())
    }

    /// What somebody has in all places of his own, by asset.
    pub fn owned(&self) -> BTreeMap<(Address, AssetId), u128> {
        let mut owned = BTreeMap::new();
        for ((place, asset), amount) in &self.money {
            if let Some(owner) = place.owner() {
                *owned.entry((owner, *asset)).or_default() += amount;
            }
        }
        owned
    }
}

impl Place {
    /// Whose it is, if it is somebody's own.
    fn owner(self) -> Option<Address> {
        match self {
            Self::Account(who) | Self::Prepaid(who) | Self::Earnings(who) | Self::Bond(who) | Self::Votes(who, _) => {
                Some(who)
            }
            _ => None,
        }
    }
}

/// Where all money is, by the rows alone.
pub(super) fn money_of(tree: &Tree) -> BTreeMap<(Place, AssetId), u128> {
    let stake = AssetId::new(2);
    let who = |key: &[u8]| Address::from_bytes(key[..32].try_into().unwrap());
    let asset = |key: &[u8]| AssetId::new(u32::from_be_bytes(*key.last_chunk().unwrap()));
    let number = |key: &[u8]| u64::from_be_bytes(*key.last_chunk().unwrap());
    let mut all = BTreeMap::new();
    let mut put = |place, asset, amount: crate::types::Amount| {
        if !amount.is_zero() {
            assert_eq!(all.insert((place, asset), amount.get()), None, "{place:?}");
        }
    };
    for (key, row) in ACCOUNTS.scan(tree).map(Result::unwrap) {
        put(Place::Account(who(key)), AssetId::NATIVE, row.balance);
    }
    for (key, row) in BALANCES.scan(tree).map(Result::unwrap) {
        put(Place::Account(who(key)), asset(key), row);
    }
    for (key, row) in PREPAID.scan(tree).map(Result::unwrap) {
        put(Place::Prepaid(who(key)), asset(key), row);
    }
    for (key, row) in EARNINGS.scan(tree).map(Result::unwrap) {
        put(Place::Earnings(who(key)), asset(key), row.balance);
    }
    for (key, row) in TREASURY.scan(tree).map(Result::unwrap) {
        put(Place::Treasury, asset(key), row);
    }
    for (key, row) in REJECTED_POOL.scan(tree).map(Result::unwrap) {
        put(Place::Pool, asset(key), row);
    }
    for (key, row) in JOBS.scan(tree).map(Result::unwrap) {
        put(Place::Escrow(number(key)), row.asset, row.escrow());
    }
    for (key, row) in PROVIDERS.scan(tree).map(Result::unwrap) {
        put(Place::Bond(who(key)), stake, row.bond);
    }
    for (key, row) in COMPENSATIONS.scan(tree).map(Result::unwrap) {
        put(Place::Owed(number(&key[..8]), number(key)), stake, row.amount);
    }
    for (key, row) in MODEL_VOTES.scan(tree).map(Result::unwrap) {
        put(Place::Votes(who(key), number(key)), stake, row);
    }
    for (key, row) in MODEL_PROPOSALS.scan(tree).map(Result::unwrap) {
        put(Place::Fee(number(key)), stake, row.fee);
    }
    all
}
