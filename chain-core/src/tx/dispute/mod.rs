//! Disputes: a payer contests claims nobody acknowledged, both sides deposit for it, and somebody decides.
//!
//! | action | bytes after `0c` | fields |
//! |---|---|---|
//! | `dispute_open` | `01` | job u64 · from u64 |
//! | `dispute_respond` | `02` | job u64 · ack option (as in `receipt_submit`) |
//! | `dispute_vote` | `03` | job u64 · for_provider bool |
//!
//! Rules:
//! 1. The payer disputes an active job while its last claim is young, from a unit count: at least what is paid and what
//!    nobody can contest any more, less than what is used. It deposits `dispute_bond_bps` of what the contested units
//!    cost, rounded up, and the asset's least deposit at least, as they were when the job was opened; and burns
//!    `account_fee`. What costs nothing is not contested.
//! 2. What is not contested is settled at once: the provider is paid up to there; where nobody acknowledges, the payer
//!    has back what is beyond the claims. Nothing else happens to the job until the dispute ends, and with it the job.
//!    The job takes no slot of the provider any more; the bond of a provider that leaves waits for it.
//! 3. The provider itself ends it at any time with an acknowledgement of more than is paid: that is paid, and the
//!    payer has lost. Its newest is the one to show, as no other is redeemed after it.
//! 4. Otherwise the provider deposits as much, by `dispute_respond_s` after the opening. If it does not, the
//!    payer has the contested amount and its deposit.
//! 5. Then it is voted for one side, by `dispute_verdict_s` after the answer: by the arbiters of the offer or bid, as
//!    many as it says must agree; or by the council where there are none, more than two thirds of its votes that are
//!    nobody's who is a party. Each votes once. Votes are counted with every vote and when the time is over, by who
//!    is on the council then.
//! 6. A party never votes: payer, opener, provider, who earns. Their delegates and the provider's operator are no
//!    arbiters of a leg that begins (rule 2 of the job family); whom a side makes one of these later votes all the
//!    same, or it could keep an arbiter from voting. Named arbiters move nothing but this job's money and deposits.
//! 7. What the job pays then is a function of the job and of who won (`state::market::settle`); what happens to
//!    the deposits is in `state::market::dispute`.
//! 8. Without a verdict in time the contested amount is split as the offer or bid says, and both lose
//!    `bond_loss_no_verdict_bps` of their deposits. Time ends disputes by itself at the end of a block, the longest due
//!    first, at most 512 per block. Everything is refused for one whose time is over.
//!
//! Not here: claims and acknowledgements (the receipt family), slashing of bonds (`provider`, `authority`).

mod answer;
mod open;
mod vote;

use super::{About, BlockEnd, CheckContext, Context, Listed, Rules};
use crate::crypto::{PublicKey, SecretKey, Signature};
use crate::fault::{Failure, Fault};
use crate::limits::MAX_DISPUTE_ENDS_PER_BLOCK;
use crate::state::council::{Member, council};
use crate::state::market::dispute::{Bonds, DISPUTE_ENDS, DISPUTES, Dispute, decide, dispute_terms};
use crate::state::market::job::{Job, Status, job};
use crate::state::market::settle::{Cause, Cost, Settlement};
use crate::state::market::{Market, due};
use crate::state::{Overlay, Params};
use crate::types::{
    Ack, Acknowledged, Address, Amount, AssetId, JobId, MarketMs, ModelId, Rejected, Token, Units, rejections,
};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

rejections! {
    /// Rejections of this family.
    REJECTIONS =
    1200 NOTHING_TO_DISPUTE "nothing_to_dispute" "no claim of this job can be contested now";
    1201 FROM_RANGE "from_range" "units are contested from one that is neither paid nor out of reach, and was claimed";
    1202 NOT_DISPUTED "not_disputed" "there is no open dispute about this job";
    1203 ALREADY_ANSWERED "already_answered" "the provider has answered already";
    1204 NOT_ANSWERED "not_answered" "the provider has not answered yet";
    1205 DISPUTE_TIME_OVER "dispute_time_over" "the time for this is over";
    1206 NOT_AN_ARBITER "not_an_arbiter" "this account does not decide this dispute";
    1207 PARTY_VOTES "party_votes" "a party of the job does not decide its dispute";
    1208 DISPUTE_VOTED "dispute_voted" "this account has voted on this dispute";
}

/// Names and numbers of this family's actions.
pub const ACTIONS: &[(u8, &str)] = &[(1, "dispute_open"), (2, "dispute_respond"), (3, "dispute_vote")];

/// A dozen rows, and the end by itself.
const OPEN_WEIGHT: u64 = 4_000;
/// A dozen rows where an acknowledgement ends it.
const ANSWER_WEIGHT: u64 = 2_500;
/// The records of all validators may have to be read.
const VOTE_WEIGHT: u64 = 10_000;

/// What this family does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Action {
    /// Contests claims.
    DisputeOpen {
        /// Of which job.
        job: JobId,
        /// From which unit on.
        from: Units,
    } = 1,
    /// Answers a dispute.
    DisputeRespond {
        /// About which job.
        job: JobId,
        /// The payer's word for more than is paid; without it the sender deposits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ack: Option<Ack>,
    } = 2,
    /// Decides a dispute.
    DisputeVote {
        /// About which job.
        job: JobId,
        /// For the provider, or for the payer.
        for_provider: bool,
    } = 3,
}

/// What this family reports.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    /// Claims are contested; `payment` was paid at once for what is not, `returned` went back.
    DisputeOpened {
        job: JobId,
        payer: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        dispute: Dispute,
        payment: Cost,
        returned: Amount,
        respond_until: MarketMs,
        row_fee: Amount,
    } = 1,
    /// The provider deposited as much.
    DisputeAnswered {
        job: JobId,
        payer: Address,
        provider: Address,
        asset: AssetId,
        bond: Amount,
        verdict_until: MarketMs,
    } = 2,
    /// Somebody voted; so many are for it now, and so many are needed.
    DisputeVoted {
        job: JobId,
        payer: Address,
        provider: Address,
        voter: Address,
        for_provider: bool,
        votes: u64,
        needed: u64,
    } = 3,
    /// A dispute is over, and its job; `by` nobody: by itself. `paid_before` is the part of the leg's settlement that
    /// had been paid, `payment` what of that a newer acknowledgement paid just now, `returned` what the payer had
    /// back already, `spent` what earlier legs cost.
    DisputeDecided {
        job: JobId,
        leg: u32,
        cause: Cause,
        by: Option<Address>,
        payer: Address,
        provider: Address,
        payout: Address,
        model: ModelId,
        asset: AssetId,
        deposit: Amount,
        spent: Amount,
        used: Units,
        paid_before: Cost,
        payment: Cost,
        returned: Amount,
        settlement: Settlement,
        bonds: Bonds,
        arbiters: Vec<Address>,
        at: MarketMs,
    } = 4,
}

impl Rules for Action {
    fn check(&self, _: &CheckContext) -> Result<(), Rejected> {
        Ok(())
    }

    fn signatures(&self, context: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        match self {
            Self::DisputeRespond { ack: Some(ack), .. } => {
                vec![(ack.key, ack.acknowledged.signing_bytes(&context.chain), ack.signature)]
            }
            _ => Vec::new(),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::DisputeOpen { .. } => OPEN_WEIGHT,
            Self::DisputeRespond { .. } => ANSWER_WEIGHT,
            Self::DisputeVote { .. } => VOTE_WEIGHT,
        }
    }

    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::DisputeOpen { job, from } => open::open(context, *job, *from),
            Self::DisputeRespond { job, ack: None } => answer::deposit(context, *job),
            Self::DisputeRespond { job, ack: Some(ack) } => answer::prove(context, *job, ack),
            Self::DisputeVote { job, for_provider } => vote::vote(context, *job, *for_provider),
        }
    }

    fn text(&self, _: &dyn Fn(AssetId) -> Option<Token>) -> String {
        match self {
            Self::DisputeOpen { job, from } => {
                format!("Contest the claims of job {job} from unit {from} on, and deposit for it")
            }
            Self::DisputeRespond { job, ack: None } => format!("Deposit against the dispute about job {job}"),
            Self::DisputeRespond { job, ack: Some(Ack { acknowledged, key, .. }) } => {
                let Acknowledged { job: of, leg, provider, cumulative_units } = acknowledged;
                format!(
                    "End the dispute about job {job}: the key {key} acknowledges {cumulative_units} units of {provider} \
                     for job {of}, leg {leg}"
                )
            }
            Self::DisputeVote { job, for_provider } => {
                let side = if *for_provider { "provider" } else { "payer" };
                format!("Decide the dispute about job {job} for the {side}")
            }
        }
    }

    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
}

/// A dispute that goes on, with its job.
fn disputed(context: &Context<'_, '_>, id: JobId, market: &Market) -> Result<(Job, Dispute), Failure> {
    let job = job(context.state, id)?;
    let open = DISPUTES.get(context.state, &id)?.filter(|dispute| dispute.outcome.is_none());
    let dispute = open.ok_or_else(|| NOT_DISPUTED.because("a disputed job", id))?;
    if market.now > dispute.until {
        return Err(DISPUTE_TIME_OVER.because(format_args!("at most {}", dispute.until), market.now).into());
    }
    Ok((job, dispute))
}

/// Ends a dispute.
fn end(
    state: &mut Overlay<'_>,
    (id, job): (JobId, Job),
    dispute: Dispute,
    (cause, by, payment): (Cause, Option<Address>, Cost),
    (market, params): (&Market, &Params),
) -> Result<Event, Fault> {
    let votes = dispute.votes.clone();
    let (job, settlement, bonds) = decide(state, (id, job), dispute, cause, (market, params))?;
    let for_provider = cause == Cause::VerdictForProvider;
    let majority = votes.iter().filter(|ballot| ballot.for_provider == for_provider).map(|ballot| ballot.voter);
    let arbiters = if bonds.each_arbiter.is_zero() { Vec::new() } else { majority.collect() };
    Ok(Event::DisputeDecided {
        job: id,
        leg: job.leg,
        cause,
        by,
        payer: job.payer,
        provider: job.provider,
        payout: job.payout,
        model: job.model,
        asset: job.asset,
        deposit: job.deposit,
        spent: job.spent,
        used: job.meter.used,
        paid_before: job.cost(job.meter.paid),
        payment,
        returned: job.returned,
        settlement,
        bonds,
        arbiters,
        at: market.now,
    })
}

/// Ends disputes whose time is over.
pub(in crate::tx) fn at_block_end(block: &mut BlockEnd<'_, '_>) -> Result<(), Fault> {
    let market = block.market()?;
    // Everybody's record is read once at most.
    let mut known: Option<Vec<Member>> = None;
    for (until, id) in due(&DISPUTE_ENDS, block.state, market.now, MAX_DISPUTE_ENDS_PER_BLOCK)? {
        if until >= market.now {
            continue;
        }
        let missing = || Fault::new(format!("a dispute about job {id} is queued but has no row"));
        let dispute = DISPUTES.get(block.state, &id)?.ok_or_else(missing)?;
        let job = job(block.state, id).map_err(|_| Fault::new(format!("the disputed job {id} has no row")))?;
        let cause = match dispute.answered {
            None => Cause::Unanswered,
            Some(_) => {
                let terms = dispute_terms(block.state, id)?;
                if known.is_none() {
                    known = Some(council(block.state)?);
                }
                vote::verdict(&terms, known.as_deref().unwrap_or_default(), (&job, &dispute))
                    .unwrap_or(Cause::NoVerdict)
            }
        };
        let event = end(block.state, (id, job), dispute, (cause, None, Cost::default()), (&market, block.params))?;
        block.report(vec![super::Event::Dispute(event)]);
    }
    Ok(())
}

impl About for Event {
    fn accounts(&self) -> Vec<Address> {
        match self {
            Self::DisputeOpened { payer, provider, payout, .. } => vec![*payer, *provider, *payout],
            Self::DisputeAnswered { payer, provider, .. } => vec![*payer, *provider],
            Self::DisputeVoted { payer, provider, voter, .. } => vec![*payer, *provider, *voter],
            Self::DisputeDecided { by, payer, provider, payout, arbiters, .. } => {
                [payer, provider, payout].into_iter().chain(by).chain(arbiters).copied().collect()
            }
        }
    }

    fn listed(&self) -> Listed {
        let (job, provider) = match self {
            Self::DisputeOpened { job, provider, .. }
            | Self::DisputeAnswered { job, provider, .. }
            | Self::DisputeVoted { job, provider, .. }
            | Self::DisputeDecided { job, provider, .. } => (*job, *provider),
        };
        Listed { job: Some(job), provider: Some(provider), receipt: None }
    }
}

/// An example of every action.
pub fn examples() -> Vec<Action> {
    let job = JobId::new(7);
    let provider = Address::from_bytes([7; 32]);
    let said = Acknowledged { job, leg: 0, provider, cumulative_units: Units::new(500) };
    let ack = Some(said.sign(&CheckContext::example().chain, &SecretKey::from_seed(&[3; 32])));
    vec![
        Action::DisputeOpen { job, from: Units::new(400) },
        Action::DisputeRespond { job, ack: None },
        Action::DisputeRespond { job, ack },
        Action::DisputeVote { job, for_provider: true },
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
