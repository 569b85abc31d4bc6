//! Several validators over a real network: they agree, go on without one of four, come back after
//! all were killed, and finalize nothing where half of the votes is missing.

use chain_tests::cluster::{Cluster, Head};
use chain_tests::eventually;
use chain_tests::peer::multiaddr;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So many blocks are enough to see every validator propose.
const BLOCKS: u64 = 8;

async fn goes_on(cluster: &Cluster, nodes: &[usize]) -> Head {
    let height = cluster.height(nodes).await;
    cluster.wait_height(nodes, height + BLOCKS).await;
    cluster.wait_equal(nodes).await
}

/// None of these nodes gets further while `meanwhile` goes on.
async fn stands_still(cluster: &Cluster, nodes: &[usize], meanwhile: impl Future<Output = ()>) {
    // What was decided before the partition may still arrive within one site.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = cluster.height(nodes).await;
    meanwhile.await;
    assert_eq!(cluster.height(nodes).await, before, "half of the votes made a block final");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_and_a_follower_agree_and_take_turns() {
    let mut cluster = Cluster::new(4, 1);
    cluster.up().await;
    let head = goes_on(&cluster, &cluster.all()).await;
    let mut proposers = BTreeSet::new();
    let client = cluster.client(4).await;
    for height in 1..=head.height {
        let params = serde_json::json!({ "block": height.to_string() });
        let header = chain_tests::http::result(cluster.rpc(4), "get_header", params).await;
        proposers.insert(header["header"]["proposer"].as_str().unwrap().to_owned());
    }
    assert_eq!(proposers.len(), 4, "everybody proposes");
    assert!(client.peers().await.unwrap().count >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_sent_to_any_node_is_final_on_every_other() {
    let mut cluster = Cluster::new(4, 1);
    cluster.up().await;
    let (from, to) = (&cluster.wallets()[0], &cluster.wallets()[1]);
    for (nonce, node) in cluster.all().into_iter().enumerate() {
        let signed = from.pay(nonce as u64, to.address, 7);
        let sent = cluster.client(node).await.send_raw(signed.bytes()).await.unwrap();
        for other in cluster.all() {
            let client = cluster.client(other).await;
            eventually("the payment is final", || async {
                client.get_tx(sent.tx_id, false).await.unwrap().outcome.filter(|outcome| outcome.ok).map(drop)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_go_on_and_the_fourth_comes_back() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    goes_on(&cluster, &[0, 1, 2, 3]).await;
    cluster.kill(2);
    goes_on(&cluster, &[0, 1, 3]).await;
    cluster.start(2);
    goes_on(&cluster, &[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_killed_as_a_whole_continues() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    for _ in 0..3 {
        let before = goes_on(&cluster, &[0, 1, 2, 3]).await;
        cluster.kill_all();
        cluster.up().await;
        for node in cluster.all() {
            assert_eq!(cluster.hash_at(node, before.height).await, before.hash, "a final block stays");
        }
    }
    goes_on(&cluster, &[0, 1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orderly_stops_one_after_the_other_stop_nothing_else() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    for node in cluster.all() {
        assert_eq!(cluster.stop(node).await, Some(0));
        let others: Vec<usize> = cluster.all().into_iter().filter(|other| *other != node).collect();
        goes_on(&cluster, &others).await;
        cluster.start(node);
        goes_on(&cluster, &cluster.all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_slow_lines_they_agree() {
    let mut cluster = Cluster::new(4, 0);
    cluster.delay(Duration::from_millis(30), |from, to| (from < 2) != (to < 2)).await;
    cluster.up().await;
    goes_on(&cluster, &[0, 1, 2, 3]).await;
}

/// Partitions 2/2 and 3/1 by a link between network namespaces.
async fn apart(site_of: &[usize]) {
    let mut cluster = match Cluster::at_sites(site_of) {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("skipped: no network namespaces here: {why}");
            return;
        }
    };
    let all = cluster.all();
    let sites = [0, 1].map(|site| all.iter().copied().filter(|node| site_of[*node] == site).collect::<Vec<_>>());
    cluster.up().await;
    goes_on(&cluster, &all).await;
    cluster.sites().cut();
    match sites.iter().find(|site| site.len() == 3) {
        Some(most) => {
            let rest: Vec<usize> = all.iter().copied().filter(|node| !most.contains(node)).collect();
            stands_still(&cluster, &rest, async { drop(goes_on(&cluster, most).await) }).await;
        }
        None => stands_still(&cluster, &all, tokio::time::sleep(Duration::from_secs(5))).await,
    }
    cluster.sites().heal();
    let healed = Instant::now();
    goes_on(&cluster, &all).await;
    println!("{site_of:?}: {BLOCKS} blocks more on all nodes, and equal, {:?} after healing", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_and_two_apart_make_nothing_final() {
    apart(&[0, 0, 1, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_and_one_apart_go_on_where_the_three_are() {
    apart(&[0, 0, 0, 1]).await;
}

/// Nobody is told of anybody: over a link that carries multicast they find each other.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_local_network_find_each_other() {
    let mut cluster = match Cluster::at_sites(&[0, 0, 1]) {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("skipped: no network namespaces here: {why}");
            return;
        }
    };
    for node in cluster.all() {
        cluster.set(node, "P2P_PEERS", "");
        cluster.configure(node, "p2p_mdns = true");
        cluster.start(node);
    }
    goes_on(&cluster, &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_knows_a_bootnode_alone_follows() {
    let mut cluster = Cluster::new(4, 1);
    cluster.set(4, "P2P_PEERS", "");
    cluster.configure(4, &format!("p2p_bootnodes = [\"{}\"]", multiaddr(cluster.p2p(0))));
    cluster.up().await;
    goes_on(&cluster, &cluster.all()).await;
}
