//! Four validators at height 1 in the hands of an adversary: three run the real machine, the
//! fourth is a traitor's key. The adversary alone decides who hears what and when, whose clock
//! runs and who crashes. Engines answer at once: every block is valid.
//!
//! What can be said in the first views is numbered: a *slot* is a vote without its signer, an
//! *offer* a proposal without its justification. Sets of either are bit masks.

use super::super::*;
use crate::mutation::{Mutation, on};
use crate::types::{Proposal, SignerBitmap};
use VoteKind::{Finalize, Notarize, Nullify};

/// Blocks are proposed in so many views; the machines may enter the one after.
pub const VIEWS: u32 = 3;
const VALIDATORS: usize = 4;
/// So long that every timer has run out, the traitor's included.
const LONG_MS: u64 = 20_000;

/// What a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Nothing that was in the log.
    Nothing,
    /// The certificates in the log: what was said stays.
    Certificates,
    /// The log.
    Everything,
}

/// One thing the adversary lets happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// The node hears a certificate of this slot.
    Certificate(usize),
    /// The node hears an offer, with those certificates of its justification that exist.
    Offer {
        /// Which offer.
        offer: usize,
        /// The slots certified by what travels with it.
        with: u32,
    },
    /// A moment passes: long enough for a leader to wait for a block to become final.
    Moment,
    /// The time of every view is up.
    Long,
    /// A crash and a restart.
    Crash(Loss),
}

/// A block: in which view it is made, and its id. Its number is its place in [`Game::blocks`].
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The view.
    pub view: u32,
    /// The block.
    pub id: BlockId,
}

/// A proposal without its justification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The view it is made in.
    pub view: u32,
    /// Its block's number.
    pub block: usize,
    /// The view the block was notarized in.
    pub again: Option<u32>,
}

/// What stays the same: who is who and what can be said.
pub struct Game {
    keys: Vec<Arc<SecretKey>>,
    set: Arc<ValidatorSet>,
    /// The place of the traitor.
    pub traitor: usize,
    /// The places of the others.
    pub honest: [usize; 3],
    /// The blocks, by view; the traitor makes two in its view.
    pub blocks: Vec<Made>,
    /// The votes.
    pub slots: Vec<SignedMessage>,
    /// The proposals.
    pub offers: Vec<Offer>,
    /// Of each slot, the slots whose signatures serve for it.
    same: Vec<Vec<usize>>,
    /// Of each slot, the slots a certificate of which contradicts one of it.
    against: Vec<u32>,
    /// Of each slot, the vote of each validator.
    said: Vec<[Vote; VALIDATORS]>,
    /// The proposals, signed.
    proposals: Vec<Proposal>,
    /// Of each set of signers, whether they can make a certificate.
    enough: [bool; 1 << VALIDATORS],
}

/// Votes that were sent: bit `4 · slot + signer`.
pub type Votes = u128;

/// One honest node, with all it ever said.
#[derive(Clone)]
pub struct Node {
    pub me: usize,
    pub machine: Machine,
    pub log: Vec<WalRecord>,
    pub votes: Votes,
    /// Proposals it sent: bits of offers.
    pub offers: u64,
    pub crashes: u32,
    /// What it was told to commit, and why it stopped.
    pub committed: Option<BlockId>,
    pub halted: Option<HaltReason>,
    pub steps: u64,
    now: u64,
}

impl Game {
    /// The game in which the traitor leads view `leads`, or none of the first three if 3. The bug
    /// that is in when the game is made must stay in.
    pub fn new(leads: u32) -> Self {
        let keys = keys(VALIDATORS as u8);
        let set = set(&keys);
        let traitor = (1 + leads as usize) % VALIDATORS;
        let honest: Vec<_> = (0..VALIDATORS).filter(|i| *i != traitor).collect();
        let of_view = |view: u32| (0..if view == leads { 2 } else { 1 }).map(move |name| (view, name));
        let made = |(view, name)| Made { view, id: block(u64::from(view) * 10 + name) };
        let blocks: Vec<_> = (0..VIEWS).flat_map(of_view).map(made).collect();
        let slots = slots(&blocks);
        let same = slots.iter().map(|slot| serving(slot, &slots)).collect();
        let against = slots.iter().map(|slot| contradicting(slot, &slots)).collect();
        let offers = offers(&blocks);
        let enough = std::array::from_fn(|signers: usize| match on(Mutation::SignerRepeated) {
            true => signers != 0,
            false => QuorumRule::Byzantine.is_quorum(u64::from(signers.count_ones()), VALIDATORS as u64),
        });
        // Ed25519 signs the same thing the same way: what is signed here is what a node will send.
        let said = slots.iter().map(|slot| std::array::from_fn(|i| vote(&keys[i], *slot))).collect();
        let sign = |Offer { view, block, again }: &Offer| {
            let (at, key) = ((Height::new(1), View::new(*view)), &keys[(1 + *view as usize) % VALIDATORS]);
            Proposal::sign(at, blocks[*block].id, again.map(View::new), &chain(), key)
        };
        let proposals = offers.iter().map(sign).collect();
        let honest = honest.try_into().unwrap();
        Self { keys, set, traitor, honest, blocks, slots, offers, same, against, said, proposals, enough }
    }

    /// The place of a view's leader.
    pub fn leader(&self, view: u32) -> usize {
        (1 + view as usize) % VALIDATORS
    }

    /// Whether the traitor can make the offer.
    pub fn is_traitors(&self, offer: usize) -> bool {
        self.leader(self.offers[offer].view) == self.traitor
    }

    /// The votes a traitor can give: all.
    pub fn treason(&self) -> Votes {
        (0..self.slots.len()).fold(0, |votes, slot| votes | bit(slot, self.traitor))
    }

    /// The number of a vote; none for later views.
    pub fn slot(&self, message: SignedMessage) -> Option<usize> {
        self.slots.iter().position(|slot| *slot == message)
    }

    /// The slots of which a certificate can be made of these votes.
    pub fn certifiable(&self, votes: Votes) -> u32 {
        (0..self.slots.len())
            .filter(|slot| self.enough[self.signers(*slot, votes)])
            .fold(0, |all, slot| all | 1 << slot)
    }

    fn signers(&self, slot: usize, votes: Votes) -> usize {
        self.same[slot].iter().fold(0, |all, slot| all | (votes >> (VALIDATORS * slot)) as usize & 15)
    }

    /// Whether two certificates exist that exclude each other.
    pub fn contradiction(&self, certifiable: u32) -> bool {
        ones(certifiable).any(|slot| self.against[slot] & certifiable != 0)
    }

    /// Two finalizations of different blocks.
    pub fn fork(&self, certifiable: u32) -> Option<(usize, usize)> {
        let finals = || ones(certifiable).filter(|slot| self.slots[*slot].kind == Finalize);
        let first = finals().next()?;
        finals().find(|slot| self.slots[*slot].block != self.slots[first].block).map(|slot| (first, slot))
    }

    /// A certificate made of such votes.
    pub fn certificate(&self, slot: usize, votes: Votes) -> Certificate {
        let (message, mut given) = (self.slots[slot], self.given(slot, votes));
        if let Some(good) = Certificate::from_votes(message, &given, QuorumRule::Byzantine, &self.set) {
            return good;
        }
        let bitmap = format!("\"0x{:02x}\"", self.signers(slot, votes));
        let bitmap: SignerBitmap = serde_json::from_str(&bitmap).unwrap();
        given.resize(3, given.last().unwrap().clone());
        let signatures = crate::codec::List::new(given.iter().map(|vote| vote.signature).collect()).unwrap();
        Certificate { message, rule: QuorumRule::Byzantine, signers: bitmap, signatures }
    }

    /// The votes a certificate of the slot is made of.
    pub fn given(&self, slot: usize, votes: Votes) -> Vec<Vote> {
        let signers = self.signers(slot, votes);
        (0..VALIDATORS).filter(|i| signers >> i & 1 == 1).map(|i| self.said[slot][i].clone()).collect()
    }

    /// The slots whose certificates justify an offer.
    pub fn justification(&self, offer: usize) -> u32 {
        let Offer { view, block, again } = self.offers[offer];
        let notarized = again.map(|again| message(Notarize, 1, again, Some(self.blocks[block].id)));
        let nullified = (again.map_or(0, |again| again + 1)..view).map(|view| message(Nullify, 1, view, None));
        let needed: u32 = notarized.into_iter().chain(nullified).filter_map(|m| self.slot(m)).map(|i| 1 << i).sum();
        // With this bug in, notarizations may stand for nullifications.
        let between = |slot: &usize| {
            let SignedMessage { kind, view: of, .. } = self.slots[*slot];
            kind == Notarize && of.get() < view && again.is_none_or(|again| again < of.get())
        };
        let covering = (0..self.slots.len()).filter(|_| on(Mutation::NotarizedCovers)).filter(between);
        covering.fold(needed, |all, slot| all | 1 << slot)
    }

    /// A proposal with certificates made of such votes.
    pub fn proposal(&self, offer: usize, with: u32, votes: Votes) -> Message {
        let proposal = self.proposals[offer].clone();
        let certificates = ones(with).map(|slot| self.certificate(slot, votes)).collect();
        Message::Proposal { proposal, justification: Justification::new(certificates).unwrap() }
    }

    fn verdict(&self, id: BlockId) -> Verdict {
        let made = self.blocks.iter().find(|made| made.id == id).unwrap();
        let proposer = self.keys[self.leader(made.view)].public();
        let timestamp = TimestampMs::new(GENESIS_MS + BLOCK_TIME_MS);
        Verdict::Valid { view: View::new(made.view), proposer, timestamp }
    }

    /// A node that begins when its first block is due. A place beyond the set is a follower's.
    pub fn node(&self, me: usize) -> Node {
        let (machine, effects) = self.recover(me, BLOCK_TIME_MS, vec![]);
        let (log, now) = (vec![], BLOCK_TIME_MS);
        let (committed, halted) = (None, None);
        let mut node = Node { me, machine, log, votes: 0, offers: 0, crashes: 0, committed, halted, steps: 1, now };
        node.perform(self, effects);
        node
    }

    fn recover(&self, me: usize, now: u64, log: Vec<WalRecord>) -> (Machine, Vec<Effect>) {
        Machine::recover(config(self.keys.get(me)), head(0, GENESIS_MS, &self.set), log, clock(now))
    }
}

impl Node {
    /// Something happens to the node; `votes` are all that were sent.
    pub fn act(&mut self, game: &Game, act: Act, votes: Votes) {
        match act {
            Act::Certificate(slot) => {
                self.step(game, heard(Message::Certificate(game.certificate(slot, votes))));
            }
            Act::Offer { offer, with } => self.step(game, heard(game.proposal(offer, with, votes))),
            Act::Moment => self.wait(game, crate::limits::FINAL_WAIT_MS),
            Act::Long => self.wait(game, LONG_MS),
            Act::Crash(loss) => self.crash(game, loss),
        }
    }

    /// The node hears votes one by one.
    pub fn hear_votes(&mut self, game: &Game, votes: Vec<Vote>) {
        votes.into_iter().for_each(|vote| self.step(game, heard(Message::Vote(vote))));
    }

    /// Time since the view was entered.
    pub fn elapsed(&self) -> u64 {
        self.now - self.machine.round.view.entered.mono_ms
    }

    fn wait(&mut self, game: &Game, ms: u64) {
        self.now += ms;
        self.step(game, Input::Tick);
    }

    fn crash(&mut self, game: &Game, loss: Loss) {
        self.crashes += 1;
        self.log.retain(|record| match loss {
            Loss::Nothing => true,
            Loss::Certificates => !matches!(record, WalRecord::Certificate(_)),
            Loss::Everything => false,
        });
        let (machine, effects) = game.recover(self.me, self.now, self.log.clone());
        self.machine = machine;
        self.steps += 1;
        self.perform(game, effects);
    }

    pub fn step(&mut self, game: &Game, input: Input) {
        self.steps += 1;
        let effects = self.machine.step(clock(self.now), input);
        self.perform(game, effects);
    }

    fn perform(&mut self, game: &Game, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.log.push(record),
                Effect::Broadcast(Message::Vote(vote)) => {
                    let slot = game.slot(vote.message);
                    self.votes |= slot.map_or(0, |slot| bit(slot, self.me));
                }
                Effect::Broadcast(Message::Proposal { proposal, .. }) => self.note_offer(game, &proposal),
                Effect::Judge { block } => {
                    self.step(game, Input::Judged { block, verdict: game.verdict(block) });
                }
                Effect::Build { height, view, .. } => {
                    let made = game.blocks.iter().find(|made| made.view == view.get());
                    made.into_iter().for_each(|made| self.step(game, Input::Built { height, view, block: made.id }));
                }
                Effect::Commit { block, .. } => self.committed = Some(block),
                Effect::Halt(reason) => self.halted = Some(reason),
                _ => {}
            }
        }
    }

    fn note_offer(&mut self, game: &Game, proposal: &Proposal) {
        let is = |offer: &Offer| {
            let again = offer.again.map(View::new);
            (offer.view, game.blocks[offer.block].id, again)
                == (proposal.view.get(), proposal.block, proposal.notarized_in)
        };
        self.offers |= game.offers.iter().position(is).map_or(0, |offer| 1 << offer);
    }
}

/// All votes of the first views.
fn slots(blocks: &[Made]) -> Vec<SignedMessage> {
    let of_view = |view: u32| {
        let old_enough = blocks.iter().filter(move |made| made.view <= view);
        let of_block = move |made: &Made| [Notarize, Finalize].map(|kind| message(kind, 1, view, Some(made.id)));
        std::iter::once(message(Nullify, 1, view, None)).chain(old_enough.flat_map(of_block))
    };
    (0..VIEWS).flat_map(of_view).collect()
}

/// All proposals of the first views that have a meaning.
fn offers(blocks: &[Made]) -> Vec<Offer> {
    let of_view = |view: u32| {
        let of_block = move |(block, made): (usize, &Made)| {
            let new = (made.view == view).then_some(Offer { view, block, again: None });
            new.into_iter().chain((made.view..view).map(move |again| Offer { view, block, again: Some(again) }))
        };
        blocks.iter().enumerate().flat_map(of_block).collect::<Vec<_>>()
    };
    (0..VIEWS).flat_map(of_view).collect()
}

/// The slots whose signatures serve for a slot: its own, unless views are unsigned.
fn serving(of: &SignedMessage, slots: &[SignedMessage]) -> Vec<usize> {
    let serves = |slot: &SignedMessage| match on(Mutation::ViewUnsigned) {
        true => (slot.kind, slot.block) == (of.kind, of.block),
        false => slot == of,
    };
    slots.iter().enumerate().filter(|(_, slot)| serves(slot)).map(|(i, _)| i).collect()
}

/// The slots of which a certificate excludes one of this slot.
fn contradicting(of: &SignedMessage, slots: &[SignedMessage]) -> u32 {
    let excludes = |slot: &SignedMessage| match (of.kind, slot.kind) {
        (Notarize, Notarize) => slot.view == of.view && slot.block != of.block,
        (Finalize, Finalize) => slot.block != of.block,
        (Nullify, Finalize) | (Finalize, Nullify) => slot.view == of.view,
        _ => false,
    };
    slots.iter().enumerate().filter(|(_, slot)| excludes(slot)).fold(0, |all, (i, _)| all | 1 << i)
}

fn clock(now: u64) -> Now {
    Now { wall: TimestampMs::new(GENESIS_MS + now), mono_ms: now }
}

fn bit(slot: usize, signer: usize) -> Votes {
    1 << (VALIDATORS * slot + signer)
}

/// The numbers of the bits that are set.
pub fn ones(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(lowest as usize)
    })
}
