//! The commands from their arguments to their output, with the real cost of a new key.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fs, os::unix::fs::PermissionsExt};

use clap::Parser;

use super::*;

const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";
const SEED_OF_WORDS: &str = "e004d342e33e5ce693bab473da2d401c7b0dbddb95bfc3c0f39a50c8cabafca1";

#[derive(Debug, Parser)]
struct Cli {
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    store: KeystoreArgs,
    #[command(flatten)]
    keys: KeysArgs,
}

struct Home(tempfile::TempDir);

struct Ran {
    result: Result<(), KeyError>,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert!(self.result.is_ok(), "{:?}", self.result);
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.path("passphrase"), "correct horse\n").unwrap();
        home
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs `chain keys LINE` with `input` on standard input.
    fn run(&self, line: &str, input: &str) -> Ran {
        let places = [
            "--keystore",
            &self.path("keys"),
            "--passphrase-file",
            &self.path("passphrase"),
            "--devnet-dir",
            &self.path("devnet"),
        ];
        let line: Vec<String> =
            line.split(' ').map(|word| word.replace("HOME", self.0.path().to_str().unwrap())).collect();
        let args = ["keys"].into_iter().chain(places).chain(line.iter().map(String::as_str));
        let cli = Cli::try_parse_from(args).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let console = Console { input: Some(&mut input.as_bytes()), out: &mut out, err: &mut err };
        let result = run_on(&cli.keys, &cli.store, cli.json, console);
        Ran { result, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }
}

#[test]
fn a_new_key_shows_its_words_once_and_only_to_the_person() {
    let home = Home::new();
    let ran = home.run("new alice", "");
    ran.result.unwrap();
    assert!(ran.out.contains("ait1") && ran.err.contains("24."));
    let exported = home.run("export alice --yes", "").out;
    let words: Vec<&str> = exported.split_whitespace().collect();
    assert_eq!(words.len(), 24);
    for (index, word) in words.iter().enumerate() {
        assert!(ran.err.contains(&format!("{:>2}. {word}", index + 1)));
    }
    assert!(!ran.out.split_whitespace().any(|part| part == words[0]));
    assert!(!home.run("show alice", "").out.contains(words[23]));
}

#[test]
fn a_new_keys_words_make_the_same_key_again() {
    let home = Home::new();
    let made = home.run("new alice --account 5 --json", "").json();
    assert_eq!(made["path"], "m/44'/1'/5'/0'");
    let words = made["words"].as_str().unwrap();
    let again = home.run("import again --account 5 --json", words).json();
    assert_eq!(again["address"], made["address"]);
    assert!(again.get("words").is_none());
}

#[test]
fn words_go_to_a_private_file_if_told_so() {
    let home = Home::new();
    let ran = home.run("new alice --words-to HOME/words --json", "");
    let view = ran.json();
    assert!(view.get("words").is_none() && ran.err.is_empty());
    assert_eq!(view["words_file"], home.path("words"));
    assert_eq!(fs::metadata(home.path("words")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(home.path("words")).unwrap(), home.run("export alice --yes", "").out);
    // The file stays, and no key is made whose words have no place.
    let refused = home.run("new bob --words-to HOME/words", "");
    assert!(matches!(refused.result, Err(KeyError::File(files::FileError::Exists(_)))));
    assert!(matches!(home.run("show bob", "").result, Err(KeyError::NoSuchSigner { .. })));
    // A place that turns out unusable after the key was made does not lose the words.
    let unwritten = home.run("new carol --words-to HOME/none/words", "").result.unwrap_err();
    assert!(matches!(unwritten, KeyError::WordsNotWritten { .. }));
    assert_eq!(home.run("export carol --yes", "").out.split_whitespace().count(), 24);
}

#[test]
fn imported_words_are_the_known_key() {
    let home = Home::new();
    home.run("import alice", WORDS).result.unwrap();
    assert_eq!(home.run("export alice --yes --secret-hex", "").out.trim(), SEED_OF_WORDS);
    assert_eq!(home.run("export alice --yes", "").out.trim(), WORDS);
    let view = home.run("export alice --yes --json", "").json();
    assert_eq!((view["words"].as_str(), view["path"].as_str()), (Some(WORDS), Some("m/44'/1'/0'/0'")));
    // The same key as a bare secret has the same address and no words.
    files::create_private(Path::new(&home.path("hex")), format!("0x{SEED_OF_WORDS}\n").as_bytes()).unwrap();
    let bare = home.run("import bare --secret-hex-file HOME/hex --json", "").json();
    assert_eq!(bare["address"], view["address"]);
    assert!(matches!(home.run("export bare --yes", "").result, Err(KeyError::NoWords(_))));
    assert_eq!(home.run("export bare --yes --secret-hex", "").out.trim(), SEED_OF_WORDS);
}

#[test]
fn bad_imports_make_no_key() {
    let home = Home::new();
    assert!(matches!(home.run("import a", "abandon").result, Err(KeyError::Mnemonic(_))));
    assert!(matches!(home.run("import a", &"abandon ".repeat(24)).result, Err(KeyError::Mnemonic(_))));
    fs::write(home.path("hex"), SEED_OF_WORDS).unwrap();
    fs::set_permissions(home.path("hex"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = home.run("import a --secret-hex-file HOME/hex", "").result;
    assert!(matches!(open, Err(KeyError::File(files::FileError::FileOpenToOthers { .. }))));
    fs::remove_file(home.path("hex")).unwrap();
    files::create_private(Path::new(&home.path("hex")), &SEED_OF_WORDS.as_bytes()[2..]).unwrap();
    assert!(matches!(home.run("import a --secret-hex-file HOME/hex", "").result, Err(KeyError::SecretHex)));
    assert_eq!(home.run("list --json", "").json(), json!([]));
}

#[test]
fn a_cheap_key_is_refused() {
    let home = Home::new();
    for line in ["new a --kdf-memory 63", "import a --kdf-memory 1", "new a --kdf-memory 4194304"] {
        assert!(matches!(home.run(line, WORDS).result, Err(KeyError::KdfMemory(_))));
    }
    assert_eq!(home.run("list", "").out, "");
}

#[test]
fn export_must_be_meant_and_unlocked() {
    let home = Home::new();
    home.run("import alice", WORDS).result.unwrap();
    let ran = home.run("export alice", "");
    assert!(matches!(ran.result, Err(KeyError::ExportNeedsYes(_))) && ran.out.is_empty());
    fs::write(home.path("passphrase"), "wrong").unwrap();
    for line in ["export alice --yes", "export alice --yes --secret-hex --json", "show alice --verify"] {
        let ran = home.run(line, "");
        assert!(matches!(ran.result, Err(KeyError::Locked(_))) && ran.out.is_empty(), "{line}");
    }
}

#[test]
fn list_and_show_tell_addresses_without_a_passphrase() {
    let home = Home::new();
    let made = home.run("import alice --json", WORDS).json();
    assert_eq!(home.run("show alice --verify --json", "").json()["verified"], true);
    fs::remove_file(home.path("passphrase")).unwrap();
    let address = made["address"].as_str().unwrap();
    assert!(home.run("list", "").out.contains(address));
    assert_eq!(home.run("list --json", "").json()[0]["address"], address);
    assert!(home.run("show alice", "").out.contains(address));
    fs::write(home.path("keys/bad.json"), "{}").unwrap();
    fs::set_permissions(home.path("keys/bad.json"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(home.run("list", "").out.contains("unusable"));
    assert!(home.run("list --json", "").json()[1]["error"].is_string());
}

#[test]
fn show_knows_devnet_accounts() {
    let home = Home::new();
    let address = Address::from_bytes(Seed::new(Zeroizing::new([3; 32])).public_key()).to_string();
    fs::create_dir(home.path("devnet")).unwrap();
    let accounts = json!([{ "name": "dev0", "address": address, "secret_key": hex::encode([3; 32]) }]);
    fs::write(home.path("devnet/accounts.json"), accounts.to_string()).unwrap();
    for line in ["show dev0 --json", "show devnet:dev0 --json --verify"] {
        assert_eq!(home.run(line, "").json()["address"], address.as_str());
    }
}

#[test]
fn an_empty_passphrase_is_refused() {
    let home = Home::new();
    fs::write(home.path("passphrase"), "\n").unwrap();
    for line in ["new a", "import a"] {
        assert!(matches!(home.run(line, WORDS).result, Err(KeyError::Passphrase(PassphraseError::Empty))));
    }
}

#[test]
fn unusable_arguments_are_refused_by_the_parser() {
    for line in [
        "keys new ../x",
        "keys new Alice",
        "keys new a --account 2147483648",
        "keys import a --secret-hex-file f --account 1",
        "keys export a/b --yes",
        "keys",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
