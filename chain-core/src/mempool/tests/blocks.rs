//! What blocks do to the pool, and what a restart brings back.

use super::kit::*;
use crate::mempool::{DropReason, PoolLimits, Status};
use crate::state::{PARAMS, money};
use crate::tx::Checked;
use crate::types::{Amount, AssetId};

fn dropped(reason: DropReason) -> Status {
    Status::Dropped { reason }
}

#[test]
fn included_ones_leave_and_the_rest_stays_pending() {
    let mut world = World::rich();
    let txs: Vec<_> = (0..3).map(|nonce| world.take(order(0, nonce, FEE)).0).collect();
    let effects = world.commit(&txs[..2]);
    assert!(effects.changes.is_empty() && effects.to_log.is_empty());
    assert_eq!((world.status(&txs[0]), world.status(&txs[2])), (Status::Unknown, Status::Pending));
    assert_eq!(world.pool.durable_bytes(), txs[2].bytes().len() as u64);
}

#[test]
fn another_transaction_at_the_nonce_invalidates_ours_and_closes_gaps() {
    let mut world = World::rich();
    let (ours, _) = world.take(order(0, 0, FEE));
    let (queued, _) = world.take(order(0, 2, FEE));
    let other = [order(0, 0, 2 * FEE).tx(), order(0, 1, 2 * FEE).tx()];
    let effects = world.commit(&other);
    assert_eq!(effects.changes, [(ours.id(), dropped(DropReason::Invalidated)), (queued.id(), Status::Pending)]);
    assert_eq!(effects.to_log.iter().map(Checked::id).collect::<Vec<_>>(), [queued.id()]);
}

#[test]
fn expiry_takes_its_followers_out_of_the_pending_ones() {
    let mut world = World::rich();
    let (first, _) = world.take(order(0, 0, FEE));
    let (middle, _) = world.take(Order { until: 10, ..order(0, 1, FEE) });
    let (last, _) = world.take(order(0, 2, FEE));
    for _ in 1..10 {
        assert!(world.commit(&[]).changes.is_empty());
    }
    assert_eq!(world.status(&middle), Status::Pending, "block 10 can still hold it");
    let effects = world.commit(&[]);
    assert_eq!(effects.changes, [(middle.id(), dropped(DropReason::Expired)), (last.id(), Status::Queued)]);
    assert_eq!(world.status(&first), Status::Pending);
    // It was acknowledged, so it stays in the log, and is not logged again when the gap closes.
    assert_eq!(world.pool.durable().count(), 2);
    let (again, inserted) = world.take(Order { until: 30, ..order(0, 1, FEE) });
    assert_eq!(inserted.effects.to_log.iter().map(Checked::id).collect::<Vec<_>>(), [again.id()]);
    assert_eq!(world.status(&last), Status::Pending);
}

#[test]
fn a_drained_payer_loses_its_tail() {
    let mut world = World::new(PoolLimits::default(), &[10_000, 1_000_000]);
    let spend = Order { amount: 6_500, ..order(0, 0, FEE) }.tx();
    world.insert(&spend).unwrap();
    let (kept, _) = world.take(order(0, 1, FEE));
    let (tail, _) = world.take(order(0, 2, FEE));
    let (sponsored, _) = world.take(Order { payer: Some(0), ..order(1, 0, 2 * FEE) });
    let (behind, _) = world.take(order(1, 1, FEE));
    // 2,500 are left for fees of 4,000: the worst goes first, which is the tail, then one more.
    let effects = world.commit(&[spend]);
    assert_eq!(effects.changes.len(), 2);
    assert_eq!(
        [&kept, &tail, &sponsored, &behind].map(|tx| world.status(tx)),
        [dropped(DropReason::Invalidated), dropped(DropReason::Invalidated), Status::Pending, Status::Pending]
    );
}

#[test]
fn a_drained_sponsor_leaves_gaps_in_others_lanes() {
    let mut world = World::new(PoolLimits::default(), &[2_000, 1_000_000]);
    let (own, _) = world.take(order(1, 0, FEE));
    let (sponsored, _) = world.take(Order { payer: Some(0), ..order(1, 1, FEE) });
    let (behind, _) = world.take(order(1, 2, FEE));
    let effects = world.commit(&[Order { amount: 500, ..order(0, 0, FEE) }.tx()]);
    assert_eq!(effects.changes, [(sponsored.id(), dropped(DropReason::Invalidated)), (behind.id(), Status::Queued)]);
    assert_eq!(world.status(&own), Status::Pending);
}

#[test]
fn rotated_keys_invalidate_what_they_signed() {
    let mut world = World::rich();
    let (by_old, _) = world.take(order(0, 0, FEE));
    let (sponsored, _) = world.take(Order { payer: Some(0), ..order(1, 0, FEE) });
    let (untouched, _) = world.take(order(2, 0, FEE));
    let mut effects = world.rotate(0, &key(70)).changes;
    effects.sort_by_key(|(id, _)| *id);
    let mut expected = [by_old.id(), sponsored.id()].map(|id| (id, dropped(DropReason::Invalidated)));
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(effects, expected);
    assert_eq!(world.status(&untouched), Status::Pending);
    // Received money is no reason to look at policies, and changes nothing.
    let effects = world.change(|overlay| {
        money::transfer(overlay, &address(5), &address(2), AssetId::NATIVE, Amount::new(1)).unwrap();
    });
    assert!(effects.changes.is_empty());
}

#[test]
fn other_parameters_judge_everything_again() {
    let mut world = World::rich();
    let (cheap, _) = world.take(order(0, 0, FEE));
    let (dear, _) = world.take(order(1, 0, 100 * FEE));
    let mut params = world.params.clone();
    params.min_fee_per_1000_weight = Amount::new(10_000);
    let effects = world.change(|overlay| PARAMS.put(overlay, &(), &params));
    assert_eq!(effects.changes, [(cheap.id(), dropped(DropReason::Invalidated))]);
    assert_eq!(world.status(&dear), Status::Pending);
}

#[test]
fn a_dropped_one_that_a_block_holds_is_no_longer_dropped() {
    let mut world = World::rich();
    let (old, _) = world.take(order(0, 0, FEE));
    let (new, _) = world.take(order(0, 0, 2 * FEE));
    assert_eq!(world.status(&old), dropped(DropReason::Replaced));
    world.commit(std::slice::from_ref(&old));
    assert_eq!((world.status(&old), world.status(&new)), (Status::Unknown, dropped(DropReason::Invalidated)));
}

#[test]
fn drops_are_remembered_for_an_hour() {
    let mut world = World::rich();
    let (old, _) = world.take(order(0, 0, FEE));
    world.take(order(0, 0, 2 * FEE));
    world.now += 3_599_999;
    world.commit(&[]);
    assert_eq!(world.status(&old), dropped(DropReason::Replaced));
    world.now += 1;
    world.commit(&[]);
    assert_eq!(world.status(&old), Status::Unknown);
}

#[test]
fn a_restart_brings_back_what_was_acknowledged() {
    let mut world = World::rich();
    let mut log = Vec::new();
    let keep = |log: &mut Vec<Checked>, world: &mut World, order: Order| {
        let (tx, inserted) = world.take(order);
        log.extend(inserted.effects.to_log);
        tx
    };
    let executed = keep(&mut log, &mut world, order(0, 0, FEE));
    let soon = keep(&mut log, &mut world, Order { until: 11, ..order(0, 1, FEE) });
    let follower = keep(&mut log, &mut world, order(0, 2, FEE));
    let replaced = keep(&mut log, &mut world, order(1, 0, FEE));
    let replacing = keep(&mut log, &mut world, order(1, 0, 2 * FEE));
    let queued = keep(&mut log, &mut world, order(2, 1, FEE));
    world.commit(std::slice::from_ref(&executed));
    for _ in 0..8 {
        world.commit(&[]);
    }
    let effects = world.restart(log.clone());
    assert!(effects.to_log.is_empty(), "it is in the log already");
    let status = |world: &World| [&soon, &follower, &replaced, &replacing, &queued].map(|tx| world.status(tx));
    let (pending, gone) = (Status::Pending, dropped(DropReason::Replaced));
    assert_eq!(status(&world), [pending, pending, gone, pending, Status::Unknown]);
    assert!(effects.changes.iter().all(|(id, _)| *id != executed.id()), "the ledger knows it as final");
    // After more blocks one of them has expired: said, not silent; its follower waits.
    world.commit(&[]);
    world.commit(&[]);
    let compacted: Vec<_> = world.pool.durable().cloned().collect();
    for log in [log, compacted] {
        world.restart(log);
        let expired = world.status(&soon);
        assert!([dropped(DropReason::Expired), Status::Unknown].contains(&expired));
        assert_eq!([&follower, &replacing].map(|tx| world.status(tx)), [Status::Queued, pending]);
        assert_eq!(world.pool.durable().count(), 2);
    }
}

#[test]
fn records_with_a_used_nonce_are_known_as_invalid_unless_the_ledger_has_them() {
    let mut world = World::rich();
    let lost = order(0, 0, FEE).tx();
    world.commit(&[order(0, 0, 2 * FEE).tx()]);
    let effects = world.restart(vec![lost.clone()]);
    assert_eq!((effects.changes.len(), world.status(&lost)), (0, dropped(DropReason::Invalidated)));
}
