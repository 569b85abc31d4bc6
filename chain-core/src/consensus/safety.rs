//! The only place that signs. Every signature passes [`SafetyRecord::may_sign`] over a record of
//! what was signed before; the record comes back from the log after a crash.
//!
//! Per (height, view): at most one proposal, one notarize, one nullify and one finalize vote; no
//! finalize after nullify nor nullify after finalize; no notarize after nullify; nothing at or
//! below the barrier (`barrier`: the committed height, or higher). Safety depends on this, the justification
//! of proposals, `Certificate::verify` and durable records, on nothing else.
//!
//! Not here: whether it is wise to say something (`machine`), making it durable (the engine).

use super::WalRecord;
use super::barrier::Barrier;
use crate::crypto::{PublicKey, SecretKey};
use crate::mutation::{Mutation, on};
use crate::types::{BlockId, ChainId, Height, Proposal, SignedMessage, TimestampMs, View, Vote, VoteKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that could be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A proposal.
    Proposal {
        /// At which height.
        height: Height,
        /// In which view.
        view: View,
    },
    /// A vote.
    Vote(SignedMessage),
}

/// Why something is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node signs nothing.
    #[error("there is no key")]
    NoKey,
    /// The height is decided, or an earlier life of this node may have voted at it.
    #[error("nothing is signed at or below height {0}")]
    Barrier(Height),
    /// One statement of this kind was made in this view.
    #[error("a statement of this kind was made in this view")]
    Said,
    /// The view was given up.
    #[error("the view was nullified by us")]
    Nullified,
    /// A block was to be final in the view.
    #[error("a block of this view was finalized by us")]
    Finalized,
    /// A vote that names a block though its kind has none, or the other way round.
    #[error("the vote has the wrong form")]
    Form,
}

/// What was signed above the barrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafetyRecord {
    barrier: Barrier,
    said: BTreeMap<(Height, View), Said>,
}

/// What was signed in one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The proposal.
    pub proposal: Option<Proposal>,
    /// The notarize vote.
    pub notarize: Option<Vote>,
    /// The nullify vote.
    pub nullify: Option<Vote>,
    /// The finalize vote.
    pub finalize: Option<Vote>,
}

impl Said {
    fn slot(&mut self, kind: VoteKind) -> &mut Option<Vote> {
        match kind {
            VoteKind::Notarize => &mut self.notarize,
            VoteKind::Nullify => &mut self.nullify,
            VoteKind::Finalize => &mut self.finalize,
        }
    }

    /// The votes, in the order in which they can have been given.
    pub fn votes(&self) -> impl Iterator<Item = &Vote> {
        self.notarize.iter().chain(&self.nullify).chain(&self.finalize)
    }
}

impl SafetyRecord {
    /// Nothing signed yet, and nothing to be signed at or below the barrier.
    pub fn new(barrier: Barrier) -> Self {
        Self { barrier, said: BTreeMap::new() }
    }

    /// Nothing is signed at or below this height.
    pub fn barrier(&self) -> Height {
        self.barrier.height()
    }

    /// The part of the barrier that the log must remember, if it reaches `height`.
    pub fn barrier_to_remember(&self, height: Height) -> Option<Height> {
        self.barrier.to_remember(height)
    }

    /// Since when a node without memory waits, if it still does.
    pub fn waiting_since(&self) -> Option<TimestampMs> {
        self.barrier.waiting_since()
    }

    /// Whether a node without memory still waits.
    pub fn is_waiting(&self) -> bool {
        self.barrier.is_waiting()
    }

    /// A height is decided: forgets it and those below.
    pub fn commit(&mut self, height: Height, timestamp: TimestampMs, fetched: bool) {
        self.barrier.commit(height, timestamp, fetched);
        self.said.retain(|(height, _), _| *height > self.barrier.committed());
    }

    /// Whether signing this can do no harm.
    ///
    /// # Errors
    /// The rule it would break.
    pub fn may_sign(&self, statement: &Statement) -> Result<(), Refusal> {
        let (height, view) = match statement {
            Statement::Proposal { height, view } => (*height, *view),
            Statement::Vote(message) => (message.height, message.view),
        };
        if height <= self.barrier() {
            return Err(Refusal::Barrier(self.barrier()));
        }
        let Some(said) = self.said.get(&(height, view)) else { return Ok(()) };
        let (made, nullified, finalized) = match statement {
            Statement::Proposal { .. } => (said.proposal.is_some(), false, false),
            Statement::Vote(message) => match message.kind {
                VoteKind::Notarize => (
                    said.notarize.as_ref().is_some_and(|vote| !on(Mutation::TwoNotarize) || vote.message == *message),
                    said.nullify.is_some() && !on(Mutation::NotarizeAfterNullify),
                    false,
                ),
                VoteKind::Nullify => {
                    (said.nullify.is_some(), false, said.finalize.is_some() && !on(Mutation::NullifyAfterFinalize))
                }
                VoteKind::Finalize => {
                    (said.finalize.is_some(), said.nullify.is_some() && !on(Mutation::FinalizeAfterNullify), false)
                }
            },
        };
        match (made, nullified, finalized) {
            (true, _, _) => Err(Refusal::Said),
            (_, true, _) => Err(Refusal::Nullified),
            (_, _, true) => Err(Refusal::Finalized),
            (false, false, false) => Ok(()),
        }
    }

    /// What was signed in a view.
    pub fn said(&self, height: Height, view: View) -> Option<&Said> {
        self.said.get(&(height, view))
    }

    /// Whether this very vote was given.
    pub fn holds(&self, message: &SignedMessage) -> bool {
        let said = self.said(message.height, message.view);
        said.is_some_and(|said| said.votes().any(|vote| vote.message == *message))
    }

    /// Whether this is our own proposal of its view.
    pub fn proposed(&self, proposal: &Proposal) -> bool {
        let said = self.said(proposal.height, proposal.view);
        said.and_then(|said| said.proposal.as_ref()) == Some(proposal)
    }

    /// What was signed in the views of a height.
    pub fn views(&self, height: Height) -> impl Iterator<Item = (View, &Said)> {
        self.said.iter().filter(move |((of, _), _)| *of == height).map(|((_, view), said)| (*view, said))
    }

    /// Whether we voted for this block or proposed it as a new one: then we found it valid, and
    /// its body is in the log.
    pub fn vouched_for(&self, block: BlockId) -> bool {
        self.said.values().any(|said| {
            said.notarize.iter().chain(&said.finalize).any(|vote| vote.message.block == Some(block))
                || said.proposal.iter().any(|proposal| proposal.block == block && proposal.notarized_in.is_none())
        })
    }

    fn note_proposal(&mut self, proposal: &Proposal) {
        let said = self.said.entry((proposal.height, proposal.view)).or_default();
        said.proposal.get_or_insert_with(|| proposal.clone());
    }

    fn note_vote(&mut self, vote: &Vote) {
        let said = self.said.entry((vote.message.height, vote.message.view)).or_default();
        let slot = said.slot(vote.message.kind);
        if slot.is_none() || on(Mutation::TwoNotarize) {
            *slot = Some(vote.clone());
        }
    }
}

/// The key behind its record.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Option<Arc<SecretKey>>,
    chain: ChainId,
    record: SafetyRecord,
}

impl Signer {
    /// A key that signs nothing at or below the barrier.
    pub fn new(key: Option<Arc<SecretKey>>, chain: ChainId, barrier: Barrier) -> Self {
        Self { key, chain, record: SafetyRecord::new(barrier) }
    }

    /// Whose words these are.
    pub fn public(&self) -> Option<PublicKey> {
        self.key.as_ref().map(|key| key.public())
    }

    /// What was signed.
    pub fn record(&self) -> &SafetyRecord {
        &self.record
    }

    /// A height is decided; `fetched` while others were known to have more.
    pub fn commit(&mut self, height: Height, timestamp: TimestampMs, fetched: bool) {
        self.record.commit(height, timestamp, fetched);
    }

    /// The record turns out to be too old: nothing is signed until the others are clearly beyond now.
    pub fn distrust(&mut self, now: TimestampMs) {
        self.record.barrier.wait_since(now);
    }

    /// Somebody else signed with the key at this height. Whether that raises the barrier.
    pub fn own_key_used(&mut self, height: Height) -> bool {
        self.record.barrier.own_key_used(height)
    }

    /// Takes back what an earlier life signed.
    pub fn restore(&mut self, record: &WalRecord) {
        match record {
            WalRecord::Proposal(proposal) => self.record.note_proposal(proposal),
            WalRecord::Vote(vote) => self.record.note_vote(vote),
            WalRecord::Certificate(_) | WalRecord::Barrier(_) => {}
        }
    }

    /// Whether there is a key that may sign this.
    pub fn may_sign(&self, statement: Statement) -> bool {
        self.key.is_some() && self.record.may_sign(&statement).is_ok()
    }

    /// Signs a vote. It must be durable before anybody sees it.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn vote(&mut self, message: SignedMessage) -> Result<Vote, Refusal> {
        let key = self.key.as_ref().ok_or(Refusal::NoKey)?;
        self.record.may_sign(&Statement::Vote(message))?;
        let vote = Vote::sign(message, &self.chain, key).map_err(|_| Refusal::Form)?;
        self.record.note_vote(&vote);
        Ok(vote)
    }

    /// Signs a proposal. It must be durable before anybody sees it.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn propose(&mut self, at: (Height, View), block: BlockId, again: Option<View>) -> Result<Proposal, Refusal> {
        let key = self.key.as_ref().ok_or(Refusal::NoKey)?;
        self.record.may_sign(&Statement::Proposal { height: at.0, view: at.1 })?;
        let proposal = Proposal::sign(at, block, again, &self.chain, key);
        self.record.note_proposal(&proposal);
        Ok(proposal)
    }
}
