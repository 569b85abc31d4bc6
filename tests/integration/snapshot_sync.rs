//! Snapshots over the network: what peers do when they are asked for one, and what a node that has
//! nothing makes of it.
//!
//! Not here: snapshots as files (`snapshots`), blocks from peers (`sync`).

use chain_core::consensus::Now;
use chain_core::crypto::{Hash, SecretKey};
use chain_core::engine::{Engine, EngineLog, Input, Options, Start, Trust};
use chain_core::genesis::Genesis;
use chain_core::ledger::{self, Chain, Imported};
use chain_core::limits::{MAX_SNAPSHOT_BYTES, MAX_SNAPSHOT_PART_BYTES};
use chain_core::mempool::PoolLimits;
use chain_core::storage::memlog::MemLog;
use chain_core::storage::{MemoryStore, Store};
use chain_core::types::{Address, ChainId, Height, TimestampMs};
use chain_core::wire::{Lane, Message, SnapshotBytes, SnapshotOffer};
use chain_node::p2p::{Limits, NetworkEvent, P2pConfig};
use chain_node::snapshots::fetch;
use chain_tests::cluster::Cluster;
use chain_tests::peer::TestPeer;
use chain_tests::{eventually, http};
use genesis::preset::{Facts, devnet};
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Accounts of the chain: so many that their rows fill several parts.
const ACCOUNTS: u32 = 40_000;
/// When its first height starts, in unix ms.
const GENESIS_MS: u64 = 1_700_000_000_000;

fn genesis() -> Genesis {
    let accounts: Vec<Address> = (0..ACCOUNTS)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&(number + 1).to_le_bytes());
            Address::from_bytes(bytes)
        })
        .collect();
    let validators = [SecretKey::from_seed(&[200; 32]).public()];
    let now = TimestampMs::new(GENESIS_MS);
    devnet(Facts { validators: &validators, accounts: &accounts, now, salt: [7; 32] }, 100).unwrap().compile().unwrap()
}

/// A chain with a few blocks, its snapshot and what is said of it.
struct Original {
    genesis: Genesis,
    chain: Arc<Chain>,
    bytes: Vec<u8>,
    offer: SnapshotOffer,
}

impl Original {
    fn make() -> Arc<Self> {
        let genesis = genesis();
        let chain = ledger::open(Arc::new(MemoryStore::new()), &genesis, &mut |_| {}).unwrap().chain;
        let empty = || EngineLog { records: Vec::new(), log: Box::new(MemLog::new()) };
        let start = Start {
            options: Options { flush_interval_blocks: 1, trust: Trust::Nobody, accept_conflict_at: None },
            pool_limits: PoolLimits::default(),
            chain,
            rule: genesis.quorum_rule,
            key: Some(Arc::new(SecretKey::from_seed(&[200; 32]))),
            wal: empty(),
            pool_log: empty(),
            sign_memory: None,
            resume_signing_at: None,
        };
        let at = |ms| Now { wall: TimestampMs::new(GENESIS_MS + ms), mono_ms: ms };
        let (mut engine, _) = Engine::start(start, &|| at(0)).unwrap();
        for ms in (0..60_000).step_by(50) {
            engine.handle(&|| at(ms), Input::Tick).unwrap();
        }
        let chain = engine.chain().clone();
        assert!(chain.head().block.header.height > Height::new(2));
        chain.flush().unwrap();
        let mut bytes = Vec::new();
        let height = chain.export(&mut bytes).unwrap().height;
        assert!(bytes.len() > 3 * MAX_SNAPSHOT_PART_BYTES, "it has several parts: {}", bytes.len());
        let offer = SnapshotOffer { height, digest: Hash([1; 32]), bytes: bytes.len() as u64 };
        Arc::new(Self { genesis, chain, bytes, offer })
    }

    fn id(&self) -> ChainId {
        self.genesis.chain_id()
    }
}

/// What a peer does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Honest,
    /// It has none.
    Without,
    /// It says that there is more than anybody would fetch.
    Endless,
    /// It offers, and then has it no more.
    Forgetful,
    /// It offers, and then says nothing.
    Silent,
    /// It gives a byte at a time.
    Dripping,
    /// It gives other bytes.
    Garbage,
    /// It gives the true ones, but for a bit far behind.
    Flipped,
    /// It gives the true ones and says that they are of a newer block.
    Boastful,
    /// It gives so many true parts and then says nothing.
    Stopping(u64),
}

/// A peer that is asked, and the offsets it was asked for.
struct Server {
    address: Multiaddr,
    asked: Arc<Mutex<Vec<u64>>>,
}

impl Server {
    async fn start(original: &Arc<Original>, manner: Manner) -> Self {
        let mut peer = TestPeer::start(original.id(), None, &[]).await;
        let network = peer.network.clone();
        let address = eventually("it listens", || async { network.local_addresses().first().cloned() }).await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (original, offsets) = (original.clone(), asked.clone());
        tokio::spawn(async move {
            loop {
                let NetworkEvent::Frame { from, lane: Lane::Bulk, bytes } = peer.forever().await else { continue };
                let question = Message::decode(&bytes, Lane::Bulk).unwrap();
                if let Message::NeedSnapshotPart { offset, .. } = &question {
                    offsets.lock().unwrap().push(*offset);
                }
                if let Some(answer) = manner.answer(&original, question) {
                    peer.say(from, &answer);
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

impl Manner {
    fn number(self) -> u8 {
        match self {
            Self::Honest | Self::Without | Self::Stopping(_) => 0,
            Self::Endless => 1,
            Self::Forgetful => 2,
            Self::Silent => 3,
            Self::Dripping => 4,
            Self::Garbage => 5,
            Self::Flipped => 6,
            Self::Boastful => 7,
        }
    }

    fn offer(self, original: &Original) -> Option<SnapshotOffer> {
        let newer = original.offer.height.saturating_add(100);
        // Liars are asked first, each for bytes of its own.
        let digest = Hash([2 + self.number(); 32]);
        match self {
            Self::Honest | Self::Stopping(_) => Some(original.offer),
            Self::Without => None,
            Self::Endless => Some(SnapshotOffer { height: newer, digest, bytes: MAX_SNAPSHOT_BYTES + 1 }),
            _ => Some(SnapshotOffer { height: newer, digest, ..original.offer }),
        }
    }

    fn answer(self, original: &Original, question: Message) -> Option<Message> {
        let (digest, offset) = match question {
            Message::NeedSnapshot => return Some(Message::Snapshot { offer: self.offer(original) }),
            Message::NeedSnapshotPart { digest, offset } => (digest, offset),
            other => panic!("a node without blocks asks {other:?}"),
        };
        let begin = offset as usize;
        let mut bytes: Vec<u8> = original.bytes[begin..].iter().take(MAX_SNAPSHOT_PART_BYTES).copied().collect();
        match self {
            Self::Silent => return None,
            Self::Stopping(parts) if offset >= parts * MAX_SNAPSHOT_PART_BYTES as u64 => return None,
            Self::Forgetful => bytes.clear(),
            Self::Dripping => bytes.truncate(1),
            Self::Garbage => bytes.fill(0xEE),
            Self::Flipped if begin > 0 => bytes[1000] ^= 1,
            _ => {}
        }
        Some(Message::SnapshotPart { digest, offset, bytes: SnapshotBytes::new(bytes).unwrap() })
    }
}

/// A node without blocks.
struct Fresh {
    home: tempfile::TempDir,
    store: Arc<MemoryStore>,
}

impl Fresh {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), store: Arc::new(MemoryStore::new()) }
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("snapshots")
    }

    async fn fetch(&self, original: &Original, servers: &[&Server]) -> Option<Imported> {
        let (_places, validators) = watch::channel(Arc::default());
        let p2p = P2pConfig {
            listen: Vec::new(),
            identity: Keypair::generate_ed25519(),
            chain: original.id(),
            validator: None,
            static_peers: servers.iter().map(|server| server.address.clone()).collect(),
            bootnodes: Vec::new(),
            mdns: false,
            max_peers: 64,
            max_inbound_per_address: 64,
            validators,
            limits: Limits::default(),
        };
        fetch(p2p, &self.dir(), &original.genesis, self.store.clone()).await.unwrap()
    }

    /// Whether the database holds what the original's does.
    fn assert_is_copy(&self, original: &Original) {
        let store: Arc<dyn Store> = self.store.clone();
        let chain = ledger::open(store, &original.genesis, &mut |_| {}).unwrap().chain;
        let (own, theirs) = (chain.head(), original.chain.head());
        assert_eq!(own.block.id, theirs.block.id);
        assert_eq!(own.tree.root(), theirs.tree.root());
        assert_eq!(files(&self.dir()), Vec::<String>::new(), "nothing is left over");
    }
}

fn files(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_honest_peer_among_liars_is_enough_for_a_snapshot() {
    use Manner::{Boastful, Dripping, Endless, Flipped, Forgetful, Garbage, Honest, Silent, Without};
    let (original, fresh) = (Original::make(), Fresh::new());
    let mut servers = Vec::new();
    for manner in [Without, Endless, Forgetful, Silent, Dripping, Garbage, Flipped, Boastful, Honest] {
        servers.push((manner, Server::start(&original, manner).await));
    }
    let all: Vec<&Server> = servers.iter().map(|(_, server)| server).collect();
    let imported = fresh.fetch(&original, &all).await.expect("one of them is honest");
    assert_eq!(imported.height, original.offer.height);
    fresh.assert_is_copy(&original);
    for (manner, server) in &servers {
        let is_asked = !matches!(manner, Without | Endless);
        assert_eq!(server.asked().is_empty(), !is_asked, "{manner:?}: {:?}", server.asked());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_snapshot_is_gone_on_with() {
    let (original, fresh) = (Original::make(), Fresh::new());
    let part = MAX_SNAPSHOT_PART_BYTES as u64;
    let stopping = Server::start(&original, Manner::Stopping(2)).await;
    let partial = fresh.dir().join(format!("{}.partial", original.offer.digest));
    let has_come = |bytes| fs::metadata(&partial).is_ok_and(|found| found.len() == bytes);
    let servers = [&stopping];
    tokio::select! {
        _ = fresh.fetch(&original, &servers) => panic!("only two parts can be had"),
        () = eventually("two parts have come", || async { has_come(2 * part).then_some(()) }) => {}
    }
    let honest = Server::start(&original, Manner::Honest).await;
    assert!(fresh.fetch(&original, &[&honest]).await.is_some());
    assert_eq!(honest.asked().first(), Some(&(2 * part)), "{:?}", honest.asked());
    fresh.assert_is_copy(&original);
}

/// Whoever brought the wrong beginning is gone; the peer that goes on with it is not to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_beginning_is_fetched_again() {
    let (original, fresh) = (Original::make(), Fresh::new());
    fs::create_dir(fresh.dir()).unwrap();
    let mut begun = original.bytes[..100_000].to_vec();
    begun[70_000] ^= 1;
    fs::write(fresh.dir().join(format!("{}.partial", original.offer.digest)), begun).unwrap();
    let honest = Server::start(&original, Manner::Honest).await;
    assert!(fresh.fetch(&original, &[&honest]).await.is_some());
    assert!(honest.asked().contains(&100_000) && honest.asked().contains(&0), "{:?}", honest.asked());
    fresh.assert_is_copy(&original);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_offer_nothing_is_written() {
    let (original, fresh) = (Original::make(), Fresh::new());
    let servers = [Server::start(&original, Manner::Without).await, Server::start(&original, Manner::Flipped).await];
    assert!(fresh.fetch(&original, &[&servers[0], &servers[1]]).await.is_none());
    assert!(!servers[1].asked().is_empty());
    assert!(ledger::Summary::read(&*fresh.store).unwrap().is_none());
}

/// A follower, and a validator whose disk is gone, begin with a snapshot and go on with blocks.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_running_network_begin_with_a_snapshot() {
    const FOLLOWER: usize = 4;
    let mut cluster = Cluster::new(4, 1);
    for node in 0..4 {
        cluster.configure(node, "[advanced]\nsnapshot_interval_blocks = 10");
    }
    cluster.configure(FOLLOWER, "[advanced]\nsync_mode = \"snapshot\"");
    (0..4).for_each(|node| cluster.start(node));
    cluster.wait_height(&[0, 1, 2, 3], 25).await;
    cluster.start(FOLLOWER);
    cluster.ready(&[FOLLOWER]).await;
    cluster.wait_equal(&[0, FOLLOWER]).await;
    let log = cluster.process(FOLLOWER).output();
    assert!(log.contains("the snapshot is right"), "{log}");
    assert!(oldest_body(&cluster, FOLLOWER).await >= 10);

    assert_eq!(cluster.stop(3).await, Some(0));
    for lost in ["db", "logs", "snapshots"] {
        fs::remove_dir_all(cluster.data_dir(3).join(lost)).unwrap();
    }
    let config = fs::read_to_string(cluster.config(3)).unwrap();
    fs::write(cluster.config(3), config.replace("snapshot_interval_blocks = 10", "sync_mode = \"snapshot\"")).unwrap();
    cluster.start(3);
    cluster.ready(&[3]).await;
    assert!(oldest_body(&cluster, 3).await >= 10);
    // Three of four are a quorum: blocks go on only if it signs again.
    cluster.kill(0);
    let height = cluster.height(&[1, 2, 3]).await;
    cluster.wait_height(&[1, 2, 3], height + 5).await;
    cluster.start(0);
    cluster.wait_equal(&[0, 1, 2, 3, FOLLOWER]).await;
}

async fn oldest_body(cluster: &Cluster, node: usize) -> u64 {
    let info = http::result(cluster.rpc(node), "node_info", json!({})).await;
    info["oldest_body"].as_str().unwrap_or_else(|| panic!("{info}")).parse().unwrap()
}
