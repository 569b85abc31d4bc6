//! The noun groups of the command line, one file each: arguments, and what is printed.

pub mod account;
pub mod anchor;
pub mod asset;
pub mod authority;
pub mod balance;
pub mod block;
pub mod delegate;
pub mod earnings;
pub mod evidence;
pub mod history;
pub mod host;
pub mod job;
pub mod keys;
pub mod market;
pub mod model;
pub mod offer;
pub mod proof;
pub mod provider;
pub mod receipt;
pub mod stake;
pub mod status;
pub mod store;
pub mod supply;
pub mod transfer;
pub mod tx;
pub mod watch;
