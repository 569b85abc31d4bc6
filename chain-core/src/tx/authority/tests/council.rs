//! Rules 1 to 8: who asks and votes, and how proposals end.

use super::super::council;
use super::*;
use crate::state::params;
use crate::testing::{Signer, rotation};

fn members(chain: &TestChain) -> Vec<u8> {
    let council = council(&chain.tree).unwrap();
    (1..=8).filter(|seed| council.iter().any(|member| member.key == validator(*seed))).collect()
}

#[test]
fn rule_1_the_council_is_who_is_ready_and_not_jailed_and_never_nobody() {
    let mut chain = chain_of(4);
    assert_eq!(members(&chain), [1, 2, 3, 4]);
    pass(&mut chain, &[1, 2, 3], jail(4));
    assert_eq!(members(&chain), [1, 2, 3], "at once");
    assert_eq!(act(&mut chain, 4, propose(add(5))), Err(NOT_ON_COUNCIL.number));
    pass(&mut chain, &[1, 2, 3], add(5));
    assert_eq!(members(&chain), [1, 2, 3], "a key that never spoke must not lock the council");
    assert_eq!(act(&mut chain, 5, propose(add(6))), Err(NOT_ON_COUNCIL.number));
    act(&mut chain, 5, Action::ValidatorReady {}).unwrap();
    assert_eq!(members(&chain), [1, 2, 3, 5], "before it is in the set");
    // The only authority jails itself: who signs the blocks decides.
    let mut alone = chain_of(1);
    pass(&mut alone, &[1], jail(1));
    assert_eq!(members(&alone), [1]);
    pass(&mut alone, &[1], unjail(1));
}

#[test]
fn rule_1_who_was_convicted_decides_only_if_nobody_else_is_left() {
    let mut chain = chain_of(2);
    idle(&mut chain);
    act(&mut chain, 8, super::evidence::twice(1, 1, 0, [1, 2])).unwrap();
    assert_eq!(members(&chain), [2]);
    pass(&mut chain, &[2], jail(2));
    assert_eq!(members(&chain), [2], "in the set and not convicted");
    act(&mut chain, 8, super::evidence::twice(2, 1, 0, [1, 2])).unwrap();
    assert_eq!(members(&chain), [1, 2]);
}

#[test]
fn a_mistyped_key_does_not_lock_a_council_of_one() {
    let mut chain = chain_of(1);
    pass(&mut chain, &[1], add(5));
    pass(&mut chain, &[1], remove(5));
    assert_eq!(members(&chain), [1]);
}

#[test]
fn rule_1_a_member_acts_through_the_account_of_its_key_whoever_signs_for_it() {
    let mut chain = chain_of(4);
    let turn = rotation(&address(1), 0, &Signer::Key(7));
    chain.run_ok(1, [tx::Action::Account(turn)]);
    let new = crate::testing::sign(
        crate::testing::transaction(address(1), 1, [tx::Action::Authority(propose(add(5)))]),
        &Signer::Key(7),
        None,
    );
    let results = chain.block(&[crate::testing::check(&new).unwrap()]);
    assert_eq!(results.outcomes[0].verdict, Verdict::Ok);
    assert_eq!(proposal(&chain, 1).unwrap().proposer, validator(1));
    assert_eq!(act(&mut chain, 7, vote(1, true)), Err(NOT_ON_COUNCIL.number), "the new key's own account");
}

#[test]
fn rule_2_only_members_propose_and_only_what_can_be_done() {
    let mut chain = chain_of(4);
    assert_eq!(act(&mut chain, 5, propose(add(6))), Err(NOT_ON_COUNCIL.number));
    let height = Height::new(1_000);
    let refused = [
        (add(2), ALREADY_ADMITTED.number),
        (remove(6), NOT_ADMITTED.number),
        (jail(6), NOT_ADMITTED.number),
        (unjail(6), NOT_ADMITTED.number),
        (unjail(2), NOT_JAILED.number),
        (parameter("surprise", 1), UNKNOWN_PARAMETER.number),
        (parameter("burn_bps", 10_001), PARAMETER_OUT_OF_BOUNDS.number),
        (parameter("block_time_ms", 2_001), PARAMETER_OUT_OF_BOUNDS.number),
        (Measure::Upgrade { version: 1, height }, UPGRADE_VERSION.number),
        (Measure::Upgrade { version: 3, height }, UPGRADE_VERSION.number),
        (Measure::Upgrade { version: u32::MAX, height }, UPGRADE_VERSION.number),
        (Measure::Upgrade { version: 2, height: Height::new(u64::MAX) }, UPGRADE_TOO_LATE.number),
        (Measure::Withdraw { proposal: ProposalId::new(9) }, UNKNOWN_PROPOSAL.number),
        (Measure::Upgrade { version: 2, height: Height::new(5) }, UPGRADE_TOO_SOON.number),
        (
            Measure::Add { public_key: validator(6), name: Text::default(), weight: MAX_TOTAL_WEIGHT },
            WEIGHT_OUT_OF_RANGE.number,
        ),
    ];
    for (measure, number) in refused {
        assert_eq!(act(&mut chain, 1, propose(measure.clone())), Err(number), "{measure:?}");
    }
    pass(&mut chain, &[1, 2, 3], jail(4));
    assert_eq!(act(&mut chain, 1, propose(jail(4))), Err(ALREADY_JAILED.number));
}

#[test]
fn measures_of_a_wrong_form_are_refused_before_they_are_signed_for() {
    let form = |measure: Measure| propose(measure).check(&CheckContext::example()).err().map(|r| r.number());
    assert_eq!(form(add(5)), None);
    let with = |public_key, weight| Measure::Add { public_key, name: Text::default(), weight };
    assert_eq!(form(with(PublicKey([0; 32]), 1)), Some(BAD_VALIDATOR_KEY.number));
    assert_eq!(form(with(validator(5), 0)), Some(WEIGHT_OUT_OF_RANGE.number));
    assert_eq!(form(with(validator(5), MAX_TOTAL_WEIGHT + 1)), Some(WEIGHT_OUT_OF_RANGE.number));
    let treasury = crate::types::ModuleAccount::Treasury.address();
    assert_eq!(form(Measure::Role { role: Role::Curator, account: Some(treasury) }), Some(MODULE_ACCOUNT.number));
}

#[test]
fn rule_3_a_member_has_at_most_eight_open_proposals() {
    let mut chain = chain_of(4);
    for height in 0..8 {
        let measure = Measure::Upgrade { version: 2, height: Height::new(1_000 + height) };
        act(&mut chain, 1, propose(measure)).unwrap();
    }
    assert_eq!(act(&mut chain, 1, propose(add(5))), Err(TOO_MANY_PROPOSALS.number));
    act(&mut chain, 2, propose(add(5))).unwrap();
    // One is decided, against it.
    for seed in [2, 3] {
        act(&mut chain, seed, vote(3, false)).unwrap();
    }
    assert_eq!(status(&chain, 3), Status::Refused);
    act(&mut chain, 1, propose(add(6))).unwrap();
    assert_eq!(act(&mut chain, 1, propose(add(7))), Err(TOO_MANY_PROPOSALS.number));
    // The rest expires.
    idle_to(&mut chain, 60);
    assert_eq!(record(&chain, 1).open_proposals, 0);
}

#[test]
fn rule_4_whoever_proposes_has_voted_yes() {
    let mut chain = chain_of(4);
    let opened = act(&mut chain, 1, propose(add(5))).unwrap();
    let expires_at = TimestampMs::new(2_000 + 60_000);
    let expected =
        Event::ProposalOpened { proposal: ProposalId::new(1), proposer: validator(1), measure: add(5), expires_at };
    assert_eq!(opened, [expected]);
    assert_eq!(act(&mut chain, 1, vote(1, false)), Err(ALREADY_VOTED.number));
    let mut alone = chain_of(1);
    assert_eq!(act(&mut alone, 1, propose(add(5))).unwrap().len(), 3, "opened, ended, admitted");
    assert_eq!(status(&alone, 1), Status::Enacted);
}

#[test]
fn rule_5_members_vote_once_on_an_open_proposal_in_time() {
    let mut chain = chain_of(4);
    act(&mut chain, 1, propose(add(5))).unwrap();
    assert_eq!(act(&mut chain, 5, vote(1, true)), Err(NOT_ON_COUNCIL.number));
    assert_eq!(act(&mut chain, 2, vote(2, true)), Err(UNKNOWN_PROPOSAL.number));
    let voted = act(&mut chain, 2, vote(1, true)).unwrap();
    let tally = Tally { yes: 2, no: 0, council: 4 };
    let proposal = ProposalId::new(1);
    assert_eq!(voted, [Event::CouncilVoted { proposal, member: validator(2), approve: true, tally }]);
    for approve in [true, false] {
        assert_eq!(act(&mut chain, 2, vote(1, approve)), Err(ALREADY_VOTED.number));
    }
    act(&mut chain, 3, vote(1, true)).unwrap();
    assert_eq!(act(&mut chain, 4, vote(1, true)), Err(PROPOSAL_CLOSED.number));
    // The block whose time is `expires_at` is the first too late: its own end has not come yet.
    act(&mut chain, 1, propose(add(6))).unwrap();
    let opened = chain.height.get();
    idle_to(&mut chain, opened + 29);
    assert_eq!(act(&mut chain, 2, vote(2, true)), Err(PROPOSAL_EXPIRED.number));
    assert_eq!(act(&mut chain, 2, vote(2, true)), Err(PROPOSAL_CLOSED.number));
}

#[test]
fn rule_6_more_than_two_thirds_of_those_who_are_members_at_the_vote() {
    // 2 of 3 are not more than two thirds, 3 of 4 are, 4 of 6 are not.
    for (members, yes) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5)] {
        let mut chain = chain_of(members);
        act(&mut chain, 1, propose(jail(members))).unwrap();
        for seed in 2..=yes {
            assert_eq!(status(&chain, 1), Status::Open, "{members}: {seed}");
            act(&mut chain, seed, vote(1, true)).unwrap();
        }
        assert_eq!(status(&chain, 1), Status::Enacted, "{members}");
    }
    // Two of four said yes; one of them and another one leave: one yes of two members.
    let mut chain = chain_of(4);
    act(&mut chain, 1, propose(add(5))).unwrap();
    act(&mut chain, 2, vote(1, true)).unwrap();
    pass(&mut chain, &[1, 3, 4], jail(2));
    let events = act(&mut chain, 3, vote(1, true)).unwrap();
    assert!(matches!(events[0], Event::CouncilVoted { tally: Tally { yes: 2, no: 0, council: 3 }, .. }), "{events:?}");
    assert_eq!(status(&chain, 1), Status::Open);
    let events = act(&mut chain, 4, vote(1, true)).unwrap();
    let tally = Tally { yes: 3, no: 0, council: 3 };
    assert!(matches!(&events[1], Event::ProposalEnded { status: Status::Enacted, tally: t, .. } if *t == tally));
}

#[test]
fn rule_6_a_third_against_it_refuses_and_what_cannot_be_done_any_more_fails() {
    let mut chain = chain_of(4);
    act(&mut chain, 1, propose(add(5))).unwrap();
    act(&mut chain, 2, vote(1, false)).unwrap();
    assert_eq!(status(&chain, 1), Status::Open, "one of four is less than a third");
    let events = act(&mut chain, 3, vote(1, false)).unwrap();
    assert!(matches!(events[1], Event::ProposalEnded { status: Status::Refused, .. }), "{events:?}");
    // Two proposals for the same: the second fails when it passes.
    act(&mut chain, 1, propose(add(5))).unwrap();
    pass(&mut chain, &[2, 3, 4], add(5));
    act(&mut chain, 2, vote(2, true)).unwrap();
    act(&mut chain, 3, vote(2, true)).unwrap();
    assert_eq!(status(&chain, 2), Status::Failed { number: ALREADY_ADMITTED.number });
}

#[test]
fn rule_7_an_open_proposal_expires_by_itself() {
    let mut chain = chain_of(4);
    act(&mut chain, 1, propose(add(5))).unwrap();
    assert_eq!(idle_to(&mut chain, 30), []);
    let events = idle(&mut chain);
    let tally = Tally { yes: 1, no: 0, council: 4 };
    let (proposal, proposer, measure, status) = (ProposalId::new(1), validator(1), add(5), Status::Expired);
    assert_eq!(events, [Event::ProposalEnded { proposal, proposer, measure, status, tally }]);
}

#[test]
fn rule_7_what_has_two_thirds_when_it_expires_passes() {
    let mut chain = chain_of(4);
    act(&mut chain, 1, propose(add(5))).unwrap();
    act(&mut chain, 2, vote(1, true)).unwrap();
    let (expires, _) = (chain.height.get() + 29, pass(&mut chain, &[1, 2, 3], jail(3)));
    pass(&mut chain, &[1, 2, 4], jail(4));
    assert_eq!(status(&chain, 1), Status::Open, "two of two, but nobody voted since");
    let events = idle_to(&mut chain, expires);
    let tally = Tally { yes: 2, no: 0, council: 2 };
    let [Event::ProposalEnded { status: Status::Enacted, tally: found, .. }, Event::ValidatorAdmitted { .. }] =
        &events[events.len() - 2..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*found, tally);
}

#[test]
fn rule_7_more_than_a_block_may_hold_expires_in_the_next_ones() {
    // Seventy members with eight proposals each.
    let seeds: Vec<u8> = (1..=70).collect();
    let accounts: Vec<_> = (9..=70).map(address).collect();
    let cheap =
        Params { min_fee_per_1000_weight: crate::types::Amount::ZERO, max_block_weight: 100_000_000, ..short() };
    let mut chain = TestChain::of(&cheap, &accounts, &seeds);
    let measure = Measure::Upgrade { version: 2, height: Height::new(1_000) };
    let all: Vec<_> =
        seeds.iter().map(|seed| checked(*seed, 0, vec![tx::Action::Authority(propose(measure.clone())); 8])).collect();
    chain.block(&all);
    idle_to(&mut chain, 30);
    let expired = [idle(&mut chain).len(), idle(&mut chain).len(), idle(&mut chain).len()];
    assert_eq!(expired, [512, 560 - 512, 0]);
}

#[test]
fn rule_8_ended_proposals_leave_the_state() {
    let mut chain = chain_of(4);
    pass(&mut chain, &[1, 2, 3], add(5));
    act(&mut chain, 1, propose(add(6))).unwrap();
    let decided = chain.height.get() - 1;
    idle_to(&mut chain, decided + 49);
    assert!(proposal(&chain, 1).is_some(), "100 s later, not before");
    idle(&mut chain);
    assert_eq!(proposal(&chain, 1), None);
    assert_eq!(status(&chain, 2), Status::Expired);
    idle_to(&mut chain, 200);
    let rows = chain.tree.rows().filter(|(key, ..)| [16, 17, 18, 19, 21].contains(&key.as_bytes()[0])).count();
    assert_eq!(rows, 1, "only the next number is left");
    let (next, _) = pass(&mut chain, &[1, 2, 3], parameter("burn_bps", 1));
    assert_eq!(next, 3, "numbers have no holes");
    // A parameter's proposal stays at least until it has come into force.
    assert!(matches!(status(&chain, 3), Status::Passed { .. }));
    assert_ne!(params(&chain.tree).unwrap().burn_bps, 1);
}
