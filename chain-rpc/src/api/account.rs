//! `account`: balances, nonces, history, delegates.

use super::Verb::Get;
use super::chain::own_item;
use super::market::{last_page, read_cursor};
use super::tx::{known_asset, limit};
use super::{Context, Method, entry, look, to_tx_view};
use crate::errors::RpcError;
use crate::view::*;
use chain_core::Fault;
use chain_core::state::Tree;
use chain_core::state::market::grant::{GRANTS, Grant, grant};
use chain_core::types::Address;

/// Most transactions in one page.
const MAX_PAGE: u32 = 1000;
/// Most blocks a page is collected from: each may be several MiB.
const MAX_PAGE_BLOCKS: usize = 200;
/// Most grants in one page: each may be several KiB.
const MAX_PAGE_GRANTS: usize = 200;
/// Grants that are read while a commit may wait.
const GRANTS_PER_LOOK: usize = 16;

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
    entry!("account", disk get_delegates, DelegatesParams => DelegatesView, 50, r#"{"account":"$address","limit":10}"#,
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
    let limit = limit(asked.limit, 100, MAX_PAGE)?.min(MAX_PAGE_GRANTS);
    let mut after = read_cursor(asked.cursor.as_deref(), 14)?.unwrap_or_default();
    let (height, timestamp) = look(context, |block, _| Ok((block.header.height, block.header.timestamp_ms)))?;
    let mut view = DelegatesView { account: asked.account, height, timestamp, delegates: Vec::new(), next: None };
    if let Some(delegate) = &asked.delegate {
        let found = look(context, |_, tree| grant(tree, &asked.account, delegate))?;
        view.delegates.extend(found.map(DelegateView::from));
        return Ok(view);
    }
    // A grant can be long: a commit waits for few of them at a time.
    loop {
        let some = GRANTS_PER_LOOK.min(limit.saturating_sub(view.delegates.len()));
        let (found, more) = look(context, |_, tree| grants(tree, &asked.account, &after, some))?;
        view.delegates.extend(found.into_iter().map(DelegateView::from));
        let last = view.delegates.last().and_then(|last| last.delegate.as_bytes().get(..14)).unwrap_or_default();
        if !more {
            return Ok(view);
        }
        if view.delegates.len() >= limit {
            view.next = Some(last_page(last));
            return Ok(view);
        }
        after = last.to_vec();
    }
}

/// So many grants of an account after that one, and whether there are more.
fn grants(tree: &Tree, account: &Address, after: &[u8], limit: usize) -> Result<(Vec<Grant>, bool), Fault> {
    let from = [account.as_bytes().as_slice(), after].concat();
    let mut found = Vec::new();
    for row in GRANTS.scan_from(tree, &from) {
        let (key, grant) = row?;
        let Some(own) = key.strip_prefix(account.as_bytes().as_slice()) else { break };
        if own == after {
            continue;
        }
        // One more than asked for says that there are more.
        if found.len() == limit {
            return Ok((found, true));
        }
        found.push(grant);
    }
    Ok((found, false))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::server::Limits;
    use crate::tests::node::{TestNode, address};
    use crate::{Context, Metrics};

    /// Four blocks of 300 things that concern an account: a page reads each of its blocks once, and writes down
    /// what it shows and no more.
    #[tokio::test]
    async fn a_page_of_a_history_costs_what_it_shows() {
        let node = TestNode::new();
        (0..4).for_each(|_| node.push_own(300, address(7)));
        let context = Context::new(node.clone(), Metrics::new(Default::default()).unwrap(), Limits::default());
        let (mut cursor, mut found) = (None, Vec::new());
        loop {
            node.block_reads();
            let before = EVENTS_SHOWN.get();
            let asked = HistoryParams { address: address(7), limit: Some(150), cursor };
            let page = get_history(&context, asked).unwrap();
            assert_eq!((page.own.len(), page.transactions.len()), (150, 0));
            assert_eq!(node.block_reads(), 1, "150 entries of one block");
            assert_eq!(EVENTS_SHOWN.get() - before, 150, "one event each");
            found.extend(page.own.iter().map(|own| (own.height.get(), own.item.index)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let all = (1..=4u64).flat_map(|height| (0..300u32).map(move |index| (height, index)));
        assert_eq!(found, all.rev().collect::<Vec<_>>());
    }
}
