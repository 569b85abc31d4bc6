//! Transactions: the envelope, the way from bytes to `Checked`, and **one folder per family** of
//! actions.
//!
//! | number | family | what it is for |
//! |---|---|---|
//! | 1 | `transfer` | money |
//! | 2 | `account` | key rotation, m-of-n, required memos |
//! | 3 | `asset` | other payment assets |
//! | 4 | `anchor` | timestamps of documents |
//! | 5 | `authority` | who validates, by which rules |
//! | 6 | `staking` | stake behind validators, and what it earns |
//! | 7 | `model` | which models exist |
//! | 8 | `provider` | who sells compute, where, for how much |
//! | 9 | `market` | terms of the market, prepaid money, earnings |
//! | 10 | `job` | escrowed agreements about work |
//! | 11 | `receipt` | metered work |
//! | 12 | `dispute` | contested claims, and who decides |
//!
//! To add a family: write its folder, then add its line to each of the four places marked
//! `FAMILY` below. Everything else (RPC, CLI, generic tests) iterates `FAMILIES`.
//!
//! Not here: where transactions wait (`mempool`), the order in a block and fees (`execute`).

pub mod account;
pub mod anchor;
pub mod asset;
pub mod authority;
pub mod dispute;
pub mod job;
pub mod market;
pub mod model;
pub mod provider;
pub mod receipt;
pub mod staking;
pub mod transfer;
// FAMILY (1 of 4): pub mod <family>;

mod context;
mod envelope;
mod form;
mod rejections;
mod stage;
mod text;

pub use context::{About, BlockEnd, CheckContext, Context, Listed, ListedReceipt, Rules};
pub use envelope::{Authorisation, MultiKey, Signed, TRANSACTION_VERSION, Transaction};
pub use rejections::*;
pub use stage::{Checked, Formed, check_many, check_one, verify};

use crate::codec::{DecodeError, refuse};
use crate::fault::Fault;
use crate::types::{Address, Amount, Rejected, Rejection};
use borsh::de::EnumExt;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use std::io::Read;

/// One thing a transaction does. Its bytes are the family's number, the action's number within
/// the family (a byte each), then the action's fields.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize)]
#[borsh(use_discriminant = true)]
#[serde(untagged)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Action {
    Transfer(transfer::Action) = 1,
    Account(account::Action) = 2,
    Asset(asset::Action) = 3,
    Anchor(anchor::Action) = 4,
    Authority(authority::Action) = 5,
    Staking(staking::Action) = 6,
    Model(model::Action) = 7,
    Provider(provider::Action) = 8,
    Market(market::Action) = 9,
    Job(job::Action) = 10,
    Receipt(receipt::Action) = 11,
    Dispute(dispute::Action) = 12,
    // FAMILY (2 of 4): <Family>(<family>::Action) = <number>,
}

/// Something that happened; numbered and encoded like actions.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[borsh(use_discriminant = true)]
#[serde(untagged)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    Transfer(transfer::Event) = 1,
    Account(account::Event) = 2,
    Asset(asset::Event) = 3,
    Anchor(anchor::Event) = 4,
    Authority(authority::Event) = 5,
    Staking(staking::Event) = 6,
    Model(model::Event) = 7,
    Provider(provider::Event) = 8,
    Market(market::Event) = 9,
    Job(job::Event) = 10,
    Receipt(receipt::Event) = 11,
    Dispute(dispute::Event) = 12,
    // FAMILY (3 of 4): <Family>(<family>::Event) = <number>,
}

/// What the rest of the house needs to know of a family.
pub struct Family {
    /// The frozen number: the first byte of its actions and events.
    pub number: u8,
    /// Its folder's name.
    pub name: &'static str,
    /// The names and numbers of its actions.
    pub actions: &'static [(u8, &'static str)],
    /// Its rejections, numbered from 100 · number.
    pub rejections: &'static [&'static Rejection],
    /// The family's place in `Action`.
    rules: fn(&Action) -> Option<&dyn Rules>,
    /// What the family says of its events.
    about: fn(&Event) -> Option<&dyn About>,
    decode: fn(&mut dyn Read, u8) -> std::io::Result<Action>,
    parse: fn(serde_json::Value) -> Result<Action, serde_json::Error>,
    /// An example of every action, for round-trip tests, vectors and documentation.
    pub examples: fn() -> Vec<Action>,
}

/// Declares a family's entry from its folder.
macro_rules! family {
    ($variant:ident, $module:ident, $number:literal) => {
        Family {
            number: $number,
            name: stringify!($module),
            actions: $module::ACTIONS,
            rejections: $module::REJECTIONS,
            rules: |action| match action {
                Action::$variant(action) => Some(action),
                _ => None,
            },
            about: |event| match event {
                Event::$variant(event) => Some(event),
                _ => None,
            },
            decode: |mut reader, number| {
                $module::Action::deserialize_variant(&mut reader, number).map(Action::$variant)
            },
            parse: |json| serde_json::from_value(json).map(Action::$variant),
            examples: || $module::examples().into_iter().map(Action::$variant).collect(),
        }
    };
}

/// Every family.
pub const FAMILIES: &[Family] = &[
    family!(Transfer, transfer, 1),
    family!(Account, account, 2),
    family!(Asset, asset, 3),
    family!(Anchor, anchor, 4),
    family!(Authority, authority, 5),
    family!(Staking, staking, 6),
    family!(Model, model, 7),
    family!(Provider, provider, 8),
    family!(Market, market, 9),
    family!(Job, job, 10),
    family!(Receipt, receipt, 11),
    family!(Dispute, dispute, 12),
    // FAMILY (4 of 4): family!(<Family>, <family>, <number>),
];

/// A family's work at the end of a block.
type AtBlockEnd = fn(&mut BlockEnd<'_, '_>) -> Result<(), Fault>;

/// What families do at the end of a block, in this order: staking looks at those whom authority lets go, and at
/// the set it made, and what is due in the market goes by its clock.
const AT_BLOCK_END: &[AtBlockEnd] = &[
    staking::before_the_set,
    authority::at_block_end,
    staking::at_block_end,
    market::at_block_end,
    provider::at_block_end,
    dispute::at_block_end,
    job::at_block_end,
];

/// Does the work that is due at the end of a block. It can't be refused, only be left for later.
pub fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    AT_BLOCK_END.iter().try_for_each(|work| work(block))
}

impl Action {
    /// The family's rules for this action.
    pub fn rules(&self) -> &dyn Rules {
        // Every variant has its entry, or a test below fails.
        #[allow(clippy::expect_used)]
        FAMILIES.iter().find_map(|family| (family.rules)(self)).expect("every family is registered")
    }

    /// Family number · 256 + action number, frozen.
    pub fn number(&self) -> u16 {
        let [family, action] = [0, 1].map(|i| crate::codec::encode(self).get(i).copied().unwrap_or_default());
        u16::from_be_bytes([family, action])
    }

    /// The name of the action: `type` in its JSON form.
    pub fn name(&self) -> &'static str {
        let [family, action] = self.number().to_be_bytes();
        let actions = FAMILIES.iter().filter(|f| f.number == family).flat_map(|f| f.actions);
        actions.clone().find(|(number, _)| *number == action).map_or("unknown", |(_, name)| name)
    }
}

impl Event {
    /// The accounts it is about: who did something, and to whom something was done. It belongs into their histories.
    pub fn accounts(&self) -> Vec<Address> {
        self.about().map(About::accounts).unwrap_or_default()
    }

    /// What lists of the market show anew after it.
    pub fn listed(&self) -> Listed {
        self.about().map(About::listed).unwrap_or_default()
    }

    fn about(&self) -> Option<&dyn About> {
        FAMILIES.iter().find_map(|family| (family.about)(self))
    }
}

impl BorshDeserialize for Action {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let [family, action] = <[u8; 2]>::deserialize_reader(reader)?;
        let known = FAMILIES.iter().find(|f| f.number == family && f.actions.iter().any(|(n, _)| *n == action));
        match known {
            Some(known) => (known.decode)(reader, action),
            None => Err(refuse(DecodeError::UnknownAction(u16::from_be_bytes([family, action])))),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Action {
    /// Reads `{"type": "<action>", …}`; the type chooses the family, so that errors speak of the
    /// one action that was meant.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let json = serde_json::Value::deserialize(deserializer)?;
        let name = json.get("type").and_then(|name| name.as_str()).map(str::to_owned);
        let name = name.ok_or_else(|| D::Error::missing_field("type"))?;
        let known = FAMILIES.iter().find(|f| f.actions.iter().any(|(_, n)| *n == name));
        let family = known.ok_or_else(|| D::Error::custom(format_args!("unknown action type '{name}'")))?;
        (family.parse)(json).map_err(|e| D::Error::custom(format_args!("{name}: {e}")))
    }
}

/// An amount somebody moves: at least 1, at most what can exist.
fn check_amount(amount: Amount) -> Result<(), Rejected> {
    if amount.is_zero() || amount > Amount::MAX_SUPPLY {
        return Err(AMOUNT_OUT_OF_RANGE.because("1 to 10^30 base units", amount));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(crate) mod market_testkit;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
