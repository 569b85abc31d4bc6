//! A block in short: the header and eight bytes for each transaction, which most pools hold already.
//!
//! A short id is the start of `hash(ait/short/1, chain id, block id ‖ wire id)`: salted by the block,
//! so nobody can prepare two transactions that share one. Two that do by chance, or a wrong guess,
//! show in the transaction root: then the whole block is asked for.
//!
//! Not here: asking for what is missing (`engine`).

use crate::block::{Block, Body, Header};
use crate::codec::List;
use crate::crypto::{Namespace, hash};
use crate::limits::MAX_BLOCK_TXS;
use crate::types::{BlockId, ChainId, WireId};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

/// The name of a transaction inside one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ShortId(pub [u8; 8]);

impl ShortId {
    /// The short id of a transaction in a block.
    pub fn of(chain: &ChainId, block: &BlockId, transaction: &WireId) -> Self {
        let long = hash(Namespace::ShortId, &chain.0, &[block.0.as_bytes(), transaction.0.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = *long.as_bytes();
        Self([a, b, c, d, e, f, g, h])
    }
}

/// A block in short.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CompactBlock {
    /// The header.
    pub header: Header,
    /// One for each transaction, in order.
    pub short_ids: List<ShortId, MAX_BLOCK_TXS>,
}

/// A block on its way to being whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    header: Header,
    transactions: Vec<Option<Vec<u8>>>,
}

impl CompactBlock {
    /// Shortens a block whose transactions have these wire ids, in order. None if there are more
    /// than a block may hold.
    pub fn new(header: Header, wire_ids: &[WireId]) -> Option<Self> {
        let id = header.id();
        let short_ids = wire_ids.iter().map(|wire| ShortId::of(&header.chain_id, &id, wire)).collect();
        List::new(short_ids).ok().map(|short_ids| Self { header, short_ids })
    }

    /// Puts in what is at hand.
    pub fn rebuild<'a>(self, at_hand: impl Iterator<Item = (WireId, &'a [u8])>) -> Rebuilt {
        let (header, mut transactions) = (self.header, vec![None; self.short_ids.len()]);
        let places: BTreeMap<ShortId, usize> = self.short_ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let (id, mut missing) = (header.id(), places.len());
        for (wire_id, bytes) in at_hand {
            if missing == 0 {
                break;
            }
            let place = places.get(&ShortId::of(&header.chain_id, &id, &wire_id));
            if let Some(slot @ None) = place.and_then(|place| transactions.get_mut(*place)) {
                *slot = Some(bytes.to_vec());
                missing -= 1;
            }
        }
        Rebuilt { header, transactions }
    }
}

impl Rebuilt {
    /// The block's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The places that are still empty, ascending.
    pub fn missing(&self) -> Vec<u32> {
        let empty = self.transactions.iter().enumerate().filter(|(_, transaction)| transaction.is_none());
        // A block holds far fewer than 2^32.
        empty.filter_map(|(place, _)| u32::try_from(place).ok()).collect()
    }

    /// Fills empty places in order; tells whether it were exactly as many.
    pub fn fill(&mut self, transactions: Vec<Vec<u8>>) -> bool {
        let mut given = transactions.into_iter();
        for slot in self.transactions.iter_mut().filter(|slot| slot.is_none()) {
            *slot = given.next();
        }
        given.next().is_none() && self.transactions.iter().all(Option::is_some)
    }

    /// The block, once nothing is missing. Whether it is the right one its transaction root tells.
    pub fn finish(self) -> Option<Block> {
        let transactions: Option<Vec<_>> = self.transactions.into_iter().collect();
        Some(Block { header: self.header, body: Body::new(transactions?) })
    }
}
