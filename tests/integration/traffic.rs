//! Random traffic through the engine: the books balance after every block, and whoever executes a
//! block again, how often they like, comes to the same roots.

use chain_core::block::Header;
use chain_core::execute::{BlockContext, execute_block};
use chain_core::ledger::CommittedBlock;
use chain_core::state::Tree;
use chain_core::testing::roots;
use chain_core::tx::{Action, Checked, FAMILIES, check_many, check_one};
use chain_core::types::{Amount, AssetId, ChainId};
use chain_tests::disk::{Disk, Fuse};
use chain_tests::machine::{ACCOUNTS, GENESIS_MS, Machine, Told, genesis, wallet};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What somebody may try; most of it is refused by somebody.
#[derive(Clone, Debug)]
enum Try {
    Pay { to: u8, asset: u32, amount: u128 },
    Burn { asset: u32, amount: u128 },
    Example(usize),
}

/// One submission, and whether time passes after it.
#[derive(Clone, Debug)]
struct Step {
    from: u8,
    /// Added to the next nonce.
    ahead: u64,
    fee: u128,
    tries: Vec<Try>,
    ticks: u8,
}

fn amounts() -> impl Strategy<Value = u128> {
    prop_oneof![4 => 1..10_000u128, 1 => Just(3_600_000_000), 1 => Just(Amount::MAX_SUPPLY.get()), 1 => 0..2u128]
}

fn attempts() -> impl Strategy<Value = Try> {
    let asset = prop_oneof![3 => Just(0u32), 1 => Just(1), 1 => 0..4u32];
    prop_oneof![
        4 => (1..30u8, asset.clone(), amounts()).prop_map(|(to, asset, amount)| Try::Pay { to, asset, amount }),
        1 => (asset, amounts()).prop_map(|(asset, amount)| Try::Burn { asset, amount }),
        2 => any::<usize>().prop_map(Try::Example),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fee = prop_oneof![8 => 1_000..5_000u128, 1 => 0..100u128, 1 => Just(u128::MAX), 1 => Just(3_599_990_000)];
    let ahead = prop_oneof![8 => Just(0u64), 1 => 1..3u64, 1 => Just(100)];
    let tries = prop::collection::vec(attempts(), 1..4);
    let step = (1..=ACCOUNTS, ahead, fee, tries, 0..3u8);
    prop::collection::vec(
        step.prop_map(|(from, ahead, fee, tries, ticks)| Step { from, ahead, fee, tries, ticks }),
        1..40,
    )
}

fn action(attempt: &Try) -> Action {
    use chain_core::tx::transfer::Action::{Burn, Transfer};
    match attempt {
        Try::Pay { to, asset, amount } => Action::Transfer(Transfer {
            to: wallet(*to).address,
            asset: AssetId::new(*asset),
            amount: Amount::new(*amount),
            memo: Default::default(),
        }),
        Try::Burn { asset, amount } => {
            Action::Transfer(Burn { asset: AssetId::new(*asset), amount: Amount::new(*amount) })
        }
        Try::Example(number) => {
            let mut all: Vec<Action> = FAMILIES.iter().flat_map(|family| (family.examples)()).collect();
            all.swap_remove(number % all.len())
        }
    }
}

fn transaction(step: &Step, next: u64) -> Option<Checked> {
    let from = wallet(step.from);
    let mut transaction = from.transaction(next.saturating_add(step.ahead), step.tries.iter().map(action));
    transaction.fee = Amount::new(step.fee);
    check_one(&from.chain, &from.sign(transaction)).ok()
}

/// Somebody who believes nothing and executes every block again.
struct Auditor {
    chain: ChainId,
    tree: Tree,
}

impl Auditor {
    fn follow(&mut self, block: &CommittedBlock) {
        let header: &Header = &block.header;
        let checked = check_many(&self.chain, block.body.transactions());
        let checked: Vec<Checked> = checked.into_iter().collect::<Result<_, _>>().unwrap();
        let context = || BlockContext {
            chain: self.chain,
            height: header.height,
            view: header.view,
            timestamp: header.timestamp_ms,
            proposer: header.proposer,
        };
        let once = execute_block(&self.tree, context(), &checked).unwrap();
        let twice = execute_block(&self.tree, context(), &checked).unwrap();
        assert_eq!(roots(&once), roots(&twice), "block {}", header.height);
        assert!(once.agrees_with(header), "block {} executes to other roots", header.height);
        self.tree.commit(once.delta).unwrap();
        assert_eq!(self.tree.root(), header.state_root);
    }
}

fn run(steps: &[Step]) {
    let (disk, fuse, mut told) = (Disk::new(), Fuse::counting(), Told::default());
    let mut machine = Machine::start(&disk, &fuse, 2, GENESIS_MS, &mut told).unwrap();
    let mut auditor = Auditor { chain: genesis().chain_id(), tree: genesis().build().unwrap().0 };
    let mut sent: BTreeMap<u8, u64> = BTreeMap::new();
    for step in steps {
        let next = sent.entry(step.from).or_default();
        if let Some(checked) = transaction(step, *next) {
            let (before, id) = (told.refused.len(), checked.id());
            machine.submit(&[checked], &mut told).unwrap();
            if told.refused.len() == before && told.acknowledged.contains(&id) {
                *next += 1;
            }
        }
        for _ in 0..step.ticks {
            machine.tick(&mut told).unwrap();
        }
    }
    let goal = machine.height().saturating_add(2);
    machine.run_to(goal, &mut told).unwrap();
    assert_eq!(told.blocks.len() as u64, machine.height().get(), "every block was announced");
    told.blocks.values().for_each(|block| auditor.follow(block));
    assert_eq!(auditor.tree.root(), machine.engine.chain().head().tree.root());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_the_books_balance_and_execution_repeats(steps in steps()) {
        run(&steps);
    }
}
