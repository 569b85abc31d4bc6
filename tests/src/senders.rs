//! Load that remembers what it was promised: one account sends to one node for as long as the test
//! lasts, over all its crashes, and in the end every acknowledged transaction is asked for.
//!
//! Not here: killing anybody (the tests).

use crate::cluster::Cluster;
use crate::eventually;
use crate::wallet::Wallet;
use chain_core::types::{Address, TxId};
use chain_rpc::client::Client;
use chain_rpc::view::{StatusName, U64};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time between two transactions of one sender; also how long a node that is gone is left alone.
const PAUSE: Duration = Duration::from_millis(4);

/// One account that sends to one node.
pub struct Sender {
    /// The account.
    pub address: Address,
    node: usize,
    acknowledged: Arc<Mutex<BTreeMap<u64, TxId>>>,
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Sender {
    /// The `node`-th funded account sends to the node of that number.
    pub fn start(cluster: &Cluster, node: usize) -> Self {
        let mut wallets = cluster.wallets();
        let to = wallets.last().expect("accounts are funded").address;
        let wallet = wallets.swap_remove(node);
        let (acknowledged, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let address = wallet.address;
        let task = tokio::spawn(send(cluster.rpc(node), wallet, to, Arc::clone(&acknowledged), over.clone()));
        Self { address, node, acknowledged, over, task }
    }

    /// What was acknowledged so far, by nonce.
    pub fn acknowledged(&self) -> BTreeMap<u64, TxId> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Ends. Everything acknowledged must be final, or dropped for a reason that is told; answers
    /// with how many are which.
    pub async fn finish(self, cluster: &Cluster) -> (usize, usize) {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        let client = &cluster.client(self.node).await;
        let (mut executed, mut dropped) = (0, 0);
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for (nonce, id) in acknowledged {
            let seen = eventually(&format!("nonce {nonce} of {} is decided", self.address), || async move {
                let seen = client.get_tx(id, false).await.unwrap();
                (seen.status != StatusName::Pending).then_some(seen)
            })
            .await;
            match seen.status {
                StatusName::Final => {
                    assert!(seen.outcome.is_some_and(|outcome| outcome.ok), "nonce {nonce} failed");
                    executed += 1;
                }
                StatusName::Dropped if seen.drop_reason.is_some() => dropped += 1,
                other => panic!("nonce {nonce} of {} was acknowledged and is {other:?}", self.address),
            }
        }
        (executed, dropped)
    }
}

/// Sends on until it is over.
async fn send(
    to: SocketAddr,
    wallet: Wallet,
    receiver: Address,
    acknowledged: Arc<Mutex<BTreeMap<u64, TxId>>>,
    over: Arc<AtomicBool>,
) {
    let client = Client::connect(&format!("http://{to}")).await.unwrap();
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
        let Ok(account) = client.get_account(wallet.address).await else { continue };
        let U64(mut nonce) = account.next_nonce;
        let least = acknowledged.lock().unwrap().last_key_value().map_or(0, |(last, _)| last + 1);
        assert!(nonce >= least, "{to} acknowledged nonce {least} - 1 and asks for {nonce}");
        while !over.load(Ordering::Relaxed) {
            // No answer: whether it was taken is not known. The account's nonce will tell.
            let Ok(taken) = client.send_raw(wallet.pay(nonce, receiver, 1).bytes()).await else { break };
            if !matches!(taken.status, StatusName::Pending | StatusName::Final) {
                break;
            }
            acknowledged.lock().unwrap().insert(nonce, taken.tx_id);
            nonce += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}
