//! `chain`: blocks, certificates, supply, proofs.
//!
//! Not here: who validates and by which rules (`authority`).

use super::Verb::Get;
use super::{Context, Method, entry};
use crate::backend::BackendError;
use crate::errors::{INVALID_PARAMS, NOT_FOUND, REJECTION_CODES, RpcError, bad_params, rejection_http};
use crate::view::*;
use chain_core::block::{Block, FinalBlock, Outcome};
use chain_core::codec;
use chain_core::crypto::merkle::list_proof;
use chain_core::ledger::CommittedBlock;
use chain_core::limits::{MAX_RANGE_BLOCKS, RANGE_BYTES};
use chain_core::mempool::Status;
use chain_core::state::market::{dispute::DISPUTES, job::JOBS, model::MODELS, post::POSTS, provider::PROVIDERS};
use chain_core::state::{ACCOUNTS, RowKey, money::BALANCES};
use chain_core::tx::{FAMILIES, Family, Signed, all_rejections};
use chain_core::types::{Address, AssetId, Height, TxId, WireId};
use std::sync::Arc;

/// Most blocks in one answer of `get_blocks`.
pub const MAX_RANGE: u64 = 100;
/// Once an answer of `get_blocks` has this many bytes of bodies and events it ends early.
const MAX_RANGE_BYTES: usize = 2 * 1024 * 1024;

/// The methods of this namespace.
pub const METHODS: &[Method] = &[
    entry!("chain", now get_head, Nothing => HeadView, 1, "{}",
        [(Get, "/rpc/get_head"), (Get, "/rpc/head"), (Get, "/rpc/height")],
        "get_head", "The newest final block in short."),
    entry!("chain", disk get_block, BlockParams => BlockView, 5, r#"{"block":"latest"}"#,
        [(Get, "/rpc/get_block/{block}"), (Get, "/rpc/blocks/{block}"), (Get, "/rpc/block/{block}")],
        "get_block", "A final block by height, hash or `latest`: its transactions or their ids, and what it did by itself."),
    entry!("chain", disk get_header, WhichBlock => HeaderView, 2, r#"{"block":"latest"}"#,
        [(Get, "/rpc/header/{block}")],
        "get_header", "The header of a final block; kept where the body is pruned."),
    entry!("chain", disk get_blocks, RangeParams => BlocksView, 50, r#"{"from":"0","to":"1"}"#,
        [(Get, "/rpc/blocks-range")],
        "get_blocks", "At most 100 final blocks, ascending; `next` says where to continue."),
    entry!("chain", disk get_final_blocks, FinalBlocksParams => FinalBlocksView, 50, r#"{"from":"1","count":1}"#,
        [(Get, "/rpc/final_blocks")],
        "get_final_blocks", "Final blocks with their certificates as canonical bytes, for a node that follows from afar."),
    entry!("chain", disk get_certificate, WhichBlock => CertificateView, 5, r#"{"block":"latest"}"#,
        [(Get, "/rpc/certificate/{block}")],
        "get_certificate", "The proof that a block is final."),
    entry!("chain", disk get_genesis, Nothing => GenesisView, 10, "{}", [(Get, "/rpc/genesis")],
        "get_genesis", "What the chain began with."),
    entry!("chain", now get_supply, Nothing => SupplyView, 5, "{}", [(Get, "/rpc/supply")],
        "get_supply", "Per asset what exists, and how much of it is in each place it can be in."),
    entry!("chain", disk get_proof, ProofParams => ProofView, 20, r#"{"address":"$address"}"#, [(Get, "/rpc/proof")],
        "get_proof", "Proof of an account, a balance, a job, a provider, a model, any state row or an outcome, with header and certificate."),
    entry!("chain", disk get_state_root, WhichBlock => StateRootView, 2, r#"{"block":"latest"}"#,
        [(Get, "/rpc/state-root")],
        "get_state_root", "The state root after a final block."),
    entry!("chain", now get_schema, Nothing => SchemaView, 10, "{}", [(Get, "/rpc/schema")],
        "get_schema", "Every action with examples, and every rejection with its codes."),
];

fn get_head(context: &Context, _: Nothing) -> Result<HeadView, RpcError> {
    Ok(HeadView::of(&context.backend.head()))
}

fn get_block(context: &Context, params: BlockParams) -> Result<BlockView, RpcError> {
    to_block_view(&*block(context, params.block)?, params.include)
}

fn get_header(context: &Context, params: WhichBlock) -> Result<HeaderView, RpcError> {
    let header = context.backend.header(height(context, params.block)?)?;
    Ok(HeaderView { hash: header.id(), time: rfc3339(header.timestamp_ms), header })
}

fn get_blocks(context: &Context, params: RangeParams) -> Result<BlocksView, RpcError> {
    let head = context.backend.head().header.height;
    let last = params.from.saturating_add(MAX_RANGE - 1);
    let to = params.to.unwrap_or(last.min(head));
    if to < params.from {
        return Err(INVALID_PARAMS.because(format_args!("to ≥ {}", params.from), to));
    }
    if to > last {
        return Err(INVALID_PARAMS.because(format_args!("at most {MAX_RANGE} blocks: to ≤ {last}"), to));
    }
    let (mut blocks, mut bytes, mut next) = (Vec::new(), 0, params.from);
    while next <= to.min(head) && bytes < MAX_RANGE_BYTES {
        let block = context.backend.block(next)?;
        bytes += block.body.transactions().iter().map(Vec::len).sum::<usize>();
        bytes += codec::encode(&block.results.events).len();
        blocks.push(to_block_view(&block, params.include)?);
        next = next.next();
    }
    Ok(BlocksView { blocks, next: (next <= head).then_some(next) })
}

fn get_final_blocks(context: &Context, params: FinalBlocksParams) -> Result<FinalBlocksView, RpcError> {
    let FinalBlocks { head, oldest, blocks } = final_blocks(context, params)?;
    let (count, blocks) = (blocks.len() as u32, Base64(codec::encode(&blocks)));
    Ok(FinalBlocksView { from: params.from, head, oldest, count, blocks })
}

/// Consecutive final blocks, and between which heights there are any.
pub(crate) struct FinalBlocks {
    head: Height,
    oldest: Height,
    pub(crate) blocks: Vec<FinalBlock>,
}

/// As many as fit: the first one always does, so whoever asks again always gets on.
pub(crate) fn final_blocks(context: &Context, params: FinalBlocksParams) -> Result<FinalBlocks, RpcError> {
    let FinalBlocksParams { from, count } = params;
    if from == Height::ZERO {
        return Err(INVALID_PARAMS.because("from ≥ 1", from));
    }
    if count == 0 || count as usize > MAX_RANGE_BLOCKS {
        return Err(INVALID_PARAMS.because(format_args!("count from 1 to {MAX_RANGE_BLOCKS}"), count));
    }
    let (head, oldest) = (context.backend.head().header.height, context.backend.node().oldest_body);
    let end = from.saturating_add(u64::from(count)).min(head.next());
    let (mut blocks, mut bytes, mut height) = (Vec::new(), 0, from);
    while height >= oldest && height < end {
        let CommittedBlock { header, body, certificate, .. } = &*context.backend.block(height)?;
        let block = Block { header: header.clone(), body: body.clone() };
        let block = FinalBlock { block, certificate: certificate.clone() };
        bytes += codec::encode(&block).len();
        if bytes > RANGE_BYTES && !blocks.is_empty() {
            break;
        }
        blocks.push(block);
        height = height.next();
    }
    Ok(FinalBlocks { head, oldest, blocks })
}

fn get_certificate(context: &Context, params: WhichBlock) -> Result<CertificateView, RpcError> {
    let header = context.backend.header(height(context, params.block)?)?;
    let certificate = context.backend.certificate(header.height)?;
    let bytes = certificate.as_ref().map(|certificate| Bytes(codec::encode(certificate)));
    Ok(CertificateView { height: header.height, hash: header.id(), certificate, bytes })
}

fn get_genesis(context: &Context, _: Nothing) -> Result<GenesisView, RpcError> {
    let chain = context.backend.chain();
    Ok(GenesisView {
        chain_id: chain.id,
        name: chain.name.clone(),
        hash: context.backend.header(Height::ZERO)?.id(),
        spec: chain.spec.clone(),
        canonical_bytes: U64(chain.genesis.len() as u64),
    })
}

fn get_supply(context: &Context, _: Nothing) -> Result<SupplyView, RpcError> {
    let (height, supplies) = context.backend.supply()?;
    let assets = supplies.into_iter().map(|supply| AssetSupply {
        asset: supply.id,
        symbol: supply.asset.symbol.to_string(),
        units_per_token: supply.asset.units_per_token,
        supply: supply.asset.supply(),
        minted: supply.asset.minted,
        burned: supply.asset.burned,
        max_supply: supply.asset.max_supply,
        in_accounts: supply.in_accounts,
        in_stakes: supply.in_stakes,
        in_unbonding: supply.in_unbonding,
        in_rewards: supply.in_rewards,
        in_prepaid: supply.in_prepaid,
        in_escrow: supply.in_escrow,
        in_dispute_bonds: supply.in_dispute_bonds,
        in_bonds: supply.in_bonds,
        in_earnings: supply.in_earnings,
        in_treasury: supply.in_treasury,
        in_votes: supply.in_votes,
        in_proposal_fees: supply.in_proposal_fees,
        in_rejected_pool: supply.in_rejected_pool,
        in_compensations: supply.in_compensations,
        conserved: supply.is_conserved(),
    });
    Ok(SupplyView { height, assets: assets.collect() })
}

fn get_proof(context: &Context, params: ProofParams) -> Result<ProofView, RpcError> {
    let place = params.height.zip(params.index);
    if params.height.is_some() != params.index.is_some() {
        return Err(bad_params("give height and index together: the place of an outcome"));
    }
    let key = match (row_key(&params)?.as_slice(), params.tx_id, place) {
        ([key], None, None) => *key,
        ([], Some(id), None) => return Ok(ProofView::Outcome(Box::new(outcome_proof(context, id)?))),
        ([], None, Some(place)) => return Ok(ProofView::Outcome(Box::new(proof_at(context, place)?))),
        _ => {
            return Err(bad_params(
                "give exactly one of address, key, job, post, dispute, provider, model, tx_id, and height with index",
            ));
        }
    };
    let found = context.backend.prove_row(&key)?;
    let anchor = Anchor { hash: found.header.id(), header: found.header, certificate: found.certificate };
    let present = found.proof.key == Some(key);
    Ok(ProofView::Row(Box::new(RowProofView { key, present, proof: found.proof, anchor })))
}

/// The keys of the rows that are asked for.
fn row_key(params: &ProofParams) -> Result<Vec<RowKey>, RpcError> {
    let account = |address: Address| match params.asset {
        AssetId::NATIVE => ACCOUNTS.key(&address),
        asset => BALANCES.key(&(address, asset)),
    };
    let named = params.key.as_ref().map(|Bytes(key)| RowKey::new(key).map_err(bad_params)).transpose()?;
    let market = [
        params.job.map(|job| JOBS.key(&job)),
        params.post.map(|job| POSTS.key(&job)),
        params.dispute.map(|job| DISPUTES.key(&job)),
        params.provider.map(|provider| PROVIDERS.key(&provider)),
        params.model.map(|model| MODELS.key(&model)),
    ];
    Ok(params.address.map(account).into_iter().chain(named).chain(market.into_iter().flatten()).collect())
}

/// The proof of a final transaction's outcome.
fn outcome_proof(context: &Context, id: TxId) -> Result<OutcomeProof, RpcError> {
    match context.backend.status(&id)? {
        Status::Final { height, index } => prove_outcome(&*context.backend.block(height)?, index),
        _ => Err(NOT_FOUND.hint("only final transactions have outcomes; get_tx says the status")),
    }
}

/// The proof of the outcome at a place of a block, also of what the block did by itself.
fn proof_at(context: &Context, (height, index): (Height, u32)) -> Result<OutcomeProof, RpcError> {
    let block = context.backend.block(height)?;
    match block.results.outcomes.len() {
        count if index as usize >= count => {
            Err(NOT_FOUND.because(format_args!("an index below {count}: the outcomes of block {height}"), index))
        }
        _ => prove_outcome(&block, index),
    }
}

/// The proof of an outcome of a block.
pub(crate) fn prove_outcome(block: &CommittedBlock, index: u32) -> Result<OutcomeProof, RpcError> {
    let chain = block.header.chain_id;
    let leaves: Vec<_> = block.results.outcomes.iter().map(|outcome| outcome.hash(&chain)).collect();
    let proof = list_proof(&chain.0, &leaves, index);
    let outcome: Option<&Outcome> = block.results.outcomes.get(index as usize);
    let (Some(proof), Some(outcome)) = (proof, outcome) else {
        return Err(BackendError::Fault(format!("block {} has no outcome {index}", block.header.height)).into());
    };
    let events = block.results.events.get(index as usize).map(|events| Bytes(codec::encode(events)));
    let anchor = Anchor { hash: block.id, header: block.header.clone(), certificate: block.certificate.clone() };
    Ok(OutcomeProof { outcome: outcome.clone(), index, proof, events, anchor })
}

fn get_state_root(context: &Context, params: WhichBlock) -> Result<StateRootView, RpcError> {
    let header = context.backend.header(height(context, params.block)?)?;
    Ok(StateRootView { height: header.height, hash: header.id(), state_root: header.state_root })
}

fn get_schema(_: &Context, _: Nothing) -> Result<SchemaView, RpcError> {
    let rejections = all_rejections().map(|rejection| RejectionView {
        number: rejection.number,
        name: rejection.name.into(),
        message: rejection.message.into(),
        code: REJECTION_CODES + i32::from(rejection.number),
        http: rejection_http(rejection),
    });
    Ok(SchemaView { families: FAMILIES.iter().map(family_view).collect(), rejections: rejections.collect() })
}

fn family_view(family: &Family) -> FamilyView {
    let examples = (family.examples)();
    let actions = family.actions.iter().map(|(number, name)| {
        let mut own = examples.iter().filter(|example| example.name() == *name).peekable();
        let (bytes, weight) = own.peek().map(|a| (codec::encode(*a), a.rules().weight())).unwrap_or_default();
        ActionView {
            number: u16::from_be_bytes([family.number, *number]),
            name: (*name).into(),
            examples: own.filter_map(|example| serde_json::to_value(example).ok()).collect(),
            example_bytes: Bytes(bytes),
            weight: U64(weight),
        }
    });
    FamilyView { number: family.number, name: family.name.into(), actions: actions.collect() }
}

/// The height a reference means; of a height above the head too.
fn height(context: &Context, block: BlockRef) -> Result<Height, RpcError> {
    match block {
        BlockRef::Latest => Ok(context.backend.head().header.height),
        BlockRef::Height(height) => Ok(height),
        BlockRef::Id(id) => Ok(context.backend.block_height(&id)?),
    }
}

/// The block a reference means.
pub(crate) fn block(context: &Context, block: BlockRef) -> Result<Arc<CommittedBlock>, RpcError> {
    if block == BlockRef::Latest {
        return Ok(context.backend.head());
    }
    Ok(context.backend.block(height(context, block)?)?)
}

/// A block in its JSON shape.
pub(crate) fn to_block_view(block: &CommittedBlock, include: Include) -> Result<BlockView, RpcError> {
    let header = &block.header;
    let count = block.body.transactions().len() as u32;
    let transactions = match include {
        Include::Full => Some((0..count).map(|index| to_tx_view(block, index)).collect::<Result<_, _>>()?),
        _ => None,
    };
    Ok(BlockView {
        head: HeadView::of(block),
        version: header.version,
        tx_root: header.tx_root,
        outcome_root: header.outcome_root,
        validators_hash: header.validators_hash,
        next_validators_hash: header.next_validators_hash,
        size: U64(block.body.transactions().iter().map(|bytes| bytes.len() as u64 + 4).sum::<u64>() + 4),
        tx_ids: (include != Include::None).then(|| block.tx_ids.clone()),
        transactions,
        own: (include != Include::None).then(|| own_items(block)),
    })
}

/// What a block did by itself: the outcomes behind those of its transactions.
fn own_items(block: &CommittedBlock) -> Vec<OwnItemView> {
    (0u32..).zip(&block.results.outcomes).filter_map(|(index, _)| own_item(block, index)).collect()
}

/// What a block did by itself at this place; `None` where a transaction has it, or nothing.
pub(crate) fn own_item(block: &CommittedBlock, index: u32) -> Option<OwnItemView> {
    let place = index as usize;
    let (outcome, events) = (block.results.outcomes.get(place)?, block.results.events.get(place)?);
    let is_own = place >= block.body.transactions().len();
    is_own.then(|| OwnItemView { item_id: outcome.wire_id, index, events: events_view(events) })
}

/// A transaction of a final block in its JSON shape. What a final block holds and can't be read
/// is our own fault.
pub(crate) fn to_tx_view(block: &CommittedBlock, index: u32) -> Result<TxView, RpcError> {
    let place = index as usize;
    let fault = |what: &str| BackendError::Fault(format!("block {}, place {index}: {what}", block.header.height));
    let bytes = block.body.transactions().get(place).ok_or_else(|| fault("no transaction"))?;
    let signed: Signed =
        codec::decode(bytes, chain_core::limits::MAX_TX_BYTES).map_err(|error| fault(&error.to_string()))?;
    let chain = block.header.chain_id;
    let outcome = block.results.outcomes.get(place).ok_or_else(|| fault("no outcome"))?;
    let events = block.results.events.get(place).map(Vec::as_slice).unwrap_or_default();
    Ok(TxView {
        tx_id: signed.transaction.id(&chain),
        wire_id: WireId(Signed::wire_id(bytes, &chain).0),
        height: block.header.height,
        index,
        timestamp: block.header.timestamp_ms,
        signed,
        outcome: OutcomeView::of(outcome),
        events: events_view(events),
    })
}
