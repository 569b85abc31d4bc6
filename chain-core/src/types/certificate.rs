//! A certificate: votes of one kind for one thing whose weight is a quorum. `verify` is the one
//! place where a certificate is believed, for nodes, light clients and tools alike.
//!
//! Two honest nodes may hold different certificates for one block (other signers, another view),
//! so nothing that is hashed may depend on one.

use super::{BlockId, ChainId, Height, QuorumRule, SignedMessage, ValidatorSet, View, Vote, VoteKind};
use crate::codec::List;
use crate::crypto::{Signature, verify_many};
use crate::limits::MAX_VALIDATORS;
use crate::mutation::{Mutation, on};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

const BITMAP_BYTES: usize = MAX_VALIDATORS / 8;

/// Proof that a quorum of a height's validators cast the same vote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Certificate {
    /// The vote, including height, view and block.
    pub message: SignedMessage,
    /// The rule the quorum satisfies; must be the chain's.
    pub rule: QuorumRule,
    /// Who signed.
    pub signers: SignerBitmap,
    /// One signature per set bit, in bit order.
    pub signatures: List<Signature, MAX_VALIDATORS>,
}

/// Bit i (byte i/8, bit i%8 from the least) stands for the i-th validator by ascending key;
/// exactly ⌈n/8⌉ bytes, padding bits zero.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignerBitmap(List<u8, BITMAP_BYTES>);

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A nullification with a block, or another kind without one.
    #[error("the vote it certifies has the wrong form")]
    Form,
    /// Made under another quorum rule than the chain's.
    #[error("it was made under another quorum rule")]
    Rule,
    /// The bitmap isn't as long as the set needs, or has bits beyond it.
    #[error("its bitmap does not fit the validator set")]
    Bitmap,
    /// Not one signature per set bit.
    #[error("it has not one signature per signer")]
    Count,
    /// The signers' weight isn't a quorum.
    #[error("its signers are no quorum")]
    Quorum,
    /// At least one signature isn't its signer's.
    #[error("a signature does not verify")]
    Signature,
}

impl SignerBitmap {
    fn of(places: &[usize], members: usize) -> Option<Self> {
        let mut bytes = vec![0u8; members.div_ceil(8)];
        for place in places {
            *bytes.get_mut(place / 8)? |= 1 << (place % 8);
        }
        List::new(bytes).ok().map(Self)
    }

    /// The places of the set bits, if the bitmap has the one form for `members` validators.
    pub fn places(&self, members: usize) -> Option<Vec<usize>> {
        if self.0.len() != members.div_ceil(8) {
            return None;
        }
        let set = |i: usize| self.0.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
        let bits = self.0.len() * 8;
        if (members..bits).any(set) {
            return None;
        }
        Some((0..members).filter(|i| set(*i)).collect())
    }
}

impl Serialize for SignerBitmap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for SignerBitmap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = <String as Deserialize>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("a bitmap starts with 0x"))?;
        let bytes = hex::decode(digits).map_err(D::Error::custom)?;
        List::new(bytes).map(Self).map_err(D::Error::custom)
    }
}

impl Certificate {
    /// Puts verified votes that say the same together; `None` unless they are a quorum.
    pub fn from_votes<'a>(
        message: SignedMessage,
        votes: impl IntoIterator<Item = &'a Vote>,
        rule: QuorumRule,
        set: &ValidatorSet,
    ) -> Option<Self> {
        let mut signed: Vec<(usize, Signature)> = votes
            .into_iter()
            .filter(|vote| vote.message == message)
            .filter_map(|vote| Some((set.index_of(&vote.signer)?, vote.signature)))
            .collect();
        signed.sort_by_key(|(place, _)| *place);
        signed.dedup_by_key(|(place, _)| *place);
        let (places, signatures): (Vec<_>, Vec<_>) = signed.into_iter().unzip();
        if !rule.is_quorum(weight(set, &places), set.total_weight()) {
            return None;
        }
        let signers = SignerBitmap::of(&places, set.members().len())?;
        Some(Self { message, rule, signers, signatures: List::new(signatures).ok()? })
    }

    /// Whether this proves that a quorum of `set` under `rule` cast the vote.
    pub fn verify(&self, chain: &ChainId, rule: QuorumRule, set: &ValidatorSet) -> Result<(), CertificateError> {
        let message = self.message.signing_bytes(chain).map_err(|_| CertificateError::Form)?;
        if self.rule != rule {
            return Err(CertificateError::Rule);
        }
        let mut places = self.signers.places(set.members().len()).ok_or(CertificateError::Bitmap)?;
        if on(Mutation::SignerRepeated) {
            places.resize(self.signatures.len(), places.last().copied().unwrap_or_default());
        }
        if places.len() != self.signatures.len() {
            return Err(CertificateError::Count);
        }
        if !rule.is_quorum(weight(set, &places), set.total_weight()) {
            return Err(CertificateError::Quorum);
        }
        let signers = places.iter().filter_map(|place| set.get(*place));
        let items: Vec<_> =
            signers.zip(self.signatures.iter()).map(|(m, s)| (m.public_key, message.as_slice(), *s)).collect();
        if verify_many(&items).iter().all(Result::is_ok) { Ok(()) } else { Err(CertificateError::Signature) }
    }

    /// The kind of vote certified.
    pub fn kind(&self) -> VoteKind {
        self.message.kind
    }

    /// The height voted on.
    pub fn height(&self) -> Height {
        self.message.height
    }

    /// The view voted in.
    pub fn view(&self) -> View {
        self.message.view
    }

    /// The block voted for; none for a nullification.
    pub fn block(&self) -> Option<BlockId> {
        self.message.block
    }
}

fn weight(set: &ValidatorSet, places: &[usize]) -> u64 {
    // The whole set's weight fits in 60 bits, so does any part's.
    places.iter().filter_map(|place| set.get(*place)).map(|m| m.weight).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use crate::types::Validator;

    fn keys(n: u8) -> Vec<SecretKey> {
        let mut keys: Vec<_> = (1..=n).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        keys.sort_by_key(SecretKey::public);
        keys
    }

    fn set(keys: &[SecretKey]) -> ValidatorSet {
        let members = keys.iter().map(|k| Validator { public_key: k.public(), weight: 1 }).collect();
        ValidatorSet::new(members).unwrap()
    }

    fn finalize() -> SignedMessage {
        SignedMessage {
            kind: VoteKind::Finalize,
            height: Height::new(9),
            view: View::ZERO,
            block: Some(BlockId::default()),
        }
    }

    fn certificate<'k>(signers: impl IntoIterator<Item = &'k SecretKey>, set: &ValidatorSet) -> Option<Certificate> {
        let votes: Vec<_> =
            signers.into_iter().map(|k| Vote::sign(finalize(), &ChainId::default(), k).unwrap()).collect();
        Certificate::from_votes(finalize(), &votes, QuorumRule::Byzantine, set)
    }

    fn verdict(certificate: &Certificate, set: &ValidatorSet) -> Result<(), CertificateError> {
        certificate.verify(&ChainId::default(), QuorumRule::Byzantine, set)
    }

    #[test]
    fn a_quorum_convinces_and_less_does_not() {
        let keys = keys(4);
        let set = set(&keys);
        assert!(certificate(&keys[..2], &set).is_none());
        for skip in 0..4 {
            let signers = keys.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, key)| key).rev();
            assert_eq!(verdict(&certificate(signers, &set).unwrap(), &set), Ok(()));
        }
    }

    #[test]
    fn one_signer_twice_counts_once() {
        let keys = keys(4);
        let twice = [&keys[0], &keys[1], &keys[1]];
        assert!(certificate(twice, &set(&keys)).is_none());
    }

    #[test]
    fn every_tampering_is_named() {
        let keys = keys(9);
        let set = set(&keys);
        let good = certificate(&keys[..7], &set).unwrap();
        let tampered = |change: &dyn Fn(&mut Certificate)| {
            let mut certificate = good.clone();
            change(&mut certificate);
            verdict(&certificate, &set)
        };
        let bitmap = |bytes: &[u8]| SignerBitmap(List::new(bytes.to_vec()).unwrap());
        assert_eq!(tampered(&|c| c.message.block = None), Err(CertificateError::Form));
        assert_eq!(tampered(&|c| c.rule = QuorumRule::Crash), Err(CertificateError::Rule));
        assert_eq!(tampered(&|c| c.signers = bitmap(&[0x7f])), Err(CertificateError::Bitmap));
        assert_eq!(tampered(&|c| c.signers = bitmap(&[0x7f, 0, 0])), Err(CertificateError::Bitmap));
        assert_eq!(tampered(&|c| c.signers = bitmap(&[0x7f, 2])), Err(CertificateError::Bitmap));
        assert_eq!(tampered(&|c| c.signers = bitmap(&[0xff, 0])), Err(CertificateError::Count));
        let six = |c: &mut Certificate| {
            c.signers = bitmap(&[0x3f, 0]);
            c.signatures = List::new(c.signatures[..6].to_vec()).unwrap();
        };
        assert_eq!(tampered(&six), Err(CertificateError::Quorum));
        assert_eq!(tampered(&|c| c.signers = bitmap(&[0xbf, 0])), Err(CertificateError::Signature));
        assert_eq!(tampered(&|c| c.message.view = View::new(1)), Err(CertificateError::Signature));
        assert_eq!(tampered(&|c| c.message.kind = VoteKind::Notarize), Err(CertificateError::Signature));
    }
}
