//! What a provider's jobs say of it. Numbers fade: they are told as they are at the market's clock of the answer.
//!
//! Not here: what counts and the formula (`chain_core::state::market::reputation`).

use super::text::optional_hex;
use super::{AddressText, Decimal, Hex32};
use chain_core::state::market::reputation::Reputation;
use chain_core::types::{Address, Height, MarketMs, ModelId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose reputation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReputationParams {
    /// The provider's account.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Only with this model, also where nothing was counted. Default: all models something was counted with.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub model: Option<ModelId>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many models, up to 1000. Default: 100.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of what jobs say of a provider, by model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReputationView {
    /// The provider's account.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock, which the numbers faded until.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// In how many seconds of that clock a number halves.
    pub half_life_s: u32,
    /// What is left of the slashes' parts of the bond, in millionths of 1/10,000. It counts for all models.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub slashed_bps_millionths: u128,
    /// By model.
    pub models: Vec<ModelReputation>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What jobs of one model say of a provider: numbers in millionths, as they faded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReputation {
    /// Which model.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// 0 (nothing good is known) to 10000.
    pub score_bps: u16,
    /// Jobs with paid work that the payer acknowledged, or completed.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub jobs_millionths: u128,
    /// Units that were paid for.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub units_millionths: u128,
    /// Timeouts of jobs with accepted work.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub timeouts_with_work_millionths: u128,
    /// Timeouts of jobs without: nobody answered.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub timeouts_empty_millionths: u128,
    /// Disputes that were decided for it.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub disputes_won_millionths: u128,
    /// Disputes that were decided against it.
    #[schemars(with = "Decimal")]
    #[serde(with = "millionths")]
    pub disputes_lost_millionths: u128,
}

impl ModelReputation {
    /// Of a model's record as it is now.
    pub fn of(model: ModelId, now: &Reputation) -> Self {
        let Reputation { record, score_bps, .. } = *now;
        Self {
            model,
            score_bps,
            jobs_millionths: record.jobs.millionths,
            units_millionths: record.units.millionths,
            timeouts_with_work_millionths: record.timeouts_with_work.millionths,
            timeouts_empty_millionths: record.timeouts_empty.millionths,
            disputes_won_millionths: record.disputes_won.millionths,
            disputes_lost_millionths: record.disputes_lost.millionths,
        }
    }
}

/// A number of up to 128 bits as decimal digits in a string.
mod millionths {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
