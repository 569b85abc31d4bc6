//! Who has what stake, in other words than chain-core's: books of what everybody has bonded, delegated and
//! unbonding, kept from the transactions of final blocks alone.
//!
//! Not here: who may validate (`seats`), what a delegation has earned to the last fraction (chain-core's
//! `state::stakes::rewards`); of rewards only each validator's sum is kept.

use chain_core::crypto::PublicKey;
use chain_core::fault::Fault;
use chain_core::genesis::{ConsensusMode, Genesis};
use chain_core::state::stakes::{self, BATCHES, DELEGATIONS, UNBONDINGS};
use chain_core::state::{Params, Tree, money};
use chain_core::tx::Event;
use chain_core::tx::staking::Event as Staked;
use chain_core::types::{Address, Amount, AssetId, Height};
use std::collections::BTreeMap;

/// An account has entries in no more batches of a validator.
const MOST_ENTRIES: usize = 7;

/// A block, as far as stake depends on it.
#[derive(Clone, Copy)]
pub struct Now {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time_ms: u64,
}

/// Stake of several accounts, and whose how much of it was before anything was lost.
#[derive(Clone, Default)]
struct Pot {
    held: u128,
    parts: BTreeMap<Address, u128>,
}

impl Pot {
    fn shares(&self) -> u128 {
        self.parts.values().sum()
    }

    fn of(&self, who: &Address) -> u128 {
        self.parts.get(who).copied().unwrap_or_default()
    }

    /// What so many shares are worth now.
    fn worth(&self, shares: u128) -> u128 {
        (shares * self.held).checked_div(self.shares()).unwrap_or_default()
    }

    fn put(&mut self, who: Address, amount: u128) {
        self.held += amount;
        *self.parts.entry(who).or_default() += amount;
    }

    fn take(&mut self, who: &Address, shares: u128) -> u128 {
        let worth = self.worth(shares);
        self.held -= worth;
        let left = self.of(who) - shares;
        match left {
            0 => self.parts.remove(who),
            _ => self.parts.insert(*who, left),
        };
        worth
    }

    fn lose(&mut self, bps: u16) -> u128 {
        let lost = self.held * u128::from(bps) / 10_000;
        self.held -= lost;
        lost
    }
}

/// What unbonds together; `closed`: the last height it stood for, and that block's time.
#[derive(Clone, Default)]
struct Batch {
    pot: Pot,
    closed: Option<(Height, u64)>,
}

impl Batch {
    /// By the parameters of the day: no evidence against its heights counts, and it has waited long enough.
    fn is_free(&self, now: Now, params: &Params) -> bool {
        let (window, wait_ms) = (u64::from(params.evidence_window_blocks), 1_000 * u64::from(params.unbonding_s));
        let is_over =
            |(last, at_ms): (Height, u64)| now.height.get() > last.get() + window && now.time_ms >= at_ms + wait_ms;
        self.closed.is_some_and(is_over)
    }
}

/// A batch of a validator is closed at least so many blocks after the one before.
pub fn pause(params: &Params) -> u64 {
    u64::from(params.evidence_window_blocks.div_ceil(32)).max(1)
}

/// What stands behind a validator.
#[derive(Clone, Default)]
struct House {
    bonded: Pot,
    batches: Vec<Batch>,
    /// When the last batch was closed.
    closed: Height,
    /// Of what it was convicted: the lowest height that cost something, and what all of it cost.
    slashed: Option<(Height, u128)>,
    /// What was earned and not paid.
    earned: u128,
}

impl House {
    fn close(&mut self, now: Now) {
        let Some(open) = self.batches.last_mut().filter(|batch| batch.closed.is_none()) else { return };
        open.closed = Some((now.height, now.time_ms));
        self.closed = now.height;
    }

    fn worth_of(&self, who: &Address) -> u128 {
        let unbonding = self.batches.iter().map(|batch| batch.pot.worth(batch.pot.of(who)));
        self.bonded.worth(self.bonded.of(who)) + unbonding.sum::<u128>()
    }
}

/// The books.
#[derive(Clone)]
pub struct Stakes {
    /// Whether anybody may bond, or authorities only.
    pub mode: ConsensusMode,
    asset: AssetId,
    cash: BTreeMap<Address, u128>,
    houses: BTreeMap<PublicKey, House>,
}

impl Stakes {
    /// At genesis; none in mode `poa`.
    pub fn new(genesis: &Genesis) -> Option<Self> {
        if genesis.mode == ConsensusMode::Poa {
            return None;
        }
        let (asset, mut houses) = (genesis.stake_asset, BTreeMap::new());
        for stake in &genesis.stakes {
            let mut house = House::default();
            house.bonded.put(Address::of_key(&stake.validator), stake.amount.get());
            houses.insert(stake.validator, house);
        }
        let cash = genesis.balances.iter().filter(|balance| balance.asset == asset);
        let cash = cash.map(|balance| (balance.address, balance.amount.get())).collect();
        Some(Self { mode: genesis.mode, asset, cash, houses })
    }

    /// Whether anybody ever bonded for a key.
    pub fn knows(&self, key: &PublicKey) -> bool {
        self.houses.contains_key(key)
    }

    /// A validator's own stake and all of it.
    pub fn stake(&self, key: &PublicKey) -> (u128, u128) {
        let Some(house) = self.houses.get(key) else { return (0, 0) };
        (house.bonded.worth(house.bonded.of(&Address::of_key(key))), house.bonded.held)
    }

    /// Whether a conviction has cost this validator's stake something.
    pub fn is_slashed(&self, key: &PublicKey) -> bool {
        self.houses.get(key).is_some_and(|house| house.slashed.is_some())
    }

    /// Bonds, if there is so much.
    pub fn bond(&mut self, who: Address, key: &PublicKey, amount: u128) -> bool {
        let Some(cash) = self.cash.get_mut(&who).filter(|cash| **cash >= amount) else { return false };
        *cash -= amount;
        self.houses.entry(*key).or_default().bonded.put(who, amount);
        true
    }

    /// Takes shares out; what is left of them must be nothing or worth `least` shares. How much is left.
    pub fn take_out(&mut self, who: Address, key: &PublicKey, shares: u128, least: u128) -> Option<u128> {
        let house = self.houses.get_mut(key)?;
        let left = house.bonded.of(&who).checked_sub(shares).filter(|_| house.bonded.of(&who) > 0)?;
        if left > 0 && left < least && house.slashed.is_none() {
            return None;
        }
        let worth = house.bonded.worth(shares);
        let is_open = house.batches.last().is_some_and(|batch| batch.closed.is_none());
        let is_in_open = is_open && house.batches.last().is_some_and(|batch| batch.pot.of(&who) > 0);
        let entries = house.batches.iter().filter(|batch| batch.pot.of(&who) > 0).count();
        if worth > 0 && !is_in_open && entries >= MOST_ENTRIES {
            return None;
        }
        house.bonded.take(&who, shares);
        if worth > 0 {
            if !is_open {
                house.batches.push(Batch::default());
            }
            house.batches.last_mut().unwrap().pot.put(who, worth);
        }
        Some(left)
    }

    /// Pays what is free; false if nothing is.
    pub fn withdraw(&mut self, now: Now, who: Address, key: &PublicKey, params: &Params) -> bool {
        let Some(house) = self.houses.get_mut(key) else { return false };
        let mut is_paid = false;
        for batch in house.batches.iter_mut().filter(|batch| batch.is_free(now, params)) {
            let shares = batch.pot.of(&who);
            if shares > 0 {
                *self.cash.entry(who).or_default() += batch.pot.take(&who, shares);
                is_paid = true;
            }
        }
        is_paid
    }

    /// Closes what unbonds, for one of these reasons: its weight has left the set, nobody can prove anything
    /// any more.
    pub fn close(&mut self, now: Now, key: &PublicKey, params: &Params, is_due: bool) {
        let Some(house) = self.houses.get_mut(key) else { return };
        if is_due || house.closed == Height::ZERO || now.height.get() >= house.closed.get() + pause(params) {
            house.close(now);
        }
    }

    /// A conviction costs all who stand behind a validator the same part; some of it is the reporter's. What is
    /// proven later of a lower height costs what had left in between, and no more. False if it costs nobody
    /// anything that was convicted before.
    pub fn slash(&mut self, now: Now, key: &PublicKey, offence: Height, reporter: Address, params: &Params) -> bool {
        let own = Address::of_key(key);
        let Some(house) = self.houses.get_mut(key) else { return false };
        let (before, bps, known) = (house.worth_of(&own), params.slash_equivocation_bps, house.slashed);
        let mut lost = if known.is_none() { house.bonded.lose(bps) } else { 0 };
        for batch in &mut house.batches {
            let stood = match (batch.closed, known) {
                (None, known) => known.is_none(),
                (Some((last, _)), None) => last >= offence,
                (Some((last, _)), Some((lowest, _))) => (offence..lowest).contains(&last),
            };
            if stood && !batch.is_free(now, params) {
                lost += batch.pot.lose(bps);
            }
        }
        if known.is_some() && lost == 0 {
            return false;
        }
        let own_lost = before - house.worth_of(&own);
        house.close(now);
        let (lowest, sum) = known.unwrap_or((offence, 0));
        house.slashed = Some((lowest.min(offence), sum + lost));
        let share = (lost * u128::from(params.slash_reporter_bps) / 10_000).min(own_lost / 2);
        *self.cash.entry(reporter).or_default() += share;
        true
    }

    /// Whoever built a block earns for all who stand behind it; what was paid of rewards is told by events.
    pub fn reward(&mut self, proposer: &PublicKey, earned: u128, events: &[Vec<Event>]) -> Result<(), String> {
        if let Some(house) = self.houses.get_mut(proposer) {
            house.earned += earned;
        }
        for event in events.iter().flatten() {
            let Event::Staking(event) = event else { continue };
            let (key, paid) = match event {
                Staked::StakeBonded { validator, reward, .. }
                | Staked::StakeDelegated { validator, reward, .. }
                | Staked::StakeUnbonding { validator, reward, .. } => (validator, reward.get()),
                Staked::RewardWithdrawn { validator, reward, commission, .. } => {
                    (validator, reward.get() + commission.get())
                }
                _ => continue,
            };
            let house = self.houses.get_mut(key).ok_or_else(|| format!("{event:?} of nobody's stake"))?;
            house.earned = house.earned.checked_sub(paid).ok_or_else(|| format!("{event:?}: more than was earned"))?;
        }
        Ok(())
    }

    /// Compares the books with the rows of a state.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, tree: &Tree) -> Result<(), String> {
        self.first_difference(tree).map_err(|fault| fault.to_string())?.map_or(Ok(()), Err)
    }

    fn first_difference(&self, tree: &Tree) -> Result<Option<String>, Fault> {
        for (who, cash) in &self.cash {
            let found = money::balance(tree, who, self.asset)?;
            if found != Amount::new(*cash) {
                return Ok(Some(format!("{who} has {found} of the stake asset, not {cash}")));
            }
        }
        for (key, house) in &self.houses {
            let Some(found) = stakes::stake(tree, key)? else { return Ok(Some(format!("no stake of {key}"))) };
            let slashed = found.slash.map(|slash| (slash.offence, slash.bonded.get() + slash.unbonding.get()));
            let (rows, book) = (
                (found.bonded.held.get(), found.bonded.shares.get(), found.rewards.held.get(), slashed),
                (house.bonded.held, house.bonded.shares(), house.earned, house.slashed),
            );
            if rows != book {
                return Ok(Some(format!("stake, shares, rewards, slashed of {key} are {rows:?}, not {book:?}")));
            }
            let count = house.bonded.parts.len() as u64;
            if found.delegations != count {
                return Ok(Some(format!("{key} has {} delegations, not {count}", found.delegations)));
            }
            for (who, shares) in &house.bonded.parts {
                let found = DELEGATIONS.get(tree, &(*who, found.id))?.map(|own| own.shares.get());
                if found != Some(*shares) {
                    return Ok(Some(format!("{who} has {found:?} shares of {key}, not {shares}")));
                }
            }
            for (number, batch) in (0u32..).zip(&house.batches) {
                let found = BATCHES.get(tree, &(found.id, number))?.unwrap_or_default();
                let rows = (found.fund.held.get(), found.fund.shares.get());
                let closed = found.closed.map(|closed| (closed.left, closed.at.get()));
                let is_paid = rows == (0, 0) && batch.pot.parts.is_empty();
                if !is_paid && (rows, closed) != ((batch.pot.held, batch.pot.shares()), batch.closed) {
                    return Ok(Some(format!("batch {number} of {key}: {found:?}, not {:?}", batch.closed)));
                }
            }
            for who in self.cash.keys() {
                let entries = UNBONDINGS.get(tree, &(*who, found.id))?;
                let rows = entries.iter().flat_map(|unbonding| unbonding.entries.iter());
                let rows: u128 = rows.map(|entry| entry.shares.get()).sum();
                let book: u128 = house.batches.iter().map(|batch| batch.pot.of(who)).sum();
                if rows != book {
                    return Ok(Some(format!("{who} unbonds {rows} from {key}, not {book}")));
                }
            }
        }
        Ok(None)
    }
}

/// The weights of those who could validate, each with its stake and since when it waits.
pub fn weights(
    mode: ConsensusMode,
    params: &Params,
    candidates: Vec<(PublicKey, u128, Height)>,
) -> BTreeMap<PublicKey, u64> {
    let mut ranked = candidates;
    ranked.sort_by(|(a, more, a_since), (b, less, b_since)| less.cmp(more).then((a_since, a).cmp(&(b_since, b))));
    ranked.truncate(params.max_active_validators as usize);
    let unit = 10u128.pow(params.weight_exponent.into());
    let free: Vec<(PublicKey, u64)> =
        ranked.into_iter().map(|(key, stake, _)| (key, (stake / unit).max(1) as u64)).collect();
    let sum = |most: u64| free.iter().map(|(_, weight)| u128::from(*weight.min(&most))).sum::<u128>();
    let heaviest = free.iter().map(|(_, weight)| *weight).max().unwrap_or_default();
    let cap = u128::from(params.weight_cap_bps).max(10_000u128.div_ceil(free.len().max(1) as u128));
    let is_within = |most: &u64| 10_000 * u128::from(*most) <= cap * sum(*most);
    let most = match mode {
        ConsensusMode::Hybrid => (1..=heaviest).rev().find(is_within).unwrap_or(1),
        _ => heaviest,
    };
    free.into_iter().map(|(key, weight)| (key, weight.min(most))).collect()
}
