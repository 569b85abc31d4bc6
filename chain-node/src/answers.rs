//! Answers to peers that ask for what is decided: how many are read at the same time, and what those
//! that are not read by their peers may hold.
//!
//! A stranger always has room for one answer of common length, so nobody who reads slowly keeps
//! another from catching up. Longer ones (a single block may fill a frame) share a few places, in
//! turn, one for each address.
//!
//! Not here: what the answers say (`chain_core::engine::answer`, `snapshots`), their way to the peer
//! (`p2p`).

use crate::locks::lock;
use chain_core::consensus::Peer;
use chain_core::limits::RANGE_BYTES;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers read at the same time.
const READING: usize = 4;
/// What every stranger's answer may hold until it is written: a range of blocks with its certificates.
const SHARE_BYTES: usize = RANGE_BYTES + 256 * 1024;
/// Longer answers that are read for strangers or wait to be written to them.
const LONG: usize = 4;

/// The answers being read and those under way.
#[derive(Debug)]
pub struct Answers {
    reading: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// Whose long answer has the turn of an address.
    addresses: Mutex<BTreeMap<IpAddr, Weak<Semaphore>>>,
    /// Whose question is being answered.
    asking: Mutex<BTreeSet<Peer>>,
}

/// A peer's question that is being answered: when this goes, its place is free, and the peer may ask on.
#[derive(Debug)]
pub struct Turn {
    answers: Arc<Answers>,
    peer: Peer,
    place: Option<OwnedSemaphorePermit>,
}

/// An encoded answer, with its part of the room until it is written.
#[derive(Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    _room: Option<Room>,
}

/// A place for a long answer, and the turn of its address.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.answers.asking).remove(&self.peer);
    }
}

impl Answers {
    /// Nobody has asked anything.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            reading: Arc::new(Semaphore::new(READING)),
            long: Arc::new(Semaphore::new(LONG)),
            addresses: Mutex::default(),
            asking: Mutex::default(),
        })
    }

    /// Begins an answer, unless enough of them are being read or the peer's last one is.
    pub fn begin(self: &Arc<Self>, peer: Peer) -> Option<Turn> {
        let place = self.reading.clone().try_acquire_owned().ok()?;
        // One at a time for each peer, so that none takes all the places.
        let is_first = lock(&self.asking).insert(peer);
        is_first.then(|| Turn { answers: self.clone(), peer, place: Some(place) })
    }

    /// The turn of an address: one long answer at a time.
    fn of_address(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut addresses = lock(&self.addresses);
        addresses.retain(|_, turn| turn.strong_count() > 0);
        let known = addresses.get(&address).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::new(Semaphore::new(1));
            addresses.insert(address, Arc::downgrade(&turn));
            turn
        })
    }

    async fn room(&self, address: IpAddr) -> Option<Room> {
        let turn = self.of_address(address).acquire_owned().await.ok()?;
        // In the order of asking.
        let place = self.long.clone().acquire_owned().await.ok()?;
        Some((place, turn))
    }
}

impl Turn {
    /// Reads the answer to a question, on a thread that may wait for the disk. A long one for a stranger,
    /// of whom the address is told, is read again once there is room for it: meanwhile nothing is held
    /// but the question, and nothing is read if the stranger has gone by then.
    pub async fn answer(
        mut self,
        stranger: Option<IpAddr>,
        is_there: impl Fn() -> bool + Send,
        read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Option<Answer> {
        let read = Arc::new(read);
        let bytes = on_a_thread(read.clone()).await?;
        let Some(address) = stranger.filter(|_| bytes.len() > SHARE_BYTES) else {
            return Some(Answer { bytes, _room: None });
        };
        drop(bytes);
        self.place = None;
        let room = self.answers.room(address).await?;
        self.place = self.answers.reading.clone().acquire_owned().await.ok();
        if !is_there() {
            return None;
        }
        Some(Answer { bytes: on_a_thread(read).await?, _room: Some(room) })
    }
}

/// Nothing if the read panicked: its message has been printed.
async fn on_a_thread(read: Arc<impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static>) -> Option<Vec<u8>> {
    tokio::task::spawn_blocking(move || read()).await.ok().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use tokio::task::JoinHandle;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    async fn ask(answers: &Arc<Answers>, peer: u64, from: u8, length: usize) -> Option<Answer> {
        answers.begin(Peer(peer)).unwrap().answer(Some(address(from)), || true, move || Some(vec![0; length])).await
    }

    /// Asks for a long answer, and says how often it was read so far.
    fn ask_long(
        answers: &Arc<Answers>,
        peer: u64,
        from: u8,
        there: &Arc<AtomicBool>,
    ) -> (JoinHandle<Option<Answer>>, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let (turn, count, there) = (answers.begin(Peer(peer)).unwrap(), reads.clone(), there.clone());
        let read = move || {
            count.fetch_add(1, Ordering::SeqCst);
            Some(vec![0; SHARE_BYTES + 1])
        };
        let is_there = move || there.load(Ordering::SeqCst);
        (tokio::spawn(turn.answer(Some(address(from)), is_there, read)), reads)
    }

    /// Lets everything happen that can.
    async fn settle(answers: &Answers, waiting: &[&AtomicUsize]) {
        while waiting.iter().any(|reads| reads.load(Ordering::SeqCst) == 0)
            || answers.reading.available_permits() < READING
        {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn strangers_that_read_nothing_keep_no_range_from_others() {
        let answers = Answers::new();
        let mut held = Vec::new();
        for peer in 0..200 {
            held.push(ask(&answers, peer, 1, SHARE_BYTES).await.unwrap());
        }
        for n in 0..u8::try_from(LONG).unwrap() {
            held.push(ask(&answers, 300, n, SHARE_BYTES + 1).await.unwrap());
        }
        assert!(ask(&answers, 301, 99, SHARE_BYTES).await.is_some(), "though all the places of long answers are taken");
    }

    #[tokio::test]
    async fn long_answers_wait_for_a_place_and_hold_nothing_meanwhile() {
        let answers = Answers::new();
        let there = Arc::new(AtomicBool::new(true));
        let mut held = Vec::new();
        for n in 0..u8::try_from(LONG).unwrap() {
            held.push(ask(&answers, u64::from(n), n, SHARE_BYTES + 1).await.unwrap());
        }
        let (waiting, reads) = ask_long(&answers, 10, 50, &there);
        settle(&answers, &[&reads]).await;
        assert!(!waiting.is_finished());
        assert!(answers.begin(Peer(10)).is_none(), "it has asked already");
        held.pop();
        let long = waiting.await.unwrap().unwrap();
        assert_eq!((long.as_ref().len(), reads.load(Ordering::SeqCst)), (SHARE_BYTES + 1, 2));
        // Whoever has a place of its own never waits.
        let own = answers.begin(Peer(11)).unwrap().answer(None, || true, || Some(vec![0; SHARE_BYTES + 1])).await;
        assert!(own.is_some());
        assert!(answers.begin(Peer(10)).is_some(), "it may ask on");
    }

    #[tokio::test]
    async fn an_address_has_one_long_answer_at_a_time_and_passes_over_who_left() {
        let answers = Answers::new();
        let there = Arc::new(AtomicBool::new(true));
        let gone = Arc::new(AtomicBool::new(false));
        let first = ask(&answers, 1, 7, SHARE_BYTES + 1).await.unwrap();
        let (left, left_reads) = ask_long(&answers, 2, 7, &gone);
        settle(&answers, &[&left_reads]).await;
        let (second, reads) = ask_long(&answers, 3, 7, &there);
        settle(&answers, &[&reads]).await;
        assert!(!left.is_finished() && !second.is_finished());
        assert_eq!(answers.long.available_permits(), LONG - 1, "the others' places are untouched");
        assert!(ask(&answers, 4, 8, SHARE_BYTES + 1).await.is_some());
        drop(first);
        assert!(left.await.unwrap().is_none());
        assert_eq!(left_reads.load(Ordering::SeqCst), 1, "nothing is read for who has left");
        assert!(second.await.unwrap().is_some());
        drop(answers.of_address(address(9)));
        assert_eq!(lock(&answers.addresses).len(), 1, "nothing is left of those that were answered");
    }

    #[tokio::test]
    async fn a_question_gives_its_place_back_even_if_its_answer_fails() {
        let answers = Answers::new();
        let turn = answers.begin(Peer(1)).unwrap();
        assert!(answers.begin(Peer(1)).is_none());
        assert!(turn.answer(None, || true, || std::panic::resume_unwind(Box::new("a mistake"))).await.is_none());
        assert_eq!(answers.reading.available_permits(), READING);
        let turns: Vec<_> = (0..READING as u64).filter_map(|peer| answers.begin(Peer(peer))).collect();
        assert!(turns.len() == READING && answers.begin(Peer(99)).is_none(), "no more are read at once");
    }
}
