//! Posted jobs: a payer's money in escrow for a job that providers bid on.
//!
//! Not here: who may post, bid and accept when (the job family).

use super::UNKNOWN_JOB;
use super::job::{ClientRef, Funding, Mode};
use super::provider::DisputeTerms;
use crate::codec::{List, Text};
use crate::fault::Failure;
use crate::limits::{MAX_BIDS, MAX_LABEL_BYTES};
use crate::state::overlay::Overlay;
use crate::state::table::{Rows, Table};
use crate::types::{Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, ProviderId, UnitKind, Units};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Posted jobs by number, until they are taken or given back.
pub const POSTS: Table<JobId, Post> = Table::new(58);
/// When a posted job nobody took is given back.
pub const POST_ENDS: Table<(MarketMs, JobId), ()> = Table::new(59);
/// Bids by job and provider, as long as the job is posted.
pub const BIDS: Table<(JobId, ProviderId), Bid> = Table::new(60);

/// What a provider must be or have to bid.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// Its region; empty: any.
    pub region: Text<MAX_LABEL_BYTES>,
    /// Its class of performance; empty: any.
    pub class: Text<MAX_LABEL_BYTES>,
    /// Its least bond, in base units of the stake asset.
    pub min_bond: Amount,
    /// Its least score for the model, in basis points.
    pub min_score_bps: u16,
}

/// A job that waits for a provider.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Post {
    /// Who pays, and gets back what is left.
    pub payer: Address,
    /// Who posted it.
    pub opener: Address,
    /// From where the money came.
    pub funding: Funding,
    /// With which model.
    pub model: ModelId,
    /// For which money.
    pub asset: AssetId,
    /// In which units.
    pub unit_kind: UnitKind,
    /// How much, in base units.
    pub deposit: Amount,
    /// The highest price of a bid.
    pub max_price: Price,
    /// How long at most, once it is taken.
    pub duration_s: u32,
    /// After how long without activity it ends.
    pub silence_s: u32,
    /// How work becomes money.
    pub mode: Mode,
    /// Who may bid.
    pub requirements: Requirements,
    /// What the opener calls it.
    pub client_ref: Option<ClientRef>,
    /// The last moment of bidding and accepting.
    pub until: MarketMs,
    /// Who has bid.
    pub bidders: List<ProviderId, MAX_BIDS>,
}

/// What a provider would do a posted job for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Bid {
    /// Who.
    pub provider: Address,
    /// Base units per 1000 metered units.
    pub price: Price,
    /// The most units it works ahead of acknowledgements.
    pub quantum: Units,
    /// How disputes shall be decided.
    pub dispute: DisputeTerms,
    /// When it was placed.
    pub at: MarketMs,
}

/// The posted job of a number.
pub fn post(rows: &impl Rows, id: JobId) -> Result<Post, Failure> {
    POSTS.get(rows, &id)?.ok_or_else(|| UNKNOWN_JOB.because("a posted job", id).into())
}

/// Removes a posted job and its bids.
pub fn remove_post(overlay: &mut Overlay<'_>, id: JobId, post: &Post) {
    for bidder in post.bidders.iter() {
        BIDS.remove(overlay, &(id, *bidder));
    }
    POST_ENDS.remove(overlay, &(post.until, id));
    POSTS.remove(overlay, &id);
}
