//! Jobs: a payer puts money into escrow for a provider's work; every end pays it out at once, exactly.
//!
//! | action | bytes after `0a` | fields |
//! |---|---|---|
//! | `job_open` | `01` | funding · provider 32 · model 32 · asset u32 · unit_kind u8 · deposit u128 · price u128 · duration_s u32 · silence_s u32 · mode · client_ref (`00`, or `01` and text ≤ 64) |
//! | `job_top_up` | `02` | job u64 · amount u128 |
//! | `job_decline` | `03` | job u64 |
//! | `job_complete` | `04` | job u64 · max_units u64 |
//! | `job_expire` | `05` | job u64 |
//!
//! Funding is `01` wallet, `02` prepaid, or `03` on behalf of · payer 32; a mode is `01` provider claims ·
//! proof_interval u64.
//!
//! Rules, opening:
//! 1. The market is open, the asset accepted, deposit and price within its bounds; 60 ≤ duration ≤ 31536000 s,
//!    60 ≤ silence ≤ 3600 s.
//! 2. The provider is active and has an offer for model, asset and kind of units that holds; the model is active.
//!    The price is at least the offer's, and is what is charged.
//! 3. The deposit pays for at most 2^64 − 1 units. The proof interval is at least `min_claim`, and no more than the
//!    deposit pays for, nor than can be claimed in the first half of the time the job has at least:
//!    rate · min(burst, ⌊silence / 2⌋, ⌊duration / 2⌋). So every job that opens can be worked for.
//! 4. The provider has fewer open jobs than the offer has slots, and than its bond stands for; the payer has
//!    fewer than `open_per_pair` open jobs with it.
//! 5. The money comes from the sender's account, from what it deposited, or from the account of a payer whose
//!    grant covers the job. Nobody needs a grant for himself. What is left goes to the payer's account.
//! 6. Jobs are numbered from 1 without holes. A client_ref is not empty and unlike that of every other job of the
//!    same opener that is still known. The sender burns `account_fee`, and once more for a name.
//! 7. Fee, window, rate, burst, least claim and early-cancel units are those of the opening. Where those are in
//!    tokens, 100 of them count as one unit of any other kind; rate and least claim are at least 1.
//!
//! Rules, until the end:
//! 8. The payer, or a delegate whose grant covers it, adds to the deposit while the job is not over, the market
//!    is open and the model active; rules 1 and 3 hold for the sum.
//! 9. The provider or its operator declines before the first accepted unit and before the job is over: all of
//!    the deposit goes back.
//! 10. The payer completes at any time before the job is due, the provider or its operator from a window after the
//!     last claim, or the start, on. It fails if more than `max_units` were used, so that no claim slips in front.
//!     Declining and completing are signs of life of the provider.
//! 11. A job that is due (`state::market::job`) is settled by whoever asks, and at the end of a block by itself, the
//!    longest due first: at most 1024 per block, of at most 4096 that are looked at. Everything else is refused
//!    for it.
//! 12. What an end pays is a function of the job (`state::market::settle`). A settled job is known for
//!     `retention_s`.
//!
//! Not here: receipts (the receipt family), rows and arithmetic (`state::market`).

mod block_end;
mod end;
mod open;

pub(super) use block_end::at_block_end;
pub use open::Opening;

use super::{About, CheckContext, Context, Listed, Rules, check_amount};
use crate::codec::Text;
use crate::crypto::Hash;
use crate::fault::Failure;
use crate::state::market::job::{ClientRef, Funding, Mode, Terms};
use crate::state::market::settle::{Cause, Settlement};
use crate::types::{
    Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, Rejected, Token, UnitKind, Units, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    1000 DURATION_RANGE "duration_range" "a job lasts 60 to 31536000 seconds";
    1001 SILENCE_RANGE "silence_range" "a job's silence is 60 to 3600 seconds";
    1002 PRICE_FORM "price_form" "a price is 1 to 10^18 base units per 1000 metered units";
    1003 PRICE_BELOW_OFFER "price_below_offer" "the provider asks for a higher price";
    1004 INTERVAL_RANGE "interval_range" "the proof interval is below the least claim, or above what the deposit pays for or can be claimed in time";
    1005 TOO_MANY_UNITS "too_many_units" "the deposit pays for more units than 64 bits count";
    1006 NO_FREE_SLOT "no_free_slot" "the provider works on as many jobs as it offers to";
    1007 TOO_MANY_OPEN_JOBS "too_many_open_jobs" "this payer has as many open jobs with the provider as it may";
    1008 CLIENT_REF_USED "client_ref_used" "there is another job of this name that this account opened";
    1009 NOT_A_PARTY "not_a_party" "only the payer, the provider or its operator may do this";
    1010 WORK_ACCEPTED "work_accepted" "work was accepted already";
    1011 MORE_USED "more_used" "more units were used than this allows";
    1012 WINDOW_OPEN "window_open" "the last claim can still be contested";
    1013 NOT_DUE "not_due" "the job is not due yet";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] =
    &[(1, "job_open"), (2, "job_top_up"), (3, "job_decline"), (4, "job_complete"), (5, "job_expire")];

/// Opening: about a dozen rows, some of which the chain keeps for long, and the end by itself.
const OPEN_WEIGHT: u64 = 4_000;
/// Ten rows are written at most.
const WEIGHT: u64 = 1_500;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Opens a job.
    JobOpen(Opening) = 1,
    /// Adds to a deposit.
    JobTopUp {
        /// Of which job.
        job: JobId,
        /// How much, in base units.
        amount: Amount,
    } = 2,
    /// The provider does not want it.
    JobDecline {
        /// Which.
        job: JobId,
    } = 3,
    /// Payer or provider are done.
    JobComplete {
        /// With which.
        job: JobId,
        /// The most units that may have been used.
        max_units: Units,
    } = 4,
    /// Settles a job that is due.
    JobExpire {
        /// Which.
        job: JobId,
    } = 5,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// A job goes on.
    JobOpened {
        job: JobId,
        funding: Funding,
        payer: Address,
        opener: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        deposit: Amount,
        price: Price,
        max_units: Units,
        mode: Mode,
        terms: Terms,
        started: MarketMs,
        duration_s: u32,
        silence_s: u32,
        client_ref: Option<ClientRef>,
        row_fee: Amount,
    } = 1,
    /// A deposit grew.
    JobToppedUp {
        job: JobId,
        by: Address,
        payer: Address,
        provider: Address,
        asset: AssetId,
        amount: Amount,
        deposit: Amount,
        max_units: Units,
    } = 2,
    /// A job is over and paid; `by` nobody: by itself.
    JobSettled {
        job: JobId,
        cause: Cause,
        by: Option<Address>,
        payer: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        price: Price,
        deposit: Amount,
        used: Units,
        settlement: Settlement,
        at: MarketMs,
    } = 3,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::JobOpen(wish) => wish.check(),
            Self::JobTopUp { amount, .. } => check_amount(*amount),
            Self::JobDecline { .. } | Self::JobComplete { .. } | Self::JobExpire { .. } => Ok(()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::JobOpen(_) => OPEN_WEIGHT,
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let event = match self {
            Self::JobOpen(wish) => open::open(context, wish),
            Self::JobTopUp { job, amount } => open::top_up(context, *job, *amount),
            Self::JobDecline { job } => end::decline(context, *job),
            Self::JobComplete { job, max_units } => end::complete(context, *job, *max_units),
            Self::JobExpire { job } => end::expire(context, *job),
        }?;
        context.emit(super::Event::Job(event));
        Ok(())
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::JobOpen(wish) => wish.text(tokens),
            Self::JobTopUp { job, amount } => {
                format!("Add {amount} base units of its asset to the deposit of job {job}")
            }
            Self::JobDecline { job } => format!("Decline job {job} as its provider"),
            Self::JobComplete { job, max_units } => format!("Complete job {job}, with at most {max_units} units used"),
            Self::JobExpire { job } => format!("Settle job {job}, whose time is over"),
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::JobOpen(Opening { funding: Funding::OnBehalf { payer }, provider, .. }) => vec![*payer, *provider],
            Self::JobOpen(Opening { provider, .. }) => vec![*provider],
            _ => vec![],
        }
    }
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::JobOpened { payer, opener, provider, payout, .. } => vec![*payer, *opener, *provider, *payout],
            Self::JobToppedUp { by, payer, provider, .. } => vec![*by, *payer, *provider],
            Self::JobSettled { by, payer, provider, payout, .. } => {
                [payer, provider, payout].into_iter().chain(by).copied().collect()
            }
        }
    }

    fn listed(&self) -> Listed {
        let (job, provider) = match self {
            Self::JobOpened { job, provider, .. }
            | Self::JobToppedUp { job, provider, .. }
            | Self::JobSettled { job, provider, .. } => (*job, *provider),
        };
        Listed { job: Some(job), provider: Some(provider), receipt: None }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let job = JobId::new(7);
    vec![
        Action::JobOpen(Opening {
            funding: Funding::OnBehalf { payer: Address::from_bytes([8; 32]) },
            provider: Address::from_bytes([7; 32]),
            model: ModelId(Hash([5; 32])),
            asset: AssetId::new(1),
            unit_kind: UnitKind::Tokens,
            deposit: Amount::new(10_000_000),
            price: Price::new(5_000),
            duration_s: 86_400,
            silence_s: 300,
            mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
            client_ref: Some(Text::new("order 7").unwrap_or_default()),
        }),
        Action::JobTopUp { job, amount: Amount::new(5_000_000) },
        Action::JobDecline { job },
        Action::JobComplete { job, max_units: Units::new(100_000) },
        Action::JobExpire { job },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
