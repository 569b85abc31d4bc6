//! `market`: providers and their offers.
//!
//! Not here: the rules and the rows (chain-core), how pages are found (`chain_core::ledger::market`).

use super::Verb::Get;
use super::market::MAX_PAGE;
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::RpcError;
use crate::view::*;
use chain_core::Fault;
use chain_core::state::market::provider::{
    OFFERS, PROFILES, PROVIDERS, Provider, ProviderState, offer_list, offer_row, providers,
};
use chain_core::state::market::{UNKNOWN_PROVIDER, stored};
use chain_core::state::{Params, Tree, params};
use chain_core::types::{Address, MarketMs};

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

fn provider_view(tree: &Tree, at: &Now, provider: Address, row: Provider) -> Result<ProviderView, Fault> {
    let profile = PROFILES.get(tree, &provider)?.map(Into::into);
    let (live, bonded_slots) = (at.is_live(&row), at.slots(&row));
    let Provider { id, state, bond, open_jobs, free_from, operator, payout, last_slash, last_seen } = row;
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
    look(context, |block, tree| {
        let at = Now::of(tree)?;
        let rows = providers(tree).take(limit);
        let views = rows.map(|row| row.and_then(|(account, row)| provider_view(tree, &at, account, row)));
        let providers = views.collect::<Result<_, Fault>>()?;
        Ok(ProvidersView { height: block.header.height, now: at.now, providers, next: None })
    })
}

fn get_offers(context: &Context, asked: OffersParams) -> Result<OffersView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    look(context, |block, tree| {
        let at = Now::of(tree)?;
        let mut offers = Vec::new();
        for row in providers(tree).take(limit) {
            let (account, row) = row?;
            offers.extend(offers_of(tree, &at, account, &row)?);
        }
        Ok(OffersView { height: block.header.height, now: at.now, offers, next: None })
    })
}
