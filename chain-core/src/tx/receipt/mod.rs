//! Receipts: the provider's word for work it has done, which becomes units of a job.
//!
//! | action | bytes after `0b` | fields |
//! |---|---|---|
//! | `receipt_submit` | `01` | receipt · ack option (job u64 · leg u32 · provider 32 · cumulative_units u64 · key 32 · signature 64) |
//!
//! A receipt is version u8 (2) · job u64 · leg u32 · seq u64 · previous 32 · cumulative_units u64 · unit_kind u8 ·
//! model 32 · input_hash 32 · output_hash 32 · started u64 · finished u64 · outcome (`01`, or `02` and u16) ·
//! content_ref text ≤ 128. Its hash is `hash(ait/receipt/2, chain id, receipt)`.
//!
//! Rules:
//! 1. Only version 2 is known. Times are ms since 1970, and finished is not before started.
//! 2. The job's provider, or its operator as the chain knows it now, submits it: the key is looked up, never taken
//!    from the receipt.
//! 3. Job, leg, model and kind of units are the job's.
//! 4. seq is one more than that of the last receipt of the leg, the first is 1; previous is the hash of the last
//!    one, for the first 32 zero bytes. So none is replayed, left out, reordered or used for another job.
//! 5. Units never shrink, and are no more than the deposit pays for. Work that failed leaves them as they are, brings
//!    no acknowledgement, is no activity and never pays.
//! 6. An acknowledgement is signed with the job's key for this chain, job, leg and provider, and says more than was
//!    paid. What it says, or all the deposit pays for if that is less, is paid at once; the receipt counts at least
//!    so many units. It is redeemed also while the market is paused and while the job closes, and is activity as long
//!    as the job is not over.
//! 7. Units beyond what was used and is acknowledged now are a *claim*: only while the job is active and not over, and
//!    the market open. Its window begins now.
//!    - Where the provider claims: `min_claim` at least, unless they reach all the deposit pays for, the first time
//!      also the proof interval; no more than the bucket holds, which starts empty, fills with the rate and holds
//!      `burst_s` of it. A claim is activity.
//!    - Where the payer acknowledges: at most a quantum beyond what is paid.
//!
//!    What was claimed can be contested for a window, and however often claims come no more than those of two windows
//!    (`Job::uncontested`).
//! 8. The chain keeps the last hash, the numbers and times. Hashes and references are in the event. The provider's last
//!    sign of life is now, if it was 600 s ago.
//!
//! Not here: acknowledgements (`types`), what units are worth (`state::market::settle`), when a job is over
//! (`state::market::job`).

use super::text::quoted;
use super::{About, CheckContext, Context, Listed, ListedReceipt, Rules};
use crate::codec::{self, Text};
use crate::crypto::{Hash, Namespace, PublicKey, SecretKey, Signature, hash};
use crate::fault::Failure;
use crate::limits::MAX_CONTENT_REF_BYTES;
use crate::state::market::job::{Job, Meter, Mode, Status, open_job, put_job};
use crate::state::market::provider::{PROVIDERS, Provider, provider};
use crate::state::market::settle::{Cost, pay_up_to};
use crate::state::market::{JOB_CLOSING, JOB_OVER, Market, NOT_THE_PROVIDER};
use crate::types::{
    Ack, Acknowledged, Address, AssetId, ChainId, JobId, MarketMs, ModelId, Rejected, TimestampMs, Token, UnitKind,
    Units, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    1100 RECEIPT_VERSION "receipt_version" "only receipts of version 2 are known";
    1101 RECEIPT_TIMES "receipt_times" "the work was finished before it was started";
    1102 WRONG_JOB "wrong_job" "leg, model or kind of units are not the job's";
    1103 WRONG_PLACE "wrong_place" "this is not the next receipt of the job";
    1104 UNITS_CHANGED "units_changed" "work that failed leaves the units as they are";
    1105 CLAIM_TOO_SMALL "claim_too_small" "a claim of work has at least so many units";
    1106 RATE_EXCEEDED "rate_exceeded" "more units are claimed than could have been produced by now";
    1107 BEYOND_DEPOSIT "beyond_deposit" "the deposit does not pay for so many units";
    1108 QUANTUM_EXCEEDED "quantum_exceeded" "more than a quantum is claimed beyond what was acknowledged";
    1109 RECEIPT_REPEATED "receipt_repeated" "this receipt is the last one of the job already";
    1110 RECEIPT_OLD "receipt_old" "the job has later receipts";
    1111 UNITS_SHRINK "units_shrink" "receipts count all units so far, and acknowledged ones";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "receipt_submit")];

/// The only version of receipts that is known.
pub const RECEIPT_VERSION_KNOWN: u8 = 2;

/// Two rows are read, one is written, seldom two.
const WEIGHT: u64 = 600;
/// Paying writes two more.
const REDEEM_WEIGHT: u64 = 1_000;

/// How work went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum WorkOutcome {
    /// Well.
    Ok {} = 1,
    /// Not; the code is the provider's own.
    Failed {
        /// Why.
        code: u16,
    } = 2,
}

/// The provider's word for some work.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// 2.
    pub version: u8,
    /// For which job.
    pub job: JobId,
    /// In which leg of it.
    pub leg: u32,
    /// Its place in the leg, from 1.
    #[serde(with = "crate::types::decimal")]
    pub seq: u64,
    /// The hash of the receipt before; 32 zero bytes for the first.
    pub previous: Hash,
    /// All units of the leg, this work included.
    pub cumulative_units: Units,
    /// What they are.
    pub unit_kind: UnitKind,
    /// With which model.
    pub model: ModelId,
    /// Hash of what went in.
    pub input_hash: Hash,
    /// Hash of what came out.
    pub output_hash: Hash,
    /// When the work was started, by the provider's clock.
    pub started: TimestampMs,
    /// When it was finished.
    pub finished: TimestampMs,
    /// How it went.
    pub outcome: WorkOutcome,
    /// Where more about it is kept.
    #[serde(default)]
    pub content_ref: Text<MAX_CONTENT_REF_BYTES>,
}

impl Receipt {
    /// What the next receipt names.
    pub fn hash(&self, chain: &ChainId) -> Hash {
        hash(Namespace::Receipt, &chain.0, &[&codec::encode(self)])
    }
}

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Claims work.
    ReceiptSubmit {
        /// Which.
        receipt: Receipt,
        /// The payer's word for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ack: Option<Ack>,
    } = 1,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// A receipt was accepted: its hash, the units it added, and until when claims can be contested. `paid` units are
    /// paid for now, which is `payment` more than before.
    ReceiptAccepted {
        receipt: Receipt,
        hash: Hash,
        by: Address,
        provider: Address,
        payout: Address,
        payer: Address,
        added: Units,
        acknowledged: Option<Units>,
        paid: Units,
        asset: AssetId,
        payment: Cost,
        at: MarketMs,
        contestable_until: Option<MarketMs>,
    } = 1,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        let Self::ReceiptSubmit { receipt, ack } = self;
        if ack.is_some() && matches!(receipt.outcome, WorkOutcome::Failed { .. }) {
            return Err(UNITS_CHANGED.because("no acknowledgement of work that failed", "one"));
        }
        if receipt.version != RECEIPT_VERSION_KNOWN {
            return Err(RECEIPT_VERSION.because(RECEIPT_VERSION_KNOWN, receipt.version));
        }
        if receipt.finished < receipt.started {
            return Err(RECEIPT_TIMES.because(format_args!("at least {}", receipt.started), receipt.finished));
        }
        Ok(())
    }

    fn signatures(&self, context: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        let Self::ReceiptSubmit { ack, .. } = self;
        ack.iter().map(|ack| (ack.key, ack.acknowledged.signing_bytes(&context.chain), ack.signature)).collect()
    }

    fn weight(&self) -> u64 {
        let Self::ReceiptSubmit { ack, .. } = self;
        if ack.is_some() { REDEEM_WEIGHT } else { WEIGHT }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let Self::ReceiptSubmit { receipt, ack } = self;
        let event = submit(context, receipt, ack.as_ref())?;
        context.emit(super::Event::Receipt(event));
        Ok(())
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let Self::ReceiptSubmit { receipt, ack } = self;
        let Receipt { version, job, leg, seq, previous, cumulative_units, unit_kind, model, .. } = receipt;
        let Receipt { input_hash, output_hash, started, finished, outcome, content_ref, .. } = receipt;
        let outcome = match outcome {
            WorkOutcome::Ok {} => "done".to_owned(),
            WorkOutcome::Failed { code } => format!("failed with code {code}"),
        };
        let content = quoted(content_ref);
        let redeemed = ack.as_ref().map_or(String::new(), |Ack { acknowledged, key, .. }| {
            let Acknowledged { job, leg, provider, cumulative_units } = acknowledged;
            format!("; the key {key} acknowledges {cumulative_units} units of {provider} for job {job}, leg {leg}")
        });
        format!(
            "Claim work for job {job}, leg {leg}, receipt {seq} after {previous}: {cumulative_units} {unit_kind} so far, \
             {outcome}, with the model {model}, from {started} ms to {finished} ms, input {input_hash}, output \
             {output_hash}, see {content} (version {version}){redeemed}"
        )
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

fn submit(context: &mut Context<'_, '_>, receipt: &Receipt, ack: Option<&Ack>) -> Result<Event, Failure> {
    let (by, market, id) = (context.sender, context.market()?, receipt.job);
    let mut job = open_job(context.state, id)?;
    let working = provider(context.state, &job.provider)?;
    if !working.acts(&job.provider, &by) {
        return Err(NOT_THE_PROVIDER.because(job.provider, by).into());
    }
    let hash = receipt.hash(&context.chain);
    check_place(&job, receipt, &hash)?;
    let before = job.meter.used;
    let acknowledged = ack.map(|ack| job.acknowledged(id, ack)).transpose()?;
    let known = before.max(acknowledged.unwrap_or_default());
    check_units(&job, receipt, known)?;
    let claims = receipt.cumulative_units > known;
    let over = job.is_over(market.now);
    check_time(&job, (claims || ack.is_none(), over), &market)?;
    let payment = match acknowledged {
        Some(units) => redeem(context, &mut job, units, (over, market.now))?,
        None => Cost::default(),
    };
    if claims {
        job.meter = claimed(&job, (known, receipt.cumulative_units), market.now)?;
    } else if ack.is_none() && matches!(receipt.outcome, WorkOutcome::Ok {}) {
        return Err(CLAIM_TOO_SMALL.because("at least 1", 0).into());
    }
    (job.meter.seq, job.meter.head) = (receipt.seq, hash);
    put_job(context.state, id, &mut job);
    if working.may_beat(market.now) {
        PROVIDERS.put(context.state, &job.provider, &Provider { last_seen: market.now, ..working });
    }
    let added = Units::new(job.meter.used.get().saturating_sub(before.get()));
    let (contestable_until, at, paid) = (job.claims_settled_at(), market.now, job.meter.paid);
    let (receipt, provider, payout) = (receipt.clone(), job.provider, job.payout);
    let (payer, asset) = (job.payer, job.asset);
    Ok(Event::ReceiptAccepted {
        receipt,
        hash,
        by,
        provider,
        payout,
        payer,
        added,
        acknowledged,
        paid,
        asset,
        payment,
        at,
        contestable_until,
    })
}

/// Rules 3 and 4.
fn check_place(job: &Job, receipt: &Receipt, hash: &Hash) -> Result<(), Rejected> {
    let Job { leg, model, unit_kind, meter, .. } = job;
    if (receipt.leg, receipt.model, receipt.unit_kind) != (*leg, *model, *unit_kind) {
        let got = format_args!("leg {}, {} of {}", receipt.leg, receipt.unit_kind, receipt.model).to_string();
        return Err(WRONG_JOB.because(format_args!("leg {leg}, {unit_kind} of {model}"), got));
    }
    if *hash == meter.head {
        return Err(RECEIPT_REPEATED.because("the next receipt", hash));
    }
    if receipt.seq <= meter.seq {
        return Err(RECEIPT_OLD.because(meter.seq.saturating_add(1), receipt.seq));
    }
    let next = meter.seq.saturating_add(1);
    if receipt.seq != next || receipt.previous != meter.head {
        let got = format_args!("{} after {}", receipt.seq, receipt.previous).to_string();
        return Err(WRONG_PLACE.because(format_args!("{next} after {}", meter.head), got));
    }
    Ok(())
}

/// Rule 5.
fn check_units(job: &Job, receipt: &Receipt, known: Units) -> Result<(), Rejected> {
    let cumulative = receipt.cumulative_units;
    if matches!(receipt.outcome, WorkOutcome::Failed { .. }) && cumulative != job.meter.used {
        return Err(UNITS_CHANGED.because(job.meter.used, cumulative));
    }
    if cumulative < known {
        return Err(UNITS_SHRINK.because(format_args!("at least {known}"), cumulative));
    }
    // Beyond 64 bits the deposit pays for whatever can be claimed.
    let most = job.max_units().unwrap_or(Units::MAX);
    if cumulative > most {
        return Err(BEYOND_DEPOSIT.because(format_args!("at most {most}"), cumulative));
    }
    Ok(())
}

/// Rules 6 and 7: when a receipt comes too late. `new_work`: it is more than an acknowledgement.
fn check_time(job: &Job, (new_work, over): (bool, bool), market: &Market) -> Result<(), Failure> {
    if let Status::Closing { until, .. } = job.status {
        if market.now >= until {
            return Err(JOB_OVER.because(format_args!("before {until}"), market.now).into());
        }
        if new_work {
            return Err(JOB_CLOSING
                .because("an acknowledgement and no other work", format_args!("until {until}"))
                .into());
        }
        return Ok(());
    }
    if !new_work {
        return Ok(());
    }
    market.check_open()?;
    if over {
        return Err(JOB_OVER.because(format_args!("at most {}", job.deadline()), market.now).into());
    }
    Ok(())
}

/// Rule 6: pays for what is acknowledged.
fn redeem(
    context: &mut Context<'_, '_>,
    job: &mut Job,
    units: Units,
    (over, now): (bool, MarketMs),
) -> Result<Cost, Failure> {
    let payment = pay_up_to(context.state, job, units)?;
    job.meter.used = job.meter.used.max(units);
    if job.meter.used == units {
        job.meter.last_claim = None;
    }
    if !over && job.status == Status::Active {
        job.meter.active_at = now;
    }
    Ok(payment)
}

/// Rule 7: the meter after a claim of these cumulative units, of which so many were known before.
fn claimed(job: &Job, (known, cumulative): (Units, Units), now: MarketMs) -> Result<Meter, Rejected> {
    let mut meter = job.marked(cumulative, now);
    match job.mode {
        Mode::ProviderClaims { proof_interval } => {
            let added = cumulative.get().saturating_sub(known.get());
            let first = if known.is_zero() { proof_interval.get() } else { 0 };
            let all = job.max_units().unwrap_or(Units::MAX);
            let smallest = if cumulative == all { 1 } else { u64::from(job.terms.min_claim) };
            let least = smallest.max(first);
            if added < least {
                return Err(CLAIM_TOO_SMALL.because(format_args!("at least {least}"), added));
            }
            let bucket = job.bucket(now);
            let left = added.checked_mul(1_000).and_then(|taken| bucket.checked_sub(taken));
            let left = left.ok_or_else(|| RATE_EXCEEDED.because(format_args!("at most {}", bucket / 1_000), added))?;
            (meter.bucket, meter.filled_at, meter.active_at) = (left, now, now);
        }
        Mode::ClientAcks { quantum, .. } => {
            let most = meter.paid.saturating_add(quantum.get());
            if cumulative > most {
                return Err(QUANTUM_EXCEEDED.because(format_args!("at most {most}"), cumulative));
            }
        }
    }
    Ok(meter)
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::ReceiptAccepted { by, provider, payout, payer, .. } => vec![*by, *provider, *payout, *payer],
        }
    }

    fn listed(&self) -> Listed {
        let Self::ReceiptAccepted { receipt: Receipt { job, leg, seq, .. }, hash, provider, .. } = self;
        let receipt = ListedReceipt { hash: *hash, job: *job, leg: *leg, seq: *seq };
        Listed { job: Some(*job), provider: Some(*provider), receipt: Some(receipt) }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let receipt = Receipt {
        version: RECEIPT_VERSION_KNOWN,
        job: JobId::new(7),
        leg: 0,
        seq: 1,
        previous: Hash::ZERO,
        cumulative_units: Units::new(500),
        unit_kind: UnitKind::Tokens,
        model: ModelId(Hash([5; 32])),
        input_hash: Hash([1; 32]),
        output_hash: Hash([2; 32]),
        started: TimestampMs::new(1_700_000_000_000),
        finished: TimestampMs::new(1_700_000_005_000),
        outcome: WorkOutcome::Ok {},
        content_ref: Text::new("ipfs://answer").unwrap_or_default(),
    };
    let acknowledged = Acknowledged {
        job: receipt.job,
        leg: receipt.leg,
        provider: Address::from_bytes([7; 32]),
        cumulative_units: receipt.cumulative_units,
    };
    let ack = Some(acknowledged.sign(&CheckContext::example().chain, &SecretKey::from_seed(&[3; 32])));
    vec![Action::ReceiptSubmit { receipt: receipt.clone(), ack: None }, Action::ReceiptSubmit { receipt, ack }]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
