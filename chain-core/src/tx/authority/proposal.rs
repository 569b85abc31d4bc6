//! What the council is asked: proposals, their votes, and when something is due for them.
//!
//! Not here: what a vote does (`council`), what happens when something is due (`block_end`).

use super::measure::Measure;
use crate::codec::List;
use crate::crypto::PublicKey;
use crate::fault::Fault;
use crate::limits::MAX_VALIDATORS;
use crate::state::council::Member;
use crate::state::market::slash::Victim;
use crate::state::{Overlay, Rows, Table, Tree};
use crate::types::{Height, ProposalId, TimestampMs};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

/// Proposals by number, until `retention_s` after they ended.
pub const PROPOSALS: Table<ProposalId, Proposal> = Table::new(16);
/// The number of the next proposal; no row: 1.
pub const NEXT_PROPOSAL: Table<(), ProposalId> = Table::new(17);
/// When an open proposal expires.
pub const DEADLINES: Table<(TimestampMs, ProposalId), ()> = Table::new(18);
/// When an ended proposal is forgotten.
pub const FORGETTING: Table<(TimestampMs, ProposalId), ()> = Table::new(21);
/// The first block under what a passed proposal changes.
pub const ACTIVATIONS: Table<(Height, ProposalId), ()> = Table::new(19);
/// How many proposals wait for their block; no row: none.
pub const WAITING: Table<(), u32> = Table::new(26);

/// Something the council is asked.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Proposal {
    /// Which member asks.
    pub proposer: PublicKey,
    /// What shall be done.
    pub measure: Measure,
    /// Whom a slash compensates, as it was when the slash was proposed.
    pub victim: Option<Victim>,
    /// The block it was made in.
    pub opened: Height,
    /// Votes of blocks with an earlier time count.
    pub expires_at: TimestampMs,
    /// The votes in the order in which they were given.
    pub votes: List<CouncilVote, MAX_VALIDATORS>,
    /// How it stands.
    pub status: Status,
}

/// One member's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct CouncilVote {
    /// Whose.
    pub member: PublicKey,
    /// Yes or no.
    pub approve: bool,
}

/// How a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Status {
    /// The council votes.
    Open = 1,
    /// Passed; in force from a later block on.
    Passed {
        /// The first block under it.
        activates: Height,
    } = 2,
    /// Carried out.
    Enacted = 3,
    /// Two thirds can't be reached any more.
    Refused = 4,
    /// Not decided in time.
    Expired = 5,
    /// Passed, but by then it could not be carried out.
    Failed {
        /// Why: the number of a rejection.
        number: u16,
    } = 6,
    /// Passed, and taken back before its block.
    Withdrawn = 7,
}

/// How the votes of those who are on the council now add up, by what their votes weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Tally {
    /// For it.
    #[serde(with = "crate::types::decimal")]
    pub yes: u64,
    /// Against it.
    #[serde(with = "crate::types::decimal")]
    pub no: u64,
    /// All votes there are.
    #[serde(with = "crate::types::decimal")]
    pub council: u64,
}

impl Tally {
    /// Adds up the votes of these members.
    pub fn of(votes: &[CouncilVote], council: &[Member]) -> Self {
        let vote = |member: &Member| votes.iter().find(|vote| vote.member == member.key).map(|vote| vote.approve);
        let sum = |counts: &dyn Fn(&Member) -> bool| {
            let weights = council.iter().filter(|member| counts(member)).map(|member| member.weight);
            weights.fold(0u64, u64::saturating_add)
        };
        let on = |approve| move |member: &Member| vote(member) == Some(approve);
        Self { yes: sum(&on(true)), no: sum(&on(false)), council: sum(&|_| true) }
    }

    /// More than two thirds are for it.
    pub fn passes(&self) -> bool {
        3 * u128::from(self.yes) > 2 * u128::from(self.council)
    }

    /// The least votes that pass it.
    pub fn needed(&self) -> u64 {
        // More than two thirds of a u64 is one.
        u64::try_from(2 * u128::from(self.council) / 3).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// So many are against it that two thirds can't be for it.
    pub fn is_refused(&self) -> bool {
        3 * u128::from(self.no) >= u128::from(self.council)
    }
}

/// The proposals with their numbers, oldest first.
pub fn proposals(tree: &Tree) -> impl Iterator<Item = Result<(ProposalId, Proposal), Fault>> {
    PROPOSALS.scan(tree).map(|row| {
        let (key, proposal) = row?;
        Ok((ProposalId::new(number(key)?), proposal))
    })
}

/// The passed proposals that wait for their block: its height and the proposal, first first.
pub fn pending(tree: &Tree) -> Result<Vec<(Height, ProposalId)>, Fault> {
    let rows = due(&ACTIVATIONS, tree, u64::MAX, usize::MAX)?;
    Ok(rows.into_iter().map(|(height, id)| (Height::new(height), id)).collect())
}

/// The next free number.
pub(super) fn take_number(state: &mut Overlay<'_>) -> Result<ProposalId, Fault> {
    let id = NEXT_PROPOSAL.get(state, &())?.unwrap_or(ProposalId::new(1));
    NEXT_PROPOSAL.put(state, &(), &id.saturating_add(1));
    Ok(id)
}

/// A proposal that some row says exists.
pub(super) fn existing(rows: &impl Rows, id: ProposalId) -> Result<Proposal, Fault> {
    PROPOSALS.get(rows, &id)?.ok_or_else(|| Fault::new(format!("proposal {id} is due but has no row")))
}

/// Lets a proposal wait for its block.
pub(super) fn wait(state: &mut Overlay<'_>, activates: Height, id: ProposalId) -> Result<(), Fault> {
    let waiting = WAITING.get(state, &())?.unwrap_or_default();
    WAITING.put(state, &(), &waiting.saturating_add(1));
    ACTIVATIONS.put(state, &(activates, id), &());
    Ok(())
}

/// It waits no more.
pub(super) fn wait_no_more(state: &mut Overlay<'_>, activates: Height, id: ProposalId) -> Result<(), Fault> {
    let waiting = WAITING.get(state, &())?.and_then(|waiting| waiting.checked_sub(1));
    match waiting.ok_or_else(|| Fault::new("a proposal waits that was never counted"))? {
        0 => WAITING.remove(state, &()),
        waiting => WAITING.put(state, &(), &waiting),
    }
    ACTIVATIONS.remove(state, &(activates, id));
    Ok(())
}

/// The committed rows of a queue that are due at `now`, first first, at most `most` of them.
pub(super) fn due<K: crate::state::Key>(
    queue: &Table<(K, ProposalId), ()>,
    tree: &Tree,
    now: u64,
    most: usize,
) -> Result<Vec<(u64, ProposalId)>, Fault> {
    let mut found = Vec::new();
    for row in queue.scan(tree).take(most) {
        let (key, ()) = row?;
        let (at, id) = key.split_at_checked(8).ok_or_else(|| Fault::new("a queue row has a bad key"))?;
        if number(at)? > now {
            break;
        }
        found.push((number(at)?, ProposalId::new(number(id)?)));
    }
    Ok(found)
}

fn number(key: &[u8]) -> Result<u64, Fault> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| Fault::new("a row's key is not the number it should be"))
}
