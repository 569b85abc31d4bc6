//! Whole runs in the small world of `simulation`.

use super::simulation::{Faults, World};

#[test]
fn one_validator_makes_a_block_every_block_time() {
    let mut world = World::new(1, 0, 1, Faults::default());
    let took = world.run_to(10, 60_000);
    assert_eq!(world.committed(0).len(), 10);
    assert!((20_000..20_100).contains(&took), "{took}");
    assert_eq!(world.timeouts(), 0);
}

#[test]
fn one_validator_survives_a_power_cut_before_any_effect() {
    let mut whole = World::new(1, 0, 1, Faults::default());
    whole.run_to(3, 60_000);
    for torn in 0..8 {
        for effect in 0..whole.effects {
            let faults = Faults { crash_before_effect: Some(effect), torn, ..Faults::default() };
            let mut world = World::new(1, 0, 1, faults);
            world.run_to(3, 60_000);
            assert_eq!((world.crashes, world.timeouts()), (1, 0), "before effect {effect}: no view is lost");
        }
    }
}

#[test]
fn one_validator_survives_many_power_cuts() {
    for seed in 0..300 {
        let mut world = World::new(1, 1, seed, Faults { crashes: 60, ..Faults::default() });
        world.run_to(5, 10_000_000);
    }
}

#[test]
fn four_validators_agree_without_waiting_when_all_is_well() {
    let mut world = World::new(4, 1, 7, Faults { delay: 40, ..Faults::default() });
    let took = world.run_to(20, 100_000);
    assert_eq!(world.timeouts(), 0);
    assert!(took < 20 * 2_200, "{took}");
    for node in 1..5 {
        assert_eq!(world.committed(node)[..20], world.committed(0)[..20]);
    }
}

#[test]
fn four_validators_agree_with_one_silent() {
    for seed in 0..100 {
        let faults = Faults { off: 1 << (seed % 4), lost: 3, doubled: 5, delay: 300, ..Faults::default() };
        let mut world = World::new(4, 0, seed, faults);
        world.run_to(5, 1_000_000);
        assert!(world.timeouts() > 0);
    }
}

#[test]
fn four_validators_agree_through_loss_delay_and_crashes() {
    for seed in 0..150 {
        let faults = Faults { lost: seed % 25, doubled: 10, delay: 1 + seed * 10, crashes: 3, ..Faults::default() };
        World::new(4, 1, seed, faults).run_to(4, 10_000_000);
    }
}

#[test]
fn four_to_ten_validators_agree_with_as_many_off_as_may_be() {
    for n in 4..=10u8 {
        for seed in 0..12 {
            let most = (u64::from(n) - 1) / 3;
            let off = (0..most).map(|k| 1 << ((seed + 2 * k) % u64::from(n))).sum();
            let faults = Faults { off, lost: 5, doubled: 5, delay: 200, ..Faults::default() };
            World::new(n, 1, seed, faults).run_to(4, 1_000_000);
        }
    }
}

#[test]
fn four_to_ten_validators_agree_through_loss_delay_and_crashes() {
    for n in 4..=10u8 {
        for seed in 0..12 {
            let faults = Faults { lost: seed * 2, doubled: 10, delay: 1 + seed * 100, crashes: 2, ..Faults::default() };
            World::new(n, 1, seed, faults).run_to(3, 10_000_000);
        }
    }
}

#[test]
fn whoever_was_cut_off_catches_up() {
    for (n, alone) in [(4u8, 0b0001u32), (4, 0b0011), (7, 0b0000_0111), (10, 0b01_1000_0011)] {
        for seed in 0..8 {
            let mut world = World::new(n, 1, seed, Faults { delay: 60, lost: 2, ..Faults::default() });
            world.run_to(2, 100_000);
            world.groups = alone;
            world.run_for(30_000 + seed * 1_000);
            world.groups = 0;
            let reached = (0..usize::from(n)).map(|node| world.committed(node).len()).max().unwrap();
            world.run_to(reached + 2, 120_000);
        }
    }
}

#[test]
fn a_validator_that_lost_its_memory_waits_and_then_takes_part() {
    for seed in 0..20 {
        let mut world = World::new(4, 0, seed, Faults { delay: 40, ..Faults::default() });
        world.run_to(3, 100_000);
        world.wipe(2);
        world.run_to(4, 100_000);
        assert_eq!(world.status(2).unwrap().barrier, crate::types::Height::MAX);
        world.run_to(14, 200_000);
        let status = world.status(2).unwrap();
        assert!(status.barrier < status.height, "{status:?}");
        world.switch(1, true);
        world.run_to(18, 200_000);
    }
}
