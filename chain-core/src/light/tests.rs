//! A chain whose validators change, followed hop by hop; and everybody who would like to be believed
//! besides: another chain, too few, strangers, those who were in charge once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::block::{Verdict, outcome_root};
use crate::codec::{List, Text};
use crate::crypto::merkle::list_proof;
use crate::crypto::{SecretKey, Signature};
use crate::genesis::{ConsensusMode, GENESIS_VERSION, GenesisAsset, GenesisBalance};
use crate::state::{Content, Overlay, PARAMS, Params, Symbol, Table, Tree, encode_value};
use crate::testing::{address, key, pay};
use crate::tx::{TRANSACTION_VERSION, Transaction};
use crate::types::{Amount, AssetId, SignedMessage, TimestampMs, View, Vote};
use proptest::prelude::*;

/// Keys of a set by their seeds, ascending by public key.
fn keys(seeds: std::ops::RangeInclusive<u8>) -> Vec<SecretKey> {
    let mut keys: Vec<_> = seeds.map(key).collect();
    keys.sort_by_key(SecretKey::public);
    keys
}

fn members(keys: &[SecretKey]) -> Vec<Validator> {
    keys.iter().map(|key| Validator { public_key: key.public(), weight: 1 }).collect()
}

fn set(keys: &[SecretKey]) -> ValidatorSet {
    ValidatorSet::new(members(keys)).unwrap()
}

/// The sets in the order in which they are in charge; they share members, as real ones do.
fn a() -> Vec<SecretKey> {
    keys(101..=104)
}
fn b() -> Vec<SecretKey> {
    keys(103..=107)
}
fn c() -> Vec<SecretKey> {
    keys(111..=111)
}

fn genesis() -> Genesis {
    let (units_per_token, max_supply) = (Amount::new(100), Amount::new(1_000_000));
    let balance = |seed| GenesisBalance { address: address(seed), asset: AssetId::NATIVE, amount: Amount::new(5000) };
    let mut balances: Vec<_> = (1..=20).map(balance).collect();
    balances.sort_by_key(|balance| balance.address);
    Genesis {
        version: GENESIS_VERSION,
        name: Text::new("light").unwrap(),
        genesis_time: TimestampMs::new(1_700_000_000_000),
        salt: [7; 32],
        quorum_rule: QuorumRule::Byzantine,
        mode: ConsensusMode::Poa,
        params: Params::default(),
        assets: vec![GenesisAsset { symbol: Symbol::new("AIT").unwrap(), units_per_token, max_supply, minter: None }],
        stake_asset: AssetId::NATIVE,
        roles: Default::default(),
        validators: members(&a()),
        stakes: vec![],
        balances,
    }
}

fn chain_id() -> ChainId {
    genesis().chain_id()
}

/// A header that says what genesis says, at another height and of other sets.
fn header(height: u64, own: &[SecretKey], next: &[SecretKey]) -> Header {
    let (_, block_0) = genesis().build().unwrap();
    let chain = chain_id();
    Header {
        height: Height::new(height),
        validators_hash: set(own).hash(&chain),
        next_validators_hash: set(next).hash(&chain),
        ..block_0
    }
}

/// Votes of these keys, who claim to be this set, put together whether or not they are a quorum of it.
fn certificate(kind: VoteKind, header: &Header, voters: &[SecretKey], of: &[SecretKey]) -> Certificate {
    let block = (kind != VoteKind::Nullify).then(|| header.id());
    let message = SignedMessage { kind, height: header.height, view: View::ZERO, block };
    let votes: Vec<_> = voters.iter().map(|key| Vote::sign(message, &header.chain_id, key).unwrap()).collect();
    // A set in which the voters are all there is makes a certificate of however few.
    let mut whole = Certificate::from_votes(message, &votes, QuorumRule::Byzantine, &set(voters)).unwrap();
    let places = voters.iter().map(|key| set(of).index_of(&key.public()).unwrap());
    let mut bytes = vec![0u8; of.len().div_ceil(8)];
    places.for_each(|place| bytes[place / 8] |= 1 << (place % 8));
    whole.signers = serde_json::from_value(format!("0x{}", hex::encode(bytes)).into()).unwrap();
    whole
}

fn finalize(header: &Header, voters: &[SecretKey], of: &[SecretKey]) -> Certificate {
    certificate(VoteKind::Finalize, header, voters, of)
}

fn client() -> LightClient {
    LightClient::from_genesis(&genesis()).unwrap()
}

/// After the hops at heights 10 (a to b) and 25 (b to c).
fn hopped() -> LightClient {
    let mut client = client();
    let (first, second) = (header(10, &a(), &b()), header(25, &b(), &c()));
    client.hop(first.clone(), &finalize(&first, &a()[1..], &a()), members(&b())).unwrap();
    client.hop(second.clone(), &finalize(&second, &b()[..4], &b()), members(&c())).unwrap();
    client
}

#[test]
fn rule_1_only_this_chain_in_a_known_version() {
    let client = client();
    let mut other = header(3, &a(), &a());
    other.chain_id = ChainId(Hash([9; 32]));
    other.validators_hash = set(&a()).hash(&other.chain_id);
    let signed = finalize(&other, &a(), &a());
    let expected = LightError::Chain { expected: chain_id(), got: other.chain_id };
    assert_eq!(client.header(other, Some(&signed)), Err(expected));
    let mut later = header(3, &a(), &a());
    later.version = 2;
    let signed = finalize(&later, &a(), &a());
    assert_eq!(client.header(later.clone(), Some(&signed)), Err(LightError::Version(2)));
    assert_eq!(
        LightClient::pinned(later.id(), QuorumRule::Byzantine, later, members(&a())).unwrap_err(),
        LightError::Version(2)
    );
    // Whoever signs for our chain's names with the chain id of another signs other bytes.
    let own = header(3, &a(), &a());
    let mut foreign = own.clone();
    foreign.chain_id = ChainId(Hash([9; 32]));
    let mut carried = finalize(&foreign, &a(), &a());
    carried.message.block = Some(own.id());
    assert_eq!(client.header(own, Some(&carried)), Err(CertificateError::Signature.into()));
}

#[test]
fn rule_2_the_pinned_height_is_the_pinned_block_and_nothing_is_believed_below() {
    let (_, block_0) = genesis().build().unwrap();
    let trusted = client().header(block_0.clone(), None).unwrap();
    assert_eq!((trusted.signers(), trusted.validators(), trusted.header()), (0, 0, &block_0));
    let mut other = block_0;
    other.state_root = Hash([1; 32]);
    let signed = finalize(&other, &a(), &a());
    assert!(matches!(client().header(other, Some(&signed)), Err(LightError::NotPinned { .. })));

    let client = hopped();
    let pinned = client.pin().header().clone();
    assert_eq!(client.header(pinned, None).unwrap().signers(), 4);
    for height in [0, 1, 10, 24] {
        let below = header(height, &c(), &c());
        let signed = finalize(&below, &c(), &c());
        let expected = LightError::NotAbove { pinned: Height::new(25), got: Height::new(height) };
        assert_eq!(client.header(below, Some(&signed)), Err(expected));
    }
    let rival = header(25, &b(), &a());
    let signed = finalize(&rival, &b(), &b());
    assert!(matches!(client.header(rival, Some(&signed)), Err(LightError::NotPinned { .. })));
}

#[test]
fn rule_3_only_the_set_in_charge() {
    // The sets of the past sell their keys; the future is nobody's yet.
    let late = hopped();
    for stale in [a(), b()] {
        let forged = header(30, &stale, &stale);
        let signed = finalize(&forged, &stale, &stale);
        assert!(matches!(late.header(forged, Some(&signed)), Err(LightError::Set { .. })));
    }
    let early = client();
    let honest = header(30, &c(), &c());
    let signed = finalize(&honest, &c(), &c());
    assert!(matches!(early.header(honest.clone(), Some(&signed)), Err(LightError::Set { .. })), "two hops are missing");
    assert_eq!(late.header(honest, Some(&signed)).unwrap().signers(), 1);
    // They name the set in charge but sign themselves.
    let forged = header(30, &c(), &c());
    let signed = finalize(&forged, &a()[..1], &a()[..1]);
    assert_eq!(late.header(forged, Some(&signed)), Err(CertificateError::Signature.into()));
}

#[test]
fn rule_4_a_quorum_finalizes_exactly_this_header() {
    let client = client();
    let block = header(3, &a(), &a());
    let refused = |certificate: &Certificate| client.header(block.clone(), Some(certificate)).unwrap_err();
    assert_eq!(client.header(block.clone(), Some(&finalize(&block, &a()[..3], &a()))).unwrap().signers(), 3);
    assert_eq!(client.header(block.clone(), None), Err(LightError::NoCertificate));
    assert_eq!(refused(&finalize(&block, &a()[..2], &a())), CertificateError::Quorum.into());
    for kind in [VoteKind::Notarize, VoteKind::Nullify] {
        assert_eq!(refused(&certificate(kind, &block, &a(), &a())), LightError::NotFinal);
    }
    assert_eq!(refused(&finalize(&header(4, &a(), &a()), &a(), &a())), LightError::OtherBlock);
    assert_eq!(refused(&finalize(&header(3, &a(), &b()), &a(), &a())), LightError::OtherBlock);
    let mut other_rule = finalize(&block, &a(), &a());
    other_rule.rule = QuorumRule::Crash;
    assert_eq!(refused(&other_rule), CertificateError::Rule.into());
    // One votes for all.
    let mut alone = finalize(&block, &a(), &a());
    alone.signatures = List::new(vec![alone.signatures[0]; 4]).unwrap();
    assert_eq!(refused(&alone), CertificateError::Signature.into());
    let mut nobody = finalize(&block, &a(), &a());
    nobody.signatures = List::new(vec![Signature([0; 64]); 4]).unwrap();
    assert_eq!(refused(&nobody), CertificateError::Signature.into());
}

#[test]
fn rule_5_a_hop_goes_up_to_the_set_the_header_names() {
    let mut client = client();
    let hop = header(10, &a(), &b());
    let signed = finalize(&hop, &a(), &a());
    let few = finalize(&hop, &a()[..2], &a());
    assert_eq!(client.hop(hop.clone(), &few, members(&b())), Err(CertificateError::Quorum.into()));
    assert!(matches!(client.hop(hop.clone(), &signed, members(&c())), Err(LightError::NextSet { .. })));
    let mut heavier = members(&b());
    heavier[0].weight = 2;
    assert!(matches!(client.hop(hop.clone(), &signed, heavier), Err(LightError::NextSet { .. })));
    assert_eq!(client.hop(hop.clone(), &signed, vec![]), Err(ValidatorSetError::Empty.into()));
    let backwards = members(&b()).into_iter().rev().collect();
    assert!(matches!(client.hop(hop.clone(), &signed, backwards), Err(LightError::NextMembers(_))));
    assert_eq!((client.pin().header().height, client.set()), (Height::ZERO, &set(&a())), "nothing has changed");

    client.hop(hop.clone(), &signed, members(&b())).unwrap();
    assert_eq!((client.pin().header(), client.set()), (&hop, &set(&b())));
    let again = LightError::NotAbove { pinned: Height::new(10), got: Height::new(10) };
    assert_eq!(client.hop(hop, &signed, members(&b())), Err(again));
    let back = header(9, &b(), &a());
    let signed = finalize(&back, &b(), &b());
    assert!(matches!(client.hop(back, &signed, members(&a())), Err(LightError::NotAbove { .. })));
}

#[test]
fn a_recent_block_can_be_pinned_and_only_by_its_own_header() {
    let recent = header(25, &b(), &c());
    let pin = |header: Header, next| LightClient::pinned(recent.id(), QuorumRule::Byzantine, header, next);
    let client = pin(recent.clone(), members(&c())).unwrap();
    let above = header(26, &c(), &c());
    assert!(client.header(above.clone(), Some(&finalize(&above, &c(), &c()))).is_ok());
    assert_eq!(client.header(recent.clone(), None).unwrap().header(), &recent);
    assert!(matches!(pin(header(24, &b(), &c()), members(&c())), Err(LightError::NotPinned { .. })));
    assert!(matches!(pin(recent.clone(), members(&b())), Err(LightError::NextSet { .. })));
}

/// A state and a block over it, signed by the set of genesis.
struct Proofs {
    tree: Tree,
    outcomes: Vec<Outcome>,
    signed: Vec<u8>,
    block: TrustedHeader,
}

impl Proofs {
    fn new() -> Self {
        let (tree, _) = genesis().build().unwrap();
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain_tag: chain_id().tag(),
            sender: address(1),
            nonce: 0,
            fee_payer: None,
            fee: Amount::new(9),
            valid_until: Height::ZERO,
            actions: List::new(vec![pay(address(2), 9_999)]).unwrap(),
        };
        let signed = codec::encode(&transaction.sign(&chain_id(), &key(1)));
        let outcome = |wire_id| Outcome {
            wire_id,
            verdict: Verdict::Rejected { number: 50, action: 0 },
            fee: Amount::new(9),
            events_hash: Outcome::events_hash(&[], &chain_id()),
        };
        let mut outcomes: Vec<_> = (0..5).map(|n| outcome(WireId(Hash([n; 32])))).collect();
        outcomes[2] = outcome(Signed::wire_id(&signed, &chain_id()));
        let header = Header { outcome_root: outcome_root(&chain_id(), &outcomes), ..header(1, &a(), &a()) };
        let certificate = finalize(&header, &a(), &a());
        let block = client().header(header, Some(&certificate)).unwrap();
        Self { tree, outcomes, signed, block }
    }

    fn outcome_proof(&self, index: u32) -> ListProof {
        let leaves: Vec<_> = self.outcomes.iter().map(|outcome| outcome.hash(&chain_id())).collect();
        list_proof(&chain_id().0, &leaves, index).unwrap()
    }
}

#[test]
fn rule_6_rows_are_proven_present_and_absent() {
    let world = Proofs::new();
    for seed in 1..=20 {
        let proof = world.tree.prove(&ACCOUNTS.key(&address(seed)));
        let account = world.block.account(&address(seed), &proof).unwrap().unwrap();
        assert_eq!(account.balance, Amount::new(5000));
        // Neither said of another account, nor denied.
        assert!(matches!(world.block.account(&address(99), &proof), Err(LightError::Row(_))));
        let gap = world.tree.prove(&ACCOUNTS.key(&address(99)));
        assert_eq!(world.block.account(&address(99), &gap), Ok(None));
        assert!(matches!(world.block.account(&address(seed), &gap), Err(LightError::Row(_))));
    }
    let params = PARAMS.key(&());
    let proof = world.tree.prove(&params);
    assert_eq!(world.block.row(&params, &proof).unwrap(), Some(&*encode_value(&Params::default())));

    let mut forged = world.tree.prove(&ACCOUNTS.key(&address(1)));
    forged.content = Content::Value(encode_value(&Account::default()).into());
    assert!(matches!(world.block.account(&address(1), &forged), Err(LightError::Row(_))));
    // A gap that was made wider than it is.
    let mut wide = world.tree.prove(&ACCOUNTS.key(&address(99)));
    wide.next = None;
    assert!(matches!(world.block.account(&address(99), &wide), Err(LightError::Row(_))));
}

#[test]
fn rule_6_what_is_proven_but_unreadable_is_told_apart() {
    let mut tree = Tree::new(&chain_id().0);
    let mut overlay = Overlay::new(&tree);
    // A byte in the place of an account.
    Table::<Address, u8>::new(ACCOUNTS.number()).put(&mut overlay, &address(1), &7);
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
    let header = Header { state_root: tree.root(), ..header(1, &a(), &a()) };
    let block = client().header(header.clone(), Some(&finalize(&header, &a(), &a()))).unwrap();
    let proof = tree.prove(&ACCOUNTS.key(&address(1)));
    assert!(matches!(block.account(&address(1), &proof), Err(LightError::Value(_))));
}

#[test]
fn rule_7_outcomes_and_their_transactions() {
    let world = Proofs::new();
    for index in 0..5 {
        let outcome = &world.outcomes[index as usize];
        assert_eq!(world.block.outcome(index, outcome, &world.outcome_proof(index)), Ok(()));
        let elsewhere = world.block.outcome((index + 1) % 5, outcome, &world.outcome_proof(index));
        assert!(matches!(elsewhere, Err(LightError::Outcome(_))));
    }
    let proof = world.outcome_proof(2);
    let read = world.block.transaction(2, &world.outcomes[2], &proof, &world.signed).unwrap();
    assert_eq!(codec::encode(&read), world.signed);
    let mut better = world.outcomes[2].clone();
    better.verdict = Verdict::Ok;
    assert!(matches!(world.block.transaction(2, &better, &proof, &world.signed), Err(LightError::Outcome(_))));
    let mut garbage = world.signed.clone();
    *garbage.last_mut().unwrap() ^= 1;
    let refused = world.block.transaction(2, &world.outcomes[2], &proof, &garbage);
    assert!(matches!(refused, Err(LightError::OtherTransaction { .. })));
}

/// Sets of up to four of six possible members, in the order they are in charge, each for some heights.
fn reigns() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    let set = proptest::sample::subsequence((1u8..=6).collect::<Vec<_>>(), 1..=4);
    proptest::collection::vec((set, 1u64..5), 2..6)
}

fn sorted(seeds: &[u8]) -> Vec<SecretKey> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    keys.sort_by_key(SecretKey::public);
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever reigns in turn is followed to the end, and of all sets exactly the last is believed there.
    #[test]
    fn any_succession_is_followed_and_only_the_last_set_is_believed(reigns in reigns(), skip in 0usize..4) {
        let first = sorted(&reigns[0].0);
        let start = header(7, &first, &first);
        let mut client =
            LightClient::pinned(start.id(), QuorumRule::Byzantine, start, members(&first)).unwrap();
        let mut height = 7;
        for pair in reigns.windows(2) {
            let (own, next) = (sorted(&pair[0].0), sorted(&pair[1].0));
            height += pair[0].1;
            let hop = header(height, &own, &next);
            // A quorum with at most a third missing, not always the same.
            let mut voters = sorted(&pair[0].0);
            if voters.len() > 3 {
                voters.remove(skip);
            }
            client.hop(hop.clone(), &finalize(&hop, &voters, &own), members(&next)).unwrap();
        }
        let last = sorted(&reigns.last().unwrap().0);
        for (seeds, _) in &reigns {
            let own = sorted(seeds);
            let block = header(height + 1, &own, &own);
            let believed = client.header(block.clone(), Some(&finalize(&block, &own, &own)));
            prop_assert_eq!(believed.is_ok(), members(&own) == members(&last));
        }
    }

    /// No changed byte of header, certificate or proof is believed.
    #[test]
    fn no_changed_byte_is_believed(place in any::<prop::sample::Index>(), flip in 1u8..) {
        let world = Proofs::new();
        let header = world.block.header().clone();
        let certificate = finalize(&header, &a(), &a());
        let proof = world.tree.prove(&ACCOUNTS.key(&address(3)));
        let honest = codec::encode(&(&header, &certificate, &proof));
        let mut bytes = honest.clone();
        bytes[place.index(honest.len())] ^= flip;
        if let Ok((header, certificate, proof)) = codec::decode::<(Header, Certificate, Proof)>(&bytes, bytes.len()) {
            let answer = client().header(header, Some(&certificate));
            let answer = answer.and_then(|block| block.account(&address(3), &proof));
            prop_assert!(answer.is_err(), "{:?}", answer);
        }
    }
}
