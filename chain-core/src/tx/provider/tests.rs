//! Rows of the scenarios about providers and slashing, and what the rules say besides.

use super::*;
use crate::state::market::provider::{OFFER_LISTS, PROFILES};
use crate::testing::address;
use crate::tx::market_testkit::*;
use crate::tx::{self, authority};

fn bare_offer(terms: OfferTerms) -> Action {
    Action::OfferPublish { model: m1(), asset: USD, unit_kind: UnitKind::Tokens, terms }
}

fn withdraw_offer(asset: AssetId) -> Action {
    Action::OfferWithdraw { model: m1(), asset, unit_kind: UnitKind::Tokens }
}

fn usd_terms() -> OfferTerms {
    match offer(m1(), USD, 5_000) {
        Action::OfferPublish { terms, .. } => terms,
        other => panic!("{other:?}"),
    }
}

fn with_profile(change: impl Fn(&mut Profile)) -> (Action, Action) {
    let mut profile = profile(&[m1()]);
    change(&mut profile);
    let (payout, operator) = (None, None);
    let again = Action::ProviderUpdate { profile: profile.clone(), payout, operator };
    (Action::ProviderRegister { profile, payout, operator }, again)
}

fn add(units: u128) -> Action {
    Action::ProviderBondAdd { amount: amount(units) }
}

fn slash(seed: u8, units: u128) -> Action {
    slash_for(seed, units, None)
}

fn slash_for(seed: u8, units: u128, job: Option<u64>) -> Action {
    Action::ProviderSlash {
        provider: address(seed),
        amount: amount(units),
        evidence: Text::new("ipfs://e").unwrap(),
        reason: Text::new("cheated").unwrap(),
        job: job.map(JobId::new),
    }
}

/// Waits until the bond is free and takes it.
fn take_bond(world: &mut World, seed: u8) -> u128 {
    let before = world.held(seed, STK);
    world.later(7 * DAY);
    world.ok(seed, Action::ProviderBondWithdraw {});
    world.held(seed, STK) - before
}

#[test]
fn nod_01_registering_bonds_and_lists() {
    let world = &mut World::f0();
    world.ok(H3, register(&[m1()]));
    world.ok(H3, offer(m1(), NAT, 227_273));
    world.ok(H3, offer(m1(), USD, 1));
    assert_eq!(world.held(H3, STK), 500 * E18);
    let provider = world.provider(H3);
    assert_eq!((provider.bond.get(), provider.state), (1_000 * E18, ProviderState::Active));
    assert_eq!(world.serving(m1()), [H1, H2, H3]);
    assert_eq!(provider.id, ProviderId::new(3));
}

#[test]
fn nod_02_nobody_registers_twice() {
    let world = &mut World::f0();
    assert_eq!(world.no(H1, register(&[m1()])), "already_registered");
    assert_eq!(world.held(H1, STK), 500 * E18);
}

#[test]
fn nod_03_a_profile_is_complete() {
    let world = &mut World::f0();
    type Change = fn(&mut Profile);
    let bad: [(&str, Change); 5] = [
        ("text_empty", |profile| profile.metadata = Text::default()),
        ("text_empty", |profile| profile.endpoint = Text::default()),
        ("text_empty", |profile| profile.name = Text::default()),
        ("list_form", |profile| profile.models = List::default()),
        ("unknown_model", |profile| profile.models = List::new(vec![spec("none").id()]).unwrap()),
    ];
    for (name, change) in bad {
        assert_eq!(world.no(H3, with_profile(change).0), name);
    }
    assert_eq!((world.held(H3, STK), world.serving(m1())), (1_500 * E18, vec![H1, H2]));
}

#[test]
fn nod_04_prices_have_bounds() {
    let world = &mut World::f0();
    for (asset, price, fine) in [
        (NAT, 227_272, false),
        (NAT, 227_273, true),
        (NAT, 22_727_272_727_273_000, true),
        (NAT, 22_727_272_727_273_001, false),
        (USD, 1, true),
        (USD, 100_000_000, true),
        (USD, 100_000_001, false),
    ] {
        let verdict = world.try_run(H1, offer(m1(), asset, price)).map(|_| ());
        assert_eq!(verdict, if fine { Ok(()) } else { Err("price_out_of_range") }, "{price}");
    }
    assert_eq!(world.no(H1, offer(m1(), USD, 0)), "offer_form");
}

#[test]
fn nod_05_only_who_serves_a_model_offers_it() {
    let world = &mut World::f0();
    assert_eq!(world.no(H1, offer(m2(), USD, 5_000)), "model_not_served");
    assert_eq!(world.no(X, offer(m1(), USD, 5_000)), "unknown_provider");
    assert_eq!(world.no(H1, offer(m1(), USD, 0)), "offer_form");
    assert_eq!(world.no(H1, offer(m1(), STK, 5_000)), "asset_not_accepted");
}

#[test]
fn nod_06_without_a_price_there_is_no_job() {
    let world = &mut World::f0();
    let wish = opening(EUR, 10 * E6, 5_000);
    assert_eq!(world.no(P1, wish.clone()), "no_offer");
    world.ok(H1, offer(m1(), EUR, 5_000));
    world.open(P1, wish.clone());
    world.ok(H1, withdraw_offer(EUR));
    assert_eq!(world.no(P1, wish), "no_offer");
    assert_eq!(world.no(H1, withdraw_offer(EUR)), "no_offer");
}

#[test]
fn nod_07_changing_models_changes_lists_and_deletes_offers() {
    let world = &mut World::f0();
    world.ok(H1, update(&[m2()]));
    assert_eq!((world.serving(m1()), world.serving(m2())), (vec![H2], vec![H1]));
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "no_offer");
    // The old price does not come back with the model.
    world.ok(H1, update(&[m1(), m2()]));
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "no_offer");
    assert!(OFFER_LISTS.get(&world.chain.tree, &world.provider(H1).id).unwrap().is_none());
}

#[test]
fn nod_08_leaving_takes_only_oneself_off_the_lists() {
    let world = &mut World::f0();
    world.ok(H3, register(&[m1()]));
    world.ok(H2, Action::ProviderLeave {});
    assert_eq!(world.serving(m1()), [H1, H3]);
    world.ok(H1, Action::ProviderLeave {});
    world.ok(H3, Action::ProviderLeave {});
    assert!(world.serving(m1()).is_empty());
    assert_eq!(world.no(H3, Action::ProviderLeave {}), "provider_not_active");
}

#[test]
fn nod_09_who_leaves_has_the_whole_bond_back_after_unbonding() {
    let world = &mut World::f0();
    world.ok(H1, add(500 * E18));
    world.ok(H1, Action::ProviderLeave {});
    assert_eq!(world.serving(m1()), [H2]);
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "provider_not_active");
    world.later(7 * DAY - 1);
    assert_eq!(world.no(H1, Action::ProviderBondWithdraw {}), "bond_locked");
    world.later(1);
    world.ok(H1, Action::ProviderBondWithdraw {});
    assert_eq!(world.held(H1, STK), 1_500 * E18);
    assert_eq!(world.no(H1, Action::ProviderBondWithdraw {}), "unknown_provider");
    assert!(PROFILES.get(&world.chain.tree, &address(H1)).unwrap().is_none());
}

#[test]
fn nod_10_bonds_grow_by_the_provider_alone() {
    let world = &mut World::f0();
    assert_eq!(world.no(H1, add(0)), "amount_out_of_range");
    assert_eq!(world.no(P1, add(1)), "unknown_provider");
    world.ok(H1, add(500 * E18));
    assert_eq!(world.provider(H1).bond.get(), 1_500 * E18);
    assert_eq!(world.no(H1, add(1)), "insufficient_balance");
}

#[test]
fn nod_11_profiles_change_by_the_provider_alone() {
    let world = &mut World::f0();
    let (_, better) = with_profile(|profile| profile.endpoint = Text::new("https://new.example").unwrap());
    world.ok(H1, better.clone());
    let profile = PROFILES.get(&world.chain.tree, &address(H1)).unwrap().unwrap();
    assert_eq!(&*profile.endpoint, "https://new.example");
    assert_eq!(world.no(H1, with_profile(|profile| profile.endpoint = Text::default()).1), "text_empty");
    assert_eq!(world.no(H1, with_profile(|profile| profile.metadata = Text::default()).1), "text_empty");
    assert_eq!(world.no(X, better), "unknown_provider");
}

#[test]
fn nod_12_a_list_has_nothing_twice() {
    let world = &mut World::f0();
    assert_eq!(world.no(H3, register(&[m1(), m1()])), "list_form");
    assert_eq!(world.serving(m1()), [H1, H2]);
}

#[test]
fn sla_01_a_slash_goes_to_the_treasury() {
    let world = &mut World::f0();
    let events = world.ok(S, slash(H1, 100 * E18));
    let provider = world.provider(H1);
    assert_eq!((provider.bond.get(), provider.last_slash), (900 * E18, Some(MarketMs::new(1_000_000))));
    assert_eq!(world.treasury(STK), 100 * E18);
    let tx::Event::Provider(Event::ProviderSlashed { provider, by, amount, bond, evidence, reason, .. }) = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*provider, *by), (address(H1), address(S)));
    assert_eq!((amount.get(), bond.get(), &**evidence, &**reason), (100 * E18, 900 * E18, "ipfs://e", "cheated"));
}

#[test]
fn sla_02_a_slash_takes_half_at_most() {
    let world = &mut World::f0();
    assert_eq!(world.no(S, slash(H1, 500 * E18 + 1)), "slash_too_large");
    world.ok(S, slash(H1, 500 * E18));
    assert_eq!(world.provider(H1).bond.get(), 500 * E18);
}

#[test]
fn sla_03_a_slash_has_evidence_a_reason_and_the_right_author() {
    let world = &mut World::f0();
    let Action::ProviderSlash { provider, amount, evidence, reason, job } = slash(H1, E18) else { panic!() };
    let none = Action::ProviderSlash { provider, amount, evidence: Text::default(), reason: reason.clone(), job };
    assert_eq!(world.no(S, none), "text_empty");
    let none = Action::ProviderSlash { provider, amount, evidence, reason: Text::default(), job };
    assert_eq!(world.no(S, none), "text_empty");
    assert_eq!(world.no(X, slash(H1, E18)), "wrong_role");
    assert_eq!(world.no(S, slash(H3, E18)), "unknown_provider");
    assert_eq!((world.treasury(STK), world.provider(H1).bond.get()), (0, 1_000 * E18));
}

#[test]
fn sla_04_below_the_floor_a_provider_is_removed() {
    let world = &mut World::f0();
    for (taken, left, state) in [
        (500, 500, ProviderState::Active),
        (250, 250, ProviderState::Active),
        (125, 125, ProviderState::Active),
        (30, 95, ProviderState::Removed),
    ] {
        world.ok(S, slash(H1, taken * E18));
        assert_eq!((world.provider(H1).bond.get(), world.provider(H1).state), (left * E18, state));
        world.later(DAY);
    }
    assert_eq!((world.treasury(STK), world.serving(m1())), (905 * E18, vec![H2]));
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "provider_not_active");
    assert!(OFFER_LISTS.get(&world.chain.tree, &world.provider(H1).id).unwrap().is_none());
    assert_eq!(take_bond(world, H1), 95 * E18);
}

#[test]
fn sla_05_at_the_floor_it_stays() {
    let world = &mut World::f0();
    world.ok(H1, add(100 * E18));
    for taken in [550, 275, 137, 38] {
        world.ok(S, slash(H1, taken * E18));
        world.later(DAY);
    }
    let provider = world.provider(H1);
    assert_eq!((provider.bond.get(), provider.state), (100 * E18, ProviderState::Active));
}

#[test]
fn sla_06_the_council_says_who_slashes() {
    let world = &mut World::f0();
    let role = |account: Option<u8>| authority::Measure::Role {
        role: crate::state::Role::Slasher,
        account: account.map(address),
    };
    world.decide(role(Some(A))).unwrap();
    assert_eq!(world.no(S, slash(H1, E18)), "wrong_role");
    world.ok(A, slash(H1, E18));
    // Without a slasher nobody slashes; the null account can't be one.
    world.decide(role(None)).unwrap();
    world.later(DAY);
    assert_eq!(world.no(A, slash(H1, E18)), "wrong_role");
}

#[test]
fn sla_07_a_slash_of_nothing_starts_no_cooldown() {
    let world = &mut World::f0();
    assert_eq!(world.no(S, slash(H1, 0)), "amount_out_of_range");
    assert_eq!(world.provider(H1).last_slash, None);
    world.ok(S, slash(H1, E18));
    world.later(DAY - 1);
    assert_eq!(world.no(S, slash(H1, E18)), "slash_too_soon");
    world.later(1);
    world.ok(S, slash(H1, E18));
}

#[test]
fn rule_2_a_number_is_given_once_and_slashes_are_remembered() {
    let world = &mut World::f0();
    world.ok(S, slash(H1, E18));
    world.ok(H1, Action::ProviderLeave {});
    assert_eq!(world.no(H1, register(&[m1()])), "already_registered");
    assert_eq!(take_bond(world, H1), 999 * E18);
    world.ok(H1, register(&[m1()]));
    let again = world.provider(H1);
    assert_eq!((again.id, again.last_slash), (ProviderId::new(1), Some(MarketMs::new(1_000_000))));
    assert_eq!(again.state, ProviderState::Active);
}

#[test]
fn rule_3_who_left_or_was_removed_can_dismiss_its_operator() {
    for removed in [false, true] {
        let mut params = params();
        params.market.bond_floor = amount(600 * E18);
        let world = &mut World::f0_on(&params);
        let with = |operator| Action::ProviderUpdate { profile: profile(&[m1()]), payout: Some(address(V)), operator };
        world.ok(H1, with(Some(address(D))));
        let ids: Vec<_> = (0..2).map(|_| world.open(P1, opening(USD, E6, 5_000))).collect();
        let decline = |id| tx::job::Action::JobDecline { job: JobId::new(id) };
        if removed {
            world.ok(S, slash(H1, 500 * E18));
        } else {
            world.ok(H1, Action::ProviderLeave {});
        }
        assert_eq!(world.end(D, decline(ids[0])).0, crate::state::market::settle::Cause::Declined);
        world.ok(H1, with(None));
        assert_eq!(world.no(D, decline(ids[1])), "not_the_provider");
        assert_eq!((world.provider(H1).operator, world.provider(H1).payout), (None, address(V)));
        // It takes jobs no more for that, nor is it listed.
        assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "provider_not_active");
        assert_eq!(world.no(H1, offer(m1(), USD, 1)), "provider_not_active");
        assert_eq!(world.serving(m1()), [H2]);
    }
}

#[test]
fn rule_3_a_longer_profile_burns_for_its_row_and_null_is_said() {
    let world = &mut World::f0();
    let fee = |events: &[tx::Event]| match events {
        [tx::Event::Provider(Event::ProviderUpdated { row_fee, .. })] => row_fee.get(),
        other => panic!("{other:?}"),
    };
    let update = |text: &str| with_profile(|profile| profile.metadata = Text::new(text).unwrap()).1;
    assert_eq!(fee(&world.ok(H1, update("{ }"))), 36);
    assert_eq!(fee(&world.ok(H1, update("{-}"))), 0);
    assert_eq!(fee(&world.ok(H1, update("{}"))), 0);
    let mut json = serde_json::to_value(tx::Action::Provider(update("{}"))).unwrap();
    assert!(serde_json::from_value::<tx::Action>(json.clone()).is_ok());
    // Leaving the operator out is not dismissing it.
    json.as_object_mut().unwrap().remove("operator");
    assert!(serde_json::from_value::<tx::Action>(json).is_err());
}

#[test]
fn offers_that_are_deleted_are_told_one_by_one() {
    let withdrawn = |asset, price| {
        let (provider, model, unit_kind) = (address(H1), m1(), UnitKind::Tokens);
        tx::Event::Provider(Event::OfferWithdrawn { provider, model, asset, unit_kind, price: Price::new(price) })
    };
    let both = [withdrawn(USD, 5_000), withdrawn(NAT, 227_273)];
    for action in [update(&[m2()]), Action::ProviderLeave {}] {
        let events = World::f0().ok(H1, action);
        assert_eq!((&events[..2], events.len()), (&both[..], 3));
    }
    let world = &mut World::f0();
    for units in [500, 250, 125] {
        world.ok(S, slash(H1, units * E18));
        world.later(DAY);
    }
    assert_eq!(world.ok(S, slash(H1, 30 * E18))[..2], both);
}

#[test]
fn rule_6_a_bond_is_slashable_until_it_is_free() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, E6, 5_000));
    world.ok(H1, Action::ProviderLeave {});
    world.later(3);
    assert_eq!(world.no(H1, Action::ProviderBondWithdraw {}), "bond_locked");
    world.ok(P1, complete(id));
    assert_eq!(world.provider(H1).free_from, Some(MarketMs::new(1_003_000 + 7 * DAY * 1_000)));
    world.later(7 * DAY - 1);
    world.ok(S, slash(H1, 500 * E18));
    world.later(1);
    assert_eq!(world.no(S, slash(H1, 1)), "bond_free");
    world.ok(H1, Action::ProviderBondWithdraw {});
    assert_eq!(world.held(H1, STK), 1_000 * E18);
}

#[test]
fn rule_7_heartbeats_come_from_the_provider_or_its_operator() {
    let world = &mut World::f0();
    let beat = Action::Heartbeat { provider: address(H1) };
    let operator = Some(address(D));
    world.ok(H1, Action::ProviderUpdate { profile: profile(&[m1()]), payout: None, operator });
    world.later(599);
    assert_eq!(world.no(H1, beat.clone()), "heartbeat_too_soon");
    world.later(1);
    assert_eq!(world.no(X, beat.clone()), "not_the_provider");
    world.ok(D, beat);
    assert_eq!(world.provider(H1).last_seen, MarketMs::new(1_600_000));
}

#[test]
fn rule_9_half_goes_to_the_payer_of_a_named_job_after_unbonding() {
    let world = &mut World::f0();
    let (own, other) = (world.open(P1, opening(USD, E6, 5_000)), Opening { provider: H2, ..opening(USD, E6, 5_000) });
    let other = world.open(P2, other);
    assert_eq!(world.no(S, slash_for(H1, 100 * E18, Some(other))), "not_a_victim");
    assert_eq!(world.no(S, slash_for(H1, 100 * E18, Some(99))), "unknown_job");
    world.ok(S, slash_for(H1, 101, Some(own)));
    assert_eq!((world.treasury(STK), world.held(P1, STK)), (51, 1_000 * E18));
    // No sooner than a bond could be back whose last job has a claim of now: a window and unbonding.
    world.later(7 * DAY + 30);
    world.block();
    assert_eq!(world.held(P1, STK), 1_000 * E18);
    world.later(1);
    let events = world.block();
    let (provider, payer, job) = (address(H1), address(P1), JobId::new(own));
    let paid = Event::CompensationPaid { provider, payer, job, asset: STK, amount: amount(50) };
    assert_eq!(events, [tx::Event::Provider(paid)]);
    assert_eq!(world.held(P1, STK), 1_000 * E18 + 50);
}

#[test]
fn rule_11_publishing_again_replaces() {
    let world = &mut World::f0();
    let events = world.ok(H1, offer(m1(), USD, 6_000));
    let tx::Event::Provider(Event::OfferPublished { replaced, row_fee, .. }) = &events[0] else { panic!() };
    assert_eq!((*replaced, row_fee.get()), (Some(Price::new(5_000)), 0));
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "price_below_offer");
    let key = |asset| OfferKey { model: m1(), asset, unit_kind: UnitKind::Tokens };
    let list = OFFER_LISTS.get(&world.chain.tree, &world.provider(H1).id).unwrap().unwrap();
    assert_eq!(&*list, [key(USD), key(NAT)]);
    // An offer holds for as long as it says.
    world.ok(H1, bare_offer(OfferTerms { valid_s: 10, ..usd_terms() }));
    world.later(10);
    world.open(P1, opening(USD, E6, 5_000));
    world.later(1);
    assert_eq!(world.no(P1, opening(USD, E6, 5_000)), "no_offer");
}

#[test]
fn rule_12_slots_and_arbiters_have_bounds() {
    let world = &mut World::f0();
    for (slots, fine) in [(0, false), (1, true), (100, true), (101, false)] {
        let verdict = world.try_run(H1, bare_offer(OfferTerms { slots, ..usd_terms() })).map(|_| ());
        assert_eq!(verdict, if fine { Ok(()) } else { Err("slots_range") }, "{slots}");
    }
    let two = List::new(vec![address(X), address(V)]).unwrap();
    for (arbiters, needed, fine) in [
        (List::default(), 0, true),
        (List::default(), 1, false),
        (two.clone(), 0, false),
        (two.clone(), 2, true),
        (two, 3, false),
    ] {
        let terms = OfferTerms { arbiters, arbiters_needed: needed, ..usd_terms() };
        let verdict = world.try_run(H1, bare_offer(terms)).map(|_| ());
        assert_eq!(verdict, if fine { Ok(()) } else { Err("offer_form") }, "{needed}");
    }
    let twice = List::new(vec![address(X), address(X)]).unwrap();
    assert_eq!(
        world.no(H1, bare_offer(OfferTerms { arbiters: twice, arbiters_needed: 1, ..usd_terms() })),
        "list_form"
    );
    assert_eq!(world.no(H1, bare_offer(OfferTerms { quantum: Units::ZERO, ..usd_terms() })), "offer_form");
    assert_eq!(world.no(H1, bare_offer(OfferTerms { no_verdict_provider_bps: 10_001, ..usd_terms() })), "offer_form");
}

#[test]
fn reg_06_texts_are_bounded_before_anything_is_executed() {
    // Longer ones can't be written, nor read from bytes.
    assert!(Text::<MAX_REASON_BYTES>::new("x".repeat(257)).is_err());
    let mut bytes = crate::codec::encode(&tx::Action::Provider(slash(H1, 1)));
    let at = bytes.windows(8).position(|part| part == b"ipfs://e").unwrap();
    bytes[at - 4..at].copy_from_slice(&129u32.to_le_bytes());
    bytes.splice(at..at, [b'x'; 121]);
    assert!(crate::codec::decode::<tx::Action>(&bytes, 10_000).is_err());
    let long = |n: usize| {
        serde_json::json!({"type": "provider_slash", "provider": address(1), "amount": "1",
        "evidence": "e", "reason": "x".repeat(n)})
    };
    assert!(serde_json::from_value::<tx::Action>(long(256)).is_ok());
    assert!(serde_json::from_value::<tx::Action>(long(257)).is_err());
}
