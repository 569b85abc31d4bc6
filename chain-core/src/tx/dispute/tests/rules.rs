//! Opening and answering: rules 1 to 4; and row REG-02 of the scenarios.

use super::*;
use crate::state::market::dispute::{DISPUTE_ENDS, DISPUTE_TERMS};
use crate::state::market::job::{JOB_ENDS, OPEN_PAIRS};
use crate::tx::market;

#[test]
fn reg_02_forty_are_payable_at_once_and_sixty_frozen() {
    let world = &mut World::judged_by_v();
    world.give(H1, E6);
    // 0.5 USD pay for 200 units; the last acknowledged count is 40, the provider claims 100.
    let id = world.open(P1, Opening { judged: by_v(), deposit: 500_000, price: 2_500_000, ..acked(60) });
    world.redeemed(id, 40);
    world.prove(id, 60);
    let meter = world.job(id).meter;
    assert_eq!((meter.paid.get(), meter.used.get()), (40, 100));
    world.later(29);
    let events = world.ok(P1, contest(id, 40));
    let tx = &events[0];
    let crate::tx::Event::Dispute(Event::DisputeOpened { dispute, payment, returned, .. }) = tx else { panic!() };
    assert_eq!((dispute.contested.get(), dispute.bond.get(), returned.get()), (150_000, 500_000, 0));
    assert_eq!(payment.gross.get(), 0, "40 had been redeemed already");
    assert_eq!((world.earned(H1, USD), world.treasury(USD)), (90_000, 10_000));
    assert_eq!(world.job(id).escrow().get(), 400_000);
    for action in [world.proof(id, 1), world.redeem(id, 50)] {
        assert_eq!(world.no(H1, action), "job_disputed");
    }
    assert_eq!(world.no(H1, complete(id)), "job_disputed");
    world.ok(H1, answer(id));
    let (cause, s, _) = decided(&world.ok(V, verdict(id, false))).unwrap();
    assert_eq!((cause, figures(&s)), (Cause::VerdictForPayer, (100_000, 10_000, 90_000, 400_000)));
    assert_eq!((world.earned(H1, USD), world.job(id).escrow().get()), (90_000, 0));
}

#[test]
fn reg_02_what_was_not_redeemed_yet_is_paid_when_it_is_not_contested() {
    let world = &mut World::judged_by_v();
    let id = world.open(P1, Opening { judged: by_v(), deposit: 500_000, price: 2_500_000, ..acked(100) });
    world.prove(id, 100);
    let events = world.ok(P1, contest(id, 40));
    let crate::tx::Event::Dispute(Event::DisputeOpened { payment, .. }) = &events[0] else { panic!() };
    assert_eq!((payment.gross.get(), payment.fee.get(), payment.provider.get()), (100_000, 10_000, 90_000));
    assert_eq!((world.earned(H1, USD), world.treasury(USD), world.job(id).escrow().get()), (90_000, 10_000, 400_000));
    // An acknowledgement of no more than that is no news.
    let old = world.ack(id, 40);
    assert_eq!(world.no(H1, answer_with(id, old)), "ack_old");
}

#[test]
fn rule_1_the_payer_contests_young_claims_of_an_active_job() {
    let (mut world, id) = claimed();
    for stranger in [H1, H2, X, D, P2] {
        assert_eq!(world.no(stranger, contest(id, 4_000)), "not_the_payer");
    }
    assert_eq!(world.no(P1, contest(id + 1, 0)), "unknown_job");
    for from in [0, 3_999, 4_600, 5_000, u64::MAX] {
        assert_eq!(world.no(P1, contest(id, from)), "from_range", "{from}");
    }
    world.later(30);
    assert_eq!(world.no(P1, contest(id, 4_000)), "nothing_to_dispute", "the window is over");
    let (mut world, id) = claimed();
    world.later(29);
    world.ok(P1, contest(id, 4_599));
    assert_eq!(world.no(P1, contest(id, 4_599)), "job_disputed");
    let (mut world, id) = claimed();
    world.redeemed(id, 4_600);
    assert_eq!(world.no(P1, contest(id, 4_600)), "nothing_to_dispute", "nothing is unacknowledged");
    // What costs nothing: a third of a unit's thousandth.
    world.ok(H1, offer(m1(), USD, 1));
    let cheap = world.open(P1, Opening { deposit: 500_000, price: 1, ..acked(1_000) });
    world.prove(cheap, 999);
    assert_eq!(world.no(P1, contest(cheap, 0)), "nothing_to_dispute");
    world.ok(P1, complete(id));
    assert_eq!(world.no(P1, contest(id, 4_600)), "job_closing");
    world.ok(H1, complete(id));
    assert_eq!(world.no(P1, contest(id, 4_600)), "job_ended");
}

#[test]
fn rule_1_both_deposit_a_tenth_rounded_up_or_the_assets_least_deposit() {
    for (price, units, bond) in [(5_000, 2_000, 500_000), (5_000_003, 2_001, 1_000_501), (100_000_000, 100, 1_000_000)]
    {
        let world = &mut World::f0();
        world.give(H1, 10 * E6);
        let id = world.open(P1, Opening { deposit: 100 * E6, price, ..opening(USD, 100 * E6, price) });
        world.later(10);
        world.prove(id, units);
        let before = world.held(P1, USD);
        world.ok(P1, contest(id, 0));
        let row = world.dispute(id);
        assert_eq!(row.contested.get(), u128::from(units) * price / 1_000);
        assert_eq!(row.bond.get(), bond);
        // The rest of the deposit went back in the same block.
        let returned = 100 * E6 - row.contested.get();
        assert_eq!(world.held(P1, USD) + bond, before + returned);
        let held = world.held(H1, USD);
        world.ok(H1, answer(id));
        assert_eq!((world.held(H1, USD) + bond, world.supply(USD).in_dispute_bonds.get()), (held, 2 * bond));
    }
}

#[test]
fn rule_1_the_deposit_is_that_of_the_opening() {
    let (mut world, id) = claimed();
    let terms = crate::state::market::terms::AssetTerms { min_deposit: amount(1), ..terms_of(USD) };
    world.ok(A, market::Action::AssetTermsSet { asset: USD, terms });
    world.set_param("market.dispute_bond_bps", 10_000).unwrap();
    world.ok(P1, contest(id, 4_000));
    assert_eq!(world.dispute(id).bond.get(), 500_000);
    // 500 at a tenth of the deposit would be below; without a least one it is the tenth, rounded up.
    let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
    world.prove(id, 3);
    world.ok(P1, contest(id, 0));
    assert_eq!(world.dispute(id).bond.get(), 15);
}

#[test]
fn rule_1_who_has_nothing_to_deposit_contests_and_answers_nothing() {
    let world = &mut World::f0();
    let id = world.open(P1, acked(1_000));
    world.prove(id, 600);
    let all = world.held(P1, USD);
    let memo = crate::codec::Text::default();
    let to = address(P2);
    let pay = crate::tx::transfer::Action::Transfer { to, asset: USD, amount: amount(all - 499_999), memo };
    world.ok(P1, crate::tx::Action::Transfer(pay));
    assert_eq!(world.no(P1, contest(id, 0)), "insufficient_balance");
    world.give(P1, 1);
    world.ok(P1, contest(id, 0));
    assert_eq!(world.no(H1, answer(id)), "insufficient_balance", "earnings are not the account");
}

#[test]
fn rule_2_what_is_not_contested_is_settled_at_once() {
    // Where the provider claims, what is beyond its claims goes back at once.
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(10);
    world.prove(id, 2_000);
    let events = world.ok(P1, contest(id, 1_500));
    let crate::tx::Event::Dispute(Event::DisputeOpened { payment, returned, .. }) = &events[0] else { panic!() };
    assert_eq!((payment.gross.get(), returned.get(), world.job(id).escrow().get()), (7_500, 9_990_000, 2_500));
    assert_eq!((world.earned(H1, USD), world.treasury(USD)), (6_750, 750));
    assert_eq!(world.held(P1, USD), 10_000 * E6 - 10_000 - 500_000);
    assert_eq!(world.no(P1, complete(id)), "job_disputed");
    assert_eq!(world.no(P1, top_up(id, E6)), "job_disputed");
    assert_eq!(world.no(P1, hand_to(id, H2, 5_000, 9_999)), "job_disputed");
    assert_eq!(world.no(X, expire(id)), "job_disputed");
    assert_eq!(world.no(H1, decline(id)), "job_disputed");
    // No time of the job ends it.
    world.later(86_400);
    world.block();
    assert!(!world.is_settled(id));
    assert_eq!(JOB_ENDS.scan(&world.chain.tree).count(), 0);
    assert_eq!((world.provider(H1).open_jobs, world.provider(H1).disputed_jobs), (0, 1), "it takes no slot");
    assert_eq!(OPEN_PAIRS.scan(&world.chain.tree).count(), 0, "nor a place of the two");
    world.later(1);
    let (cause, s, bonds) = decided(&world.block()).unwrap();
    assert_eq!((cause, figures(&s), bonds.payer.get()), (Cause::Unanswered, (7_500, 750, 6_750, 9_992_500), 500_000));
    assert_eq!((world.held(P1, USD), world.earned(H1, USD)), (10_000 * E6 - 7_500, 6_750));
}

#[test]
fn rule_2_nothing_goes_back_early_where_the_payer_acknowledges() {
    let (world, id) = contested();
    assert_eq!((world.job(id).returned.get(), world.job(id).escrow().get()), (0, 9_980_000));
    assert_eq!(world.dispute(id).contested.get(), 3_000);
}

#[test]
fn rule_3_a_newer_acknowledgement_decides_in_the_same_block() {
    for (answers, payer, provider, treasury) in
        [(false, -500_000, 250_000, 250_000), (true, -500_000, 250_000, 250_000)]
    {
        let (mut world, id) = contested();
        let before = sheet(&world);
        if answers {
            world.ok(H1, answer(id));
        }
        world.later(86_400);
        let ack = world.ack(id, 4_500);
        for stranger in [P1, X, H2, V] {
            assert_eq!(world.no(stranger, answer_with(id, ack)), "not_the_provider");
        }
        let events = world.ok(H1, answer_with(id, ack));
        let (cause, s, bonds) = decided(&events).unwrap();
        assert_eq!((cause, figures(&s)), (Cause::NewerAck, (22_500, 2_250, 20_250, 9_977_500)));
        assert_eq!(bonds.each_arbiter.get(), 0);
        // 500 units more than were paid.
        let crate::tx::Event::Dispute(Event::DisputeDecided { payment, .. }) = &events[0] else { panic!() };
        assert_eq!((payment.gross.get(), payment.provider.get()), (2_500, 2_250));
        assert_eq!(change(before, sheet(&world)), [payer - 2_500, provider + 2_250, 0, treasury + 250]);
        assert_eq!(world.no(H1, answer_with(id, ack)), "not_disputed");
    }
}

#[test]
fn rule_3_an_acknowledgement_counts_here_as_it_does_with_a_receipt() {
    let (mut world, id) = contested();
    let said = world.said(id, 4_500);
    let (here, k) = (crate::testing::chain(), crate::testing::key(K));
    let hostile = [
        (Acknowledged { job: JobId::new(id + 1), ..said }.sign(&here, &k), "ack_other_job"),
        (Acknowledged { leg: 1, ..said }.sign(&here, &k), "ack_other_leg"),
        (Acknowledged { provider: address(H2), ..said }.sign(&here, &k), "ack_other_provider"),
        (said.sign(&here, &crate::testing::key(H1)), "ack_other_key"),
        (said.sign(&crate::types::ChainId::default(), &k), "bad_proof"),
        (Acknowledged { cumulative_units: Units::new(4_000), ..said }.sign(&here, &k), "ack_old"),
    ];
    for (ack, name) in hostile {
        assert_eq!(world.no(H1, answer_with(id, ack)), name);
    }
    // Its operator may not, as it could give up newer ones; more than was claimed is paid, and no more than the
    // deposit.
    let (payout, operator) = (None, Some(address(X)));
    let update = crate::tx::provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator };
    world.ok(H1, update);
    let all = world.ack(id, u64::MAX);
    assert_eq!(world.no(X, answer_with(id, all)), "not_the_provider");
    let (_, s, _) = decided(&world.ok(H1, answer_with(id, all))).unwrap();
    assert_eq!((figures(&s), world.earned(H1, USD)), ((10 * E6, E6, 9 * E6, 0), 9 * E6));
    // Where nobody acknowledges there is none.
    let claims = world.open(P1, Opening { judged: by_v(), ..opening(USD, 10 * E6, 5_000) });
    world.later(1);
    world.prove(claims, 1_000);
    world.ok(P1, contest(claims, 0));
    let ack = world.ack(claims, 500);
    assert_eq!(world.no(H1, answer_with(claims, ack)), "no_acks");
}

#[test]
fn rule_4_the_provider_itself_answers_once_and_in_time() {
    let (mut world, id) = contested();
    let (payout, operator) = (None, Some(address(X)));
    let update = crate::tx::provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator };
    world.ok(H1, update);
    assert_eq!((world.provider(H1).open_jobs, world.provider(H1).disputed_jobs), (0, 1));
    for stranger in [X, P1, H2, V] {
        assert_eq!(world.no(stranger, answer(id)), "not_the_provider");
    }
    assert_eq!(world.no(V, verdict(id, true)), "not_answered");
    world.later(86_400);
    world.ok(H1, answer(id));
    assert_eq!(world.no(H1, answer(id)), "already_answered");
    assert_eq!(DISPUTE_ENDS.scan(&world.chain.tree).count(), 1);
    assert_eq!(world.dispute(id).until.get(), world.now + 259_200_000);
}

#[test]
fn rule_4_without_an_answer_the_payer_has_all_of_it() {
    let (mut world, id) = contested();
    let before = sheet(&world);
    world.later(86_401);
    assert_eq!(world.no(H1, answer(id)), "dispute_time_over", "though the queue had not come to it");
    assert_eq!(change(before, sheet(&world)), [0; 4], "escrow and deposit were the payer's all the time");
    let row = world.dispute(id);
    assert_eq!((row.outcome, row.held().get()), (Some(Cause::Unanswered), 0));
    assert_eq!(world.supply(USD).in_dispute_bonds.get(), 0);
    assert_eq!(figures(&world.due(id)).0, 23_000, "what settle says without the dispute");
    assert_eq!(world.held(P1, USD), 10_000 * E6 - 20_000);
    // Job, dispute and its terms are forgotten together.
    world.later(604_800);
    world.block();
    assert_eq!(DISPUTES.scan(&world.chain.tree).count() + DISPUTE_TERMS.scan(&world.chain.tree).count(), 0);
}
