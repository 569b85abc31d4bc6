//! What is due at the end of a block: missed turns are counted, proposals expire or are forgotten,
//! changes of the rules come into force, and after an epoch the validator set changes.
//!
//! What is written here is in force from the next block on, so that the state after a block says
//! everything about the next one.
//!
//! Not here: the arithmetic of the set (`epoch`).

use super::council::{carry_out, close, settle};
use super::epoch::{Plan, Wanted, plan};
use super::measure::check_parameter;
use super::proposal::{ACTIVATIONS, DEADLINES, FORGETTING, PROPOSALS, Status, Tally, due, existing, wait_no_more};
use super::*;
use crate::limits::{MAX_COUNTED_VIEWS, MAX_DEADLINES_PER_BLOCK, MAX_SIGNERS_BY_STAKE, MAX_SPANS};
use crate::state::protocol::{PROTOCOL, protocol};
use crate::state::validators::{
    JAILED_AWAY, VALIDATOR_SETS, VALIDATORS, ValidatorSets, next_set, records, retired_due,
};
use crate::state::{PARAM_CHANGES, PARAMS, ParamChange, Protocol, Span, params, stakes};
use crate::tx::BlockEnd;
use crate::types::{ConsensusMode, Validator, ValidatorSet, View};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is due.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    count_turns(block)?;
    look_at_retired(block)?;
    end_proposals(block)?;
    come_into_force(block)?;
    if block.height.get().checked_rem(block.params.epoch_blocks.into()) == Some(0) {
        change_set(block)?;
    }
    Ok(())
}

fn report(block: &mut BlockEnd<'_, '_>, event: Event) {
    block.report(vec![crate::tx::Event::Authority(event)]);
}

/// Rule 14: the leaders of the views before the block's missed their turn, once per height; who built
/// the block did not.
fn count_turns(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    if let Some(record) = VALIDATORS.get(block.state, &block.proposer)?.filter(|record| record.absence > 0) {
        let absence = record.absence.saturating_sub(1);
        VALIDATORS.put(block.state, &block.proposer, &ValidatorRecord { absence, ..record });
    }
    if block.view == View::ZERO {
        return Ok(());
    }
    let set = next_set(block.state)?;
    let views = (0..block.view.get().min(MAX_COUNTED_VIEWS)).map(View::new);
    let proposer = block.proposer;
    let leaders: BTreeSet<_> = views.map(|view| set.leader(block.height, view).public_key).collect();
    let mut able = able(block, &set)?;
    for key in leaders.iter().filter(|key| **key != proposer) {
        count_miss(block, &set, &mut able, key)?;
    }
    Ok(())
}

/// The weights of the set's members that shall stay: where nobody qualifies (rule 19), of those who may.
fn able(block: &BlockEnd<'_, '_>, set: &ValidatorSet) -> Result<BTreeMap<PublicKey, u64>, Fault> {
    let (mut able, mut active) = (BTreeMap::new(), BTreeMap::new());
    for member in set.members() {
        let Some(record) = VALIDATORS.get(block.state, &member.public_key)? else { continue };
        if record.is_active() {
            active.insert(member.public_key, member.weight);
        }
        if record.target() > 0 {
            able.insert(member.public_key, member.weight);
        }
    }
    Ok(if able.is_empty() { active } else { able })
}

fn count_miss(
    block: &mut BlockEnd<'_, '_>,
    set: &ValidatorSet,
    able: &mut BTreeMap<PublicKey, u64>,
    key: &PublicKey,
) -> Result<(), Fault> {
    let Some(mut record) = VALIDATORS.get(block.state, key)? else { return Ok(()) };
    let (before, limit) = (record.absence, block.params.absence_jail_turns);
    record.missed = record.missed.saturating_add(1);
    let admitted = record.standing == Standing::Admitted;
    // With stake whoever left may bond again without a vote.
    let away = record.standing == Standing::Removed
        && record.equivocation.is_none()
        && stakes::mode(block.state)? == ConsensusMode::Pos
        && JAILED_AWAY.get(block.state, key)?.is_none();
    if admitted || away {
        record.absence = before.saturating_add(1).min(limit);
    }
    let absence = record.absence;
    let mut event = None;
    if away && absence == limit {
        let cause = JailCause::Absence;
        record.absence = 0;
        JAILED_AWAY.put(block.state, key, &cause);
        event = Some(Event::ValidatorJailed { validator: *key, cause, absence, proposal: None });
    } else if admitted && absence == limit {
        let others = able.iter().filter(|(other, _)| *other != key).map(|(_, weight)| *weight);
        let (left, total) = (others.fold(0, u64::saturating_add), set.total_weight());
        if protocol(block.state)?.quorum_rule.is_quorum(left, total) {
            able.remove(key);
            let cause = JailCause::Absence;
            record.absence = 0;
            record.set_standing(Standing::Jailed(cause), block.height);
            event = Some(Event::ValidatorJailed { validator: *key, cause, absence, proposal: None });
        } else if before != limit {
            // Said once for each limit; it is tried again at every further miss.
            event = Some(Event::JailDelayed { validator: *key, absence, able: left, total });
        }
    }
    VALIDATORS.put(block.state, key, &record);
    event.into_iter().for_each(|event| report(block, event));
    Ok(())
}

/// Rule 13: what can't be proven any more against who left is forgotten.
fn look_at_retired(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    for (at, key) in retired_due(block.state.base(), block.height, MAX_DEADLINES_PER_BLOCK)? {
        let record = VALIDATORS.get(block.state, &key)?;
        // Else it came back in this very block.
        if let Some(record) = record.filter(|record| record.retired == Some(at)) {
            stakes::let_go(block.state, &key, record, block.now())?;
        }
    }
    Ok(())
}

/// Rules 7 and 8.
fn end_proposals(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let (tree, now) = (block.state.base(), block.timestamp.get());
    // Read once, and again where something was carried out: that may change it.
    let mut members = None;
    for (at, id) in due(&DEADLINES, tree, now, MAX_DEADLINES_PER_BLOCK)? {
        // Else it was decided in this very block.
        if DEADLINES.get(block.state, &(TimestampMs::new(at), id))?.is_some() {
            let known = members.take().map_or_else(|| council(block.state), Ok)?;
            members = (!expire(block, id, &known)?).then_some(known);
        }
    }
    for (at, id) in due(&FORGETTING, tree, now, MAX_DEADLINES_PER_BLOCK)? {
        FORGETTING.remove(block.state, &(TimestampMs::new(at), id));
        PROPOSALS.remove(block.state, &id);
    }
    Ok(())
}

/// Adds up once more: the council may have shrunk since the last vote. Whether it passed.
fn expire(block: &mut BlockEnd<'_, '_>, id: ProposalId, council: &[Member]) -> Result<bool, Fault> {
    let (proposal, now) = (existing(block.state, id)?, block.now());
    let tally = Tally::of(&proposal.votes, council);
    let (status, effect) = match tally.passes() {
        true => carry_out(block.state, now, id, &proposal)?,
        false => (Status::Expired, None),
    };
    let ended = close(block.state, now, (id, proposal), (status, tally))?;
    [Some(ended), effect].into_iter().flatten().for_each(|event| report(block, event));
    Ok(tally.passes())
}

/// Rules 9 and 10. Bounded by how many may wait.
fn come_into_force(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let tree = block.state.base();
    let height = block.height.next();
    for (at, id) in due(&ACTIVATIONS, tree, height.get(), usize::MAX)? {
        let row = (Height::new(at), id);
        if ACTIVATIONS.get(block.state, &row)?.is_none() {
            // Withdrawn in this very block.
            continue;
        }
        wait_no_more(block.state, row.0, id)?;
        let proposal = existing(block.state, id)?;
        let (status, event) = match &proposal.measure {
            Measure::Parameter { name, value } => set_parameter(block, id, name, *value)?,
            Measure::Upgrade { version, .. } => upgrade(block, id, *version)?,
            _ => return Err(Fault::new(format!("proposal {id} waits for a height but changes no rule"))),
        };
        let now = block.now();
        settle(block.state, now, (id, proposal), status)?;
        report(block, event);
    }
    Ok(())
}

fn set_parameter(
    block: &mut BlockEnd<'_, '_>,
    proposal: ProposalId,
    name: &Text<MAX_PARAM_NAME_BYTES>,
    value: u128,
) -> Result<(Status, Event), Fault> {
    let (params, name, height) = (params(block.state)?, name.clone(), block.height.next());
    match check_parameter(&params, &name, value).map(|()| params.with(&name, value)) {
        Ok(Ok(changed)) => {
            let before = params.bounds().into_iter().find(|param| *param.name == *name);
            let before = before.map(|param| param.value).unwrap_or_default();
            PARAMS.put(block.state, &(), &changed);
            let change = ParamChange { name: name.clone(), before, after: value };
            PARAM_CHANGES.put(block.state, &(height, proposal), &change);
            Ok((Status::Enacted, Event::ParameterChanged { proposal, name, before, after: value, height }))
        }
        Ok(Err(error)) => Err(Fault::new(format!("a parameter that was judged right: {error}"))),
        Err(rejected) => {
            let number = rejected.number();
            Ok((Status::Failed { number }, Event::ParameterKept { proposal, name, value, number }))
        }
    }
}

fn upgrade(block: &mut BlockEnd<'_, '_>, proposal: ProposalId, version: u32) -> Result<(Status, Event), Fault> {
    let (old, height) = (protocol(block.state)?, block.height.next());
    if version <= old.version {
        // Another proposal for it came first.
        let number = UPGRADE_VERSION.number;
        return Ok((Status::Failed { number }, Event::UpgradeDropped { proposal, version, current: old.version }));
    }
    PROTOCOL.put(block.state, &(), &Protocol { version, ..old });
    Ok((Status::Enacted, Event::RulesUpgraded { proposal, before: old.version, after: version, height }))
}

/// Rules 12 and 13.
fn change_set(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let sets = VALIDATOR_SETS.get(block.state, &())?;
    let old = sets.ok_or_else(|| Fault::new("the state has no validators"))?.next;
    let anybody = stakes::weigh(block.state, block.params)?;
    let known = records(block.state)?;
    let weight = |key: &PublicKey, record: &ValidatorRecord| match (anybody, record.is_active()) {
        (true, _) => record.target(),
        // Rule 19: nobody joins, and who may stay does as it is.
        (false, true) => weight_in(&old, key),
        (false, false) => 0,
    };
    let wanted = |(key, record): &(PublicKey, ValidatorRecord)| Wanted {
        key: *key,
        weight: weight(key, record),
        convicted: record.equivocation.is_some(),
        since: record.since,
    };
    let wanted: Vec<_> = known.iter().map(wanted).collect();
    // Whoever leaves slowly signs on: some places stay for those who have more stake.
    let room = if stakes::mode(block.state)? == ConsensusMode::Poa { MAX_VALIDATORS } else { MAX_SIGNERS_BY_STAKE };
    let Plan { members, waiting } = plan(protocol(block.state)?.quorum_rule, room, &old, &wanted);
    for (key, record) in known {
        keep_record(block, &key, record, &members)?;
    }
    if members == old {
        if !waiting.is_empty() {
            report(block, Event::ChangesWait { waiting: listed(waiting)? });
        }
        return Ok(());
    }
    let event = set_changed(block.height.next(), (&old, &members), waiting)?;
    VALIDATOR_SETS.put(block.state, &(), &ValidatorSets { next: members });
    report(block, event);
    Ok(())
}

/// Writes when a validator was in the set; forgets what can't be proven against it any more, and
/// whoever was removed once nothing can.
fn keep_record(
    block: &mut BlockEnd<'_, '_>,
    key: &PublicKey,
    record: ValidatorRecord,
    members: &[Validator],
) -> Result<(), Fault> {
    let (now, window) = (block.height, u64::from(block.params.evidence_window_blocks));
    let is_member = members.iter().any(|member| member.public_key == *key);
    let mut spans = record.spans.to_vec();
    match spans.last_mut().filter(|span| span.until.is_none()) {
        Some(open) if !is_member => open.until = Some(now),
        None if is_member => spans.push(Span { from: now.next(), until: None }),
        _ => {}
    }
    // With stake anybody can come and go as often as he likes, and none of it may be forgotten.
    while spans.len() > MAX_SPANS {
        let oldest = spans.remove(0);
        spans.iter_mut().take(1).for_each(|next| next.from = oldest.from);
    }
    let spans = List::new(spans).map_err(|e| Fault::new(format!("the spans of a validator: {e}")))?;
    let mut kept = ValidatorRecord { spans, ..record.clone() };
    kept.drop_spans(now, window);
    if kept.standing == Standing::Removed && !is_member {
        return stakes::let_go(block.state, key, kept, block.now());
    }
    if kept.spans != record.spans {
        VALIDATORS.put(block.state, key, &kept);
    }
    Ok(())
}

fn weight_in(set: &[Validator], key: &PublicKey) -> u64 {
    set.iter().find(|member| member.public_key == *key).map_or(0, |member| member.weight)
}

fn set_changed(
    from: Height,
    (old, new): (&[Validator], &[Validator]),
    waiting: Vec<epoch::Waiting>,
) -> Result<Event, Fault> {
    let alone = |these: &[Validator], others: &[Validator]| {
        listed(these.iter().filter(|member| weight_in(others, &member.public_key) == 0).cloned().collect())
    };
    let reweighted = new.iter().filter_map(|member| {
        let (validator, before, after) = (member.public_key, weight_in(old, &member.public_key), member.weight);
        (before != 0 && before != after).then_some(Reweighted { validator, before, after })
    });
    let total = |members: &[Validator]| members.iter().fold(0u64, |sum, member| sum.saturating_add(member.weight));
    Ok(Event::SetChanged {
        from,
        joined: alone(new, old)?,
        left: alone(old, new)?,
        reweighted: listed(reweighted.collect())?,
        weight_before: total(old),
        weight_after: total(new),
        waiting: listed(waiting)?,
    })
}

/// There are no more of them than validators.
fn listed<T>(items: Vec<T>) -> Result<List<T, MAX_VALIDATORS>, Fault> {
    List::new(items).map_err(|e| Fault::new(format!("a change of the set: {e}")))
}
