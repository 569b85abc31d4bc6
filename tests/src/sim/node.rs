//! One node: a disk that outlives it, a clock that is off, and an engine while it runs.
//!
//! Not here: what it hears and what becomes of what it says (`world`).

use super::check::NEWEST;
use super::setting::{GENESIS_MS, Setting};
use crate::disk::{Disk, Fuse};
use chain_core::consensus::Now;
use chain_core::crypto::{PublicKey, SecretKey};
use chain_core::engine::{Engine, Input, Options, Output, Start, Trust};
use chain_core::ledger;
use chain_core::mempool::PoolLimits;
use chain_core::state::protocol::check_version;
use chain_core::types::{Height, QuorumRule, TimestampMs};
use std::sync::Arc;

/// The virtual time at which height 1 may start: nodes are there a little earlier.
pub const GENESIS_AT: u64 = 500;

/// A node.
pub struct Node {
    /// Its key, unless it is a follower.
    pub key: Option<Arc<SecretKey>>,
    /// Whether it keeps the rules: then the referee listens.
    pub honest: bool,
    /// What is left of it after a crash.
    pub disk: Disk,
    /// Where its disk fails in this life.
    pub fuse: Arc<Fuse>,
    /// Whose word it takes for the signatures in blocks it catches up with.
    pub trust: Trust,
    /// How far its wall clock is off, in ms.
    pub skew: i64,
    /// Nothing while it is down.
    pub engine: Option<Engine>,
    /// Counts its lives: what was meant for an earlier one is not for this one.
    pub life: u64,
    /// When it wants to be woken, in virtual ms.
    pub wake_at: Option<u64>,
    /// Not to be started again by itself.
    pub gone: bool,
    /// The newest version of the rules that its software knows.
    pub known: u32,
    started: u64,
}

impl Node {
    /// A node that is down.
    pub fn new(key: Option<Arc<SecretKey>>, honest: bool, disk: Disk, skew: i64) -> Self {
        let (fuse, engine, wake_at) = (Fuse::counting(), None, None);
        let trust = Trust::Nobody;
        Self { key, honest, disk, fuse, trust, skew, engine, life: 0, wake_at, gone: false, known: NEWEST, started: 0 }
    }

    /// Its public key.
    pub fn public(&self) -> Option<PublicKey> {
        self.key.as_ref().map(|key| key.public())
    }

    fn clock(&self, now: u64) -> Now {
        let wall = (GENESIS_MS + now - GENESIS_AT).saturating_add_signed(self.skew);
        Now { wall: TimestampMs::new(wall), mono_ms: now - self.started }
    }

    /// Starts on what is on the disk; also the height that was found there. The text says why it can't.
    ///
    /// # Errors
    /// The disk failed, or holds what no disk of an honest node may hold.
    pub fn start(
        &mut self,
        setting: &Setting,
        rule: QuorumRule,
        flush: u64,
        now: u64,
    ) -> Result<(Height, Vec<Output>), String> {
        self.life += 1;
        self.started = now;
        let store = self.disk.store(&self.fuse);
        let opened = ledger::open_as(self.known, store, &setting.genesis, &mut |_| {});
        let chain = opened.map_err(|error| error.to_string())?.chain;
        let found = chain.head().block.header.height;
        let start = Start {
            options: Options { flush_interval_blocks: flush, trust: self.trust, accept_conflict_at: None },
            pool_limits: PoolLimits::default(),
            chain,
            rule,
            key: self.key.clone(),
            wal: self.disk.wal(&self.fuse),
            pool_log: self.disk.pool_log(&self.fuse),
            sign_memory: self.key.as_ref().map(|_| self.disk.sign_memory()),
            resume_signing_at: None,
        };
        let clock = self.clock(now);
        let (engine, outputs) = Engine::start(start, &|| clock).map_err(|fault| fault.to_string())?;
        self.engine = Some(engine);
        Ok((found, outputs))
    }

    /// Whether its chain goes on by rules it does not know.
    pub fn is_outdated(&self) -> bool {
        let chain = self.engine.as_ref().map(Engine::chain);
        chain.is_some_and(|chain| check_version(&chain.head().tree, self.known).is_err())
    }

    /// Lets it hear something; nothing if it is down.
    ///
    /// # Errors
    /// Its disk failed, or it met a fault of its own.
    pub fn handle(&mut self, input: Input, now: u64) -> Result<Vec<Output>, String> {
        let clock = self.clock(now);
        let Some(engine) = &mut self.engine else { return Ok(Vec::new()) };
        engine.handle(&|| clock, input).map_err(|fault| fault.to_string())
    }

    /// Notes when it wants to be woken.
    pub fn wish(&mut self, mono_ms: u64, now: u64) -> u64 {
        let at = self.started.saturating_add(mono_ms).max(now);
        self.wake_at = Some(at);
        at
    }
}
