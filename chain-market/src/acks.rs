//! Acknowledgements of both sides: what a provider holds and has not redeemed, what a payer has signed.
//!
//! ```text
//! payer: Acknowledger ──Ack──▶ provider: AckStore ──newest, with a receipt──▶ chain ──what was paid──▶ AckStore
//! ```
//!
//! Units are cumulative in a leg: each acknowledgement says all of them, and replaces all before it. The provider
//! works at most a quantum beyond what it holds ([`AckStore::covered`]), the payer acknowledges at most a quantum
//! beyond what it received ([`Acknowledger::acknowledge`]): so neither can lose more.
//!
//! Not here: files (`book`), how acknowledgements are sent, what the chain pays for them (chain-core).

use std::path::Path;

use chain_core::{
    crypto::{PublicKey, SecretKey, SignatureError},
    types::{Ack, Acknowledged, Address, ChainId, JobId, Units},
};

use crate::book::{Book, Held, StoreError};

/// What the chain says of the leg a job is in, and both sides have to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegTerms {
    /// Which job.
    pub job: JobId,
    /// Which leg of it.
    pub leg: u32,
    /// Who works in it.
    pub provider: Address,
    /// Whose acknowledgements count.
    pub ack_key: PublicKey,
    /// The most units of work that are not acknowledged, and of acknowledgement that are not worked for.
    pub quantum: Units,
}

/// Why an acknowledgement is not taken, or not given.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// It is for something else.
    #[error("the acknowledgement is for {what} {got}, expected {expected}")]
    Other {
        /// What is not as expected: job, leg, provider or key.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What it says.
        got: String,
    },
    /// It was not signed with its key for this chain: forged, altered or for another chain.
    #[error("the acknowledgement does not hold on this chain: {0}")]
    Signature(#[from] SignatureError),
    /// It says no more than the one that is held.
    #[error("{got} units are acknowledged, and {held} were before")]
    NotNewer {
        /// Units held.
        held: Units,
        /// Units it says.
        got: Units,
    },
    /// It would say less than what was signed before.
    #[error("{signed} units are acknowledged already, {meant} would be going back")]
    GoesBack {
        /// Units signed.
        signed: Units,
        /// Units meant.
        meant: Units,
    },
    /// It would say more than a quantum beyond what came.
    #[error("{meant} units would be acknowledged, at most {most} are for what came")]
    TooFar {
        /// The most units.
        most: Units,
        /// Units meant.
        meant: Units,
    },
    /// Nothing is held of this leg.
    #[error("no acknowledgement of job {job}, leg {leg} is held")]
    None {
        /// Which job.
        job: JobId,
        /// Which leg.
        leg: u32,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The newest acknowledgements a provider has received, on its disk.
#[derive(Debug)]
pub struct AckStore(Book);

/// What a payer has acknowledged, on its disk: the only place that signs.
#[derive(Debug)]
pub struct Acknowledger(Book);

/// What a payer means to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// All units of the leg that came, as the payer counts them.
    pub received: Units,
    /// All units of the leg that shall be acknowledged: in general the same, at most a quantum more.
    pub acknowledged: Units,
}

impl AckStore {
    /// Opens the store in a directory; one process at a time.
    ///
    /// # Errors
    /// The directory can't be used, is of another chain or is used by another process, or a file in it is damaged
    /// (which a kill or a power cut does not do).
    pub fn open(dir: &Path, chain: ChainId) -> Result<Self, StoreError> {
        Book::open(dir, chain).map(Self)
    }

    /// Takes an acknowledgement that is newer than the one held. It is on the disk when this returns; only then may
    /// more work be done for it. Answers its units.
    ///
    /// # Errors
    /// [`AckError::Other`], [`AckError::Signature`] and [`AckError::NotNewer`] are the sender's problem and change
    /// nothing; after [`AckError::Store`] the store has to be opened again.
    pub fn receive(&mut self, terms: &LegTerms, ack: &Ack) -> Result<Units, AckError> {
        check(terms, self.0.chain(), ack)?;
        let (got, before) = (ack.acknowledged.cumulative_units, self.held(terms));
        // None at all acknowledges 0 units, so that one of 0 is not newer.
        let held = before.map(Held::units).unwrap_or_default();
        if got <= held {
            return Err(AckError::NotNewer { held, got });
        }
        let paid = before.map(|held| held.paid).unwrap_or_default();
        self.0.put(Held { chain: *self.0.chain(), ack: *ack, paid })?;
        Ok(got)
    }

    /// The newest of a leg.
    pub fn held(&self, terms: &LegTerms) -> Option<&Held> {
        self.0.get((terms.job, terms.leg))
    }

    /// Up to how many units of a leg work may be done: a quantum more than what is acknowledged.
    pub fn covered(&self, terms: &LegTerms) -> Units {
        let held = self.held(terms).map(Held::units).unwrap_or_default();
        held.saturating_add(terms.quantum.get())
    }

    /// Notes how many units of a leg the chain has paid for. It never becomes less.
    ///
    /// # Errors
    /// [`AckError::None`] if nothing is held of it, [`AckError::Store`].
    pub fn paid(&mut self, job: JobId, leg: u32, units: Units) -> Result<(), AckError> {
        let held = *self.0.get((job, leg)).ok_or(AckError::None { job, leg })?;
        if units > held.paid {
            self.0.put(Held { paid: units, ..held })?;
        }
        Ok(())
    }

    /// Those that say more than is known to be paid, by job and leg. One of more units than the deposit pays for stays
    /// here until its job is settled: the chain pays only what there is.
    pub fn unredeemed(&self) -> impl Iterator<Item = &Held> {
        self.0.all().filter(|held| held.units() > held.paid)
    }

    /// Forgets a job that is settled, with all its legs. Answers how many acknowledgements those were.
    ///
    /// # Errors
    /// The disk; then the store has to be opened again.
    pub fn settled(&mut self, job: JobId) -> Result<usize, StoreError> {
        forget(&mut self.0, job)
    }
}

impl Acknowledger {
    /// Opens the memory in a directory; one process at a time. Whoever signs with one key in two directories has two
    /// memories: then only what each of them says is bounded.
    ///
    /// # Errors
    /// As [`AckStore::open`].
    pub fn open(dir: &Path, chain: ChainId) -> Result<Self, StoreError> {
        Book::open(dir, chain).map(Self)
    }

    /// Acknowledges work. What is said is on the disk before the signature is given out. Saying the same again gives
    /// the same acknowledgement again.
    ///
    /// # Errors
    /// [`AckError::Other`]: not the leg's key, or another provider than before. [`AckError::GoesBack`],
    /// [`AckError::TooFar`]: nothing is signed. After [`AckError::Store`] the memory has to be opened again.
    pub fn acknowledge(&mut self, terms: &LegTerms, said: Delivery, key: &SecretKey) -> Result<Ack, AckError> {
        expect("the key", terms.ack_key, key.public())?;
        let before = self.0.get((terms.job, terms.leg)).copied();
        if let Some(before) = before {
            expect("the provider", before.ack.acknowledged.provider, terms.provider)?;
        }
        let (meant, most) = (said.acknowledged, said.received.saturating_add(terms.quantum.get()));
        let signed = before.as_ref().map(Held::units).unwrap_or_default();
        if meant < signed {
            return Err(AckError::GoesBack { signed, meant });
        }
        if meant > most {
            return Err(AckError::TooFar { most, meant });
        }
        let LegTerms { job, leg, provider, .. } = *terms;
        let ack = Acknowledged { job, leg, provider, cumulative_units: meant }.sign(self.0.chain(), key);
        let held = Held { chain: *self.0.chain(), ack, paid: Units::ZERO };
        if before != Some(held) {
            self.0.put(held)?;
        }
        Ok(ack)
    }

    /// The last acknowledgement of a leg.
    pub fn last(&self, job: JobId, leg: u32) -> Option<&Ack> {
        self.0.get((job, leg)).map(|held| &held.ack)
    }

    /// Forgets a job that is settled, with all its legs. Answers how many acknowledgements those were.
    ///
    /// # Errors
    /// The disk; then the memory has to be opened again.
    pub fn settled(&mut self, job: JobId) -> Result<usize, StoreError> {
        forget(&mut self.0, job)
    }
}

/// Whether an acknowledgement is what the chain would take for this leg, apart from what was paid before.
///
/// # Errors
/// [`AckError::Other`], [`AckError::Signature`].
pub fn check(terms: &LegTerms, chain: &ChainId, ack: &Ack) -> Result<(), AckError> {
    let Acknowledged { job, leg, provider, .. } = ack.acknowledged;
    expect("the job", terms.job, job)?;
    expect("the leg", terms.leg, leg)?;
    expect("the provider", terms.provider, provider)?;
    expect("the key", terms.ack_key, ack.key)?;
    Ok(ack.verify(chain)?)
}

fn expect<T: PartialEq + ToString>(what: &'static str, expected: T, got: T) -> Result<(), AckError> {
    if expected == got {
        return Ok(());
    }
    Err(AckError::Other { what, expected: expected.to_string(), got: got.to_string() })
}

fn forget(book: &mut Book, job: JobId) -> Result<usize, StoreError> {
    let legs: Vec<_> = book.all().map(Held::leg).filter(|(of, _)| *of == job).collect();
    legs.iter().try_for_each(|leg| book.remove(*leg))?;
    Ok(legs.len())
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
