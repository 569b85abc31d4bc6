//! That histories are the same for a seed, and rich: they contain what can happen, and all that can be refused.

use super::*;
use crate::block::Verdict;
use crate::state::market::job::Funding;
use crate::tx::{self, job, rejection};
use std::collections::{BTreeMap, BTreeSet};

/// Rejections of the market's families that no history of people here can meet, and why.
const NEVER: [(&str, &str); 1] =
    [("too_many_offers", "five models in three assets and four kinds of units are 60 offers, not 129")];
/// Refusals of acknowledged work, posted jobs, handovers and disputes, which histories do not draw on purpose.
const NOT_DRAWN: [&str; 24] = [
    "ack_other_job",
    "ack_other_leg",
    "ack_other_provider",
    "ack_other_key",
    "ack_old",
    "no_acks",
    "job_closing",
    "job_disputed",
    "not_the_payer",
    "quantum_range",
    "bad_ack_key",
    "bidding_range",
    "bidding_over",
    "bid_form",
    "price_above_post",
    "requirements_unmet",
    "too_many_bids",
    "no_bid",
    "bid_changed",
    "no_handover",
    "handover_to_self",
    "too_late_to_hand_over",
    "party_arbiter",
    "quantum_exceeded",
];
/// Seeds that are played to see what occurs.
const SEEDS: u64 = 24;

/// What happened in histories: kinds of events, and refusals by name.
#[derive(Default)]
struct Seen {
    events: BTreeSet<[u8; 2]>,
    refused: BTreeMap<&'static str, u32>,
    /// Assets and kinds of units of jobs that paid somebody, and why they ended.
    paid: BTreeSet<String>,
    carried_out: u32,
    steps: u32,
}

impl Seen {
    fn hear(&mut self, event: &tx::Event) {
        self.events.insert(crate::codec::encode(event)[..2].try_into().unwrap());
        match event {
            tx::Event::Job(job::Event::JobOpened { funding, .. }) => {
                let from = match funding {
                    Funding::Wallet {} => "wallet",
                    Funding::Prepaid {} => "prepaid",
                    Funding::OnBehalf { .. } => "on behalf",
                };
                self.paid.insert(from.into());
            }
            tx::Event::Job(job::Event::JobSettled { asset, unit_kind, cause, settlement, .. }) => {
                if !settlement.provider.is_zero() {
                    self.paid.extend([format!("asset {asset}"), unit_kind.to_string()]);
                }
                if !settlement.early_fee.is_zero() {
                    self.paid.insert("early".into());
                }
                self.paid.insert(format!("{cause:?}"));
            }
            _ => {}
        }
    }
}

fn play((seed, hostile, step_ms): (u64, u64, u32), steps: u32, seen: &mut Seen) -> TestChain {
    let (mut histories, mut chain) = (Histories::with(seed, hostile), chain(step_ms));
    for _ in 0..steps {
        chain.time = Some(histories.time(&chain.tree));
        let step = histories.next(&chain.tree);
        seen.steps += 1;
        let nonce = chain.account(&step.sender()).nonce;
        let results = match step.checked(nonce) {
            Ok(checked) => chain.build(&[checked]).0,
            Err(refused) => {
                *seen.refused.entry(refused.rejection.name).or_default() += 1;
                continue;
            }
        };
        match results.outcomes.first().map(|outcome| outcome.verdict) {
            _ if chain.account(&step.sender()).nonce == nonce => {}
            Some(Verdict::Rejected { number, .. }) => {
                *seen.refused.entry(rejection(number).unwrap().name).or_default() += 1;
            }
            _ => seen.carried_out += 1,
        }
        results.events.iter().flatten().for_each(|event| seen.hear(event));
    }
    chain
}

#[test]
fn histories_of_a_seed_are_the_same() {
    let roots = [7, 7, 8].map(|seed| play((seed, 100, LONG_STEP_MS), 120, &mut Seen::default()).tree.root());
    assert_eq!(roots[0], roots[1]);
    assert_ne!(roots[0], roots[2]);
}

#[test]
fn without_hostility_most_steps_succeed() {
    for step_ms in [REAL_STEP_MS, LONG_STEP_MS] {
        let mut seen = Seen::default();
        play((1, 0, step_ms), 600, &mut seen);
        assert!(seen.carried_out * 2 > seen.steps, "{} of {}: {:?}", seen.carried_out, seen.steps, seen.refused);
    }
}

/// Two thirds of them by a clock that lets hours pass, a third by the real one; some more hostile than others.
#[test]
fn histories_hold_all_that_can_happen_and_all_that_can_be_refused() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let step_ms = if seed % 3 == 0 { REAL_STEP_MS } else { LONG_STEP_MS };
        play((seed, [60, 150, 300][seed as usize / 3 % 3], step_ms), 400, &mut seen);
    }
    // Families 7 to 11, keys and delegates of 2, and of 5 votes, verdicts and roles.
    let kinds = [(7, 1..=8), (8, 1..=10), (9, 1..=7), (10, 1..=3), (11, 1..=1), (2, 1..=2), (2, 4..=5), (5, 1..=3)];
    let expected = kinds.into_iter().flat_map(|(family, kinds)| kinds.map(move |kind| [family, kind]));
    let missing: Vec<_> = expected.chain([[5, 20]]).filter(|kind| !seen.events.contains(kind)).collect();
    assert!(missing.is_empty(), "events {missing:?}; refused {:?}", seen.refused);
    let paid = "asset 0,asset 1,asset 2,tokens,images,seconds,requests,early,wallet,prepaid,on behalf,PayerCompleted,\
                ProviderCompleted,Declined,DurationOver,Silence";
    assert_eq!(seen.paid, paid.split(',').map(str::to_owned).collect());
    let never: Vec<_> = market_rejections().filter(|name| !seen.refused.contains_key(name)).collect();
    assert_eq!(never, NEVER.map(|(name, _)| name), "of {:?}", seen.refused);
}

fn market_rejections() -> impl Iterator<Item = &'static str> {
    let all = crate::tx::all_rejections().filter(|known| matches!(known.number, 70..100 | 200..300 | 700..1_200));
    all.map(|known| known.name).filter(|name| !NOT_DRAWN.contains(name))
}
