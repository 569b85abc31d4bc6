//! Posted jobs and bids. Rules 13 to 17.

use super::agree::{Ask, agree, check_dispute_terms, check_form, check_units, mode_text, take_slot};
use super::open::{
    Draft, burn_fees, check_funding, check_name, check_ref, from_text, grant_of, payer_of, spend, start, terms_now,
};
use super::*;
use crate::codec::List;
use crate::fault::Fault;
use crate::limits::{MAX_BIDDING_S, MAX_BIDS, MIN_BIDDING_S};
use crate::state::Overlay;
use crate::state::market::grant::{Grant, Spending};
use crate::state::market::job::{CLIENT_REFS, ref_row, take_job_number};
use crate::state::market::model::active_model;
use crate::state::market::post::{BIDS, Bid, POST_ENDS, POSTS, Post, Requirements, post, remove_post};
use crate::state::market::provider::{PROFILES, Provider, active_provider};
use crate::state::market::terms::accepted;
use crate::state::market::{Market, NOT_THE_PAYER, Purse, reputation};
use crate::tx::form::{check_accounts, check_unique};
use crate::tx::text::{amount_text, quoted};
use crate::types::ProviderId;

/// The job somebody wants bids for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posting {
    /// Whose money, from where.
    pub funding: Funding,
    /// With which model.
    pub model: ModelId,
    /// For which money.
    pub asset: AssetId,
    /// In which units.
    pub unit_kind: UnitKind,
    /// How much, in base units.
    pub deposit: Amount,
    /// The highest price of a bid, in base units per 1000 metered units.
    pub max_price: Price,
    /// How long at most, once it is taken.
    pub duration_s: u32,
    /// After how long without activity it ends.
    pub silence_s: u32,
    /// How work becomes money.
    pub mode: Mode,
    /// How long bids are taken, in seconds.
    pub bidding_s: u32,
    /// Who may bid.
    #[serde(default)]
    pub requirements: Requirements,
    /// What the opener calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<ClientRef>,
}

impl Posting {
    /// What can be judged without the state.
    pub(super) fn check(&self) -> Result<(), Rejected> {
        check_amount(self.deposit)?;
        check_form(&self.mode, self.max_price, (self.duration_s, self.silence_s))?;
        if !(MIN_BIDDING_S..=MAX_BIDDING_S).contains(&self.bidding_s) {
            return Err(BIDDING_RANGE.because(format_args!("{MIN_BIDDING_S} to {MAX_BIDDING_S}"), self.bidding_s));
        }
        check_funding(&self.funding)?;
        check_name(self.client_ref.as_ref())
    }

    /// The posting in words.
    pub(super) fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        let Self { model, unit_kind, duration_s, silence_s, bidding_s, requirements, .. } = self;
        let Requirements { region, class, min_bond, min_score_bps } = requirements;
        let name = self.client_ref.as_ref().map_or(String::new(), |name| format!(" called {}", quoted(name)));
        let (from, mode) = (from_text(&self.funding), mode_text(&self.mode));
        format!(
            "Put {}{from} into escrow for a job{name} with the model {model} that providers bid on for {bidding_s} s, \
             at no more than {} per 1000 {unit_kind}, for at most {duration_s} s and until {silence_s} s of silence; \
             {mode}; providers of region {}, class {}, a bond of at least {min_bond} base units and a score of at \
             least {min_score_bps} basis points",
            amount_text(self.asset, self.deposit, tokens),
            amount_text(self.asset, Amount::new(self.max_price.get()), tokens),
            quoted(region),
            quoted(class),
        )
    }
}

/// A bid's form.
pub(super) fn check_bid(price: Price, quantum: Units, terms: &DisputeTerms) -> Result<(), Rejected> {
    check_unique(&terms.arbiters)?;
    check_accounts(terms.arbiters.iter())?;
    let rules = [
        (price.is_valid(), "a price of 1 to 10^18"),
        (!quantum.is_zero(), "a quantum above 0"),
        (terms.has_right_form(), "as many arbiters needed as there are, or fewer, and at most 10000 basis points"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, expected)) => Err(BID_FORM.because(expected, "other terms")),
        None => Ok(()),
    }
}

/// Rule 13.
pub(super) fn publish(context: &mut Context<'_, '_>, wish: &Posting) -> Result<Event, Failure> {
    let (opener, market) = (context.sender, context.market()?);
    let (payer, purse) = payer_of(&wish.funding, opener);
    let Posting { model, asset, unit_kind, deposit, max_price, duration_s, silence_s, mode, funding, .. } = *wish;
    market.check_open()?;
    let bounds = accepted(context.state, asset)?;
    bounds.check_deposit(deposit)?;
    bounds.check_price(max_price)?;
    let terms = terms_now(context, &model, unit_kind, &bounds)?;
    check_units(&mode, (max_price, deposit), &terms, (duration_s, silence_s))?;
    let named = check_ref(context, wish.client_ref.as_ref())?;
    let spending = Spending { provider: None, model, asset, price: max_price, amount: deposit, job_total: deposit };
    spend(context, &payer, &spending)?;
    let row_fee = burn_fees(context, named.is_some())?;
    purse.take(context.state, asset, deposit)?;
    let id = take_job_number(context.state)?;
    if let Some(row) = named {
        CLIENT_REFS.put(context.state, &row, &id);
    }
    let until = market.now.plus_s(wish.bidding_s);
    let post = Post {
        payer,
        opener,
        funding,
        model,
        asset,
        unit_kind,
        deposit,
        max_price,
        duration_s,
        silence_s,
        mode,
        requirements: wish.requirements.clone(),
        client_ref: wish.client_ref.clone(),
        until,
        bidders: List::default(),
    };
    POST_ENDS.put(context.state, &(until, id), &());
    POSTS.put(context.state, &id, &post);
    Ok(Event::JobPosted { job: id, post, row_fee })
}

/// Rule 14.
pub(super) fn bid(
    context: &mut Context<'_, '_>,
    id: JobId,
    (price, quantum, dispute): (Price, Units, &DisputeTerms),
) -> Result<Event, Failure> {
    let (account, market) = (context.sender, context.market()?);
    let mut post = open_post(context, id, &market)?;
    let provider = active_provider(context.state, &account)?;
    active_model(context.state, &post.model)?;
    check_requirements(context, &post, (&account, &provider), &market)?;
    if price > post.max_price {
        return Err(PRICE_ABOVE_POST.because(format_args!("at most {}", post.max_price), price).into());
    }
    if let Mode::ClientAcks { quantum: wanted, .. } = post.mode
        && wanted > quantum
    {
        return Err(QUANTUM_RANGE.because(format_args!("at least {wanted}"), quantum).into());
    }
    let (mut row_fee, mut displaced) = (Amount::ZERO, None);
    let replaced = BIDS.get(context.state, &(id, provider.id))?.map(|bid| bid.price);
    if replaced.is_none() {
        let mut bidders = post.bidders.into_inner();
        if bidders.len() >= MAX_BIDS {
            let (highest, bid) = highest_bid(context, id, &bidders)?;
            if price >= bid.price {
                return Err(TOO_MANY_BIDS.because(format_args!("below {}", bid.price), price).into());
            }
            BIDS.remove(context.state, &(id, highest));
            bidders.retain(|bidder| *bidder != highest);
            displaced = Some(bid.provider);
        }
        row_fee = context.burn_account_fee()?;
        bidders.push(provider.id);
        post.bidders = List::new(bidders).map_err(|e| Fault::new(format!("the bids on job {id}: {e}")))?;
        POSTS.put(context.state, &id, &post);
    }
    let bid = Bid { provider: account, price, quantum, dispute: dispute.clone(), at: market.now };
    BIDS.put(context.state, &(id, provider.id), &bid);
    let Post { payer, opener, asset, .. } = post;
    Ok(Event::BidPlaced { job: id, bid, displaced, payer, opener, asset, replaced, row_fee })
}

/// The bid of the highest price; of several the last.
fn highest_bid(context: &Context<'_, '_>, id: JobId, bidders: &[ProviderId]) -> Result<(ProviderId, Bid), Fault> {
    let mut highest: Option<(ProviderId, Bid)> = None;
    for bidder in bidders {
        let missing = || Fault::new(format!("provider {bidder} has no bid on job {id}"));
        let bid = BIDS.get(context.state, &(id, *bidder))?.ok_or_else(missing)?;
        if highest.as_ref().is_none_or(|(_, known)| bid.price >= known.price) {
            highest = Some((*bidder, bid));
        }
    }
    highest.ok_or_else(|| Fault::new(format!("job {id} has no bids")))
}

/// A posted job that takes bids.
fn open_post(context: &Context<'_, '_>, id: JobId, market: &Market) -> Result<Post, Failure> {
    let post = post(context.state, id)?;
    market.check_open()?;
    if market.now > post.until {
        return Err(BIDDING_OVER.because(format_args!("at most {}", post.until), market.now).into());
    }
    Ok(post)
}

fn check_requirements(
    context: &Context<'_, '_>,
    post: &Post,
    (account, provider): (&Address, &Provider),
    market: &Market,
) -> Result<(), Failure> {
    let Requirements { region, class, min_bond, min_score_bps } = &post.requirements;
    let profile = PROFILES.get(context.state, account)?;
    let profile = profile.ok_or_else(|| Fault::new(format!("the provider {account} has no profile")))?;
    let unmet = |what: &str, got: String| Err(REQUIREMENTS_UNMET.because(what, got).into());
    if !profile.models.contains(&post.model) {
        return unmet("a provider that serves the model", account.to_string());
    }
    if !region.is_empty() && *region != profile.region {
        return unmet(&format!("region {}", quoted(region)), quoted(&profile.region));
    }
    if !class.is_empty() && *class != profile.class {
        return unmet(&format!("class {}", quoted(class)), quoted(&profile.class));
    }
    if provider.bond < *min_bond {
        return unmet(&format!("a bond of at least {min_bond}"), provider.bond.to_string());
    }
    let score = reputation(context.state, account, &post.model, (market.now, context.params))?.score_bps;
    if score < *min_score_bps {
        return unmet(&format!("a score of at least {min_score_bps}"), score.to_string());
    }
    Ok(())
}

/// Rule 15.
pub(super) fn accept(
    context: &mut Context<'_, '_>,
    id: JobId,
    (account, price): (&Address, Price),
    dispute_terms: Option<Hash>,
) -> Result<Event, Failure> {
    let market = context.market()?;
    let post = open_post(context, id, &market)?;
    if let Some(grant) = delegate_of(context, &post)? {
        // It has spent the deposit already; whether it may do so today, for this, is asked again.
        let Post { model, asset, deposit, .. } = post;
        let (provider, amount) = (Some(*account), Amount::ZERO);
        grant.spend(&Spending { provider, model, asset, price, amount, job_total: deposit }, context.timestamp)?;
    }
    let provider = active_provider(context.state, account)?;
    let found = BIDS.get(context.state, &(id, provider.id))?;
    let bid = found.ok_or_else(|| NO_BID.because("a bid of this provider", account))?;
    if bid.price != price {
        return Err(BID_CHANGED.because(price, bid.price).into());
    }
    check_dispute_terms(dispute_terms, &bid.dispute)?;
    check_requirements(context, &post, (account, &provider), &market)?;
    let bounds = accepted(context.state, post.asset)?;
    bounds.check_deposit(post.deposit)?;
    bounds.check_price(price)?;
    let terms = terms_now(context, &post.model, post.unit_kind, &bounds)?;
    let Post { payer, opener, model, asset, unit_kind, deposit, duration_s, silence_s, mode, .. } = post;
    let client_ref = post.client_ref.clone();
    let draft = Draft {
        payer,
        opener,
        provider: *account,
        model,
        asset,
        unit_kind,
        deposit,
        price,
        duration_s,
        silence_s,
        mode,
        client_ref,
    };
    let ask = Ask { slots: u32::MAX, quantum: bid.quantum, dispute: bid.dispute };
    let agreed = agree(context, &draft.wanted(), &ask, (&terms, provider))?;
    remove_post(context.state, id, &post);
    take_slot(context.state, &payer, account, &agreed);
    let figures = (post.funding, agreed.max_units, Amount::ZERO);
    Ok(start(context, id, draft, (&agreed.provider, terms, ask.dispute), figures)?)
}

/// Rule 16.
pub(super) fn cancel(context: &mut Context<'_, '_>, id: JobId) -> Result<Event, Failure> {
    let (by, post) = (context.sender, post(context.state, id)?);
    if let Some(grant) = delegate_of(context, &post)? {
        grant.covers(None, context.timestamp)?;
    }
    Ok(take_back(context.state, id, &post, Some(by))?)
}

/// What lets the sender decide about a posted job; nothing where it is the payer.
fn delegate_of(context: &Context<'_, '_>, post: &Post) -> Result<Option<Grant>, Failure> {
    if context.sender != post.payer && context.sender != post.opener {
        return Err(NOT_THE_PAYER.because(post.payer, context.sender).into());
    }
    grant_of(context, &post.payer)
}

/// The payer has all of it back.
pub(super) fn take_back(state: &mut Overlay<'_>, id: JobId, post: &Post, by: Option<Address>) -> Result<Event, Fault> {
    if let Some(client_ref) = &post.client_ref {
        CLIENT_REFS.remove(state, &ref_row(&post.opener, client_ref));
    }
    remove_post(state, id, post);
    let Post { payer, opener, asset, deposit, .. } = *post;
    Purse::Account(payer).put(state, asset, deposit)?;
    Ok(Event::JobCancelled { job: id, by, payer, opener, asset, refund: deposit })
}
