//! Rule n of the family is tested by `rule_n_…`; besides, who profits from what, short histories without a gap, and
//! how much an end of a block looks at.

mod model;
mod queues;
mod rules;
mod verdicts;
mod worth;

use super::*;
use crate::testing::{PROPOSER, address};
use crate::tx::market_testkit::{Opening, *};

/// A job that V judges, with 4000 acknowledged and paid units of 5 base units each, and 600 claimed ones.
fn claimed() -> (World, u64) {
    let mut world = World::judged_by_v();
    world.give(H1, 10 * E6);
    let id = world.open(P1, Opening { judged: by_v(), ..acked(1_000) });
    world.redeemed(id, 4_000);
    world.prove(id, 600);
    (world, id)
}

/// As `claimed`, and the payer contests all that is claimed.
fn contested() -> (World, u64) {
    let (mut world, id) = claimed();
    world.ok(P1, contest(id, 4_000));
    (world, id)
}

/// As `contested`, and the provider has answered.
fn answered() -> (World, u64) {
    let (mut world, id) = contested();
    world.ok(H1, answer(id));
    (world, id)
}

/// What P1, H1, V and the treasury have of USD, in all purses.
fn sheet(world: &World) -> [u128; 4] {
    [world.worth(P1, USD), world.worth(H1, USD), world.worth(V, USD), world.treasury(USD)]
}

/// By how much each became more.
fn change(before: [u128; 4], after: [u128; 4]) -> [i128; 4] {
    std::array::from_fn(|place| after[place] as i128 - before[place] as i128)
}
