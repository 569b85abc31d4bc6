//! What the engine tells the outside once it is true and durable.

use crate::block::{Body, Header, Results};
use crate::consensus::ConsensusEvent;
use crate::mempool::Status;
use crate::tx::Checked;
use crate::types::{BlockId, Certificate, TxId};
use std::sync::Arc;

/// Something that is true and durable.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// A block is final.
    Block(Arc<CommittedBlock>),
    /// A transaction was accepted into the pool and is executable.
    Transaction(Checked),
    /// A transaction's status changed.
    Status(TxId, Status),
    /// The agreement moved.
    Consensus(ConsensusEvent),
}

/// A final block with everything its execution reported.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// The hash of the header.
    pub id: BlockId,
    /// What the block says.
    pub header: Header,
    /// The transactions as bytes.
    pub body: Body,
    /// Names of the transactions, in order.
    pub tx_ids: Vec<TxId>,
    /// Outcomes and events.
    pub results: Results,
    /// The proof that it is final; genesis has none.
    pub certificate: Option<Certificate>,
    /// Milliseconds from the block's timestamp to its commit on this node; 0 when unknown.
    pub finality_ms: u64,
}
