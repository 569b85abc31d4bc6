//! Every short history of one job: all that payer, provider, another provider, a stranger and the arbiter may try, and
//! time. After every block the money adds up and lies where job and dispute say; from every state that is reached,
//! time alone settles the job and empties its escrow and the deposits of its dispute.
//!
//! Besides, histories in which one side is honest and all others do whatever they may, and what that side then loses
//! at most. A unit is *delivered* when the provider of a leg has really made it for the payer: the chain never learns
//! of it, so the model counts it. In each leg:
//! - An honest payer acknowledges exactly the units that were delivered, as soon as they are; names them wherever it
//!   completes or hands over; and, if it *watches*, contests what is claimed beyond them before time passes. Watching,
//!   it pays for what was delivered and nothing else, and loses no deposit. Not watching, it pays for a quantum more in
//!   each leg at most (where the provider claims: for all it claims, so there it has to watch).
//! - An honest provider works at most a quantum beyond what was acknowledged, claims only what it delivered, redeems
//!   what it has before a closing ends, answers disputes with the newest acknowledgement, or where that is no news
//!   deposits. It is paid for every acknowledged unit, less the fee, and loses no deposit.
//!
//! The arbiter is honest: it votes for the payer exactly if more was claimed than delivered, before time is over.
//! States are the same if job, dispute, purses and what the model knows are, by times relative to now: what follows is
//! then the same.

use super::*;
use crate::block::Verdict;
use crate::codec;
use crate::crypto::{Hash, digest};
use crate::execute::Execution;
use crate::state::market::dispute::DISPUTES;
use crate::state::market::job::{Meter, Mode};
use crate::state::{Undo, money};
use crate::testing::{Signer, TestChain, chain as chain_id, key, sign, transaction};
use crate::tx::receipt::{self, Receipt, WorkOutcome};
use crate::tx::{self, Formed, job};
use crate::types::TimestampMs;
use std::collections::HashMap;

/// Base units a unit costs; all divisions come out even.
const UNIT: u128 = 2_500;
const PRICE: u128 = 1_000 * UNIT;
const DEPOSIT: u128 = 200 * UNIT;
const QUANTUM: u64 = 60;
/// What is delivered and claimed at once.
const STEP: u64 = 30;
/// Seconds: a window, the silence, a closing, an answer, a verdict, each over.
const TIMES: [u64; 5] = [31, 61, 601, 86_401, 259_201];

/// Who plays by which rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cast {
    /// Everybody does anything.
    Anybody,
    /// The payer is honest; it watches, or not.
    HonestPayer { watches: bool },
    /// H1 is honest.
    HonestProvider,
}

/// What somebody may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    /// The provider of the leg really works.
    Deliver,
    /// The payer gives an acknowledgement of so many units of the leg to the provider.
    Give(u64),
    Claim(u64),
    /// With an acknowledgement of so many units, for so many in all.
    Redeem(u64, u64),
    Contest(u64),
    Answer,
    Prove(u64),
    Vote(bool),
    PayerCompletes(u64),
    ProviderCompletes,
    Decline,
    HandTo(u64),
    TakeOver,
    Expire,
    TopUp,
    Time(u64),
}

/// What the model knows and the chain does not.
#[derive(Clone, Copy, Default, borsh::BorshSerialize)]
struct Known {
    leg: u32,
    /// In this leg.
    delivered: u64,
    /// The newest acknowledgement of this leg.
    given: u64,
    /// In earlier legs.
    delivered_before: u64,
    /// Both of the first leg, once it is over.
    first: Option<(u64, u64)>,
}

struct Board {
    chain: TestChain,
    id: JobId,
    cast: Cast,
    /// What P1, H1, H2, V and the treasury had.
    start: [u128; 5],
    /// By state, how many more moves were tried from there.
    seen: HashMap<Hash, u8>,
    blocks: usize,
}

type Done = (Undo, Option<TimestampMs>);

impl Board {
    fn new(cast: Cast, mode: Mode) -> Self {
        let mut world = World::f0();
        let terms = crate::state::market::terms::AssetTerms { min_deposit: amount(10_000), ..terms_of(USD) };
        world.ok(A, tx::market::Action::AssetTermsSet { asset: USD, terms });
        for provider in [H1, H2] {
            world.ok(provider, offer_judged(&judged(&[V], 1, 2_500)));
            world.give(provider, E6);
        }
        let tx::Action::Job(job::Action::JobOpen(wish)) = opening(USD, DEPOSIT, PRICE).into() else { panic!() };
        let wish = job::Opening { mode, silence_s: 60, duration_s: 86_400, dispute_terms: by_v(), ..wish };
        world.ok(P1, job::Action::JobOpen(wish));
        // The bucket of the other mode starts empty.
        world.later(1);
        world.block();
        let start = purses(&world.chain);
        Self { chain: world.chain, id: JobId::new(1), cast, start, seen: HashMap::new(), blocks: 0 }
    }

    fn job(&self) -> Job {
        job_of(&self.chain, self.id)
    }

    fn dispute(&self) -> Option<Dispute> {
        DISPUTES.get(&self.chain.tree, &self.id).unwrap()
    }

    fn now(&self) -> MarketMs {
        crate::state::market::stored(&self.chain.tree).unwrap().now
    }

    /// A block with this action, or none; nothing if it was refused.
    fn block(&mut self, step: Option<(u8, tx::Action)>, seconds: u64) -> Option<Done> {
        let before = self.chain.time;
        self.chain.time = before.map(|time| time.saturating_add(seconds * 1_000));
        let undo = self.execute(step);
        let Some(undo) = undo else {
            self.chain.time = before;
            return None;
        };
        self.blocks += 1;
        self.check_money();
        Some((undo, before))
    }

    fn execute(&mut self, step: Option<(u8, tx::Action)>) -> Option<Undo> {
        let tried = step.is_some();
        let mut building = Execution::start(&self.chain.tree, self.chain.next()).unwrap();
        if let Some((seed, action)) = step {
            let nonce = self.chain.account(&address(seed)).nonce;
            let signed = sign(transaction(address(seed), nonce, [action]), &Signer::Key(seed), None);
            // Signatures are right here: nobody has to verify them.
            let formed = Formed::read(&chain_id(), &codec::encode(&signed)).ok()?;
            building.push(&formed.vouched_for()).unwrap();
        }
        let executed = building.finish().unwrap();
        if tried && executed.results.outcomes[0].verdict != Verdict::Ok {
            return None;
        }
        let undo = self.chain.tree.commit(executed.delta).unwrap();
        self.chain.height = self.chain.height.next();
        Some(undo)
    }

    fn take_back(&mut self, (undo, time): Done) {
        let delta = self.chain.tree.preview_undo([&undo]).unwrap();
        self.chain.tree.commit(delta).unwrap();
        self.chain.height = crate::types::Height::new(self.chain.height.get() - 1);
        self.chain.time = time;
    }

    /// Nothing appears or vanishes, and it lies where the rows of job and dispute say.
    fn check_money(&self) {
        let (job, held) = (self.job(), self.dispute().map_or(0, |dispute| dispute.held().get()));
        for supply in money::audit(&self.chain.tree).unwrap() {
            assert!(supply.is_conserved(), "{supply:?}");
            if supply.id == USD {
                let found = (supply.in_escrow.get(), supply.in_dispute_bonds.get());
                assert_eq!(found, (job.escrow().get(), held));
            }
        }
        let Meter { used, paid, .. } = job.meter;
        assert!(paid <= used && used <= job.max_units().unwrap());
    }

    /// The action of a move, and who does it.
    fn action(&self, job: &Job, step: Move) -> Option<(u8, tx::Action)> {
        let id = self.id.get();
        let works = if job.provider == address(H1) { H1 } else { H2 };
        let other = if works == H1 { H2 } else { H1 };
        let ack = |units| {
            let (leg, provider, job) = (job.leg, job.provider, self.id);
            Acknowledged { job, leg, provider, cumulative_units: Units::new(units) }.sign(&chain_id(), &key(K))
        };
        let submit = |units, ack| {
            let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
            let (seq, previous) = (job.meter.seq + 1, job.meter.head);
            let Job { leg, model, unit_kind, .. } = *job;
            let (cumulative_units, outcome) = (Units::new(units), WorkOutcome::Ok {});
            let receipt =
                Receipt { job: self.id, leg, seq, previous, cumulative_units, model, unit_kind, outcome, ..receipt };
            tx::Action::Receipt(receipt::Action::ReceiptSubmit { receipt, ack })
        };
        Some(match step {
            Move::Claim(units) => (works, submit(units, None)),
            Move::Redeem(acked, units) => (works, submit(units, Some(ack(acked)))),
            Move::Contest(from) => (P1, contest(id, from)),
            Move::Answer => (works, answer(id)),
            Move::Prove(units) => (works, answer_with(id, ack(units))),
            Move::Vote(for_provider) => (V, verdict(id, for_provider)),
            Move::PayerCompletes(most) => (P1, complete_at(id, most).into()),
            Move::ProviderCompletes => (works, complete(id).into()),
            Move::Decline => (works, decline(id).into()),
            Move::HandTo(most) => (P1, hand_to_on(id, (other, PRICE, most), by_v()).into()),
            Move::TakeOver => (other, take_over(id, PRICE).into()),
            Move::Expire => (X, expire(id).into()),
            Move::TopUp => (P1, top_up(id, 50 * UNIT).into()),
            Move::Deliver | Move::Give(_) | Move::Time(_) => return None,
        })
    }

    /// Carries a move out; nothing if it was refused.
    fn play(&mut self, known: &mut Known, step: Move) -> Option<Vec<Done>> {
        match step {
            Move::Deliver => known.delivered += self.step(),
            Move::Give(units) => known.given = units,
            Move::Time(seconds) => {
                let mut done = self.react(known);
                done.extend(self.block(None, seconds));
                self.look(known);
                return Some(done);
            }
            _ => {
                let action = self.action(&self.job(), step);
                let done = self.block(action, 0)?;
                self.look(known);
                return Some(vec![done]);
            }
        }
        if matches!(self.cast, Cast::HonestPayer { .. }) {
            known.given = known.delivered;
        }
        Some(Vec::new())
    }

    /// What the honest do before time passes.
    fn react(&mut self, known: &mut Known) -> Vec<Done> {
        let mut done = Vec::new();
        while let Some(step) = self.reaction(known) {
            done.extend(self.play(known, step).unwrap_or_else(|| panic!("{step:?} is refused")));
        }
        done
    }

    fn reaction(&self, known: &Known) -> Option<Move> {
        let (job, dispute) = (self.job(), self.dispute());
        let (used, paid) = (job.meter.used.get(), job.meter.paid.get());
        let votes = dispute.is_some_and(|dispute| dispute.answered.is_some());
        let truth = Move::Vote(used <= known.delivered);
        match (self.cast, job.status) {
            (Cast::HonestPayer { watches: true }, Status::Active) => {
                let from = known.delivered.max(job.contestable_from(self.now()).get());
                (job.has_young_claim(self.now()) && from < used).then_some(Move::Contest(from))
            }
            (Cast::HonestPayer { watches: true }, Status::Disputed { .. }) => votes.then_some(truth),
            (Cast::HonestProvider, _) if job.leg > 0 => None,
            (Cast::HonestProvider, Status::Closing { .. }) => {
                (known.given > paid).then_some(Move::Redeem(known.given, known.given.max(used)))
            }
            (Cast::HonestProvider, Status::Disputed { .. }) if known.given > paid => Some(Move::Prove(known.given)),
            (Cast::HonestProvider, Status::Disputed { .. }) => Some(if votes { truth } else { Move::Answer }),
            _ => None,
        }
    }

    /// Sees whether a new leg has begun.
    fn look(&self, known: &mut Known) {
        let leg = self.job().leg;
        if leg != known.leg {
            let delivered_before = known.delivered_before + known.delivered;
            let first = known.first.or(Some((known.delivered, known.given)));
            *known = Known { leg, delivered_before, first, ..Known::default() };
        }
    }

    fn step(&self) -> u64 {
        if self.job().is_acknowledged() { STEP } else { 100 }
    }

    /// What may be tried.
    fn moves(&self, known: &Known) -> Vec<Move> {
        let job = self.job();
        let (used, paid) = (job.meter.used.get(), job.meter.paid.get());
        let least = job.contestable_from(self.now()).get();
        let step = self.step();
        let times = |range: &[usize]| -> Vec<Move> { range.iter().map(|place| Move::Time(TIMES[*place])).collect() };
        let mut moves = match job.status {
            Status::Settled { .. } => return Vec::new(),
            Status::Disputed { .. } => {
                let mut moves = times(&[0, 3, 4]);
                moves.push(Move::Answer);
                moves
            }
            Status::Closing { .. } => {
                let mut moves = times(&[0, 2]);
                moves.extend([Move::ProviderCompletes, Move::Expire]);
                moves
            }
            Status::Active => {
                let mut moves = times(&[0, 1]);
                moves.extend([Move::ProviderCompletes, Move::TakeOver, Move::Expire]);
                moves
            }
        };
        let (active, disputed) = (job.status == Status::Active, matches!(job.status, Status::Disputed { .. }));
        match self.cast {
            Cast::Anybody => {
                moves.extend([
                    Move::Claim(used + step),
                    Move::Claim(paid + QUANTUM),
                    Move::Redeem(paid + STEP, used.max(paid + STEP)),
                ]);
                moves.extend([Move::Redeem(paid + QUANTUM, used.max(paid + QUANTUM) + QUANTUM), Move::Contest(least)]);
                moves.extend([Move::PayerCompletes(used), Move::PayerCompletes(0), Move::Decline]);
                moves.extend([Move::Vote(true), Move::Vote(false), Move::Prove(paid + STEP), Move::TopUp]);
                moves.push(Move::HandTo(used));
                if used > 0 {
                    moves.push(Move::Contest(used - 1));
                }
            }
            Cast::HonestPayer { .. } => {
                if active && known.delivered < 2 * step {
                    moves.push(Move::Deliver);
                }
                moves.extend([Move::Claim(used + step), Move::Claim(paid + QUANTUM), Move::Decline]);
                moves.push(Move::Redeem(known.given, known.given.max(used)));
                moves.push(Move::Redeem(known.given, known.given.max(used) + QUANTUM));
                moves.extend([Move::PayerCompletes(known.delivered), Move::HandTo(known.delivered)]);
                if disputed {
                    moves.push(Move::Prove(known.given));
                }
            }
            Cast::HonestProvider => {
                if active && known.delivered + STEP <= known.given + QUANTUM && known.delivered < 120 {
                    moves.push(Move::Deliver);
                }
                let more = (known.given + STEP).min(known.delivered);
                moves.extend([more, known.delivered].into_iter().filter(|units| *units > known.given).map(Move::Give));
                let most = known.delivered.min(paid + QUANTUM);
                moves.push(Move::Claim(most));
                moves.push(Move::Redeem(known.given, known.given.max(used)));
                moves.push(Move::Redeem(known.given, known.delivered.max(used)));
                moves.extend([Move::Contest(least), Move::PayerCompletes(u64::MAX), Move::HandTo(u64::MAX)]);
                if used > 0 {
                    moves.push(Move::Contest(used - 1));
                }
                moves.retain(|step| *step != Move::ProviderCompletes || known.given <= paid);
            }
        }
        moves.dedup();
        moves
    }

    /// Names a state: all that decides what follows, by times relative to now.
    fn name(&self, known: &Known) -> Hash {
        let now = self.now().get();
        let rel = |at: MarketMs| MarketMs::new(at.get().wrapping_sub(now));
        let mut job = self.job();
        (job.started, job.queued) = (rel(job.started), rel(job.queued));
        (job.meter.head, job.meter.seq) = (Hash::ZERO, 0);
        (job.meter.active_at, job.meter.filled_at) = (rel(job.meter.active_at), rel(job.meter.filled_at));
        (job.meter.marked_at, job.meter.last_claim) = (rel(job.meter.marked_at), job.meter.last_claim.map(rel));
        if let Status::Closing { until, .. } = &mut job.status {
            *until = rel(*until);
        }
        let dispute = self.dispute().map(|mut dispute| {
            (dispute.opened, dispute.until) = (rel(dispute.opened), rel(dispute.until));
            dispute.answered = dispute.answered.map(rel);
            dispute
        });
        digest(&codec::encode(&(job, dispute, purses(&self.chain).to_vec(), *known)))
    }

    /// All histories of so many more moves.
    fn explore(&mut self, known: Known, left: u8) {
        let seen = self.seen.insert(self.name(&known), left + 1);
        if let Some(tried) = seen.filter(|tried| *tried > left) {
            let name = self.name(&known);
            self.seen.insert(name, tried);
            return;
        }
        if seen.is_none() {
            self.leave_alone(known);
        }
        if left == 0 || (self.cast == Cast::HonestProvider && known.leg > 0) {
            return;
        }
        for step in self.moves(&known) {
            let mut next = known;
            let Some(done) = self.play(&mut next, step) else { continue };
            self.explore(next, left - 1);
            done.into_iter().rev().for_each(|done| self.take_back(done));
        }
    }

    /// Nobody acts any more, but the honest: the job settles, and then everybody has what is due.
    fn leave_alone(&mut self, mut known: Known) {
        let mut done = Vec::new();
        for _ in 0..8 {
            let seconds = match self.job().status {
                Status::Active => TIMES[1],
                Status::Closing { .. } => TIMES[2],
                Status::Disputed { .. } => TIMES[4],
                Status::Settled { .. } => break,
            };
            done.extend(self.play(&mut known, Move::Time(seconds)).unwrap());
        }
        let job = self.job();
        assert!(matches!(job.status, Status::Settled { .. }), "no way out of {job:?}");
        assert_eq!(job.escrow().get(), 0);
        assert_eq!(self.dispute().map_or(0, |dispute| dispute.held().get()), 0);
        self.judge(&known);
        done.into_iter().rev().for_each(|done| self.take_back(done));
    }

    /// Whether the honest side has lost no more than the rules allow; H1 works in the first leg.
    fn judge(&self, known: &Known) {
        let after = purses(&self.chain);
        let gain = |place: usize| after[place] as i128 - self.start[place] as i128;
        match self.cast {
            Cast::Anybody => {}
            Cast::HonestPayer { watches } => {
                let job = self.job();
                let margin = if watches { 0 } else { u128::from(QUANTUM) * (u128::from(job.leg) + 1) };
                let due = u128::from(known.delivered_before + known.delivered) + margin;
                let paid = (DEPOSIT as i128) - gain(0);
                assert!(paid <= (due * UNIT) as i128, "{paid} for {due} units: {job:?}");
            }
            Cast::HonestProvider => {
                let (delivered, given) = known.first.unwrap_or((known.delivered, known.given));
                assert!(delivered <= given + QUANTUM);
                let due = u128::from(given) * UNIT;
                assert!(gain(1) >= (due - due / 10) as i128, "{} for {given} units: {:?}", gain(1), self.job());
            }
        }
    }
}

fn job_of(chain: &TestChain, id: JobId) -> Job {
    crate::state::market::job::job(&chain.tree, id).unwrap()
}

/// What P1, H1, H2, V and the treasury have, without what is in escrow and deposited for disputes.
fn purses(chain: &TestChain) -> [u128; 5] {
    use crate::state::market::Purse;
    let of = |purse: Purse| purse.balance(&chain.tree, USD).unwrap().get();
    let both = |seed| of(Purse::Account(address(seed))) + of(Purse::Earnings(address(seed)));
    [both(P1), both(H1), both(H2), both(V), of(Purse::Treasury)]
}

/// Plays all histories of so many moves, and says how many states there are and how many blocks it took.
fn play(cast: Cast, mode: Mode, moves: u8) -> (usize, usize) {
    let mut board = Board::new(cast, mode);
    board.explore(Known::default(), moves);
    println!("{cast:?} {moves}: {} states, {} blocks", board.seen.len(), board.blocks);
    (board.seen.len(), board.blocks)
}

fn claims() -> Mode {
    Mode::ProviderClaims { proof_interval: Units::new(100) }
}

#[test]
fn whatever_anybody_does_with_acknowledged_work_time_alone_settles_it() {
    assert!(play(Cast::Anybody, acks(QUANTUM), 5).0 > 3_000);
}

#[test]
fn whatever_anybody_does_with_claimed_work_time_alone_settles_it() {
    assert!(play(Cast::Anybody, claims(), 6).0 > 500);
}

#[test]
fn an_honest_payer_that_watches_pays_for_what_was_delivered() {
    assert!(play(Cast::HonestPayer { watches: true }, acks(QUANTUM), 6).0 > 2_000);
    assert!(play(Cast::HonestPayer { watches: true }, claims(), 6).0 > 500);
}

#[test]
fn an_honest_payer_that_does_not_watch_pays_for_a_quantum_more_in_each_leg() {
    assert!(play(Cast::HonestPayer { watches: false }, acks(QUANTUM), 6).0 > 2_000);
}

#[test]
fn an_honest_provider_is_paid_for_all_that_was_acknowledged() {
    assert!(play(Cast::HonestProvider, acks(QUANTUM), 7).0 > 1_500);
}
