//! Who decides disputes: as arguments of offers and bids, and in words.
//!
//! Not here: disputes themselves (`dispute`).

use chain_core::{codec::List, state::market::provider::DisputeTerms};
use chain_rpc::view::DisputeTermsView;
use clap::Args;

use crate::{
    app::{App, Names},
    error::{Answer, CliError},
};

/// Who decides, and what happens if nobody does.
#[derive(Debug, Args)]
pub struct Deciders {
    /// Who decides disputes, by name or address; several with commas [default: the council]
    #[arg(long, visible_alias = "arbiter", value_delimiter = ',', value_name = "NAME|ADDRESS")]
    arbiters: Vec<String>,
    /// How many of them must agree [default: more than half]
    #[arg(long, value_name = "M", requires = "arbiters")]
    arbiters_needed: Option<u8>,
    /// The provider's part of what nobody decides about, in 1/10,000
    #[arg(long, visible_alias = "no-verdict-provider-bps", value_name = "BPS", default_value_t = 0)]
    no_verdict_bps: u16,
}

impl Deciders {
    /// As the chain has it.
    pub fn terms(&self, app: &App) -> Answer<DisputeTerms> {
        let arbiters = self.arbiters.iter().map(|name| app.address(name)).collect::<Answer<Vec<_>>>()?;
        let arbiters_needed = self.arbiters_needed.unwrap_or_else(|| majority(arbiters.len()));
        let arbiters = List::new(arbiters).map_err(CliError::usage)?;
        Ok(DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps: self.no_verdict_bps })
    }
}

/// More than half of so many; none of nobody.
fn majority(count: usize) -> u8 {
    // A list has at most 7.
    if count == 0 { 0 } else { count as u8 / 2 + 1 }
}

/// Who decides: `the council`, or `2 of dev5, dev6, dev7`.
pub fn who(names: &Names, terms: &DisputeTermsView) -> String {
    let DisputeTermsView { arbiters, arbiters_needed, .. } = terms;
    let called: Vec<_> = arbiters.iter().map(|arbiter| names.short(arbiter)).collect();
    match called.as_slice() {
        [] => "the council".into(),
        [one] => one.clone(),
        several => format!("{arbiters_needed} of {}", several.join(", ")),
    }
}

/// What happens without a verdict.
pub fn without_verdict(terms: &DisputeTermsView) -> String {
    let bps = terms.no_verdict_provider_bps;
    format!("without a verdict the provider has {}.{:02} % of what is contested", bps / 100, bps % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        assert_eq!([0, 1, 2, 3, 4, 7].map(majority), [0, 1, 2, 2, 3, 4]);
    }
}
