//! The votes of one height, as they add up.
//!
//! The first vote per (kind, view, signer) counts; one contradicting vote is kept as evidence.
//! Memory: at most two votes per kind, view and member of the set; views beyond the current one
//! are bounded by the machine, and the current one moves only by an act of a quorum.
//!
//! Not here: whether a vote's signature is right (the machine verifies before it adds).

use crate::crypto::PublicKey;
use crate::types::{Certificate, QuorumRule, SignedMessage, ValidatorSet, View, Vote, VoteKind};
use std::collections::BTreeMap;

/// The votes of one height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    votes: BTreeMap<(View, VoteKind), BTreeMap<PublicKey, Heard>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    counted: Vote,
    other: Option<Vote>,
}

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It counts.
    Counted,
    /// It doesn't count: the signer voted for something else before.
    Contradicts(Vote),
    /// It was here, or the signer contradicted itself before.
    Known,
}

impl Tally {
    /// Whether adding the vote would change nothing (so that its signature needs no look).
    pub fn knows(&self, vote: &Vote) -> bool {
        self.heard(vote.message.kind, vote.message.view, &vote.signer)
            .is_some_and(|heard| heard.counted.message == vote.message || heard.other.is_some())
    }

    /// Adds a verified vote of a member.
    pub fn add(&mut self, vote: Vote) -> Added {
        if self.knows(&vote) {
            return Added::Known;
        }
        let votes = self.votes.entry((vote.message.view, vote.message.kind)).or_default();
        match votes.get_mut(&vote.signer) {
            None => {
                votes.insert(vote.signer, Heard { counted: vote, other: None });
                Added::Counted
            }
            Some(heard) => {
                heard.other = Some(vote);
                Added::Contradicts(heard.counted.clone())
            }
        }
    }

    /// The vote of a kind that counts for a signer.
    pub fn counted(&self, kind: VoteKind, view: View, signer: &PublicKey) -> Option<&Vote> {
        self.heard(kind, view, signer).map(|heard| &heard.counted)
    }

    /// The certificate for a message, once enough votes say it.
    pub fn certificate(&self, message: SignedMessage, rule: QuorumRule, set: &ValidatorSet) -> Option<Certificate> {
        let votes = self.votes.get(&(message.view, message.kind))?;
        Certificate::from_votes(message, votes.values().map(|heard| &heard.counted), rule, set)
    }

    fn heard(&self, kind: VoteKind, view: View, signer: &PublicKey) -> Option<&Heard> {
        self.votes.get(&(view, kind))?.get(signer)
    }
}
