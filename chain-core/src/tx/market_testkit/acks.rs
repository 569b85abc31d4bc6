//! Acknowledged work, posted jobs, handovers and disputes in the fixture: short ways to act, and what everybody has
//! in all purses together.

use super::*;
use crate::state::market::dispute::{Bonds, DISPUTES, Dispute};
use crate::state::market::job::{Handover, JOBS};
use crate::state::market::post::{POSTS, Requirements};
use crate::state::market::provider::DisputeTerms;
use crate::state::validators;
use crate::testing::{key, members};
use crate::tx::dispute;
use crate::types::{Ack, Acknowledged};

/// Signs the acknowledgements.
pub(crate) const K: u8 = 77;
/// What a council of four is made of.
pub(crate) const COUNCIL: [u8; 4] = [PROPOSER, 201, 202, 203];

/// K acknowledges.
pub(crate) fn acks(quantum: u64) -> Mode {
    Mode::ClientAcks { quantum: Units::new(quantum), ack_key: key(K).public() }
}

/// A job of 10 USD at 5 base units a unit that K acknowledges.
pub(crate) fn acked(quantum: u64) -> Opening {
    Opening { acks: Some(quantum), ..opening(USD, 10 * E6, 5_000) }
}

/// Who decides, how many of them, and the provider's part if nobody does.
pub(crate) fn judged(arbiters: &[u8], needed: u8, no_verdict_provider_bps: u16) -> DisputeTerms {
    let arbiters = List::new(arbiters.iter().map(|seed| address(*seed)).collect()).unwrap();
    DisputeTerms { arbiters, arbiters_needed: needed, no_verdict_provider_bps }
}

/// The usual offer for USD, with these terms.
pub(crate) fn offer_judged(terms: &DisputeTerms) -> provider::Action {
    let provider::Action::OfferPublish { model, asset, unit_kind, terms: usual } = offer(m1(), USD, 5_000) else {
        panic!()
    };
    let DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps } = terms.clone();
    let terms = OfferTerms { arbiters, arbiters_needed, no_verdict_provider_bps, ..usual };
    provider::Action::OfferPublish { model, asset, unit_kind, terms }
}

pub(crate) fn decline(job: u64) -> job::Action {
    job::Action::JobDecline { job: JobId::new(job) }
}

/// Completes unless more was used.
pub(crate) fn complete_at(job: u64, most: u64) -> job::Action {
    job::Action::JobComplete { job: JobId::new(job), max_units: Units::new(most) }
}

pub(crate) fn top_up(job: u64, more: u128) -> job::Action {
    job::Action::JobTopUp { job: JobId::new(job), amount: amount(more) }
}

pub(crate) fn contest(job: u64, from: u64) -> Action {
    Action::Dispute(dispute::Action::DisputeOpen { job: JobId::new(job), from: Units::new(from) })
}

pub(crate) fn answer(job: u64) -> Action {
    Action::Dispute(dispute::Action::DisputeRespond { job: JobId::new(job), ack: None })
}

pub(crate) fn answer_with(job: u64, ack: Ack) -> Action {
    Action::Dispute(dispute::Action::DisputeRespond { job: JobId::new(job), ack: Some(ack) })
}

pub(crate) fn verdict(job: u64, for_provider: bool) -> Action {
    Action::Dispute(dispute::Action::DisputeVote { job: JobId::new(job), for_provider })
}

/// Offers a job to somebody else whose disputes the council decides.
pub(crate) fn hand_to(job: u64, to: u8, price: u128, most: u64) -> job::Action {
    hand_to_on(job, (to, price, most), None)
}

/// As `hand_to`, on these dispute terms.
pub(crate) fn hand_to_on(job: u64, (to, price, most): (u8, u128, u64), terms: Option<Hash>) -> job::Action {
    let (to, price, max_units) = (address(to), Price::new(price), Units::new(most));
    let handover = Some(Handover { to, price, max_units, dispute_terms: terms });
    job::Action::JobHandoverOffer { job: JobId::new(job), handover }
}

/// V decides, and without a verdict the provider has a fourth.
pub(crate) fn by_v() -> Option<Hash> {
    Some(judged(&[V], 1, 2_500).hash())
}

pub(crate) fn take_over(job: u64, price: u128) -> job::Action {
    job::Action::JobHandoverAccept { job: JobId::new(job), price: Price::new(price) }
}

/// 10 USD for M1 at 5 base units a unit at most, K acknowledges, an hour of bidding.
pub(crate) fn posting() -> job::Posting {
    job::Posting {
        funding: Funding::Wallet {},
        model: m1(),
        asset: USD,
        unit_kind: UnitKind::Tokens,
        deposit: amount(10 * E6),
        max_price: Price::new(5_000),
        duration_s: 86_400,
        silence_s: 300,
        mode: acks(1_000),
        bidding_s: 3_600,
        requirements: Requirements::default(),
        client_ref: None,
    }
}

pub(crate) fn bid(job: u64, price: u128, quantum: u64, disputes: DisputeTerms) -> job::Action {
    job::Action::BidPlace { job: JobId::new(job), price: Price::new(price), quantum: Units::new(quantum), disputes }
}

pub(crate) fn accept_bid(job: u64, provider: u8, price: u128) -> job::Action {
    accept_bid_on(job, provider, price, None)
}

/// As `accept_bid`, on these dispute terms.
pub(crate) fn accept_bid_on(job: u64, provider: u8, price: u128, dispute_terms: Option<Hash>) -> job::Action {
    let (provider, price) = (address(provider), Price::new(price));
    job::Action::BidAccept { job: JobId::new(job), provider, price, dispute_terms }
}

/// How a dispute ended.
pub(crate) fn decided(events: &[Event]) -> Option<(Cause, Settlement, Bonds)> {
    events.iter().find_map(|event| match event {
        Event::Dispute(dispute::Event::DisputeDecided { cause, settlement, bonds, .. }) => {
            Some((*cause, *settlement, bonds.clone()))
        }
        _ => None,
    })
}

/// The cause for which a job closes, and until when.
pub(crate) fn closing(events: &[Event]) -> Option<(Cause, MarketMs)> {
    events.iter().find_map(|event| match event {
        Event::Job(job::Event::JobClosing { cause, until, .. }) => Some((*cause, *until)),
        _ => None,
    })
}

/// The leg that ended, and what it paid.
pub(crate) fn handed_over(events: &[Event]) -> Option<(u32, Settlement)> {
    events.iter().find_map(|event| match event {
        Event::Job(job::Event::JobHandedOver { leg, settlement, .. }) => Some((*leg, *settlement)),
        _ => None,
    })
}

/// What these events say providers and arbiters have earned.
pub(super) fn earned_by(events: &[Event]) -> u128 {
    let end = |s: &Settlement, before: Amount| s.provider.get() + s.early_fee.get() - before.get();
    let earned = events.iter().map(|event| match event {
        Event::Receipt(receipt::Event::ReceiptAccepted { payment, .. }) => payment.provider.get(),
        Event::Job(
            job::Event::JobSettled { settlement, paid_before, .. }
            | job::Event::JobHandedOver { settlement, paid_before, .. },
        ) => end(settlement, paid_before.provider),
        Event::Dispute(dispute::Event::DisputeOpened { payment, .. }) => payment.provider.get(),
        Event::Dispute(dispute::Event::DisputeDecided {
            settlement, paid_before, payment, bonds, arbiters, ..
        }) => {
            end(settlement, paid_before.provider)
                + payment.provider.get()
                + bonds.each_arbiter.get() * arbiters.len() as u128
        }
        _ => 0,
    });
    earned.sum()
}

impl World {
    /// Fixture F0 with a council of four.
    pub fn with_council() -> Self {
        let mut tree = bare(&params());
        let mut overlay = Overlay::new(&tree);
        validators::found(&mut overlay, &members(&COUNCIL)).unwrap();
        for seed in &COUNCIL[1..] {
            money::mint(&mut overlay, &address(*seed), AssetId::NATIVE, amount(10u128.pow(12))).unwrap();
        }
        let delta = tree.preview(overlay.into_changes());
        tree.commit(delta).unwrap();
        Self::of(tree, &COUNCIL).furnished()
    }

    /// Fixture F0 where V decides disputes about H1's work, and without a verdict the provider has a fourth.
    pub fn judged_by_v() -> Self {
        let mut world = Self::f0();
        world.ok(H1, offer_judged(&judged(&[V], 1, 2_500)));
        world
    }

    /// What somebody holds of USD besides, to deposit for disputes.
    pub fn give(&mut self, seed: u8, units: u128) {
        let (to, asset) = (address(seed), USD);
        let memo = Text::default();
        let action = crate::tx::transfer::Action::Transfer { to, asset, amount: amount(units), memo };
        self.ok(P2, Action::Transfer(action));
    }

    /// What K says of a job's leg.
    pub fn said(&self, job: u64, units: u64) -> Acknowledged {
        let row = self.job(job);
        Acknowledged { job: JobId::new(job), leg: row.leg, provider: row.provider, cumulative_units: Units::new(units) }
    }

    pub fn ack(&self, job: u64, units: u64) -> Ack {
        self.said(job, units).sign(&crate::testing::chain(), &key(K))
    }

    /// Redeems an acknowledgement, and claims so many units beyond it.
    pub fn redeem_and(&self, job: u64, units: u64, more: u64) -> receipt::Action {
        let row = self.job(job);
        let known = Units::new(units).min(row.max_units().unwrap()).max(row.meter.used);
        let cumulative_units = known.saturating_add(more);
        let receipt = receipt::Receipt { cumulative_units, ..self.receipt(job, 0) };
        receipt::Action::ReceiptSubmit { receipt, ack: Some(self.ack(job, units)) }
    }

    /// Redeems an acknowledgement.
    pub fn redeem(&self, job: u64, units: u64) -> receipt::Action {
        self.redeem_and(job, units, 0)
    }

    /// The job's provider redeems.
    pub fn redeemed(&mut self, job: u64, units: u64) {
        let seed = *ALL.iter().find(|seed| address(**seed) == self.job(job).provider).unwrap();
        let action = self.redeem(job, units);
        self.ok(seed, action);
    }

    /// Posts a job and answers with its number.
    pub fn post(&mut self, seed: u8, wish: job::Posting) -> u64 {
        match &self.ok(seed, job::Action::JobPost(wish))[0] {
            Event::Job(job::Event::JobPosted { job, .. }) => job.get(),
            other => panic!("{other:?}"),
        }
    }

    pub fn dispute(&self, job: u64) -> Dispute {
        DISPUTES.get(&self.chain.tree, &JobId::new(job)).unwrap().unwrap()
    }

    /// What is in a place, of all assets' rows.
    pub fn supply(&self, asset: AssetId) -> money::Supply {
        money::audit(&self.chain.tree).unwrap().into_iter().find(|supply| supply.id == asset).unwrap()
    }

    /// All that is somebody's of an asset: account, deposits, earnings, what it has in escrow for jobs and posted
    /// jobs, what it deposited for disputes, and its bond.
    pub fn worth(&self, seed: u8, asset: AssetId) -> u128 {
        let (tree, who) = (&self.chain.tree, address(seed));
        let mut all = self.held(seed, asset) + self.prepaid(seed, asset) + self.earned(seed, asset);
        for (id, job) in rows::jobs(tree).map(Result::unwrap).filter(|(_, job)| job.asset == asset) {
            all += if job.payer == who { job.escrow().get() } else { 0 };
            let Some(dispute) = DISPUTES.get(tree, &id).unwrap() else { continue };
            let sides = [Some(job.payer), dispute.answered.map(|_| job.provider)];
            let open = dispute.outcome.is_none();
            all += dispute.bond.get() * sides.iter().filter(|side| open && **side == Some(who)).count() as u128;
        }
        for post in POSTS.scan(tree).map(|row| row.unwrap().1) {
            all += if post.payer == who && post.asset == asset { post.deposit.get() } else { 0 };
        }
        if asset == STK {
            all += PROVIDERS.get(tree, &who).unwrap().map_or(0, |row| row.bond.get());
        }
        all
    }

    /// Writes a job's row as it never came to be.
    pub fn edit(&mut self, change: impl FnOnce(&mut Overlay<'_>)) {
        let mut overlay = Overlay::new(&self.chain.tree);
        change(&mut overlay);
        let changes = overlay.into_changes();
        let delta = self.chain.tree.preview(changes);
        self.chain.tree.commit(delta).unwrap();
    }

    pub fn is_settled(&self, job: u64) -> bool {
        JOBS.get(&self.chain.tree, &JobId::new(job))
            .unwrap()
            .is_none_or(|row| matches!(row.status, crate::state::market::job::Status::Settled { .. }))
    }
}
