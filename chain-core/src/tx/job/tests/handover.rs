//! Rules 18 to 20: handing a job over. H2 offers for 5000, H1 leaves.

use super::*;
use crate::state::market::dispute::dispute_terms;
use crate::state::market::job::{OPEN_PAIRS, Status};
use crate::state::market::settle::Cause;
use crate::tx::provider;
use crate::types::{Acknowledged, MarketMs};

fn session() -> (World, u64) {
    let mut world = World::f0();
    let id = world.open(P1, acked(1_000));
    (world, id)
}

fn open_jobs(world: &World) -> [u32; 2] {
    [H1, H2].map(|seed| world.provider(seed).open_jobs)
}

#[test]
fn rule_18_only_the_payer_names_the_next_provider_and_takes_it_back() {
    let (mut world, id) = session();
    for stranger in [H1, H2, X, D] {
        assert_eq!(world.no(stranger, hand_to(id, H2, 5_000, 0)), "not_the_payer");
    }
    assert_eq!(world.no(P1, hand_to(id, H1, 5_000, 0)), "handover_to_self");
    assert_eq!(world.no(P1, hand_to(id, H2, 0, 0)), "price_form");
    world.ok(P1, hand_to(id, H2, 5_000, 0));
    world.ok(P1, hand_to(id, H2, 6_000, 0));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "no_handover", "named again");
    world.ok(P1, Action::JobHandoverOffer { job: JobId::new(id), handover: None });
    assert_eq!(world.no(H2, take_over(id, 6_000)), "no_handover");
    // What is added is for the provider that works.
    world.ok(P1, hand_to(id, H2, 5_000, 0));
    world.ok(P1, top_up(id, 1));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "no_handover");
    world.later(301);
    assert_eq!(world.no(P1, hand_to(id, H2, 5_000, 0)), "job_over");
    assert_eq!(world.no(P1, hand_to(id, H2, 5_000, 0)), "job_closing");
}

#[test]
fn rule_18_a_delegate_that_opened_the_job_does_not_hand_it_over() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, 10 * E6, 10 * E6)]));
    let id = world.open(D, Opening { funding: Funding::OnBehalf { payer: address(P1) }, ..acked(1_000) });
    assert_eq!(world.no(D, hand_to(id, H2, 5_000, 0)), "not_the_payer");
    assert_eq!(world.no(D, contest(id, 0)), "not_the_payer");
    world.ok(P1, hand_to(id, H2, 5_000, 0));
}

#[test]
fn rule_19_that_provider_accepts_at_that_price() {
    let (mut world, id) = session();
    assert_eq!(world.no(H2, take_over(id, 5_000)), "no_handover");
    world.ok(P1, hand_to(id, H2, 4_000, 0));
    assert_eq!(world.no(H1, take_over(id, 4_000)), "no_handover");
    assert_eq!(world.no(H2, take_over(id, 4_001)), "no_handover");
    // Less than its offer asks for: it is its own word.
    let events = world.ok(H2, take_over(id, 4_000));
    assert_eq!(closing(&events).unwrap().0, Cause::HandedOver);
    assert_eq!(world.no(H2, take_over(id, 4_000)), "job_closing");
    assert_eq!(open_jobs(&world), [1, 1], "the slot is taken while the leg closes");
}

#[test]
fn rule_19_no_claim_slips_in_front_of_a_handover() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    world.ok(P1, hand_to(id, H2, 5_000, 500));
    world.prove(id, 1);
    assert_eq!(world.no(H2, take_over(id, 5_000)), "more_used");
    world.ok(P1, contest(id, 500));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "job_disputed");
}

#[test]
fn rule_19_what_an_opening_needs_is_needed() {
    let (mut world, id) = session();
    world.ok(P1, hand_to(id, H3, 5_000, 0));
    assert_eq!(world.no(H3, take_over(id, 5_000)), "unknown_provider");
    world.ok(P1, hand_to(id, H2, 5_000, 0));
    let offer_of = |quantum, slots| {
        let provider::Action::OfferPublish { model, asset, unit_kind, terms } = offer(m1(), USD, 5_000) else {
            panic!()
        };
        let terms = crate::state::market::provider::OfferTerms { quantum: Units::new(quantum), slots, ..terms };
        provider::Action::OfferPublish { model, asset, unit_kind, terms }
    };
    world.ok(H2, offer_of(999, 90));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "quantum_range");
    world.ok(H2, offer_of(1_000, 1));
    world.open(P2, Opening { provider: H2, ..acked(1_000) });
    assert_eq!(world.no(H2, take_over(id, 5_000)), "no_free_slot");
    world.ok(A, crate::tx::model::Action::ModelSetActive { model: m1(), active: false });
    assert_eq!(world.no(H2, take_over(id, 5_000)), "model_inactive");
    world.ok(A, crate::tx::model::Action::ModelSetActive { model: m1(), active: true });
    world.ok(H2, offer_of(1_000, 90));
    world.ok(P1, hand_to(id, H2, 100_000_001, 0));
    assert_eq!(world.no(H2, take_over(id, 100_000_001)), "price_out_of_range");
    world.ok(P1, hand_to(id, H2, 5_000, 0));
    let reason = crate::codec::Text::new("x").unwrap();
    world.ok(A, crate::tx::market::Action::MarketPause { reason: reason.clone() });
    assert_eq!(world.no(H2, take_over(id, 5_000)), "market_paused");
    world.ok(A, crate::tx::market::Action::MarketUnpause { reason });
    world.ok(H2, provider::Action::ProviderLeave {});
    assert_eq!(world.no(H2, take_over(id, 5_000)), "provider_not_active");
    assert_eq!(open_jobs(&world), [1, 1]);
}

#[test]
fn rule_19_what_is_left_pays_for_a_quantum_at_least() {
    let (mut world, id) = session();
    // 1,999,001 of 2,000,000 units are paid: what is left pays for 999 units.
    world.redeemed(id, 1_999_001);
    world.ok(P1, hand_to(id, H2, 5_000, 2_000_000));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "quantum_range");
    world.ok(P1, hand_to(id, H2, 4_995, 2_000_000));
    world.ok(H2, take_over(id, 4_995));
}

#[test]
fn rule_19_a_minute_is_left_once_the_leg_before_is_closed() {
    // Ten minutes of closing and a minute; a minute where the provider claims.
    for (mode, at) in [(acked(1_000), 660), (opening(USD, 10 * E6, 5_000), 60)] {
        for (late, refused) in [(0, None), (1, Some("too_late_to_hand_over"))] {
            let world = &mut World::f0();
            let id = world.open(P1, Opening { duration: 1_000, silence: 1_000, ..mode.clone() });
            world.later(1_000 - at + late);
            world.ok(P1, hand_to(id, H2, 5_000, 0));
            assert_eq!(world.try_run(H2, take_over(id, 5_000)).err(), refused, "{at}");
        }
    }
}

#[test]
fn rule_19_disputes_of_the_next_leg_are_decided_as_the_payer_signed() {
    let (mut world, id) = session();
    let terms = judged(&[V], 1, 2_500);
    world.ok(H2, offer_judged(&terms));
    let signed = |world: &mut World, hash| {
        world.ok(P1, hand_to_on(id, (H2, 5_000, 0), hash));
    };
    signed(&mut world, None);
    assert_eq!(world.no(H2, take_over(id, 5_000)), "dispute_terms_changed");
    signed(&mut world, by_v().map(|_| Hash([1; 32])));
    assert_eq!(world.no(H2, take_over(id, 5_000)), "dispute_terms_changed");
    signed(&mut world, Some(terms.hash()));
    world.ok(H2, take_over(id, 5_000));
    world.ok(H1, complete(id));
    assert_eq!(dispute_terms(&world.chain.tree, JobId::new(id)).unwrap(), terms);
    // Back to H1, where the council decides.
    world.ok(P1, hand_to(id, H1, 5_000, 0));
    world.ok(H1, take_over(id, 5_000));
    world.ok(H2, complete(id));
    assert_eq!(dispute_terms(&world.chain.tree, JobId::new(id)).unwrap(), DisputeTerms::default());
}

#[test]
fn rule_20_a_leg_closes_before_the_next_begins_and_all_legs_together_are_the_deposit() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    world.ok(P1, hand_to(id, H2, 10_000, 500));
    world.later(10);
    world.ok(H2, take_over(id, 10_000));
    // The leaving provider redeems what it has, by its own leg, and claims nothing more.
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H1, claim), "job_closing");
    assert_eq!(world.no(H2, decline(id)), "job_closing");
    world.later(599);
    world.redeemed(id, 900);
    assert_eq!(handed_over(&world.block()), None);
    let old = world.ack(id, 1_900);
    world.later(1);
    let (leg, first) = handed_over(&world.block()).unwrap();
    assert_eq!((leg, figures(&first)), (0, (4_500, 450, 4_050, 9_995_500)));
    let job = world.job(id);
    assert_eq!((job.leg, job.provider, job.spent.get(), job.price), (1, address(H2), 4_500, Price::new(10_000)));
    assert_eq!((job.meter.used, job.meter.seq, job.max_units()), (Units::ZERO, 0, Some(Units::new(999_550))));
    assert_eq!((job.status, job.meter.active_at), (Status::Active, MarketMs::new(world.now)));
    assert_eq!(open_jobs(&world), [0, 1]);
    assert_eq!(OPEN_PAIRS.scan(&world.chain.tree).count(), 1);
    // An acknowledgement of the old leg, for the old provider, or for this one in the old leg.
    let fits = world.receipt(id, 0);
    let fits = crate::tx::receipt::Receipt { cumulative_units: Units::new(1_900), ..fits };
    let with = |ack| crate::tx::receipt::Action::ReceiptSubmit { receipt: fits.clone(), ack: Some(ack) };
    assert_eq!(world.no(H2, with(old)), "ack_other_leg");
    let here = crate::testing::chain();
    let said = world.said(id, 1_900);
    let forged = Acknowledged { provider: address(H1), ..said }.sign(&here, &crate::testing::key(K));
    assert_eq!(world.no(H2, with(forged)), "ack_other_provider");
    let late = Acknowledged { leg: 0, ..said }.sign(&here, &crate::testing::key(K));
    assert_eq!(world.no(H2, with(late)), "ack_other_leg");
    assert_eq!(world.no(H1, with(old)), "not_the_provider");
    world.redeemed(id, 100);
    let (_, second) = settled(&world.ok(H2, complete(id))).unwrap();
    assert_eq!(figures(&second), (1_000, 100, 900, 9_994_500));
    assert_eq!(world.job(id).deposit.get(), 4_500 + second.gross.get() + second.refund.get());
    assert_eq!((world.earned(H1, USD), world.earned(H2, USD), world.treasury(USD)), (4_050, 900, 550));
    assert_eq!(world.held(P1, USD), 10_000 * E6 - 5_500);
}

#[test]
fn rule_20_where_the_provider_claims_the_next_leg_begins_at_once() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(10);
    world.prove(id, 1_000);
    let used = world.job(id).meter.used.get();
    world.ok(P1, hand_to(id, H2, 5_000, used));
    let (leg, first) = handed_over(&world.ok(H2, take_over(id, 5_000))).unwrap();
    assert_eq!((leg, figures(&first)), (0, (5_000, 500, 4_500, 9_995_000)), "a young claim the payer agreed to");
    let job = world.job(id);
    assert_eq!((job.leg, job.bucket(MarketMs::new(world.now))), (1, 0), "the bucket is empty again");
    assert_eq!(world.no(P1, contest(id, 0)), "nothing_to_dispute");
    world.later(1);
    world.prove(id, 2_000);
    // The duration is that of the job, the silence that of the leg.
    assert_eq!(world.job(id).deadline().get(), 1_311_000);
    world.ok(P1, complete(id));
    assert_eq!((world.earned(H1, USD), world.earned(H2, USD)), (4_500, 9_000));
    assert_eq!(world.held(P1, USD), 10_000 * E6 - 15_000);
}

#[test]
fn rule_20_the_next_provider_can_decline_what_it_finds() {
    let (mut world, id) = session();
    world.redeemed(id, 500);
    world.ok(P1, hand_to(id, H2, 5_000, 500));
    world.ok(H2, take_over(id, 5_000));
    // The leaving leg takes all there is: the payer's key said so.
    world.redeemed(id, 2_000_000);
    world.ok(H1, complete(id));
    assert_eq!(world.job(id).max_units(), Some(Units::ZERO));
    let claim = world.proof(id, 1);
    assert_eq!(world.no(H2, claim), "beyond_deposit");
    let (cause, paid) = settled(&world.ok(H2, decline(id))).unwrap();
    assert_eq!((cause, figures(&paid)), (Cause::Declined, (0, 0, 0, 0)));
    assert_eq!((world.earned(H1, USD), open_jobs(&world)), (9 * E6, [0, 0]));
}

#[test]
fn a_provider_that_leaves_while_the_leg_before_closes_works_and_keeps_its_bond_locked() {
    let (mut world, id) = session();
    world.ok(P1, hand_to(id, H2, 5_000, 0));
    world.ok(H2, take_over(id, 5_000));
    world.ok(H2, provider::Action::ProviderLeave {});
    world.later(600);
    world.block();
    assert_eq!(world.job(id).provider, address(H2));
    assert_eq!(world.no(H2, provider::Action::ProviderBondWithdraw {}), "bond_locked");
    world.redeemed(id, 100);
    world.ok(H2, complete(id));
    world.later(7 * DAY + 1);
    world.ok(H2, provider::Action::ProviderBondWithdraw {});
}
