//! The canonical genesis: everything a chain starts from, in the bytes whose hash is its id, and
//! the state and block 0 that follow from it.
//!
//! 1. One chain, one encoding: assets by number, validators strictly ascending by key, balances
//!    strictly ascending by (address, asset) and above zero.
//! 2. The chain id is `hash(ait/genesis/1, 32 zero bytes, canonical bytes)`. The salt and the time
//!    keep a chain that is started anew from accepting what was signed for the old one.
//! 3. State and block 0 are a function of these bytes: who has them needs to believe nobody.
//! 4. Names of validators, comments and spellings are for people and not in here.
//!
//! Not here: the form people write and their error messages (crate `genesis`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use crate::block::{BLOCK_VERSION, Header, outcome_root, tx_root};
use crate::codec::{self, DecodeError, Text};
use crate::crypto::{Hash, Namespace, PublicKey, hash};
use crate::fault::Fault;
use crate::limits::{BPS, MAX_AMOUNT, MAX_GENESIS_BYTES, MAX_NAME_BYTES, MAX_UNITS_PER_TOKEN};
use crate::state::stakes::weights::{Candidate, weights};
use crate::state::{Asset, Overlay, PARAMS, ParamError, Params, Role, Roles, Symbol, Tree};
use crate::state::{market, money, protocol, stakes, validators};
use crate::types::{
    Address, Amount, AssetId, BlockId, ChainId, Height, QuorumRule, TimestampMs, Validator, ValidatorSet,
    ValidatorSetError, View,
};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::state::stakes::FirstStake;
pub use crate::types::ConsensusMode;

#[cfg(test)]
mod tests;

/// The version of genesis this code knows.
pub const GENESIS_VERSION: u8 = 2;
/// The last millisecond a genesis may name: the end of the year 9999, beyond which RFC 3339 ends.
pub const MAX_GENESIS_TIME: TimestampMs = TimestampMs::new(253_402_300_799_999);

/// An asset that exists from the start; its number is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisAsset {
    /// 2 to 12 capital letters and digits, a letter first.
    pub symbol: Symbol,
    /// Base units in one token, 1 to `MAX_UNITS_PER_TOKEN`.
    pub units_per_token: Amount,
    /// The most that may exist, in base units, 1 to `MAX_AMOUNT`.
    pub max_supply: Amount,
    /// Who may create more; `None`: nobody, ever.
    pub minter: Option<Address>,
}

/// What an account holds of an asset from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisBalance {
    /// Whose.
    pub address: Address,
    /// Of what.
    pub asset: AssetId,
    /// How much, in base units, above zero.
    pub amount: Amount,
}

/// Everything a chain starts from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// 2.
    pub version: u8,
    /// What people call the chain; not empty.
    pub name: Text<MAX_NAME_BYTES>,
    /// When height 1 starts, and block 0's time.
    pub genesis_time: TimestampMs,
    /// Drawn at random once per chain.
    pub salt: [u8; 32],
    /// Which faults the chain tolerates.
    pub quorum_rule: QuorumRule,
    /// Who may become a validator.
    pub mode: ConsensusMode,
    /// The parameters in force at height 1.
    pub params: Params,
    /// The assets by number; the first is the native one, in which fees are paid.
    pub assets: Vec<GenesisAsset>,
    /// The asset that bonds and stakes are made of.
    pub stake_asset: AssetId,
    /// Who has which role from the start.
    pub roles: Roles,
    /// Who signs height 1, strictly ascending by key; in mode `poa` the first authorities.
    pub validators: Vec<Validator>,
    /// In modes `pos` and `hybrid` what each validator has bonded, strictly ascending by key: created with
    /// the chain, besides the balances. Their weights follow from it.
    pub stakes: Vec<FirstStake>,
    /// Who owns what, strictly ascending by address, then asset.
    pub balances: Vec<GenesisBalance>,
}

/// Why something is no genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Not the bytes of a genesis.
    #[error("not a canonical genesis: {0}")]
    Decode(#[from] DecodeError),
    /// Made for another version of the protocol.
    #[error("genesis version {0} is not known; this software knows version {GENESIS_VERSION}")]
    Version(u8),
    /// Longer than `MAX_GENESIS_BYTES`.
    #[error("the canonical genesis has {0} bytes, at most {MAX_GENESIS_BYTES} are allowed")]
    TooLong(usize),
    /// No name.
    #[error("the chain needs a name")]
    NoName,
    /// After `MAX_GENESIS_TIME`.
    #[error("the genesis time {0} ms lies after the year 9999")]
    Time(TimestampMs),
    /// Stakes where stake gives no weight.
    #[error("in mode poa nobody has a stake; the mode must be pos or hybrid")]
    StakeMode,
    /// Listed twice or out of order.
    #[error("the stake of validator {0} is listed twice or out of order")]
    StakeOrder(PublicKey),
    /// A validator without a stake, or a stake without a validator.
    #[error("in this mode the first validators are those that have a stake; {0} is only one of both")]
    StakeMissing(PublicKey),
    /// Less than the parameter `min_validator_stake`.
    #[error("the stake of validator {0} is below min_validator_stake")]
    StakeBelowMinimum(PublicKey),
    /// Above 10000 basis points.
    #[error("the commission of validator {0} is above 10000 basis points")]
    StakeCommission(PublicKey),
    /// Not what follows from the stakes.
    #[error("the weight of validator {0} follows from its stake: it must be {1}")]
    StakeWeight(PublicKey, u64),
    /// A parameter is out of bounds.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// Nothing to pay fees in.
    #[error("a chain needs at least one asset: the first is the one fees are paid in")]
    NoAssets,
    /// Not the form of a symbol.
    #[error("the symbol of asset {0} is not 2 to 12 capital letters and digits, a letter first")]
    Symbol(AssetId),
    /// Two assets have the same symbol.
    #[error("the symbol of asset {0} is already another asset's")]
    SymbolTwice(AssetId),
    /// Zero, or beyond the bound.
    #[error("asset {0} must have 1 to {MAX_UNITS_PER_TOKEN} base units per token")]
    UnitsPerToken(AssetId),
    /// Zero, or beyond the bound.
    #[error("the maximum supply of asset {0} must be 1 to {MAX_AMOUNT} base units")]
    MaxSupply(AssetId),
    /// Nobody could sign for it.
    #[error("the minter of asset {0} is an account nobody can sign for")]
    Minter(AssetId),
    /// More exists than may.
    #[error("the balances of asset {asset} sum to {sum} base units, but its maximum supply is {max}")]
    Supply {
        /// The asset.
        asset: AssetId,
        /// What the balances sum to.
        sum: Amount,
        /// What may exist.
        max: Amount,
    },
    /// The stake asset is not in the list of assets.
    #[error("the stake asset {0} is not one of the assets")]
    StakeAsset(AssetId),
    /// A role for an account nobody can sign for.
    #[error("the {0} is an account nobody can sign for")]
    Role(Role),
    /// No validator set.
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
    /// Listed twice or out of order.
    #[error("the balance of {0} in asset {1} is listed twice or out of order")]
    BalanceOrder(Address, AssetId),
    /// Zero.
    #[error("the balance of {0} in asset {1} is zero; leave it out")]
    BalanceZero(Address, AssetId),
    /// Of an asset that is not in the list.
    #[error("the balance of {0} is of asset {1}, which is not one of the assets")]
    BalanceAsset(Address, AssetId),
    /// Owned by an account nobody can sign for: the protocol's own, or the zero address.
    #[error("{0} is an account nobody can sign for")]
    BalanceAccount(Address, AssetId),
    /// Our own fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Genesis {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads canonical bytes and checks every rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, GenesisError> {
        match bytes.first() {
            // Said before the rest is read: another version has another form.
            Some(&version) if version != GENESIS_VERSION => return Err(GenesisError::Version(version)),
            _ => {}
        }
        let genesis: Self = codec::decode(bytes, MAX_GENESIS_BYTES)?;
        genesis.check()?;
        Ok(genesis)
    }

    /// What names the chain: `hash(ait/genesis/1, 32 zero bytes, canonical bytes)`.
    pub fn chain_id(&self) -> ChainId {
        ChainId(hash(Namespace::Genesis, &Hash::ZERO, &[&self.encode()]))
    }

    /// The set that signs height 1.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(self.validators.clone())
    }

    /// Whether every rule holds; the first that does not.
    pub fn check(&self) -> Result<(), GenesisError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every rule that does not hold.
    pub fn problems(&self) -> Vec<GenesisError> {
        let bytes = codec::encode(self).len();
        let rules = [
            (self.version == GENESIS_VERSION, GenesisError::Version(self.version)),
            (bytes <= MAX_GENESIS_BYTES, GenesisError::TooLong(bytes)),
            (!self.name.is_empty(), GenesisError::NoName),
            (self.genesis_time <= MAX_GENESIS_TIME, GenesisError::Time(self.genesis_time)),
            (self.mode != ConsensusMode::Poa || self.stakes.is_empty(), GenesisError::StakeMode),
            (!self.assets.is_empty(), GenesisError::NoAssets),
            (self.asset(self.stake_asset).is_some(), GenesisError::StakeAsset(self.stake_asset)),
        ];
        let mut problems: Vec<_> = rules.into_iter().filter(|(holds, _)| !holds).map(|(_, error)| error).collect();
        problems.extend(self.params.check().err().map(GenesisError::from));
        problems.extend(self.validator_set().err().map(GenesisError::from));
        let unusable = |role: &Role| self.roles.get(*role).is_some_and(|account| !can_sign(&account));
        problems.extend(Role::ALL.into_iter().filter(unusable).map(GenesisError::Role));
        if self.mode != ConsensusMode::Poa {
            self.stake_problems(&mut problems);
        }
        self.asset_problems(&mut problems);
        self.balance_problems(&mut problems);
        problems
    }

    /// The assets with their numbers.
    pub fn numbered_assets(&self) -> impl Iterator<Item = (AssetId, &GenesisAsset)> {
        (0u32..).map(AssetId::new).zip(&self.assets)
    }

    /// The asset of a number.
    pub fn asset(&self, id: AssetId) -> Option<&GenesisAsset> {
        self.assets.get(id.get() as usize)
    }

    /// What exists of each asset at the start, by number; the greatest amount where 128 bits don't
    /// hold the sum.
    pub fn supplies(&self) -> Vec<Amount> {
        let mut sums = vec![Amount::ZERO; self.assets.len()];
        for balance in &self.balances {
            if let Some(sum) = sums.get_mut(balance.asset.get() as usize) {
                *sum = sum.saturating_add(balance.amount);
            }
        }
        if let Some(sum) = sums.get_mut(self.stake_asset.get() as usize) {
            *sum = self.stakes.iter().fold(*sum, |sum, stake| sum.saturating_add(stake.amount));
        }
        sums
    }

    /// The weights that follow from the stakes.
    pub fn stake_weights(&self) -> BTreeMap<PublicKey, u64> {
        let candidate =
            |stake: &FirstStake| Candidate { key: stake.validator, stake: stake.amount, since: Height::ZERO };
        weights(self.mode, &self.params, self.stakes.iter().map(candidate).collect())
    }

    fn stake_problems(&self, problems: &mut Vec<GenesisError>) {
        let mut before = None;
        for FirstStake { validator, amount, commission_bps } in &self.stakes {
            let is_member = self.validators.iter().any(|member| member.public_key == *validator);
            let rules = [
                (
                    before.replace(validator).is_none_or(|before| before < validator),
                    GenesisError::StakeOrder(*validator),
                ),
                (is_member, GenesisError::StakeMissing(*validator)),
                (*amount >= self.params.min_validator_stake, GenesisError::StakeBelowMinimum(*validator)),
                (u128::from(*commission_bps) <= BPS, GenesisError::StakeCommission(*validator)),
            ];
            problems.extend(rules.into_iter().filter(|(holds, _)| !holds).map(|(_, error)| error));
        }
        let weights = self.stake_weights();
        for Validator { public_key, weight } in &self.validators {
            problems.extend(match weights.get(public_key) {
                Some(expected) if expected != weight => Some(GenesisError::StakeWeight(*public_key, *expected)),
                Some(_) => None,
                None => Some(GenesisError::StakeMissing(*public_key)),
            });
        }
    }

    fn asset_problems(&self, problems: &mut Vec<GenesisError>) {
        let mut symbols = BTreeSet::new();
        for ((id, asset), sum) in self.numbered_assets().zip(self.supplies()) {
            let (units, max) = (asset.units_per_token.get(), asset.max_supply);
            let rules = [
                (money::is_symbol(&asset.symbol), GenesisError::Symbol(id)),
                (symbols.insert(&asset.symbol), GenesisError::SymbolTwice(id)),
                ((1..=MAX_UNITS_PER_TOKEN).contains(&units), GenesisError::UnitsPerToken(id)),
                (!max.is_zero() && max <= Amount::MAX_SUPPLY, GenesisError::MaxSupply(id)),
                (asset.minter.as_ref().is_none_or(can_sign), GenesisError::Minter(id)),
                (sum <= max, GenesisError::Supply { asset: id, sum, max }),
            ];
            problems.extend(rules.into_iter().filter(|(holds, _)| !holds).map(|(_, error)| error));
        }
    }

    fn balance_problems(&self, problems: &mut Vec<GenesisError>) {
        let mut before = None;
        for GenesisBalance { address, asset, amount } in &self.balances {
            let place = (*address, *asset);
            let rules = [
                (
                    before.replace(place).is_none_or(|before| before < place),
                    GenesisError::BalanceOrder(*address, *asset),
                ),
                (!amount.is_zero(), GenesisError::BalanceZero(*address, *asset)),
                (self.asset(*asset).is_some(), GenesisError::BalanceAsset(*address, *asset)),
                (can_sign(address), GenesisError::BalanceAccount(*address, *asset)),
            ];
            problems.extend(rules.into_iter().filter(|(holds, _)| !holds).map(|(_, error)| error));
        }
    }

    /// The state the chain starts with, and block 0's header. Block 0 has no transactions, no
    /// parent, no proposer and no certificate: its hash follows from the chain id's bytes.
    pub fn build(&self) -> Result<(Tree, Header), GenesisError> {
        self.check()?;
        let chain = self.chain_id();
        let mut tree = Tree::new(&chain.0);
        let mut overlay = Overlay::new(&tree);
        self.write(&mut overlay)?;
        let delta = tree.preview(overlay.into_changes());
        tree.commit(delta).map_err(|e| Fault::new(format!("the state of block 0: {e}")))?;
        let validators_hash = self.validator_set()?.hash(&chain);
        let header = Header {
            version: BLOCK_VERSION,
            chain_id: chain,
            height: Height::ZERO,
            view: View::ZERO,
            parent: BlockId(Hash::ZERO),
            timestamp_ms: self.genesis_time,
            proposer: PublicKey([0; 32]),
            tx_root: tx_root(&chain, &[]),
            outcome_root: outcome_root(&chain, &[]),
            state_root: tree.root(),
            validators_hash,
            next_validators_hash: validators_hash,
        };
        Ok((tree, header))
    }

    fn write(&self, overlay: &mut Overlay<'_>) -> Result<(), Fault> {
        PARAMS.put(overlay, &(), &self.params);
        protocol::found(overlay, self.quorum_rule, &self.roles);
        market::found(overlay, self.stake_asset, self.genesis_time);
        validators::found(overlay, &self.validators)?;
        for (asset, minted) in self.assets.iter().zip(self.supplies()) {
            let GenesisAsset { symbol, units_per_token, max_supply, minter } = asset.clone();
            let asset = Asset { symbol, units_per_token, max_supply, minter, minted, burned: Amount::ZERO };
            money::register(overlay, &asset)?;
        }
        if self.mode != ConsensusMode::Poa {
            stakes::found(overlay, (self.mode, self.stake_asset), &self.stakes)?;
        }
        for GenesisBalance { address, asset, amount } in &self.balances {
            money::give(overlay, address, *asset, *amount)?;
        }
        Ok(())
    }
}

/// Whether somebody may hold a key for this address: not the protocol's own, not the zero address
/// (a key of small order, under which no signature is valid).
fn can_sign(address: &Address) -> bool {
    !address.is_module() && *address != Address::default()
}
