//! The documents say what answers, and nothing else.

use chain_rpc::api::{SUBSCRIPTIONS, methods};
use chain_tests::devnet::{Devnet, chain_node};
use chain_tests::{http, workspace};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The names in the headings of `docs/rpc.md`: "### `a`" or "### `a` / `b`".
fn documented(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let quoted = headings.flat_map(|heading| heading.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

fn page() -> String {
    let path = workspace::root().join("docs/rpc.md");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}. Run: make doc", path.display()))
}

#[test]
fn the_page_of_the_interface_is_the_one_the_binary_writes() {
    let written = chain_node().args(["doc", "rpc"]).output().unwrap();
    assert!(written.status.success());
    let written = String::from_utf8(written.stdout).unwrap();
    assert!(written == page(), "docs/rpc.md is not what the binary writes. Run: make doc");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_a_node_discovers_is_documented_and_the_other_way_round() {
    let devnet = Devnet::start().await;
    let document = http::result(devnet.rpc(), "rpc.discover", json!({})).await;
    let names = document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap());
    let discovered: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(discovered, documented(&page()));
    let own = methods().map(|method| method.name);
    let subscriptions = SUBSCRIPTIONS.iter().flat_map(|s| [s.subscribe, s.unsubscribe]);
    let declared: BTreeSet<String> = own.chain(subscriptions).map(str::to_owned).collect();
    assert_eq!(discovered, declared);
}

/// The names in the table of metrics of `docs/operate.md` that need no label.
fn documented_metrics() -> BTreeSet<String> {
    let path = workspace::root().join("docs/operate.md");
    let page = std::fs::read_to_string(path).unwrap();
    let after = page.split("## Health and metrics").nth(1).unwrap();
    let rows =
        after.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = rows.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches('`'));
    let plain = names.filter(|name| name.contains('_') && !name.contains(['{', '*', '…', '/']));
    plain.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_exported() {
    let names = documented_metrics();
    let promised = ["blocks_total", "transactions_total", "consensus_rounds", "network_peers"];
    for name in promised.map(|name| format!("blockchain_{name}")) {
        assert!(names.contains(&name), "{name} is not documented");
    }
    let devnet = Devnet::start().await;
    let page = http::get(devnet.metrics(), "/metrics").await.text();
    for name in names {
        assert!(page.contains(&format!("# TYPE {name} ")), "{name} is not exported:\n{page}");
    }
}

/// What a node says a method is: anything but "there is no such method".
#[tokio::test(flavor = "multi_thread")]
async fn every_documented_method_and_path_answers() {
    let devnet = Devnet::start().await;
    for name in documented(&page()) {
        let answer = http::call(devnet.rpc(), &name, json!({})).await.json();
        assert_ne!(answer["error"]["code"], -32601, "{name}: {answer}");
    }
    let document = http::get(devnet.rpc(), "/openapi.json").await.json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let filled = path.replace("{address}", &devnet.wallets()[0].address.to_string());
        let filled = filled.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let filled = filled.collect::<Vec<_>>().join("/");
        for verb in operations.as_object().unwrap().keys() {
            let answer = match verb.as_str() {
                "get" => http::get(devnet.rpc(), &filled).await,
                _ => http::post_json(devnet.rpc(), &filled, &Value::Null).await,
            };
            let unknown = answer.status == 405 || answer.code() == Some(-32601);
            assert!(answer.status != 0 && !unknown, "{verb} {path}: {} {}", answer.status, answer.text());
        }
    }
}
