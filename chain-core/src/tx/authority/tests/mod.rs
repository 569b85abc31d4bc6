//! Rule n of the family is test `rule_n`; the council's rules, what it decides, the set, evidence, verdicts.

mod council;
mod decisions;
mod evidence;
mod histories;
mod set;
mod verdicts;

use super::proposal::{PROPOSALS, Proposal};
use super::*;
use crate::block::{Results, Verdict};
use crate::state::validators::{VALIDATORS, next_set};
use crate::testing::{TestChain, address, checked, key};
use crate::tx;

/// Short times, so that everything ends.
fn short() -> Params {
    Params {
        epoch_blocks: 5,
        delay_blocks: 2,
        proposal_ttl_s: 60,
        retention_s: 100,
        evidence_window_blocks: 20,
        absence_jail_turns: 10,
        ..Params::default()
    }
}

/// A chain whose validators have the seeds 1 to n; the accounts 1 to 8 are funded.
fn chain_of(validators: u8) -> TestChain {
    TestChain::of(&short(), &[], &(1..=validators).collect::<Vec<_>>())
}

fn validator(seed: u8) -> PublicKey {
    key(seed).public()
}

fn propose(measure: Measure) -> Action {
    Action::CouncilPropose { measure }
}

fn vote(proposal: u64, approve: bool) -> Action {
    Action::CouncilVote { proposal: ProposalId::new(proposal), approve }
}

fn add(seed: u8) -> Measure {
    Measure::Add { public_key: validator(seed), name: Text::new(format!("v{seed}")).unwrap(), weight: 1 }
}

fn remove(seed: u8) -> Measure {
    Measure::Remove { public_key: validator(seed) }
}

fn jail(seed: u8) -> Measure {
    Measure::Jail { public_key: validator(seed) }
}

fn unjail(seed: u8) -> Measure {
    Measure::Unjail { public_key: validator(seed) }
}

fn parameter(name: &str, value: u128) -> Measure {
    Measure::Parameter { name: Text::new(name).unwrap(), value }
}

/// Every event of this family in a block, the block's own at the end.
fn events(results: &Results) -> Vec<Event> {
    let ours = |event: &tx::Event| match event {
        tx::Event::Authority(event) => Some(event.clone()),
        _ => None,
    };
    results.events.iter().flatten().filter_map(ours).collect()
}

/// One block with this action; the block's events, or the number it is refused by.
fn act(chain: &mut TestChain, seed: u8, action: Action) -> Result<Vec<Event>, u16> {
    let nonce = chain.account(&address(seed)).nonce;
    let results = chain.block(&[checked(seed, nonce, [tx::Action::Authority(action)])]);
    match results.outcomes[0].verdict {
        Verdict::Ok => Ok(events(&results)),
        Verdict::Rejected { number, .. } => Err(number),
    }
}

/// An empty block's events.
fn idle(chain: &mut TestChain) -> Vec<Event> {
    events(&chain.block(&[]))
}

/// Empty blocks up to a height; their events.
fn idle_to(chain: &mut TestChain, height: u64) -> Vec<Event> {
    let mut all = Vec::new();
    while chain.height.get() < height {
        all.extend(idle(chain));
    }
    all
}

/// The first seed proposes, the others vote for it; the number and all events.
fn pass(chain: &mut TestChain, seeds: &[u8], measure: Measure) -> (u64, Vec<Event>) {
    let mut all = act(chain, seeds[0], propose(measure)).unwrap();
    let Event::ProposalOpened { proposal, .. } = all[0].clone() else { panic!("{all:?}") };
    for seed in &seeds[1..] {
        all.extend(act(chain, *seed, vote(proposal.get(), true)).unwrap());
    }
    (proposal.get(), all)
}

fn proposal(chain: &TestChain, id: u64) -> Option<Proposal> {
    PROPOSALS.get(&chain.tree, &ProposalId::new(id)).unwrap()
}

fn status(chain: &TestChain, id: u64) -> Status {
    proposal(chain, id).unwrap().status
}

fn record(chain: &TestChain, seed: u8) -> ValidatorRecord {
    VALIDATORS.get(&chain.tree, &validator(seed)).unwrap().unwrap()
}

/// The seeds of the set that signs the next block.
fn set(chain: &TestChain) -> Vec<u8> {
    let set = next_set(&chain.tree).unwrap();
    (1..=8).filter(|seed| set.index_of(&validator(*seed)).is_some()).collect()
}
