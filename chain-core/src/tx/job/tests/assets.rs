//! Rows OPN, END and DLG once more for every kind of money: the native asset, whose balance stands in the account
//! beside nonce and authority, another, and the one that bonds are made of.

use super::*;
use crate::state::market::settle::Cause;
use crate::tx::market;

const ALL_MONEY: [AssetId; 3] = [AssetId::NATIVE, USD, STK];
const TEN: u128 = 10 * E6;

/// A world in which jobs are paid in this asset.
fn paid_in(asset: AssetId, early: u32) -> World {
    let mut params = params();
    params.market.early_cancel_units = early;
    let mut world = World::f0_on(&params);
    world.ok(A, market::Action::AssetTermsSet { asset, terms: terms_of(USD) });
    world.ok(H1, offer(m1(), asset, 1));
    world
}

#[test]
fn opn_and_dep_rows_with_every_money() {
    for asset in ALL_MONEY {
        let world = &mut paid_in(asset, 0);
        let payer = address(P1);
        world.ok(P1, market::Action::MarketDeposit { asset, amount: amount(TEN) });
        world.ok(P1, grant(D, &[(asset, TEN, 2 * TEN)]));
        for (seed, funding) in [(P1, Funding::Wallet {}), (P1, Funding::Prepaid {}), (D, Funding::OnBehalf { payer })] {
            let wish = Opening { funding, ..opening(asset, TEN, 5_000) };
            let held = |world: &World| world.held(P1, asset) + world.prepaid(P1, asset);
            for (bad, name) in [
                (Opening { deposit: 499_999, ..wish.clone() }, "deposit_out_of_range"),
                (Opening { price: 0, ..wish.clone() }, "price_form"),
                (Opening { provider: X, ..wish.clone() }, "unknown_provider"),
                (Opening { interval: 99, ..wish.clone() }, "interval_range"),
            ] {
                assert_eq!(world.no(seed, bad), name);
            }
            let before = held(world);
            let id = world.open(seed, wish);
            // Who opens pays the fee and for the row, in native money.
            let fees = if (asset, seed) == (AssetId::NATIVE, P1) { 10_036 } else { 0 };
            assert_eq!((held(world), world.job(id).escrow().get()), (before - TEN - fees, TEN));
        }
        assert_eq!(
            world.no(P1, Opening { funding: Funding::Prepaid {}, ..opening(asset, TEN, 5_000) }),
            "purse_too_small"
        );
        // Nobody opens with more than he has: a little more than the wallet holds, in case of native money less
        // than the fee.
        let rich = crate::state::market::terms::AssetTerms { max_deposit: Amount::MAX_SUPPLY, ..terms_of(USD) };
        world.ok(A, market::Action::AssetTermsSet { asset, terms: rich });
        let all = world.held(P1, asset);
        let price = all / 1_000_000;
        assert_eq!(
            world.no(P1, Opening { interval: 100, ..opening(asset, all + 1, price.clamp(1, 100_000_000)) }),
            "insufficient_balance"
        );
    }
}

/// Units that are claimed, who ends it when and how, and what that pays: gross, fee, provider, early fee, refund.
type Row = (u64, u8, u64, fn(u64) -> Action, Cause, [u128; 5]);

#[test]
fn end_rows_with_every_money() {
    let decline = |id| Action::JobDecline { job: JobId::new(id) };
    let rows: [Row; 8] = [
        (0, P1, 0, complete, Cause::PayerCompleted, [0, 0, 0, 5_000, 9_995_000]),
        (0, H1, 30, complete, Cause::ProviderCompleted, [0, 0, 0, 0, TEN]),
        (0, H1, 10, decline, Cause::Declined, [0, 0, 0, 0, TEN]),
        (0, X, 301, expire, Cause::Silence, [0, 0, 0, 0, TEN]),
        (100_000, P1, 0, complete, Cause::PayerCompleted, [500_000, 50_000, 450_000, 0, 9_500_000]),
        (100_000, H1, 30, complete, Cause::ProviderCompleted, [500_000, 50_000, 450_000, 0, 9_500_000]),
        (123_457, P1, 301, expire, Cause::Silence, [617_285, 61_728, 555_557, 0, 9_382_715]),
        (2_000_000, X, 301, expire, Cause::Silence, [TEN, E6, 9 * E6, 0, 0]),
    ];
    for asset in ALL_MONEY {
        for (units, seed, wait, action, expected, [gross, fee, provider, early, refund]) in rows {
            let world = &mut paid_in(asset, 1_000);
            let id = world.open(P1, opening(asset, TEN, 5_000));
            for part in (0..units).step_by(500_000).map(|from| (units - from).min(500_000)) {
                world.later(250);
                world.prove(id, part);
            }
            world.later(wait);
            // That the purses have what it says, and nobody else anything, is a part of `end`.
            let (cause, paid) = world.end(seed, action(id));
            assert_eq!((cause, figures(&paid)), (expected, (gross, fee, provider, refund)), "{units} in {asset}");
            assert_eq!(paid.early_fee.get(), early);
            let earned = world.earned(H1, asset);
            if earned > 0 {
                let item = market::Item { asset, amount: None };
                let before = world.held(H1, asset);
                world.ok(H1, market::Action::EarningsWithdraw { items: crate::codec::List::new(vec![item]).unwrap() });
                let fees = if asset == AssetId::NATIVE { 10_000 } else { 0 };
                assert_eq!(world.held(H1, asset), before + earned - fees);
            }
        }
        // By itself, at the end of a block.
        let world = &mut paid_in(asset, 1_000);
        let before = world.held(P2, asset);
        world.open(P2, opening(asset, TEN, 5_000));
        world.later(301);
        assert_eq!(settled(&world.block()).unwrap().1.refund.get(), TEN);
        let fees = if asset == AssetId::NATIVE { 10_036 } else { 0 };
        assert_eq!(world.held(P2, asset), before - fees);
    }
}

#[test]
fn dlg_rows_with_every_money() {
    for asset in ALL_MONEY {
        let world = &mut paid_in(asset, 0);
        let wish = Opening { funding: Funding::OnBehalf { payer: address(P1) }, ..opening(asset, TEN, 5_000) };
        assert_eq!(world.no(D, wish.clone()), "out_of_scope");
        world.ok(P1, grant(D, &[(asset, TEN, 3 * TEN)]));
        let (payer, delegate) = (world.held(P1, asset), world.held(D, asset));
        let ids = [world.open(D, wish.clone()), world.open(D, wish.clone())];
        assert_eq!(world.no(D, Action::JobTopUp { job: JobId::new(ids[0]), amount: amount(1) }), "out_of_scope");
        assert_eq!(world.held(P1, asset), payer - 2 * TEN);
        world.open(D, wish.clone());
        assert_eq!(world.no(D, wish.clone()), "out_of_scope");
        assert_eq!(world.no(D, complete(ids[1])), "not_a_party");
        world.later(301);
        world.block();
        let fees = if asset == AssetId::NATIVE { 6 * 10_000 + 3 * 36 } else { 0 };
        assert_eq!((world.held(P1, asset), world.held(D, asset)), (payer, delegate - fees));
    }
}
