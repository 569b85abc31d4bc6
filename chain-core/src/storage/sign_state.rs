//! How far a validator has signed, kept outside the data directory: a second memory, so that a
//! restored backup or a copied directory is noticed before it signs again.
//!
//! ```text
//! two slots of 64 bytes, written in turn:
//! version u8 = 2 ‖ owner (7) ‖ sequence u64 ‖ height u64 ‖ view u32 ‖ words u32 ‖ blake3 of these 32 bytes
//! ```
//!
//! A torn write leaves the other slot. The owner is of the chain and the key: the file of another one
//! vouches for nothing. Zeros are no mark. All integers little-endian.
//!
//! Not here: what follows from a mark that is ahead of the log (`engine`).

use super::StoreError;
use crate::crypto::PublicKey;
use crate::types::{ChainId, Height, View};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const VERSION: u8 = 2;
/// Separates this use of blake3 from every other one.
const OWNER_CONTEXT: &str = "ait sign state owner 1";
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

    /// Throws the mark away, durably: from now on nobody knows what was signed.
    fn forget(&mut self) -> Result<(), StoreError>;
}

/// Whose mark it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignOwner([u8; 7]);

impl SignOwner {
    /// A key on a chain.
    pub fn new(chain: &ChainId, key: &PublicKey) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(OWNER_CONTEXT);
        hasher.update(chain.0.as_bytes()).update(key.as_bytes());
        let mut owner = [0; 7];
        hasher.finalize_xof().fill(&mut owner);
        Self(owner)
    }
}

/// A mark in a file.
#[derive(Debug)]
pub struct SignFile {
    path: PathBuf,
    owner: SignOwner,
    /// None while there is no file: the first mark makes it.
    file: Option<File>,
    sequence: u64,
}

impl SignFile {
    /// Makes the file of a key that has never signed. Refuses if there is one.
    pub fn create(path: &Path, owner: SignOwner) -> Result<(), StoreError> {
        Self { path: path.into(), owner, file: None, sequence: 0 }.save(SignMark::default())
    }

    /// Opens the file and reads its newest mark. Without a file there is no mark, and none is made
    /// before something is signed: the memory is gone, and stays gone over restarts.
    ///
    /// # Errors
    /// The file can't be read, neither slot is whole, or it is another key's or another chain's.
    pub fn open(path: &Path, owner: SignOwner) -> Result<(Self, Option<SignMark>), StoreError> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { path: path.into(), owner, file: None, sequence: 0 }, None));
            }
            Err(e) => return Err(failed("open", path, e)),
        };
        let mut bytes = Vec::new();
        // One byte more than there may be, so that a longer file is noticed.
        (&mut file).take(2 * SLOT as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed("read", path, e))?;
        if bytes.iter().all(|byte| *byte == 0) {
            // Thrown away; or a crash came between making the file and the first mark.
            return Ok((Self { path: path.into(), owner, file: Some(file), sequence: 0 }, None));
        }
        let wrong = |what| failed("read", path, io::Error::new(io::ErrorKind::InvalidData, what));
        let slots = bytes.chunks(SLOT).filter_map(read_slot);
        let newest = slots.max_by_key(|slot| slot.sequence).filter(|_| bytes.len() <= 2 * SLOT);
        let Slot { of, sequence, mark } = newest.ok_or_else(|| wrong("the sign state is damaged"))?;
        if of != owner {
            return Err(wrong("the sign state is of another key or another chain: move it away, or name another file"));
        }
        Ok((Self { path: path.into(), owner, file: Some(file), sequence }, Some(mark)))
    }

    /// An empty file is no mark.
    fn erase(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.set_len(0)?;
        file.sync_all()?;
        self.sequence = 0;
        Ok(())
    }

    fn write(&mut self, mark: SignMark) -> io::Result<()> {
        let made = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?),
        };
        self.sequence = self.sequence.saturating_add(1);
        file.seek(SeekFrom::Start((self.sequence % 2) * SLOT as u64))?;
        file.write_all(&slot_bytes(self.owner, self.sequence, mark))?;
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

    fn forget(&mut self) -> Result<(), StoreError> {
        self.erase().map_err(|e| failed("write", &self.path, e))
    }
}

/// A mark in memory, for tests and the simulator; survives every crash.
impl SignState for std::sync::Arc<std::sync::Mutex<Option<SignMark>>> {
    fn save(&mut self, mark: SignMark) -> Result<(), StoreError> {
        *self.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(mark);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        *self.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        Ok(())
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull => StoreError::Full(path.display().to_string()),
        _ => StoreError::Io { action, path: path.into(), source },
    }
}

/// What a slot holds.
struct Slot {
    of: SignOwner,
    sequence: u64,
    mark: SignMark,
}

fn slot_bytes(SignOwner(owner): SignOwner, sequence: u64, mark: SignMark) -> Vec<u8> {
    let mut slot = vec![VERSION];
    slot.extend(owner);
    slot.extend(sequence.to_le_bytes());
    slot.extend(mark.height.get().to_le_bytes());
    slot.extend(mark.view.get().to_le_bytes());
    slot.extend(mark.words.to_le_bytes());
    let digest = blake3::hash(&slot);
    slot.extend(digest.as_bytes());
    slot
}

fn read_slot(bytes: &[u8]) -> Option<Slot> {
    let (content, digest) = bytes.split_at_checked(CONTENT)?;
    if blake3::hash(content).as_bytes() != digest || content.first() != Some(&VERSION) {
        return None;
    }
    let of = SignOwner(content.get(1..8)?.try_into().ok()?);
    let long = |from: usize| content.get(from..from + 8)?.try_into().ok().map(u64::from_le_bytes);
    let short = |from: usize| content.get(from..from + 4)?.try_into().ok().map(u32::from_le_bytes);
    let mark = SignMark { height: Height::new(long(16)?), view: View::new(short(24)?), words: short(28)? };
    Some(Slot { of, sequence: long(8)?, mark })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn owner() -> SignOwner {
        SignOwner::new(&ChainId::default(), &crate::testing::key(1).public())
    }

    fn mark(height: u64) -> SignMark {
        SignMark { height: Height::new(height), view: View::new(2), words: 7 }
    }

    #[test]
    fn the_newest_mark_comes_back_and_a_missing_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        let (mut file, none) = SignFile::open(&path, owner()).unwrap();
        assert_eq!((none, path.exists()), (None, false), "looking makes no memory");
        file.save(mark(9)).unwrap();
        assert_eq!(SignFile::open(&path, owner()).unwrap().1, Some(mark(9)));
        assert!(SignFile::create(&path, owner()).is_err(), "a memory is never overwritten");
        std::fs::remove_file(&path).unwrap();
        SignFile::create(&path, owner()).unwrap();
        let (mut file, fresh) = SignFile::open(&path, owner()).unwrap();
        assert_eq!(fresh, Some(SignMark::default()));
        for height in 1..6 {
            file.save(mark(height)).unwrap();
            assert_eq!(SignFile::open(&path, owner()).unwrap().1, Some(mark(height)));
        }
    }

    #[test]
    fn a_torn_write_leaves_the_mark_before_it_and_damage_to_both_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        let (mut file, _) = SignFile::open(&path, owner()).unwrap();
        file.save(mark(1)).unwrap();
        file.save(mark(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 2 * SLOT);
        for place in 0..whole.len() {
            let mut torn = whole.clone();
            torn[place] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            let found = SignFile::open(&path, owner()).unwrap().1;
            // Either slot may be the newer one.
            assert!(found == Some(mark(1)) || found == Some(mark(2)), "{place}");
            torn[(place + SLOT) % (2 * SLOT)] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert!(SignFile::open(&path, owner()).is_err(), "{place}");
        }
    }
    #[test]
    fn a_file_of_another_key_or_chain_vouches_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        SignFile::create(&path, owner()).unwrap();
        let (chain, key) = (ChainId::default(), crate::testing::key(1).public());
        let other_chain = ChainId(crate::crypto::Hash([1; 32]));
        for other in [SignOwner::new(&other_chain, &key), SignOwner::new(&chain, &crate::testing::key(2).public())] {
            let error = SignFile::open(&path, other).unwrap_err().to_string();
            assert!(error.contains("another key"), "{error}");
        }
    }

    #[test]
    fn a_mark_that_is_thrown_away_stays_away_until_something_is_signed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        SignFile::create(&path, owner()).unwrap();
        let (mut file, _) = SignFile::open(&path, owner()).unwrap();
        file.save(mark(3)).unwrap();
        file.forget().unwrap();
        let (mut file, none) = SignFile::open(&path, owner()).unwrap();
        assert_eq!(none, None);
        file.save(mark(9)).unwrap();
        assert_eq!(SignFile::open(&path, owner()).unwrap().1, Some(mark(9)));
    }

    #[test]
    fn a_first_mark_that_never_reached_the_disk_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign_state");
        std::fs::write(&path, [0; 2 * SLOT]).unwrap();
        assert_eq!(SignFile::open(&path, owner()).unwrap().1, None);
    }
}
