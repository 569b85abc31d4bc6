//! Numbers, times, bytes and references as JSON texts, and the schemas of texts whose Rust types
//! live in chain-core.

use chain_core::types::{BlockId, Height, TimestampMs};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A 64-bit number: written as a decimal string, read from one or from a plain integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct U64(pub u64);

impl Serialize for U64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for U64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Height reads exactly this form.
        Height::deserialize(deserializer).map(|height| Self(height.get()))
    }
}

/// Reads hex with or without `0x`, in either case: what answers write has one form, what people
/// and other languages' libraries produce has several.
pub(crate) fn any_hex<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    parse_hex(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// As `any_hex`, for what may be absent.
pub(crate) fn optional_hex<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_hex(&text).map_err(serde::de::Error::custom)).transpose()
}

/// A text that may look like a number: in a query there is no telling them apart.
pub(crate) fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<serde_json::Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => Ok(Some(value.to_string())),
        Some(_) => Err(serde::de::Error::custom("expected a text")),
    }
}

fn parse_hex<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Result<T, T::Err> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    format!("0x{}", digits.to_ascii_lowercase()).parse()
}

/// Declares the schema of a text.
macro_rules! text_schema {
    ($($(#[$doc:meta])* $name:ident = $schema:tt;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

text_schema! {
    /// A decimal string; a plain integer is read as well.
    Decimal = {
        "type": "string", "pattern": "^(0|[1-9][0-9]*)$",
        "description": "A decimal number as a string; integers are read as well."
    };
    /// 32 bytes.
    Hex32 = { "type": "string", "pattern": "^0x[0-9a-f]{64}$", "description": "32 bytes in lower-case hex." };
    /// Bytes of any length.
    HexText = { "type": "string", "pattern": "^0x([0-9a-f]{2})*$", "description": "Bytes in lower-case hex." };
    /// A signature.
    Hex64 = { "type": "string", "pattern": "^0x[0-9a-f]{128}$", "description": "64 bytes in lower-case hex." };
    /// An account.
    AddressText = { "type": "string", "pattern": "^ait1[02-9ac-hj-np-z]+$", "description": "A bech32m address." };
    /// A number below 2^32.
    Number32 = { "type": "integer", "minimum": 0, "maximum": 4294967295u32 };
    /// Some object of the protocol, in the form get_schema describes.
    Object = { "type": "object" };
    /// A list of actions.
    Actions = {
        "type": "array", "minItems": 1, "maxItems": 16,
        "items": { "type": "object", "required": ["type"], "properties": { "type": { "type": "string" } } },
        "description": "What the transaction does; get_schema lists every action with an example."
    };
}

impl JsonSchema for U64 {
    fn schema_name() -> Cow<'static, str> {
        Decimal::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Decimal::json_schema(generator)
    }
}

/// Bytes: written as `0x` and lower-case hex, read from hex with or without `0x` or from base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use base64::Engine;
        // Base64 of a transaction that happens to be hex digits only does not occur: it is too long.
        let bare_hex = !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = text.strip_prefix("0x").or(bare_hex.then_some(text));
        match digits {
            Some(digits) => hex::decode(digits).map(Self).map_err(|e| format!("bad hex: {e}")),
            None => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(Self)
                .map_err(|e| format!("neither 0x and hex nor base64: {e}")),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Bytes as 0x and hex; base64 is read as well." })
    }
}

/// Many bytes: written and read as base64 with padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine;
        let text = String::deserialize(deserializer)?;
        base64::engine::general_purpose::STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Base64 {
    fn schema_name() -> Cow<'static, str> {
        "Base64".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Bytes as base64 with padding." })
    }
}

/// A block by height, by hash, or the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockRef {
    /// The newest final block.
    #[default]
    Latest,
    /// By height.
    Height(Height),
    /// By hash.
    Id(BlockId),
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Height(height) => height.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl Serialize for BlockRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let expected = || D::Error::custom("a block is a height, a 0x… hash or \"latest\"");
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) if text == "latest" => Ok(Self::Latest),
            serde_json::Value::String(text) if text.starts_with("0x") => {
                text.parse().map(Self::Id).map_err(|e| D::Error::custom(format_args!("{e}")))
            }
            other => serde_json::from_value(other).map(Self::Height).map_err(|_| expected()),
        }
    }
}

impl JsonSchema for BlockRef {
    fn schema_name() -> Cow<'static, str> {
        "BlockRef".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^(latest|0|[1-9][0-9]*|0x[0-9a-f]{64})$",
            "description": "A height, a block hash, or \"latest\"."
        })
    }
}

/// A time in RFC 3339, UTC, with milliseconds.
pub fn rfc3339(time: TimestampMs) -> String {
    let (seconds, ms) = (time.get() / 1000, time.get() % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970-01-01: Howard Hinnant's `civil_from_days` for days from 1970 on.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(TimestampMs::new(ms)), text);
        }
    }

    #[test]
    fn blocks_are_named_in_three_ways() {
        let read = |json: &str| serde_json::from_str::<BlockRef>(json);
        assert_eq!(read("\"latest\"").unwrap(), BlockRef::Latest);
        assert_eq!(read("7").unwrap(), BlockRef::Height(Height::new(7)));
        assert_eq!(read("\"7\"").unwrap(), BlockRef::Height(Height::new(7)));
        let id = BlockId(chain_core::crypto::Hash([9; 32]));
        assert_eq!(read(&format!("\"{id}\"")).unwrap(), BlockRef::Id(id));
        for bad in ["\"0x12\"", "\"newest\"", "-1", "1.5", "null", "[]", "\"07\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_are_read_from_hex_and_base64_and_written_as_hex() {
        for text in ["0x01ff", "Af8="] {
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes(vec![1, 255]));
        }
        assert_eq!(Bytes(vec![1, 255]).to_string(), "0x01ff");
        assert!("0x1".parse::<Bytes>().is_err());
        assert!("%".parse::<Bytes>().is_err());
    }
}
