//! `chain stake`: bonding, delegating, unbonding, rewards and commission. A validator bonds through the plain
//! account of its key: `--from` names that key.
//!
//! Not here: who validates (`authority`), the rules (chain-core).

use chain_core::{
    crypto::PublicKey,
    state::stakes::Fund,
    tx::{Action, staking::Action as Staking},
    types::{Address, Amount, Token},
};
use chain_rpc::view::{
    DelegationView, DelegationsView, StakeView, UnbondingView, ValidatorStake, ValidatorView, rfc3339,
};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::authority::{called, percent, standing};
use crate::{
    app::{App, Names},
    error::{Answer, CliError},
    node::Node,
    output::{Lines, count, money},
    send::{SendArgs, send},
};

/// Most validators one transaction withdraws from: as many as it has actions.
const MAX_AT_ONCE: usize = 16;

/// Arguments of `chain stake`.
#[derive(Debug, Args)]
pub struct StakeArgs {
    #[command(subcommand)]
    action: StakeAction,
}

#[derive(Debug, Subcommand)]
enum StakeAction {
    /// Bond own stake as the validator of the key of --from
    Bond {
        /// How much, such as 5000STK
        #[arg(long)]
        amount: String,
        /// With the first bond: what the validator keeps of the rewards, in 1/10,000
        #[arg(long, value_name = "BPS")]
        commission: Option<u16>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Start unbonding own stake of the validator of the key of --from
    Unbond {
        #[command(flatten)]
        much: Much,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Bond stake with a validator
    Delegate {
        /// Its key: 0x…, or the name of a key or of a devnet's node
        #[arg(value_name = "VALIDATOR")]
        validator: String,
        /// How much, such as 5000STK
        #[arg(long)]
        amount: String,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Start unbonding stake from a validator
    Undelegate {
        /// Its key: 0x…, or the name of a key or of a devnet's node
        #[arg(value_name = "VALIDATOR")]
        validator: String,
        #[command(flatten)]
        much: Much,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take what has unbonded
    Withdraw {
        /// From this validator [default: from all where something is free]
        #[arg(value_name = "VALIDATOR")]
        validator: Option<String>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Take what stake has earned, and own commission
    Rewards {
        /// With this validator [default: with all where something was earned]
        #[arg(value_name = "VALIDATOR")]
        validator: Option<String>,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Announce another commission of the validator of the key of --from
    Commission {
        /// What it keeps of the rewards, in 1/10,000; at most 500 from what it is
        #[arg(value_name = "BPS")]
        commission: u16,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Show what an account has bonded, earned and unbonds; of a validator's key also what stands behind it
    Show {
        /// A name, an address, or a validator's key (0x…)
        #[arg(value_name = "NAME|ADDRESS|KEY")]
        whose: String,
    },
    /// List the validators with their stake
    List,
}

/// How much to unbond.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("much").required(true))]
struct Much {
    /// How much, such as 5000STK
    #[arg(long, group = "much")]
    amount: Option<String>,
    /// All of it
    #[arg(long, group = "much")]
    all: bool,
}

/// Runs `chain stake …`.
pub async fn run(app: &App, args: &StakeArgs) -> Answer<()> {
    let node = app.connect().await?;
    match &args.action {
        StakeAction::Bond { amount, commission, send } => {
            let (amount, commission_bps) = (stake_amount(&node, amount).await?, *commission);
            act(app, &node, send, vec![Staking::StakeBond { amount, commission_bps }]).await
        }
        StakeAction::Unbond { much, send } => {
            let own = app.address(&send.from)?;
            let shares = shares(&node, own, &PublicKey(*own.as_bytes()), much).await?;
            act(app, &node, send, vec![Staking::StakeUnbond { shares }]).await
        }
        StakeAction::Delegate { validator, amount, send } => {
            let (validator, amount) = (app.public_key(validator)?, stake_amount(&node, amount).await?);
            act(app, &node, send, vec![Staking::StakeDelegate { validator, amount }]).await
        }
        StakeAction::Undelegate { validator, much, send } => {
            let validator = app.public_key(validator)?;
            let shares = shares(&node, app.address(&send.from)?, &validator, much).await?;
            act(app, &node, send, vec![Staking::StakeUndelegate { validator, shares }]).await
        }
        StakeAction::Withdraw { validator, send } => {
            let is_meant = |one: &DelegationView| one.unbonding.iter().any(|entry| entry.is_free);
            let meant = meant(app, &node, (validator.as_ref(), send), is_meant, "nothing is free yet").await?;
            let actions = meant.into_iter().map(|validator| Staking::StakeWithdraw { validator });
            act(app, &node, send, actions.collect()).await
        }
        StakeAction::Rewards { validator, send } => {
            let is_meant = |one: &DelegationView| !(one.reward.is_zero() && one.commission.is_zero());
            let meant = meant(app, &node, (validator.as_ref(), send), is_meant, "nothing was earned").await?;
            let actions = meant.into_iter().map(|validator| Staking::RewardWithdraw { validator });
            act(app, &node, send, actions.collect()).await
        }
        StakeAction::Commission { commission, send } => {
            act(app, &node, send, vec![Staking::StakeSetCommission { commission_bps: *commission }]).await
        }
        StakeAction::Show { whose } => show(app, &node, whose).await,
        StakeAction::List => list(app, &node).await,
    }
}

async fn act(app: &App, node: &Node, args: &SendArgs, actions: Vec<Staking>) -> Answer<()> {
    send(app, node, args, |_| Ok(actions.into_iter().map(Action::Staking).collect())).await
}

/// The stake asset's token; an error where there is none.
async fn stake_token(node: &Node) -> Answer<Token> {
    match node.stake_asset().await? {
        Some(asset) => node.token(asset).await,
        None => Err(CliError::Failed("on this chain stake gives no weight: its mode is poa".into())),
    }
}

/// What an amount of stake means; it must be of the stake asset.
async fn stake_amount(node: &Node, text: &str) -> Answer<Amount> {
    let (asset, amount) = node.amount(text).await?;
    match node.stake_asset().await? {
        Some(stakes) if stakes != asset => {
            let symbol = node.token(stakes).await?.symbol;
            Err(CliError::Usage(format!("stakes are made of {symbol}; write 5000{symbol}")))
        }
        // Without stake the chain refuses with its own words.
        _ => Ok(amount),
    }
}

/// As many shares of an account's delegation as are worth this much.
async fn shares(node: &Node, account: Address, validator: &PublicKey, much: &Much) -> Answer<Amount> {
    let Some(text) = &much.amount else {
        let own = delegation(node, account, validator).await?;
        let shares = own.map_or(Amount::ZERO, |own| own.shares);
        return match shares.is_zero() {
            true => Err(CliError::Failed("nothing of this account is bonded with the validator".into())),
            false => Ok(shares),
        };
    };
    let amount = stake_amount(node, text).await?;
    let Some(stake) = node.client.get_stake(*validator).await?.stake else { return Ok(amount) };
    let fund = Fund { held: stake.summary.bonded, shares: stake.shares };
    least_shares(&fund, amount).ok_or_else(|| CliError::Failed(format!("{text} is more than all that is bonded there")))
}

/// The least number of shares that is worth an amount. Worth never falls with more shares.
fn least_shares(fund: &Fund, amount: Amount) -> Option<Amount> {
    if fund.held == fund.shares {
        return Some(amount);
    }
    let (mut low, mut high) = (0, fund.shares.get());
    if fund.worth(fund.shares) < amount {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if fund.worth(Amount::new(middle)) < amount { low = middle + 1 } else { high = middle }
    }
    Some(Amount::new(low))
}

async fn all_of(node: &Node, account: Address) -> Answer<DelegationsView> {
    let mut view = node.client.get_delegations(account, None, None).await?;
    while let Some(cursor) = view.next.take() {
        let page = node.client.get_delegations(account, Some(cursor), None).await?;
        if page.validators.is_empty() {
            break;
        }
        view.validators.extend(page.validators);
        view.next = page.next;
    }
    Ok(view)
}

async fn delegation(node: &Node, account: Address, validator: &PublicKey) -> Answer<Option<DelegationView>> {
    Ok(all_of(node, account).await?.validators.into_iter().find(|one| one.validator == *validator))
}

/// The validator that was named, or those where there is something to take.
async fn meant(
    app: &App,
    node: &Node,
    (named, send): (Option<&String>, &SendArgs),
    is_meant: impl Fn(&DelegationView) -> bool,
    otherwise: &str,
) -> Answer<Vec<PublicKey>> {
    if let Some(name) = named {
        return Ok(vec![app.public_key(name)?]);
    }
    let view = all_of(node, app.address(&send.from)?).await?;
    stake_token(node).await?;
    let found: Vec<_> = view.validators.iter().filter(|one| is_meant(one)).map(|one| one.validator).collect();
    if found.is_empty() {
        return Err(CliError::Failed(otherwise.into()));
    }
    Ok(found.into_iter().take(MAX_AT_ONCE).collect())
}

async fn show(app: &App, node: &Node, whose: &str) -> Answer<()> {
    let (account, key) = match whose.starts_with("0x") {
        true => {
            let key = app.public_key(whose)?;
            (Address::of_key(&key), key)
        }
        // A plain account's address is its key; of others nobody validates.
        false => app.address(whose).map(|address| (address, PublicKey(*address.as_bytes())))?,
    };
    let (stake, own) = (node.client.get_stake(key).await?, all_of(node, account).await?);
    let document = json!({ "stake": stake, "delegations": own });
    if own.staking.asset.is_none() {
        return app.print(&document, |lines| lines.line("mode poa: on this chain stake gives no weight"));
    }
    let (token, native, names) = (stake_token(node).await?, node.native().await?, app.names());
    app.print(&document, |lines| {
        if let StakeView { stake: Some(stake), validator, .. } = &stake {
            lines.line(format_args!("validator {}", names.validator(validator)));
            show_stake(lines, stake, &token, &native);
        }
        lines.line(format_args!("account {}", names.with(&account)));
        if own.validators.is_empty() {
            lines.line("  nothing is bonded, nothing unbonds");
        }
        own.validators.iter().for_each(|one| show_delegation(lines, &names, one, &token, &native));
    })
}

fn show_stake(lines: &mut Lines, stake: &ValidatorStake, token: &Token, native: &Token) {
    let summary = &stake.summary;
    let of = count(summary.delegations.0, "delegation");
    lines.pair("  bonded", format_args!("{}, by {of}", money(token, summary.bonded)));
    lines.pair("  own", money(token, summary.own));
    let next =
        summary.announced.map(|next| format!(", {} from block {}", percent(next.commission_bps.into()), next.from));
    let commission = percent(summary.commission_bps.into());
    lines.pair("  commission", format_args!("{commission}{}", next.unwrap_or_default()));
    lines.pair("  weight", format_args!("{} in the set, {} wanted", stake.weight.0, stake.weight_target.0));
    let rewards = money(native, stake.pending_rewards);
    lines.pair(
        "  rewards",
        format_args!("{rewards} not withdrawn, {} commission", money(native, stake.pending_commission)),
    );
    if !stake.unbonding.is_zero() {
        lines.pair("  unbonding", format_args!("{} since the last epoch", money(token, stake.unbonding)));
    }
    if let Some(slash) = &stake.slash {
        let lost = slash.bonded.saturating_add(slash.unbonding);
        lines.pair("  slashed", format_args!("{} for an offence at block {}", money(token, lost), slash.offence));
    }
}

fn show_delegation(lines: &mut Lines, names: &Names, one: &DelegationView, token: &Token, native: &Token) {
    lines.line(format_args!("with {}", names.validator(&one.validator)));
    lines.pair("  bonded", money(token, one.worth));
    if one.shares != one.worth {
        lines.pair("", format_args!("it was {} before the validator was convicted", money(token, one.shares)));
    }
    lines.pair("  rewards", money(native, one.reward));
    if !one.commission.is_zero() {
        lines.pair("  commission", money(native, one.commission));
    }
    one.unbonding.iter().for_each(|entry| lines.pair("  unbonding", unbonding(entry, token)));
}

fn unbonding(entry: &UnbondingView, token: &Token) -> String {
    let amount = money(token, entry.worth);
    match (entry.is_free, entry.free_from, entry.free_at) {
        (true, ..) => format!("{amount}, free: chain stake withdraw"),
        (false, Some(from), Some(at)) => format!("{amount}, free from block {from} on, not before {}", rfc3339(at)),
        _ => format!("{amount}, waits for the end of an epoch; then its time begins"),
    }
}

async fn list(app: &App, node: &Node) -> Answer<()> {
    let view = node.client.get_validators().await?;
    let (names, asset) = (app.names(), node.stake_asset().await?);
    let token = match asset {
        Some(asset) => Some(node.token(asset).await?),
        None => None,
    };
    let row = |one: &ValidatorView| {
        let stake = one.stake.as_ref().zip(token.as_ref());
        let figures = stake.map(|(stake, token)| {
            let amounts = [stake.bonded, stake.own].map(|amount| money(token, amount)).to_vec();
            let next = stake.announced.map(|next| format!(" ({} soon)", percent(next.commission_bps.into())));
            let commission = percent(stake.commission_bps.into()) + &next.unwrap_or_default();
            [amounts, vec![stake.delegations.0.to_string(), commission]].concat()
        });
        let figures = figures.unwrap_or_else(|| vec!["-".into(); 4]);
        let who = vec![called(&names, one), standing(one), one.weight.0.to_string(), one.wanted_weight.0.to_string()];
        [who, figures].concat()
    };
    let rows: Vec<_> = view.validators.iter().chain(&view.others).map(row).collect();
    app.print(&view, |lines| {
        let head = ["validator", "status", "weight", "wanted", "bonded", "own", "delegations", "commission"];
        lines.table(&head, &rows);
        lines.line(format_args!("block {}, mode {}", view.height, view.mode));
    })
}

/// How amounts in events are written; `stake` where the chain has stake.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'t> {
    /// The native token.
    pub native: &'t Token,
    /// The stake asset's.
    pub stake: Option<&'t Token>,
}

/// Whether an event is about stake.
pub fn is_told(event: &Value) -> bool {
    const KINDS: &[&str] = &[
        "stake_bonded",
        "stake_delegated",
        "stake_unbonding",
        "stake_withdrawn",
        "reward_withdrawn",
        "commission_announced",
        "stake_slashed",
        "batch_closed",
    ];
    event.get("type").and_then(Value::as_str).is_some_and(|kind| KINDS.contains(&kind))
}

/// The stake asset's token, if an event needs it.
pub async fn token_for(node: &Node, mut events: impl Iterator<Item = &Value>) -> Answer<Option<Token>> {
    if !events.any(is_told) {
        return Ok(None);
    }
    stake_token(node).await.map(Some)
}

/// What happened to stake, in words.
pub fn told<'a>(lines: &mut Lines, names: &Names, tokens: Tokens<'_>, events: impl Iterator<Item = &'a Value>) {
    for event in events.filter(|event| is_told(event)) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let units = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse().ok());
        let stake = |value: Option<&Value>| {
            let amount = Amount::new(units(value).unwrap_or_default());
            tokens.stake.map_or_else(|| format!("{amount} base units"), |token| money(token, amount))
        };
        let bps = |name: &str| percent(event.get(name).and_then(Value::as_u64).unwrap_or_default() as u32);
        let key = || text("validator").parse().map_or_else(|_| text("validator").into(), |key| names.validator(&key));
        match text("type") {
            "stake_bonded" | "stake_delegated" => {
                let (amount, all) = (stake(event.get("amount")), stake(event.get("bonded")));
                lines.pair("  bonded", format_args!("{amount} with {}; {all} in all", key()));
            }
            "stake_unbonding" => {
                lines.pair("  unbonding", format_args!("{} from {}", stake(event.get("worth")), key()));
            }
            "stake_withdrawn" => lines.pair("  withdrawn", format_args!("{} from {}", stake(event.get("paid")), key())),
            "commission_announced" => {
                let (before, after) = (bps("before"), bps("after"));
                lines.pair("  commission", format_args!("{before}, {after} from block {}", text("from")));
            }
            "stake_slashed" => {
                let slash = |name: &str| stake(event.get("slash").and_then(|slash| slash.get(name)));
                let words = format!("{} to the reporter, {} burned", slash("reporter"), slash("burned"));
                lines.pair("  slashed", format_args!("{}: {words}", key()));
            }
            "batch_closed" => {
                let (amount, from) = (stake(event.get("amount")), text("free_from"));
                lines.pair("  unbonding", format_args!("{amount} from {}, free from block {from} on", key()));
            }
            _ => {}
        }
        let paid = ["reward", "commission"].map(|name| units(event.get(name)).unwrap_or_default());
        for (name, amount) in [("  reward", paid[0]), ("  commission", paid[1])] {
            if amount > 0 {
                lines.pair(name, money(tokens.native, Amount::new(amount)));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_the_fewest_that_are_worth_it(
            put in 1u128..10u128.pow(27), bps in 0u16..10_000, wanted in 1u128..10u128.pow(27),
        ) {
            let mut fund = Fund::default();
            fund.put(Amount::new(put)).unwrap();
            fund.slash(bps);
            let amount = Amount::new(wanted);
            match least_shares(&fund, amount) {
                Some(shares) if fund.held == fund.shares => prop_assert_eq!(shares, amount),
                Some(shares) => {
                    prop_assert!(fund.worth(shares) >= amount);
                    prop_assert!(fund.worth(Amount::new(shares.get() - 1)) < amount);
                }
                None => prop_assert!(fund.held < amount),
            }
        }
    }
}
