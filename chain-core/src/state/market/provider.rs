//! Providers, their offers, and what their bonds stand for.
//!
//! What changes with every job is a small row of its own; what providers say of themselves is another.
//!
//! Not here: who may change what (the provider family).

use super::clock::Market;
use super::fading::Fading;
use super::{NO_OFFER, PROVIDER_NOT_ACTIVE, UNKNOWN_PROVIDER};
use crate::codec::{self, List, Text};
use crate::crypto::{Hash, digest};
use crate::fault::{Failure, Fault};
use crate::limits::{
    BPS, MAX_ARBITERS, MAX_LABEL_BYTES, MAX_LIST, MAX_METADATA_BYTES, MAX_OFFERS, MAX_REASON_BYTES, MAX_URL_BYTES,
    MIN_HEARTBEAT_S,
};
use crate::state::overlay::Overlay;
use crate::state::params::Params;
use crate::state::table::{Rows, Table};
use crate::state::tree::Tree;
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Providers by account. Rows stay: a number is given once, and slashes are remembered.
pub const PROVIDERS: Table<Address, Provider> = Table::new(40);
/// What providers say of themselves; none after they left.
pub const PROFILES: Table<Address, Profile> = Table::new(41);
/// Offers by `offer_row`.
pub const OFFERS: Table<OfferRow, Offer> = Table::new(42);
/// Which offers a provider has.
pub const OFFER_LISTS: Table<ProviderId, List<OfferKey, MAX_OFFERS>> = Table::new(43);
/// The number of the next provider; no row: 1.
pub const NEXT_PROVIDER: Table<(), ProviderId> = Table::new(44);
/// What slashed providers owe to payers, by when it is paid.
pub const COMPENSATIONS: Table<(MarketMs, JobId), Compensation> = Table::new(45);

/// Where an offer is kept.
pub type OfferRow = ((ProviderId, ModelId), (AssetId, UnitKind));

/// Where a provider is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ProviderState {
    /// Takes jobs.
    Active = 1,
    /// Left: takes no jobs, ends those it has, then its bond waits.
    Leaving = 2,
    /// Slashed below the floor: as `Leaving`.
    Removed = 3,
    /// Has its bond back.
    Gone = 4,
}

/// What jobs need to know of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Provider {
    /// Its number in the keys of other rows.
    pub id: ProviderId,
    /// Where it is on its way.
    pub state: ProviderState,
    /// What it has bonded, in base units of the stake asset.
    pub bond: Amount,
    /// Jobs it works on, or may still be paid for.
    pub open_jobs: u32,
    /// Jobs of it that are disputed: they take no slot, and its bond waits for them.
    pub disputed_jobs: u32,
    /// A provider that left and has no jobs any more: when its bond is free.
    pub free_from: Option<MarketMs>,
    /// Who may submit receipts, decline, complete and send heartbeats for it.
    pub operator: Option<Address>,
    /// Who earns what jobs pay.
    pub payout: Address,
    /// When it was last slashed.
    pub last_slash: Option<MarketMs>,
    /// Parts of the bond that slashes took, in basis points (`reputation`, rule 4).
    pub slashed_bps: Fading,
    /// When it last did something.
    pub last_seen: MarketMs,
}

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What people call it.
    pub name: Text<MAX_LABEL_BYTES>,
    /// Where it answers.
    pub endpoint: Text<MAX_URL_BYTES>,
    /// Where its machines are.
    #[serde(default)]
    pub region: Text<MAX_LABEL_BYTES>,
    /// What they are.
    #[serde(default)]
    pub hardware: Text<MAX_REASON_BYTES>,
    /// The key for encrypting to it.
    pub encryption_key: Hash,
    /// Its class of performance.
    #[serde(default)]
    pub class: Text<MAX_LABEL_BYTES>,
    /// Whatever else.
    pub metadata: Text<MAX_METADATA_BYTES>,
    /// What it serves: 1 to 64 different models.
    pub models: List<ModelId, MAX_LIST>,
}

/// Which offer of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize)]
pub struct OfferKey {
    /// For which model.
    pub model: ModelId,
    /// In which asset.
    pub asset: AssetId,
    /// For which units.
    pub unit_kind: UnitKind,
}

/// What a provider asks for, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferTerms {
    /// The least price.
    pub price: Price,
    /// How many open jobs the provider has at most when it takes one of these.
    pub slots: u32,
    /// The most units a job's provider works ahead of acknowledgements; for jobs with acknowledgements.
    pub quantum: Units,
    /// Who decides disputes; nobody: the council.
    #[serde(default)]
    pub arbiters: List<Address, MAX_ARBITERS>,
    /// How many of them must agree.
    #[serde(default)]
    pub arbiters_needed: u8,
    /// The provider's part of a contested amount nobody decides about, in basis points.
    #[serde(default)]
    pub no_verdict_provider_bps: u16,
    /// For how long it holds, in seconds of the market's time; 0: until it is replaced or withdrawn.
    #[serde(default)]
    pub valid_s: u32,
}

/// An offer in force.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Offer {
    /// The terms.
    pub terms: OfferTerms,
    /// The last moment it holds.
    pub valid_until: Option<MarketMs>,
}

/// What a payer gets of a slash once the provider could not have slashed itself for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Compensation {
    /// Who was slashed.
    pub provider: Address,
    /// Who gets it.
    pub payer: Address,
    /// How much, in base units of the stake asset.
    pub amount: Amount,
}

/// How disputes of a job are decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeTerms {
    /// Who decides; nobody: the council.
    #[serde(default)]
    pub arbiters: List<Address, MAX_ARBITERS>,
    /// How many of them must agree.
    #[serde(default)]
    pub arbiters_needed: u8,
    /// The provider's part of a contested amount nobody decides about, in basis points.
    #[serde(default)]
    pub no_verdict_provider_bps: u16,
}

impl DisputeTerms {
    /// What a payer signs that means these terms and no others.
    pub fn hash(&self) -> Hash {
        digest(&codec::encode(self))
    }

    /// Whether so many arbiters can agree, and no more than all is shared out.
    pub fn has_right_form(&self) -> bool {
        let (needed, there) = (usize::from(self.arbiters_needed), self.arbiters.len());
        let arbiters = if there == 0 { needed == 0 } else { (1..=there).contains(&needed) };
        arbiters && u128::from(self.no_verdict_provider_bps) <= BPS
    }
}

impl OfferTerms {
    /// Its part about disputes.
    pub fn dispute(&self) -> DisputeTerms {
        let Self { arbiters, arbiters_needed, no_verdict_provider_bps, .. } = self;
        let (arbiters_needed, no_verdict_provider_bps) = (*arbiters_needed, *no_verdict_provider_bps);
        DisputeTerms { arbiters: arbiters.clone(), arbiters_needed, no_verdict_provider_bps }
    }
}

impl Provider {
    /// A bond that waits, or waited.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, ProviderState::Leaving | ProviderState::Removed)
    }

    /// Whether this account may work for the provider `account`.
    pub fn acts(&self, account: &Address, sender: &Address) -> bool {
        account == sender || self.operator.as_ref() == Some(sender)
    }

    /// Whether the last sign of life is long enough ago for a heartbeat.
    pub fn may_beat(&self, now: MarketMs) -> bool {
        now >= self.last_seen.plus_s(MIN_HEARTBEAT_S)
    }

    /// Takes no jobs from now on.
    pub fn leave(&mut self, state: ProviderState, now: MarketMs, params: &Params) {
        self.state = state;
        self.wait_if_idle(now, params);
    }

    /// One more job.
    pub fn job_opened(&mut self) {
        self.open_jobs = self.open_jobs.saturating_add(1);
    }

    /// One job less; with the last one the bond of who left begins to wait.
    pub fn job_ended(&mut self, disputed: bool, now: MarketMs, params: &Params) -> Result<(), Fault> {
        let count = if disputed { &mut self.disputed_jobs } else { &mut self.open_jobs };
        let left = count.checked_sub(1);
        *count = left.ok_or_else(|| Fault::new("a job ends at a provider without such jobs"))?;
        self.wait_if_idle(now, params);
        Ok(())
    }

    /// A job it worked on is disputed.
    pub fn job_disputed(&mut self) -> Result<(), Fault> {
        let left = self.open_jobs.checked_sub(1);
        self.open_jobs = left.ok_or_else(|| Fault::new("a job is disputed at a provider without jobs"))?;
        self.disputed_jobs = self.disputed_jobs.saturating_add(1);
        Ok(())
    }

    fn wait_if_idle(&mut self, now: MarketMs, params: &Params) {
        if self.is_leaving() && self.open_jobs == 0 && self.disputed_jobs == 0 && self.free_from.is_none() {
            self.free_from = Some(now.plus_s(params.market.provider_unbonding_s));
        }
    }
}

/// The provider at an account.
pub fn provider(rows: &impl Rows, account: &Address) -> Result<Provider, Failure> {
    let known = PROVIDERS.get(rows, account)?.filter(|provider| provider.state != ProviderState::Gone);
    known.ok_or_else(|| UNKNOWN_PROVIDER.because("a registered provider", account).into())
}

/// The provider at an account, if it takes jobs.
pub fn active_provider(rows: &impl Rows, account: &Address) -> Result<Provider, Failure> {
    let provider = provider(rows, account)?;
    match provider.state {
        ProviderState::Active => Ok(provider),
        _ => Err(PROVIDER_NOT_ACTIVE.because("an active provider", account).into()),
    }
}

/// Where an offer is kept.
pub fn offer_row(id: ProviderId, key: &OfferKey) -> OfferRow {
    ((id, key.model), (key.asset, key.unit_kind))
}

/// An offer that holds now.
pub fn offer(rows: &impl Rows, id: ProviderId, key: &OfferKey, market: &Market) -> Result<Offer, Failure> {
    let found = OFFERS.get(rows, &offer_row(id, key))?;
    let live = found.filter(|offer| offer.valid_until.is_none_or(|until| market.now <= until));
    let OfferKey { model, asset, unit_kind } = key;
    live.ok_or_else(|| {
        NO_OFFER.because("an offer of the provider", format_args!("{model} in asset {asset} for {unit_kind}")).into()
    })
}

/// Which offers a provider has.
pub fn offer_list(rows: &impl Rows, id: ProviderId) -> Result<Vec<OfferKey>, Fault> {
    Ok(OFFER_LISTS.get(rows, &id)?.unwrap_or_default().into_inner())
}

/// Removes the offers that do not stay, and answers which with their prices.
pub fn drop_offers(
    overlay: &mut Overlay<'_>,
    id: ProviderId,
    stays: impl Fn(&OfferKey) -> bool,
) -> Result<Vec<(OfferKey, Price)>, Fault> {
    let (stay, go): (Vec<_>, Vec<_>) = offer_list(overlay, id)?.into_iter().partition(|key| stays(key));
    let mut dropped = Vec::with_capacity(go.len());
    for key in go {
        let row = offer_row(id, &key);
        let offer = OFFERS.get(overlay, &row)?.ok_or_else(|| Fault::new(format!("provider {id} lists no offer")))?;
        OFFERS.remove(overlay, &row);
        dropped.push((key, offer.terms.price));
    }
    if !dropped.is_empty() {
        put_offer_list(overlay, id, stay)?;
    }
    Ok(dropped)
}

/// Writes which offers a provider has.
pub fn put_offer_list(overlay: &mut Overlay<'_>, id: ProviderId, keys: Vec<OfferKey>) -> Result<(), Fault> {
    let keys = List::new(keys).map_err(|e| Fault::new(format!("the offers of provider {id}: {e}")))?;
    if keys.is_empty() {
        OFFER_LISTS.remove(overlay, &id);
    } else {
        OFFER_LISTS.put(overlay, &id, &keys);
    }
    Ok(())
}

/// The next number of a provider.
pub fn take_provider_number(overlay: &mut Overlay<'_>) -> Result<ProviderId, Fault> {
    let id = NEXT_PROVIDER.get(overlay, &())?.unwrap_or(ProviderId::new(1));
    NEXT_PROVIDER.put(overlay, &(), &id.saturating_add(1));
    Ok(id)
}

/// Everybody who ever was a provider, by account.
pub fn providers(tree: &Tree) -> impl Iterator<Item = Result<(Address, Provider), Fault>> {
    PROVIDERS.scan(tree).map(|row| {
        let (key, provider) = row?;
        let account = key.try_into().map_err(|_| Fault::new("a provider has a bad key"))?;
        Ok((Address::from_bytes(account), provider))
    })
}

/// The active providers that serve a model, by account.
pub fn serving(tree: &Tree, model: &ModelId) -> Result<Vec<Address>, Fault> {
    let mut serving = Vec::new();
    for row in providers(tree) {
        let (account, provider) = row?;
        let profile = PROFILES.get(tree, &account)?;
        let serves = profile.is_some_and(|profile| profile.models.contains(model));
        if serves && provider.state == ProviderState::Active {
            serving.push(account);
        }
    }
    Ok(serving)
}
