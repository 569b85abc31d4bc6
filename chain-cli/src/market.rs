//! What all commands of the market share: models by name, amounts of several assets, pages, kinds of units.
//!
//! Not here: what happened, in words (`market_told`); the commands.

use std::collections::{BTreeMap, BTreeSet};

use chain_core::{
    codec::Text,
    types::{Amount, AssetId, JobId, MarketMs, ModelId, Price, Token, UnitKind},
};
use chain_rpc::view::{JobView, ModelView, ModelsParams};
use clap::{Args, ValueEnum};

use crate::{
    error::{Answer, CliError},
    node::Node,
    output::{Lines, money, span},
};

/// Rows the node is asked for at a time.
const PAGE: u32 = 200;

/// How much of a list is shown.
#[derive(Debug, Clone, Args)]
pub struct Paging {
    /// At most so many
    #[arg(long, default_value_t = 20, conflicts_with = "all")]
    limit: u32,
    /// Go on where the page before ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// All of them, page by page
    #[arg(long)]
    all: bool,
}

impl Paging {
    /// All of a list.
    pub fn whole() -> Self {
        Self { limit: PAGE, cursor: None, all: true }
    }

    /// Asks for pages until there is what was wished for; answers also where the next page starts. A page of the
    /// node may be short, even empty, and have a next one.
    pub async fn read<T>(
        &self,
        mut ask: impl AsyncFnMut(Option<String>, u32) -> Answer<(Vec<T>, Option<String>)>,
    ) -> Answer<(Vec<T>, Option<String>)> {
        let (mut found, mut cursor) = (Vec::new(), self.cursor.clone());
        loop {
            let left = match self.all {
                true => PAGE,
                // One list holds less than 2^32 entries where a limit is given.
                false => self.limit.saturating_sub(found.len() as u32).min(1000),
            };
            let (page, next) = ask(cursor.clone(), left).await?;
            found.extend(page);
            let enough = !self.all && found.len() >= self.limit as usize;
            if next.is_none() || enough {
                return Ok((found, next));
            }
            if next == cursor {
                return Err(CliError::Failed("the node's list goes round in circles".into()));
            }
            cursor = next;
        }
    }
}

/// Says where the next page starts, if there is one.
pub fn more(lines: &mut Lines, next: Option<&String>) {
    if let Some(next) = next {
        lines.line(format_args!("more: --cursor {next}, or --all"));
    }
}

/// What is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Tokens of a text model
    Tokens,
    /// Pictures
    Images,
    /// Seconds of sound, film or a machine
    Seconds,
    /// Answers of any size
    Requests,
}

impl From<Unit> for UnitKind {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Tokens => Self::Tokens,
            Unit::Images => Self::Images,
            Unit::Seconds => Self::Seconds,
            Unit::Requests => Self::Requests,
        }
    }
}

/// A job somebody works on.
pub async fn begun(node: &Node, job: JobId) -> Answer<JobView> {
    let none =
        || CliError::Failed(format!("job {job} is posted and nobody works on it; `chain job bids {job}` lists bids"));
    node.client.get_job(job).await?.job.begun().ok_or_else(none)
}

/// A bounded text, or which argument is none.
pub fn text<const N: usize>(what: &str, text: &str) -> Answer<Text<N>> {
    Text::new(text).map_err(|error| CliError::Usage(format!("{what}: {error}")))
}

/// A price: an amount of an asset for 1000 units.
pub async fn price(node: &Node, text: &str) -> Answer<(AssetId, Price)> {
    let (asset, amount) = node.amount(text).await?;
    Ok((asset, Price::new(amount.get())))
}

/// A price that must be of this asset.
pub async fn price_of(node: &Node, asset: AssetId, text: &str) -> Answer<Price> {
    let (found, price) = price(node, text).await?;
    same(node, (asset, found), text).await?;
    Ok(price)
}

/// An amount that must be of this asset.
pub async fn amount_of(node: &Node, asset: AssetId, text: &str) -> Answer<Amount> {
    let (found, amount) = node.amount(text).await?;
    same(node, (asset, found), text).await?;
    Ok(amount)
}

async fn same(node: &Node, (wanted, found): (AssetId, AssetId), text: &str) -> Answer<()> {
    if wanted == found {
        return Ok(());
    }
    let symbol = node.token(wanted).await?.symbol;
    Err(CliError::Usage(format!("'{text}' must be an amount of {symbol}")))
}

/// An amount of the asset bonds and votes are made of.
pub async fn bond_amount(node: &Node, text: &str) -> Answer<Amount> {
    amount_of(node, node.client.get_market().await?.stake_asset, text).await
}

/// The model a text means: `0x…`, or its repo and file as `repo/file` or `repo:file`, or its file alone.
pub async fn model(node: &Node, text: &str) -> Answer<ModelId> {
    if text.starts_with("0x") {
        return text.parse().map_err(|error| CliError::Usage(format!("{text}: {error}")));
    }
    let all = models(node, &ModelsParams::default(), &Paging::whole()).await?.0;
    meant(&all, text)
}

/// The models several texts mean.
pub async fn models_meant(node: &Node, texts: &[String]) -> Answer<Vec<ModelId>> {
    let mut found = Vec::new();
    for text in texts {
        found.push(model(node, text).await?);
    }
    Ok(found)
}

fn meant(all: &[ModelView], text: &str) -> Answer<ModelId> {
    let is_whole = |one: &&ModelView| {
        let rest = text.strip_prefix(one.repo.as_str()).and_then(|rest| rest.strip_prefix(['/', ':']));
        rest == Some(one.file.as_str())
    };
    let mut found: Vec<_> = all.iter().filter(is_whole).collect();
    if found.is_empty() {
        found = all.iter().filter(|one| one.file == text).collect();
    }
    match found.as_slice() {
        [one] => Ok(one.model),
        [] => Err(CliError::Failed(format!("no model is called {text}; `chain model list` lists them"))),
        several => {
            let ids: Vec<_> = several.iter().map(|one| one.model.to_string()).collect();
            Err(CliError::Usage(format!("'{text}' means several models; name one by its id: {}", ids.join(", "))))
        }
    }
}

/// Models, as far as pages are wished for.
pub async fn models(node: &Node, asked: &ModelsParams, paging: &Paging) -> Answer<(Vec<ModelView>, Option<String>)> {
    paging
        .read(async |cursor, limit| {
            let page = node.client.get_models(&ModelsParams { cursor, limit: Some(limit), ..asked.clone() }).await?;
            Ok((page.models, page.next))
        })
        .await
}

/// How models are called.
#[derive(Debug, Default)]
pub struct Called(BTreeMap<ModelId, String>);

impl Called {
    /// Asks for each of these models once.
    pub async fn of(node: &Node, ids: impl IntoIterator<Item = ModelId>) -> Answer<Self> {
        let ids: BTreeSet<ModelId> = ids.into_iter().collect();
        let mut names = BTreeMap::new();
        for id in ids {
            let view = node.client.get_model(id).await?;
            names.insert(id, format!("{}/{}", view.repo, view.file));
        }
        Ok(Self(names))
    }

    /// The model's repo and file, or its id.
    pub fn name(&self, id: &ModelId) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// How amounts of several assets are written.
#[derive(Debug, Default)]
pub struct Tokens(BTreeMap<AssetId, Token>);

impl Tokens {
    /// Of these assets.
    pub async fn of(node: &Node, assets: impl IntoIterator<Item = AssetId>) -> Answer<Self> {
        let assets: BTreeSet<AssetId> = assets.into_iter().collect();
        let mut tokens = BTreeMap::new();
        for asset in assets {
            tokens.insert(asset, node.token(asset).await?);
        }
        Ok(Self(tokens))
    }

    /// An amount in tokens.
    pub fn money(&self, asset: AssetId, amount: Amount) -> String {
        match self.0.get(&asset) {
            Some(token) => money(token, amount),
            None => format!("{amount} base units of asset {asset}"),
        }
    }

    /// A price for 1000 units, in tokens.
    pub fn price(&self, asset: AssetId, price: Price) -> String {
        self.money(asset, Amount::new(price.get()))
    }

    /// The asset's symbol, or its number.
    pub fn symbol(&self, asset: AssetId) -> String {
        self.0.get(&asset).map_or_else(|| asset.to_string(), |token| token.symbol.clone())
    }
}

/// A time of the market, seen from another: `in 5 min`, `20 s ago`.
pub fn when(at: MarketMs, now: MarketMs) -> String {
    match at.get().checked_sub(now.get()) {
        Some(0) => "now".into(),
        Some(ahead) => format!("in {}", span(ahead)),
        None => format!("{} ago", span(now.get().saturating_sub(at.get()))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chain_core::crypto::Hash;
    use chain_core::state::market::model::Tier;

    fn view(number: u8, repo: &str, file: &str) -> ModelView {
        let [repo, file, format] = [repo, file, "gguf"].map(str::to_owned);
        let (model, weights) = (ModelId(Hash([number; 32])), Hash([number; 32]));
        let (tier, active, trusted, rate) = (Tier::Curated, true, true, 1);
        ModelView { model, repo, file, weights, format, tier, active, trusted, rate }
    }

    #[test]
    fn a_model_is_meant_by_repo_and_file_or_by_its_file() {
        let all = [view(1, "org/a", "x.gguf"), view(2, "org/b", "x.gguf"), view(3, "org", "a/y.gguf")];
        let found = |text: &str| meant(&all, text).map(|id| id.0.0[0]);
        assert_eq!(found("org/a/x.gguf").unwrap(), 1);
        assert_eq!(found("org/b:x.gguf").unwrap(), 2);
        assert_eq!(found("org:a/y.gguf").unwrap(), 3);
        assert_eq!(found("a/y.gguf").unwrap(), 3, "the only one of this file");
        let several = found("x.gguf").unwrap_err();
        assert!(matches!(&several, CliError::Usage(why) if why.contains(&all[1].model.to_string())), "{several}");
        for unknown in ["org/a", "org/a/x", "x", ""] {
            assert!(matches!(found(unknown), Err(CliError::Failed(_))), "{unknown}");
        }
    }

    #[tokio::test]
    async fn pages_are_read_until_there_is_enough() {
        // Every page is short, every other one empty.
        let ask = async |cursor: Option<String>, limit: u32| {
            assert!(limit > 0);
            let at: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let items = if at.is_multiple_of(2) { vec![at] } else { Vec::new() };
            Ok((items, (at < 9).then(|| (at + 1).to_string())))
        };
        let some = Paging { limit: 2, cursor: None, all: false };
        assert_eq!(some.read(ask).await.unwrap(), (vec![0, 2], Some("3".into())));
        let rest = Paging { cursor: Some("7".into()), ..some.clone() };
        assert_eq!(rest.read(ask).await.unwrap(), (vec![8], None));
        assert_eq!(Paging::whole().read(ask).await.unwrap(), (vec![0, 2, 4, 6, 8], None));
        let circle = async |_: Option<String>, _: u32| Ok((Vec::<u8>::new(), Some("1".into())));
        assert!(some.read(circle).await.is_err());
    }

    #[test]
    fn times_are_told_from_now() {
        let at = |ms| MarketMs::new(ms);
        assert_eq!(when(at(5_000), at(2_000)), "in 3.0 s");
        assert_eq!(when(at(2_000), at(602_000)), "10 min ago");
        assert_eq!(when(at(7), at(7)), "now");
    }
}
