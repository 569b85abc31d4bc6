//! `market`: jobs and receipts.
//!
//! Not here: the rules and the rows (chain-core), how pages are found (`chain_core::ledger::market`).

use super::Verb::Get;
use super::market::MAX_PAGE;
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::{RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::codec::Text;
use chain_core::state::Tree;
use chain_core::state::market::job::{CLIENT_REFS, ClientRef, JOBS, ref_row};
use chain_core::state::market::{UNKNOWN_JOB, jobs, stored};
use chain_core::types::JobId;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("market", disk get_jobs, JobsParams => JobsView, 50, r#"{"limit":10}"#, [(Get, "/v1/jobs")],
        "get_jobs", "Jobs by payer, opener, provider, model, state and asset, newest or oldest first, in pages."),
    entry!("market", now get_job, JobParams => JobAnswer, 2, r#"{"job":"$job"}"#, [(Get, "/v1/jobs/{job}")],
        "get_job", "A job by its number, or by what its payer calls it."),
];

/// What a job is asked for by.
enum Named {
    Number(JobId),
    Ref(chain_core::types::Address, ClientRef),
}

fn get_job(context: &Context, asked: JobParams) -> Result<JobAnswer, RpcError> {
    let named = match (asked.job, asked.payer, asked.client_ref) {
        (Some(id), None, None) => Named::Number(id),
        (None, Some(payer), Some(name)) => Named::Ref(payer, Text::new(name).map_err(bad_params)?),
        _ => return Err(bad_params("give job, or payer and client_ref")),
    };
    let found = look(context, |block, tree| {
        let Some(id) = number(tree, &named)? else { return Ok(None) };
        let (height, now) = (block.header.height, stored(tree)?.now);
        let job = JOBS.get(tree, &id)?.map(|job| JobView::of(id, &job, now));
        Ok(job.map(|job| JobAnswer { height, now, job }))
    })?;
    let got = match named {
        Named::Number(id) => id.to_string(),
        Named::Ref(_, name) => name.to_string(),
    };
    found.ok_or_else(|| UNKNOWN_JOB.because("a job that is known", got).into())
}

fn number(tree: &Tree, named: &Named) -> Result<Option<JobId>, Fault> {
    match named {
        Named::Number(id) => Ok(Some(*id)),
        Named::Ref(payer, name) => CLIENT_REFS.get(tree, &ref_row(payer, name)),
    }
}

fn get_jobs(context: &Context, asked: JobsParams) -> Result<JobsView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    look(context, |block, tree| {
        let now = stored(tree)?.now;
        let views = jobs(tree).take(limit).map(|row| row.map(|(id, job)| JobView::of(id, &job, now)));
        Ok(JobsView { height: block.header.height, now, jobs: views.collect::<Result<_, Fault>>()?, next: None })
    })
}
