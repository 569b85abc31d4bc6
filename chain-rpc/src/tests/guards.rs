//! What the door refuses, and that it serves on.

use super::World;
use super::http::{call, get, get_with, post, raw, rpc};
use super::node::address;
use crate::Limits;
use chain_core::consensus::ConsensusEvent;
use chain_core::engine::Announcement;
use chain_core::types::{Height, View};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;

async fn serves(to: SocketAddr) {
    let answer = call(to, "get_head", &json!({})).await;
    assert_eq!(answer["result"]["height"], "0", "{answer}");
}

#[tokio::test]
async fn requests_without_form_get_the_codes_of_json_rpc() {
    let world = World::new(Limits::default()).await;
    let to = world.door.address;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep_tx = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"send_tx","params":{{"tx":{}}}}}"#, nested(100_000));
    let wrong_types = json!({ "jsonrpc": "2.0", "id": 1, "method": "get_balance", "params": { "address": 7 } });
    for (request, code) in [
        ("{", -32700),
        ("", -32700),
        ("nonsense", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"get_head""#, -32700),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no_such_method"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"get_head","params":[1]}"#, -32602),
        (wrong_types.to_string().as_str(), -32602),
        (deep_tx.as_str(), -32602),
    ] {
        let answer = rpc(to, request).await;
        let start: String = request.chars().take(60).collect();
        assert_eq!(answer.json()["error"]["code"], code, "{start}: {}", String::from_utf8_lossy(&answer.body));
    }
    let null_id = rpc(to, r#"{"jsonrpc":"2.0","id":null,"method":"get_head"}"#).await;
    assert_eq!(null_id.json()["result"]["finalized"], true, "a null id is a request's");
    let notification = rpc(to, r#"{"jsonrpc":"2.0","method":"get_head"}"#).await;
    assert!(notification.body.is_empty(), "a notification has no answer");
    // A hundred thousand brackets are a batch of something that is no request.
    assert!(rpc(to, &nested(100_000)).await.status > 0);
    assert!(rpc(to, &"[".repeat(500_000)).await.status > 0);
    let not_json = post(to, "/", "text/plain", b"{}").await;
    assert_eq!(not_json.status, 415);
    assert_eq!(post(to, "/rpc/send_tx", "application/json", &[0xff, 0xfe]).await.status, 400);
    assert_eq!(get(to, "/").await.status, 405);
    assert_eq!(get(to, "/no/such/path").await.status, 404);
    assert_eq!(raw(to, b"\x16\x03\x01 this is not HTTP\r\n\r\n").await.status, 400);
    serves(to).await;
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::new(Limits { body_bytes: 10_000, bulk_bytes: 50_000, ..Limits::default() }).await;
    let to = world.door.address;
    for path in ["/", "/rpc", "/rpc/send_tx", "/rpc/prepare_tx"] {
        let answer = post(to, path, "application/json", &vec![b' '; 10_001]).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!(6)), "{path}");
    }
    let bulk = async |length| post(to, "/rpc/send_txs", "application/octet-stream", &vec![0; length]).await.status;
    assert_eq!(bulk(50_001).await, 413);
    assert_eq!(bulk(4000).await, 200);
    serves(to).await;
}

#[tokio::test]
async fn batches_are_bounded_and_charged_per_call() {
    let limits = Limits { loopback_rate_per_second: 1, loopback_rate_burst: 30, ..Limits::default() };
    let world = World::new(limits).await;
    let to = world.door.address;
    let batch = |calls: u32| {
        let one = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "get_head" });
        Value::from((0..calls).map(one).collect::<Vec<_>>()).to_string()
    };
    let long = rpc(to, &batch(21)).await.json();
    assert_eq!(long["error"]["code"], -32010, "{long}");
    let whole = rpc(to, &batch(20)).await.json();
    assert!(whole.as_array().unwrap().iter().all(|answer| answer.get("result").is_some()), "{whole}");
    let part = rpc(to, &batch(20)).await.json();
    let refused = part.as_array().unwrap().iter().filter(|answer| answer["error"]["code"] == 4).count();
    assert!((1..20).contains(&refused), "{part}");
    let expensive = call(to, "get_supply", &json!({})).await;
    assert_eq!(expensive["error"]["data"]["reason"], "rate_limited", "{expensive}");
    assert_eq!(get(to, "/rpc/supply").await.status, 429);
}

#[tokio::test]
async fn notifications_are_charged() {
    let limits = Limits { loopback_rate_per_second: 1, loopback_rate_burst: 30, ..Limits::default() };
    let world = World::new(limits).await;
    let to = world.door.address;
    let notification = json!({ "jsonrpc": "2.0", "method": "get_blocks" }).to_string();
    for _ in 0..2 {
        rpc(to, &json!({ "jsonrpc": "2.0", "method": "get_head" }).to_string()).await;
    }
    for _ in 0..3 {
        assert_eq!(rpc(to, &notification).await.status, 200);
    }
    let many = Value::from(vec![json!({ "jsonrpc": "2.0", "method": "get_head" }); 20]).to_string();
    rpc(to, &many).await;
    rpc(to, &many).await;
    let answer = call(to, "peers", &json!({})).await;
    assert_eq!(answer["error"]["code"], 4, "{answer}");
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let short = Duration::from_millis(100);
    let limits = Limits { first_byte: short, header: short, body: short, ..Limits::default() };
    let world = World::new(limits).await;
    let to = world.door.address;
    for start in ["", "POST / HTTP/1.1\r\nHost: localhost\r\n"] {
        let answer = raw(to, start.as_bytes()).await;
        assert!(answer.status == 0 || answer.status == 408, "{start:?}: {}", answer.status);
    }
    let slow_body =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{";
    let answer = raw(to, slow_body.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (408, &json!(9)));
    serves(to).await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let world = World::new(Limits { connections: 2, ..Limits::default() }).await;
    let to = world.door.address;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(to).await.unwrap();
        socket.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        socket.read_u8().await.unwrap();
        held.push(socket);
    }
    assert_eq!(raw(to, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 0);
    drop(held);
    // The places come back once the server has seen the sockets close.
    while get(to, "/livez").await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_nobody_reads_is_closed() {
    let world = World::new(Limits { write_stall: Duration::from_millis(200), ..Limits::default() }).await;
    let (_socket, _) = connect_async(format!("{}/ws/consensus_events", world.url("ws"))).await.unwrap();
    let open = async || {
        let page = String::from_utf8(get(world.ops.address, "/metrics").await.body).unwrap();
        let line = page.lines().find(|line| line.starts_with("rpc_subscribers{kind=\"consensus_events\"")).unwrap();
        line.ends_with(" 1")
    };
    while !open().await {
        tokio::task::yield_now().await;
    }
    let leader = super::node::key(100).public();
    let mut view = 0;
    while open().await {
        for _ in 0..5_000 {
            view += 1;
            let event = ConsensusEvent::View { height: Height::new(1), view: View::new(view), leader };
            world.node.announce(Announcement::Consensus(event));
        }
    }
    serves(world.door.address).await;
}

#[tokio::test]
async fn hosts_and_pages_we_do_not_know_are_refused() {
    let world = World::new(Limits::default()).await;
    let to = world.door.address;
    let path = format!("/rpc/balance/{}", address(1));
    assert_eq!(get_with(to, &path, "Host: evil.example\r\n").await.status, 403);
    assert_eq!(get_with(to, &path, "Host: 127.0.0.1:8006\r\n").await.status, 200);
    let allowed = |head: &str| head.to_ascii_lowercase().contains("access-control-allow-origin");
    assert!(allowed(&get_with(to, &path, "Origin: http://localhost:3000\r\n").await.head));
    assert!(!allowed(&get_with(to, &path, "Origin: https://evil.example\r\n").await.head));
}

#[tokio::test]
async fn behind_a_proxy_requests_are_charged_to_whom_they_are_from() {
    let limits = Limits { behind_proxy: true, rate_per_second: 1, rate_burst: 5, ..Limits::default() };
    let world = World::new(limits).await;
    let to = world.door.address;
    let from = async |header: &str| get_with(to, "/rpc/peers", header).await.status;
    let claimed = "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n";
    assert_eq!([from(claimed).await, from(claimed).await], [200, 200]);
    assert_eq!(from("X-Forwarded-For: 198.51.100.7\r\n").await, 429);
    assert_eq!(from("X-Forwarded-For: 192.0.2.1\r\n").await, 200);
    assert_eq!(from("").await, 200);
}
