//! Pages of the market's lists.
//!
//! Not here: disputes (`disputes`).

use super::entries::{
    JOB, JOB_MODEL, JOB_OPENER, JOB_PAYER, JOB_PROVIDER, JOB_STATE, JobEntry, JobRow, JobState, LOCKED, OFFER,
    PROVIDER_ID, PROVIDER_MODEL, PROVIDER_SEEN, RECEIPT, RECEIPT_HASH, key, offer_prefix, provider_keys, read_account,
    read_job, read_offer_key, receipt_key,
};
use super::follow::{market_indexed, read_amount, stored_job};
use super::late::{Kind, Late};
use super::{CHUNK, MAX_HELD, MAX_LOOKS, Source, UNIT_BYTES, head};
use crate::crypto::Hash;
use crate::fault::Fault;
use crate::ledger::keys;
use crate::state::market::provider::{OFFERS, Offer, OfferKey, PROVIDERS, Provider, offer_row};
use crate::state::{RowKey, Rows, Tree};
use crate::storage::{Direction, KeyRange, Table};
use crate::types::{Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Price, UnitKind};
use std::cell::Cell;
use std::collections::BTreeMap;

/// How often a sum is read again because the index moved meanwhile.
const RETRIES: usize = 8;

/// Why nothing is listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The lists are being made, or changed every time they were read: later there is an answer.
    #[error("the lists of the market are not ready")]
    NotReady,
    /// Ours.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// In which order something is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sorting {
    /// The lowest number first.
    Oldest,
    /// The highest number first.
    Newest,
}

impl Sorting {
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Oldest => Direction::Forward,
            Self::Newest => Direction::Backward,
        }
    }
}

/// Which jobs. What is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    /// Who pays.
    pub payer: Option<Address>,
    /// Who opened it.
    pub opener: Option<Address>,
    /// Who works; nobody works on a posted job.
    pub provider: Option<Address>,
    /// What works.
    pub model: Option<ModelId>,
    /// How it stands.
    pub state: Option<JobState>,
}

/// Which offers. What is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfferFilter {
    /// Whose.
    pub provider: Option<Address>,
    /// For which model.
    pub model: Option<ModelId>,
    /// In which asset.
    pub asset: Option<AssetId>,
    /// For which units.
    pub unit_kind: Option<UnitKind>,
    /// The highest price.
    pub max_price: Option<Price>,
}

/// In which order providers are listed, and so which.
#[derive(Clone, Copy, Debug)]
pub enum ProviderOrder {
    /// By number: all, or those that serve a model.
    Id(Option<ModelId>),
    /// Those that offer this, the lowest price first.
    Price(OfferKey),
    /// The latest sign of life first.
    LastSeen,
}

/// Some of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds, in order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` after the last. Opaque.
    pub next: Option<Vec<u8>>,
    /// The newest final block when the page was begun.
    pub height: Height,
    /// Up to this block nothing is missing; it is the newest unless the index is far behind.
    pub complete_to: Height,
    /// The market's clock after it.
    pub now: MarketMs,
}

/// Takes what shall be in a page: `None` leaves it out. What it reads counts for the page.
pub type Take<'t, K, T> = &'t mut dyn FnMut(&Reading<'_>, K) -> Result<Option<T>, Fault>;

/// The state as a page reads it: how much it reads is counted, so that a page and a look have an end.
pub struct Reading<'t> {
    tree: &'t Tree,
    read: Cell<usize>,
}

impl<'t> Reading<'t> {
    fn new(tree: &'t Tree) -> Self {
        Self { tree, read: Cell::new(0) }
    }

    /// What was read so far: rows, and a long one for as many as it is long.
    fn units(&self) -> usize {
        self.read.get()
    }
}

impl Rows for Reading<'_> {
    fn row(&self, key: &RowKey) -> Option<&[u8]> {
        let row = self.tree.row(key);
        let units = 1 + row.map_or(0, <[u8]>::len) / UNIT_BYTES;
        self.read.set(self.read.get().saturating_add(units));
        row
    }
}

/// Jobs by number. `after`: `next` of the page before.
pub fn list_jobs<T>(
    source: &dyn Source,
    filter: &JobFilter,
    sorting: Sorting,
    (after, limit): (Option<&[u8]>, usize),
    take: Take<'_, (JobId, JobRow), T>,
) -> Result<Page<T>, ListError> {
    let mut lines = Vec::new();
    let accounts = [(JOB_PAYER, filter.payer), (JOB_OPENER, filter.opener), (JOB_PROVIDER, filter.provider)];
    lines.extend(accounts.iter().filter_map(|(tag, account)| Some(key(*tag, &[account.as_ref()?.as_bytes()]))));
    lines.extend(filter.model.map(|model| key(JOB_MODEL, &[model.0.as_bytes()])));
    lines.extend(filter.state.map(|state| key(JOB_STATE, &[&[state as u8]])));
    if lines.is_empty() {
        lines.push(vec![JOB]);
    }
    let walk = Walk { lines, base: None, until: None, direction: sorting.direction() };
    walk.page(source, Kind::Jobs, (after, limit), &mut |rows, (suffix, _)| {
        let id = read_job(suffix)?;
        match JobRow::get(rows, id)? {
            Some(row) if filter.matches(&row) => take(rows, (id, row)),
            _ => Ok(None),
        }
    })
}

impl JobFilter {
    fn matches(&self, row: &JobRow) -> bool {
        let (payer, opener, provider, model) = match row {
            JobRow::Job(job) => (job.payer, job.opener, Some(job.provider), job.model),
            JobRow::Post(post) => (post.payer, post.opener, None, post.model),
        };
        self.payer.is_none_or(|wanted| wanted == payer)
            && self.opener.is_none_or(|wanted| wanted == opener)
            && self.provider.is_none_or(|wanted| Some(wanted) == provider)
            && self.model.is_none_or(|wanted| wanted == model)
            && self.state.is_none_or(|wanted| wanted == row.state())
    }
}

/// Offers by model, asset, kind of units, price and the provider's number. Whether they hold now is for `take`.
pub fn list_offers<T>(
    source: &dyn Source,
    filter: &OfferFilter,
    (after, limit): (Option<&[u8]>, usize),
    take: Take<'_, (Address, Provider, OfferKey, Offer), T>,
) -> Result<Page<T>, ListError> {
    let OfferFilter { model, asset, unit_kind, max_price, .. } = *filter;
    let line = model.map_or(vec![OFFER], |model| offer_prefix(&model, asset, unit_kind.map(|kind| kind as u8)));
    // Only where everything before the price is given do all dearer ones stand behind.
    let priced = model.and(asset).and(unit_kind).and(max_price).and_then(|price| price.get().checked_add(1));
    let until = priced.map(|price| [line.as_slice(), &price.to_be_bytes()].concat());
    let mut see = |rows: &Reading<'_>, (suffix, value): (&[u8], &[u8])| {
        let (offered, price) = read_offer_key(&[&[OFFER], suffix].concat())?;
        match offer_at(rows, &read_account(value)?, &offered, price)? {
            Some(found) if filter.matches(&found) => take(rows, found),
            _ => Ok(None),
        }
    };
    if let Some(provider) = &filter.provider {
        return own_offers(source, provider, (after, limit), &mut see);
    }
    let walk = Walk { lines: vec![line], base: Some(1), until, direction: Direction::Forward };
    walk.page(source, Kind::Providers, (after, limit), &mut see)
}

type Found = (Address, Provider, OfferKey, Offer);

/// The offer an entry is of, unless it has changed since.
fn offer_at(rows: &impl Rows, account: &Address, key: &OfferKey, price: Price) -> Result<Option<Found>, Fault> {
    let Some(row) = PROVIDERS.get(rows, account)? else { return Ok(None) };
    let offer = OFFERS.get(rows, &offer_row(row.id, key))?.filter(|offer| offer.terms.price == price);
    Ok(offer.map(|offer| (*account, row, *key, offer)))
}

impl OfferFilter {
    fn matches(&self, (provider, _, key, offer): &Found) -> bool {
        self.provider.is_none_or(|wanted| wanted == *provider)
            && self.model.is_none_or(|model| model == key.model)
            && self.asset.is_none_or(|asset| asset == key.asset)
            && self.unit_kind.is_none_or(|kind| kind == key.unit_kind)
            && self.max_price.is_none_or(|price| offer.terms.price <= price)
    }
}

/// The offers of one provider: its rows name them.
fn own_offers<T>(
    source: &dyn Source,
    provider: &Address,
    (after, limit): (Option<&[u8]>, usize),
    see: See<'_, T>,
) -> Result<Page<T>, ListError> {
    let (height, now) = head(source)?;
    let mut page = Page { items: Vec::new(), next: None, height, complete_to: height, now };
    source.look(&mut |_, tree| {
        let rows = Reading::new(tree);
        let keys = provider_keys(&rows, provider)?;
        let offers = keys.iter().filter_map(|key| key.strip_prefix(&[OFFER]));
        let mut last = None;
        for suffix in offers.filter(|suffix| after.is_none_or(|after| *suffix > after)) {
            if page.items.len() >= limit {
                page.next = last;
                break;
            }
            page.items.extend(see(&rows, (suffix, provider.as_bytes()))?);
            last = Some(suffix.to_vec());
        }
        Ok(())
    })?;
    Ok(page)
}

/// Providers. With an order by price or by sign of life, one that changes its place meanwhile may be in two pages
/// or in none.
pub fn list_providers<T>(
    source: &dyn Source,
    order: &ProviderOrder,
    (after, limit): (Option<&[u8]>, usize),
    take: Take<'_, (Address, Provider), T>,
) -> Result<Page<T>, ListError> {
    let (line, direction) = match order {
        ProviderOrder::Id(None) => (vec![PROVIDER_ID], Direction::Forward),
        ProviderOrder::Id(Some(model)) => (key(PROVIDER_MODEL, &[model.0.as_bytes()]), Direction::Forward),
        ProviderOrder::Price(OfferKey { model, asset, unit_kind }) => {
            (offer_prefix(model, Some(*asset), Some(*unit_kind as u8)), Direction::Forward)
        }
        ProviderOrder::LastSeen => (vec![PROVIDER_SEEN], Direction::Backward),
    };
    let walk = Walk { lines: vec![line.clone()], base: None, until: None, direction };
    walk.page(source, Kind::Providers, (after, limit), &mut |rows, (suffix, value)| {
        let account = read_account(value)?;
        let Some(row) = PROVIDERS.get(rows, &account)? else { return Ok(None) };
        if matches!(order, ProviderOrder::Price(_)) {
            let (offered, price) = read_offer_key(&[line.as_slice(), suffix].concat())?;
            if offer_at(rows, &account, &offered, price)?.is_none() {
                return Ok(None);
            }
        }
        take(rows, (account, row))
    })
}

/// Where a receipt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptPlace {
    /// In which leg of its job.
    pub leg: u32,
    /// Its number there.
    pub seq: u64,
    /// Its block.
    pub height: Height,
    /// The place of its transaction there.
    pub index: u32,
}

/// Where the receipts of a job stand, by leg and number.
pub fn list_receipts(
    source: &dyn Source,
    job: JobId,
    sorting: Sorting,
    (after, limit): (Option<&[u8]>, usize),
) -> Result<Page<ReceiptPlace>, ListError> {
    let lines = vec![key(RECEIPT, &[&job.get().to_be_bytes()])];
    let walk = Walk { lines, base: None, until: None, direction: sorting.direction() };
    walk.page(source, Kind::Receipts, (after, limit), &mut |_, (suffix, value)| {
        let (_, leg, seq) = read_named(&[&job.get().to_be_bytes(), suffix].concat())?;
        let (height, index) = keys::read_place(value)?;
        Ok(Some(ReceiptPlace { leg, seq, height, index }))
    })
}

/// Where a receipt of a job stands.
pub fn receipt_place(source: &dyn Source, job: JobId, leg: u32, seq: u64) -> Result<Option<ReceiptPlace>, ListError> {
    let late = Late::of(source, Kind::Receipts)?;
    place_of(source, &late, (job, leg, seq))
}

/// The receipt of a hash: its job, and where it stands.
pub fn find_receipt(source: &dyn Source, hash: &Hash) -> Result<Option<(JobId, ReceiptPlace)>, ListError> {
    let late = Late::of(source, Kind::Receipts)?;
    let Some(named) = find(source, &late, &key(RECEIPT_HASH, &[hash.as_bytes()]))? else { return Ok(None) };
    let (job, leg, seq) = read_named(&named)?;
    Ok(place_of(source, &late, (job, leg, seq))?.map(|place| (job, place)))
}

fn place_of(
    source: &dyn Source,
    late: &Late,
    (job, leg, seq): (JobId, u32, u64),
) -> Result<Option<ReceiptPlace>, ListError> {
    let found = find(source, late, &receipt_key(job, leg, seq))?;
    let place = found.map(|value| keys::read_place(&value)).transpose()?;
    Ok(place.map(|(height, index)| ReceiptPlace { leg, seq, height, index }))
}

/// What stands under a key. Where the index is far behind, nobody knows that there is nothing.
fn find(source: &dyn Source, late: &Late, key: &[u8]) -> Result<Option<Vec<u8>>, ListError> {
    if let Some(value) = late.entries.get(key) {
        return Ok(Some(value.clone()));
    }
    match keys::get(source.store(), Table::Market, key)? {
        None if late.behind => Err(ListError::NotReady),
        found => Ok(found),
    }
}

fn read_named(bytes: &[u8]) -> Result<(JobId, u32, u64), Fault> {
    let bad = || Fault::new("an entry of a receipt leads nowhere");
    let (job, rest) = bytes.split_first_chunk().ok_or_else(bad)?;
    let (leg, seq) = rest.split_first_chunk().ok_or_else(bad)?;
    let seq = seq.try_into().map_err(|_| bad())?;
    Ok((JobId::new(u64::from_be_bytes(*job)), u32::from_be_bytes(*leg), u64::from_be_bytes(seq)))
}

/// What a payer has in escrow of open jobs, per asset, after the newest final block.
pub fn locked(source: &dyn Source, payer: &Address) -> Result<BTreeMap<AssetId, Amount>, ListError> {
    for _ in 0..RETRIES {
        let before = (market_indexed(source.store())?, head(source)?);
        let sums = locked_now(source, payer)?;
        if (market_indexed(source.store())?, head(source)?) == before {
            return Ok(sums);
        }
    }
    Err(ListError::NotReady)
}

/// The sums of the index, brought up to the head.
fn locked_now(source: &dyn Source, payer: &Address) -> Result<BTreeMap<AssetId, Amount>, ListError> {
    let late = Late::of(source, Kind::Jobs)?;
    if late.behind {
        return Err(ListError::NotReady);
    }
    let mut sums = BTreeMap::new();
    let range = KeyRange::prefix(&key(LOCKED, &[payer.as_bytes()]));
    let rows = source.store().scan(Table::Market, &range, Direction::Forward, usize::MAX).map_err(Fault::from)?;
    for (key, value) in rows {
        let asset = key.last_chunk().copied().map(u32::from_be_bytes).map(AssetId::new);
        let asset = asset.ok_or_else(|| Fault::new("a sum of escrows has a bad key"))?;
        sums.insert(asset, read_amount(&keys::strip(value)?)?);
    }
    let mut add = |entry: &JobEntry, comes: bool| {
        let sum = sums.entry(entry.asset).or_insert(Amount::ZERO);
        let changed = if comes { sum.checked_add(entry.escrow) } else { sum.checked_sub(entry.escrow) };
        changed.map(|changed| *sum = changed).ok_or_else(|| Fault::new("the sum of a payer's escrows left its range"))
    };
    for (id, now) in &late.jobs {
        let before = stored_job(source.store(), *id)?.map(|filed| filed.entry);
        for (entry, comes) in [(now, true), (&before, false)] {
            if let Some(entry) = entry.as_ref().filter(|entry| entry.payer == *payer) {
                add(entry, comes)?;
            }
        }
    }
    sums.retain(|_, sum| !sum.is_zero());
    Ok(sums)
}

/// Sees an entry: what follows the base of its key, and its value.
pub(super) type See<'s, T> = &'s mut dyn FnMut(&Reading<'_>, (&[u8], &[u8])) -> Result<Option<T>, Fault>;

/// Lists that stand beside each other: what they have in common is looked for.
pub(super) struct Walk {
    /// The beginnings of their keys.
    pub lines: Vec<Vec<u8>>,
    /// So many bytes of a key don't belong to the place in the list; `None`: the beginning.
    pub base: Option<usize>,
    /// Keys from here on don't belong to the only list.
    pub until: Option<Vec<u8>>,
    pub direction: Direction,
}

/// An entry's place and value.
type Entry<'e> = (&'e Vec<u8>, &'e Vec<u8>);

/// The next entries of a list, by their place, and whether there are more.
struct Chunk {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The place up to which these are all; `None`: to the end.
    reach: Option<Vec<u8>>,
    /// How many entries were read for it.
    scanned: usize,
}

/// A page that is being made.
struct Filling<T> {
    page: Page<T>,
    /// The last place that was seen.
    after: Option<Vec<u8>>,
    limit: usize,
    /// Entries and rows that were read for it.
    looked: usize,
}

impl<T> Filling<T> {
    fn is_full(&self) -> bool {
        self.page.items.len() >= self.limit || self.looked >= MAX_LOOKS
    }

    /// Sees these entries, a bounded look at a time. Answers whether it has seen them all.
    fn fill(&mut self, source: &dyn Source, mut rows: &[Entry<'_>], see: &mut See<'_, T>) -> Result<bool, Fault> {
        let mut first = true;
        while !rows.is_empty() {
            // The first entry of all is seen whatever its list cost: a page always gets on.
            if self.page.items.len() >= self.limit || (!first && self.looked >= MAX_LOOKS) {
                return Ok(false);
            }
            first = false;
            let mut seen = 0;
            source.look(&mut |_, tree| {
                let reading = Reading::new(tree);
                for (place, value) in rows {
                    if self.page.items.len() >= self.limit || reading.units() >= MAX_HELD {
                        break;
                    }
                    self.page.items.extend(see(&reading, (place, value))?);
                    self.after = Some((*place).clone());
                    seen += 1;
                }
                self.looked = self.looked.saturating_add(reading.units());
                Ok(())
            })?;
            rows = rows.get(seen..).unwrap_or_default();
        }
        Ok(true)
    }
}

impl Walk {
    pub fn page<T>(
        &self,
        source: &dyn Source,
        kind: Kind,
        (after, limit): (Option<&[u8]>, usize),
        mut see: See<'_, T>,
    ) -> Result<Page<T>, ListError> {
        let late = Late::of(source, kind)?;
        let (height, now) = (late.height, late.now);
        let page = Page { items: Vec::new(), next: None, height, complete_to: late.to.min(height), now };
        let mut filling = Filling { page, after: after.map(<[u8]>::to_vec), limit, looked: 0 };
        loop {
            let Chunk { entries, reach, scanned } = self.chunk(source, &late, filling.after.as_deref())?;
            filling.looked = filling.looked.saturating_add(scanned.max(1));
            let rows: Vec<_> = match self.direction {
                Direction::Forward => entries.iter().collect(),
                Direction::Backward => entries.iter().rev().collect(),
            };
            if !filling.fill(source, &rows, &mut see)? {
                filling.page.next = filling.after;
                return Ok(filling.page);
            }
            match reach {
                None => return Ok(filling.page),
                Some(reach) if filling.is_full() => {
                    filling.page.next = Some(reach);
                    return Ok(filling.page);
                }
                Some(reach) => filling.after = Some(reach),
            }
        }
    }

    /// Of the next entries of every list those that get farthest: all others have fewer up to there.
    fn chunk(&self, source: &dyn Source, late: &Late, after: Option<&[u8]>) -> Result<Chunk, Fault> {
        let (mut best, mut scanned) = (None::<Chunk>, 0usize);
        for line in &self.lines {
            let chunk = self.entries(source, late, line, after)?;
            scanned = scanned.saturating_add(chunk.scanned);
            if best.as_ref().is_none_or(|best| self.is_farther(chunk.reach.as_deref(), best.reach.as_deref())) {
                best = Some(chunk);
            }
            if best.as_ref().is_some_and(|best| best.reach.is_none()) {
                break;
            }
        }
        let best = best.ok_or_else(|| Fault::new("nothing is listed"))?;
        Ok(Chunk { scanned, ..best })
    }

    fn is_farther(&self, reach: Option<&[u8]>, than: Option<&[u8]>) -> bool {
        match (reach, than) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(reach), Some(than)) => self.is_beyond(reach, than),
        }
    }

    fn is_beyond(&self, place: &[u8], than: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => place > than,
            Direction::Backward => place < than,
        }
    }

    /// The next entries of a list: those of the index, but of rows that blocks above it touched those of the state.
    fn entries(&self, source: &dyn Source, late: &Late, line: &[u8], after: Option<&[u8]>) -> Result<Chunk, Fault> {
        let base = line.get(..self.base.unwrap_or(line.len())).unwrap_or_default();
        let all = self.until.as_ref().map_or_else(|| KeyRange::prefix(line), |until| KeyRange::between(line, until));
        let at = after.map(|after| [base, after].concat());
        let range = match (&at, self.direction) {
            (None, _) => all,
            (Some(at), Direction::Forward) => all.after(at),
            (Some(at), Direction::Backward) => all.before(at),
        };
        let rows = source.store().scan(Table::Market, &range, self.direction, CHUNK)?;
        let (full, scanned) = (rows.len() >= CHUNK, rows.len());
        let place = |key: &[u8]| key.get(base.len()..).unwrap_or_default().to_vec();
        let reach = rows.last().filter(|_| full).map(|(key, _)| place(key));
        let mut entries = BTreeMap::new();
        for (key, value) in rows {
            let value = keys::strip(value)?;
            if !late.overrules(&key, &value)? {
                entries.insert(place(&key), value);
            }
        }
        let own = late.entries.range(line.to_vec()..).take_while(|(key, _)| key.starts_with(line));
        for (key, value) in own.filter(|(key, _)| self.until.as_ref().is_none_or(|until| *key < until)) {
            let place = place(key);
            let follows = after.is_none_or(|after| self.is_beyond(&place, after));
            let is_in = reach.as_deref().is_none_or(|reach| !self.is_beyond(&place, reach));
            if follows && is_in {
                entries.insert(place, value.clone());
            }
        }
        Ok(Chunk { entries, reach, scanned })
    }
}
