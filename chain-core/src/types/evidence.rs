//! Evidence: two signed words of one validator that no honest validator says both.
//!
//! | offence | the two words, of one height and view |
//! |---|---|
//! | `proposals` | proposals of different blocks |
//! | `notarizes` | notarize votes for different blocks |
//! | `finalizes` | finalize votes for different blocks |
//! | `finalize_and_nullify` | a finalize vote and a nullify vote |
//!
//! No offence: notarize and nullify; a notarize vote for one block and a finalize vote for another;
//! one block proposed with two `notarized_in`. An honest validator may say both of each.
//!
//! Not here: whose evidence still counts and what follows from it (`tx`), finding it (`consensus`).

use super::{ChainId, Height, Proposal, SignedMessage, View, Vote, VoteError, VoteKind};
use crate::crypto::{PublicKey, Signature};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Two signed words of one validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Evidence {
    /// Two votes of one kind for different blocks, or a finalize and a nullify vote, of one view.
    Votes(Vote, Vote) = 1,
    /// Two proposals of different blocks in one view.
    Proposals(Proposal, Proposal) = 2,
}

/// Which rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum EquivocationKind {
    /// Two blocks proposed.
    Proposals = 1,
    /// Two blocks notarized.
    Notarizes = 2,
    /// Two blocks finalized.
    Finalizes = 3,
    /// A block finalized in a view that was given up.
    FinalizeAndNullify = 4,
}

/// What a validator did wrong, once. Other pairs of words that show the same are no further offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Equivocation {
    /// At which height.
    pub height: Height,
    /// In which view.
    pub view: View,
    /// Which rule.
    pub kind: EquivocationKind,
}

/// Why two words prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEvidence {
    /// A vote of the wrong form.
    #[error(transparent)]
    Form(#[from] VoteError),
    /// Of two validators.
    #[error("the two words are of two validators")]
    Signers,
    /// Of two heights or views.
    #[error("the two words are of two heights or views")]
    Places,
    /// An honest validator may say both.
    #[error("the two words do not contradict each other")]
    NoConflict,
}

impl Equivocation {
    fn new((height, view): (Height, View), kind: EquivocationKind) -> Self {
        Self { height, view, kind }
    }
}

impl fmt::Display for Equivocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            EquivocationKind::Proposals => "two proposals",
            EquivocationKind::Notarizes => "two notarize votes",
            EquivocationKind::Finalizes => "two finalize votes",
            EquivocationKind::FinalizeAndNullify => "a finalize and a nullify vote",
        };
        write!(f, "{kind} at height {}, view {}", self.height, self.view)
    }
}

impl Evidence {
    /// Whom it is against, if both words are one validator's.
    pub fn signer(&self) -> PublicKey {
        match self {
            Self::Votes(first, _) => first.signer,
            Self::Proposals(first, _) => first.signer,
        }
    }

    /// What it shows, if both words are really the signer's (`signatures`).
    ///
    /// # Errors
    /// Why an honest validator could have said both.
    pub fn equivocation(&self) -> Result<Equivocation, NotEvidence> {
        match self {
            Self::Votes(a, b) => {
                check_pair((a.signer, place(&a.message)), (b.signer, place(&b.message)))?;
                check_form(&a.message)?;
                check_form(&b.message)?;
                let kind = conflict(&a.message, &b.message).ok_or(NotEvidence::NoConflict)?;
                Ok(Equivocation::new(place(&a.message), kind))
            }
            Self::Proposals(a, b) => {
                check_pair((a.signer, (a.height, a.view)), (b.signer, (b.height, b.view)))?;
                if a.block == b.block {
                    return Err(NotEvidence::NoConflict);
                }
                Ok(Equivocation::new((a.height, a.view), EquivocationKind::Proposals))
            }
        }
    }

    /// The two signatures with what they are over.
    ///
    /// # Errors
    /// `Form` where a vote names a block though its kind has none, or the other way round.
    pub fn signatures(&self, chain: &ChainId) -> Result<[(PublicKey, Vec<u8>, Signature); 2], VoteError> {
        let vote = |vote: &Vote| Ok((vote.signer, vote.message.signing_bytes(chain)?, vote.signature));
        let proposal = |word: &Proposal| (word.signer, word.signing_bytes(chain), word.signature);
        Ok(match self {
            Self::Votes(a, b) => [vote(a)?, vote(b)?],
            Self::Proposals(a, b) => [proposal(a), proposal(b)],
        })
    }
}

fn place(message: &SignedMessage) -> (Height, View) {
    (message.height, message.view)
}

type Word = (PublicKey, (Height, View));

fn check_pair(a: Word, b: Word) -> Result<(), NotEvidence> {
    match (a.0 == b.0, a.1 == b.1) {
        (false, _) => Err(NotEvidence::Signers),
        (_, false) => Err(NotEvidence::Places),
        _ => Ok(()),
    }
}

fn check_form(message: &SignedMessage) -> Result<(), VoteError> {
    if message.block.is_none() == (message.kind == VoteKind::Nullify) { Ok(()) } else { Err(VoteError::Form) }
}

/// The rule two well-formed votes of one view break together.
fn conflict(a: &SignedMessage, b: &SignedMessage) -> Option<EquivocationKind> {
    let differ = a.block != b.block;
    match (a.kind, b.kind) {
        (VoteKind::Notarize, VoteKind::Notarize) if differ => Some(EquivocationKind::Notarizes),
        (VoteKind::Finalize, VoteKind::Finalize) if differ => Some(EquivocationKind::Finalizes),
        (VoteKind::Finalize, VoteKind::Nullify) | (VoteKind::Nullify, VoteKind::Finalize) => {
            Some(EquivocationKind::FinalizeAndNullify)
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::{Hash, SecretKey};
    use crate::types::BlockId;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn vote(seed: u8, kind: VoteKind, (height, view): (u64, u32), block: u8) -> Vote {
        let block = (kind != VoteKind::Nullify).then_some(BlockId(Hash([block; 32])));
        let message = SignedMessage { kind, height: Height::new(height), view: View::new(view), block };
        Vote::sign(message, &ChainId::default(), &key(seed)).unwrap()
    }

    fn proposal(seed: u8, (height, view): (u64, u32), block: u8, w: Option<u32>) -> Proposal {
        let place = (Height::new(height), View::new(view));
        Proposal::sign(place, BlockId(Hash([block; 32])), w.map(View::new), &ChainId::default(), &key(seed))
    }

    #[test]
    fn exactly_the_listed_pairs_are_offences() {
        use EquivocationKind as K;
        use VoteKind::{Finalize, Notarize, Nullify};
        let expected = |a: (VoteKind, u8), b: (VoteKind, u8)| match (a.0, b.0) {
            (Notarize, Notarize) if a.1 != b.1 => Some(K::Notarizes),
            (Finalize, Finalize) if a.1 != b.1 => Some(K::Finalizes),
            (Finalize, Nullify) | (Nullify, Finalize) => Some(K::FinalizeAndNullify),
            _ => None,
        };
        let words = [Notarize, Nullify, Finalize].into_iter().flat_map(|kind| [(kind, 1u8), (kind, 2)]);
        for a in words.clone() {
            for b in words.clone() {
                let pair = Evidence::Votes(vote(1, a.0, (7, 3), a.1), vote(1, b.0, (7, 3), b.1));
                let expected = expected(a, b);
                let found = |kind| Equivocation { height: Height::new(7), view: View::new(3), kind };
                assert_eq!(pair.equivocation().ok(), expected.map(found), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn two_blocks_in_one_view_are_an_offence_but_not_one_block_twice() {
        let pair = |a, b| Evidence::Proposals(a, b).equivocation().map(|found| found.kind);
        assert_eq!(
            pair(proposal(1, (7, 3), 1, None), proposal(1, (7, 3), 2, Some(1))),
            Ok(EquivocationKind::Proposals)
        );
        let one_block = pair(proposal(1, (7, 3), 1, None), proposal(1, (7, 3), 1, Some(1)));
        assert_eq!(one_block, Err(NotEvidence::NoConflict));
        assert_eq!(pair(proposal(1, (7, 3), 1, None), proposal(1, (7, 4), 2, None)), Err(NotEvidence::Places));
        assert_eq!(pair(proposal(1, (7, 3), 1, None), proposal(2, (7, 3), 2, None)), Err(NotEvidence::Signers));
    }

    #[test]
    fn words_of_two_signers_heights_or_views_and_malformed_votes_prove_nothing() {
        let first = vote(1, VoteKind::Finalize, (7, 3), 1);
        let with = |other| Evidence::Votes(first.clone(), other).equivocation();
        assert_eq!(with(vote(2, VoteKind::Finalize, (7, 3), 2)), Err(NotEvidence::Signers));
        assert_eq!(with(vote(1, VoteKind::Finalize, (8, 3), 2)), Err(NotEvidence::Places));
        assert_eq!(with(vote(1, VoteKind::Finalize, (7, 2), 2)), Err(NotEvidence::Places));
        let mut malformed = vote(1, VoteKind::Nullify, (7, 3), 2);
        malformed.message.block = first.message.block;
        assert_eq!(with(malformed.clone()), Err(VoteError::Form.into()));
        assert!(Evidence::Votes(first, malformed).signatures(&ChainId::default()).is_err());
    }
}
