//! Rules 1 to 5: who bonds, how much, and at what commission.

use super::*;
use crate::state::validators::{enrol, forget, roster};
use crate::state::{JailCause, Overlay, Standing};
use crate::testing::Signer;
use crate::tx::authority::Measure;
use crate::types::ProposalId;

#[test]
fn rule_1_nothing_in_mode_poa() {
    let mut chain = TestChain::new();
    for action in examples() {
        assert_eq!(chain.run_refused(1, [action.into()]), NO_STAKING.number);
    }
}

#[test]
fn amounts_and_commissions_have_a_form() {
    let place = CheckContext::example();
    let (none, most) = (Amount::ZERO, Amount::new(10u128.pow(30) + 1));
    for amount in [none, most] {
        let actions = [
            Action::StakeBond { amount, commission_bps: None },
            Action::StakeUnbond { shares: amount },
            Action::StakeDelegate { validator: validator(1), amount },
            Action::StakeUndelegate { validator: validator(1), shares: amount },
        ];
        for action in actions {
            assert_eq!(action.check(&place).unwrap_err().number(), tx::AMOUNT_OUT_OF_RANGE.number);
        }
    }
    for bps in [10_001, u16::MAX] {
        assert_eq!(commission(bps).check(&place).unwrap_err().number(), COMMISSION_RANGE.number);
        let bond = Action::StakeBond { amount: Amount::new(1), commission_bps: Some(bps) };
        assert_eq!(bond.check(&place).unwrap_err().number(), COMMISSION_RANGE.number);
    }
    assert_eq!(commission(10_000).check(&place), Ok(()));
}

#[test]
fn rule_2_own_stake_is_nothing_or_enough() {
    let mut chain = pos();
    assert_eq!(act(&mut chain, 5, bond(999)), Err(STAKE_BELOW_MINIMUM.number));
    assert_eq!(act(&mut chain, 5, bond(FUNDS.get() + 1)), Err(money::INSUFFICIENT_BALANCE.number));
    assert!(record(&chain, 5).is_none(), "what was refused left nothing");
    let first = Action::StakeBond { amount: Amount::new(1_000), commission_bps: Some(700) };
    let done = act(&mut chain, 5, first.clone()).unwrap();
    let expected = Event::StakeBonded {
        validator: validator(5),
        amount: Amount::new(1_000),
        shares: Amount::new(1_000),
        bonded: Amount::new(1_000),
        commission_bps: 700,
        reward: Amount::ZERO,
        row_fee: chain_fee(),
        displaced: None,
    };
    assert_eq!(done, [expected]);
    assert_eq!(stk(&chain, 5), FUNDS.get() - 1_000);
    assert_eq!(act(&mut chain, 5, bond(1)).map(|_| shares(&chain, 5, 5)), Ok(1_001));
    assert_eq!(act(&mut chain, 5, first), Err(COMMISSION_NAMED.number));
    assert_eq!(act(&mut chain, 5, unbond(2)), Err(STAKE_BELOW_MINIMUM.number));
    assert_eq!(act(&mut chain, 5, unbond(1_002)), Err(MORE_THAN_BONDED.number));
    assert_eq!(act(&mut chain, 6, unbond(1)), Err(NO_STAKE.number));
    assert!(act(&mut chain, 5, unbond(1)).is_ok());
    assert!(act(&mut chain, 5, unbond(1_000)).is_ok());
    assert_eq!(record(&chain, 5), None, "block 10: it was never in the set");
    assert_eq!(act(&mut chain, 5, unbond(1)), Err(NOT_BONDED.number));
    // Again, and with as much as at first; the commission stands.
    assert_eq!(act(&mut chain, 5, bond(500)), Err(STAKE_BELOW_MINIMUM.number));
    let again = act(&mut chain, 5, bond(1_000)).unwrap();
    assert!(matches!(again[..], [Event::StakeBonded { commission_bps: 700, .. }]));
    assert_eq!(record(&chain, 5).unwrap().standing, Standing::Admitted);
}

fn chain_fee() -> Amount {
    Params::default().account_fee
}

#[test]
fn rule_3_in_hybrid_only_authorities() {
    let mut chain = chain_of(ConsensusMode::Hybrid);
    assert_eq!(act(&mut chain, 5, bond(5_000)), Err(NOT_AN_AUTHORITY.number));
    assert!(act(&mut chain, 4, bond(5_000)).is_ok());
    // Who unbonds all stays an authority without weight.
    assert!(act(&mut chain, 4, unbond(OWN + 5_000)).is_ok());
    assert_eq!(record(&chain, 4).unwrap().standing, Standing::Admitted);
    end_epoch(&mut chain);
    assert_eq!(weights(&chain)[..4], [100, 100, 100, 0]);
    assert!(act(&mut chain, 4, bond(5_000)).is_ok());
}

#[test]
fn rule_3_in_pos_every_usable_key() {
    let mut chain = pos();
    // A multi-key account: its address is a hash, half of which are no keys.
    let none = (1..=8u8).flat_map(|a| (a + 1..=9).map(move |b| Signer::Multi(1, vec![a, b])));
    let none = none.into_iter().find(|signer| signer.address().key().validate().is_err()).unwrap();
    let mut overlay = Overlay::new(&chain.tree);
    money::mint(&mut overlay, &none.address(), AssetId::NATIVE, FUNDS).unwrap();
    money::mint(&mut overlay, &none.address(), STK, FUNDS).unwrap();
    let delta = chain.tree.preview(overlay.into_changes());
    chain.tree.commit(delta).unwrap();
    let transaction = crate::testing::transaction(none.address(), 0, [bond(5_000).into()]);
    let signed = crate::testing::check(&crate::testing::sign(transaction, &none, None)).unwrap();
    let verdict = chain.block(&[signed]).outcomes[0].verdict;
    assert_eq!(verdict, Verdict::Rejected { number: NO_VALIDATOR_KEY.number, action: 0 });
}

fn is_jailed(chain: &TestChain, seed: u8) -> bool {
    record(chain, seed).is_some_and(|record| matches!(record.standing, Standing::Jailed(JailCause::Council)))
}

/// The validators 1 to 3 decide something.
fn decide(chain: &mut TestChain, proposal: u64, measure: Measure) {
    run(chain, 1, tx::Action::Authority(tx::authority::Action::CouncilPropose { measure })).unwrap();
    for member in [2, 3] {
        let proposal = ProposalId::new(proposal);
        run(chain, member, tx::Action::Authority(tx::authority::Action::CouncilVote { proposal, approve: true }))
            .unwrap();
    }
}

#[test]
fn rule_3_coming_back_lifts_no_jail() {
    let mut chain = pos();
    decide(&mut chain, 1, Measure::Jail { public_key: validator(4) });
    // All at once, in one transaction: what failed before was never tried.
    let nonce = chain.account(&address(4)).nonce;
    let results = chain.block(&[checked(4, nonce, [unbond(OWN).into(), bond(OWN).into(), ready()])]);
    assert!(matches!(results.outcomes[0].verdict, Verdict::Rejected { number, action: 2 }
        if number == tx::authority::JAILED.number));
    assert!(is_jailed(&chain, 4));
    // Without the last one: in and out, and jailed.
    act(&mut chain, 4, unbond(OWN)).unwrap();
    assert_eq!(record(&chain, 4).unwrap().standing, Standing::Removed);
    act(&mut chain, 4, bond(OWN)).unwrap();
    assert!(is_jailed(&chain, 4));
    // Also when the record has gone in the meantime.
    act(&mut chain, 4, unbond(OWN)).unwrap();
    let now = chain.height.get();
    idle_to(&mut chain, now + 60);
    assert!(record(&chain, 4).is_none());
    act(&mut chain, 4, bond(OWN)).unwrap();
    assert!(is_jailed(&chain, 4));
    assert_eq!(run(&mut chain, 4, ready()).unwrap_err(), tx::authority::JAILED.number);
    // The council lifts it for good.
    decide(&mut chain, 2, Measure::Unjail { public_key: validator(4) });
    run(&mut chain, 4, ready()).unwrap();
    act(&mut chain, 4, unbond(OWN)).unwrap();
    act(&mut chain, 4, bond(OWN)).unwrap();
    assert_eq!(record(&chain, 4).unwrap().standing, Standing::Admitted);
}

#[test]
fn rule_3_leaving_before_the_vote_escapes_no_jail() {
    let mut chain = pos();
    let jail = Measure::Jail { public_key: validator(4) };
    let ask = |measure| tx::Action::Authority(tx::authority::Action::CouncilPropose { measure });
    act(&mut chain, 4, unbond(OWN)).unwrap();
    decide(&mut chain, 1, jail.clone());
    assert_eq!(run(&mut chain, 1, ask(jail.clone())), Err(tx::authority::ALREADY_JAILED.number));
    act(&mut chain, 4, bond(OWN)).unwrap();
    assert!(is_jailed(&chain, 4));
    assert_eq!(run(&mut chain, 4, ready()), Err(tx::authority::JAILED.number));
    // It leaves again, and the jail is lifted while it is away.
    act(&mut chain, 4, unbond(OWN)).unwrap();
    decide(&mut chain, 2, Measure::Unjail { public_key: validator(4) });
    act(&mut chain, 4, bond(OWN)).unwrap();
    assert!(!is_jailed(&chain, 4));
    // Nobody is jailed who never bonded; in mode hybrid, nobody who was removed.
    let stranger = Measure::Jail { public_key: validator(7) };
    assert_eq!(run(&mut chain, 1, ask(stranger)), Err(tx::authority::NOT_ADMITTED.number));
    let mut chain = chain_of(ConsensusMode::Hybrid);
    decide(&mut chain, 1, Measure::Remove { public_key: validator(4) });
    assert_eq!(run(&mut chain, 1, ask(jail)), Err(tx::authority::NOT_ADMITTED.number));
}

#[test]
fn rule_3_who_is_away_but_still_signs_misses_turns_as_others_do() {
    let mut chain = pos();
    // Removed in the first block of each epoch, admitted again in the last one: it never leaves the set.
    let gone = |chain: &TestChain| record(chain, 4).unwrap().standing == Standing::Removed;
    for _ in 0..40 {
        let last = chain.height.get() % 5 == 4;
        match (gone(&chain), last) {
            (false, false) => drop(act(&mut chain, 4, unbond(OWN)).unwrap()),
            (true, true) => {
                let nonce = chain.account(&address(4)).nonce;
                chain.block(&[checked(4, nonce, [bond(OWN).into(), ready()])]);
            }
            _ => {
                let set = next_set(&chain.tree).unwrap();
                let leader = |view| set.leader(chain.height.next(), View::new(view)).public_key;
                let view = (0..9).find(|view| leader(*view) == validator(4)).unwrap_or_default() + 1;
                (chain.proposer, chain.view) = (leader(view), View::new(view));
                chain.block(&[]);
                chain.view = View::ZERO;
            }
        }
    }
    let jailed = crate::state::validators::jailed(&chain.tree, &validator(4)).unwrap();
    assert_eq!(jailed, Some(JailCause::Absence));
}

#[test]
fn rule_4_those_who_left_take_nobodys_place() {
    let mut chain = pos();
    for seed in [5, 6] {
        act(&mut chain, seed, bond(2_000)).unwrap();
        run(&mut chain, seed, ready()).unwrap();
    }
    idle_to(&mut chain, 20);
    assert!(weights(&chain)[4] > 0 && weights(&chain)[5] > 0);
    act(&mut chain, 8, delegate(5, 50)).unwrap();
    act(&mut chain, 5, unbond(2_000)).unwrap();
    let on_roster = |chain: &TestChain, seed| roster(&chain.tree).unwrap().contains(&validator(seed));
    assert!(on_roster(&chain, 5), "until it has left the set");
    while weights(&chain)[4] > 0 {
        end_epoch(&mut chain);
    }
    let left = chain.height.get();
    assert!(!on_roster(&chain, 5) && record(&chain, 5).is_some());
    // What unbonded is closed in the next block; what follows in turn.
    chain.block(&[]);
    assert_eq!(batch(&chain, 5, 0).unwrap().closed.unwrap().left.get(), left + 1);
    act(&mut chain, 8, undelegate(5, 50)).unwrap();
    idle_to(&mut chain, left + 5);
    assert!(batch(&chain, 5, 1).unwrap().closed.is_some());
    // It can still be convicted, and comes back in between.
    act(&mut chain, 5, bond(2_000)).unwrap();
    assert!(on_roster(&chain, 5) && record(&chain, 5).unwrap().retired.is_none());
    act(&mut chain, 5, unbond(2_000)).unwrap();
    end_epoch(&mut chain);
    assert!(!on_roster(&chain, 5));
    let before = stake_of(&chain, 5).batch;
    run(&mut chain, 7, proof(5, left)).unwrap();
    assert!(stake_of(&chain, 5).slash.is_some() && stake_of(&chain, 5).batch >= before);
    // Then nothing is left of it but that it was convicted.
    idle_to(&mut chain, left + 40);
    assert_eq!(record(&chain, 5), None);
    assert_eq!(crate::state::validators::RETIRED.scan(&chain.tree).count(), 0);
    assert_eq!(act(&mut chain, 5, bond(2_000)), Err(CONVICTED.number));
}

#[test]
fn rule_3_coming_back_wipes_no_absence() {
    let mut chain = pos();
    let mut overlay = Overlay::new(&chain.tree);
    let absent = ValidatorRecord { absence: 9, missed: 12, ..record(&chain, 4).unwrap() };
    VALIDATORS.put(&mut overlay, &validator(4), &absent);
    let delta = chain.tree.preview(overlay.into_changes());
    chain.tree.commit(delta).unwrap();
    act(&mut chain, 4, unbond(OWN)).unwrap();
    act(&mut chain, 4, bond(OWN)).unwrap();
    let record = record(&chain, 4).unwrap();
    assert_eq!((record.standing, record.absence, record.missed), (Standing::Admitted, 9, 12));
}

#[test]
fn rule_4_newcomers_displace_who_has_least() {
    let mut chain = pos();
    let mut overlay = Overlay::new(&chain.tree);
    for byte in 0..=255u8 {
        if roster(&overlay).unwrap().len() < MAX_VALIDATORS {
            let record = ValidatorRecord::admitted(Default::default(), 0, Height::ZERO);
            enrol(&mut overlay, &PublicKey([byte; 32]), &record).unwrap();
        }
    }
    let delta = chain.tree.preview(overlay.into_changes());
    chain.tree.commit(delta).unwrap();
    let done = act(&mut chain, 5, bond(1_000)).unwrap();
    let Event::StakeBonded { displaced: Some(gone), .. } = done[0] else { panic!("{done:?}") };
    assert!((1..=4).all(|seed| gone != validator(seed)), "who is in the set stays");
    assert_eq!(VALIDATORS.get(&chain.tree, &gone).unwrap(), None);
    assert_eq!(roster(&chain.tree).unwrap().len(), MAX_VALIDATORS);
    assert!(act(&mut chain, 8, delegate(5, 77)).is_ok());
    assert!(act(&mut chain, 8, undelegate(5, 7)).is_ok());
    decide(&mut chain, 1, Measure::Jail { public_key: validator(5) });
    // Let all others sign, and it is the newcomer that goes.
    let mut overlay = Overlay::new(&chain.tree);
    for key in roster(&chain.tree).unwrap() {
        if STAKES.get(&overlay, &key).unwrap().is_none() {
            let gone = VALIDATORS.get(&overlay, &key).unwrap().unwrap();
            forget(&mut overlay, &key, &gone).unwrap();
            let spans = record(&chain, 1).unwrap().spans;
            let held = ValidatorRecord { spans, ..ValidatorRecord::admitted(Default::default(), 0, Height::ZERO) };
            enrol(&mut overlay, &key, &held).unwrap();
        }
    }
    let delta = chain.tree.preview(overlay.into_changes());
    chain.tree.commit(delta).unwrap();
    let none = act(&mut chain, 6, bond(FUNDS.get() + 1));
    assert_eq!(none, Err(money::INSUFFICIENT_BALANCE.number), "who has to go is only looked for with stake");
    assert_eq!(act(&mut chain, 6, bond(1_000)), Err(NO_ROOM.number), "not with as little");
    let done = act(&mut chain, 6, bond(1_001)).unwrap();
    assert!(matches!(done[..], [Event::StakeBonded { displaced: Some(gone), .. }] if gone == validator(5)));
    // What unbonded is on its way, and the rest can follow.
    assert!(batch(&chain, 5, 0).unwrap().closed.is_some());
    assert_eq!(act(&mut chain, 7, delegate(5, 1)), Err(NOT_A_VALIDATOR.number));
    assert!(act(&mut chain, 8, undelegate(5, 70)).is_ok());
    assert!(batch(&chain, 5, 1).unwrap().closed.is_some(), "closed at once");
    assert!(act(&mut chain, 5, unbond(1_000)).is_ok());
    let (before, now) = (stk(&chain, 8), chain.height.get());
    idle_to(&mut chain, now + 40);
    assert!(act(&mut chain, 8, withdraw(5)).is_ok());
    assert_eq!(stk(&chain, 8), before + 77);
    // Who was displaced comes back with more, and to the jail it was in.
    act(&mut chain, 5, bond(1_002)).unwrap();
    assert!(is_jailed(&chain, 5));
}

#[test]
fn rule_5_commissions_move_slowly_and_are_announced() {
    let mut chain = pos();
    assert_eq!(act(&mut chain, 5, commission(0)), Err(NO_STAKE.number));
    for wrong in [499, 1_501, 10_000] {
        assert_eq!(act(&mut chain, 1, commission(wrong)), Err(COMMISSION_STEP.number));
    }
    // In the epoch of the heights 1 to 5: from the epoch after the next one on.
    let done = act(&mut chain, 1, commission(1_500)).unwrap();
    let from = Height::new(11);
    assert_eq!(done, [Event::CommissionAnnounced { validator: validator(1), before: 1_000, after: 1_500, from }]);
    assert_eq!(act(&mut chain, 1, commission(1_000)), Err(COMMISSION_ANNOUNCED.number));
    let at = |chain: &TestChain, height| stake_of(chain, 1).commission.at(Height::new(height));
    assert_eq!((at(&chain, 10), at(&chain, 11)), (1_000, 1_500));
    idle_to(&mut chain, 9);
    assert_eq!(act(&mut chain, 1, commission(1_900)), Err(COMMISSION_ANNOUNCED.number), "height 10");
    let done = act(&mut chain, 1, commission(2_000)).unwrap();
    assert!(
        matches!(done[..], [Event::CommissionAnnounced { before: 1_500, after: 2_000, from, .. }] if from.get() == 21)
    );
}
