//! Names, files in their directory, and what does not belong there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, os::unix::fs::PermissionsExt};

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::keys::{FileError, Seed};

fn passphrase() -> Passphrase {
    Passphrase::new(Zeroizing::new("correct horse".to_owned())).unwrap()
}

fn secret(byte: u8) -> Secret {
    Secret::Seed(Seed::new(Zeroizing::new([byte; 32])))
}

fn keystore() -> (tempfile::TempDir, Keystore) {
    let dir = tempfile::tempdir().unwrap();
    let keystore = Keystore::new(dir.path().join("chain").join("keys"));
    (dir, keystore)
}

fn create(keystore: &Keystore, name: &str, byte: u8) -> Result<KeyFile, KeyError> {
    keystore.create(&name.parse()?, &secret(byte), &passphrase(), KdfParams::CHEAP)
}

#[test]
fn names_are_plain() {
    let longest = "a".repeat(32);
    for good in ["a", "alice", "dev0", "a_b-c", "-", "0", &longest] {
        assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
    }
    let too_long = "a".repeat(33);
    for bad in
        ["", ".", "..", "../x", "a/b", "a\\b", "A", "a b", "a.json", "ä", "a\0", "a\n", "key:a", "~", "*", &too_long]
    {
        assert!(matches!(bad.parse::<KeyName>(), Err(KeyError::BadName(_))), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_name_leaves_the_directory(text in "\\PC{0,40}") {
        let keystore = Keystore::new("/keys".into());
        if let Ok(name) = text.parse::<KeyName>() {
            let path = keystore.path(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("/keys")));
            prop_assert_eq!(path.components().count(), 3);
        }
    }
}

#[test]
fn a_key_is_kept_privately_and_read_back() {
    let (_dir, keystore) = keystore();
    let made = create(&keystore, "alice", 1).unwrap();
    let name = made.name().clone();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&keystore.path(&name)), 0o600);
    assert_eq!(mode(keystore.directory()), 0o700);
    assert_eq!(keystore.read(&name).unwrap(), made);
    assert_eq!(read_key_file(&keystore.path(&name)).unwrap(), made);
    assert_eq!(made.unseal(&passphrase()).unwrap().seed().as_bytes(), &[1; 32]);
}

#[test]
fn a_taken_name_keeps_its_key() {
    let (_dir, keystore) = keystore();
    let made = create(&keystore, "alice", 1).unwrap();
    assert!(matches!(keystore.check_free(made.name()), Err(KeyError::File(FileError::Exists(_)))));
    assert!(matches!(create(&keystore, "alice", 2), Err(KeyError::File(FileError::Exists(_)))));
    assert_eq!(keystore.read(made.name()).unwrap(), made);
}

#[test]
fn a_file_open_to_others_is_not_read() {
    let (_dir, keystore) = keystore();
    let made = create(&keystore, "alice", 1).unwrap();
    let path = keystore.path(made.name());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(keystore.read(made.name()), Err(KeyError::File(FileError::FileOpenToOthers { .. }))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(keystore.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(keystore.read(made.name()), Err(KeyError::File(FileError::DirectoryOpenToOthers { .. }))));
    assert!(create(&keystore, "bob", 2).is_err());
}

#[test]
fn swapped_files_are_noticed() {
    let (_dir, keystore) = keystore();
    let alice = create(&keystore, "alice", 1).unwrap();
    let bob = create(&keystore, "bob", 2).unwrap();
    fs::rename(keystore.path(bob.name()), keystore.path(alice.name())).unwrap();
    assert!(matches!(keystore.read(alice.name()), Err(KeyError::NameMismatch { name, .. }) if name == "bob"));
    assert!(matches!(keystore.read(bob.name()), Err(KeyError::NoSuchKey { .. })));
}

#[test]
fn the_list_is_sorted_and_names_what_is_broken() {
    let (_dir, keystore) = keystore();
    assert!(keystore.list().unwrap().is_empty());
    for (name, byte) in [("carol", 3), ("alice", 1)] {
        create(&keystore, name, byte).unwrap();
    }
    for (file, content) in
        [("bob.json", "{}"), ("README", "x"), (".new-x", "x"), ("Bad Name.json", "x"), (".json", "x")]
    {
        files::create_private(&keystore.directory().join(file), content.as_bytes()).unwrap();
    }
    let list = keystore.list().unwrap();
    let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    assert!(matches!(list[1].1, Err(KeyError::Format { .. })));
    assert!(list[0].1.is_ok() && list[2].1.is_ok());
}

#[test]
fn an_endless_file_is_not_read() {
    let (_dir, keystore) = keystore();
    let made = create(&keystore, "alice", 1).unwrap();
    let path = keystore.directory().join("big.json");
    files::create_private(&path, &[made.to_bytes().unwrap(), vec![b' '; 4096]].concat()).unwrap();
    assert!(matches!(keystore.read(&"big".parse().unwrap()), Err(KeyError::File(FileError::TooLong { .. }))));
}

#[test]
fn the_directory_is_the_given_one_or_the_xdg_one() {
    let path = |text: &str| Some(PathBuf::from(text));
    let chosen = |given, config, home| Keystore::choose(given, config, home).map(|keystore| keystore.directory);
    assert_eq!(chosen(path("here"), path("/config"), path("/home")).unwrap(), Path::new("here"));
    assert_eq!(chosen(None, path("/config"), path("/home")).unwrap(), Path::new("/config/chain/keys"));
    assert_eq!(chosen(path(""), path("relative"), path("/home")).unwrap(), Path::new("/home/.config/chain/keys"));
    assert!(matches!(chosen(None, None, path("")), Err(KeyError::NoKeystoreDirectory)));
}
