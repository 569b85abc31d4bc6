//! The council over the interface: validators, proposals in pages, parameters with their history; and
//! every wrong word, which comes back with the number of its rule.

use super::World;
use super::http::call;
use super::node::{COUNCIL, TestNode, key};
use crate::Limits;
use crate::backend::Backend;
use crate::client::Client;
use crate::view::U64;
use crate::view::*;
use chain_core::codec::Text;
use chain_core::crypto::Hash;
use chain_core::tx::authority::{Action as Authority, Measure};
use chain_core::tx::{Action, rejection};
use chain_core::types::{BlockId, Evidence, Height, ProposalId, SignedMessage, View, Vote, VoteKind};
use serde_json::json;
use std::sync::Arc;

/// Asks the council for a parameter.
pub(super) fn propose(name: &str, value: u128) -> Action {
    let measure = Measure::Parameter { name: Text::new(name).unwrap(), value };
    Action::Authority(Authority::CouncilPropose { measure })
}

fn vote(proposal: u64, approve: bool) -> Action {
    Action::Authority(Authority::CouncilVote { proposal: ProposalId::new(proposal), approve })
}

pub(super) fn word(node: &TestNode, seed: u8, height: u64, block: u8) -> Vote {
    let block = Some(BlockId(Hash([block; 32])));
    let message = SignedMessage { kind: VoteKind::Notarize, height: Height::new(height), view: View::ZERO, block };
    Vote::sign(message, &node.chain_id(), &key(seed)).unwrap()
}

pub(super) fn evidence(first: Vote, second: Vote) -> Action {
    Action::Authority(Authority::prove(Evidence::Votes(first, second)))
}

/// A chain, asked and told by a client.
pub(super) struct Council {
    pub(super) world: World,
    pub(super) client: Client,
}

impl Council {
    async fn new() -> Self {
        Self::of(TestNode::new()).await
    }

    pub(super) async fn of(node: Arc<TestNode>) -> Self {
        let world = World::of(node, Limits::default()).await;
        let client = Client::connect(&world.url("http")).await.unwrap();
        Self { world, client }
    }

    fn signed(&self, seed: u8, action: Action) -> Vec<u8> {
        let nonce = self.world.node.next_nonce(&super::node::address(seed)).unwrap();
        self.world.node.sign(seed, nonce, action)
    }

    /// Sends, makes a block, and answers with the number of the rule that was broken.
    pub(super) async fn said(&self, seed: u8, action: Action) -> Option<u16> {
        let sent = match self.client.send_raw(&self.signed(seed, action)).await {
            Ok(sent) => sent,
            Err(error) => return Some(error.refusal().unwrap().data.number.unwrap()),
        };
        self.world.node.produce();
        let found = self.client.get_tx(sent.tx_id, false).await.unwrap();
        let reason = found.outcome.unwrap().reason?;
        assert_eq!(reason.name, rejection(reason.number).unwrap().name);
        Some(reason.number)
    }

    /// The same as the answer of a trial, without a block.
    pub(super) async fn would_be(&self, seed: u8, action: Action) -> Option<u16> {
        let signed_tx = Some(Bytes(self.signed(seed, action)));
        match self.client.simulate_tx(&SendParams { signed_tx, ..SendParams::default() }).await {
            Ok(simulated) => simulated.outcome.reason.map(|reason| reason.number),
            Err(error) => Some(error.refusal().unwrap().data.number.unwrap()),
        }
    }
}

#[tokio::test]
async fn every_wrong_word_comes_back_with_its_number() {
    let council = Council::new().await;
    let node = &council.world.node;
    let parameter = propose("burn_bps", 6_000);
    let upgrade = |version, height| {
        let measure = Measure::Upgrade { version, height: Height::new(height) };
        Action::Authority(Authority::CouncilPropose { measure })
    };
    let about = |measure| Action::Authority(Authority::CouncilPropose { measure });
    let (known, unknown) = (key(101).public(), key(77).public());
    let add = |public_key, weight| about(Measure::Add { public_key, name: Default::default(), weight });
    assert_eq!(council.said(100, parameter.clone()).await, None);
    let same = word(node, 100, 1, 7);
    let mut forged = word(node, 100, 1, 8);
    forged.signature.0[7] ^= 1;
    let table = [
        (1, parameter.clone(), 500, "not on the council"),
        (1, vote(1, true), 500, "not on the council"),
        (100, vote(9, true), 502, "unknown proposal"),
        (100, vote(1, true), 505, "who proposes has voted"),
        (100, propose("no_such", 1), 514, "unknown parameter"),
        (100, propose("burn_bps", 10_001), 515, "out of bounds"),
        (100, propose("block_time_ms", 60_000), 515, "out of the bounds of another one"),
        (100, upgrade(1, 1_000), 516, "no higher version"),
        (100, upgrade(2, 3), 517, "too soon"),
        (100, add(known, 1), 509, "admitted already"),
        (100, add(unknown, 0), 507, "no weight"),
        (100, about(Measure::Remove { public_key: unknown }), 510, "nobody"),
        (100, about(Measure::Unjail { public_key: known }), 512, "not jailed"),
        (1, Action::Authority(Authority::ValidatorReady {}), 510, "no validator"),
        (100, Action::Authority(Authority::ValidatorReady {}), 519, "ready already"),
        (1, evidence(same.clone(), same.clone()), 520, "one word twice"),
        (1, evidence(same.clone(), word(node, 101, 1, 8)), 520, "of two signers"),
        (1, evidence(same.clone(), forged), 13, "forged"),
        (1, evidence(word(node, 100, 99, 7), word(node, 100, 99, 8)), 521, "of a height to come"),
        (1, evidence(word(node, 101, 1, 7), word(node, 101, 1, 8)), 523, "of no validator of that height"),
    ];
    for (seed, action, number, what) in table {
        assert_eq!(council.would_be(seed, action.clone()).await, Some(number), "{what}");
        assert_eq!(council.said(seed, action).await, Some(number), "{what}");
    }
    assert_eq!(council.said(101, vote(1, false)).await, None);
    assert_eq!(council.said(101, vote(1, true)).await, Some(505), "votes stand");
    // Thirty blocks of 2 s after block 1 its minute is over; the same block writes its end.
    while node.head().header.height < Height::new(30) {
        node.produce();
    }
    assert_eq!(council.said(102, vote(1, true)).await, Some(504), "expired");
    assert_eq!(council.said(103, vote(1, true)).await, Some(503), "expired, and its end is written");
    assert_eq!(council.client.get_proposal(ProposalId::new(1)).await.unwrap().status, ProposalStatus::Expired);
    let (first, second) = (word(node, 100, 2, 7), word(node, 100, 2, 8));
    assert_eq!(council.said(1, evidence(first.clone(), second.clone())).await, None);
    assert_eq!(council.said(2, evidence(first, word(node, 100, 2, 9))).await, Some(524), "repeated");
    let other = evidence(word(node, 100, 1, 7), word(node, 100, 1, 8));
    assert_eq!(council.said(3, other).await, Some(513), "convicted already");
}

#[tokio::test]
async fn old_evidence_is_too_old() {
    let council = Council::new().await;
    let node = &council.world.node;
    // Four of five are needed; the window shrinks to the least there is.
    for (nonce, seed) in COUNCIL.enumerate() {
        let action = if nonce == 0 { propose("evidence_window_blocks", 100) } else { vote(1, true) };
        let expected = (seed == 103).then_some(503);
        assert_eq!(council.said(seed, action).await, expected, "three of four pass it");
    }
    (0..113).for_each(|_| node.produce());
    assert_eq!(council.said(1, evidence(word(node, 100, 1, 7), word(node, 100, 1, 8))).await, Some(522));
}

#[tokio::test]
async fn a_parameter_from_the_proposal_to_its_history() {
    let council = Council::new().await;
    let (client, node) = (&council.client, &council.world.node);
    assert_eq!(council.said(100, propose("burn_bps", 6_000)).await, None);
    let asked = client.get_proposal(ProposalId::new(1)).await.unwrap();
    assert_eq!((asked.status, asked.text.as_str()), (ProposalStatus::Open, "set the parameter \"burn_bps\" to 6000"));
    assert_eq!(asked.tally, Some(TallyView { yes: U64(1), no: U64(0), council: U64(4), needed: U64(3) }));
    assert_eq!(asked.votes, [CouncilVoteView { member: key(100).public(), approve: true }]);
    assert_eq!(council.said(101, vote(1, true)).await, None);
    assert!(client.get_params().await.unwrap().pending.is_empty());
    assert_eq!(council.said(102, vote(1, true)).await, None);
    let passed = client.get_proposal(ProposalId::new(1)).await.unwrap();
    // Ten whole blocks after block 3.
    assert_eq!((passed.status, passed.activates), (ProposalStatus::Passed, Some(Height::new(14))));
    let pending = client.get_params().await.unwrap().pending;
    assert_eq!((pending[0].name.as_str(), pending[0].value.get(), pending[0].height.get()), ("burn_bps", 6_000, 14));
    while node.head().header.height < Height::new(13) {
        assert_eq!(client.get_params().await.unwrap().params.burn_bps, 5_000);
        node.produce();
    }
    let params = client.get_params().await.unwrap();
    assert_eq!((params.params.burn_bps, params.pending.len()), (6_000, 0));
    let bounds = params.bounds.iter().find(|bounds| bounds.name == "burn_bps").unwrap();
    assert_eq!((bounds.value.get(), bounds.min.get(), bounds.max.get()), (6_000, 0, 10_000));
    let history = client.get_param_history(None, None, None).await.unwrap();
    let change = &history.changes[0];
    assert_eq!((history.changes.len(), change.before.get(), change.after.get()), (1, 5_000, 6_000));
    assert_eq!((change.height, change.proposal), (Height::new(14), ProposalId::new(1)));
    assert!(client.get_param_history(Some("block_time_ms".into()), None, None).await.unwrap().changes.is_empty());
    assert_eq!(client.get_proposal(ProposalId::new(1)).await.unwrap().status, ProposalStatus::Enacted);
}

#[tokio::test]
async fn proposals_come_in_pages_newest_first() {
    let council = Council::new().await;
    for value in 0..5 {
        assert_eq!(council.said(100, propose("burn_bps", value)).await, None);
    }
    // Two against it are a third and more.
    for seed in [101, 102] {
        assert_eq!(council.said(seed, vote(2, false)).await, None);
    }
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = council.client.get_proposals(None, cursor, Some(2)).await.unwrap();
        assert!(page.proposals.len() <= 2);
        seen.extend(page.proposals.iter().map(|proposal| proposal.proposal.get()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let ended = council.client.get_proposals(Some(false), None, None).await.unwrap().proposals;
    assert_eq!(
        ended.iter().map(|ended| (ended.proposal.get(), ended.status)).collect::<Vec<_>>(),
        [(2, ProposalStatus::Refused)]
    );
    assert_eq!(ended[0].tally, None);
    assert_eq!(council.client.get_proposals(Some(true), None, None).await.unwrap().proposals.len(), 4);
    let to = council.world.door.address;
    for params in [json!({ "cursor": "x" }), json!({ "limit": 0 }), json!({ "limit": 1001 })] {
        assert_eq!(call(to, "get_proposals", &params).await["error"]["code"], -32602, "{params}");
    }
    let none = call(to, "get_proposal", &json!({ "proposal": "6" })).await;
    assert_eq!(none["error"]["data"]["reason"], "not_found");
}

#[tokio::test]
async fn validators_and_who_else_is_known() {
    let council = Council::new().await;
    let (client, node) = (&council.client, &council.world.node);
    (0..3).for_each(|_| node.produce());
    let view = client.get_validators().await.unwrap();
    assert_eq!((view.validators.len(), view.others.len(), view.epoch_ends), (1, 3, Some(Height::new(100))));
    let member = &view.validators[0];
    assert_eq!((member.status, member.weight, member.uptime_bps), (ValidatorStatus::Active, U64(1), Some(10_000)));
    assert!(view.others.iter().all(|other| other.status == ValidatorStatus::Waiting && other.ready));
    assert!(view.others.iter().all(|other| other.on_council && other.weight == U64(0)));
    let uptime = client.get_uptime(None).await.unwrap();
    assert_eq!((uptime.from.get(), uptime.to.get()), (1, 3), "genesis has no proposer");
    let own = &uptime.validators[0];
    assert_eq!((own.heights, own.proposed, own.missed_turns, own.signed), (3, 3, 0, 3));
    let (first, second) = (word(node, 100, 2, 7), word(node, 100, 2, 8));
    assert_eq!(council.said(1, evidence(first, second)).await, None);
    let convicted = client.get_validators().await.unwrap();
    let member = &convicted.validators[0];
    assert_eq!((member.status, member.on_council), (ValidatorStatus::Convicted, false));
    assert_eq!(member.equivocation.unwrap().height, Height::new(2));
}
