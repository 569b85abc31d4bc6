//! Which source wins, and what is no passphrase.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::ffi::OsStringExt;

use super::*;

fn from_file(content: &[u8]) -> Result<Passphrase, KeyError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passphrase");
    std::fs::write(&path, content).unwrap();
    PassphraseSource::File(path).unlocking("key")
}

#[test]
fn a_file_wins_over_the_variable_and_the_variable_over_asking() {
    let file = || Some(PathBuf::from("file"));
    let variable = || Some(OsString::from("variable"));
    assert!(matches!(PassphraseSource::choose(file(), variable()), Ok(PassphraseSource::File(_))));
    let given = PassphraseSource::choose(None, variable()).unwrap();
    assert_eq!(given.unlocking("key").unwrap().as_bytes(), b"variable");
    assert_eq!(given.choosing("key").unwrap().as_bytes(), b"variable");
    assert!(matches!(PassphraseSource::choose(None, None), Ok(PassphraseSource::Prompt)));
}

#[test]
fn an_unusable_variable_is_refused_and_not_replaced_by_asking() {
    assert!(matches!(PassphraseSource::choose(None, Some(OsString::new())), Err(PassphraseError::Empty)));
    let bytes = OsString::from_vec(vec![0xff]);
    assert!(matches!(PassphraseSource::choose(None, Some(bytes)), Err(PassphraseError::NotText)));
}

#[test]
fn a_file_loses_one_line_end_and_nothing_else() {
    for (content, expected) in
        [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a \n", " a "), ("ä", "ä")]
    {
        assert_eq!(from_file(content.as_bytes()).unwrap().as_bytes(), expected.as_bytes());
    }
}

#[test]
fn an_empty_or_endless_passphrase_is_refused() {
    for content in ["", "\n", "\r\n"] {
        assert!(matches!(from_file(content.as_bytes()), Err(KeyError::Passphrase(PassphraseError::Empty))));
    }
    assert!(from_file(&[b'x'; MAX_PASSPHRASE_BYTES]).is_ok());
    assert!(matches!(
        from_file(&[b'x'; MAX_PASSPHRASE_BYTES + 1]),
        Err(KeyError::Passphrase(PassphraseError::TooLong))
    ));
    assert!(matches!(from_file(&[b'x'; MAX_PASSPHRASE_BYTES + 9]), Err(KeyError::File(_))));
    assert!(matches!(from_file(&[0xff]), Err(KeyError::File(_))));
}

#[test]
fn debug_shows_nothing() {
    let source = PassphraseSource::choose(None, Some(OsString::from("hunter2"))).unwrap();
    assert!(!format!("{source:?}").contains("hunter2"));
}
