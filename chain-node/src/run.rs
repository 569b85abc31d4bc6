//! Running a node: everything is opened and checked in order, then it serves until it is told to
//! stop or meets a fault.

use crate::backend::{Node, role};
use crate::catching_up;
use crate::config::{Advanced, Config, SyncMode};
use crate::counts::{self, Counts};
use crate::data_dir::DataDir;
use crate::driver::{Driver, MonoClock, Running, wall_clock};
use crate::evidence::{self, Reporter};
use crate::exit::Exit;
use crate::net::{self, Net};
use crate::p2p::{self, Network, P2pConfig};
use crate::snapshots::{self, Shelf};
use chain_core::Fault;
use chain_core::crypto::SecretKey;
use chain_core::engine::{Engine, EngineLog, Options, SharedPool, SignMemory, Start, Trust};
use chain_core::genesis::Genesis;
use chain_core::ledger::market::index_market;
use chain_core::ledger::{self, Chain, index_history};
use chain_core::mempool::PoolLimits;
use chain_core::state::protocol::{RULES_VERSION, check_version};
use chain_core::state::validators::next_set;
use chain_core::storage::{DirLock, Journal, RocksOptions, RocksStore, SignFile, SignOwner, Store};
use chain_core::types::{Address, ChainId, Height};
use chain_rpc::backend::{ChainFacts, NodeInfo};
use chain_rpc::{Limits, Metrics};
use genesis::ChainSpec;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// The name of the log of what was signed and heard.
const CONSENSUS_LOG: &str = "consensus";
/// Most connections one address may open to us.
const MAX_INBOUND_PER_ADDRESS: usize = 16;

/// A running node. Dropping it without `stop` leaves what a kill would leave.
pub struct Service {
    /// Where JSON-RPC, REST and WebSocket listen.
    pub rpc: SocketAddr,
    /// Where metrics and health listen.
    pub metrics: SocketAddr,
    driver: Arc<Driver>,
    net: Arc<Net>,
    engine: Running,
    /// None of them ends by itself while the node runs.
    tasks: Vec<JoinHandle<()>>,
    doors: Vec<chain_rpc::Running>,
    signals: Signals,
    stopping: Arc<AtomicBool>,
    /// They look at the database behind the head.
    workers: Vec<std::thread::JoinHandle<()>>,
    _lock: DirLock,
}

/// Opens everything and starts serving.
pub async fn start(config: &Config) -> Result<Service, Exit> {
    let dir = DataDir::new(&config.data_dir);
    let (spec, genesis) = read_genesis(&dir, config)?;
    let lock = DirLock::acquire(dir.path())?;
    let key = read_key(&dir, config)?;
    // A log that is gone must not look like one that was always empty.
    let mut wal_is_lost = !Journal::exists(&dir.logs(), CONSENSUS_LOG)?;
    if config.advanced.sync_mode == SyncMode::Snapshot && fetch_snapshot(config, &dir, &genesis).await? {
        wal_is_lost = false;
    }
    let chain = open_ledger(config, &genesis)?;
    let next = chain.head().block.header.height.next();
    check_version(&chain.head().tree, RULES_VERSION).map_err(|fault| Exit::from(fault).before(next))?;
    let facts = ChainFacts {
        id: chain.id(),
        name: genesis.name.to_string(),
        rule: genesis.quorum_rule,
        mode: genesis.mode.to_string(),
        genesis: genesis.encode(),
        spec: serde_json::to_value(&spec).map_err(|e| Exit::Configuration(format!("genesis: {e}")))?,
    };
    let is_validator = validates(&chain, key.as_deref())?;
    let mut info = NodeInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        role: role(config.advanced.prune_keep_blocks > 0, chain.oldest_body()).into(),
        validator: key.as_ref().map(|key| key.public()),
        peer_id: None,
        oldest_body: chain.oldest_body(),
        started_ms: wall_clock().get(),
    };
    let clock = MonoClock::start();
    let counts = Counts::new().map_err(|e| Exit::Configuration(format!("metrics: {e}")))?;
    let pool_limits = PoolLimits::default();
    if wal_is_lost && is_validator && chain.head().block.header.height > Height::ZERO {
        if !config.advanced.accept_lost_consensus_log {
            return Err(Exit::Key(format!(
                "{} holds no consensus log though the chain has blocks: this validator does not know what it has signed. \
                 Restore the logs; or, if no other copy of its key signs, start once with \
                 accept_lost_consensus_log = true under [advanced]",
                dir.logs().display()
            )));
        }
        tracing::warn!("going on without the consensus log, as configured");
    }
    let wal = open_log(&dir, CONSENSUS_LOG, &counts)?;
    let pool_log = open_log(&dir, "mempool", &counts)?;
    let trust = match config.advanced.sync_mode {
        SyncMode::Full | SyncMode::Snapshot => Trust::Nobody,
        SyncMode::Certificate => Trust::Quorum,
    };
    let sign_memory = key.as_ref().map(|key| {
        let owner = SignOwner::new(&chain.id(), &key.public());
        open_sign_state(&config.sign_state()?, owner, &counts)
    });
    let sign_memory = sign_memory.transpose()?;
    let start = Start {
        options: Options {
            flush_interval_blocks: config.advanced.flush_interval_blocks,
            trust,
            accept_conflict_at: config.advanced.accept_conflict_at.map(Height::new),
        },
        pool_limits,
        chain,
        rule: genesis.quorum_rule,
        key: key.clone(),
        wal,
        pool_log,
        sign_memory,
        resume_signing_at: config.advanced.resume_signing_at.map(Height::new),
    };
    let (engine, outputs) = Engine::start(start, &move || clock.now())?;
    let status = engine.status();
    if is_validator && status.barrier >= status.height {
        tracing::error!(
            height = status.height.get(),
            barrier = status.barrier.get(),
            "the consensus log is ahead of the blocks: blocks were lost, so this validator does not sign up to the barrier"
        );
    }
    let (chain, pool) = (engine.chain().clone(), engine.pool().clone());
    // From here on a signal ends the node in order, not by force.
    let signals = Signals::listen()?;
    let listeners = bind(config).await?;
    let shelf = Arc::new(Shelf::open(dir.snapshots())?);
    let net = Net::new(shelf.clone());
    let (evidence, found) = mpsc::channel(evidence::FOUND);
    let (driver, engine) =
        Driver::start(engine, outputs, clock, config.advanced.verify_threads, net.clone(), (counts.clone(), evidence));
    net.remember(&pool);
    let reporter = Reporter {
        dir: dir.evidence(),
        driver: driver.clone(),
        net: net.clone(),
        pool: pool.clone(),
        key: key.clone(),
        counts: counts.clone(),
    };
    let mut tasks = vec![
        tokio::spawn(counts::follow(counts.clone(), driver.clone())),
        tokio::spawn(catching_up::watch(driver.clone())),
        tokio::spawn(reporter.run(found)),
    ];
    tasks.extend(start_network(config, &dir, key, (&net, &driver, pool.clone())).await?);
    info.peer_id = net.network().map(|network| network.local_id().to_string());
    let node =
        Node { facts, info, chain: chain.clone(), pool, pool_limits, driver: driver.clone(), net: net.clone(), counts };
    let (rpc, metrics, doors) = open_doors(config, Arc::new(node), listeners)?;
    let stopping = Arc::new(AtomicBool::new(false));
    let mut workers = vec![follow(chain.clone(), &config.advanced, stopping.clone())];
    workers.extend(make_snapshots(shelf, chain, &config.advanced, stopping.clone()));
    Ok(Service { rpc, metrics, driver, net, engine, tasks, doors, signals, stopping, workers, _lock: lock })
}

impl Service {
    /// Serves until a signal asks to stop or the engine ends by itself, then stops in order.
    pub async fn serve(mut self) -> Result<(), Exit> {
        let mut check = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                () = self.signals.asked_to_stop() => {
                    tracing::info!("stopping");
                    break;
                }
                _ = check.tick() => {
                    if self.engine.is_over() {
                        break;
                    }
                    if self.is_broken() {
                        tracing::error!("a part of the node has stopped; this is a bug, please report it");
                        self.stop().await?;
                        return Err(Exit::Database("a part of the node has stopped; this is a bug".into()));
                    }
                }
            }
        }
        self.stop().await
    }

    /// Whether a task has ended, or the network: the node would go on deaf.
    fn is_broken(&self) -> bool {
        self.net.network().is_some_and(Network::is_over) || self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Stops taking requests, writes what is held, ends.
    pub async fn stop(self) -> Result<(), Exit> {
        self.stopping.store(true, Ordering::Relaxed);
        // The engine first: it writes what it holds, and a farewell can take its time.
        self.driver.stop();
        let mut farewells = JoinSet::new();
        for door in self.doors {
            farewells.spawn(door.stop());
        }
        if let Some(network) = self.net.network().cloned() {
            farewells.spawn(network.stop());
        }
        while farewells.join_next().await.is_some() {}
        self.tasks.iter().for_each(JoinHandle::abort);
        let ended = tokio::task::spawn_blocking(move || {
            for worker in self.workers {
                // One that ended early has said so in the log.
                let _ = worker.join();
            }
            self.engine.join()
        });
        ended.await.map_err(|e| Exit::Database(format!("stopping: {e}")))?
    }
}

/// The signals that ask a node to stop.
pub struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from their default, which ends the process by force.
    pub fn listen() -> Result<Self, Exit> {
        let listen = |kind| signal(kind).map_err(|e| Exit::Configuration(format!("signal handling: {e}")));
        Ok(Self { term: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Reads a chain spec and compiles it; every problem is told.
pub fn compile(path: &Path) -> Result<(ChainSpec, Genesis), Exit> {
    let spec = ChainSpec::load(path).map_err(|e| Exit::Configuration(format!("{}: {e}", path.display())))?;
    let genesis = spec.compile().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        Exit::Configuration(format!("{} is not a chain spec:\n{}", path.display(), lines.join("\n")))
    })?;
    Ok((spec, genesis))
}

/// Whether a key is in the set that signs the next block.
fn validates(chain: &Chain, key: Option<&SecretKey>) -> Result<bool, Fault> {
    let set = next_set(&chain.head().tree)?;
    Ok(key.is_some_and(|key| set.index_of(&key.public()).is_some()))
}

fn read_genesis(dir: &DataDir, config: &Config) -> Result<(ChainSpec, Genesis), Exit> {
    if !dir.genesis().is_file() {
        let path = dir.path().display();
        return Err(Exit::Configuration(format!(
            "{path} holds no genesis.json. Run: chain-node init --data-dir {path} --genesis FILE"
        )));
    }
    let (spec, genesis) = compile(&dir.genesis())?;
    match &config.consensus_mode {
        Some(mode) if *mode != genesis.mode.to_string() => {
            Err(Exit::OtherChain(format!("CONSENSUS_MODE is {mode}, but genesis says {}", genesis.mode)))
        }
        _ => Ok((spec, genesis)),
    }
}

fn read_key(dir: &DataDir, config: &Config) -> Result<Option<Arc<SecretKey>>, Exit> {
    let key = dir.read_key()?;
    let address = key.as_ref().map(|key| Address::of_key(&key.public()));
    match (config.validator_address, address) {
        (Some(wanted), Some(held)) if wanted != held => Err(Exit::Key(format!(
            "VALIDATOR_ADDRESS is {wanted}, but the key in {} is of {held}",
            dir.validator_key().display()
        ))),
        (Some(wanted), None) => {
            Err(Exit::Key(format!("VALIDATOR_ADDRESS is {wanted}, but there is no {}", dir.validator_key().display())))
        }
        _ => Ok(key.map(Arc::new)),
    }
}

fn open_store(config: &Config) -> Result<RocksStore, Exit> {
    let options =
        RocksOptions { cache_bytes: config.block_cache_size as usize * 1024 * 1024, ..RocksOptions::default() };
    Ok(RocksStore::open(&config.database()?, &options)?)
}

/// Opens the database and brings it up to its head.
pub fn open_ledger(config: &Config, genesis: &Genesis) -> Result<Chain, Exit> {
    let opened = ledger::open(Arc::new(open_store(config)?), genesis, &mut |height| {
        if height.get().is_multiple_of(1000) {
            tracing::info!(height = height.get(), "executing again");
        }
    })?;
    let head = opened.chain.head().block.header.height.get();
    tracing::info!(height = head, executed_again = opened.replayed, "the state agrees with the head");
    Ok(opened.chain)
}

/// Begins with a peer's snapshot if there are no blocks yet; says whether it did.
async fn fetch_snapshot(config: &Config, dir: &DataDir, genesis: &Genesis) -> Result<bool, Exit> {
    let store: Arc<dyn Store> = Arc::new(open_store(config)?);
    if !ledger::takes_snapshot(&*store)? {
        return Ok(false);
    }
    if config.p2p_peers.is_empty() && config.p2p_bootnodes.is_empty() && !config.p2p_mdns {
        tracing::warn!("no peers are configured that could give a snapshot");
        return Ok(false);
    }
    // From here on the key has signed nothing that this directory does not know of: whatever a crash leaves,
    // the log is there.
    Journal::open(&dir.logs(), CONSENSUS_LOG)?;
    let (_places, validators) = watch::channel(Arc::default());
    // It only dials: nobody is served yet, and strangers have nothing to offer.
    let p2p = P2pConfig { listen: Vec::new(), ..p2p_config(config, dir, genesis.chain_id(), None, validators)? };
    Ok(snapshots::fetch(p2p, &dir.snapshots(), genesis, store).await?.is_some())
}

/// Opens a log.
fn open_log(dir: &DataDir, name: &str, counts: &Counts) -> Result<EngineLog, Exit> {
    let (log, replay) = Journal::open(&dir.logs(), name)?;
    if replay.cut_bytes > 0 {
        tracing::warn!(log = name, bytes = replay.cut_bytes, "cut off an unfinished write");
    }
    let records = replay.records().map(<[u8]>::to_vec).collect();
    Ok(EngineLog { records, log: counts.timed_log(name, Box::new(log)) })
}

/// Starts the network and what keeps it and the engine together.
async fn start_network(
    config: &Config,
    dir: &DataDir,
    key: Option<Arc<SecretKey>>,
    (net, driver, pool): (&Arc<Net>, &Arc<Driver>, SharedPool),
) -> Result<[JoinHandle<()>; 2], Exit> {
    let wrong = |e: &dyn std::fmt::Display| Exit::Configuration(e.to_string());
    let (places, validators) = watch::channel(Arc::new(net::current_validators(driver.chain())));
    let p2p = p2p_config(config, dir, driver.chain().id(), key, validators)?;
    let (taker, hearer) = (net.clone(), driver.clone());
    let network = p2p::start(p2p, move |event| taker.take(&hearer, event)).await.map_err(|e| wrong(&e))?;
    tracing::info!(p2p = %network.local_id(), port = config.p2p_port, "the network listens");
    net.connect(network);
    net.follow(&config.rpc_peers, driver, pool.clone());
    Ok([tokio::spawn(net::follow_validators(driver.clone(), places)), tokio::spawn(net.clone().tell_again(pool))])
}

fn p2p_config(
    config: &Config,
    dir: &DataDir,
    chain: ChainId,
    validator: Option<Arc<SecretKey>>,
    validators: p2p::Validators,
) -> Result<P2pConfig, Exit> {
    let identity = p2p::load_or_create_identity(&dir.p2p_key()).map_err(|e| Exit::Configuration(e.to_string()))?;
    Ok(P2pConfig {
        listen: listen_addresses(config.p2p_host, config.p2p_port),
        identity,
        chain,
        validator,
        static_peers: addresses(&config.p2p_peers)?,
        bootnodes: addresses(&config.p2p_bootnodes)?,
        mdns: config.p2p_mdns,
        max_peers: config.advanced.max_peers as usize,
        max_inbound_per_address: MAX_INBOUND_PER_ADDRESS,
        validators,
        limits: p2p::Limits::default(),
    })
}

fn listen_addresses(host: IpAddr, port: u16) -> Vec<Multiaddr> {
    let host = Multiaddr::from(host);
    vec![host.clone().with(Protocol::Tcp(port)), host.with(Protocol::Udp(port)).with(Protocol::QuicV1)]
}

fn addresses(texts: &[String]) -> Result<Vec<Multiaddr>, Exit> {
    let parse = |text: &String| text.parse().map_err(|e| Exit::Configuration(format!("{text} is no multiaddr: {e}")));
    texts.iter().map(parse).collect()
}

/// Opens the second memory of what the key signed.
fn open_sign_state(path: &Path, owner: SignOwner, counts: &Counts) -> Result<SignMemory, Exit> {
    let (file, mark) = SignFile::open(path, owner).map_err(|e| Exit::Key(e.to_string()))?;
    if mark.is_none() {
        tracing::warn!(
            path = %path.display(),
            "no sign state: nobody knows what this key has signed, so it waits until others have decided newer blocks; \
             an operator who knows sets resume_signing_at under [advanced]"
        );
    }
    Ok(SignMemory { mark, state: counts.timed_state(Box::new(file)) })
}

async fn bind(config: &Config) -> Result<(TcpListener, TcpListener), Exit> {
    let rpc = SocketAddr::new(config.rpc_host, config.rpc_port);
    let metrics = SocketAddr::from(([127, 0, 0, 1], config.metrics_port));
    Ok((listen(rpc, "rpc_port").await?, listen(metrics, "metrics_port").await?))
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Exit> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Exit::Configuration(format!("cannot listen on {address}: {e}. Choose another {option}")))
}

fn open_doors(
    config: &Config,
    node: Arc<Node>,
    (rpc, metrics): (TcpListener, TcpListener),
) -> Result<(SocketAddr, SocketAddr, Vec<chain_rpc::Running>), Exit> {
    let wrong = |e: &dyn std::fmt::Display| Exit::Configuration(format!("interfaces: {e}"));
    let address = |listener: &TcpListener| listener.local_addr().map_err(|e| wrong(&e));
    let (rpc_address, metrics_address) = (address(&rpc)?, address(&metrics)?);
    if !rpc_address.ip().is_loopback() && node.info.validator.is_some() {
        tracing::warn!(%rpc_address, "a validator answers the whole network; put a follower in front of it");
    }
    let limits = Limits {
        request_deadline: Duration::from_millis(config.rpc_timeout),
        hosts: config.advanced.rpc_hosts.clone(),
        origins: config.advanced.rpc_origins.clone(),
        behind_proxy: config.advanced.rpc_behind_proxy,
        ..Limits::default()
    };
    let counted = Metrics::new(prometheus::Registry::new()).map_err(|e| wrong(&e))?;
    let context = chain_rpc::api::Context::new(node, counted, limits);
    let public = chain_rpc::serve(rpc, &context).map_err(|e| wrong(&e))?;
    let ops = chain_rpc::serve_ops(metrics, &context).map_err(|e| wrong(&e))?;
    Ok((rpc_address, metrics_address, vec![public, ops]))
}

/// Keeps the market's lists, and if the node is told to, indexes histories and forgets old blocks: behind the head,
/// off the commit path.
fn follow(chain: Arc<Chain>, options: &Advanced, stopping: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (history, keep) = (options.history, options.prune_keep_blocks);
    let step = move || {
        let listed = index_market(&*chain, 64)?;
        let indexed = listed + if history { index_history(&chain, 64)? } else { 0 };
        let pruned = if keep > 0 && indexed == 0 { chain.prune(keep, 64)? } else { 0 };
        Ok::<_, Fault>(indexed + pruned)
    };
    let work = move || {
        while !stopping.load(Ordering::Relaxed) {
            match step() {
                Ok(0) => std::thread::sleep(Duration::from_millis(50)),
                Ok(_) => {}
                Err(fault) => {
                    tracing::error!(%fault, "indexing stopped, and pruning with it; histories and lists of the market stay where they are");
                    return;
                }
            }
        }
    };
    std::thread::spawn(work)
}

/// Makes snapshots for others, if the node is told to.
fn make_snapshots(
    shelf: Arc<Shelf>,
    chain: Arc<Chain>,
    options: &Advanced,
    stopping: Arc<AtomicBool>,
) -> Option<std::thread::JoinHandle<()>> {
    let interval = options.snapshot_interval_blocks;
    let work = move || snapshots::keep_making(&shelf, &chain, interval, &stopping);
    (interval > 0).then(|| std::thread::spawn(work))
}
