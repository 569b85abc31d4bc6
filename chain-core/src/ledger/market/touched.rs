//! What a block touched of the market, by its events.

use super::entries::{RECEIPT_HASH, key, receipt_key};
use crate::ledger::committed::CommittedBlock;
use crate::ledger::keys;
use crate::tx::{Event, Listed, ListedReceipt};
use crate::types::{Address, JobId};
use std::collections::BTreeSet;

/// Rows to look at again, and receipts.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub jobs: BTreeSet<JobId>,
    pub providers: BTreeSet<Address>,
    /// Keys and values of the entries of its receipts.
    pub receipts: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Touched {
    pub fn add(&mut self, block: &CommittedBlock) {
        for (index, events) in (0u32..).zip(&block.results.events) {
            let place = keys::place(block.header.height, index);
            for event in events {
                self.add_event(event, &place);
            }
        }
    }

    fn add_event(&mut self, event: &Event, place: &[u8]) {
        let Listed { job, provider, receipt } = event.listed();
        self.jobs.extend(job);
        self.providers.extend(provider);
        if let Some(ListedReceipt { hash, job, leg, seq }) = receipt {
            let own = receipt_key(job, leg, seq);
            let named = own.get(1..).unwrap_or_default().to_vec();
            self.receipts.push((own, place.to_vec()));
            self.receipts.push((key(RECEIPT_HASH, &[hash.as_bytes()]), named));
        }
    }

    pub fn len(&self) -> usize {
        self.jobs.len().saturating_add(self.providers.len()).saturating_add(self.receipts.len())
    }
}

/// The keys of the entries of a block's receipts.
pub(in crate::ledger) fn receipt_keys(block: &CommittedBlock) -> Vec<Vec<u8>> {
    let mut touched = Touched::default();
    touched.add(block);
    touched.receipts.into_iter().map(|(key, _)| key).collect()
}
