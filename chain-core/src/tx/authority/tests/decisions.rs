//! Rules 9 to 12: parameters, upgrades, admission.

use super::*;
use crate::execute::Execution;
use crate::state::params;
use crate::state::protocol::{protocol, roles};

#[test]
fn rule_9_a_parameter_comes_into_force_after_whole_blocks_of_delay() {
    let mut chain = chain_of(4);
    let (id, events) = pass(&mut chain, &[1, 2, 3], parameter("burn_bps", 123));
    let passed = chain.height.get();
    let activates = Height::new(passed + 3);
    let Some(Event::ProposalEnded { status: now, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(*now, Status::Passed { activates });
    assert_eq!(super::super::proposal::pending(&chain.tree), Ok(vec![(activates, ProposalId::new(id))]));
    assert_eq!(idle(&mut chain), []);
    assert_eq!(params(&chain.tree).unwrap().burn_bps, 5_000, "in force in the next block, too");
    let events = idle(&mut chain);
    let name = Text::new("burn_bps").unwrap();
    let (proposal, before, after) = (ProposalId::new(id), 5_000, 123);
    assert_eq!(events, [Event::ParameterChanged { proposal, name, before, after, height: activates }]);
    assert_eq!(chain.height.next(), activates);
    assert_eq!(params(&chain.tree).unwrap().burn_bps, 123);
    assert_eq!(status(&chain, id), Status::Enacted);
    // The block it comes into force in is the first that shares its fees so.
    let before = chain.balance(1, AssetId::NATIVE);
    chain.run_ok(5, [crate::testing::pay(address(6), 1)]);
    let earned = chain.balance(1, AssetId::NATIVE).get() - before.get();
    assert_eq!(earned, 10_000 - 123);
}

#[test]
fn rule_9_changes_of_one_parameter_follow_one_another() {
    let mut chain = chain_of(1);
    for value in [11, 22, 33] {
        act(&mut chain, 1, propose(parameter("burn_bps", value))).unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        idle(&mut chain);
        seen.push(params(&chain.tree).unwrap().burn_bps);
    }
    assert_eq!(seen, [22, 33, 33, 33, 33], "each two blocks after its vote");
    // In one block: in the order of their numbers.
    let nonce = chain.account(&address(1)).nonce;
    let both = [77, 66].map(|value| tx::Action::Authority(propose(parameter("burn_bps", value))));
    chain.block(&[checked(1, nonce, both)]);
    idle_to(&mut chain, 20);
    assert_eq!(params(&chain.tree).unwrap().burn_bps, 66);
}

#[test]
fn rule_9_what_breaks_a_bound_by_then_keeps_the_old_value() {
    let mut chain = chain_of(1);
    // Each is right by itself, not both: the block time must not exceed the empty interval.
    act(&mut chain, 1, propose(parameter("empty_block_interval_ms", 3_000))).unwrap();
    idle_to(&mut chain, 4);
    let nonce = chain.account(&address(1)).nonce;
    let both = [("block_time_ms", 2_900), ("empty_block_interval_ms", 2_500)]
        .map(|(name, value)| tx::Action::Authority(propose(parameter(name, value))));
    chain.block(&[checked(1, nonce, both)]);
    let events = idle_to(&mut chain, 8);
    let number = PARAMETER_OUT_OF_BOUNDS.number;
    assert!(
        matches!(&events[..], [Event::ParameterChanged { .. }, Event::ParameterKept { number: n, .. }] if *n == number),
        "{events:?}"
    );
    let params = params(&chain.tree).unwrap();
    assert_eq!((params.block_time_ms, params.empty_block_interval_ms), (2_900, 3_000));
    assert_eq!(params.check(), Ok(()));
    assert_eq!(status(&chain, 3), Status::Failed { number });
}

#[test]
fn rule_9_a_vote_never_shortens_the_delay_below_ten_blocks() {
    let usual = TestChain::of(&Params::default(), &[], &[1]);
    for (mut chain, value, expected) in [
        (chain_of(1), 1, Err(PARAMETER_OUT_OF_BOUNDS.number)),
        (chain_of(1), 2, Ok(())),
        (chain_of(1), 3, Ok(())),
        (usual, 9, Err(PARAMETER_OUT_OF_BOUNDS.number)),
    ] {
        let proposed = act(&mut chain, 1, propose(parameter("delay_blocks", value)));
        assert_eq!(proposed.map(drop), expected, "{value}");
    }
}

#[test]
fn rule_9_a_vote_never_makes_voting_impossible() {
    let mut chain = chain_of(1);
    for (name, value) in [("proposal_ttl_s", 19), ("proposal_ttl_s", 59), ("evidence_window_blocks", 4)] {
        assert_eq!(act(&mut chain, 1, propose(parameter(name, value))), Err(PARAMETER_OUT_OF_BOUNDS.number), "{name}");
    }
    for (name, most) in [("account_fee", 360), ("asset_fee", 360_000), ("min_fee_per_1000_weight", 360)] {
        assert_eq!(act(&mut chain, 1, propose(parameter(name, most + 1))), Err(PARAMETER_OUT_OF_BOUNDS.number));
        act(&mut chain, 1, propose(parameter(name, most))).unwrap();
    }
    let mut usual = TestChain::of(&Params::default(), &[], &[1]);
    assert_eq!(act(&mut usual, 1, propose(parameter("proposal_ttl_s", 3_599))), Err(PARAMETER_OUT_OF_BOUNDS.number));
    act(&mut usual, 1, propose(parameter("proposal_ttl_s", 3_600))).unwrap();
}

#[test]
fn rule_10_an_upgrade_stops_old_software_at_its_height_and_no_other() {
    let mut chain = chain_of(1);
    let height = Height::new(6);
    act(&mut chain, 1, propose(Measure::Upgrade { version: 2, height })).unwrap();
    assert_eq!(status(&chain, 1), Status::Passed { activates: height });
    idle_to(&mut chain, 4);
    assert!(Execution::start(&chain.tree, chain.next()).is_ok());
    let events = idle(&mut chain);
    assert_eq!(events, [Event::RulesUpgraded { proposal: ProposalId::new(1), before: 1, after: 2, height }]);
    assert_eq!(protocol(&chain.tree).unwrap().version, 2);
    let fault = Execution::start(&chain.tree, chain.next()).err().unwrap();
    assert!(fault.is_outdated() && !fault.is_disk_full());
    assert!(fault.to_string().contains("version 2") && fault.to_string().contains("version 1"), "{fault}");
    for newer in [2, 3] {
        let execution = Execution::start_as(&chain.tree, chain.next(), newer).unwrap();
        execution.finish().unwrap();
    }
}

#[test]
fn rule_10_of_two_upgrades_to_a_version_the_first_one_counts() {
    let mut chain = chain_of(1);
    let upgrade = |version, height| propose(Measure::Upgrade { version, height: Height::new(height) });
    assert_eq!(act(&mut chain, 1, upgrade(1, 50)), Err(UPGRADE_VERSION.number));
    // Passed in block 2: the blocks 3 and 4 lie between.
    assert_eq!(act(&mut chain, 1, upgrade(2, 4)), Err(UPGRADE_TOO_SOON.number));
    act(&mut chain, 1, upgrade(2, 10)).unwrap();
    act(&mut chain, 1, upgrade(2, 10)).unwrap();
    let events = idle_to(&mut chain, 9);
    assert!(matches!(events[0], Event::RulesUpgraded { after: 2, .. }), "{events:?}");
    assert!(matches!(events[1], Event::UpgradeDropped { version: 2, current: 2, .. }), "{events:?}");
    assert_eq!(protocol(&chain.tree).unwrap().version, 2);
}

#[test]
fn rule_10_what_waits_can_be_taken_back_until_its_block() {
    let mut chain = chain_of(1);
    let upgrade = propose(Measure::Upgrade { version: 2, height: Height::new(10) });
    let take_back = |proposal| propose(Measure::Withdraw { proposal: ProposalId::new(proposal) });
    act(&mut chain, 1, upgrade.clone()).unwrap();
    let events = act(&mut chain, 1, take_back(1)).unwrap();
    let taken_back = Event::ProposalWithdrawn { proposal: ProposalId::new(2), withdrawn: ProposalId::new(1) };
    assert_eq!(events.last(), Some(&taken_back));
    assert_eq!(status(&chain, 1), Status::Withdrawn);
    assert_eq!(act(&mut chain, 1, take_back(1)), Err(NOT_WAITING.number));
    // In the very block whose end would bring it into force.
    act(&mut chain, 1, upgrade).unwrap();
    idle_to(&mut chain, 8);
    let events = act(&mut chain, 1, take_back(3)).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::RulesUpgraded { .. })), "{events:?}");
    idle_to(&mut chain, 100);
    assert_eq!(protocol(&chain.tree).unwrap().version, 1);
    assert_eq!(proposal(&chain, 3), None, "it leaves as any other");
}

#[test]
fn rule_10_no_more_than_sixty_four_decisions_wait() {
    let mut chain = chain_of(1);
    let upgrade = propose(Measure::Upgrade { version: 2, height: Height::new(1_000) });
    for _ in 0..64 {
        act(&mut chain, 1, upgrade.clone()).unwrap();
    }
    act(&mut chain, 1, upgrade).unwrap();
    assert_eq!(status(&chain, 65), Status::Failed { number: TOO_MANY_WAITING.number });
    act(&mut chain, 1, propose(add(5))).unwrap();
    assert_eq!(status(&chain, 66), Status::Enacted, "what waits for nothing");
}

#[test]
fn rule_11_standing_counts_at_once_and_the_set_follows_at_the_end_of_the_epoch() {
    let mut chain = chain_of(5);
    let (_, events) = pass(&mut chain, &[1, 2, 3, 4], remove(5));
    assert!(matches!(events.last(), Some(Event::ValidatorRemoved { validator: v, .. }) if *v == validator(5)));
    assert_eq!((record(&chain, 5).standing, set(&chain)), (Standing::Removed, vec![1, 2, 3, 4, 5]));
    idle_to(&mut chain, 5);
    assert_eq!(set(&chain), [1, 2, 3, 4]);
    // It may come back; a jailed one, too.
    pass(&mut chain, &[1, 2, 3], add(5));
    act(&mut chain, 5, Action::ValidatorReady {}).unwrap();
    idle_to(&mut chain, 10);
    assert_eq!(set(&chain), [1, 2, 3, 4, 5]);
    pass(&mut chain, &[1, 2, 3, 4], jail(5));
    assert_eq!(act(&mut chain, 5, Action::ValidatorReady {}), Err(JAILED.number));
    assert_eq!(set(&chain), [1, 2, 3, 4]);
    pass(&mut chain, &[1, 2, 3], unjail(5));
    idle_to(&mut chain, 20);
    assert_eq!(set(&chain), [1, 2, 3, 4], "not ready");
    act(&mut chain, 5, Action::ValidatorReady {}).unwrap();
    idle_to(&mut chain, 25);
    assert_eq!(set(&chain), [1, 2, 3, 4, 5]);
}

#[test]
fn roles_are_given_and_taken_at_once() {
    let mut chain = chain_of(1);
    assert_eq!(roles(&chain.tree).unwrap(), Default::default());
    for (number, account) in (1..).zip([Some(address(3)), Some(address(4)), None]) {
        let before = roles(&chain.tree).unwrap().curator;
        let events = act(&mut chain, 1, propose(Measure::Role { role: Role::Curator, account })).unwrap();
        let expected =
            Event::RoleGiven { proposal: ProposalId::new(number), role: Role::Curator, before, after: account };
        assert_eq!(events.last(), Some(&expected));
        assert_eq!(roles(&chain.tree).unwrap().get(Role::Curator), account);
    }
}

#[test]
fn rule_12_nobody_joins_without_its_own_word() {
    let mut chain = chain_of(4);
    pass(&mut chain, &[1, 2, 3], add(5));
    idle_to(&mut chain, 5);
    assert_eq!(set(&chain), [1, 2, 3, 4]);
    assert_eq!(act(&mut chain, 6, Action::ValidatorReady {}), Err(NOT_ADMITTED.number));
    assert_eq!(act(&mut chain, 1, Action::ValidatorReady {}), Err(ALREADY_READY.number));
    let events = act(&mut chain, 5, Action::ValidatorReady {}).unwrap();
    assert_eq!(events, [Event::ValidatorDeclaredReady { validator: validator(5), weight: 1 }]);
    assert_eq!(act(&mut chain, 5, Action::ValidatorReady {}), Err(ALREADY_READY.number));
    assert_eq!(set(&chain), [1, 2, 3, 4], "at the end of the epoch");
    idle_to(&mut chain, 10);
    assert_eq!(set(&chain), [1, 2, 3, 4, 5]);
}
