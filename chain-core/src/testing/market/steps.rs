//! The steps of random histories: which family, who, and numbers that are right or wrong.
//!
//! Not here: the families' own steps (the modules below).

mod jobs;
mod listing;
mod money;
mod spoil;
mod verdicts;

use super::{CURATOR, Histories, PAYERS, PROVIDERS, SECOND, SLASHER, STRANGER, Step, TREASURER, people, spec};
use crate::codec::Text;
use crate::state::market::grant::grant;
use crate::state::market::job::{JOBS, Job, NEXT_JOB, Status};
use crate::state::market::model::MODELS as MODEL_ROWS;
use crate::state::market::provider::{self as rows, OFFERS, OfferKey, OfferTerms};
use crate::state::market::purse::Purse;
use crate::state::market::stored;
use crate::state::market::terms::{ASSET_TERMS, AssetTerms};
use crate::state::money::{NEXT_ASSET, account as account_row};
use crate::state::{Authority, Params, Tree, params};
use crate::testing::{Signer, address, key};
use crate::tx::{Action, account, authority, job, market, model, provider, receipt};
use crate::types::{Address, Amount, AssetId, JobId, ModelId};

/// How many models there are to let in, to propose and to offer.
const MODELS: u8 = 5;

/// A provider: its seed, and one of its offers.
type Offered = (u8, OfferKey, OfferTerms);

/// What somebody wants, before it is known who signs for him.
type Wish = (u8, Action);

/// What somebody wants in this state.
pub(super) fn next(histories: &mut Histories, state: &Tree) -> Step {
    let params = params(state).unwrap();
    let mut draw = Draw { histories, state, params };
    let (by, action) = draw.wish();
    let action = if draw.is_hostile() && draw.one_in(3) { spoil::spoilt(&mut draw, action) } else { action };
    let by = if draw.is_hostile() { draw.anybody() } else { by };
    let own = draw.signer(by);
    let signer = if draw.is_hostile() && draw.one_in(4) { Signer::Key(by + SECOND) } else { own };
    Step { by, signer, action }
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

fn wish(by: u8, action: impl Into<Action>) -> Wish {
    (by, action.into())
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

impl Draw<'_, '_> {
    fn wish(&mut self) -> Wish {
        let paused = stored(self.state).unwrap().paused_until.is_some();
        if (paused && self.one_in(4)) || (self.new_asset().is_some() && self.one_in(2)) {
            return self.terms();
        }
        let said: Vec<_> = self.histories.said.iter().cloned().collect();
        if !said.is_empty() && self.is_hostile() && self.one_in(2) {
            let again = self.pick(&said);
            return (again.by, again.action);
        }
        match self.below(100) {
            0..7 => self.models(),
            7..10 => self.terms(),
            10..22 => self.providers(),
            22..29 => self.purses(),
            29..50 => self.opening(),
            50..71 => self.work(),
            71..83 => self.ends(),
            83..87 => self.delegates(),
            87..90 => self.keys(),
            _ => self.judgements(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.histories.random.below(bound)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.histories.random.between(least, most.max(least))
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

    /// Who this is, or anybody.
    fn mostly(&mut self, who: u8) -> u8 {
        if self.is_hostile() { self.anybody() } else { who }
    }

    /// Somebody who has a grant of a payer; mostly of no other, where there is one.
    fn delegate_of(&mut self, payer: u8) -> u8 {
        let has_grant = |seed: &u8| grant(self.state, &address(payer), &address(*seed)).unwrap().is_some();
        let granted: Vec<_> = PAYERS.into_iter().filter(has_grant).collect();
        let anyone = self.pick(&PAYERS);
        if granted.is_empty() || self.is_hostile() { anyone } else { self.pick(&granted) }
    }

    fn anybody(&mut self) -> u8 {
        let all: Vec<_> = people().collect();
        self.pick(&all)
    }

    /// Who signs for an account, as the state says.
    fn signer(&self, by: u8) -> Signer {
        match account_row(self.state, &address(by)).unwrap().authority {
            Authority::Key(known) if known == key(by + SECOND).public() => Signer::Key(by + SECOND),
            Authority::MultiKey(_) => both(by),
            _ => Signer::Key(by),
        }
    }

    /// An amount of this size, or one that is wrong.
    fn amount(&mut self, least: u128, most: u128) -> Amount {
        if self.is_hostile() {
            let wrong = [0, 1, least.saturating_sub(1), most.saturating_add(1), 10u128.pow(30), u128::MAX];
            return Amount::new(self.pick(&wrong));
        }
        let range = u64::try_from(most.saturating_sub(least)).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        Amount::new(least.saturating_add(self.between(0, range).into()))
    }

    /// A count, or one that is wrong.
    fn count(&mut self, least: u64, most: u64) -> u64 {
        if self.is_hostile() {
            return self.pick(&[0, least.saturating_sub(1), most.saturating_add(1), u64::MAX]);
        }
        self.between(least, most.max(least).min(u64::MAX - 1))
    }

    fn seconds(&mut self, least: u32, most: u32) -> u32 {
        u32::try_from(self.count(least.into(), most.into())).unwrap_or(u32::MAX)
    }

    fn asset_count(&self) -> u32 {
        NEXT_ASSET.get(self.state, &()).unwrap().map_or(1, AssetId::get)
    }

    /// An asset whose terms nobody has set yet.
    fn new_asset(&self) -> Option<AssetId> {
        let mut all = (0..self.asset_count()).map(AssetId::new);
        all.find(|asset| ASSET_TERMS.get(self.state, asset).unwrap().is_none())
    }

    fn asset(&mut self) -> AssetId {
        let all: Vec<_> = (0..=self.asset_count()).map(AssetId::new).collect();
        let is_accepted = |asset: &AssetId| ASSET_TERMS.get(self.state, asset).unwrap().is_some_and(|it| it.accepted);
        let accepted: Vec<_> = all.iter().copied().filter(is_accepted).collect();
        if accepted.is_empty() || self.is_hostile() { self.pick(&all) } else { self.pick(&accepted) }
    }

    fn is_active(&self, model: &ModelId) -> bool {
        MODEL_ROWS.get(self.state, model).unwrap().is_some_and(|model| model.active)
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

    /// The provider of a job, or its operator.
    fn worker_of(&mut self, job: &Job) -> u8 {
        let operator = rows::PROVIDERS.get(self.state, &job.provider).unwrap().and_then(|row| row.operator);
        let by = operator.filter(|_| self.one_in(2)).unwrap_or(job.provider);
        self.seed_of(&by)
    }

    /// An offer of a provider; of one that has some, if any of these tries finds it.
    fn offered(&mut self) -> Option<Offered> {
        (0..3).find_map(|_| {
            let seed = self.pick(&PROVIDERS);
            let row = self.provider_row(seed)?;
            let keys = rows::offer_list(self.state, row.id).unwrap();
            let key = (!keys.is_empty()).then(|| self.pick(&keys))?;
            let offer = OFFERS.get(self.state, &rows::offer_row(row.id, &key)).unwrap()?;
            Some((seed, key, offer.terms))
        })
    }

    fn terms_of(&self, asset: AssetId) -> AssetTerms {
        ASSET_TERMS.get(self.state, &asset).unwrap().unwrap_or_else(|| listing::usual_terms(asset))
    }

    fn held(&self, purse: Purse, asset: AssetId) -> u128 {
        purse.balance(self.state, asset).unwrap().get()
    }
}

/// Both keys of an account.
fn both(by: u8) -> Signer {
    Signer::Multi(2, vec![by, by + SECOND])
}
