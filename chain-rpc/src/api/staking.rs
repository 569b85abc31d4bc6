//! `chain`: what stands behind validators, who delegated, what was earned and what unbonds.
//!
//! Not here: the rules and the rows (chain-core), who validates (`authority`).

use super::Verb::Get;
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::errors::{RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::block::Header;
use chain_core::crypto::PublicKey;
use chain_core::state::stakes::{
    BATCHES, Delegation, Stake, Unbonding, UnbondingEntry, delegations, own_stake, stake, staking, unbondings,
    withdrawable,
};
use chain_core::state::validators::{VALIDATORS, next_set};
use chain_core::state::{Now, Tree, params};
use chain_core::types::{Address, Amount, ConsensusMode, Height, StakeId};
use std::collections::BTreeMap;

/// Most validators in one page.
const MAX_PAGE: u32 = 1000;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("chain", now get_stake, StakeParams => StakeView, 2, r#"{"validator":"$validator"}"#,
        [(Get, "/rpc/stake/{validator}")],
        "get_stake", "What stands behind a validator: stake, delegations, commission, rewards, what a conviction cost."),
    entry!("chain", now get_delegations, DelegationsParams => DelegationsView, 10, r#"{"account":"$address"}"#,
        [(Get, "/rpc/delegations/{account}")],
        "get_delegations", "What an account has bonded with whom, what it earned, and what unbonds until when."),
];

fn get_stake(context: &Context, asked: StakeParams) -> Result<StakeView, RpcError> {
    let validator = asked.validator;
    look(context, |block, tree| {
        let found = stake(tree, &validator)?;
        Ok(StakeView {
            staking: staking_view(tree, block.header.height)?,
            validator,
            address: Address::of_key(&validator),
            stake: found.map(|stake| validator_stake(tree, &validator, stake, block.header.height)).transpose()?,
        })
    })
}

fn staking_view(tree: &Tree, height: Height) -> Result<StakingView, Fault> {
    Ok(match staking(tree)? {
        Some(staking) => StakingView { height, mode: staking.mode, asset: Some(staking.asset) },
        None => StakingView { height, mode: ConsensusMode::Poa, asset: None },
    })
}

/// The stake behind a validator in short; `None`: nobody ever bonded for it.
pub(super) fn stake_summary(tree: &Tree, validator: &PublicKey, height: Height) -> Result<Option<StakeSummary>, Fault> {
    stake(tree, validator)?.map(|stake| summary(tree, validator, &stake, height)).transpose()
}

fn summary(tree: &Tree, validator: &PublicKey, stake: &Stake, height: Height) -> Result<StakeSummary, Fault> {
    let (bonded, own, next) = (stake.bonded.held, own_stake(tree, validator, stake)?, height.next());
    let announced = stake.commission.next.filter(|announced| announced.from > next);
    Ok(StakeSummary {
        bonded,
        own,
        delegated: bonded.checked_sub(own).ok_or_else(|| Fault::new("a validator's own stake above all of it"))?,
        delegations: U64(stake.delegations),
        commission_bps: stake.commission.at(next),
        announced: announced.map(|next| AnnouncedCommission { commission_bps: next.bps, from: next.from }),
    })
}

fn validator_stake(tree: &Tree, validator: &PublicKey, stake: Stake, height: Height) -> Result<ValidatorStake, Fault> {
    let (record, set) = (VALIDATORS.get(tree, validator)?, next_set(tree)?);
    let weight = set.members().iter().find(|member| member.public_key == *validator).map_or(0, |member| member.weight);
    let open = BATCHES.get(tree, &(stake.id, stake.batch))?;
    Ok(ValidatorStake {
        summary: summary(tree, validator, &stake, height)?,
        shares: stake.bonded.shares,
        weight_target: U64(record.map_or(0, |record| record.target())),
        weight: U64(weight),
        pending_rewards: stake.rewards.held,
        pending_commission: stake.rewards.commission,
        open_batch: stake.batch,
        unbonding: open.map_or(Amount::ZERO, |batch| batch.fund.held),
        closed: stake.closed,
        slash: stake.slash.map(Into::into),
    })
}

fn get_delegations(context: &Context, asked: DelegationsParams) -> Result<DelegationsView, RpcError> {
    let limit = limit(asked.limit, 100, MAX_PAGE)?;
    let after = asked.cursor.as_deref().map(|cursor| cursor.parse().map(StakeId::new)).transpose();
    let after = after.map_err(|_| bad_params("not a cursor of this method"))?;
    look(context, |block, tree| {
        let mut held: BTreeMap<StakeId, (Option<Delegation>, Option<Unbonding>)> = BTreeMap::new();
        for (id, delegation) in delegations(tree, &asked.account)? {
            held.entry(id).or_default().0 = Some(delegation);
        }
        for (id, unbonding) in unbondings(tree, &asked.account)? {
            held.entry(id).or_default().1 = Some(unbonding);
        }
        held.retain(|id, _| after.is_none_or(|after| *id > after));
        let more = held.len() > limit;
        let page: Vec<_> = held.into_iter().take(limit).collect();
        let next = page.last().filter(|_| more).map(|(id, _)| id.to_string());
        let views = page
            .into_iter()
            .map(|(id, (own, unbonding))| delegation_view(tree, &block.header, &asked.account, (id, own, unbonding)));
        Ok(DelegationsView {
            staking: staking_view(tree, block.header.height)?,
            account: asked.account,
            validators: views.collect::<Result<_, Fault>>()?,
            next,
        })
    })
}

fn delegation_view(
    tree: &Tree,
    head: &Header,
    account: &Address,
    (id, own, unbonding): (StakeId, Option<Delegation>, Option<Unbonding>),
) -> Result<DelegationView, Fault> {
    let named = own.as_ref().map(|own| own.validator).or(unbonding.as_ref().map(|unbonding| unbonding.validator));
    let validator = named.ok_or_else(|| Fault::new("a delegation of nothing"))?;
    let stake = stake(tree, &validator)?.ok_or_else(|| Fault::new(format!("{validator} has no stake")))?;
    let shares = own.map_or(Amount::ZERO, |own| own.shares);
    let (reward, commission) = withdrawable(tree, account, &validator)?;
    let entries = unbonding.iter().flat_map(|unbonding| unbonding.entries.iter());
    let unbonding = entries.map(|entry| unbonding_view(tree, head, id, entry)).collect::<Result<_, Fault>>()?;
    Ok(DelegationView { validator, shares, worth: stake.bonded.worth(shares), reward, commission, unbonding })
}

fn unbonding_view(tree: &Tree, head: &Header, id: StakeId, entry: &UnbondingEntry) -> Result<UnbondingView, Fault> {
    let UnbondingEntry { batch, shares } = *entry;
    let found = BATCHES.get(tree, &(id, batch))?;
    let found = found.ok_or_else(|| Fault::new(format!("batch {batch} of stake {id} has no row")))?;
    let (closed, params) = (found.closed, params(tree)?);
    let next = Now { height: head.height.next(), timestamp: head.timestamp_ms, params: &params };
    Ok(UnbondingView {
        batch,
        shares,
        worth: found.fund.worth(shares),
        free_from: closed.map(|closed| closed.free_from(&params)),
        free_at: closed.map(|closed| closed.free_at(&params)),
        // The next block's time is not before the newest one's.
        is_free: closed.is_some_and(|closed| closed.is_free(next)),
    })
}
