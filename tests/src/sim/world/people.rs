//! Who lives in a world, and who never talks to whom.
//!
//! Not here: what they do (`world`).

use super::*;

/// All nodes: validators, followers, the second ones of twins; and who never talks to whom.
pub(super) fn populate(
    scenario: &Scenario,
    setting: &Setting,
    random: &mut Random,
) -> (Vec<Node>, Vec<(usize, usize)>) {
    let disk = || if scenario.mistake == Some(Mistake::NoSync) { Disk::lying() } else { Disk::new() };
    let mut nodes = Vec::new();
    for place in 0..scenario.validators + scenario.followers {
        let key = setting.keys.get(place).cloned();
        let traitor = scenario.traitor(place);
        let honest = traitor.is_none_or(Traitor::is_honest);
        let mut node = Node::new(key, honest, disk(), scenario.skews[place]);
        node.gone = traitor == Some(Traitor::Silent);
        nodes.push(node);
    }
    let twins = scenario.traitors.iter().filter(|(_, what)| *what == Traitor::Twins);
    let pairs: Vec<(usize, usize)> = twins.enumerate().map(|(i, (first, _))| (*first, nodes.len() + i)).collect();
    for (first, _) in &pairs {
        nodes.push(Node::new(nodes[*first].key.clone(), false, disk(), 0));
    }
    let mut strangers = strangers(&pairs, nodes.len(), random);
    if scenario.mistake.is_some_and(Mistake::allows_forks) {
        strangers.clear(); // there the partition decides who talks to whom
    }
    (nodes, strangers)
}

/// Twins never talk to each other, and each other node talks to one of them or to both. Twins of
/// one kind keep together: that is how they do most harm.
fn strangers(pairs: &[(usize, usize)], nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let mut strangers = Vec::new();
    let is_twin = |node: usize| pairs.iter().any(|(first, second)| node == *first || node == *second);
    for (place, (first, second)) in pairs.iter().enumerate() {
        strangers.push((*first, *second));
        for (one, other) in &pairs[..place] {
            strangers.extend([(*first, *other), (*second, *one)]);
        }
        for node in (0..nodes).filter(|node| !is_twin(*node)) {
            match random.below(5) {
                0 | 1 => strangers.push((*first, node)),
                2 | 3 => strangers.push((*second, node)),
                _ => {}
            }
        }
    }
    strangers
}
