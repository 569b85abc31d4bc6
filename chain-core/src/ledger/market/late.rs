//! What the blocks above the index touched: a page shows it as if the index had come to the head.
//!
//! Not here: pages (`list`), the index (`follow`).

use super::entries::{
    DISPUTE, DISPUTE_ACCOUNT, JOB, JOB_STATE, JobEntry, OFFER, PROVIDER_ID, job_key, provider_keys, read_account,
    read_job,
};
use super::follow::{job_entries, market_indexed};
use super::list::ListError;
use super::touched::Touched;
use super::{CHUNK, LATE_BLOCKS, MAX_LATE, MAX_LATE_ENTRIES, MAX_LATE_OUTCOMES, Source, head};
use crate::fault::Fault;
use crate::types::{Address, Height, JobId, MarketMs};
use std::collections::{BTreeMap, BTreeSet};

/// Which lists are asked for: only what belongs to them is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jobs,
    /// And their offers.
    Providers,
    Receipts,
}

/// What the blocks above the index touched, as it is now.
#[derive(Default)]
pub(super) struct Late {
    /// The newest final block, and the market's clock after it.
    pub height: Height,
    pub now: MarketMs,
    /// Up to this block nothing is missing.
    pub to: Height,
    /// Whether that is where the index is, though there are blocks above.
    pub behind: bool,
    pub jobs: BTreeMap<JobId, Option<JobEntry>>,
    providers: BTreeSet<Address>,
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Late {
    /// Nothing, if that is too much: the lists are then those of the height the index has come to. How much it is
    /// is counted before it is looked at.
    pub fn of(source: &dyn Source, kind: Kind) -> Result<Self, ListError> {
        let indexed = market_indexed(source.store())?.ok_or(ListError::NotReady)?;
        let (height, now) = head(source)?;
        let newest = Self { height, now, to: height, ..Self::default() };
        let late = match touched(source, indexed, height)? {
            Some(touched) => newest.look(source, touched, kind)?,
            None => None,
        };
        Ok(late.unwrap_or(Self { height, now, to: indexed.min(height), behind: true, ..Self::default() }))
    }

    /// With what was touched of a kind as it is now; `None`: that is too much.
    fn look(mut self, source: &dyn Source, touched: Touched, kind: Kind) -> Result<Option<Self>, Fault> {
        match kind {
            Kind::Receipts => self.entries.extend(touched.receipts),
            Kind::Jobs => self.look_at_jobs(source, touched.jobs)?,
            Kind::Providers => {
                for account in touched.providers {
                    self.look_at_provider(source, account)?;
                    if self.entries.len() > MAX_LATE_ENTRIES {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(self))
    }

    fn look_at_jobs(&mut self, source: &dyn Source, ids: BTreeSet<JobId>) -> Result<(), Fault> {
        let ids: Vec<JobId> = ids.into_iter().collect();
        for ids in ids.chunks(CHUNK) {
            self.jobs.extend(job_entries(source, ids)?);
        }
        for (id, entry) in self.jobs.iter().filter_map(|(id, entry)| Some((id, entry.as_ref()?))) {
            self.entries.insert(job_key(*id), Vec::new());
            self.entries.extend(entry.keys(*id).into_iter().map(|key| (key, Vec::new())));
        }
        Ok(())
    }

    fn look_at_provider(&mut self, source: &dyn Source, account: Address) -> Result<(), Fault> {
        source.look(&mut |_, tree| {
            let keys = provider_keys(tree, &account)?;
            self.entries.extend(keys.into_iter().map(|key| (key, account.as_bytes().to_vec())));
            Ok(())
        })?;
        self.providers.insert(account);
        Ok(())
    }

    /// Whether the index may say something else of this entry's row than the state.
    pub fn overrules(&self, key: &[u8], value: &[u8]) -> Result<bool, Fault> {
        Ok(match key.first() {
            Some(&(JOB..=JOB_STATE | DISPUTE..=DISPUTE_ACCOUNT)) => self.jobs.contains_key(&read_job(key)?),
            Some(&(PROVIDER_ID..=OFFER)) => self.providers.contains(&read_account(value)?),
            _ => false,
        })
    }
}

/// What the blocks above `indexed` touched; `None`: they are too many, or did too much.
fn touched(source: &dyn Source, indexed: Height, newest: Height) -> Result<Option<Touched>, Fault> {
    if newest.get().saturating_sub(indexed.get()) > LATE_BLOCKS {
        return Ok(None);
    }
    let (mut touched, mut outcomes, mut height) = (Touched::default(), 0usize, indexed);
    while height < newest {
        height = height.next();
        // One that is gone meanwhile was pruned, and so indexed.
        let Some(block) = source.block(height)? else { continue };
        outcomes = outcomes.saturating_add(block.results.events.len());
        if outcomes > MAX_LATE_OUTCOMES {
            return Ok(None);
        }
        touched.add(&block);
        if touched.len() > MAX_LATE {
            return Ok(None);
        }
    }
    Ok(Some(touched))
}
