//! Blocks that are wanted and not here: rebuilt from the pool if they came in short, or asked for,
//! one peer after the other, for as long as they are wanted.
//!
//! Everything is keyed by block id and survives view changes; a block is wanted because a leader
//! proposed it or a quorum voted for it, so their number is bounded. Short blocks are offered by the
//! leaders of their views alone, and one is kept of each.
//!
//! Not here: what a block is wanted for (`propose`, `commit`), ranges of old blocks (`sync`).

use crate::block::Block;
use crate::codec::List;
use crate::consensus::Peer;
use crate::limits::RETRY_MS;
use crate::types::{BlockId, Height, WireId};
use crate::wire::{CompactBlock, Message, Rebuilt};
use std::collections::BTreeMap;

/// What is wanted and what was offered.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    wanted: BTreeMap<BlockId, Wanted>,
    offered: BTreeMap<Peer, (BlockId, CompactBlock)>,
}

#[derive(Debug)]
struct Wanted {
    height: Height,
    rebuilding: Option<(Peer, Rebuilt)>,
    asked: Option<Peer>,
    /// How many questions it took so far.
    questions: u32,
    ask_at_ms: u64,
}

/// The first questions follow one another sooner: a peer that has the block answers at once. On a slow
/// line it takes longer, and asking ever more often would only fill the line.
const FIRST_PAUSE_MS: u64 = 300;
const LONGEST_PAUSE_MS: u64 = 2 * RETRY_MS;

fn pause_ms(questions: u32) -> u64 {
    FIRST_PAUSE_MS.checked_shl(questions).unwrap_or(LONGEST_PAUSE_MS).min(LONGEST_PAUSE_MS)
}

/// What became of an offer.
pub(super) enum Progress {
    /// The block is here. Whether it is what its header says has to be seen.
    Whole(Block),
    /// Somebody has to be asked.
    Ask(Peer, Message),
    /// Nothing yet.
    Nothing,
}

impl Fetch {
    pub(super) fn is_wanted(&self, id: &BlockId) -> bool {
        self.wanted.contains_key(id)
    }

    /// The height a wanted block is wanted for.
    pub(super) fn wanted_for(&self, id: &BlockId) -> Option<Height> {
        self.wanted.get(id).map(|wanted| wanted.height)
    }

    /// A proposal brought a block in short; whether it will be wanted is not known yet.
    pub(super) fn offer(&mut self, from: Peer, id: BlockId, block: CompactBlock) {
        self.offered.insert(from, (id, block));
    }

    /// Wants a block; asks at once unless an offer helps.
    pub(super) fn want<'a>(
        &mut self,
        (id, height): (BlockId, Height),
        at_hand: impl Iterator<Item = (WireId, &'a [u8])>,
        now_ms: u64,
    ) -> Progress {
        if self.is_wanted(&id) {
            return Progress::Nothing;
        }
        self.wanted.insert(id, Wanted { height, rebuilding: None, asked: None, questions: 0, ask_at_ms: now_ms });
        let offer = self.offered.iter().find(|(_, (offered, _))| *offered == id).map(|(peer, _)| *peer);
        match offer.and_then(|peer| Some((peer, self.offered.remove(&peer)?))) {
            Some((peer, (_, compact))) => self.rebuild(peer, id, compact.rebuild(at_hand), now_ms),
            None => Progress::Nothing,
        }
    }

    fn rebuild(&mut self, peer: Peer, id: BlockId, rebuilt: Rebuilt, now_ms: u64) -> Progress {
        let missing = rebuilt.missing();
        if missing.is_empty() {
            return rebuilt.finish().map_or(Progress::Nothing, Progress::Whole);
        }
        let (Some(wanted), Ok(places)) = (self.wanted.get_mut(&id), List::new(missing)) else {
            return Progress::Nothing;
        };
        wanted.rebuilding = Some((peer, rebuilt));
        wanted.ask_at_ms = now_ms.saturating_add(FIRST_PAUSE_MS);
        Progress::Ask(peer, Message::NeedTransactions { block: id, places })
    }

    /// The transactions that were missing have come.
    pub(super) fn fill(&mut self, from: Peer, id: &BlockId, transactions: Vec<Vec<u8>>, now_ms: u64) -> Progress {
        let Some(wanted) = self.wanted.get_mut(id) else { return Progress::Nothing };
        let Some((_, mut rebuilt)) = wanted.rebuilding.take_if(|(peer, _)| *peer == from) else {
            return Progress::Nothing;
        };
        // Whatever comes of it, the whole block is asked for next.
        wanted.ask_at_ms = now_ms;
        match rebuilt.fill(transactions) {
            true => rebuilt.finish().map_or(Progress::Nothing, Progress::Whole),
            false => Progress::Nothing,
        }
    }

    /// A peer has said that it does not have the block, or gave a wrong one: the next peer at once.
    pub(super) fn refused(&mut self, from: Peer, id: &BlockId, now_ms: u64) {
        if let Some(wanted) = self.wanted.get_mut(id).filter(|wanted| wanted.asked == Some(from)) {
            wanted.ask_at_ms = wanted.ask_at_ms.min(now_ms.saturating_add(RETRY_MS / 10));
        }
    }

    /// The block is here.
    pub(super) fn done(&mut self, id: &BlockId) {
        self.wanted.remove(id);
    }

    /// A height is decided: nothing at or below it is wanted any more.
    pub(super) fn forget(&mut self, height: Height) {
        self.wanted.retain(|_, wanted| wanted.height > height);
        self.offered.retain(|_, (_, offer)| offer.header.height > height);
    }

    /// A peer is gone.
    pub(super) fn leave(&mut self, peer: Peer) {
        self.offered.remove(&peer);
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.asked == Some(peer)) {
            wanted.ask_at_ms = 0;
        }
    }

    /// When the next question is due; nothing while nothing is wanted.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.wanted.values().map(|wanted| wanted.ask_at_ms).min()
    }

    /// Asks for what is due, each of the next peer in turn, in the order they are given.
    pub(super) fn ask(&mut self, peers: &[Peer], now_ms: u64) -> Vec<(Peer, Message)> {
        let mut questions = Vec::new();
        for (id, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| wanted.ask_at_ms <= now_ms) {
            wanted.ask_at_ms = now_ms.saturating_add(pause_ms(wanted.questions));
            wanted.questions = wanted.questions.saturating_add(1);
            let last = peers.iter().position(|peer| Some(*peer) == wanted.asked);
            let next = last.and_then(|last| peers.get(last.saturating_add(1))).or(peers.first());
            wanted.asked = next.copied();
            let question = Message::NeedBlock { height: wanted.height, block: *id };
            questions.extend(next.map(|peer| (*peer, question)));
        }
        questions
    }
}

#[cfg(test)]
mod tests;
