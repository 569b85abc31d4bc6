//! What concerns an account: transactions, and what blocks do by themselves. Written by a follower
//! from final blocks, never in the commit path; can be left out or pruned.

use super::chain::Chain;
use super::committed::CommittedBlock;
use super::keys::{self, HISTORY, height_key};
use crate::fault::Fault;
use crate::limits::MAX_TX_BYTES;
use crate::storage::{Batch, Direction, Durability, KeyRange, Store, Table};
use crate::tx::{Event, Signed, Transaction};
use crate::types::{Address, Height};
use std::collections::BTreeSet;

/// A place in an account's history: that of an outcome in its block. Behind the transactions stands what the
/// block did by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPosition {
    /// The block.
    pub height: Height,
    /// The place in the block.
    pub index: u32,
}

/// An outcome that concerns an account.
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
    for (index, accounts) in concerned(block)?.iter().enumerate() {
        let place = keys::place(block.header.height, index as u32);
        found.extend(accounts.iter().map(|account| [account.as_bytes().as_slice(), &place].concat()));
    }
    Ok(found)
}

/// Whom each outcome of a block concerns: who sent, paid or is named in the transaction, also if it was refused,
/// and whom its events are about.
fn concerned(block: &CommittedBlock) -> Result<Vec<BTreeSet<Address>>, Fault> {
    let of_events = block.results.events.iter().map(|events| events.iter().flat_map(Event::accounts).collect());
    let mut found: Vec<BTreeSet<Address>> = of_events.collect();
    for (accounts, bytes) in found.iter_mut().zip(block.body.transactions()) {
        let Transaction { sender, fee_payer, actions, .. } = stored_transaction(bytes)?.transaction;
        accounts.extend([sender].into_iter().chain(fee_payer));
        accounts.extend(actions.iter().flat_map(|action| action.rules().accounts()));
    }
    Ok(found)
}

/// How far the index has come.
pub(super) fn indexed_height(store: &dyn Store) -> Result<Height, Fault> {
    Ok(keys::get_height(store, Table::Meta, HISTORY)?.unwrap_or_default())
}

/// The places in a block that concern an account, newest first.
pub(super) fn places(block: &CommittedBlock, address: &Address) -> Result<Vec<HistoryEntry>, Fault> {
    let all = concerned(block)?;
    let own = all.iter().enumerate().rev().filter(|(_, accounts)| accounts.contains(address));
    Ok(own.map(|(index, _)| HistoryPosition { height: block.header.height, index: index as u32 }).collect())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::block::{Block, Body, FinalBlock, Header, Results};
    use crate::crypto::Hash;
    use crate::testing::address;
    use crate::tx::market_testkit::*;
    use crate::tx::{Action, job, provider};
    use crate::types::{BlockId, TimestampMs, View};

    /// A block with these results; of the header only the height counts here.
    fn block(transactions: Vec<Vec<u8>>, results: Results) -> CommittedBlock {
        let (hash, key) = (Hash::ZERO, crate::testing::key(1).public());
        let header = Header {
            version: 1,
            chain_id: crate::testing::chain(),
            height: Height::new(7),
            view: View::ZERO,
            parent: BlockId(hash),
            timestamp_ms: TimestampMs::ZERO,
            proposer: key,
            tx_root: hash,
            outcome_root: hash,
            state_root: hash,
            validators_hash: hash,
            next_validators_hash: hash,
        };
        let block = FinalBlock { block: Block { header, body: Body::new(transactions) }, certificate: None };
        CommittedBlock::of(block, vec![], results, 0)
    }

    fn found(block: &CommittedBlock, seed: u8) -> Vec<u32> {
        let keys = history_keys(block).unwrap();
        let own = keys.iter().filter(|key| key.starts_with(address(seed).as_bytes()));
        let indexed: Vec<_> = own.map(|key| keys::read_place(&key[32..]).unwrap().1).collect();
        let mut newest: Vec<_> = places(block, &address(seed)).unwrap().iter().map(|place| place.index).collect();
        newest.reverse();
        assert_eq!(newest, indexed, "the index and the newest blocks say the same");
        indexed
    }

    #[test]
    fn both_sides_find_what_was_done_to_them_by_others_and_by_blocks() {
        let world = &mut World::f0();
        let profile = profile(&[m1()]);
        world
            .ok(H1, provider::Action::ProviderUpdate { profile, payout: Some(address(V)), operator: Some(address(D)) });
        let id = world.open(P1, opening(USD, 10_000_000, 5_000));
        world.later(1);
        let proof: Action = world.proof(id, 500).into();
        // The operator claims and P1 completes, in one block in whose end another job is over.
        world.open(P2, Opening { silence: 60, provider: H2, ..opening(USD, 10_000_000, 5_000) });
        world.later(61);
        let at = crate::state::market::stored(&world.chain.tree).unwrap().at;
        world.chain.time = Some(at.saturating_add(61_000));
        let signed = [(D, proof), (P1, Action::Job(complete(id)))].map(|(seed, action)| {
            let nonce = world.chain.account(&address(seed)).nonce;
            crate::testing::checked(seed, nonce, [action])
        });
        let results = world.chain.block(&signed);
        let bytes = signed.iter().map(|checked| checked.bytes().to_vec()).collect();
        let block = block(bytes, results);
        for (seed, expected) in [(D, vec![0]), (H1, vec![0, 1]), (P1, vec![0, 1]), (V, vec![0, 1]), (P2, vec![2])] {
            assert_eq!(found(&block, seed), expected, "{seed}");
        }
        assert_eq!((found(&block, H2), found(&block, X)), (vec![2], vec![]));
        assert!(matches!(block.results.events[2][..], [Event::Job(job::Event::JobSettled { .. })]));
    }
}
