//! Jobs whose payer acknowledges work: rules 1, 3, and 8 to 11 where they differ. A unit costs 5 base units.

use super::*;
use crate::crypto::PublicKey;
use crate::state::market::job::Status;
use crate::state::market::settle::{Cause, Cost};
use crate::tx::receipt;

/// A job of 10 USD with a quantum of 1000.
fn session() -> (World, u64) {
    let mut world = World::f0();
    let id = world.open(P1, acked(1_000));
    (world, id)
}

/// A job of acknowledgements opened with this mode.
fn in_mode(mode: Mode) -> crate::tx::Action {
    let crate::tx::Action::Job(Action::JobOpen(wish)) = acked(1).into() else { panic!() };
    Action::JobOpen(super::super::Opening { mode, ..wish }).into()
}

fn until(world: &World, id: u64) -> u64 {
    match world.job(id).status {
        Status::Closing { until, .. } => until.get() / 1_000,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_1_silence_may_last_as_long_as_the_job_and_the_key_is_a_usable_one() {
    let world = &mut World::f0();
    let silent = |silence, duration| Opening { silence, duration, ..acked(1_000) };
    assert_eq!(world.no(P1, silent(59, 86_400)), "silence_range");
    assert_eq!(world.no(P1, silent(86_401, 86_400)), "silence_range");
    assert_eq!(world.no(P1, silent(101, 100)), "silence_range");
    world.open(P1, silent(86_400, 86_400));
    // Where the provider claims, an hour stays the most.
    assert_eq!(world.no(P1, Opening { acks: None, ..silent(3_601, 86_400) }), "silence_range");
    for bytes in [[0; 32], [0xff; 32]] {
        let mode = Mode::ClientAcks { quantum: Units::new(1), ack_key: PublicKey(bytes) };
        assert_eq!(world.no(P1, in_mode(mode)), "bad_ack_key");
    }
}

#[test]
fn rule_3_the_quantum_is_what_the_deposit_pays_for_and_the_provider_offers() {
    let world = &mut World::f0();
    assert_eq!(world.no(P1, acked(0)), "quantum_range");
    assert_eq!(world.no(P1, acked(1_001)), "quantum_range");
    world.open(P1, acked(1_000));
    // 0.5 USD pay for 500 units at 1000 a unit.
    let dear = |quantum| Opening { deposit: 500_000, price: 1_000_000, ..acked(quantum) };
    assert_eq!(world.no(P1, dear(501)), "quantum_range");
    let id = world.open(P1, dear(500));
    assert_eq!(world.job(id).max_units(), Some(Units::new(500)));
    // Neither the proof interval nor the rate matters.
    let small = Opening { interval: 1, ..acked(1) };
    world.open(P1, small);
}

#[test]
fn rule_8_what_is_added_is_there_for_acknowledgements_too() {
    let (mut world, id) = session();
    world.redeemed(id, 3_000_000);
    assert_eq!(
        (world.job(id).meter.paid.get(), world.earned(H1, USD)),
        (2_000_000, 9 * E6),
        "all the deposit pays for"
    );
    let action = world.redeem(id, 3_000_000);
    assert_eq!(world.no(H1, action), "ack_old");
    world.ok(P1, top_up(id, 10 * E6));
    world.redeemed(id, 3_000_000);
    assert_eq!((world.job(id).meter.paid.get(), world.earned(H1, USD)), (3_000_000, 13_500_000));
    world.ok(P1, complete(id));
    assert_eq!(world.no(P1, top_up(id, 10 * E6)), "job_closing");
}

#[test]
fn rule_9_a_provider_declines_before_the_first_accepted_unit_without_a_closing() {
    let (mut world, id) = session();
    let (cause, paid) = settled(&world.ok(H1, decline(id))).unwrap();
    assert_eq!((cause, paid.refund.get(), world.held(P1, USD)), (Cause::Declined, 10 * E6, 10_000 * E6));
    for redeems in [true, false] {
        let id = world.open(P1, acked(1_000));
        let action = if redeems { world.redeem(id, 1) } else { world.proof(id, 1) };
        world.ok(H1, action);
        assert_eq!(world.no(H1, decline(id)), "work_accepted");
    }
    let id = world.open(P1, acked(1_000));
    world.ok(P1, complete(id));
    assert_eq!(world.no(H1, decline(id)), "job_closing");
    let id = world.open(P1, Opening { silence: 60, ..acked(1_000) });
    assert_eq!(world.no(P1, decline(id)), "not_the_provider");
    world.later(61);
    assert_eq!(world.no(H1, decline(id)), "job_over");
}

/// The operator does not know what the provider has in its drawer.
#[test]
fn rule_9_an_operator_that_declines_gives_up_no_acknowledgement() {
    let (mut world, id) = session();
    let (payout, operator) = (None, Some(address(X)));
    world.ok(H1, crate::tx::provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator });
    assert_eq!(closing(&world.ok(X, decline(id))).unwrap().0, Cause::Declined);
    world.redeemed(id, 500);
    world.later(600);
    let (cause, paid) = settled(&world.block()).unwrap();
    assert_eq!((cause, figures(&paid)), (Cause::Declined, (2_500, 250, 2_250, 9_997_500)));
    // Where nobody acknowledges there is nothing to wait for.
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    assert_eq!(settled(&world.ok(X, decline(id))).unwrap().0, Cause::Declined);
}

#[test]
fn rule_10_a_payer_that_completes_begins_a_closing() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    let (cause, end) = closing(&world.ok(P1, complete_at(id, 500))).unwrap();
    assert_eq!((cause, end.get()), (Cause::PayerCompleted, 1_600_000));
    assert_eq!(world.no(P1, complete(id)), "job_closing");
    assert_eq!(world.no(X, complete(id)), "not_a_party");
    // Acknowledged work is paid until the last moment, and nothing else is accepted.
    world.at(1_599);
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H1, claim), "job_closing");
    let more = world.redeem_and(id, 900, 1);
    assert_eq!(world.no(H1, more), "job_closing");
    world.redeemed(id, 900);
    assert_eq!(world.no(X, expire(id)), "not_due");
    world.at(1_600);
    let late = world.redeem(id, 1_000);
    assert_eq!(world.no(H1, late), "job_over");
    assert_eq!(
        world.job(id).status,
        Status::Settled { cause: Cause::PayerCompleted, settlement: world.due(id), at: MarketMs::new(1_600_000) }
    );
    assert_eq!((world.earned(H1, USD), world.treasury(USD), world.held(P1, USD)), (4_050, 450, 9_999_995_500));
}

#[test]
fn rule_10_no_claim_slips_in_front_of_a_completion() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    world.prove(id, 1);
    assert_eq!(world.no(P1, complete_at(id, 500)), "more_used");
    world.ok(P1, complete_at(id, 501));
    // The payer consented to the claim, so it can't contest it any more.
    assert_eq!(world.no(P1, contest(id, 500)), "job_closing");
    let (_, paid) = settled(&world.ok(H1, complete(id))).unwrap();
    assert_eq!((figures(&paid), world.job(id).meter.paid.get()), ((2_505, 250, 2_255, 9_997_495), 500));
}

#[test]
fn rule_10_a_provider_completes_at_once_while_it_claims_nothing_unacknowledged() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    let (cause, paid) = settled(&world.ok(H1, complete(id))).unwrap();
    assert_eq!((cause, figures(&paid)), (Cause::ProviderCompleted, (2_500, 250, 2_250, 9_997_500)));
    // With a claim it waits for the window, or for an acknowledgement of all of it.
    let id = world.open(P1, acked(1_000));
    world.prove(id, 100);
    world.later(29);
    assert_eq!(world.no(H1, complete(id)), "window_open");
    world.redeemed(id, 99);
    assert_eq!(world.no(H1, complete(id)), "window_open", "one unit is a claim still");
    world.redeemed(id, 100);
    assert_eq!(settled(&world.ok(H1, complete(id))).unwrap().0, Cause::ProviderCompleted);
    let id = world.open(P1, acked(1_000));
    world.prove(id, 100);
    world.later(30);
    assert_eq!(figures(&settled(&world.ok(H1, complete(id))).unwrap().1), (500, 50, 450, 9_999_500));
}

#[test]
fn rule_10_the_provider_itself_may_end_a_closing() {
    let (mut world, id) = session();
    let (payout, operator) = (None, Some(address(X)));
    world.ok(H1, crate::tx::provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator });
    world.ok(P1, complete(id));
    // The operator gives up nothing that could be redeemed.
    assert_eq!(world.no(X, complete(id)), "job_closing");
    let (cause, paid) = settled(&world.ok(H1, complete(id))).unwrap();
    assert_eq!((cause, paid.refund.get()), (Cause::PayerCompleted, 10 * E6));
    assert_eq!(world.no(H1, complete(id)), "job_ended");
    let id = world.open(P1, acked(1_000));
    assert_eq!(closing(&world.ok(X, complete(id))).unwrap().0, Cause::ProviderCompleted);
    world.redeemed(id, 100);
    assert_eq!(settled(&world.ok(H1, complete(id))).unwrap().1.gross.get(), 500);
}

#[test]
fn rule_11_silence_counts_from_the_last_redemption_and_begins_a_closing() {
    let (mut world, id) = session();
    world.at(1_200);
    world.redeemed(id, 500);
    // Claims are no activity.
    world.at(1_499);
    world.prove(id, 1);
    world.at(1_500);
    assert_eq!(world.no(X, expire(id)), "not_due");
    world.at(1_501);
    assert_eq!(closing(&world.block()), None, "the claim is young");
    let ack = world.redeem(id, 700);
    // What is redeemed between the end and the closing revives nothing.
    world.ok(H1, ack);
    assert_eq!(closing(&world.block()).unwrap().0, Cause::Silence);
    assert_eq!(until(&world, id), 2_101);
    world.at(2_100);
    world.redeemed(id, 800);
    assert_eq!(settled(&world.block()), None);
    world.at(2_101);
    let (cause, paid) = settled(&world.block()).unwrap();
    assert_eq!((cause, figures(&paid)), (Cause::Silence, (4_000, 400, 3_600, 9_996_000)));
}

#[test]
fn rule_11_a_claim_a_second_before_the_end_can_be_contested_before_anything_closes() {
    let mut world = World::f0();
    let id = world.open(P1, Opening { duration: 3_600, silence: 3_600, ..acked(1_000) });
    world.at(4_599);
    world.prove(id, 1_000);
    world.at(4_628);
    assert_eq!(closing(&world.block()), None);
    assert_eq!(world.no(X, expire(id)), "not_due");
    world.ok(P1, contest(id, 0));
    // And nobody looks: it is paid, after the closing.
    let id = world.open(P1, Opening { duration: 3_600, silence: 3_600, ..acked(1_000) });
    world.later(3_599);
    world.prove(id, 1_000);
    world.later(30);
    assert_eq!(closing(&world.block()).unwrap().0, Cause::DurationOver);
    assert_eq!(world.no(P1, contest(id, 0)), "job_closing");
    world.later(600);
    assert_eq!(settled(&world.block()).unwrap().1.gross.get(), 5_000);
}

#[test]
fn rule_11_anybody_takes_the_next_step_of_what_is_due() {
    let (mut world, id) = session();
    world.later(301);
    assert_eq!(closing(&world.ok(X, expire(id))).unwrap().0, Cause::Silence);
    assert_eq!(world.no(X, expire(id)), "not_due");
    world.later(600);
    assert_eq!(settled(&world.ok(X, expire(id))).unwrap().0, Cause::Silence);
    assert_eq!(world.held(P1, USD), 10_000 * E6);
}

#[test]
fn a_closing_is_as_long_as_it_was_when_the_job_was_opened_and_goes_on_in_a_pause() {
    let (mut world, id) = session();
    world.set_param("market.close_window_s", 60).unwrap();
    world.ok(P1, complete(id));
    assert_eq!(until(&world, id), world.now / 1_000 + 600);
    let reason = Text::new("x").unwrap();
    world.ok(A, crate::tx::market::Action::MarketPause { reason: reason.clone() });
    world.redeemed(id, 100);
    world.ok(H1, complete(id));
    assert_eq!(world.earned(H1, USD), 450);
    world.ok(A, crate::tx::market::Action::MarketUnpause { reason });
    // Redeeming is possible in a pause as long as the job is active, claiming is not.
    let id = world.open(P1, acked(1_000));
    assert_eq!(world.job(id).terms.close_window_s, 60);
}

#[test]
fn an_early_end_costs_what_the_terms_say_only_if_nothing_is_redeemed_in_the_closing() {
    let mut params = params();
    params.market.early_cancel_units = 1_000;
    for (redeems, expected) in [(false, (5_000, 0)), (true, (0, 9))] {
        let world = &mut World::f0_on(&params);
        let id = world.open(P1, acked(1_000));
        world.ok(P1, complete(id));
        if redeems {
            world.redeemed(id, 2);
        }
        let (_, paid) = settled(&world.ok(H1, complete(id))).unwrap();
        assert_eq!((paid.early_fee.get(), paid.provider.get()), expected);
        assert_eq!(world.earned(H1, USD), expected.0 + expected.1);
    }
}

#[test]
fn an_event_of_an_end_tells_what_had_been_paid_before() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    world.prove(id, 100);
    world.later(30);
    let events = world.ok(H1, complete(id));
    let crate::tx::Event::Job(Event::JobSettled { paid_before, settlement, used, .. }) = &events[0] else { panic!() };
    let cost = |gross, fee| Cost { gross: amount(gross), fee: amount(fee), provider: amount(gross - fee) };
    assert_eq!((*paid_before, used.get(), settlement.gross.get()), (cost(2_500, 250), 600, 3_000));
    let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
    let late =
        receipt::Action::ReceiptSubmit { receipt: receipt::Receipt { job: JobId::new(id), ..receipt }, ack: None };
    assert_eq!(world.no(H1, late), "job_ended");
}
