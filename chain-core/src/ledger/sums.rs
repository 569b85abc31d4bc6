//! What all accounts hold of each asset, kept up with every block: `get_supply` must not read the
//! whole state while a commit waits. `money::audit` adds up from nothing and must agree.

use crate::fault::Fault;
use crate::state::money::{self, ASSETS, BALANCES, Supply};
use crate::state::{ACCOUNTS, Account, Delta, RowKey, Tree, decode_value};
use crate::types::{Amount, AssetId};
use std::collections::BTreeMap;

/// Sums by asset; an absent one is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<AssetId, Amount>);

impl Sums {
    /// Adds everything up.
    pub fn of(tree: &Tree) -> Result<Self, Fault> {
        let supplies = money::audit(tree)?;
        Ok(Self(supplies.into_iter().map(|supply| (supply.id, supply.in_accounts)).collect()))
    }

    /// Follows a change that is about to be committed on `tree`.
    pub fn follow(&mut self, tree: &Tree, delta: &Delta) -> Result<(), Fault> {
        for change in delta.rows() {
            let before = tree.get(change.key()).map(|row| holding(change.key(), row)).transpose()?.flatten();
            let after = change.after().map(|(_, row)| holding(change.key(), row)).transpose()?.flatten();
            let Some(asset) = before.or(after).map(|(asset, _)| asset) else { continue };
            let amount = |held: Option<(AssetId, Amount)>| held.map_or(Amount::ZERO, |(_, amount)| amount);
            let sum = self.0.entry(asset).or_default();
            let changed = sum.checked_add(amount(after)).and_then(|sum| sum.checked_sub(amount(before)));
            *sum = changed.ok_or_else(|| Fault::new("the sum of all balances left its range"))?;
        }
        Ok(())
    }

    /// Per asset: its row and what the accounts hold.
    pub fn supplies(&self, tree: &Tree) -> Result<Vec<Supply>, Fault> {
        let row = |row: Result<(&[u8], _), Fault>| {
            let (key, asset) = row?;
            let id = key.try_into().map(u32::from_be_bytes).map(AssetId::new);
            let id = id.map_err(|_| Fault::new("an asset row has a bad key"))?;
            Ok(Supply { id, asset, in_accounts: self.0.get(&id).copied().unwrap_or_default() })
        };
        ASSETS.scan(tree).map(row).collect()
    }
}

/// What a row says that somebody holds, if it is a row of that kind.
fn holding(key: &RowKey, row: &[u8]) -> Result<Option<(AssetId, Amount)>, Fault> {
    if key.table() == ACCOUNTS.number() {
        let account: Account = decode_value(row)?;
        return Ok(Some((AssetId::NATIVE, account.balance)));
    }
    if key.table() == BALANCES.number() {
        let asset = key.as_bytes().last_chunk().copied().map(u32::from_be_bytes);
        let asset = asset.ok_or_else(|| Fault::new("a balance row has a bad key"))?;
        return Ok(Some((AssetId::new(asset), decode_value(row)?)));
    }
    Ok(None)
}
