//! A validator whose words are changed on their way out: it says one thing to some and another to
//! others, withholds, proposes what is not valid, answers with lies and talks nonsense. It signs
//! what it likes with its own key, and nothing with anybody else's.
//!
//! Some liars also rush: as soon as they lead a view they propose a block of their own, with a pretext
//! instead of the certificates that would allow it, and vote for it at once. It is what a fork takes
//! where nobody checks the pretext.
//!
//! Not here: twins, which need no script (`world`), lies that need no key (`lies`).

use super::lies;
use super::random::Random;
use super::setting::{BLOCK_TIME_MS, Setting};
use chain_core::block::{Block, Body, Header};
use chain_core::codec::List;
use chain_core::consensus::{self, Justification};
use chain_core::crypto::{Hash, SecretKey};
use chain_core::engine::Engine;
use chain_core::execute::{BlockContext, Execution};
use chain_core::tx::{Checked, Signed};
use chain_core::types::{BlockId, Certificate, Height, Proposal, SignedMessage, View, Vote, VoteKind, WireId};
use chain_core::wire::{CompactBlock, Message};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How it lies; each so many times of a thousand.
#[derive(Clone, Copy, Debug)]
struct Habits {
    withhold: u64,
    equivocate: bool,
    invalid: u64,
    unjustified: u64,
    lie: u64,
    nonsense: u64,
    mangle: u64,
    rush: u64,
}

/// What one of its messages becomes on the way to one receiver.
pub enum Said {
    /// A message.
    Message(Arc<Message>),
    /// A message that is held back for so many ms.
    Late(Arc<Message>, u64),
    /// Bytes that are none: the transport notices.
    Garbage,
}

/// A liar.
pub struct Liar {
    setting: Arc<Setting>,
    key: Arc<SecretKey>,
    random: Random,
    habits: Habits,
    /// For a block, the other one that half of the world is shown.
    other: BTreeMap<BlockId, BlockId>,
    blocks: BTreeMap<BlockId, Block>,
    /// Those that were not signed in advance.
    transactions: BTreeMap<WireId, Checked>,
    /// The newest certificates it heard, by kind.
    certificates: BTreeMap<u8, Certificate>,
    /// The view it led last, and whether it rushed in it.
    led: Option<(Height, View)>,
    rushes: bool,
}

impl Liar {
    /// A liar with the habits of a seed.
    pub fn new(setting: Arc<Setting>, key: Arc<SecretKey>, mut random: Random) -> Self {
        let habits = Habits {
            withhold: random.pick(&[0, 0, 200, 700]),
            equivocate: random.chance(600),
            invalid: random.pick(&[0, 0, 300, 1_000]),
            unjustified: random.pick(&[0, 300, 1_000]),
            lie: random.pick(&[0, 300, 1_000]),
            nonsense: random.pick(&[0, 30, 200]),
            mangle: random.pick(&[0, 0, 20]),
            rush: random.pick(&[0, 0, 1_000]),
        };
        let (other, blocks, certificates) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let transactions = BTreeMap::new();
        Self { setting, key, random, habits, other, blocks, transactions, certificates, led: None, rushes: false }
    }

    /// Takes note of what it hears.
    pub fn hear(&mut self, message: &Message) {
        if let Message::Agreement { message: consensus::Message::Certificate(certificate), .. } = message {
            self.certificates.insert(certificate.kind() as u8, certificate.clone());
        }
    }

    /// What it says of its own accord once it leads a later view: a new block, a pretext, its votes.
    pub fn rush(&mut self, own: &Engine) -> Vec<Message> {
        let (height, view) = (own.status().height, own.status().view);
        let leads = own.status().leader == self.key.public();
        if !leads || view == View::ZERO || self.led == Some((height, view)) {
            return Vec::new();
        }
        self.led = Some((height, view));
        self.rushes = self.random.chance(self.habits.rush);
        let Some(block) = self.empty_block(own, (height, view)).filter(|_| self.rushes) else { return Vec::new() };
        let id = block.header.id();
        let compact = self.compact(&block);
        self.blocks.insert(id, block);
        let proposal = Proposal::sign((height, view), id, None, &self.setting.chain, &self.key);
        let message = consensus::Message::Proposal { proposal, justification: self.pretext(height) };
        let votes = [VoteKind::Notarize, VoteKind::Finalize];
        let votes = votes.map(|kind| self.vote(SignedMessage { kind, height, view, block: Some(id) }));
        [Message::Agreement { message, block: compact }].into_iter().chain(votes).collect()
    }

    /// Instead of the nullifications of all earlier views: nothing, what is no nullification, or one
    /// that was never signed.
    fn pretext(&mut self, height: Height) -> Justification {
        let known: Vec<_> = self.certificates.values().filter(|known| known.height() == height).cloned().collect();
        let shown = match self.random.below(3) {
            0 => Vec::new(),
            1 => known,
            _ => known.iter().map(|known| lies::forged(&mut self.random, known)).collect(),
        };
        Justification::new(shown).unwrap_or_default()
    }

    /// Whether its engine's word would spoil what it has said already.
    fn is_spoiling(&self, message: &Message) -> bool {
        let Message::Agreement { message, .. } = message else { return false };
        let about = match message {
            consensus::Message::Proposal { proposal, .. } => (proposal.height, proposal.view),
            consensus::Message::Vote(vote) => (vote.message.height, vote.message.view),
            _ => return false,
        };
        self.rushes && self.led == Some(about)
    }

    /// What a receiver is told instead.
    /// `own` is the engine whose words these are.
    pub fn tell(&mut self, own: Option<&Engine>, to: usize, message: &Arc<Message>) -> Vec<Said> {
        let mut told = Vec::new();
        if self.is_spoiling(message) {
            return told;
        }
        if self.random.chance(self.habits.nonsense) {
            told.push(Said::Message(Arc::new(self.nonsense())));
        }
        if self.random.chance(self.habits.mangle) {
            told.push(lies::mangled(&mut self.random, message));
        }
        if let (Some(unjustified), true) = (own.and_then(|own| self.unjustified(own, message)), to % 2 == 1) {
            told.push(Said::Message(Arc::new(unjustified)));
        } else if !self.random.chance(self.habits.withhold) {
            told.extend(self.changed(to, message).into_iter().map(|message| Said::Message(Arc::new(message))));
        }
        told
    }

    /// What it answers itself instead of its engine: for the blocks only it knows.
    pub fn answer(&mut self, question: &Message) -> Option<Message> {
        match question {
            Message::NeedBlock { block: id, .. } => {
                let block = self.blocks.get(id)?.clone();
                Some(Message::Block { id: *id, block: Some(block) })
            }
            Message::NeedTransactions { block, .. } => {
                self.blocks.get(block)?;
                Some(Message::Transactions { block: *block, transactions: List::default() })
            }
            _ => None,
        }
    }

    fn changed(&mut self, to: usize, message: &Message) -> Vec<Message> {
        let lies = self.random.chance(self.habits.lie);
        match message {
            Message::Agreement { message: consensus::Message::Proposal { proposal, justification }, block } => {
                let Some(id) = self.shown(to, proposal, block.as_ref()) else { return vec![message.clone()] };
                let at = (proposal.height, proposal.view);
                let proposal = Proposal::sign(at, id, proposal.notarized_in, &self.setting.chain, &self.key);
                let block = self.blocks.get(&id).and_then(|block| self.compact(block));
                let message = consensus::Message::Proposal { proposal, justification: justification.clone() };
                vec![Message::Agreement { message, block }]
            }
            Message::Agreement { message: consensus::Message::Vote(vote), .. } => self.votes(to, vote),
            Message::Block { id, block: Some(block) } if lies => {
                vec![Message::Block { id: *id, block: Some(lies::spoiled(&mut self.random, block)) }]
            }
            Message::Blocks { from, blocks, head, oldest } if lies => {
                vec![lies::wrong_blocks(&mut self.random, *from, blocks.to_vec(), (*head, *oldest))]
            }
            _ => vec![message.clone()],
        }
    }

    fn is_shown_the_other(&self, to: usize) -> bool {
        to % 2 == 1 || !self.habits.equivocate
    }

    /// Which block a receiver is shown instead of a new one that is proposed.
    fn shown(&mut self, to: usize, proposal: &Proposal, compact: Option<&CompactBlock>) -> Option<BlockId> {
        let split = self.is_shown_the_other(to);
        if let Some(other) = self.other.get(&proposal.block) {
            return split.then_some(*other);
        }
        if proposal.notarized_in.is_some() {
            return None;
        }
        let invalid = self.random.chance(self.habits.invalid);
        if !(self.habits.equivocate || invalid) {
            return None;
        }
        let mut block = self.whole(compact?)?;
        match invalid {
            true => block.header.state_root = Hash([self.random.below(256) as u8; 32]),
            false => block.header.timestamp_ms = block.header.timestamp_ms.saturating_add(1),
        }
        let id = block.header.id();
        self.blocks.insert(id, block);
        self.other.insert(proposal.block, id);
        split.then_some(id)
    }

    /// Instead of a proposal in a later view a new block, as if nothing had been notarized before.
    fn unjustified(&mut self, own: &Engine, message: &Message) -> Option<Message> {
        let Message::Agreement { message: consensus::Message::Proposal { proposal, .. }, .. } = message else {
            return None;
        };
        let (height, view) = (proposal.height, proposal.view);
        if view == View::ZERO || !self.random.chance(self.habits.unjustified) {
            return None;
        }
        let block = self.empty_block(own, (height, view))?;
        let id = block.header.id();
        let compact = self.compact(&block);
        self.blocks.insert(id, block);
        self.other.insert(proposal.block, id);
        let proposal = Proposal::sign((height, view), id, None, &self.setting.chain, &self.key);
        let message = consensus::Message::Proposal { proposal, justification: List::default() };
        Some(Message::Agreement { message, block: compact })
    }

    /// A valid block on the head.
    fn empty_block(&self, own: &Engine, (height, view): (Height, View)) -> Option<Block> {
        let head = own.chain().head();
        let parent = &head.block.header;
        let timestamp = parent.timestamp_ms.saturating_add(BLOCK_TIME_MS);
        let context = BlockContext { chain: self.setting.chain, height, view, timestamp, proposer: self.key.public() };
        let executed = Execution::start_as(&head.tree, context, own.chain().known_rules()).ok()?.finish().ok()?;
        let header = Header {
            height,
            view,
            parent: head.block.id,
            timestamp_ms: timestamp,
            proposer: self.key.public(),
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            validators_hash: parent.next_validators_hash,
            next_validators_hash: executed.next_validators_hash,
            ..parent.clone()
        };
        Some(Block { header, body: Body::default() })
    }

    /// Its votes: for the block the receiver was shown, sometimes one more.
    fn votes(&mut self, to: usize, vote: &Vote) -> Vec<Message> {
        let shown = vote.message.block.and_then(|block| self.other.get(&block)).filter(|_| self.is_shown_the_other(to));
        let block = shown.copied().or(vote.message.block);
        let mut votes = vec![SignedMessage { block, ..vote.message }];
        if self.habits.equivocate && self.random.chance(150) {
            let kind = self.random.pick(&[VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize]);
            let known: Vec<BlockId> = self.blocks.keys().copied().collect();
            let any = known.get(self.random.place(known.len())).copied().or(block).unwrap_or_default();
            let block = (kind != VoteKind::Nullify).then_some(any);
            votes.push(SignedMessage { kind, block, ..vote.message });
        }
        votes.into_iter().map(|message| self.vote(message)).collect()
    }

    fn vote(&self, message: SignedMessage) -> Message {
        let vote = Vote::sign(message, &self.setting.chain, &self.key).unwrap();
        Message::Agreement { message: consensus::Message::Vote(vote), block: None }
    }

    fn nonsense(&mut self) -> Message {
        let height = lies::false_height(&mut self.random);
        let view = View::new(self.random.pick(&[0, 1, 7, 20, u32::MAX]));
        let id = self.blocks.keys().next().copied().unwrap_or_default();
        let message = match self.random.below(8) {
            0 => consensus::Message::Status { height, view },
            1 => consensus::Message::NeedCertificates { height, from: view },
            2 => return self.vote(SignedMessage { kind: VoteKind::Nullify, height, view, block: None }),
            3 => return self.vote(SignedMessage { kind: VoteKind::Finalize, height, view, block: Some(id) }),
            4 => return Message::NeedBlocks { from: height, count: u32::MAX },
            5 => return Message::NeedBlock { height, block: id },
            6 => return Message::Blocks { from: height, blocks: List::default(), head: height, oldest: Height::ZERO },
            _ => {
                // Somebody else's vote, signed by the wrong key.
                let message = SignedMessage { kind: VoteKind::Nullify, height, view, block: None };
                let mut vote = Vote::sign(message, &self.setting.chain, &self.key).unwrap();
                vote.signer = self.setting.set.members()[0].public_key;
                consensus::Message::Vote(vote)
            }
        };
        Message::Agreement { message, block: None }
    }

    /// Takes note of a transaction.
    pub fn learn(&mut self, tx: &Checked) {
        self.transactions.insert(tx.wire_id(), tx.clone());
    }

    /// The whole of a block in short: all transactions there are are known here.
    fn whole(&self, compact: &CompactBlock) -> Option<Block> {
        let all = self.setting.by_wire.iter().chain(&self.transactions);
        let at_hand = all.map(|(id, tx)| (*id, tx.bytes()));
        compact.clone().rebuild(at_hand).finish()
    }

    fn compact(&self, block: &Block) -> Option<CompactBlock> {
        let ids: Vec<WireId> =
            block.body.transactions().iter().map(|bytes| Signed::wire_id(bytes, &self.setting.chain)).collect();
        CompactBlock::new(block.header.clone(), &ids)
    }
}
