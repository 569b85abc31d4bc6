//! What time alone does to jobs, at the end of a block: those that are due are settled, those settled long ago are
//! forgotten. Rules 11 and 12.
//!
//! The queue holds one row per open job, under a time that is never later than when the job is due. Receipts
//! move that time on and leave the row: whoever stands in front and is not due yet is put back to its place.

use super::end::{cause_of_time, settled};
use crate::fault::Fault;
use crate::limits::{MAX_JOB_ENDS_PER_BLOCK, MAX_JOBS_FORGOTTEN_PER_BLOCK, MAX_JOBS_LOOKED_AT_PER_BLOCK};
use crate::state::market::job::{JOB_ENDS, JOB_FORGETTING, JOBS, Job};
use crate::state::market::settle::{end, forget};
use crate::state::market::{Market, due};
use crate::tx::BlockEnd;
use crate::types::{JobId, MarketMs};

/// Everything that is due.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    let mut ends = 0;
    for (at, id) in due(&JOB_ENDS, block.state, market.now, MAX_JOBS_LOOKED_AT_PER_BLOCK)? {
        if ends == MAX_JOB_ENDS_PER_BLOCK {
            break;
        }
        ends += usize::from(look_at(block, at, id, &market)?);
    }
    for (at, id) in due(&JOB_FORGETTING, block.state, market.now, MAX_JOBS_FORGOTTEN_PER_BLOCK)? {
        forget(block.state, at, id)?;
    }
    Ok(())
}

/// Settles a job that is due, or puts it back to its place; answers whether it was due.
fn look_at(block: &mut BlockEnd<'_, '_>, at: MarketMs, id: JobId, market: &Market) -> Result<bool, Fault> {
    let missing = || Fault::new(format!("job {id} is queued but has no row"));
    let job = JOBS.get(block.state, &id)?.ok_or_else(missing)?;
    if !job.is_due(market.now) {
        let queued = job.due_at();
        JOB_ENDS.remove(block.state, &(at, id));
        JOB_ENDS.put(block.state, &(queued, id), &());
        JOBS.put(block.state, &id, &Job { queued, ..job });
        return Ok(false);
    }
    let cause = cause_of_time(&job);
    let ended = end(block.state, (id, job), cause, market, block.params)?;
    block.report(vec![crate::tx::Event::Job(settled(id, ended, cause, None, market))]);
    Ok(true)
}
