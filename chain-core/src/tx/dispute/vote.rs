//! Verdicts. Rules 5 and 6.

use super::*;
use crate::codec::List;
use crate::state::council::council;
use crate::state::market::dispute::Ballot;
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
    if is_party(&job, &voter) {
        return Err(PARTY_VOTES.because("somebody without a part in the job", voter).into());
    }
    if dispute.votes.iter().any(|ballot| ballot.voter == voter) {
        return Err(DISPUTE_VOTED.because("one vote per account", voter).into());
    }
    let mut votes = dispute.votes.into_inner();
    // Votes of who has left the council make room; they did not count any more.
    votes.retain(|ballot| terms.arbiters.contains(&ballot.voter) || is_on(&council, &ballot.voter));
    votes.push(Ballot { voter, for_provider });
    dispute.votes = List::new(votes).map_err(|e| Fault::new(format!("the votes about job {id}: {e}")))?;
    let (votes, needed) = tally(&terms, &council, (&job, &dispute), for_provider);
    let (payer, provider) = (job.payer, job.provider);
    let said = Event::DisputeVoted { job: id, payer, provider, voter, for_provider, votes, needed };
    context.emit(crate::tx::Event::Dispute(said));
    let Some(cause) = verdict(&terms, &council, (&job, &dispute)) else {
        DISPUTES.put(context.state, &id, &dispute);
        return Ok(());
    };
    let now = (&market, context.params);
    let said = end(context.state, (id, job), dispute, (cause, Some(voter), Cost::default()), now)?;
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

/// Rule 6.
fn is_party(job: &Job, account: &Address) -> bool {
    [job.payer, job.opener, job.provider, job.payout].contains(account)
}

fn is_on(council: &[Member], account: &Address) -> bool {
    council.iter().any(|member| Address::of_key(&member.key) == *account)
}

/// Which side has the votes it needs.
pub(super) fn verdict(terms: &DisputeTerms, council: &[Member], about: (&Job, &Dispute)) -> Option<Cause> {
    [(true, Cause::VerdictForProvider), (false, Cause::VerdictForPayer)].into_iter().find_map(
        |(for_provider, cause)| {
            let (votes, needed) = tally(terms, council, about, for_provider);
            (votes >= needed).then_some(cause)
        },
    )
}

/// How many votes there are for this side, and how many decide: of arbiters by heads; of the council, without the
/// parties of the job, by weight.
fn tally(terms: &DisputeTerms, council: &[Member], (job, dispute): (&Job, &Dispute), for_provider: bool) -> (u64, u64) {
    let voters: Vec<Address> = dispute.voters(for_provider).collect();
    if !terms.arbiters.is_empty() {
        return (voters.len() as u64, terms.arbiters_needed.into());
    }
    let (mut votes, mut all) = (0u64, 0u64);
    for Member { key, weight } in council {
        let account = Address::of_key(key);
        if !is_party(job, &account) {
            all = all.saturating_add(*weight);
            votes = votes.saturating_add(if voters.contains(&account) { *weight } else { 0 });
        }
    }
    (votes, u64::try_from(2 * u128::from(all) / 3).unwrap_or(u64::MAX).saturating_add(1))
}
