//! What else a genesis founds besides money, parameters and validators: the version of the rules,
//! the quorum rule, and the accounts that have a role.
//!
//! Not here: how a vote changes them (the authority family), what a role may do (the families).

use super::overlay::Overlay;
use super::table::{Rows, Table};
use crate::fault::Fault;
use crate::types::{Address, QuorumRule};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The one row of what every block depends on.
pub const PROTOCOL: Table<(), Protocol> = Table::new(10);
/// The one row of roles.
pub const ROLES: Table<(), Roles> = Table::new(11);

/// The newest version of the rules this software knows. Version 1 is the genesis'.
pub const RULES_VERSION: u32 = 1;

/// What every block depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Protocol {
    /// The version of the rules the next block is under.
    pub version: u32,
    /// When votes are enough.
    pub quorum_rule: QuorumRule,
}

/// Something an account may be entrusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Role {
    /// Models and their rates.
    Curator = 1,
    /// Slashing of providers.
    Slasher = 2,
    /// The treasury.
    Treasurer = 3,
}

/// The accounts that have a role; `None`: nobody has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// Models and their rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curator: Option<Address>,
    /// Slashing of providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slasher: Option<Address>,
    /// The treasury.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treasurer: Option<Address>,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Curator, Self::Slasher, Self::Treasurer];

    /// How people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Curator => "curator",
            Self::Slasher => "slasher",
            Self::Treasurer => "treasurer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Roles {
    /// Who has a role.
    pub fn get(&self, role: Role) -> Option<Address> {
        match role {
            Role::Curator => self.curator,
            Role::Slasher => self.slasher,
            Role::Treasurer => self.treasurer,
        }
    }

    /// Gives a role to an account, or to nobody.
    pub fn set(&mut self, role: Role, account: Option<Address>) {
        match role {
            Role::Curator => self.curator = account,
            Role::Slasher => self.slasher = account,
            Role::Treasurer => self.treasurer = account,
        }
    }
}

/// What the next block depends on.
pub fn protocol(rows: &impl Rows) -> Result<Protocol, Fault> {
    PROTOCOL.get(rows, &())?.ok_or_else(|| Fault::new("the state has no protocol version"))
}

/// Who has which role.
pub fn roles(rows: &impl Rows) -> Result<Roles, Fault> {
    Ok(ROLES.get(rows, &())?.unwrap_or_default())
}

/// What a chain starts with.
pub fn found(overlay: &mut Overlay<'_>, quorum_rule: QuorumRule, roles: &Roles) {
    PROTOCOL.put(overlay, &(), &Protocol { version: 1, quorum_rule });
    if *roles != Roles::default() {
        ROLES.put(overlay, &(), roles);
    }
}

/// That software which knows the rules up to version `known` may execute the next block.
///
/// # Errors
/// A fault that says so (`Fault::is_outdated`) once an upgrade has come into force.
pub fn check_version(rows: &impl Rows, known: u32) -> Result<(), Fault> {
    let needed = protocol(rows)?.version;
    if needed > known { Err(Fault::outdated(needed, known)) } else { Ok(()) }
}
