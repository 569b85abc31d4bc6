//! What our pool accepts, sent on to a site.
//!
//! 1. A transaction goes there once it is executable here, in batches.
//! 2. After a failure, a start, or announcements missed, everything that is pending here goes: what
//!    became final meanwhile is not sent any more, and the same bytes twice do no harm.
//! 3. So it does from time to time, for the site may have dropped what it took.
//! 4. Nothing goes to a site before it has said that it is on our chain.
//! 5. A verdict of the site on a transaction is final for us; only when it is busy it is asked again.
//!
//! Not here: when the site is covered by the network (`follow`).

use super::{Backoff, Site};
use chain_core::engine::Announcement;
use chain_core::tx::Checked;
use chain_rpc::client::{Client, ClientError};
use chain_rpc::errors::BUSY;
use chain_rpc::view::SendVerdict;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

/// Transactions waiting for a site; at most 60 KiB each, shared with the pool.
const MAX_WAITING: usize = 8_192;
/// Transactions in a request; a node takes 1000.
const BATCH_TXS: usize = 500;
/// Bytes of a request's transactions; as hex in JSON they must stay below 1 MiB.
const BATCH_BYTES: usize = 400 * 1024;
/// How long a first transaction waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// Longest answer to a batch: a refusal per transaction.
const MAX_ANSWER: u32 = 2 * 1024 * 1024;
/// Rule 3, in polls.
const AGAIN_POLLS: u32 = 6;
/// How often to look whether the site has said which chain it is on.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(100);
/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after failures, in polls.
const MAX_PAUSE_POLLS: u32 = 6;

/// Pushes until the node ends.
pub(super) async fn run(site: Arc<Site>) {
    let poll = site.pace.poll;
    let client = match Client::connect_bounded(&site.url, site.pace.patience, MAX_ANSWER).await {
        Ok(client) => client,
        Err(error) => {
            let error = site.words(&error);
            return tracing::error!(site = site.name, error, "transactions can't be sent to a remote site");
        }
    };
    let mut push = Push {
        site: &site,
        client,
        announced: site.local.announcements(),
        waiting: VecDeque::new(),
        refill: true,
        refill_at: Instant::now(),
    };
    let mut failures = Backoff::new(FIRST_PAUSE, poll * MAX_PAUSE_POLLS);
    loop {
        // Before the first answer nobody knows whose site it is. And while the network carries transactions
        // they need no other way; once it does not, what is still pending goes.
        let (is_ours, covered) = (site.is_ours.load(Ordering::Relaxed), site.covered.load(Ordering::Relaxed));
        if !is_ours || covered {
            (push.refill, push.waiting) = (true, VecDeque::new());
            tokio::time::sleep(if covered { poll } else { poll.min(UNKNOWN_PAUSE) }).await;
            continue;
        }
        if !push.gather().await {
            return;
        }
        match push.send().await {
            Ok(()) => failures.reset(),
            Err(error) => {
                push.refill = true;
                let pause = failures.next();
                let error = site.words(&error);
                tracing::warn!(
                    site = site.name,
                    error,
                    pause_s = pause.as_secs_f32(),
                    "transactions wait for a remote site"
                );
                tokio::time::sleep(pause).await;
            }
        }
    }
}

struct Push<'s> {
    site: &'s Site,
    client: Client,
    announced: Receiver<Announcement>,
    waiting: VecDeque<Checked>,
    /// Whether to begin again with what is pending.
    refill: bool,
    /// When to begin again in any case.
    refill_at: Instant,
}

impl Push<'_> {
    /// Waits until there may be something to send; `false` when the node ends.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() && !self.refill {
            match tokio::time::timeout_at(self.refill_at, self.announced.recv()).await {
                Ok(Ok(announcement)) => self.take(announcement),
                Ok(Err(RecvError::Closed)) => return false,
                Ok(Err(RecvError::Lagged(_))) | Err(_) => self.refill = true,
            }
            if !self.waiting.is_empty() {
                tokio::time::sleep(GATHER).await;
            }
        }
        loop {
            match self.announced.try_recv() {
                Ok(announcement) => self.take(announcement),
                Err(TryRecvError::Lagged(_)) => self.refill = true,
                // A closed channel is met when there is nothing left to send.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if std::mem::take(&mut self.refill) {
            self.waiting = self.site.local.pending(MAX_WAITING).into();
            self.refill_at = Instant::now() + self.site.pace.poll * AGAIN_POLLS;
        }
        true
    }

    fn take(&mut self, announcement: Announcement) {
        match announcement {
            Announcement::Transaction(transaction) if self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back(transaction);
            }
            Announcement::Transaction(_) => self.refill = true,
            _ => {}
        }
    }

    /// Sends one batch, if there is one.
    async fn send(&mut self) -> Result<(), ClientError> {
        let batch = self.batch();
        if batch.is_empty() {
            return Ok(());
        }
        let verdicts = self.client.send_many(&batch).await?.results;
        let busy = |verdict: &SendVerdict| matches!(verdict, SendVerdict::Refused { error } if error.code == BUSY.code);
        if verdicts.iter().any(busy) || verdicts.len() != batch.len() {
            return Err(ClientError::Transport("the site did not judge every transaction".into()));
        }
        let refused = verdicts.iter().filter(|verdict| matches!(verdict, SendVerdict::Refused { .. })).count();
        tracing::debug!(site = self.site.name, sent = batch.len(), refused, "transactions went to a remote site");
        self.waiting.drain(..batch.len().min(self.waiting.len()));
        Ok(())
    }

    /// The first transactions that fit into a request.
    fn batch(&self) -> Vec<Vec<u8>> {
        let mut bytes = 0;
        let fits = |transaction: &&Checked| {
            bytes += transaction.bytes().len();
            bytes <= BATCH_BYTES
        };
        self.waiting.iter().take(BATCH_TXS).take_while(fits).map(|transaction| transaction.bytes().to_vec()).collect()
    }
}
