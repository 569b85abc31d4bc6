//! What a final block changes in the pool.

use super::admit::check_block_bounds;
use super::order::Key;
use super::pool::{ChainView, Effects, Pool};
use super::status::DropReason;
use crate::execute::{check_policies, check_terms};
use crate::fault::{Failure, Fault};
use crate::state::{ACCOUNTS, Account, Delta, Rows, money};
use crate::tx::Checked;
use crate::types::{Address, Amount, Height, TxId};
use std::collections::BTreeSet;

/// The accounts a block changed: what `Pool::on_block` needs besides its transactions. To be read
/// before the tree takes the delta.
pub fn changed_accounts(delta: &Delta) -> impl Iterator<Item = Address> {
    delta.rows().iter().filter_map(|change| {
        let (table, key) = change.key().as_bytes().split_first()?;
        let address = (*table == ACCOUNTS.number()).then(|| key.try_into().ok())?;
        address.map(Address::from_bytes)
    })
}

impl Pool {
    /// Follows the head: `view` is the state after the block, `committed` its transactions,
    /// `changed` every account whose row it changed. Transactions of the block leave without a word
    /// in `changes`: they are final.
    pub fn on_block(
        &mut self,
        view: &ChainView<'_, impl Rows>,
        committed: &[TxId],
        changed: impl IntoIterator<Item = Address>,
        now_ms: u64,
    ) -> Result<Effects, Fault> {
        self.dropped.forget_old(now_ms);
        let mut effects = Effects::default();
        committed.iter().for_each(|id| self.leave_for_block(id));
        let mut touched: BTreeSet<Address> = changed.into_iter().filter(|address| self.knows(address)).collect();
        let terms_changed = self.params.as_ref() != Some(view.params);
        if terms_changed {
            self.params = Some(view.params.clone());
            touched.extend(self.lanes.keys().chain(self.index.payers.keys()));
        }
        // What may have a gap now, or a hole where the rank was decided.
        let mut dirty = touched.clone();
        let expired = self.expired(view.head);
        self.drop_all(&expired, DropReason::Expired, now_ms, &mut dirty, &mut effects);
        for address in &touched {
            let account = money::account(view.rows, address)?;
            let invalid = self.invalid_in_lane(view, address, &account, terms_changed)?;
            self.drop_all(&invalid, DropReason::Invalidated, now_ms, &mut dirty, &mut effects);
            let invalid = self.invalid_sponsored(view, address, &account)?;
            self.drop_all(&invalid, DropReason::Invalidated, now_ms, &mut dirty, &mut effects);
        }
        // Keys are as before the block until `settle`; for the choice of who goes that is enough.
        for address in &touched {
            let balance = money::account(view.rows, address)?.balance;
            while let Some(tx) = self.worst_unpayable(address, balance) {
                self.drop_all(&[tx], DropReason::Invalidated, now_ms, &mut dirty, &mut effects);
            }
        }
        for sender in &dirty {
            self.settle(sender, 0, &mut effects);
        }
        self.trim_queue(now_ms, &mut effects);
        Ok(effects)
    }

    fn knows(&self, address: &Address) -> bool {
        self.lanes.contains_key(address) || self.index.payers.contains_key(address)
    }

    fn leave_for_block(&mut self, id: &TxId) {
        self.dropped.take_back(id);
        if let Some(tx) = self.by_id.get(id).cloned() {
            self.remove(&tx);
        }
    }

    fn drop_all(
        &mut self,
        txs: &[Checked],
        reason: DropReason,
        now_ms: u64,
        dirty: &mut BTreeSet<Address>,
        effects: &mut Effects,
    ) {
        for tx in txs {
            dirty.insert(tx.transaction().sender);
            self.drop_tx(tx, reason, now_ms, effects);
        }
    }

    /// What no block above this height may hold.
    fn expired(&self, head: Height) -> Vec<Checked> {
        let past = self.expiry.iter().take_while(|(until, _)| *until <= head);
        past.filter_map(|(_, id)| self.by_id.get(id)).cloned().collect()
    }

    /// Brings a lane's facts up to date; answers with what has a used nonce, or a wrong policy or
    /// wrong terms now.
    fn invalid_in_lane(
        &mut self,
        view: &ChainView<'_, impl Rows>,
        sender: &Address,
        account: &Account,
        terms_changed: bool,
    ) -> Result<Vec<Checked>, Fault> {
        let Some(lane) = self.lanes.get_mut(sender) else { return Ok(Vec::new()) };
        let all_again = terms_changed || lane.authority != account.authority;
        (lane.next, lane.authority) = (account.nonce, account.authority);
        let mut invalid = Vec::new();
        for (nonce, entry) in &lane.entries {
            if *nonce < account.nonce || (all_again && !still_right(view, &entry.tx)?) {
                invalid.push(entry.tx.clone());
            }
        }
        Ok(invalid)
    }

    /// Those the account pays for whose authorisation by it is no longer right.
    fn invalid_sponsored(
        &mut self,
        view: &ChainView<'_, impl Rows>,
        payer: &Address,
        account: &Account,
    ) -> Result<Vec<Checked>, Fault> {
        let Some(known) = self.index.payers.get_mut(payer) else { return Ok(Vec::new()) };
        let mut invalid = Vec::new();
        if known.authority != account.authority {
            known.authority = account.authority;
            for tx in known.sponsored.values() {
                if !still_right(view, tx)? {
                    invalid.push(tx.clone());
                }
            }
        }
        Ok(invalid)
    }

    /// The last in the pool's order of those an account pays for, if it can't pay for them all.
    fn worst_unpayable(&self, address: &Address, balance: Amount) -> Option<Checked> {
        let payer = self.index.payers.get(address).filter(|payer| payer.fees > balance)?;
        let lane = self.lanes.get(address).into_iter().flat_map(|lane| lane.entries.values().rev());
        let own = lane.filter(|entry| entry.tx.transaction().fee_payer.is_none()).map(|entry| (&entry.key, &entry.tx));
        let candidates = own.take(1).chain(payer.sponsored.first_key_value());
        candidates.min_by_key(|(key, _): &(&Key, &Checked)| **key).map(|(_, tx)| tx.clone())
    }

    /// Gaps may have opened behind more transactions than the queue holds.
    fn trim_queue(&mut self, now_ms: u64, effects: &mut Effects) {
        while !self.index.queued.fits(self.limits.max_queued_txs, self.limits.max_queued_bytes) {
            let Some((_, tx)) = self.index.order.first_key_value() else { return };
            let tx = tx.clone();
            self.drop_tx(&tx, DropReason::Evicted, now_ms, effects);
            self.settle(&tx.transaction().sender, tx.transaction().nonce, effects);
        }
    }
}

/// Whether policies and terms of a pooled transaction are right on the new head.
fn still_right(view: &ChainView<'_, impl Rows>, tx: &Checked) -> Result<bool, Fault> {
    let terms = check_block_bounds(view.params, tx).and_then(|()| check_terms(view.params, view.next_height(), tx));
    match terms.map_err(Failure::from).and_then(|()| check_policies(view.rows, tx)) {
        Ok(_) => Ok(true),
        Err(Failure::Rejected(_)) => Ok(false),
        Err(Failure::Fault(fault)) => Err(fault),
    }
}
