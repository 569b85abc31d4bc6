//! The world of a run: virtual time, one queue of events by time and order, nodes, links, troubles.
//! Everything follows from the scenario.
//!
//! Not here: what may never happen (`check`), what goes wrong (`scenario`).

mod give;
mod people;
mod talk;
mod trouble;

use super::check::{NEWEST, Referee, Rule, Verdict, Violation, must};
use super::council::Council;
use super::liar::{Liar, Said};
use super::log::Log;
use super::market::Traders;
use super::network::{Hold, Network};
use super::node::{GENESIS_AT, Node};
use super::random::Random;
use super::scenario::{CALM, Mistake, Scenario, Traitor, Trouble, failing_write, kept};
use super::setting::{NONCES, SENDERS, Setting};
use super::stranger::Stranger;
use super::witness::Witnesses;
use crate::disk::{Disk, Fuse, Kept};
use chain_core::consensus::{ConsensusEvent, Peer};
use chain_core::engine::{Announcement, Engine, Input, Output, Submission};
use chain_core::tx::Checked;
use chain_core::types::{Evidence, Height};
use chain_core::wire::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// So many blocks more have to become final after the healing, …
const BLOCKS_AFTER_HEALING: u64 = 10;
/// … with so many timeouts at any honest node, …
const TIMEOUTS_AFTER_HEALING: u64 = 20;
/// … within this virtual time: so many timeouts of the longest view.
const HEALED_MS: u64 = TIMEOUTS_AFTER_HEALING * chain_core::limits::MAX_VIEW_MS;
/// Nodes look for connections they lack this often.
const DIAL_MS: u64 = 400;
/// Authorities and witnesses look at the chain this often.
const COUNCIL_MS: u64 = 400;
/// Within so many blocks after the healing what is found out leads to a conviction.
const BLOCKS_TO_CONVICT: u64 = 5;
/// What software says that does not know the rules.
const OUTDATED: &str = "the chain follows version 2 of the rules";
/// An outdated node still serves others for so long.
const FAREWELL_MS: u64 = 1_500;
/// A run with more events than this talks for ever.
const MAX_EVENTS: u64 = 400_000;

/// Something that happens.
enum Event {
    Start(usize),
    Wake(usize, u64),
    Message(usize, Peer, Arc<Message>),
    Left(usize, u64, Peer),
    Transaction(usize, Checked),
    Load,
    Council,
    Trade,
    Outdated(usize),
    Dial,
    Trouble(Trouble),
    Heal,
}

/// What a run was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The last final height.
    pub blocks: u64,
    /// Crashes and orderly stops.
    pub crashes: u64,
    /// Messages sent.
    pub messages: u64,
    /// Timeouts at honest nodes.
    pub timeouts: u64,
    /// Transactions in final blocks.
    pub transactions: u64,
    /// What honest nodes found against traitors.
    pub evidence: u64,
    /// Changes of the validator set.
    pub sets: u64,
    /// Candidates that joined and signed.
    pub joined: u64,
    /// Validators convicted of contradicting themselves.
    pub convicted: u64,
    /// Actions with stake that were carried out.
    pub staked: u64,
    /// Convictions that cost stake.
    pub slashed: u64,
    /// Offences at lower heights that cost stake that had left before the one that was known.
    pub older: u64,
    /// Validators jailed while they were away.
    pub away: u64,
    /// Those who came back after they had lost their places, before they were forgotten.
    pub returns: u64,
    /// Parameters that came into force.
    pub parameters: u64,
    /// Validators jailed for absence.
    pub absent: u64,
    /// Those of them that are in the set again at the end.
    pub returned: u64,
    /// Upgrades that came into force.
    pub upgrades: u64,
    /// Transactions of people of the market.
    pub traded: u64,
    /// Jobs that were opened, …
    pub jobs: u64,
    /// … and those of them that were paid out.
    pub ended: u64,
    /// Events.
    pub events: u64,
    /// Virtual time, in ms.
    pub virtual_ms: u64,
    /// The hash of the event log.
    pub log_hash: u64,
}

/// After the healing.
struct Healed {
    at: Height,
    goal: Height,
    until: u64,
    timeouts: BTreeMap<usize, u64>,
}

/// The world.
pub struct World {
    scenario: Scenario,
    setting: Arc<Setting>,
    random: Random,
    now: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
    liars: BTreeMap<usize, Liar>,
    strangers: BTreeMap<usize, Stranger>,
    council: Council,
    witnesses: Witnesses,
    traders: Option<Traders>,
    network: Network,
    /// Whose every connection ever was.
    ends: BTreeMap<Peer, (usize, usize)>,
    referee: Referee,
    log: Log,
    figures: Figures,
    tickets: BTreeMap<u64, Checked>,
    backups: BTreeMap<usize, Disk>,
    healed: Option<Healed>,
}

impl World {
    /// The world before anything has happened.
    pub fn new(scenario: Scenario, setting: Arc<Setting>, prints: bool) -> Self {
        let mut random = Random::new(scenario.seed, 2);
        let (nodes, apart) = people::populate(&scenario, &setting, &mut random);
        let guilty = |(who, what): &(usize, Traitor)| (!what.is_honest()).then_some(*who);
        let guilty: BTreeSet<_> = scenario.traitors.iter().filter_map(guilty).collect();
        let keys = guilty.iter().map(|who| setting.keys[*who].public()).collect();
        let liar = |who: usize| Liar::new(setting.clone(), setting.keys[who].clone(), Random::new(scenario.seed, 3));
        let is_liar = |who: &usize| scenario.traitor(*who) == Some(Traitor::Liar);
        let liars = (0..scenario.seats()).filter(is_liar).map(|who| (who, liar(who))).collect();
        let lies = |who: &usize| scenario.follower(*who).is_some_and(|follower| !follower.honest);
        let stranger = |who: usize| Stranger::new(setting.clone(), Random::new(scenario.seed, 4 + who as u64));
        let strangers = (0..nodes.len()).filter(lies).map(|who| (who, stranger(who))).collect();
        let mut world = Self {
            network: Network::new(scenario.weather, apart),
            referee: Referee::new(setting.clone(), keys),
            council: Council::new(setting.clone(), &scenario),
            witnesses: Witnesses::new(setting.clone(), &scenario),
            traders: scenario.has_market.then(|| Traders::new(&setting, scenario.seed)),
            random,
            now: 0,
            order: 0,
            queue: BTreeMap::new(),
            nodes,
            liars,
            strangers,
            ends: BTreeMap::new(),
            log: Log::new(prints),
            figures: Figures::default(),
            tickets: BTreeMap::new(),
            backups: BTreeMap::new(),
            healed: None,
            scenario,
            setting,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.scenario.late.contains(&node) {
                let at = self.random.below(600);
                self.at(at, Event::Start(node));
            }
        }
        for (at, trouble) in self.scenario.troubles.clone() {
            self.at(at, Event::Trouble(trouble));
        }
        self.at(0, Event::Dial);
        self.at(GENESIS_AT, Event::Load);
        if self.setting.changes() {
            self.at(GENESIS_AT, Event::Council);
        }
        if self.traders.is_some() {
            self.at(GENESIS_AT, Event::Trade);
        }
        self.at(self.scenario.chaos_ms, Event::Heal);
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(mut self) -> Result<Figures, Violation> {
        while !self.is_done() {
            let (&key, _) = self.queue.first_key_value().ok_or_else(|| self.stuck("nothing will happen any more"))?;
            let Some(event) = self.queue.remove(&key) else { continue };
            self.now = key.0;
            self.figures.events += 1;
            must(Rule::Liveness, self.figures.events < MAX_EVENTS, || "they talk for ever".into())?;
            self.happen(event)?;
            self.heal_early();
            self.check_time()?;
        }
        self.finish()?;
        self.figures.virtual_ms = self.now;
        self.figures.blocks = self.referee.height().get();
        self.figures.transactions = self.referee.transactions();
        self.figures.sets = self.referee.seats().changes().count() as u64;
        let candidates = self.setting.keys.iter().skip(self.scenario.validators());
        self.figures.joined = candidates.filter(|key| self.referee.has_signed(&key.public())).count() as u64;
        self.figures.convicted = self.referee.seats().convicted().count() as u64;
        let seats = self.referee.seats();
        (self.figures.staked, self.figures.slashed) = (seats.staked(), seats.slashed() as u64);
        (self.figures.parameters, self.figures.absent) = (seats.book().changed, seats.absentees().len() as u64);
        self.figures.returned = seats.returned() as u64;
        (self.figures.older, self.figures.away, self.figures.returns) = (seats.older(), seats.away(), seats.returns());
        self.figures.upgrades = u64::from(seats.upgraded().is_some());
        if self.traders.is_some() {
            let tree = self.referee.tree();
            self.figures.traded = Traders::carried_out(tree);
            (self.figures.jobs, self.figures.ended) = Traders::jobs(tree);
        }
        self.figures.log_hash = self.log.hash();
        Ok(self.figures)
    }

    fn is_done(&self) -> bool {
        let Some(healed) = &self.healed else { return false };
        let stays = |node: &usize| self.scenario.traitor(*node) != Some(Traitor::Outdated);
        let is_past = |node: usize| self.height(node).is_some_and(|height| height >= healed.goal);
        self.honest().filter(stays).all(is_past)
    }

    fn honest(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].honest)
    }

    fn height(&self, node: usize) -> Option<Height> {
        self.nodes[node].engine.as_ref().map(|engine| engine.chain().head().block.header.height)
    }

    fn heal_early(&mut self) {
        let high = self.referee.height().get() >= self.scenario.chaos_heights;
        if self.healed.is_none() && high {
            self.heal();
        }
    }

    fn check_time(&self) -> Verdict {
        let Some(healed) = &self.healed else { return Ok(()) };
        let slow = healed.timeouts.iter().find(|(_, timeouts)| **timeouts > TIMEOUTS_AFTER_HEALING);
        match (slow, self.now > healed.until) {
            (None, false) => Ok(()),
            (Some((node, timeouts)), _) => Err(self.stuck(&format!("{timeouts} timeouts at node {node}"))),
            (None, true) => Err(self.stuck("the time is up")),
        }
    }

    fn stuck(&self, why: &str) -> Violation {
        let goal = self.healed.as_ref().map(|healed| healed.goal.get());
        let mut what = format!("{why}; goal {goal:?}, traitors {:?}, honest:", self.scenario.traitors);
        for node in self.honest() {
            let status = self.nodes[node].engine.as_ref().map(Engine::status);
            let place = status.map_or("down".into(), |s| format!("decides {} in view {}", s.height, s.view));
            what += &format!(" node {node} {place};");
        }
        Violation { rule: Rule::Liveness, what }
    }

    fn finish(&mut self) -> Verdict {
        for (node, state) in self.nodes.iter().enumerate().filter(|(_, state)| state.honest) {
            let Some(engine) = &state.engine else { continue };
            self.referee.hear_state(node, engine)?;
            self.referee.check_rows(node, engine)?;
            self.referee.check_copies(node, engine)?;
            self.referee.check_light(node, engine)?;
            self.referee.check_acknowledged(node, engine)?;
        }
        self.check_convictions()
    }

    fn check_convictions(&self) -> Verdict {
        let Some(healed) = &self.healed else { return Ok(()) };
        let mut overdue = self.witnesses.overdue(healed.at, self.referee.height(), BLOCKS_TO_CONVICT);
        let free = overdue.find(|key| !self.referee.seats().is_convicted(key));
        must(Rule::Conviction, free.is_none(), || format!("{free:?} goes free"))
    }

    fn at(&mut self, time: u64, event: Event) {
        self.order += 1;
        self.queue.insert((time, self.order), event);
    }

    fn soon(&mut self, within: u64, event: Event) {
        let at = self.now + self.random.between(1, within);
        self.at(at, event);
    }

    fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Start(node) => self.start(node),
            Event::Wake(node, life) => self.wake(node, life),
            Event::Message(node, peer, message) => self.deliver(node, peer, message),
            Event::Left(node, life, peer) if self.nodes[node].life == life => self.input(node, Input::Left { peer }),
            Event::Left(..) => Ok(()),
            Event::Transaction(node, tx) => self.submit(node, tx),
            Event::Load => self.load(),
            Event::Council => self.sit(),
            Event::Trade => self.trade(),
            Event::Outdated(node) => self.outdate(node),
            Event::Dial => self.dial(),
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Heal => {
                if self.healed.is_none() {
                    self.heal();
                }
                Ok(())
            }
        }
    }

    // Lives of nodes.

    fn start(&mut self, node: usize) -> Verdict {
        if self.nodes[node].engine.is_some() || self.nodes[node].gone {
            return Ok(());
        }
        let fails = self.healed.is_none() && self.random.chance(self.scenario.failing_writes);
        let (at, fault) = failing_write(&mut self.random);
        let state = &mut self.nodes[node];
        state.fuse = if fails { Fuse::blowing_at(at, fault) } else { Fuse::counting() };
        let started = state.start(&self.setting, self.scenario.rule, self.scenario.flush_interval_blocks, self.now);
        self.log.note(self.now, node, 1, &[u8::from(started.is_ok())], || format!("starts, fuse {fails}"));
        match started {
            Ok((found, outputs)) => {
                let state = &self.nodes[node];
                if let Some(engine) = state.engine.as_ref().filter(|_| state.honest) {
                    self.referee.hear_start(node, found, engine)?;
                }
                self.perform(node, outputs)
            }
            // It may not start; while it runs it has to fall silent, not to fail.
            Err(error) if self.nodes[node].known < NEWEST && error.contains(OUTDATED) => {
                self.at(self.now, Event::Outdated(node));
                Ok(())
            }
            Err(error) => self.failed(node, error),
        }
    }

    /// Its disk failed: a crash. For any other reason no honest node may stop.
    fn failed(&mut self, node: usize, error: String) -> Verdict {
        if self.nodes[node].fuse.has_blown() {
            let kept = kept(&mut self.random);
            let down = self.random.between(100, 1_500);
            self.crash(node, kept, down);
            return Ok(());
        }
        must(Rule::Running, !self.nodes[node].honest, || format!("node {node}: {error}"))?;
        self.crash(node, Kept::ALL[1], 0);
        self.nodes[node].gone = true;
        Ok(())
    }

    fn crash(&mut self, node: usize, kept: Kept, down_ms: u64) {
        self.figures.crashes += 1;
        self.log.note(self.now, node, 2, &[], || format!("crashes, {kept:?}, down for {down_ms} ms"));
        for (peer, _) in self.network.of(node) {
            self.disconnect(peer);
        }
        let amnesia = self.scenario.mistake == Some(Mistake::Amnesia) && self.nodes[node].honest;
        let state = &mut self.nodes[node];
        (state.engine, state.wake_at) = (None, None);
        state.disk.crash(kept);
        if amnesia {
            state.disk = Disk::new();
        }
        self.at(self.now + down_ms.max(1), Event::Start(node));
    }

    fn stop(&mut self, node: usize, down_ms: u64) -> Verdict {
        let Some(engine) = &mut self.nodes[node].engine else { return Ok(()) };
        let stopped = engine.shut_down();
        let blown = self.nodes[node].fuse.has_blown();
        must(Rule::Running, stopped.is_ok() || blown, || format!("node {node} can't stop: {stopped:?}"))?;
        self.crash(node, Kept::ALL[0], down_ms);
        Ok(())
    }

    fn wake(&mut self, node: usize, life: u64) -> Verdict {
        let state = &mut self.nodes[node];
        if state.life != life || state.wake_at != Some(self.now) {
            return Ok(());
        }
        state.wake_at = None;
        self.input(node, Input::Tick)
    }

    fn input(&mut self, node: usize, input: Input) -> Verdict {
        self.tell_engine(node, input)?;
        self.rush(node);
        Ok(())
    }

    fn tell_engine(&mut self, node: usize, input: Input) -> Verdict {
        if self.nodes[node].engine.is_none() {
            return Ok(());
        }
        let handled = self.nodes[node].handle(input, self.now);
        let blown = self.nodes[node].fuse.has_blown();
        match handled {
            Ok(outputs) => {
                must(Rule::Running, !blown, || format!("node {node}: a failed write went unnoticed"))?;
                self.perform(node, outputs)
            }
            Err(error) => self.failed(node, error),
        }
    }

    // What nodes want.

    fn perform(&mut self, node: usize, outputs: Vec<Output>) -> Verdict {
        let mut blocks = false;
        for output in outputs {
            blocks |= matches!(output, Output::Announce(Announcement::Block(_)));
            self.perform_one(node, output)?;
        }
        if blocks && self.nodes[node].is_outdated() {
            self.at(self.now + FAREWELL_MS, Event::Outdated(node));
        }
        let state = &self.nodes[node];
        match state.engine.as_ref().filter(|_| blocks && state.honest) {
            Some(engine) => self.referee.hear_state(node, engine),
            None => Ok(()),
        }
    }

    fn perform_one(&mut self, node: usize, output: Output) -> Verdict {
        let honest = self.nodes[node].honest;
        match output {
            Output::WakeAt(mono_ms) => self.wish(node, mono_ms),
            Output::Send { to, message } => return self.send(node, &to, &message),
            Output::Announce(Announcement::Transaction(tx)) => self.gossip(node, &tx),
            _ if !honest => {}
            Output::Announce(Announcement::Block(block)) => {
                let (height, id) = (block.header.height, block.id);
                self.log.note(self.now, node, 3, id.0.as_bytes(), || format!("block {height} is final: {id}"));
                self.referee.hear_block((node, self.nodes[node].known), &block)?;
                if block.header.validators_hash != block.header.next_validators_hash {
                    let set = self.referee.seats().at(height.next());
                    self.log.note(self.now, node, 11, &[], || format!("from {} on signs {set:?}", height.next()));
                }
            }
            Output::Announce(Announcement::Status(id, status)) => self.referee.hear_status(node, id, status),
            Output::Announce(Announcement::Consensus(event)) => self.hear_event(node, &event),
            Output::Reply(ticket, reply) => {
                if let (Some(tx), Ok(taken)) = (self.tickets.remove(&ticket), reply) {
                    let line = || format!("takes {}: {:?}", tx.id(), taken.status);
                    self.log.note(self.now, node, 14, tx.id().0.as_bytes(), line);
                    self.referee.hear_acknowledged(node, &tx, taken.status);
                }
            }
            Output::Blame { peer, offence } => {
                self.log.note(self.now, node, 4, &[], || format!("blames {peer:?} for {offence:?}"));
                return self.blamed(node, peer, &format!("{offence:?}"));
            }
            Output::Evidence(evidence) => {
                self.figures.evidence += 1;
                self.log.note(self.now, node, 5, &[], || format!("shows {evidence:?}"));
                self.referee.hear_evidence(node, &evidence)?;
                return self.report(node, &evidence);
            }
            Output::OwnKey(_) | Output::MemoryTooOld(_)
                if self.scenario.traitor(node).is_some_and(Traitor::forgets) => {}
            Output::OwnKey(height) | Output::MemoryTooOld(height) => {
                let what = format!("node {node} hears its own key at {height}");
                return Err(Violation { rule: Rule::Innocence, what });
            }
            // With a mistake that allows it, what follows is of interest: two final blocks.
            Output::Halted(_) if self.scenario.mistake.is_some_and(Mistake::allows_forks) => {}
            Output::Halted(reason) => {
                return Err(Violation { rule: Rule::Agreement, what: format!("node {node} halts: {reason:?}") });
            }
        }
        Ok(())
    }

    fn wish(&mut self, node: usize, mono_ms: u64) {
        let before = self.nodes[node].wake_at;
        let at = self.nodes[node].wish(mono_ms, self.now);
        if before != Some(at) {
            let life = self.nodes[node].life;
            self.at(at, Event::Wake(node, life));
        }
    }

    fn hear_event(&mut self, node: usize, event: &ConsensusEvent) {
        self.log.note(self.now, node, 6, &[], || format!("{event:?}"));
        if let (ConsensusEvent::Timeout { .. }, Some(healed)) = (event, &mut self.healed) {
            *healed.timeouts.entry(node).or_default() += 1;
        }
        self.figures.timeouts += u64::from(matches!(event, ConsensusEvent::Timeout { .. }));
    }

    fn blamed(&mut self, node: usize, peer: Peer, offence: &str) -> Verdict {
        let ends = self.ends.get(&peer).copied();
        let other = ends.map(|(a, b)| if a == node { b } else { a });
        let innocent = other.is_none_or(|other| self.nodes[other].honest);
        must(Rule::Innocence, !innocent, || format!("node {node} blames node {other:?} for {offence}"))?;
        if self.random.chance(500) {
            self.disconnect(peer);
        }
        Ok(())
    }
}
