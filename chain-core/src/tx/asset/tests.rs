//! Rule n of the family is test `rule_n`.

use super::*;
use crate::state::money::{INSUFFICIENT_BALANCE, UNKNOWN_ASSET};
use crate::testing::{FEE, TestChain, address};
use crate::tx;
use crate::types::ModuleAccount;

const USD: AssetId = AssetId::new(1);

fn create(symbol: &str, per: u128, max: u128, minter: Option<u8>, initial: u128) -> Action {
    Action::AssetCreate {
        symbol: Text::new(symbol).unwrap(),
        units_per_token: Amount::new(per),
        max_supply: Amount::new(max),
        minter: minter.map(address),
        initial_supply: Amount::new(initial),
    }
}

fn usd() -> tx::Action {
    tx::Action::Asset(create("USD", 100, 1_000, Some(1), 0))
}

fn mint(asset: AssetId, to: u8, units: u128) -> tx::Action {
    tx::Action::Asset(Action::AssetMint { asset, to: address(to), amount: Amount::new(units) })
}

fn set_minter(minter: Option<u8>) -> tx::Action {
    tx::Action::Asset(Action::AssetSetMinter { asset: USD, minter: minter.map(address) })
}

fn form(action: &Action) -> Option<u16> {
    action.check(&CheckContext::example()).err().map(|refused| refused.number())
}

fn row(chain: &TestChain, id: AssetId) -> Asset {
    money::asset(&chain.tree, id).unwrap()
}

fn native(chain: &TestChain, seed: u8) -> u128 {
    chain.balance(seed, AssetId::NATIVE).get()
}

#[test]
fn rule_1_symbols_have_a_form_and_are_unique() {
    for bad in ["", "U", "usd", "Usd", "1USD", "US D", "US-D", "ÜSD", "USD\u{200b}"] {
        assert_eq!(form(&create(bad, 1, 1, None, 0)), Some(SYMBOL_FORM.number), "{bad}");
    }
    for good in ["US", "U1", "ABCDEFGHIJK9"] {
        assert_eq!(form(&create(good, 1, 1, None, 0)), None, "{good}");
    }
    assert!(Symbol::new("ABCDEFGHIJKLM").is_err());
    let mut chain = TestChain::new();
    chain.run_ok(1, [usd()]);
    for seed in [1, 2] {
        assert_eq!(chain.run_refused(seed, [usd()]), SYMBOL_TAKEN.number);
        let native = tx::Action::Asset(create("AIT", 1, 1, None, 0));
        assert_eq!(chain.run_refused(seed, [native]), SYMBOL_TAKEN.number);
    }
    assert_eq!(chain.run_refused(3, [tx::Action::Asset(create("EUR", 1, 1, None, 0)), usd()]), SYMBOL_TAKEN.number);
    assert_eq!(
        money::asset(&chain.tree, AssetId::new(2)).unwrap_err(),
        UNKNOWN_ASSET.because("a registered asset", 2).into()
    );
}

#[test]
fn rule_2_units_and_maximum_have_bounds() {
    let out = Some(AMOUNT_OUT_OF_RANGE.number);
    for (per, max, expected) in [
        (0, 1, out),
        (1, 0, out),
        (10u128.pow(24) + 1, 1, out),
        (1, 10u128.pow(30) + 1, out),
        (u128::MAX, u128::MAX, out),
        (1, 1, None),
        (10u128.pow(24), 10u128.pow(30), None),
    ] {
        assert_eq!(form(&create("USD", per, max, None, 0)), expected, "{per} {max}");
    }
}

#[test]
fn rule_3_the_initial_supply_goes_to_the_creator() {
    assert_eq!(form(&create("USD", 1, 1_000, None, 1_001)), Some(SUPPLY_EXCEEDED.number));
    assert_eq!(form(&create("USD", 1, 1_000, None, 1_000)), None);
    let mut chain = TestChain::new();
    chain.run_ok(2, [tx::Action::Asset(create("USD", 1, 1_000, None, 1_000))]);
    assert_eq!(chain.balance(2, USD).get(), 1_000);
    assert_eq!(row(&chain, USD).minted.get(), 1_000);
    chain.run_ok(2, [tx::Action::Asset(create("EUR", 1, 1_000, None, 0))]);
    assert!(!money::has_row(&chain.tree, &address(2), AssetId::new(2)));
}

#[test]
fn rule_4_creating_burns_the_fee_and_numbers_ascend() {
    let mut chain = TestChain::new();
    for (id, symbol) in (1..).zip(["AA", "BB", "CC"]) {
        let before = (native(&chain, 1), row(&chain, AssetId::NATIVE).burned.get());
        let events = chain.run_ok(1, [tx::Action::Asset(create(symbol, 1, 9, None, 0))]);
        let [tx::Event::Asset(Event::AssetCreated { asset, asset_fee, row_fee, .. })] = events[..] else { panic!() };
        assert_eq!((asset, asset_fee.get(), row_fee.get()), (AssetId::new(id), 36_000, 0));
        assert_eq!(native(&chain, 1), before.0 - FEE.get() - 36_000);
        assert_eq!(row(&chain, AssetId::NATIVE).burned.get(), before.1 + FEE.get() / 2 + 36_000);
        // A failed creation uses no number.
        assert_eq!(
            chain.run_refused(2, [tx::Action::Asset(create("ZZ", 1, 9, None, 0)), usd(), usd()]),
            SYMBOL_TAKEN.number
        );
    }
    let rest = native(&chain, 3) - FEE.get() - 35_999;
    chain.run_ok(3, [crate::testing::pay(address(1), rest - FEE.get())]);
    assert_eq!(native(&chain, 3), 35_999 + FEE.get());
    assert_eq!(chain.run_refused(3, [usd()]), INSUFFICIENT_BALANCE.number);
}

#[test]
fn rule_5_only_the_minter_mints_within_the_maximum() {
    let mut chain = TestChain::new();
    assert_eq!(chain.run_refused(1, [mint(USD, 1, 5)]), UNKNOWN_ASSET.number);
    chain.run_ok(2, [usd()]);
    assert_eq!(chain.run_refused(2, [mint(USD, 2, 5)]), NOT_THE_MINTER.number, "the creator is not the minter");
    assert_eq!(chain.run_refused(1, [mint(AssetId::NATIVE, 1, 5)]), NOT_THE_MINTER.number);
    chain.run_ok(1, [mint(USD, 3, 400), mint(USD, 4, 600)]);
    assert_eq!(chain.run_refused(1, [mint(USD, 3, 1)]), SUPPLY_EXCEEDED.number);
    assert_eq!(chain.run_refused(1, [mint(USD, 3, 10u128.pow(30))]), SUPPLY_EXCEEDED.number);
    // The maximum is about what exists, not about what was ever minted.
    let burn = tx::transfer::Action::Burn { asset: USD, amount: Amount::new(10) };
    chain.run_ok(4, [tx::Action::Transfer(burn)]);
    chain.run_ok(1, [mint(USD, 3, 10)]);
    assert_eq!((row(&chain, USD).minted.get(), row(&chain, USD).burned.get()), (1_010, 10));
    for units in [0, 10u128.pow(30) + 1] {
        let tx::Action::Asset(action) = mint(USD, 3, units) else { panic!() };
        assert_eq!(form(&action), Some(AMOUNT_OUT_OF_RANGE.number));
    }
}

#[test]
fn rule_6_module_accounts_neither_mint_nor_receive() {
    for module in ModuleAccount::ALL.map(ModuleAccount::address) {
        let (minter, one) = (Some(module), Amount::new(1));
        let symbol = Text::new("USD").unwrap();
        for action in [
            Action::AssetCreate { symbol, units_per_token: one, max_supply: one, minter, initial_supply: one },
            Action::AssetMint { asset: USD, to: module, amount: one },
            Action::AssetSetMinter { asset: USD, minter },
        ] {
            assert_eq!(form(&action), Some(MODULE_ACCOUNT.number), "{action:?}");
        }
    }
}

#[test]
fn rule_7_a_new_row_burns_the_row_fee() {
    let mut chain = TestChain::new();
    chain.run_ok(1, [usd()]);
    for (to, fee) in [(2, 36), (2, 0), (90, 36)] {
        let before = native(&chain, 1);
        let events = chain.run_ok(1, [mint(USD, to, 5)]);
        let [tx::Event::Asset(Event::AssetMinted { row_fee, .. })] = events[..] else { panic!("{events:?}") };
        assert_eq!((row_fee.get(), native(&chain, 1)), (fee, before - FEE.get() - fee));
    }
    let before = native(&chain, 2);
    let events = chain.run_ok(2, [tx::Action::Asset(create("EUR", 1, 9, None, 9))]);
    let [tx::Event::Asset(Event::AssetCreated { row_fee, .. })] = events[..] else { panic!("{events:?}") };
    assert_eq!((row_fee.get(), native(&chain, 2)), (36, before - FEE.get() - 36_036));
    // The row fee is part of what the minter must hold.
    let all = native(&chain, 1) - 2 * FEE.get() - 35;
    chain.run_ok(1, [crate::testing::pay(address(2), all)]);
    assert_eq!(chain.run_refused(1, [mint(USD, 91, 5)]), INSUFFICIENT_BALANCE.number);
}

#[test]
fn rule_8_only_the_minter_names_another_and_none_is_for_ever() {
    let mut chain = TestChain::new();
    assert_eq!(chain.run_refused(1, [set_minter(Some(2))]), UNKNOWN_ASSET.number);
    chain.run_ok(1, [usd()]);
    assert_eq!(chain.run_refused(2, [set_minter(Some(2))]), NOT_THE_MINTER.number);
    chain.run_ok(1, [set_minter(Some(2))]);
    assert_eq!(chain.run_refused(1, [mint(USD, 1, 5)]), NOT_THE_MINTER.number);
    chain.run_ok(2, [mint(USD, 2, 5), set_minter(None)]);
    for seed in 1..=3 {
        assert_eq!(chain.run_refused(seed, [mint(USD, 2, 5)]), NOT_THE_MINTER.number);
        assert_eq!(chain.run_refused(seed, [set_minter(Some(seed))]), NOT_THE_MINTER.number);
    }
}

#[test]
fn in_json_giving_up_the_minter_must_be_said() {
    let read = |json: &str| serde_json::from_str::<tx::Action>(json);
    assert!(read(r#"{"type":"asset_set_minter","asset":1}"#).is_err());
    assert_eq!(read(r#"{"type":"asset_set_minter","asset":1,"minter":null}"#).unwrap(), set_minter(None));
    assert!(read(r#"{"type":"asset_create","symbol":"USD","units_per_token":"1","max_supply":"1"}"#).is_err());
}
