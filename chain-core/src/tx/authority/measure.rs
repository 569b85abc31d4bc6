//! What the council can decide: its form, whether it can be done now, and its words.
//!
//! Not here: who may ask and vote (`council`).

use super::*;
use crate::state::params::MIN_VOTED_DELAY_BLOCKS;
use crate::state::validators::{VALIDATORS, records};
use crate::state::{ParamChangeError, Rows, protocol::protocol, stakes::mode};
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
}

fn one() -> u64 {
    1
}

/// The facts a measure is judged by.
#[derive(Clone, Copy)]
pub(super) struct Now<'p> {
    /// The block's height.
    pub height: Height,
    /// The parameters in force.
    pub params: &'p Params,
}

impl Now<'_> {
    /// The first block that may be under a change of the rules that passes now.
    pub fn earliest(&self) -> Height {
        self.height.saturating_add(self.params.delay_blocks.into()).next()
    }
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
            Self::Jail { public_key } => match validating(rows, public_key)?.standing {
                Standing::Jailed(_) => Err(ALREADY_JAILED.because("a validator that is not jailed", public_key).into()),
                _ => Ok(()),
            },
            Self::Unjail { public_key } => check_unjail(public_key, &validating(rows, public_key)?),
            Self::Parameter { name, value } => Ok(check_parameter(now.params, name, *value)?),
            Self::Role { .. } => Ok(()),
            Self::Upgrade { version, height } => check_upgrade(rows, *version, *height, now),
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
            Self::Parameter { .. } | Self::Upgrade { .. } => None,
        }
    }

    /// In words, behind "to".
    pub(super) fn text(&self) -> String {
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
        }
    }
}

/// The record of a validator that was not removed.
pub(super) fn validating(rows: &impl Rows, key: &PublicKey) -> Result<ValidatorRecord, Failure> {
    let record = VALIDATORS.get(rows, key)?.filter(|record| record.standing != Standing::Removed);
    record.ok_or_else(|| NOT_ADMITTED.because("an admitted validator", key).into())
}

fn check_add(rows: &impl Rows, key: &PublicKey, weight: u64) -> Result<(), Failure> {
    let others = records(rows)?;
    match VALIDATORS.get(rows, key)? {
        Some(record) if record.equivocation.is_some() => {
            return Err(TOMBSTONED.because("a key that never contradicted itself", key).into());
        }
        Some(record) if record.standing != Standing::Removed => {
            return Err(ALREADY_ADMITTED.because("a key that is not admitted", key).into());
        }
        None if others.len() >= MAX_VALIDATORS => {
            return Err(TOO_MANY_VALIDATORS.because(format_args!("at most {MAX_VALIDATORS}"), others.len()).into());
        }
        _ => {}
    }
    let sum = others.iter().filter(|(other, _)| other != key).fold(weight, |sum, (_, r)| sum.saturating_add(r.weight));
    if sum > MAX_TOTAL_WEIGHT {
        return Err(WEIGHT_OUT_OF_RANGE.because(format_args!("a sum of at most {MAX_TOTAL_WEIGHT}"), sum).into());
    }
    Ok(())
}

fn check_unjail(key: &PublicKey, record: &ValidatorRecord) -> Result<(), Failure> {
    if let Some(equivocation) = record.equivocation {
        return Err(TOMBSTONED.because("a key that never contradicted itself", equivocation).into());
    }
    match record.standing {
        Standing::Jailed(_) => Ok(()),
        _ => Err(NOT_JAILED.because("a jailed validator", key).into()),
    }
}

/// Whether a vote may give a parameter this value.
pub(super) fn check_parameter(params: &Params, name: &str, value: u128) -> Result<(), Rejected> {
    match params.with(name, value) {
        Ok(changed) if changed.delay_blocks < params.delay_blocks.min(MIN_VOTED_DELAY_BLOCKS) => {
            let least = params.delay_blocks.min(MIN_VOTED_DELAY_BLOCKS);
            Err(PARAMETER_OUT_OF_BOUNDS.because(format_args!("delay_blocks of at least {least}"), value))
        }
        Ok(_) => Ok(()),
        Err(ParamChangeError::Unknown(name)) => Err(UNKNOWN_PARAMETER.because("a parameter of the chain", name)),
        Err(ParamChangeError::Bounds(error)) => {
            let param = error.0;
            let expected = format!("{} between {} and {}", param.name, param.min, param.max);
            Err(PARAMETER_OUT_OF_BOUNDS.because(expected, param.value))
        }
    }
}

fn check_upgrade(rows: &impl Rows, version: u32, height: Height, now: Now<'_>) -> Result<(), Failure> {
    let current = protocol(rows)?.version;
    if version <= current {
        return Err(UPGRADE_VERSION.because(format_args!("above {current}"), version).into());
    }
    if height < now.earliest() {
        return Err(UPGRADE_TOO_SOON.because(format_args!("block {} or later", now.earliest()), height).into());
    }
    Ok(())
}
