//! One of four validators at height 1, looked at step by step. The leader of view v is number
//! (1 + v) mod 4.

use super::*;
use crate::types::Proposal;

pub struct Four {
    pub keys: Vec<Arc<SecretKey>>,
    pub set: Arc<ValidatorSet>,
    pub me: usize,
    pub machine: Machine,
    pub now: u64,
    pub log: Vec<WalRecord>,
    /// Effects of the last step.
    pub effects: Vec<Effect>,
}

impl Four {
    pub fn new(me: usize) -> Self {
        Self::with(me, |_| ())
    }

    /// With another configuration.
    pub fn with(me: usize, change: impl Fn(&mut Config)) -> Self {
        let keys = keys(4);
        let set = set(&keys);
        let now = Now { wall: TimestampMs::new(GENESIS_MS), mono_ms: 0 };
        let mut config = config(keys.get(me));
        change(&mut config);
        let (machine, effects) = Machine::recover(config, head(0, GENESIS_MS, &set), vec![], now);
        Self { keys, set, me, machine, now: 0, log: vec![], effects }
    }

    /// The same node at another time.
    pub fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    pub fn clock(&self) -> Now {
        Now { wall: TimestampMs::new(GENESIS_MS + self.now), mono_ms: self.now }
    }

    pub fn step(&mut self, input: Input) -> &mut Self {
        self.effects = self.machine.step(self.clock(), input);
        self.log.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Persist(record) => Some(record.clone()),
            _ => None,
        }));
        self
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self.step(Input::Tick)
    }

    pub fn restart(&mut self) -> &mut Self {
        let head = head(0, GENESIS_MS, &self.set);
        let log = self.log.clone();
        (self.machine, self.effects) = Machine::recover(config(self.keys.get(self.me)), head, log, self.clock());
        self
    }

    pub fn hear(&mut self, message: Message) -> &mut Self {
        self.step(heard(message))
    }

    pub fn hear_vote(&mut self, from: usize, kind: VoteKind, view: u32, block: Option<BlockId>) -> &mut Self {
        let vote = vote(&self.keys[from], message(kind, 1, view, block));
        self.hear(Message::Vote(vote))
    }

    pub fn certificate(&self, kind: VoteKind, view: u32, block: Option<BlockId>) -> Certificate {
        let others = self.keys.iter().enumerate().filter(|(i, _)| *i != self.me).map(|(_, key)| key).take(3);
        certificate(message(kind, 1, view, block), others, &self.set)
    }

    pub fn hear_certificate(&mut self, kind: VoteKind, view: u32, block: Option<BlockId>) -> &mut Self {
        let certificate = self.certificate(kind, view, block);
        self.hear(Message::Certificate(certificate))
    }

    pub fn proposal(&self, view: u32, block: BlockId, again: Option<u32>) -> Proposal {
        let leader = &self.keys[(1 + view as usize) % 4];
        Proposal::sign((Height::new(1), View::new(view)), block, again.map(View::new), &chain(), leader)
    }

    pub fn hear_proposal(&mut self, view: u32, block: BlockId, again: Option<u32>) -> &mut Self {
        let proposal = self.proposal(view, block, again);
        self.hear(Message::Proposal { proposal, justification: Justification::default() })
    }

    pub fn judge_valid(&mut self, block: BlockId, view: u32) -> &mut Self {
        self.judge(block, view, GENESIS_MS + BLOCK_TIME_MS)
    }

    pub fn judge(&mut self, block: BlockId, view: u32, timestamp: u64) -> &mut Self {
        let proposer = self.keys[(1 + view as usize) % 4].public();
        let verdict = Verdict::Valid { view: View::new(view), proposer, timestamp: TimestampMs::new(timestamp) };
        self.step(Input::Judged { block, verdict })
    }

    /// The block of this height is final and stored.
    pub fn commit(&mut self, height: u64) -> &mut Self {
        let head = head(height, GENESIS_MS + self.now, &self.set);
        self.step(Input::Committed(head))
    }

    pub fn hear_from(&mut self, peer: u64, message: Message) -> &mut Self {
        self.step(Input::Message { from: Peer(peer), message })
    }

    /// What was answered to one peer in the last step.
    pub fn answers(&self) -> Vec<(u64, Message)> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { to, message } => Some((to.0, message.clone())),
            _ => None,
        });
        sent.collect()
    }

    /// From which view on certificates were asked for in the last step.
    pub fn asks(&self) -> Option<u32> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Broadcast(Message::NeedCertificates { from, .. }) => Some(from.get()),
            _ => None,
        })
    }

    pub fn blames(&self) -> Option<Offence> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Blame { offence, .. } => Some(*offence),
            _ => None,
        })
    }

    pub fn behind(&self) -> Option<u64> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Behind { height } => Some(height.get()),
            _ => None,
        })
    }

    pub fn alarm(&self) -> Option<u64> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::OwnKey { height } => Some(height.get()),
            _ => None,
        })
    }

    pub fn view(&self) -> u32 {
        self.machine.status().view.get()
    }

    /// Votes sent in the last step.
    pub fn sent(&self) -> Vec<(VoteKind, u32, Option<BlockId>)> {
        let votes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Broadcast(Message::Vote(vote)) => Some(vote.message),
            _ => None,
        });
        votes.map(|m| (m.kind, m.view.get(), m.block)).collect()
    }

    pub fn proposed(&self) -> Vec<(u32, BlockId, Option<View>)> {
        let proposals = self.effects.iter().filter_map(|effect| match effect {
            Effect::Broadcast(Message::Proposal { proposal, .. }) => Some(proposal),
            _ => None,
        });
        proposals.map(|p| (p.view.get(), p.block, p.notarized_in)).collect()
    }

    pub fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(wanted)
    }

    pub fn judges(&self) -> bool {
        self.has(|effect| matches!(effect, Effect::Judge { .. }))
    }

    pub fn evidence(&self) -> bool {
        self.has(|effect| matches!(effect, Effect::Evidence(_)))
    }

    pub fn builds(&self) -> Option<(u32, u64)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Build { view, timestamp, .. } => Some((view.get(), timestamp.get() - GENESIS_MS)),
            _ => None,
        })
    }

    pub fn silent(&self) -> bool {
        self.effects.is_empty()
    }
}
