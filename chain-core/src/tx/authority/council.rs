//! The council at work: asking, voting, and carrying out what passed.
//!
//! Not here: what can be decided (`measure`), what comes into force later (`block_end`).

use super::measure::{check_room, validating};
use super::proposal::{
    CouncilVote, DEADLINES, FORGETTING, PROPOSALS, Proposal, Status, Tally, existing, take_number, wait, wait_no_more,
};
use super::*;
use crate::limits::MAX_OPEN_PROPOSALS;
use crate::state::market::{self, provider::PROVIDERS, slash::Victim};
use crate::state::protocol::{ROLES, roles};
use crate::state::validators::{JAILED_AWAY, VALIDATORS, enrol, roster};
use crate::state::{Now, Overlay};

/// The sender as a member of the council, with the council.
fn member(context: &Context<'_, '_>) -> Result<(PublicKey, Vec<Member>), Failure> {
    let (key, council) = (known(context)?, council(context.state)?);
    if council.iter().any(|member| member.key == key) { Ok((key, council)) } else { Err(no_member(context)) }
}

/// The sender's key, if it has a record: strangers are turned away before everybody's record is read.
fn known(context: &Context<'_, '_>) -> Result<PublicKey, Failure> {
    let key = context.sender.key();
    if VALIDATORS.get(context.state, &key)?.is_some() { Ok(key) } else { Err(no_member(context)) }
}

fn no_member(context: &Context<'_, '_>) -> Failure {
    let expected = "the plain account of the key of a validator that is admitted and ready";
    NOT_ON_COUNCIL.because(expected, context.sender).into()
}

/// Rules 2 to 4.
pub(super) fn propose(context: &mut Context<'_, '_>, measure: Measure) -> Result<(), Failure> {
    let (proposer, council) = member(context)?;
    let record = VALIDATORS.get(context.state, &proposer)?;
    let mut record = record.ok_or_else(|| Fault::new("a member of the council has no record"))?;
    if record.open_proposals >= MAX_OPEN_PROPOSALS {
        let most = format_args!("at most {MAX_OPEN_PROPOSALS}").to_string();
        return Err(TOO_MANY_PROPOSALS.because(most, record.open_proposals).into());
    }
    measure.check_now(context.state, context.now())?;
    let victim = measure.victim(context.state)?;
    record.open_proposals = record.open_proposals.saturating_add(1);
    VALIDATORS.put(context.state, &proposer, &record);
    let id = take_number(context.state)?;
    let expires_at = context.timestamp.saturating_add(u64::from(context.params.proposal_ttl_s).saturating_mul(1_000));
    DEADLINES.put(context.state, &(expires_at, id), &());
    let votes = List::new(vec![CouncilVote { member: proposer, approve: true }]).unwrap_or_default();
    emit(context, Event::ProposalOpened { proposal: id, proposer, measure: measure.clone(), expires_at });
    let status = Status::Open;
    let proposal = Proposal { proposer, measure, victim, opened: context.height, expires_at, votes, status };
    Ok(decide(context, id, proposal, &council)?)
}

/// Rules 5 and 6.
pub(super) fn vote(context: &mut Context<'_, '_>, id: ProposalId, approve: bool) -> Result<(), Failure> {
    let member_key = known(context)?;
    let found = PROPOSALS.get(context.state, &id)?;
    let mut proposal = found.ok_or_else(|| UNKNOWN_PROPOSAL.because("a proposal in the state", id))?;
    if proposal.status != Status::Open {
        return Err(PROPOSAL_CLOSED.because("an open proposal", format_args!("{:?}", proposal.status)).into());
    }
    if context.timestamp >= proposal.expires_at {
        let before = format_args!("a block before {} ms", proposal.expires_at).to_string();
        return Err(PROPOSAL_EXPIRED.because(before, context.timestamp).into());
    }
    if proposal.votes.iter().any(|vote| vote.member == member_key) {
        return Err(ALREADY_VOTED.because("one vote per member", member_key).into());
    }
    let (member, council) = member(context)?;
    // Votes of validators that have left the state make room; they did not count any more.
    let known = roster(context.state)?;
    let mut votes = proposal.votes.into_inner();
    votes.retain(|vote| known.binary_search(&vote.member).is_ok());
    votes.push(CouncilVote { member, approve });
    proposal.votes = List::new(votes).map_err(|e| Fault::new(format!("the votes on proposal {id}: {e}")))?;
    let tally = Tally::of(&proposal.votes, &council);
    emit(context, Event::CouncilVoted { proposal: id, member, approve, tally });
    Ok(decide(context, id, proposal, &council)?)
}

/// Adds up the votes; carries out what passes.
fn decide(context: &mut Context<'_, '_>, id: ProposalId, proposal: Proposal, council: &[Member]) -> Result<(), Fault> {
    let tally = Tally::of(&proposal.votes, council);
    let now = context.now();
    let (status, effects) = if tally.passes() {
        carry_out(context.state, now, id, &proposal)?
    } else if tally.is_refused() {
        (Status::Refused, None)
    } else {
        PROPOSALS.put(context.state, &id, &proposal);
        return Ok(());
    };
    let ended = close(context.state, now, (id, proposal), (status, tally))?;
    emit(context, ended);
    effects.into_iter().for_each(|event| emit(context, event));
    Ok(())
}

/// Ends an open proposal.
pub(super) fn close(
    state: &mut Overlay<'_>,
    now: Now<'_>,
    (id, proposal): (ProposalId, Proposal),
    (status, tally): (Status, Tally),
) -> Result<Event, Fault> {
    DEADLINES.remove(state, &(proposal.expires_at, id));
    if let Some(mut record) = VALIDATORS.get(state, &proposal.proposer)? {
        record.open_proposals = record.open_proposals.saturating_sub(1);
        VALIDATORS.put(state, &proposal.proposer, &record);
    }
    let (proposer, measure) = (proposal.proposer, proposal.measure.clone());
    settle(state, now, (id, proposal), status)?;
    Ok(Event::ProposalEnded { proposal: id, proposer, measure, status, tally })
}

/// Writes how a proposal stands. Unless it waits for its block, it is forgotten `retention_s` later.
pub(super) fn settle(
    state: &mut Overlay<'_>,
    now: Now<'_>,
    (id, proposal): (ProposalId, Proposal),
    status: Status,
) -> Result<(), Fault> {
    match status {
        Status::Passed { activates } => wait(state, activates, id)?,
        _ => {
            let kept_until = now.timestamp.saturating_add(u64::from(now.params.retention_s).saturating_mul(1_000));
            FORGETTING.put(state, &(kept_until, id), &());
        }
    }
    PROPOSALS.put(state, &id, &Proposal { status, ..proposal });
    Ok(())
}

/// Carries out what passed, if it still can be.
pub(super) fn carry_out(
    state: &mut Overlay<'_>,
    now: Now<'_>,
    proposal: ProposalId,
    Proposal { measure, victim, .. }: &Proposal,
) -> Result<(Status, Option<Event>), Fault> {
    let activates = match measure {
        Measure::Parameter { .. } => Some(now.earliest()),
        Measure::Upgrade { height, .. } => Some(*height),
        _ => None,
    };
    let room = if activates.is_some() { check_room(state) } else { Ok(()) };
    match room.and_then(|()| measure.check_now(state, now)) {
        Ok(()) => {}
        Err(Failure::Rejected(rejected)) => return Ok((Status::Failed { number: rejected.number() }, None)),
        Err(Failure::Fault(fault)) => return Err(fault),
    }
    let event = match (measure, activates) {
        (_, Some(activates)) => return Ok((Status::Passed { activates }, None)),
        (Measure::Parameter { .. } | Measure::Upgrade { .. }, None) => {
            return Err(Fault::new("a measure without its block"));
        }
        (Measure::Role { role, account }, None) => {
            let mut roles = roles(state)?;
            let before = roles.get(*role);
            roles.set(*role, *account);
            ROLES.put(state, &(), &roles);
            Event::RoleGiven { proposal, role: *role, before, after: *account }
        }
        (Measure::Add { public_key, name, weight }, None) => {
            admit(state, public_key, ValidatorRecord::admitted(name.clone(), *weight, now.height))?;
            Event::ValidatorAdmitted { proposal, validator: *public_key, name: name.clone(), weight: *weight }
        }
        (Measure::Remove { public_key }, None) => {
            set_standing(state, now, public_key, Standing::Removed)?;
            Event::ValidatorRemoved { proposal, validator: *public_key }
        }
        (Measure::Jail { public_key }, None) => {
            let cause = JailCause::Council;
            let absence = jail(state, now, public_key, cause)?;
            Event::ValidatorJailed { validator: *public_key, cause, absence, proposal: Some(proposal) }
        }
        (Measure::Unjail { public_key }, None) => {
            match JAILED_AWAY.get(state, public_key)? {
                Some(_) => JAILED_AWAY.remove(state, public_key),
                None => set_standing(state, now, public_key, Standing::Admitted).map(drop)?,
            }
            Event::ValidatorUnjailed { proposal, validator: *public_key }
        }
        (Measure::Withdraw { proposal: withdrawn }, None) => {
            withdraw(state, now, *withdrawn)?;
            Event::ProposalWithdrawn { proposal, withdrawn: *withdrawn }
        }
        (Measure::Slash { provider, amount, evidence, reason, .. }, None) => {
            let slash = slash_bond(state, now, provider, *amount, *victim)?;
            Event::BondSlashed { proposal, slash, evidence: evidence.clone(), reason: reason.clone() }
        }
    };
    Ok((Status::Enacted, Some(event)))
}

/// Rule 21.
fn slash_bond(
    state: &mut Overlay<'_>,
    now: Now<'_>,
    provider: &Address,
    amount: Amount,
    victim: Option<Victim>,
) -> Result<slash::Slash, Fault> {
    let market = market::market(state, now.timestamp, now.params)?;
    let bond = PROVIDERS.get(state, provider)?.map_or(Amount::ZERO, |row| row.bond);
    slash::slash(state, provider, amount.min(bond), victim, (&market, now.params)).map_err(|failure| match failure {
        Failure::Fault(fault) => fault,
        Failure::Rejected(rejected) => Fault::new(format!("judged feasible, but {rejected}")),
    })
}

/// Rule 10: what has passed comes into force no more.
fn withdraw(state: &mut Overlay<'_>, now: Now<'_>, id: ProposalId) -> Result<(), Fault> {
    let proposal = existing(state, id)?;
    if let Status::Passed { activates } = proposal.status {
        wait_no_more(state, activates, id)?;
    }
    settle(state, now, (id, proposal), Status::Withdrawn)
}

fn admit(state: &mut Overlay<'_>, key: &PublicKey, new: ValidatorRecord) -> Result<(), Fault> {
    let record = match VALIDATORS.get(state, key)? {
        // What it did before, it did.
        Some(old) => ValidatorRecord { spans: old.spans, open_proposals: old.open_proposals, ..new },
        None => new,
    };
    enrol(state, key, &record)
}

/// Rules 11 and 18; the absence counted so far.
fn jail(state: &mut Overlay<'_>, now: Now<'_>, key: &PublicKey, cause: JailCause) -> Result<u32, Fault> {
    if VALIDATORS.get(state, key)?.is_some_and(|record| record.standing != Standing::Removed) {
        return set_standing(state, now, key, Standing::Jailed(cause));
    }
    JAILED_AWAY.put(state, key, &cause);
    Ok(0)
}

/// The absence counted so far; it starts anew.
fn set_standing(state: &mut Overlay<'_>, now: Now<'_>, key: &PublicKey, standing: Standing) -> Result<u32, Fault> {
    let mut record = match validating(state, key) {
        Ok(record) => record,
        Err(Failure::Fault(fault)) => return Err(fault),
        Err(Failure::Rejected(rejected)) => return Err(Fault::new(format!("judged feasible, but {rejected}"))),
    };
    let absence = std::mem::take(&mut record.absence);
    record.set_standing(standing, now.height);
    VALIDATORS.put(state, key, &record);
    Ok(absence)
}
