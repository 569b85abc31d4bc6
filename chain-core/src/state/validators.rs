//! The validator sets of the state: who signs this height and who the next.

use super::table::{Rows, Table};
use crate::fault::Fault;
use crate::types::{Validator, ValidatorSet};
use borsh::{BorshDeserialize, BorshSerialize};

/// The one row of validator sets.
pub const VALIDATOR_SETS: Table<(), ValidatorSets> = Table::new(6);

/// The members, ascending by key, of two sets.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorSets {
    /// Signs the block after the one whose state this is.
    pub next: Vec<Validator>,
}

/// The set that signs the block after the one whose state this is.
pub fn next_set(rows: &impl Rows) -> Result<ValidatorSet, Fault> {
    let sets = VALIDATOR_SETS.get(rows, &())?;
    let sets = sets.ok_or_else(|| Fault::new("the state has no validators"))?;
    ValidatorSet::new(sets.next).map_err(|e| Fault::new(format!("the state's validators: {e}")))
}
