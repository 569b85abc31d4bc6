//! Opening jobs and adding to their deposits. Rules 1 to 8.

use super::*;
use crate::fault::Fault;
use crate::state::market::grant::{GRANTS, Spending, grant, grant_row};
use crate::state::market::job::{
    CLIENT_REFS, JOB_ENDS, JOBS, Job, Meter, OPEN_PAIRS, Status, open_job, ref_row, take_job_number,
};
use crate::state::market::model::active_model;
use crate::state::market::provider::{OfferKey, PROVIDERS, Provider, active_provider, offer};
use crate::state::market::terms::accepted;
use crate::state::market::{JOB_OVER, Market, OUT_OF_SCOPE, Purse};

/// The job somebody wants.
pub(super) struct Wish {
    pub funding: Funding,
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

impl Wish {
    /// Who pays, and from where.
    fn payer(&self, sender: Address) -> (Address, Purse) {
        match self.funding {
            Funding::Wallet {} => (sender, Purse::Account(sender)),
            Funding::Prepaid {} => (sender, Purse::Prepaid(sender)),
            Funding::OnBehalf { payer } => (payer, Purse::Account(payer)),
        }
    }

    fn spending(&self) -> Spending {
        let Self { provider, model, asset, price, deposit, .. } = *self;
        Spending { provider, model, asset, price, amount: deposit, job_total: deposit }
    }
}

/// Opens a job, however it is funded.
pub(super) fn open(context: &mut Context<'_, '_>, wish: Wish) -> Result<Event, Failure> {
    let (opener, market) = (context.sender, context.market()?);
    let (payer, purse) = wish.payer(opener);
    let (provider, terms) = judge(context, &wish, &market)?;
    let max_units = check_units(&wish.mode, wish.price, wish.deposit, &terms)?;
    let open = check_room(context, &wish, (&provider, &payer), &market)?;
    let named = check_ref(context, &payer, wish.client_ref.as_ref())?;
    spend(context, &payer, &wish.spending())?;
    let row_fee = context.burn_account_fee()?;
    purse.take(context.state, wish.asset, wish.deposit)?;
    let id = take_job_number(context.state)?;
    if let Some(row) = named {
        CLIENT_REFS.put(context.state, &row, &id);
    }
    OPEN_PAIRS.put(context.state, &(payer, provider.id), &open.saturating_add(1));
    let mut working = provider;
    working.job_opened();
    PROVIDERS.put(context.state, &wish.provider, &working);
    let Wish { provider: account, model, asset, unit_kind, deposit, price, duration_s, silence_s, mode, .. } = wish;
    let mut job = Job {
        payer,
        opener,
        provider: account,
        provider_id: provider.id,
        payout: provider.payout,
        model,
        asset,
        unit_kind,
        price,
        deposit,
        mode,
        terms,
        started: market.now,
        duration_s,
        silence_s,
        leg: 0,
        meter: Meter::new(market.now),
        queued: market.now,
        client_ref: wish.client_ref,
        status: Status::Active,
    };
    job.queued = job.due_at();
    JOB_ENDS.put(context.state, &(job.queued, id), &());
    JOBS.put(context.state, &id, &job);
    Ok(Event::JobOpened {
        job: id,
        funding: wish.funding,
        payer,
        opener,
        provider: account,
        payout: provider.payout,
        model,
        asset,
        unit_kind,
        deposit,
        price,
        max_units,
        mode,
        terms,
        started: market.now,
        duration_s,
        silence_s,
        client_ref: job.client_ref,
        row_fee,
    })
}

/// Rules 1, 2 and 7: who works, and on which terms.
fn judge(context: &Context<'_, '_>, wish: &Wish, market: &Market) -> Result<(Provider, Terms), Failure> {
    market.check_open()?;
    let bounds = accepted(context.state, wish.asset)?;
    bounds.check_deposit(wish.deposit)?;
    bounds.check_price(wish.price)?;
    let provider = active_provider(context.state, &wish.provider)?;
    let model = active_model(context.state, &wish.model)?;
    let offer = offer(context.state, provider.id, &offer_key(wish), market)?;
    if wish.price < offer.terms.price {
        return Err(PRICE_BELOW_OFFER.because(format_args!("at least {}", offer.terms.price), wish.price).into());
    }
    let params = &context.params.market;
    let terms = Terms {
        fee_bps: params.fee_bps,
        window_s: params.window_s,
        rate: model.rate(context.params),
        burst_s: params.burst_s,
        min_claim: params.min_claim,
        early_cancel_units: params.early_cancel_units,
    };
    Ok((provider, terms))
}

fn offer_key(wish: &Wish) -> OfferKey {
    OfferKey { model: wish.model, asset: wish.asset, unit_kind: wish.unit_kind }
}

/// Rule 3.
fn check_units(mode: &Mode, price: Price, deposit: Amount, terms: &Terms) -> Result<Units, Failure> {
    let units = price.affords(deposit);
    let units = units.ok_or_else(|| TOO_MANY_UNITS.because("a smaller deposit, or a higher price", deposit))?;
    let Mode::ProviderClaims { proof_interval } = *mode;
    let least = Units::new(terms.min_claim.into());
    if proof_interval < least || proof_interval > units {
        return Err(INTERVAL_RANGE.because(format_args!("{least} to {units}"), proof_interval).into());
    }
    Ok(units)
}

/// Rule 4: how many open jobs the payer has with the provider.
fn check_room(
    context: &Context<'_, '_>,
    wish: &Wish,
    (provider, payer): (&Provider, &Address),
    market: &Market,
) -> Result<u32, Failure> {
    let params = &context.params.market;
    let offered = u128::from(offer(context.state, provider.id, &offer_key(wish), market)?.terms.slots);
    let bonded = provider.bond.get().checked_div(params.bond_per_slot.get()).unwrap_or_default();
    let slots = offered.min(bonded);
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
    payer: &Address,
    client_ref: Option<&ClientRef>,
) -> Result<Option<(Address, [u8; 14])>, Failure> {
    let Some(client_ref) = client_ref else { return Ok(None) };
    let row = ref_row(payer, client_ref);
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
    let max_units = check_units(&job.mode, job.price, deposit, &job.terms)?;
    let Job { payer, provider, model, asset, price, .. } = job;
    spend(context, &payer, &Spending { provider, model, asset, price, amount, job_total: deposit })?;
    Purse::Account(payer).take(context.state, asset, amount)?;
    job.deposit = deposit;
    JOBS.put(context.state, &id, &job);
    Ok(Event::JobToppedUp { job: id, by, payer, asset, amount, deposit, max_units })
}
