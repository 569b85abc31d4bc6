//! What all runs with the same validators share: genesis, keys, and transactions signed in
//! advance, because signing them is most of what a run would cost.
//!
//! Not here: what authorities, witnesses, stakers and people of a market sign as it comes (`council`, `witness`,
//! `stakers`, `market`).

use crate::wallet::{FEE, Wallet};
use chain_core::block::Header;
use chain_core::codec::{self, List};
use chain_core::crypto::SecretKey;
use chain_core::genesis::{ConsensusMode, FirstStake, Genesis};
use chain_core::state::Tree;
use chain_core::testing::market::prepare;
use chain_core::tx::{Action, Checked, TRANSACTION_VERSION, Transaction, check_one};
use chain_core::types::{Address, Amount, ChainId, Height, QuorumRule, TimestampMs, ValidatorSet, WireId};
use genesis::Scalar;
use genesis::preset::{Facts, devnet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When height 1 of the chains starts, in unix ms.
pub const GENESIS_MS: u64 = 1_700_000_000_000;
/// Time between blocks, in virtual ms.
pub const BLOCK_TIME_MS: u64 = 1_000;
/// How many accounts send transactions.
pub const SENDERS: usize = 5;
/// How many transactions each of them can send.
pub const NONCES: usize = 24;

/// Where the set changes, it does so after heights that this divides.
pub const EPOCH_BLOCKS: u64 = 5;
/// Where the set changes, an equivocation can be proven for so many blocks.
pub const WINDOW_BLOCKS: u64 = 10;
/// Where the set changes, the council has so long for a proposal, in ms of block time.
pub const PROPOSAL_TTL_MS: u64 = 10_000;
/// How many accounts report what validators did wrong: more than there are nodes.
pub const WITNESSES: usize = 24;

/// How many accounts delegate and have no seat.
pub const DELEGATORS: usize = 3;
/// With stake: so much of it is a weight of one.
pub const UNIT: u128 = 1_000_000;
/// With stake: what a validator of weight 1 has bonded at first.
pub const STAKE: u128 = 100 * UNIT;
/// With stake: what a validator has bonded itself, at least.
pub const LEAST_STAKE: u128 = 50 * UNIT;

/// What a chain that changes starts with, validators and candidates aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who may validate.
    pub mode: ConsensusMode,
    /// Created with each block.
    pub issuance: u128,
    /// In mode `hybrid` the greatest share of the weight.
    pub cap_bps: u16,
    /// With stake: most validators.
    pub most: u32,
    /// So many turns missed more than taken are absence.
    pub absence: u32,
}

impl Terms {
    /// Authorities alone.
    pub const POA: Self = Self { mode: ConsensusMode::Poa, issuance: 0, cap_bps: 10_000, most: 100, absence: 1_000 };

    /// Whether weight follows from stake.
    pub fn has_stake(&self) -> bool {
        self.mode != ConsensusMode::Poa
    }
}

/// A chain and everybody who takes part in it.
pub struct Setting {
    /// The chain's genesis.
    pub genesis: Genesis,
    /// The chain.
    pub chain: ChainId,
    /// The validators of height 1.
    pub set: ValidatorSet,
    /// Their keys, in the order of the set, then those of candidates.
    pub keys: Vec<Arc<SecretKey>>,
    /// By sender and nonce, two transactions that exclude each other.
    pub transactions: Vec<Vec<[Checked; 2]>>,
    /// All of them, by what blocks in short name them with.
    pub by_wire: BTreeMap<WireId, Checked>,
}

impl Setting {
    /// A chain of validators with these weights; with candidates its set can change, and with a market people use it.
    pub fn new(weights: &[u64], candidates: usize, rule: QuorumRule, terms: &Terms, has_market: bool) -> Self {
        let mut keys: Vec<_> = (0..weights.len()).map(|i| key(100 + i as u8)).collect();
        keys.sort_by_key(|key| key.public());
        let public: Vec<_> = keys.iter().map(|key| key.public()).collect();
        keys.extend((0..candidates).map(|i| key((100 + weights.len() + i) as u8)));
        let mut addresses: Vec<_> = (0..SENDERS).map(|i| chain_core::testing::address(i as u8 + 1)).collect();
        if candidates > 0 {
            addresses.extend(keys.iter().map(|key| Address::of_key(&key.public())));
            addresses.extend((0..WITNESSES).map(|who| Address::of_key(&witness(who).public())));
            addresses.extend((0..DELEGATORS).map(|who| Address::of_key(&delegator(who).public())));
        }
        let now = TimestampMs::new(GENESIS_MS);
        let facts = Facts { validators: &public, accounts: &addresses, now, salt: [weights.len() as u8; 32] };
        let mut spec = devnet(facts, BLOCK_TIME_MS as u32).unwrap();
        spec.quorum_rule = rule;
        for (validator, weight) in spec.validators.iter_mut().zip(weights) {
            validator.weight = Scalar::Number(*weight);
        }
        let mut genesis = spec.compile().unwrap();
        if candidates > 0 {
            genesis.params.epoch_blocks = EPOCH_BLOCKS as u32;
            genesis.params.evidence_window_blocks = WINDOW_BLOCKS as u32;
            genesis.params.proposal_ttl_s = (PROPOSAL_TTL_MS / 1_000) as u32;
            genesis.params.retention_s = 5;
            genesis.params.absence_jail_turns = terms.absence;
            if terms.has_stake() {
                stake(&mut genesis, weights, terms);
            }
        }
        if has_market {
            prepare(&mut genesis);
        }
        genesis.check().unwrap();
        let (chain, set) = (genesis.chain_id(), genesis.validator_set().unwrap());
        let transactions: Vec<_> = (0..SENDERS).map(|sender| lane(chain, sender)).collect();
        let all = transactions.iter().flatten().flatten();
        let by_wire = all.map(|tx| (tx.wire_id(), tx.clone())).collect();
        Self { genesis, chain, set, keys: keys.into_iter().map(Arc::new).collect(), transactions, by_wire }
    }

    /// Whether the set can change.
    pub fn changes(&self) -> bool {
        self.keys.len() > self.set.members().len()
    }

    /// A transaction of a key's plain account.
    pub fn sign(&self, key: &SecretKey, nonce: u64, action: Action) -> Checked {
        let unsigned = Transaction {
            version: TRANSACTION_VERSION,
            chain_tag: self.chain.tag(),
            sender: Address::of_key(&key.public()),
            nonce,
            fee_payer: None,
            fee: Amount::new(FEE),
            valid_until: Height::ZERO,
            actions: List::new(vec![action]).unwrap(),
        };
        check_one(&self.chain, &codec::encode(&unsigned.sign(&self.chain, key))).unwrap()
    }

    /// Block 0 and the state after it.
    pub fn block_0(&self) -> (Tree, Header) {
        self.genesis.build().unwrap()
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The key of an account that reports what validators did wrong.
pub fn witness(number: usize) -> SecretKey {
    key(150 + number as u8)
}

/// The key of an account that delegates.
pub fn delegator(number: usize) -> SecretKey {
    key(190 + number as u8)
}

/// Makes a genesis one of a chain with stake; validators are ascending by key.
fn stake(genesis: &mut Genesis, weights: &[u64], terms: &Terms) {
    genesis.mode = terms.mode;
    let params = &mut genesis.params;
    params.evidence_window_blocks = WINDOW_BLOCKS as u32 + 2;
    (params.weight_exponent, params.min_validator_stake) = (6, Amount::new(LEAST_STAKE));
    (params.issuance_per_block, params.weight_cap_bps) = (Amount::new(terms.issuance), terms.cap_bps);
    (params.max_active_validators, params.unbonding_s) = (terms.most, 4);
    (params.slash_equivocation_bps, params.slash_reporter_bps) = (1_003, 4_001);
    let first = |(place, member): (usize, &chain_core::types::Validator)| FirstStake {
        validator: member.public_key,
        amount: Amount::new(u128::from(weights[place]) * STAKE + place as u128),
        commission_bps: 500 * place as u16,
    };
    genesis.stakes = genesis.validators.iter().enumerate().map(first).collect();
    let weights = genesis.stake_weights();
    for member in &mut genesis.validators {
        member.weight = weights[&member.public_key];
    }
}

/// What one account can send: by nonce, payments to two different receivers.
fn lane(chain: ChainId, sender: usize) -> Vec<[Checked; 2]> {
    let wallet = Wallet::new(chain, key(sender as u8 + 1));
    let to = |step: usize| chain_core::testing::address(((sender + step) % (SENDERS + 2)) as u8 + 1);
    let pair =
        |nonce: u64| [1, 2].map(|step| wallet.pay(nonce, to(step + nonce as usize % 3), 100 + u128::from(nonce)));
    (0..NONCES as u64).map(pair).collect()
}
