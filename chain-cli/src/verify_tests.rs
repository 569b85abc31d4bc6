//! A small chain with four validators, proofs of its first block, and every part of them spoiled in turn.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use chain_core::{
    block::{Header, Verdict, outcome_root},
    codec::{self, List, Text},
    crypto::{Hash, SecretKey, Signature, merkle::list_proof},
    genesis::{ConsensusMode, GENESIS_VERSION, GenesisAsset, GenesisBalance},
    state::{Params, Symbol, Tree},
    testing::{address, key, pay},
    tx::{TRANSACTION_VERSION, Transaction},
    types::{Certificate, QuorumRule, SignedMessage, Validator, View, Vote, VoteKind},
};

use chain_rpc::view::Bytes;

use super::*;

const USD: AssetId = AssetId::new(1);

fn validators() -> Vec<SecretKey> {
    let mut keys: Vec<_> = (101..=104).map(key).collect();
    keys.sort_by_key(SecretKey::public);
    keys
}

fn asset(symbol: &str) -> GenesisAsset {
    let (units_per_token, max_supply) = (Amount::new(100), Amount::new(1_000_000));
    GenesisAsset { symbol: Symbol::new(symbol).unwrap(), units_per_token, max_supply, minter: None }
}

/// Account 1 has 5000 AIT units and 70 USD units.
fn genesis() -> Genesis {
    let balance = |asset, units| GenesisBalance { address: address(1), asset, amount: Amount::new(units) };
    Genesis {
        version: GENESIS_VERSION,
        name: Text::new("proofs").unwrap(),
        genesis_time: TimestampMs::new(1_700_000_000_000),
        salt: [7; 32],
        quorum_rule: QuorumRule::Byzantine,
        mode: ConsensusMode::Poa,
        params: Params::default(),
        assets: vec![asset("AIT"), asset("USD")],
        stake_asset: AssetId::NATIVE,
        roles: Default::default(),
        validators: validators().iter().map(|key| Validator { public_key: key.public(), weight: 1 }).collect(),
        stakes: vec![],
        balances: vec![balance(AssetId::NATIVE, 5000), balance(USD, 70)],
    }
}

struct World {
    genesis: Genesis,
    tree: Tree,
    signed: Vec<u8>,
    outcome: Outcome,
    anchor: Anchor,
}

fn certify(header: &Header, kind: VoteKind, voters: &[SecretKey], genesis: &Genesis) -> Certificate {
    let block = (kind != VoteKind::Nullify).then(|| header.id());
    let message = SignedMessage { kind, height: header.height, view: View::ZERO, block };
    let votes: Vec<_> = voters.iter().map(|key| Vote::sign(message, &genesis.chain_id(), key).unwrap()).collect();
    Certificate::from_votes(message, &votes, genesis.quorum_rule, &genesis.validator_set().unwrap()).unwrap()
}

impl World {
    /// Block 1, signed by three of four, says what genesis says and holds one refused transfer.
    fn new() -> Self {
        Self::with(Verdict::Rejected { number: 50, action: 0 }, &[])
    }

    /// As `new`, with another end of the transaction.
    fn with(verdict: Verdict, events: &[Event]) -> Self {
        let genesis = genesis();
        let chain = genesis.chain_id();
        let (tree, block_0) = genesis.build().unwrap();
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain_tag: chain.tag(),
            sender: address(1),
            nonce: 0,
            fee_payer: None,
            fee: Amount::new(9),
            valid_until: Height::ZERO,
            actions: List::new(vec![pay(address(2), 9_999)]).unwrap(),
        };
        let signed = codec::encode(&transaction.sign(&chain, &key(1)));
        let outcome = Outcome {
            wire_id: Signed::wire_id(&signed, &chain),
            verdict,
            fee: Amount::new(9),
            events_hash: Outcome::events_hash(events, &chain),
        };
        let header = Header {
            height: Height::new(1),
            parent: block_0.id(),
            outcome_root: outcome_root(&chain, std::slice::from_ref(&outcome)),
            ..block_0
        };
        let certificate = Some(certify(&header, VoteKind::Finalize, &validators()[..3], &genesis));
        let anchor = Anchor { hash: header.id(), header, certificate };
        Self { genesis, tree, signed, outcome, anchor }
    }

    fn row(&self, key: RowKey) -> RowProofView {
        let proof = self.tree.prove(&key);
        RowProofView { key, present: proof.key == Some(key), proof, anchor: self.anchor.clone() }
    }

    fn account(&self, seed: u8) -> RowProofView {
        self.row(ACCOUNTS.key(&address(seed)))
    }

    fn outcome(&self) -> OutcomeProof {
        let chain = self.genesis.chain_id();
        let proof = list_proof(&chain.0, &[self.outcome.hash(&chain)], 0).unwrap();
        OutcomeProof { outcome: self.outcome.clone(), index: 0, proof, events: None, anchor: self.anchor.clone() }
    }

    fn check(&self, row: RowProofView) -> Answer<Proven> {
        verify(&self.genesis, &ProofView::Row(Box::new(row)), Beside::default(), Subject::default())
    }

    fn check_outcome(&self, outcome: OutcomeProof, signed: Option<&[u8]>, tx_id: Option<TxId>) -> Answer<Proven> {
        verify(
            &self.genesis,
            &ProofView::Outcome(Box::new(outcome)),
            Beside { signed_tx: signed, hops: &[] },
            Subject { account: None, tx_id },
        )
    }

    /// The account's proof after this change fails at this step.
    fn spoiled(&self, step: &str, change: impl FnOnce(&mut RowProofView)) {
        let mut row = self.account(1);
        change(&mut row);
        assert_eq!(failed_step(self.check(row)), step);
    }

    /// As `spoiled`, with a header that says something else and is signed for by this quorum.
    fn resigned(&self, step: &str, change: impl FnOnce(&mut Header), voters: &[SecretKey]) {
        self.spoiled(step, |row| {
            change(&mut row.anchor.header);
            row.anchor.hash = row.anchor.header.id();
            row.anchor.certificate = Some(certify(&row.anchor.header, VoteKind::Finalize, voters, &self.genesis));
        });
    }
}

/// A chain, and the proof of an outcome with these events on it.
pub(crate) fn proven(events: &[Event]) -> (Genesis, OutcomeProof) {
    let world = World::with(Verdict::Ok, events);
    let proof = OutcomeProof { events: Some(Bytes(codec::encode(events))), ..world.outcome() };
    (world.genesis, proof)
}

/// The chain of [`proven`].
pub(crate) fn chain() -> ChainId {
    genesis().chain_id()
}

fn failed_step(answer: Answer<Proven>) -> &'static str {
    match answer {
        Err(CliError::Unproven { step, .. }) => step,
        other => panic!("expected a failing step, got {other:?}"),
    }
}

#[test]
fn rows_are_proven_present_and_absent() {
    let world = World::new();
    let proven = world.check(world.account(1)).unwrap();
    assert_eq!((proven.height, proven.signers, proven.validators), (Height::new(1), 3, 4));
    let Fact::Account { present: true, account, .. } = proven.fact else { panic!("{proven:?}") };
    assert_eq!(account.balance, Amount::new(5000));
    let proven = world.check(world.account(9)).unwrap();
    let Fact::Account { address: whose, present: false, account } = proven.fact else { panic!("{proven:?}") };
    assert_eq!((whose, account), (address(9), Account::default()));
    let proven = world.check(world.row(BALANCES.key(&(address(1), USD)))).unwrap();
    assert_eq!(proven.fact, Fact::Balance { address: address(1), asset: USD, balance: Amount::new(70) });
    let proven = world.check(world.row(BALANCES.key(&(address(2), USD)))).unwrap();
    assert_eq!(proven.fact, Fact::Balance { address: address(2), asset: USD, balance: Amount::ZERO });
    let proven = world.check(world.row(ASSETS.key(&USD))).unwrap();
    assert!(matches!(proven.fact, Fact::Asset { registered: Some(asset), .. } if &*asset.symbol == "USD"));
}

#[test]
fn block_0_needs_no_signatures_but_must_be_the_specs_own() {
    let world = World::new();
    let (_, header) = world.genesis.build().unwrap();
    let mut row = world.account(1);
    row.anchor = Anchor { hash: header.id(), header: header.clone(), certificate: None };
    assert_eq!(world.check(row.clone()).unwrap().signers, 0);
    row.anchor.header.state_root = Hash([1; 32]);
    row.anchor.hash = row.anchor.header.id();
    assert_eq!(failed_step(world.check(row)), "genesis");
}

#[test]
fn a_spoiled_anchor_fails_at_its_step() {
    let world = World::new();
    world.spoiled("chain", |row| {
        row.anchor.header.chain_id = ChainId(Hash([1; 32]));
        row.anchor.hash = row.anchor.header.id();
    });
    world.spoiled("header", |row| row.anchor.header.timestamp_ms = TimestampMs::new(1));
    world.spoiled("header", |row| row.anchor.hash = BlockId::default());
    world.spoiled("certificate", |row| row.anchor.certificate = None);
    let genesis = &world.genesis;
    for kind in [VoteKind::Notarize, VoteKind::Nullify] {
        let header = world.anchor.header.clone();
        world.spoiled("certificate", |row| {
            row.anchor.certificate = Some(certify(&header, kind, &validators(), genesis));
        });
    }
    // Another state under the certificate of this block.
    world.spoiled("certificate", |row| {
        row.anchor.header.state_root = Hash([1; 32]);
        row.anchor.hash = row.anchor.header.id();
    });
    world.spoiled("certificate", |row| {
        let certificate = row.anchor.certificate.as_mut().unwrap();
        let mut signatures = certificate.signatures.to_vec();
        signatures[1] = Signature([3; 64]);
        certificate.signatures = List::new(signatures).unwrap();
    });
    world.spoiled("certificate", |row| row.anchor.certificate.as_mut().unwrap().rule = QuorumRule::Crash);
    world.spoiled("certificate", |row| {
        let certificate = row.anchor.certificate.as_mut().unwrap();
        certificate.signatures = List::new(certificate.signatures[..2].to_vec()).unwrap();
    });
    world.resigned("validators", |header| header.validators_hash = Hash([1; 32]), &validators());
}

#[test]
fn a_certificate_of_strangers_is_no_certificate() {
    let world = World::new();
    let mut strangers: Vec<_> = (1..=4).map(key).collect();
    strangers.sort_by_key(SecretKey::public);
    let mut theirs = world.genesis.clone();
    theirs.validators = strangers.iter().map(|key| Validator { public_key: key.public(), weight: 1 }).collect();
    // Signed for our chain and with our set's hash in the header: only the signatures are theirs.
    let message = SignedMessage {
        kind: VoteKind::Finalize,
        height: Height::new(1),
        view: View::ZERO,
        block: Some(world.anchor.hash),
    };
    let votes: Vec<_> =
        strangers.iter().map(|key| Vote::sign(message, &world.genesis.chain_id(), key).unwrap()).collect();
    let set = theirs.validator_set().unwrap();
    let certificate = Certificate::from_votes(message, &votes, QuorumRule::Byzantine, &set);
    world.spoiled("certificate", |row| row.anchor.certificate = certificate);
}

#[test]
fn another_genesis_proves_nothing() {
    let world = World::new();
    for change in [
        |genesis: &mut Genesis| genesis.salt = [8; 32],
        |genesis: &mut Genesis| genesis.validators[0].weight = 2,
        |genesis: &mut Genesis| genesis.balances[0].amount = Amount::new(5001),
    ] {
        let mut other = world.genesis.clone();
        change(&mut other);
        let proof = ProofView::Row(Box::new(world.account(1)));
        assert_eq!(failed_step(verify(&other, &proof, Beside::default(), Subject::default())), "chain");
    }
}

#[test]
fn a_spoiled_row_fails_at_its_step() {
    use chain_core::state::Content;
    let world = World::new();
    world.spoiled("state", |row| {
        let rich = Account { balance: Amount::new(1_000_000), ..Account::default() };
        row.proof.content = Content::Value(chain_core::state::encode_value(&rich).into());
    });
    world.spoiled("state", |row| row.key = ACCOUNTS.key(&address(2)));
    world.spoiled("state", |row| row.proof.siblings[0] = Hash([1; 32]));
    world.spoiled("state", |row| row.proof.slot ^= 1);
    world.spoiled("state", |row| row.present = false);
    // The quorum signs a state that the path does not lead to.
    world.resigned("state", |header| header.state_root = Hash([1; 32]), &validators());
    let mut absent = world.account(9);
    absent.key = ACCOUNTS.key(&address(1));
    assert_eq!(failed_step(world.check(absent)), "state");
}

#[test]
fn a_row_is_not_taken_for_another_subject() {
    let world = World::new();
    let proof = ProofView::Row(Box::new(world.account(1)));
    let about = |account, tx_id| verify(&world.genesis, &proof, Beside::default(), Subject { account, tx_id });
    assert!(about(Some(address(1)), None).is_ok());
    assert_eq!(failed_step(about(Some(address(2)), None)), "subject");
    assert_eq!(failed_step(about(None, Some(TxId::default()))), "subject");
    let asset = ProofView::Row(Box::new(world.row(ASSETS.key(&USD))));
    let subject = Subject { account: Some(address(1)), tx_id: None };
    assert_eq!(failed_step(verify(&world.genesis, &asset, Beside::default(), subject)), "subject");
}

#[test]
fn an_outcome_is_proven_with_its_transaction() {
    let world = World::new();
    let proven = world.check_outcome(world.outcome(), Some(&world.signed), None).unwrap();
    let Fact::Outcome { transaction: Some(transaction), outcome, .. } = proven.fact else { panic!("{proven:?}") };
    assert_eq!((transaction.sender, outcome.ok), (address(1), false));
    assert_eq!(outcome.reason.unwrap().name, "insufficient_balance");
    let id = transaction.tx_id;
    assert!(world.check_outcome(world.outcome(), Some(&world.signed), Some(id)).is_ok());
    let other = Some(TxId(Hash([1; 32])));
    assert_eq!(failed_step(world.check_outcome(world.outcome(), Some(&world.signed), other)), "subject");
    // Without the bytes the id can't be known.
    assert!(world.check_outcome(world.outcome(), None, None).is_ok());
    assert_eq!(failed_step(world.check_outcome(world.outcome(), None, Some(id))), "subject");
}

#[test]
fn a_spoiled_outcome_fails_at_its_step() {
    let world = World::new();
    for change in [
        |proof: &mut OutcomeProof| proof.outcome.verdict = Verdict::Ok,
        |proof: &mut OutcomeProof| proof.outcome.fee = Amount::ZERO,
        |proof: &mut OutcomeProof| proof.index = 1,
        |proof: &mut OutcomeProof| proof.proof.leaf_count = 2,
    ] {
        let mut proof = world.outcome();
        change(&mut proof);
        assert_eq!(failed_step(world.check_outcome(proof, Some(&world.signed), None)), "outcome");
    }
    let mut bytes = world.signed.clone();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(failed_step(world.check_outcome(world.outcome(), Some(&bytes), None)), "transaction");
    assert_eq!(failed_step(world.check_outcome(world.outcome(), Some(&[]), None)), "transaction");
    let mut proof = world.outcome();
    proof.anchor.certificate = None;
    assert_eq!(failed_step(world.check_outcome(proof, Some(&world.signed), None)), "certificate");
    let with = |events: &[u8]| OutcomeProof { events: Some(Bytes(events.to_vec())), ..world.outcome() };
    let proven = world.check_outcome(with(&codec::encode::<[Event]>(&[])), None, None).unwrap();
    assert!(matches!(proven.fact, Fact::Outcome { events: Some(events), .. } if events.is_empty()));
    let event = Event::Authority(chain_core::tx::authority::Event::ChangesWait { waiting: Default::default() });
    for other in [codec::encode(&vec![event]), vec![7]] {
        assert_eq!(failed_step(world.check_outcome(with(&other), None, None)), "events");
    }
    let account = Some(address(1));
    let subject = Subject { account, tx_id: None };
    let proof = ProofView::Outcome(Box::new(world.outcome()));
    assert_eq!(failed_step(verify(&world.genesis, &proof, Beside::default(), subject)), "subject");
}
