//! Timestamps: that a document, model artefact, legacy receipt or log existed when a block was
//! made, by its hash.
//!
//! | action | bytes after `04` | fields |
//! |---|---|---|
//! | `anchor` | `01` | hash 32 · kind (u32 length, ≤ 32 bytes UTF-8) · uri (u32 length, ≤ 128 bytes UTF-8) |
//!
//! Rules:
//! 1. An anchor is an event, provable by the block's outcome root; it writes no row of its own.
//! 2. The chain knows nothing of the document: hash, kind and URI are the sender's words, and the
//!    same hash may be anchored again by anybody.
//!
//! Not here: when it was (the header of the event's block).

use super::text::quoted;
use super::{About, CheckContext, Context, Rules};
use crate::codec::Text;
use crate::crypto::Hash;
use crate::fault::Failure;
use crate::limits::{MAX_KIND_BYTES, MAX_URI_BYTES};
use crate::types::{Address, AssetId, Rejected, Rejection, Token};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Rejections of this family: none, what is well-formed is anchored.
pub const REJECTIONS: &[&Rejection] = &[];
/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "anchor")];

const WEIGHT: u64 = 100;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Says that something with this hash exists.
    Anchor {
        /// The hash, by whatever function the kind implies.
        hash: Hash,
        /// What kind of thing it is.
        #[serde(default)]
        kind: Text<MAX_KIND_BYTES>,
        /// Where it may be found.
        #[serde(default)]
        uri: Text<MAX_URI_BYTES>,
    } = 1,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Event {
    /// Somebody says that something with this hash exists.
    Anchored {
        /// Who says so.
        by: Address,
        /// The hash.
        hash: Hash,
        /// What kind of thing it is.
        kind: Text<MAX_KIND_BYTES>,
        /// Where it may be found.
        uri: Text<MAX_URI_BYTES>,
    } = 1,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        Ok(())
    }

    fn weight(&self) -> u64 {
        WEIGHT
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let Self::Anchor { hash, kind, uri } = self.clone();
        let by = context.sender;
        context.emit(super::Event::Anchor(Event::Anchored { by, hash, kind, uri }));
        Ok(())
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let Self::Anchor { hash, kind, uri } = self;
        format!("Anchor {hash} of kind {} at {}", quoted(kind), quoted(uri))
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::Anchored { by, .. } => vec![*by],
        }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let kind = Text::new("document").unwrap_or_default();
    let uri = Text::new("https://example.org/report.pdf").unwrap_or_default();
    vec![Action::Anchor { hash: Hash([9; 32]), kind, uri }]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
