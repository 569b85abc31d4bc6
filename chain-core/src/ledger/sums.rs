//! What there is of each asset in each place, kept up with every block: `get_supply` must not read the
//! whole state while a commit waits. `money::audit` adds up from nothing and must agree.

use crate::fault::Fault;
use crate::state::money::{self, ASSETS, Bucket, Supply, holdings, stake_asset};
use crate::state::{Delta, Tree};
use crate::types::{Amount, AssetId};
use std::collections::BTreeMap;

/// Sums by asset and place; an absent one is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(BTreeMap<(AssetId, Bucket), Amount>);

impl Sums {
    /// Adds everything up.
    pub fn of(tree: &Tree) -> Result<Self, Fault> {
        let mut sums = BTreeMap::new();
        for mut supply in money::audit(tree)? {
            let id = supply.id;
            sums.extend(Bucket::ALL.iter().map(|bucket| ((id, *bucket), *supply.in_bucket(*bucket))));
        }
        Ok(Self(sums))
    }

    /// Follows a change that is about to be committed on `tree`.
    pub fn follow(&mut self, tree: &Tree, delta: &Delta) -> Result<(), Fault> {
        let stake_asset = stake_asset(tree)?;
        for change in delta.rows() {
            let key = change.key();
            let read = |row: Option<&[u8]>| row.map(|row| holdings(key, row, stake_asset)).transpose();
            let after = read(change.after().map(|(_, row)| row))?.unwrap_or_default();
            let before = read(tree.get(key))?.unwrap_or_default();
            // First what comes: the sum is never below what goes.
            for (asset, bucket, amount) in after.into_iter().flatten() {
                let sum = self.0.entry((asset, bucket)).or_default();
                *sum = sum.checked_add(amount).ok_or_else(out_of_range)?;
            }
            for (asset, bucket, amount) in before.into_iter().flatten() {
                let sum = self.0.entry((asset, bucket)).or_default();
                *sum = sum.checked_sub(amount).ok_or_else(out_of_range)?;
            }
        }
        Ok(())
    }

    /// Per asset: its row and where it is.
    pub fn supplies(&self, tree: &Tree) -> Result<Vec<Supply>, Fault> {
        let row = |row: Result<(&[u8], _), Fault>| {
            let (key, asset) = row?;
            let id = key.try_into().map(u32::from_be_bytes).map(AssetId::new);
            let id = id.map_err(|_| Fault::new("an asset row has a bad key"))?;
            let mut supply = Supply::empty(id, asset);
            for bucket in Bucket::ALL {
                *supply.in_bucket(*bucket) = self.0.get(&(id, *bucket)).copied().unwrap_or_default();
            }
            Ok(supply)
        };
        ASSETS.scan(tree).map(row).collect()
    }
}

fn out_of_range() -> Fault {
    Fault::new("the sum of all balances left its range")
}
