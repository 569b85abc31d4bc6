//! The first word on a stream: which chain, which version, and whose validator this is.
//!
//! A validator's claim signs the sender's transport identity, so nobody can pass for a validator
//! with a connection of their own. The transport has proven that identity before.
//!
//! Not here: what an unwelcome peer gets (chain-node).

use super::PROTOCOL_VERSION;
use crate::codec::{self, DecodeError, List};
use crate::crypto::{Namespace, PublicKey, SecretKey, Signature, signing_message, verify_one};
use crate::types::ChainId;
use borsh::{BorshDeserialize, BorshSerialize};

/// Longest transport identity, in bytes.
const MAX_IDENTITY_BYTES: usize = 64;
/// Longest encoding of a hello.
const MAX_HELLO_BYTES: usize = 512;

/// The first word on a stream.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// The version of the messages; first, so that it can be read from any later version.
    pub version: u16,
    /// The chain: the hash of its genesis.
    pub chain: ChainId,
    /// Which validator this is, if it is one.
    pub claim: Option<Claim>,
}

/// A validator's word that a transport identity is its own.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// The validator.
    pub validator: PublicKey,
    /// Over the transport identity of the sender.
    pub signature: Signature,
}

/// Why a hello is unwelcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The other side speaks another version.
    #[error("the peer speaks protocol version {theirs}, we speak {PROTOCOL_VERSION}")]
    Version {
        /// Its version.
        theirs: u16,
    },
    /// Another chain.
    #[error("the peer is on chain {theirs}, we are on {ours}: the genesis differs")]
    Chain {
        /// Its chain.
        theirs: ChainId,
        /// Our chain.
        ours: ChainId,
    },
    /// The claim is not signed by the validator for this identity.
    #[error("the peer claims to be validator {0} and is not")]
    Claim(PublicKey),
    /// Not a hello.
    #[error("the peer's first word is no greeting: {0}")]
    Malformed(#[from] DecodeError),
}

impl Hello {
    /// What we say: `identity` is our own transport identity.
    pub fn new(chain: ChainId, key: Option<&SecretKey>, identity: &[u8]) -> Self {
        let claim = key.map(|key| Claim { validator: key.public(), signature: key.sign(&claimed(&chain, identity)) });
        Self { version: PROTOCOL_VERSION, chain, claim }
    }

    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what the peer with this transport identity said first; answers which validator it is.
    ///
    /// # Errors
    /// The reason not to talk to it.
    pub fn welcome(bytes: &[u8], ours: ChainId, identity: &[u8]) -> Result<Option<PublicKey>, HelloError> {
        let version = codec::decode_next::<u16>(&mut &*bytes)?;
        if version != PROTOCOL_VERSION {
            return Err(HelloError::Version { theirs: version });
        }
        let hello: Self = codec::decode(bytes, MAX_HELLO_BYTES)?;
        if hello.chain != ours {
            return Err(HelloError::Chain { theirs: hello.chain, ours });
        }
        let Some(Claim { validator, signature }) = hello.claim else { return Ok(None) };
        match verify_one(&validator, &claimed(&ours, identity), &signature) {
            Ok(()) => Ok(Some(validator)),
            Err(_) => Err(HelloError::Claim(validator)),
        }
    }
}

fn claimed(chain: &ChainId, identity: &[u8]) -> Vec<u8> {
    let identity = identity.get(..MAX_IDENTITY_BYTES).unwrap_or(identity).to_vec();
    // Cut just above, so it fits.
    let identity = List::<u8, MAX_IDENTITY_BYTES>::new(identity).unwrap_or_default();
    signing_message(Namespace::Handshake, &chain.0, &codec::encode(&identity))
}
