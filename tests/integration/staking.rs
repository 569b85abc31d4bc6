//! Stake, by the command line alone: a delegator earns and withdraws, a validator that contradicts itself is
//! slashed and jailed by the nodes themselves, and at the end every unit is where the books say.

use crate::authority::{CONVICTED_WITHIN, Twin, chain, said};
use chain_core::types::{Amount, ConsensusMode};
use chain_rpc::view::{AssetSupply, BlockRef, Include, ValidatorStatus};
use chain_tests::cluster::Cluster;
use chain_tests::eventually;
use serde_json::{Value, json};

/// One STK in base units.
const STK: u128 = 10u128.pow(18);

async fn supply(cluster: &Cluster, symbol: &str) -> AssetSupply {
    let assets = cluster.client(0).await.get_supply().await.unwrap().assets;
    assets.into_iter().find(|asset| asset.symbol == symbol).unwrap()
}

/// What an account has with a validator.
fn own(cluster: &Cluster, name: &str, node: usize) -> Value {
    let key = json!(cluster.key(node).public());
    let shown = said(cluster, 0, &format!("stake show {name}"));
    let with = shown["delegations"]["validators"].as_array().unwrap().iter().find(|one| one["validator"] == key);
    with.cloned().unwrap_or_default()
}

fn number(value: &Value) -> u128 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

fn event(answer: &Value, kind: &str) -> Value {
    let found = answer["events"].as_array().unwrap().iter().find(|event| event["type"] == kind);
    found.cloned().unwrap_or_else(|| panic!("no {kind} in {answer}"))
}

fn refused(cluster: &Cluster, line: &str, number: u16) {
    let output = chain(cluster, 0, line);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{line}: {text}");
    assert!(text.contains(&format!("({number} ")), "{line}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegator_earns_and_a_twin_is_slashed_and_jailed() {
    let mut cluster = Cluster::with_stake(4, 0, "hybrid");
    cluster.up().await;
    let client = cluster.client(0).await;
    let view = client.get_validators().await.unwrap();
    assert_eq!((view.mode, view.validators.len()), (ConsensusMode::Hybrid, 4));
    assert!(view.validators.iter().all(|one| one.stake.as_ref().unwrap().own.get() == 100_000 * STK));

    // Delegated to node-0 and to the later twin; what is paid in fees is earned.
    let done = said(&cluster, 1, "stake delegate node-0 --amount 5000STK --from dev1");
    assert_eq!(number(&event(&done, "stake_delegated")["bonded"]), 105_000 * STK);
    said(&cluster, 1, "stake delegate node-3 --amount 2000STK --from dev2");
    let earned = eventually("a reward", || async {
        said(&cluster, 2, "transfer --to dev4 --amount 1AIT --fee 1AIT --from dev3");
        Some(number(&own(&cluster, "dev1", 0)["reward"])).filter(|reward| *reward > 0)
    })
    .await;
    let paid = event(&said(&cluster, 1, "stake rewards --from dev1"), "reward_withdrawn");
    assert!(number(&paid["reward"]) >= earned, "{paid}");
    // Its weight follows its stake at the end of an epoch, which the block says by itself.
    let changed = eventually("the set follows", || async {
        let stake = client.get_stake(cluster.key(0).public()).await.unwrap().stake.unwrap();
        (stake.weight == stake.weight_target && stake.weight.0 == 105_000).then_some(())
    });
    changed.await;

    refused(&cluster, "stake bond --amount 5000STK --from dev1", 601);
    refused(&cluster, "stake unbond --amount 99500STK --from node-1", 603);
    refused(&cluster, "stake delegate node-0 --amount 5STK --from node-0", 608);
    refused(&cluster, "stake undelegate node-1 --amount 1STK --from dev1", 609);
    refused(&cluster, "stake undelegate node-0 --amount 5001STK --from dev1", 610);
    refused(&cluster, "stake withdraw node-0 --from dev1", 612);
    refused(&cluster, "stake commission 501 --from node-1", 615);
    refused(&cluster, "stake bond --amount 5STK --commission 3 --from node-1", 617);
    refused(&cluster, "stake rewards node-1 --from dev1", 618);
    let wrong = chain(&cluster, 0, "stake delegate node-0 --amount 5AIT --from dev1");
    assert_eq!(wrong.status.code(), Some(2), "stakes are made of STK");
    said(&cluster, 1, "stake undelegate node-0 --amount 1000STK --from dev1");
    refused(&cluster, "stake withdraw node-0 --from dev1", 613);
    assert_eq!(number(&own(&cluster, "dev1", 0)["unbonding"][0]["worth"]), 1_000 * STK);

    let before = supply(&cluster, "STK").await;
    let (twin, told) = Twin::of(&mut cluster, 3).await;
    let convicted = twin.until_convicted(&client).await;
    let (offence, since) = (convicted.equivocation.unwrap().height, convicted.since);
    assert!(since.get() - offence.get() <= CONVICTED_WITHIN, "an offence at {offence} was in a block only at {since}");
    assert_eq!(convicted.status, ValidatorStatus::Convicted);
    assert_eq!(told.await.unwrap()["validator"], json!(cluster.key(3).public()));

    // 5 % of 102,000 STK; of that 5 % to who reported it.
    let block = client.get_block(BlockRef::Height(since), Include::Full).await.unwrap();
    let events = block.transactions.iter().flatten().flat_map(|tx| tx.events.clone());
    let slashed = events.into_iter().find(|event| event["type"] == "stake_slashed").expect("it is in that block");
    let slash = &slashed["slash"];
    let figures = ["bonded", "unbonding", "reporter", "burned"].map(|name| number(&slash[name]));
    assert_eq!(figures, [5_100 * STK, 0, 255 * STK, 4_845 * STK]);
    let reporters = [0, 1, 2].map(|node| json!(cluster.wallet(node).address));
    assert!(reporters.contains(&slashed["reporter"]), "{slashed}");
    let after = supply(&cluster, "STK").await;
    assert_eq!(after.burned.get() - before.burned.get(), 4_845 * STK);
    assert_eq!(number(&own(&cluster, "dev2", 3)["worth"]), 1_900 * STK);
    let stake = client.get_stake(cluster.key(3).public()).await.unwrap().stake.unwrap();
    assert_eq!(
        (stake.slash.unwrap().burned, stake.summary.bonded),
        (Amount::new(figures[3]), Amount::new(96_900 * STK))
    );
    refused(&cluster, "stake delegate node-3 --amount 5STK --from dev2", 605);
    // The set goes on without it, and says so by itself.
    let socket = cluster.socket(0).await;
    let mut feed = socket.events(Some(since), Some("set_changed".into())).await.unwrap();
    let left = eventually("it leaves the set", || async {
        let view = client.get_validators().await.unwrap();
        view.validators.iter().all(|one| one.public_key != cluster.key(3).public()).then_some(())
    });
    left.await;
    let told = serde_json::to_value(feed.next().await.unwrap().unwrap()).unwrap();
    assert!(told["sources"][0]["item_id"].is_string(), "{told}");
    let place = format!("{}.{}", told["height"].as_str().unwrap(), told["sources"][0]["index"]);
    let file = cluster.beside("own.json");
    said(&cluster, 0, &format!("proof get --outcome {place} --out {}", file.display()));
    let genesis = cluster.dir().join("genesis.json");
    let proven = said(&cluster, 0, &format!("proof verify {} --genesis {}", file.display(), genesis.display()));
    assert_eq!(proven["wire_id"], told["sources"][0]["item_id"]);

    // What is left can go, what unbonded comes back, and the books agree.
    said(&cluster, 1, "stake undelegate node-3 --all --from dev2");
    assert_eq!(number(&own(&cluster, "dev2", 3)["unbonding"][0]["worth"]), 1_900 * STK);
    for symbol in ["STK", "AIT"] {
        assert!(supply(&cluster, symbol).await.conserved);
    }
    cluster.wait_equal(&[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_stake_the_commands_say_so() {
    let mut cluster = Cluster::new(1, 0);
    cluster.up().await;
    refused(&cluster, "stake bond --amount 5000STK --from node-0", 600);
    let shown = said(&cluster, 0, "stake show dev1");
    assert_eq!((&shown["delegations"]["mode"], &shown["stake"]["stake"]), (&json!("poa"), &Value::Null));
    said(&cluster, 0, "stake list");
    let other = cluster.devnet(&["init", "--mode", "pos"]);
    assert_eq!(other.status.code(), Some(3), "it is of another mode");
}
