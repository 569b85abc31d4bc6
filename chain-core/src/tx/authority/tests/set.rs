//! Rules 13 and 14: how the set changes, and absence.

use super::super::epoch::{Delay, Wanted, plan};
use super::*;
use crate::types::{QuorumRule, ValidatorSet, View};
use proptest::prelude::*;

fn wanted(seed: u8, weight: u64, since: u64) -> Wanted {
    Wanted { key: validator(seed), weight, convicted: false, since: Height::new(since) }
}

/// Members with their weights, and who waits why, by seeds.
type Planned = (Vec<(u8, u64)>, Vec<(u8, Delay)>);

fn planned(old: &[(u8, u64)], wanted: &[Wanted]) -> Planned {
    let old: Vec<_> =
        old.iter().map(|(seed, weight)| Validator { public_key: validator(*seed), weight: *weight }).collect();
    let plan = plan(QuorumRule::Byzantine, &old, wanted);
    let seed = |key: &PublicKey| (1..=40).find(|seed| validator(*seed) == *key).unwrap();
    let mut members: Vec<_> = plan.members.iter().map(|m| (seed(&m.public_key), m.weight)).collect();
    members.sort();
    (members, plan.waiting.iter().map(|w| (seed(&w.validator), w.delay)).collect())
}

fn ones(seeds: std::ops::RangeInclusive<u8>) -> Vec<(u8, u64)> {
    seeds.map(|seed| (seed, 1)).collect()
}

#[test]
fn rule_13_leavers_first_then_joiners_by_how_long_they_wait() {
    // 7 members: two moves per epoch.
    let convicted = Wanted { convicted: true, ..wanted(7, 0, 9) };
    let all = [wanted(8, 1, 1), wanted(6, 0, 5), wanted(5, 0, 4), convicted];
    let (members, waiting) = planned(&ones(1..=7), &all);
    assert_eq!(members, [(1, 1), (2, 1), (3, 1), (4, 1), (6, 1)]);
    assert_eq!(waiting, [(6, Delay::Budget), (8, Delay::Budget)]);
    let (members, waiting) = planned(&members, &all);
    assert_eq!((members.clone(), waiting), (ones(1..=4), vec![(8, Delay::Budget)]), "5 / 3 = 1");
    assert_eq!(planned(&members, &all).0, [(1, 1), (2, 1), (3, 1), (4, 1), (8, 1)]);
    // Who said so first joins first; then the smaller key.
    let joiners = [wanted(9, 1, 5), wanted(10, 1, 4), wanted(11, 1, 5)];
    let (members, _) = planned(&ones(1..=6), &joiners);
    let smaller = if validator(9) < validator(11) { 9 } else { 11 };
    assert_eq!(members.last(), Some(&(10, 1)).filter(|_| smaller == 9).or(Some(&(11, 1))));
    assert!(members.contains(&(10, 1)) && members.contains(&(smaller, 1)) && members.len() == 8);
}

#[test]
fn rule_13_fewer_than_four_change_by_one() {
    let (members, waiting) = planned(&ones(1..=1), &[wanted(2, 1, 1), wanted(3, 1, 2)]);
    assert_eq!((members, waiting), (ones(1..=2), vec![(3, Delay::Budget)]));
    let (members, waiting) = planned(&ones(1..=3), &[wanted(1, 0, 1), wanted(4, 1, 1)]);
    assert_eq!((members, waiting), (ones(2..=3), vec![(4, Delay::Budget)]));
    // Even where one weighs more than all others.
    assert_eq!(planned(&[(1, 9), (2, 1), (3, 1)], &[wanted(1, 0, 1)]).0, ones(2..=3));
}

#[test]
fn rule_13_the_last_one_stays_until_another_one_has_joined() {
    let leaves = wanted(1, 0, 1);
    assert_eq!(planned(&ones(1..=1), &[leaves]), (ones(1..=1), vec![(1, Delay::Quorum)]));
    let (both, waiting) = planned(&ones(1..=1), &[leaves, wanted(2, 1, 5)]);
    assert_eq!((both.clone(), waiting), (ones(1..=2), vec![(1, Delay::Quorum)]));
    assert_eq!(planned(&both, &[leaves, wanted(2, 1, 5)]).0, [(2, 1)]);
    // All of four: three can go one by one, not the last.
    let all: Vec<_> = (1..=4).map(|seed| wanted(seed, 0, seed.into())).collect();
    let mut members = ones(1..=4);
    for _ in 0..6 {
        members = planned(&members, &all).0;
    }
    assert_eq!(members, [(4, 1)]);
}

#[test]
fn rule_13_weights_move_towards_what_is_wanted() {
    let old = [(1, 10), (2, 10), (3, 10), (4, 10)];
    let (members, waiting) = planned(&old, &[wanted(1, 0, 1), wanted(2, 15, 1)]);
    assert_eq!(members, [(1, 1), (2, 14), (3, 10), (4, 10)], "13 of 40 for 15: 8 down, 4 up, and the last one down");
    assert_eq!(waiting, [(1, Delay::Budget), (2, Delay::Budget)]);
    let (members, waiting) = planned(&[(1, 37), (2, 1), (3, 1), (4, 1)], &[wanted(1, 0, 1)]);
    assert_eq!((members[0], waiting), ((1, 24), vec![(1, Delay::Budget)]));
}

#[test]
fn rule_13_nothing_takes_the_quorum_from_those_who_shall_stay() {
    // 1 shall leave but is too heavy to go at once; without 2's weight the others would be no quorum.
    let old = [(1, 30), (2, 32), (3, 32), (4, 6)];
    let (members, waiting) = planned(&old, &[wanted(2, 10, 1)]);
    assert_eq!((members, waiting), (vec![(1, 30), (2, 10), (3, 32), (4, 6)], vec![]));
    let leaving = Wanted { convicted: false, ..wanted(1, 0, 1) };
    let (members, waiting) = planned(&[(1, 33), (2, 34), (3, 27), (4, 6)], &[leaving, wanted(2, 1, 1)]);
    assert_eq!(members, [(1, 16), (2, 18), (3, 27), (4, 6)], "as much less of the one as of the other");
    assert_eq!(waiting, [(1, Delay::Budget), (2, Delay::Budget)]);
}

/// The largest share of the set, in percent, that some seeds have on the way to what is wanted.
fn most_on_the_way(old: &[(u8, u64)], wanted: &[Wanted], of: impl Fn(u8) -> bool) -> u64 {
    let (mut set, mut most) = (old.to_vec(), 0);
    for _ in 0..200 {
        let (next, waiting) = planned(&set, wanted);
        let total: u64 = next.iter().map(|(_, weight)| weight).sum();
        let theirs: u64 = next.iter().filter(|(seed, _)| of(*seed)).map(|(_, weight)| weight).sum();
        most = most.max(theirs * 100 / total);
        set = next;
        if waiting.is_empty() {
            return most;
        }
    }
    panic!("it never arrives: {set:?}");
}

#[test]
fn rule_13_nobody_passes_the_others_while_weights_move() {
    let all = |seeds: std::ops::RangeInclusive<u8>, weight| -> Vec<_> { seeds.map(|seed| (seed, weight)).collect() };
    // Four of 1,000 grow to 100,000, and twenty keys of one owner join with 9 % of it all.
    let mut wishes: Vec<_> = (1..=4).map(|seed| wanted(seed, 100_000, 1)).collect();
    wishes.extend((5..=24).map(|seed| wanted(seed, 2_000, 2)));
    assert!(most_on_the_way(&all(1..=4, 1_000), &wishes, |seed| seed > 4) <= 9);
    // All weights times ten and by ten: the first third stays a third.
    for (before, after) in [(1_000, 10_000), (10_000, 1_000)] {
        let wishes: Vec<_> = (1..=12).map(|seed| wanted(seed, after, seed.into())).collect();
        for third in [1..=4, 5..=8, 9..=12] {
            assert!(most_on_the_way(&all(1..=12, before), &wishes, |seed| third.contains(&seed)) <= 33);
        }
    }
    // Three of them, too; and one who joins them with a tenth of the stake.
    let mut wishes: Vec<_> = (1..=3).map(|seed| wanted(seed, 100_000, seed.into())).collect();
    assert!(most_on_the_way(&all(1..=3, 1_000), &wishes, |seed| seed == 1) <= 34);
    wishes.push(wanted(4, 30_000, 9));
    assert!(most_on_the_way(&all(1..=3, 1_000), &wishes, |seed| seed == 4) <= 10);
}

#[test]
fn rule_13_where_a_third_is_few_units_the_first_do_not_get_them_all() {
    let ones = |seeds: std::ops::RangeInclusive<u8>| -> Vec<_> { seeds.map(|seed| (seed, 1)).collect() };
    // Four of 1 grow to 100; twelve keys of one owner join with 3 % of it all.
    for growth in [100, 1_000] {
        let mut wishes: Vec<_> = (1..=4).map(|seed| wanted(seed, growth, 1)).collect();
        wishes.extend((5..=16).map(|seed| wanted(seed, 1, 0)));
        assert!(most_on_the_way(&ones(1..=4), &wishes, |seed| seed > 4) <= 3);
    }
    // Of three, one grows, and one comes and goes whenever it can: its way takes a part of the budget only.
    let wish = |weight| [wanted(1, 1_000, 1), wanted(2, 300, 1), wanted(3, weight, 1)];
    let mut set = vec![(1, 300), (2, 300)];
    for epoch in 0..12 {
        set = planned(&set, &wish(if epoch % 2 == 0 { 3 } else { 0 })).0;
    }
    assert_eq!(set, [(1, 1_000), (2, 300)]);
}

#[test]
fn rule_13_more_than_fit_wait() {
    let seeds: Vec<u8> = (0..=255).collect();
    let members: Vec<Validator> = crate::testing::members(&seeds);
    let (first, rest) = members.split_first().unwrap();
    let mut old = rest.to_vec();
    old.push(Validator {
        public_key: crate::crypto::SecretKey::from_seed(&[7, 9].repeat(16).try_into().unwrap()).public(),
        weight: 1,
    });
    old.sort_by_key(|v| v.public_key);
    assert_eq!(old.len(), MAX_VALIDATORS);
    let joins = Wanted { key: first.public_key, weight: 1, convicted: false, since: Height::ZERO };
    let plan = plan(QuorumRule::Byzantine, &old, &[joins]);
    assert_eq!((plan.members == old, plan.waiting[0].delay), (true, Delay::Room));
}

/// Weights and wishes of up to ten validators.
fn wishes() -> impl Strategy<Value = Vec<(u64, u64, bool, u64)>> {
    let weight = || prop_oneof![3 => Just(1u64), 2 => 0u64..5, 1 => 0u64..1_000];
    prop::collection::vec((weight(), weight(), any::<bool>(), 0u64..9), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn rule_13_every_step_is_within_the_bounds_and_all_wishes_come_true(wishes in wishes(), crash in any::<bool>()) {
        let rule = if crash { QuorumRule::Crash } else { QuorumRule::Byzantine };
        let seeds = || (1..).zip(&wishes);
        let member = |(seed, w): (u8, &(u64, u64, bool, u64))| Validator { public_key: validator(seed), weight: w.0 };
        let mut old: Vec<_> = seeds().filter(|(_, w)| w.0 > 0).map(member).collect();
        old.sort_by_key(|member| member.public_key);
        prop_assume!(!old.is_empty());
        let wanted: Vec<_> = seeds().map(|(seed, w)| Wanted { convicted: w.2, ..wanted(seed, w.1, w.3) }).collect();
        let backwards: Vec<_> = wanted.iter().rev().copied().collect();
        let target = |key: &PublicKey| wanted.iter().find(|w| w.key == *key).map_or(0, |w| w.weight);
        let total = |set: &[Validator]| set.iter().map(|m| m.weight).sum::<u64>();
        let able = |set: &[Validator]| {
            let stay = set.iter().filter(|m| target(&m.public_key) > 0).map(|m| m.weight).sum();
            rule.is_quorum(stay, total(set))
        };
        for _ in 0..2_000 {
            let next = plan(rule, &old, &wanted);
            prop_assert_eq!(&next, &plan(rule, &old, &backwards), "whatever the order they are given in");
            prop_assert!(ValidatorSet::new(next.members.clone()).is_ok());
            let weight = |set: &[Validator], key: &PublicKey| {
                set.iter().find(|m| m.public_key == *key).map_or(0, |m| m.weight)
            };
            let change = |w: &Wanted| weight(&old, &w.key).abs_diff(weight(&next.members, &w.key));
            let moved: Vec<u64> = wanted.iter().map(change).collect();
            let comes_or_goes = |w: &&Wanted| (weight(&old, &w.key) == 0) != (weight(&next.members, &w.key) == 0);
            if old.len() < 4 && wanted.iter().any(|w| comes_or_goes(&w)) {
                let whole = wanted.iter().filter(comes_or_goes).map(change).collect::<Vec<_>>();
                prop_assert_eq!(whole.len(), 1);
                prop_assert!(moved.iter().sum::<u64>() <= (total(&old) / 3).max(whole[0]));
            } else {
                let least = u64::from(old.len() < 4);
                prop_assert!(moved.iter().sum::<u64>() <= (total(&old) / 3).max(least));
            }
            // Where nothing was refused and nobody goes first: a mix of the old set and the wanted one.
            let first = wanted.iter().any(|w| w.convicted && w.weight == 0);
            if old.len() >= 4 && !first && next.waiting.iter().all(|w| w.delay == Delay::Budget) {
                let (slack, target_total) = (wanted.len() as u128, wanted.iter().map(|w| u128::from(w.weight)).sum());
                for w in &wanted {
                    let (after, all) = (weight(&next.members, &w.key), u128::from(total(&next.members)) + slack);
                    let after = u128::from(after.saturating_sub(1));
                    let within = |part: u64, whole: u128| after * whole <= u128::from(part) * all;
                    let old_share = within(weight(&old, &w.key), total(&old).into());
                    prop_assert!(old_share || within(w.weight, target_total), "{:?} -> {:?}", old, next.members);
                }
            }
            prop_assert!(able(&next.members) || !able(&old), "who shall stay keeps its quorum");
            let differ = wanted.iter().filter(|w| weight(&next.members, &w.key) != w.weight).count();
            prop_assert_eq!(differ, next.waiting.len(), "whoever has to wait is named");
            if next.members == old {
                break;
            }
            old = next.members;
        }
        // In the end everything is as wanted, but for what would leave nobody or take a quorum.
        let left = plan(rule, &old, &wanted);
        prop_assert!(left.waiting.iter().all(|w| w.delay == Delay::Quorum), "{:?}", left);
        prop_assert!(left.waiting.is_empty() || wanted.iter().any(|w| w.weight == 0), "{:?}", left);
    }
}

#[test]
fn rule_13_the_set_follows_at_the_end_of_epochs_only_and_says_so() {
    let mut chain = chain_of(4);
    for seed in [5, 6] {
        pass(&mut chain, &[1, 2, 3, 4][..usize::from(seed) - 2], add(seed));
        let before = set(&chain);
        act(&mut chain, seed, Action::ValidatorReady {}).unwrap();
        assert_eq!(set(&chain), before);
    }
    assert_eq!((chain.height.get(), set(&chain)), (9, vec![1, 2, 3, 4, 5]), "5 since block 5");
    idle(&mut chain);
    assert_eq!(set(&chain), [1, 2, 3, 4, 5, 6]);
    let span = record(&chain, 6).spans[0];
    assert_eq!((span.from.get(), span.until), (11, None));
    // 6 / 3 = 2 may leave at a time.
    for seed in [4, 5, 6] {
        let nonce = |chain: &TestChain, seed| chain.account(&address(seed)).nonce;
        act(&mut chain, 1, propose(remove(seed))).unwrap();
        let id = chain_last(&chain);
        for voter in [2, 3, 4, 5, 6] {
            let before = nonce(&chain, voter);
            let _ = act(&mut chain, voter, vote(id, true));
            assert_eq!(nonce(&chain, voter), before + 1);
        }
        assert_eq!(status(&chain, id), Status::Enacted);
    }
    idle_to(&mut chain, 40);
    assert_eq!(set(&chain), [1, 2, 3]);
    let until = record(&chain, 6).spans[0].until.unwrap();
    assert_eq!(until.get() % 5, 0);
    // Once nothing can be proven against it any more, nothing is left of it.
    idle_to(&mut chain, until.get() + 19);
    assert!(VALIDATORS.get(&chain.tree, &validator(6)).unwrap().is_some());
    idle_to(&mut chain, until.get() + 20);
    assert!(VALIDATORS.get(&chain.tree, &validator(6)).unwrap().is_none());
}

fn chain_last(chain: &TestChain) -> u64 {
    super::super::proposal::NEXT_PROPOSAL.get(&chain.tree, &()).unwrap().unwrap().get() - 1
}

#[test]
fn rule_13_a_set_that_would_be_empty_stays_and_says_so() {
    let mut chain = chain_of(1);
    act(&mut chain, 1, propose(remove(1))).unwrap();
    let events = idle_to(&mut chain, 5);
    let Some(Event::ChangesWait { waiting }) = events.last() else { panic!("{events:?}") };
    assert_eq!((waiting.len(), waiting[0].validator, waiting[0].delay), (1, validator(1), Delay::Quorum));
    assert_eq!(set(&chain), [1]);
    act(&mut chain, 1, propose(add(2))).unwrap();
    act(&mut chain, 2, Action::ValidatorReady {}).unwrap();
    idle_to(&mut chain, 10);
    assert_eq!(set(&chain), [1, 2]);
    idle_to(&mut chain, 15);
    assert_eq!(set(&chain), [2]);
}

/// Blocks of later views: whose turns were missed.
fn late(chain: &mut TestChain, view: u32) -> Vec<Event> {
    let set = next_set(&chain.tree).unwrap();
    chain.view = View::new(view);
    chain.proposer = set.leader(chain.height.next(), chain.view).public_key;
    let events = idle(chain);
    chain.view = View::ZERO;
    events
}

#[test]
fn rule_14_leaders_of_the_views_below_missed_their_turn_once() {
    let mut chain = chain_of(4);
    let leader = |chain: &TestChain, view| {
        let key = next_set(&chain.tree).unwrap().leader(chain.height.next(), View::new(view)).public_key;
        (1..=4).find(|seed| validator(*seed) == key).unwrap()
    };
    let order: Vec<u8> = (0..4).map(|view| leader(&chain, view)).collect();
    late(&mut chain, 2);
    let absence = |chain: &TestChain| order.iter().map(|seed| record(chain, *seed).absence).collect::<Vec<_>>();
    assert_eq!(absence(&chain), [1, 1, 0, 0]);
    // Ten views of four leaders: once each, but not whoever built it.
    let order_2: Vec<u8> = (0..4).map(|view| leader(&chain, view)).collect();
    late(&mut chain, 10);
    let missed: Vec<_> = order_2.iter().map(|seed| record(&chain, *seed).missed).collect();
    let builder = order_2[2];
    let before = |seed: u8| u64::from(order[..2].contains(&seed));
    let expected: Vec<_> = order_2.iter().map(|seed| before(*seed) + u64::from(*seed != builder)).collect();
    assert_eq!(missed, expected);
    // Building a block takes one off, never below zero, and what was missed stays known.
    let seed = order[0];
    let (absence, missed) = (record(&chain, seed).absence, record(&chain, seed).missed);
    chain.proposer = validator(seed);
    for step in 1..=4 {
        idle(&mut chain);
        assert_eq!(record(&chain, seed).absence, absence.saturating_sub(step));
    }
    assert_eq!(record(&chain, seed).missed, missed);
}

#[test]
fn rule_14_who_is_absent_for_long_is_jailed_but_never_below_a_quorum() {
    let mut chain = chain_of(4);
    let mut events = Vec::new();
    // Of view 3 on every height: three leaders miss, only the builder does not.
    for _ in 0..60 {
        events.extend(late(&mut chain, 3));
    }
    let jailed: Vec<_> = events.iter().filter(|e| matches!(e, Event::ValidatorJailed { .. })).collect();
    let delayed = events.iter().filter(|e| matches!(e, Event::JailDelayed { .. })).count();
    assert_eq!(jailed.len(), 1, "{events:?}");
    assert!(matches!(jailed[0], Event::ValidatorJailed { cause: JailCause::Absence, absence: 10, proposal: None, .. }));
    assert!(delayed >= 1, "the next ones stay, and it is said");
    assert_eq!(set(&chain).len(), 3, "three need all three");
    let gone = (1..=4).find(|seed| !set(&chain).contains(seed)).unwrap();
    assert_eq!(
        (record(&chain, gone).standing, record(&chain, gone).absence),
        (Standing::Jailed(JailCause::Absence), 0)
    );
    // The council lifts it, it says that it is back, and starts anew.
    let others = set(&chain);
    pass(&mut chain, &others, unjail(gone));
    act(&mut chain, gone, Action::ValidatorReady {}).unwrap();
    let end = chain.height.get() / 5 * 5 + 5;
    idle_to(&mut chain, end);
    assert_eq!(set(&chain), [1, 2, 3, 4]);
}

#[test]
fn rule_14_a_lower_bound_counts_from_the_next_miss_on() {
    let mut chain = chain_of(7);
    let target = validator(1);
    let miss = |chain: &mut TestChain| loop {
        let set = next_set(&chain.tree).unwrap();
        let turn = set.leader(chain.height.next(), View::ZERO).public_key == target;
        let events = if turn { late(chain, 1) } else { idle(chain) };
        if turn {
            return events;
        }
    };
    let others = [2, 3, 4, 5, 6];
    pass(&mut chain, &others, parameter("absence_jail_turns", 20));
    idle_to(&mut chain, 10);
    chain.proposer = validator(2);
    for _ in 0..15 {
        assert!(!miss(&mut chain).iter().any(|e| matches!(e, Event::ValidatorJailed { .. })));
        chain.proposer = validator(2);
    }
    assert_eq!(record(&chain, 1).absence, 15);
    pass(&mut chain, &others, parameter("absence_jail_turns", 10));
    for _ in 0..3 {
        idle(&mut chain);
    }
    assert_eq!(record(&chain, 1).standing, Standing::Admitted);
    let events = miss(&mut chain);
    assert!(events.iter().any(|e| matches!(e, Event::ValidatorJailed { validator, .. } if *validator == target)));
    // At once in the record, in the set after the epoch.
    assert_eq!(record(&chain, 1).target(), 0);
}
