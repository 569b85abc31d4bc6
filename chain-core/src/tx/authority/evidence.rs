//! Readiness of a validator, and evidence against one.
//!
//! Not here: what contradicts what (`types::Evidence`), the two signatures, which are verified with
//! the transaction's own.

use super::measure::validating;
use super::*;
use crate::state::stakes;
use crate::state::validators::{CONVICTED, VALIDATORS};

/// Rule 12.
pub(super) fn ready(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let key = context.sender.key();
    let mut record = validating(context.state, &key)?;
    if record.standing != Standing::Admitted {
        return Err(JAILED.because("a validator that is not jailed", key).into());
    }
    if record.ready {
        return Err(ALREADY_READY.because("a validator that has to say it", key).into());
    }
    (record.ready, record.since) = (true, context.height);
    VALIDATORS.put(context.state, &key, &record);
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
    let reporter = context.sender;
    if let Some(known) = record.equivocation {
        if known == equivocation {
            return Err(EVIDENCE_REPEATED.because("something new", known).into());
        }
        // Rule 17: an older one may reach stake that had left before the one that is known.
        let slash = stakes::slash(context.state, &validator, equivocation.height, &reporter, context.now())?;
        let slash = slash.ok_or_else(|| TOMBSTONED.because("a validator that was not convicted", known))?;
        emit(context, Event::StakeSlashed { validator, reporter, slash });
        return Ok(());
    }
    record.equivocation = Some(equivocation);
    CONVICTED.put(context.state, &validator, &equivocation);
    let removed = record.standing == Standing::Removed;
    let standing = if removed { Standing::Removed } else { Standing::Jailed(JailCause::Equivocation) };
    record.set_standing(standing, context.height);
    VALIDATORS.put(context.state, &validator, &record);
    let slash = stakes::slash(context.state, &validator, equivocation.height, &reporter, context.now())?;
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
