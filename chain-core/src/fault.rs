//! A fault of our own: damaged data, a broken disk, a rule of ours that does not hold. The node
//! stops loudly instead of going on wrongly.
//!
//! Not here: what a sender did wrong (`types::Rejected`).

use crate::types::Rejected;

/// Why the node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    /// Names a fault.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// How something that works on the state can fail: by the sender's doing or by ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The sender's problem.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// Our problem.
    #[error(transparent)]
    Fault(#[from] Fault),
}
