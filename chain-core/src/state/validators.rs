//! Who validates: the set that signs the next height, and what is known of everybody who was
//! admitted.
//!
//! A change of the records counts at once; the set follows at the end of an epoch.
//!
//! Not here: who may change what (the authority family), the set's arithmetic (`types`).

use super::overlay::Overlay;
use super::table::{Key, Rows, Table};
use super::tree::Tree;
use crate::codec::{List, Text};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::{MAX_NAME_BYTES, MAX_SPANS, MAX_VALIDATORS};
use crate::types::{Equivocation, Height, Validator, ValidatorSet};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// The one row of validator sets.
pub const VALIDATOR_SETS: Table<(), ValidatorSets> = Table::new(6);
/// What is known of a validator, by key.
pub const VALIDATORS: Table<PublicKey, ValidatorRecord> = Table::new(8);
/// The keys, ascending, that may be or become members of the set, and its members.
pub const ROSTER: Table<(), List<PublicKey, MAX_VALIDATORS>> = Table::new(9);
/// Keys that were convicted, and of what, for ever: their records go one day.
pub const CONVICTED: Table<PublicKey, Equivocation> = Table::new(22);
/// Keys that are jailed though they unbonded all or were displaced, and why: the jail waits for them. Only in
/// mode `pos`, where whoever bonds comes back without a vote.
pub const JAILED_AWAY: Table<PublicKey, JailCause> = Table::new(24);
/// Keys that are not on the roster any more, by when their records are looked at again: what they did can
/// still be proven, and they take nobody's place.
pub const RETIRED: Table<(Height, PublicKey), ()> = Table::new(25);

/// The members, ascending by key, of a set.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorSets {
    /// Signs the block after the one whose state this is.
    pub next: Vec<Validator>,
}

/// What the chain knows of a validator from its admission on, until nothing it did can count any more.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ValidatorRecord {
    /// What people call it; empty for those of the genesis.
    pub name: Text<MAX_NAME_BYTES>,
    /// The weight it shall have in the set.
    #[serde(with = "crate::types::decimal")]
    pub weight: u64,
    /// Whether it may validate.
    pub standing: Standing,
    /// Whether it said that its node runs, since it was admitted or jailed.
    pub ready: bool,
    /// The block that decided `standing` or `ready` last: who has waited longest goes first.
    pub since: Height,
    /// The equivocation proven against it: its key never validates again.
    pub equivocation: Option<Equivocation>,
    /// When it was in the set, ascending; spans older than the evidence window are dropped.
    pub spans: List<Span, MAX_SPANS>,
    /// Heights at which it did not take a turn to propose, in all.
    #[serde(with = "crate::types::decimal")]
    pub missed: u64,
    /// One up per height with a missed turn, one down per block proposed.
    pub absence: u32,
    /// Its proposals the council has not decided.
    pub open_proposals: u8,
    /// Not on the roster any more: the block after which the record is looked at again.
    pub retired: Option<Height>,
}

/// Whether a validator may validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Standing {
    /// Yes.
    Admitted = 1,
    /// Not until the council lifts it; with stake also after leaving and coming back (`JAILED_AWAY`).
    Jailed(JailCause) = 2,
    /// Not any more.
    Removed = 3,
}

/// Why a validator was jailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum JailCause {
    /// The council decided so.
    Council = 1,
    /// It missed too many turns.
    Absence = 2,
    /// It contradicted itself.
    Equivocation = 3,
}

/// Heights signed by sets that held a validator without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Span {
    /// The first.
    pub from: Height,
    /// The last; `None` while it is in the set.
    pub until: Option<Height>,
}

impl Span {
    /// Whether it holds a height.
    pub fn holds(&self, height: Height) -> bool {
        self.from <= height && self.until.is_none_or(|until| height <= until)
    }
}

impl ValidatorRecord {
    /// Newly admitted.
    pub fn admitted(name: Text<MAX_NAME_BYTES>, weight: u64, since: Height) -> Self {
        Self {
            name,
            weight,
            standing: Standing::Admitted,
            ready: false,
            since,
            equivocation: None,
            spans: List::default(),
            missed: 0,
            absence: 0,
            open_proposals: 0,
            retired: None,
        }
    }

    /// Whether it may validate and has said that its node runs.
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Admitted && self.ready
    }

    /// The weight the set shall give it.
    pub fn target(&self) -> u64 {
        if self.is_active() { self.weight } else { 0 }
    }

    /// Whether it is in the set.
    pub fn signs(&self) -> bool {
        self.spans.last().is_some_and(|span| span.until.is_none())
    }

    /// Whether it was in the set that signed a height, as far as is remembered.
    pub fn signed_at(&self, height: Height) -> bool {
        self.spans.iter().any(|span| span.holds(height))
    }

    /// Drops the spans of which nothing can be proven any more after the block `now`.
    pub fn drop_spans(&mut self, now: Height, window: u64) {
        let mut spans = std::mem::take(&mut self.spans).into_inner();
        spans.retain(|span| span.until.is_none_or(|until| until.saturating_add(window) > now));
        // No longer than before.
        self.spans = List::new(spans).unwrap_or_default();
    }

    /// Changes the standing. Whoever loses or regains it has to say anew that its node runs.
    pub fn set_standing(&mut self, standing: Standing, now: Height) {
        (self.standing, self.ready, self.since) = (standing, false, now);
    }
}

impl Key for PublicKey {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }
}

/// The members, ascending by key, of the set that signs the block after the one whose state this is.
pub fn next_members(rows: &impl Rows) -> Result<Vec<Validator>, Fault> {
    let sets = VALIDATOR_SETS.get(rows, &())?;
    Ok(sets.ok_or_else(|| Fault::new("the state has no validators"))?.next)
}

/// The same as a set: every key is validated and the schedule of leaders made.
pub fn next_set(rows: &impl Rows) -> Result<ValidatorSet, Fault> {
    ValidatorSet::new(next_members(rows)?).map_err(|e| Fault::new(format!("the state's validators: {e}")))
}

/// The keys that may be or become members of the set, and its members, ascending.
pub fn roster(rows: &impl Rows) -> Result<Vec<PublicKey>, Fault> {
    Ok(ROSTER.get(rows, &())?.unwrap_or_default().into_inner())
}

/// The records of all on the roster, ascending by key.
pub fn records(rows: &impl Rows) -> Result<Vec<(PublicKey, ValidatorRecord)>, Fault> {
    let record = |key: PublicKey| {
        let record = VALIDATORS.get(rows, &key)?;
        Ok((key, record.ok_or_else(|| Fault::new(format!("validator {key} has no record")))?))
    };
    roster(rows)?.into_iter().map(record).collect()
}

/// Writes a record and puts the key on the roster. The caller has made sure that there is room.
pub fn enrol(overlay: &mut Overlay<'_>, key: &PublicKey, record: &ValidatorRecord) -> Result<(), Fault> {
    let mut keys = roster(overlay)?;
    if let Err(place) = keys.binary_search(key) {
        keys.insert(place, *key);
        put_roster(overlay, keys)?;
    }
    if let Some(at) = VALIDATORS.get(overlay, key)?.and_then(|before| before.retired) {
        RETIRED.remove(overlay, &(at, *key));
    }
    VALIDATORS.put(overlay, key, &ValidatorRecord { retired: None, ..record.clone() });
    Ok(())
}

/// Takes the key of somebody who left off the roster. The record stays while something in it counts, and
/// is looked at again in the block `again`.
pub fn retire(overlay: &mut Overlay<'_>, key: &PublicKey, record: ValidatorRecord, again: Height) -> Result<(), Fault> {
    leave_roster(overlay, key, record.retired)?;
    VALIDATORS.put(overlay, key, &ValidatorRecord { retired: Some(again), ..record });
    RETIRED.put(overlay, &(again, *key), &());
    Ok(())
}

/// Who left and is to be looked at again after the block `height`, first first, at most `most` of them.
pub fn retired_due(tree: &Tree, height: Height, most: usize) -> Result<Vec<(Height, PublicKey)>, Fault> {
    let mut due = Vec::new();
    for row in RETIRED.scan(tree).take(most) {
        let (key, ()) = row?;
        let place = key.split_first_chunk().and_then(|(at, key)| Some((*at, PublicKey(key.try_into().ok()?))));
        let (at, key) = place.ok_or_else(|| Fault::new("who left has a bad key"))?;
        let at = Height::new(u64::from_be_bytes(at));
        if at > height {
            break;
        }
        due.push((at, key));
    }
    Ok(due)
}

/// Forgets a validator.
pub fn forget(overlay: &mut Overlay<'_>, key: &PublicKey, record: &ValidatorRecord) -> Result<(), Fault> {
    leave_roster(overlay, key, record.retired)?;
    VALIDATORS.remove(overlay, key);
    Ok(())
}

fn leave_roster(overlay: &mut Overlay<'_>, key: &PublicKey, retired: Option<Height>) -> Result<(), Fault> {
    if let Some(at) = retired {
        RETIRED.remove(overlay, &(at, *key));
        return Ok(());
    }
    let mut keys = roster(overlay)?;
    keys.retain(|other| other != key);
    put_roster(overlay, keys)
}

/// Why a validator is jailed, whether it is on the roster or left.
pub fn jailed(rows: &impl Rows, key: &PublicKey) -> Result<Option<JailCause>, Fault> {
    match VALIDATORS.get(rows, key)?.map(|record| record.standing) {
        Some(Standing::Jailed(cause)) => Ok(Some(cause)),
        _ => JAILED_AWAY.get(rows, key),
    }
}

fn put_roster(overlay: &mut Overlay<'_>, keys: Vec<PublicKey>) -> Result<(), Fault> {
    let keys = List::new(keys).map_err(|e| Fault::new(format!("the roster of validators: {e}")))?;
    ROSTER.put(overlay, &(), &keys);
    Ok(())
}

/// The first validators: admitted, ready and in the set that signs height 1.
pub fn found(overlay: &mut Overlay<'_>, members: &[Validator]) -> Result<(), Fault> {
    VALIDATOR_SETS.put(overlay, &(), &ValidatorSets { next: members.to_vec() });
    for Validator { public_key, weight } in members {
        let span = Span { from: Height::ZERO.next(), until: None };
        let spans = List::new(vec![span]).map_err(|e| Fault::new(e.to_string()))?;
        let record = ValidatorRecord::admitted(Text::default(), *weight, Height::ZERO);
        enrol(overlay, public_key, &ValidatorRecord { ready: true, spans, ..record })?;
    }
    Ok(())
}
