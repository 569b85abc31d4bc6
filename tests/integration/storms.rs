//! Crashes of a network under load: `kill -9` again and again, single nodes and all at once; and the
//! power of one machine cut again and again. What was acknowledged survives, nobody contradicts itself.

use chain_core::storage::{SignFile, SignOwner};
use chain_tests::cluster::Cluster;
use chain_tests::devnet::copy_dir;
use chain_tests::eventually;
use chain_tests::peer::Ear;
use chain_tests::power::Disk;
use chain_tests::senders::Sender;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How often something is killed; `CHAIN_KILLS` says otherwise.
const KILLS: u32 = 50;
/// Every so many times it is all of them.
const ALL_AT_ONCE: u32 = 10;
/// How often the power is cut; `CHAIN_POWER_CUTS` says otherwise.
const CUTS: u32 = 10;
/// Whose power is cut.
const CUT: usize = 3;

fn number<T: std::str::FromStr>(variable: &str, otherwise: T) -> T {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

fn rng() -> StdRng {
    let seed = number("CHAIN_SEED", rand::random());
    println!("replay with CHAIN_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// An ear at every node.
async fn listen(cluster: &Cluster) -> Ear {
    let nodes: Vec<_> = cluster.all().into_iter().map(|node| cluster.p2p(node)).collect();
    Ear::start(cluster.genesis().chain_id(), cluster.seed(0), &nodes).await
}

/// Everything that was promised is there, everybody agrees, nothing appeared or vanished.
async fn settle(cluster: &mut Cluster, senders: Vec<Sender>, ear: &Ear) {
    cluster.up().await;
    for sender in senders {
        let address = sender.address;
        let (executed, dropped) = sender.finish(cluster).await;
        println!("{address}: {executed} final, {dropped} dropped");
        assert!(executed > 0, "nothing was acknowledged to {address}");
    }
    cluster.wait_equal(&cluster.all()).await;
    ear.assert_nobody_contradicts_itself();
    for node in cluster.all() {
        let log = cluster.process(node).output();
        for words in ["contradicted itself", "met a conflict"] {
            assert!(!log.contains(words), "node-{node}: {words}");
        }
        for supply in cluster.client(node).await.get_supply().await.unwrap().assets {
            assert!(supply.conserved, "node-{node}: {supply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_some_and_of_all_lose_nothing_that_was_acknowledged() {
    let mut rng = rng();
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let mut ear = listen(&cluster).await;
    let senders: Vec<_> = cluster.all().into_iter().map(|node| Sender::start(&cluster, node)).collect();
    for kill in 1..=number("CHAIN_KILLS", KILLS) {
        // How long they live before the next one: the load goes on meanwhile.
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..=500))).await;
        if kill % ALL_AT_ONCE != 0 {
            let node = rng.random_range(0..cluster.len());
            cluster.kill(node);
            cluster.start(node);
            ear.attend(cluster.p2p(node)).await;
            continue;
        }
        cluster.up().await;
        let before = cluster.wait_equal(&cluster.all()).await;
        cluster.kill_all();
        cluster.up().await;
        for node in cluster.all() {
            ear.attend(cluster.p2p(node)).await;
        }
        cluster.wait_height(&cluster.all(), before.height + 2).await;
        for node in cluster.all() {
            assert_eq!(cluster.hash_at(node, before.height).await, before.hash, "kill {kill}: a final block went");
        }
    }
    settle(&mut cluster, senders, &ear).await;
}

/// The machine that has no such disk is told about.
fn disk(dir: &Path) -> Option<Disk> {
    Disk::new(dir).inspect_err(|why| eprintln!("skipped: no disk whose power can be cut: {why}")).ok()
}

#[test]
fn a_disk_whose_power_is_cut_holds_what_was_synced_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = disk(home.path()) else { return };
    let [kept, lost] = ["kept", "lost"].map(|name| disk.path().join(name));
    fs::write(&kept, "synced").unwrap();
    disk.sync();
    fs::write(&lost, "not synced").unwrap();
    disk.keep();
    disk.cut();
    assert_eq!(fs::read_to_string(kept).unwrap(), "synced");
    assert!(!fs::read_to_string(lost).is_ok_and(|text| text == "not synced"));
}

/// Moves a validator's data and sign state onto a disk of its own.
fn move_onto(cluster: &Cluster, disk: &Disk) {
    let from = cluster.data_dir(CUT);
    copy_dir(&from, &disk.path().join("node"));
    fs::copy(cluster.dir().join(format!("node-{CUT}.sign_state")), disk.path().join("node.sign_state")).unwrap();
    fs::remove_dir_all(&from).unwrap();
    // Whoever set a machine up has waited for this.
    disk.sync();
}

/// Whether every thread of a process is stopped: none is on its way to the disk.
fn stands(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_of_one_of_four_lose_nothing_and_make_nobody_sign_twice() {
    let mut rng = rng();
    let mut cluster = Cluster::new(4, 0);
    let Some(disk) = disk(cluster.dir().parent().unwrap()) else { return };
    let (own, chain) = (cluster.key(CUT).public(), cluster.genesis().chain_id());
    move_onto(&cluster, &disk);
    cluster.set(CUT, "DATA_DIR", disk.path().join("node").to_str().unwrap());
    cluster.up().await;
    let mut ear = listen(&cluster).await;
    let senders = vec![Sender::start(&cluster, CUT), Sender::start(&cluster, 0)];
    for cut in 0..number("CHAIN_POWER_CUTS", CUTS) {
        let (height, promised) = (cluster.height(&[0]).await, senders[0].acknowledged().len());
        cluster.wait_height(&[CUT], height + 2).await;
        eventually("something is promised", || async { (senders[0].acknowledged().len() > promised).then_some(()) })
            .await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=300))).await;
        cluster.process(CUT).signal("STOP");
        let process = cluster.process(CUT).id();
        eventually("every thread stands", || async { stands(process).then_some(()) }).await;
        disk.keep();
        cluster.kill(CUT);
        disk.cut();
        let heard = ear.newest_vote(own).expect("it has voted");
        let (_, mark) = SignFile::open(&disk.path().join("node.sign_state"), SignOwner::new(&chain, &own)).unwrap();
        let mark = mark.expect("the sign state was there from the start");
        assert!((mark.height, mark.view) >= heard, "cut {cut}: it voted in {heard:?} and remembers {mark:?}");
        cluster.start(CUT);
        ear.attend(cluster.p2p(CUT)).await;
        cluster.ready(&[CUT]).await;
    }
    settle(&mut cluster, senders, &ear).await;
    // Unmounted last.
    drop(cluster);
    drop(disk);
}
