//! What all runs with the same validators share: genesis, keys, and transactions signed in
//! advance, because signing them is most of what a run would cost.

use crate::wallet::Wallet;
use chain_core::block::Header;
use chain_core::crypto::SecretKey;
use chain_core::genesis::Genesis;
use chain_core::state::Tree;
use chain_core::tx::Checked;
use chain_core::types::{ChainId, QuorumRule, TimestampMs, ValidatorSet, WireId};
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

/// A chain and everybody who takes part in it.
pub struct Setting {
    /// The chain's genesis.
    pub genesis: Genesis,
    /// The chain.
    pub chain: ChainId,
    /// The validators.
    pub set: ValidatorSet,
    /// The validators' keys, in the order of the set.
    pub keys: Vec<Arc<SecretKey>>,
    /// By sender and nonce, two transactions that exclude each other.
    pub transactions: Vec<Vec<[Checked; 2]>>,
    /// All of them, by what blocks in short name them with.
    pub by_wire: BTreeMap<WireId, Checked>,
}

impl Setting {
    /// A chain of validators with these weights.
    pub fn new(weights: &[u64], rule: QuorumRule) -> Self {
        let mut keys: Vec<_> = (0..weights.len()).map(|i| key(100 + i as u8)).collect();
        keys.sort_by_key(|key| key.public());
        let public: Vec<_> = keys.iter().map(|key| key.public()).collect();
        let addresses: Vec<_> = (0..SENDERS).map(|i| chain_core::testing::address(i as u8 + 1)).collect();
        let now = TimestampMs::new(GENESIS_MS);
        let facts = Facts { validators: &public, accounts: &addresses, now, salt: [weights.len() as u8; 32] };
        let mut spec = devnet(facts, BLOCK_TIME_MS as u32).unwrap();
        spec.quorum_rule = rule;
        for (validator, weight) in spec.validators.iter_mut().zip(weights) {
            validator.weight = Scalar::Number(*weight);
        }
        let genesis = spec.compile().unwrap();
        let (chain, set) = (genesis.chain_id(), genesis.validator_set().unwrap());
        let transactions: Vec<_> = (0..SENDERS).map(|sender| lane(chain, sender)).collect();
        let all = transactions.iter().flatten().flatten();
        let by_wire = all.map(|tx| (tx.wire_id(), tx.clone())).collect();
        Self { genesis, chain, set, keys: keys.into_iter().map(Arc::new).collect(), transactions, by_wire }
    }

    /// Block 0 and the state after it.
    pub fn block_0(&self) -> (Tree, Header) {
        self.genesis.build().unwrap()
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// What one account can send: by nonce, payments to two different receivers.
fn lane(chain: ChainId, sender: usize) -> Vec<[Checked; 2]> {
    let wallet = Wallet::new(chain, key(sender as u8 + 1));
    let to = |step: usize| chain_core::testing::address(((sender + step) % (SENDERS + 2)) as u8 + 1);
    let pair =
        |nonce: u64| [1, 2].map(|step| wallet.pay(nonce, to(step + nonce as usize % 3), 100 + u128::from(nonce)));
    (0..NONCES as u64).map(pair).collect()
}
