//! A small world for the machine: nodes with a disk that loses what was not synced, a network
//! that loses, delays and repeats, one virtual clock, and a referee. Everything follows from the
//! seed.
//!
//! Of the engine there is as much as the machine relies on: stored finalizations for who asks
//! from a decided height, fetching one when the machine says it is behind, looking for bodies
//! until somebody who is on has one.

use super::*;
use crate::types::Proposal;
use std::collections::{BTreeMap, BTreeSet};

/// A record as it lies on the disk.
#[derive(Clone, Debug)]
enum OnDisk {
    Switch,
    Record(Vec<u8>),
    Body(BlockId),
}

#[derive(Default)]
struct Disk {
    synced: Vec<OnDisk>,
    written: Vec<OnDisk>,
    /// The block store: durable at once.
    committed: Vec<BlockId>,
}

struct Node {
    key: Option<Arc<SecretKey>>,
    disk: Disk,
    machine: Option<Machine>,
    alarm: Option<u64>,
    /// Blocks whose body it has; what is not on the disk goes with the power.
    bodies: BTreeSet<BlockId>,
    off: bool,
    /// Its memory is gone: true until a vote is in the log again.
    wiped: bool,
}

/// What may go wrong.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Of 100 messages so many are lost.
    pub lost: u64,
    /// Of 100 messages so many arrive twice.
    pub doubled: u64,
    /// Shortest delay in ms.
    pub least_delay: u64,
    /// What may come on top of it, in ms.
    pub delay: u64,
    /// Of 1000 effects so many are interrupted by a crash.
    pub crashes: u64,
    /// Nodes that are off from the beginning, a bit each.
    pub off: u32,
    /// The one effect (counted over the run) before which the power fails.
    pub crash_before_effect: Option<u64>,
    /// How many of the unsynced records survive that.
    pub torn: usize,
}

#[derive(Clone, Debug)]
enum Happening {
    Input(Input),
    /// Looks for a body, to judge the block or to commit it.
    Look(BlockId, Option<Certificate>),
    /// Asks somebody for the block it lacks.
    Fetch,
    Restart,
}

/// The world.
pub struct World {
    nodes: Vec<Node>,
    set: Arc<ValidatorSet>,
    faults: Faults,
    random: u64,
    now: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), (usize, Happening)>,
    /// Every block ever built.
    blocks: BTreeMap<BlockId, Verdict>,
    finalizations: BTreeMap<Height, Certificate>,
    /// Nodes of different groups don't hear each other.
    pub groups: u32,
    referee: Referee,
    /// Effects performed so far.
    pub effects: u64,
    /// Answers given so far.
    pub sends: u64,
    /// Crashes so far.
    pub crashes: u64,
}

impl World {
    pub fn new(n: u8, followers: usize, seed: u64, faults: Faults) -> Self {
        let keys = keys(n);
        let set = set(&keys);
        let signing = keys.into_iter().map(Some).chain((0..followers).map(|_| None));
        let nodes = signing.enumerate().map(|(i, key)| Node {
            key,
            disk: Disk::default(),
            machine: None,
            alarm: None,
            bodies: BTreeSet::new(),
            off: faults.off >> i & 1 == 1,
            wiped: false,
        });
        let mut world = Self {
            nodes: nodes.collect(),
            set,
            faults,
            random: seed,
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            blocks: BTreeMap::new(),
            finalizations: BTreeMap::new(),
            groups: 0,
            referee: Referee::default(),
            effects: 0,
            sends: 0,
            crashes: 0,
        };
        (0..world.nodes.len()).for_each(|i| world.happen(0, i, Happening::Restart));
        world
    }

    /// Runs until every node that is on has committed `height`; the virtual time it took, in ms.
    pub fn run_to(&mut self, height: usize, within_ms: u64) -> u64 {
        let started = self.now;
        while self.nodes.iter().any(|node| !node.off && node.disk.committed.len() < height) {
            assert!(self.now - started < within_ms, "stuck: {:#?}", self.statuses());
            self.turn();
        }
        self.now - started
    }

    pub fn committed(&self, node: usize) -> &[BlockId] {
        &self.nodes[node].disk.committed
    }

    pub fn timeouts(&self) -> usize {
        self.referee.timeouts
    }

    /// Lets time pass.
    pub fn run_for(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.turn();
        }
    }

    /// Nodes that stay off after their next crash, or come back.
    pub fn switch(&mut self, i: usize, off: bool) {
        self.nodes[i].off = off;
        if off { self.crash(i) } else { self.happen(1, i, Happening::Restart) }
    }

    /// Takes the power from all at once.
    pub fn cut_the_power(&mut self) {
        (0..self.nodes.len()).for_each(|i| self.crash(i));
    }

    /// Takes a node's memory of what it signed; the blocks stay.
    pub fn wipe(&mut self, i: usize) {
        self.crash(i);
        self.nodes[i].disk.synced.clear();
        self.nodes[i].wiped = true;
    }

    pub fn status(&self, i: usize) -> Option<Status> {
        self.nodes[i].machine.as_ref().map(Machine::status)
    }

    fn statuses(&self) -> Vec<Option<Status>> {
        self.nodes.iter().map(|node| node.machine.as_ref().map(Machine::status)).collect()
    }

    /// The next thing that happens: something queued, or somebody's alarm.
    fn turn(&mut self) {
        let queued = self.queue.keys().next().copied();
        let alarm = self.nodes.iter().enumerate().filter_map(|(i, node)| Some((node.alarm?, i))).min();
        match (queued, alarm) {
            (Some((at, _)), Some((alarm, i))) if alarm < at => self.ring(alarm, i),
            (None, Some((alarm, i))) => self.ring(alarm, i),
            (Some(key), _) => {
                let (i, happening) = self.queue.remove(&key).unwrap();
                self.now = self.now.max(key.0);
                match happening {
                    Happening::Input(input) => self.input(i, input),
                    Happening::Look(block, certificate) => self.look(i, block, certificate),
                    Happening::Fetch => self.fetch(i),
                    Happening::Restart => self.restart(i),
                }
            }
            (None, None) => panic!("nothing will ever happen again: {:#?}", self.statuses()),
        }
    }

    fn ring(&mut self, at: u64, i: usize) {
        self.now = self.now.max(at);
        self.nodes[i].alarm = None;
        self.input(i, Input::Tick);
    }

    fn clock(&self) -> Now {
        Now { wall: TimestampMs::new(GENESIS_MS + self.now), mono_ms: self.now }
    }

    fn restart(&mut self, i: usize) {
        let (clock, head) = (self.clock(), self.head(i));
        let node = &mut self.nodes[i];
        if node.off || node.machine.is_some() {
            return;
        }
        let on_disk = node.disk.synced.iter().filter_map(|item| match item {
            OnDisk::Body(block) => Some(*block),
            OnDisk::Switch | OnDisk::Record(_) => None,
        });
        node.bodies = on_disk.chain(node.disk.committed.iter().copied()).collect();
        let from = node.disk.synced.iter().rposition(|item| matches!(item, OnDisk::Switch)).unwrap_or(0);
        let records = node.disk.synced[from..].iter().filter_map(|item| match item {
            OnDisk::Record(bytes) => Some(WalRecord::decode(bytes).unwrap()),
            OnDisk::Switch | OnDisk::Body(_) => None,
        });
        let (machine, effects) =
            Machine::recover(Config { wiped: node.wiped, ..config(node.key.as_ref()) }, head, records.collect(), clock);
        node.machine = Some(machine);
        self.perform(i, effects);
    }

    fn head(&self, i: usize) -> Head {
        let committed = &self.nodes[i].disk.committed;
        let timestamp = match committed.last().map(|id| self.blocks[id]) {
            Some(Verdict::Valid { timestamp, .. }) => timestamp.get(),
            _ => GENESIS_MS,
        };
        head(committed.len() as u64, timestamp, &self.set)
    }

    fn input(&mut self, i: usize, input: Input) {
        let clock = self.clock();
        let Some(machine) = self.nodes[i].machine.as_mut() else { return };
        let answer = match &input {
            Input::Message { from, message } if message.height() < machine.status().height => {
                let finalization = self.finalizations.get(&message.height()).cloned();
                let asks = !matches!(message, Message::Certificate(_));
                finalization.filter(|_| asks).map(|known| (*from, Message::Certificate(known)))
            }
            _ => None,
        };
        let effects = machine.step(clock, input);
        if let Some((to, message)) = answer {
            self.send(i, to.0 as usize, &message);
        }
        self.perform(i, effects);
    }

    /// Somebody who is on has the body, or it is looked for again later.
    fn look(&mut self, i: usize, block: BlockId, certificate: Option<Certificate>) {
        let heard = |node: &Node| node.machine.is_some() && node.bodies.contains(&block);
        if !self.nodes.iter().any(heard) {
            return self.happen(500, i, Happening::Look(block, certificate));
        }
        self.nodes[i].bodies.insert(block);
        match certificate {
            Some(certificate) => self.commit(i, block, certificate),
            None => self.input(i, Input::Judged { block, verdict: self.blocks[&block] }),
        }
    }

    /// One other node is asked; it may be no further itself.
    fn fetch(&mut self, i: usize) {
        let of = self.draw(self.nodes.len() as u64) as usize;
        let height = self.nodes[i].disk.committed.len() + 1;
        if self.nodes[of].machine.is_some() && self.nodes[of].disk.committed.len() >= height {
            let known = self.finalizations[&Height::new(height as u64)].clone();
            self.send(of, i, &Message::Certificate(known));
        }
    }

    fn perform(&mut self, i: usize, effects: Vec<Effect>) {
        let mut visible = false;
        for effect in effects {
            if self.power_fails() {
                return self.crash(i);
            }
            self.effects += 1;
            let record = matches!(effect, Effect::Persist(_) | Effect::PersistBody { .. } | Effect::SwitchWal { .. });
            assert!(!(record && visible), "records come first");
            if effect.is_visible() {
                visible = true;
                let disk = &mut self.nodes[i].disk;
                disk.synced.append(&mut disk.written);
            }
            self.perform_one(i, effect);
        }
    }

    fn perform_one(&mut self, i: usize, effect: Effect) {
        let disk = &mut self.nodes[i].disk;
        match effect {
            Effect::SwitchWal { .. } => disk.written.push(OnDisk::Switch),
            Effect::Persist(record) => {
                disk.written.push(OnDisk::Record(record.encode()));
                self.nodes[i].wiped &= !matches!(record, WalRecord::Vote(_));
            }
            Effect::PersistBody { block } => disk.written.push(OnDisk::Body(block)),
            Effect::Broadcast(message) => self.broadcast(i, message),
            Effect::Commit { block, certificate } => self.happen(1, i, Happening::Look(block, Some(certificate))),
            Effect::Build { height, view, timestamp } => {
                let (block, proposer) = (block(self.blocks.len() as u64), self.nodes[i].key.as_ref().unwrap().public());
                self.blocks.insert(block, Verdict::Valid { view, proposer, timestamp });
                self.nodes[i].bodies.insert(block);
                self.happen(1, i, Happening::Input(Input::Built { height, view, block }));
            }
            Effect::Judge { block } => self.happen(1, i, Happening::Look(block, None)),
            Effect::WakeAt { mono_ms } => self.nodes[i].alarm = Some(mono_ms),
            Effect::Report(event) => self.referee.hear(&event),
            Effect::Evidence(evidence) => panic!("honest nodes accused: {evidence:?}"),
            Effect::Send { to, message } => {
                self.sends += 1;
                self.send(i, to.0 as usize, &message);
            }
            Effect::Behind { .. } => self.happen(1, i, Happening::Fetch),
            Effect::Blame { peer, offence } => panic!("honest {peer:?} accused of {offence:?}"),
            Effect::OwnKey { height } => panic!("our key at {height}"),
            Effect::Halt(reason) => panic!("halted: {reason:?}"),
        }
    }

    fn broadcast(&mut self, from: usize, message: Message) {
        let own = self.nodes[from].key.as_ref().map(|key| key.public());
        self.referee.check(&message, own, &self.nodes[from].disk.synced);
        (0..self.nodes.len()).filter(|to| *to != from).for_each(|to| self.send(from, to, &message));
    }

    fn send(&mut self, from: usize, to: usize, message: &Message) {
        if (self.groups >> from ^ self.groups >> to) & 1 == 1 {
            return;
        }
        let copies = match self.draw(100) {
            dice if dice < self.faults.lost => 0,
            dice if dice < self.faults.lost + self.faults.doubled => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = self.faults.least_delay + 1 + self.draw(self.faults.delay.max(1));
            let input = Input::Message { from: Peer(from as u64), message: message.clone() };
            self.happen(delay, to, Happening::Input(input));
        }
    }

    fn commit(&mut self, i: usize, block: BlockId, certificate: Certificate) {
        let height = Height::new(self.nodes[i].disk.committed.len() as u64 + 1);
        assert_eq!((certificate.height(), certificate.block()), (height, Some(block)));
        assert_eq!(certificate.verify(&chain(), QuorumRule::Byzantine, &self.set), Ok(()));
        let first = self.finalizations.entry(height).or_insert(certificate);
        assert_eq!(first.block(), Some(block), "two blocks at height {height}");
        let on_disk = |item: &OnDisk| matches!(item, OnDisk::Body(id) if *id == block);
        let holds = |node: &Node| node.disk.committed.contains(&block) || node.disk.synced.iter().any(on_disk);
        let holders = self.nodes.iter().filter(|node| holds(node) || node.wiped).count();
        assert!(holders >= self.nodes.iter().filter(|n| n.key.is_some()).count() * 2 / 3, "the body is durable");
        self.nodes[i].disk.committed.push(block);
        let head = self.head(i);
        self.happen(1, i, Happening::Input(Input::Committed(head)));
    }

    fn crash(&mut self, i: usize) {
        self.crashes += 1;
        let torn = if self.faults.crashes > 0 { self.draw(4) as usize } else { self.faults.torn };
        let disk = &mut self.nodes[i].disk;
        disk.written.truncate(torn);
        disk.synced.append(&mut disk.written);
        self.nodes[i].machine = None;
        self.nodes[i].alarm = None;
        self.nodes[i].bodies.clear();
        // What was on its way inside the node is gone too; messages of others still arrive.
        self.queue.retain(|_, (to, what)| *to != i || matches!(what, Happening::Input(Input::Message { .. })));
        let delay = 1 + self.draw(if self.faults.crashes > 0 { 3_000 } else { 1 });
        self.happen(delay, i, Happening::Restart);
    }

    fn power_fails(&mut self) -> bool {
        self.faults.crash_before_effect == Some(self.effects) && self.crashes == 0
            || self.faults.crashes > 0 && self.draw(1000) < self.faults.crashes
    }

    fn happen(&mut self, delay: u64, to: usize, what: Happening) {
        self.order += 1;
        self.queue.insert((self.now + delay, self.order), (to, what));
    }

    /// SplitMix64.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// The kind of vote, or 0 for a proposal, and the block.
type Said = (u8, Option<BlockId>);

/// Watches what leaves the nodes: no contradictions, nothing that is not on the sender's disk.
#[derive(Default)]
struct Referee {
    said: BTreeMap<(PublicKey, Height, View), BTreeSet<Said>>,
    timeouts: usize,
}

impl Referee {
    fn hear(&mut self, event: &ConsensusEvent) {
        self.timeouts += usize::from(matches!(event, ConsensusEvent::Timeout { .. }));
    }

    fn check(&mut self, message: &Message, own: Option<PublicKey>, disk: &[OnDisk]) {
        let (signer, record, height, view, said) = match message {
            Message::Certificate(_) | Message::NeedCertificates { .. } | Message::Status { .. } => return,
            Message::Vote(vote) => {
                let SignedMessage { kind, height, view, block } = vote.message;
                (vote.signer, WalRecord::Vote(vote.clone()), height, view, (kind as u8, block))
            }
            Message::Proposal { proposal, .. } => {
                let Proposal { signer, height, view, block, .. } = *proposal;
                (signer, WalRecord::Proposal(proposal.clone()), height, view, (0, Some(block)))
            }
        };
        assert_eq!(Some(signer), own, "a node speaks for itself");
        let bytes = record.encode();
        let at = disk.iter().position(|item| matches!(item, OnDisk::Record(known) if *known == bytes));
        let at = at.expect("durable before visible");
        if matches!(said.0, 1 | 3) {
            let body = disk.iter().position(|item| matches!(item, OnDisk::Body(id) if Some(*id) == said.1));
            assert!(body.is_some_and(|body| body < at), "the body is durable before the vote");
        }
        let all = self.said.entry((signer, height, view)).or_default();
        all.insert(said);
        let count = |kind: u8| all.iter().filter(|(known, _)| *known == kind).count();
        assert!((0..=3).all(|kind| count(kind) <= 1), "contradiction: {all:?}");
        assert!(count(2) + count(3) <= 1, "nullified and finalized: {all:?}");
    }
}
