//! Opening jobs and adding to their deposits. Rules 1 to 8.

use super::agree::{
    Ask, Wanted, agree, check_dispute_terms, check_form, check_not_over, check_units, mode_text, take_slot,
};
use super::*;
use crate::fault::Fault;
use crate::state::market::grant::{GRANTS, Grant, Spending, grant, grant_row};
use crate::state::market::job::{
    CLIENT_REFS, JOB_ENDS, JOBS, Job, Meter, Status, active_job, ref_row, take_job_number,
};
use crate::state::market::model::active_model;
use crate::state::market::provider::{OfferKey, Provider, active_provider, offer};
use crate::state::market::terms::{AssetTerms, accepted};
use crate::state::market::{OUT_OF_SCOPE, Purse, dispute};
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
    /// Hash of the dispute terms the offer must have; `None`: those of an offer without arbiters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_terms: Option<Hash>,
    /// What the opener calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<ClientRef>,
}

impl Opening {
    /// What can be judged without the state.
    pub(super) fn check(&self) -> Result<(), Rejected> {
        check_amount(self.deposit)?;
        check_form(&self.mode, self.price, (self.duration_s, self.silence_s))?;
        check_funding(&self.funding)?;
        check_name(self.client_ref.as_ref())
    }

    /// The opening in words.
    pub(super) fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let Self { provider, model, unit_kind, duration_s, silence_s, .. } = self;
        let name = self.client_ref.as_ref().map_or(String::new(), |name| format!(" called {}", quoted(name)));
        let decided = self.dispute_terms.map_or(String::new(), |hash| format!(", disputes decided as in {hash}"));
        let (from, mode) = (from_text(&self.funding), mode_text(&self.mode));
        format!(
            "Put {}{from} into escrow for a job{name} of {provider} with the model {model} at {} per 1000 {unit_kind}, \
             for at most {duration_s} s and until {silence_s} s of silence; {mode}{decided}",
            amount_text(self.asset, self.deposit, tokens),
            amount_text(self.asset, Amount::new(self.price.get()), tokens),
        )
    }

    fn offer(&self) -> OfferKey {
        OfferKey { model: self.model, asset: self.asset, unit_kind: self.unit_kind }
    }

    fn spending(&self) -> Spending {
        let Self { provider, model, asset, price, deposit, .. } = *self;
        Spending { provider: Some(provider), model, asset, price, amount: deposit, job_total: deposit }
    }
}

/// Nobody spends for a module.
pub(super) fn check_funding(funding: &Funding) -> Result<(), Rejected> {
    match funding {
        Funding::OnBehalf { payer } if payer.is_module() => {
            Err(MODULE_ACCOUNT.because("an account somebody can sign for", payer))
        }
        _ => Ok(()),
    }
}

/// A name, or none.
pub(super) fn check_name(client_ref: Option<&ClientRef>) -> Result<(), Rejected> {
    client_ref.map_or(Ok(()), |name| check_text(name, "a name, or none"))
}

/// From where the money comes, behind an amount.
pub(super) fn from_text(funding: &Funding) -> String {
    match funding {
        Funding::Wallet {} => String::new(),
        Funding::Prepaid {} => " from what this account deposited".to_owned(),
        Funding::OnBehalf { payer } => format!(" from the account {payer}"),
    }
}

/// Who pays, and from where.
pub(super) fn payer_of(funding: &Funding, sender: Address) -> (Address, Purse) {
    match funding {
        Funding::Wallet {} => (sender, Purse::Account(sender)),
        Funding::Prepaid {} => (sender, Purse::Prepaid(sender)),
        Funding::OnBehalf { payer } => (*payer, Purse::Account(*payer)),
    }
}

/// Opens a job, however it is funded.
pub(super) fn open(context: &mut Context<'_, '_>, wish: &Opening) -> Result<Event, Failure> {
    let (opener, market) = (context.sender, context.market()?);
    let (payer, purse) = payer_of(&wish.funding, opener);
    market.check_open()?;
    let bounds = accepted(context.state, wish.asset)?;
    bounds.check_deposit(wish.deposit)?;
    bounds.check_price(wish.price)?;
    let provider = active_provider(context.state, &wish.provider)?;
    let terms = terms_now(context, &wish.model, wish.unit_kind, &bounds)?;
    let offer = offer(context.state, provider.id, &wish.offer(), &market)?.terms;
    if wish.price < offer.price {
        return Err(PRICE_BELOW_OFFER.because(format_args!("at least {}", offer.price), wish.price).into());
    }
    let ask = Ask { slots: offer.slots, quantum: offer.quantum, dispute: offer.dispute() };
    check_dispute_terms(wish.dispute_terms, &ask.dispute)?;
    let draft = Draft::of(wish, (payer, opener));
    let agreed = agree(context, &draft.wanted(), &ask, (&terms, provider))?;
    let named = check_ref(context, wish.client_ref.as_ref())?;
    spend(context, &payer, &wish.spending())?;
    let row_fee = burn_fees(context, named.is_some())?;
    purse.take(context.state, wish.asset, wish.deposit)?;
    let id = take_job_number(context.state)?;
    if let Some(row) = named {
        CLIENT_REFS.put(context.state, &row, &id);
    }
    take_slot(context.state, &payer, &wish.provider, &agreed);
    Ok(start(context, id, draft, (&agreed.provider, terms, ask.dispute), (wish.funding, agreed.max_units, row_fee))?)
}

/// What a job depends on, as it is now. Refused unless the model is active.
pub(super) fn terms_now(
    context: &Context<'_, '_>,
    model: &ModelId,
    unit_kind: UnitKind,
    bounds: &AssetTerms,
) -> Result<Terms, Failure> {
    let model = active_model(context.state, model)?;
    Ok(Terms::new(&context.params.market, model.rate(context.params), unit_kind, bounds))
}

/// What is known of a job before it begins.
pub(super) struct Draft {
    pub payer: Address,
    pub opener: Address,
    pub provider: Address,
    pub model: ModelId,
    pub asset: AssetId,
    pub unit_kind: UnitKind,
    pub deposit: Amount,
    pub price: Price,
    pub duration_s: u32,
    pub silence_s: u32,
    pub mode: Mode,
    pub client_ref: Option<ClientRef>,
}

impl Draft {
    fn of(wish: &Opening, (payer, opener): (Address, Address)) -> Self {
        let Opening { provider, model, asset, unit_kind, deposit, price, duration_s, silence_s, mode, .. } = *wish;
        let client_ref = wish.client_ref.clone();
        Self {
            payer,
            opener,
            provider,
            model,
            asset,
            unit_kind,
            deposit,
            price,
            duration_s,
            silence_s,
            mode,
            client_ref,
        }
    }

    /// What its provider has to agree to.
    pub fn wanted(&self) -> Wanted {
        let Self { payer, opener, provider, price, deposit, mode, duration_s, silence_s, .. } = *self;
        Wanted { payer, opener, provider, price, budget: deposit, mode, times: (duration_s, silence_s) }
    }
}

/// A job begins, whose money is in escrow and whose provider has counted it.
pub(super) fn start(
    context: &mut Context<'_, '_>,
    id: JobId,
    draft: Draft,
    (provider, terms, disputes): (&Provider, Terms, DisputeTerms),
    (funding, max_units, row_fee): (Funding, Units, Amount),
) -> Result<Event, Fault> {
    let now = context.market()?.now;
    let Draft { payer, opener, model, asset, unit_kind, deposit, price, duration_s, silence_s, mode, .. } = draft;
    let mut job = Job {
        payer,
        opener,
        provider: draft.provider,
        provider_id: provider.id,
        payout: provider.payout,
        model,
        asset,
        unit_kind,
        price,
        deposit,
        spent: Amount::ZERO,
        returned: Amount::ZERO,
        mode,
        terms,
        started: now,
        duration_s,
        silence_s,
        leg: 0,
        handover: None,
        meter: Meter::new(now),
        queued: now,
        client_ref: draft.client_ref,
        status: Status::Active,
    };
    job.queued = job.due_at();
    JOB_ENDS.put(context.state, &(job.queued, id), &());
    dispute::keep_terms(context.state, id, &disputes);
    JOBS.put(context.state, &id, &job);
    Ok(Event::JobOpened {
        job: id,
        funding,
        payer,
        opener,
        provider: job.provider,
        payout: job.payout,
        model,
        asset,
        unit_kind,
        deposit,
        price,
        max_units,
        mode,
        terms,
        disputes,
        started: now,
        duration_s,
        silence_s,
        client_ref: job.client_ref,
        row_fee,
    })
}

/// Rule 6: what the rows cost.
pub(super) fn burn_fees(context: &mut Context<'_, '_>, named: bool) -> Result<Amount, Failure> {
    let job = context.burn_account_fee()?;
    let name = if named { context.burn_account_fee()? } else { Amount::ZERO };
    Ok(job.checked_add(name).ok_or_else(|| Fault::new("fees beyond 128 bits"))?)
}

/// Rule 6: where the name of the job is kept.
pub(super) fn check_ref(
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
pub(super) fn spend(context: &mut Context<'_, '_>, payer: &Address, spending: &Spending) -> Result<(), Failure> {
    let Some(found) = grant_of(context, payer)? else { return Ok(()) };
    let spent = found.spend(spending, context.timestamp)?;
    GRANTS.put(context.state, &grant_row(payer, &context.sender), &spent);
    Ok(())
}

/// What lets the sender act for a payer; nothing where it is the payer.
pub(super) fn grant_of(context: &Context<'_, '_>, payer: &Address) -> Result<Option<Grant>, Failure> {
    let delegate = context.sender;
    if delegate == *payer {
        return Ok(None);
    }
    let found = grant(context.state, payer, &delegate)?;
    let found = found.ok_or_else(|| OUT_OF_SCOPE.because(format_args!("a grant of {payer}"), delegate))?;
    if found.authority != account(context.state, payer)?.authority {
        return Err(OUT_OF_SCOPE.because("a grant by who signs for the payer now", delegate).into());
    }
    Ok(Some(found))
}

/// Rule 8.
pub(super) fn top_up(context: &mut Context<'_, '_>, id: JobId, amount: Amount) -> Result<Event, Failure> {
    let (by, market) = (context.sender, context.market()?);
    let mut job = active_job(context.state, id)?;
    market.check_open()?;
    check_not_over(&job, &market)?;
    active_model(context.state, &job.model)?;
    let deposit = job.deposit.checked_add(amount).ok_or_else(|| Fault::new("a deposit beyond 128 bits"))?;
    accepted(context.state, job.asset)?.check_deposit(deposit)?;
    let budget = job.budget().saturating_add(amount);
    let times = (job.duration_s, job.silence_s);
    let max_units = check_units(&job.mode, (job.price, budget), &job.terms, times)?;
    let Job { payer, provider, model, asset, price, .. } = job;
    let spending = Spending { provider: Some(provider), model, asset, price, amount, job_total: deposit };
    spend(context, &payer, &spending)?;
    Purse::Account(payer).take(context.state, asset, amount)?;
    // What is added is for the provider that works.
    (job.deposit, job.handover) = (deposit, None);
    JOBS.put(context.state, &id, &job);
    Ok(Event::JobToppedUp { job: id, by, payer, provider, asset, amount, deposit, max_units })
}
