//! Transactions of an account whose key is at hand.

use chain_core::codec::{self, List};
use chain_core::crypto::SecretKey;
use chain_core::testing::pay;
use chain_core::tx::{Action, Checked, TRANSACTION_VERSION, Transaction, check_one};
use chain_core::types::{Address, Amount, ChainId, Height};

/// A fee that is enough for anything the tests do.
pub const FEE: u128 = 10_000;

/// A plain account with its key.
pub struct Wallet {
    /// The chain it signs for.
    pub chain: ChainId,
    /// Its key.
    pub key: SecretKey,
    /// Its address.
    pub address: Address,
}

impl Wallet {
    /// The plain account of a key.
    pub fn new(chain: ChainId, key: SecretKey) -> Self {
        Self { chain, address: Address::of_key(&key.public()), key }
    }

    /// An unsigned transaction with [`FEE`].
    pub fn transaction(&self, nonce: u64, actions: impl IntoIterator<Item = Action>) -> Transaction {
        Transaction {
            version: TRANSACTION_VERSION,
            chain_tag: self.chain.tag(),
            sender: self.address,
            nonce,
            fee_payer: None,
            fee: Amount::new(FEE),
            valid_until: Height::ZERO,
            actions: List::new(actions.into_iter().collect()).unwrap(),
        }
    }

    /// Complete signed bytes.
    pub fn sign(&self, transaction: Transaction) -> Vec<u8> {
        codec::encode(&transaction.sign(&self.chain, &self.key))
    }

    /// A signed transfer of native base units, checked.
    pub fn pay(&self, nonce: u64, to: Address, units: u128) -> Checked {
        let bytes = self.sign(self.transaction(nonce, [pay(to, units)]));
        check_one(&self.chain, &bytes).unwrap()
    }
}
