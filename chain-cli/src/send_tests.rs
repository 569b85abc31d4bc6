//! What is signed, by whom, and for which fee.
#![allow(clippy::unwrap_used, clippy::panic)]

use chain_core::{
    state::Params,
    testing::{Signer, address, ait, chain, key, pay, transaction},
    tx::MULTI_KEY_FORM,
    types::QuorumRule,
};

use super::*;

fn params(rate: u128) -> ParamsView {
    ParamsView {
        height: Height::new(50),
        params: Params { min_fee_per_1000_weight: Amount::new(rate), block_time_ms: 2000, ..Params::default() },
        quorum_rule: QuorumRule::Byzantine,
        consensus_mode: "poa".into(),
        bounds: vec![],
        pending: vec![],
    }
}

fn sign_transfer(fee: Option<Amount>, rate: u128, payer: Option<u8>) -> Answer<Checked> {
    let mut transaction = transaction(address(1), 7, [pay(address(2), 5)]);
    transaction.fee_payer = payer.map(address);
    let payer = payer.map(|seed| Signers::One(key(seed)));
    sign(transaction, &chain(), fee, (&params(rate), &ait()), (&Signers::One(key(1)), payer.as_ref()))
}

#[test]
fn without_a_fee_the_least_is_paid_and_every_signature_holds() {
    for payer in [None, Some(3)] {
        let checked = sign_transfer(None, 90, payer).unwrap();
        assert_eq!(checked.transaction().fee, params(90).params.min_fee(checked.weight()));
        assert_eq!(checked.transaction().fee_payer, payer.map(address));
    }
    assert_eq!(sign_transfer(Some(Amount::new(9)), 90, None).unwrap().transaction().fee, Amount::new(9));
}

#[test]
fn a_fee_of_a_whole_token_is_paid_only_on_demand() {
    let dear = 10_000_000;
    let refused = sign_transfer(None, dear, None).unwrap_err().to_string();
    let asked = refused.split("--fee ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let fee = parse_amount(&ait(), asked).unwrap();
    assert_eq!(sign_transfer(Some(fee), dear, None).unwrap().transaction().fee, fee);
}

#[test]
fn what_the_chain_would_refuse_for_its_form_is_refused_here() {
    let transaction = transaction(address(1), 0, [pay(address(2), 0)]);
    let keys = (&Signers::One(key(1)), None);
    let refused = sign(transaction, &chain(), None, (&params(1), &ait()), keys);
    let Err(CliError::Refused(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.data.reason, "amount_out_of_range");
}

#[test]
fn a_transaction_is_valid_for_an_hour_or_a_hundred_blocks() {
    assert_eq!(default_expiry(&params(1)), Height::new(50 + 1800));
    let mut slow = params(1);
    slow.params.block_time_ms = 600_000;
    assert_eq!(default_expiry(&slow), Height::new(150));
}

#[test]
fn signers_of_a_policy_sign_in_its_order() {
    let policy = Signer::Multi(2, vec![1, 2, 3]);
    let many = |secrets| Signers::Many { threshold: 2, keys: policy.public_keys(), secrets };
    let last_two: Vec<_> = policy.secrets().into_iter().skip(1).rev().collect();
    assert_eq!(many(last_two).authorise(b"m").unwrap(), policy.sign(b"m"));
    for wrong in [vec![key(1), key(9)], vec![key(1)], policy.secrets()] {
        assert!(matches!(many(wrong).authorise(b"m"), Err(CliError::Usage(_))));
    }
    let zero = Signers::Many { threshold: 0, keys: policy.public_keys(), secrets: vec![] };
    let of_none = transaction(policy.address(), 0, [pay(address(2), 5)]);
    let refused = sign(of_none, &chain(), None, (&params(1), &ait()), (&zero, None));
    let Err(CliError::Refused(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.data.number, Some(MULTI_KEY_FORM.number));
}
