//! Sorts the node's announcements into one channel per kind, so that a burst of one kind never
//! costs the subscribers of another. Nothing here waits for a client: whoever reads too slowly
//! loses the oldest items and is told so.
//!
//! Not here: what subscribers see (`api::subscriptions`).

use crate::backend::Backend;
use crate::metrics::Metrics;
use chain_core::consensus::ConsensusEvent;
use chain_core::engine::Announcement;
use chain_core::ledger::CommittedBlock;
use chain_core::mempool::Status;
use chain_core::tx::Checked;
use chain_core::types::{Height, TxId};
use std::sync::Arc;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// How many blocks a subscriber may be behind. Only heights are kept here: the blocks are in the
/// store.
const BLOCKS: usize = 1_024;
/// Transactions kept for slow subscribers.
const TRANSACTIONS: usize = 8_192;
/// Statuses kept for slow subscribers.
const STATUSES: usize = 32_768;
/// Steps of the agreement kept for slow subscribers.
const STEPS: usize = 4_096;

/// What a channel carries: an item, or that this many announcements were lost before the hub.
#[derive(Clone, Debug)]
pub enum Live<T> {
    /// An item.
    Item(T),
    /// Lost announcements of any kind.
    Gap(u64),
}

/// The channels.
#[derive(Clone)]
pub struct Hub {
    blocks: Sender<Live<Height>>,
    transactions: Sender<Live<Checked>>,
    statuses: Sender<Live<(TxId, Status)>>,
    steps: Sender<Live<Arc<ConsensusEvent>>>,
}

impl Hub {
    /// Starts sorting; ends with the node.
    pub fn start(backend: &dyn Backend, metrics: Metrics) -> Self {
        let hub = Self {
            blocks: broadcast::channel(BLOCKS).0,
            transactions: broadcast::channel(TRANSACTIONS).0,
            statuses: broadcast::channel(STATUSES).0,
            steps: broadcast::channel(STEPS).0,
        };
        tokio::spawn(hub.clone().sort(backend.subscribe(), metrics));
        hub
    }

    /// Heights of final blocks from now on.
    pub fn blocks(&self) -> Receiver<Live<Height>> {
        self.blocks.subscribe()
    }

    /// Pooled transactions from now on.
    pub fn transactions(&self) -> Receiver<Live<Checked>> {
        self.transactions.subscribe()
    }

    /// Changes of statuses from now on.
    pub fn statuses(&self) -> Receiver<Live<(TxId, Status)>> {
        self.statuses.subscribe()
    }

    /// Steps of the agreement from now on.
    pub fn steps(&self) -> Receiver<Live<Arc<ConsensusEvent>>> {
        self.steps.subscribe()
    }

    async fn sort(self, mut announcements: Receiver<Announcement>, metrics: Metrics) {
        loop {
            // Sending fails only while nobody listens, which is no fault.
            match announcements.recv().await {
                Ok(Announcement::Block(block)) => {
                    metrics.block(&block);
                    self.finals(&block);
                    let _ = self.blocks.send(Live::Item(block.header.height));
                }
                Ok(Announcement::Transaction(tx)) => drop(self.transactions.send(Live::Item(tx))),
                Ok(Announcement::Status(id, status)) => drop(self.statuses.send(Live::Item((id, status)))),
                Ok(Announcement::Consensus(event)) => {
                    metrics.step(&event);
                    let _ = self.steps.send(Live::Item(Arc::new(event)));
                }
                Err(RecvError::Lagged(lost)) => self.tell_gap(lost, &metrics),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// A block says that its transactions are final, whether or not the pool knew them.
    fn finals(&self, block: &CommittedBlock) {
        if self.statuses.receiver_count() == 0 {
            return;
        }
        for (index, id) in (0u32..).zip(&block.tx_ids) {
            let _ = self.statuses.send(Live::Item((*id, Status::Final { height: block.header.height, index })));
        }
    }

    fn tell_gap(&self, lost: u64, metrics: &Metrics) {
        metrics.lost(lost);
        tracing::warn!(lost, "the interface reads announcements too slowly");
        let _ = self.blocks.send(Live::Gap(lost));
        let _ = self.transactions.send(Live::Gap(lost));
        let _ = self.statuses.send(Live::Gap(lost));
        let _ = self.steps.send(Live::Gap(lost));
    }
}
