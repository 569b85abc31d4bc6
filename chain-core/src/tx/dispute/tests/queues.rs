//! How much the end of a block looks at, however much waits: counted in rows, not in time.

use super::*;
use crate::limits::{
    MAX_BIDS, MAX_JOB_ENDS_PER_BLOCK, MAX_JOBS_FORGOTTEN_PER_BLOCK, MAX_JOBS_LOOKED_AT_PER_BLOCK,
    MAX_POST_ROWS_PER_BLOCK,
};
use crate::state::market::dispute::DISPUTE_ENDS;
use crate::state::market::job::{JOB_ENDS, JOBS, NEXT_JOB, OPEN_PAIRS};
use crate::state::market::post::{BIDS, POST_ENDS, POSTS, Post};
use crate::state::market::provider::{PROVIDERS, Provider};
use crate::state::money;
use crate::types::ProviderId;

const MANY: u64 = 100_000;

/// Rows that the next block changes if it is empty, and what it reports.
fn looked_at(world: &mut World) -> (usize, usize) {
    let at = crate::state::market::stored(&world.chain.tree).unwrap();
    world.chain.time = Some(at.at.saturating_add(world.now - at.now.get()));
    let executed = crate::execute::execute_block(&world.chain.tree, world.chain.next(), &[]).unwrap();
    let counts = (executed.delta.rows().len(), executed.results.events.len());
    world.chain.tree.commit(executed.delta).unwrap();
    world.chain.height = world.chain.height.next();
    counts
}

/// So many disputed jobs, as one that was opened is.
fn many_disputes() -> World {
    let mut world = World::judged_by_v();
    let id = world.open(P1, Opening { judged: by_v(), deposit: 500_000, ..acked(100) });
    world.prove(id, 100);
    world.ok(P1, contest(id, 0));
    let (job, dispute, provider) = (world.job(id), world.dispute(id), world.provider(H1));
    world.edit(|overlay| {
        for n in (id + 1..id + MANY).map(JobId::new) {
            JOBS.put(overlay, &n, &job);
            DISPUTES.put(overlay, &n, &dispute);
            DISPUTE_ENDS.put(overlay, &(dispute.until, n), &());
        }
        let all = u128::from(MANY - 1) * (job.escrow().get() + dispute.bond.get());
        money::mint(overlay, &address(P2), USD, amount(all)).unwrap();
        money::take(overlay, &address(P2), USD, amount(all)).unwrap();
        let disputed_jobs = u32::try_from(MANY).unwrap();
        PROVIDERS.put(overlay, &address(H1), &Provider { disputed_jobs, ..provider });
        NEXT_JOB.put(overlay, &(), &JobId::new(id + MANY));
    });
    world
}

#[test]
fn a_hundred_thousand_disputes_end_a_bounded_number_a_block() {
    let mut world = many_disputes();
    world.later(1);
    let (idle, told) = looked_at(&mut world);
    assert!(idle < 10 && told == 0, "nothing is due: {idle} rows");
    world.later(86_400);
    let bound = crate::limits::MAX_DISPUTE_ENDS_PER_BLOCK;
    for block in 1..4 {
        let (rows, told) = looked_at(&mut world);
        // Four rows each (job, dispute, its place in the queue, when it is forgotten), and a few of the parties.
        assert_eq!(told, bound);
        assert!(rows <= 4 * bound + 20, "{rows} rows");
        assert_eq!(DISPUTE_ENDS.scan(&world.chain.tree).count() as u64, MANY - block * bound as u64);
    }
    // Those that wait behave as ended.
    let last = MANY;
    assert_eq!(world.job(last).escrow().get(), 500_000);
    assert_eq!(world.no(H1, answer(last)), "dispute_time_over");
    assert!(world.supply(USD).is_conserved());
}

#[test]
fn a_hundred_thousand_posted_jobs_with_all_their_bids_go_back_a_bounded_number_a_block() {
    let mut world = World::f0();
    let id = world.post(P1, crate::tx::job::Posting { deposit: amount(500_000), ..posting() });
    let bidder = bid(id, 5_000, 1_000, judged(&[V], 1, 0));
    world.ok(H1, bidder);
    let tree = &world.chain.tree;
    let post = POSTS.get(tree, &JobId::new(id)).unwrap().unwrap();
    let placed = BIDS.get(tree, &(JobId::new(id), world.provider(H1).id)).unwrap().unwrap();
    // Those that go first have all the bids there can be.
    let most = MAX_POST_ROWS_PER_BLOCK.div_ceil(MAX_BIDS + 4);
    let full = 2 * most as u64;
    let bidders: Vec<_> = (1_000..).map(ProviderId::new).take(MAX_BIDS).collect();
    world.edit(|overlay| {
        for n in id + 1..id + MANY {
            let bidders = if n <= id + full { bidders.clone() } else { Vec::new() };
            bidders.iter().for_each(|bidder| BIDS.put(overlay, &(JobId::new(n), *bidder), &placed));
            let bidders = crate::codec::List::new(bidders).unwrap();
            POSTS.put(overlay, &JobId::new(n), &Post { bidders, ..post.clone() });
            POST_ENDS.put(overlay, &(post.until, JobId::new(n)), &());
        }
        let all = amount(u128::from(MANY - 1) * 500_000);
        money::mint(overlay, &address(P2), USD, all).unwrap();
        money::take(overlay, &address(P2), USD, all).unwrap();
    });
    let (idle, told) = looked_at(&mut world);
    assert!(idle < 10 && told == 0, "nothing is due: {idle} rows");
    world.later(3_601);
    for block in 1..3 {
        let (rows, told) = looked_at(&mut world);
        // The first one has a single bid.
        assert!((most..most + 2).contains(&told), "{told}");
        assert!(rows <= MAX_POST_ROWS_PER_BLOCK + MAX_BIDS + 20, "{rows} rows");
        assert!(POSTS.scan(&world.chain.tree).count() as u64 >= MANY - block * (most as u64 + 1));
    }
    // Those without bids go faster, and not without bound.
    looked_at(&mut world);
    let (rows, told) = looked_at(&mut world);
    assert_eq!(told, MAX_POST_ROWS_PER_BLOCK / 4);
    assert!(rows <= MAX_POST_ROWS_PER_BLOCK + 20, "{rows} rows");
    assert!(world.supply(USD).is_conserved());
}

#[test]
fn a_hundred_thousand_jobs_close_and_settle_a_bounded_number_a_block() {
    let mut world = World::f0();
    let id = world.open(P1, Opening { deposit: 500_000, ..acked(100) });
    let (job, provider) = (world.job(id), world.provider(H1));
    world.edit(|overlay| {
        for n in (id + 1..id + MANY).map(JobId::new) {
            JOBS.put(overlay, &n, &job);
            JOB_ENDS.put(overlay, &(job.queued, n), &());
        }
        let all = amount(u128::from(MANY - 1) * 500_000);
        money::mint(overlay, &address(P2), USD, all).unwrap();
        money::take(overlay, &address(P2), USD, all).unwrap();
        let open = u32::try_from(MANY).unwrap();
        OPEN_PAIRS.put(overlay, &(job.payer, job.provider_id), &open);
        PROVIDERS.put(overlay, &address(H1), &Provider { open_jobs: open, ..provider });
        NEXT_JOB.put(overlay, &(), &JobId::new(id + MANY));
    });
    world.later(301);
    let mut settled = 0;
    for _ in 0..4 {
        let (rows, told) = looked_at(&mut world);
        assert!(told <= MAX_JOB_ENDS_PER_BLOCK);
        assert!(rows <= 3 * MAX_JOBS_LOOKED_AT_PER_BLOCK + MAX_JOBS_FORGOTTEN_PER_BLOCK, "{rows} rows");
        settled += told;
    }
    // Jobs that began to close do not hold up those behind them.
    assert_eq!(settled, 4 * MAX_JOB_ENDS_PER_BLOCK);
    world.later(600);
    let closed = looked_at(&mut world).1;
    assert_eq!(closed, MAX_JOB_ENDS_PER_BLOCK);
    assert!(world.supply(USD).is_conserved());
}
