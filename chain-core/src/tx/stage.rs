//! From bytes to `Formed` to `Checked`: progress is a type. Both can only be made here. Whoever
//! holds a `Formed` knows that its form is right; whoever holds a `Checked` knows besides that
//! every signature verifies against its carried keys.
//!
//! Not here: whether the carried keys are the account's, nonce, balance: that depends on the
//! state and is judged at admission (`mempool`) and again in the block (`execute`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::context::CheckContext;
use super::envelope::{Authorisation, Signed, TRANSACTION_VERSION, Transaction};
use super::rejections::*;
use crate::codec::{self, DecodeError};
use crate::crypto::{PublicKey, Signature, digest, verify_many};
use crate::limits::MAX_TX_BYTES;
use crate::types::{ChainId, Rejected, TxId, WireId};
use std::sync::Arc;

/// Weight of any transaction.
const BASE_WEIGHT: u64 = 100;
/// Weight of one signature: about what a hundred hashes cost.
const SIGNATURE_WEIGHT: u64 = 1_000;

/// A transaction whose form and signatures are right.
#[derive(Clone, Debug)]
pub struct Checked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    signed: Signed,
    bytes: Vec<u8>,
    id: TxId,
    wire_id: WireId,
    weight: u64,
}

impl Checked {
    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.0.signed.transaction
    }

    /// The transaction with its authorisations.
    pub fn signed(&self) -> &Signed {
        &self.0.signed
    }

    /// The complete signed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Names the intent.
    pub fn id(&self) -> TxId {
        self.0.id
    }

    /// Names exactly these bytes.
    pub fn wire_id(&self) -> WireId {
        self.0.wire_id
    }

    /// What it costs a node: BASE + bytes + SIG · signatures + Σ action weights.
    pub fn weight(&self) -> u64 {
        self.0.weight
    }
}

/// Checks one transaction.
pub fn check_one(chain: &ChainId, bytes: &[u8]) -> Result<Checked, Rejected> {
    let mut results = check_many(chain, &[bytes]);
    results.pop().unwrap_or_else(|| Err(MALFORMED.plain()))
}

/// Checks transactions, all signatures in one batch. Answers in the order of the inputs.
pub fn check_many<B: AsRef<[u8]>>(chain: &ChainId, inputs: &[B]) -> Vec<Result<Checked, Rejected>> {
    verify(inputs.iter().map(|bytes| Formed::read(chain, bytes.as_ref())).collect())
}

/// Verifies the signatures of those that came so far, all in one batch; the others keep their
/// verdict. Answers in the order of the inputs.
pub fn verify(formed: Vec<Result<Formed, Rejected>>) -> Vec<Result<Checked, Rejected>> {
    let mut items: Vec<(PublicKey, &[u8], Signature)> = Vec::with_capacity(formed.len());
    for formed in formed.iter().flatten() {
        let own = formed.inner.signed.signatures();
        items.extend(own.map(|(key, signature)| (key, formed.message.as_slice(), signature)));
        items.extend(formed.inside.iter().map(|(key, message, signature)| (*key, message.as_slice(), *signature)));
    }
    let mut verdicts = verify_many(&items).into_iter();
    // Every verdict is taken, so that the next transaction finds its own.
    let mut all_good = |count: usize| verdicts.by_ref().take(count).filter(Result::is_ok).count() == count;
    let mut settle = |formed: Formed| {
        let (own, inside) = (all_good(formed.inner.signed.signatures().count()), all_good(formed.inside.len()));
        match (own, inside) {
            (true, true) => Ok(Checked(Arc::new(formed.inner))),
            (true, false) => Err(BAD_PROOF.plain()),
            (false, _) => Err(BAD_SIGNATURE.plain()),
        }
    };
    formed.into_iter().map(|formed| settle(formed?)).collect()
}

/// A transaction whose form is right, with what its signatures are over.
#[derive(Debug)]
pub struct Formed {
    inner: Inner,
    /// What the authorisations sign.
    message: Vec<u8>,
    /// The signatures inside the actions.
    inside: Vec<(PublicKey, Vec<u8>, Signature)>,
}

impl Formed {
    /// Reads complete signed bytes and judges everything but the signatures.
    pub fn read(chain: &ChainId, bytes: &[u8]) -> Result<Self, Rejected> {
        form(chain, bytes)
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.inner.signed.transaction
    }

    /// Names the intent.
    pub fn id(&self) -> TxId {
        self.inner.id
    }

    /// Names exactly these bytes.
    pub fn wire_id(&self) -> WireId {
        self.inner.wire_id
    }

    /// As `Checked::weight`.
    pub fn weight(&self) -> u64 {
        self.inner.weight
    }

    /// Takes a quorum's word for the signatures: only for transactions of a block whose finalization
    /// was verified.
    pub(crate) fn vouched_for(self) -> Checked {
        Checked(Arc::new(self.inner))
    }
}

fn form(chain: &ChainId, bytes: &[u8]) -> Result<Formed, Rejected> {
    let signed: Signed = codec::decode(bytes, MAX_TX_BYTES).map_err(|e| explain(e, bytes))?;
    check_envelope(&signed, chain)?;
    let transaction = &signed.transaction;
    let context = CheckContext { chain: *chain, sender: transaction.sender, nonce: transaction.nonce };
    let (mut inside, mut actions) = (Vec::new(), 0u64);
    for action in transaction.actions.iter() {
        let rules = action.rules();
        rules.check(&context)?;
        inside.extend(rules.signatures(&context));
        actions = actions.saturating_add(rules.weight());
    }
    let signatures = signed.signatures().count().saturating_add(inside.len()) as u64;
    let weight = BASE_WEIGHT
        .saturating_add(bytes.len() as u64)
        .saturating_add(SIGNATURE_WEIGHT.saturating_mul(signatures))
        .saturating_add(actions);
    let message = transaction.signing_bytes(chain);
    // The id is the hash of just these bytes; `Transaction::id` would frame and encode them again.
    let (id, wire_id) = (TxId(digest(&message)), Signed::wire_id(bytes, chain));
    Ok(Formed { inner: Inner { signed, bytes: bytes.to_vec(), id, wire_id, weight }, message, inside })
}

fn explain(error: DecodeError, bytes: &[u8]) -> Rejected {
    match (error, bytes.first()) {
        (DecodeError::TooLong { max, got }, _) if bytes.len() > MAX_TX_BYTES => {
            TOO_LONG.because(format_args!("at most {max} bytes"), got)
        }
        (_, Some(&version)) if version != TRANSACTION_VERSION => UNKNOWN_VERSION.because(TRANSACTION_VERSION, version),
        (DecodeError::UnknownAction(number), _) => {
            UNKNOWN_ACTION.because("an action of GET /rpc/schema", format_args!("{number:#06x}"))
        }
        (other, _) => MALFORMED.because("a canonical transaction", other),
    }
}

fn check_envelope(signed: &Signed, chain: &ChainId) -> Result<(), Rejected> {
    let transaction = &signed.transaction;
    if transaction.version != TRANSACTION_VERSION {
        return Err(UNKNOWN_VERSION.because(TRANSACTION_VERSION, transaction.version));
    }
    if transaction.chain_tag != chain.tag() {
        let hex = |tag: [u8; 4]| format!("0x{}", hex::encode(tag));
        return Err(WRONG_CHAIN.because(hex(chain.tag()), hex(transaction.chain_tag)));
    }
    if transaction.actions.is_empty() {
        return Err(ACTION_COUNT.because("1 to 16", 0));
    }
    if transaction.fee_payer == Some(transaction.sender) {
        return Err(FEE_PAYER_IS_SENDER.plain());
    }
    if transaction.fee_payer.is_some() != signed.fee_payer_authorisation.is_some() {
        return Err(AUTHORISATION_MISSING.plain());
    }
    if [transaction.sender, transaction.payer()].iter().any(|address| address.is_module()) {
        return Err(MODULE_ACCOUNT.plain());
    }
    for authorisation in std::iter::once(&signed.authorisation).chain(&signed.fee_payer_authorisation) {
        if matches!(authorisation, Authorisation::MultiKey(multi) if !multi.is_well_formed()) {
            return Err(MULTI_KEY_FORM.plain());
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
