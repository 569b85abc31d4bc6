//! What this family's actions say to who signs them.

use super::*;
use crate::tx::text::{amount_text, quoted};

/// An action of this family in words.
pub(super) fn words(action: &Action, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
    let some = |asset: &AssetId, amount: &Option<Amount>| {
        amount.map_or(format!("all of asset {asset}"), |amount| amount_text(*asset, amount, tokens))
    };
    match action {
        Action::MarketPause { reason } => format!("Pause the market for {}", quoted(reason)),
        Action::MarketUnpause { reason } => format!("End the pause of the market for {}", quoted(reason)),
        Action::AssetTermsSet { asset, terms } => {
            let text = |amount: Amount| amount_text(*asset, amount, tokens);
            let price = |price: Price| text(Amount::new(price.get()));
            let verb = if terms.accepted { "Accept" } else { "Accept no more" };
            format!(
                "{verb} asset {asset} in the market, with deposits of {} to {} and prices of {} to {} per 1000 units",
                text(terms.min_deposit),
                text(terms.max_deposit),
                price(terms.min_price),
                price(terms.max_price)
            )
        }
        Action::MarketDeposit { asset, amount } => {
            format!("Deposit {} in the market", amount_text(*asset, *amount, tokens))
        }
        Action::MarketWithdraw { asset, amount } => {
            format!("Withdraw {} from what is deposited in the market", amount_text(*asset, *amount, tokens))
        }
        Action::EarningsWithdraw { items } => {
            let list: Vec<_> = items.iter().map(|item| some(&item.asset, &item.amount)).collect();
            format!("Withdraw from this account's earnings: {}", list.join(", "))
        }
        Action::TreasuryWithdraw { pot, asset, amount } => {
            let pot = match pot {
                Pot::Treasury => "treasury",
                Pot::RejectedPool => "rejected pool",
            };
            format!("Withdraw as treasurer from the {pot}: {}", some(asset, amount))
        }
    }
}
