//! `chain keys`: make, import, list, show and export keys.
//!
//! Results go to standard output, as JSON with `--json`. New words and their warning go to standard error, so that
//! `chain keys new alice > log` keeps them out of the log; with `--json` they are part of the result, with
//! `--words-to` in a
//! file of mode 0600 and nowhere else. Not here: how keys are made and kept (`keys/`).

use std::{
    io::{BufRead, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use chain_core::types::Address;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::store::KeystoreArgs;
use crate::keys::{
    AccountIndex, KdfParams, KeyError, KeyFile, KeyName, Located, PassphraseError, Secret, Seed, Words, files,
    kdf::MIN_NEW_MEMORY_KIB, locate, resolve_signer, sealed,
};

/// Longest input of words or hexadecimal digits, in bytes; 24 words have at most 215 letters and spaces.
const MAX_SECRET_TEXT_BYTES: u64 = 1024;
/// Words in a row when shown to a person.
const WORDS_PER_ROW: usize = 4;

/// Arguments of `chain keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    action: KeysAction,
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// Make a key from 24 new words and show the words once
    New {
        /// Name of the key: a-z 0-9 _ -, up to 32 characters
        name: KeyName,
        /// Write the words to this new file (mode 0600) instead of showing them
        #[arg(long, value_name = "FILE")]
        words_to: Option<PathBuf>,
        #[command(flatten)]
        making: MakingArgs,
    },
    /// Keep a key made elsewhere: 24 words from the terminal or standard input, or a bare secret
    Import {
        /// Name of the key: a-z 0-9 _ -, up to 32 characters
        name: KeyName,
        /// File (mode 0600) with a 32-byte ed25519 seed as 64 hexadecimal digits
        #[arg(long, value_name = "FILE", conflicts_with = "account")]
        secret_hex_file: Option<PathBuf>,
        #[command(flatten)]
        making: MakingArgs,
    },
    /// List the keys and their addresses
    List,
    /// Show the address of a key or of a devnet account
    Show {
        /// Name of a key or devnet account; key:NAME or devnet:NAME if both have it; or a key file's path
        name: String,
        /// Unlock the key and prove that the address is really its own
        #[arg(long)]
        verify: bool,
    },
    /// Print the secret of a key: its words, or with --secret-hex its seed
    Export {
        /// Name of the key
        name: KeyName,
        /// Print the 32-byte ed25519 seed as hexadecimal digits
        #[arg(long)]
        secret_hex: bool,
        /// Yes, print the secret in clear
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct MakingArgs {
    /// Which account of the words: N in the path m/44'/1'/N'/0'
    #[arg(long, value_name = "N", default_value = "0", value_parser = account_index)]
    account: AccountIndex,
    /// Memory that each guess of the passphrase costs, in MiB (64 to 1024)
    #[arg(long, value_name = "MIB", default_value_t = MIN_NEW_MEMORY_KIB / 1024)]
    kdf_memory: u32,
}

fn account_index(text: &str) -> Result<AccountIndex, String> {
    let index: u32 = text.parse().map_err(|_| "not a number below 2^31".to_owned())?;
    AccountIndex::try_from(index).map_err(|error| error.to_string())
}

/// What a command reads from and writes to.
pub struct Console<'a> {
    /// Where words are read from; a terminal is asked instead.
    pub input: Option<&'a mut dyn BufRead>,
    /// Results.
    pub out: &'a mut dyn Write,
    /// What is said to the person beside the result.
    pub err: &'a mut dyn Write,
}

/// Runs `chain keys …` on the process's own streams.
///
/// # Errors
/// [`KeyError`], whose message is meant for the person.
pub fn run(args: &KeysArgs, store: &KeystoreArgs, json: bool) -> Result<(), KeyError> {
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    let mut stdin = stdin.lock();
    let console = Console {
        input: if is_terminal { None } else { Some(&mut stdin) },
        out: &mut std::io::stdout().lock(),
        err: &mut std::io::stderr().lock(),
    };
    run_on(args, store, json, console)
}

fn run_on(args: &KeysArgs, store: &KeystoreArgs, json: bool, mut console: Console<'_>) -> Result<(), KeyError> {
    let console = &mut console;
    match &args.action {
        KeysAction::New { name, words_to, making } => new(store, name, words_to.as_deref(), making, json, console),
        KeysAction::Import { name, secret_hex_file, making } => {
            import(store, name, secret_hex_file.as_deref(), making, json, console)
        }
        KeysAction::List => list(store, json, console),
        KeysAction::Show { name, verify } => show(store, name, *verify, json, console),
        KeysAction::Export { name, secret_hex, yes } => {
            if !yes {
                return Err(KeyError::ExportNeedsYes(name.to_string()));
            }
            export(store, name, *secret_hex, json, console)
        }
    }
}

fn new(
    store: &KeystoreArgs,
    name: &KeyName,
    words_to: Option<&Path>,
    making: &MakingArgs,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), KeyError> {
    let keystore = store.keystore()?;
    let cost = KdfParams::for_new_key(making.kdf_memory)?;
    keystore.check_free(name)?;
    if let Some(taken) = words_to.filter(|path| path.symlink_metadata().is_ok()) {
        return Err(files::FileError::Exists(taken.to_owned()).into());
    }
    let passphrase = store.passphrase()?.choosing(name.as_str())?;
    let words = Words::generate()?;
    let text = words.text();
    let secret = Secret::Words { words: words.clone(), account: making.account };
    let file = keystore.create(name, &secret, &passphrase, cost)?;
    let mut view = key_view(&file, Some(&keystore.path(name)));
    if let Some(path) = words_to {
        let line = Zeroizing::new(format!("{}\n", text.as_str()));
        files::create_private(path, line.as_bytes())
            .map_err(|source| KeyError::WordsNotWritten { name: name.to_string(), source })?;
        insert(&mut view, "words_file", path.display().to_string());
    }
    match (json, words_to) {
        (true, None) => print_json_with_secret(view, "words", &text, console),
        (true, Some(_)) => print_json(&view, console),
        (false, None) => {
            show_words(&words, console)?;
            print_human(&view, console)
        }
        (false, Some(_)) => print_human(&view, console),
    }
}

fn import(
    store: &KeystoreArgs,
    name: &KeyName,
    secret_hex_file: Option<&Path>,
    making: &MakingArgs,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), KeyError> {
    let keystore = store.keystore()?;
    let cost = KdfParams::for_new_key(making.kdf_memory)?;
    keystore.check_free(name)?;
    let secret = match secret_hex_file {
        Some(path) => {
            let bytes = files::read_private(path, MAX_SECRET_TEXT_BYTES)?;
            Secret::Seed(Seed::from_hex(files::text(&bytes, path)?)?)
        }
        None => Secret::Words { words: Words::parse(&read_words(console)?)?, account: making.account },
    };
    let passphrase = store.passphrase()?.choosing(name.as_str())?;
    let file = keystore.create(name, &secret, &passphrase, cost)?;
    print(&key_view(&file, Some(&keystore.path(name))), json, console)
}

fn read_words(console: &mut Console<'_>) -> Result<Zeroizing<String>, KeyError> {
    let Some(input) = console.input.as_deref_mut() else {
        let typed = rpassword::prompt_password("The 24 words (not shown): ").map_err(PassphraseError::NoTerminal)?;
        return Ok(Zeroizing::new(typed));
    };
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_TEXT_BYTES as usize + 1));
    input.take(MAX_SECRET_TEXT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn list(store: &KeystoreArgs, json: bool, console: &mut Console<'_>) -> Result<(), KeyError> {
    let keys = store.keystore()?.list()?;
    if json {
        let views = keys.iter().map(|(name, key)| match key {
            Ok(file) => key_view(file, None),
            Err(error) => json!({ "name": name, "error": error.to_string() }),
        });
        return print_json(&Value::Array(views.collect()), console);
    }
    for (name, key) in &keys {
        match key {
            Ok(file) => writeln!(console.out, "{name:<32}  {}", Address::from_bytes(*file.public_key()))?,
            Err(error) => writeln!(console.out, "{name:<32}  unusable: {error}")?,
        }
    }
    Ok(())
}

fn show(store: &KeystoreArgs, name: &str, verify: bool, json: bool, console: &mut Console<'_>) -> Result<(), KeyError> {
    let (keystore, accounts) = (store.keystore()?, store.accounts());
    let located = locate(name, &keystore, Some(&accounts))?;
    let mut view = match &located {
        Located::Key(file) => key_view(file, None),
        Located::Plain(signer) => account_view(signer.name(), &located.public_key()),
    };
    if verify {
        resolve_signer(name, &keystore, Some(&accounts), &store.passphrase()?)?;
        insert(&mut view, "verified", true);
    }
    print(&view, json, console)
}

fn export(
    store: &KeystoreArgs,
    name: &KeyName,
    secret_hex: bool,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), KeyError> {
    let file = store.keystore()?.read(name)?;
    let secret = file.unseal(&store.passphrase()?.unlocking(name.as_str())?)?;
    let (field, text) = match &secret {
        secret if secret_hex => ("secret_key", secret.seed().to_hex()),
        Secret::Words { words, .. } => ("words", words.text()),
        Secret::Seed(_) => return Err(KeyError::NoWords(name.to_string())),
    };
    if json {
        return print_json_with_secret(key_view(&file, None), field, &text, console);
    }
    writeln!(console.out, "{}", text.as_str())?;
    Ok(())
}

/// What is told of a key file: everything but its secret.
fn key_view(file: &KeyFile, path: Option<&Path>) -> Value {
    let mut view = account_view(file.name().as_str(), file.public_key());
    if let sealed::Origin::Bip39 { account } = file.origin() {
        insert(&mut view, "path", account.path());
    }
    if let Some(path) = path {
        insert(&mut view, "file", path.display().to_string());
    }
    view
}

fn account_view(name: &str, public_key: &[u8; 32]) -> Value {
    json!({
        "name": name,
        "address": Address::from_bytes(*public_key),
        "public_key": format!("0x{}", hex::encode(public_key)),
    })
}

fn insert(view: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = view {
        fields.insert(field.to_owned(), value.into());
    }
}

fn print(view: &Value, json: bool, console: &mut Console<'_>) -> Result<(), KeyError> {
    if json { print_json(view, console) } else { print_human(view, console) }
}

fn print_json(view: &Value, console: &mut Console<'_>) -> Result<(), KeyError> {
    serde_json::to_writer_pretty(&mut *console.out, view)?;
    writeln!(console.out)?;
    Ok(())
}

/// The secret is written beside the view, not put into it: a `Value` would keep a copy that is not wiped.
fn print_json_with_secret(view: Value, field: &str, secret: &str, console: &mut Console<'_>) -> Result<(), KeyError> {
    #[derive(serde::Serialize)]
    struct WithSecret<'a> {
        #[serde(flatten)]
        view: &'a Value,
        #[serde(flatten)]
        secret: std::collections::BTreeMap<&'a str, &'a str>,
    }
    let whole = WithSecret { view: &view, secret: [(field, secret)].into() };
    serde_json::to_writer_pretty(&mut *console.out, &whole)?;
    writeln!(console.out)?;
    Ok(())
}

fn print_human(view: &Value, console: &mut Console<'_>) -> Result<(), KeyError> {
    for (field, value) in view.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        writeln!(console.out, "{:<12}{text}", field.replace('_', " "))?;
    }
    Ok(())
}

fn show_words(words: &Words, console: &mut Console<'_>) -> Result<(), KeyError> {
    writeln!(console.err, "Write these 24 words down, in order, and keep them where nobody else can read them.")?;
    writeln!(
        console.err,
        "Whoever has them has the key; without them a lost key file or passphrase is lost for good.\n"
    )?;
    let words: Vec<&str> = words.iter().collect();
    for (row, words) in words.chunks(WORDS_PER_ROW).enumerate() {
        for (column, word) in words.iter().enumerate() {
            write!(console.err, "  {:>2}. {word:<8}", row * WORDS_PER_ROW + column + 1)?;
        }
        writeln!(console.err)?;
    }
    writeln!(console.err)?;
    Ok(())
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
