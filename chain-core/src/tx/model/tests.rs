//! Rows of the scenarios about models, and what the rules say besides.

use super::*;
use crate::state::market::Purse;
use crate::tx;
use crate::tx::market_testkit::*;

const FEE_STK: u128 = 100 * E18;

fn propose(name: &str) -> Action {
    Action::ModelPropose { model: spec(name) }
}

fn vote(proposal: u64, units: u128) -> Action {
    Action::ModelVote { proposal: ModelProposalId::new(proposal), amount: amount(units) }
}

fn finalize(proposal: u64) -> Action {
    Action::ModelFinalize { proposal: ModelProposalId::new(proposal) }
}

fn unlock(proposal: u64) -> Action {
    Action::ModelVoteUnlock { proposal: ModelProposalId::new(proposal) }
}

/// P1 has proposed `new` at t = 1000.
fn proposed() -> World {
    let mut world = World::f0();
    world.ok(P1, propose("new"));
    world
}

#[test]
fn mdl_01_the_curator_adds_a_model_and_nobody_else() {
    let mut world = World::empty();
    world.ok(A, curate(&[spec("m1")]));
    let model = world.model(m1());
    assert_eq!((model.tier, model.active, model.is_trusted()), (Tier::Curated, true, true));
    assert_eq!((model.spec.weights, world.models()), (Hash([9; 32]), 1));
    assert_eq!(world.no(X, curate(&[spec("m2")])), "wrong_role");
    assert_eq!(world.models(), 1);
}

#[test]
fn mdl_02_a_known_model_alone_is_refused() {
    let mut world = World::empty();
    world.ok(A, curate(&[spec("m1")]));
    assert_eq!(world.no(A, curate(&[spec("m1")])), "nothing_new");
    assert_eq!((world.models(), world.model(m1()).spec), (1, spec("m1")));
}

#[test]
fn mdl_03_a_batch_skips_what_is_known() {
    let mut world = World::empty();
    let events = world.ok(A, curate(&[spec("a"), spec("b"), spec("a")]));
    let skipped = |event: &&tx::Event| matches!(event, tx::Event::Model(Event::ModelSkipped { .. }));
    assert_eq!((world.models(), events.iter().filter(skipped).count()), (2, 1));
    // Lists of unequal lengths can't be written: a model is one item. An empty list is refused.
    assert_eq!(world.no(A, curate(&[])), "nothing_new");
}

#[test]
fn mdl_04_proposing_costs_the_fee_and_opens_one_vote() {
    let world = &mut proposed();
    assert_eq!(world.held(P1, STK), 900 * E18);
    let proposal = world.proposal(1);
    assert_eq!((world.end_of(1), proposal.extensions, proposal.outcome), (1_000 + 259_200, 0, None));
    assert_eq!(world.no(P2, propose("new")), "model_proposed");
    assert_eq!(world.held(P2, STK), 1_000 * E18);
}

#[test]
fn mdl_05_enough_votes_approve() {
    let world = &mut proposed();
    world.ok(V, vote(1, 100_000 * E18));
    world.at(world.end_of(1) + 1);
    world.ok(X, finalize(1));
    let model = world.model(spec("new").id());
    assert_eq!((model.tier, model.active, model.is_trusted()), (Tier::Voted, true, false));
    assert_eq!(world.held(P1, STK), 1_000 * E18);
    assert_eq!(world.no(X, finalize(1)), "proposal_finalized");
}

#[test]
fn mdl_06_one_unit_less_does_not() {
    let world = &mut proposed();
    world.ok(V, vote(1, 100_000 * E18 - 1));
    world.at(world.end_of(1) + 1);
    world.ok(X, finalize(1));
    assert_eq!(world.models(), 2);
    assert_eq!(world.held(P1, STK), 900 * E18);
    assert_eq!(world.purse(Purse::RejectedPool, STK), FEE_STK);
}

#[test]
fn mdl_07_the_end_is_the_last_moment_of_the_vote() {
    let world = &mut proposed();
    world.at(world.end_of(1));
    world.ok(V, vote(1, 5));
    assert_eq!(world.no(V, finalize(1)), "vote_open");
    world.later(1);
    assert_eq!(world.no(V, vote(1, 5)), "vote_ended");
    world.ok(V, finalize(1));
}

#[test]
fn mdl_08_late_votes_extend() {
    let world = &mut proposed();
    let end = world.end_of(1);
    world.at(end - 7_200);
    world.ok(V, vote(1, 10_000 * E18));
    let proposal = world.proposal(1);
    assert_eq!((world.end_of(1), proposal.extensions, proposal.late), (end + DAY, 1, Amount::ZERO));
}

#[test]
fn mdl_09_early_votes_do_not() {
    let world = &mut proposed();
    let end = world.end_of(1);
    world.later(DAY);
    world.ok(V, vote(1, 15_000 * E18));
    assert_eq!((world.end_of(1), world.proposal(1).extensions), (end, 0));
    // The first moment that is late.
    world.at(end - 14_400 - 1);
    world.ok(V, vote(1, 15_000 * E18));
    assert_eq!(world.proposal(1).extensions, 0);
    world.later(1);
    world.ok(V, vote(1, 10_000 * E18 - 1));
    assert_eq!(world.proposal(1).extensions, 0);
    world.ok(V, vote(1, 1));
    assert_eq!(world.proposal(1).extensions, 1);
}

#[test]
fn mdl_10_there_are_three_extensions() {
    let world = &mut proposed();
    for round in 1..=3 {
        world.at(world.end_of(1) - 7_200);
        world.ok(V, vote(1, 10_000 * E18));
        assert_eq!(world.proposal(1).extensions, round);
    }
    let end = world.end_of(1);
    world.at(end - 7_200);
    world.ok(V, vote(1, 10_000 * E18));
    let proposal = world.proposal(1);
    assert_eq!((world.end_of(1), proposal.extensions, proposal.votes.get()), (end, 3, 40_000 * E18));
}

#[test]
fn mdl_11_a_new_round_counts_from_nothing() {
    let world = &mut proposed();
    world.at(world.end_of(1) - 7_200);
    world.ok(V, vote(1, 9_000 * E18));
    let end = world.end_of(1);
    world.at(end + 1);
    world.ok(X, finalize(1));
    world.at(end + 30 * DAY);
    assert_eq!(world.no(P1, propose("new")), "model_proposed");
    world.later(1);
    world.ok(P1, propose("new"));
    world.at(world.end_of(2) - 7_200);
    world.ok(V, vote(2, 5_000 * E18));
    let second = world.proposal(2);
    assert_eq!((second.extensions, second.late.get(), second.votes.get()), (0, 5_000 * E18, 5_000 * E18));
}

#[test]
fn mdl_12_what_is_in_is_not_proposed_again() {
    let world = &mut proposed();
    world.ok(V, vote(1, 100_000 * E18));
    world.at(world.end_of(1) + 1);
    world.ok(X, finalize(1));
    world.later(31 * DAY);
    assert_eq!(world.no(P2, propose("new")), "model_known");
}

#[test]
fn mdl_13_votes_come_back_once() {
    let world = &mut proposed();
    let before = world.held(V, STK);
    world.ok(V, vote(1, 20));
    world.ok(V, vote(1, 30));
    assert_eq!(world.held(V, STK), before - 50);
    assert_eq!(world.no(V, unlock(1)), "votes_locked");
    world.at(world.end_of(1) + 1);
    world.ok(X, finalize(1));
    world.ok(V, unlock(1));
    assert_eq!(world.held(V, STK), before);
    assert_eq!(world.no(V, unlock(1)), "no_votes_locked");
}

#[test]
fn mdl_14_an_inactive_model_stops_new_work_everywhere() {
    let world = &mut World::f0();
    let active = |active| Action::ModelSetActive { model: m1(), active };
    let paths = opening_paths(world);
    world.ok(H3, register(&[m2()]));
    assert_eq!(world.no(X, active(false)), "wrong_role");
    world.ok(A, active(false));
    assert_eq!((world.model(m1()).active, world.model(m1()).is_trusted()), (false, false));
    for (seed, wish) in &paths {
        assert_eq!(world.no(*seed, wish.clone()), "model_inactive");
    }
    assert_eq!(world.no(H3, update(&[m1(), m2()])), "model_inactive");
    assert_eq!(world.no(H1, offer(m1(), USD, 4_000)), "model_inactive");
    // Who served it before keeps it.
    world.ok(H1, update(&[m1()]));
    world.ok(A, active(true));
    for (seed, wish) in paths {
        world.open(seed, wish);
    }
    world.ok(H3, update(&[m1(), m2()]));
}

/// A job by every funding, each of which is possible.
fn opening_paths(world: &mut World) -> Vec<(u8, Opening)> {
    use crate::state::market::job::Funding;
    let wish = opening(USD, E6, 5_000);
    world.ok(P1, tx::market::Action::MarketDeposit { asset: USD, amount: amount(E6) });
    world.ok(P1, grant(D, &[(USD, E6, E6)]));
    let payer = crate::testing::address(P1);
    vec![
        (P1, wish.clone()),
        (P1, Opening { funding: Funding::Prepaid {}, ..wish.clone() }),
        (D, Opening { funding: Funding::OnBehalf { payer }, ..wish }),
    ]
}

#[test]
fn mdl_15_rates_have_bounds_and_a_default() {
    let world = &mut World::f0();
    let rate = |rate| Action::ModelSetRate { model: m1(), rate: Some(rate) };
    assert_eq!(world.no(A, rate(99)), "rate_range");
    world.ok(A, rate(100));
    world.ok(A, rate(10_000));
    assert_eq!(world.no(A, rate(10_001)), "rate_range");
    assert_eq!(world.no(X, rate(200)), "wrong_role");
    assert_eq!((world.model(m1()).rate(&params()), world.model(m2()).rate(&params())), (10_000, 2_000));
    // A job keeps the rate of its opening.
    let id = world.open(P1, opening(USD, E6, 5_000));
    world.ok(A, Action::ModelSetRate { model: m1(), rate: None });
    assert_eq!((world.job(id).terms.rate, world.model(m1()).rate(&params())), (10_000, 2_000));
    assert_eq!(world.no(A, Action::ModelSetRate { model: spec("other").id(), rate: None }), "unknown_model");
}

#[test]
fn rule_7_a_model_curated_meanwhile_stays_and_the_fee_goes_back() {
    let world = &mut proposed();
    world.ok(V, vote(1, 200_000 * E18));
    world.ok(A, curate(&[spec("new")]));
    world.at(world.end_of(1) + 1);
    world.ok(X, finalize(1));
    assert_eq!(world.model(spec("new").id()).tier, Tier::Curated);
    assert_eq!((world.held(P1, STK), world.purse(Purse::RejectedPool, STK)), (1_000 * E18, 0));
    assert_eq!(world.proposal(1).outcome, Some(ProposalOutcome::Superseded));
}

#[test]
fn rule_8_votes_of_a_proposal_nobody_finalizes_are_free_a_week_later() {
    let world = &mut proposed();
    world.ok(V, vote(1, 50));
    world.at(world.end_of(1) + 7 * DAY);
    assert_eq!(world.no(V, unlock(1)), "votes_locked");
    world.later(1);
    world.ok(V, unlock(1));
    assert_eq!(world.held(V, STK), 1_000_000 * E18);
    assert_eq!(world.no(V, vote(9, 1)), "unknown_model_proposal");
}

#[test]
fn a_model_is_all_of_its_parts() {
    let base = spec("m1");
    let others = [
        ModelSpec { repo: Text::new("repom").unwrap(), file: Text::new("1").unwrap(), ..base.clone() },
        ModelSpec { weights: Hash([8; 32]), ..base.clone() },
        ModelSpec { format: Text::new("safetensors").unwrap(), ..base.clone() },
    ];
    assert!(others.iter().all(|other| other.id() != base.id()));
    let mut world = World::empty();
    let nameless = ModelSpec { file: Text::default(), ..base };
    assert_eq!(world.no(A, curate(&[nameless])), "text_empty");
}
