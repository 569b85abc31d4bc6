//! Actions whose form is wrong: empty texts and lists, lists with something twice, keys that are none.

use super::*;
use crate::codec::List;
use crate::crypto::PublicKey;
use crate::state::market::model::ModelSpec;
use crate::types::{Price, Units};

/// The action with something wrong in its form, where there is something to spoil.
pub(super) fn spoilt(draw: &mut Draw<'_, '_>, action: Action) -> Action {
    match action {
        Action::Model(action) => Action::Model(spoilt_model(draw, action)),
        Action::Provider(action) => Action::Provider(spoilt_provider(draw, action)),
        Action::Market(action) => Action::Market(spoilt_market(draw, action)),
        Action::Account(action) => Action::Account(spoilt_account(draw, action)),
        Action::Job(job::Action::JobOpen(mut wish)) => {
            match draw.below(4) {
                0 => wish.price = Price::new(0),
                1 => wish.duration_s = draw.pick(&[0, 1, 59]),
                2 => wish.silence_s = draw.pick(&[0, 59, 3_601]),
                _ => wish.client_ref = Some(Text::default()),
            }
            Action::Job(job::Action::JobOpen(wish))
        }
        other => other,
    }
}

fn spoilt_model(draw: &mut Draw<'_, '_>, action: model::Action) -> model::Action {
    match action {
        model::Action::ModelCurate { .. } if draw.one_in(2) => model::Action::ModelCurate { models: List::default() },
        model::Action::ModelPropose { model } => {
            model::Action::ModelPropose { model: ModelSpec { repo: Text::default(), ..model } }
        }
        model::Action::ModelSetRate { model, .. } => {
            model::Action::ModelSetRate { model, rate: Some(draw.pick(&[0, 99, 10_001])) }
        }
        other => other,
    }
}

fn spoilt_provider(draw: &mut Draw<'_, '_>, action: provider::Action) -> provider::Action {
    use provider::Action::{OfferPublish, ProviderRegister, ProviderUpdate};
    let spoil = |draw: &mut Draw<'_, '_>, mut profile: rows::Profile| {
        let first = profile.models.iter().next().copied();
        match (draw.below(3), first) {
            (0, Some(first)) => profile.models = List::new(vec![first, first]).unwrap(),
            (1, _) => profile.models = List::default(),
            _ => profile.endpoint = Text::default(),
        }
        profile
    };
    match action {
        ProviderRegister { profile, payout, operator } => {
            ProviderRegister { profile: spoil(draw, profile), payout, operator }
        }
        ProviderUpdate { profile, payout, operator } => {
            ProviderUpdate { profile: spoil(draw, profile), payout, operator }
        }
        OfferPublish { model, asset, unit_kind, mut terms } => {
            match draw.below(4) {
                0 => terms.arbiters_needed = 8,
                1 => terms.quantum = Units::ZERO,
                2 => terms.no_verdict_provider_bps = 10_001,
                _ => terms.slots = draw.pick(&[0, u32::MAX]),
            }
            OfferPublish { model, asset, unit_kind, terms }
        }
        other => other,
    }
}

fn spoilt_market(draw: &mut Draw<'_, '_>, action: market::Action) -> market::Action {
    use market::Action::{AssetTermsSet, EarningsWithdraw};
    match action {
        EarningsWithdraw { items } if draw.one_in(2) => {
            let first: Vec<_> = items.iter().take(1).copied().collect();
            EarningsWithdraw { items: List::new([first.clone(), first].concat()).unwrap() }
        }
        EarningsWithdraw { .. } => EarningsWithdraw { items: List::default() },
        AssetTermsSet { asset, terms } => {
            let terms = match draw.below(2) {
                0 => AssetTerms { min_deposit: terms.max_deposit, ..terms },
                _ => AssetTerms { min_price: Price::new(0), ..terms },
            };
            AssetTermsSet { asset, terms }
        }
        market::Action::MarketPause { .. } => market::Action::MarketPause { reason: Text::default() },
        other => other,
    }
}

fn spoilt_account(draw: &mut Draw<'_, '_>, action: account::Action) -> account::Action {
    use account::Action::{DelegateSet, RotateKey, SetMultiKey};
    match action {
        RotateKey { proof, .. } => RotateKey { new_key: PublicKey([0; 32]), proof },
        SetMultiKey { keys, proofs, .. } => SetMultiKey { threshold: 3, keys, proofs },
        DelegateSet { delegate, mut scope, reset_spent } => {
            if draw.one_in(2) {
                scope.assets = List::default();
            } else {
                let first = scope.assets.iter().take(1).copied();
                let none = first
                    .map(|allowance| crate::state::market::grant::Allowance { max_job: Amount::ZERO, ..allowance });
                scope.assets = List::new(none.collect()).unwrap();
            }
            DelegateSet { delegate, scope, reset_spent }
        }
        other => other,
    }
}
