//! Money from one account to another, and money destroyed.
//!
//! | action | bytes after `01` | fields |
//! |---|---|---|
//! | `transfer` | `01` | to 32 · asset u32 · amount u128 · memo (u32 length, ≤ 128 bytes UTF-8) |
//! | `burn` | `02` | asset u32 · amount u128 |
//!
//! Rules:
//! 1. An amount is at least 1 and at most 10^30 base units.
//! 2. Nobody transfers to a module account.
//! 3. The asset must exist.
//! 4. The sender must hold the amount, and the row fee if one is due.
//! 5. A transfer that makes the chain keep a new row for the receiver burns `account_fee` from
//!    the sender.
//! 6. A receiver that requires a memo gets one.
//! 7. A transfer to oneself needs the balance and changes nothing.
//!
//! Not here: who may sign (`tx::stage`), fees of the transaction (`execute`).

use super::text::{amount_text, quoted};
use super::{About, CheckContext, Context, MODULE_ACCOUNT, Rules, check_amount};
use crate::codec::Text;
use crate::fault::Failure;
use crate::limits::MAX_MEMO_BYTES;
use crate::state::money;
use crate::types::{Address, Amount, AssetId, Rejected, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    100 MEMO_REQUIRED "memo_required" "the receiver requires a memo";
}
/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "transfer"), (2, "burn")];

const WEIGHT: u64 = 200;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Moves money.
    Transfer {
        /// Who receives.
        to: Address,
        /// Which asset.
        #[serde(default)]
        asset: AssetId,
        /// How many base units.
        amount: Amount,
        /// A note for the receiver.
        #[serde(default)]
        memo: Text<MAX_MEMO_BYTES>,
    } = 1,
    /// Destroys money of the sender.
    Burn {
        /// Which asset.
        #[serde(default)]
        asset: AssetId,
        /// How many base units.
        amount: Amount,
    } = 2,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Event {
    /// Money moved.
    Transferred {
        /// Who paid.
        from: Address,
        /// Who received.
        to: Address,
        /// Which asset.
        asset: AssetId,
        /// How many base units.
        amount: Amount,
        /// Burned for the new row, in native base units.
        row_fee: Amount,
        /// The note.
        memo: Text<MAX_MEMO_BYTES>,
    } = 1,
    /// Money was destroyed.
    Burned {
        /// Whose.
        from: Address,
        /// Which asset.
        asset: AssetId,
        /// How many base units.
        amount: Amount,
    } = 2,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::Transfer { to, .. } if to.is_module() => {
                Err(MODULE_ACCOUNT.because("an account somebody can sign for", to))
            }
            Self::Transfer { amount, .. } | Self::Burn { amount, .. } => check_amount(*amount),
        }
    }

    fn weight(&self) -> u64 {
        WEIGHT
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Transfer { to, asset, amount, memo } => transfer(context, to, *asset, *amount, memo),
            Self::Burn { asset, amount } => {
                money::burn(context.state, &context.sender, *asset, *amount)?;
                let (from, asset, amount) = (context.sender, *asset, *amount);
                context.emit(super::Event::Transfer(Event::Burned { from, asset, amount }));
                Ok(())
            }
        }
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::Transfer { to, asset, amount, memo } if memo.is_empty() => {
                format!("Transfer {} to {to}", amount_text(*asset, *amount, tokens))
            }
            Self::Transfer { to, asset, amount, memo } => {
                format!("Transfer {} to {to} with memo {}", amount_text(*asset, *amount, tokens), quoted(memo))
            }
            Self::Burn { asset, amount } => format!("Burn {}", amount_text(*asset, *amount, tokens)),
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::Transfer { to, .. } => vec![*to],
            Self::Burn { .. } => vec![],
        }
    }
}

fn transfer(
    context: &mut Context<'_, '_>,
    to: &Address,
    asset: AssetId,
    amount: Amount,
    memo: &Text<MAX_MEMO_BYTES>,
) -> Result<(), Failure> {
    let from = context.sender;
    money::check_asset(context.state, asset)?;
    if memo.is_empty() && money::account(context.state, to)?.memo_required {
        return Err(MEMO_REQUIRED.plain().into());
    }
    let row_fee = context.burn_row_fee(to, asset)?;
    money::transfer(context.state, &from, to, asset, amount)?;
    let memo = memo.clone();
    context.emit(super::Event::Transfer(Event::Transferred { from, to: *to, asset, amount, row_fee, memo }));
    Ok(())
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::Transferred { from, to, .. } => vec![*from, *to],
            Self::Burned { from, .. } => vec![*from],
        }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let to = Address::from_bytes([7; 32]);
    vec![
        Action::Transfer { to, asset: AssetId::NATIVE, amount: Amount::new(18_000), memo: Text::default() },
        Action::Burn { asset: AssetId::NATIVE, amount: Amount::new(1) },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
