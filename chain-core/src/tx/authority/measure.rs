//! What the council can decide: its form, whether it can be done now, and its words.
//!
//! Not here: who may ask and vote (`council`).

use super::proposal::{PROPOSALS, Status, WAITING};
use super::*;
use crate::limits::{MAX_UPGRADE_AHEAD_BLOCKS, MAX_WAITING_PROPOSALS};
use crate::state::market::{market, slash::Victim};
use crate::state::params::check_voted;
use crate::state::stakes::{mode, stake};
use crate::state::validators::{CONVICTED, VALIDATORS, jailed, records};
use crate::state::{Now, ParamChangeError, ParamError, Rows, protocol::protocol};
use crate::tx::form::check_text;
use crate::tx::text::quoted;
use crate::types::ConsensusMode;

/// What the council can decide.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Measure {
    /// Admits a validator, again if it was removed.
    Add {
        /// Its key.
        public_key: PublicKey,
        /// What people call it.
        #[serde(default)]
        name: Text<MAX_NAME_BYTES>,
        /// The weight it shall have.
        #[serde(default = "one", with = "crate::types::decimal")]
        weight: u64,
    } = 1,
    /// Removes a validator.
    Remove {
        /// Its key.
        public_key: PublicKey,
    } = 2,
    /// Jails a validator.
    Jail {
        /// Its key.
        public_key: PublicKey,
    } = 3,
    /// Lifts a validator's jailing.
    Unjail {
        /// Its key.
        public_key: PublicKey,
    } = 4,
    /// Changes a parameter.
    Parameter {
        /// Its name.
        name: Text<MAX_PARAM_NAME_BYTES>,
        /// The new value.
        #[serde(with = "crate::types::wide_decimal")]
        value: u128,
    } = 5,
    /// Gives a role to an account, or to nobody.
    Role {
        /// Which.
        role: Role,
        /// To whom.
        account: Option<Address>,
    } = 6,
    /// Goes over to another version of the rules.
    Upgrade {
        /// Which.
        version: u32,
        /// The first block under it.
        height: Height,
    } = 7,
    /// Takes back what has passed and waits for its block.
    Withdraw {
        /// The proposal.
        proposal: ProposalId,
    } = 8,
    /// Takes so much of a provider's bond, or all of it if there is less.
    Slash {
        /// Whose.
        provider: Address,
        /// How much, in base units of the stake asset.
        amount: Amount,
        /// Where the evidence is.
        evidence: Text<MAX_CONTENT_REF_BYTES>,
        /// Why.
        reason: Text<MAX_REASON_BYTES>,
        /// The job whose payer is compensated.
        #[serde(default)]
        job: Option<JobId>,
    } = 9,
}

fn one() -> u64 {
    1
}

impl Measure {
    /// Whether it has a right form.
    pub(super) fn check(&self) -> Result<(), Rejected> {
        match self {
            Self::Add { public_key, .. } if public_key.validate().is_err() => {
                Err(BAD_VALIDATOR_KEY.because("a usable ed25519 key", public_key))
            }
            Self::Add { weight, .. } if !(1..=MAX_TOTAL_WEIGHT).contains(weight) => {
                Err(WEIGHT_OUT_OF_RANGE.because(format_args!("1 to {MAX_TOTAL_WEIGHT}"), weight))
            }
            Self::Role { account: Some(account), .. } if account.is_module() => {
                Err(MODULE_ACCOUNT.because("an account somebody can sign for", account))
            }
            Self::Slash { amount, evidence, reason, .. } => {
                check_amount(*amount)?;
                check_text(evidence, "evidence")?;
                check_text(reason, "a reason")
            }
            _ => Ok(()),
        }
    }

    /// Whether it could be carried out now.
    pub(super) fn check_now(&self, rows: &impl Rows, now: Now<'_>) -> Result<(), Failure> {
        if matches!(self, Self::Add { .. } | Self::Remove { .. }) && mode(rows)? == ConsensusMode::Pos {
            return Err(STAKE_DECIDES.because("mode poa or hybrid", ConsensusMode::Pos).into());
        }
        match self {
            Self::Add { public_key, weight, .. } => check_add(rows, public_key, *weight),
            Self::Remove { public_key } => validating(rows, public_key).map(drop),
            Self::Jail { public_key } => check_jail(rows, public_key),
            Self::Unjail { public_key } => check_unjail(rows, public_key),
            Self::Parameter { name, value } => Ok(check_parameter(now.params, name, *value)?),
            Self::Role { .. } => Ok(()),
            Self::Upgrade { version, height } => check_upgrade(rows, *version, *height, now),
            Self::Withdraw { proposal } => check_withdraw(rows, *proposal),
            Self::Slash { provider, .. } => check_slash(rows, provider, now),
        }
    }

    /// Who shall be compensated. Looked up when it is proposed: by the time of the verdict the job may be forgotten.
    pub(super) fn victim(&self, rows: &impl Rows) -> Result<Option<Victim>, Failure> {
        match self {
            Self::Slash { provider, job: Some(job), .. } => slash::victim(rows, provider, *job).map(Some),
            _ => Ok(None),
        }
    }

    /// The validator or account it is about.
    pub(super) fn account(&self) -> Option<Address> {
        match self {
            Self::Add { public_key, .. }
            | Self::Remove { public_key }
            | Self::Jail { public_key }
            | Self::Unjail { public_key } => Some(Address::of_key(public_key)),
            Self::Role { account, .. } => *account,
            Self::Slash { provider, .. } => Some(*provider),
            Self::Parameter { .. } | Self::Upgrade { .. } | Self::Withdraw { .. } => None,
        }
    }

    /// In words, behind "to".
    pub fn text(&self) -> String {
        match self {
            Self::Add { public_key, name, weight } => {
                format!("admit the validator {public_key} with weight {weight} under the name {}", quoted(name))
            }
            Self::Remove { public_key } => format!("remove the validator {public_key}"),
            Self::Jail { public_key } => format!("jail the validator {public_key}"),
            Self::Unjail { public_key } => format!("lift the jailing of the validator {public_key}"),
            Self::Parameter { name, value } => format!("set the parameter {} to {value}", quoted(name)),
            Self::Role { role, account: Some(account) } => format!("make {account} the {role}"),
            Self::Role { role, account: None } => format!("let nobody be the {role}"),
            Self::Upgrade { version, height } => {
                format!("follow version {version} of the rules from block {height} on")
            }
            Self::Withdraw { proposal } => format!("take back what proposal {proposal} has decided"),
            Self::Slash { provider, amount, evidence, reason, job } => {
                let job = job.map_or(String::new(), |job| format!(", for the payer of job {job}"));
                format!(
                    "slash the bond of {provider} by {amount} base units of stake, or all of it if there is less, for \
                     {}, evidence {}{job}",
                    quoted(reason),
                    quoted(evidence)
                )
            }
        }
    }
}

/// The record of a validator that was not removed.
pub(super) fn validating(rows: &impl Rows, key: &PublicKey) -> Result<ValidatorRecord, Failure> {
    let record = VALIDATORS.get(rows, key)?.filter(|record| record.standing != Standing::Removed);
    record.ok_or_else(|| NOT_ADMITTED.because("an admitted validator", key).into())
}

fn check_add(rows: &impl Rows, key: &PublicKey, weight: u64) -> Result<(), Failure> {
    never_convicted(rows, key)?;
    let (others, known) = (records(rows)?, VALIDATORS.get(rows, key)?);
    if known.as_ref().is_some_and(|record| record.standing != Standing::Removed) {
        return Err(ALREADY_ADMITTED.because("a key that is not admitted", key).into());
    }
    let has_place = known.is_some_and(|record| record.retired.is_none());
    if !has_place && others.len() >= MAX_VALIDATORS {
        return Err(TOO_MANY_VALIDATORS.because(format_args!("at most {MAX_VALIDATORS}"), others.len()).into());
    }
    let counts = |(other, record): &&(PublicKey, ValidatorRecord)| other != key && record.standing != Standing::Removed;
    let sum = others.iter().filter(counts).fold(weight, |sum, (_, record)| sum.saturating_add(record.weight));
    if sum > MAX_TOTAL_WEIGHT {
        return Err(WEIGHT_OUT_OF_RANGE.because(format_args!("a sum of at most {MAX_TOTAL_WEIGHT}"), sum).into());
    }
    Ok(())
}

fn never_convicted(rows: &impl Rows, key: &PublicKey) -> Result<(), Failure> {
    match CONVICTED.get(rows, key)? {
        Some(equivocation) => Err(TOMBSTONED.because("a key that never contradicted itself", equivocation).into()),
        None => Ok(()),
    }
}

/// Rule 18: who may bond again can be jailed while it is away.
fn check_jail(rows: &impl Rows, key: &PublicKey) -> Result<(), Failure> {
    never_convicted(rows, key)?;
    if jailed(rows, key)?.is_some() {
        return Err(ALREADY_JAILED.because("a validator that is not jailed", key).into());
    }
    match mode(rows)? {
        ConsensusMode::Pos if stake(rows, key)?.is_some() => Ok(()),
        _ => validating(rows, key).map(drop),
    }
}

fn check_unjail(rows: &impl Rows, key: &PublicKey) -> Result<(), Failure> {
    never_convicted(rows, key)?;
    if jailed(rows, key)?.is_some() {
        return Ok(());
    }
    validating(rows, key)?;
    Err(NOT_JAILED.because("a jailed validator", key).into())
}

/// Whether a vote may give a parameter this value.
pub(super) fn check_parameter(params: &Params, name: &str, value: u128) -> Result<(), Rejected> {
    let out_of = |ParamError(param): ParamError| {
        let expected = format!("{} between {} and {}", param.name, param.min, param.max);
        PARAMETER_OUT_OF_BOUNDS.because(expected, param.value)
    };
    match params.with(name, value) {
        Ok(changed) => check_voted(params, &changed).map_err(out_of),
        Err(ParamChangeError::Unknown(name)) => Err(UNKNOWN_PARAMETER.because("a parameter of the chain", name)),
        Err(ParamChangeError::Bounds(error)) => Err(out_of(error)),
    }
}

fn check_upgrade(rows: &impl Rows, version: u32, height: Height, now: Now<'_>) -> Result<(), Failure> {
    let next = protocol(rows)?.version.saturating_add(1);
    if version != next {
        return Err(UPGRADE_VERSION.because(next, version).into());
    }
    let (first, last) = (now.earliest(), now.height.saturating_add(MAX_UPGRADE_AHEAD_BLOCKS));
    if height < first {
        return Err(UPGRADE_TOO_SOON.because(format_args!("block {first} or later"), height).into());
    }
    if height > last {
        return Err(UPGRADE_TOO_LATE.because(format_args!("block {last} or earlier"), height).into());
    }
    Ok(())
}

fn check_withdraw(rows: &impl Rows, id: ProposalId) -> Result<(), Failure> {
    let found = PROPOSALS.get(rows, &id)?.ok_or_else(|| UNKNOWN_PROPOSAL.because("a proposal in the state", id))?;
    match found.status {
        Status::Passed { .. } => Ok(()),
        status => {
            Err(NOT_WAITING.because("one that has passed and waits for its block", format_args!("{status:?}")).into())
        }
    }
}

/// Rule 21.
fn check_slash(rows: &impl Rows, provider: &Address, now: Now<'_>) -> Result<(), Failure> {
    let market = market(rows, now.timestamp, now.params)?;
    let row = slash::slashable(rows, provider, &market)?;
    if row.bond.is_zero() { Err(NOTHING_TO_SLASH.because("a bond", provider).into()) } else { Ok(()) }
}

/// Whether one more decision may wait for its block.
pub(super) fn check_room(rows: &impl Rows) -> Result<(), Failure> {
    let waiting = WAITING.get(rows, &())?.unwrap_or_default();
    if waiting < MAX_WAITING_PROPOSALS {
        return Ok(());
    }
    Err(TOO_MANY_WAITING.because(format_args!("fewer than {MAX_WAITING_PROPOSALS}"), waiting).into())
}
