//! Crashes and damage: every cut, every flipped byte, every step of a switch.

use super::*;
use crate::storage::memlog::MemLog;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

const NAME: &str = "wal";

fn owned(replay: &Replay) -> Vec<Vec<u8>> {
    replay.records().map(<[u8]>::to_vec).collect()
}

fn reopen(dir: &Path) -> Result<Vec<Vec<u8>>, JournalError> {
    Journal::open(dir, NAME).map(|(_, replay)| owned(&replay))
}

/// Records of different sizes; one holds something like frames and zeros.
fn samples() -> Vec<Vec<u8>> {
    let mut tricky = Vec::new();
    frame::encode(&mut tricky, 1, 32, 32, b"a frame inside a record");
    tricky.extend([0; 20]);
    vec![b"first".to_vec(), vec![7; 100], tricky, vec![0; 33], b"x".to_vec()]
}

/// A log in segment 1 with `records`, each synced, and the file's bytes.
fn written(records: &[Vec<u8>]) -> (TempDir, PathBuf, Vec<u8>) {
    let dir = tempdir().unwrap();
    let (mut journal, replay) = Journal::open(dir.path(), NAME).unwrap();
    assert!(replay.created);
    for record in records {
        journal.append(record).unwrap();
        journal.sync().unwrap();
    }
    let path = journal.path.clone();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(journal.size_bytes(), bytes.len() as u64);
    (dir, path, bytes)
}

/// File length after 0, 1, … records.
fn ends(records: &[Vec<u8>]) -> Vec<usize> {
    let mut ends = vec![32];
    ends.extend(records.iter().scan(32, |end, record| {
        *end += 24 + record.len();
        Some(*end)
    }));
    ends
}

#[test]
fn bytes_are_frozen() {
    let bytes = frame::encode_segment(3, &[b"abc"]);
    let expected = "434841494e4c4f4703000000000000003b00000000000000406e9dac4083250703000000561615cc0000000000000000d4c1bd46a5cc2caa616263";
    assert_eq!(hex::encode(bytes), expected);
}

#[test]
fn records_come_back_and_appending_goes_on() {
    let (dir, ..) = written(&samples());
    let (mut journal, replay) = Journal::open(dir.path(), NAME).unwrap();
    assert_eq!(owned(&replay), samples());
    assert_eq!((replay.created, replay.cut_bytes), (false, 0));
    journal.append(b"later").unwrap();
    journal.sync().unwrap();
    let mut expected = samples();
    expected.push(b"later".to_vec());
    assert_eq!(reopen(dir.path()).unwrap(), expected);
}

#[test]
fn record_sizes_are_bounded() {
    let (dir, ..) = written(&[]);
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    let long = vec![1; MAX_RECORD_BYTES + 1];
    assert!(matches!(journal.append(&long), Err(JournalError::RecordSize(_))));
    assert!(matches!(journal.append(&[]), Err(JournalError::RecordSize(0))));
    assert!(matches!(journal.switch(&[b"ok", b""]), Err(JournalError::RecordSize(0))));
    journal.append(&long[1..]).unwrap(); // refused records leave the log usable
    journal.sync().unwrap();
    assert_eq!(reopen(dir.path()).unwrap(), [&long[1..]]);
}

#[test]
fn every_cut_leaves_the_records_before_it() {
    let records = samples();
    let (dir, path, bytes) = written(&records);
    let ends = ends(&records);
    for cut in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let opened = Journal::open(dir.path(), NAME);
        if cut < 32 {
            assert!(matches!(opened, Err(JournalError::Damaged { .. })), "cut {cut}");
            continue;
        }
        let (mut journal, replay) = opened.unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(owned(&replay), records[..whole], "cut {cut}");
        assert_eq!(replay.cut_bytes, (cut - ends[whole]) as u64);
        journal.append(b"after the cut").unwrap();
        journal.sync().unwrap();
        let again = reopen(dir.path()).unwrap();
        assert_eq!(again[..whole], records[..whole]);
        assert_eq!(again[whole..], [b"after the cut"]);
    }
}

#[test]
fn every_flipped_byte_is_cut_at_the_end_and_refused_elsewhere() {
    let records = samples();
    let (dir, path, bytes) = written(&records);
    let last = ends(&records)[records.len() - 1];
    for position in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut flipped = bytes.clone();
            flipped[position] ^= mask;
            fs::write(&path, &flipped).unwrap();
            match reopen(dir.path()) {
                Ok(read) => {
                    assert!(position >= last, "flip at {position} lost synced records");
                    assert_eq!(read, records[..records.len() - 1]);
                }
                Err(JournalError::Damaged { .. }) => {
                    assert!(position < last, "flip at {position} is a torn end");
                    assert_eq!(fs::read(&path).unwrap(), flipped, "refused and changed");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn torn_ends_are_cut() {
    let records = samples();
    let (dir, path, bytes) = written(&records);
    let garbage: Vec<u8> = (0..700_u32).map(|i| ((i * i * 31) >> 3) as u8).collect();
    let mut zeros_in_last = bytes.clone();
    let keep = bytes.len() - 8;
    zeros_in_last[keep..].fill(0);
    let stale = &bytes[32..]; // frames of this very segment, at another offset
    for tail in [&[0; 5000][..], &garbage, stale, b"\x05\0\0\0"] {
        fs::write(&path, [&bytes, tail].concat()).unwrap();
        let (_, replay) = Journal::open(dir.path(), NAME).unwrap();
        assert_eq!(owned(&replay), records);
        assert_eq!(replay.cut_bytes, tail.len() as u64);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(&path, [&zeros_in_last[..], &[0; 100]].concat()).unwrap();
    assert_eq!(reopen(dir.path()).unwrap(), records[..4]);
}

/// A power cut while three records were synced together kept the third and not the first.
#[test]
fn an_unfinished_sync_is_cut_even_if_its_end_arrived() {
    let (dir, path, _) = written(&[b"durable".to_vec()]);
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    let start = journal.size_bytes() as usize;
    for record in [[1_u8; 50], [2; 50], [3; 50]] {
        journal.append(&record).unwrap();
    }
    journal.sync().unwrap();
    let bytes = fs::read(&path).unwrap();
    for (from, to, whole) in [(start, start + 10, 1), (start, start + 80, 1), (start + 80, start + 90, 2)] {
        let mut holes = bytes.clone();
        holes[from..to].fill(0);
        fs::write(&path, &holes).unwrap();
        assert_eq!(reopen(dir.path()).unwrap().len(), whole);
    }
    fs::write(&path, &bytes).unwrap();
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    journal.append(b"proof that the three were durable").unwrap();
    journal.sync().unwrap();
    let mut damaged = fs::read(&path).unwrap();
    damaged[start + 30] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(matches!(reopen(dir.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn frames_of_another_segment_do_not_count() {
    let (dir, path, bytes) = written(&[b"one".to_vec()]);
    let mut foreign = Vec::new();
    frame::encode(&mut foreign, 2, bytes.len() as u64, 33, b"of segment two");
    fs::write(&path, [bytes, foreign].concat()).unwrap();
    assert_eq!(reopen(dir.path()).unwrap(), [b"one"]);
}

#[test]
fn a_frame_inside_a_torn_record_is_not_a_good_record() {
    let (dir, path, bytes) = written(&[]);
    let mut inner = Vec::new();
    frame::encode(&mut inner, 1, bytes.len() as u64 + 24, 33, b"chosen by someone else");
    let mut outer = Vec::new();
    frame::encode(&mut outer, 1, bytes.len() as u64, 32, &[inner, vec![9; 50]].concat());
    *outer.last_mut().unwrap() ^= 1; // the payload is torn, its head is good
    fs::write(&path, [bytes, outer].concat()).unwrap();
    assert!(reopen(dir.path()).unwrap().is_empty());
}

#[test]
fn damage_in_the_records_a_segment_was_started_with_is_never_cut() {
    let dir = tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    journal.switch(&[b"kept", b"too"]).unwrap();
    let bytes = fs::read(&journal.path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&journal.path, &bytes[..length]).unwrap();
        assert!(matches!(reopen(dir.path()), Err(JournalError::Damaged { .. })), "{length}");
    }
    let last = bytes.len() - 1;
    fs::write(&journal.path, [&bytes[..last], &[bytes[last] ^ 4]].concat()).unwrap();
    assert!(matches!(reopen(dir.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_segment_under_a_wrong_number_is_damaged() {
    let (dir, path, _) = written(&samples());
    fs::rename(&path, segment_path(dir.path(), NAME, 9)).unwrap();
    assert!(matches!(reopen(dir.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn crash_at_every_step_of_a_switch() {
    let old = samples();
    let new: [&[u8]; 2] = [b"live one", b"live two"];
    let (dir, _, bytes) = written(&old);
    let dir = dir.path();
    let temporary = temporary_path(dir, NAME, 2);
    let next = frame::encode_segment(2, &new);
    let back_to_old = || {
        fs::write(segment_path(dir, NAME, 1), &bytes).unwrap();
        let _ = fs::remove_file(segment_path(dir, NAME, 2));
    };
    for length in 0..=next.len() {
        fs::write(&temporary, &next[..length]).unwrap(); // during step 1
        assert_eq!(reopen(dir).unwrap(), old, "temporary file of {length} bytes");
        assert!(!temporary.exists());
    }
    write_segment(dir, NAME, 2, &new).unwrap(); // after step 1
    assert_eq!(reopen(dir).unwrap(), old);
    back_to_old();
    write_segment(dir, NAME, 2, &new).unwrap();
    publish_segment(dir, NAME, 2).unwrap(); // after step 2 or 3: both are there
    assert_eq!(reopen(dir).unwrap(), new);
    assert!(!segment_path(dir, NAME, 1).exists());
    assert_eq!(reopen(dir).unwrap(), new); // after step 4
    fs::write(segment_path(dir, NAME, 1), &bytes).unwrap(); // the removal was lost
    assert_eq!(reopen(dir).unwrap(), new);
}

#[test]
fn a_damaged_new_segment_never_brings_the_old_one_back() {
    let (dir, path, bytes) = written(&samples());
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    journal.switch(&[b"new"]).unwrap();
    fs::write(&path, &bytes).unwrap();
    fs::write(&journal.path, b"").unwrap();
    assert!(matches!(reopen(dir.path()), Err(JournalError::Damaged { .. })));
    assert!(path.exists(), "refused and changed");
}

#[test]
fn crash_while_the_log_is_made() {
    let dir = tempdir().unwrap();
    fs::write(temporary_path(dir.path(), NAME, 1), b"CHAIN").unwrap();
    let (_, replay) = Journal::open(dir.path(), NAME).unwrap();
    assert!(replay.created);
    assert!(!reopen(dir.path()).unwrap().iter().any(|_| true));
}

#[test]
fn other_files_are_left_alone() {
    let dir = tempdir().unwrap();
    let others = ["wal-1.log", "wal2-0000000000000007.log", "wal-x.log", "wal", "wal-0000000000000001.bak"];
    for other in others {
        fs::write(dir.path().join(other), b"mine").unwrap();
    }
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    journal.switch(&[]).unwrap();
    assert_eq!(journal.segment(), 2);
    for other in others {
        assert_eq!(fs::read(dir.path().join(other)).unwrap(), b"mine");
    }
}

/// Points the open journal at another file, as if its disk had gone bad.
fn break_file(journal: &mut Journal, file: File) -> File {
    std::mem::replace(&mut journal.file, file)
}

fn assert_poisoned(journal: &mut Journal) {
    assert!(matches!(journal.append(b"x"), Err(JournalError::Poisoned)));
    assert!(matches!(journal.sync(), Err(JournalError::Poisoned)));
    assert!(matches!(journal.switch(&[]), Err(JournalError::Poisoned)));
}

#[test]
fn a_failed_sync_is_final() {
    let (dir, ..) = written(&samples());
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    let (_reader, writer) = io::pipe().unwrap(); // takes writes, can't be synced
    let good = break_file(&mut journal, File::from(std::os::fd::OwnedFd::from(writer)));
    journal.append(b"lost").unwrap();
    assert!(matches!(journal.sync(), Err(JournalError::Io { action: "sync", .. })));
    break_file(&mut journal, good);
    assert_poisoned(&mut journal);
    assert_eq!(reopen(dir.path()).unwrap(), samples());
}

#[test]
fn a_full_disk_is_named_and_final() {
    let (dir, ..) = written(&samples());
    let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let good = break_file(&mut journal, full);
    journal.append(b"lost").unwrap();
    assert!(journal.sync().unwrap_err().is_full());
    break_file(&mut journal, good);
    assert_poisoned(&mut journal);
    assert_eq!(reopen(dir.path()).unwrap(), samples());
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Sync,
    Switch(Vec<Vec<u8>>),
    /// The process dies; what was only appended may be lost.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let record = || vec(any::<u8>(), 1..40);
    prop_oneof![
        5 => record().prop_map(Step::Append),
        2 => Just(Step::Sync),
        1 => vec(record(), 0..4).prop_map(Step::Switch),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The log on files does what the log in memory does.
    #[test]
    fn same_as_the_log_in_memory(steps in vec(step(), 0..30)) {
        let dir = tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), NAME).unwrap();
        let mut model = MemLog::new();
        for step in steps {
            match step {
                Step::Append(record) => {
                    journal.append(&record).unwrap();
                    model.append(&record).unwrap();
                }
                Step::Sync => {
                    journal.sync().unwrap();
                    model.sync().unwrap();
                }
                Step::Switch(records) => {
                    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
                    journal.switch(&records).unwrap();
                    model.switch(&records).unwrap();
                }
                Step::Kill => {
                    let (reopened, replay) = Journal::open(dir.path(), NAME).unwrap();
                    journal = reopened; // small records: nothing was handed over before a sync
                    model.crash();
                    prop_assert_eq!(owned(&replay), model.records().map(<[u8]>::to_vec).collect::<Vec<_>>());
                }
            }
        }
    }

    /// Whatever a file holds, reading it ends without a panic.
    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400), valid_head in any::<bool>()) {
        let mut file = if valid_head { frame::encode_segment(1, &[]) } else { Vec::new() };
        file.extend(bytes);
        if let Ok(scan) = frame::scan(&file, 1) {
            prop_assert!(scan.records.is_empty());
        }
    }

    /// Several flips and a cut: never a record that was not written, in its place.
    #[test]
    fn damage_never_makes_a_record(
        flips in vec((0..400_usize, 1..=255_u8), 1..6),
        cut in 0..400_usize,
    ) {
        let records = samples();
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut bytes = frame::encode_segment(1, &[]);
        for record in &slices {
            let offset = bytes.len() as u64;
            frame::encode(&mut bytes, 1, offset, offset, record);
        }
        for (position, mask) in flips {
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= mask;
            }
        }
        bytes.truncate(cut.max(32));
        if let Ok(scan) = frame::scan(&bytes, 1) {
            let read: Vec<&[u8]> = scan.records.iter().map(|range| &bytes[range.clone()]).collect();
            prop_assert_eq!(&read[..], &slices[..read.len()]);
        }
    }
}
