//! JSON receipts of version 1, read only: whether their signatures hold. They have no place on the chain beyond their
//! hash in an anchor.
//!
//! A receipt of version 1 is a JSON object with a `signature` {`alg`, `key_id`, `sig`}, and perhaps `attestations`, a
//! list of more of these. `alg` is `Ed25519`, `key_id` the public key, `sig` the signature, both in base64url without
//! padding. What is signed by all of them is the object without these two fields, written as version 1's signer did:
//!
//! 1. Fields and items of lists that are `null` are left out, at any depth.
//! 2. Fields are sorted by their names, code point by code point; nothing stands between tokens.
//! 3. Texts are ASCII: `"` and `\` after a `\`; `\b \f \n \r \t`; everything else outside space to `~` as `\uxxxx` in
//!    lower case, beyond U+FFFF as a surrogate pair.
//! 4. Numbers:
//!    - without point and exponent: integers of at most [`MAX_DIGITS`] digits, as they are (`-0` is `0`);
//!    - all others: the nearest double, in the fewest digits that name it, with `.0` if it is whole, and as `1e-05`,
//!      `1.5e+16` if it is below 10^-4 or from 10^16 on. So `1`, `1.0` and `10e-1` are numbers one can write, the
//!      latter two are the same, and the first is another one.
//!
//! Refused, where readers of version 1 differ or signers could not have written it: a field twice, numbers beyond the
//! doubles, NaN and Infinity, half a surrogate pair, more than [`MAX_BYTES`] or [`MAX_DEPTH`], anything after the
//! object, padding or other letters in base64url. Keys and signatures are judged as everywhere on this chain
//! (`chain_core::crypto::signature`): crafted ones that other libraries accept, such as keys of small order, may not
//! hold here.
//!
//! Not here: what a receipt claims, and whose keys these are.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chain_core::crypto::{PublicKey, Signature, SignatureError, verify_one};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Longest receipt, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Lists and objects in each other, at most.
pub const MAX_DEPTH: usize = 32;
/// Digits of an integer, at most.
pub const MAX_DIGITS: usize = 100;
/// Signatures of a receipt, at most.
pub const MAX_ATTESTATIONS: usize = 64;

/// Why a receipt of version 1 does not hold.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// Too long.
    #[error("{0} bytes are too long, at most {MAX_BYTES}")]
    TooLong(usize),
    /// Too deep.
    #[error("lists and objects stand in each other more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Not JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that signers of version 1 could not have written.
    #[error("the number {0} can't be meant")]
    Number(String),
    /// There is no signature.
    #[error("there is no signature")]
    Unsigned,
    /// More attestations than one can mean.
    #[error("{0} attestations, at most {MAX_ATTESTATIONS}")]
    TooMany(usize),
    /// A signature is not written as one.
    #[error("{place}: {why}")]
    Form {
        /// `signature` or `attestation n`, from 1.
        place: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A signature does not hold.
    #[error("{place} of {key}: {why}")]
    Signature {
        /// As above.
        place: String,
        /// Whose it should be.
        key: PublicKey,
        /// Why not.
        why: SignatureError,
    },
}

/// A receipt of version 1 whose signatures all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who signed it.
    pub key: PublicKey,
    /// Who else attested it.
    pub attested_by: Vec<PublicKey>,
    /// What they all signed: ASCII.
    pub signed: String,
}

/// One value of JSON, whose form is looked at later.
type Raw<'t> = &'t RawValue;

/// An object, whose fields are all different.
struct Object<'t>(BTreeMap<String, Raw<'t>>);

#[derive(Deserialize)]
struct Signed {
    alg: String,
    key_id: String,
    sig: String,
}

/// Checks a receipt's signature and all its attestations.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(text: &[u8]) -> Result<Verified, LegacyError> {
    if text.len() > MAX_BYTES {
        return Err(LegacyError::TooLong(text.len()));
    }
    let Object(mut fields) = serde_json::from_slice(text)?;
    let signature = fields.remove("signature").filter(|raw| raw.get() != "null").ok_or(LegacyError::Unsigned)?;
    let attestations: Vec<Raw<'_>> = match fields.remove("attestations") {
        Some(raw) => serde_json::from_str::<Option<_>>(raw.get())?.unwrap_or_default(),
        None => Vec::new(),
    };
    if attestations.len() > MAX_ATTESTATIONS {
        return Err(LegacyError::TooMany(attestations.len()));
    }
    let mut signed = String::new();
    write_object(&fields, 1, &mut signed)?;
    let key = check("signature".into(), signature, &signed)?;
    let attested = attestations.iter().zip(1..).map(|(raw, n)| check(format!("attestation {n}"), raw, &signed));
    Ok(Verified { key, attested_by: attested.collect::<Result<_, _>>()?, signed })
}

fn check(place: String, raw: Raw<'_>, signed: &str) -> Result<PublicKey, LegacyError> {
    let Signed { alg, key_id, sig } = serde_json::from_str(raw.get())?;
    if alg != "Ed25519" {
        return Err(LegacyError::Form { place, why: "the algorithm is not Ed25519" });
    }
    let key = bytes(&key_id).map(PublicKey);
    let signature = bytes(&sig).map(Signature);
    let (Some(key), Some(signature)) = (key, signature) else {
        return Err(LegacyError::Form { place, why: "key or signature are not 32 and 64 bytes in base64url" });
    };
    match verify_one(&key, signed.as_bytes(), &signature) {
        Ok(()) => Ok(key),
        Err(why) => Err(LegacyError::Signature { place, key, why }),
    }
}

/// The bytes of a text in base64url without padding, if they are as many.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

impl<'de: 't, 't> Deserialize<'de> for Object<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = BTreeMap<String, Raw<'de>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Raw<'de>>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("the field {name:?} is there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Self)
    }
}

/// Rules 1 to 4. The work is at most the depth times the length.
fn write(raw: Raw<'_>, depth: usize, out: &mut String) -> Result<(), LegacyError> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => write_object(&serde_json::from_str::<Object<'_>>(text)?.0, depth.saturating_add(1), out),
        Some(b'[') => write_list(&serde_json::from_str::<Vec<Raw<'_>>>(text)?, depth.saturating_add(1), out),
        Some(b'"') => {
            write_text(&serde_json::from_str::<String>(text)?, out);
            Ok(())
        }
        Some(b't' | b'f') => {
            out.push_str(text);
            Ok(())
        }
        _ => write_number(text, out),
    }
}

fn write_object(fields: &BTreeMap<String, Raw<'_>>, depth: usize, out: &mut String) -> Result<(), LegacyError> {
    check_depth(depth)?;
    out.push('{');
    let mut between = "";
    // Texts compare by their UTF-8 bytes, which is by code points.
    for (name, value) in fields.iter().filter(|(_, value)| value.get() != "null") {
        out.push_str(between);
        between = ",";
        write_text(name, out);
        out.push(':');
        write(value, depth, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_list(items: &[Raw<'_>], depth: usize, out: &mut String) -> Result<(), LegacyError> {
    check_depth(depth)?;
    out.push('[');
    let mut between = "";
    for item in items.iter().filter(|item| item.get() != "null") {
        out.push_str(between);
        between = ",";
        write(item, depth, out)?;
    }
    out.push(']');
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), LegacyError> {
    if depth > MAX_DEPTH { Err(LegacyError::TooDeep) } else { Ok(()) }
}

/// Rule 3.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            _ => {
                let mut halves = [0; 2];
                for half in c.encode_utf16(&mut halves) {
                    out.push_str(&format!("\\u{half:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// Rule 4.
fn write_number(text: &str, out: &mut String) -> Result<(), LegacyError> {
    let refused = || LegacyError::Number(text.chars().take(MAX_DIGITS).collect());
    if text.bytes().any(|c| matches!(c, b'.' | b'e' | b'E')) {
        let double: f64 = text.parse().map_err(|_| refused())?;
        if !double.is_finite() {
            return Err(refused());
        }
        out.push_str(&double_text(double).ok_or_else(refused)?);
        return Ok(());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > MAX_DIGITS || digits.bytes().any(|c| !c.is_ascii_digit()) {
        return Err(refused());
    }
    out.push_str(if digits == "0" { digits } else { text });
    Ok(())
}

/// A finite double in the fewest digits.
fn double_text(double: f64) -> Option<String> {
    // `-d.ddde-x`, in the fewest digits.
    let scientific = format!("{double:e}");
    let (digits, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if (-4..16).contains(&exponent) {
        // Fewest digits too, without an exponent.
        let plain = format!("{double}");
        return Some(if plain.contains('.') { plain } else { plain + ".0" });
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.unsigned_abs()))
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
