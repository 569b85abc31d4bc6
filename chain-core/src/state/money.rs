//! Money in the state: balances, supplies, and the primitives every other change of a balance
//! is written with. Guards come first; once something is written, nothing more can fail.
//!
//! Not here: what a transfer costs and who may make it (the families), fees (`execute`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::account::{ACCOUNTS, Account};
use super::market::{self, dispute, job, model, post, provider, purse};
use super::overlay::Overlay;
use super::row_key::RowKey;
use super::stakes::{BATCHES, Batch, STAKES, Stake};
use super::table::{Rows, Table, decode_value};
use super::tree::Tree;
use crate::codec::Text;
use crate::fault::{Failure, Fault};
use crate::limits::MAX_SYMBOL_BYTES;
use crate::types::{Address, Amount, AssetId, Rejected, Token, rejections};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Balances of every asset but the native one, which stands in the account row.
pub const BALANCES: Table<(Address, AssetId), Amount> = Table::new(2);
/// Assets by number.
pub const ASSETS: Table<AssetId, Asset> = Table::new(3);
/// Asset numbers by symbol: symbols are unique.
pub const SYMBOLS: Table<Symbol, AssetId> = Table::new(4);
/// The number the next asset gets; no row: 0, the native asset's.
pub const NEXT_ASSET: Table<(), AssetId> = Table::new(7);

rejections! {
    /// Every rejection of this file.
    REJECTIONS =
    50 INSUFFICIENT_BALANCE "insufficient_balance" "the account holds less than this needs";
    51 UNKNOWN_ASSET "unknown_asset" "no asset has this number";
    52 SUPPLY_EXCEEDED "supply_exceeded" "more of the asset would exist than its maximum";
}

/// An asset's symbol: 2 to 12 capital letters and digits, a letter first.
pub type Symbol = Text<MAX_SYMBOL_BYTES>;

/// Something that can be owned and sent.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Asset {
    /// How people write it.
    pub symbol: Symbol,
    /// Base units in one token, at least 1.
    pub units_per_token: Amount,
    /// The most that may exist at a time, in base units.
    pub max_supply: Amount,
    /// Who may create more of it; `None`: nobody, ever.
    pub minter: Option<Address>,
    /// All that was ever created, genesis included, in base units.
    pub minted: Amount,
    /// All that was ever destroyed, in base units.
    pub burned: Amount,
}

impl Asset {
    /// What exists now.
    pub fn supply(&self) -> Amount {
        self.minted.checked_sub(self.burned).unwrap_or_default()
    }

    /// How people write amounts of it.
    pub fn token(&self) -> Token {
        Token { symbol: self.symbol.to_string(), units_per_token: self.units_per_token.get() }
    }
}

impl super::table::Key for Symbol {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_bytes());
    }
}

/// Whether a text has the form of a symbol.
pub fn is_symbol(text: &str) -> bool {
    let form = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let length = crate::limits::MIN_SYMBOL_BYTES..=MAX_SYMBOL_BYTES;
    length.contains(&text.len()) && text.bytes().all(form) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The account at an address; an absent row is an empty account.
pub fn account(rows: &impl Rows, address: &Address) -> Result<Account, Fault> {
    Ok(ACCOUNTS.get(rows, address)?.unwrap_or_default())
}

/// Writes an account, or removes a row that would say nothing.
pub fn put_account(overlay: &mut Overlay<'_>, address: &Address, account: &Account) {
    if account.is_default() {
        ACCOUNTS.remove(overlay, address);
    } else {
        ACCOUNTS.put(overlay, address, account);
    }
}

/// What an account holds of an asset.
pub fn balance(rows: &impl Rows, address: &Address, asset: AssetId) -> Result<Amount, Fault> {
    if asset == AssetId::NATIVE {
        return Ok(account(rows, address)?.balance);
    }
    Ok(BALANCES.get(rows, &(*address, asset))?.unwrap_or_default())
}

/// Whether the chain already keeps a row for this account's balance of this asset.
pub fn has_row(rows: &impl Rows, address: &Address, asset: AssetId) -> bool {
    let key = match asset {
        AssetId::NATIVE => ACCOUNTS.key(address),
        _ => BALANCES.key(&(*address, asset)),
    };
    rows.row(&key).is_some()
}

/// The asset of a number.
pub fn asset(rows: &impl Rows, id: AssetId) -> Result<Asset, Failure> {
    let found = ASSETS.get(rows, &id)?;
    found.ok_or_else(|| UNKNOWN_ASSET.because("a registered asset", id).into())
}

/// Whether an asset has this number. Cheaper than reading it; the native one always exists.
pub fn check_asset(rows: &impl Rows, id: AssetId) -> Result<(), Rejected> {
    if id == AssetId::NATIVE || rows.row(&ASSETS.key(&id)).is_some() {
        return Ok(());
    }
    Err(UNKNOWN_ASSET.because("a registered asset", id))
}

/// Writes a new asset under the next number; numbers have no holes. The same for genesis, whose
/// first asset is the native one, and for the action that creates one. The caller has made sure
/// that the symbol is free.
pub fn register(overlay: &mut Overlay<'_>, asset: &Asset) -> Result<AssetId, Fault> {
    let id = NEXT_ASSET.get(overlay, &())?.unwrap_or_default();
    if ASSETS.get(overlay, &id)?.is_some() || SYMBOLS.get(overlay, &asset.symbol)?.is_some() {
        return Err(Fault::new(format!("asset {id} ({}) is registered twice", &*asset.symbol)));
    }
    let next = id.get().checked_add(1).ok_or_else(|| Fault::new("more assets than numbers"))?;
    NEXT_ASSET.put(overlay, &(), &AssetId::new(next));
    SYMBOLS.put(overlay, &asset.symbol, &id);
    ASSETS.put(overlay, &id, asset);
    Ok(id)
}

/// Moves money. From an account to itself it checks the balance and changes nothing.
pub fn transfer(
    overlay: &mut Overlay<'_>,
    from: &Address,
    to: &Address,
    id: AssetId,
    amount: Amount,
) -> Result<(), Failure> {
    let left = covered(overlay, from, id, amount)?;
    if from != to {
        let sum = credited(overlay, to, id, amount)?;
        set_balance(overlay, from, id, left)?;
        set_balance(overlay, to, id, sum)?;
    }
    Ok(())
}

/// Creates money.
pub fn mint(overlay: &mut Overlay<'_>, to: &Address, id: AssetId, amount: Amount) -> Result<(), Failure> {
    let mut asset = asset(overlay, id)?;
    let supply = asset.supply().saturating_add(amount);
    if supply > asset.max_supply {
        return Err(SUPPLY_EXCEEDED.because(format_args!("at most {}", asset.max_supply), supply).into());
    }
    let minted = asset.minted.checked_add(amount);
    asset.minted = minted.ok_or_else(|| SUPPLY_EXCEEDED.plain())?;
    let sum = credited(overlay, to, id, amount)?;
    ASSETS.put(overlay, &id, &asset);
    Ok(set_balance(overlay, to, id, sum)?)
}

/// Destroys money.
pub fn burn(overlay: &mut Overlay<'_>, from: &Address, id: AssetId, amount: Amount) -> Result<(), Failure> {
    let asset = asset(overlay, id)?;
    let left = covered(overlay, from, id, amount)?;
    let burned = burned_with(&asset, amount)?;
    ASSETS.put(overlay, &id, &Asset { burned, ..asset });
    Ok(set_balance(overlay, from, id, left)?)
}

/// Counts money as destroyed that has already left its account (collected fees).
pub fn count_burned(overlay: &mut Overlay<'_>, id: AssetId, amount: Amount) -> Result<(), Fault> {
    let found = ASSETS.get(overlay, &id)?;
    let asset = found.ok_or_else(|| Fault::new("the native asset has no row"))?;
    let burned = burned_with(&asset, amount)?;
    ASSETS.put(overlay, &id, &Asset { burned, ..asset });
    Ok(())
}

/// Takes money out of an account that the caller will put somewhere in the same block.
pub fn take(overlay: &mut Overlay<'_>, from: &Address, id: AssetId, amount: Amount) -> Result<(), Failure> {
    let left = covered(overlay, from, id, amount)?;
    Ok(set_balance(overlay, from, id, left)?)
}

/// Counts money as created that the caller puts somewhere in the same block: `amount`, or as much as the
/// asset's maximum leaves.
pub fn count_minted(overlay: &mut Overlay<'_>, id: AssetId, amount: Amount) -> Result<Amount, Fault> {
    let found = ASSETS.get(overlay, &id)?;
    let asset = found.ok_or_else(|| Fault::new(format!("asset {id} has no row")))?;
    let room = asset.max_supply.checked_sub(asset.supply()).unwrap_or_default();
    let created = amount.min(room);
    let Some(minted) = asset.minted.checked_add(created).filter(|_| !created.is_zero()) else {
        return Ok(Amount::ZERO);
    };
    ASSETS.put(overlay, &id, &Asset { minted, ..asset });
    Ok(created)
}

/// Puts money into an account that the caller took from somewhere in the same block.
pub fn give(overlay: &mut Overlay<'_>, to: &Address, id: AssetId, amount: Amount) -> Result<(), Fault> {
    let sum = credited(overlay, to, id, amount)?;
    set_balance(overlay, to, id, sum)
}

/// Declares the places money can be in, in one list.
macro_rules! buckets {
    ($($(#[$doc:meta])* $bucket:ident $field:ident,)*) => {
        /// Per asset: what the supply counters say and where it is. They must be equal after every block.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Supply {
            /// The asset.
            pub id: AssetId,
            /// Its row.
            pub asset: Asset,
            $($(#[$doc])* pub $field: Amount,)*
        }

        /// Where money can be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bucket {
            $($(#[$doc])* $bucket,)*
        }

        impl Bucket {
            /// Every place.
            pub const ALL: &'static [Self] = &[$(Self::$bucket),*];
        }

        impl Supply {
            /// Of an asset nobody has anything of.
            pub fn empty(id: AssetId, asset: Asset) -> Self {
                Self { id, asset, $($field: Amount::ZERO),* }
            }

            /// The sum over all places; `None` beyond 128 bits.
            pub fn total(&self) -> Option<Amount> {
                [$(self.$field),*].into_iter().try_fold(Amount::ZERO, Amount::checked_add)
            }

            /// What there is in a place.
            pub fn in_bucket(&mut self, bucket: Bucket) -> &mut Amount {
                match bucket {
                    $(Bucket::$bucket => &mut self.$field,)*
                }
            }
        }
    };
}

buckets! {
    /// The sum over all accounts.
    Accounts in_accounts,
    /// The sum of all that is bonded with validators; undelegating empties it.
    Stakes in_stakes,
    /// The sum of all that is unbonding; withdrawing empties it.
    Unbonding in_unbonding,
    /// The sum of all rewards of validators and delegations; withdrawing them empties it.
    Rewards in_rewards,
    /// The sum of all deposits that wait for jobs; `market_withdraw` empties it.
    Prepaid in_prepaid,
    /// The sum of what open and posted jobs hold of their deposits; every end of a job empties it.
    Escrow in_escrow,
    /// The sum of the deposits of both sides of disputes; every end of a dispute empties it.
    DisputeBonds in_dispute_bonds,
    /// The sum of what providers have bonded; `provider_bond_withdraw` empties it.
    Bonds in_bonds,
    /// The sum of what was earned with jobs; `earnings_withdraw` empties it.
    Earnings in_earnings,
    /// The market's own; `treasury_withdraw` empties it.
    Treasury in_treasury,
    /// The sum of what is locked in votes on models; `model_vote_unlock` empties it.
    Votes in_votes,
    /// The sum of the fees of open proposals of models; `model_finalize` empties it.
    ProposalFees in_proposal_fees,
    /// The sum of the fees of rejected ones; `treasury_withdraw` empties it.
    RejectedPool in_rejected_pool,
    /// What slashed providers owe to payers; it is paid by itself.
    Compensations in_compensations,
}

impl Supply {
    /// Whether nothing appeared or vanished.
    pub fn is_conserved(&self) -> bool {
        let exists = self.asset.minted.checked_sub(self.asset.burned);
        exists.is_some() && exists == self.total()
    }
}

/// So much of an asset is somewhere.
pub type Holding = (AssetId, Bucket, Amount);

/// The asset that stakes, bonds and votes are made of.
pub fn stake_asset(rows: &impl Rows) -> Result<AssetId, Fault> {
    Ok(market::stored(rows)?.stake_asset)
}

/// What a row says there is somewhere, of which asset.
pub fn holdings(key: &RowKey, row: &[u8], stake_asset: AssetId) -> Result<[Option<Holding>; 2], Fault> {
    let one = |asset: AssetId, bucket: Bucket, amount: Amount| Ok([Some((asset, bucket, amount)), None]);
    let keyed = || {
        let asset = key.as_bytes().last_chunk().copied().map(u32::from_be_bytes);
        asset.map(AssetId::new).ok_or_else(|| Fault::new("a row of somebody's money has a bad key"))
    };
    match key.table() {
        table if table == ACCOUNTS.number() => {
            one(AssetId::NATIVE, Bucket::Accounts, decode_value::<Account>(row)?.balance)
        }
        table if table == BALANCES.number() => one(keyed()?, Bucket::Accounts, decode_value(row)?),
        table if table == STAKES.number() => {
            let stake: Stake = decode_value(row)?;
            let bonded = (stake_asset, Bucket::Stakes, stake.bonded.held);
            Ok([Some(bonded), Some((AssetId::NATIVE, Bucket::Rewards, stake.rewards.held))])
        }
        table if table == BATCHES.number() => {
            one(stake_asset, Bucket::Unbonding, decode_value::<Batch>(row)?.fund.held)
        }
        table if table == purse::PREPAID.number() => one(keyed()?, Bucket::Prepaid, decode_value(row)?),
        table if table == purse::EARNINGS.number() => {
            one(keyed()?, Bucket::Earnings, decode_value::<purse::Earnings>(row)?.balance)
        }
        table if table == purse::TREASURY.number() => one(keyed()?, Bucket::Treasury, decode_value(row)?),
        table if table == purse::REJECTED_POOL.number() => one(keyed()?, Bucket::RejectedPool, decode_value(row)?),
        table if table == job::JOBS.number() => {
            let job: job::Job = decode_value(row)?;
            one(job.asset, Bucket::Escrow, job.escrow())
        }
        table if table == post::POSTS.number() => {
            let post: post::Post = decode_value(row)?;
            one(post.asset, Bucket::Escrow, post.deposit)
        }
        table if table == dispute::DISPUTES.number() => {
            let dispute: dispute::Dispute = decode_value(row)?;
            one(dispute.asset, Bucket::DisputeBonds, dispute.held())
        }
        table if table == provider::PROVIDERS.number() => {
            one(stake_asset, Bucket::Bonds, decode_value::<provider::Provider>(row)?.bond)
        }
        table if table == provider::COMPENSATIONS.number() => {
            one(stake_asset, Bucket::Compensations, decode_value::<provider::Compensation>(row)?.amount)
        }
        table if table == model::MODEL_VOTES.number() => one(stake_asset, Bucket::Votes, decode_value(row)?),
        table if table == model::MODEL_PROPOSALS.number() => {
            one(stake_asset, Bucket::ProposalFees, decode_value::<model::ModelProposal>(row)?.fee)
        }
        _ => Ok([None, None]),
    }
}

/// Adds up every place of every asset; reads the whole state.
pub fn audit(tree: &Tree) -> Result<Vec<Supply>, Fault> {
    let mut supplies = Vec::new();
    for row in ASSETS.scan(tree) {
        let (key, asset) = row?;
        let id = u32::from_be_bytes(key.try_into().map_err(|_| Fault::new("an asset row has a bad key"))?);
        supplies.push(Supply::empty(AssetId::new(id), asset));
    }
    let stake_asset = stake_asset(tree)?;
    for (key, _, row) in tree.rows() {
        for (id, bucket, amount) in holdings(key, row, stake_asset)?.into_iter().flatten() {
            let supply = supplies.iter_mut().find(|supply| supply.id == id);
            let supply = supply.ok_or_else(|| Fault::new(format!("a balance of unknown asset {id}")))?;
            let sum = supply.in_bucket(bucket).checked_add(amount);
            *supply.in_bucket(bucket) = sum.ok_or_else(|| Fault::new("balances beyond 128 bits"))?;
        }
    }
    Ok(supplies)
}

fn covered(rows: &impl Rows, from: &Address, id: AssetId, amount: Amount) -> Result<Amount, Failure> {
    let held = balance(rows, from, id)?;
    held.checked_sub(amount).ok_or_else(|| INSUFFICIENT_BALANCE.because(format_args!("at least {amount}"), held).into())
}

fn credited(rows: &impl Rows, to: &Address, id: AssetId, amount: Amount) -> Result<Amount, Fault> {
    // Supplies are bounded far below 128 bits, so this can only fail if money was invented.
    balance(rows, to, id)?.checked_add(amount).ok_or_else(|| Fault::new("a balance beyond 128 bits"))
}

fn burned_with(asset: &Asset, amount: Amount) -> Result<Amount, Fault> {
    let burned = asset.burned.checked_add(amount).filter(|sum| *sum <= asset.minted);
    burned.ok_or_else(|| Fault::new("more of an asset burned than was minted"))
}

fn set_balance(overlay: &mut Overlay<'_>, address: &Address, id: AssetId, amount: Amount) -> Result<(), Fault> {
    if id == AssetId::NATIVE {
        let account = Account { balance: amount, ..account(overlay, address)? };
        put_account(overlay, address, &account);
    } else if amount.is_zero() {
        BALANCES.remove(overlay, &(*address, id));
    } else {
        BALANCES.put(overlay, &(*address, id), &amount);
    }
    Ok(())
}
