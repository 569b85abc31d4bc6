//! The index follows the chain; where it can't, it is made anew from the state.

use super::entries::{FORGETTING, Filed, JobEntry, PROVIDER, job_key, key, locked_key, provider_keys, read_job};
use super::touched::Touched;
use super::{CHUNK, Source, head};
use crate::codec;
use crate::fault::Fault;
use crate::ledger::keys::{self, MARKET, height_key};
use crate::limits::MAX_FRAME_BYTES;
use crate::state::market::job::{JOB_FORGETTING, JOBS};
use crate::state::market::post::POSTS;
use crate::state::market::provider::PROVIDERS;
use crate::state::params;
use crate::storage::{Batch, Direction, Durability, KeyRange, Store, Table};
use crate::types::{Address, Amount, AssetId, Height, JobId, MarketMs};
use std::collections::{BTreeMap, BTreeSet};

/// Entries that are removed with one batch when the index is made anew.
const WIPE: usize = 4_096;
/// Chunks of forgotten jobs that are removed at a time.
const SWEEPS: usize = 16;

/// The height the market's lists have come to; `None`: they are not made yet.
pub fn market_indexed(store: &dyn Store) -> Result<Option<Height>, Fault> {
    keys::get_height(store, Table::Meta, MARKET)
}

/// Takes at most `limit` final blocks more into the market's lists, and answers how many. The first time, and
/// where blocks between are gone, the lists are made anew from the state. One thread at a time.
pub fn index_market(source: &dyn Source, limit: u64) -> Result<u64, Fault> {
    let oldest = source.oldest_body().saturating_sub(1);
    let done = match market_indexed(source.store())? {
        Some(done) if done >= oldest => done,
        _ => rebuild(source, oldest)?,
    };
    let last = head(source)?.0.min(done.saturating_add(limit));
    let mut height = done;
    while height < last {
        height = height.next();
        let block = source.block(height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))?;
        let mut touched = Touched::default();
        touched.add(&block);
        let mut writer = Writer::new(source);
        for (key, value) in &touched.receipts {
            keys::put(&mut writer.batch, Table::Market, key, value);
        }
        writer.jobs(&touched.jobs)?;
        writer.providers(&touched.providers)?;
        keys::put(&mut writer.batch, Table::Meta, MARKET, &height_key(height));
        writer.write()?;
    }
    if last > done {
        sweep(source)?;
    }
    Ok(last.get().saturating_sub(done.get()))
}

/// Removes what is left of jobs the state has forgotten. They come first, for the state forgets in the same order:
/// by the time that was set when a job was settled, whatever was voted since.
fn sweep(source: &dyn Source) -> Result<(), Fault> {
    for _ in 0..SWEEPS {
        let range = KeyRange::prefix(&[FORGETTING]);
        let rows = source.store().scan(Table::Market, &range, Direction::Forward, CHUNK)?;
        let ids = rows.iter().map(|(key, _)| read_job(key)).collect::<Result<Vec<_>, _>>()?;
        let mut gone = BTreeSet::new();
        source.look(&mut |_, tree| {
            gone = ids.iter().filter(|id| tree.get(&JOBS.key(id)).is_none()).copied().collect();
            Ok(())
        })?;
        let mut writer = Writer::new(source);
        writer.jobs(&gone)?;
        writer.write()?;
        if gone.len() < CHUNK {
            break;
        }
    }
    Ok(())
}

/// Makes the lists from the rows, as if every block up to `follows` had been taken. That height is written last:
/// whatever interrupts this, it begins again.
fn rebuild(source: &dyn Source, follows: Height) -> Result<Height, Fault> {
    let store = source.store();
    let mut batch = Batch::new();
    batch.delete(Table::Meta, MARKET.to_vec());
    store.write(batch, Durability::Buffered)?;
    wipe(store)?;
    // First the settled ones, under the times they are forgotten at: so those are known.
    each_key(source, JOB_FORGETTING.number(), |found| {
        let mut writer = Writer::new(source);
        writer.forgotten = found.iter().map(|key| read_forgetting(key)).collect::<Result<_, _>>()?;
        writer.jobs(&writer.forgotten.keys().copied().collect())?;
        writer.write()
    })?;
    for table in [JOBS.number(), POSTS.number()] {
        each_key(source, table, |found| {
            let mut writer = Writer::new(source);
            writer.jobs(&found.iter().map(|key| read_job(key)).collect::<Result<_, _>>()?)?;
            writer.write()
        })?;
    }
    each_key(source, PROVIDERS.number(), |found| {
        let mut writer = Writer::new(source);
        writer.providers(&found.iter().map(|key| super::entries::read_account(key)).collect::<Result<_, _>>()?)?;
        writer.write()
    })?;
    let mut batch = Batch::new();
    keys::put(&mut batch, Table::Meta, MARKET, &height_key(follows));
    store.write(batch, Durability::Buffered)?;
    Ok(follows)
}

fn wipe(store: &dyn Store) -> Result<(), Fault> {
    loop {
        let rows = store.scan(Table::Market, &KeyRange::all(), Direction::Forward, WIPE)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, _) in rows {
            batch.delete(Table::Market, key);
        }
        store.write(batch, Durability::Buffered)?;
    }
}

/// Shows the keys of a table's rows, without the table's number, some at a time.
fn each_key(
    source: &dyn Source,
    table: u8,
    mut show: impl FnMut(Vec<Vec<u8>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut found: Vec<Vec<u8>> = Vec::new();
        source.look(&mut |_, tree| {
            let from = [&[table][..], after.as_deref().unwrap_or_default()].concat();
            let from = crate::state::RowKey::new(&from).map_err(|e| Fault::new(e.to_string()))?;
            let rows = tree.range(&from).map(|(key, _)| key.as_bytes()).take_while(|key| key.first() == Some(&table));
            let rows = rows.map(|key| key.get(1..).unwrap_or_default());
            found = rows.filter(|key| after.as_deref() != Some(key)).take(CHUNK).map(<[u8]>::to_vec).collect();
            Ok(())
        })?;
        let Some(last) = found.last() else { return Ok(()) };
        after = Some(last.clone());
        show(found)?;
    }
}

/// Brings entries in line with rows, as one batch.
struct Writer<'s> {
    source: &'s dyn Source,
    batch: Batch,
    locked: BTreeMap<(Address, AssetId), Amount>,
    /// When settled jobs are forgotten, as far as that is known.
    forgotten: BTreeMap<JobId, MarketMs>,
}

impl<'s> Writer<'s> {
    fn new(source: &'s dyn Source) -> Self {
        Self { source, batch: Batch::new(), locked: BTreeMap::new(), forgotten: BTreeMap::new() }
    }

    fn jobs(&mut self, ids: &BTreeSet<JobId>) -> Result<(), Fault> {
        let ids: Vec<_> = ids.iter().copied().collect();
        for ids in ids.chunks(CHUNK) {
            let rows = job_entries(self.source, ids)?;
            self.find_forgotten(&rows)?;
            for (id, now) in rows {
                let forgotten = self.forgotten.get(&id).copied();
                // Settled, and in no queue any more: forgotten since its row was read.
                let now = now.filter(|entry| entry.settled.is_none() || forgotten.is_some());
                self.job(id, now.map(|entry| Filed { forgotten: entry.settled.and(forgotten), entry }))?;
            }
        }
        Ok(())
    }

    /// Finds out when settled jobs are forgotten: it was said before, or follows from the parameters of now. Where
    /// these were changed since they were settled, the state's queue is looked through.
    fn find_forgotten(&mut self, rows: &[(JobId, Option<JobEntry>)]) -> Result<(), Fault> {
        let settled = rows.iter().filter_map(|(id, entry)| Some((*id, entry.as_ref()?.settled?)));
        let (mut missing, found) = (BTreeMap::new(), &mut self.forgotten);
        for (id, at) in settled {
            match stored_job(self.source.store(), id)?.and_then(|filed| filed.forgotten) {
                Some(known) => drop(found.insert(id, known)),
                None if found.contains_key(&id) => {}
                None => drop(missing.insert(id, at)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.source.look(&mut |_, tree| {
            let kept_s = params(tree)?.retention_s;
            for (id, at) in &missing {
                let forgotten = at.plus_s(kept_s);
                if JOB_FORGETTING.get(tree, &(forgotten, *id))?.is_some() {
                    found.insert(*id, forgotten);
                }
            }
            Ok(())
        })?;
        missing.retain(|id, _| !found.contains_key(id));
        if missing.is_empty() {
            return Ok(());
        }
        each_key(self.source, JOB_FORGETTING.number(), |keys| {
            for key in keys {
                let (id, forgotten) = read_forgetting(&key)?;
                if missing.contains_key(&id) {
                    found.insert(id, forgotten);
                }
            }
            Ok(())
        })
    }

    fn job(&mut self, id: JobId, now: Option<Filed>) -> Result<(), Fault> {
        let record = job_key(id);
        let before = stored_job(self.source.store(), id)?;
        if before == now {
            return Ok(());
        }
        let keys = |filed: &Option<Filed>| filed.as_ref().map(|filed| filed.keys(id)).unwrap_or_default();
        self.replace(&keys(&before), &keys(&now), &[]);
        match &now {
            Some(now) => keys::put(&mut self.batch, Table::Market, &record, &codec::encode(now)),
            None => self.batch.delete(Table::Market, record),
        }
        // First what comes: the sum is never below what goes.
        for (filed, comes) in [(&now, true), (&before, false)] {
            if let Some(filed) = filed {
                self.lock(&filed.entry, comes)?;
            }
        }
        Ok(())
    }

    fn lock(&mut self, entry: &JobEntry, comes: bool) -> Result<(), Fault> {
        let place = (entry.payer, entry.asset);
        let sum = match self.locked.get(&place) {
            Some(sum) => *sum,
            None => stored_locked(self.source.store(), &entry.payer, entry.asset)?,
        };
        let sum = if comes { sum.checked_add(entry.escrow) } else { sum.checked_sub(entry.escrow) };
        self.locked.insert(place, sum.ok_or_else(|| Fault::new("the sum of a payer's escrows left its range"))?);
        Ok(())
    }

    fn providers(&mut self, accounts: &BTreeSet<Address>) -> Result<(), Fault> {
        for account in accounts {
            let mut now = Vec::new();
            self.source.look(&mut |_, tree| {
                now = provider_keys(tree, account)?;
                Ok(())
            })?;
            self.provider(account, &now)?;
        }
        Ok(())
    }

    fn provider(&mut self, account: &Address, now: &[Vec<u8>]) -> Result<(), Fault> {
        let record = key(PROVIDER, &[account.as_bytes()]);
        let before = keys::get(self.source.store(), Table::Market, &record)?;
        let before: Vec<Vec<u8>> = match before {
            Some(bytes) => decode(&bytes)?,
            None => Vec::new(),
        };
        self.replace(&before, now, account.as_bytes());
        match now {
            [] => self.batch.delete(Table::Market, record),
            now => keys::put(&mut self.batch, Table::Market, &record, &codec::encode(now)),
        }
        Ok(())
    }

    /// Removes the entries that are no more and adds those that are new.
    fn replace(&mut self, before: &[Vec<u8>], now: &[Vec<u8>], value: &[u8]) {
        for key in before.iter().filter(|key| !now.contains(key)) {
            self.batch.delete(Table::Market, key.clone());
        }
        for key in now.iter().filter(|key| !before.contains(key)) {
            keys::put(&mut self.batch, Table::Market, key, value);
        }
    }

    fn write(mut self) -> Result<(), Fault> {
        for ((payer, asset), sum) in &self.locked {
            let key = locked_key(payer, *asset);
            match sum.is_zero() {
                true => self.batch.delete(Table::Market, key),
                false => keys::put(&mut self.batch, Table::Market, &key, &sum.get().to_be_bytes()),
            }
        }
        Ok(self.source.store().write(self.batch, Durability::Buffered)?)
    }
}

/// The job and the time of a row of the state's queue.
fn read_forgetting(key: &[u8]) -> Result<(JobId, MarketMs), Fault> {
    let at = key.first_chunk().copied().map(u64::from_be_bytes).map(MarketMs::new);
    Ok((read_job(key)?, at.ok_or_else(|| Fault::new("a row of the queue of jobs to forget has a bad key"))?))
}

/// What the rows of jobs say of their places now.
pub(super) fn job_entries(source: &dyn Source, ids: &[JobId]) -> Result<Vec<(JobId, Option<JobEntry>)>, Fault> {
    let mut rows = Vec::with_capacity(ids.len());
    source.look(&mut |_, tree| {
        for id in ids {
            rows.push((*id, JobEntry::of(tree, *id)?));
        }
        Ok(())
    })?;
    Ok(rows)
}

/// What a job's entries followed from when the index came to it.
pub(super) fn stored_job(store: &dyn Store, id: JobId) -> Result<Option<Filed>, Fault> {
    keys::get(store, Table::Market, &job_key(id))?.map(|bytes| decode(&bytes)).transpose()
}

/// What a payer had in open jobs when the index came to it.
pub(super) fn stored_locked(store: &dyn Store, payer: &Address, asset: AssetId) -> Result<Amount, Fault> {
    let bytes = keys::get(store, Table::Market, &locked_key(payer, asset))?;
    bytes.map_or(Ok(Amount::ZERO), |bytes| read_amount(&bytes))
}

pub(super) fn read_amount(bytes: &[u8]) -> Result<Amount, Fault> {
    let bytes = bytes.try_into().map_err(|_| Fault::new("a stored sum is not 16 bytes"))?;
    Ok(Amount::new(u128::from_be_bytes(bytes)))
}

fn decode<T: borsh::BorshDeserialize>(bytes: &[u8]) -> Result<T, Fault> {
    codec::decode(bytes, MAX_FRAME_BYTES).map_err(|e| Fault::new(format!("an entry of the market: {e}")))
}
