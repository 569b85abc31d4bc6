//! Which validators signed which height, as far back as the genesis: every set that came in is kept.
//!
//! Not here: who is in the next set (`tx`), how sets are stored (`chain`).

use super::chain::Chain;
use super::keys::{self, SET_PREFIX, set_key};
use crate::codec;
use crate::fault::Fault;
use crate::genesis::Genesis;
use crate::limits::MAX_FRAME_BYTES;
use crate::state::validators;
use crate::storage::{Direction, KeyRange, Table};
use crate::types::{Height, Validator, ValidatorSet};
use std::collections::BTreeSet;

impl Chain {
    /// The set that signs the block at a height; `None` above the next one, which nobody knows.
    pub fn validator_set(&self, height: Height) -> Result<Option<ValidatorSet>, Fault> {
        let recent = {
            let head = self.head();
            let next = head.block.header.height.next();
            if height > next {
                return Ok(None);
            }
            if height == next {
                return validators::next_set(&head.tree).map(Some);
            }
            head.unflushed_set(height)
        };
        let members = match recent {
            Some(members) => members,
            None => match self.stored_set(height)? {
                Some(members) => members,
                None => first_set(self.genesis())?,
            },
        };
        let set = ValidatorSet::new(members).map_err(|e| Fault::new(format!("the validators of {height}: {e}")))?;
        Ok(Some(set))
    }

    /// Heights of final blocks, from a height on, that brought in another set for the next one: ascending, at
    /// most `limit`. Their headers and certificates are always kept.
    pub fn set_changes(&self, from: Height, limit: usize) -> Result<Vec<Height>, Fault> {
        // Memory first: what is flushed meanwhile is found twice, not missed.
        let recent = self.head().unflushed_changes();
        let range = KeyRange::between(&set_key(from), &set_key(Height::MAX));
        let stored = self.store().scan(Table::Meta, &range, Direction::Forward, limit)?;
        let stored = stored.iter().map(|(key, _)| keys::read_height(key.get(SET_PREFIX.len()..).unwrap_or_default()));
        let mut heights = stored.collect::<Result<BTreeSet<_>, _>>()?;
        heights.extend(recent.into_iter().filter(|height| *height >= from));
        Ok(heights.into_iter().take(limit).collect())
    }

    /// The newest stored set that a block below a height brought in.
    fn stored_set(&self, height: Height) -> Result<Option<Vec<Validator>>, Fault> {
        let range = KeyRange::between(SET_PREFIX, &set_key(height));
        let rows = self.store().scan(Table::Meta, &range, Direction::Backward, 1)?;
        let Some((_, value)) = rows.into_iter().next() else { return Ok(None) };
        let members = codec::decode(&keys::strip(value)?, MAX_FRAME_BYTES);
        members.map(Some).map_err(|e| Fault::new(format!("the stored validators of {height}: {e}")))
    }
}

fn first_set(genesis: &[u8]) -> Result<Vec<Validator>, Fault> {
    let genesis = Genesis::decode(genesis).map_err(|e| Fault::new(format!("the genesis: {e}")))?;
    Ok(genesis.validators)
}
