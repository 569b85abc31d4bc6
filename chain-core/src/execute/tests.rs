//! What makes a transaction wrong at its place, what a failed one costs, who gets the fees, the
//! block's bounds; and random histories of all families.

use super::*;
use crate::codec::Text;
use crate::testing::*;
use crate::tx::arbitrary::{HOMES, Wish, busy_chain, signer_of, signers, wish};
use crate::tx::{Action, Transaction, anchor, asset, check_many, transfer};
use proptest::prelude::*;

fn unfit_number(unfit: Option<Unfit>) -> Option<u16> {
    match unfit {
        None => None,
        Some(Unfit::Rejected(refused)) => Some(refused.number()),
        Some(other) => panic!("{other}"),
    }
}

fn signed(transaction: Transaction, sender: &Signer, payer: Option<&Signer>) -> Checked {
    check(&sign(transaction, sender, payer)).unwrap()
}

fn by_one(transaction: Transaction) -> Checked {
    signed(transaction, &Signer::Key(1), None)
}

fn plain(nonce: u64) -> Transaction {
    transaction(address(1), nonce, [pay(address(2), 5)])
}

fn held(chain: &TestChain, seed: u8) -> u128 {
    chain.balance(seed, AssetId::NATIVE).get()
}

/// More than anybody holds.
fn hopeless() -> Action {
    pay(address(2), 10u128.pow(29))
}

fn burned(chain: &TestChain) -> u128 {
    money::asset(&chain.tree, AssetId::NATIVE).unwrap().burned.get()
}

#[test]
fn several_transactions_of_one_sender_fit_in_a_block_in_the_order_of_nonces() {
    let mut chain = TestChain::new();
    let transactions: Vec<_> = (0..5).map(|nonce| by_one(plain(nonce))).collect();
    let results = chain.block(&transactions);
    assert!(results.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Ok));
    assert_eq!(chain.account(&address(1)).nonce, 5);
    assert_eq!(held(&chain, 2), FUNDS.get() + 25);
    // What one transaction brings the next can spend.
    let all = held(&chain, 3) - FEE.get();
    let results = chain.block(&[checked(3, 0, [pay(address(90), all - 36)]), checked(90, 0, [pay(address(3), 5)])]);
    assert!(results.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Ok));
}

#[test]
fn a_nonce_fits_once_at_its_place() {
    let mut chain = TestChain::new();
    assert_eq!(unfit_number(chain.unfit(&by_one(plain(1)))), Some(NONCE_TOO_HIGH.number));
    assert_eq!(unfit_number(chain.unfit(&by_one(plain(u64::MAX)))), Some(NONCE_TOO_HIGH.number));
    let (_, skipped) = chain.build(&[by_one(plain(0)), by_one(plain(0)), by_one(plain(2)), by_one(plain(1))]);
    let skipped: Vec<_> =
        skipped.into_iter().map(|(place, unfit)| (place, unfit_number(Some(unfit)).unwrap())).collect();
    assert_eq!(skipped, [(1, NONCE_TOO_LOW.number), (2, NONCE_TOO_HIGH.number)]);
    for old in [0, 1] {
        assert_eq!(unfit_number(chain.unfit(&by_one(plain(old)))), Some(NONCE_TOO_LOW.number));
    }
}

#[test]
fn a_block_with_one_wrong_transaction_is_invalid_at_its_place() {
    let chain = TestChain::new();
    let body = [by_one(plain(0)), by_one(plain(2)), by_one(plain(1))];
    let (place, unfit) = execute_block(&chain.tree, chain.next(), &body).unwrap_err();
    assert_eq!((place, unfit_number(Some(unfit))), (1, Some(NONCE_TOO_HIGH.number)));
}

#[test]
fn only_the_accounts_own_policy_signs() {
    let multi = Signer::Multi(2, vec![11, 12, 13]);
    let chain = TestChain::with(&Params::default(), &[multi.address()]);
    let wrong = |sender: &Signer, signer: &Signer| {
        let transaction = transaction(sender.address(), 0, [pay(address(2), 5)]);
        unfit_number(chain.unfit(&signed(transaction, signer, None)))
    };
    assert_eq!(wrong(&multi, &multi), None);
    let others = [Signer::Key(2), Signer::Multi(1, vec![11, 12, 13]), Signer::Multi(2, vec![11, 12]), Signer::Key(11)];
    for other in &others {
        assert_eq!(wrong(&multi, other), Some(WRONG_POLICY.number), "{other:?}");
        assert_eq!(wrong(&Signer::Key(1), other), Some(WRONG_POLICY.number), "{other:?}");
    }
    // The payer's policy counts as much as the sender's.
    let paid = Transaction { fee_payer: Some(multi.address()), ..plain(0) };
    let by = |payer| unfit_number(chain.unfit(&signed(paid.clone(), &Signer::Key(1), Some(payer))));
    assert_eq!(by(&multi), None);
    assert_eq!(by(&Signer::Key(11)), Some(WRONG_POLICY.number));
}

#[test]
fn the_whole_fee_must_be_payable_and_enough() {
    let chain = TestChain::new();
    let with = |fee: u128| unfit_number(chain.unfit(&by_one(Transaction { fee: Amount::new(fee), ..plain(0) })));
    let least = Params::default().min_fee(by_one(plain(0)).weight()).get();
    assert_eq!(with(least), None);
    assert_eq!(with(least - 1), Some(FEE_TOO_LOW.number));
    assert_eq!(with(0), Some(FEE_TOO_LOW.number));
    assert_eq!(with(FUNDS.get()), None);
    assert_eq!(with(FUNDS.get() + 1), Some(FEE_UNPAYABLE.number));
    assert_eq!(with(u128::MAX), Some(FEE_UNPAYABLE.number));
    // What an earlier transaction of the block took is gone.
    let first = by_one(Transaction { fee: FUNDS, ..plain(0) });
    let mut chain = TestChain::new();
    let (results, skipped) = chain.build(&[first, by_one(plain(1))]);
    assert!(matches!(results.outcomes[0].verdict, Verdict::Rejected { .. }), "nothing is left to transfer");
    assert_eq!(unfit_number(Some(skipped[0].1.clone())), Some(FEE_UNPAYABLE.number));
}

#[test]
fn valid_until_names_the_last_block() {
    let mut chain = TestChain::new();
    let until = |height| by_one(Transaction { valid_until: Height::new(height), ..plain(0) });
    for (height, expected) in [(1, None), (2, None), (0, None), (u64::MAX, None)] {
        assert_eq!(unfit_number(chain.unfit(&until(height))), expected);
    }
    chain.block(&[]);
    for (height, expected) in [(1, Some(EXPIRED.number)), (2, None), (0, None)] {
        assert_eq!(unfit_number(chain.unfit(&until(height))), expected);
    }
}

#[test]
fn actions_are_carried_out_all_or_none_and_the_fee_is_kept() {
    let mut chain = TestChain::new();
    let create = Action::Asset(asset::Action::AssetCreate {
        symbol: Text::new("USD").unwrap(),
        units_per_token: Amount::new(1),
        max_supply: Amount::new(1),
        minter: None,
        initial_supply: Amount::new(1),
    });
    let last = [pay(address(90), 7), create.clone(), hopeless()];
    let results = chain.block(&[checked(1, 0, last)]);
    let number = money::INSUFFICIENT_BALANCE.number;
    assert_eq!(results.outcomes[0].verdict, Verdict::Rejected { number, action: 2 });
    assert_eq!(results.outcomes[0].fee, FEE);
    assert_eq!((held(&chain, 1), held(&chain, 90)), (FUNDS.get() - FEE.get(), 0));
    assert_eq!(money::audit(&chain.tree).unwrap().len(), 1, "no asset was created");
    let (verdict, events) = chain.run(1, [hopeless(), create.clone()]);
    assert_eq!(verdict, Verdict::Rejected { number, action: 0 });
    assert_eq!(events, []);
    assert_eq!(chain.account(&address(1)).nonce, 2);
    let events = chain.run_ok(1, [pay(address(90), 7), create, pay(address(90), 8)]);
    assert_eq!((events.len(), held(&chain, 90)), (3, 15));
}

#[test]
fn a_later_action_sees_what_an_earlier_one_did() {
    let mut chain = TestChain::new();
    let burn = |asset| transfer::Action::Burn { asset: AssetId::new(asset), amount: Amount::new(5) };
    let create = asset::Action::AssetCreate {
        symbol: Text::new("USD").unwrap(),
        units_per_token: Amount::new(1),
        max_supply: Amount::new(5),
        minter: Some(address(1)),
        initial_supply: Amount::new(5),
    };
    let mint = asset::Action::AssetMint { asset: AssetId::new(1), to: address(2), amount: Amount::new(5) };
    let actions = [Action::Asset(create), Action::Transfer(burn(1)), Action::Asset(mint)];
    chain.run_ok(1, actions);
    assert_eq!(chain.balance(2, AssetId::new(1)).get(), 5);
}

#[test]
fn the_fee_payer_pays_and_nothing_else_of_it_changes() {
    let multi = Signer::Multi(2, vec![11, 12, 13]);
    for payer in [Signer::Key(2), multi.clone()] {
        let mut chain = TestChain::with(&Params::default(), &[multi.address()]);
        let ok = Transaction { fee_payer: Some(payer.address()), ..transaction(address(1), 0, [pay(address(3), 5)]) };
        let bad = Transaction { nonce: 1, actions: transaction(address(1), 1, [hopeless()]).actions, ..ok.clone() };
        let results = chain.block(&[ok, bad].map(|t| signed(t, &Signer::Key(1), Some(&payer))));
        assert!(matches!(results.outcomes[1].verdict, Verdict::Rejected { .. }));
        let (sender, payer) = (chain.account(&address(1)), chain.account(&payer.address()));
        assert_eq!((sender.nonce, sender.balance.get()), (2, FUNDS.get() - 5));
        assert_eq!((payer.nonce, payer.balance.get()), (0, FUNDS.get() - 2 * FEE.get()));
    }
}

#[test]
fn an_account_without_money_can_act_if_somebody_else_pays() {
    let mut chain = TestChain::new();
    let anchor = Action::Anchor(anchor::examples().remove(0));
    let free = Transaction { fee_payer: Some(address(2)), ..transaction(address(99), 0, [anchor]) };
    chain.block(&[signed(free, &Signer::Key(99), Some(&Signer::Key(2)))]);
    let account = chain.account(&address(99));
    assert_eq!((account.nonce, account.balance), (1, Amount::ZERO));
    assert!(money::has_row(&chain.tree, &address(99), AssetId::NATIVE), "the nonce keeps the row");
}

#[test]
fn a_multi_key_account_acts_and_pays() {
    let multi = Signer::Multi(2, vec![11, 12, 13]);
    let mut chain = TestChain::with(&Params::default(), &[multi.address()]);
    chain.block(&[signed(transaction(multi.address(), 0, [pay(address(2), 5)]), &multi, None)]);
    let account = chain.account(&multi.address());
    assert_eq!((account.nonce, account.balance.get()), (1, FUNDS.get() - FEE.get() - 5));
}

#[test]
fn fees_are_split_exactly_once_per_block() {
    for (bps, fees, burn) in [
        (5_000, [10_001, 10_000], 10_000), // half of 20,001, floored once and not per transaction
        (5_000, [10_001, 10_001], 10_001),
        (0, [10_001, 10_001], 0),
        (1, [10_001, 10_001], 2),
        (3_333, [10_001, 10_000], 6_666),
        (10_000, [10_001, 10_001], 20_002),
    ] {
        let mut chain = TestChain::with(&Params { burn_bps: bps, ..Params::default() }, &[]);
        let with = |nonce, fee| by_one(Transaction { fee: Amount::new(fee), ..plain(nonce) });
        let results = chain.block(&[with(0, fees[0]), with(1, fees[1])]);
        assert_eq!(results.outcomes.iter().map(|outcome| outcome.fee.get()).sum::<u128>(), fees[0] + fees[1]);
        assert_eq!((burned(&chain), held(&chain, PROPOSER)), (burn, fees[0] + fees[1] - burn), "{bps} {fees:?}");
    }
}

#[test]
fn the_proposers_share_is_no_money_within_the_block() {
    let mut chain = TestChain::new();
    let spend = checked(PROPOSER, 0, [pay(address(1), 1)]);
    let (_, skipped) = chain.build(&[by_one(plain(0)), spend.clone()]);
    assert_eq!(unfit_number(Some(skipped[0].1.clone())), Some(FEE_UNPAYABLE.number));
    // Half of two fees is one fee.
    chain.block(&[by_one(plain(1))]);
    let (results, _) = chain.build(&[spend]);
    assert!(matches!(results.outcomes[0].verdict, Verdict::Rejected { .. }));
}

#[test]
fn a_block_is_full_at_its_bounds() {
    let transactions = [by_one(plain(0)), by_one(plain(1)), by_one(plain(2))];
    let (bytes, weight) = (transactions[0].bytes().len() as u32, transactions[0].weight());
    let two_fit = [
        Params { max_block_txs: 2, ..Params::default() },
        Params { max_block_bytes: 4 + 2 * (4 + bytes), ..Params::default() },
        Params { max_block_bytes: 4 + 3 * (4 + bytes) - 1, ..Params::default() },
        Params { max_block_weight: 2 * weight, ..Params::default() },
        Params { max_block_weight: 3 * weight - 1, ..Params::default() },
    ];
    for params in two_fit {
        let mut chain = TestChain::with(&params, &[]);
        let judged = execute_block(&chain.tree, chain.next(), &transactions);
        assert_eq!(judged.unwrap_err(), (2, Unfit::Full));
        let (results, skipped) = chain.build(&transactions);
        assert_eq!((results.outcomes.len(), skipped), (2, vec![(2, Unfit::Full)]));
    }
    let exact = Params {
        max_block_txs: 3,
        max_block_weight: 3 * weight,
        max_block_bytes: 4 + 3 * (4 + bytes),
        ..Params::default()
    };
    let mut chain = TestChain::with(&exact, &[]);
    let body = crate::block::Body::new(transactions.iter().map(|t| t.bytes().to_vec()).collect());
    assert_eq!(body.encode().len(), exact.max_block_bytes as usize, "the bound is about the body's encoding");
    chain.block(&transactions);
}

#[test]
fn an_unfit_transaction_leaves_no_trace() {
    let chain = TestChain::new();
    let run = |candidates: &[Checked]| {
        let mut execution = Execution::start(&chain.tree, chain.next()).unwrap();
        for candidate in candidates {
            let _ = execution.push(candidate);
        }
        (execution.used(), roots(&execution.finish().unwrap()))
    };
    let poor = by_one(Transaction { fee: Amount::new(u128::MAX), ..plain(1) });
    assert_eq!(run(&[by_one(plain(0)), by_one(plain(9)), poor]), run(&[by_one(plain(0))]));
}

#[test]
fn roots_depend_on_order_and_content() {
    let chain = TestChain::new();
    let (a, b) = (by_one(plain(0)), checked(2, 0, [pay(address(3), 5)]));
    let run = |body: &[Checked]| roots(&execute_block(&chain.tree, chain.next(), body).unwrap());
    let (ab, ba) = (run(&[a.clone(), b.clone()]), run(&[b, a]));
    assert_eq!(ab[0], ba[0], "independent transactions commute in the state");
    assert_ne!(ab[1], ba[1]);
    assert_ne!(ab[2], ba[2]);
}

/// A random transaction: mostly right, sometimes wrong in one way or another.
#[derive(Clone, Debug)]
struct Attempt {
    sender: usize,
    stranger: Option<usize>,
    payer: Option<usize>,
    nonce_off: i8,
    fee: u128,
    until: u64,
    wishes: Vec<Wish>,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let fee = prop_oneof![8 => Just(FEE.get()), 1 => 0u128..3_000, 1 => Just(FUNDS.get() / 2), 1 => Just(u128::MAX)];
    let rare = |range: std::ops::Range<usize>| prop_oneof![9 => Just(None), 1 => range.prop_map(Some)];
    let payer = prop_oneof![2 => Just(None), 1 => (0..HOMES).prop_map(Some)];
    let nonce_off = prop_oneof![9 => Just(0i8), 1 => -2i8..3];
    let until = prop_oneof![4 => Just(0u64), 1 => 0u64..6];
    (0..HOMES, rare(0..signers().len()), payer, nonce_off, fee, until, prop::collection::vec(wish(), 1..3)).prop_map(
        |(sender, stranger, payer, nonce_off, fee, until, wishes)| Attempt {
            sender,
            stranger,
            payer,
            nonce_off,
            fee,
            until,
            wishes,
        },
    )
}

impl Attempt {
    /// The transaction's bytes, as somebody makes them who knows the last block and how many
    /// transactions of the sender come before in this one.
    fn bytes(&self, chain: &TestChain, before: u64) -> Vec<u8> {
        let homes = signers();
        let signer = |home: usize| signer_of(&homes[home], &chain.account(&homes[home].address()));
        let sender = homes[self.sender].address();
        let nonce = (chain.account(&sender).nonce + before).saturating_add_signed(self.nonce_off.into());
        let actions = self.wishes.iter().map(|wish| wish.action(&sender, nonce));
        let transaction = Transaction {
            fee_payer: self.payer.map(|payer| homes[payer].address()),
            fee: Amount::new(self.fee),
            valid_until: Height::new(self.until),
            ..transaction(sender, nonce, actions)
        };
        let by = self.stranger.map_or_else(|| signer(self.sender), |stranger| homes[stranger].clone());
        let payer = self.payer.map(signer);
        crate::codec::encode(&sign(transaction, &by, payer.as_ref()))
    }
}

/// The bytes of a block's candidates.
fn candidates(chain: &TestChain, attempts: &[Attempt]) -> Vec<Vec<u8>> {
    let mut before = [0; HOMES];
    let mut bytes = Vec::new();
    for attempt in attempts {
        bytes.push(attempt.bytes(chain, before[attempt.sender]));
        before[attempt.sender] += 1;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// `TestChain::build` checks after every block: builder and judge agree on every root,
    /// supplies are conserved, and the rows alone lead to the committed root.
    #[test]
    fn random_histories_keep_money_and_agree(
        history in prop::collection::vec(prop::collection::vec(attempt(), 0..8), 1..6),
    ) {
        let homes: Vec<_> = signers().iter().map(Signer::address).collect();
        let mut chain = busy_chain();
        for attempts in &history {
            let bytes = candidates(&chain, attempts);
            let checked = check_many(&self::chain(), &bytes);
            let (right, wrong): (Vec<_>, Vec<_>) = checked.into_iter().partition(Result::is_ok);
            prop_assert!(wrong.iter().all(|refused| matches!(refused, Err(e) if e.number() < 1_200)));
            let right: Vec<Checked> = right.into_iter().flatten().collect();
            let nonces: u64 = homes[..HOMES].iter().map(|home| chain.account(home).nonce).sum();
            let (results, skipped) = chain.build(&right);
            prop_assert_eq!(results.outcomes.len() + skipped.len(), right.len());
            let used: u64 = homes[..HOMES].iter().map(|home| chain.account(home).nonce).sum();
            prop_assert_eq!(used - nonces, results.outcomes.len() as u64, "a nonce per transaction in the block");
        }
    }
}

/// So that the histories above are worth something: they contain every way things can go.
#[test]
fn random_histories_are_rich() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut carried_out, mut events) =
        (std::collections::BTreeSet::new(), 0, std::collections::BTreeSet::new());
    for _ in 0..80 {
        let mut chain = busy_chain();
        for _ in 0..4 {
            let attempts = prop::collection::vec(attempt(), 8..16).new_tree(&mut runner).unwrap().current();
            let mut right = Vec::new();
            for result in check_many(&self::chain(), &candidates(&chain, &attempts)) {
                match result {
                    Ok(checked) => right.push(checked),
                    Err(refused) => drop(seen.insert(refused.number())),
                }
            }
            let (results, skipped) = chain.build(&right);
            seen.extend(skipped.into_iter().filter_map(|(_, unfit)| unfit_number(Some(unfit))));
            for (outcome, happened) in results.outcomes.iter().zip(&results.events) {
                match outcome.verdict {
                    Verdict::Ok => carried_out += 1,
                    Verdict::Rejected { number, .. } => drop(seen.insert(number)),
                }
                events.extend(happened.iter().map(|event| crate::codec::encode(event)[..2].to_vec()));
            }
        }
    }
    assert!(carried_out > 300, "{carried_out}");
    // Those of the market come from `testing::market`; here its actions meet accounts without a market.
    events.retain(|number| number[0] <= 4 && (number[0] != 2 || number[1] <= 3));
    assert_eq!(events.len(), 9, "every kind of event: {events:?}");
    for expected in [7, 11, 12, 20, 21, 22, 23, 24, 25, 50, 51, 52, 100, 300, 301, 302] {
        assert!(seen.contains(&expected), "{expected} in {seen:?}");
    }
}
