//! The bytes of a snapshot: a preface, then numbered frames with a checksum each.
//!
//! ```text
//! frame = kind u8 ‖ length u32 LE ‖ payload ‖ check (32)      check = blake3(number u64 LE ‖ all before)
//! ```
//!
//! The check finds damage early and says where; that the content is right is proven by root and
//! certificate. Not here: what the payloads hold.

use super::SnapshotError;
use crate::crypto::Hash;
use crate::types::ChainId;
use std::io::{ErrorKind, Read};

const MAGIC: &[u8; 12] = b"ait-snapshot";
/// The version of snapshots this code knows.
pub(super) const VERSION: u8 = 1;
/// A writer ends a frame of many items with the one that takes it to this.
pub(super) const FRAME_BYTES: usize = 256 * 1024;
/// Longest payload a reader takes.
const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Separates these checks from every other use of blake3.
const CHECK_CONTEXT: &str = "ait snapshot frame 1";

const _: () = assert!(FRAME_BYTES + crate::limits::MAX_ROW_VALUE_BYTES + 64 < MAX_FRAME_BYTES);
const _: () = assert!(crate::limits::MAX_WAL_RECORD_BYTES + crate::limits::MAX_VALIDATORS * 40 + 512 < MAX_FRAME_BYTES);

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hop = 1,
    Block = 2,
    Rows = 3,
    End = 4,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Hop, Self::Block, Self::Rows, Self::End].into_iter().find(|kind| *kind as u8 == number)
    }
}

fn check(number: u64, head: &[u8; 5], payload: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CHECK_CONTEXT);
    hasher.update(&number.to_le_bytes()).update(head).update(payload);
    *hasher.finalize().as_bytes()
}

/// Makes preface and frames; whoever has it takes the bytes out from time to time.
pub(super) struct FrameWriter {
    /// What was made and not taken out.
    pub(super) bytes: Vec<u8>,
    number: u64,
}

impl FrameWriter {
    pub(super) fn start(chain: &ChainId) -> Self {
        Self { bytes: [&MAGIC[..], &[VERSION], chain.0.as_bytes()].concat(), number: 0 }
    }

    pub(super) fn write(&mut self, kind: Kind, payload: &[u8]) {
        // No caller writes more than `MAX_FRAME_BYTES`.
        let [a, b, c, d] = (payload.len() as u32).to_le_bytes();
        let head = [kind as u8, a, b, c, d];
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(payload);
        self.bytes.extend_from_slice(&check(self.number, &head, payload));
        self.number = self.number.saturating_add(1);
    }
}

/// Reads preface and frames.
pub(super) struct FrameReader<'r> {
    input: &'r mut dyn Read,
    number: u64,
}

impl<'r> FrameReader<'r> {
    pub(super) fn start(input: &'r mut dyn Read, chain: &ChainId) -> Result<Self, SnapshotError> {
        let mut reader = Self { input, number: 0 };
        if reader.read::<{ MAGIC.len() }>()? != *MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let [version] = reader.read()?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let found = ChainId(Hash(reader.read()?));
        if found != *chain {
            return Err(SnapshotError::OtherChain { found, expected: *chain });
        }
        Ok(reader)
    }

    /// The next frame, undamaged.
    pub(super) fn next(&mut self) -> Result<(Kind, Vec<u8>), SnapshotError> {
        let head: [u8; 5] = self.read()?;
        let [kind, a, b, c, d] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(self.damaged("it is too long"));
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        let expected: [u8; 32] = self.read()?;
        if expected != check(self.number, &head, &payload) {
            return Err(self.damaged("its checksum does not match"));
        }
        let kind = Kind::of(kind).ok_or_else(|| self.damaged("its kind is unknown"))?;
        self.number = self.number.saturating_add(1);
        Ok((kind, payload))
    }

    /// Nothing may follow.
    pub(super) fn finish(self) -> Result<(), SnapshotError> {
        let mut rest = [0];
        match self.input.read(&mut rest)? {
            0 => Ok(()),
            _ => Err(self.damaged("bytes follow the end")),
        }
    }

    /// Says that the frame that is next, or was last, is wrong.
    pub(super) fn damaged(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Damaged { frame: self.number, what }
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SnapshotError::Truncated(self.number),
            _ => SnapshotError::Io(error),
        })
    }
}
