//! Who lives in a world, and who never talks to whom.
//!
//! Not here: what they do (`world`).

use super::*;
use crate::sim::check::NEWEST;
use chain_core::crypto::SecretKey;

/// Keys of nodes without a seat are drawn from here on.
const OUTSIDER: u8 = 200;

/// All nodes: validators, followers, the second ones of twins; and who never talks to whom.
pub(super) fn populate(
    scenario: &Scenario,
    setting: &Setting,
    random: &mut Random,
) -> (Vec<Node>, Vec<(usize, usize)>) {
    let disk = || if scenario.mistake == Some(Mistake::NoSync) { Disk::lying() } else { Disk::new() };
    let mut nodes = Vec::new();
    for (place, key) in setting.keys.iter().enumerate() {
        let traitor = scenario.traitor(place);
        let honest = traitor.is_none_or(Traitor::is_honest);
        let mut node = Node::new(Some(key.clone()), honest, disk(), scenario.skews[place]);
        node.gone = traitor == Some(Traitor::Silent);
        nodes.push(node);
    }
    for follower in &scenario.followers {
        let key = follower.keyed.then(|| Arc::new(SecretKey::from_seed(&[OUTSIDER + nodes.len() as u8; 32])));
        let mut node = Node::new(key, follower.honest, disk(), scenario.skews[nodes.len()]);
        node.trust = follower.trust;
        nodes.push(node);
    }
    let twins = scenario.traitors.iter().filter(|(_, what)| *what == Traitor::Twins);
    let pairs: Vec<(usize, usize)> = twins.enumerate().map(|(i, (first, _))| (*first, nodes.len() + i)).collect();
    for (first, _) in &pairs {
        nodes.push(Node::new(nodes[*first].key.clone(), false, disk(), 0));
    }
    for node in scenario.upgrade.iter().flatten() {
        nodes[*node].known = NEWEST - 1;
    }
    let mut apart = apart(&pairs, nodes.len(), random);
    if scenario.mistake.is_some_and(Mistake::allows_forks) {
        apart.clear(); // there the partition decides who talks to whom
    }
    for node in 0..nodes.len() {
        let Some(guide) = scenario.follower(node).and_then(|follower| follower.knows_only) else { continue };
        let lies = |other: usize| scenario.follower(other).is_some_and(|follower| !follower.honest);
        apart.extend((0..nodes.len()).filter(|other| *other != guide && !lies(*other)).map(|other| (node, other)));
    }
    (nodes, apart)
}

/// Twins never talk to each other, and each other node talks to one of them or to both. Twins of
/// one kind keep together: that is how they do most harm.
fn apart(pairs: &[(usize, usize)], nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let mut apart = Vec::new();
    let is_twin = |node: usize| pairs.iter().any(|(first, second)| node == *first || node == *second);
    for (place, (first, second)) in pairs.iter().enumerate() {
        apart.push((*first, *second));
        for (one, other) in &pairs[..place] {
            apart.extend([(*first, *other), (*second, *one)]);
        }
        for node in (0..nodes).filter(|node| !is_twin(*node)) {
            match random.below(5) {
                0 | 1 => apart.push((*first, node)),
                2 | 3 => apart.push((*second, node)),
                _ => {}
            }
        }
    }
    apart
}
