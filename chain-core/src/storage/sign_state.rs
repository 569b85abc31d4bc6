//! How far a validator has signed, kept outside the data directory: a second memory, so that a
//! restored backup or a copied directory is noticed before it signs again.
//!
//! ```text
//! two slots of 64 bytes, written in turn:
//! version u8 = 1 ‖ 7 zeros ‖ sequence u64 ‖ height u64 ‖ view u32 ‖ words u32 ‖ blake3 of these 32 bytes
//! ```
//!
//! A torn write leaves the other slot. All integers little-endian.
//!
//! Not here: what follows from a mark that is ahead of the log (`engine`).

use super::StoreError;
use crate::types::{Height, View};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const VERSION: u8 = 1;
const CONTENT: usize = 32;
const SLOT: usize = 64;

/// The newest thing a validator signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignMark {
    /// At which height.
    pub height: Height,
    /// In which view.
    pub view: View,
    /// How many proposals and votes it has signed at that height.
    pub words: u32,
}

/// Remembers the newest mark.
pub trait SignState {
    /// Makes a mark durable. After an error nothing may be sent any more.
    fn save(&mut self, mark: SignMark) -> Result<(), StoreError>;
}

/// A mark in a file.
#[derive(Debug)]
pub struct SignFile {
    path: PathBuf,
    /// None while there is no file: the first mark makes it.
    file: Option<File>,
    sequence: u64,
}

impl SignFile {
    /// Makes the file of a key that has never signed. Refuses if there is one.
    pub fn create(path: &Path) -> Result<(), StoreError> {
        Self { path: path.into(), file: None, sequence: 0 }.save(SignMark::default())
    }

    /// Opens the file and reads its newest mark. Without a file there is no mark, and none is made
    /// before something is signed: the memory is gone, and stays gone over restarts.
    ///
    /// # Errors
    /// The file can't be read, or neither slot is whole.
    pub fn open(path: &Path) -> Result<(Self, Option<SignMark>), StoreError> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { path: path.into(), file: None, sequence: 0 }, None));
            }
            Err(e) => return Err(failed("open", path, e)),
        };
        let mut bytes = Vec::new();
        // One byte more than there may be, so that a longer file is noticed.
        (&mut file).take(2 * SLOT as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed("read", path, e))?;
        if bytes.is_empty() {
            // A crash came between making the file and writing to it: nothing was signed by it.
            return Ok((Self { path: path.into(), file: Some(file), sequence: 0 }, None));
        }
        let slots = bytes.chunks(SLOT).filter_map(read_slot);
        let newest = slots.max_by_key(|(sequence, _)| *sequence).filter(|_| bytes.len() <= 2 * SLOT);
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the sign state is damaged");
        let (sequence, mark) = newest.ok_or_else(|| failed("read", path, damaged()))?;
        Ok((Self { path: path.into(), file: Some(file), sequence }, Some(mark)))
    }

    fn write(&mut self, mark: SignMark) -> io::Result<()> {
        let made = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?),
        };
        self.sequence = self.sequence.saturating_add(1);
        file.seek(SeekFrom::Start((self.sequence % 2) * SLOT as u64))?;
        file.write_all(&slot_bytes(self.sequence, mark))?;
        file.sync_data()?;
        if made {
            let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

impl SignState for SignFile {
    fn save(&mut self, mark: SignMark) -> Result<(), StoreError> {
        self.write(mark).map_err(|e| failed("write", &self.path, e))
    }
}

/// A mark in memory, for tests and the simulator; survives every crash.
impl SignState for std::sync::Arc<std::sync::Mutex<Option<SignMark>>> {
    fn save(&mut self, mark: SignMark) -> Result<(), StoreError> {
        *self.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(mark);
        Ok(())
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull => StoreError::Full(path.display().to_string()),
        _ => StoreError::Io { action, path: path.into(), source },
    }
}

fn slot_bytes(sequence: u64, mark: SignMark) -> Vec<u8> {
    let mut slot = vec![VERSION, 0, 0, 0, 0, 0, 0, 0];
    slot.extend(sequence.to_le_bytes());
    slot.extend(mark.height.get().to_le_bytes());
    slot.extend(mark.view.get().to_le_bytes());
    slot.extend(mark.words.to_le_bytes());
    let digest = blake3::hash(&slot);
    slot.extend(digest.as_bytes());
    slot
}

fn read_slot(bytes: &[u8]) -> Option<(u64, SignMark)> {
    let (content, digest) = bytes.split_at_checked(CONTENT)?;
    if blake3::hash(content).as_bytes() != digest || content.first() != Some(&VERSION) {
        return None;
    }
    let long = |from: usize| content.get(from..from + 8)?.try_into().ok().map(u64::from_le_bytes);
    let short = |from: usize| content.get(from..from + 4)?.try_into().ok().map(u32::from_le_bytes);
    let mark = SignMark { height: Height::new(long(16)?), view: View::new(short(24)?), words: short(28)? };
    Some((long(8)?, mark))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn mark(height: u64) -> SignMark {
        SignMark { height: Height::new(height), view: View::new(2), words: 7 }
    }

    #[test]
    fn the_newest_mark_comes_back_and_a_missing_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        let (mut file, none) = SignFile::open(&path).unwrap();
        assert_eq!((none, path.exists()), (None, false), "looking makes no memory");
        file.save(mark(9)).unwrap();
        assert_eq!(SignFile::open(&path).unwrap().1, Some(mark(9)));
        assert!(SignFile::create(&path).is_err(), "a memory is never overwritten");
        std::fs::remove_file(&path).unwrap();
        SignFile::create(&path).unwrap();
        let (mut file, fresh) = SignFile::open(&path).unwrap();
        assert_eq!(fresh, Some(SignMark::default()));
        for height in 1..6 {
            file.save(mark(height)).unwrap();
            assert_eq!(SignFile::open(&path).unwrap().1, Some(mark(height)));
        }
    }

    #[test]
    fn a_torn_write_leaves_the_mark_before_it_and_damage_to_both_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        let (mut file, _) = SignFile::open(&path).unwrap();
        file.save(mark(1)).unwrap();
        file.save(mark(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 2 * SLOT);
        for place in 0..whole.len() {
            let mut torn = whole.clone();
            torn[place] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            let found = SignFile::open(&path).unwrap().1;
            // Either slot may be the newer one.
            assert!(found == Some(mark(1)) || found == Some(mark(2)), "{place}");
            torn[(place + SLOT) % (2 * SLOT)] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert!(SignFile::open(&path).is_err(), "{place}");
        }
    }
}
