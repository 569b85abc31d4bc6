//! `market`: bids on posted jobs.
//!
//! Not here: the rules and the rows (chain-core), posted jobs themselves, which are listed with all others
//! (`market_job`).

use super::Verb::Get;
use super::market::{MAX_PAGE, last_page, read_cursor};
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::RpcError;
use crate::view::*;
use chain_core::Fault;
use chain_core::ledger::CommittedBlock;
use chain_core::state::market::post::{BIDS, POSTS};
use chain_core::state::market::reputation::reputation;
use chain_core::state::market::{UNKNOWN_JOB, stored};
use chain_core::state::{Tree, params};
use chain_core::types::ProviderId;

/// The methods of this file.
pub const METHODS: &[Method] = &[entry!("market", now get_bids, BidsParams => BidsView, 20, r#"{"job":"$post"}"#,
    [(Get, "/v1/jobs/{job}/bids")],
    "get_bids", "The bids on a posted job, by the provider's number, in pages.")];

fn get_bids(context: &Context, asked: BidsParams) -> Result<BidsView, RpcError> {
    let limit = limit(asked.limit, 64, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 8)?;
    let found = look(context, |block, tree| bids(block, tree, &asked, (after.as_deref(), limit)))?;
    found.ok_or_else(|| UNKNOWN_JOB.because("a posted job", asked.job).into())
}

fn bids(
    block: &CommittedBlock,
    tree: &Tree,
    asked: &BidsParams,
    (after, limit): (Option<&[u8]>, usize),
) -> Result<Option<BidsView>, Fault> {
    let Some(post) = POSTS.get(tree, &asked.job)? else { return Ok(None) };
    let (now, params) = (stored(tree)?.now, params(tree)?);
    let (mut bids, mut last, mut next) = (Vec::new(), None, None);
    for row in BIDS.scan_prefix(tree, &asked.job.get().to_be_bytes()) {
        let (key, bid) = row?;
        let place: [u8; 8] = *key.last_chunk().ok_or_else(|| Fault::new("a bid has a bad key"))?;
        if after.is_some_and(|after| place.as_slice() <= after) {
            continue;
        }
        if bids.len() == limit {
            next = last.map(|last: [u8; 8]| last_page(&last));
            break;
        }
        let score_bps = reputation(tree, &bid.provider, &post.model, (now, &params))?.score_bps;
        bids.push(BidView::of(ProviderId::new(u64::from_be_bytes(place)), bid, score_bps));
        last = Some(place);
    }
    let (height, asset, until) = (block.header.height, post.asset, post.until);
    Ok(Some(BidsView { job: asked.job, height, now, asset, until, bids, next }))
}
