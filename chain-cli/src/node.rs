//! The node a command talks to: one WebSocket, the chain it is on, and what its assets are called.
//!
//! Assets are read as rows of the state, by number or by symbol, so that no command makes the node read its whole
//! state.
//! Not here: what is signed and sent (`send`).

use std::{cell::RefCell, collections::BTreeMap};

use chain_core::{
    state::{
        Asset, Content, RowKey, Symbol, decode_value,
        money::{ASSETS, SYMBOLS},
        stakes::{STAKING, Staking},
    },
    tx::Action,
    types::{Amount, AssetId, ChainId, Token, TokenError},
};
use chain_rpc::{
    Client,
    client::ClientError,
    view::{Bytes, ProofParams, ProofView},
};

use crate::error::{Answer, CliError};

/// A node with a connection to it.
#[derive(Debug)]
pub struct Node {
    /// For every call and subscription.
    pub client: Client,
    /// The chain.
    pub chain: ChainId,
    url: String,
    assets: RefCell<BTreeMap<AssetId, Asset>>,
}

impl Node {
    /// Connects and asks for the chain, which must be the pinned one if one is pinned.
    pub async fn connect(url: &str, pinned: Option<ChainId>) -> Answer<Self> {
        let unreachable = |error: ClientError| match error {
            ClientError::Transport(why) => CliError::NoAnswer { url: url.to_owned(), why },
            other => other.into(),
        };
        let client = Client::connect(&socket_url(url)?).await.map_err(unreachable)?;
        let chain = client.get_head().await.map_err(unreachable)?.chain_id;
        match pinned.filter(|pinned| *pinned != chain) {
            Some(pinned) => Err(CliError::Failed(format!("{url} is a node of chain {chain}, not of {pinned}"))),
            None => Ok(Self { client, chain, url: url.to_owned(), assets: RefCell::default() }),
        }
    }

    /// Connects anew to the same node, which must still be on the same chain.
    pub async fn again(&self) -> Answer<Self> {
        Self::connect(&self.url, Some(self.chain)).await
    }

    /// The asset of a number.
    pub async fn asset(&self, id: AssetId) -> Answer<Asset> {
        if let Some(known) = self.assets.borrow().get(&id) {
            return Ok(known.clone());
        }
        let row = self.row(ASSETS.key(&id)).await?;
        let asset: Asset = row.ok_or_else(|| CliError::Failed(format!("there is no asset {id} on this chain")))?;
        self.assets.borrow_mut().insert(id, asset.clone());
        Ok(asset)
    }

    /// The asset with a symbol.
    pub async fn asset_called(&self, symbol: &str) -> Answer<(AssetId, Asset)> {
        let none =
            || CliError::Failed(format!("there is no asset {symbol} on this chain; `chain asset list` lists them"));
        let key = Symbol::new(symbol).map_err(|_| none())?;
        let id = self.row(SYMBOLS.key(&key)).await?.ok_or_else(none)?;
        Ok((id, self.asset(id).await?))
    }

    /// The asset that a symbol or a number means.
    pub async fn asset_meant(&self, text: &str) -> Answer<(AssetId, Asset)> {
        match text.parse().map(AssetId::new) {
            Ok(id) => Ok((id, self.asset(id).await?)),
            Err(_) => self.asset_called(text).await,
        }
    }

    /// How amounts of an asset are written.
    pub async fn token(&self, id: AssetId) -> Answer<Token> {
        Ok(self.asset(id).await?.token())
    }

    /// How fees are written.
    pub async fn native(&self) -> Answer<Token> {
        self.token(AssetId::NATIVE).await
    }

    /// The asset that stakes are made of; `None` where stake gives no weight.
    pub async fn stake_asset(&self) -> Answer<Option<AssetId>> {
        let row: Option<Staking> = self.row(STAKING.key(&())).await?;
        Ok(row.map(|staking| staking.asset))
    }

    /// The asset that bonds and votes in the market are made of, and stakes where there are any.
    async fn bond_asset(&self) -> Answer<AssetId> {
        Ok(self.client.get_market().await?.stake_asset)
    }

    /// What an amount such as `5AIT` means.
    pub async fn amount(&self, text: &str) -> Answer<(AssetId, Amount)> {
        let (id, asset) = self.asset_called(symbol_of(text)?).await?;
        Ok((id, parse_amount(&asset.token(), text)?))
    }

    /// Actions in words, amounts in tokens.
    pub async fn words(&self, actions: &[Action]) -> Vec<String> {
        for id in actions.iter().flat_map(assets_of) {
            // An asset nobody registered has no token; the words then speak of base units.
            let _ = self.asset(id).await;
        }
        let has_stake = actions.iter().any(|action| staked(action).is_some());
        let stake = if has_stake { self.bond_asset().await.ok() } else { None };
        let stake = match stake {
            Some(asset) => self.token(asset).await.ok(),
            None => None,
        };
        let known = self.assets.borrow();
        let tokens = |id: AssetId| known.get(&id).map(Asset::token);
        let words = |action: &Action| {
            let text = action.rules().text(&tokens);
            // The action names no asset: its words count base units of whatever stakes are made of.
            match (staked(action), &stake) {
                (Some(amount), Some(token)) => text.replace(&format!("{amount} base units"), &token.format(amount)),
                _ => text,
            }
        };
        actions.iter().map(words).collect()
    }

    async fn row<V: borsh::BorshDeserialize>(&self, key: RowKey) -> Answer<Option<V>> {
        let params = ProofParams { key: Some(Bytes(key.as_bytes().to_vec())), ..ProofParams::default() };
        let ProofView::Row(row) = self.client.get_proof(&params).await? else {
            return Err(CliError::Failed("the node answers with another proof than asked for".into()));
        };
        match &row.proof.content {
            Content::Value(value) if row.proof.key == Some(key) => {
                decode_value(value).map(Some).map_err(|error| CliError::Failed(format!("the node's answer: {error}")))
            }
            _ => Ok(None),
        }
    }
}

/// The assets an action is about, as far as its words need them.
fn assets_of(action: &Action) -> Vec<AssetId> {
    use chain_core::tx::{account, asset, job, market, transfer};
    match action {
        Action::Transfer(transfer::Action::Transfer { asset, .. } | transfer::Action::Burn { asset, .. })
        | Action::Asset(asset::Action::AssetMint { asset, .. } | asset::Action::AssetSetMinter { asset, .. }) => {
            vec![*asset]
        }
        Action::Account(account::Action::DelegateSet { scope, .. }) => {
            scope.assets.iter().map(|allowance| allowance.asset).collect()
        }
        Action::Job(job::Action::JobOpen(opening)) => vec![opening.asset],
        Action::Market(
            market::Action::AssetTermsSet { asset, .. }
            | market::Action::MarketDeposit { asset, .. }
            | market::Action::MarketWithdraw { asset, .. }
            | market::Action::TreasuryWithdraw { asset, .. },
        ) => vec![*asset],
        Action::Market(market::Action::EarningsWithdraw { items }) => items.iter().map(|item| item.asset).collect(),
        Action::Provider(chain_core::tx::provider::Action::OfferPublish { asset, .. }) => vec![*asset],
        _ => vec![],
    }
}

/// How much stake an action bonds, votes with or takes.
fn staked(action: &Action) -> Option<Amount> {
    use chain_core::tx::{model::Action as Model, provider::Action as Provider, staking::Action as Staking};
    match action {
        Action::Model(Model::ModelVote { amount, .. })
        | Action::Provider(Provider::ProviderBondAdd { amount } | Provider::ProviderSlash { amount, .. }) => {
            Some(*amount)
        }
        Action::Staking(Staking::StakeBond { amount, .. } | Staking::StakeDelegate { amount, .. }) => Some(*amount),
        _ => None,
    }
}

/// The same node's WebSocket: requests and subscriptions share its port.
fn socket_url(url: &str) -> Answer<String> {
    match url.split_once("://") {
        Some(("http", rest)) => Ok(format!("ws://{rest}")),
        Some(("https", rest)) => Ok(format!("wss://{rest}")),
        Some(("ws" | "wss", _)) => Ok(url.to_owned()),
        _ => Err(CliError::Usage(format!("a node's URL starts with http://, https://, ws:// or wss://, not {url}"))),
    }
}

/// The symbol an amount ends with.
pub fn symbol_of(text: &str) -> Answer<&str> {
    let at = text.find(|c: char| c.is_ascii_alphabetic());
    match at.map(|at| text.split_at(at)) {
        Some((number, symbol)) if !number.is_empty() => Ok(symbol),
        _ => Err(CliError::Usage(format!(
            "'{text}' is not an amount; write a number and a symbol, such as 5AIT or 0.25AIT"
        ))),
    }
}

/// What an amount of a token means.
pub fn parse_amount(token: &Token, text: &str) -> Answer<Amount> {
    token.parse(text).map_err(|error: TokenError| CliError::usage(error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_names_its_asset() {
        for (text, symbol) in [("5AIT", "AIT"), ("0.25AIT", "AIT"), ("7/3600AIT", "AIT"), ("1A1", "A1")] {
            assert_eq!(symbol_of(text).unwrap(), symbol);
        }
        for bad in ["5", "", "AIT", "1.5", "€"] {
            assert!(matches!(symbol_of(bad), Err(CliError::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn requests_go_over_the_socket() {
        assert_eq!(socket_url("http://127.0.0.1:8006").unwrap(), "ws://127.0.0.1:8006");
        assert_eq!(socket_url("ws://h:1/x").unwrap(), "ws://h:1/x");
        assert_eq!(socket_url("https://h/node").unwrap(), "wss://h/node");
        for bad in ["ftp://h", "h:1", ""] {
            assert!(matches!(socket_url(bad), Err(CliError::Usage(_))), "{bad}");
        }
    }
}
