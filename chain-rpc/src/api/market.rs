//! `market`: the market as a whole, models, deposits and earnings.
//!
//! Not here: the rules and the rows (chain-core), providers and offers (`market_provider`), jobs and receipts
//! (`market_job`).

use super::Verb::Get;
use super::tx::limit;
use super::{Context, Method, entry, look};
use crate::backend::BackendError;
use crate::errors::{BUSY, RpcError, bad_params};
use crate::view::*;
use chain_core::Fault;
use chain_core::ledger::market::{ListError, Page, locked};
use chain_core::state::market::model::{MODEL_PROPOSALS, MODEL_VOTES, MODELS, NEXT_MODEL_PROPOSAL, Tier};
use chain_core::state::market::purse::{EARNINGS, PREPAID, REJECTED_POOL, TREASURY};
use chain_core::state::market::terms::{ASSET_TERMS, AssetTerms};
use chain_core::state::market::{UNKNOWN_MODEL, stored};
use chain_core::state::money::ASSETS;
use chain_core::state::{Tree, params};
use chain_core::types::{Address, Amount, AssetId, Height, MarketMs, ModelProposalId};
use std::collections::{BTreeMap, BTreeSet};

/// Most entries in one page.
pub(super) const MAX_PAGE: u32 = 1000;
/// Most rows that are looked at for one page while a commit may wait.
pub(super) const MAX_LOOKS: usize = 2_000;

/// How often figures that belong together are read again because a block came between them.
const RETRIES: usize = 8;

/// The methods of this file.
pub const METHODS: &[Method] = &[
    entry!("market", now get_market, Nothing => MarketView, 5, "{}", [(Get, "/v1/market")],
        "get_market", "The market's clock, whether it is paused, assets with terms and treasury, parameters."),
    entry!("market", now get_models, ModelsParams => ModelsView, 20, r#"{"limit":10}"#, [(Get, "/v1/models")],
        "get_models", "The models that are known, by id, in pages."),
    entry!("market", now get_model, ModelParams => ModelView, 2, r#"{"model":"$model"}"#,
        [(Get, "/v1/models/{model}")],
        "get_model", "A model: what it is, who let it in, whether jobs can be opened for it."),
    entry!("market", now get_model_proposals, ModelProposalsParams => ModelProposalsView, 20, r#"{"limit":10}"#,
        [(Get, "/v1/model_proposals")],
        "get_model_proposals", "Models that are or were voted on, newest first, in pages."),
    entry!("market", disk get_deposits, PurseParams => DepositsView, 10, r#"{"account":"$address"}"#,
        [(Get, "/v1/accounts/{account}/deposits")],
        "get_deposits", "What an account has in the market, per asset: withdrawable, locked in its open jobs, in total."),
    entry!("market", now get_earnings, PurseParams => EarningsView, 2, r#"{"account":"$address"}"#,
        [(Get, "/v1/accounts/{account}/earnings")],
        "get_earnings", "What an account has earned with jobs, per asset: withdrawable, in total, withdrawn."),
];

/// Reads the place after which a page starts: so many bytes in hex.
pub(super) fn read_cursor(cursor: Option<&str>, length: usize) -> Result<Option<Vec<u8>>, RpcError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = hex::decode(cursor).ok().filter(|bytes| bytes.len() == length);
    bytes.map(Some).ok_or_else(|| bad_params("not a cursor of this method"))
}

/// The cursor of a page that ended here.
pub(super) fn last_page(place: &[u8]) -> String {
    hex::encode(place)
}

/// A page as it is told.
pub(super) fn page_view<T, V>(page: Page<T>, now: MarketMs, list: impl FnOnce(Vec<T>) -> V) -> PageView<V> {
    let Page { items, next, height, complete_to, .. } = page;
    PageView { height, complete_to, now, list: list(items), next: next.as_deref().map(last_page) }
}

/// Why something could not be listed.
pub(super) fn unlisted(error: ListError) -> RpcError {
    match error {
        ListError::NotReady => BUSY.error(),
        ListError::Fault(fault) => BackendError::from(fault).into(),
    }
}

fn get_market(context: &Context, _: Nothing) -> Result<MarketView, RpcError> {
    look(context, |block, tree| {
        let market = stored(tree)?;
        Ok(MarketView {
            height: block.header.height,
            now: market.now,
            timestamp: block.header.timestamp_ms,
            paused: market.paused_until.is_some(),
            paused_until: market.paused_until,
            pausable_from: market.pausable_from,
            stake_asset: market.stake_asset,
            assets: market_assets(tree)?,
            params: params(tree)?.market,
        })
    })
}

fn market_assets(tree: &Tree) -> Result<Vec<MarketAssetView>, Fault> {
    let terms = by_asset(ASSET_TERMS.scan(tree))?;
    let (treasury, pool) = (by_asset(TREASURY.scan(tree))?, by_asset(REJECTED_POOL.scan(tree))?);
    let ids: BTreeSet<AssetId> = terms.keys().chain(treasury.keys()).chain(pool.keys()).copied().collect();
    let view = |asset: AssetId| {
        let known = ASSETS.get(tree, &asset)?.ok_or_else(|| Fault::new(format!("asset {asset} has no row")))?;
        let terms: Option<&AssetTerms> = terms.get(&asset);
        Ok(MarketAssetView {
            asset,
            symbol: known.symbol.to_string(),
            accepted: terms.is_some_and(|terms| terms.accepted),
            terms: terms.map(|terms| AssetTermsView {
                min_deposit: terms.min_deposit,
                max_deposit: terms.max_deposit,
                min_price: terms.min_price,
                max_price: terms.max_price,
            }),
            treasury: treasury.get(&asset).copied().unwrap_or_default(),
            rejected_pool: pool.get(&asset).copied().unwrap_or_default(),
        })
    };
    ids.into_iter().map(view).collect()
}

/// Rows whose keys end with the number of an asset.
fn by_asset<'t, V>(rows: impl Iterator<Item = Result<(&'t [u8], V), Fault>>) -> Result<BTreeMap<AssetId, V>, Fault> {
    let row = |row: Result<(&'t [u8], V), Fault>| {
        let (key, value) = row?;
        let id = key.last_chunk().copied().map(u32::from_be_bytes).map(AssetId::new);
        Ok((id.ok_or_else(|| Fault::new("a row of an asset has a bad key"))?, value))
    };
    rows.map(row).collect()
}

fn get_models(context: &Context, asked: ModelsParams) -> Result<ModelsView, RpcError> {
    let limit = limit(asked.limit, 100, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 32)?;
    look(context, |block, tree| {
        let usual = params(tree)?.market.rate;
        let (mut models, mut next, mut last) = (Vec::new(), None, None);
        let rows = MODELS.scan_from(tree, after.as_deref().unwrap_or_default());
        for (looked, row) in rows.skip_while(|row| is_at(row, after.as_deref())).enumerate() {
            if models.len() == limit || looked == MAX_LOOKS {
                next = last.map(last_page);
                break;
            }
            let (key, model) = row?;
            last = Some(key);
            let tier: Option<Tier> = asked.tier;
            if asked.active.is_none_or(|active| active == model.active) && tier.is_none_or(|tier| tier == model.tier) {
                models.push(ModelView::of(model, usual));
            }
        }
        Ok(ModelsView { height: block.header.height, models, next })
    })
}

/// Whether a row is the one the page before ended with.
fn is_at<V>(row: &Result<(&[u8], V), Fault>, after: Option<&[u8]>) -> bool {
    matches!((row, after), (Ok((key, _)), Some(after)) if *key == after)
}

fn get_model(context: &Context, asked: ModelParams) -> Result<ModelView, RpcError> {
    let found = look(context, |_, tree| {
        let usual = params(tree)?.market.rate;
        Ok(MODELS.get(tree, &asked.model)?.map(|model| ModelView::of(model, usual)))
    })?;
    found.ok_or_else(|| UNKNOWN_MODEL.because("a known model", asked.model).into())
}

fn get_model_proposals(context: &Context, asked: ModelProposalsParams) -> Result<ModelProposalsView, RpcError> {
    let limit = limit(asked.limit, 50, MAX_PAGE)?;
    let before = asked.cursor.as_deref().map(str::parse::<u64>).transpose();
    let before = before.map_err(|_| bad_params("not a cursor of this method"))?;
    look(context, |block, tree| {
        let (now, needed) = (stored(tree)?.now, params(tree)?.market.approve_votes);
        let first = NEXT_MODEL_PROPOSAL.get(tree, &())?.map_or(1, ModelProposalId::get);
        let (mut id, mut looked) = (first.min(before.unwrap_or(u64::MAX)), 0);
        let mut proposals = Vec::new();
        while id > 1 && proposals.len() < limit && looked < MAX_LOOKS {
            (id, looked) = (id - 1, looked + 1);
            let number = ModelProposalId::new(id);
            let row = MODEL_PROPOSALS.get(tree, &number)?;
            let row = row.ok_or_else(|| Fault::new(format!("proposal {id} of a model has no row")))?;
            let is_meant = asked.open.is_none_or(|open| open == row.outcome.is_none())
                && asked.model.is_none_or(|model| model == row.spec.id());
            if is_meant {
                let locked = match &asked.voter {
                    Some(voter) => Some(MODEL_VOTES.get(tree, &(*voter, number))?.unwrap_or_default()),
                    None => None,
                };
                proposals.push(ModelProposalView { locked, ..ModelProposalView::of(number, row, needed, now) });
            }
        }
        let next = (id > 1).then(|| id.to_string());
        Ok(ModelProposalsView { height: block.header.height, now, proposals, next })
    })
}

fn get_deposits(context: &Context, asked: PurseParams) -> Result<DepositsView, RpcError> {
    // What is deposited and what is locked must be of one block: money goes from one to the other.
    for _ in 0..RETRIES {
        let before = context.backend.head().header.height;
        let locked = locked(context.backend.market(), &asked.account).map_err(unlisted)?;
        let view = look(context, |block, tree| deposits_view(block.header.height, tree, &asked.account, &locked))?;
        if view.height == before {
            return Ok(view);
        }
    }
    Err(BUSY.error())
}

fn deposits_view(
    height: Height,
    tree: &Tree,
    account: &Address,
    locked: &BTreeMap<AssetId, Amount>,
) -> Result<DepositsView, Fault> {
    let prepaid = by_asset(PREPAID.scan_prefix(tree, account.as_bytes()))?;
    let ids: BTreeSet<AssetId> = prepaid.keys().chain(locked.keys()).copied().collect();
    let view = |asset: AssetId| {
        let of = |sums: &BTreeMap<AssetId, Amount>| sums.get(&asset).copied().unwrap_or_default();
        let (withdrawable, locked) = (of(&prepaid), of(locked));
        let total = withdrawable.checked_add(locked).ok_or_else(|| Fault::new("deposits beyond 128 bits"))?;
        Ok(DepositView { asset, withdrawable, locked, total })
    };
    let assets = ids.into_iter().map(view).collect::<Result<_, Fault>>()?;
    Ok(DepositsView { account: *account, height, assets })
}

fn get_earnings(context: &Context, asked: PurseParams) -> Result<EarningsView, RpcError> {
    look(context, |block, tree| {
        let rows = by_asset(EARNINGS.scan_prefix(tree, asked.account.as_bytes()))?;
        let assets = rows.iter().map(|(asset, row)| EarningView::of(*asset, row)).collect();
        Ok(EarningsView { account: asked.account, height: block.header.height, assets })
    })
}
