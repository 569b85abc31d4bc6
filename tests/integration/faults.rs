//! A crash at every write of a run of several blocks: nothing that was promised is lost, and the chain
//! goes on to the same books.

use chain_core::state::money;
use chain_core::storage::faulty::Fault;
use chain_core::tx::Checked;
use chain_core::types::{Address, Height};
use chain_tests::disk::{Disk, Fuse, Kept};
use chain_tests::machine::{ACCOUNTS, GENESIS_MS, Machine, Told, assert_conserved, wallet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Heights of the run.
const HEIGHTS: u64 = 5;

/// What is submitted at which height: senders with sequential nonces, some with a gap that is
/// closed later, one transaction twice.
fn script() -> Vec<Vec<Checked>> {
    let pay = |from: u8, nonce: u64, to: u8| wallet(from).pay(nonce, wallet(to).address, 100 + u128::from(nonce));
    vec![
        vec![pay(1, 0, 2), pay(1, 1, 3), pay(2, 0, 20)],
        vec![pay(3, 1, 4), pay(4, 0, 1), pay(4, 1, 21), pay(1, 0, 2)],
        vec![pay(3, 0, 4), pay(1, 2, 2)],
        vec![],
        vec![pay(2, 1, 20), pay(2, 2, 1)],
    ]
}

/// Runs the script from a height on; the text says which write failed.
fn play(machine: &mut Machine, script: &[Vec<Checked>], told: &mut Told) -> Result<(), String> {
    for (place, transactions) in script.iter().enumerate() {
        if !transactions.is_empty() {
            machine.submit(transactions, told)?;
        }
        machine.run_to(Height::new(place as u64 + 1), told)?;
    }
    Ok(())
}

fn balances(machine: &Machine) -> BTreeMap<Address, (u64, u128)> {
    let head = machine.engine.chain().head();
    let numbers = (1..=ACCOUNTS).chain([20, 21]);
    let one = |number| {
        let address = wallet(number).address;
        let account = money::account(&head.tree, &address).unwrap();
        (address, (account.nonce, account.balance.get()))
    };
    numbers.map(one).collect()
}

/// The run nobody disturbs.
struct Calm {
    told: Told,
    points: u64,
    balances: BTreeMap<Address, (u64, u128)>,
}

fn calm(flush: u64) -> Calm {
    let (disk, fuse, mut told) = (Disk::new(), Fuse::counting(), Told::default());
    let mut machine = Machine::start(&disk, &fuse, flush, GENESIS_MS, &mut told).unwrap();
    play(&mut machine, &script(), &mut told).unwrap();
    assert!(told.refused.is_empty(), "{:?}", told.refused);
    for tx in script().iter().flatten() {
        assert!(told.acknowledged.contains(&tx.id()) || tx.transaction().sender == wallet(3).address);
    }
    machine.run_to(Height::new(HEIGHTS + 1), &mut told).unwrap();
    let balances = balances(&machine);
    Calm { told, points: fuse.points(), balances }
}

/// One run that is cut off at a write point, and what becomes of it.
fn crashed(disk: Disk, calm: &Calm, flush: u64, (point, fault): (u64, Fault), kept: Kept) {
    let what = format!("flush every {flush}, {fault:?} at write {point}, {kept:?}");
    let (fuse, mut told) = (Fuse::blowing_at(point, fault), Told::default());
    let mut wall = GENESIS_MS;
    if let Ok(mut machine) = Machine::start(&disk, &fuse, flush, wall, &mut told) {
        let failed = play(&mut machine, &script(), &mut told).and_then(|()| machine.tick(&mut told));
        assert!(failed.is_err() || !fuse.has_blown(), "{what}: a failed write went unnoticed");
        wall = machine.wall;
    }
    disk.crash(kept);
    let calm_fuse = Fuse::counting();
    let mut machine = Machine::start(&disk, &calm_fuse, flush, wall + 1, &mut told)
        .unwrap_or_else(|error| panic!("{what}: the disk can't be started from: {error}"));
    assert!(machine.replayed <= flush, "{what}: {} blocks executed again", machine.replayed);
    let found = &machine.found;
    if let Some(same) = calm.told.blocks.get(&found.header.height) {
        let both = [same, found].map(|block| (block.id, block.header.state_root));
        assert_eq!(both[0], both[1], "{what}: block {} is another one", found.header.height);
    }
    recovered(&machine, &told, &what);
    finish(calm, &mut machine, &mut told, &what);
}

/// Every announced block is there, and everything that was acknowledged.
fn recovered(machine: &Machine, told: &Told, what: &str) {
    assert_conserved(&machine.engine);
    for (height, block) in &told.blocks {
        let found = machine.engine.chain().block(*height).unwrap();
        assert_eq!(found.map(|found| found.id), Some(block.id), "{what}: block {height}");
    }
    for id in &told.acknowledged {
        let status = machine.status(id);
        use chain_core::mempool::Status::{Final, Pending};
        assert!(matches!(status, Pending | Final { .. }), "{what}: {id} was acknowledged and is {status:?}");
    }
}

/// Who got no answer sends again; in the end the books are those of the undisturbed run.
fn finish(calm: &Calm, machine: &mut Machine, told: &mut Told, what: &str) {
    for transactions in script() {
        machine.submit(&transactions, told).unwrap();
    }
    assert!(told.refused.is_empty(), "{what}: {:?}", told.refused);
    let goal = machine.height().saturating_add(3);
    machine.run_to(goal, told).unwrap();
    assert_eq!(balances(machine), calm.balances, "{what}");
    assert_conserved(&machine.engine);
}

fn crash_everywhere(flush: u64, disk: fn() -> Disk) {
    let calm = calm(flush);
    assert!(calm.points > 50, "{} write points", calm.points);
    let mut runs = 0;
    for point in 0..calm.points {
        for fault in Fault::ALL {
            for kept in Kept::ALL {
                crashed(disk(), &calm, flush, (point, fault), kept);
                runs += 1;
            }
        }
    }
    println!("flush every {flush}: {} write points, {runs} crashes", calm.points);
}

#[test]
fn a_crash_at_every_write_when_every_block_is_flushed() {
    crash_everywhere(1, Disk::new);
}

#[test]
fn a_crash_at_every_write_when_every_third_block_is_flushed() {
    crash_everywhere(3, Disk::new);
}

#[test]
#[should_panic(expected = "was acknowledged and is Unknown")]
fn these_tests_notice_a_log_that_is_not_synced() {
    crash_everywhere(3, Disk::lying);
}

#[test]
fn a_crash_during_the_recovery_from_a_crash() {
    let flush = 3;
    let calm = calm(flush);
    for point in (0..calm.points).step_by(7) {
        let (disk, mut told) = (Disk::new(), Told::default());
        let mut machine = Machine::start(&disk, &Fuse::blowing_at(point, Fault::After), flush, GENESIS_MS, &mut told);
        let mut wall = GENESIS_MS;
        if let Ok(machine) = &mut machine {
            let _ = play(machine, &script(), &mut told);
            wall = machine.wall;
        }
        drop(machine);
        disk.crash(Kept::ALL[0]);
        for second in 0..12 {
            let what = format!("a crash at write {point}, then at write {second} of the next start");
            let fuse: Arc<Fuse> = Fuse::blowing_at(second, Fault::Before);
            if let Ok(mut machine) = Machine::start(&disk, &fuse, flush, wall + 1, &mut told) {
                recovered(&machine, &told, &what);
                let _ = machine.tick(&mut told);
                wall = machine.wall;
            }
            disk.crash(Kept::ALL[0]);
        }
        let what = format!("after many crashes, the first at write {point}");
        let mut machine = Machine::start(&disk, &Fuse::counting(), flush, wall + 1, &mut told).unwrap();
        finish(&calm, &mut machine, &mut told, &what);
    }
}
