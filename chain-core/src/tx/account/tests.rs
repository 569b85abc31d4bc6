//! Rule n of the family is test `rule_n`.

use super::*;
use crate::block::Verdict;
use crate::execute::Unfit;
use crate::testing::{
    Signer, TestChain, address, chain, check, checked, key, pay, rotation as rotate, sign, transaction,
};
use crate::tx::{self, BAD_PROOF, Checked, Transaction, WRONG_POLICY, check_one, transfer};

/// A transaction of `account`, signed by `signer`.
fn by(signer: &Signer, account: Address, nonce: u64, action: tx::Action) -> Checked {
    check(&sign(transaction(account, nonce, [action]), signer, None)).unwrap()
}

/// What is said of the action in a transaction at this place; whose key signs it plays no part yet.
fn verdict(action: &Action, place: &CheckContext) -> Option<u16> {
    let transaction = transaction(place.sender, place.nonce, [tx::Action::Account(action.clone())]);
    let transaction = Transaction { chain_tag: place.chain.tag(), ..transaction };
    let signed = transaction.sign(&place.chain, &key(1));
    check_one(&place.chain, &codec::encode(&signed)).err().map(|refused| refused.number())
}

fn is_wrong_policy(unfit: Option<Unfit>) -> bool {
    matches!(unfit, Some(Unfit::Rejected(refused)) if refused.number() == WRONG_POLICY.number)
}

fn two_of_three() -> Signer {
    Signer::Multi(2, vec![11, 12, 13])
}

#[test]
fn rule_1_new_keys_are_usable() {
    let place = CheckContext::example();
    let small_order = PublicKey([0; 32]);
    let non_canonical = PublicKey([0xff; 32]);
    let off_curve = PublicKey([2; 32]);
    let proof = Signature([0; 64]);
    for new_key in [small_order, non_canonical, off_curve] {
        assert!(new_key.validate().is_err());
        assert_eq!(verdict(&Action::RotateKey { new_key, proof }, &place), Some(UNUSABLE_KEY.number));
        let mut keys = vec![new_key, key(1).public()];
        keys.sort();
        let (keys, proofs) = (List::new(keys).unwrap(), List::new(vec![proof; 2]).unwrap());
        assert_eq!(verdict(&Action::SetMultiKey { threshold: 1, keys, proofs }, &place), Some(UNUSABLE_KEY.number));
    }
}

#[test]
fn rule_2_a_proof_serves_one_policy_in_one_transaction_of_one_account() {
    let place = CheckContext::example();
    for new in [Signer::Key(9), two_of_three()] {
        let action = rotate(&place.sender, place.nonce, &new);
        assert_eq!(verdict(&action, &place), None);
        let other_nonce = CheckContext { nonce: 1, ..place };
        let other_account = CheckContext { sender: address(2), ..place };
        let other_chain = CheckContext { chain: ChainId::default(), ..place };
        for elsewhere in [other_nonce, other_account, other_chain] {
            assert_eq!(verdict(&action, &elsewhere), Some(BAD_PROOF.number), "{elsewhere:?}");
        }
    }
    // Agreeing to one policy is no agreement to another, not even with the same keys.
    let Action::SetMultiKey { keys, proofs, .. } = rotate(&place.sender, 0, &two_of_three()) else { panic!() };
    let lower = Action::SetMultiKey { threshold: 1, keys, proofs };
    assert_eq!(verdict(&lower, &place), Some(BAD_PROOF.number));
    let Action::RotateKey { new_key, .. } = rotate(&place.sender, 0, &Signer::Key(9)) else { panic!() };
    let message = proof_message(&chain(), &place.sender, 0, &Authority::Key(new_key));
    let stranger = Action::RotateKey { new_key, proof: key(8).sign(&message) };
    assert_eq!(verdict(&stranger, &place), Some(BAD_PROOF.number));
}

#[test]
fn rule_2_every_key_of_a_policy_proves() {
    let place = CheckContext::example();
    let Action::SetMultiKey { threshold, keys, proofs } = rotate(&place.sender, 0, &two_of_three()) else { panic!() };
    for bad in 0..3 {
        let mut proofs = proofs.to_vec();
        proofs[bad] = proofs[(bad + 1) % 3];
        let action = Action::SetMultiKey { threshold, keys: keys.clone(), proofs: List::new(proofs).unwrap() };
        assert_eq!(verdict(&action, &place), Some(BAD_PROOF.number));
    }
}

#[test]
fn rule_3_a_policy_has_one_form() {
    let place = CheckContext::example();
    let keys: Vec<_> = two_of_three().public_keys();
    let form = |threshold, keys: Vec<PublicKey>, proofs| {
        let proofs = List::new(vec![Signature([0; 64]); proofs]).unwrap();
        verdict(&Action::SetMultiKey { threshold, keys: List::new(keys).unwrap(), proofs }, &place)
    };
    let [a, b, c] = keys[..] else { panic!() };
    assert_eq!(form(2, keys.clone(), 3), Some(BAD_PROOF.number), "the form is right");
    for (threshold, keys, proofs) in [
        (0, vec![a, b, c], 3),
        (4, vec![a, b, c], 3),
        (u8::MAX, vec![a, b, c], 3),
        (1, vec![], 0),
        (0, vec![], 0),
        (2, vec![b, a, c], 3),
        (2, vec![a, a, c], 3),
        (2, vec![a, b, c], 2),
        (2, vec![a, b, c], 4),
        (2, vec![a, b, c], 0),
    ] {
        assert_eq!(form(threshold, keys, proofs), Some(POLICY_FORM.number));
    }
    let sixteen = Signer::Multi(16, (20..36).collect());
    assert_eq!(verdict(&rotate(&place.sender, 0, &sixteen), &place), None);
}

#[test]
fn rule_4_the_address_stays_and_the_new_policy_counts_from_the_next_transaction_on() {
    let (plain, multi) = (Signer::Key(1), Signer::Multi(1, vec![41, 42]));
    for (old, new) in
        [(&plain, two_of_three()), (&plain, Signer::Key(9)), (&multi, Signer::Key(9)), (&multi, two_of_three())]
    {
        let mut chain = TestChain::with(&Default::default(), &[multi.address()]);
        let account = old.address();
        let rotation = by(old, account, 0, tx::Action::Account(rotate(&account, 0, &new)));
        let by_old = by(old, account, 1, pay(address(2), 5));
        let by_new = by(&new, account, 1, pay(address(2), 5));
        assert!(is_wrong_policy(chain.unfit(&by(&new, account, 0, pay(address(2), 5)))), "not before");
        let (results, skipped) = chain.build(&[rotation, by_old.clone(), by_new]);
        assert!(results.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Ok));
        assert_eq!(skipped.len(), 1, "in the same block the old policy is void and the new one counts");
        assert_eq!((skipped[0].0, is_wrong_policy(Some(skipped[0].1.clone()))), (1, true));
        assert_eq!((chain.account(&account).nonce, chain.account(&account).authority), (2, new.authority()));
        assert!(is_wrong_policy(chain.unfit(&by_old)), "nor in a later block");
    }
}

#[test]
fn rule_4_a_rotation_that_fails_leaves_the_policy() {
    let mut chain = TestChain::new();
    let rotation = tx::Action::Account(rotate(&address(1), 0, &Signer::Key(9)));
    chain.run_refused(1, [rotation, pay(address(2), u128::pow(10, 20))]);
    assert_eq!(chain.account(&address(1)).authority, Authority::Derived);
    chain.run_ok(1, [pay(address(2), 5)]);
}

#[test]
fn rule_5_the_way_back_leads_to_the_derived_form() {
    let multi = Signer::Multi(2, vec![41, 42]);
    for home in [Signer::Key(1), multi.clone()] {
        let mut chain = TestChain::with(&Default::default(), &[multi.address()]);
        let account = home.address();
        let away = Signer::Key(9);
        let rotations = [(&home, &away), (&away, &two_of_three()), (&two_of_three(), &home), (&home, &home)];
        for (nonce, (from, to)) in (0..).zip(rotations) {
            let action = tx::Action::Account(rotate(&account, nonce, to));
            let results = chain.block(&[by(from, account, nonce, action)]);
            assert_eq!(results.outcomes[0].verdict, Verdict::Ok);
        }
        assert_eq!(chain.account(&account).authority, Authority::Derived);
        chain.block(&[by(&home, account, 4, pay(address(2), 5))]);
    }
}

#[test]
fn rule_6_a_required_memo_can_be_required_no_longer() {
    let mut chain = TestChain::new();
    for required in [true, true, false] {
        let events = chain.run_ok(2, [tx::Action::Account(Action::SetMemoRequired { required })]);
        let expected = Event::MemoRequiredSet { account: address(2), required };
        assert_eq!(events, [tx::Event::Account(expected)]);
        assert_eq!(chain.account(&address(2)).memo_required, required);
        let verdict = chain.run(1, [pay(address(2), 5)]).0;
        let number = transfer::MEMO_REQUIRED.number;
        assert_eq!(verdict == Verdict::Ok, !required);
        assert_eq!(matches!(verdict, Verdict::Rejected { number: n, action: 0 } if n == number), required);
    }
}

#[test]
fn proofs_weigh_as_much_as_signatures() {
    let weight = |action| {
        let checked = checked(1, 0, [tx::Action::Account(action)]);
        checked.weight() - checked.bytes().len() as u64
    };
    let base = weight(Action::SetMemoRequired { required: true });
    assert_eq!(base, 100 + 1_000 + 200);
    assert_eq!(weight(rotate(&address(1), 0, &Signer::Key(9))), base + 1_000);
    assert_eq!(weight(rotate(&address(1), 0, &two_of_three())), base + 3_000);
}

#[test]
fn a_bad_proof_never_reaches_the_state() {
    let action = tx::Action::Account(rotate(&address(1), 7, &Signer::Key(9)));
    let signed = sign(transaction(address(1), 8, [action.clone()]), &Signer::Key(1), None);
    assert_eq!(check(&signed).unwrap_err().number(), BAD_PROOF.number);
    checked(1, 7, [action]);
}

#[test]
fn the_proofs_message_has_the_documented_bytes() {
    let account = address(1);
    let expect = |authority: &[u8]| {
        let mut bytes = b"\x0cait/rotate/1".to_vec();
        bytes.extend([0x11; 32]);
        bytes.extend(account.as_bytes());
        bytes.extend(7u64.to_le_bytes());
        bytes.extend(authority);
        bytes
    };
    let single = proof_message(&chain(), &account, 7, &Signer::Key(2).authority());
    assert_eq!(single, expect(&[&[1], &key(2).public().0[..]].concat()));
    let multi = proof_message(&chain(), &account, 7, &two_of_three().authority());
    assert_eq!(multi, expect(&[&[2], &two_of_three().address().as_bytes()[..]].concat()));
}
