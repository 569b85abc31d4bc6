//! The pool against a naive model: one flat list, everything recomputed at every step.

use super::kit::*;
use crate::execute::Unfit;
use crate::fault::Failure;
use crate::mempool::{DropReason, Effects, PoolLimits, Status};
use crate::tx::*;
use crate::types::{Address, TxId};
use proptest::prelude::*;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

/// A pooled transaction, as the model sees it.
#[derive(Clone)]
struct Waiting {
    tx: Checked,
    age: u64,
    pending: bool,
    replacements: u8,
}

/// Fee and weight of the worst up to a transaction, compared by cross multiplication.
type Worst = (u128, u64);

fn by_rate(a: &Worst, b: &Worst) -> Ordering {
    (a.0 * u128::from(b.1)).cmp(&(b.0 * u128::from(a.1)))
}

struct Model {
    limits: PoolLimits,
    list: Vec<Waiting>,
    ages: u64,
    fates: BTreeMap<TxId, DropReason>,
}

impl Waiting {
    fn sender(&self) -> Address {
        self.tx.transaction().sender
    }

    fn nonce(&self) -> u64 {
        self.tx.transaction().nonce
    }

    fn len(&self) -> u64 {
        self.tx.bytes().len() as u64
    }
}

impl Model {
    fn worst(&self, sender: Address, nonce: u64, also: Option<&Checked>) -> Worst {
        let lane = self.list.iter().filter(|w| {
            w.sender() == sender && w.nonce() < nonce || w.nonce() == nonce && also.is_none() && w.sender() == sender
        });
        let rates = lane.map(|w| &w.tx).chain(also).map(|tx| (tx.transaction().fee.get(), tx.weight()));
        rates.min_by(by_rate).unwrap()
    }

    /// Worst first.
    fn compare(&self, a: &Waiting, b: &Waiting) -> Ordering {
        let worst = |w: &Waiting| self.worst(w.sender(), w.nonce(), None);
        let rates = by_rate(&worst(a), &worst(b));
        a.pending.cmp(&b.pending).then(rates).then(Reverse(a.age).cmp(&Reverse(b.age)))
    }

    fn sorted(&self) -> Vec<Waiting> {
        let mut list = self.list.clone();
        list.sort_by(|a, b| self.compare(a, b));
        list
    }

    fn forget(&mut self, id: TxId, fate: Option<DropReason>) {
        self.list.retain(|w| w.tx.id() != id);
        if let Some(fate) = fate {
            self.fates.insert(id, fate);
        }
    }

    /// Who is pending now. Senders by address, as ages depend on that.
    fn refresh(&mut self, world: &World) {
        self.list.sort_by_key(|w| (w.sender(), w.nonce()));
        let places: BTreeSet<(Address, u64)> = self.list.iter().map(|w| (w.sender(), w.nonce())).collect();
        for w in &mut self.list {
            let account = crate::state::money::account(&world.tree, &w.tx.transaction().sender).unwrap();
            let pending = (account.nonce..=w.nonce()).all(|nonce| places.contains(&(w.sender(), nonce)));
            if pending && !w.pending {
                self.ages += 1;
                w.age = self.ages;
            }
            w.pending = pending;
        }
    }

    fn fits<'a>(&self, list: impl Iterator<Item = &'a Waiting> + Clone, queue_too: bool) -> bool {
        let sum = |l: &mut dyn Iterator<Item = &'a Waiting>| l.fold((0, 0), |(n, bytes), w| (n + 1, bytes + w.len()));
        let (txs, bytes) = sum(&mut list.clone());
        let (queued, queued_bytes) = sum(&mut list.filter(|w| !w.pending));
        let queue = queued <= self.limits.max_queued_txs && queued_bytes <= self.limits.max_queued_bytes;
        txs <= self.limits.max_txs && bytes <= self.limits.max_bytes && (queue || !queue_too)
    }

    fn insert(&mut self, world: &World, tx: &Checked) -> Result<(), u16> {
        if self.list.iter().any(|w| w.tx.wire_id() == tx.wire_id()) {
            return Ok(());
        }
        let t = tx.transaction();
        let (head, until) = (world.head.get(), t.valid_until.get());
        if until > head && until < head + 10 {
            return Err(EXPIRES_TOO_SOON.number);
        }
        if until != 0 && until <= head {
            return Err(EXPIRED.number);
        }
        if t.fee < world.params.min_fee(tx.weight()) {
            return Err(FEE_TOO_LOW.number);
        }
        let account = |address: &Address| crate::state::money::account(&world.tree, address).unwrap();
        let next = account(&t.sender).nonce;
        if t.nonce < next {
            return Err(NONCE_TOO_LOW.number);
        }
        if t.nonce > next + 64 {
            return Err(NONCE_TOO_HIGH.number);
        }
        let is_old = |w: &Waiting| w.sender() == t.sender && w.nonce() == t.nonce;
        let old = self.list.iter().find(|w| is_old(w)).cloned();
        let paid = self.list.iter().filter(|w| !is_old(w) && w.tx.transaction().payer() == t.payer());
        if paid.map(|w| w.tx.transaction().fee.get()).sum::<u128>() + t.fee.get() > account(&t.payer()).balance.get() {
            return Err(FEE_UNPAYABLE.number);
        }
        if let Some(old) = &old {
            if old.replacements == 16 {
                return Err(REPLACED_TOO_OFTEN.number);
            }
            if t.fee.get() * 100 < old.tx.transaction().fee.get() * 110 {
                return Err(REPLACEMENT_UNDERPRICED.number);
            }
        }
        let here = |nonce| self.list.iter().any(|w| w.sender() == t.sender && w.nonce() == nonce);
        let pending = (next..t.nonce).all(here);
        let (age, replacements) = old.as_ref().map_or((self.ages + 1, 0), |w| (w.age, w.replacements + 1));
        let newcomer = Waiting { tx: tx.clone(), age, pending, replacements };
        let rank = self.worst(t.sender, t.nonce, Some(tx));
        let mut stay: Vec<Waiting> = self.sorted().into_iter().filter(|w| !is_old(w)).collect();
        let mut gone = Vec::new();
        // The sender's own share.
        let fits_lane = |stay: &[Waiting]| {
            let lane = stay.iter().filter(|w| w.sender() == t.sender);
            lane.clone().count() < 64
                && lane.map(Waiting::len).sum::<u64>() + newcomer.len() <= self.limits.max_lane_bytes
        };
        while !fits_lane(&stay) {
            let own = stay.iter().enumerate().filter(|(_, w)| w.sender() == t.sender);
            match own.max_by_key(|(_, w)| w.nonce()) {
                Some((at, w)) if !w.pending && w.nonce() > t.nonce => gone.push(stay.remove(at)),
                _ => return Err(LANE_FULL.number),
            }
        }
        // Everyone's.
        while !self.fits(stay.iter().chain([&newcomer]), !pending) {
            let others = |w: &Waiting| w.sender() != t.sender;
            let at = stay.iter().position(others).ok_or(POOL_FULL.number)?;
            let worse = stay[at]
                .pending
                .cmp(&pending)
                .then(by_rate(&self.worst(stay[at].sender(), stay[at].nonce(), None), &rank));
            if worse != Ordering::Less {
                return Err(POOL_FULL.number);
            }
            gone.push(stay.remove(at));
        }
        self.fates.extend(gone.iter().map(|w| (w.tx.id(), DropReason::Evicted)));
        self.fates.extend(old.iter().map(|w| (w.tx.id(), DropReason::Replaced)));
        self.fates.remove(&tx.id());
        self.ages += 1;
        self.list = stay;
        self.list.push(newcomer);
        self.refresh(world);
        Ok(())
    }

    fn on_block(&mut self, world: &World, committed: &[Checked]) {
        // Whoever can't be paid for goes by the order before the block.
        let before = self.sorted();
        for tx in committed {
            self.forget(tx.id(), None);
            self.fates.remove(&tx.id());
        }
        let before: Vec<_> = before.into_iter().filter(|w| committed.iter().all(|tx| tx.id() != w.tx.id())).collect();
        let account = |address: &Address| crate::state::money::account(&world.tree, address).unwrap();
        for w in &before {
            let until = w.tx.transaction().valid_until.get();
            if until != 0 && until <= world.head.get() {
                self.forget(w.tx.id(), Some(DropReason::Expired));
            } else if w.nonce() < account(&w.sender()).nonce {
                self.forget(w.tx.id(), Some(DropReason::Invalidated));
            }
        }
        let payers: BTreeSet<Address> = self.list.iter().map(|w| w.tx.transaction().payer()).collect();
        for payer in payers {
            loop {
                let paid = before.iter().filter(|w| {
                    w.tx.transaction().payer() == payer && self.list.iter().any(|other| other.tx.id() == w.tx.id())
                });
                let fees: u128 = paid.clone().map(|w| w.tx.transaction().fee.get()).sum();
                if fees <= account(&payer).balance.get() {
                    break;
                }
                let own_tail = paid.clone().filter(|w| w.sender() == payer).map(Waiting::nonce).max();
                let mut choice = paid.filter(|w| w.sender() != payer || Some(w.nonce()) == own_tail);
                let worst = choice.next().unwrap().tx.id();
                self.forget(worst, Some(DropReason::Invalidated));
            }
        }
        self.refresh(world);
        while !self.fits(self.list.iter(), true) {
            let worst = self.sorted()[0].tx.id();
            self.forget(worst, Some(DropReason::Evicted));
        }
    }

    fn status(&self, id: &TxId) -> Status {
        match (self.list.iter().find(|w| w.tx.id() == *id), self.fates.get(id)) {
            (Some(w), _) if w.pending => Status::Pending,
            (Some(_), _) => Status::Queued,
            (None, Some(reason)) => Status::Dropped { reason: *reason },
            (None, None) => Status::Unknown,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A transaction; its nonce and `valid_until` are relative to account and head.
    Send { from: u64, ahead: u64, fee: u128, payer: Option<u64>, until: Option<u64>, spend: u8, memo: bool },
    /// One that was sent before.
    Resend(usize),
    /// A block from the pool.
    Build(usize),
    /// A block with a transaction nobody here has seen.
    Foreign { from: u64, spend: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let send =
        (0u64..4, 0u64..6, 1u128..8, prop::option::weighted(0.2, 0u64..4), prop::option::weighted(0.3, 8u64..14));
    let send = (send, 0u8..3, prop::bool::weighted(0.2)).prop_map(|((from, ahead, fee, payer, until), spend, memo)| {
        let payer = payer.filter(|payer| *payer != from);
        Step::Send { from, ahead, fee: fee * 300, payer, until, spend, memo }
    });
    prop_oneof![
        12 => send,
        1 => (0usize..100).prop_map(Step::Resend),
        2 => (0usize..4).prop_map(Step::Build),
        1 => (0u64..4, 0u8..3).prop_map(|(from, spend)| Step::Foreign { from, spend }),
    ]
}

fn limits() -> impl Strategy<Value = PoolLimits> {
    let tight = (4u64..12, 1_000u64..3_000, 1u64..5, 300u64..1_500, 500u64..2_000);
    let tight = tight.prop_map(|(max_txs, max_bytes, max_queued_txs, max_queued_bytes, max_lane_bytes)| PoolLimits {
        max_txs,
        max_bytes,
        max_queued_txs,
        max_queued_bytes,
        max_lane_bytes,
    });
    prop_oneof![3 => tight, 1 => Just(PoolLimits::default())]
}

/// What an amount of a step is: nothing is moved (more than anyone has), little, or much.
fn amount(spend: u8, spending: bool) -> u128 {
    match spend {
        _ if !spending => 10u128.pow(20),
        0 => 10u128.pow(20),
        1 => 1,
        _ => 3_000,
    }
}

/// Runs the pool and the model side by side.
struct Duel {
    world: World,
    model: Model,
    sent: Vec<Checked>,
    /// The last status the pool reported.
    reported: BTreeMap<TxId, Status>,
    log: Vec<Checked>,
    /// Whether transactions may take money their payers need for fees.
    spending: bool,
}

impl Duel {
    fn new(limits: PoolLimits, balances: &[u128], spending: bool) -> Self {
        let model = Model { limits, list: Vec::new(), ages: 0, fates: BTreeMap::new() };
        let world = World::new(limits, balances);
        Self { world, model, sent: Vec::new(), reported: BTreeMap::new(), log: Vec::new(), spending }
    }

    fn note(&mut self, effects: Effects) {
        self.reported.extend(effects.changes);
        self.log.extend(effects.to_log);
    }

    fn send(&mut self, tx: Checked) {
        let expected = self.model.insert(&self.world, &tx);
        match self.world.insert(&tx) {
            Ok(inserted) => {
                assert_eq!(expected, Ok(()));
                assert_eq!(inserted.status, self.world.status(&tx));
                self.note(inserted.effects);
            }
            Err(Failure::Rejected(rejected)) => assert_eq!(expected, Err(rejected.number()), "{rejected}"),
            Err(fault) => panic!("{fault}"),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { from, ahead, fee, payer, until, spend, memo } => {
                let nonce = (self.world.account(from).nonce + ahead).saturating_sub(1);
                let until = until.map_or(0, |until| self.world.head.get() + until);
                let (amount, memo) = (amount(spend, self.spending), if memo { 100 } else { 0 });
                let tx = Order { from, nonce, fee, payer, until, amount, memo }.tx();
                self.sent.push(tx.clone());
                self.send(tx);
            }
            Step::Resend(which) => {
                if let Some(tx) = self.sent.get(which % self.sent.len().max(1)).cloned() {
                    self.send(tx);
                }
            }
            Step::Build(most) => {
                let (taken, unfit, effects) = self.world.build(most);
                for (tx, why) in unfit {
                    let unpayable = matches!(&why, Unfit::Rejected(r) if *r.rejection == FEE_UNPAYABLE);
                    assert!(unpayable && self.spending, "{:?}: {why}", tx.transaction());
                }
                self.follow(&taken, effects);
            }
            Step::Foreign { from, spend } => {
                let account = self.world.account(from);
                if account.balance.get() >= 301 {
                    let tx = Order { amount: amount(spend, self.spending), ..order(from, account.nonce, 301) }.tx();
                    let effects = self.world.commit(std::slice::from_ref(&tx));
                    self.follow(&[tx], effects);
                }
            }
        }
        self.compare();
    }

    fn follow(&mut self, taken: &[Checked], effects: Effects) {
        self.note(effects);
        for tx in taken {
            self.reported.remove(&tx.id());
        }
        self.model.on_block(&self.world, taken);
    }

    fn compare(&self) {
        for tx in &self.sent {
            let status = self.world.status(tx);
            assert_eq!(status, self.model.status(&tx.id()), "{:?}", tx.transaction());
            assert_eq!(self.reported.get(&tx.id()).copied().unwrap_or(Status::Unknown), status, "a silent change");
        }
        let ours: Vec<_> = self.world.pool.candidates().map(Checked::id).collect();
        let theirs = self.model.sorted().into_iter().rev().filter(|w| w.pending);
        assert_eq!(ours, theirs.map(|w| w.tx.id()).collect::<Vec<_>>());
        let logged: BTreeSet<TxId> = self.log.iter().map(Checked::id).collect();
        assert!(self.world.pool.durable().all(|tx| logged.contains(&tx.id())), "acknowledged without a record");
    }

    /// A compacted log brings back exactly the pending ones; from a longer one nothing that was
    /// acknowledged vanishes without a word.
    fn restart(&mut self) {
        let pending = |world: &World| world.pool.candidates().map(Checked::id).collect::<BTreeSet<_>>();
        let (before, durable) = (pending(&self.world), self.world.pool.durable().cloned().collect::<Vec<_>>());
        self.world.restart(durable.clone());
        assert_eq!(pending(&self.world), before);
        assert_eq!(self.world.pool.durable().count(), durable.len());
        self.world.restart(self.log.clone());
        for tx in &durable {
            assert_ne!(self.world.status(tx), Status::Unknown);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn the_pool_is_the_model(
        limits in limits(),
        balances in prop::collection::vec(500u128..40_000, 4),
        spending: bool,
        steps in prop::collection::vec(step(), 1..70),
    ) {
        let mut duel = Duel::new(limits, &balances, spending);
        for step in steps {
            duel.step(step);
        }
        duel.restart();
    }
}
