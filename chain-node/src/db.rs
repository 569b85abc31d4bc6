//! `chain-node db`: looking at, checking, pruning, saving and restoring the database of a stopped node.
//!
//! Not here: what a snapshot is and how it is checked (`chain_core::ledger`).

use crate::config::{Config, Flags};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::meter::{Meter, Metered};
use crate::run::{compile, open_ledger};
use chain_core::genesis::Genesis;
use chain_core::ledger::{Chain, Exported, MIN_KEPT_BLOCKS, SnapshotError, Summary, import};
use chain_core::state::money;
use chain_core::storage::{DirLock, RocksOptions, RocksStore};
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

/// Blocks forgotten between two looks at the bar.
const PRUNED_AT_ONCE: u64 = 64;
/// What is read or written at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Where the node is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// What to do with a database.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says what stands in the database, without checking it
    Inspect {
        #[command(flatten)]
        place: Place,
    },
    /// Loads the state, compares it with its root, executes what was not flushed
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Forgets the contents of old blocks; headers and certificates stay
    Prune {
        /// How many blocks below the newest one to keep, at least 64
        #[arg(long, value_name = "BLOCKS")]
        keep: u64,
        #[command(flatten)]
        place: Place,
    },
    /// Writes the state with its proof into one file
    Snapshot {
        /// The file to make
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Checks a snapshot against the genesis and makes it the content of a directory that never ran
    Restore {
        /// The snapshot
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

impl Command {
    /// Carries the command out.
    pub(crate) fn run(self) -> Result<(), Exit> {
        match self {
            Self::Inspect { place } => inspect(&Stopped::of(&place)?),
            Self::Verify { place } => verify(&Stopped::of(&place)?),
            Self::Prune { keep, place } => prune(&Stopped::of(&place)?, keep),
            Self::Snapshot { output, place } => snapshot(&Stopped::of(&place)?, &output),
            Self::Restore { input, place } => restore(&Stopped::of(&place)?, &input),
        }
    }
}

/// A node's directory while no node runs on it.
struct Stopped {
    config: Config,
    dir: DataDir,
    genesis: Genesis,
    _lock: DirLock,
}

impl Stopped {
    fn of(place: &Place) -> Result<Self, Exit> {
        let (config, _) = Config::load(place.config.as_deref(), &place.flags)?;
        let dir = DataDir::new(&config.data_dir);
        let (_, genesis) = compile(&dir.genesis())?;
        let _lock = DirLock::acquire(dir.path())?;
        Ok(Self { config, dir, genesis, _lock })
    }

    fn has_database(&self) -> Result<PathBuf, Exit> {
        let path = self.config.database()?;
        match path.is_dir() {
            true => Ok(path),
            false => Err(Exit::Database(format!("there is no database in {}", path.display()))),
        }
    }

    fn store(&self) -> Result<RocksStore, Exit> {
        Ok(RocksStore::open(&self.config.database()?, &RocksOptions::default())?)
    }

    /// The chain with its state loaded and checked, everything written.
    fn chain(&self) -> Result<Chain, Exit> {
        self.has_database()?;
        let chain = open_ledger(&self.config, &self.genesis)?;
        chain.flush()?;
        Ok(chain)
    }
}

fn inspect(stopped: &Stopped) -> Result<(), Exit> {
    let path = stopped.has_database()?;
    let bytes = size(&path).map_err(|e| Exit::Database(format!("{}: {e}", path.display())))?;
    let Some(found) = Summary::read(&stopped.store()?)? else {
        println!("the database is empty");
        return Ok(());
    };
    println!("chain        {}", found.chain);
    println!("height       {}", found.head.height);
    println!("block        {}", found.head.id());
    println!("timestamp    {} ms", found.head.timestamp_ms);
    println!("state root   {}", found.head.state_root);
    println!("flushed      {}", found.flushed);
    println!("oldest body  {}", found.oldest_body);
    println!("indexed      {}", found.indexed);
    println!("rows         {}", found.rows);
    println!("database     {}", HumanBytes(bytes));
    println!("logs         {}", HumanBytes(size(&stopped.dir.logs()).unwrap_or_default()));
    Ok(())
}

/// Bytes of all files below a directory.
fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn verify(stopped: &Stopped) -> Result<(), Exit> {
    stopped.has_database()?;
    let chain = open_ledger(&stopped.config, &stopped.genesis)?;
    let head = chain.head();
    for supply in money::audit(&head.tree)? {
        if !supply.is_conserved() {
            let symbol = &*supply.asset.symbol;
            return Err(Exit::Database(format!(
                "{symbol}: accounts, stakes and rewards hold {}, which is not minted minus burned",
                supply.total().unwrap_or_default()
            )));
        }
    }
    println!("height {}, block {}, state root {}", head.block.header.height, head.block.id, head.tree.root());
    Ok(())
}

fn prune(stopped: &Stopped, keep: u64) -> Result<(), Exit> {
    if keep < MIN_KEPT_BLOCKS {
        return Err(Exit::Configuration(format!("--keep is {keep}; at least {MIN_KEPT_BLOCKS} blocks are kept")));
    }
    let chain = stopped.chain()?;
    let last = chain.flushed().get().saturating_sub(keep);
    let mut meter = Meter::blocks(last.saturating_sub(chain.oldest_body().get()));
    loop {
        let pruned = chain.prune(keep, PRUNED_AT_ONCE)?;
        meter.add(pruned);
        if pruned == 0 {
            break;
        }
    }
    meter.end();
    chain.store().flush()?;
    println!("the oldest whole block is {}", chain.oldest_body());
    Ok(())
}

fn snapshot(stopped: &Stopped, output: &Path) -> Result<(), Exit> {
    let failed = |e: io::Error| Exit::Configuration(format!("{}: {e}", output.display()));
    if output.exists() {
        return Err(Exit::Configuration(format!("{} exists; choose another file", output.display())));
    }
    let chain = stopped.chain()?;
    // Under its own name it is there whole or not at all.
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let exported = write_snapshot(&chain, &partial).inspect_err(|_| {
        // What is left of it is of no use; that it can't be removed changes nothing.
        let _ = fs::remove_file(&partial);
    })?;
    fs::rename(&partial, output).map_err(failed)?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    println!("{}: height {}, block {}, {} rows", output.display(), exported.height, exported.block, exported.rows);
    Ok(())
}

fn write_snapshot(chain: &Chain, path: &Path) -> Result<Exported, SnapshotError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut out = Metered { inner: BufWriter::with_capacity(BUFFER_BYTES, file), meter: Meter::bytes(None) };
    let exported = chain.export(&mut out)?;
    out.meter.end();
    out.inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(exported)
}

fn restore(stopped: &Stopped, input: &Path) -> Result<(), Exit> {
    refuse_logs(&stopped.dir)?;
    let failed = |e: io::Error| Exit::Configuration(format!("{}: {e}", input.display()));
    let file = File::open(input).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let store = stopped.store()?;
    let mut input = Metered { inner: BufReader::with_capacity(BUFFER_BYTES, file), meter: Meter::bytes(Some(length)) };
    let imported = import(&store, &stopped.genesis, None, &mut input)?;
    input.meter.end();
    println!("height {}, block {}, {} rows", imported.height, imported.block, imported.rows);
    println!("compare the block with a node you trust before others rely on this one");
    if stopped.dir.read_key()?.is_some() {
        println!(
            "note: a validator key is here, but not what it has signed. The node starts only with \
             accept_lost_consensus_log = true under [advanced]; use that once, and only if no other copy of the key \
             signs. If no other validator makes blocks meanwhile, resume_signing_at = HEIGHT says from where it may sign again"
        );
    }
    Ok(())
}

/// A consensus log belongs to the database it was written with. A validator that kept it beside another
/// database would take it for all it has ever signed.
fn refuse_logs(dir: &DataDir) -> Result<(), Exit> {
    let logs = dir.logs();
    let entries = match fs::read_dir(&logs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Exit::Database(format!("{}: {e}", logs.display()))),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Exit::Database(format!("{}: {e}", logs.display())))?;
        if entry.file_name().to_string_lossy().starts_with("consensus-") {
            return Err(Exit::Key(format!(
                "{} is of a node that ran here. Restore into a directory that chain-node init has just made",
                entry.path().display()
            )));
        }
    }
    Ok(())
}
