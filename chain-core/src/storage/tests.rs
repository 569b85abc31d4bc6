//! What holds for batches, ranges, and the stores in memory. RocksDB is compared with them in `rocks::tests`.

use super::faulty::{Fault, FaultyStore};
use super::memlog::MemLog;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn put(table: Table, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    batch
}

fn dump(store: &dyn Store) -> Vec<(Table, Row)> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        let collect = &mut |key: &[u8], value: &[u8]| {
            rows.push((table, (key.to_vec(), value.to_vec())));
            ControlFlow::Continue(())
        };
        store.for_each(table, collect).unwrap();
    }
    rows
}

#[test]
fn batch_is_sorted_and_the_last_change_of_a_row_counts() {
    let mut batch = Batch::new();
    batch.put(Table::State, b"b", b"1");
    batch.put(Table::Meta, b"z", b"2");
    batch.put(Table::State, b"a", b"3");
    batch.delete(Table::State, b"b");
    let mut later = put(Table::State, b"a", b"4");
    later.put(Table::State, b"a", b"5");
    batch.append(later);
    assert_eq!((batch.len(), batch.size_bytes()), (6, 11));
    let change =
        |table, key: &[u8], value: Option<&[u8]>| Change { table, key: key.to_vec(), value: value.map(<[u8]>::to_vec) };
    let expected = vec![
        change(Table::Meta, b"z", Some(b"2")),
        change(Table::State, b"a", Some(b"5")),
        change(Table::State, b"b", None),
    ];
    assert_eq!(batch.into_sorted(), expected);
}

#[test]
fn prefix_ends_where_the_prefix_ends() {
    let end = |prefix: &[u8]| KeyRange::prefix(prefix).end().map(<[u8]>::to_vec);
    assert_eq!(end(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(end(&[1, 0xff, 0xff]), Some(vec![2]));
    assert_eq!(end(&[0xff, 0xff]), None);
    assert_eq!(end(b""), None);
}

#[test]
fn pages_never_leave_the_range() {
    let range = KeyRange::between(b"c", b"f");
    assert_eq!(range.clone().after(b"a"), range);
    assert_eq!(range.clone().before(b"x"), range);
    assert_eq!(range.clone().after(b"d"), KeyRange::between(b"d\0", b"f"));
    assert_eq!(range.clone().before(b"d"), KeyRange::between(b"c", b"d"));
    assert!(range.before(b"c").is_empty());
    assert_eq!(KeyRange::all().before(b"d"), KeyRange::between(b"", b"d"));
}

#[test]
fn scan_bounds_and_order() {
    let store = MemoryStore::new();
    for key in [b"a", b"b", b"c", b"d"] {
        store.write(put(Table::State, key, key), Durability::Buffered).unwrap();
    }
    let keys = |range: &KeyRange, direction, limit| -> Vec<u8> {
        let rows = store.scan(Table::State, range, direction, limit).unwrap();
        rows.into_iter().flat_map(|(key, _)| key).collect()
    };
    assert_eq!(keys(&KeyRange::all(), Direction::Forward, 10), b"abcd");
    assert_eq!(keys(&KeyRange::all(), Direction::Backward, 2), b"dc");
    assert_eq!(keys(&KeyRange::between(b"b", b"d"), Direction::Forward, 10), b"bc");
    assert_eq!(keys(&KeyRange::between(b"b", b"d"), Direction::Backward, 10), b"cb");
    assert_eq!(keys(&KeyRange::between(b"d", b"b"), Direction::Forward, 10), b"");
    assert_eq!(keys(&KeyRange::all(), Direction::Forward, 0), b"");
    assert!(store.scan(Table::Meta, &KeyRange::all(), Direction::Forward, 9).unwrap().is_empty());
}

#[test]
fn dead_stores_answer_nothing() {
    for fault in Fault::ALL {
        let store = FaultyStore::failing_at(MemoryStore::new(), 1, fault);
        store.write(put(Table::Meta, b"a", b"1"), Durability::Synced).unwrap();
        let error = store.write(put(Table::Meta, b"a", b"2"), Durability::Synced).unwrap_err();
        assert_eq!(matches!(error, StoreError::Full(_)), fault == Fault::Full);
        assert!(store.is_dead());
        assert!(matches!(store.get(Table::Meta, b"a"), Err(StoreError::Poisoned)));
        assert!(matches!(store.flush(), Err(StoreError::Poisoned)));
        let expected = if fault == Fault::After { b"2" } else { b"1" };
        assert_eq!(store.into_inner().get(Table::Meta, b"a").unwrap().unwrap(), expected);
    }
}

/// A two-step money move, crashed at every write point: no crash may show half of a batch.
#[test]
fn crash_at_every_write_point_leaves_whole_batches() {
    let work = |store: &dyn Store| -> Result<(), StoreError> {
        for round in 0..5_u8 {
            let mut batch = put(Table::State, b"left", &[round]);
            batch.put(Table::State, b"right", [round]);
            store.write(batch, Durability::Buffered)?;
            store.write(put(Table::Meta, b"head", &[round]), Durability::Synced)?;
        }
        store.flush()
    };
    let counting = FaultyStore::counting(MemoryStore::new());
    work(&counting).unwrap();
    assert_eq!(counting.write_points(), 11);
    for point in 0..counting.write_points() {
        for fault in Fault::ALL {
            let store = FaultyStore::failing_at(MemoryStore::new(), point, fault);
            assert!(work(&store).is_err());
            let after = store.into_inner();
            after.crash();
            let left = after.get(Table::State, b"left").unwrap();
            assert_eq!(left, after.get(Table::State, b"right").unwrap());
            assert!(left >= after.get(Table::Meta, b"head").unwrap(), "head ahead of its rows");
        }
    }
}

#[test]
fn memory_log_loses_what_was_not_synced() {
    let mut log = MemLog::new();
    log.append(b"a").unwrap();
    log.sync().unwrap();
    log.append(b"b").unwrap();
    log.append(b"c").unwrap();
    assert_eq!((log.unsynced(), log.size_bytes()), (2, 3));
    log.crash_keeping(1);
    assert_eq!(log.records().collect::<Vec<_>>(), [b"a", b"b"]);
    log.append(b"d").unwrap();
    log.crash();
    assert_eq!(log.records().collect::<Vec<_>>(), [b"a", b"b"]);
    log.switch(&[b"x"]).unwrap();
    log.crash();
    assert_eq!(log.records().collect::<Vec<_>>(), [b"x"]);
    assert!(matches!(log.append(b""), Err(JournalError::RecordSize(0))));
}

fn arbitrary_batch() -> impl Strategy<Value = (Vec<(u8, Option<u8>)>, bool)> {
    (vec((0..8_u8, proptest::option::of(any::<u8>())), 0..6), any::<bool>())
}

proptest! {
    /// A crash shows exactly the batches up to the last synced one, plus the number that was kept.
    #[test]
    fn crash_keeps_a_prefix(batches in vec(arbitrary_batch(), 0..12), kept in 0..6_usize) {
        let store = MemoryStore::new();
        let mut history = vec![BTreeMap::new()]; // content after each batch
        let mut synced = 0;
        for (index, (changes, sync)) in batches.iter().enumerate() {
            let mut batch = Batch::new();
            let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = history[index].clone();
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        batch.put(Table::State, [*key], [*value]);
                        rows.insert(vec![*key], vec![*value]);
                    }
                    None => {
                        batch.delete(Table::State, [*key]);
                        rows.remove([*key].as_slice());
                    }
                }
            }
            history.push(rows);
            synced = if *sync { index + 1 } else { synced };
            let durability = if *sync { Durability::Synced } else { Durability::Buffered };
            store.write(batch, durability).unwrap();
        }
        prop_assert_eq!(store.unsynced(), batches.len() - synced);
        store.crash_keeping(kept);
        let expected = &history[batches.len().min(synced + kept)];
        let rows: Vec<Row> = dump(&store).into_iter().map(|(_, row)| row).collect();
        prop_assert_eq!(rows, expected.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(store.unsynced(), 0);
    }
}
