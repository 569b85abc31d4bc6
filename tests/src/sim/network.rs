//! Links between nodes: which connections exist, what is cut, what becomes of one message.
//!
//! A connection has one number at both ends, never given twice. What was on its way when it broke
//! is lost. Within a connection messages overtake each other: harsher than any transport. Votes of one
//! kind can be held back from all but one node: the moment that rules about later views are made for.

use super::random::Random;
use super::scenario::Weather;
use chain_core::consensus::{self, Peer};
use chain_core::types::VoteKind;
use chain_core::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// All links.
pub struct Network {
    /// How messages travel now.
    pub weather: Weather,
    ends: BTreeMap<u64, (usize, usize)>,
    pairs: BTreeMap<(usize, usize), u64>,
    /// From whom to whom nothing gets, and until when.
    cuts: BTreeMap<(usize, usize), u64>,
    /// Pairs that never talk.
    apart: BTreeSet<(usize, usize)>,
    hold: Option<Hold>,
    next: u64,
}

/// Votes and certificates of one kind wait on their way to everybody but one.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// Of which kind.
    pub kind: VoteKind,
    /// Who gets them all the same.
    pub except: usize,
    /// They get through at this virtual time, or a little later.
    pub until: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Network {
    /// No connections yet; these pairs never have one.
    pub fn new(weather: Weather, apart: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let apart = apart.into_iter().map(|(a, b)| pair(a, b)).collect();
        let (ends, pairs, cuts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { weather, ends, pairs, cuts, apart, hold: None, next: 1 }
    }

    /// A new connection, unless there is one or may be none.
    pub fn connect(&mut self, now: u64, a: usize, b: usize) -> Option<Peer> {
        let cut = self.is_cut(now, a, b) || self.is_cut(now, b, a);
        if a == b || cut || self.apart.contains(&pair(a, b)) || self.pairs.contains_key(&pair(a, b)) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.ends.insert(number, (a, b));
        self.pairs.insert(pair(a, b), number);
        Some(Peer(number))
    }

    /// The connection between two, if there is one.
    pub fn between(&self, a: usize, b: usize) -> Option<Peer> {
        self.pairs.get(&pair(a, b)).copied().map(Peer)
    }

    /// Who is at the other end, while the connection lasts.
    pub fn other_end(&self, of: usize, peer: Peer) -> Option<usize> {
        let (a, b) = self.ends.get(&peer.0).copied()?;
        if a == of { Some(b) } else { Some(a).filter(|_| b == of) }
    }

    /// Ends a connection.
    pub fn disconnect(&mut self, peer: Peer) {
        if let Some((a, b)) = self.ends.remove(&peer.0) {
            self.pairs.remove(&pair(a, b));
        }
    }

    /// All connections of a node with who is at the other end.
    pub fn of(&self, node: usize) -> Vec<(Peer, usize)> {
        let other = |(a, b): (usize, usize)| if a == node { Some(b) } else { Some(a).filter(|_| b == node) };
        self.ends.iter().filter_map(|(number, ends)| Some((Peer(*number), other(*ends)?))).collect()
    }

    /// Nothing gets from one to the other until then.
    pub fn cut(&mut self, from: usize, to: usize, until: u64) {
        let cut = self.cuts.entry((from, to)).or_default();
        *cut = until.max(*cut);
    }

    /// Such votes are held back from now on; an earlier hold ends.
    pub fn hold(&mut self, hold: Hold) {
        self.hold = Some(hold);
    }

    /// When a message that is said now sets out.
    pub fn sets_out(&self, now: u64, to: usize, message: &Message) -> u64 {
        let Message::Agreement { message, .. } = message else { return now };
        let kind = match message {
            consensus::Message::Vote(vote) => vote.message.kind,
            consensus::Message::Certificate(certificate) => certificate.kind(),
            _ => return now,
        };
        let held = self.hold.filter(|hold| hold.kind == kind && hold.except != to);
        held.map_or(now, |hold| hold.until.max(now))
    }

    /// No link is cut any more, nothing is held back.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.hold = None;
    }

    fn is_cut(&self, now: u64, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|until| now < *until)
    }

    /// When the copies of a message that is sent now arrive: none, one or two of them.
    pub fn arrivals(&self, now: u64, from: usize, to: usize, random: &mut Random) -> Vec<u64> {
        if self.is_cut(now, from, to) || random.chance(self.weather.lost) {
            return Vec::new();
        }
        let copies = 1 + u64::from(random.chance(self.weather.doubled));
        (0..copies).map(|_| now + random.between(1, self.weather.delay_ms)).collect()
    }
}
