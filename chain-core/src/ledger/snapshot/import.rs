//! Taking a snapshot: everything is checked against the genesis first, then written.

use super::frames::{FrameReader, Kind};
use super::{BlockPart, Hop, MAX_BLOCK_PART_BYTES, NotFinal, Row, SnapshotError};
use crate::block::{Block, Body, FinalBlock, Header, Outcome, Results, outcome_root, tx_root};
use crate::codec;
use crate::fault::Fault;
use crate::genesis::Genesis;
use crate::ledger::chain::decode_ids;
use crate::ledger::committed::CommittedBlock;
use crate::ledger::keys::{self, FLUSHED, HEAD, HISTORY, IMPORTING, MARKET, OLDEST_BODY, height_key, set_key};
use crate::ledger::open::{put_block_zero, put_row, stored_chain};
use crate::limits::MAX_FRAME_BYTES;
use crate::state::protocol::{RULES_VERSION, check_version};
use crate::state::{RowKey, Tree, money, validators};
use crate::storage::{Batch, Direction, Durability, KeyRange, Store, Table};
use crate::tx::Signed;
use crate::types::{BlockId, Certificate, ChainId, Height, SignedMessage, Validator, ValidatorSet, VoteKind};

/// A state may have this many free slots for each of its rows; it bounds the memory that made-up rows
/// can ask for.
const SLOTS_PER_ROW: u64 = 16;
/// Free slots every state may have.
const FREE_SLOTS: u64 = 1 << 20;
/// The database is written and emptied in batches of about this many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Rows removed at once from what an earlier attempt, or block 0, left.
const REMOVED_AT_ONCE: usize = 10_000;

/// What the database holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The block whose state it is: the head.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// How many rows the state has.
    pub rows: u64,
}

/// Reads a snapshot, of the height it is said to have if one is given, checks it against the genesis and
/// makes it the content of a database that [`takes_snapshot`]. The database is to be opened afterwards like
/// any other.
pub fn import(
    store: &dyn Store,
    genesis: &Genesis,
    said: Option<Height>,
    input: &mut dyn std::io::Read,
) -> Result<Imported, SnapshotError> {
    refuse_used(store, &genesis.chain_id())?;
    let snapshot = read(genesis, said, input)?;
    install(store, genesis, &snapshot)?;
    let (height, block) = (snapshot.block.header.height, snapshot.block.id);
    Ok(Imported { height, block, rows: snapshot.tree.len() as u64 })
}

/// Whether a database can take a snapshot: it is empty, holds only block 0, or an import that did not come
/// to its end.
pub fn takes_snapshot(store: &dyn Store) -> Result<bool, Fault> {
    Ok(keys::get_height(store, Table::Meta, HEAD)?.is_none_or(|head| head == Height::ZERO))
}

fn refuse_used(store: &dyn Store, chain: &ChainId) -> Result<(), SnapshotError> {
    if let Some(found) = stored_chain(store)?.filter(|found| found != chain) {
        return Err(SnapshotError::OtherChain { found: *chain, expected: found });
    }
    match keys::get_height(store, Table::Meta, HEAD)? {
        Some(head) if head > Height::ZERO => Err(SnapshotError::NotEmpty(head)),
        _ => Ok(()),
    }
}

/// A snapshot that is right.
struct Snapshot {
    hops: Vec<Hop>,
    block: CommittedBlock,
    tree: Tree,
}

fn read(genesis: &Genesis, said: Option<Height>, input: &mut dyn std::io::Read) -> Result<Snapshot, SnapshotError> {
    let mut follower = Follower::new(genesis)?;
    let mut frames = FrameReader::start(input, &follower.chain)?;
    let mut frame = frames.next()?;
    while frame.0 == Kind::Hop {
        let hop = codec::decode(&frame.1, MAX_FRAME_BYTES);
        follower.take(hop.map_err(|error| SnapshotError::Malformed { what: "change of the validators", error })?)?;
        frame = frames.next()?;
    }
    let mut part = Vec::new();
    while frame.0 == Kind::Block {
        part.append(&mut frame.1);
        if part.len() > MAX_BLOCK_PART_BYTES {
            return Err(frames.damaged("the block is too long"));
        }
        frame = frames.next()?;
    }
    let block = follower.final_block(&part)?;
    if let Some(said) = said.filter(|said| *said != block.header.height) {
        return Err(SnapshotError::OtherHeight { said, found: block.header.height });
    }
    let mut rows = Vec::new();
    while frame.0 == Kind::Rows {
        read_rows(&frames, &frame.1, &mut rows)?;
        frame = frames.next()?;
    }
    if frame != (Kind::End, codec::encode(&(rows.len() as u64))) {
        return Err(frames.damaged("it is not the end of these rows"));
    }
    frames.finish()?;
    let tree = build(&follower.chain, rows, &block.header)?;
    Ok(Snapshot { hops: follower.hops, block, tree })
}

fn read_rows(
    frames: &FrameReader<'_>,
    mut bytes: &[u8],
    rows: &mut Vec<(RowKey, u32, Box<[u8]>)>,
) -> Result<(), SnapshotError> {
    while !bytes.is_empty() {
        let row = codec::decode_next::<Row>(&mut bytes);
        let (key, slot, value) = row.map_err(|error| SnapshotError::Malformed { what: "row", error })?;
        if rows.last().is_some_and(|(last, _, _)| *last >= key) {
            return Err(frames.damaged("its rows are out of order"));
        }
        rows.push((key, slot, value.into()));
    }
    Ok(())
}

/// The tree of the rows, if it is the one the header commits to.
fn build(chain: &ChainId, rows: Vec<(RowKey, u32, Box<[u8]>)>, header: &Header) -> Result<Tree, SnapshotError> {
    let most = (rows.len() as u64).saturating_mul(SLOTS_PER_ROW).saturating_add(FREE_SLOTS);
    let tree = Tree::rebuild(&chain.0, rows, u32::try_from(most).unwrap_or(u32::MAX))?;
    if tree.root() != header.state_root {
        let (expected, found) = (header.state_root, tree.root());
        return Err(SnapshotError::Root { height: header.height, expected, found });
    }
    check_version(&tree, RULES_VERSION)?;
    match money::audit(&tree)?.iter().find(|supply| !supply.is_conserved()) {
        Some(lost) => Err(SnapshotError::Books(lost.asset.symbol.to_string())),
        None => Ok(tree),
    }
}

/// Follows the validator set from the genesis.
struct Follower<'g> {
    genesis: &'g Genesis,
    chain: ChainId,
    set: ValidatorSet,
    /// The height of the last change.
    at: Height,
    hops: Vec<Hop>,
}

impl<'g> Follower<'g> {
    fn new(genesis: &'g Genesis) -> Result<Self, SnapshotError> {
        let set = genesis.validator_set().map_err(crate::genesis::GenesisError::from)?;
        Ok(Self { genesis, chain: genesis.chain_id(), set, at: Height::ZERO, hops: Vec::new() })
    }

    /// Goes over a change of the set.
    fn take(&mut self, hop: Hop) -> Result<(), SnapshotError> {
        let (header, certificate, members) = &hop;
        self.certified(header, certificate)?;
        let next = ValidatorSet::new(members.clone()).ok();
        let next = next.filter(|set| set.hash(&self.chain) == header.next_validators_hash);
        let not_final = |why| SnapshotError::NotFinal { height: header.height, why };
        self.set = next.ok_or_else(|| not_final(NotFinal::NextSet))?;
        self.at = header.height;
        self.hops.push(hop);
        Ok(())
    }

    /// Whether a block above the last change is final under the set it brought in.
    fn certified(&self, header: &Header, certificate: &Certificate) -> Result<(), SnapshotError> {
        let (kind, height, view) = (VoteKind::Finalize, header.height, certificate.view());
        let message = SignedMessage { kind, height, view, block: Some(header.id()) };
        let why = if height <= self.at {
            NotFinal::Order
        } else if header.validators_hash != self.set.hash(&self.chain) {
            NotFinal::Set
        } else if header.chain_id != self.chain || certificate.message != message {
            NotFinal::Vote
        } else {
            match certificate.verify(&self.chain, self.genesis.quorum_rule, &self.set) {
                Ok(()) => return Ok(()),
                Err(error) => error.into(),
            }
        };
        Err(SnapshotError::NotFinal { height, why })
    }

    /// The snapshot's block, with everything its header commits to.
    fn final_block(&self, part: &[u8]) -> Result<CommittedBlock, SnapshotError> {
        let part = codec::decode::<BlockPart>(part, MAX_BLOCK_PART_BYTES);
        let (header, certificate, body, results) =
            part.map_err(|error| SnapshotError::Malformed { what: "block", error })?;
        let certificate = certificate.ok_or(SnapshotError::NoCertificate(header.height))?;
        self.certified(&header, &certificate)?;
        let wrong = SnapshotError::Content(header.height);
        let Ok(body) = Body::decode(&body) else { return Err(wrong) };
        let ids: Vec<_> = body.transactions().iter().map(|bytes| Signed::wire_id(bytes, &self.chain)).collect();
        if tx_root(&self.chain, &ids) != header.tx_root {
            return Err(wrong);
        }
        let Some(results) = Results::decode(&results).ok().filter(|found| self.are_results_of(found, &header)) else {
            return Err(wrong);
        };
        let ids = decode_ids(&self.chain, &body)?;
        let block = FinalBlock { block: Block { header, body }, certificate: Some(certificate) };
        Ok(CommittedBlock::of(block, ids, results, 0))
    }

    fn are_results_of(&self, results: &Results, header: &Header) -> bool {
        let hashes = results.events.iter().map(|events| Outcome::events_hash(events, &self.chain));
        outcome_root(&self.chain, &results.outcomes) == header.outcome_root
            && results.outcomes.iter().map(|outcome| outcome.events_hash).eq(hashes)
    }
}

/// Writes a snapshot that was checked. The database can be opened again once the last batch is there.
fn install(store: &dyn Store, genesis: &Genesis, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let (_, block_zero) = genesis.build()?;
    let height = height_key(snapshot.block.header.height);
    let mut mark = Batch::new();
    keys::put(&mut mark, Table::Meta, IMPORTING, &height);
    store.write(mark, Durability::Synced).map_err(Fault::from)?;
    remove_rows(store)?;
    write_rows(store, &snapshot.tree)?;
    let mut batch = Batch::new();
    put_block_zero(&mut batch, &block_zero, &genesis.encode());
    for (header, certificate, members) in &snapshot.hops {
        put_header(&mut batch, header, certificate);
        put_members(&mut batch, header.height, members);
    }
    put_head(&mut batch, snapshot)?;
    batch.delete(Table::Meta, IMPORTING);
    batch.delete(Table::Meta, MARKET);
    Ok(store.write(batch, Durability::Synced).map_err(Fault::from)?)
}

fn remove_rows(store: &dyn Store) -> Result<(), Fault> {
    loop {
        let rows = store.scan(Table::State, &KeyRange::all(), Direction::Forward, REMOVED_AT_ONCE)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, _) in rows {
            batch.delete(Table::State, key);
        }
        store.write(batch, Durability::Buffered)?;
    }
}

fn write_rows(store: &dyn Store, tree: &Tree) -> Result<(), Fault> {
    let mut batch = Batch::new();
    for (key, slot, value) in tree.rows() {
        put_row(&mut batch, key, slot, value);
        if batch.size_bytes() >= BATCH_BYTES {
            store.write(std::mem::take(&mut batch), Durability::Buffered)?;
        }
    }
    Ok(store.write(batch, Durability::Buffered)?)
}

/// The block with all it reported, and the marks that make it the head and the oldest one.
fn put_head(batch: &mut Batch, snapshot: &Snapshot) -> Result<(), Fault> {
    let (block, header) = (&snapshot.block, &snapshot.block.header);
    let height = height_key(header.height);
    if let Some(certificate) = &block.certificate {
        put_header(batch, header, certificate);
    }
    keys::put(batch, Table::Bodies, &height, &block.body.encode());
    keys::put(batch, Table::Events, &height, &codec::encode(&block.results));
    for (index, id) in block.tx_ids.iter().enumerate() {
        keys::put(batch, Table::TxIndex, keys::tx_key(id), &keys::place(header.height, index as u32));
    }
    if header.next_validators_hash != header.validators_hash {
        put_members(batch, header.height, validators::next_set(&snapshot.tree)?.members());
    }
    for name in [HEAD, FLUSHED, OLDEST_BODY] {
        keys::put(batch, Table::Meta, name, &height);
    }
    keys::put(batch, Table::Meta, HISTORY, &height_key(header.height.saturating_sub(1)));
    Ok(())
}

fn put_header(batch: &mut Batch, header: &Header, certificate: &Certificate) {
    let height = height_key(header.height);
    keys::put(batch, Table::Headers, &height, &codec::encode(header));
    keys::put(batch, Table::Certificates, &height, &codec::encode(certificate));
    keys::put(batch, Table::BlockIds, header.id().0.as_bytes(), &height);
}

fn put_members(batch: &mut Batch, height: Height, members: &[Validator]) {
    keys::put(batch, Table::Meta, &set_key(height), &codec::encode(members));
}
