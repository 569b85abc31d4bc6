//! One key, one voice: a copy of a running validator, a restored backup and a lost memory of what was
//! signed lead to no two words that exclude each other, and stop nobody else.

use chain_core::crypto::PublicKey;
use chain_core::types::Height;
use chain_rpc::view::{BlockRef, HeadView, Include};
use chain_tests::cluster::Cluster;
use chain_tests::devnet::{Process, chain_node, copy_dir};
use chain_tests::eventually;
use chain_tests::peer::Ear;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

/// Whose key it is about.
const GUARDED: usize = 3;
const OTHERS: [usize; 3] = [0, 1, 2];
/// Enough blocks for everybody to be asked for a proposal.
const BLOCKS: u64 = 8;

/// Four validators that run, and an ear at each of them.
async fn heard() -> (Cluster, Ear, PublicKey) {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let nodes: Vec<_> = cluster.all().into_iter().map(|node| cluster.p2p(node)).collect();
    let ear = Ear::start(cluster.genesis().chain_id(), cluster.seed(0), &nodes).await;
    let guarded = cluster.key(GUARDED).public();
    eventually("its votes are heard", || async { ear.newest_vote(guarded) }).await;
    (cluster, ear, guarded)
}

async fn start_again(cluster: &mut Cluster, ear: &mut Ear) {
    cluster.start(GUARDED);
    ear.attend(cluster.p2p(GUARDED)).await;
}

async fn goes_on(cluster: &Cluster, nodes: &[usize]) {
    let height = cluster.height(nodes).await;
    cluster.wait_height(nodes, height + BLOCKS).await;
    cluster.wait_equal(nodes).await;
}

fn sign_state(cluster: &Cluster) -> PathBuf {
    cluster.dir().join(format!("node-{GUARDED}.sign_state"))
}

async fn block(cluster: &Cluster, height: Height) -> HeadView {
    cluster.client(0).await.get_block(BlockRef::Height(height), Include::None).await.unwrap().head
}

/// Waits until it votes above a height again; answers where it began.
async fn votes_above(ear: &Ear, signer: PublicKey, height: Height) -> Height {
    eventually("it votes again", || async { ear.votes(signer).range(height.next()..).next().copied() }).await
}

/// Waits until the proof of a block from a height on holds a validator's vote.
async fn carries_a_vote(cluster: &Cluster, signer: PublicKey, from: u64) {
    let set = cluster.genesis().validator_set().unwrap();
    let (place, members) = (set.index_of(&signer).unwrap(), set.members().len());
    let client = &cluster.client(0).await;
    eventually("it signs with the others", || async {
        for height in from..=cluster.height(&[0]).await {
            let found = client.get_certificate(BlockRef::Height(Height::new(height))).await.unwrap();
            if found.certificate.is_some_and(|proof| proof.signers.places(members).unwrap().contains(&place)) {
                return Some(());
            }
        }
        None
    })
    .await;
}

/// The chain goes on without a halt, and nobody has seen anybody contradict itself.
async fn unharmed(cluster: &mut Cluster, ear: &Ear, nodes: &[usize]) {
    goes_on(cluster, nodes).await;
    ear.assert_nobody_contradicts_itself();
    for node in nodes {
        let log = cluster.process(*node).output();
        for words in ["contradicted itself", "met a conflict"] {
            assert!(!log.contains(words), "node-{node}: {words}");
        }
    }
}

/// The port a node says it listens on for peers.
fn listening_port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening for peers address=/ip4/127.0.0.1/tcp/")?;
    rest.lines().next()?.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_validator_ends_and_nothing_conflicts() {
    let (mut cluster, mut ear, guarded) = heard().await;
    assert_eq!(cluster.stop(GUARDED).await, Some(0));
    let copy = cluster.beside("copy");
    copy_dir(&cluster.data_dir(GUARDED), &copy);
    fs::copy(sign_state(&cluster), cluster.beside("copy.sign_state")).unwrap();
    fs::remove_file(copy.join("p2p_key")).unwrap();
    let height = cluster.height(&OTHERS).await;
    start_again(&mut cluster, &mut ear).await;
    goes_on(&cluster, &cluster.all()).await;
    carries_a_vote(&cluster, guarded, height + 2).await;
    let mut command = chain_node();
    command.arg("run").arg("--config").arg(cluster.config(GUARDED)).arg("--data-dir").arg(&copy);
    command.args(["--rpc-port", "0", "--p2p-port", "0", "--metrics-port", "0"]);
    let mut clone = Process::start(&mut command, &cluster.beside("copy.log"));
    let own = eventually("the copy listens", || {
        let port = listening_port(&clone.output());
        async move { port }
    })
    .await;
    ear.attend(SocketAddr::from(([127, 0, 0, 1], own))).await;
    assert_eq!(clone.end().await.code(), Some(5), "{}", clone.output());
    unharmed(&mut cluster, &ear, &[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_signs_nothing_again_and_votes_later() {
    let (mut cluster, mut ear, guarded) = heard().await;
    assert_eq!(cluster.stop(GUARDED).await, Some(0));
    let backup = cluster.beside("backup");
    copy_dir(&cluster.data_dir(GUARDED), &backup);
    start_again(&mut cluster, &mut ear).await;
    goes_on(&cluster, &cluster.all()).await;
    let (before, _) = ear.newest_vote(guarded).unwrap();
    cluster.kill(GUARDED);
    fs::remove_dir_all(cluster.data_dir(GUARDED)).unwrap();
    copy_dir(&backup, &cluster.data_dir(GUARDED));
    start_again(&mut cluster, &mut ear).await;
    cluster.ready(&[GUARDED]).await;
    votes_above(&ear, guarded, before).await;
    unharmed(&mut cluster, &ear, &[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_without_its_sign_state_waits_and_then_votes_again() {
    let (mut cluster, mut ear, guarded) = heard().await;
    assert_eq!(cluster.stop(GUARDED).await, Some(0));
    let (before, _) = ear.newest_vote(guarded).unwrap();
    fs::remove_file(sign_state(&cluster)).unwrap();
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    start_again(&mut cluster, &mut ear).await;
    cluster.ready(&[GUARDED]).await;
    assert!(cluster.process(GUARDED).output().contains("no sign state"));
    let first = votes_above(&ear, guarded, before).await;
    let waited_for = block(&cluster, Height::new(first.get() - 2)).await;
    let newer = waited_for.timestamp.get().saturating_sub(started);
    assert!(newer > chain_core::limits::WIPED_WAIT_MS, "it voted for {first} when {newer} ms had passed");
    unharmed(&mut cluster, &ear, &[0, 1, 2, 3]).await;
}

/// Waits until the guarded validator finds that its memory is too old, or ends.
async fn notices(cluster: &mut Cluster) -> bool {
    let process = cluster.process(GUARDED);
    let noticed = eventually("it notices", || {
        let (ended, log) = (process.ended(), process.output());
        let noticed = log.contains("memory of what it signed is too old").then_some(true);
        async move { noticed.or_else(|| ended.map(|_| false)) }
    });
    let noticed = noticed.await;
    if !noticed {
        assert_eq!(cluster.end(GUARDED).await, Some(5));
    }
    noticed
}

/// Directory and sign state of the same moment, put back together: nothing in them tells that they are old.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_everything_is_noticed_and_waits() {
    let (mut cluster, mut ear, guarded) = heard().await;
    assert_eq!(cluster.stop(GUARDED).await, Some(0));
    let (backup, memory) = (cluster.beside("backup"), cluster.beside("memory"));
    copy_dir(&cluster.data_dir(GUARDED), &backup);
    fs::copy(sign_state(&cluster), &memory).unwrap();
    start_again(&mut cluster, &mut ear).await;
    // Without another one every block needs its vote.
    cluster.kill(0);
    let height = cluster.height(&[1, 2]).await;
    cluster.wait_height(&[1, 2], height + 4).await;
    let (before, _) = ear.newest_vote(guarded).unwrap();
    cluster.kill(GUARDED);
    cluster.start(0);
    ear.attend(cluster.p2p(0)).await;
    fs::remove_dir_all(cluster.data_dir(GUARDED)).unwrap();
    copy_dir(&backup, &cluster.data_dir(GUARDED));
    fs::copy(&memory, sign_state(&cluster)).unwrap();
    start_again(&mut cluster, &mut ear).await;
    if !notices(&mut cluster).await {
        // It heard its own vote for the height it was at, and ended: a second node could be running.
        start_again(&mut cluster, &mut ear).await;
        assert!(notices(&mut cluster).await, "none is running");
    }
    assert!(fs::read(sign_state(&cluster)).unwrap().is_empty(), "it is thrown away for the next start, too");
    votes_above(&ear, guarded, before).await;
    unharmed(&mut cluster, &ear, &[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_move_past_a_dead_leader() {
    let (mut cluster, ear, dead) = heard().await;
    cluster.kill(GUARDED);
    // What was proposed before may still become final.
    let from = cluster.height(&OTHERS).await + 2;
    cluster.wait_height(&OTHERS, from + 2 * BLOCKS).await;
    let (mut views, mut proposers) = (BTreeSet::new(), BTreeSet::new());
    for height in from..from + 2 * BLOCKS {
        let head = block(&cluster, Height::new(height)).await;
        views.insert(head.view.get());
        proposers.insert(head.proposer);
    }
    assert!(views.iter().any(|view| *view > 0), "it was never the dead one's turn: {views:?}");
    assert!(!proposers.contains(&dead) && proposers.len() == 3, "{proposers:?}");
    unharmed(&mut cluster, &ear, &OTHERS).await;
}
