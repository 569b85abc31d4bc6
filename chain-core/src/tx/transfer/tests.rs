//! Rule n of the family is test `rule_n`.

use super::*;
use crate::state::money::{INSUFFICIENT_BALANCE, UNKNOWN_ASSET};
use crate::testing::{FEE, FUNDS, PROPOSER, Signer, TestChain, address, chain, check, pay, sign, transaction};
use crate::tx::{self, AMOUNT_OUT_OF_RANGE, account, asset};
use crate::types::ModuleAccount;

fn transfer_of(asset: u32, to: Address, units: u128) -> tx::Action {
    let (asset, amount, memo) = (AssetId::new(asset), Amount::new(units), Text::default());
    tx::Action::Transfer(Action::Transfer { to, asset, amount, memo })
}

fn burn_of(asset: u32, units: u128) -> tx::Action {
    tx::Action::Transfer(Action::Burn { asset: AssetId::new(asset), amount: Amount::new(units) })
}

fn usd(initial: u128) -> tx::Action {
    tx::Action::Asset(asset::Action::AssetCreate {
        symbol: Text::new("USD").unwrap(),
        units_per_token: Amount::new(100),
        max_supply: Amount::new(1_000_000),
        minter: None,
        initial_supply: Amount::new(initial),
    })
}

fn form(action: tx::Action) -> Option<u16> {
    let signed = sign(transaction(address(1), 0, [action]), &Signer::Key(1), None);
    check(&signed).err().map(|refused| refused.number())
}

fn held(chain: &TestChain, seed: u8) -> u128 {
    chain.balance(seed, AssetId::NATIVE).get()
}

#[test]
fn rule_1_an_amount_is_1_to_10_to_the_30() {
    for (units, verdict) in [(0, false), (1, true), (10u128.pow(30), true), (10u128.pow(30) + 1, false)] {
        let expected = (!verdict).then_some(AMOUNT_OUT_OF_RANGE.number);
        assert_eq!(form(pay(address(2), units)), expected, "{units}");
        assert_eq!(form(burn_of(0, units)), expected, "{units}");
    }
    assert_eq!(form(pay(address(2), u128::MAX)), Some(AMOUNT_OUT_OF_RANGE.number));
}

#[test]
fn rule_2_nobody_transfers_to_a_module_account() {
    for module in ModuleAccount::ALL {
        assert_eq!(form(pay(module.address(), 5)), Some(MODULE_ACCOUNT.number));
    }
}

#[test]
fn rule_3_the_asset_must_exist() {
    let mut chain = TestChain::new();
    assert_eq!(chain.run_refused(1, [transfer_of(1, address(2), 5)]), UNKNOWN_ASSET.number);
    assert_eq!(chain.run_refused(1, [burn_of(1, 5)]), UNKNOWN_ASSET.number);
    assert_eq!(chain.run_refused(1, [transfer_of(u32::MAX, address(1), 5)]), UNKNOWN_ASSET.number);
}

#[test]
fn rule_4_the_sender_holds_amount_and_row_fee() {
    let mut chain = TestChain::new();
    let left = FUNDS.get() - FEE.get();
    // To a new account the row fee of 36 comes on top.
    for (to, units) in [(address(2), left + 1), (address(90), left), (address(90), left - 35)] {
        let mut chain = TestChain::new();
        assert_eq!(chain.run_refused(1, [pay(to, units)]), INSUFFICIENT_BALANCE.number, "{units}");
        assert_eq!(held(&chain, 1), left);
    }
    chain.run_ok(1, [pay(address(90), left - 36)]);
    assert_eq!((held(&chain, 1), held(&chain, 90)), (0, left - 36));
    chain.run_ok(2, [pay(address(3), left)]);
    assert_eq!(held(&chain, 2), 0);
    chain.run_ok(4, [burn_of(0, left)]);
    assert_eq!(chain.run_refused(5, [burn_of(0, left + 1)]), INSUFFICIENT_BALANCE.number);
}

#[test]
fn rule_5_a_new_row_burns_the_row_fee() {
    let mut chain = TestChain::new();
    let burned = |chain: &TestChain| money::asset(&chain.tree, AssetId::NATIVE).unwrap().burned.get();
    let expect = |events: Vec<tx::Event>, fee: u128| {
        let [tx::Event::Transfer(Event::Transferred { row_fee, .. })] = events[..] else { panic!("{events:?}") };
        assert_eq!(row_fee.get(), fee);
    };
    expect(chain.run_ok(1, [pay(address(90), 1)]), 36);
    assert_eq!(held(&chain, 1), FUNDS.get() - FEE.get() - 36 - 1);
    assert_eq!(burned(&chain), FEE.get() / 2 + 36);
    expect(chain.run_ok(1, [pay(address(90), 1)]), 0);
    chain.run_ok(1, [usd(10)]);
    // An account has a row per asset: an existing account may still need one.
    expect(chain.run_ok(1, [transfer_of(1, address(2), 10)]), 36);
    expect(chain.run_ok(2, [transfer_of(1, address(1), 10)]), 36);
    assert!(!money::has_row(&chain.tree, &address(2), AssetId::new(1)), "an empty balance has no row");
}

#[test]
fn rule_6_a_receiver_may_require_a_memo() {
    let mut chain = TestChain::new();
    let required = |required| tx::Action::Account(account::Action::SetMemoRequired { required });
    chain.run_ok(2, [required(true)]);
    assert_eq!(chain.run_refused(1, [pay(address(2), 5)]), MEMO_REQUIRED.number);
    let (to, asset, amount) = (address(2), AssetId::NATIVE, Amount::new(5));
    let memo = Text::new("order 7").unwrap();
    chain.run_ok(1, [tx::Action::Transfer(Action::Transfer { to, asset, amount, memo })]);
    chain.run_ok(2, [required(false)]);
    chain.run_ok(1, [pay(address(2), 5)]);
}

#[test]
fn rule_7_a_transfer_to_oneself_needs_the_balance_and_changes_nothing() {
    let mut chain = TestChain::new();
    let left = FUNDS.get() - FEE.get();
    assert_eq!(chain.run_refused(1, [pay(address(1), left + 1)]), INSUFFICIENT_BALANCE.number);
    assert_eq!(held(&chain, 1), left);
    chain.run_ok(1, [pay(address(1), left - FEE.get())]);
    assert_eq!(held(&chain, 1), left - FEE.get());
    assert_eq!(held(&chain, PROPOSER), FEE.get());
}

#[test]
fn examples_pass_their_own_check() {
    for action in examples() {
        assert_eq!(action.check(&CheckContext::example()), Ok(()));
    }
    assert_eq!(CheckContext::example().chain, chain());
}
