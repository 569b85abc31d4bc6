//! The whole: nodes as processes, faults, the house rules. One binary, so that RocksDB is linked once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

mod acknowledged;
mod authority;
mod cluster;
mod devnets;
mod docs;
mod faults;
mod feeds;
mod full;
mod guards;
mod house;
mod kills;
mod life;
mod lines;
mod malformed;
mod market;
mod neighbours;
mod simulation;
mod snapshot_sync;
mod snapshots;
mod staking;
mod startup;
mod storms;
mod strangers;
mod sync;
mod traffic;
