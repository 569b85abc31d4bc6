//! `market`: providers and their offers.
//!
//! Not here: the rules and the rows (chain-core), how pages are found (`chain_core::ledger::market`).

use super::Verb::Get;
use super::market::{MAX_PAGE, page_view, read_cursor, unlisted};
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::{RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::ledger::market::{OfferFilter, ProviderOrder, Reading, list_offers, list_providers};
use chain_core::state::market::provider::{
    OFFERS, Offer, OfferKey, PROFILES, PROVIDERS, Provider, ProviderState, offer_list, offer_row,
};
use chain_core::state::market::reputation::reputation;
use chain_core::state::market::{UNKNOWN_PROVIDER, stored};
use chain_core::state::{Params, Rows, Tree, params};
use chain_core::types::{Address, MarketMs, Price, ProviderId};

/// Bytes of an offer's place: model, asset, kind of units, price, number of the provider.
const OFFER_PLACE: usize = 61;
/// A provider is live for so long after it did something, in ms of the market's clock: three signs of life.
const LIVE_MS: u64 = 1_800_000;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("market", disk get_providers, ProvidersParams => ProvidersView, 50, r#"{"limit":10}"#,
        [(Get, "/v1/providers")],
        "get_providers", "Who sells compute: filters, sorted by number, price or sign of life, in pages."),
    entry!("market", now get_provider, ProviderParams => ProviderView, 10, r#"{"provider":"$provider"}"#,
        [(Get, "/v1/providers/{provider}")],
        "get_provider", "A provider with its offers."),
    entry!("market", disk get_offers, OffersParams => OffersView, 50, r#"{"limit":10}"#,
        [(Get, "/v1/offers")],
        "get_offers", "What is offered at which price: by model, asset, kind of units and price, in pages."),
];

/// What rows of providers are shown with.
struct Now {
    params: Params,
    now: MarketMs,
}

impl Now {
    fn of(tree: &Tree) -> Result<Self, Fault> {
        Ok(Self { params: params(tree)?, now: stored(tree)?.now })
    }

    fn is_live(&self, row: &Provider) -> bool {
        row.state == ProviderState::Active && row.last_seen.saturating_add(LIVE_MS) >= self.now
    }

    fn slots(&self, row: &Provider) -> u32 {
        let slots = row.bond.get().checked_div(self.params.market.bond_per_slot.get()).unwrap_or_default();
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    fn offered_by(&self, provider: Address, row: &Provider) -> OfferedBy {
        let (bonded_slots, live) = (self.slots(row), self.is_live(row));
        OfferedBy { provider, id: row.id, open_jobs: row.open_jobs, bonded_slots, live }
    }
}

fn provider_view(rows: &impl Rows, at: &Now, provider: Address, row: Provider) -> Result<ProviderView, Fault> {
    let profile = PROFILES.get(rows, &provider)?.map(Into::into);
    let (live, bonded_slots) = (at.is_live(&row), at.slots(&row));
    let Provider { id, state, bond, open_jobs, free_from, operator, payout, last_slash, last_seen, .. } = row;
    Ok(ProviderView {
        provider,
        id,
        state,
        live,
        last_seen,
        bond,
        open_jobs,
        bonded_slots,
        free_from,
        operator,
        payout,
        last_slash,
        score_bps: None,
        profile,
        offers: None,
    })
}

fn offers_of(tree: &Tree, at: &Now, provider: Address, row: &Provider) -> Result<Vec<OfferView>, Fault> {
    let by = at.offered_by(provider, row);
    let mut offers = Vec::new();
    for key in offer_list(tree, row.id)? {
        let offer = OFFERS.get(tree, &offer_row(row.id, &key))?;
        let offer = offer.ok_or_else(|| Fault::new(format!("an offer of provider {} has no row", row.id)))?;
        offers.push(OfferView::of(&by, &key, offer, at.now));
    }
    offers.sort_by_key(|offer| (offer.model, offer.asset, offer.unit_kind));
    Ok(offers)
}

fn get_provider(context: &Context, asked: ProviderParams) -> Result<ProviderView, RpcError> {
    let found = look(context, |_, tree| {
        let at = Now::of(tree)?;
        let Some(row) = PROVIDERS.get(tree, &asked.provider)? else { return Ok(None) };
        let offers = offers_of(tree, &at, asked.provider, &row)?;
        let view = provider_view(tree, &at, asked.provider, row)?;
        Ok(Some(ProviderView { offers: Some(offers), ..view }))
    })?;
    found.ok_or_else(|| UNKNOWN_PROVIDER.because("a registered provider", asked.provider).into())
}

fn get_providers(context: &Context, asked: ProvidersParams) -> Result<ProvidersView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let (order, length) = order(&asked)?;
    let after = read_cursor(asked.cursor.as_deref(), length)?;
    let at = look(context, |_, tree| Now::of(tree))?;
    if asked.min_reputation.is_some() && asked.model.is_none() {
        return Err(bad_params("reputation is won with a model: give model"));
    }
    let mut take = |rows: &Reading<'_>, (account, row): (Address, Provider)| {
        let view = provider_view(rows, &at, account, row)?;
        if !is_meant(rows, &at, &asked, &view)? {
            return Ok(None);
        }
        let Some(model) = &asked.model else { return Ok(Some(view)) };
        let score_bps = reputation(rows, &account, model, (at.now, &at.params))?.score_bps;
        let is_good = asked.min_reputation.is_none_or(|least| score_bps >= least);
        Ok(is_good.then_some(ProviderView { score_bps: Some(score_bps), ..view }))
    };
    let page =
        list_providers(context.backend.market(), &order, (after.as_deref(), limit), &mut take).map_err(unlisted)?;
    Ok(page_view(page, at.now, |providers| Providers { providers }))
}

/// The list to read, and how long its cursors are.
fn order(asked: &ProvidersParams) -> Result<(ProviderOrder, usize), RpcError> {
    let offered = asked.model.zip(asked.asset).zip(asked.unit_kind);
    match (asked.sort.unwrap_or_default(), offered) {
        (ProviderSort::Id, _) => Ok((ProviderOrder::Id(asked.model), 8)),
        (ProviderSort::LastSeen, _) => Ok((ProviderOrder::LastSeen, 16)),
        (ProviderSort::Price, Some(((model, asset), unit_kind))) => {
            Ok((ProviderOrder::Price(OfferKey { model, asset, unit_kind }), 24))
        }
        (ProviderSort::Price, None) => Err(bad_params("prices are compared for one model, asset and unit_kind")),
    }
}

fn is_meant(rows: &impl Rows, at: &Now, asked: &ProvidersParams, view: &ProviderView) -> Result<bool, Fault> {
    let profile = view.profile.as_ref();
    let serves = |model| profile.is_some_and(|profile| profile.models.contains(model));
    let is_there = asked.active.is_none_or(|active| active == (view.state == ProviderState::Active))
        && asked.live.is_none_or(|live| live == view.live)
        && asked.region.as_ref().is_none_or(|region| profile.is_some_and(|profile| profile.region == *region))
        && asked.model.as_ref().is_none_or(serves);
    let wants_offer = asked.asset.is_some() || asked.unit_kind.is_some() || asked.max_price.is_some();
    if !is_there || !wants_offer {
        return Ok(is_there);
    }
    for key in offer_list(rows, view.id)? {
        let fits = asked.model.is_none_or(|model| model == key.model)
            && asked.asset.is_none_or(|asset| asset == key.asset)
            && asked.unit_kind.is_none_or(|kind| kind == key.unit_kind);
        if fits && holds(rows, at, view.id, &key, asked.max_price)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an offer holds now and costs at most this.
fn holds(rows: &impl Rows, at: &Now, id: ProviderId, key: &OfferKey, max_price: Option<Price>) -> Result<bool, Fault> {
    let offer = OFFERS.get(rows, &offer_row(id, key))?;
    Ok(offer.is_some_and(|offer| {
        offer.valid_until.is_none_or(|until| at.now <= until) && max_price.is_none_or(|most| offer.terms.price <= most)
    }))
}

fn get_offers(context: &Context, asked: OffersParams) -> Result<OffersView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), OFFER_PLACE)?;
    let at = look(context, |_, tree| Now::of(tree))?;
    let OffersParams { provider, model, asset, unit_kind, max_price, .. } = asked;
    let filter = OfferFilter { provider, model, asset, unit_kind, max_price };
    let mut take = |_: &Reading<'_>, (account, row, key, offer): (Address, Provider, OfferKey, Offer)| {
        let view = OfferView::of(&at.offered_by(account, &row), &key, offer, at.now);
        Ok(asked.open.is_none_or(|open| open == view.open).then_some(view))
    };
    let page =
        list_offers(context.backend.market(), &filter, (after.as_deref(), limit), &mut take).map_err(unlisted)?;
    Ok(page_view(page, at.now, |offers| Offers { offers }))
}
