//! The human form of a chain spec, in TOML or JSON. Reading is strict about the shape (unknown or
//! repeated fields are refused); what the texts say is judged by `compile`.
//!
//! Not here: what makes a spec right (`compile`).

use crate::text::Scalar;
use chain_core::genesis::ConsensusMode;
use chain_core::limits::MAX_GENESIS_BYTES;
use chain_core::types::QuorumRule;
use rand::TryRng as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Longest text of a spec, in bytes: the human form of a balance is up to four times as long as
/// the canonical one.
pub const MAX_SPEC_BYTES: usize = 4 * MAX_GENESIS_BYTES;
/// Stands in place of a salt until the chain is created.
pub const RANDOM_SALT: &str = "random";

/// What a chain starts from, as people write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// What people call the chain.
    pub name: String,
    /// When height 1 starts: RFC 3339 (`2026-01-31T12:00:00Z`) or ms since the Unix epoch.
    pub genesis_time: Scalar,
    /// `0x` and 64 hex digits, drawn once per chain; `random` or nothing before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Which faults the chain tolerates: `byzantine` or `crash`.
    #[serde(default)]
    pub quorum_rule: QuorumRule,
    /// Who may become a validator: `poa`, `pos` or `hybrid`.
    #[serde(default)]
    pub consensus_mode: ConsensusMode,
    /// The symbol of the asset that bonds and stakes are made of.
    pub stake_asset: String,
    /// Parameters by name; those not named have their defaults.
    #[serde(default)]
    pub params: ParamTable,
    /// The accounts that have a role.
    #[serde(default)]
    pub roles: RoleSpec,
    /// Assets in the order of their numbers; the first is the one fees are paid in.
    pub assets: Vec<AssetSpec>,
    /// Who signs the first blocks, in any order; in mode `poa` the first authorities.
    pub validators: Vec<ValidatorSpec>,
    /// Who owns what, in any order.
    #[serde(default)]
    pub balances: Vec<BalanceSpec>,
}

/// The accounts that have a role from the start, each an address; without one nobody has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// Models and their rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curator: Option<String>,
    /// Slashing of providers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slasher: Option<String>,
    /// The treasury.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treasurer: Option<String>,
}

/// An asset that exists from the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetSpec {
    /// 2 to 12 capital letters and digits, a letter first.
    pub symbol: String,
    /// Base units in one token.
    pub units_per_token: Scalar,
    /// The most that may exist: an amount (`1000AIT`) or a plain number of base units.
    pub max_supply: Scalar,
    /// The address that may create more; without one nobody can, ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minter: Option<String>,
}

/// One of the first validators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSpec {
    /// For people only; not part of the chain id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `0x` and 64 hex digits.
    pub public_key: String,
    /// Voting weight, 1 if not given. In modes `pos` and `hybrid` it follows from the stakes: leave it out.
    #[serde(default = "one")]
    pub weight: Scalar,
    /// In modes `pos` and `hybrid` what it has bonded, created with the chain: `5000STK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stake: Option<String>,
    /// In modes `pos` and `hybrid` its commission in basis points, 0 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission_bps: Option<u16>,
}

/// What an account owns from the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceSpec {
    /// Whose: `ait1…`.
    pub address: String,
    /// How much: `5000AIT`; base units are written over the units per token: `18000/3600AIT`.
    pub amounts: Vec<String>,
}

/// Parameters by name, each at most once. Times may be written as `2s` or `250ms`; amounts are
/// base units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ParamTable(pub BTreeMap<String, serde_json::Value>);

/// How a spec is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// Why a text is not even the shape of a spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file can't be read.
    #[error("{0}: {1}")]
    Read(PathBuf, io::Error),
    /// Too long to be one.
    #[error("a chain spec has at most {MAX_SPEC_BYTES} bytes, this has {0}")]
    TooLong(u64),
    /// Not JSON, or a wrong field.
    #[error("the chain spec (JSON): {0}")]
    Json(#[from] serde_json::Error),
    /// Not TOML, or a wrong field.
    #[error("the chain spec (TOML): {0}")]
    Toml(#[from] toml::de::Error),
    /// The system gives no random bytes.
    #[error("no random bytes for the salt: {0}")]
    Random(String),
}

impl Format {
    /// By the file's extension, otherwise by how the text begins.
    pub fn of(path: &Path, text: &str) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Self::Json,
            Some("toml") => Self::Toml,
            _ => Self::of_text(text),
        }
    }

    /// JSON starts with a brace, which no TOML does.
    pub fn of_text(text: &str) -> Self {
        if text.trim_start().starts_with('{') { Self::Json } else { Self::Toml }
    }
}

impl ChainSpec {
    /// Reads a file; by its extension, or by its content if that says nothing.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let failed = |error| SpecError::Read(path.to_path_buf(), error);
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_SPEC_BYTES as u64 {
            return Err(SpecError::TooLong(bytes));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text, Format::of(path, &text))
    }

    /// Reads a text.
    pub fn parse(text: &str, format: Format) -> Result<Self, SpecError> {
        if text.len() > MAX_SPEC_BYTES {
            return Err(SpecError::TooLong(text.len() as u64));
        }
        match format {
            Format::Json => Ok(serde_json::from_str(text)?),
            Format::Toml => Ok(toml::from_str(text)?),
        }
    }

    /// The spec as JSON, the same text every time, with a line break at its end.
    pub fn to_json(&self) -> Result<String, SpecError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// At the creation of a chain only: draws the salt if there is none yet. Whoever calls this
    /// keeps the spec as it is afterwards, for that is the chain.
    pub fn draw_salt(&mut self) -> Result<(), SpecError> {
        if self.salt.as_deref().is_none_or(|salt| salt == RANDOM_SALT) {
            let mut salt = [0; 32];
            rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(|e| SpecError::Random(e.to_string()))?;
            self.salt = Some(format!("0x{}", hex::encode(salt)));
        }
        Ok(())
    }
}

fn one() -> Scalar {
    Scalar::Number(1)
}

impl<'de> Deserialize<'de> for ParamTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParamVisitor)
    }
}

/// A map as it is, but for names that come twice: JSON would silently keep the last.
struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = ParamTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParamTable, A::Error> {
        let mut params = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            if params.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the parameter {name} is given twice")));
            }
            params.insert(name, value);
        }
        Ok(ParamTable(params))
    }
}
