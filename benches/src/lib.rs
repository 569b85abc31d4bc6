//! What measures the chain: the yardstick, the workload, the ways to put it through (library,
//! node over RPC, several nodes), the machine's own figures, and the report. The binary `load` and the criterion
//! bench `micro` are built on it.
//!
//! Every figure is a ratio to a yardstick measured in the same run, so that it can be compared
//! between machines. Not here: what the figures should be judged by (docs/benchmarks.md).

pub mod chain;
pub mod cluster;
pub mod feed;
pub mod head;
pub mod http;
pub mod listing;
pub mod machine;
pub mod network;
pub mod node;
pub mod pipeline;
pub mod report;
pub mod rpc;
pub mod startup;
pub mod sync;
pub mod yardstick;

/// Any failure ends a measurement: a figure of half a run is no figure.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
