//! Rows DLG: jobs with another's money. S = 10 USD.

use super::*;
use crate::codec::List;
use crate::state::market::grant::Scope;
use crate::tx::{self, account};

const ONE: u128 = 10 * E6;

fn by_delegate() -> Opening {
    Opening { funding: Funding::OnBehalf { payer: address(P1) }, ..opening(USD, ONE, 5_000) }
}

fn set(scope: Scope, reset_spent: bool) -> account::Action {
    account::Action::DelegateSet { delegate: address(D), scope, reset_spent }
}

fn spent(world: &World) -> u128 {
    let grant = crate::state::market::grant::grant(&world.chain.tree, &address(P1), &address(D)).unwrap();
    grant.unwrap().spent(USD).get()
}

#[test]
fn dlg_01_without_a_grant_nothing_moves() {
    let world = &mut World::f0();
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
    assert_eq!(world.held(P1, USD), 10_000 * E6);
}

#[test]
fn dlg_02_a_job_costs_at_most_the_limit() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, ONE - 1, 10 * ONE)]));
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
    world.ok(P1, grant(D, &[(USD, ONE, 10 * ONE)]));
    world.open(D, by_delegate());
}

#[test]
fn dlg_03_a_grant_is_for_what_it_names() {
    let world = &mut World::f0();
    world.ok(H1, offer(m1(), EUR, 5_000));
    world.ok(
        H1,
        crate::tx::provider::Action::ProviderUpdate { profile: profile(&[m1(), m2()]), payout: None, operator: None },
    );
    world.ok(H1, offer(m2(), USD, 5_000));
    let scope = Scope {
        providers: List::new(vec![address(H1)]).unwrap(),
        models: List::new(vec![m1()]).unwrap(),
        ..scope(&[(USD, ONE, 10 * ONE)])
    };
    world.ok(P1, set(scope, false));
    for wish in [
        Opening { provider: H2, ..by_delegate() },
        Opening { model: m2(), ..by_delegate() },
        Opening { asset: EUR, ..by_delegate() },
    ] {
        assert_eq!(world.no(D, wish), "out_of_scope");
    }
    world.open(D, by_delegate());
}

#[test]
fn dlg_04_what_is_left_goes_to_the_payer() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, ONE, ONE)]));
    let id = world.open(D, by_delegate());
    assert_eq!(world.held(P1, USD), 9_990 * E6);
    assert_eq!(world.no(D, complete(id)), "not_a_party");
    assert_eq!(world.jobs(|job| job.payer == address(P1)), [id]);
    world.later(301);
    let events = world.block();
    assert_eq!(settled(&events).unwrap().1.refund.get(), ONE);
    assert_eq!((world.held(P1, USD), world.held(D, USD)), (10_000 * E6, 0));
}

#[test]
fn dlg_05_a_revoked_grant_is_none() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, ONE, ONE)]));
    let revoke = account::Action::DelegateRevoke { delegate: address(D) };
    world.ok(P1, revoke.clone());
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
    assert_eq!(world.no(P1, revoke), "no_delegate");
}

#[test]
fn dlg_06_nobody_is_his_own_delegate_nor_is_null() {
    let world = &mut World::f0();
    assert_eq!(world.no(P1, grant(P1, &[(USD, ONE, ONE)])), "delegate_is_self");
    let null = account::Action::DelegateSet {
        delegate: Address::default(),
        scope: scope(&[(USD, ONE, ONE)]),
        reset_spent: false,
    };
    assert_eq!(world.no(P1, null), "module_account");
    assert_eq!(world.no(P1, grant(D, &[])), "list_form");
    assert_eq!(world.no(P1, grant(D, &[(USD, ONE, 0)])), "scope_form");
}

#[test]
fn dlg_07_nobody_needs_a_grant_for_himself() {
    let world = &mut World::f0();
    let id = world.open(P1, by_delegate());
    assert_eq!(world.job(id).payer, address(P1));
}

#[test]
fn dlg_08_what_is_spent_adds_up() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, 2 * ONE, 4 * ONE)]));
    world.open(D, by_delegate());
    world.open(D, Opening { deposit: 2 * ONE, ..by_delegate() });
    assert_eq!(spent(world), 3 * ONE);
    assert_eq!(world.no(D, Opening { deposit: 2 * ONE, ..by_delegate() }), "out_of_scope");
    // A new scope keeps what was spent, unless it is reset.
    world.ok(P1, set(scope(&[(USD, 2 * ONE, 5 * ONE)]), false));
    assert_eq!(spent(world), 3 * ONE);
    world.open(D, Opening { deposit: 2 * ONE, ..by_delegate() });
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
    world.ok(P1, set(scope(&[(USD, ONE, ONE)]), true));
    world.open(D, by_delegate());
    assert_eq!(spent(world), ONE);
}

/// The block in which P1 lets another key sign; the answer of D's next job comes from the state after it.
fn rotate(world: &mut World, to: u8, by: u8) {
    use crate::testing::{Signer, check, rotation, sign, transaction};
    let (payer, nonce) = (address(P1), world.chain.account(&address(P1)).nonce);
    let action = rotation(&payer, nonce, &Signer::Key(to)).into();
    let signed = sign(transaction(payer, nonce, [action]), &Signer::Key(by), None);
    world.chain.block(&[check(&signed).unwrap()]);
}

#[test]
fn a_new_key_ends_what_the_old_one_granted() {
    use crate::testing::{Signer, check, sign, transaction};
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, ONE, 10 * ONE)]));
    let id = world.open(D, by_delegate());
    rotate(world, V, P1);
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
    let more = Action::JobTopUp { job: JobId::new(id), amount: amount(5) };
    assert_eq!(world.no(D, more), "out_of_scope");
    assert_eq!(spent(world), ONE);
    // Who signs now grants anew; what was spent stays counted, and no row is new.
    let nonce = world.chain.account(&address(P1)).nonce;
    let action = grant(D, &[(USD, ONE, 2 * ONE)]).into();
    let signed = sign(transaction(address(P1), nonce, [action]), &Signer::Key(V), None);
    let results = world.chain.block(&[check(&signed).unwrap()]);
    let tx::Event::Account(account::Event::DelegateSet { row_fee, .. }) = &results.events[0][0] else { panic!() };
    assert_eq!(row_fee.get(), 0);
    world.open(D, by_delegate());
    assert_eq!((spent(world), world.no(D, by_delegate())), (2 * ONE, "out_of_scope"));
}

#[test]
fn a_longer_scope_burns_for_its_row() {
    let world = &mut World::f0();
    let fee = |events: &[tx::Event]| match &events[0] {
        tx::Event::Account(account::Event::DelegateSet { row_fee, .. }) => row_fee.get(),
        other => panic!("{other:?}"),
    };
    let (one, two) = (grant(D, &[(USD, ONE, ONE)]), grant(D, &[(USD, ONE, ONE), (NAT, ONE, ONE)]));
    for (action, expected) in [(one.clone(), 36), (two.clone(), 36), (two, 0), (one, 0)] {
        assert_eq!(fee(&world.ok(P1, action)), expected);
    }
}

#[test]
fn a_grant_has_a_greatest_price_and_an_end() {
    let world = &mut World::f0();
    let mut narrow = scope(&[(USD, ONE, 10 * ONE)]).assets.to_vec();
    narrow[0].max_price = Some(Price::new(5_000));
    world.block();
    let until = crate::state::market::stored(&world.chain.tree).unwrap().at.saturating_add(5_000);
    let scope = Scope { assets: List::new(narrow).unwrap(), expires_at: Some(until), ..scope(&[(USD, ONE, ONE)]) };
    world.ok(P1, set(scope, false));
    assert_eq!(world.no(D, Opening { price: 5_001, ..by_delegate() }), "out_of_scope");
    world.open(D, by_delegate());
    world.later(5);
    world.open(D, by_delegate());
    world.later(1);
    assert_eq!(world.no(D, by_delegate()), "out_of_scope");
}
