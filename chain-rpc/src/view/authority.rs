//! Who validates, what the council decides, and by which rules blocks are made.

use super::{AddressText, Decimal, Hex32, Object, ReasonView, StakeSummary, U64};
use chain_core::block::Header;
use chain_core::crypto::{Hash, PublicKey};
use chain_core::state::{JailCause, Params, Roles};
use chain_core::tx::authority::Measure;
use chain_core::types::{
    Address, Amount, Certificate, ConsensusMode, Equivocation, Height, ProposalId, QuorumRule, TimestampMs, Validator,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which validator set.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidatorsParams {
    /// The height it signs. Default: the next block's.
    #[serde(default)]
    #[schemars(with = "Option<Decimal>")]
    pub height: Option<Height>,
}

/// A validator set, and everybody who was admitted besides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorsView {
    /// The height the set signs.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Hash of the set.
    #[schemars(with = "Hex32")]
    pub hash: Hash,
    /// Which faults the set tolerates.
    #[schemars(with = "String")]
    pub quorum_rule: QuorumRule,
    /// Who may validate: `poa`, `pos` or `hybrid`.
    #[schemars(with = "String")]
    pub mode: ConsensusMode,
    /// The sum of the members' weights.
    pub total_weight: U64,
    /// The next block after which the set may change; told with the next block's set only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub epoch_ends: Option<Height>,
    /// The members, ascending by key.
    pub validators: Vec<ValidatorView>,
    /// Who is known but not in this set, ascending by key: waiting, jailed, convicted or removed.
    pub others: Vec<ValidatorView>,
}

/// How a validator stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorStatus {
    /// Admitted, and in the set that signs the next block.
    Active,
    /// Admitted, but not in the set: not ready, or waiting for an epoch.
    Waiting,
    /// Jailed; it leaves the set at the end of the epoch, until the jailing is lifted.
    Jailed,
    /// It contradicted itself: jailed for ever.
    Convicted,
    /// Removed; it leaves the set at the end of the epoch.
    Removed,
    /// Of an older set; nothing is known of it any more.
    Forgotten,
}

/// A validator. The set's facts are those of the asked height, all others are of now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorView {
    /// Signs proposals and votes.
    #[schemars(with = "Hex32")]
    pub public_key: PublicKey,
    /// Receives the proposer's fees, and acts on the council.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// What people call it; empty where nobody named it.
    pub name: String,
    /// Its voting weight in the set; 0: it is not in it.
    pub weight: U64,
    /// Whether its turn is first at this height.
    pub leads_first: bool,
    /// How it stands.
    pub status: ValidatorStatus,
    /// Why it is jailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub jail_cause: Option<JailCause>,
    /// The equivocation it was convicted of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Object>")]
    pub equivocation: Option<Equivocation>,
    /// The weight the council gave it, or in modes `pos` and `hybrid` its stake does.
    pub wanted_weight: U64,
    /// What stands behind it; absent where nobody ever bonded for it, as in mode `poa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stake: Option<StakeSummary>,
    /// Whether its node said that it runs, since it was admitted or jailed.
    pub ready: bool,
    /// Whether it votes on proposals.
    pub on_council: bool,
    /// The block that decided its status or readiness last.
    #[schemars(with = "Decimal")]
    pub since: Height,
    /// Heights at which it missed a turn to propose, in all.
    pub missed_turns: U64,
    /// One up per height with a missed turn, one down per block built; jailed at `absence_jail_turns`.
    pub absence: u32,
    /// Of its turns in the newest 100 blocks how many it took, in 1/10,000; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_bps: Option<u32>,
}

/// Which changes of the validator set.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetChangesParams {
    /// The first block to look at. Default: 0.
    #[serde(default)]
    #[schemars(with = "Decimal")]
    pub from: Height,
    /// At most this many, up to 100. Default: 20.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Changes of the validator set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetChangesView {
    /// Ascending. Whoever trusts one set follows them to the next (docs/wire.md, section 13).
    pub changes: Vec<SetChangeView>,
    /// `from` of the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub next: Option<Height>,
}

/// A final block after which another set signs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetChangeView {
    /// Its header, which names both sets by their hashes.
    #[schemars(with = "Object")]
    pub header: Header,
    /// The proof that it is final, by the old set.
    #[schemars(with = "Object")]
    pub certificate: Certificate,
    /// The members of the new set, ascending by key.
    #[schemars(with = "Vec<Object>")]
    pub members: Vec<Validator>,
}

/// How far back to look.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UptimeParams {
    /// How many of the newest blocks, up to 1000. Default: 100.
    #[serde(default)]
    pub blocks: Option<u32>,
}

/// What validators did in the newest blocks, as far as headers and certificates say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UptimesView {
    /// The oldest block looked at; later than asked for where this node keeps no older headers.
    #[schemars(with = "Decimal")]
    pub from: Height,
    /// The newest.
    #[schemars(with = "Decimal")]
    pub to: Height,
    /// Who was in a set of these heights, ascending by key.
    pub validators: Vec<UptimeView>,
}

/// What one validator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UptimeView {
    /// Which validator.
    #[schemars(with = "Hex32")]
    pub public_key: PublicKey,
    /// The account of its key.
    #[schemars(with = "AddressText")]
    pub address: Address,
    /// Heights whose set it was in.
    pub heights: u32,
    /// Blocks it built.
    pub proposed: u32,
    /// Heights at which a view it led ended without its block, by the agreed headers. All nodes count
    /// the same.
    pub missed_turns: u32,
    /// Proposed of proposed and missed, in 1/10,000; absent where it had no turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_bps: Option<u32>,
    /// Heights whose certificate, as this node keeps it, holds its vote. A certificate ends with a
    /// quorum, so a vote that came late is in none: whoever signs few blocks may still be up.
    pub signed: u32,
}

/// Which proposals.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalsParams {
    /// Only open ones, or only others. Default: all.
    #[serde(default)]
    pub open: Option<bool>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of proposals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalsView {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Newest first. Ended ones stay for `retention_s` (see get_params).
    pub proposals: Vec<ProposalView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which proposal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalParams {
    /// Its number.
    #[schemars(with = "Decimal")]
    pub proposal: ProposalId,
}

/// How a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    /// The council votes.
    Open,
    /// Passed; in force from `activates` on.
    Passed,
    /// Carried out.
    Enacted,
    /// Two thirds can't be reached any more.
    Refused,
    /// Not decided in time.
    Expired,
    /// Passed, but by then it could not be carried out: see `reason`.
    Failed,
    /// Passed, and taken back before its block.
    Withdrawn,
}

/// Something the council is or was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    /// Its number.
    #[schemars(with = "Decimal")]
    pub proposal: ProposalId,
    /// Which member asks.
    #[schemars(with = "Hex32")]
    pub proposer: PublicKey,
    /// What shall be done, as in `council_propose`.
    #[schemars(with = "Object")]
    pub measure: Measure,
    /// The same in words.
    pub text: String,
    /// How it stands.
    pub status: ProposalStatus,
    /// The first block under what it changes, once that is passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Decimal>")]
    pub activates: Option<Height>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// The block it was made in.
    #[schemars(with = "Decimal")]
    pub opened: Height,
    /// Votes of blocks with an earlier time count, in unix ms.
    #[schemars(with = "Decimal")]
    pub expires_at: TimestampMs,
    /// The same in RFC 3339.
    pub expires: String,
    /// The votes in the order in which they were given.
    pub votes: Vec<CouncilVoteView>,
    /// How the votes of those who are on the council now add up; while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<TallyView>,
}

/// A member's vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouncilVoteView {
    /// Whose.
    #[schemars(with = "Hex32")]
    pub member: PublicKey,
    /// Yes or no.
    pub approve: bool,
}

/// How votes add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TallyView {
    /// Votes for it: each member has one, in mode `pos` its weight.
    pub yes: U64,
    /// Votes against it.
    pub no: U64,
    /// All votes there are.
    pub council: U64,
    /// Votes that must be for it: more than two thirds.
    pub needed: U64,
}

/// The parameters in force for the next block.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ParamsView {
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The parameters.
    #[schemars(with = "Object")]
    pub params: Params,
    /// Which faults the chain tolerates.
    #[schemars(with = "String")]
    pub quorum_rule: QuorumRule,
    /// How the chain agrees.
    pub consensus_mode: String,
    /// Every parameter with the bounds a vote must keep now.
    pub bounds: Vec<BoundsView>,
    /// Changes that are decided and wait for their block, first first.
    pub pending: Vec<PendingParamView>,
}

/// A parameter's bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoundsView {
    /// Which parameter.
    pub name: String,
    /// Its value.
    #[schemars(with = "Decimal")]
    pub value: Amount,
    /// The least value.
    #[schemars(with = "Decimal")]
    pub min: Amount,
    /// The greatest value.
    #[schemars(with = "Decimal")]
    pub max: Amount,
}

/// A change of a parameter that waits for its block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingParamView {
    /// Which parameter.
    pub name: String,
    /// Its new value.
    #[schemars(with = "Decimal")]
    pub value: Amount,
    /// The first block under it.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Which proposal.
    #[schemars(with = "Decimal")]
    pub proposal: ProposalId,
}

/// Which changes of parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamHistoryParams {
    /// Only of this parameter.
    #[serde(default)]
    pub name: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most this many, up to 1000. Default: 50.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of changes of parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParamHistoryView {
    /// Newest first; before the first stands the value of the genesis.
    pub changes: Vec<ParamChangeView>,
    /// Give it back as `cursor` for the next page; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A parameter changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParamChangeView {
    /// Which.
    pub name: String,
    /// Its value until then.
    #[schemars(with = "Decimal")]
    pub before: Amount,
    /// Its value from then on.
    #[schemars(with = "Decimal")]
    pub after: Amount,
    /// The first block under it.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Which proposal.
    #[schemars(with = "Decimal")]
    pub proposal: ProposalId,
}

/// Who has which role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolesView {
    /// At which final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The accounts by role: `curator`, `slasher`, `treasurer`. Who is not named: nobody has it.
    #[schemars(with = "Object")]
    pub roles: Roles,
}

/// Which version of the rules is in force, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeView {
    /// The newest final block.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// The version of the rules the next block is under.
    pub version: u32,
    /// The newest version this node's program knows. A node stops at the first block above it.
    pub known: u32,
    /// Upgrades that are decided and wait for their block, first first.
    pub pending: Vec<PendingUpgradeView>,
}

/// An upgrade that waits for its block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingUpgradeView {
    /// The version.
    pub version: u32,
    /// The first block under it.
    #[schemars(with = "Decimal")]
    pub height: Height,
    /// Which proposal.
    #[schemars(with = "Decimal")]
    pub proposal: ProposalId,
    /// Whether this node's program knows it.
    pub is_known: bool,
}
