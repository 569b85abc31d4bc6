//! Providers: who sells compute, what they have bonded, and their offers.
//!
//! | action | bytes after `08` | fields |
//! |---|---|---|
//! | `provider_register` | `01` | profile · payout (`00`, or `01` and 32) · operator (`00`, or `01` and 32) |
//! | `provider_update` | `02` | as above |
//! | `provider_bond_add` | `03` | amount u128 |
//! | `provider_leave` | `04` | – |
//! | `provider_bond_withdraw` | `05` | – |
//! | `provider_slash` | `06` | provider 32 · amount u128 · evidence text ≤ 128 · reason text ≤ 256 · job (`00`, or `01` and u64) |
//! | `offer_publish` | `07` | model 32 · asset u32 · unit_kind u8 · terms |
//! | `offer_withdraw` | `08` | model 32 · asset u32 · unit_kind u8 |
//! | `heartbeat` | `09` | provider 32 |
//!
//! A profile is name text ≤ 64 · endpoint text ≤ 256 · region text ≤ 64 · hardware text ≤ 256 · encryption_key
//! 32 · class text ≤ 64 · metadata text ≤ 2048 · models (u32 count ≤ 64, 32 each); terms are price u128 · slots
//! u32 · quantum u64 · arbiters (u32 count ≤ 7, 32 each) · arbiters_needed u8 · no_verdict_provider_bps u16 ·
//! valid_s u32.
//!
//! Rules, providers:
//! 1. A profile has a name, an endpoint, metadata, and 1 to 64 different models. A model is active when it is
//!    added.
//! 2. Whoever registers bonds exactly `min_bond`; the bond of an earlier time is withdrawn before. The number
//!    stays the account's, and what slashes took is remembered.
//! 3. An update replaces profile, payout and operator, also of who left or was removed and is not gone: nobody
//!    is bound to an operator. A profile that becomes longer burns `account_fee`. Dropping a model deletes its
//!    offers. An operator submits receipts, declines, completes and sends heartbeats; it moves no money. Jobs
//!    pay to the payout as it was at their opening.
//! 4. Only an active provider adds to its bond, and has offers.
//! 5. Who leaves takes no jobs from then on, and its offers are deleted; they never come back by themselves.
//! 6. The bond of who left or was removed is free `provider_unbonding_s` after its last job ended, or after it
//!    left without any; then the provider withdraws it and is gone. Until then it can be slashed.
//! 7. Heartbeats, by the provider or its operator, come at least 600 s after the last sign of life. Every
//!    action of this family by the provider is one, and so is declining and completing a job; a receipt is one
//!    where a heartbeat could be.
//!
//! Rules, slashing:
//! 8. The slasher takes at least 1 and at most `slash_max_bps` of the bond, `slash_cooldown_s` after the last
//!    slash, and names evidence and reason. The council takes more by a verdict (the authority family).
//! 9. It goes to the treasury. Where a job of the provider is named, `victim_bps` of it goes to that job's payer,
//!    who is not the provider, a window of claims and `provider_unbonding_s` later, which is what a bond with a
//!    claim just made waits: nobody has a bond back sooner by being slashed.
//! 10. A bond below `bond_floor` after that: the provider is removed, as if it had left.
//!
//! Rules, offers:
//! 11. A provider has one offer per model, asset and kind of units, at most 128 in all; publishing again
//!     replaces it. The model is one of its own and active, the asset accepted, the price within its bounds.
//! 12. An offer has 1 to bond / `bond_per_slot` slots, a quantum above 0, and either no arbiters or 1 to 7
//!     different ones of which 1 to all must agree.
//!
//! Not here: the rows (`state::market::provider`), what a slash does (`state::market::slash`), what offers
//! are for (the job family).

mod bond;
mod offer;
mod profile;
mod words;

pub(super) use bond::at_block_end;

use super::form::{check_accounts, check_text};
use super::{About, CheckContext, Context, Listed, Rules, check_amount};
use crate::codec::{List, Text};
use crate::crypto::Hash;
use crate::fault::Failure;
use crate::limits::{MAX_CONTENT_REF_BYTES, MAX_REASON_BYTES};
use crate::state::market::Market;
use crate::state::market::provider::{OfferKey, OfferTerms, PROVIDERS, Profile, Provider, ProviderState};
use crate::types::{
    Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId, Rejected, Token, UnitKind, Units, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    800 ALREADY_REGISTERED "already_registered" "this account is a provider, or still has a bond as one";
    801 STILL_ACTIVE "still_active" "the provider has not left";
    802 BOND_LOCKED "bond_locked" "the bond is not free yet";
    804 SLASH_TOO_LARGE "slash_too_large" "one slash takes a bounded part of the bond";
    805 SLASH_TOO_SOON "slash_too_soon" "the provider was slashed not long ago";
    807 HEARTBEAT_TOO_SOON "heartbeat_too_soon" "a sign of life was given less than 600 seconds ago";
    808 MODEL_NOT_SERVED "model_not_served" "the provider does not serve this model";
    809 SLOTS_RANGE "slots_range" "an offer has at least one slot, and no more than the bond stands for";
    810 OFFER_FORM "offer_form" "price, quantum, arbiters or basis points of an offer are out of range";
    811 TOO_MANY_OFFERS "too_many_offers" "a provider has at most 128 offers";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[
    (1, "provider_register"),
    (2, "provider_update"),
    (3, "provider_bond_add"),
    (4, "provider_leave"),
    (5, "provider_bond_withdraw"),
    (6, "provider_slash"),
    (7, "offer_publish"),
    (8, "offer_withdraw"),
    (9, "heartbeat"),
];

/// A few rows are read and written.
const WEIGHT: u64 = 600;
/// Every model of a profile is looked at, and up to 128 offers are deleted.
const PROFILE_WEIGHT: u64 = 12_000;
/// The list of offers is written.
const OFFER_WEIGHT: u64 = 3_000;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Becomes a provider.
    ProviderRegister {
        /// What it says of itself.
        profile: Profile,
        /// Who earns; nobody named: the provider.
        #[serde(default)]
        payout: Option<Address>,
        /// Who may work for it.
        #[serde(default)]
        operator: Option<Address>,
    } = 1,
    /// Says everything anew.
    ProviderUpdate {
        /// What it says of itself.
        profile: Profile,
        /// Who earns; in JSON `null`: the provider.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        payout: Option<Address>,
        /// Who may work for it; in JSON `null`: nobody else.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        operator: Option<Address>,
    } = 2,
    /// Bonds more.
    ProviderBondAdd {
        /// Base units of the stake asset.
        amount: Amount,
    } = 3,
    /// Takes no more jobs.
    ProviderLeave {} = 4,
    /// Takes the bond back.
    ProviderBondWithdraw {} = 5,
    /// The slasher takes a part of a bond.
    ProviderSlash {
        /// Whose.
        provider: Address,
        /// Base units of the stake asset.
        amount: Amount,
        /// Where the evidence is.
        evidence: Text<MAX_CONTENT_REF_BYTES>,
        /// Why.
        reason: Text<MAX_REASON_BYTES>,
        /// The job whose payer is compensated.
        #[serde(default)]
        job: Option<JobId>,
    } = 6,
    /// Offers work.
    OfferPublish {
        /// Of which model.
        model: ModelId,
        /// For which money.
        asset: AssetId,
        /// In which units.
        unit_kind: UnitKind,
        /// On which terms.
        terms: OfferTerms,
    } = 7,
    /// Takes an offer back.
    OfferWithdraw {
        /// Of which model.
        model: ModelId,
        /// For which money.
        asset: AssetId,
        /// In which units.
        unit_kind: UnitKind,
    } = 8,
    /// Says that a provider is there.
    Heartbeat {
        /// Which.
        provider: Address,
    } = 9,
}

/// What this family reports. Bonds are base units of the stake asset.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// Somebody became a provider.
    ProviderRegistered {
        provider: Address,
        id: ProviderId,
        profile: Profile,
        payout: Address,
        operator: Option<Address>,
        bond: Amount,
        row_fee: Amount,
    } = 1,
    /// A provider said everything anew.
    ProviderUpdated {
        provider: Address,
        profile: Profile,
        payout: Address,
        operator: Option<Address>,
        offers_deleted: u32,
        row_fee: Amount,
    } = 2,
    /// A provider bonded more; its bond now.
    ProviderBondAdded { provider: Address, amount: Amount, bond: Amount } = 3,
    /// A provider takes no more jobs; when its bond is free, if it has none.
    ProviderLeft { provider: Address, open_jobs: u32, offers_deleted: u32, bond: Amount, free_from: Option<MarketMs> } =
        4,
    /// A provider has its bond back and is gone.
    ProviderBondWithdrawn { provider: Address, amount: Amount } = 5,
    /// A bond was slashed; what is left of it, and whether the provider is removed for it.
    ProviderSlashed {
        provider: Address,
        by: Address,
        amount: Amount,
        bond: Amount,
        to_treasury: Amount,
        compensation: Amount,
        payer: Option<Address>,
        job: Option<JobId>,
        paid_at: Option<MarketMs>,
        evidence: Text<MAX_CONTENT_REF_BYTES>,
        reason: Text<MAX_REASON_BYTES>,
        removed: bool,
        offers_deleted: u32,
    } = 6,
    /// A compensation was paid.
    CompensationPaid { provider: Address, payer: Address, job: JobId, asset: AssetId, amount: Amount } = 7,
    /// An offer holds.
    OfferPublished {
        provider: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        terms: OfferTerms,
        valid_until: Option<MarketMs>,
        replaced: Option<Price>,
        row_fee: Amount,
    } = 8,
    /// An offer does not hold any more.
    OfferWithdrawn { provider: Address, model: ModelId, asset: AssetId, unit_kind: UnitKind, price: Price } = 9,
    /// A provider is there.
    HeartbeatSeen { provider: Address, by: Address, at: MarketMs } = 10,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::ProviderRegister { profile, payout, operator }
            | Self::ProviderUpdate { profile, payout, operator } => {
                check_accounts(payout.iter().chain(operator))?;
                profile::check(profile)
            }
            Self::ProviderBondAdd { amount } => check_amount(*amount),
            Self::ProviderSlash { amount, evidence, reason, .. } => {
                check_amount(*amount)?;
                check_text(evidence, "evidence")?;
                check_text(reason, "a reason")
            }
            Self::OfferPublish { terms, .. } => offer::check(terms),
            Self::ProviderLeave {}
            | Self::ProviderBondWithdraw {}
            | Self::OfferWithdraw { .. }
            | Self::Heartbeat { .. } => Ok(()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::ProviderRegister { .. } | Self::ProviderUpdate { .. } => PROFILE_WEIGHT,
            Self::ProviderLeave {} | Self::ProviderSlash { .. } => PROFILE_WEIGHT,
            Self::OfferPublish { .. } | Self::OfferWithdraw { .. } => OFFER_WEIGHT,
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let event = match self {
            Self::ProviderRegister { profile, payout, operator } => {
                profile::register(context, profile, *payout, *operator)
            }
            Self::ProviderUpdate { profile, payout, operator } => profile::update(context, profile, *payout, *operator),
            Self::ProviderBondAdd { amount } => bond::add(context, *amount),
            Self::ProviderLeave {} => bond::leave(context),
            Self::ProviderBondWithdraw {} => bond::withdraw(context),
            Self::ProviderSlash { provider, amount, evidence, reason, job } => {
                bond::slash(context, provider, *amount, (evidence, reason), *job)
            }
            Self::OfferPublish { model, asset, unit_kind, terms } => {
                offer::publish(context, &OfferKey { model: *model, asset: *asset, unit_kind: *unit_kind }, terms)
            }
            Self::OfferWithdraw { model, asset, unit_kind } => {
                offer::withdraw(context, &OfferKey { model: *model, asset: *asset, unit_kind: *unit_kind })
            }
            Self::Heartbeat { provider } => profile::heartbeat(context, provider),
        }?;
        context.emit(super::Event::Provider(event));
        Ok(())
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        words::words(self, tokens)
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::ProviderRegister { payout, operator, .. } | Self::ProviderUpdate { payout, operator, .. } => {
                payout.iter().chain(operator).copied().collect()
            }
            Self::ProviderSlash { provider, .. } | Self::Heartbeat { provider } => vec![*provider],
            _ => vec![],
        }
    }
}

/// Writes a provider that has just given a sign of life.
fn put_alive(context: &mut Context<'_, '_>, account: &Address, provider: Provider, market: &Market) {
    PROVIDERS.put(context.state, account, &Provider { last_seen: market.now, ..provider });
}

/// The profile of the examples.
pub fn example_profile() -> Profile {
    Profile {
        name: Text::new("Berlin 1").unwrap_or_default(),
        endpoint: Text::new("https://compute.example.org").unwrap_or_default(),
        region: Text::new("eu-central").unwrap_or_default(),
        hardware: Text::new("8 x H200").unwrap_or_default(),
        encryption_key: Hash([6; 32]),
        class: Text::new("fast").unwrap_or_default(),
        metadata: Text::new("{}").unwrap_or_default(),
        models: List::new(vec![ModelId(Hash([5; 32]))]).unwrap_or_default(),
    }
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::ProviderRegistered { provider, payout, operator, .. }
            | Self::ProviderUpdated { provider, payout, operator, .. } => {
                [provider, payout].into_iter().chain(operator).copied().collect()
            }
            Self::ProviderSlashed { provider, by, payer, .. } => {
                [provider, by].into_iter().chain(payer).copied().collect()
            }
            Self::CompensationPaid { provider, payer, .. } => vec![*provider, *payer],
            Self::HeartbeatSeen { provider, by, .. } => vec![*provider, *by],
            Self::ProviderBondAdded { provider, .. }
            | Self::ProviderLeft { provider, .. }
            | Self::ProviderBondWithdrawn { provider, .. }
            | Self::OfferPublished { provider, .. }
            | Self::OfferWithdrawn { provider, .. } => vec![*provider],
        }
    }

    fn listed(&self) -> Listed {
        let provider = match self {
            Self::ProviderRegistered { provider, .. }
            | Self::ProviderUpdated { provider, .. }
            | Self::ProviderBondAdded { provider, .. }
            | Self::ProviderLeft { provider, .. }
            | Self::ProviderBondWithdrawn { provider, .. }
            | Self::ProviderSlashed { provider, .. }
            | Self::OfferPublished { provider, .. }
            | Self::OfferWithdrawn { provider, .. }
            | Self::HeartbeatSeen { provider, .. } => Some(*provider),
            Self::CompensationPaid { .. } => None,
        };
        Listed { provider, ..Listed::default() }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let (model, asset, unit_kind) = (ModelId(Hash([5; 32])), AssetId::new(1), UnitKind::Tokens);
    let (profile, provider) = (example_profile(), Address::from_bytes([7; 32]));
    let terms = OfferTerms {
        price: Price::new(5_000),
        slots: 4,
        quantum: Units::new(1_000),
        arbiters: List::new(vec![Address::from_bytes([8; 32])]).unwrap_or_default(),
        arbiters_needed: 1,
        no_verdict_provider_bps: 0,
        valid_s: 0,
    };
    vec![
        Action::ProviderRegister { profile: profile.clone(), payout: None, operator: Some(provider) },
        Action::ProviderUpdate { profile, payout: Some(provider), operator: None },
        Action::ProviderBondAdd { amount: Amount::new(10u128.pow(20)) },
        Action::ProviderLeave {},
        Action::ProviderBondWithdraw {},
        Action::ProviderSlash {
            provider,
            amount: Amount::new(10u128.pow(20)),
            evidence: Text::new("ipfs://evidence").unwrap_or_default(),
            reason: Text::new("sold another model").unwrap_or_default(),
            job: Some(JobId::new(7)),
        },
        Action::OfferPublish { model, asset, unit_kind, terms },
        Action::OfferWithdraw { model, asset, unit_kind },
        Action::Heartbeat { provider },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
