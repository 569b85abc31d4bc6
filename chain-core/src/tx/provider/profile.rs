//! Who providers are. Rules 1 to 4 and 7.

use super::offer::drop_offers_but;
use super::*;
use crate::limits::MIN_HEARTBEAT_S;
use crate::state::market::NOT_THE_PROVIDER;
use crate::state::market::Purse;
use crate::state::market::fading::Fading;
use crate::state::market::model::active_model;
use crate::state::market::provider::{PROFILES, provider, take_provider_number};
use crate::tx::form::check_list;

/// Rule 1, but for the models.
pub(super) fn check(profile: &Profile) -> Result<(), Rejected> {
    check_text(&profile.name, "a name")?;
    check_text(&profile.endpoint, "an endpoint")?;
    check_text(&profile.metadata, "metadata")?;
    check_list(&profile.models)
}

/// Rules 1 and 2.
pub(super) fn register(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    payout: Option<Address>,
    operator: Option<Address>,
) -> Result<Event, Failure> {
    let (account, market, bond) = (context.sender, context.market()?, context.params.market.min_bond);
    let known = PROVIDERS.get(context.state, &account)?;
    if known.is_some_and(|known| known.state != ProviderState::Gone) {
        return Err(ALREADY_REGISTERED.because("an account that is no provider", account).into());
    }
    check_new_models(context, profile, &[])?;
    let row_fee = context.burn_account_fee()?;
    Purse::Account(account).take(context.state, market.stake_asset, bond)?;
    let id = match known {
        Some(known) => known.id,
        None => take_provider_number(context.state)?,
    };
    let payout = payout.unwrap_or(account);
    let row = Provider {
        id,
        state: ProviderState::Active,
        bond,
        open_jobs: 0,
        disputed_jobs: 0,
        free_from: None,
        operator,
        payout,
        last_slash: known.and_then(|known| known.last_slash),
        slashed_bps: known.map_or_else(Fading::default, |known| known.slashed_bps),
        last_seen: market.now,
    };
    PROVIDERS.put(context.state, &account, &row);
    PROFILES.put(context.state, &account, profile);
    let profile = profile.clone();
    Ok(Event::ProviderRegistered { provider: account, id, profile, payout, operator, bond, row_fee })
}

/// Rule 3.
pub(super) fn update(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    payout: Option<Address>,
    operator: Option<Address>,
) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let row = provider(context.state, &account)?;
    let before = PROFILES.get(context.state, &account)?;
    check_new_models(context, profile, before.as_ref().map_or(&[], |before| &before.models))?;
    let row_fee = context.burn_growth_fee(before.as_ref(), profile)?;
    let offers_deleted = drop_offers_but(context, &account, row.id, |key| profile.models.contains(&key.model))?;
    let payout = payout.unwrap_or(account);
    put_alive(context, &account, Provider { payout, operator, ..row }, &market);
    PROFILES.put(context.state, &account, profile);
    let profile = profile.clone();
    Ok(Event::ProviderUpdated { provider: account, profile, payout, operator, offers_deleted, row_fee })
}

/// Every model that was not in the profile before is active.
fn check_new_models(context: &Context<'_, '_>, profile: &Profile, before: &[ModelId]) -> Result<(), Failure> {
    let mut new = profile.models.iter().filter(|model| !before.contains(model));
    new.try_for_each(|model| active_model(context.state, model).map(|_| ()))
}

/// Rule 7.
pub(super) fn heartbeat(context: &mut Context<'_, '_>, account: &Address) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let row = provider(context.state, account)?;
    if !row.acts(account, &by) {
        return Err(NOT_THE_PROVIDER.because(account, by).into());
    }
    if !row.may_beat(market.now) {
        let next = row.last_seen.plus_s(MIN_HEARTBEAT_S);
        return Err(HEARTBEAT_TOO_SOON.because(format_args!("at least {next}"), market.now).into());
    }
    put_alive(context, account, row, &market);
    Ok(Event::HeartbeatSeen { provider: *account, by, at: market.now })
}
