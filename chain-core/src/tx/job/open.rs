//! Opening jobs and adding to their deposits. Rules 1 to 8.

use super::*;
use crate::fault::Fault;
use crate::limits::{MAX_JOB_S, MAX_SILENCE_S, MIN_JOB_S, MIN_SILENCE_S};
use crate::state::market::grant::{GRANTS, Spending, grant, grant_row};
use crate::state::market::job::{
    CLIENT_REFS, JOB_ENDS, JOBS, Job, Meter, OPEN_PAIRS, Status, open_job, ref_row, take_job_number,
};
use crate::state::market::model::active_model;
use crate::state::market::provider::{OfferKey, PROVIDERS, Provider, active_provider, offer};
use crate::state::market::terms::accepted;
use crate::state::market::{JOB_OVER, Market, OUT_OF_SCOPE, Purse};
use crate::state::money::account;
use crate::tx::MODULE_ACCOUNT;
use crate::tx::form::check_text;
use crate::tx::text::{amount_text, quoted};

/// The job somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Whose money, from where.
    pub funding: Funding,
    /// Who shall work.
    pub provider: Address,
    /// With which model.
    pub model: ModelId,
    /// For which money.
    pub asset: AssetId,
    /// In which units.
    pub unit_kind: UnitKind,
    /// How much, in base units.
    pub deposit: Amount,
    /// Base units per 1000 metered units.
    pub price: Price,
    /// How long at most.
    pub duration_s: u32,
    /// After how long without activity it ends.
    pub silence_s: u32,
    /// How work becomes money.
    pub mode: Mode,
    /// What the opener calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<ClientRef>,
}

impl Opening {
    /// What can be judged without the state.
    pub(super) fn check(&self) -> Result<(), Rejected> {
        check_amount(self.deposit)?;
        if !self.price.is_valid() {
            return Err(PRICE_FORM.because("1 to 10^18", self.price));
        }
        if !(MIN_JOB_S..=MAX_JOB_S).contains(&self.duration_s) {
            return Err(DURATION_RANGE.because(format_args!("{MIN_JOB_S} to {MAX_JOB_S}"), self.duration_s));
        }
        if !(MIN_SILENCE_S..=MAX_SILENCE_S).contains(&self.silence_s) {
            return Err(SILENCE_RANGE.because(format_args!("{MIN_SILENCE_S} to {MAX_SILENCE_S}"), self.silence_s));
        }
        if let Funding::OnBehalf { payer } = self.funding
            && payer.is_module()
        {
            return Err(MODULE_ACCOUNT.because("an account somebody can sign for", payer));
        }
        self.client_ref.as_ref().map_or(Ok(()), |name| check_text(name, "a name, or none"))
    }

    /// The opening in words.
    pub(super) fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let Self { provider, model, asset, unit_kind, duration_s, silence_s, .. } = self;
        let from = match self.funding {
            Funding::Wallet {} => String::new(),
            Funding::Prepaid {} => " from what this account deposited".to_owned(),
            Funding::OnBehalf { payer } => format!(" from the account {payer}"),
        };
        let Mode::ProviderClaims { proof_interval } = self.mode;
        let name = self.client_ref.as_ref().map_or(String::new(), |name| format!(" called {}", quoted(name)));
        format!(
            "Put {}{from} into escrow for a job{name} of {provider} with the model {model} at {} per 1000 {unit_kind}, \
             for at most {duration_s} s and until {silence_s} s of silence; the provider claims, at least \
             {proof_interval} units at first",
            amount_text(*asset, self.deposit, tokens),
            amount_text(*asset, Amount::new(self.price.get()), tokens),
        )
    }

    /// Who pays, and from where.
    fn payer(&self, sender: Address) -> (Address, Purse) {
        match self.funding {
            Funding::Wallet {} => (sender, Purse::Account(sender)),
            Funding::Prepaid {} => (sender, Purse::Prepaid(sender)),
            Funding::OnBehalf { payer } => (payer, Purse::Account(payer)),
        }
    }

    fn offer(&self) -> OfferKey {
        OfferKey { model: self.model, asset: self.asset, unit_kind: self.unit_kind }
    }

    fn spending(&self) -> Spending {
        let Self { provider, model, asset, price, deposit, .. } = *self;
        Spending { provider, model, asset, price, amount: deposit, job_total: deposit }
    }
}

/// What the state says to a wish: who works, for how many jobs at most, and on which terms.
struct Agreed {
    provider: Provider,
    slots: u32,
    terms: Terms,
}

/// Opens a job, however it is funded.
pub(super) fn open(context: &mut Context<'_, '_>, wish: &Opening) -> Result<Event, Failure> {
    let (opener, market) = (context.sender, context.market()?);
    let (payer, purse) = wish.payer(opener);
    let agreed = agree(context, wish, &market)?;
    let Agreed { mut provider, terms, .. } = agreed;
    let max_units = check_units(&wish.mode, (wish.price, wish.deposit), &terms, (wish.duration_s, wish.silence_s))?;
    let open = check_room(context, &agreed, &payer)?;
    let named = check_ref(context, wish.client_ref.as_ref())?;
    spend(context, &payer, &wish.spending())?;
    let row_fee = burn_fees(context, named.is_some())?;
    purse.take(context.state, wish.asset, wish.deposit)?;
    let id = take_job_number(context.state)?;
    if let Some(row) = named {
        CLIENT_REFS.put(context.state, &row, &id);
    }
    OPEN_PAIRS.put(context.state, &(payer, provider.id), &open.saturating_add(1));
    provider.job_opened();
    PROVIDERS.put(context.state, &wish.provider, &provider);
    let job = new_job(wish, (payer, opener), &agreed, market.now);
    JOB_ENDS.put(context.state, &(job.queued, id), &());
    JOBS.put(context.state, &id, &job);
    Ok(opened(id, job, wish.funding, max_units, row_fee))
}

/// Rule 6: what the rows cost.
fn burn_fees(context: &mut Context<'_, '_>, named: bool) -> Result<Amount, Failure> {
    let job = context.burn_account_fee()?;
    let name = if named { context.burn_account_fee()? } else { Amount::ZERO };
    Ok(job.checked_add(name).ok_or_else(|| Fault::new("fees beyond 128 bits"))?)
}

fn new_job(wish: &Opening, (payer, opener): (Address, Address), agreed: &Agreed, now: MarketMs) -> Job {
    let mut job = Job {
        payer,
        opener,
        provider: wish.provider,
        provider_id: agreed.provider.id,
        payout: agreed.provider.payout,
        model: wish.model,
        asset: wish.asset,
        unit_kind: wish.unit_kind,
        price: wish.price,
        deposit: wish.deposit,
        mode: wish.mode,
        terms: agreed.terms,
        started: now,
        duration_s: wish.duration_s,
        silence_s: wish.silence_s,
        leg: 0,
        meter: Meter::new(now),
        queued: now,
        client_ref: wish.client_ref.clone(),
        status: Status::Active,
    };
    job.queued = job.due_at();
    job
}

fn opened(id: JobId, job: Job, funding: Funding, max_units: Units, row_fee: Amount) -> Event {
    Event::JobOpened {
        job: id,
        funding,
        payer: job.payer,
        opener: job.opener,
        provider: job.provider,
        payout: job.payout,
        model: job.model,
        asset: job.asset,
        unit_kind: job.unit_kind,
        deposit: job.deposit,
        price: job.price,
        max_units,
        mode: job.mode,
        terms: job.terms,
        started: job.started,
        duration_s: job.duration_s,
        silence_s: job.silence_s,
        client_ref: job.client_ref,
        row_fee,
    }
}

/// Rules 1, 2 and 7.
fn agree(context: &Context<'_, '_>, wish: &Opening, market: &Market) -> Result<Agreed, Failure> {
    market.check_open()?;
    let bounds = accepted(context.state, wish.asset)?;
    bounds.check_deposit(wish.deposit)?;
    bounds.check_price(wish.price)?;
    let provider = active_provider(context.state, &wish.provider)?;
    let model = active_model(context.state, &wish.model)?;
    let offer = offer(context.state, provider.id, &wish.offer(), market)?;
    if wish.price < offer.terms.price {
        return Err(PRICE_BELOW_OFFER.because(format_args!("at least {}", offer.terms.price), wish.price).into());
    }
    let terms = Terms::new(&context.params.market, model.rate(context.params), wish.unit_kind);
    Ok(Agreed { provider, slots: offer.terms.slots, terms })
}

/// Rule 3, for a job of so many seconds and so many of silence.
fn check_units(
    mode: &Mode,
    (price, deposit): (Price, Amount),
    terms: &Terms,
    (duration_s, silence_s): (u32, u32),
) -> Result<Units, Failure> {
    let units = price.affords(deposit);
    let units = units.ok_or_else(|| TOO_MANY_UNITS.because("a smaller deposit, or a higher price", deposit))?;
    let Mode::ProviderClaims { proof_interval } = *mode;
    let least = Units::new(terms.min_claim.into());
    let most = units.min(terms.first_claim(duration_s, silence_s));
    if proof_interval < least || proof_interval > most {
        return Err(INTERVAL_RANGE.because(format_args!("{least} to {most}"), proof_interval).into());
    }
    Ok(units)
}

/// Rule 4: how many open jobs the payer has with the provider.
fn check_room(context: &Context<'_, '_>, agreed: &Agreed, payer: &Address) -> Result<u32, Failure> {
    let (Agreed { provider, slots, .. }, params) = (agreed, &context.params.market);
    let bonded = provider.bond.get().checked_div(params.bond_per_slot.get()).unwrap_or_default();
    let slots = u128::from(*slots).min(bonded);
    if u128::from(provider.open_jobs) >= slots {
        return Err(NO_FREE_SLOT.because(format_args!("fewer than {slots}"), provider.open_jobs).into());
    }
    let open = OPEN_PAIRS.get(context.state, &(*payer, provider.id))?.unwrap_or_default();
    if open >= params.open_per_pair {
        return Err(TOO_MANY_OPEN_JOBS.because(format_args!("fewer than {}", params.open_per_pair), open).into());
    }
    Ok(open)
}

/// Rule 6: where the name of the job is kept.
fn check_ref(
    context: &Context<'_, '_>,
    client_ref: Option<&ClientRef>,
) -> Result<Option<(Address, [u8; 14])>, Failure> {
    let Some(client_ref) = client_ref else { return Ok(None) };
    let row = ref_row(&context.sender, client_ref);
    match CLIENT_REFS.get(context.state, &row)? {
        Some(job) => Err(CLIENT_REF_USED.because("another name", format_args!("that of job {job}")).into()),
        None => Ok(Some(row)),
    }
}

/// Rule 5: counts what a delegate spends.
fn spend(context: &mut Context<'_, '_>, payer: &Address, spending: &Spending) -> Result<(), Failure> {
    let delegate = context.sender;
    if delegate == *payer {
        return Ok(());
    }
    let found = grant(context.state, payer, &delegate)?;
    let found = found.ok_or_else(|| OUT_OF_SCOPE.because(format_args!("a grant of {payer}"), delegate))?;
    if found.authority != account(context.state, payer)?.authority {
        return Err(OUT_OF_SCOPE.because("a grant by who signs for the payer now", delegate).into());
    }
    let spent = found.spend(spending, context.timestamp)?;
    GRANTS.put(context.state, &grant_row(payer, &delegate), &spent);
    Ok(())
}

/// Rule 8.
pub(super) fn top_up(context: &mut Context<'_, '_>, id: JobId, amount: Amount) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let mut job = open_job(context.state, id)?;
    market.check_open()?;
    if job.is_over(market.now) {
        return Err(JOB_OVER.because(format_args!("at most {}", job.deadline()), market.now).into());
    }
    active_model(context.state, &job.model)?;
    let deposit = job.deposit.checked_add(amount).ok_or_else(|| Fault::new("a deposit beyond 128 bits"))?;
    accepted(context.state, job.asset)?.check_deposit(deposit)?;
    let times = (job.duration_s, job.silence_s);
    let max_units = check_units(&job.mode, (job.price, deposit), &job.terms, times)?;
    let Job { payer, provider, model, asset, price, .. } = job;
    spend(context, &payer, &Spending { provider, model, asset, price, amount, job_total: deposit })?;
    Purse::Account(payer).take(context.state, asset, amount)?;
    job.deposit = deposit;
    JOBS.put(context.state, &id, &job);
    Ok(Event::JobToppedUp { job: id, by, payer, provider, asset, amount, deposit, max_units })
}
