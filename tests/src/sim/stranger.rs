//! A node without a seat in the validator set that lies: it repeats what it heard long ago, boasts
//! of heights that do not exist, answers with wrong blocks, in drips, late or never, and shows
//! certificates that nobody signed. It may hold a key, but none that counts.
//!
//! Not here: validators that lie (`liar`), strangers that keep the rules (they are just nodes).

use super::liar::Said;
use super::lies;
use super::random::Random;
use super::setting::Setting;
use chain_core::codec::List;
use chain_core::consensus;
use chain_core::crypto::SecretKey;
use chain_core::types::{Certificate, Height, SignedMessage, View, Vote, VoteKind};
use chain_core::wire::Message;
use std::sync::Arc;

/// How many messages it remembers.
const MEMORY: usize = 64;
/// A drip may take as long as the most patient asker waits, and a bit more, in ms.
const DRIP_MS: u64 = 11_000;

/// How it lies; each so many times of a thousand.
#[derive(Clone, Copy, Debug)]
struct Habits {
    silent: u64,
    wrong: u64,
    drip: u64,
    boast: u64,
    stale: u64,
    forge: u64,
    mangle: u64,
}

/// A lying stranger.
pub struct Stranger {
    setting: Arc<Setting>,
    key: SecretKey,
    random: Random,
    habits: Habits,
    heard: Vec<Arc<Message>>,
    certificate: Option<Certificate>,
}

impl Stranger {
    /// A stranger with the habits of a seed.
    pub fn new(setting: Arc<Setting>, mut random: Random) -> Self {
        let habits = Habits {
            silent: random.pick(&[0, 0, 300, 1_000]),
            wrong: random.pick(&[0, 300, 1_000]),
            drip: random.pick(&[0, 0, 500, 1_000]),
            boast: random.pick(&[0, 100, 500]),
            stale: random.pick(&[0, 100, 500]),
            forge: random.pick(&[0, 100, 500]),
            mangle: random.pick(&[0, 0, 20]),
        };
        let key = SecretKey::from_seed(&[90; 32]);
        Self { setting, key, random, habits, heard: Vec::new(), certificate: None }
    }

    /// Takes note of what it hears.
    pub fn hear(&mut self, message: &Arc<Message>) {
        match &**message {
            Message::Agreement { message: consensus::Message::Certificate(certificate), .. } => {
                self.certificate = Some(certificate.clone());
            }
            Message::Blocks { blocks, .. } => {
                let newest = blocks.iter().rev().find_map(|block| block.certificate.clone());
                self.certificate = newest.or(self.certificate.take());
            }
            _ => {}
        }
        if self.heard.len() == MEMORY {
            let place = self.random.place(MEMORY);
            self.heard.swap_remove(place);
        }
        self.heard.push(message.clone());
    }

    /// What becomes of a message of its engine.
    pub fn tell(&mut self, message: &Arc<Message>) -> Vec<Said> {
        if self.random.chance(self.habits.mangle) {
            return vec![lies::mangled(&mut self.random, message)];
        }
        let is_question = matches!(**message, Message::NeedBlocks { .. } | Message::NeedBlock { .. });
        if !is_question && self.random.chance(self.habits.silent) {
            return Vec::new();
        }
        let lies = self.random.chance(self.habits.wrong);
        match &**message {
            Message::Block { id, block: Some(block) } if lies => {
                let block = lies::spoiled(&mut self.random, block);
                vec![said(Message::Block { id: *id, block: Some(block) })]
            }
            Message::Blocks { from, blocks, head, oldest } if lies => {
                vec![said(lies::wrong_blocks(&mut self.random, *from, blocks.to_vec(), (*head, *oldest)))]
            }
            Message::Blocks { from, blocks, head, oldest } if self.random.chance(self.habits.drip) => {
                let first = List::new(blocks.iter().take(1).cloned().collect()).unwrap();
                let drip = Message::Blocks { from: *from, blocks: first, head: *head, oldest: *oldest };
                vec![Said::Late(Arc::new(drip), self.random.below(DRIP_MS))]
            }
            Message::Agreement { message: consensus::Message::Status { view, .. }, .. }
                if self.random.chance(self.habits.boast) =>
            {
                let height = lies::false_height(&mut self.random);
                vec![said(agreement(consensus::Message::Status { height, view: *view }))]
            }
            _ => vec![Said::Message(message.clone())],
        }
    }

    /// What it says without being asked.
    pub fn chatter(&mut self) -> Vec<Message> {
        let mut words = Vec::new();
        if self.random.chance(self.habits.boast) {
            words.push(self.boast());
        }
        if self.random.chance(self.habits.stale) && !self.heard.is_empty() {
            let place = self.random.place(self.heard.len());
            words.push((*self.heard[place]).clone());
        }
        if self.random.chance(self.habits.forge) {
            words.extend(self.forgery());
        }
        words
    }

    fn boast(&mut self) -> Message {
        let (height, view) = (lies::false_height(&mut self.random), View::new(self.random.pick(&[0, 1, 7, u32::MAX])));
        match self.random.below(3) {
            0 => {
                let (blocks, oldest) = (List::default(), lies::false_height(&mut self.random));
                Message::Blocks { from: height, blocks, head: lies::false_height(&mut self.random), oldest }
            }
            1 => agreement(consensus::Message::NeedCertificates { height, from: view }),
            _ => agreement(consensus::Message::Status { height, view }),
        }
    }

    /// A certificate that nobody signed, or a vote of a key that has none.
    fn forgery(&mut self) -> Option<Message> {
        if self.random.chance(500) {
            let forged = lies::forged(&mut self.random, self.certificate.as_ref()?);
            return Some(agreement(consensus::Message::Certificate(forged)));
        }
        let newest = self.certificate.as_ref().map(Certificate::height).unwrap_or_default();
        let height = self.random.pick(&[newest, newest.next(), newest.next(), Height::new(u64::MAX)]);
        let message = SignedMessage { kind: VoteKind::Nullify, height, view: View::ZERO, block: None };
        let mut vote = Vote::sign(message, &self.setting.chain, &self.key).unwrap();
        if self.random.chance(500) {
            let members = self.setting.set.members();
            vote.signer = members[self.random.place(members.len())].public_key;
        }
        Some(agreement(consensus::Message::Vote(vote)))
    }
}

fn said(message: Message) -> Said {
    Said::Message(Arc::new(message))
}

fn agreement(message: consensus::Message) -> Message {
    Message::Agreement { message, block: None }
}
