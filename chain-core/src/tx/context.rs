//! What a family implements for each of its actions, and what an action may see and touch.

use super::Event;
use crate::fault::Failure;
use crate::state::{Overlay, Params, money};
use crate::types::{Address, AssetId, ChainId, Height, Rejected, TimestampMs, Token};

/// The rules of one action.
pub trait Rules {
    /// The action's form: everything that can be judged without the state.
    fn check(&self, sender: &Address) -> Result<(), Rejected>;

    /// What the action costs besides its bytes, in weight units, end-of-block work included.
    fn weight(&self) -> u64;

    /// Carries the action out: all guards first, then writes that can't fail.
    fn apply(&self, context: &mut Context<'_, '_>) -> Result<(), Failure>;

    /// The action in words, for whoever signs it (`ait/text/1`).
    fn text(&self, tokens: &dyn Fn(AssetId) -> Option<Token>) -> String;

    /// The accounts besides the sender in whose history this belongs.
    fn accounts(&self) -> Vec<Address>;
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

impl Context<'_, '_> {
    /// What the sender must burn for rows the chain is made to keep: `account_fee` if `to` has
    /// no row for `asset` yet.
    pub fn row_fee(&self, to: &Address, asset: AssetId) -> crate::types::Amount {
        if money::has_row(self.state, to, asset) { crate::types::Amount::ZERO } else { self.params.account_fee }
    }

    /// Says that something happened.
    pub fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}
