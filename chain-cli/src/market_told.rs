//! What happened in the market, in words: numbers of new jobs and proposals, and every amount that moved.
//!
//! Not here: events of the council (`commands/authority`) and of stake (`commands/stake`).

use chain_core::types::{Amount, AssetId};
use serde_json::Value;

use crate::{app::Names, error::Answer, market::Tokens, node::Node, output::Lines};

/// Events whose amounts are of the asset bonds are made of.
const OF_STAKE: &[&str] = &[
    "model_proposed",
    "model_voted",
    "model_finalized",
    "model_vote_unlocked",
    "provider_registered",
    "provider_bond_added",
    "provider_left",
    "provider_bond_withdrawn",
    "provider_slashed",
];

/// How amounts of these events are written.
#[derive(Debug, Default)]
pub struct Words {
    tokens: Tokens,
    stake: Option<AssetId>,
}

impl Words {
    /// Asks for the assets of these events.
    pub async fn of(node: &Node, events: &[&Value]) -> Answer<Self> {
        let asset = |event: &&Value| asset_of(event);
        let mut assets: Vec<AssetId> =
            events.iter().filter_map(asset).filter_map(|id| u32::try_from(id).ok()).map(AssetId::new).collect();
        let needs_stake = events.iter().any(|event| OF_STAKE.contains(&kind(event)));
        let stake = if needs_stake { Some(node.client.get_market().await?.stake_asset) } else { None };
        assets.extend(stake);
        Ok(Self { tokens: Tokens::of(node, assets).await?, stake })
    }

    fn amount(&self, event: &Value, value: Option<&Value>) -> String {
        let units = value.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_default();
        let asset = asset_of(event).and_then(|id| u32::try_from(id).ok());
        match asset.map(AssetId::new).or(self.stake) {
            Some(asset) => self.tokens.money(asset, Amount::new(units)),
            None => format!("{units} base units"),
        }
    }
}

/// The asset of an event's amounts: its own, or that of what it tells of.
fn asset_of(event: &Value) -> Option<u64> {
    let inner = ["post", "dispute"].into_iter().filter_map(|name| event.get(name));
    std::iter::once(event).chain(inner).find_map(|part| part.get("asset").and_then(Value::as_u64))
}

fn kind(event: &Value) -> &str {
    event.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Adds what these events say.
pub fn told(lines: &mut Lines, names: &Names, words: &Words, events: &[&Value]) {
    for event in events {
        if let Some((name, text)) = line(words, event) {
            lines.pair(&format!("  {name}"), names.replace(&text));
        }
    }
}

/// What an event says: its name and the words behind it; `None` where it is not of the market.
pub fn line(words: &Words, event: &Value) -> Option<(&'static str, String)> {
    let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let amount = |name: &str| words.amount(event, event.get(name));
    Some(match kind(event) {
        "job_opened" => ("job", format!("{}, {} in escrow of {}", field("job"), amount("deposit"), field("payer"))),
        "job_topped_up" => ("deposit", format!("{} of job {}", amount("deposit"), field("job"))),
        "job_settled" => ("settled", settled(words, event)),
        "job_closing"
        | "job_posted"
        | "job_cancelled"
        | "bid_placed"
        | "job_handover_offered"
        | "job_handed_over"
        | "receipt_accepted" => work(words, event)?,
        "dispute_opened" | "dispute_answered" | "dispute_voted" | "dispute_decided" => disputed(words, event)?,
        "model_added" => ("model", field("model").to_owned()),
        "model_skipped" => ("known", field("model").to_owned()),
        "model_proposed" => ("proposal", format!("{}, fee {}", field("proposal"), amount("fee"))),
        "model_voted" => ("votes", format!("{} of this account, {} in all", amount("locked"), amount("votes"))),
        "model_finalized" => {
            let parts = format!("{} back, {} kept", amount("returned"), amount("forfeited"));
            ("decided", format!("{}: {} votes; of the fee {parts}", field("outcome"), amount("votes")))
        }
        "model_vote_unlocked" => ("unlocked", amount("amount")),
        "provider_registered" => ("provider", format!("{}, bonded {}", field("id"), amount("bond"))),
        "provider_bond_added" => ("bond", amount("bond")),
        "provider_left" => ("left", format!("{} jobs still open, {} bonded", event.get("open_jobs")?, amount("bond"))),
        "provider_bond_withdrawn" => ("withdrawn", amount("amount")),
        "provider_slashed" => {
            let parts = format!("{} to the treasury, {} for the payer", amount("to_treasury"), amount("compensation"));
            ("slashed", format!("{}, {parts}; {} left", amount("amount"), amount("bond")))
        }
        "offer_published" => {
            let price = words.amount(event, event.get("terms").and_then(|terms| terms.get("price")));
            ("offer", format!("{price} per 1000 {}", field("unit_kind")))
        }
        "offer_withdrawn" => ("withdrawn", format!("the offer of {}", field("model"))),
        "market_deposited" | "market_withdrawn" => ("deposited", amount("prepaid")),
        "earnings_withdrawn" | "treasury_withdrawn" => {
            ("withdrawn", format!("{}, {} left", amount("amount"), amount("left")))
        }
        "compensation_paid" => ("compensated", format!("{} for job {}", amount("amount"), field("job"))),
        _ => return None,
    })
}

fn text<'e>(event: &'e Value, path: &[&str]) -> &'e str {
    let found = path.iter().try_fold(event, |value, name| value.get(name));
    found.and_then(Value::as_str).unwrap_or_default()
}

/// What happens to jobs between their beginning and their end, and before.
fn work(words: &Words, event: &Value) -> Option<(&'static str, String)> {
    let field = |path: &[&str]| text(event, path);
    let amount = |path: &[&str]| words.amount(event, path.iter().try_fold(event, |value, name| value.get(name)));
    let job = field(&["job"]);
    Some(match kind(event) {
        "job_closing" => {
            let then = match text(event, &["next", "provider"]) {
                "" => "settled".to_owned(),
                next => format!("handed over to {next}"),
            };
            let (cause, used, paid) = (field(&["cause"]).replace('_', " "), field(&["used"]), field(&["paid"]));
            ("closing", format!("job {job}, {cause}: {paid} of {used} units paid so far; then {then}"))
        }
        "job_posted" => ("job", format!("{job}, posted; {} in escrow", amount(&["post", "deposit"]))),
        "job_cancelled" => ("cancelled", format!("job {job}: {} back", amount(&["refund"]))),
        "bid_placed" => {
            let (who, price) = (field(&["bid", "provider"]), amount(&["bid", "price"]));
            ("bid", format!("{who} on job {job} at {price} per 1000 units"))
        }
        "job_handover_offered" => match field(&["handover", "to"]) {
            "" => ("handover", format!("job {job} is offered to nobody")),
            to => ("handover", format!("job {job} is offered to {to}")),
        },
        "job_handed_over" => {
            let (provider, left) = (amount(&["settlement", "provider"]), amount(&["settlement", "refund"]));
            let (from, to) = (field(&["provider"]), field(&["next", "provider"]));
            ("handed over", format!("job {job} to {to}: {provider} to {from} for its leg, {left} left"))
        }
        "receipt_accepted" => {
            let (hash, added, job) = (field(&["hash"]), field(&["added"]), field(&["receipt", "job"]));
            let paid = match field(&["acknowledged"]) {
                "" => String::new(),
                units => format!("; {units} acknowledged, {} paid", amount(&["payment", "gross"])),
            };
            ("receipt", format!("{hash}: {added} units of job {job}{paid}"))
        }
        _ => return None,
    })
}

fn disputed(words: &Words, event: &Value) -> Option<(&'static str, String)> {
    let field = |path: &[&str]| text(event, path);
    let amount = |path: &[&str]| words.amount(event, path.iter().try_fold(event, |value, name| value.get(name)));
    let job = field(&["job"]);
    Some(match kind(event) {
        "dispute_opened" => {
            let (contested, bond) = (amount(&["dispute", "contested"]), amount(&["dispute", "bond"]));
            ("disputed", format!("job {job}: {contested} contested, {bond} deposited"))
        }
        "dispute_answered" => ("answered", format!("job {job}: {} deposited", amount(&["bond"]))),
        "dispute_voted" => {
            let side = if event.get("for_provider")?.as_bool()? { "provider" } else { "payer" };
            let (votes, needed) = (event.get("votes")?, event.get("needed")?);
            ("vote", format!("{} for the {side} about job {job}: {votes} of {needed}", field(&["voter"])))
        }
        "dispute_decided" => {
            let [provider, refund] = ["provider", "refund"].map(|name| amount(&["settlement", name]));
            let bonds = ["payer", "provider", "treasury"].map(|name| amount(&["bonds", name]));
            let cause = field(&["cause"]).replace('_', " ");
            let [payer, other, treasury] = bonds;
            let deposits = format!("{payer} to the payer, {other} to the provider, {treasury} to the treasury");
            ("decided", format!("job {job}, {cause}: {provider} to the provider, {refund} back; deposits: {deposits}"))
        }
        _ => return None,
    })
}

fn settled(words: &Words, event: &Value) -> String {
    let part = |name: &str| words.amount(event, event.get("settlement").and_then(|parts| parts.get(name)));
    let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let (job, cause) = (field("job"), field("cause").replace('_', " "));
    let [provider, fee, early, refund] = ["provider", "fee", "early_fee", "refund"].map(part);
    format!("job {job}, {cause}: {provider} to the provider, {fee} fee, {early} for the early end, {refund} back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_part_of_a_settlement_is_told() {
        let event = json!({
            "type": "job_settled", "job": "7", "cause": "payer_completed", "asset": 1,
            "settlement": { "provider": "450000", "fee": "50000", "early_fee": "0", "refund": "9500000" },
        });
        let (name, text) = line(&Words::default(), &event).unwrap_or_default();
        assert_eq!(name, "settled");
        for part in ["job 7, payer completed", "450000 base", "50000 base", "0 base", "9500000 base"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(line(&Words::default(), &json!({ "type": "transferred" })), None);
    }
}
