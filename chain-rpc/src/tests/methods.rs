//! Every method by name, by position and over REST; documents; errors; proofs.

use super::World;
use super::authority::propose;
use super::http::{call, get, get_with, post, rpc};
use super::market::scene;
use super::node::{TestNode, address, key};
use crate::api::{SUBSCRIPTIONS, Verb, methods};
use crate::backend::Backend;
use crate::client::Client;
use crate::view::*;
use crate::{Limits, document};
use chain_core::block::{Block, FinalBlock, Outcome};
use chain_core::codec::{self, List};
use chain_core::crypto::merkle::ListProof;
use chain_core::light::LightClient;
use chain_core::limits::{MAX_FRAME_BYTES, MAX_RANGE_BLOCKS};
use chain_core::state::{ACCOUNTS, Account, decode_value};
use chain_core::types::{AssetId, Height, QuorumRule, TxId};
use serde_json::{Value, json};
use std::sync::Arc;

/// A chain with one final transfer; what examples need is filled in.
async fn served() -> (World, Vec<(&'static str, String)>) {
    served_on(TestNode::new()).await
}

/// The same with a market in use.
async fn trading() -> (World, Vec<(&'static str, String)>) {
    let (world, mut values) = served_on(TestNode::market()).await;
    let (job, receipt) = scene(&world.node).await;
    let (post, disputed) = super::market_disputes::more(&world.node).await;
    values.extend([
        ("$provider", address(3).to_string()),
        ("$model", super::market::model().to_string()),
        ("$job", job.to_string()),
        ("$receipt", receipt.to_string()),
        ("$post", post.to_string()),
        ("$dispute", disputed.to_string()),
    ]);
    (world, values)
}

async fn served_on(node: Arc<TestNode>) -> (World, Vec<(&'static str, String)>) {
    let world = World::of(node, Limits::default()).await;
    let done = world.node.transfer(1, 0, 5);
    let sent = world.node.submit(vec![done]).await.pop().unwrap().unwrap();
    let asked = world.node.sign(100, 0, propose("burn_bps", 6_000));
    world.node.submit(vec![asked]).await.pop().unwrap().unwrap();
    world.node.produce();
    let next = Bytes(world.node.transfer(2, 0, 5)).to_string();
    let values = vec![
        ("$address", address(1).to_string()),
        ("$tx_id", sent.tx_id.to_string()),
        ("$signed_tx", next),
        ("$proposal", "1".into()),
        ("$validator", key(100).public().to_string()),
    ];
    (world, values)
}

fn fill(example: &str, values: &[(&str, String)]) -> Value {
    let filled = values.iter().fold(example.to_owned(), |text, (name, value)| text.replace(name, value));
    serde_json::from_str(&filled).unwrap()
}

#[tokio::test]
async fn every_method_answers_by_name_and_by_position() {
    let (world, values) = trading().await;
    for method in methods() {
        let named = fill(method.example, &values);
        let answer = call(world.door.address, method.name, &named).await;
        assert!(answer.get("result").is_some(), "{}: {answer}", method.name);
        // By position: the names up to the last one given, with null where one is left out.
        let names = (method.params)();
        let last = names.iter().rposition(|name| named.get(name).is_some()).map_or(0, |at| at + 1);
        if names[..last].iter().all(|name| named.get(name).is_some()) {
            let by_position: Vec<_> = names[..last].iter().map(|name| named[name].clone()).collect();
            let again = call(world.door.address, method.name, &json!(by_position)).await;
            assert!(again.get("result").is_some(), "{}: {again}", method.name);
            if !method.name.contains("health") {
                assert_eq!(again["result"], answer["result"], "{}", method.name);
            }
        }
        let mut unknown = named.clone();
        unknown["no_such_parameter"] = json!(1);
        let refused = call(world.door.address, method.name, &unknown).await;
        assert_eq!(refused["error"]["code"], -32602, "{}: {refused}", method.name);
    }
}

#[tokio::test]
async fn rest_mirrors_every_method() {
    let (world, values) = trading().await;
    for method in methods() {
        let named = fill(method.example, &values);
        let Some((_, _)) = method.routes.first() else { continue };
        let expected = call(world.door.address, method.name, &named).await["result"].clone();
        for (verb, path) in method.routes {
            let answer = match verb {
                Verb::Post => post(world.door.address, path, "application/json", named.to_string().as_bytes()).await,
                Verb::Get => {
                    let (mut path, mut query) = ((*path).to_owned(), Vec::new());
                    for (name, value) in named.as_object().unwrap() {
                        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        let place = format!("{{{name}}}");
                        if path.contains(&place) {
                            path = path.replace(&place, &value);
                        } else {
                            query.push(format!("{name}={value}"));
                        }
                    }
                    get(world.door.address, &format!("{path}?{}", query.join("&"))).await
                }
            };
            assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
            assert_eq!(answer.json(), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn the_documents_list_exactly_what_answers() {
    let (world, _) = served().await;
    let document = call(world.door.address, "rpc.discover", &json!({})).await["result"].clone();
    let listed: Vec<_> =
        document["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect();
    let subscriptions = SUBSCRIPTIONS.iter().flat_map(|s| [s.subscribe, s.unsubscribe]);
    let mut expected: Vec<_> = methods().map(|m| m.name).chain(subscriptions).map(str::to_owned).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    for name in &listed {
        let answer = call(world.door.address, name, &json!({})).await;
        assert_ne!(answer["error"]["code"], -32601, "{name}: {answer}");
    }
    // Every reference leads somewhere, in both documents.
    let open = get(world.door.address, "/openapi.json").await.json();
    for document in [document, open] {
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
    let page = document::markdown();
    for method in methods() {
        assert!(page.contains(&format!("`{}`", method.name)), "{}", method.name);
    }
}

#[tokio::test]
async fn prepare_sign_send_follow() {
    let (world, _) = served().await;
    let client = Client::connect(&world.url("http")).await.unwrap();
    let actions = serde_json::from_value(json!([{ "type": "transfer", "to": address(77), "amount": "7" }])).unwrap();
    let params = PrepareParams {
        sender: address(3),
        actions,
        fee: None,
        nonce: None,
        valid_until: None,
        fee_payer: None,
        multi_key: None,
    };
    let prepared = client.prepare_tx(&params).await.unwrap();
    assert_eq!(prepared.fee, prepared.min_fee);
    assert_eq!(prepared.tx.valid_until, Height::new(1 + 1800));
    assert_eq!(prepared.text.len(), 1);
    let signature = key(3).sign(&prepared.signing_bytes.0);
    let tx = Some(TxInput::Json(Box::new(prepared.tx)));
    let send = SendParams { tx, signature: Some(signature), ..SendParams::default() };
    let simulated = client.simulate_tx(&send).await.unwrap();
    assert!(simulated.outcome.ok);
    assert_eq!(simulated.weight, prepared.weight);
    let sent = client.send_tx(&send).await.unwrap();
    assert_eq!((sent.tx_id, sent.status), (prepared.tx_id, StatusName::Pending));
    assert_eq!(client.send_tx(&send).await.unwrap(), sent, "the same bytes get the same answer");
    assert_eq!(client.get_pending(Some(address(3)), None).await.unwrap().transactions.len(), 1);
    assert_eq!(client.get_account(address(3)).await.unwrap().next_nonce, U64(1));
    world.node.produce();
    let found = client.get_tx(sent.tx_id, true).await.unwrap();
    assert_eq!((found.status, found.height, found.index), (StatusName::Final, Some(Height::new(2)), Some(0)));
    assert!(found.outcome.unwrap().ok);
    assert_eq!(found.events.unwrap().len(), 1);
    let balance = client.get_balance(address(77), AssetId::NATIVE).await.unwrap();
    assert_eq!((balance.balance.get(), balance.formatted.as_str()), (7, "7/3600AIT"));
    // What a failed transaction says.
    let too_much = world.node.transfer(4, 0, 10u128.pow(29));
    let sent = client.send_raw(&too_much).await.unwrap();
    world.node.produce();
    let outcome = client.get_tx(sent.tx_id, false).await.unwrap().outcome.unwrap();
    let reason = outcome.reason.unwrap();
    assert!(!outcome.ok);
    assert_eq!((reason.number, reason.name.as_str(), reason.action), (50, "insufficient_balance", 0));
    let history = client.get_history(address(9), None, Some(1)).await.unwrap();
    assert_eq!(history.transactions[0].tx_id, sent.tx_id);
    let older = client.get_history(address(9), history.next, Some(5)).await.unwrap();
    assert_eq!((older.transactions.len(), older.next), (1, None));
    assert!(client.get_supply().await.unwrap().assets[0].conserved);
}

#[tokio::test]
async fn proofs_hold_and_fail_when_touched() {
    let (world, values) = served().await;
    let chain = world.node.chain_id();
    let set = world.node.validators().unwrap();
    let client = Client::connect(&world.url("http")).await.unwrap();
    for (who, present) in [(address(1), true), (address(200), false)] {
        let params = ProofParams { address: Some(who), ..ProofParams::default() };
        let ProofView::Row(found) = client.get_proof(&params).await.unwrap() else { panic!("a row was asked for") };
        let anchor = &found.anchor;
        assert_eq!(anchor.header.id(), anchor.hash);
        let certificate = anchor.certificate.as_ref().unwrap();
        certificate.verify(&chain, chain_core::types::QuorumRule::Byzantine, &set).unwrap();
        assert_eq!(certificate.message.block, Some(anchor.hash));
        let row = found.proof.verify(&chain.0, &anchor.header.state_root, &ACCOUNTS.key(&who)).unwrap();
        assert_eq!((row.is_some(), found.present), (present, present));
        if let Some(row) = row {
            assert_eq!(decode_value::<Account>(row).unwrap().nonce, 1);
        }
        let mut touched = found.proof.clone();
        touched.slot ^= 1;
        assert!(touched.verify(&chain.0, &anchor.header.state_root, &ACCOUNTS.key(&who)).is_err());
    }
    let id: TxId = values[1].1.parse().unwrap();
    let proof = client.get_tx(id, true).await.unwrap().proof.unwrap();
    let (list, outcome): (&ListProof, &Outcome) = (&proof.proof, &proof.outcome);
    let root = proof.anchor.header.outcome_root;
    list.verify(&chain.0, &root, proof.index, &outcome.hash(&chain)).unwrap();
    let touched = Outcome { fee: chain_core::types::Amount::new(1), ..outcome.clone() };
    assert!(list.verify(&chain.0, &root, proof.index, &touched.hash(&chain)).is_err());
}

#[tokio::test]
async fn refusals_say_which_rule() {
    let (world, _) = served().await;
    let client = Client::connect(&world.url("http")).await.unwrap();
    let old = world.node.transfer(1, 0, 6);
    let refused = client.send_raw(&old).await.unwrap_err();
    let error = refused.refusal().unwrap().clone();
    assert_eq!((error.code, error.data.number), (1021, Some(21)));
    assert_eq!((error.data.reason.as_str(), error.data.expected.as_deref()), ("nonce_too_low", Some("1")));
    let mut forged = world.node.transfer(2, 0, 6);
    // The last byte says that there is no fee payer; the signature ends before it.
    let at = forged.len() - 2;
    forged[at] ^= 1;
    assert_eq!(client.send_raw(&forged).await.unwrap_err().refusal().unwrap().data.reason, "bad_signature");
    assert_eq!(client.send_raw(&[]).await.unwrap_err().refusal().unwrap().data.reason, "malformed");
    let answer = post(world.door.address, "/rpc/send_tx", "application/json", br#"{"signed_tx":"0x"}"#).await;
    assert_eq!((answer.status, &answer.json()["error"]["data"]["number"]), (400, &json!(1)));
    let missing = get(world.door.address, "/rpc/block/99").await;
    assert_eq!((missing.status, &missing.json()["error"]["data"]["reason"]), (404, &json!("not_found")));
    for (method, params) in [
        ("get_balance", json!({ "address": "ait1nonsense" })),
        ("get_balance", json!({})),
        ("get_balance", json!([address(1), 0, 7])),
        ("get_balance", json!("text")),
        ("get_blocks", json!({ "from": "0", "to": "100" })),
        ("get_blocks", json!({ "from": "5", "to": "1" })),
        ("get_final_blocks", json!({ "from": "0" })),
        ("get_final_blocks", json!({ "from": "1", "count": 0 })),
        ("get_final_blocks", json!({ "from": "1", "count": 129 })),
        ("get_pending", json!({ "limit": 0 })),
        ("get_proof", json!({})),
        ("get_proof", json!({ "key": "0x00" })),
        ("send_tx", json!({})),
        ("send_tx", json!({ "signed_tx": "0x01", "tx": "0x02" })),
        ("send_txs", json!({ "signed_txs": [] })),
        ("prepare_tx", json!({ "sender": address(1), "actions": [{ "type": "nonsense" }] })),
    ] {
        let answer = call(world.door.address, method, &params).await;
        assert_eq!(answer["error"]["code"], -32602, "{method} {params}: {answer}");
    }
    let answer = call(world.door.address, "get_balance", &json!([address(1), 7])).await;
    assert_eq!(answer["error"]["code"], 1051, "{answer}");
}

#[tokio::test]
async fn many_transactions_in_one_request_each_have_their_verdict() {
    let (world, _) = served().await;
    let client = Client::connect(&world.url("http")).await.unwrap();
    let (good, bad, more) = (world.node.transfer(5, 0, 1), vec![1, 2, 3], world.node.transfer(5, 1, 1));
    let verdicts = client.send_many(&[good.clone(), bad.clone(), more.clone()]).await.unwrap();
    let taken = |verdict: &SendVerdict| matches!(verdict, SendVerdict::Taken(_));
    assert_eq!(verdicts.accepted, 2);
    assert_eq!(verdicts.results.iter().map(taken).collect::<Vec<_>>(), [true, false, true]);
    let frame = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let batch = [frame(&good), frame(&bad), frame(&more)].concat();
    let answer = post(world.door.address, "/rpc/send_txs", "application/octet-stream", &batch).await;
    let again: SendManyView = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(again.results.iter().map(taken).collect::<Vec<_>>(), [true, false, true]);
    let cut = post(world.door.address, "/rpc/send_txs", "application/octet-stream", &batch[..9]).await;
    assert_eq!(cut.status, 400);
}

#[tokio::test]
async fn canonical_bytes_are_answered_where_asked_for() {
    let (world, values) = served().await;
    let accept = "Accept: application/octet-stream\r\n";
    let head = world.node.head();
    let header = get_with(world.door.address, "/rpc/header/latest", accept).await;
    assert_eq!(header.body, chain_core::codec::encode(&head.header));
    let tx = get_with(world.door.address, &format!("/rpc/tx/{}", values[1].1), accept).await;
    assert_eq!(tx.body, head.body.transactions()[0]);
    assert_eq!(get_with(world.door.address, "/rpc/genesis", accept).await.body, [1, 2, 3]);
    let block = get_with(world.door.address, "/rpc/block/1", accept).await;
    assert!(block.head.contains("application/octet-stream"));
    let expected = chain_core::codec::encode(&(&head.header, head.body.encode(), &head.certificate));
    assert_eq!(block.body, expected);
    assert_eq!(get_with(world.door.address, "/rpc/block/9", accept).await.status, 404);
}

/// What is read of final blocks, by both ways they are asked for.
async fn final_blocks(world: &World, from: u64, count: u32) -> (FinalBlocksView, Vec<FinalBlock>) {
    let client = Client::connect(&world.url("http")).await.unwrap();
    let view = client.get_final_blocks(Height::new(from), count).await.unwrap();
    let path = format!("/rpc/final_blocks?from={from}&count={count}");
    let bytes = get_with(world.door.address, &path, "Accept: application/octet-stream\r\n").await;
    assert_eq!(bytes.body, view.blocks.0);
    let blocks: List<FinalBlock, MAX_RANGE_BLOCKS> = codec::decode(&view.blocks.0, MAX_FRAME_BYTES).unwrap();
    assert_eq!(blocks.len() as u32, view.count);
    (view, blocks.into_inner())
}

#[tokio::test]
async fn final_blocks_can_be_followed_from_afar() {
    let (world, _) = served().await;
    for _ in 0..4 {
        world.node.produce();
    }
    let (pin, set) = (world.node.header(Height::ZERO).unwrap(), world.node.validators().unwrap());
    let light = LightClient::pinned(pin.id(), QuorumRule::Byzantine, pin, set.members().to_vec()).unwrap();
    let (view, blocks) = final_blocks(&world, 1, 100).await;
    assert_eq!((view.from, view.head, view.oldest, view.count), (Height::new(1), Height::new(5), Height::ZERO, 5));
    for (height, FinalBlock { block, certificate }) in (1..).zip(blocks) {
        assert_eq!(
            block,
            world
                .node
                .block(Height::new(height))
                .map(|b| Block { header: b.header.clone(), body: b.body.clone() })
                .unwrap()
        );
        assert!(light.header(block.header, certificate.as_ref()).is_ok());
    }
    assert_eq!(final_blocks(&world, 2, 3).await.1.iter().map(|b| b.block.header.height.get()).sum::<u64>(), 2 + 3 + 4);
    assert_eq!(final_blocks(&world, 6, 3).await.0.count, 0);
    assert_eq!(final_blocks(&world, u64::MAX, 128).await.0.count, 0);
}

#[tokio::test]
async fn final_blocks_end_where_they_are_too_much_but_the_first_always_fits() {
    let world = World::new(Limits::default()).await;
    world.node.push_large(1_200_000);
    world.node.push_large(700_000);
    world.node.push_large(3_000_000);
    world.node.push_large(10);
    let counts = async |from| final_blocks(&world, from, 128).await.0.count;
    assert_eq!((counts(1).await, counts(2).await, counts(3).await, counts(4).await), (2, 1, 1, 1));
}

#[tokio::test]
async fn validators_of_a_height() {
    let (world, _) = served().await;
    let of = async |params| call(world.door.address, "get_validators", &params).await;
    let next = of(json!({})).await["result"].clone();
    assert_eq!((&next["height"], &next["validators"][0]["leads_first"]), (&json!("2"), &json!(true)));
    assert_eq!(of(json!({ "height": "2" })).await["result"], next);
    assert_eq!(of(json!({ "height": "1" })).await["result"]["hash"], next["hash"]);
    assert_eq!(of(json!({ "height": "3" })).await["error"]["data"]["reason"], "not_found");
}

#[tokio::test]
async fn health_pages_and_metrics() {
    let (world, _) = served().await;
    for to in [world.door.address, world.ops.address] {
        for path in ["/health", "/livez", "/readyz", "/readyz?verbose"] {
            assert_eq!(get(to, path).await.status, 200, "{path}");
        }
    }
    assert_eq!(get(world.door.address, "/sync_status").await.json()["syncing"], false);
    let page = String::from_utf8(get(world.ops.address, "/metrics").await.body).unwrap();
    for name in [
        "blockchain_blocks_total 1",
        "blockchain_transactions_total 2",
        "blockchain_consensus_rounds 0",
        "blockchain_network_peers 3",
        "rpc_requests_total{code=\"0\",method=\"sync_status\"} 1",
        "process_open_fds",
        "other_part 1",
    ] {
        assert!(page.contains(name), "{name} is not in\n{page}");
    }
    assert_eq!(get(world.door.address, "/metrics").await.status, 404);
    world.node.disagree();
    for path in ["/health", "/readyz"] {
        assert_eq!(get(world.door.address, path).await.status, 503);
    }
    assert_eq!(get(world.door.address, "/livez").await.status, 200);
    let said = rpc(world.door.address, r#"{"jsonrpc":"2.0","id":1,"method":"health"}"#).await.json();
    assert_eq!(said["result"]["status"], "disagreeing");
}
