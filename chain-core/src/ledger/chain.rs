//! `Chain`: what everybody reads and the engine writes.
//!
//! Readers take short looks behind locks; a commit holds the write lock only to swap rows that
//! are already computed, so a reader never waits for execution or for a disk.

use super::committed::CommittedBlock;
use super::history::{HistoryEntry, HistoryPosition, indexed_height, places, read_history};
use super::keys::{self, FLUSHED, HEAD, height_key, set_key};
use super::sums::Sums;
use crate::block::{Block, Body, FinalBlock, Header, Results};
use crate::codec;
use crate::fault::Fault;
use crate::limits::{MAX_BLOCK_BYTES, MAX_UNDO_ROWS, PROOF_WINDOW_BLOCKS, RECENT_BLOCKS};
use crate::state::{Delta, Proof, RowKey, Supply, Tree, Undo, validators};
use crate::storage::{Batch, Durability, Store, Table};
use crate::types::{Address, BlockId, Certificate, ChainId, Height, TxId, Validator};
use borsh::BorshDeserialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The chain as this node knows it.
pub struct Chain {
    /// The newest version of the rules this software knows.
    known_rules: u32,
    id: ChainId,
    genesis: Vec<u8>,
    store: Arc<dyn Store>,
    head: RwLock<Head>,
    /// Held while the state is flushed, and by an export until its view of the rows stands.
    flushing: RwLock<()>,
    /// Bodies below this height are gone. Raised before they are removed, never lowered.
    oldest_body: AtomicU64,
}

/// The newest final block and the state after it.
pub struct Head {
    /// The newest final block.
    pub block: Arc<CommittedBlock>,
    /// The state after it.
    pub tree: Tree,
    /// How to go back block by block, newest last.
    undo: VecDeque<Undo>,
    undo_rows: usize,
    sums: Sums,
    /// The newest blocks in order, at least all above the flushed height.
    recent: VecDeque<Arc<CommittedBlock>>,
    /// Where the recent blocks' transactions are.
    recent_txs: HashMap<TxId, (Height, u32)>,
    /// Rows changed since the last flush.
    unflushed: BTreeMap<RowKey, StoredRow>,
    /// Validator sets that came in since the last flush, by the height that brought them in.
    pub(super) new_sets: Vec<(Height, Vec<Validator>)>,
    flushed: Height,
}

/// A row as it goes to disk: slot and value, or nothing where it was removed.
type StoredRow = Option<(u32, Box<[u8]>)>;

/// Where a final transaction is.
#[derive(Clone, Debug)]
pub struct Located {
    /// Its block.
    pub block: Arc<CommittedBlock>,
    /// Its place in the block.
    pub index: u32,
}

impl Head {
    pub(super) fn new(block: Arc<CommittedBlock>, tree: Tree) -> Result<Self, Fault> {
        let sums = Sums::of(&tree)?;
        let (flushed, recent) = (block.header.height, VecDeque::from([block.clone()]));
        let (undo, recent_txs, unflushed, new_sets) = (VecDeque::new(), HashMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { block, tree, undo, undo_rows: 0, sums, recent, recent_txs, unflushed, new_sets, flushed })
    }

    /// Takes over a final block that was executed on this head.
    pub(super) fn advance(&mut self, block: Arc<CommittedBlock>, delta: Delta) -> Result<(), Fault> {
        self.sums.follow(&self.tree, &delta)?;
        for change in delta.rows() {
            let row = change.after().map(|(slot, value)| (slot, Box::from(value)));
            self.unflushed.insert(*change.key(), row);
        }
        let undo = self.tree.commit(delta).map_err(|e| Fault::new(format!("committing a block: {e}")))?;
        self.remember(undo);
        if block.header.next_validators_hash != block.header.validators_hash {
            self.new_sets.push((block.header.height, validators::next_set(&self.tree)?.members().to_vec()));
        }
        for (index, id) in block.tx_ids.iter().enumerate() {
            self.recent_txs.insert(*id, (block.header.height, index as u32));
        }
        self.recent.push_back(block.clone());
        self.block = block;
        self.forget_old_blocks();
        Ok(())
    }

    /// Keeps the way back for a bounded number of blocks and rows.
    fn remember(&mut self, undo: Undo) {
        self.undo_rows = self.undo_rows.saturating_add(undo.len());
        self.undo.push_back(undo);
        while self.undo.len() > PROOF_WINDOW_BLOCKS || (self.undo_rows > MAX_UNDO_ROWS && self.undo.len() > 1) {
            let oldest = self.undo.pop_front();
            self.undo_rows = self.undo_rows.saturating_sub(oldest.map_or(0, |undo| undo.len()));
        }
    }

    /// Blocks on disk with all they reported need not stay in memory, but for a small window.
    fn forget_old_blocks(&mut self) {
        while self.recent.len() > RECENT_BLOCKS {
            let Some(oldest) = self.recent.front() else { return };
            if oldest.header.height > self.flushed {
                return;
            }
            for id in &oldest.tx_ids {
                self.recent_txs.remove(id);
            }
            self.recent.pop_front();
        }
    }

    fn prove(&self, key: &RowKey, height: Option<Height>) -> Result<Option<(Proof, Height)>, Fault> {
        let newest = self.block.header.height;
        let height = height.unwrap_or(newest);
        let back = newest.get().checked_sub(height.get()).and_then(|back| usize::try_from(back).ok());
        let Some(back) = back.filter(|back| *back <= self.undo.len()) else { return Ok(None) };
        if back == 0 {
            return Ok(Some((self.tree.prove(key), height)));
        }
        let stale = |_| Fault::new("the undo records do not lead back");
        let delta = self.tree.preview_undo(self.undo.iter().rev().take(back)).map_err(stale)?;
        Ok(Some((self.tree.prove_with(&delta, key).map_err(stale)?, height)))
    }

    fn recent(&self, height: Height) -> Option<Arc<CommittedBlock>> {
        let first = self.recent.front()?.header.height;
        let place = height.get().checked_sub(first.get())?;
        self.recent.get(usize::try_from(place).ok()?).cloned()
    }
}

impl Chain {
    pub(super) fn new(
        known_rules: u32,
        (id, genesis): (ChainId, Vec<u8>),
        store: Arc<dyn Store>,
        head: Head,
        oldest_body: Height,
    ) -> Self {
        let (head, oldest_body) = (RwLock::new(head), AtomicU64::new(oldest_body.get()));
        Self { known_rules, id, genesis, store, head, flushing: RwLock::new(()), oldest_body }
    }

    /// The newest version of the rules that whoever works on this chain knows.
    pub fn known_rules(&self) -> u32 {
        self.known_rules
    }

    /// The chain's id: the hash of its canonical genesis.
    pub fn id(&self) -> ChainId {
        self.id
    }

    /// The canonical genesis.
    pub fn genesis(&self) -> &[u8] {
        &self.genesis
    }

    /// The newest final block with the state after it. Hold this only for a short look: a commit waits for it.
    pub fn head(&self) -> RwLockReadGuard<'_, Head> {
        // A panic while the lock was held has already stopped the node's engine.
        self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn head_mut(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The height up to which state, outcomes and index are written.
    pub fn flushed(&self) -> Height {
        self.head().flushed
    }

    /// The lowest height whose block is here whole: of those below, headers and certificates remain
    /// (after a restored snapshot only those of block 0 and of changes of the validator set).
    pub fn oldest_body(&self) -> Height {
        Height::new(self.oldest_body.load(Ordering::SeqCst))
    }

    pub(super) fn raise_oldest_body(&self, height: Height) {
        self.oldest_body.fetch_max(height.get(), Ordering::SeqCst);
    }

    /// No flush happens while this is held.
    pub(super) fn hold_flushes(&self) -> RwLockReadGuard<'_, ()> {
        self.flushing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The final block at a height, `None` above the head and below [`Chain::oldest_body`].
    pub fn block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault> {
        match self.recent_or_above(height) {
            Some(known) => Ok(known),
            None => self.stored_block(height),
        }
    }

    /// Per asset what exists and what the accounts hold, and at which height that is so.
    pub fn supplies(&self) -> Result<(Height, Vec<Supply>), Fault> {
        let head = self.head();
        Ok((head.block.header.height, head.sums.supplies(&head.tree)?))
    }

    /// Where a transaction was executed: height and place in the block. Reads no block.
    pub fn place(&self, id: &TxId) -> Result<Option<(Height, u32)>, Fault> {
        let recent = self.head().recent_txs.get(id).copied();
        match recent {
            Some(place) => Ok(Some(place)),
            None => self.stored_place(id),
        }
    }

    /// The final block at a height as it was agreed on, without what its execution reported.
    pub fn final_block(&self, height: Height) -> Result<Option<FinalBlock>, Fault> {
        let Some(recent) = self.recent_or_above(height) else { return self.read_final(height) };
        Ok(recent.map(|block| FinalBlock {
            block: Block { header: block.header.clone(), body: block.body.clone() },
            certificate: block.certificate.clone(),
        }))
    }

    /// The header of the final block at a height. Reads no body.
    pub fn header(&self, height: Height) -> Result<Option<Header>, Fault> {
        let Some(recent) = self.recent_or_above(height) else { return read_header(&*self.store, height) };
        Ok(recent.map(|block| block.header.clone()))
    }

    /// The certificate of the final block at a height (block 0 has none). Reads no body.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, Fault> {
        let Some(recent) = self.recent_or_above(height) else { return read_certificate(&*self.store, height) };
        Ok(recent.and_then(|block| block.certificate.clone()))
    }

    /// The height of the final block of an id. Reads no block.
    pub fn height_of(&self, id: &BlockId) -> Result<Option<Height>, Fault> {
        let height = keys::get_height(&*self.store, Table::BlockIds, id.0.as_bytes())?;
        // A block is stored a moment before it is the head.
        Ok(height.filter(|height| *height <= self.head().block.header.height))
    }

    /// What is in memory of a height: the block, or that there is none yet; `None`: ask the disk.
    fn recent_or_above(&self, height: Height) -> Option<Option<Arc<CommittedBlock>>> {
        let head = self.head();
        if height > head.block.header.height { Some(None) } else { head.recent(height).map(Some) }
    }

    /// Where a transaction was executed, with its block.
    pub fn locate(&self, id: &TxId) -> Result<Option<Located>, Fault> {
        let Some((height, index)) = self.place(id)? else { return Ok(None) };
        match self.block(height)? {
            Some(block) => Ok(Some(Located { block, index })),
            None if height < self.oldest_body() => Ok(None),
            None => Err(Fault::new(format!("block {height} is indexed but missing"))),
        }
    }

    /// Transactions that concern an account, newest first, below a position.
    pub fn history(
        &self,
        address: &Address,
        before: Option<HistoryPosition>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, Fault> {
        // The newest blocks first: the index follows a moment behind the head.
        let indexed = indexed_height(&*self.store)?;
        let newest: Vec<_> = {
            let head = self.head();
            let above = head.recent.iter().rev().take_while(|block| block.header.height > indexed);
            above.cloned().collect()
        };
        let mut entries = Vec::new();
        for block in newest {
            entries.extend(places(&block, address)?);
        }
        entries.retain(|entry| before.is_none_or(|before| *entry < before));
        let index = read_history(&*self.store, address, before, limit)?;
        entries.extend(index.into_iter().filter(|entry| entry.height <= indexed));
        entries.truncate(limit);
        Ok(entries)
    }

    /// A proof of a row (or of its absence) in the state after the block at `height`, which must
    /// be among the newest `PROOF_WINDOW_BLOCKS` (fewer after a restart or under heavy load: `None`
    /// where the way back is gone); the block is returned with it.
    pub fn prove(&self, key: &RowKey, height: Option<Height>) -> Result<Option<(Proof, Arc<CommittedBlock>)>, Fault> {
        let Some((proof, height)) = self.head().prove(key, height)? else { return Ok(None) };
        let block = self.block(height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))?;
        Ok(Some((proof, block)))
    }

    /// Stores a final block. Nothing may be told of it before it is durable: at once if it is written
    /// `Synced`, else with the next such write or [`Chain::sync`].
    pub(crate) fn store_block(&self, block: &FinalBlock, durability: Durability) -> Result<(), Fault> {
        let header = &block.block.header;
        let key = height_key(header.height);
        let mut batch = Batch::new();
        keys::put(&mut batch, Table::Headers, &key, &codec::encode(header));
        keys::put(&mut batch, Table::Bodies, &key, &block.block.body.encode());
        if let Some(certificate) = &block.certificate {
            keys::put(&mut batch, Table::Certificates, &key, &codec::encode(certificate));
        }
        keys::put(&mut batch, Table::BlockIds, header.id().0.as_bytes(), &key);
        keys::put(&mut batch, Table::Meta, HEAD, &key);
        Ok(self.store.write(batch, durability)?)
    }

    /// Makes every stored block durable.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        let mut batch = Batch::new();
        keys::put(&mut batch, Table::Meta, HEAD, &height_key(self.head().block.header.height));
        Ok(self.store.write(batch, Durability::Synced)?)
    }

    /// Makes a durable block the head.
    pub(crate) fn advance(&self, block: Arc<CommittedBlock>, delta: Delta) -> Result<(), Fault> {
        self.head_mut().advance(block, delta)
    }

    /// Writes state, outcomes and transaction index up to the head, as one. For whoever alone
    /// writes: the engine, or a tool on a stopped node.
    pub fn flush(&self) -> Result<(), Fault> {
        let head = self.head();
        let mut batch = Batch::new();
        for (key, row) in &head.unflushed {
            match row {
                Some((slot, value)) => {
                    keys::put(&mut batch, Table::State, key.as_bytes(), &[&slot.to_le_bytes(), &**value].concat())
                }
                None => batch.delete(Table::State, key.as_bytes()),
            }
        }
        for block in head.recent.iter().filter(|block| block.header.height > head.flushed) {
            let key = height_key(block.header.height);
            keys::put(&mut batch, Table::Events, &key, &codec::encode(&block.results));
            for (index, id) in block.tx_ids.iter().enumerate() {
                let place = keys::place(block.header.height, index as u32);
                keys::put(&mut batch, Table::TxIndex, keys::tx_key(id), &place);
            }
        }
        for (height, members) in &head.new_sets {
            keys::put(&mut batch, Table::Meta, &set_key(*height), &codec::encode(members));
        }
        let height = head.block.header.height;
        keys::put(&mut batch, Table::Meta, FLUSHED, &height_key(height));
        drop(head);
        let _exports_wait = self.flushing.write().unwrap_or_else(PoisonError::into_inner);
        // Only the engine writes, so the head is still the one the batch was made from.
        self.store.write(batch, Durability::Buffered)?;
        let mut head = self.head_mut();
        head.unflushed.clear();
        head.new_sets.clear();
        head.flushed = height;
        head.forget_old_blocks();
        Ok(())
    }

    /// How far the head is above what was flushed, in blocks.
    pub fn unflushed_blocks(&self) -> u64 {
        let head = self.head();
        head.block.header.height.get().saturating_sub(head.flushed.get())
    }

    /// The database below, for followers and tools.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn stored_place(&self, id: &TxId) -> Result<Option<(Height, u32)>, Fault> {
        let value = keys::get(&*self.store, Table::TxIndex, keys::tx_key(id))?;
        value.map(|bytes| keys::read_place(&bytes)).transpose()
    }

    fn stored_block(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault> {
        if height < self.oldest_body() {
            return Ok(None);
        }
        match self.read_committed(height) {
            // It was removed between the look above and now.
            Err(_) if height < self.oldest_body() => Ok(None),
            read => read,
        }
    }

    fn read_final(&self, height: Height) -> Result<Option<FinalBlock>, Fault> {
        if height < self.oldest_body() {
            return Ok(None);
        }
        match read_block(&*self.store, height) {
            // It was removed between the look above and now.
            Err(_) if height < self.oldest_body() => Ok(None),
            read => read,
        }
    }

    fn read_committed(&self, height: Height) -> Result<Option<Arc<CommittedBlock>>, Fault> {
        let Some(stored) = read_block(&*self.store, height)? else { return Ok(None) };
        let results = keys::get(&*self.store, Table::Events, &height_key(height))?;
        let results = match results {
            Some(bytes) => Results::decode(&bytes)?,
            None => return Err(Fault::new(format!("block {height} has no stored results"))),
        };
        let transactions = decode_ids(&self.id, &stored.block.body)?;
        Ok(Some(Arc::new(CommittedBlock::of(stored, transactions, results, 0))))
    }
}

fn read_header(store: &dyn Store, height: Height) -> Result<Option<Header>, Fault> {
    read_record(store, Table::Headers, height)
}

fn read_certificate(store: &dyn Store, height: Height) -> Result<Option<Certificate>, Fault> {
    read_record(store, Table::Certificates, height)
}

fn read_record<T: BorshDeserialize>(store: &dyn Store, table: Table, height: Height) -> Result<Option<T>, Fault> {
    let bytes = keys::get(store, table, &height_key(height))?;
    let value = bytes.map(|bytes| codec::decode(&bytes, MAX_BLOCK_BYTES)).transpose();
    value.map_err(|e| Fault::new(format!("stored {} {height}: {e}", table.name())))
}

/// A stored block without what its execution reported.
pub(super) fn read_block(store: &dyn Store, height: Height) -> Result<Option<FinalBlock>, Fault> {
    let Some(header) = read_header(store, height)? else { return Ok(None) };
    let body = keys::get(store, Table::Bodies, &height_key(height))?;
    let body = body.ok_or_else(|| Fault::new(format!("block {height} has no body")))?;
    let body = Body::decode(&body).map_err(|e| Fault::new(format!("stored body {height}: {e}")))?;
    let certificate = read_certificate(store, height)?;
    Ok(Some(FinalBlock { block: Block { header, body }, certificate }))
}

/// The ids of a stored body's transactions; that one does not decode is our own fault.
pub(super) fn decode_ids(chain: &ChainId, body: &Body) -> Result<Vec<TxId>, Fault> {
    let decode = |bytes: &Vec<u8>| {
        let signed: crate::tx::Signed = codec::decode(bytes, crate::limits::MAX_TX_BYTES)
            .map_err(|e| Fault::new(format!("a stored transaction: {e}")))?;
        Ok(signed.transaction.id(chain))
    };
    body.transactions().iter().map(decode).collect()
}
