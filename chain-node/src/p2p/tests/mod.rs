//! Real nodes on the loopback interface, and scripted peers that break the rules: what the tests share.
//!
//! Not here: the tests, by what they are about.

#![allow(clippy::unwrap_used, clippy::panic)]

mod frames_come;
mod places;
mod rules;

use super::*;
use chain_core::crypto::Hash;
use chain_core::wire::{Hello, PROTOCOL_VERSION};
use lanes::LaneEvent;
use libp2p::futures::{AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Stream, Swarm, SwarmBuilder};
use std::future::Future;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

/// Nothing here takes this long; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node under test: its network and what it was told.
struct Node {
    network: Network,
    events: Receiver<NetworkEvent>,
    validators: watch::Sender<Arc<BTreeSet<PublicKey>>>,
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
        stranger: Duration::from_millis(500),
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
    Node { network, events, validators }
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

    async fn gossip(&mut self) -> (Vec<u8>, GossipTicket) {
        self.until(|event| match event {
            NetworkEvent::Gossip { bytes, ticket, .. } => Some((bytes, ticket)),
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

/// What a scripted peer does after it has connected with a good greeting.
#[derive(Clone, Copy, Debug)]
enum Crime {
    Oversized,
    Empty,
    HalfFrame,
    Flood,
    FalseClaim,
    NoGreeting,
    Garbage,
}

/// A scripted peer: opens the streams and says what it is told to.
struct Rogue {
    id: PeerId,
    swarm: Option<Swarm<lanes::Behaviour>>,
    ended: Option<tokio::task::JoinHandle<()>>,
}

/// Its ends of the streams; the inbound ones are never read.
struct Streams {
    urgent: Stream,
    _others: Vec<Stream>,
}

impl Rogue {
    fn new() -> Self {
        Self::with(Keypair::generate_ed25519())
    }

    fn with(identity: Keypair) -> Self {
        let swarm = SwarmBuilder::with_existing_identity(identity).with_tokio();
        let tcp = swarm.with_tcp(Default::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default);
        let swarm = tcp.unwrap().with_behaviour(|_| lanes::Behaviour::default()).unwrap().build();
        Self { id: *swarm.local_peer_id(), swarm: Some(swarm), ended: None }
    }

    /// Connects and says this on both streams; then only the connection's end is waited for.
    async fn connect(&mut self, node: &Node, hello: &[u8]) -> Streams {
        let mut swarm = self.swarm.take().unwrap();
        swarm.dial(node.address()).unwrap();
        let (mut urgent, mut others) = (None, Vec::new());
        while urgent.is_none() || others.len() < 3 {
            let event = timeout(PATIENCE, swarm.select_next_some()).await.unwrap();
            match event {
                SwarmEvent::Behaviour((_, LaneEvent::Outbound(lane, mut stream))) => {
                    frames::write(&mut stream, hello, &quick()).await.unwrap();
                    if lane == Lane::Urgent { urgent = Some(stream) } else { others.push(stream) }
                }
                SwarmEvent::Behaviour((_, LaneEvent::Inbound(_, stream))) => others.push(stream),
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        self.ended = Some(tokio::spawn(async move {
            while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
        }));
        Streams { urgent: urgent.unwrap(), _others: others }
    }

    async fn commit(&mut self, crime: Crime, node: &Node) {
        let mut hello = Hello::new(chain(1), None, &self.id.to_bytes()).encode();
        match crime {
            Crime::FalseClaim => {
                let key = SecretKey::from_seed(&[6; 32]);
                hello = Hello::new(chain(1), Some(&key), &PeerId::random().to_bytes()).encode();
            }
            Crime::Garbage => hello = vec![1, 0, 0xff],
            _ => {}
        }
        if let Crime::NoGreeting = crime {
            // Half of one, rather: its own length says that there is more.
            let mut streams = self.connect_silently(node).await;
            streams.urgent.write_all(&[100, 0, 0, 0, 1]).await.unwrap();
            streams.urgent.flush().await.unwrap();
            return self.keep(streams);
        }
        let mut streams = self.connect(node, &hello).await;
        let bytes = match crime {
            Crime::Oversized => u32::MAX.to_le_bytes().to_vec(),
            Crime::Empty => 0u32.to_le_bytes().to_vec(),
            Crime::HalfFrame => [&100u32.to_le_bytes()[..], &[1; 50]].concat(),
            Crime::Flood => [1, 0, 0, 0, 1].repeat(10_000),
            _ => Vec::new(),
        };
        // The node may close the stream while it is being written to.
        let _ = streams.urgent.write_all(&bytes).await;
        let _ = streams.urgent.flush().await;
        self.keep(streams);
    }

    async fn connect_silently(&mut self, node: &Node) -> Streams {
        let mut swarm = self.swarm.take().unwrap();
        swarm.dial(node.address()).unwrap();
        let mut others = Vec::new();
        let urgent = loop {
            match timeout(PATIENCE, swarm.select_next_some()).await.unwrap() {
                SwarmEvent::Behaviour((_, LaneEvent::Outbound(Lane::Urgent, stream))) => break stream,
                SwarmEvent::Behaviour((_, LaneEvent::Outbound(_, stream) | LaneEvent::Inbound(_, stream))) => {
                    others.push(stream);
                }
                _ => {}
            }
        };
        self.ended = Some(tokio::spawn(async move {
            while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
        }));
        Streams { urgent, _others: others }
    }

    /// Keeps the streams open until the connection ends.
    fn keep(&mut self, streams: Streams) {
        let ended = self.ended.take().unwrap();
        self.ended = Some(tokio::spawn(async move {
            ended.await.unwrap();
            drop(streams);
        }));
    }

    /// Waits until the node has closed the connection.
    async fn ended(self) {
        timeout(PATIENCE, self.ended.unwrap()).await.expect("the connection stays open").unwrap();
    }
}
