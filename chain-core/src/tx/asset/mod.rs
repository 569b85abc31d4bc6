//! Other assets than the native one: who creates them, how much there may be, who mints.
//!
//! | action | bytes after `03` | fields |
//! |---|---|---|
//! | `asset_create` | `01` | symbol (u32 length, ≤ 12 bytes) · units_per_token u128 · max_supply u128 · minter (`00`, or `01` and 32) · initial_supply u128 |
//! | `asset_mint` | `02` | asset u32 · to 32 · amount u128 |
//! | `asset_set_minter` | `03` | asset u32 · minter (`00`, or `01` and 32) |
//!
//! Rules:
//! 1. A symbol is 2 to 12 capital letters and digits, a letter first, and unlike every other.
//! 2. One token has 1 to 10^24 base units; 1 to 10^30 base units may exist at most.
//! 3. The initial supply, at most that much, goes to the creator.
//! 4. Creating burns `asset_fee` from the sender. Assets are numbered in the order of creation.
//! 5. Only the minter mints, 1 to 10^30 base units at a time, and never more than may exist.
//! 6. Nobody mints to a module account, and none is a minter.
//! 7. New money that makes the chain keep a new row for the receiver burns `account_fee` from the
//!    sender, as a transfer does.
//! 8. Only the minter names another one; none means that nobody mints again, ever.
//!
//! Who holds an asset destroys it with `burn`, a money matter like transfers.
//!
//! Not here: balances and supplies (`state::money`).

use super::text::amount_text;
use super::{AMOUNT_OUT_OF_RANGE, About, CheckContext, Context, MODULE_ACCOUNT, Rules, check_amount};
use crate::codec::Text;
use crate::fault::Failure;
use crate::limits::MAX_UNITS_PER_TOKEN;
use crate::state::money::{self, SUPPLY_EXCEEDED, SYMBOLS, is_symbol};
use crate::state::{Asset, Symbol};
use crate::types::{Address, Amount, AssetId, Rejected, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    300 NOT_THE_MINTER "not_the_minter" "only the asset's minter may do this";
    301 SYMBOL_FORM "symbol_form" "a symbol is 2 to 12 capital letters and digits, a letter first";
    302 SYMBOL_TAKEN "symbol_taken" "another asset has this symbol";
}
/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "asset_create"), (2, "asset_mint"), (3, "asset_set_minter")];

const CREATE_WEIGHT: u64 = 600;
const WEIGHT: u64 = 200;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Creates an asset.
    AssetCreate {
        /// How people write it.
        symbol: Symbol,
        /// Base units in one token.
        units_per_token: Amount,
        /// The most base units that may exist.
        max_supply: Amount,
        /// Who may mint; in JSON `null` must be said, since it is for ever.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        minter: Option<Address>,
        /// What the creator receives, in base units.
        #[serde(default)]
        initial_supply: Amount,
    } = 1,
    /// Creates money of an asset.
    AssetMint {
        /// Which asset.
        asset: AssetId,
        /// Who receives it.
        to: Address,
        /// How many base units.
        amount: Amount,
    } = 2,
    /// Names another minter, or none for ever.
    AssetSetMinter {
        /// Of which asset.
        asset: AssetId,
        /// Who may mint; in JSON `null` must be said, since it is for ever.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        minter: Option<Address>,
    } = 3,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Event {
    /// An asset exists.
    AssetCreated {
        /// Who created it.
        creator: Address,
        /// Its number.
        asset: AssetId,
        /// How people write it.
        symbol: Symbol,
        /// Base units in one token.
        units_per_token: Amount,
        /// The most base units that may exist.
        max_supply: Amount,
        /// Who may mint.
        minter: Option<Address>,
        /// What the creator received, in base units.
        initial_supply: Amount,
        /// Burned for the asset, in native base units.
        asset_fee: Amount,
        /// Burned for the creator's new row, in native base units.
        row_fee: Amount,
    } = 1,
    /// Money was created.
    AssetMinted {
        /// By whom.
        minter: Address,
        /// Which asset.
        asset: AssetId,
        /// Who received it.
        to: Address,
        /// How many base units.
        amount: Amount,
        /// Burned for the receiver's new row, in native base units.
        row_fee: Amount,
    } = 2,
    /// Another minter, or none for ever.
    AssetMinterSet {
        /// Who named it.
        by: Address,
        /// Of which asset.
        asset: AssetId,
        /// Who may mint now.
        minter: Option<Address>,
    } = 3,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::AssetCreate { symbol, units_per_token, max_supply, minter, initial_supply } => {
                check_form(symbol, *units_per_token, *max_supply)?;
                if initial_supply > max_supply {
                    return Err(SUPPLY_EXCEEDED.because(format_args!("at most {max_supply}"), initial_supply));
                }
                check_account(minter.as_ref())
            }
            Self::AssetMint { to, amount, .. } => {
                check_amount(*amount)?;
                check_account(Some(to))
            }
            Self::AssetSetMinter { minter, .. } => check_account(minter.as_ref()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::AssetCreate { .. } => CREATE_WEIGHT,
            Self::AssetMint { .. } | Self::AssetSetMinter { .. } => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let sender = context.sender;
        let event = match self.clone() {
            Self::AssetCreate { symbol, units_per_token, max_supply, minter, initial_supply } => {
                let none = Amount::ZERO;
                let asset = Asset { symbol, units_per_token, max_supply, minter, minted: none, burned: none };
                create(context, asset, initial_supply)?
            }
            Self::AssetMint { asset, to, amount } => {
                minted_by(context, asset)?;
                let row_fee = context.burn_row_fee(&to, asset)?;
                money::mint(context.state, &to, asset, amount)?;
                Event::AssetMinted { minter: sender, asset, to, amount, row_fee }
            }
            Self::AssetSetMinter { asset, minter } => {
                let row = minted_by(context, asset)?;
                money::ASSETS.put(context.state, &asset, &Asset { minter, ..row });
                Event::AssetMinterSet { by: sender, asset, minter }
            }
        };
        context.emit(super::Event::Asset(event));
        Ok(())
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::AssetCreate { symbol, units_per_token, max_supply, minter, initial_supply } => {
                // Base units: a name that isn't registered yet shall not look like an amount of money.
                let minter = minter.map_or("minted by nobody".into(), |minter| format!("minted by {minter}"));
                format!(
                    "Create the asset {} with {units_per_token} base units per token, at most {max_supply} base \
                     units, {initial_supply} of them for this account, {minter}",
                    super::text::quoted(symbol)
                )
            }
            Self::AssetMint { asset, to, amount } => {
                format!("Mint {} for {to}", amount_text(*asset, *amount, tokens))
            }
            Self::AssetSetMinter { asset, minter: Some(minter) } => {
                format!("Let {minter} instead of this account mint {}", asset_text(*asset, tokens))
            }
            Self::AssetSetMinter { asset, minter: None } => {
                format!("Let nobody ever mint {} again", asset_text(*asset, tokens))
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::AssetMint { to, .. } => vec![*to],
            Self::AssetCreate { minter, .. } | Self::AssetSetMinter { minter, .. } => minter.iter().copied().collect(),
        }
    }
}

fn asset_text(asset: AssetId, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
    match tokens(asset) {
        Some(token) => format!("asset {asset} ({})", token.symbol),
        None => format!("asset {asset}"),
    }
}

fn check_form(symbol: &str, units_per_token: Amount, max_supply: Amount) -> Result<(), Rejected> {
    if !is_symbol(symbol) {
        return Err(SYMBOL_FORM.because("such as USD", symbol));
    }
    if !(1..=MAX_UNITS_PER_TOKEN).contains(&units_per_token.get()) {
        return Err(AMOUNT_OUT_OF_RANGE.because("1 to 10^24 base units per token", units_per_token));
    }
    check_amount(max_supply)
}

fn check_account(address: Option<&Address>) -> Result<(), Rejected> {
    match address {
        Some(module) if module.is_module() => Err(MODULE_ACCOUNT.because("an account somebody can sign for", module)),
        _ => Ok(()),
    }
}

fn create(context: &mut Context<'_, '_>, asset: Asset, initial_supply: Amount) -> Result<Event, Failure> {
    let (creator, asset_fee) = (context.sender, context.params.asset_fee);
    if SYMBOLS.get(context.state, &asset.symbol)?.is_some() {
        return Err(SYMBOL_TAKEN.because("another symbol", &*asset.symbol).into());
    }
    money::burn(context.state, &creator, AssetId::NATIVE, asset_fee)?;
    let id = money::register(context.state, &asset)?;
    let mut row_fee = Amount::ZERO;
    if !initial_supply.is_zero() {
        row_fee = context.burn_row_fee(&creator, id)?;
        money::mint(context.state, &creator, id, initial_supply)?;
    }
    let Asset { symbol, units_per_token, max_supply, minter, .. } = asset;
    let asset = id;
    Ok(Event::AssetCreated {
        creator,
        asset,
        symbol,
        units_per_token,
        max_supply,
        minter,
        initial_supply,
        asset_fee,
        row_fee,
    })
}

/// The asset, if the sender is its minter.
fn minted_by(context: &Context<'_, '_>, id: AssetId) -> Result<Asset, Failure> {
    let asset = money::asset(context.state, id)?;
    if asset.minter == Some(context.sender) {
        return Ok(asset);
    }
    let minter = asset.minter.map_or("nobody".into(), |minter| minter.to_string());
    Err(NOT_THE_MINTER.because(minter, context.sender).into())
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::AssetCreated { creator, minter, .. } => [creator].into_iter().chain(minter).copied().collect(),
            Self::AssetMinted { minter, to, .. } => vec![*minter, *to],
            Self::AssetMinterSet { by, minter, .. } => [by].into_iter().chain(minter).copied().collect(),
        }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let minter = CheckContext::example().sender;
    let symbol = Text::new("USD").unwrap_or_default();
    let (units_per_token, max_supply) = (Amount::new(1_000_000), Amount::new(10u128.pow(18)));
    let (asset, to) = (AssetId::new(1), Address::from_bytes([7; 32]));
    let initial_supply = Amount::new(2_500_000);
    vec![
        Action::AssetCreate { symbol, units_per_token, max_supply, minter: Some(minter), initial_supply },
        Action::AssetMint { asset, to, amount: Amount::new(10_000_000) },
        Action::AssetSetMinter { asset, minter: None },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
