//! RocksDB against the store in memory, after crashes, and with damaged files.

use super::*;
use crate::storage::MemoryStore;
use proptest::collection::vec;
use proptest::prelude::*;
use std::ops::ControlFlow;
use tempfile::{TempDir, tempdir};

fn small() -> RocksOptions {
    RocksOptions { cache_bytes: 1 << 20, memtable_bytes: 4 << 20, open_files: 64 }
}

fn open(path: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(path, &small())
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    batch
}

fn rows_of(store: &dyn Store, table: Table) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    store.for_each(table, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Files in `rows/` whose name begins or ends with `part`.
fn files(store: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(store.join(ROWS_DIR))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(part) || name.ends_with(part)
        })
        .collect();
    files.sort();
    files
}

const ROWS: u32 = 2_000;

fn row(index: u32) -> Row {
    (index.to_be_bytes().to_vec(), blake3::hash(&index.to_be_bytes()).as_bytes().to_vec())
}

/// A closed database with [`ROWS`] rows of state in a table file, and nothing in its log.
fn flushed() -> TempDir {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = Batch::new();
    for (key, value) in (0..ROWS).map(row) {
        batch.put(Table::State, key, value);
    }
    store.write(batch, Durability::Synced).unwrap();
    for table in Table::ALL {
        store.db.flush_cf(store.family(table).unwrap()).unwrap();
    }
    dir
}

/// Opens and reads everything: all rows, or an error that says so.
fn read_all(path: &Path) -> Result<(), StoreError> {
    let store = open(path)?;
    assert_eq!(rows_of(&store, Table::State)?, (0..ROWS).map(row).collect::<Vec<_>>());
    for index in [0, 1, ROWS / 2, ROWS - 1] {
        let (key, value) = row(index);
        assert_eq!(store.get(Table::State, &key)?, Some(value));
    }
    Ok(())
}

#[test]
fn synced_rows_survive_reopening() {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.write(put(Table::Bodies, b"1", &[9; 100_000]), Durability::Synced).unwrap();
    store.write(put(Table::Meta, b"head", b"1"), Durability::Buffered).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get(Table::Bodies, b"1").unwrap(), Some(vec![9; 100_000]));
    assert_eq!(store.get(Table::Meta, b"head").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(Table::Headers, b"1").unwrap(), None);
}

#[test]
fn second_open_is_refused() {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { pid: Some(_), .. }), "{error}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn other_versions_are_refused() {
    let dir = tempdir().unwrap();
    drop(RocksStore::open_version(dir.path(), &small(), 7).unwrap());
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::WrongVersion { found: 7, expected: 1 }), "{error}");
    fs::write(dir.path().join(FORMAT_FILE), "chain-store 1\n").unwrap(); // the row still says 7
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::WrongVersion { found: 7, expected: 1 }), "{error}");
}

#[test]
fn other_directories_are_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let dir = tempdir().unwrap();
    drop(DB::open_default(dir.path()).unwrap());
    assert!(matches!(open(dir.path()), Err(StoreError::NotADatabase { .. })));

    let dir = flushed();
    for text in [&b"chain-store"[..], b"chain-store one", b"", b"\xff\xfe", b"other 1"] {
        fs::write(dir.path().join(FORMAT_FILE), text).unwrap();
        assert!(matches!(open(dir.path()), Err(StoreError::NotADatabase { .. })));
    }

    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(open(&file), Err(StoreError::Io { .. })));
}

#[test]
fn interrupted_creation_is_taken_up_again() {
    let made = tempdir().unwrap();
    drop(open(made.path()).unwrap());
    let dir = tempdir().unwrap();
    begin_format(dir.path(), 1).unwrap();
    drop(open(dir.path()).unwrap());
    open(dir.path()).unwrap();

    let dir = tempdir().unwrap();
    copy_dir(made.path(), dir.path());
    fs::rename(dir.path().join(FORMAT_FILE), dir.path().join(FORMAT_FILE_NEW)).unwrap();
    drop(open(dir.path()).unwrap());
    open(dir.path()).unwrap();
    assert!(!dir.path().join(FORMAT_FILE_NEW).exists());
}

#[test]
fn missing_files_are_damage_and_never_a_new_database() {
    let whole = flushed();
    read_all(whole.path()).unwrap();
    for part in ["CURRENT", "MANIFEST", ".sst"] {
        let dir = tempdir().unwrap();
        copy_dir(whole.path(), dir.path());
        let found = files(dir.path(), part);
        assert!(!found.is_empty());
        found.iter().for_each(|file| fs::remove_file(file).unwrap());
        let error = read_all(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{part}: {error}");
    }
    fs::remove_dir_all(whole.path().join(ROWS_DIR)).unwrap();
    assert!(matches!(open(whole.path()), Err(StoreError::Corrupt(_))));
}

/// Applies `damage` to a copy of `whole`'s file; every outcome but whole rows has to be `Corrupt`.
/// Returns whether the damage was noticed.
fn noticed(whole: &Path, file: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> bool {
    let dir = tempdir().unwrap();
    copy_dir(whole, dir.path());
    let target = dir.path().join(file.strip_prefix(whole).unwrap());
    let mut bytes = fs::read(&target).unwrap();
    damage(&mut bytes);
    fs::write(&target, bytes).unwrap();
    match read_all(dir.path()) {
        Ok(()) => false,
        Err(StoreError::Corrupt(_)) => true,
        Err(other) => panic!("{}: {other}", file.display()),
    }
}

fn length(file: &Path) -> usize {
    usize::try_from(fs::metadata(file).unwrap().len()).unwrap()
}

fn largest(files: Vec<PathBuf>) -> PathBuf {
    files.into_iter().max_by_key(|file| length(file)).unwrap()
}

#[test]
fn damaged_table_files_are_noticed() {
    let whole = flushed();
    let file = largest(files(whole.path(), ".sst"));
    let length = length(&file);
    assert!(length > 64 * ROWS as usize / 2, "{length}");
    for cut in [0, 1, length / 2, length - 1] {
        assert!(noticed(whole.path(), &file, |bytes| bytes.truncate(cut)), "cut at {cut}");
    }
    let step = length / 40;
    let caught =
        (0..length).step_by(step).filter(|position| noticed(whole.path(), &file, |bytes| bytes[*position] ^= 0x10));
    assert!(caught.count() >= 38); // nearly all bytes are rows; none of the rest may change what is read
}

#[test]
fn damaged_manifests_are_noticed() {
    let whole = flushed();
    let file = largest(files(whole.path(), "MANIFEST"));
    let length = length(&file);
    for position in (0..length).step_by(length / 40) {
        assert!(noticed(whole.path(), &file, |bytes| bytes[position] ^= 0x10), "flip at {position}");
    }
    for cut in (0..length).step_by(length / 40) {
        assert!(noticed(whole.path(), &file, |bytes| bytes.truncate(cut)), "cut at {cut}");
    }
}

/// A power cut while RocksDB notes a flush in its manifest: the log is still there, so nothing is lost or refused.
#[test]
fn an_unfinished_flush_loses_nothing() {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let mut batch = Batch::new();
    for (key, value) in (0..ROWS).map(row) {
        batch.put(Table::State, key, value);
    }
    store.write(batch, Durability::Synced).unwrap();
    let before = tempdir().unwrap();
    copy_dir(dir.path(), before.path());
    let manifest = largest(files(dir.path(), "MANIFEST"));
    let short = length(&manifest);
    for table in Table::ALL {
        store.db.flush_cf(store.family(table).unwrap()).unwrap();
    }
    let long = length(&manifest);
    assert!(short < long);
    for file in files(dir.path(), ".sst") {
        fs::copy(&file, before.path().join(file.strip_prefix(dir.path()).unwrap())).unwrap();
    }
    let bytes = fs::read(&manifest).unwrap();
    for cut in (short..=long).step_by(7) {
        let crashed = tempdir().unwrap();
        copy_dir(before.path(), crashed.path());
        let target = crashed.path().join(manifest.strip_prefix(dir.path()).unwrap());
        fs::write(target, &bytes[..cut]).unwrap();
        read_all(crashed.path()).unwrap();
    }
}

#[test]
fn damaged_current_files_are_noticed() {
    let whole = flushed();
    let file = files(whole.path(), "CURRENT").remove(0);
    for position in 0..length(&file) {
        assert!(noticed(whole.path(), &file, |bytes| bytes[position] ^= 0x01), "flip at {position}");
        assert!(noticed(whole.path(), &file, |bytes| bytes.truncate(position)), "cut at {position}");
    }
}

/// Copies of the directory of an open store, with its log cut or damaged: whole batches, without gaps.
#[test]
fn a_torn_log_leaves_whole_batches() {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for index in 1..=20_u32 {
        let mut batch = put(Table::State, &index.to_be_bytes(), &[1; 9_000]);
        batch.put(Table::Headers, index.to_be_bytes(), [2; 50]);
        batch.put(Table::Meta, b"head", index.to_be_bytes());
        store.write(batch, Durability::Synced).unwrap();
    }
    let log = largest(files(dir.path(), ".log"));
    let length = length(&log);
    let mut heads = Vec::new();
    for cut in (0..=length).step_by(length / 60).chain([length]) {
        for flip in [false, true] {
            let crashed = tempdir().unwrap();
            copy_dir(dir.path(), crashed.path());
            let target = crashed.path().join(log.strip_prefix(dir.path()).unwrap());
            let mut bytes = fs::read(&target).unwrap();
            if flip && cut < length {
                bytes[cut] ^= 0x20;
            } else {
                bytes.truncate(cut);
            }
            fs::write(&target, bytes).unwrap();
            let after = match open(crashed.path()) {
                Ok(after) => after,
                Err(StoreError::Corrupt(_)) if cut < 200 => continue, // the version row itself is lost
                Err(other) => panic!("{other}"),
            };
            let head = after.get(Table::Meta, b"head").unwrap();
            let head = head.map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
            assert_eq!(rows_of(&after, Table::State).unwrap().len(), head as usize);
            assert_eq!(rows_of(&after, Table::Headers).unwrap().len(), head as usize);
            heads.push(head);
        }
    }
    assert_eq!(heads.last(), Some(&20)); // the uncut copy: nothing synced is lost
    assert!(heads.iter().any(|head| (1..20).contains(head)));
}

#[test]
fn a_failed_write_is_final() {
    let dir = tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = DB::open(&rocksdb::Options::default(), dir.path().join("none")).unwrap_err();
    assert!(store.or_poison(Err(error)).is_err());
    let batch = put(Table::Meta, b"a", b"1");
    assert!(matches!(store.write(batch, Durability::Buffered), Err(StoreError::Poisoned)));
    assert!(matches!(store.flush(), Err(StoreError::Poisoned)));
    assert_eq!(store.get(Table::Meta, b"a").unwrap(), None);
}

#[test]
fn checkpoints_are_databases_of_their_moment() {
    let dir = tempdir().unwrap();
    let store = open(&dir.path().join("node")).unwrap();
    store.write(put(Table::State, b"a", b"1"), Durability::Buffered).unwrap();
    let target = dir.path().join("copy");
    store.checkpoint(&target).unwrap();
    store.write(put(Table::State, b"a", b"2"), Durability::Synced).unwrap();
    let copy = open(&target).unwrap();
    assert_eq!(copy.get(Table::State, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(Table::State, b"a").unwrap(), Some(b"2".to_vec()));
    assert!(matches!(store.checkpoint(&target), Err(StoreError::Io { .. })));
}

#[test]
fn stats_follow_the_database() {
    let dir = flushed();
    let store = open(dir.path()).unwrap();
    let before = store.stats().unwrap();
    assert_eq!(before.cache_capacity_bytes, 1 << 20);
    assert!(before.file_bytes > u64::from(ROWS) * 32);
    assert_eq!((before.write_stopped, before.background_errors), (false, 0));
    store.write(put(Table::State, b"more", &[1; 100_000]), Durability::Buffered).unwrap();
    let after = store.stats().unwrap();
    assert!(after.memtable_bytes > before.memtable_bytes);
    assert_eq!(after.sequence, before.sequence + 1);
}

#[test]
fn multi_get_keeps_the_order_of_the_keys() {
    let dir = flushed();
    let store = open(dir.path()).unwrap();
    let wanted = [7_u32, 1_999, 3, 5_000_000, 3];
    let keys: Vec<[u8; 4]> = wanted.iter().map(|index| index.to_be_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(<[u8; 4]>::as_slice).collect();
    let expected: Vec<_> = wanted.iter().map(|index| (*index < ROWS).then(|| row(*index).1)).collect();
    assert_eq!(store.multi_get(Table::State, &keys).unwrap(), expected);
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff)], 0..4)
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::State), Just(Table::History), Just(Table::TxIndex)]
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(Table, Vec<u8>, Option<u8>)>, bool),
    Reopen,
    ToFiles,
    Read(Table, Vec<Vec<u8>>),
    Scan(Table, KeyRange, bool, usize),
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        Just(KeyRange::all()),
        key().prop_map(|start| KeyRange::from(&start)),
        key().prop_map(|prefix| KeyRange::prefix(&prefix)),
        (key(), key()).prop_map(|(start, end)| KeyRange::between(&start, &end)),
        (key(), key()).prop_map(|(prefix, last)| KeyRange::prefix(&prefix).after(&last)),
        (key(), key()).prop_map(|(prefix, last)| KeyRange::prefix(&prefix).before(&last)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let change = (table(), key(), proptest::option::of(any::<u8>()));
    prop_oneof![
        6 => (vec(change, 0..8), any::<bool>()).prop_map(|(changes, sync)| Step::Write(changes, sync)),
        1 => Just(Step::Reopen),
        1 => Just(Step::ToFiles),
        4 => (table(), vec(key(), 0..5)).prop_map(|(table, keys)| Step::Read(table, keys)),
        4 => (table(), range(), any::<bool>(), 0..6_usize)
            .prop_map(|(table, range, back, limit)| Step::Scan(table, range, back, limit)),
    ]
}

/// A batch over `changes`; built twice, since batches are consumed.
fn batch_of(changes: &[(Table, Vec<u8>, Option<u8>)]) -> Batch {
    let mut batch = Batch::new();
    for (table, key, value) in changes {
        match value {
            Some(value) => batch.put(*table, key.clone(), [*value]),
            None => batch.delete(*table, key.clone()),
        }
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Both stores give the same answers.
    #[test]
    fn same_as_the_store_in_memory(steps in vec(step(), 1..40)) {
        let dir = tempdir().unwrap();
        let memory = MemoryStore::new();
        let mut rocks = open(dir.path()).unwrap();
        for step in steps {
            match step {
                Step::Write(changes, sync) => {
                    let durability = if sync { Durability::Synced } else { Durability::Buffered };
                    memory.write(batch_of(&changes), durability).unwrap();
                    rocks.write(batch_of(&changes), durability).unwrap();
                }
                Step::Reopen => {
                    drop(rocks);
                    rocks = open(dir.path()).unwrap();
                }
                Step::ToFiles => {
                    for table in Table::ALL {
                        rocks.db.flush_cf(rocks.family(table).unwrap()).unwrap();
                    }
                }
                Step::Read(table, keys) => {
                    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                    let expected = memory.multi_get(table, &keys).unwrap();
                    prop_assert_eq!(&rocks.multi_get(table, &keys).unwrap(), &expected);
                    for (key, value) in keys.iter().zip(&expected) {
                        prop_assert_eq!(&rocks.get(table, key).unwrap(), value);
                    }
                }
                Step::Scan(table, range, back, limit) => {
                    let direction = if back { Direction::Backward } else { Direction::Forward };
                    prop_assert_eq!(
                        rocks.scan(table, &range, direction, limit).unwrap(),
                        memory.scan(table, &range, direction, limit).unwrap()
                    );
                }
            }
        }
        for table in [Table::State, Table::History, Table::TxIndex] {
            prop_assert_eq!(rows_of(&rocks, table).unwrap(), rows_of(&memory, table).unwrap());
        }
    }
}
