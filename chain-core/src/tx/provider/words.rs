//! What providers sign, in words: everything that is signed.

use super::*;
use crate::tx::text::{amount_text, quoted};

/// An action of this family in words.
pub(super) fn words(action: &Action, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
    match action {
        Action::ProviderRegister { profile, payout, operator } => {
            format!("Bond the least bond and become a provider{}", profile_words(profile, *payout, *operator))
        }
        Action::ProviderUpdate { profile, payout, operator } => {
            format!("Be a provider from now on{}", profile_words(profile, *payout, *operator))
        }
        Action::ProviderBondAdd { amount } => format!("Bond {amount} more base units of stake as a provider"),
        Action::ProviderLeave {} => "Take no more jobs as a provider".into(),
        Action::ProviderBondWithdraw {} => "Withdraw the bond of this account as a provider".into(),
        Action::ProviderSlash { provider, amount, evidence, reason, job } => {
            let job = job.map_or(String::new(), |job| format!(", for the payer of job {job}"));
            let (reason, evidence) = (quoted(reason), quoted(evidence));
            format!(
                "Slash the bond of {provider} by {amount} base units of stake for {reason}, evidence {evidence}{job}"
            )
        }
        Action::OfferPublish { model, asset, unit_kind, terms } => {
            let price = amount_text(*asset, Amount::new(terms.price.get()), tokens);
            format!("Offer the model {model} for {price} per 1000 {unit_kind}, {}", terms_words(terms))
        }
        Action::OfferWithdraw { model, asset, unit_kind } => {
            format!("Take back the offer of the model {model} in asset {asset} for {unit_kind}")
        }
        Action::Heartbeat { provider } => format!("Say that the provider {provider} is there"),
    }
}

fn profile_words(profile: &Profile, payout: Option<Address>, operator: Option<Address>) -> String {
    let Profile { name, endpoint, region, hardware, encryption_key, class, metadata, models } = profile;
    let named = |account: Option<Address>, nobody: &str| account.map_or(nobody.to_owned(), |a| a.to_string());
    let list: Vec<_> = models.iter().map(ModelId::to_string).collect();
    format!(
        " called {} at {}, region {}, hardware {}, class {}, encryption key {encryption_key}, metadata {}, earnings to \
         {}, operated by {}, for {} models: {}",
        quoted(name),
        quoted(endpoint),
        quoted(region),
        quoted(hardware),
        quoted(class),
        quoted(metadata),
        named(payout, "this account"),
        named(operator, "nobody else"),
        list.len(),
        list.join(", "),
    )
}

fn terms_words(terms: &OfferTerms) -> String {
    let OfferTerms { slots, quantum, arbiters, arbiters_needed, no_verdict_provider_bps, valid_s, price: _ } = terms;
    let judges: Vec<_> = arbiters.iter().map(Address::to_string).collect();
    let judges = match judges.len() {
        0 => "the council".to_owned(),
        count => format!("{arbiters_needed} of these {count}: {}", judges.join(", ")),
    };
    let until = if *valid_s == 0 { "until it is taken back".to_owned() } else { format!("for {valid_s} s") };
    format!(
        "while there are fewer than {slots} jobs, {until}; at most {quantum} units ahead of acknowledgements; disputes \
         decided by {judges}, and {no_verdict_provider_bps} basis points to the provider where nobody decides"
    )
}
