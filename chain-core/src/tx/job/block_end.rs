//! What time alone does to jobs, at the end of a block: those that are due take their next step, posted jobs nobody
//! took are given back, jobs settled long ago are forgotten. Rules 11, 12 and 17.
//!
//! The queue holds one row per active or closing job, under a time that is never later than when the job is due.
//! Receipts move that time on and leave the row: whoever stands in front and is not due yet is put back to its place.

use super::end::go_on;
use super::post::take_back;
use crate::fault::Fault;
use crate::limits::{
    MAX_JOB_ENDS_PER_BLOCK, MAX_JOBS_FORGOTTEN_PER_BLOCK, MAX_JOBS_LOOKED_AT_PER_BLOCK, MAX_POST_ROWS_PER_BLOCK,
};
use crate::state::market::job::{JOB_ENDS, JOB_FORGETTING, JOBS, requeue};
use crate::state::market::post::{POST_ENDS, POSTS};
use crate::state::market::settle::forget;
use crate::state::market::{Market, due};
use crate::tx::{BlockEnd, Event};
use crate::types::JobId;

/// Rows of a posted job nobody took, besides its bids: it, its place in the queue, its name, the payer's money.
const POST_ROWS: usize = 4;

/// Everything that is due.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    let mut ends = 0;
    for (_, id) in due(&JOB_ENDS, block.state, market.now, MAX_JOBS_LOOKED_AT_PER_BLOCK)? {
        if ends == MAX_JOB_ENDS_PER_BLOCK {
            break;
        }
        ends += usize::from(look_at(block, id, &market)?);
    }
    // Bids are taken in the last moment, too.
    let mut rows = 0;
    for (until, id) in due(&POST_ENDS, block.state, market.now, MAX_POST_ROWS_PER_BLOCK)? {
        if until >= market.now || rows >= MAX_POST_ROWS_PER_BLOCK {
            break;
        }
        let post = POSTS.get(block.state, &id)?;
        let post = post.ok_or_else(|| Fault::new(format!("posted job {id} is queued but has no row")))?;
        rows += POST_ROWS + post.bidders.len();
        let event = take_back(block.state, id, &post, None)?;
        block.report(vec![Event::Job(event)]);
    }
    for (at, id) in due(&JOB_FORGETTING, block.state, market.now, MAX_JOBS_FORGOTTEN_PER_BLOCK)? {
        forget(block.state, at, id)?;
    }
    Ok(())
}

/// Takes the next step of a job that is due, or puts it back to its place; answers whether it was due.
fn look_at(block: &mut BlockEnd<'_, '_>, id: JobId, market: &Market) -> Result<bool, Fault> {
    let missing = || Fault::new(format!("job {id} is queued but has no row"));
    let mut job = JOBS.get(block.state, &id)?.ok_or_else(missing)?;
    if !job.is_due(market.now) {
        requeue(block.state, id, &mut job);
        JOBS.put(block.state, &id, &job);
        return Ok(false);
    }
    let event = go_on(block.state, (id, job), None, (market, block.params))?;
    block.report(vec![Event::Job(event)]);
    Ok(true)
}
