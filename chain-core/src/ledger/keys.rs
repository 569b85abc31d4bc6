//! Keys and values of the ledger's tables. Every value starts with a version byte.
//!
//! | table | key | value after the version byte |
//! |---|---|---|
//! | meta | `chain_id`, `genesis`, `head`, `flushed`, `history` | 32 bytes · canonical genesis · height u64 BE (three times) |
//! | meta | `oldest_body` | height u64 BE: bodies, results and index entries below it are gone; absent = 0 |
//! | meta | `market.2` | height u64 BE: the lists of the market have come to it; absent: they are to be made anew |
//! | meta | `importing` | height u64 BE: a snapshot is being written and is not complete |
//! | meta | `set/` ‖ height u64 BE | the members of the set that signs the next height, where this height changed it |
//! | headers, bodies, certificates, events | height u64 BE | borsh of header, body, certificate, results |
//! | block_ids | block id | height u64 BE |
//! | tx_index | transaction id | height u64 BE ‖ index u32 BE |
//! | history | address ‖ height u64 BE ‖ index u32 BE | nothing |
//! | state | row key | slot u32 LE ‖ row value |
//! | market | `ledger/market/entries.rs` | |

use crate::fault::Fault;
use crate::storage::{Batch, Store, StoreError, Table};
use crate::types::{Height, TxId};

pub(super) const CHAIN_ID: &[u8] = b"chain_id";
pub(super) const GENESIS: &[u8] = b"genesis";
pub(super) const HEAD: &[u8] = b"head";
pub(super) const FLUSHED: &[u8] = b"flushed";
pub(super) const HISTORY: &[u8] = b"history";
pub(super) const MARKET: &[u8] = b"market.2";
pub(super) const OLDEST_BODY: &[u8] = b"oldest_body";
pub(super) const IMPORTING: &[u8] = b"importing";
pub(super) const SET_PREFIX: &[u8] = b"set/";

const VERSION: u8 = 1;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Fault::disk_full(format!("storage: {error}")),
            _ => Fault::new(format!("storage: {error}")),
        }
    }
}

pub(super) fn height_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

pub(super) fn set_key(height: Height) -> Vec<u8> {
    [SET_PREFIX, &height_key(height)].concat()
}

pub(super) fn put(batch: &mut Batch, table: Table, key: &[u8], value: &[u8]) {
    let mut bytes = Vec::with_capacity(1 + value.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(value);
    batch.put(table, key, bytes);
}

/// A value without its version byte.
pub(super) fn get(store: &dyn Store, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    store.get(table, key)?.map(strip).transpose()
}

pub(super) fn strip(mut value: Vec<u8>) -> Result<Vec<u8>, Fault> {
    match value.first() {
        Some(&VERSION) => {
            value.remove(0);
            Ok(value)
        }
        other => Err(Fault::new(format!("a stored value has version {other:?}"))),
    }
}

pub(super) fn get_height(store: &dyn Store, table: Table, key: &[u8]) -> Result<Option<Height>, Fault> {
    let value = get(store, table, key)?;
    value.map(|bytes| read_height(&bytes)).transpose()
}

pub(super) fn read_height(bytes: &[u8]) -> Result<Height, Fault> {
    let bytes = bytes.try_into().map_err(|_| Fault::new("a stored height is not 8 bytes"))?;
    Ok(Height::new(u64::from_be_bytes(bytes)))
}

pub(super) fn place(height: Height, index: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&height.get().to_be_bytes());
    low.copy_from_slice(&index.to_be_bytes());
    bytes
}

pub(super) fn read_place(bytes: &[u8]) -> Result<(Height, u32), Fault> {
    let bad = || Fault::new("a stored place is not 12 bytes");
    let (height, index) = bytes.split_at_checked(8).ok_or_else(bad)?;
    Ok((read_height(height)?, u32::from_be_bytes(index.try_into().map_err(|_| bad())?)))
}

pub(super) fn tx_key(id: &TxId) -> &[u8] {
    id.0.as_bytes()
}
