//! A final block as everybody reads it: with its certificate and with what its execution reported.

use crate::block::{Block, Body, FinalBlock, Header, Results};
use crate::tx::Checked;
use crate::types::{BlockId, Certificate, TxId};

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

impl CommittedBlock {
    /// Puts a final block together with its transactions as they were executed.
    pub fn new(block: FinalBlock, transactions: &[Checked], results: Results, finality_ms: u64) -> Self {
        Self::of(block, transactions.iter().map(Checked::id).collect(), results, finality_ms)
    }

    /// Puts the parts of a final block together.
    pub(super) fn of(block: FinalBlock, tx_ids: Vec<TxId>, results: Results, finality_ms: u64) -> Self {
        let FinalBlock { block: Block { header, body }, certificate } = block;
        Self { id: header.id(), header, body, tx_ids, results, certificate, finality_ms }
    }
}
