//! Jobs: a payer puts money into escrow for a provider's work; every end pays it out at once, exactly.
//!
//! | action | bytes after `0a` | fields |
//! |---|---|---|
//! | `job_open` | `01` | funding · provider 32 · model 32 · asset u32 · unit_kind u8 · deposit u128 · price u128 · duration_s u32 · silence_s u32 · mode · dispute_terms option 32 · client_ref option text ≤ 64 |
//! | `job_top_up` | `02` | job u64 · amount u128 |
//! | `job_decline` | `03` | job u64 |
//! | `job_complete` | `04` | job u64 · max_units u64 |
//! | `job_expire` | `05` | job u64 |
//! | `job_post` | `06` | funding · model 32 · asset u32 · unit_kind u8 · deposit u128 · max_price u128 · duration_s u32 · silence_s u32 · mode · bidding_s u32 · requirements · client_ref option text ≤ 64 |
//! | `job_cancel` | `07` | job u64 |
//! | `bid_place` | `08` | job u64 · price u128 · quantum u64 · disputes |
//! | `bid_accept` | `09` | job u64 · provider 32 · price u128 · dispute_terms option 32 |
//! | `job_handover_offer` | `0a` | job u64 · handover option (to 32 · price u128 · max_units u64 · dispute_terms option 32) |
//! | `job_handover_accept` | `0b` | job u64 · price u128 |
//!
//! Funding is `01` wallet, `02` prepaid, or `03` on behalf of · payer 32; a mode is `01` provider claims ·
//! proof_interval u64, or `02` client acks · quantum u64 · ack_key 32. requirements: region text ≤ 64 · class text ≤ 64
//! · min_bond u128 · min_score_bps u16. disputes: arbiters list of 32 ≤ 7 · arbiters_needed u8 ·
//! no_verdict_provider_bps u16; `dispute_terms` is the blake3 hash of these bytes.
//!
//! Rules, opening:
//! 1. The market is open, the asset accepted, deposit and price within its bounds; 60 ≤ duration ≤ 31536000 s,
//!    60 ≤ silence ≤ 3600 s, where the payer acknowledges ≤ duration. Its key is a usable one.
//! 2. The provider is active and has an offer for model, asset and kind of units that holds; the model is active.
//!    The price is at least the offer's, and is what is charged. The offer has the dispute terms whose hash the opener
//!    names, or no arbiters and no share without a verdict; so nobody is signed in to arbiters it has not seen. No
//!    arbiter is payer, opener or provider, who earns, the operator, or a delegate of payer or provider.
//! 3. The deposit pays for at most 2^64 − 1 units. The proof interval is at least `min_claim`, and no more than the
//!    deposit pays for, nor than can be claimed in the first half of the time the job has at least:
//!    rate · min(burst, ⌊silence / 2⌋, ⌊duration / 2⌋). So every job that opens can be worked for. The quantum is 1 to
//!    what the deposit pays for, and at most the offer's.
//! 4. The provider has fewer open jobs than the offer has slots, and than its bond stands for; the payer has
//!    fewer than `open_per_pair` open jobs with it.
//! 5. The money comes from the sender's account, from what it deposited, or from the account of a payer whose
//!    grant covers the job. Nobody needs a grant for himself. What is left goes to the payer's account.
//! 6. Jobs are numbered from 1 without holes. A client_ref is not empty and unlike that of every other job of the
//!    same opener that is still known. The sender burns `account_fee`, and once more for a name.
//! 7. Fees, windows, rate, burst, least claim, early-cancel units and what disputes cost are those of the opening.
//!    Where those are in tokens, 100 of them count as one unit of any other kind; rate and least claim are at least 1.
//!
//! Rules, until the end:
//! 8. The payer, or a delegate whose grant covers it, adds to the deposit while the job is active and not over, the
//!    market is open and the model active; rules 1 and 3 hold for the sum.
//! 9. The provider or its operator declines before the first accepted unit of its leg and before the job is over: all
//!    that is there goes back. Where the payer acknowledges, an operator's declining begins a closing.
//! 10. The payer completes at any time before the job is due, the provider or its operator from a window after the
//!     last claim, or after the start, on; where the payer acknowledges, also at once while nothing unacknowledged was
//!     claimed. It fails if more than `max_units` were used, so that no claim slips in front.
//!     Declining and completing are signs of life of the provider.
//! 11. What is due (`state::market::job`) takes its next step by whoever asks, and at the end of a block by itself, the
//!     longest due first: at most 1024 per block, of at most 4096 that are looked at. Everything else is refused for
//!     it. **Where the payer acknowledges, every end but one by the provider begins a closing** of `close_window_s`,
//!     in which acknowledgements are redeemed and nothing else happens; the provider itself may end it at once, and
//!     needs none for an end of its own. In a pause a closing lasts longer, as the market's clock stands still.
//! 12. What an end pays is a function of the job (`state::market::settle`). A settled job is known for
//!     `retention_s`.
//!
//! Rules, posted jobs:
//! 13. A job is posted as rules 1, 5 and 6 say, with the highest price; bids are taken for 60 to 604800 s. A delegate's
//!     grant covers it for any provider in its scope.
//! 14. An active provider that serves the model and meets the requirements bids at most that price, with at least the
//!     job's quantum; bidding again replaces its bid. 64 bids are kept: after that a lower price displaces the highest
//!     one. A bid burns `account_fee`.
//! 15. The payer, or the delegate that posted it and whose grant covers it now, accepts a bid as long as bids are
//!     taken, at the price and on the dispute terms it names. The provider is active and meets the requirements
//!     still; rules 1 to 4 and 7 hold as for an opening, with the bond alone for slots.
//! 16. The payer, or the delegate that posted it and whose grant holds, cancels: all goes back.
//! 17. What nobody took goes back at the end of the first block after bidding.
//!
//! Rules, handing over:
//! 18. The payer names another provider, a price and the most units used while the job is active and not over; naming
//!     again replaces it, and naming none takes it back.
//! 19. That provider accepts at that price while at least a minute is left, as rules 2 to 4 say for what is left, but
//!     for the price, which is within the asset's bounds. No more than the named units were used. Adding to the deposit
//!     takes the offer back.
//! 20. The leaving provider is settled as by a payer's completion: at once, or after a closing. Then a new leg begins
//!     with what is left: units, receipts and acknowledgements count from 0. Terms and duration stay.
//!
//! Not here: receipts (the receipt family), disputes (the dispute family), rows and arithmetic (`state::market`).

mod agree;
mod block_end;
mod end;
mod handover;
mod open;
mod post;

pub(super) use block_end::at_block_end;
pub use open::Opening;
pub use post::Posting;

use super::{About, CheckContext, Context, Listed, Rules, check_amount};
use crate::codec::{List, Text};
use crate::crypto::{Hash, SecretKey};
use crate::fault::Failure;
use crate::state::market::job::{ClientRef, Funding, Handover, Leg, Mode, Terms};
use crate::state::market::post::{Bid, Post, Requirements};
use crate::state::market::provider::DisputeTerms;
use crate::state::market::settle::{Cause, Cost, Settlement};
use crate::types::{
    Address, Amount, AssetId, JobId, MarketMs, ModelId, Price, Rejected, Token, UnitKind, Units, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    1000 DURATION_RANGE "duration_range" "a job lasts 60 to 31536000 seconds";
    1001 SILENCE_RANGE "silence_range" "a job's silence is 60 to 3600 seconds";
    1002 PRICE_FORM "price_form" "a price is 1 to 10^18 base units per 1000 metered units";
    1003 PRICE_BELOW_OFFER "price_below_offer" "the provider asks for a higher price";
    1004 INTERVAL_RANGE "interval_range" "the proof interval is below the least claim, or above what the deposit pays for or can be claimed in time";
    1005 TOO_MANY_UNITS "too_many_units" "the deposit pays for more units than 64 bits count";
    1006 NO_FREE_SLOT "no_free_slot" "the provider works on as many jobs as it offers to";
    1007 TOO_MANY_OPEN_JOBS "too_many_open_jobs" "this payer has as many open jobs with the provider as it may";
    1008 CLIENT_REF_USED "client_ref_used" "there is another job of this name that this account opened";
    1009 NOT_A_PARTY "not_a_party" "only the payer, the provider or its operator may do this";
    1010 WORK_ACCEPTED "work_accepted" "work was accepted already";
    1011 MORE_USED "more_used" "more units were used than this allows";
    1012 WINDOW_OPEN "window_open" "the last claim can still be contested";
    1013 NOT_DUE "not_due" "the job is not due yet";
    1014 QUANTUM_RANGE "quantum_range" "the quantum is not what the deposit pays for and the provider works ahead";
    1015 BAD_ACK_KEY "bad_ack_key" "the key for acknowledgements is not a usable ed25519 key";
    1016 BIDDING_RANGE "bidding_range" "bids are taken for 60 to 604800 seconds";
    1017 BIDDING_OVER "bidding_over" "bids are not taken any more";
    1018 BID_FORM "bid_form" "a bid has a price, a quantum, and as many arbiters as must agree";
    1019 PRICE_ABOVE_POST "price_above_post" "the job is posted for a lower price";
    1020 REQUIREMENTS_UNMET "requirements_unmet" "the provider is not what the job asks for";
    1021 TOO_MANY_BIDS "too_many_bids" "as many providers have bid as may, at this price or a lower one";
    1022 NO_BID "no_bid" "this provider has not bid";
    1023 BID_CHANGED "bid_changed" "the provider's bid has another price";
    1024 NO_HANDOVER "no_handover" "the payer does not hand the job over to this account at this price";
    1025 HANDOVER_TO_SELF "handover_to_self" "the job is this provider's already";
    1026 TOO_LATE_TO_HAND_OVER "too_late_to_hand_over" "too little of the job's time is left for another provider";
    1027 PARTY_ARBITER "party_arbiter" "an arbiter is a party of the job, or acts for one";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[
    (1, "job_open"),
    (2, "job_top_up"),
    (3, "job_decline"),
    (4, "job_complete"),
    (5, "job_expire"),
    (6, "job_post"),
    (7, "job_cancel"),
    (8, "bid_place"),
    (9, "bid_accept"),
    (10, "job_handover_offer"),
    (11, "job_handover_accept"),
];

/// Opening: about a dozen rows, some of which the chain keeps for long, and the end by itself.
const OPEN_WEIGHT: u64 = 4_000;
/// Ten rows are written at most.
const WEIGHT: u64 = 1_500;
/// A bid is two rows, one of which names up to 64 others that may have to be read, and its removal.
const BID_WEIGHT: u64 = 5_000;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Opens a job.
    JobOpen(Opening) = 1,
    /// Adds to a deposit.
    JobTopUp {
        /// Of which job.
        job: JobId,
        /// How much, in base units.
        amount: Amount,
    } = 2,
    /// The provider does not want it.
    JobDecline {
        /// Which.
        job: JobId,
    } = 3,
    /// Payer or provider are done.
    JobComplete {
        /// With which.
        job: JobId,
        /// The most units that may have been used.
        max_units: Units,
    } = 4,
    /// Settles a job that is due.
    JobExpire {
        /// Which.
        job: JobId,
    } = 5,
    /// Asks providers for bids.
    JobPost(Posting) = 6,
    /// Takes a posted job back.
    JobCancel {
        /// Which.
        job: JobId,
    } = 7,
    /// Bids on a posted job.
    BidPlace {
        /// Which.
        job: JobId,
        /// Base units per 1000 metered units.
        price: Price,
        /// The most units worked ahead of acknowledgements.
        quantum: Units,
        /// How disputes shall be decided.
        #[serde(default)]
        disputes: DisputeTerms,
    } = 8,
    /// Takes a bid: the job begins.
    BidAccept {
        /// Which.
        job: JobId,
        /// Whose bid.
        provider: Address,
        /// Its price.
        price: Price,
        /// Hash of the dispute terms the bid must have; `None`: those of a bid without arbiters.
        #[serde(default)]
        dispute_terms: Option<Hash>,
    } = 9,
    /// Says to whom the payer would hand a job over.
    JobHandoverOffer {
        /// Which.
        job: JobId,
        /// To whom, on which terms; in JSON `null`: to nobody any more.
        #[serde(deserialize_with = "<Option<_> as Deserialize>::deserialize")]
        handover: Option<Handover>,
    } = 10,
    /// Takes a job over.
    JobHandoverAccept {
        /// Which.
        job: JobId,
        /// At which price.
        price: Price,
    } = 11,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// A job goes on.
    JobOpened {
        job: JobId,
        funding: Funding,
        payer: Address,
        opener: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        deposit: Amount,
        price: Price,
        max_units: Units,
        mode: Mode,
        terms: Terms,
        disputes: DisputeTerms,
        started: MarketMs,
        duration_s: u32,
        silence_s: u32,
        client_ref: Option<ClientRef>,
        row_fee: Amount,
    } = 1,
    /// A deposit grew.
    JobToppedUp {
        job: JobId,
        by: Address,
        payer: Address,
        provider: Address,
        asset: AssetId,
        amount: Amount,
        deposit: Amount,
        max_units: Units,
    } = 2,
    /// A job is over and paid; `by` nobody: by itself. `paid_before` is the part of the leg's settlement that had been
    /// paid, `spent` what earlier legs cost.
    JobSettled {
        job: JobId,
        leg: u32,
        cause: Cause,
        by: Option<Address>,
        payer: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        price: Price,
        deposit: Amount,
        spent: Amount,
        used: Units,
        paid_before: Cost,
        settlement: Settlement,
        at: MarketMs,
    } = 3,
    /// From now on acknowledgements can be redeemed until that time, and nothing else; then `next` works, or the job
    /// is settled.
    JobClosing {
        job: JobId,
        leg: u32,
        cause: Cause,
        by: Option<Address>,
        payer: Address,
        provider: Address,
        next: Option<Leg>,
        used: Units,
        paid: Units,
        at: MarketMs,
        until: MarketMs,
    } = 4,
    /// A job waits for bids.
    JobPosted { job: JobId, post: Post, row_fee: Amount } = 5,
    /// A posted job is no more; `by` nobody: nobody took it in time.
    JobCancelled { job: JobId, by: Option<Address>, payer: Address, opener: Address, asset: AssetId, refund: Amount } =
        6,
    /// A provider bids; `replaced`: the price of its bid until then; `displaced`: whose bid made room.
    BidPlaced {
        job: JobId,
        bid: Bid,
        displaced: Option<Address>,
        payer: Address,
        opener: Address,
        asset: AssetId,
        replaced: Option<Price>,
        row_fee: Amount,
    } = 7,
    /// The payer would hand a job over, or would not any more.
    JobHandoverOffered { job: JobId, leg: u32, payer: Address, provider: Address, handover: Option<Handover> } = 8,
    /// A leg is over and paid, and the next one goes on with what is left: the settlement's `refund`.
    JobHandedOver {
        job: JobId,
        leg: u32,
        by: Option<Address>,
        payer: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        unit_kind: UnitKind,
        price: Price,
        deposit: Amount,
        spent: Amount,
        used: Units,
        paid_before: Cost,
        settlement: Settlement,
        next: Leg,
        max_units: Units,
        at: MarketMs,
    } = 9,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        match self {
            Self::JobOpen(wish) => wish.check(),
            Self::JobTopUp { amount, .. } => check_amount(*amount),
            Self::JobPost(wish) => wish.check(),
            Self::BidPlace { price, quantum, disputes, .. } => post::check_bid(*price, *quantum, disputes),
            Self::JobHandoverOffer { handover: Some(Handover { price, .. }), .. } if !price.is_valid() => {
                Err(PRICE_FORM.because("1 to 10^18", price))
            }
            _ => Ok(()),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::JobOpen(_) | Self::JobPost(_) | Self::BidAccept { .. } | Self::JobHandoverAccept { .. } => {
                OPEN_WEIGHT
            }
            Self::BidPlace { .. } => BID_WEIGHT,
            _ => WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let event = match self {
            Self::JobOpen(wish) => open::open(context, wish),
            Self::JobTopUp { job, amount } => open::top_up(context, *job, *amount),
            Self::JobDecline { job } => end::decline(context, *job),
            Self::JobComplete { job, max_units } => end::complete(context, *job, *max_units),
            Self::JobExpire { job } => end::expire(context, *job),
            Self::JobPost(wish) => post::publish(context, wish),
            Self::JobCancel { job } => post::cancel(context, *job),
            Self::BidPlace { job, price, quantum, disputes } => post::bid(context, *job, (*price, *quantum, disputes)),
            Self::BidAccept { job, provider, price, dispute_terms } => {
                post::accept(context, *job, (provider, *price), *dispute_terms)
            }
            Self::JobHandoverOffer { job, handover } => handover::propose(context, *job, *handover),
            Self::JobHandoverAccept { job, price } => handover::accept(context, *job, *price),
        }?;
        context.emit(super::Event::Job(event));
        Ok(())
    }

    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::JobOpen(wish) => wish.text(tokens),
            Self::JobTopUp { job, amount } => {
                format!("Add {amount} base units of its asset to the deposit of job {job}")
            }
            Self::JobDecline { job } => format!("Decline job {job} as its provider"),
            Self::JobComplete { job, max_units } => format!("Complete job {job}, with at most {max_units} units used"),
            Self::JobExpire { job } => format!("Settle job {job}, whose time is over"),
            Self::JobPost(wish) => wish.text(tokens),
            Self::JobCancel { job } => format!("Take back the posted job {job}"),
            Self::BidPlace { job, price, quantum, disputes } => format!(
                "Bid on job {job}: {price} base units of its asset per 1000 units, at most {quantum} units ahead of \
                 acknowledgements; disputes: {}",
                disputes_text(disputes)
            ),
            Self::BidAccept { job, provider, price, dispute_terms } => format!(
                "Accept the bid of {provider} on job {job} at {price} base units of its asset per 1000 units{}",
                decided_text(*dispute_terms)
            ),
            Self::JobHandoverOffer { job, handover: Some(Handover { to, price, max_units, dispute_terms }) } => {
                format!(
                    "Offer job {job} to {to} at {price} base units of its asset per 1000 units, if at most {max_units} \
                 units were used until then{}",
                    decided_text(*dispute_terms)
                )
            }
            Self::JobHandoverOffer { job, handover: None } => format!("Hand job {job} over to nobody"),
            Self::JobHandoverAccept { job, price } => {
                format!("Take over job {job} at {price} base units of its asset per 1000 units")
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::JobOpen(Opening { funding: Funding::OnBehalf { payer }, provider, .. }) => vec![*payer, *provider],
            Self::JobOpen(Opening { provider, .. }) | Self::BidAccept { provider, .. } => vec![*provider],
            Self::JobPost(Posting { funding: Funding::OnBehalf { payer }, .. }) => vec![*payer],
            Self::JobHandoverOffer { handover: Some(Handover { to, .. }), .. } => vec![*to],
            _ => vec![],
        }
    }
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::JobOpened { payer, opener, provider, payout, .. } => vec![*payer, *opener, *provider, *payout],
            Self::JobToppedUp { by, payer, provider, .. } => vec![*by, *payer, *provider],
            Self::JobSettled { by, payer, provider, payout, .. } => {
                [payer, provider, payout].into_iter().chain(by).copied().collect()
            }
            Self::JobClosing { by, payer, provider, next, .. } => {
                let next = next.as_ref().map(|leg| &leg.provider);
                [payer, provider].into_iter().chain(by).chain(next).copied().collect()
            }
            Self::JobPosted { post, .. } => vec![post.payer, post.opener],
            Self::JobCancelled { by, payer, opener, .. } => [payer, opener].into_iter().chain(by).copied().collect(),
            Self::BidPlaced { bid, displaced, payer, opener, .. } => {
                [&bid.provider, payer, opener].into_iter().chain(displaced).copied().collect()
            }
            Self::JobHandoverOffered { payer, provider, handover, .. } => {
                let to = handover.as_ref().map(|handover| &handover.to);
                [payer, provider].into_iter().chain(to).copied().collect()
            }
            Self::JobHandedOver { by, payer, provider, payout, next, .. } => {
                let next = [&next.provider, &next.payout];
                [payer, provider, payout].into_iter().chain(by).chain(next).copied().collect()
            }
        }
    }

    fn listed(&self) -> Listed {
        let (job, provider) = match self {
            Self::JobOpened { job, provider, .. }
            | Self::JobToppedUp { job, provider, .. }
            | Self::JobSettled { job, provider, .. }
            | Self::JobClosing { job, provider, .. }
            | Self::JobHandoverOffered { job, provider, .. }
            | Self::JobHandedOver { job, provider, .. } => (*job, Some(*provider)),
            Self::JobPosted { job, .. } | Self::JobCancelled { job, .. } => (*job, None),
            Self::BidPlaced { job, bid, .. } => (*job, Some(bid.provider)),
        };
        Listed { job: Some(job), provider, receipt: None }
    }
}

/// How disputes are decided, in words.
fn disputes_text(terms: &DisputeTerms) -> String {
    let DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps } = terms;
    let names: Vec<_> = arbiters.iter().map(Address::to_string).collect();
    let who = if names.is_empty() {
        "the council decides".to_owned()
    } else {
        format!("{arbiters_needed} of {} decide", names.join(", "))
    };
    format!("{who}, without a verdict the provider has {no_verdict_provider_bps} basis points of what is contested")
}

fn decided_text(dispute_terms: Option<Hash>) -> String {
    dispute_terms.map_or(String::new(), |hash| format!(", disputes decided as in {hash}"))
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let job = JobId::new(7);
    vec![
        Action::JobOpen(Opening {
            funding: Funding::OnBehalf { payer: Address::from_bytes([8; 32]) },
            provider: Address::from_bytes([7; 32]),
            model: ModelId(Hash([5; 32])),
            asset: AssetId::new(1),
            unit_kind: UnitKind::Tokens,
            deposit: Amount::new(10_000_000),
            price: Price::new(5_000),
            duration_s: 86_400,
            silence_s: 300,
            mode: Mode::ProviderClaims { proof_interval: Units::new(100) },
            dispute_terms: None,
            client_ref: Some(Text::new("order 7").unwrap_or_default()),
        }),
        Action::JobTopUp { job, amount: Amount::new(5_000_000) },
        Action::JobDecline { job },
        Action::JobComplete { job, max_units: Units::new(100_000) },
        Action::JobExpire { job },
        Action::JobPost(Posting {
            funding: Funding::Wallet {},
            model: ModelId(Hash([5; 32])),
            asset: AssetId::new(1),
            unit_kind: UnitKind::Tokens,
            deposit: Amount::new(10_000_000),
            max_price: Price::new(5_000),
            duration_s: 86_400,
            silence_s: 86_400,
            mode: Mode::ClientAcks { quantum: Units::new(1_000), ack_key: SecretKey::from_seed(&[1; 32]).public() },
            bidding_s: 3_600,
            requirements: Requirements { region: Text::new("eu").unwrap_or_default(), ..Requirements::default() },
            client_ref: None,
        }),
        Action::JobCancel { job },
        Action::BidPlace {
            job,
            price: Price::new(4_000),
            quantum: Units::new(2_000),
            disputes: DisputeTerms {
                arbiters: List::new(vec![Address::from_bytes([9; 32])]).unwrap_or_default(),
                arbiters_needed: 1,
                no_verdict_provider_bps: 5_000,
            },
        },
        Action::BidAccept {
            job,
            provider: Address::from_bytes([7; 32]),
            price: Price::new(4_000),
            dispute_terms: Some(Hash([6; 32])),
        },
        Action::JobHandoverOffer {
            job,
            handover: Some(Handover {
                to: Address::from_bytes([7; 32]),
                price: Price::new(5_000),
                max_units: Units::new(500),
                dispute_terms: None,
            }),
        },
        Action::JobHandoverAccept { job, price: Price::new(5_000) },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
