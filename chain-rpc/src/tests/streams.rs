//! Subscriptions: without gaps, without duplicates, and without waiting for slow clients.

use super::World;
use super::http::{call, get_with};
use super::node::{TestNode, address};
use crate::api::subscriptions::{SUBSCRIPTIONS, start};
use crate::backend::Backend;
use crate::client::{Client, ClientError};
use crate::server::{Payer, Rate};
use crate::view::*;
use crate::{Limits, Metrics};
use chain_core::consensus::ConsensusEvent;
use chain_core::engine::Announcement;
use chain_core::tx::transfer;
use chain_core::types::{Amount, AssetId, Height, View};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

fn height(notice: Notice<HeadView>) -> u64 {
    match notice {
        Notice::Item(head) => head.height.get(),
        Notice::Lagged { lagged } => panic!("{lagged:?}"),
    }
}

/// Somebody who can pay for everything.
fn payer() -> Payer {
    let rate = Rate::new(&Limits::default(), Metrics::new(Default::default()).unwrap());
    Payer::new(rate, std::net::Ipv4Addr::LOCALHOST.into())
}

/// The next message that is no ping.
async fn text<S: futures_util::Stream<Item = Result<Message, E>> + Unpin, E: std::fmt::Debug>(socket: &mut S) -> Value {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Makes blocks on another thread, so that they come at any moment of a subscription.
fn produce(node: &Arc<TestNode>, blocks: u64) -> std::thread::JoinHandle<()> {
    let node = node.clone();
    std::thread::spawn(move || (0..blocks).for_each(|_| node.produce()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_resume_without_a_gap_while_new_ones_arrive() {
    let world = World::new(Limits::default()).await;
    (0..20).for_each(|_| world.node.produce());
    let client = Client::connect(&world.url("ws")).await.unwrap();
    let producer = produce(&world.node, 300);
    let mut old = client.new_blocks(Some(Height::ZERO)).await.unwrap();
    let mut middle = client.new_blocks(Some(Height::new(15))).await.unwrap();
    let (mut socket, _) =
        connect_async(format!("{}/ws/new_blocks?from_height=3&include=ids", world.url("ws"))).await.unwrap();
    for expected in 0..=320 {
        assert_eq!(height(old.next().await.unwrap().unwrap()), expected);
    }
    for expected in 15..=320 {
        assert_eq!(height(middle.next().await.unwrap().unwrap()), expected);
    }
    for expected in 3..=320u64 {
        let block: BlockView = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
        assert_eq!((block.head.height.get(), block.tx_ids), (expected, Some(vec![])));
    }
    producer.join().unwrap();
}

#[tokio::test]
async fn without_a_height_the_next_block_is_the_first() {
    let world = World::new(Limits::default()).await;
    world.node.produce();
    let client = Client::connect(&world.url("ws")).await.unwrap();
    let mut blocks = client.new_blocks(None).await.unwrap();
    let mut at_head = client.new_blocks(Some(Height::new(2))).await.unwrap();
    world.node.produce();
    assert_eq!(height(blocks.next().await.unwrap().unwrap()), 2);
    assert_eq!(height(at_head.next().await.unwrap().unwrap()), 2);
    let beyond = client.new_blocks(Some(Height::new(4))).await.unwrap_err();
    assert_eq!(beyond.refusal().unwrap().data.reason, "not_found");
    let http = Client::connect(&world.url("http")).await.unwrap();
    assert!(matches!(http.new_blocks(None).await, Err(ClientError::Url(_))));
    let answer = call(world.door.address, "subscribe_new_blocks", &json!([])).await;
    assert_eq!(answer["error"]["code"], 7, "{answer}");
}

#[tokio::test]
async fn a_transaction_is_followed_to_its_end() {
    let world = World::new(Limits::default()).await;
    let client = Client::connect(&world.url("ws")).await.unwrap();
    let bytes = world.node.transfer(1, 0, 1);
    let id = chain_core::tx::check_one(&world.node.chain_id(), &bytes).unwrap().id();
    let mut way = client.watch_tx(id).await.unwrap();
    let mut pool = client.subscribe::<Notice<PooledView>>("new_transactions", &json!({})).await.unwrap();
    let mut step = async || way.next().await.map(|step| step.unwrap());
    assert_eq!(step().await.unwrap().status, StatusName::Unknown);
    client.send_raw(&bytes).await.unwrap();
    assert_eq!(step().await.unwrap().status, StatusName::Pending);
    let Some(Ok(Notice::Item(pooled))) = pool.next().await else { panic!("the transaction is announced") };
    assert_eq!((pooled.tx_id, pooled.nonce), (id, U64(0)));
    world.node.produce();
    let last = step().await.unwrap();
    assert_eq!((last.status, last.height, last.index), (StatusName::Final, Some(Height::new(1)), Some(0)));
    // Who asks later is told the end at once, and the plain socket closes after it.
    let (mut socket, _) = connect_async(format!("{}/ws/watch_tx?tx_id={id}", world.url("ws"))).await.unwrap();
    let told: StatusView = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(told, last);
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_feed_of_blocks_that_fell_behind_ends_with_where_to_resume() {
    let world = World::new(Limits::default()).await;
    let blocks = SUBSCRIPTIONS.iter().find(|s| s.name == "new_blocks").unwrap();
    let mut feed = start(&world.context, blocks, "{}".into()).await.unwrap();
    world.node.produce();
    let payer = payer();
    let mut next = async || {
        let told = feed.next(&world.context, &payer).await.unwrap();
        told.counted(&world.context, "new_blocks").unwrap()
    };
    assert!(!next().await.1);
    let mut live = world.context.hub.blocks();
    for _ in 0..1500 {
        world.node.produce();
        live.recv().await.unwrap();
    }
    let (message, last) = next().await;
    let lagged: Value = serde_json::from_str(message.get()).unwrap();
    assert!(last);
    assert_eq!(lagged, json!({ "lagged": { "missed": "1500", "resume_from": "2" } }));
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_told_and_dropped() {
    let world = World::new(Limits { socket_queue: 4, ..Limits::default() }).await;
    let (mut socket, _) = connect_async(world.url("ws")).await.unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscribe_consensus_events", "params": [] });
    socket.send(Message::text(request.to_string())).await.unwrap();
    let answer = text(&mut socket).await;
    assert!(answer.get("result").is_some(), "{answer}");
    // More than the sockets' buffers hold; announcing never waits.
    for view in 0..90_000 {
        let leader = super::node::key(100).public();
        let event = ConsensusEvent::View { height: Height::new(1), view: View::new(view), leader };
        world.node.announce(Announcement::Consensus(event));
    }
    let mut told = 0u64;
    let lagged = loop {
        let message = text(&mut socket).await;
        match message["params"]["result"].get("lagged") {
            Some(lagged) => break lagged.clone(),
            None => assert_eq!(message["params"]["result"]["view"], told),
        }
        told += 1;
    };
    assert!(lagged["missed"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    // The connection itself goes on, and nothing more is told.
    let ask = json!({ "jsonrpc": "2.0", "id": 2, "method": "get_head" });
    socket.send(Message::text(ask.to_string())).await.unwrap();
    assert_eq!(text(&mut socket).await["id"], 2);
}

#[tokio::test]
async fn pages_of_other_origins_get_no_socket() {
    let world = World::new(Limits::default()).await;
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for path in ["/", "/ws", "/ws/new_blocks"] {
        let foreign = format!("{upgrade}Origin: https://evil.example\r\nConnection: close\r\n");
        assert_eq!(get_with(world.door.address, path, &foreign).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn closing_the_door_ends_sockets() {
    let world = World::new(Limits::default()).await;
    let (mut socket, _) = connect_async(format!("{}/ws/new_blocks", world.url("ws"))).await.unwrap();
    let client = Client::connect(&world.url("ws")).await.unwrap();
    let mut blocks = client.new_blocks(None).await.unwrap();
    world.node.produce();
    assert!(blocks.next().await.is_some());
    assert!(socket.next().await.is_some());
    let address = world.door.address;
    world.door.stop().await;
    assert!(blocks.next().await.is_none());
    assert!(!matches!(socket.next().await, Some(Ok(Message::Text(_)))));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(world.node.head().header.height, Height::new(1));
}

#[tokio::test]
async fn reading_old_blocks_is_not_falling_behind() {
    let world = World::new(Limits::default()).await;
    let blocks = SUBSCRIPTIONS.iter().find(|s| s.name == "new_blocks").unwrap();
    let mut feed = start(&world.context, blocks, r#"{"from_height":0}"#.into()).await.unwrap();
    let mut live = world.context.hub.blocks();
    // More than the live channel keeps, before the first block was read.
    for _ in 0..1500 {
        world.node.produce();
        live.recv().await.unwrap();
    }
    let payer = payer();
    for expected in 0..=1500u64 {
        let told = feed.next(&world.context, &payer).await.unwrap();
        let (message, last) = told.counted(&world.context, "new_blocks").unwrap();
        let head: HeadView = serde_json::from_str(message.get()).unwrap();
        assert_eq!((head.height.get(), last), (expected, false));
    }
}

/// The socket of a client whose account fills by so much a second.
async fn paced(per_second: u32, burst: u32, blocks: u64) -> (World, Client) {
    let limits = Limits { loopback_rate_per_second: per_second, loopback_rate_burst: burst, ..Limits::default() };
    let world = World::new(limits).await;
    (0..blocks).for_each(|_| world.node.produce());
    let client = Client::connect(&world.url("ws")).await.unwrap();
    (world, client)
}

#[tokio::test]
async fn old_blocks_are_charged_as_they_are_read_even_if_there_is_nothing_to_tell() {
    let (world, client) = paced(1, 60, 30).await;
    // Nobody is called so: all blocks are read for nothing but the last.
    let about = EventsParams { from_height: Some(Height::ZERO), account: Some(address(1)), ..EventsParams::default() };
    let mut feed = client.events_of(&about).await.unwrap();
    let bytes = world.node.transfer(1, 0, 1);
    world.node.submit(vec![bytes]).await.pop().unwrap().unwrap();
    world.node.produce();
    let Notice::Item(told) = feed.next().await.unwrap().unwrap() else { panic!("nothing is missed") };
    assert_eq!(told.height, Height::new(31));
    // 60, less 10 for the subscription, less 31 blocks: a call of 50 is too dear.
    let answer = call(world.door.address, "get_history", &json!({ "address": address(1) })).await;
    assert_eq!(answer["error"]["data"]["reason"], "rate_limited", "{answer}");
}

#[tokio::test]
async fn who_can_not_pay_waits_and_is_told_all_the_same() {
    // More blocks than can be paid at once, by far.
    let (world, client) = paced(2_000, 12, 300).await;
    let mut feed = client.new_blocks(Some(Height::ZERO)).await.unwrap();
    world.node.produce();
    for expected in 0..=301 {
        assert_eq!(height(feed.next().await.unwrap().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_text_that_reads_like_an_account_is_not_about_it() {
    let world = World::new(Limits::default()).await;
    let client = Client::connect(&world.url("ws")).await.unwrap();
    let about = EventsParams { account: Some(address(7)), ..EventsParams::default() };
    let mut feed = client.events_of(&about).await.unwrap();
    for (nonce, (to, memo)) in (0..).zip([(8, address(7).to_string()), (7, String::new())]) {
        let memo = chain_core::codec::Text::new(memo).unwrap();
        let (asset, amount) = (AssetId::NATIVE, Amount::new(1));
        let action = transfer::Action::Transfer { to: address(to), asset, amount, memo };
        let bytes = world.node.sign(1, nonce, chain_core::tx::Action::Transfer(action));
        world.node.submit(vec![bytes]).await.pop().unwrap().unwrap();
        world.node.produce();
    }
    let Notice::Item(told) = feed.next().await.unwrap().unwrap() else { panic!("nothing is missed") };
    assert_eq!((told.height, &told.sources[0].events[0]["to"]), (Height::new(2), &json!(address(7))));
}

#[tokio::test]
async fn what_happened_in_the_newest_block_is_written_down_on_another_thread() {
    let world = World::new(Limits { heavy_reads: 1, ..Limits::default() }).await;
    let events = SUBSCRIPTIONS.iter().find(|s| s.name == "events").unwrap();
    let mut feed = start(&world.context, events, "{}".into()).await.unwrap();
    // The only place on those threads is taken.
    let (free, taken) = std::sync::mpsc::channel::<()>();
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let context = world.context.clone();
    let other = tokio::spawn(async move {
        let wait = move |_: &crate::Context| {
            begun.send(()).unwrap();
            taken.recv().unwrap();
            Ok(())
        };
        context.blocking(wait).await
    });
    beginning.await.unwrap();
    let mut live = world.context.hub.blocks();
    let bytes = world.node.transfer(1, 0, 1);
    world.node.submit(vec![bytes]).await.pop().unwrap().unwrap();
    world.node.produce();
    live.recv().await.unwrap();
    let payer = payer();
    assert!(futures_util::FutureExt::now_or_never(feed.next(&world.context, &payer)).is_none());
    free.send(()).unwrap();
    other.await.unwrap().unwrap();
    // It was given up in the middle, and nothing is lost.
    let (message, _) = feed.next(&world.context, &payer).await.unwrap().counted(&world.context, "events").unwrap();
    let told: EventsView = serde_json::from_str(message.get()).unwrap();
    assert_eq!((told.height, told.sources.len()), (Height::new(1), 1));
}
