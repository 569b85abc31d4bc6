//! `chain-node testnet`: the directories of a network over several machines, one for each validator.
//!
//! ```text
//! DIR/accounts.json            funded accounts with their secrets, for whoever runs the testnet
//! DIR/node-0/data/             the data directory: genesis.json, validator_key (mode 0600)
//! DIR/node-0/data.sign_state   what that key has signed: nothing yet. Moves with the directory once, to
//!                              its host; a backup is of `data/` without it, or it guards nothing
//! DIR/node-0/node.toml         its configuration: where it listens, where the others are
//! DIR/node-0/README            what to do with the directory
//! ```
//!
//! Every key is drawn here, so whoever runs this has held all of them. Validators that don't trust
//! each other draw their own (`chain-node init --new-key`) and write the chain spec together.

use crate::cli::draw_seed;
use crate::config::{METRICS_PORT, P2P_PORT, RPC_PORT};
use crate::data_dir::{DataDir, ValidatorSeed, make_private_dir, write_new};
use crate::devnet::layout::{NodeFile, check_spec, draw_accounts, make_whole, multiaddr, others, write_accounts};
use crate::devnet::{ACCOUNTS, parse_duration_ms};
use crate::driver::wall_clock;
use crate::exit::Exit;
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::types::{Address, ChainId};
use genesis::preset::{Facts, testnet};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the network is.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many validators of equal weight
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    validators: u32,
    /// The directory to make
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The validators' hosts, by IP address or name, separated by commas
    #[arg(long, value_delimiter = ',', required_unless_present = "host_template", conflicts_with = "host_template")]
    hosts: Vec<String>,
    /// The validators' hosts as one name with {i} for 0, 1, …: val{i}.example.net
    #[arg(long, value_name = "NAME")]
    host_template: Option<String>,
    /// Port of the peer-to-peer network, on every host
    #[arg(long, value_name = "PORT", default_value_t = P2P_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    p2p_port: u16,
    /// Port of RPC and WebSocket, on every host's loopback
    #[arg(long, value_name = "PORT", default_value_t = RPC_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    rpc_port: u16,
    /// Time between blocks, such as 2s or 500ms
    #[arg(long, default_value = "2s", value_parser = parse_duration_ms)]
    block_time: u32,
    /// The chain's name
    #[arg(long, value_name = "NAME", default_value = "testnet")]
    chain_name: String,
}

/// Makes the directories.
pub fn make(options: &Options) -> Result<(), Exit> {
    let hosts = hosts(options)?;
    let mut chain = None;
    make_whole(&options.output, "choose another --output", |new| {
        chain = Some(write(options, &hosts, new)?);
        Ok(())
    })?;
    let output = options.output.display();
    if let Some(chain) = chain {
        println!("chain {} has the id {chain}", options.chain_name);
    }
    println!("{output} holds {} directories; bring each to its host, by a way that keeps its key secret:", hosts.len());
    hosts.iter().enumerate().for_each(|(index, host)| println!("  node-{index}  {host}"));
    println!("on every host, in its directory: chain-node run --config node.toml");
    Ok(())
}

/// The hosts, one for each validator, all different.
fn hosts(options: &Options) -> Result<Vec<String>, Exit> {
    let wrong = |problem: String| Err(Exit::Configuration(problem));
    let hosts: Vec<String> = match &options.host_template {
        Some(template) => (0..options.validators).map(|i| template.replace("{i}", &i.to_string())).collect(),
        None => options.hosts.iter().map(|host| host.trim().to_owned()).collect(),
    };
    if hosts.len() != options.validators as usize {
        return wrong(format!("--hosts names {} hosts for {} validators", hosts.len(), options.validators));
    }
    if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
        return wrong(format!("'{host}' is neither an IP address nor a host's name"));
    }
    if hosts.iter().collect::<BTreeSet<_>>().len() != hosts.len() {
        return wrong("two validators on one host; with --host-template the name must hold {i}".into());
    }
    Ok(hosts)
}

/// An IP address, or a name of letters, digits, dots and dashes (RFC 1123).
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.parse::<IpAddr>().is_ok() || host.len() <= 253 && host.split('.').all(label)
}

/// Writes everything below `dir`; answers with the chain's id.
fn write(options: &Options, hosts: &[String], dir: &Path) -> Result<ChainId, Exit> {
    let seeds: Vec<Zeroizing<[u8; 32]>> = hosts.iter().map(|_| draw_seed()).collect();
    let keys: Vec<PublicKey> = seeds.iter().map(|seed| SecretKey::from_seed(seed).public()).collect();
    let accounts = draw_accounts(ACCOUNTS);
    // The accounts of validators' keys act on the council and report: that costs fees.
    let addresses = accounts.iter().map(|account| account.address).chain(keys.iter().map(Address::of_key));
    let addresses: Vec<Address> = addresses.collect();
    let facts = Facts { validators: &keys, accounts: &addresses, now: wall_clock(), salt: *draw_seed() };
    let spec = testnet(facts, &options.chain_name, options.block_time)?;
    let chain = check_spec(&spec)?.chain_id();
    let json = spec.to_json().map_err(|e| Exit::Configuration(e.to_string()))?;
    write_accounts(accounts, &dir.join("accounts.json"))?;
    let addresses: Vec<String> = hosts.iter().map(|host| multiaddr(host, options.p2p_port)).collect();
    for (index, (host, seed)) in hosts.iter().zip(&seeds).enumerate() {
        let node = dir.join(format!("node-{index}"));
        make_private_dir(&node)?;
        DataDir::new(node.join("data")).create(&json, &chain, Some(ValidatorSeed::Unused(seed)))?;
        let file = node_file(options, host, others(&addresses, index));
        write_new(&node.join("node.toml"), file.to_toml()?.as_bytes(), 0o644)?;
        write_new(&node.join("README"), readme(options, index, host).as_bytes(), 0o644)?;
    }
    Ok(chain)
}

/// The network listens on every address of the host's family, the interfaces on loopback.
fn node_file(options: &Options, host: &str, peers: Vec<String>) -> NodeFile {
    let any = match host.parse() {
        Ok(IpAddr::V6(_)) => IpAddr::from([0u16; 8]),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    NodeFile {
        data_dir: PathBuf::from("data"),
        rpc_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        rpc_port: options.rpc_port,
        p2p_host: any,
        p2p_port: options.p2p_port,
        p2p_peers: peers,
        metrics_port: METRICS_PORT,
    }
}

fn readme(options: &Options, index: usize, host: &str) -> String {
    let (chain, p2p) = (&options.chain_name, options.p2p_port);
    format!(
        "node-{index} of {chain}: bring this directory, whole, with the secret data/validator_key (mode 0600), to {host} alone; \
         two nodes with one key harm the chain.\n\
         Let the other hosts reach port {p2p}, TCP and UDP.\n\
         Start it in this directory: chain-node run --config node.toml\n\
         Backups: of data/ only, of the stopped node. Never back up or restore data.sign_state: it tells a validator \
         that its data/ is older than what it has signed, and restored with it would let it sign twice.\n"
    )
}
