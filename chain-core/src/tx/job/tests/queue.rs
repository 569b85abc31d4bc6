//! The queue: silence and duration end jobs without anybody acting, a bounded number per block.

use super::*;
use crate::limits::{MAX_JOB_ENDS_PER_BLOCK, MAX_JOBS_FORGOTTEN_PER_BLOCK, MAX_JOBS_LOOKED_AT_PER_BLOCK};
use crate::state::Overlay;
use crate::state::market::job::{JOB_ENDS, JOBS, Job, NEXT_JOB, OPEN_PAIRS};
use crate::state::market::provider::PROVIDERS;
use crate::state::market::settle::Cause;
use crate::state::{Params, money};

#[test]
fn a_silent_provider_costs_nothing() {
    let world = &mut World::f0();
    world.open(P1, opening(NAT, E18, 227_273));
    world.later(301);
    assert_eq!(settled(&world.block()).unwrap().0, Cause::Silence);
    assert_eq!(world.held(P1, NAT), 100 * E18);
}

#[test]
fn the_duration_ends_a_job_that_works() {
    let world = &mut World::f0();
    let id = world.open(P1, Opening { duration: 100, ..opening(USD, 10 * E6, 5_000) });
    for _ in 0..2 {
        world.later(50);
        world.prove(id, 1_000);
    }
    // Over at +101, due when the last claim is no longer young.
    world.later(29);
    assert_eq!(settled(&world.block()), None);
    world.later(1);
    let (cause, paid) = settled(&world.block()).unwrap();
    assert_eq!((cause, paid.gross.get()), (Cause::DurationOver, 10_000));
}

#[test]
fn receipts_move_the_end_and_leave_the_queue() {
    let world = &mut World::f0();
    let id = world.open(P1, opening(USD, 10 * E6, 5_000));
    let queued = world.job(id).queued;
    assert_eq!(queued, MarketMs::new(1_300_001));
    world.later(200);
    world.prove(id, 1_000);
    assert_eq!(world.job(id).queued, queued);
    world.later(101);
    assert_eq!(settled(&world.block()), None);
    assert_eq!(world.job(id).queued, MarketMs::new(1_500_001));
    world.at(1_501);
    assert!(settled(&world.block()).is_some());
    assert_eq!(JOB_ENDS.scan(&world.chain.tree).count(), 0);
}

#[test]
fn an_hour_without_blocks_ends_nothing_that_takes_longer_than_a_step() {
    let world = &mut World::f0_on(&Params { ..Params::default() });
    world.chain.time = None;
    let wish: crate::tx::Action = opening(USD, 10 * E6, 5_000).into();
    world.chain.run_ok(P1, [wish]);
    let at = crate::state::market::stored(&world.chain.tree).unwrap().at;
    world.chain.time = Some(at.saturating_add(3_600_000));
    world.chain.block(&[]);
    assert_eq!(world.jobs(|job| job.escrow().get() > 0), [1]);
    assert_eq!(world.job(1).deadline().get() - world.market_now().get(), 290_000);
}

/// So many jobs at once, of P1 with H1: written as openings write them.
fn many(world: &mut World, count: u64) {
    let id = world.open(P1, opening(USD, 500_000, 5_000));
    let job = world.job(id);
    let mut overlay = Overlay::new(&world.chain.tree);
    for n in id + 1..id + count {
        JOBS.put(&mut overlay, &JobId::new(n), &Job { client_ref: None, ..job.clone() });
        JOB_ENDS.put(&mut overlay, &(job.queued, JobId::new(n)), &());
        money::take(&mut overlay, &address(P1), USD, job.deposit).unwrap();
    }
    let open = u32::try_from(count).unwrap();
    OPEN_PAIRS.put(&mut overlay, &(job.payer, job.provider_id), &open);
    let provider = world.provider(H1);
    let row = crate::state::market::provider::Provider { open_jobs: open, ..provider };
    PROVIDERS.put(&mut overlay, &address(H1), &row);
    NEXT_JOB.put(&mut overlay, &(), &JobId::new(id + count));
    let changes = overlay.into_changes();
    let delta = world.chain.tree.preview(changes);
    world.chain.tree.commit(delta).unwrap();
}

#[test]
fn jobs_that_work_are_looked_at_without_using_up_the_ends() {
    let world = &mut World::f0();
    let count = 3_000;
    many(world, count);
    // All but the last have worked: a claim, as receipts write it, leaves the queue as it is.
    let mut overlay = Overlay::new(&world.chain.tree);
    for n in 1..count {
        let mut job = world.job(n);
        (job.meter.last_claim, job.meter.active_at) = (Some(MarketMs::new(1_200_000)), MarketMs::new(1_200_000));
        JOBS.put(&mut overlay, &JobId::new(n), &job);
    }
    let changes = overlay.into_changes();
    let delta = world.chain.tree.preview(changes);
    world.chain.tree.commit(delta).unwrap();
    world.later(301);
    let events = world.block();
    assert_eq!((settled(&events).unwrap().0, events.len()), (Cause::Silence, 1), "behind 2999 that work");
    assert!((1..count).all(|n| world.job(n).queued == MarketMs::new(1_500_001)));
}

#[test]
fn as_many_jobs_are_forgotten_as_can_be_opened() {
    let world = &mut World::f0();
    let count = 5_000;
    many(world, count);
    world.later(301);
    (0..5).for_each(|_| drop(world.block()));
    assert_eq!(world.jobs(|job| job.escrow().get() > 0).len(), 0);
    world.later(604_800);
    world.block();
    assert_eq!(world.jobs(|_| true).len() as u64, count - MAX_JOBS_FORGOTTEN_PER_BLOCK as u64);
    let opened = Params::default().max_block_weight / OPEN_WEIGHT;
    assert!(MAX_JOBS_FORGOTTEN_PER_BLOCK as u64 * 2 > opened && MAX_JOBS_LOOKED_AT_PER_BLOCK > MAX_JOB_ENDS_PER_BLOCK);
}

#[test]
fn one_block_ends_a_bounded_number_of_jobs_and_the_rest_waits() {
    let world = &mut World::f0();
    let count = 2_500usize;
    many(world, count as u64);
    let open = |world: &World| world.jobs(|job| job.escrow().get() > 0).len();
    assert_eq!(open(world), count);
    world.later(301);
    let bound = MAX_JOB_ENDS_PER_BLOCK;
    assert_eq!(world.block().len(), bound);
    assert_eq!(open(world), count - bound);
    // Meanwhile those that wait behave as ended; the block of this refusal ends as many again.
    let more = Action::JobTopUp { job: JobId::new(count as u64), amount: amount(1) };
    assert_eq!(world.no(P1, more), "job_over");
    assert_eq!(open(world), count - 2 * bound);
    world.block();
    assert_eq!((world.held(P1, USD), world.provider(H1).open_jobs), (10_000 * E6, 0));
    assert_eq!(OPEN_PAIRS.scan(&world.chain.tree).count(), 0);
}
