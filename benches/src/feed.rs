//! Offering signed transfers as fast as they are taken, without running the pool over; and
//! reading off what was taken and what became final meanwhile.
//!
//! Transactions are dealt to lanes by sender, so that nonces stay in order; a lane waits for the
//! answer to one batch before it sends the next. What is refused for want of room is offered
//! again, anything else is counted and named.

use crate::Result;
use crate::machine::{CpuTimes, CpuUse};
use crate::yardstick::Rate;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Transactions offered together: what one `send_txs` may hold.
pub const BATCH: usize = 1000;
/// Most transactions accepted and not final: below the pool's 150,000.
const MAX_WAITING: u64 = 120_000;
/// How long a lane waits before it looks again.
const PAUSE: Duration = Duration::from_millis(2);
/// At the start the pool is empty and nothing holds acceptance up: this long it is measured.
const OPENING: Duration = Duration::from_secs(1);

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Before measuring: the pool fills, caches warm up.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
    /// Lanes, which are connections where there are any.
    pub lanes: usize,
}

impl Plan {
    /// From the first transaction to the end.
    pub fn total(&self) -> Duration {
        self.warm_up + self.measured
    }
}

/// What became of one offered transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node has it durably.
    Taken,
    /// No room now.
    Later,
    /// Refused, with the reason's name.
    Refused(String),
}

impl Verdict {
    /// Of a reason the node gave.
    pub fn of_reason(reason: &str) -> Self {
        match reason {
            "busy" | "pool_full" | "lane_full" | "rate_limited" => Self::Later,
            other => Self::Refused(other.into()),
        }
    }
}

/// Where a run stands; lanes and the follower of blocks share it.
#[derive(Debug)]
pub struct Gauge {
    begin: Instant,
    accepted: AtomicU64,
    committed: AtomicU64,
    put_off: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
    over: AtomicBool,
    opening: Mutex<Option<(Instant, u64)>>,
    marks: Mutex<Vec<Mark>>,
}

/// The counters at a final block.
#[derive(Clone, Copy, Debug)]
struct Mark {
    committed: u64,
    accepted: u64,
    cpu: CpuTimes,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Final transfers per second.
    pub committed_per_s: f64,
    /// Accepted transfers per second in the first second, while the pool fills.
    pub accepted_per_s: f64,
    /// Transfers that became final in the measured time.
    pub committed: u64,
    /// The cores meanwhile.
    pub cpu: CpuUse,
    /// How often an offer was put off for want of room.
    pub put_off: u64,
    /// How many were refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Outcome {
    /// µs of CPU per final transfer besides its signature, nodes and sender together.
    pub fn rest_us(&self, b_sig: &Rate) -> f64 {
        self.us(self.cpu.own_s + self.cpu.node_s) - b_sig.cpu_us
    }

    /// Seconds of CPU spread over the transfers, in µs.
    pub fn us(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.committed as f64
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            accepted: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            refused: Mutex::default(),
            over: AtomicBool::new(false),
            opening: Mutex::default(),
            marks: Mutex::default(),
        }
    }
}

impl Gauge {
    /// Whether the run has ended: the time is up, or a lane has nothing more to send.
    pub fn is_over(&self, plan: &Plan) -> bool {
        self.over.load(Relaxed) || self.begin.elapsed() >= plan.total()
    }

    /// So many transfers became final with one more block.
    pub fn block(&self, transfers: u64, nodes: &[u32]) -> Result<()> {
        let committed = self.committed.fetch_add(transfers, Relaxed) + transfers;
        let mark = Mark { committed, accepted: self.accepted.load(Relaxed), cpu: CpuTimes::now(nodes)? };
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        Ok(())
    }

    fn waiting(&self) -> u64 {
        self.accepted.load(Relaxed).saturating_sub(self.committed.load(Relaxed))
    }

    fn took(&self, count: u64) {
        let accepted = self.accepted.fetch_add(count, Relaxed) + count;
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let last = opening.map_or(Duration::ZERO, |(at, _)| at - self.begin);
        if last < OPENING {
            *opening = Some((Instant::now(), accepted));
        }
    }

    fn note(&self, verdicts: Vec<Verdict>) -> Vec<bool> {
        self.took(verdicts.iter().filter(|verdict| **verdict == Verdict::Taken).count() as u64);
        let mut again = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            again.push(verdict == Verdict::Later);
            match verdict {
                Verdict::Taken => {}
                Verdict::Later => {
                    self.put_off.fetch_add(1, Relaxed);
                }
                Verdict::Refused(reason) => {
                    *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
                }
            }
        }
        again
    }

    /// Reads the run off, from the first block after the warm-up to the last block.
    pub fn outcome(&self, plan: &Plan) -> Result<Outcome> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let first = marks.iter().find(|mark| mark.cpu.at - self.begin >= plan.warm_up);
        let (first, last) = first.zip(marks.last()).ok_or("no block became final after the warm-up")?;
        let seconds = (last.cpu.at - first.cpu.at).as_secs_f64();
        let committed = last.committed - first.committed;
        if committed == 0 || seconds < plan.measured.as_secs_f64() / 3.0 {
            let (done, accepted) = (last.committed, last.accepted);
            let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(
                format!("too short to count: {seconds:.1} s, {accepted} taken, {done} final, {refused:?}").into()
            );
        }
        let opening = *self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let (opened, taken) = opening.ok_or("nothing was taken")?;
        Ok(Outcome {
            committed_per_s: committed as f64 / seconds,
            accepted_per_s: taken as f64 / (opened - self.begin).as_secs_f64(),
            committed,
            cpu: last.cpu.since(&first.cpu),
            put_off: self.put_off.load(Relaxed),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }
}

/// Deals transactions to lanes by sender, in order.
pub fn deal(signed: &[Vec<u8>], senders: usize, lanes: usize) -> Vec<Vec<&[u8]>> {
    let mut dealt = vec![Vec::with_capacity(signed.len() / lanes + 1); lanes];
    for (place, bytes) in signed.iter().enumerate() {
        dealt[place % senders % lanes].push(bytes.as_slice());
    }
    dealt
}

/// Offers a lane's transactions until the run is over.
pub async fn offer(
    lane: &[&[u8]],
    gauge: &Gauge,
    plan: &Plan,
    mut send: impl AsyncFnMut(&[&[u8]]) -> Result<Vec<Verdict>>,
) -> Result<()> {
    let (mut next, mut batch) = (lane.iter().copied(), Vec::with_capacity(BATCH));
    while !gauge.is_over(plan) {
        if gauge.waiting() + (BATCH * plan.lanes) as u64 > MAX_WAITING {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        batch.extend(next.by_ref().take(BATCH - batch.len()));
        if batch.is_empty() {
            gauge.over.store(true, Relaxed);
            break;
        }
        let verdicts = send(&batch).await?;
        if verdicts.len() != batch.len() {
            return Err(format!("{} verdicts for {} transactions", verdicts.len(), batch.len()).into());
        }
        let mut again = gauge.note(verdicts).into_iter();
        batch.retain(|_| again.next().unwrap_or(false));
        if !batch.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const PLAN: Plan = Plan { warm_up: Duration::ZERO, measured: Duration::from_secs(60), lanes: 1 };

    #[test]
    fn a_sender_stays_in_one_lane_and_in_order() {
        let signed: Vec<Vec<u8>> = (0..20u8).map(|place| vec![place % 5, place / 5]).collect();
        let lanes = deal(&signed, 5, 2);
        for (number, lane) in lanes.iter().enumerate() {
            assert!(lane.iter().all(|tx| usize::from(tx[0]) % 2 == number));
            for sender in 0..5 {
                let nonces: Vec<u8> = lane.iter().filter(|tx| tx[0] == sender).map(|tx| tx[1]).collect();
                assert!(nonces.is_empty() || nonces == [0, 1, 2, 3]);
            }
        }
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), 20);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_offered_again_and_refusals_are_named() {
        let signed: Vec<Vec<u8>> = (0..4u8).map(|place| vec![place]).collect();
        let lane: Vec<&[u8]> = signed.iter().map(Vec::as_slice).collect();
        let (gauge, seen) = (Gauge::default(), RefCell::new(Vec::new()));
        let send = async |batch: &[&[u8]]| {
            seen.borrow_mut().push(batch.concat());
            let busy = seen.borrow().len() == 1;
            Ok(batch
                .iter()
                .map(|tx| match tx[0] {
                    1 => Verdict::of_reason("bad_signature"),
                    2 | 3 if busy => Verdict::of_reason("pool_full"),
                    _ => Verdict::Taken,
                })
                .collect())
        };
        offer(&lane, &gauge, &PLAN, send).await.unwrap();
        assert_eq!(*seen.borrow(), [vec![0, 1, 2, 3], vec![2, 3]]);
        assert_eq!((gauge.accepted.load(Relaxed), gauge.put_off.load(Relaxed)), (3, 2));
        assert_eq!(gauge.refused.lock().unwrap().get("bad_signature"), Some(&1));
        assert!(gauge.is_over(&PLAN), "a lane that ran dry ends the run");
    }

    #[test]
    fn a_run_without_blocks_is_no_figure() {
        let gauge = Gauge::default();
        assert!(gauge.outcome(&PLAN).is_err());
        gauge.block(10, &[]).unwrap();
        assert!(gauge.outcome(&PLAN).is_err(), "one block has no duration");
    }
}
