//! Rules 10 and 11: what stake earns. The arithmetic alone is tested in `state::stakes`.

use super::*;
use crate::testing::FEE;

/// What of a transaction's fee is for who stands behind the proposer.
const EARNED: u128 = FEE.get() / 2;

#[test]
fn rule_10_commission_then_by_shares() {
    let mut chain = pos();
    // Behind the proposer: 10,000 of its own and 30,000 of another.
    act(&mut chain, 5, delegate(1, 3 * OWN)).unwrap();
    let native = |chain: &TestChain, seed| chain.account(&address(seed)).balance.get();
    // The delegation's own fee was the first, and half of what is not commission is theirs by then.
    let first = EARNED - EARNED / 10;
    let fees = 4;
    for _ in 0..fees {
        act(&mut chain, 8, delegate(2, 1)).unwrap();
    }
    let all = first + fees * first;
    let before = (native(&chain, 1), native(&chain, 5));
    let done = act(&mut chain, 5, rewards_of(1)).unwrap();
    // All five fees came when it had its shares: fees are shared at the end of the block.
    let paid = |done: &[Event]| match done {
        [Event::RewardWithdrawn { reward, commission, .. }] => (reward.get(), commission.get()),
        _ => panic!("{done:?}"),
    };
    let (reward, none) = paid(&done);
    assert!(all * 3 / 4 - reward <= 1 && none == 0, "rounded down where 2^-128 is missing");
    assert_eq!(native(&chain, 5), before.1 + reward - FEE.get());
    let done = act(&mut chain, 1, rewards_of(1)).unwrap();
    let (own, commission) = paid(&done);
    assert!((all + first) / 4 - own <= 1 && commission == (fees + 2) * EARNED / 10);
    assert_eq!(
        stake_of(&chain, 1).rewards.held.get(),
        (all + 2 * first) + (fees + 3) * EARNED / 10 - reward - own - commission
    );
    assert_eq!(native(&chain, 1), before.0 + own + commission - FEE.get(), "the proposer gets nothing besides");
    chain.proposer = validator(3);
    assert_eq!(act(&mut chain, 7, rewards_of(2)), Err(NO_REWARDS.number));
    assert_eq!(act(&mut chain, 7, rewards_of(6)), Err(NO_STAKE.number));
}

#[test]
fn rule_10_an_announced_commission_holds_from_its_block_on() {
    let mut chain = pos();
    act(&mut chain, 1, commission(500)).unwrap();
    let taken = |chain: &mut TestChain| {
        let before = stake_of(chain, 1).rewards.commission.get();
        act(chain, 8, delegate(2, 1)).unwrap();
        stake_of(chain, 1).rewards.commission.get() - before
    };
    idle_to(&mut chain, 9);
    assert_eq!(taken(&mut chain), EARNED / 10, "block 10");
    assert_eq!(taken(&mut chain), EARNED / 20, "block 11");
}

#[test]
fn rule_10_issuance_is_minted_and_earned() {
    let params = Params { issuance_per_block: Amount::new(1_000), ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Hybrid, Amount::new(OWN)), &[1, 2, 3, 4]);
    let minted = |chain: &TestChain| money::asset(&chain.tree, AssetId::NATIVE).unwrap().minted.get();
    let before = minted(&chain);
    idle_to(&mut chain, 10);
    assert_eq!(minted(&chain), before + 10_000);
    assert_eq!(stake_of(&chain, 1).rewards.held.get(), 10_000);
    let supply = money::audit(&chain.tree).unwrap().remove(0);
    assert_eq!((supply.in_rewards.get(), supply.is_conserved()), (10_000, true));
    // In mode poa nothing is created.
    let mut chain = TestChain::with(&params, &[]);
    let before = minted(&chain);
    chain.block(&[]);
    assert_eq!(minted(&chain), before);
}

#[test]
fn rule_11_changes_pay_what_was_earned() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, OWN)).unwrap();
    act(&mut chain, 8, delegate(2, 1)).unwrap();
    let each = (EARNED - EARNED / 10) / 2;
    let done = act(&mut chain, 5, delegate(1, 5)).unwrap();
    let Event::StakeDelegated { reward, .. } = done[0] else { panic!("{done:?}") };
    assert!(2 * each - reward.get() <= 1, "rounded down");
    let done = act(&mut chain, 5, undelegate(1, OWN + 5)).unwrap();
    let Event::StakeUnbonding { reward, .. } = done[0] else { panic!("{done:?}") };
    assert!(reward.get().abs_diff(each) <= 2);
    // Who has gone earns no more and leaves no row.
    act(&mut chain, 8, delegate(2, 1)).unwrap();
    assert_eq!((shares(&chain, 5, 1), stake_of(&chain, 1).delegations), (0, 1));
    assert_eq!(act(&mut chain, 5, rewards_of(1)), Err(NO_REWARDS.number));
}

#[test]
fn a_slash_takes_nothing_that_was_earned() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, OWN)).unwrap();
    let before = stake_of(&chain, 1).rewards;
    chain.proposer = validator(2);
    run(&mut chain, 8, proof(1, 1)).unwrap();
    assert_eq!(stake_of(&chain, 1).rewards, before);
    assert!(act(&mut chain, 5, rewards_of(1)).is_ok());
}
