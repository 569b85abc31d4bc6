//! Real nodes on the loopback interface, and scripted peers that break the rules.

#![allow(clippy::unwrap_used, clippy::panic)]

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

#[test]
fn gossip_waits_for_a_peer_and_goes_on_only_when_accepted() {
    run(async {
        let first = node(|_| {}).await;
        first.network.gossip(b"before anybody is there".to_vec());
        let address = first.address();
        let mut second = node(|config| config.static_peers = vec![address]).await;
        let (bytes, ticket) = second.gossip().await;
        assert_eq!(bytes, b"before anybody is there");
        second.network.judge(ticket, GossipVerdict::Ignore);
        let address = second.address();
        let mut third = node(|config| config.static_peers = vec![address]).await;
        third.joined().await;
        for (text, verdict) in [("no", GossipVerdict::Ignore), ("yes", GossipVerdict::Accept)] {
            first.network.gossip(text.as_bytes().to_vec());
            let (bytes, ticket) = second.gossip().await;
            assert_eq!(bytes, text.as_bytes());
            second.network.judge(ticket, verdict);
        }
        assert_eq!(third.gossip().await.0, b"yes", "what was ignored is not passed on");
    });
}

#[test]
fn another_chain_and_another_version_are_told_apart_and_refused() {
    run(async {
        let first = node(|_| {}).await;
        let address = first.address();
        let stranger = node(|config| (config.chain, config.static_peers) = (chain(2), vec![address])).await;
        let genesis = r#"blockchain_p2p_refused_total{reason="genesis"}"#;
        eventually("both see another genesis", || first.metric(genesis) > 0 && stranger.metric(genesis) > 0).await;
        let mut rogue = Rogue::new();
        let mut hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
        hello.version = PROTOCOL_VERSION + 1;
        let _streams = rogue.connect(&first, &hello.encode()).await;
        let version = r#"blockchain_p2p_refused_total{reason="version"}"#;
        eventually("another version is seen", || first.metric(version) == 1).await;
        assert_eq!((first.metric("blockchain_p2p_peers"), first.metric("blockchain_p2p_bans_total")), (0, 0));
        assert_eq!(stranger.metric(version), 0);
    });
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

#[test]
fn rule_breakers_are_shut_out_and_others_are_not_disturbed() {
    use Crime::*;
    run(async {
        let slow_flood = Rate { frames: 50, bytes: 1 << 20, burst_s: 1 };
        let change = |c: &mut P2pConfig| {
            c.limits = Limits { flood_after: Duration::from_millis(500), urgent: slow_flood, ..quick() };
            c.limits.greeting = Duration::from_secs(4);
        };
        let (mut first, at_first, second, at_second) = pair(change).await;
        let (mut bans, mut slow) = (0, 0);
        for crime in [Oversized, Empty, HalfFrame, Flood, FalseClaim, NoGreeting, Garbage] {
            let mut rogue = Rogue::new();
            rogue.commit(crime, &first).await;
            match crime {
                HalfFrame | NoGreeting => slow += 1,
                _ => bans += 1,
            }
            let counts = || (first.metric("blockchain_p2p_bans_total"), first.metric("blockchain_p2p_slow_total"));
            eventually(&format!("{crime:?}: {bans} banned and {slow} slow"), || counts() == (bans, slow)).await;
            rogue.ended().await;
            second.network.send(&[at_second], Lane::Urgent, b"still here".to_vec().into());
            loop {
                match first.frame().await {
                    (from, _, bytes) if from == at_first => break assert_eq!(bytes, b"still here"),
                    (_, _, bytes) => assert_eq!((bytes, crime as u8), (vec![1], Flood as u8)),
                }
            }
        }
    });
}

#[test]
fn a_banned_peer_is_refused_until_the_ban_is_over() {
    run(async {
        let (mut first, at_first, mut second, _) = pair(|c| c.limits.ban = Duration::from_secs(1)).await;
        first.network.blame(at_first, Offence::BadSignature);
        first.network.blame(at_first, Offence::BadCertificate);
        first.left(at_first).await;
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1);
        assert!(first.network.peers().is_empty());
        let again = first.joined().await;
        assert_ne!(again, at_first, "a number is never used again");
        second.joined().await;
        let id = second.network.local_id();
        first.network.ban(id, Duration::from_secs(1));
        first.left(again).await;
        first.joined().await;
    });
}

#[test]
fn blame_is_never_lost_and_voids_what_still_waits() {
    run(async {
        let (mut first, at_first, second, at_second) = pair(|_| {}).await;
        // More orders than wait: blame must not stand behind them.
        for _ in 0..3 * 4096 {
            first.network.gossip(vec![1]);
        }
        assert!(!first.network.is_shut_out(at_first));
        first.network.blame(at_first, Offence::Flood);
        assert!(first.network.is_shut_out(at_first), "at once");
        for _ in 0..1000 {
            second.network.send(&[at_second], Lane::Urgent, vec![1].into());
            first.network.blame(at_first, Offence::Flood);
        }
        first.left(at_first).await;
        assert!(first.network.is_shut_out(at_first), "also afterwards");
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1, "one ban for a thousand words");
    });
}

#[test]
fn who_passes_on_rejected_gossip_is_banned() {
    run(async {
        let (mut first, at_first, second, _) = pair(|_| {}).await;
        for n in 0..4u8 {
            assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
            second.network.gossip(vec![n]);
            let (_, ticket) = first.gossip().await;
            first.network.judge(ticket, GossipVerdict::Reject);
        }
        first.left(at_first).await;
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 1);
    });
}

#[test]
fn who_comes_and_goes_without_end_is_banned() {
    run(async {
        let (mut first, identity) = (node(|_| {}).await, Keypair::generate_ed25519());
        // At five points each, and a point forgiven every other second.
        for _ in 0..100 {
            let mut rogue = Rogue::with(identity.clone());
            let hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
            let streams = rogue.connect(&first, &hello.encode()).await;
            let peer = first.joined().await;
            drop(streams);
            first.left(peer).await;
            rogue.ended().await;
            if first.metric("blockchain_p2p_bans_total") > 0 {
                return;
            }
        }
        panic!("it may come for ever");
    });
}

#[test]
fn a_peer_that_restarts_is_found_again() {
    run(async {
        let identity = Keypair::generate_ed25519();
        // An address nobody else uses, so that its port stays free.
        let [a, b, c]: [u8; 3] = rand::random();
        let own = format!("/ip4/127.{a}.{b}.{}/tcp/0", c.max(1)).parse::<Multiaddr>().unwrap();
        let mut second = node(|_| {}).await;
        let mut listen = own;
        for _ in 0..3 {
            let (identity, address) = (identity.clone(), listen);
            let first = node(|config| (config.identity, config.listen) = (identity, vec![address])).await;
            listen = first.address();
            second.network.add_peer(listen.clone());
            let peer = second.joined().await;
            first.network.stop().await;
            second.left(peer).await;
        }
    });
}

#[test]
fn dials_that_cross_settle_to_one_working_connection() {
    run(async {
        for _ in 0..5 {
            let (mut first, mut second) = (node(|_| {}).await, node(|_| {}).await);
            first.network.add_peer(second.address());
            second.network.add_peer(first.address());
            // A frame on the connection that goes is lost: say it until it is heard.
            let (mut one, mut other) = (false, false);
            while !(one && other) {
                for network in [&first.network, &second.network] {
                    let peers: Vec<_> = network.peers().iter().map(|peer| peer.peer).collect();
                    network.send(&peers, Lane::Urgent, b"hello".to_vec().into());
                }
                tokio::select! {
                    event = first.next() => one |= matches!(event, NetworkEvent::Frame { .. }),
                    event = second.next() => other |= matches!(event, NetworkEvent::Frame { .. }),
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
            let settled = |node: &Node| node.network.peers().len() == 1;
            eventually("one connection is left", || settled(&first) && settled(&second)).await;
        }
    });
}

#[test]
fn a_full_node_has_places_for_validators_and_static_peers_only() {
    run(async {
        let key = Arc::new(SecretKey::from_seed(&[5; 32]));
        let mut first = node(|config| config.max_peers = 1).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        assert_eq!(first.network.missing_validators().len(), 1);
        let address = first.address();
        let _guest = node(|config| config.static_peers = vec![address.clone()]).await;
        first.joined().await;
        let _late = node(|config| config.static_peers = vec![address.clone()]).await;
        eventually("no place", || first.metric(r#"blockchain_p2p_refused_total{reason="full"}"#) > 0).await;
        let validator = Some(key.clone());
        let _seat = node(|c| (c.validator, c.static_peers) = (validator, vec![address.clone()])).await;
        let claimed = first
            .until(|event| match event {
                NetworkEvent::Joined { validator, .. } => Some(validator),
                _ => None,
            })
            .await;
        assert_eq!(claimed, Some(key.public()));
        assert!(first.network.missing_validators().is_empty());
        let other = node(|_| {}).await;
        first.network.add_peer(other.address());
        first.joined().await;
        assert_eq!(first.network.peers().len(), 3);
    });
}

#[test]
fn strangers_that_came_to_us_do_not_replace_the_bootnode() {
    run(async {
        let identity = Keypair::generate_ed25519();
        // An address nobody else uses, so that its port stays free.
        let [a, b, c]: [u8; 3] = rand::random();
        let own = format!("/ip4/127.{a}.{b}.{}/tcp/0", c.max(1)).parse::<Multiaddr>().unwrap();
        let bootnode = node(|config| (config.identity, config.listen) = (identity.clone(), vec![own])).await;
        let way_in = bootnode.address();
        let listen = way_in.clone();
        let mut first = node(|config| (config.max_peers, config.bootnodes) = (18, vec![way_in])).await;
        let peer = first.joined().await;
        bootnode.network.stop().await;
        first.left(peer).await;
        let address = first.address();
        let mut guests = Vec::new();
        for _ in 0..10 {
            guests.push(node(|config| config.static_peers = vec![address.clone()]).await);
            first.joined().await;
        }
        guests.push(node(|config| config.static_peers = vec![address.clone()]).await);
        let full = r#"blockchain_p2p_refused_total{reason="full"}"#;
        eventually("the last places are for whom we dial", || first.metric(full) > 0).await;
        let bootnode = node(|config| (config.identity, config.listen) = (identity, vec![listen])).await;
        let id = bootnode.network.local_id();
        eventually("it is found", || first.network.peers().iter().any(|peer| peer.id == id && peer.outbound)).await;
    });
}

#[test]
fn a_copied_identity_does_not_cut_the_validator_off() {
    run(async {
        let (identity, key) = (Keypair::generate_ed25519(), Arc::new(SecretKey::from_seed(&[5; 32])));
        let mut first = node(|_| {}).await;
        first.validators.send_replace(Arc::new(BTreeSet::from([key.public()])));
        let address = first.address();
        let original = |config: &mut P2pConfig| {
            (config.identity, config.validator) = (identity.clone(), Some(key));
            config.static_peers = vec![address.clone()];
        };
        let mut validator = node(original).await;
        let (peer, at_validator) = (first.joined().await, validator.joined().await);
        let _copy = node(|c| (c.identity, c.static_peers) = (identity.clone(), vec![address.clone()])).await;
        // As often as would cost it a ban.
        let twins = r#"blockchain_p2p_refused_total{reason="twin"}"#;
        eventually("the copy is turned away", || first.metric(twins) > 25).await;
        validator.network.send(&[at_validator], Lane::Urgent, b"still here".to_vec().into());
        assert_eq!(first.frame().await, (peer, Lane::Urgent, b"still here".to_vec()));
        assert_eq!(first.metric("blockchain_p2p_bans_total"), 0);
    });
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_queue_and_is_closed() {
    run(async {
        let mut first = node(|_| {}).await;
        let mut rogue = Rogue::new();
        let hello = Hello::new(chain(1), None, &rogue.id.to_bytes());
        let _streams = rogue.connect(&first, &hello.encode()).await;
        let peer = first.joined().await;
        let frame = libp2p::bytes::Bytes::from(vec![1; Lane::Urgent.max_frame_bytes()]);
        for _ in 0..1000 {
            first.network.send(&[peer], Lane::Urgent, frame.clone());
            let peers = first.network.peers();
            assert!(peers.iter().all(|peer| peer.urgent_queue.1 <= quick().urgent_queue_bytes));
        }
        first.left(peer).await;
        eventually("it is closed", || first.metric("blockchain_p2p_slow_total") == 1).await;
        assert!(first.metric(r#"blockchain_p2p_dropped_frames_total{lane="urgent"}"#) > 900);
        rogue.ended().await;
    });
}

#[test]
fn a_full_queue_of_the_node_holds_peers_back_and_loses_nothing() {
    run(async {
        let mut first = node_with_queue(1, |_| {}).await;
        let address = first.address();
        let mut second = node(|config| config.static_peers = vec![address]).await;
        let at_second = second.joined().await;
        for n in 0..200u8 {
            second.network.send(&[at_second], Lane::Urgent, vec![n].into());
        }
        eventually("it is held back", || first.metric("blockchain_p2p_held_back_total") > 0).await;
        for n in 0..200u8 {
            assert_eq!(first.frame().await.2, [n]);
        }
    });
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
