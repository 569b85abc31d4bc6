//! What ends of jobs and slashes count for: rule n is that of `state::market::reputation`.

use super::*;
use crate::state::market::fading::MILLION;
use crate::state::market::reputation::{RECORDS, Reputation, reputation};
use crate::testing::{PROPOSER, pay};
use crate::tx::authority::Measure;
use crate::tx::{self, provider, transfer};

fn of(world: &World, seed: u8) -> Reputation {
    let params = crate::state::params(&world.chain.tree).unwrap();
    reputation(&world.chain.tree, &address(seed), &m1(), (MarketMs::new(world.now), &params)).unwrap()
}

/// Jobs, units, timeouts with work, timeouts without: whole ones.
fn counts(world: &World) -> [u128; 4] {
    let record = of(world, H1).record;
    [record.jobs, record.units, record.timeouts_with_work, record.timeouts_empty]
        .map(|number| number.millionths / MILLION)
}

/// A job of this payer with 2000 units of work, completed by it.
fn worked(world: &mut World, payer: u8, wish: Opening) {
    let job = world.open(payer, wish);
    world.later(1);
    world.prove(job, 2_000);
    world.ok(payer, complete(job));
}

fn usual() -> Opening {
    opening(USD, 10 * E6, 5_000)
}

#[test]
fn rule_1_work_that_was_accepted_and_paid_counts_with_its_units() {
    let world = &mut World::f0();
    assert_eq!((counts(world), of(world, H1).score_bps), ([0; 4], 0), "who is new has the least score");
    worked(world, P1, usual());
    assert_eq!((counts(world), of(world, H1).score_bps), ([1, 2_000, 0, 0], 909));
    // The provider completes: that nobody objected says nothing (rule 5).
    let job = world.open(P2, usual());
    world.later(1);
    world.prove(job, 500);
    world.later(30);
    world.ok(H1, complete(job));
    assert_eq!((counts(world), of(world, H1).score_bps), ([1, 2_000, 0, 0], 909));
    // What was paid for, not what was used.
    worked(world, P1, Opening { interval: 2_000, ..usual() });
    assert_eq!(counts(world)[1], 4_000);
    assert_eq!(RECORDS.scan(&world.chain.tree).count(), 1, "one row for provider and model");
}

#[test]
fn rules_2_and_3_timeouts_with_work_and_without_are_told_apart() {
    let world = &mut World::f0();
    let (with, without) = (world.open(P1, usual()), world.open(P2, usual()));
    world.later(5);
    world.prove(with, 1_000);
    world.later(296);
    world.ok(X, expire(without));
    assert_eq!(counts(world), [0, 0, 0, 1]);
    world.later(5);
    world.block();
    assert_eq!(counts(world), [0, 1_000, 1, 1], "the end by itself counts, too");
    assert_eq!(of(world, H1).score_bps, 0);
    (0..9).for_each(|_| worked(world, P1, usual()));
    assert_eq!((counts(world)[0], of(world, H1).score_bps), (9, 4_500), "9 of 9 + 1 + 10");
}

#[test]
fn rule_5_a_declined_job_and_one_the_payer_gave_up_say_nothing() {
    let mut params = params();
    params.market.early_cancel_units = 2_000;
    let world = &mut World::f0_on(&params);
    let (declined, given_up) = (world.open(P1, usual()), world.open(P1, usual()));
    world.ok(H1, Action::JobDecline { job: JobId::new(declined) });
    let (_, settlement) = world.end(P1, complete(given_up));
    assert!(!settlement.early_fee.is_zero());
    assert_eq!(RECORDS.scan(&world.chain.tree).count(), 0);
}

#[test]
fn rule_6_work_without_a_market_fee_counts_only_where_there_are_no_fees() {
    let mut params = params();
    params.market.fee_bps = 0;
    for (world, counted) in [(&mut World::f0(), 0), (&mut World::f0_on(&params), 1)] {
        world.ok(H1, offer(m1(), EUR, 1));
        // 2000 units at 1 per 1000: 2 base units, and a tenth of them is no whole one.
        worked(world, P1, opening(EUR, E6, 1));
        assert_eq!(counts(world)[0], counted);
        // Work that costs nothing at all.
        let job = world.open(P1, opening(EUR, E6, 1));
        world.later(1);
        world.prove(job, 999);
        world.ok(P1, complete(job));
        assert_eq!(counts(world)[0], counted);
    }
}

#[test]
fn rule_7_nobody_praises_itself_by_a_name_the_chain_knows() {
    let named = |payout: Option<u8>, operator: Option<u8>| provider::Action::ProviderUpdate {
        profile: profile(&[m1()]),
        payout: payout.map(address),
        operator: operator.map(address),
    };
    let asset = USD;
    let money = transfer::Action::Transfer { to: address(H1), asset, amount: amount(100 * E6), memo: Text::default() };
    let mut world = World::f0();
    world.ok(P1, tx::Action::Transfer(money));
    worked(&mut world, H1, usual());
    for update in [named(None, Some(P1)), named(Some(P1), None)] {
        world.ok(H1, update);
        worked(&mut world, P1, usual());
    }
    // The payout of the opening is what the job pays to.
    let job = world.open(P1, usual());
    world.later(1);
    world.prove(job, 2_000);
    world.ok(H1, named(None, None));
    world.ok(P1, complete(job));
    // A provider that opens for somebody else, and one that lets somebody else open.
    world.ok(P2, grant(H1, &[(USD, 10 * E6, 100 * E6)]));
    let job = world.open(H1, Opening { funding: Funding::OnBehalf { payer: address(P2) }, ..usual() });
    world.later(1);
    world.prove(job, 2_000);
    world.ok(P2, complete(job));
    worked(&mut world, P2, usual());
    world.ok(H1, grant(P1, &[(USD, 10 * E6, 100 * E6)]));
    worked(&mut world, P1, usual());
    assert_eq!(counts(&world), [0; 4]);
    // Relations excuse nothing.
    let job = world.open(P1, usual());
    world.later(301);
    world.ok(X, expire(job));
    assert_eq!(counts(&world), [0, 0, 0, 1]);
}

#[test]
fn rule_8_who_judges_providers_neither_praises_nor_spoils() {
    let mut world = World::f0();
    let fund = |to| {
        let (asset, amount, memo) = (USD, amount(100 * E6), Text::default());
        tx::Action::Transfer(transfer::Action::Transfer { to: address(to), asset, amount, memo })
    };
    for payer in [A, T, S, PROPOSER] {
        world.ok(P1, fund(payer));
        world.ok(P1, pay(address(payer), 100_000));
        worked(&mut world, payer, usual());
        let job = world.open(payer, usual());
        world.later(301);
        world.ok(X, expire(job));
        assert_eq!(RECORDS.scan(&world.chain.tree).count(), 0, "{payer}");
    }
    // Without the role it is a payer as any other.
    world.decide(Measure::Role { role: crate::state::Role::Slasher, account: None }).unwrap();
    worked(&mut world, S, usual());
    assert_eq!(counts(&world)[0], 1);
}

#[test]
fn a_record_halves_and_a_score_fades() {
    let world = &mut World::f0();
    (0..10).for_each(|_| worked(world, P1, usual()));
    assert_eq!((counts(world), of(world, H1).score_bps), ([10, 20_000, 0, 0], 5_000));
    world.later(30 * DAY);
    let reputation = of(world, H1);
    let record = reputation.record;
    assert_eq!(record.jobs.millionths, 5 * MILLION);
    assert_eq!(reputation.score_bps, 3_333);
    world.set_param("market.reputation_half_life_s", 86_400).unwrap();
    world.later(2 * 30 * DAY);
    assert_eq!((counts(world), of(world, H1).score_bps), ([0; 4], 0));
    for (value, allowed) in [(3_599, false), (3_600, true), (315_360_000, true), (315_360_001, false)] {
        assert_eq!(world.set_param("market.reputation_half_life_s", value).is_ok(), allowed, "{value}");
    }
}

fn slash(provider: u8, stake: u128) -> provider::Action {
    let [evidence, reason] = ["ipfs://e", "sold another model"];
    provider::Action::ProviderSlash {
        provider: address(provider),
        amount: amount(stake * E18),
        evidence: Text::new(evidence).unwrap(),
        reason: Text::new(reason).unwrap(),
        job: None,
    }
}

#[test]
fn rule_4_a_slash_costs_its_part_of_every_score_and_leaving_washes_nothing() {
    let world = &mut World::f0();
    (0..10).for_each(|_| worked(world, P1, usual()));
    world.ok(S, slash(H1, 500));
    let slashed = of(world, H1);
    assert_eq!((slashed.slashed_bps.millionths / MILLION, slashed.score_bps), (5_000, 2_500));
    world.ok(H1, provider::Action::ProviderLeave {});
    world.later(7 * DAY);
    world.ok(H1, provider::Action::ProviderBondWithdraw {});
    assert!(of(world, H1).slashed_bps.millionths > 4_000 * MILLION);
    world.ok(H1, register(&[m1()]));
    let (again, new) = (of(world, H1), of(world, H3));
    assert!(again.slashed_bps.millionths > 4_000 * MILLION && counts(world)[0] == 8, "{again:?}");
    assert_eq!(new.score_bps, 0, "who comes as another has less than the slashed one");
    assert!(again.score_bps > 0);
}

#[test]
fn rule_4_bonding_more_makes_no_slash_look_smaller() {
    let world = &mut World::f0();
    world.ok(H1, provider::Action::ProviderBondAdd { amount: amount(400 * E18) });
    world.ok(S, slash(H1, 500));
    assert_eq!(of(world, H1).slashed_bps.millionths, 5_000 * MILLION);
    // Of a smaller bond it is a greater part, and every slash at least one basis point.
    world.ok(S, slash(H2, 500));
    world.later(DAY);
    world.ok(S, slash(H2, 250));
    assert_eq!(of(world, H2).slashed_bps.millionths.div_ceil(MILLION), 4_887 + 5_000);
    let tiny = crate::state::market::reputation::slashed_part(amount(1), amount(1_000 * E18), &params());
    assert_eq!(tiny, 1);
}
