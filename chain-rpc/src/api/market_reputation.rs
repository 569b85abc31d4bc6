//! `market`: what jobs say of a provider.
//!
//! Not here: what counts and the formula (`chain_core::state::market::reputation`).

use super::Verb::Get;
use super::market::{MAX_PAGE, last_page, read_cursor};
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::{RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::crypto::Hash;
use chain_core::state::market::provider::PROVIDERS;
use chain_core::state::market::reputation::{RECORDS, reputation};
use chain_core::state::market::{UNKNOWN_PROVIDER, stored};
use chain_core::state::{Tree, params};
use chain_core::types::{ModelId, ProviderId};

/// The methods of this file.
pub const METHODS: &[Method] = &[entry!("market", now get_reputation, ReputationParams => ReputationView, 20,
    r#"{"provider":"$provider"}"#, [(Get, "/v1/providers/{provider}/reputation")],
    "get_reputation", "What jobs and slashes say of a provider, by model, in pages.")];

fn get_reputation(context: &Context, asked: ReputationParams) -> Result<ReputationView, RpcError> {
    let limit = limit(asked.limit, 100, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 32)?;
    if asked.model.is_some() && after.is_some() {
        return Err(bad_params("one model is one page: give model or cursor"));
    }
    let found = look(context, |block, tree| {
        let (params, now) = (params(tree)?, stored(tree)?.now);
        let Some(provider) = PROVIDERS.get(tree, &asked.provider)? else { return Ok(None) };
        let (ids, next) = match asked.model {
            Some(model) => (vec![model], None),
            None => counted(tree, provider.id, after.as_deref(), limit)?,
        };
        let of = |model: &ModelId| reputation(tree, &asked.provider, model, (now, &params));
        let models = ids.iter().map(|model| Ok(ModelReputation::of(*model, &of(model)?)));
        let half_life_s = params.market.reputation_half_life_s;
        Ok(Some(ReputationView {
            provider: asked.provider,
            height: block.header.height,
            now,
            half_life_s,
            slashed_bps_millionths: provider.slashed_bps.at(now, half_life_s).millionths,
            models: models.collect::<Result<_, Fault>>()?,
            next,
        }))
    })?;
    found.ok_or_else(|| UNKNOWN_PROVIDER.because("a registered provider", asked.provider).into())
}

/// The models something was counted with, by id, after that one; and the cursor of the next page.
fn counted(
    tree: &Tree,
    id: ProviderId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<(Vec<ModelId>, Option<String>), Fault> {
    let prefix = id.get().to_be_bytes();
    let from = [&prefix[..], after.unwrap_or_default()].concat();
    let mut models = Vec::new();
    for row in RECORDS.scan_from(tree, &from) {
        let (key, _) = row?;
        let Some(model) = key.strip_prefix(&prefix) else { break };
        if after == Some(model) {
            continue;
        }
        if models.len() == limit {
            return Ok((models.clone(), models.last().map(|model: &ModelId| last_page(model.0.as_bytes()))));
        }
        let hash = model.try_into().map_err(|_| Fault::new("a row of a provider's record has a bad key"))?;
        models.push(ModelId(Hash(hash)));
    }
    Ok((models, None))
}
