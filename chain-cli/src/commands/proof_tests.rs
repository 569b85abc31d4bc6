//! What a proof file is, before it is believed.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn what_is_no_proof_fails_as_a_file() {
    for text in ["", "[]", "{}", r#"{"kind":"row"}"#, r#"{"kind":"other"}"#, r#"{"kind":"row","signed_tx":"0x"}"#] {
        assert!(parse_proof(text.as_bytes()).is_err(), "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proof.json");
    for content in [None, Some(String::new()), Some(" ".repeat(MAX_FILE_BYTES as usize + 1))] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        assert!(matches!(read_proof(&file), Err(CliError::Unproven { step: "file", .. })));
    }
}

#[test]
fn an_unusable_chain_spec_fails_as_genesis() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("genesis.json");
    for content in [None, Some("{}"), Some("{")] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        assert!(matches!(read_genesis(&file), Err(CliError::Unproven { step: "genesis", .. })));
    }
}
