//! The steps of random histories, family by family.

use super::{CURATOR, Histories, MODELS, PAYERS, PROVIDERS, SLASHER, STRANGER, Step, TREASURER, people, spec};
use crate::codec::{List, Text};
use crate::crypto::Hash;
use crate::state::market::grant::{Allowance, Scope};
use crate::state::market::job::{Funding, JOBS, Job, Mode, NEXT_JOB, Status};
use crate::state::market::model::{MODELS as MODEL_ROWS, NEXT_MODEL_PROPOSAL};
use crate::state::market::provider::{self as rows, OFFERS, OfferKey, OfferTerms, Profile, ProviderState};
use crate::state::market::purse::Purse;
use crate::state::market::stored;
use crate::state::market::terms::{ASSET_TERMS, AssetTerms};
use crate::state::money::NEXT_ASSET;
use crate::state::{Params, Role, Tree, params};
use crate::testing::{PROPOSER, address};
use crate::tx::authority::{self, Measure};
use crate::tx::receipt::{Receipt, WorkOutcome};
use crate::tx::{Action, account, job, market, model, provider, receipt};
use crate::types::{
    Address, Amount, AssetId, JobId, ModelId, ModelProposalId, Price, ProposalId, TimestampMs, UnitKind, Units,
};

/// A provider: its seed, row and one of its offers.
type Offered = (u8, OfferKey, OfferTerms);

/// What somebody wants in this state.
pub(super) fn next(histories: &mut Histories, state: &Tree) -> Step {
    let params = params(state).unwrap();
    let paused = stored(state).unwrap().paused_until.is_some();
    let mut draw = Draw { histories, state, params };
    if paused && draw.one_in(4) {
        return draw.terms();
    }
    let step = match draw.below(100) {
        0..10 => draw.models(),
        10..15 => draw.terms(),
        15..30 => draw.providers(),
        30..40 => draw.purses(),
        40..60 => draw.opening(),
        60..82 => draw.work(),
        82..94 => draw.ends(),
        94..97 => draw.delegates(),
        _ => draw.judgements(),
    };
    if draw.is_hostile() { Step { by: draw.anybody(), ..step } } else { step }
}

struct Draw<'h, 's> {
    histories: &'h mut Histories,
    state: &'s Tree,
    params: Params,
}

macro_rules! into_action {
    ($($family:ident $variant:ident),*) => {$(
        impl From<$family::Action> for Action {
            fn from(action: $family::Action) -> Self {
                Action::$variant(action)
            }
        }
    )*};
}

into_action!(model Model, provider Provider, market Market, job Job, receipt Receipt, account Account);
into_action!(authority Authority);

fn step(by: u8, action: impl Into<Action>) -> Step {
    Step { by, action: action.into() }
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

impl Draw<'_, '_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.histories.random.below(bound)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Clone>(&mut self, these: &[T]) -> T {
        self.histories.random.pick(these)
    }

    fn is_hostile(&mut self) -> bool {
        let hostile = self.histories.hostile;
        self.histories.random.chance(hostile)
    }

    fn anybody(&mut self) -> u8 {
        let all: Vec<_> = people().collect();
        self.pick(&all)
    }

    /// An amount of this size, or one that is wrong.
    fn amount(&mut self, least: u128, most: u128) -> Amount {
        if self.is_hostile() {
            let wrong = [0, 1, least.saturating_sub(1), most.saturating_add(1), 10u128.pow(30), u128::MAX];
            return Amount::new(self.pick(&wrong));
        }
        let range = u64::try_from(most.saturating_sub(least)).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        Amount::new(least.saturating_add(self.histories.random.between(0, range).into()))
    }

    /// A count, or one that is wrong.
    fn count(&mut self, least: u64, most: u64) -> u64 {
        if self.is_hostile() {
            return self.pick(&[0, least.saturating_sub(1), most.saturating_add(1), u64::MAX]);
        }
        self.histories.random.between(least, most.max(least).min(u64::MAX - 1))
    }

    fn seconds(&mut self, least: u32, most: u32) -> u32 {
        u32::try_from(self.count(least.into(), most.into())).unwrap_or(u32::MAX)
    }

    fn asset(&mut self) -> AssetId {
        let count = NEXT_ASSET.get(self.state, &()).unwrap().map_or(1, AssetId::get);
        let all: Vec<_> = (0..=count).map(AssetId::new).collect();
        let is_accepted = |asset: &AssetId| ASSET_TERMS.get(self.state, asset).unwrap().is_some_and(|it| it.accepted);
        let accepted: Vec<_> = all.iter().copied().filter(is_accepted).collect();
        if accepted.is_empty() || self.is_hostile() { self.pick(&all) } else { self.pick(&accepted) }
    }

    fn model(&mut self) -> ModelId {
        let all: Vec<_> = (0..=MODELS).map(|number| spec(number).id()).collect();
        let known: Vec<_> =
            all.iter().copied().filter(|id| MODEL_ROWS.get(self.state, id).unwrap().is_some()).collect();
        if known.is_empty() || self.is_hostile() { self.pick(&all) } else { self.pick(&known) }
    }

    /// One of the last jobs; rather one that goes on.
    fn job(&mut self) -> Option<(JobId, Job)> {
        let next = NEXT_JOB.get(self.state, &()).unwrap().map_or(1, JobId::get);
        let mut found = None;
        for _ in 0..12 {
            if next == 1 {
                break;
            }
            let id = JobId::new(next - 1 - self.below((next - 1).min(24)));
            if let Some(job) = JOBS.get(self.state, &id).unwrap() {
                let goes_on = job.status == Status::Active;
                found = Some((id, job));
                if goes_on {
                    break;
                }
            }
        }
        found
    }

    fn job_id(&mut self) -> JobId {
        let found = self.job().map(|(id, _)| id);
        let made_up = JobId::new(self.below(9));
        if self.is_hostile() { made_up } else { found.unwrap_or(made_up) }
    }

    /// The seed of an account of the histories' people.
    fn seed_of(&self, account: &Address) -> u8 {
        people().find(|seed| address(*seed) == *account).unwrap_or(STRANGER)
    }

    fn provider_row(&self, seed: u8) -> Option<rows::Provider> {
        rows::PROVIDERS.get(self.state, &address(seed)).unwrap()
    }

    fn offered(&mut self) -> Option<Offered> {
        let seed = self.pick(&PROVIDERS);
        let row = self.provider_row(seed)?;
        let keys = rows::offer_list(self.state, row.id).unwrap();
        let key = (!keys.is_empty()).then(|| self.pick(&keys))?;
        let offer = OFFERS.get(self.state, &rows::offer_row(row.id, &key)).unwrap()?;
        Some((seed, key, offer.terms))
    }

    fn terms_of(&self, asset: AssetId) -> AssetTerms {
        ASSET_TERMS.get(self.state, &asset).unwrap().unwrap_or(usual_terms())
    }

    fn models(&mut self) -> Step {
        let (new, voter) = (spec(self.below(MODELS.into()) as u8), self.anybody());
        let next = NEXT_MODEL_PROPOSAL.get(self.state, &()).unwrap().map_or(1, ModelProposalId::get);
        let proposal = ModelProposalId::new(next.saturating_sub(1 + self.below(3)));
        let model = self.model();
        match self.below(8) {
            _ if MODEL_ROWS.get(self.state, &spec(0).id()).unwrap().is_none() => {
                step(CURATOR, model::Action::ModelCurate { models: List::new(vec![spec(0), spec(1)]).unwrap() })
            }
            0 => step(CURATOR, model::Action::ModelCurate { models: List::new(vec![new, spec(0)]).unwrap() }),
            1 | 2 => step(voter, model::Action::ModelPropose { model: new }),
            3 | 4 => step(voter, model::Action::ModelVote { proposal, amount: self.amount(1, 4_000) }),
            5 => step(voter, model::Action::ModelFinalize { proposal }),
            6 => step(voter, model::Action::ModelVoteUnlock { proposal }),
            _ if self.one_in(3) => {
                let rate = if self.one_in(2) { None } else { Some(self.seconds(100, 10_000)) };
                step(CURATOR, model::Action::ModelSetRate { model, rate })
            }
            _ => step(CURATOR, model::Action::ModelSetActive { model, active: !self.one_in(4) }),
        }
    }

    fn terms(&mut self) -> Step {
        let count = NEXT_ASSET.get(self.state, &()).unwrap().map_or(1, AssetId::get);
        let (asset, by) = (AssetId::new(self.below(count.into()) as u32), self.pick(&[CURATOR, TREASURER]));
        let reason = text("because");
        let paused = stored(self.state).unwrap().paused_until.is_some();
        match self.below(12) {
            0 if !paused => step(by, market::Action::MarketPause { reason }),
            _ if paused => step(by, market::Action::MarketUnpause { reason }),
            1 => step(
                by,
                market::Action::AssetTermsSet { asset, terms: AssetTerms { accepted: false, ..usual_terms() } },
            ),
            2 => {
                let (min_deposit, max_deposit) = (self.amount(1, 2_000), self.amount(2_001, 1_000_000));
                let terms = AssetTerms { min_deposit, max_deposit, ..usual_terms() };
                step(by, market::Action::AssetTermsSet { asset, terms })
            }
            _ => step(by, market::Action::AssetTermsSet { asset, terms: usual_terms() }),
        }
    }

    fn profile(&mut self) -> Profile {
        let known: Vec<_> = (0..MODELS).map(|number| spec(number).id()).collect();
        let active = |id: &ModelId| MODEL_ROWS.get(self.state, id).unwrap().is_some_and(|model| model.active);
        let mut models: Vec<_> = known.into_iter().filter(active).collect();
        if self.one_in(3) {
            models.truncate(1);
        }
        Profile { models: List::new(models).unwrap(), ..provider::example_profile() }
    }

    fn providers(&mut self) -> Step {
        let seed = self.pick(&PROVIDERS);
        let named = |draw: &mut Self| draw.one_in(4).then(|| address(draw.anybody()));
        let (payout, operator, profile) = (named(self), named(self), self.profile());
        let Some(row) = self.provider_row(seed).filter(|row| row.state != ProviderState::Gone) else {
            return step(seed, provider::Action::ProviderRegister { profile, payout, operator });
        };
        let by = row.operator.filter(|_| self.one_in(2)).map_or(seed, |operator| self.seed_of(&operator));
        match self.below(16) {
            _ if row.is_leaving() && !self.is_hostile() => step(seed, provider::Action::ProviderBondWithdraw {}),
            0 => step(seed, provider::Action::ProviderLeave {}),
            1 | 2 => step(seed, provider::Action::ProviderUpdate { profile, payout, operator }),
            3 | 4 => step(seed, provider::Action::ProviderBondAdd { amount: self.amount(1, 5_000) }),
            5 => step(by, provider::Action::Heartbeat { provider: address(seed) }),
            6 => match self.offered() {
                Some((seed, OfferKey { model, asset, unit_kind }, _)) => {
                    step(seed, provider::Action::OfferWithdraw { model, asset, unit_kind })
                }
                None => step(seed, provider::Action::ProviderBondWithdraw {}),
            },
            _ => self.publishing(seed, &row),
        }
    }

    fn publishing(&mut self, seed: u8, row: &rows::Provider) -> Step {
        let profile = rows::PROFILES.get(self.state, &address(seed)).unwrap();
        let models = profile.map_or(vec![], |profile| profile.models.into_inner());
        let is_active = |id: &ModelId| MODEL_ROWS.get(self.state, id).unwrap().is_some_and(|model| model.active);
        let models: Vec<_> = models.into_iter().filter(is_active).collect();
        let model = if models.is_empty() || self.is_hostile() { self.model() } else { self.pick(&models) };
        let asset = self.asset();
        let terms = self.terms_of(asset);
        let per_slot = self.params.market.bond_per_slot.get().max(1);
        let slots = u64::try_from(row.bond.get() / per_slot).unwrap_or(u64::MAX).clamp(1, 40);
        let offered = OfferTerms {
            price: Price::new(self.amount(terms.min_price.get(), terms.min_price.get() + 9_000).get()),
            slots: u32::try_from(self.count(1, slots)).unwrap_or(u32::MAX),
            quantum: Units::new(self.count(1, 2_000)),
            arbiters: List::default(),
            arbiters_needed: 0,
            no_verdict_provider_bps: 0,
            valid_s: if self.one_in(4) { self.seconds(1, 900) } else { 0 },
        };
        let unit_kind = if self.one_in(6) { UnitKind::Requests } else { UnitKind::Tokens };
        step(seed, provider::Action::OfferPublish { model, asset, unit_kind, terms: offered })
    }

    fn purses(&mut self) -> Step {
        let (payer, asset) = (self.pick(&PAYERS), self.asset());
        let worker = self.pick(&PROVIDERS);
        let (prepaid, earned) = (self.held(Purse::Prepaid(address(payer)), asset), self.earned(worker, asset));
        match self.below(10) {
            0..4 => step(payer, market::Action::MarketDeposit { asset, amount: self.amount(1_000, 200_000) }),
            4 | 5 => step(payer, market::Action::MarketWithdraw { asset, amount: self.amount(1, prepaid.max(1)) }),
            6..9 => {
                let amount = if self.one_in(2) { None } else { Some(self.amount(1, earned.max(1))) };
                let items = List::new(vec![market::Item { asset, amount }]).unwrap();
                step(worker, market::Action::EarningsWithdraw { items })
            }
            _ => {
                let pot = if self.one_in(3) { market::Pot::RejectedPool } else { market::Pot::Treasury };
                let amount = if self.one_in(2) { None } else { Some(self.amount(1, 500)) };
                step(TREASURER, market::Action::TreasuryWithdraw { pot, asset, amount })
            }
        }
    }

    fn held(&self, purse: Purse, asset: AssetId) -> u128 {
        purse.balance(self.state, asset).unwrap().get()
    }

    fn earned(&self, seed: u8, asset: AssetId) -> u128 {
        self.held(Purse::Earnings(address(seed)), asset)
    }

    fn opening(&mut self) -> Step {
        let (payer, delegate) = (self.pick(&PAYERS), self.pick(&PAYERS));
        let found = self.offered();
        if found.is_none() && !self.is_hostile() {
            return self.providers();
        }
        let (seed, key, price) = match found {
            Some((seed, key, terms)) => (seed, key, terms.price.get()),
            None => {
                let (model, asset, unit_kind) = (self.model(), self.asset(), UnitKind::Tokens);
                (self.pick(&PROVIDERS), OfferKey { model, asset, unit_kind }, 5_000)
            }
        };
        let OfferKey { model, asset, unit_kind } = key;
        let price = self.amount(price, price.saturating_add(500)).get();
        let terms = self.terms_of(asset);
        let dear = terms.max_deposit.get().min(100_000);
        let deposit = self.amount(terms.min_deposit.get().max(price), dear.max(price.saturating_add(1)));
        let affordable = u64::try_from(deposit.get().saturating_mul(1_000) / price.max(1)).unwrap_or(u64::MAX);
        let (by, funding) = match self.below(10) {
            0..5 => (payer, Funding::Wallet {}),
            5..8 if self.one_in(8) || self.held(Purse::Prepaid(address(payer)), asset) >= deposit.get() => {
                (payer, Funding::Prepaid {})
            }
            5..8 => (payer, Funding::Wallet {}),
            _ => (delegate, Funding::OnBehalf { payer: address(payer) }),
        };
        let least = u64::from(self.params.market.min_claim);
        let proof_interval = Units::new(self.count(least, affordable.clamp(least, 1_000)));
        let action = job::Action::JobOpen(job::Opening {
            funding,
            provider: address(seed),
            model,
            asset,
            unit_kind,
            deposit,
            price: Price::new(price),
            duration_s: self.seconds(60, 1_800),
            silence_s: self.seconds(60, 600),
            mode: Mode::ProviderClaims { proof_interval },
            dispute_terms: None,
            client_ref: self.one_in(5).then(|| text(&format!("order {}", self.below(12)))),
        });
        step(by, action)
    }

    /// A receipt, mostly the next one of a job, of as many units as may be claimed.
    fn work(&mut self) -> Step {
        let Some((id, job)) = self.job() else { return self.opening() };
        let by = self.worker_of(&job);
        let failed = self.one_in(10);
        let more = if failed { 0 } else { self.claimable(&job) };
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
            match self.below(7) {
                0 => receipt.seq = self.count(0, receipt.seq),
                1 => receipt.previous = Hash([7; 32]),
                2 => receipt.leg = 1,
                3 => receipt.model = self.model(),
                4 => receipt.job = self.job_id(),
                5 => receipt.version = 1,
                _ => receipt.finished = TimestampMs::ZERO,
            }
        }
        step(by, receipt::Action::ReceiptSubmit { receipt, ack: None })
    }

    /// More units that the next block would accept, if any.
    fn claimable(&mut self, job: &Job) -> u64 {
        let soon = stored(self.state).unwrap().now.saturating_add(2_000);
        let first = match job.mode {
            Mode::ProviderClaims { proof_interval } if job.meter.used.is_zero() => proof_interval.get(),
            _ => 0,
        };
        let least = first.max(job.terms.min_claim.into());
        let paid = job.max_units().unwrap_or(Units::MAX).get().saturating_sub(job.meter.used.get());
        self.count(least, (job.bucket(soon) / 1_000).min(paid))
    }

    /// The provider of a job, or its operator.
    fn worker_of(&mut self, job: &Job) -> u8 {
        let operator = rows::PROVIDERS.get(self.state, &job.provider).unwrap().and_then(|row| row.operator);
        let by = operator.filter(|_| self.one_in(2)).unwrap_or(job.provider);
        self.seed_of(&by)
    }

    fn ends(&mut self) -> Step {
        let Some((id, found)) = self.job() else { return self.opening() };
        let (payer, worker, anybody) = (self.seed_of(&found.payer), self.worker_of(&found), self.anybody());
        let most = if self.is_hostile() { self.below(found.meter.used.get() + 1) } else { u64::MAX };
        let complete = job::Action::JobComplete { job: id, max_units: Units::new(most) };
        match self.below(12) {
            0..3 => step(payer, complete),
            3..6 => step(worker, complete),
            6 => step(worker, job::Action::JobDecline { job: id }),
            7 | 8 => step(anybody, job::Action::JobExpire { job: id }),
            9 => step(self.pick(&PAYERS), job::Action::JobTopUp { job: id, amount: self.amount(1, 20_000) }),
            _ => step(payer, job::Action::JobTopUp { job: id, amount: self.amount(1, 20_000) }),
        }
    }

    fn delegates(&mut self) -> Step {
        let (payer, delegate, asset) = (self.pick(&PAYERS), address(self.pick(&PAYERS)), self.asset());
        if self.one_in(5) {
            return step(payer, account::Action::DelegateRevoke { delegate });
        }
        let max_price = self.one_in(3).then(|| Price::new(self.below(9_000).into()));
        let (max_job, max_total) = (self.amount(1_000, 100_000), self.amount(100_000, 500_000));
        let allowance = Allowance { asset, max_price, max_job, max_total };
        let providers = if self.one_in(3) { vec![address(self.pick(&PROVIDERS))] } else { vec![] };
        let models = if self.one_in(3) { vec![self.model()] } else { vec![] };
        let soon = stored(self.state).unwrap().at.saturating_add(1_000 * self.below(2_000));
        let scope = Scope {
            providers: List::new(providers).unwrap(),
            models: List::new(models).unwrap(),
            assets: List::new(vec![allowance]).unwrap(),
            expires_at: self.one_in(3).then_some(soon),
        };
        step(payer, account::Action::DelegateSet { delegate, scope, reset_spent: self.one_in(3) })
    }

    /// Slashes by the slasher, verdicts and roles by the council.
    fn judgements(&mut self) -> Step {
        let seed = self.pick(&PROVIDERS);
        let bond = self.provider_row(seed).map_or(0, |row| row.bond.get());
        let job = if self.one_in(2) { None } else { self.job() };
        let job = job.filter(|(_, job)| job.provider == address(seed)).map(|(id, _)| id);
        let (provider, evidence, reason) = (address(seed), text("ipfs://e"), text("cheated"));
        let (amount, most) = (self.amount(1, (bond / 4).max(2)), self.amount(1, bond.max(2)));
        let measure = match self.below(4) {
            0 | 1 => {
                let (evidence, reason) = (evidence.clone(), text("cheated"));
                return step(SLASHER, provider::Action::ProviderSlash { provider, amount, evidence, reason, job });
            }
            2 => Measure::Slash { provider, amount: most, evidence, reason, job },
            _ => {
                let (role, account) =
                    self.pick(&[(Role::Slasher, SLASHER), (Role::Curator, CURATOR), (Role::Treasurer, TREASURER)]);
                Measure::Role { role, account: Some(address(account)) }
            }
        };
        if self.one_in(8) {
            return step(PROPOSER, authority::Action::CouncilVote { proposal: ProposalId::new(1), approve: true });
        }
        step(PROPOSER, authority::Action::CouncilPropose { measure })
    }
}

/// Terms that leave room for small and large jobs.
fn usual_terms() -> AssetTerms {
    AssetTerms {
        accepted: true,
        min_deposit: Amount::new(1_000),
        max_deposit: Amount::new(1_000_000),
        min_price: Price::new(10),
        max_price: Price::new(10_000_000),
    }
}
