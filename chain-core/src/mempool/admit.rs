//! Who gets into the pool: first every judgement, on the pool as it is, then the change, which
//! can't fail. A refused transaction has changed nothing.
//!
//! Not here: form and signatures (`tx::stage`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use super::index::Load;
use super::order::{Key, Priority};
use super::pool::{ChainView, Effects, Entry, Inserted, Lane, Pool, PoolLimits};
use super::status::{DropReason, Status};
use crate::execute::{check_policies, check_terms};
use crate::fault::{Failure, Fault};
use crate::limits::{MAX_LANE_TXS, MAX_NONCE_AHEAD, MAX_REPLACEMENTS, MIN_VALID_BLOCKS, REPLACEMENT_FEE_PERCENT};
use crate::state::{Account, Params, Rows, money};
use crate::tx::{
    Checked, EXPIRED, EXPIRES_TOO_SOON, FEE_UNPAYABLE, LANE_FULL, NONCE_TOO_HIGH, NONCE_TOO_LOW, POOL_FULL,
    REPLACED_TOO_OFTEN, REPLACEMENT_UNDERPRICED, TOO_HEAVY, TOO_LONG,
};
use crate::types::{Address, Height, Rejected};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Bytes of a body besides those of its only transaction: two u32 lengths.
const BODY_OVERHEAD_BYTES: u64 = 8;

/// Everything that was found out about a transaction that may enter.
struct Admission {
    sender: Account,
    payer: Account,
    pending: bool,
    rank: Priority,
    replaces: Option<Replaced>,
    /// What leaves to make room.
    victims: Vec<Checked>,
}

/// The transaction whose place a newcomer takes.
struct Replaced {
    tx: Checked,
    age: Reverse<u64>,
    replacements: u8,
}

/// What the pool would hold.
struct Room {
    total: Load,
    queued: Load,
}

impl Room {
    fn add(&mut self, tx: &Checked, pending: bool) {
        self.total.add(tx);
        if !pending {
            self.queued.add(tx);
        }
    }

    fn sub(&mut self, tx: &Checked, pending: bool) {
        self.total.sub(tx);
        if !pending {
            self.queued.sub(tx);
        }
    }

    /// Whether there is room. The bound of the queue doesn't concern a pending newcomer.
    fn fits(&self, limits: &PoolLimits, pending: bool) -> bool {
        let queue = pending || self.queued.fits(limits.max_queued_txs, limits.max_queued_bytes);
        queue && self.total.fits(limits.max_txs, limits.max_bytes)
    }
}

impl Pool {
    /// Takes a transaction in. Exactly the bytes that are pooled already are no error and change
    /// nothing.
    ///
    /// Judged in this order: block bounds and terms, lifetime, nonce, policy, the payer's balance
    /// against all its pooled fees, replacement, the sender's share, the pool's room.
    pub fn insert(&mut self, view: &ChainView<'_, impl Rows>, tx: Checked, now_ms: u64) -> Result<Inserted, Failure> {
        self.dropped.forget_old(now_ms);
        if self.get_by_wire(&tx.wire_id()).is_some() {
            return Ok(Inserted { status: self.status(&tx.id()), effects: Effects::default() });
        }
        self.params.get_or_insert_with(|| view.params.clone());
        check_lifetime(view.head, &tx)?;
        let admission = self.judge(view, &tx)?;
        Ok(self.take_in(tx, admission, false, now_ms))
    }

    /// Fills an empty pool from the log's records, in the order they were written, after a restart.
    ///
    /// They were acknowledged before, so nothing is to be logged, a short remaining lifetime is no
    /// obstacle, and what can't come back is remembered as dropped with its reason. Where several
    /// records have one sender and nonce, the last one counts. A nonce below the account's is not
    /// reported in `changes`: most likely that transaction is final, as the ledger knows.
    pub fn restore(
        &mut self,
        view: &ChainView<'_, impl Rows>,
        records: impl IntoIterator<Item = Checked>,
        now_ms: u64,
    ) -> Result<Effects, Fault> {
        self.params.get_or_insert_with(|| view.params.clone());
        let mut effects = Effects::default();
        let mut last: BTreeMap<(Address, u64), Checked> = BTreeMap::new();
        for tx in records {
            let (id, place) = (tx.id(), (tx.transaction().sender, tx.transaction().nonce));
            if let Some(replaced) = last.insert(place, tx).filter(|replaced| replaced.id() != id) {
                self.dropped.remember(replaced.id(), DropReason::Replaced, now_ms);
            }
        }
        // By sender and nonce: no gap opens that the records themselves would close.
        for tx in last.into_values() {
            let id = tx.id();
            match self.judge(view, &tx) {
                Ok(admission) => {
                    let inserted = self.take_in(tx, admission, true, now_ms);
                    effects.changes.extend(inserted.effects.changes);
                }
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(Failure::Rejected(rejected)) => {
                    let reason = reason_of(&rejected);
                    self.dropped.remember(id, reason, now_ms);
                    if *rejected.rejection != NONCE_TOO_LOW {
                        effects.changes.push((id, Status::Dropped { reason }));
                    }
                }
            }
        }
        Ok(effects)
    }

    fn judge(&self, view: &ChainView<'_, impl Rows>, tx: &Checked) -> Result<Admission, Failure> {
        let transaction = tx.transaction();
        check_block_bounds(view.params, tx)?;
        check_terms(view.params, view.next_height(), tx)?;
        let sender = money::account(view.rows, &transaction.sender)?;
        check_nonce(sender.nonce, transaction.nonce)?;
        check_policies(view.rows, tx)?;
        let payer = match transaction.fee_payer {
            Some(payer) => money::account(view.rows, &payer)?,
            None => sender.clone(),
        };
        let lane = self.lanes.get(&transaction.sender);
        let replaced = lane.and_then(|lane| lane.entries.get(&transaction.nonce));
        self.check_payable(&payer, tx, replaced)?;
        let replaces = replaced.map(|entry| check_replacement(entry, tx)).transpose()?;
        let (floor, executable) = lane.map_or((None, Some(sender.nonce)), |lane| lane.before(transaction.nonce));
        let pending = executable == Some(transaction.nonce);
        let priority = Priority::new(transaction.fee, tx.weight());
        let rank = floor.map_or(priority, |floor| floor.min(priority));
        let leaving = match lane {
            Some(lane) => self.room_in_lane(lane, tx, replaced)?,
            None => self.check_lane_bytes(tx.bytes().len() as u64).map(|()| Vec::new())?,
        };
        let victims = self.room_in_pool(Key { pending, rank, age: Reverse(u64::MAX) }, tx, replaced, leaving)?;
        Ok(Admission { sender, payer, pending, rank, replaces, victims })
    }

    fn check_payable(&self, payer: &Account, tx: &Checked, replaced: Option<&Entry>) -> Result<(), Rejected> {
        let transaction = tx.transaction();
        let pooled = self.index.fees(&transaction.payer());
        let same_payer = replaced.map(|entry| entry.tx.transaction()).filter(|old| old.payer() == transaction.payer());
        let others = same_payer.map_or(pooled, |old| pooled.checked_sub(old.fee).unwrap_or_default());
        let due = others.saturating_add(transaction.fee);
        if due > payer.balance {
            return Err(FEE_UNPAYABLE.because(format_args!("at least {due}"), payer.balance));
        }
        Ok(())
    }

    fn check_lane_bytes(&self, bytes: u64) -> Result<(), Rejected> {
        let most = self.limits.max_lane_bytes;
        if bytes > most {
            return Err(LANE_FULL.because(format_args!("at most {most} bytes"), bytes));
        }
        Ok(())
    }

    /// What of the sender's own must leave: its last queued transactions, which can't be executed
    /// before this one anyway. Without that a full lane could never close its gap.
    fn room_in_lane(&self, lane: &Lane, tx: &Checked, replaced: Option<&Entry>) -> Result<Vec<Checked>, Rejected> {
        let mut load = Load { txs: lane.entries.len() as u64, bytes: lane.bytes };
        load.add(tx);
        if let Some(replaced) = replaced {
            load.sub(&replaced.tx);
        }
        let mut leaving = Vec::new();
        for (nonce, entry) in lane.entries.iter().rev() {
            let fits = load.fits(MAX_LANE_TXS as u64, self.limits.max_lane_bytes);
            if fits || entry.key.pending || *nonce <= tx.transaction().nonce {
                break;
            }
            load.sub(&entry.tx);
            leaving.push(entry.tx.clone());
        }
        if load.txs > MAX_LANE_TXS as u64 {
            return Err(LANE_FULL.because(format_args!("at most {MAX_LANE_TXS} transactions"), load.txs));
        }
        self.check_lane_bytes(load.bytes).map(|()| leaving)
    }

    /// What else must leave: from the bottom of the order, only what ranks below the newcomer, and
    /// nothing of the newcomer's own lane: it may be about to become pending.
    fn room_in_pool(
        &self,
        key: Key,
        tx: &Checked,
        replaced: Option<&Entry>,
        leaving: Vec<Checked>,
    ) -> Result<Vec<Checked>, Rejected> {
        let mut room = Room { total: self.index.total, queued: self.index.queued };
        leaving.iter().for_each(|leaver| room.sub(leaver, false));
        replaced.iter().for_each(|entry| room.sub(&entry.tx, entry.key.pending));
        room.add(tx, key.pending);
        let mut victims = leaving;
        for (bottom, victim) in &self.index.order {
            if room.fits(&self.limits, key.pending) || !key.displaces(bottom) {
                break;
            }
            if victim.transaction().sender != tx.transaction().sender {
                room.sub(victim, bottom.pending);
                victims.push(victim.clone());
            }
        }
        if room.fits(&self.limits, key.pending) { Ok(victims) } else { Err(POOL_FULL.plain()) }
    }

    fn take_in(&mut self, tx: Checked, admission: Admission, acknowledged: bool, now_ms: u64) -> Inserted {
        let Admission { sender, payer, pending, rank, replaces, victims } = admission;
        let mut effects = Effects::default();
        let (address, nonce) = (tx.transaction().sender, tx.transaction().nonce);
        for victim in victims {
            self.drop_tx(&victim, DropReason::Evicted, now_ms, &mut effects);
            let gone = victim.transaction();
            self.settle(&gone.sender, gone.nonce, &mut effects);
        }
        if let Some(replaced) = &replaces {
            self.drop_tx(&replaced.tx, DropReason::Replaced, now_ms, &mut effects);
        }
        let (age, replacements) = match replaces {
            Some(replaced) => (replaced.age, replaced.replacements.saturating_add(1)),
            None => (self.next_age(), 0),
        };
        let priority = Priority::new(tx.transaction().fee, tx.weight());
        let key = Key { pending, rank, age };
        if pending && !acknowledged {
            effects.to_log.push(tx.clone());
        }
        self.lanes.entry(address).or_insert_with(|| Lane::new(sender.nonce, sender.authority));
        let payer_address = tx.transaction().payer();
        self.put(Entry { tx, priority, key, acknowledged: acknowledged || pending, replacements }, &mut effects);
        if let Some(known) = self.index.payers.get_mut(&payer_address) {
            known.authority = payer.authority;
        }
        self.settle(&address, nonce.saturating_add(1), &mut effects);
        Inserted { status: if pending { Status::Pending } else { Status::Queued }, effects }
    }
}

/// Whether any block could hold it. Terms, as `check_terms` has them, are not enough for that.
pub(super) fn check_block_bounds(params: &Params, tx: &Checked) -> Result<(), Rejected> {
    if tx.weight() > params.max_block_weight {
        return Err(TOO_HEAVY.because(format_args!("at most {}", params.max_block_weight), tx.weight()));
    }
    let most = u64::from(params.max_block_bytes).saturating_sub(BODY_OVERHEAD_BYTES);
    if tx.bytes().len() as u64 > most {
        return Err(TOO_LONG.because(format_args!("at most {most} bytes"), tx.bytes().len()));
    }
    Ok(())
}

fn check_lifetime(head: Height, tx: &Checked) -> Result<(), Rejected> {
    let (until, least) = (tx.transaction().valid_until, head.saturating_add(MIN_VALID_BLOCKS));
    // What has expired already is told so by its terms.
    if until > head && until < least {
        return Err(EXPIRES_TOO_SOON.because(format_args!("0 or at least {least}"), until));
    }
    Ok(())
}

fn check_nonce(account: u64, nonce: u64) -> Result<(), Rejected> {
    if nonce < account {
        return Err(NONCE_TOO_LOW.because(format_args!("at least {account}"), nonce));
    }
    let highest = account.saturating_add(MAX_NONCE_AHEAD);
    if nonce > highest {
        return Err(NONCE_TOO_HIGH.because(format_args!("at most {highest}"), nonce));
    }
    Ok(())
}

fn check_replacement(old: &Entry, tx: &Checked) -> Result<Replaced, Rejected> {
    if old.replacements >= MAX_REPLACEMENTS {
        return Err(REPLACED_TOO_OFTEN.plain());
    }
    // A pooled fee is at most a balance, far below 128 bits.
    let paid = old.tx.transaction().fee.get();
    let least = paid.saturating_mul(REPLACEMENT_FEE_PERCENT).div_ceil(100).max(paid.saturating_add(1));
    let fee = tx.transaction().fee;
    if fee.get() < least {
        return Err(REPLACEMENT_UNDERPRICED.because(format_args!("at least {least}"), fee));
    }
    Ok(Replaced { tx: old.tx.clone(), age: old.key.age, replacements: old.replacements })
}

/// Why an acknowledged transaction that can't come back is gone.
fn reason_of(rejected: &Rejected) -> DropReason {
    match rejected.rejection {
        r if *r == EXPIRED => DropReason::Expired,
        r if *r == POOL_FULL || *r == LANE_FULL => DropReason::Evicted,
        _ => DropReason::Invalidated,
    }
}
