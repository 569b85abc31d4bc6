//! A fault of our own: damaged data, a broken disk, a rule of ours that does not hold. The node
//! stops loudly instead of going on wrongly.
//!
//! Not here: what a sender did wrong (`types::Rejected`).

use crate::types::Rejected;

/// Why the node must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    what: String,
    disk_full: bool,
}

impl Fault {
    /// Names a fault.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), disk_full: false }
    }

    /// The disk is full: nothing is damaged, the node can go on once there is space.
    pub fn disk_full(what: impl Into<String>) -> Self {
        Self { what: what.into(), disk_full: true }
    }

    /// Whether all that is missing is space on the disk.
    pub fn is_disk_full(&self) -> bool {
        self.disk_full
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
