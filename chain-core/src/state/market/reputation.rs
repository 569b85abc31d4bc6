//! What a provider's jobs say of it, for each model: no action writes it, every end of a job and every slash
//! does. All numbers fade with the half-life `reputation_half_life_s`.
//!
//! What counts:
//! 1. An end after work the payer acknowledged, or a payer's completion or handing over of work that was accepted
//!    and paid: one job, and its units.
//! 2. A timeout after accepted work that nobody acknowledged: one timeout with work, and its units. Nobody can say
//!    who stopped.
//! 3. A timeout without any accepted work: one empty timeout. A provider prevents it, at a third of what opening
//!    the job costs, by declining at any time before; so a payer who opens jobs to spoil a record achieves
//!    nothing against a provider that is there, and a provider that never answers can't hide it.
//! 4. A slash: its part of the bond, or of `min_bond` where that is less, rounded up, in basis points. It counts
//!    for all models.
//! 5. A dispute that a verdict, or a newer acknowledgement, decided for the provider: one won, besides what rule 1
//!    says. A verdict for the payer: one lost; one it did not answer: one empty timeout; both if a market fee would
//!    have come in for what was contested. Without a verdict: nothing.
//!
//! What does not count:
//! 6. A decline, a payer who completes before anything was accepted, and a provider who completes: that the payer
//!    did not object is no praise.
//! 7. Work for which no market fee came in, unless the job is from a time without fees. Amounts of fees are not
//!    added up: those of different assets can't be compared. They are in the events of the ends.
//! 8. Work and disputes that were won, if payer or opener is the provider, its operator, its payout or the job's, or
//!    if of payer and provider one has let the other spend its money. Such a payer's empty timeouts do count:
//!    relations are the provider's to make, and must not excuse it.
//! 9. Any job of an account that has a role, or is the plain account of a validator: who judges providers neither
//!    makes nor spoils records.
//!
//! Two accounts of one person are not known as such. So nobody is kept from praising itself; it costs at least the
//! market fee of every job that counts.
//!
//! The score, in basis points, of the faded numbers:
//!
//! ```text
//! share = ⌊ 10000 · jobs / (jobs + empty timeouts + 10 · lost disputes + 10) ⌋
//! score = ⌊ share · (10000 − min(slashed, 10000)) / 10000 ⌋
//! ```
//!
//! Who is new has 0, the least there is; so nobody gains by leaving and coming again as another. An account keeps
//! its number for ever, and with it its record. Without new jobs a score fades towards 0.
//!
//! A settlement writes one row. Units of different kinds for one model are added up; the score has none.
//!
//! Not here: how numbers fade (`fading`), slashes' row (`provider`), how disputes end (`dispute`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::fading::{Fading, MILLION};
use super::grant::grant;
use super::job::Job;
use super::provider::{PROVIDERS, Provider};
use super::settle::{Cause, Settlement};
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::BPS;
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::protocol::{Role, roles};
use crate::state::table::{Rows, Table};
use crate::state::validators::{Standing, VALIDATORS};
use crate::types::{Address, Amount, MarketMs, ModelId, ProviderId, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// Records by provider's number and model; no row: nothing counted. Rows stay.
pub const RECORDS: Table<(ProviderId, ModelId), Record> = Table::new(54);

/// So many jobs without praise or blame stand before every record: few jobs are not yet a high score.
const PRIOR_JOBS: u128 = 10;
/// A lost dispute weighs as so many empty timeouts.
const LOST_DISPUTE: u128 = 10;

/// What jobs of one model say of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Record {
    /// Jobs with work that the payer acknowledged, or completed.
    pub jobs: Fading,
    /// Units that were paid for.
    pub units: Fading,
    /// Timeouts of jobs with accepted work.
    pub timeouts_with_work: Fading,
    /// Timeouts of jobs without.
    pub timeouts_empty: Fading,
    /// Disputes that were decided for the provider.
    pub disputes_won: Fading,
    /// Disputes that were decided against it.
    pub disputes_lost: Fading,
}

/// A record as it is at one time, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reputation {
    /// The numbers, faded until then.
    pub record: Record,
    /// Parts of the bond that slashes took, in basis points, faded until then.
    pub slashed_bps: Fading,
    /// 0 to 10000.
    pub score_bps: u16,
}

impl Record {
    /// The record as it is now.
    fn at(self, now: MarketMs, half_life_s: u32) -> Self {
        let at = |number: Fading| number.at(now, half_life_s);
        Self {
            jobs: at(self.jobs),
            units: at(self.units),
            timeouts_with_work: at(self.timeouts_with_work),
            timeouts_empty: at(self.timeouts_empty),
            disputes_won: at(self.disputes_won),
            disputes_lost: at(self.disputes_lost),
        }
    }
}

/// What jobs of a model say now of the provider at an account; of whoever never was one, nothing.
pub fn reputation(
    rows: &impl Rows,
    account: &Address,
    model: &ModelId,
    (now, params): (MarketMs, &Params),
) -> Result<Reputation, Fault> {
    let half_life_s = params.market.reputation_half_life_s;
    let (mut record, mut slashed_bps) = (Record::default(), Fading::default());
    if let Some(provider) = PROVIDERS.get(rows, account)? {
        record = RECORDS.get(rows, &(provider.id, *model))?.unwrap_or_default();
        slashed_bps = provider.slashed_bps;
    }
    let (record, slashed_bps) = (record.at(now, half_life_s), slashed_bps.at(now, half_life_s));
    Ok(Reputation { record, slashed_bps, score_bps: score(&record, slashed_bps) })
}

/// As in the formula above. No sum or product leaves 128 bits: fading numbers are at most 2^112.
fn score(record: &Record, slashed_bps: Fading) -> u16 {
    let lost = record.disputes_lost.millionths.saturating_mul(LOST_DISPUTE);
    let (good, bad) = (record.jobs.millionths, record.timeouts_empty.millionths.saturating_add(lost));
    let all = good.saturating_add(bad).saturating_add(PRIOR_JOBS.saturating_mul(MILLION));
    let share = good.saturating_mul(BPS).checked_div(all).unwrap_or_default();
    let kept = BPS.saturating_sub(slashed_bps.millionths.div_ceil(MILLION));
    u16::try_from(share.saturating_mul(kept).checked_div(BPS).unwrap_or_default()).unwrap_or_default()
}

/// What an end of a job counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Job,
    TimeoutWithWork,
    TimeoutEmpty,
    DisputeWon,
    DisputeLost,
}

/// Counts an end of a job: at most one row.
pub(super) fn count_end(
    overlay: &mut Overlay<'_>,
    (job, provider): (&Job, &Provider),
    (cause, settlement): (Cause, &Settlement),
    now: MarketMs,
    params: &Params,
) -> Result<(), Fault> {
    let (count, dispute) = (counts_as(job, cause), dispute_counts_as(cause));
    if (count.is_none() && dispute.is_none()) || judges(overlay, &job.payer)? {
        return Ok(());
    }
    let paid = !settlement.fee.is_zero() || (job.terms.fee_bps == 0 && !settlement.gross.is_zero());
    let related = are_related(overlay, job, provider)?;
    let count = count.filter(|count| *count == Count::TimeoutEmpty || (paid && !related));
    // A lost one counts also between related accounts, as relations are the provider's to make.
    let at_stake = job.cost(job.meter.used).fee > job.cost(settlement.billable).fee;
    let dispute = dispute.filter(|counted| match counted {
        Count::DisputeLost | Count::TimeoutEmpty => at_stake || job.terms.fee_bps == 0,
        _ => paid && !related,
    });
    if count.is_none() && dispute.is_none() {
        return Ok(());
    }
    let (key, half_life_s) = ((job.provider_id, job.model), params.market.reputation_half_life_s);
    let mut record = RECORDS.get(overlay, &key)?.unwrap_or_default();
    for counted in [count, dispute].into_iter().flatten() {
        let number = match counted {
            Count::Job => &mut record.jobs,
            Count::TimeoutWithWork => &mut record.timeouts_with_work,
            Count::TimeoutEmpty => &mut record.timeouts_empty,
            Count::DisputeWon => &mut record.disputes_won,
            Count::DisputeLost => &mut record.disputes_lost,
        };
        *number = number.plus_whole(1, now, half_life_s);
    }
    if matches!(count, Some(Count::Job | Count::TimeoutWithWork)) {
        record.units = record.units.plus_whole(settlement.billable.get(), now, half_life_s);
    }
    RECORDS.put(overlay, &key, &record);
    Ok(())
}

/// Rules 1 to 3 and 6.
fn counts_as(job: &Job, cause: Cause) -> Option<Count> {
    let (worked, acknowledged) = (!job.meter.used.is_zero(), job.is_acknowledged() && !job.meter.paid.is_zero());
    match cause {
        Cause::Unanswered | Cause::VerdictForPayer | Cause::NoVerdict => None,
        _ if acknowledged => Some(Count::Job),
        Cause::PayerCompleted | Cause::HandedOver | Cause::VerdictForProvider if worked => Some(Count::Job),
        Cause::DurationOver | Cause::Silence if worked => Some(Count::TimeoutWithWork),
        // A leg for which nothing was left is nobody's timeout.
        Cause::DurationOver | Cause::Silence if job.max_units() != Some(Units::ZERO) => Some(Count::TimeoutEmpty),
        _ => None,
    }
}

/// Rule 5.
fn dispute_counts_as(cause: Cause) -> Option<Count> {
    match cause {
        Cause::VerdictForProvider | Cause::NewerAck => Some(Count::DisputeWon),
        Cause::VerdictForPayer => Some(Count::DisputeLost),
        Cause::Unanswered => Some(Count::TimeoutEmpty),
        _ => None,
    }
}

/// Rule 9.
fn judges(rows: &impl Rows, account: &Address) -> Result<bool, Fault> {
    let roles = roles(rows)?;
    if Role::ALL.iter().any(|role| roles.get(*role).as_ref() == Some(account)) {
        return Ok(true);
    }
    let record = VALIDATORS.get(rows, &PublicKey(*account.as_bytes()))?;
    Ok(record.is_some_and(|record| record.standing != Standing::Removed))
}

/// Rule 8.
fn are_related(rows: &impl Rows, job: &Job, provider: &Provider) -> Result<bool, Fault> {
    let theirs = [Some(job.provider), provider.operator, Some(provider.payout), Some(job.payout)];
    let known = [job.payer, job.opener].iter().any(|account| theirs.contains(&Some(*account)));
    Ok(known || grant(rows, &job.payer, &job.provider)?.is_some() || grant(rows, &job.provider, &job.payer)?.is_some())
}

/// The part of a bond that a slash takes, in basis points, rounded up: of the least bond where there is more, so
/// that bonding more makes no slash look smaller.
pub fn slashed_part(amount: Amount, bond: Amount, params: &Params) -> u64 {
    let whole = bond.min(params.market.min_bond).get().max(1);
    let part = amount.get().saturating_mul(BPS).div_ceil(whole).min(BPS);
    u64::try_from(part).unwrap_or_default()
}
