//! Acknowledgements: the payer's signed word for how many units of a job's leg were delivered. Exchanged off the
//! chain, redeemed on it; each replaces all before it.
//!
//! Not here: whose key counts, and what an acknowledgement is worth (`state::market::job`), where they are kept
//! (chain-market).

use super::{Address, ChainId, JobId, Units};
use crate::codec;
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, SignatureError, signing_message, verify_one};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// What is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged {
    /// Of which job.
    pub job: JobId,
    /// In which leg of it.
    pub leg: u32,
    /// Who delivered.
    pub provider: Address,
    /// All units of the leg so far.
    pub cumulative_units: Units,
}

/// A signed acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// What is acknowledged.
    pub acknowledged: Acknowledged,
    /// Whose signature this is. It counts only if it is the job's `ack_key`.
    pub key: PublicKey,
    /// Over [`Acknowledged::signing_bytes`].
    pub signature: Signature,
}

impl Acknowledged {
    /// The bytes that are signed: `ait/ack/1`, the chain's id, then `job u64 ‖ leg u32 ‖ provider 32 ‖
    /// cumulative_units u64`.
    pub fn signing_bytes(&self, chain: &ChainId) -> Vec<u8> {
        signing_message(Namespace::Ack, &chain.0, &codec::encode(self))
    }

    /// Signs it.
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> Ack {
        Ack { acknowledged: self, key: key.public(), signature: key.sign(&self.signing_bytes(chain)) }
    }
}

impl Ack {
    /// Whether the key really signed this, for this chain.
    ///
    /// # Errors
    /// The key is none, or the signature is not its over these bytes.
    pub fn verify(&self, chain: &ChainId) -> Result<(), SignatureError> {
        verify_one(&self.key, &self.acknowledged.signing_bytes(chain), &self.signature)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::Hash;

    #[test]
    fn an_acknowledgement_holds_for_what_was_signed_and_nothing_else() {
        let (chain, key) = (ChainId(Hash([1; 32])), SecretKey::from_seed(&[2; 32]));
        let provider = Address::from_bytes([3; 32]);
        let said = Acknowledged { job: JobId::new(7), leg: 1, provider, cumulative_units: Units::new(500) };
        let ack = said.sign(&chain, &key);
        assert!(ack.verify(&chain).is_ok());
        assert!(ack.verify(&ChainId(Hash([9; 32]))).is_err());
        let other = [
            Acknowledged { job: JobId::new(8), ..said },
            Acknowledged { leg: 2, ..said },
            Acknowledged { provider: Address::from_bytes([4; 32]), ..said },
            Acknowledged { cumulative_units: Units::new(501), ..said },
        ];
        for acknowledged in other {
            assert!(Ack { acknowledged, ..ack }.verify(&chain).is_err(), "{acknowledged:?}");
        }
        assert!(Ack { key: SecretKey::from_seed(&[5; 32]).public(), ..ack }.verify(&chain).is_err());
    }
}
