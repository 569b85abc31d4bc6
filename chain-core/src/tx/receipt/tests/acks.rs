//! Receipts of acknowledged work: rules 5 to 7, and that no splitting pays more or less. A unit costs 5 base units.

use super::*;
use crate::state::market::dispute::DISPUTES;
use crate::state::market::job::Status;
use crate::state::market::settle::{Cause, settle};
use crate::testing::{chain, key};
use crate::tx::rejection;
use crate::types::Acknowledged;
use proptest::prelude::*;

fn session_of(quantum: u64) -> (World, u64) {
    let mut world = World::f0();
    let id = world.open(P1, acked(quantum));
    (world, id)
}

fn with(receipt: Receipt, ack: Ack) -> Action {
    Action::ReceiptSubmit { receipt, ack: Some(ack) }
}

fn told(events: &[tx::Event]) -> (Option<u64>, u64, u128, u128) {
    match &events[0] {
        tx::Event::Receipt(Event::ReceiptAccepted { acknowledged, paid, payment, .. }) => {
            (acknowledged.map(Units::get), paid.get(), payment.provider.get(), payment.fee.get())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_6_what_is_acknowledged_is_paid_at_once_and_only_once() {
    let (mut world, id) = session_of(1_000);
    let first = world.redeem(id, 500);
    assert_eq!(told(&world.ok(H1, first)), (Some(500), 500, 2_250, 250));
    assert_eq!((world.earned(H1, USD), world.treasury(USD), world.job(id).escrow().get()), (2_250, 250, 9_997_500));
    // The same once more in a new receipt, one of less, one of as much: nothing is paid twice.
    for units in [500, 499, 1] {
        let again = world.redeem(id, units);
        assert_eq!(world.no(H1, again), "ack_old");
    }
    let next = world.redeem(id, 501);
    assert_eq!(told(&world.ok(H1, next)), (Some(501), 501, 5, 0), "of 2505 in all");
    assert_eq!(world.treasury(USD), 250);
    assert_eq!(world.held(P1, USD), 9_990 * E6);
}

#[test]
fn rule_6_a_receipt_counts_as_many_units_as_it_redeems() {
    let (mut world, id) = session_of(1_000);
    let less = Receipt { cumulative_units: Units::new(499), ..world.receipt(id, 0) };
    let ack = world.ack(id, 500);
    assert_eq!(world.no(H1, with(less, ack)), "units_shrink");
    // Redeemed and claimed in one: 500 are paid, 300 are young.
    let both = world.redeem_and(id, 500, 300);
    assert_eq!(told(&world.ok(H1, both)), (Some(500), 500, 2_250, 250));
    let meter = world.job(id).meter;
    assert_eq!((meter.used.get(), meter.paid.get(), meter.last_claim), (800, 500, Some(MarketMs::new(1_000_000))));
    // An acknowledgement between them leaves the claim young, one of all of it ends that.
    world.later(5);
    world.redeemed(id, 799);
    assert_eq!(world.job(id).meter.last_claim, Some(MarketMs::new(1_000_000)));
    world.redeemed(id, 800);
    assert_eq!(world.job(id).meter.last_claim, None);
    assert_eq!(world.no(P1, contest(id, 800)), "nothing_to_dispute");
}

#[test]
fn rule_6_an_acknowledgement_is_for_its_chain_job_leg_provider_and_units_by_the_key() {
    let (mut world, id) = session_of(1_000);
    let other = world.open(P1, acked(1_000));
    let said = world.said(id, 500);
    let fits = || Receipt { cumulative_units: Units::new(500), ..world.receipt(id, 0) };
    let by_k = |said: Acknowledged| said.sign(&chain(), &key(K));
    let altered = |said: Acknowledged| Ack { acknowledged: said, ..by_k(world.said(id, 500)) };
    let hostile = [
        (by_k(Acknowledged { job: JobId::new(other), ..said }), "ack_other_job"),
        (by_k(Acknowledged { leg: 1, ..said }), "ack_other_leg"),
        (by_k(Acknowledged { provider: address(H2), ..said }), "ack_other_provider"),
        (said.sign(&chain(), &key(P1)), "ack_other_key"),
        (said.sign(&chain(), &key(H1)), "ack_other_key"),
        (said.sign(&ChainId::default(), &key(K)), "bad_proof"),
        (altered(Acknowledged { cumulative_units: Units::new(501), ..said }), "bad_proof"),
        (altered(Acknowledged { leg: 1, ..said }), "bad_proof"),
        (Ack { key: key(H1).public(), ..by_k(said) }, "bad_proof"),
    ];
    let receipt = fits();
    for (ack, name) in hostile {
        assert_eq!(world.no(H1, with(receipt.clone(), ack)), name);
    }
    // The job where nobody acknowledges has none.
    let claims = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(1);
    let action = world.redeem(claims, 500);
    assert_eq!(world.no(H1, action), "no_acks");
    assert_eq!(world.earned(H1, USD), 0);
    let fine = with(receipt, by_k(said));
    world.ok(H1, fine);
}

#[test]
fn rule_6_an_acknowledgement_above_the_deposit_redeems_the_deposit() {
    let (mut world, id) = session_of(1_000);
    let all = world.redeem(id, u64::MAX);
    assert_eq!(told(&world.ok(H1, all)), (Some(2_000_000), 2_000_000, 9 * E6, E6));
    let beyond = Receipt { cumulative_units: Units::new(2_000_001), ..world.receipt(id, 0) };
    assert_eq!(world.no(H1, submit_of(beyond)), "beyond_deposit");
    let more = world.redeem(id, u64::MAX);
    assert_eq!(world.no(H1, more), "ack_old");
    assert_eq!(settled(&world.ok(H1, complete(id))).unwrap().1.refund.get(), 0);
}

#[test]
fn rules_2_and_4_receipts_once_in_order_by_the_provider_each_refused_by_a_number_of_its_own() {
    let (mut world, id) = session_of(1_000);
    let first = world.redeem(id, 100);
    world.ok(H1, first.clone());
    let second = world.redeem(id, 200);
    world.ok(H1, second.clone());
    let Action::ReceiptSubmit { receipt: next, .. } = world.redeem(id, 300);
    let ack = world.ack(id, 300);
    let hostile = [
        (H1, second, "receipt_repeated"),
        (H1, first, "receipt_old"),
        (H2, with(next.clone(), ack), "not_the_provider"),
        (H1, with(Receipt { seq: 4, ..next.clone() }, ack), "wrong_place"),
        (H1, with(Receipt { previous: Hash::ZERO, ..next.clone() }, ack), "wrong_place"),
        (H1, with(Receipt { leg: 1, ..next.clone() }, ack), "wrong_job"),
        (H1, with(Receipt { cumulative_units: Units::new(199), ..next }, ack), "units_shrink"),
    ];
    for (by, action, name) in hostile {
        assert_eq!(world.no(by, action), name);
    }
    let numbers = ["receipt_repeated", "receipt_old", "not_the_provider", "wrong_place", "wrong_job", "units_shrink"];
    let number = |name| (70..1_300).find(|number| rejection(*number).is_some_and(|r| r.name == name)).unwrap();
    let numbers: std::collections::BTreeSet<_> = numbers.into_iter().map(number).collect();
    assert_eq!(numbers.len(), 6);
}

#[test]
fn rule_6_failed_work_brings_no_acknowledgement() {
    let (mut world, id) = session_of(1_000);
    let outcome = WorkOutcome::Failed { code: 3 };
    let failed = Receipt { outcome, ..world.receipt(id, 0) };
    let ack = world.ack(id, 500);
    assert_eq!(world.no(H1, with(failed.clone(), ack)), "units_changed");
    let active = world.job(id).meter.active_at;
    world.later(5);
    world.ok(H1, submit_of(failed));
    assert_eq!((world.job(id).meter.active_at, world.job(id).meter.seq), (active, 1));
    // An empty receipt that did not fail says nothing.
    let nothing = world.proof(id, 0);
    assert_eq!(world.no(H1, nothing), "claim_too_small");
}

#[test]
fn rule_6_redemption_is_activity_until_the_job_is_over_and_goes_on_in_a_pause() {
    let (mut world, id) = session_of(1_000);
    world.later(300);
    world.redeemed(id, 1);
    assert_eq!(world.job(id).deadline().get(), 1_600_000);
    let reason = Text::new("x").unwrap();
    world.ok(A, market::Action::MarketPause { reason: reason.clone() });
    world.redeemed(id, 2);
    let both = world.redeem_and(id, 3, 1);
    assert_eq!(world.no(H1, both), "market_paused");
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H1, claim), "market_paused");
    world.ok(A, market::Action::MarketUnpause { reason });
    world.later(301);
    // Over, and looked at by nobody yet: this block is the first.
    world.redeemed(id, 3);
    assert_eq!(world.job(id).meter.active_at.get(), 1_300_000);
    assert!(matches!(world.job(id).status, Status::Closing { cause: Cause::Silence, .. }));
}

#[test]
fn rule_7_a_claim_is_at_most_a_quantum_beyond_what_is_paid() {
    let (mut world, id) = session_of(60);
    let claim = world.proof(id, 61);
    assert_eq!(world.no(H1, claim), "quantum_exceeded");
    // No least claim and no rate: one unit, and at once the rest.
    world.prove(id, 1);
    world.prove(id, 59);
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H1, claim), "quantum_exceeded");
    // Nor does the end of its window make room for more.
    world.later(31);
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H1, claim), "quantum_exceeded");
    let both = world.redeem_and(id, 40, 41);
    assert_eq!(world.no(H1, both), "quantum_exceeded");
    let both = world.redeem_and(id, 40, 40);
    world.ok(H1, both);
    let meter = world.job(id).meter;
    assert_eq!((meter.paid.get(), meter.used.get(), meter.uncontested.get(), meter.marked.get()), (40, 100, 60, 100));
}

#[test]
fn rule_7_what_nobody_contested_in_time_stays_final_when_claims_go_on() {
    let (mut world, id) = session_of(1_000);
    let from = |world: &World| world.job(id).contestable_from(MarketMs::new(world.now)).get();
    world.prove(id, 100);
    world.later(1);
    // No mark, as the first one's window is open.
    world.prove(id, 500);
    world.later(30);
    assert_eq!(from(&world), 600);
    world.later(100);
    world.prove(id, 10);
    assert_eq!(from(&world), 600, "and not 100, which was the mark");
    assert_eq!(world.no(P1, contest(id, 599)), "from_range");
    world.ok(P1, contest(id, 600));
}

#[test]
fn rule_7_a_claim_makes_final_what_is_older_than_a_window() {
    let (mut world, id) = session_of(1_000);
    let from = |world: &World| world.job(id).contestable_from(MarketMs::new(world.now)).get();
    world.prove(id, 100);
    world.later(29);
    world.prove(id, 100);
    assert_eq!(from(&world), 0, "the first is young still");
    world.later(1);
    assert_eq!(from(&world), 100, "its window is over");
    world.later(28);
    world.prove(id, 100);
    // The second one is no mark: it goes with the third, which is one.
    world.later(29);
    assert_eq!(from(&world), 100);
    world.later(1);
    assert_eq!((from(&world), world.job(id).has_young_claim(MarketMs::new(world.now))), (300, false));
    world.prove(id, 10);
    world.redeemed(id, 305);
    assert_eq!(from(&world), 305);
    assert_eq!(world.no(P1, contest(id, 304)), "from_range");
    assert_eq!(world.no(P1, contest(id, 310)), "from_range");
    world.ok(P1, contest(id, 305));
    assert_eq!(DISPUTES.scan(&world.chain.tree).count(), 1);
}

#[test]
fn no_receipt_enters_a_disputed_or_settled_job() {
    let (mut world, id) = session_of(1_000);
    world.prove(id, 100);
    world.ok(P1, contest(id, 0));
    let action = world.redeem(id, 50);
    assert_eq!(world.no(H1, action), "job_disputed");
    let action = world.proof(id, 50);
    assert_eq!(world.no(H1, action), "job_disputed");
    let ack = world.ack(id, 50);
    world.ok(H1, answer_with(id, ack));
    let action = world.redeem(id, 80);
    assert_eq!(world.no(H1, action), "job_ended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any split of the same units into receipts and redemptions pays the same, in the middle and at the end; and what
    /// was paid in the middle and at the end is what the formulas say of the whole.
    #[test]
    fn any_split_of_acknowledged_and_claimed_units_pays_the_same(
        price in 1u128..300_000, parts in prop::collection::vec((1u64..700, 0u64..3), 1..10), tail in 0u64..1_000,
        fee_bps in 0u16..10_001, ends in 0usize..3,
    ) {
        let mut params = params();
        params.market.fee_bps = fee_bps;
        let world = &mut World::f0_on(&params);
        world.ok(H1, offer(m1(), USD, 1));
        let wish = Opening { price, deposit: 900 * E6, ..acked(1_000) };
        let (whole, split) = (world.open(P1, wish.clone()), world.open(P1, wish));
        let mut said = 0;
        for (part, kind) in parts {
            said += part;
            match kind {
                0 => {}
                1 => world.prove(split, part),
                _ => {
                    let both = world.redeem_and(split, said, 1);
                    world.ok(H1, both);
                    said += 1;
                }
            }
            world.redeemed(split, said);
        }
        world.redeemed(whole, said);
        for id in [whole, split] {
            if tail > 0 {
                world.prove(id, tail);
            }
        }
        let earned = world.earned(H1, USD);
        let paid = world.job(whole).cost(Units::new(said));
        prop_assert_eq!(earned, 2 * paid.provider.get());
        prop_assert_eq!(world.treasury(USD), 2 * paid.fee.get());
        for id in [whole, split] {
            match ends {
                0 => drop(world.ok(P1, complete(id))),
                1 => world.later(30),
                _ => world.later(301),
            }
        }
        if ends == 2 {
            world.block();
        }
        let ended: Vec<_> = [whole, split].iter().map(|id| settled(&world.ok(H1, complete(*id))).unwrap()).collect();
        prop_assert_eq!(ended[0], ended[1]);
        let (cause, s) = ended[0];
        prop_assert_eq!(s, settle(&world.job(whole), cause));
        prop_assert_eq!(s.gross.get(), u128::from(said + tail) * price / 1_000);
        prop_assert_eq!(s.provider.get() + s.fee.get() + s.early_fee.get() + s.refund.get(), 900 * E6);
        prop_assert_eq!(world.earned(H1, USD), 2 * s.provider.get());
        prop_assert_eq!(world.treasury(USD), 2 * s.fee.get());
        prop_assert_eq!(world.held(P1, USD), 10_000 * E6 - 2 * (900 * E6 - s.refund.get()));
    }

    /// Over all legs provider + fee + early fee + refund is the deposit, top-ups included.
    #[test]
    fn all_legs_together_pay_out_what_was_deposited(
        legs in prop::collection::vec((1u128..60_000, 0u64..4_000, 0u64..1_000), 1..6), more in 0u128..5_000_000,
        early in 0u32..2_000,
    ) {
        let mut params = params();
        params.market.early_cancel_units = early;
        let world = &mut World::f0_on(&params);
        world.ok(H1, offer(m1(), USD, 1));
        let id = world.open(P1, Opening { price: legs[0].0, ..acked(1_000) });
        if more > 0 {
            world.ok(P1, top_up(id, more));
        }
        let mut parts = 0;
        for (place, (_, units, tail)) in legs.iter().enumerate() {
            let works = if world.job(id).provider == address(H1) { H1 } else { H2 };
            if *units > 0 {
                world.redeemed(id, *units);
            }
            if *tail > 0 {
                world.prove(id, *tail);
            }
            let leg = |s: &crate::state::market::settle::Settlement| {
                s.provider.get() + s.fee.get() + s.early_fee.get()
            };
            if let Some((price, ..)) = legs.get(place + 1) {
                let next = if works == H1 { H2 } else { H1 };
                world.ok(P1, hand_to(id, next, *price, u64::MAX));
                world.ok(next, take_over(id, *price));
                parts += leg(&handed_over(&world.ok(works, complete(id))).unwrap().1);
                prop_assert_eq!(world.job(id).spent.get(), parts);
                prop_assert_eq!(world.job(id).escrow().get(), 10 * E6 + more - parts);
            } else {
                world.ok(P1, complete(id));
                let (_, s) = settled(&world.ok(works, complete(id))).unwrap();
                parts += leg(&s);
                prop_assert_eq!(parts + s.refund.get(), 10 * E6 + more);
            }
        }
        let earned = world.earned(H1, USD) + world.earned(H2, USD);
        prop_assert_eq!(earned + world.treasury(USD), parts);
        prop_assert_eq!(world.held(P1, USD), 10_000 * E6 - parts);
    }
}
