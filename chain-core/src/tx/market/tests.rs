//! Rows of the scenarios about deposits, earnings, the treasury and the pause, and what the rules say besides.

use super::*;
use crate::state::market::job::Funding;
use crate::state::market::stored;
use crate::state::money;
use crate::testing::{address, pay};
use crate::tx::market_testkit::*;
use crate::types::{ModuleAccount, Rejection};

fn deposit(asset: AssetId, units: u128) -> Action {
    Action::MarketDeposit { asset, amount: amount(units) }
}

fn withdraw(asset: AssetId, units: u128) -> Action {
    Action::MarketWithdraw { asset, amount: amount(units) }
}

fn earn(asset: AssetId, units: Option<u128>) -> Action {
    let amount = units.map(amount);
    Action::EarningsWithdraw { items: List::new(vec![Item { asset, amount }]).unwrap() }
}

fn treasury(asset: AssetId) -> Action {
    Action::TreasuryWithdraw { pot: Pot::Treasury, asset, amount: None }
}

fn pause() -> Action {
    Action::MarketPause { reason: Text::new("now").unwrap() }
}

fn unpause() -> Action {
    Action::MarketUnpause { reason: Text::new("done").unwrap() }
}

fn prepaid(asset: AssetId, units: u128, price: u128) -> Opening {
    Opening { funding: Funding::Prepaid {}, ..opening(asset, units, price) }
}

/// What a payer has in open jobs.
fn locked(world: &World, seed: u8, asset: AssetId) -> u128 {
    let own = world.jobs(|job| job.payer == address(seed) && job.asset == asset);
    own.iter().map(|id| world.job(*id).escrow().get()).sum()
}

/// H1 has earned so much of an asset, from the market's escrow of P1.
fn earned(world: &mut World, asset: AssetId, units: u128) {
    use crate::state::Overlay;
    let mut overlay = Overlay::new(&world.chain.tree);
    let (from, to) = (Purse::Account(address(P1)), Purse::Earnings(address(H1)));
    from.pay(&mut overlay, &to, asset, amount(units)).unwrap();
    let changes = overlay.into_changes();
    let delta = world.chain.tree.preview(changes);
    world.chain.tree.commit(delta).unwrap();
}

#[test]
fn dep_01_what_is_deposited_can_be_withdrawn() {
    let world = &mut World::f0();
    world.ok(P1, deposit(NAT, 5 * E18));
    assert_eq!((world.prepaid(P1, NAT), locked(world, P1, NAT)), (5 * E18, 0));
    assert_eq!(world.held(P1, NAT), 95 * E18);
}

#[test]
fn dep_02_a_job_from_the_wallet_leaves_nothing_to_withdraw() {
    let world = &mut World::f0();
    for (asset, units, price) in [(NAT, 2 * E18, 227_273), (USD, 20 * E6, 5_000)] {
        world.open(P1, opening(asset, units, price));
        assert_eq!(world.no(P1, withdraw(asset, units)), "purse_too_small");
        assert_eq!((world.prepaid(P1, asset), locked(world, P1, asset)), (0, units));
    }
}

#[test]
fn dep_03_both_paths_add_up() {
    let world = &mut World::f0();
    world.ok(P1, deposit(NAT, 3 * E18));
    world.open(P1, prepaid(NAT, E18, 227_273));
    world.open(P1, opening(NAT, 2 * E18, 227_273));
    assert_eq!((world.prepaid(P1, NAT), locked(world, P1, NAT)), (2 * E18, 3 * E18));
}

#[test]
fn dep_04_what_was_claimed_is_not_the_payers_any_more() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(NAT, E18, 10u128.pow(12)));
    world.later(1);
    world.prove(id, 1_000);
    assert_eq!(world.due(id).refund.get(), 999_999_000_000_000_000);
    // All of it is locked until the end, which pays what is due.
    assert_eq!(locked(world, P1, NAT), E18);
    assert_eq!(world.end(P1, complete(id)).1.refund.get(), 999_999_000_000_000_000);
    assert_eq!((locked(world, P1, NAT), world.held(P1, NAT)), (0, 99 * E18 + 999_999_000_000_000_000));
}

#[test]
fn dep_05_nobody_opens_with_more_than_he_deposited() {
    let world = &mut World::f0();
    world.ok(P1, deposit(NAT, 2 * E18));
    assert_eq!(world.no(P1, prepaid(NAT, 3 * E18, 227_273)), "purse_too_small");
    assert_eq!((world.prepaid(P1, NAT), world.held(P1, NAT)), (2 * E18, 98 * E18));
    assert_eq!(world.open(P1, prepaid(NAT, 2 * E18, 227_273)), 1);
}

#[test]
fn dep_06_deposits_are_something_and_accepted() {
    let world = &mut World::f0();
    assert_eq!(world.no(P1, deposit(NAT, 0)), "amount_out_of_range");
    assert_eq!(world.no(P1, deposit(STK, 5)), "asset_not_accepted");
    assert_eq!(world.no(P1, deposit(AssetId::new(77), 5)), "asset_not_accepted");
}

#[test]
fn dep_07_withdrawing_goes_as_far_as_the_deposit() {
    let world = &mut World::f0();
    world.ok(P1, deposit(USD, 50 * E6));
    world.ok(P1, withdraw(USD, 20 * E6));
    assert_eq!(world.no(P1, withdraw(USD, 31 * E6)), "purse_too_small");
    assert_eq!((world.prepaid(P1, USD), world.held(P1, USD)), (30 * E6, 9_970 * E6));
}

#[test]
fn ear_01_credits_add_up() {
    let world = &mut World::f0();
    earned(world, NAT, E18);
    earned(world, NAT, 2 * E18);
    let row = crate::state::market::purse::earnings(&world.chain.tree, &address(H1), NAT).unwrap();
    assert_eq!((row.balance.get(), row.credited.get(), row.withdrawn().get()), (3 * E18, 3 * E18, 0));
}

#[test]
fn ear_02_withdrawals_count() {
    let world = &mut World::f0();
    earned(world, NAT, 10 * E18);
    world.ok(H1, earn(NAT, Some(3 * E18)));
    let row = |world: &World| crate::state::market::purse::earnings(&world.chain.tree, &address(H1), NAT).unwrap();
    assert_eq!(
        (world.held(H1, NAT), row(world).balance.get(), row(world).withdrawn().get()),
        (3 * E18, 7 * E18, 3 * E18)
    );
}

#[test]
fn ear_03_nothing_comes_from_nothing() {
    let world = &mut World::f0();
    earned(world, NAT, E18);
    assert_eq!(world.no(H1, earn(NAT, Some(2 * E18))), "purse_too_small");
    assert_eq!(world.no(H1, earn(NAT, Some(0))), "amount_out_of_range");
    assert_eq!(world.no(H1, earn(USD, None)), "purse_too_small");
    assert_eq!(world.no(X, earn(NAT, None)), "purse_too_small");
}

#[test]
fn ear_04_several_withdrawals() {
    let world = &mut World::f0();
    earned(world, NAT, 10 * E18);
    for units in [2, 3, 1] {
        world.ok(H1, earn(NAT, Some(units * E18)));
    }
    let row = crate::state::market::purse::earnings(&world.chain.tree, &address(H1), NAT).unwrap();
    assert_eq!((row.balance.get(), row.withdrawn().get()), (4 * E18, 6 * E18));
    earned(world, USD, 7);
    let all = [NAT, USD].map(|asset| Item { asset, amount: None });
    world.ok(H1, Action::EarningsWithdraw { items: List::new(all.to_vec()).unwrap() });
    assert_eq!((world.held(H1, NAT), world.held(H1, USD)), (10 * E18, 7));
    assert_eq!(world.no(H1, Action::EarningsWithdraw { items: List::new([all[0]; 2].to_vec()).unwrap() }), "list_form");
}

#[test]
fn ear_05_no_action_credits_earnings() {
    let names: Vec<_> = crate::tx::FAMILIES.iter().flat_map(|family| family.actions).map(|(_, name)| *name).collect();
    assert!(names.iter().filter(|name| name.contains("earnings")).eq([&"earnings_withdraw"]));
    // An end of a job is the only place that does: after every block of every test, all that was ever credited has
    // grown by what ends of jobs said they paid (`World::block`). So also where everybody tries everything.
    let world = &mut World::f0();
    world.ok(P1, deposit(USD, E6));
    world.open(P1, opening(USD, 10 * E6, 5_000));
    let examples = crate::tx::FAMILIES.iter().flat_map(|family| (family.examples)());
    for action in examples.filter(|action| action.rules().signatures(&crate::tx::CheckContext::example()).is_empty()) {
        for seed in [P1, H1, A, T, X] {
            let _ = world.try_run(seed, action.clone());
        }
    }
    assert_eq!(world.credited(), 0);
    world.at(2_000);
    let id = world.open(P1, Opening { provider: H2, ..opening(USD, 10 * E6, 5_000) });
    world.later(1);
    world.prove(id, 2_000);
    world.end(P1, complete(id));
    assert_eq!((world.credited(), world.earned(H2, USD)), (9_000, 9_000));
}

#[test]
fn ear_06_earnings_outlive_the_provider_and_a_pause() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(1);
    world.prove(id, 2_000);
    world.ok(P1, complete(id));
    world.ok(H1, crate::tx::provider::Action::ProviderLeave {});
    world.later(7 * DAY);
    world.ok(H1, crate::tx::provider::Action::ProviderBondWithdraw {});
    world.ok(T, pause());
    world.ok(H1, earn(USD, None));
    assert_eq!(world.held(H1, USD), 9_000);
}

#[test]
fn tre_01_the_treasurer_takes_what_there_is_once() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(1);
    world.prove(id, 227);
    world.ok(P1, complete(id));
    // 227 · 5000 / 1000 = 1135, a tenth of it is 113.
    assert_eq!(world.treasury(USD), 113);
    assert_eq!(world.no(X, treasury(USD)), "wrong_role");
    world.ok(T, treasury(USD));
    assert_eq!((world.held(T, USD), world.treasury(USD)), (113, 0));
    assert_eq!(world.no(T, treasury(USD)), "purse_too_small");
}

#[test]
fn adm_01_curator_and_treasurer_pause() {
    for (seed, fine) in [(A, true), (T, true), (X, false), (S, false)] {
        let world = &mut World::f0();
        assert_eq!(world.no(T, unpause()), "not_paused");
        assert_eq!(world.try_run(seed, pause()).err(), (!fine).then_some("wrong_role"));
        if fine {
            assert_eq!(world.no(seed, pause()), "market_paused");
            assert_eq!(world.no(X, unpause()), "wrong_role");
            world.ok(seed, unpause());
        }
    }
}

#[test]
fn adm_02_a_pause_stops_what_comes_in_and_nothing_else() {
    let world = &mut World::f0();
    world.ok(P1, deposit(USD, 10 * E6));
    let ids: Vec<_> = (0..3).map(|_| world.open(P1, opening(USD, 10 * E6, 5_000))).collect();
    world.ok(P1, grant(D, &[(USD, 10 * E6, 10 * E6)]));
    world.later(1);
    world.prove(ids[0], 1_000);
    world.ok(P1, complete(ids[0]));
    let payer = address(P1);
    world.ok(A, pause());
    let wish = opening(USD, 10 * E6, 5_000);
    for (seed, wish) in [
        (P1, wish.clone()),
        (P1, Opening { funding: Funding::Prepaid {}, ..wish.clone() }),
        (D, Opening { funding: Funding::OnBehalf { payer }, ..wish }),
    ] {
        assert_eq!(world.no(seed, wish), "market_paused");
    }
    assert_eq!(world.no(P1, deposit(USD, 10)), "market_paused");
    let more = crate::tx::job::Action::JobTopUp { job: crate::types::JobId::new(ids[1]), amount: amount(1) };
    assert_eq!(world.no(P1, more), "market_paused");
    world.ok(P1, withdraw(USD, 5 * E6));
    world.ok(T, treasury(USD));
    world.ok(H1, earn(USD, None));
}

#[test]
fn adm_02_a_timeout_that_was_due_before_the_pause_succeeds() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(301);
    // In the block of the pause itself, in front of its end, where the queue would have been quicker.
    let nonce = |world: &World, seed| world.chain.account(&address(seed)).nonce;
    let (a, x) = (nonce(world, A), nonce(world, X));
    let txs = [crate::testing::checked(A, a, [pause().into()]), crate::testing::checked(X, x, [expire(id).into()])];
    world.chain.time = Some(TimestampMs::new(stored(&world.chain.tree).unwrap().at.get() + 301_000));
    let results = world.chain.block(&txs);
    assert!(results.outcomes.iter().all(|outcome| outcome.verdict == crate::block::Verdict::Ok));
    assert_eq!(world.held(P1, USD), 10_000 * E6);
}

#[test]
fn adm_02_ends_go_on_during_a_pause() {
    let world = &mut World::f0();
    let ids: Vec<_> = (0..2).map(|_| world.open(P1, opening(USD, 10 * E6, 5_000))).collect();
    world.later(1);
    world.prove(ids[0], 1_000);
    world.ok(A, pause());
    let proof = world.proof(ids[0], 100);
    assert_eq!(world.no(H1, proof), "market_paused");
    let (cause, paid) = world.end(P1, complete(ids[0]));
    assert_eq!(
        (cause, figures(&paid)),
        (crate::state::market::settle::Cause::PayerCompleted, (5_000, 500, 4_500, 9_995_000))
    );
    // What was not due before the pause does not become due in it, though an hour passes with every block.
    let (at, now) = (stored(&world.chain.tree).unwrap().at, world.market_now());
    assert_eq!(world.no(X, expire(ids[1])), "not_due");
    world.block();
    assert!(stored(&world.chain.tree).unwrap().at >= at.saturating_add(7_200_000));
    assert_eq!((world.market_now(), world.jobs(|job| job.escrow().get() > 0)), (now, vec![ids[1]]));
}

#[test]
fn adm_03_terms_have_a_form_and_an_author() {
    let world = &mut World::f0();
    let set = |asset, min: u128, max: u128| Action::AssetTermsSet {
        asset,
        terms: AssetTerms { min_deposit: amount(min), max_deposit: amount(max), ..terms_of(USD) },
    };
    world.ok(T, set(USD, 1_000, 2_000));
    assert_eq!(world.no(P1, opening(USD, 2_001, 5_000)), "deposit_out_of_range");
    assert_eq!(world.no(T, set(USD, 0, 2_000)), "amount_out_of_range");
    assert_eq!(world.no(T, set(USD, 2_000, 2_000)), "terms_form");
    assert_eq!(world.no(X, set(USD, 1_000, 2_000)), "wrong_role");
    let refused = |asset| Action::AssetTermsSet { asset, terms: AssetTerms { accepted: false, ..terms_of(USD) } };
    assert_eq!(world.no(T, refused(STK)), "asset_not_accepted");
    assert_eq!(world.no(T, refused(AssetId::new(77))), "unknown_asset");
    let id = world.open(P1, opening(NAT, E18, 227_273));
    world.ok(T, refused(NAT));
    assert_eq!(world.no(P1, opening(NAT, E18, 227_273)), "asset_not_accepted");
    world.ok(P1, complete(id));
    assert_eq!(world.held(P1, NAT), 100 * E18);
}

#[test]
fn adm_04_the_council_sets_parameters_within_bounds() {
    let world = &mut World::f0();
    world.set_param("market.early_cancel_units", 10_000).unwrap();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    assert_eq!(world.job(id).terms.early_cancel_units, 10_000);
    assert_eq!(world.set_param("market.early_cancel_units", 10_001), Err("parameter_out_of_bounds"));
    let measure = crate::tx::authority::Measure::Parameter { name: Text::new("market.fee_bps").unwrap(), value: 0 };
    let by_x = crate::tx::Action::Authority(crate::tx::authority::Action::CouncilPropose { measure });
    assert_eq!(world.no(X, by_x), "not_on_council");
}

#[test]
fn adm_05_no_money_reaches_a_module_account() {
    let world = &mut World::f0();
    for module in ModuleAccount::ALL {
        assert_eq!(world.no(P1, pay(module.address(), 5)), "module_account");
    }
}

#[test]
fn inv_03_deposits_come_back_whole() {
    let world = &mut World::f0();
    for units in [10u128.pow(16), 123_456_789_012_345_678, 5 * 10u128.pow(19)] {
        world.ok(P1, deposit(NAT, units));
        world.ok(P1, withdraw(NAT, units));
        assert_eq!((world.held(P1, NAT), world.prepaid(P1, NAT)), (100 * E18, 0));
    }
}

#[test]
fn inv_04_the_market_holds_what_it_owes() {
    let world = &mut World::f0();
    world.ok(P1, deposit(NAT, 3 * E18));
    world.open(P1, opening(NAT, 2 * E18, 227_273));
    world.open(P2, opening(NAT, 4 * E18, 227_273));
    let supply = money::audit(&world.chain.tree).unwrap().remove(NAT.get() as usize);
    let held = supply.in_prepaid.get() + supply.in_escrow.get() + supply.in_earnings.get() + supply.in_treasury.get();
    assert_eq!((held, supply.in_prepaid.get(), supply.in_escrow.get()), (9 * E18, 3 * E18, 6 * E18));
}

#[test]
fn rule_1_a_pause_ends_by_itself_and_is_not_renewed_for_a_day() {
    let world = &mut World::f0();
    world.ok(A, pause());
    let until = stored(&world.chain.tree).unwrap().paused_until.unwrap();
    let at = |world: &mut World, time: TimestampMs, seed: u8, action: Action| {
        world.chain.time = Some(time);
        let nonce = world.chain.account(&address(seed)).nonce;
        let action: crate::tx::Action = action.into();
        world.chain.block(&[crate::testing::checked(seed, nonce, [action])]).outcomes[0].verdict
    };
    let refused = |rejection: &Rejection| crate::block::Verdict::Rejected { number: rejection.number, action: 0 };
    let paused = at(world, until.saturating_sub(1), P1, deposit(USD, 5));
    assert_eq!(paused, refused(&crate::state::market::MARKET_PAUSED));
    assert_eq!(at(world, until, P1, deposit(USD, 5)), crate::block::Verdict::Ok);
    let again = until.saturating_add(86_400_000);
    assert_eq!(at(world, again.saturating_sub(1), A, pause()), refused(&PAUSED_RECENTLY));
    assert_eq!(at(world, again, A, pause()), crate::block::Verdict::Ok);
}

#[test]
fn rule_6_the_rejected_pool_is_a_pot_of_its_own() {
    let world = &mut World::f0();
    use crate::tx::model;
    world.ok(P1, model::Action::ModelPropose { model: spec("new") });
    world.at(world.end_of(1) + 1);
    world.ok(X, model::Action::ModelFinalize { proposal: crate::types::ModelProposalId::new(1) });
    assert_eq!(world.no(T, treasury(STK)), "purse_too_small");
    let some = Action::TreasuryWithdraw { pot: Pot::RejectedPool, asset: STK, amount: Some(amount(40 * E18)) };
    world.ok(T, some);
    assert_eq!((world.held(T, STK), world.purse(Purse::RejectedPool, STK)), (40 * E18, 60 * E18));
}
