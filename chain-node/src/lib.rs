//! The node: configuration, the driver around the engine, the data directory, devnets, testnets. The
//! binary `chain-node` is a page on top.
//!
//! Not here: any rule of the chain (chain-core), JSON (chain-rpc), the form of a genesis (genesis).

mod answers;
pub mod backend;
pub mod catching_up;
pub mod cli;
pub mod config;
pub mod counts;
pub mod data_dir;
pub mod db;
pub mod devnet;
pub mod driver;
mod evidence;
pub mod exit;
mod locks;
pub mod logging;
mod meter;
pub mod net;
pub mod p2p;
pub mod remote;
pub mod run;
pub mod snapshots;
mod telling;
pub mod testnet;
