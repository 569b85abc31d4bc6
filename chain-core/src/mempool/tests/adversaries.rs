//! Who wants to fill the pool, wear it down, or make it forget.

use super::kit::*;
use crate::mempool::{DropReason, PoolLimits, Status};
use crate::tx::*;

fn dropped(reason: DropReason) -> Status {
    Status::Dropped { reason }
}

#[test]
fn a_flood_behind_gaps_stays_in_its_own_bounds() {
    let limits = PoolLimits { max_txs: 60, max_queued_txs: 20, ..PoolLimits::default() };
    let mut world = World::new(limits, &[1_000_000; 30]);
    let honest: Vec<_> = (0..10).map(|n| world.take(order(n, 0, FEE)).0).collect();
    for n in 10..30 {
        for nonce in 1..=10 {
            let tx = Order { amount: 1, ..order(n, nonce, FEE * u128::from(nonce)) }.tx();
            let _ = world.insert(&tx);
        }
    }
    assert_eq!((world.pool.pending_len(), world.pool.len()), (10, 30));
    assert!(honest.iter().all(|tx| world.status(tx) == Status::Pending));
    // The flood takes nothing from whoever can be executed.
    for nonce in 1..=40 {
        world.take(order(nonce % 10, 1 + nonce.saturating_sub(1) / 10, FEE));
    }
    assert_eq!((world.pool.pending_len(), world.pool.len()), (50, 60));
}

#[test]
fn replacement_churn_ends_and_logs_a_bounded_amount() {
    let mut world = World::rich();
    let (mut fee, mut logged) = (FEE, 0);
    for _ in 0..100 {
        if let Ok(inserted) = world.insert(&order(0, 0, fee).tx()) {
            logged += inserted.effects.to_log.len();
            fee = (fee * 11).div_ceil(10);
        }
    }
    assert_eq!((logged, world.pool.len()), (17, 1));
}

#[test]
fn many_senders_with_the_least_fee_do_not_keep_a_better_one_out() {
    let limits = PoolLimits { max_txs: 50, ..PoolLimits::default() };
    let mut world = World::new(limits, &[1_000_000; 60]);
    for n in 0..50 {
        world.take(order(n, 0, FEE));
    }
    for n in 50..60 {
        assert_eq!(world.refuse(order(n, 0, FEE)), &POOL_FULL);
        let (better, inserted) = world.take(order(n, 0, FEE + 1));
        assert_eq!((inserted.status, inserted.effects.changes.len()), (Status::Pending, 2));
        assert_eq!(world.pool.candidates().next().map(|tx| tx.transaction().fee), Some(better.transaction().fee));
    }
    assert_eq!(world.pool.len(), 50);
}

#[test]
fn a_dear_tail_does_not_shield_a_cheap_lane() {
    let limits = PoolLimits { max_txs: 10, ..PoolLimits::default() };
    let mut world = World::new(limits, &[100_000_000; 12]);
    for nonce in 0..9 {
        world.take(order(0, nonce, FEE));
    }
    let (shield, _) = world.take(order(0, 9, 1_000 * FEE));
    for n in 1..11 {
        world.take(order(n, 0, 2 * FEE));
    }
    assert_eq!(world.status(&shield), dropped(DropReason::Evicted));
    assert_eq!((world.pool.pending_len(), world.pool.next_nonce(&address(0))), (10, None));
}

#[test]
fn a_payer_drained_inside_the_block_costs_the_builder_one_skip() {
    let mut world = World::new(PoolLimits::default(), &[5_000, 1_000_000]);
    let (drain, _) = world.take(Order { amount: 3_900, ..order(0, 0, FEE) });
    let rest: Vec<_> = (1..5).map(|nonce| world.take(order(0, nonce, FEE)).0).collect();
    let (other, _) = world.take(order(1, 0, FEE));
    let (taken, unfit, effects) = world.build(10);
    assert_eq!(taken.iter().map(Checked::id).collect::<Vec<_>>(), [drain.id(), other.id()]);
    assert_eq!(unfit.iter().map(|(tx, _)| tx.id()).collect::<Vec<_>>(), [rest[0].id()]);
    assert_eq!(effects.changes.len(), 4);
    assert!(rest.iter().all(|tx| world.status(tx) == dropped(DropReason::Invalidated)));
}

#[test]
fn a_lane_cut_in_the_middle_waits_and_heals() {
    let mut world = World::rich();
    let lane: Vec<_> = (0..2).map(|nonce| world.take(order(0, nonce, FEE)).0).collect();
    let (cut, _) = world.take(Order { until: 10, ..order(0, 2, FEE) });
    let behind: Vec<_> = (3..6).map(|nonce| world.take(order(0, nonce, 2 * FEE)).0).collect();
    for _ in 0..10 {
        world.commit(&[]);
    }
    assert_eq!(world.status(&cut), dropped(DropReason::Expired));
    assert!(behind.iter().all(|tx| world.status(tx) == Status::Queued));
    assert_eq!(
        world.pool.candidates().map(Checked::id).collect::<Vec<_>>(),
        lane.iter().map(Checked::id).collect::<Vec<_>>()
    );
    // Dearer than the hole's neighbours: still in the order of nonces.
    let (patch, inserted) = world.take(order(0, 2, 9 * FEE));
    assert_eq!(inserted.effects.to_log.iter().map(Checked::id).collect::<Vec<_>>(), [patch.id()]);
    let nonces: Vec<u64> = world.pool.candidates().map(|tx| tx.transaction().nonce).collect();
    assert_eq!(nonces, [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.build(10).0.len(), 6);
    assert!(world.pool.is_empty());
}

#[test]
fn gaps_behind_a_drained_sponsor_do_not_burst_the_queue() {
    let limits = PoolLimits { max_queued_txs: 5, ..PoolLimits::default() };
    let mut world = World::new(limits, &[1_000, 1_000_000]);
    let (sponsored, _) = world.take(Order { payer: Some(0), ..order(1, 0, FEE) });
    let behind: Vec<_> = (1..20).map(|nonce| world.take(order(1, nonce, FEE)).0).collect();
    let effects = world.change(|overlay| {
        crate::state::money::take(overlay, &address(0), crate::types::AssetId::NATIVE, crate::types::Amount::new(1))
            .unwrap();
    });
    assert_eq!(effects.changes[0], (sponsored.id(), dropped(DropReason::Invalidated)));
    assert_eq!(world.pool.len(), 5);
    let said = behind.iter().filter(|tx| world.status(tx) == dropped(DropReason::Evicted)).count();
    assert_eq!(said, 14);
}
