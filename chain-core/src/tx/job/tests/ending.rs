//! Rows END, REG and INV-02: what ends pay. Jobs are opened at t = 1000.

use super::*;
use crate::state::market::provider::ProviderState;
use crate::state::market::settle::Cause;
use crate::tx::{market, provider};

/// One NAT at the offer's price.
fn nat(silence: u32) -> Opening {
    Opening { silence, ..opening(NAT, E18, 227_273) }
}

/// A job whose price the scenario sets; H1 asks for almost nothing.
fn cheap(world: &mut World, deposit: u128, price: u128) -> u64 {
    world.ok(A, market::Action::AssetTermsSet { asset: USD, terms: terms_of(USD) });
    world.ok(H1, offer(m1(), USD, 1));
    world.open(P1, opening(USD, deposit, price))
}

fn early(units: u32) -> World {
    let mut params = params();
    params.market.early_cancel_units = units;
    World::f0_on(&params)
}

/// Proves many units as fast as the rate allows; the time is then what it must be.
fn prove_slowly(world: &mut World, id: u64, units: u64) {
    world.later(units.div_ceil(2_000));
    world.prove(id, units);
}

#[test]
fn end_01_without_work_everything_goes_back() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    let (cause, paid) = world.end(P1, complete(id));
    assert_eq!((cause, figures(&paid), paid.early_fee.get()), (Cause::PayerCompleted, (0, 0, 0, E18), 0));
    assert_eq!((world.held(P1, NAT), world.earned(H1, NAT), world.treasury(NAT)), (100 * E18, 0, 0));
}

#[test]
fn end_02_five_hundred_units_of_nat() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.later(1);
    world.prove(id, 500);
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!(figures(&paid), (113_636, 11_363, 102_273, 999_999_999_999_886_364));
    assert_eq!((world.earned(H1, NAT), world.treasury(NAT)), (102_273, 11_363));
    assert_eq!(world.held(P1, NAT), 99 * E18 + 999_999_999_999_886_364);
}

#[test]
fn end_03_a_hundred_thousand_units_of_usd() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    prove_slowly(world, id, 100_000);
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!(figures(&paid), (500_000, 50_000, 450_000, 9_500_000));
}

#[test]
fn end_04_the_provider_waits_a_window() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.at(1_100);
    world.prove(id, 100);
    world.at(1_129);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.at(1_130);
    assert_eq!(world.end(H1, complete(id)).0, Cause::ProviderCompleted);
}

#[test]
fn end_05_every_claim_opens_a_window() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    for at in [1_100, 1_131] {
        world.at(at);
        world.prove(id, 100);
    }
    world.at(1_141);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.at(1_161);
    assert_eq!(figures(&world.end(H1, complete(id)).1), (45_454, 4_545, 40_909, 999_999_999_999_954_546));
}

#[test]
fn end_06_the_window_counts_from_the_claim_not_the_start() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(3_600));
    world.at(1_500);
    world.prove(id, 100);
    world.at(1_505);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.at(1_530);
    assert_eq!(figures(&world.end(H1, complete(id)).1), (22_727, 2_272, 20_455, 999_999_999_999_977_273));
}

#[test]
fn end_07_without_a_claim_from_the_start() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.at(1_029);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.at(1_030);
    assert_eq!(figures(&world.end(H1, complete(id)).1), (0, 0, 0, E18));
}

#[test]
fn end_08_strangers_do_not_complete() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    for stranger in [X, P2, H2, A] {
        assert_eq!(world.no(stranger, complete(id)), "not_a_party");
    }
}

#[test]
fn end_09_what_ended_stays_ended() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.later(1);
    world.prove(id, 500);
    let proof = world.proof(id, 100);
    world.ok(P1, complete(id));
    let money = |world: &World| (world.held(P1, NAT), world.earned(H1, NAT), world.treasury(NAT));
    let before = money(world);
    world.at(2_000);
    assert_eq!(world.no(P1, complete(id)), "job_ended");
    assert_eq!(world.no(H1, complete(id)), "job_ended");
    assert_eq!(world.no(H1, Action::JobDecline { job: JobId::new(id) }), "job_ended");
    assert_eq!(world.no(H1, proof), "job_ended");
    assert_eq!(world.no(X, expire(id)), "job_ended");
    assert_eq!(money(world), before);
}

#[test]
fn end_10_silence_ends_a_job() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.at(1_001);
    world.prove(id, 200);
    world.at(1_301);
    assert_eq!(world.no(X, expire(id)), "not_due");
    world.at(1_302);
    let (cause, paid) = world.end(X, expire(id));
    assert_eq!((cause, figures(&paid)), (Cause::Silence, (45_454, 4_545, 40_909, 999_999_999_999_954_546)));
}

#[test]
fn end_11_odd_numbers_are_exact() {
    let world = &mut World::f0();
    let id = cheap(world, 1_000_003, 7);
    prove_slowly(world, id, 123_457);
    assert_eq!(figures(&world.end(P1, complete(id)).1), (864, 86, 778, 999_139));
}

#[test]
fn end_12_the_smallest_amounts_are_rounded_down() {
    for (price, expected) in [(9, (0, 0, 0, 500_000)), (90, (9, 0, 9, 499_991)), (110, (11, 1, 10, 499_989))] {
        let world = &mut World::f0();
        let id = cheap(world, 500_000, price);
        world.later(1);
        world.prove(id, 100);
        assert_eq!(figures(&world.end(P1, complete(id)).1), expected);
    }
}

#[test]
fn end_13_an_early_end_by_the_payer_costs_the_early_fee() {
    let world = &mut early(1_000);
    let id = cheap(world, 1_000_000, 2_000);
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!((figures(&paid), paid.early_fee.get()), ((0, 0, 0, 998_000), 2_000));
    assert_eq!((world.earned(H1, USD), world.treasury(USD)), (2_000, 0));
    // Never more than a tenth of the deposit.
    let id = cheap(world, 1_000_000, 2_000_000);
    assert_eq!(figures(&world.end(P1, complete(id)).1), (0, 0, 0, 900_000));
}

#[test]
fn end_14_no_other_end_costs_it() {
    for (seed, at, action) in [
        (P1, 1_301, expire as fn(u64) -> Action),
        (X, 1_301, expire),
        (H1, 1_030, complete),
        (H1, 1_010, |id| Action::JobDecline { job: JobId::new(id) }),
    ] {
        let world = &mut early(1_000);
        let id = cheap(world, 1_000_000, 2_000);
        world.at(at);
        let (_, paid) = world.end(seed, action(id));
        assert_eq!((figures(&paid), paid.early_fee.get()), ((0, 0, 0, 1_000_000), 0));
    }
    let world = &mut early(1_000);
    let id = cheap(world, 1_000_000, 2_000);
    world.later(1);
    world.prove(id, 100);
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!((figures(&paid), paid.early_fee.get()), ((200, 20, 180, 999_800), 0));
}

#[test]
fn end_15_a_refund_cannot_fail() {
    // Nobody can block an account for an asset, and money that is given needs no consent: even an account that
    // requires memos has its refund.
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.ok(P1, crate::tx::account::Action::SetMemoRequired { required: true });
    world.later(30);
    world.ok(H1, complete(id));
    assert_eq!(world.held(P1, NAT), 100 * E18);
}

#[test]
fn end_16_a_pause_keeps_nobody_from_his_money() {
    let world = &mut World::f0();
    world.ok(P1, market::Action::MarketDeposit { asset: NAT, amount: amount(E18) });
    let id = world.open(P1, nat(300));
    world.ok(A, market::Action::MarketPause { reason: Text::new("x").unwrap() });
    world.ok(P1, complete(id));
    world.ok(P1, market::Action::MarketWithdraw { asset: NAT, amount: amount(E18 / 2) });
    assert_eq!((world.held(P1, NAT), world.prepaid(P1, NAT)), (100 * E18 - E18 / 2, E18 / 2));
}

#[test]
fn end_17_the_money_comes_back_from_who_left() {
    for by_payer in [true, false] {
        let world = &mut World::f0();
        let id = world.open(P1, nat(300));
        world.ok(H1, provider::Action::ProviderLeave {});
        let (_, paid) = if by_payer {
            world.end(P1, complete(id))
        } else {
            world.at(1_301);
            world.end(X, expire(id))
        };
        assert_eq!(figures(&paid), (0, 0, 0, E18));
    }
}

#[test]
fn end_18_the_interval_is_no_second_minimum() {
    let world = &mut World::f0();
    let id = world.open(P1, Opening { interval: 500, ..nat(300) });
    world.later(1);
    world.prove(id, 500);
    assert_eq!(world.end(P1, complete(id)).1.gross.get(), 113_636);
}

#[test]
fn inv_02_every_end_pays_exactly_the_deposit() {
    // Any job, any ending; the properties over histories say the same of jobs that were lived.
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    let base = world.job(id);
    for (units, fee_bps, early) in [(0, 0, 0), (1, 10_000, 7), (99_999, 1, 10_000), (u64::MAX, 9_999, 1)] {
        let mut job = base.clone();
        (job.meter.used, job.terms.fee_bps, job.terms.early_cancel_units) = (Units::new(units), fee_bps, early);
        for last_claim in [None, Some(MarketMs::ZERO)] {
            job.meter.last_claim = last_claim;
            let causes = [Cause::PayerCompleted, Cause::ProviderCompleted, Cause::Declined, Cause::Silence];
            for cause in causes.into_iter().chain([Cause::DurationOver]) {
                let s = crate::state::market::settle::settle(&job, cause);
                let sum = s.provider.get() + s.fee.get() + s.early_fee.get() + s.refund.get();
                assert_eq!(sum, job.deposit.get());
                assert_eq!(s.gross.get(), s.provider.get() + s.fee.get());
            }
        }
    }
}

#[test]
fn reg_01_a_bond_stays_until_the_jobs_have_ended() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.ok(H1, provider::Action::ProviderLeave {});
    assert_eq!(world.no(P1, nat(300)), "provider_not_active");
    // The job still works and pays.
    world.later(1);
    world.prove(id, 500);
    world.at(1_302);
    world.block();
    assert_eq!((world.earned(H1, NAT), world.provider(H1).state), (102_273, ProviderState::Leaving));
    world.later(7 * DAY - 1);
    assert_eq!(world.no(H1, provider::Action::ProviderBondWithdraw {}), "bond_locked");
    world.later(1);
    world.ok(H1, provider::Action::ProviderBondWithdraw {});
}

#[test]
fn reg_03_a_pause_counts_for_no_silence() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.at(1_100);
    let reason = Text::new("x").unwrap();
    world.ok(A, market::Action::MarketPause { reason: reason.clone() });
    let paused = crate::state::market::stored(&world.chain.tree).unwrap().at;
    world.chain.time = Some(paused.saturating_add(1_000_000));
    world.chain.block(&[]);
    world.ok(A, market::Action::MarketUnpause { reason });
    world.at(1_300);
    assert_eq!(world.no(X, expire(id)), "not_due");
    assert_eq!(world.job(id).escrow().get(), E18);
    world.at(1_301);
    assert_eq!(world.end(X, expire(id)).0, Cause::Silence);
}

#[test]
fn reg_04_without_a_fee_everything_is_the_providers() {
    let mut params = params();
    params.market.fee_bps = 0;
    let world = &mut World::f0_on(&params);
    let id = world.open(P1, nat(300));
    world.later(1);
    world.prove(id, 500);
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!((paid.provider, paid.fee.get(), world.treasury(NAT)), (paid.gross, 0, 0));
}

#[test]
fn reg_05_prices_do_not_come_back_by_themselves() {
    let world = &mut World::f0();
    world.ok(H1, provider::Action::ProviderLeave {});
    world.later(7 * DAY);
    world.ok(H1, provider::Action::ProviderBondWithdraw {});
    world.ok(H1, register(&[m1()]));
    assert_eq!(world.no(P1, nat(300)), "no_offer");
}

#[test]
fn reg_07_a_job_past_its_end_is_settled_by_itself() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.at(1_001);
    world.prove(id, 200);
    world.at(1_301);
    assert_eq!(settled(&world.block()), None);
    world.at(1_302);
    let (cause, paid) = settled(&world.block()).unwrap();
    // As end_10.
    assert_eq!((cause, figures(&paid)), (Cause::Silence, (45_454, 4_545, 40_909, 999_999_999_999_954_546)));
    assert_eq!(world.no(X, expire(id)), "job_ended");
}

#[test]
fn reg_08_a_payer_who_is_the_provider_is_paid_like_others() {
    let world = &mut World::f0();
    world.ok(P1, register(&[m1()]));
    world.ok(P1, offer(m1(), USD, 5_000));
    let id = world.open(P1, Opening { provider: P1, ..opening(USD, 10 * E6, 5_000) });
    world.later(1);
    world.prove(id, 2_000);
    let (cause, paid) = world.end(P1, complete(id));
    assert_eq!((cause, figures(&paid)), (Cause::PayerCompleted, (10_000, 1_000, 9_000, 9_990_000)));
    assert_eq!((world.earned(P1, USD), world.held(P1, USD)), (9_000, 9_999_990_000));
    // The event names both, so whoever derives reputation sees it.
    assert_eq!(world.job(id).payer, world.job(id).provider);
}

#[test]
fn rule_9_a_job_is_declined_before_work_was_accepted() {
    let world = &mut World::f0();
    let decline = |id| Action::JobDecline { job: JobId::new(id) };
    let (first, second) = (world.open(P1, nat(300)), world.open(P1, nat(300)));
    assert_eq!(world.no(P1, decline(first)), "not_the_provider");
    assert_eq!(world.end(H1, decline(first)).0, Cause::Declined);
    world.later(1);
    world.prove(second, 100);
    assert_eq!(world.no(H1, decline(second)), "work_accepted");
}

#[test]
fn rules_9_and_10_what_a_provider_does_is_a_sign_of_life() {
    let world = &mut World::f0();
    world.ok(
        H1,
        provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout: None, operator: Some(address(D)) },
    );
    let ids: Vec<_> = (0..4).map(|_| world.open(P1, nat(3_600))).collect();
    let seen = |world: &World| world.provider(H1).last_seen.get() / 1_000;
    world.at(1_100);
    world.ok(D, Action::JobDecline { job: JobId::new(ids[0]) });
    assert_eq!(seen(world), 1_100);
    world.at(1_200);
    world.ok(P1, complete(ids[1]));
    assert_eq!(seen(world), 1_100, "the payer's doing is none");
    world.ok(H1, complete(ids[2]));
    assert_eq!(seen(world), 1_200);
    // A receipt is one where a heartbeat could be, so that most receipts write one row.
    world.at(1_799);
    world.prove(ids[3], 100);
    assert_eq!(seen(world), 1_200);
    world.at(1_800);
    world.prove(ids[3], 100);
    assert_eq!(seen(world), 1_800);
}

#[test]
fn rule_10_no_claim_slips_in_front_of_the_payer() {
    let world = &mut World::f0();
    let id = world.open(P1, nat(300));
    world.later(1);
    world.prove(id, 500);
    let upto = |max: u64| Action::JobComplete { job: JobId::new(id), max_units: Units::new(max) };
    assert_eq!(world.no(P1, upto(499)), "more_used");
    world.ok(P1, upto(500));
}

#[test]
fn rule_10_an_operator_completes_and_money_goes_to_the_payout_of_the_opening() {
    let world = &mut World::f0();
    let (payout, operator) = (Some(address(V)), Some(address(D)));
    world.ok(H1, provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator });
    let id = world.open(P1, nat(300));
    world.ok(H1, provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout: None, operator });
    world.later(1);
    let proof = world.proof(id, 500);
    world.ok(D, proof);
    world.later(30);
    let (_, paid) = world.end(D, complete(id));
    assert_eq!(figures(&paid), (113_636, 11_363, 102_273, 999_999_999_999_886_364));
    assert_eq!((world.earned(V, NAT), world.earned(H1, NAT), world.earned(D, NAT)), (102_273, 0, 0));
}

#[test]
fn rule_11_a_young_claim_is_settled_by_the_payers_consent_only() {
    let mut params = params();
    params.market.window_s = 1_000;
    let world = &mut World::f0_on(&params);
    let id = world.open(P1, nat(60));
    world.at(1_050);
    world.prove(id, 500);
    // Over at +110, with a claim that is young until +1050.
    world.at(1_111);
    let proof = world.proof(id, 500);
    assert_eq!(world.no(H1, proof), "job_over");
    assert_eq!(world.no(X, expire(id)), "not_due");
    let more = Action::JobTopUp { job: JobId::new(id), amount: amount(5) };
    assert_eq!(world.no(P1, more), "job_over");
    world.at(2_049);
    assert_eq!(settled(&world.block()), None);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.at(2_050);
    // Due from now on: also the parties can only have it settled as such.
    assert_eq!(world.end(X, expire(id)).1.gross.get(), 113_636);
}

#[test]
fn rule_11_what_is_due_behaves_as_ended_before_the_queue_comes() {
    // In the very block in which a job becomes due, before its end.
    for (seed, action) in
        [(P1, complete as fn(u64) -> Action), (H1, complete), (H1, |id| Action::JobDecline { job: JobId::new(id) })]
    {
        let mut params = params();
        params.market.early_cancel_units = 1_000;
        let world = &mut World::f0_on(&params);
        let id = world.open(P1, nat(300));
        world.at(1_301);
        assert_eq!(world.no(seed, action(id)), "job_over");
        assert_eq!(world.held(P1, NAT), 100 * E18, "settled at the end of that block, without an early fee");
    }
}
