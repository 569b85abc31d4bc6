//! A log in memory, for tests and the simulator. Loses what was not synced when told to crash.
//!
//! Not here: the log on files (`journal`).

use super::journal::{JournalError, Log, check_size};

/// Records in memory.
#[derive(Clone, Debug, Default)]
pub struct MemLog {
    records: Vec<Vec<u8>>,
    synced: usize,
    bytes: u64,
}

impl MemLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: every record since the last sync is gone.
    pub fn crash(&mut self) {
        self.crash_keeping(0);
    }

    /// A power cut where the first `kept` of the unsynced records had reached the disk.
    pub fn crash_keeping(&mut self, kept: usize) {
        self.records.truncate(self.synced.saturating_add(kept));
        self.settle();
    }

    /// The records, oldest first, with those not yet synced.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(Vec::as_slice)
    }

    /// Number of records that a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.records.len() - self.synced
    }

    fn settle(&mut self) {
        self.synced = self.records.len();
        self.bytes = self.records.iter().map(|record| record.len() as u64).sum();
    }
}

impl Log for MemLog {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        check_size(record)?;
        self.bytes += record.len() as u64;
        self.records.push(record.to_vec());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.synced = self.records.len();
        Ok(())
    }

    fn switch(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        records.iter().try_for_each(|record| check_size(record))?;
        self.records = records.iter().map(|record| record.to_vec()).collect();
        self.settle();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.bytes
    }
}
