//! Canonical bytes: borsh with bounds. A value has exactly one encoding, a decoder reads it
//! whole or refuses, and nothing is allocated that the input's length does not pay for.
//!
//! Not here: JSON (serde derives on the types themselves, views in chain-rpc).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use borsh::{BorshDeserialize, BorshSerialize};
use std::io::{self, Read, Write};

/// Why bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes, or items of a list, than a value of this kind may have.
    #[error("length {got}, at most {max} allowed")]
    TooLong {
        /// The bound.
        max: usize,
        /// The length of the input.
        got: usize,
    },
    /// The value ended and bytes were left.
    #[error("bytes left over after the value")]
    TrailingBytes,
    /// A number that names no action this version knows.
    #[error("unknown action number {0}")]
    UnknownAction(u16),
    /// Not an encoding of the value; the text says where it stopped making sense.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// The one encoding of `value`.
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the one encoding of `value`.
pub fn encode_into<T: BorshSerialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    // Writing to a Vec can't fail, and no type of ours refuses to be encoded.
    let written = value.serialize(bytes);
    debug_assert!(written.is_ok());
}

/// Reads one value that fills `bytes` entirely.
pub fn decode<T: BorshDeserialize>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { max, got: bytes.len() });
    }
    let mut rest = bytes;
    let value = T::deserialize(&mut rest).map_err(explain)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes) }
}

/// Reads one value from the front of `bytes` and moves on.
pub fn decode_next<T: BorshDeserialize>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    T::deserialize(bytes).map_err(explain)
}

/// Wraps a decode error for use inside a `BorshDeserialize` implementation.
pub fn refuse(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn explain(error: io::Error) -> DecodeError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<DecodeError>()) {
        Some(own) => own.clone(),
        None => DecodeError::Malformed(error.to_string()),
    }
}

/// A list of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes a list that is short enough.
    pub fn new(items: Vec<T>) -> Result<Self, DecodeError> {
        if items.len() > MAX {
            return Err(DecodeError::TooLong { max: MAX, got: items.len() });
        }
        Ok(Self(items))
    }

    /// The items.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for List<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for List<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let len = read_len(reader, MAX)?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(T::deserialize_reader(reader)?);
        }
        Ok(Self(items))
    }
}

impl<'de, T: serde::Deserialize<'de>, const MAX: usize> serde::Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(serde::Deserialize::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A UTF-8 text of at most `MAX` bytes without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes a text that is short enough and printable.
    pub fn new(text: impl Into<String>) -> Result<Self, DecodeError> {
        let text = text.into();
        if text.len() > MAX {
            return Err(DecodeError::TooLong { max: MAX, got: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(DecodeError::Malformed("control character in a text".into()));
        }
        Ok(Self(text))
    }
}

impl<const MAX: usize> std::ops::Deref for Text<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> BorshSerialize for Text<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.serialize(writer)
    }
}

impl<const MAX: usize> BorshDeserialize for Text<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let mut bytes = vec![0; read_len(reader, MAX)?];
        reader.read_exact(&mut bytes)?;
        let text =
            String::from_utf8(bytes).map_err(|_| refuse(DecodeError::Malformed("a text that is not UTF-8".into())))?;
        Self::new(text).map_err(refuse)
    }
}

impl<'de, const MAX: usize> serde::Deserialize<'de> for Text<MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<String as serde::Deserialize>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn read_len<R: Read>(reader: &mut R, max: usize) -> io::Result<usize> {
    let len = u32::deserialize_reader(reader)? as usize;
    if len > max {
        return Err(refuse(DecodeError::TooLong { max, got: len }));
    }
    Ok(len)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    type Short = List<u16, 3>;

    #[test]
    fn a_value_has_one_encoding_and_is_read_whole() {
        let list = Short::new(vec![1, 2, 3]).unwrap();
        let bytes = encode(&list);
        assert_eq!(decode::<Short>(&bytes, 64).unwrap(), list);
        assert_eq!(decode::<Short>(&bytes, 4), Err(DecodeError::TooLong { max: 4, got: 10 }));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode::<Short>(&longer, 64), Err(DecodeError::TrailingBytes));
        for cut in 0..bytes.len() {
            assert!(decode::<Short>(&bytes[..cut], 64).is_err());
        }
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_anything_is_read() {
        let bytes = encode(&vec![0u16; 4]);
        assert_eq!(decode::<Short>(&bytes, 64), Err(DecodeError::TooLong { max: 3, got: 4 }));
        let huge = u32::MAX.to_le_bytes();
        assert!(matches!(decode::<Short>(&huge, 64), Err(DecodeError::TooLong { .. })));
    }

    #[test]
    fn texts_are_bounded_printable_utf8() {
        assert!(Text::<4>::new("abcd").is_ok());
        assert!(Text::<4>::new("abcde").is_err());
        assert!(Text::<4>::new("a\n").is_err());
        let not_utf8 = encode(&vec![0xffu8, 0xfe]);
        assert!(matches!(decode::<Text<4>>(&not_utf8, 64), Err(DecodeError::Malformed(_))));
    }
}
