//! Disputes: what is contested, what both sides deposited for it, who decides, and the end of it.
//!
//! The loser's deposit: half goes to the winner, half to the named arbiters that voted so, in equal parts; what
//! can't be divided, and all of that half where the council or an acknowledgement decided, goes to the treasury.
//! Who did not answer has deposited nothing. Without a verdict both lose `bond_loss_no_verdict_bps` to the treasury.
//!
//! Not here: who may open, answer and vote when (the dispute family), what the job then pays (`settle`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::clock::Market;
use super::job::Job;
use super::provider::DisputeTerms;
use super::purse::Purse;
use super::settle::{Cause, Settlement, end};
use crate::codec::List;
use crate::fault::Fault;
use crate::limits::MAX_VALIDATORS;
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::table::{Rows, Table};
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// Disputes by job, until the job is forgotten. A dispute ends its job, so there is one at most.
pub const DISPUTES: Table<JobId, Dispute> = Table::new(55);
/// How disputes of a job are decided, until it is forgotten; no row: by the council, and without it for the payer.
pub const DISPUTE_TERMS: Table<JobId, DisputeTerms> = Table::new(56);
/// When time ends a dispute, under `Dispute::until`.
pub const DISPUTE_ENDS: Table<(MarketMs, JobId), ()> = Table::new(57);

/// One vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Ballot {
    /// Whose.
    pub voter: Address,
    /// For the provider, or for the payer.
    pub for_provider: bool,
}

/// A payer contests claims.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Dispute {
    /// In which leg.
    pub leg: u32,
    /// From which unit on.
    pub from: Units,
    /// Up to which.
    pub used: Units,
    /// What the contested units cost.
    pub contested: Amount,
    /// The job's asset.
    pub asset: AssetId,
    /// What each side deposits of it, in base units.
    pub bond: Amount,
    /// When it was opened.
    pub opened: MarketMs,
    /// When the provider answered.
    pub answered: Option<MarketMs>,
    /// The last moment of the answer, after it of the verdict.
    pub until: MarketMs,
    /// What was voted.
    pub votes: List<Ballot, MAX_VALIDATORS>,
    /// How it ended.
    pub outcome: Option<Cause>,
}

/// Where the deposits of a dispute went.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Bonds {
    /// To the payer.
    pub payer: Amount,
    /// To the provider.
    pub provider: Amount,
    /// To each of the arbiters that voted with the majority.
    pub each_arbiter: Amount,
    /// To the treasury.
    pub treasury: Amount,
}

impl Dispute {
    /// What is deposited for it now.
    pub fn held(&self) -> Amount {
        match (self.outcome, self.answered) {
            (Some(_), _) => Amount::ZERO,
            (None, None) => self.bond,
            (None, Some(_)) => self.bond.saturating_add(self.bond),
        }
    }

    /// Who voted so.
    pub fn voters(&self, for_provider: bool) -> impl Iterator<Item = Address> {
        self.votes.iter().filter(move |ballot| ballot.for_provider == for_provider).map(|ballot| ballot.voter)
    }
}

/// How disputes of a job are decided.
pub fn dispute_terms(rows: &impl Rows, id: JobId) -> Result<DisputeTerms, Fault> {
    Ok(DISPUTE_TERMS.get(rows, &id)?.unwrap_or_default())
}

/// Keeps how disputes of a job's leg are decided.
pub fn keep_terms(overlay: &mut Overlay<'_>, id: JobId, terms: &DisputeTerms) {
    if *terms == DisputeTerms::default() {
        DISPUTE_TERMS.remove(overlay, &id);
    } else {
        DISPUTE_TERMS.put(overlay, &id, terms);
    }
}

/// Which part of the deposits goes to whom: pure, and all of them go somewhere.
pub fn share(dispute: &Dispute, cause: Cause, loss_bps: u16, arbiters: u128) -> Result<Bonds, Fault> {
    let bond = dispute.bond;
    let half = bond.bps_floor(5_000);
    let each = half.get().checked_div(arbiters).map_or(Amount::ZERO, Amount::new);
    let answered = dispute.answered.is_some();
    let wins = bond.saturating_add(half);
    let keeps = bond.checked_sub(bond.bps_floor(loss_bps)).unwrap_or_default();
    let (payer, provider, each_arbiter) = match cause {
        Cause::Unanswered => (bond, Amount::ZERO, Amount::ZERO),
        Cause::VerdictForPayer => (wins, Amount::ZERO, each),
        Cause::VerdictForProvider => (Amount::ZERO, wins, each),
        Cause::NewerAck if answered => (Amount::ZERO, wins, Amount::ZERO),
        Cause::NewerAck => (Amount::ZERO, half, Amount::ZERO),
        Cause::NoVerdict => (keeps, keeps, Amount::ZERO),
        other => return Err(Fault::new(format!("a dispute does not end by {other:?}"))),
    };
    let paid = each_arbiter.get().saturating_mul(arbiters).saturating_add(payer.get()).saturating_add(provider.get());
    let treasury = dispute.held().checked_sub(Amount::new(paid));
    let treasury = treasury.ok_or_else(|| Fault::new("more than all deposits of a dispute are shared out"))?;
    Ok(Bonds { payer, provider, each_arbiter, treasury })
}

/// Ends a dispute, and with it its job.
pub fn decide(
    overlay: &mut Overlay<'_>,
    (id, job): (JobId, Job),
    mut dispute: Dispute,
    cause: Cause,
    (market, params): (&Market, &Params),
) -> Result<(Job, Settlement, Bonds), Fault> {
    let by_arbiters = !dispute_terms(overlay, id)?.arbiters.is_empty();
    let winners: Vec<Address> = match cause {
        Cause::VerdictForPayer if by_arbiters => dispute.voters(false).collect(),
        Cause::VerdictForProvider if by_arbiters => dispute.voters(true).collect(),
        _ => Vec::new(),
    };
    let bonds = share(&dispute, cause, job.terms.bond_loss_no_verdict_bps, winners.len() as u128)?;
    let asset = job.asset;
    Purse::Account(job.payer).put(overlay, asset, bonds.payer)?;
    Purse::Account(job.provider).put(overlay, asset, bonds.provider)?;
    Purse::Treasury.put(overlay, asset, bonds.treasury)?;
    for arbiter in winners {
        Purse::Earnings(arbiter).put(overlay, asset, bonds.each_arbiter)?;
    }
    DISPUTE_ENDS.remove(overlay, &(dispute.until, id));
    dispute.outcome = Some(cause);
    DISPUTES.put(overlay, &id, &dispute);
    let (job, settlement) = end(overlay, (id, job), cause, market, params)?;
    Ok((job, settlement, bonds))
}
