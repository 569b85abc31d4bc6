//! What payers and providers say to each other off the chain, as libraries that need no node:
//!
//! * [`acks`]: acknowledgements, kept by the provider until they are redeemed, and counted by the payer who signs them.
//! * [`receipts`]: the next receipt of a leg, and whether receipts follow each other.
//! * [`login`]: who may use a job at a provider's host.
//! * [`legacy`]: JSON receipts of version 1, read only.
//!
//! Time is an argument, and so is randomness; only [`acks`] touches files.
//!
//! Not here: what any of it is worth on the chain (chain-core), talking to a node (chain-rpc), people (chain-cli).

pub mod acks;
mod book;
pub mod legacy;
pub mod login;
pub mod receipts;

pub use book::{Held, StoreError};
