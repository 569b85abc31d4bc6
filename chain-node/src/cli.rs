//! The command line of `chain-node`.

use crate::config::{Config, Flags, show};
use crate::data_dir::{DataDir, ValidatorSeed};
use crate::driver::wall_clock;
use crate::exit::Exit;
use crate::{db, devnet, logging, run, testnet};
use chain_core::crypto::SecretKey;
use chain_core::types::Address;
use clap::{CommandFactory, Parser, Subcommand};
use rand::Rng;
use std::path::PathBuf;
use zeroize::Zeroizing;

const PORTS: &str = "Default ports: p2p 8005, RPC and WebSocket 8006, metrics and health 9090.
Node i of a devnet: p2p 8005 + 20 i, RPC 8006 + 20 i, metrics 9090 + i.
Exit codes: 0 clean, 1 an asked node is not well, 2 configuration, 3 wrong chain, 4 database, 5 key, 6 disk full.";

/// A node of the settlement chain for AI compute.
#[derive(Debug, Parser)]
#[command(name = "chain-node", version, after_help = PORTS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node on its data directory
    Run {
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Makes a data directory from a chain spec, with a new validator key or as a follower
    Init {
        /// The directory to make
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The chain spec (TOML or JSON)
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// Draw a validator key
        #[arg(long, conflicts_with = "validator_key")]
        new_key: bool,
        /// Take over a validator key: a file with its seed in hex
        #[arg(long, value_name = "FILE")]
        validator_key: Option<PathBuf>,
        /// The key has never signed on this chain: it need not wait for blocks of others first
        #[arg(long, requires = "validator_key")]
        never_signed: bool,
    },
    /// Networks for development on this machine: start, watch, kill and restart nodes, reset
    #[command(subcommand)]
    Devnet(devnet::Command),
    /// Makes the directories of a network over several machines, one for each validator
    Testnet(testnet::Options),
    /// Looks at chain specs
    #[command(subcommand)]
    Genesis(GenesisCommand),
    /// Looks at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Works on the database of a stopped node
    #[command(subcommand)]
    Db(db::Command),
    /// Asks a node whether it is caught up and agreeing; fails if it is not
    Health {
        /// Where the node answers
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8006")]
        url: String,
    },
    /// Prints the validator's public key and address
    Keys {
        /// The node's data directory
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Prints documentation made from the code
    #[command(subcommand, hide = true)]
    Doc(DocCommand),
    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum GenesisCommand {
    /// Checks a chain spec and says every problem
    Check {
        /// The chain spec (TOML or JSON)
        file: PathBuf,
    },
    /// Prints the chain id, which is the hash of the canonical genesis
    Hash {
        /// The chain spec (TOML or JSON)
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks a configuration
    Check {
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Prints every option and where its value comes from
    Show {
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
}

#[derive(Debug, Subcommand)]
enum DocCommand {
    /// docs/rpc.md
    Rpc,
}

impl Cli {
    /// Carries the command out.
    pub fn run(self) -> Result<(), Exit> {
        match self.command {
            Command::Run { config, flags } => {
                let (config, _) = Config::load(config.as_deref(), &flags)?;
                logging::start(&config.log_level, config.log_format)?;
                block_on(async move {
                    let service = run::start(&config).await?;
                    tracing::info!(rpc = %service.rpc, metrics = %service.metrics, "serving");
                    service.serve().await
                })
            }
            Command::Init { data_dir, genesis, new_key, validator_key, never_signed } => {
                init(data_dir, genesis, new_key, validator_key, never_signed)
            }
            Command::Devnet(command) => command.run(),
            Command::Testnet(options) => testnet::make(&options),
            Command::Genesis(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Db(command) => command.run(),
            Command::Health { url } => block_on(health(url)),
            Command::Keys { data_dir } => {
                let key = DataDir::new(data_dir).read_key()?;
                let key = key.ok_or_else(|| Exit::Key("this directory has no validator key".into()))?;
                println!("public key  {}\naddress     {}", key.public(), Address::of_key(&key.public()));
                Ok(())
            }
            Command::Doc(DocCommand::Rpc) => {
                print!("{}", chain_rpc::document::markdown());
                Ok(())
            }
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "chain-node", &mut std::io::stdout());
                Ok(())
            }
        }
    }
}

impl GenesisCommand {
    fn run(self) -> Result<(), Exit> {
        let (Self::Check { file } | Self::Hash { file }) = &self;
        let (_, genesis) = run::compile(file)?;
        if matches!(self, Self::Check { .. }) {
            println!("{} is a chain spec", file.display());
            for note in genesis::notes(&genesis) {
                println!("note: {note}");
            }
        }
        println!("{}", genesis.chain_id());
        Ok(())
    }
}

impl ConfigCommand {
    fn run(self) -> Result<(), Exit> {
        let (Self::Check { config, flags } | Self::Show { config, flags }) = &self;
        let (_, layers) = Config::load(config.as_deref(), flags)?;
        match self {
            Self::Check { .. } => println!("the configuration is fine"),
            Self::Show { .. } => print!("{}", show(&layers)?),
        }
        Ok(())
    }
}

async fn health(url: String) -> Result<(), Exit> {
    let failed = |e: &dyn std::fmt::Display| Exit::Unhealthy(format!("{url}: {e}"));
    let client = chain_rpc::Client::connect(&url).await.map_err(|e| failed(&e))?;
    let health = client.health().await.map_err(|e| failed(&e))?;
    println!("{}, height {}, newest block {} ms old", health.status, health.height, health.head_age_ms.0);
    if health.caught_up && health.agreeing { Ok(()) } else { Err(failed(&health.status)) }
}

fn init(
    data_dir: PathBuf,
    genesis: PathBuf,
    new_key: bool,
    validator_key: Option<PathBuf>,
    never_signed: bool,
) -> Result<(), Exit> {
    let (spec, compiled) = run::compile(&genesis)?;
    let seed = match (&validator_key, new_key) {
        (Some(path), _) => Some(read_seed(path)?),
        (None, true) => Some(draw_seed()),
        (None, false) => None,
    };
    let json = spec.to_json().map_err(|e| Exit::Configuration(e.to_string()))?;
    // Votes name the chain: before it begins nobody can have signed on it.
    let unused = new_key || never_signed || compiled.genesis_time > wall_clock();
    let key = seed.as_deref().map(|seed| if unused { ValidatorSeed::Unused(seed) } else { ValidatorSeed::Given(seed) });
    DataDir::new(&data_dir).create(&json, &compiled.chain_id(), key)?;
    if matches!(key, Some(ValidatorSeed::Given(_))) {
        println!("note: this key may have signed on this chain, so it waits for others' blocks before it signs");
        println!("      if it never has, remove the directory and init again with --never-signed");
    }
    println!("{} is ready for chain {}", data_dir.display(), compiled.chain_id());
    if let Some(seed) = seed {
        let key = SecretKey::from_seed(&seed).public();
        println!("validator key {key}, address {}", Address::of_key(&key));
        let set = compiled.validator_set().map_err(|e| Exit::Configuration(e.to_string()))?;
        if set.index_of(&key).is_none() {
            println!("note: this key is not among the validators of the genesis; the node will be a follower");
        }
    }
    println!("start it: chain-node run --data-dir {}", data_dir.display());
    Ok(())
}

fn read_seed(path: &PathBuf) -> Result<Zeroizing<[u8; 32]>, Exit> {
    let bad = |e: &dyn std::fmt::Display| Exit::Key(format!("{}: {e}", path.display()));
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| bad(&e))?);
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| bad(&"64 hex digits expected"))?;
    Ok(seed)
}

/// A fresh secret from the system's randomness.
pub fn draw_seed() -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(&mut *seed);
    seed
}

/// Runs a future on a new runtime.
pub fn block_on(future: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Exit::Configuration(format!("cannot start: {e}")))?.block_on(future)
}
