//! What an adversary can make of the machine: every schedule of three views among three honest
//! nodes and a traitor, with the rules as they are and with one of them broken.
//!
//! `docs/consensus-search.md` has the table these tests print with `--nocapture`.

mod explore;
mod traces;
mod world;

use crate::mutation::{Mutation, with};
use explore::{Found, Goal, explore};
use traces::{Play, Trace};
use world::{Game, Loss};

/// A broken rule of the code, or a node's lost memory; and what it leads to.
struct Broken {
    name: &'static str,
    rule: Option<Mutation>,
    trace: Trace,
    /// The view the traitor leads in the search.
    leads: u32,
    /// What the crash of one node takes that the search may use.
    loss: Option<Loss>,
    goal: Goal,
}

const fn broken(name: &'static str, rule: Mutation, trace: Trace) -> Broken {
    Broken { name, rule: Some(rule), leads: trace.leads, trace, loss: None, goal: Goal::Fork }
}

const BROKEN: [Broken; 11] = [
    broken("nullifications unchecked", Mutation::NewUncovered, traces::NEW_UNCOVERED),
    broken("nullifications between unchecked", Mutation::AgainUncovered, traces::AGAIN_UNCOVERED),
    broken("coverage off by one", Mutation::CoverageOffByOne, traces::NEW_UNCOVERED),
    broken("a notarized view counts as covered", Mutation::NotarizedCovers, traces::NEW_UNCOVERED),
    broken("finalize after nullify", Mutation::FinalizeAfterNullify, traces::FINALIZE_AFTER_NULLIFY),
    Broken {
        leads: 3,
        loss: Some(Loss::Certificates),
        ..broken("nullify after finalize", Mutation::NullifyAfterFinalize, traces::NULLIFY_AFTER_FINALIZE)
    },
    Broken {
        loss: Some(Loss::Nothing),
        goal: Goal::Contradiction,
        ..broken("two notarize in a view", Mutation::TwoNotarize, traces::TWO_NOTARIZE)
    },
    Broken {
        name: "amnesiac replica",
        rule: None,
        trace: traces::AMNESIA,
        leads: 1,
        loss: Some(Loss::Everything),
        goal: Goal::Fork,
    },
    broken("certificate with a repeated signer", Mutation::SignerRepeated, traces::SIGNER_REPEATED),
    broken("view missing from the signed bytes", Mutation::ViewUnsigned, traces::VIEW_UNSIGNED),
    broken("quorum too small", Mutation::QuorumOfHalf, traces::QUORUM_OF_HALF),
];

/// More states than any search of these tests has.
const ALL: usize = 5_000_000;

/// Makes the moves of a trace: whether a node stops, whether two blocks are final, and how many
/// steps of the machine it took.
fn play(rule: Option<Mutation>, trace: &Trace, one_by_one: bool) -> (bool, bool, u64) {
    with(rule, || {
        let mut play = Play::new(Game::new(trace.leads), one_by_one);
        (trace.moves)(&mut play);
        (play.stops_a_node(), play.forks(), play.nodes.iter().map(|node| node.steps).sum())
    })
}

#[test]
fn each_trace_breaks_its_broken_rule_and_no_sound_one() {
    println!("| broken rule | leads | votes one by one | steps |");
    for Broken { name, rule, trace, goal, .. } in BROKEN {
        // One signer's votes are never a certificate.
        let alone = rule == Some(Mutation::SignerRepeated);
        for one_by_one in [false, true].into_iter().filter(|one_by_one| !(alone && *one_by_one)) {
            let (stops, forks, steps) = play(rule, &trace, one_by_one);
            // A node that is shown its own vote under a view it did not give it in signs no more: a
            // second guard, which keeps this trace from the fork that the search finds around it.
            let guarded = rule == Some(Mutation::ViewUnsigned);
            assert!(stops && (forks || guarded) == (goal == Goal::Fork), "{name}: {stops} {forks}");
            println!("| {name} | {} | {one_by_one} | {steps} |", trace.leads);
            // What a node that remembers makes of the amnesiac's trace is the next test.
            if rule.is_some() {
                let (stops, forks, _) = play(None, &trace, one_by_one);
                assert!(!stops && !forks, "{name}");
            }
        }
    }
}

#[test]
fn a_node_that_remembers_resists_where_an_amnesiac_fails() {
    for (one_by_one, loss) in [(false, Loss::Nothing), (true, Loss::Nothing), (false, Loss::Certificates)] {
        let mut play = Play::new(Game::new(traces::AMNESIA.leads), one_by_one);
        traces::forgetful(&mut play, loss);
        assert!(!play.stops_a_node());
    }
}

#[test]
fn the_search_finds_every_broken_rule() {
    println!("| broken rule | a crash takes | leads | states | steps | first contradiction | acts |");
    for Broken { name, rule, leads, loss, goal, .. } in BROKEN {
        with(rule, || {
            let game = Game::new(leads);
            let Found { states, steps, contradiction, path, .. } = explore(&game, loss, goal, ALL);
            let path = path.unwrap_or_else(|| panic!("{name}: nothing in {states} states"));
            let first = contradiction.unwrap();
            println!("| {name} | {loss:?} | {leads} | {states} | {steps} | {first} | {} |", path.len());
            // Once more, without anything remembered or left out.
            let mut play = Play::new(game, false);
            path.into_iter().for_each(|(r, act)| _ = play.act(r, act));
            assert!(play.stops_a_node() && play.forks() == (goal == Goal::Fork), "{name}");
        });
    }
}

/// Looks at all there is.
fn finds_nothing(rule: Option<Mutation>, loss: Option<Loss>, goal: Goal, leads: u32) {
    let found = with(rule, || explore(&Game::new(leads), loss, goal, ALL));
    let Found { states, steps, node_states, path, all, .. } = found;
    println!("| {rule:?} | {loss:?} | {goal:?} | {leads} | {states} | {steps} | {node_states} |");
    assert!(all && path.is_none());
}

#[test]
fn the_rules_hold_in_every_schedule() {
    println!("| broken rule | a crash takes | sought | leads | states | steps | node states |");
    (0..4).for_each(|leads| finds_nothing(None, None, Goal::Contradiction, leads));
}

#[test]
fn the_rules_hold_through_a_crash() {
    finds_nothing(None, Some(Loss::Nothing), Goal::Contradiction, 1);
}

#[test]
fn what_was_said_holds_though_certificates_are_lost() {
    finds_nothing(None, Some(Loss::Certificates), Goal::Contradiction, 3);
}

/// Two notarizations in a view stop whoever hears of both (R11), and a second final block would
/// need such a node's votes.
#[test]
fn two_notarize_stops_nodes_before_a_second_block_is_final() {
    finds_nothing(Some(Mutation::TwoNotarize), Some(Loss::Nothing), Goal::Fork, 1);
}

/// The rule is stricter than it must be; `signing` pins it.
#[test]
fn notarize_after_nullify_breaks_nothing() {
    finds_nothing(Some(Mutation::NotarizeAfterNullify), None, Goal::Contradiction, 1);
}

/// A node finalizes in the step in which it leaves the view, and gives up no view it has left: the
/// rule is out of reach as long as a node's certificates come back with its votes.
#[test]
fn nullify_after_finalize_is_out_of_reach_while_certificates_are_kept() {
    finds_nothing(Some(Mutation::NullifyAfterFinalize), None, Goal::Contradiction, 1);
}
