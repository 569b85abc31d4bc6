//! What no polite client sends, on every interface: each gets its documented error, nothing changes,
//! and the node goes on answering.

use chain_core::codec;
use chain_core::testing::pay;
use chain_core::tx::{self, Authorisation};
use chain_core::types::{Amount, ChainId, Height, Rejection};
use chain_rpc::errors::{self, Kind, REJECTION_CODES};
use chain_tests::devnet::Devnet;
use chain_tests::wallet::Wallet;
use chain_tests::{PATIENCE, eventually, http};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::Message;

/// What the chain holds besides its height.
async fn holdings(devnet: &Devnet, wallets: &[Wallet]) -> Value {
    let to = devnet.rpc();
    let mut supply = http::result(to, "get_supply", json!({})).await;
    supply.as_object_mut().unwrap().remove("height");
    let pool = http::result(to, "get_mempool", json!({})).await;
    let mut accounts = Vec::new();
    for wallet in wallets {
        let account = http::result(to, "get_account", json!({ "address": wallet.address })).await;
        accounts.push(json!([account["balance"], account["balances"], account["nonce"], account["next_nonce"]]));
    }
    json!({ "supply": supply, "pool": pool, "accounts": accounts })
}

/// Runs an attack and compares before and after.
async fn harmless<F: Future<Output = ()>>(attack: impl FnOnce(SocketAddr, Vec<Wallet>) -> F) {
    let devnet = Devnet::start().await;
    let (to, wallets) = (devnet.rpc(), devnet.wallets());
    let first = wallets[0].pay(0, wallets[1].address, 1);
    let sent = http::result(to, "send_tx", json!({ "signed_tx": text(first.bytes()) })).await;
    eventually("the first transaction is final", || async {
        let seen = http::result(to, "get_tx", json!({ "tx_id": sent["tx_id"] })).await;
        (seen["status"] == "final").then_some(())
    })
    .await;
    let before = holdings(&devnet, &wallets).await;
    attack(to, devnet.wallets()).await;
    assert_eq!(holdings(&devnet, &wallets).await, before);
    assert_eq!(http::get(to, "/readyz").await.status, 200);
}

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn request(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

fn code_of(kind: Kind) -> Option<i64> {
    Some(i64::from(kind.code))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_wrong_form() {
    harmless(|to, wallets| async move {
        let address = wallets[0].address;
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let nested = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"get_balance","params":{}}}"#, deep(20_000));
        let whole = request("get_balance", json!({ "address": address }));
        let mut wrong = Vec::new();
        for (body, expected) in [
            ("", errors::PARSE),
            ("{", errors::PARSE),
            ("nonsense", errors::PARSE),
            (&whole[..whole.len() - 3], errors::PARSE),
            ("\u{feff}{}", errors::PARSE),
            ("[]", errors::INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"get_head"}"#, errors::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, errors::INVALID_REQUEST),
            (&request("get_nonsense", json!({})), errors::METHOD_NOT_FOUND),
            (&request("", json!({})), errors::METHOD_NOT_FOUND),
            (&request("get_balance", json!({})), errors::INVALID_PARAMS),
            (&request("get_balance", json!({ "address": address, "more": 1 })), errors::INVALID_PARAMS),
            (&request("get_balance", json!({ "address": 7 })), errors::INVALID_PARAMS),
            (&request("get_balance", json!({ "address": "ait1nonsense" })), errors::INVALID_PARAMS),
            (&request("get_balance", json!({ "address": address, "asset": -1 })), errors::INVALID_PARAMS),
            (&request("get_balance", json!({ "address": address, "asset": 1u64 << 32 })), errors::INVALID_PARAMS),
            (&request("get_balance", json!([address, 0, 0])), errors::INVALID_PARAMS),
            (&request("get_block", json!({ "block": "0x12" })), errors::INVALID_PARAMS),
            (&request("get_block", json!({ "block": -1 })), errors::INVALID_PARAMS),
            (&request("get_block", json!({ "block": "999999999" })), errors::NOT_FOUND),
            (&request("get_blocks", json!({ "from": "0", "to": "100" })), errors::INVALID_PARAMS),
            (&request("get_tx", json!({ "tx_id": "0xzz" })), errors::INVALID_PARAMS),
            (&request("get_proof", json!({})), errors::INVALID_PARAMS),
            (&request("get_pending", json!({ "limit": 1001 })), errors::INVALID_PARAMS),
            (&request("subscribe_new_blocks", json!({})), errors::NO_SUBSCRIPTION),
            (&nested, errors::INVALID_PARAMS),
        ] {
            let answer = http::rpc(to, body.as_bytes()).await;
            let shown: String = body.chars().take(200).collect();
            if answer.code() != code_of(expected) {
                wrong.push(format!("{shown}: {} instead of {}", answer.text(), expected.code));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let binary = http::rpc(to, &[0xff, 0xfe, 0, 1, 2]).await;
        assert_eq!(binary.code(), code_of(errors::PARSE), "{}", binary.text());
        let all_deep = http::rpc(to, deep(200_000).as_bytes()).await;
        let told = all_deep.json();
        let error = told.pointer("/0/error").or(told.get("error")).unwrap();
        assert!([-32600, -32700].map(Value::from).contains(&error["code"]), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_no_request_is_told_from_what_is_no_json() {
    harmless(|to, _| async move {
        for body in ["{}", "7", "null", "\"text\"", r#"{"method":"get_head"}"#, "[1]"] {
            let answer = http::rpc(to, body.as_bytes()).await.json();
            let error = if answer.is_array() { &answer[0]["error"] } else { &answer["error"] };
            assert_eq!(error["code"].as_i64(), code_of(errors::INVALID_REQUEST), "{body}: {answer}");
        }
        let unheard = request("get_head", json!({})).replace(r#""id":1,"#, "");
        assert_eq!(http::rpc(to, unheard.as_bytes()).await.body, b"", "a notification has no answer");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_of_anything() {
    harmless(|to, _| async move {
        let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"get_head","x":"{}"}}"#, "x".repeat(1 << 20));
        for path in ["/", "/rpc", "/rpc/send_tx", "/rpc/prepare_tx"] {
            let answer = http::post(to, path, "application/json", large.as_bytes()).await;
            assert_eq!((answer.status, answer.code()), (413, code_of(errors::TOO_LARGE)), "{path}: {}", answer.text());
        }
        let bulk = http::post(to, "/rpc/send_txs", "application/octet-stream", &vec![0xff; (16 << 20) + 1]).await;
        assert_eq!((bulk.status, bulk.code()), (413, code_of(errors::TOO_LARGE)), "{}", bulk.text());
        let call = request("get_head", json!({}));
        let batch = |count: usize| format!("[{}]", vec![call.as_str(); count].join(","));
        let full = http::rpc(to, batch(20).as_bytes()).await.json();
        assert_eq!(full.as_array().map(Vec::len), Some(20));
        let over = http::rpc(to, batch(21).as_bytes()).await;
        assert_eq!(over.code(), code_of(errors::BATCH_TOO_LONG), "{}", over.text());
        let many = json!({ "signed_txs": vec!["0x"; 1001] });
        assert_eq!(http::call(to, "send_txs", many).await.code(), code_of(errors::INVALID_PARAMS));
        assert_eq!(
            http::call(to, "send_txs", json!({ "signed_txs": [] })).await.code(),
            code_of(errors::INVALID_PARAMS)
        );
        let head = format!(
            "GET /rpc/head HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n",
            "x".repeat(300_000)
        );
        let answer = http::raw(to, head.as_bytes()).await;
        assert!(matches!(answer.status, 0 | 400 | 431), "{}", answer.status);
    })
    .await;
}

/// Transactions that the chain must refuse, with the rejection.
fn refused(wallets: &[Wallet]) -> Vec<(&'static str, Vec<u8>, Rejection)> {
    let (from, to) = (&wallets[0], wallets[1].address);
    let good = || from.transaction(1, [pay(to, 1)]);
    let with = |change: &dyn Fn(&mut tx::Transaction)| {
        let mut transaction = good();
        change(&mut transaction);
        from.sign(transaction)
    };
    let bytes = from.sign(good());
    let mut other_chain = from.chain;
    other_chain.0.0[31] ^= 1;
    assert_eq!(other_chain.tag(), from.chain.tag());
    let elsewhere: ChainId = other_chain;
    let foreign = codec::encode(&good().sign(&elsewhere, &from.key));
    let mut forged = good().sign(&from.chain, &from.key);
    let Authorisation::Key { signature, .. } = &mut forged.authorisation else { panic!("one key") };
    signature.0[3] ^= 1;
    let stranger = codec::encode(&good().sign(&from.chain, &wallets[2].key));
    let trailing = [bytes.as_slice(), &[0]].concat();
    let place = bytes.windows(6).position(|six| six == [1, 0, 0, 0, 1, 1]).expect("one action, a transfer");
    let mut unknown = bytes.clone();
    unknown[place + 4] = 250;
    let mut many = bytes.clone();
    many[place] = 17;
    vec![
        ("nothing", Vec::new(), tx::MALFORMED),
        ("one byte", vec![1], tx::MALFORMED),
        ("cut", bytes[..bytes.len() - 1].to_vec(), tx::MALFORMED),
        ("trailing bytes", trailing, tx::MALFORMED),
        ("too long", [bytes.as_slice(), &vec![0; 60 * 1024]].concat(), tx::TOO_LONG),
        ("version 2", with(&|tx| tx.version = 2), tx::UNKNOWN_VERSION),
        ("another chain's tag", with(&|tx| tx.chain_tag = [9; 4]), tx::WRONG_CHAIN),
        ("another chain with the same tag", foreign, tx::BAD_SIGNATURE),
        ("a forged signature", codec::encode(&forged), tx::BAD_SIGNATURE),
        ("a stranger's key", stranger, tx::WRONG_POLICY),
        ("no actions", with(&|tx| tx.actions = Default::default()), tx::ACTION_COUNT),
        ("17 actions", many, tx::MALFORMED),
        ("an unknown action", unknown, tx::UNKNOWN_ACTION),
        ("an executed nonce", from.sign(from.transaction(0, [pay(to, 2)])), tx::NONCE_TOO_LOW),
        ("a nonce far ahead", from.sign(from.transaction(1_000, [pay(to, 1)])), tx::NONCE_TOO_HIGH),
        ("the greatest nonce", from.sign(from.transaction(u64::MAX, [pay(to, 1)])), tx::NONCE_TOO_HIGH),
        ("no fee", with(&|tx| tx.fee = Amount::ZERO), tx::FEE_TOO_LOW),
        ("more fee than there is", with(&|tx| tx.fee = Amount::MAX_SUPPLY), tx::FEE_UNPAYABLE),
        ("the greatest fee", with(&|tx| tx.fee = Amount::new(u128::MAX)), tx::FEE_UNPAYABLE),
        ("no amount", from.sign(from.transaction(1, [pay(to, 0)])), tx::AMOUNT_OUT_OF_RANGE),
        ("the greatest amount", from.sign(from.transaction(1, [pay(to, u128::MAX)])), tx::AMOUNT_OUT_OF_RANGE),
        ("an old lifetime", with(&|tx| tx.valid_until = Height::new(1)), tx::EXPIRED),
        ("oneself as fee payer", with(&|tx| tx.fee_payer = Some(from.address)), tx::FEE_PAYER_IS_SENDER),
        ("a fee payer who did not sign", with(&|tx| tx.fee_payer = Some(to)), tx::AUTHORISATION_MISSING),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_the_chain_refuses() {
    harmless(|to, wallets| async move {
        let frame = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        for (what, bytes, expected) in refused(&wallets) {
            let code = Some(i64::from(REJECTION_CODES) + i64::from(expected.number));
            let said = http::call(to, "send_tx", json!({ "signed_tx": text(&bytes) })).await;
            assert_eq!(said.code(), code, "{what}: {}", said.text());
            assert_eq!(said.json()["error"]["data"]["reason"], expected.name, "{what}");
            let page = http::post_json(to, "/rpc/sendTx", &json!({ "signed_tx": text(&bytes) })).await;
            let http = errors::rejection_http(&expected);
            assert_eq!((page.status, page.code()), (http, code), "{what}: {}", page.text());
            if !bytes.is_empty() {
                let bulk = http::post(to, "/rpc/send_txs", "application/octet-stream", &frame(&bytes)).await;
                assert_eq!(bulk.json()["results"][0]["error"]["code"].as_i64(), code, "{what}: {}", bulk.text());
            }
            let simulated = http::call(to, "simulate_tx", json!({ "signed_tx": text(&bytes) })).await;
            assert!(simulated.code().is_some() || simulated.status == 200, "{what}: {}", simulated.text());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_forms_of_transactions_that_are_none() {
    harmless(|to, wallets| async move {
        let (from, receiver) = (&wallets[0], wallets[1].address);
        let transfer = |amount: Value| json!({ "type": "transfer", "to": receiver, "amount": amount });
        let beyond = "340282366920938463463374607431768211456";
        for actions in [
            json!([]),
            json!("text"),
            json!([{ "type": "nonsense" }]),
            json!([{ "to": receiver, "amount": "1" }]),
            json!([transfer(json!(beyond))]),
            json!([transfer(json!("-1"))]),
            json!([transfer(json!(1.5))]),
            json!([transfer(json!("01"))]),
            json!([{ "type": "transfer", "to": receiver, "amount": "1", "memo": "x".repeat(129) }]),
            json!([{ "type": "transfer", "to": receiver, "amount": "1", "more": 1 }]),
            json!(vec![transfer(json!("1")); 17]),
        ] {
            let asked = json!({ "sender": from.address, "actions": actions });
            let said = http::call(to, "prepare_tx", asked).await;
            let expected = match actions.as_array().is_some_and(Vec::is_empty) {
                true => Some(i64::from(REJECTION_CODES) + i64::from(tx::ACTION_COUNT.number)),
                false => code_of(errors::INVALID_PARAMS),
            };
            assert_eq!(said.code(), expected, "{actions}: {}", said.text());
        }
        for given in ["0x1", "0xzz", "%%%%", "0x 00", "AA=A"] {
            for params in [json!({ "signed_tx": given }), json!({ "tx": given })] {
                let said = http::call(to, "send_tx", params).await;
                assert_eq!(said.code(), code_of(errors::INVALID_PARAMS), "{given}: {}", said.text());
            }
        }
        for params in [json!({}), json!({ "signed_tx": "0x01", "tx": "0x02" }), json!({ "tx": {} }), json!([])] {
            let said = http::call(to, "send_tx", params.clone()).await;
            assert_eq!(said.code(), code_of(errors::INVALID_PARAMS), "{params}: {}", said.text());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_hosts_and_origins_that_are_not_ours() {
    harmless(|to, _| async move {
        for (path, status, expected) in [
            ("/rpc/nonsense", 404, errors::METHOD_NOT_FOUND),
            ("/rpc/block/-1", 400, errors::INVALID_PARAMS),
            ("/rpc/block/999999999", 404, errors::NOT_FOUND),
            ("/rpc/balance/ait1nonsense", 400, errors::INVALID_PARAMS),
            ("/rpc/tx/0x12", 400, errors::INVALID_PARAMS),
            ("/rpc/pending?limit=0", 400, errors::INVALID_PARAMS),
            ("/rpc/head?more=1", 400, errors::INVALID_PARAMS),
            ("/rpc/search?q=%00", 400, errors::INVALID_PARAMS),
        ] {
            let page = http::get(to, path).await;
            assert_eq!((page.status, page.code()), (status, code_of(expected)), "{path}: {}", page.text());
        }
        let wrong = http::get_with(to, "/rpc/head", "Host: evil.example\r\n").await;
        assert_eq!((wrong.status, wrong.code()), (403, code_of(errors::FORBIDDEN)));
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: https://evil.example\r\n";
        for path in ["/", "/ws", "/ws/new_blocks"] {
            let wrong = http::get_with(to, path, upgrade).await;
            assert_eq!((wrong.status, wrong.code()), (403, code_of(errors::FORBIDDEN)), "{path}");
        }
        for (bytes, statuses) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00"[..], [0, 400]),
            (b"GET / HTTP/1.1\r\n\r\n", [400, 403]),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", [0, 400]),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", [0, 400]),
        ] {
            let answer = http::raw(to, bytes).await;
            assert!(statuses.contains(&answer.status), "{}", answer.head);
        }
        for cut in [&[1u8, 0][..], &[255, 255, 255, 255], &[5, 0, 0, 0, 1]] {
            let page = http::post(to, "/rpc/send_txs", "application/octet-stream", cut).await;
            assert_eq!(page.status, 400, "{}", page.text());
        }
    })
    .await;
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// The next text frame.
async fn said(socket: &mut Socket) -> String {
    loop {
        let frame =
            tokio::time::timeout(PATIENCE, socket.next()).await.expect("an answer").expect("it is open").unwrap();
        if let Message::Text(text) = frame {
            return text.to_string();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_no_requests() {
    harmless(|to, wallets| async move {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{to}/ws")).await.unwrap();
        let bad = request("get_balance", json!({ "address": 7 }));
        let unsubscribe = request("unsubscribe_new_blocks", json!(["nonsense"]));
        for (frame, expected) in [
            (Message::text("{"), Some(errors::PARSE)),
            (Message::binary(vec![0xff, 0, 1]), Some(errors::PARSE)),
            (Message::text("[]"), Some(errors::INVALID_REQUEST)),
            (Message::text(bad), Some(errors::INVALID_PARAMS)),
            (Message::text(request("get_nonsense", json!({}))), Some(errors::METHOD_NOT_FOUND)),
            (Message::text(request("subscribe_watch_tx", json!({ "tx_id": 1 }))), Some(errors::INVALID_PARAMS)),
            (
                Message::text(request("subscribe_new_blocks", json!({ "from_height": "9999999" }))),
                Some(errors::NOT_FOUND),
            ),
            (Message::text(unsubscribe), None),
            (Message::text("x".repeat((1 << 20) + 1)), Some(errors::MESSAGE_TOO_LARGE)),
        ] {
            let shown = format!("{frame:.100?}").chars().take(200).collect::<String>();
            socket.send(frame).await.unwrap();
            let answer: Value = serde_json::from_str(&said(&mut socket).await).unwrap();
            if let Some(expected) = expected {
                assert_eq!(answer["error"]["code"].as_i64(), code_of(expected), "{shown}: {answer}");
            }
        }
        let balance = request("get_balance", json!({ "address": wallets[0].address }));
        socket.send(Message::binary(balance.into_bytes())).await.unwrap();
        let answer = said(&mut socket).await;
        assert!(answer.contains("\"result\""), "the connection still works: {answer}");
        let (mut plain, _) = tokio_tungstenite::connect_async(format!("ws://{to}/ws/new_blocks")).await.unwrap();
        plain.send(Message::binary(vec![0; 64])).await.unwrap();
        plain.send(Message::text("nonsense")).await.unwrap();
        let told = said(&mut plain).await;
        assert!(told.contains("height"), "what a client says there means nothing: {told}");
        // Too long: the server closes, whatever else.
        plain.send(Message::binary(vec![0; 5000])).await.unwrap();
        let closing = async { while let Some(Ok(_)) = plain.next().await {} };
        tokio::time::timeout(PATIENCE, closing).await.expect("the connection is closed");
        let refused = tokio_tungstenite::connect_async(format!("ws://{to}/ws/new_blocks?from_height=9999999")).await;
        assert!(refused.is_err());
    })
    .await;
}
