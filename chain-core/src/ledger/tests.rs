//! Snapshots and pruning: a chain of several validators without consensus, on a store that crashes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod epochs;
mod listed;

use super::*;
use crate::block::{BLOCK_VERSION, Block, Body, FinalBlock, Header};
use crate::codec::{self, Text};
use crate::crypto::SecretKey;
use crate::execute::{BlockContext, Execution};
use crate::genesis::{ConsensusMode, GENESIS_VERSION, Genesis, GenesisAsset, GenesisBalance};
use crate::limits::MAX_AMOUNT;
use crate::state::validators::{VALIDATOR_SETS, ValidatorSets};
use crate::state::{Change, Overlay, Params, Symbol};
use crate::storage::faulty::{Fault as Break, FaultyStore};
use crate::storage::{MemoryStore, RocksOptions, RocksStore, Store};
use crate::testing::{address, key, transaction};
use crate::tx::{Action, Checked, check_one, transfer};
use crate::types::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

const ACCOUNTS: u8 = 7;
const STAKE: AssetId = AssetId::new(1);
const UNITS: u128 = 1_000_000_000;

fn secrets(seeds: &[u8]) -> Vec<SecretKey> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    keys.sort_by_key(SecretKey::public);
    keys
}

fn members(keys: &[SecretKey]) -> Vec<Validator> {
    keys.iter().map(|key| Validator { public_key: key.public(), weight: 1 }).collect()
}

fn genesis(salt: u8) -> Genesis {
    let asset = |symbol: &str| GenesisAsset {
        symbol: Symbol::new(symbol).unwrap(),
        units_per_token: Amount::new(3600),
        max_supply: Amount::new(MAX_AMOUNT),
        minter: None,
    };
    let mut balances: Vec<_> = (1..=ACCOUNTS)
        .flat_map(|seed| [AssetId::NATIVE, STAKE].map(|asset| (address(seed), asset)))
        .map(|(address, asset)| GenesisBalance { address, asset, amount: Amount::new(UNITS) })
        .collect();
    balances.sort_by_key(|balance| (balance.address, balance.asset));
    Genesis {
        version: GENESIS_VERSION,
        name: Text::new("snapshots").unwrap(),
        genesis_time: TimestampMs::new(1_769_860_800_000),
        salt: [salt; 32],
        quorum_rule: QuorumRule::Byzantine,
        mode: ConsensusMode::Poa,
        params: Params::default(),
        assets: vec![asset("AIT"), asset("STK")],
        stake_asset: STAKE,
        roles: Default::default(),
        validators: members(&secrets(&[200, 201, 202, 203])),
        stakes: vec![],
        balances,
    }
}

/// What a transaction does: moves all of somebody's STK, which deletes a row, or a little AIT to
/// somebody new.
#[derive(Clone, Copy, Debug)]
enum Step {
    AllStake { from: u8, to: u8 },
    Little { from: u8, to: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (any::<bool>(), 1..=ACCOUNTS, 1..20u8);
    let step = step.prop_map(|(all, from, to)| match all {
        true => Step::AllStake { from, to },
        false => Step::Little { from, to: to + 20 },
    });
    vec(vec(step, 0..4), 1..12)
}

/// A ledger with those who sign its blocks.
struct Maker {
    chain: Chain,
    signers: Vec<SecretKey>,
}

impl Maker {
    fn open(store: Arc<dyn Store>) -> Self {
        let chain = open(store, &genesis(7), &mut |_| {}).unwrap().chain;
        Self { chain, signers: secrets(&[200, 201, 202, 203]) }
    }

    fn new() -> (Arc<MemoryStore>, Self) {
        let store = Arc::new(MemoryStore::new());
        (store.clone(), Self::open(store))
    }

    fn height(&self) -> Height {
        self.chain.head().block.header.height
    }

    fn context(&self) -> BlockContext {
        let head = self.chain.head();
        let height = head.block.header.height.next();
        let timestamp = head.block.header.timestamp_ms.saturating_add(2_000);
        BlockContext { chain: self.chain.id(), height, view: View::ZERO, timestamp, proposer: self.signers[0].public() }
    }

    fn certificate(&self, header: &Header) -> Certificate {
        let message = SignedMessage {
            kind: VoteKind::Finalize,
            height: header.height,
            view: View::ZERO,
            block: Some(header.id()),
        };
        let votes: Vec<_> =
            self.signers.iter().map(|key| Vote::sign(message, &self.chain.id(), key).unwrap()).collect();
        let set = ValidatorSet::new(members(&self.signers)).unwrap();
        Certificate::from_votes(message, &votes, QuorumRule::Byzantine, &set).unwrap()
    }

    fn header(&self, context: BlockContext) -> Header {
        let head = self.chain.head();
        let before = &head.block.header;
        Header {
            version: BLOCK_VERSION,
            height: context.height,
            parent: head.block.id,
            timestamp_ms: context.timestamp,
            proposer: context.proposer,
            validators_hash: before.next_validators_hash,
            ..before.clone()
        }
    }

    fn checked(&self, from: u8, nonce: u64, to: u8, asset: AssetId, units: u128) -> Checked {
        let (to, amount, memo) = (address(to), Amount::new(units), Default::default());
        let action = Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo });
        let id = self.chain.id();
        let unsigned = crate::tx::Transaction { chain_tag: id.tag(), ..transaction(address(from), nonce, [action]) };
        check_one(&id, &codec::encode(&unsigned.sign(&id, &key(from)))).unwrap()
    }

    /// The next block, executed, stored and made the head.
    fn block(&self, steps: &[Step]) -> BlockId {
        let context = self.context();
        let (executed, taken) = {
            let head = self.chain.head();
            let mut building = Execution::start(&head.tree, context).unwrap();
            let mut taken: Vec<Checked> = Vec::new();
            for step in steps {
                let (Step::AllStake { from, to } | Step::Little { from, to }) = *step;
                let sent = taken.iter().filter(|tx| tx.transaction().sender == address(from)).count() as u64;
                let nonce = crate::state::money::account(&head.tree, &address(from)).unwrap().nonce + sent;
                let held = crate::state::money::balance(&head.tree, &address(from), STAKE).unwrap().get();
                let tx = match step {
                    Step::AllStake { .. } => self.checked(from, nonce, to, STAKE, held.max(1)),
                    Step::Little { .. } => self.checked(from, nonce, to, AssetId::NATIVE, 100_000),
                };
                building.push(&tx).unwrap();
                taken.push(tx);
            }
            (building.finish().unwrap(), taken)
        };
        let header = Header {
            tx_root: executed.tx_root,
            outcome_root: executed.outcome_root,
            state_root: executed.state_root(),
            next_validators_hash: executed.next_validators_hash,
            ..self.header(context)
        };
        let body = Body::new(taken.iter().map(|tx| tx.bytes().to_vec()).collect());
        let certificate = Some(self.certificate(&header));
        let block = FinalBlock { block: Block { header, body }, certificate };
        self.chain.store_block(&block, crate::storage::Durability::Synced).unwrap();
        let block = Arc::new(CommittedBlock::new(block, &taken, executed.results, 0));
        self.chain.advance(block.clone(), executed.delta).unwrap();
        block.id
    }

    /// Some blocks, flushed every `flush`.
    fn blocks(&self, script: &[Vec<Step>], flush: u64) -> Vec<BlockId> {
        let one = |steps: &Vec<Step>| {
            let id = self.block(steps);
            if self.chain.unflushed_blocks() >= flush {
                self.chain.flush().unwrap();
            }
            id
        };
        script.iter().map(one).collect()
    }

    /// An empty block whose state is changed by hand.
    fn by_hand(&self, changes: Vec<Change>, next: &[SecretKey]) -> BlockId {
        let context = self.context();
        let empty = Execution::start(&self.chain.head().tree, context).unwrap().finish().unwrap();
        let delta = self.chain.head().tree.preview(changes);
        let header = Header {
            tx_root: empty.tx_root,
            outcome_root: empty.outcome_root,
            state_root: delta.root(),
            next_validators_hash: ValidatorSet::new(members(next)).unwrap().hash(&self.chain.id()),
            ..self.header(context)
        };
        let certificate = Some(self.certificate(&header));
        let block = FinalBlock { block: Block { header, body: Body::default() }, certificate };
        self.chain.store_block(&block, crate::storage::Durability::Synced).unwrap();
        let block = Arc::new(CommittedBlock::new(block, &[], empty.results, 0));
        self.chain.advance(block.clone(), delta).unwrap();
        block.id
    }

    /// An empty block after which others sign.
    fn hand_over(&mut self, seeds: &[u8]) {
        let next = secrets(seeds);
        let changes = {
            let head = self.chain.head();
            let mut overlay = Overlay::new(&head.tree);
            VALIDATOR_SETS.put(&mut overlay, &(), &ValidatorSets { next: members(&next) });
            overlay.into_changes()
        };
        self.by_hand(changes, &next);
        self.signers = next;
    }

    fn export(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.chain.export(&mut bytes).unwrap();
        bytes
    }
}

fn plain(blocks: usize) -> Vec<Vec<Step>> {
    (0..blocks).map(|at| vec![Step::Little { from: 1 + (at % 3) as u8, to: 30 + (at % 40) as u8 }]).collect()
}

fn imported(bytes: &[u8]) -> Result<(Arc<MemoryStore>, Imported), SnapshotError> {
    let store = Arc::new(MemoryStore::new());
    let done = import(&*store, &genesis(7), None, &mut &bytes[..])?;
    Ok((store, done))
}

fn refused(bytes: &[u8]) -> SnapshotError {
    let store = MemoryStore::new();
    let error = import(&store, &genesis(7), None, &mut &bytes[..]).unwrap_err();
    for table in crate::storage::Table::ALL {
        let none = store.scan(table, &crate::storage::KeyRange::all(), crate::storage::Direction::Forward, 1).unwrap();
        assert!(none.is_empty(), "a refused snapshot leaves nothing: {error}");
    }
    error
}

fn same_state(a: &Chain, b: &Chain) {
    let (a, b) = (a.head(), b.head());
    assert_eq!((a.block.id, a.tree.root()), (b.block.id, b.tree.root()));
    let rows = |tree: &crate::state::Tree| -> Vec<_> {
        tree.rows().map(|(key, slot, value)| (*key, slot, value.to_vec())).collect()
    };
    assert_eq!(rows(&a.tree), rows(&b.tree));
    assert_eq!(a.tree.leaf_count(), b.tree.leaf_count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_imported_chain_goes_on_exactly_as_the_one_exported(before in steps(), after in steps(), flush in 1u64..4) {
        let (_, source) = Maker::new();
        source.blocks(&before, flush);
        source.chain.flush().unwrap();
        let (store, done) = imported(&source.export()).unwrap();
        let copy = Maker::open(store.clone());
        prop_assert_eq!((done.height, done.block), (source.height(), source.chain.head().block.id));
        same_state(&source.chain, &copy.chain);
        let after: Vec<_> = after.into_iter().cycle().take(20).collect();
        prop_assert_eq!(source.blocks(&after, flush), copy.blocks(&after, flush));
        same_state(&source.chain, &copy.chain);
        drop(copy);
        store.crash();
        same_state(&source.chain, &Maker::open(store).chain);
    }
}

#[test]
fn freed_slots_are_part_of_a_snapshot() {
    let (_, source) = Maker::new();
    let all = |from, to| vec![Step::AllStake { from, to }];
    source.blocks(&[all(1, 2), all(2, 3), vec![Step::Little { from: 4, to: 40 }], all(3, 4)], 1);
    let tree_has_gaps = {
        let head = source.chain.head();
        (head.tree.leaf_count() as usize) > head.tree.len() + 1
    };
    assert!(tree_has_gaps, "the test needs a free slot");
    let (store, _) = imported(&source.export()).unwrap();
    let copy = Maker::open(store);
    let refill = [vec![Step::Little { from: 5, to: 50 }], all(4, 1)];
    assert_eq!(source.blocks(&refill, 1), copy.blocks(&refill, 1));
    same_state(&source.chain, &copy.chain);
}

#[test]
fn what_is_older_than_the_snapshot_is_not_there_and_all_else_is() {
    let (_, source) = Maker::new();
    source.blocks(&plain(10), 1);
    let (store, done) = imported(&source.export()).unwrap();
    let chain = Maker::open(store).chain;
    assert_eq!((chain.oldest_body(), done.height), (Height::new(10), Height::new(10)));
    let head = source.chain.block(Height::new(10)).unwrap().unwrap();
    let found = chain.block(Height::new(10)).unwrap().unwrap();
    assert_eq!((found.id, &found.results, &found.tx_ids), (head.id, &head.results, &head.tx_ids));
    assert_eq!(found.certificate, head.certificate);
    assert_eq!(chain.locate(&head.tx_ids[0]).unwrap().unwrap().index, 0);
    assert_eq!(chain.height_of(&head.id).unwrap(), Some(Height::new(10)));
    for height in (0..10).map(Height::new) {
        assert!(chain.block(height).unwrap().is_none(), "{height}");
        let old = source.chain.block(height).unwrap().unwrap();
        assert!(old.tx_ids.iter().all(|id| chain.locate(id).unwrap().is_none()));
        let header = chain.header(height).unwrap();
        assert_eq!(header.is_some(), height == Height::ZERO, "{height}");
    }
    assert_eq!(index_history(&chain, 100).unwrap(), 1);
    assert_eq!(chain.history(&address(1), None, 9).unwrap().len(), 1, "the newest block's transfer");
}

#[test]
fn the_validator_set_is_followed_from_the_genesis() {
    let (_, mut source) = Maker::new();
    source.blocks(&plain(2), 1);
    source.hand_over(&[201, 202, 203, 204, 205]);
    source.block(&[]);
    source.hand_over(&[205, 206]);
    source.chain.flush().unwrap();
    source.blocks(&plain(2), 1);
    let bytes = source.export();
    let (store, _) = imported(&bytes).unwrap();
    let copy = open(store, &genesis(7), &mut |_| {}).unwrap().chain;
    same_state(&source.chain, &copy);
    let mut again = Vec::new();
    copy.export(&mut again).unwrap();
    assert_eq!(bytes, again, "whoever restored can pass it on");
    // A snapshot of the very block that changes the set carries the change on.
    source.hand_over(&[207]);
    source.chain.flush().unwrap();
    let (store, _) = imported(&source.export()).unwrap();
    let chain = open(store, &genesis(7), &mut |_| {}).unwrap().chain;
    let copy = Maker { chain, signers: secrets(&[207]) };
    copy.blocks(&[vec![]], 1);
    assert_eq!(imported(&copy.export()).unwrap().1.height, copy.height());
}

type Frames = Vec<(u8, Vec<u8>)>;
type Rows = Vec<(crate::state::RowKey, u32, Vec<u8>)>;

/// The frames of a stream, and a stream of frames.
fn split(bytes: &[u8]) -> (Vec<u8>, Frames) {
    let (preface, mut rest) = bytes.split_at(12 + 1 + 32);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[1..5].try_into().unwrap()) as usize;
        frames.push((rest[0], rest[5..5 + length].to_vec()));
        rest = &rest[5 + length + 32..];
    }
    (preface.to_vec(), frames)
}

/// With right checksums, whatever the frames say.
fn join(preface: &[u8], frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = preface.to_vec();
    for (number, (kind, payload)) in frames.iter().enumerate() {
        let head = [&[*kind][..], &(payload.len() as u32).to_le_bytes()].concat();
        let mut hasher = blake3::Hasher::new_derive_key("ait snapshot frame 1");
        hasher.update(&(number as u64).to_le_bytes()).update(&head).update(payload);
        bytes.extend([head.as_slice(), payload, hasher.finalize().as_bytes()].concat());
    }
    bytes
}

fn sample() -> Vec<u8> {
    let (_, mut source) = Maker::new();
    source.blocks(&plain(3), 1);
    source.hand_over(&[201, 202, 203, 204]);
    source.chain.flush().unwrap();
    source.blocks(&plain(2), 1);
    source.export()
}

#[test]
fn every_damage_is_refused_and_leaves_nothing() {
    let good = sample();
    assert!(imported(&good).is_ok());
    for at in (0..good.len()).step_by(7).chain(0..120).chain(good.len() - 80..good.len()) {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped);
        let cut = refused(&good[..at]);
        assert!(matches!(cut, SnapshotError::Truncated(_)), "{cut}");
    }
    assert!(matches!(refused(&[&good[..], &[0]].concat()), SnapshotError::Damaged { .. }));
    assert!(matches!(refused(b"this is another file of some length"), SnapshotError::NotASnapshot));
    let mut newer = good.clone();
    newer[12] = 2;
    assert!(matches!(refused(&newer), SnapshotError::Version(2)));
    let other = import(&MemoryStore::new(), &genesis(8), None, &mut &good[..]).unwrap_err();
    assert!(matches!(other, SnapshotError::OtherChain { .. }), "{other}");
}

/// Who forges content can make checksums, too.
#[test]
fn every_forgery_is_named() {
    let good = sample();
    let (preface, frames) = split(&good);
    assert_eq!(join(&preface, &frames), good);
    let forge = |change: &dyn Fn(&mut Frames)| {
        let mut frames = frames.clone();
        change(&mut frames);
        refused(&join(&preface, &frames))
    };
    type Part = (Header, Option<Certificate>, Vec<u8>, Vec<u8>);
    let block = |change: &dyn Fn(&mut Part)| {
        forge(&|frames| {
            let mut part: Part = codec::decode(&frames[1].1, usize::MAX).unwrap();
            change(&mut part);
            frames[1].1 = codec::encode(&part);
        })
    };
    type Hop = (Header, Certificate, Vec<Validator>);
    let hop = |change: &dyn Fn(&mut Hop)| {
        forge(&|frames| {
            let mut part: Hop = codec::decode(&frames[0].1, usize::MAX).unwrap();
            change(&mut part);
            frames[0].1 = codec::encode(&part);
        })
    };
    let why = |error: SnapshotError| match error {
        SnapshotError::NotFinal { why, .. } => why.to_string(),
        other => panic!("{other}"),
    };
    assert!(matches!(block(&|part| part.1 = None), SnapshotError::NoCertificate(_)));
    assert!(why(block(&|part| part.0.state_root.0[3] ^= 1)).contains("another vote"));
    let drop_a_signature = |part: &mut Part| {
        let certificate = part.1.as_mut().unwrap();
        let mut signatures = certificate.signatures.clone().into_inner();
        signatures[0].0[40] ^= 1;
        certificate.signatures = codec::List::new(signatures).unwrap();
    };
    assert!(why(block(&drop_a_signature)).contains("does not verify"));
    assert!(matches!(block(&|part| part.2 = Body::default().encode()), SnapshotError::Content(_)));
    assert!(matches!(
        block(&|part| part.3 = codec::encode(&crate::block::Results::default())),
        SnapshotError::Content(_)
    ));
    let other_events = |part: &mut Part| {
        let mut results = crate::block::Results::decode(&part.3).unwrap();
        results.events[0].clear();
        part.3 = codec::encode(&results);
    };
    assert!(matches!(block(&other_events), SnapshotError::Content(_)));
    assert!(why(hop(&|part| part.2 = members(&secrets(&[1])))).contains("not the one its header names"));
    assert!(why(forge(&|frames| drop(frames.remove(0)))).contains("another validator set"));
    assert!(why(forge(&|frames| frames.insert(0, frames[0].clone()))).contains("does not follow"));
    assert!(matches!(forge(&|frames| drop(frames.remove(1))), SnapshotError::Malformed { .. }));
    let rows = |change: &dyn Fn(&mut Rows)| {
        forge(&|frames| {
            let mut bytes = frames[2].1.as_slice();
            let mut rows = Rows::new();
            while !bytes.is_empty() {
                rows.push(codec::decode_next(&mut bytes).unwrap());
            }
            change(&mut rows);
            frames[2].1 = rows.iter().flat_map(codec::encode).collect();
            frames[3].1 = codec::encode(&(rows.len() as u64));
        })
    };
    assert!(matches!(rows(&|rows| rows[5].2[3] ^= 1), SnapshotError::Root { .. }));
    assert!(matches!(rows(&|rows| drop(rows.remove(5))), SnapshotError::Root { .. }));
    assert!(matches!(rows(&|rows| rows.swap(4, 5)), SnapshotError::Damaged { .. }));
    let swap_slots = |rows: &mut Rows| (rows[4].1, rows[5].1) = (rows[5].1, rows[4].1);
    assert!(matches!(rows(&swap_slots), SnapshotError::Root { .. }));
    assert!(matches!(rows(&|rows| rows[4].1 = rows[5].1), SnapshotError::Rows(_)));
    assert!(matches!(rows(&|rows| rows[4].1 = u32::MAX), SnapshotError::Rows(_)), "bounded memory");
    assert!(matches!(forge(&|frames| frames[3].1 = codec::encode(&1u64)), SnapshotError::Damaged { .. }));
    assert!(matches!(forge(&|frames| frames[3].0 = 9), SnapshotError::Damaged { .. }));
}

#[test]
fn only_an_empty_database_takes_a_snapshot_and_only_a_chain_with_blocks_gives_one() {
    let bytes = sample();
    let (store, maker) = Maker::new();
    assert!(matches!(maker.chain.export(&mut Vec::new()), Err(SnapshotError::Nothing)));
    drop(maker);
    import(&*store, &genesis(7), None, &mut &bytes[..]).unwrap();
    let again = import(&*store, &genesis(7), None, &mut &bytes[..]).unwrap_err();
    assert!(matches!(again, SnapshotError::NotEmpty(height) if height == Height::new(6)), "{again}");
    let other = Arc::new(MemoryStore::new());
    open(other.clone(), &genesis(9), &mut |_| {}).unwrap();
    assert!(matches!(import(&*other, &genesis(7), None, &mut &bytes[..]), Err(SnapshotError::OtherChain { .. })));
}

/// Whether block 0 was there before or not.
#[test]
fn an_import_that_is_broken_off_at_any_write_can_be_started_again() {
    let bytes = sample();
    for begun in [false, true] {
        let fresh = || {
            let store = Arc::new(MemoryStore::new());
            if begun {
                open(store.clone(), &genesis(7), &mut |_| {}).unwrap();
            }
            store
        };
        let counting = FaultyStore::counting(fresh());
        import(&counting, &genesis(7), None, &mut &bytes[..]).unwrap();
        let points = counting.write_points();
        assert!(points >= 3);
        for (point, fault) in (0..points).flat_map(|point| Break::ALL.map(|fault| (point, fault))) {
            for kept in [0, usize::MAX] {
                let store = fresh();
                let broken = FaultyStore::failing_at(store.clone(), point, fault);
                assert!(import(&broken, &genesis(7), None, &mut &bytes[..]).is_err());
                store.crash_keeping(kept);
                let what = format!("block 0 there: {begun}, {fault:?} at {point}, {kept} kept");
                let finished = match open(store.clone(), &genesis(7), &mut |_| {}) {
                    Ok(opened) => opened.chain.head().block.header.height == Height::new(6),
                    Err(OpenError::Unfinished(height)) => {
                        assert_eq!(height, Height::new(6), "{what}");
                        false
                    }
                    Err(other) => panic!("{what}: {other}"),
                };
                assert!(!finished || (point, fault) == (points - 1, Break::After), "{what}");
                match import(&*store, &genesis(7), None, &mut &bytes[..]) {
                    Ok(done) => assert_eq!(done.height, Height::new(6), "{what}"),
                    Err(error) => assert!(finished && matches!(error, SnapshotError::NotEmpty(_)), "{what}: {error}"),
                }
                let chain = open(store, &genesis(7), &mut |_| {}).unwrap().chain;
                assert_eq!(chain.head().block.header.height, Height::new(6), "{what}");
            }
        }
    }
}

#[test]
fn pruning_forgets_contents_and_keeps_headers_over_restarts_and_crashes() {
    let (store, maker) = Maker::new();
    maker.blocks(&plain(100), 3);
    index_history(&maker.chain, 1000).unwrap();
    let flushed = maker.chain.flushed().get();
    assert_eq!((flushed, maker.height().get()), (99, 100));
    let old = maker.chain.block(Height::new(5)).unwrap().unwrap();
    assert_eq!(maker.chain.prune(1, 10).unwrap(), 10, "never more than asked for");
    assert_eq!(maker.chain.prune(0, 1000).unwrap(), flushed - MIN_KEPT_BLOCKS - 10, "never more than may go");
    assert_eq!(maker.chain.prune(0, 1000).unwrap(), 0);
    let oldest = Height::new(flushed - MIN_KEPT_BLOCKS);
    let head = maker.chain.head().block.id;
    drop(maker);
    for kept in [usize::MAX, 0] {
        store.crash_keeping(kept);
        let chain = open(store.clone(), &genesis(7), &mut |_| {}).unwrap().chain;
        assert_eq!((chain.oldest_body(), chain.head().block.id), (oldest, head));
        for height in (0..=100).map(Height::new) {
            assert_eq!(chain.block(height).unwrap().is_some(), height >= oldest, "{height}");
            assert!(chain.header(height).unwrap().is_some(), "{height}");
            assert_eq!(chain.certificate(height).unwrap().is_some(), height > Height::ZERO, "{height}");
        }
        assert!(old.tx_ids.iter().all(|id| chain.locate(id).unwrap().is_none()));
        assert_eq!(chain.height_of(&old.id).unwrap(), Some(Height::new(5)));
        let history = chain.history(&address(1), None, 1000).unwrap();
        assert!(!history.is_empty() && history.iter().all(|entry| entry.height >= oldest));
    }
    let tables = [crate::storage::Table::Bodies, crate::storage::Table::Events, crate::storage::Table::TxIndex];
    for table in tables {
        let mut rows = 0;
        store
            .for_each(table, &mut |_, _| {
                rows += 1;
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        assert!(rows <= 1 + 100 - oldest.get(), "{}: {rows}", table.name());
    }
}

/// A power cut may take flushes and removals that were not synced, but never a block that is needed.
#[test]
fn a_pruned_database_recovers_whatever_a_power_cut_leaves() {
    for kept in 0..40 {
        let (store, maker) = Maker::new();
        maker.blocks(&plain(70), 2);
        // The newest block is synced; what follows is not.
        maker.chain.flush().unwrap();
        maker.chain.prune(0, 1000).unwrap();
        index_history(&maker.chain, 20).unwrap();
        assert!(store.unsynced() > 20);
        let (head, oldest) = (maker.chain.head().block.id, maker.chain.oldest_body());
        drop(maker);
        store.crash_keeping(kept);
        let maker = Maker::open(store);
        assert_eq!(maker.chain.head().block.id, head, "{kept}");
        assert!(maker.chain.oldest_body() <= oldest);
        for height in maker.chain.oldest_body().get()..=70 {
            assert!(maker.chain.block(Height::new(height)).unwrap().is_some(), "{kept}: {height}");
        }
        maker.blocks(&plain(3), 1);
        maker.chain.prune(0, 1000).unwrap();
        assert!(maker.chain.oldest_body() > oldest);
    }
}

#[test]
fn histories_are_indexed_behind_what_was_pruned() {
    let (_, maker) = Maker::new();
    maker.blocks(&plain(80), 1);
    maker.chain.prune(0, 1000).unwrap();
    let oldest = maker.chain.oldest_body().get();
    assert_eq!(index_history(&maker.chain, 1000).unwrap(), 80 - (oldest - 1));
    let all: Vec<_> = (1..=3).flat_map(|seed| maker.chain.history(&address(seed), None, 1000).unwrap()).collect();
    assert_eq!(all.len() as u64, 80 - (oldest - 1));
}

/// On the real database, while blocks are made and flushed: each export is of one moment.
#[test]
fn an_export_while_the_chain_goes_on_is_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksStore::open(dir.path(), &RocksOptions::default()).unwrap());
    let maker = Maker::open(store);
    maker.blocks(&plain(2), 1);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            maker.blocks(&plain(150), 2);
            over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut heights = std::collections::BTreeSet::new();
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            let (_, done) = imported(&maker.export()).unwrap();
            heights.insert(done.height);
        }
        assert!(heights.len() > 2, "{heights:?}");
    });
}

#[test]
fn a_summary_says_what_stands_in_a_database() {
    assert_eq!(Summary::read(&MemoryStore::new()).unwrap(), None);
    let (store, maker) = Maker::new();
    maker.blocks(&plain(5), 2);
    let summary = Summary::read(&*store).unwrap().unwrap();
    assert_eq!((summary.head.id(), summary.flushed), (maker.chain.head().block.id, Height::new(4)));
    assert_eq!((summary.oldest_body, summary.indexed), (Height::ZERO, Height::ZERO));
    assert!(summary.rows > 10);
}
