//! Random actions of every family, valid and hostile, over few accounts and assets so that they
//! meet often. A family adds its actions here to take part in the properties of all.
#![allow(clippy::unwrap_used, clippy::panic)]

mod market;

pub(crate) use market::market_action;

use super::{Action, account, anchor, asset, transfer};
use crate::codec::Text;
use crate::crypto::Hash;
use crate::state::{Account, Authority};
use crate::testing::{FUNDS, Signer, TestChain, address, rotation};
use crate::types::{Address, Amount, AssetId, ModuleAccount};
use proptest::prelude::*;

/// What somebody wants to do; which action that is depends on whose transaction it becomes.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Transfer { to: Address, asset: u32, units: u128, memo: bool },
    Burn { asset: u32, units: u128 },
    Rotate(Signer),
    Memo(bool),
    Create { symbol: usize, max: u128, minter: Option<u8>, initial: u128 },
    Mint { to: Address, asset: u32, units: u128 },
    SetMinter { asset: u32, minter: Option<u8> },
    Anchor(u8),
    Market(Box<Action>),
}

/// Every signer there is in random histories; the first `HOMES` own accounts that derive from them.
pub(crate) fn signers() -> Vec<Signer> {
    let multi = [Signer::Multi(2, vec![1, 2, 3]), Signer::Multi(1, vec![4, 5]), Signer::Multi(3, vec![9, 10, 11])];
    (1..=4).map(Signer::Key).chain(multi).chain((9..=10).map(Signer::Key)).collect()
}

/// How many of `signers` own an account.
pub(crate) const HOMES: usize = 6;

/// Who signs for an account at this moment.
pub(crate) fn signer_of(home: &Signer, account: &Account) -> Signer {
    match account.authority {
        Authority::Derived => home.clone(),
        other => signers().into_iter().find(|signer| signer.authority() == other).unwrap(),
    }
}

fn units() -> impl Strategy<Value = u128> {
    let large = [FUNDS.get(), FUNDS.get() - 10_000, 10u128.pow(30), u128::MAX];
    prop_oneof![20 => 1u128..2_000, 1 => Just(0u128), 1 => prop::sample::select(large.to_vec())]
}

fn receiver() -> impl Strategy<Value = Address> {
    let mut all: Vec<_> = signers().iter().map(Signer::address).collect();
    all.extend([90, 91].map(address));
    prop_oneof![15 => prop::sample::select(all), 1 => Just(ModuleAccount::Treasury.address())]
}

/// A random wish.
pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let minter = || prop_oneof![4 => (1u8..=4).prop_map(Some), 1 => Just(None)];
    let asset = prop_oneof![9 => 0u32..4, 1 => Just(77u32)];
    prop_oneof![
        4 => (receiver(), asset.clone(), units(), any::<bool>())
            .prop_map(|(to, asset, units, memo)| Wish::Transfer { to, asset, units, memo }),
        1 => (asset.clone(), units()).prop_map(|(asset, units)| Wish::Burn { asset, units }),
        1 => prop::sample::select(signers()).prop_map(Wish::Rotate),
        1 => any::<bool>().prop_map(Wish::Memo),
        2 => (0usize..4, units(), minter(), prop_oneof![1 => Just(0u128), 1 => units()])
            .prop_map(|(symbol, max, minter, initial)| Wish::Create { symbol, max, minter, initial }),
        2 => (receiver(), asset.clone(), units()).prop_map(|(to, asset, units)| Wish::Mint { to, asset, units }),
        1 => (asset, minter()).prop_map(|(asset, minter)| Wish::SetMinter { asset, minter }),
        1 => any::<u8>().prop_map(Wish::Anchor),
        2 => market_action().prop_map(|action| Wish::Market(Box::new(action))),
    ]
}

/// A chain in which there are three assets and accounts that hold them.
pub(crate) fn busy_chain() -> TestChain {
    let homes: Vec<_> = signers().iter().map(|signer| signer.address()).collect();
    let mut chain = TestChain::with(&Default::default(), &homes[4..HOMES]);
    for (seed, symbol) in [(1, "AAA"), (2, "USD")] {
        let minter = Some(address(seed));
        let create = asset::Action::AssetCreate {
            symbol: Text::new(symbol).unwrap(),
            units_per_token: Amount::new(1),
            max_supply: Amount::new(5_000),
            minter,
            initial_supply: Amount::new(1_000),
        };
        chain.run_ok(seed, [Action::Asset(create)]);
    }
    chain
}

impl Wish {
    /// The action, for a transaction of this sender with this nonce.
    pub(crate) fn action(&self, sender: &Address, nonce: u64) -> Action {
        let id = |asset: &u32| AssetId::new(*asset);
        let amount = |units: &u128| Amount::new(*units);
        match self {
            Self::Transfer { to, asset, units, memo } => {
                let memo = Text::new(if *memo { "for you" } else { "" }).unwrap();
                let (to, asset, amount) = (*to, id(asset), amount(units));
                Action::Transfer(transfer::Action::Transfer { to, asset, amount, memo })
            }
            Self::Burn { asset, units } => {
                Action::Transfer(transfer::Action::Burn { asset: id(asset), amount: amount(units) })
            }
            Self::Rotate(new) => Action::Account(rotation(sender, nonce, new)),
            Self::Memo(required) => Action::Account(account::Action::SetMemoRequired { required: *required }),
            Self::Create { symbol, max, minter, initial } => Action::Asset(asset::Action::AssetCreate {
                symbol: Text::new(["EUR", "BTC", "USD", "usd"][*symbol]).unwrap(),
                units_per_token: Amount::new(100),
                max_supply: amount(max),
                minter: minter.map(address),
                initial_supply: amount(initial),
            }),
            Self::Mint { to, asset, units } => {
                Action::Asset(asset::Action::AssetMint { asset: id(asset), to: *to, amount: amount(units) })
            }
            Self::SetMinter { asset, minter } => {
                Action::Asset(asset::Action::AssetSetMinter { asset: id(asset), minter: minter.map(address) })
            }
            Self::Market(action) => Action::clone(action),
            Self::Anchor(byte) => Action::Anchor(anchor::Action::Anchor {
                hash: Hash([*byte; 32]),
                kind: Text::default(),
                uri: Text::default(),
            }),
        }
    }
}
