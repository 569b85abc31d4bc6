//! What a conviction costs: whose stake, how much, and where it goes.

use super::*;
use crate::state::stakes::Slash;
use crate::tx::authority;
use proptest::prelude::*;

fn slashes(results: &Results) -> Vec<(Address, Slash)> {
    let ours = |event: &tx::Event| match event {
        tx::Event::Authority(authority::Event::StakeSlashed { reporter, slash, .. }) => Some((*reporter, *slash)),
        _ => None,
    };
    results.events.iter().flatten().filter_map(ours).collect()
}

fn burned(chain: &TestChain) -> u128 {
    money::asset(&chain.tree, STK).unwrap().burned.get()
}

#[test]
fn everybody_who_was_bonded_then_loses_the_same_part() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 4_000)).unwrap();
    // Left the set at height 5: 300. Left at 10: 200. Open at the conviction: 100.
    act(&mut chain, 5, undelegate(1, 300)).unwrap();
    end_epoch(&mut chain);
    act(&mut chain, 5, undelegate(1, 200)).unwrap();
    end_epoch(&mut chain);
    act(&mut chain, 6, delegate(1, 1_000)).unwrap();
    act(&mut chain, 6, undelegate(1, 100)).unwrap();
    let before = (stk(&chain, 8), burned(&chain));
    let results = run(&mut chain, 8, proof(1, 6)).unwrap();
    // 10 % of 10,000 + 3,500 + 900 and of 200 + 100; a twentieth of it to the reporter.
    let (bonded, unbonding) = (Amount::new(1_440), Amount::new(30));
    let slash =
        Slash { offence: Height::new(6), bonded, unbonding, reporter: Amount::new(73), burned: Amount::new(1_397) };
    assert_eq!(slashes(&results), [(address(8), slash)]);
    assert_eq!(stake_of(&chain, 1).slash, Some(slash));
    assert_eq!((stk(&chain, 8), burned(&chain)), (before.0 + 73, before.1 + 1_397));
    let held = |number| batch(&chain, 1, number).unwrap().fund.held.get();
    assert_eq!((held(0), held(1), held(2)), (300, 180, 90));
    // Shares are worth nine tenths now, and whoever goes gets that.
    let own = stk(&chain, 5);
    act(&mut chain, 5, undelegate(1, 3_500)).unwrap();
    let now = chain.height.get();
    idle_to(&mut chain, now + 45);
    act(&mut chain, 5, withdraw(1)).unwrap();
    assert_eq!(stk(&chain, 5), own + 300 + 180 + 3_150);
    // Convicted once: it is slashed once, whatever is proven.
    let again = proof(1, chain.height.get());
    assert_eq!(run(&mut chain, 7, again).unwrap_err(), authority::NOT_A_VALIDATOR_THEN.number);
    assert!(act(&mut chain, 1, unbond(1)).is_ok(), "what is left may go in any parts");
}

#[test]
fn who_left_the_set_before_the_offence_loses_nothing() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 1_000)).unwrap();
    act(&mut chain, 5, undelegate(1, 1_000)).unwrap();
    end_epoch(&mut chain);
    chain.block(&[]);
    let results = run(&mut chain, 8, proof(1, 6)).unwrap();
    assert_eq!(slashes(&results)[0].1.unbonding, Amount::ZERO);
    assert_eq!(batch(&chain, 1, 0).unwrap().fund.held.get(), 1_000);
    // At the last height its weight may have signed it does.
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 1_000)).unwrap();
    act(&mut chain, 5, undelegate(1, 1_000)).unwrap();
    end_epoch(&mut chain);
    let results = run(&mut chain, 8, proof(1, 5)).unwrap();
    assert_eq!(slashes(&results)[0].1.unbonding.get(), 100);
}

#[test]
fn a_small_conviction_buys_nothing_for_the_time_before() {
    let mut chain = pos();
    act(&mut chain, 4, unbond(9_000)).unwrap();
    end_epoch(&mut chain);
    chain.block(&[]);
    // Reduced to the minimum it reports itself for a height above that at which most of it left.
    let results = run(&mut chain, 5, proof(4, 6)).unwrap();
    assert_eq!((slashes(&results)[0].1.bonded.get(), slashes(&results)[0].1.unbonding.get()), (100, 0));
    // Whoever has other evidence can tell whether it still costs something.
    let reached = |chain: &TestChain, seed, height| {
        let (height, timestamp) = (Height::new(height), crate::types::TimestampMs::ZERO);
        let now = crate::state::Now { height: chain.height, timestamp, params: &short() };
        crate::state::stakes::is_reached(&chain.tree, &validator(seed), height, now).unwrap()
    };
    assert!(reached(&chain, 4, 5) && !reached(&chain, 4, 6) && reached(&chain, 3, 6) && !reached(&chain, 7, 6));
    // What it signed while all of it stood behind it costs what it would have.
    let before = (stk(&chain, 8), burned(&chain));
    let results = run(&mut chain, 8, proof(4, 3)).unwrap();
    let (reporter, slash) = slashes(&results)[0];
    assert_eq!((reporter, slash.bonded.get(), slash.unbonding.get()), (address(8), 0, 900));
    assert_eq!((stk(&chain, 8), burned(&chain)), (before.0 + 45, before.1 + 855));
    let known = stake_of(&chain, 4).slash.unwrap();
    assert_eq!((known.offence.get(), known.bonded.get(), known.unbonding.get()), (3, 100, 900));
    // Once: neither a third one below that costs more, nor one above.
    for height in [2, 3, 4, 6] {
        assert!(!reached(&chain, 4, height));
        assert!(run(&mut chain, 8, proof(4, height)).is_err(), "{height}");
    }
    assert_eq!(batch(&chain, 4, 0).unwrap().fund.held.get(), 8_100);
    // And nothing in mode poa, where there is no stake.
    assert_eq!(run(&mut chain, 8, proof(4, 5)), Err(authority::TOMBSTONED.number));
}

#[test]
fn when_unbonding_is_free_follows_from_the_parameters_of_the_day() {
    use crate::state::stakes::Closed;
    use crate::state::{Now, Overlay, PARAMS};
    let closed = Closed { left: Height::new(5), at: crate::types::TimestampMs::new(10_000) };
    let free = |window, unbonding_s, height, seconds: u64| {
        let params = Params { evidence_window_blocks: window, unbonding_s, ..short() };
        let timestamp = crate::types::TimestampMs::new(10_000 + 1_000 * seconds);
        closed.is_free(Now { height: Height::new(height), timestamp, params: &params })
    };
    assert!(free(32, 40, 38, 40) && !free(32, 40, 37, 40) && !free(32, 40, 38, 39));
    assert!(!free(33, 40, 38, 40) && !free(32, 41, 38, 40), "a vote that makes it longer holds for all");
    // A vote that is taken back leaves nothing bound.
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 1_000)).unwrap();
    act(&mut chain, 5, undelegate(1, 1_000)).unwrap();
    let set = |chain: &mut TestChain, window| {
        let mut overlay = Overlay::new(&chain.tree);
        PARAMS.put(&mut overlay, &(), &Params { evidence_window_blocks: window, ..short() });
        let delta = chain.tree.preview(overlay.into_changes());
        chain.tree.commit(delta).unwrap();
    };
    set(&mut chain, 30_240_000);
    end_epoch(&mut chain);
    assert!(batch(&chain, 1, 0).unwrap().closed.is_some());
    idle_to(&mut chain, 60);
    assert_eq!(act(&mut chain, 5, withdraw(1)), Err(STILL_UNBONDING.number));
    set(&mut chain, 32);
    assert!(act(&mut chain, 5, withdraw(1)).is_ok());
}

#[test]
fn unbonding_in_time_does_not_save_a_traitor() {
    let mut chain = pos();
    // Contradicts itself at height 5 and unbonds all at once.
    idle_to(&mut chain, 5);
    act(&mut chain, 4, unbond(OWN)).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[3], 0);
    // Whenever its evidence counts, the stake is there: the last block of the window for its last height.
    idle_to(&mut chain, 10 + 31);
    let window = chain.height.get() + 1 - 10;
    assert_eq!(window, 32);
    assert_eq!(act(&mut chain, 4, withdraw(4)), Err(STILL_UNBONDING.number));
    let mut chain = pos();
    idle_to(&mut chain, 5);
    act(&mut chain, 4, unbond(OWN)).unwrap();
    idle_to(&mut chain, 10 + 31);
    let results = run(&mut chain, 8, proof(4, 10)).unwrap();
    assert_eq!(slashes(&results)[0].1.unbonding.get(), OWN / 10);
    assert_eq!(act(&mut chain, 4, bond(OWN)), Err(CONVICTED.number));
    // A block later nothing can be proven any more, and it is free.
    let mut chain = pos();
    idle_to(&mut chain, 5);
    act(&mut chain, 4, unbond(OWN)).unwrap();
    idle_to(&mut chain, 10 + 32);
    assert!(run(&mut chain, 8, proof(4, 10)).is_err());
    assert!(act(&mut chain, 4, withdraw(4)).is_ok());
}

#[test]
fn a_convicted_key_never_comes_back() {
    let mut chain = pos();
    run(&mut chain, 8, proof(4, 1)).unwrap();
    act(&mut chain, 4, unbond(OWN)).unwrap();
    idle_to(&mut chain, 100);
    assert!(record(&chain, 4).is_none(), "forgotten as a validator");
    assert_eq!(act(&mut chain, 4, bond(OWN)), Err(CONVICTED.number));
    act(&mut chain, 4, withdraw(4)).unwrap();
    assert_eq!(stk(&chain, 4), FUNDS.get() + OWN * 9 / 10);
}

/// What the validator 4's own account lost in the end, and what who reported it got: of this much own
/// stake, of which two parts unbond before, and this much of others.
fn lost_and_gained(params: &Params, own: u128, parts: [u128; 2], delegated: u128) -> (u128, u128) {
    let mut chain = TestChain::staked(params, (ConsensusMode::Pos, Amount::new(own)), &[1, 2, 3, 4]);
    let (first, reporter) = (stk(&chain, 4), stk(&chain, 8));
    act(&mut chain, 5, delegate(4, delegated)).unwrap();
    let mut left = own;
    for part in parts {
        if part > 0 && left.saturating_sub(part) >= params.min_validator_stake.get() {
            act(&mut chain, 4, unbond(part)).unwrap();
            end_epoch(&mut chain);
            left -= part;
        }
    }
    run(&mut chain, 8, proof(4, 1)).unwrap();
    let gained = stk(&chain, 8) - reporter;
    let rest = shares(&chain, 4, 4);
    act(&mut chain, 4, unbond(rest)).unwrap();
    idle_to(&mut chain, 60);
    // Entries worth nothing were never made.
    let _ = act(&mut chain, 4, withdraw(4));
    (first + own - stk(&chain, 4), gained)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn nobody_gains_by_proving_it_against_himself(
        own in prop_oneof![10u128..100, 10u128..10_000], delegated in prop_oneof![1u128..100, 1u128..FUNDS.get()],
        parts in [0u128..5_000, 0u128..50],
        slash_equivocation_bps in prop_oneof![Just(0u16), Just(500), Just(10_000), 0u16..=10_000],
        slash_reporter_bps in prop_oneof![Just(0u16), Just(500), Just(5_000), 0u16..=5_000],
    ) {
        let (min_validator_stake, weight_exponent) = (Amount::new(10), 0);
        let params = Params { min_validator_stake, weight_exponent, ..short() };
        let params = Params { slash_equivocation_bps, slash_reporter_bps, ..params };
        prop_assert_eq!(params.check(), Ok(()));
        let (lost, gained) = lost_and_gained(&params, own, parts, delegated);
        prop_assert!(lost >= 2 * gained, "lost {lost}, gained {gained}");
    }
}

#[test]
fn a_reporter_gets_at_most_half_of_what_the_validator_itself_lost() {
    let params = Params { slash_reporter_bps: 5_000, slash_equivocation_bps: 10_000, ..short() };
    assert!(params.with("slash_reporter_bps", 5_001).is_err());
    // All is lost: of 10,000 and of 100 times as much from others.
    assert_eq!(lost_and_gained(&params, OWN, [0, 0], 100 * OWN), (OWN, OWN / 2));
    // What unbonds counts, too.
    assert_eq!(lost_and_gained(&params, OWN, [4_000, 3_000], 100 * OWN), (OWN, OWN / 2));
    // Who has nearly all of it gets no more than the part of all.
    let params = Params { slash_reporter_bps: 100, ..params };
    assert_eq!(lost_and_gained(&params, OWN, [0, 0], 100), (OWN, (OWN + 100) / 100));
}

#[test]
fn shares_worth_nothing_can_still_be_given_up() {
    let params = Params { slash_equivocation_bps: 10_000, ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    act(&mut chain, 5, delegate(4, 3)).unwrap();
    run(&mut chain, 4, proof(4, 1)).unwrap();
    let done = act(&mut chain, 5, undelegate(4, 3)).unwrap();
    assert!(matches!(done[..], [Event::StakeUnbonding { worth: Amount::ZERO, .. }]));
    act(&mut chain, 4, unbond(OWN)).unwrap();
    assert_eq!(all_unbondings(&chain), []);
    assert_eq!(stake_of(&chain, 4).bonded.shares, Amount::ZERO);
}

#[test]
fn absence_costs_no_stake() {
    let mut chain = pos();
    let before = stake_of(&chain, 4).bonded;
    while record(&chain, 4).unwrap().standing == crate::state::Standing::Admitted {
        let set = next_set(&chain.tree).unwrap();
        let late = set.leader(chain.height.next(), View::ZERO).public_key == validator(4);
        chain.view = View::new(u32::from(late));
        chain.proposer = if late { set.leader(chain.height.next(), chain.view).public_key } else { validator(1) };
        chain.block(&[]);
        assert!(chain.height.get() < 200);
    }
    chain.view = View::ZERO;
    assert_eq!(stake_of(&chain, 4).bonded, before);
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[3], 0);
}

#[test]
fn coming_and_going_often_does_not_wash_a_past_away() {
    let params = Params { epoch_blocks: 1, evidence_window_blocks: 1_000, ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    let mut first = None;
    for _ in 0..20 {
        act(&mut chain, 5, bond(OWN)).unwrap();
        run(&mut chain, 5, ready()).unwrap();
        first = first.or(Some(chain.height.get() + 1));
        act(&mut chain, 5, unbond(OWN)).unwrap();
    }
    assert_eq!(record(&chain, 5).unwrap().spans.len(), crate::limits::MAX_SPANS);
    let results = run(&mut chain, 8, proof(5, first.unwrap())).unwrap();
    assert!(slashes(&results)[0].1.unbonding.get() > 0);
}
