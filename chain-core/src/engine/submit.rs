//! Taking transactions in: into the pool, onto the log, and only then the answer.

use super::{Announcement, Clock, Engine, Output, start};
use crate::fault::{Failure, Fault};
use crate::ledger::Chain;
use crate::mempool::{ChainView, Effects, Inserted, Pool, Status};
use crate::state::{Tree, money, params};
use crate::tx::Checked;
use crate::types::{Rejected, TxId, WireId};

/// The log is written anew when it is this much longer than twice what it must hold.
const LOG_SLACK_BYTES: u64 = 16 * 1024 * 1024;

/// Whom to answer.
pub type Ticket = u64;

/// A transaction with whom to answer.
#[derive(Debug)]
pub struct Submission {
    /// Whom to answer.
    pub ticket: Ticket,
    /// The transaction.
    pub transaction: Checked,
}

/// A transaction that was taken, or had been before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Names the intent.
    pub tx_id: TxId,
    /// Names the bytes.
    pub wire_id: WireId,
    /// What became of it.
    pub status: Status,
    /// Whether these bytes came into the pool just now.
    pub new: bool,
}

impl Engine {
    pub(super) fn submit(
        &mut self,
        clock: Clock<'_>,
        submissions: Vec<Submission>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let now_ms = clock().mono_ms;
        let mut replies = Vec::with_capacity(submissions.len());
        let mut effects = Effects::default();
        {
            let head = self.chain.head();
            let params = params(&head.tree)?;
            let mut pool = self.pool.write();
            for Submission { ticket, transaction } in submissions {
                let view = ChainView { rows: &head.tree, params: &params, head: head.block.header.height };
                let (reply, more) = insert(&mut pool, &view, transaction, now_ms)?;
                replies.push((ticket, reply));
                effects.to_log.extend(more.to_log);
                effects.changes.extend(more.changes);
            }
        }
        self.log_and_announce(effects, outputs)?;
        for (ticket, reply) in replies {
            let reply = match reply {
                Reply::Done(result) => result,
                Reply::AskLedger(transaction, rejected) => final_already(&self.chain, &transaction)?.ok_or(rejected),
            };
            outputs.push(Output::Reply(ticket, reply));
        }
        Ok(())
    }

    /// Makes acknowledgements durable, then tells of every change.
    pub(super) fn log_and_announce(&mut self, effects: Effects, outputs: &mut Vec<Output>) -> Result<(), Fault> {
        // Drops first: what replaces a transaction is logged after it is gone.
        for (id, status) in &effects.changes {
            if matches!(status, Status::Dropped { .. }) {
                self.pool_log.append(&start::gone_bytes(id))?;
            }
        }
        for transaction in &effects.to_log {
            self.pool_log.append(&start::pooled_bytes(transaction))?;
        }
        self.compact_pool_log()?;
        self.pool_log.sync()?;
        let accepted = effects.to_log.into_iter().map(Announcement::Transaction);
        let changes = effects.changes.into_iter().map(|(id, status)| Announcement::Status(id, status));
        outputs.extend(accepted.chain(changes).map(Output::Announce));
        Ok(())
    }

    fn compact_pool_log(&mut self) -> Result<(), Fault> {
        let pool = self.pool.read();
        let bound = pool.durable_bytes().saturating_mul(2).saturating_add(LOG_SLACK_BYTES);
        if self.pool_log.size_bytes() <= bound {
            return Ok(());
        }
        let records: Vec<Vec<u8>> = pool.durable().map(start::pooled_bytes).collect();
        drop(pool);
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        Ok(self.pool_log.switch(&records)?)
    }
}

enum Reply {
    Done(Result<Submitted, Rejected>),
    /// Refused for an old nonce: perhaps because exactly this transaction is final.
    AskLedger(Box<Checked>, Rejected),
}

fn insert(
    pool: &mut Pool,
    view: &ChainView<'_, Tree>,
    transaction: Checked,
    now_ms: u64,
) -> Result<(Reply, Effects), Fault> {
    let (tx_id, wire_id) = (transaction.id(), transaction.wire_id());
    let again = transaction.clone();
    match pool.insert(view, transaction, now_ms) {
        Ok(Inserted { status, effects }) => {
            // What was pooled before changes nothing.
            let new = !effects.changes.is_empty();
            Ok((Reply::Done(Ok(Submitted { tx_id, wire_id, status, new })), effects))
        }
        Err(Failure::Fault(fault)) => Err(fault),
        // Whatever it was refused for: with a nonce that is used it may be the one that used it.
        Err(Failure::Rejected(rejected)) if is_used(view, &again)? => {
            Ok((Reply::AskLedger(Box::new(again), rejected), Effects::default()))
        }
        Err(Failure::Rejected(rejected)) => Ok((Reply::Done(Err(rejected)), Effects::default())),
    }
}

fn is_used(view: &ChainView<'_, Tree>, transaction: &Checked) -> Result<bool, Fault> {
    let tx = transaction.transaction();
    Ok(tx.nonce < money::account(view.rows, &tx.sender)?.nonce)
}

/// `send_tx` is idempotent: an intent that is final already is answered as such.
fn final_already(chain: &Chain, transaction: &Checked) -> Result<Option<Submitted>, Fault> {
    let place = chain.place(&transaction.id())?;
    Ok(place.map(|(height, index)| Submitted {
        tx_id: transaction.id(),
        wire_id: transaction.wire_id(),
        status: Status::Final { height, index },
        new: false,
    }))
}
