//! Entries of the index and the rows they follow from.
//!
//! | tag | rest of the key | value after the version byte |
//! |---|---|---|
//! | 1 | job u64 | what its entries follow from (`Filed`) |
//! | 2 payer, 3 opener, 4 provider | account 32 ‖ job u64 | nothing |
//! | 5 | model 32 ‖ job u64 | nothing |
//! | 6 | state u8 ‖ job u64 | nothing |
//! | 7 | when the state forgets it u64 ‖ job u64 | nothing |
//! | 8 | payer 32 ‖ asset u32 | what is in escrow of its open jobs u128 |
//! | 9 | job u64 of a dispute | nothing |
//! | 10 | whether it goes on u8 ‖ job u64 | nothing |
//! | 11 | party or arbiter 32 ‖ job u64 | nothing |
//! | 16 | provider 32 | the keys of its entries |
//! | 17 | provider's number u64 | provider 32 |
//! | 18 | last seen u64 ‖ number u64 | provider 32 |
//! | 19 | model 32 ‖ number u64 | provider 32 |
//! | 20 | model 32 ‖ asset u32 ‖ kind of units u8 ‖ price u128 ‖ number u64 | provider 32 |
//! | 32 | job u64 ‖ leg u32 ‖ seq u64 | height u64 ‖ index u32 |
//! | 33 | receipt's hash 32 | job u64 ‖ leg u32 ‖ seq u64 |
//!
//! All numbers are big-endian: the order of the keys is the order of the lists.

use crate::fault::Fault;
use crate::state::Rows;
use crate::state::market::dispute::{DISPUTES, dispute_terms};
use crate::state::market::job::{JOBS, Job, Status};
use crate::state::market::post::{POSTS, Post};
use crate::state::market::provider::{
    DisputeTerms, OFFERS, OfferKey, PROFILES, PROVIDERS, ProviderState, offer_list, offer_row,
};
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId};
use borsh::{BorshDeserialize, BorshSerialize};

pub(super) const JOB: u8 = 1;
pub(super) const JOB_PAYER: u8 = 2;
pub(super) const JOB_OPENER: u8 = 3;
pub(super) const JOB_PROVIDER: u8 = 4;
pub(super) const JOB_MODEL: u8 = 5;
pub(super) const JOB_STATE: u8 = 6;
pub(super) const FORGETTING: u8 = 7;
pub(super) const LOCKED: u8 = 8;
pub(super) const DISPUTE: u8 = 9;
pub(super) const DISPUTE_STATE: u8 = 10;
pub(super) const DISPUTE_ACCOUNT: u8 = 11;
pub(super) const PROVIDER: u8 = 16;
pub(super) const PROVIDER_ID: u8 = 17;
pub(super) const PROVIDER_SEEN: u8 = 18;
pub(super) const PROVIDER_MODEL: u8 = 19;
pub(super) const OFFER: u8 = 20;
pub(super) const RECEIPT: u8 = 32;
pub(super) const RECEIPT_HASH: u8 = 33;

/// How a job stands, without what belongs to it; the numbers stand in keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum JobState {
    /// Work goes on.
    Active = 1,
    /// Everything is paid.
    Settled = 2,
    /// Acknowledgements can be redeemed, and nothing else.
    Closing = 3,
    /// The payer contests claims.
    Disputed = 4,
    /// It waits for bids.
    Posted = 5,
}

/// What stands under a job's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobRow {
    /// A job.
    Job(Box<Job>),
    /// One that waits for a provider.
    Post(Box<Post>),
}

impl JobState {
    /// The state of a job that is not posted any more.
    pub fn of(status: &Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Settled { .. } => Self::Settled,
            Status::Closing { .. } => Self::Closing,
            Status::Disputed { .. } => Self::Disputed,
        }
    }
}

impl JobRow {
    /// What stands under this number.
    pub fn get(rows: &impl Rows, id: JobId) -> Result<Option<Self>, Fault> {
        if let Some(job) = JOBS.get(rows, &id)? {
            return Ok(Some(Self::Job(Box::new(job))));
        }
        Ok(POSTS.get(rows, &id)?.map(|post| Self::Post(Box::new(post))))
    }

    /// How it stands.
    pub fn state(&self) -> JobState {
        match self {
            Self::Job(job) => JobState::of(&job.status),
            Self::Post(_) => JobState::Posted,
        }
    }
}

/// A key: a tag and its parts.
pub(super) fn key(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag][..], &parts.concat()].concat()
}

/// What a job's row says of its place in lists.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct JobEntry {
    pub state: JobState,
    pub payer: Address,
    pub opener: Address,
    /// Nobody as long as it is posted.
    pub provider: Option<Address>,
    pub model: ModelId,
    pub asset: AssetId,
    pub escrow: Amount,
    pub settled: Option<MarketMs>,
    pub dispute: Option<DisputeEntry>,
}

/// What a dispute's rows say of its place in lists.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct DisputeEntry {
    pub open: bool,
    /// Parties and arbiters, ascending.
    pub accounts: Vec<Address>,
}

/// Whom a dispute is about, and who decides it by name: ascending.
pub(super) fn dispute_accounts(job: &Job, terms: &DisputeTerms) -> Vec<Address> {
    let parties = [job.payer, job.opener, job.provider, job.payout];
    let mut accounts: Vec<_> = parties.into_iter().chain(terms.arbiters.iter().copied()).collect();
    accounts.sort();
    accounts.dedup();
    accounts
}

impl JobEntry {
    /// What the rows of a job say; `None`: there is none.
    pub fn of(rows: &impl Rows, id: JobId) -> Result<Option<Self>, Fault> {
        let Some(row) = JobRow::get(rows, id)? else { return Ok(None) };
        let state = row.state();
        Ok(Some(match row {
            JobRow::Job(job) => {
                let settled = match job.status {
                    Status::Settled { at, .. } => Some(at),
                    _ => None,
                };
                let dispute = dispute_entry(rows, id, &job)?;
                let (provider, escrow) = (Some(job.provider), job.escrow());
                let Job { payer, opener, model, asset, .. } = *job;
                Self { state, payer, opener, provider, model, asset, escrow, settled, dispute }
            }
            JobRow::Post(post) => {
                let Post { payer, opener, model, asset, deposit, .. } = *post;
                let (settled, dispute) = (None, None);
                Self { state, payer, opener, provider: None, model, asset, escrow: deposit, settled, dispute }
            }
        }))
    }

    /// The keys of a job's entries in lists.
    pub fn keys(&self, id: JobId) -> Vec<Vec<u8>> {
        let id = id.get().to_be_bytes();
        let account = |tag: u8, account: &Address| key(tag, &[account.as_bytes(), &id]);
        let mut keys = vec![
            account(JOB_PAYER, &self.payer),
            account(JOB_OPENER, &self.opener),
            key(JOB_MODEL, &[self.model.0.as_bytes(), &id]),
            key(JOB_STATE, &[&[self.state as u8], &id]),
        ];
        keys.extend(self.provider.iter().map(|provider| account(JOB_PROVIDER, provider)));
        if let Some(DisputeEntry { open, accounts }) = &self.dispute {
            keys.extend([key(DISPUTE, &[&id]), key(DISPUTE_STATE, &[&[u8::from(*open)], &id])]);
            keys.extend(accounts.iter().map(|party| account(DISPUTE_ACCOUNT, party)));
        }
        keys
    }
}

fn dispute_entry(rows: &impl Rows, id: JobId, job: &Job) -> Result<Option<DisputeEntry>, Fault> {
    let Some(dispute) = DISPUTES.get(rows, &id)? else { return Ok(None) };
    let accounts = dispute_accounts(job, &dispute_terms(rows, id)?);
    Ok(Some(DisputeEntry { open: dispute.outcome.is_none(), accounts }))
}

/// What a job's entries follow from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Filed {
    pub entry: JobEntry,
    /// When the state forgets it; nothing while it goes on.
    pub forgotten: Option<MarketMs>,
}

impl Filed {
    /// The keys of a job's entries but its record.
    pub fn keys(&self, id: JobId) -> Vec<Vec<u8>> {
        let mut keys = self.entry.keys(id);
        keys.extend(self.forgotten.map(|at| key(FORGETTING, &[&at.get().to_be_bytes(), &id.get().to_be_bytes()])));
        keys
    }
}

/// The key of a job's record.
pub(super) fn job_key(id: JobId) -> Vec<u8> {
    key(JOB, &[&id.get().to_be_bytes()])
}

/// Where it is kept what a payer has in open jobs.
pub(super) fn locked_key(payer: &Address, asset: AssetId) -> Vec<u8> {
    key(LOCKED, &[payer.as_bytes(), &asset.get().to_be_bytes()])
}

/// The keys of a provider's entries but its record, ascending; none where there is no provider any more.
pub(super) fn provider_keys(rows: &impl Rows, account: &Address) -> Result<Vec<Vec<u8>>, Fault> {
    let row = PROVIDERS.get(rows, account)?.filter(|row| row.state != ProviderState::Gone);
    let Some(row) = row else { return Ok(Vec::new()) };
    let id = row.id.get().to_be_bytes();
    let mut keys = vec![key(PROVIDER_ID, &[&id]), key(PROVIDER_SEEN, &[&row.last_seen.get().to_be_bytes(), &id])];
    for model in PROFILES.get(rows, account)?.iter().flat_map(|profile| profile.models.iter()) {
        keys.push(key(PROVIDER_MODEL, &[model.0.as_bytes(), &id]));
    }
    for offered in offer_list(rows, row.id)? {
        let offer = OFFERS.get(rows, &offer_row(row.id, &offered))?;
        let offer = offer.ok_or_else(|| Fault::new(format!("an offer of provider {} has no row", row.id)))?;
        keys.push(offer_key(&offered, offer.terms.price, row.id));
    }
    keys.sort();
    Ok(keys)
}

/// The beginning of the keys of offers of a model, in an asset, for a kind of units; each only with those before.
pub(super) fn offer_prefix(model: &ModelId, asset: Option<AssetId>, unit_kind: Option<u8>) -> Vec<u8> {
    let mut bytes = key(OFFER, &[model.0.as_bytes()]);
    if let Some(asset) = asset {
        bytes.extend(asset.get().to_be_bytes());
        bytes.extend(unit_kind);
    }
    bytes
}

fn offer_key(offered: &OfferKey, price: Price, id: ProviderId) -> Vec<u8> {
    let prefix = offer_prefix(&offered.model, Some(offered.asset), Some(offered.unit_kind as u8));
    [prefix.as_slice(), &price.get().to_be_bytes(), &id.get().to_be_bytes()].concat()
}

/// Which offer a key is of, and its price.
pub(super) fn read_offer_key(bytes: &[u8]) -> Result<(OfferKey, Price), Fault> {
    let bad = || Fault::new("an entry of an offer has a bad key");
    let (_, rest) = bytes.split_first().ok_or_else(bad)?;
    let (model, rest) = rest.split_first_chunk::<32>().ok_or_else(bad)?;
    let (asset, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
    let (unit_kind, rest) = rest.split_first_chunk::<1>().ok_or_else(bad)?;
    let (price, _) = rest.split_first_chunk::<16>().ok_or_else(bad)?;
    let unit_kind = borsh::from_slice(unit_kind).map_err(|_| bad())?;
    let (model, asset) = (ModelId(crate::crypto::Hash(*model)), AssetId::new(u32::from_be_bytes(*asset)));
    Ok((OfferKey { model, asset, unit_kind }, Price::new(u128::from_be_bytes(*price))))
}

/// The number at the end of a job's key.
pub(super) fn read_job(bytes: &[u8]) -> Result<JobId, Fault> {
    let id = bytes.last_chunk().copied().map(u64::from_be_bytes);
    id.map(JobId::new).ok_or_else(|| Fault::new("an entry of a job has a bad key"))
}

/// The provider an entry names.
pub(super) fn read_account(value: &[u8]) -> Result<Address, Fault> {
    let account = value.try_into().map_err(|_| Fault::new("an entry of a provider names none"))?;
    Ok(Address::from_bytes(account))
}

/// The key of a receipt's place.
pub(super) fn receipt_key(job: JobId, leg: u32, seq: u64) -> Vec<u8> {
    key(RECEIPT, &[&job.get().to_be_bytes(), &leg.to_be_bytes(), &seq.to_be_bytes()])
}
