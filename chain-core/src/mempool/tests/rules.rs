//! Admission, lanes, replacement, order: rule by rule.

use super::kit::*;
use crate::mempool::{DropReason, PoolLimits, Status};
use crate::tx::*;
use crate::types::Rejection;

fn dropped(reason: DropReason) -> Status {
    Status::Dropped { reason }
}

#[test]
fn the_same_bytes_twice_are_no_error_and_change_nothing() {
    let mut world = World::rich();
    let (tx, first) = world.take(order(0, 0, FEE));
    assert_eq!((first.status, first.effects.to_log.len()), (Status::Pending, 1));
    assert_eq!(first.effects.changes, [(tx.id(), Status::Pending)]);
    let again = world.insert(&tx).unwrap();
    assert_eq!((again.status, again.effects.to_log.len(), again.effects.changes.len()), (Status::Pending, 0, 0));
    assert_eq!(world.pool.len(), 1);
    assert_eq!(world.pool.get_by_wire(&tx.wire_id()).map(|tx| tx.id()), Some(tx.id()));
}

#[test]
fn terms_and_lifetime() {
    let mut world = World::rich();
    for _ in 0..5 {
        world.commit(&[]);
    }
    assert_eq!(world.refuse(order(0, 0, 1)), &FEE_TOO_LOW);
    let until = |until| Order { until, ..order(0, 0, FEE) };
    assert_eq!(world.refuse(until(5)), &EXPIRED);
    assert_eq!(world.refuse(until(6)), &EXPIRES_TOO_SOON);
    assert_eq!(world.refuse(until(14)), &EXPIRES_TOO_SOON);
    assert_eq!(world.take(until(15)).1.status, Status::Pending);
    world.params.max_block_weight = 1_000;
    assert_eq!(world.refuse(order(1, 0, FEE)), &TOO_HEAVY);
    world.params.max_block_weight = 1_000_000;
    world.params.max_block_bytes = order(1, 0, FEE).tx().bytes().len() as u32 + 7;
    assert_eq!(world.refuse(order(1, 0, FEE)), &TOO_LONG);
    world.params.max_block_bytes += 1;
    world.take(order(1, 0, FEE));
}

#[test]
fn nonces_and_policies() {
    let mut world = World::rich();
    let first = order(0, 0, FEE).tx();
    world.commit(std::slice::from_ref(&first));
    assert_eq!(world.refuse_tx(&first), &NONCE_TOO_LOW);
    assert_eq!(world.refuse(order(0, 66, FEE)), &NONCE_TOO_HIGH);
    assert_eq!(world.take(order(0, 65, FEE)).1.status, Status::Queued);
    assert_eq!(world.refuse_tx(&order(0, 1, FEE).signed_by(&key(7))), &WRONG_POLICY);
    world.rotate(1, &key(77));
    assert_eq!(world.refuse(order(1, 0, FEE)), &WRONG_POLICY);
    let new_key = order(1, 0, FEE).signed_by(&key(77));
    assert_eq!(world.insert(&new_key).unwrap().status, Status::Pending);
    assert_eq!(world.refuse(Order { payer: Some(1), ..order(2, 0, FEE) }), &WRONG_POLICY);
}

#[test]
fn a_payer_covers_all_its_pooled_fees() {
    let mut world = World::new(PoolLimits::default(), &[2_500, 1_000_000, 0]);
    world.take(order(0, 0, 1_000));
    world.take(Order { payer: Some(0), ..order(1, 0, 1_000) });
    assert_eq!(world.refuse(order(0, 1, 501)), &FEE_UNPAYABLE);
    assert_eq!(world.refuse(Order { payer: Some(0), ..order(1, 1, 501) }), &FEE_UNPAYABLE);
    // A replacement gives the replaced fee back, to its own payer.
    assert_eq!(world.refuse(order(0, 0, 1_501)), &FEE_UNPAYABLE);
    world.take(order(0, 0, 1_500));
    world.take(order(1, 0, 1_100));
    world.take(order(0, 1, 1_000));
    assert_eq!(world.refuse(order(2, 0, FEE)), &FEE_UNPAYABLE);
    assert_eq!(world.refuse(order(2, 1, FEE)), &FEE_UNPAYABLE);
}

#[test]
fn a_gap_queues_and_closing_it_promotes() {
    let mut world = World::rich();
    let (third, inserted) = world.take(order(0, 2, FEE));
    assert_eq!((inserted.status, inserted.effects.to_log.len()), (Status::Queued, 0));
    let (fifth, _) = world.take(order(0, 4, FEE));
    let (second, _) = world.take(order(0, 1, FEE));
    assert_eq!((world.pool.pending_len(), world.pool.next_nonce(&address(0))), (0, Some(0)));
    assert_eq!(world.pool.candidates().count(), 0);
    let (first, inserted) = world.take(order(0, 0, FEE));
    let logged: Vec<_> = inserted.effects.to_log.iter().map(Checked::id).collect();
    assert_eq!(logged, [first.id(), second.id(), third.id()]);
    assert_eq!(inserted.effects.changes, logged.iter().map(|id| (*id, Status::Pending)).collect::<Vec<_>>());
    assert_eq!(world.status(&fifth), Status::Queued);
    assert_eq!(world.pool.next_nonce(&address(0)), Some(3));
    assert_eq!(world.pool.next_nonce(&address(1)), None);
    let durable: Vec<_> = world.pool.durable().map(Checked::id).collect();
    assert_eq!(durable, logged);
    assert_eq!(world.pool.durable_bytes(), 3 * first.bytes().len() as u64);
}

#[test]
fn a_full_lane_can_still_close_its_gap() {
    let mut world = World::rich();
    let mut last = None;
    for nonce in 1..=64 {
        last = Some(world.take(order(0, nonce, FEE)).0);
    }
    let (_, inserted) = world.take(order(0, 0, FEE));
    assert_eq!((inserted.effects.to_log.len(), world.pool.len()), (64, 64));
    assert_eq!(world.status(&last.unwrap()), dropped(DropReason::Evicted));
    assert_eq!(world.refuse(order(0, 64, FEE)), &LANE_FULL);
}

#[test]
fn a_sender_has_a_share_of_the_bytes() {
    let size = order(0, 0, FEE).tx().bytes().len() as u64;
    let limits = PoolLimits { max_lane_bytes: 3 * size, ..PoolLimits::default() };
    let mut world = World::new(limits, &[1_000_000; 2]);
    for nonce in [0, 1, 3] {
        world.take(order(0, nonce, FEE));
    }
    assert_eq!(world.refuse(order(0, 4, FEE)), &LANE_FULL);
    assert_eq!(world.refuse(Order { memo: 128, ..order(0, 3, 2 * FEE) }), &LANE_FULL);
    // The queued one gives way to the one that is missing before it; a pending one would not.
    world.take(order(0, 2, FEE));
    assert_eq!(world.refuse(Order { memo: 128, ..order(0, 0, 2 * FEE) }), &LANE_FULL);
    world.take(order(0, 0, 2 * FEE));
    world.take(order(1, 0, FEE));
}

#[test]
fn replacing_costs_a_tenth_more_and_keeps_the_lane_whole() {
    let mut world = World::rich();
    let (old, _) = world.take(order(0, 0, 1_001));
    let (follower, _) = world.take(order(0, 1, FEE));
    assert_eq!(world.refuse(order(0, 0, 1_101)), &REPLACEMENT_UNDERPRICED);
    let (new, inserted) = world.take(order(0, 0, 1_102));
    assert_eq!(
        inserted.effects.changes,
        [(old.id(), dropped(DropReason::Replaced)), (new.id(), Status::Pending)],
        "the follower stays pending"
    );
    assert_eq!(inserted.effects.to_log.len(), 1);
    assert_eq!((world.status(&old), world.status(&follower)), (dropped(DropReason::Replaced), Status::Pending));
    assert_eq!(world.refuse_tx(&old), &REPLACEMENT_UNDERPRICED);
    let order_now: Vec<_> = world.pool.candidates().map(Checked::id).collect();
    assert_eq!(order_now, [new.id(), follower.id()]);
}

#[test]
fn sixteen_replacements_per_nonce() {
    let mut world = World::rich();
    let mut fee = FEE;
    world.take(order(0, 0, fee));
    for _ in 0..16 {
        fee = (fee * 11).div_ceil(10);
        world.take(order(0, 0, fee));
    }
    assert_eq!(world.refuse(order(0, 0, fee * 2)), &REPLACED_TOO_OFTEN);
    // Another nonce has its own count.
    world.take(order(0, 1, FEE));
    world.take(order(0, 1, 2 * FEE));
}

#[test]
fn candidates_come_by_fee_per_weight_and_nonce() {
    let mut world = World::rich();
    let (low, _) = world.take(order(0, 0, FEE));
    let (behind_low, _) = world.take(order(0, 1, 90 * FEE));
    let (middle, _) = world.take(order(1, 0, 2 * FEE));
    let (heavy, _) = world.take(Order { memo: 128, ..order(2, 0, 2 * FEE) });
    let (high, _) = world.take(order(3, 0, 3 * FEE));
    let (behind_high, _) = world.take(order(3, 1, FEE));
    let ids = |txs: &[&Checked]| txs.iter().map(|tx| tx.id()).collect::<Vec<_>>();
    let got: Vec<_> = world.pool.candidates().map(Checked::id).collect();
    assert_eq!(got, ids(&[&high, &middle, &heavy, &low, &behind_low, &behind_high]));
    let mut candidates = world.pool.candidates();
    candidates.next();
    candidates.skip_lane(&address(3));
    candidates.skip_lane(&address(0));
    let got: Vec<_> = candidates.map(Checked::id).collect();
    assert_eq!(got, ids(&[&middle, &heavy]));
}

fn small(max_txs: u64, max_queued_txs: u64) -> PoolLimits {
    PoolLimits { max_txs, max_queued_txs, ..PoolLimits::default() }
}

#[test]
fn a_full_pool_drops_the_worst_tail_for_a_better_one_only() {
    let mut world = World::new(small(3, 3), &[1_000_000; 10]);
    world.take(order(0, 0, 2 * FEE));
    // High behind low: ranks as low as what must come before it.
    let (tail, _) = world.take(order(0, 1, 9 * FEE));
    let (worst, _) = world.take(order(1, 0, FEE));
    let refused: &Rejection = world.refuse(order(2, 0, FEE));
    assert_eq!(refused, &POOL_FULL, "an equal one displaces nobody");
    let (_, inserted) = world.take(order(2, 0, 3 * FEE));
    assert_eq!(inserted.effects.changes[0], (worst.id(), dropped(DropReason::Evicted)));
    let (_, inserted) = world.take(order(3, 0, 3 * FEE));
    assert_eq!(inserted.effects.changes[0], (tail.id(), dropped(DropReason::Evicted)));
    // Behind something cheap the dearest displaces nobody.
    assert_eq!(world.refuse(order(0, 1, 100 * FEE)), &POOL_FULL);
}

#[test]
fn room_is_made_entirely_or_not_at_all() {
    let size = order(0, 0, FEE).tx().bytes().len() as u64;
    let limits = PoolLimits { max_bytes: 3 * size, ..PoolLimits::default() };
    let mut world = World::new(limits, &[1_000_000; 10]);
    world.take(order(0, 0, FEE));
    world.take(order(1, 0, 5 * FEE));
    world.take(order(2, 0, 5 * FEE));
    // Better than one of them, but that one's place isn't enough.
    assert_eq!(world.refuse(Order { memo: 100, ..order(3, 0, 3 * FEE) }), &POOL_FULL);
    world.take(Order { memo: 100, ..order(3, 0, 9 * FEE) });
    assert_eq!(world.pool.len(), 2);
}

#[test]
fn a_queued_one_never_displaces_a_pending_one() {
    let mut world = World::new(small(3, 1), &[1_000_000; 10]);
    world.take(order(0, 0, FEE));
    let (queued, _) = world.take(order(1, 1, 2 * FEE));
    assert_eq!(world.refuse(order(2, 1, 2 * FEE)), &POOL_FULL, "the queue's own bound");
    let (better, inserted) = world.take(order(2, 1, 3 * FEE));
    assert_eq!(inserted.effects.changes[0], (queued.id(), dropped(DropReason::Evicted)));
    world.take(order(3, 0, FEE));
    // A pending one displaces a queued one whatever its fee.
    let (_, inserted) = world.take(order(4, 0, FEE));
    assert_eq!(inserted.effects.changes[0], (better.id(), dropped(DropReason::Evicted)));
    assert_eq!(world.refuse(order(5, 1, 500 * FEE)), &POOL_FULL);
}

#[test]
fn what_a_newcomer_promotes_is_not_displaced_by_it() {
    let mut world = World::new(small(2, 2), &[1_000_000; 10]);
    world.take(order(0, 0, FEE));
    let (follower, _) = world.take(order(1, 1, 5 * FEE));
    world.take(order(1, 0, 5 * FEE));
    assert_eq!((world.status(&follower), world.pool.pending_len()), (Status::Pending, 2));
}
