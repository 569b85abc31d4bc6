//! Verdicts. Rules 5 and 6.

use super::*;
use crate::codec::List;
use crate::state::council::{Member, council};
use crate::state::market::dispute::{Ballot, dispute_terms};
use crate::state::market::provider::DisputeTerms;
use crate::state::validators::VALIDATORS;

pub(super) fn vote(context: &mut Context<'_, '_>, id: JobId, for_provider: bool) -> Result<(), Failure> {
    let (voter, market) = (context.sender, context.market()?);
    let (job, mut dispute) = disputed(context, id, &market)?;
    if dispute.answered.is_none() {
        return Err(NOT_ANSWERED.because("a dispute with an answer", id).into());
    }
    let terms = dispute_terms(context.state, id)?;
    let council = voters(context, &terms, &voter)?;
    if [job.payer, job.opener, job.provider, job.payout].contains(&voter) {
        return Err(PARTY_VOTES.because("somebody without a part in the job", voter).into());
    }
    if dispute.votes.iter().any(|ballot| ballot.voter == voter) {
        return Err(DISPUTE_VOTED.because("one vote per account", voter).into());
    }
    let mut votes = dispute.votes.into_inner();
    votes.push(Ballot { voter, for_provider });
    dispute.votes = List::new(votes).map_err(|e| Fault::new(format!("the votes about job {id}: {e}")))?;
    let (votes, needed) = tally(&terms, &council, &dispute, for_provider);
    let (payer, provider) = (job.payer, job.provider);
    let said = Event::DisputeVoted { job: id, payer, provider, voter, for_provider, votes, needed };
    context.emit(crate::tx::Event::Dispute(said));
    if votes < needed {
        DISPUTES.put(context.state, &id, &dispute);
        return Ok(());
    }
    let cause = if for_provider { Cause::VerdictForProvider } else { Cause::VerdictForPayer };
    let now = (&market, context.params);
    let said = end(context.state, (id, job), dispute, (cause, Some(voter)), now)?;
    context.emit(crate::tx::Event::Dispute(said));
    Ok(())
}

/// The council, where it decides. Refused for whoever has no vote.
fn voters(context: &Context<'_, '_>, terms: &DisputeTerms, voter: &Address) -> Result<Vec<Member>, Failure> {
    let stranger = || NOT_AN_ARBITER.because("an arbiter of the job, or without arbiters the council", voter).into();
    if !terms.arbiters.is_empty() {
        return if terms.arbiters.contains(voter) { Ok(Vec::new()) } else { Err(stranger()) };
    }
    // Strangers are turned away before everybody's record is read.
    let key = voter.key();
    if VALIDATORS.get(context.state, &key)?.is_none() {
        return Err(stranger());
    }
    let council = council(context.state)?;
    if council.iter().any(|member| member.key == key) { Ok(council) } else { Err(stranger()) }
}

/// How many votes there are for this side, and how many decide: of arbiters by heads, of the council by weight as it is
/// now.
fn tally(terms: &DisputeTerms, council: &[Member], dispute: &Dispute, for_provider: bool) -> (u64, u64) {
    let voters: Vec<Address> = dispute.voters(for_provider).collect();
    if !terms.arbiters.is_empty() {
        return (voters.len() as u64, terms.arbiters_needed.into());
    }
    let weight = |counts: &dyn Fn(&Member) -> bool| {
        council.iter().filter(|member| counts(member)).fold(0u64, |sum, member| sum.saturating_add(member.weight))
    };
    let votes = weight(&|member| voters.contains(&Address::of_key(&member.key)));
    let all = u128::from(weight(&|_| true));
    (votes, u64::try_from(2 * all / 3).unwrap_or(u64::MAX).saturating_add(1))
}
