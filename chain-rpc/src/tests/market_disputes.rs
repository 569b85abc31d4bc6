//! Acknowledged work, posted jobs with bids, handovers and disputes: as a node tells of them.

use super::authority::Council;
use super::http::{call, get};
use super::market::{BUYER, SELLER, claim, complete, done, model, offer, open, register, scene, submit};
use super::node::{TestNode, address, key};
use crate::view::*;
use chain_core::codec::List;
use chain_core::state::market::job::{Funding, Handover, Mode};
use chain_core::state::market::post::Requirements;
use chain_core::state::market::provider::{DisputeTerms, OfferTerms};
use chain_core::state::market::settle::Cause;
use chain_core::tx::job::Posting;
use chain_core::tx::{Action, dispute, job, provider, receipt};
use chain_core::types::{Acknowledged, Amount, AssetId, JobId, ModelId, Price, UnitKind, Units};
use serde_json::json;

/// Decides disputes of whom `arbitrated` is an offer of.
const ARBITER: u8 = 5;
/// Another provider.
const OTHER: u8 = 4;
/// Signs acknowledgements.
const ACK: u8 = 77;

/// A posted job and a disputed one, in a market with one job: their numbers.
pub(super) async fn more(node: &TestNode) -> (u64, u64) {
    done(node, BUYER, posting(None)).await;
    done(node, BUYER, open(SELLER, model(), AssetId::NATIVE, 10_000, None)).await;
    done(node, SELLER, submit(claim(node, 3, 120))).await;
    done(node, BUYER, contest(3, 100)).await;
    (2, 3)
}

fn posting(name: Option<&str>) -> Action {
    Action::Job(job::Action::JobPost(Posting {
        funding: Funding::Wallet {},
        model: model(),
        asset: AssetId::NATIVE,
        unit_kind: UnitKind::Tokens,
        deposit: Amount::new(10_000),
        max_price: Price::new(5_000),
        duration_s: 3_600,
        silence_s: 3_600,
        mode: acks(),
        bidding_s: 600,
        requirements: Requirements { min_score_bps: 0, ..Requirements::default() },
        client_ref: name.map(|name| chain_core::codec::Text::new(name).unwrap()),
    }))
}

fn acks() -> Mode {
    Mode::ClientAcks { quantum: Units::new(200), ack_key: key(ACK).public() }
}

fn arbiters() -> DisputeTerms {
    let arbiters = List::new(vec![address(ARBITER)]).unwrap();
    DisputeTerms { arbiters, arbiters_needed: 1, no_verdict_provider_bps: 5_000 }
}

fn bid(job: u64, price: u128) -> Action {
    let (job, price, quantum) = (JobId::new(job), Price::new(price), Units::new(500));
    Action::Job(job::Action::BidPlace { job, price, quantum, disputes: arbiters() })
}

fn contest(job: u64, from: u64) -> Action {
    Action::Dispute(dispute::Action::DisputeOpen { job: JobId::new(job), from: Units::new(from) })
}

fn vote(job: u64, for_provider: bool) -> Action {
    Action::Dispute(dispute::Action::DisputeVote { job: JobId::new(job), for_provider })
}

/// The next receipt of a job, with the payer's word for so many units.
fn redeem(node: &TestNode, job: u64, more: u64, acknowledged: u64) -> Action {
    let receipt = claim(node, job, more);
    let cumulative_units = Units::new(acknowledged);
    let said = Acknowledged { job: receipt.job, leg: receipt.leg, provider: address(SELLER), cumulative_units };
    let ack = Some(said.sign(&node.chain_id(), &key(ACK)));
    Action::Receipt(receipt::Action::ReceiptSubmit { receipt, ack })
}

fn arbitrated(model: ModelId) -> Action {
    let Action::Provider(provider::Action::OfferPublish { terms, .. }) = offer(model, AssetId::NATIVE, 4_000) else {
        panic!("it was just made")
    };
    let DisputeTerms { arbiters, arbiters_needed, no_verdict_provider_bps } = arbiters();
    let terms = OfferTerms { arbiters, arbiters_needed, no_verdict_provider_bps, ..terms };
    let (asset, unit_kind) = (AssetId::NATIVE, UnitKind::Tokens);
    Action::Provider(provider::Action::OfferPublish { model, asset, unit_kind, terms })
}

/// A market with two providers, and what one asks it with.
async fn market() -> Council {
    let council = Council::of(TestNode::market()).await;
    let node = &council.world.node;
    scene(node).await;
    done(node, OTHER, register("other", &[model()])).await;
    done(node, OTHER, arbitrated(model())).await;
    council
}

async fn begun(council: &Council, job: u64) -> JobView {
    council.client.get_job(JobId::new(job)).await.unwrap().job.begun().unwrap()
}

#[tokio::test]
async fn a_posted_job_is_shown_with_its_bids_until_one_is_taken() {
    let council = market().await;
    let (client, node, to) = (&council.client, &council.world.node, council.world.door.address);
    done(node, BUYER, posting(Some("wanted"))).await;
    let post = client.get_job_of(address(BUYER), "wanted").await.unwrap().job.posted().unwrap();
    assert_eq!((post.job.get(), post.state, post.bids), (2, JobState::Posted, 0));
    assert_eq!((post.deposit, post.max_price, post.mode), (Amount::new(10_000), Price::new(5_000), acks()));
    let raw = get(to, "/v1/jobs/2").await.json();
    assert_eq!((&raw["state"], &raw["requirements"]["region"]), (&json!("posted"), &json!("")));
    assert!(raw["provider"].is_null(), "{raw}");
    for (seed, price) in [(SELLER, 4_900), (OTHER, 4_800), (SELLER, 4_700)] {
        done(node, seed, bid(2, price)).await;
    }
    let page = client.get_bids(JobId::new(2), None, Some(1)).await.unwrap();
    assert_eq!((page.bids[0].provider, page.bids[0].price.get()), (address(SELLER), 4_700));
    let last = client.get_bids(JobId::new(2), page.next, Some(1)).await.unwrap();
    assert_eq!((last.bids[0].provider, last.bids[0].price.get(), last.next), (address(OTHER), 4_800, None));
    assert_eq!(last.bids[0].dispute_terms, arbiters().into());
    let rest = get(to, "/v1/jobs/2/bids").await.json();
    assert_eq!(rest["bids"].as_array().unwrap().len(), 2);
    let states = async |state: JobState| {
        let page = client.get_jobs(&JobsParams { state: Some(state), ..JobsParams::default() }).await.unwrap();
        page.list.jobs.iter().map(|job| job.id().get()).collect::<Vec<_>>()
    };
    assert_eq!((states(JobState::Posted).await, states(JobState::Active).await), (vec![2], vec![1]));
    let locked = client.get_deposits(address(BUYER)).await.unwrap().assets[0].locked;
    assert_eq!(locked, Amount::new(20_000), "what a posted job holds is locked, too");
    let proved = client.get_proof(&ProofParams { post: Some(JobId::new(2)), ..ProofParams::default() }).await.unwrap();
    assert!(matches!(proved, ProofView::Row(row) if row.present));

    let (provider, price) = (address(OTHER), Price::new(4_800));
    let taken = |hash| job::Action::BidAccept { job: JobId::new(2), provider, price, dispute_terms: Some(hash) };
    let other = DisputeTerms::default().hash();
    assert_eq!(council.said(BUYER, Action::Job(taken(other))).await, Some(99), "other terms were signed for");
    done(node, BUYER, Action::Job(taken(arbiters().hash()))).await;
    let job = begun(&council, 2).await;
    assert_eq!((job.state, job.provider, job.price), (JobState::Active, address(OTHER), price));
    assert_eq!((job.mode, job.dispute_terms), (acks(), arbiters().into()));
    assert_eq!((states(JobState::Posted).await, states(JobState::Active).await), (vec![], vec![2, 1]));
    assert_eq!(get(to, "/v1/jobs/2/bids").await.status, 404);
    // One that is taken back is gone.
    done(node, BUYER, posting(None)).await;
    done(node, BUYER, Action::Job(job::Action::JobCancel { job: JobId::new(3) })).await;
    assert!(client.get_job(JobId::new(3)).await.is_err());
    assert_eq!(states(JobState::Posted).await, [0u64; 0]);
}

#[tokio::test]
async fn acknowledged_work_is_paid_at_once_and_the_rest_after_a_closing() {
    let council = market().await;
    let node = &council.world.node;
    let Action::Job(mut action) = open(SELLER, model(), AssetId::NATIVE, 10_000, None) else { panic!("it opens") };
    let job::Action::JobOpen(opening) = &mut action else { panic!("it opens") };
    (opening.mode, opening.silence_s) = (acks(), 3_600);
    done(node, BUYER, Action::Job(action)).await;
    let fresh = begun(&council, 2).await;
    assert_eq!((fresh.mode, fresh.meter.claimable.get()), (acks(), 200));
    done(node, SELLER, submit(claim(node, 2, 150))).await;
    let claimed = begun(&council, 2).await;
    assert_eq!((claimed.meter.claimable.get(), claimed.contestable.unwrap().from.get()), (50, 0));
    done(node, SELLER, redeem(node, 2, 100, 250)).await;
    let paid = begun(&council, 2).await;
    let money = [paid.paid.gross, paid.paid.fee, paid.paid.provider, paid.escrow].map(Amount::get);
    assert_eq!((money, paid.meter.paid.get()), ([1_250, 125, 1_125, 8_750], 250));
    assert_eq!((paid.meter.claimable.get(), paid.contestable), (200, None));
    let by_hash = ReceiptParams { receipt: Some(paid.meter.head), ..ReceiptParams::default() };
    let found = council.client.get_receipt(&by_hash).await.unwrap();
    assert_eq!(
        (found.acknowledged, found.paid, found.payment.gross.get()),
        (Some(Units::new(250)), Units::new(250), 1_250)
    );

    // The payer is done: the provider has time to redeem.
    done(node, SELLER, submit(claim(node, 2, 150))).await;
    done(node, BUYER, complete(2)).await;
    let closing = begun(&council, 2).await;
    let said = closing.closing.unwrap();
    assert_eq!((closing.state, said.cause, said.next), (JobState::Closing, Cause::PayerCompleted, None));
    assert_eq!((closing.due_at, closing.deadline), (Some(said.until), None));
    let listed = JobsParams { state: Some(JobState::Closing), payer: Some(address(BUYER)), ..JobsParams::default() };
    assert_eq!(council.client.get_jobs(&listed).await.unwrap().list.jobs, [AnyJobView::Begun(Box::new(closing))]);
    done(node, SELLER, redeem(node, 2, 0, 400)).await;
    done(node, SELLER, complete(2)).await;
    let ended = begun(&council, 2).await;
    let settled = ended.settled.unwrap();
    assert_eq!((settled.gross.get(), settled.refund.get(), ended.escrow.get()), (2_000, 8_000, 0));
}

#[tokio::test]
async fn a_dispute_is_listed_by_its_parties_and_arbiters_and_shown_until_its_verdict() {
    let council = market().await;
    let (client, node, to) = (&council.client, &council.world.node, council.world.door.address);
    let mut wish = open(OTHER, model(), AssetId::NATIVE, 10_000, None);
    assert_eq!(council.said(BUYER, wish.clone()).await, Some(99), "who names no dispute terms means the council");
    let Action::Job(job::Action::JobOpen(opening)) = &mut wish else { panic!("{wish:?}") };
    opening.dispute_terms = Some(arbiters().hash());
    done(node, BUYER, wish).await;
    done(node, OTHER, submit(claim(node, 2, 500))).await;
    assert_eq!(begun(&council, 2).await.contestable.unwrap().from.get(), 0);
    done(node, BUYER, contest(2, 100)).await;
    let job = begun(&council, 2).await;
    assert_eq!((job.state, job.meter.paid.get(), job.returned.get()), (JobState::Disputed, 100, 7_500));
    assert_eq!((job.due_at, job.contestable), (None, None));
    let found = client.get_dispute(JobId::new(2)).await.unwrap().dispute;
    assert_eq!((found.state, found.from.get(), found.used.get()), (DisputeState::Open, 100, 500));
    assert_eq!((found.contested.get(), found.bond, found.held), (2_000, Amount::new(200), Amount::new(200)));
    assert_eq!((found.terms.clone(), found.answered, found.votes.len()), (arbiters().into(), None, 0));
    assert!(found.until.is_some());
    // Another one, which the council decides.
    done(node, BUYER, open(SELLER, model(), AssetId::NATIVE, 10_000, None)).await;
    done(node, SELLER, submit(claim(node, 3, 120))).await;
    done(node, BUYER, contest(3, 0)).await;
    let listed = async |account: Option<u8>, state: Option<DisputeState>| {
        let asked = DisputesParams { account: account.map(address), state, ..DisputesParams::default() };
        let page = client.get_disputes(&asked).await.unwrap();
        page.list.disputes.iter().map(|dispute| dispute.job.get()).collect::<Vec<_>>()
    };
    let (is_open, decided) = (Some(DisputeState::Open), Some(DisputeState::Decided));
    assert_eq!(listed(None, None).await, [3, 2]);
    assert_eq!((listed(Some(ARBITER), is_open).await, listed(Some(SELLER), is_open).await), (vec![2], vec![3]));
    assert_eq!((listed(Some(BUYER), None).await, listed(Some(6), None).await), (vec![3, 2], vec![]));
    let one = call(to, "get_disputes", &json!({ "limit": 1, "sort": "oldest" })).await["result"].clone();
    let (next, first) = (one["next"].as_str().unwrap(), &one["disputes"][0]["job"]);
    let rest = get(to, &format!("/v1/disputes?limit=1&sort=oldest&cursor={next}")).await.json();
    assert_eq!((first, &rest["disputes"][0]["job"]), (&json!("2"), &json!("3")));

    let respond = dispute::Action::DisputeRespond { job: JobId::new(2), ack: None };
    done(node, OTHER, Action::Dispute(respond)).await;
    let held = client.get_supply().await.unwrap().assets[0].in_dispute_bonds;
    assert_eq!(held, Amount::new(200 + 200 + 60), "both of one dispute, one of the other");
    assert_eq!(council.said(6, vote(2, true)).await, Some(1206));
    done(node, ARBITER, vote(2, true)).await;
    let decided_view = client.get_dispute(JobId::new(2)).await.unwrap().dispute;
    assert_eq!((decided_view.state, decided_view.outcome), (DisputeState::Decided, Some(Cause::VerdictForProvider)));
    assert_eq!(decided_view.votes, [BallotView { voter: address(ARBITER), for_provider: true }]);
    assert_eq!((listed(Some(ARBITER), decided).await, listed(None, is_open).await), (vec![2], vec![3]));
    assert_eq!(begun(&council, 2).await.settled.unwrap().cause, Cause::VerdictForProvider);
    let reputation = client.get_reputation(address(OTHER), None, None, None).await.unwrap();
    assert_eq!(reputation.models[0].disputes_won_millionths, 1_000_000);
    let proved = ProofParams { dispute: Some(JobId::new(2)), ..ProofParams::default() };
    assert!(matches!(client.get_proof(&proved).await.unwrap(), ProofView::Row(row) if row.present));
    assert_eq!(get(to, "/v1/jobs/1/dispute").await.status, 404);
    assert_eq!(get(to, "/v1/jobs/2/dispute").await.json()["outcome"], "verdict_for_provider");
}

#[tokio::test]
async fn a_job_is_offered_to_another_provider_and_goes_on_there() {
    let council = market().await;
    let node = &council.world.node;
    let offers = council.client.get_provider(address(OTHER)).await.unwrap().offers.unwrap();
    assert_eq!(offers[0].dispute_terms, arbiters().hash());
    let (to, price, max_units) = (address(OTHER), Price::new(4_500), Units::new(150));
    let handover = Some(Handover { to, price, max_units, dispute_terms: Some(offers[0].dispute_terms) });
    done(node, BUYER, Action::Job(job::Action::JobHandoverOffer { job: JobId::new(1), handover })).await;
    assert_eq!(begun(&council, 1).await.handover, handover);
    done(node, OTHER, Action::Job(job::Action::JobHandoverAccept { job: JobId::new(1), price })).await;
    let job = begun(&council, 1).await;
    assert_eq!((job.leg, job.provider, job.price, job.spent.get()), (1, to, price, 750));
    assert_eq!((job.dispute_terms, job.handover, job.meter.used.get()), (arbiters().into(), None, 0));
    let of = |seed: u8| JobsParams { provider: Some(address(seed)), ..JobsParams::default() };
    let counts = [of(OTHER), of(SELLER)]
        .map(async |asked: JobsParams| council.client.get_jobs(&asked).await.unwrap().list.jobs.len());
    let [with, without] = counts;
    assert_eq!((with.await, without.await), (1, 0));
}
