//! Jobs: opening them, work, and their ends.

use super::*;
use crate::crypto::Hash;
use crate::state::market::job::{Funding, Mode, Terms};
use crate::tx::receipt::{Receipt, WorkOutcome};
use crate::types::{Price, TimestampMs, UnitKind, Units};

/// A day, in seconds.
const DAY_S: u32 = 86_400;
/// How many names there are for jobs.
const NAMES: u64 = 6;

impl Draw<'_, '_> {
    pub(super) fn opening(&mut self) -> Wish {
        let found = self.offered();
        if found.is_none() && !self.is_hostile() {
            return self.providers();
        }
        let (seed, key, price, disputes) = match found {
            Some((seed, key, terms)) => (seed, key, terms.price.get(), Some(terms.dispute().hash())),
            None => {
                let (model, asset, unit_kind) = (self.model(), self.asset(), UnitKind::Tokens);
                (self.pick(&PROVIDERS), OfferKey { model, asset, unit_kind }, 5_000, None)
            }
        };
        let OfferKey { model, asset, unit_kind } = key;
        let price = self.amount(price, price.saturating_add(500)).get();
        let bounds = self.terms_of(asset);
        let dear = bounds.max_deposit.get().min(100_000);
        let deposit = self.amount(bounds.min_deposit.get().max(price), dear.max(price.saturating_add(1)));
        let is_boundless = bounds.max_deposit == Amount::MAX_SUPPLY && self.one_in(4);
        let deposit = if is_boundless { Amount::MAX_SUPPLY } else { deposit };
        let (by, funding) = self.funding(asset, deposit);
        let (duration_s, silence_s) = self.times();
        let proof_interval = self.interval(&key, (price, deposit), (duration_s, silence_s));
        let action = job::Action::JobOpen(job::Opening {
            funding,
            provider: address(seed),
            model,
            asset,
            unit_kind,
            deposit,
            price: Price::new(price),
            duration_s,
            silence_s,
            mode: Mode::ProviderClaims { proof_interval },
            dispute_terms: if self.one_in(50) { None } else { disputes },
            client_ref: self.one_in(3).then(|| text(&format!("order {}", self.below(NAMES)))),
        });
        wish(by, action)
    }

    /// Whose money, from where, and who spends it.
    fn funding(&mut self, asset: AssetId, deposit: Amount) -> (u8, Funding) {
        let payer = self.pick(&PAYERS);
        let delegate = self.delegate_of(payer);
        let is_covered = self.held(Purse::Prepaid(address(payer)), asset) >= deposit.get();
        match self.below(10) {
            0..4 if is_covered => (payer, Funding::Prepaid {}),
            0 if self.one_in(4) => (payer, Funding::Prepaid {}),
            7..10 if payer != delegate || self.is_hostile() => (delegate, Funding::OnBehalf { payer: address(payer) }),
            // A provider buys, too, also of itself.
            6 if self.one_in(4) => (self.pick(&PROVIDERS), Funding::Wallet {}),
            _ => (payer, Funding::Wallet {}),
        }
    }

    /// Duration and silence: at their edges, minutes, hours, days.
    fn times(&mut self) -> (u32, u32) {
        let (short, long, days) = (self.seconds(60, 600), self.seconds(600, 7_200), self.seconds(DAY_S, 5 * DAY_S));
        let duration = self.pick(&[60, 61, short, short, short, long, long, days]);
        let silence = self.seconds(60, 3_600);
        (duration, self.pick(&[60, short.clamp(60, 3_600), silence, 3_600]))
    }

    /// A proof interval, often the least or the greatest there can be.
    fn interval(&mut self, key: &OfferKey, (price, deposit): (u128, Amount), times: (u32, u32)) -> Units {
        let model = MODEL_ROWS.get(self.state, &key.model).unwrap();
        let rate = model.map_or(self.params.market.rate, |model| model.rate(&self.params));
        let bounds = self.terms_of(key.asset);
        let terms = Terms::new(&self.params.market, rate, key.unit_kind, &bounds);
        let affordable = deposit.get().saturating_mul(1_000) / price.max(1);
        let affordable = u64::try_from(affordable).unwrap_or(u64::MAX);
        let least = u64::from(terms.min_claim);
        let most = terms.first_claim(times.0, times.1).get().min(affordable).max(least);
        Units::new(match self.below(6) {
            0 => self.count(least, least),
            1 => self.count(most, most),
            2 => self.count(least, most),
            _ => self.count(least, most.min(1_000)),
        })
    }

    /// A receipt, mostly the next one of a job, of as many units as may be claimed.
    pub(super) fn work(&mut self) -> Wish {
        let Some((id, job)) = self.job() else { return self.opening() };
        let by = self.worker_of(&job);
        let failed = self.one_in(10);
        let more = if failed { self.count(0, 0) } else { self.claimable(&job) };
        let receipt::Action::ReceiptSubmit { receipt, .. } = receipt::examples().remove(0);
        let mut receipt = Receipt {
            job: id,
            leg: job.leg,
            seq: job.meter.seq + 1,
            previous: job.meter.head,
            cumulative_units: job.meter.used.saturating_add(more),
            model: job.model,
            unit_kind: job.unit_kind,
            outcome: if failed { WorkOutcome::Failed { code: 7 } } else { WorkOutcome::Ok {} },
            ..receipt
        };
        if self.is_hostile() {
            match self.below(8) {
                0 => receipt.seq = self.count(0, receipt.seq),
                1 => receipt.previous = Hash([7; 32]),
                2 => receipt.leg = 1,
                3 => receipt.model = self.model(),
                4 => receipt.job = self.job_id(),
                5 => receipt.version = 1,
                6 => receipt.cumulative_units = Units::new(self.below(job.meter.used.get().saturating_add(2))),
                _ => receipt.finished = TimestampMs::ZERO,
            }
        }
        wish(by, receipt::Action::ReceiptSubmit { receipt, ack: None })
    }

    /// More units that the next block would accept, if any: the least, the most, or some.
    fn claimable(&mut self, job: &Job) -> u64 {
        let soon = stored(self.state).unwrap().now.saturating_add(2_000);
        let first = match job.mode {
            Mode::ProviderClaims { proof_interval } if job.meter.used.is_zero() => proof_interval.get(),
            _ => 0,
        };
        let paid = job.max_units().unwrap_or(Units::MAX).get().saturating_sub(job.meter.used.get());
        let least = first.max(job.terms.min_claim.into()).min(paid.max(1));
        let most = (job.bucket(soon) / 1_000).min(paid).max(least);
        match self.below(4) {
            0 => self.count(least, least),
            1 => self.count(most, most),
            _ => self.count(least, most),
        }
    }

    pub(super) fn ends(&mut self) -> Wish {
        let Some((id, found)) = self.job() else { return self.opening() };
        let (payer, worker, anybody) = (self.seed_of(&found.payer), self.worker_of(&found), self.anybody());
        let (delegate, worker) = (self.delegate_of(payer), self.mostly(worker));
        let most = if self.is_hostile() { self.below(found.meter.used.get() + 1) } else { u64::MAX };
        let complete = job::Action::JobComplete { job: id, max_units: Units::new(most) };
        match self.below(12) {
            0..3 => wish(self.mostly(payer), complete),
            3..6 => wish(worker, complete),
            6 | 7 => wish(worker, job::Action::JobDecline { job: id }),
            8 => wish(anybody, job::Action::JobExpire { job: id }),
            9 | 10 => wish(delegate, job::Action::JobTopUp { job: id, amount: self.amount(1, 20_000) }),
            _ => wish(payer, job::Action::JobTopUp { job: id, amount: self.amount(1, 20_000) }),
        }
    }
}
