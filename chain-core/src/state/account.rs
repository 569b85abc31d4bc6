//! The account row: nonce, native balance, who may sign.

use super::table::Table;
use crate::crypto::PublicKey;
use crate::types::{Address, Amount};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Accounts by address.
pub const ACCOUNTS: Table<Address, Account> = Table::new(1);

/// What the chain knows of an account. An absent row reads as the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Account {
    /// The nonce of the next transaction: how many were executed.
    #[serde(with = "crate::types::decimal")]
    pub nonce: u64,
    /// Base units of the native asset; other assets have rows of their own.
    pub balance: Amount,
    /// Who may sign.
    pub authority: Authority,
    /// Whether transfers to this account must carry a memo.
    pub memo_required: bool,
}

/// Who may sign for an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Authority {
    /// Whoever the address was derived from: its key, or its multi-key policy.
    #[default]
    Derived = 0,
    /// One key, set by rotation.
    Key(PublicKey) = 1,
    /// The multi-key policy whose address this is, set by rotation.
    MultiKey(Address) = 2,
}

impl Account {
    /// Whether the row says nothing an absent row would not say, so that it need not exist.
    /// A nonce above 0 keeps the row for ever: without it old transactions would replay.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
