//! Stake over the interface: what stands behind validators, what accounts have with them, every refusal by
//! its number; and what blocks do by themselves, read, proven and followed.

use super::authority::{Council, evidence, propose, word};
use super::http::call;
use super::node::{STK, TestNode, address, key};
use crate::backend::Backend;
use crate::client::Client;
use crate::view::U64;
use crate::view::*;
use chain_core::block::{Outcome, outcome_root};
use chain_core::codec;
use chain_core::crypto::PublicKey;
use chain_core::execute::item_id;
use chain_core::testing::Signer;
use chain_core::tx::staking::Action as Staking;
use chain_core::tx::{Action, Event, Signed};
use chain_core::types::{Amount, ConsensusMode, Height};
use serde_json::{Value, json};

fn validator(seed: u8) -> PublicKey {
    key(seed).public()
}

fn bond(amount: u128, commission_bps: Option<u16>) -> Action {
    Action::Staking(Staking::StakeBond { amount: Amount::new(amount), commission_bps })
}

fn unbond(shares: u128) -> Action {
    Action::Staking(Staking::StakeUnbond { shares: Amount::new(shares) })
}

fn delegate(to: u8, amount: u128) -> Action {
    Action::Staking(Staking::StakeDelegate { validator: validator(to), amount: Amount::new(amount) })
}

fn undelegate(from: u8, shares: u128) -> Action {
    Action::Staking(Staking::StakeUndelegate { validator: validator(from), shares: Amount::new(shares) })
}

fn withdraw(from: u8) -> Action {
    Action::Staking(Staking::StakeWithdraw { validator: validator(from) })
}

fn rewards(from: u8) -> Action {
    Action::Staking(Staking::RewardWithdraw { validator: validator(from) })
}

fn commission(commission_bps: u16) -> Action {
    Action::Staking(Staking::StakeSetCommission { commission_bps })
}

async fn of(mode: ConsensusMode) -> Council {
    Council::of(TestNode::staking(mode, false)).await
}

fn until(node: &TestNode, height: u64) {
    while node.head().header.height < Height::new(height) {
        node.produce();
    }
}

#[tokio::test]
async fn without_stake_the_answers_say_so() {
    let council = Council::of(TestNode::new()).await;
    let stake = council.client.get_stake(validator(100)).await.unwrap();
    assert_eq!((stake.staking.mode, stake.staking.asset), (ConsensusMode::Poa, None));
    assert!(stake.stake.is_none());
    let delegations = council.client.get_delegations(address(1), None, None).await.unwrap();
    assert_eq!((delegations.staking.mode, delegations.validators.len()), (ConsensusMode::Poa, 0));
    let validators = council.client.get_validators().await.unwrap();
    assert_eq!(validators.mode, ConsensusMode::Poa);
    assert!(validators.validators.iter().all(|one| one.stake.is_none()));
    assert_eq!(council.would_be(1, bond(5_000, None)).await, Some(600));
}

#[tokio::test]
async fn every_refusal_comes_back_with_its_number() {
    let council = of(ConsensusMode::Pos).await;
    let node = &council.world.node;
    let table = [
        (1, bond(999, None), 603, "below the minimum"),
        (1, bond(5_000, Some(10_001)), 614, "above all"),
        (100, bond(5_000, Some(1)), 617, "named already"),
        (100, commission(10_001), 614, "above all"),
        (100, commission(1_501), 615, "a step too far"),
        (100, unbond(4_001), 603, "too little left"),
        (100, unbond(5_001), 610, "more than bonded"),
        (100, delegate(100, 5), 608, "its own"),
        (100, undelegate(100, 5), 608, "its own"),
        (100, rewards(77), 606, "nobody bonded"),
        (1, delegate(77, 5), 606, "nobody bonded"),
        (1, undelegate(77, 5), 606, "nobody bonded"),
        (1, undelegate(100, 5), 609, "nothing bonded"),
        (1, withdraw(100), 612, "nothing unbonds"),
        (1, rewards(100), 618, "nothing earned"),
        (1, commission(5), 606, "no validator"),
        (1, unbond(5), 606, "no validator"),
    ];
    for (seed, action, number, what) in table {
        assert_eq!(council.would_be(seed, action.clone()).await, Some(number), "{what}");
        assert_eq!(council.said(seed, action).await, Some(number), "{what}");
    }
    assert_eq!(council.said(100, commission(1_500)).await, None);
    assert_eq!(council.said(100, commission(1_500)).await, Some(616), "one at a time");
    // Whoever unbonds all is removed.
    assert_eq!(council.said(2, bond(1_000, None)).await, None);
    assert_eq!(council.said(3, delegate(2, 50)).await, None);
    assert_eq!(council.said(3, undelegate(2, 51)).await, Some(610), "more than bonded");
    assert_eq!(council.said(2, unbond(1_000)).await, None);
    assert_eq!(council.said(3, delegate(2, 1)).await, Some(607), "removed");
    // Seven batches wait; each is closed at the end of an epoch.
    assert_eq!(council.said(4, delegate(100, 100)).await, None);
    for epoch in 0..7 {
        assert_eq!(council.said(4, undelegate(100, 1)).await, None, "{epoch}");
        until(node, node.head().header.height.get().next_multiple_of(5));
    }
    assert_eq!(council.said(4, withdraw(100)).await, Some(613), "not free yet");
    assert_eq!(council.said(4, undelegate(100, 1)).await, Some(611), "an eighth");
    // After a conviction nothing is bonded any more.
    let (first, second) = (word(node, 100, 2, 7), word(node, 100, 2, 8));
    let height = node.head().header.height.get();
    let late = evidence(first, second);
    assert_eq!(council.would_be(1, late).await, (height >= 34).then_some(522), "at {height}");
    let at = height - 1;
    assert_eq!(council.said(1, evidence(word(node, 100, at, 7), word(node, 100, at, 8))).await, None);
    assert_eq!(council.said(1, delegate(100, 5)).await, Some(605));
    assert_eq!(council.said(5, bond(1_000, None)).await, None, "others are not concerned");
}

#[tokio::test]
async fn refusals_of_who_may_bond() {
    let hybrid = of(ConsensusMode::Hybrid).await;
    assert_eq!(hybrid.said(1, bond(5_000, None)).await, Some(601));
    let full = Council::of(TestNode::staking(ConsensusMode::Pos, true)).await;
    assert_eq!(full.said(1, bond(5_000, None)).await, Some(604), "no more than those who are there");
    assert_eq!(full.said(1, bond(5_001, None)).await, None, "more than one of them");
    // The address of several keys is a hash, half of which are no keys.
    let pos = of(ConsensusMode::Pos).await;
    let node = &pos.world.node;
    let signers = (1..=8u8).map(|seed| Signer::Multi(1, vec![seed, seed + 1]));
    let no_key = |signer: &Signer| PublicKey(*signer.address().as_bytes()).validate().is_err();
    let signer = signers.into_iter().find(no_key).unwrap();
    for (asset, seed) in [(chain_core::types::AssetId::NATIVE, 1), (STK, 2)] {
        let (to, amount, memo) = (signer.address(), Amount::new(50_000), Default::default());
        let pay = chain_core::tx::transfer::Action::Transfer { to, asset, amount, memo };
        assert_eq!(pos.said(seed, Action::Transfer(pay)).await, None);
    }
    let mut transaction = chain_core::testing::transaction(signer.address(), 0, [bond(5_000, None)]);
    transaction.chain_tag = node.chain_id().tag();
    let authorisation = signer.sign(&transaction.signing_bytes(&node.chain_id()));
    let signed = codec::encode(&Signed { transaction, authorisation, fee_payer_authorisation: None });
    let params = SendParams { signed_tx: Some(Bytes(signed)), ..SendParams::default() };
    let reason = pos.client.simulate_tx(&params).await.unwrap().outcome.reason.unwrap();
    assert_eq!((reason.number, reason.name.as_str()), (602, "no_validator_key"));
}

#[tokio::test]
async fn a_delegation_from_its_beginning_to_its_end() {
    let council = of(ConsensusMode::Hybrid).await;
    let (client, node) = (&council.client, &council.world.node);
    assert_eq!(council.said(1, delegate(100, 15_000)).await, None);
    let stake = client.get_stake(validator(100)).await.unwrap();
    assert_eq!((stake.staking.mode, stake.staking.asset), (ConsensusMode::Hybrid, Some(STK)));
    let stake = stake.stake.unwrap();
    let StakeSummary { bonded, own, delegated, delegations, commission_bps, announced } = stake.summary.clone();
    assert_eq!([bonded, own, delegated].map(Amount::get), [20_000, 5_000, 15_000]);
    assert_eq!((delegations, commission_bps, announced), (U64(2), 1_000, None));
    // Its fee was 5000, half of it burned: a tenth of 2500 is commission, the rest is of all shares.
    assert_eq!([stake.pending_rewards, stake.pending_commission].map(Amount::get), [2_500, 250]);
    let own = |view: DelegationsView| view.validators.into_iter().next().unwrap();
    let mine = own(client.get_delegations(address(1), None, None).await.unwrap());
    assert_eq!([mine.shares, mine.worth].map(Amount::get), [15_000, 15_000]);
    assert_eq!([mine.reward, mine.commission].map(Amount::get), [1_687, 0], "three quarters of 2250");
    let its = own(client.get_delegations(address(100), None, None).await.unwrap());
    assert_eq!([its.worth, its.reward, its.commission].map(Amount::get), [5_000, 562, 250]);
    // What is announced, and what the set follows at the end of the epoch.
    assert_eq!(council.said(100, commission(1_200)).await, None);
    let table = client.get_validators().await.unwrap();
    let member = table.validators[0].stake.clone().unwrap();
    assert_eq!((table.mode, member.bonded.get()), (ConsensusMode::Hybrid, 20_000));
    let from = Height::new(11);
    assert_eq!(member.announced, Some(AnnouncedCommission { commission_bps: 1_200, from }));
    until(node, 10);
    let later = client.get_stake(validator(100)).await.unwrap().stake.unwrap();
    assert_eq!((later.summary.commission_bps, later.summary.announced), (1_200, None));
    // The set began with a weight of 1: it follows by a unit per epoch.
    assert_eq!((later.weight_target, later.weight), (U64(200), U64(3)));
    // A third of it goes.
    assert_eq!(council.said(1, undelegate(100, 5_000)).await, None);
    let mine = own(client.get_delegations(address(1), None, None).await.unwrap());
    assert_eq!((mine.worth.get(), mine.unbonding.len()), (10_000, 1));
    let entry = mine.unbonding[0];
    assert_eq!((entry.worth.get(), entry.free_from, entry.is_free), (5_000, None, false));
    assert_eq!(client.get_stake(validator(100)).await.unwrap().stake.unwrap().unbonding.get(), 5_000);
    until(node, 15);
    let entry = own(client.get_delegations(address(1), None, None).await.unwrap()).unbonding[0];
    assert_eq!((entry.free_from, entry.is_free), (Some(Height::new(48)), false));
    until(node, 46);
    assert!(!own(client.get_delegations(address(1), None, None).await.unwrap()).unbonding[0].is_free);
    assert_eq!(council.would_be(1, withdraw(100)).await, Some(613));
    until(node, 47);
    assert!(own(client.get_delegations(address(1), None, None).await.unwrap()).unbonding[0].is_free);
    assert_eq!(council.said(1, withdraw(100)).await, None);
    assert!(own(client.get_delegations(address(1), None, None).await.unwrap()).unbonding.is_empty());
    assert!(client.get_supply().await.unwrap().assets.iter().all(|asset| asset.conserved));
    // A conviction takes five in a hundred of all.
    let head = node.head().header.height.get();
    assert_eq!(council.said(2, evidence(word(node, 100, head, 7), word(node, 100, head, 8))).await, None);
    let stake = client.get_stake(validator(100)).await.unwrap().stake.unwrap();
    let slash = stake.slash.unwrap();
    assert_eq!((slash.bonded.get(), slash.reporter.get(), slash.burned.get()), (750, 37, 713));
    assert_eq!([stake.summary.bonded, stake.shares].map(Amount::get), [14_250, 15_000]);
    let mine = own(client.get_delegations(address(1), None, None).await.unwrap());
    assert_eq!([mine.shares, mine.worth].map(Amount::get), [10_000, 9_500]);
    let supply = client.get_supply().await.unwrap();
    let stk = supply.assets.iter().find(|asset| asset.asset == STK).unwrap();
    assert_eq!((stk.burned.get(), stk.in_stakes.get(), stk.conserved), (713, 14_250, true));
}

#[tokio::test]
async fn delegations_come_in_pages() {
    let council = Council::of(TestNode::staking(ConsensusMode::Pos, true)).await;
    for seed in 100..=103 {
        assert_eq!(council.said(1, delegate(seed, 10)).await, None);
    }
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = council.client.get_delegations(address(1), cursor, Some(3)).await.unwrap();
        assert!(page.validators.len() <= 3);
        seen.extend(page.validators.iter().map(|one| one.validator));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [100, 101, 102, 103].map(validator));
    let to = council.world.door.address;
    for params in [json!({ "cursor": "x" }), json!({ "limit": 0 }), json!({ "limit": 1001 })] {
        let mut params = params.clone();
        params["account"] = json!(address(1));
        assert_eq!(call(to, "get_delegations", &params).await["error"]["code"], -32602, "{params}");
    }
}

#[tokio::test]
async fn what_a_block_does_by_itself_is_listed_proven_and_told() {
    let council = of(ConsensusMode::Hybrid).await;
    let (client, node) = (&council.client, &council.world.node);
    let socket = Client::connect(&council.world.url("ws")).await.unwrap();
    let mut all = socket.events(Some(Height::new(1)), None).await.unwrap();
    let kinds = "set_changed, batch_closed".to_owned();
    let mut own = socket.events(Some(Height::new(1)), Some(kinds)).await.unwrap();
    assert_eq!(council.said(1, delegate(100, 25_000)).await, None);
    assert_eq!(council.said(1, undelegate(100, 5_000)).await, None);
    until(node, 4);
    // The transaction of the epoch's last block comes first, then the set, then the batch.
    assert_eq!(council.said(100, propose("burn_bps", 6_000)).await, None);
    let block = client.get_block(BlockRef::Height(Height::new(5)), Include::Ids).await.unwrap();
    let items = block.own.unwrap();
    let kinds: Vec<_> = items.iter().map(|item| item.events[0]["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["set_changed", "batch_closed"]);
    assert_eq!(items.iter().map(|item| item.index).collect::<Vec<_>>(), [1, 2]);
    let chain = node.chain_id();
    for (place, item) in (0u32..).zip(&items) {
        assert_eq!(item.item_id, item_id(&chain, Height::new(5), place));
        let asked = ProofParams { height: Some(Height::new(5)), index: Some(item.index), ..ProofParams::default() };
        let ProofView::Outcome(proof) = client.get_proof(&asked).await.unwrap() else { panic!("an outcome's") };
        assert_eq!((proof.outcome.wire_id, proof.index), (item.item_id, item.index));
        let header = &proof.anchor.header;
        let leaf = proof.outcome.hash(&chain);
        proof.proof.verify(&chain.0, &header.outcome_root, item.index, &leaf).unwrap();
        let events: Vec<Event> = codec::decode(&proof.events.unwrap().0, usize::MAX).unwrap();
        assert_eq!(proof.outcome.events_hash, Outcome::events_hash(&events, &chain));
        assert_eq!(events.iter().map(|event| json!(event)).collect::<Vec<_>>(), item.events);
    }
    let header = node.head().header.clone();
    assert_eq!(outcome_root(&chain, &node.head().results.outcomes), header.outcome_root);
    // Neither a place behind the last nor half a place.
    let to = council.world.door.address;
    let beyond = call(to, "get_proof", &json!({ "height": "5", "index": 3 })).await;
    assert_eq!(beyond["error"]["data"]["reason"], "not_found", "{beyond}");
    for params in [json!({ "height": "5" }), json!({ "index": 0 }), json!({})] {
        assert_eq!(call(to, "get_proof", &params).await["error"]["code"], -32602, "{params}");
    }
    let none = client.get_block(BlockRef::Height(Height::new(5)), Include::None).await.unwrap();
    assert!(none.own.is_none());
    assert_eq!(client.get_block(BlockRef::Height(Height::new(3)), Include::Full).await.unwrap().own, Some(vec![]));
    // The feed: every block with something in it, or with what was asked for.
    let item = |notice: Notice<EventsView>| match notice {
        Notice::Item(item) => item,
        Notice::Lagged { lagged } => panic!("{lagged:?}"),
    };
    for height in [1, 2, 5] {
        let told = item(all.next().await.unwrap().unwrap());
        assert_eq!((told.height.get(), told.sources[0].index), (height, 0));
        assert!(told.sources[0].tx_id.is_some() && told.sources[0].item_id.is_none());
    }
    let told = item(own.next().await.unwrap().unwrap());
    assert_eq!((told.height.get(), told.hash), (5, block.head.hash));
    let sources: Vec<_> = told.sources.iter().map(|source| (source.index, source.tx_id, source.item_id)).collect();
    assert_eq!(sources, [(1, None, Some(items[0].item_id)), (2, None, Some(items[1].item_id))]);
    let types: Vec<&Value> = told.sources.iter().map(|source| &source.events[0]["type"]).collect();
    assert_eq!(types, ["set_changed", "batch_closed"]);
}
