//! Starting an engine on what is on the disk: the ledger is open, the logs have been read back.
//!
//! A WAL record is a tag byte and a body: 1 for a word of the agreement, 2 for a block (borsh of
//! the header and of the list of transactions), 3 for the height and id of the head the log began
//! with. A record of the pool's log is a tag byte too: 1 and
//! a transaction's complete signed bytes, or 2 and the id of a transaction that was dropped.

use super::commit::consensus_head;
use super::fetch::Fetch;
use super::peers::Peers;
use super::sync::Sync;
use super::{Clock, Engine, Options, Output, SharedPool, Signing};
use crate::block::{Block, Body, Header};
use crate::codec;
use crate::consensus::{Config, Input, Machine, WalRecord};
use crate::crypto::{Hash, SecretKey};
use crate::fault::Fault;
use crate::ledger::{Chain, CommittedBlock};
use crate::mempool::{ChainView, Effects, Pool, PoolLimits};
use crate::state::{params, validators};
use crate::storage::journal::MAX_RECORD_BYTES;
use crate::storage::{SignMark, SignState};
use crate::tx::{Checked, check_many};
use crate::types::{BlockId, ChainId, Height, QuorumRule, TxId};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

const WORD: u8 = 1;
const BLOCK: u8 = 2;
const HEAD: u8 = 3;

const POOLED: u8 = 1;
const GONE: u8 = 2;

/// A log with what it held when it was opened.
pub struct Log {
    /// The log.
    pub log: Box<dyn crate::storage::Log + Send>,
    /// Its records, oldest first.
    pub records: Vec<Vec<u8>>,
}

/// Everything an engine starts with.
pub struct Start {
    /// What the node chooses.
    pub options: Options,
    /// How much the pool holds.
    pub pool_limits: PoolLimits,
    /// The ledger, brought up to its head.
    pub chain: Chain,
    /// The chain's quorum rule.
    pub rule: QuorumRule,
    /// The validator's key, if this is one.
    pub key: Option<Arc<SecretKey>>,
    /// The consensus WAL.
    pub wal: Log,
    /// The pool's log.
    pub pool_log: Log,
    /// The second memory of what the key signed; a follower needs none.
    pub sign_memory: Option<SignMemory>,
    /// The operator's word that the key may sign again from this height on, whatever was lost.
    pub resume_signing_at: Option<Height>,
}

/// The second memory of what a validator signed, as it was found.
pub struct SignMemory {
    /// What it remembers; nothing if it was not there: then nobody knows what was signed.
    pub mark: Option<SignMark>,
    /// Where it goes on.
    pub state: Box<dyn SignState + Send>,
}

/// Why an engine can't start.
pub type StartError = Fault;

impl Engine {
    /// Starts an engine. The outputs are to be performed like those of `handle`.
    pub fn start(start: Start, clock: Clock<'_>) -> Result<(Self, Vec<Output>), StartError> {
        let Start { options, pool_limits, chain, rule, key, wal, pool_log, sign_memory, resume_signing_at } = start;
        let chain = Arc::new(chain);
        let Wal { words, blocks, head } = read_wal(&wal.records)?;
        check_head(&chain, head)?;
        let mut pool = Pool::new(pool_limits);
        let restored = restore(&mut pool, &chain, &pool_log.records, clock)?;
        let own_key = key.as_ref().map(|key| key.public());
        // At the beginning, or for who decides alone, there is nobody to hear from.
        let listens = {
            let set = validators::next_set(&chain.head().tree)?;
            let own = own_key.and_then(|key| set.get(set.index_of(&key)?));
            let needs_others = own.is_some_and(|own| !rule.is_quorum(own.weight, set.total_weight()));
            needs_others && chain.head().block.header.height > Height::ZERO
        };
        let found = sign_memory.as_ref().and_then(|memory| memory.mark);
        let wiped = own_key.is_some() && sign_memory.is_some() && found.is_none();
        let mark = found.unwrap_or_default();
        let barrier = if logged_words(&words, mark.height) < mark.words { mark.height } else { Height::ZERO };
        // A crash can come between the log and the mark: then the mark is due before anything is sent.
        // Without any mark it stays so: what is in the log need not be all that was signed.
        let mark = newest_mark(&words).map_or(mark, |logged| further(mark, logged));
        let unsaved = found.is_some_and(|found| found != mark);
        let state = sign_memory.map(|memory| memory.state);
        let signing = Signing { state, mark, unsaved, known: found.is_some(), forgotten: false };
        // The agreement forgets words of decided heights; a conflict with one is not forgotten.
        let decided = chain.head().block.header.height;
        let of_the_past = words.iter().filter(|word| word.height() <= decided).filter_map(|word| match word {
            WalRecord::Certificate(certificate) => Some(certificate.clone()),
            _ => None,
        });
        let of_the_past = of_the_past.collect();
        let config = Config { chain: chain.id(), rule, key, barrier, wiped, listens, signing_from: resume_signing_at };
        let logged_up_to = words.iter().map(WalRecord::height).max().unwrap_or_default();
        let started = clock().wall;
        let (consensus, effects) = Machine::recover(config, consensus_head(&chain)?, words, clock());
        let mut engine = Self {
            options,
            chain,
            pool: SharedPool(Arc::new(RwLock::new(pool))),
            pool_log: pool_log.log,
            consensus,
            wal: wal.log,
            candidate: None,
            blocks,
            awaited: None,
            unsettled: false,
            switch_due: false,
            logged_up_to,
            started,
            rule,
            own_key,
            signing,
            peers: Peers::default(),
            fetch: Fetch::default(),
            sync: Sync::default(),
            progress: Arc::default(),
            is_outdated: false,
            wake_at: None,
            pool_was_empty: true,
        };
        let mut outputs = Vec::new();
        engine.recall_conflict(of_the_past, &mut outputs)?;
        engine.log_and_announce(restored, &mut outputs)?;
        if !engine.is_halted() {
            engine.perform(clock, effects, &mut outputs)?;
        }
        engine.tell_pool_change(clock, &mut outputs)?;
        engine.step(clock, Input::Tick, &mut outputs)?;
        engine.keep_up(clock, &mut outputs)?;
        engine.ask_to_wake(clock, &mut outputs);
        Ok((engine, outputs))
    }
}

/// How many words of ours the log holds of a height.
fn logged_words(words: &[WalRecord], height: Height) -> u32 {
    let own = |record: &&WalRecord| {
        record.height() == height && matches!(record, WalRecord::Proposal(_) | WalRecord::Vote(_))
    };
    // Far fewer than 2^32.
    u32::try_from(words.iter().filter(own).count()).unwrap_or(u32::MAX)
}

/// What is known of two memories together.
fn further(a: SignMark, b: SignMark) -> SignMark {
    match a.height.cmp(&b.height) {
        Ordering::Less => b,
        Ordering::Greater => a,
        Ordering::Equal => SignMark { height: a.height, view: a.view.max(b.view), words: a.words.max(b.words) },
    }
}

/// The mark the log's words make: a crash can come between the log and the mark.
fn newest_mark(words: &[WalRecord]) -> Option<SignMark> {
    let own = words.iter().filter_map(|record| match record {
        WalRecord::Proposal(proposal) => Some((proposal.height, proposal.view)),
        WalRecord::Vote(vote) => Some((vote.message.height, vote.message.view)),
        WalRecord::Certificate(_) | WalRecord::Barrier(_) => None,
    });
    let (height, view) = own.max()?;
    Some(SignMark { height, view, words: logged_words(words, height) })
}

/// A WAL record of a word of the agreement.
pub(super) fn record_bytes(record: &WalRecord) -> Vec<u8> {
    [&[WORD], record.encode().as_slice()].concat()
}

/// A WAL record of a block.
pub(super) fn block_bytes(block: &Block) -> Vec<u8> {
    [&[BLOCK], codec::encode(&block.header).as_slice(), &block.body.encode()].concat()
}

/// A record of the pool's log: a transaction became pending.
pub(super) fn pooled_bytes(transaction: &Checked) -> Vec<u8> {
    [&[POOLED], transaction.bytes()].concat()
}

/// A record of the pool's log: a transaction was dropped, and its sender told.
pub(super) fn gone_bytes(id: &TxId) -> Vec<u8> {
    [&[GONE], id.0.as_bytes().as_slice()].concat()
}

/// A WAL record of the head the log begins with.
pub(super) fn head_bytes(head: &CommittedBlock) -> Vec<u8> {
    [&[HEAD], codec::encode(&(head.header.height, head.id)).as_slice()].concat()
}

/// The database must hold the block the log began with: it was durable before the log was begun.
fn check_head(chain: &Chain, logged: Option<(Height, BlockId)>) -> Result<(), Fault> {
    let Some((height, id)) = logged else { return Ok(()) };
    let stored = chain.header(height)?.map(|header| header.id());
    match stored {
        Some(stored) if stored == id => Ok(()),
        Some(stored) => Err(Fault::new(format!("block {height} is {stored}, but the consensus log knows it as {id}"))),
        None => Err(Fault::new(format!("block {height} was final, but the database does not hold it any more"))),
    }
}

/// What a consensus log holds.
#[derive(Default)]
struct Wal {
    words: Vec<WalRecord>,
    blocks: BTreeMap<BlockId, Block>,
    head: Option<(Height, BlockId)>,
}

fn read_wal(records: &[Vec<u8>]) -> Result<Wal, Fault> {
    let mut wal = Wal::default();
    let bad = |e: codec::DecodeError| Fault::new(format!("a record of the consensus log: {e}"));
    for record in records {
        match record.split_first() {
            Some((&HEAD, bytes)) => wal.head = Some(codec::decode(bytes, MAX_RECORD_BYTES).map_err(bad)?),
            Some((&WORD, bytes)) => wal.words.push(WalRecord::decode(bytes).map_err(bad)?),
            Some((&BLOCK, mut bytes)) => {
                let header: Header = codec::decode_next(&mut bytes).map_err(bad)?;
                let body = Body::decode(bytes).map_err(bad)?;
                wal.blocks.insert(header.id(), Block { header, body });
            }
            _ => return Err(Fault::new("a record of the consensus log has an unknown kind")),
        }
    }
    Ok(wal)
}

fn restore(pool: &mut Pool, chain: &Chain, records: &[Vec<u8>], clock: Clock<'_>) -> Result<Effects, Fault> {
    let checked = read_pool_log(&chain.id(), records)?;
    let head = chain.head();
    let params = params(&head.tree)?;
    let view = ChainView { rows: &head.tree, params: &params, head: head.block.header.height };
    pool.restore(&view, checked, clock().mono_ms)
}

/// The logged transactions in order, without those that were dropped after they were logged.
fn read_pool_log(chain: &ChainId, records: &[Vec<u8>]) -> Result<Vec<Checked>, Fault> {
    let bad = |what: &dyn std::fmt::Display| Fault::new(format!("the pool's log holds {what}"));
    let (mut bytes, mut gone) = (Vec::new(), Vec::new());
    for record in records {
        match record.split_first() {
            Some((&POOLED, rest)) => bytes.push(rest),
            Some((&GONE, id)) => {
                let id = id.try_into().map_err(|_| bad(&"a drop without an id"))?;
                gone.push((bytes.len(), TxId(Hash(id))));
            }
            _ => return Err(bad(&"a record of unknown kind")),
        }
    }
    let checked: Result<Vec<_>, _> = check_many(chain, &bytes).into_iter().collect();
    let checked = checked.map_err(|e| bad(&e))?;
    // By id, how many records had been logged when it was dropped last.
    let gone: BTreeMap<TxId, usize> = gone.into_iter().map(|(logged, id)| (id, logged)).collect();
    let kept = checked.into_iter().enumerate().filter(|(at, tx)| gone.get(&tx.id()).is_none_or(|logged| at >= logged));
    Ok(kept.map(|(_, tx)| tx).collect())
}

const _: () = assert!(crate::limits::MAX_BLOCK_BYTES + 4096 < MAX_RECORD_BYTES);

#[cfg(test)]
mod tests;
