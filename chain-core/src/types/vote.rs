//! What validators sign: proposals and three kinds of votes, with their one `verify`.
//!
//! Not here: when a vote may be given (`consensus`), how votes add up (`certificate`).

use super::{BlockId, ChainId, Height, View};
use crate::codec;
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, signing_message, verify_one};
use crate::mutation::{Mutation, on};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// What a vote says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum VoteKind {
    /// "This block is valid and I hold its body."
    Notarize = 1,
    /// "This view shall end without a block of mine being final in it."
    Nullify = 2,
    /// "I saw this block notarized; let it be final."
    Finalize = 3,
}

/// A vote without its signature: what is signed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SignedMessage {
    /// What it says.
    pub kind: VoteKind,
    /// At which height.
    pub height: Height,
    /// In which view.
    pub view: View,
    /// About which block: `None` exactly for `Nullify`.
    pub block: Option<BlockId>,
}

/// Why a vote or proposal is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// A nullification names a block, or another vote names none.
    #[error("a vote of this kind has the wrong form")]
    Form,
    /// The signature isn't the signer's over this message.
    #[error("the signature does not verify")]
    Signature,
}

impl SignedMessage {
    /// The bytes a validator signs: namespace of the kind, chain id, then
    /// `height u64 ‖ view u32 ‖ block id` (no block id for `Nullify`).
    pub fn signing_bytes(&self, chain: &ChainId) -> Result<Vec<u8>, VoteError> {
        let view = if on(Mutation::ViewUnsigned) { View::ZERO } else { self.view };
        let (namespace, body) = match (self.kind, self.block) {
            (VoteKind::Notarize, Some(block)) => (Namespace::Notarize, codec::encode(&(self.height, view, block))),
            (VoteKind::Finalize, Some(block)) => (Namespace::Finalize, codec::encode(&(self.height, view, block))),
            (VoteKind::Nullify, None) => (Namespace::Nullify, codec::encode(&(self.height, view))),
            _ => return Err(VoteError::Form),
        };
        Ok(signing_message(namespace, &chain.0, &body))
    }
}

/// A vote of one validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Vote {
    /// What is said.
    pub message: SignedMessage,
    /// Who says it.
    pub signer: PublicKey,
    /// Over `message.signing_bytes`.
    pub signature: Signature,
}

impl Vote {
    /// Signs a well-formed message.
    pub fn sign(message: SignedMessage, chain: &ChainId, key: &SecretKey) -> Result<Self, VoteError> {
        let signature = key.sign(&message.signing_bytes(chain)?);
        Ok(Self { message, signer: key.public(), signature })
    }

    /// Whether the signer really said this.
    pub fn verify(&self, chain: &ChainId) -> Result<(), VoteError> {
        let bytes = self.message.signing_bytes(chain)?;
        verify_one(&self.signer, &bytes, &self.signature).map_err(|_| VoteError::Signature)
    }
}

/// A leader's word that a block shall be voted on in a view.
///
/// The block itself and the justification travel beside it and aren't signed: the block is bound
/// by its id, the justification consists of certificates.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Proposal {
    /// At which height.
    pub height: Height,
    /// In which view.
    pub view: View,
    /// Which block.
    pub block: BlockId,
    /// The earlier view this block was notarized in, if it is proposed again.
    pub notarized_in: Option<View>,
    /// The leader.
    pub signer: PublicKey,
    /// Over `height u64 ‖ view u32 ‖ block id ‖ Option<u32>`.
    pub signature: Signature,
}

impl Proposal {
    /// Signs a proposal.
    pub fn sign(
        (height, view): (Height, View),
        block: BlockId,
        notarized_in: Option<View>,
        chain: &ChainId,
        key: &SecretKey,
    ) -> Self {
        let bytes = proposal_bytes(height, view, block, notarized_in, chain);
        Self { height, view, block, notarized_in, signer: key.public(), signature: key.sign(&bytes) }
    }

    /// The bytes the leader signs: namespace, chain id, then `height u64 ‖ view u32 ‖ block id ‖
    /// Option<u32>`.
    pub fn signing_bytes(&self, chain: &ChainId) -> Vec<u8> {
        proposal_bytes(self.height, self.view, self.block, self.notarized_in, chain)
    }

    /// Whether the signer really proposed this. Whether it was the signer's turn is the
    /// receiver's question.
    pub fn verify(&self, chain: &ChainId) -> Result<(), VoteError> {
        verify_one(&self.signer, &self.signing_bytes(chain), &self.signature).map_err(|_| VoteError::Signature)
    }
}

fn proposal_bytes(height: Height, view: View, block: BlockId, w: Option<View>, chain: &ChainId) -> Vec<u8> {
    signing_message(Namespace::Proposal, &chain.0, &codec::encode(&(height, view, block, w)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(kind: VoteKind) -> SignedMessage {
        let block = (kind != VoteKind::Nullify).then(BlockId::default);
        SignedMessage { kind, height: Height::new(3), view: View::new(1), block }
    }

    #[test]
    fn a_vote_is_bound_to_everything_it_says() {
        let (key, chain) = (SecretKey::from_seed(&[1; 32]), ChainId::default());
        for kind in [VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize] {
            let vote = Vote::sign(message(kind), &chain, &key).unwrap();
            assert_eq!(vote.verify(&chain), Ok(()));
            let other_chain = ChainId(crate::crypto::hash(Namespace::Genesis, &chain.0, &[]));
            assert_eq!(vote.verify(&other_chain), Err(VoteError::Signature));
            for change in [
                |v: &mut Vote| v.message.height = Height::new(4),
                |v: &mut Vote| v.message.view = View::new(2),
                |v: &mut Vote| v.signer = SecretKey::from_seed(&[2; 32]).public(),
                |v: &mut Vote| {
                    v.message.kind = match v.message.kind {
                        VoteKind::Notarize => VoteKind::Finalize,
                        _ => VoteKind::Notarize,
                    }
                },
            ] {
                let mut changed = vote.clone();
                change(&mut changed);
                assert!(changed.verify(&chain).is_err(), "{changed:?}");
            }
        }
    }

    #[test]
    fn votes_of_the_wrong_form_are_refused() {
        let (key, chain) = (SecretKey::from_seed(&[1; 32]), ChainId::default());
        for kind in [VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize] {
            let mut wrong = message(kind);
            wrong.block = match wrong.block {
                Some(_) => None,
                None => Some(BlockId::default()),
            };
            assert_eq!(Vote::sign(wrong, &chain, &key), Err(VoteError::Form));
        }
    }

    #[test]
    fn a_proposal_is_bound_to_everything_it_says() {
        let (key, chain) = (SecretKey::from_seed(&[1; 32]), ChainId::default());
        let proposal = Proposal::sign((Height::new(3), View::ZERO), BlockId::default(), None, &chain, &key);
        assert_eq!(proposal.verify(&chain), Ok(()));
        let again = Proposal { notarized_in: Some(View::ZERO), ..proposal.clone() };
        assert_eq!(again.verify(&chain), Err(VoteError::Signature));
        let other_view = Proposal { view: View::new(1), ..proposal };
        assert_eq!(other_view.verify(&chain), Err(VoteError::Signature));
    }
}
