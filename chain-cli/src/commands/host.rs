//! The spellings operators of hosts know: `register-node`, `registration-status`, `update-registration`, on one
//! chain or on all that are configured. The key is HOST_PRIVATE_KEY, from the environment or a `.env` file; it is never
//! printed.
//!
//! Chains have names in a file, `chains.toml` beside the keystore's directory, `CHAIN_CHAINS` or `--chains`:
//!
//! ```toml
//! [chains]
//! main = "https://node.example.org"
//! ```
//!
//! Not here: the same with names of keys, and all else a provider does (`provider`).

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chain_core::{
    crypto::Hash,
    state::market::provider::ProviderState,
    tx::{Action, provider::Action as Provider},
    types::{Address, ModelId},
};
use chain_rpc::view::{Bytes, ProfileView, ProviderView, SendParams};
use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::provider::{profile_of, state};
use crate::{
    app::App,
    error::{Answer, CliError, bad_end, reason_text},
    keys::{KeyError, Seed},
    market::{models_meant, when},
    node::Node,
    output::{count, money, print_line},
    send::{SendArgs, Signers, build},
    wait::wait,
};

/// What the key is called.
const KEY: &str = "HOST_PRIVATE_KEY";

/// On which chains, and with which key.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").required(true))]
pub struct HostArgs {
    /// On this chain, by its name in chains.toml; with --rpc URL any name that is not there
    #[arg(long, value_name = "NAME", group = "where")]
    chain: Option<String>,
    /// On all chains of chains.toml
    #[arg(long, group = "where")]
    all_chains: bool,
    /// The file with the chains' URLs [default: chains.toml beside the keystore's directory]
    #[arg(long, value_name = "FILE", env = "CHAIN_CHAINS")]
    chains: Option<PathBuf>,
    /// Where HOST_PRIVATE_KEY is if the environment has none
    #[arg(long, value_name = "FILE", default_value = ".env")]
    env_file: PathBuf,
}

/// How transactions are sent.
#[derive(Debug, Args)]
struct Sending {
    /// Say what would happen, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Give up waiting for a chain after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// What need not be said.
#[derive(Debug, Args)]
struct Details {
    /// Where its machines are
    #[arg(long)]
    region: Option<String>,
    /// What they are
    #[arg(long)]
    hardware: Option<String>,
    /// Whatever else, up to 2 KiB
    #[arg(long)]
    metadata: Option<String>,
}

/// Arguments of `chain register-node`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// What people call the host
    #[arg(long)]
    name: String,
    /// Where it answers
    #[arg(long, value_name = "URL")]
    api_url: String,
    /// What it serves, by id, repo/file or repo:file; separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    models: Vec<String>,
    /// Its class of performance
    #[arg(long, value_name = "TIER", default_value = "standard")]
    performance_tier: String,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    sending: Sending,
}

/// Arguments of `chain update-registration`; what is not named stays.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// What people call the host
    #[arg(long)]
    name: Option<String>,
    /// Where it answers
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// What it serves from now on, by id, repo/file or repo:file; separated by commas
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Its class of performance
    #[arg(long, value_name = "TIER")]
    performance_tier: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    sending: Sending,
}

/// Arguments of `chain registration-status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Whose, by name or address [default: HOST_PRIVATE_KEY's]
    #[arg(long, value_name = "NAME|ADDRESS")]
    provider: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

/// The host's key and account.
struct Host {
    address: Address,
    signers: Signers,
}

/// What became of one chain.
struct Done {
    /// What it is called in documents.
    status: &'static str,
    /// In words.
    text: String,
    /// More for programs.
    more: Value,
}

/// Runs `chain register-node`.
pub async fn register(app: &App, args: &RegisterArgs) -> Answer<()> {
    let host = host(&args.host)?;
    each(app, &args.host, async |node| {
        let models = models_meant(node, &args.models).await?;
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        let profile = ProfileView {
            name: args.name.clone(),
            endpoint: args.api_url.clone(),
            region: or_nothing(&args.details.region),
            hardware: or_nothing(&args.details.hardware),
            encryption_key: Hash::ZERO,
            class: args.performance_tier.clone(),
            metadata: args.details.metadata.clone().unwrap_or_else(|| "{}".into()),
            models,
        };
        if let Some(known) = known(node, host.address).await?.filter(|known| known.state != ProviderState::Gone) {
            return already(&known, &profile);
        }
        let action = Provider::ProviderRegister { profile: profile_of(&profile)?, payout: None, operator: None };
        carry_out(node, &host, &args.sending, action, "registered").await
    })
    .await
}

/// Runs `chain update-registration`.
pub async fn update(app: &App, args: &UpdateArgs) -> Answer<()> {
    let host = host(&args.host)?;
    each(app, &args.host, async |node| {
        let known = known(node, host.address).await?.ok_or_else(not_registered)?;
        let before = known.profile.clone().ok_or_else(not_registered)?;
        let models = models_meant(node, &args.models).await?;
        let profile = changed(args, before.clone(), models);
        if profile == before {
            return Ok(Done { status: "unchanged", text: "nothing to change".into(), more: json!({}) });
        }
        let payout = Some(known.payout).filter(|to| *to != host.address);
        let profile = profile_of(&profile)?;
        let action = Provider::ProviderUpdate { profile, payout, operator: known.operator };
        carry_out(node, &host, &args.sending, action, "updated").await
    })
    .await
}

/// Runs `chain registration-status`.
pub async fn status(app: &App, args: &StatusArgs) -> Answer<()> {
    let address = match &args.provider {
        Some(name) => app.address(name)?,
        None => host(&args.host)?.address,
    };
    each(app, &args.host, async |node| {
        let known = known(node, address).await?.filter(|known| known.state != ProviderState::Gone);
        let known = known.ok_or_else(not_registered)?;
        let market = node.client.get_market().await?;
        let (token, seen) = (node.token(market.stake_asset).await?, when(known.last_seen, market.now));
        let name = known.profile.as_ref().map(|profile| profile.name.clone()).unwrap_or_default();
        let open = count(known.open_jobs.into(), "open job");
        let bond = money(&token, known.bond);
        let text = format!("{}, \"{name}\", number {}, seen {seen}, {open}, bonded {bond}", state(&known), known.id);
        Ok(Done { status: state(&known), text, more: json!({ "provider": known }) })
    })
    .await
}

fn not_registered() -> CliError {
    CliError::Failed("not registered; `chain register-node` does that".into())
}

/// What the update leaves, with what it names.
fn changed(args: &UpdateArgs, before: ProfileView, models: Vec<ModelId>) -> ProfileView {
    let keep = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
    ProfileView {
        name: keep(&args.name, before.name),
        endpoint: keep(&args.api_url, before.endpoint),
        region: keep(&args.details.region, before.region),
        hardware: keep(&args.details.hardware, before.hardware),
        encryption_key: before.encryption_key,
        class: keep(&args.performance_tier, before.class),
        metadata: keep(&args.details.metadata, before.metadata),
        models: if models.is_empty() { before.models } else { models },
    }
}

/// Registering again changes nothing: it is done already, or refused with what to do instead.
fn already(known: &ProviderView, wished: &ProfileView) -> Answer<Done> {
    match (known.state, &known.profile) {
        (ProviderState::Active, Some(profile)) if profile == wished => {
            let text = format!("registered already, number {}; nothing to do", known.id);
            Ok(Done { status: "already_registered", text, more: json!({ "id": known.id }) })
        }
        (ProviderState::Active, _) => {
            Err(CliError::Failed("registered already, with other data; `chain update-registration` changes it".into()))
        }
        _ => Err(CliError::Failed(format!(
            "{}: its bond is withdrawn first (`chain provider bond-withdraw`), then it can register again",
            state(known)
        ))),
    }
}

/// The provider at an account, if there ever was one.
async fn known(node: &Node, address: Address) -> Answer<Option<ProviderView>> {
    match node.client.get_provider(address).await {
        Ok(view) => Ok(Some(view)),
        Err(error) if error.refusal().is_some_and(|refused| refused.data.reason == "unknown_provider") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn carry_out(node: &Node, host: &Host, how: &Sending, action: Provider, status: &'static str) -> Answer<Done> {
    let checked = {
        let args = SendArgs::default();
        build(node, &args, (host.address, &host.signers), None, |_| Ok(vec![Action::Provider(action)])).await?
    };
    let native = node.native().await?;
    if how.dry_run {
        let params = SendParams { signed_tx: Some(Bytes(checked.bytes().to_vec())), ..SendParams::default() };
        let simulated = node.client.simulate_tx(&params).await?;
        if let Some(reason) = simulated.outcome.reason {
            return Err(CliError::Failed(format!("it would be refused: {}", reason_text(&reason))));
        }
        let fee = money(&native, simulated.outcome.fee);
        let text = format!("dry run: would be {status}, fee {fee}; nothing was sent");
        return Ok(Done { status: "dry_run", text, more: json!({ "would_be": status, "fee": simulated.outcome.fee }) });
    }
    let sent = node.client.send_raw(checked.bytes()).await?;
    if sent.tx_id != checked.id() {
        return Err(CliError::Failed(format!("the node calls the transaction {}, it is {}", sent.tx_id, checked.id())));
    }
    let view = wait(node, sent.tx_id, Duration::from_secs(how.timeout)).await?;
    if let Some(error) = bad_end(&view) {
        return Err(error);
    }
    let height = view.height.unwrap_or_default();
    let text = format!("{status} as {} in block {height}, tx {}", host.address, sent.tx_id);
    Ok(Done { status, text, more: json!({ "provider": host.address, "height": height, "tx_id": sent.tx_id }) })
}

/// Does something on every chain that is meant, one line for each; an error at the end if it failed on any.
async fn each(app: &App, args: &HostArgs, act: impl AsyncFn(&Node) -> Answer<Done>) -> Answer<()> {
    let (chains, mut failed) = (meant(app, args)?, 0u64);
    let all = chains.len() as u64;
    for (name, url) in &chains {
        let done = match Node::connect(url, app.node.chain_id).await {
            Ok(node) => act(&node).await,
            Err(error) => Err(error),
        };
        let (status, text, more) = match done {
            Ok(Done { status, text, more }) => (status, text, more),
            Err(error) if error.is_closed_pipe() => return Err(error),
            Err(error) => {
                failed += 1;
                (
                    "failed",
                    format!("failed: {error}"),
                    error.document().unwrap_or_else(|| json!({ "error": error.to_string() })),
                )
            }
        };
        let document = json!({ "chain": name, "status": status, "result": more });
        print_line(app.json, &document, || format!("{name}: {text}"))?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(CliError::Told(format!("failed on {failed} of {}", count(all, "chain")))),
    }
}

/// The chains' names and URLs.
fn meant(app: &App, args: &HostArgs) -> Answer<Vec<(String, String)>> {
    let path = match &args.chains {
        Some(path) => path.clone(),
        None => {
            let keys = app.store.keystore()?;
            keys.directory().parent().unwrap_or(Path::new(".")).join("chains.toml")
        }
    };
    let shown = path.display();
    let Some(name) = &args.chain else {
        // One URL, one id can't be those of several chains.
        return match app.node.chain_id {
            Some(_) => Err(CliError::Usage("--chain-id is of one chain: name it with --chain".into())),
            None => Ok(read_chains(&path)?.into_iter().collect()),
        };
    };
    if let Some(url) = &app.node.rpc {
        let known = if path.exists() { read_chains(&path)? } else { BTreeMap::new() };
        return match known.get(name).filter(|other| *other != url) {
            Some(other) => {
                let why = format!("{name} is {other} in {shown}, but --rpc or CHAIN_RPC says {url}");
                Err(CliError::Usage(why))
            }
            None => Ok(vec![(name.clone(), url.clone())]),
        };
    }
    let known = read_chains(&path)?;
    match known.get(name) {
        Some(url) => Ok(vec![(name.clone(), url.clone())]),
        None => {
            let names: Vec<_> = known.keys().cloned().collect();
            Err(CliError::Usage(format!("{shown} has no chain {name}; it has {}", names.join(", "))))
        }
    }
}

/// The file with the chains.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainsFile {
    chains: BTreeMap<String, String>,
}

fn read_chains(path: &Path) -> Answer<BTreeMap<String, String>> {
    let bad = |why: &dyn std::fmt::Display| CliError::Usage(format!("{}: {why}", path.display()));
    let hint = "write the chains' URLs into it, or name a node with --rpc";
    let text = fs::read_to_string(path).map_err(|error| bad(&format_args!("{error}; {hint}")))?;
    let file: ChainsFile = toml::from_str(&text).map_err(|error| bad(&error))?;
    match file.chains.is_empty() {
        true => Err(bad(&"it names no chain")),
        false => Ok(file.chains),
    }
}

fn host(args: &HostArgs) -> Answer<Host> {
    let given = std::env::var(KEY).ok().filter(|text| !text.is_empty()).map(Zeroizing::new);
    let text = match given {
        Some(text) => text,
        None => from_file(&args.env_file)?,
    };
    let bad = |_: KeyError| CliError::Usage(format!("{KEY} is not a 32-byte secret as 64 hexadecimal digits"));
    let seed = Seed::from_hex(&text).map_err(bad)?;
    Ok(Host { address: Address::from_bytes(seed.public_key()), signers: Signers::One(seed.secret_key()) })
}

/// The key out of a file of the environment. Nothing of its content is in an error.
fn from_file(path: &Path) -> Answer<Zeroizing<String>> {
    let shown = path.display();
    let bad =
        |why: &dyn std::fmt::Display| CliError::Usage(format!("{KEY} is not in the environment, and {shown}: {why}"));
    let mode = fs::metadata(path).map_err(|error| bad(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        eprintln!("warning: others can read {shown} (mode {:o}), and with it the key: chmod 600 {shown}", mode & 0o777);
    }
    let lines = dotenvy::from_path_iter(path).map_err(|_| bad(&"it can't be read"))?;
    let mut found = None;
    for line in lines {
        // The library's error quotes the line.
        let (name, value) = line.map_err(|_| bad(&"a line of it is not NAME=value"))?;
        let value = Zeroizing::new(value);
        if name == KEY {
            found = Some(value);
        }
    }
    found.ok_or_else(|| bad(&format_args!("it has no {KEY}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read_and_never_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        let write = |text: &str| fs::write(&path, text).unwrap();
        let secret = "ab".repeat(32);
        write(&format!("# mine\nOTHER=1\n{KEY}=\"0x{secret}\"\n"));
        assert_eq!(from_file(&path).unwrap().as_str(), format!("0x{secret}"));
        for text in
            [format!("OTHER={secret}\n"), format!("{KEY} {secret}\n"), format!("{KEY}='{secret}\n"), String::new()]
        {
            write(&text);
            let error = from_file(&path).unwrap_err().to_string();
            assert!(!error.contains("abab") && error.contains(KEY), "{error}");
        }
        assert!(from_file(&dir.path().join("none")).is_err());
    }

    #[test]
    fn chains_are_read_strictly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chains.toml");
        fs::write(&path, "[chains]\nb = \"http://b:1\"\na = \"http://a:1\"\n").unwrap();
        let names: Vec<_> = read_chains(&path).unwrap().into_keys().collect();
        assert_eq!(names, ["a", "b"]);
        for bad in ["", "[chains]\n", "[chain]\na = \"x\"", "[chains]\na = 1", "[chains]\n[other]\n"] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(read_chains(&path), Err(CliError::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_chain_has_one_url() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (
            dir.path().join("chains.toml"),
            crate::commands::store::KeystoreArgs {
                keystore: Some(dir.path().join("keys")),
                passphrase_file: None,
                devnet_dir: dir.path().to_owned(),
            },
        );
        let app = |rpc: Option<&str>, chain_id| App {
            json: false,
            store: store.clone(),
            node: crate::app::NodeArgs { rpc: rpc.map(str::to_owned), chain_id },
        };
        let on = |chain: Option<&str>| HostArgs {
            chain: chain.map(str::to_owned),
            all_chains: chain.is_none(),
            chains: None,
            env_file: PathBuf::new(),
        };
        let pair = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        assert!(meant(&app(None, None), &on(Some("a"))).is_err(), "there is no file");
        assert_eq!(meant(&app(Some("http://x"), None), &on(Some("a"))).unwrap(), [pair("a", "http://x")]);
        fs::write(&path, "[chains]\nb = \"http://b\"\na = \"http://a\"\n").unwrap();
        assert_eq!(meant(&app(None, None), &on(Some("b"))).unwrap(), [pair("b", "http://b")]);
        let all = [pair("a", "http://a"), pair("b", "http://b")];
        assert_eq!(meant(&app(Some("http://x"), None), &on(None)).unwrap(), all);
        assert_eq!(meant(&app(Some("http://x"), None), &on(Some("c"))).unwrap(), [pair("c", "http://x")]);
        assert!(meant(&app(Some("http://x"), None), &on(Some("a"))).is_err(), "which of the two?");
        assert!(meant(&app(None, None), &on(Some("c"))).is_err(), "it is in no file");
        let id = chain_core::testing::chain();
        assert!(meant(&app(None, Some(id)), &on(None)).is_err(), "one id of several chains");
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let text = |text: &str| text.to_owned();
        let before = ProfileView {
            name: text("a"),
            endpoint: text("b"),
            region: text("c"),
            hardware: text("d"),
            encryption_key: Hash([1; 32]),
            class: text("e"),
            metadata: text("f"),
            models: vec![ModelId(Hash([2; 32]))],
        };
        let details = Details { region: None, hardware: None, metadata: None };
        let host = HostArgs { chain: None, all_chains: true, chains: None, env_file: PathBuf::new() };
        let sending = Sending { dry_run: false, timeout: 1 };
        let (models, performance_tier) = (Vec::new(), Some(text("fast")));
        let args = UpdateArgs { name: None, api_url: None, models, performance_tier, details, host, sending };
        let after = changed(&args, before.clone(), Vec::new());
        assert_eq!(after, ProfileView { class: text("fast"), ..before.clone() });
        let other = vec![ModelId(Hash([3; 32]))];
        assert_eq!(changed(&args, before, other.clone()).models, other);
    }
}
