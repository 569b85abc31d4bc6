//! Queues by market time: what is due of them.
//!
//! Not here: what is done then (the families that have queues).

use crate::fault::Fault;
use crate::state::overlay::Overlay;
use crate::state::table::{Rows, Table};
use crate::types::{JobId, MarketMs};

/// What is due now of a queue by market time: first first, at most `most`. Rows this block has written are not
/// seen; those it has removed are left out.
pub fn due(
    queue: &Table<(MarketMs, JobId), impl borsh::BorshSerialize + borsh::BorshDeserialize>,
    overlay: &Overlay<'_>,
    now: MarketMs,
    most: usize,
) -> Result<Vec<(MarketMs, JobId)>, Fault> {
    let mut found = Vec::new();
    for row in queue.scan(overlay.base()).take(most) {
        let key = queue_key(row?.0)?;
        if key.0 > now {
            break;
        }
        if overlay.row(&queue.key(&key)).is_some() {
            found.push(key);
        }
    }
    Ok(found)
}

fn queue_key(key: &[u8]) -> Result<(MarketMs, JobId), Fault> {
    let halves = key.split_at_checked(8).and_then(|(at, id)| Some((at.try_into().ok()?, id.try_into().ok()?)));
    let (at, id) = halves.ok_or_else(|| Fault::new("a queue row of the market has a bad key"))?;
    Ok((MarketMs::new(u64::from_be_bytes(at)), JobId::new(u64::from_be_bytes(id))))
}
