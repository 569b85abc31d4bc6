//! Which transactions concern an account. Written by a follower from final blocks, never in the
//! commit path; can be left out or pruned.

use super::chain::Chain;
use super::committed::CommittedBlock;
use super::keys::{self, HISTORY, height_key};
use crate::fault::Fault;
use crate::limits::MAX_TX_BYTES;
use crate::storage::{Batch, Direction, Durability, KeyRange, Store, Table};
use crate::tx::Signed;
use crate::types::{Address, Height};
use std::collections::BTreeSet;

/// A place in an account's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPosition {
    /// The block.
    pub height: Height,
    /// The place in the block.
    pub index: u32,
}

/// A transaction that concerns an account.
pub type HistoryEntry = HistoryPosition;

/// Indexes at most `limit` final blocks that aren't indexed yet. Answers how many it did.
pub fn index_history(chain: &Chain, limit: u64) -> Result<u64, Fault> {
    let store = chain.store();
    let done = keys::get_height(&**store, Table::Meta, HISTORY)?.unwrap_or_default();
    // What is not here any more is not indexed.
    let done = done.max(chain.oldest_body().saturating_sub(1));
    let head = chain.head().block.header.height;
    let last = head.min(done.saturating_add(limit));
    let mut height = done;
    while height < last {
        height = height.next();
        let block = chain.block(height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))?;
        let mut batch = index_block(&block)?;
        keys::put(&mut batch, Table::Meta, HISTORY, &height_key(height));
        store.write(batch, Durability::Buffered)?;
    }
    Ok(last.get().saturating_sub(done.get()))
}

fn index_block(block: &CommittedBlock) -> Result<Batch, Fault> {
    let mut batch = Batch::new();
    for key in history_keys(block)? {
        keys::put(&mut batch, Table::History, &key, &[]);
    }
    Ok(batch)
}

/// The keys of a block's entries.
pub(super) fn history_keys(block: &CommittedBlock) -> Result<Vec<Vec<u8>>, Fault> {
    let mut found = Vec::new();
    for (index, bytes) in block.body.transactions().iter().enumerate() {
        let place = keys::place(block.header.height, index as u32);
        let accounts = concerned(&stored_transaction(bytes)?);
        found.extend(accounts.iter().map(|account| [account.as_bytes().as_slice(), &place].concat()));
    }
    Ok(found)
}

fn concerned(signed: &Signed) -> BTreeSet<Address> {
    let transaction = &signed.transaction;
    let named = transaction.actions.iter().flat_map(|action| action.rules().accounts());
    [transaction.sender, transaction.payer()].into_iter().chain(named).collect()
}

/// How far the index has come.
pub(super) fn indexed_height(store: &dyn Store) -> Result<Height, Fault> {
    Ok(keys::get_height(store, Table::Meta, HISTORY)?.unwrap_or_default())
}

/// The places in a block that concern an account, newest first.
pub(super) fn places(block: &CommittedBlock, address: &Address) -> Result<Vec<HistoryEntry>, Fault> {
    let mut places = Vec::new();
    for (index, bytes) in block.body.transactions().iter().enumerate().rev() {
        if concerned(&stored_transaction(bytes)?).contains(address) {
            places.push(HistoryPosition { height: block.header.height, index: index as u32 });
        }
    }
    Ok(places)
}

fn stored_transaction(bytes: &[u8]) -> Result<Signed, Fault> {
    crate::codec::decode(bytes, MAX_TX_BYTES).map_err(|e| Fault::new(format!("a stored transaction: {e}")))
}

pub(super) fn read_history(
    store: &dyn Store,
    address: &Address,
    before: Option<HistoryPosition>,
    limit: usize,
) -> Result<Vec<HistoryEntry>, Fault> {
    let mut range = KeyRange::prefix(address.as_bytes());
    if let Some(position) = before {
        let place = keys::place(position.height, position.index);
        range = range.before(&[address.as_bytes().as_slice(), &place].concat());
    }
    let rows = store.scan(Table::History, &range, Direction::Backward, limit)?;
    rows.iter()
        .map(|(key, _)| {
            let (height, index) = keys::read_place(key.get(32..).unwrap_or_default())?;
            Ok(HistoryPosition { height, index })
        })
        .collect()
}
