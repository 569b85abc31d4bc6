//! What stake means for the set and the council.

use super::*;
use crate::state::validators::records;
use crate::tx::authority::{Measure, council};

fn propose(measure: Measure) -> tx::Action {
    tx::Action::Authority(tx::authority::Action::CouncilPropose { measure })
}

fn vote(proposal: u64, approve: bool) -> tx::Action {
    let proposal = crate::types::ProposalId::new(proposal);
    tx::Action::Authority(tx::authority::Action::CouncilVote { proposal, approve })
}

fn total(chain: &TestChain) -> u64 {
    weights(chain).iter().sum()
}

#[test]
fn weights_move_towards_stake_within_the_budget() {
    let mut chain = pos();
    assert_eq!(weights(&chain)[..4], [100; 4]);
    act(&mut chain, 5, delegate(1, 90_000)).unwrap();
    let mut before = total(&chain);
    let mut steps = vec![];
    for _ in 0..4 {
        end_epoch(&mut chain);
        assert!(total(&chain).abs_diff(before) <= before / 3);
        before = total(&chain);
        steps.push(weights(&chain)[0]);
    }
    assert_eq!(steps, [233, 410, 646, 961]);
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[..4], [1_000, 100, 100, 100]);
}

#[test]
fn in_pos_who_bonds_and_is_ready_joins() {
    let mut chain = pos();
    act(&mut chain, 5, bond(10_000)).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[4], 0, "it has not said that it is ready");
    run(&mut chain, 5, ready()).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[4], 100);
    assert!(record(&chain, 5).unwrap().spans.last().unwrap().until.is_none());
    act(&mut chain, 5, unbond(10_000)).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[4], 0);
    // Its record goes with its last height in the window, its stake when it is free.
    let now = chain.height.get();
    idle_to(&mut chain, now + 40);
    assert!(record(&chain, 5).is_none());
    act(&mut chain, 5, withdraw(5)).unwrap();
    assert_eq!(stk(&chain, 5), FUNDS.get());
}

#[test]
fn the_most_stake_validates() {
    let params = Params { max_active_validators: 4, ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    for (seed, amount) in [(5, 9_000), (6, 12_000)] {
        act(&mut chain, seed, bond(amount)).unwrap();
        run(&mut chain, seed, ready()).unwrap();
    }
    for _ in 0..3 {
        end_epoch(&mut chain);
    }
    let now = weights(&chain);
    assert_eq!((now[4], now[5], now.iter().filter(|w| **w > 0).count()), (0, 120, 4));
    // Delegations lift one over another.
    act(&mut chain, 8, delegate(5, 5_000)).unwrap();
    for _ in 0..3 {
        end_epoch(&mut chain);
    }
    let now = weights(&chain);
    assert_eq!((now[4], now[5], now.iter().filter(|w| **w > 0).count()), (140, 120, 4));
}

#[test]
fn own_stake_below_a_raised_minimum_gives_no_weight() {
    let mut chain = demanding();
    act(&mut chain, 1, bond(5_000)).unwrap();
    act(&mut chain, 2, bond(5_000)).unwrap();
    act(&mut chain, 3, bond(5_000)).unwrap();
    let value = 12_000;
    run(
        &mut chain,
        1,
        propose(Measure::Parameter { name: crate::codec::Text::new("min_validator_stake").unwrap(), value }),
    )
    .unwrap();
    run(&mut chain, 2, vote(1, true)).unwrap();
    run(&mut chain, 3, vote(1, true)).unwrap();
    act(&mut chain, 5, delegate(4, 50_000)).unwrap();
    for _ in 0..6 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[..4], [150, 150, 150, 0]);
}

/// The validators 1 to 3 decide something.
fn decide(chain: &mut TestChain, number: u64, measure: Measure) {
    run(chain, 1, propose(measure)).unwrap();
    run(chain, 2, vote(number, true)).unwrap();
    run(chain, 3, vote(number, true)).unwrap();
}

/// A chain whose minimum a vote can raise above what everybody has.
fn demanding() -> TestChain {
    let params = Params { min_validator_stake: Amount::new(2_000), ..short() };
    TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4])
}

fn minimum(value: u128) -> Measure {
    Measure::Parameter { name: crate::codec::Text::new("min_validator_stake").unwrap(), value }
}

#[test]
fn while_nobody_has_the_minimum_the_weights_stay_and_so_does_the_stake() {
    let mut chain = demanding();
    act(&mut chain, 5, delegate(4, 4_000)).unwrap();
    end_epoch(&mut chain);
    decide(&mut chain, 1, minimum(11_000));
    end_epoch(&mut chain);
    act(&mut chain, 5, undelegate(4, 4_000)).unwrap();
    act(&mut chain, 6, bond(10_999)).unwrap_err();
    for _ in 0..12 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[..4], [100, 100, 100, 140]);
    assert_eq!(batch(&chain, 4, 0).unwrap().closed, None);
    assert_eq!(act(&mut chain, 5, withdraw(4)), Err(STILL_UNBONDING.number));
    // Who is jailed leaves all the same.
    decide(&mut chain, 2, Measure::Jail { public_key: validator(1) });
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[..4], [0, 100, 100, 140]);
    // As soon as somebody qualifies it is as ever.
    act(&mut chain, 2, bond(2_000)).unwrap();
    for _ in 0..6 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[3], 0);
    assert!(batch(&chain, 4, 0).unwrap().closed.is_some());
}

#[test]
fn absence_jails_also_while_nobody_has_the_minimum() {
    let mut chain = demanding();
    decide(&mut chain, 1, minimum(11_000));
    end_epoch(&mut chain);
    while record(&chain, 4).unwrap().standing == crate::state::Standing::Admitted {
        let set = next_set(&chain.tree).unwrap();
        let late = set.leader(chain.height.next(), View::ZERO).public_key == validator(4);
        chain.view = View::new(u32::from(late));
        chain.proposer = if late { set.leader(chain.height.next(), chain.view).public_key } else { validator(1) };
        chain.block(&[]);
        assert!(chain.height.get() < 300);
    }
}

#[test]
fn in_hybrid_no_weight_without_stake_even_if_nobody_has_any() {
    let mut chain = chain_of(ConsensusMode::Hybrid);
    for seed in 1..=4 {
        act(&mut chain, seed, unbond(OWN)).unwrap();
    }
    end_epoch(&mut chain);
    let name = crate::codec::Text::new("five").unwrap();
    decide(&mut chain, 1, Measure::Add { public_key: validator(5), name, weight: 100 });
    run(&mut chain, 5, ready()).unwrap();
    let gone = chain.height.get() + 60;
    idle_to(&mut chain, gone);
    assert_eq!(weights(&chain)[..5], [100, 100, 100, 100, 0], "an admission gives no weight");
    for seed in 1..=4 {
        assert_eq!(act(&mut chain, seed, withdraw(seed)), Err(STILL_UNBONDING.number));
    }
    // Whoever signs can lose what made it sign.
    let offence = chain.height.get();
    run(&mut chain, 8, proof(4, offence)).unwrap();
    assert_eq!(stake_of(&chain, 4).slash.unwrap().unbonding.get(), OWN / 10);
    // One that has stake is enough, and the others go.
    act(&mut chain, 1, bond(OWN)).unwrap();
    for _ in 0..6 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[..5].iter().filter(|weight| **weight > 0).count(), 1);
    assert!(batch(&chain, 2, 0).unwrap().closed.is_some());
}

#[test]
fn in_hybrid_authorities_by_stake_up_to_the_cap() {
    let mut chain = chain_of(ConsensusMode::Hybrid);
    act(&mut chain, 5, delegate(1, 1_000_000)).unwrap();
    for _ in 0..4 {
        end_epoch(&mut chain);
    }
    // C = 147: 10000 · 147 ≤ 3300 · 447, but not 10000 · 148 ≤ 3300 · 448.
    assert_eq!(weights(&chain)[..4], [147, 100, 100, 100]);
    // The council admits; weight comes with stake.
    let name = crate::codec::Text::new("five").unwrap();
    run(&mut chain, 1, propose(Measure::Add { public_key: validator(5), name, weight: 1 << 59 })).unwrap();
    run(&mut chain, 2, vote(1, true)).unwrap();
    run(&mut chain, 3, vote(1, true)).unwrap();
    run(&mut chain, 5, ready()).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[4], 0, "no stake, no weight");
    act(&mut chain, 5, bond(2_000)).unwrap();
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[4], 20);
    let members = council(&chain.tree).unwrap();
    assert_eq!(members.iter().map(|member| member.weight).collect::<Vec<_>>(), [1; 5], "one vote each");
}

#[test]
fn in_pos_votes_weigh_what_the_set_says() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 40_000)).unwrap();
    for _ in 0..4 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[..4], [500, 100, 100, 100]);
    let members = council(&chain.tree).unwrap();
    assert_eq!(members.iter().map(|member| member.weight).sum::<u64>(), 800);
    let measure = || Measure::Jail { public_key: validator(2) };
    run(&mut chain, 3, propose(measure())).unwrap();
    // 100 and 500 of 800 are more than two thirds; three small ones would not be.
    run(&mut chain, 4, vote(1, true)).unwrap();
    assert_eq!(record(&chain, 2).unwrap().standing, crate::state::Standing::Admitted);
    run(&mut chain, 1, vote(1, true)).unwrap();
    assert_ne!(record(&chain, 2).unwrap().standing, crate::state::Standing::Admitted);
    end_epoch(&mut chain);
    // One with more than a third refuses alone; a stranger has no vote, delegators neither.
    run(&mut chain, 3, propose(Measure::Jail { public_key: validator(4) })).unwrap();
    assert!(run(&mut chain, 5, vote(2, true)).is_err());
    run(&mut chain, 1, vote(2, false)).unwrap();
    assert_eq!(run(&mut chain, 4, vote(2, true)).unwrap_err(), tx::authority::PROPOSAL_CLOSED.number);
    // Stake decides who comes and goes.
    for measure in [
        Measure::Remove { public_key: validator(4) },
        Measure::Add { public_key: validator(6), name: Default::default(), weight: 1 },
    ] {
        assert_eq!(run(&mut chain, 1, propose(measure)).unwrap_err(), tx::authority::STAKE_DECIDES.number);
    }
    run(&mut chain, 1, propose(Measure::Unjail { public_key: validator(2) })).unwrap();
    // 500 of 700: a jailed one has no vote.
    assert_eq!(record(&chain, 2).unwrap().standing, crate::state::Standing::Admitted);
    assert!(!record(&chain, 2).unwrap().ready, "it says anew that it runs");
}

#[test]
fn in_poa_stake_changes_nothing() {
    let mut chain = TestChain::of(&short(), &[], &[1, 2, 3, 4]);
    idle_to(&mut chain, 10);
    assert!(records(&chain.tree).unwrap().iter().all(|(_, record)| record.weight == 1));
    assert_eq!(weights(&chain)[..4], [1; 4]);
}
