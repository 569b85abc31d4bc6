//! Kills at every step, and files that are not ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use chain_core::{
    crypto::{Hash, SecretKey},
    types::{Acknowledged, Address},
};
use tempfile::TempDir;

const CHAIN: ChainId = ChainId(Hash([1; 32]));

fn held(job: u64, leg: u32, units: u64) -> Held {
    let provider = Address::from_bytes([3; 32]);
    let said = Acknowledged { job: JobId::new(job), leg, provider, cumulative_units: Units::new(units) };
    Held { chain: CHAIN, ack: said.sign(&CHAIN, &SecretKey::from_seed(&[2; 32])), paid: Units::ZERO }
}

fn open(dir: &TempDir) -> Book {
    Book::open(dir.path(), CHAIN).unwrap()
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const LEG: LegOf = (JobId::new(7), 0);

#[test]
fn what_was_put_is_there_after_opening_again_and_what_was_removed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut book = open(&dir);
    for one in [held(7, 0, 5), held(7, 1, 1), held(10, 0, 9), held(7, 0, 6)] {
        book.put(one).unwrap();
    }
    book.remove((JobId::new(7), 1)).unwrap();
    book.remove((JobId::new(8), 1)).unwrap();
    let all: Vec<Held> = book.all().copied().collect();
    assert_eq!(all, [held(7, 0, 6), held(10, 0, 9)]);
    drop(book);
    assert_eq!(open(&dir).all().copied().collect::<Vec<_>>(), all);
    assert_eq!(names(&dir), ["10.0.json", "7.0.json", "lock"]);
}

#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new_one() {
    let mut seen = Vec::new();
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let mut book = open(&dir);
        book.put(held(7, 0, 5)).unwrap();
        book.stop_after(steps);
        let put = book.put(held(7, 0, 6));
        if put.is_err() {
            // Nothing counts any more, here least of all.
            assert_eq!(book.get(LEG), Some(&held(7, 0, 5)));
            book.steps_left = None;
            assert!(matches!(book.put(held(7, 0, 7)), Err(StoreError::Unknown(_))));
            assert!(matches!(book.remove(LEG), Err(StoreError::Unknown(_))));
        }
        drop(book);
        let book = open(&dir);
        seen.push((put.is_ok(), book.get(LEG).unwrap().units().get()));
        assert_eq!(names(&dir), ["7.0.json", "lock"]);
        if put.is_ok() {
            break;
        }
    }
    // Made, half, all, synced, renamed: the old one; not yet synced in its directory: the new one.
    let (old, new) = ((false, 5), (false, 6));
    assert_eq!(seen, [old, old, old, old, old, new, (true, 6)]);
}

#[test]
fn a_kill_after_any_byte_leaves_the_old_one() {
    let text = text(&held(7, 0, 6)).into_bytes();
    let dir = tempfile::tempdir().unwrap();
    open(&dir).put(held(7, 0, 5)).unwrap();
    for length in 0..=text.len() {
        fs::write(dir.path().join("7.0.new"), &text[..length]).unwrap();
        assert_eq!(open(&dir).get(LEG), Some(&held(7, 0, 5)), "{length}");
        assert_eq!(names(&dir), ["7.0.json", "lock"]);
    }
}

#[test]
fn a_file_in_its_place_that_is_cut_or_changed_is_never_believed() {
    let text = text(&held(7, 0, 6)).into_bytes();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("7.0.json");
    let opened = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Book::open(dir.path(), CHAIN)
    };
    assert!(opened(&text).is_ok());
    // The last byte is the line end.
    for length in 0..text.len() - 1 {
        assert!(matches!(opened(&text[..length]), Err(StoreError::Damaged { .. })), "{length}");
    }
    let changed = String::from_utf8(text.clone()).unwrap().replace("\"6\"", "\"60\"");
    assert!(matches!(opened(changed.as_bytes()), Err(StoreError::Damaged { .. })));
    assert!(matches!(opened(&[b' '; 5_000]), Err(StoreError::Damaged { .. })));
    fs::rename(&path, dir.path().join("7.1.json")).unwrap();
    fs::write(dir.path().join("7.1.json"), &text).unwrap();
    assert!(matches!(Book::open(dir.path(), CHAIN), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_directory_is_of_one_chain_and_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut book = open(&dir);
    book.put(held(7, 0, 5)).unwrap();
    assert!(matches!(Book::open(dir.path(), CHAIN), Err(StoreError::InUse(_))));
    drop(book);
    let other = ChainId(Hash([9; 32]));
    assert!(matches!(Book::open(dir.path(), other), Err(StoreError::OtherChain { found: CHAIN, .. })));
    fs::write(dir.path().join("README"), "others' files stay").unwrap();
    assert_eq!(open(&dir).all().count(), 1);
    assert!(dir.path().join("README").exists());
}

#[test]
fn a_kill_while_removing_leaves_it_or_not() {
    for (steps, there) in [(0, true), (1, false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut book = open(&dir);
        book.put(held(7, 0, 5)).unwrap();
        book.stop_after(steps);
        assert!(book.remove(LEG).is_err());
        drop(book);
        assert_eq!(open(&dir).get(LEG).is_some(), there, "{steps}");
    }
}
