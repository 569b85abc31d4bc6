//! What the node counts of its own work: heights and views as the engine announces them, and clocks
//! around what holds up the engine's thread.
//!
//! Not here: requests and the pool (chain-rpc), connections (`p2p::metrics`). No label holds an
//! address or a key; a validator is its place in the set.

use crate::driver::Driver;
use chain_core::consensus::ConsensusEvent;
use chain_core::crypto::PublicKey;
use chain_core::engine::Announcement;
use chain_core::ledger::CommittedBlock;
use chain_core::state::validators;
use chain_core::storage::{JournalError, Log, SignMark, SignState, StoreError};
use chain_core::types::{Height, ValidatorSet};
use prometheus::{Encoder, Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{Opts, Registry, TextEncoder};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::broadcast::error::RecvError;

const VIEWS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0];
const SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A block that became final here so long after it was made was fetched, not agreed on.
const MAX_LIVE_MS: u64 = 60_000;

/// The counters.
pub struct Counts {
    registry: Registry,
    start: Instant,
    /// Milliseconds from the start to the engine's newest turn.
    turned_ms: AtomicU64,
    idle: IntGauge,
    held_back: IntGauge,
    views: Histogram,
    timeouts: IntCounter,
    votes: IntCounter,
    missed: IntCounterVec,
    equivocations: IntCounter,
    evidence: IntGauge,
    syncs: HistogramVec,
    steps: HistogramVec,
    /// Seconds to verify the signatures of one batch.
    pub verified: Histogram,
}

impl Counts {
    /// All of them at zero.
    ///
    /// # Errors
    /// Two of one name; a mistake in this file.
    pub fn new() -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let keep = |collector: Box<dyn prometheus::core::Collector>| registry.register(collector);
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            keep(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            keep(Box::new(counter.clone())).map(|()| counter)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            keep(Box::new(histogram.clone())).map(|()| histogram)
        };
        let histograms = |name: &str, help: &str, label: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let histogram = HistogramVec::new(options, &[label])?;
            keep(Box::new(histogram.clone())).map(|()| histogram)
        };
        let missed = IntCounterVec::new(
            Opts::new("blockchain_votes_missed_total", "Heights decided without a vote of the validator at this place"),
            &["validator"],
        )?;
        keep(Box::new(missed.clone()))?;
        Ok(Arc::new(Self {
            start: Instant::now(),
            turned_ms: AtomicU64::new(0),
            idle: gauge(
                "blockchain_seconds_since_last_step",
                "Since the engine's thread last turned; seconds mean a jam",
            )?,
            held_back: gauge("blockchain_validator_held_back", "1 while this validator may not sign the next height")?,
            views: histogram("blockchain_views_per_height", "Views a height took", VIEWS)?,
            timeouts: counter("blockchain_view_timeouts_total", "Views whose time ran out here")?,
            votes: counter("blockchain_votes_counted_total", "Votes counted, own ones too")?,
            missed,
            equivocations: counter(
                "blockchain_equivocations_total",
                "Contradictions heard of validators; many may be of one offence",
            )?,
            evidence: gauge(
                "blockchain_evidence_kept",
                "Validators this node holds evidence against that are not convicted",
            )?,
            syncs: histograms("blockchain_log_sync_seconds", "Bringing a log to disk", "log")?,
            steps: histograms("blockchain_engine_step_seconds", "One step of the engine, writes included", "input")?,
            verified: histogram("blockchain_verify_seconds", "Verifying one batch of transactions", SECONDS)?,
            registry,
        }))
    }

    /// The engine's thread has come round.
    pub fn turned(&self) {
        self.turned_ms.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// A validator was heard to contradict itself.
    pub fn equivocation(&self) {
        self.equivocations.inc();
    }

    /// Against so many validators evidence waits to be final.
    pub fn evidence_kept(&self, validators: usize) {
        self.evidence.set(i64::try_from(validators).unwrap_or(i64::MAX));
    }

    /// The clock of one step on what the label names.
    pub fn step(&self, input: &str) -> prometheus::HistogramTimer {
        self.steps.with_label_values(&[input]).start_timer()
    }

    /// A log whose syncs are timed.
    pub fn timed_log(&self, name: &str, log: Box<dyn Log + Send>) -> Box<dyn Log + Send> {
        Box::new(TimedLog { log, is_new: false, seconds: self.syncs.with_label_values(&[name]) })
    }

    /// A sign state whose writes are timed.
    pub fn timed_state(&self, state: Box<dyn SignState + Send>) -> Box<dyn SignState + Send> {
        Box::new(TimedState { state, seconds: self.syncs.with_label_values(&["sign_state"]) })
    }

    /// The text form of Prometheus. `held_back`: this validator may not sign the next height.
    pub fn text(&self, held_back: bool) -> String {
        let turned = self.turned_ms.load(Ordering::Relaxed) / 1000;
        self.idle.set(self.start.elapsed().as_secs().saturating_sub(turned) as i64);
        self.held_back.set(held_back.into());
        let mut text = Vec::new();
        // Writing to memory cannot fail, and the encoder makes nothing but text.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the node's metrics have no text form");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn block(&self, block: &CommittedBlock, set: &ValidatorSet, heard: &BTreeSet<PublicKey>) {
        let Some(certificate) = &block.certificate else { return };
        self.views.observe(f64::from(certificate.view().get()) + 1.0);
        // Of a block that was fetched nobody could hear the votes.
        if block.finality_ms >= MAX_LIVE_MS {
            return;
        }
        let signed = certificate.signers.places(set.members().len()).unwrap_or_default();
        for (place, missed) in silent(set, &signed, heard).into_iter().enumerate() {
            self.missed.with_label_values(&[&place.to_string()]).inc_by(missed.into());
        }
    }
}

/// By place in the set, whether a validator neither signed the certificate nor was heard before it.
fn silent(set: &ValidatorSet, signed: &[usize], heard: &BTreeSet<PublicKey>) -> Vec<bool> {
    let members = set.members().iter().enumerate();
    members.map(|(place, member)| !signed.contains(&place) && !heard.contains(&member.public_key)).collect()
}

/// Counts what the engine announces, until the node ends. Whoever is in no final certificate is asked
/// for among the votes that were heard: a quorum is enough for a certificate, and the slowest of
/// four is in few of them. Followers hear no votes and count certificates only.
pub async fn follow(counts: Arc<Counts>, driver: Arc<Driver>) {
    let mut announcements = driver.subscribe();
    let mut set = validators::next_set(&driver.chain().head().tree);
    let mut heard: (Height, BTreeSet<PublicKey>) = Default::default();
    loop {
        match announcements.recv().await {
            Ok(Announcement::Consensus(ConsensusEvent::Vote { height, signer, .. })) => {
                counts.votes.inc();
                if heard.0 != height {
                    heard = (height, BTreeSet::new());
                }
                heard.1.insert(signer);
            }
            Ok(Announcement::Consensus(ConsensusEvent::Timeout { .. })) => counts.timeouts.inc(),
            Ok(Announcement::Block(block)) => {
                let nobody = BTreeSet::new();
                let votes = if heard.0 == block.header.height { &heard.1 } else { &nobody };
                if let Ok(set) = &set {
                    counts.block(&block, set, votes);
                }
                if block.header.validators_hash != block.header.next_validators_hash {
                    set = validators::next_set(&driver.chain().head().tree);
                }
            }
            Err(RecvError::Closed) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

/// Times what reaches the disk; a sync of nothing new is none.
struct TimedLog {
    log: Box<dyn Log + Send>,
    is_new: bool,
    seconds: Histogram,
}

impl Log for TimedLog {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.is_new = true;
        self.log.append(record)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        if !std::mem::take(&mut self.is_new) {
            return self.log.sync();
        }
        let _timer = self.seconds.start_timer();
        self.log.sync()
    }

    fn switch(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        self.is_new = false;
        let _timer = self.seconds.start_timer();
        self.log.switch(records)
    }

    fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }
}

struct TimedState {
    state: Box<dyn SignState + Send>,
    seconds: Histogram,
}

impl SignState for TimedState {
    fn save(&mut self, mark: SignMark) -> Result<(), StoreError> {
        let _timer = self.seconds.start_timer();
        self.state.save(mark)
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        self.state.forget()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::crypto::SecretKey;
    use chain_core::storage::memlog::MemLog;
    use chain_core::types::Validator;

    #[test]
    fn silent_is_who_is_neither_in_the_certificate_nor_was_heard() {
        let keys: BTreeSet<_> = (1..=4).map(|byte| SecretKey::from_seed(&[byte; 32]).public()).collect();
        let members = keys.into_iter().map(|public_key| Validator { public_key, weight: 1 });
        let set = ValidatorSet::new(members.collect()).unwrap();
        let third = set.get(2).unwrap().public_key;
        let heard = BTreeSet::from([third]);
        assert_eq!(silent(&set, &[0, 1], &heard), [false, false, false, true]);
    }

    #[test]
    fn only_syncs_that_bring_something_to_disk_are_timed() {
        let counts = Counts::new().unwrap();
        let mut log = counts.timed_log("consensus", Box::new(MemLog::new()));
        log.sync().unwrap();
        log.append(b"a").unwrap();
        log.append(b"b").unwrap();
        log.sync().unwrap();
        log.sync().unwrap();
        log.switch(&[]).unwrap();
        let text = counts.text(true);
        assert!(text.contains("blockchain_log_sync_seconds_count{log=\"consensus\"} 2"), "{text}");
        assert!(text.contains("blockchain_validator_held_back 1"), "{text}");
        assert!(text.contains("blockchain_seconds_since_last_step 0"), "{text}");
    }
}
