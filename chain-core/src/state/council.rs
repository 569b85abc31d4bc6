//! The council: who decides what no rule of the chain decides.
//!
//! In modes `poa` and `hybrid` every admitted authority that is active has a vote, in `pos` every validator of the
//! set by its weight. Where nobody is active, those vote who are in the set and were not convicted; where all were,
//! all who are in the set.
//!
//! Not here: what it is asked, and what follows (the families `authority` and `dispute`).

use super::stakes::mode;
use super::table::Rows;
use super::validators::{ValidatorRecord, next_members, records};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::types::ConsensusMode;

/// Somebody who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub key: PublicKey,
    /// What its vote weighs: 1, or in mode `pos` its weight in the set.
    pub weight: u64,
}

/// Who votes, ascending by key.
pub fn council(rows: &impl Rows) -> Result<Vec<Member>, Fault> {
    let (records, set, by_stake) = (records(rows)?, next_members(rows)?, mode(rows)? == ConsensusMode::Pos);
    let place = |key: &PublicKey| set.binary_search_by_key(key, |member| member.public_key).ok();
    let in_set = |key: &PublicKey| place(key).and_then(|place| set.get(place));
    let weight = |key: &PublicKey| if by_stake { in_set(key).map_or(0, |member| member.weight) } else { 1 };
    let members = |may: &dyn Fn(&PublicKey, &ValidatorRecord) -> bool| -> Vec<Member> {
        let keys = records.iter().filter(|(key, record)| may(key, record)).map(|(key, _)| *key);
        keys.map(|key| Member { key, weight: weight(&key) }).filter(|member| member.weight > 0).collect()
    };
    let active = members(&|_, record| record.is_active());
    if !active.is_empty() {
        return Ok(active);
    }
    let signs = |key: &PublicKey| in_set(key).is_some();
    let innocent = members(&|key, record| signs(key) && record.equivocation.is_none());
    Ok(if innocent.is_empty() { members(&|key, _| signs(key)) } else { innocent })
}
