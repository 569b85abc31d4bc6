//! Who validates and by which rules: the council, the validator set, evidence, parameters, roles,
//! upgrades. What stake changes about it: rules 18 to 20.
//!
//! | action | bytes after `05` | fields |
//! |---|---|---|
//! | `council_propose` | `01` | measure (below) |
//! | `council_vote` | `02` | proposal u64 · approve (`00`, `01`) |
//! | `validator_ready` | `03` | – |
//! | `evidence_submit` | `04` | `01` and two votes, or `02` and two proposals, encoded as between nodes |
//!
//! | measure | bytes | fields |
//! |---|---|---|
//! | `add` | `01` | public_key 32 · name (u32 length, ≤ 64 bytes UTF-8) · weight u64 |
//! | `remove`, `jail`, `unjail` | `02`, `03`, `04` | public_key 32 |
//! | `parameter` | `05` | name (u32 length, ≤ 64 bytes UTF-8) · value u128 |
//! | `role` | `06` | role (`01` curator, `02` slasher, `03` treasurer) · account (`00`, or `01` and 32) |
//! | `upgrade` | `07` | version u32 · height u64 |
//! | `withdraw` | `08` | proposal u64 |
//! | `slash` | `09` | provider 32 · amount u128 · evidence text ≤ 128 · reason text ≤ 256 · job (`00`, or `01` and u64) |
//!
//! Rules, the council:
//! 1. The council is every validator that is admitted, not jailed and has said that it is ready, one vote
//!    each; if there is none, the validators of the set that were not convicted; if there is none, the set.
//!    A member acts through the plain account of its key: the account whose address is the key, whoever
//!    may sign for it now.
//! 2. Only members propose, and only what could be carried out now.
//! 3. A member has at most 8 open proposals.
//! 4. Whoever proposes has thereby voted yes.
//! 5. Only members vote, once, on an open proposal, in a block whose time is before `expires_at`.
//! 6. At each vote, and when it expires, the votes of those who are on the council now are added up: more
//!    than two thirds pass it and it is carried out at once, if it still can be; a third against it
//!    refuses it.
//! 7. At the end of the first block whose time is not before `expires_at` an open proposal that does not
//!    pass then expires; of 512 proposals per block, the oldest first.
//! 8. An ended proposal leaves the state `retention_s` later; 512 per block, the oldest first.
//!
//! Rules, what it decides:
//! 9. A parameter comes into force `delay_blocks` whole blocks after the vote that passes it, in the
//!    order of heights, then of proposals; where by then it breaks a bound, the old value stays. What a
//!    vote may do to a parameter can be undone by one: `state::params::check_voted`.
//! 10. An upgrade names the next version, and a height that leaves the same delay and is at most
//!     10,000,000 blocks ahead. From that height on only software that knows the version executes blocks.
//!     What waits for its block can be withdrawn by another vote; at most 64 decisions wait.
//! 11. Admission, removal, jailing and its lifting count at once in the records; a removed or jailed
//!     validator has no vote. Whoever contradicted itself stays jailed and is not admitted again.
//! 12. Whoever is admitted, or whose jailing is lifted, joins the set only after a `validator_ready` from
//!     the plain account of its key.
//! 13. The set changes after heights divisible by `epoch_blocks` only, within the bounds of `epoch`.
//!     Who is removed and has left the set takes nobody's place; its record goes with its last height in
//!     the evidence window (512 per block are looked at); that a key was convicted is never forgotten.
//! 14. In a final block of view v each leader of the views below missed one turn of that height, unless
//!     it built the block or was removed. Absence goes up by one per height with a missed turn, down by one
//!     per block built; at `absence_jail_turns` the validator is jailed, unless those who shall stay would
//!     not be a quorum of the set without it.
//! 21. A verdict takes the stated amount of a provider's bond, or all of it if there is less, whenever the bond
//!     can be slashed: neither the slasher's part nor its waiting time bounds it, and it is a slash for them. It
//!     names evidence and reason. What it does besides is what every slash does (`state::market::slash`).
//!
//! Rules, evidence:
//! 15. Two signed words of one validator that contradict each other (`types::Evidence`), by anybody.
//! 16. Their height is this one or lower, by at most `evidence_window_blocks`, and the validator was in
//!     the set of that height. Of who comes and goes often the oldest spans are merged, so that heights
//!     between them count, too: who contradicts itself is guilty whether it was asked or not.
//! 17. The validator is convicted once: its key is jailed for ever. The same equivocation by other words
//!     is refused, and another one of the same key, unless it is at a lower height and costs stake that
//!     had left before the one that is known (`state::stakes::slash`).
//!
//! Rules, with stake (`state::stakes`):
//! 18. In mode `pos` the council is the set's validators that are not jailed, each with its weight in the
//!     set; if there is none, the whole set. Nobody is admitted or removed by vote. Leaving and bonding
//!     again lifts no jail, and whoever left is jailed as others are, by vote and, while it is in the set,
//!     by absence.
//! 19. In modes `pos` and `hybrid` the weight a validator shall have is its stake's, taken anew whenever
//!     the set changes; the weight an admission names counts for nothing. If nobody qualifies, nobody joins
//!     and the set's members that are not jailed or removed keep their weights.
//! 20. A conviction costs the stake behind the validator what `state::stakes::slash` says.
//!
//! Not here: the rows of validators, roles and versions (`state`), finding evidence (`consensus`).

mod block_end;
pub mod council;
pub mod epoch;
mod evidence;
mod measure;
pub mod proposal;

pub use crate::state::council::{Member, council};
pub(super) use block_end::at_block_end;
pub use measure::Measure;

use self::epoch::Waiting;
use self::proposal::{Status, Tally};
use super::{About, CheckContext, Context, Listed, MODULE_ACCOUNT, Rules, check_amount};
use crate::codec::{List, Text};
use crate::crypto::{PublicKey, SecretKey, Signature};
use crate::fault::{Failure, Fault};
use crate::limits::{
    MAX_CONTENT_REF_BYTES, MAX_NAME_BYTES, MAX_PARAM_NAME_BYTES, MAX_REASON_BYTES, MAX_SLASHED_BATCHES,
    MAX_TOTAL_WEIGHT, MAX_UNBONDINGS, MAX_VALIDATORS,
};
use crate::state::market::slash;
use crate::state::stakes::Slash;
use crate::state::{JailCause, Params, Role, Standing, ValidatorRecord};
use crate::types::{
    Address, Amount, AssetId, BlockId, Equivocation, Evidence, Height, JobId, ProposalId, Rejected, SignedMessage,
    TimestampMs, Token, Validator, View, Vote, VoteKind, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    500 NOT_ON_COUNCIL "not_on_council" "only members of the council propose and vote";
    501 TOO_MANY_PROPOSALS "too_many_proposals" "the member has 8 proposals that are not decided";
    502 UNKNOWN_PROPOSAL "unknown_proposal" "no proposal in the state has this number";
    503 PROPOSAL_CLOSED "proposal_closed" "the proposal is decided already";
    504 PROPOSAL_EXPIRED "proposal_expired" "the time to vote on the proposal is over";
    505 ALREADY_VOTED "already_voted" "the member has voted on this proposal, and votes stand";
    506 BAD_VALIDATOR_KEY "bad_validator_key" "no validator can have this key";
    507 WEIGHT_OUT_OF_RANGE "weight_out_of_range" "a weight is at least 1 and all together at most 2^60";
    508 TOO_MANY_VALIDATORS "too_many_validators" "no more validators fit";
    509 ALREADY_ADMITTED "already_admitted" "this validator is admitted";
    510 NOT_ADMITTED "not_admitted" "no admitted validator has this key";
    511 ALREADY_JAILED "already_jailed" "this validator is jailed";
    512 NOT_JAILED "not_jailed" "this validator is not jailed";
    513 TOMBSTONED "tombstoned" "this validator was convicted of contradicting itself; that stands for ever";
    514 UNKNOWN_PARAMETER "unknown_parameter" "no parameter has this name";
    515 PARAMETER_OUT_OF_BOUNDS "parameter_out_of_bounds" "a parameter would be out of its bounds";
    516 UPGRADE_VERSION "upgrade_version" "an upgrade goes to the next version of the rules";
    517 UPGRADE_TOO_SOON "upgrade_too_soon" "an upgrade needs the delay every change of the rules has";
    518 JAILED "jailed" "a jailed validator can't say that it is ready";
    519 ALREADY_READY "already_ready" "the validator said so already";
    520 NOT_EVIDENCE "not_evidence" "an honest validator can have signed both";
    521 EVIDENCE_TOO_EARLY "evidence_too_early" "the height of the evidence is above this block's";
    522 EVIDENCE_TOO_OLD "evidence_too_old" "the height of the evidence is below the window";
    523 NOT_A_VALIDATOR_THEN "not_a_validator_then" "the signer was no validator at that height";
    524 EVIDENCE_REPEATED "evidence_repeated" "this equivocation was proven already";
    525 STAKE_DECIDES "stake_decides" "in mode pos validators come and go by their stake, not by vote";
    530 UPGRADE_TOO_LATE "upgrade_too_late" "an upgrade may be decided at most 10,000,000 blocks ahead";
    531 NOT_WAITING "not_waiting" "this proposal does not wait for its block";
    532 TOO_MANY_WAITING "too_many_waiting" "64 decisions wait for their blocks already";
    533 NOTHING_TO_SLASH "nothing_to_slash" "nothing is left of the provider's bond";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] =
    &[(1, "council_propose"), (2, "council_vote"), (3, "validator_ready"), (4, "evidence_submit")];

/// The proposal stays in the state until it is forgotten, and up to a `max_block_weight` of 25 million no more
/// of them come in a block than can go in one.
const PROPOSAL_WEIGHT: u64 = 50_000;
/// The whole council is read.
const VOTE_WEIGHT: u64 = 10_000;
const WEIGHT: u64 = 300;
/// A conviction may look at every batch that unbonds from the validator, some 50 each.
const EVIDENCE_WEIGHT: u64 = 50 * (MAX_SLASHED_BATCHES as u64 + MAX_UNBONDINGS as u64);

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Asks the council.
    CouncilPropose {
        /// What shall be done.
        measure: Measure,
    } = 1,
    /// Votes on a proposal.
    CouncilVote {
        /// Which.
        proposal: ProposalId,
        /// Yes or no.
        approve: bool,
    } = 2,
    /// Says that the node of the sender's key runs and may join the set.
    ValidatorReady {} = 3,
    /// Proves that a validator contradicted itself.
    EvidenceSubmit {
        /// Its two words.
        evidence: Box<Evidence>,
    } = 4,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// The council is asked.
    ProposalOpened { proposal: ProposalId, proposer: PublicKey, measure: Measure, expires_at: TimestampMs } = 1,
    /// A member voted; the votes with this one.
    CouncilVoted { proposal: ProposalId, member: PublicKey, approve: bool, tally: Tally } = 2,
    /// A proposal is open no more.
    ProposalEnded { proposal: ProposalId, proposer: PublicKey, measure: Measure, status: Status, tally: Tally } = 3,
    /// A validator may join once it is ready.
    ValidatorAdmitted {
        proposal: ProposalId,
        validator: PublicKey,
        name: Text<MAX_NAME_BYTES>,
        #[serde(with = "crate::types::decimal")]
        weight: u64,
    } = 4,
    /// A validator shall leave.
    ValidatorRemoved { proposal: ProposalId, validator: PublicKey } = 5,
    /// A validator shall leave until its jailing is lifted; `proposal` where the council decided it.
    ValidatorJailed { validator: PublicKey, cause: JailCause, absence: u32, proposal: Option<ProposalId> } = 6,
    /// A validator may join again once it is ready.
    ValidatorUnjailed { proposal: ProposalId, validator: PublicKey } = 7,
    /// A validator's node runs.
    ValidatorDeclaredReady {
        validator: PublicKey,
        #[serde(with = "crate::types::decimal")]
        weight: u64,
    } = 8,
    /// A role was given.
    RoleGiven { proposal: ProposalId, role: Role, before: Option<Address>, after: Option<Address> } = 9,
    /// A parameter has another value from a block on.
    ParameterChanged {
        proposal: ProposalId,
        name: Text<MAX_PARAM_NAME_BYTES>,
        #[serde(with = "crate::types::wide_decimal")]
        before: u128,
        #[serde(with = "crate::types::wide_decimal")]
        after: u128,
        height: Height,
    } = 10,
    /// A parameter that should have changed would break a bound by now.
    ParameterKept {
        proposal: ProposalId,
        name: Text<MAX_PARAM_NAME_BYTES>,
        #[serde(with = "crate::types::wide_decimal")]
        value: u128,
        number: u16,
    } = 11,
    /// Other rules from a block on.
    RulesUpgraded { proposal: ProposalId, before: u32, after: u32, height: Height } = 12,
    /// An upgrade that another one has overtaken.
    UpgradeDropped { proposal: ProposalId, version: u32, current: u32 } = 13,
    /// A validator contradicted itself; `jailed`: not removed already.
    EquivocationProven { validator: PublicKey, reporter: Address, equivocation: Equivocation, jailed: bool } = 14,
    /// A validator is absent, but without it those who shall stay, of weight `able`, would be no quorum.
    JailDelayed {
        validator: PublicKey,
        absence: u32,
        #[serde(with = "crate::types::decimal")]
        able: u64,
        #[serde(with = "crate::types::decimal")]
        total: u64,
    } = 15,
    /// Another set signs from a block on; who waits for the next epoch.
    SetChanged {
        from: Height,
        joined: List<Validator, MAX_VALIDATORS>,
        left: List<Validator, MAX_VALIDATORS>,
        reweighted: List<Reweighted, MAX_VALIDATORS>,
        #[serde(with = "crate::types::decimal")]
        weight_before: u64,
        #[serde(with = "crate::types::decimal")]
        weight_after: u64,
        waiting: List<Waiting, MAX_VALIDATORS>,
    } = 16,
    /// What a conviction cost the stake behind the validator.
    StakeSlashed { validator: PublicKey, reporter: Address, slash: Slash } = 17,
    /// An epoch ended, the set stays, and somebody waits for the next one.
    ChangesWait { waiting: List<Waiting, MAX_VALIDATORS> } = 18,
    /// What had passed comes into force no more.
    ProposalWithdrawn { proposal: ProposalId, withdrawn: ProposalId } = 19,
    /// A provider's bond was slashed by a verdict.
    BondSlashed {
        proposal: ProposalId,
        slash: slash::Slash,
        evidence: Text<MAX_CONTENT_REF_BYTES>,
        reason: Text<MAX_REASON_BYTES>,
    } = 20,
}

/// A member that stays, with another weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Reweighted {
    /// Which.
    pub validator: PublicKey,
    /// What it weighed.
    #[serde(with = "crate::types::decimal")]
    pub before: u64,
    /// What it weighs.
    #[serde(with = "crate::types::decimal")]
    pub after: u64,
}

impl Action {
    /// The action that proves what the agreement found.
    pub fn prove(evidence: Evidence) -> Self {
        Self::EvidenceSubmit { evidence: Box::new(evidence) }
    }
}

impl Rules for Action {
    fn check(&self, context: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::CouncilPropose { measure } => measure.check(),
            Self::CouncilVote { .. } | Self::ValidatorReady {} => Ok(()),
            Self::EvidenceSubmit { evidence } => {
                evidence::equivocation(evidence)?;
                evidence.signatures(&context.chain).map(drop).map_err(|why| NOT_EVIDENCE.because("well-formed", why))
            }
        }
    }

    fn signatures(&self, context: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        match self {
            // `check` has refused what has no signing bytes.
            Self::EvidenceSubmit { evidence } => evidence.signatures(&context.chain).map(Vec::from).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::CouncilPropose { .. } => PROPOSAL_WEIGHT,
            Self::CouncilVote { .. } => VOTE_WEIGHT,
            Self::ValidatorReady {} => WEIGHT,
            Self::EvidenceSubmit { .. } => EVIDENCE_WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::CouncilPropose { measure } => council::propose(context, measure.clone()),
            Self::CouncilVote { proposal, approve } => council::vote(context, *proposal, *approve),
            Self::ValidatorReady {} => evidence::ready(context),
            Self::EvidenceSubmit { evidence } => evidence::submit(context, evidence),
        }
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::CouncilPropose { measure } => format!("Propose to the council, and vote, to {}", measure.text()),
            Self::CouncilVote { proposal, approve: true } => format!("Vote for proposal {proposal} of the council"),
            Self::CouncilVote { proposal, approve: false } => {
                format!("Vote against proposal {proposal} of the council")
            }
            Self::ValidatorReady {} => "Say that the validator of this account's key runs and may join the set".into(),
            Self::EvidenceSubmit { evidence } => {
                let what = evidence.equivocation().map_or("nothing".into(), |equivocation| equivocation.to_string());
                format!("Prove against the validator {}: {what}", evidence.signer())
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::CouncilPropose { measure } => measure.account().into_iter().collect(),
            Self::CouncilVote { .. } | Self::ValidatorReady {} => vec![],
            Self::EvidenceSubmit { evidence } => vec![Address::of_key(&evidence.signer())],
        }
    }
}

fn emit(context: &mut Context<'_, '_>, event: Event) {
    context.emit(super::Event::Authority(event));
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::RoleGiven { before, after, .. } => before.iter().chain(after).copied().collect(),
            Self::EquivocationProven { reporter, .. } | Self::StakeSlashed { reporter, .. } => vec![*reporter],
            Self::BondSlashed { slash, .. } => [Some(slash.provider), slash.payer].into_iter().flatten().collect(),
            // Validators and members of the council are keys.
            _ => vec![],
        }
    }

    fn listed(&self) -> Listed {
        let provider = match self {
            Self::BondSlashed { slash, .. } => Some(slash.provider),
            _ => None,
        };
        Listed { provider, ..Listed::default() }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let key = SecretKey::from_seed(&[2; 32]);
    let name = Text::new("berlin-1").unwrap_or_default();
    let word = |block: u8| {
        let block = Some(BlockId(crate::crypto::Hash([block; 32])));
        let message = SignedMessage { kind: VoteKind::Notarize, height: Height::new(9), view: View::ZERO, block };
        Vote::sign(message, &CheckContext::example().chain, &key).ok()
    };
    let mut examples = vec![
        Action::CouncilPropose { measure: Measure::Add { public_key: key.public(), name, weight: 1 } },
        Action::CouncilPropose {
            measure: Measure::Slash {
                provider: Address::from_bytes([7; 32]),
                amount: Amount::new(10u128.pow(21)),
                evidence: Text::new("ipfs://evidence").unwrap_or_default(),
                reason: Text::new("sold another model").unwrap_or_default(),
                job: Some(JobId::new(7)),
            },
        },
        Action::CouncilVote { proposal: ProposalId::new(7), approve: true },
        Action::ValidatorReady {},
    ];
    let evidence = word(1).zip(word(2)).map(|(a, b)| Action::prove(Evidence::Votes(a, b)));
    examples.extend(evidence);
    examples
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
