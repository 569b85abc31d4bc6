//! The nouns everybody uses: amounts, addresses, heights, ids, the validator set with its
//! quorum arithmetic, signed votes and proposals, certificates.
//!
//! Not here: transactions (`tx`), blocks (`block`), anything that changes.

mod ack;
mod address;
mod amount;
mod certificate;
mod evidence;
mod ids;
mod metering;
mod mode;
mod numbers;
mod rejection;
mod token;
mod validators;
mod vote;

pub use ack::{Ack, Acknowledged};
pub use address::{Address, AddressError, ModuleAccount};
pub use amount::Amount;
pub use certificate::{Certificate, CertificateError, SignerBitmap};
pub use evidence::{Equivocation, EquivocationKind, Evidence, NotEvidence};
pub use ids::{BlockId, ChainId, ModelId, TxId, WireId};
pub use metering::{Price, UnitKind};
pub use mode::{ConsensusMode, UnknownMode};
pub(crate) use numbers::wide_decimal;
pub use numbers::{
    AssetId, Height, JobId, MarketMs, ModelProposalId, ProposalId, ProviderId, StakeId, TimestampMs, Units, View,
};
pub(crate) use rejection::rejections;
pub use rejection::{Figures, Rejected, Rejection};
pub use token::{Token, TokenError};
pub use validators::{QuorumRule, Validator, ValidatorSet, ValidatorSetError};
pub use vote::{Proposal, SignedMessage, Vote, VoteError, VoteKind};

pub(crate) use validators::decimal;
