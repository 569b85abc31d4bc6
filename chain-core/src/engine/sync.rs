//! Catching up: ranges of final blocks from several peers at once, applied in order.
//!
//! ```text
//! heights:  head ┃ here │ asked of A │ asked of B │ not asked ┃ target
//! ```
//!
//! A peer's word about its height starts a question, nothing more: the agreement goes on meanwhile,
//! and a peer that does not deliver what it claims is not asked again for a while. Who gives less than
//! was asked for, as a slow line may have to, comes after those who give all. The range the head waits
//! for is asked of one more peer after a second, and of others after two and then every four. Every block
//! is verified before it counts, so one honest peer among liars is enough.
//!
//! Memory: at most [`AHEAD`] ranges are here or asked for, each bounded by one frame.
//!
//! Not here: judging a block (`commit`), answering others (`serve`).

use crate::block::FinalBlock;
use crate::consensus::{Offence, Peer};
use crate::crypto::PublicKey;
use crate::limits::{MAX_RANGE_BLOCKS, RANGE_BYTES};
use crate::types::{Height, QuorumRule, ValidatorSet};
use crate::wire::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many blocks are asked for at a time.
const RANGE: u64 = 64;
/// How many ranges may be under way or waiting.
const AHEAD: usize = 6;
/// The same without the first one.
const OTHERS: usize = AHEAD - 1;
/// How long a peer has to answer; it may need that for the largest block on a slow line.
const PATIENCE_MS: u64 = 20_000;
/// How long the head waits for one peer before one more is asked; the next ones wait longer.
const HEDGE_MS: u64 = 1_000;
/// How often that time is doubled.
const MAX_DOUBLINGS: usize = 2;
/// How long a peer that failed is left alone, times the number of its failures.
const PAUSE_MS: u64 = 2_000;
/// Bound of that factor.
const MAX_FAILURES: u64 = 15;
/// Bound of the short answers in a row that are counted.
const MAX_SHORT: u64 = 3;
/// Unanswered questions that are remembered of a peer.
const MAX_OPEN: usize = 8;

/// What is known of other nodes' chains, and what is being fetched.
#[derive(Debug, Default)]
pub(super) struct Sync {
    peers: BTreeMap<Peer, Claim>,
    ranges: BTreeMap<Height, Range>,
    /// Our own head when we asked last.
    head: Height,
    active: bool,
}

#[derive(Debug, Default)]
struct Claim {
    /// The key it has proven to hold.
    key: Option<PublicKey>,
    /// Whether that is a validator's of the set.
    member: bool,
    /// Has brought a block that was right.
    proven: bool,
    head: Height,
    oldest: Height,
    /// Failures since it brought a block that was right.
    failures: u64,
    /// Short answers in a row.
    short: u64,
    paused_until_ms: u64,
    /// From which heights it was asked and has not answered.
    open: VecDeque<Height>,
}

#[derive(Debug)]
struct Range {
    end: Height,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// Whom, and when.
    Asked(Vec<(Peer, u64)>),
    Here {
        peer: Peer,
        blocks: VecDeque<FinalBlock>,
    },
}

impl Sync {
    pub(super) fn join(&mut self, peer: Peer, key: Option<PublicKey>, member: bool) {
        self.peers.insert(peer, Claim { key, member, ..Claim::default() });
    }

    /// The set has changed.
    pub(super) fn learn(&mut self, set: &ValidatorSet) {
        for claim in self.peers.values_mut() {
            claim.member = claim.key.is_some_and(|key| set.index_of(&key).is_some());
        }
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.ranges.values_mut().for_each(|range| range.forget(|asked, _| asked == peer));
    }

    /// A peer said something that tells its height.
    pub(super) fn claims(&mut self, peer: Peer, head: Height) {
        if let Some(claim) = self.peers.get_mut(&peer) {
            claim.head = claim.head.max(head);
        }
    }

    /// Starts if somebody is ahead.
    pub(super) fn start(&mut self) {
        self.active = true;
    }

    /// The highest height claimed by a peer that may be asked now.
    fn target(&self, now_ms: u64) -> Height {
        let able = self.peers.values().filter(|claim| claim.paused_until_ms <= now_ms);
        able.map(|claim| claim.head).max().unwrap_or_default()
    }

    /// The highest height that validators claim of whom one at least must be honest. Where too few of them
    /// are connected it is the word of peers that have brought right blocks, as long as they do.
    pub(super) fn credible_target(&self, rule: QuorumRule, set: &ValidatorSet) -> Height {
        let mut claims: BTreeMap<usize, Height> = BTreeMap::new();
        for (place, claim) in self.peers.values().filter_map(|claim| Some((set.index_of(&claim.key?)?, claim))) {
            // Who has several connections has one word.
            let known = claims.entry(place).or_default();
            *known = claim.head.max(*known);
        }
        let mut claims: Vec<(Height, usize)> = claims.into_iter().map(|(place, head)| (head, place)).collect();
        claims.sort_unstable();
        let mut sum = 0u64;
        for (head, place) in claims.into_iter().rev() {
            sum = sum.saturating_add(set.get(place).map_or(0, |member| member.weight));
            if !rule.is_quorum(set.total_weight().saturating_sub(sum), set.total_weight()) {
                return head;
            }
        }
        let proven = self.peers.values().filter(|claim| claim.proven && claim.failures == 0);
        proven.map(|claim| claim.head).max().unwrap_or_default()
    }

    /// Whether the block above the head is here.
    pub(super) fn is_ready(&self, next: Height) -> bool {
        self.ranges.first_key_value().is_some_and(|(first, range)| {
            *first <= next && matches!(&range.state, State::Here { blocks, .. } if !blocks.is_empty())
        })
    }

    /// What a peer sent.
    pub(super) fn hear(
        &mut self,
        peer: Peer,
        (from, mut blocks, head, oldest): (Height, Vec<FinalBlock>, Height, Height),
        now_ms: u64,
    ) -> Result<(), Offence> {
        let is_first = self.ranges.first_key_value().is_some_and(|(first, _)| *first == from);
        let has_room = is_first || self.others() < OTHERS;
        let Some(claim) = self.peers.get_mut(&peer) else { return Ok(()) };
        (claim.head, claim.oldest) = (head, oldest);
        let Some(place) = claim.open.iter().position(|asked| *asked == from) else {
            // A hint, or what nobody asked for; the height it names is all that counts.
            return Ok(());
        };
        claim.open.remove(place);
        // What comes late, for a range that is given up, has no place of its own.
        let Some(range) = self.ranges.get_mut(&from).filter(|range| has_room || !range.is_open()) else {
            return Ok(());
        };
        range.forget(|asked, _| asked == peer);
        let whole = is_chain(from, &blocks);
        if blocks.is_empty() || !whole {
            self.fail(peer, now_ms);
            return if whole { Ok(()) } else { Err(Offence::BadBlock) };
        }
        if range.is_here() {
            // Somebody else was faster.
            return Ok(());
        }
        // The answer to an earlier, longer question may reach further.
        blocks.truncate(usize::try_from(range.end.get().saturating_sub(from.get()) + 1).unwrap_or(usize::MAX));
        let next = Height::new(from.get().saturating_add(blocks.len() as u64));
        let end = range.end;
        let is_short = next <= end && next <= head && size(&blocks) < RANGE_BYTES / 2;
        claim.short = if is_short { claim.short.saturating_add(1).min(MAX_SHORT) } else { 0 };
        range.end = Height::new(next.get().saturating_sub(1));
        range.state = State::Here { peer, blocks: blocks.into() };
        if next <= end {
            self.ranges.insert(next, Range { end, state: State::Open });
        }
        Ok(())
    }

    /// The block at a height with who sent it, if it is here.
    pub(super) fn take(&mut self, next: Height) -> Option<(Peer, FinalBlock)> {
        loop {
            let mut first = self.ranges.first_entry().filter(|first| *first.key() <= next)?;
            let State::Here { peer, blocks } = &mut first.get_mut().state else { return None };
            let peer = *peer;
            let block = blocks.pop_front();
            match block {
                None => drop(first.remove()),
                Some(block) if block.block.header.height == next => return Some((peer, block)),
                // Below: the agreement was faster.
                Some(block) if block.block.header.height < next => {}
                Some(_) => drop(first.remove()),
            }
        }
    }

    /// What a peer sent was wrong: everything from it goes, and others are asked.
    pub(super) fn reject(&mut self, peer: Peer, now_ms: u64) {
        for range in self.ranges.values_mut() {
            if matches!(range.state, State::Here { peer: sender, .. } if sender == peer) {
                range.state = State::Open;
            }
        }
        self.fail(peer, now_ms);
    }

    /// What a peer sent was right: whatever it did before, it is worth asking.
    pub(super) fn delivered(&mut self, peer: Peer) {
        if let Some(claim) = self.peers.get_mut(&peer) {
            (claim.proven, claim.failures, claim.paused_until_ms) = (true, 0, 0);
        }
    }

    fn fail(&mut self, peer: Peer, now_ms: u64) {
        if let Some(claim) = self.peers.get_mut(&peer) {
            claim.failures = claim.failures.saturating_add(1).min(MAX_FAILURES);
            claim.paused_until_ms = now_ms.saturating_add(PAUSE_MS.saturating_mul(claim.failures));
        }
    }

    /// When to look again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if !self.active {
            return None;
        }
        let deadlines = self.ranges.values().filter_map(|range| match &range.state {
            State::Asked(asked) => asked.iter().map(|(_, at)| at.saturating_add(PATIENCE_MS)).min(),
            State::Open | State::Here { .. } => None,
        });
        let hedge = self.ranges.first_key_value().and_then(|(from, range)| {
            // Without anybody to ask there is nothing to wake up for.
            let at = range.hedge_ms()?;
            self.able(*from, &self.busy()).map(|_| at)
        });
        let pauses = self.peers.values().map(|claim| claim.paused_until_ms).filter(|until| *until > 0);
        deadlines.chain(pauses).chain(hedge).min()
    }

    /// Asks for what is missing above the head; ends when nobody is ahead.
    pub(super) fn ask(&mut self, head: Height, now_ms: u64) -> Vec<(Peer, Message)> {
        self.head = head;
        if !self.active {
            return Vec::new();
        }
        self.give_up_on_the_silent(now_ms);
        for claim in self.peers.values_mut().filter(|claim| claim.paused_until_ms <= now_ms) {
            claim.paused_until_ms = 0;
        }
        let target = self.target(now_ms);
        self.ranges.retain(|_, range| range.end > head);
        if target <= head {
            // What is here is used all the same, and what lies before it is still missing.
            while self.ranges.last_entry().is_some_and(|last| last.get().is_open()) {
                self.ranges.pop_last();
            }
            self.active = !self.ranges.is_empty() || self.peers.values().any(|claim| claim.head > head);
            return Vec::new();
        }
        self.begin_above(head);
        self.join_open();
        self.plan(head, target);
        self.assign(now_ms)
    }

    /// What the agreement has decided meanwhile need not be asked for.
    fn begin_above(&mut self, head: Height) {
        let passed = self.ranges.first_entry().filter(|first| *first.key() <= head && first.get().is_open());
        if let Some(range) = passed.map(|first| first.remove()) {
            self.ranges.insert(head.next(), range);
        }
    }

    /// Ranges came apart where an answer was short. If that answer turned out wrong, they are asked for as one
    /// again: or else whoever gives a block or two of each would have everybody asked for crumbs from then on.
    fn join_open(&mut self) {
        for (from, range) in std::mem::take(&mut self.ranges) {
            match self.ranges.iter_mut().next_back() {
                Some((first, last))
                    if last.is_open()
                        && range.is_open()
                        && last.end.next() == from
                        && range.end.get().saturating_sub(first.get()) < RANGE =>
                {
                    last.end = range.end;
                }
                _ => drop(self.ranges.insert(from, range)),
            }
        }
    }

    fn give_up_on_the_silent(&mut self, now_ms: u64) {
        let mut silent = Vec::new();
        for range in self.ranges.values_mut() {
            range.forget(|peer, at| {
                let over = at.saturating_add(PATIENCE_MS) <= now_ms;
                silent.extend(over.then_some(peer));
                over
            });
        }
        silent.into_iter().for_each(|peer| self.fail(peer, now_ms));
    }

    /// Adds ranges up to the target.
    fn plan(&mut self, head: Height, target: Height) {
        let last = self.ranges.last_key_value().map_or(head, |(_, range)| range.end.max(head));
        let mut first = last.next();
        while self.ranges.len() < AHEAD && first <= target {
            let end = Height::new(first.get().saturating_add(RANGE - 1)).min(target);
            self.ranges.insert(first, Range { end, state: State::Open });
            first = end.next();
        }
    }

    /// Gives each open range, and the first one if the head has waited for it, to the idle peer that
    /// claims to have it: the one with the fewest failures and short answers, validators first.
    fn assign(&mut self, now_ms: u64) -> Vec<(Peer, Message)> {
        let mut busy = self.busy();
        let mut questions = Vec::new();
        let mut others = self.others();
        let mut ranges = std::mem::take(&mut self.ranges);
        for (place, (from, range)) in ranges.iter_mut().take(AHEAD).enumerate() {
            let late = place == 0 && range.hedge_ms().is_some_and(|at| at <= now_ms);
            let room = place == 0 || others < OTHERS;
            let wanted = (range.is_open() && room) || late;
            let Some(peer) = self.able(*from, &busy).filter(|_| wanted) else { continue };
            busy.insert(peer);
            others += usize::from(place > 0);
            range.ask(peer, now_ms);
            if let Some(claim) = self.peers.get_mut(&peer) {
                claim.open.push_back(*from);
                claim.open.drain(..claim.open.len().saturating_sub(MAX_OPEN));
            }
            let count = range.end.get().saturating_sub(from.get()).saturating_add(1) as u32;
            questions.push((peer, Message::NeedBlocks { from: *from, count }));
        }
        self.ranges = ranges;
        questions
    }

    /// How many ranges are here or asked for besides the first one, which always has a place: it ends the
    /// wait. Ranges come apart where an answer was short.
    fn others(&self) -> usize {
        self.ranges.values().skip(1).filter(|range| !range.is_open()).count()
    }

    /// Who is asked already: one question each at a time.
    fn busy(&self) -> BTreeSet<Peer> {
        self.ranges.values().flat_map(|range| range.asked().iter().map(|(peer, _)| *peer)).collect()
    }

    /// Whom to ask for a range that begins here.
    fn able(&self, from: Height, busy: &BTreeSet<Peer>) -> Option<Peer> {
        let able = self.peers.iter().filter(|(peer, claim)| {
            let has_it = claim.head >= from && claim.oldest <= from;
            has_it && claim.head > self.head && claim.paused_until_ms == 0 && !busy.contains(peer)
        });
        able.min_by_key(|(peer, claim)| (claim.failures, claim.short, !claim.member, **peer)).map(|(peer, _)| *peer)
    }
}

impl Range {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    fn asked(&self) -> &[(Peer, u64)] {
        match &self.state {
            State::Asked(asked) => asked,
            State::Open | State::Here { .. } => &[],
        }
    }

    fn is_here(&self) -> bool {
        matches!(self.state, State::Here { .. })
    }

    fn ask(&mut self, peer: Peer, now_ms: u64) {
        match &mut self.state {
            State::Asked(asked) => asked.push((peer, now_ms)),
            State::Open | State::Here { .. } => self.state = State::Asked(vec![(peer, now_ms)]),
        }
    }

    /// Waits no more for some of those asked.
    fn forget(&mut self, mut gone: impl FnMut(Peer, u64) -> bool) {
        if let State::Asked(asked) = &mut self.state {
            asked.retain(|(peer, at)| !gone(*peer, *at));
            if asked.is_empty() {
                self.state = State::Open;
            }
        }
    }

    /// When one more peer may be asked.
    fn hedge_ms(&self) -> Option<u64> {
        let doublings = self.asked().len().saturating_sub(1).min(MAX_DOUBLINGS);
        self.asked().iter().map(|(_, at)| at.saturating_add(HEDGE_MS << doublings)).max()
    }
}

fn size(blocks: &[FinalBlock]) -> usize {
    blocks.iter().flat_map(|block| block.block.body.transactions()).map(Vec::len).sum()
}

/// Whether blocks stand at consecutive heights, each on the one before, each with its finalization.
fn is_chain(from: Height, blocks: &[FinalBlock]) -> bool {
    let mut height = from;
    let mut parent = None;
    for FinalBlock { block, certificate } in blocks {
        let id = block.header.id();
        let linked = parent.is_none_or(|parent| parent == block.header.parent);
        let certified = certificate.as_ref().is_some_and(|c| c.block() == Some(id) && c.height() == height);
        if block.header.height != height || !linked || !certified {
            return false;
        }
        (height, parent) = (height.next(), Some(id));
    }
    true
}

const _: () = assert!(RANGE <= MAX_RANGE_BLOCKS as u64);

#[cfg(test)]
mod tests;
