//! Random histories of the market, valid and hostile: what somebody does next, given the state.
//!
//! Everything follows from a seed, so a history is the same wherever it is played: in a property, in the simulator,
//! in a bench.
//!
//! ```text
//! let mut histories = Histories::new(seed);
//! let mut chain = market::chain(LONG_STEP_MS);            // or: prepare(&mut genesis)
//! loop {
//!     let step = histories.next(&chain.tree);             // who wants what
//!     let tx = step.checked(chain.account(&step.sender()).nonce);
//!     chain.time = Some(histories.time(&chain.tree));     // or whatever time it is
//!     …
//! }
//! ```
//!
//! Most steps could succeed in this state; some are right but somebody else's, have a number, a text or a list that
//! is wrong in one way or another, or say again what was said before. Nothing is remembered but the stream of random
//! numbers and the last steps, for those repetitions: who draws a step need not play it, and steps drawn on the same
//! state play in one block or in any order. A draw reads a bounded number of rows, however many jobs there are.
//!
//! Keys change: an account is signed for by its own key, by that of the seed [`SECOND`] above it, or by both.
//!
//! Not here: what must hold of a history (the tests that play it).

mod steps;

use super::{FUNDS, Signer, TestChain, address, chain as test_chain, genesis_of, transaction};
use crate::codec::{self, Text};
use crate::genesis::{Genesis, GenesisAsset, GenesisBalance};
use crate::state::market::model::ModelSpec;
use crate::state::protocol::ROLES;
use crate::state::{Asset, Overlay, Params, Roles, Symbol, Tree, market, money};
use crate::tx::{Action, Checked, Signed, Transaction, check_one};
use crate::types::{Address, Amount, AssetId, ChainId, Rejected, TimestampMs};
use std::collections::VecDeque;

/// Who lets models in.
pub const CURATOR: u8 = 40;
/// Who slashes.
pub const SLASHER: u8 = 41;
/// Who has the treasury.
pub const TREASURER: u8 = 42;
/// Who works, when they register.
pub const PROVIDERS: [u8; 4] = [43, 44, 45, 46];
/// Who pays; each is also somebody's delegate now and then.
pub const PAYERS: [u8; 4] = [47, 48, 49, 50];
/// Who has no part in anything.
pub const STRANGER: u8 = 51;
/// Who validates on the chain of [`chain`], and decides; the first builds the blocks.
pub const COUNCIL: [u8; 4] = [200, 201, 202, 203];
/// An account's second key is that of the seed so much above its own.
pub const SECOND: u8 = 20;

/// The longest step of the market's clock as the default is.
pub const REAL_STEP_MS: u32 = 10_000;
/// One that lets an hour pass at once.
pub const LONG_STEP_MS: u32 = 3_600_000;
/// How many of the last steps may be said again.
const SAID: usize = 24;

/// All of them.
pub fn people() -> impl Iterator<Item = u8> {
    [CURATOR, SLASHER, TREASURER].into_iter().chain(PROVIDERS).chain(PAYERS).chain([STRANGER])
}

/// What each of them has of every asset.
pub const HOLDING: Amount = Amount::new(1_000_000_000);

/// One of the models of all histories.
pub fn spec(number: u8) -> ModelSpec {
    let text = |text: String| Text::new(text).unwrap();
    ModelSpec {
        repo: Text::new("histories").unwrap(),
        file: text(format!("model-{number}")),
        weights: crate::crypto::Hash([number; 32]),
        format: Text::new("gguf").unwrap(),
    }
}

/// Sets parameters with which everything happens soon and can be paid with [`HOLDING`]. The clock's step stays.
pub fn set_params(params: &mut Params) {
    params.retention_s = 600;
    let market = &mut params.market;
    (market.min_bond, market.bond_floor) = (Amount::new(10_000), Amount::new(2_000));
    (market.bond_per_slot, market.provider_unbonding_s) = (Amount::new(500), 400);
    (market.slash_cooldown_s, market.early_cancel_units) = (300, 150);
    (market.proposal_fee, market.voting_s, market.unlock_s) = (Amount::new(100), 600, 900);
    (market.approve_votes, market.late_votes) = (Amount::new(5_000), Amount::new(1_000));
    (market.late_s, market.extend_s, market.repropose_s) = (60, 120, 300);
    (market.open_per_pair, market.reputation_half_life_s) = (2, 3_600);
}

fn roles() -> Roles {
    let [curator, slasher, treasurer] = [CURATOR, SLASHER, TREASURER].map(|seed| Some(address(seed)));
    Roles { curator, slasher, treasurer }
}

/// Makes a genesis one of a chain with a market: its people hold [`HOLDING`] of every asset and have the roles, a
/// USD is there besides, and the parameters are those of [`set_params`].
pub fn prepare(genesis: &mut Genesis) {
    set_params(&mut genesis.params);
    genesis.roles = roles();
    let (symbol, units_per_token) = (Symbol::new("USD").unwrap(), Amount::new(1_000_000));
    if genesis.assets.iter().all(|asset| asset.symbol != symbol) {
        genesis.assets.push(GenesisAsset { symbol, units_per_token, max_supply: Amount::MAX_SUPPLY, minter: None });
    }
    for asset in (0..genesis.assets.len() as u32).map(AssetId::new) {
        let held = people().map(|seed| GenesisBalance { address: address(seed), asset, amount: HOLDING });
        genesis.balances.extend(held);
    }
    genesis.balances.sort_by_key(|balance| (balance.address, balance.asset));
}

/// The state of a chain with a market whose clock goes on by so much at most; [`COUNCIL`] validates, and bonds are of
/// asset 2.
pub fn tree(max_step_ms: u32) -> Tree {
    let mut params = Params { delay_blocks: 1, ..Params::default() };
    set_params(&mut params);
    params.market.max_step_ms = max_step_ms;
    let funded: Vec<_> = people().chain(COUNCIL).map(|seed| (address(seed), FUNDS)).collect();
    let mut tree = genesis_of(&params, &funded, &COUNCIL);
    let mut overlay = Overlay::new(&tree);
    for symbol in ["USD", "STK"] {
        let (units_per_token, max_supply) = (Amount::new(1_000_000), Amount::MAX_SUPPLY);
        let (minted, burned, symbol) = (Amount::ZERO, Amount::ZERO, Symbol::new(symbol).unwrap());
        let asset = Asset { symbol, units_per_token, max_supply, minter: None, minted, burned };
        let id = money::register(&mut overlay, &asset).unwrap();
        people().for_each(|seed| money::mint(&mut overlay, &address(seed), id, HOLDING).unwrap());
    }
    market::found(&mut overlay, AssetId::new(2), TimestampMs::ZERO);
    ROLES.put(&mut overlay, &(), &roles());
    let delta = tree.preview(overlay.into_changes());
    tree.commit(delta).unwrap();
    tree
}

/// A chain on [`tree`], in which nothing has happened.
pub fn chain(max_step_ms: u32) -> TestChain {
    TestChain::on(tree(max_step_ms), &COUNCIL)
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub struct Step {
    /// The seed of whose account.
    pub by: u8,
    /// Who signs for it.
    pub signer: Signer,
    /// What.
    pub action: Action,
}

impl Step {
    /// The account of who wants it.
    pub fn sender(&self) -> Address {
        address(self.by)
    }

    /// The checked transaction with this nonce, on the chain of [`chain`].
    ///
    /// # Errors
    /// The action's form is wrong, as that of some steps is.
    pub fn checked(&self, nonce: u64) -> Result<Checked, Rejected> {
        self.checked_on(&test_chain(), nonce)
    }

    /// As `checked`, on another chain.
    ///
    /// # Errors
    /// As `checked`.
    pub fn checked_on(&self, chain: &ChainId, nonce: u64) -> Result<Checked, Rejected> {
        check_one(chain, &self.bytes_on(chain, nonce))
    }

    /// The bytes of the transaction, also of one whose form is wrong.
    pub fn bytes_on(&self, chain: &ChainId, nonce: u64) -> Vec<u8> {
        let unsigned = transaction(self.sender(), nonce, [self.action.clone()]);
        let unsigned = Transaction { chain_tag: chain.tag(), ..unsigned };
        let authorisation = self.signer.sign(&unsigned.signing_bytes(chain));
        codec::encode(&Signed { authorisation, transaction: unsigned, fee_payer_authorisation: None })
    }
}

/// An endless stream of steps that follows from its seed and the states it is shown.
#[derive(Clone, Debug)]
pub struct Histories {
    random: Random,
    /// In how many of a thousand steps somebody else does it, and in how many a number is wrong.
    hostile: u64,
    /// The chain that proofs inside of actions are for.
    chain: ChainId,
    /// The seeds of those who decide; nobody: nothing is decided.
    council: Vec<u8>,
    /// The last steps.
    said: VecDeque<Step>,
}

impl Histories {
    /// The stream of a seed; a tenth of its steps is somebody else's, and a tenth of the numbers is wrong.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, 100)
    }

    /// As `new`, with so many of a thousand steps and numbers hostile; 0: none.
    pub fn with(seed: u64, hostile: u64) -> Self {
        let (random, chain, council) = (Random::new(seed), test_chain(), COUNCIL.to_vec());
        Self { random, hostile, chain, council, said: VecDeque::new() }
    }

    /// For another chain, on which others decide.
    pub fn on(self, chain: ChainId) -> Self {
        Self { chain, council: Vec::new(), ..self }
    }

    /// What somebody wants in this state.
    pub fn next(&mut self, state: &Tree) -> Step {
        let step = steps::next(self, state);
        if self.said.len() == SAID {
            self.said.pop_front();
        }
        self.said.push_back(step.clone());
        step
    }

    /// The time of the next block: mostly a few seconds on, sometimes minutes, seldom an hour or a week.
    pub fn time(&mut self, state: &Tree) -> TimestampMs {
        let seconds = match self.random.below(100) {
            0..80 => self.random.below(8),
            80..97 => self.random.between(20, 400),
            97..99 => self.random.between(600, 3_600),
            _ => 8 * 86_400,
        };
        market::stored(state).unwrap().at.saturating_add(seconds * 1_000)
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number of an interval that includes both ends.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        self.below(1_000) < of_thousand
    }

    fn pick<T: Clone>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize].clone()
    }
}

#[cfg(test)]
mod tests;
