//! What this crate counts, in the node's one registry. Names are stable: dashboards use them.
//! No label holds an address or a peer.
//!
//! Not here: what other parts of the node count (they register in the same registry, or give
//! their text through `Backend::metrics_text`).

use chain_core::consensus::ConsensusEvent;
use chain_core::ledger::CommittedBlock;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The counters.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    last_block_ms: AtomicU64,
    blocks: IntCounter,
    transactions: IntCounter,
    rounds: IntCounter,
    peers: IntGauge,
    head: IntGauge,
    head_height: IntGauge,
    finality: Histogram,
    interval: Histogram,
    pool: IntGaugeVec,
    pool_bytes: IntGauge,
    queue_depth: IntGauge,
    behind: IntGauge,
    requests: IntCounterVec,
    durations: HistogramVec,
    rate_limited: IntCounter,
    refused: IntCounterVec,
    connections: IntGauge,
    subscribers: IntGaugeVec,
    lagged: IntCounterVec,
    lost: IntCounter,
}

fn kept<C: Collector + Clone + 'static>(registry: &Registry, collector: Result<C, Error>) -> Result<C, Error> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    kept(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, Error> {
    kept(registry, IntGauge::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    kept(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    kept(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn seconds(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

/// A block that is older at its commit was fetched, not agreed on here.
const MAX_LIVE_MS: u64 = 60_000;
const BLOCK_SECONDS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0];
const REQUEST_SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Metrics {
    /// Registers everything; the process's own figures too. Fails if a name is taken.
    pub fn new(registry: Registry) -> Result<Self, Error> {
        let r = &registry;
        r.register(Box::new(ProcessCollector::for_self()))?;
        let inner = Inner {
            last_block_ms: AtomicU64::new(0),
            blocks: counter(r, "blockchain_blocks_total", "Final blocks since the start of the process")?,
            transactions: counter(r, "blockchain_transactions_total", "Final transactions since the start")?,
            rounds: counter(r, "blockchain_consensus_rounds", "Views entered since the start")?,
            peers: gauge(r, "blockchain_network_peers", "Connected peers")?,
            head: gauge(r, "blockchain_head_height", "Height of the newest final block")?,
            head_height: gauge(r, "chain_head_height", "Height of the newest final block")?,
            finality: kept(
                r,
                Histogram::with_opts(seconds("blockchain_finality_seconds", "Timestamp to commit", BLOCK_SECONDS)),
            )?,
            interval: kept(
                r,
                Histogram::with_opts(seconds("block_interval_seconds", "Between timestamps", BLOCK_SECONDS)),
            )?,
            pool: gauges(r, "blockchain_mempool_transactions", "Pooled transactions by status", &["status"])?,
            pool_bytes: gauge(r, "blockchain_mempool_bytes", "Bytes of pooled transactions")?,
            queue_depth: gauge(r, "mempool_queue_depth", "Pooled transactions")?,
            behind: gauge(r, "blockchain_sync_lag_blocks", "Final blocks known of and not here")?,
            requests: counters(r, "rpc_requests_total", "Requests by method and code (0: none)", &["method", "code"])?,
            durations: kept(
                r,
                HistogramVec::new(
                    seconds("rpc_request_duration_seconds", "Duration by method", REQUEST_SECONDS),
                    &["method"],
                ),
            )?,
            rate_limited: counter(r, "rpc_rate_limited_total", "Requests refused by the rate limit")?,
            refused: counters(r, "rpc_refused_total", "Connections and requests refused at the door", &["reason"])?,
            connections: gauge(r, "rpc_connections", "Open connections")?,
            subscribers: gauges(r, "rpc_subscribers", "Subscribers by kind", &["kind"])?,
            lagged: counters(r, "rpc_lagged_total", "Subscribers dropped because they were too slow", &["kind"])?,
            lost: counter(r, "rpc_announcements_lost_total", "Announcements the interface read too slowly")?,
            registry,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The registry everything is in.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The page in the Prometheus text format.
    pub fn text(&self, backend: &dyn crate::backend::Backend) -> Result<String, Error> {
        self.refresh(backend);
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut page)?;
        page.extend_from_slice(backend.metrics_text().as_bytes());
        String::from_utf8(page).map_err(|error| Error::Msg(error.to_string()))
    }

    /// Reads what is a state rather than an event.
    fn refresh(&self, backend: &dyn crate::backend::Backend) {
        let (sync, pool, inner) = (backend.sync(), backend.mempool(), &self.0);
        let head = clamp(backend.head().header.height.get());
        inner.head.set(head);
        inner.head_height.set(head);
        inner.peers.set(sync.peers.into());
        inner.behind.set(clamp(sync.target.saturating_sub(sync.height.get()).get()));
        inner.pool.with_label_values(&["pending"]).set(clamp(pool.pending));
        inner.pool.with_label_values(&["queued"]).set(clamp(pool.queued));
        inner.queue_depth.set(clamp(pool.pending.saturating_add(pool.queued)));
        inner.pool_bytes.set(clamp(pool.bytes));
    }

    pub(crate) fn block(&self, block: &CommittedBlock) {
        let inner = &self.0;
        inner.blocks.inc();
        inner.transactions.inc_by(block.body.transactions().len() as u64);
        if (1..MAX_LIVE_MS).contains(&block.finality_ms) {
            inner.finality.observe(block.finality_ms as f64 / 1000.0);
        }
        let now = block.header.timestamp_ms.get();
        let before = inner.last_block_ms.swap(now, Ordering::Relaxed);
        if before > 0 {
            inner.interval.observe(now.saturating_sub(before) as f64 / 1000.0);
        }
    }

    pub(crate) fn step(&self, event: &ConsensusEvent) {
        if matches!(event, ConsensusEvent::View { .. }) {
            self.0.rounds.inc();
        }
    }

    pub(crate) fn lost(&self, announcements: u64) {
        self.0.lost.inc_by(announcements);
    }

    pub(crate) fn rate_limited(&self) {
        self.0.rate_limited.inc();
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.0.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn lagged(&self, kind: &str) {
        self.0.lagged.with_label_values(&[kind]).inc();
    }

    /// Counts a subscriber until the guard is dropped.
    pub(crate) fn subscriber(&self, kind: &str) -> Counted {
        Counted::new(self.0.subscribers.with_label_values(&[kind]))
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self) -> Counted {
        Counted::new(self.0.connections.clone())
    }

    /// Starts the clock of a request. `method` must be one of ours, never a client's text.
    pub(crate) fn request(&self, method: &'static str) -> Timer {
        Timer { metrics: self.clone(), method, start: Instant::now() }
    }
}

/// One more in a gauge for as long as it lives.
pub(crate) struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The clock of a request.
pub(crate) struct Timer {
    metrics: Metrics,
    method: &'static str,
    start: Instant,
}

impl Timer {
    /// The request is answered, with this error code if with an error.
    pub(crate) fn done(self, code: Option<i32>) {
        let inner = &self.metrics.0;
        inner.requests.with_label_values(&[self.method, &code.unwrap_or(0).to_string()]).inc();
        inner.durations.with_label_values(&[self.method]).observe(self.start.elapsed().as_secs_f64());
    }
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
