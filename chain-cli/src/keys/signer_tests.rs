//! What `--from` can mean, and what it must not guess.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use zeroize::Zeroizing;

use super::*;
use crate::keys::{KdfParams, Secret, passphrase::Passphrase};

struct Fixture {
    dir: tempfile::TempDir,
    keystore: Keystore,
    accounts: PathBuf,
}

fn address(byte: u8) -> Address {
    Address::from_bytes(Seed::new(Zeroizing::new([byte; 32])).public_key())
}

fn entry(name: &str, byte: u8) -> String {
    let (address, secret) = (address(byte), hex::encode([byte; 32]));
    format!(r#"{{"name":"{name}","address":"{address}","secret_key":"{secret}","balance":"5"}}"#)
}

fn passphrase(text: &str) -> PassphraseSource {
    PassphraseSource::Given(Passphrase::new(Zeroizing::new(text.to_owned())).unwrap())
}

impl Fixture {
    /// Keys alice and both in the keystore, accounts dev0 and both in the devnet.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keystore = Keystore::new(dir.path().join("keys"));
        let accounts = accounts_file(dir.path());
        let fixture = Self { dir, keystore, accounts };
        fixture.write(&format!("[{},{}]", entry("dev0", 10), entry("both", 11)));
        for (name, byte) in [("alice", 1), ("both", 2)] {
            let secret = Secret::Seed(Seed::new(Zeroizing::new([byte; 32])));
            let passphrase = passphrase("pw").unlocking(name).unwrap();
            fixture.keystore.create(&name.parse().unwrap(), &secret, &passphrase, KdfParams::CHEAP).unwrap();
        }
        fixture
    }

    fn write(&self, accounts: &str) {
        fs::write(&self.accounts, accounts).unwrap();
    }

    fn resolve(&self, from: &str) -> Result<Signer, KeyError> {
        resolve_signer(from, &self.keystore, Some(&self.accounts), &passphrase("pw"))
    }
}

#[test]
fn every_spelling_finds_its_key() {
    let fixture = Fixture::new();
    let file = fixture.keystore.path(&"alice".parse().unwrap());
    for (from, byte, name) in [
        ("alice", 1, "alice"),
        ("key:alice", 1, "alice"),
        ("key:both", 2, "both"),
        ("dev0", 10, "dev0"),
        ("devnet:dev0", 10, "dev0"),
        ("devnet:both", 11, "both"),
        (file.to_str().unwrap(), 1, "alice"),
    ] {
        let signer = fixture.resolve(from).unwrap();
        assert_eq!(signer.seed().as_bytes(), &[byte; 32], "{from}");
        assert_eq!(signer.address(), address(byte));
        assert_eq!(signer.name(), name);
    }
}

#[test]
fn a_name_with_two_meanings_is_refused_with_the_remedy() {
    let error = Fixture::new().resolve("both").unwrap_err();
    assert!(matches!(error, KeyError::Ambiguous(_)));
    assert!(error.to_string().contains("key:both") && error.to_string().contains("devnet:both"));
}

#[test]
fn a_broken_key_file_still_makes_the_name_ambiguous() {
    let fixture = Fixture::new();
    fs::write(fixture.keystore.path(&"dev0".parse().unwrap()), "broken").unwrap();
    assert!(matches!(fixture.resolve("dev0"), Err(KeyError::Ambiguous(_))));
}

#[test]
fn an_unknown_name_tells_where_was_looked() {
    let fixture = Fixture::new();
    let message = fixture.resolve("nobody").unwrap_err().to_string();
    assert!(message.contains("keys") && message.contains("accounts.json"), "{message}");
    assert!(matches!(fixture.resolve("key:dev0"), Err(KeyError::NoSuchKey { .. })));
    assert!(matches!(fixture.resolve("devnet:alice"), Err(KeyError::NoSuchSigner { .. })));
    assert!(matches!(fixture.resolve("../keys"), Err(KeyError::File(_))));
    assert!(matches!(fixture.resolve("key:../alice"), Err(KeyError::BadName(_))));
    assert!(matches!(fixture.resolve("wallet:alice"), Err(KeyError::BadName(_))));
}

#[test]
fn a_wrong_passphrase_unlocks_nothing_and_a_devnet_needs_none() {
    let fixture = Fixture::new();
    let wrong = |from| resolve_signer(from, &fixture.keystore, Some(&fixture.accounts), &passphrase("no"));
    assert!(matches!(wrong("alice"), Err(KeyError::Locked(_))));
    assert_eq!(wrong("dev0").unwrap().address(), address(10));
}

#[test]
fn without_a_devnet_keys_are_still_found() {
    let fixture = Fixture::new();
    let missing = fixture.dir.path().join("none").join("accounts.json");
    for accounts in [None, Some(missing.as_path())] {
        let resolve = |from| resolve_signer(from, &fixture.keystore, accounts, &passphrase("pw"));
        assert_eq!(resolve("both").unwrap().address(), address(2));
        assert!(matches!(resolve("devnet:dev0"), Err(KeyError::NoSuchSigner { .. })));
    }
}

#[test]
fn an_unusable_accounts_file_is_refused_without_quoting_it() {
    let fixture = Fixture::new();
    let secret = hex::encode([10; 32]);
    let wrong_address = entry("dev0", 10).replace(&address(10).to_string(), &address(11).to_string());
    for content in [
        "not json".to_owned(),
        format!("[\"{secret}\"]"),
        format!("[{{\"name\":\"dev0\",\"address\":1,\"secret_key\":\"{secret}\"}}]"),
        format!("[{}]", entry("dev0", 10).replace(&secret, &secret[2..])),
        format!("[{},{}]", entry("dev0", 10), entry("dev0", 11)),
        format!("[{wrong_address}]"),
    ] {
        fixture.write(&content);
        let error = fixture.resolve("dev0").unwrap_err();
        assert!(matches!(error, KeyError::Accounts { .. }), "{content}: {error}");
        assert!(!format!("{error} {error:?}").contains(&secret[4..]));
    }
}

#[test]
fn debug_shows_no_secret() {
    let fixture = Fixture::new();
    let located = locate("dev0", &fixture.keystore, Some(&fixture.accounts)).unwrap();
    let shown = format!("{located:?} {:?}", fixture.resolve("alice").unwrap());
    assert!(!shown.contains("0a0a") && !shown.contains("10, 10") && !shown.contains("1, 1, 1"), "{shown}");
    let account = DevAccount { name: "n".into(), address: "a".into(), secret_key: "5ec2e7".into() };
    assert!(!format!("{account:?}").contains("5ec2e7"));
}

#[test]
fn a_nodes_key_is_found_by_its_file_and_by_the_nodes_name() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let node = fixture.dir.path().join("node-3");
    fs::create_dir(&node).unwrap();
    let file = node.join("validator_key");
    fs::write(&file, format!("{}\n", hex::encode([7; 32]))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for from in ["node-3", "devnet:node-3", file.to_str().unwrap()] {
        let signer = fixture.resolve(from).unwrap();
        assert_eq!((signer.seed().as_bytes(), signer.name()), (&[7; 32], from.trim_start_matches("devnet:")));
    }
    for absent in ["node-4", "node-", "node-3x", "devnet:node-3/..", "devnet:../node-3"] {
        assert!(
            matches!(fixture.resolve(absent), Err(KeyError::NoSuchSigner { .. } | KeyError::BadName(_))),
            "{absent}"
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    for from in ["node-3", file.to_str().unwrap()] {
        assert!(matches!(fixture.resolve(from), Err(KeyError::File(FileError::FileOpenToOthers { .. }))), "{from}");
    }
}
