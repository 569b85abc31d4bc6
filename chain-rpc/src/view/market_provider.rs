//! Models, who proposed them, providers and their offers. Prices are base units of the asset per 1000 units;
//! bonds and votes are base units of the stake asset; market times are ms of the market's own clock.
//!
//! Not here: jobs (`market_job`).

use super::text::{any_hex, optional_hex};
use super::{AddressText, Decimal, Hex32, Number32, PageView};
use chain_core::crypto::Hash;
use chain_core::state::market::model::{Model, ModelProposal, ModelSpec, ProposalOutcome, Tier};
use chain_core::state::market::provider::{Offer, OfferKey, Profile, ProviderState};
use chain_core::types::{
    Address, Amount, AssetId, Height, MarketMs, ModelId, ModelProposalId, Price, ProviderId, UnitKind, Units,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which models.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelsParams {
    /// Only those new jobs can be opened for, or only the others. Default: all.
    #[serde(default)]
    pub active: Option<bool>,
    /// Only those of this tier: `curated` or `voted`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub tier: Option<Tier>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 100.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which model.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelParams {
    /// Its id.
    #[serde(deserialize_with = "any_hex")]
    #[schemars(with = "Hex32")]
    pub model: ModelId,
}

/// A page of models, by id.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelsView {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The models.
    pub models: Vec<ModelView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A model jobs can be opened for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelView {
    /// Its id: the hash of the next four.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// Where it is published.
    pub repo: String,
    /// Which file of it.
    pub file: String,
    /// Hash of the weights.
    #[schemars(with = "Hex32")]
    pub weights: Hash,
    /// How the weights are written.
    pub format: String,
    /// Who let it in: the curator (`curated`) or a vote (`voted`).
    #[schemars(with = "String")]
    pub tier: Tier,
    /// Whether new jobs can be opened for it.
    pub active: bool,
    /// Curated and active.
    pub trusted: bool,
    /// Units a second a provider can claim without an acknowledgement.
    pub rate: u32,
}

impl ModelView {
    /// A model's row; `usual`: the rate of those without one of their own.
    pub fn of(model: Model, usual: u32) -> Self {
        let trusted = model.is_trusted();
        let Model { spec, tier, active, rate } = model;
        let id = spec.id();
        let ModelSpec { repo, file, weights, format } = spec;
        let [repo, file, format] = [repo.to_string(), file.to_string(), format.to_string()];
        Self { model: id, repo, file, weights, format, tier, active, trusted, rate: rate.unwrap_or(usual) }
    }
}

/// A page of proposals of models, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelProposalsView {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// The proposals.
    pub proposals: Vec<ModelProposalView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A proposal of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelProposalView {
    /// Its number.
    #[schemars(with = "Decimal")]
    pub proposal: ModelProposalId,
    /// The model's id.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// Where the model is published.
    pub repo: String,
    /// Which file of it.
    pub file: String,
    /// Hash of the weights.
    #[schemars(with = "Hex32")]
    pub weights: Hash,
    /// How the weights are written.
    pub format: String,
    /// Who proposed it.
    #[schemars(with = "AddressText")]
    pub proposer: Address,
    /// What that cost.
    #[schemars(with = "Decimal")]
    pub fee: Amount,
    /// The last moment at which votes are taken.
    #[schemars(with = "Decimal")]
    pub end: MarketMs,
    /// How often the end was moved.
    pub extensions: u8,
    /// Votes close to the end since it was last moved.
    #[schemars(with = "Decimal")]
    pub late: Amount,
    /// All votes.
    #[schemars(with = "Decimal")]
    pub votes: Amount,
    /// Votes that let it in.
    #[schemars(with = "Decimal")]
    pub needed: Amount,
    /// Whether it can be finalized now.
    pub finalizable: bool,
    /// How it ended: `approved`, `rejected` or `superseded`; absent: it was not finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub outcome: Option<ProposalOutcome>,
    /// What `voter` has locked in it, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub locked: Option<Amount>,
}

impl ModelProposalView {
    /// A proposal's row at a time.
    pub fn of(id: ModelProposalId, row: ModelProposal, needed: Amount, now: MarketMs) -> Self {
        let ModelProposal { spec, proposer, fee, end, extensions, late, votes, outcome } = row;
        Self {
            proposal: id,
            model: spec.id(),
            repo: spec.repo.to_string(),
            file: spec.file.to_string(),
            weights: spec.weights,
            format: spec.format.to_string(),
            proposer,
            fee,
            end,
            extensions,
            late,
            votes,
            needed,
            finalizable: outcome.is_none() && now > end,
            outcome,
            locked: None,
        }
    }
}

/// In which order providers are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderSort {
    /// By number: in the order of their first registration.
    #[default]
    Id,
    /// By the price of their offers, the lowest first. Needs `model`, `asset` and `unit_kind`.
    Price,
    /// By when they last did something, the latest first.
    LastSeen,
}

/// Which providers. Filters add up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvidersParams {
    /// Only those that serve this model; with `asset` or `unit_kind`: that have an offer of it.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// Only those with an offer in this asset that holds.
    #[serde(default)]
    #[schemars(with = "Option<Number32>")]
    pub asset: Option<AssetId>,
    /// Only those with an offer for this kind of units that holds: `tokens`, `images`, `seconds`, `requests`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub unit_kind: Option<UnitKind>,
    /// Only those with an offer that holds and costs at most this.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub max_price: Option<Price>,
    /// Only those that say they are in this region.
    #[serde(default)]
    pub region: Option<String>,
    /// Only those that take jobs, or only those that take none any more. Default: all.
    #[serde(default)]
    pub active: Option<bool>,
    /// Only those that take jobs and did something in the last 30 minutes, or only the others. Default: all.
    #[serde(default)]
    pub live: Option<bool>,
    /// Only those whose jobs with `model` speak so well for them, 0 to 10000. Looked at row by row: scores fade all
    /// the time, so no list is in their order, and none can be.
    #[serde(default)]
    pub min_reputation: Option<u16>,
    /// `id`, `price` or `last_seen`. Default: `id`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sort: Option<ProviderSort>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which provider.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderParams {
    /// Its account.
    #[schemars(with = "AddressText")]
    pub provider: Address,
}

/// A page of providers.
pub type ProvidersView = PageView<Providers>;

/// What a page of providers lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Providers {
    /// The providers, without their offers.
    pub providers: Vec<ProviderView>,
}

/// Somebody who sells compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// Its account.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Its number.
    #[schemars(with = "Decimal")]
    pub id: ProviderId,
    /// `active`, `leaving`, `removed` or `gone`.
    #[schemars(with = "String")]
    pub state: ProviderState,
    /// Takes jobs, and did something in the last 30 minutes by the market's clock.
    pub live: bool,
    /// When it last did something.
    #[schemars(with = "Decimal")]
    pub last_seen: MarketMs,
    /// What it has bonded.
    #[schemars(with = "Decimal")]
    pub bond: Amount,
    /// Jobs it works on.
    pub open_jobs: u32,
    /// Jobs its bond stands for at a time.
    pub bonded_slots: u32,
    /// A provider that left and has no jobs any more: when its bond is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub free_from: Option<MarketMs>,
    /// Who may work for it besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AddressText>")]
    pub operator: Option<Address>,
    /// Who earns what its jobs pay.
    #[schemars(with = "AddressText")]
    pub payout: Address,
    /// When it was last slashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub last_slash: Option<MarketMs>,
    /// What its jobs with the model that was asked for say of it, 0 to 10000; absent where no model was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_bps: Option<u16>,
    /// What it says of itself; absent after it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileView>,
    /// Its offers: only in answers about one provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Vec<OfferView>>,
}

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileView {
    /// What people call it.
    pub name: String,
    /// Where it answers.
    pub endpoint: String,
    /// Where its machines are.
    pub region: String,
    /// What they are.
    pub hardware: String,
    /// The key for encrypting to it.
    #[schemars(with = "Hex32")]
    pub encryption_key: Hash,
    /// Its class of performance.
    pub class: String,
    /// Whatever else.
    pub metadata: String,
    /// What it serves.
    #[schemars(with = "Vec<Hex32>")]
    pub models: Vec<ModelId>,
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        let Profile { name, endpoint, region, hardware, encryption_key, class, metadata, models } = profile;
        Self {
            name: name.to_string(),
            endpoint: endpoint.to_string(),
            region: region.to_string(),
            hardware: hardware.to_string(),
            encryption_key,
            class: class.to_string(),
            metadata: metadata.to_string(),
            models: models.into_inner(),
        }
    }
}

/// Which offers. Filters add up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffersParams {
    /// Only of this provider.
    #[serde(default)]
    #[schemars(with = "Option<AddressText>")]
    pub provider: Option<Address>,
    /// Only of this model.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// Only in this asset.
    #[serde(default)]
    #[schemars(with = "Option<Number32>")]
    pub asset: Option<AssetId>,
    /// Only for this kind of units: `tokens`, `images`, `seconds`, `requests`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub unit_kind: Option<UnitKind>,
    /// Only those that cost at most this.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub max_price: Option<Price>,
    /// Only those a job can be opened with now as far as the provider is concerned, or only the others: it is
    /// live, the offer holds, a slot is free. Default: all.
    #[serde(default)]
    pub open: Option<bool>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of offers, by model, asset, kind of units, price and the provider's number.
pub type OffersView = PageView<Offers>;

/// What a page of offers lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offers {
    /// The offers.
    pub offers: Vec<OfferView>,
}

/// What a provider asks for, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferView {
    /// Whose.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Its number.
    #[schemars(with = "Decimal")]
    pub provider_id: ProviderId,
    /// For which model.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// In which asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// For which units.
    #[schemars(with = "String")]
    pub unit_kind: UnitKind,
    /// The least price, per 1000 units.
    #[schemars(with = "Decimal")]
    pub price: Price,
    /// Open jobs the provider has at most when it takes one of these.
    pub slots: u32,
    /// Jobs more it can take now on this offer.
    pub free_slots: u32,
    /// The most units it works ahead of acknowledgements.
    #[schemars(with = "Decimal")]
    pub quantum: Units,
    /// The hash of the next three: who opens a job with it gets these and no others.
    #[schemars(with = "Hex32")]
    pub dispute_terms: Hash,
    /// Who decides disputes; nobody: the council.
    #[schemars(with = "Vec<AddressText>")]
    pub arbiters: Vec<Address>,
    /// How many of them must agree.
    pub arbiters_needed: u8,
    /// The provider's part of a contested amount nobody decides about, in 1/10,000.
    pub no_verdict_provider_bps: u16,
    /// The last moment it holds; absent: until it is replaced or withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub valid_until: Option<MarketMs>,
    /// Whether a job can be opened with it now as far as the provider is concerned.
    pub open: bool,
}

/// What an offer's view needs to know of its provider.
#[derive(Clone, Copy, Debug)]
pub struct OfferedBy {
    /// The provider.
    pub provider: Address,
    /// Its number.
    pub id: ProviderId,
    /// Jobs it works on.
    pub open_jobs: u32,
    /// Jobs its bond stands for.
    pub bonded_slots: u32,
    /// Whether it is live.
    pub live: bool,
}

impl OfferView {
    /// An offer's row at a time.
    pub fn of(by: &OfferedBy, key: &OfferKey, offer: Offer, now: MarketMs) -> Self {
        let Offer { terms, valid_until } = offer;
        let free_slots = terms.slots.min(by.bonded_slots).saturating_sub(by.open_jobs);
        let holds = valid_until.is_none_or(|until| now <= until);
        Self {
            provider: by.provider,
            provider_id: by.id,
            model: key.model,
            asset: key.asset,
            unit_kind: key.unit_kind,
            price: terms.price,
            slots: terms.slots,
            free_slots,
            quantum: terms.quantum,
            dispute_terms: terms.dispute().hash(),
            arbiters: terms.arbiters.into_inner(),
            arbiters_needed: terms.arbiters_needed,
            no_verdict_provider_bps: terms.no_verdict_provider_bps,
            valid_until,
            open: by.live && holds && free_slots > 0,
        }
    }
}
