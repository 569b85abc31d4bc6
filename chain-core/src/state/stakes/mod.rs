//! Stake: what stands behind each validator, who delegated how much, what is unbonding and what was
//! earned. In mode `poa` none of these rows exists.
//!
//! A validator's own stake is the delegation of the plain account of its key; what is said of
//! delegations holds for it too.
//!
//! Stake that is taken out joins the validator's open *batch*. The batch is closed at the end of an
//! epoch once the weight it gave has left the set; until some time after that it can be slashed.
//!
//! Not here: who may do what (the staking family), when a slash is due (the authority family).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

pub mod fixed;
mod fund;
mod rewards;
mod slash;
pub mod weights;

pub use fund::Fund;
pub use rewards::{Earned, Rewards};
pub use slash::{Slash, slash};

use self::weights::{Candidate, weights};
use super::now::Now;
use super::overlay::Overlay;
use super::params::Params;
use super::table::{Rows, Table};
use super::tree::Tree;
use super::validators::{Standing, VALIDATORS, ValidatorRecord, forget, records, retire};
use crate::codec::List;
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::{BATCHES_PER_WINDOW, MAX_UNBONDINGS};
use crate::types::{Address, Amount, AssetId, ConsensusMode, Height, StakeId, TimestampMs};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// The one row about staking; none in mode `poa`.
pub const STAKING: Table<(), Staking> = Table::new(12);
/// What stands behind a validator, by its key. Rows stay.
pub const STAKES: Table<PublicKey, Stake> = Table::new(13);
/// Who delegated to whom.
pub const DELEGATIONS: Table<(Address, StakeId), Delegation> = Table::new(14);
/// What is unbonding of whom.
pub const UNBONDINGS: Table<(Address, StakeId), Unbonding> = Table::new(15);
/// What is unbonding from a validator, by batch.
pub const BATCHES: Table<(StakeId, u32), Batch> = Table::new(20);

/// By which rules stake counts on this chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Staking {
    /// Who may validate: `pos` or `hybrid`.
    pub mode: ConsensusMode,
    /// The asset that stakes are made of.
    pub asset: AssetId,
    /// The number the next validator's stake gets.
    pub next: StakeId,
}

/// What stands behind a validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Stake {
    /// Its number in the keys of other rows.
    pub id: StakeId,
    /// All that is bonded.
    pub bonded: Fund,
    /// How many delegations there are, its own included.
    #[serde(with = "crate::types::decimal")]
    pub delegations: u64,
    /// The validator's part of the rewards.
    pub commission: Commission,
    /// What was earned and not withdrawn.
    pub rewards: Rewards,
    /// The number of the batch that unbonds together now; it has a row once something is in it.
    pub batch: u32,
    /// The block that closed the last batch.
    pub closed: Height,
    /// What its conviction cost.
    pub slash: Option<Slash>,
}

/// A validator's part of the rewards, in basis points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Commission {
    /// Before the announced one.
    pub bps: u16,
    /// The last one that was announced.
    pub next: Option<NextCommission>,
}

/// An announced commission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct NextCommission {
    /// How much.
    pub bps: u16,
    /// The first block it holds for.
    pub from: Height,
}

impl Commission {
    /// The commission of a block.
    pub fn at(&self, height: Height) -> u16 {
        self.next.filter(|next| next.from <= height).map_or(self.bps, |next| next.bps)
    }
}

/// What one account has bonded with one validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Delegation {
    /// With whom.
    pub validator: PublicKey,
    /// Its shares of the validator's fund, above zero.
    pub shares: Amount,
    /// What it earned.
    pub earned: Earned,
}

/// What is unbonding of one account from one validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Unbonding {
    /// From whom.
    pub validator: PublicKey,
    /// Shares of batches, ascending by number, one entry per batch.
    pub entries: List<UnbondingEntry, MAX_UNBONDINGS>,
}

/// Shares of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct UnbondingEntry {
    /// Which batch of the validator.
    pub batch: u32,
    /// How many of its shares.
    pub shares: Amount,
}

/// Stake that unbonds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Batch {
    /// How much, and its shares.
    pub fund: Fund,
    /// When it left the set; `None`: it has not yet.
    pub closed: Option<Closed>,
}

/// When a batch left the set. When it is free follows from the parameters of the day: a vote that changes
/// them can be undone, and nothing is free that can still be proven against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Closed {
    /// The last block its weight may have signed.
    pub left: Height,
    /// That block's time.
    pub at: TimestampMs,
}

impl Closed {
    /// The first block it can be withdrawn in: no evidence against its heights can be brought then.
    pub fn free_from(&self, params: &Params) -> Height {
        self.left.saturating_add(params.evidence_window_blocks.into()).next()
    }

    /// The least time of a block it can be withdrawn in.
    pub fn free_at(&self, params: &Params) -> TimestampMs {
        self.at.saturating_add(u64::from(params.unbonding_s).saturating_mul(1_000))
    }

    /// Whether it can be withdrawn.
    pub fn is_free(&self, now: Now<'_>) -> bool {
        now.height >= self.free_from(now.params) && now.timestamp >= self.free_at(now.params)
    }
}

impl Stake {
    /// Closes the open batch, if there is something in it: its number and what it is now. What unbonds
    /// from now on joins another one. The caller writes the stake.
    pub fn close(&mut self, overlay: &mut Overlay<'_>, now: Now<'_>) -> Result<Option<(u32, Batch)>, Fault> {
        let place = (self.id, self.batch);
        let Some(open) = BATCHES.get(overlay, &place)? else { return Ok(None) };
        let closed = Batch { closed: Some(Closed { left: now.height, at: now.timestamp }), ..open };
        BATCHES.put(overlay, &place, &closed);
        (self.batch, self.closed) = (self.batch.saturating_add(1), now.height);
        Ok(Some((place.1, closed)))
    }
}

/// Lets go of a validator that is removed and not in the set: of its place on the roster, and once nothing
/// of its record counts any more, of that. Then nothing can be proven against it, and its open batch is closed.
pub fn let_go(
    overlay: &mut Overlay<'_>,
    validator: &PublicKey,
    mut record: ValidatorRecord,
    now: Now<'_>,
) -> Result<(), Fault> {
    let window = now.params.evidence_window_blocks;
    record.drop_spans(now.height, window.into());
    if !record.spans.is_empty() || record.open_proposals > 0 {
        // What unbonds from it is closed in the next block (`staking`), then in turn.
        let wait = if record.retired.is_none() { 1 } else { between_batches(now.params) };
        let turn = now.height.saturating_add(wait);
        let last = record.spans.iter().filter_map(|span| span.until).max();
        let over = last.map_or(turn, |until| until.saturating_add(window.into()));
        return retire(overlay, validator, record, turn.min(over));
    }
    if let Some(mut stake) = stake(overlay, validator)? {
        stake.close(overlay, now)?;
        STAKES.put(overlay, validator, &stake);
    }
    forget(overlay, validator, &record)
}

/// Least number of blocks between two closed batches of a validator, at least 1.
pub fn between_batches(params: &Params) -> u64 {
    params.evidence_window_blocks.div_ceil(BATCHES_PER_WINDOW).max(1).into()
}

/// By which rules stake counts; `None` in mode `poa`.
pub fn staking(rows: &impl Rows) -> Result<Option<Staking>, Fault> {
    STAKING.get(rows, &())
}

/// Who may become a validator of this chain.
pub fn mode(rows: &impl Rows) -> Result<ConsensusMode, Fault> {
    Ok(staking(rows)?.map_or(ConsensusMode::Poa, |staking| staking.mode))
}

/// What stands behind a validator.
pub fn stake(rows: &impl Rows, validator: &PublicKey) -> Result<Option<Stake>, Fault> {
    STAKES.get(rows, validator)
}

/// What an account has bonded with the validator of this stake.
pub fn delegation(rows: &impl Rows, account: &Address, stake: &Stake) -> Result<Option<Delegation>, Fault> {
    DELEGATIONS.get(rows, &(*account, stake.id))
}

/// What a validator itself has bonded, at its worth.
pub fn own_stake(rows: &impl Rows, validator: &PublicKey, stake: &Stake) -> Result<Amount, Fault> {
    let own = delegation(rows, &Address::of_key(validator), stake)?;
    Ok(own.map_or(Amount::ZERO, |own| stake.bonded.worth(own.shares)))
}

/// Every delegation of an account, in the order in which the validators bonded first.
pub fn delegations(tree: &Tree, account: &Address) -> Result<Vec<(StakeId, Delegation)>, Fault> {
    of_account(&DELEGATIONS, tree, account)
}

/// All that is unbonding of an account, in the same order.
pub fn unbondings(tree: &Tree, account: &Address) -> Result<Vec<(StakeId, Unbonding)>, Fault> {
    of_account(&UNBONDINGS, tree, account)
}

/// What an account could withdraw of rewards from a validator: of its delegation, and of commission.
pub fn withdrawable(rows: &impl Rows, account: &Address, validator: &PublicKey) -> Result<(Amount, Amount), Fault> {
    let Some(stake) = stake(rows, validator)? else { return Ok((Amount::ZERO, Amount::ZERO)) };
    let earned = delegation(rows, account, &stake)?
        .map_or(Amount::ZERO, |own| Amount::new(stake.rewards.pending(own.shares, &own.earned).whole));
    let is_own = Address::of_key(validator) == *account;
    Ok((earned, if is_own { stake.rewards.commission } else { Amount::ZERO }))
}

fn of_account<V: BorshSerialize + BorshDeserialize>(
    table: &Table<(Address, StakeId), V>,
    tree: &Tree,
    account: &Address,
) -> Result<Vec<(StakeId, V)>, Fault> {
    let row = |row: Result<(&[u8], V), Fault>| {
        let (key, value) = row?;
        let id = key.last_chunk().copied().map(u64::from_be_bytes);
        Ok((StakeId::new(id.ok_or_else(|| Fault::new("a delegation has a bad key"))?), value))
    };
    table.scan_prefix(tree, account.as_bytes()).map(row).collect()
}

/// A new validator's stake, with nothing in it; the caller writes it.
pub fn new_stake(overlay: &mut Overlay<'_>, commission_bps: u16) -> Result<Stake, Fault> {
    let staking = staking(overlay)?.ok_or_else(|| Fault::new("a stake without staking"))?;
    STAKING.put(overlay, &(), &Staking { next: staking.next.saturating_add(1), ..staking });
    Ok(Stake {
        id: staking.next,
        bonded: Fund::default(),
        delegations: 0,
        commission: Commission { bps: commission_bps, next: None },
        rewards: Rewards::default(),
        batch: 0,
        closed: Height::ZERO,
        slash: None,
    })
}

/// Gives a reward to who stands behind a validator. `false`: nobody ever bonded for it.
pub fn reward(overlay: &mut Overlay<'_>, validator: &PublicKey, height: Height, reward: Amount) -> Result<bool, Fault> {
    let Some(mut stake) = stake(overlay, validator)? else { return Ok(false) };
    stake.rewards.add(reward, stake.commission.at(height), stake.bonded.shares)?;
    STAKES.put(overlay, validator, &stake);
    Ok(true)
}

/// Writes into the records which weight each validator shall have now: those who are admitted, ready,
/// never convicted and have bonded at least `min_validator_stake` themselves, by `weights`; the others none.
/// `false`: nobody qualifies, so nobody's weight follows from stake. Who signs then is the caller's choice;
/// what unbonds from those who do stays open, since the set gives them more than the none they have here.
pub fn weigh(overlay: &mut Overlay<'_>, params: &Params) -> Result<bool, Fault> {
    let Some(Staking { mode, .. }) = staking(overlay)? else { return Ok(true) };
    let known = records(overlay)?;
    let mut candidates = Vec::new();
    for (key, record) in &known {
        let able = record.standing == Standing::Admitted && record.ready;
        let Some(stake) = stake(overlay, key)?.filter(|stake| able && stake.slash.is_none()) else { continue };
        if own_stake(overlay, key, &stake)? >= params.min_validator_stake {
            candidates.push(Candidate { key: *key, stake: stake.bonded.held, since: record.since });
        }
    }
    let weights = weights(mode, params, candidates);
    for (key, mut record) in known {
        let weight = weights.get(&key).copied().unwrap_or_default();
        if weight != record.weight {
            record.weight = weight;
            VALIDATORS.put(overlay, &key, &record);
        }
    }
    Ok(!weights.is_empty())
}

/// What a validator bonds in the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FirstStake {
    /// Its key.
    pub validator: PublicKey,
    /// How much, in base units of the stake asset; created for this.
    pub amount: Amount,
    /// Its commission.
    pub commission_bps: u16,
}

/// What a chain with stake starts with; the amounts count as minted elsewhere.
pub fn found(
    overlay: &mut Overlay<'_>,
    (mode, asset): (ConsensusMode, AssetId),
    first: &[FirstStake],
) -> Result<(), Fault> {
    STAKING.put(overlay, &(), &Staking { mode, asset, next: StakeId::new(1) });
    for FirstStake { validator, amount, commission_bps } in first {
        let mut stake = new_stake(overlay, *commission_bps)?;
        stake.bonded.put(*amount)?;
        stake.delegations = 1;
        let delegation = Delegation { validator: *validator, shares: *amount, earned: Earned::default() };
        DELEGATIONS.put(overlay, &(Address::of_key(validator), stake.id), &delegation);
        STAKES.put(overlay, validator, &stake);
    }
    Ok(())
}
