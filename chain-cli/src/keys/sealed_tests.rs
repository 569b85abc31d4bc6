//! Sealing and opening, every single changed bit, bounds, the frozen format.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::keys::kdf::{MAX_LANES, MAX_MEMORY_KIB, MAX_PASSES};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn name() -> KeyName {
    "alice".parse().unwrap()
}

fn seed_secret() -> Secret {
    Secret::Seed(Seed::new(Zeroizing::new([7; 32])))
}

fn words_secret(account: u32) -> Secret {
    let words = Words::from_entropy(&[9; 32]).unwrap();
    Secret::Words { words, account: account.try_into().unwrap() }
}

fn sealed(secret: &Secret) -> KeyFile {
    KeyFile::seal(&name(), secret, &passphrase("correct horse"), KdfParams::CHEAP).unwrap()
}

#[test]
fn what_is_sealed_opens_again() {
    for secret in [seed_secret(), words_secret(0), words_secret(3)] {
        let file = KeyFile::parse(&sealed(&secret).to_bytes().unwrap()).unwrap();
        let opened = file.unseal(&passphrase("correct horse")).unwrap();
        assert_eq!(opened.bytes(), secret.bytes());
        assert_eq!(opened.seed().to_hex(), secret.seed().to_hex());
        assert_eq!(file.origin(), secret.origin());
        assert_eq!(file.public_key(), &secret.seed().public_key());
        assert_eq!(file.name(), &name());
    }
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let file = sealed(&seed_secret());
    for wrong in ["correct hors", "correct horse ", "Correct horse", "x"] {
        assert!(matches!(file.unseal(&passphrase(wrong)), Err(KeyError::Locked(name)) if name == "alice"));
    }
}

/// Every bit of every byte, header and ciphertext, white space and punctuation.
#[test]
fn every_changed_bit_is_refused() {
    let bytes = sealed(&words_secret(0)).to_bytes().unwrap();
    let right = passphrase("correct horse");
    let mut reached_the_tag = 0;
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << bit;
            if let Ok(file) = KeyFile::parse(&changed) {
                reached_the_tag += 1;
                assert!(matches!(file.unseal(&right), Err(KeyError::Locked(_))), "byte {index} bit {bit}");
            }
        }
    }
    assert!(reached_the_tag > 100, "the form alone must not have refused them all: {reached_the_tag}");
}

#[test]
fn cut_and_lengthened_files_are_refused() {
    let bytes = sealed(&seed_secret()).to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(KeyFile::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
    for extra in ["\n", " ", "{}", "\0"] {
        assert!(KeyFile::parse(&[&bytes, extra.as_bytes()].concat()).is_err());
    }
}

#[test]
fn another_spelling_is_refused() {
    let file = sealed(&seed_secret());
    let text = String::from_utf8(file.to_bytes().unwrap()).unwrap();
    let compact = serde_json::to_vec(&file).unwrap();
    assert_eq!(KeyFile::parse(&compact), Err(FormatError::NotCanonical));
    assert_eq!(KeyFile::parse(text.replace("alice", "\\u0061lice").as_bytes()), Err(FormatError::NotCanonical));
    let public = hex::encode(file.public_key());
    assert_eq!(
        KeyFile::parse(text.replace(&public, &public.to_uppercase()).as_bytes()),
        Err(FormatError::NotCanonical)
    );
    let extended = text.replacen("\"version\"", "\"note\": 1, \"version\"", 1);
    assert!(matches!(KeyFile::parse(extended.as_bytes()), Err(FormatError::NotAKeyFile { .. })));
    let twice = text.replacen("\"name\"", "\"name\": \"bob\", \"name\"", 1);
    assert!(matches!(KeyFile::parse(twice.as_bytes()), Err(FormatError::NotAKeyFile { .. })));
}

#[test]
fn a_newer_version_is_named() {
    let text = String::from_utf8(sealed(&seed_secret()).to_bytes().unwrap()).unwrap();
    let newer = text.replace("\"version\": 1,", "\"version\": 2, \"new\": true,");
    assert_eq!(KeyFile::parse(newer.as_bytes()), Err(FormatError::Version(2)));
}

#[test]
fn costs_out_of_bounds_are_refused_before_any_work() {
    let file = sealed(&seed_secret());
    let with = |change: &dyn Fn(&mut Kdf)| {
        let mut file = file.clone();
        change(&mut file.header.kdf);
        KeyFile::parse(&file.to_bytes().unwrap())
    };
    let refused = |result: Result<KeyFile, FormatError>, field: &str| match result {
        Err(FormatError::Kdf { field: named, .. }) => assert_eq!(named, field),
        other => panic!("{other:?}"),
    };
    refused(with(&|kdf| kdf.memory_kib = MAX_MEMORY_KIB + 1), "memory_kib");
    refused(with(&|kdf| kdf.memory_kib = u32::MAX), "memory_kib");
    refused(with(&|kdf| kdf.memory_kib = 7), "memory_kib");
    refused(with(&|kdf| kdf.lanes = 2), "memory_kib");
    refused(with(&|kdf| kdf.passes = 0), "passes");
    refused(with(&|kdf| kdf.passes = MAX_PASSES + 1), "passes");
    refused(with(&|kdf| kdf.lanes = 0), "lanes");
    refused(with(&|kdf| kdf.lanes = u32::MAX), "lanes");
    assert!(with(&|kdf| (kdf.memory_kib, kdf.passes, kdf.lanes) = (MAX_MEMORY_KIB, MAX_PASSES, MAX_LANES)).is_ok());
}

#[test]
fn a_new_key_costs_at_least_64_mib_to_guess() {
    for refused in [0, 1, 63, 1025, u32::MAX] {
        assert!(matches!(KdfParams::for_new_key(refused), Err(KeyError::KdfMemory(mib)) if mib == refused));
    }
    let kdf = Kdf::new(KdfParams::for_new_key(64).unwrap()).unwrap();
    assert_eq!((kdf.memory_kib, kdf.passes, kdf.lanes), (65536, 3, 1));
    assert!(KdfParams::for_new_key(1024).is_ok());
}

/// A program that sealed the wrong secret under a public key, with a tag that holds.
#[test]
fn a_secret_that_is_not_the_public_keys_is_refused() {
    let mut file = sealed(&seed_secret());
    file.header.public_key.0[0] ^= 1;
    let right = passphrase("correct horse");
    let key = file.header.kdf.key(&right).unwrap();
    let payload = Payload { msg: &[7; 32], aad: &serde_json::to_vec(&file.header).unwrap() };
    let sealed = XChaCha20Poly1305::new((&*key).into()).encrypt((&file.header.cipher.nonce.0).into(), payload).unwrap();
    file.ciphertext = HexBytes(sealed.try_into().unwrap());
    assert!(matches!(file.unseal(&right), Err(KeyError::WrongPublicKey(_))));
}

/// A file of version 1 as it was first written. Its secret was also opened with other implementations of Argon2 and
/// XChaCha20-Poly1305. If this test fails, people's keys no longer open: a new format needs a new version.
const FROZEN: &str = r#"{
  "header": {
    "version": 1,
    "name": "alice",
    "public_key": "9d8db283b2762586aac605dfa296b6573068c5d39220980dd18b1c9d6dd9c08d",
    "origin": {
      "bip39": {
        "account": 0
      }
    },
    "kdf": {
      "algorithm": "argon2id",
      "memory_kib": 65536,
      "passes": 3,
      "lanes": 1,
      "salt": "84986b55282db3f5d14f3f274f03d690"
    },
    "cipher": {
      "algorithm": "xchacha20poly1305",
      "nonce": "3121ef3dc516eaa25d098bb52e27d57eb8708d75e373886b"
    }
  },
  "ciphertext": "6c05d4c3416ea5dca3203da779171718c30645c3ba4717bbb368bf058bc0644413ca851e08f3b9cf6ccd735c4e26abb7"
}
"#;

#[test]
fn the_format_is_frozen() {
    let file = KeyFile::parse(FROZEN.as_bytes()).unwrap();
    let Secret::Words { words, account } = file.unseal(&passphrase("correct horse")).unwrap() else {
        panic!("words were sealed");
    };
    assert_eq!((*words.entropy(), u32::from(account)), ([0; 32], 0));
    assert_eq!(file.to_bytes().unwrap(), FROZEN.as_bytes());
}

#[test]
fn salt_and_nonce_are_fresh_and_the_secret_is_not_in_the_file() {
    let (one, other) = (sealed(&seed_secret()), sealed(&seed_secret()));
    assert_ne!(one.header.kdf.salt, other.header.kdf.salt);
    assert_ne!(one.header.cipher.nonce, other.header.cipher.nonce);
    assert_ne!(one.ciphertext, other.ciphertext);
    let text = String::from_utf8(one.to_bytes().unwrap()).unwrap();
    assert!(!text.contains(&hex::encode([7; 8])) && !text.contains("correct horse"));
    assert!((text.len() as u64) < MAX_FILE_BYTES / 2);
}

#[test]
fn debug_shows_no_secret() {
    for secret in [seed_secret(), words_secret(0)] {
        let shown = format!("{secret:?} {:?}", sealed(&secret));
        assert!(shown.contains("secret"));
        let entropy = secret.bytes();
        assert!(
            !shown.contains(&hex::encode(&entropy[..4])) && !shown.contains("7, 7, 7") && !shown.contains("9, 9, 9")
        );
        if let Secret::Words { words, .. } = &secret {
            assert!(
                words.iter().all(|word| !shown.split(|c: char| !c.is_alphabetic()).any(|part| part == word)),
                "{shown}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_secret_and_passphrase_round_trip(bytes: [u8; 32], text in "\\PC{1,40}") {
        let secret = Secret::Seed(Seed::new(Zeroizing::new(bytes)));
        let file = KeyFile::seal(&name(), &secret, &passphrase(&text), KdfParams::CHEAP).unwrap();
        let read = KeyFile::parse(&file.to_bytes().unwrap()).unwrap();
        prop_assert_eq!(*read.unseal(&passphrase(&text)).unwrap().seed().as_bytes(), bytes);
        let longer = passphrase(&(text + "x"));
        prop_assert!(read.unseal(&longer).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(KeyFile::parse(&bytes).is_err());
    }
}
