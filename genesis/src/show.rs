//! From the canonical form back to the human one: what a node shows of its genesis.
//!
//! Not here: names of validators, which the canonical form doesn't hold.

use crate::spec::{AssetSpec, BalanceSpec, ChainSpec, ParamTable, RoleSpec, ValidatorSpec};
use crate::text::{Scalar, format_time};
use chain_core::fault::Fault;
use chain_core::genesis::{Genesis, GenesisAsset, GenesisBalance, GenesisError};
use chain_core::state::{Params, Role, Roles};
use chain_core::types::{Token, Validator};
use serde_json::Value;

impl ChainSpec {
    /// The human form of a genesis. It compiles to the same chain id.
    ///
    /// # Errors
    ///
    /// If the genesis breaks a rule, so that it has no human form.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        genesis.check()?;
        let tokens: Vec<Token> = genesis.assets.iter().map(token).collect();
        let stake_asset = tokens.get(genesis.stake_asset.get() as usize);
        Ok(Self {
            name: genesis.name.to_string(),
            genesis_time: Scalar::Text(format_time(genesis.genesis_time)),
            salt: Some(salt_text(&genesis.salt)),
            quorum_rule: genesis.quorum_rule,
            consensus_mode: genesis.mode,
            stake_asset: stake_asset.map(|token| token.symbol.clone()).unwrap_or_default(),
            params: show_params(&genesis.params)?,
            roles: show_roles(&genesis.roles),
            assets: genesis.assets.iter().zip(&tokens).map(|(asset, token)| show_asset(asset, token)).collect(),
            validators: genesis.validators.iter().map(|member| show_validator(genesis, member, stake_asset)).collect(),
            balances: show_balances(&genesis.balances, &tokens),
        })
    }
}

/// How a salt is written.
pub(crate) fn salt_text(salt: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(salt))
}

/// Every parameter by name, also those that have their defaults.
pub(crate) fn show_params(params: &Params) -> Result<ParamTable, Fault> {
    match serde_json::to_value(params) {
        Ok(Value::Object(map)) => Ok(ParamTable(map.into_iter().collect())),
        _ => Err(Fault::new("the parameters have no JSON form")),
    }
}

fn show_roles(roles: &Roles) -> RoleSpec {
    let text = |role: Role| roles.get(role).map(|account| account.to_string());
    RoleSpec { curator: text(Role::Curator), slasher: text(Role::Slasher), treasurer: text(Role::Treasurer) }
}

fn token(asset: &GenesisAsset) -> Token {
    Token { symbol: asset.symbol.to_string(), units_per_token: asset.units_per_token.get() }
}

fn show_asset(asset: &GenesisAsset, token: &Token) -> AssetSpec {
    AssetSpec {
        symbol: token.symbol.clone(),
        units_per_token: Scalar::Text(asset.units_per_token.to_string()),
        max_supply: Scalar::Text(token.format(asset.max_supply)),
        minter: asset.minter.map(|minter| minter.to_string()),
    }
}

fn show_validator(genesis: &Genesis, validator: &Validator, token: Option<&Token>) -> ValidatorSpec {
    let (public_key, weight) = (validator.public_key.to_string(), Scalar::Text(validator.weight.to_string()));
    let stake = genesis.stakes.iter().find(|stake| stake.validator == validator.public_key);
    ValidatorSpec {
        name: None,
        public_key,
        weight,
        stake: stake.zip(token).map(|(stake, token)| token.format(stake.amount)),
        commission_bps: stake.map(|stake| stake.commission_bps),
    }
}

/// One entry per account; canonical balances stand together by account.
fn show_balances(balances: &[GenesisBalance], tokens: &[Token]) -> Vec<BalanceSpec> {
    let accounts = balances.chunk_by(|a, b| a.address == b.address);
    let amount = |balance: &GenesisBalance| {
        let token = tokens.get(balance.asset.get() as usize);
        token.map(|token| token.format(balance.amount))
    };
    let entry = |account: &[GenesisBalance]| {
        let address = account.first()?.address.to_string();
        Some(BalanceSpec { address, amounts: account.iter().filter_map(amount).collect() })
    };
    accounts.filter_map(entry).collect()
}
