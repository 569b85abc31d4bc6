//! Typed tables over byte rows. A family declares `const JOBS: Table<JobId, Job> = Table::new(9)`
//! and reads and writes values; the table number is the first byte of the row's key.
//!
//! Not here: where rows are kept (`tree`), what is written to disk (`ledger`).

use super::overlay::Overlay;
use super::row_key::RowKey;
use super::tree::Tree;
use crate::codec;
use crate::fault::Fault;
use crate::limits::MAX_ROW_VALUE_BYTES;
use crate::types::{
    Address, AssetId, Height, JobId, MarketMs, ModelId, ModelProposalId, ProposalId, ProviderId, StakeId, TimestampMs,
    UnitKind,
};
use borsh::{BorshDeserialize, BorshSerialize};
use std::marker::PhantomData;

/// The version byte every stored value starts with.
const VALUE_VERSION: u8 = 1;

/// A value that can name a row. The bytes of different keys of one table differ, and for numbers
/// their order is the numbers' order (big-endian).
pub trait Key {
    /// Appends the key's bytes, at most 46.
    fn write(&self, bytes: &mut Vec<u8>);
}

/// Something rows can be read from: the committed state or an overlay on it.
pub trait Rows {
    /// The bytes of a row.
    fn row(&self, key: &RowKey) -> Option<&[u8]>;
}

/// A table of rows of one kind.
pub struct Table<K, V> {
    number: u8,
    kind: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: BorshSerialize + BorshDeserialize> Table<K, V> {
    /// Declares a table; its number is frozen and never 0.
    pub const fn new(number: u8) -> Self {
        assert!(number > 0, "table 0 is the tree's sentinel");
        Self { number, kind: PhantomData }
    }

    /// The table's number: the first byte of its rows' keys.
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The key of a row.
    pub fn key(&self, key: &K) -> RowKey {
        let mut bytes = Vec::with_capacity(crate::limits::MAX_ROW_KEY_BYTES);
        bytes.push(self.number);
        key.write(&mut bytes);
        // A table's keys are bounded by their types; see `Key`.
        #[allow(clippy::expect_used)]
        RowKey::new(&bytes).expect("a table's keys are 1 to 46 bytes long")
    }

    /// Reads a row.
    pub fn get(&self, rows: &impl Rows, key: &K) -> Result<Option<V>, Fault> {
        rows.row(&self.key(key)).map(decode_value).transpose()
    }

    /// Writes a row.
    pub fn put(&self, overlay: &mut Overlay<'_>, key: &K, value: &V) {
        overlay.set(self.key(key), Some(encode_value(value)));
    }

    /// Removes a row, if it exists.
    pub fn remove(&self, overlay: &mut Overlay<'_>, key: &K) {
        overlay.set(self.key(key), None);
    }

    /// The committed rows of this table in the order of their keys; keys without the table number.
    pub fn scan<'t>(&self, tree: &'t Tree) -> impl Iterator<Item = Result<(&'t [u8], V), Fault>> + use<'t, K, V> {
        self.scan_prefix(tree, &[])
    }

    /// As `scan`, from this key (without the table number) on.
    pub fn scan_from<'t>(
        &self,
        tree: &'t Tree,
        from: &[u8],
    ) -> impl Iterator<Item = Result<(&'t [u8], V), Fault>> + use<'t, K, V> {
        let number = self.number;
        let rows = RowKey::new(&[&[number], from].concat()).ok().map(|from| tree.range(&from));
        rows.into_iter()
            .flatten()
            .take_while(move |(key, _)| key.table() == number)
            .map(|(key, value)| Ok((key.as_bytes().get(1..).unwrap_or_default(), decode_value(value)?)))
    }

    /// As `scan`, of the rows whose key (without the table number) starts with `prefix`.
    pub fn scan_prefix<'t>(
        &self,
        tree: &'t Tree,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(&'t [u8], V), Fault>> + use<'t, K, V> {
        let start = [&[self.number], prefix].concat();
        let from = RowKey::new(&start).ok();
        let rows = from.map(|from| tree.range(&from));
        rows.into_iter()
            .flatten()
            .take_while(move |(key, _)| key.as_bytes().starts_with(&start))
            .map(|(key, value)| Ok((key.as_bytes().get(1..).unwrap_or_default(), decode_value(value)?)))
    }
}

/// Version byte, then the value's one encoding.
pub fn encode_value<V: BorshSerialize>(value: &V) -> Box<[u8]> {
    // Exactly as long as needed: giving the rest back would allocate again.
    let mut bytes = Vec::with_capacity(1 + borsh::object_length(value).unwrap_or(63));
    bytes.push(VALUE_VERSION);
    codec::encode_into(value, &mut bytes);
    bytes.into_boxed_slice()
}

/// Reads what `encode_value` wrote. That it can't be read is our own fault: the state root has
/// vouched for it.
pub fn decode_value<V: BorshDeserialize>(bytes: &[u8]) -> Result<V, Fault> {
    match bytes.split_first() {
        Some((&VALUE_VERSION, rest)) => codec::decode(rest, MAX_ROW_VALUE_BYTES)
            .map_err(|e| Fault::new(format!("a state row does not decode: {e}"))),
        Some((version, _)) => Err(Fault::new(format!("a state row has unknown version {version}"))),
        None => Err(Fault::new("a state row is empty")),
    }
}

impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}
}

impl Key for Address {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_bytes());
    }
}

impl Key for AssetId {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.get().to_be_bytes());
    }
}

/// Numbers of 64 bits.
macro_rules! number_keys {
    ($($number:ty),*) => {$(
        impl Key for $number {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.get().to_be_bytes());
            }
        }
    )*};
}

number_keys!(Height, TimestampMs, ProposalId, StakeId, MarketMs, JobId, ProviderId, ModelProposalId);

impl Key for ModelId {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.0.as_bytes());
    }
}

impl Key for UnitKind {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(*self as u8);
    }
}

/// The beginning of something longer; who uses it finds out whether it is the one that was meant.
impl Key for [u8; 14] {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }
}

impl Key for u32 {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }
}
