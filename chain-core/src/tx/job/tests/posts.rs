//! Rules 13 to 17: posted jobs and bids. H1 and H2 may bid; H1 asks for a bond and a profile as they are.

use super::*;
use crate::codec::List;
use crate::limits::{MAX_BIDDING_S, MAX_BIDS, MIN_BIDDING_S};
use crate::state::market::dispute::dispute_terms;
use crate::state::market::grant::Scope;
use crate::state::market::post::{BIDS, POST_ENDS, POSTS, Post};
use crate::state::market::settle::Cause;
use crate::tx::{account, provider};
use crate::types::ProviderId;

const NOBODY: fn() -> DisputeTerms = DisputeTerms::default;

fn cancel(job: u64) -> Action {
    Action::JobCancel { job: JobId::new(job) }
}

fn posted(wish: Posting) -> (World, u64) {
    let mut world = World::f0();
    let id = world.post(P1, wish);
    (world, id)
}

fn post_of(world: &World, id: u64) -> Post {
    POSTS.get(&world.chain.tree, &JobId::new(id)).unwrap().unwrap()
}

#[test]
fn rule_13_a_job_is_posted_with_its_money() {
    let world = &mut World::f0();
    for (wish, name) in [
        (Posting { deposit: amount(499_999), ..posting() }, "deposit_out_of_range"),
        (Posting { max_price: Price::new(0), ..posting() }, "price_form"),
        (Posting { max_price: Price::new(100_000_001), ..posting() }, "price_out_of_range"),
        (Posting { bidding_s: MIN_BIDDING_S - 1, ..posting() }, "bidding_range"),
        (Posting { bidding_s: MAX_BIDDING_S + 1, ..posting() }, "bidding_range"),
        (Posting { model: crate::types::ModelId(Hash([1; 32])), ..posting() }, "unknown_model"),
        (Posting { duration_s: 59, ..posting() }, "duration_range"),
        (Posting { silence_s: 86_401, ..posting() }, "silence_range"),
        (Posting { funding: Funding::Prepaid {}, ..posting() }, "purse_too_small"),
        (Posting { funding: Funding::OnBehalf { payer: address(P2) }, ..posting() }, "out_of_scope"),
    ] {
        assert_eq!(world.no(P1, Action::JobPost(wish)), name);
    }
    let name = ClientRef::new("mine").ok();
    let id = world.post(P1, Posting { client_ref: name.clone(), ..posting() });
    assert_eq!((id, world.held(P1, USD), world.supply(USD).in_escrow.get()), (1, 9_990 * E6, 10 * E6));
    assert_eq!(world.no(P1, Action::JobPost(Posting { client_ref: name.clone(), ..posting() })), "client_ref_used");
    assert_eq!(world.no(P1, complete(id)), "unknown_job");
    // Numbers are those of jobs; the name is free again when it goes.
    assert_eq!(world.open(P1, acked(1_000)), 2);
    world.ok(P1, cancel(id));
    world.post(P1, Posting { client_ref: name, ..posting() });
}

#[test]
fn rule_14_providers_that_meet_the_requirements_bid_at_most_the_price() {
    let text = |text: &str| crate::codec::Text::new(text).unwrap();
    let own = profile(&[m1()]);
    let wants = |requirements| Posting { requirements, ..posting() };
    let unmet = [
        Requirements { region: text("mars"), ..Requirements::default() },
        Requirements { class: text("gold"), ..Requirements::default() },
        Requirements { min_bond: amount(1_000 * E18 + 1), ..Requirements::default() },
        Requirements { min_score_bps: 1, ..Requirements::default() },
    ];
    for requirements in unmet {
        let (mut world, id) = posted(wants(requirements));
        assert_eq!(world.no(H1, bid(id, 5_000, 1_000, NOBODY())), "requirements_unmet");
    }
    let met = Requirements { region: own.region, class: own.class, min_bond: amount(1_000 * E18), min_score_bps: 0 };
    let (mut world, id) = posted(wants(met));
    assert_eq!(world.no(H1, bid(id, 5_001, 1_000, NOBODY())), "price_above_post");
    assert_eq!(world.no(H1, bid(id, 5_000, 999, NOBODY())), "quantum_range");
    assert_eq!(world.no(H1, bid(id, 0, 1_000, NOBODY())), "bid_form");
    assert_eq!(world.no(H1, bid(id, 5_000, 0, NOBODY())), "bid_form");
    for (arbiters, needed, no_verdict) in [(&[V][..], 0, 0), (&[V], 2, 0), (&[], 1, 0), (&[V], 1, 10_001)] {
        assert_eq!(world.no(H1, bid(id, 5_000, 1_000, judged(arbiters, needed, no_verdict))), "bid_form");
    }
    assert_eq!(world.no(H1, bid(id, 5_000, 1_000, judged(&[V, V], 1, 0))), "list_form");
    assert_eq!(world.no(H3, bid(id, 5_000, 1_000, NOBODY())), "unknown_provider");
    assert_eq!(world.no(H1, bid(id + 1, 5_000, 1_000, NOBODY())), "unknown_job");
    world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
    world.ok(H1, update(&[m2()]));
    assert_eq!(world.no(H1, bid(id, 5_000, 1_000, NOBODY())), "requirements_unmet", "it does not serve the model");
}

#[test]
fn rule_14_a_new_bid_replaces_the_old_one_and_costs_no_row() {
    let (mut world, id) = posted(posting());
    let mut tell = |price| match &world.ok(H1, bid(id, price, 1_000, NOBODY()))[0] {
        crate::tx::Event::Job(Event::BidPlaced { replaced, row_fee, .. }) => (replaced.map(Price::get), row_fee.get()),
        other => panic!("{other:?}"),
    };
    assert_eq!((tell(5_000), tell(4_000), tell(4_500)), ((None, 36), (Some(5_000), 0), (Some(4_000), 0)));
    assert_eq!((post_of(&world, id).bidders.len(), BIDS.scan(&world.chain.tree).count()), (1, 1));
    assert_eq!(world.no(P1, accept_bid(id, H1, 4_000)), "bid_changed");
    world.ok(P1, accept_bid(id, H1, 4_500));
}

#[test]
fn rule_14_sixty_four_bid_and_no_more() {
    let (mut world, id) = posted(posting());
    world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
    let mut post = post_of(&world, id);
    let others = (1_000..).map(ProviderId::new).take(MAX_BIDS - 1);
    post.bidders = List::new(post.bidders.iter().copied().chain(others).collect()).unwrap();
    let first = BIDS.get(&world.chain.tree, &(JobId::new(id), world.provider(H1).id)).unwrap().unwrap();
    world.edit(|overlay| {
        POSTS.put(overlay, &JobId::new(id), &post);
        for bidder in post.bidders.iter().skip(1) {
            let bid = Bid { price: Price::new(4_000 + u128::from(bidder.get()) % 500), ..first.clone() };
            BIDS.put(overlay, &(JobId::new(id), *bidder), &bid);
        }
    });
    assert_eq!(world.no(H2, bid(id, 5_000, 1_000, NOBODY())), "too_many_bids");
    // Who has bid bids again; a lower price displaces the highest: H1's.
    world.ok(H1, bid(id, 4_999, 1_000, NOBODY()));
    match &world.ok(H2, bid(id, 4_998, 1_000, NOBODY()))[0] {
        crate::tx::Event::Job(Event::BidPlaced { displaced, .. }) => assert_eq!(*displaced, Some(address(H1))),
        other => panic!("{other:?}"),
    }
    assert_eq!((post_of(&world, id).bidders.len(), BIDS.scan(&world.chain.tree).count()), (MAX_BIDS, MAX_BIDS));
    assert_eq!(world.no(P1, accept_bid(id, H1, 4_999)), "no_bid");
    world.ok(P1, cancel(id));
    assert_eq!(BIDS.scan(&world.chain.tree).count(), 0);
}

#[test]
fn rule_14_bids_are_taken_to_the_last_moment_and_not_in_a_pause() {
    let (mut world, id) = posted(Posting { bidding_s: 60, ..posting() });
    let reason = crate::codec::Text::new("x").unwrap();
    world.ok(A, crate::tx::market::Action::MarketPause { reason: reason.clone() });
    assert_eq!(world.no(H1, bid(id, 5_000, 1_000, NOBODY())), "market_paused");
    assert_eq!(world.no(P1, accept_bid(id, H1, 5_000)), "market_paused");
    world.ok(A, crate::tx::market::Action::MarketUnpause { reason });
    world.at(1_060);
    world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
    world.ok(P1, accept_bid(id, H1, 5_000));
    let (mut world, id) = posted(Posting { bidding_s: 60, ..posting() });
    world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
    world.at(1_061);
    assert_eq!(world.no(P1, accept_bid(id, H1, 5_000)), "bidding_over");
    assert_eq!(world.no(H1, bid(id, 5_000, 1_000, NOBODY())), "unknown_job", "given back after that block");
    assert_eq!(world.held(P1, USD), 10_000 * E6);
}

#[test]
fn rule_15_an_accepted_bid_is_a_job_on_its_terms() {
    let (mut world, id) = posted(posting());
    let terms = judged(&[V, T], 2, 1_000);
    world.ok(H1, bid(id, 4_000, 1_500, terms.clone()));
    world.ok(H2, bid(id, 5_000, 1_000, NOBODY()));
    for stranger in [X, H1, D] {
        assert_eq!(world.no(stranger, accept_bid(id, H1, 4_000)), "not_the_payer");
    }
    assert_eq!(world.no(P1, accept_bid(id, H1, 4_000)), "dispute_terms_changed", "no name: the council");
    world.ok(P1, accept_bid_on(id, H1, 4_000, Some(terms.hash())));
    let job = world.job(id);
    assert_eq!(
        (job.provider, job.price, job.max_units()),
        (address(H1), Price::new(4_000), Some(Units::new(2_500_000)))
    );
    assert_eq!((job.mode, job.payer, job.started.get()), (acks(1_000), address(P1), 1_000_000));
    assert_eq!(dispute_terms(&world.chain.tree, JobId::new(id)).unwrap(), terms);
    let tree = &world.chain.tree;
    assert_eq!((POSTS.scan(tree).count(), BIDS.scan(tree).count(), POST_ENDS.scan(tree).count()), (0, 0, 0));
    assert_eq!(world.no(P1, accept_bid(id, H2, 5_000)), "unknown_job");
    assert_eq!(world.no(P1, cancel(id)), "unknown_job");
    world.redeemed(id, 1_000);
    world.ok(H1, complete(id));
    assert_eq!((world.earned(H1, USD), world.held(P1, USD)), (3_600, 10_000 * E6 - 4_000));
}

#[test]
fn rule_15_what_changed_since_the_bid_counts() {
    let (mut world, id) = posted(Posting { deposit: amount(500_000), ..posting() });
    assert_eq!(world.no(P1, accept_bid(id, H1, 5_000)), "no_bid");
    let terms = judged(&[V], 1, 0);
    world.ok(H1, bid(id, 5_000, 1_000, terms.clone()));
    let signed = |terms: &DisputeTerms| accept_bid_on(id, H1, 5_000, Some(terms.hash()));
    // The bidder names other arbiters in the last moment, at the same price.
    world.ok(H1, bid(id, 5_000, 1_000, judged(&[X], 1, 0)));
    assert_eq!(world.no(P1, signed(&terms)), "dispute_terms_changed");
    world.ok(H1, bid(id, 5_000, 1_000, terms.clone()));
    world.ok(H1, update(&[m2()]));
    assert_eq!(world.no(P1, signed(&terms)), "requirements_unmet");
    world.ok(H1, update(&[m1()]));
    world.ok(A, crate::tx::model::Action::ModelSetActive { model: m1(), active: false });
    assert_eq!(world.no(P1, signed(&terms)), "model_inactive");
    world.ok(A, crate::tx::model::Action::ModelSetActive { model: m1(), active: true });
    world.ok(H1, provider::Action::ProviderLeave {});
    assert_eq!(world.no(P1, signed(&terms)), "provider_not_active");
    world.later(3_601);
    assert_eq!(world.block().len(), 1);
    assert_eq!(world.held(P1, USD), 10_000 * E6);
}

#[test]
fn rule_15_the_bond_stands_for_as_many_jobs_and_the_deposit_for_a_quantum() {
    let world = &mut World::f0();
    world.set_param("market.bond_per_slot", 500 * E18).unwrap();
    let ids: Vec<_> = (0..3).map(|_| world.post(P1, posting())).collect();
    for id in &ids {
        world.ok(H1, bid(*id, 5_000, 1_000, NOBODY()));
    }
    world.ok(P1, accept_bid(ids[0], H1, 5_000));
    world.ok(P1, accept_bid(ids[1], H1, 5_000));
    assert_eq!(world.no(P1, accept_bid(ids[2], H1, 5_000)), "no_free_slot");
    // A quantum the deposit does not pay for at the highest price is refused when it is posted.
    let dear = |quantum| {
        let (deposit, max_price) = (amount(500_000), Price::new(1_000_000));
        Action::JobPost(Posting { deposit, max_price, mode: acks(quantum), ..posting() })
    };
    assert_eq!(world.no(P1, dear(501)), "quantum_range");
    world.ok(P1, dear(500));
}

#[test]
fn rules_13_and_15_a_delegate_posts_and_accepts_within_its_scope() {
    let world = &mut World::f0();
    let only = |seed| Scope { providers: List::new(vec![address(seed)]).unwrap(), ..scope(&[(USD, 10 * E6, 10 * E6)]) };
    let set = |scope| account::Action::DelegateSet { delegate: address(D), scope, reset_spent: false };
    world.ok(P1, set(only(H2)));
    let funding = Funding::OnBehalf { payer: address(P1) };
    let id = world.post(D, Posting { funding, ..posting() });
    assert_eq!(world.no(D, Action::JobPost(Posting { funding, ..posting() })), "out_of_scope", "all is spent");
    world.ok(H1, bid(id, 4_000, 1_000, NOBODY()));
    world.ok(H2, bid(id, 5_000, 1_000, NOBODY()));
    assert_eq!(world.no(D, accept_bid(id, H1, 4_000)), "out_of_scope");
    // Another delegate of the payer did not post it; a grant that is gone is none.
    world.ok(P1, grant(X, &[(USD, 10 * E6, 10 * E6)]));
    assert_eq!(world.no(X, accept_bid(id, H2, 5_000)), "not_the_payer");
    world.ok(P1, account::Action::DelegateRevoke { delegate: address(D) });
    assert_eq!(world.no(D, accept_bid(id, H2, 5_000)), "out_of_scope");
    assert_eq!(world.no(D, cancel(id)), "out_of_scope");
    assert_eq!(world.no(X, cancel(id)), "not_the_payer");
    world.ok(P1, set(only(H2)));
    world.ok(D, accept_bid(id, H2, 5_000));
    let job = world.job(id);
    assert_eq!((job.payer, job.opener, world.held(P1, USD)), (address(P1), address(D), 9_990 * E6));
}

#[test]
fn rule_16_payer_and_poster_cancel_and_the_payer_has_it_back() {
    let world = &mut World::f0();
    world.ok(P1, grant(D, &[(USD, 10 * E6, 20 * E6)]));
    world.ok(P1, crate::tx::market::Action::MarketDeposit { asset: USD, amount: amount(10 * E6) });
    let funding = Funding::OnBehalf { payer: address(P1) };
    for (by, seed, funding) in [(P1, P1, Funding::Prepaid {}), (P1, D, funding), (D, D, funding)] {
        let (held, prepaid) = (world.held(P1, USD), world.prepaid(P1, USD));
        let id = world.post(seed, Posting { funding, ..posting() });
        assert_eq!(held + prepaid - world.held(P1, USD) - world.prepaid(P1, USD), 10 * E6);
        world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
        assert_eq!(world.no(H1, cancel(id)), "not_the_payer");
        assert_eq!(world.no(X, cancel(id)), "not_the_payer");
        world.ok(by, cancel(id));
        assert_eq!(world.held(P1, USD), held + prepaid, "to the account, wherever it came from");
        assert_eq!(BIDS.scan(&world.chain.tree).count(), 0);
    }
}

#[test]
fn rule_17_what_nobody_took_goes_back_by_itself() {
    let (mut world, id) = posted(Posting { bidding_s: 60, ..posting() });
    world.ok(H1, bid(id, 5_000, 1_000, NOBODY()));
    world.at(1_060);
    assert_eq!(world.block(), vec![]);
    world.at(1_061);
    let events = world.block();
    let crate::tx::Event::Job(Event::JobCancelled { job, by, refund, .. }) = &events[0] else { panic!("{events:?}") };
    assert_eq!((job.get(), *by, refund.get(), world.held(P1, USD)), (id, None, 10 * E6, 10_000 * E6));
    assert_eq!(world.supply(USD).in_escrow.get(), 0);
}

#[test]
fn a_posted_job_where_the_provider_claims_is_one_like_any_other() {
    let mode = Mode::ProviderClaims { proof_interval: Units::new(100) };
    let (mut world, id) = posted(Posting { mode, ..posting() });
    world.ok(H1, bid(id, 5_000, 1, NOBODY()));
    world.ok(P1, accept_bid(id, H1, 5_000));
    world.later(1);
    world.prove(id, 2_000);
    let (cause, paid) = settled(&world.ok(P1, complete(id))).unwrap();
    assert_eq!((cause, paid.gross.get()), (Cause::PayerCompleted, 10_000));
}
