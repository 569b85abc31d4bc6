//! Random histories, valid and hostile: whatever is tried, money is exact and every escrow finds its end.

use super::*;
use crate::state::market::job::{JOB_ENDS, OPEN_PAIRS, Status};
use crate::state::market::settle::{Settlement, settle};
use crate::testing::market::{Histories, LONG_STEP_MS, chain};
use crate::tx;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PEOPLE: [u8; 9] = [P1, P2, H1, H2, D, X, A, T, S];

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

/// What nobody has a record of did nothing.
fn check_records(world: &World) {
    use crate::state::market::{fading::MOST, reputation::RECORDS};
    for row in RECORDS.scan(&world.chain.tree) {
        let (_, record) = row.unwrap();
        let numbers = [record.jobs, record.units, record.timeouts_with_work, record.timeouts_empty];
        assert!(numbers.iter().any(|number| number.millionths > 0));
        assert!(numbers.iter().all(|number| number.millionths <= MOST && number.at <= world.market_now()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_is_tried_money_is_exact_and_every_escrow_ends(seed: u64, hostile in 0u64..300, steps in 1usize..150) {
        let (mut histories, mut world) = (Histories::with(seed, hostile), World { chain: chain(LONG_STEP_MS), now: 0 });
        for _ in 0..steps {
            world.chain.time = Some(histories.time(&world.chain.tree));
            let step = histories.next(&world.chain.tree);
            // Supplies and the root are checked after every block, and that a refusal changed nothing.
            check_paid(&world.try_now(step.by, step.action).unwrap_or_default());
            check_rows(&world);
            check_records(&world);
        }
        // Then nobody does anything any more, and all escrow comes out: also out of a pause.
        let end = crate::state::market::stored(&world.chain.tree).unwrap().at.saturating_add(604_800_000);
        for hours in 0..4 {
            world.chain.time = Some(end.saturating_add(hours * 3_600_000));
            let results = world.chain.block(&[]);
            check_paid(&results.events.into_iter().flatten().collect::<Vec<_>>());
        }
        for supply in crate::state::money::audit(&world.chain.tree).unwrap() {
            prop_assert_eq!(supply.in_escrow, Amount::ZERO);
        }
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
