//! Offers. Rules 11 and 12.

use super::*;
use crate::limits::MAX_OFFERS;
use crate::state::market::NO_OFFER;
use crate::state::market::model::active_model;
use crate::state::market::provider::{
    OFFERS, Offer, PROFILES, active_provider, drop_offers, offer_list, offer_row, provider, put_offer_list,
};
use crate::state::market::terms::accepted;
use crate::tx::form::check_unique;

/// Rule 12, but for the bond.
pub(super) fn check(terms: &OfferTerms) -> Result<(), Rejected> {
    check_unique(&terms.arbiters)?;
    check_accounts(terms.arbiters.iter())?;
    let rules = [
        (terms.price.is_valid(), "a price of 1 to 10^18"),
        (terms.quantum > Units::ZERO, "a quantum above 0"),
        (
            terms.dispute().has_right_form(),
            "as many arbiters needed as there are, or fewer, and at most 10000 basis points",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, expected)) => Err(OFFER_FORM.because(expected, "other terms")),
        None => Ok(()),
    }
}

pub(super) fn publish(context: &mut Context<'_, '_>, key: &OfferKey, terms: &OfferTerms) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let row = active_provider(context.state, &account)?;
    let served = PROFILES.get(context.state, &account)?.is_some_and(|profile| profile.models.contains(&key.model));
    if !served {
        return Err(MODEL_NOT_SERVED.because("a model of the provider", key.model).into());
    }
    active_model(context.state, &key.model)?;
    accepted(context.state, key.asset)?.check_price(terms.price)?;
    check_slots(&row, terms.slots, context)?;
    let replaced = OFFERS.get(context.state, &offer_row(row.id, key))?.map(|offer| offer.terms.price);
    let mut row_fee = Amount::ZERO;
    if replaced.is_none() {
        let mut all = offer_list(context.state, row.id)?;
        if all.len() >= MAX_OFFERS {
            return Err(TOO_MANY_OFFERS.because(format_args!("at most {MAX_OFFERS}"), all.len()).into());
        }
        row_fee = context.burn_account_fee()?;
        all.push(*key);
        put_offer_list(context.state, row.id, all)?;
    }
    let valid_until = (terms.valid_s > 0).then(|| market.now.plus_s(terms.valid_s));
    OFFERS.put(context.state, &offer_row(row.id, key), &Offer { terms: terms.clone(), valid_until });
    put_alive(context, &account, row, &market);
    let (OfferKey { model, asset, unit_kind }, terms, provider) = (*key, terms.clone(), account);
    Ok(Event::OfferPublished { provider, model, asset, unit_kind, terms, valid_until, replaced, row_fee })
}

/// Rule 12, the bond's part.
fn check_slots(row: &Provider, slots: u32, context: &Context<'_, '_>) -> Result<(), Failure> {
    let per_slot = context.params.market.bond_per_slot.get();
    let most = row.bond.get().checked_div(per_slot).unwrap_or_default();
    if (1..=most).contains(&slots.into()) {
        return Ok(());
    }
    Err(SLOTS_RANGE.because(format_args!("1 to {most}"), slots).into())
}

/// Takes back the offers that do not stay, and answers how many.
pub(super) fn drop_offers_but(
    context: &mut Context<'_, '_>,
    provider: &Address,
    id: ProviderId,
    stays: impl Fn(&OfferKey) -> bool,
) -> Result<u32, Failure> {
    let dropped = drop_offers(context.state, id, stays)?;
    Ok(say_withdrawn(context, provider, dropped))
}

/// Says of each of these offers that it is gone; how many they are.
pub(super) fn say_withdrawn(context: &mut Context<'_, '_>, provider: &Address, dropped: Vec<(OfferKey, Price)>) -> u32 {
    let count = u32::try_from(dropped.len()).unwrap_or(u32::MAX);
    for (OfferKey { model, asset, unit_kind }, price) in dropped {
        let event = Event::OfferWithdrawn { provider: *provider, model, asset, unit_kind, price };
        context.emit(crate::tx::Event::Provider(event));
    }
    count
}

pub(super) fn withdraw(context: &mut Context<'_, '_>, key: &OfferKey) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let row = provider(context.state, &account)?;
    let OfferKey { model, asset, unit_kind } = *key;
    let found = OFFERS.get(context.state, &offer_row(row.id, key))?;
    let price = found.ok_or_else(|| NO_OFFER.because("an offer of this account", model))?.terms.price;
    let mut all = offer_list(context.state, row.id)?;
    all.retain(|other| other != key);
    put_offer_list(context.state, row.id, all)?;
    OFFERS.remove(context.state, &offer_row(row.id, key));
    put_alive(context, &account, row, &market);
    Ok(Event::OfferWithdrawn { provider: account, model, asset, unit_kind, price })
}
