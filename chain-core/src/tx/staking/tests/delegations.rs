//! Rules 6 to 9: stake that comes and goes.

use super::*;

#[test]
fn rule_6_a_share_per_unit() {
    let mut chain = pos();
    assert_eq!(act(&mut chain, 5, delegate(6, 5)), Err(NO_STAKE.number));
    assert_eq!(act(&mut chain, 1, delegate(1, 5)), Err(OWN_STAKE.number));
    assert_eq!(act(&mut chain, 1, undelegate(1, 5)), Err(OWN_STAKE.number));
    assert_eq!(act(&mut chain, 5, delegate(1, FUNDS.get() + 1)), Err(money::INSUFFICIENT_BALANCE.number));
    let done = act(&mut chain, 5, delegate(1, 700)).unwrap();
    let expected = Event::StakeDelegated {
        validator: validator(1),
        delegator: address(5),
        amount: Amount::new(700),
        shares: Amount::new(700),
        bonded: Amount::new(OWN + 700),
        reward: Amount::ZERO,
        row_fee: Params::default().account_fee,
    };
    assert_eq!(done, [expected]);
    let done = act(&mut chain, 5, delegate(1, 300)).unwrap();
    assert!(matches!(done[..], [Event::StakeDelegated { row_fee: Amount::ZERO, .. }]), "one row, one fee");
    assert_eq!((shares(&chain, 5, 1), stk(&chain, 5)), (1_000, FUNDS.get() - 1_000));
    // A convicted validator takes no more, neither from others nor from itself.
    run(&mut chain, 8, proof(1, 2)).unwrap();
    assert_eq!(act(&mut chain, 6, delegate(1, 5)), Err(CONVICTED.number));
    assert_eq!(act(&mut chain, 1, bond(5_000)), Err(CONVICTED.number));
    // Nor does one that has unbonded all.
    assert!(act(&mut chain, 2, unbond(OWN)).is_ok());
    assert_eq!(act(&mut chain, 6, delegate(2, 5)), Err(NOT_A_VALIDATOR.number));
}

#[test]
fn rule_6_the_first_to_bond_takes_nothing_from_the_second() {
    let params = Params { min_validator_stake: Amount::new(1), ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    // One unit, then the smallest rewards and much stake of another: the classic way to make a share dear.
    act(&mut chain, 5, bond(1)).unwrap();
    chain.proposer = validator(5);
    for _ in 0..3 {
        chain.block(&[]);
    }
    act(&mut chain, 6, delegate(5, 1_000_000)).unwrap();
    let (before, others) = (stk(&chain, 6), stk(&chain, 5));
    act(&mut chain, 6, undelegate(5, 1_000_000)).unwrap();
    act(&mut chain, 5, unbond(1)).unwrap();
    let now = chain.height.get();
    idle_to(&mut chain, now + 45);
    act(&mut chain, 6, withdraw(5)).unwrap();
    act(&mut chain, 5, withdraw(5)).unwrap();
    assert_eq!((stk(&chain, 6), stk(&chain, 5)), (before + 1_000_000, others + 1));
}

#[test]
fn rule_7_unbonding_at_its_worth_in_at_most_seven_entries() {
    let mut chain = pos();
    act(&mut chain, 5, delegate(1, 1_000)).unwrap();
    assert_eq!(act(&mut chain, 5, undelegate(2, 1)), Err(NOT_BONDED.number));
    assert_eq!(act(&mut chain, 5, undelegate(6, 1)), Err(NO_STAKE.number));
    assert_eq!(act(&mut chain, 5, undelegate(1, 1_001)), Err(MORE_THAN_BONDED.number));
    end_epoch(&mut chain);
    let done = act(&mut chain, 5, undelegate(1, 100)).unwrap();
    assert!(
        matches!(&done[0], Event::StakeUnbonding { worth, shares, bonded, batch: 0, .. }
        if (worth.get(), shares.get(), bonded.get()) == (100, 900, OWN + 900)),
        "{done:?}"
    );
    // In the same epoch it is the same entry.
    act(&mut chain, 5, undelegate(1, 50)).unwrap();
    let entries = |chain: &TestChain| all_unbondings(chain).pop().map_or(vec![], |(_, row)| row.entries.into_inner());
    assert_eq!(entries(&chain).iter().map(|e| (e.batch, e.shares.get())).collect::<Vec<_>>(), [(0, 150)]);
    for _ in 0..6 {
        end_epoch(&mut chain);
        act(&mut chain, 5, undelegate(1, 10)).unwrap();
    }
    assert_eq!(entries(&chain).len(), 7);
    act(&mut chain, 5, undelegate(1, 10)).unwrap();
    end_epoch(&mut chain);
    assert_eq!(act(&mut chain, 5, undelegate(1, 10)), Err(TOO_MANY_UNBONDINGS.number));
    // Another one has places of its own, and what is free makes room.
    act(&mut chain, 6, delegate(1, 10)).unwrap();
    act(&mut chain, 6, undelegate(1, 10)).unwrap();
    act(&mut chain, 5, withdraw(1)).unwrap();
    assert!(act(&mut chain, 5, undelegate(1, 10)).is_ok());
}

#[test]
fn rule_8_the_wait_begins_when_the_weight_has_left() {
    let mut chain = pos();
    // Weight 100 of 400 may go in one epoch with a budget of 133; 400 of 700 needs two with 233.
    act(&mut chain, 5, delegate(1, 30_000)).unwrap();
    for _ in 0..3 {
        end_epoch(&mut chain);
    }
    assert_eq!(weights(&chain)[..4], [400, 100, 100, 100]);
    act(&mut chain, 5, undelegate(1, 30_000)).unwrap();
    let closed = end_epoch(&mut chain);
    assert_eq!((weights(&chain)[0], closed), (167, vec![]), "its weight is in the set still");
    assert_eq!(act(&mut chain, 5, withdraw(1)), Err(STILL_UNBONDING.number));
    let closed = end_epoch(&mut chain);
    let Event::BatchClosed { batch: 0, amount, free_from, .. } = closed[0].clone() else { panic!("{closed:?}") };
    assert_eq!((amount.get(), free_from.get()), (30_000, chain.height.get() + 33));
    assert_eq!(weights(&chain)[0], 100);
}

#[test]
fn rule_8_batches_are_few() {
    let params = Params { evidence_window_blocks: 640, ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    act(&mut chain, 5, delegate(1, 100)).unwrap();
    let mut closed = vec![];
    for _ in 0..12 {
        act(&mut chain, 5, undelegate(1, 1)).unwrap();
        let done = end_epoch(&mut chain);
        closed.extend((!done.is_empty()).then(|| chain.height.get()));
    }
    assert_eq!(closed, [5, 25, 45], "640 / 32 = 20 blocks apart at least");
}

#[test]
fn rule_9_free_after_window_and_time() {
    let mut chain = pos();
    assert_eq!(act(&mut chain, 5, withdraw(6)), Err(NO_STAKE.number));
    assert_eq!(act(&mut chain, 5, withdraw(1)), Err(NOTHING_UNBONDS.number));
    act(&mut chain, 5, delegate(1, 1_000)).unwrap();
    act(&mut chain, 5, undelegate(1, 400)).unwrap();
    let closed = end_epoch(&mut chain);
    assert!(matches!(closed[..], [Event::BatchClosed { free_from, free_at, .. }]
        if (free_from.get(), free_at.get()) == (5 + 33, 10_000 + 40_000)));
    idle_to(&mut chain, 36);
    assert_eq!(act(&mut chain, 5, withdraw(1)), Err(STILL_UNBONDING.number), "block 37");
    let before = stk(&chain, 5);
    let done = act(&mut chain, 5, withdraw(1)).unwrap();
    let expected = Event::StakeWithdrawn {
        validator: validator(1),
        delegator: address(5),
        shares: Amount::new(400),
        paid: Amount::new(400),
        waiting: 0,
    };
    assert_eq!((done, stk(&chain, 5)), (vec![expected], before + 400));
    assert_eq!(act(&mut chain, 5, withdraw(1)), Err(NOTHING_UNBONDS.number), "once");
    assert_eq!(batch(&chain, 1, 0), None);
    // Where the time is the longer one, it is waited for.
    let params = Params { unbonding_s: 400, ..short() };
    let mut chain = TestChain::staked(&params, (ConsensusMode::Pos, Amount::new(OWN)), &[1, 2, 3, 4]);
    act(&mut chain, 1, unbond(500)).unwrap();
    idle_to(&mut chain, 203);
    assert_eq!(act(&mut chain, 1, withdraw(1)), Err(STILL_UNBONDING.number), "block 204 at 408 s");
    assert!(act(&mut chain, 1, withdraw(1)).is_ok(), "block 205 at 410 s");
}
