//! The records of the consensus log: what must survive a crash before anybody else learns of it.
//!
//! Bytes: version `u8` = 1, then the record (borsh, explicit numbers). Frames, checksums, the
//! bodies of blocks and the file itself are the engine's.

use crate::codec::{self, DecodeError};
use crate::limits::MAX_WAL_RECORD_BYTES;
use crate::types::{Certificate, Height, Proposal, Vote};
use borsh::{BorshDeserialize, BorshSerialize};

const VERSION: u8 = 1;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum WalRecord {
    /// A proposal of ours. Its justification follows from the certificates.
    Proposal(Proposal) = 1,
    /// A vote of ours.
    Vote(Vote) = 2,
    /// A certificate we learned of.
    Certificate(Certificate) = 3,
    /// Nothing is signed at or below this height: our key was used elsewhere, or our memory was
    /// lost.
    Barrier(Height) = 4,
}

impl WalRecord {
    /// The height it is about.
    pub fn height(&self) -> Height {
        match self {
            Self::Proposal(proposal) => proposal.height,
            Self::Vote(vote) => vote.message.height,
            Self::Certificate(certificate) => certificate.height(),
            Self::Barrier(height) => *height,
        }
    }

    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&(VERSION, self))
    }

    /// Reads an encoding.
    ///
    /// # Errors
    /// Bytes that are no record of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (version, record) = codec::decode::<(u8, Self)>(bytes, MAX_WAL_RECORD_BYTES)?;
        if version == VERSION {
            Ok(record)
        } else {
            Err(DecodeError::Malformed(format!("log record of version {version}")))
        }
    }
}
