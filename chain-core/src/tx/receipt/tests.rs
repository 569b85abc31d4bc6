//! Rows PRF of the scenarios, and what the rules say besides. "delta" is the content reference.

mod acks;

use super::*;
use crate::testing::address;
use crate::tx::market_testkit::*;
use crate::tx::{self, market, provider};

fn submit_of(receipt: Receipt) -> Action {
    Action::ReceiptSubmit { receipt, ack: None }
}

/// A job of one NAT, opened by P1 at t = 1000.
fn session() -> (World, u64) {
    let mut world = World::f0();
    let id = world.open(P1, opening(NAT, E18, 227_273));
    (world, id)
}

fn accepted_events(events: &[tx::Event]) -> (&Receipt, u64, MarketMs) {
    match &events[0] {
        tx::Event::Receipt(Event::ReceiptAccepted { receipt, added, at, .. }) => (receipt, added.get(), *at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn prf_01_a_claim_is_metered_and_told() {
    let (mut world, id) = session();
    world.later(1);
    let content_ref = Text::new("delta-1").unwrap();
    let receipt = Receipt { content_ref, output_hash: Hash([7; 32]), ..world.receipt(id, 500) };
    let events = world.ok(H1, submit_of(receipt.clone()));
    assert_eq!(accepted_events(&events), (&receipt, 500, MarketMs::new(1_001_000)));
    let meter = world.job(id).meter;
    assert_eq!((meter.used.get(), meter.seq, meter.head), (500, 1, receipt.hash(&crate::testing::chain())));
}

#[test]
fn prf_02_only_the_provider_claims() {
    let (mut world, id) = session();
    world.later(1);
    for stranger in [P1, X, H2] {
        let proof = world.proof(id, 500);
        assert_eq!(world.no(stranger, proof), "not_the_provider");
    }
    assert_eq!(world.job(id).meter.used.get(), 0);
}

#[test]
fn prf_03_a_claim_has_a_hundred_units() {
    let (mut world, id) = session();
    world.later(1);
    world.prove(id, 200);
    let proof = world.proof(id, 99);
    assert_eq!(world.no(H1, proof), "claim_too_small");
    world.prove(id, 100);
}

#[test]
fn prf_04_the_first_claim_has_the_interval() {
    let mut world = World::f0();
    let id = world.open(P1, Opening { interval: 500, ..opening(NAT, E18, 227_273) });
    world.later(10);
    for (units, fine) in [(100, false), (499, false), (500, true), (150, true), (50, false)] {
        let proof = world.proof(id, units);
        assert_eq!(world.try_run(H1, proof).err(), (!fine).then_some("claim_too_small"), "{units}");
    }
    assert_eq!(world.job(id).meter.used.get(), 650);
}

#[test]
fn prf_05_claims_are_no_faster_than_the_rate() {
    let (mut world, id) = session();
    world.later(1);
    world.prove(id, 2_000);
    world.later(1);
    let proof = world.proof(id, 2_001);
    assert_eq!(world.no(H1, proof), "rate_exceeded");
    world.prove(id, 2_000);
}

#[test]
fn prf_06_no_receipt_is_accepted_twice() {
    let (mut world, id) = session();
    world.later(1);
    let proof = world.proof(id, 500);
    world.ok(H1, proof.clone());
    world.later(5);
    assert_eq!(world.no(H1, proof), "receipt_repeated");
    assert_eq!(world.job(id).meter.used.get(), 500);
}

#[test]
fn prf_07_a_receipt_is_for_its_job_as_it_was_signed() {
    let (mut world, id) = session();
    let other = world.open(P1, Opening { provider: H2, ..opening(NAT, E18, 227_273) });
    world.later(1);
    // H1's receipt names H1's job; for H2's it is not H1's to give.
    let receipt = world.receipt(id, 500);
    let moved = Receipt { job: JobId::new(other), ..receipt.clone() };
    assert_eq!(world.no(H1, submit_of(moved)), "not_the_provider");
    // Units that are changed after signing: the transaction's signature does not hold any more.
    let nonce = world.chain.account(&address(H1)).nonce;
    let signed = crate::testing::transaction(address(H1), nonce, [submit_of(receipt.clone()).into()]);
    let mut signed = crate::testing::sign(signed, &crate::testing::Signer::Key(H1), None);
    let more = Receipt { cumulative_units: Units::new(5_000), ..receipt };
    signed.transaction.actions = crate::codec::List::new(vec![submit_of(more).into()]).unwrap();
    assert_eq!(crate::testing::check(&signed).unwrap_err().rejection.name, "bad_signature");
}

#[test]
fn prf_08_jobs_do_not_disturb_each_other() {
    let (mut world, id) = session();
    let other = world.open(P1, Opening { provider: H2, ..opening(NAT, E18, 227_273) });
    world.later(1);
    world.prove(id, 500);
    world.prove(other, 700);
    assert_eq!((world.job(id).meter.used.get(), world.job(other).meter.used.get()), (500, 700));
}

#[test]
fn prf_09_a_pause_stops_claims() {
    let (mut world, id) = session();
    world.later(1);
    let reason = Text::new("x").unwrap();
    world.ok(A, market::Action::MarketPause { reason: reason.clone() });
    let proof = world.proof(id, 500);
    assert_eq!(world.no(H1, proof), "market_paused");
    world.ok(A, market::Action::MarketUnpause { reason });
    world.prove(id, 500);
}

#[test]
fn prf_10_references_are_told_in_order() {
    let (mut world, id) = session();
    let mut told = Vec::new();
    for (content, seq) in ["", "d1", "d2", "d3"].into_iter().zip(1..) {
        world.later(1);
        let receipt = Receipt { content_ref: Text::new(content).unwrap(), ..world.receipt(id, 100) };
        let events = world.ok(H1, submit_of(receipt));
        assert_eq!(accepted_events(&events).0.seq, seq);
        told.push(accepted_events(&events).0.content_ref.to_string());
    }
    assert_eq!(told, ["", "d1", "d2", "d3"]);
}

#[test]
fn prf_11_no_bond_comes_back_while_claims_can_be_credited() {
    let (mut world, id) = session();
    world.ok(H1, provider::Action::ProviderLeave {});
    world.later(1);
    assert_eq!(world.no(H1, provider::Action::ProviderBondWithdraw {}), "bond_locked");
    world.prove(id, 500);
    world.later(302);
    world.block();
    world.later(7 * DAY);
    world.ok(H1, provider::Action::ProviderBondWithdraw {});
    // By then the job is forgotten; before that, it had ended.
    let Action::ReceiptSubmit { receipt, .. } = examples().remove(0);
    let late = Receipt { job: JobId::new(id), ..receipt };
    assert_eq!(world.no(H1, submit_of(late)), "unknown_job");
}

#[test]
fn prf_12_unknown_versions_are_refused() {
    let (mut world, id) = session();
    world.later(1);
    for version in [0, 1, 3] {
        let receipt = Receipt { version, ..world.receipt(id, 500) };
        assert_eq!(world.no(H1, submit_of(receipt)), "receipt_version");
    }
}

#[test]
fn prf_13_no_work_after_the_end() {
    let mut world = World::f0();
    let id = world.open(P1, Opening { duration: 3_600, silence: 3_600, ..opening(NAT, E18, 227_273) });
    world.at(4_600);
    world.prove(id, 500);
    world.at(4_601);
    let proof = world.proof(id, 500);
    assert_eq!(world.no(H1, proof), "job_over");
}

#[test]
fn rule_3_and_4_a_receipt_has_its_place() {
    let (mut world, id) = session();
    world.later(1);
    world.prove(id, 500);
    let next = world.receipt(id, 500);
    let wrong = [
        (Receipt { leg: 1, ..next.clone() }, "wrong_job"),
        (Receipt { model: m2(), ..next.clone() }, "wrong_job"),
        (Receipt { unit_kind: UnitKind::Images, ..next.clone() }, "wrong_job"),
        (Receipt { seq: 3, ..next.clone() }, "wrong_place"),
        (Receipt { seq: 1, ..next.clone() }, "receipt_old"),
        (Receipt { previous: Hash::ZERO, ..next.clone() }, "wrong_place"),
        (Receipt { job: JobId::new(99), ..next.clone() }, "unknown_job"),
        (Receipt { finished: TimestampMs::ZERO, ..next.clone() }, "receipt_times"),
    ];
    for (receipt, name) in wrong {
        assert_eq!(world.no(H1, submit_of(receipt)), name);
    }
    world.ok(H1, submit_of(next));
}

#[test]
fn rule_6_failed_work_pays_nothing_and_is_no_activity() {
    let (mut world, id) = session();
    let failed = |world: &World, more| {
        submit_of(Receipt { outcome: WorkOutcome::Failed { code: 9 }, ..world.receipt(id, more) })
    };
    world.later(200);
    let some = failed(&world, 100);
    assert_eq!(world.no(H1, some), "units_changed");
    let none = failed(&world, 0);
    world.ok(H1, none);
    let meter = world.job(id).meter;
    assert_eq!((meter.seq, meter.used.get(), meter.last_claim), (1, 0, None));
    world.later(101);
    world.block();
    assert_eq!(world.held(P1, NAT), 100 * E18);
}

#[test]
fn rule_7_the_bucket_holds_a_burst_and_the_deposit_is_the_limit() {
    let mut params = params();
    params.market.burst_s = 10;
    let mut world = World::f0_on(&params);
    let id = world.open(P1, opening(USD, E6, 20_000));
    world.later(100);
    // 10 s of 2000 units a second.
    let proof = world.proof(id, 20_001);
    assert_eq!(world.no(H1, proof), "rate_exceeded");
    world.prove(id, 20_000);
    let proof = world.proof(id, 100);
    assert_eq!(world.no(H1, proof), "rate_exceeded");
    world.later(10);
    world.prove(id, 20_000);
    world.later(10);
    let proof = world.proof(id, 10_001);
    assert_eq!(world.no(H1, proof), "beyond_deposit");
    world.prove(id, 10_000);
    assert_eq!((world.due(id).gross.get(), world.due(id).refund.get()), (E6, 0));
}

#[test]
fn rule_7_the_rest_of_a_deposit_can_be_claimed_however_small() {
    let mut world = World::f0();
    // 199 units.
    let id = world.open(P1, opening(USD, 500_000, 2_512_562));
    assert_eq!(world.job(id).max_units(), Some(Units::new(199)));
    world.later(1);
    world.prove(id, 100);
    for (units, name) in [(98, "claim_too_small"), (100, "beyond_deposit"), (0, "claim_too_small")] {
        let proof = world.proof(id, units);
        assert_eq!(world.no(H1, proof), name);
    }
    world.prove(id, 99);
    let proof = world.proof(id, 0);
    assert_eq!(world.no(H1, proof), "claim_too_small");
    assert_eq!(figures(&world.end(P1, complete(id)).1), (499_999, 49_999, 450_000, 1));
}

#[test]
fn a_receipts_hash_is_of_its_chain_and_of_all_its_fields() {
    let Action::ReceiptSubmit { receipt, .. } = examples().remove(0);
    let here = crate::testing::chain();
    assert_ne!(receipt.hash(&here), receipt.hash(&ChainId::default()));
    let other = Receipt { output_hash: Hash([3; 32]), ..receipt.clone() };
    assert_ne!(receipt.hash(&here), other.hash(&here));
}
