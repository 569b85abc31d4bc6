//! Frozen vectors: what another implementation must compute bit for bit the same. The files in
//! `chain-core/vectors/` are compared with what this code computes. `make vectors`, that is
//! `CHAIN_WRITE_VECTORS=1 cargo test`, writes them again: a change there is a change of the
//! protocol, or a new version of it.
//!
//! Bytes are hex with `0x`, 64-bit and larger numbers are decimal strings, keys are RFC 8032 seeds.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use chain_core::block::{BLOCK_VERSION, Header, Outcome, Verdict};
use chain_core::codec;
use chain_core::crypto::merkle::{list_proof, list_root};
use chain_core::crypto::{Hash, Namespace, PublicKey, hash, signing_message};
use chain_core::execute::execute_block;
use chain_core::state::{ACCOUNTS, Params, Tree, validators};
use chain_core::testing::{
    PROPOSER, Signer, TestChain, address, ait, chain, check, checked, genesis, key, pay, sign, transaction,
};
use chain_core::tx::{Action, FAMILIES, Signed, Transaction, staking};
use chain_core::types::{
    Amount, AssetId, BlockId, Certificate, ConsensusMode, Height, ModuleAccount, QuorumRule, SignedMessage,
    TimestampMs, Token, Validator, ValidatorSet, View, Vote, VoteKind,
};
use serde_json::{Value, json};
use std::path::Path;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Compares with the file, or writes it if asked to.
fn compare(name: &str, now: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if std::env::var_os("CHAIN_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(now).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let frozen: Value = serde_json::from_str(&text).unwrap();
    for (part, value) in now.as_object().unwrap() {
        assert_eq!(&frozen[part], value, "{name}: {part}");
    }
    assert_eq!(&frozen, now, "{name}");
}

fn tokens(asset: AssetId) -> Option<Token> {
    match asset.get() {
        0 => Some(ait()),
        1 => Some(Token { symbol: "USD".into(), units_per_token: 1_000_000 }),
        _ => None,
    }
}

#[test]
fn hashes() {
    let bodies = [&b""[..], b"abc", &[7; 200]];
    let framed: Vec<_> = Namespace::ALL
        .iter()
        .flat_map(|ns| bodies.map(|body| (ns, body)))
        .map(|(ns, body)| {
            let message = signing_message(*ns, &chain().0, body);
            json!({
                "namespace": ns.as_str(), "body": hex(body),
                "framed": hex(message), "hash": hash(*ns, &chain().0, &[body]),
            })
        })
        .collect();
    let lists: Vec<_> = [0usize, 1, 2, 3, 4, 5, 8, 9]
        .map(|count| {
            let leaves: Vec<Hash> = (0..count).map(|i| Hash([i as u8 + 1; 32])).collect();
            let root = list_root(&chain().0, &leaves);
            let proofs: Vec<_> = (0..count as u32).map(|i| list_proof(&chain().0, &leaves, i).unwrap()).collect();
            assert!((0..).zip(&proofs).all(|(i, p)| p.verify(&chain().0, &root, i, &leaves[i as usize]).is_ok()));
            json!({ "leaves": leaves, "root": root, "proofs": proofs })
        })
        .into();
    compare("hashes.json", &json!({ "chain_id": chain(), "framed": framed, "lists": lists }));
}

#[test]
fn keys() {
    let keys: Vec<_> = (1..=5u8)
        .map(|seed| {
            let signature = key(seed).sign(b"message");
            json!({
                "seed": hex([seed; 32]), "public_key": key(seed).public(), "address": address(seed),
                "message": hex(b"message"), "signature": signature,
            })
        })
        .collect();
    let multi: Vec<_> = [Signer::Multi(1, vec![1]), Signer::Multi(2, vec![1, 2, 3]), Signer::Multi(3, vec![1, 2, 3])]
        .iter()
        .map(|signer| {
            let Signer::Multi(threshold, _) = signer else { unreachable!() };
            json!({ "threshold": threshold, "keys": signer.public_keys(), "address": signer.address() })
        })
        .collect();
    let modules: Vec<_> =
        ModuleAccount::ALL.iter().map(|m| json!({ "name": m.name(), "address": m.address() })).collect();
    let refused: Vec<_> = [[0; 32], [0xff; 32], [2; 32]]
        .map(|bytes| {
            assert!(PublicKey(bytes).validate().is_err());
            json!({ "public_key": hex(bytes) })
        })
        .into();
    compare("keys.json", &json!({ "keys": keys, "multi_keys": multi, "modules": modules, "refused_keys": refused }));
}

fn transaction_vector(what: &str, signed: &Signed) -> Value {
    let checked = check(signed).unwrap();
    let transaction = &signed.transaction;
    let read: Signed = serde_json::from_value(serde_json::to_value(signed).unwrap()).unwrap();
    assert_eq!(&read, signed, "the JSON form is read back");
    json!({
        "what": what,
        "json": signed,
        "bytes": hex(checked.bytes()),
        "signing_bytes": hex(transaction.signing_bytes(&chain())),
        "tx_id": checked.id(),
        "wire_id": checked.wire_id(),
        "weight": checked.weight().to_string(),
        "text": transaction.text(&chain(), &tokens),
    })
}

#[test]
fn transactions() {
    let one = Signer::Key(1);
    let mut vectors = Vec::new();
    let examples: Vec<Action> = FAMILIES.iter().flat_map(|family| (family.examples)()).collect();
    for action in &examples {
        let signed = sign(transaction(address(1), 0, [action.clone()]), &one, None);
        vectors.push(transaction_vector(action.name(), &signed));
    }
    let multi = Signer::Multi(2, vec![1, 2, 3]);
    let plain = transaction(multi.address(), u64::MAX, [pay(address(2), 1), pay(address(3), 10u128.pow(30))]);
    let sponsored = Transaction { fee_payer: Some(address(4)), valid_until: Height::new(1 << 40), ..plain.clone() };
    vectors.push(transaction_vector("multi-key sender", &sign(plain, &multi, None)));
    let signed = sign(sponsored, &multi, Some(&Signer::Key(4)));
    vectors.push(transaction_vector("multi-key sender and fee payer", &signed));
    compare("transactions.json", &json!({ "chain_id": chain(), "transactions": vectors }));
}

fn rows(tree: &Tree) -> Vec<Value> {
    let row = |(key, slot, value): (_, u32, &[u8])| json!({ "key": key, "slot": slot, "value": hex(value) });
    tree.rows().map(row).collect()
}

#[test]
fn state() {
    let tree = genesis(&Default::default(), &[1, 2, 3].map(|seed| (address(seed), Amount::new(1_000_000))));
    let prove = |seed: u8| {
        let key = ACCOUNTS.key(&address(seed));
        let proof = tree.prove(&key);
        let value = proof.verify(&chain().0, &tree.root(), &key).unwrap().map(hex);
        json!({ "key": key, "value": value, "proof": proof, "bytes": hex(codec::encode(&proof)) })
    };
    let proofs: Vec<_> = [1, 2, 90, 91].map(prove).into();
    let empty = Tree::new(&chain().0).root();
    compare(
        "state.json",
        &json!({
            "chain_id": chain(), "empty_root": empty, "rows": rows(&tree), "root": tree.root(), "proofs": proofs,
        }),
    );
}

#[test]
fn block() {
    let test = TestChain::new();
    let body = [checked(1, 0, [pay(address(90), 5)]), checked(2, 0, [pay(address(1), 10u128.pow(20))])];
    let context = test.next();
    let executed = execute_block(&test.tree, context, &body).unwrap();
    let header = Header {
        version: BLOCK_VERSION,
        chain_id: chain(),
        height: context.height,
        view: View::new(3),
        parent: BlockId(Hash([5; 32])),
        timestamp_ms: TimestampMs::new(1_700_000_000_000),
        proposer: context.proposer,
        tx_root: executed.tx_root,
        outcome_root: executed.outcome_root,
        state_root: executed.state_root(),
        validators_hash: validators::next_set(&test.tree).unwrap().hash(&chain()),
        next_validators_hash: executed.next_validators_hash,
    };
    let outcome = |outcome: &Outcome| json!({ "json": outcome, "bytes": hex(codec::encode(outcome)), "hash": outcome.hash(&chain()) });
    let outcomes: Vec<_> = executed.results.outcomes.iter().map(outcome).collect();
    assert_eq!(executed.results.outcomes[1].verdict, Verdict::Rejected { number: 50, action: 0 });
    compare(
        "block.json",
        &json!({
            "before": rows(&test.tree), "before_root": test.tree.root(),
            "transactions": body.iter().map(|t| hex(t.bytes())).collect::<Vec<_>>(),
            "proposer_seed": hex([PROPOSER; 32]), "timestamp_ms": context.timestamp,
            "events": executed.results.events, "events_bytes": executed.results.events.iter().map(|e| hex(codec::encode(e))).collect::<Vec<_>>(),
            "outcomes": outcomes, "header": header, "header_bytes": hex(codec::encode(&header)), "block_id": header.id(),
        }),
    );
}

/// A chain with stake: the rows of staking before and after a block that bonds, delegates and unbonds.
#[test]
fn staking() {
    let params = Params { min_validator_stake: Amount::new(1_000), weight_exponent: 2, ..Params::default() };
    let test = TestChain::staked(&params, (ConsensusMode::Hybrid, Amount::new(50_000)), &[1, 2, 3, 4]);
    let (validator, amount) = (key(1).public(), Amount::new(7_000));
    let actions = |seed: u8, actions: Vec<staking::Action>| checked(seed, 0, actions.into_iter().map(Action::Staking));
    let body = [
        actions(1, vec![staking::Action::StakeBond { amount, commission_bps: None }]),
        actions(5, vec![staking::Action::StakeDelegate { validator, amount }]),
        actions(
            6,
            vec![
                staking::Action::StakeDelegate { validator, amount },
                staking::Action::StakeUndelegate { validator, shares: Amount::new(2_500) },
            ],
        ),
    ];
    let executed = execute_block(&test.tree, test.next(), &body).unwrap();
    let (before, mut tree) = (staking_rows(&test.tree), test.tree);
    let results = executed.results;
    tree.commit(executed.delta).unwrap();
    compare(
        "staking.json",
        &json!({
            "transactions": body.iter().map(|t| hex(t.bytes())).collect::<Vec<_>>(),
            "before": before, "after": staking_rows(&tree), "events": results.events,
            "events_bytes": results.events.iter().map(|e| hex(codec::encode(e))).collect::<Vec<_>>(),
        }),
    );
}

/// Numbers of records after some time.
#[test]
fn fading() {
    use chain_core::state::market::fading::Fading;
    use chain_core::types::MarketMs;
    let mut vectors = Vec::new();
    for half_life_s in [3_600u32, 2_592_000] {
        for passed in [0u64, 3_599, 3_600, 1_000_000, 3_599_999, 3_600_000, 2_592_000_000, 123_456_789_012] {
            for millionths in [1u128, 1_000_000, 123_456_789_012_345, 1 << 112] {
                let before = Fading { millionths, at: MarketMs::new(5) };
                let now = MarketMs::new(5 + passed);
                let after = before.at(now, half_life_s);
                vectors.push(json!({ "before": before, "half_life_s": half_life_s, "now": now, "after": after }));
            }
        }
    }
    compare("fading.json", &json!({ "fading": vectors }));
}

/// The rows of the tables 12 to 15 and 20.
fn staking_rows(tree: &Tree) -> Vec<Value> {
    let tables = [12, 13, 14, 15, 20];
    let ours = tree.rows().filter(|(key, ..)| tables.contains(&key.table()));
    ours.map(|(key, _, value)| json!({ "key": key, "value": hex(value) })).collect()
}

#[test]
fn votes() {
    let mut secrets: Vec<_> = (1..=4).map(key).collect();
    secrets.sort_by_key(|secret| secret.public());
    let members: Vec<_> =
        secrets.iter().zip([3, 1, 1, 1]).map(|(s, weight)| Validator { public_key: s.public(), weight }).collect();
    let set = ValidatorSet::new(members.clone()).unwrap();
    let block = BlockId(Hash([5; 32]));
    let mut vectors = Vec::new();
    for (kind, block) in
        [(VoteKind::Notarize, Some(block)), (VoteKind::Nullify, None), (VoteKind::Finalize, Some(block))]
    {
        let message = SignedMessage { kind, height: Height::new(9), view: View::new(2), block };
        let votes: Vec<_> = secrets.iter().map(|secret| Vote::sign(message, &chain(), secret).unwrap()).collect();
        let signers = [&votes[0], &votes[1], &votes[3]];
        let certificate = Certificate::from_votes(message, signers, QuorumRule::Byzantine, &set).unwrap();
        certificate.verify(&chain(), QuorumRule::Byzantine, &set).unwrap();
        vectors.push(json!({
            "message": message, "signing_bytes": hex(message.signing_bytes(&chain()).unwrap()), "votes": votes,
            "certificate": certificate, "certificate_bytes": hex(codec::encode(&certificate)),
        }));
    }
    let leaders: Vec<_> = (0..12).map(|height| set.leader(Height::new(height), View::ZERO).public_key).collect();
    compare(
        "votes.json",
        &json!({
            "chain_id": chain(), "validators": members, "validators_hash": set.hash(&chain()),
            "leaders_of_view_0_from_height_0": leaders, "votes": vectors,
        }),
    );
}
