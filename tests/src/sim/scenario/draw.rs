//! Drawing the parts of a scenario: who there is, what goes wrong when.
//!
//! Not here: what the parts mean (`scenario`).

use super::*;
use crate::sim::setting::STAKE;
use crate::sim::{stakers, stakes};
use chain_core::crypto::PublicKey;
use chain_core::genesis::ConsensusMode;
use chain_core::state::Params;
use chain_core::types::Height;

pub(super) fn rule(random: &mut Random, mistake: Option<Mistake>) -> QuorumRule {
    match mistake {
        Some(Mistake::HalfIsQuorum) => QuorumRule::Crash,
        None if random.chance(80) => QuorumRule::Crash,
        _ => QuorumRule::Byzantine,
    }
}

/// One to ten validators, mostly four, mostly of weight 1.
pub(super) fn weights(random: &mut Random, rule: QuorumRule, mistake: Option<Mistake>) -> Vec<u64> {
    let count = match (mistake, rule) {
        (Some(Mistake::HalfIsQuorum), _) => 5,
        (Some(Mistake::TooManyTwins | Mistake::Amnesia), _) => 4,
        (_, QuorumRule::Crash) => random.pick(&[2, 3, 3, 5]),
        // Messages grow with the square of the number, and so does the time a run takes.
        _ if random.chance(20) => random.pick(&[8, 9, 10]),
        _ => random.pick(&[1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 6, 7]),
    };
    let heavy = mistake.is_none() && random.chance(150);
    (0..count).map(|_| if heavy { random.between(1, 3) } else { 1 }).collect()
}

/// One after the other, as long as their weight is inside the rule's bound.
pub(super) fn traitors(
    random: &mut Random,
    weights: &[u64],
    rule: QuorumRule,
    mistake: Option<Mistake>,
) -> Vec<(usize, Traitor)> {
    let total: u64 = weights.iter().sum();
    let too_much = |sum: u64| match mistake {
        Some(Mistake::TooManyTwins) => sum > 2,
        Some(Mistake::HalfIsQuorum) => 3 * sum >= total,
        _ if rule == QuorumRule::Crash => 2 * sum >= total,
        _ => 3 * sum >= total,
    };
    let (mut drawn, mut sum) = (Vec::new(), 0);
    let first = random.place(weights.len());
    for who in (first..weights.len()).chain(0..first) {
        sum += weights[who];
        if too_much(sum) {
            break;
        }
        let what = match random.below(12) {
            _ if matches!(mistake, Some(Mistake::TooManyTwins | Mistake::HalfIsQuorum)) => Some(Traitor::Twins),
            place if rule == QuorumRule::Crash => crashed(place),
            0..=3 => Some(Traitor::Twins),
            4..=6 => Some(Traitor::Liar),
            7 => Some(Traitor::Silent),
            8 => Some(Traitor::WrongClock),
            9 => Some(Traitor::Wiped),
            10 => Some(Traitor::Restored),
            _ => None,
        };
        drawn.extend(what.map(|what| (who, what)));
    }
    drawn
}

/// Who may join later, and which of them are no better than the traitors of the set. The council knows
/// how many of those a set bears.
pub(super) fn candidates(
    random: &mut Random,
    validators: usize,
    rule: QuorumRule,
    traitors: &mut Vec<(usize, Traitor)>,
) -> usize {
    let count = if validators > 7 { 1 } else { random.place(3) + 1 };
    for who in validators..validators + count {
        let what = match random.below(12) {
            place if rule == QuorumRule::Crash => crashed(place).filter(|_| random.chance(300)),
            0 | 1 => Some(Traitor::Twins),
            2 | 3 => Some(Traitor::Liar),
            4 => Some(Traitor::Silent),
            5 => Some(Traitor::Restored),
            _ => None,
        };
        traitors.extend(what.map(|what| (who, what)));
    }
    count
}

/// By which rules the set changes.
pub(super) fn terms(random: &mut Random, validators: usize, is_absent: bool) -> Terms {
    use ConsensusMode::{Hybrid, Poa, Pos};
    let mode = random.pick(&[Poa, Poa, Poa, Pos, Pos, Pos, Hybrid, Hybrid]);
    let (issuance, cap_bps) = (random.pick(&[0, 1, 1_000]), random.pick(&[10_000, 5_000, 3_300, 1]));
    let most = random.pick(&[100, 100, validators as u32, validators as u32 + 1]).max(4);
    let absence = if is_absent { 10 } else { 1_000 };
    match mode {
        Poa => Terms { absence, ..Terms::POA },
        _ => Terms { mode, issuance, cap_bps, most: most.max(validators as u32), absence },
    }
}

/// Weights that follow from stakes may be others than were drawn: as many traitors as they bear.
pub(super) fn bear(traitors: &mut Vec<(usize, Traitor)>, weights: &[u64], rule: QuorumRule, terms: &Terms) {
    let params = Params {
        weight_exponent: 6,
        weight_cap_bps: terms.cap_bps,
        max_active_validators: terms.most,
        ..Params::default()
    };
    let stake =
        |(seat, weight): (usize, &u64)| (PublicKey([seat as u8; 32]), u128::from(*weight) * STAKE, Height::ZERO);
    let weights = stakes::weights(terms.mode, &params, weights.iter().enumerate().map(stake).collect());
    let is_bad = |seat: usize, traitors: &[(usize, Traitor)]| traitors.iter().any(|(who, _)| *who == seat);
    let bears = |traitors: &[(usize, Traitor)]| {
        let seats = weights.iter().map(|(key, weight)| (*weight, is_bad(key.0[0].into(), traitors)));
        stakers::bears(rule, seats)
    };
    while !bears(traitors) {
        let Some(place) = traitors.iter().position(|(who, _)| *who < weights.len()) else { return };
        traitors.remove(place);
    }
}

/// Some who lie let their nodes keep the rules, and plan their conviction.
pub(super) fn schemers(random: &mut Random, traitors: &mut [(usize, Traitor)], rule: QuorumRule) {
    let lie = traitors.iter_mut().filter(|(_, what)| !what.is_honest() && rule == QuorumRule::Byzantine);
    lie.filter(|_| random.chance(350)).for_each(|(_, what)| *what = Traitor::Schemer);
}

/// Whose software is not of the newest. Of those that count as traitors one stays so, perhaps.
pub(super) fn older(random: &mut Random, nodes: usize, traitors: &mut [(usize, Traitor)]) -> Vec<usize> {
    let share = random.pick(&[100, 400, 1_000]);
    let stays = random.chance(700);
    if let Some((_, what)) = traitors.first_mut().filter(|(_, what)| stays && *what != Traitor::Absent) {
        *what = Traitor::Outdated;
    }
    let is_old = |node: &usize| match traitors.iter().find(|(who, _)| who == node) {
        Some((_, what)) => *what == Traitor::Outdated,
        None => random.chance(share),
    };
    (0..nodes).filter(is_old).collect()
}

/// Where a quorum is a mere majority, nobody may lie or forget.
fn crashed(place: u64) -> Option<Traitor> {
    match place {
        0..=6 => Some(Traitor::Silent),
        7..=9 => Some(Traitor::WrongClock),
        _ => None,
    }
}

pub(super) fn followers(
    random: &mut Random,
    (validators, seats): (usize, usize),
    traitors: &[(usize, Traitor)],
    is_long: bool,
) -> Vec<Follower> {
    let kinds: &[bool] = match random.below(24) {
        _ if is_long => &[true, true, false],
        0 | 1 => &[true],
        2 | 3 => &[false],
        4 | 5 => &[true, false],
        6 => &[true, false, false],
        7 => &[true, true, false],
        _ => &[],
    };
    let lies = kinds.contains(&false);
    let first = random.place(validators);
    let is_honest = |place: &usize| traitors.iter().all(|(who, what)| who != place || what.is_honest());
    let guide = (first..validators).chain(0..first).find(is_honest);
    let mut follower = |honest: bool| Follower {
        honest,
        trust: if random.chance(600) { Trust::Quorum } else { Trust::Nobody },
        keyed: random.chance(300),
        knows_only: guide.filter(|_| honest && lies && random.chance(500)),
    };
    let mut all: Vec<Follower> = kinds.iter().map(|honest| follower(*honest)).collect();
    // Two honest ones: what the second hears of the chain, it hears of the first or of liars.
    if let [first, second, ..] = all.as_mut_slice()
        && second.honest
    {
        (first.knows_only, second.knows_only) = (None, Some(seats));
    }
    all
}

/// Who is not there before the healing: perhaps anybody, often who follows.
pub(super) fn late(random: &mut Random, seats: usize, followers: &[Follower]) -> Vec<usize> {
    let nodes = seats + followers.len();
    let mut late: Vec<usize> = (seats..nodes).filter(|node| followers[node - seats].honest).collect();
    late.retain(|_| random.chance(500));
    if random.chance(120) && seats > 1 {
        late.push(random.place(nodes));
    }
    late
}

pub(super) fn skew(random: &mut Random, traitors: &[(usize, Traitor)], node: usize) -> i64 {
    if traitors.contains(&(node, Traitor::WrongClock)) {
        return random.pick(&[-600_000, 600_000]);
    }
    random.below(401) as i64 - 200
}

pub(super) fn troubles(
    random: &mut Random,
    nodes: usize,
    chaos_ms: u64,
    traitors: &[(usize, Traitor)],
) -> Vec<(u64, Trouble)> {
    let count = random.below(7);
    let mut troubles: Vec<_> = (0..count).map(|_| (random.below(chaos_ms), trouble(random, nodes))).collect();
    for (node, what) in traitors.iter().filter(|(_, what)| what.forgets()) {
        let exchanged = random.between(1_000, 5_000);
        if *what == Traitor::Restored {
            troubles.push((random.below(exchanged), Trouble::Backup(*node)));
        }
        troubles.push((exchanged, Trouble::Exchange(*node)));
    }
    // What a liar needs: somebody for whom a block is final while the others go on without it.
    if traitors.iter().any(|(_, what)| *what == Traitor::Liar) && random.chance(500) {
        let mut at = random.below(2_000);
        while at < chaos_ms {
            let for_ms = random.between(500, 3_000);
            troubles.push((at, Trouble::Hold(VoteKind::Finalize, random.place(nodes), for_ms)));
            at += for_ms;
        }
    }
    troubles.sort_by_key(|(at, _)| *at);
    troubles
}

/// Half of the honest validators with one of each twins on one side, the rest on the other.
pub(super) fn split(random: &mut Random, validators: usize, traitors: &[(usize, Traitor)]) -> Vec<(u64, Trouble)> {
    let (mut side, mut left) = (0, 0);
    let honest = validators - traitors.len();
    for node in 0..validators {
        let is_twin = traitors.iter().any(|(twin, _)| *twin == node);
        let with_us = is_twin || left < honest / 2;
        left += usize::from(with_us && !is_twin);
        side |= u64::from(with_us) << node;
    }
    vec![(random.below(2_000), Trouble::Partition { side, for_ms: 10_000, hard: true })]
}

fn trouble(random: &mut Random, nodes: usize) -> Trouble {
    let (one, other) = (random.place(nodes), random.place(nodes));
    let for_ms = random.between(200, 5_000);
    let kind = random.pick(&[VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize]);
    match random.below(13) {
        12 => Trouble::Hold(kind, one, for_ms),
        0..=3 => Trouble::Crash(one, kept(random), for_ms),
        4 => Trouble::PowerCut(kept(random), for_ms),
        5 => Trouble::Stop(one, for_ms),
        6..=8 => Trouble::Partition { side: random.below(1 << nodes), for_ms, hard: random.chance(500) },
        9 => Trouble::OneWay(one, other, for_ms),
        10 => Trouble::Break(one, other),
        _ => Trouble::Jump(one, random.below(801) as i64 - 400),
    }
}

/// What a power cut leaves.
pub fn kept(random: &mut Random) -> Kept {
    let some = |random: &mut Random| random.pick(&[0, 0, 1, 2, 3, usize::MAX]);
    Kept { store: some(random), logs: some(random) }
}

/// At which write of a node's life its disk fails, and how.
pub fn failing_write(random: &mut Random) -> (u64, Fault) {
    (random.below(120), random.pick(&Fault::ALL))
}
