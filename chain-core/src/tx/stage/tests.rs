//! Every way in which bytes fail to become `Checked`, and that nothing else does.

use super::*;
use crate::codec::List;
use crate::testing::{Signer, address, chain, check, key, pay, rotation, sign, transaction};
use crate::tx::{Action, MultiKey};
use crate::types::{Amount, Height, ModuleAccount};
use proptest::prelude::*;

/// Where the first action's two number bytes stand in a transaction without fee payer.
const ACTION_AT: usize = 1 + 4 + 32 + 8 + 1 + 16 + 8 + 4;

fn multi() -> Signer {
    Signer::Multi(2, vec![11, 12, 13])
}

fn plain() -> Transaction {
    transaction(address(1), 0, [pay(address(2), 5)])
}

fn by_one(transaction: Transaction) -> Signed {
    sign(transaction, &Signer::Key(1), None)
}

/// A transaction of a multi-key account whose fee somebody else pays.
fn sponsored() -> Signed {
    let payer = Some(address(2));
    let transaction = Transaction { fee_payer: payer, ..transaction(multi().address(), 3, [pay(address(4), 5)]) };
    sign(transaction, &multi(), Some(&Signer::Key(2)))
}

fn number(bytes: &[u8]) -> Option<u16> {
    check_one(&chain(), bytes).err().map(|refused| refused.number())
}

fn number_of(signed: &Signed) -> Option<u16> {
    number(&codec::encode(signed))
}

#[test]
fn what_is_right_is_checked() {
    for signed in [by_one(plain()), sponsored()] {
        let (bytes, checked) = (codec::encode(&signed), check(&signed).unwrap());
        assert_eq!((checked.bytes(), checked.signed()), (bytes.as_slice(), &signed));
        assert_eq!(checked.transaction(), &signed.transaction);
        assert_eq!(checked.id(), signed.transaction.id(&chain()));
        assert_eq!(checked.wire_id(), Signed::wire_id(&bytes, &chain()));
        let signatures = signed.signatures().count() as u64;
        assert_eq!(checked.weight(), 100 + bytes.len() as u64 + 1_000 * signatures + 200);
    }
    assert!(check_many::<Vec<u8>>(&chain(), &[]).is_empty());
}

#[test]
fn only_whole_canonical_bytes_are_a_transaction() {
    for signed in [by_one(plain()), sponsored()] {
        let bytes = codec::encode(&signed);
        for cut in 0..bytes.len() {
            assert_eq!(number(&bytes[..cut]), Some(MALFORMED.number), "cut at {cut}");
        }
        assert_eq!(number(&[&bytes[..], &[0]].concat()), Some(MALFORMED.number));
        assert_eq!(number(&[&bytes[..], &bytes[..]].concat()), Some(MALFORMED.number));
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_no_neighbour_suffers() {
    let good = codec::encode(&sponsored());
    let mut batch = vec![good.clone()];
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        batch.push(bytes);
        if bit % 97 == 0 {
            batch.push(good.clone());
        }
    }
    for (bytes, result) in batch.iter().zip(check_many(&chain(), &batch)) {
        // A key that did not sign can change: then the policy is another one, as the state will tell.
        let policy = |checked: &Checked| checked.signed().authorisation.address();
        let other_policy = result.as_ref().is_ok_and(|checked| policy(checked) != multi().address());
        assert_eq!(result.is_ok(), *bytes == good || other_policy);
    }
}

#[test]
fn too_long_is_said_of_the_whole_only() {
    let mut bytes = vec![0; MAX_TX_BYTES + 1];
    bytes[0] = TRANSACTION_VERSION;
    assert_eq!(number(&bytes), Some(TOO_LONG.number));
    assert_eq!(number(&bytes[1..]), Some(UNKNOWN_VERSION.number));
    // A list inside that claims as many items as the transaction has bytes is malformed.
    let mut bytes = codec::encode(&by_one(plain()));
    let claim = (bytes.len() as u32).to_le_bytes();
    bytes[ACTION_AT - 4..ACTION_AT].copy_from_slice(&claim);
    assert_eq!(number(&bytes), Some(MALFORMED.number));
}

#[test]
fn other_versions_are_named() {
    for version in (0..=u8::MAX).filter(|version| *version != TRANSACTION_VERSION) {
        assert_eq!(number_of(&by_one(Transaction { version, ..plain() })), Some(UNKNOWN_VERSION.number));
        assert_eq!(number(&[version]), Some(UNKNOWN_VERSION.number));
    }
}

#[test]
fn another_chain_is_told_by_its_tag_or_by_the_signature() {
    let mut other = chain();
    other.0.0[0] ^= 1;
    let signed = by_one(Transaction { chain_tag: other.tag(), ..plain() });
    assert_eq!(number_of(&signed), Some(WRONG_CHAIN.number));
    // The right tag, but signed for a chain that differs behind it.
    let mut twin = chain();
    twin.0.0[31] ^= 1;
    assert_eq!(twin.tag(), chain().tag());
    assert_eq!(number_of(&plain().sign(&twin, &key(1))), Some(BAD_SIGNATURE.number));
}

#[test]
fn a_transaction_has_1_to_16_actions() {
    let with = |count: usize| by_one(transaction(address(1), 0, vec![pay(address(2), 5); count]));
    assert_eq!(number_of(&with(0)), Some(ACTION_COUNT.number));
    assert_eq!(number_of(&with(1)), None);
    assert_eq!(number_of(&with(16)), None);
    // One more can't even be decoded: nothing is read that the bound does not allow.
    let mut bytes = codec::encode(&with(16).transaction);
    bytes[ACTION_AT - 4] = 17;
    bytes.extend(codec::encode(&pay(address(2), 5)));
    let signing = crate::crypto::signing_message(crate::crypto::Namespace::Tx, &chain().0, &bytes);
    codec::encode_into(&Authorisation::sign(&signing, &key(1)), &mut bytes);
    bytes.push(0);
    let refused = check_one(&chain(), &bytes).unwrap_err();
    assert_eq!(refused.number(), MALFORMED.number);
    assert!(refused.to_string().contains("length 17, at most 16"), "{refused}");
}

#[test]
fn unknown_actions_are_named() {
    let bytes = codec::encode(&by_one(plain()));
    assert_eq!(bytes[ACTION_AT..ACTION_AT + 2], [1, 1]);
    for (family, action) in [(0, 1), (1, 0), (1, 3), (1, 255), (255, 1), (0, 0), (5, 9), (99, 1)] {
        let mut bytes = bytes.clone();
        bytes[ACTION_AT..ACTION_AT + 2].copy_from_slice(&[family, action]);
        assert_eq!(number(&bytes), Some(UNKNOWN_ACTION.number), "{family} {action}");
    }
}

#[test]
fn the_fee_payer_is_somebody_else_and_authorises() {
    let with = |fee_payer| Transaction { fee_payer, ..plain() };
    let payer = Signer::Key(2);
    let own = sign(with(Some(address(1))), &Signer::Key(1), Some(&Signer::Key(1)));
    assert_eq!(number_of(&own), Some(FEE_PAYER_IS_SENDER.number));
    let missing = sign(with(Some(address(2))), &Signer::Key(1), None);
    assert_eq!(number_of(&missing), Some(AUTHORISATION_MISSING.number));
    let extra = sign(with(None), &Signer::Key(1), Some(&payer));
    assert_eq!(number_of(&extra), Some(AUTHORISATION_MISSING.number));
    assert_eq!(number_of(&sign(with(Some(address(2))), &Signer::Key(1), Some(&payer))), None);
}

#[test]
fn nobody_signs_for_a_module_account() {
    for module in ModuleAccount::ALL.map(ModuleAccount::address) {
        let sender = by_one(Transaction { sender: module, ..plain() });
        assert_eq!(number_of(&sender), Some(MODULE_ACCOUNT.number));
        let paid = Transaction { fee_payer: Some(module), ..plain() };
        assert_eq!(number_of(&sign(paid, &Signer::Key(1), Some(&Signer::Key(2)))), Some(MODULE_ACCOUNT.number));
    }
}

/// The multi-key part of a transaction that is otherwise right, changed.
fn changed(change: impl Fn(&mut MultiKey)) -> Signed {
    let mut signed = sign(transaction(multi().address(), 0, [pay(address(4), 5)]), &multi(), None);
    let Authorisation::MultiKey(multi) = &mut signed.authorisation else { panic!() };
    change(multi);
    signed
}

#[test]
fn a_multi_key_authorisation_has_one_form() {
    let keys = multi().public_keys();
    let list = |keys: &[PublicKey]| List::new(keys.to_vec()).unwrap();
    let cut = |m: &mut MultiKey, n: usize| m.signatures = List::new(m.signatures[..n].to_vec()).unwrap();
    let [a, b, c] = keys[..] else { panic!() };
    type Change<'c> = (&'static str, &'c dyn Fn(&mut MultiKey));
    let changes: [Change<'_>; 12] = [
        ("no threshold", &|m| m.threshold = 0),
        ("a lower threshold", &|m| m.threshold = 1),
        ("a higher threshold", &|m| m.threshold = 3),
        ("a threshold beyond the keys", &|m| m.threshold = 4),
        ("keys out of order", &|m| m.keys = list(&[b, a, c])),
        ("a key twice", &|m| m.keys = list(&[a, b, b])),
        ("no keys", &|m| m.keys = list(&[])),
        ("a bit beyond the keys", &|m| m.bitmap = 0b1010),
        ("a bit too many", &|m| m.bitmap = 0b111),
        ("a bit too few", &|m| m.bitmap = 0b100),
        ("a signature too few", &|m| cut(m, 1)),
        ("no signatures", &|m| cut(m, 0)),
    ];
    assert_eq!(number_of(&changed(|_| ())), None);
    for (what, change) in changes {
        assert_eq!(number_of(&changed(change)), Some(MULTI_KEY_FORM.number), "{what}");
    }
    // In form, but the signatures are not those of the keys the bits name.
    assert_eq!(number_of(&changed(|m| m.bitmap = 0b011)), Some(BAD_SIGNATURE.number));
    let swap = |m: &mut MultiKey| m.signatures = List::new(m.signatures.iter().rev().copied().collect()).unwrap();
    assert_eq!(number_of(&changed(swap)), Some(BAD_SIGNATURE.number));
}

#[test]
fn the_fee_payers_multi_key_has_the_same_form() {
    let fee_payer = Some(multi().address());
    let mut signed = sign(Transaction { fee_payer, ..plain() }, &Signer::Key(1), Some(&multi()));
    assert_eq!(number_of(&signed), None);
    let Some(Authorisation::MultiKey(multi)) = &mut signed.fee_payer_authorisation else { panic!() };
    multi.threshold = 3;
    assert_eq!(number_of(&signed), Some(MULTI_KEY_FORM.number));
}

#[test]
fn an_actions_own_check_is_part_of_it() {
    assert_eq!(number_of(&by_one(transaction(address(1), 0, [pay(address(2), 0)]))), Some(AMOUNT_OUT_OF_RANGE.number));
    let second_is_bad: [Action; 2] = [pay(address(2), 5), pay(ModuleAccount::Escrow.address(), 5)];
    assert_eq!(number_of(&by_one(transaction(address(1), 0, second_is_bad))), Some(MODULE_ACCOUNT.number));
}

#[test]
fn the_tx_id_names_the_intent_and_the_wire_id_the_bytes() {
    let signed = |first: usize| {
        let transaction = transaction(multi().address(), 0, [pay(address(4), 5)]);
        let (message, secrets) = (transaction.signing_bytes(&chain()), multi().secrets());
        let signatures = secrets[first..first + 2].iter().map(|secret| secret.sign(&message)).collect();
        let keys = List::new(multi().public_keys()).unwrap();
        let signatures = List::new(signatures).unwrap();
        let multi = MultiKey { threshold: 2, keys, bitmap: 0b11 << first, signatures };
        Signed { transaction, authorisation: Authorisation::MultiKey(multi), fee_payer_authorisation: None }
    };
    let (one, two) = (check(&signed(0)).unwrap(), check(&signed(1)).unwrap());
    assert_eq!(one.id(), two.id());
    assert_ne!(one.wire_id(), two.wire_id());
    let other = check(&by_one(Transaction { valid_until: Height::new(9), ..plain() })).unwrap();
    assert_ne!(check(&by_one(plain())).unwrap().id(), other.id());
}

/// How an otherwise good transaction of a batch is spoiled.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Not,
    Signature,
    PayersSignature,
    OneOfSeveral,
    Proof,
    SignatureAndProof,
    Cut,
}

fn spoiled(nonce: u64, spoil: Spoil) -> Vec<u8> {
    let mut signed = sponsored();
    signed.transaction.nonce = nonce;
    signed.transaction.fee = Amount::new(u128::from(nonce));
    // Proofs for another nonce are wrong.
    let proven = if matches!(spoil, Spoil::Proof | Spoil::SignatureAndProof) { nonce + 1 } else { nonce };
    let rotation = rotation(&multi().address(), proven, &Signer::Multi(2, vec![1, 2, 3]));
    signed.transaction.actions = List::new(vec![Action::Account(rotation), pay(address(4), 5)]).unwrap();
    let mut signed = sign(signed.transaction, &multi(), Some(&Signer::Key(2)));
    match (spoil, &mut signed.authorisation) {
        (Spoil::Signature | Spoil::SignatureAndProof, authorisation) => {
            *authorisation = multi().sign(b"something else")
        }
        (Spoil::OneOfSeveral, Authorisation::MultiKey(multi)) => {
            let mut signatures = multi.signatures.to_vec();
            signatures[1] = key(1).sign(b"something else");
            multi.signatures = List::new(signatures).unwrap();
        }
        (Spoil::PayersSignature, _) => signed.fee_payer_authorisation = Some(Signer::Key(2).sign(b"something else")),
        _ => {}
    }
    let mut bytes = codec::encode(&signed);
    if matches!(spoil, Spoil::Cut) {
        bytes.pop();
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn in_a_batch_everyone_gets_the_verdict_it_gets_alone(
        spoils in prop::collection::vec(
            prop_oneof![
                3 => Just(Spoil::Not), 1 => Just(Spoil::Signature), 1 => Just(Spoil::PayersSignature),
                1 => Just(Spoil::OneOfSeveral), 1 => Just(Spoil::Cut), 1 => Just(Spoil::Proof),
                1 => Just(Spoil::SignatureAndProof),
            ],
            0..12,
        )
    ) {
        let batch: Vec<_> = (0..).zip(&spoils).map(|(nonce, spoil)| spoiled(nonce, *spoil)).collect();
        for ((bytes, spoil), result) in batch.iter().zip(spoils).zip(check_many(&chain(), &batch)) {
            let expected = match spoil {
                Spoil::Not => None,
                Spoil::Cut => Some(MALFORMED.number),
                Spoil::Proof => Some(BAD_PROOF.number),
                _ => Some(BAD_SIGNATURE.number),
            };
            prop_assert_eq!(result.as_ref().err().map(Rejected::number), expected);
            prop_assert_eq!(number(bytes), expected);
            if let Ok(checked) = result {
                prop_assert_eq!(checked.bytes(), bytes.as_slice());
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>, version in 0u8..3) {
        let _ = check_one(&chain(), &bytes);
        prop_assert!(check_one(&chain(), &[&[version], &bytes[..]].concat()).is_err());
    }
}
