//! Rows OPN, INV-01 and what the rules of opening say besides.

use super::*;
use crate::state::market::job::NEXT_JOB;
use crate::tx::provider;
use crate::tx::{self, market};
use proptest::prelude::*;

/// The same job by every funding, each of which is possible for P1's money.
fn paths(world: &mut World, wish: &Opening) -> Vec<(u8, Opening)> {
    let payer = address(P1);
    world.ok(P1, market::Action::MarketDeposit { asset: wish.asset, amount: amount(wish.deposit) });
    world.ok(P1, grant(D, &[(wish.asset, wish.deposit, wish.deposit)]));
    vec![
        (P1, wish.clone()),
        (P1, Opening { funding: Funding::Prepaid {}, ..wish.clone() }),
        (D, Opening { funding: Funding::OnBehalf { payer }, ..wish.clone() }),
    ]
}

fn refused_everywhere(world: &mut World, wish: &Opening) -> BTreeSet<&'static str> {
    let next = |world: &World| NEXT_JOB.get(&world.chain.tree, &()).unwrap();
    let before = next(world);
    let held = |world: &World| (world.held(P1, wish.asset), world.prepaid(P1, wish.asset));
    let all = paths(world, wish);
    let money = held(world);
    let names = all.into_iter().map(|(seed, wish)| world.no(seed, wish)).collect();
    assert_eq!((next(world), held(world)), (before, money));
    names
}

use std::collections::BTreeSet;

#[test]
fn opn_01_no_job_of_who_is_no_provider() {
    let world = &mut World::f0();
    let wish = Opening { provider: X, ..opening(USD, 10 * E6, 5_000) };
    assert_eq!(refused_everywhere(world, &wish), ["unknown_provider"].into());
}

#[test]
fn opn_02_nor_of_who_left() {
    let world = &mut World::f0();
    world.ok(H1, provider::Action::ProviderLeave {});
    assert_eq!(refused_everywhere(world, &opening(USD, 10 * E6, 5_000)), ["provider_not_active"].into());
}

#[test]
fn opn_03_price_duration_and_interval_have_bounds() {
    let world = &mut World::f0();
    let wish = opening(USD, 10 * E6, 5_000);
    let cases = [
        (Opening { price: 0, ..wish.clone() }, Some("price_form")),
        // Rule 1 is better than the scenario: in less than a minute nobody can decline or claim.
        (Opening { duration: 0, ..wish.clone() }, Some("duration_range")),
        (Opening { duration: 59, ..wish.clone() }, Some("duration_range")),
        (Opening { duration: 60, ..wish.clone() }, None),
        (Opening { duration: 31_536_000, ..wish.clone() }, None),
        (Opening { duration: 31_536_001, ..wish.clone() }, Some("duration_range")),
        (Opening { interval: 0, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 99, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 100, ..wish.clone() }, None),
        (Opening { provider: H3, ..wish.clone() }, Some("unknown_provider")),
        // Rule 3 is better than the scenario, whose interval the deposit alone bounds: what can't be claimed in
        // half of 300 s of silence, at 2000 units a second, is no interval, or the payer has the work for nothing.
        (Opening { interval: 300_001, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 2_000_000, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 200_001, deposit: E6, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 60_001, silence: 60, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 60_001, duration: 60, ..wish.clone() }, Some("interval_range")),
        (Opening { interval: 300_000, ..wish }, None),
    ];
    for (wish, expected) in cases {
        assert_eq!(world.try_run(P1, wish).err(), expected);
    }
    // The money still comes out: the greatest interval is claimed when half of the silence is over, and paid.
    let id = *world.jobs(|_| true).last().unwrap();
    world.later(150);
    world.prove(id, 300_000);
    assert_eq!(figures(&world.end(P1, complete(id)).1), (1_500_000, 150_000, 1_350_000, 8_500_000));
}

/// An offer for units of a kind, and a job of it.
fn of_kind(world: &mut World, unit_kind: UnitKind, price: u128) -> Opening {
    world.ok(H1, offer_of(m1(), USD, unit_kind, price));
    Opening { unit_kind, ..opening(USD, 10 * E6, price) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_job_that_opens_has_a_time_at_which_work_is_accepted(
        (rate, burst, min_claim) in (100u32..3_000, 10u32..400, 1u32..1_500),
        kind in prop::sample::select(vec![UnitKind::Tokens, UnitKind::Images, UnitKind::Seconds, UnitKind::Requests]),
        (duration, silence) in (60u32..500, 60u32..400),
        (step_s, offset_s) in (1u64..=30, 0u64..30),
        intervals in prop::collection::vec(prop_oneof![1u64..300, 1u64..1_000_000, Just(u64::MAX)], 8),
    ) {
        let mut params = params();
        (params.market.rate, params.market.burst_s, params.market.min_claim) = (rate, burst, min_claim);
        prop_assume!(params.check().is_ok());
        let world = &mut World::f0_on(&params);
        let wish = Opening { duration, silence, ..of_kind(world, kind, 5_000) };
        // Also the greatest that might do.
        let bound = u64::from((rate / kind.tokens()).max(1)) * u64::from(burst.min(duration / 2).min(silence / 2));
        for interval in intervals.into_iter().chain([bound, bound + 1]) {
            if world.try_run(P1, Opening { interval, ..wish.clone() }).is_err() {
                continue;
            }
            let id = *world.jobs(|_| true).last().unwrap();
            // Blocks come every so many seconds, and one of them comes in time, with a block to spare for who looks
            // before it sends.
            let terms = world.job(id).terms;
            let ready_s = interval.div_ceil(terms.rate.into());
            world.later(offset_s % step_s);
            world.later((ready_s.saturating_sub(offset_s % step_s)).div_ceil(step_s) * step_s);
            world.prove(id, interval);
            world.end(P1, complete(id));
        }
    }
}

#[test]
fn rule_7_other_units_count_as_a_hundred_tokens() {
    let world = &mut World::f0();
    world.set_param("market.early_cancel_units", 1_000).unwrap();
    for kind in [UnitKind::Images, UnitKind::Seconds, UnitKind::Requests] {
        let wish = of_kind(world, kind, 5_000_000);
        let id = world.open(P1, Opening { interval: 1, ..wish });
        let terms = world.job(id).terms;
        assert_eq!((terms.rate, terms.min_claim, terms.early_cancel_units), (20, 1, 10));
        world.later(1);
        let proof = world.proof(id, 21);
        assert_eq!(world.no(H1, proof), "rate_exceeded");
        world.prove(id, 1);
        assert_eq!(figures(&world.end(P1, complete(id)).1), (5_000, 500, 4_500, 9_995_000), "one is paid");
    }
}

#[test]
fn opn_04_deposits_have_bounds() {
    let world = &mut World::f0();
    for (asset, deposit, price, fine) in [
        (NAT, 10u128.pow(14) - 1, 227_273, false),
        (NAT, 10u128.pow(14), 227_273, true),
        (USD, 499_999, 5_000, false),
        (USD, 500_000, 5_000, true),
    ] {
        let expected = (!fine).then_some("deposit_out_of_range");
        assert_eq!(world.try_run(P1, opening(asset, deposit, price)).err(), expected);
    }
}

#[test]
fn opn_05_the_price_is_the_offers_or_more_and_is_charged() {
    let world = &mut World::f0();
    assert_eq!(world.no(P1, opening(USD, 10 * E6, 4_999)), "price_below_offer");
    world.open(P1, opening(USD, 10 * E6, 5_000));
    let id = world.open(P1, opening(USD, 10 * E6, 9_000));
    world.later(1);
    world.prove(id, 1_000);
    assert_eq!(world.due(id).gross.get(), 9_000);
}

#[test]
fn opn_06_a_job_is_for_a_model_the_provider_serves() {
    let world = &mut World::f0();
    assert_eq!(world.no(P1, Opening { model: m2(), ..opening(USD, 10 * E6, 5_000) }), "no_offer");
    // A job without a model can't be written; one nobody knows is refused.
    let unknown = ModelId(Hash::ZERO);
    assert_eq!(world.no(P1, Opening { model: unknown, ..opening(USD, 10 * E6, 5_000) }), "unknown_model");
}

#[test]
fn opn_07_numbers_have_no_holes() {
    let world = &mut World::f0();
    assert_eq!(world.open(P1, opening(USD, 10 * E6, 5_000)), 1);
    assert_eq!(world.no(P1, opening(USD, 10 * E6, 4_000)), "price_below_offer");
    assert_eq!(world.open(P1, opening(USD, 10 * E6, 5_000)), 2);
}

#[test]
fn opn_08_silence_has_bounds() {
    let world = &mut World::f0();
    for (silence, fine) in [(59, false), (60, true), (3_600, true), (3_601, false)] {
        let wish = Opening { silence, ..opening(USD, 10 * E6, 5_000) };
        assert_eq!(world.try_run(P1, wish).err(), (!fine).then_some("silence_range"));
    }
}

#[test]
fn opn_09_jobs_are_found_by_payer_and_provider() {
    let world = &mut World::f0();
    for (seed, wish) in paths(world, &opening(USD, 10 * E6, 5_000)) {
        world.open(seed, wish);
    }
    world.open(P1, opening(NAT, E18, 227_273));
    let all = [1, 2, 3, 4];
    assert_eq!(world.jobs(|job| job.payer == address(P1)), all);
    assert_eq!(world.jobs(|job| job.provider == address(H1)), all);
    assert_eq!(world.jobs(|job| job.model == m1()), all);
    assert_eq!(world.jobs(|job| job.opener == address(D)), [3]);
}

#[test]
fn opn_10_nobody_opens_with_more_than_he_has() {
    let world = &mut World::f0();
    world.ok(P1, market::Action::MarketDeposit { asset: USD, amount: amount(9_999 * E6) });
    assert_eq!(world.held(P1, USD), E6);
    assert_eq!(world.no(P1, opening(USD, 2 * E6, 5_000)), "insufficient_balance");
    assert_eq!(world.held(P1, USD), E6);
}

#[test]
fn opn_11_the_event_says_everything() {
    let world = &mut World::f0();
    let events = world.ok(P1, opening(USD, 10 * E6, 5_000));
    let tx::Event::Job(Event::JobOpened {
        job, payer, provider, model, asset, deposit, price, max_units, row_fee, ..
    }) = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!((job.get(), *payer, *provider, *model), (1, address(P1), address(H1), m1()));
    assert_eq!((*asset, deposit.get(), price.get(), max_units.get()), (USD, 10 * E6, 5_000, 2_000_000));
    assert_eq!(row_fee.get(), 36);
}

#[test]
fn inv_01_opening_and_ending_only_move_money() {
    let world = &mut World::f0();
    let supply = |world: &World| {
        let assets = crate::state::money::audit(&world.chain.tree).unwrap();
        assets.into_iter().skip(1).map(|supply| supply.asset.supply()).collect::<Vec<_>>()
    };
    let before = supply(world);
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(1);
    world.prove(id, 2_000);
    world.ok(P1, complete(id));
    // That the places add up is checked after every block.
    assert_eq!(supply(world), before);
}

#[test]
fn rule_3_units_fit_64_bits() {
    let world = &mut World::f0();
    world.ok(H1, offer(m1(), USD, 1));
    let terms = crate::state::market::terms::AssetTerms { max_deposit: Amount::MAX_SUPPLY, ..terms_of(USD) };
    world.ok(T, market::Action::AssetTermsSet { asset: USD, terms });
    assert_eq!(world.no(P1, opening(USD, 18_446_744_073_709_552, 1)), "too_many_units");
    // One less fits, but P1 has not so much.
    assert_eq!(world.no(P1, opening(USD, 18_446_744_073_709_551, 1)), "insufficient_balance");
}

#[test]
fn rule_4_slots_and_pairs_are_bounded() {
    let mut params = params();
    params.market.open_per_pair = 2;
    let world = &mut World::f0_on(&params);
    let wish = opening(USD, E6, 5_000);
    let first = world.open(P1, wish.clone());
    world.open(P1, wish.clone());
    assert_eq!(world.no(P1, wish.clone()), "too_many_open_jobs");
    world.open(P2, wish.clone());
    world.ok(P1, complete(first));
    world.open(P1, wish.clone());
    let provider::Action::OfferPublish { model, asset, unit_kind, terms } = offer(m1(), USD, 5_000) else { panic!() };
    let terms = crate::state::market::provider::OfferTerms { slots: 4, ..terms };
    world.ok(H1, provider::Action::OfferPublish { model, asset, unit_kind, terms });
    world.open(P2, wish.clone());
    assert_eq!(world.provider(H1).open_jobs, 4);
    assert_eq!(world.no(V, wish), "no_free_slot");
}

#[test]
fn rule_6_a_name_serves_one_job_of_a_payer_while_it_is_known() {
    let world = &mut World::f0();
    let wish = Opening { name: Some("order 7"), ..opening(USD, E6, 5_000) };
    let id = world.open(P1, wish.clone());
    assert_eq!(world.no(P1, wish.clone()), "client_ref_used");
    world.open(P2, wish.clone());
    world.ok(P1, complete(id));
    assert_eq!(world.no(P1, wish.clone()), "client_ref_used");
    // A delegate's names are his own: he can't take the payer's.
    world.ok(P1, grant(D, &[(USD, E6, E6)]));
    let delegated = Opening { funding: Funding::OnBehalf { payer: address(P1) }, ..wish.clone() };
    let other = Opening { name: Some("order 8"), ..delegated.clone() };
    let events = world.ok(D, other.clone());
    let tx::Event::Job(Event::JobOpened { row_fee, .. }) = &events[0] else { panic!("{events:?}") };
    assert_eq!(row_fee.get(), 72, "a row for the job and one for its name");
    let own = world.open(P1, Opening { name: Some("order 8"), ..wish.clone() });
    assert_eq!(world.no(D, other), "client_ref_used");
    world.ok(P1, complete(own));
    // A settled job is forgotten, and its name with it.
    world.later(604_800);
    world.block();
    world.block();
    assert_eq!(world.no(P1, complete(id)), "unknown_job");
    world.open(P1, wish);
    assert_eq!(world.no(P1, Opening { name: Some(""), ..opening(USD, E6, 5_000) }), "text_empty");
}

#[test]
fn rule_7_a_job_keeps_the_parameters_of_its_opening() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    let cancelled = world.open(P1, opening(USD, 10 * E6, 5_000));
    for (name, value) in [("fee_bps", 0), ("window_s", 10), ("burst_s", 10), ("rate", 100), ("min_claim", 700)] {
        world.set_param(&format!("market.{name}"), value).unwrap();
    }
    world.set_param("market.early_cancel_units", 1_000).unwrap();
    world.later(20);
    // A least claim of 100, not 700; a bucket of 40000 units, not 1000.
    let proof = world.proof(id, 40_001);
    assert_eq!(world.no(H1, proof), "rate_exceeded");
    world.prove(id, 39_900);
    let proof = world.proof(id, 99);
    assert_eq!(world.no(H1, proof), "claim_too_small");
    world.prove(id, 100);
    world.later(10);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.later(20);
    let (_, paid) = world.end(H1, complete(id));
    assert_eq!(figures(&paid), (200_000, 20_000, 180_000, 9_800_000));
    // No early fee, not 1000 units of it.
    assert_eq!(world.end(P1, complete(cancelled)).1.early_fee.get(), 0);
    // The next job is under the new ones.
    let next = world.open(P1, Opening { interval: 700, ..opening(USD, 10 * E6, 5_000) });
    let Terms { fee_bps, window_s, rate, burst_s, min_claim, early_cancel_units, .. } = world.job(next).terms;
    assert_eq!((fee_bps, window_s, rate, burst_s, min_claim, early_cancel_units), (0, 10, 100, 10, 700, 1_000));
    assert_eq!(world.end(P1, complete(next)).1.early_fee.get(), 5_000);
}

#[test]
fn rule_8_deposits_grow_until_the_job_is_over() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, E6, 5_000));
    let more = |units: u128| Action::JobTopUp { job: JobId::new(id), amount: amount(units) };
    assert_eq!(world.no(P2, more(5)), "out_of_scope");
    assert_eq!(world.no(H1, more(5)), "out_of_scope");
    world.ok(P1, more(E6));
    assert_eq!((world.job(id).deposit.get(), world.job(id).max_units().unwrap().get()), (2 * E6, 400_000));
    assert_eq!(world.no(P1, more(10u128.pow(12))), "deposit_out_of_range");
    world.ok(P1, grant(D, &[(USD, 3 * E6, 2 * E6)]));
    assert_eq!(world.no(D, more(E6 + 1)), "out_of_scope");
    world.ok(D, more(E6));
    world.ok(A, tx::model::Action::ModelSetActive { model: m1(), active: false });
    assert_eq!(world.no(P1, more(5)), "model_inactive");
    let (_, paid) = world.end(P1, complete(id));
    assert_eq!((paid.refund.get(), world.held(P1, USD)), (3 * E6, 10_000 * E6));
    assert_eq!(world.no(P1, more(5)), "job_ended");
}
