//! The light client: believes a header for the signatures under it, and what stands in a block or
//! its state for the header. No storage, no network: bytes come from anybody.
//!
//! ```text
//! pinned block (genesis, or a recent one)
//!     │ hop: final header of the set in charge, which names the next set
//!     ▼
//! set in charge ► certificate ► TrustedHeader ┬ state_root   ► row, account (or that there is none)
//!                                             └ outcome_root ► outcome ► transaction
//! ```
//!
//! Rules, each with its error; the first that does not hold is the answer:
//! 1. A header is of the pinned block's chain and of a version this code knows.
//! 2. A header at the pinned height is the pinned one. One below is refused: whoever signed for it may
//!    have sold their keys since.
//! 3. A header above names the set in charge as its own.
//! 4. Its certificate is of finalize votes for exactly this header, by a quorum of the set in charge
//!    under the chain's rule.
//! 5. A hop pins a header above, and hands over to the members whose hash the header names as next.
//! 6. A row, or its absence, leads to the header's state root, and its value decodes.
//! 7. An outcome leads to the header's outcome root, and a transaction's bytes are those it names.
//!
//! What is believed besides: that the quorum rule holds for the set in charge *until its hop is
//! known*. Old keys may leak, so a client that was away for long pins a recent block again.
//!
//! Not here: where headers and proofs come from (chain-rpc), files and printing (chain-cli).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use crate::block::{BLOCK_VERSION, Header, Outcome};
use crate::codec::{self, DecodeError};
use crate::crypto::Hash;
use crate::crypto::merkle::{ListProof, PathError};
use crate::fault::Fault;
use crate::genesis::{Genesis, GenesisError};
use crate::limits::MAX_TX_BYTES;
use crate::state::{ACCOUNTS, Account, Proof, ProofError, RowKey, decode_value};
use crate::tx::Signed;
use crate::types::{
    Address, BlockId, Certificate, CertificateError, ChainId, Height, QuorumRule, Validator, ValidatorSet,
    ValidatorSetError, VoteKind, WireId,
};

#[cfg(test)]
mod tests;

/// Why something is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// No chain follows from the genesis.
    #[error("the genesis is not usable: {0}")]
    Genesis(#[from] GenesisError),
    /// Rule 1: of another chain.
    #[error("the header is of chain {got}, not of {expected}")]
    Chain {
        /// The pinned block's chain.
        expected: ChainId,
        /// The header's.
        got: ChainId,
    },
    /// Rule 1: of a version that may mean something else.
    #[error("the header has version {0}; this software knows version {BLOCK_VERSION}")]
    Version(u8),
    /// Rule 2: another block at the pinned height, or another header than the one to be pinned.
    #[error("block {got} at height {height} is not the pinned one, {pinned}")]
    NotPinned {
        /// Of both.
        height: Height,
        /// The one believed.
        pinned: BlockId,
        /// The one shown.
        got: BlockId,
    },
    /// Rule 2, and rule 5 for a hop that goes nowhere.
    #[error("height {got} is not above the pinned height {pinned}")]
    NotAbove {
        /// The pinned height.
        pinned: Height,
        /// The header's.
        got: Height,
    },
    /// Rule 3: another set's header; a hop may be missing.
    #[error("the set that signed this block, {got}, is not the one in charge, {expected}")]
    Set {
        /// Hash of the set in charge.
        expected: Hash,
        /// What the header names.
        got: Hash,
    },
    /// Rule 4: none came with a header that needs one.
    #[error("there is no certificate")]
    NoCertificate,
    /// Rule 4: of votes that decide nothing.
    #[error("the certificate does not say that a block is final")]
    NotFinal,
    /// Rule 4: about something else.
    #[error("the certificate is about another block than the header's")]
    OtherBlock,
    /// Rule 4: it proves nothing.
    #[error("the certificate proves nothing: {0}")]
    Certificate(#[from] CertificateError),
    /// Rule 5: the members are no set.
    #[error("the next validators are no set: {0}")]
    NextMembers(#[from] ValidatorSetError),
    /// Rule 5: not the members the header names.
    #[error("the next set is {got}, but the header names {expected}")]
    NextSet {
        /// What the header names.
        expected: Hash,
        /// Hash of what was shown.
        got: Hash,
    },
    /// Rule 6: the proof does not hold.
    #[error("the row is not proven: {0}")]
    Row(#[from] ProofError),
    /// Rule 6: proven, but not readable by this version.
    #[error("the row is proven but can't be read: {0}")]
    Value(Fault),
    /// Rule 7: the proof does not hold.
    #[error("the outcome is not proven: {0}")]
    Outcome(#[from] PathError),
    /// Rule 7: other bytes than the outcome's.
    #[error("the transaction's bytes are {got}, the outcome is about {expected}")]
    OtherTransaction {
        /// What the outcome names.
        expected: WireId,
        /// What the bytes are.
        got: WireId,
    },
    /// Rule 7: the right bytes, but not readable by this version.
    #[error("the transaction can't be read: {0}")]
    Transaction(DecodeError),
}

/// Follows a chain from a pinned block by the hops of its validator sets.
#[derive(Clone, Debug)]
pub struct LightClient {
    rule: QuorumRule,
    pinned: TrustedHeader,
    set: ValidatorSet,
}

impl LightClient {
    /// Pins block 0, which follows from the genesis: who has its bytes needs to believe nobody.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, LightError> {
        let (_, header) = genesis.build()?;
        let set = genesis.validator_set()?;
        Ok(Self { rule: genesis.quorum_rule, pinned: TrustedHeader { header, signers: 0, validators: 0 }, set })
    }

    /// Pins a block that the caller believes in for reasons of their own. The header and the members of
    /// the set that signs the next height may come from anybody: they must hash to what is believed.
    ///
    /// `rule` is the chain's, from its genesis.
    ///
    /// # Errors
    /// `Version`, `NotPinned` where the header is not the block's, `NextMembers`, `NextSet`.
    pub fn pinned(
        block: BlockId,
        rule: QuorumRule,
        header: Header,
        next_members: Vec<Validator>,
    ) -> Result<Self, LightError> {
        known_version(&header)?;
        is_pinned(block, &header)?;
        let set = next_set(&header, next_members)?;
        Ok(Self { rule, pinned: TrustedHeader { header, signers: 0, validators: 0 }, set })
    }

    /// The block that is believed without a certificate, or the last hop's.
    pub fn pin(&self) -> &TrustedHeader {
        &self.pinned
    }

    /// The set in charge: it signs the heights above the pinned one until the next hop.
    pub fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// Moves the pin to a header above (rules 1 to 5). A refused hop changes nothing.
    pub fn hop(
        &mut self,
        header: Header,
        certificate: &Certificate,
        next_members: Vec<Validator>,
    ) -> Result<(), LightError> {
        if header.height <= self.pinned.header.height {
            return Err(LightError::NotAbove { pinned: self.pinned.header.height, got: header.height });
        }
        let trusted = self.header(header, Some(certificate))?;
        self.set = next_set(&trusted.header, next_members)?;
        self.pinned = trusted;
        Ok(())
    }

    /// Believes a header (rules 1 to 4). The pinned one needs no certificate.
    pub fn header(&self, header: Header, certificate: Option<&Certificate>) -> Result<TrustedHeader, LightError> {
        let pinned = &self.pinned.header;
        if header.chain_id != pinned.chain_id {
            return Err(LightError::Chain { expected: pinned.chain_id, got: header.chain_id });
        }
        known_version(&header)?;
        if header.height < pinned.height {
            return Err(LightError::NotAbove { pinned: pinned.height, got: header.height });
        }
        if header.height == pinned.height {
            return is_pinned(pinned.id(), &header).map(|()| self.pinned.clone());
        }
        let in_charge = self.set.hash(&pinned.chain_id);
        if header.validators_hash != in_charge {
            return Err(LightError::Set { expected: in_charge, got: header.validators_hash });
        }
        let signers = self.check_final(&header, certificate.ok_or(LightError::NoCertificate)?)?;
        Ok(TrustedHeader { header, signers, validators: self.set.members().len() })
    }

    /// Rule 4; how many signed.
    fn check_final(&self, header: &Header, certificate: &Certificate) -> Result<usize, LightError> {
        if certificate.kind() != VoteKind::Finalize {
            return Err(LightError::NotFinal);
        }
        if (certificate.height(), certificate.block()) != (header.height, Some(header.id())) {
            return Err(LightError::OtherBlock);
        }
        certificate.verify(&header.chain_id, self.rule, &self.set)?;
        Ok(certificate.signatures.len())
    }
}

/// A header that is believed; only a [`LightClient`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedHeader {
    header: Header,
    signers: usize,
    validators: usize,
}

impl TrustedHeader {
    /// What it says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many validators signed; 0 for a block that was pinned without a certificate.
    pub fn signers(&self) -> usize {
        self.signers
    }

    /// Out of how many; 0 as above.
    pub fn validators(&self) -> usize {
        self.validators
    }

    /// The value under a key in the state after this block, version byte first; `None`: proven to be
    /// absent (rule 6).
    pub fn row<'p>(&self, key: &RowKey, proof: &'p Proof) -> Result<Option<&'p [u8]>, LightError> {
        Ok(proof.verify(&self.header.chain_id.0, &self.header.state_root, key)?)
    }

    /// An account's row in the state after this block; `None`: never used, or empty (rule 6).
    pub fn account(&self, address: &Address, proof: &Proof) -> Result<Option<Account>, LightError> {
        let value = self.row(&ACCOUNTS.key(address), proof)?;
        value.map(decode_value).transpose().map_err(LightError::Value)
    }

    /// That this is the outcome at this place of the block (rule 7).
    pub fn outcome(&self, index: u32, outcome: &Outcome, proof: &ListProof) -> Result<(), LightError> {
        let chain = &self.header.chain_id;
        Ok(proof.verify(&chain.0, &self.header.outcome_root, index, &outcome.hash(chain))?)
    }

    /// As `outcome`, and these complete signed bytes are the transaction it is about (rule 7).
    pub fn transaction(
        &self,
        index: u32,
        outcome: &Outcome,
        proof: &ListProof,
        signed: &[u8],
    ) -> Result<Signed, LightError> {
        self.outcome(index, outcome, proof)?;
        let got = Signed::wire_id(signed, &self.header.chain_id);
        if got != outcome.wire_id {
            return Err(LightError::OtherTransaction { expected: outcome.wire_id, got });
        }
        codec::decode(signed, MAX_TX_BYTES).map_err(LightError::Transaction)
    }
}

fn known_version(header: &Header) -> Result<(), LightError> {
    match header.version {
        BLOCK_VERSION => Ok(()),
        other => Err(LightError::Version(other)),
    }
}

fn is_pinned(pinned: BlockId, header: &Header) -> Result<(), LightError> {
    match header.id() {
        got if got == pinned => Ok(()),
        got => Err(LightError::NotPinned { height: header.height, pinned, got }),
    }
}

/// Rule 5: the set of these members, if it is the one the header names.
fn next_set(header: &Header, members: Vec<Validator>) -> Result<ValidatorSet, LightError> {
    let set = ValidatorSet::new(members)?;
    match set.hash(&header.chain_id) {
        got if got == header.next_validators_hash => Ok(set),
        got => Err(LightError::NextSet { expected: header.next_validators_hash, got }),
    }
}
