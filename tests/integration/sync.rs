//! A fresh node gets a long chain from one other, is killed in the middle, goes on where it was and ends
//! with the same state. And it gets there with one honest peer among liars.
//!
//! `CHAIN_SYNC_BLOCKS=10000` makes the chain longer; the times are printed.

use chain_core::block::{Body, FinalBlock};
use chain_core::codec::List;
use chain_core::consensus;
use chain_core::crypto::Hash;
use chain_core::types::{Height, View};
use chain_core::wire::{Lane, Message};
use chain_node::p2p::NetworkEvent;
use chain_tests::archive::Archive;
use chain_tests::cluster::{Cluster, succeed};
use chain_tests::devnet::chain_node;
use chain_tests::eventually;
use chain_tests::peer::{TestPeer, multiaddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Validators of the chain; none of them runs.
const VALIDATORS: usize = 4;
/// The node that has the chain.
const SOURCE: usize = 4;
/// The node that has nothing.
const FRESH: usize = 5;
/// What liars say their height is.
const BOAST: u64 = 1_000_000_000;

fn length() -> u64 {
    std::env::var("CHAIN_SYNC_BLOCKS").map_or(1_000, |text| text.parse().unwrap())
}

/// A source that has a chain of this length and nobody to talk to, and a fresh node that knows nobody.
fn prepared(length: u64) -> (Cluster, Archive) {
    let mut cluster = Cluster::new(VALIDATORS, 2);
    let since = Instant::now();
    let archive = Archive::grow(&cluster, length);
    archive.write(&cluster.data_dir(SOURCE));
    println!("{length} blocks made in {:?}", since.elapsed());
    cluster.set(SOURCE, "P2P_PEERS", "");
    cluster.set(FRESH, "P2P_PEERS", "");
    (cluster, archive)
}

/// What `db verify` finds: height, hash and state root.
fn verified(cluster: &Cluster, node: usize) -> String {
    succeed(chain_node().args(["db", "verify", "--data-dir"]).arg(cluster.data_dir(node)))
}

fn verified_height(cluster: &Cluster, node: usize) -> u64 {
    let found = verified(cluster, node);
    let height = found.strip_prefix("height ").and_then(|rest| rest.split(',').next());
    height.unwrap_or_else(|| panic!("{found}")).parse().unwrap()
}

/// Waits for a height step by step: a long chain takes longer than anything else may.
async fn comes_to(cluster: &Cluster, height: u64) {
    for step in (0..height).step_by(250).chain([height]) {
        cluster.wait_height(&[FRESH], step).await;
    }
}

/// Starts the fresh node, kills it after a third of the chain, starts it again.
async fn resumes(mut cluster: Cluster, archive: &Archive) {
    let length = archive.height().get();
    cluster.start(SOURCE);
    cluster.wait_height(&[SOURCE], length).await;
    let since = Instant::now();
    cluster.start(FRESH);
    comes_to(&cluster, length / 3).await;
    let seen = cluster.height(&[FRESH]).await;
    cluster.kill(FRESH);
    assert!(seen < length, "it was through before it could be killed; set CHAIN_SYNC_BLOCKS higher");
    let left = verified_height(&cluster, FRESH);
    assert!(left >= seen, "block {seen} was shown, and {left} is left of it");
    cluster.start(FRESH);
    comes_to(&cluster, length).await;
    println!("{length} blocks synced in {:?}, killed at {seen}", since.elapsed());
    let head = cluster.wait_equal(&[SOURCE, FRESH]).await;
    assert_eq!((head.height, head.hash), (length, archive.head_hash()));
    let log = cluster.process(FRESH).output();
    for node in [SOURCE, FRESH] {
        assert_eq!(cluster.stop(node).await, Some(0));
    }
    assert!(log.contains("the state agrees with the head"), "{log}");
    assert_eq!(verified(&cluster, FRESH), verified(&cluster, SOURCE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_verifies_a_long_chain_and_resumes_after_a_kill() {
    let (mut cluster, archive) = prepared(length());
    cluster.set(FRESH, "P2P_PEERS", &multiaddr(cluster.p2p(SOURCE)));
    resumes(cluster, &archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_trusts_certificates_and_resumes_after_a_kill() {
    let (mut cluster, archive) = prepared(length());
    cluster.set(FRESH, "P2P_PEERS", &multiaddr(cluster.p2p(SOURCE)));
    cluster.configure(FRESH, "[advanced]\nsync_mode = \"certificate\"");
    resumes(cluster, &archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_that_reaches_an_rpc_url_alone_resumes_after_a_kill() {
    let (mut cluster, archive) = prepared(length());
    cluster.set(FRESH, "RPC_PEERS", &format!("http://{}", cluster.rpc(SOURCE)));
    resumes(cluster, &archive).await;
}

/// How a peer answers the question for blocks.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// It has none after all.
    Empty,
    /// Not at all.
    Silence,
    /// With bytes that are no message.
    Garbage,
    /// With blocks of other heights.
    OtherHeights,
    /// With headers that name another state, under the certificates of the true ones.
    OtherState,
    /// With other transactions below true headers.
    OtherBodies,
    /// With a signature too few.
    TooFewSignatures,
    /// With one signature of nobody.
    FalseSignature,
}

const LIES: [Lie; 8] = [
    Lie::Empty,
    Lie::Silence,
    Lie::Garbage,
    Lie::OtherHeights,
    Lie::OtherState,
    Lie::OtherBodies,
    Lie::TooFewSignatures,
    Lie::FalseSignature,
];

impl Lie {
    /// What it sends on the bulk lane instead of the truth.
    fn answer(self, archive: &Archive, from: Height, count: u32) -> Option<Vec<u8>> {
        let start = if let Self::OtherHeights = self { from.saturating_add(1) } else { from };
        let mut blocks = archive.blocks(start, count);
        match self {
            Self::Empty => blocks.clear(),
            Self::Silence => return None,
            Self::Garbage => return Some(vec![0xEE; 4096]),
            _ => blocks.iter_mut().for_each(|block| self.spoil(block)),
        }
        let blocks = List::new(blocks).unwrap();
        Some(Message::Blocks { from, blocks, head: Height::new(BOAST), oldest: Height::ZERO }.encode())
    }

    fn spoil(self, FinalBlock { block, certificate }: &mut FinalBlock) {
        let certificate = certificate.as_mut().unwrap();
        let mut signatures = certificate.signatures.clone().into_inner();
        match self {
            Self::OtherState => block.header.state_root = Hash([7; 32]),
            Self::OtherBodies => block.body = Body::new(vec![vec![7; 200]]),
            Self::TooFewSignatures => drop(signatures.pop()),
            Self::FalseSignature => signatures.last_mut().unwrap().0[5] ^= 1,
            Self::Empty | Self::Silence | Self::Garbage | Self::OtherHeights => {}
        }
        certificate.signatures = List::new(signatures).unwrap();
    }
}

/// Boasts, and answers questions with lies; counts them.
async fn lie(lie: Lie, mut peer: TestPeer, archive: Arc<Archive>, asked: Arc<AtomicU64>) {
    loop {
        match peer.forever().await {
            NetworkEvent::Joined { peer: node, .. } => {
                let message = consensus::Message::Status { height: Height::new(BOAST), view: View::ZERO };
                let boast = Message::Agreement { message, block: None };
                peer.say(node, &boast);
            }
            NetworkEvent::Frame { from: node, lane: Lane::Bulk, bytes } => {
                let Ok(Message::NeedBlocks { from, count }) = Message::decode(&bytes, Lane::Bulk) else { continue };
                asked.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = lie.answer(&archive, from, count) {
                    peer.network.send(&[node], Lane::Bulk, answer.into());
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_honest_peer_among_liars_is_enough() {
    let (mut cluster, archive) = prepared(600);
    let archive = Arc::new(archive);
    cluster.start(FRESH);
    cluster.wait_height(&[FRESH], 0).await;
    let mut asked = Vec::new();
    for kind in LIES {
        let count = Arc::new(AtomicU64::new(0));
        let peer = TestPeer::start(archive.chain, None, &[cluster.p2p(FRESH)]).await;
        tokio::spawn(lie(kind, peer, archive.clone(), count.clone()));
        asked.push((kind, count));
    }
    for (kind, count) in &asked {
        eventually(&format!("{kind:?} is asked"), || async { (count.load(Ordering::Relaxed) > 0).then_some(()) }).await;
    }
    assert_eq!(cluster.height(&[FRESH]).await, 0, "lies were believed");
    cluster.set(SOURCE, "P2P_PEERS", &multiaddr(cluster.p2p(FRESH)));
    cluster.start(SOURCE);
    cluster.wait_height(&[FRESH], archive.height().get()).await;
    let head = cluster.head(FRESH).await.unwrap();
    assert_eq!((head.height, head.hash), (archive.height().get(), archive.head_hash()));
    assert!(cluster.metric(FRESH, "blockchain_p2p_bans_total").await >= 1.0, "garbage is a reason for a ban");
    for node in [SOURCE, FRESH] {
        assert_eq!(cluster.stop(node).await, Some(0));
    }
    assert_eq!(verified(&cluster, FRESH), verified(&cluster, SOURCE));
}
