//! Who signed which height: the validator sets of the past, and the way from one to the next.
//!
//! Not here: the set in charge (`state::validators`), following the way without a database (`light`).

use super::chain::Chain;
use super::keys::{self, SET_PREFIX, set_key};
use super::snapshot::Hop;
use crate::codec;
use crate::fault::Fault;
use crate::genesis::Genesis;
use crate::limits::MAX_FRAME_BYTES;
use crate::storage::{Direction, KeyRange, Table};
use crate::types::{Height, Validator, ValidatorSet};

/// The members of a set, and the block that brought them in.
type Change = (Height, Vec<Validator>);

impl Chain {
    /// The set that signs a height; none for block 0, which nobody signs, and more than one height above
    /// the head.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn set_of(&self, height: Height) -> Result<Option<ValidatorSet>, Fault> {
        if height == Height::ZERO || height > self.head().block.header.height.next() {
            return Ok(None);
        }
        let bad = |error: &dyn std::fmt::Display| Fault::new(format!("the validators of height {height}: {error}"));
        // In memory first: a flush moves changes to the disk, not back.
        let recent = self.recent_changes(Height::ZERO).into_iter().rfind(|(at, _)| *at < height);
        let change = match recent {
            Some(change) => Some(change),
            None => self.stored_changes(Height::ZERO, height, Direction::Backward, 1)?.pop(),
        };
        match change {
            Some((_, members)) => ValidatorSet::new(members).map(Some).map_err(|e| bad(&e)),
            None => {
                let genesis = Genesis::decode(self.genesis()).map_err(|e| bad(&e))?;
                genesis.validator_set().map(Some).map_err(|e| bad(&e))
            }
        }
    }

    /// The blocks above a height that changed the set, each with its certificate and the new members,
    /// oldest first, at most so many of them.
    ///
    /// # Errors
    /// The database can't be read, or a block that it should hold is missing.
    pub fn hops(&self, above: Height, most: usize) -> Result<Vec<Hop>, Fault> {
        let recent = self.recent_changes(above);
        let mut changes = self.stored_changes(above.next(), Height::MAX, Direction::Forward, most)?;
        let known = changes.last().map_or(Height::ZERO, |(height, _)| *height);
        changes.extend(recent.into_iter().filter(|(height, _)| *height > known));
        changes.truncate(most);
        changes.into_iter().map(|change| self.hop(change)).collect()
    }

    fn hop(&self, (height, members): Change) -> Result<Hop, Fault> {
        let missing = || Fault::new(format!("block {height} changed the validators and is missing"));
        let header = self.header(height)?.ok_or_else(missing)?;
        let certificate = self.certificate(height)?.ok_or_else(missing)?;
        Ok((header, certificate, members))
    }

    /// Changes above a height that are not on the disk yet.
    fn recent_changes(&self, above: Height) -> Vec<Change> {
        self.head().new_sets.iter().filter(|(height, _)| *height > above).cloned().collect()
    }

    fn stored_changes(
        &self,
        from: Height,
        below: Height,
        direction: Direction,
        most: usize,
    ) -> Result<Vec<Change>, Fault> {
        let range = KeyRange::between(&set_key(from), &set_key(below));
        let change = |(key, value): (Vec<u8>, Vec<u8>)| {
            let height = keys::read_height(key.get(SET_PREFIX.len()..).unwrap_or_default())?;
            let members = codec::decode(&keys::strip(value)?, MAX_FRAME_BYTES);
            Ok((height, members.map_err(|e| Fault::new(format!("stored validators of {height}: {e}")))?))
        };
        self.store().scan(Table::Meta, &range, direction, most)?.into_iter().map(change).collect()
    }
}
