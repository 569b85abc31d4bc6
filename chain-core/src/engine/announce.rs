//! What the engine tells the outside once it is true and durable.

use crate::consensus::ConsensusEvent;
use crate::ledger::CommittedBlock;
use crate::mempool::Status;
use crate::tx::Checked;
use crate::types::TxId;
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
