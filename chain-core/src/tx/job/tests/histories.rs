//! Random histories, valid and hostile, before a referee with books of its own: whatever is tried, every base unit is
//! where the accepted actions put it, nobody but the parties moves an escrow, a refusal costs its fee and nothing
//! else, and all money finds its way out.
//!
//! Not here: what is tried (`testing::market`), what the referee knows and allows (`books`, `judge`).

mod books;
mod judge;

use self::books::{Books, Place, money_of};
use super::*;
use crate::block::Verdict;
use crate::codec::List;
use crate::execute::{Execution, Unfit};
use crate::state::market::job::{JOB_ENDS, OPEN_PAIRS, Status};
use crate::state::market::model::MODEL_PROPOSALS;
use crate::state::market::provider::{PROVIDERS, ProviderState};
use crate::state::market::settle::{Settlement, settle};
use crate::state::{Tree, params};
use crate::testing::market::{Histories, LONG_STEP_MS, REAL_STEP_MS, Step, TREASURER, chain, people};
use crate::testing::{Signer, TestChain, chain as chain_id, key};
use crate::tx::{self, Checked, market, model, provider};
use crate::types::ModelProposalId;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PEOPLE: [u8; 9] = [P1, P2, H1, H2, D, X, A, T, S];

/// Whether all is as it should be.
type Audit = Result<(), String>;

fn must(holds: bool, what: impl FnOnce() -> String) -> Audit {
    if holds { Ok(()) } else { Err(what()) }
}

/// A history and who watches it.
struct Play {
    histories: Histories,
    chain: TestChain,
    books: Books,
}

impl Play {
    fn new(seed: u64, hostile: u64, step_ms: u32) -> Self {
        let chain = chain(step_ms);
        let books = Books::new(&chain.tree);
        Self { histories: Histories::with(seed, hostile), chain, books }
    }

    /// A block of so many steps that were drawn on the same state.
    fn block(&mut self, steps: usize) -> Audit {
        self.chain.time = Some(self.histories.time(&self.chain.tree));
        let steps: Vec<_> = (0..steps).map(|_| self.histories.next(&self.chain.tree)).collect();
        let mut building = Execution::start(&self.chain.tree, self.chain.next()).unwrap();
        let mut body: Vec<(Step, u64)> = Vec::new();
        for step in steps {
            let before = body.iter().filter(|(other, _)| other.by == step.by).count() as u64;
            let nonce = self.chain.account(&step.sender()).nonce + before;
            let Ok(transaction) = step.checked(nonce) else { continue };
            match building.push(&transaction) {
                Ok(()) => body.push((step, nonce)),
                Err(Unfit::Fault(fault)) => return Err(fault.to_string()),
                Err(_) => {}
            }
        }
        let executed = building.finish().map_err(|fault| fault.to_string())?;
        let refused = |place: usize| executed.results.outcomes[place].verdict != Verdict::Ok;
        self.check_refusals(&body, &refused, executed.state_root())?;
        let owned = self.books.owned();
        self.books.begin(self.chain.next().timestamp, params(&self.chain.tree).unwrap());
        for (place, (step, _)) in body.iter().enumerate() {
            let judged = self.books.charge(step.sender(), &step.signer).and_then(|()| match refused(place) {
                true => Ok(()),
                false => self.books.accept(step.sender(), &step.action, &executed.results.events[place]),
            });
            judged.map_err(|what| format!("{what}, by {step:?}"))?;
        }
        self.books.end()?;
        executed.results.events.iter().flatten().try_for_each(judge::check_end)?;
        self.chain.tree.commit(executed.delta).unwrap();
        self.chain.height = self.chain.height.next();
        self.books.compare(&self.chain.tree)?;
        self.check_consent(&owned)?;
        check_rows(&self.chain.tree)
    }

    /// A refused action leaves the state that any other refused one of the same sender, nonce and fee leaves.
    fn check_refusals(
        &self,
        body: &[(Step, u64)],
        refused: &dyn Fn(usize) -> bool,
        root: crate::crypto::Hash,
    ) -> Audit {
        if (0..body.len()).all(|place| !refused(place)) {
            return Ok(());
        }
        let hopeless = |step: &Step| Step {
            action: tx::Action::Job(Action::JobExpire { job: JobId::new(u64::MAX) }),
            ..step.clone()
        };
        let other = |(place, (step, nonce)): (usize, &(Step, u64))| {
            let step = if refused(place) { hopeless(step) } else { step.clone() };
            step.checked(*nonce).unwrap()
        };
        let others: Vec<Checked> = body.iter().enumerate().map(other).collect();
        let executed = crate::execute::execute_block(&self.chain.tree, self.chain.next(), &others);
        let executed = executed.map_err(|unfit| format!("{unfit:?}"))?;
        must(executed.state_root() == root, || format!("a refusal left something: {body:?}"))
    }

    /// Nobody has less, in all his places together, who did not sign, was not spent for within a grant, and was not
    /// slashed. By the books, which are what the rows say.
    fn check_consent(&self, before: &BTreeMap<(Address, AssetId), u128>) -> Audit {
        let after = self.books.owned();
        let less = before.iter().find(|(whose, had)| {
            let has = after.get(whose).copied().unwrap_or_default();
            has < **had && !self.books.consents.contains(&whose.0)
        });
        must(less.is_none(), || format!("{less:?} became less without consent"))
    }

    /// The same chain apart from this one.
    fn copy(&self) -> TestChain {
        let rows = self.chain.tree.rows().map(|(key, slot, value)| (*key, slot, value.into()));
        let tree = Tree::rebuild(&chain_id().0, rows, u32::MAX).unwrap();
        assert_eq!(tree.root(), self.chain.tree.root(), "the rows alone lead to the same root");
        TestChain { tree, height: self.chain.height, ..chain(REAL_STEP_MS) }
    }
}

/// What must hold of the rows after every block: queues and counters are those of the jobs.
fn check_rows(tree: &Tree) -> Audit {
    let mut pairs = BTreeMap::new();
    let mut providers: BTreeMap<Address, u32> = BTreeMap::new();
    let mut queued = 0;
    for row in crate::state::market::jobs(tree) {
        let (id, job) = row.unwrap();
        if job.status != Status::Active {
            continue;
        }
        queued += 1;
        *pairs.entry((job.payer, job.provider_id)).or_insert(0u32) += 1;
        *providers.entry(job.provider).or_default() += 1;
        must(JOB_ENDS.get(tree, &(job.queued, id)).unwrap().is_some(), || format!("no way out for {id}"))?;
        must(job.queued <= job.due_at(), || format!("{id} is looked at too late"))?;
    }
    must(JOB_ENDS.scan(tree).count() == queued, || "jobs that are queued".into())?;
    must(OPEN_PAIRS.scan(tree).count() == pairs.len(), || "pairs that are counted".into())?;
    for (pair, open) in pairs {
        must(OPEN_PAIRS.get(tree, &pair).unwrap() == Some(open), || format!("{pair:?} have {open}"))?;
    }
    for row in crate::state::market::provider::providers(tree) {
        let (account, row) = row.unwrap();
        let open = providers.get(&account).copied().unwrap_or_default();
        must(row.open_jobs == open, || format!("{account} has {open} jobs"))?;
    }
    check_records(tree)
}

/// What nobody has a record of did nothing.
fn check_records(tree: &Tree) -> Audit {
    use crate::state::market::{fading::MOST, reputation::RECORDS, stored};
    let now = stored(tree).unwrap().now;
    for row in RECORDS.scan(tree) {
        let (_, record) = row.unwrap();
        let numbers = [record.jobs, record.units, record.timeouts_with_work, record.timeouts_empty];
        let sound = numbers.iter().any(|number| number.millionths > 0)
            && numbers.iter().all(|number| number.millionths <= MOST && number.at <= now);
        must(sound, || format!("{record:?}"))?;
    }
    Ok(())
}

/// What is in places of this kind, by the rows.
fn left(tree: &Tree, is_meant: impl Fn(&Place) -> bool) -> Vec<(Place, AssetId)> {
    money_of(tree).into_keys().filter(|(place, _)| is_meant(place)).collect()
}

/// How many blocks may pass until everything is due that can become due.
const PATIENCE: usize = 2_000;

/// Blocks without transactions until this holds.
fn wait(chain: &mut TestChain, is_done: impl Fn(&Tree) -> bool) -> Audit {
    for _ in 0..PATIENCE {
        if is_done(&chain.tree) {
            return Ok(());
        }
        let market = crate::state::market::stored(&chain.tree).unwrap();
        // A pause ends at once.
        let week = 604_800_000;
        let step = u64::from(params(&chain.tree).unwrap().market.max_step_ms);
        chain.time =
            Some(market.paused_until.map_or(market.at.saturating_add(step), |_| market.at.saturating_add(week)));
        let executed = crate::execute::execute_block(&chain.tree, chain.next(), &[]).unwrap();
        chain.tree.commit(executed.delta).unwrap();
        chain.height = chain.height.next();
    }
    Err(format!("still waiting; {:?}", left(&chain.tree, |_| true)))
}

/// Who signs for an account of the history's people.
fn signer(chain: &TestChain, seed: u8) -> Signer {
    let two = seed + crate::testing::market::SECOND;
    match chain.account(&address(seed)).authority {
        crate::state::Authority::Key(known) if known == key(two).public() => Signer::Key(two),
        crate::state::Authority::MultiKey(_) => Signer::Multi(2, vec![seed, two]),
        _ => Signer::Key(seed),
    }
}

/// Somebody does something that must be carried out.
fn act(chain: &mut TestChain, by: u8, action: impl Into<tx::Action>) -> Audit {
    let nonce = chain.account(&address(by)).nonce;
    let step = Step { by, signer: signer(chain, by), action: action.into() };
    let checked = step.checked(nonce).map_err(|refused| format!("{step:?}: {refused}"))?;
    let executed = crate::execute::execute_block(&chain.tree, chain.next(), &[checked]);
    let executed = executed.map_err(|unfit| format!("{step:?}: {unfit:?}"))?;
    let verdict = executed.results.outcomes[0].verdict;
    chain.tree.commit(executed.delta).unwrap();
    chain.height = chain.height.next();
    must(verdict == Verdict::Ok, || format!("{step:?}: {verdict:?}"))
}

fn seed_of(account: &Address) -> u8 {
    people().find(|seed| address(*seed) == *account).unwrap()
}

/// All escrows are settled and all compensations paid without anybody acting; then everybody has an action that
/// gives back what is his, until all money is in accounts.
fn check_exits(mut chain: TestChain) -> Audit {
    wait(&mut chain, |tree| left(tree, |place| matches!(place, Place::Escrow(_) | Place::Owed(..))).is_empty())?;
    let asked: Vec<_> = MODEL_PROPOSALS.scan(&chain.tree).map(Result::unwrap).collect();
    let asked: Vec<_> = (1..).zip(asked).filter(|(_, (_, row))| row.outcome.is_none()).collect();
    let ends: Vec<_> = asked.iter().map(|(id, (_, row))| (ModelProposalId::new(*id), row.end)).collect();
    for (proposal, end) in ends {
        wait(&mut chain, |tree| crate::state::market::stored(tree).unwrap().now > end)?;
        act(&mut chain, crate::testing::market::STRANGER, model::Action::ModelFinalize { proposal })?;
    }
    for (place, asset) in left(&chain.tree, |_| true) {
        match place {
            Place::Votes(who, proposal) => {
                let proposal = ModelProposalId::new(proposal);
                act(&mut chain, seed_of(&who), model::Action::ModelVoteUnlock { proposal })?;
            }
            Place::Bond(who) => empty_bond(&mut chain, who)?,
            Place::Prepaid(who) => {
                let amount = crate::state::market::Purse::Prepaid(who).balance(&chain.tree, asset).unwrap();
                act(&mut chain, seed_of(&who), market::Action::MarketWithdraw { asset, amount })?;
            }
            Place::Earnings(who) => {
                let items = List::new(vec![market::Item { asset, amount: None }]).unwrap();
                act(&mut chain, seed_of(&who), market::Action::EarningsWithdraw { items })?;
            }
            Place::Treasury | Place::Pool => {
                let pot = if place == Place::Pool { market::Pot::RejectedPool } else { market::Pot::Treasury };
                act(&mut chain, TREASURER, market::Action::TreasuryWithdraw { pot, asset, amount: None })?;
            }
            Place::Account(_) | Place::Fee(_) | Place::Escrow(_) | Place::Owed(..) => {}
        }
    }
    let stuck = left(&chain.tree, |place| !matches!(place, Place::Account(_)));
    chain.assert_sound();
    must(stuck.is_empty(), || format!("nobody gets {stuck:?}"))
}

fn empty_bond(chain: &mut TestChain, who: Address) -> Audit {
    let row = PROVIDERS.get(&chain.tree, &who).unwrap().unwrap();
    if row.state == ProviderState::Active {
        act(chain, seed_of(&who), provider::Action::ProviderLeave {})?;
    }
    let row = |tree: &Tree| PROVIDERS.get(tree, &who).unwrap().unwrap();
    let now = |tree: &Tree| crate::state::market::stored(tree).unwrap().now;
    wait(chain, |tree| row(tree).free_from.is_some_and(|free| now(tree) >= free))?;
    act(chain, seed_of(&who), provider::Action::ProviderBondWithdraw {})
}

/// Plays a history of so many blocks, and looks for the exits at its end and in between.
fn play(seed: u64, hostile: u64, step_ms: u32, blocks: usize) -> Audit {
    let mut play = Play::new(seed, hostile, step_ms);
    for block in 1..=blocks {
        play.block(1 + block % 3)?;
        if block % 60 == 0 {
            check_exits(play.copy())?;
        }
    }
    check_exits(play.copy())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_tried_money_is_where_the_referee_expects_it_and_finds_its_way_out(
        seed: u64, hostile in 0u64..300, is_real: bool, blocks in 1usize..200,
    ) {
        let step_ms = if is_real { REAL_STEP_MS } else { LONG_STEP_MS };
        let audit = play(seed, hostile, step_ms, blocks);
        prop_assert!(audit.is_ok(), "{audit:?}");
    }

    #[test]
    fn any_split_of_the_same_units_pays_the_same(
        price in 5_000u128..1_000_000, parts in prop::collection::vec(100u64..2_000, 1..12), asset in 0usize..2,
        ends in 0usize..3,
    ) {
        let world = &mut World::f0();
        let price = price.max([1, 227_273][asset]);
        let wish = opening([USD, NAT][asset], [900 * E6, 10u128.pow(16)][asset], price);
        let (whole, split) = (world.open(P1, wish.clone()), world.open(P1, wish));
        for part in &parts {
            world.later(1);
            world.prove(split, *part);
        }
        world.prove(whole, parts.iter().sum());
        // By the payer, by the provider, by silence.
        let by = [P1, H1, X][ends];
        world.later([0, 30, 301][ends]);
        let (cause, one, other) = if ends == 2 {
            world.block();
            (Cause::Silence, world.due(whole), world.due(split))
        } else {
            let ((cause, one), (_, other)) = (world.end(by, complete(whole)), world.end(by, complete(split)));
            (cause, one, other)
        };
        prop_assert_eq!(one, other);
        let paid = [whole, split].map(|id| world.job(id).status);
        prop_assert_eq!(paid[0], paid[1]);
        prop_assert_eq!(paid[0], Status::Settled { cause, settlement: one, at: world.market_now() });
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
