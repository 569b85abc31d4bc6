//! What a subscription tells, step by step, without knowing over which socket.

use super::chain::to_block_view;
use super::event_filter::EventFilter;
use super::tx::{to_pooled_view, to_status_view};
use super::{Context, write_result};
use crate::errors::{NOT_FOUND, RpcError};
use crate::hub::Live;
use crate::server::{Payer, length_cost};
use crate::view::*;
use chain_core::consensus::ConsensusEvent;
use chain_core::ledger::CommittedBlock;
use chain_core::mempool::Status;
use chain_core::tx::Checked;
use chain_core::types::{Height, TxId};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// So many transactions of an old block, and things it did by itself, cost a unit.
const OUTCOMES_PER_UNIT: usize = 64;

/// One thing to tell.
pub(crate) enum Told {
    /// An item; more follow.
    Item(Box<RawValue>),
    /// The last thing.
    Last(Box<RawValue>),
    /// The client missed something: the last thing, worth counting.
    Lagged(Box<RawValue>),
    /// Nothing follows.
    End,
}

/// A subscription that has been accepted.
pub(crate) enum Feed {
    /// Final blocks, or what happened in them.
    Blocks(Blocks),
    /// Pooled transactions.
    Transactions(Receiver<Live<Checked>>),
    /// Steps of the agreement.
    Steps(Receiver<Live<Arc<ConsensusEvent>>>),
    /// One transaction's way.
    Watch(Watch),
}

impl Feed {
    /// Waits for the next thing to tell.
    pub(crate) async fn next(&mut self, context: &Arc<Context>, payer: &Payer) -> Result<Told, RpcError> {
        match self {
            Self::Blocks(blocks) => blocks.next(context, payer).await,
            Self::Transactions(live) => told(live.recv().await, |tx| to_pooled_view(tx, Status::Pending)),
            Self::Steps(live) => told(live.recv().await, |event| event.as_ref().clone()),
            Self::Watch(watch) => watch.next(context).await,
        }
    }
}

fn told<T: Clone, V: Serialize>(
    received: Result<Live<T>, RecvError>,
    view: impl Fn(&T) -> V,
) -> Result<Told, RpcError> {
    match received {
        Ok(Live::Item(item)) => Ok(Told::Item(write_result(&view(&item))?)),
        Ok(Live::Gap(missed)) | Err(RecvError::Lagged(missed)) => lagged(missed, None),
        Err(RecvError::Closed) => Ok(Told::End),
    }
}

fn lagged(missed: u64, resume_from: Option<Height>) -> Result<Told, RpcError> {
    let notice: Notice<()> = Notice::Lagged { lagged: Lagged { missed: U64(missed), resume_from } };
    Ok(Told::Lagged(write_result(&notice)?))
}

/// Final blocks without a gap, or what happened in them: every height in turn, as soon as the node has it.
pub(crate) struct Blocks {
    live: Receiver<Live<Height>>,
    next: Height,
    /// The node has the blocks up to here.
    stored: Height,
    /// Whether it has caught up with the head once. While it reads old blocks, the live channel
    /// overflows by itself; that says nothing about the client.
    live_once: bool,
    shape: Arc<Shape>,
    /// What the block that was read last costs besides, for its length: paid before the next one.
    owed: u32,
}

/// What is told of each block.
enum Shape {
    /// The block in short, or with its transactions.
    Block(Include),
    /// What happened in it of what was asked for; nothing where nothing did.
    Events(EventFilter),
}

impl Shape {
    /// What is told of a block; `None`: nothing.
    fn tell(&self, block: &CommittedBlock) -> Result<Option<Box<RawValue>>, RpcError> {
        Ok(Some(match self {
            Self::Block(Include::None) => write_result(&HeadView::of(block))?,
            Self::Block(include) => write_result(&to_block_view(block, *include)?)?,
            Self::Events(filter) => {
                let view = filter.view(block);
                if view.sources.is_empty() {
                    return Ok(None);
                }
                write_result(&view)?
            }
        }))
    }

    /// The same of the head, which is in memory: what is soon written down needs no other thread.
    async fn tell_newest(
        self: &Arc<Self>,
        head: Arc<CommittedBlock>,
        context: &Arc<Context>,
    ) -> Result<Option<Box<RawValue>>, RpcError> {
        if matches!(**self, Self::Block(Include::None)) || head.results.events.is_empty() {
            return self.tell(&head);
        }
        let shape = self.clone();
        context.blocking(move |_| shape.tell(&head)).await
    }
}

/// What looking through a block costs beyond one unit: by its length, and by how much was done in it.
fn work(block: &CommittedBlock) -> u32 {
    let bytes = block.body.transactions().iter().map(Vec::len).sum();
    let done = u32::try_from(block.results.events.len() / OUTCOMES_PER_UNIT).unwrap_or(u32::MAX);
    length_cost(bytes).saturating_add(done)
}

impl Blocks {
    /// Starts at a height, or after the head. The live channel is opened before the head is
    /// read, so no block can fall between the two.
    pub(crate) fn start(context: &Context, params: NewBlocksParams) -> Result<Self, RpcError> {
        Self::begin(context, params.from_height, Shape::Block(params.include.unwrap_or(Include::None)))
    }

    /// The same for what happens in blocks.
    pub(crate) fn events(context: &Context, params: EventsParams) -> Result<Self, RpcError> {
        Self::begin(context, params.from_height, Shape::Events(EventFilter::new(&params)?))
    }

    fn begin(context: &Context, from: Option<Height>, shape: Shape) -> Result<Self, RpcError> {
        let live = context.hub.blocks();
        let stored = context.backend.head().header.height;
        let next = from.unwrap_or(stored.next());
        if next > stored.next() {
            return Err(NOT_FOUND.because(format_args!("from_height ≤ {}", stored.next()), next));
        }
        if next <= stored {
            // Says at once, and not in the middle, if this node no longer keeps it.
            context.backend.block(next)?;
        }
        Ok(Self { live, next, stored, live_once: false, shape: Arc::new(shape), owed: 0 })
    }

    async fn next(&mut self, context: &Arc<Context>, payer: &Payer) -> Result<Told, RpcError> {
        loop {
            if let Some(told) = self.next_block(context, payer).await? {
                return Ok(told);
            }
        }
    }

    /// What is to tell of the next block; `None`: nothing. Blocks below the head are charged as they are read, so
    /// whoever has old ones told waits when its account is empty. Only once a block is read and written down does
    /// this one go on: it may be given up while it waits.
    async fn next_block(&mut self, context: &Arc<Context>, payer: &Payer) -> Result<Option<Told>, RpcError> {
        while self.next > self.stored {
            match self.live.recv().await {
                // Below `next` stand blocks that were read before they were heard of.
                Ok(Live::Item(height)) => {
                    self.live_once |= height == self.next;
                    self.stored = height.max(self.stored);
                }
                // The hub missed something; the head says what is stored.
                Ok(Live::Gap(_)) => self.stored = context.backend.head().header.height,
                Err(RecvError::Lagged(_)) if self.live_once => return self.lagged(context).map(Some),
                Err(RecvError::Lagged(_)) => self.stored = context.backend.head().header.height,
                Err(RecvError::Closed) => return Ok(Some(Told::End)),
            }
        }
        let (height, head, shape) = (self.next, context.backend.head(), self.shape.clone());
        let (told, owed) = if head.header.height == height {
            (shape.tell_newest(head, context).await?, 0)
        } else {
            payer.pay(self.owed.saturating_add(1)).await;
            let read = move |context: &Context| {
                let block = context.backend.block(height)?;
                Ok((shape.tell(&block)?, work(&block)))
            };
            context.blocking(read).await?
        };
        (self.next, self.owed) = (height.next(), owed);
        Ok(told.map(Told::Item))
    }

    fn lagged(&self, context: &Context) -> Result<Told, RpcError> {
        let head = context.backend.head().header.height;
        lagged(head.next().saturating_sub(self.next.get()).get(), Some(self.next))
    }
}

/// One transaction from where it is to its end.
pub(crate) struct Watch {
    id: TxId,
    live: Receiver<Live<(TxId, Status)>>,
    /// Whether statuses were lost, so that the node must be asked. Kept here and not on the
    /// stack: `next` may be given up while it waits.
    ask: bool,
    last: Option<Status>,
}

impl Watch {
    /// Starts with the status it has now. An unknown transaction may still come.
    pub(crate) fn start(context: &Context, params: WatchParams) -> Result<Self, RpcError> {
        let live = context.hub.statuses();
        Ok(Self { id: params.tx_id, live, ask: true, last: None })
    }

    async fn next(&mut self, context: &Arc<Context>) -> Result<Told, RpcError> {
        loop {
            let status = if self.ask {
                let status = self.now(context).await?;
                self.ask = false;
                status
            } else {
                match self.live.recv().await {
                    Ok(Live::Item((id, status))) if id == self.id => status,
                    Ok(Live::Item(_)) => continue,
                    Ok(Live::Gap(_)) | Err(RecvError::Lagged(_)) => {
                        self.ask = true;
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(Told::End),
                }
            };
            if self.last != Some(status) {
                self.last = Some(status);
                return self.tell(status);
            }
        }
    }

    async fn now(&self, context: &Arc<Context>) -> Result<Status, RpcError> {
        let id = self.id;
        context.blocking(move |context| Ok(context.backend.status(&id)?)).await
    }

    fn tell(&self, status: Status) -> Result<Told, RpcError> {
        let view = write_result(&to_status_view(self.id, status))?;
        let ends = matches!(status, Status::Final { .. } | Status::Dropped { .. });
        Ok(if ends { Told::Last(view) } else { Told::Item(view) })
    }
}

impl Told {
    /// The message and whether it is the last; `None`: nothing follows. Counts clients that were
    /// too slow.
    pub(crate) fn counted(self, context: &Context, kind: &str) -> Option<(Box<RawValue>, bool)> {
        match self {
            Self::Item(message) => Some((message, false)),
            Self::Last(message) => Some((message, true)),
            Self::Lagged(message) => {
                context.metrics.lagged(kind);
                Some((message, true))
            }
            Self::End => None,
        }
    }
}
