//! Readiness of a validator, and evidence against one.
//!
//! Not here: what contradicts what (`types::Evidence`), the two signatures, which are verified with
//! the transaction's own.

use super::measure::validating;
use super::*;
use crate::state::stakes;
use crate::state::validators::{CONVICTED, VALIDATORS, put_record};

/// Rule 12.
pub(super) fn ready(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let key = key_of(&context.sender);
    let mut record = validating(context.state, &key)?;
    if record.standing != Standing::Admitted {
        return Err(JAILED.because("a validator that is not jailed", key).into());
    }
    if record.ready {
        return Err(ALREADY_READY.because("a validator that has to say it", key).into());
    }
    (record.ready, record.since) = (true, context.height);
    put_record(context.state, &key, &record)?;
    let weight = record.weight;
    emit(context, Event::ValidatorDeclaredReady { validator: key, weight });
    Ok(())
}

/// Rules 15 to 17.
pub(super) fn submit(context: &mut Context<'_, '_>, evidence: &Evidence) -> Result<(), Failure> {
    let (validator, equivocation) = (evidence.signer(), equivocation(evidence)?);
    check_window(context, equivocation.height)?;
    let record = VALIDATORS.get(context.state, &validator)?.filter(|record| record.signed_at(equivocation.height));
    let Some(mut record) = record else {
        let expected = format_args!("a validator of height {}", equivocation.height).to_string();
        return Err(NOT_A_VALIDATOR_THEN.because(expected, validator).into());
    };
    match record.equivocation {
        Some(known) if known == equivocation => return Err(EVIDENCE_REPEATED.because("something new", known).into()),
        Some(known) => return Err(TOMBSTONED.because("a validator that was not convicted", known).into()),
        None => {}
    }
    record.equivocation = Some(equivocation);
    CONVICTED.put(context.state, &validator, &equivocation);
    let removed = record.standing == Standing::Removed;
    let standing = if removed { Standing::Removed } else { Standing::Jailed(JailCause::Equivocation) };
    record.set_standing(standing, context.height);
    put_record(context.state, &validator, &record)?;
    let reporter = context.sender;
    let now = stakes::Now { height: context.height, timestamp: context.timestamp, params: context.params };
    let slash = stakes::slash(context.state, &validator, equivocation.height, &reporter, now)?;
    emit(context, Event::EquivocationProven { validator, reporter, equivocation, jailed: !removed });
    slash.into_iter().for_each(|slash| emit(context, Event::StakeSlashed { validator, reporter, slash }));
    Ok(())
}

pub(super) fn equivocation(evidence: &Evidence) -> Result<Equivocation, Rejected> {
    evidence.equivocation().map_err(|why| NOT_EVIDENCE.because("two words no honest validator says both", why))
}

fn check_window(context: &Context<'_, '_>, height: Height) -> Result<(), Rejected> {
    let now = context.height;
    if height > now {
        return Err(EVIDENCE_TOO_EARLY.because(format_args!("height {now} or lower"), height));
    }
    let oldest = now.saturating_sub(context.params.evidence_window_blocks.into());
    if height < oldest {
        return Err(EVIDENCE_TOO_OLD.because(format_args!("height {oldest} or higher"), height));
    }
    Ok(())
}
