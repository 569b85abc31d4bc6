//! Posted jobs and the bids on them. Amounts are base units of the job's asset, prices per 1000 units; market times
//! are ms of the market's own clock.
//!
//! Not here: jobs that have a provider (`market_job`), the rules (chain-core).

use super::{AddressText, Decimal, DisputeTermsView, Hex32, JobState, Number32, Object};
use chain_core::state::market::job::{Funding, Mode};
use chain_core::state::market::post::{Bid, Post, Requirements};
use chain_core::types::{
    Address, Amount, AssetId, Height, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A job that waits for a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostView {
    /// Its number, which it keeps.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `posted`.
    pub state: JobState,
    /// Who pays, and gets back what is left.
    #[schemars(with = "AddressText")]
    pub payer: Address,
    /// Who posted it.
    #[schemars(with = "AddressText")]
    pub opener: Address,
    /// From where the money came.
    #[schemars(with = "Object")]
    pub funding: Funding,
    /// With which model.
    #[schemars(with = "Hex32")]
    pub model: ModelId,
    /// What is paid.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// What is metered.
    #[schemars(with = "String")]
    pub unit_kind: UnitKind,
    /// What is in escrow.
    #[schemars(with = "Decimal")]
    pub deposit: Amount,
    /// The highest price of a bid, per 1000 units.
    #[schemars(with = "Decimal")]
    pub max_price: Price,
    /// How long it lasts at most once it is taken, in seconds.
    pub duration_s: u32,
    /// After how many seconds without activity it ends then.
    pub silence_s: u32,
    /// How work becomes money: `provider_claims` with its `proof_interval`, or `client_acks` with `quantum` and
    /// `ack_key`.
    #[schemars(with = "Object")]
    pub mode: Mode,
    /// What a provider must be or have to bid; empty and 0: anything.
    pub requirements: RequirementsView,
    /// What the opener calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<String>,
    /// The last moment of bidding and accepting; then the payer has all of it back.
    #[schemars(with = "Decimal")]
    pub until: MarketMs,
    /// How many providers have bid.
    pub bids: u32,
}

/// What a provider must be or have to bid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequirementsView {
    /// Its region; empty: any.
    pub region: String,
    /// Its class of performance; empty: any.
    pub class: String,
    /// Its least bond, in base units of the stake asset.
    #[schemars(with = "Decimal")]
    pub min_bond: Amount,
    /// Its least score for the model, in 1/10,000.
    pub min_score_bps: u16,
}

/// The bids on which job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BidsParams {
    /// The posted job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many. Default: 64, which is all there can be.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of bids, by the provider's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BidsView {
    /// On which posted job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The market's clock.
    #[schemars(with = "Decimal")]
    pub now: MarketMs,
    /// The job's asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// The last moment of bidding and accepting.
    #[schemars(with = "Decimal")]
    pub until: MarketMs,
    /// The bids.
    pub bids: Vec<BidView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a provider would do a posted job for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BidView {
    /// Who.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// Its number.
    #[schemars(with = "Decimal")]
    pub provider_id: ProviderId,
    /// Its price, per 1000 units.
    #[schemars(with = "Decimal")]
    pub price: Price,
    /// The most units it works ahead of acknowledgements.
    #[schemars(with = "Decimal")]
    pub quantum: Units,
    /// How disputes would be decided.
    pub dispute_terms: DisputeTermsView,
    /// When it was placed.
    #[schemars(with = "Decimal")]
    pub at: MarketMs,
    /// The provider's score for the model now, in 1/10,000.
    pub score_bps: u16,
}

impl PostView {
    /// A posted job's row.
    pub fn of(id: JobId, post: Post) -> Self {
        let Post { payer, opener, funding, model, asset, unit_kind, deposit, max_price, duration_s, .. } = post;
        let Requirements { region, class, min_bond, min_score_bps } = post.requirements;
        let (region, class) = (region.to_string(), class.to_string());
        Self {
            job: id,
            state: JobState::Posted,
            payer,
            opener,
            funding,
            model,
            asset,
            unit_kind,
            deposit,
            max_price,
            duration_s,
            silence_s: post.silence_s,
            mode: post.mode,
            requirements: RequirementsView { region, class, min_bond, min_score_bps },
            client_ref: post.client_ref.map(|name| name.to_string()),
            until: post.until,
            bids: post.bidders.len() as u32,
        }
    }
}

impl BidView {
    /// A bid's row.
    pub fn of(provider_id: ProviderId, bid: Bid, score_bps: u16) -> Self {
        let Bid { provider, price, quantum, dispute, at } = bid;
        Self { provider, provider_id, price, quantum, dispute_terms: dispute.into(), at, score_bps }
    }
}
