//! From the human form to the canonical one. First every text is read and everything unreadable is
//! collected; then the rules of the canonical form are asked, and what they find gets the path of
//! the field it is about.
//!
//! Not here: those rules (`chain_core::genesis`).

use crate::spec::{AssetSpec, ChainSpec, ParamTable, RANDOM_SALT, RoleSpec};
use crate::text::{Scalar, parse_duration_ms, parse_duration_s, parse_time};
use chain_core::codec::Text;
use chain_core::crypto::{Hash, PublicKey};
use chain_core::genesis::{
    ConsensusMode, FirstStake, GENESIS_VERSION, Genesis, GenesisAsset, GenesisBalance, GenesisError,
};
use chain_core::limits::{MAX_NAME_BYTES, MAX_UNITS_PER_TOKEN};
use chain_core::state::{Params, Role, Roles, Symbol, money};
use chain_core::types::{Address, Amount, AssetId, Token, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// What is wrong with a spec, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The field, such as `balances[3].amounts[0]`; empty if it is about the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl ChainSpec {
    /// The canonical genesis, or everything that is wrong.
    pub fn compile(&self) -> Result<Genesis, Vec<Problem>> {
        let mut reader = Reader::default();
        let mut genesis = reader.genesis(self);
        derive_weights(&mut genesis);
        if reader.problems.is_empty() {
            let errors = genesis.problems().into_iter();
            reader.problems = errors.map(|error| reader.locate(error)).collect();
        }
        if reader.problems.is_empty() { Ok(genesis) } else { Err(reader.problems) }
    }
}

/// Reads a spec's texts. What can't be read becomes a problem, and a default in its place that
/// never leaves `compile`.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    tokens: Vec<Token>,
    /// Where in the spec a balance stands: entry and amount.
    places: BTreeMap<(Address, AssetId), (usize, usize)>,
    /// Where in the spec a validator with a stake stands.
    members: BTreeMap<PublicKey, usize>,
}

impl Reader {
    fn genesis(&mut self, spec: &ChainSpec) -> Genesis {
        Genesis {
            version: GENESIS_VERSION,
            name: self.keep("name", Text::new(&*spec.name)).unwrap_or_default(),
            genesis_time: self.keep("genesis_time", parse_time(&spec.genesis_time)).unwrap_or_default(),
            salt: self.keep("salt", read_salt(spec.salt.as_deref())).unwrap_or_default(),
            quorum_rule: spec.quorum_rule,
            mode: spec.consensus_mode,
            params: self.params(&spec.params),
            assets: spec.assets.iter().enumerate().map(|(i, asset)| self.asset(i, asset)).collect(),
            stake_asset: {
                // After the assets: fields are evaluated in the order they stand here.
                let found = self.asset_of(&spec.stake_asset).map(|(id, _)| id);
                self.keep("stake_asset", found).unwrap_or_default()
            },
            roles: self.roles(&spec.roles),
            validators: self.validators(spec),
            stakes: self.stakes(spec),
            balances: self.balances(spec),
        }
    }

    /// The path of a validator's field; of one without a stake that of all.
    fn member(&self, key: &PublicKey, field: &str) -> String {
        self.members.get(key).map_or("validators".into(), |i| format!("validators[{i}].{field}"))
    }

    fn keep<T>(&mut self, path: impl Display, read: Result<T, impl Display>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.push(Problem { path: path.to_string(), message: message.to_string() });
                None
            }
        }
    }

    /// Each parameter is read by itself, so that one that is wrong doesn't hide the others.
    fn params(&mut self, table: &ParamTable) -> Params {
        let mut readable = serde_json::Map::new();
        for (name, value) in &table.0 {
            let path = format!("params.{name}");
            let Some(value) = self.keep(&path, param_value(name, value)) else { continue };
            let alone = Value::Object([(name.clone(), value.clone())].into_iter().collect());
            if self.keep(&path, serde_json::from_value::<Params>(alone)).is_some() {
                readable.insert(name.clone(), value);
            }
        }
        self.keep("params", serde_json::from_value(Value::Object(readable))).unwrap_or_default()
    }

    fn roles(&mut self, spec: &RoleSpec) -> Roles {
        let mut read = |role: Role, text: &Option<String>| {
            text.as_ref().and_then(|text| self.keep(format_args!("roles.{role}"), text.parse::<Address>()))
        };
        Roles {
            curator: read(Role::Curator, &spec.curator),
            slasher: read(Role::Slasher, &spec.slasher),
            treasurer: read(Role::Treasurer, &spec.treasurer),
        }
    }

    fn asset(&mut self, index: usize, spec: &AssetSpec) -> GenesisAsset {
        let path = |field: &str| format!("assets[{index}].{field}");
        let symbol = self.keep(path("symbol"), read_symbol(&spec.symbol)).unwrap_or_default();
        // Refused already here, or every amount of the asset would be reported instead.
        let units = read_units_per_token(&spec.units_per_token);
        let units_per_token = self.keep(path("units_per_token"), units).unwrap_or_default();
        let token = Token { symbol: spec.symbol.clone(), units_per_token };
        let max_supply = self.keep(path("max_supply"), read_units(&token, &spec.max_supply)).unwrap_or_default();
        let minter = spec.minter.as_ref().and_then(|text| self.keep(path("minter"), text.parse::<Address>()));
        self.tokens.push(token);
        GenesisAsset { symbol, units_per_token: Amount::new(units_per_token), max_supply, minter }
    }

    fn asset_of(&self, symbol: &str) -> Result<(AssetId, &Token), String> {
        let found = (0u32..).map(AssetId::new).zip(&self.tokens).find(|(_, token)| token.symbol == symbol);
        found.ok_or_else(|| format!("'{symbol}' is not the symbol of one of the assets"))
    }

    fn validators(&mut self, spec: &ChainSpec) -> Vec<Validator> {
        let mut members: BTreeMap<PublicKey, (usize, u64)> = BTreeMap::new();
        for (i, validator) in spec.validators.iter().enumerate() {
            let key_path = format!("validators[{i}].public_key");
            let key = self.keep(&key_path, read_key(&validator.public_key));
            let weight = self.keep(format_args!("validators[{i}].weight"), read_weight(&validator.weight));
            if let Some(name) = &validator.name {
                self.keep(format_args!("validators[{i}].name"), Text::<MAX_NAME_BYTES>::new(name));
            }
            let (Some(key), Some(weight)) = (key, weight) else { continue };
            if let Some((first, _)) = members.get(&key) {
                self.keep::<()>(&key_path, Err(format!("the same key as validators[{first}]")));
                continue;
            }
            members.insert(key, (i, weight));
        }
        members.into_iter().map(|(public_key, (_, weight))| Validator { public_key, weight }).collect()
    }

    /// What validators have bonded, in base units of the stake asset. Keys that are wrong or come twice
    /// are reported as validators' already.
    fn stakes(&mut self, spec: &ChainSpec) -> Vec<FirstStake> {
        let token = self.asset_of(&spec.stake_asset).map(|(_, token)| token.clone()).ok();
        let mut stakes = BTreeMap::new();
        for (i, validator) in spec.validators.iter().enumerate() {
            let (Some(text), Some(token)) = (&validator.stake, &token) else { continue };
            let amount = self.keep(format_args!("validators[{i}].stake"), token.parse(text));
            let (Some(amount), Ok(key)) = (amount, read_key(&validator.public_key)) else { continue };
            let commission_bps = validator.commission_bps.unwrap_or_default();
            stakes.entry(key).or_insert(FirstStake { validator: key, amount, commission_bps });
            self.members.insert(key, i);
        }
        stakes.into_values().collect()
    }

    fn balances(&mut self, spec: &ChainSpec) -> Vec<GenesisBalance> {
        let mut amounts: BTreeMap<(Address, AssetId), Amount> = BTreeMap::new();
        for (i, balance) in spec.balances.iter().enumerate() {
            let address = self.keep(format_args!("balances[{i}].address"), balance.address.parse::<Address>());
            for (j, text) in balance.amounts.iter().enumerate() {
                let path = format!("balances[{i}].amounts[{j}]");
                let read = self.read_amount(text);
                let Some(((asset, amount), address)) = self.keep(&path, read).zip(address) else { continue };
                match self.places.get(&(address, asset)) {
                    Some((i, j)) => {
                        let twice = format!("{address} already has this asset in balances[{i}].amounts[{j}]");
                        self.keep::<()>(&path, Err(twice));
                    }
                    None => {
                        self.places.insert((address, asset), (i, j));
                        amounts.insert((address, asset), amount);
                    }
                }
            }
        }
        let balance = |((address, asset), amount)| GenesisBalance { address, asset, amount };
        amounts.into_iter().map(balance).collect()
    }

    fn read_amount(&self, text: &str) -> Result<(AssetId, Amount), String> {
        // Symbols start with the only capital letter that can stand behind a number.
        let symbol = text.find(|c: char| c.is_ascii_uppercase()).and_then(|at| text.get(at..));
        let symbol = symbol.ok_or_else(|| {
            format!("'{text}' names no asset; write 5AIT, or 18000/3600AIT for a number of base units")
        })?;
        let (id, token) = self.asset_of(symbol)?;
        Ok((id, token.parse(text).map_err(|e| e.to_string())?))
    }

    /// Gives a broken rule of the canonical form the path of the field it is about.
    fn locate(&self, error: GenesisError) -> Problem {
        use GenesisError as E;
        let asset = |id: &AssetId, field: &str| format!("assets[{id}].{field}");
        let balance = |address: &Address, id: &AssetId| self.places.get(&(*address, *id));
        let path = match &error {
            E::NoName => "name".into(),
            E::Time(_) => "genesis_time".into(),
            E::StakeMode => "consensus_mode".into(),
            E::StakeOrder(key) | E::StakeMissing(key) | E::StakeBelowMinimum(key) => self.member(key, "stake"),
            E::StakeCommission(key) => self.member(key, "commission_bps"),
            E::StakeWeight(key, _) => self.member(key, "weight"),
            E::Param(param) => format!("params.{}", param.0.name),
            E::NoAssets => "assets".into(),
            E::Symbol(id) | E::SymbolTwice(id) => asset(id, "symbol"),
            E::UnitsPerToken(id) => asset(id, "units_per_token"),
            E::MaxSupply(id) | E::Supply { asset: id, .. } => asset(id, "max_supply"),
            E::Minter(id) => asset(id, "minter"),
            E::StakeAsset(_) => "stake_asset".into(),
            E::Role(role) => format!("roles.{role}"),
            E::Validators(_) => "validators".into(),
            E::BalanceAccount(address, id) => {
                balance(address, id).map(|(i, _)| format!("balances[{i}].address")).unwrap_or_default()
            }
            E::BalanceZero(address, id) | E::BalanceAsset(address, id) | E::BalanceOrder(address, id) => {
                balance(address, id).map(|(i, j)| format!("balances[{i}].amounts[{j}]")).unwrap_or_default()
            }
            E::Decode(_) | E::Version(_) | E::TooLong(_) | E::Fault(_) => String::new(),
        };
        Problem { path, message: error.to_string() }
    }
}

/// With stake a weight that was not given follows from the stakes.
fn derive_weights(genesis: &mut Genesis) {
    if genesis.mode == ConsensusMode::Poa {
        return;
    }
    let weights = genesis.stake_weights();
    for member in genesis.validators.iter_mut().filter(|member| member.weight == 1) {
        member.weight = weights.get(&member.public_key).copied().unwrap_or(1);
    }
}

fn read_salt(text: Option<&str>) -> Result<[u8; 32], String> {
    match text {
        None | Some(RANDOM_SALT) => Err("must be drawn once, when the chain is created, and written into the spec: \
             the chain id must be the same on every machine"
            .into()),
        Some(text) => text.parse::<Hash>().map(|hash| hash.0).map_err(|e| e.to_string()),
    }
}

/// A time may be written with its unit; its name says which the parameter counts in.
fn param_value(name: &str, value: &Value) -> Result<Value, String> {
    if let Value::Object(part) = value {
        let read = |(name, value): (&String, &Value)| Ok((name.clone(), param_value(name, value)?));
        return part.iter().map(read).collect::<Result<_, String>>().map(Value::Object);
    }
    let Value::String(text) = value else { return Ok(value.clone()) };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(value.clone());
    }
    let number = match name {
        _ if name.ends_with("_ms") => parse_duration_ms(text),
        _ if name.ends_with("_s") => parse_duration_s(text),
        _ => return Ok(value.clone()),
    };
    number.map(Value::from).map_err(|e| e.to_string())
}

fn read_symbol(text: &str) -> Result<Symbol, String> {
    let wrong = || format!("'{text}' is not 2 to 12 capital letters and digits, a letter first");
    if money::is_symbol(text) { Symbol::new(text).map_err(|_| wrong()) } else { Err(wrong()) }
}

fn read_units_per_token(units: &Scalar) -> Result<u128, String> {
    let number = units.integer().filter(|number| (1..=MAX_UNITS_PER_TOKEN).contains(number));
    number.ok_or_else(|| format!("'{units}' is not a whole number from 1 to {MAX_UNITS_PER_TOKEN}"))
}

/// An amount of a known asset: human, or a plain number of base units.
fn read_units(token: &Token, amount: &Scalar) -> Result<Amount, String> {
    match (amount.integer(), amount) {
        (Some(units), _) => Ok(Amount::new(units)),
        (None, Scalar::Text(text)) => token.parse(text).map_err(|e| e.to_string()),
        (None, Scalar::Number(number)) => Ok(Amount::new(u128::from(*number))),
    }
}

fn read_key(text: &str) -> Result<PublicKey, String> {
    let key: PublicKey = text.parse().map_err(|e: chain_core::crypto::HexError| e.to_string())?;
    key.validate().map(|()| key).map_err(|e| e.to_string())
}

fn read_weight(weight: &Scalar) -> Result<u64, String> {
    let number = weight.integer().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| format!("'{weight}' is not a whole number of at least 1"))
}
