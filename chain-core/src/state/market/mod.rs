//! The market in the state: its clock, its money, models, providers, jobs, delegates. Rows and arithmetic
//! that several families share.
//!
//! Not here: who may do what, and when (the families `model`, `provider`, `market`, `job`, `receipt`).

mod clock;
pub mod dispute;
pub mod fading;
pub mod grant;
pub mod job;
pub mod model;
mod params;
pub mod post;
pub mod provider;
pub mod purse;
pub mod reputation;
mod queue;
pub mod settle;
pub mod slash;
pub mod terms;

pub use clock::{MARKET, Market, found, market, stored};
pub use params::MarketParams;
pub use purse::Purse;
pub use queue::due;
pub use reputation::{Reputation, reputation};

use super::protocol::{Role, roles};
use super::table::Rows;
use super::tree::Tree;
use crate::fault::{Failure, Fault};
use crate::types::{Address, JobId, rejections};

rejections! {
    /// Rejections that several families of the market share.
    REJECTIONS =
    70 MARKET_PAUSED "market_paused" "the market is paused";
    71 PURSE_TOO_SMALL "purse_too_small" "there is less to withdraw or to spend than this needs";
    72 ASSET_NOT_ACCEPTED "asset_not_accepted" "the market does not accept this asset";
    73 DEPOSIT_OUT_OF_RANGE "deposit_out_of_range" "the deposit is outside the asset's bounds";
    74 PRICE_OUT_OF_RANGE "price_out_of_range" "the price is outside the asset's bounds";
    75 UNKNOWN_MODEL "unknown_model" "no model has this id";
    76 MODEL_INACTIVE "model_inactive" "new work for this model is not accepted";
    77 UNKNOWN_PROVIDER "unknown_provider" "this account is not a registered provider";
    78 PROVIDER_NOT_ACTIVE "provider_not_active" "this provider takes no more jobs";
    79 NO_OFFER "no_offer" "the provider has no such offer";
    80 UNKNOWN_JOB "unknown_job" "no job has this number, or it was forgotten";
    81 JOB_ENDED "job_ended" "the job is settled";
    82 JOB_OVER "job_over" "the job's time is over";
    83 NOT_THE_PROVIDER "not_the_provider" "only the job's provider or its operator may do this";
    84 LIST_FORM "list_form" "the list is empty, or an entry stands in it twice";
    85 TEXT_EMPTY "text_empty" "this text must not be empty";
    86 WRONG_ROLE "wrong_role" "this account does not have the role this needs";
    87 OUT_OF_SCOPE "out_of_scope" "the payer does not let this account do so";
    88 BOND_FREE "bond_free" "the bond is free and can't be slashed any more";
    89 NOT_A_VICTIM "not_a_victim" "the named job is not one of another account with this provider";
    90 ACK_OTHER_JOB "ack_other_job" "the acknowledgement is for another job";
    91 ACK_OTHER_LEG "ack_other_leg" "the acknowledgement is for another leg of the job";
    92 ACK_OTHER_PROVIDER "ack_other_provider" "the acknowledgement is for another provider";
    93 ACK_OTHER_KEY "ack_other_key" "the acknowledgement is not signed with the job's key";
    94 ACK_OLD "ack_old" "no more is acknowledged than was paid already";
    95 NO_ACKS "no_acks" "work of this job is not acknowledged";
    96 JOB_CLOSING "job_closing" "the job is closing: acknowledgements can be redeemed, and nothing else";
    97 JOB_DISPUTED "job_disputed" "the job is disputed";
    98 NOT_THE_PAYER "not_the_payer" "only the job's payer may do this";
    99 DISPUTE_TERMS_CHANGED "dispute_terms_changed" "disputes would be decided on other terms than this was signed for";
}

/// Whether an account has one of these roles.
pub fn check_role(rows: &impl Rows, account: &Address, allowed: &[Role]) -> Result<(), Failure> {
    let roles = roles(rows)?;
    if allowed.iter().any(|role| roles.get(*role).as_ref() == Some(account)) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(|role| role.name()).collect();
    Err(WRONG_ROLE.because(names.join(" or "), account).into())
}

/// Every job with its number, oldest first.
pub fn jobs(tree: &Tree) -> impl Iterator<Item = Result<(JobId, job::Job), Fault>> {
    job::JOBS.scan(tree).map(|row| {
        let (key, job) = row?;
        let id = key.try_into().map_err(|_| Fault::new("a job has a bad key"))?;
        Ok((JobId::new(u64::from_be_bytes(id)), job))
    })
}
