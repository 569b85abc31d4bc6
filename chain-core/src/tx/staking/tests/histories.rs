//! Random histories: whatever is tried, nothing appears or vanishes, shares and rewards add up after
//! every block, and nobody takes out more than he put in and earned.

use super::*;
use crate::state::stakes::Slash;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Act(u8, Action),
    Ready(u8),
    Prove { reporter: u8, against: u8, back: u64 },
    Blocks { by: u8, count: u8 },
}

fn amounts() -> impl Strategy<Value = u128> {
    prop_oneof![6 => 1u128..20_000, 2 => 1u128..10, 2 => Just(OWN), 1 => Just(FUNDS.get()), 1 => Just(10u128.pow(30))]
}

fn action() -> impl Strategy<Value = Action> {
    let key = || (1u8..=6).prop_map(validator);
    let amount = || amounts().prop_map(Amount::new);
    prop_oneof![
        3 => (amount(), prop::option::weighted(0.3, 0u16..=10_000))
            .prop_map(|(amount, commission_bps)| Action::StakeBond { amount, commission_bps }),
        2 => amount().prop_map(|shares| Action::StakeUnbond { shares }),
        5 => (key(), amount()).prop_map(|(validator, amount)| Action::StakeDelegate { validator, amount }),
        5 => (key(), amount()).prop_map(|(validator, shares)| Action::StakeUndelegate { validator, shares }),
        3 => key().prop_map(|validator| Action::StakeWithdraw { validator }),
        2 => key().prop_map(|validator| Action::RewardWithdraw { validator }),
        1 => (0u16..3_000).prop_map(|commission_bps| Action::StakeSetCommission { commission_bps }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => (1u8..=8, action()).prop_map(|(by, action)| Step::Act(by, action)),
        2 => (1u8..=6).prop_map(Step::Ready),
        1 => (1u8..=8, 1u8..=6, 0u64..40).prop_map(|(reporter, against, back)| Step::Prove { reporter, against, back }),
        4 => (1u8..=6, 1u8..12).prop_map(|(by, count)| Step::Blocks { by, count }),
    ]
}

/// What everybody put in and got out, per account and validator, from events alone.
#[derive(Default)]
struct Books {
    stake_in: BTreeMap<(Address, PublicKey), u128>,
    stake_out: BTreeMap<(Address, PublicKey), u128>,
    slashed: BTreeMap<PublicKey, Slash>,
    rewards_out: u128,
}

impl Books {
    fn read(&mut self, results: &Results) {
        for event in results.events.iter().flatten() {
            match event {
                tx::Event::Staking(event) => self.note(event),
                tx::Event::Authority(tx::authority::Event::StakeSlashed { validator, slash, .. }) => {
                    assert!(self.slashed.insert(*validator, *slash).is_none(), "convicted once");
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::StakeBonded { validator, amount, reward, .. } => {
                self.put((Address::of_key(validator), *validator), *amount);
                self.rewards_out += reward.get();
            }
            Event::StakeDelegated { validator, delegator, amount, reward, .. } => {
                self.put((*delegator, *validator), *amount);
                self.rewards_out += reward.get();
            }
            Event::StakeUnbonding { reward, taken, worth, .. } => {
                assert!(worth <= taken);
                self.rewards_out += reward.get();
            }
            Event::StakeWithdrawn { validator, delegator, paid, .. } => {
                *self.stake_out.entry((*delegator, *validator)).or_default() += paid.get();
            }
            Event::RewardWithdrawn { reward, commission, .. } => self.rewards_out += reward.get() + commission.get(),
            Event::CommissionAnnounced { before, after, .. } => assert!(before.abs_diff(*after) <= 500),
            Event::BatchClosed { .. } => {}
        }
    }

    fn put(&mut self, who: (Address, PublicKey), amount: Amount) {
        *self.stake_in.entry(who).or_default() += amount.get();
    }

    fn check(&self, chain: &TestChain) {
        let supplies = money::audit(&chain.tree).unwrap();
        let lost: u128 = self.slashed.values().map(|slash| slash.bonded.get() + slash.unbonding.get()).sum();
        let (put, out): (u128, u128) = (self.stake_in.values().sum(), self.stake_out.values().sum());
        let stk = &supplies[STK.get() as usize];
        assert_eq!(stk.in_stakes.get() + stk.in_unbonding.get() + lost + out, put, "stake is conserved");
        assert_eq!(stk.asset.burned.get(), self.slashed.values().map(|slash| slash.burned.get()).sum::<u128>());
        for (who, out) in &self.stake_out {
            assert!(out <= &self.stake_in[who], "more out than in");
        }
        // Half of every fee and the issuance are put in as rewards; the other half and row fees burn.
        let native = &supplies[0];
        assert_eq!(native.in_accounts.get() + native.in_rewards.get(), native.asset.supply().get());
        check_rewards(chain);
    }
}

fn carry_out(chain: &mut TestChain, step: &Step) -> Vec<Results> {
    let (by, action) = match step {
        Step::Blocks { by, count } => {
            // Whoever it is: rewards also come to who is not in the set any more, or never was.
            chain.proposer = validator(*by);
            return (0..*count).map(|_| chain.block(&[])).collect();
        }
        Step::Act(by, action) => (*by, action.clone().into()),
        Step::Ready(by) => (*by, ready()),
        Step::Prove { reporter, against, back } => {
            (*reporter, proof(*against, chain.height.get().saturating_sub(*back)))
        }
    };
    let nonce = chain.account(&address(by)).nonce;
    vec![chain.block(&[checked(by, nonce, [action])])]
}

/// Everybody takes everything out.
fn empty(chain: &mut TestChain, books: &mut Books) {
    for account in 1..=8u8 {
        for of in 1..=8u8 {
            let Ok(Some(_)) = STAKES.get(&chain.tree, &validator(of)) else { continue };
            let held = shares(chain, account, of);
            let rest = if account == of { unbond(held) } else { undelegate(of, held) };
            let mut actions = vec![rewards_of(of), withdraw(of)];
            actions.extend((held > 0).then_some(rest));
            for action in actions {
                carry_out(chain, &Step::Act(account, action)).iter().for_each(|results| books.read(results));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_is_tried_everything_adds_up(
        hybrid: bool, bps in prop_oneof![Just(0u16), Just(10_000), 1u16..10_000], issuance in 0u128..1_000,
        steps in prop::collection::vec(step(), 1..90),
    ) {
        let mode = if hybrid { ConsensusMode::Hybrid } else { ConsensusMode::Pos };
        let issuance_per_block = Amount::new(issuance);
        let params = Params { slash_equivocation_bps: bps, issuance_per_block, ..short() };
        let mut chain = TestChain::staked(&params, (mode, Amount::new(OWN)), &[1, 2, 3, 4]);
        let mut books = Books::default();
        (1..=4).for_each(|seed| books.put((address(seed), validator(seed)), Amount::new(OWN)));
        for step in &steps {
            // Supplies and the rebuilt root are checked after every block.
            carry_out(&mut chain, step).iter().for_each(|results| books.read(results));
            books.check(&chain);
        }
        // Everything can be taken out again; a last validator stays in the set, but not its stake.
        for _ in 0..3 {
            empty(&mut chain, &mut books);
            let now = chain.height.get();
            while chain.height.get() < now + 60 {
                books.read(&chain.block(&[]));
            }
        }
        books.check(&chain);
        prop_assert_eq!(all_delegations(&chain), vec![]);
        let entries = all_unbondings(&chain);
        let staying = |id: &StakeId| (1..=8).any(|seed| {
            let stake = STAKES.get(&chain.tree, &validator(seed)).unwrap();
            stake.is_some_and(|stake| stake.id == *id) && weights(&chain)[usize::from(seed) - 1] > 0
        });
        prop_assert!(entries.iter().all(|(id, _)| staying(id)), "{entries:?} {:?}", weights(&chain));
    }
}
