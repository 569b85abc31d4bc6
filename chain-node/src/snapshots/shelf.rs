//! The snapshots a node holds ready for others: the newest few, as files.
//!
//! Not here: when they are given out (`net`), how they are fetched (`fetch`).

use crate::data_dir::make_private_dir;
use crate::exit::Exit;
use crate::locks::lock;
use chain_core::crypto::Hash;
use chain_core::ledger::{Chain, SnapshotError};
use chain_core::limits::MAX_SNAPSHOT_PART_BYTES;
use chain_core::types::Height;
use chain_core::wire::{Message, SnapshotBytes, SnapshotOffer};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How many are kept: who fetches the one before may end with it.
const KEPT: usize = 2;
/// Ends the name of one that is whole.
const WHOLE: &str = ".snapshot";
/// The one that is being written.
const UNFINISHED: &str = "next.partial";
/// Written at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// How often to look whether one is due.
const LOOK: Duration = Duration::from_millis(200);

/// A directory of snapshots.
pub struct Shelf {
    dir: PathBuf,
    /// Oldest first.
    kept: Mutex<Vec<SnapshotOffer>>,
}

impl Shelf {
    /// What is in a directory that may not exist yet.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn open(dir: PathBuf) -> Result<Self, Exit> {
        let failed = |e: io::Error| Exit::Database(format!("{}: {e}", dir.display()));
        let mut kept = Vec::new();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => Some(entries),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(failed)?;
            let bytes = entry.metadata().map_err(failed)?.len();
            kept.extend(read_name(&entry.file_name().to_string_lossy(), bytes));
        }
        kept.sort_by_key(|offer: &SnapshotOffer| offer.height);
        Ok(Self { dir, kept: Mutex::new(kept) })
    }

    /// The newest one.
    pub fn newest(&self) -> Option<SnapshotOffer> {
        self.kept().last().copied()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<SnapshotOffer>> {
        lock(&self.kept)
    }

    /// The answer to a peer's question about snapshots; nothing for any other message. Reads files.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn answer(&self, question: &Message) -> io::Result<Option<Message>> {
        match question {
            Message::NeedSnapshot => Ok(Some(Message::Snapshot { offer: self.newest() })),
            Message::NeedSnapshotPart { digest, offset } => {
                let (digest, offset) = (*digest, *offset);
                let known = self.kept().iter().find(|offer| offer.digest == digest).copied();
                let bytes = known.map_or(Ok(Vec::new()), |offer| read_part(&self.dir.join(name(&offer)), offset))?;
                // Never more than the bound: no more is read.
                let bytes = SnapshotBytes::new(bytes).unwrap_or_default();
                Ok(Some(Message::SnapshotPart { digest, offset, bytes }))
            }
            _ => Ok(None),
        }
    }

    /// Writes a snapshot of the state as it is flushed and forgets those there are too many of. Ends early,
    /// with an error, once the node stops.
    ///
    /// # Errors
    /// A file can't be written; the database can't be read.
    pub fn make(&self, chain: &Chain, stopping: &AtomicBool) -> Result<SnapshotOffer, SnapshotError> {
        make_private_dir(&self.dir).map_err(|e| io::Error::other(e.to_string()))?;
        let partial = self.dir.join(UNFINISHED);
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&partial)?);
        let mut out = Hashing { inner: file, hasher: blake3::Hasher::new(), bytes: 0, stopping };
        let exported = chain.export(&mut out).inspect_err(|_| {
            // What is left of it is of no use, and is written over by the next one.
            let _ = fs::remove_file(&partial);
        })?;
        let Hashing { inner, hasher, bytes, .. } = out;
        inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let offer = SnapshotOffer { height: exported.height, digest: Hash(*hasher.finalize().as_bytes()), bytes };
        fs::rename(&partial, self.dir.join(name(&offer)))?;
        File::open(&self.dir)?.sync_all()?;
        let surplus: Vec<_> = {
            let mut kept = self.kept();
            kept.retain(|earlier| *earlier != offer);
            kept.push(offer);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus).collect()
        };
        for offer in surplus {
            fs::remove_file(self.dir.join(name(&offer)))?;
        }
        Ok(offer)
    }
}

/// Makes a snapshot whenever so many blocks were flushed since the last one.
pub(crate) fn keep_making(shelf: &Shelf, chain: &Arc<Chain>, interval_blocks: u64, stopping: &AtomicBool) {
    // After a failure the next attempt comes when the next one would have.
    let mut last = shelf.newest().map_or(Height::ZERO, |newest| newest.height);
    while !stopping.load(Ordering::Relaxed) {
        let flushed = chain.flushed();
        if flushed.get() < last.get().saturating_add(interval_blocks) {
            std::thread::sleep(LOOK);
            continue;
        }
        last = flushed;
        match shelf.make(chain, stopping) {
            Ok(offer) => {
                last = offer.height;
                tracing::info!(height = offer.height.get(), bytes = offer.bytes, "a snapshot is ready for others");
            }
            Err(_) if stopping.load(Ordering::Relaxed) => {}
            Err(error) => tracing::error!(%error, height = flushed.get(), "no snapshot could be made"),
        }
    }
}

fn name(offer: &SnapshotOffer) -> String {
    format!("{}-{}{WHOLE}", offer.height, offer.digest)
}

fn read_name(name: &str, bytes: u64) -> Option<SnapshotOffer> {
    let (height, digest) = name.strip_suffix(WHOLE)?.split_once('-')?;
    Some(SnapshotOffer { height: Height::new(height.parse().ok()?), digest: digest.parse().ok()?, bytes })
}

/// Bytes from an offset on; none behind the end, or if the file has been removed meanwhile.
fn read_part(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    file.seek(SeekFrom::Start(offset.min(file.metadata()?.len())))?;
    let mut bytes = Vec::new();
    file.take(MAX_SNAPSHOT_PART_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Counts and hashes what is written; writes no more once the node stops.
struct Hashing<'s, W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
    stopping: &'s AtomicBool,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(io::Error::other("the node stops"));
        }
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
