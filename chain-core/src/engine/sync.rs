//! Catching up: ranges of final blocks from several peers at once, applied in order.
//!
//! ```text
//! heights:  head ┃ here │ asked of A │ asked of B │ not asked ┃ target
//! ```
//!
//! A peer's word about its height starts a question, nothing more: the agreement goes on meanwhile,
//! and a peer that does not deliver what it claims is not asked again for a while. Every block is
//! verified before it counts, so one honest peer among liars is enough.
//!
//! Memory: at most [`AHEAD`] ranges, each bounded by one frame.
//!
//! Not here: judging a block (`commit`), answering others (`serve`).

use crate::block::FinalBlock;
use crate::consensus::{Offence, Peer};
use crate::limits::MAX_RANGE_BLOCKS;
use crate::types::Height;
use crate::wire::Message;
use std::collections::{BTreeMap, VecDeque};

/// How many blocks are asked for at a time.
const RANGE: u64 = 64;
/// How many ranges may be under way or waiting.
const AHEAD: usize = 6;
/// How long a peer has to answer.
const PATIENCE_MS: u64 = 10_000;
/// How long a peer that failed is left alone, times the number of its failures.
const PAUSE_MS: u64 = 2_000;
/// Bound of that factor.
const MAX_FAILURES: u64 = 15;

/// What is known of other nodes' chains, and what is being fetched.
#[derive(Debug, Default)]
pub(super) struct Sync {
    peers: BTreeMap<Peer, Claim>,
    ranges: BTreeMap<Height, Range>,
    active: bool,
}

#[derive(Debug, Default)]
struct Claim {
    head: Height,
    oldest: Height,
    busy: bool,
    failures: u64,
    paused_until_ms: u64,
}

#[derive(Debug)]
struct Range {
    end: Height,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    Asked { peer: Peer, deadline_ms: u64 },
    Here { peer: Peer, blocks: VecDeque<FinalBlock> },
}

impl Sync {
    pub(super) fn join(&mut self, peer: Peer) {
        self.peers.insert(peer, Claim::default());
    }

    pub(super) fn leave(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        for range in self.ranges.values_mut() {
            if matches!(range.state, State::Asked { peer: asked, .. } if asked == peer) {
                range.state = State::Open;
            }
        }
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

    /// The highest height any peer that is trusted to deliver claims.
    pub(super) fn target(&self, now_ms: u64) -> Height {
        let trusted = self.peers.values().filter(|claim| claim.paused_until_ms <= now_ms);
        trusted.map(|claim| claim.head).max().unwrap_or_default()
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
        (from, blocks, head, oldest): (Height, Vec<FinalBlock>, Height, Height),
        now_ms: u64,
    ) -> Result<(), Offence> {
        let Some(claim) = self.peers.get_mut(&peer) else { return Ok(()) };
        (claim.head, claim.oldest) = (head, oldest);
        let asked = |range: &&mut Range| matches!(range.state, State::Asked { peer: asked, .. } if asked == peer);
        let Some(range) = self.ranges.get_mut(&from).filter(asked) else {
            // An answer after its time, or a hint; the height it names is all that counts.
            return Ok(());
        };
        claim.busy = false;
        if blocks.is_empty() {
            range.state = State::Open;
            self.fail(peer, now_ms);
            return Ok(());
        }
        if !is_chain(from, &blocks) || blocks.len() as u64 > range.end.get().saturating_sub(from.get()) + 1 {
            range.state = State::Open;
            self.fail(peer, now_ms);
            return Err(Offence::BadBlock);
        }
        let next = Height::new(from.get().saturating_add(blocks.len() as u64));
        let end = range.end;
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

    /// What a peer sent was right.
    pub(super) fn delivered(&mut self, peer: Peer) {
        if let Some(claim) = self.peers.get_mut(&peer) {
            claim.failures = 0;
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
        let deadlines = self.ranges.values().filter_map(|range| match range.state {
            State::Asked { deadline_ms, .. } => Some(deadline_ms),
            State::Open | State::Here { .. } => None,
        });
        let pauses = self.peers.values().map(|claim| claim.paused_until_ms).filter(|until| *until > 0);
        deadlines.chain(pauses).min()
    }

    /// Asks for what is missing above the head; ends when nobody is ahead.
    pub(super) fn ask(&mut self, head: Height, now_ms: u64) -> Vec<(Peer, Message)> {
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
            let waiting = self.peers.values().any(|claim| claim.paused_until_ms > 0 && claim.head > head);
            self.active = waiting;
            self.ranges.clear();
            return Vec::new();
        }
        self.plan(head, target);
        self.assign(now_ms)
    }

    fn give_up_on_the_silent(&mut self, now_ms: u64) {
        let mut silent = Vec::new();
        for range in self.ranges.values_mut() {
            if let State::Asked { peer, deadline_ms } = range.state
                && deadline_ms <= now_ms
            {
                range.state = State::Open;
                silent.push(peer);
            }
        }
        for peer in silent {
            if let Some(claim) = self.peers.get_mut(&peer) {
                claim.busy = false;
            }
            self.fail(peer, now_ms);
        }
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

    /// Gives each open range to the idle peer with the fewest failures that claims to have it.
    fn assign(&mut self, now_ms: u64) -> Vec<(Peer, Message)> {
        let mut questions = Vec::new();
        for (from, range) in self.ranges.iter_mut().filter(|(_, range)| matches!(range.state, State::Open)) {
            let able = self.peers.iter_mut().filter(|(_, claim)| {
                !claim.busy && claim.paused_until_ms == 0 && claim.head >= *from && claim.oldest <= *from
            });
            let Some((peer, claim)) = able.min_by_key(|(peer, claim)| (claim.failures, **peer)) else { continue };
            claim.busy = true;
            range.state = State::Asked { peer: *peer, deadline_ms: now_ms.saturating_add(PATIENCE_MS) };
            let count = range.end.get().saturating_sub(from.get()).saturating_add(1) as u32;
            questions.push((*peer, Message::NeedBlocks { from: *from, count }));
        }
        questions
    }
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
