//! Verdicts, or none: rules 5 to 8. 600 units of 5 base units are contested, both deposited 500,000.

use super::*;
use crate::codec::List;
use crate::limits::MAX_VALIDATORS;
use crate::state::Standing;
use crate::state::market::dispute::{Ballot, DISPUTE_ENDS};
use crate::state::validators::VALIDATORS;
use crate::tx::provider;

fn named(payout: Option<u8>, operator: Option<u8>) -> provider::Action {
    let (payout, operator) = (payout.map(address), operator.map(address));
    provider::Action::ProviderUpdate { profile: profile(&[m1()]), payout, operator }
}

/// As `answered`, decided by these.
fn before_court(arbiters: &[u8], needed: u8) -> (World, u64) {
    let mut world = World::with_council();
    world.ok(H1, offer_judged(&judged(arbiters, needed, 2_500)));
    world.give(H1, 10 * E6);
    let terms = Some(judged(arbiters, needed, 2_500).hash());
    let id = world.open(P1, Opening { judged: terms, ..acked(1_000) });
    world.redeemed(id, 4_000);
    world.prove(id, 600);
    world.ok(P1, contest(id, 4_000));
    world.ok(H1, answer(id));
    (world, id)
}

#[test]
fn rule_5_an_arbiter_decides_and_has_half_of_what_the_loser_deposited() {
    for (for_provider, cause, expected) in [
        (true, Cause::VerdictForProvider, [-503_000, 252_700, 250_000, 300]),
        (false, Cause::VerdictForPayer, [250_000, -500_000, 250_000, 0]),
    ] {
        let (mut world, id) = answered();
        let before = sheet(&world);
        for stranger in [X, A, PROPOSER] {
            assert_eq!(world.no(stranger, verdict(id, for_provider)), "not_an_arbiter");
        }
        let (found, s, bonds) = decided(&world.ok(V, verdict(id, for_provider))).unwrap();
        assert_eq!((found, bonds.each_arbiter.get(), bonds.treasury.get()), (cause, 250_000, 0));
        assert_eq!(s.gross.get(), if for_provider { 23_000 } else { 20_000 });
        assert_eq!(change(before, sheet(&world)), expected);
        assert_eq!(world.no(V, verdict(id, for_provider)), "not_disputed");
        assert_eq!(DISPUTE_ENDS.scan(&world.chain.tree).count(), 0);
    }
}

#[test]
fn rule_5_as_many_arbiters_as_the_offer_says_share_what_can_be_divided() {
    let (mut world, id) = before_court(&[V, A, T, S], 3);
    let treasury = world.treasury(USD);
    world.ok(V, verdict(id, true));
    assert_eq!(world.no(V, verdict(id, false)), "dispute_voted");
    world.ok(S, verdict(id, false));
    world.ok(A, verdict(id, true));
    let events = world.ok(T, verdict(id, true));
    let (_, _, bonds) = decided(&events).unwrap();
    assert_eq!((bonds.provider.get(), bonds.each_arbiter.get(), bonds.treasury.get()), (750_000, 83_333, 1));
    assert_eq!([V, A, T, S].map(|seed| world.earned(seed, USD)), [83_333, 83_333, 83_333, 0]);
    assert_eq!(world.treasury(USD), treasury + 300 + 1);
    let crate::tx::Event::Dispute(Event::DisputeDecided { arbiters, .. }) = &events[1] else { panic!() };
    assert_eq!(*arbiters, [V, A, T].map(address));
}

#[test]
fn rule_5_the_council_decides_by_more_than_two_thirds_and_earns_nothing() {
    let (mut world, id) = before_court(&[], 0);
    let treasury = world.treasury(USD);
    for seed in [COUNCIL[1], COUNCIL[2]] {
        assert_eq!(decided(&world.ok(seed, verdict(id, false))), None);
    }
    assert_eq!(world.no(COUNCIL[1], verdict(id, false)), "dispute_voted");
    assert_eq!(world.no(V, verdict(id, false)), "not_an_arbiter");
    let (cause, _, bonds) = decided(&world.ok(COUNCIL[3], verdict(id, false))).unwrap();
    assert_eq!((cause, bonds.payer.get(), bonds.treasury.get()), (Cause::VerdictForPayer, 750_000, 250_000));
    assert_eq!(world.treasury(USD), treasury + 250_000);
    assert_eq!(COUNCIL.map(|seed| world.earned(seed, USD)), [0; 4]);
}

#[test]
fn rule_5_votes_of_who_left_the_council_do_not_count_and_fill_no_list() {
    let (mut world, id) = before_court(&[], 0);
    world.ok(COUNCIL[1], verdict(id, false));
    // As many as a council can have have voted, and left since.
    let mut row = world.dispute(id);
    let gone = (0..MAX_VALIDATORS - 1).map(|n| {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Ballot { voter: Address::from_bytes(bytes), for_provider: false }
    });
    row.votes = List::new(row.votes.iter().copied().chain(gone).collect()).unwrap();
    world.edit(|overlay| DISPUTES.put(overlay, &JobId::new(id), &row));
    assert_eq!(decided(&world.ok(COUNCIL[2], verdict(id, false))), None);
    assert_eq!(world.dispute(id).votes.len(), 2);
    // One of them is jailed: three are the council, and all of them are needed.
    let jailed = address(COUNCIL[2]).key();
    world.edit(|overlay| {
        let record = VALIDATORS.get(overlay, &jailed).unwrap().unwrap();
        let standing = Standing::Removed;
        VALIDATORS.put(overlay, &jailed, &crate::state::ValidatorRecord { standing, ..record });
    });
    assert_eq!(decided(&world.ok(COUNCIL[3], verdict(id, false))), None);
    assert_eq!(world.no(COUNCIL[2], verdict(id, false)), "not_an_arbiter");
    assert!(decided(&world.ok(PROPOSER, verdict(id, false))).is_some());
}

#[test]
fn rule_6_nobody_with_a_part_in_a_leg_is_an_arbiter_of_it() {
    // P1 pays, D opens for P1, H1 works, X operates, T earns, S is H1's delegate.
    let mut world = World::f0();
    world.give(P1, 1);
    world.ok(H1, named(Some(T), Some(X)));
    world.ok(P1, grant(D, &[(USD, 10 * E6, 10 * E6)]));
    world.ok(H1, grant(S, &[(USD, 1, 1)]));
    let funding = crate::state::market::job::Funding::OnBehalf { payer: address(P1) };
    for party in [P1, D, H1, X, T, S] {
        let terms = judged(&[V, party], 1, 0);
        world.ok(H1, offer_judged(&terms));
        let seen = Some(terms.hash());
        assert_eq!(world.no(D, Opening { funding, judged: seen, ..acked(1_000) }), "party_arbiter", "{party}");
        let id = world.post(P1, posting());
        world.ok(H1, bid(id, 5_000, 1_000, terms.clone()));
        let refused = world.try_run(P1, accept_bid_on(id, H1, 5_000, seen)).err();
        // Who only opens for P1 has no part where P1 opens itself, but is its delegate.
        assert_eq!(refused, Some("party_arbiter"), "{party}");
        let id = world.open(P1, Opening { provider: H2, ..acked(1_000) });
        world.ok(P1, hand_to_on(id, (H1, 5_000, 0), seen));
        assert_eq!(world.no(H1, take_over(id, 5_000)), "party_arbiter", "{party}");
    }
    let terms = judged(&[V], 1, 0);
    world.ok(H1, offer_judged(&terms));
    assert_eq!(world.no(D, Opening { funding, ..acked(1_000) }), "dispute_terms_changed", "no name: the council");
    world.open(D, Opening { funding, judged: Some(terms.hash()), ..acked(1_000) });
}

#[test]
fn rule_6_a_party_on_the_council_does_not_vote() {
    let mut world = World::with_council();
    world.give(COUNCIL[1], 100 * E6);
    world.give(H1, 10 * E6);
    let id = world.open(COUNCIL[1], acked(1_000));
    world.prove(id, 600);
    world.ok(COUNCIL[1], contest(id, 0));
    world.ok(H1, answer(id));
    assert_eq!(world.no(COUNCIL[1], verdict(id, false)), "party_votes");
    for seed in [COUNCIL[0], COUNCIL[2]] {
        assert_eq!(decided(&world.ok(seed, verdict(id, true))), None);
    }
    assert!(decided(&world.ok(COUNCIL[3], verdict(id, true))).is_some());
}

/// Nobody asks whom a party names as its delegate, operator or payee: a side that could turn arbiters away by naming
/// them would have no verdict whenever it fears one.
#[test]
fn rule_6_no_side_turns_arbiters_away_by_naming_them() {
    let binds: [fn(&mut World); 4] = [
        |world| drop(world.ok(P1, grant(V, &[(USD, 1, 1)]))),
        |world| drop(world.ok(H1, grant(V, &[(USD, 1, 1)]))),
        |world| drop(world.ok(H1, named(None, Some(V)))),
        |world| drop(world.ok(H1, named(Some(V), None))),
    ];
    for bind in binds {
        for side in [true, false] {
            let (mut world, id) = answered();
            bind(&mut world);
            assert!(decided(&world.ok(V, verdict(id, side))).is_some());
        }
    }
}

/// On a council there is nobody to choose: who pays, opened it, works or earns does not vote.
#[test]
fn rule_6_who_earns_or_opened_it_does_not_vote_on_a_council() {
    let mut world = World::with_council();
    world.ok(P1, grant(COUNCIL[2], &[(USD, 10 * E6, 10 * E6)]));
    world.ok(H1, named(Some(COUNCIL[1]), None));
    world.give(H1, 10 * E6);
    let funding = crate::state::market::job::Funding::OnBehalf { payer: address(P1) };
    let id = world.open(COUNCIL[2], Opening { funding, ..acked(1_000) });
    world.ok(H1, named(None, None));
    world.prove(id, 600);
    world.ok(P1, contest(id, 0));
    world.ok(H1, answer(id));
    for side in [true, false] {
        assert_eq!(world.no(COUNCIL[1], verdict(id, side)), "party_votes");
        assert_eq!(world.no(COUNCIL[2], verdict(id, side)), "party_votes");
    }
    // Two of the four are left, and both of them are needed.
    assert_eq!(decided(&world.ok(COUNCIL[0], verdict(id, true))), None);
    assert!(decided(&world.ok(COUNCIL[3], verdict(id, true))).is_some());
}

#[test]
fn rule_6_arbiters_move_nothing_but_this_jobs_money_and_deposits() {
    let (mut world, id) = answered();
    let other = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
    world.prove(other, 600);
    let all = [A, T, X, S, H2, H3, P2, D];
    let before: Vec<_> = all.iter().map(|seed| (world.worth(*seed, USD), world.worth(*seed, STK))).collect();
    let bonds = [H1, H2].map(|seed| world.provider(seed).bond);
    world.ok(V, verdict(id, false));
    assert_eq!(world.no(V, verdict(other, false)), "not_disputed");
    let after: Vec<_> = all.iter().map(|seed| (world.worth(*seed, USD), world.worth(*seed, STK))).collect();
    assert_eq!((before, bonds), (after, [H1, H2].map(|seed| world.provider(seed).bond)));
    assert_eq!(world.job(other).escrow().get(), 10 * E6);
}

#[test]
fn rule_8_without_a_verdict_the_contested_amount_is_split_and_both_lose_a_fifth() {
    let (mut world, id) = answered();
    let before = sheet(&world);
    world.later(259_200);
    assert_eq!(decided(&world.block()), None, "the last moment for a verdict");
    world.later(1);
    let (cause, s, bonds) = decided(&world.block()).unwrap();
    // 2500 of 10000 parts of 3000.
    assert_eq!((cause, figures(&s)), (Cause::NoVerdict, (20_750, 2_075, 18_675, 9_979_250)));
    assert_eq!([bonds.payer, bonds.provider, bonds.treasury].map(|part| part.get()), [400_000, 400_000, 200_000]);
    assert_eq!(change(before, sheet(&world)), [-100_750, -99_325, 0, 200_075]);
    assert_eq!(world.no(V, verdict(id, true)), "not_disputed");
}

#[test]
fn rule_8_what_is_over_is_refused_before_the_queue_comes_to_it() {
    let (mut world, id) = answered();
    world.later(259_201);
    assert_eq!(world.no(V, verdict(id, true)), "dispute_time_over");
    let (mut world, id) = answered();
    let ack = world.ack(id, 4_600);
    world.later(259_201);
    assert_eq!(world.no(H1, answer_with(id, ack)), "dispute_time_over");
    assert_eq!(world.dispute(id).outcome, Some(Cause::NoVerdict));
}

#[test]
fn rule_8_times_and_losses_are_those_of_the_opening() {
    let (mut world, id) = claimed();
    for (name, value) in [
        ("market.dispute_respond_s", 200_000),
        ("market.dispute_verdict_s", 400_000),
        ("market.bond_loss_no_verdict_bps", 9_999),
    ] {
        world.set_param(name, value).unwrap();
    }
    world.ok(P1, contest(id, 4_000));
    world.later(86_400);
    world.ok(H1, answer(id));
    world.later(259_201);
    let (_, _, bonds) = decided(&world.block()).unwrap();
    assert_eq!(bonds.payer.get(), 400_000);
}

#[test]
fn a_dispute_of_a_later_leg_is_decided_by_who_that_legs_provider_named() {
    let mut world = World::judged_by_v();
    world.give(H2, 10 * E6);
    let next = judged(&[T], 1, 10_000);
    world.ok(H2, offer_judged(&next));
    let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
    world.redeemed(id, 1_000);
    world.ok(P1, hand_to_on(id, (H2, 5_000, 1_000), Some(next.hash())));
    world.ok(H2, take_over(id, 5_000));
    world.ok(H1, complete(id));
    world.prove(id, 600);
    world.ok(P1, contest(id, 0));
    assert_eq!((world.dispute(id).leg, world.job(id).escrow().get()), (1, 9_995_000));
    world.ok(H2, answer(id));
    assert_eq!(world.no(V, verdict(id, false)), "not_an_arbiter");
    world.later(259_201);
    let (cause, s, _) = decided(&world.block()).unwrap();
    assert_eq!((cause, figures(&s)), (Cause::NoVerdict, (3_000, 300, 2_700, 9_992_000)));
    assert_eq!(world.job(id).spent.get(), 5_000);
}

#[test]
fn a_pause_stops_no_dispute_and_its_clock_stands_still() {
    let (mut world, id) = claimed();
    let reason = crate::codec::Text::new("x").unwrap();
    world.ok(A, crate::tx::market::Action::MarketPause { reason });
    world.ok(P1, contest(id, 4_000));
    world.ok(H1, answer(id));
    let until = world.dispute(id).until;
    (0..3).for_each(|_| drop(world.block()));
    assert_eq!(world.dispute(id).until, until);
    assert!(decided(&world.ok(V, verdict(id, true))).is_some());
}
