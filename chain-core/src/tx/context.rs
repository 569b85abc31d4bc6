//! What a family implements for each of its actions, and what an action may see and touch.

use super::Event;
use crate::codec;
use crate::crypto::{Hash, PublicKey, SecretKey, Signature};
use crate::fault::{Failure, Fault};
use crate::state::market::{self, Market};
use crate::state::{Now, Overlay, Params, money};
use crate::types::{Address, Amount, AssetId, ChainId, Height, JobId, Rejected, TimestampMs, Token, View};
use borsh::BorshSerialize;

/// The rules of one action.
pub trait Rules {
    /// The action's form: everything that can be judged without the state.
    fn check(&self, context: &CheckContext) -> Result<(), Rejected>;

    /// Signatures inside the action that depend on nothing but the transaction, with their keys
    /// and messages. They are verified in one batch with the transaction's own and weigh as much.
    fn signatures(&self, _: &CheckContext) -> Vec<(PublicKey, Vec<u8>, Signature)> {
        Vec::new()
    }

    /// What the action costs besides its bytes and signatures, in weight units, end-of-block work
    /// included.
    fn weight(&self) -> u64;

    /// Carries the action out: all guards first, then writes that can't fail.
    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure>;

    /// The action in words, for whoever signs it (`ait/text/1`).
    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String;

    /// The accounts besides the sender in whose history this belongs.
    fn accounts(&self) -> Vec<Address>;
}

/// What a family says of its events.
pub trait About {
    /// Whom it is about: it belongs into their histories.
    fn accounts(&self) -> Vec<Address>;

    /// What lists of the market show anew after it.
    fn listed(&self) -> Listed {
        Listed::default()
    }
}

/// What lists of the market show anew after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// This job.
    pub job: Option<JobId>,
    /// The provider at this account, and its offers.
    pub provider: Option<Address>,
    /// This receipt of the job, with its hash.
    pub receipt: Option<ListedReceipt>,
}

/// A receipt's place in its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedReceipt {
    /// Its hash.
    pub hash: Hash,
    /// The job.
    pub job: JobId,
    /// The leg.
    pub leg: u32,
    /// Its number in the leg.
    pub seq: u64,
}

/// What an action's form may depend on: the chain and whose which transaction carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckContext {
    /// The chain.
    pub chain: ChainId,
    /// Whose transaction this is.
    pub sender: Address,
    /// The transaction's nonce.
    pub nonce: u64,
}

impl CheckContext {
    /// Where the families' examples are right, proofs included: on the chain whose id is 32 bytes
    /// 0x11, in the first transaction of the key whose seed is 32 bytes 0x01.
    pub fn example() -> Self {
        let sender = Address::of_key(&SecretKey::from_seed(&[1; 32]).public());
        Self { chain: ChainId(Hash([0x11; 32])), sender, nonce: 0 }
    }
}

/// Where an action runs: the state with the block's and the transaction's changes so far, and
/// the facts of the block.
pub struct Context<'c, 's> {
    /// The rows.
    pub state: &'c mut Overlay<'s>,
    /// Whose transaction this is.
    pub sender: Address,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub timestamp: TimestampMs,
    /// The parameters in force.
    pub params: &'c Params,
    /// The chain.
    pub chain: ChainId,
    /// What has happened in this transaction so far.
    pub events: &'c mut Vec<Event>,
}

impl<'c> Context<'c, '_> {
    /// The facts of the block.
    pub fn now(&self) -> Now<'c> {
        Now { height: self.height, timestamp: self.timestamp, params: self.params }
    }

    /// What the sender must burn for rows the chain is made to keep: `account_fee` if `to` has
    /// no row for `asset` yet.
    pub fn row_fee(&self, to: &Address, asset: AssetId) -> Amount {
        if money::has_row(self.state, to, asset) { Amount::ZERO } else { self.params.account_fee }
    }

    /// Burns the row fee, if one is due, and answers with it. Where a later step fails, the whole
    /// transaction is rolled back and the burned fee with it.
    pub fn burn_row_fee(&mut self, to: &Address, asset: AssetId) -> Result<Amount, Failure> {
        let fee = self.row_fee(to, asset);
        if !fee.is_zero() {
            money::burn(self.state, &self.sender, AssetId::NATIVE, fee)?;
        }
        Ok(fee)
    }

    /// Burns `account_fee` for a row the chain is made to keep, and answers with it.
    pub fn burn_account_fee(&mut self) -> Result<Amount, Failure> {
        let fee = self.params.account_fee;
        money::burn(self.state, &self.sender, AssetId::NATIVE, fee)?;
        Ok(fee)
    }

    /// Burns `account_fee` where a row grows: it is new, or longer than before. Answers with what was burned.
    pub fn burn_growth_fee<T: BorshSerialize>(&mut self, before: Option<&T>, after: &T) -> Result<Amount, Failure> {
        let before = before.map(|row| codec::encode(row).len());
        if before.is_some_and(|before| codec::encode(after).len() <= before) {
            return Ok(Amount::ZERO);
        }
        self.burn_account_fee()
    }

    /// The market in this block.
    pub fn market(&self) -> Result<Market, Fault> {
        market::market(self.state, self.timestamp, self.params)
    }

    /// Says that something happened.
    pub fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// Where a family works at the end of a block: the state after the block's transactions, and the
/// facts of the block. What is written here is in force from the next block on.
pub struct BlockEnd<'c, 's> {
    /// The rows.
    pub state: &'c mut Overlay<'s>,
    /// The block's height.
    pub height: Height,
    /// The view the block was built in.
    pub view: View,
    /// The block's time.
    pub timestamp: TimestampMs,
    /// Who built it.
    pub proposer: PublicKey,
    /// The parameters the block was under.
    pub params: &'c Params,
    items: Vec<Vec<Event>>,
}

impl<'c, 's> BlockEnd<'c, 's> {
    /// Nothing done yet.
    pub fn new(
        state: &'c mut Overlay<'s>,
        (height, view): (Height, View),
        timestamp: TimestampMs,
        proposer: PublicKey,
        params: &'c Params,
    ) -> Self {
        Self { state, height, view, timestamp, proposer, params, items: Vec::new() }
    }

    /// The market in this block.
    pub fn market(&self) -> Result<Market, Fault> {
        market::market(self.state, self.timestamp, self.params)
    }

    /// The facts of the block.
    pub fn now(&self) -> Now<'c> {
        Now { height: self.height, timestamp: self.timestamp, params: self.params }
    }

    /// Says what happened in one piece of work; it gets an outcome of its own in the block.
    pub fn report(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.items.push(events);
        }
    }

    /// What happened, piece by piece.
    pub fn into_items(self) -> Vec<Vec<Event>> {
        self.items
    }
}
