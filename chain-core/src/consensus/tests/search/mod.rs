//! What an adversary can make of the machine: every schedule of three views, with the rules as
//! they are and with one of them broken.

mod explore;
mod world;

use crate::mutation::{Mutation, with};
use explore::explore;
use world::{Game, Loss};

/// What the search can break: a rule of the code, or the memory of a node.
const BROKEN: [(&str, Option<Mutation>, Option<Loss>); 11] = [
    ("new blocks uncovered", Some(Mutation::NewUncovered), None),
    ("views between uncovered", Some(Mutation::AgainUncovered), None),
    ("coverage off by one", Some(Mutation::CoverageOffByOne), None),
    ("notarized covers", Some(Mutation::NotarizedCovers), None),
    ("finalize after nullify", Some(Mutation::FinalizeAfterNullify), None),
    ("nullify after finalize", Some(Mutation::NullifyAfterFinalize), Some(Loss::Certificates)),
    ("two notarize", Some(Mutation::TwoNotarize), Some(Loss::Nothing)),
    ("amnesia", None, Some(Loss::Everything)),
    ("signer repeated", Some(Mutation::SignerRepeated), None),
    ("view unsigned", Some(Mutation::ViewUnsigned), None),
    ("quorum of half", Some(Mutation::QuorumOfHalf), None),
];

#[test]
fn sizes() {
    let limit: usize = std::env::var("LIMIT").unwrap().parse().unwrap();
    for loss in [None, Some(Loss::Nothing)] {
        for leads in 0..4 {
            let started = std::time::Instant::now();
            let found = explore(&Game::new(leads), loss, limit);
            println!(
                "{leads} {loss:?}: {} states {} steps {} node states, cut {}, {:?} {:?} {:?}",
                found.states, found.steps, found.node_states, found.cut, found.contradiction, found.fork.map(|f| f.len()), started.elapsed()
            );
        }
    }
    for (name, mutation, loss) in BROKEN {
        for leads in 0..4 {
            let started = std::time::Instant::now();
            let found = with(mutation, || explore(&Game::new(leads), loss, limit / 3));
            println!(
                "{name} {leads} {loss:?}: {} states {} steps {} node states, cut {}, {:?} {:?} {:?}",
                found.states, found.steps, found.node_states, found.cut, found.contradiction, found.fork.map(|f| f.len()), started.elapsed()
            );
        }
    }
}
