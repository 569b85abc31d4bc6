//! Receipts of one leg: the next one, and whether given ones follow each other.
//!
//! A leg's [`Head`] is what the chain keeps of its receipts: the last number, the last hash, the units. Each receipt
//! names the hash before it, so a head says everything about what may follow. Files are JSON, one receipt each.
//!
//! Not here: what the chain asks for besides (who submits, rates, windows, deposit: chain-core's receipt family),
//! acknowledgements (`acks`).

use chain_core::{
    codec::Text,
    crypto::Hash,
    limits::MAX_CONTENT_REF_BYTES,
    state::market::job::Job,
    tx::{
        CheckContext, Rules,
        receipt::{Action, RECEIPT_VERSION_KNOWN, Receipt, WorkOutcome},
    },
    types::{Ack, Address, ChainId, JobId, ModelId, Rejected, TimestampMs, UnitKind, Units},
};

use crate::acks::{AckError, LegTerms, check};

/// Longest JSON text of a receipt, in bytes; the longest receipt has less than half of it.
pub const MAX_RECEIPT_JSON_BYTES: usize = 4 * 1024;

/// Where a leg's receipts have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of which job.
    pub job: JobId,
    /// In which leg of it.
    pub leg: u32,
    /// What is metered.
    pub unit_kind: UnitKind,
    /// What works.
    pub model: ModelId,
    /// The number of the last receipt; 0: none.
    pub seq: u64,
    /// Its hash; zero: none.
    pub hash: Hash,
    /// All units so far, also those only acknowledged.
    pub units: Units,
}

/// Some work that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Units of this work alone; of work that failed 0.
    pub units: Units,
    /// Hash of what went in.
    pub input_hash: Hash,
    /// Hash of what came out.
    pub output_hash: Hash,
    /// When it was started, by the provider's clock.
    pub started: TimestampMs,
    /// When it was finished.
    pub finished: TimestampMs,
    /// How it went.
    pub outcome: WorkOutcome,
    /// Where more about it is kept.
    pub content_ref: Text<MAX_CONTENT_REF_BYTES>,
}

/// Why a receipt does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The text is no receipt.
    #[error("not a receipt: {0}")]
    Json(#[from] serde_json::Error),
    /// The text is longer than any receipt.
    #[error("{got} bytes are too long for a receipt, at most {MAX_RECEIPT_JSON_BYTES}")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// A rule of the chain that needs no state refuses it.
    #[error("{0}")]
    Form(#[from] Rejected),
    /// It is not the next of its leg.
    #[error("the receipt's {what} is {got}, expected {expected}")]
    Place {
        /// What is not as expected.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What it says.
        got: String,
    },
    /// Units beyond 64 bits.
    #[error("the units do not fit into 64 bits")]
    TooManyUnits,
    /// The acknowledgement beside it.
    #[error(transparent)]
    Ack(#[from] AckError),
}

impl Head {
    /// Of a leg without receipts.
    pub fn new(job: JobId, leg: u32, unit_kind: UnitKind, model: ModelId) -> Self {
        Self { job, leg, unit_kind, model, seq: 0, hash: Hash::ZERO, units: Units::ZERO }
    }

    /// Of the leg a job is in, as the chain keeps it.
    pub fn of_job(id: JobId, job: &Job) -> Self {
        let new = Self::new(id, job.leg, job.unit_kind, job.model);
        Self { seq: job.meter.seq, hash: job.meter.head, units: job.meter.used, ..new }
    }

    /// What a receipt leaves behind. Whether it was itself in its place is not asked.
    pub fn after(chain: &ChainId, receipt: &Receipt) -> Self {
        let Receipt { job, leg, unit_kind, model, seq, cumulative_units, .. } = *receipt;
        Self { job, leg, unit_kind, model, seq, hash: receipt.hash(chain), units: cumulative_units }
    }

    /// The receipt of more work. The head stays where it is: [`Head::follow`] moves it on, once the chain has the
    /// receipt or will have it.
    ///
    /// # Errors
    /// [`ReceiptError::Form`], [`ReceiptError::Place`] (units of work that failed), [`ReceiptError::TooManyUnits`].
    pub fn next(&self, chain: &ChainId, work: Work) -> Result<Receipt, ReceiptError> {
        let sum = self.units.get().checked_add(work.units.get()).ok_or(ReceiptError::TooManyUnits)?;
        let Work { input_hash, output_hash, started, finished, outcome, content_ref, .. } = work;
        let receipt = Receipt {
            version: RECEIPT_VERSION_KNOWN,
            job: self.job,
            leg: self.leg,
            seq: self.seq.saturating_add(1),
            previous: self.hash,
            cumulative_units: Units::new(sum),
            unit_kind: self.unit_kind,
            model: self.model,
            input_hash,
            output_hash,
            started,
            finished,
            outcome,
            content_ref,
        };
        { *self }.follow(chain, &receipt)?;
        Ok(receipt)
    }

    /// Checks that a receipt is the next one of the leg, and moves on to it. Answers its hash. After an error the head
    /// is where it was.
    ///
    /// # Errors
    /// [`ReceiptError::Form`], [`ReceiptError::Place`].
    pub fn follow(&mut self, chain: &ChainId, receipt: &Receipt) -> Result<Hash, ReceiptError> {
        check_form(chain, receipt)?;
        let Self { job, leg, unit_kind, model, seq, hash, units } = *self;
        expect("job", job, receipt.job)?;
        expect("leg", leg, receipt.leg)?;
        expect("model", model, receipt.model)?;
        expect("kind of units", unit_kind, receipt.unit_kind)?;
        let next = seq.checked_add(1).ok_or(ReceiptError::TooManyUnits)?;
        expect("number", next, receipt.seq)?;
        expect("previous receipt", hash, receipt.previous)?;
        let got = receipt.cumulative_units;
        if matches!(receipt.outcome, WorkOutcome::Failed { .. }) {
            expect("count of units after work that failed", units, got)?;
        } else if got < units {
            let (expected, got) = (format!("at least {units}"), got.to_string());
            return Err(ReceiptError::Place { what: "count of units", expected, got });
        }
        *self = Self::after(chain, receipt);
        Ok(self.hash)
    }
}

/// Checks what needs no state: version, times.
///
/// # Errors
/// [`ReceiptError::Form`], with the chain's own refusal.
pub fn check_form(chain: &ChainId, receipt: &Receipt) -> Result<(), ReceiptError> {
    // The rules look at neither sender nor nonce.
    let context = CheckContext { chain: *chain, sender: Address::from_bytes([0; 32]), nonce: 0 };
    Ok(Action::ReceiptSubmit { receipt: receipt.clone(), ack: None }.check(&context)?)
}

/// Checks that an acknowledgement is of the leg of a receipt, and holds. Answers how many units of the receipt it does
/// not cover: those are a claim.
///
/// # Errors
/// [`ReceiptError::Place`]: work that failed brings none. [`ReceiptError::Ack`].
pub fn check_ack(chain: &ChainId, receipt: &Receipt, terms: &LegTerms, ack: &Ack) -> Result<Units, ReceiptError> {
    expect("job", terms.job, receipt.job)?;
    expect("leg", terms.leg, receipt.leg)?;
    check(terms, chain, ack)?;
    if matches!(receipt.outcome, WorkOutcome::Failed { .. }) {
        let (expected, got) = ("without an acknowledgement".into(), "failed, with one".into());
        return Err(ReceiptError::Place { what: "work", expected, got });
    }
    Ok(receipt.cumulative_units.saturating_sub(ack.acknowledged.cumulative_units.get()))
}

/// Reads the JSON of a receipt.
///
/// # Errors
/// [`ReceiptError::TooLong`], [`ReceiptError::Json`]: also for a field that is not known.
pub fn from_json(text: &[u8]) -> Result<Receipt, ReceiptError> {
    if text.len() > MAX_RECEIPT_JSON_BYTES {
        return Err(ReceiptError::TooLong { got: text.len() });
    }
    Ok(serde_json::from_slice(text)?)
}

/// The JSON of a receipt, with a line end: what [`from_json`] and `chain receipt submit` read.
///
/// # Errors
/// None that a receipt can cause.
pub fn to_json(receipt: &Receipt) -> Result<String, ReceiptError> {
    Ok(serde_json::to_string_pretty(receipt)? + "\n")
}

fn expect<T: PartialEq + ToString>(what: &'static str, expected: T, got: T) -> Result<(), ReceiptError> {
    if expected == got {
        return Ok(());
    }
    Err(ReceiptError::Place { what, expected: expected.to_string(), got: got.to_string() })
}

#[cfg(test)]
#[path = "receipts_tests.rs"]
mod tests;
