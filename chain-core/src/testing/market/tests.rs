//! That histories are the same for a seed, and rich: they contain what can happen.

use super::*;
use crate::block::Verdict;
use crate::tx::rejection;
use std::collections::{BTreeMap, BTreeSet};

/// What happened in histories: kinds of events, and refusals by name.
#[derive(Default)]
struct Seen {
    events: BTreeSet<[u8; 2]>,
    refused: BTreeMap<&'static str, u32>,
    carried_out: u32,
    steps: u32,
}

fn play(seed: u64, hostile: u64, steps: u32, seen: &mut Seen) -> TestChain {
    let (mut histories, mut chain) = (Histories::with(seed, hostile), chain());
    for _ in 0..steps {
        chain.time = Some(histories.time(&chain.tree));
        let step = histories.next(&chain.tree);
        seen.steps += 1;
        let checked = match step.checked(chain.account(&step.sender()).nonce) {
            Ok(checked) => checked,
            Err(refused) => {
                *seen.refused.entry(refused.rejection.name).or_default() += 1;
                continue;
            }
        };
        let results = chain.block(&[checked]);
        match results.outcomes[0].verdict {
            Verdict::Ok => seen.carried_out += 1,
            Verdict::Rejected { number, .. } => *seen.refused.entry(rejection(number).unwrap().name).or_default() += 1,
        }
        for event in results.events.iter().flatten() {
            seen.events.insert(crate::codec::encode(event)[..2].try_into().unwrap());
        }
    }
    chain
}

#[test]
fn histories_of_a_seed_are_the_same() {
    let roots = [7, 7, 8].map(|seed| play(seed, 100, 120, &mut Seen::default()).tree.root());
    assert_eq!(roots[0], roots[1]);
    assert_ne!(roots[0], roots[2]);
}

#[test]
fn without_hostility_most_steps_succeed() {
    let mut seen = Seen::default();
    play(1, 0, 600, &mut seen);
    assert!(seen.carried_out * 2 > seen.steps, "{} of {}: {:?}", seen.carried_out, seen.steps, seen.refused);
}

#[test]
fn histories_are_rich() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        play(seed, 100, 400, &mut seen);
    }
    // Families 7 to 11, the delegates of 2, and verdicts.
    let kinds = [(7, 1..=8), (8, 1..=10), (9, 1..=7), (10, 1..=3), (11, 1..=1), (2, 4..=5), (5, 20..=20)];
    let expected = kinds.into_iter().flat_map(|(family, kinds)| kinds.map(move |kind| [family, kind]));
    let missing: Vec<_> = expected.filter(|kind| !seen.events.contains(kind)).collect();
    assert!(missing.is_empty(), "events {missing:?}; refused {:?}", seen.refused);
    let never: Vec<_> = market_rejections().filter(|name| !seen.refused.contains_key(name)).collect();
    assert!(seen.refused.len() > 45, "{:?}; never: {never:?}", seen.refused);
}

fn market_rejections() -> impl Iterator<Item = &'static str> {
    let all = crate::tx::all_rejections().filter(|known| matches!(known.number, 70..100 | 700..1_200));
    all.map(|known| known.name)
}
