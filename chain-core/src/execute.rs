//! Executing a block: start of block → transactions in order → end of block, on an overlay, into
//! `Executed`. The same code builds a block (skipping what does not fit) and judges one.
//!
//! For each transaction: policy, nonce, expiry and fee are judged first — a block in which they
//! are wrong at their place is invalid. Then the whole fee moves and the nonce advances, which
//! stays even if the actions fail; then the actions run, all or none, in order.
//!
//! Not here: signatures and form (`tx::stage`), waiting (`mempool`), agreement (`consensus`).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use crate::block::{Header, Outcome, Results, Verdict, outcome_root, tx_root};
use crate::crypto::{Hash, Namespace, PublicKey, hash};
use crate::fault::{Failure, Fault};
use crate::state::protocol::{RULES_VERSION, check_version};
use crate::state::{Account, Authority, Delta, Overlay, Params, Rows, Tree, money, params, stakes, validators};
use crate::tx::{
    Authorisation, BlockEnd, Checked, Context, EXPIRED, Event, FEE_TOO_LOW, FEE_UNPAYABLE, Formed, NONCE_TOO_HIGH,
    NONCE_TOO_LOW, WRONG_POLICY, at_block_end,
};
use crate::types::{Address, Amount, AssetId, ChainId, Height, Rejected, TimestampMs, View, WireId};

/// The facts of a block that execution depends on.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext {
    /// The chain.
    pub chain: ChainId,
    /// The block's height.
    pub height: Height,
    /// The view it was built in, as its header says: the leaders of earlier views missed their turn.
    pub view: View,
    /// The block's time.
    pub timestamp: TimestampMs,
    /// Who receives the proposer's share of fees.
    pub proposer: PublicKey,
}

/// What a block does: everything its header commits to, and the change of the state.
#[derive(Debug)]
pub struct Executed {
    /// The state's change; commits on the state the block was executed on.
    pub delta: Delta,
    /// Outcomes and events.
    pub results: Results,
    /// Root of the wire ids.
    pub tx_root: Hash,
    /// Root of the outcomes.
    pub outcome_root: Hash,
    /// Hash of the set that signs the next height.
    pub next_validators_hash: Hash,
}

impl Executed {
    /// Root of the state after the block.
    pub fn state_root(&self) -> Hash {
        self.delta.root()
    }

    /// Whether a header commits to exactly this.
    pub fn agrees_with(&self, header: &Header) -> bool {
        header.tx_root == self.tx_root
            && header.outcome_root == self.outcome_root
            && header.state_root == self.state_root()
            && header.next_validators_hash == self.next_validators_hash
    }
}

/// A block under execution.
pub struct Execution<'t> {
    block: BlockContext,
    params: Params,
    overlay: Overlay<'t>,
    results: Results,
    wire_ids: Vec<WireId>,
    used: Used,
    fees: Amount,
}

/// What of a block's bounds is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes of the body.
    pub bytes: u64,
    /// Weight.
    pub weight: u64,
    /// Transactions.
    pub txs: u64,
}

/// Why a transaction can't stand at its place in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is wrong here: policy, nonce, expiry or fee.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The block has no room left for it.
    #[error("the block has no room left")]
    Full,
    /// Our own fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Failure> for Unfit {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejected) => Self::Rejected(rejected),
            Failure::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Executes a whole block; `Unfit` says at which place it is invalid.
pub fn execute_block(tree: &Tree, block: BlockContext, transactions: &[Checked]) -> Result<Executed, (usize, Unfit)> {
    execute_block_as(RULES_VERSION, tree, block, transactions)
}

/// As `execute_block`, as software that knows the rules up to version `known`.
pub fn execute_block_as(
    known: u32,
    tree: &Tree,
    block: BlockContext,
    transactions: &[Checked],
) -> Result<Executed, (usize, Unfit)> {
    let mut execution = Execution::start_as(tree, block, known).map_err(|fault| (0, fault.into()))?;
    for (place, transaction) in transactions.iter().enumerate() {
        execution.push(transaction).map_err(|unfit| (place, unfit))?;
    }
    execution.finish().map_err(|fault| (transactions.len(), fault.into()))
}

impl<'t> Execution<'t> {
    /// Starts a block on a state.
    ///
    /// # Errors
    /// An outdated fault if the block is under rules this software does not know.
    pub fn start(tree: &'t Tree, block: BlockContext) -> Result<Self, Fault> {
        Self::start_as(tree, block, RULES_VERSION)
    }

    /// As `start`, as software that knows the rules up to version `known`.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_as(tree: &'t Tree, block: BlockContext, known: u32) -> Result<Self, Fault> {
        check_version(tree, known)?;
        let (params, overlay) = (params(tree)?, Overlay::new(tree));
        // The list's own length prefix.
        let used = Used { bytes: 4, ..Used::default() };
        let (results, wire_ids) = (Results::default(), Vec::new());
        Ok(Self { block, params, overlay, results, wire_ids, used, fees: Amount::ZERO })
    }

    /// Executes the next transaction. An `Unfit` one has changed nothing and is not in the block.
    pub fn push(&mut self, transaction: &Checked) -> Result<(), Unfit> {
        let used = self.room_for(transaction)?;
        let sender = judge(&self.overlay, &self.params, self.block.height, transaction)?;
        self.charge(transaction, sender)?;
        let (verdict, events) = self.act(transaction)?;
        let outcome = Outcome {
            wire_id: transaction.wire_id(),
            verdict,
            fee: transaction.transaction().fee,
            events_hash: Outcome::events_hash(&events, &self.block.chain),
        };
        self.results.outcomes.push(outcome);
        self.results.events.push(events);
        self.wire_ids.push(transaction.wire_id());
        self.used = used;
        Ok(())
    }

    /// What of the block's bounds is used so far.
    pub fn used(&self) -> Used {
        self.used
    }

    /// Ends the block: distributes fees, does what is due and computes the roots.
    pub fn finish(mut self) -> Result<Executed, Fault> {
        self.share_fees()?;
        self.do_what_is_due()?;
        let chain = self.block.chain;
        let next_validators_hash = validators::next_set(&self.overlay)?.hash(&chain);
        let tree = self.overlay.base();
        let delta = tree.preview(self.overlay.into_changes());
        let (tx_root, outcome_root) = (tx_root(&chain, &self.wire_ids), outcome_root(&chain, &self.results.outcomes));
        Ok(Executed { delta, results: self.results, tx_root, outcome_root, next_validators_hash })
    }

    fn share_fees(&mut self) -> Result<(), Fault> {
        let burned = self.fees.bps_floor(self.params.burn_bps);
        let earned = self.fees.checked_sub(burned).ok_or_else(|| Fault::new("more fees burned than paid"))?;
        if !burned.is_zero() {
            money::count_burned(&mut self.overlay, AssetId::NATIVE, burned)?;
        }
        let created = self.issue()?;
        let earned = earned.checked_add(created).ok_or_else(|| Fault::new("fees beyond 128 bits"))?;
        // With stake it is for everybody who stands behind the proposer.
        let BlockContext { proposer, height, .. } = self.block;
        if !earned.is_zero() && !stakes::reward(&mut self.overlay, &proposer, height, earned)? {
            money::give(&mut self.overlay, &Address::of_key(&proposer), AssetId::NATIVE, earned)?;
        }
        Ok(())
    }

    /// What is created with each block; nothing in mode `poa`.
    fn issue(&mut self) -> Result<Amount, Fault> {
        let issuance = self.params.issuance_per_block;
        if issuance.is_zero() || stakes::staking(&self.overlay)?.is_none() {
            return Ok(Amount::ZERO);
        }
        money::count_minted(&mut self.overlay, AssetId::NATIVE, issuance)
    }

    /// The end-of-block work of the families; what it reports gets outcomes after the transactions'.
    fn do_what_is_due(&mut self) -> Result<(), Fault> {
        let BlockContext { chain, height, view, timestamp, proposer } = self.block;
        let mut end = BlockEnd::new(&mut self.overlay, (height, view), timestamp, proposer, &self.params);
        at_block_end(&mut end)?;
        for (place, events) in (0u32..).zip(end.into_items()) {
            let outcome = Outcome {
                wire_id: item_id(&chain, height, place),
                verdict: Verdict::Ok,
                fee: Amount::ZERO,
                events_hash: Outcome::events_hash(&events, &chain),
            };
            self.results.outcomes.push(outcome);
            self.results.events.push(events);
        }
        Ok(())
    }

    fn room_for(&self, transaction: &Checked) -> Result<Used, Unfit> {
        let used = Used {
            bytes: self.used.bytes.saturating_add(4).saturating_add(transaction.bytes().len() as u64),
            weight: self.used.weight.saturating_add(transaction.weight()),
            txs: self.used.txs.saturating_add(1),
        };
        let fits = used.bytes <= self.params.max_block_bytes.into()
            && used.weight <= self.params.max_block_weight
            && used.txs <= self.params.max_block_txs.into();
        if fits { Ok(used) } else { Err(Unfit::Full) }
    }

    /// Takes the fee and uses the nonce. Nothing here can fail after `judge`.
    fn charge(&mut self, transaction: &Checked, sender: Account) -> Result<(), Unfit> {
        let tx = transaction.transaction();
        let nonce = tx.nonce.checked_add(1).ok_or_else(|| Fault::new("a nonce beyond 64 bits"))?;
        let balance = match tx.fee_payer {
            None => {
                sender.balance.checked_sub(tx.fee).ok_or_else(|| Fault::new("a fee that was judged payable is not"))?
            }
            Some(payer) => {
                money::take(&mut self.overlay, &payer, AssetId::NATIVE, tx.fee)?;
                sender.balance
            }
        };
        self.fees = self.fees.checked_add(tx.fee).ok_or_else(|| Fault::new("fees beyond 128 bits"))?;
        money::put_account(&mut self.overlay, &tx.sender, &Account { nonce, balance, ..sender });
        Ok(())
    }

    /// Carries the actions out, all or none.
    fn act(&mut self, transaction: &Checked) -> Result<(Verdict, Vec<Event>), Fault> {
        let mut events = Vec::new();
        let mark = self.overlay.mark();
        for (place, action) in transaction.transaction().actions.iter().enumerate() {
            let mut context = Context {
                state: &mut self.overlay,
                sender: transaction.transaction().sender,
                height: self.block.height,
                timestamp: self.block.timestamp,
                params: &self.params,
                chain: self.block.chain,
                events: &mut events,
            };
            match action.rules().apply(&mut context) {
                Ok(()) => {}
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(Failure::Rejected(rejected)) => {
                    self.overlay.roll_back(mark);
                    let verdict = Verdict::Rejected { number: rejected.number(), action: place as u8 };
                    return Ok((verdict, Vec::new()));
                }
            }
        }
        Ok((Verdict::Ok, events))
    }
}

/// The name of the n-th thing a block did by itself, where a transaction's outcome has its wire id:
/// `hash(ait/item/1, chain, height u64 ‖ n u32)`.
pub fn item_id(chain: &ChainId, height: Height, place: u32) -> WireId {
    WireId(hash(Namespace::Item, &chain.0, &[&crate::codec::encode(&(height, place))]))
}

/// Judges what makes a transaction wrong at its place in a block: expiry, minimum fee, policies,
/// nonce, fee. Answers with the sender's account.
fn judge(rows: &impl Rows, params: &Params, height: Height, transaction: &Checked) -> Result<Account, Unfit> {
    let tx = transaction.transaction();
    check_terms(params, height, transaction)?;
    let sender = check_policies(rows, transaction)?;
    if tx.nonce < sender.nonce {
        return Err(NONCE_TOO_LOW.because(sender.nonce, tx.nonce).into());
    }
    if tx.nonce > sender.nonce {
        return Err(NONCE_TOO_HIGH.because(sender.nonce, tx.nonce).into());
    }
    let held = match tx.fee_payer {
        None => sender.balance,
        Some(payer) => money::balance(rows, &payer, AssetId::NATIVE)?,
    };
    if held < tx.fee {
        return Err(FEE_UNPAYABLE.because(format_args!("at least {}", tx.fee), held).into());
    }
    Ok(sender)
}

/// Expiry and minimum fee: what depends on the block and the parameters only.
pub fn check_terms(params: &Params, height: Height, transaction: &Checked) -> Result<(), Rejected> {
    let tx = transaction.transaction();
    if tx.valid_until != Height::ZERO && tx.valid_until < height {
        return Err(EXPIRED.because(format_args!("valid_until ≥ {height}"), tx.valid_until));
    }
    check_min_fee(params, transaction.weight(), tx.fee)
}

fn check_min_fee(params: &Params, weight: u64, fee: Amount) -> Result<(), Rejected> {
    let min_fee = params.min_fee(weight);
    if fee < min_fee {
        return Err(FEE_TOO_LOW.because(format_args!("at least {min_fee}"), fee));
    }
    Ok(())
}

/// What can be judged before signatures are looked at, so that nonsense costs little: minimum
/// fee, a nonce that is used already, a payer that can't pay.
pub fn glance(rows: &impl Rows, params: &Params, formed: &Formed) -> Result<(), Failure> {
    let tx = formed.transaction();
    check_min_fee(params, formed.weight(), tx.fee)?;
    let sender = money::account(rows, &tx.sender)?;
    if tx.nonce < sender.nonce {
        return Err(NONCE_TOO_LOW.because(sender.nonce, tx.nonce).into());
    }
    let held = if tx.fee_payer.is_some() { money::account(rows, &tx.payer())?.balance } else { sender.balance };
    if held < tx.fee {
        return Err(FEE_UNPAYABLE.because(format_args!("at least {}", tx.fee), held).into());
    }
    Ok(())
}

/// Whether the carried keys are the accounts' own. Answers with the sender's account.
pub fn check_policies(rows: &impl Rows, transaction: &Checked) -> Result<Account, Failure> {
    let signed = transaction.signed();
    let sender = money::account(rows, &signed.transaction.sender)?;
    check_policy(&signed.transaction.sender, &sender, &signed.authorisation)?;
    if let (Some(payer), Some(authorisation)) = (signed.transaction.fee_payer, &signed.fee_payer_authorisation) {
        check_policy(&payer, &money::account(rows, &payer)?, authorisation)?;
    }
    Ok(sender)
}

fn check_policy(address: &Address, account: &Account, carried: &Authorisation) -> Result<(), Rejected> {
    let fits = match (account.authority, carried) {
        (Authority::Derived, carried) => carried.address() == *address,
        (Authority::Key(key), Authorisation::Key { public_key, .. }) => key == *public_key,
        (Authority::MultiKey(policy), Authorisation::MultiKey(_)) => carried.address() == policy,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let expected = match account.authority {
        Authority::Derived => format!("the key or policy {address} is derived from"),
        Authority::Key(key) => format!("the key {key}"),
        Authority::MultiKey(policy) => format!("the policy {policy}"),
    };
    Err(WRONG_POLICY.because(expected, format_args!("the key or policy of {}", carried.address())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
