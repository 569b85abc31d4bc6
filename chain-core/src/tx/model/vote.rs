//! Proposals of models and votes on them. Rules 4 to 8.

use super::*;
use crate::fault::Fault;
use crate::limits::MAX_VOTE_EXTENSIONS;
use crate::state::market::Purse;
use crate::state::market::model::{
    LAST_PROPOSALS, MODEL_PROPOSALS, MODEL_VOTES, MODELS, Model, ModelProposal, take_proposal_number,
};

/// Rule 4.
pub(super) fn propose(context: &mut Context<'_, '_>, spec: &ModelSpec) -> Result<(), Failure> {
    let (market, params, proposer, model) = (context.market()?, &context.params.market, context.sender, spec.id());
    if MODELS.get(context.state, &model)?.is_some() {
        return Err(MODEL_KNOWN.because("an unknown model", model).into());
    }
    if let Some(last) = LAST_PROPOSALS.get(context.state, &model)? {
        let last = existing(context, last)?;
        let again = last.end.plus_s(params.repropose_s);
        if last.outcome.is_none() || market.now <= again {
            return Err(MODEL_PROPOSED.because(format_args!("after {again}"), market.now).into());
        }
    }
    let (fee, end) = (params.proposal_fee, market.now.plus_s(params.voting_s));
    Purse::Account(proposer).take(context.state, market.stake_asset, fee)?;
    let proposal = take_proposal_number(context.state)?;
    let none = Amount::ZERO;
    let row =
        ModelProposal { spec: spec.clone(), proposer, fee, end, extensions: 0, late: none, votes: none, outcome: None };
    MODEL_PROPOSALS.put(context.state, &proposal, &row);
    LAST_PROPOSALS.put(context.state, &model, &proposal);
    emit(context, Event::ModelProposed { proposal, model, spec: spec.clone(), proposer, fee, end });
    Ok(())
}

/// Rules 5 and 6.
pub(super) fn vote(context: &mut Context<'_, '_>, proposal: ModelProposalId, amount: Amount) -> Result<(), Failure> {
    let (market, voter) = (context.market()?, context.sender);
    let mut row = existing(context, proposal)?;
    if row.outcome.is_some() || market.now > row.end {
        return Err(VOTE_ENDED.because(format_args!("at most {}", row.end), market.now).into());
    }
    let known = MODEL_VOTES.get(context.state, &(voter, proposal))?;
    let row_fee = if known.is_none() { context.burn_account_fee()? } else { Amount::ZERO };
    Purse::Account(voter).take(context.state, market.stake_asset, amount)?;
    let beyond = || Fault::new("votes beyond 128 bits");
    let locked = known.unwrap_or_default().checked_add(amount).ok_or_else(beyond)?;
    row.votes = row.votes.checked_add(amount).ok_or_else(beyond)?;
    extend(&mut row, amount, market.now, &context.params.market);
    MODEL_VOTES.put(context.state, &(voter, proposal), &locked);
    MODEL_PROPOSALS.put(context.state, &proposal, &row);
    let ModelProposal { votes, late, end, extensions, .. } = row;
    emit(context, Event::ModelVoted { proposal, voter, amount, locked, votes, late, end, extensions, row_fee });
    Ok(())
}

/// Counts late votes and moves the end.
fn extend(row: &mut ModelProposal, amount: Amount, now: MarketMs, params: &crate::state::market::MarketParams) {
    if now.plus_s(params.late_s) < row.end {
        return;
    }
    row.late = row.late.saturating_add(amount);
    if row.late >= params.late_votes && row.extensions < MAX_VOTE_EXTENSIONS {
        row.extensions = row.extensions.saturating_add(1);
        row.end = row.end.plus_s(params.extend_s);
        row.late = Amount::ZERO;
    }
}

/// Rule 7.
pub(super) fn finalize(context: &mut Context<'_, '_>, proposal: ModelProposalId) -> Result<(), Failure> {
    let (market, needed) = (context.market()?, context.params.market.approve_votes);
    let row = existing(context, proposal)?;
    if row.outcome.is_some() {
        return Err(PROPOSAL_FINALIZED.because("an open proposal", proposal).into());
    }
    if market.now <= row.end {
        return Err(VOTE_OPEN.because(format_args!("after {}", row.end), market.now).into());
    }
    let (model, fee, none) = (row.spec.id(), row.fee, Amount::ZERO);
    let outcome = match MODELS.get(context.state, &model)? {
        Some(_) => ProposalOutcome::Superseded,
        None if row.votes >= needed => ProposalOutcome::Approved,
        None => ProposalOutcome::Rejected,
    };
    let rejected = outcome == ProposalOutcome::Rejected;
    let to = if rejected { Purse::RejectedPool } else { Purse::Account(row.proposer) };
    to.put(context.state, market.stake_asset, fee)?;
    if outcome == ProposalOutcome::Approved {
        let (spec, tier, by) = (row.spec.clone(), Tier::Voted, context.sender);
        MODELS.put(context.state, &model, &Model::new(spec.clone(), tier));
        emit(context, Event::ModelAdded { model, spec, tier, by });
    }
    let (returned, forfeited) = if rejected { (none, fee) } else { (fee, none) };
    let (votes, proposer) = (row.votes, row.proposer);
    MODEL_PROPOSALS.put(context.state, &proposal, &ModelProposal { fee: none, outcome: Some(outcome), ..row });
    emit(context, Event::ModelFinalized { proposal, model, outcome, votes, needed, proposer, returned, forfeited });
    Ok(())
}

/// Rule 8.
pub(super) fn unlock(context: &mut Context<'_, '_>, proposal: ModelProposalId) -> Result<(), Failure> {
    let (market, voter) = (context.market()?, context.sender);
    let row = existing(context, proposal)?;
    let locked = MODEL_VOTES.get(context.state, &(voter, proposal))?;
    let amount = locked.ok_or_else(|| NO_VOTES_LOCKED.because("locked votes", proposal))?;
    let free = row.end.plus_s(context.params.market.unlock_s);
    if row.outcome.is_none() && market.now <= free {
        return Err(VOTES_LOCKED.because(format_args!("after {free}"), market.now).into());
    }
    MODEL_VOTES.remove(context.state, &(voter, proposal));
    Purse::Account(voter).put(context.state, market.stake_asset, amount)?;
    emit(context, Event::ModelVoteUnlocked { proposal, voter, amount });
    Ok(())
}

fn existing(context: &Context<'_, '_>, proposal: ModelProposalId) -> Result<ModelProposal, Failure> {
    let found = MODEL_PROPOSALS.get(context.state, &proposal)?;
    found.ok_or_else(|| UNKNOWN_MODEL_PROPOSAL.because("a proposal that was made", proposal).into())
}
