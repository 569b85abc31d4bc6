//! Writing a snapshot of the flushed state while the node goes on.

use super::frames::{FRAME_BYTES, FrameWriter, Kind};
use super::{BlockPart, Hop, MAX_BLOCK_PART_BYTES, SnapshotError};
use crate::codec;
use crate::fault::Fault;
use crate::ledger::chain::Chain;
use crate::ledger::committed::CommittedBlock;
use crate::ledger::open::read_row;
use crate::storage::Table;
use crate::types::{BlockId, ChainId, Height};
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::RwLockReadGuard;

/// How many changes of the set are read from the database at once.
const PAGE_HOPS: usize = 256;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The block whose state it is.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// How many rows the state has.
    pub rows: u64,
}

impl Chain {
    /// Writes the state as of the flushed height. Others may read, write and flush meanwhile; only a
    /// flush that begins before the first row is read waits until then.
    pub fn export(&self, out: &mut dyn Write) -> Result<Exported, SnapshotError> {
        let flushes = self.hold_flushes();
        let height = self.flushed();
        if height == Height::ZERO {
            return Err(SnapshotError::Nothing);
        }
        let block = self.block(height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))?;
        let frames = begin(&self.id(), &hops(self, height)?, &block)?;
        let mut writer = Writer { flushes: Some(flushes), frames, pending: Vec::new(), rows: 0, out };
        let mut pushed = Ok(());
        let shown = self.store().for_each(Table::State, &mut |key, value| {
            pushed = writer.push(key, value);
            if pushed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        shown.map_err(Fault::from)?;
        pushed?;
        Ok(Exported { height, block: block.id, rows: writer.finish()? })
    }
}

/// The blocks below a height that changed the validator set.
fn hops(chain: &Chain, below: Height) -> Result<Vec<Hop>, Fault> {
    let mut hops: Vec<Hop> = Vec::new();
    loop {
        let last = hops.last().map_or(Height::ZERO, |(header, ..)| header.height);
        let page = chain.hops(last, PAGE_HOPS)?;
        let is_last = page.len() < PAGE_HOPS || page.last().is_some_and(|(header, ..)| header.height >= below);
        hops.extend(page.into_iter().filter(|(header, ..)| header.height < below));
        if is_last {
            return Ok(hops);
        }
    }
}

/// What stands before the rows.
fn begin(chain: &ChainId, hops: &[Hop], block: &CommittedBlock) -> Result<FrameWriter, SnapshotError> {
    let mut frames = FrameWriter::start(chain);
    for hop in hops {
        frames.write(Kind::Hop, &codec::encode(hop));
    }
    let (body, results) = (block.body.encode(), codec::encode(&block.results));
    let part: BlockPart = (block.header.clone(), block.certificate.clone(), body, results);
    let part = codec::encode(&part);
    if part.len() > MAX_BLOCK_PART_BYTES {
        return Err(Fault::new(format!("block {} reported too much to be carried", block.header.height)).into());
    }
    for piece in part.chunks(FRAME_BYTES) {
        frames.write(Kind::Block, piece);
    }
    Ok(frames)
}

/// Rows on their way into frames, and frames on their way out.
struct Writer<'w> {
    /// Held until the first row comes: from then on the view of all rows stands.
    flushes: Option<RwLockReadGuard<'w, ()>>,
    frames: FrameWriter,
    pending: Vec<u8>,
    rows: u64,
    out: &'w mut dyn Write,
}

impl Writer<'_> {
    /// Takes a stored row.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        self.flushes = None;
        codec::encode_into(&read_row(key, value)?, &mut self.pending);
        self.rows = self.rows.saturating_add(1);
        if self.pending.len() >= FRAME_BYTES { self.write_pending() } else { Ok(()) }
    }

    fn write_pending(&mut self) -> Result<(), SnapshotError> {
        self.frames.write(Kind::Rows, &self.pending);
        self.pending.clear();
        self.out.write_all(&self.frames.bytes)?;
        self.frames.bytes.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64, SnapshotError> {
        self.write_pending()?;
        self.frames.write(Kind::End, &codec::encode(&self.rows));
        self.out.write_all(&self.frames.bytes)?;
        self.out.flush()?;
        Ok(self.rows)
    }
}
