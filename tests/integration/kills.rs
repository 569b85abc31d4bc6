//! `kill -9` under load, again and again: what was acknowledged survives, nothing happens twice.

use chain_core::types::{AssetId, Height, TxId};
use chain_rpc::client::Client;
use chain_rpc::view::{BlockRef, HeadView, Include, StatusName, U64};
use chain_tests::cluster::Cluster;
use chain_tests::devnet::{Devnet, chain_node};
use chain_tests::eventually;
use chain_tests::wallet::{FEE, Wallet};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the node is killed.
const KILLS: u32 = 50;
/// Accounts that send at the same time.
const SENDERS: usize = 4;
/// Transactions of one sender sent in one request, in turn.
const BULKS: [usize; 3] = [1, 1, 7];

/// What one sender knows.
#[derive(Default)]
struct Sender {
    /// The next nonce, as far as acknowledged.
    nonce: u64,
    /// Acknowledged transactions that have not been seen final.
    open: BTreeMap<u64, TxId>,
    /// Acknowledged transactions that have.
    done: Vec<(TxId, Height)>,
}

/// Sends from the next nonce on until the node is gone; answers with what was acknowledged.
async fn send(client: Arc<Client>, wallet: Arc<Wallet>, to: Arc<Wallet>, mut nonce: u64) -> Vec<(u64, TxId)> {
    let mut acknowledged = Vec::new();
    for bulk in BULKS.iter().cycle() {
        let batch: Vec<_> = (nonce..nonce + *bulk as u64).map(|nonce| wallet.pay(nonce, to.address, 1)).collect();
        let bytes: Vec<_> = batch.iter().map(|tx| tx.bytes().to_vec()).collect();
        // No answer: whether they were taken is not known. The account's nonce will tell.
        let Ok(answer) = client.send_many(&bytes).await else { break };
        for (tx, verdict) in batch.iter().zip(answer.results) {
            match verdict {
                chain_rpc::view::SendVerdict::Taken(taken) => {
                    assert_eq!(taken.tx_id, tx.id());
                    if matches!(taken.status, StatusName::Pending | StatusName::Final) {
                        acknowledged.push((nonce, taken.tx_id));
                        nonce += 1;
                    }
                }
                chain_rpc::view::SendVerdict::Refused { error } => {
                    // The lane is full until the next block; what follows has a gap before it.
                    let full = ["lane_full", "nonce_too_high"].contains(&error.data.reason.as_str());
                    assert!(full, "{error:?}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    break;
                }
            }
        }
    }
    acknowledged
}

/// Every acknowledged transaction is there; those that are final are put aside.
async fn settle(client: &Client, sender: &mut Sender, wallet: &Wallet) {
    for (nonce, id) in std::mem::take(&mut sender.open) {
        let seen = client.get_tx(id, false).await.unwrap();
        match seen.status {
            StatusName::Final => {
                assert!(seen.outcome.is_some_and(|outcome| outcome.ok), "nonce {nonce} failed");
                sender.done.push((id, seen.height.unwrap()));
            }
            StatusName::Pending => {
                sender.open.insert(nonce, id);
            }
            other => panic!("nonce {nonce} of {} was acknowledged and is {other:?}", wallet.address),
        }
    }
    let U64(next) = client.get_account(wallet.address).await.unwrap().next_nonce;
    assert!(next >= sender.nonce, "the nonce went from {} back to {next}", sender.nonce);
    sender.nonce = next;
}

async fn assert_conserved(client: &Client) {
    for supply in client.get_supply().await.unwrap().assets {
        assert!(supply.conserved, "{supply:?}");
        let exists = supply.in_accounts.get() + supply.burned.get();
        assert_eq!(exists, supply.minted.get(), "{supply:?}");
    }
}

fn seed() -> u64 {
    let given = std::env::var("CHAIN_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_under_load_lose_nothing_that_was_acknowledged() {
    let seed = seed();
    println!("replay with CHAIN_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut devnet = Devnet::start().await;
    let wallets: Vec<Arc<Wallet>> = devnet.wallets().into_iter().map(Arc::new).collect();
    let receiver = wallets[SENDERS].clone();
    let start = devnet.client().await.get_balance(receiver.address, AssetId::NATIVE).await.unwrap().balance.get();
    let mut senders: Vec<Sender> = (0..SENDERS).map(|_| Sender::default()).collect();
    let mut highest: Option<HeadView> = None;
    for kill in 0..KILLS {
        let client = Arc::new(devnet.client().await);
        let start_sender = |(sender, wallet): (&Sender, &Arc<Wallet>)| {
            tokio::spawn(send(client.clone(), wallet.clone(), receiver.clone(), sender.nonce))
        };
        let tasks: Vec<_> = senders.iter().zip(&wallets).map(start_sender).collect();
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..=400))).await;
        if let Ok(head) = client.get_head().await {
            highest = Some(head);
        }
        devnet.kill();
        for (sender, task) in senders.iter_mut().zip(tasks) {
            let acknowledged = task.await.unwrap();
            sender.nonce += acknowledged.len() as u64;
            sender.open.extend(acknowledged);
        }
        devnet.up().await;
        let client = devnet.client().await;
        let log = devnet.process().output();
        assert!(log.contains("the state agrees with the head"), "kill {kill}: {log}");
        if let Some(seen) = &highest {
            let block = client.get_block(BlockRef::Height(seen.height), Include::None).await.unwrap();
            assert_eq!((block.head.hash, block.head.state_root), (seen.hash, seen.state_root), "kill {kill}");
        }
        for (sender, wallet) in senders.iter_mut().zip(&wallets) {
            settle(&client, sender, wallet).await;
        }
        if kill % 10 == 0 {
            assert_conserved(&client).await;
        }
    }
    finish(&devnet, senders, &wallets, start).await;
    assert_eq!(devnet.stop("TERM").await, Some(0));
    let verified = chain_node().args(["db", "verify", "--data-dir"]).arg(devnet.data_dir()).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

async fn finish(devnet: &Devnet, mut senders: Vec<Sender>, wallets: &[Arc<Wallet>], start: u128) {
    let client = &devnet.client().await;
    let mut paid = 0;
    for (sender, wallet) in senders.iter_mut().zip(wallets) {
        let goal = sender.nonce;
        eventually("everything pooled is executed", || async move {
            let account = client.get_account(wallet.address).await.unwrap();
            (account.nonce.0 >= goal).then_some(())
        })
        .await;
        settle(client, sender, wallet).await;
        assert!(sender.open.is_empty(), "acknowledged and not final: {:?}", sender.open);
        for (id, height) in &sender.done {
            let seen = client.get_tx(*id, false).await.unwrap();
            assert_eq!((seen.status, seen.height), (StatusName::Final, Some(*height)), "a final transaction moved");
        }
        let nonce = client.get_account(wallet.address).await.unwrap().nonce.0;
        assert!(nonce > 0 && nonce >= sender.done.len() as u64);
        let left = client.get_balance(wallet.address, AssetId::NATIVE).await.unwrap().balance.get();
        assert_eq!(left, start - u128::from(nonce) * (FEE + 1), "every nonce was paid exactly once");
        paid += u128::from(nonce);
        println!("{}: {} acknowledged, {nonce} executed", wallet.address, sender.done.len());
    }
    let receiver = client.get_balance(wallets[SENDERS].address, AssetId::NATIVE).await.unwrap();
    assert_eq!(receiver.balance.get(), start + paid);
    assert_conserved(client).await;
}

/// A transaction that a follower acknowledged is told by its next life, whoever heard the first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_killed_between_its_answer_and_the_gossip_tells_it_later() {
    const FOLLOWER: usize = 4;
    let mut cluster = Cluster::new(4, 1);
    // Alone, so that nobody can have heard of it when it is killed.
    cluster.start(FOLLOWER);
    let client = cluster.client(FOLLOWER).await;
    let (from, to) = (&cluster.wallets()[0], &cluster.wallets()[1]);
    let payment = from.pay(0, to.address, 1);
    let sent = eventually("it is taken", || async { client.send_raw(payment.bytes()).await.ok() }).await;
    cluster.kill(FOLLOWER);
    cluster.up().await;
    let client = cluster.client(0).await;
    eventually("the payment is final", || async {
        client.get_tx(sent.tx_id, false).await.ok().and_then(|found| found.outcome).filter(|outcome| outcome.ok)
    })
    .await;
}
