//! Pages of disputes.
//!
//! Not here: how pages are found (`list`).

use super::Source;
use super::entries::{DISPUTE, DISPUTE_ACCOUNT, DISPUTE_STATE, dispute_accounts, key, read_job};
use super::late::Kind;
use super::list::{ListError, Page, Sorting, Take, Walk};
use crate::state::market::dispute::{DISPUTES, Dispute, dispute_terms};
use crate::state::market::job::{JOBS, Job};
use crate::state::market::provider::DisputeTerms;
use crate::types::{Address, JobId};

/// Which disputes. What is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisputeFilter {
    /// Payer, opener, provider, who earns, or a named arbiter.
    pub account: Option<Address>,
    /// Whether it goes on.
    pub open: Option<bool>,
}

/// A dispute with its job, and how it is decided.
pub type Disputed = (JobId, Job, Dispute, DisputeTerms);

/// Disputes by their job's number. `after`: `next` of the page before.
pub fn list_disputes<T>(
    source: &dyn Source,
    filter: &DisputeFilter,
    sorting: Sorting,
    (after, limit): (Option<&[u8]>, usize),
    take: Take<'_, Disputed, T>,
) -> Result<Page<T>, ListError> {
    let mut lines = Vec::new();
    lines.extend(filter.account.map(|account| key(DISPUTE_ACCOUNT, &[account.as_bytes()])));
    lines.extend(filter.open.map(|open| key(DISPUTE_STATE, &[&[u8::from(open)]])));
    if lines.is_empty() {
        lines.push(vec![DISPUTE]);
    }
    let walk = Walk { lines, base: None, until: None, direction: sorting.direction() };
    walk.page(source, Kind::Jobs, (after, limit), &mut |rows, (suffix, _)| {
        let id = read_job(suffix)?;
        let (Some(job), Some(dispute)) = (JOBS.get(rows, &id)?, DISPUTES.get(rows, &id)?) else { return Ok(None) };
        let terms = dispute_terms(rows, id)?;
        let is_meant = filter.open.is_none_or(|open| open == dispute.outcome.is_none())
            && filter.account.is_none_or(|account| dispute_accounts(&job, &terms).contains(&account));
        if is_meant { take(rows, (id, job, dispute, terms)) } else { Ok(None) }
    })
}
