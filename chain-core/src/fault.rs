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
    kind: Kind,
}

/// What a person has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Look.
    Other,
    /// Make space on the disk.
    DiskFull,
    /// Install newer software.
    Outdated,
}

impl Fault {
    /// Names a fault.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: Kind::Other }
    }

    /// The disk is full: nothing is damaged, the node can go on once there is space.
    pub fn disk_full(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: Kind::DiskFull }
    }

    /// The chain has gone over to rules this software does not know: nothing is damaged, a newer one
    /// goes on from here.
    pub fn outdated(needed: u32, known: u32) -> Self {
        let what = format!(
            "the chain follows version {needed} of the rules from the next block on; this software knows up to \
             version {known}: install a newer one and start again"
        );
        Self { what, kind: Kind::Outdated }
    }

    /// Whether all that is missing is space on the disk.
    pub fn is_disk_full(&self) -> bool {
        self.kind == Kind::DiskFull
    }

    /// Whether all that is missing is newer software.
    pub fn is_outdated(&self) -> bool {
        self.kind == Kind::Outdated
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
