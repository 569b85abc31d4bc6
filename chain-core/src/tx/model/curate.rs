//! What the curator does. Rules 1 to 3.

use super::*;
use crate::state::Role;
use crate::state::market::check_role;
use crate::state::market::model::{MODELS, Model, model};

pub(super) fn curate(context: &mut Context<'_, '_>, models: &[ModelSpec]) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, &[Role::Curator])?;
    let mut added = 0;
    for spec in models {
        let model = spec.id();
        if MODELS.get(context.state, &model)?.is_some() {
            emit(context, Event::ModelSkipped { model, by });
            continue;
        }
        added += 1;
        let tier = Tier::Curated;
        MODELS.put(context.state, &model, &Model::new(spec.clone(), tier));
        emit(context, Event::ModelAdded { model, spec: spec.clone(), tier, by });
    }
    if added == 0 {
        return Err(NOTHING_NEW.because("a model that is not known", models.len()).into());
    }
    Ok(())
}

pub(super) fn set_active(context: &mut Context<'_, '_>, id: &ModelId, active: bool) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, &[Role::Curator])?;
    let row = model(context.state, id)?;
    MODELS.put(context.state, id, &Model { active, ..row });
    emit(context, Event::ModelActiveSet { model: *id, active, by });
    Ok(())
}

pub(super) fn set_rate(context: &mut Context<'_, '_>, id: &ModelId, rate: Option<u32>) -> Result<(), Failure> {
    let by = context.sender;
    check_role(context.state, &by, &[Role::Curator])?;
    let row = model(context.state, id)?;
    MODELS.put(context.state, id, &Model { rate, ..row });
    emit(context, Event::ModelRateSet { model: *id, rate, by });
    Ok(())
}
