//! Opening a data directory's database: the right chain, undamaged, brought up to its head.
//!
//! The rows as of the flushed height must hash to that header's state root; every block above is
//! executed again and must come out as its header says.

use super::chain::{Chain, Head, read_block};
use super::committed::CommittedBlock;
use super::keys::{self, CHAIN_ID, FLUSHED, GENESIS, HEAD, IMPORTING, OLDEST_BODY, height_key};
use crate::block::{Block, Body, FinalBlock, Header, Results};
use crate::codec;
use crate::crypto::Hash;
use crate::execute::{BlockContext, Unfit, execute_block_as};
use crate::fault::Fault;
use crate::genesis::{Genesis, GenesisError};
use crate::state::protocol::RULES_VERSION;
use crate::state::{RowKey, Tree};
use crate::storage::{Batch, Durability, Store, StoreError, Table};
use crate::tx::{Checked, check_many};
use crate::types::{ChainId, Height};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It belongs to another chain.
    #[error("the directory holds chain {found}, not {expected}")]
    OtherChain {
        /// What the directory holds.
        found: ChainId,
        /// What the node was started for.
        expected: ChainId,
    },
    /// Its content contradicts itself.
    #[error("the database is damaged: {0}")]
    Damaged(Fault),
    /// It is whole, but follows rules this software does not know.
    #[error(transparent)]
    Outdated(Fault),
    /// The import of a snapshot did not come to its end.
    #[error("a snapshot of block {0} was being restored into this database and is not complete")]
    Unfinished(Height),
    /// There is no block 0 to begin with.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// It can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        if fault.is_outdated() { Self::Outdated(fault) } else { Self::Damaged(fault) }
    }
}

/// A database brought up to its head.
pub struct Opened {
    /// The chain.
    pub chain: Chain,
    /// How many blocks were executed again.
    pub replayed: u64,
}

/// Opens the database of a chain, or starts it if it is empty. `progress` hears each height that
/// was executed again. Block 0 is built only where there is none yet.
pub fn open(store: Arc<dyn Store>, genesis: &Genesis, progress: &mut dyn FnMut(Height)) -> Result<Opened, OpenError> {
    open_as(RULES_VERSION, store, genesis, progress)
}

/// As `open`, as software that knows the rules up to version `known`: so do all that work on the chain.
///
/// # Errors
/// As `open`.
pub fn open_as(
    known: u32,
    store: Arc<dyn Store>,
    genesis: &Genesis,
    progress: &mut dyn FnMut(Height),
) -> Result<Opened, OpenError> {
    let (canonical, chain) = (genesis.encode(), genesis.chain_id());
    if let Some(height) = keys::get_height(&*store, Table::Meta, IMPORTING)? {
        return Err(OpenError::Unfinished(height));
    }
    match stored_chain(&*store)? {
        None => start(known, store, genesis, canonical),
        Some(found) if found == chain => resume(known, store, (chain, canonical), progress),
        Some(found) => Err(OpenError::OtherChain { found, expected: chain }),
    }
}

/// The chain a database was begun for.
pub(super) fn stored_chain(store: &dyn Store) -> Result<Option<ChainId>, Fault> {
    let Some(found) = keys::get(store, Table::Meta, CHAIN_ID)? else { return Ok(None) };
    let bytes = found.try_into().map_err(|_| Fault::new("the stored chain id is not 32 bytes"))?;
    Ok(Some(ChainId(Hash(bytes))))
}

fn start(known: u32, store: Arc<dyn Store>, genesis: &Genesis, canonical: Vec<u8>) -> Result<Opened, OpenError> {
    let (tree, header) = genesis.build()?;
    let chain = header.chain_id;
    let mut batch = Batch::new();
    for (key, slot, value) in tree.rows() {
        put_row(&mut batch, key, slot, value);
    }
    put_block_zero(&mut batch, &header, &canonical);
    for name in [HEAD, FLUSHED] {
        keys::put(&mut batch, Table::Meta, name, &height_key(Height::ZERO));
    }
    store.write(batch, Durability::Synced)?;
    let block = Block { header, body: Body::default() };
    let block = CommittedBlock::of(FinalBlock { block, certificate: None }, Vec::new(), Results::default(), 0);
    let head = Head::new(Arc::new(block), tree)?;
    Ok(Opened { chain: Chain::new(known, (chain, canonical), store, head, Height::ZERO), replayed: 0 })
}

/// A row of the state.
pub(super) fn put_row(batch: &mut Batch, key: &RowKey, slot: u32, value: &[u8]) {
    keys::put(batch, Table::State, key.as_bytes(), &[&slot.to_le_bytes(), value].concat());
}

/// What every database of a chain begins with: its id, its genesis and block 0.
pub(super) fn put_block_zero(batch: &mut Batch, header: &Header, canonical: &[u8]) {
    let zero = height_key(Height::ZERO);
    keys::put(batch, Table::Headers, &zero, &codec::encode(header));
    keys::put(batch, Table::Bodies, &zero, &Body::default().encode());
    keys::put(batch, Table::Events, &zero, &codec::encode(&Results::default()));
    keys::put(batch, Table::BlockIds, header.id().0.as_bytes(), &zero);
    keys::put(batch, Table::Meta, GENESIS, canonical);
    keys::put(batch, Table::Meta, CHAIN_ID, header.chain_id.0.as_bytes());
}

fn resume(
    known: u32,
    store: Arc<dyn Store>,
    (chain, canonical): (ChainId, Vec<u8>),
    progress: &mut dyn FnMut(Height),
) -> Result<Opened, OpenError> {
    let height = |name| {
        let height = keys::get_height(&*store, Table::Meta, name)?;
        height.ok_or_else(|| Fault::new("the database does not know its own head"))
    };
    let (head_height, flushed) = (height(HEAD)?, height(FLUSHED)?);
    let tree = load_state(&*store, &chain)?;
    let block = stored(&*store, flushed)?;
    if tree.root() != block.block.header.state_root {
        return Err(Fault::new(format!(
            "the state rows hash to {}, block {flushed} says {}",
            tree.root(),
            block.block.header.state_root
        ))
        .into());
    }
    let results = keys::get(&*store, Table::Events, &height_key(flushed))?;
    let results = results.map(|bytes| Results::decode(&bytes)).transpose()?;
    let results = results.ok_or_else(|| Fault::new(format!("block {flushed} has no stored results")))?;
    let ids = check_body(&chain, &block)?.iter().map(Checked::id).collect();
    let mut head = Head::new(Arc::new(CommittedBlock::of(block, ids, results, 0)), tree)?;
    let mut at = flushed;
    while at < head_height {
        at = at.next();
        replay(known, &*store, &mut head, at)?;
        progress(at);
    }
    let replayed = head_height.get().saturating_sub(flushed.get());
    let oldest_body = keys::get_height(&*store, Table::Meta, OLDEST_BODY)?.unwrap_or_default();
    Ok(Opened { chain: Chain::new(known, (chain, canonical), store, head, oldest_body), replayed })
}

fn load_state(store: &dyn Store, chain: &ChainId) -> Result<Tree, OpenError> {
    let mut rows = Vec::new();
    let mut bad = None;
    store.for_each(Table::State, &mut |key, value| match read_row(key, value) {
        Ok(row) => {
            rows.push(row);
            ControlFlow::Continue(())
        }
        Err(fault) => {
            bad = Some(fault);
            ControlFlow::Break(())
        }
    })?;
    if let Some(fault) = bad {
        return Err(fault.into());
    }
    // Rows of our own may have left any slots free behind them; their root is compared next.
    Ok(Tree::rebuild(&chain.0, rows, u32::MAX).map_err(|e| Fault::new(format!("the state rows: {e}")))?)
}

pub(super) fn read_row(key: &[u8], value: &[u8]) -> Result<(RowKey, u32, Box<[u8]>), Fault> {
    let bad = || Fault::new(format!("the state row {} is malformed", hex::encode(key)));
    let value = keys::strip(value.to_vec())?;
    let (slot, value) = value.split_at_checked(4).ok_or_else(bad)?;
    let slot = u32::from_le_bytes(slot.try_into().map_err(|_| bad())?);
    Ok((RowKey::new(key).map_err(|_| bad())?, slot, value.into()))
}

fn stored(store: &dyn Store, height: Height) -> Result<FinalBlock, Fault> {
    read_block(store, height)?.ok_or_else(|| Fault::new(format!("block {height} is missing")))
}

fn check_body(chain: &ChainId, block: &FinalBlock) -> Result<Vec<Checked>, Fault> {
    let checked = check_many(chain, block.block.body.transactions());
    let height = block.block.header.height;
    checked.into_iter().collect::<Result<_, _>>().map_err(|e| Fault::new(format!("block {height} holds: {e}")))
}

fn replay(known: u32, store: &dyn Store, head: &mut Head, height: Height) -> Result<(), Fault> {
    let block = stored(store, height)?;
    let (header, chain) = (&block.block.header, head.block.header.chain_id);
    if header.parent != head.block.id || header.height != height {
        return Err(Fault::new(format!("block {height} does not follow its parent")));
    }
    let transactions = check_body(&chain, &block)?;
    let context =
        BlockContext { chain, height, view: header.view, timestamp: header.timestamp_ms, proposer: header.proposer };
    let executed = execute_block_as(known, &head.tree, context, &transactions);
    let executed = executed.map_err(|(place, unfit)| match unfit {
        Unfit::Fault(fault) if fault.is_outdated() => fault,
        unfit => Fault::new(format!("block {height}, transaction {place}: {unfit}")),
    })?;
    if !executed.agrees_with(header) {
        return Err(Fault::new(format!("block {height} executes to other roots than its header says")));
    }
    let committed = CommittedBlock::new(block, &transactions, executed.results, 0);
    head.advance(Arc::new(committed), executed.delta)
}
