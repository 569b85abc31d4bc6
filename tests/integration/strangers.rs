//! What comes to a validator's port from those who should not be there: another chain, bytes that are no
//! messages, frames longer than allowed, floods. They are shut out, and the chain goes on meanwhile.

use chain_core::codec::List;
use chain_core::consensus::{self, Peer};
use chain_core::crypto::Hash;
use chain_core::limits::MAX_GOSSIP_ROUNDS;
use chain_core::types::{ChainId, Height, View};
use chain_core::wire::{GossipFrame, Hello, Lane, Message, PROTOCOL_VERSION};
use chain_node::p2p::NetworkEvent;
use chain_tests::cluster::Cluster;
use chain_tests::peer::TestPeer;
use chain_tests::rogue::Rogue;
use chain_tests::{PATIENCE, eventually};
use rand::RngExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const GENESIS: &str = r#"blockchain_p2p_refused_total{reason="genesis"}"#;
const VERSION: &str = r#"blockchain_p2p_refused_total{reason="version"}"#;
const BANS: &str = "blockchain_p2p_bans_total";
const HELD_BACK: &str = "blockchain_p2p_held_back_total";
/// Whom they visit.
const HOST: usize = 0;

async fn counted(cluster: &Cluster, name: &str, least: f64) {
    eventually(&format!("{name} is {least}"), || async { (cluster.metric(HOST, name).await >= least).then_some(()) })
        .await;
}

/// Payments become final at once, and everybody agrees.
async fn goes_on(cluster: &Cluster, nonce: u64) {
    let (from, to) = (&cluster.wallets()[0], &cluster.wallets()[1]);
    let sent = cluster.client(HOST).await.send_raw(from.pay(nonce, to.address, 1).bytes()).await.unwrap();
    for node in cluster.all() {
        let client = cluster.client(node).await;
        eventually("the payment is final", || async {
            client.get_tx(sent.tx_id, false).await.unwrap().outcome.filter(|outcome| outcome.ok).map(drop)
        })
        .await;
    }
    cluster.wait_equal(&cluster.all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_genesis_and_another_version_are_told_apart() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let (chain, host) = (cluster.genesis().chain_id(), [cluster.p2p(HOST)]);
    let _stranger = TestPeer::start(ChainId(Hash([9; 32])), None, &host).await;
    counted(&cluster, GENESIS, 1.0).await;
    assert_eq!(cluster.metric(HOST, VERSION).await, 0.0);
    let mut rogue = Rogue::new();
    let mut hello = Hello::new(chain, None, &rogue.id());
    hello.version = PROTOCOL_VERSION + 1;
    let _streams = rogue.connect(host[0], &hello.encode()).await;
    counted(&cluster, VERSION, 1.0).await;
    let log = cluster.process(HOST).output();
    for words in ["the genesis differs", "the peer speaks protocol version"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert_eq!(cluster.metric(HOST, BANS).await, 0.0, "neither is a crime");
    goes_on(&cluster, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_frames_end_in_a_ban() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let (chain, host) = (cluster.genesis().chain_id(), [cluster.p2p(HOST)]);
    let mut bans = 0.0;
    // No message; a message of the other lane; a message with a byte too much.
    let status = consensus::Message::Status { height: Height::new(1), view: View::ZERO };
    let urgent = Message::Agreement { message: status, block: None }.encode();
    let bulk = Message::NeedBlocks { from: Height::new(1), count: 1 }.encode();
    for bytes in [vec![0xEE; 1000], bulk, [urgent, vec![0]].concat()] {
        let mut peer = TestPeer::start(chain, None, &host).await;
        let node = peer.joined().await;
        peer.network.send(&[node], Lane::Urgent, bytes.into());
        bans += 1.0;
        counted(&cluster, BANS, bans).await;
        goes_on(&cluster, bans as u64 - 1).await;
    }
    // What the own network code would not send: lengths that no frame has.
    for length in [u32::MAX, Lane::Urgent.max_frame_bytes() as u32 + 1, 0] {
        let mut rogue = Rogue::new();
        let hello = Hello::new(chain, None, &rogue.id()).encode();
        let mut streams = rogue.connect(host[0], &hello).await;
        streams.say(&length.to_le_bytes()).await;
        bans += 1.0;
        counted(&cluster, BANS, bans).await;
        rogue.ended().await;
    }
    goes_on(&cluster, 3).await;
}

/// Says something on its lane as fast as the queue takes it, until it is shut out.
async fn flood(mut peer: TestPeer, message: Message) {
    let node: Peer = peer.joined().await;
    let network = peer.network.clone();
    let ended = async { while !matches!(peer.next().await, NetworkEvent::Left { .. }) {} };
    tokio::pin!(ended);
    loop {
        for _ in 0..500 {
            network.send(&[node], message.lane(), message.encode().into());
        }
        tokio::select! {
            () = &mut ended => return,
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_in_a_ban_and_the_chain_goes_on_meanwhile() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let (chain, host) = (cluster.genesis().chain_id(), [cluster.p2p(HOST)]);
    // Connections that say nothing a node could understand, held open.
    let mut noise = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(host[0]).await.unwrap();
        let bytes: Vec<u8> = (0..512).map(|_| rand::rng().random()).collect();
        // It may be closed already.
        let _ = socket.write_all(&bytes).await;
        noise.push(socket);
    }
    let status = consensus::Message::Status { height: Height::new(1), view: View::ZERO };
    let words = Message::Agreement { message: status, block: None };
    let words = tokio::spawn(flood(TestPeer::start(chain, None, &host).await, words));
    // Questions are no flood: whoever asks faster than it reads is read no faster.
    let questions = Message::NeedBlocks { from: Height::new(1), count: 64 };
    let questions = tokio::spawn(flood(TestPeer::start(chain, None, &host).await, questions));
    let mut nonce = 0;
    while !words.is_finished() {
        goes_on(&cluster, nonce).await;
        nonce += 1;
    }
    words.await.unwrap();
    counted(&cluster, BANS, 1.0).await;
    counted(&cluster, HELD_BACK, 100.0).await;
    goes_on(&cluster, nonce).await;
    nonce += 1;
    questions.abort();
    let rogue = TestPeer::start(chain, None, &host).await;
    for n in 0..8u8 {
        rogue.network.gossip(vec![n; 100]);
    }
    counted(&cluster, BANS, 2.0).await;
    goes_on(&cluster, nonce).await;
    drop(noise);
}

/// The transactions of the next frame of gossip.
async fn overheard(peer: &mut TestPeer) -> Vec<Vec<u8>> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < until, "no gossip comes");
        if let NetworkEvent::Gossip { bytes, .. } = peer.next().await {
            let frame = GossipFrame::decode(&bytes).unwrap();
            return frame.transactions.into_inner().into_iter().map(|bytes| bytes.into_inner()).collect();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_travels_no_further() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let (chain, host) = (cluster.genesis().chain_id(), [cluster.p2p(HOST)]);
    let (from, to) = (&cluster.wallets()[0], &cluster.wallets()[1]);
    let payments: Vec<_> = (0..8).map(|nonce| from.pay(nonce, to.address, 1)).collect();
    for nonce in 0..8 {
        goes_on(&cluster, nonce).await;
    }
    let (mut ear, mut sender) = (TestPeer::start(chain, None, &host).await, TestPeer::start(chain, None, &host).await);
    ear.joined().await;
    sender.joined().await;
    let mut nonce = 8;
    // Until gossip goes all the way.
    loop {
        let frames = GossipFrame::pack(0, [from.pay(nonce, to.address, 1).bytes()]);
        frames.into_iter().for_each(|frame| sender.network.gossip(frame));
        nonce += 1;
        tokio::select! {
            _ = overheard(&mut ear) => break,
            () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
        }
    }
    // Any order, any selection and any round make new bytes of old transactions.
    for round in 0..=MAX_GOSSIP_ROUNDS {
        for first in 0..payments.len() {
            let old = payments.iter().skip(first).chain(payments.iter().take(first)).map(|payment| payment.bytes());
            GossipFrame::pack(round, old).into_iter().for_each(|frame| sender.network.gossip(frame));
        }
    }
    // What was sent before is passed over, or it would be heard first.
    let is_old = |bytes: &Vec<u8>| payments.iter().any(|old| old.bytes() == bytes);
    loop {
        let news = from.pay(nonce, to.address, 1);
        let frames = GossipFrame::pack(0, payments.iter().map(|old| old.bytes()).chain([news.bytes()]));
        frames.into_iter().for_each(|frame| sender.network.gossip(frame));
        nonce += 1;
        let heard = tokio::select! {
            heard = overheard(&mut ear) => heard,
            () = tokio::time::sleep(std::time::Duration::from_millis(500)) => continue,
        };
        assert!(!heard.iter().all(is_old), "old transactions were passed on");
        if heard.iter().any(is_old) {
            break;
        }
    }
    assert_eq!(cluster.metric(HOST, BANS).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_nobody_asked_for_end_in_a_ban() {
    let mut cluster = Cluster::new(4, 0);
    cluster.up().await;
    let (chain, host) = (cluster.genesis().chain_id(), [cluster.p2p(HOST)]);
    let mut peer = TestPeer::start(chain, None, &host).await;
    let node = peer.joined().await;
    let (from, head, oldest) = (Height::new(1_000), Height::new(2_000), Height::ZERO);
    for _ in 0..20 {
        peer.say(node, &Message::Blocks { from, blocks: List::default(), head, oldest });
    }
    counted(&cluster, BANS, 1.0).await;
    goes_on(&cluster, 0).await;
}
