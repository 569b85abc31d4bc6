//! Why the process ends: one error type, one exit code each.

use chain_core::Fault;
use chain_core::ledger::{OpenError, SnapshotError};
use chain_core::storage::{JournalError, StoreError};

/// Why the node can't start or go on. The number is the process' exit code.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// 1: the node that was asked is not well.
    #[error("{0}")]
    Unhealthy(String),
    /// 2: the configuration or the command line is wrong.
    #[error("{0}")]
    Configuration(String),
    /// 3: the directory or the genesis belongs to another chain.
    #[error("{0}")]
    OtherChain(String),
    /// 4: the database is damaged, in use, or can't be read or written.
    #[error("{0}")]
    Database(String),
    /// 5: the validator key is missing, unsafe or guarded.
    #[error("{0}")]
    Key(String),
    /// 6: the disk is full.
    #[error("{0}")]
    Disk(String),
}

impl Exit {
    /// The process' exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Unhealthy(_) => 1,
            Self::Configuration(_) => 2,
            Self::OtherChain(_) => 3,
            Self::Database(_) => 4,
            Self::Key(_) => 5,
            Self::Disk(_) => 6,
        }
    }
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::Disk(format!("{error}. Free some space and start again")),
            StoreError::Locked { .. } => {
                Self::Database(format!("{error}. Stop the other node, or choose another --data-dir"))
            }
            StoreError::Corrupt(_) => {
                Self::Database(format!("{error}. Restore a backup of the data directory, or remove it and sync anew"))
            }
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<JournalError> for Exit {
    fn from(error: JournalError) -> Self {
        if error.is_full() {
            return Self::Disk(format!("{error}. Free some space and start again"));
        }
        Self::Database(error.to_string())
    }
}

impl From<OpenError> for Exit {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OtherChain { .. } => {
                Self::OtherChain(format!("{error}. Use another --data-dir, or the genesis of that chain"))
            }
            OpenError::Outdated(fault) => fault.into(),
            OpenError::Damaged(_) => {
                Self::Database(format!("{error}. Restore a backup of the data directory, or remove it and sync anew"))
            }
            OpenError::Unfinished(_) => {
                Self::Database(format!("{error}. Run chain-node db restore again, or remove the database"))
            }
            OpenError::Genesis(_) => Self::Configuration(error.to_string()),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<SnapshotError> for Exit {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Fault(fault) => fault.into(),
            SnapshotError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::Disk(format!("{error}. Free some space and start again"))
            }
            SnapshotError::OtherChain { .. } => Self::OtherChain(error.to_string()),
            SnapshotError::Genesis(_) => Self::Configuration(error.to_string()),
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        match fault.is_disk_full() {
            true => Self::Disk(format!("{fault}. Free some space and start again")),
            false => Self::Database(fault.to_string()),
        }
    }
}
