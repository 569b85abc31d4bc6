//! `account`: balances, nonces, history, delegates.

use super::Verb::Get;
use super::chain::own_item;
use super::market::{last_page, read_cursor};
use super::tx::{known_asset, limit};
use super::{Context, Method, entry, look, to_tx_view};
use crate::errors::RpcError;
use crate::view::*;
use chain_core::state::market::grant::{GRANTS, grant};

/// Most transactions in one page.
const MAX_PAGE: u32 = 1000;
/// Most blocks a page is collected from: each may be several MiB.
const MAX_PAGE_BLOCKS: usize = 200;

/// The methods of this namespace.
pub const METHODS: &[Method] = &[
    entry!("account", now get_balance, BalanceParams => BalanceView, 1, r#"{"address":"$address"}"#,
        [(Get, "/rpc/get_balance/{address}"), (Get, "/rpc/balance/{address}"), (Get, "/rpc/getBalance/{address}")],
        "get_balance", "What an account holds of an asset."),
    entry!("account", now get_account, AccountParams => AccountView, 2, r#"{"address":"$address"}"#,
        [(Get, "/rpc/account/{address}"), (Get, "/rpc/accounts/{address}")],
        "get_account", "An account: nonce, balances, who may sign."),
    entry!("account", disk get_history, HistoryParams => HistoryView, 50, r#"{"address":"$address","limit":10}"#,
        [(Get, "/rpc/history/{address}")],
        "get_history", "Final transactions that concern an account, and what blocks did to it by themselves, newest first, in pages."),
    entry!("account", now get_delegates, DelegatesParams => DelegatesView, 10, r#"{"account":"$address","limit":10}"#,
        [(Get, "/v1/accounts/{account}/delegates")],
        "get_delegates", "Who may spend an account's money on jobs, on which, and what they have spent."),
];

fn get_balance(context: &Context, params: BalanceParams) -> Result<BalanceView, RpcError> {
    let asset = known_asset(context, params.asset)?;
    let (height, balance) = context.backend.balance(&params.address, params.asset)?;
    Ok(BalanceView {
        address: params.address,
        asset: params.asset,
        balance,
        symbol: asset.symbol.to_string(),
        formatted: asset.token().format(balance),
        height,
    })
}

pub(crate) fn get_account(context: &Context, params: AccountParams) -> Result<AccountView, RpcError> {
    let state = context.backend.account(&params.address)?;
    let next_nonce = context.backend.next_nonce(&params.address)?;
    let balances = state.balances.into_iter().map(|(asset, balance)| AssetBalance { asset, balance });
    Ok(AccountView {
        address: params.address,
        height: state.height,
        nonce: U64(state.account.nonce),
        next_nonce: U64(next_nonce),
        balance: state.account.balance,
        balances: balances.collect(),
        authority: state.account.authority,
        memo_required: state.account.memo_required,
        module: params.address.is_module(),
    })
}

fn get_history(context: &Context, params: HistoryParams) -> Result<HistoryView, RpcError> {
    let limit = limit(params.limit, 50, MAX_PAGE)?.min(MAX_PAGE_BLOCKS);
    let page = context.backend.history(&params.address, params.cursor.as_deref(), limit)?;
    let mut transactions = Vec::with_capacity(page.entries.len());
    let (mut own, mut open) = (Vec::new(), None);
    for (height, index) in page.entries {
        let block = match open.take() {
            Some(block) => block,
            None => context.backend.block(height)?,
        };
        // Entries of one block stand together: it is read once.
        let block = if block.header.height == height { block } else { context.backend.block(height)? };
        match own_item(&block, index) {
            Some(item) => own.push(OwnEntryView { height, timestamp: block.header.timestamp_ms, item }),
            None => transactions.push(to_tx_view(&block, index)?),
        }
        open = Some(block);
    }
    Ok(HistoryView { address: params.address, transactions, own, next: page.next })
}

fn get_delegates(context: &Context, asked: DelegatesParams) -> Result<DelegatesView, RpcError> {
    let limit = limit(asked.limit, 100, MAX_PAGE)?;
    let after = read_cursor(asked.cursor.as_deref(), 14)?.unwrap_or_default();
    look(context, |block, tree| {
        let (mut delegates, mut last) = (Vec::new(), None);
        if let Some(delegate) = &asked.delegate {
            delegates.extend(grant(tree, &asked.account, delegate)?.map(DelegateView::from));
        } else {
            let from = [asked.account.as_bytes().as_slice(), &after].concat();
            for row in GRANTS.scan_from(tree, &from) {
                let (key, grant) = row?;
                let Some(own) = key.strip_prefix(asked.account.as_bytes().as_slice()) else { break };
                if own == after {
                    continue;
                }
                // One more than asked for says that there are more.
                if delegates.len() == limit {
                    last = delegates_cursor(&delegates);
                    break;
                }
                delegates.push(grant.into());
            }
        }
        let (height, timestamp) = (block.header.height, block.header.timestamp_ms);
        Ok(DelegatesView { account: asked.account, height, timestamp, delegates, next: last })
    })
}

/// The beginning of the last one's address: what its row is kept under.
fn delegates_cursor(delegates: &[DelegateView]) -> Option<String> {
    delegates.last().and_then(|last| last.delegate.as_bytes().get(..14)).map(last_page)
}
