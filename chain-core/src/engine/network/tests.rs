//! What comes over the network, whole engines: a range of blocks across an upgrade.
//!
//! Not here: which ranges are asked of whom (`sync`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use crate::block::FinalBlock;
use crate::codec::{self, Text};
use crate::consensus::Now;
use crate::engine::{Announcement, EngineLog, Input, Options, Start, Submission, Trust};
use crate::genesis::{ConsensusMode, GENESIS_VERSION, Genesis, GenesisAsset, GenesisBalance};
use crate::ledger;
use crate::mempool::PoolLimits;
use crate::state::{Params, Symbol, protocol};
use crate::storage::MemoryStore;
use crate::storage::memlog::MemLog;
use crate::testing::{FEE, address, key};
use crate::tx::authority::{Action, Measure};
use crate::tx::{TRANSACTION_VERSION, Transaction, check_one};
use crate::types::{Amount, AssetId, QuorumRule, TimestampMs, Validator};

const GENESIS_MS: u64 = 1_700_000_000_000;
const SEED: u8 = 1;
/// The first block under version 2.
const UPGRADED: u64 = 8;

/// One validator, and blocks without transactions as often as others.
fn genesis() -> Genesis {
    let supply = Amount::new(1_000_000_000);
    let native = GenesisAsset {
        symbol: Symbol::new("AIT").unwrap(),
        units_per_token: Amount::new(3_600),
        max_supply: supply,
        minter: None,
    };
    Genesis {
        version: GENESIS_VERSION,
        name: Text::new("upgrade").unwrap(),
        genesis_time: TimestampMs::new(GENESIS_MS),
        salt: [1; 32],
        quorum_rule: QuorumRule::Byzantine,
        mode: ConsensusMode::Poa,
        params: Params { block_time_ms: 100, empty_block_interval_ms: 100, delay_blocks: 1, ..Params::default() },
        assets: vec![native],
        stake_asset: AssetId::NATIVE,
        roles: Default::default(),
        validators: vec![Validator { public_key: key(SEED).public(), weight: 1 }],
        stakes: vec![],
        balances: vec![GenesisBalance { address: address(SEED), asset: AssetId::NATIVE, amount: supply }],
    }
}

fn at(ms: u64) -> Now {
    Now { wall: TimestampMs::new(GENESIS_MS + ms), mono_ms: ms }
}

/// The validator, or a follower; its software knows the rules up to this version.
fn engine(known: u32, key: Option<crate::crypto::SecretKey>) -> Engine {
    let genesis = genesis();
    let empty = || EngineLog { records: Vec::new(), log: Box::new(MemLog::new()) };
    let start = Start {
        options: Options { flush_interval_blocks: 1, trust: Trust::Nobody, accept_conflict_at: None },
        pool_limits: PoolLimits::default(),
        chain: ledger::open_as(known, Arc::new(MemoryStore::new()), &genesis, &mut |_| {}).unwrap().chain,
        rule: genesis.quorum_rule,
        key: key.map(Arc::new),
        wal: empty(),
        pool_log: empty(),
        sign_memory: None,
        resume_signing_at: None,
    };
    Engine::start(start, &|| at(0)).unwrap().0
}

/// Blocks 1 to 12 of a chain that goes over to version 2.
fn chain() -> Vec<FinalBlock> {
    let mut engine = engine(2, Some(key(SEED)));
    let measure = Measure::Upgrade { version: 2, height: Height::new(UPGRADED) };
    let chain = engine.chain().id();
    let unsigned = Transaction {
        version: TRANSACTION_VERSION,
        chain_tag: chain.tag(),
        sender: address(SEED),
        nonce: 0,
        fee_payer: None,
        fee: FEE,
        valid_until: Height::ZERO,
        actions: List::new(vec![crate::tx::Action::Authority(Action::CouncilPropose { measure })]).unwrap(),
    };
    let transaction = check_one(&chain, &codec::encode(&unsigned.sign(&chain, &key(SEED)))).unwrap();
    engine.handle(&|| at(0), Input::Submit(vec![Submission { ticket: 1, transaction }])).unwrap();
    let mut ms = 0;
    while engine.height() < Height::new(12) {
        ms += 50;
        assert!(ms < 60_000, "the chain stands at {}", engine.height());
        engine.handle(&|| at(ms), Input::Tick).unwrap();
    }
    (1..=12).map(|height| engine.chain().final_block(Height::new(height)).unwrap().unwrap()).collect()
}

#[test]
fn who_catches_up_across_an_upgrade_falls_silent_at_its_height_and_says_what_came_before() {
    let blocks = chain();
    let range = |from: Height| {
        let blocks = blocks.iter().filter(|block| block.block.header.height >= from).cloned().collect();
        let blocks = List::new(blocks).unwrap();
        Box::new(Message::Blocks { from, blocks, head: Height::new(12), oldest: Height::ZERO })
    };
    for (known, last) in [(2, 12), (1, UPGRADED - 1)] {
        let (mut old, from) = (engine(known, None), Peer(1));
        old.handle(&|| at(0), Input::Joined { peer: from, validator: None }).unwrap();
        let claim = Message::Blocks {
            from: Height::ZERO.next(),
            blocks: List::default(),
            head: Height::new(12),
            oldest: Height::ZERO,
        };
        let mut inputs = vec![Input::Message { from, message: Box::new(claim) }];
        let (mut announced, mut ms) = (Vec::new(), 0);
        while let Some(input) = inputs.pop() {
            let outputs = old.handle(&|| at(ms), input).expect("it falls silent; that is no fault");
            for output in outputs {
                match output {
                    Output::Announce(Announcement::Block(block)) => announced.push(block.header.height.get()),
                    Output::Send { message, .. } => {
                        if let Message::NeedBlocks { from: first, .. } = *message {
                            inputs.push(Input::Message { from, message: range(first) });
                        }
                    }
                    _ => {}
                }
            }
            ms += 1_000;
            if inputs.is_empty() && ms < 60_000 {
                inputs.push(Input::Tick);
            }
        }
        assert_eq!(announced, (1..=last).collect::<Vec<_>>(), "known {known}");
        assert_eq!(old.height(), Height::new(last));
        let version = protocol::protocol(&old.chain().head().tree).unwrap().version;
        assert_eq!(version, 2, "the block before is the last under the old rules");
    }
}
