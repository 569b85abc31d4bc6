//! The doors of a node: JSON-RPC, REST and WebSocket on one port, metrics on another; and the
//! typed client. Reads and submissions go through [`backend::Backend`]; nothing here knows the
//! engine.
//!
//! ```text
//! socket → guards (server) → JSON-RPC | REST | sockets → api (one entry per method) → Backend
//!                                                        ↑ Hub ← announcements
//! ```

pub mod api;
pub mod backend;
pub mod client;
pub mod document;
pub mod errors;
mod hub;
pub mod metrics;
pub mod server;
pub mod view;

#[cfg(test)]
pub(crate) mod tests;

pub use api::Context;
pub use backend::Backend;
pub use client::Client;
pub use metrics::Metrics;
pub use server::{Limits, Running, serve, serve_ops};
