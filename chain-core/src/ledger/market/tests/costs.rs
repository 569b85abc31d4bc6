//! What lists cost, counted in rows, looks and blocks; and that forgotten jobs leave them whatever was voted.

use super::*;
use crate::state::{Overlay, PARAMS, Rows, params};
use std::cell::Cell;

fn set_retention(listed: &Listed, seconds: u32) {
    let mut inner = listed.inner.lock().unwrap();
    let tree = &mut inner.world.chain.tree;
    let changed = crate::state::Params { retention_s: seconds, ..params(tree).unwrap() };
    let mut overlay = Overlay::new(tree);
    PARAMS.put(&mut overlay, &(), &changed);
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
}

fn open(listed: &Listed, payer: u8, count: usize) {
    let wish = Opening { provider: H1, ..opening(USD, 600_000, 10_000) };
    listed.block(vec![(payer, wish.into()); count], 1);
}

fn settle_all(listed: &Listed) {
    let rows = listed.read(|tree| jobs(tree).map(Result::unwrap).collect::<Vec<_>>());
    let own = rows.iter().filter(|(_, job)| job.payer == address(P1) && matches!(job.status, Status::Active));
    listed.block(own.map(|(id, _)| (P1, complete(id.get()).into())).collect(), 1);
}

fn job_records(listed: &Listed) -> Vec<JobId> {
    let keys = listed.entries().into_keys().filter(|key| key[0] == entries::JOB);
    keys.map(|key| entries::read_job(&key).unwrap()).collect()
}

/// Jobs that are kept long stand before jobs that are kept shortly, in the order they were settled in.
#[test]
fn forgotten_jobs_leave_the_lists_after_any_vote_about_how_long_they_are_kept() {
    let listed = Listed::new();
    listed.index();
    set_retention(&listed, 100_000);
    open(&listed, P1, 3 * CHUNK);
    settle_all(&listed);
    listed.index();
    // Settled for long, too, but the index comes to it after the vote.
    open(&listed, P1, 3);
    settle_all(&listed);
    set_retention(&listed, 20);
    listed.index();
    open(&listed, P1, 3 * CHUNK);
    settle_all(&listed);
    listed.index();
    for _ in 0..6 {
        listed.block(vec![], 9);
        listed.index();
    }
    let known: Vec<JobId> = listed.read(|tree| jobs(tree).map(|row| row.unwrap().0).collect());
    assert_eq!(known.len(), 3 * CHUNK + 3, "the short ones are forgotten");
    assert_eq!(job_records(&listed), known);
    let at = |key: &[u8]| u64::from_be_bytes(*key[1..].first_chunk().unwrap());
    let queue = listed.entries().into_keys().filter(|key| key[0] == entries::FORGETTING);
    assert!(queue.map(|key| at(&key)).all(|at| at > 100_000_000), "under the times the state forgets them at");
    let filed = listed.entries();
    let rebuilt = Listed { store: Arc::default(), ..listed };
    rebuilt.index();
    assert!(rebuilt.entries() == filed, "made anew from the rows they are the same");
}

/// A filter that reads ten rows for each job: neither a page nor a look reads more than their bounds and one job's.
#[test]
fn what_a_filter_reads_counts_for_page_and_look() {
    let listed = Listed::new();
    listed.index();
    for _ in 0..9 {
        open(&listed, P1, 32);
        settle_all(&listed);
    }
    listed.index();
    let held = Cell::new((0, 0));
    let rows = Cell::new(0);
    let mut nobody = |reading: &Reading<'_>, (id, _): (JobId, JobRow)| {
        let looks = listed.looks.load(Ordering::Relaxed);
        held.set(if held.get().0 == looks { (looks, held.get().1 + 11) } else { (looks, 11) });
        assert!(held.get().1 < MAX_HELD + 11, "rows in one look");
        rows.set(rows.get() + 11);
        for _ in 0..10 {
            assert!(reading.row(&crate::state::market::job::JOBS.key(&id)).is_some());
        }
        Ok(None::<JobId>)
    };
    let (mut after, mut pages) = (None, 0);
    loop {
        rows.set(0);
        let filter = JobFilter { payer: Some(address(P1)), provider: Some(address(H1)), ..JobFilter::default() };
        let page = list_jobs(&listed, &filter, Sorting::Newest, (after.as_deref(), 10), &mut nobody).unwrap();
        assert!(rows.get() < MAX_LOOKS + MAX_HELD + 11, "{} rows in one page", rows.get());
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(pages >= 9 * 32 * 11 / MAX_LOOKS, "{pages} pages");
}

#[test]
fn late_blocks_are_counted_before_they_are_looked_at() {
    let listed = Listed::new();
    listed.index();
    let indexed = listed.head();
    for _ in 0..LATE_BLOCKS {
        open(&listed, P1, 32);
    }
    let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id));
    listed.read_blocks.store(0, Ordering::Relaxed);
    let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut take).unwrap();
    assert_eq!((page.items.len(), page.complete_to, page.height), (0, indexed, listed.head()));
    let most = MAX_LATE_OUTCOMES / 32 + 1;
    assert_eq!(listed.read_blocks.load(Ordering::Relaxed), most, "the rest of the blocks is not even read");
    // What nobody can know is refused.
    assert!(matches!(locked(&listed, &address(P1)), Err(ListError::NotReady)));
    assert!(matches!(find_receipt(&listed, &crate::crypto::Hash::ZERO), Err(ListError::NotReady)));
    assert!(matches!(receipt_place(&listed, JobId::new(1), 0, 1), Err(ListError::NotReady)));
    listed.index();
    assert!(matches!(find_receipt(&listed, &crate::crypto::Hash::ZERO), Ok(None)));
}

#[test]
fn late_blocks_are_read_once_and_only_what_is_asked_for_is_looked_at() {
    let listed = Listed::new();
    open(&listed, P1, 2);
    listed.index();
    (0..5).for_each(|_| listed.act(H2, provider::Action::Heartbeat { provider: address(H2) }));
    let rows = listed.read(|tree| jobs(tree).map(Result::unwrap).collect::<Vec<_>>());
    listed.block(vec![(H1, claim(&rows[0], 500))], 5);
    let blocks = listed.inner.lock().unwrap().blocks.clone();
    let events = blocks.last().unwrap().results.events.iter().flatten();
    let mut accepted = events.filter_map(|event| match event {
        crate::tx::Event::Receipt(receipt::Event::ReceiptAccepted { hash, .. }) => Some(*hash),
        _ => None,
    });
    let hash = accepted.next().unwrap();
    let counted = |read: &dyn Fn()| {
        listed.read_blocks.store(0, Ordering::Relaxed);
        listed.looks.store(0, Ordering::Relaxed);
        read();
        (listed.read_blocks.load(Ordering::Relaxed), listed.looks.load(Ordering::Relaxed))
    };
    // Six blocks are late. One look is for the head.
    assert_eq!(counted(&|| assert!(find_receipt(&listed, &hash).unwrap().is_some())), (6, 1));
    let of_job = || assert_eq!(list_receipts(&listed, rows[0].0, Sorting::Oldest, (None, 5)).unwrap().items.len(), 1);
    assert_eq!(counted(&of_job), (6, 2));
    // The jobs that were touched, and their page; nothing of the provider.
    let of_payer = || {
        let mut take = |_: &Reading<'_>, (id, _): (JobId, JobRow)| Ok(Some(id));
        let page = list_jobs(&listed, &JobFilter::default(), Sorting::Newest, (None, 10), &mut take).unwrap();
        assert_eq!(page.items.len(), 2);
    };
    assert_eq!(counted(&of_payer), (6, 3));
}
