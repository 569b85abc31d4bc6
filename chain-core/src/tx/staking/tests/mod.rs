//! Rule n of the family is test `rule_n`; what stake means for the set, the council and convictions;
//! random histories.

mod convictions;
mod delegations;
mod histories;
mod rewards;
mod sets;
mod validators;

use super::*;
use crate::block::{Results, Verdict};
use crate::crypto::Hash;
use crate::state::stakes::fixed::Fixed;
use crate::state::stakes::{BATCHES, Batch, DELEGATIONS, Delegation, STAKES, Stake, UNBONDINGS, Unbonding};
use crate::state::validators::{VALIDATORS, next_set};
use crate::state::{Params, ValidatorRecord, money};
use crate::testing::{FUNDS, STK, TestChain, address, checked, key};
use crate::tx;
use crate::types::{BlockId, ConsensusMode, Evidence, SignedMessage, StakeId, View, Vote, VoteKind};

/// What each of the first validators has bonded; weight 100.
const OWN: u128 = 10_000;

/// Short times, so that everything ends.
fn short() -> Params {
    Params {
        epoch_blocks: 5,
        delay_blocks: 2,
        proposal_ttl_s: 60,
        retention_s: 100,
        evidence_window_blocks: 32,
        absence_jail_turns: 10,
        min_validator_stake: Amount::new(1_000),
        weight_exponent: 2,
        unbonding_s: 40,
        slash_equivocation_bps: 1_000,
        ..Params::default()
    }
}

/// A chain whose first validators have the seeds 1 to 4; the accounts 1 to 8 are funded.
fn chain_of(mode: ConsensusMode) -> TestChain {
    TestChain::staked(&short(), (mode, Amount::new(OWN)), &[1, 2, 3, 4])
}

fn pos() -> TestChain {
    chain_of(ConsensusMode::Pos)
}

fn validator(seed: u8) -> PublicKey {
    key(seed).public()
}

fn bond(amount: u128) -> Action {
    Action::StakeBond { amount: Amount::new(amount), commission_bps: None }
}

fn unbond(shares: u128) -> Action {
    Action::StakeUnbond { shares: Amount::new(shares) }
}

fn delegate(to: u8, amount: u128) -> Action {
    Action::StakeDelegate { validator: validator(to), amount: Amount::new(amount) }
}

fn undelegate(from: u8, shares: u128) -> Action {
    Action::StakeUndelegate { validator: validator(from), shares: Amount::new(shares) }
}

fn withdraw(from: u8) -> Action {
    Action::StakeWithdraw { validator: validator(from) }
}

fn rewards_of(from: u8) -> Action {
    Action::RewardWithdraw { validator: validator(from) }
}

fn commission(bps: u16) -> Action {
    Action::StakeSetCommission { commission_bps: bps }
}

/// Every event of this family in a block.
fn events(results: &Results) -> Vec<Event> {
    let ours = |event: &tx::Event| match event {
        tx::Event::Staking(event) => Some(event.clone()),
        _ => None,
    };
    results.events.iter().flatten().filter_map(ours).collect()
}

/// One block with this action; its events, or the number it is refused by.
fn run(chain: &mut TestChain, seed: u8, action: impl Into<tx::Action>) -> Result<Results, u16> {
    let nonce = chain.account(&address(seed)).nonce;
    let results = chain.block(&[checked(seed, nonce, [action.into()])]);
    check_rewards(chain);
    match results.outcomes[0].verdict {
        Verdict::Ok => Ok(results),
        Verdict::Rejected { number, .. } => Err(number),
    }
}

/// As `run`, with the family's events.
fn act(chain: &mut TestChain, seed: u8, action: Action) -> Result<Vec<Event>, u16> {
    run(chain, seed, action).map(|results| events(&results))
}

impl From<Action> for tx::Action {
    fn from(action: Action) -> Self {
        Self::Staking(action)
    }
}

/// Empty blocks up to a height; their events.
fn idle_to(chain: &mut TestChain, height: u64) -> Vec<Event> {
    let mut all = Vec::new();
    while chain.height.get() < height {
        all.extend(events(&chain.block(&[])));
    }
    all
}

/// Empty blocks up to the end of the epoch; their events.
fn end_epoch(chain: &mut TestChain) -> Vec<Event> {
    let next = (chain.height.get() / 5 + 1) * 5;
    idle_to(chain, next)
}

fn stake_of(chain: &TestChain, seed: u8) -> Stake {
    STAKES.get(&chain.tree, &validator(seed)).unwrap().unwrap()
}

fn record(chain: &TestChain, seed: u8) -> Option<ValidatorRecord> {
    VALIDATORS.get(&chain.tree, &validator(seed)).unwrap()
}

/// The shares an account has bonded with a validator.
fn shares(chain: &TestChain, account: u8, of: u8) -> u128 {
    let place = (address(account), stake_of(chain, of).id);
    DELEGATIONS.get(&chain.tree, &place).unwrap().map_or(0, |own| own.shares.get())
}

/// The weights of the set that signs the next block, of the seeds 1 to 8.
fn weights(chain: &TestChain) -> Vec<u64> {
    let set = next_set(&chain.tree).unwrap();
    let weight = |seed| set.members().iter().find(|m| m.public_key == validator(seed)).map_or(0, |m| m.weight);
    (1..=8).map(weight).collect()
}

fn stk(chain: &TestChain, seed: u8) -> u128 {
    chain.balance(seed, STK).get()
}

/// Two votes of a validator at a height that contradict each other.
fn proof(against: u8, height: u64) -> tx::Action {
    let word = |block: u8| {
        let (block, height) = (Some(BlockId(Hash([block; 32]))), Height::new(height));
        let message = SignedMessage { kind: VoteKind::Notarize, height, view: View::ZERO, block };
        Vote::sign(message, &crate::testing::chain(), &key(against)).unwrap()
    };
    tx::Action::Authority(tx::authority::Action::prove(Evidence::Votes(word(1), word(2))))
}

fn ready() -> tx::Action {
    tx::Action::Authority(tx::authority::Action::ValidatorReady {})
}

/// Every delegation, with the number of the stake it belongs to.
fn all_delegations(chain: &TestChain) -> Vec<(StakeId, Delegation)> {
    let row = |row: Result<(&[u8], Delegation), Fault>| {
        let (key, own) = row.unwrap();
        (StakeId::new(u64::from_be_bytes(key[32..].try_into().unwrap())), own)
    };
    DELEGATIONS.scan(&chain.tree).map(row).collect()
}

/// Shares add up to funds; rewards, to the last part of 2^128, to what is held.
fn check_rewards(chain: &TestChain) {
    let (delegations, unbondings) = (all_delegations(chain), all_unbondings(chain));
    for row in STAKES.scan(&chain.tree) {
        let stake = row.unwrap().1;
        let own: Vec<_> = delegations.iter().filter(|(id, _)| *id == stake.id).map(|(_, own)| own).collect();
        assert_eq!(own.len() as u64, stake.delegations);
        assert!(own.iter().all(|own| !own.shares.is_zero()));
        assert_eq!(own.iter().map(|own| own.shares.get()).sum::<u128>(), stake.bonded.shares.get());
        assert!(stake.bonded.held <= stake.bonded.shares);
        let rewards = &stake.rewards;
        let pending = own.iter().fold(Fixed::ZERO, |sum, own| sum.plus(rewards.pending(own.shares, &own.earned)));
        let all = pending.plus(rewards.carry).plus(Fixed::of(rewards.commission.get()));
        assert_eq!(all, Fixed::of(rewards.held.get()), "withdrawable and what is left are what was put in");
    }
    for row in BATCHES.scan(&chain.tree) {
        let (key, batch) = row.unwrap();
        let id = StakeId::new(u64::from_be_bytes(key[..8].try_into().unwrap()));
        let number = u32::from_be_bytes(key[8..].try_into().unwrap());
        let mine = unbondings.iter().filter(|(of, _)| *of == id).flat_map(|(_, unbonding)| unbonding.entries.iter());
        let sum: u128 = mine.filter(|entry| entry.batch == number).map(|entry| entry.shares.get()).sum();
        assert_eq!(sum, batch.fund.shares.get());
        assert!(batch.fund.held <= batch.fund.shares && sum > 0);
    }
}

fn all_unbondings(chain: &TestChain) -> Vec<(StakeId, Unbonding)> {
    let row = |row: Result<(&[u8], Unbonding), Fault>| {
        let (key, unbonding) = row.unwrap();
        (StakeId::new(u64::from_be_bytes(key[32..].try_into().unwrap())), unbonding)
    };
    UNBONDINGS.scan(&chain.tree).map(row).collect()
}

fn batch(chain: &TestChain, of: u8, number: u32) -> Option<Batch> {
    BATCHES.get(&chain.tree, &(stake_of(chain, of).id, number)).unwrap()
}
