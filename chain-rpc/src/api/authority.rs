//! `chain`: who validates, what the council decides, parameters, roles, versions of the rules.
//!
//! Not here: the rules (chain-core), how a proposal or a vote is sent (`tx`).

use super::Verb::Get;
use super::staking::stake_summary;
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::backend::BackendError;
use crate::errors::{NOT_FOUND, RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::crypto::PublicKey;
use chain_core::limits::MAX_COUNTED_VIEWS;
use chain_core::state::protocol::{RULES_VERSION, protocol, roles};
use chain_core::state::stakes::mode;
use chain_core::state::validators::{VALIDATORS, jailed, next_set, records};
use chain_core::state::{JailCause, PARAM_CHANGES, Standing, Tree, ValidatorRecord, params};
use chain_core::tx::authority::proposal::{PROPOSALS, Proposal, Status, Tally, pending, proposals};
use chain_core::tx::authority::{Measure, Member, council};
use chain_core::types::{Address, Amount, ConsensusMode, Height, ProposalId, Validator, ValidatorSet, View};
use std::collections::{BTreeMap, BTreeSet};

/// Most blocks `get_uptime` looks at.
const MAX_UPTIME_BLOCKS: u32 = 1000;
/// Blocks the uptime in `get_validators` is of.
const UPTIME_BLOCKS: u32 = 100;
/// Most changes of the set in one answer; each may hold 256 signatures.
const MAX_SET_CHANGES: u32 = 100;
/// Most entries in one page.
const MAX_PAGE: u32 = 1000;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("chain", now get_params, Nothing => ParamsView, 2, "{}", [(Get, "/rpc/params")],
        "get_params", "The parameters in force for the next block, their bounds, and changes that are decided."),
    entry!("chain", now get_param_history, ParamHistoryParams => ParamHistoryView, 5, r#"{"limit":10}"#,
        [(Get, "/rpc/params/history")],
        "get_param_history", "Every change of a parameter since the genesis, newest first, in pages."),
    entry!("chain", disk get_validators, ValidatorsParams => ValidatorsView, 20, "{}", [(Get, "/rpc/validators")],
        "get_validators", "The set that signs the next block or a given height, and everybody else who was admitted."),
    entry!("chain", disk get_set_changes, SetChangesParams => SetChangesView, 50, r#"{"from":"0"}"#,
        [(Get, "/rpc/set_changes")],
        "get_set_changes", "Final headers after which another set signs, with certificates and members, for light clients."),
    entry!("chain", disk get_uptime, UptimeParams => UptimesView, 50, r#"{"blocks":10}"#, [(Get, "/rpc/uptime")],
        "get_uptime", "What validators did in the newest blocks: turns taken and missed, votes in certificates."),
    entry!("chain", now get_proposals, ProposalsParams => ProposalsView, 10, r#"{"limit":10}"#,
        [(Get, "/rpc/proposals")],
        "get_proposals", "What the council is asked and was asked lately, newest first, in pages."),
    entry!("chain", now get_proposal, ProposalParams => ProposalView, 2, r#"{"proposal":"$proposal"}"#,
        [(Get, "/rpc/proposal/{proposal}")],
        "get_proposal", "A proposal with its votes."),
    entry!("chain", now get_roles, Nothing => RolesView, 1, "{}", [(Get, "/rpc/roles")],
        "get_roles", "Which accounts are entrusted with models, slashing and the treasury."),
    entry!("chain", now get_upgrade, Nothing => UpgradeView, 1, "{}", [(Get, "/rpc/upgrade")],
        "get_upgrade", "The version of the rules in force, and upgrades that are decided."),
];

fn get_params(context: &Context, _: Nothing) -> Result<ParamsView, RpcError> {
    let chain = context.backend.chain();
    look(context, |block, tree| {
        let params = params(tree)?;
        let bounds = params.bounds().into_iter().map(|param| BoundsView {
            name: param.name.into(),
            value: Amount::new(param.value),
            min: Amount::new(param.min),
            max: Amount::new(param.max),
        });
        let mut waiting = Vec::new();
        for (height, proposal, measure) in passed(tree)? {
            if let Measure::Parameter { name, value } = measure {
                let (name, value) = (name.to_string(), Amount::new(value));
                waiting.push(PendingParamView { name, value, height, proposal });
            }
        }
        Ok(ParamsView {
            height: block.header.height,
            quorum_rule: chain.rule,
            consensus_mode: chain.mode.clone(),
            bounds: bounds.collect(),
            pending: waiting,
            params,
        })
    })
}

/// The changes of rules that wait for their block, first first.
fn passed(tree: &Tree) -> Result<Vec<(Height, ProposalId, Measure)>, Fault> {
    let mut waiting = Vec::new();
    for (height, id) in pending(tree)? {
        let proposal = PROPOSALS.get(tree, &id)?;
        let proposal = proposal.ok_or_else(|| Fault::new(format!("proposal {id} is due but has no row")))?;
        waiting.push((height, id, proposal.measure));
    }
    Ok(waiting)
}

fn get_param_history(context: &Context, asked: ParamHistoryParams) -> Result<ParamHistoryView, RpcError> {
    let (limit, before) = (limit(asked.limit, 50, MAX_PAGE)?, asked.cursor.as_deref().map(read_place).transpose()?);
    let mut changes = look(context, |_, tree| {
        let mut changes = Vec::new();
        for row in PARAM_CHANGES.scan(tree) {
            let (key, change) = row?;
            let (height, proposal) = read_key(key)?;
            let is_meant = asked.name.as_ref().is_none_or(|name| **name == *change.name);
            if is_meant && before.is_none_or(|before| (height, proposal) < before) {
                let (before, after) = (Amount::new(change.before), Amount::new(change.after));
                changes.push(ParamChangeView { name: change.name.to_string(), before, after, height, proposal });
            }
        }
        Ok(changes)
    })?;
    changes.reverse();
    let more = changes.len() > limit;
    changes.truncate(limit);
    let next = changes.last().filter(|_| more).map(|last| format!("{}.{}", last.height, last.proposal));
    Ok(ParamHistoryView { changes, next })
}

fn read_key(key: &[u8]) -> Result<(Height, ProposalId), Fault> {
    let number = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    match (number(key.get(..8)), number(key.get(8..))) {
        (Some(height), Some(proposal)) => Ok((Height::new(height), ProposalId::new(proposal))),
        _ => Err(Fault::new("a change of a parameter has a bad key")),
    }
}

fn read_place(cursor: &str) -> Result<(Height, ProposalId), RpcError> {
    let parse = || {
        let (height, proposal) = cursor.split_once('.')?;
        Some((Height::new(height.parse().ok()?), ProposalId::new(proposal.parse().ok()?)))
    };
    parse().ok_or_else(|| bad_params("not a cursor of this method"))
}

/// What is known of the validators at the newest final block.
struct Known {
    height: Height,
    next: ValidatorSet,
    records: BTreeMap<PublicKey, ValidatorRecord>,
    jailed: BTreeMap<PublicKey, JailCause>,
    council: Vec<Member>,
    mode: ConsensusMode,
    stakes: BTreeMap<PublicKey, StakeSummary>,
    epoch_blocks: u64,
}

/// Of all that are or may become members, and of the members of an older set.
fn known(context: &Context, old: &[Validator]) -> Result<Known, RpcError> {
    look(context, |block, tree| {
        let (height, next) = (block.header.height, next_set(tree)?);
        let mut records: BTreeMap<_, _> = records(tree)?.into_iter().collect();
        for key in old.iter().map(|member| member.public_key) {
            records.extend(VALIDATORS.get(tree, &key)?.map(|record| (key, record)));
        }
        let (mut stakes, mut jail) = (BTreeMap::new(), BTreeMap::new());
        for key in records.keys() {
            stakes.extend(stake_summary(tree, key, height)?.map(|stake| (*key, stake)));
            jail.extend(jailed(tree, key)?.map(|cause| (*key, cause)));
        }
        Ok(Known {
            height,
            next,
            records,
            jailed: jail,
            council: council(tree)?,
            mode: mode(tree)?,
            stakes,
            epoch_blocks: params(tree)?.epoch_blocks.max(1).into(),
        })
    })
}

fn get_validators(context: &Context, asked: ValidatorsParams) -> Result<ValidatorsView, RpcError> {
    let old = asked.height.map(|height| context.backend.set_of(height)).transpose()?;
    let (chain, known) = (context.backend.chain(), known(context, old.as_ref().map_or(&[], |set| set.members()))?);
    let height = asked.height.unwrap_or(known.height.next());
    let set = old.unwrap_or_else(|| known.next.clone());
    let leader = set.leader(height, View::ZERO).public_key;
    let uptimes = uptimes(context, UPTIME_BLOCKS)?.validators;
    let uptimes: BTreeMap<_, _> = uptimes.into_iter().map(|one| (one.public_key, one.uptime_bps)).collect();
    let view = |public_key: PublicKey, weight: u64| ValidatorView {
        weight: U64(weight),
        leads_first: public_key == leader && weight > 0,
        uptime_bps: uptimes.get(&public_key).copied().flatten(),
        ..known.view(public_key)
    };
    let others = known.records.keys().filter(|key| set.index_of(key).is_none());
    // Of blocks from a multiple on the next epoch is counted; the block that ends it may be the next one.
    let epoch = known.epoch_blocks;
    let ends = known.height.get() / epoch * epoch + epoch;
    Ok(ValidatorsView {
        height,
        hash: set.hash(&chain.id),
        quorum_rule: chain.rule,
        mode: known.mode,
        total_weight: U64(set.total_weight()),
        epoch_ends: (height == known.height.next()).then_some(Height::new(ends)),
        validators: set.members().iter().map(|member| view(member.public_key, member.weight)).collect(),
        others: others.map(|key| view(*key, 0)).collect(),
    })
}

impl Known {
    /// All but what depends on the set that was asked for.
    fn view(&self, public_key: PublicKey) -> ValidatorView {
        let record = self.records.get(&public_key);
        ValidatorView {
            public_key,
            address: Address::of_key(&public_key),
            name: record.map(|record| record.name.to_string()).unwrap_or_default(),
            weight: U64(0),
            leads_first: false,
            status: record.map_or(ValidatorStatus::Forgotten, |record| self.status(&public_key, record)),
            jail_cause: self.jailed.get(&public_key).copied(),
            equivocation: record.and_then(|record| record.equivocation),
            wanted_weight: U64(record.map_or(0, |record| record.weight)),
            stake: self.stakes.get(&public_key).cloned(),
            ready: record.is_some_and(|record| record.ready),
            on_council: self.council.iter().any(|member| member.key == public_key),
            since: record.map_or(Height::ZERO, |record| record.since),
            missed_turns: U64(record.map_or(0, |record| record.missed)),
            absence: record.map_or(0, |record| record.absence),
            uptime_bps: None,
        }
    }

    fn status(&self, key: &PublicKey, record: &ValidatorRecord) -> ValidatorStatus {
        match record.standing {
            _ if record.equivocation.is_some() => ValidatorStatus::Convicted,
            Standing::Removed => ValidatorStatus::Removed,
            Standing::Jailed(_) => ValidatorStatus::Jailed,
            Standing::Admitted if self.next.index_of(key).is_some() => ValidatorStatus::Active,
            Standing::Admitted => ValidatorStatus::Waiting,
        }
    }
}

fn get_set_changes(context: &Context, asked: SetChangesParams) -> Result<SetChangesView, RpcError> {
    let limit = limit(asked.limit, 20, MAX_SET_CHANGES)?;
    let mut hops = context.backend.hops(asked.from, limit + 1)?;
    let next = hops.get(limit).map(|(header, ..)| header.height);
    hops.truncate(limit);
    let change = |(header, certificate, members)| SetChangeView { header, certificate, members };
    Ok(SetChangesView { changes: hops.into_iter().map(change).collect(), next })
}

fn get_uptime(context: &Context, asked: UptimeParams) -> Result<UptimesView, RpcError> {
    let blocks = limit(asked.blocks, UPTIME_BLOCKS, MAX_UPTIME_BLOCKS)?;
    // At most the 1000 of `limit`.
    uptimes(context, u32::try_from(blocks).unwrap_or(MAX_UPTIME_BLOCKS))
}

/// Goes back from the head block by block, as far as asked or as headers are kept.
fn uptimes(context: &Context, blocks: u32) -> Result<UptimesView, RpcError> {
    let to = context.backend.head().header.height;
    let mut view = UptimesView { from: to, to, validators: Vec::new() };
    let mut counts: BTreeMap<PublicKey, UptimeView> = BTreeMap::new();
    let mut known: Option<(chain_core::crypto::Hash, ValidatorSet)> = None;
    for height in (1..=to.get()).rev().map(Height::new).take(blocks as usize) {
        let header = match context.backend.header(height) {
            Err(BackendError::Pruned | BackendError::NotFound) => break,
            found => found?,
        };
        let set = match known.take() {
            Some((hash, set)) if hash == header.validators_hash => set,
            _ => context.backend.set_of(height)?,
        };
        let certificate = context.backend.certificate(height)?;
        let signed = certificate.and_then(|certificate| certificate.signers.places(set.members().len()));
        let missed = missed_turns(&set, height, header.view, &header.proposer);
        for (place, Validator { public_key, .. }) in set.members().iter().enumerate() {
            let count = counts.entry(*public_key).or_insert_with(|| no_uptime(*public_key));
            count.heights = count.heights.saturating_add(1);
            count.proposed = count.proposed.saturating_add(u32::from(header.proposer == *public_key));
            count.missed_turns = count.missed_turns.saturating_add(u32::from(missed.contains(public_key)));
            let has_signed = signed.as_ref().is_some_and(|places| places.contains(&place));
            count.signed = count.signed.saturating_add(u32::from(has_signed));
        }
        (view.from, known) = (height, Some((header.validators_hash, set)));
    }
    view.validators = counts.into_values().map(with_share).collect();
    Ok(view)
}

/// As the chain counts them: once per height, and not by who built the block.
fn missed_turns(set: &ValidatorSet, height: Height, view: View, proposer: &PublicKey) -> BTreeSet<PublicKey> {
    let views = (0..view.get().min(MAX_COUNTED_VIEWS)).map(View::new);
    views.map(|view| set.leader(height, view).public_key).filter(|leader| leader != proposer).collect()
}

fn no_uptime(public_key: PublicKey) -> UptimeView {
    let address = Address::of_key(&public_key);
    UptimeView { public_key, address, heights: 0, proposed: 0, missed_turns: 0, uptime_bps: None, signed: 0 }
}

fn with_share(count: UptimeView) -> UptimeView {
    // At most 1000 of each.
    let turns = count.proposed.saturating_add(count.missed_turns);
    UptimeView { uptime_bps: count.proposed.saturating_mul(10_000).checked_div(turns), ..count }
}

fn get_proposals(context: &Context, asked: ProposalsParams) -> Result<ProposalsView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let before = asked.cursor.as_deref().map(|cursor| cursor.parse().map(ProposalId::new)).transpose();
    let before = before.map_err(|_| bad_params("not a cursor of this method"))?;
    look(context, |block, tree| {
        let mut found = Vec::new();
        for row in proposals(tree) {
            let (id, proposal) = row?;
            let is_meant = asked.open.is_none_or(|open| open == (proposal.status == Status::Open));
            if is_meant && before.is_none_or(|before| id < before) {
                found.push((id, proposal));
            }
        }
        let (more, council) = (found.len() > limit, council(tree)?);
        let newest = found.into_iter().rev().take(limit);
        let proposals: Vec<_> = newest.map(|(id, proposal)| proposal_view(id, proposal, &council)).collect();
        let next = proposals.last().filter(|_| more).map(|last| last.proposal.to_string());
        Ok(ProposalsView { height: block.header.height, proposals, next })
    })
}

fn get_proposal(context: &Context, asked: ProposalParams) -> Result<ProposalView, RpcError> {
    let id = asked.proposal;
    let found = look(context, |_, tree| {
        let found = PROPOSALS.get(tree, &id)?;
        found.map(|proposal| Ok(proposal_view(id, proposal, &council(tree)?))).transpose()
    })?;
    let hint = "it was never made, or it ended longer ago than retention_s; transactions and blocks tell its events";
    found.ok_or_else(|| NOT_FOUND.hint(hint))
}

fn proposal_view(id: ProposalId, proposal: Proposal, council: &[Member]) -> ProposalView {
    let (status, activates, number) = match proposal.status {
        Status::Open => (ProposalStatus::Open, None, None),
        Status::Passed { activates } => (ProposalStatus::Passed, Some(activates), None),
        Status::Enacted => (ProposalStatus::Enacted, None, None),
        Status::Refused => (ProposalStatus::Refused, None, None),
        Status::Expired => (ProposalStatus::Expired, None, None),
        Status::Failed { number } => (ProposalStatus::Failed, None, Some(number)),
        Status::Withdrawn => (ProposalStatus::Withdrawn, None, None),
    };
    let tally = Tally::of(&proposal.votes, council);
    let tally =
        TallyView { yes: U64(tally.yes), no: U64(tally.no), council: U64(tally.council), needed: U64(tally.needed()) };
    ProposalView {
        proposal: id,
        proposer: proposal.proposer,
        text: proposal.measure.text(),
        measure: proposal.measure,
        status,
        activates,
        reason: number.map(|number| ReasonView::of(number, 0)),
        opened: proposal.opened,
        expires_at: proposal.expires_at,
        expires: rfc3339(proposal.expires_at),
        votes: proposal
            .votes
            .iter()
            .map(|vote| CouncilVoteView { member: vote.member, approve: vote.approve })
            .collect(),
        tally: (status == ProposalStatus::Open).then_some(tally),
    }
}

fn get_roles(context: &Context, _: Nothing) -> Result<RolesView, RpcError> {
    look(context, |block, tree| Ok(RolesView { height: block.header.height, roles: roles(tree)? }))
}

fn get_upgrade(context: &Context, _: Nothing) -> Result<UpgradeView, RpcError> {
    look(context, |block, tree| {
        let mut waiting = Vec::new();
        for (height, proposal, measure) in passed(tree)? {
            if let Measure::Upgrade { version, .. } = measure {
                waiting.push(PendingUpgradeView { version, height, proposal, is_known: version <= RULES_VERSION });
            }
        }
        let version = protocol(tree)?.version;
        Ok(UpgradeView { height: block.header.height, version, known: RULES_VERSION, pending: waiting })
    })
}
