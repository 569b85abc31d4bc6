//! Who may become a validator.
//!
//! Not here: what follows from it (the authority and staking families).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Who may become a validator, and what gives weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ConsensusMode {
    /// Authorities, admitted by vote of the authorities.
    #[default]
    Poa = 1,
    /// Whoever bonds enough stake.
    Pos = 2,
    /// Admitted authorities, weighed by stake.
    Hybrid = 3,
}

impl ConsensusMode {
    /// How people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poa => "poa",
            Self::Pos => "pos",
            Self::Hybrid => "hybrid",
        }
    }
}

impl fmt::Display for ConsensusMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no consensus mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no consensus mode; there are poa, pos and hybrid")]
pub struct UnknownMode(String);

impl FromStr for ConsensusMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let found = [Self::Poa, Self::Pos, Self::Hybrid].into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| UnknownMode(text.into()))
    }
}
