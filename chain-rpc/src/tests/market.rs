//! The market over the interface: every action prepared, sent and shown; what is in the state; proofs; events.
//!
//! Not here: lists in pages (`market_lists`), the rules themselves (chain-core).

use super::authority::Council;
use super::http::call;
use super::node::{STK, TestNode, address};
use crate::backend::Backend;
use crate::client::Client;
use crate::view::U64;
use crate::view::*;
use chain_core::codec::{List, Text};
use chain_core::crypto::Hash;
use chain_core::state::decode_value;
use chain_core::state::market::job::{Funding, JOBS, Job, Mode};
use chain_core::state::market::model::{ModelSpec, ProposalOutcome};
use chain_core::state::market::provider::{OfferTerms, Profile, ProviderState};
use chain_core::state::market::settle::Cause;
use chain_core::state::market::terms::AssetTerms;
use chain_core::tx::{Action, FAMILIES, account, job, market, model as models, provider, receipt};
use chain_core::types::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The curator, slasher and treasurer.
pub(super) const CURATOR: u8 = 9;
/// A provider.
pub(super) const SELLER: u8 = 3;
/// A payer.
pub(super) const BUYER: u8 = 1;

pub(super) fn spec(name: &str) -> ModelSpec {
    let text = |text: &str| Text::new(text).unwrap();
    ModelSpec { repo: text("repo"), file: text(name), weights: Hash([9; 32]), format: Text::new("gguf").unwrap() }
}

pub(super) fn model() -> ModelId {
    spec("m1").id()
}

fn amount(units: u128) -> Amount {
    Amount::new(units)
}

pub(super) fn curate(names: &[&str]) -> Action {
    let specs = names.iter().map(|name| spec(name)).collect();
    Action::Model(models::Action::ModelCurate { models: List::new(specs).unwrap() })
}

pub(super) fn accept(asset: AssetId) -> Action {
    let (min_price, max_price) = (Price::new(1), Price::new(1_000_000));
    let (min_deposit, max_deposit) = (amount(10), amount(1_000_000));
    let terms = AssetTerms { accepted: true, min_deposit, max_deposit, min_price, max_price };
    Action::Market(market::Action::AssetTermsSet { asset, terms })
}

pub(super) fn register(name: &str, served: &[ModelId]) -> Action {
    let text = Text::new(name).unwrap();
    let profile = Profile { name: text, models: List::new(served.to_vec()).unwrap(), ..provider::example_profile() };
    Action::Provider(provider::Action::ProviderRegister { profile, payout: None, operator: None })
}

pub(super) fn offer(model: ModelId, asset: AssetId, price: u128) -> Action {
    let terms = OfferTerms {
        price: Price::new(price),
        slots: 50,
        quantum: Units::new(1_000),
        arbiters: List::default(),
        arbiters_needed: 0,
        no_verdict_provider_bps: 0,
        valid_s: 0,
    };
    Action::Provider(provider::Action::OfferPublish { model, asset, unit_kind: UnitKind::Tokens, terms })
}

/// A job of the provider with the model, at 5000 per 1000.
pub(super) fn open(to: u8, model: ModelId, asset: AssetId, deposit: u128, name: Option<&str>) -> Action {
    Action::Job(job::Action::JobOpen(chain_core::tx::job::Opening {
        funding: Funding::Wallet {},
        provider: address(to),
        model,
        asset,
        unit_kind: UnitKind::Tokens,
        deposit: amount(deposit),
        price: Price::new(5_000),
        duration_s: 3_600,
        silence_s: 60,
        mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
        dispute_terms: None,
        client_ref: name.map(|name| Text::new(name).unwrap()),
    }))
}

pub(super) fn complete(job: u64) -> Action {
    Action::Job(job::Action::JobComplete { job: JobId::new(job), max_units: Units::MAX })
}

fn row(node: &TestNode, id: u64) -> Job {
    let mut found = None;
    let mut look = |_: &_, tree: &_| {
        found = JOBS.get(tree, &JobId::new(id))?;
        Ok(())
    };
    Backend::look(node, &mut look).unwrap();
    found.unwrap()
}

/// The next receipt of a job, with so many more units.
pub(super) fn claim(node: &TestNode, id: u64, more: u64) -> receipt::Receipt {
    let (job, receipt::Action::ReceiptSubmit { receipt, .. }) = (row(node, id), receipt::examples().remove(0));
    receipt::Receipt {
        job: JobId::new(id),
        leg: job.leg,
        seq: job.meter.seq + 1,
        previous: job.meter.head,
        cumulative_units: job.meter.used.saturating_add(more),
        model: job.model,
        ..receipt
    }
}

pub(super) fn submit(receipt: receipt::Receipt) -> Action {
    Action::Receipt(receipt::Action::ReceiptSubmit { receipt, ack: None })
}

/// Sends, makes a block, and wants it carried out.
pub(super) async fn done(node: &TestNode, seed: u8, action: Action) {
    let bytes = node.sign(seed, node.next_nonce(&address(seed)).unwrap(), action.clone());
    node.submit(vec![bytes]).await.pop().unwrap().unwrap();
    node.produce();
    let verdict = node.head().results.outcomes[0].verdict;
    assert_eq!(verdict, chain_core::block::Verdict::Ok, "{action:?}");
}

/// Models, a provider with an offer, a job with a receipt: the job's number and the receipt's hash.
pub(super) async fn scene(node: &TestNode) -> (u64, Hash) {
    done(node, CURATOR, curate(&["m1", "m2"])).await;
    done(node, CURATOR, accept(AssetId::NATIVE)).await;
    done(node, SELLER, register("seller", &[model()])).await;
    done(node, SELLER, offer(model(), AssetId::NATIVE, 5_000)).await;
    done(node, BUYER, open(SELLER, model(), AssetId::NATIVE, 10_000, Some("first"))).await;
    let receipt = claim(node, 1, 150);
    let hash = receipt.hash(&node.chain_id());
    done(node, SELLER, submit(receipt)).await;
    (1, hash)
}

#[tokio::test]
async fn every_action_is_prepared_and_tried_as_get_schema_shows_it() {
    let council = Council::of(TestNode::market()).await;
    let (client, to) = (&council.client, council.world.door.address);
    let schema = client.get_schema().await.unwrap();
    for family in FAMILIES.iter().filter(|family| [2, 7, 8, 9, 10, 11, 12].contains(&family.number)) {
        let shown = schema.families.iter().find(|shown| shown.number == family.number).unwrap();
        assert_eq!(shown.actions.len(), family.actions.len());
        for (action, (_, name)) in shown.actions.iter().zip(family.actions) {
            assert_eq!(action.name, *name);
            let example = action.examples.first().unwrap_or_else(|| panic!("{name} has no example"));
            // Examples with a proof of possession are right on one chain only.
            if example.to_string().contains("proof\":") || example.to_string().contains("proofs\":") {
                continue;
            }
            let asked = json!({ "sender": address(2), "actions": [example] });
            let prepared = call(to, "prepare_tx", &asked).await;
            let result = &prepared["result"];
            assert_eq!(result["tx"]["actions"], json!([example]), "{name}: {prepared}");
            assert!(result["text"][0].as_str().is_some_and(|text| text.len() > 10), "{name}: {prepared}");
            // What came back can be signed and sent as it is.
            let view: PreparedView = serde_json::from_value(result.clone()).unwrap();
            let signed = view.tx.clone().sign(&council.world.node.chain_id(), &super::node::key(2));
            let params = json!({ "tx": result["tx"], "authorisation": signed.authorisation });
            let tried = call(to, "simulate_tx", &params).await;
            assert!(tried["result"]["outcome"].is_object(), "{name}: {tried}");
        }
        let numbers: BTreeSet<u16> = schema.rejections.iter().map(|rejection| rejection.number).collect();
        assert!(family.rejections.iter().all(|rejection| numbers.contains(&rejection.number)));
    }
}

/// Sends an action in its JSON form and answers with its events.
async fn shown(council: &Council, seed: u8, action: Action) -> Vec<Value> {
    let (client, node) = (&council.client, &council.world.node);
    let asked = PrepareParams {
        sender: address(seed),
        actions: vec![action.clone()],
        fee: Some(amount(5_000)),
        nonce: None,
        valid_until: None,
        fee_payer: None,
        multi_key: None,
    };
    let prepared = client.prepare_tx(&asked).await.unwrap();
    let signed = prepared.tx.clone().sign(&node.chain_id(), &super::node::key(seed));
    let tx = Some(TxInput::Json(Box::new(prepared.tx)));
    let sent = SendParams { tx, authorisation: Some(signed.authorisation.clone()), ..SendParams::default() };
    let simulated = client.simulate_tx(&sent).await.unwrap();
    let sent = client.send_tx(&sent).await.unwrap();
    node.produce();
    let view = client.get_tx(sent.tx_id, false).await.unwrap();
    let outcome = view.outcome.unwrap();
    assert!(outcome.ok, "{action:?}: {outcome:?}");
    let events = view.events.unwrap();
    // A trial is at the newest block's time, and some things have to wait for the next one's.
    assert!(!simulated.outcome.ok || simulated.events.len() == events.len());
    assert!(events.iter().all(|event| event["type"].is_string()), "{events:?}");
    assert_eq!(view.signed.unwrap(), signed);
    events
}

#[tokio::test]
async fn every_action_is_carried_out_and_its_events_are_shown() {
    let council = Council::of(TestNode::market()).await;
    let (client, node) = (&council.client, &council.world.node);
    let mut seen = BTreeSet::new();
    let mut act = async |seed: u8, action: Action, kinds: &[&str]| {
        seen.insert(action.name());
        let events = shown(&council, seed, action).await;
        assert_eq!(events.iter().map(|event| event["type"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
        events
    };
    let wait = |blocks: u64| (0..blocks).for_each(|_| node.produce());
    // Models.
    act(CURATOR, curate(&["m1", "m2"]), &["model_added", "model_added"]).await;
    let (active, rate) = (false, Some(5_000));
    let about = |action| Action::Model(action);
    act(CURATOR, about(models::Action::ModelSetActive { model: spec("m2").id(), active }), &["model_active_set"]).await;
    act(CURATOR, about(models::Action::ModelSetRate { model: model(), rate }), &["model_rate_set"]).await;
    act(4, about(models::Action::ModelPropose { model: spec("m3") }), &["model_proposed"]).await;
    let proposal = ModelProposalId::new(1);
    act(5, about(models::Action::ModelVote { proposal, amount: amount(1_500) }), &["model_voted"]).await;
    let asked = ModelProposalsParams { voter: Some(address(5)), open: Some(true), ..Default::default() };
    let open_proposals = client.get_model_proposals(&asked).await.unwrap().proposals;
    let voted = &open_proposals[0];
    assert_eq!((voted.votes, voted.locked, voted.needed), (amount(1_500), Some(amount(1_500)), amount(1_000)));
    assert!(!voted.finalizable && voted.outcome.is_none() && voted.model == spec("m3").id());
    wait(31);
    act(6, about(models::Action::ModelFinalize { proposal }), &["model_added", "model_finalized"]).await;
    act(5, about(models::Action::ModelVoteUnlock { proposal }), &["model_vote_unlocked"]).await;
    assert!(client.get_model_proposals(&asked).await.unwrap().proposals.is_empty());
    let ended = client.get_model_proposals(&ModelProposalsParams::default()).await.unwrap().proposals;
    assert_eq!(ended[0].outcome, Some(ProposalOutcome::Approved));
    let view = client.get_model(model()).await.unwrap();
    assert!(view.active && view.trusted && view.rate == 5_000 && view.file == "m1");
    let idle = ModelsParams { active: Some(false), ..ModelsParams::default() };
    let listed = client.get_models(&idle).await.unwrap().models;
    assert_eq!(listed.iter().map(|model| model.file.as_str()).collect::<Vec<_>>(), ["m2"]);
    // The market.
    act(CURATOR, accept(AssetId::NATIVE), &["asset_terms_set"]).await;
    let trade = |action| Action::Market(action);
    let asset = AssetId::NATIVE;
    act(BUYER, trade(market::Action::MarketDeposit { asset, amount: amount(50_000) }), &["market_deposited"]).await;
    act(BUYER, trade(market::Action::MarketWithdraw { asset, amount: amount(10_000) }), &["market_withdrawn"]).await;
    // A provider.
    let sell = |action| Action::Provider(action);
    act(SELLER, register("seller", &[model()]), &["provider_registered"]).await;
    let Action::Provider(provider::Action::ProviderRegister { profile, .. }) = register("Seller", &[model()]) else {
        panic!("it was just made")
    };
    let operator = Some(address(7));
    let update = provider::Action::ProviderUpdate { profile, payout: None, operator };
    act(SELLER, sell(update), &["provider_updated"]).await;
    act(SELLER, sell(provider::Action::ProviderBondAdd { amount: amount(500) }), &["provider_bond_added"]).await;
    act(SELLER, offer(model(), asset, 5_000), &["offer_published"]).await;
    let view = client.get_provider(address(SELLER)).await.unwrap();
    assert_eq!(
        (view.state, view.live, view.bond, view.bonded_slots),
        (ProviderState::Active, true, amount(1_500), 150)
    );
    assert_eq!((view.operator, view.payout, view.id.get()), (operator, address(SELLER), 1));
    assert_eq!(view.profile.unwrap().name, "Seller");
    let offers = view.offers.unwrap();
    assert_eq!((offers.len(), offers[0].free_slots, offers[0].open), (1, 50, true));
    // Jobs in all fundings.
    let funded = |funding, deposit| {
        let name = matches!(funding, Funding::OnBehalf { .. }).then_some("of 2");
        let Action::Job(mut action) = open(SELLER, model(), asset, deposit, name) else { panic!("it was just made") };
        let job::Action::JobOpen(chain_core::tx::job::Opening { funding: own, .. }) = &mut action else {
            panic!("it opens")
        };
        *own = funding;
        Action::Job(action)
    };
    let allowance = json!({ "asset": 0, "max_price": null, "max_job": "20000", "max_total": "30000" });
    let scope = serde_json::from_value(json!({ "assets": [allowance], "expires_at": null })).unwrap();
    let (delegate, reset_spent) = (address(2), false);
    let set = Action::Account(account::Action::DelegateSet { delegate, scope, reset_spent });
    act(BUYER, set, &["delegate_set"]).await;
    act(BUYER, funded(Funding::Prepaid {}, 10_000), &["job_opened"]).await;
    act(2, funded(Funding::OnBehalf { payer: address(BUYER) }, 12_000), &["job_opened"]).await;
    act(4, open(SELLER, model(), asset, 5_000, Some("mine")), &["job_opened"]).await;
    let top_up = job::Action::JobTopUp { job: JobId::new(1), amount: amount(1_000) };
    act(BUYER, Action::Job(top_up), &["job_topped_up"]).await;
    let deposits = client.get_deposits(address(BUYER)).await.unwrap().assets;
    let [withdrawable, locked, total] = [30_000, 23_000, 53_000].map(amount);
    assert_eq!(deposits, [DepositView { asset, withdrawable, locked, total }]);
    let delegates = client.get_delegates(address(BUYER), None, None, None).await.unwrap().delegates;
    assert_eq!((delegates.len(), delegates[0].delegate, delegates[0].assets[0].spent), (1, address(2), amount(12_000)));
    let first = client.get_delegates(address(BUYER), Some(address(2)), None, None).await.unwrap().delegates;
    assert_eq!(first, delegates);
    act(7, submit(claim(node, 1, 500)), &["receipt_accepted"]).await;
    let view = client.get_job(JobId::new(1)).await.unwrap().job.begun().unwrap();
    assert_eq!((view.state, view.meter.used.get(), view.meter.seq), (JobState::Active, 500, U64(1)));
    assert_eq!((view.escrow, view.max_units), (amount(11_000), Some(Units::new(2_200))));
    assert_eq!(view.deadline, Some(view.meter.last_claim.unwrap().plus_s(60)));
    let receipts = ReceiptsParams { job: JobId::new(1), sort: None, cursor: None, limit: None };
    let found = client.get_receipts(&receipts).await.unwrap().receipts;
    let by_hash = ReceiptParams { receipt: Some(view.meter.head), ..ReceiptParams::default() };
    let by_place = ReceiptParams { job: Some(JobId::new(1)), seq: Some(U64(1)), ..ReceiptParams::default() };
    for asked in [by_hash, by_place] {
        assert_eq!(found, [client.get_receipt(&asked).await.unwrap()]);
    }
    assert_eq!((found[0].by, found[0].provider, found[0].added.get()), (address(7), address(SELLER), 500));
    assert_eq!((found[0].hash, found[0].height), (view.meter.head, node.head().header.height));
    act(BUYER, complete(1), &["job_settled"]).await;
    let ended = client.get_job(JobId::new(1)).await.unwrap().job.begun().unwrap();
    let settled = ended.settled.unwrap();
    assert_eq!((ended.state, ended.deadline, settled.cause), (JobState::Settled, None, Cause::PayerCompleted));
    let parts = [settled.gross, settled.fee, settled.provider, settled.early_fee, settled.refund];
    assert_eq!(parts.map(Amount::get), [2_500, 250, 2_250, 0, 8_500]);
    let named = client.get_job_of(address(4), "mine").await.unwrap().job.begun().unwrap();
    assert_eq!((named.job.get(), named.client_ref.as_deref()), (3, Some("mine")));
    // A delegate's name for a job it opened is the delegate's, not the payer's.
    let named = client.get_job_of(address(2), "of 2").await.unwrap().job.begun().unwrap();
    assert_eq!((named.job.get(), named.opener, named.payer), (2, address(2), address(BUYER)));
    assert!(client.get_job_of(address(BUYER), "of 2").await.is_err());
    let to = council.world.door.address;
    let as_payer = call(to, "get_job", &json!({ "payer": address(2), "client_ref": "of 2" })).await;
    assert_eq!(as_payer["error"]["code"], -32602, "{as_payer}");
    act(SELLER, Action::Job(job::Action::JobDecline { job: JobId::new(2) }), &["job_settled"]).await;
    // In the one block in which it is due and not yet settled by itself.
    while row(node, 3).due_at().get() > market_now(node) + 2_000 {
        node.produce();
    }
    let events = act(5, Action::Job(job::Action::JobExpire { job: JobId::new(3) }), &["job_settled"]).await;
    assert_eq!((&events[0]["cause"], &events[0]["by"]), (&json!("silence"), &json!(address(5))));
    // What was earned.
    let earned = client.get_earnings(address(SELLER)).await.unwrap().assets;
    let [withdrawable, none] = [2_250, 0].map(amount);
    assert_eq!(earned, [EarningView { asset, withdrawable, earned: withdrawable, withdrawn: none }]);
    let items = List::new(vec![market::Item { asset, amount: None }]).unwrap();
    act(SELLER, trade(market::Action::EarningsWithdraw { items }), &["earnings_withdrawn"]).await;
    let earned = client.get_earnings(address(SELLER)).await.unwrap().assets;
    assert_eq!((earned[0].withdrawable, earned[0].withdrawn), (none, withdrawable));
    let pot = market::Pot::Treasury;
    let treasury = client.get_market().await.unwrap().assets[0].treasury;
    assert_eq!(treasury, amount(250));
    let take = market::Action::TreasuryWithdraw { pot, asset, amount: Some(amount(50)) };
    act(CURATOR, trade(take), &["treasury_withdrawn"]).await;
    // The end of the provider.
    let (evidence, reason) = (Text::new("ipfs://x").unwrap(), Text::new("late").unwrap());
    let (provider, job) = (address(SELLER), Some(JobId::new(1)));
    let slash = provider::Action::ProviderSlash { provider, amount: amount(700), evidence, reason, job };
    act(CURATOR, sell(slash), &["provider_slashed"]).await;
    let supply = client.get_supply().await.unwrap();
    let places = |of: &AssetSupply| [of.in_bonds, of.in_treasury, of.in_compensations, of.in_votes].map(Amount::get);
    assert_eq!(places(&supply.assets[1]), [800, 350, 350, 0]);
    assert_eq!([supply.assets[0].in_treasury, supply.assets[0].in_prepaid].map(Amount::get), [200, 30_000]);
    assert!(supply.assets.iter().all(|asset| asset.conserved));
    wait(300);
    act(7, sell(provider::Action::Heartbeat { provider }), &["heartbeat_seen"]).await;
    let unit_kind = UnitKind::Tokens;
    let withdraw = provider::Action::OfferWithdraw { model: model(), asset, unit_kind };
    act(SELLER, sell(withdraw), &["offer_withdrawn"]).await;
    act(SELLER, sell(provider::Action::ProviderLeave {}), &["provider_left"]).await;
    assert_eq!(client.get_provider(provider).await.unwrap().state, ProviderState::Leaving);
    wait(2);
    act(SELLER, sell(provider::Action::ProviderBondWithdraw {}), &["provider_bond_withdrawn"]).await;
    assert_eq!(client.get_provider(provider).await.unwrap().state, ProviderState::Gone);
    act(BUYER, Action::Account(account::Action::DelegateRevoke { delegate }), &["delegate_revoked"]).await;
    assert!(client.get_delegates(address(BUYER), None, None, None).await.unwrap().delegates.is_empty());
    let reason = Text::new("maintenance").unwrap();
    act(CURATOR, trade(market::Action::MarketPause { reason: reason.clone() }), &["market_paused"]).await;
    let paused = client.get_market().await.unwrap();
    assert!(paused.paused && paused.paused_until.is_some() && paused.stake_asset == STK);
    assert_eq!((paused.assets[0].accepted, paused.params.min_bond), (true, amount(1_000)));
    act(CURATOR, trade(market::Action::MarketUnpause { reason }), &["market_unpaused"]).await;
    let market = FAMILIES.iter().filter(|family| (7..=11).contains(&family.number));
    let mut all: BTreeSet<&str> = market.flat_map(|family| family.actions).map(|(_, name)| *name).collect();
    all.extend(["delegate_set", "delegate_revoke"]);
    assert_eq!(seen, all);
}

fn market_now(node: &TestNode) -> u64 {
    let mut now = 0;
    let mut look = |_: &_, tree: &_| {
        now = chain_core::state::market::stored(tree)?.now.get();
        Ok(())
    };
    Backend::look(node, &mut look).unwrap();
    now
}

#[tokio::test]
async fn what_is_not_there_is_said_by_its_name() {
    let council = Council::of(TestNode::market()).await;
    scene(&council.world.node).await;
    let to = council.world.door.address;
    let reason = async |method: &str, params: Value| {
        let answer = call(to, method, &params).await;
        answer["error"]["data"]["reason"].as_str().map(str::to_owned).unwrap_or_default()
    };
    let nobody = json!(address(77));
    let nothing = json!(Hash([7; 32]).to_string());
    for (method, params, expected) in [
        ("get_model", json!({ "model": nothing }), "unknown_model"),
        ("get_provider", json!({ "provider": nobody }), "unknown_provider"),
        ("get_job", json!({ "job": "9" }), "unknown_job"),
        ("get_job", json!({ "opener": nobody, "client_ref": "first" }), "unknown_job"),
        ("get_job", json!({}), "invalid_params"),
        ("get_job", json!({ "job": "1", "client_ref": "first" }), "invalid_params"),
        ("get_receipt", json!({ "receipt": nothing }), "not_found"),
        ("get_receipt", json!({ "job": "1", "seq": "2" }), "not_found"),
        ("get_receipt", json!({ "job": "1" }), "invalid_params"),
        ("get_jobs", json!({ "cursor": "x" }), "invalid_params"),
        ("get_jobs", json!({ "cursor": "00" }), "invalid_params"),
        ("get_jobs", json!({ "limit": 1001 }), "invalid_params"),
        ("get_jobs", json!({ "state": "posted" }), "invalid_params"),
        ("get_providers", json!({ "sort": "price" }), "invalid_params"),
        ("get_offers", json!({ "cursor": "0001" }), "invalid_params"),
        ("get_models", json!({ "cursor": "" }), "invalid_params"),
        ("get_proof", json!({ "job": "1", "provider": nobody }), "invalid_params"),
    ] {
        assert_eq!(reason(method, params.clone()).await, expected, "{method} {params}");
    }
    let empty = async |method: &str, params: Value, field: &str| {
        assert_eq!(call(to, method, &params).await["result"][field], json!([]), "{method}");
    };
    empty("get_deposits", json!({ "account": nobody }), "assets").await;
    empty("get_earnings", json!({ "account": nobody }), "assets").await;
    empty("get_delegates", json!({ "account": nobody }), "delegates").await;
    empty("get_receipts", json!({ "job": "9" }), "receipts").await;
    empty("get_jobs", json!({ "payer": nobody }), "jobs").await;
}

#[tokio::test]
async fn rows_of_the_market_are_proven() {
    let council = Council::of(TestNode::market()).await;
    let (id, _) = scene(&council.world.node).await;
    let chain = council.world.node.chain_id();
    let job = |id| ProofParams { job: Some(JobId::new(id)), ..ProofParams::default() };
    let prove = async |params: ProofParams| {
        let ProofView::Row(found) = council.client.get_proof(&params).await.unwrap() else { panic!("a row's") };
        let row = found.proof.verify(&chain.0, &found.anchor.header.state_root, &found.key).unwrap();
        assert_eq!(row.is_some(), found.present);
        (row.map(<[u8]>::to_vec), found.key)
    };
    let (found, key) = prove(job(id)).await;
    let row: Job = decode_value(&found.unwrap()).unwrap();
    assert_eq!((row.payer, row.meter.used.get(), key), (address(BUYER), 150, JOBS.key(&JobId::new(id))));
    assert!(prove(job(2)).await.0.is_none());
    assert!(prove(ProofParams { provider: Some(address(SELLER)), ..ProofParams::default() }).await.0.is_some());
    assert!(prove(ProofParams { model: Some(model()), ..ProofParams::default() }).await.0.is_some());
}

/// What a subscription must tell: every block with something that is wanted, once, in order.
fn wanted(node: &TestNode, from: u64, is_meant: impl Fn(&Value) -> bool) -> Vec<(u64, Vec<Value>)> {
    let head = node.head().header.height.get();
    let blocks = (from..=head).map(|height| Backend::block(node, Height::new(height)).unwrap());
    let events = blocks.map(|block| {
        let all = block.results.events.iter().flatten().map(|event| json!(event));
        (block.header.height.get(), all.filter(|event| is_meant(event)).collect::<Vec<_>>())
    });
    events.filter(|(_, events)| !events.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_an_account_a_job_a_provider_a_model_without_gap_or_duplicate() {
    let council = Council::of(TestNode::market()).await;
    let node = &council.world.node;
    scene(node).await;
    done(node, 4, register("other", &[model(), spec("m2").id()])).await;
    done(node, 4, offer(spec("m2").id(), AssetId::NATIVE, 5_000)).await;
    let socket = Client::connect(&council.world.url("ws")).await.unwrap();
    let all = || EventsParams { from_height: Some(Height::new(2)), ..EventsParams::default() };
    let asked = [
        EventsParams { account: Some(address(BUYER)), ..all() },
        EventsParams { job: Some(JobId::new(2)), ..all() },
        EventsParams { provider: Some(address(4)), ..all() },
        EventsParams { model: Some(spec("m2").id()), ..all() },
        EventsParams { family: Some("job, receipt".into()), ..all() },
        EventsParams { family: Some("job".into()), types: Some("job_settled".into()), ..all() },
        EventsParams { account: Some(address(2)), provider: Some(address(4)), job: Some(JobId::new(5)), ..all() },
    ];
    let mut feeds = Vec::new();
    for params in &asked {
        feeds.push(socket.events_of(params).await.unwrap());
    }
    // Blocks go on while old ones are told.
    let producer = {
        let node = node.clone();
        tokio::spawn(async move {
            for round in 0..12u64 {
                let (payer, to) = ([1, 2][round as usize % 2], [SELLER, 4][(round as usize / 2) % 2]);
                let of = if to == 4 { spec("m2").id() } else { model() };
                done(&node, payer, open(to, of, AssetId::NATIVE, 10_000, None)).await;
                if round % 3 == 0 {
                    done(&node, payer, complete(round + 2)).await;
                }
            }
        })
    };
    producer.await.unwrap();
    let text =
        |value: &Value, field: &str, text: String| value.to_string().contains(&format!("\"{field}\":\"{text}\""));
    let kind = |value: &Value| value["type"].as_str().unwrap().to_owned();
    let is_job = |value: &Value| kind(value).starts_with("job_");
    let (buyer, other, m2) = (address(BUYER).to_string(), address(4).to_string(), spec("m2").id().to_string());
    let expected = [
        wanted(node, 2, |event| event.to_string().contains(&buyer)),
        wanted(node, 2, |event| text(event, "job", "2".into())),
        wanted(node, 2, |event| text(event, "provider", other.clone())),
        wanted(node, 2, |event| text(event, "model", m2.clone())),
        wanted(node, 2, |event| is_job(event) || kind(event) == "receipt_accepted"),
        wanted(node, 2, |event| kind(event) == "job_settled"),
        wanted(node, 2, |event| {
            let payer = event.to_string().contains(&address(2).to_string());
            payer && text(event, "provider", other.clone()) && text(event, "job", "5".into())
        }),
    ];
    for (at, (feed, expected)) in feeds.iter_mut().zip(expected).enumerate() {
        assert!(!expected.is_empty(), "{at}");
        for (height, events) in expected {
            let Notice::Item(told) = feed.next().await.unwrap().unwrap() else { panic!("it keeps up") };
            let found: Vec<_> = told.sources.into_iter().flat_map(|source| source.events).collect();
            assert_eq!((told.height.get(), found), (height, events), "{at}");
        }
    }
    let unknown = EventsParams { family: Some("nonsense".into()), ..EventsParams::default() };
    assert!(socket.events_of(&unknown).await.is_err());
}
