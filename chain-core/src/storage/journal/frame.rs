//! The bytes of a log segment, and how damage is told from an unfinished write.
//!
//! ```text
//! segment  magic "CHAINLOG" ‖ number u64 ‖ sealed u64 ‖ check 8                      then frames
//! frame    length u32 ‖ head check 4 ‖ synced u64 ‖ payload check 8 ‖ payload
//! ```
//!
//! Integers are little-endian. A check is the beginning of blake3, keyed by segment number and offset, so that
//! stale bytes of another file or another place never verify. The head check lets a reader trust a length before
//! it reads (or searches) that far.
//!
//! `synced` is how much of the file was known to be durable when the frame was appended, `sealed` the same for the
//! segment's start. A power cut during a sync may keep later bytes of that sync and lose earlier ones; so a good
//! frame behind a bad place proves damage only if its `synced` lies behind the bad place, too.
//!
//! Not here: files (`super`). Everything in this file is a function of bytes.

use std::ops::Range;

use super::MAX_RECORD_BYTES;

const MAGIC: &[u8; 8] = b"CHAINLOG";
const SEGMENT_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// Fills the rest of the 32-byte key behind segment number and offset; names this use.
const KEY_DOMAIN: &[u8; 16] = b"journal frame v1";

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where each record's payload lies.
    pub records: Vec<Range<usize>>,
    /// End of the last good record; what follows is to be cut.
    pub end: usize,
}

/// Durable bytes that are not what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub offset: usize,
    pub reason: &'static str,
}

fn check(segment: u64, offset: u64, parts: [&[u8]; 3]) -> [u8; 8] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&segment.to_le_bytes());
    key[8..16].copy_from_slice(&offset.to_le_bytes());
    key[16..].copy_from_slice(KEY_DOMAIN);
    let mut hasher = blake3::Hasher::new_keyed(&key);
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Check of a frame's head.
fn head_check(segment: u64, offset: u64, length: &[u8], synced: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = check(segment, offset, [b"head", length, synced]);
    [a, b, c, d]
}

/// Appends the frame of `record` (1 to [`MAX_RECORD_BYTES`] bytes), which will stand at `offset` of a file whose
/// first `synced` bytes are durable.
pub(super) fn encode(out: &mut Vec<u8>, segment: u64, offset: u64, synced: u64, record: &[u8]) {
    debug_assert!((1..=MAX_RECORD_BYTES).contains(&record.len()) && synced <= offset);
    let length = (record.len() as u32).to_le_bytes();
    let synced = synced.to_le_bytes();
    out.reserve(FRAME_HEAD + record.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&head_check(segment, offset, &length, &synced));
    out.extend_from_slice(&synced);
    out.extend_from_slice(&check(segment, offset, [&length, &synced, record]));
    out.extend_from_slice(record);
}

/// A whole new segment with its first records, all of them sealed.
pub(super) fn encode_segment(segment: u64, records: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; SEGMENT_HEAD];
    for record in records {
        let offset = out.len() as u64;
        encode(&mut out, segment, offset, 0, record);
    }
    let sealed = (out.len() as u64).to_le_bytes();
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&segment.to_le_bytes());
    out[16..24].copy_from_slice(&sealed);
    let seal = check(segment, 0, [b"segment", MAGIC, &sealed]);
    out[24..32].copy_from_slice(&seal);
    out
}

/// Reads a segment: its records, and where a torn end has to be cut.
pub(super) fn scan(bytes: &[u8], segment: u64) -> Result<Scan, Damage> {
    let sealed = read_segment_head(bytes, segment)?;
    let mut scan = Scan { records: Vec::new(), end: SEGMENT_HEAD };
    while let Frame::Good { payload, .. } = read_frame(bytes, segment, scan.end) {
        scan.end = payload.end;
        scan.records.push(payload);
    }
    if scan.end < sealed {
        return Err(Damage { offset: scan.end, reason: "a record the segment was started with" });
    }
    if was_durable(bytes, segment, scan.end) {
        return Err(Damage { offset: scan.end, reason: "damaged before records that followed a sync" });
    }
    Ok(scan)
}

fn read_segment_head(bytes: &[u8], segment: u64) -> Result<usize, Damage> {
    let damage = Damage { offset: 0, reason: "the head of the segment" };
    let Some(head) = bytes.first_chunk::<SEGMENT_HEAD>() else {
        return Err(damage);
    };
    let sealed = &head[16..24];
    let good = head[..8] == *MAGIC
        && head[8..16] == segment.to_le_bytes()
        && head[24..] == check(segment, 0, [b"segment", MAGIC, sealed]);
    if !good {
        return Err(damage);
    }
    // Checked bytes: what we wrote ourselves, at most a file's length.
    let sealed = sealed.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
    usize::try_from(sealed).map_err(|_| damage)
}

enum Frame {
    /// A whole good frame.
    Good { payload: Range<usize>, synced: u64 },
    /// The head is good, the payload is not, or not all there; where the frame should end.
    BadPayload(usize),
    /// Not the head of a frame.
    None,
}

fn read_frame(bytes: &[u8], segment: u64, start: usize) -> Frame {
    let Some(head) = bytes.get(start..).and_then(|rest| rest.first_chunk::<FRAME_HEAD>()) else {
        return Frame::None;
    };
    let [a, b, c, d, _, _, _, _, e, f, g, h, i, j, k, l, ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let synced = u64::from_le_bytes([e, f, g, h, i, j, k, l]);
    let offset = start as u64;
    if !(1..=MAX_RECORD_BYTES).contains(&length)
        || synced > offset
        || head[4..8] != head_check(segment, offset, &head[..4], &head[8..16])
    {
        return Frame::None;
    }
    let payload = start + FRAME_HEAD..start + FRAME_HEAD + length;
    let Some(record) = bytes.get(payload.clone()) else {
        return Frame::BadPayload(payload.end);
    };
    if head[16..] == check(segment, offset, [&head[..4], &head[8..16], record]) {
        Frame::Good { payload, synced }
    } else {
        Frame::BadPayload(payload.end)
    }
}

/// Whether a good frame behind the bad place `bad` says that the bad place had been durable. A bad frame with a good
/// head is skipped as a whole: a block inside it may hold bytes that someone chose to look like a frame.
fn was_durable(bytes: &[u8], segment: u64, bad: usize) -> bool {
    let mut at = bad;
    while at < bytes.len() {
        at = match read_frame(bytes, segment, at) {
            Frame::Good { synced, .. } if synced > bad as u64 => return true,
            Frame::Good { payload, .. } => payload.end,
            Frame::BadPayload(end) => end,
            Frame::None => at + 1,
        };
    }
    false
}
