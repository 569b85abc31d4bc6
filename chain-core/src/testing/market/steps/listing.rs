//! What is listed: models, terms of assets, providers and their offers.

use super::*;
use crate::codec::List;
use crate::state::market::model::{MODEL_VOTES, NEXT_MODEL_PROPOSAL};
use crate::state::market::provider::{Profile, ProviderState};
use crate::types::{ModelProposalId, Price, UnitKind, Units};

/// All kinds of units.
const KINDS: [UnitKind; 4] = [UnitKind::Tokens, UnitKind::Images, UnitKind::Seconds, UnitKind::Requests];

/// Terms that leave room for small and large jobs.
pub(super) fn usual_terms(asset: AssetId) -> AssetTerms {
    // Of the stake asset everything is five times as much.
    let times = if asset.get() == 2 { 5 } else { 1 };
    AssetTerms {
        accepted: true,
        min_deposit: Amount::new(times * 1_000),
        max_deposit: Amount::new(times * 1_000_000),
        min_price: Price::new(times * 10),
        max_price: Price::new(times * 10_000_000),
    }
}

impl Draw<'_, '_> {
    pub(super) fn models(&mut self) -> Wish {
        let new = spec(self.below(MODELS.into()) as u8);
        let next = NEXT_MODEL_PROPOSAL.get(self.state, &()).unwrap().map_or(1, ModelProposalId::get);
        let proposal = ModelProposalId::new(next.saturating_sub(1 + self.below(3)));
        let (model, voter) = (self.model(), self.anybody());
        let locked = people().find(|seed| MODEL_VOTES.get(self.state, &(address(*seed), proposal)).unwrap().is_some());
        match self.below(8) {
            _ if MODEL_ROWS.get(self.state, &spec(0).id()).unwrap().is_none() => {
                wish(CURATOR, model::Action::ModelCurate { models: List::new(vec![spec(0), spec(1)]).unwrap() })
            }
            0 => wish(CURATOR, model::Action::ModelCurate { models: List::new(vec![new, spec(0)]).unwrap() }),
            1 | 2 => wish(voter, model::Action::ModelPropose { model: new }),
            3 | 4 => wish(voter, model::Action::ModelVote { proposal, amount: self.amount(1, 4_000) }),
            5 => wish(voter, model::Action::ModelFinalize { proposal }),
            6 => wish(locked.unwrap_or(voter), model::Action::ModelVoteUnlock { proposal }),
            _ if self.one_in(2) => {
                let (low, high) = (self.seconds(100, 1_000), self.seconds(1_000, 10_000));
                let wrong = if self.is_hostile() { 10_001 } else { low };
                let rate = self.pick(&[None, Some(low), Some(high), Some(wrong)]);
                wish(CURATOR, model::Action::ModelSetRate { model, rate })
            }
            _ => wish(CURATOR, model::Action::ModelSetActive { model, active: !self.one_in(4) }),
        }
    }

    pub(super) fn terms(&mut self) -> Wish {
        let known = AssetId::new(self.below(self.asset_count().into()) as u32);
        let (asset, by) = (self.new_asset().unwrap_or(known), self.pick(&[CURATOR, TREASURER]));
        let usual = usual_terms(asset);
        let reason = text("because");
        let paused = stored(self.state).unwrap().paused_until.is_some();
        let set = |terms| wish(by, market::Action::AssetTermsSet { asset, terms });
        match self.below(12) {
            0 if !paused => wish(by, market::Action::MarketPause { reason }),
            1 if !self.is_hostile() && !paused => set(usual),
            _ if paused || self.one_in(40) => wish(by, market::Action::MarketUnpause { reason }),
            2 => set(AssetTerms { accepted: false, ..usual }),
            3 => {
                let (min_deposit, max_deposit) = (self.amount(1, 2_000), self.amount(2_001, 1_000_000));
                set(AssetTerms { min_deposit, max_deposit, ..usual })
            }
            // Nearly without bounds.
            4 => set(AssetTerms { max_deposit: Amount::MAX_SUPPLY, min_price: Price::new(1), ..usual }),
            _ => set(usual),
        }
    }

    fn profile(&mut self) -> Profile {
        let known: Vec<_> = (0..MODELS).map(|number| spec(number).id()).collect();
        let mut models: Vec<_> = known.iter().copied().filter(|id| self.is_active(id)).collect();
        if self.one_in(3) {
            models.truncate(1);
        }
        if self.is_hostile() {
            models.push(self.model());
        }
        let (name, metadata) = (text(self.pick(&["Berlin", "B"])), text(self.pick(&["{}", "{\"cards\":8}"])));
        Profile { name, metadata, models: List::new(models).unwrap(), ..provider::example_profile() }
    }

    pub(super) fn providers(&mut self) -> Wish {
        let seed = self.pick(&PROVIDERS);
        let named = |draw: &mut Self| draw.one_in(4).then(|| address(draw.anybody()));
        let (payout, operator, profile) = (named(self), named(self), self.profile());
        let Some(row) = self.provider_row(seed).filter(|row| row.state != ProviderState::Gone) else {
            return wish(seed, provider::Action::ProviderRegister { profile, payout, operator });
        };
        let by = row.operator.filter(|_| self.one_in(2)).map_or(seed, |operator| self.seed_of(&operator));
        match self.below(18) {
            _ if row.is_leaving() && self.one_in(2) => wish(seed, provider::Action::ProviderBondWithdraw {}),
            0 => wish(seed, provider::Action::ProviderLeave {}),
            1 | 2 => wish(seed, provider::Action::ProviderUpdate { profile, payout, operator }),
            3 | 4 => wish(seed, provider::Action::ProviderBondAdd { amount: self.amount(1, 5_000) }),
            5 => wish(by, provider::Action::Heartbeat { provider: address(seed) }),
            6 if self.is_hostile() => wish(seed, provider::Action::ProviderRegister { profile, payout, operator }),
            6 => match self.offered() {
                Some((seed, OfferKey { model, asset, unit_kind }, _)) => {
                    wish(seed, provider::Action::OfferWithdraw { model, asset, unit_kind })
                }
                None => wish(seed, provider::Action::ProviderBondWithdraw {}),
            },
            _ => self.publishing(seed, &row),
        }
    }

    fn publishing(&mut self, seed: u8, row: &rows::Provider) -> Wish {
        let profile = rows::PROFILES.get(self.state, &address(seed)).unwrap();
        let models = profile.map_or(vec![], |profile| profile.models.into_inner());
        let models: Vec<_> = models.into_iter().filter(|id| self.is_active(id)).collect();
        let model = if models.is_empty() || self.is_hostile() { self.model() } else { self.pick(&models) };
        let asset = self.asset();
        let terms = self.terms_of(asset);
        let per_slot = self.params.market.bond_per_slot.get().max(1);
        let slots = u64::try_from(row.bond.get() / per_slot).unwrap_or(u64::MAX).clamp(1, 40);
        let dear = terms.min_price.get().saturating_add(self.pick(&[100, 9_000]));
        let arbiters: Vec<_> = if self.one_in(4) { vec![address(self.anybody())] } else { vec![] };
        let offered = OfferTerms {
            price: Price::new(self.amount(terms.min_price.get(), dear.min(terms.max_price.get())).get()),
            slots: u32::try_from(self.count(1, slots)).unwrap_or(u32::MAX),
            quantum: Units::new(self.count(1, 2_000)),
            arbiters_needed: arbiters.len() as u8,
            arbiters: List::new(arbiters).unwrap(),
            no_verdict_provider_bps: self.pick(&[0, 5_000, 10_000]),
            valid_s: if self.one_in(4) { self.seconds(1, 900) } else { 0 },
        };
        let unit_kind = if self.one_in(2) { UnitKind::Tokens } else { self.pick(&KINDS) };
        wish(seed, provider::Action::OfferPublish { model, asset, unit_kind, terms: offered })
    }
}
