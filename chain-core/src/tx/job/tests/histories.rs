//! Random histories, valid and hostile: whatever is tried, money is exact and every escrow finds its end.

use super::*;
use crate::state::market::job::{JOB_ENDS, OPEN_PAIRS, Status};
use crate::state::market::settle::{Settlement, settle};
use crate::tx::{self, account, market, model, provider, receipt};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Open { by: u8, funding: u8, wish: (u8, u8, u128, u128, u32, u64) },
    Prove { by: u8, job: u64, more: u64, failed: bool },
    Act { by: u8, action: u8, job: u64, units: u128 },
    Later(u64),
}

const PEOPLE: [u8; 9] = [P1, P2, H1, H2, D, X, A, T, S];

fn who() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(P1), 2 => Just(P2), 4 => Just(H1), 2 => Just(H2), 2 => prop::sample::select(PEOPLE.to_vec())]
}

fn step() -> impl Strategy<Value = Step> {
    let deposits = prop_oneof![8 => 500_000u128..20_000_000, 1 => Just(499_999), 1 => Just(10u128.pow(12))];
    let prices = prop_oneof![6 => 5_000u128..2_000_000, 2 => Just(5_000u128), 1 => Just(4_999), 1 => 1u128..10];
    let wish = (prop_oneof![Just(H1), Just(H2), Just(X)], 0u8..4, deposits, prices, 60u32..400, 90u64..700);
    let more = prop_oneof![4 => 100u64..4_000, 1 => 0u64..100, 1 => Just(u64::MAX), 1 => 10_000u64..100_000];
    prop_oneof![
        5 => (who(), 0u8..3, wish).prop_map(|(by, funding, wish)| Step::Open { by, funding, wish }),
        6 => (who(), 1u64..8, more, prop::bool::weighted(0.1))
            .prop_map(|(by, job, more, failed)| Step::Prove { by, job, more, failed }),
        8 => (who(), 0u8..16, 1u64..8, prop_oneof![3 => 1u128..5_000_000, 1 => Just(0u128), 1 => Just(10u128.pow(21))])
            .prop_map(|(by, action, job, units)| Step::Act { by, action, job, units }),
        5 => prop_oneof![4 => 0u64..40, 2 => 40u64..500, 1 => Just(8 * DAY)].prop_map(Step::Later),
    ]
}

fn act(action: u8, job: u64, units: u128) -> tx::Action {
    let (id, some, text) = (JobId::new(job), amount(units), Text::new("because").unwrap());
    let stake = amount(units.saturating_mul(10u128.pow(13)).min(Amount::MAX_SUPPLY.get()));
    match action {
        0 | 1 => complete(job).into(),
        2 => Action::JobComplete { job: id, max_units: Units::new(units as u64) }.into(),
        3 => Action::JobDecline { job: id }.into(),
        4 => expire(job).into(),
        5 | 6 => Action::JobTopUp { job: id, amount: some }.into(),
        7 => market::Action::MarketDeposit { asset: USD, amount: some }.into(),
        8 => market::Action::MarketWithdraw { asset: USD, amount: some }.into(),
        9 => {
            let item = market::Item { asset: USD, amount: units.is_multiple_of(2).then_some(some) };
            market::Action::EarningsWithdraw { items: crate::codec::List::new(vec![item]).unwrap() }.into()
        }
        10 => market::Action::TreasuryWithdraw { pot: market::Pot::Treasury, asset: USD, amount: None }.into(),
        11 => market::Action::MarketPause { reason: text }.into(),
        12 => market::Action::MarketUnpause { reason: text }.into(),
        13 => grant(D, &[(USD, units.max(1), units.max(1) * 2)]).into(),
        14 => provider::Action::ProviderSlash {
            provider: address(if job.is_multiple_of(2) { H1 } else { H2 }),
            amount: stake,
            evidence: Text::new("e").unwrap(),
            reason: text,
            job: Some(id),
        }
        .into(),
        _ if units.is_multiple_of(5) => provider::Action::ProviderLeave {}.into(),
        _ if units % 5 == 1 => provider::Action::ProviderBondWithdraw {}.into(),
        _ => model::Action::ModelSetActive { model: m1(), active: !units.is_multiple_of(3) }.into(),
    }
}

/// Carries a step out if it is possible.
fn carry_out(world: &mut World, step: &Step) -> Vec<tx::Event> {
    match step {
        Step::Later(seconds) => {
            world.later(*seconds);
            // A paused clock stands still; what is wanted then is the time it shows.
            if crate::state::market::stored(&world.chain.tree).unwrap().paused_until.is_some() {
                world.now = world.market_now().get();
            }
            world.block()
        }
        Step::Open { by, funding, wish: (provider, payer, deposit, price, silence, interval) } => {
            let payer = address(if *payer == 0 { P2 } else { P1 });
            let funding = match funding {
                0 => Funding::Wallet {},
                1 => Funding::Prepaid {},
                _ => Funding::OnBehalf { payer },
            };
            let base = opening(USD, *deposit, *price);
            let wish = Opening { funding, provider: *provider, silence: *silence, interval: *interval, ..base };
            world.try_run(*by, wish).unwrap_or_default()
        }
        Step::Prove { by, job, more, failed } => {
            if !world.jobs(|_| true).contains(job) {
                return vec![];
            }
            let mut receipt = world.receipt(*job, *more);
            if *failed {
                receipt.outcome = receipt::WorkOutcome::Failed { code: 7 };
            }
            world.try_run(*by, receipt::Action::ReceiptSubmit { receipt }).unwrap_or_default()
        }
        Step::Act { by, action, job, units } => world.try_run(*by, act(*action, *job, *units)).unwrap_or_default(),
    }
}

/// What must hold of the rows after every block.
fn check_rows(world: &World) {
    let mut pairs = BTreeMap::new();
    let mut providers: BTreeMap<Address, u32> = BTreeMap::new();
    let mut queued = 0;
    for row in crate::state::market::jobs(&world.chain.tree) {
        let (id, job) = row.unwrap();
        if job.status != Status::Active {
            continue;
        }
        queued += 1;
        *pairs.entry((job.payer, job.provider_id)).or_insert(0u32) += 1;
        *providers.entry(job.provider).or_default() += 1;
        assert!(JOB_ENDS.get(&world.chain.tree, &(job.queued, id)).unwrap().is_some(), "a way out for {id}");
        assert!(job.queued <= job.due_at(), "never looked at too late");
        assert!(job.meter.used <= job.max_units().unwrap());
    }
    assert_eq!(JOB_ENDS.scan(&world.chain.tree).count(), queued);
    assert_eq!(OPEN_PAIRS.scan(&world.chain.tree).count(), pairs.len());
    for (pair, open) in pairs {
        assert_eq!(OPEN_PAIRS.get(&world.chain.tree, &pair).unwrap(), Some(open));
    }
    for row in crate::state::market::provider::providers(&world.chain.tree) {
        let (account, row) = row.unwrap();
        assert_eq!(row.open_jobs, providers.get(&account).copied().unwrap_or_default());
    }
}

/// What was paid of every job adds up to what was ever deposited for it.
fn check_paid(events: &[tx::Event]) {
    for event in events {
        if let tx::Event::Job(Event::JobSettled { deposit, settlement: s, job, .. }) = event {
            let sum = s.provider.get() + s.fee.get() + s.early_fee.get() + s.refund.get();
            assert_eq!(sum, deposit.get(), "job {job}");
        }
    }
}

fn start(early: u32) -> World {
    let mut params = params();
    params.market.early_cancel_units = early;
    let mut world = World::f0_on(&params);
    let scope = scope(&[(USD, 10 * E6, 100 * E6)]);
    world.ok(P1, account::Action::DelegateSet { delegate: address(D), scope, reset_spent: false });
    world.ok(P1, market::Action::MarketDeposit { asset: USD, amount: amount(50 * E6) });
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_tried_money_is_exact_and_every_escrow_ends(
        early in 0u32..2_000, steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = start(early);
        for step in &steps {
            // Supplies and the root are checked after every block, and that a refusal changed nothing.
            check_paid(&carry_out(&mut world, step));
            check_rows(&world);
        }
        // Then nobody does anything any more, and all escrow comes out: also out of a pause.
        let end = crate::state::market::stored(&world.chain.tree).unwrap().at.saturating_add(604_800_000);
        world.chain.time = Some(end);
        world.chain.block(&[]);
        for days in 1..=2 {
            world.chain.time = Some(end.saturating_add(days * 86_400_000));
            let results = world.chain.block(&[]);
            check_paid(&results.events.into_iter().flatten().collect::<Vec<_>>());
        }
        let usd = crate::state::money::audit(&world.chain.tree).unwrap().remove(USD.get() as usize);
        prop_assert_eq!(usd.in_escrow, Amount::ZERO);
        check_rows(&world);
    }

    #[test]
    fn any_split_of_the_same_units_pays_the_same(
        price in 5_000u128..1_000_000, parts in prop::collection::vec(100u64..2_000, 1..12),
    ) {
        let world = &mut World::f0();
        let wish = opening(USD, 900 * E6, price);
        let (whole, split) = (world.open(P1, wish.clone()), world.open(P1, wish));
        for part in &parts {
            world.later(1);
            world.prove(split, *part);
        }
        world.prove(whole, parts.iter().sum());
        let (cause, one) = world.end(P1, complete(whole));
        prop_assert_eq!(one, world.end(P1, complete(split)).1);
        prop_assert_eq!(one, settle(&world.job(whole), cause));
    }
}

/// Amounts as they are, whatever the cause: nobody but payer, payout and treasury gets anything.
#[test]
fn only_the_parties_and_the_treasury_are_paid() {
    let world = &mut World::f0();
    let before: Vec<_> = PEOPLE.iter().map(|seed| world.held(*seed, USD) + world.earned(*seed, USD)).collect();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    world.later(1);
    world.prove(id, 2_000);
    world.later(301);
    let (_, Settlement { provider, refund, .. }) = world.end(X, expire(id));
    for (seed, before) in PEOPLE.iter().zip(before) {
        let now = world.held(*seed, USD) + world.earned(*seed, USD);
        let expected = match *seed {
            P1 => before + refund.get() - 10 * E6,
            H1 => before + provider.get(),
            _ => before,
        };
        assert_eq!(now, expected, "{seed}");
    }
}
