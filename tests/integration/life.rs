//! One node's life over every interface: transfers, proofs, blocks told, an orderly stop, the next
//! start on the same chain, and a chain thrown away.

use chain_core::block::Outcome;
use chain_core::crypto::merkle::ListProof;
use chain_core::state::ACCOUNTS;
use chain_core::tx::Authorisation;
use chain_core::types::{Address, AssetId, TxId};
use chain_rpc::client::Client;
use chain_rpc::view::*;
use chain_tests::devnet::{Devnet, chain_node};
use chain_tests::wallet::{FEE, Wallet};
use chain_tests::{PATIENCE, eventually, http};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn outcome(client: &Client, id: TxId) -> GetTxView {
    let seen = eventually("the transaction is final", || async move {
        let seen = client.get_tx(id, true).await.unwrap();
        assert!(matches!(seen.status, StatusName::Pending | StatusName::Final), "{seen:?}");
        Some(seen).filter(|seen| seen.status == StatusName::Final)
    })
    .await;
    assert!(seen.outcome.as_ref().is_some_and(|outcome| outcome.ok), "{seen:?}");
    seen
}

async fn balance(client: &Client, of: Address) -> u128 {
    client.get_balance(of, AssetId::NATIVE).await.unwrap().balance.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_by_the_typed_client_with_proofs_against_genesis() {
    let devnet = Devnet::start().await;
    let (client, wallets) = (devnet.client().await, devnet.wallets());
    let (from, to) = (&wallets[0], &wallets[1]);
    let before = balance(&client, from.address).await;
    let sent = client.send_raw(from.pay(0, to.address, 700).bytes()).await.unwrap();
    assert_eq!(sent.status, StatusName::Pending);
    let seen = outcome(&client, sent.tx_id).await;
    assert_eq!((seen.wire_id, seen.index), (Some(sent.wire_id), Some(0)));
    assert_eq!(balance(&client, from.address).await, before - 700 - FEE);
    assert_eq!(balance(&client, to.address).await, before + 700);
    let again = client.send_raw(from.pay(0, to.address, 700).bytes()).await.unwrap();
    assert_eq!((again.tx_id, again.status), (sent.tx_id, StatusName::Final), "the same bytes, the same answer");
    assert_proofs(&devnet, &client, from, &seen).await;
}

/// Believes nothing but the genesis file.
async fn assert_proofs(devnet: &Devnet, client: &Client, of: &Wallet, seen: &GetTxView) {
    let genesis = devnet.genesis();
    let (chain, set) = (genesis.chain_id(), genesis.validator_set().unwrap());
    let trusted = |anchor: &Anchor| {
        let certificate = anchor.certificate.as_ref().unwrap();
        certificate.verify(&chain, genesis.quorum_rule, &set).unwrap();
        assert_eq!((certificate.block(), anchor.header.id()), (Some(anchor.hash), anchor.hash));
    };
    let params = ProofParams { address: Some(of.address), ..ProofParams::default() };
    let ProofView::Row(found) = client.get_proof(&params).await.unwrap() else { panic!("a row was asked for") };
    trusted(&found.anchor);
    let root = found.anchor.header.state_root;
    let row = found.proof.verify(&chain.0, &root, &ACCOUNTS.key(&of.address)).unwrap().unwrap();
    let account: chain_core::state::Account = chain_core::state::decode_value(row).unwrap();
    assert_eq!((account.nonce, account.balance.get()), (1, balance(client, of.address).await));
    let nobody = Address::of_key(&chain_core::testing::key(99).public());
    let params = ProofParams { address: Some(nobody), ..ProofParams::default() };
    let ProofView::Row(absent) = client.get_proof(&params).await.unwrap() else { panic!("a row was asked for") };
    trusted(&absent.anchor);
    let root = absent.anchor.header.state_root;
    assert_eq!(absent.proof.verify(&chain.0, &root, &ACCOUNTS.key(&nobody)).unwrap(), None);
    let proof = seen.proof.as_ref().unwrap();
    trusted(&proof.anchor);
    let (list, outcome): (&ListProof, &Outcome) = (&proof.proof, &proof.outcome);
    list.verify(&chain.0, &proof.anchor.header.outcome_root, proof.index, &outcome.hash(&chain)).unwrap();
    assert_eq!(Some(outcome.wire_id), seen.wire_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_prepared_by_the_node_and_signed_here() {
    let devnet = Devnet::start().await;
    let (client, wallets) = (devnet.client().await, devnet.wallets());
    let (from, to) = (&wallets[2], &wallets[3]);
    let actions = json!([{ "type": "transfer", "to": to.address, "amount": "41", "memo": "rent" }]);
    let asked = json!({ "sender": from.address, "actions": actions });
    let prepared = http::result(devnet.rpc(), "prepare_tx", asked).await;
    let prepared: PreparedView = serde_json::from_value(prepared).unwrap();
    assert_eq!(prepared.signing_bytes.0, prepared.tx.signing_bytes(&from.chain), "what is signed is what is shown");
    assert_eq!(prepared.tx_id, prepared.tx.id(&from.chain));
    let Authorisation::Key { signature, .. } = Authorisation::sign(&prepared.signing_bytes.0, &from.key) else {
        panic!("one key")
    };
    let sent = json!({ "tx": prepared.tx, "signature": signature });
    let sent = http::result(devnet.rpc(), "send_tx", sent).await;
    assert_eq!(sent["tx_id"], prepared.tx_id.to_string());
    let seen = outcome(&client, prepared.tx_id).await;
    assert_eq!(seen.outcome.unwrap().fee, prepared.fee);
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_says_what_json_rpc_says() {
    let devnet = Devnet::start().await;
    let (client, wallets, to) = (devnet.client().await, devnet.wallets(), devnet.rpc());
    let bytes = wallets[0].pay(0, wallets[4].address, 5);
    let body = json!({ "signed_tx": format!("0x{}", hex::encode(bytes.bytes())) });
    let sent = http::post_json(to, "/rpc/send_tx", &body).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let id = sent.json()["tx_id"].as_str().unwrap().to_owned();
    outcome(&client, id.parse().unwrap()).await;
    let (address, block) = (wallets[4].address, 1);
    for (path, method, params) in [
        (format!("/rpc/tx/{id}"), "get_tx", json!({ "tx_id": id })),
        (format!("/rpc/block/{block}"), "get_block", json!({ "block": block })),
        (format!("/rpc/header/{block}"), "get_header", json!({ "block": block })),
        ("/rpc/genesis".into(), "get_genesis", json!({})),
        ("/rpc/validators".into(), "get_validators", json!({})),
        ("/rpc/params".into(), "get_params", json!({})),
        (format!("/rpc/account/{address}"), "get_account", json!({ "address": address })),
        (format!("/rpc/balance/{address}"), "get_balance", json!({ "address": address })),
    ] {
        let page = http::get(to, &path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        let said = http::result(to, method, params).await;
        assert_eq!(without_height(page.json()), without_height(said), "{path}");
    }
    let head = http::get(to, "/rpc/head").await.json();
    assert_eq!(head["chain_id"], wallets[0].chain.to_string());
    let metrics = http::get(devnet.metrics(), "/metrics").await.text();
    assert!(metrics.contains("\nblockchain_blocks_total "), "{metrics}");
}

/// The chain goes on between two questions.
fn without_height(mut view: Value) -> Value {
    if view.get("balance").is_some() || view.get("params").is_some() || view.get("validators").is_some() {
        view.as_object_mut().unwrap().remove("height");
    }
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_a_transactions_way_are_told_over_sockets() {
    let devnet = Devnet::start().await;
    let (socket, wallets) = (devnet.socket().await, devnet.wallets());
    let mut blocks = socket.new_blocks(None).await.unwrap();
    let tx = wallets[0].pay(0, wallets[1].address, 3);
    let mut watched = socket.watch_tx(tx.id()).await.unwrap();
    socket.send_raw(tx.bytes()).await.unwrap();
    let told = async {
        let mut statuses = Vec::new();
        while statuses.last() != Some(&StatusName::Final) {
            statuses.push(watched.next().await.unwrap().unwrap().status);
        }
        let mut before: Option<HeadView> = None;
        for _ in 0..5 {
            let Notice::Item(head) = blocks.next().await.unwrap().unwrap() else { panic!("lagged") };
            if let Some(before) = before {
                assert_eq!((head.height, head.parent), (before.height.next(), before.hash));
            }
            before = Some(head);
        }
        statuses
    };
    let statuses = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(statuses.contains(&StatusName::Pending), "{statuses:?}");
    let url = format!("ws://{}/ws/new_blocks?from_height=1", devnet.rpc());
    let (mut plain, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for height in 1..=3 {
        let Message::Text(text) = plain.next().await.unwrap().unwrap() else { panic!("text frames are told") };
        let block: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(block["height"], height.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_restart_continues_and_reset_makes_another_chain() {
    let mut devnet = Devnet::start().await;
    let wallets = devnet.wallets();
    let client = devnet.client().await;
    let sent = client.send_raw(wallets[0].pay(0, wallets[1].address, 9).bytes()).await.unwrap();
    let seen = outcome(&client, sent.tx_id).await;
    let before = client.get_head().await.unwrap();
    assert_eq!(devnet.stop("INT").await, Some(0));
    for signal in ["TERM", "INT"] {
        devnet.up().await;
        let client = devnet.client().await;
        let node = client.node_info().await.unwrap();
        assert_eq!(node.chain_id, before.chain_id);
        assert!(node.head.height >= before.height, "{:?} after {before:?}", node.head);
        let block = client.get_block(BlockRef::Height(before.height), Include::None).await.unwrap();
        assert_eq!(block.head.hash, before.hash, "a final block stays");
        assert_eq!(client.get_tx(sent.tx_id, false).await.unwrap().height, seen.height);
        let (client, goal) = (&client, node.head.height.saturating_add(3));
        eventually(
            "the chain grows",
            || async move { (client.get_head().await.unwrap().height >= goal).then_some(()) },
        )
        .await;
        assert_eq!(devnet.stop(signal).await, Some(0));
    }
    let reset = chain_node().args(["devnet", "reset", "--dir"]).arg(devnet.dir()).output().unwrap();
    assert!(reset.status.success(), "{reset:?}");
    devnet.up().await;
    let head = devnet.client().await.get_head().await.unwrap();
    assert_ne!(head.chain_id, before.chain_id);
    assert_ne!(devnet.wallets()[0].address, wallets[0].address, "the keys are drawn anew");
}
