//! Real nodes on the loopback interface, and scripted peers that break the rules.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use chain_core::crypto::Hash;
use std::future::Future;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

/// Nothing here takes this long; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node under test: its network and what it was told.
struct Node {
    network: Network,
    events: Receiver<NetworkEvent>,
    _validators: watch::Sender<Arc<BTreeSet<PublicKey>>>,
}

fn chain(byte: u8) -> ChainId {
    ChainId(Hash([byte; 32]))
}

/// Limits that make the tests quick; what is tested is relative to them.
fn quick() -> Limits {
    Limits {
        redial_min: Duration::from_millis(50),
        redial_max: Duration::from_millis(400),
        stall: Duration::from_secs(2),
        ..Limits::default()
    }
}

fn config() -> (P2pConfig, watch::Sender<Arc<BTreeSet<PublicKey>>>) {
    let (sender, validators) = watch::channel(Arc::default());
    let config = P2pConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        identity: Keypair::generate_ed25519(),
        chain: chain(1),
        validator: None,
        static_peers: Vec::new(),
        bootnodes: Vec::new(),
        mdns: false,
        max_peers: 20,
        max_inbound_per_address: 20,
        validators,
        limits: quick(),
    };
    (config, sender)
}

async fn node(change: impl FnOnce(&mut P2pConfig)) -> Node {
    node_with_queue(1024, change).await
}

async fn node_with_queue(room: usize, change: impl FnOnce(&mut P2pConfig)) -> Node {
    let (mut config, validators) = config();
    change(&mut config);
    let (sender, events): (Sender<NetworkEvent>, _) = mpsc::channel(room);
    let offer = move |event| match sender.try_send(event) {
        Err(mpsc::error::TrySendError::Full(event)) => Some(event),
        _ => None,
    };
    let network = start(config, offer).await.unwrap();
    Node { network, events, _validators: validators }
}

impl Node {
    fn address(&self) -> Multiaddr {
        self.network.local_addresses().first().unwrap().clone()
    }

    async fn next(&mut self) -> NetworkEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("nothing happens").unwrap()
    }

    /// Passes over everything until one event fits.
    async fn until<T>(&mut self, mut pick: impl FnMut(NetworkEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }

    async fn joined(&mut self) -> Peer {
        self.until(|event| match event {
            NetworkEvent::Joined { peer, .. } => Some(peer),
            _ => None,
        })
        .await
    }

    async fn left(&mut self, who: Peer) {
        self.until(|event| matches!(event, NetworkEvent::Left { peer } if peer == who).then_some(())).await
    }

    async fn frame(&mut self) -> (Peer, Lane, Vec<u8>) {
        self.until(|event| match event {
            NetworkEvent::Frame { from, lane, bytes } => Some((from, lane, bytes)),
            _ => None,
        })
        .await
    }

    fn metric(&self, line: &str) -> u64 {
        let text = self.network.metrics_text();
        let found = text.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |count| count.parse::<f64>().unwrap() as u64)
    }
}

async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let waiting = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

/// Two nodes, the second of which dials the first, and each one's number for the other.
async fn pair(change: impl Fn(&mut P2pConfig)) -> (Node, Peer, Node, Peer) {
    let mut first = node(&change).await;
    let address = first.address();
    let mut second = node(|config| {
        change(config);
        config.static_peers = vec![address];
    })
    .await;
    let (at_first, at_second) = (first.joined().await, second.joined().await);
    (first, at_first, second, at_second)
}

#[test]
fn two_nodes_greet_and_frames_come_in_order_on_both_lanes() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        run(async {
            let (first, at_first, mut second, at_second) = pair(|c| c.listen = vec![listen.parse().unwrap()]).await;
            let long = vec![7; Lane::Bulk.max_frame_bytes()];
            first.network.send(&[at_first], Lane::Bulk, long.clone().into());
            for n in 0..100u8 {
                first.network.send(&[at_first], Lane::Urgent, vec![n].into());
                first.network.send(&[at_first], Lane::Bulk, vec![n].into());
            }
            let (mut urgent, mut bulk) = (Vec::new(), Vec::new());
            while urgent.len() + bulk.len() < 201 {
                let (from, lane, bytes) = second.frame().await;
                assert_eq!(from, at_second);
                if lane == Lane::Urgent { urgent.push(bytes) } else { bulk.push(bytes) }
            }
            assert!(urgent.into_iter().eq((0..100u8).map(|n| vec![n])));
            assert!(bulk.into_iter().eq(std::iter::once(long).chain((0..100u8).map(|n| vec![n]))));
            first.network.stop().await;
            second.left(at_second).await;
        });
    }
}
