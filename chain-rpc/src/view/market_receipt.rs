//! Receipts of jobs. Amounts are base units of the job's asset; market times are ms of the market's own clock.
//!
//! Not here: jobs (`market_job`).

use super::text::optional_hex;
use super::{AddressText, CostView, Decimal, Hex32, JobSort, Number32, Object, U64};
use chain_core::crypto::Hash;
use chain_core::tx::receipt::{Receipt, WorkOutcome};
use chain_core::types::{Address, AssetId, Height, JobId, MarketMs, TimestampMs, TxId, Units};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which receipts: those of a job.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsParams {
    /// Of which job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// `newest` or `oldest`. Default: `newest`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sort: Option<JobSort>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000; a page is at most 200 long. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which receipt: its hash, or job, leg and seq.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptParams {
    /// Its hash.
    #[serde(default, deserialize_with = "optional_hex")]
    #[schemars(with = "Option<Hex32>")]
    pub receipt: Option<Hash>,
    /// Instead: of which job …
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub job: Option<JobId>,
    /// … in which leg (default: 0) …
    #[serde(default)]
    pub leg: u32,
    /// … with which number.
    #[serde(default)]
    pub seq: Option<U64>,
}

/// A page of receipts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptsView {
    /// Of which job.
    #[schemars(with = "Decimal")]
    pub job: JobId,
    /// Blocks from here on are on this node. What it has dropped the block of is left out, also where that
    /// happens while a page is read; numbers (`seq`) go up by one, so it shows where something is.
    #[schemars(with = "Decimal")]
    pub oldest_block: Height,
    /// The accepted receipts this node still has the blocks of.
    pub receipts: Vec<ReceiptView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An accepted receipt, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// Its hash.
    #[schemars(with = "Hex32")]
    pub hash: Hash,
    /// The block it is in.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The place of its transaction there.
    pub index: u32,
    /// Its transaction.
    #[schemars(with = "Hex32")]
    pub tx_id: TxId,
    /// The block's time in unix ms.
    #[schemars(with = "Decimal")]
    pub timestamp: TimestampMs,
    /// Who submitted it.
    #[schemars(with = "AddressText")]
    pub by: Address,
    /// The job's provider.
    #[schemars(with = "AddressText")]
    pub provider: Address,
    /// The job's payer.
    #[schemars(with = "AddressText")]
    pub payer: Address,
    /// Units it added.
    #[schemars(with = "Decimal")]
    pub added: Units,
    /// Units the acknowledgement it came with says, as far as the deposit pays for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub acknowledged: Option<Units>,
    /// Units of the leg that were paid for then.
    #[schemars(with = "Decimal")]
    pub paid: Units,
    /// The job's asset.
    #[schemars(with = "Number32")]
    pub asset: AssetId,
    /// What was paid for the acknowledgement.
    pub payment: CostView,
    /// When it was accepted.
    #[schemars(with = "Decimal")]
    pub at: MarketMs,
    /// Until when it can be contested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub contestable_until: Option<MarketMs>,
    /// How the work went.
    #[schemars(with = "Object")]
    pub outcome: WorkOutcome,
    /// The receipt.
    #[schemars(with = "Object")]
    pub receipt: Receipt,
}
