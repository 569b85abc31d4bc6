//! What an account lets others spend of its money on jobs.
//!
//! Not here: who grants (the account family), who spends (the job family).

use super::OUT_OF_SCOPE;
use crate::codec::List;
use crate::fault::{Failure, Fault};
use crate::limits::{MAX_GRANTED_ASSETS, MAX_LIST};
use crate::state::account::Authority;
use crate::state::table::{Rows, Table};
use crate::types::{Address, Amount, AssetId, ModelId, Price, Rejected, TimestampMs};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Grants by payer and the beginning of the delegate's address; the row holds all of it.
pub const GRANTS: Table<(Address, [u8; 14]), Grant> = Table::new(52);

/// How much of an asset may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Which asset.
    pub asset: AssetId,
    /// The highest price; in JSON `null`: any.
    #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
    pub max_price: Option<Price>,
    /// The most for one job.
    pub max_job: Amount,
    /// The most for all jobs together.
    pub max_total: Amount,
}

/// What a delegate may do.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// With which providers; empty: all.
    #[serde(default)]
    pub providers: List<Address, MAX_LIST>,
    /// For which models; empty: all.
    #[serde(default)]
    pub models: List<ModelId, MAX_LIST>,
    /// Which money; no asset twice.
    pub assets: List<Allowance, MAX_GRANTED_ASSETS>,
    /// The last block time at which it holds; in JSON `null`: for ever.
    #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
    pub expires_at: Option<TimestampMs>,
}

/// A scope, and what was spent in it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Grant {
    /// To whom.
    pub delegate: Address,
    /// What he may do.
    pub scope: Scope,
    /// Who could sign for the payer then. Where that has changed, the grant holds no more.
    pub authority: Authority,
    /// What he spent, ascending by asset.
    pub spent: List<(AssetId, Amount), MAX_GRANTED_ASSETS>,
}

/// What somebody wants to spend.
#[derive(Clone, Copy, Debug)]
pub struct Spending {
    /// With which provider; `None`: not known yet, and asked for by [`Grant::covers`] later.
    pub provider: Option<Address>,
    /// For which model.
    pub model: ModelId,
    /// Which money.
    pub asset: AssetId,
    /// At which price.
    pub price: Price,
    /// How much now.
    pub amount: Amount,
    /// How much for the job altogether.
    pub job_total: Amount,
}

impl Grant {
    /// Whether it holds now, and for this provider.
    ///
    /// # Errors
    /// `OUT_OF_SCOPE` says what is not allowed.
    pub fn covers(&self, provider: Option<Address>, now: TimestampMs) -> Result<(), Rejected> {
        let Scope { providers, expires_at, .. } = &self.scope;
        refuse_unless(expires_at.is_none_or(|until| now <= until), "a grant that has not expired", now)?;
        let Some(provider) = provider else { return Ok(()) };
        refuse_unless(providers.is_empty() || providers.contains(&provider), "another provider", provider)
    }

    /// What was spent of an asset.
    pub fn spent(&self, asset: AssetId) -> Amount {
        self.spent.iter().find(|(of, _)| *of == asset).map_or(Amount::ZERO, |(_, spent)| *spent)
    }

    /// The grant after this spending.
    ///
    /// # Errors
    /// `OUT_OF_SCOPE` says what is not allowed.
    pub fn spend(mut self, spending: &Spending, now: TimestampMs) -> Result<Self, Failure> {
        let Spending { provider, model, asset, price, amount, job_total } = *spending;
        let Scope { models, assets, .. } = &self.scope;
        self.covers(provider, now)?;
        refuse_unless(models.is_empty() || models.contains(&model), "another model", model)?;
        let allowance = assets.iter().find(|allowance| allowance.asset == asset).copied();
        let allowance = allowance.ok_or_else(|| OUT_OF_SCOPE.because("another asset", asset))?;
        let dearest = allowance.max_price;
        refuse_unless(dearest.is_none_or(|dearest| price <= dearest), "a lower price", price)?;
        refuse_unless(job_total <= allowance.max_job, "less for one job", job_total)?;
        let spent = self.spent(asset).saturating_add(amount);
        refuse_unless(spent <= allowance.max_total, "less for all jobs", spent)?;
        let mut all: Vec<_> = self.spent.iter().filter(|(of, _)| *of != asset).copied().collect();
        all.push((asset, spent));
        all.sort();
        self.spent = List::new(all).map_err(|e| Fault::new(format!("what a delegate spent: {e}")))?;
        Ok(self)
    }
}

fn refuse_unless(allowed: bool, expected: &str, got: impl std::fmt::Display) -> Result<(), Rejected> {
    if allowed { Ok(()) } else { Err(OUT_OF_SCOPE.because(expected, got)) }
}

/// Where a grant is kept.
pub fn grant_row(payer: &Address, delegate: &Address) -> (Address, [u8; 14]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, ..] = *delegate.as_bytes();
    (*payer, [a, b, c, d, e, f, g, h, i, j, k, l, m, n])
}

/// What a payer lets a delegate do.
pub fn grant(rows: &impl Rows, payer: &Address, delegate: &Address) -> Result<Option<Grant>, Fault> {
    Ok(GRANTS.get(rows, &grant_row(payer, delegate))?.filter(|grant| grant.delegate == *delegate))
}
