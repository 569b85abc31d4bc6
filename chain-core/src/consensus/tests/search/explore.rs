//! Breadth-first search over everything the adversary can do.
//!
//! A state is the three honest nodes, each a number: what a node does depends on its own state and
//! on what it hears only, so each step of the real machine is made once per (node state, act) and
//! remembered, and the search over the product of the three nodes is one over numbers.
//!
//! Left out, because no conflict is lost by it:
//! - acts by which a node says nothing and doesn't move on: what it heard can be heard later;
//! - votes one by one: a certificate of them does the same; and who signed it;
//! - finalizations, and certificates in contradiction: who hears one stops voting;
//! - a second proposal in a view: it is evidence, and at most ends the view, as the clock does;
//! - nullify votes in the last view: they matter to later views only;
//! - not finalizing what is notarized in a view the node has left, unless it will lead, or may come
//!   back to the view by losing its certificates: it costs the node nothing it could still do;
//! - what a node knows of views it has left, unless it will lead: all of it that a proposal needs
//!   travels with the proposal.

use super::super::*;
use super::world::{Act, Game, Loss, Node, VIEWS, Votes, ones};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// At two finalizations of different blocks.
    Fork,
    /// At two certificates on which a node stops.
    Contradiction,
}

/// What a search found.
pub struct Found {
    /// States looked at.
    pub states: usize,
    /// Steps of the real machine.
    pub steps: u64,
    /// Distinct states of single nodes.
    pub node_states: usize,
    /// How many states were looked at when the first two certificates excluded each other.
    pub contradiction: Option<usize>,
    /// What led to the goal, each act with its node.
    pub path: Option<Vec<(usize, Act)>>,
    /// Whether all there is was looked at.
    pub all: bool,
}

/// What the search needs to know of a node in one state.
struct Known {
    node: Node,
    view: u32,
    /// Certificates it has or could not stand beside those it has.
    closed: u32,
    /// Notarizations of views it has left.
    left: u32,
    proposed_to: bool,
    /// Whether it leads its view or a later one and has not proposed there.
    will_lead: bool,
    /// Where acts lead that were looked at.
    certificates: Vec<Option<Moved>>,
    others: Vec<(Act, Moved)>,
}

#[derive(Clone, Copy)]
struct Moved {
    to: u32,
    said: bool,
}

struct Search<'g> {
    game: &'g Game,
    loss: Option<Loss>,
    known: Vec<Known>,
    numbers: HashMap<String, u32>,
    steps: u64,
}

type State = [u32; 3];

/// States are spread well enough by one multiplication.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("states are hashed as one number");
    }

    fn write_u64(&mut self, state: u64) {
        let mixed = (state ^ state >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

type Seen = std::collections::HashSet<u64, BuildHasherDefault<Spread>>;

fn packed(state: State) -> u64 {
    assert!(state.iter().all(|node| *node < 1 << 21));
    state.iter().fold(0, |all, node| all << 21 | u64::from(*node))
}

/// Searches until the goal is reached, all is seen, or `limit` states were looked at. A crash, of
/// one node once, is part of it if `loss` says what it takes.
pub fn explore(game: &Game, loss: Option<Loss>, goal: Goal, limit: usize) -> Found {
    let mut search = Search { game, loss, known: vec![], numbers: HashMap::new(), steps: 0 };
    let start = game.honest.map(|place| search.number(game.node(place)));
    let (mut seen, mut all) = (Seen::default(), vec![(start, 0u32)]);
    seen.insert(packed(start));
    let (mut contradiction, mut path, mut at, mut next) = (None, None, 0, vec![]);
    while at < all.len().min(limit) && path.is_none() {
        let (state, _) = all[at];
        let certifiable = game.certifiable(search.votes(state));
        if contradiction.is_none() && game.contradiction(certifiable) {
            contradiction = Some(at + 1);
        }
        let reached = match goal {
            Goal::Fork => game.fork(certifiable).is_some(),
            Goal::Contradiction => contradiction.is_some(),
        };
        if reached {
            path = Some(search.path(&all, at));
        }
        search.successors(state, certifiable, &mut next);
        for (_, _, state) in next.drain(..) {
            if seen.insert(packed(state)) {
                all.push((state, at as u32));
            }
        }
        at += 1;
    }
    let (steps, node_states) = (search.steps, search.known.len());
    Found { states: at, steps, node_states, contradiction, path, all: at == all.len() }
}

impl Search<'_> {
    fn votes(&self, state: State) -> Votes {
        state.iter().fold(self.game.treason(), |votes, node| votes | self.known[*node as usize].node.votes)
    }

    /// The number of a node's state.
    fn number(&mut self, node: Node) -> u32 {
        let known = self.know(node);
        let next = self.known.len() as u32;
        let number = *self.numbers.entry(fingerprint(&known, self.game)).or_insert(next);
        if number == next {
            self.known.push(known);
        }
        number
    }

    fn know(&self, node: Node) -> Known {
        let round = &node.machine.round;
        let view = round.view.number.get();
        let certificates = &round.certificates;
        let slots = |wanted: &dyn Fn(&SignedMessage) -> bool| {
            self.game.slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).fold(0, |all, (i, _)| all | 1 << i)
        };
        let closed = slots(&|slot| {
            slot.kind == VoteKind::Finalize || certificates.knows(slot) || certificates.conflict(slot).is_some()
        });
        let left = slots(&|slot| slot.kind == VoteKind::Notarize && slot.view.get() < view);
        let record = node.machine.signer.record();
        let to_lead = |view: u32| {
            let said = record.said(Height::new(1), View::new(view));
            self.game.leader(view) == node.me && said.is_none_or(|said| said.proposal.is_none())
        };
        let will_lead = (view..VIEWS).any(to_lead);
        let proposed_to = round.proposals.contains_key(&round.view.number);
        let certificates = vec![None; self.game.slots.len()];
        Known { view, closed, left, proposed_to, will_lead, node, certificates, others: vec![] }
    }

    /// What can happen next, and to which of the three nodes.
    fn successors(&mut self, state: State, certifiable: u32, next: &mut Vec<(usize, Act, State)>) {
        let votes = self.votes(state);
        if let Some(certain) = self.certain(state, certifiable, votes) {
            next.push(certain);
            return;
        }
        let offers = state.iter().fold(0, |offers, node| offers | self.known[*node as usize].node.offers);
        let may_crash = state.iter().all(|node| self.known[*node as usize].node.crashes == 0);
        for i in 0..state.len() {
            let mut moved = |search: &mut Self, act: Act, silently: bool| {
                let Moved { to, said } = search.act(state[i], act, votes);
                if to != state[i] && (said || silently) {
                    next.push((i, act, with(state, i, to)));
                }
            };
            let Known { view, closed, proposed_to, will_lead, .. } = self.known[state[i] as usize];
            for slot in ones(certifiable & !closed) {
                let leads_on = self.game.slots[slot].view.get() >= view;
                moved(self, Act::Certificate(slot), leads_on || will_lead);
            }
            for offer in (0..self.game.offers.len()).filter(|_| !proposed_to) {
                let of = self.game.offers[offer];
                let exists = self.game.is_traitors(offer) || offers >> offer & 1 == 1;
                if of.view == view && exists && self.is_first_of_twins(of.block, votes) {
                    let with = self.game.justification(offer) & certifiable & !closed;
                    moved(self, Act::Offer { offer, with }, false);
                }
            }
            if will_lead {
                moved(self, Act::Moment, false);
            }
            if view + 1 < VIEWS {
                moved(self, Act::Long, false);
            }
            if let Some(loss) = self.loss.filter(|_| may_crash) {
                moved(self, Act::Crash(loss), true);
            }
        }
    }

    /// A finalize vote that costs its node nothing, if there is one: nothing else needs a look.
    fn certain(&mut self, state: State, certifiable: u32, votes: Votes) -> Option<(usize, Act, State)> {
        let crashed = state.iter().any(|node| self.known[*node as usize].node.crashes > 0);
        if self.loss == Some(Loss::Certificates) && !crashed {
            return None;
        }
        for (i, from) in state.into_iter().enumerate() {
            let Known { closed, left, will_lead, .. } = self.known[from as usize];
            for slot in ones(certifiable & left & !closed).filter(|_| !will_lead) {
                let act = Act::Certificate(slot);
                let Moved { to, said } = self.act(from, act, votes);
                if said {
                    return Some((i, act, with(state, i, to)));
                }
            }
        }
        None
    }

    /// The traitor's two blocks are alike: the second is of use once somebody voted for the first.
    fn is_first_of_twins(&self, block: usize, votes: Votes) -> bool {
        let (made, blocks) = (self.game.blocks[block], &self.game.blocks);
        let Some(first) = blocks[..block].iter().find(|other| other.view == made.view) else { return true };
        let voted = |(slot, of): (usize, &SignedMessage)| {
            let signers = votes >> (4 * slot) & 15;
            of.block == Some(first.id) && signers & !(1 << self.game.traitor) != 0
        };
        self.game.slots.iter().enumerate().any(voted)
    }

    /// The state of a node after an act, by the real machine the first time.
    fn act(&mut self, from: u32, act: Act, votes: Votes) -> Moved {
        let before = &self.known[from as usize];
        let remembered = match act {
            Act::Certificate(slot) => before.certificates[slot],
            _ => before.others.iter().find(|(other, _)| *other == act).map(|(_, moved)| *moved),
        };
        if let Some(moved) = remembered {
            return moved;
        }
        let mut node = before.node.clone();
        let (said_before, steps) = ((node.votes, node.offers), node.steps);
        node.act(self.game, act, votes);
        let said = (node.votes, node.offers) != said_before;
        self.steps += node.steps - steps;
        let moved = Moved { to: self.number(node), said };
        let before = &mut self.known[from as usize];
        match act {
            Act::Certificate(slot) => before.certificates[slot] = Some(moved),
            _ => before.others.push((act, moved)),
        }
        moved
    }

    /// What led to a state.
    fn path(&mut self, all: &[(State, u32)], mut at: usize) -> Vec<(usize, Act)> {
        let mut path = vec![];
        while at != 0 {
            let (state, parent) = all[at];
            let (before, _) = all[parent as usize];
            let mut next = vec![];
            self.successors(before, self.game.certifiable(self.votes(before)), &mut next);
            let (node, act, _) = next.into_iter().find(|(_, _, after)| *after == state).unwrap();
            path.push((node, act));
            at = parent as usize;
        }
        path.reverse();
        path
    }
}

fn with(mut state: State, i: usize, node: u32) -> State {
    state[i] = node;
    state
}

/// All of a node that its future depends on.
fn fingerprint(known: &Known, game: &Game) -> String {
    let Known { node, view, will_lead, proposed_to, .. } = known;
    let round = &node.machine.round;
    let certificates: Vec<_> = (0..=VIEWS + 1)
        .filter(|_| *will_lead)
        .map(|view| {
            let (view, certificates) = (View::new(view), &round.certificates);
            (certificates.notarization(view).and_then(Certificate::block), certificates.nullification(view).is_some())
        })
        .collect();
    // The clock is the leader's who waits for a block to become final.
    let wait = (*will_lead && game.leader(*view) == node.me)
        .then(|| (node.elapsed(), round.view.after_notarization, round.view.building.is_some()));
    let said = (node.me, node.votes, node.offers, node.crashes, node.machine.signer.record());
    format!("{view} {proposed_to} {:?} {certificates:?} {wait:?} {said:?}", round.phase)
}
