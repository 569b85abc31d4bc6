//! What every beginning of a leg has to satisfy, however its provider was found: by its offer, its bid, or a
//! handover. Rules 1 to 4.
//!
//! Not here: from where the money comes (`open`, `post`).

use super::*;
use crate::fault::Fault;
use crate::limits::{MAX_JOB_S, MAX_SILENCE_S, MIN_JOB_S, MIN_SILENCE_S};
use crate::state::Overlay;
use crate::state::market::grant::grant;
use crate::state::market::job::{Job, OPEN_PAIRS};
use crate::state::market::provider::{PROVIDERS, Provider};
use crate::state::market::{DISPUTE_TERMS_CHANGED, JOB_OVER, Market};

/// What a provider is to agree to.
pub(super) struct Wanted {
    /// Who pays.
    pub payer: Address,
    /// Who opened it.
    pub opener: Address,
    /// Who is to work.
    pub provider: Address,
    /// At which price.
    pub price: Price,
    /// How much there is for it.
    pub budget: Amount,
    /// How work becomes money.
    pub mode: Mode,
    /// How many seconds at most, and how many of silence.
    pub times: (u32, u32),
}

/// On which terms a provider works.
pub(super) struct Ask {
    /// With how many open jobs at most.
    pub slots: u32,
    /// How far ahead of acknowledgements.
    pub quantum: Units,
    /// How disputes are decided.
    pub dispute: DisputeTerms,
}

/// What came of it.
pub(super) struct Agreed {
    /// Who works.
    pub provider: Provider,
    /// The most units there is money for.
    pub max_units: Units,
    /// How many open jobs the payer has with the provider already.
    open: u32,
}

/// What of a job's form can be judged without the state.
pub(super) fn check_form(mode: &Mode, price: Price, (duration_s, silence_s): (u32, u32)) -> Result<(), Rejected> {
    if !price.is_valid() {
        return Err(PRICE_FORM.because("1 to 10^18", price));
    }
    if !(MIN_JOB_S..=MAX_JOB_S).contains(&duration_s) {
        return Err(DURATION_RANGE.because(format_args!("{MIN_JOB_S} to {MAX_JOB_S}"), duration_s));
    }
    let longest = match mode {
        Mode::ProviderClaims { .. } => MAX_SILENCE_S,
        Mode::ClientAcks { ack_key, .. } => {
            ack_key.validate().map_err(|_| BAD_ACK_KEY.because("a usable ed25519 key", ack_key))?;
            duration_s
        }
    };
    if !(MIN_SILENCE_S..=longest).contains(&silence_s) {
        return Err(SILENCE_RANGE.because(format_args!("{MIN_SILENCE_S} to {longest}"), silence_s));
    }
    Ok(())
}

/// How work becomes money, in words.
pub(super) fn mode_text(mode: &Mode) -> String {
    match mode {
        Mode::ProviderClaims { proof_interval } => {
            format!("the provider claims, at least {proof_interval} units at first")
        }
        Mode::ClientAcks { quantum, ack_key } => {
            format!("the key {ack_key} acknowledges, and at most {quantum} units are claimed beyond that")
        }
    }
}

/// Whether disputes are decided as somebody signed for; who names nothing has signed for the council.
pub(super) fn check_dispute_terms(expected: Option<Hash>, terms: &DisputeTerms) -> Result<(), Rejected> {
    let (expected, hash) = (expected.unwrap_or_else(|| DisputeTerms::default().hash()), terms.hash());
    if expected == hash { Ok(()) } else { Err(DISPUTE_TERMS_CHANGED.because(expected, hash)) }
}

/// The job's time is not over.
pub(super) fn check_not_over(job: &Job, market: &Market) -> Result<(), Rejected> {
    if job.is_over(market.now) {
        return Err(JOB_OVER.because(format_args!("at most {}", job.deadline()), market.now));
    }
    Ok(())
}

/// Rules 3 and 4.
pub(super) fn agree(
    context: &Context<'_, '_>,
    wanted: &Wanted,
    ask: &Ask,
    (terms, provider): (&Terms, Provider),
) -> Result<Agreed, Failure> {
    let max_units = check_units(&wanted.mode, (wanted.price, wanted.budget), terms, wanted.times)?;
    if let Mode::ClientAcks { quantum, .. } = wanted.mode
        && quantum > ask.quantum
    {
        return Err(QUANTUM_RANGE.because(format_args!("at most {}", ask.quantum), quantum).into());
    }
    check_arbiters(context, wanted, (&provider, &ask.dispute))?;
    let open = check_room(context, (&provider, ask.slots), &wanted.payer)?;
    Ok(Agreed { provider, max_units, open })
}

/// Rule 2: nobody decides its own dispute.
fn check_arbiters(
    context: &Context<'_, '_>,
    Wanted { payer, opener, provider: account, .. }: &Wanted,
    (provider, terms): (&Provider, &DisputeTerms),
) -> Result<(), Failure> {
    for arbiter in terms.arbiters.iter() {
        let parties = [payer, opener, account, &provider.payout].into_iter().chain(provider.operator.as_ref());
        let acts_for = |party: &Address| Ok::<_, Fault>(grant(context.state, party, arbiter)?.is_some());
        if parties.into_iter().any(|party| party == arbiter) || acts_for(payer)? || acts_for(account)? {
            return Err(PARTY_ARBITER.because("arbiters without a part in the job", arbiter).into());
        }
    }
    Ok(())
}

/// Rule 3, for a job of so many seconds and so many of silence.
pub(super) fn check_units(
    mode: &Mode,
    (price, budget): (Price, Amount),
    terms: &Terms,
    (duration_s, silence_s): (u32, u32),
) -> Result<Units, Failure> {
    let units = price.affords(budget);
    let units = units.ok_or_else(|| TOO_MANY_UNITS.because("a smaller deposit, or a higher price", budget))?;
    match *mode {
        Mode::ProviderClaims { proof_interval } => {
            let least = Units::new(terms.min_claim.into());
            let most = units.min(terms.first_claim(duration_s, silence_s));
            if proof_interval < least || proof_interval > most {
                return Err(INTERVAL_RANGE.because(format_args!("{least} to {most}"), proof_interval).into());
            }
        }
        Mode::ClientAcks { quantum, .. } => {
            if quantum.is_zero() || quantum > units {
                return Err(QUANTUM_RANGE.because(format_args!("1 to {units}"), quantum).into());
            }
        }
    }
    Ok(units)
}

/// Rule 4: how many open jobs the payer has with the provider.
fn check_room(context: &Context<'_, '_>, (provider, slots): (&Provider, u32), payer: &Address) -> Result<u32, Failure> {
    let params = &context.params.market;
    let bonded = provider.bond.get().checked_div(params.bond_per_slot.get()).unwrap_or_default();
    let slots = u128::from(slots).min(bonded);
    if u128::from(provider.open_jobs) >= slots {
        return Err(NO_FREE_SLOT.because(format_args!("fewer than {slots}"), provider.open_jobs).into());
    }
    let open = OPEN_PAIRS.get(context.state, &(*payer, provider.id))?.unwrap_or_default();
    if open >= params.open_per_pair {
        return Err(TOO_MANY_OPEN_JOBS.because(format_args!("fewer than {}", params.open_per_pair), open).into());
    }
    Ok(open)
}

/// The provider works on one more job.
pub(super) fn take_slot(state: &mut Overlay<'_>, payer: &Address, account: &Address, agreed: &Agreed) {
    let mut provider = agreed.provider;
    OPEN_PAIRS.put(state, &(*payer, provider.id), &agreed.open.saturating_add(1));
    provider.job_opened();
    PROVIDERS.put(state, account, &provider);
}
