//! `market`: disputes.
//!
//! Not here: the rules and the rows (chain-core), how pages are found (`chain_core::ledger::market`).

use super::Verb::Get;
use super::market::{MAX_PAGE, page_view, read_cursor, unlisted};
use super::market_job::{head_now, sorting};
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::{NOT_FOUND, RpcError};
use crate::view::*;
use chain_core::Fault;
use chain_core::ledger::market::{DisputeFilter, Disputed, Reading, list_disputes};
use chain_core::state::Tree;
use chain_core::state::market::dispute::{DISPUTES, dispute_terms};
use chain_core::state::market::job::JOBS;
use chain_core::state::market::stored;
use chain_core::types::JobId;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("market", disk get_disputes, DisputesParams => DisputesView, 50, r#"{"limit":10}"#,
        [(Get, "/v1/disputes")],
        "get_disputes", "Disputes by who has a part in them and whether they go on, in pages."),
    entry!("market", now get_dispute, DisputeParams => DisputeAnswer, 2, r#"{"job":"$dispute"}"#,
        [(Get, "/v1/jobs/{job}/dispute")],
        "get_dispute", "The dispute about a job: what is contested, who decides until when, who voted."),
];

fn get_dispute(context: &Context, asked: DisputeParams) -> Result<DisputeAnswer, RpcError> {
    let found = look(context, |block, tree| {
        let (height, now) = (block.header.height, stored(tree)?.now);
        Ok(dispute(tree, asked.job)?.map(|dispute| DisputeAnswer { height, now, dispute }))
    })?;
    found.ok_or_else(|| NOT_FOUND.because("a job that is or was disputed", asked.job))
}

fn dispute(tree: &Tree, id: JobId) -> Result<Option<DisputeView>, Fault> {
    let Some(dispute) = DISPUTES.get(tree, &id)? else { return Ok(None) };
    let job = JOBS.get(tree, &id)?.ok_or_else(|| Fault::new(format!("the disputed job {id} has no row")))?;
    Ok(Some(DisputeView::of(id, &job, dispute, dispute_terms(tree, id)?)))
}

fn get_disputes(context: &Context, asked: DisputesParams) -> Result<DisputesView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 8)?;
    let open = asked.state.map(|state| state == DisputeState::Open);
    let filter = DisputeFilter { account: asked.account, open };
    let now = head_now(context)?;
    let mut take =
        |_: &Reading<'_>, (id, job, dispute, terms): Disputed| Ok(Some(DisputeView::of(id, &job, dispute, terms)));
    let at = (after.as_deref(), limit);
    let page = list_disputes(context.backend.market(), &filter, sorting(asked.sort), at, &mut take);
    Ok(page_view(page.map_err(unlisted)?, now, |disputes| Disputes { disputes }))
}
