//! `market`: jobs and receipts.
//!
//! Not here: the rules and the rows (chain-core), how pages are found (`chain_core::ledger::market`).

use super::Verb::Get;
use super::market::{MAX_PAGE, last_page, page_view, read_cursor, unlisted};
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::backend::BackendError;
use crate::errors::{NOT_FOUND, RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::codec::Text;
use chain_core::ledger::CommittedBlock;
use chain_core::ledger::market::{
    JobFilter, JobRow, Reading, ReceiptPlace, Sorting, find_receipt, list_jobs, list_receipts, receipt_place,
};
use chain_core::state::market::dispute::dispute_terms;
use chain_core::state::market::job::{CLIENT_REFS, ClientRef, ref_row};
use chain_core::state::market::{UNKNOWN_JOB, stored};
use chain_core::state::{Rows, Tree};
use chain_core::tx::{Event, receipt};
use chain_core::types::{Address, JobId, MarketMs};
use std::sync::Arc;

/// Most receipts in one page: each may be in another block of several MiB.
const MAX_PAGE_BLOCKS: usize = 200;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("market", disk get_jobs, JobsParams => JobsView, 50, r#"{"limit":10}"#, [(Get, "/v1/jobs")],
        "get_jobs", "Jobs, also posted ones, by payer, opener, provider, model, state and asset, newest or oldest first, in pages."),
    entry!("market", now get_job, JobParams => JobAnswer, 2, r#"{"job":"$job"}"#, [(Get, "/v1/jobs/{job}")],
        "get_job", "A job, also a posted one, by its number, or by what its opener calls it."),
    entry!("market", disk get_receipts, ReceiptsParams => ReceiptsView, 50, r#"{"job":"$job"}"#,
        [(Get, "/v1/jobs/{job}/receipts"), (Get, "/v1/receipts")],
        "get_receipts", "The accepted receipts of a job this node has the blocks of, in pages."),
    entry!("market", disk get_receipt, ReceiptParams => ReceiptView, 10, r#"{"receipt":"$receipt"}"#,
        [(Get, "/v1/receipts/{receipt}")],
        "get_receipt", "An accepted receipt by its hash, or by job, leg and number."),
];

/// What a job is asked for by.
enum Named {
    Number(JobId),
    Ref(Address, ClientRef),
}

fn get_job(context: &Context, asked: JobParams) -> Result<JobAnswer, RpcError> {
    let named = match (asked.job, asked.opener, asked.client_ref) {
        (Some(id), None, None) => Named::Number(id),
        (None, Some(opener), Some(name)) => Named::Ref(opener, Text::new(name).map_err(bad_params)?),
        _ => return Err(bad_params("give job, or opener and client_ref")),
    };
    let found = look(context, |block, tree| {
        let Some(id) = number(tree, &named)? else { return Ok(None) };
        let (height, now) = (block.header.height, stored(tree)?.now);
        let Some(row) = JobRow::get(tree, id)? else { return Ok(None) };
        Ok(Some(JobAnswer { height, now, job: job_view(tree, (id, row), now)? }))
    })?;
    let got = match named {
        Named::Number(id) => id.to_string(),
        Named::Ref(_, name) => name.to_string(),
    };
    found.ok_or_else(|| UNKNOWN_JOB.because("a job that is known", got).into())
}

/// What stands under a job's number.
fn job_view(rows: &impl Rows, (id, row): (JobId, JobRow), now: MarketMs) -> Result<AnyJobView, Fault> {
    Ok(match row {
        JobRow::Job(job) => AnyJobView::Begun(Box::new(JobView::of(id, &job, dispute_terms(rows, id)?, now))),
        JobRow::Post(post) => AnyJobView::Posted(Box::new(PostView::of(id, *post))),
    })
}

fn number(tree: &Tree, named: &Named) -> Result<Option<JobId>, Fault> {
    match named {
        Named::Number(id) => Ok(Some(*id)),
        Named::Ref(opener, name) => CLIENT_REFS.get(tree, &ref_row(opener, name)),
    }
}

fn get_jobs(context: &Context, asked: JobsParams) -> Result<JobsView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 8)?;
    let JobsParams { payer, opener, provider, model, state, asset, .. } = asked;
    let filter = JobFilter { payer, opener, provider, model, state: state.map(Into::into) };
    let now = head_now(context)?;
    let mut take = |rows: &Reading<'_>, found: (JobId, JobRow)| {
        let view = job_view(rows, found, now)?;
        Ok(asset.is_none_or(|asset| asset == view.asset()).then_some(view))
    };
    let at = (after.as_deref(), limit);
    let page = list_jobs(context.backend.market(), &filter, sorting(asked.sort), at, &mut take).map_err(unlisted)?;
    Ok(page_view(page, now, |jobs| Jobs { jobs }))
}

pub(super) fn sorting(asked: Option<JobSort>) -> Sorting {
    match asked.unwrap_or_default() {
        JobSort::Newest => Sorting::Newest,
        JobSort::Oldest => Sorting::Oldest,
    }
}

/// The market's clock after the newest final block.
pub(super) fn head_now(context: &Context) -> Result<MarketMs, RpcError> {
    look(context, |_, tree| Ok(stored(tree)?.now))
}

fn get_receipts(context: &Context, asked: ReceiptsParams) -> Result<ReceiptsView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?.min(MAX_PAGE_BLOCKS);
    let after = read_cursor(asked.cursor.as_deref(), 12)?;
    let at = (after.as_deref(), limit);
    let page = list_receipts(context.backend.market(), asked.job, sorting(asked.sort), at).map_err(unlisted)?;
    let (mut receipts, mut open) = (Vec::with_capacity(page.items.len()), None);
    for place in page.items {
        match receipt_at(context, &mut open, asked.job, &place) {
            Ok(receipt) => receipts.push(receipt),
            // Dropped since the list was read: a moment later it would not be listed either.
            Err(Missing::Pruned) => {}
            Err(Missing::Other(error)) => return Err(error),
        }
    }
    let (oldest_block, next) = (context.backend.market().oldest_body(), page.next.as_deref().map(last_page));
    Ok(ReceiptsView { job: asked.job, oldest_block, receipts, next })
}

fn get_receipt(context: &Context, asked: ReceiptParams) -> Result<ReceiptView, RpcError> {
    let source = context.backend.market();
    let leg = asked.leg;
    let (job, place) = match (asked.receipt, asked.job, asked.seq) {
        (Some(hash), None, None) => find_receipt(source, &hash).map_err(unlisted)?.ok_or_else(|| no_receipt(hash))?,
        (None, Some(job), Some(U64(seq))) => {
            let place = receipt_place(source, job, leg, seq).map_err(unlisted)?;
            (job, place.ok_or_else(|| no_receipt(format_args!("receipt {seq} of job {job}, leg {leg}")))?)
        }
        _ => return Err(bad_params("give receipt, or job and seq")),
    };
    receipt_at(context, &mut None, job, &place).map_err(|missing| match missing {
        Missing::Pruned => BackendError::Pruned.into(),
        Missing::Other(error) => error,
    })
}

/// Why a receipt that is listed can't be shown.
enum Missing {
    /// This node has dropped its block.
    Pruned,
    Other(RpcError),
}

impl From<BackendError> for Missing {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Pruned => Self::Pruned,
            other => Self::Other(other.into()),
        }
    }
}

fn no_receipt(got: impl std::fmt::Display) -> RpcError {
    NOT_FOUND.because("an accepted receipt this node has the block of", got)
}

/// The receipt of a place; `open` is the block that was read last.
fn receipt_at(
    context: &Context,
    open: &mut Option<Arc<CommittedBlock>>,
    job: JobId,
    place: &ReceiptPlace,
) -> Result<ReceiptView, Missing> {
    let known = open.take().filter(|block| block.header.height == place.height);
    let block = match known {
        Some(block) => block,
        None => context.backend.block(place.height)?,
    };
    let view = receipt_view(&block, job, place);
    *open = Some(block);
    view.ok_or_else(|| BackendError::Fault(format!("a receipt of job {job} is not where it was found")).into())
}

fn receipt_view(block: &CommittedBlock, job: JobId, place: &ReceiptPlace) -> Option<ReceiptView> {
    let events = block.results.events.get(place.index as usize)?;
    let tx_id = *block.tx_ids.get(place.index as usize)?;
    events.iter().find_map(|event| {
        let Event::Receipt(receipt::Event::ReceiptAccepted {
            receipt,
            hash,
            by,
            provider,
            payer,
            added,
            acknowledged,
            paid,
            asset,
            payment,
            at,
            contestable_until,
        }) = event
        else {
            return None;
        };
        let is_meant = (receipt.job, receipt.leg, receipt.seq) == (job, place.leg, place.seq);
        is_meant.then(|| ReceiptView {
            hash: *hash,
            height: place.height,
            index: place.index,
            tx_id,
            timestamp: block.header.timestamp_ms,
            by: *by,
            provider: *provider,
            payer: *payer,
            added: *added,
            acknowledged: *acknowledged,
            paid: *paid,
            asset: *asset,
            payment: (*payment).into(),
            at: *at,
            contestable_until: *contestable_until,
            outcome: receipt.outcome,
            receipt: receipt.clone(),
        })
    })
}
